//! zfs(8) for its effects.

use std::thread::sleep;
use std::time::{Duration, Instant};

use chain::failure::Kind as FailureKind;
use chain::{Failure, Result};

use crate::hints::BUSY as IN_USE;
use crate::look::zfs::cli::{Zfs, what};

/// How long a dataset that is busy is tried. zfs-fuse unmounts asynchronously; what is busy for longer is in use.
const BUSY: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

impl Zfs {
    /// Runs it for its effect.
    pub fn done(&self, args: &[&str]) -> Result<()> {
        self.run(args)?.checked(&what(args)).map(drop)
    }

    /// Runs it for its effect; while it says that something is busy, again for a while.
    pub fn patiently(&self, args: &[&str]) -> Result<()> {
        let start = Instant::now();
        loop {
            let done = self.run(args)?;
            if done.good || !done.complaint.contains("busy") {
                return done.checked(&what(args)).map(drop);
            }
            if start.elapsed() > BUSY {
                return Err(Failure::refusal(format!("{}: {}", what(args), done.complaint))
                    .kind(FailureKind::TryAgain)
                    .hint(IN_USE)
                    .into());
            }
            sleep(PAUSE);
        }
    }

    /// Destroys exactly this dataset or snapshot. Never with -r or -R.
    pub fn destroy(&self, dataset: &str) -> Result<()> {
        self.patiently(&["destroy", dataset])
    }
}
