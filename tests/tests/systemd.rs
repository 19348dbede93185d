//! Under systemd: in a login session, in a scope, in a service, as root and as an ordinary user, limits hold where the cgroup
//! is delegated, and where it is not one line says how it could be. `scripts/test --kernel 6.1 --systemd` has such a machine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use chainbox_tests::{Chain, Ran, Tier, USER, bin, checkout, is_root, skip, tool, wait_for};
use serde_json::Value;

/// Allocates and touches 100 MiB in one process.
const HOG: &str = "dd if=/dev/zero of=/dev/null bs=100M count=1";
/// Says of the shell's own cgroup what is left of a run: the kind of its unit, its children, what is enabled for those.
const LEFT: &str = "own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); echo left: $(expr $own : '.*[.]\\(.*\\)') \
                    $(find $own -mindepth 1 -type d) $(cat $own/cgroup.subtree_control)";

/// Whether systemd is the first process here, and the ordinary user has one of his own; otherwise records the skip.
fn systemd(test: &str) -> bool {
    let reason = match () {
        () if !Path::new("/run/systemd/system").exists() => "systemd is not the first process",
        () if !is_root() => "services and other users' sessions are root's to start",
        () if !Path::new("/var/lib/systemd/linger/user").exists() => "no lingering user `user'",
        () => {
            let bus = format!("/run/user/{USER}/bus");
            wait_for("the user's own systemd", || Path::new(&bus).exists());
            return true;
        }
    };
    skip(Tier::Systemd, test, reason);
    false
}

/// A shell line in a new login session (PAM, logind), in which `$SCOPE` begins a scope of one's own.
fn session(user: &str, line: &str) -> Chain {
    let scope = if user == "root" { "systemd-run" } else { "systemd-run --user" };
    let line = format!(
        "PATH={}:$PATH; SCOPE='{scope} --quiet --scope -p Delegate=yes'; HOG='{HOG}'; cd ~; {line}",
        bin().display()
    );
    Chain::program("runuser").args(["--login", user, "--shell", "/bin/sh", "--command", &line])
}

/// A command as a service, with these options of systemd-run(1).
fn service(options: &str, words: &[&str]) -> Chain {
    let path = format!("PATH={}:/usr/bin:/bin:/usr/sbin:/sbin", bin().display());
    let options = format!("--quiet --wait --pipe --collect -E {path} {options}");
    Chain::program("systemd-run").args(options.split_whitespace()).args(["--"]).args(words)
}

/// The report on the first line, whose run was killed for its memory.
#[track_caller]
fn killed_for_memory(out: &str) {
    let report: Value = serde_json::from_str(out.lines().next().unwrap_or_default()).unwrap_or_default();
    let seen = |path: &str| report.pointer(path).unwrap_or(&Value::Null);
    assert_eq!((seen("/verdict"), seen("/signal")), (&"ML".into(), &9.into()), "{out}");
    assert!((16 << 20..=32 << 20).contains(&seen("/cgroup/memory_peak").as_u64().unwrap()), "{out}");
    assert_eq!((seen("/cgroup/pids_denied"), seen("/without_cgroup")), (&0.into(), &Value::Null), "{out}");
}

/// What a shell runs in a delegated unit, and what is asserted of it: limits hold, several times, and nothing is left.
const TWICE: &str = "cg-run --move-callers --memory 32M --pids 9 --report 1 -- $HOG; echo $?; \
                     cg-run --move-callers --pids 4 -- sh -c 'for n in 1 2 3 4 5 6; do sleep 0.1 & done; wait'; echo $?";

#[track_caller]
fn held_twice(out: &str, unit: &str) {
    killed_for_memory(out);
    let rest: Vec<&str> = out.lines().skip(1).collect();
    assert_eq!(rest, ["137", "2", &format!("left: {unit}")], "{out}");
}

#[test]
fn in_a_scope_of_ones_own_limits_hold() {
    if !systemd("in_a_scope_of_ones_own_limits_hold") {
        return;
    }
    for user in ["user", "root"] {
        // cg-run alone; and a shell that steps aside for it, and comes back.
        let ran = session(user, "$SCOPE cg-run --memory 32M --pids 9 --report 1 -- $HOG; echo $?").run();
        killed_for_memory(&ran.out);
        assert_eq!(ran.out.lines().last(), Some("137"), "{user}: {ran:#?}");
        let ran = session(user, &format!("export HOG; $SCOPE sh -c \"$(cat <<'END'\n{TWICE}; {LEFT}\nEND\n)\"")).run();
        held_twice(&ran.out, "scope");
    }
}

#[test]
fn in_a_service_with_delegate_limits_hold() {
    if !systemd("in_a_service_with_delegate_limits_hold") {
        return;
    }
    let line = format!("HOG='{HOG}'; {TWICE}; {LEFT}");
    for user in ["user", "root"] {
        let options = format!("-p Delegate=yes --uid {user}");
        let words = ["cg-run", "--memory", "32M", "--pids", "9", "--report", "1", "--", "sh", "-c", HOG];
        killed_for_memory(&service(&options, &words).run().out);
        held_twice(&service(&options, &["sh", "-c", &line]).run().ok(), "service");
    }
}

#[test]
fn where_nothing_is_delegated_one_line_says_how_it_would_be() {
    if !systemd("where_nothing_is_delegated_one_line_says_how_it_would_be") {
        return;
    }
    let run = ["cg-run", "--move-callers", "--memory", "32M", "--", "true"];
    for (user, why) in [("user", "Permission denied (EACCES)"), ("root", "systemd has not delegated it")] {
        for ran in [
            session(user, &run.join(" ")).run(),
            Chain::program("systemd-run").args(["--quiet", "--scope", "--uid", user]).args(run).run(),
            service(&format!("--uid {user}"), &run).run(),
            service(&format!("--uid {user}"), &["sh", "-c", &format!("{}; exit $?", run.join(" "))]).run(),
        ] {
            ran.fails(125, why);
            assert_eq!((ran.err.lines().count(), ran.out.as_str()), (2, ""), "{user}: {ran:#?}");
            let hint = "systemd-run --user --scope -p Delegate=yes -- COMMAND (root: without --user; a service: \
                        Delegate=yes in its unit)";
            assert!(ran.err.contains(hint), "{user}: {ran:#?}");
        }
    }
}

#[test]
fn the_sandbox_limits_where_the_hint_says() {
    if !systemd("the_sandbox_limits_where_the_hint_says") {
        return;
    }
    let sandbox = checkout().join("scripts/sandbox").display().to_string();
    for user in ["user", "root"] {
        let run = format!("mkdir -p work; cd work; RUN='{sandbox} --memory 32M --pids 50 --report report --'");
        // In a plain session it is refused, and done in a scope; from a shell in it, and without a limit that was asked for.
        let ran = session(user, &format!("{run}; $RUN true; echo $?; {sandbox} -- echo ran; echo $?")).run();
        assert_eq!(ran.out, "125\nran\n0\n", "{user}: {ran:#?}");
        assert!(ran.err.contains("-p Delegate=yes -- COMMAND"), "{user}: {ran:#?}");
        let ran = session(user, &format!("{run}; $SCOPE $RUN $HOG; code=$?; cat report; echo $code")).run();
        killed_for_memory(&ran.out);
        assert_eq!(ran.out.lines().last(), Some("137"), "{user}: {ran:#?}");
        let line = format!("export RUN HOG; $SCOPE sh -c \"$(cat <<'END'\n$RUN $HOG; cat report; {LEFT}\nEND\n)\"");
        let ran = session(user, &format!("{run}; {line}")).run();
        killed_for_memory(&ran.out);
        assert_eq!(ran.out.lines().last(), Some("left: scope"), "{user}: {ran:#?}");
    }
}

#[test]
fn what_a_killed_run_leaves_is_collected_there() {
    if !systemd("what_a_killed_run_leaves_is_collected_there") {
        return;
    }
    let line = format!(
        "cg-run --move-callers --memory 32M --name box -- sh -c 'sleep 999 & kill -9 $PPID; wait'; \
         until [ $(cat $own/box/cgroup.procs | wc -l) = 1 ]; do sleep 0.1; done; cg-run --gc; {LEFT}"
    );
    let own = "own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)";
    for user in ["user", "root"] {
        let ran = session(user, &format!("$SCOPE sh -c \"$(cat <<'END'\n{own}; {line}\nEND\n)\"")).run();
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!((lines.len(), lines.last()), (2, Some(&"left: scope")), "{user}: {ran:#?}");
        assert!(lines.first().unwrap().starts_with("removed /sys/fs/cgroup/"), "{user}: {ran:#?}");
    }
}

#[test]
fn the_service_that_keeps_a_cgroup_for_leaves_is_one() {
    if !systemd("the_service_that_keeps_a_cgroup_for_leaves_is_one") {
        return;
    }
    let unit = "chainbox-cgroup.service";
    fs::copy(checkout().join("packaging/systemd").join(unit), Path::new("/run/systemd/system").join(unit)).unwrap();
    Chain::shell(&format!("systemctl daemon-reload && systemctl start {unit}")).run().ok();
    let place = format!("/sys/fs/cgroup/chainbox.slice/{unit}");
    wait_for("the keeper to step aside", || Path::new(&place).join("keeper").exists());
    wait_for("the keeper to step aside", || fs::read_to_string(format!("{place}/cgroup.procs")).unwrap().is_empty());
    let limits = ["--parent", &place, "--memory", "32M", "--pids", "9", "--report", "1", "--"];
    let ran = Chain::new("cg-run").args(limits).args(HOG.split(' ')).run();
    killed_for_memory(&ran.out);
    // A judge whose configuration names it.
    fs::write("/run/isolate.conf", format!("cg_root = {place}\nbox_root = /run/boxes\nlock_root = /run/locks\n"))
        .unwrap();
    fs::create_dir("/run/front").unwrap();
    symlink(tool("chainbox"), "/run/front/isolate").unwrap();
    judged_right(
        &Chain::shell(&format!(
            "export ISOLATE_CONFIG=/run/isolate.conf HOG='{HOG}'; {}",
            judged("/run/front/isolate")
        ))
        .run(),
    );
    // Its end is that of every run.
    let mut run = Chain::new("cg-run").args(["--parent", &place, "--memory", "32M", "--", "sleep", "999"]);
    let mut run = run.command().spawn().unwrap();
    wait_for("the leaf", || {
        fs::read_dir(&place)
            .unwrap()
            .flatten()
            .any(|entry| entry.path().join("memory.max").exists() && !entry.path().ends_with("keeper"))
    });
    Chain::shell(&format!("systemctl stop {unit}")).run().ok();
    assert!(!run.wait().unwrap().success());
    wait_for("the end of its cgroup", || !Path::new(&place).exists());
    fs::remove_file(Path::new("/run/systemd/system").join(unit)).unwrap();
}

/// A box with 32 MiB, in which somebody uses 100, and one that does not: what their meta files say.
fn judged(front: &str) -> String {
    format!(
        "isolate() {{ {front} --cg \"$@\"; }}; isolate --init >/dev/null; \
         isolate --cg-mem=32768 --processes -s --meta=meta --run -- /bin/$HOG; echo $?; cat meta; \
         isolate --cg-mem=32768 -s --meta=meta --run -- /bin/true; echo $?; cat meta; isolate --cleanup"
    )
}

#[track_caller]
fn judged_right(ran: &Ran) {
    let out = &ran.out;
    let said: Vec<&str> = out.lines().filter(|line| !line.contains("time") && !line.contains("csw")).collect();
    let [one, two] = [["exitsig:9", "cg-oom-killed:1", "status:SG"].as_slice(), &["exitcode:0"]];
    for (lines, code) in [(one, "1"), (two, "0")] {
        assert!(said.contains(&code) && lines.iter().all(|line| said.contains(line)), "{ran:#?}");
    }
    assert_eq!(said.iter().filter(|line| line.starts_with("cg-mem:")).count(), 2, "{out}");
    assert!(!out.contains("status:XX"), "{out}");
}

#[test]
fn a_judge_has_his_boxes_limited_there() {
    if !systemd("a_judge_has_his_boxes_limited_there") {
        return;
    }
    let link = format!("ln -sf {} ~/isolate", tool("chainbox").display());
    for user in ["user", "root"] {
        let line =
            format!("{link}; $SCOPE sh -c \"$(cat <<'END'\nHOG='{HOG}'; {}; {LEFT}\nEND\n)\"", judged("~/isolate"));
        let ran = session(user, &line).run();
        judged_right(&ran);
        assert_eq!(ran.out.lines().last(), Some("left: scope"), "{user}: {ran:#?}");
    }
    // In a container: root of a user namespace, to whom a cgroup namespace shows what was delegated as the whole tree.
    let line = format!(
        "mount -t tmpfs tmpfs /sys/fs; mkdir /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; mount -t tmpfs tmpfs /run; mkdir /run/front; ln -s $FILE /run/front/isolate; \
         printf 'box_root = /run/boxes\nlock_root = /run/locks\n' >/run/conf; export ISOLATE_CONFIG=/run/conf; {}",
        judged("/run/front/isolate")
    );
    let container = "unshare --user --map-root-user --mount --cgroup";
    let file = tool("chainbox").display().to_string();
    let ran =
        session("user", &format!("export HOG FILE={file}; $SCOPE {container} sh -c \"$(cat <<'END'\n{line}\nEND\n)\""));
    judged_right(&ran.run());
}
