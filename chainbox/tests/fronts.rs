//! The fronts' names, pages and errors, and the script that one prints. What their chains do is tested beside the original, in
//! tests/tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use chainbox_tests::{Chain, Folder, Ran, Tier, is_root, skip, tool};

/// A folder with a link `bwrap` to the file, alone as packages have it, and that link as a command.
fn front(test: &str) -> (Folder, Chain) {
    let folder = Folder::new(test, false);
    symlink(tool("chainbox"), folder.join("bwrap")).unwrap();
    let chain = Chain::program(folder.join("bwrap"));
    (folder, chain)
}

fn bwrap(folder: &Folder, line: &str) -> Ran {
    Chain::program(folder.join("bwrap")).args(line.split_whitespace()).run()
}

#[test]
fn callers_find_the_names_and_pages_that_they_probe() {
    let (folder, _) = front("fronts-pages");
    for (line, start) in
        [("--version", "bubblewrap 0.11.1\n"), ("--help", "usage: bwrap [OPTIONS...] [--] COMMAND [ARGS...]\n")]
    {
        let ran = bwrap(&folder, line);
        assert!(ran.clone().ok().starts_with(start) && ran.err.is_empty(), "{ran:#?}");
        assert_eq!(Chain::new("chainbox").args(["bwrap", line]).run(), ran);
    }
    let help = bwrap(&folder, "--help").out;
    for option in ["--unshare-all", "--args FD", "--bind SRC DEST", "--overlay RWSRC WORKDIR DEST", "--as-pid-1"] {
        assert!(help.contains(option), "{option} in {help}");
    }
}

#[test]
fn bad_input_is_one_line_and_1() {
    let (folder, _) = front("fronts-input");
    let refusals = [
        ("", "COMMAND is missing"),
        ("--no-such true", "unknown option --no-such"),
        ("--unshare-nett true", "(did you mean --unshare-net? bwrap --help lists the options)"),
        ("--bind /a", "--bind: DEST is missing"),
        ("--bind=/a /b true", "--bind takes no value by =, not /a"),
        ("--unshare-pid= true", "--unshare-pid takes no value, not ''"),
        ("--args 77 true", "--args 77: read: Bad file number (EBADF)"),
        ("--info-fd 77 true", "--info-fd 77: fcntl: Bad file number (EBADF)"),
        ("--uid -1 true", "--uid -1: not a number from 0 to 4294967294"),
        ("--perms 8 --dir /a true", "--perms 8: not an octal mode up to 7777"),
        ("--size 99999999999999999999 --tmpfs /a true", "--size 99999999999999999999: not a number of bytes"),
        ("--userns 0 --unshare-user true", "--userns and --unshare-user exclude each other"),
    ];
    for (line, words) in refusals {
        let ran = bwrap(&folder, line);
        ran.fails(1, words);
        assert!(ran.err.starts_with("bwrap: ") && ran.err.lines().count() == 1 && ran.out.is_empty(), "{ran:#?}");
    }
}

/// Runs the script that a front prints in dash, with a first link that only shows its words and its environment.
fn played(front: Chain, folder: &Folder) -> Vec<u8> {
    let printed = front.env("CHAIN_PRINT", "1").command().output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let fake = folder.join("ns-unshare");
    fs::write(&fake, "#!/bin/sh\n/bin/cat /proc/$$/environ\nprintf '%s\\0' \"$@\"\n").unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = folder.path().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let shell = if fs::exists("/bin/dash").unwrap() { "/bin/dash" } else { "/bin/sh" };
    let ran = Command::new(shell).arg("-c").arg(OsStr::from_bytes(&printed.stdout)).env("PATH", path).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    ran.stdout
}

#[test]
fn the_printed_script_has_every_byte() {
    let every: Vec<u8> = (1..=255).collect();
    let word = OsStr::from_bytes(&every);
    for (option, environment) in [("--clearenv", "FRONT=x"), ("--unsetenv", "CHAIN_AS=bwrap:1")] {
        let (folder, chain) = front("fronts-bytes");
        let words: &[&str] = if option == "--clearenv" { &[option] } else { &[option, "FRONT"] };
        let chain = chain.args(words).args(["--setenv", "FRONT", "x", "--setenv", "odd.name"]).args([word]);
        let shown = played(chain.args(["--", "echo"]).args([word]), &folder);
        let has = |part: &[u8]| shown.split(|byte| *byte == 0).any(|word| word == part);
        assert!(has(&every), "the argument");
        assert!(has(&[b"odd.name=", &*every].concat()), "the variable");
        assert!(has(environment.as_bytes()), "{environment}");
        assert_eq!(has(format!("PATH={}:/usr/bin:/bin", folder.path().display()).as_bytes()), option != "--clearenv");
    }
}

#[test]
fn the_first_link_is_found_whatever_the_box_is_to_have_as_path() {
    let (folder, chain) = front("fronts-path");
    let shown = played(chain.args(["--setenv", "PATH", "/nowhere", "echo"]), &folder);
    assert!(shown.split(|byte| *byte == 0).any(|word| word == b"PATH=/nowhere"));
}

#[test]
fn thousands_of_words_come_from_a_pipe() {
    let (_folder, mut chain) = front("fronts-args");
    let command = chain.command().args(["--args", "0", "true"]).env("CHAIN_PRINT", "1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&b"--dir\0/a\0".repeat(4400)).unwrap();
    let printed = child.wait_with_output().unwrap();
    assert!(printed.status.success());
    assert_eq!(String::from_utf8(printed.stdout).unwrap().matches(" --dir /a").count(), 4400);
}

/// Everybody who can make a box here, and a command line as he would run it.
fn boxes(test: &str) -> Vec<(&'static str, Chain)> {
    let chain = || Chain::new("chainbox").args(["bwrap"]);
    let mut boxes = if is_root() { vec![("root", chain())] } else { vec![] };
    if Chain::program("unshare").args(["-Ur", "true"]).as_user().run().code == 0 {
        boxes.push(("user", chain().as_user()));
    } else {
        skip(Tier::UserNamespace, test, "no user namespaces for ordinary users");
    }
    boxes
}

#[test]
fn a_box_says_nothing_of_its_chain() {
    for (who, chain) in boxes("a_box_says_nothing_of_its_chain") {
        let words = ["--ro-bind", "/", "/", "--tmpfs", "/tmp", "--clearenv", "--setenv", "A", "b", "--chdir", "/tmp"];
        let script = "env; pwd; echo x >y; cat y; grep NoNewPrivs /proc/self/status; exit 125";
        let ran = chain.args(words).args(["/bin/sh", "-c", script]).run();
        let out = "A=b\nPWD=/tmp\n/tmp\nx\nNoNewPrivs:\t1\n";
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (125, out, ""), "{who}");
    }
}

#[test]
fn what_a_link_has_to_say_is_one_line_of_bwraps_and_1() {
    for (who, chain) in boxes("what_a_link_has_to_say_is_one_line_of_bwraps_and_1") {
        let ran = chain.args(["--ro-bind", "/", "/", "--bind", "/no/such/place", "/tmp", "true"]).run();
        ran.fails(1, "/no/such/place");
        assert!(ran.err.starts_with("bwrap: ") && ran.err.lines().count() == 1, "{who}: {ran:#?}");
        assert!(ran.err.contains("(ENOENT)"), "{ran:#?}");
    }
}

/// Packages and users put links to links: `bin/bwrap` to `libexec/bwrap` to the file, whatever that is called.
#[test]
fn a_front_needs_nothing_beside_it() {
    for (who, _) in boxes("a_front_needs_nothing_beside_it") {
        let folder = Folder::new("fronts-alone", false);
        for name in ["bin", "libexec", "copy"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        folder.program(tool("chainbox"), "libexec/chainbox");
        folder.program(tool("chainbox"), "copy/bwrap");
        symlink("chainbox", folder.join("libexec/bwrap")).unwrap();
        symlink("../libexec/bwrap", folder.join("bin/bwrap")).unwrap();
        symlink(folder.join("bin/bwrap"), folder.join("bwrap")).unwrap();
        for path in ["bwrap", "bin/bwrap", "libexec/bwrap", "copy/bwrap"] {
            for options in ["", "--unshare-all --die-with-parent", "--unshare-user --cap-add ALL --info-fd 2"] {
                let chain = Chain::program(folder.join(path)).env("PATH", "/nowhere").args(["--ro-bind", "/", "/"]);
                let chain = chain.args(options.split_whitespace()).args(["/bin/sh", "-c", "echo $PATH"]);
                let ran = if who == "user" { chain.as_user() } else { chain }.run();
                assert_eq!((ran.code, ran.out.as_str()), (0, "/nowhere\n"), "{who} {path} {options}: {ran:#?}");
            }
        }
    }
}
