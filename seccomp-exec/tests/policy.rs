//! Text policies as a user has them: in files, with includes, on a descriptor; and drawn ones, written down and read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use chainbox_tests::draws::Draws;
use chainbox_tests::{Chain, Folder, Ran};
use nix::errno::Errno;
use seccomp_exec::look::text;
use seccomp_exec::model::calls;
use seccomp_exec::model::policy::{Clause, Op, Policy, Rule, Test, Verdict, Width};
use seccomp_exec::table::TABLE;

fn parsed(text: &str) -> Policy {
    text::policy("p", text, &mut |_, _| panic!("no file is included"))
        .unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}

/// Runs a line of shell behind the policy in a file.
fn behind(folder: &Folder, policy: &str, line: &str) -> Ran {
    fs::write(folder.join("p"), policy).unwrap();
    let path = folder.join("p");
    Chain::new("seccomp-exec")
        .args(["--policy".as_ref(), path.as_os_str()])
        .args(["--", "sh", "-c", line])
        .as_user()
        .run()
}

#[test]
fn a_policy_is_in_force() {
    let folder = Folder::new("policy-force", false);
    let policy = "default allow\nerrno EIO mkdir, mkdirat\n";
    let ran = behind(&folder, policy, "mkdir /tmp/never-made");
    ran.fails(1, "Input/output error");
    assert_eq!(behind(&folder, policy, "echo fine").ok(), "fine\n");
    let kills = behind(&folder, "default allow\nkill mkdir, mkdirat\n", "exec mkdir /tmp/never-made");
    assert_eq!(kills.signal, Some(nix::libc::SIGSYS));
}

#[test]
fn includes_are_found_beside_the_file() {
    let folder = Folder::new("policy-include", false);
    fs::create_dir(folder.join("lib")).unwrap();
    fs::write(folder.join("lib/a"), "include b\n").unwrap();
    fs::write(folder.join("lib/b"), "errno EIO mkdir, mkdirat\nfrobnicate\n").unwrap();
    let ran = behind(&folder, "default allow\ninclude lib/a\n", "true");
    ran.fails(125, &format!("{}: frobnicate is no action", folder.join("lib/b:2").display()));
    fs::write(folder.join("lib/b"), "errno EIO mkdir, mkdirat\n").unwrap();
    behind(&folder, "default allow\ninclude lib/a\n", "mkdir /tmp/never-made").fails(1, "Input/output error");
    let ran = behind(&folder, "default allow\n\ninclude lib/c\n", "true");
    let at = folder.path().display();
    ran.fails(125, &format!("{at}/p:3: include: open {at}/lib/c: No such file or directory (ENOENT)"));
}

/// Seven files of thirty lines each: all together twenty thousand million lines.
#[test]
fn files_that_include_each_other_many_times_come_to_an_end() {
    let folder = Folder::new("policy-many", false);
    for n in 0..6 {
        fs::write(folder.join(format!("{n}")), format!("include {}\n", n + 1).repeat(30)).unwrap();
    }
    fs::write(folder.join("6"), "").unwrap();
    behind(&folder, "include 0\n", "true").fails(125, "longer than 1048576 bytes, all files together");
}

#[test]
fn a_policy_comes_on_a_descriptor_that_the_program_does_not_get() {
    let line = "seccomp-exec --policy-fd 7 -- sh -c 'mkdir /tmp/never-made; ls /proc/self/fd' 7<<E\n\
                default allow\nerrno EIO mkdir, mkdirat\nE\n";
    let ran = Chain::shell(line).as_user().run();
    assert!(ran.err.contains("Input/output error"), "{ran:?}");
    assert_eq!(ran.out.lines().count(), 4, "0, 1, 2 and the folder: {ran:?}");
    let ran = Chain::shell("seccomp-exec --policy-fd 7 -- true 7</dev/null").as_user().run();
    ran.fails(125, "fd:7: no default");
    Chain::shell("seccomp-exec --policy-fd 9 -- true")
        .run()
        .fails(125, "--policy-fd 9: fcntl: Bad file number (EBADF)");
}

#[test]
fn what_is_no_policy_is_refused() {
    let folder = Folder::new("policy-refused", false);
    behind(&folder, "default deny\n", "true").fails(125, "it denies execve, which executing PROG needs");
    behind(&folder, &" ".repeat((1 << 20) + 1), "true").fails(125, "longer than 1048576 bytes");
    let raw = folder.join(OsStr::from_bytes(b"a\xffb"));
    let run = || {
        Chain::new("seccomp-exec").args(["--policy".as_ref(), raw.as_os_str(), "--".as_ref(), "true".as_ref()]).run()
    };
    run().fails(125, "a\\xffb': open: No such file");
    fs::write(&raw, "default allow\n").unwrap();
    run().ok();
}

#[test]
fn the_example_of_the_manual_is_a_policy() {
    let page = chain::pages::part(TABLE.manual, "POLICY");
    let example: Vec<&str> = page.split('\n').filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(example.len() >= 8, "{page}");
    let policy = parsed(&example.join("\n"));
    assert_eq!(policy.known, Verdict::errno(Errno::EPERM));
}

const OPS: [(Op, &str); 6] =
    [(Op::Eq, "=="), (Op::Ne, "!="), (Op::Lt, "<"), (Op::Le, "<="), (Op::Gt, ">"), (Op::Ge, ">=")];
const ACTIONS: [(Verdict, &str); 7] = [
    (Verdict::ALLOW, "allow"),
    (Verdict::LOG, "log"),
    (Verdict::KILL_PROCESS, "kill"),
    (Verdict(0), "kill-thread"),
    (Verdict(0x3_0000), "trap"),
    (Verdict::errno(Errno::EPERM), "deny"),
    (Verdict::errno(Errno::ENOSYS), "errno ENOSYS"),
];

/// A test as data and as text.
fn drawn_test(draws: &mut Draws) -> (Test, String) {
    let (width, form, bits) = draws.of(&[(Width::Int, "u32", u64::from(u32::MAX)), (Width::Long, "u64", u64::MAX)]);
    let shift = draws.below(64);
    let mask = if draws.below(2) == 0 { bits } else { (draws.word() >> shift) & bits };
    let shift = draws.below(64);
    let value = (draws.word() >> shift) & mask;
    let (op, sign) = draws.of(&OPS);
    let arg = u8::try_from(draws.below(6)).unwrap();
    let masked = if mask == bits { String::new() } else { format!("& {mask:#x} ") };
    (Test { arg, width, mask, op, value }, format!("{form}(arg{arg}) {masked}{sign} {value}"))
}

/// The rule of one call as data and as text.
fn drawn_rule(draws: &mut Draws, call: &str, known: Verdict) -> (Rule, String) {
    let (mut clauses, mut text) = (vec![], String::new());
    for _ in 0..draws.below(4) {
        let (verdict, action) = draws.of(&ACTIONS);
        let tests: Vec<_> = (0..=draws.below(3)).map(|_| drawn_test(draws)).collect();
        let words: Vec<&str> = tests.iter().map(|test| test.1.as_str()).collect();
        text.push_str(&format!("{action} {call} if {}\n", words.join(" && ")));
        clauses.push(Clause { tests: tests.iter().map(|test| test.0).collect(), verdict });
    }
    let (otherwise, action) = draws.of(&ACTIONS);
    let last = clauses.is_empty() || draws.below(2) == 0;
    if last {
        text.push_str(&format!("{action} {call}\n"));
    }
    (Rule { clauses: clauses.into(), otherwise: if last { otherwise } else { known } }, text)
}

#[test]
fn a_policy_that_is_written_down_is_read_as_it_was() {
    let mut draws = Draws(10);
    for _ in 0..2000 {
        let [known, unknown, x32, i386, foreign] = [(); 5].map(|()| draws.of(&ACTIONS));
        let mut text = format!(
            "default {}\nunknown {}\nx32 {}\ni386 {}\nforeign {}\n",
            known.1, unknown.1, x32.1, i386.1, foreign.1
        );
        let mut policy = Policy {
            calls: [].into(),
            known: known.0,
            unknown: unknown.0,
            x32: x32.0,
            i386: i386.0,
            foreign: foreign.0,
        };
        for _ in 0..draws.below(20) {
            let number = u32::try_from(draws.below(330)).unwrap();
            if policy.calls.contains_key(&number) {
                continue;
            }
            let (rule, lines) = drawn_rule(&mut draws, calls::name(number).unwrap(), known.0);
            policy.calls.insert(number, rule);
            text.push_str(&lines);
        }
        assert_eq!(parsed(&text), policy, "{text}");
    }
}
