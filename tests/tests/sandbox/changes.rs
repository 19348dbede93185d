//! What a command changes: where, and what of it the host keeps.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;

use chainbox_tests::machine::Machine;
use chainbox_tests::{Folder, USER, busybox_or_skip, is_root, wait_for};

use crate::{Place, everybody, in_a_folder, own};

/// The owner of what a box leaves on the host is who runs it: a setuid file would be his hand for anybody.
#[test]
fn what_a_box_leaves_on_the_host_is_never_setuid() {
    everybody("setuid", |place| {
        let out = place.work().join("../home/out");
        fs::create_dir(&out).unwrap();
        own(&out, place.user);
        let out = fs::canonicalize(out).unwrap();
        let path = out.to_str().unwrap();
        let line = format!(
            "for f in {path}/s kept; do cp /usr/bin/env $f; for m in u+s g+s 4755 2755; do chmod $m $f && echo $m; done; done \
             2>/dev/null; chmod 755 kept; :"
        );
        assert_eq!(place.run(&["--rw", path, "--keep", "k", "--", "sh", "-c", &line]).ok(), "");
        for file in [out.join("s"), place.folder.join("state/chainbox/k/upper/kept")] {
            let facts = fs::metadata(&file).unwrap();
            assert_eq!((facts.mode() & 0o7777, facts.uid()), (0o755, if place.user { USER } else { 0 }), "{file:?}");
        }
    });
}

/// The bit of a file that is there already outlives a write through a mapping.
#[test]
fn a_setuid_file_is_not_for_the_box_to_change() {
    everybody("was-setuid", |place| {
        let (tree, file) = (place.folder.join("home/tree"), place.folder.join("home/tree/file"));
        fs::create_dir(&tree).unwrap();
        fs::write(&file, "").unwrap();
        [&tree, &file].into_iter().for_each(|path| own(path, place.user));
        for mode in [0o4755, 0o2755] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            for path in [&file, &tree] {
                let ran = place.run(&["--rw", path.to_str().unwrap(), "--", "true"]);
                ran.fails(125, &format!("{} is set-user-ID or set-group-ID", file.display()));
            }
            let ran = place.sandbox(&["--keep", "k", "--", "true"]).at(&tree).run();
            ran.fails(125, "--keep: ./file is set-user-ID");
            place.sandbox(&["--", "true"]).at(&tree).run().ok();
        }
    });
}

#[test]
fn a_file_s_name_says_nothing_to_the_terminal() {
    everybody("names", |place| {
        let tree = place.folder.join("home/tree");
        fs::create_dir(&tree).unwrap();
        let file = tree.join("\u{1b}]0;x\u{7}\r\u{9b}2J \u{fc}");
        fs::write(&file, "").unwrap();
        [&tree, &file].into_iter().for_each(|path| own(path, place.user));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
        let ran = place.run(&["--rw", tree.to_str().unwrap(), "--", "true"]);
        ran.fails(125, "/tree/?]0;x???2J \u{fc} is set-user-ID");
    });
}

/// What a box may write, it may fill with links for the next run.
#[test]
fn a_link_to_what_is_not_the_boxs_own_is_not_followed() {
    everybody("links", |place| {
        let (out, victim) = (place.folder.join("home/out"), place.folder.join("victim"));
        for folder in [&out, &victim] {
            fs::create_dir(folder).unwrap();
            own(folder, place.user);
        }
        fs::write(victim.join("file"), "precious").unwrap();
        own(&victim.join("file"), place.user);
        let path = |name: &str| out.join(name).to_str().unwrap().to_owned();
        let line = format!("ln -s {} {}", victim.display(), path("link"));
        place.run(&["--rw", out.to_str().unwrap(), "--", "sh", "-c", &line]).ok();
        let (link, below) = (path("link"), path("link/file"));
        for name in [&link, &format!("{link}/"), &below, &"../home/out/link//file".to_owned()] {
            place.run(&["--report", name, "--", "true"]).fails(125, "cg-run: open the report ");
            for option in ["--rw", "--ro", "--template"] {
                let no_directory = option == "--template" && name.ends_with("file");
                let words = if no_directory { ": no such directory\n" } else { "(ELOOP)\nhint: " };
                place.run(&[option, name, "--", "true"]).fails(125, words);
            }
        }
        assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "precious");
        place.run(&["--rw", "../work/../home/out/", "--report", "../home/out/r", "--", "true"]).ok();
    });
}

#[test]
fn what_is_kept_is_the_change_alone() {
    everybody("keep", |place| {
        for (name, text) in [("edited", "old"), ("removed", "old"), ("same", "old")] {
            fs::write(place.work().join(name), text).unwrap();
            own(&place.work().join(name), place.user);
        }
        let before = Machine::now("no such process", &place.work());
        let change = ["--keep", "k", "--", "sh", "-c", "echo new > edited; rm removed; mkdir d; echo made > d/new"];
        let ran = place.run(&change);
        let upper = place.folder.join("state/chainbox/k/upper");
        assert!(ran.err.contains(&format!("stay in {}", upper.display())), "{ran:#?}");
        assert_eq!(ran.code, 0, "{ran:#?}");
        before.unchanged("no such process", &place.work());
        assert_eq!(fs::read_to_string(upper.join("d/new")).unwrap(), "made\n");
        assert_eq!(fs::read_to_string(upper.join("edited")).unwrap(), "new\n");
        assert!(!upper.join("same").exists());
        // The next run of the name goes on from there; one from elsewhere is refused.
        assert_eq!(place.run(&["--keep", "k", "--", "sh", "-c", "cat edited; ls"]).ok(), "new\nd\nedited\nsame\n");
        fs::create_dir(place.folder.join("elsewhere")).unwrap();
        let elsewhere = place.sandbox(&["--keep", "k", "--", "true"]).at(place.folder.join("elsewhere"));
        elsewhere.run().fails(125, "keeps changes to");
        assert_eq!(fs::metadata(place.folder.join("state/chainbox/k")).unwrap().permissions().mode() & 0o777, 0o700);
    });
}

/// A name of one's own in a place of others': what they have put there is neither written to nor mounted.
#[test]
fn a_kept_folder_that_others_can_write_to_is_refused() {
    everybody("planted", |place| {
        let (kept, victim) = (place.folder.join("state/chainbox/k"), place.folder.join("victim"));
        fs::create_dir_all(&kept).unwrap();
        for path in [place.folder.join("state"), place.folder.join("state/chainbox"), kept.clone()] {
            own(&path, place.user);
        }
        fs::write(&victim, "precious").unwrap();
        own(&victim, place.user);
        symlink(&victim, kept.join("lock")).unwrap();
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o777)).unwrap();
        place.run(&["--keep", "k", "--", "true"]).fails(125, "not a directory of this user's alone");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    });
}

/// Whoever made a link in the path makes it lead elsewhere later: what is looked at is what is used.
#[test]
fn a_kept_folder_is_used_where_it_lies_and_not_by_a_link() {
    everybody("kept-link", |place| {
        let (link, state) = (place.folder.join("link"), place.folder.join("real"));
        fs::create_dir(&state).unwrap();
        own(&state, place.user);
        symlink(&state, &link).unwrap();
        let ran = place.sandbox(&["--keep", "k", "--", "touch", "new"]).env("XDG_STATE_HOME", &link).run();
        let upper = state.join("chainbox/k/upper");
        assert!(ran.err.contains(&format!("stay in {}", upper.display())), "{ran:#?}");
        assert!(upper.join("new").exists());
        let others = |words: &[&str]| place.sandbox(words).env("XDG_STATE_HOME", &link).run().ok();
        assert_eq!(others(&["--diff", "k"]), "+ new\n");
        others(&["--drop", "k"]);
        assert!(!upper.exists());
        // What is above it is looked at where it lies, too.
        let open = place.folder.join("open");
        fs::create_dir_all(open.join("below")).unwrap();
        own(&open.join("below"), place.user);
        own(&open, place.user);
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        fs::remove_file(&link).unwrap();
        symlink(open.join("below"), &link).unwrap();
        let ran = place.sandbox(&["--keep", "k", "--", "true"]).env("XDG_STATE_HOME", &link).run();
        ran.fails(125, "is not only this user's to change");
    });
}

/// By its specification a path that does not begin with / is ignored; scripts/sandbox did not end.
#[test]
fn a_relative_folder_for_state_is_none() {
    everybody("kept-relative", |place| {
        place.sandbox(&["--list"]).env("XDG_STATE_HOME", "state").run().ok();
        let keep = place.sandbox(&["--keep", "k", "--", "true"]).env("XDG_STATE_HOME", "").env("HOME", "home");
        if place.user {
            keep.run().fails(125, "is not a path from the root on");
        }
    });
}

#[test]
fn a_kept_overlay_serves_one_run_at_a_time() {
    everybody("lock", |place| {
        let started = place.folder.join("started");
        fs::write(&started, "").unwrap();
        own(&started, place.user);
        let path = started.to_str().unwrap();
        let line = format!("echo yes > {path}; sleep 1000");
        let mut first = place.sandbox(&["--keep", "k", "--rw", path, "--", "sh", "-c", &line]);
        let mut first = first.command().stderr(Stdio::null()).spawn().unwrap();
        wait_for("the first run to start", || fs::read_to_string(&started).is_ok_and(|text| !text.is_empty()));
        place.run(&["--keep", "k", "--", "true"]).fails(125, "is in use by another run");
        // After the first process was killed the whole box ends, and with it the use.
        first.kill().unwrap();
        first.wait().unwrap();
        wait_for("the box to end", || place.run(&["--keep", "k", "--", "true"]).code == 0);
    });
}

#[test]
fn a_path_can_be_made_writable() {
    everybody("rw", |place| {
        let out = place.folder.join("out");
        fs::create_dir(&out).unwrap();
        own(&out, place.user);
        let path = out.to_str().unwrap();
        place.run(&["--rw", path, "--", "sh", "-c", &format!("echo made > {path}/file")]).ok();
        assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "made\n");
        place.run(&["--rw", &format!("{path}/missing"), "--", "true"]).fails(125, "missing");
        // One name, two paths: the second would be the writable one.
        let two = out.join(format!("x\n{path}"));
        fs::create_dir_all(&two).unwrap();
        symlink(&two, out.join("link")).unwrap();
        place.run(&["--rw", two.to_str().unwrap(), "--", "true"]).fails(125, "a value with a newline");
        place
            .run(&["--rw", &format!("{path}/link"), "--", "true"])
            .fails(125, "link is a symbolic link, which is not followed");
    });
}

/// A name that means something to a program on the way: `find -delete` would delete the current directory.
#[test]
fn a_path_is_a_path_whatever_it_is_called() {
    everybody("words", |place| {
        let elsewhere = place.folder.join("elsewhere");
        for folder in [place.work(), elsewhere.clone()] {
            for name in ["-x", "-", "sub", "a:b"] {
                fs::create_dir_all(folder.join(name)).unwrap();
                own(&folder.join(name), place.user);
            }
        }
        for name in ["-delete", "fd:3", "none"] {
            fs::write(place.work().join(name), "old\n").unwrap();
            own(&place.work().join(name), place.user);
        }
        for (name, file) in [
            ("-delete", "./-delete"),
            ("fd:3", "fd:3"),
            ("none", "none"),
            ("-x", "./-x/new"),
            ("-", "./-/new"),
            ("sub", "sub/new"),
            ("a:b", "a:b/new"),
        ] {
            let line = format!("printf '%s\\n' '{name}' >'{file}'");
            let chain = place.sandbox(&["--rw", name, "--", "sh", "-c", &line]);
            chain.env("CDPATH", &elsewhere).env("OLDPWD", &elsewhere).run().ok();
            assert_eq!(fs::read_to_string(place.work().join(file)).unwrap(), format!("{name}\n"), "{name}");
        }
        let (other, template) = (place.work().join("a"), place.work().join("a:b"));
        fs::create_dir(&other).unwrap();
        own(&other, place.user);
        fs::write(template.join("script"), "#!/nothing").unwrap();
        fs::set_permissions(template.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
        // Two layers, a and b, would not be there.
        place.run(&["--template", "a:b", "--", "/script"]).fails(126, "its #! interpreter");
    });
}

#[test]
fn a_name_of_any_kind_can_be_the_current_directory() {
    everybody("name", |place| {
        for name in ["a b", "a:b", "a,b", "a\\b", "-a", "a=b;c", "'\"$a`", "${a}", "a\n", "\n#a\t\r"] {
            let work = place.work().join(name);
            fs::create_dir(&work).unwrap();
            own(&work, place.user);
            fs::write(work.join("file"), "").unwrap();
            let out = place.sandbox(&["--", "sh", "-c", "pwd; touch x; ls"]).at(&work).run().ok();
            assert_eq!(out, format!("{}\nfile\nx\n", work.display()));
            assert!(!work.join("x").exists());
        }
    });
}

/// Who may rename it could put a link to something else in its place, at any time. Here while the script calls flock.
#[test]
fn the_current_directory_is_where_one_stands_and_not_its_name() {
    everybody("renamed", |place| {
        let (fake, secret) = (place.folder.join("fake"), place.folder.join("secret"));
        for (folder, text) in [(place.work(), "mine"), (secret.clone(), "not for the box")] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("file"), text).unwrap();
            own(&folder, place.user);
        }
        fs::create_dir(&fake).unwrap();
        let swap = "cd \"${0%/*}/..\" && [ -L work ] || { mv work old && ln -s secret work; }";
        fs::write(fake.join("flock"), format!("#!/bin/sh\n({swap})\nPATH=/usr/bin:/bin exec flock \"$@\"\n")).unwrap();
        fs::set_permissions(fake.join("flock"), fs::Permissions::from_mode(0o755)).unwrap();
        own(place.folder.path(), place.user);
        let path = format!("{}:/usr/bin:/bin", fake.display());
        let kept = place.sandbox(&["--keep", "k", "--", "cat", "file"]).env("PATH", &path).run();
        assert_eq!(kept.ok(), "mine");
        assert!(place.work().is_symlink());
    });
}

/// Nothing runs before the chain but the shell: that is what a box costs.
#[test]
fn no_program_is_called_on_the_way() {
    everybody("way", |place| {
        if place.user && in_a_folder() {
            return;
        }
        let place =
            Place { shell: vec!["/bin/sh".into()], folder: Folder::new("sandbox-no-path", place.user), ..*place };
        fs::create_dir(place.work()).unwrap();
        own(&place.work(), place.user);
        let ran = place.sandbox(&["--net", "--", "/bin/echo", "there"]).env("PATH", "/nowhere").run();
        assert_eq!((ran.code, ran.out.as_str()), (0, "there\n"), "{ran:#?}");
    });
}

#[test]
fn a_directory_that_contains_home_or_tmp_is_refused() {
    everybody("refused", |place| {
        let (home, folder) = (place.folder.join("home"), place.folder.path().to_owned());
        for here in [home.as_path(), &folder, Path::new("/tmp"), Path::new("/")] {
            let ran = place.sandbox(&["--", "true"]).at(here).run();
            ran.fails(125, "of which a box has its own: go where the command works");
        }
        place.sandbox(&["--", "true"]).at(&home).run().fails(125, "the current directory is ");
        // Under another name it is the same directory.
        let name = place.work().join("link");
        symlink(&home, &name).unwrap();
        place.sandbox(&["--", "true"]).at(&name).run().fails(125, "of which a box has its own");
    });
}

#[test]
fn a_template_is_the_system_of_the_box() {
    let Some(busybox) = busybox_or_skip("a_template_is_the_system_of_the_box") else { return };
    everybody("template", |place| {
        let tree = place.folder.join("tree");
        for folder in ["bin", "etc"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        fs::copy(&busybox, tree.join("bin/busybox")).unwrap();
        for name in ["sh", "ls", "touch", "pwd"] {
            symlink("busybox", tree.join("bin").join(name)).unwrap();
        }
        if place.user && is_root() {
            let status = std::process::Command::new("chown").args(["-R", "1000:1000"]).arg(&tree).status();
            assert!(status.unwrap().success());
        }
        let before = Machine::now("no such process", &tree);
        let line = "touch /etc/made here && ls / /etc . && pwd";
        let out = place.run(&["--template", tree.to_str().unwrap(), "--", "/bin/sh", "-c", line]).ok();
        for name in ["bin\n", "etc\n", "proc\n", "made\n", "here\n"] {
            assert!(out.contains(name), "no {name:?} in {out}");
        }
        assert!(!out.contains("usr\n") && out.ends_with(&format!("{}\n", place.work().display())), "{out}");
        before.unchanged("no such process", &tree);
    });
}
