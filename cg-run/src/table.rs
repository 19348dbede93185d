//! Every option, and the prose of the man page.

use chain::{Flag, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Memory,
    MemoryHigh,
    Swap,
    Pids,
    Cpu,
    CpuWeight,
    Cpuset,
    Io,
    Set,
    CpuTime,
    WallTime,
    ExtraTime,
    Report,
    ReportFormat,
    Status,
    Parent,
    Name,
    MoveCallers,
    NoDieWithParent,
    NoCgroup,
    IfPossible,
    Collect,
}

impl Key {
    /// The option's long name, for messages.
    pub fn option(self) -> &'static str {
        TABLE.flags.iter().find(|flag| flag.key == self).map_or("", |flag| flag.long)
    }

    /// Whether it says something about a leaf.
    pub fn needs_cgroup(self) -> bool {
        use Key::{Cpu, CpuWeight, Cpuset, Io, Memory, MemoryHigh, MoveCallers, Name, Parent, Pids, Set, Swap};
        matches!(
            self,
            Memory | MemoryHigh | Swap | Pids | Cpu | CpuWeight | Cpuset | Io | Set | Parent | Name | MoveCallers
        )
    }
}

pub const TABLE: Table<Key> = Table {
    tool: "cg-run",
    summary: "run a program in a cgroup: measure, limit, kill, report",
    layer: "Makes a leaf cgroup (cgroups(7), version 2 only), writes limits into it and reads them back, starts PROG \
            inside it, watches its CPU and wall time, kills everything inside when a limit is exceeded or PROG has \
            ended, says what became of it, and removes the leaf. All processes of the run count together, however \
            they were started.\n\nSizes are bytes, or with K, M, G, T (powers of 1024); those of \
            memory and swap also percent, of the machine's memory (MemTotal in /proc/meminfo). Times are seconds, or with ms, \
            s, m, h, and may be fractions.",
    flags: &[
        Flag::new(Key::Memory, "memory", "memory of all processes together (memory.max)").takes(&["SIZE"]).detail(
            "Page cache and kernel memory count. When it runs out all of the run is killed (memory.oom.group=1, unless \
             --set says otherwise); without --swap there is no swap to go to. The kernel rounds down to whole pages.",
        ),
        Flag::new(Key::MemoryHigh, "memory-high", "memory beyond which the run is slowed down (memory.high)")
            .takes(&["SIZE"]),
        Flag::new(Key::Swap, "swap", "swap space (memory.swap.max), or max")
            .takes(&["SIZE"])
            .detail("0 with --memory."),
        Flag::new(Key::Pids, "pids", "processes and threads (pids.max)")
            .takes(&["N"])
            .detail("The next fork fails with EAGAIN. The links of the chain count as long as they are there."),
        Flag::new(Key::Cpu, "cpu", "share of processor time, in processors (cpu.max)")
            .takes(&["CORES"])
            .detail("0.5 is half of one, 2 is two. In periods of 100 ms."),
        Flag::new(Key::CpuWeight, "cpu-weight", "weight against siblings, 1 to 10000 (cpu.weight)").takes(&["N"]),
        Flag::new(Key::Cpuset, "cpuset", "processors to run on (cpuset.cpus)").takes(&["LIST"]),
        Flag::new(Key::Io, "io", "limits of a block device (io.max)").takes(&["DEVICE", "LIMITS"]).repeats().detail(
            "DEVICE is MAJOR:MINOR or the path of a whole disk, LIMITS any of rbps=SIZE,wbps=SIZE,riops=N,wiops=N.",
        ),
        Flag::new(Key::Set, "set", "write any other limit of the leaf")
            .takes(&["FILE=VALUE"])
            .repeats()
            .detail("For example hugetlb.2MB.max=0 or memory.low=64M. Read back as all others."),
        Flag::new(Key::CpuTime, "cpu-time", "CPU time of all processes together").takes(&["TIME"]),
        Flag::new(Key::WallTime, "wall-time", "time by the clock, from the start of PROG")
            .takes(&["TIME"])
            .detail("CLOCK_MONOTONIC: setting the clock changes nothing, and a suspended machine does not count."),
        Flag::new(Key::ExtraTime, "extra-time", "CPU time before which a run over its limit is not yet killed")
            .takes(&["TIME"])
            .detail(
                "Counted from the start, as in isolate: with --cpu-time 2 --extra-time 3 the kill comes at 3 seconds, \
                 and the report tells how long a program that took 2.5 seconds really took. The verdict is TO anyway.",
            ),
        Flag::new(Key::Report, "report", "write a report to FILE, or to an open descriptor")
            .takes(&["FILE|FD"])
            .detail(
                "Opened before anything else. A number is a descriptor; a file of that name is ./3. No part of FILE may be a \
                 symbolic link, which an earlier run could have made, and it is no pipe: /dev/stdout is 1.",
            ),
        Flag::new(Key::ReportFormat, "report-format", "json (default) or isolate")
            .takes(&["FORMAT"])
            .detail("json is one object on one line; isolate is the meta file of that program, key by key."),
        Flag::new(Key::Status, "status", "say the verdict in one line on standard error").detail("Comes with -v."),
        Flag::new(Key::Parent, "parent", "make the leaf under this cgroup")
            .takes(&["DIR"])
            .detail("Default: the cgroup that cg-run is in."),
        Flag::new(Key::Name, "name", "name of the leaf")
            .takes(&["NAME"])
            .detail("[A-Za-z0-9][A-Za-z0-9_.-]*, at most 64 bytes. It must be free."),
        Flag::new(Key::MoveCallers, "move-callers", "who started cg-run may be moved aside to enable controllers").detail(
            "A cgroup with limited children may have no processes of its own: the shell that starts cg-run in a scope is in the \
             way. With this it waits in the child chainbox-callers as long as any run lasts, and what it has started with it; \
             all of them must be of this user, and the cgroup delegated: to an ordinary user who owns it, or by systemd \
             (Delegate=yes; user.delegate is 1). Processes that somebody else has started are never moved: then it is refused.",
        ),
        Flag::new(Key::NoDieWithParent, "no-die-with-parent", "the run may outlive the process that started cg-run"),
        Flag::new(Key::NoCgroup, "no-cgroup", "supervise without a cgroup: times and the report only").detail(
            "Weaker, and never chosen without --if-possible: CPU time is added up from /proc and from wait4(2), where a process that \
             ignores SIGCHLD hides its children's time, and the kill walks the process tree. With ns-unshare --pid \
             below, the kill is whole again.",
        ),
        Flag::new(Key::IfPossible, "if-possible", "go on as with --no-cgroup where no such cgroup can be had").optional("LINK").detail(
            "All limits or none: where there is no cgroup v2, none that one may write to, a controller is missing, or other \
             processes are in the way, one line on standard error says why, and so does the report (without_cgroup). The \
             line comes once until the machine is started anew (with -v each time): /run/chainbox-no-cgroup, for an \
             ordinary user in /run/user/UID, remembers it. A limit that the kernel then refuses, for its value, is a \
             failure as ever. LINK, words that are separated by blanks, is put before PROG where there is no cgroup, to limit \
             each process by itself at least: --if-possible='rlimit-exec --tighten --data 50%'.",
        ),
        Flag::new(Key::Collect, "gc", "remove the leaves of runs that are gone; runs no PROG").detail(
            "After a kill -9 of cg-run. A leaf's name (or its mark) tells the owner by pid, start time and namespaces; \
             what still runs in a leaf without owner is killed. With --check or --explain the leaves are only named.",
        ),
    ],
    sections: &[
        (
            "PROCESS MODEL",
            "Two processes. cg-run starts PROG by one clone3(2) directly inside the leaf (CLONE_INTO_CGROUP), so that \
             nothing of it ever ran or was charged elsewhere, and stays (where a filter denies clone3, the process goes \
             into the leaf by itself before it executes PROG): it passes on the signals that it gets \
             (with CONT behind those that ask to end, so that a stopped PROG hears of them), looks at the clocks, and is the last to go. It ends as PROG ended, of the same signal. When the process that \
             started cg-run ends, the run is killed. Where all of a run was killed, nobody in it could give the \
             caller's terminal back: cg-run sets it as it was, with the caller in its foreground and output that was \
             stopped going on. When cg-run itself is killed, PROG is too (PR_SET_PDEATHSIG, unless PROG is a resident \
             link that watches by itself); what PROG has started, and the leaf, are for --gc.\n\n\
             Where controllers have to be enabled for the cgroup that cg-run is in, and cg-run is alone there (systemd-run \
             --user --scope -p Delegate=yes -- cg-run), it moves into the child chainbox-callers meanwhile: a cgroup with \
             limited children may have no processes of its own. With --move-callers those that have started it go with it. The \
             last run under that cgroup takes the controllers and that child away again. Controllers that it enabled elsewhere stay enabled: others may have begun to \
             rely on them.",
        ),
        (
            "REPORT",
            "verdict is OK, RE (another exit code), SG (died of a signal), TO (over a time limit), ML (killed for want of \
             memory), OL (wrote beyond its file size limit), or XX (the sandbox failed, not the program). Times are \
             seconds, sizes bytes; null was not measured. without_cgroup is why a run with --if-possible had none. A link further down that fails exits with 125, which \
             is reported as RE with exit 125: cg-run sees only how its child ended.",
        ),
        (
            "EQUIVALENT",
            "    mkdir LEAF; echo 536870912 >LEAF/memory.max\n    \
             sh -c 'echo $$ >LEAF/cgroup.procs; exec PROG'\n    \
             echo 1 >LEAF/cgroup.kill; rmdir LEAF",
        ),
        (
            "EXAMPLES",
            "    cg-run --no-cgroup --cpu-time 10 --wall-time 60 --report report.json -- true\n    \
             cg-run --no-cgroup --status -- sh -c 'exit 3'",
        ),
        (
            "SECURITY",
            "A leaf limits; it does not hide. A program with the caller's user id that can see the cgroup file system can \
             write to it, and one that can see cg-run can kill it: ns-unshare --user --pid and mount-plan prevent both. \
             Memory that a program shares with others is charged to the one that touches it first. Version 1 of cgroups is \
             never read or written.",
        ),
        ("SEE ALSO", "cgroups(7), getrusage(2), rlimit-exec(1), ns-unshare(1)"),
    ],
};
