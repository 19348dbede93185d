//! What people do with the sandboxes that the features here were learned from (docs/coverage.md).

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use chainbox_tests::{Chain, Folder, Tier, USER, root_or_skip, skip, tool};

use crate::support::{Who, flags, people, words};

/// A directory tree that can be a root with the host's programs on /usr.
fn template(test: &str, who: Who) -> Folder {
    let folder = Folder::new(&format!("mp-{test}-{who:?}"), who == Who::User);
    for name in ["root", "root/usr", "root/etc", "root/proc", "root/dev"] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    for name in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), folder.join("root").join(name)).unwrap();
    }
    folder
}

#[test]
fn changes_to_a_template_stay() {
    for who in people("changes_to_a_template_stay") {
        let folder = template("template", who);
        let run = |line: &str| {
            who.plan(words("--bind root / --ro-bind /usr /usr --proc /proc --dev /dev -- sh -c"))
                .args([line])
                .at(folder.path())
                .run()
        };
        assert_eq!(run("echo new >/etc/made; mkdir /srv; touch /usr/x 2>/dev/null || echo ro").ok(), "ro\n", "{who:?}");
        assert_eq!(run("cat /etc/made; rm /etc/made; ls -d /srv").ok(), "new\n/srv\n");
        assert!(folder.join("root/srv").is_dir() && !folder.join("root/etc/made").exists());
        assert_eq!(fs::read_dir(folder.join("root/dev")).unwrap().count(), 0);
    }
}

#[test]
fn proc_can_hide_what_belongs_to_others() {
    for who in people("proc_can_hide_what_belongs_to_others") {
        let line = "cat /proc/self/mountinfo; exec 2>&1; [ $(id -u) = 0 ] && [ $W = Root ] || exit 0; sleep 60 & \
                    setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'ls -d /proc/[0-9]*'; kill $!";
        for (options, sees_root) in [("hidepid=invisible", false), ("nosuid", true)] {
            let ran = who
                .host(["--dev", "/dev", "--proc", "/proc", "-o", options, "--", "sh", "-c", line])
                .env("W", format!("{who:?}"))
                .run();
            let out = ran.ok();
            assert_eq!(out.contains("hidepid=invisible"), !sees_root, "{who:?}: {out}");
            if who == Who::Root {
                assert_eq!(out.lines().any(|line| line == "/proc/1"), sees_root, "{out}");
                assert!(out.lines().any(|line| line.starts_with("/proc/")), "{out}");
            }
        }
    }
}

#[test]
fn a_tmpfs_has_as_many_files_as_is_said() {
    for who in people("a_tmpfs_has_as_many_files_as_is_said") {
        let line = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do : >/t/$n; done 2>&1 | grep -c 'No space'; ls /t | wc -l";
        let ran = who.host(["--tmpfs", "/t", "-o", "size=64M,nr_inodes=10", "--", "sh", "-c"]).args([line]).run();
        // One is the directory's. The shell's first failure does not end the loop in a subshell of its own.
        let out = ran.ok();
        assert_eq!(out.lines().last(), Some("9"), "{who:?}: {out}");
        assert_ne!(out.lines().next(), Some("0"), "{out}");
    }
}

#[test]
fn a_bind_alone_leaves_out_what_is_mounted_below() {
    for who in people("a_bind_alone_leaves_out_what_is_mounted_below") {
        let folder = Folder::new(&format!("mp-alone-{who:?}"), who == Who::User);
        fs::write(folder.join("plan"), "src /one none bind\nsrc /all none rbind\n").unwrap();
        let line = format!(
            "cd {}; mkdir -p src/sub; touch src/sub/under; mount -t tmpfs t src/sub; touch src/sub/over; \
             exec $PLAN --preset host-ro --plan plan -- sh -c 'ls /one/sub /all/sub'",
            folder.path().display()
        );
        let shown = "/all/sub:\nover\n\n/one/sub:\nunder\n";
        assert_eq!(who.script(&line).run().ok(), shown, "{who:?}");
        let options = line
            .replace("--plan plan", "--bind src /one -o norec --bind src /all")
            .replace("mkdir -p", "mkdir -p src; mkdir -p");
        assert_eq!(who.script(&options).run().ok(), shown, "{who:?}");
    }
}

#[test]
fn a_tunnel_device_can_be_opened_where_it_is_given() {
    if !Path::new("/dev/net/tun").exists() {
        return skip(Tier::Kernel, "a_tunnel_device_can_be_opened_where_it_is_given", "no /dev/net/tun here");
    }
    for who in people("a_tunnel_device_can_be_opened_where_it_is_given") {
        if who.script(": <>/dev/net/tun").run().code != 0 {
            skip(
                Tier::Kernel,
                "a_tunnel_device_can_be_opened_where_it_is_given",
                "not everybody may open /dev/net/tun here",
            );
            continue;
        }
        let line = "stat -c %t:%T /dev/net/tun; : <>/dev/net/tun && echo opened";
        let run = |kind: &str| {
            let words = words("--proc /proc --dev /dev");
            who.host(words).args([kind, "/dev/net/tun", "/dev/net/tun", "--", "sh", "-c", line]).run()
        };
        assert_eq!(run("--dev-bind").ok(), "a:c8\nopened\n", "{who:?}");
        let ran = run("--bind");
        assert!(ran.out == "a:c8\n" && ran.err.contains("Permission denied"), "{who:?}: {ran:?}");
    }
}

/// A client for any of them: says hello to the socket of this name and prints the answer.
const CLIENT: &str = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die \"$ARGV[0]: $!\\n\"; \
                      print $s \"hello\\n\"; $s->flush; print scalar <$s>;";

/// The recipes of the man page (SOCKETS): what a server listens on is bound, its cookie is a file of the box's own.
#[test]
fn a_socket_of_the_host_answers_in_the_box() {
    for who in people("a_socket_of_the_host_answers_in_the_box") {
        let folder = Folder::new(&format!("mp-socket-{who:?}"), who == Who::User);
        let listener = UnixListener::bind(folder.join("wayland-0")).unwrap();
        fs::set_permissions(folder.join("wayland-0"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(folder.join("cookie"), "secret").unwrap();
        let server = thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                stream.write_all(format!("heard {line}").as_bytes()).unwrap();
            }
        });
        let run = |target: &str| {
            let line = format!(
                "exec 9<cookie; exec $PLAN --preset host-ro --dev /dev --tmpfs /tmp --ro-bind wayland-0 {target} \
                 --file fd:9 /run/cookie -o mode=0600 -- sh -c 'perl -e \"$CLIENT\" {target}; cat /run/cookie; ls {target}*'"
            );
            who.script(&line).at(folder.path()).env("CLIENT", CLIENT).run()
        };
        for target in ["/run/user/wayland-0", "/tmp/.X11-unix/X0"] {
            let ran = run(target);
            assert_eq!(ran.out, format!("heard hello\nsecret{target}\n"), "{who:?} {ran:?}");
        }
        server.join().unwrap();
        let line = format!("perl -e \"$CLIENT\" {}", folder.join("wayland-0").display());
        let ran = who.host(["--dev", "/dev", "--", "sh", "-c", &line]).env("CLIENT", CLIENT).run();
        assert!(ran.code != 0 && ran.err.contains("No such file or directory"), "{ran:?}");
    }
}

#[test]
fn the_hosts_system_is_shown_as_it_is() {
    for who in people("the_hosts_system_is_shown_as_it_is") {
        let line =
            "for n in /usr /bin /sbin /lib /lib32 /lib64 /libx32 /etc; do readlink $n || ls -d $n; done 2>/dev/null";
        let out = who.host(["--dev", "/dev", "--", "sh", "-c", line]).run().out;
        let here = chainbox_tests::Chain::program("sh").args(["-c", line]).run().out;
        assert_eq!(out, here, "{who:?}");
        let out = who.host(["--proc", "/proc", "--", "cat", "/proc/self/mountinfo"]).run().ok();
        for point in ["/usr", "/etc"] {
            assert!(["ro", "nosuid", "nodev"].iter().all(|flag| flags(&out, point).contains(flag)), "{out}");
        }
    }
}

#[test]
fn the_judges_default_directories_are_a_preset() {
    for who in people("the_judges_default_directories_are_a_preset") {
        let folder = Folder::new(&format!("mp-judge-{who:?}"), who == Who::User);
        let line = "pwd; echo answer >out; ls / | tr '\\n' ' '; echo; touch /tmp/x /dev/shm/x; ls -d /etc /sbin; touch /usr/x; \
                    cat /proc/self/mountinfo";
        let run = || {
            let chain = who.plan(["--preset", "isolate", "--", "sh", "-c", line]).at(folder.path());
            chain.env("PATH", "/usr/bin:/bin").run()
        };
        run().fails(125, "bind box on /box (nosuid,nodev): open box: No such file or directory (ENOENT)");
        fs::create_dir(folder.join("box")).unwrap();
        fs::set_permissions(folder.join("box"), fs::Permissions::from_mode(0o777)).unwrap();
        let ran = run();
        let out = ran.clone().ok();
        let root = out.lines().nth(1).unwrap().replace("lib64 ", "");
        assert!(out.starts_with("/box\n") && root == "bin box dev lib proc tmp usr ", "{who:?} {ran:?}");
        assert_eq!(ran.err.lines().count(), 3, "{ran:?}");
        assert!(ran.err.contains("'/usr/x': Read-only file system") && out.contains("hidepid=invisible"), "{ran:?}");
        assert_eq!(fs::read_to_string(folder.join("box/out")).unwrap(), "answer\n");
    }
}

#[test]
fn a_dev_as_bubblewrap_makes_it_can_be_written_to() {
    for who in people("a_dev_as_bubblewrap_makes_it_can_be_written_to") {
        let line = "touch /dev/log && readlink /dev/core && echo x >/dev/null && ls /dev | tr '\\n' ' '";
        let out = who.host(["--preset", "bwrap-dev", "--", "sh", "-c", line]).run().ok();
        assert_eq!(
            out, "/proc/kcore\ncore fd full log null ptmx pts random shm stderr stdin stdout tty urandom zero ",
            "{who:?}"
        );
    }
}

/// A tree of a group that its user has beside his own: in a box of his that group is nobody's.
#[test]
fn a_lower_layer_of_a_foreign_group_is_remarked_once() {
    let test = "a_lower_layer_of_a_foreign_group_is_remarked_once";
    if !root_or_skip(test) {
        return;
    }
    for who in people(test) {
        let folder = Folder::new(&format!("mp-foreign-{who:?}"), who == Who::User);
        let owner = if who == Who::User { USER } else { 0 };
        for (name, user, group) in [("own", owner, owner), ("group", owner, 4242), ("user", 4242, owner)] {
            fs::create_dir(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("file"), "old").unwrap();
            for path in [folder.join(name), folder.join(name).join("file")] {
                chown(&path, Some(user), Some(group)).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
            }
        }
        let run = |layers: &str| {
            let payload = ["--chdir", "/x", "--", "sh", "-c", "cat file; echo new >file && cat file"];
            who.host(layers.split(' ')).args(payload).at(folder.path()).run()
        };
        let remark = |name: &str, what: &str| {
            let text = "that is not one of the box's: its files can be read, not changed (EOVERFLOW)";
            format!("mount-plan: {name} belongs to {what} {text}\n")
        };
        assert_eq!((run("--tmp-overlay own /x").err.as_str(), run("--tmp-overlay own /x").code), ("", 0), "{who:?}");
        for (layers, said) in [
            ("--tmp-overlay group /x", remark("group", "a group")),
            ("--tmp-overlay own:user /y --tmp-overlay group /x", remark("user", "a user")),
        ] {
            let ran = run(layers);
            match who {
                Who::Root => assert_eq!((ran.out.as_str(), ran.err.as_str()), ("oldnew\n", ""), "{ran:?}"),
                _ => {
                    assert_eq!(
                        ran.err.strip_prefix(&said).map(|more| more.matches("too large").count()),
                        Some(1),
                        "{ran:?}"
                    );
                    assert_eq!(ran.out, "old", "{ran:?}");
                }
            }
        }
    }
}

/// An automounter: mounts "served" on "bound/auto" as soon as the kernel asks for it (autofs(5)), while the last argument,
/// a shell line, runs.
const AUTOMOUNTER: &str = r#"
    $^F = 255;
    pipe(R, W);
    setpgrp(0, 0);
    my $options = "fd=" . fileno(W) . ",pgrp=" . getpgrp(0) . ",minproto=5,maxproto=5,direct";
    system("mount", "-t", "autofs", "-o", $options, "auto", "bound/auto") == 0 or exit 77;
    close(W);
    sysopen(PLACE, "bound/auto", 0);
    my $line = fork();
    if (!$line) { close(R); close(PLACE); setpgrp(0, 0); exec("sh", "-c", $ARGV[0]); }
    while (waitpid($line, 1) != $line) {
        my $ready = "";
        vec($ready, fileno(R), 1) = 1;
        next unless select($ready, undef, undef, 0.05) > 0;
        sysread(R, my $packet, 4096);
        my (undef, undef, $token) = unpack("iiI", $packet);
        system("mount", "--bind", "served", "bound/auto") unless $mounted++;
        ioctl(PLACE, 0x9360, $token);
    }
    exit($? >> 8);
"#;

#[test]
fn an_autofs_below_a_bind_mounts_outside_only() {
    let test = "an_autofs_below_a_bind_mounts_outside_only";
    if !root_or_skip(test) {
        return;
    }
    let folder = Folder::new("mp-autofs", false);
    for name in ["bound", "bound/auto", "served"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    fs::write(folder.join("served/file"), "").unwrap();
    let line = "box='unshare --mount --pid --fork '$PLAN' --preset host-ro --bind bound /bound --'; \
                $box ls /bound/auto; ls bound/auto; $box ls /bound/auto";
    let ran = Who::Root.namespaces(&[], ["perl", "-e", AUTOMOUNTER, line]).env("PLAN", tool("mount-plan"));
    let ran = ran.at(folder.path()).run();
    if ran.code == 77 {
        return skip(Tier::Kernel, test, "no autofs in this kernel");
    }
    assert_eq!((ran.out.as_str(), ran.code), ("file\nfile\n", 0), "{ran:?}");
    assert_eq!(ran.err.matches("Too many levels of symbolic links").count(), 1, "{ran:?}");
}

#[test]
fn directories_and_links_are_made_in_a_bound_tree_where_an_entry_says_so() {
    for who in people("directories_and_links_are_made_in_a_bound_tree_where_an_entry_says_so") {
        let folder = Folder::new(&format!("mp-make-{who:?}"), who == Who::User);
        let run = |dir: &str, link: &str| {
            let line = format!("--bind . /work --dir /work/a/b {dir} --symlink b /work/a/c {link} -- true");
            who.host(words(&line)).at(folder.path()).run()
        };
        run("", "").fails(
            125,
            "make directory /work/a/b, mode 0755: /work/a does not exist, and the directory it would be in",
        );
        run("-o mode=0700,X-mount.make", "").fails(125, "link /work/a/c to b: /work/a/c does not exist");
        assert!(folder.join("a/b").is_dir());
        assert_eq!(run("", "-o X-mount.make").ok(), "", "what is there is taken as it is");
        assert_eq!(run("-o X-mount.make", "-o X-mount.make").ok(), "");
        assert_eq!(folder.join("a/b").metadata().unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(folder.join("a/c").read_link().unwrap(), Path::new("b"));
    }
}

#[test]
fn the_first_working_directory_that_is_there_counts_and_pwd_says_it() {
    for who in people("the_first_working_directory_that_is_there_counts_and_pwd_says_it") {
        let run = |line: &str| {
            let line = format!("--symlink usr /u {line} --set-pwd -- sh -c");
            let ran = who.host(words(&line)).args(["printenv PWD; pwd -P"]).env("PWD", "/x").at("/usr/lib").run();
            assert_eq!(ran.err, "", "{who:?}");
            ran.ok()
        };
        assert_eq!(run(""), "/usr/lib\n/usr/lib\n");
        assert_eq!(run("--chdir /no -o nofail --chdir /u/bin -o nofail --chdir /usr"), "/u/bin\n/usr/bin\n");
        assert_eq!(run("--chdir /no -o nofail --chdir /u"), "/u\n/usr\n");
        assert_eq!(run("--chdir /no -o nofail --chdir /etc/passwd -o nofail"), "/\n/\n");
        let refused = |line: &str| who.host(words(line)).args(["--", "true"]).run();
        refused("--chdir /no -o nofail --chdir /never")
            .fails(125, "enter /no, if it is there, else enter /never: openat2(/never");
        refused("--chdir /usr --chdir /etc -o nofail")
            .fails(125, "enter /etc, if it is there: a second working directory");
    }
}

#[test]
fn what_does_not_exist_is_left_out_in_silence_where_an_entry_says_so() {
    for who in people("what_does_not_exist_is_left_out_in_silence_where_an_entry_says_so") {
        let folder = Folder::new(&format!("mp-exists-{who:?}"), who == Who::User);
        symlink("nowhere", folder.join("dangling")).unwrap();
        fs::write(folder.join("file"), "").unwrap();
        let run = |source: &str| {
            let line = format!("--bind {source} /work -o X-mount.if-exists -- sh -c");
            who.host(words(&line)).args(["ls -d /w*"]).at(folder.path()).run()
        };
        for none in ["no", "dangling"] {
            let ran = run(none);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:#?}");
            assert!(!ran.err.contains("mount-plan"), "{ran:#?}");
        }
        assert_eq!(run(".").ok(), "/work\n");
        run("file/x").fails(125, "Not a directory (ENOTDIR)");
    }
}

/// What comes later has the attributes that it has outside, so what is read-only does not get it.
#[test]
fn what_is_mounted_later_comes_in_where_it_may() {
    if !root_or_skip("what_is_mounted_later_comes_in_where_it_may") {
        return;
    }
    let folder = Folder::new("mp-later", false);
    let line = "mount -t tmpfs -o mode=755 t . && cd $PWD && mount --make-shared . && mkdir at write read
        ns-unshare --user --map-self --mount --propagation $P --keep-caps -- mount-plan --ro-bind / / --tmpfs /run \
            --bind at /run/write --ro-bind at /run/read -- sh -c 'echo; read go; ls /run/write /run/read' <&7 | {
            read ready; mount -t tmpfs l at; touch at/later; echo >&8; cat; }";
    for (propagation, seen) in
        [("slave", "/run/read:\n\n/run/write:\nlater\n"), ("private", "/run/read:\n\n/run/write:\n")]
    {
        let script = format!("mkfifo fifo; exec 7<>fifo 8>&7; {line}");
        let ran = Chain::program("unshare").args(["--mount", "sh", "-ec", &script]).env("P", propagation);
        assert_eq!(ran.at(folder.path()).run().ok(), seen, "{propagation}");
        fs::remove_file(folder.join("fifo")).unwrap();
    }
}
