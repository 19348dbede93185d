//! How much of each argument the kernel reads.
//!
//! A filter sees 64 bits of a register of which the kernel may use 32: a test of all of them is walked around by setting
//! the others (CVE-2019-10063). So a policy may leave the width away only for a call that is in this table, which was made
//! from the SYSCALL_DEFINE lines of Linux 6.18; for any other it has to say `u32(arg0)` or `u64(arg0)`.

use super::policy::Width;

/// `i` for int, unsigned int, pid_t, mode_t and other types of 32 bits or less, `l` for long, size_t, off_t and pointers.
/// clone(2) takes a long and uses its lower half.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("accept", "ill"), ("accept4", "illi"), ("arch_prctl", "il"), ("bind", "ili"), ("bpf", "ili"), ("chmod", "li"),
    ("chown", "lii"), ("clock_gettime", "il"), ("clock_settime", "il"), ("clone", "illll"), ("close", "i"),
    ("close_range", "iii"), ("connect", "ili"), ("copy_file_range", "ililli"), ("creat", "li"), ("dup", "i"), ("dup2", "ii"),
    ("dup3", "iii"), ("epoll_create1", "i"), ("epoll_ctl", "iiil"), ("eventfd2", "ii"), ("execve", "lll"),
    ("execveat", "illli"), ("exit", "i"), ("exit_group", "i"), ("faccessat", "ili"), ("faccessat2", "ilii"),
    ("fadvise64", "illi"), ("fallocate", "iill"), ("fanotify_init", "ii"), ("fchdir", "i"), ("fchmod", "ii"),
    ("fchmodat", "ili"), ("fchmodat2", "ilii"), ("fchown", "iii"), ("fchownat", "iliii"), ("fcntl", "iil"), ("flock", "ii"),
    ("fstat", "il"), ("fsync", "i"), ("ftruncate", "il"), ("futex", "liilli"), ("getrandom", "lli"), ("getsockopt", "iiill"),
    ("inotify_add_watch", "ili"), ("inotify_init1", "i"), ("io_uring_enter", "iiiill"), ("io_uring_setup", "il"),
    ("ioctl", "iil"), ("iopl", "i"), ("ioprio_set", "iii"), ("kcmp", "iiill"), ("keyctl", "illll"), ("kill", "ii"),
    ("linkat", "ilili"), ("listen", "ii"), ("lseek", "ili"), ("madvise", "lli"), ("membarrier", "iii"),
    ("memfd_create", "li"), ("mkdir", "li"), ("mkdirat", "ili"), ("mknod", "lii"), ("mknodat", "ilii"), ("mlock2", "lli"),
    ("mmap", "llllll"), ("modify_ldt", "ill"), ("mount", "lllll"), ("mprotect", "lll"), ("mq_open", "liil"),
    ("mremap", "lllll"), ("msgctl", "iil"), ("msgget", "ii"), ("msync", "lli"), ("munmap", "ll"),
    ("name_to_handle_at", "illli"), ("newfstatat", "illi"), ("open", "lii"), ("open_by_handle_at", "ili"),
    ("openat", "ilii"), ("openat2", "illl"), ("perf_event_open", "liiil"), ("personality", "i"), ("pidfd_getfd", "iii"),
    ("pidfd_open", "ii"), ("pidfd_send_signal", "iili"), ("pipe2", "li"), ("pkey_mprotect", "llli"), ("poll", "lii"),
    ("prctl", "illll"), ("pread64", "illl"), ("preadv2", "llllli"), ("prlimit64", "iill"), ("process_vm_readv", "illlll"),
    ("process_vm_writev", "illlll"), ("ptrace", "lill"), ("pwrite64", "illl"), ("pwritev2", "llllli"), ("quotactl", "ilil"), ("read", "ill"),
    ("readlinkat", "illi"), ("reboot", "iiil"), ("recvfrom", "illill"), ("recvmmsg", "iliil"), ("recvmsg", "ili"),
    ("renameat2", "ilili"), ("rseq", "liii"), ("sched_setaffinity", "iil"), ("sched_setattr", "ili"),
    ("sched_setscheduler", "iil"), ("seccomp", "iil"), ("semctl", "iiil"), ("semget", "iii"), ("sendfile", "iill"),
    ("sendmmsg", "ilii"), ("sendmsg", "ili"), ("sendto", "illili"), ("setgid", "i"), ("setgroups", "il"), ("setns", "ii"),
    ("setpgid", "ii"), ("setpriority", "iii"), ("setregid", "ii"), ("setresgid", "iii"), ("setresuid", "iii"),
    ("setreuid", "ii"), ("setrlimit", "il"), ("setsockopt", "iiili"), ("setuid", "i"), ("shmat", "ili"), ("shmctl", "iil"),
    ("shmget", "ili"), ("shutdown", "ii"), ("signalfd4", "illi"), ("socket", "iii"), ("socketpair", "iiil"),
    ("splice", "ililli"), ("statx", "iliil"), ("symlinkat", "lil"), ("syslog", "ili"), ("tgkill", "iii"),
    ("timer_create", "ill"), ("timerfd_create", "ii"), ("tkill", "ii"), ("umask", "i"), ("umount2", "li"),
    ("unlinkat", "ili"), ("unshare", "l"), ("utimensat", "illi"), ("vmsplice", "illi"), ("wait4", "ilil"),
    ("waitid", "iilil"), ("write", "ill"),
];

/// How the kernel reads an argument, where that is known here.
pub fn width(call: &str, arg: u8) -> Option<Width> {
    let found = TABLE.iter().find(|known| known.0 == call)?;
    match found.1.as_bytes().get(usize::from(arg))? {
        b'i' => Some(Width::Int),
        _ => Some(Width::Long),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calls;
    use crate::model::presets::PRESETS;

    #[test]
    fn the_table_is_sorted_and_names_calls() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        for (call, letters) in TABLE {
            assert!(calls::number(call).is_some(), "{call}");
            assert!(
                (1..=6).contains(&letters.len()) && letters.bytes().all(|letter| b"il".contains(&letter)),
                "{call}"
            );
        }
    }

    #[test]
    fn the_presets_read_arguments_as_the_table_says() {
        let mut compared = 0;
        for (nr, rule) in PRESETS.iter().flat_map(|preset| (preset.policy)().calls) {
            let call = calls::name(nr).unwrap();
            for test in rule.clauses.iter().flat_map(|clause| clause.tests.iter()) {
                // unshare(2) refuses what is above bit 31, so that a test of the lower half denies no more than it should.
                let known = if call == "unshare" { Some(Width::Int) } else { width(call, test.arg) };
                assert_eq!(known, Some(test.width), "{call} {test:?}");
                compared += 1;
            }
        }
        assert!(compared >= 60, "{compared}");
    }
}
