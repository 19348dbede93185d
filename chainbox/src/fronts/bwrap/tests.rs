use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use chain::{Failure, Result};

use super::args::places::{effective, made};
use super::args::{Line, line};
use super::look::Facts;
use super::plan::chain;
use super::table::TABLE;
use crate::fronts::chain::Chain;

/// Words of a shell line: plain ones, in single quotes, and behind a backslash.
pub fn split(line: &str) -> Vec<OsString> {
    let (mut words, mut word, mut quoted) = (vec![], None::<String>, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if !quoted => word.get_or_insert_default().extend(chars.next()),
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\n' if !quoted => words.extend(word.take().map(OsString::from)),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.map(OsString::from));
    words
}

/// A caller, and what `--args` finds on which descriptor.
#[derive(Default)]
struct World {
    facts: Facts,
    held: BTreeMap<RawFd, Vec<u8>>,
}

impl World {
    fn user() -> Self {
        let facts = Facts { uid: 1000, gid: 1000, cwd: Some("/".into()), ..Facts::default() };
        Self { facts, ..Self::default() }
    }

    /// What a line of a test says about it: `root`, `lacks CAPABILITY`, `cwd /work`, `home /home/u`, `missing PATH`, `open N`, `directory N`,
    /// `tty PATH`, `args N WORDS`.
    fn with(mut self, words: &str) -> Self {
        let (name, value) = words.split_once(' ').unwrap_or((words, ""));
        let facts = &mut self.facts;
        match name {
            "root" => (facts.uid, facts.gid) = (0, 0),
            "lacks" => facts.lacking.push(value.to_owned()),
            "cwd" => facts.cwd = (!value.is_empty()).then(|| value.into()),
            "home" => facts.home = Some(value.into()),
            "missing" => drop(facts.missing.insert(value.into(), value.ends_with('/'))),
            "open" => facts.open.push(value.parse().unwrap()),
            "directory" => {
                facts.open.push(value.parse().unwrap());
                facts.directories.push(value.parse().unwrap());
            }
            "tty" => facts.terminal = Some(value.into()),
            "args" => {
                let (fd, words) = value.split_once(' ').unwrap();
                let words: Vec<Vec<u8>> = split(words).into_iter().map(OsString::into_vec).collect();
                self.held.insert(fd.parse().unwrap(), words.join(&0));
            }
            _ => panic!("{words}"),
        }
        self
    }

    fn chain(&self, words: Vec<OsString>) -> Result<Chain> {
        let mut read = |fd: RawFd| {
            let data = self.held.get(&fd).cloned();
            data.ok_or_else(|| Failure::call(&format!("--args {fd}: read"), nix::errno::Errno::EBADF).into())
        };
        let Line::Box(request) = line(words, &mut read)? else { panic!("a page") };
        let mut facts = self.facts.clone();
        facts.open.extend(request.descriptors().into_iter().map(|(_, fd)| fd));
        // Only what is asked for is looked at.
        let made = made(&effective(&request));
        facts.missing.retain(|path, _| made.contains(&Some(path.clone())));
        chain(&request, &facts)
    }

    fn links(&self, options: &str) -> Vec<String> {
        let words = [split(options), vec!["true".into()]].concat();
        let chain = self.chain(words).unwrap_or_else(|error| panic!("{options}: {error:#}"));
        let text = String::from_utf8(chain.text()).unwrap();
        let mut links: Vec<String> = text.split(" -- \\\n    ").map(str::to_owned).collect();
        assert_eq!(links.pop().as_deref(), Some("true"));
        let script = String::from_utf8(chain.script()).unwrap();
        let (environment, _) = script.split_once(" \\\n").unwrap();
        let environment = environment.strip_prefix("#!/bin/sh\nexec ").unwrap();
        links.splice(0..0, (environment != "env CHAIN_AS=bwrap:1").then(|| environment.to_owned()));
        links
    }
}

fn refused(options: &str) -> String {
    let world = World::user();
    format!("{:#}", world.chain([split(options), vec!["true".into()]].concat()).unwrap_err())
}

/// A row of the table of options in docs/fronts.md: who calls, the options, and the links that become others by them.
#[test]
fn the_table_of_options_is_what_happens() {
    let docs = include_str!("../../../../docs/fronts.md");
    let section = docs.split("\n## ").find(|section| section.starts_with("bwrap: what each option becomes")).unwrap();
    let rows: Vec<Vec<&str>> = section.lines().filter_map(row).collect();
    let mut right = String::new();
    let mut named = vec![];
    for row in &rows {
        let options = row[0].trim_matches('`');
        named.extend(options.split_whitespace().filter_map(|word| word.strip_prefix("--")));
        let caller = || row[1].split("; ").filter(|fact| !fact.is_empty()).fold(World::user(), World::with);
        let usual = caller().links("");
        let links = caller().links(options);
        let others: Vec<String> =
            links.iter().filter(|link| !usual.contains(link)).map(|link| format!("`{link}`")).collect();
        right.push_str(&format!("| {} | {} | {} |\n", row[0], row[1], others.join("<br>")));
    }
    for flag in TABLE.flags {
        let is_page = ["help", "version", "exec-label", "file-label"].contains(&flag.long);
        assert!(is_page || named.contains(&flag.long), "--{} has no row", flag.long);
    }
    assert!(docs.contains(&right), "the table should be\n{right}");
}

/// The cells of a line of a table whose first begins with an option.
pub fn row(line: &str) -> Option<Vec<&str>> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").map(str::trim).collect();
    cells[0].starts_with("`--").then_some(cells)
}

/// Command lines of the manual, of the demos and of callers, each with its chain: what stands there is what happens.
#[test]
fn whole_command_lines_become_whole_chains() {
    let text = include_str!("lines.txt");
    let blocks: Vec<String> = text.trim_end().split("\n\n").map(with_chain).collect();
    let right = blocks.join("\n\n") + "\n";
    assert!(text == right, "the file should be\n{right}");
    let count = blocks.iter().filter(|block| block.contains("\n  = seccomp-exec ")).count();
    assert!(count >= 50, "{count} lines");
}

/// A block with the chain that its line becomes.
fn with_chain(block: &str) -> String {
    let said: Vec<&str> = block.lines().filter(|line| !line.starts_with("  = ")).collect();
    let line: Vec<&str> = said.iter().copied().filter(|line| !line.starts_with(['#', '@'])).collect();
    let Some(options) = line.join("\n").strip_prefix("bwrap ").map(split) else { return block.to_owned() };
    let world = World::user().with("cwd /work").with("home /home/u");
    let world = said.iter().filter_map(|line| line.strip_prefix("@ ")).fold(world, World::with);
    let chain = world.chain(options).unwrap_or_else(|error| panic!("{line:?}: {error:#}"));
    let script = String::from_utf8(chain.script()).unwrap();
    let script = script.strip_prefix("#!/bin/sh\nexec ").unwrap().replace(" \\\n    ", "\n");
    let links = script.trim_end().split('\n').map(|link| format!("  = {link}"));
    said.iter().map(|&line| line.to_owned()).chain(links).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (options, text) in [
        ("--no-such", "unknown option --no-such"),
        ("-x", "unknown option -x"),
        ("--uid -1", "--uid -1: not a number from 0 to 4294967294"),
        ("--uid 4294967295", "--uid 4294967295: not a number from 0 to 4294967294"),
        ("--gid 99999999999999999999", "--gid 99999999999999999999: not a number from 0 to 4294967294"),
        ("--perms 8 --dir /a", "--perms 8: not an octal mode up to 7777"),
        ("--perms 10000 --dir /a", "--perms 10000: not an octal mode up to 7777"),
        ("--perms '' --dir /a", "--perms '': not an octal mode up to 7777"),
        ("--perms 700 --perms 700 --dir /a", "--perms is given twice for one operation"),
        ("--perms 700 --bind /a /b", "--perms: --file, --bind-data, --ro-bind-data, --dir or --tmpfs must follow"),
        ("--perms 700", "--perms: --file, --bind-data, --ro-bind-data, --dir or --tmpfs must follow"),
        (
            "--size 18446744073709551616 --tmpfs /a",
            "--size 18446744073709551616: not a number of bytes from 1 to 9223372036854775807",
        ),
        ("--size 0 --tmpfs /a", "--size 0: not a number of bytes from 1 to 9223372036854775807"),
        ("--size -1 --tmpfs /a", "--size -1: not a number of bytes from 1 to 9223372036854775807"),
        ("--size 1 --size 1 --tmpfs /a", "--size is given twice for one operation"),
        ("--size 1 --dir /a", "--size: --tmpfs must follow"),
        ("--overlay-src /a --bind /a /b", "--overlay-src: --overlay, --tmp-overlay or --ro-overlay must follow"),
        ("--overlay-src /a", "--overlay-src: --overlay, --tmp-overlay or --ro-overlay must follow"),
        ("--tmp-overlay /a", "--tmp-overlay: needs --overlay-src before it, 1 at least"),
        ("--overlay-src /a --ro-overlay /b", "--ro-overlay: needs --overlay-src before it, 2 at least"),
        ("--chmod 9 /a", "--chmod 9: not an octal mode up to 7777"),
        ("--file x /a", "--file x: not a descriptor number"),
        ("--info-fd -1", "--info-fd -1: not a descriptor number"),
        ("--setenv '' x", "--setenv '': not the name of a variable"),
        ("--setenv CHAIN_EXPLAIN 1", "--setenv CHAIN_EXPLAIN: that is for the links"),
        ("--setenv CHAIN_FAULT 1", "--setenv CHAIN_FAULT: that is for the links"),
        ("--unsetenv a=b", "--unsetenv a=b: not the name of a variable"),
        ("--cap-add cap_nothing", "--cap-add cap_nothing: no capability"),
        ("--argv0 a --argv0 b", "--argv0 is given twice"),
        ("--exec-label a", "--exec-label and --file-label: there is no SELinux support"),
        ("--userns-block-fd 3 --info-fd 4", "--userns-block-fd needs --unshare-user"),
        ("--unshare-user --userns-block-fd 3", "--userns-block-fd needs --info-fd"),
        ("--userns 3 --unshare-user", "--userns and --unshare-user exclude each other"),
        ("--unshare-all --userns 3", "--userns and --unshare-user-try (of --unshare-all) exclude each other"),
        ("--disable-userns", "--disable-userns needs --unshare-user"),
        ("--hostname a", "--hostname needs --unshare-uts"),
        ("--as-pid-1", "--as-pid-1 needs --unshare-pid"),
        ("--unshare-pid --as-pid-1 --lock-file /a", "--as-pid-1 and --lock-file exclude each other"),
        ("--seccomp 3 --add-seccomp-fd 4", "--seccomp and --add-seccomp-fd exclude each other"),
        ("--args 3", "--args 3: read: Bad file number (EBADF)"),
        ("--args", "--args true: not a descriptor number"),
    ] {
        assert_eq!(refused(options), text, "{options}");
    }
    let root = World::user().with("root");
    let error = root.chain(split("--uid 5 true")).unwrap_err();
    assert_eq!(format!("{error:#}"), "--uid and --gid need --unshare-user or --userns");
    let error = root.chain(split("--unshare-net")).unwrap_err();
    assert_eq!(format!("{error:#}"), "COMMAND is missing: usage: bwrap [OPTIONS...] [--] COMMAND [ARGS...]");
}

#[test]
fn words_come_from_a_descriptor_in_their_place() {
    let chain = |data: &[u8]| {
        let world = World { held: [(9, data.to_vec())].into(), ..World::user() };
        world.chain(split("--dir /a --args 9 --dir /c true")).map(|chain| String::from_utf8(chain.text()).unwrap())
    };
    for data in [&b"--dir\0/b\0"[..], b"--dir\0/b"] {
        assert!(chain(data).unwrap().contains(" --dir /a --dir /b --dir /c "));
    }
    assert!(chain(b"").unwrap().contains(" --dir /a --dir /c "));
    assert!(chain(b"--").unwrap().contains(" --dir /a --dir /c "));
    for (data, text) in [
        (&b"--dir /b"[..], "unknown option '--dir /b'"),
        (b"--args\09\0", "--args 9: --args within it"),
        (b"--dir\0/b\0id\0", "--args 9: id is no option"),
        (b"--dir\0", "--dir: DEST is missing"),
    ] {
        assert_eq!(format!("{:#}", chain(data).unwrap_err()), text);
    }
    let many = |pairs: usize| chain(&b"--dir\0/b\0".repeat(pairs));
    assert_eq!(many(4496).unwrap().matches("--dir /b").count(), 4496, "with the seven words of the line 8999");
    assert_eq!(format!("{:#}", many(4500).unwrap_err()), "--args: more than 9000 words");
}

#[test]
fn any_byte_is_a_byte_of_a_path() {
    let path: Vec<u8> = [b"/".to_vec(), (1..=255).collect()].concat();
    let words = vec!["--dir".into(), OsString::from_vec(path.clone()), "true".into()];
    let chain = World::user().chain(words).unwrap();
    assert!(chain.links[1].contains(&OsStr::from_bytes(&path).to_owned()));
    let quoted = path.split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..]);
    let quoted = [b"--dir '", &*quoted, b"'"].concat();
    assert!(chain.script().windows(quoted.len()).any(|part| part == quoted));
}

#[test]
fn the_last_one_counts_and_the_caller_is_told() {
    let words = split("--chdir /a --chdir /b --uid 1 --uid 2 --info-fd 3 --info-fd 4 true");
    let Line::Box(request) = line(words, &mut |_| Ok(vec![])).unwrap() else { panic!() };
    let told = ["chdir", "uid", "info-fd"].map(|option| format!("--{option} is given twice: the last one counts"));
    assert_eq!(request.warnings, told);
    assert_eq!((request.uid, request.descriptors()), (Some(2), vec![("info-fd", 4)]));
}
