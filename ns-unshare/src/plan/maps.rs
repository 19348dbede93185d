//! The id maps of a new user namespace.

use chain::{Hint as _, Result, refusal};

use crate::args::Request;
use crate::look::Facts;
use crate::look::owner::Owner;
use crate::model::map::{IdKind, IdMap, IdRange, Ids, SubidRange, UNMAPPED};
use crate::model::setup::Own;
use crate::step::Step;

/// Both maps: how they are written, and what they make of the caller's ids.
pub struct Maps {
    pub steps: Vec<Step>,
    /// Whether the process outside writes them. The kernel takes a map from the process inside only where it holds the
    /// caller's own id alone and setgroups is denied (user_namespaces(7)).
    pub outside: bool,
    /// The ids inside.
    pub ids: Ids,
    /// Whether the process must change to them, because its own are not mapped.
    pub changed: bool,
}

pub fn maps(request: &Request, facts: &Facts) -> Result<Maps> {
    match &facts.owner {
        Some(owner) => owners(request, facts, owner),
        None => callers(request, facts),
    }
}

/// Of the options about the caller's own ids, and of ranges.
fn callers(request: &Request, facts: &Facts) -> Result<Maps> {
    let (subusers, subgroups) =
        facts.subids.iter().map(|subids| (&*subids.users, &*subids.groups)).next().unwrap_or_default();
    let users = map(IdKind::User, (request.own, facts.ids.uid), &request.users, subusers);
    let groups = map(IdKind::Group, (request.own, facts.ids.gid), &request.groups, subgroups);
    users.check()?;
    groups.check()?;
    let by_helper = facts.subids.is_some() && !facts.may_map;
    if by_helper && facts.no_new_privs {
        return Err(refusal!("--map-subids: newuidmap is setuid root, which has no effect under no_new_privs")
            .hint("start ns-unshare before whatever sets it (seccomp-exec, setpriv, a service manager)"));
    }
    let outside = facts.may_map || by_helper;
    if !outside {
        own_only(&users, facts.ids.uid)?;
        own_only(&groups, facts.ids.gid)?;
    }
    let deny_setgroups = setgroups(request, outside)?;
    let (uid, gid) = (users.inside_of(facts.ids.uid), groups.inside_of(facts.ids.gid));
    let ids =
        Ids { uid: uid.unwrap_or_else(|| users.first_inside()), gid: gid.unwrap_or_else(|| groups.first_inside()) };
    let maps = [users, groups].map(if by_helper { Step::MapByHelper } else { Step::Map });
    let steps = deny_setgroups.into_iter().chain(maps).collect();
    Ok(Maps { steps, outside, ids, changed: uid.is_none() || gid.is_none() })
}

/// Of --map-owner: the owner's ids become 0, and all others are in the upper half of those outside, where the caller may
/// give them.
fn owners(request: &Request, facts: &Facts, owner: &Owner) -> Result<Maps> {
    let Owner { fd, ids: Ids { uid, gid }, .. } = *owner;
    if uid == UNMAPPED || gid == UNMAPPED {
        let hint = format!(
            "the caller's user namespace must have the owner's ids, and so must an id-mapped mount; if nobody is meant: \
             --map-users 0:{uid}:1 --map-groups 0:{gid}:1"
        );
        return Err(refusal!(
            "--map-owner {fd}: it belongs to user {uid}, group {gid}: nobody, or ids that are not mapped here"
        )
        .hint(hint));
    }
    let (own, outside) = (owner.ids == facts.ids, facts.may_map);
    if !own && !outside {
        let Ids { uid: our_uid, gid: our_gid } = facts.ids;
        let hint = "ids that are not the caller's need CAP_SETUID and CAP_SETGID in the caller's user namespace";
        return Err(refusal!(
            "--map-owner {fd}: it belongs to user {uid}, group {gid}, and the caller is user {our_uid}, group {our_gid}"
        )
        .hint(hint));
    }
    let deny_setgroups = setgroups(request, outside)?;
    let map = |kind: IdKind, id: u32| {
        let others = if owner.has_upper_half { IdRange::upper_half_without(id) } else { vec![] };
        Step::Map(IdMap { kind, ranges: [vec![IdRange::one(0, id)], others].concat() })
    };
    // The caller's other groups are left wherever that is allowed.
    let leaves_groups = owner.setgroups && deny_setgroups.is_none();
    let maps = [map(IdKind::User, uid), map(IdKind::Group, gid)];
    let steps = deny_setgroups.into_iter().chain(maps).collect();
    Ok(Maps { steps, outside, ids: Ids { uid: 0, gid: 0 }, changed: !own || leaves_groups })
}

/// Denies setgroups(2) where an option says so, and by itself where the map is one that needs no privilege.
fn setgroups(request: &Request, outside: bool) -> Result<Option<Step>> {
    if request.setgroups == Some(true) && !outside {
        return Err(refusal!("--setgroups allow: needs CAP_SETGID in the caller's user namespace"));
    }
    Ok(request.setgroups.map_or(!outside, |allow| !allow).then_some(Step::DenySetgroups))
}

/// One map: the caller's own id first, unless only others were asked for.
fn map(kind: IdKind, (own, id): (Option<Own>, u32), others: &[IdRange], subordinate: &[SubidRange]) -> IdMap {
    let own = match own {
        None if !others.is_empty() => None,
        None | Some(Own::Root) => Some(IdRange::one(0, id)),
        Some(Own::Same) => Some(IdRange::one(id, id)),
    };
    let own = own.into_iter().flat_map(|own| own.filled_with(subordinate));
    IdMap { kind, ranges: own.chain(others.iter().copied()).collect() }
}

fn own_only(map: &IdMap, id: u32) -> Result<()> {
    match *map.ranges {
        [range] if range.outside == id && range.count == 1 => Ok(()),
        _ => Err(refusal!("--{} {map}: more than the caller's own id {id}", map.kind.option())
            .hint("any other map needs CAP_SETUID and CAP_SETGID in the caller's user namespace")),
    }
}
