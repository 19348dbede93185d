//! Boxes: made, in use, somebody's, taken away.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::Stdio;

use chainbox_tests::{USER, is_root, root_or_skip};

use crate::{Judge, everybody};

#[test]
fn a_box_is_made_used_and_taken_away() {
    everybody("life", |judge| {
        judge.run("--run /bin/true").fails(2, "box 0 is not there");
        judge.run("--cleanup").ok();
        let inner = judge.init();
        assert_eq!(fs::metadata(&inner).unwrap().mode() & 0o7777, 0o700);
        fs::write(inner.join("input"), "6 7\n").unwrap();
        judge.shell("", "read a b <input; echo $((a * b)) >output").ok();
        assert_eq!(fs::read_to_string(inner.join("output")).unwrap(), "42\n");
        let owner = fs::metadata(inner.join("output")).unwrap().uid();
        assert_eq!(owner, fs::metadata(judge.folder.join("boxes")).unwrap().uid(), "it is the caller's");
        assert_eq!(judge.shell("", "cat output").ok(), "42\n", "the next run finds what the last one left");
        judge.run("--box-id=1 --run /bin/true").fails(2, "box 1 is not there");
        assert_eq!(judge.init(), inner, "made again, it is empty");
        judge.run("--cleanup").ok();
        assert!(!inner.exists() && !judge.folder.join("boxes/0").exists());
        judge.run("--cleanup").ok();
        judge.run("--run /bin/true").fails(2, "box 0 is not there");
    });
}

#[test]
fn a_box_in_use_is_refused_or_waited_for() {
    everybody("lock", |judge| {
        let inner = judge.init();
        let words = ["-p", "--run", "--", "/bin/sh", "-c", "echo started; read line; echo first >order"];
        let mut first = judge.isolate(words);
        let mut first = first.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut started = [0; 8];
        first.stdout.as_mut().unwrap().read_exact(&mut started).unwrap();
        for line in ["--run /bin/true", "--cleanup", "--init"] {
            judge.run(line).fails(2, "This box is currently in use");
        }
        judge.run("-M meta --run /bin/true").fails(2, "in use");
        let meta = fs::read_to_string(judge.folder.join("meta")).unwrap();
        assert_eq!(meta, "status:XX\nmessage:This box is currently in use\n");
        let mut second = judge.isolate(["--wait", "-p", "--run", "--", "/bin/sh", "-c", "echo second >>order"]);
        let mut second = second.command().spawn().unwrap();
        drop(first.stdin.take());
        assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
        assert_eq!(fs::read_to_string(inner.join("order")).unwrap(), "first\nsecond\n");
    });
}

/// What a hostile program leaves is taken away, and nothing that it points to.
#[test]
fn cleanup_follows_nothing() {
    everybody("hostile", |judge| {
        let inner = judge.init();
        let victim = judge.folder.join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("precious"), "").unwrap();
        let line = format!(
            "ln -s {0} link; ln -s / root; mkfifo pipe; mkdir -p a/b; ln -s {0} a/b/link; chmod 0 a/b a; touch -- -rf '*'",
            victim.display()
        );
        judge.shell("--special-files", &line).ok();
        assert!(fs::symlink_metadata(inner.join("link")).unwrap().is_symlink());
        let mode = fs::metadata(&victim).unwrap().mode();
        judge.run("--cleanup").ok();
        assert!(!inner.exists() && victim.join("precious").exists());
        assert_eq!(fs::metadata(&victim).unwrap().mode(), mode);
    });
}

/// Without being asked no link, pipe or socket stays: who fetches the output may open what is there.
#[test]
fn special_files_go_before_anybody_opens_them() {
    everybody("special", |judge| {
        let inner = judge.init();
        symlink("/etc/passwd", inner.join("planted")).unwrap();
        let line = "test ! -e planted && test ! -L planted && mkdir -p a/b/c && ln -s /etc/shadow a/b/out && mkfifo a/b/c/p \
                    && touch a/b/c/file && chmod 0 a/b/c && chmod 0 a && chmod 0500 .";
        judge.shell("", line).ok();
        // As whoever made them may look again.
        for folder in ["a", "a/b/c"] {
            std::process::Command::new("chmod").args(["u+rwx"]).arg(inner.join(folder)).status().unwrap();
        }
        assert!(inner.join("a/b/c/file").exists());
        for gone in ["planted", "a/b/out", "a/b/c/p"] {
            assert!(fs::symlink_metadata(inner.join(gone)).is_err(), "{gone}");
        }
    });
}

#[test]
fn a_tree_of_any_depth_is_taken_back() {
    everybody("deep", |judge| {
        let inner = judge.init();
        let line = "d=d/d/d/d/d/d/d/d/d/d; d=$d/$d/$d/$d/$d/$d/$d/$d/$d/$d; n=0; \
                    while [ $n -lt 30 ]; do mkdir -p $d && cd -P $d || exit 9; n=$((n + 1)); done; ln -s / l; exit 0";
        assert_eq!(judge.shell("", line).code, 0);
        assert!(inner.join("d/d/d").exists());
        judge.shell("", "exit 0").ok();
        judge.run("--cleanup").ok();
        assert!(!inner.exists());
    });
}

/// Root acts for a user, to whom the box belongs but while a program runs in it.
#[test]
fn root_makes_boxes_for_others() {
    if !root_or_skip("root_makes_boxes_for_others") {
        return;
    }
    let judge = Judge::new("others", false);
    judge.configure("restricted_init = 1\n");
    let me = format!("--as-uid={USER} --as-gid={USER}");
    judge.run(&format!("{me} --init")).ok();
    let inner = judge.folder.join("boxes/0/box");
    let listed = chainbox_tests::Chain::program("ls").args([&inner]).as_user().run();
    assert_eq!(listed.ok(), "", "he gets at it");
    fs::write(inner.join("mine"), "").unwrap();
    std::os::unix::fs::chown(inner.join("mine"), Some(USER), Some(USER)).unwrap();
    fs::write(inner.join("roots"), "").unwrap();
    let words = format!("{me} -p --run -- /bin/sh -c").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let ran = judge.isolate(words.iter().map(String::as_str).chain(["id -u; echo >new; echo >>mine"])).run();
    let id = ran.ok().trim_end().parse::<u32>().unwrap();
    assert!(id != USER && id != 0, "{id}");
    for (name, owner) in [("new", USER), ("mine", USER), ("roots", 0), (".", USER)] {
        assert_eq!(fs::metadata(inner.join(name)).unwrap().uid(), owner, "{name}");
    }
    fs::write(judge.folder.join("roots"), "stays").unwrap();
    judge.run(&format!("{me} -M roots --run /bin/true")).fails(2, "root would open a file that the user names");
    assert_eq!(fs::read_to_string(judge.folder.join("roots")).unwrap(), "stays");
    judge.run("--as-uid=1001 --as-gid=1001 --run /bin/true").fails(2, "box 0 belongs to user 1000");
    judge.run("--as-uid=1001 --as-gid=1001 --cleanup").fails(2, "box 0 belongs to user 1000");
    judge.run("--run /bin/true").ok();
    judge.run(&format!("{me} --cleanup")).ok();
}

/// In a user namespace root gives a box an id that is there; alone in it, he is as any user; and no box is ever root's.
#[test]
fn root_of_a_user_namespace_names_ids_that_are_there() {
    if !root_or_skip("root_of_a_user_namespace_names_ids_that_are_there") {
        return;
    }
    let judge = Judge::new("namespace", false);
    let tool = chainbox_tests::tool("ns-unshare").display().to_string();
    let within = |maps: [&str; 2], words: &str| {
        let words = words.split_whitespace().chain(if words.contains("-c") { Some("id -u; echo >new") } else { None });
        let options = ["--user", "--map-users", maps[0], "--map-groups", maps[1], "--keep-caps", "--"];
        judge.isolate(words).within(&tool, &options).run()
    };
    let many = ["0:0:65536"; 2];
    judge.configure("first_uid = 70000\n");
    let refused = within(many, "--init");
    refused
        .fails(2, "box 0 has the ids 70000 and 70000, which are none in this user namespace (first_uid and first_gid");
    judge.configure("first_uid = 60000\n");
    within(many, "--init").ok();
    assert_eq!(within(many, "-p --run -- /bin/sh -c").ok(), "60000\n");
    within(["0:0:1"; 2], "--init").ok();
    assert_eq!(within(["0:0:1"; 2], "-p --run -- /bin/sh -c").ok(), "0\n", "his own, in one more user namespace");
    judge.configure("first_uid = 0\n");
    judge.run("--run /bin/true").fails(2, "box 0 would be root's own id");
}

/// A file of root's that has a second name somewhere else stays root's.
#[test]
fn a_file_with_another_name_is_not_lent() {
    if !root_or_skip("a_file_with_another_name_is_not_lent") {
        return;
    }
    let judge = Judge::new("names", false);
    let inner = judge.init();
    let precious = judge.folder.join("precious");
    fs::write(&precious, "stays").unwrap();
    fs::hard_link(&precious, inner.join("data")).unwrap();
    let ran = judge.shell("", "cat data; echo x >data");
    assert!(ran.out == "stays" && ran.err.contains("data: Permission denied"), "{ran:?}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "stays");
}

#[test]
fn folders_that_are_not_the_callers_alone_are_refused() {
    everybody("folders", |judge| {
        judge.init();
        let boxes = judge.folder.join("boxes");
        std::process::Command::new("chmod").arg("go+w").arg(&boxes).status().unwrap();
        judge.run("--init").fails(2, "not a folder of this user's alone");
        fs::remove_dir_all(&boxes).unwrap();
        symlink(judge.folder.join("elsewhere"), &boxes).unwrap();
        fs::create_dir(judge.folder.join("elsewhere")).unwrap();
        judge.run("--init").fails(2, "is a symbolic link, which is not followed");
        assert!(fs::read_dir(judge.folder.join("elsewhere")).unwrap().next().is_none());
    });
}

#[test]
fn the_configuration_says_which_boxes_there_are() {
    everybody("configuration", |judge| {
        judge.configure("num_boxes = 2\n");
        judge.run("-b 2 --init").fails(2, "--box-id 2: not a number from 0 to 1");
        judge.run("-b 1 --init").ok();
        judge.run("--check-config").ok();
        let shown = judge.run("--check-config -vv").ok();
        assert!(shown.contains("num_boxes: Some(\n        2,\n    )"), "{shown}");
        judge.configure("cg_root = /sys/fs/cgroup/boxes\n");
        assert_eq!(judge.run("--print-cg-root").ok(), "/sys/fs/cgroup/boxes\n");
        judge.configure(&format!("cg_root = auto:{}/where\n", judge.folder.path().display()));
        judge.run("--print-cg-root").fails(2, "where: No such file or directory");
        fs::write(judge.folder.join("where"), "/sys/fs/cgroup/kept\n").unwrap();
        assert_eq!(judge.run("--print-cg-root").ok(), "/sys/fs/cgroup/kept\n");
        judge.configure("no_such = 1\n");
        judge.run("--check-config").fails(2, "conf:4: no_such: no key");
        judge.run("--init").fails(2, "conf:4: no_such: no key");
        judge.configure("restricted_init = 1\n");
        let made = judge.run("-b 3 --init");
        assert_eq!(made.code, if judge.user { 2 } else { 0 }, "{made:?}");
        if is_root() && !judge.user {
            judge.configure("first_uid = 70000\nfirst_gid = 80000\n");
            judge.run("-b 3 --init").ok();
            let out = judge.isolate("-b 3 -p --run -- /bin/sh -c".split(' ').chain(["id -u; id -g"])).run().ok();
            assert_eq!(out, "70003\n80003\n");
        }
    });
}
