//! Capabilities at the end of a chain.
//!
//! In a new user namespace `ns-unshare` hands every capability on to the links that follow, in the ambient set: the only
//! form that survives execve(2) under every user id (capabilities(7)). They are for the links. Whichever of them executes
//! a program that is not of the family takes them away first, unless somebody said that the program keeps them
//! (`ns-unshare --keep-caps`, `seccomp-exec --keep-caps`). What a user or a service manager gave, without a user
//! namespace of ours, is not touched.
//!
//! The sets themselves do not tell one from the other: a service manager can give the very same. So `ns-unshare` marks what
//! it hands on, and a link that executes another one passes the mark on: by a variable, which the link takes out of its
//! environment before it does anything, so that nothing else that it starts can have it. Whoever forges the mark has a
//! program executed with less; and nobody stands between two links who could take it away.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::unistd::{getresgid, getresuid};
use rustix::thread::{self as rt, CapabilitySet, CapabilitySets};

use crate::failure::{Call as _, Failure, Hint as _, errno_of};
use crate::{Result, sys};

/// The variable that a link has where `ns-unshare` has handed on capabilities to it.
pub const MARK: &str = "CHAIN_CAPABILITIES";

/// Whether this process has them from `ns-unshare`, or is it.
static HANDED_ON: AtomicBool = AtomicBool::new(false);

/// What this process has now is for the links that follow, not for the program behind them.
pub fn hand_on() {
    HANDED_ON.store(true, Ordering::Relaxed);
}

/// Takes the mark of the link before out of the environment, before anything else is done.
pub(crate) fn receive() {
    if sys::take_variable(MARK).is_some() {
        hand_on();
    }
}

/// Takes away what `ns-unshare` handed on; nothing where nothing was.
pub fn take_back() -> Result<()> {
    if !has_handed_on()? {
        return Ok(());
    }
    let all = rt::capabilities(None).call("capget")?.permitted;
    drop_all(all).map_err(given_up)
}

/// Whether it was handed on, and is still there: all that is permitted is inheritable too, and CAP_SYS_ADMIN is ambient.
/// seccomp-exec may have left less, which is what it said, and is the program's then.
pub(crate) fn has_handed_on() -> Result<bool> {
    if !HANDED_ON.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let sets = rt::capabilities(None).call("capget")?;
    Ok(sets.inheritable.contains(CapabilitySet::SYS_ADMIN)
        && sets.inheritable == sets.permitted
        && rt::capability_is_in_ambient_set(CapabilitySet::SYS_ADMIN).call("prctl(PR_CAP_AMBIENT_IS_SET)")?)
}

/// The bounding set can be dropped with CAP_SETPCAP only.
fn given_up(error: anyhow::Error) -> anyhow::Error {
    if errno_of(&error) != Some(Errno::EPERM) {
        return error;
    }
    error.hint("a link before this one gave up CAP_SETPCAP, by which the other capabilities are taken from PROG: put seccomp-exec \
         last, or let it keep setpcap too (--keep-caps), which goes with them")
}

/// Empties the bounding set, from which a program with user id 0 would get them back, of `all`, and the other sets.
pub fn drop_all(all: CapabilitySet) -> Result<()> {
    each(all).try_for_each(|one| rt::remove_capability_from_bounding_set(one).call("prctl(PR_CAPBSET_DROP)"))?;
    let none = CapabilitySet::empty();
    let nothing = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rt::set_capabilities(None, nothing).call("capset")?;
    let now = rt::capabilities(None).call("capget")?;
    if now == nothing { Ok(()) } else { Err(Failure::call("capset", Errno::EPERM).into()) }
}

/// Whether an execve(2) of a file without set-user-ID bit and file capabilities would leave this process's ids and
/// capabilities as they are (capabilities(7), "Transformation of capabilities during execve()").
pub fn exec_changes_nothing() -> Result<bool> {
    let users = getresuid().call("getresuid")?;
    let groups = getresgid().call("getresgid")?;
    let one_user = users.real == users.effective && users.saved == users.effective;
    let one_group = groups.real == groups.effective && groups.saved == groups.effective;
    if !one_user || !one_group || !rt::capabilities_secure_bits().call("prctl(PR_GET_SECUREBITS)")?.is_empty() {
        return Ok(false);
    }
    let sets = rt::capabilities(None).call("capget")?;
    let after = if users.effective.is_root() {
        let bounding = those(!sets.inheritable, rt::capability_is_in_bounding_set).call("prctl(PR_CAPBSET_READ)")?;
        sets.inheritable | bounding
    } else {
        those(sets.permitted, rt::capability_is_in_ambient_set).call("prctl(PR_CAP_AMBIENT_IS_SET)")?
    };
    Ok(sets.permitted == after && sets.effective == after)
}

/// Those of `set` for which `is_in` holds, asked one by one up to the last that this kernel has (EINVAL).
/// Errors: EINVAL already for the first capability of all: the kernel does not have that set.
pub fn those(
    set: CapabilitySet,
    is_in: fn(CapabilitySet) -> rustix::io::Result<bool>,
) -> rustix::io::Result<CapabilitySet> {
    let mut found = CapabilitySet::empty();
    for one in each(set) {
        match is_in(one) {
            Ok(true) => found |= one,
            Ok(false) => {}
            Err(rustix::io::Errno::INVAL) if one.bits() > 1 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// The capabilities of `set`, one by one.
pub fn each(set: CapabilitySet) -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|n| CapabilitySet::from_bits_retain(1 << n)).filter(move |one| set.contains(*one))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capabilities are each thread's own (capabilities(7)), so these threads change nobody else's.
    fn after(change: fn(CapabilitySets) -> CapabilitySets) -> bool {
        let changed = move || {
            rt::set_capabilities(None, change(rt::capabilities(None).unwrap())).unwrap();
            exec_changes_nothing().unwrap()
        };
        std::thread::spawn(changed).join().unwrap()
    }

    #[test]
    fn an_exec_that_would_give_capabilities_back_is_told() {
        const NONE: CapabilitySet = CapabilitySet::empty();
        // As every program that has just been executed.
        assert!(exec_changes_nothing().unwrap());
        assert!(after(|sets| sets));
        // An ordinary user has none to give up.
        if getresuid().unwrap().effective.is_root() {
            assert!(!after(|sets| CapabilitySets { effective: NONE, ..sets }));
            assert!(!after(|_| CapabilitySets { effective: NONE, permitted: NONE, inheritable: NONE }));
            assert!(!after(|sets| CapabilitySets {
                effective: sets.permitted - CapabilitySet::CHOWN,
                permitted: sets.permitted - CapabilitySet::CHOWN,
                inheritable: NONE
            }));
            assert!(after(|sets| CapabilitySets { inheritable: sets.permitted, ..sets }));
        }
    }
}
