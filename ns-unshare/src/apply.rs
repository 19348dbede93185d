//! The only effects on the new namespaces, one step each, read back where the kernel could have done less.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use chain::sys::{self, Child};
use chain::{Call as _, Failure, Result, privilege, wait};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, getegid, geteuid, getgroups, setgroups, setresgid, setresuid, write};
use rustix::system::{setdomainname, sethostname, uname};
use rustix::thread::{self as rt, CapabilitySet, CapabilitySets};

use crate::hint;
use crate::map;
use crate::namespace::{Namespace, Set};
use crate::plan::Ids;
use crate::step::{Step, offsets_text};
use crate::subids;

/// Whose files in /proc a step writes.
#[derive(Debug)]
pub enum Proc {
    /// This process'.
    Own,
    /// Those of the process whose folder this is.
    Of(OwnedFd),
}

impl Proc {
    /// A process' folder in /proc, open: no number that means somebody else in another /proc.
    ///
    /// # Errors
    /// What openat(2) says.
    pub fn open(name: &str) -> Result<Self> {
        let path = Path::new("/proc").join(name);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(AT_FDCWD, &path, flags, Mode::empty()).call(&format!("open {}", path.display())).map(Self::Of)
    }

    /// The folder of a child.
    ///
    /// # Errors
    /// A /proc that is not there, or that does not show the child.
    pub fn of_child(child: &Child) -> Result<Self> {
        wait::proc_folder(child).map(Self::Of)
    }

    fn file(&self, name: &str, flags: OFlag) -> Result<OwnedFd> {
        let flags = flags | OFlag::O_CLOEXEC;
        let opened = match self {
            Self::Own => openat(AT_FDCWD, &Path::new("/proc/self").join(name), flags, Mode::empty()),
            Self::Of(folder) => openat(folder, name, flags, Mode::empty()),
        };
        opened.call(&format!("open {name}"))
    }

    /// One of its files, open for reading.
    ///
    /// # Errors
    /// What openat(2) says.
    pub fn read(&self, name: &str) -> Result<OwnedFd> {
        self.file(name, OFlag::O_RDONLY)
    }

    /// The process's number as /proc has it.
    fn number(&self) -> Result<String> {
        let mut status = String::new();
        File::from(self.read("status")?).read_to_string(&mut status).call("read status")?;
        let number = status.lines().find_map(|line| line.strip_prefix("Pid:")).map(|number| number.trim().to_owned());
        number.ok_or_else(|| Failure::refusal("status has no process number").into())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.file(name, OFlag::O_WRONLY)?;
        let written = write(&file, text.as_bytes()).call(&format!("write {name}"))?;
        if written == text.len() {
            return Ok(());
        }
        Err(Failure::refusal(format!("write {name}: the kernel took {written} of {} bytes", text.len())).into())
    }
}

/// Does one step of the inside, of the maps, or of the last ones.
///
/// # Errors
/// What the step's system call says, with the cause where it is knowable.
pub fn step(step: &Step, proc: &Proc) -> Result<()> {
    let done = match step {
        Step::Unshare(set) => return enter(*set).map_err(|error| hint::creation(error, *set)),
        Step::NewTime => enter(Set::default().with(Namespace::Time)),
        Step::EnterTime => enter_time(),
        Step::DenySetgroups => proc.write("setgroups", "deny"),
        Step::MapUsers(lines) => proc.write("uid_map", &map::file_text(lines)),
        Step::MapGroups(lines) => proc.write("gid_map", &map::file_text(lines)),
        Step::HaveUsersMapped(lines) => subids::have_mapped("newuidmap", &proc.number()?, lines),
        Step::HaveGroupsMapped(lines) => subids::have_mapped("newgidmap", &proc.number()?, lines),
        Step::SetClocks(offsets) => proc.write("timens_offsets", &offsets_text(*offsets)),
        Step::Propagate(mode) => mode.flag().map_or(Ok(()), propagate),
        Step::Hostname(name) => host_name(name),
        Step::Domainname(name) => domain_name(name),
        Step::LoopbackUp => loopback_up(),
        Step::DisableUserns => disable_userns(),
        Step::Become { uid, gid } => become_ids(*uid, *gid),
        Step::BecomeMapped if is_mapped() => Ok(()),
        Step::BecomeMapped => become_ids(0, 0),
        Step::Pin(pin) => pin.put(proc),
        Step::KeepCapabilities => keep_capabilities(CapabilitySet::all()),
        Step::HandOnCapabilities => keep_capabilities(needed_by_links()),
        Step::DropCapabilities => drop_capabilities(),
        // These make or watch processes: in_place, outside and init do them.
        Step::WatchCaller | Step::Clone(_) | Step::Init { .. } => Ok(()),
        Step::Join(_) | Step::SayReady(_) | Step::AwaitStart(_) => Ok(()),
        // These need the terminal: the main process does them.
        Step::Foreground | Step::NewSession | Step::Pty => Ok(()),
    };
    done.map_err(|error| hint::inside(error, step))
}

fn enter(set: Set) -> Result<()> {
    unshare(CloneFlags::from_bits_retain(set.flags())).call("unshare")
}

fn enter_time() -> Result<()> {
    let path = "/proc/self/ns/time_for_children";
    let namespace = std::fs::File::open(path).call(&format!("open {path}"))?;
    setns(namespace, CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)).call("setns")
}

fn propagate(flag: MsFlags) -> Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | flag, None::<&str>).call("mount")
}

/// The file belongs to the user namespace of who opens it (namespaces(7), Linux 4.9).
fn disable_userns() -> Result<()> {
    let path = "/proc/sys/user/max_user_namespaces";
    fs::write(path, "0").call(&format!("write {path}"))?;
    let now = fs::read_to_string(path).call(&format!("read {path}"))?;
    if now.trim() == "0" { Ok(()) } else { Err(Failure::refusal(format!("{path} says {} still", now.trim())).into()) }
}

fn host_name(name: &OsStr) -> Result<()> {
    sethostname(name.as_bytes()).call("sethostname")?;
    same(name, uname().nodename().to_bytes())
}

fn domain_name(name: &OsStr) -> Result<()> {
    setdomainname(name.as_bytes()).call("setdomainname")?;
    same(name, uname().domainname().to_bytes())
}

fn same(wanted: &OsStr, now: &[u8]) -> Result<()> {
    if wanted.as_bytes() == now {
        return Ok(());
    }
    Err(Failure::refusal(format!("uname says {} instead", chain::show(OsString::from(OsStr::from_bytes(now))))).into())
}

/// Any socket can ask for any interface (netdevice(7)), so this needs no IPv4. The kernel gives lo its addresses when
/// it comes up.
fn loopback_up() -> Result<()> {
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).call("socket")?;
    let up = libc::IFF_UP as libc::c_short;
    sys::set_interface_flags(socket.as_fd(), c"lo", up).call("ioctl(SIOCSIFFLAGS)")?;
    let flags = sys::interface_flags(socket.as_fd(), c"lo").call("ioctl(SIOCGIFFLAGS)")?;
    if flags & up == 0 { Err(Failure::refusal("lo is still down").into()) } else { Ok(()) }
}

/// What unmapped ids look like (user_namespaces(7)); the setting that could change it would be read in a tree that may
/// be somebody else's.
const OVERFLOW: u32 = 65534;

fn is_mapped() -> bool {
    geteuid().as_raw() != OVERFLOW && getegid().as_raw() != OVERFLOW
}

/// Ids that are mapped, in place of host ids that are not. Groups first: afterwards the right to set them is gone.
fn become_ids(uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    match setgroups(&[]) {
        // setgroups is denied in this box: where there are no groups to leave, nothing is lost.
        Err(Errno::EPERM) if getgroups().call("getgroups")?.is_empty() => {}
        Err(Errno::EPERM) => return Err(Failure::call("setgroups", Errno::EPERM).hint(SETGROUPS).into()),
        done => done.call("setgroups")?,
    }
    setresgid(gid, gid, gid).call("setresgid")?;
    setresuid(uid, uid, uid).call("setresuid")
}

const SETGROUPS: &str = "setgroups is denied there: the caller's own id must be mapped, or it must have no groups to leave \
                         (setpriv --clear-groups)";

/// Reads back what the maps made of this process.
///
/// # Errors
/// Ids other than planned.
pub fn verify(ids: Option<Ids>) -> Result<()> {
    let now = Ids { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    match ids {
        Some(planned) if planned != now => {
            let text = format!("the maps made this user {}:{}, not {}:{}", now.uid, now.gid, planned.uid, planned.gid);
            Err(Failure::refusal(text).into())
        }
        _ => Ok(()),
    }
}

/// User 0 has its capabilities again after every execve(2), and needs only the one by which the links see that they have
/// them still ([`privilege::take_back`]).
fn needed_by_links() -> CapabilitySet {
    if geteuid().is_root() { CapabilitySet::SYS_ADMIN } else { CapabilitySet::all() }
}

/// Permitted becomes inheritable and, of `ambient`, ambient: the only form that survives execve(2) under every user id.
fn keep_capabilities(ambient: CapabilitySet) -> Result<()> {
    let sets = rt::capabilities(None).call("capget")?;
    let inheritable = sets.permitted;
    rt::set_capabilities(None, CapabilitySets { inheritable, ..sets }).call("capset")?;
    privilege::each(sets.permitted & ambient).try_for_each(|one| {
        rt::configure_capability_in_ambient_set(one, true).call("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)")
    })?;
    privilege::hand_on();
    Ok(())
}

/// The first process of a user namespace has every capability that the kernel knows permitted.
fn drop_capabilities() -> Result<()> {
    privilege::drop_all(rt::capabilities(None).call("capget")?.permitted)
}
