//! What is looked at before anything is done. Nothing is changed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use chain::{Call as _, Hint as _, Result, refusal, show};
use nix::unistd::{Gid, Uid};

use super::args::Request;
use super::args::config::Config;
use super::table::Switch;
use crate::fronts::descriptors;

/// The variable that names the configuration file.
const VARIABLE: &str = "ISOLATE_CONFIG";

/// The files that are looked for without it, as root.
const FILES: [&str; 2] = ["/usr/local/etc/isolate", "/etc/isolate"];

/// How many boxes there are, and their first id, where no configuration says so: ids that nobody else has (docs/adr/0013).
const BOXES: u32 = 65_000;
const FIRST: u32 = 2_134_900_736;

/// A user and a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

/// The caller, and where boxes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub caller: Ids,
    pub config: Config,
    pub box_root: PathBuf,
    pub lock_root: PathBuf,
    /// The cgroup below which boxes have theirs, where one is configured.
    pub cg_root: Option<PathBuf>,
    /// Who the program is, where the caller may make it somebody else than himself.
    pub box_ids: Option<Ids>,
    pub variables: Vec<(OsString, OsString)>,
    /// Open descriptors besides 0, 1 and 2, but for directories.
    pub open: Vec<RawFd>,
}

/// The configuration: its file, if there is one, and what stands in it.
pub fn config() -> Result<(Option<PathBuf>, Config)> {
    let Some(path) = config_file() else { return Ok((None, Config::default())) };
    let text = fs::read_to_string(&path).call(&format!("read {}", show(&path)))?;
    let config = Config::parse(&path, &text)?;
    Ok((Some(path), config))
}

/// The one that a variable names; else a usual one that is there. An ordinary user has his own: root's folders are not his.
fn config_file() -> Option<PathBuf> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let usual = if Uid::effective().is_root() {
        FILES.map(PathBuf::from).to_vec()
    } else {
        let own = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        own.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".config")))
            .map(|own| own.join("isolate"))
            .into_iter()
            .collect()
    };
    usual.into_iter().find(|path| path.exists())
}

pub fn facts(request: &Request) -> Result<Facts> {
    let (_, config) = config()?;
    let most = config.num_boxes.unwrap_or(BOXES);
    if request.number >= most {
        return Err(refusal!("--box-id {}: not a number from 0 to {}", request.number, most.saturating_sub(1)));
    }
    let caller = Ids { uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw() };
    let (box_root, lock_root) = roots(&config, caller)?;
    let cg_root = if request.is(Switch::Cgroup) { cg_root(&config)? } else { None };
    let open = if request.is(Switch::InheritFds) { descriptors::open()? } else { vec![] };
    Ok(Facts {
        box_ids: if caller.uid == 0 { box_ids(&config, request.number)? } else { None },
        caller,
        config,
        box_root,
        lock_root,
        cg_root,
        variables: env::vars_os().collect(),
        open: open.into_iter().filter(|fd| !descriptors::is_directory(*fd)).collect(),
    })
}

fn roots(config: &Config, caller: Ids) -> Result<(PathBuf, PathBuf)> {
    let usual = |root: &str, name: &str| {
        if caller.uid == 0 {
            return Ok(PathBuf::from(root));
        }
        let own = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|own| own.is_absolute());
        own.map(|own| own.join("isolate").join(name)).ok_or_else(|| {
            refusal!("XDG_RUNTIME_DIR is not set, and nothing says where boxes are to be").hint(format!(
                "{VARIABLE}=FILE, with a line box_root = DIRECTORY and one lock_root = DIRECTORY in FILE"
            ))
        })
    };
    let said = |said: &Option<PathBuf>, root, name| said.clone().map_or_else(|| usual(root, name), Ok);
    Ok((
        said(&config.box_root, "/var/local/lib/isolate", "boxes")?,
        said(&config.lock_root, "/run/isolate/locks", "locks")?,
    ))
}

/// What the configuration says, where `auto:FILE` is what FILE has.
pub fn cg_root(config: &Config) -> Result<Option<PathBuf>> {
    let Some(said) = &config.cg_root else { return Ok(None) };
    let Some(file) = said.strip_prefix("auto:") else { return Ok(Some(said.into())) };
    let text = fs::read_to_string(file).call(&format!("cg_root: read {}", show(file)))?;
    let path = PathBuf::from(text.trim());
    if path.is_absolute() { Ok(Some(path)) } else { Err(refusal!("cg_root: {} has no path", show(file))) }
}

/// The ids of a box. `None` where this user namespace has no id but its root's, who is then as any user.
fn box_ids(config: &Config, number: u32) -> Result<Option<Ids>> {
    let (uids, gids) = match &config.subid_user {
        Some(user) => (subordinate("/etc/subuid", user)?, subordinate("/etc/subgid", user)?),
        None => {
            let uid = config.first_uid.unwrap_or(FIRST);
            ((uid, BOXES.max(number + 1)), (config.first_gid.unwrap_or(uid), BOXES.max(number + 1)))
        }
    };
    let one = |(first, count): (u32, u32)| Some(number).filter(|n| *n < count).and_then(|n| first.checked_add(n));
    let (Some(uid), Some(gid)) = (one(uids), one(gids)) else {
        return Err(refusal!("box {number} has no id: too few are configured"));
    };
    if uid == 0 || gid == 0 {
        return Err(refusal!("box {number} would be root's own id: first_uid and first_gid are above 0"));
    }
    let maps = [("/proc/self/uid_map", uid), ("/proc/self/gid_map", gid)].map(|(map, id)| (ranges(map), id));
    match maps.map(|(map, id)| (is_mapped(&map, id), is_mapped(&map, 0) && ids_in(&map) == 1)) {
        [(true, _), (true, _)] => Ok(Some(Ids { uid, gid })),
        [(_, true), _] | [_, (_, true)] => Ok(None),
        _ => Err(refusal!("box {number} has the ids {uid} and {gid}, which are none in this user namespace")
            .hint("first_uid and first_gid in the configuration: see /proc/self/uid_map and gid_map")),
    }
}

/// The first range of a user in a file of subordinate ids: its beginning, and how many (subuid(5)).
fn subordinate(file: &str, user: &str) -> Result<(u32, u32)> {
    let text = fs::read_to_string(file).call(&format!("subid_user: read {file}"))?;
    let range = text.lines().find_map(|line| {
        let mut parts = line.split(':');
        let numbers = (parts.next() == Some(user)).then_some(parts)?;
        let numbers: Vec<u32> = numbers.map(|part| chain::values::integer(OsStr::new(part))).collect::<Option<_>>()?;
        <[u32; 2]>::try_from(numbers).ok()
    });
    range.map(|[first, count]| (first, count)).ok_or_else(|| refusal!("subid_user: {} is not in {file}", show(user)))
}

/// Whether this user namespace has such an id.
fn is_mapped(map: &[(u32, u32)], id: u32) -> bool {
    map.iter().any(|(first, count)| id.checked_sub(*first).is_some_and(|n| n < *count))
}

fn ids_in(map: &[(u32, u32)]) -> u64 {
    map.iter().map(|(_, count)| u64::from(*count)).sum()
}

/// Where the ranges of a map begin in this user namespace, and how many ids each has (user_namespaces(7)).
fn ranges(map: &str) -> Vec<(u32, u32)> {
    let text = chain::process::whole(map).unwrap_or_default();
    let range = |line: &str| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        <[u32; 3]>::try_from(numbers).ok().map(|[first, _, count]| (first, count))
    };
    String::from_utf8_lossy(&text).lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_of_a_user_counts() {
        let file = std::env::temp_dir().join(format!("isolate-subids-{}", std::process::id()));
        fs::write(&file, "isolated:1:1\nisolate:x:1\nisolate:100000:65536\nisolate:5:5\n").unwrap();
        let path = file.to_str().unwrap();
        assert_eq!(subordinate(path, "isolate").unwrap(), (100_000, 65536));
        assert!(subordinate(path, "nobody").unwrap_err().to_string().starts_with("subid_user: nobody is not in "));
        fs::write(&file, "0 1000 1\n10 100000 5\n").unwrap();
        let map = ranges(path);
        let known: Vec<bool> = [0, 1, 9, 10, 14, 15].into_iter().map(|id| is_mapped(&map, id)).collect();
        assert_eq!(known, [true, false, false, true, true, false]);
        assert_eq!(ids_in(&map), 6);
        fs::remove_file(&file).unwrap();
    }
}
