//! Directory rules: what is where in the box.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use chain::{Requested, Result, refusal, show};

use super::super::table::Key;
use super::values::halves;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The path in the box, from its root.
    pub inside: PathBuf,
    pub shown: Shown,
    pub options: Vec<RuleOption>,
}

/// What is shown there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// What the caller has at this path.
    Outside(PathBuf),
    /// What the folder of the box has at this path.
    OfTheBox(PathBuf),
    /// A file system that needs no device.
    System(&'static str),
    /// An empty directory that the program may write to.
    Fresh,
    /// A minimal /dev: what the default rule has become.
    Devices,
}

/// An option of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleOption {
    Write,
    Devices,
    NoExec,
    Maybe,
    System,
    Fresh,
    NotBelow,
}

const OPTIONS: [(&str, RuleOption); 7] = [
    ("rw", RuleOption::Write),
    ("dev", RuleOption::Devices),
    ("noexec", RuleOption::NoExec),
    ("maybe", RuleOption::Maybe),
    ("fs", RuleOption::System),
    ("tmp", RuleOption::Fresh),
    ("norec", RuleOption::NotBelow),
];

/// The file systems that a rule can have.
const SYSTEMS: [&str; 4] = ["proc", "sysfs", "tmpfs", "devpts"];

/// The default rules, as one would write them.
const DEFAULTS: [&str; 8] = ["box=./box:rw", "bin", "dev:dev", "lib", "lib64:maybe", "proc=proc:fs", "tmp:tmp", "usr"];

/// The rules, in the order in which they act.
pub fn all(options: &[Requested<Key>]) -> Result<Vec<Rule>> {
    let mut rules = vec![];
    if !options.iter().any(|option| option.key == Key::NoDefaultDirs) {
        for text in DEFAULTS {
            apply(&mut rules, OsStr::new(text))?;
        }
        let device = |rule: &&mut Rule| rule.inside == Path::new("/dev");
        rules.iter_mut().filter(device).for_each(|rule| (rule.shown, rule.options) = (Shown::Devices, vec![]));
    }
    let mut said = options.iter().filter(|option| option.key == Key::Dir);
    said.try_for_each(|option| apply(&mut rules, option.value(0)))?;
    Ok(rules)
}

/// A rule for the same path takes the place of an earlier one; one without anything takes that away.
fn apply(rules: &mut Vec<Rule>, text: &OsStr) -> Result<()> {
    let (inside, rule) = parsed(text)?;
    let before = rules.iter().position(|known| known.inside == inside);
    match (rule, before) {
        (Some(rule), Some(at)) => rules.splice(at..=at, [rule]).for_each(drop),
        (Some(rule), None) => rules.push(rule),
        (None, Some(at)) => drop(rules.remove(at)),
        (None, None) => {}
    }
    Ok(())
}

fn parsed(text: &OsStr) -> Result<(PathBuf, Option<Rule>)> {
    let refused = |why: &str| refusal!("--dir {}: {why}", show(text));
    let mut parts = text.as_bytes().split(|byte| *byte == b':');
    let paths = parts.next().unwrap_or_default();
    let options = parts
        .map(|word| OPTIONS.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, option)| *option))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| refused("an option that is none of rw, dev, noexec, maybe, fs, tmp, norec"))?;
    let (inside, outside) = halves(paths);
    let outside = outside.map(OsStr::from_bytes);
    let name = OsStr::from_bytes(inside);
    let inside = in_box(name, "");
    if inside == Path::new("/") || climbs(&inside) {
        return Err(refused("no place below the root of the box"));
    }
    if outside == Some(OsStr::new("")) {
        return if options.is_empty() { Ok((inside, None)) } else { Err(refused("options of a rule that is removed")) };
    }
    let has = |option| options.contains(&option);
    let shown = match (has(RuleOption::System), has(RuleOption::Fresh), outside) {
        (true, true, _) => return Err(refused("fs and tmp exclude each other")),
        (true, false, outside) => Shown::System(system(outside.unwrap_or(name)).map_err(|why| refused(&why))?),
        (false, true, None) => Shown::Fresh,
        (false, true, Some(_)) => return Err(refused("tmp takes no path outside")),
        (false, false, None) => Shown::Outside(inside.clone()),
        (false, false, Some(path)) => bound(path).ok_or_else(|| refused("outside: / or ./ first, and no .."))?,
    };
    Ok((inside.clone(), Some(Rule { inside, shown, options })))
}

fn system(name: &OsStr) -> Result<&'static str, String> {
    let found = SYSTEMS.into_iter().find(|known| name == *known);
    found.ok_or_else(|| format!("{}: none of {}", show(name), SYSTEMS.join(", ")))
}

fn bound(path: &OsStr) -> Option<Shown> {
    let path = Path::new(path);
    if climbs(path) {
        return None;
    }
    match path.strip_prefix("./") {
        Ok(path) => Some(Shown::OfTheBox(path.to_owned())),
        Err(_) if path.is_absolute() => Some(Shown::Outside(path.to_owned())),
        Err(_) => None,
    }
}

fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// A path in the box, from its root, without `.`; a relative one begins at `base`.
pub fn in_box(word: &OsStr, base: &str) -> PathBuf {
    Path::new("/").join(base).join(word).components().filter(|part| *part != Component::CurDir).collect()
}
