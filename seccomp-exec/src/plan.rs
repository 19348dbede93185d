//! Pure: what was requested and what is, to the steps of the gate, in the only order that works.
//!
//! Ids change while CAP_SETUID and CAP_SETGID are there; the bounding set and the securebits while CAP_SETPCAP is;
//! no_new_privs makes the filter attachable without CAP_SYS_ADMIN; and after the filter nothing is to be done but exec.

pub mod compile;
pub mod filters;
pub mod learned;
pub mod listener;

use std::borrow::Cow;

use chain::{Hint as _, Result, refusal};
use rustix::thread::CapabilitySet;

use crate::args::{Keep, Request};
use crate::look::Facts;
use crate::model::capabilities::names;
use crate::model::filter::Filter;
use crate::model::landlock::{self, Right, Ruleset};
use crate::model::presets::{self, TCP_GUARD};
use crate::step::Step;

/// The steps. Refuses a combination that cannot work, or that would leave the payload more than it says.
pub fn steps(request: &Request, facts: &Facts) -> Result<Vec<Step>> {
    let mut filters = filters::requested(request, &facts.filters)?;
    let keep = kept(request.keep, facts)?;
    let mut steps: Vec<Step> = request.userns_fd.map(Step::Enter).into_iter().collect();
    steps.extend(ids(request, facts));
    steps.extend(request.new_keyring.then_some(Step::Keyring));
    steps.extend(bounding(request, facts)?);
    let passed_on = if matches!(request.keep, Keep::RootBut(_)) { CapabilitySet::empty() } else { keep };
    steps.push(Step::Inherit(passed_on));
    steps.extend(request.securebits.map(Step::Securebits));
    steps.push(Step::Hold { keep, passed_on });
    steps.extend(request.standard.iter().cloned().map(Step::Standard));
    if !request.allow_new_privs {
        steps.push(Step::NoNewPrivs);
    } else if (!filters.is_empty() || request.landlock.is_anything()) && !keep.contains(CapabilitySet::SYS_ADMIN) {
        return Err(refusal!("--allow-new-privs: a filter or Landlock without no_new_privs needs CAP_SYS_ADMIN")
            .hint("add --keep-caps sys_admin, or leave --allow-new-privs away (seccomp(2), landlock(7))"));
    }
    let (lost, ruleset) = landlock(request, facts)?;
    if ruleset.is_about_tcp() {
        filters.splice(0..0, presets::find(TCP_GUARD).map(Filter::preset).map(Cow::Owned));
    }
    steps.extend((!lost.is_empty()).then_some(Step::Lost(facts.landlock, lost)));
    steps.extend((!ruleset.is_empty()).then_some(Step::Landlock(ruleset)));
    steps.extend(filters::steps(&filters, request.notify_fd, facts.mark)?);
    Ok(steps)
}

/// What this kernel's Landlock lacks of what was requested (nothing, unless the request says that it may), and what it can do.
fn landlock(request: &Request, facts: &Facts) -> Result<(Vec<Right>, Ruleset)> {
    let requested = &request.landlock;
    let lost = requested.lost(facts.landlock);
    if let (Some(first), false) = (lost.first(), requested.if_supported) {
        let has = if facts.landlock == 0 { "none".to_owned() } else { format!("ABI {}", facts.landlock) };
        return Err(refusal!("Landlock: this kernel has {has}, and {} needs ABI {}", first.name, first.abi).hint(
            format!("Linux {} has it; --landlock-if-supported does without, and says so", landlock::since(first.abi)),
        ));
    }
    let ruleset = requested.ruleset(facts.landlock);
    Ok((lost, ruleset))
}

/// The hint for an empty bounding set.
pub const TAKEN: &str = "nothing is left in the bounding set: what ns-unshare hands on is for the tools, and ends at a program \
    that is none of them (env, nice, a shell) and at another seccomp-exec; such a program belongs before ns-unshare or behind \
    the last link";

/// The capabilities that stay: all of them must be there.
fn kept(keep: Keep, facts: &Facts) -> Result<CapabilitySet> {
    let Keep::Only(requested) = keep else { return Ok(keep.of(facts.permitted)) };
    let lacking = requested - (facts.permitted & facts.bounding.unwrap_or(CapabilitySet::all()));
    if lacking.is_empty() || facts.explaining {
        return Ok(requested);
    }
    let refusal = refusal!("--keep-caps: this process has no {} to keep", names(lacking));
    let taken = facts.bounding.is_some_and(|bounding| bounding.is_empty());
    Err(if taken { refusal.hint(TAKEN) } else { refusal })
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
        Keep::AllBut(others) | Keep::RootBut(others) if others.is_empty() => return Ok(None),
        keep => keep.of(facts.bounding.unwrap_or(CapabilitySet::all())),
    };
    if facts.bounding.is_some_and(|bounding| keep.contains(bounding)) && !facts.explaining {
        return Ok(None);
    }
    let sure = facts.permitted.contains(CapabilitySet::SETPCAP);
    if sure || facts.explaining {
        return Ok(Some(Step::Bounding { keep, sure }));
    }
    if request.allow_new_privs {
        return Err(refusal!("--allow-new-privs: the bounding set cannot be dropped without CAP_SETPCAP")
            .hint("without no_new_privs a setuid program could take capabilities from it"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calls::number_of;
    use crate::model::ids::Ids;
    use crate::model::landlock::{BIND, CONNECT, Grant, Requested};
    use crate::model::policy::{Rule, Verdict};
    use crate::model::presets::find;
    use rustix::thread::CapabilitiesSecureBits;

    const NONE: CapabilitySet = CapabilitySet::empty();

    const ROOT: Facts = Facts {
        permitted: CapabilitySet::from_bits_retain(0x1ff_ffff_ffff),
        bounding: Some(CapabilitySet::from_bits_retain(0x1ff_ffff_ffff)),
        groups: vec![],
        landlock: 7,
        filters: vec![],
        mark: 0,
        explaining: false,
    };

    fn user() -> Facts {
        Facts { permitted: NONE, ..ROOT }
    }

    fn request() -> Request {
        Request::default()
    }

    fn preset(name: &str) -> Vec<Filter> {
        vec![Filter::preset(find(name).unwrap())]
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
            securebits: Some(CapabilitiesSecureBits::NO_ROOT),
            new_keyring: true,
            landlock: Requested { ports: vec![(CONNECT, None)], ..Requested::default() },
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
                Step::Inherit(inherited),
                Step::Securebits(_),
                Step::Hold { keep: held, .. },
                Step::NoNewPrivs,
                Step::Landlock(_),
                Step::Filter { .. },
                Step::Filter { ask: true, .. },
            ] if inherited.is_empty() && held.is_empty()
        ));
    }

    #[test]
    fn what_landlock_lacks_is_an_error_unless_it_may_be_lost() {
        let paths =
            Requested { paths: vec![(Grant::RO, "/".into())], ports: vec![(BIND, Some(80))], ..Requested::default() };
        let old = Facts { landlock: 3, ..ROOT };
        let exact = Request { landlock: paths.clone(), ..request() };
        assert_eq!(refusal(&exact, &old), "Landlock: this kernel has ABI 3, and ioctl_dev needs ABI 5");
        assert!(refusal(&exact, &Facts { landlock: 0, ..ROOT }).contains("has none, and execute needs ABI 1"));
        let loose = Request { landlock: Requested { if_supported: true, ..paths }, ..request() };
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
        assert_eq!(plain, [Step::Inherit(NONE), Step::Hold { keep: NONE, passed_on: NONE }, Step::NoNewPrivs]);
        let open = Request { allow_new_privs: true, ..request() };
        assert!(refusal(&open, &user()).contains("cannot be dropped without CAP_SETPCAP"));
        assert!(steps(&open, &ROOT).is_ok());
    }

    #[test]
    fn a_filter_without_no_new_privs_needs_the_capability() {
        let open = Request { allow_new_privs: true, ..request() };
        let facts = Facts { filters: preset("default"), ..ROOT };
        assert!(refusal(&open, &facts).contains("needs CAP_SYS_ADMIN"));
        assert!(steps(&Request { keep: Keep::Only(CapabilitySet::SYS_ADMIN), ..open }, &facts).is_ok());
    }

    #[test]
    fn what_is_not_there_cannot_be_kept() {
        let request = Request { keep: Keep::Only(CapabilitySet::SYS_ADMIN), ..request() };
        assert_eq!(refusal(&request, &user()), "--keep-caps: this process has no sys_admin to keep");
        assert!(refusal(&request, &Facts { bounding: Some(CapabilitySet::SETPCAP), ..ROOT }).contains("no sys_admin"));
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
    fn a_filter_that_forbids_exec_is_refused_before_anything_happens() {
        let mut policy = (find("tty-guard").unwrap().policy)();
        policy.calls.insert(number_of("execve"), Rule::always(Verdict::KILL_PROCESS));
        let facts = Facts { filters: vec![Filter::of("tty-guard", policy)], ..ROOT };
        assert_eq!(refusal(&request(), &facts), "filter tty-guard: it denies execve, which executing PROG needs");
    }
}
