//! `cg-run --gc`: what runs have left behind that were killed with SIGKILL.
//!
//! Only leaves with our name or our mark are touched, and only those whose owner is certainly gone.

use std::path::Path;

use chain::process::{self, Process};
use chain::{Failure, Result, print, print_error, show};
use nix::errno::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cgroup::Cgroup;
use crate::leaf::MARK;
use crate::look;
use crate::owner::Owner;

/// What is known about the run that made a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Goes,
    Ended,
    Unknown(&'static str),
}

/// Removes what is left under the parent.
///
/// # Errors
/// No cgroup v2 there; a leaf that could not be removed (all others have been tried).
pub fn collect(parent: Option<&Path>) -> Result<u8> {
    let parent = look::parent(parent)?;
    let me = look::owner()?;
    let mut failed = 0;
    for name in parent.children()? {
        let Some(owner) = owner_of(&parent, &name) else { continue };
        match life(&owner, &me) {
            Life::Goes => {}
            Life::Unknown(why) => print_error(&format!("{}: kept: {why}", show(parent.path.join(&name)))),
            Life::Ended => failed += u32::from(!removed(&parent, &name)?),
        }
    }
    if failed == 0 {
        return Ok(0);
    }
    Err(Failure::refusal(format!("{failed} of the leaves under {} could not be removed", show(&parent.path))).into())
}

fn owner_of(parent: &Cgroup, name: &str) -> Option<Owner> {
    Owner::of_leaf(name).or_else(|| Owner::of_mark(&parent.child(name).ok()?.mark(MARK)?))
}

fn removed(parent: &Cgroup, name: &str) -> Result<bool> {
    let outcome = parent.child(name).and_then(|leaf| leaf.empty()).and_then(|()| parent.remove(name));
    match outcome {
        Ok(()) => print(&format!("removed {}\n", show(parent.path.join(name)))).map(|()| true),
        Err(error) => {
            print_error(&format!("{}: {error:#}", show(parent.path.join(name))));
            Ok(false)
        }
    }
}

/// Whether the owner is alive, as seen by `me`.
fn life(owner: &Owner, me: &Owner) -> Life {
    if (owner.pid_namespace, owner.time_namespace) != (me.pid_namespace, me.time_namespace) {
        return Life::Unknown("made in another pid or time namespace, from where its owner cannot be seen");
    }
    let Some(pid) = i32::try_from(owner.pid).ok().and_then(Pid::from_raw) else { return Life::Ended };
    // Whether there is such a process is asked of the kernel: /proc may hide one that is there (hidepid).
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(_) => judged(owner, process::process(owner.pid).ok().flatten().as_ref()),
        // No process, or a mere thread of one, has the number now.
        Err(errno) if [Errno::ESRCH, Errno::EINVAL, Errno::ENOENT].contains(&Errno::from_raw(errno.raw_os_error())) => {
            Life::Ended
        }
        Err(_) => Life::Unknown("its owner cannot be looked at (pidfd_open)"),
    }
}

/// Pure: the same, with what /proc shows under the owner's number.
fn judged(owner: &Owner, now: Option<&Process>) -> Life {
    match now {
        None => Life::Unknown("its owner's number is in use, and /proc hides by whom"),
        Some(process) if process.start == owner.start && !process.has_ended() => Life::Goes,
        Some(_) => Life::Ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner { pid: 7, start: 100, pid_namespace: 1, time_namespace: 2 };

    fn seen(start: u64, state: char) -> Process {
        Process { pid: 7, state, start, ..Process::default() }
    }

    #[test]
    fn a_number_that_was_given_to_somebody_else_is_no_owner() {
        assert_eq!(judged(&OWNER, Some(&seen(100, 'S'))), Life::Goes);
        assert_eq!(judged(&OWNER, Some(&seen(101, 'S'))), Life::Ended);
        assert_eq!(judged(&OWNER, Some(&seen(100, 'Z'))), Life::Ended);
    }

    #[test]
    fn what_cannot_be_seen_is_not_killed() {
        assert!(matches!(judged(&OWNER, None), Life::Unknown(_)));
        assert!(matches!(life(&OWNER, &Owner { pid_namespace: 9, ..OWNER }), Life::Unknown(_)));
        assert!(matches!(life(&OWNER, &Owner { time_namespace: 9, ..OWNER }), Life::Unknown(_)));
    }

    #[test]
    fn this_process_is_alive_and_its_double_is_not() {
        let me = look::owner().unwrap();
        assert_eq!(life(&me, &me), Life::Goes);
        assert_eq!(life(&Owner { start: me.start + 1, ..me.clone() }, &me), Life::Ended);
        assert_eq!(life(&Owner { pid: u32::MAX, ..me.clone() }, &me), Life::Ended);
    }
}
