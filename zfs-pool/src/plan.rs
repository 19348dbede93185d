//! Pure: request and facts to steps, or a refusal.

use chain::{Hint as _, Result, refusal};

use crate::args::{Claim, Verb};
use crate::look::Facts;
use crate::model::name::{CloneName, Name, Requested};
use crate::model::pool::{Clone, Kind, State, Template, missing};
use crate::step::Action;

/// The steps of a subcommand that changes one template.
pub fn steps(verb: &Verb, facts: &Facts) -> Result<Vec<Action>> {
    let known = |name: &Name| facts.template.as_ref().ok_or_else(|| missing(name));
    match verb {
        Verb::Init { template, kind, reference, .. } => init(template, *kind, *reference, facts),
        Verb::Snapshot(template) => snapshot(known(template)?),
        Verb::Refill { of, count, quota } => refill(known(&of.template)?, of, *count, *quota),
        Verb::Regenerate(template) => regenerate(known(template)?),
        Verb::Release(clone) => release(known(&clone.template)?, clone),
        Verb::Run { .. } | Verb::Acquire { .. } | Verb::List { .. } | Verb::Gc => Ok(vec![]),
    }
}

fn init(template: &Name, kind: Option<Kind>, reference: bool, facts: &Facts) -> Result<Vec<Action>> {
    let refuse = |text: &str| Err(refusal!("{text}"));
    if facts.template.is_some() {
        return refuse(&format!("{template}: there is such a template already"));
    }
    let zfs = facts.default_kind == Kind::Zfs;
    if zfs && (kind.is_some() || reference) {
        return refuse("--clone and --reference are of directory pools: here every clone is a ZFS clone");
    }
    if !zfs && facts.from.is_none() {
        return refuse("--from DIR is missing: a directory pool takes its versions from there");
    }
    let kind = kind.unwrap_or(facts.default_kind);
    Ok(vec![Action::Init { template: template.clone(), kind, from: facts.from.clone(), reference }])
}

fn snapshot(template: &Template) -> Result<Vec<Action>> {
    if template.reference {
        return Err(refusal!("{}: used in place (--reference), so there is nothing to freeze", template.name));
    }
    Ok(vec![Action::Snapshot {
        template: template.name.clone(),
        version: template.latest().unwrap_or(0).saturating_add(1),
        from: template.from.clone(),
    }])
}

/// The version that is meant: the one that is named, or the newest.
pub fn version(template: &Template, requested: Option<u32>) -> Result<u32> {
    if let Some(requested) = requested {
        let there = template.versions.contains(&requested).then_some(requested);
        return there.ok_or_else(|| {
            refusal!("{}@{requested}: no such version", template.name)
                .hint("zfs-pool list shows the versions; gc destroys what is not the newest, not kept and not in use")
        });
    }
    template.latest().ok_or_else(|| {
        refusal!("{}: no version yet", template.name)
            .hint(format!("fill its tree, then: zfs-pool snapshot {}", template.name))
    })
}

/// The step that makes `count` more free clones of the version that is named, or of the newest.
pub fn clones(template: &Template, requested: Option<u32>, count: usize) -> Result<Option<Action>> {
    let version = version(template, requested)?;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let make = Action::Clone { template: template.name.clone(), version, kind: template.kind, count };
    Ok((count > 0).then_some(make))
}

fn refill(template: &Template, of: &Requested, count: Option<u32>, quota: Option<u64>) -> Result<Vec<Action>> {
    let before = of.version.map_or(template.target, |version| template.kept.count(version).unwrap_or(0));
    let want = count.unwrap_or(before);
    let remember = (want != before).then(|| Action::Target { of: of.clone(), count: want });
    let more = clones(template, of.version, (want as usize).saturating_sub(template.free(of.version).count()))?;
    let limit = limit(template, quota)?;
    Ok(limit.into_iter().chain(remember).chain(more).collect())
}

fn limit(template: &Template, quota: Option<u64>) -> Result<Option<Action>> {
    if quota.is_some() && template.kind != Kind::Zfs {
        return Err(refusal!("--quota: {} has {} clones", template.name, template.kind.word())
            .hint("only a ZFS clone can have one; in a box, mount-plan --tmpfs DST -o size=SIZE has a size"));
    }
    let changed = quota.filter(|bytes| *bytes != template.quota);
    Ok(changed.map(|bytes| Action::Quota { template: template.name.clone(), bytes }))
}

/// As many free clones as before, or as many as there are to be, all of the newest version. Those of kept versions stay.
fn regenerate(template: &Template) -> Result<Vec<Action>> {
    let version = version(template, None)?;
    let stale: Vec<_> = template.free(None).filter(|clone| clone.version != Some(version)).collect();
    let free = template.free(None).count();
    let fresh = clones(template, None, free.max(template.target as usize) - (free - stale.len()))?;
    // New ones first: at no moment none is free.
    Ok(fresh.into_iter().chain(stale.into_iter().map(|clone| destroy(template, clone))).collect())
}

fn release(template: &Template, name: &CloneName) -> Result<Vec<Action>> {
    let refuse = |text: &str| Err(refusal!("{name}: {text}"));
    match template.clones.iter().find(|clone| clone.id == name.id) {
        None => refuse("no such clone"),
        Some(Clone { state: State::Free, .. }) => refuse("nobody has leased it"),
        Some(Clone { state: State::Unfinished, .. }) => refuse("it is not ready yet"),
        Some(clone) => Ok(vec![destroy(template, clone)]),
    }
}

fn destroy(template: &Template, clone: &Clone) -> Action {
    Action::Destroy { clone: template.clone_name(&clone.id), was: clone.state.clone() }
}

/// What `acquire` does, and `run` where `resident`. Nothing is looked at before: which clone it is, the race decides.
pub fn claim(claim: &Claim, resident: bool) -> Vec<Action> {
    let take = Action::Claim { of: claim.of.clone(), create: claim.create };
    let back = Action::GiveBack(claim.of.template.clone());
    if resident { vec![take, back] } else { vec![take] }
}

/// What `gc` does to one template: orphans, the dead and the unfinished, then versions that no clone uses and that are neither
/// kept nor the newest.
pub fn collect(template: &Template) -> Vec<Action> {
    let live = |clone: &&Clone| matches!(clone.state, State::Free | State::Leased(_));
    let gone = template.clones.iter().filter(|clone| !live(clone)).map(|clone| destroy(template, clone));
    let used = |version: &u32| template.clones.iter().filter(live).any(|clone| clone.version == Some(*version));
    let stays = |version: u32| Some(version) == template.latest() || template.kept.count(version).is_some();
    let idle = template.versions.iter().filter(|version| !stays(**version) && !used(version));
    let drop = idle.map(|version| Action::DropVersion { template: template.name.clone(), version: *version });
    gone.chain(drop).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kept::Kept;
    use crate::model::name::Id;
    use crate::model::pool::Clone;

    fn template(target: u32, versions: &[u32], clones: &[(u32, State)]) -> Template {
        let clone = |(n, (version, state)): (usize, &(u32, State))| Clone {
            id: Id::parse(format!("{n:016x}").as_ref()).unwrap(),
            version: Some(*version),
            state: state.clone(),
        };
        Template {
            name: Name::parse("t".as_ref()).unwrap(),
            kind: Kind::Overlay,
            target,
            kept: Kept::default(),
            quota: 0,
            from: "/tree".into(),
            reference: false,
            versions: versions.to_vec(),
            clones: clones.iter().enumerate().map(clone).collect(),
            foreign: vec![],
        }
    }

    fn words(actions: &[Action]) -> Vec<String> {
        actions.iter().map(ToString::to_string).collect()
    }

    fn planned(verb: &Verb, template: Option<Template>) -> Result<Vec<String>> {
        let facts = Facts { template, default_kind: Kind::Overlay, from: Some("/tree".into()) };
        steps(verb, &facts).map(|actions| words(&actions))
    }

    fn t() -> Name {
        Name::parse("t".as_ref()).unwrap()
    }

    fn of(version: Option<u32>) -> Requested {
        Requested { template: t(), version }
    }

    #[test]
    fn a_version_that_is_named_is_kept_and_counted_alone() {
        let refill = |version, count, template| {
            planned(&Verb::Refill { of: of(Some(version)), count, quota: None }, Some(template))
                .map_err(|error| error.to_string())
        };
        let free = [(1, State::Free), (2, State::Free)];
        let two = || template(1, &[1, 2], &free);
        let kept = || Template { kept: Kept::default().with(1, 2), ..two() };
        assert_eq!(
            refill(1, Some(2), two()).unwrap(),
            ["keep 2 free clones of t@1 from now on", "make 1 overlay clone of t version 1"]
        );
        assert_eq!(refill(1, None, kept()).unwrap(), ["make 1 overlay clone of t version 1"]);
        assert_eq!(refill(1, Some(0), kept()).unwrap(), ["keep 0 free clones of t@1 from now on"]);
        assert!(refill(1, None, two()).unwrap().is_empty());
        assert_eq!(refill(3, Some(1), two()).unwrap_err(), "t@3: no such version");
        // Nor do clones of a kept version count where none is named, and they stay.
        assert!(planned(&Verb::Refill { of: of(None), count: None, quota: None }, Some(kept())).unwrap().is_empty());
        assert!(planned(&Verb::Regenerate(t()), Some(kept())).unwrap().is_empty());
        let idle = || Template { clones: vec![], ..kept() };
        assert!(collect(&idle()).is_empty());
        assert_eq!(words(&collect(&Template { kept: Kept::default(), ..idle() })), ["destroy unused version 1 of t"]);
    }

    #[test]
    fn only_zfs_clones_have_a_quota() {
        let refill = |quota, kind| {
            let one = Template { kind, quota: 8, ..template(0, &[1], &[]) };
            planned(&Verb::Refill { of: of(None), count: None, quota: Some(quota) }, Some(one))
                .map_err(|e| e.to_string())
        };
        assert_eq!(refill(9, Kind::Zfs).unwrap(), ["let each clone of t write 9 bytes from now on"]);
        assert_eq!(refill(0, Kind::Zfs).unwrap(), ["let each clone of t write without a limit"]);
        assert!(refill(8, Kind::Zfs).unwrap().is_empty());
        for kind in [Kind::Overlay, Kind::Copy] {
            assert!(refill(0, kind).unwrap_err().starts_with("--quota: t has "));
        }
    }

    #[test]
    fn refill_makes_what_is_missing_and_remembers_the_number() {
        let refill =
            |count, template| planned(&Verb::Refill { of: of(None), count, quota: None }, Some(template)).unwrap();
        let one_free = template(0, &[1, 2], &[(1, State::Free), (1, State::Orphan)]);
        assert_eq!(
            refill(Some(3), one_free),
            ["keep 3 free clones of t from now on", "make 2 overlay clones of t version 2"]
        );
        assert_eq!(refill(None, template(1, &[1], &[])), ["make 1 overlay clone of t version 1"]);
        assert!(refill(None, template(1, &[1], &[(1, State::Free), (1, State::Free)])).is_empty());
        let none = planned(&Verb::Refill { of: of(None), count: Some(1), quota: None }, Some(template(0, &[], &[])));
        assert_eq!(none.unwrap_err().to_string(), "t: no version yet");
    }

    #[test]
    fn gc_takes_the_dead_and_versions_that_nobody_uses() {
        let leased = State::Leased("pid 1".into());
        let full = template(
            9,
            &[1, 2, 3],
            &[(1, State::Orphan), (2, leased), (2, State::Free), (1, State::Dead), (3, State::Unfinished)],
        );
        assert_eq!(
            words(&collect(&full)),
            [
                "destroy clone t/0000000000000000 (orphan)",
                "destroy clone t/0000000000000003 (dead)",
                "destroy clone t/0000000000000004 (unfinished)",
                "destroy unused version 1 of t"
            ]
        );
        assert!(collect(&template(0, &[1], &[(1, State::Free)])).is_empty(), "the newest version stays");
    }

    #[test]
    fn regenerate_replaces_old_ones_after_new_ones_are_there() {
        let verb = Verb::Regenerate(t());
        let old = template(0, &[1, 2], &[(1, State::Free), (2, State::Free)]);
        assert_eq!(
            planned(&verb, Some(old)).unwrap(),
            ["make 1 overlay clone of t version 2", "destroy clone t/0000000000000000 (free)"]
        );
        assert_eq!(planned(&verb, Some(template(2, &[1], &[]))).unwrap(), ["make 2 overlay clones of t version 1"]);
        assert!(planned(&verb, Some(template(1, &[1], &[(1, State::Free), (1, State::Free)]))).unwrap().is_empty());
    }

    #[test]
    fn only_a_leased_clone_is_released() {
        let release = |id: &str, state| {
            let clone = CloneName::parse(format!("t/{id}").as_ref()).unwrap();
            planned(&Verb::Release(clone), Some(template(0, &[1], &[(1, state)]))).map_err(|e| e.to_string())
        };
        let zero = "0000000000000000";
        assert_eq!(
            release(zero, State::Leased("pid 1".into())).unwrap(),
            [format!("destroy clone t/{zero} (leased by pid 1)")]
        );
        assert_eq!(release(zero, State::Free).unwrap_err(), format!("t/{zero}: nobody has leased it"));
        assert_eq!(release("00000000000000ff", State::Free).unwrap_err(), "t/00000000000000ff: no such clone");
    }

    #[test]
    fn init_and_snapshot_know_their_limits() {
        let init = Verb::Init { template: t(), from: None, kind: None, reference: true };
        assert_eq!(planned(&init, None).unwrap(), ["make template t with overlay clones of /tree, in place"]);
        assert!(planned(&init, Some(template(0, &[], &[]))).is_err(), "it exists");
        let used_in_place = Template { reference: true, ..template(0, &[1], &[]) };
        assert!(planned(&Verb::Snapshot(t()), Some(used_in_place)).is_err());
        assert_eq!(
            planned(&Verb::Snapshot(t()), Some(template(0, &[1, 4], &[]))).unwrap(),
            ["freeze /tree as version 5 of t"]
        );
        assert_eq!(planned(&Verb::Snapshot(t()), None).unwrap_err().to_string(), "t: no such template");
    }
}
