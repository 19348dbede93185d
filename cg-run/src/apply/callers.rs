//! Those that were in the parent itself: moved aside while its children have controllers (no-internal-process rule), and back
//! by the last run under it.
//!
//! Runs that begin and end at the same time must not undo each other's work. So it is done under a lock on the parent's
//! directory, which is held until the leaf is there and tells the others of this run.

use std::time::{Duration, Instant};

use chain::failure::errno_of;
use chain::process::{Identity, Life};
use chain::{Call as _, Context as _, Hint as _, Result, refusal, show};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::geteuid;
use rustix::fs::{FlockOperation, flock};

use super::cgroup::PATIENCE;
use crate::hints;
use crate::look;
use crate::look::cgroup::{Cgroup, is_populated};
use crate::look::family::{self, Inside, inside};
use crate::model::leaf::CALLERS;

/// The attribute of the leaf of callers that names the controllers which runs have enabled.
const ENABLED: &str = "user.chainbox.enabled";

/// How often those are looked for that were started meanwhile. Whoever is aside starts its children there.
const ROUNDS: u32 = 100;

/// Locks the parent. Whoever can see a directory can hold a lock on it, so nobody waits for ever.
fn lock(parent: &Cgroup) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Err(errno) = flock(parent, FlockOperation::NonBlockingLockExclusive) {
        if errno != rustix::io::Errno::WOULDBLOCK || Instant::now() > deadline {
            return Err(errno).call(&format!("flock {}", show(&parent.path)));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Takes the lock away, if this process holds it.
pub fn unlock(parent: &Cgroup) -> Result<()> {
    flock(parent, FlockOperation::Unlock).call("flock")
}

/// Moves what is in the parent aside; `callers` too, or cg-run alone. The parent stays locked.
pub fn move_aside(parent: &Cgroup, callers: bool) -> Result<()> {
    lock(parent)?;
    match parent.make(CALLERS) {
        Err(error) if errno_of(&error) != Some(Errno::EEXIST) => return Err(error).hinted(hints::NOT_MADE),
        _ => {}
    }
    gather(parent, callers)
}

fn gather(parent: &Cgroup, callers: bool) -> Result<()> {
    let aside = parent.child(CALLERS)?;
    for _ in 0..ROUNDS {
        match inside(parent, callers)? {
            Inside::Nobody => return Ok(()),
            Inside::OnlySelf => family::own().into_iter().try_for_each(|pid| put(&aside, pid))?,
            Inside::Family(pids) => pids.into_iter().try_for_each(|pid| put(&aside, pid))?,
            Inside::Others => {
                return Err(refusal!("other processes have come into {}", show(&parent.path)));
            }
        }
    }
    Err(refusal!("new processes keep coming into {}", show(&parent.path)))
}

/// Moves a process. One that has ended is where it should be.
fn put(into: &Cgroup, pid: u32) -> Result<()> {
    match into.write("cgroup.procs", &pid.to_string()) {
        Err(error) if errno_of(&error) == Some(Errno::ESRCH) => Ok(()),
        other => other.with_context(|| format!("move process {pid} into {}", show(&into.path))),
    }
}

/// Enables controllers in a parent whose processes are aside, and notes which were not enabled before.
pub fn enable(parent: &Cgroup, controllers: &[String], callers: bool) -> Result<()> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let there = words(&parent.read("cgroup.subtree_control")?);
    let aside = parent.child(CALLERS)?;
    let mut noted = words(&aside.mark(ENABLED).unwrap_or_default());
    noted.extend(controllers.iter().filter(|name| !there.contains(name)).cloned());
    aside.note(ENABLED, &noted.join(" "))?;
    for _ in 0..ROUNDS {
        match parent.enable(controllers) {
            // Somebody was started there between the look and now.
            Err(error) if errno_of(&error) == Some(Errno::EBUSY) => gather(parent, callers)?,
            other => return other,
        }
    }
    parent.enable(controllers)
}

/// Takes away again what a failed run has enabled, unless anybody is there, or is just about to be, who may rely on it.
pub fn take_back(parent: &Cgroup, controllers: &[String]) -> Result<()> {
    if controllers.is_empty() || flock(parent, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    let words: Vec<String> = controllers.iter().map(|name| format!("-{name}")).collect();
    let alone = parent.children()?.is_empty();
    let done = if alone { parent.write("cgroup.subtree_control", &words.join(" ")) } else { Ok(()) };
    done.and(unlock(parent))
}

/// Removes the leaf `name` if its run was killed, and says whether it was removed. Another may remove it too and make its own,
/// so the name is looked at again under the lock, which is kept.
pub fn remove_dead(parent: &Cgroup, name: &str) -> Result<bool> {
    let me = Identity::of("self")?;
    let dead = || look::owner(parent, name).is_some_and(|owner| owner.life(&me) == Life::Ended);
    if !dead() {
        return Ok(false);
    }
    let leaf = parent.child(name)?;
    // The open one is of the dead, whoever has the name next.
    if dead() {
        leaf.empty(PATIENCE)?;
    }
    lock(parent)?;
    if dead() { parent.remove(name).map(|()| true) } else { Ok(false) }
}

/// Moves those back that are aside, unless another run is under this parent: then its end does it. Controllers first: while
/// they are enabled nobody may enter the parent.
pub fn move_back(parent: &Cgroup) -> Result<()> {
    if parent.child(CALLERS).is_err() {
        return unlock(parent);
    }
    lock(parent)?;
    // It may have gone before there was the lock.
    let done = match parent.child(CALLERS) {
        Ok(aside) if !has_runs(parent)? => restore(parent, &aside),
        _ => Ok(()),
    };
    done.and(unlock(parent))
}

fn has_runs(parent: &Cgroup) -> Result<bool> {
    let is_run = |name: &String| look::owner(parent, name).is_some() || is_given_away(parent, name);
    Ok(parent.children()?.iter().any(is_run))
}

/// Whether somebody else has this leaf and is in it (`--delegate`): he can take its mark away.
fn is_given_away(parent: &Cgroup, name: &str) -> bool {
    let Ok(leaf) = parent.child(name) else { return false };
    fstat(&leaf).is_ok_and(|facts| facts.st_uid != geteuid().as_raw())
        && leaf.read("cgroup.events").is_ok_and(|events| is_populated(&events))
}

fn restore(parent: &Cgroup, aside: &Cgroup) -> Result<()> {
    let noted = aside.mark(ENABLED).unwrap_or_default();
    let words: Vec<String> = noted.split_whitespace().map(|name| format!("-{name}")).collect();
    if !words.is_empty() {
        parent.write("cgroup.subtree_control", &words.join(" "))?;
    }
    for _ in 0..ROUNDS {
        // 0, a process of another pid namespace, would be this one.
        let pids: Vec<u32> =
            aside.read("cgroup.procs")?.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        pids.into_iter().filter(|pid| *pid != 0).try_for_each(|pid| put(parent, pid))?;
        match parent.remove(CALLERS) {
            // Somebody was started there meanwhile; or one is ending, who is not listed any more and holds it for a moment.
            Err(error) if errno_of(&error) == Some(Errno::EBUSY) => std::thread::sleep(Duration::from_millis(5)),
            other => return other,
        }
    }
    parent.remove(CALLERS)
}
