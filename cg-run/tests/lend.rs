//! A folder that is lent to a run, and what is removed from it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};

use chainbox_tests::{Chain, Folder, Ran, Tier, USER, is_root, root_or_skip, skip};

/// Lends the folder to `user` around a shell line of root's, or of whoever runs the test.
fn lent(folder: &Folder, ids: [&str; 2], more: &[&str], line: &str) -> Ran {
    let dir = folder.join("dir").display().to_string();
    let words = [&["--no-cgroup", "--lend", &dir, ids[0], ids[1]], more, &["--", "sh", "-c", line]].concat();
    Chain::new("cg-run").args(words).at(folder.join("dir")).run()
}

fn owners(folder: &Folder, names: &[&str]) -> Vec<u32> {
    names.iter().map(|name| fs::symlink_metadata(folder.join("dir").join(name)).unwrap().uid()).collect()
}

#[test]
fn it_belongs_to_the_user_while_the_run_lasts() {
    if !root_or_skip("it_belongs_to_the_user_while_the_run_lasts") {
        return;
    }
    let folder = Folder::new("cg-lend", false);
    fs::create_dir_all(folder.join("dir/sub")).unwrap();
    for name in ["sub/own", "others"] {
        fs::write(folder.join("dir").join(name), "").unwrap();
    }
    chown(folder.join("dir/others"), Some(5), Some(5)).unwrap();
    let [user, root] = [format!("{USER}:{USER}"), "0:0".to_owned()];
    let line = "stat -c %u . sub sub/own others | tr '\\n' ' '; setpriv --reuid 1000 --regid 1000 --clear-groups touch sub/new";
    assert_eq!(lent(&folder, [&user, &root], &[], line).ok(), "1000 1000 1000 1000 ", "root's: all of it");
    assert_eq!(owners(&folder, &[".", "sub", "sub/own", "sub/new", "others"]), [0; 5]);
    // Of an ordinary owner's folder only what is his.
    for name in [".", "sub", "sub/own", "sub/new"] {
        chown(folder.join("dir").join(name), Some(7), Some(7)).unwrap();
    }
    let line = "stat -c %u . sub/own others | tr '\\n' ' '; exit 3";
    let ran = lent(&folder, [&user, "7:7"], &[], line);
    assert_eq!((ran.code, ran.out.as_str()), (3, "1000 1000 0 "), "{ran:?}");
    assert_eq!(owners(&folder, &[".", "sub", "sub/own", "sub/new", "others"]), [7, 7, 7, 7, 0]);
}

#[test]
fn what_is_no_file_is_removed_and_nothing_that_it_leads_to() {
    let folder = Folder::new("cg-special", false);
    fs::create_dir(folder.join("dir")).unwrap();
    fs::create_dir(folder.join("victim")).unwrap();
    fs::write(folder.join("victim/file"), "").unwrap();
    symlink(folder.join("victim"), folder.join("dir/before")).unwrap();
    let me = format!("{}:{}", nix::unistd::geteuid(), nix::unistd::getegid());
    let line = "test ! -L before && mkdir -p a/b && ln -s ../../victim a/b/link && mkfifo a/pipe && touch a/b/file && chmod 0 a/b";
    assert_eq!(lent(&folder, [&me, &me], &[], line).code, 0);
    let special = |name: &str| fs::symlink_metadata(folder.join("dir").join(name)).is_ok();
    fs::set_permissions(folder.join("dir/a/b"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(special("a/b/file") && !special("a/b/link") && !special("a/pipe"));
    assert!(folder.join("victim/file").exists());
    assert_eq!(lent(&folder, [&me, &me], &["--special-files"], "ln -s victim kept").code, 0);
    assert!(special("kept"));
}

/// A mount below is somebody else's; a folder that is a link, or is not there, is none.
#[test]
fn what_cannot_be_lent_is_the_sandboxs_failure() {
    let folder = Folder::new("cg-not-lent", false);
    let me = format!("{}:{}", nix::unistd::geteuid(), nix::unistd::getegid());
    fs::create_dir(folder.join("dir")).unwrap();
    symlink("dir", folder.join("link")).unwrap();
    // By two ways of opening it: whoever is not root may have to change its mode first.
    let link = if is_root() { "(ELOOP)" } else { "(ENOTDIR)" };
    for (name, said) in [("nowhere", "No such file or directory"), ("link", link)] {
        let path = folder.join(name).display().to_string();
        let report = folder.join("report").display().to_string();
        let words = ["--no-cgroup", "--as-isolate", "--report", &report, "--lend", &path, &me, &me, "--", "true"];
        let ran = Chain::new("cg-run").args(words).run();
        assert!(ran.code == 125 && ran.err.contains(said), "{ran:?}");
        let meta = fs::read_to_string(folder.join("report")).unwrap();
        assert!(meta.starts_with("status:XX\nmessage:lend ") && meta.contains(said), "{meta}");
    }
    if !is_root() {
        return skip(Tier::Root, "what_cannot_be_lent_is_the_sandboxs_failure", "not root: no mount");
    }
    fs::create_dir(folder.join("dir/mount")).unwrap();
    let dir = folder.join("dir").display().to_string();
    let line = format!("mount -t tmpfs t {dir}/mount && exec cg-run --no-cgroup --lend {dir} 7:7 0:0 -- true");
    Chain::program("unshare").args(["-m", "sh", "-c", &line]).run().fails(125, "(EXDEV)");
}
