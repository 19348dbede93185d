//! One layout in all six tools: the same rooms, and imports only from the rooms to the left (docs/ARCHITECTURE.md).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chainbox_tests::{checkout, sources};

/// The rooms of a tool, each importing only from those before it. `features` stands beside `look`: only lib takes it.
const ROOMS: [&str; 10] = ["model", "table", "args", "step", "look", "features", "plan", "hints", "apply", "lib"];

/// The modules of chain, likewise.
const CHAIN: [&str; 24] = [
    "sys",
    "text",
    "failure",
    "values",
    "open",
    "table",
    "parse",
    "pages",
    "completion",
    "fault",
    "message",
    "privilege",
    "start",
    "process",
    "machine",
    "terminal",
    "wait",
    "wipe",
    "in_process",
    "elf",
    "payload",
    "next",
    "step",
    "lib",
];

/// A file of a crate by its modules: `["apply", "overlay"]`; `lib` for the root.
type Module = Vec<String>;

/// The files of a crate, each with the modules that it imports from.
fn arrows(krate: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let src = krate.join("src");
    let files: Vec<PathBuf> = sources(&src);
    let modules: Vec<Module> = files.iter().map(|file| module(&src, file)).collect();
    let imports = |(file, own): (&PathBuf, &Module)| {
        let text = fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let code: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
        let paths = paths(&code.join(" "), own).into_iter();
        let found = paths.filter_map(|path| longest(&modules, &path)).filter(|other| other != own).collect();
        (own.clone(), found)
    };
    files.iter().zip(&modules).filter(|(_, own)| !is_test(own)).map(imports).collect()
}

fn is_test(module: &Module) -> bool {
    module.last().is_some_and(|name| name.ends_with("tests") || name == "fuzz")
}

fn module(src: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    path.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// The module paths that code names: by `crate::`, and by `super::` or `self::` from its own place.
fn paths(code: &str, own: &Module) -> Vec<Module> {
    let mut found = vec![];
    for (at, _) in code.match_indices("::") {
        let start = code[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |n| n + 1);
        let base = match &code[start..at] {
            "crate" => vec![],
            "self" => own.clone(),
            "super" => own[..own.len() - 1].to_vec(),
            _ => continue,
        };
        found.extend(heads(&code[at + 2..]).into_iter().map(|tail| [base.clone(), tail].concat()));
    }
    found
}

/// What follows `crate::`: one path, or several in braces.
fn heads(rest: &str) -> Vec<Module> {
    let Some(list) = rest.strip_prefix('{') else { return vec![names(rest)] };
    let mut depth = 0;
    let ends = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth < 0
    };
    let list = list.split(ends).next().unwrap_or_default();
    let mut depth = 0;
    let separates = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c == ','
    };
    list.split(separates).map(|path| names(path.trim())).collect()
}

/// The names of a path, up to the end of the first that does not go on with `::`.
fn names(path: &str) -> Module {
    let mut found = vec![];
    for part in path.split("::") {
        found.extend(Some(word(part).to_owned()).filter(|name| !name.is_empty()));
        if word(part) != part {
            break;
        }
    }
    found
}

fn word(text: &str) -> &str {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// The file that a path leads into: what follows its modules are items.
fn longest(modules: &[Module], path: &Module) -> Option<Module> {
    (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|path| modules.contains(path))
}

/// Imports go to the left: between rooms by the list, between the files of one room without a circle.
fn check(krate: &str, rooms: &[&str]) -> Vec<String> {
    let arrows = arrows(&checkout().join(krate));
    assert!(arrows.len() >= 8, "{krate}: {} files", arrows.len());
    let rank = |module: &Module| rooms.iter().position(|room| *room == module[0]);
    let mut wrong = vec![];
    for (from, to) in &arrows {
        if from[0] == "main" {
            continue;
        }
        let Some(own) = rank(from) else {
            wrong.push(format!("{krate}: {} is no room", from.join("/")));
            continue;
        };
        for other in to {
            let named = format!("{krate}: {} imports from {}", from.join("/"), other.join("/"));
            match rank(other) {
                Some(rank) if rank > own => wrong.push(format!("{named}, which is to its right")),
                Some(_) if other[0] == "features" && from[0] != "lib" && own != rank(other).unwrap() => {
                    wrong.push(format!("{named}, which is for lib alone"));
                }
                Some(_) if from[0] == other[0] && reaches(&arrows, other, from) => {
                    wrong.push(format!("{named}: a circle"))
                }
                _ => {}
            }
        }
    }
    wrong
}

fn reaches(arrows: &BTreeMap<Module, BTreeSet<Module>>, from: &Module, to: &Module) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            open.extend(arrows.get(module).into_iter().flatten());
        }
    }
    false
}

#[test]
fn imports_go_to_the_left() {
    let tools = chain::TOOLS.iter().flat_map(|tool| check(tool, &ROOMS));
    let wrong: Vec<String> = check("chain", &CHAIN).into_iter().chain(tools).collect();
    assert!(wrong.is_empty(), "{} arrows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_tool_has_every_room() {
    for tool in chain::TOOLS {
        for room in ROOMS.iter().chain(&["main"]) {
            let src = checkout().join(tool).join("src");
            assert!(src.join(format!("{room}.rs")).exists(), "{tool} has no src/{room}.rs");
        }
    }
}

#[test]
fn an_arrow_to_the_right_is_seen() {
    let own = vec!["look".to_owned(), "maps".to_owned()];
    let to = |line| paths(line, &own).into_iter().map(|path| path.join("/")).collect::<Vec<_>>();
    assert_eq!(to("use crate::plan::steps;"), ["plan/steps"]);
    assert_eq!(to("use crate::{apply, plan::{Plan, Goal}, step};"), ["apply", "plan", "step"]);
    assert_eq!(to("    let it = super::files::open(crate::apply::now());"), ["look/files/open", "apply/now"]);
    assert_eq!(to("use std::fs::File;"), [] as [&str; 0]);
}

/// Files of the six tools and of chain that a stranger can read in one sitting. Functions are bounded by clippy.toml.
#[test]
fn no_file_is_long() {
    let crates = chain::TOOLS.iter().chain(&["chain", "chainbox"]);
    let files: Vec<PathBuf> = crates.flat_map(|krate| sources(&checkout().join(krate).join("src"))).collect();
    assert!(files.len() > 100, "{} files", files.len());
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 350, "{}: {lines} lines", file.display());
    }
}
