//! The one name of each step.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;

use chain::show;

use crate::model::join::{Join, Pin};
use crate::model::map::{IdMap, Ids};
use crate::model::namespace::Set;
use crate::model::setup::{Offsets, Propagation, Session};

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    WatchCaller,
    Join(Join),
    /// Ids of a user namespace that was joined, where the caller's are not mapped.
    BecomeMapped,
    Pin(Pin),
    /// Says that the box is set up.
    SayReady(RawFd),
    /// Says which box it is: a pid and the namespaces' numbers.
    SayInfo(RawFd),
    /// The same as one line, before another with the exit code.
    SayStatus(RawFd),
    /// Waits for the word to start.
    AwaitStart(RawFd),
    /// Waits for a byte, or the end.
    AwaitByte(RawFd),
    /// A read lock on a file until the box has ended.
    Lock(PathBuf),
    /// A file or a folder to be mounted on until the box has ended.
    Placeholder(PathBuf, bool),
    /// Keeps a descriptor of the caller's open until the box has ended.
    Hold(RawFd),
    /// Puts a mount of the kernel's first root on top of it, in a mount namespace that the box's will be a copy of.
    CoverFirstRoot,
    /// New namespaces for this process.
    Unshare(Set),
    /// A child in new namespaces.
    Clone(Set),
    DenySetgroups,
    Map(IdMap),
    /// By newuidmap(1) or newgidmap(1).
    MapByHelper(IdMap),
    /// A new time namespace for what is executed or forked next.
    NewTime,
    /// Enters it: execve(2) does so from Linux 6.3 on only.
    EnterTime,
    SetClocks(Offsets),
    Propagate(Propagation),
    Hostname(OsString),
    Domainname(OsString),
    LoopbackUp,
    DisableUserns,
    AssertUsernsDisabled,
    /// Ids of the box, in place of those of the caller that are not mapped.
    Become(Ids),
    /// The main process, below an init.
    Init {
        /// As pid 1 of a pid namespace of its own.
        as_pid1: bool,
    },
    /// The main process's group, session and terminal.
    Session(Session),
    /// Capabilities for the next program, and for what it executes.
    KeepCapabilities,
    /// Capabilities for the next link, which takes them from what is no link.
    HandOnCapabilities,
    DropCapabilities,
    /// The program ends with the caller.
    DieWithCaller,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::WatchCaller => "end when the caller ends",
            Self::Join(join) => return write!(f, "enter namespaces of {}: {}", join.source, join.set.words()),
            Self::BecomeMapped => "become user 0, group 0 of the box, if the caller's ids are not mapped",
            Self::Pin(pin) => return write!(f, "keep namespace {} by {}", pin.kind.word(), show(&pin.file)),
            Self::SayReady(fd) => return write!(f, "say on descriptor {fd} that the box is set up"),
            Self::SayInfo(fd) => return write!(f, "say on descriptor {fd} which namespaces the box has"),
            Self::SayStatus(fd) => return write!(f, "say the same on descriptor {fd}, and at the end the exit code"),
            Self::AwaitStart(fd) | Self::AwaitByte(fd) => return write!(f, "wait for descriptor {fd}"),
            Self::Lock(file) => return write!(f, "hold a read lock on {}", show(file)),
            Self::Placeholder(path, false) => return write!(f, "have {} to mount on", show(path)),
            Self::Placeholder(path, true) => return write!(f, "have the folder {} to mount on", show(path)),
            Self::Hold(fd) => return write!(f, "hold descriptor {fd} until the box has ended"),
            Self::CoverFirstRoot => {
                "cover the kernel's first root, which pivot_root(2) cannot leave, by a mount of itself"
            }
            Self::Unshare(set) => return write!(f, "enter new namespaces: {}", set.words()),
            Self::Clone(set) if set.is_empty() => "start a process",
            Self::Clone(set) => return write!(f, "start a process in new namespaces: {}", set.words()),
            Self::DenySetgroups => "deny setgroups in the box",
            Self::Map(map) => return write!(f, "map {} ids {map}", map.kind.word()),
            Self::MapByHelper(map) => return write!(f, "have {} ids {map} mapped", map.kind.word()),
            Self::NewTime => "new namespace: time",
            Self::EnterTime => "enter the time namespace",
            Self::SetClocks(offsets) => return write!(f, "shift clocks: {offsets}"),
            Self::Propagate(mode) => return write!(f, "make mount propagation {}", mode.word),
            Self::Hostname(name) => return write!(f, "set the host name to {}", show(name)),
            Self::Domainname(name) => return write!(f, "set the domain name to {}", show(name)),
            Self::LoopbackUp => "bring lo up",
            Self::DisableUserns => "allow no user namespaces in the box",
            Self::AssertUsernsDisabled => "see that no user namespace can be made in the box",
            Self::DieWithCaller => "have the next program killed when the caller ends",
            Self::Become(ids) => return write!(f, "become user {}, group {}, no other groups", ids.uid, ids.gid),
            Self::Init { as_pid1: false } => "stay as init: reap orphans, pass signals on, end with the main process",
            Self::Init { as_pid1: true } => {
                "start the main process as pid 1; stay above it: pass signals on, end with it"
            }
            Self::Session(Session::Shared) => "stay in the caller's process group",
            Self::Session(Session::Foreground) => {
                "make a process group, and give it the caller's terminal if there is one"
            }
            Self::Session(Session::New) => "start a session without a terminal",
            Self::Session(Session::Pty) => "start a session on a pseudo-terminal that is bridged to the caller's",
            Self::KeepCapabilities => "keep capabilities for the next program",
            Self::HandOnCapabilities => "hand capabilities on to the next link",
            Self::DropCapabilities => "leave the next program no capabilities",
        };
        f.write_str(words)
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        let call = match self {
            Self::WatchCaller => "pidfd_open(getppid(), 0)",
            Self::Join(join) => return format!("setns({})", join.set.constants()),
            Self::BecomeMapped => return become_calls(Ids { uid: 0, gid: 0 }),
            Self::Pin(pin) => return format!("mount(/proc/PID/ns/{}, {}, MS_BIND)", pin.kind.file(), show(&pin.file)),
            Self::SayReady(_) | Self::SayInfo(_) | Self::SayStatus(_) => "write",
            Self::AwaitStart(_) | Self::AwaitByte(_) => "poll",
            Self::Hold(_) => "",
            Self::Lock(file) => return format!("open({}), fcntl(F_OFD_SETLK, F_RDLCK)", show(file)),
            Self::Placeholder(path, false) => {
                return format!("open({}, O_CREAT|O_EXCL, 01444), flock(LOCK_SH)", show(path));
            }
            Self::Placeholder(path, true) => return format!("mkdir({}, 01755), flock(LOCK_SH)", show(path)),
            Self::AssertUsernsDisabled => "clone(CLONE_NEWUSER)",
            Self::DieWithCaller => "prctl(PR_SET_PDEATHSIG, SIGKILL)",
            Self::CoverFirstRoot => "unshare(CLONE_NEWNS), open_tree(/), move_mount(/), chroot",
            Self::Unshare(set) => return format!("unshare({})", set.constants()),
            Self::Clone(set) => return format!("clone({})", set.constants()),
            Self::DenySetgroups => "write /proc/PID/setgroups: deny",
            Self::Map(map) => return format!("write /proc/PID/{}: {}", map.kind.file(), map.numbers(", ")),
            Self::MapByHelper(map) => return format!("{} PID {}", map.kind.helper(), map.numbers(" ")),
            Self::NewTime => "unshare(CLONE_NEWTIME)",
            Self::EnterTime => "setns(/proc/self/ns/time_for_children, CLONE_NEWTIME)",
            Self::SetClocks(offsets) => {
                return format!("write /proc/self/timens_offsets: {}", offsets.lines().join(", "));
            }
            Self::Propagate(mode) => {
                return format!("mount(NULL, \"/\", NULL, MS_REC|MS_{}, NULL)", mode.word.to_ascii_uppercase());
            }
            Self::Hostname(name) => return format!("sethostname({})", show(name)),
            Self::Domainname(name) => return format!("setdomainname({})", show(name)),
            Self::DisableUserns => "write /proc/sys/user/max_user_namespaces: 0",
            Self::LoopbackUp => "ioctl(SIOCSIFFLAGS, lo, IFF_UP)",
            Self::Become(ids) => return become_calls(*ids),
            Self::Init { as_pid1: false } => "clone(CLONE_PIDFD)",
            Self::Init { as_pid1: true } => "clone(CLONE_NEWPID)",
            Self::Session(Session::Shared) => "",
            Self::Session(Session::Foreground) => "setpgid(0, 0), tcsetpgrp",
            Self::Session(Session::New) => "setsid()",
            Self::Session(Session::Pty) => "setsid(), ioctl(TIOCSCTTY)",
            Self::KeepCapabilities | Self::HandOnCapabilities => "capset, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)",
            Self::DropCapabilities => "prctl(PR_CAPBSET_DROP), capset",
        };
        call.to_owned()
    }
}

fn become_calls(Ids { uid, gid }: Ids) -> String {
    format!("setgroups(0), setresgid({gid}, {gid}, {gid}), setresuid({uid}, {uid}, {uid})")
}
