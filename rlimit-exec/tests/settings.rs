//! The settings besides limits, as a payload finds them by the tools that people know.

use chainbox_tests::{Chain, Tier, is_root, skip};

fn payload(options: &str, program: &str) -> chainbox_tests::Ran {
    Chain::new("rlimit-exec").args(options.split(' ')).args(["--", "sh", "-c", program]).run()
}

#[test]
fn nice_io_class_and_umask_reach_the_payload() {
    assert_eq!(payload("--priority 19", "nice").ok(), "19\n");
    assert_eq!(payload("--ionice idle", "ionice").ok(), "idle\n");
    assert_eq!(payload("--ionice best-effort:6", "ionice").ok(), "best-effort: prio 6\n");
    assert_eq!(Chain::shell("ionice -c 3 rlimit-exec --ionice none -- ionice").run().ok(), "none: prio 0\n");
    assert_eq!(payload("--umask 027", "umask").ok(), "0027\n");
}

#[test]
fn processors_and_policy_reach_the_payload() {
    assert!(payload("--cpus 0", "taskset -p $$").ok().ends_with(": 1\n"));
    assert!(payload("--scheduler batch", "chrt -p $$").ok().contains("SCHED_BATCH"));
    assert!(payload("--scheduler idle", "chrt -p $$").ok().contains("SCHED_IDLE"));
    let reset = payload("--scheduler batch,reset-on-fork", "chrt -p $$").ok();
    assert!(reset.contains("SCHED_BATCH|SCHED_RESET_ON_FORK"), "{reset}");
    assert_eq!(
        payload("--priority 19 --scheduler batch", "nice").ok(),
        "19\n",
        "sched_setattr sets the nice value too"
    );
    let nice = |line: &str| Chain::shell(line).as_user().run().ok();
    assert_eq!(nice("nice -n 5 rlimit-exec --scheduler other -- nice"), nice("nice -n 5 nice"));
    payload("--cpus 1000", "true")
        .fails(125, "run on processors 1000 only: sched_setaffinity: Invalid argument (EINVAL)");
}

#[test]
fn real_time_policies_need_their_privilege() {
    let ran = Chain::new("rlimit-exec").args(["--rtprio", "0", "--scheduler", "fifo:10", "--", "true"]).as_user().run();
    ran.fails(125, "set the scheduling policy to fifo:10: sched_setattr: Operation not permitted (EPERM)");
    let hint = "hint: needs --rtprio 10, and that limit is 0 here, its hard limit 0, or CAP_SYS_NICE";
    assert!(ran.err.contains(hint), "{ran:?}");
}

#[test]
fn the_out_of_memory_score_can_be_raised_and_not_lowered_by_a_user() {
    assert_eq!(payload("--oom-score-adj 500", "cat /proc/self/oom_score_adj").ok(), "500\n");
    let lower = "rlimit-exec --oom-score-adj 500 -- rlimit-exec --oom-score-adj -1 -- true";
    Chain::shell(lower)
        .as_user()
        .run()
        .fails(125, "set oom_score_adj to -1: write to /proc/self/oom_score_adj: Permission denied (EACCES)");
}

#[test]
fn switches_reach_the_payload() {
    let maps = "grep -c stack /proc/self/maps; cat /proc/self/personality";
    assert_eq!(payload("--no-aslr", maps).ok(), "1\n00040000\n");
    assert_eq!(payload("--timer-slack 123456", "cat /proc/self/timerslack_ns").ok(), "123456\n");
}

#[test]
fn memory_is_not_writable_and_executable_under_mdwe() {
    let features = Chain::new("rlimit-exec").args(["--features"]).run().ok();
    if !features.contains("mdwe: yes") {
        return payload("--mdwe", "true").fails(125, "(EINVAL)");
    }
    // Perl's syscall: mmap(0, 4096, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0), number 9 on x86-64.
    let map = "perl -e 'print syscall(9, 0, 4096, 7, 34, -1, 0) == -1 ? \"refused $!{EACCES}\" : \"mapped\"'";
    assert_eq!(Chain::shell(map).run().ok(), "mapped", "the probe itself must be able to");
    assert!(payload("--mdwe", map).ok().starts_with("refused"));
}

#[test]
fn the_judge_preset_is_what_it_says_and_can_be_overridden() {
    assert_eq!(payload("--preset judge", "ulimit -c; ulimit -l; ulimit -s").ok(), "0\n0\nunlimited\n");
    assert_eq!(payload("--preset judge --stack 1M", "ulimit -s").ok(), "1024\n");
}

#[test]
fn show_prints_all_sixteen() {
    let out = Chain::shell("ulimit -n 77; rlimit-exec --show").run().ok();
    assert_eq!(out.lines().count(), 17, "{out}");
    let nofile: Vec<&str> = out.lines().find(|line| line.starts_with("NOFILE")).unwrap().split_whitespace().collect();
    assert_eq!(nofile[1..3], ["77", "77"]);
}

#[test]
fn an_unprivileged_user_needs_the_right_to_lower_nice() {
    if !is_root() {
        return skip(
            Tier::Root,
            "an_unprivileged_user_needs_the_right_to_lower_nice",
            "the nice limit of this user is unknown",
        );
    }
    let ran = Chain::new("rlimit-exec").args(["--nice", "0", "--priority", "-5", "--", "true"]).as_user().run();
    ran.fails(125, "set the nice value to -5: setpriority: Permission denied (EACCES)\nhint: needs --nice 25, and that limit is 0 here");
}
