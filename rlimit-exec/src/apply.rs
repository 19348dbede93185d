//! The only effects: each limit and each setting is set and read back.

use std::fs;

use chain::failure::errno_of;
use chain::sys::{self, Prctl};
use chain::{Call as _, Failure, Hint as _, Result};
use nix::errno::Errno;
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::limit::value_text;
use crate::look;
use crate::setting::{Setting, cpu_list};
use crate::step::{LimitStep, Step};

/// Does one step and reads it back.
///
/// # Errors
/// What the system call says, with what stood in the way; a value that is not what was set.
pub fn step(step: &Step) -> Result<()> {
    match step {
        Step::Limit(step) => limit(step),
        Step::Setting(wanted) => setting(wanted),
    }
}

fn limit(step: &LimitStep) -> Result<()> {
    let call = format!("setrlimit({})", step.limit.kernel_name());
    setrlimit(step.limit.resource, step.soft, step.hard).call(&call).map_err(|error| explained(error, step))?;
    let now = look::current(step.limit)?;
    same(&now, &(step.soft, step.hard), |now| format!("{}:{}", value_text(now.0), value_text(now.1)))
}

/// Which hard limit stood in the way: the process's own, or for descriptors that of the whole machine.
fn explained(error: anyhow::Error, step: &LimitStep) -> anyhow::Error {
    if errno_of(&error) != Some(Errno::EPERM) {
        return error;
    }
    let most = if step.limit.resource == Resource::RLIMIT_NOFILE { look::most_descriptors() } else { None };
    if let Some(most) = most.filter(|most| step.hard > *most) {
        return error.hint(format!("no process of this machine may have more than {most} (sysctl fs.nr_open)"));
    }
    if step.hard <= step.hard_now {
        return error;
    }
    let hint = format!(
        "the hard limit is {} here; raising it needs CAP_SYS_RESOURCE in the initial user namespace",
        value_text(step.hard_now)
    );
    error.hint(hint)
}

fn setting(setting: &Setting) -> Result<()> {
    match setting {
        Setting::Priority(nice) => priority(*nice),
        Setting::Io(value) => io(*value),
        Setting::Scheduler(attr) => scheduler(*attr),
        Setting::Cpus(cpus) => processors(cpus),
        Setting::Oom(score) => oom_score(*score),
        Setting::Umask(mask) => {
            umask(Mode::from_bits_truncate(*mask));
            Ok(())
        }
        Setting::NoAslr => no_aslr(),
        Setting::Mdwe => mdwe(),
        Setting::NoTsc => sys::prctl_number(Prctl::SetTsc, PR_TSC_SIGSEGV).map(drop).call("prctl(PR_SET_TSC)"),
        Setting::CoreSched => core_sched(),
        Setting::TimerSlack(ns) => timer_slack(*ns),
    }
}

/// linux/prctl.h.
const PR_TSC_SIGSEGV: u64 = 2;
const PR_MDWE_REFUSE_EXEC_GAIN: u64 = 1;
const PR_SCHED_CORE_CREATE: u64 = 1;

fn priority(nice: i32) -> Result<()> {
    setpriority_process(None, nice).call("setpriority").map_err(|error| {
        let needed = u64::try_from(20 - nice).unwrap_or(0);
        error.hint(format!("{}, or CAP_SYS_NICE", look::in_the_way("nice", needed)))
    })?;
    same(&getpriority_process(None).call("getpriority")?, &nice, i32::to_string)
}

fn io(value: i32) -> Result<()> {
    sys::ioprio_set(value)
        .call("ioprio_set")
        .map_err(|error| error.hint("the realtime class needs CAP_SYS_NICE or CAP_SYS_ADMIN"))?;
    same(&sys::ioprio_get().call("ioprio_get")?, &value, |now| format!("{now:#x}"))
}

fn scheduler(attr: sys::SchedAttr) -> Result<()> {
    // For other and batch the call sets the nice value too: to the present one.
    let attr = sys::SchedAttr { nice: getpriority_process(None).call("getpriority")?, ..attr };
    sys::sched_setattr(attr).call("sched_setattr").map_err(|error| match attr.priority {
        0 => error.hint("deadline, and any change from a real-time policy, need CAP_SYS_NICE"),
        priority => {
            let limit = look::in_the_way("rtprio", priority.into());
            error.hint(format!("{limit}, or CAP_SYS_NICE; and CPU time for real-time tasks in this cgroup"))
        }
    })?;
    let now = sys::sched_getattr().call("sched_getattr")?;
    same(&(now.policy, now.priority, now.flags & 1), &(attr.policy, attr.priority, attr.flags), |now| {
        format!("policy {} priority {} flags {}", now.0, now.1, now.2)
    })
}

fn processors(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    sched_setaffinity(None, &set)
        .call("sched_setaffinity")
        .map_err(|error| error.hint("none of these processors is online and in this cpuset"))?;
    let now = sched_getaffinity(None).call("sched_getaffinity")?;
    let now: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| now.is_set(*cpu)).collect();
    same(now.as_slice(), cpus, cpu_list)
}

fn oom_score(score: i32) -> Result<()> {
    const FILE: &str = "/proc/self/oom_score_adj";
    fs::write(FILE, score.to_string())
        .call(&format!("write to {FILE}"))
        .map_err(|error| error.hint("lowering it needs CAP_SYS_RESOURCE"))?;
    let now = fs::read_to_string(FILE).call(&format!("read of {FILE}"))?;
    same(now.trim(), score.to_string().as_str(), str::to_owned)
}

fn no_aslr() -> Result<()> {
    let now = personality::get().call("personality")?;
    personality::set(now | Persona::ADDR_NO_RANDOMIZE).map(drop).call("personality(ADDR_NO_RANDOMIZE)")?;
    let now = personality::get().call("personality")?.contains(Persona::ADDR_NO_RANDOMIZE);
    same(&now, &true, |_| "nothing".to_owned())
}

fn mdwe() -> Result<()> {
    sys::prctl_number(Prctl::SetMdwe, PR_MDWE_REFUSE_EXEC_GAIN)
        .call("prctl(PR_SET_MDWE)")
        .map_err(|error| error.hint("needs Linux 6.3 and an architecture that has it"))?;
    let now = sys::prctl_number(Prctl::GetMdwe, 0).call("prctl(PR_GET_MDWE)")?;
    same(&(now & 1), &1, i32::to_string)
}

fn core_sched() -> Result<()> {
    sys::prctl_number(Prctl::SchedCore, PR_SCHED_CORE_CREATE)
        .map(drop)
        .call("prctl(PR_SCHED_CORE)")
        .map_err(|error| error.hint("needs Linux 5.14 with CONFIG_SCHED_CORE, and simultaneous multithreading"))
}

fn timer_slack(ns: u64) -> Result<()> {
    prctl::set_timerslack(ns).call("prctl(PR_SET_TIMERSLACK)")?;
    let now = prctl::get_timerslack().call("prctl(PR_GET_TIMERSLACK)")?;
    same(&u64::try_from(now).unwrap_or(0), &ns, u64::to_string)
}

/// What the kernel has is what was asked for, or this is an error (ADR 0004).
fn same<T: PartialEq + ?Sized>(now: &T, wanted: &T, text: impl Fn(&T) -> String) -> Result<()> {
    if now == wanted {
        return Ok(());
    }
    Err(Failure::refusal(format!("the kernel set {} instead", text(now))).into())
}
