//! What crosses the root change: one file without a path, and nothing else (docs/adr/0003).

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use chainbox_tests::{Chain, Folder, USER, bin, is_root, tool};

use crate::support::{Who, copy_tool, people, program};

/// A root for hostile things: a directory with the host's programs bound by the plan around it.
fn hostile(test: &str, who: Who) -> Folder {
    Folder::new(&format!("mp-{test}-{who:?}"), who == Who::User)
}

#[test]
fn a_tool_beside_is_carried_and_its_payload_is_of_the_new_root() {
    for who in people("a_tool_beside_is_carried_and_its_payload_is_of_the_new_root") {
        let line = "ulimit -c; test ! -e /work; test ! -e /home; echo in";
        let out = who.host(["--", "rlimit-exec", "--core", "0", "--", "sh", "-c", line]).run().ok();
        assert_eq!(out, "0\nin\n", "{who:?}");
        let by_path = tool("rlimit-exec");
        let out =
            who.host(["--carry", "sealed", "--"]).args([&by_path]).args(["--core", "0", "--", "echo", "sealed"]).run();
        assert_eq!(out.ok(), "sealed\n", "{who:?}");
        let out = who.host(["--"]).args([&by_path]).args(["--core", "0", "--", "echo", "clone"]).run();
        assert_eq!(out.ok(), "clone\n", "{who:?}");
    }
}

/// A tool of ours is never found by name in the new root, whatever stands in its PATH.
#[test]
fn a_fake_tool_in_the_roots_path_is_never_executed() {
    for who in people("a_fake_tool_in_the_roots_path_is_never_executed") {
        let folder = hostile("fake", who);
        for name in ["rlimit-exec", "seccomp-exec", "cg-run"] {
            program(&folder.join(name), "#!/bin/sh\necho fake\n");
        }
        let source = folder.path().to_str().unwrap();
        let bound = ["--ro-bind", source, "/fake", "--"];
        let path = format!("{}:/fake:/usr/bin:/bin", bin().display());
        let run = |args: &[&str]| who.host(bound).args(args).env("PATH", &path).run();
        assert_eq!(run(&["rlimit-exec", "--core", "0", "--", "echo", "real"]).ok(), "real\n");
        // A tool that does not stand beside mount-plan: refused, not searched for in the new root.
        let elsewhere = Folder::new(&format!("mp-alone-{who:?}"), who == Who::User);
        copy_tool("mount-plan", &elsewhere.join("mount-plan"));
        let ran = who
            .namespaces(&[], [elsewhere.join("mount-plan")])
            .args(["--preset", "host-ro"])
            .args(bound)
            .args(["rlimit-exec", "--core", "0", "--", "echo", "x"])
            .env("PATH", &path)
            .run();
        // Where the file is all of the tools, it is that one too.
        if fs::canonicalize(tool("mount-plan")).unwrap() == fs::canonicalize(tool("rlimit-exec")).unwrap() {
            assert_eq!(ran.ok(), "x\n");
        } else {
            ran.fails(125, "mount-plan: rlimit-exec: no tool of that name is carried");
            assert_eq!(ran.out, "");
        }
        let ran = who.host(["--carry", "no"]).args(bound).args(["rlimit-exec", "--", "true"]).env("PATH", &path).run();
        ran.fails(125, "no tool of that name is carried");
        // The one that was carried refuses to look for another one by name.
        let ran = run(&["rlimit-exec", "--core", "0", "--", "cg-run", "--", "echo", "x"]);
        ran.fails(125, "cg-run: a tool of this family is not looked up by name in the new root");
        assert_eq!(ran.out, "");
    }
}

#[test]
fn only_a_static_program_is_carried() {
    for who in people("only_a_static_program_is_carried") {
        let ran = who.host(["--carry", "clone", "--", "ls"]).run();
        ran.fails(125, "a dynamic program, whose loader would come from the new root");
        let folder = hostile("static", who);
        program(&folder.join("text"), "#!/bin/sh\n");
        let ran = who.host(["--carry", "sealed", "--"]).args([folder.join("text")]).run();
        ran.fails(125, "not an ELF program");
        let ran = who.host(["--carry", "clone", "--", "no-such-program"]).run();
        ran.fails(127, "no-such-program: not found in PATH");
    }
}

/// The loader of the new root is the enemy's: the carried link must not take it.
#[test]
fn a_fake_loader_in_the_new_root_is_not_used_by_the_carried_link() {
    for who in people("a_fake_loader_in_the_new_root_is_not_used_by_the_carried_link") {
        let folder = hostile("loader", who);
        fs::create_dir_all(folder.join("lib64")).unwrap();
        program(&folder.join("lib64/ld-linux-x86-64.so.2"), "#!/bin/sh\necho loader\n");
        fs::create_dir(folder.join("static")).unwrap();
        copy_tool("rlimit-exec", &folder.join("static/rlimit-exec"));
        let root = folder.path().to_str().unwrap();
        let ran = who
            .plan([
                "--ro-bind",
                root,
                "/",
                "--",
                "rlimit-exec",
                "--core",
                "0",
                "--",
                "/static/rlimit-exec",
                "--version",
            ])
            .run();
        assert!(ran.clone().ok().starts_with("rlimit-exec "), "{ran:?}");
    }
}

/// CVE-2019-5736: an older process of the same PID namespace, root on the same ids, finds the carried link by
/// /proc/PID/exe, while it runs and after it has ended. The link is held by its own -v, whose pipe is full (how much
/// that is depends on who else has pipes, pipe(7)).
const WATCHER: &str = r#"
    cd "$D"; mkfifo pipe; exec 9<>pipe; dd if=/dev/zero of=pipe bs=4096 oflag=nonblock 2>/dev/null
    unshare --mount bin/mount-plan --carry $HOW --preset host-ro -- rlimit-exec -v --core 0 -- true 2>&9 &
    link=$!
    for n in $(seq 500); do
        tr '\0' ' ' </proc/$link/cmdline | grep -q '^rlimit-exec ' && break; sleep 0.02
    done
    readlink /proc/$link/exe
    exec 8</proc/$link/exe
    for file in /proc/$link/exe /proc/self/fd/8; do
        (echo evil >$file) 2>>log; echo "write $?"
        [ $HOW = sealed ] || { (chmod 777 $file) 2>>log; echo "chmod $?"; }
    done
    dd if=pipe of=/dev/null bs=4096 iflag=nonblock 2>/dev/null
    wait $link; echo "ended $?"
    (echo evil >/proc/self/fd/8) 2>>log; echo "write $?"
    rm pipe
"#;

#[test]
fn the_carried_file_cannot_be_written_through_proc() {
    for who in people("the_carried_file_cannot_be_written_through_proc") {
        let folder = hostile("exe", who);
        fs::create_dir(folder.join("bin")).unwrap();
        for name in ["mount-plan", "rlimit-exec"] {
            copy_tool(name, &folder.join("bin").join(name));
        }
        for path in ["bin", "bin/mount-plan", "bin/rlimit-exec"] {
            if who == Who::User && is_root() {
                chown(folder.join(path), Some(USER), Some(USER)).unwrap();
            }
        }
        let link = folder.join("bin/rlimit-exec");
        let (before, mode) = (fs::read(&link).unwrap(), fs::metadata(&link).unwrap().permissions());
        for how in ["clone", "sealed"] {
            let ran =
                who.namespaces(&["--mount-proc"], ["sh", "-c", WATCHER]).env("D", folder.path()).env("HOW", how).run();
            let name = if how == "clone" { "/\n" } else { "/memfd:rlimit-exec (deleted)\n" };
            let tries = if how == "clone" { "write 2\nchmod 1\n" } else { "write 2\n" };
            assert_eq!(ran.clone().ok(), format!("{name}{tries}{tries}ended 0\nwrite 2\n"), "{who:?} {ran:?}");
        }
        assert!(fs::read(&link).unwrap() == before, "the link's own file was written");
        assert_eq!(fs::metadata(&link).unwrap().permissions(), mode);
    }
}

/// CVE-2019-5736 once more: the payload names the link's own executable as its interpreter, or is a link to it.
#[test]
fn a_payload_that_is_the_links_own_executable_is_refused() {
    for who in people("a_payload_that_is_the_links_own_executable_is_refused") {
        let folder = hostile("self", who);
        program(&folder.join("script"), "#!/proc/self/exe\n");
        program(&folder.join("twice"), "#!/s/script\n");
        symlink("/proc/self/exe", folder.join("link")).unwrap();
        program(&folder.join("through"), "#!/s/link\n");
        for (name, loader) in [("loaded", "/proc/self/exe"), ("loaded-by-link", "/s/link")] {
            let path = folder.join(name);
            fs::write(&path, chainbox_tests::loaded_by(loader)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        program(&folder.join("script-of-loaded"), "#!/s/loaded\n");
        let source = folder.path().to_str().unwrap();
        let loaded = ["/s/loaded", "/s/loaded-by-link", "/s/script-of-loaded"];
        let named = ["/s/script", "/s/twice", "/s/link", "/s/through", "/proc/self/exe", "/proc/1/exe"];
        for payload in named.into_iter().chain(loaded) {
            let ran = who.host(["--proc", "/proc", "--ro-bind", source, "/s", "--", payload]).run();
            ran.fails(126, "leads through a magic link of /proc");
            assert_eq!(ran.out, "");
        }
    }
}

#[test]
fn the_payload_has_descriptors_0_1_2_and_those_kept() {
    for who in people("the_payload_has_descriptors_0_1_2_and_those_kept") {
        let ls = "ls /proc/1/fd";
        let line = |keep: &str| {
            format!(
                "exec 7</etc/passwd 8</etc; exec $PLAN {keep} --preset host-ro --proc /proc --dev /dev -- sh -c \"{ls}\""
            )
        };
        assert_eq!(who.script(&line("")).run().ok(), "0\n1\n2\n", "{who:?}");
        assert_eq!(who.script(&line("--keep-fd 7")).run().ok(), "0\n1\n2\n7\n", "{who:?}");
        who.script(&line("--keep-fd 8")).run().fails(125, "descriptor 8 is a directory of the old root");
        let closed = "exec $PLAN --preset host-ro --proc /proc -- sh -c 'ls /proc/1/fd' <&-";
        assert_eq!(who.script(closed).run().ok(), "1\n2\n", "{who:?}");
        who.script("exec $PLAN --preset host-ro -- true </etc").run().fails(125, "descriptor 0 is a directory");
    }
}

#[test]
fn the_working_directory_cannot_be_outside() {
    for who in people("the_working_directory_cannot_be_outside") {
        let line =
            |dir: &str| format!("exec 7</etc; cd /; exec $PLAN --preset host-ro --proc /proc --chdir {dir} -- pwd");
        for dir in ["/proc/self/fd/7", "/proc/1/cwd", "/proc/self/root"] {
            let ran = who.script(&line(dir)).run();
            assert!(ran.code == 125 && ran.err.contains("RESOLVE_NO_MAGICLINKS"), "{who:?} {dir}: {ran:?}");
        }
        let out =
            who.host(["--proc", "/proc", "--", "sh", "-c", "cd ../../..; pwd -P; ls .. | tr '\\n' ' '"]).run().ok();
        assert!(out.starts_with("/\n") && !out.contains("home"), "{out}");
    }
}

#[test]
fn a_payload_is_looked_up_in_the_new_root_only() {
    for who in people("a_payload_is_looked_up_in_the_new_root_only") {
        let folder = hostile("path", who);
        program(&folder.join("only-outside"), "#!/bin/sh\necho outside\n");
        let path = format!("{}:/usr/bin", folder.path().display());
        let ran = who.host(["--", "only-outside"]).env("PATH", &path).run();
        let hint = format!("hint: PATH has {}, which is not there in this root\n", folder.path().display());
        ran.fails(127, &format!("mount-plan: only-outside: not found in PATH\n{hint}"));
        let ran = who.host(["--", "seccomp-exec", "only-outside"]).env("PATH", &path).run();
        ran.fails(127, &format!("seccomp-exec: only-outside: not found in PATH\n{hint}"));
        let ran = who.host(["--", "only-outside"]).env("PATH", "/usr/bin:/bin").run();
        ran.fails(127, "mount-plan: only-outside: not found in PATH\nhint: PROG is looked up in the new root\n");
        let inside = who
            .host(["--ro-bind"])
            .args([folder.path()])
            .args(["/in", "--", "only-outside"])
            .env("PATH", "/in:/usr/bin:/bin");
        assert_eq!(inside.run().ok(), "outside\n");
    }
}

#[test]
fn the_old_root_is_gone() {
    for who in people("the_old_root_is_gone") {
        let out = who.host(["--proc", "/proc", "--", "cat", "/proc/1/mountinfo"]).run().ok();
        let points: Vec<&str> = out.lines().map(|line| line.split(' ').nth(4).unwrap()).collect();
        assert_eq!(points.iter().filter(|point| **point == "/").count(), 1, "{out}");
        assert!(
            points.iter().all(|p| *p == "/"
                || p.starts_with("/usr")
                || p.starts_with("/etc")
                || p.starts_with("/lib")
                || p.starts_with("/bin")
                || p.starts_with("/sbin")
                || p.starts_with("/var/lib/")
                || *p == "/proc"),
            "{out}"
        );
    }
}

/// Whoever shares the namespace would lose his root: the machine, and the shell of an `unshare --mount sh`.
#[test]
fn a_namespace_that_others_share_is_refused() {
    // If the guard were broken, this machine's root would be gone: so it is asked in a namespace that can be lost.
    for who in people("a_namespace_that_others_share_is_refused") {
        let ran = who.script("$PLAN --preset host-ro -- true && echo lost; ls -d /tmp; exit 3").run();
        assert_eq!(ran.out, "/tmp\n", "{ran:?}");
        ran.fails(3, "this mount namespace is not this chain's own: the process that started it shares it\nhint: ");
        let ran =
            who.script("sh -c 'exec setsid -w unshare --fork $PLAN --preset host-ro -- true' || ls -d /tmp").run();
        assert!(ran.out == "/tmp\n" && ran.err.contains("shares it"), "{ran:?}");
        // The first process of the PID namespace shares it, the parent does not see it.
        let line =
            "(unshare --mount sh -c 'exec nsenter --mount=/proc/1/ns/mnt $PLAN --preset host-ro -- true'); ls -d /tmp";
        let ran = who.namespaces(&["--mount-proc"], ["sh", "-c", line]).env("PLAN", tool("mount-plan")).run();
        assert!(ran.out == "/tmp\n" && ran.err.contains("shares it"), "{ran:?}");
    }
}

#[test]
fn an_ordinary_user_in_the_machines_own_namespace_is_refused() {
    let ran = Chain::new("mount-plan").as_user().args(["--preset", "host-ro", "--", "true"]).run();
    ran.fails(125, "this mount namespace is not this chain's own");
    assert!(ran.err.contains("hint: run it directly under ns-unshare --mount"), "{ran:?}");
}
