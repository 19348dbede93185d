//! What a process hands on through exec besides its limits: priority, I/O class, scheduling, processors, umask and some
//! switches of prctl(2) and personality(2). Values only; what they do is in `apply`.

use std::fmt;

use chain::sys::SchedAttr;
use chain::values::{number, processors};
use chain::{Hint as _, Result, refusal, show};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nice value, -20 to 19 (setpriority(2)).
    Priority(i32),
    /// The kernel's number: class in the bits from 13, level below (ioprio_set(2)).
    Io(i32),
    Scheduler(SchedAttr),
    /// By number, ascending.
    Processors(Vec<usize>),
    OomScore(i32),
    Umask(u32),
    NoAslr,
    Mdwe,
    NoTsc,
    CoreSched,
    /// Nanoseconds, at least 1 (PR_SET_TIMERSLACK of prctl(2)).
    TimerSlack(u64),
}

/// One setting. `{}` in `words` and `call` is its value.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The option, without dashes.
    pub name: &'static str,
    /// How a value is written.
    form: &'static str,
    read: fn(&str) -> Option<Value>,
    /// The step in words.
    words: &'static str,
    /// The system call or file write that does it.
    call: &'static str,
}

impl Setting {
    pub const PRIORITY: Self = Self {
        name: "priority",
        form: "a number from -20 to 19",
        read: |word| signed(word, -20, 19).map(Value::Priority),
        words: "set the nice value to {}",
        call: "setpriority(PRIO_PROCESS, 0, {})",
    };
    pub const IO: Self = Self {
        name: "ionice",
        form: "realtime:0-7, best-effort:0-7, idle or none",
        read: |word| io(word).map(Value::Io),
        words: "set the I/O class to {}",
        call: "ioprio_set(IOPRIO_WHO_PROCESS, 0, {})",
    };
    pub const SCHEDULER: Self = Self {
        name: "scheduler",
        form: "other, batch, idle, fifo:1-99, rr:1-99 or deadline:RUNTIME:DEADLINE:PERIOD in ns; ,reset-on-fork",
        read: |word| policy(word).map(Value::Scheduler),
        words: "set the scheduling policy to {}",
        call: "sched_setattr({})",
    };
    pub const CPUS: Self = Self {
        name: "cpus",
        form: "numbers and ranges, for example 0,2-3 or 0-6:2",
        read: |word| cpus(word).map(Value::Processors),
        words: "run on processors {} only",
        call: "sched_setaffinity(0, {{}})",
    };
    pub const OOM_SCORE: Self = Self {
        name: "oom-score-adj",
        form: "a number from -1000 to 1000",
        read: |word| signed(word, -1000, 1000).map(Value::OomScore),
        words: "set oom_score_adj to {}",
        call: "write({} to /proc/self/oom_score_adj)",
    };
    pub const UMASK: Self = Self {
        name: "umask",
        form: "up to four octal digits, for example 077",
        read: |word| umask(word).map(Value::Umask),
        words: "set the umask to {}",
        call: "umask({})",
    };
    pub const TIMER_SLACK: Self = Self {
        name: "timer-slack",
        form: "nanoseconds, at least 1",
        read: |word| number(word.as_ref()).filter(|ns| *ns > 0).map(Value::TimerSlack),
        words: "set the timer slack to {} ns",
        call: "prctl(PR_SET_TIMERSLACK, {})",
    };
    pub const NO_ASLR: Self = Self::switch(
        "no-aslr",
        |_| Some(Value::NoAslr),
        "turn address space randomisation off",
        "personality(ADDR_NO_RANDOMIZE)",
    );
    pub const MDWE: Self = Self::switch(
        "mdwe",
        |_| Some(Value::Mdwe),
        "refuse memory that is writable and executable",
        "prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN)",
    );
    pub const NO_TSC: Self = Self::switch(
        "no-tsc",
        |_| Some(Value::NoTsc),
        "turn the time stamp counter off",
        "prctl(PR_SET_TSC, PR_TSC_SIGSEGV)",
    );
    pub const CORE_SCHED: Self = Self::switch(
        "core-sched",
        |_| Some(Value::CoreSched),
        "share no core with other cookies",
        "prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE)",
    );

    const fn switch(
        name: &'static str,
        read: fn(&str) -> Option<Value>,
        words: &'static str,
        call: &'static str,
    ) -> Self {
        Self { name, form: "no value", read, words, call }
    }

    /// Reads a value of this setting.
    pub fn value(self, word: &str) -> Result<Value> {
        (self.read)(word).ok_or_else(|| refusal!("--{} {}: not a value", self.name, show(word)).hint(self.form))
    }

    /// The step in words.
    pub fn words(self, value: &Value) -> String {
        self.words.replace("{}", &value.to_string())
    }

    /// The step as the system call or file write that does it.
    pub fn call(self, value: &Value) -> String {
        self.call.replace("{}", &format!("{value:#}"))
    }
}

/// The I/O classes by name, and the kernel's numbers for them (ioprio_set(2)).
const IO_CLASSES: [(&str, i32); 4] = [("none", 0), ("realtime", 1), ("best-effort", 2), ("idle", 3)];

/// The policies by name, the kernel's number (sched(7)), and how many values follow.
const POLICIES: [(&str, u32, usize); 6] =
    [("other", 0, 0), ("fifo", 1, 1), ("rr", 2, 1), ("batch", 3, 0), ("idle", 5, 0), ("deadline", 6, 3)];

/// Children begin with the policy other again: SCHED_FLAG_RESET_ON_FORK of linux/sched.h, and how it is written.
const RESET_ON_FORK: u64 = 1;
const RESET: &str = ",reset-on-fork";

/// The highest processor number that a list may name: the size of the C library's set.
const MOST_CPUS: usize = 1024;

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
    processors(word).filter(|cpus| cpus.iter().all(|cpu| *cpu < MOST_CPUS))
}

fn umask(word: &str) -> Option<u32> {
    let octal = (1..=4).contains(&word.len()) && word.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    octal.then(|| u32::from_str_radix(word, 8).ok()).flatten().filter(|mask| *mask <= 0o777)
}

/// Processors as a list that `--cpus` understands.
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

/// As it is written on a command line; with `{:#}` as the kernel has it, where that is another form.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Priority(number) | Self::OomScore(number) => write!(f, "{number}"),
            Self::Io(value) if f.alternate() => write!(f, "{value:#x}"),
            Self::Io(value) => f.write_str(&io_text(*value)),
            Self::Scheduler(attr) => f.write_str(&policy_text(attr)),
            Self::Processors(cpus) => f.write_str(&cpu_list(cpus)),
            Self::Umask(mask) => write!(f, "{mask:04o}"),
            Self::TimerSlack(ns) => write!(f, "{ns}"),
            Self::NoAslr | Self::Mdwe | Self::NoTsc | Self::CoreSched => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(setting: Setting, word: &str) -> String {
        setting.value(word).map_or_else(|_| "refused".to_owned(), |value| setting.words(&value))
    }

    #[test]
    fn values_are_read() {
        assert_eq!(text(Setting::PRIORITY, "-20"), "set the nice value to -20");
        assert_eq!(text(Setting::IO, "best-effort:7"), "set the I/O class to best-effort:7");
        assert_eq!(text(Setting::IO, "idle"), "set the I/O class to idle:0");
        assert_eq!(text(Setting::SCHEDULER, "rr:99"), "set the scheduling policy to rr:99");
        assert_eq!(
            text(Setting::SCHEDULER, "fifo:1,reset-on-fork"),
            "set the scheduling policy to fifo:1,reset-on-fork"
        );
        assert_eq!(text(Setting::CPUS, "3,0-1,1"), "run on processors 0,1,3 only");
        assert_eq!(text(Setting::CPUS, "0-7:3,1:1"), "run on processors 0,1,3,6 only");
        assert_eq!(text(Setting::UMASK, "77"), "set the umask to 0077");
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let bad = [
            (Setting::PRIORITY, &["20", "-21", "", "+1", "--1", "1 "][..]),
            (Setting::IO, &["idle:1", "realtime:8", "rt", "realtime:"]),
            (
                Setting::SCHEDULER,
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
            (Setting::CPUS, &["", "1-", "3-1", "1024", "a", "0,,1", "0-3:0", "0-3:", "0:1:1"]),
            (Setting::OOM_SCORE, &["-1001", "1001", "x"]),
            (Setting::UMASK, &["8", "1000", "77777", "0o77", ""]),
            (Setting::TIMER_SLACK, &["0", "-1", "x"]),
        ];
        for (setting, words) in bad {
            for word in words {
                assert_eq!(text(setting, word), "refused", "--{} {word:?}", setting.name);
            }
        }
    }
    #[test]
    fn the_call_has_the_kernels_form_of_the_value() {
        let call = |setting: Setting, word| setting.call(&setting.value(word).unwrap());
        assert_eq!(call(Setting::IO, "best-effort:7"), "ioprio_set(IOPRIO_WHO_PROCESS, 0, 0x4007)");
        assert_eq!(call(Setting::CPUS, "0-1"), "sched_setaffinity(0, {0,1})");
        assert_eq!(call(Setting::UMASK, "77"), "umask(0077)");
        assert_eq!(call(Setting::NO_ASLR, ""), "personality(ADDR_NO_RANDOMIZE)");
    }
}
