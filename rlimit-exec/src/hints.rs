//! What stood in the way of a step: by its errno, and by the limits as they are.

use chain::failure::errno_of;
use nix::errno::Errno;

use crate::look::{current, most_descriptors};
use crate::model::limit::{Limit, value_text};
use crate::model::setting::Value;
use crate::step::{LimitStep, Step};

/// The likely cause, where the step failed in a system call.
pub fn cause(step: &Step, error: &anyhow::Error) -> Option<String> {
    let errno = errno_of(error)?;
    match step {
        Step::Limit(step) => (errno == Errno::EPERM).then(|| limit(step)).flatten(),
        Step::Setting(_, value) => setting(value),
    }
}

/// Which hard limit stood in the way: the process's own, or for descriptors that of the whole machine.
fn limit(step: &LimitStep) -> Option<String> {
    let most = if step.limit == Limit::NOFILE { most_descriptors() } else { None };
    if let Some(most) = most.filter(|most| step.hard > *most) {
        return Some(format!("no process of this machine may have more than {most} (sysctl fs.nr_open)"));
    }
    let now = value_text(step.hard_now);
    let raised =
        format!("the hard limit is {now} here; raising it needs CAP_SYS_RESOURCE in the initial user namespace");
    (step.hard > step.hard_now).then_some(raised)
}

fn setting(value: &Value) -> Option<String> {
    let hint = match value {
        Value::Priority(nice) => return Some(format!("{}, or CAP_SYS_NICE", needs(Limit::NICE, 20 - nice))),
        Value::Scheduler(attr) if attr.priority > 0 => {
            let limit = needs(Limit::RTPRIO, attr.priority);
            return Some(format!("{limit}, or CAP_SYS_NICE; and CPU time for real-time tasks in this cgroup"));
        }
        Value::Scheduler(_) => "deadline, and any change from a real-time policy, need CAP_SYS_NICE",
        Value::Io(_) => "the realtime class needs CAP_SYS_NICE or CAP_SYS_ADMIN",
        Value::Processors(_) => "none of these processors is online and in this cpuset",
        Value::OomScore(_) => "lowering it needs CAP_SYS_RESOURCE",
        Value::Mdwe => "needs Linux 6.3 and an architecture that has it",
        Value::CoreSched => "needs Linux 5.14 with CONFIG_SCHED_CORE, and simultaneous multithreading",
        Value::Umask(_) | Value::NoAslr | Value::NoTsc | Value::TimerSlack(_) => return None,
    };
    Some(hint.to_owned())
}

/// A limit that another setting needs: `needs --nice 25, and that limit is 0 here, its hard limit 0`.
fn needs(limit: Limit, least: impl std::fmt::Display) -> String {
    let now = current(limit).map(|(soft, hard)| {
        format!(", and that limit is {} here, its hard limit {}", value_text(soft), value_text(hard))
    });
    format!("needs --{} {least}{}", limit.name, now.unwrap_or_default())
}
