//! Standard files that the gate opens, and a program that cannot be executed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use chainbox_tests::{Chain, Folder, USER, root_or_skip};

fn gate(folder: &Folder, line: &str) -> Chain {
    Chain::new("seccomp-exec").args(line.split_whitespace()).at(folder.path())
}

#[test]
fn files_are_opened_in_their_places() {
    let folder = Folder::new("gate-standard", false);
    fs::write(folder.join("in"), "input\n").unwrap();
    fs::write(folder.join("out"), "older and longer\n").unwrap();
    let line = "--filter default --stderr-to-stdout --stdin in --stdout out -- sh ./script";
    fs::write(folder.join("script"), "cat; echo error >&2; ls /proc/self/fd | wc -l\n").unwrap();
    gate(&folder, line).run().ok();
    assert_eq!(fs::read_to_string(folder.join("out")).unwrap(), "input\nerror\n4\n");
    gate(&folder, "--stdout new --stderr err -- sh -c pwd;nothing").run().fails(127, "");
    assert!(fs::read_to_string(folder.join("err")).unwrap().contains("nothing"));
    let said = gate(&folder, "--explain --stdin in --stderr-to-stdout -- true").run().ok();
    assert!(said.contains("open in as standard input") && said.contains("make standard error what standard output is"));
}

#[test]
fn links_of_proc_and_pipes_are_refused() {
    let folder = Folder::new("gate-links", false);
    symlink("/proc/self/fd/1", folder.join("magic")).unwrap();
    Chain::program("mkfifo").args([folder.join("pipe")]).run().ok();
    for (line, said) in [
        ("--stdout magic -- true", "open magic as standard output: openat2 magic"),
        ("--stdin /proc/self/fd/0 -- true", "(ELOOP)"),
        ("--stdin pipe -- true", "pipe: a pipe"),
        ("--stdout pipe -- true", "(ENXIO)"),
        ("--stdin nowhere -- true", "(ENOENT)"),
        ("--stdout . -- true", "(EISDIR)"),
        ("--stderr a --stderr-to-stdout -- true", "one of them"),
        ("--not-executed 0 -- true", "not an exit status"),
        ("--not-executed 256 -- true", "not an exit status"),
    ] {
        gate(&folder, line).run().fails(125, said);
    }
}

/// With the ids of the program, and without a capability.
#[test]
fn files_are_opened_with_the_programs_rights() {
    if !root_or_skip("files_are_opened_with_the_programs_rights") {
        return;
    }
    let folder = Folder::new("gate-rights", true);
    fs::write(folder.join("secret"), "").unwrap();
    fs::set_permissions(folder.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let user = format!("--user {USER}:{USER}");
    gate(&folder, &format!("{user} --stdin secret -- true")).run().fails(125, "(EACCES)");
    gate(&folder, &format!("{user} --stdout mine -- id -u")).run().ok();
    assert_eq!(fs::read_to_string(folder.join("mine")).unwrap(), format!("{USER}\n"));
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder.join("mine")).unwrap()), USER);
}

#[test]
fn a_program_that_is_missing_can_be_its_own_fault() {
    let folder = Folder::new("gate-missing", false);
    fs::write(folder.join("text"), "x").unwrap();
    for (program, why) in [("./nowhere", "No such file or directory"), ("./text", "Permission denied")] {
        let ran = gate(&folder, &format!("--filter default --stderr err --not-executed 99 -- {program}")).run();
        assert_eq!((ran.code, ran.err.as_str()), (99, ""), "{ran:?}");
        assert_eq!(fs::read_to_string(folder.join("err")).unwrap(), format!("execve(\"{program}\"): {why}\n"));
        // Nobody above hears of a fault.
        let words = format!("--no-cgroup --status -- seccomp-exec --not-executed 99 -- {program}");
        let ran = Chain::new("cg-run").args(words.split_whitespace()).at(folder.path()).run();
        ran.fails(99, "RE: Exited with error status 99");
        let words = format!("--no-cgroup --status -- seccomp-exec -- {program}");
        let ran = Chain::new("cg-run").args(words.split_whitespace()).at(folder.path()).run();
        assert!(ran.err.contains("XX: "), "{ran:?}");
    }
}
