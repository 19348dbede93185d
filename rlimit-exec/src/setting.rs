//! What a process hands on through exec besides its limits: priority, I/O class, scheduling, processors, umask and some
//! switches of prctl(2) and personality(2). Values only; what they do is in [`crate::apply`].

use std::fmt;

use chain::sys::SchedAttr;
use chain::values::number;
use chain::{Failure, Result, show};

/// The kinds of setting: one per option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nice value.
    Priority,
    /// I/O class and level.
    Io,
    /// Scheduling policy.
    Scheduler,
    /// Processor affinity.
    Cpus,
    /// oom_score_adj.
    Oom,
    /// File mode creation mask.
    Umask,
    /// No address space randomisation.
    NoAslr,
    /// Memory-Deny-Write-Execute.
    Mdwe,
    /// No time stamp counter.
    NoTsc,
    /// A core scheduling cookie.
    CoreSched,
    /// Timer slack.
    TimerSlack,
}

/// A setting with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Nice value, -20 to 19 (setpriority(2)).
    Priority(i32),
    /// The kernel's number: class in the bits from 13, level below (ioprio_set(2)).
    Io(i32),
    /// Scheduling policy (sched_setattr(2)).
    Scheduler(SchedAttr),
    /// Processors by number, ascending (sched_setaffinity(2)).
    Cpus(Vec<usize>),
    /// -1000 to 1000 (proc(5)).
    Oom(i32),
    /// Octal bits (umask(2)).
    Umask(u32),
    /// ADDR_NO_RANDOMIZE (personality(2)).
    NoAslr,
    /// PR_MDWE_REFUSE_EXEC_GAIN (prctl(2), Linux 6.3).
    Mdwe,
    /// PR_TSC_SIGSEGV (prctl(2)).
    NoTsc,
    /// PR_SCHED_CORE_CREATE (prctl(2), Linux 5.14).
    CoreSched,
    /// Nanoseconds, at least 1 (PR_SET_TIMERSLACK of prctl(2)).
    TimerSlack(u64),
}

/// The I/O classes by name, and the kernel's numbers for them (ioprio_set(2)).
const IO_CLASSES: [(&str, i32); 4] = [("none", 0), ("realtime", 1), ("best-effort", 2), ("idle", 3)];

/// The policies by name, the kernel's number (sched(7)), and how many values follow.
const POLICIES: [(&str, u32, usize); 6] =
    [("other", 0, 0), ("fifo", 1, 1), ("rr", 2, 1), ("batch", 3, 0), ("idle", 5, 0), ("deadline", 6, 3)];

/// Children begin with the policy other again: SCHED_FLAG_RESET_ON_FORK of linux/sched.h, and how it is said.
const RESET_ON_FORK: u64 = 1;
const RESET: &str = ",reset-on-fork";

/// The highest processor number that a list may name: the size of the C library's set.
const MOST_CPUS: usize = 1024;

impl Kind {
    /// The option, without dashes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Io => "ionice",
            Self::Scheduler => "scheduler",
            Self::Cpus => "cpus",
            Self::Oom => "oom-score-adj",
            Self::Umask => "umask",
            Self::NoAslr => "no-aslr",
            Self::Mdwe => "mdwe",
            Self::NoTsc => "no-tsc",
            Self::CoreSched => "core-sched",
            Self::TimerSlack => "timer-slack",
        }
    }

    /// Reads the value of this kind of setting.
    ///
    /// # Errors
    /// A word that is none.
    pub fn setting(self, word: &str) -> Result<Setting> {
        self.value(word).ok_or_else(|| {
            Failure::refusal(format!("--{} {}: not a value", self.name(), show(word))).hint(self.form()).into()
        })
    }

    fn value(self, word: &str) -> Option<Setting> {
        match self {
            Self::Priority => signed(word, -20, 19).map(Setting::Priority),
            Self::Io => io(word).map(Setting::Io),
            Self::Scheduler => policy(word).map(Setting::Scheduler),
            Self::Cpus => cpus(word).map(Setting::Cpus),
            Self::Oom => signed(word, -1000, 1000).map(Setting::Oom),
            Self::Umask => umask(word).map(Setting::Umask),
            Self::NoAslr => Some(Setting::NoAslr),
            Self::Mdwe => Some(Setting::Mdwe),
            Self::NoTsc => Some(Setting::NoTsc),
            Self::CoreSched => Some(Setting::CoreSched),
            Self::TimerSlack => number(word.as_ref()).filter(|ns| *ns > 0).map(Setting::TimerSlack),
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::Priority => "a number from -20 to 19",
            Self::Io => "realtime:0-7, best-effort:0-7, idle or none",
            Self::Scheduler => {
                "other, batch, idle, fifo:1-99, rr:1-99 or deadline:RUNTIME:DEADLINE:PERIOD in ns; ,reset-on-fork"
            }
            Self::Cpus => "numbers and ranges, for example 0,2-3 or 0-6:2",
            Self::Oom => "a number from -1000 to 1000",
            Self::Umask => "up to four octal digits, for example 077",
            Self::TimerSlack => "nanoseconds, at least 1",
            Self::NoAslr | Self::Mdwe | Self::NoTsc | Self::CoreSched => "no value",
        }
    }
}

fn signed(word: &str, least: i32, most: i32) -> Option<i32> {
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    let value = sign * i32::try_from(number(digits.as_ref())?).ok()?;
    (least..=most).contains(&value).then_some(value)
}

fn io(word: &str) -> Option<i32> {
    let (name, level) = word.split_once(':').map_or((word, None), |(name, level)| (name, Some(level)));
    let (_, class) = IO_CLASSES.into_iter().find(|(known, _)| *known == name)?;
    let level = match level {
        None if ["idle", "none"].contains(&name) => 0,
        None => 4,
        Some(_) if ["idle", "none"].contains(&name) => return None,
        Some(level) => signed(level, 0, 7)?,
    };
    Some(class << 13 | level)
}

fn policy(word: &str) -> Option<SchedAttr> {
    let (word, flags) = word.strip_suffix(RESET).map_or((word, 0), |word| (word, RESET_ON_FORK));
    let mut words = word.split(':');
    let name = words.next()?;
    let values: Vec<u64> = words.map(|value| number(value.as_ref())).collect::<Option<_>>()?;
    let (_, policy, count) = POLICIES.into_iter().find(|(known, ..)| *known == name)?;
    let attr = SchedAttr { policy, flags, ..SchedAttr::default() };
    match values.as_slice() {
        values if values.len() != count => None,
        [] => Some(attr),
        [priority @ 1..=99] => Some(SchedAttr { priority: u32::try_from(*priority).ok()?, ..attr }),
        [runtime, deadline, period] => {
            Some(SchedAttr { runtime: *runtime, deadline: *deadline, period: *period, ..attr })
        }
        _ => None,
    }
}

fn cpus(word: &str) -> Option<Vec<usize>> {
    let mut all = vec![];
    for range in word.split(',') {
        let (range, step) = range.split_once(':').map_or((range, Some(1)), |(range, step)| (range, cpu(step)));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last, step) = (cpu(first)?, cpu(last)?, step.filter(|step| *step > 0)?);
        if first > last {
            return None;
        }
        all.extend((first..=last).step_by(step));
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

fn cpu(word: &str) -> Option<usize> {
    number(word.as_ref()).and_then(|n| usize::try_from(n).ok()).filter(|n| *n < MOST_CPUS)
}

fn umask(word: &str) -> Option<u32> {
    let octal = (1..=4).contains(&word.len()) && word.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    octal.then(|| u32::from_str_radix(word, 8).ok()).flatten().filter(|mask| *mask <= 0o777)
}

/// Processors as a list that `--cpus` understands.
#[must_use]
pub fn cpu_list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

fn io_text(value: i32) -> String {
    let name = IO_CLASSES.into_iter().find(|(_, class)| *class == value >> 13).map_or("none", |(name, _)| name);
    format!("{name}:{}", value & 7)
}

fn policy_text(attr: &SchedAttr) -> String {
    let name = POLICIES.into_iter().find(|(_, policy, _)| *policy == attr.policy).map_or("unknown", |(name, ..)| name);
    let reset = if attr.flags & RESET_ON_FORK == 0 { "" } else { RESET };
    match attr.policy {
        1 | 2 => format!("{name}:{}{reset}", attr.priority),
        6 => format!("{name}:{}:{}:{}{reset}", attr.runtime, attr.deadline, attr.period),
        _ => format!("{name}{reset}"),
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Priority(nice) => write!(f, "set the nice value to {nice}"),
            Self::Io(value) => write!(f, "set the I/O class to {}", io_text(*value)),
            Self::Scheduler(attr) => write!(f, "set the scheduling policy to {}", policy_text(attr)),
            Self::Cpus(cpus) => write!(f, "run on processors {} only", cpu_list(cpus)),
            Self::Oom(score) => write!(f, "set oom_score_adj to {score}"),
            Self::Umask(mask) => write!(f, "set the umask to {mask:04o}"),
            Self::NoAslr => f.write_str("turn address space randomisation off"),
            Self::Mdwe => f.write_str("refuse memory that is writable and executable"),
            Self::NoTsc => f.write_str("turn the time stamp counter off"),
            Self::CoreSched => f.write_str("share no core with other cookies"),
            Self::TimerSlack(ns) => write!(f, "set the timer slack to {ns} ns"),
        }
    }
}

impl Setting {
    /// The system call or file write that does it.
    #[must_use]
    pub fn call(&self) -> String {
        match self {
            Self::Priority(nice) => format!("setpriority(PRIO_PROCESS, 0, {nice})"),
            Self::Io(value) => format!("ioprio_set(IOPRIO_WHO_PROCESS, 0, {value:#x})"),
            Self::Scheduler(attr) => format!("sched_setattr({})", policy_text(attr)),
            Self::Cpus(cpus) => format!("sched_setaffinity(0, {{{}}})", cpu_list(cpus)),
            Self::Oom(score) => format!("write({score} to /proc/self/oom_score_adj)"),
            Self::Umask(mask) => format!("umask({mask:04o})"),
            Self::NoAslr => "personality(ADDR_NO_RANDOMIZE)".to_owned(),
            Self::Mdwe => "prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN)".to_owned(),
            Self::NoTsc => "prctl(PR_SET_TSC, PR_TSC_SIGSEGV)".to_owned(),
            Self::CoreSched => "prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE)".to_owned(),
            Self::TimerSlack(ns) => format!("prctl(PR_SET_TIMERSLACK, {ns})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: Kind, word: &str) -> String {
        kind.setting(word).map_or_else(|_| "refused".to_owned(), |setting| setting.to_string())
    }

    #[test]
    fn values_are_read() {
        assert_eq!(text(Kind::Priority, "-20"), "set the nice value to -20");
        assert_eq!(text(Kind::Io, "best-effort:7"), "set the I/O class to best-effort:7");
        assert_eq!(text(Kind::Io, "idle"), "set the I/O class to idle:0");
        assert_eq!(text(Kind::Scheduler, "rr:99"), "set the scheduling policy to rr:99");
        assert_eq!(text(Kind::Scheduler, "fifo:1,reset-on-fork"), "set the scheduling policy to fifo:1,reset-on-fork");
        assert_eq!(text(Kind::Cpus, "3,0-1,1"), "run on processors 0,1,3 only");
        assert_eq!(text(Kind::Cpus, "0-7:3,1:1"), "run on processors 0,1,3,6 only");
        assert_eq!(text(Kind::Umask, "77"), "set the umask to 0077");
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let bad = [
            (Kind::Priority, &["20", "-21", "", "+1", "--1", "1 "][..]),
            (Kind::Io, &["idle:1", "realtime:8", "rt", "realtime:"]),
            (
                Kind::Scheduler,
                &[
                    "fifo",
                    "fifo:0",
                    "fifo:100",
                    "other:1",
                    "deadline:1:2",
                    "deadline:1:2:x",
                    "FIFO:1",
                    "fifo:1,reset",
                    "other,",
                ],
            ),
            (Kind::Cpus, &["", "1-", "3-1", "1024", "a", "0,,1", "0-3:0", "0-3:", "0:1:1"]),
            (Kind::Oom, &["-1001", "1001", "x"]),
            (Kind::Umask, &["8", "1000", "77777", "0o77", ""]),
            (Kind::TimerSlack, &["0", "-1", "x"]),
        ];
        for (kind, words) in bad {
            for word in words {
                assert_eq!(text(kind, word), "refused", "--{} {word:?}", kind.name());
            }
        }
    }
}
