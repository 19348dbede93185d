//! Each namespace is the one that was asked for, and nothing else changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::fs;

use chainbox_tests::{Chain, is_root, root_or_skip};
use support::{as_each, in_box, ns_unshare};

const KINDS: [(&str, &str); 8] = [
    ("--user", "user"),
    ("--mount", "mnt"),
    ("--pid", "pid"),
    ("--net", "net"),
    ("--ipc", "ipc"),
    ("--uts", "uts"),
    ("--cgroup", "cgroup"),
    ("--time", "time"),
];

/// All eight namespaces of a process, as /proc names them.
const LINKS: &str = "for n in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$n; done";

fn own() -> Vec<String> {
    let link = |kind: &(&str, &str)| fs::read_link(format!("/proc/self/ns/{}", kind.1)).unwrap();
    KINDS.iter().map(|kind| link(kind).to_str().unwrap().to_owned()).collect()
}

fn differing(out: &str) -> Vec<&'static str> {
    let theirs: Vec<&str> = out.lines().collect();
    assert_eq!(theirs.len(), KINDS.len(), "{out}");
    KINDS.iter().zip(own()).zip(theirs).filter(|((_, own), their)| own != their).map(|((kind, _), _)| kind.0).collect()
}

#[test]
fn each_one_alone_as_root() {
    if !root_or_skip("each_one_alone_as_root") {
        return;
    }
    for (option, _) in KINDS {
        assert_eq!(differing(&in_box(option, LINKS).run().ok()), [option]);
    }
}

#[test]
fn each_one_in_a_user_namespace() {
    for (option, _) in KINDS.into_iter().skip(1) {
        for (who, ran) in as_each(|| in_box(&format!("--user {option}"), LINKS)) {
            assert_eq!(differing(&ran.ok()), ["--user", option], "{who}");
        }
    }
}

#[test]
fn all_is_all_eight() {
    for options in ["--all", "--all --as-pid1", "-UmpniuCT"] {
        for (who, ran) in as_each(|| in_box(options, LINKS)) {
            assert_eq!(differing(&ran.ok()).len(), 8, "{options} as {who}");
        }
    }
}

#[test]
fn none_is_none() {
    assert_eq!(differing(&in_box("", LINKS).run().ok()).len(), 0);
}

#[test]
fn proc_stays_the_callers_until_a_new_one_is_mounted() {
    for (who, ran) in as_each(|| in_box("--user --pid", "readlink /proc/self; echo $$")) {
        let out = ran.ok();
        let numbers: Vec<i32> = out.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers[0] > 100 && numbers[1] == 2, "as {who}: {numbers:?}");
    }
    let fresh = "mount -t proc proc /proc && readlink /proc/self";
    for (who, ran) in as_each(|| in_box("--user --pid --mount --as-pid1 --keep-caps", fresh)) {
        assert_eq!(ran.ok(), "3\n", "as {who}: sh is 1, mount 2, readlink 3");
    }
}

#[test]
fn the_names_are_set_and_the_callers_stay() {
    let before = names();
    for (who, ran) in
        as_each(|| in_box("-U -u --hostname box --domainname dom", "uname -n; cat /proc/sys/kernel/domainname"))
    {
        assert_eq!(ran.ok(), "box\ndom\n", "{who}");
    }
    let long = "h".repeat(64);
    assert_eq!(ns_unshare(&format!("-Uu --hostname {long} -- uname -n")).run().ok(), format!("{long}\n"));
    assert_eq!(names(), before);
}

fn names() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap()
        + &fs::read_to_string("/proc/sys/kernel/domainname").unwrap()
}

/// A connection to a port where nobody listens is refused where lo is up, and has no route where it is down: that is
/// how util-linux's unshare, which leaves lo alone, shows that this test can fail.
#[test]
fn lo_is_up() {
    let connect = "exec 3<>/dev/tcp/127.0.0.1/9";
    for (who, ran) in as_each(|| ns_unshare("--user --net -- bash -c").args([connect])) {
        ran.fails(1, "Connection refused");
        assert_eq!(ran.signal, None, "{who}");
    }
    let down = Chain::program("unshare").args(["--user", "--net", "bash", "-c", connect]).run();
    down.fails(1, "Network is unreachable");
}

#[test]
fn mounts_of_the_box_are_not_seen_outside() {
    for (who, ran) in as_each(|| {
        in_box("--user --mount --keep-caps", "mount -t tmpfs boxtmp /mnt && grep -c boxtmp /proc/self/mountinfo")
    }) {
        assert_eq!(ran.ok(), "1\n", "{who}");
    }
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains("boxtmp"));
}

/// The optional fields of mountinfo's line for a shared mount that is made by an outer, real mount namespace.
#[test]
fn propagation_is_as_asked() {
    let outer = |script: &str| {
        let mut ran = vec![in_box("--user --mount --keep-caps", script).as_user().run().ok()];
        ran.extend(is_root().then(|| in_box("--mount", script).run().ok()));
        ran
    };
    for (mode, expected) in [("private", ""), ("slave", "master:"), ("shared", "shared:"), ("unchanged", "shared:")] {
        let script = format!(
            "mount -t tmpfs shr /mnt && mount --make-shared /mnt && ns-unshare --mount --propagation {mode} -- grep ' shr ' /proc/self/mountinfo"
        );
        for line in outer(&script) {
            let fields: Vec<&str> = line.split(' ').skip(6).take_while(|word| *word != "-").collect();
            let words = fields.join(" ");
            assert!(if expected.is_empty() { words.is_empty() } else { words.starts_with(expected) }, "{mode}: {line}");
        }
    }
    let script = "mount -t tmpfs shr /mnt && mount --make-shared /mnt && ns-unshare --mount -- grep ' shr ' /proc/self/mountinfo";
    assert!(outer(script).iter().all(|line| !line.contains("shared:")), "private is the default");
}

#[test]
fn the_clocks_are_shifted() {
    let uptime = |text: String| text.split('.').next().unwrap().parse::<i64>().unwrap();
    let here = uptime(fs::read_to_string("/proc/uptime").unwrap());
    for options in ["-U --time", "-U --time --pid", "-U --time --pid --as-pid1"] {
        for (who, ran) in as_each(|| in_box(&format!("{options} --boottime +1000000"), "cat /proc/uptime")) {
            let there = uptime(ran.ok());
            assert!((1_000_000..1_000_100).contains(&(there - here)), "{options} as {who}: {here} {there}");
        }
        let ran = in_box(&format!("{options} --monotonic 5 --boottime -3"), "cat /proc/self/timens_offsets").run();
        let words: Vec<String> = ran.ok().split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["monotonic", "5", "0", "boottime", "-3", "0"], "{options}");
    }
    let negative = ns_unshare("-U --time --boottime=-9000000000 -- true").run();
    negative.fails(
        125,
        "shift clocks: boottime by -9000000000 s: write timens_offsets: Math result not representable (ERANGE)",
    );
    assert!(negative.err.contains("hint: a clock may not become negative"), "{negative:?}");
}

/// Invariant 5 for this tool: what a program can see of itself apart from the layer.
#[test]
fn nothing_else_changes() {
    let probe = "umask; pwd; env | sort; ulimit -a; cat /proc/self/oom_score_adj /proc/self/timerslack_ns 2>/dev/null; \
                 grep -E 'Sig(Blk|Ign|Cgt|Pnd)|ShdPnd|NoNewPrivs|Seccomp:' /proc/self/status; ls /proc/self/fd | grep -x '[0-9]'; \
                 readlink /proc/self/exe; echo \"$0\" \"$@\"; cut -d' ' -f19 /proc/self/stat";
    let setting = "umask 027; cd /usr; ulimit -n 333; exec 7</dev/null; ";
    // Without the terminal of whoever runs the tests, of which a box would warn.
    let alone = |line: &str| Chain::shell(line).within("setsid", &["--wait"]).run();
    let bare = alone(&format!("{setting} exec sh -c '{}' a 'b c' ''", probe.replace('\'', "'\\''")));
    for options in ["-U", "-Up", "-Up --as-pid1", "-UmpniuC", "-U --time"] {
        let line = format!(
            "{setting} exec ns-unshare --keep-fd 7 {options} -- sh -c '{}' a 'b c' ''",
            probe.replace('\'', "'\\''")
        );
        let boxed = alone(&line);
        assert_eq!(boxed, bare, "{options}");
    }
}

#[test]
fn signal_state_is_handed_on_unchanged() {
    let state = |words: &str| {
        let chain = Chain::program("env").args(["--ignore-signal=CHLD,PIPE,QUIT", "--block-signal=USR1,TERM,CHLD"]);
        let chain = chain.args(words.split_whitespace()).args(["grep", "-E", "^(Sig[^Q]|Shd)", "/proc/self/status"]);
        chain.run().ok()
    };
    let bare = state("");
    let bits = |field: &str| {
        let line = bare.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!((bits("SigBlk:") & 0x1_4200, bits("SigIgn:") & 0x1_1004), (0x1_4200, 0x1_1004), "{bare}");
    for options in ["", "-U", "-Up", "-Up --as-pid1", "-U --time", "-Up --no-forward"] {
        let words = format!("ns-unshare {options} --");
        assert_eq!(state(&words), bare, "{options}");
    }
    if is_root() {
        let maps = "--map-users 0:0:1 --map-users 1:100000:9 --map-groups 0:0:1 --map-groups 1:100000:9";
        for options in ["-U", "-Up"] {
            assert_eq!(
                state(&format!("ns-unshare {options} {maps} --")),
                bare,
                "{options} with a map written from outside"
            );
        }
    }
}

#[test]
fn closed_standard_descriptors_stay_closed() {
    for options in ["-U", "-Up", "-Up --as-pid1"] {
        let folder = chainbox_tests::Folder::new(&format!("closed{}", options.replace(' ', "")), true);
        let out = folder.join("out");
        let script = format!(
            "for fd in 0 1 2 3 4 5 6 7; do [ -e /proc/self/fd/$fd ] && echo $fd; done >{}; true",
            out.display()
        );
        for closing in ["<&-", "<&- >&-", "<&- >&- 2>&-"] {
            let line = |prefix: &str| format!("exec {prefix} sh -c '{script}' {closing}");
            Chain::shell(&line("")).run().ok();
            let bare = fs::read_to_string(&out).unwrap();
            Chain::shell(&line(&format!("ns-unshare {options} --"))).run().ok();
            assert_eq!(fs::read_to_string(&out).unwrap(), bare, "{options} {closing}");
        }
    }
}

/// The init's command line is that of the whole chain, with paths of the host: everybody may read it in /proc.
#[test]
fn the_init_does_not_tell_the_command_line() {
    let script = "mount -t proc proc /proc && tr -d '\\0' </proc/1/cmdline && : secret-of-the-host";
    for (who, ran) in as_each(|| in_box("-Up --mount --keep-caps", script)) {
        assert_eq!(ran.ok(), "ns-unshare", "{who}");
    }
}

/// A box that may make no user namespaces makes none, as its own root neither, and cannot allow it itself.
#[test]
fn user_namespaces_can_be_disabled() {
    let script = "unshare -U true; ns-unshare --user -- true; echo 9 >/proc/sys/user/max_user_namespaces; \
                  cat /proc/sys/user/max_user_namespaces; id -u";
    for options in ["", "--pid", "--map-self --pid --mount"] {
        for (who, ran) in as_each(|| in_box(&format!("--user --disable-userns {options}"), script)) {
            let uid = if options.contains("self") && who == "user" { "1000" } else { "0" };
            assert_eq!(ran.out, format!("0\n{uid}\n"), "{options} as {who}: {ran:?}");
            assert!(ran.err.contains("unshare failed: No space left on device"), "{ran:?}");
            assert!(ran.err.contains("hint: user.max_user_namespaces is 0"), "{ran:?}");
        }
    }
    let chain =
        "--user --mount --pid --disable-userns -- rlimit-exec --core 0 -- mount-plan --bind / / -- unshare -U true";
    for (who, ran) in as_each(|| ns_unshare(chain)) {
        assert!(ran.code != 0 && ran.err.contains("No space left on device"), "{who}: {ran:?}");
    }
    ns_unshare("--pid --disable-userns -- true").run().fails(125, "--disable-userns needs --user");
    ns_unshare("-U --keep-caps --disable-userns -- true").run().fails(125, "exclude each other");
}

#[test]
fn the_namespaces_that_there_are_can_be_listed() {
    let (mut child, out) =
        support::spawn(in_box("-Uu --hostname listed", "readlink /proc/self/ns/uts; exec sleep 1000").as_user());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let number = line.trim().trim_start_matches("uts:[").trim_end_matches(']').to_owned();
    let pid = child.id().to_string();
    let name = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    chainbox_tests::wait_for("sleep is executed", || name() == "sleep\n");
    let listed = ns_unshare("--list").as_user().run().ok();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let box_line = listed.lines().map(words).find(|words| words[1] == number).unwrap();
    assert_eq!(box_line, ["uts", &number, "1", &pid, "sleep"]);
    for kind in ["user", "mount", "pid", "net", "ipc", "uts", "cgroup", "time"] {
        assert_eq!(listed.lines().filter(|line| line.starts_with(&format!("{kind}* "))).count(), 1, "{listed}");
    }
    // Below the user namespace that owns it, which is below the caller's.
    let tree = ns_unshare("--tree").as_user().run().ok();
    let at = tree.lines().position(|line| line.trim() == format!("uts {number}: 1 from {pid} on (sleep)")).unwrap();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let above = |at: usize| {
        let here = indent(tree.lines().nth(at).unwrap());
        (0..at).rev().find(|n| indent(tree.lines().nth(*n).unwrap()) < here)
    };
    let line = |at: usize| tree.lines().nth(at).unwrap().trim().to_owned();
    let owner = above(at).unwrap();
    assert!(line(owner).starts_with("user ") && line(owner).ends_with(&format!(": 1 from {pid} on (sleep)")), "{tree}");
    assert!(above(owner).is_none_or(|own| line(own).starts_with("user* ")), "{tree}");
    child.kill().unwrap();
    child.wait().unwrap();
}
