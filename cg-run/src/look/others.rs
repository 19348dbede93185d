//! Other runs under the same parent: those that go on, and those that were killed.

use std::time::Duration;

use chain::process::{Identity, Life};
use rustix::fs::{FlockOperation, flock};

use super::cgroup::Cgroup;
use crate::model::leaf;

/// Keeps it as it is until the leaf has been made: a run that fails takes controllers back only where nobody holds it. Anybody may
/// who can see it, so who does that for long is not waited for.
pub fn hold(parent: &Cgroup) {
    let held = || flock(parent, FlockOperation::NonBlockingLockShared).is_ok();
    for _ in 0..10 {
        if held() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many leaves a run asks for their owners: beside many runs not each looks at all, and each looks at others.
const ASKED: usize = 4;

/// Leaves whose names tell of runs that have ended and were not there to remove them.
pub fn dead(parent: &Cgroup, me: &Identity) -> Vec<String> {
    let mut names = parent.children().unwrap_or_default();
    names.retain(|name| leaf::owner(name).is_some());
    if let Some(first) = (me.pid as usize).checked_rem(names.len()) {
        names.rotate_left(first);
    }
    let ended = |name: &String| leaf::owner(name).is_some_and(|owner| owner.life(me) == Life::Ended);
    names.into_iter().take(ASKED).filter(ended).collect()
}
