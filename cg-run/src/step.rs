//! The one name of each step.

use std::fmt;
use std::path::PathBuf;

use chain::show;

use crate::model::deadline::TimeLimits;
use crate::model::leaf::CALLERS;
use crate::model::limit::Write;
use crate::model::loan::{Ids, Loan};
use crate::model::report::Target;

/// One effect of cg-run, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    OpenReport(Target),
    /// Gives a folder to another user, and takes special files out of it.
    Lend(Loan),
    TakeBack(Loan),
    /// Removes the leaf of a run that was killed.
    Collect(String),
    /// Moves what is in the parent itself into a child of it.
    MoveAside(PathBuf),
    /// Enables controllers for the children of the parent.
    Enable {
        parent: PathBuf,
        controllers: Vec<String>,
    },
    Make {
        parent: PathBuf,
        name: String,
        /// The mark that tells its owner, where the name does not.
        mark: Option<String>,
    },
    /// Writes one file of the leaf, and reads it back.
    Write(Write),
    /// Gives the leaf away, but for its limits.
    Delegate(Ids),
    /// Makes orphans of the run children of cg-run.
    Adopt,
    /// Starts the child; in a leaf or not.
    Start {
        inside: bool,
    },
    /// Waits for the end, of the child or of a limit.
    Watch(TimeLimits),
    Kill {
        inside: bool,
    },
    /// Gives back the terminal that a box had which did not end by itself.
    GiveBack,
    Account,
    /// A limit that did not hold to the end is none.
    Verify,
    Remove(String),
    /// Moves back what was moved aside, unless another run is there.
    MoveBack,
}

impl Step {
    /// The step in words, and as the system calls that do it.
    fn named(&self) -> (String, String) {
        match self {
            Self::OpenReport(Target::File(path)) => {
                let path = show(path);
                (
                    format!("open the report {path}"),
                    format!("openat2({path}, O_WRONLY|O_CREAT|O_TRUNC|O_NONBLOCK|O_CLOEXEC, RESOLVE_NO_SYMLINKS)"),
                )
            }
            Self::OpenReport(Target::Descriptor(number)) => {
                (format!("take descriptor {number} for the report"), format!("fcntl({number}, F_DUPFD_CLOEXEC)"))
            }
            Self::Lend(Loan { folder, user, owner, special }) => {
                (format!("lend {} of {owner} to {user}{}", show(folder), without(*special)), LENDING.into())
            }
            Self::TakeBack(Loan { folder, owner, special, .. }) => {
                (format!("give {} back to {owner}{}", show(folder), without(*special)), LENDING.into())
            }
            Self::Collect(name) => (
                format!("remove leaf {name}, whose run was killed"),
                format!("write cgroup.kill 1, unlinkat({name}, AT_REMOVEDIR)"),
            ),
            Self::MoveAside(parent) => (
                format!("move what is in {} into {}", show(parent), show(parent.join(CALLERS))),
                format!("flock, mkdirat({CALLERS}), write {CALLERS}/cgroup.procs each"),
            ),
            Self::Enable { parent, controllers } => (
                format!("enable {} for the children of {}", controllers.join(" "), show(parent)),
                format!("write cgroup.subtree_control +{}", controllers.join(" +")),
            ),
            Self::Make { parent, name, mark } => {
                let mark = mark.as_ref().map(|mark| format!(", fsetxattr({mark})")).unwrap_or_default();
                (format!("make leaf {}", show(parent.join(name))), format!("mkdirat({name}){mark}"))
            }
            Self::Write(Write { file, value, .. }) => {
                let value = show(value);
                (format!("set {file} to {value}"), format!("write {file} {value}"))
            }
            Self::Delegate(ids) => (
                format!("give the leaf to {ids}, but for its limits"),
                "fchownat of it, cgroup.procs, cgroup.threads and cgroup.subtree_control".into(),
            ),
            Self::Adopt => ("adopt the orphans of the run".into(), "prctl(PR_SET_CHILD_SUBREAPER, 1)".into()),
            Self::Start { inside: true } => (
                "start the child inside the leaf".into(),
                "prctl(PR_SET_DUMPABLE, 0), clone3(CLONE_INTO_CGROUP|CLONE_PIDFD)".into(),
            ),
            Self::Start { inside: false } => {
                ("start the child".into(), "prctl(PR_SET_DUMPABLE, 0), clone(CLONE_PIDFD)".into())
            }
            Self::Watch(times) => {
                let limit =
                    if *times == TimeLimits::default() { String::new() } else { format!(" or for a limit: {times}") };
                (format!("wait for its end{limit}"), "poll(pidfd, signalfd, lifeline), wait4".into())
            }
            Self::Kill { inside: true } => ("kill what is left in the leaf".into(), "write cgroup.kill 1".into()),
            Self::Kill { inside: false } => {
                ("kill what is left of the process tree".into(), "pidfd_send_signal(SIGKILL) to each descendant".into())
            }
            Self::GiveBack => (
                "if it was killed, give the caller's terminal back as it was".into(),
                "tcsetpgrp, tcsetattr, tcflow(TCOON), ioctl(TIOCNXCL), ioctl(TIOCSETD)".into(),
            ),
            Self::Account => (
                "read what was used".into(),
                "read cpu.stat, memory.events, memory.peak, pids.peak, io.stat, *.pressure".into(),
            ),
            Self::Verify => ("read the limits back once more".into(), "pread of each file that was written".into()),
            Self::Remove(name) => (format!("remove leaf {name}"), format!("unlinkat({name}, AT_REMOVEDIR)")),
            Self::MoveBack => (
                format!("move back what is in {CALLERS}, unless another run is there"),
                format!("write cgroup.subtree_control, write cgroup.procs each, unlinkat({CALLERS}, AT_REMOVEDIR)"),
            ),
        }
    }
}

const LENDING: &str = "openat2(RESOLVE_NO_SYMLINKS), for each file: openat(O_PATH|O_NOFOLLOW), fchownat, unlinkat";

fn without(special: bool) -> &'static str {
    if special { "" } else { ", without special files" }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named().0)
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        self.named().1
    }
}
