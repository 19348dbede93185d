//! `cg-run --gc`: what runs have left behind that were killed with SIGKILL.
//!
//! Only leaves with our name or our mark are touched, and only those whose owner is certainly gone.

use std::path::Path;

use chain::failure::errno_of;
use chain::process::{Identity, Life};
use chain::{Result, print, print_error, refusal, show};

use nix::errno::Errno;

use super::callers;
use crate::look;
use crate::look::cgroup::Cgroup;

/// Removes what is left under the parent, or with `only_look` prints what that would be. That one leaf cannot be removed does
/// not keep the others.
pub fn collect(parent: Option<&Path>, only_look: bool) -> Result<u8> {
    let parent = look::parent(parent)?;
    let me = Identity::of("self")?;
    let mut failed = 0;
    for name in parent.children()? {
        let Some(owner) = look::owner(&parent, &name) else { continue };
        match owner.life(&me) {
            Life::Runs => {}
            Life::Elsewhere => {
                kept(&parent, &name, "made in another pid or time namespace, from where its owner cannot be seen")
            }
            Life::Hidden => kept(&parent, &name, "it cannot be seen here whether its owner still runs"),
            Life::Ended if only_look => print(&format!("would remove {}\n", show(parent.path.join(&name))))?,
            Life::Ended => failed += u32::from(!removed(&parent, &name)?),
        }
    }
    if !only_look {
        callers::move_back(&parent)?;
    }
    if failed == 0 {
        return Ok(0);
    }
    Err(refusal!("{failed} of the leaves under {} could not be removed", show(&parent.path)))
}

fn kept(parent: &Cgroup, name: &str, why: &str) {
    print_error(&format!("{}: kept: {why}", show(parent.path.join(name))));
}

fn removed(parent: &Cgroup, name: &str) -> Result<bool> {
    let path = show(parent.path.join(name));
    let removed = callers::remove_dead(parent, name);
    // Others make their leaves while the next one is emptied.
    callers::unlock(parent)?;
    match removed {
        Ok(true) => print(&format!("removed {path}\n")).map(|()| true),
        Ok(false) => Ok(true),
        // Its run was just about to do that itself.
        Err(error) if errno_of(&error) == Some(Errno::ENOENT) => Ok(true),
        Err(error) => {
            print_error(&format!("{path}: {error:#}"));
            Ok(false)
        }
    }
}
