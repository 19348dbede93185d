//! `chainbox` by its own name: the manual pages and the completions of all that is in the file, and of what is installed with
//! it. `manuals/` has the prose that stands nowhere else.

use std::ffi::OsString;

use chain::completion::{self, Choice, Kind, Syntax, kind};
use chain::pages::{self, Page, Row};
use chain::parse::parse_foreign;
use chain::text::meant;
use chain::{Flag, Hint as _, Result, Table, VERSION, message, refusal, show};

use crate::{TOOLS, fronts};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Man,
    Completion,
    Help,
    Version,
}

const TABLE: Table<Key> = Table {
    tool: "chainbox",
    summary: "six tools of a sandbox in one file",
    manual: include_str!("manuals/chainbox.txt"),
    flags: &[
        Flag::new(Key::Man, "man", "print the manual page of NAME, which stands behind it; without NAME this one"),
        Flag::new(Key::Completion, "completion", "print completions of all tools for that shell")
            .takes(&["bash|zsh|fish"]),
        Flag::new(Key::Help, "help", "print this help").short('h'),
        Flag::new(Key::Version, "version", "print the version").short('V'),
    ],
};

/// What `chainbox --completion` completes: not the fronts, whose names are other programs'.
const COMMANDS: [&str; 8] =
    ["chainbox", "sandbox", "zfs-pool", "cg-run", "ns-unshare", "rlimit-exec", "mount-plan", "seccomp-exec"];

/// The course, and the script whose usage is its manual.
const LAYERS: &str = include_str!("../../docs/layers.md");
const SANDBOX: &str = include_str!("../../scripts/sandbox");

/// The words behind `chainbox`, the first of which names no tool.
pub fn run(words: Vec<OsString>) -> Result<u8> {
    let cli = parse_foreign(&TABLE, words)?;
    let name = cli.prog.first().map_or("chainbox".into(), |name| name.to_string_lossy());
    let Some(asked) = cli.requested.first() else { return no_tool(&cli.prog) };
    let text = match asked.key {
        Key::Man => match TOOLS.iter().find(|(tool, _)| *tool == name) {
            Some((_, run)) => return run(vec!["--man".into()]),
            None => page(&name)?,
        },
        Key::Completion => completion::script(asked.value(0), &COMMANDS, &syntaxes())?,
        Key::Help => format!(
            "usage: chainbox TOOL [ARGUMENT]...\n       chainbox OPTION\n\n{}\nTOOL is one of {}\n",
            pages::options(&TABLE),
            names().join(", ")
        ),
        Key::Version => format!("chainbox {VERSION}\n"),
    };
    message::print(&text).map(|()| 0)
}

/// The names of tools and fronts.
fn names() -> Vec<&'static str> {
    TOOLS.iter().chain(&fronts::FRONTS).map(|(name, _)| *name).collect()
}

fn no_tool(prog: &[OsString]) -> Result<u8> {
    let usage = "usage: chainbox TOOL [ARGUMENT]..., or link the name of a tool to this file";
    let usage = format!("{usage}: {}", TOOLS.map(|(tool, _)| tool).join(", "));
    let hint = prog.first().map_or(usage.clone(), |word| meant(word, names(), &usage));
    Err(refusal!("this name is none of the tools in this file").hint(hint))
}

/// A manual page that is no tool's.
fn page(name: &str) -> Result<String> {
    Ok(match name.strip_prefix("chainbox-").unwrap_or(name) {
        "chainbox" => pages::man_foreign("chainbox", "TOOL [ARGUMENT]...", &TABLE),
        "bwrap" => fronts::bwrap::man(),
        "isolate" => fronts::isolate::man(),
        "sandbox" => sandbox(),
        "layers" => layers(),
        _ => {
            let known: Vec<_> = names().into_iter().chain(["chainbox", "sandbox", "layers"]).collect();
            return Err(refusal!("--man {}: no such page", show(name)).hint(meant(
                name,
                known.iter().copied(),
                &format!("there are: {}", known.join(", ")),
            )));
        }
    })
}

fn syntaxes() -> Vec<Syntax> {
    let tools = [
        Syntax::of(&cg_run::table::TABLE),
        Syntax::of(&ns_unshare::table::TABLE),
        Syntax::of(&rlimit_exec::table::TABLE),
        Syntax::of(&mount_plan::table::TABLE),
        Syntax::of(&seccomp_exec::table::TABLE),
    ];
    let verbs = names().into_iter().map(ToOwned::to_owned).collect();
    let own = Syntax { operands: vec![Kind::Verb(verbs)], ..Syntax::foreign(&TABLE) };
    let options = usage().0.iter().flat_map(choices).collect();
    let sandbox = Syntax { name: "sandbox".into(), options, operands: vec![Kind::Program] };
    tools.into_iter().chain(zfs_pool::syntaxes()).chain(fronts::syntaxes()).chain([own, sandbox]).collect()
}

/// The options in the usage of `scripts/sandbox`, and the lines behind them.
fn usage() -> (Vec<Row>, String) {
    let (mut rows, mut rest) = (Vec::<Row>::new(), String::new());
    let text = SANDBOX.split("cat <<END\n").nth(1).and_then(|text| text.split("\nEND\n").next()).unwrap_or_default();
    for line in text.lines().skip(1) {
        if let Some(option) = line.strip_prefix("  --") {
            let (names, help) = option.split_once("  ").unwrap_or((option, ""));
            rows.push(Row { long: String::new(), names: format!("--{names}"), help: help.trim().to_owned() });
        } else if let (Some(more), Some(row)) = (line.strip_prefix("    "), rows.last_mut()) {
            row.help = format!("{} {}", row.help, more.trim()).trim().to_owned();
        } else {
            rest = format!("{rest}{line}\n");
        }
    }
    rows.iter_mut().for_each(|row| row.help = row.help.trim_end_matches('.').to_owned());
    (rows, rest)
}

/// `--diff NAME, --drop NAME`: two.
fn choices(row: &Row) -> Vec<Choice> {
    let one = |option: &str| {
        let mut words = option.split(' ').map(ToOwned::to_owned);
        Choice {
            names: words.next().into_iter().collect(),
            values: words.map(|word| (word.clone(), kind(&word))).collect(),
            joined: false,
            repeats: row.help.contains("repeatable"),
            help: row.help.clone(),
        }
    };
    row.names.split(", ").map(one).collect()
}

fn sandbox() -> String {
    let (rows, about) = usage();
    let manual = format!("{about}\n{}", include_str!("manuals/sandbox.txt"));
    let summary = "run a command in a fresh box, with the current directory as a private copy";
    let synopsis = "[OPTION]... [--] [COMMAND [ARGUMENT]...]";
    Page { name: "sandbox", section: 1, summary, synopsis, manuals: &[&manual] }.man(&rows)
}

/// The course as a manual page: a lesson is a section.
fn layers() -> String {
    let text = LAYERS.split_once("\n\n").map_or(LAYERS, |(_, text)| text);
    let manual = text.replace("\n## ", "\n## LESSON ").replace('`', "");
    let summary = "a course on the layers of a sandbox, one by one";
    Page { name: "chainbox-layers", section: 7, summary, synopsis: "", manuals: &[&manual] }.man(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_the_sandbox_is_read_whole() {
        let (rows, rest) = usage();
        let words = rows.iter().flat_map(choices).map(|choice| choice.names.concat()).collect::<Vec<_>>();
        for option in ["--rw", "--keep", "--cpu-time", "--wall-time", "--list", "--drop"] {
            assert!(words.contains(&option.to_owned()), "{option}: {words:?}");
        }
        assert!(rows.iter().all(|row| !row.help.is_empty()) && rest.contains("CHAIN_EXPLAIN=1"), "{rows:?} {rest}");
        let keep = rows.iter().find(|row| row.names == "--keep NAME").unwrap();
        assert!(keep.help.ends_with("memory and end with the box"), "{keep:?}");
    }

    #[test]
    fn there_is_a_page_for_every_name_that_is_no_tool() {
        for name in ["chainbox", "bwrap", "chainbox-isolate", "sandbox", "layers"] {
            let page = page(name).unwrap();
            assert!(page.starts_with(".TH ") && page.contains(".SH DESCRIPTION\n"), "{name}: {page}");
        }
        assert!(page("layers").unwrap().contains(".SH LESSON 14. Asking instead of doing\n"));
        assert!(page("nothing").is_err());
    }

    #[test]
    fn completion_knows_all_of_them() {
        let known = syntaxes();
        for name in COMMANDS.into_iter().chain(["bwrap", "isolate", "zfs-pool run"]) {
            assert!(known.iter().any(|syntax| syntax.name == name), "{name}");
        }
    }
}
