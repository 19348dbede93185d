//! The grammar of the command line, as data.

use super::*;
use std::os::unix::ffi::OsStringExt as _;

fn request(words: Vec<OsString>) -> Request {
    match parse(words).unwrap() {
        Parsed::Request(_, request) => request,
        page => panic!("{page:?}"),
    }
}

fn parsed(line: &str) -> Request {
    request(line.split(' ').map(OsString::from).collect())
}

fn refusal(line: &str) -> String {
    format!("{:#}", parse(line.split(' ').map(OsString::from).collect()).unwrap_err())
}

fn prog(line: &str) -> Vec<OsString> {
    match parsed(line).verb {
        Verb::Run { prog, .. } => prog,
        other => panic!("{other:?}"),
    }
}

#[test]
fn claps_own_checks_of_the_command_tree_hold() {
    command().debug_assert();
}

#[test]
fn the_program_is_taken_as_it_is() {
    assert_eq!(prog("run t -- cg-run --pids 3 -- id -u"), ["cg-run", "--pids", "3", "--", "id", "-u"]);
    assert_eq!(prog("run t --create -- -x --wait 3"), ["-x", "--wait", "3"]);
    assert_eq!(prog("run t sh -c -- --check"), ["sh", "-c", "--", "--check"]);
    assert!(prog("run t").is_empty() && prog("run t --").is_empty());
    let raw = OsString::from_vec(b"a\xff".to_vec());
    let words = vec!["run".into(), "t".into(), "--".into(), raw.clone()];
    assert!(matches!(request(words).verb, Verb::Run { prog, .. } if prog == [raw]));
}

#[test]
fn a_pool_is_a_directory_or_a_dataset() {
    assert_eq!(parsed("--pool /x gc").pool, Some(Place::Dir("/x".into())));
    assert_eq!(parsed("gc --pool zfs:tank/pool").pool, Some(Place::Zfs("tank/pool".into())));
    for bad in ["zfs:", "zfs:/tank", "zfs:tank/", "zfs:tank@x", "zfs:-r", "zfs:tank/../x", "zfs:tank//x"] {
        assert!(refusal(&format!("gc --pool {bad}")).ends_with("not a dataset"), "{bad}");
    }
}

#[test]
fn seconds_are_decimal() {
    assert_eq!(seconds(&"1.5".into()).unwrap(), Duration::from_millis(1500));
    assert_eq!(seconds(&"0.000000001".into()).unwrap(), Duration::from_nanos(1));
    for bad in ["", ".", "1.", ".5x", "-1", "1e9", "inf", "1.0000000001", "99999999999"] {
        assert!(seconds(&bad.into()).is_err(), "{bad:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (line, words) in [
        ("--pool a gc --pool b", "--pool is given twice"),
        ("gc --pool a --pool b", "cannot be used multiple times"),
        ("run", "<TEMPLATE[@V]> is missing"),
        ("init ../x --from /", "../x: not a name"),
        ("run t@0", "t@0: not a version"),
        ("snapshot t@1", "t@1: not a name"),
        ("refill t -1", "unknown option or word -1"),
        ("refill t 100001", "100001: not a number from 0 to 100000"),
        ("refill t --quota 0", "--quota 0: not a size"),
        ("refill t --quota 1.5G", "--quota 1.5G: not a size"),
        ("release t", "t: not the name of a clone"),
        ("acquire t --pid 0", "--pid 0: not a process id"),
        ("init t --clone zfs", "--clone zfs: overlay or copy"),
        ("--frobnicate gc", "unknown option or word --frobnicate"),
        ("serve", "unrecognized subcommand 'serve'"),
        ("gc --explain=yes", "--explain=yes: only json is understood"),
    ] {
        assert!(refusal(line).contains(words), "{line}: {}", refusal(line));
    }
}
