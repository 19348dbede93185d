//! The table of options and the prose of the man page: what `--help`, `--man` and completion print.

use chain::{Flag, Table};

use crate::model::namespace::Namespace;
use crate::model::setup::{Own, Session};

/// What an option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the row of the table says what each one means")]
pub enum Key {
    New(Namespace),
    All,
    Own(Own),
    MapUsers,
    MapGroups,
    MapSubids,
    MapOwner,
    DisableUserns,
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
    Session(Session),
    KeepCaps,
    NoDieWithParent,
    NoForward,
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
            "Its capabilities reach over what belongs to the box only. PROG gets them if it is one of these tools \
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
                "Up to 340 ranges (Linux 4.15), together with --map-groups. Any range but one for the caller's own id \
                 needs CAP_SETUID and CAP_SETGID in the caller's user namespace. The caller's own id is added by \
                 --map-root or --map-self only; if it is not mapped, PROG runs as id 0 of the box (the first IN where \
                 there is no 0), with no supplementary group.",
            ),
        Flag::new(Key::MapGroups, "map-groups", "map N group ids from OUT outside to IN in the box")
            .takes(&["IN:OUT:N"])
            .repeats(),
        Flag::new(Key::MapSubids, "map-subids", "map all ids that /etc/subuid and /etc/subgid give the caller, too").detail(
            "At all ids but the caller's own, from 0 on. An ordinary user has them mapped by newuidmap(1) and newgidmap(1), \
             which are setuid root: not under no_new_privs. setgroups(2) works then.",
        ),
        Flag::new(Key::MapOwner, "map-owner", "0 in the box is who owns what descriptor N is open on").takes(&["N"]).detail(
            "The owner and group of that file or directory as its mount shows them; N may be opened with O_PATH, and reaches PROG \
             only with --keep-fd. Where the caller has CAP_SETUID and CAP_SETGID and its user namespace has the ids, \
             any other id K of the box, 1 to 2147483646, is 2147483648+K outside; else there is only 0. Without those \
             capabilities the owner must be the caller. PROG runs as user 0 and group 0, without the caller's other groups \
             where setgroups(2) is allowed.",
        ),
        Flag::new(Key::Setgroups, "setgroups", "allow or deny setgroups(2) in the box").takes(&["allow|deny"]).detail(
            "Default: deny for a map that needs no privilege, because the kernel demands it (groups that take access \
             away could be dropped, CVE-2014-8989), otherwise allow.",
        ),
        Flag::new(Key::Join, "join", "enter a namespace that exists: of a process, a file, or an open descriptor")
            .takes(&["TYPE=PID|FILE|fd:N"])
            .repeats()
            .detail(
                "Before any new one is made. TYPE is a word as above. In a user namespace where the caller's ids are not mapped, \
                 PROG runs as id 0. In a mount namespace PROG starts at the root, and is found there. With a pid \
                 namespace PROG is a child of ns-unshare, and its only init is the one that is there. Processes in \
                 there can make PROG do whatever PROG may do (ptrace(2)), past any filter of their own: so a terminal \
                 that PROG could type into is refused.",
            ),
        Flag::new(Key::JoinAll, "join-all", "enter all namespaces of process PID that are not the caller's")
            .takes(&["PID"])
            .detail("At once, by a pidfd (Linux 5.8)."),
        Flag::new(Key::Pin, "pin", "keep the new namespace of this type when no process is left in it")
            .takes(&["TYPE=FILE"])
            .repeats()
            .detail(
                "By a bind mount on FILE, which is made if it is not there, and keeps none yet; umount FILE ends it. Needs CAP_SYS_ADMIN over \
                 the mount namespace of FILE. Not for pid namespaces, which end with their init.",
            ),
        Flag::new(Key::ReadyFd, "ready-fd", "when the namespaces are set up, write the pid of a process in them to N")
            .takes(&["N"])
            .detail("A line; then N is closed. PROG starts only after --wait-fd, so that a network can be plugged in before."),
        Flag::new(Key::WaitFd, "wait-fd", "start PROG when an empty line has come from N").takes(&["N"]).detail(
            "Any other line says why PROG is not to start: it is printed, and the exit status is 125. So it is where N ends \
             before: whoever was to plug something in is gone.",
        ),
        Flag::new(Key::DisableUserns, "disable-userns", "no user namespace can be made in the box").detail(
            "By user.max_user_namespaces of the box's own, which only CAP_SYS_RESOURCE there could raise again. Links that \
             follow can make none either (mount-plan's id-mapped mounts need them).",
        ),
        Flag::new(Key::List, "list", "print the namespaces that there are, and nothing else")
            .detail("As far as the caller may look at processes; * marks those that it is in."),
        Flag::new(Key::Tree, "tree", "the same as a tree: user namespaces, and what each owns"),
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
        Flag::new(
            Key::Session(Session::Foreground),
            "foreground",
            "PROG gets its own process group, and the terminal if there is one; needs --pid",
        )
        .detail(
            "Then kill(0, ...) in the box reaches the box only, and a shell in it has job control. ctrl-Z stops the whole \
             box and gives the caller's shell the terminal back; its fg and bg continue it. At the end the terminal is \
             as it was. What was typed ahead may be the box's (TIOCSTI) and is dropped. Without a terminal nothing but the group is made.",
        ),
        Flag::new(Key::Session(Session::New), "new-session", "PROG gets a session without a terminal; needs --pid").detail(
            "It can read and write a terminal that it has as a descriptor, but not type into it (TIOCSTI), and a shell in \
             it has no job control. What the terminal sends by ctrl-C and when its window changes is passed on.",
        ),
        Flag::new(Key::Session(Session::Pty), "pty", "PROG gets a terminal of its own, bridged to the caller's; needs --pid")
            .detail(
                "In place of standard input, output and error where they are terminals; the caller's is raw meanwhile, its \
                 window's size is followed, and it is set back at the end. The caller must have a terminal, and the job \
                 cannot go on in the background; asked to end there, it ends, and what the box wrote since is lost. Only a bridge and an ns-unshare that are both killed with SIGKILL \
                 leave the caller's terminal raw: stty sane.",
            ),
        Flag::new(Key::KeepCaps, "keep-caps", "PROG keeps the capabilities of the new user namespace"),
        Flag::new(Key::NoDieWithParent, "no-die-with-parent", "the box may outlive the caller; needs --pid")
            .detail("It still ends with ns-unshare."),
        Flag::new(Key::NoForward, "no-forward", "signals act on ns-unshare, not on PROG; needs --pid")
            .detail("So TERM ends ns-unshare, and with it the box."),
    ],
    sections: SECTIONS,
};

const SECTIONS: &[(&str, &str)] = &[
    (
        "PROCESS MODEL",
        "Without --pid: one process, which enters the namespaces and becomes PROG. Nothing stays.\n\n\
         With --pid two processes stay. ns-unshare itself, outside, passes on HUP, INT, QUIT, TERM, USR1, USR2, ALRM, \
         WINCH and PIPE, and ends exactly as PROG ended. CONT goes with those that ask to end (HUP, INT, QUIT, TERM), so that \
         a box that is stopped hears of them. The init, pid 1 of the box, reaps orphans. Signals that a \
         terminal sends reach the whole foreground group by themselves and are not passed on again; stop signals \
         keep their default action, so job control works. With --foreground PROG is in another process group than the \
         two, and what reaches theirs is passed on. Signal ns-unshare, not the init: what the init gets from \
         outside is ignored, what it gets from inside the box goes to PROG.\n\n\
         Without --pid ns-unshare stays too where somebody outside is needed: --join pid=..., --join-all, --pin, --ready-fd, \
         --wait-fd. There is no init then, and only PR_SET_PDEATHSIG binds PROG to ns-unshare.",
    ),
    (
        "CAPABILITIES",
        "The first process of a user namespace has all capabilities in it. If the next word names one of these \
         tools, or with --keep-caps, they are made inheritable and ambient, so that they survive execve(2) whatever \
         the user id is. Otherwise PROG has none in any set: the bounding set is emptied too, because a program that \
         runs as uid 0 of the box would get them back from it. A program between two links that is no tool (env, nice, a \
         shell) ends them for all that follow: it belongs before the first link or behind the last. The securebits stay as they are, and a user namespace \
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
         ns-unshare --user --time --pid --boottime 1000000 -- uptime\n\n\
         A session without a process, as root: begin, run many, end.\n\n    \
         sudo ns-unshare --net --uts --hostname lab --pin net=lab.net --pin uts=lab.uts -- true\n    \
         sudo ns-unshare --join net=lab.net --join uts=lab.uts -- hostname\n    \
         sudo umount lab.net lab.uts",
    ),
    (
        "SECURITY",
        "A namespace hides; it limits nothing. The box uses as much memory, processes and time as the caller may \
         (cg-run), reads every file that the caller may read (mount-plan), and reaches the whole system call \
         interface, more of it than before in a new user namespace (seccomp-exec). Without --net it reaches the \
         caller's network and abstract sockets, without --pid it can signal the caller's processes.\n\n\
         A program that shares the caller's terminal can type into it (TIOCSTI, where sysctl dev.tty.legacy_tiocsti is \
         not 0), and the caller's shell executes that. --pty, --new-session and a filter of seccomp-exec prevent it. \
         Where a box with --pid has none of them, the last tool of the chain warns: seccomp-exec if its filters let that \
         pass, any other if there is no filter; ns-unshare itself does not where PROG follows it at once and has the \
         caller's files (no --mount).\n\n\
         With --join ns-unshare is not dumpable until PROG is executed, holds the namespaces by descriptor and reads no \
         file of theirs.\n\n\
         ns-unshare and its init are not dumpable while PROG runs, and no descriptor but 0, 1, 2 and --keep-fd \
         reaches PROG.",
    ),
    ("SEE ALSO", "namespaces(7), user_namespaces(7), unshare(1), mount-plan(1), seccomp-exec(1)"),
];
