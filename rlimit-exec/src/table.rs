//! Every option. The prose of the man page stands in `manual.txt`.

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
    manual: include_str!("manual.txt"),
    flags: &[
        limit(Limit::AS, "address space of a process"),
        limit(Limit::CORE, "size of a core file"),
        limit(Limit::CPU, "CPU time of a process, in seconds"),
        limit(Limit::DATA, "data segment: heap and private writable mappings"),
        limit(Limit::FSIZE, "size of a file that is written"),
        limit(Limit::LOCKS, "file locks (without effect since Linux 2.4.25)"),
        limit(Limit::MEMLOCK, "memory locked into RAM"),
        limit(Limit::MSGQUEUE, "POSIX message queues of the user"),
        limit(Limit::NICE, "how far the nice value may be lowered"),
        limit(Limit::NOFILE, "open descriptors, plus one"),
        limit(Limit::NPROC, "processes and threads of the user"),
        limit(Limit::RSS, "resident memory (without effect since Linux 2.4.30)"),
        limit(Limit::RTPRIO, "highest real-time priority"),
        limit(Limit::RTTIME, "real-time CPU time without a blocking call"),
        limit(Limit::SIGPENDING, "queued signals of the user"),
        limit(Limit::STACK, "stack, arguments and environment"),
        setting(Setting::PRIORITY, &["N"], "nice value, -20 to 19"),
        setting(Setting::IO, &["CLASS[:LEVEL]"], "I/O class: realtime:0-7, best-effort:0-7, idle or none"),
        setting(Setting::SCHEDULER, &["POLICY"], "other, batch, idle, fifo:P, rr:P or deadline:R:D:P"),
        setting(Setting::CPUS, &["LIST"], "run on these processors only, for example 0,2-3 or 0-6:2"),
        setting(Setting::OOM_SCORE, &["N"], "-1000 to 1000: who is killed first when memory is out"),
        setting(Setting::UMASK, &["MODE"], "permission bits (octal) that new files do not get"),
        setting(Setting::NO_ASLR, &[], "no address space randomisation (setarch -R)"),
        setting(Setting::MDWE, &[], "memory is never writable and executable, Linux 6.3"),
        setting(Setting::NO_TSC, &[], "reading the time stamp counter is a SIGSEGV (x86)"),
        setting(Setting::CORE_SCHED, &[], "share no processor core with other cookies, Linux 5.14"),
        setting(Setting::TIMER_SLACK, &["NS"], "how late timers may fire, in nanoseconds"),
        Flag::new(Key::Preset, "preset", "judge: --core 0 --memlock 0 --stack unlimited")
            .takes(&["NAME"])
            .among(&["judge"]),
        Flag::new(Key::Tighten, "tighten", "what is stricter already stays as it is"),
        Flag::new(Key::Show, "show", "print the limits as they are, as prlimit(1) does, and stop"),
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
