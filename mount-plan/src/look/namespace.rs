//! Whose mount namespace this is.
//!
//! pivot_root(2) changes the root of every process of the namespace that stood on the old one. If root typed
//! mount-plan in a shell, it would change the root of that shell, and in the machine's own namespace the root of the machine. So the
//! namespace must be this chain's alone: shared neither with the process that started this link nor with the first process
//! of the PID namespace. The one process that may share it is ns-unshare, which stays as the init of a box.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use chain::process::{in_user_namespace, whole};
use chain::{Call as _, Hint as _, Result, refusal};
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};

/// Refuses a namespace that is, or may be, somebody else's.
pub fn refuse_shared_namespace() -> Result<()> {
    // The first process of a PID namespace is where a chain may begin; of the machine it is its init.
    if nix::unistd::getpid().as_raw() == 1 {
        return Ok(());
    }
    let own = std::fs::read_link("/proc/self/ns/mnt").map_err(|_| refused("there is no /proc to tell by"))?;
    let parent = parent()?;
    if parent != 0 && !is_ns_unshare(parent) && (shares(parent, &own)? || hides_that_it_shares(parent)) {
        return Err(refused("the process that started it shares it"));
    }
    if parent != 1 && shares(1, &own)? {
        return Err(refused("the first process shares it"));
    }
    Ok(())
}

/// What `id` of this user namespace is in the one around it; `None` where its map, `uid_map` or `gid_map`, does not have it.
pub fn outside(map: &str, id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/{map}")).unwrap_or_default();
    text.lines().find_map(|line| {
        let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [first, outside, count] = *numbers.as_slice() else { return None };
        let place = u64::from(id).checked_sub(first)?;
        (place < count).then_some(outside + place)
    })
}

fn refused(why: &str) -> anyhow::Error {
    refusal!("this mount namespace is not this chain's own: {why}").hint(
        "run it directly under ns-unshare --mount (an ordinary user: ns-unshare --user --mount); in a script of that \
         namespace: exec mount-plan",
    )
}

/// The parent in the numbers of this /proc, which may be that of another PID namespace; 0 where it is outside.
fn parent() -> Result<u32> {
    let process = chain::process::process("self")?;
    process.map(|process| process.parent).ok_or_else(|| refused("there is no /proc/self"))
}

fn is_ns_unshare(pid: u32) -> bool {
    whole(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == b"ns-unshare\n")
}

/// Whether process `pid` lives in the mount namespace `own`.
fn shares(pid: u32, own: &Path) -> Result<bool> {
    match std::fs::read_link(format!("/proc/{pid}/ns/mnt")) {
        Ok(theirs) => Ok(theirs == own),
        // It belongs to another user, or to a user namespace above: this mount namespace was made in ours.
        Err(_) if in_user_namespace() => Ok(false),
        Err(_) => has_our_root(pid),
    }
}

/// Whether process `pid` shares our mount namespace although its `ns/mnt` cannot be read from here: a resident link that was
/// executed outside and went on in here (`chain::in_process`). A process whose mounts cannot be read is outside.
fn hides_that_it_shares(pid: u32) -> bool {
    has_our_root(pid).unwrap_or(false)
}

/// Whether the mount that is our root is mounted for process `pid`: mount ids are unique in the whole kernel, and
/// mountinfo may be read where `ns/mnt` may not.
fn has_our_root(pid: u32) -> Result<bool> {
    let facts = statx(CWD, "/", AtFlags::empty(), StatxFlags::MNT_ID).call("statx(/, STATX_MNT_ID)")?;
    is_mounted_for(&pid.to_string(), &facts)
}

/// Whether what `file` is open on is mounted somewhere in this namespace.
pub fn is_mounted_here(file: impl AsFd) -> Result<bool> {
    let facts = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).call("statx(STATX_MNT_ID)")?;
    is_mounted_for("self", &facts)
}

fn is_mounted_for(process: &str, facts: &Statx) -> Result<bool> {
    let path = PathBuf::from(format!("/proc/{process}/mountinfo"));
    let theirs = whole(&path).call(&format!("read of {}", path.display()))?;
    let ours = facts.stx_mnt_id.to_string();
    // Before Linux 5.8 there is no id to compare: then it may be.
    let known = facts.stx_mask & StatxFlags::MNT_ID.bits() != 0 && !theirs.is_empty();
    let mut ids = theirs.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').next());
    Ok(!known || ids.any(|id| id == ours.as_bytes()))
}
