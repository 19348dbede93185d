//! Landlock, and the proof that it is in force.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use chain::sys::landlock::{allow_path, allow_port, may_inspect, restrict_self, ruleset};
use chain::sys::{Child, Fork};
use chain::{Call as _, Context as _, Hint as _, Result, refusal, show, sys};
use nix::errno::Errno;
use nix::sys::prctl;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use crate::model::landlock::{ON_A_FILE, Ruleset};

/// Restricts this process, and proves that it is restricted.
pub fn restrict(rules: &Ruleset) -> Result<()> {
    let file = ruleset(rules.handled).call("landlock_create_ruleset")?;
    for (grant, path) in &rules.paths {
        let allowed = grant.bits & rules.handled.fs;
        give_back(&file, path, allowed).with_context(|| format!("--landlock-{} {}", grant.name, show(path)))?;
    }
    for (allowed, port) in &rules.ports {
        allow_port(&file, *port, *allowed).call(&format!("landlock_add_rule(port {port})"))?;
    }
    let probe = ProbeChild::start()?;
    restrict_self(&file).call("landlock_restrict_self")?;
    probe.confirm()
}

/// A file that is no folder cannot have the rights on what is in a folder.
fn give_back(ruleset: &impl AsFd, path: &OsStr, allowed: u64) -> Result<()> {
    let file = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call("open")?;
    let mode = fstat(&file).call("fstat")?.st_mode;
    let possible = if FileType::from_raw_mode(mode).is_dir() { u64::MAX } else { ON_A_FILE };
    allow_path(ruleset, file.as_fd(), allowed & possible).call("landlock_add_rule")
}

/// A child from before the restriction. A process inside a Landlock domain may not look into one outside it, whatever
/// the ruleset says (landlock(7), "Ptrace restrictions"): that this could be done before and cannot be done afterwards
/// shows that the domain is there. It cannot be read back, and rules that were
/// never applied have gone unseen elsewhere (hakoniwa#164).
struct ProbeChild {
    child: Child,
    /// The child ends when this end is closed.
    lifeline: UnixStream,
}

impl ProbeChild {
    fn start() -> Result<Self> {
        let (lifeline, other) = UnixStream::pair().call("socketpair")?;
        let child = match sys::fork(0, sys::AtEnd::Nothing).call("clone")? {
            Fork::Child => stand_by(other),
            Fork::Parent(child) => child,
        };
        drop(other);
        let mut probe = Self { child, lifeline };
        probe.lifeline.read_exact(&mut [0]).call("read from the probe child of Landlock")?;
        may_inspect(probe.child.pid)
            .call("get_robust_list")
            .hint("without it the effect of Landlock cannot be seen; a filter denies it?")?;
        Ok(probe)
    }

    /// Ends the child by closing its lifeline; a signal would not reach it under `--landlock-scope signal`.
    fn confirm(self) -> Result<()> {
        let answer = may_inspect(self.child.pid);
        drop(self.lifeline);
        sys::reap(self.child.pid, true).call("wait4")?;
        match answer {
            Err(Errno::EPERM) => Ok(()),
            other => Err(refusal!("Landlock is not in force: the probe says {other:?}")),
        }
    }
}

/// The child: holds nothing but its lifeline, may be looked into, and ends with the lifeline.
fn stand_by(mut lifeline: UnixStream) -> ! {
    let ready = sys::close_all_but([lifeline.as_fd()].into_iter()).and_then(|()| prctl::set_dumpable(true));
    if ready.is_ok() && lifeline.write_all(&[0]).is_ok() {
        lifeline.read_exact(&mut [0]).unwrap_or_default();
    }
    sys::exit_now(0)
}
