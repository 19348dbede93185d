//! A step is named once: the same value prints `--explain`, `-v`, and the failing-step part of an error.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::fd::RawFd;

use anyhow::Context as _;

use crate::parse::{Common, Explain};
use crate::{Next, Result, message, next, show};

/// One effect that a link will have. `Display` gives it in words: `bind /usr on /usr read-only`.
pub trait Step: Display {
    /// The same step as the system call or file write that does it: `unshare(CLONE_NEWUSER)`.
    fn call(&self) -> String;
}

/// Does the steps in order; `apply` has the effect. With `-v` each step is said when it has been done.
pub fn perform<S: Step>(common: &Common, steps: &[S], mut apply: impl FnMut(&S) -> Result<()>) -> Result<()> {
    steps.iter().try_for_each(|step| done(common, step, || apply(step)))
}

/// Does one step, which may yield something.
pub fn done<T>(common: &Common, step: &impl Display, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let value = work().with_context(|| step.to_string())?;
    print_done(common, step);
    Ok(value)
}

/// With `-v`: says that a step has been done.
pub fn print_done(common: &Common, step: &impl Display) {
    if common.verbose {
        message::print_step(&step.to_string());
    }
}

/// Prints the numbered steps on standard output, then passes the request on: a next link explains itself in turn,
/// a payload is only named. `keep`: the descriptors that the next program is to have. Returns (with exit code 0) only where the
/// payload was named.
pub fn explain<S: Step>(form: Explain, steps: &[S], prog: &[OsString], keep: &[RawFd]) -> Result<u8> {
    print(form, steps)?;
    if next::is_our_tool(prog) {
        let next = Next::resolve(prog)?;
        return Err(next.exec_explaining(form, keep));
    }
    message::print(&payload(form, prog))?;
    Ok(0)
}

/// Prints the numbered steps on standard output.
pub fn print<S: Step>(form: Explain, steps: &[S]) -> Result<()> {
    let lines: String = steps.iter().zip(1..).map(|(step, n)| explained(form, n, step)).collect();
    message::print(&lines)
}

fn explained<S: Step>(form: Explain, n: usize, step: &S) -> String {
    let tool = message::tool();
    match form {
        Explain::Words => format!("{tool}: {n}. {step}  [{}]\n", step.call()),
        Explain::Json => json(&serde_json::json!({
            "tool": tool, "step": n, "words": step.to_string(), "call": step.call(),
        })),
    }
}

fn payload(form: Explain, prog: &[OsString]) -> String {
    let words: Vec<String> = next::or_shell(prog).iter().map(show).collect();
    match form {
        Explain::Words => format!("payload: {}\n", words.join(" ")),
        Explain::Json => json(&serde_json::json!({ "payload": words })),
    }
}

fn json(value: &serde_json::Value) -> String {
    format!("{value}\n")
}
