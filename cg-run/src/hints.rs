//! The errno of a failed step to its cause, where that can be known.

use chain::failure::errno_of;
use chain::{Failure, Hint as _};
use nix::errno::Errno;

/// Of a write to cgroup.subtree_control.
pub const NOT_ENABLED: &[(Errno, &str)] = &[(
    Errno::EBUSY,
    "a cgroup with processes of its own cannot hand controllers down (no-internal-process rule): name a --parent without \
     processes, or start in a cgroup of its own (systemd-run --user --scope -p Delegate=yes)",
)];

/// Of mkdir(2) of a leaf.
pub const NOT_MADE: &[(Errno, &str)] = &[
    (Errno::EEXIST, "the name is taken by a run that goes on, or by one that was killed: cg-run --gc"),
    (Errno::EROFS, "the cgroup file system is read-only here (a container?): mount it writable, or choose --no-cgroup"),
    (Errno::EAGAIN, "cgroup.max.depth or cgroup.max.descendants of a cgroup above"),
];

/// Of the start of the child in its leaf.
pub const NOT_STARTED: &[(Errno, &str)] = &[
    (
        Errno::EACCES,
        "to place a process one has to be allowed to write cgroup.procs of the cgroup above both, the one that it \
         comes from and the leaf: start inside the delegated cgroup (systemd-run --user --scope -p Delegate=yes)",
    ),
    (Errno::EAGAIN, "RLIMIT_NPROC, or pids.max of this cgroup or one above"),
];

/// Where the report is to be written into a pipe.
pub const NO_PIPE: &str = "nobody may ever read it: name a file; an open pipe is named by the number of its descriptor";

/// Of the file of the report. /dev/stdout and /dev/fd/N are links too.
pub fn report_not_opened(mut error: anyhow::Error) -> anyhow::Error {
    match errno_of(&error) {
        Some(Errno::ELOOP) => {
            if let Some(hint) = error.downcast_mut::<Failure>().and_then(|failure| failure.hint.as_mut()) {
                hint.push_str("; an open descriptor is named by its number (standard output: 1)");
            }
            error
        }
        // A pipe without a reader, or a socket.
        Some(Errno::ENXIO) => error.hint(NO_PIPE),
        _ => error,
    }
}

/// Of a write to a file of the leaf.
pub fn not_set(file: &str) -> &'static [(Errno, &'static str)] {
    match file {
        "cpuset.cpus" => NO_PROCESSOR,
        "cpuset.mems" => NO_NODE,
        _ => &[],
    }
}

/// Which of the two it is depends on the number and on the kernel's version.
const NO_PROCESSOR: &[(Errno, &str)] = &[(Errno::EINVAL, PROCESSORS), (Errno::ERANGE, PROCESSORS)];
const PROCESSORS: &str = "there is no such processor here: /sys/devices/system/cpu/online has those that there are";
const NO_NODE: &[(Errno, &str)] = &[(Errno::EINVAL, NODES), (Errno::ERANGE, NODES)];
const NODES: &str = "there is no such memory node here: /sys/devices/system/node/has_memory has those that there are";
