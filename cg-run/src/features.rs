//! What this kernel and this place offer: `--features` and `--check`. Read-only.

use std::fs;
use std::path::Path;

use chain::show;

use crate::look::cgroup::Cgroup;
use crate::look::{self, Facts, Inhabitants};
use crate::model::leaf::DELEGATED;

/// Files of a cgroup that cg-run uses: name, since which Linux, what for.
const FILES: [(&str, &str, &str); 8] = [
    ("cgroup.kill", "5.14", "kill everything at once"),
    ("cgroup.freeze", "5.2", "taken away after a kill"),
    ("cpu.stat", "4.15", "CPU time, whatever the controllers"),
    ("cpu.pressure", "4.20", "pressure in the report"),
    ("memory.peak", "5.19", "most memory in the report"),
    ("memory.swap.peak", "6.5", "most swap in the report"),
    ("pids.peak", "6.1", "most processes in the report"),
    ("pids.events", "4.13", "failed forks in the report"),
];

/// Controllers with options of their own.
const CONTROLLERS: [&str; 5] = ["memory", "pids", "cpu", "cpuset", "io"];

/// `--features`: one finding a line.
pub fn features() -> String {
    match look::parent(None) {
        Ok(own) => format!("cgroup2: yes, {}\n{}{}", show(&own.path), controllers(&own), files(&own)),
        Err(error) => format!("cgroup2: no, {error:#}\n"),
    }
}

fn controllers(own: &Cgroup) -> String {
    let text = own.read_if_there("cgroup.controllers").unwrap_or_default();
    let there: Vec<&str> = text.split_whitespace().collect();
    let others =
        there.iter().filter(|name| !CONTROLLERS.contains(name)).map(|name| format!("controller {name}: yes\n"));
    let known = CONTROLLERS.iter().map(|name| {
        format!("controller {name}: {}\n", if there.contains(name) { "yes" } else { "no, not in this cgroup" })
    });
    known.chain(others).collect()
}

/// The root has none of most files, so a child of it is looked at where there is one.
fn files(own: &Cgroup) -> String {
    let sample = if own.read_if_there("cgroup.type").is_some() { None } else { any_child(own) };
    let sample = sample.as_ref().unwrap_or(own);
    let is_root = sample.read_if_there("cgroup.type").is_none();
    FILES
        .iter()
        .map(|(name, since, purpose)| format!("{name}: {}, Linux {since}, {purpose}\n", answer(sample, is_root, name)))
        .collect()
}

fn any_child(own: &Cgroup) -> Option<Cgroup> {
    own.children().ok()?.first().and_then(|name| own.child(name).ok())
}

fn answer(sample: &Cgroup, is_root: bool, name: &str) -> &'static str {
    match (Path::new(&sample.path).join(name).exists(), is_root) {
        (true, _) => "yes",
        (false, true) => "not seen (only the root cgroup to look at)",
        (false, false) => "no, not in this cgroup",
    }
}

/// `--check`: the place, and for each controller whether and how it can be had.
pub fn checked(facts: &Facts) -> String {
    let facts = &Facts { on_v1: look::on_v1(), ..facts.clone() };
    let head = format!("parent: {}, yours to write\n", show(&facts.parent));
    let mut names: Vec<&str> = CONTROLLERS.to_vec();
    names.extend(facts.available.iter().map(String::as_str).filter(|name| !CONTROLLERS.contains(name)));
    names.iter().fold(head, |text, name| format!("{text}{name}: {}\n", prospect(name, facts)))
}

fn prospect(name: &str, facts: &Facts) -> String {
    let has = |list: &[String]| list.iter().any(|known| known == name);
    if has(&facts.enabled) {
        return "yes".into();
    }
    if !has(&facts.available) {
        return format!("no: {}", facts.way_to(name));
    }
    match facts.inhabitants {
        Inhabitants::None => "yes, cg-run enables it".into(),
        Inhabitants::Movable => "yes, cg-run moves what is in the parent aside and enables it".into(),
        Inhabitants::Others => {
            "no: other processes are in the parent (no-internal-process rule): name a --parent without processes, or --move-callers".into()
        }
        Inhabitants::Systemds => format!("no: systemd has not delegated it: {DELEGATED}"),
    }
}

/// Whether swap is in use on this machine, for `--check`.
pub fn swap() -> String {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() > 1 { "swap: in use; --memory allows none of it\n" } else { "swap: none\n" }.into()
}
