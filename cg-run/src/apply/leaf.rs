//! The leaf of a run: made step by step, and undone whatever happens.

use std::fs;

use chain::failure::errno_of;
use chain::{Call as _, Context as _, Failure, Hint as _, Result, print_error, show};
use nix::errno::Errno;
use nix::unistd::{SysconfVar, sysconf};

use crate::hints;
use crate::look::cgroup::Cgroup;
use crate::model::limit::{Write, agrees};
use crate::step::Step;

/// The attribute that marks a leaf with a name of the user's.
pub const MARK: &str = "user.chainbox.owner";

/// What was made so far. Dropped before its time it kills, removes, and goes back.
#[derive(Debug)]
pub struct Leaf {
    parent: Cgroup,
    made: Option<(String, Cgroup)>,
    aside: Option<Aside>,
}

/// cg-run itself, out of the parent.
#[derive(Debug)]
struct Aside {
    name: String,
    enabled: Vec<String>,
}

impl Leaf {
    pub fn under(parent: Cgroup) -> Self {
        Self { parent, made: None, aside: None }
    }

    /// The leaf itself.
    pub fn cgroup(&self) -> Result<&Cgroup> {
        self.made.as_ref().map(|(_, leaf)| leaf).ok_or_else(|| Failure::refusal("no leaf has been made").into())
    }

    /// Does a step of making or unmaking. Others are not this module's.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::MoveSelf { name, .. } => self.move_aside(name),
            Step::Enable { controllers, .. } => self.enable(controllers),
            Step::Make { name, mark, .. } => self.make(name, mark.as_deref()),
            Step::Write(write) => limit(self.cgroup()?, write),
            Step::Remove { .. } => self.remove(),
            Step::MoveBack { .. } => self.move_back(),
            _ => Err(Failure::refusal("not a step of a leaf").into()),
        }
    }

    fn move_aside(&mut self, name: &str) -> Result<()> {
        let own = self.parent.make(name)?;
        self.aside = Some(Aside { name: name.to_owned(), enabled: vec![] });
        // 0 is the process that writes.
        own.write("cgroup.procs", "0")
    }

    fn enable(&mut self, controllers: &[String]) -> Result<()> {
        let words: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
        self.parent.write("cgroup.subtree_control", &words.join(" ")).hinted(hints::NOT_ENABLED)?;
        if let Some(aside) = &mut self.aside {
            aside.enabled = controllers.to_vec();
        }
        Ok(())
    }

    fn make(&mut self, name: &str, mark: Option<&str>) -> Result<()> {
        let leaf = self.parent.make(name).hinted(hints::NOT_MADE)?;
        let (_, leaf) = self.made.insert((name.to_owned(), leaf));
        mark.map_or(Ok(()), |mark| leaf.set_mark(MARK, mark))
    }

    fn remove(&mut self) -> Result<()> {
        let Some((name, _)) = &self.made else { return Ok(()) };
        self.parent.remove(name)?;
        self.made = None;
        Ok(())
    }

    /// Controllers first: while they are enabled nobody may enter the parent.
    fn move_back(&mut self) -> Result<()> {
        let Some(aside) = &self.aside else { return Ok(()) };
        if !aside.enabled.is_empty() {
            let words: Vec<String> = aside.enabled.iter().map(|name| format!("-{name}")).collect();
            self.parent.write("cgroup.subtree_control", &words.join(" "))?;
        }
        self.parent.write("cgroup.procs", "0")?;
        self.parent.remove(&aside.name)?;
        self.aside = None;
        Ok(())
    }

    fn undo(&mut self) -> Result<()> {
        if let Some((_, leaf)) = &self.made {
            leaf.empty()?;
        }
        self.remove()?;
        self.move_back()
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            print_error(&format!("left behind under {}: {error:#} (cg-run --gc removes it)", show(&self.parent.path)));
        }
    }
}

/// Writes one limit and reads it back.
fn limit(leaf: &Cgroup, write: &Write) -> Result<()> {
    match leaf.write(&write.file, &write.value) {
        Err(error) if write.only_with_swap && errno_of(&error) == Some(Errno::ENOENT) => return no_swap(error),
        other => other?,
    }
    let page = sysconf(SysconfVar::PAGE_SIZE).call("sysconf(_SC_PAGE_SIZE)")?.and_then(|size| u64::try_from(size).ok());
    let now = leaf.read(&write.file)?;
    if agrees(&write.file, &write.value, &now, page.unwrap_or(4096)) {
        return Ok(());
    }
    Err(Failure::refusal(format!("the kernel holds {} instead", show(now.trim()))).into())
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
