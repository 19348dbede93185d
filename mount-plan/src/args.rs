//! The command line: each entry of a plan as an option, in order, and the plans themselves.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;

use chain::Requested;
use chain::{Failure, Flag, Result, Table, show};

use crate::entry::Setting;
use crate::grammar::{Line, settings};
use crate::prose;

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A file of entries.
    Plan,
    /// The same, already open.
    PlanFd,
    /// More options for the entry before it.
    Options,
    /// One entry.
    Entry(Form),
    /// Leave the root of the new tree writable.
    RwRoot,
    /// How the next program crosses the root change.
    Carry,
    /// A directory to be emptied, and nothing else to be done.
    Wipe,
}

/// How an option becomes the columns of an entry: where its words go, and what is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    columns: &'static [Column],
    source: &'static str,
    target: &'static str,
    fstype: &'static str,
    options: &'static [&'static str],
}

/// The column that a value of an option goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Type,
    Source,
    Target,
    Option(&'static str),
}

const TARGET: &[Column] = &[Column::Target];
const PAIR: &[Column] = &[Column::Source, Column::Target];
const LAYERS: &[Column] =
    &[Column::Option("lowerdir"), Column::Option("upperdir"), Column::Option("workdir"), Column::Target];

const fn form(columns: &'static [Column], fstype: &'static str, options: &'static [&'static str]) -> Key {
    Key::Entry(Form { columns, source: "none", target: "/", fstype, options })
}

/// How the next program gets across the root change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// A tool of this family that stands beside this one as a clone, anything else not at all.
    #[default]
    Auto,
    /// A detached read-only clone of the file.
    Clone,
    /// A sealed copy in memory.
    Sealed,
    /// Not at all: it is found in the new root.
    No,
}

/// What was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Entries and plans, in order.
    pub parts: Vec<Part>,
    /// Leave the root of the new tree writable.
    pub rw_root: bool,
    /// How the next program crosses.
    pub carry: Carry,
    /// Directories to be emptied, in place of everything else.
    pub wipe: Vec<OsString>,
}

/// One part of the plan as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// An entry as options.
    Line(Line),
    /// A file of entries; `-` is standard input.
    File(OsString),
    /// An open file of entries.
    Fd(RawFd),
}

/// Every option, and the prose of the man page.
pub const TABLE: Table<Key> = Table {
    tool: "mount-plan",
    summary: "assemble a new root out of a plan of mounts, enter it, then execute a program",
    layer: prose::LAYER,
    flags: &[
        Flag::new(Key::Plan, "plan", "entries from FILE, in fstab(5) syntax; - is standard input")
            .takes(&["FILE"])
            .repeats(),
        Flag::new(Key::PlanFd, "plan-fd", "entries from the open descriptor N").takes(&["N"]).repeats(),
        Flag::new(Key::Options, "options", "further options for the entry before, as in a plan's fourth column")
            .short('o')
            .takes(&["OPTIONS"])
            .repeats()
            .detail(prose::OPTIONS),
        Flag::new(form(PAIR, "none", &["rbind"]), "bind", "SRC and all that is mounted below it at DST")
            .takes(&["SRC", "DST"])
            .repeats()
            .detail("With nosuid and nodev; a submount is covered too. Never more than SRC itself allows."),
        Flag::new(form(PAIR, "none", &["rbind", "ro"]), "ro-bind", "the same, read-only")
            .takes(&["SRC", "DST"])
            .repeats(),
        Flag::new(form(PAIR, "none", &["rbind", "dev"]), "dev-bind", "the same as --bind, device nodes usable")
            .takes(&["SRC", "DST"])
            .repeats(),
        Flag::new(form(TARGET, "tmpfs", &[]), "tmpfs", "a new tmpfs").takes(&["DST"]).repeats().detail(
            "Its mode is 1777 unless -o mode= says otherwise; -o size=64M,nr_inodes=10k limits it (half the RAM \
             otherwise).",
        ),
        Flag::new(form(TARGET, "proc", &[]), "proc", "a new proc of the present PID namespace")
            .takes(&["DST"])
            .repeats()
            .detail(
                "Read-only unless -o rw: user 0 of the machine may write /proc/sys in any box. -o subset=pid and \
                 -o hidepid=invisible show less (Linux 5.8; group 0, or the one of -o gid=, still sees all).",
            ),
        Flag::new(form(TARGET, "sysfs", &[]), "sysfs", "a new sysfs of the present network namespace")
            .takes(&["DST"])
            .repeats()
            .detail("Read-only unless -o rw, for the same reason."),
        Flag::new(form(TARGET, "dev", &[]), "dev", "a minimal /dev").takes(&["DST"]).repeats().detail(prose::DEV),
        Flag::new(form(TARGET, "devpts", &["newinstance", "ptmxmode=0666", "mode=620"]), "devpts", "new terminals")
            .takes(&["DST"])
            .repeats(),
        Flag::new(form(TARGET, "mqueue", &[]), "mqueue", "POSIX message queues of the present IPC namespace")
            .takes(&["DST"])
            .repeats(),
        Flag::new(form(LAYERS, "overlay", &[]), "overlay", "LOWER[:LOWER]... with changes in UPPER")
            .takes(&["LOWER", "UPPER", "WORK", "DST"])
            .repeats()
            .detail(prose::OVERLAY),
        Flag::new(
            form(&[Column::Option("lowerdir"), Column::Target], "overlay", &["tmp"]),
            "tmp-overlay",
            "LOWER[:LOWER]... with changes that end with the box",
        )
        .takes(&["LOWER", "DST"])
        .repeats(),
        Flag::new(
            form(&[Column::Type, Column::Source, Column::Target], "none", &[]),
            "image",
            "what is in FILE, by TYPE: squashfs, erofs or ext4",
        )
        .takes(&["TYPE", "FILE", "DST"])
        .repeats()
        .detail(prose::IMAGE),
        Flag::new(form(PAIR, "symlink", &[]), "symlink", "a symbolic link DST with this TEXT")
            .takes(&["TEXT", "DST"])
            .repeats(),
        Flag::new(form(TARGET, "dir", &[]), "dir", "a directory, mode 0755 or -o mode=").takes(&["DST"]).repeats(),
        Flag::new(form(PAIR, "file", &[]), "file", "a file with this content, mode 0644 or -o mode=")
            .takes(&["CONTENT", "DST"])
            .repeats()
            .detail(prose::FILE),
        Flag::new(form(TARGET, "mask", &[]), "mask", "nothing at DST: an empty directory or the null device")
            .takes(&["DST"])
            .repeats(),
        Flag::new(
            form(&[Column::Source], "preset", &[]),
            "preset",
            "the entries of a preset: host-ro, isolate or bwrap-dev",
        )
        .takes(&["NAME"])
        .repeats()
        .detail(prose::PRESET),
        Flag::new(form(TARGET, "chdir", &[]), "chdir", "the working directory of PROG, in the new root")
            .takes(&["DIR"]),
        Flag::new(Key::RwRoot, "rw-root", "leave the root directory itself writable"),
        Flag::new(Key::Carry, "carry", "how PROG crosses the root change: clone, sealed or no")
            .takes(&["HOW"])
            .detail(prose::CARRY),
        Flag::new(Key::Wipe, "wipe", "empty DIR, whatever an overlay has left in it; alone, without PROG")
            .takes(&["DIR"])
            .repeats()
            .detail(prose::WIPE),
    ],
    sections: prose::SECTIONS,
};

/// What the options mean.
///
/// # Errors
/// A value that its option cannot have.
pub fn request(given: &[Requested<Key>]) -> Result<Request> {
    let mut request = Request::default();
    for said in given {
        match said.key {
            Key::Plan => request.parts.push(Part::File(said.value(0).to_owned())),
            Key::PlanFd => request.parts.push(Part::Fd(descriptor(said.value(0))?)),
            Key::Options => add_options(&mut request.parts, said.value(0))?,
            Key::Entry(form) => request.parts.push(Part::Line(form.line(&said.values))),
            Key::RwRoot => request.rw_root = true,
            Key::Carry => request.carry = carry(said.value(0))?,
            Key::Wipe => request.wipe.push(said.value(0).to_owned()),
        }
    }
    Ok(request)
}

fn add_options(parts: &mut [Part], column: &OsStr) -> Result<()> {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let Some(Part::Line(line)) = parts.last_mut() else {
        return Err(Failure::refusal(format!("-o {}: no entry stands before it", show(column))).into());
    };
    let taken = |raw: &[u8]| Ok(OsString::from_vec(raw.to_vec()));
    line.options.extend(settings(column.as_bytes(), &taken)?);
    Ok(())
}

impl Form {
    fn line(self, values: &[OsString]) -> Line {
        let mut line = Line {
            origin: crate::entry::Origin::default(),
            source: self.source.into(),
            target: self.target.into(),
            fstype: self.fstype.into(),
            options: self.options.iter().map(|word| fixed(word)).collect(),
        };
        for (column, value) in self.columns.iter().zip(values) {
            match column {
                Column::Type => line.fstype.clone_from(value),
                Column::Source => line.source.clone_from(value),
                Column::Target => line.target.clone_from(value),
                Column::Option(key) => {
                    line.options.push(Setting { key: key.into(), value: Some(value.clone()) });
                }
            }
        }
        line
    }
}

fn fixed(word: &str) -> Setting {
    match word.split_once('=') {
        None => Setting { key: word.into(), value: None },
        Some((key, value)) => Setting { key: key.into(), value: Some(value.into()) },
    }
}

fn descriptor(word: &OsStr) -> Result<RawFd> {
    let fd = chain::values::number(word).and_then(|n| RawFd::try_from(n).ok());
    fd.ok_or_else(|| Failure::refusal(format!("--plan-fd {}: not a descriptor number", show(word))).into())
}

fn carry(word: &OsStr) -> Result<Carry> {
    match word.to_str() {
        Some("clone") => Ok(Carry::Clone),
        Some("sealed") => Ok(Carry::Sealed),
        Some("no") => Ok(Carry::No),
        _ => Err(Failure::refusal(format!("--carry {}: clone, sealed or no", show(word))).into()),
    }
}
