//! The one name of each step.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::RawFd;

use chain::show;

use crate::args::{Offsets, Propagation};
use crate::join::{Join, Pin};
use crate::map::{self, Line};
use crate::namespace::Set;
use crate::subids;

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Watch the caller, to end when it ends.
    WatchCaller,
    /// Namespaces that exist.
    Join(Join),
    /// Ids of a user namespace that was joined, where the caller's are not mapped.
    BecomeMapped,
    /// A file that keeps a namespace.
    Pin(Pin),
    /// Says that the box is set up.
    SayReady(RawFd),
    /// Waits for the word to start.
    AwaitStart(RawFd),
    /// New namespaces for this process.
    Unshare(Set),
    /// A child in new namespaces.
    Clone(Set),
    /// setgroups(2) no longer works in the user namespace.
    DenySetgroups,
    /// The user id map.
    MapUsers(Vec<Line>),
    /// The group id map.
    MapGroups(Vec<Line>),
    /// The user id map, by newuidmap(1).
    HaveUsersMapped(Vec<Line>),
    /// The group id map, by newgidmap(1).
    HaveGroupsMapped(Vec<Line>),
    /// A new time namespace for what is executed or forked next.
    NewTime,
    /// Enters it: execve(2) does so from Linux 6.3 on only.
    EnterTime,
    /// Its clock offsets.
    SetClocks(Offsets),
    /// Mount propagation.
    Propagate(Propagation),
    /// The host name.
    Hostname(OsString),
    /// The NIS domain name.
    Domainname(OsString),
    /// The loopback interface.
    LoopbackUp,
    /// No more user namespaces.
    DisableUserns,
    /// Ids of the box, in place of those of the caller that are not mapped.
    Become {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
    /// The main process, below an init.
    Init {
        /// As pid 1 of a pid namespace of its own.
        as_pid1: bool,
    },
    /// The box's own process group, and the terminal.
    Foreground,
    /// A session without a terminal.
    NewSession,
    /// A session on a pseudo-terminal.
    Pty,
    /// Capabilities for the next program, and for what it executes.
    KeepCapabilities,
    /// Capabilities for the next link, which takes them from what is no link.
    HandOnCapabilities,
    /// None for the next program.
    DropCapabilities,
}

/// What is written to timens_offsets: a line for each clock.
#[must_use]
pub fn offsets_text(offsets: Offsets) -> String {
    let line = |clock: &str, seconds: Option<i64>| seconds.map(|n| format!("{clock} {n} 0\n")).unwrap_or_default();
    line("monotonic", offsets.monotonic) + &line("boottime", offsets.boottime)
}

fn offsets_words(offsets: Offsets) -> String {
    let word = |clock, seconds: Option<i64>| seconds.map(|n| format!("{clock} by {n:+} s"));
    let words = [word("monotonic", offsets.monotonic), word("boottime", offsets.boottime)];
    words.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WatchCaller => f.write_str("end when the caller ends"),
            Self::Join(join) => write!(f, "enter namespaces of {}: {}", join.source, join.set.words()),
            Self::BecomeMapped => f.write_str("become user 0, group 0 of the box, if the caller's ids are not mapped"),
            Self::Pin(pin) => write!(f, "keep namespace {} by {}", pin.kind.word(), show(&pin.file)),
            Self::SayReady(fd) => write!(f, "say on descriptor {fd} that the box is set up"),
            Self::AwaitStart(fd) => write!(f, "wait for descriptor {fd}"),
            Self::Unshare(set) => write!(f, "enter new namespaces: {}", set.words()),
            Self::Clone(set) if set.is_empty() => f.write_str("start a process"),
            Self::Clone(set) => write!(f, "start a process in new namespaces: {}", set.words()),
            Self::DenySetgroups => f.write_str("deny setgroups in the box"),
            Self::MapUsers(lines) => write!(f, "map user ids {}", map::words(lines)),
            Self::MapGroups(lines) => write!(f, "map group ids {}", map::words(lines)),
            Self::HaveUsersMapped(lines) => write!(f, "have user ids {} mapped", map::words(lines)),
            Self::HaveGroupsMapped(lines) => write!(f, "have group ids {} mapped", map::words(lines)),
            Self::NewTime => f.write_str("new namespace: time"),
            Self::EnterTime => f.write_str("enter the time namespace"),
            Self::SetClocks(offsets) => write!(f, "shift clocks: {}", offsets_words(*offsets)),
            Self::Propagate(mode) => write!(f, "make mount propagation {}", mode.word()),
            Self::Hostname(name) => write!(f, "set the host name to {}", show(name)),
            Self::Domainname(name) => write!(f, "set the domain name to {}", show(name)),
            Self::LoopbackUp => f.write_str("bring lo up"),
            Self::DisableUserns => f.write_str("allow no user namespaces in the box"),
            Self::Become { uid, gid } => write!(f, "become user {uid}, group {gid}, no other groups"),
            Self::Init { as_pid1: false } => {
                f.write_str("stay as init: reap orphans, pass signals on, end with the main process")
            }
            Self::Init { as_pid1: true } => {
                f.write_str("start the main process as pid 1; stay above it: pass signals on, end with it")
            }
            Self::Foreground => f.write_str("make a process group, and give it the caller's terminal if there is one"),
            Self::NewSession => f.write_str("start a session without a terminal"),
            Self::Pty => f.write_str("start a session on a pseudo-terminal that is bridged to the caller's"),
            Self::KeepCapabilities => f.write_str("keep capabilities for the next program"),
            Self::HandOnCapabilities => f.write_str("hand capabilities on to the next link"),
            Self::DropCapabilities => f.write_str("leave the next program no capabilities"),
        }
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        match self {
            Self::WatchCaller => "pidfd_open(getppid(), 0)".to_owned(),
            Self::Join(join) => format!("setns({})", join.set.constants()),
            Self::BecomeMapped => "setgroups(0), setresgid(0, 0, 0), setresuid(0, 0, 0)".to_owned(),
            Self::Pin(pin) => format!("mount(/proc/PID/ns/{}, {}, MS_BIND)", pin.kind.file(), show(&pin.file)),
            Self::SayReady(_) => "write".to_owned(),
            Self::AwaitStart(_) => "poll".to_owned(),
            Self::Unshare(set) => format!("unshare({})", set.constants()),
            Self::Clone(set) => format!("clone({})", set.constants()),
            Self::DenySetgroups => "write /proc/PID/setgroups: deny".to_owned(),
            Self::MapUsers(lines) => format!("write /proc/PID/uid_map: {}", one_line(&map::file_text(lines))),
            Self::MapGroups(lines) => format!("write /proc/PID/gid_map: {}", one_line(&map::file_text(lines))),
            Self::HaveUsersMapped(lines) => format!("newuidmap PID {}", subids::words(lines).join(" ")),
            Self::HaveGroupsMapped(lines) => format!("newgidmap PID {}", subids::words(lines).join(" ")),
            Self::NewTime => "unshare(CLONE_NEWTIME)".to_owned(),
            Self::EnterTime => "setns(/proc/self/ns/time_for_children, CLONE_NEWTIME)".to_owned(),
            Self::SetClocks(offsets) => {
                format!("write /proc/self/timens_offsets: {}", one_line(&offsets_text(*offsets)))
            }
            Self::Propagate(mode) => {
                format!("mount(NULL, \"/\", NULL, MS_REC|MS_{}, NULL)", mode.word().to_ascii_uppercase())
            }
            Self::Hostname(name) => format!("sethostname({})", show(name)),
            Self::Domainname(name) => format!("setdomainname({})", show(name)),
            Self::DisableUserns => "write /proc/sys/user/max_user_namespaces: 0".to_owned(),
            Self::LoopbackUp => "ioctl(SIOCSIFFLAGS, lo, IFF_UP)".to_owned(),
            Self::Become { uid, gid } => {
                format!("setgroups(0), setresgid({gid}, {gid}, {gid}), setresuid({uid}, {uid}, {uid})")
            }
            Self::Init { as_pid1: false } => "clone(CLONE_PIDFD)".to_owned(),
            Self::Init { as_pid1: true } => "clone(CLONE_NEWPID)".to_owned(),
            Self::Foreground => "setpgid(0, 0), tcsetpgrp".to_owned(),
            Self::NewSession => "setsid()".to_owned(),
            Self::Pty => "setsid(), ioctl(TIOCSCTTY)".to_owned(),
            Self::KeepCapabilities | Self::HandOnCapabilities => {
                "capset, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)".to_owned()
            }
            Self::DropCapabilities => "prctl(PR_CAPBSET_DROP), capset".to_owned(),
        }
    }
}

fn one_line(text: &str) -> String {
    text.trim_end().replace('\n', ", ")
}
