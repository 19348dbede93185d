//! `docs/coverage.md` claims nothing that is not there: every proof is a test, every option one of its tool's, every
//! issue an open one; no table loses rows, and the sums at its top are right. `docs/incidents.md` likewise.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;

use chainbox_tests::{Chain, checkout};

/// The tables of the page, and how many rows each has at least: what the seed is known to do.
const TABLES: [(&str, usize); 5] = [("A", 55), ("B", 30), ("C", 57), ("D", 35), ("E", 68)];

/// The issues that a row may wait in.
const ISSUES: [&str; 4] = ["issue 3", "issue 4", "issue 5", "no issue"];

#[derive(Debug, PartialEq)]
enum State {
    Done,
    NotYet,
    LeftOut,
}

#[derive(Debug)]
struct Row {
    feature: String,
    here: String,
    proof: String,
}

impl Row {
    fn state(&self) -> State {
        if self.proof == "left out" {
            return State::LeftOut;
        }
        let Some(rest) = self.proof.strip_prefix("not yet (") else { return State::Done };
        let issue = rest.strip_suffix(')').unwrap_or_default();
        assert!(ISSUES.contains(&issue), "{self:?}: waits in none of {ISSUES:?}");
        State::NotYet
    }
}

fn page() -> String {
    fs::read_to_string(checkout().join("docs/coverage.md")).unwrap()
}

/// The cells of the rows below a table's head, each of as many columns as the head has.
fn cells<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let split = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let columns = head.matches('|').count() - 1;
    let mut lines = text.lines().skip_while(|line| *line != head);
    assert_eq!(lines.next(), Some(head), "no such table");
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(split).collect();
    for row in &rows {
        assert!(row.len() == columns && row.iter().all(|cell| !cell.is_empty()), "{columns} cells: {row:?}");
    }
    rows
}

/// The rows of one seed's table: its section begins with the seed's letter.
fn rows(page: &str, seed: &str) -> Vec<Row> {
    let start = format!("{seed}. ");
    let section = page.split("\n## ").find(|section| section.starts_with(&start)).unwrap();
    let cells = cells(section, "| feature | here | proof |").into_iter();
    cells.map(|row| Row { feature: row[0].to_owned(), here: row[1].to_owned(), proof: row[2].to_owned() }).collect()
}

fn all(page: &str) -> Vec<Row> {
    TABLES.iter().flat_map(|(seed, _)| rows(page, seed)).collect()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether a source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}()")) else { return false };
    let before = &source[..at];
    before.rfind("#[test]").is_some_and(|mark| !before[mark..].contains("fn "))
}

/// The tests that a proof names: files, each followed by names of tests in it.
fn tests_of(proof: &str) -> Vec<(&str, &str)> {
    let (mut file, mut tests) = (None, vec![]);
    for word in quoted(proof) {
        if word.ends_with(".rs") {
            file = Some(word);
        } else {
            tests.push((file.unwrap_or_else(|| panic!("{proof}: {word} of which file?")), word));
        }
    }
    assert!(!tests.is_empty(), "{proof}: neither a test nor 'not yet (issue N)' nor 'left out'");
    tests
}

/// How many tests a proof names, all of which exist.
fn proved(proof: &str) -> usize {
    let tests = tests_of(proof);
    for (file, test) in &tests {
        let source = fs::read_to_string(checkout().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(has_test(&source, test), "no test {test} in {file}");
    }
    tests.len()
}

#[test]
fn every_proof_is_a_test() {
    let count: usize = all(&page()).iter().filter(|row| row.state() == State::Done).map(|row| proved(&row.proof)).sum();
    assert!(count >= 200, "{count} proofs");
}

/// The four tables of `docs/incidents.md`: at least as many incidents as are known, each once, each with its tests.
#[test]
fn every_incident_has_a_test() {
    let page = fs::read_to_string(checkout().join("docs/incidents.md")).unwrap();
    let head = "| incident | what went wrong | why not here | proof |";
    let sections: Vec<_> = page.split("\n## ").skip(1).collect();
    let rows: Vec<_> = sections.iter().flat_map(|section| cells(section, head)).collect();
    let proofs: usize = rows.iter().map(|row| proved(row[3])).sum();
    assert!(rows.len() >= 50 && proofs >= 80, "{} incidents, {proofs} proofs", rows.len());
    let mut incidents: Vec<_> =
        rows.iter().flat_map(|row| row[0].split(", ")).filter(|id| id.starts_with("CVE-")).collect();
    incidents.sort_unstable();
    let all = incidents.len();
    incidents.dedup();
    assert!(all >= 75 && incidents.len() == all, "{all} numbers, {} different", incidents.len());
}

#[test]
fn a_name_that_is_no_test_is_no_proof() {
    let source = "#[test]\n#[ignore]\nfn yes() {}\n\nfn no() {}\n";
    assert!(has_test(source, "yes") && !has_test(source, "no") && !has_test(source, "ye"));
}

/// What a tool says of its options; of a subcommand's too, where `words` has one.
fn help(tool: &str, words: &[&str]) -> String {
    if tool.starts_with("scripts/") {
        return fs::read_to_string(checkout().join(tool)).unwrap();
    }
    let mut help = Chain::new(tool).args(["--help"]).run().ok();
    let command = words.iter().find(|word| !word.starts_with('-') && !word.contains(':'));
    if let Some(command) = command.filter(|_| tool == "zfs-pool") {
        assert!(help.contains(&format!("\n  {command} ")), "zfs-pool has no {command}");
        help.push_str(&Chain::new(tool).args([command, "--help"]).run().ok());
    }
    help
}

fn names(help: &str, option: &str) -> bool {
    help.split(|c: char| c.is_whitespace() || ",=[|)".contains(c)).any(|word| word == option)
}

/// The links of a command, each with its words; what is none of ours ends it.
fn links(command: &str) -> Vec<(&str, Vec<&str>)> {
    let mut links = vec![];
    for link in command.split(" -- ") {
        let mut words = link.split_whitespace();
        match words.next() {
            Some(tool) if chain::TOOLS.contains(&tool) || tool.starts_with("scripts/") => {
                links.push((tool, words.collect()));
            }
            _ => break,
        }
    }
    links
}

/// Options are known, and so are the filters and presets that follow two of them.
fn check_link(tool: &str, words: &[&str]) -> usize {
    let help = help(tool, words);
    let options: Vec<_> = words.iter().filter(|word| word.starts_with('-')).collect();
    for option in &options {
        assert!(names(&help, option), "{tool} has no {option}");
    }
    for pair in words.windows(2).filter(|pair| ["--filter", "--preset"].contains(&pair[0])) {
        Chain::new(tool).args(["--explain", pair[0], pair[1], "--", "true"]).run().ok();
    }
    options.len()
}

#[test]
fn every_option_is_its_tools() {
    let page = page();
    let (mut commands, mut options) = (0, 0);
    for row in all(&page) {
        for (tool, words) in quoted(&row.here).into_iter().flat_map(links) {
            commands += 1;
            options += check_link(tool, &words);
        }
    }
    assert!(commands >= 150 && options >= 150, "{commands} commands, {options} options");
}

#[test]
fn an_unknown_option_would_be_found() {
    assert_eq!(links("ns-unshare -U -- mount-plan --dev /dev -- sh -c x").len(), 2);
    assert!(links("env -i A=1").is_empty());
    assert!(names("  -U, --user  x\n  --explain[=json]", "--explain") && names("-U, --user", "-U"));
    assert!(!names("  --user-x UID", "--user"));
    assert!(!names(&help("zfs-pool", &["gc"]), "--wait") && names(&help("zfs-pool", &["run"]), "--wait"));
}

#[test]
fn no_table_loses_rows_and_the_sums_are_right() {
    let page = page();
    let sums = cells(&page, "| seed | done | not yet | left out |");
    assert_eq!(sums.len(), TABLES.len());
    for ((seed, least), sum) in TABLES.iter().zip(sums) {
        let rows = rows(&page, seed);
        let count = |state: State| rows.iter().filter(|row| row.state() == state).count();
        let counted = [count(State::Done), count(State::NotYet), count(State::LeftOut)];
        println!("{seed}: {} done, {} not yet, {} left out", counted[0], counted[1], counted[2]);
        assert!(rows.len() >= *least, "{seed}: {} rows of at least {least}", rows.len());
        let mut features: Vec<_> = rows.iter().map(|row| row.feature.as_str()).collect();
        features.sort_unstable();
        features.dedup();
        assert_eq!(features.len(), rows.len(), "{seed}: a feature stands twice");
        assert_eq!(sum[1..], counted.map(|n| n.to_string()), "the sums of {seed}");
    }
}
