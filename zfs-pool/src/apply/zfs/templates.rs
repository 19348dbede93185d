//! Templates and versions: making, freezing, remembering.

use std::path::Path;

use chain::{Result, refusal};

use super::clones::mount;
use super::pool::lock_of;
use crate::apply::copy::copy;
use crate::look::zfs::pool::ZfsPool;
use crate::look::zfs::templates::{about, marked, target, versions};
use crate::model::name::{Name, Requested};
use crate::model::pool::missing;

/// Remembers how many free clones there are to be.
pub fn keep(pool: &ZfsPool, of: &Requested, count: u32) -> Result<()> {
    let dataset = pool.template(&of.template);
    let Some(version) = of.version else {
        return pool.zfs.done(&["set", &format!("chainbox:target={count}"), &dataset]);
    };
    let about = about(pool, &of.template)?.ok_or_else(|| missing(&of.template))?;
    match about.kept.with(version, count) {
        kept if kept.is_empty() => pool.zfs.done(&["inherit", "chainbox:kept", &dataset]),
        kept => pool.zfs.done(&["set", &format!("chainbox:kept={kept}"), &dataset]),
    }
}

/// Makes a template. What a killed `init` left without its target is completed.
pub fn init(pool: &ZfsPool, name: &Name, from: Option<&Path>) -> Result<()> {
    let _guard = lock_of(pool, name)?;
    // Where an earlier try has frozen version 1, only the end is missing.
    let source = if versions(pool, name)?.is_empty() { from } else { None };
    if make_datasets(pool, name, source.is_some())?.is_some() {
        return Err(refusal!("{name}: there is such a template already"));
    }
    let tree = pool.mount_point(name, "root");
    mount(pool, &pool.root(name), &tree)?;
    if let Some(source) = source {
        copy(source, &tree)?;
        freeze(pool, name, 1)?;
    }
    pool.zfs.done(&["set", "chainbox:target=0", &pool.template(name)])
}

/// The datasets of the pool, the template and its tree, each made where it is not there. The target of a template that
/// is complete. `empty`: a tree that an earlier try has begun to fill is destroyed first, because a copy into it would follow the
/// links in it.
fn make_datasets(pool: &ZfsPool, name: &Name, empty: bool) -> Result<Option<u32>> {
    let (zfs, template, root) = (&pool.zfs, pool.template(name), pool.root(name));
    match zfs.one(&pool.dataset, ["chainbox:pool"])? {
        Some([mark]) => marked(pool, &mark)?,
        None => create(pool, &pool.dataset, &["mountpoint=none", "canmount=off", "chainbox:pool=1"])?,
    }
    let there = zfs.one(&template, ["chainbox:template", "chainbox:target"])?;
    if let Some([template, number]) = &there {
        let complete = target(name, template, number)?;
        if complete.is_some() {
            return Ok(complete);
        }
    }
    if there.is_none() {
        let mark = format!("chainbox:template={name}");
        create(pool, &template, &["mountpoint=none", "canmount=off", "setuid=off", "devices=off", &mark])?;
    }
    if empty && zfs.one(&root, ["name"])?.is_some() {
        zfs.destroy(&root)?;
    }
    if zfs.one(&root, ["name"])?.is_none() {
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
