//! The command line: which namespaces, and what is set up in them.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;

use chain::Requested;
use chain::{Call as _, Failure, Result, show};
use nix::mount::MsFlags;

use crate::join::{self, Join, Pin};
use crate::map::{self, Line};
use crate::namespace::{Namespace, Set};
use crate::table::Key;

/// What the caller's own ids become in the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// 0.
    Root,
    /// What they are outside.
    Same,
}

/// What the box is to the caller's shell (credentials(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Session {
    /// In the process group of the links.
    #[default]
    Shared,
    /// A process group of its own, with the terminal if the caller has it.
    Foreground,
    /// A session of its own, without a terminal.
    New,
    /// A session of its own, on a pseudo-terminal that is bridged to the caller's.
    Pty,
}

impl Session {
    /// The option that says so.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Shared => "",
            Self::Foreground => "foreground",
            Self::New => "new-session",
            Self::Pty => "pty",
        }
    }
}

/// Whether mounts made on one side appear on the other (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// On neither.
    Private,
    /// Those of the caller appear in the box.
    Slave,
    /// Both ways, where the kernel allows it.
    Shared,
    /// As the kernel leaves it.
    Unchanged,
}

impl Propagation {
    /// The word of the option.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Slave => "slave",
            Self::Shared => "shared",
            Self::Unchanged => "unchanged",
        }
    }

    /// The flag of mount(2); `None` where nothing is to be changed.
    #[must_use]
    pub fn flag(self) -> Option<MsFlags> {
        match self {
            Self::Private => Some(MsFlags::MS_PRIVATE),
            Self::Slave => Some(MsFlags::MS_SLAVE),
            Self::Shared => Some(MsFlags::MS_SHARED),
            Self::Unchanged => None,
        }
    }

    fn parse(word: &OsStr) -> Result<Self> {
        [Self::Private, Self::Slave, Self::Shared, Self::Unchanged]
            .into_iter()
            .find(|known| word == OsStr::new(known.word()))
            .ok_or_else(|| refused("propagation", word, "private, slave, shared or unchanged"))
    }
}

/// Seconds that are added to the clocks of the box (time_namespaces(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// To CLOCK_MONOTONIC.
    pub monotonic: Option<i64>,
    /// To CLOCK_BOOTTIME, and so to /proc/uptime.
    pub boottime: Option<i64>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The new namespaces.
    pub new: Set,
    /// What the caller's own ids become, where it was said.
    pub own: Option<Own>,
    /// Lines of the user id map, besides that of the caller's own.
    pub users: Vec<Line>,
    /// Lines of the group id map, likewise.
    pub groups: Vec<Line>,
    /// All subordinate ids of the caller are to be mapped.
    pub subids: bool,
    /// No user namespace is to be made within the box's.
    pub disable_userns: bool,
    /// Only to print the namespaces that there are.
    pub list: bool,
    /// Only to print how they hang together.
    pub tree: bool,
    /// Whether setgroups(2) is to work in the box, where it was said.
    pub setgroups: Option<bool>,
    /// The box's host name.
    pub hostname: Option<OsString>,
    /// The box's NIS domain name.
    pub domainname: Option<OsString>,
    /// Clock offsets.
    pub offsets: Offsets,
    /// Mount propagation, where it was said.
    pub propagation: Option<Propagation>,
    /// The next program is to be pid 1 itself.
    pub as_pid1: bool,
    /// Namespaces to enter before any is made.
    pub joins: Vec<Join>,
    /// The process all of whose namespaces are to be entered.
    pub join_all: Option<u32>,
    /// Files that are to keep new namespaces.
    pub pins: Vec<Pin>,
    /// Where to say that the box is set up.
    pub ready_fd: Option<RawFd>,
    /// Where to wait before the next program starts.
    pub wait_fd: Option<RawFd>,
    /// Its process group, session and terminal.
    pub session: Session,
    /// The next program is to keep the capabilities, whatever it is.
    pub keep_caps: bool,
    /// The box may outlive the caller.
    pub outlive_caller: bool,
    /// Signals act on the process outside alone.
    pub no_forward: bool,
}

impl Request {
    /// The namespaces that are joined one by one.
    #[must_use]
    pub fn joined(&self) -> Set {
        self.joins.iter().fold(Set::default(), |set, join| set.and(join.set))
    }

    /// Whether a process of this tool stays outside even without a pid namespace: who entered one can only fork into it,
    /// and somebody outside has to pin, to say that the box is ready, or to wait.
    #[must_use]
    pub fn keeps_parent(&self) -> bool {
        let asks = self.ready_fd.is_some() || self.wait_fd.is_some() || !self.pins.is_empty();
        asks || self.join_all.is_some() || self.joined().has(Namespace::Pid)
    }
}

/// What the options mean.
///
/// # Errors
/// A value that an option cannot have, or options that do not fit together.
pub fn request(given: &[Requested<Key>]) -> Result<Request> {
    let mut request = Request::default();
    given.iter().try_for_each(|said| take(&mut request, said))?;
    fits(&request)?;
    map::check("map-users", &request.users)?;
    map::check("map-groups", &request.groups)?;
    Ok(request)
}

fn take(request: &mut Request, said: &Requested<Key>) -> Result<()> {
    let word = said.value(0);
    match said.key {
        Key::New(kind) => request.new = request.new.with(kind),
        Key::All => request.new = Namespace::ALL.into_iter().fold(request.new, Set::with),
        Key::Own(_) if request.own.is_some() => return Err(clash("--map-root and --map-self exclude each other")),
        Key::Own(own) => request.own = Some(own),
        Key::MapUsers => request.users.push(Line::parse("map-users", word)?),
        Key::MapGroups => request.groups.push(Line::parse("map-groups", word)?),
        Key::DisableUserns => request.disable_userns = true,
        Key::List => request.list = true,
        Key::Tree => request.tree = true,
        Key::MapSubids => request.subids = true,
        Key::Setgroups => request.setgroups = Some(allowed(word)?),
        Key::Hostname => request.hostname = Some(name("hostname", word)?),
        Key::Domainname => request.domainname = Some(name("domainname", word)?),
        Key::Monotonic => request.offsets.monotonic = Some(seconds("monotonic", word)?),
        Key::Boottime => request.offsets.boottime = Some(seconds("boottime", word)?),
        Key::Propagation => request.propagation = Some(Propagation::parse(word)?),
        Key::AsPid1 => request.as_pid1 = true,
        Key::Join => {
            let join = Join::parse(word)?;
            if request.joined().iter().any(|kind| join.set.has(kind)) {
                return Err(clash(&format!("--join {} is given twice", join.set.words())));
            }
            request.joins.push(join);
        }
        Key::JoinAll => request.join_all = Some(join::process("join-all", word)?),
        Key::Pin => request.pins.push(Pin::parse(word)?),
        Key::ReadyFd => request.ready_fd = Some(descriptor("ready-fd", word)?),
        Key::WaitFd => request.wait_fd = Some(descriptor("wait-fd", word)?),
        Key::Session(session) if request.session != Session::Shared => {
            let (one, other) = (request.session.option(), session.option());
            return Err(clash(&format!("--{one} and --{other} exclude each other")));
        }
        Key::Session(session) => request.session = session,
        Key::KeepCaps => request.keep_caps = true,
        Key::NoDieWithParent => request.outlive_caller = true,
        Key::NoForward => request.no_forward = true,
    }
    Ok(())
}

/// Each option that belongs to a namespace needs that namespace: what is not there cannot be set.
fn fits(request: &Request) -> Result<()> {
    let joins_user = request.join_all.is_some() || request.joined().has(Namespace::User);
    let needs = [
        (request.own == Some(Own::Root), "map-root", Namespace::User),
        (request.own == Some(Own::Same), "map-self", Namespace::User),
        (!request.users.is_empty(), "map-users", Namespace::User),
        (!request.groups.is_empty(), "map-groups", Namespace::User),
        (request.subids, "map-subids", Namespace::User),
        (request.disable_userns, "disable-userns", Namespace::User),
        (request.setgroups.is_some(), "setgroups", Namespace::User),
        (request.keep_caps && !joins_user, "keep-caps", Namespace::User),
        (request.hostname.is_some(), "hostname", Namespace::Uts),
        (request.domainname.is_some(), "domainname", Namespace::Uts),
        (request.offsets.monotonic.is_some(), "monotonic", Namespace::Time),
        (request.offsets.boottime.is_some(), "boottime", Namespace::Time),
        (request.propagation.is_some(), "propagation", Namespace::Mount),
        (request.as_pid1, "as-pid1", Namespace::Pid),
        (request.outlive_caller, "no-die-with-parent", Namespace::Pid),
        (request.no_forward, "no-forward", Namespace::Pid),
        (needs_pid(request), request.session.option(), Namespace::Pid),
    ];
    let lacking = needs.into_iter().find(|(said, _, kind)| *said && !request.new.has(*kind));
    if let Some((_, option, kind)) = lacking {
        return Err(clash(&format!("--{option} needs --{}", kind.word())));
    }
    if request.no_forward && request.session != Session::Shared {
        let text = format!("--{} and --no-forward exclude each other", request.session.option());
        return Err(clash(&text));
    }
    if let Some(pin) = request.pins.iter().find(|pin| !request.new.has(pin.kind)) {
        return Err(clash(&format!("--pin {0} needs --{0}", pin.kind.word())));
    }
    joins_fit(request)?;
    if request.disable_userns && request.keep_caps {
        return Err(clash("--disable-userns and --keep-caps exclude each other: CAP_SYS_RESOURCE could undo it"));
    }
    if request.subids && !request.users.is_empty() {
        return Err(clash("--map-subids and --map-users exclude each other"));
    }
    if request.users.is_empty() != request.groups.is_empty() {
        return Err(clash("--map-users and --map-groups need each other"));
    }
    Ok(())
}

fn needs_pid(request: &Request) -> bool {
    match request.session {
        Session::Shared => false,
        Session::Foreground => true,
        Session::New | Session::Pty => !request.keeps_parent(),
    }
}

/// Behind a mount namespace that is joined, files are somebody else's: nothing that would read or write them there.
fn joins_fit(request: &Request) -> Result<()> {
    if request.join_all.is_some() && !request.joins.is_empty() {
        return Err(clash("--join and --join-all exclude each other"));
    }
    if request.new.has(Namespace::User) && request.joined().has(Namespace::User) {
        return Err(clash("--join user and --user exclude each other"));
    }
    if request.join_all.is_none() && !request.joined().has(Namespace::Mount) {
        return Ok(());
    }
    let needs_files = [
        (request.new.has(Namespace::User), "--user"),
        (request.new.has(Namespace::Time), "--time"),
        (!request.pins.is_empty(), "--pin"),
    ];
    match needs_files.into_iter().find(|(said, _)| *said) {
        Some((_, option)) => Err(clash(&format!("{option} would use /proc of the mount namespace that is joined"))),
        None => Ok(()),
    }
}

fn descriptor(option: &str, word: &OsStr) -> Result<RawFd> {
    let fd = chain::values::number(word).and_then(|n| RawFd::try_from(n).ok());
    let fd = fd.ok_or_else(|| refused(option, word, "not a descriptor number"))?;
    chain::sys::borrowed(fd).call(&format!("--{option} {fd}: fcntl")).map(|_| fd)
}

fn clash(text: &str) -> anyhow::Error {
    Failure::refusal(text).into()
}

fn refused(option: &str, word: &OsStr, wanted: &str) -> anyhow::Error {
    Failure::refusal(format!("--{option} {}: {wanted}", show(word))).into()
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
    chain::values::number(OsStr::new(digits))
        .and_then(|n| i64::try_from(n).ok())
        .map(|n| factor * n)
        .ok_or_else(|| refused(option, word, "whole seconds, with a sign if need be"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TABLE;

    fn said(words: &str) -> Result<Request> {
        let argv = words.split_whitespace().map(OsString::from).collect();
        request(&chain::parse(&TABLE, argv)?.cli().unwrap().requested)
    }

    #[test]
    fn every_namespace_has_its_letter_and_its_word() {
        assert_eq!(said("-U -m -p -n -i -u -C -T").unwrap(), said("--all").unwrap());
        for kind in Namespace::ALL {
            assert_eq!(said(&format!("--{}", kind.word())).unwrap().new, Set::default().with(kind));
        }
    }

    #[test]
    fn what_belongs_to_a_namespace_needs_it() {
        for (line, words) in [
            ("--hostname a", "--hostname needs --uts"),
            ("--user -u -r -c", "--map-root and --map-self exclude each other"),
            ("-r", "--map-root needs --user"),
            ("--user --monotonic 1", "--monotonic needs --time"),
            ("--user --as-pid1", "--as-pid1 needs --pid"),
            ("--user --propagation slave", "--propagation needs --mount"),
            ("--keep-caps -p", "--keep-caps needs --user"),
            ("--user --map-users 0:0:1", "--map-users and --map-groups need each other"),
        ] {
            assert_eq!(said(line).unwrap_err().to_string(), words, "{line}");
        }
    }

    #[test]
    fn values_are_read_or_refused() {
        let offsets = said("-T --monotonic -5 --boottime=+7").unwrap().offsets;
        assert_eq!((offsets.monotonic, offsets.boottime), (Some(-5), Some(7)));
        for bad in ["1.5", "--5", "", "-", "0x1", "9223372036854775808"] {
            assert!(seconds("monotonic", OsStr::new(bad)).is_err(), "{bad:?}");
        }
        assert!(name("hostname", OsStr::new("")).is_err());
        assert!(name("hostname", OsStr::new(&"a".repeat(65))).is_err());
        assert!(said("-m --propagation public").is_err() && said("-U --setgroups maybe").is_err());
    }
}
