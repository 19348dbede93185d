//! The only effects: each limit and each setting is set and read back.

use std::fs;

use chain::sys::{self, Prctl};
use chain::{Call as _, Hint as _, Result, refusal};
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::resource::setrlimit;
use nix::sys::stat::{Mode, umask};
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::look::OOM_SCORE;
use crate::model::limit::value_text;
use crate::model::setting::{Value, cpu_list};
use crate::step::{LimitStep, Step};
use crate::{hints, look};

/// Does one step and reads it back; a value that is not what was set is an error.
pub fn step(step: &Step) -> Result<()> {
    let done = match step {
        Step::Limit(step) => limit(step),
        Step::Setting(_, value) => setting(value),
    };
    done.map_err(|error| match hints::cause(step, &error) {
        Some(cause) => error.hint(cause),
        None => error,
    })
}

fn limit(step: &LimitStep) -> Result<()> {
    let call = format!("setrlimit({})", step.limit.kernel_name());
    setrlimit(step.limit.resource, step.soft, step.hard).call(&call)?;
    let now = look::current(step.limit)?;
    same(&now, &(step.soft, step.hard), |now| format!("{}:{}", value_text(now.0), value_text(now.1)))
}

fn setting(value: &Value) -> Result<()> {
    match value {
        Value::Priority(nice) => priority(*nice),
        Value::Io(value) => io(*value),
        Value::Scheduler(attr) => scheduler(*attr),
        Value::Processors(cpus) => processors(cpus),
        Value::OomScore(score) => oom_score(*score),
        Value::Umask(mask) => {
            umask(Mode::from_bits_truncate(*mask));
            Ok(())
        }
        Value::NoAslr => no_aslr(),
        Value::Mdwe => mdwe(),
        Value::NoTsc => sys::prctl_number(Prctl::SetTsc, PR_TSC_SIGSEGV).map(drop).call("prctl(PR_SET_TSC)"),
        Value::CoreSched => {
            sys::prctl_number(Prctl::SchedCore, PR_SCHED_CORE_CREATE).map(drop).call("prctl(PR_SCHED_CORE)")
        }
        Value::TimerSlack(ns) => timer_slack(*ns),
    }
}

/// linux/prctl.h.
const PR_TSC_SIGSEGV: u64 = 2;
const PR_MDWE_REFUSE_EXEC_GAIN: u64 = 1;
const PR_SCHED_CORE_CREATE: u64 = 1;

fn priority(nice: i32) -> Result<()> {
    setpriority_process(None, nice).call("setpriority")?;
    same(&look::priority()?, &nice, i32::to_string)
}

fn io(value: i32) -> Result<()> {
    sys::ioprio_set(value).call("ioprio_set")?;
    same(&sys::ioprio_get().call("ioprio_get")?, &value, |now| format!("{now:#x}"))
}

fn scheduler(attr: sys::SchedAttr) -> Result<()> {
    // For other and batch the call sets the nice value too: to the present one.
    let attr = sys::SchedAttr { nice: look::priority()?, ..attr };
    sys::sched_setattr(attr).call("sched_setattr")?;
    let now = sys::sched_getattr().call("sched_getattr")?;
    same(&(now.policy, now.priority, now.flags & 1), &(attr.policy, attr.priority, attr.flags), |now| {
        format!("policy {} priority {} flags {}", now.0, now.1, now.2)
    })
}

fn processors(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    sched_setaffinity(None, &set).call("sched_setaffinity")?;
    let now = sched_getaffinity(None).call("sched_getaffinity")?;
    let now: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| now.is_set(*cpu)).collect();
    same(now.as_slice(), cpus, cpu_list)
}

fn oom_score(score: i32) -> Result<()> {
    fs::write(OOM_SCORE, score.to_string()).call(&format!("write to {OOM_SCORE}"))?;
    same(&look::oom_score()?, &score, i32::to_string)
}

fn no_aslr() -> Result<()> {
    let now = personality::get().call("personality")?;
    personality::set(now | Persona::ADDR_NO_RANDOMIZE).map(drop).call("personality(ADDR_NO_RANDOMIZE)")?;
    let now = personality::get().call("personality")?.contains(Persona::ADDR_NO_RANDOMIZE);
    same(&now, &true, |_| "nothing".to_owned())
}

fn mdwe() -> Result<()> {
    sys::prctl_number(Prctl::SetMdwe, PR_MDWE_REFUSE_EXEC_GAIN).call("prctl(PR_SET_MDWE)")?;
    let now = sys::prctl_number(Prctl::GetMdwe, 0).call("prctl(PR_GET_MDWE)")?;
    same(&(now & 1), &1, i32::to_string)
}

fn timer_slack(ns: u64) -> Result<()> {
    prctl::set_timerslack(ns).call("prctl(PR_SET_TIMERSLACK)")?;
    let now = prctl::get_timerslack().call("prctl(PR_GET_TIMERSLACK)")?;
    same(&u64::try_from(now).unwrap_or(0), &ns, u64::to_string)
}

/// What the kernel has is what was requested, or this is an error (ADR 0004).
fn same<T: PartialEq + ?Sized>(now: &T, requested: &T, text: impl Fn(&T) -> String) -> Result<()> {
    if now == requested {
        return Ok(());
    }
    Err(refusal!("the kernel set {} instead", text(now)))
}
