//! Every option. The prose of the man page stands in `manual.txt`.

use chain::{Flag, Table};

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table below describes each")]
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
    AsIsolate,
    Lend,
    SpecialFiles,
    Delegate,
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
        use Key::{
            Cpu, CpuWeight, Cpuset, Delegate, Io, Memory, MemoryHigh, MoveCallers, Name, Parent, Pids, Set, Swap,
        };
        matches!(
            self,
            Memory
                | MemoryHigh
                | Swap
                | Pids
                | Cpu
                | CpuWeight
                | Cpuset
                | Io
                | Set
                | Delegate
                | Parent
                | Name
                | MoveCallers
        )
    }
}

/// Every option.
pub const TABLE: Table<Key> = Table {
    tool: "cg-run",
    summary: "run a program in a cgroup: measure, limit, kill, report",
    manual: include_str!("manual.txt"),
    flags: &[
        Flag::new(Key::Memory, "memory", "memory of all processes together (memory.max)").takes(&["SIZE"]),
        Flag::new(Key::MemoryHigh, "memory-high", "memory beyond which the run is slowed down (memory.high)")
            .takes(&["SIZE"]),
        Flag::new(Key::Swap, "swap", "swap space (memory.swap.max), or max").takes(&["SIZE"]),
        Flag::new(Key::Pids, "pids", "processes and threads (pids.max)").takes(&["N"]),
        Flag::new(Key::Cpu, "cpu", "share of processor time, in processors (cpu.max)").takes(&["CORES"]),
        Flag::new(Key::CpuWeight, "cpu-weight", "weight against siblings, 1 to 10000 (cpu.weight)").takes(&["N"]),
        Flag::new(Key::Cpuset, "cpuset", "processors to run on (cpuset.cpus)").takes(&["LIST"]),
        Flag::new(Key::Io, "io", "limits of a block device (io.max)").takes(&["DEVICE", "LIMITS"]).repeats(),
        Flag::new(Key::Set, "set", "write any other limit of the leaf").takes(&["FILE=VALUE"]).repeats(),
        Flag::new(Key::CpuTime, "cpu-time", "CPU time of all processes together").takes(&["TIME"]),
        Flag::new(Key::WallTime, "wall-time", "time by the clock, from the start of PROG").takes(&["TIME"]),
        Flag::new(Key::ExtraTime, "extra-time", "CPU time before which a run over its limit is not yet killed")
            .takes(&["TIME"]),
        Flag::new(Key::Report, "report", "write a report to FILE, or to an open descriptor").takes(&["FILE|FD"]),
        Flag::new(Key::ReportFormat, "report-format", "json (default) or isolate")
            .takes(&["FORMAT"])
            .among(&["json", "isolate"]),
        Flag::new(Key::Status, "status", "say the verdict in one line on standard error"),
        Flag::new(Key::AsIsolate, "as-isolate", "report, verdict and exit status as isolate has them"),
        Flag::new(Key::Lend, "lend", "while the run lasts, DIR and what is in it belong to USER instead of to OWNER")
            .takes(&["DIR", "USER", "OWNER"]),
        Flag::new(Key::SpecialFiles, "special-files", "with --lend: links, pipes, sockets and devices in DIR stay"),
        Flag::new(Key::Delegate, "delegate", "give the leaf to USER, who can make leaves in it").takes(&["USER"]),
        Flag::new(Key::Parent, "parent", "make the leaf under this cgroup").takes(&["DIR"]),
        Flag::new(Key::Name, "name", "name of the leaf").takes(&["NAME"]),
        Flag::new(Key::MoveCallers, "move-callers", "who started cg-run may be moved aside to enable controllers"),
        Flag::new(Key::NoDieWithParent, "no-die-with-parent", "the run may outlive the process that started cg-run"),
        Flag::new(Key::NoCgroup, "no-cgroup", "supervise without a cgroup: times and the report only"),
        Flag::new(Key::IfPossible, "if-possible", "go on as with --no-cgroup where no such cgroup can be had")
            .optional("LINK"),
        Flag::new(Key::Collect, "gc", "remove the leaves of runs that are gone; runs no PROG"),
    ],
};
