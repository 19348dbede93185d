//! `--join` and `--join-all`: namespaces that exist already.
//!
//! Everything is opened before anything is entered, and a process is held by a pidfd, so that its pid cannot come to mean
//! another. Of a process that is joined only its namespaces are read: its files may be hostile. This process is not
//! dumpable while it enters, so that no process in there can trace it, nor take its descriptors (CVE-2016-9962).

use std::os::fd::OwnedFd;

use anyhow::Context as _;
use chain::{Call as _, Common, Result, show, sys};
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;

use crate::hints;
use crate::look::pidfd;
use crate::model::join::{Join, Source};
use crate::model::namespace::Set;
use crate::step::Step;

/// Namespaces ready to be entered.
struct NamespaceHandle {
    set: Set,
    file: OwnedFd,
}

impl NamespaceHandle {
    fn open(join: &Join) -> Result<Self> {
        let file = match &join.source {
            Source::Process(pid) => pidfd(*pid)?,
            Source::File(path) => {
                // A fifo must not hold us up, a terminal must not become ours; setns(2) tells what is a namespace.
                let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
                let opened = openat(AT_FDCWD, path.as_os_str(), flags, Mode::empty());
                opened.call(&format!("open {}", show(path))).map_err(|error| hints::opening(error, path))?
            }
            Source::Descriptor(fd) => {
                let file = sys::borrowed(*fd).call(&format!("--join fd:{fd}: fcntl"))?;
                file.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?
            }
        };
        Ok(Self { set: join.set, file })
    }

    /// Enters: this process, and for pid namespaces what it starts from now on.
    fn enter(&self) -> Result<()> {
        let entered = setns(&self.file, CloneFlags::from_bits_retain(self.set.flags())).call("setns");
        entered.map_err(|error| hints::entering(error, self.set))
    }
}

/// Enters all of them.
pub fn enter(common: &Common, joins: &[Join]) -> Result<()> {
    let steps: Vec<Step> = joins.iter().cloned().map(Step::Join).collect();
    let open = |(join, step): (&Join, &Step)| NamespaceHandle::open(join).with_context(|| step.to_string());
    let handles = joins.iter().zip(&steps).map(open).collect::<Result<Vec<_>>>()?;
    let mut handles = handles.iter();
    chain::perform(common, &steps, |_| handles.next().map_or(Ok(()), NamespaceHandle::enter))
}
