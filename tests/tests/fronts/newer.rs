//! What Debian's bubblewrap is too old to be compared with: by its manual, effect by effect.

use std::fs;

use crate::each;

/// Runs a line with the front, as each who can; what it prints, and what is in these files of the caller's then.
#[track_caller]
fn prints(test: &str, line: &str, out: &str, files: &[(&str, Option<&str>)]) {
    each(test, line, |world, ran| {
        assert!(ran.code == 0 && ran.out == out && ran.err.is_empty(), "{line}: {ran:#?}");
        for (name, text) in files {
            assert_eq!(fs::read_to_string(world.folder.join(name)).ok().as_deref(), *text, "{line}: {name}");
        }
    });
}

const BOTH: &str = "--overlay-src low --overlay-src low2";

#[test]
fn an_overlay_keeps_its_changes_where_it_is_told() {
    let line = "cat /mnt/a; echo changed >/mnt/a; rm /mnt/b; echo new >/mnt/c; ls /mnt";
    let bwrap = format!("$BWRAP --ro-bind / / {BOTH} --overlay up work /mnt sh -c");
    let files = [("low2/a", Some("low2\n")), ("low/b", Some("b\n")), ("low/c", None), ("up/a", Some("changed\n"))];
    let files = [&files[..], &[("up/c", Some("new\n"))]].concat();
    // The next box has them again.
    let twice = format!("echo b >low/b; {bwrap} '{line}'; {bwrap} 'cat /mnt/a; ls /mnt'");
    prints("overlay", &twice, "low2\na\nc\nchanged\na\nc\n", &files);
    // One layer is enough, and each overlay has its own.
    let two = "--overlay-src low --overlay up work /mnt --overlay-src low2 --tmp-overlay /srv";
    prints("overlay", &format!("$BWRAP --ro-bind / / {two} cat /mnt/a /srv/a"), "low\nlow2\n", &[]);
}

#[test]
fn the_changes_of_a_tmp_overlay_end_with_the_box() {
    let line = "cat /mnt/a; echo changed >/mnt/a; >/mnt/c; cat /mnt/a; ls /mnt";
    let bwrap = format!("$BWRAP --ro-bind / / {BOTH} --tmp-overlay /mnt sh -c");
    let files = [("low2/a", Some("low2\n")), ("low/a", Some("low\n")), ("low2/c", None), ("low/c", None)];
    prints("tmp-overlay", &format!("{bwrap} '{line}'; {bwrap} 'ls /mnt'"), "low2\nchanged\na\nc\na\n", &files);
}

#[test]
fn a_ro_overlay_is_read_only() {
    let line =
        "cat /mnt/a /mnt/b; (echo x >/mnt/a) 2>&- || echo no; (>/mnt/c) 2>&- || echo no; rm -f /mnt/b 2>&- || echo no";
    let bwrap = format!("echo b >low/b; $BWRAP --ro-bind / / {BOTH} --ro-overlay /mnt");
    prints("ro-overlay", &format!("{bwrap} sh -c '{line}'"), "low2\nb\nno\nno\nno\n", &[("low/b", Some("b\n"))]);
}

#[test]
fn layers_have_any_name_and_lie_anywhere() {
    let odd = "mkdir 'a:b\\c,d'; echo odd >'a:b\\c,d/a'; ln -s low2 link";
    let layers = "--overlay-src 'a:b\\c,d' --tmp-overlay /mnt --overlay-src low --overlay-src link --tmp-overlay /srv";
    prints("layers", &format!("{odd}; $BWRAP --ro-bind / / {layers} cat /mnt/a /srv/a"), "odd\nlow2\n", &[]);
    // Above, below and in place of other operations.
    let order = "--tmpfs /mnt --overlay-src low --tmp-overlay /mnt/x --ro-bind low2/a /mnt/x/over --bind home /mnt/x/home --dir /mnt/x/d";
    let line = "ls /mnt/x /mnt/x/home; cat /mnt/x/over; echo x >/mnt/x/home/new";
    let out = "/mnt/x:\na\nd\nhome\nover\n\n/mnt/x/home:\nmine\nlow2\n";
    let files = [("home/new", Some("x\n")), ("low/over", None), ("low/d/.", None)];
    prints("layers", &format!("$BWRAP --ro-bind / / {order} sh -c '{line}'"), out, &files);
    for wrong in
        ["--overlay-src low --ro-overlay /mnt", "--tmp-overlay /mnt", "--overlay-src no --tmp-overlay /mnt", BOTH]
    {
        let line =
            format!("$BWRAP --ro-bind / / {wrong} echo reached 2>err || echo $?; grep -c '^bwrap: ' err; wc -l <err");
        prints("layers", &line, "1\n1\n1\n", &[]);
    }
}

#[test]
fn a_command_has_another_name() {
    for options in ["", "--unshare-pid", "--unshare-pid --as-pid-1", "--clearenv"] {
        let name = "$BWRAP --ro-bind / / --argv0 'any name'";
        prints("argv0", &format!("{name} {options} /bin/sh -c 'echo \"$0\"'"), "any name\n", &[]);
    }
    prints(
        "argv0",
        "$BWRAP --ro-bind / / --argv0 '' /bin/sh -c 'tr \"\\0\" : </proc/self/cmdline' | tail -c 1",
        ":",
        &[],
    );
    prints(
        "argv0",
        "$BWRAP --ro-bind / / --argv0 a --argv0 b true 2>&1 || echo $?",
        "bwrap: --argv0 is given twice\n1\n",
        &[],
    );
}

/// For systemd-cat(1) and logger(1).
#[test]
fn errors_have_a_level() {
    for wrong in
        ["--bind no /mnt true", "--ro-bind / / /no/such", "--ro-bind / / --chdir /no true", "--perms 8 --dir / true"]
    {
        let line = format!("$BWRAP --level-prefix {wrong} 2>&1 | cut -c -10; $BWRAP {wrong} 2>&1 | cut -c -7");
        prints("level", &line, "<3>bwrap: \nbwrap: \n", &[]);
    }
    let twice = "$BWRAP --level-prefix --ro-bind / / --unshare-uts --hostname a --hostname b true 2>&1";
    prints("level", twice, "<4>bwrap: --hostname is given twice: the last one counts\n", &[]);
    // The payload's own are as they are.
    prints("level", "$BWRAP --level-prefix --ro-bind / / sh -c 'echo said >&2' 2>&1", "said\n", &[]);
}
