//! Namespaces that are there already, maps that the caller writes, and a terminal.

use crate::{same, same_with};

/// What the front does not hand on (docs/fronts.md).
const DIFFERS: &[&str] = &["descriptors", "mount /proc", "CapPrm", "CapEff", "CapBnd"];

/// A line with 5 open on a user namespace in which the caller is root, 6 on the user namespace below it, and 7 on
/// a pid namespace of the first.
fn with_namespaces(line: &str) -> String {
    format!(
        "mkfifo ready; unshare -Urp sh -c 'unshare -Ur sh -c \"echo \\$\\$ >ready; exec sleep 600\" & exec sleep 600' & outer=$!; \
         read -r first <ready; inner=$(pgrep -P $outer); \
         exec 5</proc/$outer/ns/user 6</proc/$inner/ns/user 7</proc/$outer/ns/pid_for_children; kill $outer; \
         {{ {line}; }} || echo status $?; exec 5<&- 6<&-; kill -9 $inner"
    )
}

#[test]
fn a_user_namespace_is_entered() {
    for options in [
        "",
        "--unshare-pid --proc /proc",
        "--unshare-ipc --unshare-net --unshare-uts --hostname box",
        "--uid 0 --gid 0",
        "--cap-add ALL",
        "--cap-drop ALL --cap-add cap_net_raw",
        "--userns2 6",
        "--userns2 6 --unshare-pid",
    ] {
        let line = with_namespaces(&format!("$BWRAP --userns 5 --ro-bind / / {options} sh probe.sh"));
        same_with("userns", &line, "namespace user new\n", DIFFERS);
    }
    let write = with_namespaces(
        "$BWRAP --userns 5 --bind / / sh -c 'echo x >home/new; ls -n home | wc -l'; ls -l home | wc -l",
    );
    same("userns", &write, &[]);
}

#[test]
fn a_pid_namespace_is_entered() {
    for options in ["", "--proc /proc", "--unshare-pid", "--unshare-pid --proc /proc"] {
        let line = with_namespaces(&format!(
            "$BWRAP --new-session --userns 5 --pidns 7 --ro-bind / / {options} sh -c 'sh probe.sh; ls /proc | grep -c ^1$'"
        ));
        same_with("pidns", &line, "namespace pid new\n", &["descriptors", "session", "group", "mount /proc", "pid "]);
    }
}

#[test]
fn the_caller_writes_the_maps() {
    // Whoever reads the report writes the maps, as far as he may; before that, nothing goes on.
    let line = |maps: &str, options: &str| {
        format!(
            "mkfifo info block; exec 9<>info; $BWRAP --unshare-user --userns-block-fd 5 --info-fd 6 --ro-bind / / {options} sh probe.sh \
             5<block 6>info 9<&- & exec 8>block; pid=$(sed -n '/child-pid/{{s/[^0-9]//g;p;q}}' <&9); \
             cat /proc/$pid/uid_map | wc -l; {maps}; echo >&8; wait $! || echo status $?"
        )
    };
    let own = "{ echo deny >/proc/$pid/setgroups; echo \"$(id -u) $(id -u) 1\" >/proc/$pid/uid_map; \
        echo \"$(id -g) $(id -g) 1\" >/proc/$pid/gid_map; }";
    for options in ["", "--unshare-pid", "--unshare-ipc --tmpfs /mnt --dir /mnt/x"] {
        same_with("maps", &line(own, options), "NoNewPrivs:\t1\n", &["descriptors"]);
    }
    // Nobody has an id in there.
    same("maps", &line("echo none", ""), &[]);
}

#[test]
fn a_terminal_is_the_console() {
    let line = "ls -l /dev | grep -c console; test -t 1 && echo terminal; tty; test /dev/console -ef $(tty) && echo same; \
        echo x >/dev/console; stat -c %t /dev/console";
    for options in ["", "--unshare-pid", "--new-session", "--unshare-all"] {
        let typescript = format!("$BWRAP --ro-bind / / --dev /dev {options} sh -c \"{line}\"");
        same_with(
            "console",
            &format!("export BWRAP; script -qec '{typescript}' /dev/null </dev/null | tr -d '\\r'"),
            "terminal\n",
            &["bwrap: warning"],
        );
    }
    // Without one there is none.
    same("console", "$BWRAP --ro-bind / / --dev /dev sh -c 'ls /dev/console || echo none' 2>&1; echo", &["ls: "]);
}
