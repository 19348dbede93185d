//! The only effects: each limit is set and read back.

use chain::failure::{errno_of, with_hint};
use chain::{Call as _, Failure, Result};
use nix::errno::Errno;
use nix::sys::resource::setrlimit;

use crate::limit::value_text;
use crate::look;
use crate::step::Step;

/// Sets one limit and reads it back.
///
/// # Errors
/// What setrlimit(2) says, with the hard limit that stood in the way; a limit that is not what was set.
pub fn step(step: &Step) -> Result<()> {
    let call = format!("setrlimit({})", step.limit.kernel_name());
    setrlimit(step.limit.resource, step.soft, step.hard).call(&call).map_err(|error| explained(error, step))?;
    let now = look::current(step.limit)?;
    if now != (step.soft, step.hard) {
        let text = format!("the kernel set {}:{} instead", value_text(now.0), value_text(now.1));
        return Err(Failure::refusal(text).into());
    }
    Ok(())
}

fn explained(error: anyhow::Error, step: &Step) -> anyhow::Error {
    if errno_of(&error) != Some(Errno::EPERM) || step.hard <= step.hard_now {
        return error;
    }
    let hint = format!(
        "the hard limit is {} here; raising it needs CAP_SYS_RESOURCE in the initial user namespace",
        value_text(step.hard_now)
    );
    with_hint(error, hint)
}
