//! The command line: which namespaces, and what is set up in them.

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use chain::values::{integer, open_descriptor};
use chain::{Requested, Result, refusal, show};
use rustix::process::Pid;

use crate::model::join::{Join, Pin, joined, pid};
use crate::model::map::{IdKind, IdMap, IdRange};
use crate::model::namespace::{Namespace, Set};
use crate::model::setup::{Offsets, Own, Propagation, Session};
use crate::table::Key;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The new namespaces.
    pub new: Set,
    /// Those that are wanted only where the kernel allows them.
    pub if_supported: Set,
    pub own: Option<Own>,
    /// Ranges of the user id map, besides that of the caller's own id.
    pub users: Vec<IdRange>,
    /// The same of the group id map.
    pub groups: Vec<IdRange>,
    /// All subordinate ids of the caller are to be mapped.
    pub subids: bool,
    /// The descriptor of what user 0 of the box is to own.
    pub map_owner: Option<RawFd>,
    pub disable_userns: bool,
    pub assert_userns_disabled: bool,
    pub list: bool,
    pub tree: bool,
    /// Whether setgroups(2) is to work in the box, where an option says it.
    pub setgroups: Option<bool>,
    pub hostname: Option<OsString>,
    pub domainname: Option<OsString>,
    pub offsets: Offsets,
    pub propagation: Option<Propagation>,
    pub as_pid1: bool,
    /// Namespaces to enter before any is made.
    pub joins: Vec<Join>,
    /// The process all of whose namespaces are to be entered.
    pub join_all: Option<Pid>,
    /// Files that are to keep new namespaces.
    pub pins: Vec<Pin>,
    pub ready_fd: Option<RawFd>,
    pub wait_fd: Option<RawFd>,
    pub block_fd: Option<RawFd>,
    pub info_fd: Option<RawFd>,
    pub status_fd: Option<RawFd>,
    /// What the process outside holds open.
    pub hold_fds: Vec<RawFd>,
    /// Files on which the process outside has a read lock.
    pub locks: Vec<PathBuf>,
    /// What it makes to be mounted on, and whether that is a folder.
    pub placeholders: Vec<(PathBuf, bool)>,
    /// Who writes the maps is the caller, and says so here.
    pub maps_fd: Option<RawFd>,
    pub session: Session,
    pub keep_caps: bool,
    /// The program ends with the caller, where no init sees to that.
    pub die_with_caller: bool,
    /// The box may outlive the caller.
    pub outlive_caller: bool,
    /// Signals act on the process outside alone.
    pub no_forward: bool,
}

impl Request {
    /// The namespaces that are joined one by one.
    pub fn joined(&self) -> Set {
        joined(&self.joins)
    }

    /// Those that the process outside uses up, or holds.
    fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let single = [self.ready_fd, self.wait_fd, self.block_fd, self.info_fd, self.status_fd, self.maps_fd];
        single.into_iter().flatten().chain(self.hold_fds.iter().copied())
    }

    /// Whether a process of this tool stays outside even without a pid namespace: a process that entered one can only
    /// fork into it, a session can be new only for who leads no process group, and pinning, reports, and waiting need a process
    /// outside.
    pub fn keeps_parent(&self) -> bool {
        let holds = !self.locks.is_empty() || !self.placeholders.is_empty();
        let asks = self.descriptors().next().is_some() || holds || !self.pins.is_empty();
        asks || self.session == Session::New || self.join_all.is_some() || self.joined().has(Namespace::Pid)
    }
}

/// What the options mean.
pub fn request(options: &[Requested<Key>]) -> Result<Request> {
    let mut request = Request::default();
    options.iter().try_for_each(|option| take(&mut request, option))?;
    fits(&request)?;
    for (kind, ranges) in [(IdKind::User, &request.users), (IdKind::Group, &request.groups)] {
        IdMap { kind, ranges: ranges.clone() }.check()?;
    }
    Ok(request)
}

fn take(request: &mut Request, option: &Requested<Key>) -> Result<()> {
    let word = option.value(0);
    match option.key {
        Key::New(kind) => request.new = request.new.with(kind),
        Key::IfSupported(kind) => request.if_supported = request.if_supported.with(kind),
        Key::All => request.new = Set::all(),
        Key::Own(_) if request.own.is_some() => return Err(clash("--map-root and --map-self exclude each other")),
        Key::Own(own) => request.own = Some(own),
        Key::MapUsers => request.users.push(IdRange::parse(IdKind::User, word)?),
        Key::MapGroups => request.groups.push(IdRange::parse(IdKind::Group, word)?),
        Key::DisableUserns => request.disable_userns = true,
        Key::AssertUsernsDisabled => request.assert_userns_disabled = true,
        Key::List => request.list = true,
        Key::Tree => request.tree = true,
        Key::MapSubids => request.subids = true,
        Key::MapOwner => request.map_owner = Some(open_descriptor("map-owner", word)?),
        Key::Setgroups => request.setgroups = Some(allowed(word)?),
        Key::Hostname => request.hostname = Some(name("hostname", word)?),
        Key::Domainname => request.domainname = Some(name("domainname", word)?),
        Key::Monotonic => request.offsets.monotonic = Some(seconds("monotonic", word)?),
        Key::Boottime => request.offsets.boottime = Some(seconds("boottime", word)?),
        Key::Propagation => {
            let mode = Propagation::named(word);
            let mode = mode.ok_or_else(|| refused("propagation", word, "private, slave, shared or unchanged"))?;
            request.propagation = Some(mode);
        }
        Key::AsPid1 => request.as_pid1 = true,
        Key::Join => {
            let join = Join::parse(word)?;
            if request.joined().iter().any(|kind| join.set.has(kind)) {
                return Err(clash(&format!("--join {} is given twice", join.set.words())));
            }
            request.joins.push(join);
        }
        Key::JoinAll => request.join_all = Some(pid("join-all", word)?),
        Key::Pin => {
            let pin = Pin::parse(word)?;
            if request.pins.iter().any(|other| other.file == pin.file) {
                return Err(clash(&format!("--pin {} is given twice", show(&pin.file))));
            }
            request.pins.push(pin);
        }
        Key::ReadyFd => request.ready_fd = Some(open_descriptor("ready-fd", word)?),
        Key::WaitFd => request.wait_fd = Some(open_descriptor("wait-fd", word)?),
        Key::BlockFd => request.block_fd = Some(open_descriptor("block-fd", word)?),
        Key::InfoFd => request.info_fd = Some(open_descriptor("info-fd", word)?),
        Key::StatusFd => request.status_fd = Some(open_descriptor("status-fd", word)?),
        Key::HoldFd => request.hold_fds.push(open_descriptor("hold-fd", word)?),
        Key::Lock => request.locks.push(word.into()),
        Key::Placeholder => request.placeholders.push((word.into(), word.as_bytes().ends_with(b"/"))),
        Key::MapsFd => request.maps_fd = Some(open_descriptor("maps-fd", word)?),
        Key::Session(session) if request.session != Session::Shared => {
            let (one, other) = (request.session.option(), session.option());
            return Err(clash(&format!("--{one} and --{other} exclude each other")));
        }
        Key::Session(session) => request.session = session,
        Key::KeepCaps => request.keep_caps = true,
        Key::DieWithParent => request.die_with_caller = true,
        Key::NoDieWithParent => request.outlive_caller = true,
        Key::NoForward => request.no_forward = true,
    }
    Ok(())
}

/// Each option that belongs to a namespace needs that namespace: what is not there cannot be set.
fn fits(request: &Request) -> Result<()> {
    let new = request.if_supported.iter().fold(request.new, Set::with);
    let joins_user = request.join_all.is_some() || request.joined().has(Namespace::User);
    let needs = [
        (request.own == Some(Own::Root), "map-root", Namespace::User),
        (request.own == Some(Own::Same), "map-self", Namespace::User),
        (!request.users.is_empty(), "map-users", Namespace::User),
        (!request.groups.is_empty(), "map-groups", Namespace::User),
        (request.subids, "map-subids", Namespace::User),
        (request.map_owner.is_some(), "map-owner", Namespace::User),
        (request.disable_userns, "disable-userns", Namespace::User),
        (request.setgroups.is_some(), "setgroups", Namespace::User),
        (request.maps_fd.is_some(), "maps-fd", Namespace::User),
        (request.keep_caps && !joins_user, "keep-caps", Namespace::User),
        (request.hostname.is_some(), "hostname", Namespace::Uts),
        (request.domainname.is_some(), "domainname", Namespace::Uts),
        (request.offsets.monotonic.is_some(), "monotonic", Namespace::Time),
        (request.offsets.boottime.is_some(), "boottime", Namespace::Time),
        (request.propagation.is_some(), "propagation", Namespace::Mount),
        (request.as_pid1, "as-pid1", Namespace::Pid),
        (request.no_forward, "no-forward", Namespace::Pid),
        (needs_pid(request), request.session.option(), Namespace::Pid),
    ];
    let lacking = needs.into_iter().find(|(given, _, kind)| *given && !new.has(*kind));
    if let Some((_, option, kind)) = lacking {
        return Err(clash(&format!("--{option} needs --{}", kind.word())));
    }
    if request.no_forward && matches!(request.session, Session::Foreground | Session::Pty) {
        let text = format!("--{} and --no-forward exclude each other", request.session.option());
        return Err(clash(&text));
    }
    if let Some(pin) = request.pins.iter().find(|pin| !request.new.has(pin.kind)) {
        return Err(clash(&format!("--pin {0} needs --{0}", pin.kind.word())));
    }
    let clashes = [
        (request.join_all.is_some() && !request.joins.is_empty(), "--join and --join-all exclude each other"),
        (
            new.has(Namespace::User) && request.joined().has(Namespace::User),
            "--join user and --user exclude each other",
        ),
        (
            request.disable_userns && request.keep_caps,
            "--disable-userns and --keep-caps exclude each other: CAP_SYS_RESOURCE could undo it",
        ),
        (
            request.die_with_caller && request.outlive_caller,
            "--die-with-parent and --no-die-with-parent exclude each other",
        ),
        (request.subids && !request.users.is_empty(), "--map-subids and --map-users exclude each other"),
        (request.users.is_empty() != request.groups.is_empty(), "--map-users and --map-groups need each other"),
    ];
    if let Some((_, text)) = clashes.into_iter().find(|(clashes, _)| *clashes) {
        return Err(clash(text));
    }
    alone(request, request.map_owner, "map-owner")?;
    alone(request, request.maps_fd, "maps-fd")?;
    used_once(request)?;
    joined_files(request)
}

/// Each is closed by the first who has used it. The standard ones stay open.
fn used_once(request: &Request) -> Result<()> {
    let mut fds: Vec<RawFd> = request.descriptors().filter(|fd| *fd > 2).collect();
    fds.sort_unstable();
    match fds.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => Err(clash(&format!("descriptor {} is given for two things", pair.first().unwrap_or(&0)))),
        None => Ok(()),
    }
}

/// --map-owner and --maps-fd say the whole map.
fn alone(request: &Request, given: Option<RawFd>, option: &str) -> Result<()> {
    let others = [
        (request.own == Some(Own::Root), "map-root"),
        (request.own == Some(Own::Same), "map-self"),
        (!request.users.is_empty(), "map-users"),
        (!request.groups.is_empty(), "map-groups"),
        (request.subids, "map-subids"),
        (request.map_owner.is_some() && request.map_owner != given, "map-owner"),
    ];
    match others.into_iter().find(|(is, _)| *is && given.is_some()) {
        Some((_, other)) => Err(clash(&format!("--{option} and --{other} exclude each other"))),
        None => Ok(()),
    }
}

fn needs_pid(request: &Request) -> bool {
    match request.session {
        Session::Shared => false,
        Session::Foreground => true,
        Session::New => false,
        Session::Pty => !request.keeps_parent(),
    }
}

/// Behind a mount namespace that is joined, files are somebody else's: nothing that would read or write them there.
fn joined_files(request: &Request) -> Result<()> {
    if request.join_all.is_none() && !request.joined().has(Namespace::Mount) {
        return Ok(());
    }
    let needs_files = [
        (request.new.has(Namespace::User), "--user"),
        (request.new.has(Namespace::Time), "--time"),
        (!request.pins.is_empty(), "--pin"),
        (request.info_fd.is_some(), "--info-fd"),
        (request.status_fd.is_some(), "--status-fd"),
    ];
    match needs_files.into_iter().find(|(given, _)| *given) {
        Some((_, option)) => Err(clash(&format!("{option} would use /proc of the mount namespace that is joined"))),
        None => Ok(()),
    }
}

fn clash(text: &str) -> anyhow::Error {
    refusal!("{text}")
}

fn refused(option: &str, word: &OsStr, wanted: &str) -> anyhow::Error {
    refusal!("--{option} {}: {wanted}", show(word))
}

fn allowed(word: &OsStr) -> Result<bool> {
    match word.to_str() {
        Some("allow") => Ok(true),
        Some("deny") => Ok(false),
        _ => Err(refused("setgroups", word, "allow or deny")),
    }
}

/// A host or domain name as sethostname(2) takes it: 1 to 64 bytes.
fn name(option: &str, word: &OsStr) -> Result<OsString> {
    if (1..=64).contains(&word.len()) { Ok(word.to_owned()) } else { Err(refused(option, word, "1 to 64 bytes")) }
}

/// Seconds with an optional sign.
fn seconds(option: &str, word: &OsStr) -> Result<i64> {
    let text = word.to_str().unwrap_or_default();
    let (factor, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => (-1, digits),
        Some(("+", digits)) => (1, digits),
        _ => (1, text),
    };
    integer(digits.as_ref())
        .map(|n: i64| factor * n)
        .ok_or_else(|| refused(option, word, "whole seconds, with a sign if need be"))
}
