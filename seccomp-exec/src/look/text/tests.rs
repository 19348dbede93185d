use super::*;
use crate::model::policy::{Data, X86_64};

/// A policy whose includes are these files.
fn read(text: &str, files: &[(&str, &str)]) -> Result<Policy> {
    policy("p", text, &mut |_, name| {
        let found = files.iter().find(|file| file.0 == name);
        found.map(|file| (file.0.to_owned(), file.1.to_owned())).ok_or_else(|| chain::refusal!("no such file"))
    })
}

fn verdict(policy: &Policy, call: &str, args: &[u64]) -> String {
    let mut data = Data { nr: calls::number(call).unwrap(), arch: X86_64, ..Data::default() };
    data.args.iter_mut().zip(args).for_each(|(slot, arg)| *slot = *arg);
    policy.verdict(&data).to_string()
}

#[test]
fn every_form_of_a_line_means_what_the_manual_says() {
    let text = "
        default deny            # everything else
        unknown errno 38
        x32 kill
        @io = read, write,      # goes on
              ?no_such_call, close
        @more = @io, openat
        allow @more
        errno EAFNOSUPPORT socket if arg0 == AF_VSOCK && arg1 & 0xf == SOCK_STREAM
        allow socket if arg0 <= AF_INET
        log fcntl if u64(arg1) >= 0x100000000
        kill ptrace if arg1 == -1
        [aarch64, arm] allow ioctl
        [x86_64] trap ioctl
    ";
    let policy = read(text, &[]).unwrap();
    for (call, args, expected) in [
        ("close", &[][..], "allow"),
        ("openat", &[], "allow"),
        ("getpid", &[], "errno EPERM"),
        ("socket", &[40 | 1 << 40, 0x801 | 1 << 50], "errno EAFNOSUPPORT"),
        ("socket", &[40, 2], "errno EPERM"),
        ("socket", &[1], "allow"),
        ("fcntl", &[0, 1 << 32], "log"),
        ("fcntl", &[0, 6], "errno EPERM"),
        ("ptrace", &[0, 0xffff_ffff], "kill process"),
        ("ptrace", &[0, 1], "errno EPERM"),
        ("ioctl", &[], "trap 0"),
    ] {
        assert_eq!(verdict(&policy, call, args), expected, "{call} {args:x?}");
    }
    assert_eq!((policy.unknown, policy.x32), (Verdict::MISSING, Verdict::KILL_PROCESS));
    assert_eq!(policy.foreign, Verdict::KILL_PROCESS);
}

#[test]
fn what_is_said_first_decides_across_files() {
    let policy =
        read("allow keyctl\ninclude base\n", &[("base", "include @default\ndefault allow\ndeny read\n")]).unwrap();
    assert_eq!(verdict(&policy, "keyctl", &[]), "allow");
    assert_eq!(verdict(&policy, "add_key", &[]), "errno EPERM");
    assert_eq!(verdict(&policy, "socket", &[40]), "errno EPERM");
    assert_eq!(verdict(&policy, "read", &[]), "errno EPERM");
    assert_eq!(verdict(&policy, "write", &[]), "allow");
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, words) in [
        ("", "p: no default"),
        ("default allow\ndefault deny", "p:2: decided already in p:1"),
        ("default", "p:1: an action is missing"),
        ("default allow read", "p:1: read: nothing may follow"),
        ("default perhaps", "p:1: perhaps is no action"),
        ("\nallow raed", "p:2: raed is no system call"),
        ("allow @io", "p:1: no group @io"),
        ("@io = read\n@io = write", "p:2: @io is there already"),
        ("allow read write", "p:1: write: a comma is missing"),
        ("allow read,, write", "p:1: a name is missing"),
        ("allow", "p:1: a name is missing"),
        ("allow read\ndeny read", "p:2: read: decided already in p:1"),
        ("allow read\ndeny read if arg0 == 1", "p:2: read: decided already in p:1"),
        ("errno EWHAT read", "p:1: EWHAT is no errno"),
        ("errno 4096 read", "p:1: 4096 is no errno"),
        ("errno", "p:1: errno: which?"),
        ("allow read if arg6 == 1", "p:1: arg6 is no argument"),
        ("allow read if arg0 = 1", "p:1: a comparison is missing"),
        ("allow read if arg0 == 1 &&", "p:1: a test is missing"),
        ("allow read if", "p:1: a test is missing"),
        ("allow read if arg0 == ", "p:1: a number is missing"),
        ("allow read if arg0 == AF_WHAT", "p:1: AF_WHAT is neither"),
        ("allow read if arg0 == 0x", "p:1: 0x is neither"),
        ("allow read if arg0 == 0x+1", "p:1: 0x+1 is neither"),
        ("allow read if arg0 == 1 2", "p:1: a number is missing, or a |"),
        ("allow read if arg0 == 0x100000000", "p:1: read: 0x100000000 does not fit"),
        ("allow read if arg0 == -2147483649", "p:1: read: -0x80000001 does not fit"),
        ("allow read if arg0 & 1 == 2", "p:1: read: 0x2 has bits outside the mask 0x1"),
        ("allow read if arg0 % 1 == 2", "p:1: %: only & MASK"),
        ("allow sysinfo if arg0 == 1", "p:1: sysinfo: how the kernel reads arg0 is not known"),
        ("[vax] allow read", "p:1: vax is no architecture"),
        ("[x86_64 allow read", "p:1: ] is missing"),
        ("[aarch64] allow raed,", "p:1: a name is missing"),
        ("include a b", "p:1: include: one file"),
        ("include @nothing", "p:1: no preset @nothing"),
        ("include other", "p:1: include: no such file"),
        ("include loop", "loop:1: included too deep"),
    ] {
        let error = format!("{:#}", read(text, &[("loop", "include loop")]).unwrap_err());
        assert!(error.starts_with(words), "{text:?}: {error}");
    }
    let error = decoded("p", b"allow read\n\xff".to_vec()).unwrap_err().to_string();
    assert_eq!(error, "p:2: not UTF-8");
}

#[test]
fn a_line_for_another_architecture_is_still_read() {
    let text = "default allow\n[riscv64] deny riscv_hwprobe, read\n";
    assert_eq!(read(text, &[]).unwrap().calls.len(), 0);
    assert!(read("default allow\n[riscv64] frobnicate read\n", &[]).is_err());
}
