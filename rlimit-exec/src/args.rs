//! The command line: which limits, and what they are to be.

use std::ffi::OsStr;

use chain::flags::Given;
use chain::{Failure, Flag, Result, Table};
use nix::sys::resource::Resource;

use crate::limit::{Bounds, Limit, Unit};
use crate::look;

/// What was asked for, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The limits to set.
    pub limits: Vec<(Limit, Bounds)>,
}

const fn flag(resource: Resource, name: &'static str, unit: Unit, help: &'static str) -> Flag<Limit> {
    Flag::new(Limit::new(resource, name, unit), name, help).takes(&["SOFT:HARD"])
}

/// Every option, and the prose of the man page.
pub const TABLE: Table<Limit> = Table {
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
    ],
    sections: &[
        ("PROCESS MODEL", "One process: it sets each limit, reads it back, and becomes PROG."),
        ("EQUIVALENT", "    prlimit --nofile=1024:4096 --core=0 PROG"),
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
    features: look::features,
};

/// What the options mean.
///
/// # Errors
/// A value that its limit cannot have.
pub fn request(given: &[Given<Limit>]) -> Result<Request> {
    let limits = given.iter().map(|said| Ok((said.key, said.key.bounds(text(said)?)?))).collect::<Result<_>>()?;
    Ok(Request { limits })
}

fn text(said: &Given<Limit>) -> Result<&str> {
    let word: &OsStr = said.value(0);
    let refused = || Failure::refusal(format!("--{} {}: not a limit", said.key.name, chain::show(word)));
    word.to_str().ok_or_else(|| refused().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_all_sixteen_limits() {
        assert_eq!(TABLE.flags.len(), 16);
        for flag in TABLE.flags {
            assert_eq!(format!("{:?}", flag.key.resource), flag.key.kernel_name());
        }
    }
}
