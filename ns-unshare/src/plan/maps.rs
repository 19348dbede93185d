//! The id maps of a new user namespace.

use chain::{Failure, Result};

use crate::args::Request;
use crate::look::Facts;
use crate::model::map::{IdKind, IdMap, IdRange, Ids, SubidRange};
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
    let (subusers, subgroups) =
        facts.subids.iter().map(|subids| (&*subids.users, &*subids.groups)).next().unwrap_or_default();
    let users = map(IdKind::User, (request.own, facts.ids.uid), &request.users, subusers);
    let groups = map(IdKind::Group, (request.own, facts.ids.gid), &request.groups, subgroups);
    users.check()?;
    groups.check()?;
    let by_helper = facts.subids.is_some() && !facts.may_map;
    if by_helper && facts.no_new_privs {
        return Err(Failure::refusal("--map-subids: newuidmap is setuid root, which has no effect under no_new_privs")
            .hint("start ns-unshare before whatever sets it (seccomp-exec, setpriv, a service manager)")
            .into());
    }
    let outside = facts.may_map || by_helper;
    if !outside {
        own_only(&users, facts.ids.uid)?;
        own_only(&groups, facts.ids.gid)?;
        if request.setgroups == Some(true) {
            let text = "--setgroups allow: needs CAP_SETGID in the caller's user namespace";
            return Err(Failure::refusal(text).into());
        }
    }
    let (uid, gid) = (users.inside_of(facts.ids.uid), groups.inside_of(facts.ids.gid));
    let ids =
        Ids { uid: uid.unwrap_or_else(|| users.first_inside()), gid: gid.unwrap_or_else(|| groups.first_inside()) };
    let deny_setgroups = request.setgroups.map_or(!outside, |allow| !allow).then_some(Step::DenySetgroups);
    let maps = [users, groups].map(if by_helper { Step::MapByHelper } else { Step::Map });
    let steps = deny_setgroups.into_iter().chain(maps).collect();
    Ok(Maps { steps, outside, ids, changed: uid.is_none() || gid.is_none() })
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
        _ => {
            let text = format!("--{} {map}: more than the caller's own id {id}", map.kind.option());
            Err(Failure::refusal(text)
                .hint("any other map needs CAP_SETUID and CAP_SETGID in the caller's user namespace")
                .into())
        }
    }
}
