//! Policies that are learned from a program, and filters that ask.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use chain::sys::{adopt, listener};
use chainbox_tests::{Chain, Folder, Ran, Tier, skip, tool};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair};

/// Runs a line of shell in a folder as the ordinary user.
fn run(folder: &Folder, line: &str) -> Ran {
    Chain::shell(line).at(folder.path()).as_user().run()
}

/// A project of two sources, a header and a Makefile, in a folder of the ordinary user's.
fn project(name: &str) -> Folder {
    let folder = Folder::new(name, true);
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        fs::write(&path, text).unwrap();
        if chainbox_tests::is_root() {
            std::os::unix::fs::chown(&path, Some(chainbox_tests::USER), Some(chainbox_tests::USER)).unwrap();
        }
    };
    write("twice.h", "int twice(int n);\n");
    write("twice.c", "#include \"twice.h\"\nint twice(int n) { return 2 * n; }\n");
    write(
        "main.c",
        "#include <stdio.h>\n#include \"twice.h\"\nint main(void) { printf(\"%d\\n\", twice(21)); return 0; }\n",
    );
    write(
        "Makefile",
        "answer: main.o twice.o\n\tcc -o $@ main.o twice.o\n%.o: %.c twice.h\n\tcc -O1 -c -o $@ $<\n\
         check: answer\n\ttest \"$$(./answer)\" = 42\nclean:\n\trm -f answer main.o twice.o\n",
    );
    folder
}

fn compiler_or_skip(test: &str) -> bool {
    let found =
        ["make", "cc"].iter().all(|program| Chain::program(program).args(["--version"]).command().output().is_ok());
    if !found {
        skip(Tier::Machine, test, "no make and C compiler");
    }
    found
}

#[test]
fn what_a_build_needs_is_learned_and_is_enough_for_it_and_for_nothing_else() {
    if !compiler_or_skip("what_a_build_needs_is_learned_and_is_enough_for_it_and_for_nothing_else") {
        return;
    }
    let folder = project("learn-build");
    let learned = run(&folder, "seccomp-exec --learn policy -- make check clean");
    assert!(learned.clone().ok().contains("main.o"), "{learned:?}");
    let policy = fs::read_to_string(folder.join("policy")).unwrap();
    assert!(policy.starts_with("# What make check clean called") && policy.contains("\ndefault deny\n"), "{policy}");
    assert!(policy.lines().count() > 8 && policy.contains("errno ENOSYS clone3"), "{policy}");
    for _ in 0..3 {
        let again = run(&folder, "seccomp-exec --policy policy -- make check clean");
        assert_eq!(again.clone().ok(), learned.out, "{again:?}\n{policy}");
    }
    // Programs that do what no build does.
    run(&folder, "seccomp-exec --policy policy -- mkfifo pipe").fails(1, "Operation not permitted");
    run(&folder, "seccomp-exec --policy policy -- unshare --user true").fails(1, "Operation not permitted");
    let bare = run(&folder, "mkfifo pipe && rm pipe && unshare --user true; true");
    assert_eq!(bare.err, "", "both can be done without the policy");
}

#[test]
fn arguments_that_tell_are_learned() {
    let folder = Folder::new("learn-arguments", true);
    let probe = tool("syscall-probe");
    let probe = probe.display();
    run(&folder, &format!("seccomp-exec --learn policy -- {probe} call 41 1 1 0")).ok();
    let under = |call: &str| run(&folder, &format!("seccomp-exec --policy policy -- {probe} call {call}")).ok();
    assert!(under("41 1 2 0").starts_with("ret "), "AF_UNIX again");
    assert_eq!(under("41 2 1 0"), format!("errno {}\n", libc::EPERM), "AF_INET");
    assert_eq!(under("0x27"), format!("errno {}\n", libc::EPERM), "getpid");
    let policy = fs::read_to_string(folder.join("policy")).unwrap();
    assert!(policy.contains("\nallow socket if arg0 == AF_UNIX\n"), "{policy}");
}

#[test]
fn threads_signals_and_what_is_left_behind_are_learned() {
    let folder = Folder::new("learn-threads", true);
    let probe = tool("syscall-probe");
    let line = format!("seccomp-exec --learn a -- {} thread", probe.display());
    assert_eq!(run(&folder, &line).ok(), "joined\n");
    assert_eq!(run(&folder, &line.replace("--learn", "--policy")).ok(), "joined\n");
    // A wait that was not necessary while it was learned may be in the next run.
    let line = format!("seccomp-exec --learn e -- {} thread ended", probe.display());
    assert_eq!(run(&folder, &line).ok(), "joined\n");
    let line = format!("seccomp-exec --policy e -- {} thread", probe.display());
    for _ in 0..3 {
        assert_eq!(run(&folder, &line).ok(), "joined\n");
    }
    // A signal every millisecond does not keep a call from being answered.
    let alarms = "perl -MTime::HiRes=ualarm -e '$SIG{ALRM} = sub { $n++ }; ualarm(1000, 1000); \
                  while ($n < 20) { open(my $f, q(<), q(/dev/null)) } ualarm(0); print qq(done\\n)'";
    if Chain::program("perl").args(["-MTime::HiRes", "-e1"]).command().output().is_ok_and(|ran| ran.status.success()) {
        assert_eq!(run(&folder, &format!("seccomp-exec --learn b -- {alarms}")).ok(), "done\n");
        assert_eq!(run(&folder, &format!("seccomp-exec --policy b -- {alarms}")).ok(), "done\n");
    }
    // PROG ends, what it started goes on, and is learned too.
    let line = "seccomp-exec --learn c -- sh -c '(sleep 0.3; mkfifo late) & exit 7'";
    assert_eq!(run(&folder, line).code, 7);
    assert!(folder.join("late").exists(), "the policy is written when the last one has ended");
    let policy = fs::read_to_string(folder.join("c")).unwrap();
    assert!(policy.contains("mknod") && policy.contains("clock_nanosleep"), "{policy}");
}

#[test]
fn learning_ends_as_the_program_ends() {
    let folder = Folder::new("learn-ends", true);
    for (n, (line, code)) in
        [("exit 7", 7), ("kill -SEGV $$", 128 + libc::SIGSEGV), ("exec no-such-program", 127)].iter().enumerate()
    {
        assert_eq!(run(&folder, &format!("seccomp-exec --learn p{n} -- sh -c '{line}'")).code, *code, "{line}");
        assert!(fs::read_to_string(folder.join(format!("p{n}"))).unwrap().contains("default deny"), "{line}");
    }
    // What the filter refuses is not asked about.
    let probe = tool("syscall-probe");
    let line = format!("seccomp-exec --filter default --learn f -- {} call 250 9999", probe.display());
    assert_eq!(run(&folder, &line).ok(), format!("errno {}\n", libc::EPERM));
    assert!(!fs::read_to_string(folder.join("f")).unwrap().contains("keyctl"));
}

/// A signal to the process that learns reaches PROG; one that kills it ends PROG's calls.
#[test]
fn signals_are_passed_on() {
    let folder = Folder::new("learn-signal", true);
    let line = "seccomp-exec --learn p -- sh -c 'trap \"echo caught; exit 5\" TERM; echo ready >up; while :; do sleep 0.05; done' \
                >out & until [ -s up ]; do sleep 0.05; done; kill -TERM $!; wait $!; echo $?; cat out";
    assert_eq!(run(&folder, line).ok(), "5\ncaught\n");
    assert!(fs::read_to_string(folder.join("p")).unwrap().contains("rt_sigaction"));
}

#[test]
fn bad_requests_are_refused() {
    let folder = Folder::new("learn-refused", true);
    run(&folder, "touch p; seccomp-exec --learn p -- echo reached").fails(125, "--learn p: open: File exists (EEXIST)");
    run(&folder, "seccomp-exec --learn /nonexistent/p -- true")
        .fails(125, "--learn /nonexistent/p: open: No such file");
    run(&folder, "seccomp-exec --learn q --notify-fd 0 -- true").fails(125, "--learn and --notify-fd: one of them");
    run(&folder, "seccomp-exec --keep-fd 9 --learn q -- true")
        .fails(125, "--keep-fd 9: fcntl: Bad file number (EBADF)");
    run(&folder, "seccomp-exec --learn q -- no-such-program").fails(127, "no-such-program: not found in PATH");
    assert!(!folder.join("q").exists(), "nothing is made before the program is found");
    let asking = "printf 'default allow\\nnotify mkdir\\n' >n; seccomp-exec --policy n";
    run(&folder, &format!("{asking} -- true"))
        .fails(125, "filter n: it asks a supervisor (notify)\nhint: --notify-fd N");
    run(&folder, &format!("{asking} --learn q -- true")).fails(125, "filters n and --learn ask (notify)");
    run(&folder, "seccomp-exec --notify-fd 0 -- true").fails(125, "--notify-fd: no filter answers notify");
    run(&folder, &format!("{asking} --notify-fd 0 -- true")).fails(125, "sendmsg of the listener");
    run(&folder, &format!("{asking} --notify-fd 9 -- true"))
        .fails(125, "--notify-fd 9: fcntl: Bad file number (EBADF)");
    let no_sendmsg = "printf 'default allow\\ndeny sendmsg\\n' >s; seccomp-exec --policy s --learn q -- true";
    run(&folder, no_sendmsg).fails(125, "filter s: it denies sendmsg");
    run(&folder, "seccomp-exec --explain --learn q -- true").ok();
    assert!(!folder.join("q").exists());
}

/// The descriptor that comes with a message of one byte.
fn received(socket: &OwnedFd) -> OwnedFd {
    let mut space = nix::cmsg_space!(RawFd);
    let mut byte = [9];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
    assert_eq!(message.bytes, 1);
    match message.cmsgs().unwrap().next() {
        Some(ControlMessageOwned::ScmRights(files)) => adopt(files[0]).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A supervisor that fails the first mkdir with EIO and lets the second be made.
#[test]
fn a_supervisor_answers() {
    let folder = Folder::new("notify", true);
    // All that a payload does can be asked about, sendmsg too.
    fs::write(folder.join("n"), "default allow\nnotify mkdir, mkdirat, sendmsg, execve\n").unwrap();
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
    // A number that every shell can write: 10 and above are none in dash.
    let line = "exec 7<&0 </dev/null; \
                exec seccomp-exec --policy n --notify-fd 7 -- sh -c 'mkdir one; mkdir two; ls /proc/self/fd'";
    let mut chain = Chain::shell(line).at(folder.path()).as_user();
    let piped = std::process::Stdio::piped;
    chain.command().stdin(theirs).stdout(piped()).stderr(piped());
    let child = chain.command().spawn().unwrap();
    drop(chain);
    let listener = received(&ours);
    let mut asked = vec![];
    while asked.iter().filter(|nr| [83, 258].contains(*nr)).count() < 2 {
        let question = listener::receive(&listener).unwrap();
        let made = !asked.iter().any(|nr| [83, 258].contains(nr));
        let mkdir = [83, 258].contains(&question.data.nr);
        listener::answer(&listener, question.id, (mkdir && made).then_some(Errno::EIO)).unwrap();
        asked.push(question.data.nr);
    }
    // `ls` is executed.
    let question = listener::receive(&listener).unwrap();
    listener::answer(&listener, question.id, None).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("Input/output error"), "{output:?}");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 4, "0, 1, 2 and the folder: {output:?}");
    assert_eq!(asked[0], 59, "execve of the gate itself");
    assert!(!Path::exists(&folder.join("one")) && folder.join("two").exists());
}
