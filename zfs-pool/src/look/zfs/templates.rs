//! The templates of a pool, and their versions.

use chain::values::integer;
use chain::{Hint as _, Result, refusal};

use super::clones;
use super::pool::{ZfsPool, below, version_in};
use crate::look::Look;
use crate::model::kept::Kept;
use crate::model::name::Name;
use crate::model::pool::{Kind, Template};

impl Look for ZfsPool {
    fn templates(&self) -> Result<(Vec<Name>, Vec<String>)> {
        let columns = ["name", "chainbox:pool", "chainbox:template", "chainbox:target"];
        let rows = self.zfs.list(&self.dataset, "filesystem,volume", columns)?.ok_or_else(|| no_pool(self))?;
        let (mut names, mut foreign) = (vec![], vec![]);
        for [dataset, mark, template, number] in rows {
            if dataset == self.dataset {
                marked(self, &mark)?;
                continue;
            }
            let name = below(&self.dataset, &dataset).and_then(|name| Name::parse(name.as_ref()).ok());
            match name.filter(|name| target(name, &template, &number).is_ok_and(|found| found.is_some())) {
                Some(name) => names.push(name),
                None => foreign.push(dataset),
            }
        }
        names.sort();
        Ok((names, foreign))
    }

    fn look(&self, name: &Name) -> Result<Option<Template>> {
        let Some(About { target, kept, quota }) = about(self, name)? else { return Ok(None) };
        let mut foreign = vec![];
        let versions = versions(self, name)?;
        let found = clones::found(self, name, &mut foreign)?;
        let mut clones: Vec<_> = found.into_iter().map(|found| found.clone).collect();
        clones.sort_by(|a, b| a.id.cmp(&b.id));
        let from = self.mount_point(name, "root");
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
}

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
    let Some([template, number, kept, quota]) = pool.zfs.one(&dataset, columns)? else { return Ok(None) };
    let Some(target) = target(name, &template, &number)? else { return Ok(None) };
    let kept = property(&dataset, "kept", &kept, Kept::parse)?;
    let quota = property(&dataset, "quota", &quota, |text| integer(text.as_ref()))?;
    Ok(Some(About { target, kept, quota }))
}

/// A property that need not be there.
fn property<T: Default>(dataset: &str, name: &str, value: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    let known = if value == "-" { Some(T::default()) } else { parse(value) };
    known.ok_or_else(|| refusal!("{dataset}: chainbox:{name}={value}: not understood"))
}

/// `None` for a template that `init` has not finished.
pub fn target(name: &Name, template: &str, target: &str) -> Result<Option<u32>> {
    if template != name.as_str() {
        return Err(refusal!("{name}: a dataset without our mark, so it is not ours"));
    }
    Ok(integer(target.as_ref()))
}

fn no_pool(pool: &ZfsPool) -> anyhow::Error {
    refusal!("{}: no such dataset", pool.dataset)
        .hint("there is no pool yet: zfs-pool init makes it, with its first template")
}

pub fn marked(pool: &ZfsPool, mark: &str) -> Result<()> {
    if mark == "1" {
        return Ok(());
    }
    let hint =
        format!("zfs set chainbox:pool=1 {} makes it a pool: everything below it is then zfs-pool's", pool.dataset);
    Err(refusal!("{}: a dataset without our mark, so it is not a pool", pool.dataset).hint(hint))
}

/// The versions, the oldest first. Snapshots that the user took are the user's.
pub fn versions(pool: &ZfsPool, name: &Name) -> Result<Vec<u32>> {
    let root = pool.root(name);
    let rows = pool.zfs.list(&root, "snapshot", ["name", "chainbox:version"])?.unwrap_or_default();
    let version =
        |[snapshot, mark]: &[String; 2]| version_in(&root, snapshot).filter(|version| *mark == version.to_string());
    let mut versions: Vec<u32> = rows.iter().filter_map(version).collect();
    versions.sort_unstable();
    Ok(versions)
}
