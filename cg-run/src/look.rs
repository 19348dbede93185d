//! Read-only facts: where the leaf can be made, and which controllers are to be had there.

pub mod cgroup;
pub mod delegation;
pub mod descent;
pub mod family;
pub mod others;
pub mod resident;
pub mod used;

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use chain::process::Identity;
use chain::{Call as _, Context as _, Hint as _, Result, machine, refusal, show};
use nix::sys::stat::{major, minor};

use self::cgroup::Cgroup;
use self::delegation::{is_delegated, is_systemds};
use self::family::{Inside, inside};
use self::others::{dead, hold};
use crate::args::{DeviceLimit, Mode, Request};
use crate::model::leaf::{self, CALLERS, DELEGATED, MARK};
use crate::model::limit::Write;

/// What is known about the place of the leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The parent's path, for messages.
    pub parent: PathBuf,
    pub owner: Identity,
    /// Controllers that the parent has.
    pub available: Vec<String>,
    /// Controllers that its children get.
    pub enabled: Vec<String>,
    /// Controllers that are bound to cgroup v1 on this machine.
    pub on_v1: Vec<String>,
    /// The processes in the parent itself.
    pub inhabitants: Inhabitants,
    /// Whether some that were there are aside already, for other runs.
    pub aside: bool,
    /// Leaves in it of runs that were killed.
    pub dead: Vec<String>,
    /// Limits of block devices, by number.
    pub devices: Vec<Write>,
    /// The machine's memory, where a share of it is requested; 0 where none is.
    pub memory: u64,
}

/// Processes in the parent itself: with any, no controller can be enabled for its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inhabitants {
    /// None, or it is the root, where it does not matter.
    None,
    /// Those that may be moved aside: cg-run itself, and with --move-callers those that have started it.
    Movable,
    Others,
    /// Any, in a unit of systemd's system manager that is not delegated. systemd takes controllers from its children when it
    /// likes, and ends a service in which memory ran out.
    Systemds,
}

impl Facts {
    pub fn offers(&self, controller: &str) -> bool {
        self.available.iter().any(|name| name == controller)
    }

    fn enables(&self, controller: &str) -> bool {
        self.enabled.iter().any(|name| name == controller)
    }

    /// How a controller that is missing could be had.
    pub fn way_to(&self, controller: &str) -> String {
        if self.on_v1.iter().any(|name| name == controller) {
            return format!(
                "{controller} is bound to cgroup v1 here: boot with cgroup_no_v1=all (systemd: \
                 systemd.unified_cgroup_hierarchy=1), or choose --no-cgroup, which has time limits only"
            );
        }
        let above = self.parent.parent().unwrap_or(Path::new("/"));
        format!(
            "the cgroup above must hand it down: echo +{controller} >{}/cgroup.subtree_control, or {DELEGATED}; or choose \
             --no-cgroup, which has time limits only",
            show(above)
        )
    }

    /// A place as the request would need it, for an explanation where there is none.
    pub fn as_requested(request: &Request) -> Result<Self> {
        let (Mode::Leaf { parent, .. } | Mode::Collect { parent }) = &request.mode else {
            return Err(refusal!("no cgroup was requested"));
        };
        let devices: Vec<Write> = request
            .devices
            .iter()
            .map(|limit| Write::new("io.max", format!("{} {}", show(&limit.device), limit.limits)))
            .collect();
        let named = request.writes.iter().chain(&devices).filter_map(Write::controller);
        let available: Vec<String> = named.map(str::to_owned).collect();
        Ok(Self {
            parent: parent.clone().unwrap_or_else(|| "own cgroup".into()),
            owner: Identity::of("self")?,
            enabled: available.clone(),
            available,
            on_v1: vec![],
            inhabitants: Inhabitants::None,
            aside: false,
            dead: vec![],
            devices,
            memory: memory(request)?,
        })
    }
}

/// How to come to a cgroup that one may write to.
fn not_yours() -> String {
    format!(
        "take a cgroup that is delegated to you: {DELEGATED}; or --parent DIR; or choose --no-cgroup, which has time limits only"
    )
}

/// The parent, held open, and what is known about it.
#[derive(Debug)]
pub struct Place {
    /// The parent of the leaf.
    pub parent: Cgroup,
    pub facts: Facts,
    /// Whether others than cg-run itself may be moved out of it.
    pub move_callers: bool,
}

/// Limits of block devices, by their numbers.
pub fn devices(request: &Request) -> Result<Vec<Write>> {
    request.devices.iter().map(device).collect()
}

/// Looks at the place of the leaf; `None` where no cgroup was requested. Its errors say why no cgroup can be had.
pub fn place(request: &Request, devices: Vec<Write>) -> Result<Option<Place>> {
    let Mode::Leaf { parent: named, .. } = &request.mode else { return Ok(None) };
    let parent = self::parent(named.as_deref())?;
    parent.writable(&[".", "cgroup.procs"]).hint(not_yours())?;
    domain(&parent)?;
    if !request.writes.is_empty() || !devices.is_empty() {
        hold(&parent);
    }
    let words = |file: &str| Ok::<_, anyhow::Error>(parent.read(file)?.split_whitespace().map(str::to_owned).collect());
    let move_callers = request.move_callers && is_delegated(&parent);
    let owner = Identity::of("self")?;
    let mut facts = Facts {
        available: words("cgroup.controllers")?,
        enabled: words("cgroup.subtree_control")?,
        on_v1: vec![],
        inhabitants: inhabitants(&parent, named.is_none(), move_callers)?,
        aside: parent.child(CALLERS).is_ok(),
        dead: dead(&parent, &owner),
        devices,
        memory: memory(request)?,
        parent: parent.path.clone(),
        owner,
    };
    let wanted: Vec<&str> = request.writes.iter().chain(&facts.devices).filter_map(Write::controller).collect();
    if wanted.iter().any(|name| !facts.enables(name)) {
        parent.writable(&["cgroup.subtree_control"]).hint(not_yours())?;
    }
    // Looked at only where a controller is missing.
    if wanted.iter().any(|name| !facts.offers(name)) {
        facts.on_v1 = on_v1();
    }
    Ok(Some(Place { parent, facts, move_callers }))
}

fn memory(request: &Request) -> Result<u64> {
    let any = request.writes.iter().any(|write| write.percent().is_some());
    if any { machine::memory() } else { Ok(0) }
}

/// The run that owns the child `name`, by that name or by its mark; `None` where it is not ours.
pub fn owner(parent: &Cgroup, name: &str) -> Option<Identity> {
    leaf::owner(name).or_else(|| Identity::parse(&parent.child(name).ok()?.mark(MARK)?))
}

/// The parent that was named, or the cgroup that this process is in.
pub fn parent(named: Option<&Path>) -> Result<Cgroup> {
    match named {
        Some(path) => Cgroup::open(path),
        None => Cgroup::open(&outside_of_callers(own_path()?)),
    }
}

/// Whoever was moved aside still belongs to the cgroup above.
fn outside_of_callers(own: PathBuf) -> PathBuf {
    match own.parent() {
        Some(above) if own.ends_with(CALLERS) => above.to_owned(),
        _ => own,
    }
}

/// A threaded cgroup can have no children with processes of their own.
fn domain(parent: &Cgroup) -> Result<()> {
    match parent.read_if_there("cgroup.type").as_deref().map(str::trim) {
        None | Some("domain" | "domain threaded") => Ok(()),
        Some(kind) => Err(refusal!("{}: is a {kind} cgroup", show(&parent.path))
            .hint("a leaf needs a parent whose cgroup.type is domain: take another --parent")),
    }
}

fn inhabitants(parent: &Cgroup, own: bool, move_callers: bool) -> Result<Inhabitants> {
    // The root has no cgroup.type, and is the one cgroup that may have both processes and limited children.
    if parent.read_if_there("cgroup.type").is_none() {
        return Ok(Inhabitants::None);
    }
    Ok(match inside(parent, move_callers)? {
        // Then this process itself is aside, and may be back at any time.
        Inside::Nobody if own => Inhabitants::Movable,
        Inside::Nobody => Inhabitants::None,
        _ if is_systemds(parent) => Inhabitants::Systemds,
        Inside::OnlySelf | Inside::Family(_) => Inhabitants::Movable,
        Inside::Others => Inhabitants::Others,
    })
}

/// The path of the cgroup that this process is in, where cgroup2 is mounted.
pub fn own_path() -> Result<PathBuf> {
    let memberships = fs::read_to_string("/proc/self/cgroup").call("read /proc/self/cgroup")?;
    // A path need not be UTF-8, and a mount elsewhere must not keep us from finding ours.
    let mounts = fs::read("/proc/self/mountinfo").call("read /proc/self/mountinfo")?;
    own_path_in(&memberships, &String::from_utf8_lossy(&mounts)).context("the cgroup of this process")
}

/// Pure: the same from the texts of the two files.
fn own_path_in(memberships: &str, mounts: &str) -> Result<PathBuf> {
    let no_v2 = || {
        refusal!("no cgroup v2 file system is mounted")
            .hint("mount -t cgroup2 none DIR, as root; or choose --no-cgroup, which has time limits only")
    };
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::")).ok_or_else(no_v2)?;
    let mut shown = mounts.lines().filter_map(cgroup2_mount).peekable();
    shown.peek().ok_or_else(no_v2)?;
    shown.find_map(|(root, point)| Some(Path::new(&point).join(below(path, &root)?))).ok_or_else(|| {
        refusal!("{}: not below any cgroup v2 mount here", show(path))
            .hint("this process came from outside of the cgroup namespace or mount: name a --parent that you see")
    })
}

/// `path` relative to the `root` of a mount.
fn below<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let rest = if root == "/" { path } else { path.strip_prefix(root)? };
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    Some(rest.trim_start_matches('/'))
}

/// Root and mount point of a line of mountinfo that is of cgroup2 (proc_pid_mountinfo(5)).
fn cgroup2_mount(line: &str) -> Option<(String, String)> {
    let (before, after) = line.split_once(" - ")?;
    if after.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let fields: Vec<&str> = before.split(' ').collect();
    Some((unescaped(fields.get(3)?), unescaped(fields.get(4)?)))
}

/// Blank, tab, newline and backslash are octal in mountinfo.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Controllers that are on hierarchies of version 1.
pub fn on_v1() -> Vec<String> {
    controllers_on_v1(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

fn controllers_on_v1(memberships: &str) -> Vec<String> {
    let names = memberships.lines().filter(|line| !line.starts_with("0::")).filter_map(|line| line.split(':').nth(1));
    // Version 1 calls its io controller blkio.
    names.flat_map(|list| list.split(',')).map(|name| if name == "blkio" { "io" } else { name }.to_owned()).collect()
}

/// A limit of a block device with the device's number.
fn device(limit: &DeviceLimit) -> Result<Write> {
    let number = match limit.device.to_str().filter(|text| is_device_number(text)) {
        Some(number) => number.to_owned(),
        None => device_number(Path::new(&limit.device))?,
    };
    Ok(Write::new("io.max", format!("{number} {}", limit.limits)))
}

fn is_device_number(text: &str) -> bool {
    let number = |part: &str| part.len() < 10 && chain::values::number(part.as_ref()).is_some();
    text.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
}

fn device_number(path: &Path) -> Result<String> {
    let facts = fs::metadata(path).call(&format!("--io: stat {}", show(path)))?;
    if !facts.file_type().is_block_device() {
        return Err(refusal!("--io {}: not a block device", show(path))
            .hint("findmnt -no SOURCE,MAJ:MIN DIR names the device of a directory; io.max wants the whole disk"));
    }
    Ok(format!("{}:{}", major(facts.rdev()), minor(facts.rdev())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURE: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                          32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn own(memberships: &str, mounts: &str) -> Result<PathBuf> {
        own_path_in(memberships, mounts)
    }

    #[test]
    fn the_own_cgroup_is_found_on_every_layout() {
        assert_eq!(own("0::/a/b\n", PURE).unwrap(), Path::new("/sys/fs/cgroup/a/b"));
        assert_eq!(own("3:cpu:/x\n0::/\n", HYBRID).unwrap(), Path::new("/sys/fs/cgroup/unified/"));
        let bound = "50 1 0:26 /a /mnt/my\\040box rw shared:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(own("0::/a/b\n", bound).unwrap(), Path::new("/mnt/my box/b"));
        assert_eq!(own("0::/a\n", bound).unwrap(), Path::new("/mnt/my box/"));
    }

    #[test]
    fn a_cgroup_that_is_not_shown_is_not_guessed() {
        let bound = "50 1 0:26 /a /mnt/box rw - cgroup2 cgroup2 rw\n";
        assert!(own("0::/ab\n", bound).unwrap_err().to_string().contains("not below any cgroup v2 mount"));
        assert!(own("0::/../../x\n", PURE).unwrap_err().to_string().contains("not below any cgroup v2 mount"));
        assert_eq!(own("3:cpu:/x\n", HYBRID).unwrap_err().to_string(), "no cgroup v2 file system is mounted");
        assert_eq!(own("0::/\n", "").unwrap_err().to_string(), "no cgroup v2 file system is mounted");
    }

    #[test]
    fn controllers_of_version_1_are_known_by_their_names_here() {
        let text = "8:pids:/\n7:blkio:/\n4:cpu,cpuacct:/x\n9:name=systemd:/\n0::/\n";
        assert_eq!(controllers_on_v1(text), ["pids", "io", "cpu", "cpuacct", "name=systemd"]);
    }

    #[test]
    fn devices_are_numbers_or_block_devices() {
        assert!(is_device_number("8:0") && !is_device_number("8:") && !is_device_number("/dev/sda"));
        let error = device_number(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.to_string(), "--io /dev/null: not a block device");
    }
}
