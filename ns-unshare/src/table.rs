//! The table of options, and with `manual.txt` what `--help`, `--man` and completion print.

use chain::{Flag, Table};

use crate::model::namespace::Namespace;
use crate::model::setup::{Own, Session};

/// What an option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the row of the table says what each one means")]
pub enum Key {
    New(Namespace),
    IfSupported(Namespace),
    All,
    Own(Own),
    MapUsers,
    MapGroups,
    MapSubids,
    MapOwner,
    DisableUserns,
    AssertUsernsDisabled,
    List,
    Tree,
    Setgroups,
    Hostname,
    Domainname,
    Monotonic,
    Boottime,
    Propagation,
    AsPid1,
    Join,
    JoinAll,
    Pin,
    ReadyFd,
    WaitFd,
    BlockFd,
    InfoFd,
    StatusFd,
    HoldFd,
    Lock,
    Placeholder,
    MapsFd,
    Session(Session),
    KeepCaps,
    DieWithParent,
    NoDieWithParent,
    NoForward,
}

const fn namespace(kind: Namespace, long: &'static str, letter: char, help: &'static str) -> Flag<Key> {
    Flag::new(Key::New(kind), long, help).short(letter)
}

/// How `--join` and `--pin` begin.
const TYPES: &[&str] = &["user=", "mount=", "pid=", "net=", "ipc=", "uts=", "cgroup=", "time="];

/// Every option.
pub const TABLE: Table<Key> = Table {
    tool: "ns-unshare",
    summary: "enter new namespaces, then execute a program",
    manual: include_str!("manual.txt"),
    flags: &[
        namespace(Namespace::User, "user", 'U', "new user namespace: ids, capabilities, keyrings"),
        namespace(Namespace::Mount, "mount", 'm', "new mount namespace: the file tree"),
        namespace(Namespace::Pid, "pid", 'p', "new pid namespace, with an init; it ends with PROG"),
        namespace(Namespace::Net, "net", 'n', "new network namespace: only lo, which is up"),
        namespace(Namespace::Ipc, "ipc", 'i', "new IPC namespace: System V IPC, POSIX message queues"),
        namespace(Namespace::Uts, "uts", 'u', "new UTS namespace: host and domain name"),
        namespace(Namespace::Cgroup, "cgroup", 'C', "new cgroup namespace: the cgroup it is in becomes the root"),
        namespace(Namespace::Time, "time", 'T', "new time namespace: monotonic and boot-time clocks"),
        Flag::new(Key::All, "all", "all eight: as --user --mount --pid --net --ipc --uts --cgroup --time"),
        Flag::new(Key::IfSupported(Namespace::User), "user-if-supported", "as --user, or without where there are none"),
        Flag::new(
            Key::IfSupported(Namespace::Cgroup),
            "cgroup-if-supported",
            "as --cgroup, or without where there are none",
        ),
        Flag::new(Key::Own(Own::Root), "map-root", "the caller's ids become 0 in the box (default with --user)")
            .short('r'),
        Flag::new(Key::Own(Own::Same), "map-self", "the caller's ids stay what they are").short('c'),
        Flag::new(Key::MapUsers, "map-users", "map N user ids from OUT outside to IN in the box")
            .takes(&["IN:OUT:N"])
            .repeats(),
        Flag::new(Key::MapGroups, "map-groups", "map N group ids from OUT outside to IN in the box")
            .takes(&["IN:OUT:N"])
            .repeats(),
        Flag::new(Key::MapSubids, "map-subids", "map all ids that /etc/subuid and /etc/subgid give the caller, too"),
        Flag::new(Key::MapOwner, "map-owner", "0 in the box is who owns what descriptor N is open on").takes(&["N"]),
        Flag::new(Key::MapsFd, "maps-fd", "the caller writes the maps; go on when N has a byte, or has ended")
            .takes(&["N"]),
        Flag::new(Key::Setgroups, "setgroups", "allow or deny setgroups(2) in the box").takes(&["allow|deny"]),
        Flag::new(Key::Join, "join", "enter a namespace that exists: of a process, a file, or an open descriptor")
            .takes(&["TYPE=PID|FILE|fd:N"])
            .among(TYPES)
            .repeats(),
        Flag::new(Key::JoinAll, "join-all", "enter all namespaces of process PID that are not the caller's")
            .takes(&["PID"]),
        Flag::new(Key::Pin, "pin", "keep the new namespace of this type when no process is left in it")
            .takes(&["TYPE=FILE"])
            .among(TYPES)
            .repeats(),
        Flag::new(Key::ReadyFd, "ready-fd", "when the namespaces are set up, write the pid of a process in them to N")
            .takes(&["N"]),
        Flag::new(Key::WaitFd, "wait-fd", "start PROG when an empty line has come from N").takes(&["N"]),
        Flag::new(Key::BlockFd, "block-fd", "start PROG when a byte has come from N, or its end").takes(&["N"]),
        Flag::new(Key::InfoFd, "info-fd", "write to N, as JSON, a pid of the box and the numbers of its namespaces")
            .takes(&["N"]),
        Flag::new(
            Key::StatusFd,
            "status-fd",
            "write the same to N as one line, and at the end the exit code as another",
        )
        .takes(&["N"]),
        Flag::new(Key::HoldFd, "hold-fd", "N stays open outside until the box has ended; PROG does not have it")
            .takes(&["N"])
            .repeats(),
        Flag::new(Key::Lock, "lock", "a read lock on FILE until the box has ended").takes(&["FILE"]).repeats(),
        Flag::new(Key::Placeholder, "placeholder", "PATH is there to be mounted on, and is not when the box has ended")
            .takes(&["PATH[/]"])
            .repeats(),
        Flag::new(
            Key::AssertUsernsDisabled,
            "assert-userns-disabled",
            "go on only where no user namespace can be made in the box",
        ),
        Flag::new(Key::DisableUserns, "disable-userns", "no user namespace can be made in the box"),
        Flag::new(Key::List, "list", "print the namespaces that there are, and nothing else"),
        Flag::new(Key::Tree, "tree", "the same as a tree: user namespaces, and what each owns"),
        Flag::new(Key::Hostname, "hostname", "host name of the box; needs --uts").takes(&["NAME"]),
        Flag::new(Key::Domainname, "domainname", "NIS domain name of the box; needs --uts").takes(&["NAME"]),
        Flag::new(Key::Monotonic, "monotonic", "add SECONDS to CLOCK_MONOTONIC; needs --time").takes(&["SECONDS"]),
        Flag::new(Key::Boottime, "boottime", "add SECONDS to CLOCK_BOOTTIME and the uptime; needs --time")
            .takes(&["SECONDS"]),
        Flag::new(Key::Propagation, "propagation", "private, slave, shared or unchanged; needs --mount")
            .takes(&["MODE"])
            .among(&["private", "slave", "shared", "unchanged"]),
        Flag::new(Key::AsPid1, "as-pid1", "PROG is pid 1 itself; needs --pid"),
        Flag::new(
            Key::Session(Session::Foreground),
            "foreground",
            "PROG gets its own process group, and the terminal if there is one; needs --pid",
        ),
        Flag::new(Key::Session(Session::New), "new-session", "PROG gets a session without a terminal"),
        Flag::new(
            Key::Session(Session::Pty),
            "pty",
            "PROG gets a terminal of its own, bridged to the caller's; needs --pid",
        ),
        Flag::new(Key::KeepCaps, "keep-caps", "PROG keeps the capabilities of the new user namespace"),
        Flag::new(
            Key::DieWithParent,
            "die-with-parent",
            "PROG is killed when the caller ends; with --pid it always is",
        ),
        Flag::new(Key::NoDieWithParent, "no-die-with-parent", "the box may outlive the caller"),
        Flag::new(Key::NoForward, "no-forward", "signals act on ns-unshare, not on PROG; needs --pid"),
    ],
};
