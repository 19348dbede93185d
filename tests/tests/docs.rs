//! No sentence in the docs that a test does not run: links lead somewhere, commands run, manuals are complete.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chainbox_tests::{Chain, Folder, Tier, busybox_or_skip, checkout, is_root, skip, sources, tool};

/// Every page of the docs.
fn pages() -> Vec<(PathBuf, String)> {
    let mut folders =
        vec![checkout(), checkout().join("docs"), checkout().join("docs/adr"), checkout().join("packaging")];
    let mut pages = vec![];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.filter(|path| path.extension().is_some_and(|end| end == "md")) {
            pages.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(pages.len() >= 10, "{} pages", pages.len());
    pages
}

/// The commands that stand in a page as indented code, continued lines joined, comments left out.
fn commands(page: &str) -> Vec<String> {
    let mut commands: Vec<String> = vec![];
    let mut goes_on = false;
    for line in page.lines().filter_map(|line| line.strip_prefix("    ")) {
        let (text, more) = line.strip_suffix('\\').map_or((line, false), |text| (text, true));
        let text = text.split("   # ").next().unwrap_or_default().trim();
        match commands.last_mut() {
            Some(last) if goes_on => *last = format!("{last} {text}"),
            _ => commands.push(text.to_owned()),
        }
        goes_on = more;
    }
    commands
}

#[test]
fn every_link_leads_to_a_file() {
    let mut count = 0;
    for (path, page) in pages() {
        for rest in page.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            count += 1;
            assert!(path.parent().unwrap().join(target).exists(), "{}: link to {target}", path.display());
        }
    }
    assert!(count >= 10, "{count} links");
}

/// Invariant 13. The lint is denied for the whole workspace; this is where it is opened.
#[test]
fn unsafe_is_opened_where_it_may_be() {
    let lint = ["unsafe", "code"].join("_");
    let all = sources(&checkout());
    assert!(all.len() > 100, "{} sources", all.len());
    let opened = all.iter().filter(|path| fs::read_to_string(path).unwrap().contains(&lint));
    let opened: Vec<_> = opened.map(|path| path.strip_prefix(checkout()).unwrap()).collect();
    let mut shipped = opened.iter().filter(|path| !path.starts_with("tests/src/bin"));
    assert_eq!(shipped.next(), Some(&Path::new("chain/src/sys.rs")), "{opened:?}");
    assert_eq!(shipped.next(), None, "{opened:?}");
}

#[test]
fn every_file_of_ours_that_is_named_exists() {
    let mut count = 0;
    for (path, page) in pages() {
        for name in page.split('`').skip(1).step_by(2) {
            let word = name.split_whitespace().next().unwrap_or_default();
            let ours = ["scripts/", "docs/", "tests/", "packaging/", ".ci/", "chain/"]
                .iter()
                .any(|start| word.starts_with(start));
            if ours && !word.contains(['*', '<', '{']) {
                count += 1;
                assert!(checkout().join(word).exists(), "{}: {word}", path.display());
            }
        }
    }
    assert!(count >= 5, "{count} names");
}

/// README's own line, run for real as an ordinary user would; without a cgroup it has the first link that DESIGN gives
/// for that case.
#[test]
fn the_chain_of_the_readme_runs() {
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    let line = commands(&readme).into_iter().find(|line| line.starts_with("cg-run ")).unwrap();
    let folder = Folder::new("readme", true);
    let cgroup =
        Chain::new("cg-run").args(["--check", "--memory", "512M", "--pids", "64", "--", "true"]).as_user().run();
    let line = if cgroup.code == 0 { line } else { line.replace("--memory 512M --pids 64", "--no-cgroup") };
    let out = Chain::shell(&line).as_user().at(folder.path()).run().ok();
    assert!(out.starts_with("uid=0"), "{out}");
    assert!(fs::read_to_string(folder.join("report.json")).unwrap().contains("\"verdict\":\"OK\""));
    for tool in chain::TOOLS.iter().skip(1) {
        assert!(line.contains(tool), "README's chain has {tool}");
    }
}

#[test]
fn every_chain_in_the_docs_can_be_explained() {
    let mut count = 0;
    let folder = Folder::new("docs", true);
    for (path, page) in pages() {
        for line in
            commands(&page).iter().filter(|line| chain::TOOLS.iter().any(|tool| line.starts_with(&format!("{tool} "))))
        {
            count += 1;
            let ran = Chain::shell(line)
                .env("CHAIN_EXPLAIN", "1")
                .env("HOME", folder.path())
                .as_user()
                .at(folder.path())
                .run();
            // Where a limit cannot be had on this machine, the tool says so instead of explaining what it cannot do.
            let unavailable = ran.err.contains("is not to be had");
            assert!(ran.code == 0 || unavailable, "{}: {line}: {ran:#?}", path.display());
        }
    }
    assert!(count >= 1, "{count} chains");
}

#[test]
fn every_script_in_the_docs_exists_and_knows_its_options() {
    let mut count = 0;
    for (path, page) in pages() {
        for line in commands(&page) {
            let Some(at) = line.find("scripts/") else { continue };
            let mut words = line[at..].split_whitespace();
            let script = checkout().join(words.next().unwrap());
            let mode =
                script.metadata().unwrap_or_else(|error| panic!("{}: {line}: {error}", path.display())).permissions();
            assert!(mode.mode() & 0o111 != 0, "{line}: executable");
            count += 1;
            let text = fs::read_to_string(&script).unwrap();
            for option in words.take_while(|word| *word != "--").filter(|word| word.starts_with("--")) {
                assert!(text.contains(option), "{}: {line}: {option}", path.display());
            }
        }
    }
    assert!(count >= 4, "{count} lines");
}

/// The pages that every tool prints, and what belongs into a manual.
#[test]
fn every_tool_prints_its_pages() {
    for name in chain::TOOLS {
        let page = |option: &str| Chain::new(name).args([option]).run().ok();
        assert!(page("--help").contains(name), "{name} --help");
        assert_eq!(page("--version"), format!("{name} {}\n", chain::VERSION));
        assert!(page("--features").contains(": "), "{name} --features");
        let manual = page("--man");
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "PROCESS MODEL",
            "EXIT STATUS",
            "EQUIVALENT",
            "EXAMPLES",
            "SECURITY",
        ] {
            assert!(manual.contains(&format!(".SH {section}\n")), "{name} --man: {section}");
        }
        for shell in ["bash", "zsh", "fish"] {
            let completion = Chain::new(name).args(["--completion", shell]).run().ok();
            assert!(completion.contains("explain"), "{name} --completion {shell}");
        }
    }
}

/// Every page: what it is called, and the prose that it is made of.
fn all_pages() -> Vec<(String, PathBuf)> {
    let prose = |name: &str, path: &str| (name.to_owned(), checkout().join(path));
    let tools = chain::TOOLS.map(|name| prose(name, &format!("{name}/src/manual.txt")));
    let others = [
        prose("chainbox", "chainbox/src/manuals/chainbox.txt"),
        prose("sandbox", "chainbox/src/manuals/sandbox.txt"),
        prose("chainbox-bwrap", "chainbox/src/fronts/bwrap/manual.txt"),
        prose("chainbox-isolate", "chainbox/src/fronts/isolate/manual.txt"),
        prose("chainbox-layers", "docs/layers.md"),
    ];
    tools.into_iter().chain(others).collect()
}

/// As a terminal shows it, and without a warning; examples and tables stand there as they were written.
#[test]
fn every_manual_page_is_rendered_as_it_was_written() {
    if Chain::shell("command -v groff").run().code != 0 {
        return skip(Tier::Machine, "every_manual_page_is_rendered_as_it_was_written", "no groff");
    }
    let folder = Folder::new("pages", false);
    for (name, prose) in all_pages() {
        let page = Chain::new("chainbox").args(["--man", &name]).run().ok();
        fs::write(folder.join(&name), page).unwrap();
        let groff = ["-ww", "-mandoc", "-Tutf8", "-P-cbou", "-rLL=200n"];
        let ran = Chain::program("groff").args(groff).args([folder.join(&name)]).run();
        assert_eq!(ran.err, "", "{name}");
        let shown: Vec<&str> = ran.out.lines().map(str::trim).collect();
        // Where a tab leads to is the terminal's.
        let words = |line: &str| line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let text = fs::read_to_string(prose).unwrap();
        let text = if name == "chainbox-layers" { text.replace('`', "") } else { text };
        let code: Vec<&str> = text.lines().filter(|line| line.starts_with("    ")).map(str::trim).collect();
        assert!(code.len() >= 2, "{name}: {code:?}");
        for line in code {
            let tabbed = line.contains('\t') && shown.iter().any(|shown| words(shown) == words(line));
            assert!(tabbed || shown.contains(&line), "{name}: {line}: {}", ran.out);
        }
        for heading in text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .filter(|line| line.starts_with(|c: char| c.is_uppercase()))
        {
            assert!(shown.contains(&heading), "{name}: {heading}: {}", ran.out);
        }
    }
    let unknown = Chain::new("chainbox").args(["--man", "mount-plam"]).run();
    unknown.fails(125, "--man mount-plam: no such page\nhint: did you mean mount-plan?");
}

#[test]
fn every_page_of_a_link_says_what_runs_without_a_program() {
    for name in chain::TOOLS {
        let page = plain(&Chain::new(name).args(["--man"]).run().ok());
        assert!(page.contains("Without PROG a shell"), "{name}");
    }
}

/// What a manual says of an option is found by the option's name, so a name that is no option's would be lost.
#[test]
fn every_heading_of_a_manual_is_on_the_page() {
    for name in chain::TOOLS {
        let manual = fs::read_to_string(checkout().join(name).join("src/manual.txt")).unwrap();
        let page = Chain::new(name).args(["--man"]).run().out;
        let text = plain(&page);
        let mut headings = 0;
        for part in manual.split("## ").skip(1) {
            let (heading, body) = part.split_once('\n').unwrap();
            let last = body.trim().lines().last().unwrap_or(heading);
            assert!(text.contains(heading) && text.contains(last), "{name}: {heading}: {last}");
            headings += 1;
        }
        assert!(headings >= 5, "{name}: {headings} headings");
    }
}

/// Text as roff shows it.
fn plain(text: &str) -> String {
    let marks =
        [("\\-", "-"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"), ("\\(ti", "~"), ("\\&", ""), ("\\e", "\\")];
    marks.iter().fold(text.to_owned(), |text, (mark, shown)| text.replace(mark, shown))
}

/// The examples of a manual: its lines as a shell takes them.
fn examples(manual: &str) -> Vec<String> {
    let section = manual.split(".SH EXAMPLES\n").nth(1).unwrap_or_default().split(".SH ").next().unwrap_or_default();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(plain).collect()
}

/// All of a tool's examples in one folder, as an ordinary user: the later ones may need the earlier. Those with sudo(8) in
/// front as root, where the test is.
#[test]
fn every_example_of_a_manual_runs() {
    for name in chain::TOOLS {
        let lines = examples(&Chain::new(name).args(["--man"]).run().ok());
        assert!(lines.len() >= 2, "{name}: {lines:?}");
        let folder = Folder::new(&format!("examples-{name}"), true);
        for line in lines {
            let privileged = line.strip_prefix("sudo ");
            let chain =
                Chain::shell(privileged.unwrap_or(&line)).env("HOME", folder.path()).env_remove("CHAINBOX_POOL");
            let chain = chain.at(folder.path());
            let ran = match privileged {
                Some(_) if !is_root() => continue,
                Some(_) => chain.run(),
                None => chain.as_user().run(),
            };
            assert!(!(125..=127).contains(&ran.code), "{name}: {line}: {ran:#?}");
        }
    }
}

/// ELF64: no program header of type PT_INTERP, and not a shared object (elf(5)).
#[test]
fn every_tool_is_one_static_file() {
    for name in chain::TOOLS {
        let bytes = fs::read(tool(name)).unwrap();
        let number = |at: usize, size: usize| {
            bytes[at..at + size].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        assert_eq!(&bytes[..5], b"\x7fELF\x02", "{name}");
        assert_eq!(number(16, 2), 2, "{name}: ET_EXEC");
        let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
        let kinds: Vec<usize> = (0..count).map(|n| number(table + n * size, 4)).collect();
        assert!(kinds.contains(&1) && !kinds.contains(&3) && !kinds.contains(&2), "{name}: {kinds:?}");
    }
}

#[test]
fn scripts_are_posix_shell_and_say_what_they_are() {
    let mut shells: Vec<Vec<PathBuf>> = vec![vec!["dash".into()]];
    shells.extend(busybox_or_skip("scripts_are_posix_shell").map(|busybox| vec![busybox, "sh".into()]));
    let mut count = 0;
    for entry in fs::read_dir(checkout().join("scripts")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/bin/sh\n# "), "{}: the first lines", path.display());
        for shell in &shells {
            let parsed = Chain::program(&shell[0]).args(&shell[1..]).args(["-n"]).args([Path::new(&path)]).run();
            assert_eq!((parsed.code, parsed.err.as_str()), (0, ""), "{shell:?} -n {}", path.display());
        }
    }
    assert!(count >= 4, "{count} scripts");
}
