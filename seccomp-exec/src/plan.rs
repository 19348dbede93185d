//! Pure: what was asked for and what is, to the steps of the gate, in the only order that works.
//!
//! Ids change while CAP_SETUID and CAP_SETGID are there; the bounding set and the securebits while CAP_SETPCAP is;
//! no_new_privs makes the filter attachable without CAP_SYS_ADMIN; and after the filter nothing is to be done but exec.

use std::os::fd::RawFd;

use chain::sys::Push;
use chain::{Failure, Result};
use nix::libc;

use crate::args::{Keep, Request};
use crate::bpf::{self, Insn};
use crate::calls::number_of;
use crate::capset::CapSet;
use crate::filters::Filter;
use crate::landlock::{self, Ruleset};
use crate::look::Facts;
use crate::notify;
use crate::policy::{Data, I386, Verdict, X32_FIRST, X86_64};
use crate::presets::{self, TCP_GUARD};
use crate::step::Step;

/// The steps.
///
/// # Errors
/// A combination that cannot work, or that would leave the payload more than it says.
pub fn steps(request: &Request, facts: &Facts) -> Result<Vec<Step>> {
    let keep = kept(request.keep, facts)?;
    let mut steps = ids(request, facts);
    steps.extend(request.new_keyring.then_some(Step::Keyring));
    steps.extend(bounding(request, facts)?);
    steps.push(Step::Inherit(keep));
    if !request.securebits.is_empty() {
        steps.push(Step::Securebits(request.securebits));
    }
    steps.push(Step::Hold(keep));
    if !request.allow_new_privs {
        steps.push(Step::NoNewPrivs);
    } else if (!facts.filters.is_empty() || request.landlock.is_anything()) && !keep.has(CapSet::SYS_ADMIN) {
        return Err(filter_needs_admin());
    }
    let landlock = landlock(request, facts)?;
    let guard = if landlock.is_about_tcp() { presets::find(TCP_GUARD).map(Filter::preset).transpose()? } else { None };
    steps.extend(landlock_steps(request, facts, landlock));
    let all: Vec<&Filter> = guard.iter().chain(&facts.filters).collect();
    steps.extend(filters(&all, request, facts.mark)?);
    Ok(steps)
}

/// What this kernel's Landlock can do of what was asked for: all of it, unless the request says otherwise.
fn landlock(request: &Request, facts: &Facts) -> Result<Ruleset> {
    let wanted = &request.landlock;
    let lost = wanted.lost(facts.landlock);
    if let (Some(first), false) = (lost.first(), wanted.if_supported) {
        let has = if facts.landlock == 0 { "none".to_owned() } else { format!("ABI {}", facts.landlock) };
        let text = format!("Landlock: this kernel has {has}, and {} needs ABI {}", first.name, first.abi);
        return Err(Failure::refusal(text)
            .hint(format!(
                "Linux {} has it; --landlock-if-supported does without, and says so",
                landlock::since(first.abi)
            ))
            .into());
    }
    Ok(wanted.ruleset(facts.landlock))
}

fn landlock_steps(request: &Request, facts: &Facts, ruleset: Ruleset) -> Vec<Step> {
    let lost = request.landlock.lost(facts.landlock);
    let lost = (!lost.is_empty()).then_some(Step::Lost(facts.landlock, lost));
    let restrict = (!ruleset.is_empty()).then_some(Step::Landlock(ruleset));
    lost.into_iter().chain(restrict).collect()
}

/// The hint for an empty bounding set.
pub const TAKEN: &str = "nothing is left in the bounding set: what ns-unshare hands on is for the tools, and ends at a program \
    that is none of them (env, nice, a shell) and at another seccomp-exec; such a program belongs before ns-unshare or behind \
    the last link";

/// The capabilities that stay: all of them must be there.
fn kept(keep: Keep, facts: &Facts) -> Result<CapSet> {
    let Keep::Only(wanted) = keep else { return Ok(facts.permitted) };
    let lacking = wanted.without(facts.permitted.and(facts.bounding.unwrap_or(CapSet::ALL)));
    if lacking.is_empty() || facts.explaining {
        return Ok(wanted);
    }
    let refusal = Failure::refusal(format!("--keep-caps: this process has no {lacking} to keep"));
    let taken = facts.bounding.is_some_and(CapSet::is_empty);
    Err(if taken { refusal.hint(TAKEN) } else { refusal }.into())
}

fn ids(request: &Request, facts: &Facts) -> Vec<Step> {
    let Some(ids) = &request.user else { return vec![] };
    // Groups that are right already are left alone: setgroups(2) is denied where there may be nothing to do.
    let groups = (ids.groups != facts.groups || facts.explaining).then(|| Step::Groups(ids.groups.clone()));
    groups.into_iter().chain([Step::Group(ids.gid), Step::User(ids.uid)]).collect()
}

/// Without CAP_SETPCAP the bounding set stays, and no_new_privs makes it mean nothing.
fn bounding(request: &Request, facts: &Facts) -> Result<Option<Step>> {
    let keep = match request.keep {
        Keep::All => return Ok(None),
        Keep::Only(keep) => keep,
    };
    if facts.bounding.is_some_and(|bounding| keep.has(bounding)) && !facts.explaining {
        return Ok(None);
    }
    let sure = facts.permitted.has(CapSet::SETPCAP);
    if sure || facts.explaining {
        return Ok(Some(Step::Bounding { keep, sure }));
    }
    if request.allow_new_privs {
        return Err(Failure::refusal("--allow-new-privs: the bounding set cannot be dropped without CAP_SETPCAP")
            .hint("without no_new_privs a setuid program could take capabilities from it")
            .into());
    }
    Ok(None)
}

fn filter_needs_admin() -> anyhow::Error {
    Failure::refusal("--allow-new-privs: a filter or Landlock without no_new_privs needs CAP_SYS_ADMIN")
        .hint("add --keep-caps sys_admin, or leave --allow-new-privs away (seccomp(2), landlock(7))")
        .into()
}

/// The filters in the order of the command line, one that asks last. Each must let this process do what still has to be
/// done.
fn filters(all: &[&Filter], request: &Request, mark: u64) -> Result<Vec<Step>> {
    let (asking, plain): (Vec<&Filter>, Vec<&Filter>) = all.iter().partition(|filter| notify::asks(&filter.program));
    let asking = listener(&asking, request.notify_fd)?;
    let mut steps = vec![];
    let mut ask = true;
    for (n, filter) in plain.iter().enumerate() {
        let follows = n + 1 < plain.len() || asking.is_some();
        needs(filter, still_needed(follows, asking.is_some()), Verdict::lets_pass)?;
        ask &= lets_pass(&filter.program, const { number_of("prctl") }, libc::PR_GET_SECCOMP as u64);
        steps.push(Step::Filter { name: filter.name.clone(), program: filter.program.clone(), ask });
    }
    if let Some((filter, socket)) = asking {
        needs(filter, still_needed(false, false), |verdict| verdict.lets_pass() || verdict == Verdict::NOTIFY)?;
        let program = notify::with_door(&filter.program, mark);
        steps.push(Step::Listen { name: filter.name.clone(), program, socket, mark });
    }
    Ok(steps)
}

/// The filter that asks, and the socket for its listener.
fn listener<'a>(asking: &[&'a Filter], socket: Option<RawFd>) -> Result<Option<(&'a Filter, RawFd)>> {
    match (asking, socket) {
        ([], None) => Ok(None),
        ([filter], Some(socket)) => Ok(Some((filter, socket))),
        ([], Some(_)) => Err(Failure::refusal("--notify-fd: no filter answers notify").into()),
        ([filter, ..], None) => Err(Failure::refusal(format!("filter {}: it asks a supervisor (notify)", filter.name))
            .hint("--notify-fd N sends the listener to one")
            .into()),
        ([one, two, ..], Some(_)) => {
            let text = format!("filters {} and {} ask (notify): the kernel takes one that does", one.name, two.name);
            Err(Failure::refusal(text).into())
        }
    }
}

fn needs(filter: &Filter, calls: impl Iterator<Item = u32>, suffices: fn(Verdict) -> bool) -> Result<()> {
    for call in calls {
        if !answer(&filter.program, call, 0).is_some_and(suffices) {
            let name = crate::calls::name(call).unwrap_or_default();
            let text = format!("filter {}: it denies {name}, which executing PROG needs", filter.name);
            return Err(Failure::refusal(text).into());
        }
    }
    Ok(())
}

/// What this process calls between a filter and the payload: `more` where another filter follows, `listener` where one
/// has to be sent.
fn still_needed(more: bool, listener: bool) -> impl Iterator<Item = u32> {
    let exec = const { [number_of("close_range"), number_of("execve")] };
    let next = more.then_some(const { number_of("seccomp") });
    let send = listener.then_some(const { number_of("sendmsg") });
    exec.into_iter().chain(next).chain(send)
}

/// The filters among the steps.
#[must_use]
pub fn programs(steps: &[Step]) -> Vec<&[Insn]> {
    steps.iter().filter_map(Step::program).collect()
}

/// How a program can call ioctl(2): its numbers for x86_64, for x32 twice (the plain one reaches it too), and for i386.
const IOCTL: [(u32, u32); 4] =
    [(X86_64, number_of("ioctl")), (X86_64, X32_FIRST + number_of("ioctl")), (X86_64, X32_FIRST + 514), (I386, 54)];

/// Whether these filters keep a program from pushing bytes into a terminal, in each way to call the kernel, and with
/// anything in the upper half of the register, which the kernel does not read (CVE-2019-10063). A supervisor that is
/// asked may say yes, and so may a tracer.
#[must_use]
pub fn denies(filters: &[&[Insn]], push: Push) -> bool {
    let ways = IOCTL.into_iter().flat_map(|way| [0, 1, u64::from(u32::MAX)].map(|upper| (way, upper)));
    let datas = ways.map(|((arch, nr), upper)| {
        let request = upper << 32 | u64::from(push.request());
        Data { nr, arch, args: [0, request, 0, 0, 0, 0], ..Data::default() }
    });
    let mut datas = datas.filter(|data| data.arch == X86_64 || data.args[1] >> 32 == 0);
    datas.all(|data| filters.iter().any(|program| bpf::run(program, &data).is_some_and(Verdict::denies)))
}

fn lets_pass(program: &[Insn], nr: u32, first: u64) -> bool {
    answer(program, nr, first).is_some_and(Verdict::lets_pass)
}

fn answer(program: &[Insn], nr: u32, first: u64) -> Option<Verdict> {
    bpf::run(program, &Data { nr, arch: X86_64, args: [first, 0, 0, 0, 0, 0], ..Data::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;
    use crate::landlock::{Grant, Wanted};
    use crate::presets::find;
    use rustix::thread::CapabilitiesSecureBits;

    const ROOT: Facts = Facts {
        permitted: CapSet(0x1ff_ffff_ffff),
        bounding: Some(CapSet(0x1ff_ffff_ffff)),
        groups: vec![],
        landlock: 7,
        filters: vec![],
        mark: 0,
        explaining: false,
    };

    fn user() -> Facts {
        Facts { permitted: CapSet::EMPTY, ..ROOT }
    }

    fn request() -> Request {
        Request::nothing()
    }

    fn preset(name: &str) -> Vec<Filter> {
        vec![Filter::preset(find(name).unwrap()).unwrap()]
    }

    fn filter_name(step: &Step) -> Option<&str> {
        if let Step::Filter { name, .. } = step { Some(name) } else { None }
    }

    fn refusal(request: &Request, facts: &Facts) -> String {
        steps(request, facts).unwrap_err().to_string()
    }

    #[test]
    fn everything_goes_in_the_only_order() {
        let request = Request {
            user: Some(Ids { uid: 1, gid: 2, groups: vec![3] }),
            securebits: CapabilitiesSecureBits::NO_ROOT,
            new_keyring: true,
            landlock: Wanted { connect: Some(vec![]), ..Wanted::default() },
            ..request()
        };
        let steps = steps(&request, &Facts { filters: preset("tty-guard"), ..ROOT }).unwrap();
        let names: Vec<_> = steps.iter().filter_map(filter_name).collect();
        assert_eq!(names, ["tcp-guard", "tty-guard"]);
        assert!(matches!(
            steps.as_slice(),
            [
                Step::Groups(_),
                Step::Group(2),
                Step::User(1),
                Step::Keyring,
                Step::Bounding { sure: true, .. },
                Step::Inherit(CapSet::EMPTY),
                Step::Securebits(_),
                Step::Hold(CapSet::EMPTY),
                Step::NoNewPrivs,
                Step::Landlock(_),
                Step::Filter { .. },
                Step::Filter { ask: true, .. },
            ]
        ));
    }

    #[test]
    fn what_landlock_lacks_is_an_error_unless_it_may_be_lost() {
        let paths = Wanted { paths: vec![(Grant::Ro, "/".into())], bind: Some(vec![80]), ..Wanted::default() };
        let old = Facts { landlock: 3, ..ROOT };
        let exact = Request { landlock: paths.clone(), ..request() };
        assert_eq!(refusal(&exact, &old), "Landlock: this kernel has ABI 3, and ioctl_dev needs ABI 5");
        assert!(refusal(&exact, &Facts { landlock: 0, ..ROOT }).contains("has none, and execute needs ABI 1"));
        let loose = Request { landlock: Wanted { if_supported: true, ..paths }, ..request() };
        let tail = |facts| steps(&loose, facts).unwrap()[4..].to_vec();
        let steps = tail(&old);
        let [Step::Lost(3, lost), Step::Landlock(ruleset)] = steps.as_slice() else { panic!("{steps:?}") };
        assert_eq!(landlock::names(lost), "ioctl_dev, bind_tcp");
        assert_eq!((ruleset.handled.fs, ruleset.handled.net, ruleset.ports.len()), (0x7fff, 0, 0));
        let none = Facts { landlock: 0, ..ROOT };
        assert!(matches!(&tail(&none)[..], [Step::Lost(0, lost)] if lost.len() == 17));
        assert!(matches!(&tail(&ROOT)[..], [Step::Landlock(_), Step::Filter { .. }]));
    }

    #[test]
    fn a_bounding_set_that_must_stay_needs_no_new_privs() {
        let plain = steps(&request(), &user()).unwrap();
        assert_eq!(plain, [Step::Inherit(CapSet::EMPTY), Step::Hold(CapSet::EMPTY), Step::NoNewPrivs]);
        let open = Request { allow_new_privs: true, ..request() };
        assert!(refusal(&open, &user()).contains("cannot be dropped without CAP_SETPCAP"));
        assert!(steps(&open, &ROOT).is_ok());
    }

    #[test]
    fn a_filter_without_no_new_privs_needs_the_capability() {
        let open = Request { allow_new_privs: true, ..request() };
        let facts = Facts { filters: preset("default"), ..ROOT };
        assert!(refusal(&open, &facts).contains("needs CAP_SYS_ADMIN"));
        assert!(steps(&Request { keep: Keep::Only(CapSet::SYS_ADMIN), ..open }, &facts).is_ok());
    }

    #[test]
    fn what_is_not_there_cannot_be_kept() {
        let request = Request { keep: Keep::Only(CapSet::SYS_ADMIN), ..request() };
        assert_eq!(refusal(&request, &user()), "--keep-caps: this process has no sys_admin to keep");
        assert!(refusal(&request, &Facts { bounding: Some(CapSet::SETPCAP), ..ROOT }).contains("no sys_admin"));
        assert!(steps(&request, &Facts { explaining: true, ..user() }).is_ok());
    }

    #[test]
    fn groups_that_are_right_already_are_left_alone() {
        let request = Request { user: Some(Ids { uid: 1, gid: 1, groups: vec![4, 5] }), ..request() };
        let facts = Facts { groups: vec![4, 5], ..ROOT };
        assert_eq!(steps(&request, &facts).unwrap()[..2], [Step::Group(1), Step::User(1)]);
        assert!(matches!(steps(&request, &ROOT).unwrap()[0], Step::Groups(_)));
    }

    #[test]
    fn a_guard_is_known_by_what_its_filters_answer() {
        let denied = |names: &[&str]| {
            let filters: Vec<Filter> = names.iter().flat_map(|name| preset(name)).collect();
            let programs: Vec<&[Insn]> = filters.iter().map(|filter| filter.program.as_slice()).collect();
            Push::ALL.map(|push| denies(&programs, push))
        };
        for guard in ["default", "tty-guard", "judge", "strict"] {
            assert_eq!(denied(&[guard]), [true; 2], "{guard}");
            assert_eq!(denied(&["no-setuid", guard]), [true; 2], "{guard}");
        }
        for other in ["no-setuid", "no-userns", "no-covert", "tcp-guard"] {
            assert_eq!(denied(&[other]), [false; 2], "{other}");
        }
        assert_eq!(denied(&[]), [false; 2]);
        let logged = preset("default").remove(0).logged().unwrap();
        assert!(!denies(&[&logged.program], Push::Typed));
    }

    #[test]
    fn a_filter_that_forbids_exec_is_refused_before_anything_happens() {
        let mut policy = (find("tty-guard").unwrap().policy)();
        policy.calls.insert(number_of("execve"), crate::policy::Rule::always(Verdict::KILL_PROCESS));
        let facts = Facts { filters: vec![Filter::new("tty-guard".to_owned(), policy).unwrap()], ..ROOT };
        assert_eq!(refusal(&request(), &facts), "filter tty-guard: it denies execve, which executing PROG needs");
    }
}
