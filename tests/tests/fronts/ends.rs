//! How a box ends, what it reports, and what goes wrong.

use std::fs;

use crate::{Caller, everybody, same, world};

#[test]
fn a_status_is_the_programs() {
    for script in ["exit 0", "exit 3", "exit 125", "kill -9 $$", "kill -TERM $$"] {
        for options in ["", "--unshare-pid", "--unshare-pid --as-pid-1"] {
            if options.contains("as-pid-1") && script.contains("kill") {
                continue;
            }
            let line =
                format!("$BWRAP --ro-bind / / {options} sh -c 'echo; {script}' 2>&- && echo 0 || echo status $?; echo");
            same("status", &format!("{{ {line}; }} 2>/dev/null"), &[]);
        }
    }
}

#[test]
fn what_cannot_be_had_is_1() {
    for options in [
        "--no-such sh",
        "--bind no /mnt sh",
        "--ro-bind / / no-such-program",
        "--ro-bind / / /etc/passwd",
        "--ro-bind / / --chdir /no sh",
        "--ro-bind / / --tmpfs /no-such-place sh",
        "--ro-bind / / --uid -1 sh",
        "--ro-bind / / --perms 8 --dir /tmp sh",
        "--ro-bind / / --size 99999999999999999999 --tmpfs /tmp sh",
        "--ro-bind / / --userns 3 --unshare-user sh",
        "--ro-bind / / --symlink x /etc sh",
        "--ro-bind / / --chmod 0700 /no sh",
        "--ro-bind / / --remount-ro /no/such sh",
        "--ro-bind / /",
        "--args 99 sh",
        "--seccomp 99 --ro-bind / / sh",
        "--ro-bind-data 99 /mnt sh",
        "--add-seccomp-fd 3 --ro-bind / / sh",
    ] {
        let line = format!("echo; $BWRAP {options} -c 'echo reached' 3<data && echo done || echo status $?");
        same("errors", &line, &[]);
        for user in everybody("errors") {
            let ran = world("errors").run(Caller { genuine: false, user }, &line);
            assert!(ran.err.starts_with("bwrap: ") && ran.err.lines().count() == 1, "{options}: {ran:#?}");
        }
    }
}

/// What was written to a descriptor: each document's members, and the numbers that are no namespace's or pid's.
fn members(text: &str) -> Vec<String> {
    let documents = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let member = |(name, value): (&String, &serde_json::Value)| match name.as_str() {
        "exit-code" => format!("{name} {value}"),
        _ => format!("{name} {}", if value.as_u64().is_some_and(|number| number > 1) { "there" } else { "wrong" }),
    };
    documents
        .map(|document| document.unwrap().as_object().unwrap().iter().map(member).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn reports_have_the_same_members() {
    for user in everybody("reports") {
        for options in ["", "--unshare-pid", "--unshare-all", "--unshare-ipc --unshare-net"] {
            for (fd, script) in
                [("--info-fd", "exit 3"), ("--json-status-fd", "exit 3"), ("--json-status-fd", "kill -9 $$")]
            {
                let line = format!("$BWRAP --ro-bind / / {options} {fd} 8 sh -c '{script}' 8>report || :");
                let [genuine, front] = [true, false].map(|genuine| {
                    let world = world("reports");
                    let ran = world.run(Caller { genuine, user }, &line);
                    let text = fs::read_to_string(world.folder.join("report")).unwrap();
                    (members(&text), text.lines().count(), ran.code)
                });
                assert_eq!(genuine, front, "{user} {options} {fd} {script}");
                assert!(!front.0.is_empty());
            }
        }
        let line = "$BWRAP --ro-bind / / --json-status-fd 8 /no/such 8>report || :";
        let [genuine, front] = [true, false].map(|genuine| {
            let world = world("reports");
            let _ran = world.run(Caller { genuine, user }, line);
            members(&fs::read_to_string(world.folder.join("report")).unwrap())
        });
        assert_eq!(genuine, front, "{user}: nothing was executed");
    }
}
