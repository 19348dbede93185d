//! Plans from files, descriptors and standard input, with names of any bytes; `--explain` and `--check` change nothing.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use chainbox_tests::{Chain, Folder, tool};

use crate::support::{Who, host_state, people, words};

#[test]
fn a_plan_comes_from_a_file_a_descriptor_or_standard_input() {
    for who in people("a_plan_comes_from_a_file_a_descriptor_or_standard_input") {
        let line = "printf 'x /link symlink\\n${A} /b symlink\\n' | A='y z' $PLAN --preset host-ro --plan - -- readlink /link /b; \
                    printf 'z /link symlink\\n' >$D/plan; exec 5<$D/plan; \
                    exec $PLAN --preset host-ro --plan-fd 5 -- sh -c 'readlink /link; test ! -e /proc/self/fd/5'";
        let folder = Folder::new(&format!("mp-stdin-{who:?}"), who == Who::User);
        // The first of the two is not the first process of its PID namespace, which shares its mounts.
        let line = line.replacen("$PLAN", "unshare --mount $PLAN", 1);
        let ran = who.script(&line).env("D", folder.path()).run();
        assert_eq!(ran.ok(), "x\ny z\nz\n", "{who:?}");
    }
}

#[test]
fn names_may_be_any_bytes() {
    for who in people("names_may_be_any_bytes") {
        let folder = Folder::new(&format!("mp-bytes-{who:?}"), who == Who::User);
        let name = OsString::from_vec(b"a\xff b".to_vec());
        fs::write(folder.join(&name), "raw").unwrap();
        let target = OsString::from_vec(b"/t/\xfe\n".to_vec());
        let ran = who
            .host([OsString::from("--ro-bind"), folder.join(&name).into_os_string(), target.clone()])
            .args([OsString::from("--"), "cat".into(), target.clone()])
            .run();
        assert_eq!(ran.ok(), "raw");
        let mut plan = folder.join(&name).into_os_string().into_vec();
        plan = plan.iter().flat_map(|b| if *b == b' ' { b"\\040".to_vec() } else { vec![*b] }).collect();
        plan.extend_from_slice(b" /t/\xfe\\012 none bind,ro\n");
        fs::write(folder.join("plan"), plan).unwrap();
        let ran =
            who.host(["--plan"]).args([folder.join("plan")]).args([OsString::from("--"), "cat".into(), target]).run();
        assert_eq!(ran.ok(), "raw");
    }
}

#[test]
fn explain_and_check_change_nothing_and_need_no_privilege() {
    let folder = Folder::new("mp-explain", true);
    let before = host_state(folder.path());
    let line = "--ro-bind /no/such /a --tmp-overlay /usr /b --dev /dev --proc /proc --chdir /b -- rlimit-exec --core 0 -- payload";
    let out = Chain::new("mount-plan").args(["--explain"]).args(words(line)).as_user().run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 12, "{out}");
    assert!(
        lines[0].starts_with("mount-plan: 1. carry ")
            && lines[0].contains("rlimit-exec as a read-only clone  [open_tree(")
    );
    assert_eq!(
        lines[3],
        "mount-plan: 4. bind /no/such on /a (ro,nosuid,nodev)  [open_tree(/no/such, OPEN_TREE_CLONE|AT_RECURSIVE), \
         mount_setattr(ro,nosuid,nodev), openat2(/a), move_mount]"
    );
    assert_eq!(lines[11], "payload: payload");
    let json = Chain::new("mount-plan").args(words("--explain=json --tmpfs /a -- x")).run().ok();
    assert!(json.lines().all(|line| line.starts_with('{')) && json.lines().count() == 7, "{json}");
    assert_eq!(
        Chain::new("mount-plan").args(words("--check --ro-bind /usr /a --proc /p -- x")).as_user().run().ok(),
        ""
    );
    Chain::new("mount-plan").args(words("--check --bind /no/such /a -- x")).run().fails(125, "open /no/such");
    assert_eq!(host_state(folder.path()), before);
}

/// A link that leads nowhere is there for ls(1): what is not there is named.
#[test]
fn a_dangling_link_is_no_source() {
    let folder = Folder::new("mp-dangling", true);
    let link = folder.join("link");
    std::os::unix::fs::symlink("../run/nowhere", &link).unwrap();
    let hint = format!("(ENOENT)\nhint: {} is a symbolic link to ../run/nowhere, which is not there", link.display());
    for word in ["--ro-bind", "--file"] {
        let line = format!("--check {word} {} /a -- x", link.display());
        Chain::new("mount-plan").args(words(&line)).run().fails(125, &hint);
    }
}

#[test]
fn verbose_says_each_step_and_pages_are_printed() {
    for who in people("verbose_says_each_step_and_pages_are_printed") {
        let ran = who.host(words("-v --tmpfs /t --chdir /t -- true")).run();
        assert!(
            ran.err.contains("us mount tmpfs on /t (nosuid,nodev)\n") && ran.err.contains("us enter /t\n"),
            "{ran:?}"
        );
    }
    let man = Chain::new("mount-plan").args(["--man"]).run().ok();
    for heading in ["PROCESS MODEL", "EQUIVALENT", "EXAMPLES", "SECURITY"] {
        assert!(man.contains(&format!(".SH {heading}\n")), "{heading}");
    }
    for chain in [Chain::new("mount-plan"), Chain::new("mount-plan").as_user()] {
        let features = chain.args(["--features"]).run().ok();
        assert!(features.lines().count() >= 13 && features.contains("openat2: yes, Linux 5.6\n"), "{features}");
    }
    assert!(tool("mount-plan").exists());
}
