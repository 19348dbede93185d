//! The one name of each step.

use std::fmt;
use std::path::PathBuf;

use chain::show;

use crate::deadline::TimeLimits;
use crate::limit::Write;
use crate::report::Target;

/// One effect of cg-run, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Opens the report.
    OpenReport(Target),
    /// Moves cg-run itself out of the parent.
    MoveSelf {
        /// The parent.
        parent: PathBuf,
        /// The name of cg-run's own leaf.
        name: String,
    },
    /// Enables controllers for the children of the parent.
    Enable {
        /// The parent.
        parent: PathBuf,
        /// Which.
        controllers: Vec<String>,
    },
    /// Makes the leaf.
    Make {
        /// The parent.
        parent: PathBuf,
        /// The leaf's name.
        name: String,
        /// The mark that tells its owner, where the name does not.
        mark: Option<String>,
    },
    /// Writes one file of the leaf, and reads it back.
    Write(Write),
    /// Makes orphans of the run children of cg-run.
    Adopt,
    /// Starts the child; in a leaf or not.
    Start {
        /// Inside a leaf.
        inside: bool,
    },
    /// Waits for the end, of the child or of a limit.
    Watch(TimeLimits),
    /// Kills what is left.
    Kill {
        /// In a leaf.
        inside: bool,
    },
    /// Gives back the terminal that a box had which did not end by itself.
    GiveBack,
    /// Reads what was used.
    Account,
    /// Removes the leaf.
    Remove {
        /// Its name.
        name: String,
    },
    /// Moves cg-run back where it was.
    MoveBack {
        /// The name of cg-run's own leaf.
        name: String,
        /// The controllers that were enabled.
        controllers: Vec<String>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenReport(Target::File(path)) => write!(f, "open the report {}", show(path)),
            Self::OpenReport(Target::Descriptor(number)) => write!(f, "take descriptor {number} for the report"),
            Self::MoveSelf { parent, name } => write!(f, "move cg-run itself into {}", show(parent.join(name))),
            Self::Enable { parent, controllers } => {
                write!(f, "enable {} for the children of {}", controllers.join(" "), show(parent))
            }
            Self::Make { parent, name, .. } => write!(f, "make leaf {}", show(parent.join(name))),
            Self::Write(write) => write!(f, "set {} to {}", write.file, show(&write.value)),
            Self::Adopt => f.write_str("adopt the orphans of the run"),
            Self::Start { inside: true } => f.write_str("start the child inside the leaf"),
            Self::Start { inside: false } => f.write_str("start the child"),
            Self::Watch(times) if *times == TimeLimits::default() => f.write_str("wait for its end"),
            Self::Watch(times) => write!(f, "wait for its end or for a limit: {times}"),
            Self::Kill { inside: true } => f.write_str("kill what is left in the leaf"),
            Self::Kill { inside: false } => f.write_str("kill what is left of the process tree"),
            Self::GiveBack => f.write_str("if it was killed, give the caller's terminal back as it was"),
            Self::Account => f.write_str("read what was used"),
            Self::Remove { name } => write!(f, "remove leaf {}", show(name)),
            Self::MoveBack { name, .. } => write!(f, "move cg-run back and remove {}", show(name)),
        }
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        match self {
            Self::OpenReport(Target::File(path)) => format!("open({}, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC)", show(path)),
            Self::OpenReport(Target::Descriptor(number)) => format!("fcntl({number}, F_DUPFD_CLOEXEC)"),
            Self::MoveSelf { name, .. } => format!("mkdirat({}), write {}/cgroup.procs 0", show(name), show(name)),
            Self::Enable { controllers, .. } => format!("write cgroup.subtree_control +{}", controllers.join(" +")),
            Self::Make { name, mark: None, .. } => format!("mkdirat({})", show(name)),
            Self::Make { name, mark: Some(mark), .. } => format!("mkdirat({}), fsetxattr({mark})", show(name)),
            Self::Write(write) => format!("write {} {}", write.file, show(&write.value)),
            Self::Adopt => "prctl(PR_SET_CHILD_SUBREAPER, 1)".into(),
            Self::Start { inside: true } => "prctl(PR_SET_DUMPABLE, 0), clone3(CLONE_INTO_CGROUP|CLONE_PIDFD)".into(),
            Self::Start { inside: false } => "prctl(PR_SET_DUMPABLE, 0), clone(CLONE_PIDFD)".into(),
            Self::Watch(_) => "poll(pidfd, signalfd, lifeline), wait4".into(),
            Self::Kill { inside: true } => "write cgroup.kill 1".into(),
            Self::Kill { inside: false } => "pidfd_send_signal(SIGKILL) to each descendant".into(),
            Self::GiveBack => "tcsetpgrp, tcsetattr, tcflow(TCOON), ioctl(TIOCNXCL), ioctl(TIOCSETD)".into(),
            Self::Account => "read cpu.stat, memory.events, memory.peak, pids.peak, io.stat, *.pressure".into(),
            Self::Remove { name } => format!("unlinkat({}, AT_REMOVEDIR)", show(name)),
            Self::MoveBack { name, controllers } => format!(
                "write cgroup.subtree_control -{}, write cgroup.procs 0, unlinkat({}, AT_REMOVEDIR)",
                controllers.join(" -"),
                show(name)
            ),
        }
    }
}
