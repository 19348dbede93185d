//! The errno of a failed step to its cause, where that can be known.

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
