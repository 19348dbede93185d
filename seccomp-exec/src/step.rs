//! The one name of each step.

use std::fmt;
use std::os::fd::RawFd;

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet};

use crate::model::bpf::Insn;
use crate::model::capabilities::{names, securebit_names};
use crate::model::landlock::{self, Right, Ruleset};
use crate::model::standard::{Standard, Stream};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Enter the user namespace on this descriptor.
    Enter(RawFd),
    Groups(Vec<u32>),
    Group(u32),
    /// Set all user ids, keeping the permitted set for the steps that follow.
    User(u32),
    Keyring,
    /// Leave only these in the bounding set; `sure` where it is known that it can be done.
    Bounding {
        /// What stays in it.
        keep: CapabilitySet,
        /// False in an explanation, where an earlier link would have had to give the right to do it.
        sure: bool,
    },
    /// What an exec passes on: the inheritable and ambient sets.
    Inherit(CapabilitySet),
    Securebits(CapabilitiesSecureBits),
    /// What this process has from now on.
    Hold {
        /// The permitted and effective sets.
        keep: CapabilitySet,
        /// The inheritable and ambient sets.
        passed_on: CapabilitySet,
    },
    /// Open a standard file, with the rights that PROG will have.
    Standard(Standard),
    /// No exec gains anything any more.
    NoNewPrivs,
    Landlock(Ruleset),
    /// Do without these rights, which this ABI of Landlock lacks (0: there is no Landlock).
    Lost(u32, Vec<Right>),
    Filter {
        name: String,
        program: Vec<Insn>,
        /// Whether the filters so far let the kernel be asked whether it is there.
        ask: bool,
    },
    /// Attach a filter that asks, and send its listener away.
    Listen {
        name: String,
        /// With the exception for the message that bears the mark.
        program: Vec<Insn>,
        /// The socket on which the listener is sent.
        socket: RawFd,
        mark: u64,
    },
}

impl Step {
    /// The program of the filter that it attaches.
    pub fn program(&self) -> Option<&[Insn]> {
        match self {
            Self::Filter { program, .. } | Self::Listen { program, .. } => Some(program),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enter(fd) => write!(f, "enter the user namespace on descriptor {fd}"),
            Self::Groups(groups) if groups.is_empty() => f.write_str("drop the supplementary groups"),
            Self::Groups(groups) => write!(f, "set the supplementary groups to {}", list(groups)),
            Self::Group(gid) => write!(f, "become group {gid}"),
            Self::User(uid) => write!(f, "become user {uid}"),
            Self::Keyring => f.write_str("replace the session keyring by an empty one"),
            Self::Bounding { keep, sure } => {
                let condition = if *sure { "" } else { ", where CAP_SETPCAP is held" };
                write!(f, "leave in the bounding set: {}{condition}", names(*keep))
            }
            Self::Inherit(keep) => write!(f, "pass on to PROG, inheritable and ambient: {}", names(*keep)),
            Self::Securebits(bits) => write!(f, "set the securebits {}", securebit_names(*bits)),
            Self::Hold { keep, .. } => write!(f, "keep, permitted and effective: {}", names(*keep)),
            Self::Standard(Standard::File(stream, path)) => {
                write!(f, "open {} as {}", chain::show(path), stream.name())
            }
            Self::Standard(Standard::ErrorToOutput) => f.write_str("make standard error what standard output is"),
            Self::NoNewPrivs => f.write_str("gain no privilege by exec from now on"),
            Self::Landlock(ruleset) => write!(f, "{}", ruleset_words(ruleset)),
            Self::Lost(abi, rights) => {
                let has = if *abi == 0 { " has no Landlock".to_owned() } else { format!("'s Landlock has ABI {abi}") };
                write!(f, "not restricted, as this kernel{has}: {}", landlock::names(rights))
            }
            Self::Filter { name, program, .. } => write!(f, "attach filter {name}, {} instructions", program.len()),
            Self::Listen { name, program, socket, .. } => {
                write!(f, "attach filter {name}, {} instructions, its listener to descriptor {socket}", program.len())
            }
        }
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        match self {
            Self::Enter(fd) => format!("setns({fd}, CLONE_NEWUSER)"),
            Self::Groups(groups) => format!("setgroups({}, [{}])", groups.len(), list(groups)),
            Self::Group(gid) => format!("setresgid({gid}, {gid}, {gid})"),
            Self::User(uid) => format!("prctl(PR_SET_KEEPCAPS, 1), setresuid({uid}, {uid}, {uid})"),
            Self::Keyring => "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)".to_owned(),
            Self::Bounding { .. } => "prctl(PR_CAPBSET_DROP) for each other".to_owned(),
            Self::Inherit(_) => "capset, prctl(PR_CAP_AMBIENT)".to_owned(),
            Self::Securebits(bits) => format!("prctl(PR_SET_SECUREBITS, |{:#x})", bits.bits()),
            Self::Hold { .. } => "capset".to_owned(),
            Self::Standard(Standard::File(Stream::Input, path)) => {
                format!("openat2({}, O_RDONLY, RESOLVE_NO_MAGICLINKS), dup2", chain::show(path))
            }
            Self::Standard(Standard::File(_, path)) => {
                let flags = "O_WRONLY|O_CREAT|O_TRUNC, 0666, RESOLVE_NO_MAGICLINKS";
                format!("openat2({}, {flags}), dup2", chain::show(path))
            }
            Self::Standard(Standard::ErrorToOutput) => "dup2(1, 2)".to_owned(),
            Self::NoNewPrivs => "prctl(PR_SET_NO_NEW_PRIVS, 1)".to_owned(),
            Self::Landlock(_) => "landlock_create_ruleset, landlock_add_rule, landlock_restrict_self".to_owned(),
            Self::Lost(..) => "nothing".to_owned(),
            Self::Filter { .. } => "seccomp(SECCOMP_SET_MODE_FILTER)".to_owned(),
            Self::Listen { .. } => "seccomp(SECCOMP_SET_MODE_FILTER, NEW_LISTENER), sendmsg(SCM_RIGHTS)".to_owned(),
        }
    }
}

/// `allow only (Landlock ABI 7): ro /usr, rw /tmp; bind_tcp 80; connect_tcp nothing; scope signal`.
fn ruleset_words(ruleset: &Ruleset) -> String {
    let paths: Vec<String> =
        ruleset.paths.iter().map(|(grant, path)| format!("{} {}", grant.name, chain::show(path))).collect();
    let port = |right: &Right| {
        let ports: Vec<String> =
            ruleset.ports.iter().filter(|rule| rule.0 == right.bit).map(|rule| rule.1.to_string()).collect();
        format!("{} {}", right.name, if ports.is_empty() { "nothing".to_owned() } else { ports.join(",") })
    };
    let handled = |bits: u64| move |right: &&Right| bits & right.bit != 0;
    let scope = |right: &Right| format!("scope {}", right.name);
    let words: Vec<String> = [paths.join(", ")]
        .into_iter()
        .filter(|paths| !paths.is_empty())
        .chain(landlock::PORTS.iter().filter(handled(ruleset.handled.net)).map(port))
        .chain(landlock::SCOPES.iter().filter(handled(ruleset.handled.scoped)).map(scope))
        .collect();
    format!("allow only (Landlock ABI {}): {}", ruleset.abi, words.join("; "))
}

fn list(ids: &[u32]) -> String {
    let words: Vec<String> = ids.iter().map(u32::to_string).collect();
    words.join(",")
}
