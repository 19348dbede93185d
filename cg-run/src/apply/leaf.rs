//! The leaf of a run: made step by step, and undone whatever happens.

use std::fs::{self, File};
use std::time::Duration;

use chain::failure::errno_of;
use chain::{Call as _, Context as _, Hint as _, Result, print_error, refusal, show};
use nix::errno::Errno;
use nix::unistd::{SysconfVar, sysconf};

use super::callers;
use super::cgroup::PATIENCE;
use crate::hints;
use crate::look::cgroup::{Cgroup, whole};
use crate::model::leaf::MARK;
use crate::model::limit::{Write, agrees, holds};
use crate::step::Step;

/// How long those may take to die here whose run was killed.
const MOMENT: Duration = Duration::from_millis(20);

/// What was made so far. Dropped before its time it kills, removes, and goes back.
#[derive(Debug)]
pub struct Leaf {
    parent: Cgroup,
    /// Whether others than cg-run itself may be moved out of the parent.
    move_callers: bool,
    made: Option<(String, Cgroup)>,
    /// The limits, by files that were open all the time: those of a controller that was taken away meanwhile, and given again
    /// perhaps, are gone.
    limits: Vec<(Write, File)>,
    /// Whether somebody was moved aside for this run.
    aside: bool,
    /// Controllers that it has enabled in the parent, until it has come to its end.
    enabled: Vec<String>,
    /// What is left of the time that the killed may take to die: a device that does not answer costs it once.
    patience: Duration,
}

impl Leaf {
    pub fn under(parent: Cgroup, move_callers: bool) -> Self {
        Self { parent, move_callers, made: None, limits: vec![], aside: false, enabled: vec![], patience: PATIENCE }
    }

    /// The leaf itself.
    pub fn cgroup(&self) -> Result<&Cgroup> {
        self.made.as_ref().map(|(_, leaf)| leaf).ok_or_else(|| refusal!("no leaf has been made"))
    }

    /// Does a step of making or unmaking. Others are not this module's.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Collect(name) => {
                self.collect(name);
                Ok(())
            }
            Step::MoveAside(_) => self.move_aside(),
            Step::Enable { controllers, .. } => self.enable(controllers),
            Step::Make { name, mark, .. } => self.make(name, mark.as_deref()),
            Step::Write(write) => {
                let file = limit(self.cgroup()?, write)?;
                self.limits.extend(file.map(|file| (write.clone(), file)));
                Ok(())
            }
            Step::Delegate(to) => self.cgroup()?.give(*to),
            Step::Verify => self.verify(),
            Step::Remove(_) => self.remove(),
            Step::MoveBack => self.move_back(),
            _ => Err(refusal!("not a step of a leaf")),
        }
    }

    /// What cannot be removed at once is another run's to remove, or --gc's.
    fn collect(&self, name: &str) {
        let emptied = self.parent.child(name).and_then(|leaf| leaf.empty(MOMENT));
        emptied.and_then(|()| self.parent.remove(name)).unwrap_or_default();
    }

    fn move_aside(&mut self) -> Result<()> {
        self.aside = true;
        callers::move_aside(&self.parent, self.move_callers)
    }

    fn enable(&mut self, controllers: &[String]) -> Result<()> {
        if self.aside {
            return callers::enable(&self.parent, controllers, self.move_callers);
        }
        self.parent.enable(controllers)?;
        self.enabled = controllers.to_vec();
        Ok(())
    }

    fn make(&mut self, name: &str, mark: Option<&str>) -> Result<()> {
        let made = match self.parent.make(name) {
            Err(error) if errno_of(&error) == Some(Errno::EEXIST) && callers::remove_dead(&self.parent, name)? => {
                self.parent.make(name)
            }
            made => made,
        };
        let leaf = made.hinted(hints::NOT_MADE)?;
        let (_, leaf) = self.made.insert((name.to_owned(), leaf));
        mark.map_or(Ok(()), |mark| leaf.set_mark(MARK, mark))?;
        // From now on the leaf tells other runs of this one.
        callers::unlock(&self.parent)
    }

    /// Whether every limit still is what was set: a run without it was another.
    fn verify(&self) -> Result<()> {
        let leaf = self.cgroup()?;
        self.limits.iter().try_for_each(|(write, file)| {
            agree(write, file)
                .and_then(|()| in_effect(leaf, write))
                .with_context(|| format!("{} did not hold to the end", write.file))
        })
    }

    fn remove(&mut self) -> Result<()> {
        let Some((name, _)) = &self.made else { return Ok(()) };
        self.parent.remove(name)?;
        self.made = None;
        Ok(())
    }

    fn move_back(&mut self) -> Result<()> {
        callers::move_back(&self.parent)?;
        self.aside = false;
        Ok(())
    }

    /// Kills everything in the leaf and waits until it is dead.
    pub fn empty(&mut self) -> Result<()> {
        let patience = std::mem::take(&mut self.patience);
        self.cgroup()?.empty(patience)?;
        self.patience = patience;
        Ok(())
    }

    fn undo(&mut self) -> Result<()> {
        if self.made.is_some() {
            self.empty()?;
        }
        self.remove()?;
        if self.aside {
            return self.move_back();
        }
        callers::take_back(&self.parent, &std::mem::take(&mut self.enabled))
    }

    /// The run is over: controllers stay enabled, for others may have begun to rely on them.
    pub fn end(&mut self) {
        self.enabled.clear();
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            print_error(&format!("left behind under {}: {error:#} (cg-run --gc removes it)", show(&self.parent.path)));
        }
    }
}

/// Writes one limit and reads it back. Its file, where this kernel has it.
fn limit(leaf: &Cgroup, write: &Write) -> Result<Option<File>> {
    match leaf.write(&write.file, &write.value) {
        Err(error) if write.only_with_swap && errno_of(&error) == Some(Errno::ENOENT) => {
            return no_swap(error).map(|()| None);
        }
        other => other.hinted(hints::not_set(&write.file))?,
    }
    let file = leaf.file(&write.file)?;
    agree(write, &file)?;
    in_effect(leaf, write)?;
    Ok(Some(file))
}

fn agree(write: &Write, file: &File) -> Result<()> {
    let page = sysconf(SysconfVar::PAGE_SIZE).call("sysconf(_SC_PAGE_SIZE)")?.and_then(|size| u64::try_from(size).ok());
    let now = whole(file)?;
    if !agrees(&write.file, &write.value, &now, page.unwrap_or(4096)) {
        return Err(refusal!("the kernel holds {} instead", show(now.trim())));
    }
    Ok(())
}

/// Processors and memory nodes are those of the cgroup above where none of its own is there.
fn in_effect(leaf: &Cgroup, write: &Write) -> Result<()> {
    if !matches!(write.file.as_str(), "cpuset.cpus" | "cpuset.mems") {
        return Ok(());
    }
    let effective = leaf.read(&format!("{}.effective", write.file))?;
    if holds(&write.value, &effective) {
        return Ok(());
    }
    let refused = refusal!("in effect is {} instead", show(effective.trim()));
    Err(refused.hint("none of them is online and handed down by the cgroup above"))
}

/// A kernel without swap accounting: no harm where there is no swap either.
fn no_swap(error: anyhow::Error) -> Result<()> {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() <= 1 {
        return Ok(());
    }
    let hint = "there is swap here and this kernel does not count it (CONFIG_SWAP, swapaccount=1): swapoff -a";
    Err(error.hint(hint)).context("a memory limit without a limit on swap would be none")
}
