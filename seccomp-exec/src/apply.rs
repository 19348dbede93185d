//! The only effects. Each is read back from the kernel: a gate that is not shut must not be passed.

mod landlock;
pub mod learn;
pub mod print;
mod standard;

use std::os::fd::RawFd;

use chain::privilege::each;
use chain::terminal::warn_of_typing;
use chain::{Call as _, Common, Hint as _, Result, print_error, refusal, sys};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getppid, setgroups, setresgid, setresuid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits, set_keep_capabilities, set_no_new_privs,
};

use crate::hints;
use crate::look::caller;
use crate::model::bpf::Insn;
use crate::model::capabilities::names;
use crate::plan::filters::denies;
use crate::step::Step;

/// Does the steps. Behind a filter nothing more can be asked, so before the first it warns of a terminal into which PROG
/// could type in spite of them all, and says that PROG is executed.
pub fn steps(common: &Common, steps: &[Step], announce: impl FnOnce()) -> Result<()> {
    let first = steps.iter().position(|step| step.program().is_some()).unwrap_or(steps.len());
    let (before, filters) = steps.split_at(first);
    chain::perform(common, before, step)?;
    let programs: Vec<_> = filters.iter().filter_map(Step::program).collect();
    if !programs.is_empty() {
        warn_of_typing(|push| denies(&programs, push));
    }
    announce();
    chain::perform(common, filters, step)
}

/// Does one step and reads it back.
fn step(step: &Step) -> Result<()> {
    match step {
        Step::Enter(fd) => enter(*fd),
        Step::Groups(groups) => set_groups(groups),
        Step::Group(gid) => bound_as_before(|| set_group(*gid)),
        Step::User(uid) => bound_as_before(|| set_user(*uid)),
        Step::Keyring => leave_session_keyring(),
        Step::Bounding { keep, .. } => set_bounding(*keep),
        Step::Inherit(keep) => set_inherited(*keep),
        Step::Securebits(bits) => add_securebits(*bits),
        Step::Hold { keep, passed_on } => hold(*keep, *passed_on),
        Step::Standard(standard) => standard::open(standard),
        Step::NoNewPrivs => forbid_new_privileges(),
        Step::Landlock(ruleset) => landlock::restrict(ruleset),
        Step::Lost(..) => {
            print_error(&step.to_string());
            Ok(())
        }
        Step::Filter { program, ask, .. } => attach(program, *ask),
        Step::Listen { program, socket, mark, .. } => attach_asking(program, *socket, *mark),
    }
}

/// It has every capability in there, and is hidden from the processes that are there already until it has given them up:
/// exec makes it visible again.
fn enter(fd: RawFd) -> Result<()> {
    prctl::set_dumpable(false).call("prctl(PR_SET_DUMPABLE, 0)")?;
    let file = sys::borrowed(fd).call(&format!("--userns-fd {fd}: fcntl"))?;
    let within = "it must be below the one that this process is in, and that must be its owner's (user_namespaces(7))";
    setns(file, CloneFlags::CLONE_NEWUSER).call("setns").hinted(&[
        (Errno::EPERM, within),
        (Errno::EINVAL, "not a user namespace, or the one that this process is in already"),
    ])
}

/// The kernel must have what was set.
fn confirmed<T: PartialEq + std::fmt::Debug>(what: &str, now: &T, set: &T) -> Result<()> {
    if now == set {
        return Ok(());
    }
    Err(refusal!("the {what} is {now:?} afterwards, not {set:?}"))
}

fn set_groups(groups: &[u32]) -> Result<()> {
    let gids: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    setgroups(&gids).call("setgroups").map_err(|error| hints::of_ids(error, CapabilitySet::SETGID))?;
    confirmed("list of supplementary groups", &caller::groups()?.as_slice(), &groups)
}

/// A change of ids takes away what a link above has left behind for the case of its own death (PR_SET_PDEATHSIG,
/// prctl(2)): a payload that nobody supervises any more would go on.
fn bound_as_before(change: impl FnOnce() -> Result<()>) -> Result<()> {
    let (parent, signal) = (getppid(), prctl::get_pdeathsig().call("prctl(PR_GET_PDEATHSIG)")?);
    change()?;
    prctl::set_pdeathsig(signal).call("prctl(PR_SET_PDEATHSIG)")?;
    if signal.is_some() && getppid() != parent {
        return Err(refusal!("the process that started this link is gone"));
    }
    Ok(())
}

fn set_group(gid: u32) -> Result<()> {
    let all = Gid::from_raw(gid);
    setresgid(all, all, all).call("setresgid").map_err(|error| hints::of_ids(error, CapabilitySet::SETGID))?;
    confirmed("group", &caller::group()?, &[gid; 3])
}

/// Leaving user 0 empties the permitted set unless PR_SET_KEEPCAPS says otherwise. Here nothing is given up
/// yet: the steps that follow do that. The effective set is emptied all the same, and filled again here.
fn set_user(uid: u32) -> Result<()> {
    let all = Uid::from_raw(uid);
    set_keep_capabilities(true).call("prctl(PR_SET_KEEPCAPS)")?;
    setresuid(all, all, all).call("setresuid").map_err(|error| hints::of_ids(error, CapabilitySet::SETUID))?;
    set_keep_capabilities(false).call("prctl(PR_SET_KEEPCAPS)")?;
    confirmed("user", &caller::user()?, &[uid; 3])?;
    let now = caller::sets()?;
    set_sets(CapabilitySets { effective: now.permitted, ..now })
}

/// After the ids: the new keyring belongs to the payload's user.
fn leave_session_keyring() -> Result<()> {
    let joined = sys::keyring::join_new().call("keyctl(KEYCTL_JOIN_SESSION_KEYRING)")?;
    let now = sys::keyring::session().call("keyctl(KEYCTL_GET_KEYRING_ID)")?;
    confirmed("session keyring", &now, &joined)
}

/// Drops without asking what is there, up to the last that this kernel has (EINVAL); then asks for all of them.
fn set_bounding(keep: CapabilitySet) -> Result<()> {
    let now = caller::sets()?;
    set_sets(CapabilitySets { effective: now.permitted, ..now })?;
    for one in each(CapabilitySet::all() - keep) {
        match remove_capability_from_bounding_set(one) {
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(errno).call(&format!("prctl(PR_CAPBSET_DROP, CAP_{})", names(one))),
            Ok(()) => {}
        }
    }
    confirmed("rest of the bounding set", &(caller::bounding()? - keep), &CapabilitySet::empty())
}

/// The ambient set can only hold what is inheritable and permitted, so it comes second.
fn set_inherited(keep: CapabilitySet) -> Result<()> {
    let now = caller::sets()?;
    set_sets(CapabilitySets { inheritable: keep, ..now })?;
    clear_ambient_capability_set().call("prctl(PR_CAP_AMBIENT_CLEAR_ALL)")?;
    for one in each(keep) {
        let call = format!("prctl(PR_CAP_AMBIENT_RAISE, CAP_{})", names(one));
        configure_capability_in_ambient_set(one, true).call(&call)?;
    }
    Ok(())
}

fn add_securebits(bits: CapabilitiesSecureBits) -> Result<()> {
    let bits = caller::securebits()? | bits;
    let hinted = |error: anyhow::Error| error.hint(hints::missing(CapabilitySet::SETPCAP));
    set_capabilities_secure_bits(bits).call("prctl(PR_SET_SECUREBITS)").map_err(hinted)?;
    confirmed("set of securebits", &caller::securebits()?.bits(), &bits.bits())
}

/// What is ambient is also inheritable and permitted (capabilities(7)), and both have just been read back: the ambient set
/// holds nothing else, and is asked for what it must hold.
fn hold(keep: CapabilitySet, passed_on: CapabilitySet) -> Result<()> {
    set_sets(CapabilitySets { effective: keep, permitted: keep, inheritable: passed_on })?;
    confirmed("ambient set", &caller::ambient(passed_on)?, &passed_on)
}

fn set_sets(sets: CapabilitySets) -> Result<()> {
    set_capabilities(None, sets).call("capset")?;
    confirmed("capability state", &caller::sets()?, &sets)
}

fn forbid_new_privileges() -> Result<()> {
    set_no_new_privs(true).call("prctl(PR_SET_NO_NEW_PRIVS)")?;
    confirmed("no_new_privs bit", &caller::has_no_new_privs()?, &true)
}

/// Attaching is all or nothing. The kernel is asked for confirmation unless the filters themselves forbid asking.
fn attach(program: &[Insn], ask: bool) -> Result<()> {
    sys::seccomp_attach(&program.iter().map(|insn| insn.raw()).collect::<Vec<_>>())
        .call("seccomp(SECCOMP_SET_MODE_FILTER)")?;
    if ask {
        confirmed("filter mode", &caller::is_filtered()?, &true)?;
    }
    Ok(())
}

/// Behind the filter nothing may be called before the listener is under way: nobody would answer. That there is a listener
/// is the kernel's confirmation.
fn attach_asking(program: &[Insn], socket: RawFd, mark: u64) -> Result<()> {
    let socket = sys::borrowed(socket).call(&format!("--notify-fd {socket}: fcntl"))?;
    let program: Vec<_> = program.iter().map(|insn| insn.raw()).collect();
    let busy = "a filter with a listener is attached already, and the kernel takes one";
    let listener =
        sys::listener::attach(&program).call("seccomp(SECCOMP_SET_MODE_FILTER)").hinted(&[(Errno::EBUSY, busy)])?;
    sys::listener::send(socket, &listener, mark).call("sendmsg of the listener")
}
