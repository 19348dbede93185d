//! The command line: which namespaces, and what is set up in them.

use std::ffi::{OsStr, OsString};

use chain::flags::Given;
use chain::{Failure, Flag, Result, Table, show};
use nix::mount::MsFlags;

use crate::look;
use crate::map::{self, Line};
use crate::namespace::{Namespace, Set};

/// What an option is, by its row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A new namespace of this kind.
    New(Namespace),
    /// All eight.
    All,
    /// Map the caller's ids to 0, or to themselves.
    Own(Own),
    /// A line of the user id map.
    MapUsers,
    /// A line of the group id map.
    MapGroups,
    /// Whether setgroups(2) works in the box.
    Setgroups,
    /// The box's host name.
    Hostname,
    /// The box's NIS domain name.
    Domainname,
    /// Offset of the monotonic clock.
    Monotonic,
    /// Offset of the boot-time clock.
    Boottime,
    /// Which mount events pass between the trees.
    Propagation,
    /// The next program is pid 1.
    AsPid1,
    /// The next program keeps the capabilities.
    KeepCaps,
    /// The box outlives the caller.
    NoDieWithParent,
    /// Signals are not passed on.
    NoForward,
}

/// What the caller's own ids become in the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// 0.
    Root,
    /// What they are outside.
    Same,
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
    /// The next program is to keep the capabilities, whatever it is.
    pub keep_caps: bool,
    /// The box may outlive the caller.
    pub outlive_caller: bool,
    /// Signals act on the process outside alone.
    pub no_forward: bool,
}

const fn namespace(kind: Namespace, long: &'static str, letter: char, help: &'static str) -> Flag<Key> {
    Flag::new(Key::New(kind), long, help).short(letter)
}

/// Every option, and the prose of the man page.
pub const TABLE: Table<Key> = Table {
    tool: "ns-unshare",
    summary: "enter new namespaces, then execute a program",
    layer: "Makes new namespaces (namespaces(7)) of the kinds named, sets up what belongs to each, and executes PROG in \
            them. What is not named is shared with the caller. With --user no privilege is needed: the others then \
            belong to the new user namespace.\n\n\
            The caller's file tree, devices and /proc stay in sight: a new mount namespace starts as a copy. What PROG \
            sees of files is mount-plan's work.",
    flags: &[
        namespace(Namespace::User, "user", 'U', "new user namespace: ids, capabilities, keyrings").detail(
            "Its capabilities reach over what belongs to the box only. PROG gets them if it is a tool of this family \
             (seccomp-exec at the end of a chain drops them), or with --keep-caps.",
        ),
        namespace(Namespace::Mount, "mount", 'm', "new mount namespace: the file tree")
            .detail("Starts as a copy of the caller's, with --propagation private."),
        namespace(Namespace::Pid, "pid", 'p', "new pid namespace, with an init; it ends with PROG").detail(
            "PROG becomes a child of a small init, which is pid 1. When PROG ends, or the caller, or ns-unshare, the \
             kernel kills every process of the box. /proc shows the caller's processes until a new one is mounted.",
        ),
        namespace(Namespace::Net, "net", 'n', "new network namespace: only lo, which is up")
            .detail("Abstract Unix sockets are separate too. Without it the box shares the caller's 127.0.0.1."),
        namespace(Namespace::Ipc, "ipc", 'i', "new IPC namespace: System V IPC, POSIX message queues"),
        namespace(Namespace::Uts, "uts", 'u', "new UTS namespace: host and domain name"),
        namespace(Namespace::Cgroup, "cgroup", 'C', "new cgroup namespace: the cgroup it is in becomes the root")
            .detail("It hides the path, not the tree: a cgroup file system that is mounted already shows all of it."),
        namespace(Namespace::Time, "time", 'T', "new time namespace: monotonic and boot-time clocks")
            .detail("The wall clock is not part of it."),
        Flag::new(Key::All, "all", "all eight: as --user --mount --pid --net --ipc --uts --cgroup --time")
            .detail("A namespace that this kernel does not have is an error."),
        Flag::new(Key::Own(Own::Root), "map-root", "the caller's ids become 0 in the box (default with --user)").short('r'),
        Flag::new(Key::Own(Own::Same), "map-self", "the caller's ids stay what they are").short('c'),
        Flag::new(Key::MapUsers, "map-users", "map N user ids from OUT outside to IN in the box")
            .takes(&["IN:OUT:N"])
            .repeats()
            .detail(
                "Up to 340 lines (Linux 4.15), together with --map-groups. Any line but one for the caller's own id \
                 needs CAP_SETUID and CAP_SETGID in the caller's user namespace. The caller's own id is added by \
                 --map-root or --map-self only; if it is not mapped, PROG runs as id 0 of the box (the first IN where \
                 there is no 0), with no supplementary group.",
            ),
        Flag::new(Key::MapGroups, "map-groups", "map N group ids from OUT outside to IN in the box")
            .takes(&["IN:OUT:N"])
            .repeats(),
        Flag::new(Key::Setgroups, "setgroups", "allow or deny setgroups(2) in the box").takes(&["allow|deny"]).detail(
            "Default: deny for a map that needs no privilege, because the kernel demands it (groups that take access \
             away could be dropped, CVE-2014-8989), otherwise allow.",
        ),
        Flag::new(Key::Hostname, "hostname", "host name of the box; needs --uts").takes(&["NAME"]),
        Flag::new(Key::Domainname, "domainname", "NIS domain name of the box; needs --uts").takes(&["NAME"]),
        Flag::new(Key::Monotonic, "monotonic", "add SECONDS to CLOCK_MONOTONIC; needs --time").takes(&["SECONDS"]),
        Flag::new(Key::Boottime, "boottime", "add SECONDS to CLOCK_BOOTTIME and the uptime; needs --time")
            .takes(&["SECONDS"]),
        Flag::new(Key::Propagation, "propagation", "private, slave, shared or unchanged; needs --mount")
            .takes(&["MODE"])
            .detail("Recursive, for the whole tree. Default: private, so that no mount of the box is seen outside."),
        Flag::new(Key::AsPid1, "as-pid1", "PROG is pid 1 itself; needs --pid").detail(
            "PROG must reap orphans, and signals whose default action would end it are ignored. The init stays above it, \
             as pid 1 of a pid namespace around that of PROG: PROG neither sees nor reaches it, and cannot outlive it.",
        ),
        Flag::new(Key::KeepCaps, "keep-caps", "PROG keeps the capabilities of the new user namespace"),
        Flag::new(Key::NoDieWithParent, "no-die-with-parent", "the box may outlive the caller; needs --pid")
            .detail("It still ends with ns-unshare."),
        Flag::new(Key::NoForward, "no-forward", "signals act on ns-unshare, not on PROG; needs --pid")
            .detail("So TERM ends ns-unshare, and with it the box."),
    ],
    sections: SECTIONS,
    features: look::features,
};

const SECTIONS: &[(&str, &str)] = &[
    (
        "PROCESS MODEL",
        "Without --pid: one process, which enters the namespaces and becomes PROG. Nothing stays.\n\n\
         With --pid two processes stay. ns-unshare itself, outside, passes on HUP, INT, QUIT, TERM, USR1, USR2, ALRM, \
         WINCH and PIPE, and ends exactly as PROG ended. The init, pid 1 of the box, reaps orphans. Signals that a \
         terminal sends reach the whole foreground group by themselves and are not passed on again; stop signals \
         keep their default action, so job control works. Signal ns-unshare, not the init: what the init gets from \
         outside is ignored, what it gets from inside the box goes to PROG.",
    ),
    (
        "CAPABILITIES",
        "The first process of a user namespace has all capabilities in it. If the next word names a tool of this \
         family, or with --keep-caps, they are made inheritable and ambient, so that they survive execve(2) whatever \
         the user id is. Otherwise PROG has none in any set: the bounding set is emptied too, because a program that \
         runs as uid 0 of the box would get them back from it. The securebits stay as they are, and a user namespace \
         that PROG makes for itself is as powerful as ever (with --map-root PROG cannot map its own 0 there: the \
         kernel wants CAP_SETFCAP for that since 5.12; with --map-self it can). Without --user nothing is changed.",
    ),
    (
        "EQUIVALENT",
        "    unshare --user --map-root-user --mount --pid --fork --kill-child --net --ipc --uts PROG\n\n\
         and ip link set lo up, hostname box, and setpriv --bounding-set -all in it.",
    ),
    (
        "EXAMPLES",
        "    ns-unshare --user --mount --pid --net --ipc --uts --hostname box -- id -u\n    \
         ns-unshare --user --pid -- readlink /proc/self\n    \
         ns-unshare --user --uts --hostname box -- hostname\n    \
         ns-unshare --user --time --pid --boottime 1000000 -- uptime",
    ),
    (
        "SECURITY",
        "A namespace hides; it limits nothing. The box uses as much memory, processes and time as the caller may \
         (cg-run), reads every file that the caller may read (mount-plan), and reaches the whole system call \
         interface, more of it than before in a new user namespace (seccomp-exec). Without --net it reaches the \
         caller's network and abstract sockets, without --pid it can signal the caller's processes.\n\n\
         ns-unshare and its init are not dumpable while PROG runs, and no descriptor but 0, 1, 2 and --keep-fd \
         reaches PROG.",
    ),
    ("SEE ALSO", "namespaces(7), user_namespaces(7), unshare(1), mount-plan(1), seccomp-exec(1)"),
];

/// What the options mean.
///
/// # Errors
/// A value that an option cannot have, or options that do not fit together.
pub fn request(given: &[Given<Key>]) -> Result<Request> {
    let mut request = Request::default();
    given.iter().try_for_each(|said| take(&mut request, said))?;
    fits(&request)?;
    map::check("map-users", &request.users)?;
    map::check("map-groups", &request.groups)?;
    Ok(request)
}

fn take(request: &mut Request, said: &Given<Key>) -> Result<()> {
    let word = said.value(0);
    match said.key {
        Key::New(kind) => request.new = request.new.with(kind),
        Key::All => request.new = Namespace::ALL.into_iter().fold(request.new, Set::with),
        Key::Own(_) if request.own.is_some() => return Err(clash("--map-root and --map-self exclude each other")),
        Key::Own(own) => request.own = Some(own),
        Key::MapUsers => request.users.push(Line::parse("map-users", word)?),
        Key::MapGroups => request.groups.push(Line::parse("map-groups", word)?),
        Key::Setgroups => request.setgroups = Some(allowed(word)?),
        Key::Hostname => request.hostname = Some(name("hostname", word)?),
        Key::Domainname => request.domainname = Some(name("domainname", word)?),
        Key::Monotonic => request.offsets.monotonic = Some(seconds("monotonic", word)?),
        Key::Boottime => request.offsets.boottime = Some(seconds("boottime", word)?),
        Key::Propagation => request.propagation = Some(Propagation::parse(word)?),
        Key::AsPid1 => request.as_pid1 = true,
        Key::KeepCaps => request.keep_caps = true,
        Key::NoDieWithParent => request.outlive_caller = true,
        Key::NoForward => request.no_forward = true,
    }
    Ok(())
}

/// Each option that belongs to a namespace needs that namespace: what is not there cannot be set.
fn fits(request: &Request) -> Result<()> {
    let needs = [
        (request.own == Some(Own::Root), "map-root", Namespace::User),
        (request.own == Some(Own::Same), "map-self", Namespace::User),
        (!request.users.is_empty(), "map-users", Namespace::User),
        (!request.groups.is_empty(), "map-groups", Namespace::User),
        (request.setgroups.is_some(), "setgroups", Namespace::User),
        (request.keep_caps, "keep-caps", Namespace::User),
        (request.hostname.is_some(), "hostname", Namespace::Uts),
        (request.domainname.is_some(), "domainname", Namespace::Uts),
        (request.offsets.monotonic.is_some(), "monotonic", Namespace::Time),
        (request.offsets.boottime.is_some(), "boottime", Namespace::Time),
        (request.propagation.is_some(), "propagation", Namespace::Mount),
        (request.as_pid1, "as-pid1", Namespace::Pid),
        (request.outlive_caller, "no-die-with-parent", Namespace::Pid),
        (request.no_forward, "no-forward", Namespace::Pid),
    ];
    let lacking = needs.into_iter().find(|(said, _, kind)| *said && !request.new.has(*kind));
    if let Some((_, option, kind)) = lacking {
        return Err(clash(&format!("--{option} needs --{}", kind.word())));
    }
    if request.users.is_empty() != request.groups.is_empty() {
        return Err(clash("--map-users and --map-groups need each other"));
    }
    Ok(())
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
    chain::flags::number(OsStr::new(digits))
        .and_then(|n| i64::try_from(n).ok())
        .map(|n| factor * n)
        .ok_or_else(|| refused(option, word, "whole seconds, with a sign if need be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &str) -> Result<Request> {
        let argv = words.split_whitespace().map(OsString::from).collect();
        request(&chain::parse(&TABLE, argv)?.unwrap().given)
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
