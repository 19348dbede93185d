//! The link that makes the root: operations to entries.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use chain::{Result, refusal, show};

use super::super::args::places::{effective, is_mount_point, made, outside};
use super::super::args::{Operation, Request};
use super::super::look::Facts;
use super::super::table::{Access, Kind, Role, What};
use super::words;

/// The link. `keep`: its words for what crosses: the next program and descriptors.
pub fn link(request: &Request, facts: &Facts, keep: &[OsString]) -> Vec<OsString> {
    let operations = effective(request);
    let own_root = operations.first().is_some_and(|first| first.is_root() && is_mount_point(first.what));
    let entries = operations.iter().zip(made(&operations)).flat_map(|(operation, place)| {
        let missing = place.is_some_and(|place| facts.missing.contains_key(&place));
        let changes = operation.what == What::Chmod && outside(&operations, &operation.target).is_some();
        entry(operation, request, facts, changes || missing && is_made_for_good(operation.what))
    });
    super::link(
        "mount-plan",
        [
            if own_root { vec![] } else { words(["--rw-root"]) },
            entries.collect(),
            directory(request, facts),
            keep.to_vec(),
        ],
    )
}

/// What a process outside has to hold while the box is there: a place in the caller's tree to mount on, where there is none,
/// and the files that are to be locked.
pub fn held(request: &Request, facts: &Facts) -> Result<Vec<OsString>> {
    let operations = effective(request);
    let mut held = vec![];
    for (operation, place) in operations.iter().zip(made(&operations)) {
        let Some((mut place, is_folder)) = place.and_then(|place| facts.missing.get(&place).map(|is| (place, *is)))
        else {
            continue;
        };
        if is_folder {
            place.push("");
        }
        if !is_made_for_good(operation.what) {
            held.extend(["--placeholder".into(), place.into_os_string()]);
        }
    }
    for file in &request.locks {
        let outside = outside(&operations, file).ok_or_else(|| {
            refusal!("--lock-file {}: not a file of the caller's, and nobody else could lock it", show(file))
        })?;
        held.extend(["--lock".into(), outside.into_os_string()]);
    }
    Ok(held)
}

/// Whether it stays where bubblewrap would have made it, as nothing can be mounted in its place.
fn is_made_for_good(what: What) -> bool {
    matches!(what, What::Dir | What::Symlink)
}

/// The entries of an operation. `makes`: what it makes or changes in a tree of the caller's stays.
fn entry(operation: &Operation, request: &Request, facts: &Facts, makes: bool) -> Vec<OsString> {
    let target = operation.target.as_os_str();
    let fd = operation.fd.or_else(|| by_path(operation, facts)).map(|fd| format!("fd:{fd}")).unwrap_or_default();
    let source = || as_path(operation.sources.first().map_or(OsStr::new(""), |source| source));
    let (more, mut options): (Vec<OsString>, Vec<String>) = match operation.what {
        What::Bind(access) | What::BindTry(access) | What::BindFd(access) if !fd.is_empty() => {
            (pair(bind(access), fd.as_ref(), target), vec![])
        }
        What::Bind(access) | What::BindFd(access) => (pair(bind(access), &source(), target), vec![]),
        What::BindTry(access) => (pair(bind(access), &source(), target), vec!["X-mount.if-exists".into()]),
        What::RemountRo => (one("--remount-ro", target), vec![]),
        What::Overlay => {
            let kept = operation.sources.iter().map(OsString::from);
            let all = [vec!["--overlay".into(), layers(&operation.layers)], kept.collect(), vec![target.into()]];
            (all.concat(), vec![])
        }
        What::TmpOverlay => (pair("--tmp-overlay", &layers(&operation.layers), target), vec![]),
        What::RoOverlay => (pair("--tmp-overlay", &layers(&operation.layers), target), vec!["ro".into()]),
        What::Proc if request.has(Kind::Pid) || request.fd(Role::Pidns).is_some() => {
            (one("--proc", target), vec!["rw,mixed".into()])
        }
        What::Proc => return callers_proc(operation, facts),
        What::Dev => (one("--dev", target), vec!["rw".into()]),
        What::Tmpfs => (one("--tmpfs", target), tmpfs(operation)),
        What::Mqueue => (one("--mqueue", target), vec![]),
        What::Dir => (one("--dir", target), mode(operation, 0o755, 0o755)),
        What::File => (pair("--file", fd.as_ref(), target), mode(operation, 0o666, 0o644)),
        What::Data(Access::Read) => (pair("--ro-bind-data", fd.as_ref(), target), mode(operation, 0o600, 0o644)),
        What::Data(_) => (pair("--bind-data", fd.as_ref(), target), mode(operation, 0o600, 0o644)),
        What::Symlink => {
            let text = operation.sources.first().map_or(OsStr::new(""), |text| text);
            // -- as a word of its own ends the options.
            let entry =
                if text == "--" { vec!["--symlink=--".into(), target.into()] } else { pair("--symlink", text, target) };
            (entry, vec![])
        }
        What::Chmod => (pair("--chmod", octal(operation.mode.unwrap_or(0)).as_ref(), target), vec![]),
    };
    options.extend(makes.then(|| "X-mount.make".to_owned()));
    options.extend(parents(operation));
    let mut entry = with(more, &options);
    if operation.what == What::Dev {
        entry.extend(more_of_dev(operation, facts));
    }
    entry
}

fn one(option: &str, target: &OsStr) -> Vec<OsString> {
    vec![option.into(), target.into()]
}

fn pair(option: &str, source: &OsStr, target: &OsStr) -> Vec<OsString> {
    vec![option.into(), source.into(), target.into()]
}

fn with(mut entry: Vec<OsString>, options: &[String]) -> Vec<OsString> {
    if !options.is_empty() {
        entry.extend(words(["-o", &options.join(",")]));
    }
    entry
}

fn bind(access: Access) -> &'static str {
    match access {
        Access::Write => "--bind",
        Access::Read => "--ro-bind",
        Access::Device => "--dev-bind",
    }
}

/// The descriptor that is bound by a path of the caller's own, as they do who know no --bind-fd. In another process that path would
/// lead to a mount that cannot be bound there.
pub fn by_path(operation: &Operation, facts: &Facts) -> Option<RawFd> {
    let (What::Bind(_) | What::BindTry(_)) = operation.what else { return None };
    let fd = operation.sources.first()?.to_str()?.strip_prefix("/proc/self/fd/")?.parse().ok()?;
    facts.open.contains(&fd).then_some(fd)
}

/// A path that mount-plan takes for nothing else.
fn as_path(source: &OsStr) -> OsString {
    if source.as_bytes().starts_with(b"fd:") { [OsStr::new("./"), source].into_iter().collect() } else { source.into() }
}

/// Layers as overlayfs lists them, the highest first.
fn layers(layers: &[OsString]) -> OsString {
    let escaped = |layer: &OsString| {
        let bytes = layer.as_bytes().iter();
        bytes.flat_map(|byte| if b"\\:".contains(byte) { vec![b'\\', *byte] } else { vec![*byte] }).collect::<Vec<u8>>()
    };
    OsString::from_vec(layers.iter().rev().map(escaped).collect::<Vec<_>>().join(&b':'))
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

/// `mode=`, where it is not what mount-plan does by itself.
fn mode(operation: &Operation, usual: u32, own: u32) -> Vec<String> {
    let mode = operation.mode.unwrap_or(usual);
    (mode != own).then(|| format!("mode={}", octal(mode))).into_iter().collect()
}

fn tmpfs(operation: &Operation) -> Vec<String> {
    let size = operation.size.map(|size| format!("size={size}"));
    mode(operation, 0o755, 0o1777).into_iter().chain(size).collect()
}

/// What --perms keeps from group and others, the directories made on the way keep from them too.
fn parents(operation: &Operation) -> Option<String> {
    let mode = operation.mode.filter(|_| operation.what != What::Chmod)?;
    let shut = |bits: u32, taken: u32| if mode & bits == 0 { taken } else { 0 };
    let parents = 0o755 & !shut(0o070, 0o050) & !shut(0o007, 0o005);
    (parents != 0o755).then(|| format!("X-mount.mkdir={}", octal(parents)))
}

/// Without a pid namespace of its own the box gets the caller's /proc; what root could do harm with is read-only.
fn callers_proc(operation: &Operation, facts: &Facts) -> Vec<OsString> {
    let target = operation.target.as_os_str();
    let mut entries = pair("--bind", OsStr::new("/proc"), target);
    let risky = if facts.uid == 0 { &["sys", "sysrq-trigger", "irq", "bus"][..] } else { &[] };
    for name in risky {
        let source = Path::new("/proc").join(name);
        let entry = pair("--ro-bind", source.as_os_str(), operation.target.join(name).as_os_str());
        entries.extend(with(entry, &["X-mount.if-exists".to_owned()]));
    }
    entries
}

/// What bubblewrap has in /dev besides.
fn more_of_dev(operation: &Operation, facts: &Facts) -> Vec<OsString> {
    let at = |name: &str| operation.target.join(name).into_os_string();
    let mut entries = pair("--symlink", OsStr::new("/proc/kcore"), &at("core"));
    if let Some(terminal) = &facts.terminal {
        entries.extend(pair("--dev-bind", terminal.as_os_str(), &at("console")));
    }
    entries
}

/// The working directory: the one that is asked for; else the caller's, else its home, if the new root has them.
fn directory(request: &Request, facts: &Facts) -> Vec<OsString> {
    if let Some(path) = &request.chdir {
        return [one("--chdir", path.as_os_str()), words(["--set-pwd"])].concat();
    }
    let home = request.environment.value("HOME", facts.home.as_deref()).filter(|home| !home.is_empty());
    let home = home.map(|home| Path::new("/").join(home)).filter(|home| Some(home) != facts.cwd.as_ref());
    // The root is always there, and is where mount-plan goes by itself in the end.
    let paths = facts.cwd.iter().cloned().chain(home).take_while(|path| path != Path::new("/"));
    let entries = paths.flat_map(|path| with(one("--chdir", path.as_os_str()), &["nofail".to_owned()]));
    entries.chain(words(["--set-pwd"])).collect()
}
