//! The options of isolate 2.6, and a few of 1.x that callers still pass.

use chain::{Flag, Table};

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Verb(Verb),
    Box,
    Meta,
    Stdin,
    Stdout,
    Stderr,
    Chdir,
    Verbose,
    /// What is on when it is named.
    Switch(Switch),
    /// A number that limits something.
    Limit(Limit),
    /// A time.
    Time(Time),
    Processes,
    Quota,
    Env,
    FullEnv,
    Dir,
    NoDefaultDirs,
    AsUid,
    AsGid,
    Syscalls,
    /// Of isolate 1.x: it means nothing any more.
    Past,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Init,
    Run,
    Cleanup,
    PrintCgRoot,
    CheckConfig,
    Version,
    Help,
}

/// An option without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    StderrToStdout,
    Silent,
    Wait,
    Cgroup,
    ShareNet,
    InheritFds,
    TtyHack,
    SpecialFiles,
}

/// What is limited by a number; sizes are in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Memory,
    Stack,
    OpenFiles,
    FileSize,
    Core,
    CgroupMemory,
}

/// What is limited by a time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    Cpu,
    Wall,
    Extra,
}

const fn flag(key: Key, long: &'static str, help: &'static str) -> Flag<Key> {
    Flag::new(key, long, help).repeats()
}

const fn verb(verb: Verb, long: &'static str, help: &'static str) -> Flag<Key> {
    flag(Key::Verb(verb), long, help)
}

const fn switch(switch: Switch, long: &'static str, help: &'static str) -> Flag<Key> {
    flag(Key::Switch(switch), long, help)
}

const fn size(limit: Limit, long: &'static str, help: &'static str) -> Flag<Key> {
    flag(Key::Limit(limit), long, help).takes(&["KIB"])
}

const fn time(time: Time, long: &'static str, letter: char, help: &'static str) -> Flag<Key> {
    flag(Key::Time(time), long, help).takes(&["SECONDS"]).short(letter)
}

/// Every option.
pub const TABLE: Table<Key> = Table {
    tool: "isolate",
    summary: "isolate's command line, as a chain of chainbox's tools",
    manual: include_str!("manual.txt"),
    flags: &[
        verb(Verb::Init, "init", "make the box, empty, and print its folder"),
        verb(Verb::Run, "run", "run a program in it"),
        verb(Verb::Cleanup, "cleanup", "take it away"),
        verb(Verb::PrintCgRoot, "print-cg-root", "print the cgroup below which boxes have theirs"),
        verb(Verb::CheckConfig, "check-config", "read the configuration, and say what is wrong with it"),
        verb(Verb::Version, "version", "print the version of isolate whose command line this is"),
        verb(Verb::Help, "help", "print this help").short('h'),
        flag(Key::Box, "box-id", "number of the box").takes(&["ID"]).short('b'),
        flag(Key::Meta, "meta", "how the run ended, key:value; - is standard output").takes(&["FILE"]).short('M'),
        flag(Key::Stdin, "stdin", "standard input, opened in the box").takes(&["FILE"]).short('i'),
        flag(Key::Stdout, "stdout", "standard output, likewise").takes(&["FILE"]).short('o'),
        flag(Key::Stderr, "stderr", "standard error, likewise").takes(&["FILE"]).short('r'),
        switch(Switch::StderrToStdout, "stderr-to-stdout", "standard error goes where standard output goes"),
        flag(Key::Chdir, "chdir", "working directory, in the box").takes(&["DIR"]).short('c'),
        flag(Key::Verbose, "verbose", "say each step as it is done").short('v'),
        switch(Switch::Silent, "silent", "say nothing about how the run ended").short('s'),
        switch(Switch::Wait, "wait", "wait for a box that is in use"),
        size(Limit::Memory, "mem", "address space of each process").short('m'),
        time(Time::Cpu, "time", 't', "CPU time of all processes together"),
        time(Time::Wall, "wall-time", 'w', "time by the clock"),
        time(Time::Extra, "extra-time", 'x', "CPU time before which a program over its limit is not killed"),
        size(Limit::Stack, "stack", "stack of each process; none: no limit").short('k'),
        flag(Key::Limit(Limit::OpenFiles), "open-files", "descriptors of each process, 1024 without; 0: no limit")
            .takes(&["N"])
            .short('n'),
        size(Limit::FileSize, "fsize", "size of a file that is written; 0: no limit").short('f'),
        flag(Key::Quota, "quota", "refused: disk quota").takes(&["BLOCKS,INODES"]).short('q'),
        size(Limit::Core, "core", "size of a core file, 0 without"),
        flag(Key::Processes, "processes", "processes and threads at once, 1 without; any number")
            .optional("N")
            .short('p'),
        flag(Key::Env, "env", "hand a variable on, set it, or remove it (VAR=)").takes(&["VAR[=VALUE]"]).short('E'),
        flag(Key::FullEnv, "full-env", "hand all variables on").short('e'),
        flag(Key::Dir, "dir", "a directory rule").takes(&["IN[=[OUT]][:OPTION]..."]).short('d'),
        flag(Key::NoDefaultDirs, "no-default-dirs", "none of the default directory rules").short('D'),
        switch(Switch::Cgroup, "cg", "use a cgroup"),
        size(Limit::CgroupMemory, "cg-mem", "memory of all processes together"),
        switch(Switch::ShareNet, "share-net", "the caller's network"),
        switch(Switch::InheritFds, "inherit-fds", "hand all open descriptors on but those of directories"),
        switch(Switch::TtyHack, "tty-hack", "the caller's terminal is the program's while it runs"),
        switch(Switch::SpecialFiles, "special-files", "leave links, pipes and sockets in the box"),
        flag(Key::AsUid, "as-uid", "root acts for this user").takes(&["UID"]),
        flag(Key::AsGid, "as-gid", "and this group").takes(&["GID"]),
        flag(Key::Syscalls, "syscalls", "which system calls are kept from the program").takes(&["FLAGS"]),
        flag(Key::Past, "cg-timing", "taken, and means nothing"),
        flag(Key::Past, "no-cg-timing", "taken, and means nothing"),
    ],
};
