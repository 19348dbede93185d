//! `X-mount.no-links`: a link in the path of a source is an error, also where somebody puts it there at that moment.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use chainbox_tests::{Chain, Folder, tool};

use crate::support::{Who, people, words};

fn secret_beside(folder: &Folder) {
    for name in ["shared", "shared/sub", "shared/sub/dir", "secret", "secret/dir", "up", "up/upper", "up/work"] {
        fs::create_dir(folder.join(name)).unwrap();
        let text = name.split('/').next().unwrap();
        if text != "up" {
            fs::write(folder.join(name).join("marker"), format!("{text}\n")).unwrap();
        }
    }
    symlink(folder.join("secret"), folder.join("shared/link")).unwrap();
}

#[test]
fn a_link_in_the_path_of_a_source_is_refused_where_that_is_said() {
    for who in people("a_link_in_the_path_of_a_source_is_refused_where_that_is_said") {
        let folder = Folder::new(&format!("mp-links-{who:?}"), who == Who::User);
        secret_beside(&folder);
        Chain::program("chown").args(["-R", "--reference", "."]).args([folder.path()]).at(folder.path()).run().ok();
        let run = |line: &str, path: &str, option: &str| {
            let line = format!("{} -o {option} -- cat /x/marker", line.replace("PATH", path));
            who.host(words(&line)).at(folder.path()).run()
        };
        for (line, place) in [
            ("--bind PATH /x", ""),
            ("--bind PATH/dir /x", "/dir"),
            ("--ro-bind PATH /x -o X-mount.subdir=dir", ""),
            ("--tmp-overlay PATH/dir /x", "/dir"),
            ("--overlay PATH up/upper up/work /x", ""),
            ("--file PATH/marker /x/marker", "/marker"),
        ] {
            assert_eq!(
                run(line, "shared/sub", "X-mount.no-links").out.lines().last(),
                Some("shared"),
                "{who:?} {line}"
            );
            let followed = run(line, "shared/link", "nofail");
            assert_eq!(followed.out, "secret\n", "{who:?} {line}: {followed:?}");
            let said = format!(
                "openat2 shared/link{place}: Too many symbolic links encountered (ELOOP)\n\
                 hint: shared/link is a symbolic link, which is not followed: name what it leads to"
            );
            run(line, "shared/link", "X-mount.no-links").fails(125, &said);
        }
        // In what overlayfs writes to, in the part of a source, and in an image.
        let no = "X-mount.no-links";
        run("--overlay PATH shared/link up/work /x", "shared/sub", no)
            .fails(125, "hint: shared/link is a symbolic link");
        symlink("dir", folder.join("shared/sub/part")).unwrap();
        let ran = run("--bind PATH /x -o X-mount.subdir=part", "shared/sub", no);
        ran.fails(125, "Too many symbolic links encountered (ELOOP)\nhint: name what the link leads to");
        run("--image squashfs PATH/marker /x", "shared/link", no)
            .fails(125, "openat2 shared/link/marker: Too many symbolic links");
    }
}

/// A box that may write in a directory exchanges what is in it for a link, again and again, while others are given it.
#[test]
fn a_link_that_is_exchanged_for_the_directory_is_never_followed() {
    const TRIES: usize = 200;
    for who in people("a_link_that_is_exchanged_for_the_directory_is_never_followed") {
        let folder = Folder::new(&format!("mp-exchange-{who:?}"), who == Who::User);
        secret_beside(&folder);
        Chain::program("chown").args(["-R", "--reference", "."]).args([folder.path()]).at(folder.path()).run().ok();
        let mut other =
            Chain::program(tool("syscall-probe")).args(["exchange", "sub", "link"]).at(folder.join("shared"));
        let mut other = other.command().stdin(Stdio::piped()).spawn().unwrap();
        let line = "cat /x/marker; echo box >/x/made";
        let one = |option: &str| {
            let args = ["--bind", "shared/sub/dir", "/x", "-o", option, "--", "sh", "-c", line];
            who.host(args).at(folder.path()).run()
        };
        let runs: Vec<_> = (0..TRIES).map(|_| one("X-mount.no-links")).collect();
        let leaked = folder.join("secret/dir/made").exists();
        // Without the option the same race is lost sooner or later.
        let lost = (0..TRIES).any(|_| one("nofail").out == "secret\n");
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
        let count = |text: &str| runs.iter().filter(|ran| ran.out == text).count();
        let refused = runs.iter().filter(|ran| ran.code == 125 && ran.err.contains("(ELOOP)"));
        let (shared, refused) = (count("shared\n"), refused.count());
        assert!(!leaked && lost && shared > 0 && refused > 0, "{leaked} {lost} {shared} {refused}");
        assert_eq!(shared + refused, TRIES, "{runs:?}");
    }
}
