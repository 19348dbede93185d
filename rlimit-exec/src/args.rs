//! The command line: which limits, and what they are to be.

use std::ffi::OsStr;

use chain::Requested;
use chain::{Failure, Flag, Result, Table};
use nix::sys::resource::Resource;

use crate::limit::{Bounds, Limit, Unit};
use crate::setting::{Kind, Setting};

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One of the sixteen limits.
    Limit(Limit),
    /// Another setting that a process hands on to what it executes.
    Setting(Kind),
    /// Several limits by one name.
    Preset,
    /// Print the limits instead of executing anything.
    Show,
}

/// One thing to set, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A limit.
    Limit(Limit, Bounds),
    /// Another setting.
    Setting(Setting),
}

/// What was asked for, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What to set.
    pub wishes: Vec<Wish>,
    /// Whether to print the limits and stop.
    pub show: bool,
}

/// The limits of `--preset judge`, as contest sandboxes set them: no core file, no locked memory, the whole stack.
const JUDGE: [(&str, &str); 3] = [("core", "0"), ("memlock", "0"), ("stack", "unlimited")];

const fn flag(resource: Resource, name: &'static str, unit: Unit, help: &'static str) -> Flag<Key> {
    Flag::new(Key::Limit(Limit::new(resource, name, unit)), name, help).takes(&["SOFT:HARD"])
}

const fn setting(kind: Kind, name: &'static str, values: &'static [&'static str], help: &'static str) -> Flag<Key> {
    let flag = Flag::new(Key::Setting(kind), name, help);
    if values.is_empty() { flag } else { flag.takes(values) }
}

/// Every option, and the prose of the man page.
pub const TABLE: Table<Key> = Table {
    tool: "rlimit-exec",
    summary: "set resource limits, then execute a program",
    layer: "Sets resource limits (setrlimit(2)) of its own process and executes PROG, which inherits them. A value is \
            SOFT:HARD, or one value for both; an empty side or keep leaves that side as it is; unlimited lifts it. \
            Sizes take K, M, G, T (powers of 1024), times s, m, h.\n\n\
            Most limits hold for each process by itself: a limit on a whole group of processes is cg-run's work.",
    flags: &[
        flag(Resource::RLIMIT_AS, "as", Unit::Bytes, "address space of a process").detail(
            "Counts reserved memory, not used memory: programs that reserve much (Java, Go, sanitizers) die of it.",
        ),
        flag(Resource::RLIMIT_CORE, "core", Unit::Bytes, "size of a core file")
            .detail("Without effect where /proc/sys/kernel/core_pattern is a pipe."),
        flag(Resource::RLIMIT_CPU, "cpu", Unit::Seconds, "CPU time of a process, in seconds")
            .detail("At the soft limit SIGXCPU, at the hard limit SIGKILL. A child starts again from zero."),
        flag(Resource::RLIMIT_DATA, "data", Unit::Bytes, "data segment: heap and private writable mappings"),
        flag(Resource::RLIMIT_FSIZE, "fsize", Unit::Bytes, "size of a file that is written")
            .detail("Beyond it write(2) fails with EFBIG, and SIGXFSZ is sent."),
        flag(Resource::RLIMIT_LOCKS, "locks", Unit::Count, "file locks (without effect since Linux 2.4.25)"),
        flag(Resource::RLIMIT_MEMLOCK, "memlock", Unit::Bytes, "memory locked into RAM"),
        flag(Resource::RLIMIT_MSGQUEUE, "msgqueue", Unit::Bytes, "POSIX message queues of the user"),
        flag(Resource::RLIMIT_NICE, "nice", Unit::Count, "how far the nice value may be lowered")
            .detail("20 minus the lowest nice value allowed: 1 to 40."),
        flag(Resource::RLIMIT_NOFILE, "nofile", Unit::Count, "open descriptors, plus one"),
        flag(Resource::RLIMIT_NPROC, "nproc", Unit::Count, "processes and threads of the user").detail(
            "Counted for the real user id, per user namespace since Linux 5.14: set it inside the box. Root in the \
                     initial user namespace is not limited. cg-run --pids counts the box alone.",
        ),
        flag(Resource::RLIMIT_RSS, "rss", Unit::Bytes, "resident memory (without effect since Linux 2.4.30)"),
        flag(Resource::RLIMIT_RTPRIO, "rtprio", Unit::Count, "highest real-time priority"),
        flag(Resource::RLIMIT_RTTIME, "rttime", Unit::Microseconds, "real-time CPU time without a blocking call"),
        flag(Resource::RLIMIT_SIGPENDING, "sigpending", Unit::Count, "queued signals of the user"),
        flag(Resource::RLIMIT_STACK, "stack", Unit::Bytes, "stack, arguments and environment"),
        setting(Kind::Priority, "priority", &["N"], "nice value, -20 to 19")
            .detail("Absolute, as renice(1) has it. Below the present value it needs RLIMIT_NICE or CAP_SYS_NICE."),
        setting(Kind::Io, "ionice", &["CLASS[:LEVEL]"], "I/O class: realtime:0-7, best-effort:0-7, idle or none"),
        setting(Kind::Scheduler, "scheduler", &["POLICY"], "other, batch, idle, fifo:P, rr:P or deadline:R:D:P").detail(
            "fifo and rr take a priority of 1 to 99; deadline takes runtime, deadline and period in nanoseconds. A process \
             under deadline cannot fork. With ,reset-on-fork behind it children begin with other (chrt -R). The nice value \
             stays.",
        ),
        setting(Kind::Cpus, "cpus", &["LIST"], "run on these processors only, for example 0,2-3 or 0-6:2"),
        setting(Kind::Oom, "oom-score-adj", &["N"], "-1000 to 1000: who is killed first when memory is out")
            .detail("Lowering it needs CAP_SYS_RESOURCE. Needs /proc."),
        setting(Kind::Umask, "umask", &["MODE"], "permission bits (octal) that new files do not get"),
        setting(Kind::NoAslr, "no-aslr", &[], "no address space randomisation (setarch -R)"),
        setting(Kind::Mdwe, "mdwe", &[], "memory is never writable and executable, Linux 6.3").detail(
            "PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN: mmap(2) and mprotect(2) refuse it from then on. Breaks \
             just-in-time compilers.",
        ),
        setting(Kind::NoTsc, "no-tsc", &[], "reading the time stamp counter is a SIGSEGV (x86)"),
        setting(Kind::CoreSched, "core-sched", &[], "share no processor core with other cookies, Linux 5.14"),
        setting(Kind::TimerSlack, "timer-slack", &["NS"], "how late timers may fire, in nanoseconds"),
        Flag::new(Key::Preset, "preset", "judge: --core 0 --memlock 0 --stack unlimited").takes(&["NAME"]),
        Flag::new(Key::Show, "show", "print the limits as they are, as prlimit(1) does, and stop"),
    ],
    sections: &[
        ("PROCESS MODEL", "One process: it sets each limit, reads it back, and becomes PROG."),
        (
            "EQUIVALENT",
            "    prlimit --nofile=1024:4096 --core=0 PROG\n    nice, renice: --priority N\n    ionice -c 2 -n 7 PROG: --ionice \
             best-effort:7\n    chrt -f 10 PROG: --scheduler fifo:10\n    taskset -c 0,2-3 PROG: --cpus 0,2-3\n    choom -n 500 -- \
             PROG: --oom-score-adj 500\n    setarch -R PROG: --no-aslr",
        ),
        (
            "EXAMPLES",
            "    rlimit-exec --nofile 256 --core 0 -- sh -c 'ulimit -n'\n    rlimit-exec --cpu 1:2 --as 512M -- true",
        ),
        (
            "SECURITY",
            "Limits are inherited through fork and exec and cannot be raised above the hard limit without CAP_SYS_RESOURCE \
             in the initial user namespace. They do not limit what several processes use together.",
        ),
        ("SEE ALSO", "setrlimit(2), prlimit(1), cg-run(1)"),
    ],
};

/// What the options mean.
///
/// # Errors
/// A value that its limit or setting cannot have.
pub fn request(given: &[Requested<Key>]) -> Result<Request> {
    let mut request = Request::default();
    for said in given {
        match said.key {
            Key::Limit(limit) => {
                request.wishes.push(Wish::Limit(limit, limit.bounds(text(said.value(0), limit.name)?)?))
            }
            Key::Setting(kind) => request.wishes.push(Wish::Setting(kind.setting(text(said.value(0), kind.name())?)?)),
            Key::Preset => request.wishes.extend(preset(said.value(0))?),
            Key::Show => request.show = true,
        }
    }
    Ok(request)
}

fn preset(name: &OsStr) -> Result<Vec<Wish>> {
    if name != "judge" {
        return Err(Failure::refusal(format!("--preset {}: only judge is known", chain::show(name))).into());
    }
    JUDGE
        .iter()
        .map(|(limit, value)| limit_named(limit).bounds(value).map(|bounds| Wish::Limit(limit_named(limit), bounds)))
        .collect()
}

/// The limit with this option name; the table has it (a test checks that).
fn limit_named(name: &str) -> Limit {
    limits().find(|limit| limit.name == name).unwrap_or(Limit::new(Resource::RLIMIT_CORE, "core", Unit::Bytes))
}

/// All limits, in the order of the table.
pub fn limits() -> impl Iterator<Item = Limit> {
    TABLE.flags.iter().filter_map(|flag| match flag.key {
        Key::Limit(limit) => Some(limit),
        _ => None,
    })
}

fn text<'a>(word: &'a OsStr, name: &str) -> Result<&'a str> {
    let refused = || Failure::refusal(format!("--{name} {}: not a value", chain::show(word)));
    word.to_str().ok_or_else(|| refused().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_all_sixteen_limits() {
        assert_eq!(limits().count(), 16);
        for limit in limits() {
            assert_eq!(format!("{:?}", limit.resource), limit.kernel_name());
        }
    }

    #[test]
    fn options_and_kinds_have_the_same_names() {
        let mut kinds = 0;
        for flag in TABLE.flags {
            if let Key::Setting(kind) = flag.key {
                assert_eq!(kind.name(), flag.long);
                kinds += 1;
            }
        }
        assert_eq!(kinds, 11);
    }

    #[test]
    fn the_judge_has_its_three_limits() {
        let wishes = preset(OsStr::new("judge")).unwrap();
        let names: Vec<&str> =
            wishes.iter().map(|wish| if let Wish::Limit(limit, _) = wish { limit.name } else { "" }).collect();
        assert_eq!(names, ["core", "memlock", "stack"]);
        assert!(preset(OsStr::new("jury")).is_err());
    }
}
