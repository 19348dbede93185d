//! The clones of a template, and what else lies there.

use chain::Result;

use super::pool::{ZfsPool, below, parts, version_in};
use crate::look::holder::lease_of;
use crate::model::holder::Holder;
use crate::model::name::{CloneName, Name};
use crate::model::pool::{Clone, State};

/// A clone's dataset with what decides whether it is ours.
pub struct Found {
    pub dataset: String,
    pub clone: Clone,
}

/// The clones of a template; what is there and is none of ours goes to `foreign`.
pub fn found(pool: &ZfsPool, name: &Name, foreign: &mut Vec<String>) -> Result<Vec<Found>> {
    let template = pool.template(name);
    let columns = ["name", "origin", "chainbox:clone", "chainbox:state"];
    let rows = pool.zfs.list(&template, "filesystem,volume", columns)?.unwrap_or_default();
    let mut clones = vec![];
    for [dataset, origin, mark, state] in rows {
        if dataset == template || dataset == pool.root(name) {
            continue;
        }
        match ours(pool, name, [&dataset, &origin, &mark, &state])? {
            Some(clone) => clones.push(Found { dataset, clone }),
            None => foreign.push(below(&template, &dataset).unwrap_or(&dataset).to_owned()),
        }
    }
    Ok(clones)
}

/// A row as a clone: a child of the template, named by us, marked with its own id, from a version of the template.
fn ours(pool: &ZfsPool, name: &Name, [dataset, origin, mark, state]: [&str; 4]) -> Result<Option<Clone>> {
    let Some((id, holder)) = below(&pool.template(name), dataset).and_then(parts) else { return Ok(None) };
    let version = version_in(&pool.root(name), origin);
    if version.is_none() || mark != id.as_str() {
        return Ok(None);
    }
    let state = match holder {
        _ if state == "dead" => State::Dead,
        None => State::Free,
        Some(word) => Holder::parse(word).map_or(Ok(State::Orphan), |holder| lease_of(&holder))?,
    };
    Ok(Some(Clone { id, version, state }))
}

pub fn find(pool: &ZfsPool, clone: &CloneName) -> Result<Option<Found>> {
    let all = found(pool, &clone.template, &mut vec![])?;
    Ok(all.into_iter().find(|found| found.clone.id == clone.id))
}
