//! What became of a run, in one word. Pure.

use std::fmt;
use std::time::Duration;

use chain::wait::Ended;
use nix::libc;

use super::accounts::Accounts;
use super::deadline::{Exceeded, TimeLimits};

/// One word of a judge. The first two letters of isolate's status lines, and ML and OL which it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ended by itself with exit code 0, within all limits.
    Ok,
    Re,
    /// Died of a signal that did not come from a limit, or was asked to end.
    Sg,
    To,
    /// Something inside was killed for want of memory.
    Ml,
    /// Wrote beyond its limit of file size.
    Ol,
    /// The sandbox failed, not the program.
    Xx,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Re => "RE",
            Self::Sg => "SG",
            Self::To => "TO",
            Self::Ml => "ML",
            Self::Ol => "OL",
            Self::Xx => "XX",
        })
    }
}

/// Why cg-run killed the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Limit(Exceeded),
    /// Whoever started cg-run is gone.
    CallerGone,
    /// It was asked to end, and did not.
    Interrupted,
}

/// Everything that is known of a run when it is over.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub ended: Ended,
    /// Why it was killed, if cg-run killed it.
    pub killed: Option<Cause>,
    /// Whether somebody asked the run to end, by TERM, INT, HUP or QUIT to cg-run.
    pub interrupted: bool,
    /// Whether a link below has said that it executes the program.
    pub executed: bool,
    /// What a link below says that has failed: then the program was never executed.
    pub fault: Option<String>,
    /// Wall time from the start of the child to its end.
    pub wall: Duration,
    pub accounts: Accounts,
    /// Why there was no cgroup, where one was requested if possible.
    pub without_cgroup: Option<String>,
}

impl Outcome {
    /// The verdict and its words. A kill of ours comes first, for then nothing else is the program's own; then what
    /// the kernel killed; then isolate's order: a limit that the program overran and still ended by itself counts more
    /// than how it ended.
    pub fn judged(&self, limits: &TimeLimits) -> (Verdict, String) {
        if let Some(never) = self.never_executed() {
            return (Verdict::Xx, never.into());
        }
        match self.killed {
            Some(Cause::CallerGone) => {
                return (Verdict::Xx, "Killed: cg-run was killed, or the process that started it is gone".into());
            }
            Some(Cause::Limit(which)) => return over(which),
            Some(Cause::Interrupted) => return interrupted(),
            None => {}
        }
        if let Some(fault) = &self.fault {
            return (Verdict::Xx, fault.clone());
        }
        if self.accounts.oom_kills.is_some_and(|kills| kills > 0) {
            return (Verdict::Ml, memory_words(&self.accounts));
        }
        if let Some(which) = limits.over(self.wall, self.accounts.cpu.total) {
            return over(which);
        }
        if self.interrupted { interrupted() } else { self.by_itself() }
    }

    /// What ended a run before there was a program that it could be the fault of. A tool that was asked for a page has none.
    fn never_executed(&self) -> Option<&'static str> {
        match (self.killed, self.ended) {
            _ if self.executed || self.fault.is_some() || self.interrupted => None,
            (Some(Cause::Limit(_)), _) => Some("The time limit was over before the program was executed"),
            (None, Ended::Signal(_)) => Some("A link of the chain was killed before the program was executed"),
            (None, Ended::Exit(1..)) => Some("A link of the chain ended before the program was executed"),
            _ => None,
        }
    }

    /// The verdict of one that no limit of ours has touched.
    pub fn by_itself(&self) -> (Verdict, String) {
        match self.ended {
            Ended::Exit(0) => (Verdict::Ok, String::new()),
            Ended::Exit(code) => (Verdict::Re, format!("Exited with error status {code}")),
            Ended::Signal(libc::SIGXFSZ) => (Verdict::Ol, "Output limit exceeded".into()),
            Ended::Signal(signal) => (Verdict::Sg, fatal(signal)),
        }
    }
}

/// However it took it: by its default, or by a handler that ends with 0.
fn interrupted() -> (Verdict, String) {
    (Verdict::Sg, "Interrupted".into())
}

fn over(which: Exceeded) -> (Verdict, String) {
    let words = match which {
        Exceeded::Cpu => "Time limit exceeded",
        Exceeded::Wall => "Time limit exceeded (wall clock)",
    };
    (Verdict::To, words.into())
}

/// The leaf's own limit, or somebody else's: memory.events counts an OOM where it happened, and a kill where the
/// killed process was.
fn memory_words(accounts: &Accounts) -> String {
    let own = accounts.ooms.is_some_and(|ooms| ooms > 0);
    if own { "Memory limit exceeded" } else { "Out of memory outside the box" }.into()
}

/// SIGSYS has one cause in practice, which is not seen otherwise: a filter kills without a word.
fn fatal(signal: i32) -> String {
    let cause = if signal == libc::SIGSYS { " (SIGSYS: a system call that a filter forbids)" } else { "" };
    format!("Caught fatal signal {signal}{cause}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One that has begun and has used nothing.
    pub fn outcome(ended: Ended) -> Outcome {
        let (wall, accounts) = (Duration::from_secs(1), Accounts::default());
        Outcome {
            ended,
            killed: None,
            interrupted: false,
            executed: true,
            fault: None,
            wall,
            accounts,
            without_cgroup: None,
        }
    }

    fn word(outcome: &Outcome) -> String {
        let limits = TimeLimits { cpu: Some(Duration::from_secs(1)), wall: Some(Duration::from_secs(2)), extra: None };
        let (verdict, words) = outcome.judged(&limits);
        format!("{verdict} {words}")
    }

    #[test]
    fn a_run_within_its_limits_is_judged_by_its_end() {
        assert_eq!(word(&outcome(Ended::Exit(0))), "OK ");
        assert_eq!(word(&outcome(Ended::Exit(3))), "RE Exited with error status 3");
        assert_eq!(word(&outcome(Ended::Signal(11))), "SG Caught fatal signal 11");
        assert_eq!(word(&outcome(Ended::Signal(9))), "SG Caught fatal signal 9");
        assert_eq!(word(&outcome(Ended::Signal(libc::SIGXFSZ))), "OL Output limit exceeded");
    }

    #[test]
    fn a_time_limit_counts_more_than_the_end() {
        let late = Outcome { wall: Duration::from_millis(2001), ..outcome(Ended::Exit(1)) };
        assert_eq!(word(&late), "TO Time limit exceeded (wall clock)");
        let killed = Outcome { killed: Some(Cause::Limit(Exceeded::Cpu)), ..outcome(Ended::Signal(9)) };
        assert_eq!(word(&killed), "TO Time limit exceeded");
    }

    #[test]
    fn the_kernels_kill_is_told_from_others() {
        let mut killed = outcome(Ended::Signal(9));
        killed.accounts.oom_kills = Some(0);
        assert_eq!(word(&killed), "SG Caught fatal signal 9");
        killed.accounts.oom_kills = Some(1);
        killed.accounts.ooms = Some(0);
        assert_eq!(word(&killed), "ML Out of memory outside the box");
        killed.accounts.ooms = Some(1);
        assert_eq!(word(&killed), "ML Memory limit exceeded");
    }

    #[test]
    fn an_interrupted_run_says_so_however_it_ended() {
        let asked = Outcome { interrupted: true, ..outcome(Ended::Exit(0)) };
        assert_eq!(word(&asked), "SG Interrupted");
        let killed = Outcome { killed: Some(Cause::Interrupted), interrupted: true, ..outcome(Ended::Signal(9)) };
        assert_eq!(word(&killed), "SG Interrupted");
        let late = Outcome { wall: Duration::from_millis(2001), ..asked };
        assert_eq!(word(&late), "TO Time limit exceeded (wall clock)");
    }

    #[test]
    fn nothing_is_the_fault_of_a_program_that_was_not_executed() {
        let link = |ended| Outcome { executed: false, ..outcome(ended) };
        assert_eq!(word(&link(Ended::Signal(9))), "XX A link of the chain was killed before the program was executed");
        assert_eq!(word(&link(Ended::Exit(1))), "XX A link of the chain ended before the program was executed");
        assert_eq!(word(&link(Ended::Exit(0))), "OK ");
        let slow = Outcome { killed: Some(Cause::Limit(Exceeded::Wall)), ..link(Ended::Signal(9)) };
        assert_eq!(word(&slow), "XX The time limit was over before the program was executed");
    }

    #[test]
    fn the_sandboxs_failure_is_not_the_programs() {
        let missing = Outcome { fault: Some("/x: execve: No such file".into()), ..outcome(Ended::Exit(127)) };
        assert_eq!(word(&missing), "XX /x: execve: No such file");
    }
}
