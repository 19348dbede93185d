//! Every option, and the prose of the man page.

use chain::{Flag, Table};

use crate::model::presets;

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table below describes each")]
pub enum Key {
    User,
    KeepCaps,
    Securebits,
    AllowNewPrivs,
    NewKeyring,
    LandlockRo,
    LandlockRx,
    LandlockRw,
    LandlockTcpBind,
    LandlockTcpConnect,
    LandlockScope,
    LandlockIfSupported,
    Filter,
    Policy,
    PolicyFd,
    Oci,
    Bpf,
    BpfFd,
    Log,
    Learn,
    NotifyFd,
    Dump,
    Compile,
    Test,
}

/// The table.
pub const TABLE: Table<Key> = Table {
    tool: "seccomp-exec",
    summary: "give up privilege, filter system calls, then execute a program",
    layer: "The last gate before the payload. It sets the ids that --user names, empties all five capability sets \
            (bounding, permitted, effective, inheritable, ambient), sets no_new_privs, attaches the filters that --filter \
            names, and executes PROG. Each of these is read back from the kernel; what is not as it should be ends with \
            125 before PROG runs. Without options PROG keeps its ids, has no capability and can gain none, and no call is \
            filtered.",
    flags: &[
        Flag::new(Key::User, "user", "user and group ids of PROG, numbers only").takes(&["UID:GID[:GROUP,...]"]).detail(
            "Real, effective and saved ids. Supplementary groups are those that are named; without any, they are dropped. \
             A user namespace that denies setgroups(2) lets nobody drop a group: then this fails unless there is none.",
        ),
        Flag::new(Key::KeepCaps, "keep-caps", "capabilities that PROG keeps, or all").takes(&["LIST"]).detail(
            "Names as in capabilities(7), separated by commas. They stay in the bounding set and are raised in the ambient \
             set, so that they survive exec under any user id; every other one is dropped. all keeps every one that this \
             process has and leaves the bounding set as it is.",
        ),
        Flag::new(Key::Securebits, "securebits", "securebits to set, of capabilities(7)").takes(&["LIST"]).detail(
            "noroot, no_setuid_fixup, no_cap_ambient_raise, and each with _locked; keep_caps_locked. Needs CAP_SETPCAP.",
        ),
        Flag::new(Key::AllowNewPrivs, "allow-new-privs", "do not set no_new_privs: setuid programs work").detail(
            "A filter then needs CAP_SYS_ADMIN in --keep-caps, and the bounding set must be droppable (CAP_SETPCAP). \
             Where it is set already it stays set.",
        ),
        Flag::new(Key::NewKeyring, "new-keyring", "give PROG a session keyring of its own, empty").detail(
            "Keys of the caller's session (Kerberos, file encryption) are out of reach, and none is left there. The keyring \
             of the user stays: the filters default and no-covert deny all keyring calls.",
        ),
        Flag::new(Key::LandlockRo, "landlock-ro", "below PATH: read files, list folders").takes(&["PATH"]).repeats().detail(
            "Landlock (Linux 5.13). Any of the three path options takes every right on files away everywhere else: \
             execute, write, read, list, make, remove, move, truncate, device ioctls. PATH may be a file. PROG itself \
             and its loader need --landlock-rx. Mounts cannot be changed any more.",
        ),
        Flag::new(Key::LandlockRx, "landlock-rx", "below PATH: read, list, and execute").takes(&["PATH"]).repeats(),
        Flag::new(Key::LandlockRw, "landlock-rw", "below PATH: everything but execute").takes(&["PATH"]).repeats(),
        Flag::new(Key::LandlockTcpBind, "landlock-tcp-bind", "bind no TCP port but PORT; or none")
            .takes(&["PORT"])
            .repeats()
            .detail(
                "Landlock ABI 4 (Linux 6.7). 0 is any port that is free. What would become TCP without being asked as \
                 TCP (MPTCP, SMC, TCP Fast Open, and io_uring, which makes sockets past any filter) is denied by the \
                 filter tcp-guard, which comes with this option and with --landlock-tcp-connect.",
            ),
        Flag::new(Key::LandlockTcpConnect, "landlock-tcp-connect", "connect to no TCP port but PORT; or none")
            .takes(&["PORT"])
            .repeats(),
        Flag::new(Key::LandlockScope, "landlock-scope", "reach nothing outside by signal or abstract-unix")
            .takes(&["WHAT"])
            .repeats()
            .detail(
                "Landlock ABI 6 (Linux 6.12). signal: no signal to a process outside; abstract-unix: no connection to an \
                 abstract socket that was made outside.",
            ),
        Flag::new(Key::LandlockIfSupported, "landlock-if-supported", "do without what this kernel's Landlock lacks")
            .detail("Says what was lost. Without this option a right that the kernel does not have is an error."),
        Flag::new(Key::Filter, "filter", "attach a filter of system calls").takes(&["NAME"]).repeats().detail(
            "See FILTERS. Under each but strict, calls that are not known here (newer than Linux 6.18) and the x32 ABI answer ENOSYS, \
             and a call of another architecture ends the process. Several filters are stacked: the \
             strictest answer counts.",
        ),
        Flag::new(Key::Policy, "policy", "attach a filter that FILE describes").takes(&["FILE"]).repeats().detail(
            "See POLICY. Filters are attached in the order of the command line, whatever they come from.",
        ),
        Flag::new(Key::Oci, "oci", "attach a filter from a container profile in JSON").takes(&["FILE"]).repeats().detail(
            "As the OCI runtime specification, Docker and containers-common have it; --policy takes it too where the name \
             ends in .json. Conditions are about --keep-caps, x86_64 and the running kernel. A key, action or capability \
             that is not known is refused; names of calls that x86_64 lacks are left out unless they are to be denied. \
             Unlike with libseccomp, arguments are compared as wide as the kernel reads them, i386 calls end the \
             process, and x32 and unknown numbers answer ENOSYS.",
        ),
        Flag::new(Key::PolicyFd, "policy-fd", "attach a filter that is described on descriptor N").takes(&["N"]).repeats().detail(
            "For behind mount-plan, where the file is gone: mount-plan --keep-fd N -- seccomp-exec --policy-fd N. It is \
             closed before PROG runs.",
        ),
        Flag::new(Key::Bpf, "bpf", "attach the program in FILE, as seccomp(2) takes it").takes(&["FILE"]).repeats().detail(
            "Classic BPF in this machine's byte order, as --compile, libseccomp's seccomp_export_bpf and others write it. The \
             kernel's own checks are made first, and what fails is named. Which architectures and numbers it looks at is up to \
             who made it: see --test.",
        ),
        Flag::new(Key::BpfFd, "bpf-fd", "attach the program on descriptor N").takes(&["N"]).repeats().detail(
            "As --bpf and --policy-fd.",
        ),
        Flag::new(Key::Log, "log", "let pass and log what the filters would refuse or kill for").detail(
            "For finding out what a filter breaks; it protects from nothing. The kernel writes each such call to its audit \
             log (dmesg: type=1326, with the program, and syscall= by number, which --test and --dump pfc know by name), unless \
             kernel.seccomp.actions_logged lacks log. A filter that comes with Landlock stays as it is.",
        ),
        Flag::new(Key::Learn, "learn", "write to FILE the policy that PROG needs").takes(&["FILE"]).detail(
            "PROG runs as ever, and slower: this process stays, is asked about each system call of PROG and of all that it \
             starts, and when the last of them has ended writes a policy for --policy that allows these calls; of some, as \
             socket, ioctl, fcntl, prctl and clone, only with the arguments that were seen. What the filters of this command \
             line refuse is not asked about and not learned; clone3 answers ENOSYS. FILE must not be there. Read it: it has \
             what this run needed, which may be too much, or not enough for the next.",
        ),
        Flag::new(Key::NotifyFd, "notify-fd", "send the listener of a filter that asks over socket N").takes(&["N"]).detail(
            "For a supervisor of one's own (seccomp_unotify(2)): the calls for which a filter says notify wait for its answer. \
             It gets one byte and the listener (SCM_RIGHTS) on this Unix socket, which is closed before PROG runs. Such a \
             filter is attached last; there can be one.",
        ),
        Flag::new(Key::Dump, "dump", "print the filters instead of using them: pfc, json, policy, bpf").takes(&["FORM"]).detail(
            "pfc: a line for each instruction. policy: the text policy that means the same. json: an object a line, what \
             it decides and the instructions [code, jt, jf, k]. bpf: the bytes.",
        ),
        Flag::new(Key::Compile, "compile", "write the filter to FILE, for --bpf, and execute nothing").takes(&["FILE"]).detail(
            "Attaching a program that is compiled already costs a read of some hundred bytes instead of reading a policy.",
        ),
        Flag::new(Key::Test, "test", "say what the filters answer to a call: --test -- CALL [ARG]...").detail(
            "Nothing is executed. CALL is a name or a number, with x32: or i386: before it (of i386 a number only); ARG as in \
             a policy, 0 where it is left out. Prints each filter's answer and, last, the one that counts. Exit status 0 \
             where the call would be made, 1 where not.",
        ),
    ],
    sections: &[
        (
            "PROCESS MODEL",
            "One process. In this order: supplementary groups, group, user, session keyring, bounding set, inheritable \
             and ambient set, securebits, permitted and effective set, no_new_privs, Landlock, filters, exec. Nothing \
             stays; with --learn the child does all this, and the parent ends as PROG ends. Landlock cannot be read \
             back: a child from before the restriction, which ends at once, shows that it is in force.",
        ),
        ("FILTERS", presets::LISTED),
        ("POLICY", POLICY),
        (
            "EQUIVALENT",
            "    setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set -all --inh-caps -all --no-new-privs PROG",
        ),
        (
            "EXAMPLES",
            "    seccomp-exec --filter default -- grep -E 'Cap|NoNew|Seccomp' /proc/self/status\n    \
             seccomp-exec --filter default -- unshare --user true\n    \
             seccomp-exec --filter tty-guard --dump pfc\n    \
             seccomp-exec --filter default --test socket AF_VSOCK SOCK_STREAM\n    \
             seccomp-exec --landlock-rx / --landlock-tcp-connect none -- ls /",
        ),
        (
            "SECURITY",
            "The bounding set can only be dropped with CAP_SETPCAP. Without it the set stays as it is, and is without \
             effect: under no_new_privs no exec gains a capability (execve(2)). With --allow-new-privs that is an error.\n\n\
             A filter sees numbers, not what pointers point to: no path, no socket address. It is no substitute for \
             namespaces. default allows ptrace(2) and process_vm_readv(2), which reach only processes of the same user in \
             the same box (kernels before 4.8 let a tracer walk around filters; chainbox needs a newer one anyway), and the \
             calls of default stay denied when --keep-caps would let the kernel allow them.\n\n\
             no-covert leaves what no filter can close: shared futexes on a file that both boxes map (threads need them), the \
             load, the free space of a shared file system, timing. Shared folders, /dev/shm and networks are for mount-plan and \
             ns-unshare.\n\n\
             Landlock does not restrict: chdir, stat, chmod, chown, setxattr, utime, access, flock, fcntl(F_SETLK), what \
             was open before, Unix sockets with a path, and UDP. What --landlock-rx leaves out is not executed by its path; \
             its bytes can be, from memory (memfd_create(2)), by the loader or by an interpreter.",
        ),
        ("SEE ALSO", "capabilities(7), credentials(7), landlock(7), seccomp(2), prctl(2), setpriv(1), ns-unshare(1)"),
    ],
};

/// The grammar of text policies. A test reads its examples.
const POLICY: &str = "One rule a line; # begins a comment; a line that ends with a comma goes on in the next. Of the rules for a \
    call the first whose tests hold decides.\n\n\
    default ACTION: calls without a rule, or of whose rules none holds. It is required. unknown ACTION: numbers that are no \
    call here (ENOSYS without it); x32 ACTION (ENOSYS); foreign ACTION: other architectures (kill); i386 ACTION: of these \
    the calls of i386, all of them, as no rule is about one of them.\n\n\
    ACTION CALL[, CALL]... [if TEST [&& TEST]...]. ACTION is allow, deny (EPERM), errno NAME, log (allow, and audit), notify \
    (ask a supervisor), trap (SIGSYS), kill-thread, or kill. CALL is a name of x86_64, ?NAME for one that need not exist, or a group.\n\n\
    TEST is ARG [& MASK] OP VALUE with OP one of == != < <= > >=, unsigned. ARG is arg0 to arg5: as many bits are compared as \
    the kernel reads, by a table; for a call that is not in it say u32(arg0) or u64(arg0). A number is decimal, 0x \
    hexadecimal, or a name as in AF_INET; A|B for both.\n\n\
    @NAME = CALL, ... names a group. include FILE reads another file, relative to this one; include @PRESET takes over the \
    rules of a preset, without its default. What stands before an include decides. [ARCH, ...] before a line: only there.\n\n    \
    default deny\n    \
    unknown errno ENOSYS\n    \
    @io = read, write, close, lseek, ?quantum_read\n    \
    allow @io, execve, exit_group, brk, mmap, munmap, mprotect\n    \
    errno EAFNOSUPPORT socket if arg0 == AF_VSOCK\n    \
    allow socket if arg0 == AF_UNIX && arg1 & 0xff == SOCK_STREAM\n    \
    [x86_64] allow arch_prctl\n    \
    include @default";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::presets::PRESETS;

    #[test]
    fn the_manual_names_every_filter() {
        let filters = TABLE.sections.iter().find(|section| section.0 == "FILTERS").unwrap().1;
        let listed = |name: &str| filters.contains(&format!("\n\n{name}: "));
        assert!(PRESETS.len() >= 10 && PRESETS.iter().all(|preset| listed(preset.name)), "{filters}");
    }
}
