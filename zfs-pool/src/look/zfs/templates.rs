//! The templates of a pool, and their versions.

use chain::values::integer;
use chain::{Failure, Result};

use super::clones;
use super::pool::{ZfsPool, below, version_in};
use crate::model::kept::Kept;
use crate::model::name::Name;
use crate::model::pool::{Kind, Template};

/// The properties of a template that is complete.
pub struct About {
    /// How many free clones there are to be.
    pub target: u32,
    /// The same for versions that are requested by name.
    pub kept: Kept,
    /// How many bytes each clone may write; 0 for no limit.
    pub quota: u64,
}

/// Reads them; `None` where there is no such template.
pub fn about(pool: &ZfsPool, name: &Name) -> Result<Option<About>> {
    let dataset = pool.template(name);
    let columns = ["chainbox:template", "chainbox:target", "chainbox:kept", "chainbox:quota"];
    let Some(row) = pool.zfs.one(&dataset, &columns)? else { return Ok(None) };
    let [template, number, kept, quota] = row.as_slice() else { return Ok(None) };
    let Some(target) = target(name, &[template.clone(), number.clone()])? else { return Ok(None) };
    let refused = |what: &str| Failure::refusal(format!("{dataset}: {what}: not understood"));
    let kept = optional(kept, Kept::parse).ok_or_else(|| refused(&format!("chainbox:kept={kept}")))?;
    let quota =
        optional(quota, |text| integer(text.as_ref())).ok_or_else(|| refused(&format!("chainbox:quota={quota}")))?;
    Ok(Some(About { target, kept, quota }))
}

/// A property that need not be there; `None` where it is not understood.
fn optional<T: Default>(value: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    if value == "-" { Some(T::default()) } else { parse(value) }
}

/// `None` for a template that `init` has not finished.
pub fn target(name: &Name, row: &[String]) -> Result<Option<u32>> {
    match row {
        [template, target] if template == name.as_str() => Ok(integer(target.as_ref())),
        _ => Err(Failure::refusal(format!("{name}: a dataset without our mark, so it is not ours")).into()),
    }
}

/// The names of the templates, and what else lies in the pool.
pub fn all(pool: &ZfsPool) -> Result<(Vec<Name>, Vec<String>)> {
    let columns = ["name", "chainbox:pool", "chainbox:template", "chainbox:target"];
    let rows = pool.zfs.list(&pool.dataset, "filesystem,volume", &columns)?.ok_or_else(|| no_pool(pool))?;
    let (mut names, mut foreign) = (vec![], vec![]);
    for row in rows {
        let [dataset, mark, template, number] = row.as_slice() else { continue };
        if *dataset == pool.dataset {
            marked(pool, mark)?;
            continue;
        }
        let name = below(&pool.dataset, dataset).and_then(|name| Name::parse(name.as_ref()).ok());
        match name.filter(|name| target(name, &[template.clone(), number.clone()]).is_ok_and(|found| found.is_some())) {
            Some(name) => names.push(name),
            None => foreign.push(dataset.clone()),
        }
    }
    names.sort();
    Ok((names, foreign))
}

fn no_pool(pool: &ZfsPool) -> Failure {
    Failure::refusal(format!("{}: no such dataset", pool.dataset))
        .hint("there is no pool yet: zfs-pool init makes it, with its first template")
}

pub fn marked(pool: &ZfsPool, mark: &str) -> Result<()> {
    if mark == "1" {
        return Ok(());
    }
    let hint =
        format!("zfs set chainbox:pool=1 {} makes it a pool: everything below it is then zfs-pool's", pool.dataset);
    Err(Failure::refusal(format!("{}: a dataset without our mark, so it is not a pool", pool.dataset))
        .hint(hint)
        .into())
}

/// A template as it is.
pub fn look(pool: &ZfsPool, name: &Name) -> Result<Option<Template>> {
    let Some(About { target, kept, quota }) = about(pool, name)? else { return Ok(None) };
    let mut foreign = vec![];
    let versions = versions(pool, name)?;
    let clones = clones::all(pool, name, &mut foreign)?;
    let from = pool.mount_point(name, "root");
    Ok(Some(Template {
        name: name.clone(),
        kind: Kind::Zfs,
        target,
        kept,
        quota,
        from,
        reference: false,
        versions,
        clones,
        foreign,
    }))
}

/// The versions, the oldest first. Snapshots that the user took are the user's.
pub fn versions(pool: &ZfsPool, name: &Name) -> Result<Vec<u32>> {
    let root = pool.root(name);
    let rows = pool.zfs.list(&root, "snapshot", &["name", "chainbox:version"])?.unwrap_or_default();
    let version = |row: &Vec<String>| {
        let [snapshot, mark] = row.as_slice() else { return None };
        version_in(&root, snapshot).filter(|version| *mark == version.to_string())
    };
    let mut versions: Vec<u32> = rows.iter().filter_map(version).collect();
    versions.sort_unstable();
    Ok(versions)
}
