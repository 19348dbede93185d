//! What a box is given: tools, variables, files of the host's network, descriptors, the directory that it starts in.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use chainbox_tests::{is_root, root_or_skip};

use crate::{everybody, own, user};

/// Name servers are where systemd-resolved, resolvconf or nobody puts them. With the host's network the box has what is there.
#[test]
fn the_hosts_name_servers_are_known_wherever_they_are_written() {
    if !root_or_skip("the_hosts_name_servers_are_known_wherever_they_are_written") {
        return;
    }
    let line = "mkdir etc && cp -r /etc/. etc && echo 127.0.0.1 localhost >>etc/hosts && rm -f etc/resolv.conf && mount --bind etc /etc && mount -t tmpfs none /run && \
                mkdir -p /run/systemd/resolve && echo nameserver 192.0.2.7 >/run/systemd/resolve/up && ln -s up /run/systemd/resolve/stub && \
                eval \"$0\" && cd work && exec \"$@\"";
    let says = "cat /etc/resolv.conf 2>/dev/null; [ -s /etc/hosts ] || [ ! -s /etc/nsswitch.conf ] || echo no hosts; ls /run 2>/dev/null; echo ran";
    for (name, make, expected) in [
        ("link", "ln -s ../run/systemd/resolve/stub /etc/resolv.conf", "nameserver 192.0.2.7\nsystemd\nran\n"),
        ("absolute", "ln -s /run/systemd/resolve/stub /etc/resolv.conf", "nameserver 192.0.2.7\nsystemd\nran\n"),
        ("within", "ln -s one /etc/resolv.conf && echo nameserver 192.0.2.9 >/etc/one", "nameserver 192.0.2.9\nran\n"),
        ("dangling", "ln -s ../run/nowhere /etc/resolv.conf", "ran\n"),
        ("absent", "true", "ran\n"),
        ("file", "echo nameserver 192.0.2.8 >/etc/resolv.conf", "nameserver 192.0.2.8\nran\n"),
    ] {
        everybody(name, |place| {
            let run = place.sandbox(&["--net", "--", "sh", "-c", says]);
            let run = if place.user { user(&run) } else { run };
            let ran = run.within("unshare", &["--mount", "sh", "-c", line, make]).at(place.folder.path()).run();
            assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{name}: {ran:#?}");
        });
    }
}

#[test]
fn a_tool_of_home_can_be_used_and_not_changed() {
    everybody("tools", |place| {
        let tools = place.folder.join("home/tools");
        fs::create_dir(&tools).unwrap();
        own(&tools, place.user);
        let tool = place.folder.program("/bin/echo", "home/tools/say");
        own(&tool, place.user);
        let (tools, tool) = (tools.to_str().unwrap(), tool.to_str().unwrap());
        let line = format!(
            "{tool} hi; (echo x >{tool}; touch {tools}/new; rm {tool}) 2>&1 | grep -c 'Read-only'; ls -A {tools}/..; ls -A {tools}"
        );
        // Around a file alone the box has a folder of its own.
        for (given, says) in [(tools, "hi\n3\ntools\nsay\n"), (tool, "hi\n1\ntools\nnew\nsay\n")] {
            let out = place.run(&["--ro", given, "--", "sh", "-c", &line]).ok();
            assert_eq!(out, says, "{given}");
            assert_eq!(fs::read_dir(tools).unwrap().count(), 1);
        }
        // Without it there is none, and where the shell would have found it is said.
        let path = format!("{tools}:/opt/none:{}:/usr/bin:/bin", chainbox_tests::bin().display());
        let ran = place.sandbox(&["--", "say", "hi"]).env("PATH", &path).run();
        ran.fails(127, &format!("say: not found in PATH\nhint: PATH has {tools}, /opt/none"));
        let found = place.sandbox(&["--ro", tools, "--", "say", "hi"]).env("PATH", &path).run();
        assert_eq!(found.ok(), "hi\n");
        for option in ["--rw", "--ro"] {
            place
                .run(&[option, "/", "--", "true"])
                .fails(125, &format!("{option} /: the host's root would hide the box's"));
        }
    });
}

/// Names that a shell's cd or find(1) would take for something else.
#[test]
fn a_relative_path_is_the_one_below_the_current_directory() {
    everybody("relative", |place| {
        let (other, link) = (place.folder.join("home/other"), place.work().join("link"));
        for folder in
            [&other, &other.join("out"), &place.work().join("out"), &place.work().join("-x"), &place.work().join("a=b")]
        {
            fs::create_dir(folder).unwrap();
            own(folder, place.user);
        }
        symlink("out", &link).unwrap();
        for name in ["out", "./out", "-x", "a=b", "../work/out/"] {
            let run = place.sandbox(&["--rw", name, "--", "sh", "-c", "echo made >\"$0/file\"", &format!("./{name}")]);
            run.env("CDPATH", &other).run().ok();
            assert_eq!(fs::read_to_string(place.work().join(name).join("file")).unwrap(), "made\n", "{name}");
            fs::remove_file(place.work().join(name).join("file")).unwrap();
        }
        let file = place.work().join("-x/file");
        fs::write(&file, "").unwrap();
        own(&file, place.user);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
        for name in ["-x", "-x/file"] {
            place.run(&["--rw", name, "--", "true"]).fails(125, "-x/file is set-user-ID or set-group-ID");
        }
        place.run(&["--ro", "link", "--", "true"]).fails(125, "is a symbolic link, which is not followed");
    });
}

#[test]
fn a_variable_is_given_as_it_is() {
    everybody("variables", |place| {
        let print = "printf '[%s]' \"$A\" \"$B\" \"$C\" \"${D-unset}\" \"${E-unset}\" \"${F-unset}\"";
        let words = [
            "--env",
            "A",
            "--env",
            "B=a  b 'c' \"$HOME\" *",
            "--env",
            "C=x=y",
            "--env",
            "D",
            "--env",
            "E=",
            "--",
            "sh",
            "-c",
            print,
        ];
        let ran = place.sandbox(&words).env("A", " one  two ").env_remove("D").env("F", "6").run();
        assert_eq!(ran.ok(), "[ one  two ][a  b 'c' \"$HOME\" *][x=y][unset][][unset]");
    });
}

/// A service that closes them, or a shell line with >&-.
#[test]
fn closed_standard_descriptors_stay_closed() {
    everybody("closed", |place| {
        let open = "n=0; for f in 0 1 2; do [ ! -e /proc/self/fd/$f ] || n=$((n + 1)); done; exit $((40 + n))";
        for (closed, code) in [("<&-", 42), (">&-", 42), ("2>&-", 42), ("<&- >&- 2>&-", 40)] {
            for words in [["--", "sh", "-c", open].as_slice(), &["--keep", "k", "--", "sh", "-c", open]] {
                let run = place.sandbox(words).within("sh", &["-c", &format!("exec \"$0\" \"$@\" {closed}")]);
                let ran = if place.user && is_root() { user(&run) } else { run }.run();
                assert_eq!(ran.code, code, "{closed} {words:?}: {ran:#?}");
            }
        }
    });
}

#[test]
fn a_current_directory_that_was_removed_is_named_in_one_line() {
    everybody("gone", |place| {
        // bash and dash go on in a directory that is not there.
        for (shell, then) in [("dash", ""), ("dash", "mkdir ../work; "), ("bash", "")] {
            let line = format!("rmdir ../work; {then}exec {shell} \"$@\"");
            let run = place.sandbox(&["--", "true"]).within("sh", &["-c", &line]);
            let ran = if place.user && is_root() { user(&run) } else { run }.run();
            assert_eq!(ran.code, 125, "{ran:#?}");
            // The shell that reads the script has a line of its own.
            let said: Vec<&str> = ran.err.lines().filter(|line| !line.contains("getcwd")).collect();
            assert_eq!(said, ["sandbox: the current directory is not there any more"], "{ran:#?}");
            if then.is_empty() {
                fs::create_dir(place.work()).unwrap();
                own(&place.work(), place.user);
            }
        }
    });
}
