//! newuidmap(1) and newgidmap(1), which write the maps of a caller that may not.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use chain::{Call as _, Hint as _, Result, next, refusal, sys};
use nix::libc;

use crate::model::map::IdMap;

/// Has the helper write a map. It is setuid root and checks that the ranges are the caller's. What it prints when it
/// refuses is part of the message.
pub fn write(map: &IdMap, pid: &str) -> Result<()> {
    let helper = map.kind.helper();
    let path = next::find(&OsString::from(helper)).map_err(|_| missing(helper))?;
    // With SIGCHLD ignored, the kernel would take the helper's status.
    sys::ignore_signal(libc::SIGCHLD, false).call("sigaction(SIGCHLD)")?;
    let numbers = map.numbers(" ");
    let mut command = Command::new(path);
    let output = command.arg(pid).args(numbers.split(' ')).stdin(Stdio::null()).output().call(helper)?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let reason = printed.lines().next().unwrap_or("it said nothing").trim();
    let reason = reason.strip_prefix(&format!("{helper}: ")).unwrap_or(reason);
    Err(refusal!("{helper}: {reason}").hint(REFUSED))
}

const REFUSED: &str = "it must be setuid root or have file capabilities (Debian: package uidmap), and the caller must \
                       have a name in /etc/passwd and the ranges in /etc/subuid and /etc/subgid";

fn missing(helper: &str) -> anyhow::Error {
    refusal!("{helper}: not found in PATH")
        .hint("Debian and Ubuntu have it in the package uidmap, others in shadow-utils")
}
