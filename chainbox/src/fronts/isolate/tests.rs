//! Pure: command lines to chains, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use chain::Result;

use super::args::config::Config;
use super::args::request;
use super::boxes::Record;
use super::look::{Facts, Ids};
use super::plan::chain;
use super::table::TABLE;
use crate::fronts::bwrap::tests::{row, split};
use crate::fronts::chain::Chain;

/// A caller.
struct World {
    facts: Facts,
    owner: Ids,
}

impl World {
    /// An ordinary user.
    fn user() -> Self {
        let caller = Ids { uid: 1000, gid: 1000 };
        let facts = Facts { caller, box_root: "/r/boxes".into(), lock_root: "/r/locks".into(), ..Facts::default() };
        Self { facts, owner: caller }
    }

    /// What a line of a test says about it: `root`, `owner ID`, `cg_root PATH`, `open N`, `var NAME=VALUE`, or a line of the
    /// configuration.
    fn with(mut self, words: &str) -> Self {
        let (name, value) = words.split_once(' ').unwrap_or((words, ""));
        let facts = &mut self.facts;
        let ids = |id| Ids { uid: id, gid: id };
        match name {
            "root" => {
                (facts.caller, self.owner, facts.box_ids) = (ids(0), ids(0), Some(ids(60000)));
            }
            "owner" => self.owner = ids(value.parse().unwrap()),
            "cg_root" => facts.cg_root = Some(value.into()),
            "open" => facts.open.push(value.parse().unwrap()),
            "var" => {
                let (name, value) = value.split_once('=').unwrap();
                facts.variables.push((name.into(), value.into()));
            }
            _ => facts.config = Config::parse(Path::new("conf"), words).unwrap(),
        }
        self
    }

    fn chain(&self, words: Vec<OsString>) -> Result<Chain> {
        let record = Record { owner: self.owner, cgroup: false };
        chain(&request(words)?, &self.facts, record)
    }

    /// The environment and the links of a run of /bin/true.
    fn links(&self, options: &str) -> Vec<String> {
        let words = [split(options), split("--run -- /bin/true")].concat();
        let chain = self.chain(words).unwrap_or_else(|error| panic!("{options}: {error:#}"));
        let script = String::from_utf8(chain.script()).unwrap();
        let script = script.replace("\"$(command -v cg-run)\"", "cg-run").replace(" -- \\\n    ", " \\\n    ");
        let mut links: Vec<String> = script.trim_end().split(" \\\n    ").map(str::to_owned).collect();
        assert_eq!(links.pop().as_deref(), Some("/bin/true"));
        links[0] = links[0].split_once("exec env").unwrap().1.trim().to_owned();
        links[0].insert_str(0, "env ");
        links
    }
}

/// A row of the table of options in docs/fronts.md: the options, who calls, and the links that become others by them.
#[test]
fn the_table_of_options_is_what_happens() {
    let docs = include_str!("../../../../docs/fronts.md");
    let section = docs.split("\n## ").find(|section| section.starts_with("isolate: what each option becomes")).unwrap();
    let rows: Vec<Vec<&str>> = section.lines().filter_map(row).collect();
    let (mut right, mut named) = (String::new(), vec![]);
    for row in &rows {
        let options = row[0].trim_matches('`');
        named.extend(options.split_whitespace().filter_map(|word| word.strip_prefix("--")?.split('=').next()));
        let caller = || row[1].split("; ").filter(|fact| !fact.is_empty()).fold(World::user(), World::with);
        let usual = World::user().links("");
        let links = caller().links(options);
        let others: Vec<String> =
            links.iter().filter(|link| !usual.contains(link)).map(|link| format!("`{link}`")).collect();
        right.push_str(&format!("| {} | {} | {} |\n", row[0], row[1], others.join("<br>")));
    }
    let pages = ["init", "run", "cleanup", "print-cg-root", "check-config", "version", "help", "quota", "wait"];
    for flag in TABLE.flags {
        assert!(pages.contains(&flag.long) || named.contains(&flag.long), "--{} has no row", flag.long);
    }
    assert!(docs.contains(&right), "the table should be\n{right}");
    let whole =
        World::user().links("").into_iter().skip(1).chain(["/bin/true".into()]).collect::<Vec<_>>().join(" -- ");
    assert!(section.replace('\n', " ").contains(&format!("`{whole}`")), "the chain should be\n`{whole}`");
}

/// Command lines of callers, each with its chain: what stands there is what happens.
#[test]
fn whole_command_lines_become_whole_chains() {
    let text = include_str!("lines.txt");
    let blocks: Vec<String> = text.trim_end().split("\n\n").map(with_chain).collect();
    let right = blocks.join("\n\n") + "\n";
    assert!(text == right, "the file should be\n{right}");
    assert!(blocks.iter().filter(|block| block.contains("\n  = seccomp-exec ")).count() >= 8);
}

/// A block with the chain that its line becomes.
fn with_chain(block: &str) -> String {
    let said: Vec<&str> = block.lines().filter(|line| !line.starts_with("  = ")).collect();
    let line: Vec<&str> = said.iter().copied().filter(|line| !line.starts_with(['#', '@'])).collect();
    let Some(words) = line.join(" ").strip_prefix("isolate ").map(split) else { return block.to_owned() };
    let world = said.iter().filter_map(|line| line.strip_prefix("@ ")).fold(World::user(), World::with);
    let chain = world.chain(words).unwrap_or_else(|error| panic!("{line:?}: {error:#}"));
    let script = String::from_utf8(chain.script()).unwrap();
    let script = script.strip_prefix("#!/bin/sh\n").unwrap().replace(" \\\n    ", "\n");
    let links = script.trim_end().split('\n').map(|link| format!("  = {link}"));
    said.iter().map(|&line| line.to_owned()).chain(links).collect::<Vec<_>>().join("\n")
}

fn refused(line: &str) -> String {
    format!("{:#}", World::user().chain(split(line)).unwrap_err())
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (options, text) in [
        ("", "--init, --run or --cleanup?"),
        ("--init --run", "one of --init, --run and --cleanup"),
        ("--run", "--run: which program?"),
        ("--init true", "a program goes with --run only"),
        ("--no-such --run true", "unknown option --no-such"),
        ("--run true --no-such", "unknown option --no-such"),
        ("--box-id=-1 --init", "--box-id -1: not a number"),
        ("-b 4294967296 --init", "--box-id 4294967296: not a number"),
        ("-b 0x1 --init", "--box-id 0x1: not a number"),
        ("-t -1 --run true", "--time -1: not a time in seconds"),
        ("-t 1s --run true", "--time 1s: not a time in seconds"),
        ("-w inf --run true", "--wall-time inf: not a time in seconds"),
        ("-x nan --run true", "--extra-time nan: not a time in seconds"),
        ("-t 1e99 --run true", "--time 1e99: not a time in seconds"),
        ("-m 64M --run true", "--mem 64M: not a size in kilobytes"),
        ("-m 99999999999999999999 --run true", "--mem 99999999999999999999: not a size in kilobytes"),
        ("-k 18014398509481984 --run true", "--stack 18014398509481984: not a size in kilobytes"),
        ("-m 4095 --run true", "--mem 4095: less than 4096, which what comes before the program needs"),
        ("-k 1 --run true", "--stack 1: less than 64, which what comes before the program needs"),
        ("-n -1 --run true", "--open-files -1: not a number"),
        ("-px --run true", "--processes x: not a number"),
        ("-q 1,1 --init", "--quota 1,1: disk quotas are not set here; --fsize limits each file"),
        ("-E =a --run true", "--env =a: not the name of a variable"),
        ("-E CHAIN_EXPLAIN=1 --run true", "--env CHAIN_EXPLAIN: that is for the links"),
        ("-r a --stderr-to-stdout --run true", "--stderr and --stderr-to-stdout exclude each other"),
        ("--as-uid=1 --run true", "--as-uid and --as-gid need each other"),
        (
            "--as-uid=1 --as-gid=1 -M m --run true",
            "--meta and --as-uid: root would open a file that the user names; --meta=- is standard output",
        ),
        ("--as-uid=root --as-gid=1 --run true", "--as-uid root: not an id"),
        ("--cg-mem=1 --run true", "--cg-mem needs --cg"),
        ("-d /usr:ro --run true", "--dir /usr:ro: an option that is none of rw, dev, noexec, maybe, fs, tmp, norec"),
        ("-d / --run true", "--dir /: no place below the root of the box"),
        ("-d ../etc --run true", "--dir ../etc: no place below the root of the box"),
        ("-d a=b --run true", "--dir a=b: outside: / or ./ first, and no .."),
        ("-d a=/b/../c --run true", "--dir a=/b/../c: outside: / or ./ first, and no .."),
        ("-d a=:rw --run true", "--dir a=:rw: options of a rule that is removed"),
        ("-d a=/b:tmp --run true", "--dir a=/b:tmp: tmp takes no path outside"),
        ("-d a:fs:tmp --run true", "--dir a:fs:tmp: fs and tmp exclude each other"),
        ("-d a=ext4:fs --run true", "--dir a=ext4:fs: ext4: none of proc, sysfs, tmpfs, devpts"),
        ("--meta", "--meta: FILE is missing"),
    ] {
        assert_eq!(refused(options), text, "{options}");
    }
}

#[test]
fn a_configuration_is_read_or_refused_by_its_line() {
    let read = |text: &str| Config::parse(Path::new("conf"), text).map_err(|error| format!("{error:#}"));
    let text = "# boxes\nbox_root = /b\n\nlock_root=/l\ncg_root = auto:/run/c\nfirst_uid=7\nfirst_gid = 8\n num_boxes = 9\n\
                restricted_init = 1\nsyscall_flags=3\nbox0.cpus = 0,2-3\nbox1.mems = 1\nbox0.cpus = 4\n";
    let config = read(text).unwrap();
    assert_eq!(config.of_box(0, super::args::config::Part::Cpus), Some("4"), "the last one counts");
    assert_eq!((config.first_uid, config.first_gid, config.num_boxes), (Some(7), Some(8), Some(9)));
    assert!(config.restricted_init && config.box_root.as_deref() == Some(Path::new("/b")));
    for (text, why) in [
        ("box_root", "conf:1: not KEY = VALUE"),
        ("\nbox_root = b", "conf:2: box_root = b: not a path"),
        ("cg_root = auto:x", "conf:1: cg_root = auto:x: not a path, or auto: and a path"),
        ("num_boxes = many", "conf:1: num_boxes = many: not a number"),
        ("first_uid = 4294967295", "conf:1: first_uid = 4294967295: not an id"),
        ("box0.cpus = a", "conf:1: box0.cpus = a: no list"),
        ("boxes.cpus = 1", "conf:1: boxes.cpus: no key"),
        ("colour = red", "conf:1: colour: no key"),
        ("subid_user = isolate\nfirst_uid = 1", "conf: subid_user and first_uid exclude each other"),
    ] {
        assert_eq!(read(text).unwrap_err(), why);
    }
}

#[test]
fn any_byte_is_a_byte_of_a_word() {
    let every: Vec<u8> = (1..=255).filter(|byte| !b":=".contains(byte)).collect();
    let word = OsString::from_vec([b"/", &*every].concat());
    let words = [split("--run"), vec!["--dir".into(), word.clone(), "--env".into()]].concat();
    let variable = OsString::from_vec([b"A=", &*every].concat());
    let chain = World::user().chain([words, vec![variable, "--".into(), word.clone()]].concat()).unwrap();
    assert!(chain.links.iter().any(|link| link.contains(&word)) && chain.payload == [word]);
    assert!(chain.environment.value("A", None).is_some_and(|value| value.as_encoded_bytes() == every));
}

#[test]
fn options_may_stand_behind_the_program_up_to_the_dashes() {
    let links =
        |line: &str| World::user().chain(split(line)).map(|chain| String::from_utf8(chain.text()).unwrap()).unwrap();
    let same = "--run --processes=4 /bin/echo a";
    for line in ["--run /bin/echo --processes=4 a", "--run /bin/echo a -p4", "-p4 --run -- /bin/echo a"] {
        assert_eq!(links(line), links(same), "{line}");
    }
    assert!(links("-p 4 --run").ends_with("\n    ./4"), "the number belongs to the word");
    assert!(links("--run -- /bin/echo -p4").ends_with("\n    /bin/echo -p4"));
}
