//! What cannot be meant, what is missing, what may not be: the right exit code, one line that says what and why, at
//! most one hint, and nothing on the machine has changed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chainbox_tests::machine::Machine;
use chainbox_tests::{Chain, Folder, is_root};

/// One bad command line: the tool and its words, the exit code, and what the message must contain.
struct Bad {
    words: Vec<OsString>,
    code: i32,
    says: String,
}

fn bad(line: &str, code: i32, says: &str) -> Bad {
    Bad { words: line.split_whitespace().map(OsString::from).collect(), code, says: says.to_owned() }
}

/// The chain loaders, each with what it needs to come as far as its next program.
const LOADERS: [&str; 5] = [
    "cg-run --no-cgroup",
    "ns-unshare --user",
    "rlimit-exec --core 0",
    "ns-unshare --user --mount -- mount-plan --ro-bind / /",
    "seccomp-exec --filter default",
];

/// Mistakes that every tool can be given.
fn common() -> Vec<Bad> {
    let mut all = vec![];
    for tool in chain::TOOLS {
        let mount = if tool == "mount-plan" { "ns-unshare --user --mount -- " } else { "" };
        all.push(bad(&format!("{mount}{tool} --nonsense"), 125, &format!("{tool}: unknown option")));
        all.push(bad(&format!("{mount}{tool} --check --check"), 125, "--check"));
    }
    for loader in LOADERS {
        let name = loader.split(' ').rfind(|word| chain::TOOLS.contains(word)).unwrap_or_default();
        all.push(bad(
            &format!("{loader} -- no-such-program"),
            127,
            &format!("{name}: no-such-program: not found in PATH"),
        ));
        let execve = format!("{name}: /etc/no/such: execve: No such file or directory (ENOENT)");
        all.push(bad(&format!("{loader} -- /etc/no/such"), 127, &execve));
        let denied = format!("{name}: /etc/passwd: execve: Permission denied (EACCES)");
        all.push(bad(&format!("{loader} -- /etc/passwd"), 126, &denied));
        all.push(bad(&format!("{loader} -- /etc"), 126, &format!("{name}: /etc: execve: Permission denied (EACCES)")));
        all.push(bad(&format!("{loader} --keep-fd x -- true"), 125, "not a descriptor number"));
        all.push(bad(&format!("{loader} --keep-fd 77 -- true"), 125, "--keep-fd 77: fcntl: Bad file number (EBADF)"));
        all.push(bad(&format!("{loader} --explain=yes -- true"), 125, "--explain=yes: only json is understood"));
        all.push(bad(&format!("{loader} --help=x"), 125, "--help takes no value"));
        let mut raw = bad(&format!("{loader} --"), 127, &format!("{name}: '\\xff\\xfe': not found in PATH"));
        raw.words.push(OsStr::from_bytes(b"\xff\xfe").to_owned());
        all.push(raw);
    }
    all
}

/// Mistakes of one tool each.
fn particular(folder: &Path) -> Vec<Bad> {
    let f = folder.display();
    let ns = "ns-unshare --user --mount -- mount-plan";
    vec![
        bad("rlimit-exec --core 0 --core 0 -- true", 125, "--core is given twice"),
        bad("rlimit-exec --nofile 9:8 -- true", 125, "--nofile"),
        bad("cg-run --no-cgroup --no-cgroup -- true", 125, "--no-cgroup is given twice"),
        bad("cg-run --no-cgroup --wall-time never -- true", 125, "--wall-time never"),
        bad(&format!("cg-run --no-cgroup --report {f}/no/such -- true"), 125, "no/such"),
        bad("cg-run --memory lots -- true", 125, "--memory lots"),
        bad("cg-run --parent /nonexistent -- true", 125, "/nonexistent"),
        bad("ns-unshare --hostname box -- true", 125, "--hostname"),
        bad("ns-unshare --user --user -- true", 125, "--user is given twice"),
        bad("ns-unshare --user --map-users 0:x:1 -- true", 125, "--map-users 0:x:1"),
        bad("seccomp-exec --filter nonsense -- true", 125, "--filter nonsense: no filter of that name"),
        bad("seccomp-exec --user +1:1 -- true", 125, "--user +1:1"),
        bad(&format!("{ns} --ro-bind {f}/missing /x -- true"), 125, "No such file or directory (ENOENT)"),
        bad(&format!("{ns} --ro-bind /usr usr -- true"), 125, "target usr: not an absolute path"),
        bad(&format!("{ns} --ro-bind /usr /a/../b -- true"), 125, "'..' is refused"),
        bad(&format!("{ns} --plan {f}/bad.plan -- true"), 125, "bad.plan:2: "),
        bad(&format!("{ns} --plan {f}/missing.plan -- true"), 125, "missing.plan: "),
        bad(&format!("{ns} --tmpfs /tmp -o nonsense=1 -- true"), 125, "nonsense"),
        bad("mount-plan --tmpfs /tmp -- true", 125, "mount namespace"),
        bad(&format!("zfs-pool --pool {f}/none list"), 125, "none"),
        bad(&format!("zfs-pool --pool {f}/pool init ../t --from {f}"), 125, "../t"),
        bad(&format!("zfs-pool --pool {f}/pool init t --from {f}/missing"), 125, "missing"),
        bad(&format!("zfs-pool --pool {f}/none run t -- true"), 125, "t: no such template"),
        bad("zfs-pool --pool zfs:no-such-pool list", 125, "zfs"),
    ]
}

fn check(bad: &Bad, user: bool) {
    let Some((tool, words)) = bad.words.split_first() else { return };
    let run = Chain::new(tool.to_str().unwrap()).args(words);
    let ran = if user { run.as_user().run() } else { run.run() };
    let what = format!("{:?} (user: {user}): {ran:#?}", bad.words);
    assert_eq!(ran.code, bad.code, "{what}");
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(lines.first().is_some_and(|line| line.contains(&bad.says)), "no {:?} in {what}", bad.says);
    assert!(lines.iter().skip(1).all(|line| line.starts_with("hint: ")) && lines.len() <= 2, "{what}");
    assert!(ran.err.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{what}");
}

#[test]
fn alone_bad_input_is_one_line_and_changes_nothing() {
    let folder = Folder::new("bad-input", true);
    std::fs::write(folder.join("bad.plan"), "tmpfs /tmp tmpfs\n/usr /usr none\n").unwrap();
    std::fs::write(folder.join("secret.plan"), "tmpfs /tmp tmpfs\n").unwrap();
    std::fs::set_permissions(folder.join("secret.plan"), Permissions::from_mode(0o000)).unwrap();
    let secret =
        format!("ns-unshare --user --mount -- mount-plan --plan {}/secret.plan -- true", folder.path().display());
    let secret = bad(&secret, 125, "secret.plan: open: Permission denied (EACCES)");
    let all: Vec<Bad> = common().into_iter().chain(particular(folder.path())).collect();
    assert!(all.len() >= 80, "{} bad lines", all.len());
    let mark = folder.path().display().to_string();
    let before = Machine::now(&mark, folder.path());
    for bad in &all {
        check(bad, false);
        if is_root() {
            check(bad, true);
        }
    }
    // Root of a new user namespace reads what its own user may not: the file must be somebody else's.
    if is_root() {
        check(&secret, true);
    }
    before.unchanged(&mark, folder.path());
}

/// What was mistyped, and the hint that follows the one line: of every tool, option, verb, name and key.
#[test]
fn the_nearest_name_is_offered() {
    let plan = "ns-unshare --user --mount -- mount-plan";
    for (line, hint) in [
        ("cg-run --no-cgruop -- true", "did you mean --no-cgroup? cg-run --help lists the options"),
        ("ns-unshare --usr -- true", "did you mean --user? "),
        ("rlimit-exec --no-file 5 -- true", "did you mean --nofile? "),
        ("mount-plan --robind /usr /usr -- true", "did you mean --ro-bind? "),
        ("seccomp-exec --fitler default -- true", "did you mean --filter? "),
        ("zfs-pool gc --chekc", "did you mean --check? "),
        ("zfs-pool realese t/0", "did you mean release? "),
        ("zfs-pool run t --creat -- true", "did you mean --create? "),
        ("ns-unshare --user --explian -- true", "did you mean --explain? "),
        ("ns-unshare --join nett=1 -- true", "did you mean net? "),
        ("seccomp-exec --filter no_setuid -- true", "did you mean no-setuid? there are: default, "),
        (&format!("{plan} --preset host_ro -- true"), "did you mean host-ro? there are: host-ro, "),
        (&format!("{plan} --bind /usr /usr -o nosiud -- true"), "did you mean nosuid? "),
        (&format!("{plan} --image ext5 a /m -- true"), "did you mean ext4? "),
        ("ns-unshare --user -- mount-pan --rw-root", "did you mean mount-plan?"),
        ("ns-unshare --user -- --mount -- true", "options stand before --, PROG behind it"),
        ("chainbox mount-plam --rw-root", "did you mean mount-plan? "),
        // Where a value is missing, -- is none.
        ("mount-plan --ro-bind /usr -- ls", "usage: --ro-bind SRC DST"),
        ("ns-unshare --hostname -- ls", "usage: --hostname NAME"),
        // What is near nothing is not guessed.
        ("ns-unshare --frobnicate -- true", "ns-unshare --help lists the options"),
    ] {
        let ran = Chain::shell(line).run();
        let said: Vec<&str> = ran.err.lines().collect();
        assert!([125, 127].contains(&ran.code) && said.len() == 2, "{line}: {ran:#?}");
        assert!(said[1].starts_with(&format!("hint: {hint}")), "{line}: {ran:#?}");
    }
}
