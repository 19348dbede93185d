//! The options of `mount-plan`.

use chain::{Flag, Table};

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A file of entries.
    Plan,
    /// The same, already open.
    PlanFd,
    /// More options for the entry before it.
    Options,
    /// One entry.
    Entry(EntryForm),
    /// Leave the root of the new tree writable.
    RwRoot,
    /// Say the working directory in PWD.
    SetPwd,
    /// How the next program crosses the root change.
    Carry,
    /// A directory to be emptied, and nothing else to be done.
    Wipe,
}

/// How an option becomes the columns of an entry: where its values go, and what is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryForm {
    pub(crate) columns: &'static [Column],
    pub(crate) fstype: &'static str,
    /// As a plan's fourth column has them.
    pub(crate) options: &'static str,
}

/// The column that a value of an option goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Type,
    Source,
    Target,
    Option(&'static str),
}

const TARGET: &[Column] = &[Column::Target];
const PAIR: &[Column] = &[Column::Source, Column::Target];
const LOWER: Column = Column::Option("lowerdir");
const LAYERS: &[Column] = &[LOWER, Column::Option("upperdir"), Column::Option("workdir"), Column::Target];

/// An option for an entry. The columns that get no value are `none` and `/`.
const fn entry(long: &'static str, columns: &'static [Column], fstype: &'static str, help: &'static str) -> Flag<Key> {
    entry_with(long, columns, fstype, "", help).repeats()
}

const fn entry_with(
    long: &'static str,
    columns: &'static [Column],
    fstype: &'static str,
    options: &'static str,
    help: &'static str,
) -> Flag<Key> {
    Flag::new(Key::Entry(EntryForm { columns, fstype, options }), long, help).takes(&["DST"])
}

/// Every option.
pub const TABLE: Table<Key> = Table {
    tool: "mount-plan",
    summary: "assemble a new root out of a plan of mounts, enter it, then execute a program",
    manual: include_str!("manual.txt"),
    flags: &[
        Flag::new(Key::Plan, "plan", "entries from FILE, in fstab(5) syntax; - is standard input")
            .takes(&["FILE"])
            .repeats(),
        Flag::new(Key::PlanFd, "plan-fd", "entries from the open descriptor N").takes(&["N"]).repeats(),
        Flag::new(Key::Options, "options", "further options for the entry before, as in a plan's fourth column")
            .short('o')
            .takes(&["OPTIONS"])
            .repeats(),
        entry_with("bind", PAIR, "none", "rbind", "SRC and all that is mounted below it at DST")
            .takes(&["SRC", "DST"])
            .repeats(),
        entry_with("ro-bind", PAIR, "none", "rbind,ro", "the same, read-only").takes(&["SRC", "DST"]).repeats(),
        entry_with("dev-bind", PAIR, "none", "rbind,dev", "the same as --bind, device nodes usable")
            .takes(&["SRC", "DST"])
            .repeats(),
        entry("tmpfs", TARGET, "tmpfs", "a new tmpfs"),
        entry("proc", TARGET, "proc", "a new proc of the present PID namespace"),
        entry("sysfs", TARGET, "sysfs", "a new sysfs of the present network namespace"),
        entry("dev", TARGET, "dev", "a minimal /dev"),
        entry_with("devpts", TARGET, "devpts", "newinstance,ptmxmode=0666,mode=620", "new terminals").repeats(),
        entry("mqueue", TARGET, "mqueue", "POSIX message queues of the present IPC namespace"),
        entry("overlay", LAYERS, "overlay", "LOWER[:LOWER]... with changes in UPPER")
            .takes(&["LOWER", "UPPER", "WORK", "DST"]),
        entry_with(
            "tmp-overlay",
            &[LOWER, Column::Target],
            "overlay",
            "tmp",
            "LOWER[:LOWER]... with changes that end with the box",
        )
        .takes(&["LOWER", "DST"])
        .repeats(),
        entry(
            "image",
            &[Column::Type, Column::Source, Column::Target],
            "none",
            "what is in FILE, by TYPE: squashfs, erofs or ext4",
        )
        .takes(&["TYPE", "FILE", "DST"])
        .among(&["squashfs", "erofs", "ext4"]),
        entry("symlink", PAIR, "symlink", "a symbolic link DST with this TEXT").takes(&["TEXT", "DST"]),
        entry("dir", TARGET, "dir", "a directory, mode 0755 or -o mode="),
        entry("file", PAIR, "file", "a file with this content, mode 0644 or -o mode=").takes(&["CONTENT", "DST"]),
        entry("bind-data", PAIR, "data", "a file with this content, mounted at DST, mode 0600 or -o mode=")
            .takes(&["CONTENT", "DST"]),
        entry_with("ro-bind-data", PAIR, "data", "ro", "the same, read-only").takes(&["CONTENT", "DST"]).repeats(),
        entry("chmod", &[Column::Option("mode"), Column::Target], "chmod", "what is at DST gets this mode")
            .takes(&["MODE", "DST"]),
        entry("remount-ro", TARGET, "remount-ro", "the mount at DST, without those below, becomes read-only"),
        entry("mask", TARGET, "mask", "nothing at DST: an empty directory or the null device"),
        entry("preset", &[Column::Source], "preset", "the entries of a preset: host-ro, isolate or bwrap-dev")
            .takes(&["NAME"])
            .among(&["host-ro", "isolate", "bwrap-dev"]),
        entry_with("chdir", TARGET, "chdir", "", "the working directory of PROG, in the new root")
            .takes(&["DIR"])
            .repeats(),
        Flag::new(Key::SetPwd, "set-pwd", "PWD in PROG's environment is its working directory"),
        Flag::new(Key::RwRoot, "rw-root", "leave the root directory itself writable"),
        Flag::new(Key::Carry, "carry", "how PROG crosses the root change: clone, sealed or no")
            .takes(&["HOW"])
            .among(&["clone", "sealed", "no"]),
        Flag::new(Key::Wipe, "wipe", "empty DIR, whatever an overlay has left in it; alone, without PROG")
            .takes(&["DIR"])
            .repeats(),
    ],
};
