//! The configuration file: `KEY = VALUE`, a line each.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use chain::values::{id, integer, processors};
use chain::{Result, refusal, show};

/// What stands in it, or is so without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub box_root: Option<PathBuf>,
    pub lock_root: Option<PathBuf>,
    /// `auto:FILE`: what that file has.
    pub cg_root: Option<String>,
    pub first_uid: Option<u32>,
    pub first_gid: Option<u32>,
    pub num_boxes: Option<u32>,
    /// Whose subordinate ids the boxes have, instead of those from first_uid.
    pub subid_user: Option<String>,
    pub restricted_init: bool,
    pub syscall_flags: Option<u32>,
    /// Of one box each: processors, and memory nodes.
    pub boxes: Vec<(u32, Part, String)>,
}

/// What a box is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Cpus,
    Mems,
}

impl Config {
    pub fn parse(name: &Path, text: &str) -> Result<Self> {
        let mut config = Self::default();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
            let taken = pair.ok_or("not KEY = VALUE".to_owned()).and_then(|(key, value)| config.take(key, value));
            taken.map_err(|why| refusal!("{}:{}: {why}", show(name), n + 1))?;
        }
        if config.subid_user.is_some() && (config.first_uid.is_some() || config.first_gid.is_some()) {
            return Err(refusal!("{}: subid_user and first_uid exclude each other", show(name)));
        }
        Ok(config)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |form: &str| format!("{key} = {}: not {form}", show(value));
        let path = || Some(PathBuf::from(value)).filter(|path| path.is_absolute()).ok_or_else(|| wrong("a path"));
        let number = || integer(OsStr::new(value)).ok_or_else(|| wrong("a number"));
        let one_id = || id(OsStr::new(value)).ok_or_else(|| wrong("an id"));
        match key {
            "box_root" => self.box_root = Some(path()?),
            "lock_root" => self.lock_root = Some(path()?),
            "cg_root" if Path::new(value.trim_start_matches("auto:")).is_absolute() => {
                self.cg_root = Some(value.to_owned());
            }
            "cg_root" => return Err(wrong("a path, or auto: and a path")),
            "first_uid" => self.first_uid = Some(one_id()?),
            "first_gid" => self.first_gid = Some(one_id()?),
            "num_boxes" => self.num_boxes = Some(number()?),
            "subid_user" => self.subid_user = Some(value.to_owned()),
            "restricted_init" => self.restricted_init = number()? > 0,
            "syscall_flags" => self.syscall_flags = Some(number()?),
            _ => self.boxes.push(of_box(key, value).ok_or_else(|| format!("{}: no key", show(key)))??),
        }
        Ok(())
    }

    pub fn of_box(&self, number: u32, part: Part) -> Option<&str> {
        self.boxes.iter().rev().find(|(n, known, _)| (*n, *known) == (number, part)).map(|(_, _, list)| list.as_str())
    }
}

/// `boxN.cpus` and `boxN.mems`; `None` where it is neither.
fn of_box(key: &str, value: &str) -> Option<Result<(u32, Part, String), String>> {
    let (number, part) = key.strip_prefix("box")?.split_once('.')?;
    let part = match part {
        "cpus" => Part::Cpus,
        "mems" => Part::Mems,
        _ => return None,
    };
    let number = integer(OsStr::new(number))?;
    let is_list = processors(value).is_some() && !value.contains(':');
    Some(if is_list { Ok((number, part, value.to_owned())) } else { Err(format!("{key} = {}: no list", show(value))) })
}
