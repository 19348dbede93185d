//! Templates and versions.

use std::path::Path;

use chain::{Failure, Result};

use super::clones::{self, mount};
use super::{ZfsPool, below, version_in};
use crate::copy::copy;
use crate::kept::Kept;
use crate::name::{Name, Wanted};
use crate::plan;
use crate::pool::{Kind, Template};

/// The properties of a template that is complete.
pub struct About {
    /// How many free clones there are to be.
    target: u32,
    /// The same for versions that are asked for by name.
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
    let kept = said(kept, Kept::parse).ok_or_else(|| refused(&format!("chainbox:kept={kept}")))?;
    let quota = said(quota, |text| chain::values::number(text.as_ref()))
        .ok_or_else(|| refused(&format!("chainbox:quota={quota}")))?;
    Ok(Some(About { target, kept, quota }))
}

/// A property that need not be there; `None` where it is not understood.
fn said<T: Default>(value: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    if value == "-" { Some(T::default()) } else { parse(value) }
}

/// Remembers how many free clones there are to be.
pub fn keep(pool: &ZfsPool, of: &Wanted, count: u32) -> Result<()> {
    let dataset = pool.template(&of.template);
    let Some(version) = of.version else {
        return pool.zfs.done(&["set", &format!("chainbox:target={count}"), &dataset]);
    };
    let about = about(pool, &of.template)?.ok_or_else(|| plan::missing(&of.template))?;
    match about.kept.with(version, count) {
        kept if kept.is_empty() => pool.zfs.done(&["inherit", "chainbox:kept", &dataset]),
        kept => pool.zfs.done(&["set", &format!("chainbox:kept={kept}"), &dataset]),
    }
}

/// `None` for a template that `init` has not finished.
fn target(name: &Name, row: &[String]) -> Result<Option<u32>> {
    match row {
        [template, target] if template == name.as_str() => {
            Ok(chain::values::number(target.as_ref()).and_then(|number| u32::try_from(number).ok()))
        }
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

fn marked(pool: &ZfsPool, mark: &str) -> Result<()> {
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

/// Makes a template. What a killed `init` left without its target is completed.
pub fn init(pool: &ZfsPool, name: &Name, from: Option<&Path>) -> Result<()> {
    let _guard = pool.lock_of(name)?;
    if make_datasets(pool, name)?.is_some() {
        return Err(Failure::refusal(format!("{name}: there is such a template already")).into());
    }
    let tree = pool.mount_point(name, "root");
    mount(pool, &pool.root(name), &tree)?;
    if let Some(from) = from {
        copy(from, &tree)?;
        freeze(pool, name, 1)?;
    }
    pool.zfs.done(&["set", "chainbox:target=0", &pool.template(name)])
}

/// The datasets of the pool, the template and its tree, each made where it is not there. The target of a template that
/// is complete.
fn make_datasets(pool: &ZfsPool, name: &Name) -> Result<Option<u32>> {
    let (zfs, template, root) = (&pool.zfs, pool.template(name), pool.root(name));
    match zfs.one(&pool.dataset, &["chainbox:pool"])? {
        Some(row) => marked(pool, row.first().map_or("", String::as_str))?,
        None => create(pool, &pool.dataset, &["mountpoint=none", "canmount=off", "chainbox:pool=1"])?,
    }
    let there = zfs.one(&template, &["chainbox:template", "chainbox:target"])?;
    if let Some(row) = &there
        && let Some(complete) = target(name, row)?
    {
        return Ok(Some(complete));
    }
    if there.is_none() {
        let mark = format!("chainbox:template={name}");
        create(pool, &template, &["mountpoint=none", "canmount=off", "setuid=off", "devices=off", &mark])?;
    }
    if zfs.one(&root, &["name"])?.is_none() {
        create(pool, &root, &["canmount=noauto"])?;
    }
    Ok(None)
}

fn create(pool: &ZfsPool, dataset: &str, properties: &[&str]) -> Result<()> {
    let options = properties.iter().flat_map(|property| ["-o", property]);
    pool.zfs.done(&["create"].into_iter().chain(options).chain([dataset]).collect::<Vec<_>>())
}

/// Takes a version. A snapshot is atomic, and so is its mark.
pub fn freeze(pool: &ZfsPool, name: &Name, version: u32) -> Result<()> {
    let snapshot = pool.version(name, version);
    if versions(pool, name)?.contains(&version) {
        return Ok(());
    }
    pool.zfs.done(&["snapshot", "-o", &format!("chainbox:version={version}"), &snapshot])
}
