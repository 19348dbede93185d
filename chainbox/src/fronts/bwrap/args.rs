//! The command line, with what `--args` adds to it, to a request.

pub mod places;
pub mod values;

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, PathBuf};

use chain::parse::parse_foreign;
use chain::values::descriptor;
use chain::{Requested, Result, refusal, show};

use super::table::{Key, Kind, Role, Switch, TABLE, What};
use crate::fronts::chain::Environment;
use values::{capability, in_root, mode, number, size, variable};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Help,
    Version,
    Box(Box<Request>),
}

/// A box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub new: Vec<Kind>,
    pub fds: Vec<(Role, RawFd)>,
    pub switches: Vec<Switch>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub hostname: Option<OsString>,
    pub chdir: Option<PathBuf>,
    pub argv0: Option<OsString>,
    pub level_prefix: bool,
    pub environment: Environment,
    pub locks: Vec<PathBuf>,
    pub operations: Vec<Operation>,
    /// Filters by --add-seccomp-fd, in order.
    pub filters: Vec<RawFd>,
    /// --cap-add and --cap-drop, in order.
    pub capabilities: Vec<(Change, Which)>,
    pub command: Vec<OsString>,
    /// What the caller is told, though it is done.
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Drop,
}

/// Capabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// By its name without CAP_, in small letters.
    One(String),
}

/// Something that is done to the new root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub what: What,
    /// The option, without dashes.
    pub option: &'static str,
    /// The values before the target, as they are.
    pub sources: Vec<OsString>,
    pub target: PathBuf,
    /// What --perms or --chmod says.
    pub mode: Option<u32>,
    pub size: Option<u64>,
    /// The descriptor that is read or bound.
    pub fd: Option<RawFd>,
    /// Layers, the lowest first.
    pub layers: Vec<OsString>,
}

impl Request {
    pub fn fd(&self, role: Role) -> Option<RawFd> {
        self.fds.iter().find(|(known, _)| *known == role).map(|(_, fd)| *fd)
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.new.contains(&kind)
    }

    pub fn is(&self, switch: Switch) -> bool {
        self.switches.contains(&switch)
    }

    /// The filters in the order in which they are attached.
    pub fn filters(&self) -> Vec<RawFd> {
        self.fd(Role::Seccomp).into_iter().chain(self.filters.iter().copied()).collect()
    }

    /// Every descriptor that an option names, with that option.
    pub fn descriptors(&self) -> Vec<(&'static str, RawFd)> {
        let roles = self.fds.iter().map(|(role, fd)| (role.option(), *fd));
        let filters = self.filters.iter().map(|fd| ("add-seccomp-fd", *fd));
        let read = self.operations.iter().filter_map(|operation| Some((operation.option, operation.fd?)));
        roles.chain(filters).chain(read).collect()
    }
}

impl Role {
    /// Its option.
    fn option(self) -> &'static str {
        TABLE.flags.iter().find(|flag| flag.key == Key::Fd(self)).map_or("", |flag| flag.long)
    }
}

/// As many words as bubblewrap takes at most.
const MOST: usize = 9000;

/// Reads the command line. `read` gives what a descriptor holds.
pub fn line(argv: Vec<OsString>, read: &mut dyn FnMut(RawFd) -> Result<Vec<u8>>) -> Result<Line> {
    let mut count = argv.len();
    let cli = parse_foreign(&TABLE, argv)?;
    let mut requested = vec![];
    for option in cli.requested {
        if option.key != Key::Args {
            requested.push(option);
            continue;
        }
        let words = words(&read(descriptor("args", option.value(0))?)?);
        count += words.len();
        if count > MOST {
            return Err(refusal!("--args: more than {MOST} words"));
        }
        let more = parse_foreign(&TABLE, words)?;
        if let Some(word) = more.prog.first() {
            return Err(refusal!("--args {}: {} is no option", show(option.value(0)), show(word)));
        }
        if more.requested.iter().any(|option| option.key == Key::Args) {
            return Err(refusal!("--args {}: --args within it", show(option.value(0))));
        }
        requested.extend(more.requested);
    }
    let page = requested.iter().find_map(|option| match option.key {
        Key::Help => Some(Line::Help),
        Key::Version => Some(Line::Version),
        _ => None,
    });
    page.map_or_else(|| request(&requested, cli.prog).map(|request| Line::Box(Box::new(request))), Ok)
}

/// Each word ends with a NUL byte, the last perhaps without.
fn words(data: &[u8]) -> Vec<OsString> {
    let data = data.strip_suffix(b"\0").unwrap_or(data);
    if data.is_empty() {
        return vec![];
    }
    data.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect()
}

/// What belongs to the operation that comes next.
#[derive(Default)]
struct Pending {
    mode: Option<u32>,
    size: Option<u64>,
    layers: Vec<OsString>,
}

fn request(requested: &[Requested<Key>], command: Vec<OsString>) -> Result<Request> {
    let mut request = Request { command, ..Request::default() };
    let mut pending = Pending::default();
    for option in requested {
        match option.key {
            Key::Operation(what) => request.operations.push(operation(what, option, &mut pending)?),
            Key::Perms if pending.mode.is_some() => return Err(refusal!("--perms is given twice for one operation")),
            Key::Perms => pending.mode = Some(mode("perms", option.value(0))?),
            Key::Size if pending.size.is_some() => return Err(refusal!("--size is given twice for one operation")),
            Key::Size => pending.size = Some(size(option.value(0))?),
            Key::OverlaySrc => pending.layers.push(option.value(0).to_owned()),
            _ => take(&mut request, option)?,
        }
        pending.belongs_to(option.key)?;
    }
    pending.belongs_to(Key::Help)?;
    fits(&request)?;
    Ok(request)
}

impl Pending {
    /// Refuses what the operation before has not taken.
    fn belongs_to(&self, before: Key) -> Result<()> {
        let modifies = matches!(before, Key::Perms | Key::Size);
        if self.mode.is_some() && !modifies {
            return Err(refusal!("--perms: --file, --bind-data, --ro-bind-data, --dir or --tmpfs must follow"));
        }
        if self.size.is_some() && !modifies {
            return Err(refusal!("--size: --tmpfs must follow"));
        }
        if !self.layers.is_empty() && before != Key::OverlaySrc {
            return Err(refusal!("--overlay-src: --overlay, --tmp-overlay or --ro-overlay must follow"));
        }
        Ok(())
    }
}

fn operation(what: What, option: &Requested<Key>, pending: &mut Pending) -> Result<Operation> {
    let (target, sources) =
        option.values.split_last().map_or((OsStr::new(""), &[][..]), |(target, sources)| (&**target, sources));
    let name = TABLE.flags.iter().find(|flag| flag.key == option.key).map_or("", |flag| flag.long);
    let takes_mode = matches!(what, What::File | What::Data(_) | What::Dir | What::Tmpfs);
    let mode = match what {
        What::Chmod => Some(mode(name, option.value(0))?),
        _ if takes_mode => pending.mode.take(),
        _ => None,
    };
    let fd = matches!(what, What::BindFd(_) | What::File | What::Data(_)).then(|| descriptor(name, option.value(0)));
    let size = if what == What::Tmpfs { pending.size.take() } else { None };
    let least = match what {
        What::Overlay | What::TmpOverlay => 1,
        What::RoOverlay => 2,
        _ => 0,
    };
    let layers = if least > 0 { std::mem::take(&mut pending.layers) } else { vec![] };
    if layers.len() < least {
        return Err(refusal!("--{name}: needs --overlay-src before it, {least} at least"));
    }
    let target = in_root(target);
    Ok(Operation { what, option: name, sources: sources.to_vec(), target, mode, size, fd: fd.transpose()?, layers })
}

impl Operation {
    /// Whether it is the whole root.
    pub fn is_root(&self) -> bool {
        self.target.components().all(|part| part == Component::RootDir || part == Component::CurDir)
    }
}

fn take(request: &mut Request, option: &Requested<Key>) -> Result<()> {
    let value = option.value(0);
    match option.key {
        Key::New(kind) => request.new.push(kind),
        Key::NewAll => {
            request.new.extend([Kind::UserTry, Kind::Ipc, Kind::Pid, Kind::Net, Kind::Uts, Kind::CgroupTry]);
        }
        Key::ShareNet => request.new.retain(|kind| *kind != Kind::Net),
        Key::Fd(role) => {
            let fd = descriptor(role.option(), value)?;
            let before = request.fds.len();
            request.fds.retain(|(known, _)| *known != role);
            last_one(&mut request.warnings, role.option(), request.fds.len() < before);
            request.fds.push((role, fd));
        }
        Key::AddSeccomp => request.filters.push(descriptor("add-seccomp-fd", value)?),
        Key::Switch(switch) => request.switches.push(switch),
        Key::Uid => set(&mut request.uid, number("uid", value)?, "uid", &mut request.warnings),
        Key::Gid => set(&mut request.gid, number("gid", value)?, "gid", &mut request.warnings),
        Key::Hostname => set(&mut request.hostname, value.to_owned(), "hostname", &mut request.warnings),
        Key::Chdir => set(&mut request.chdir, in_root(value), "chdir", &mut request.warnings),
        Key::Argv0 if request.argv0.is_some() => return Err(refusal!("--argv0 is given twice")),
        Key::Argv0 => request.argv0 = Some(value.to_owned()),
        Key::LevelPrefix => request.level_prefix = true,
        Key::Clearenv => request.environment.clear(),
        Key::Setenv => request.environment.change(variable("setenv", value)?, Some(option.value(1))),
        Key::Unsetenv => request.environment.change(variable("unsetenv", value)?, None),
        Key::LockFile => request.locks.push(in_root(value)),
        Key::CapAdd => request.capabilities.push((Change::Add, capability("cap-add", value)?)),
        Key::CapDrop => request.capabilities.push((Change::Drop, capability("cap-drop", value)?)),
        Key::Label => return Err(refusal!("--exec-label and --file-label: there is no SELinux support")),
        Key::Help | Key::Version | Key::Args | Key::Operation(_) | Key::OverlaySrc | Key::Perms | Key::Size => {}
    }
    Ok(())
}

/// The last one counts, and the caller is told.
fn set<T>(place: &mut Option<T>, value: T, option: &str, warnings: &mut Vec<String>) {
    last_one(warnings, option, place.is_some());
    *place = Some(value);
}

fn last_one(warnings: &mut Vec<String>, option: &str, again: bool) {
    if again {
        warnings.push(format!("--{option} is given twice: the last one counts"));
    }
}

/// Refuses what cannot be meant together.
fn fits(request: &Request) -> Result<()> {
    let fd = |role| request.fd(role).is_some();
    let rules = [
        (fd(Role::UsernsBlock) && !request.has(Kind::User), "--userns-block-fd needs --unshare-user"),
        (fd(Role::UsernsBlock) && !fd(Role::Info), "--userns-block-fd needs --info-fd"),
        (fd(Role::Userns) && request.has(Kind::User), "--userns and --unshare-user exclude each other"),
        (
            fd(Role::Userns) && request.has(Kind::UserTry),
            "--userns and --unshare-user-try (of --unshare-all) exclude each other",
        ),
        (request.is(Switch::DisableUserns) && !request.has(Kind::User), "--disable-userns needs --unshare-user"),
        (
            request.is(Switch::DisableUserns) && fd(Role::UsernsBlock),
            "--disable-userns and --userns-block-fd exclude each other",
        ),
        (request.hostname.is_some() && !request.has(Kind::Uts), "--hostname needs --unshare-uts"),
        (request.is(Switch::AsPid1) && !request.has(Kind::Pid), "--as-pid-1 needs --unshare-pid"),
        (request.is(Switch::AsPid1) && !request.locks.is_empty(), "--as-pid-1 and --lock-file exclude each other"),
        (fd(Role::Seccomp) && !request.filters.is_empty(), "--seccomp and --add-seccomp-fd exclude each other"),
        (request.command.is_empty(), "COMMAND is missing: usage: bwrap [OPTIONS...] [--] COMMAND [ARGS...]"),
    ];
    match rules.iter().find(|(broken, _)| *broken) {
        Some((_, text)) => Err(refusal!("{text}")),
        None => Ok(()),
    }
}
