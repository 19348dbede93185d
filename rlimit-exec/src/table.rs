//! Every option, and the prose of the man page.

use chain::{Flag, Table};

use crate::model::limit::Limit;
use crate::model::setting::Setting;

/// The options.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the table below describes each")]
pub enum Key {
    Limit(Limit),
    Setting(Setting),
    Preset,
    Show,
    Tighten,
}

/// The limits of `--preset judge`, as contest sandboxes set them: no core file, no locked memory, the whole stack.
pub(crate) const JUDGE: [(Limit, &str); 3] = [(Limit::CORE, "0"), (Limit::MEMLOCK, "0"), (Limit::STACK, "unlimited")];

/// All limits, in the order of the manual.
pub(crate) fn limits() -> impl Iterator<Item = Limit> {
    TABLE.flags.iter().filter_map(|flag| match flag.key {
        Key::Limit(limit) => Some(limit),
        _ => None,
    })
}

const fn limit(limit: Limit, help: &'static str) -> Flag<Key> {
    Flag::new(Key::Limit(limit), limit.name, help).takes(&["SOFT:HARD"])
}

const fn setting(setting: Setting, values: &'static [&'static str], help: &'static str) -> Flag<Key> {
    let flag = Flag::new(Key::Setting(setting), setting.name, help);
    if values.is_empty() { flag } else { flag.takes(values) }
}

/// The table.
pub const TABLE: Table<Key> = Table {
    tool: "rlimit-exec",
    summary: "set resource limits, then execute a program",
    layer: "Sets resource limits (setrlimit(2)) of its own process and executes PROG, which inherits them. A value is \
            SOFT:HARD, or one value for both; an empty side or keep leaves that side as it is; unlimited lifts it. \
            Sizes take K, M, G, T (powers of 1024), or percent of the machine's memory (MemTotal in /proc/meminfo); times s, \
            m, h.\n\n\
            Most limits hold for each process by itself: a limit on a whole group of processes is cg-run's work.",
    flags: &[
        limit(Limit::AS, "address space of a process").detail(
            "Counts reserved memory, not used memory: programs that reserve much (Java, Go, sanitizers) die of it.",
        ),
        limit(Limit::CORE, "size of a core file")
            .detail("Without effect where /proc/sys/kernel/core_pattern is a pipe."),
        limit(Limit::CPU, "CPU time of a process, in seconds")
            .detail("At the soft limit SIGXCPU, at the hard limit SIGKILL. A child starts again from zero."),
        limit(Limit::DATA, "data segment: heap and private writable mappings"),
        limit(Limit::FSIZE, "size of a file that is written")
            .detail("Beyond it write(2) fails with EFBIG, and SIGXFSZ is sent."),
        limit(Limit::LOCKS, "file locks (without effect since Linux 2.4.25)"),
        limit(Limit::MEMLOCK, "memory locked into RAM"),
        limit(Limit::MSGQUEUE, "POSIX message queues of the user"),
        limit(Limit::NICE, "how far the nice value may be lowered")
            .detail("20 minus the lowest nice value allowed: 1 to 40."),
        limit(Limit::NOFILE, "open descriptors, plus one"),
        limit(Limit::NPROC, "processes and threads of the user").detail(
            "Counted for the real user id, per user namespace since Linux 5.14: set it inside the box. Root in the \
                     initial user namespace is not limited. cg-run --pids counts the box alone.",
        ),
        limit(Limit::RSS, "resident memory (without effect since Linux 2.4.30)"),
        limit(Limit::RTPRIO, "highest real-time priority"),
        limit(Limit::RTTIME, "real-time CPU time without a blocking call"),
        limit(Limit::SIGPENDING, "queued signals of the user"),
        limit(Limit::STACK, "stack, arguments and environment"),
        setting(Setting::PRIORITY, &["N"], "nice value, -20 to 19")
            .detail("Absolute, as renice(1) has it. Below the present value it needs RLIMIT_NICE or CAP_SYS_NICE."),
        setting(Setting::IO, &["CLASS[:LEVEL]"], "I/O class: realtime:0-7, best-effort:0-7, idle or none"),
        setting(Setting::SCHEDULER, &["POLICY"], "other, batch, idle, fifo:P, rr:P or deadline:R:D:P").detail(
            "fifo and rr take a priority of 1 to 99; deadline takes runtime, deadline and period in nanoseconds. A process \
             under deadline cannot fork. With ,reset-on-fork behind it children begin with other (chrt -R). The nice value \
             stays.",
        ),
        setting(Setting::CPUS, &["LIST"], "run on these processors only, for example 0,2-3 or 0-6:2"),
        setting(Setting::OOM_SCORE, &["N"], "-1000 to 1000: who is killed first when memory is out")
            .detail("Lowering it needs CAP_SYS_RESOURCE. Needs /proc."),
        setting(Setting::UMASK, &["MODE"], "permission bits (octal) that new files do not get"),
        setting(Setting::NO_ASLR, &[], "no address space randomisation (setarch -R)"),
        setting(Setting::MDWE, &[], "memory is never writable and executable, Linux 6.3").detail(
            "PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN: mmap(2) and mprotect(2) refuse it from then on. Breaks \
             just-in-time compilers.",
        ),
        setting(Setting::NO_TSC, &[], "reading the time stamp counter is a SIGSEGV (x86)"),
        setting(Setting::CORE_SCHED, &[], "share no processor core with other cookies, Linux 5.14"),
        setting(Setting::TIMER_SLACK, &["NS"], "how late timers may fire, in nanoseconds"),
        Flag::new(Key::Preset, "preset", "judge: --core 0 --memlock 0 --stack unlimited").takes(&["NAME"]),
        Flag::new(Key::Tighten, "tighten", "what is stricter already stays as it is").detail(
            "A limit that is lower already, and a nice value or out-of-memory score that is higher already, stays; without \
             this it is set as it is given, or the kernel refuses. Nothing is raised: unlimited changes nothing then. For \
             a script that does not know where it is started.",
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_all_sixteen_limits_and_eleven_settings() {
        assert_eq!(limits().count(), 16);
        for limit in limits() {
            assert_eq!(format!("{:?}", limit.resource), limit.kernel_name());
        }
        assert_eq!(TABLE.flags.iter().filter(|flag| matches!(flag.key, Key::Setting(_))).count(), 11);
    }
}
