//! A scope of one's own: who started cg-run is in the cgroup whose children are to be limited. They step aside, and come back.
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use chainbox_tests::{Chain, Ran, root_or_skip};
use nix::fcntl::{Flock, FlockArg};

use crate::common::{Place, json, marked, marker, wait_for, with_hugetlb};

const RUN: &str = "cg-run --move-callers --set hugetlb.2MB.max=4M";

/// A shell that is in the place, `$PLACE`, as root or as the ordinary user; `$RUN` is the beginning of a run there.
fn shell_in(place: &Place, user: bool, line: &str) -> Chain {
    let to = if user { "exec setpriv --reuid 1000 --regid 1000 --clear-groups sh -c" } else { "exec sh -c" };
    let enter = format!("echo $$ >$PLACE/cgroup.procs; {to} \"$LINE\"");
    Chain::shell(&enter).env("PLACE", place.text()).env("LINE", line).env("RUN", RUN)
}

/// Nothing is left of any run.
#[track_caller]
fn is_as_before(place: &Place, ran: &Ran) {
    assert_eq!((place.children(), place.read("cgroup.subtree_control")), (vec![], String::new()), "{ran:?}");
}

/// What a shell says of its cgroup, as the last part of the path.
const WHERE: &str = "sed -n 's,^0::.*/,,p' /proc/self/cgroup";

#[test]
fn the_shell_that_starts_it_steps_aside_and_comes_back() {
    if !root_or_skip("the_shell_that_starts_it_steps_aside_and_comes_back") {
        return;
    }
    with_hugetlb("callers", |place| {
        place.mark();
        let own = place.path().file_name().unwrap().to_str().unwrap();
        for user in [false, true] {
            if user {
                place.delegate();
            }
            // The payload sees its limit, and its caller aside; the shell that goes on is where it was.
            let line = format!(
                "$RUN --name box -- sh -c 'cat $PLACE/box/hugetlb.2MB.max; grep -c . $PLACE/chainbox-callers/cgroup.procs; exit 3'; \
                 echo $?; {WHERE}"
            );
            let ran = shell_in(place, user, &line).run();
            assert_eq!(ran.out, format!("4194304\n3\n3\n{own}\n"), "{ran:?}");
            is_as_before(place, &ran);
            for (payload, signal) in [("kill -9 $$", 137), ("kill -9 0", 137)] {
                let ran =
                    shell_in(place, user, &format!("$RUN -- setsid -w sh -c '{payload}'; echo $?; {WHERE}")).run();
                assert!(ran.out.ends_with(&format!("{signal}\n{own}\n")), "{ran:?}");
                is_as_before(place, &ran);
            }
            // A run that is refused in the middle.
            let ran = shell_in(place, user, &format!("$RUN --set hugetlb.3MB.max=0 -- true; echo $?; {WHERE}")).run();
            assert_eq!(ran.out, format!("125\n{own}\n"), "{ran:?}");
            is_as_before(place, &ran);
            // Executed by the shell, it is alone.
            let ran = shell_in(place, user, "exec $RUN -- sh -c 'ls $PLACE | grep -c callers; exit 4'").run();
            assert_eq!((ran.code, ran.out.as_str()), (4, "1\n"), "{ran:?}");
            is_as_before(place, &ran);
        }
    });
}

#[test]
fn neighbours_in_a_pipe_go_with_it() {
    if !root_or_skip("neighbours_in_a_pipe_go_with_it") {
        return;
    }
    with_hugetlb("pipe", |place| {
        place.mark();
        let line = "sleep 0.2 | (sleep 0.2; echo in) | $RUN -- cat | (cat; sleep 0.2; echo out)";
        let ran = shell_in(place, false, line).run();
        assert_eq!(ran.out, "in\nout\n", "{ran:?}");
        is_as_before(place, &ran);
        // While others come and go.
        let line = "(i=0; while [ $i -lt 300 ]; do i=$((i+1)); true & /bin/true; done; wait) & \
                    for n in 1 2 3 4 5 6; do $RUN -- true || echo failed; done; wait";
        let ran = shell_in(place, false, line).run();
        assert_eq!((ran.out.as_str(), ran.code), ("", 0), "{ran:?}");
        is_as_before(place, &ran);
    });
}

#[test]
fn runs_at_the_same_time_share_the_cgroup() {
    if !root_or_skip("runs_at_the_same_time_share_the_cgroup") {
        return;
    }
    with_hugetlb("parallel", |place| {
        place.mark();
        // Each finds its limit at its end too: no other run has taken the controller away meanwhile. All leaves are beside each
        // other, those of runs that a shell starts which is aside already too.
        let payload = "sleep 0.$1; cat $PLACE/box$1/hugetlb.2MB.max";
        let line = format!(
            "for n in 1 2 3 4 5 6; do $RUN --name box$n -- sh -c '{payload}' x $n & sleep 0.0$((n % 3)); done; \
             $RUN --name box0 -- sh -c '{payload}' x 0; wait; \
             for n in 1 2 3 4 5 6; do $RUN --name box$n -- cat $PLACE/box$n/hugetlb.2MB.max & done; wait"
        );
        for round in 0..5 {
            let ran = shell_in(place, false, &line).run();
            assert_eq!((ran.out, ran.err.as_str()), ("4194304\n".repeat(13), ""), "round {round}");
            assert_eq!(
                (place.children(), place.read("cgroup.subtree_control")),
                (vec![], String::new()),
                "round {round}"
            );
        }
    });
}

#[test]
fn processes_that_are_not_ours_are_never_moved() {
    if !root_or_skip("processes_that_are_not_ours_are_never_moved") {
        return;
    }
    with_hugetlb("strangers", |place| {
        place.mark();
        let marker = marker(41);
        // As in a service with Delegate=yes: somebody else has started it.
        let enter = format!("echo $$ >{}/cgroup.procs; exec sleep {marker}", place.text());
        let mut stranger = Chain::shell(&enter).command().spawn().unwrap();
        wait_for("the stranger", || !marked(&marker).is_empty());
        let ran = shell_in(place, false, "$RUN -- true; exit $?").run();
        ran.fails(125, "other processes are in it (no-internal-process rule)\nhint: ");
        assert_eq!(place.read("cgroup.procs"), format!("{}\n", stranger.id()));
        is_as_before(place, &ran);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        // Another user's, though the same shell has started it.
        let line = "setpriv --reuid 1000 --regid 1000 --clear-groups sleep 9 & \
                    until [ \"$(stat -c %u /proc/$!)\" = 1000 ]; do sleep 0.01; done; $RUN -- true; code=$?; kill $!; exit $code";
        let ran = shell_in(place, false, line).run();
        ran.fails(125, "other processes are in it");
        is_as_before(place, &ran);
    });
}

#[test]
fn what_is_not_delegated_is_not_rearranged() {
    if !root_or_skip("what_is_not_delegated_is_not_rearranged") {
        return;
    }
    with_hugetlb("undelegated", |place| {
        let ran = shell_in(place, false, "$RUN -- true; exit $?").run();
        ran.fails(125, "other processes are in it");
        is_as_before(place, &ran);
        place.mark();
        let ran = shell_in(place, false, "cg-run --set hugetlb.2MB.max=0 -- true; exit $?").run();
        ran.fails(125, "other processes are in it");
        assert!(ran.err.contains("--move-callers"), "the way out is named: {ran:?}");
        is_as_before(place, &ran);
    });
}

/// By its marks a unit of systemd's: even who is alone there makes no limited children, if they are not delegated.
#[test]
fn what_systemd_keeps_for_itself_is_not_rearranged() {
    if !root_or_skip("what_systemd_keeps_for_itself_is_not_rearranged") {
        return;
    }
    with_hugetlb("systemds", |place| {
        place.set_mark("user.invocation_id");
        for line in ["exec cg-run --set hugetlb.2MB.max=4M -- true", "$RUN -- true; exit $?"] {
            let ran = shell_in(place, false, line).run();
            ran.fails(125, "systemd has not delegated it\nhint: start in a cgroup that is: systemd-run --user --scope");
            is_as_before(place, &ran);
        }
        // Without limits nothing is rearranged.
        shell_in(place, false, "exec cg-run -- true").run().ok();
        place.mark();
        shell_in(place, false, "exec cg-run --set hugetlb.2MB.max=4M -- true").run().ok();
    });
}

#[test]
fn gc_brings_back_who_waits_for_a_run_that_was_killed() {
    if !root_or_skip("gc_brings_back_who_waits_for_a_run_that_was_killed") {
        return;
    }
    with_hugetlb("callers-gc", |place| {
        place.mark();
        let marker = marker(42);
        let line = format!(
            "$RUN -- setsid -w sh -c 'sleep {marker} & kill -9 $PPID; wait'; sleep 0.1; \
                            ls $PLACE | grep -c chainbox-; cg-run --gc; {WHERE}"
        );
        let ran = shell_in(place, false, &line).run();
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!((lines[0], lines.len()), ("2", 3), "{ran:?}");
        assert!(lines[1].starts_with("removed ") && lines[2].starts_with("test-callers-gc"), "{ran:?}");
        is_as_before(place, &ran);
        assert_eq!(marked(&marker), Vec::<u32>::new());
    });
}

#[test]
fn the_next_run_brings_back_who_waits_for_one_that_was_killed() {
    if !root_or_skip("the_next_run_brings_back_who_waits_for_one_that_was_killed") {
        return;
    }
    with_hugetlb("callers-next", |place| {
        place.mark();
        let marker = marker(43);
        // Those that take long to die are left to the next but one.
        let line = format!(
            "$RUN -- setsid -w sh -c 'sleep {marker} & kill -9 $PPID; wait'; \
             until cg-run --move-callers -- true; ! ls $PLACE | grep -q chainbox-; do sleep 0.1; done; {WHERE}"
        );
        let ran = shell_in(place, false, &line).run();
        assert!(ran.out.starts_with("test-callers-next") && ran.out.lines().count() == 1, "{ran:?}");
        is_as_before(place, &ran);
        assert_eq!(marked(&marker), Vec::<u32>::new());
    });
}

#[test]
fn a_lock_of_somebody_else_is_not_waited_for_for_ever() {
    if !root_or_skip("a_lock_of_somebody_else_is_not_waited_for_for_ever") {
        return;
    }
    with_hugetlb("locked", |place| {
        place.mark();
        let lock = Flock::lock(std::fs::File::open(place.path()).unwrap(), FlockArg::LockExclusive).unwrap();
        let mut chain = shell_in(place, false, "$RUN --report 1 -- true");
        let child = chain.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.status.signal()), (Some(125), None), "{output:?}");
        let report = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(!report.is_empty(), "{output:?}");
        assert!(json(&report)["message"].as_str().unwrap().contains("flock"), "{report}");
        drop(lock);
        assert_eq!(place.children(), Vec::<String>::new());
    });
}
