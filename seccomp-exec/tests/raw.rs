//! Programs that are compiled already: written, read, refused and run as the kernel does; and what is printed of filters.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod kernel;

use std::fs;

use chainbox_tests::draws::Draws;
use chainbox_tests::{Chain, Folder, Ran, tool};
use kernel::{kernel_says, kernel_takes};
use seccomp_exec::look::raw;
use seccomp_exec::look::text;
use seccomp_exec::model::bpf::{self, Insn};
use seccomp_exec::model::policy::{Data, Verdict, X86_64};
use seccomp_exec::model::presets::PRESETS;

fn gate(line: &str) -> Ran {
    Chain::new("seccomp-exec").args(line.split(' ')).as_user().run()
}

#[test]
fn a_compiled_filter_is_the_filter() {
    let folder = Folder::new("bpf", true);
    let blob = folder.join("blob");
    let at = blob.to_str().unwrap();
    let keyctl = "call 250 9999";
    let probe = tool("syscall-probe");
    let probe = probe.to_str().unwrap();
    for preset in PRESETS.iter().filter(|preset| preset.name != "strict") {
        let name = preset.name;
        assert_eq!(gate(&format!("--filter {name} --compile {at} -- echo reached")).ok(), "");
        assert_eq!(fs::metadata(&blob).unwrap().len() % 8, 0);
        let direct = gate(&format!("--filter {name} -- {probe} {keyctl}")).ok();
        assert_eq!(gate(&format!("--bpf {at} -- {probe} {keyctl}")).ok(), direct, "{name}");
        let line = format!("seccomp-exec --bpf-fd 8 -- {probe} {keyctl} 8<{at}");
        assert_eq!(Chain::shell(&line).as_user().run().ok(), direct, "{name}");
    }
    let both = gate(&format!("--bpf {at} --filter default -- grep Seccomp_filters /proc/self/status")).ok();
    assert_eq!(both, "Seccomp_filters:\t2\n");
}

#[test]
fn what_is_no_program_is_refused_before_anything_happens() {
    let folder = Folder::new("bpf-refused", true);
    let blob = folder.join("blob");
    let refused = |bytes: &[u8], words: &str| {
        fs::write(&blob, bytes).unwrap();
        let ran = gate(&format!("--bpf {} -- echo reached", blob.display()));
        ran.fails(125, words);
        assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1), "{ran:?}");
    };
    refused(b"", "no instruction");
    refused(b"default allow\n", "14 bytes: an instruction has 8");
    refused(&[0xff; 16], "instruction 0: code 0xffff is not for filters of system calls");
    refused(&Insn::plain(bpf::LOAD, 0).bytes(), "the last instruction is no return");
    refused(&[0; 1 << 20], "131072 instructions: the kernel takes 4096");
    refused(&vec![0; (1 << 20) + 8], "longer than 1048576 bytes");
    refused(&Insn::plain(bpf::RETURN, 0).bytes(), "it denies execve, which executing PROG needs");
    gate("--bpf /nonexistent -- true").fails(125, "--bpf /nonexistent: open: No such file or directory (ENOENT)");
    gate("--bpf-fd 9 -- true").fails(125, "--bpf-fd 9: fcntl: Bad file number (EBADF)");
    gate("--bpf-fd x -- true").fails(125, "--bpf-fd x: not a descriptor");
    gate("--filter default --compile /nonexistent/f").fails(125, "--compile /nonexistent/f: open: No such file");
    gate("--filter default --filter strict --compile /dev/null").fails(125, "bytes of one filter at a time");
    gate("--filter default --test --dump pfc").fails(125, "--dump, --compile and --test: one of them");
}

#[test]
fn a_verdict_is_said_without_running() {
    for (line, code, said) in [
        ("--filter default --test read", 0, "allow\n"),
        ("--filter default --test 0 1 2 3", 0, "allow\n"),
        ("--filter default --test socket AF_VSOCK", 1, "errno EPERM\n"),
        ("--filter default --test socket 0x100000028 SOCK_STREAM", 1, "errno EPERM\n"),
        ("--filter default --test socket AF_UNIX SOCK_STREAM|SOCK_CLOEXEC 0", 0, "allow\n"),
        ("--filter no-userns --test clone CLONE_NEWUSER|17", 1, "errno EPERM\n"),
        ("--filter default --test clone3", 1, "errno ENOSYS\n"),
        ("--filter default --test 9999", 1, "errno ENOSYS\n"),
        ("--filter default --test x32:read", 1, "errno ENOSYS\n"),
        ("--filter default --test i386:3", 1, "kill process\n"),
        ("--filter strict --test personality -1", 1, "kill process\n"),
        (
            "--filter no-covert --filter default --test keyctl 1",
            1,
            "no-covert: errno ENOSYS\ndefault: errno EPERM\nerrno EPERM\n",
        ),
        (
            "--filter strict --filter default --test keyctl",
            1,
            "strict: kill process\ndefault: errno EPERM\nkill process\n",
        ),
    ] {
        let ran = gate(line);
        assert_eq!((ran.code, ran.out.as_str()), (code, said), "{line}: {ran:?}");
    }
    for (line, words) in [
        ("--test read", "no filter is given"),
        ("--filter default --test", "--test: which call?"),
        ("--filter default --test raed", "--test raed: no system call"),
        ("--filter default --test i386:read", "--test i386:read: no system call"),
        ("--filter default --test arm:3", "--test arm:3: no system call"),
        ("--filter default --test read AF_WHAT", "--test: AF_WHAT is neither a number"),
        ("--filter default --test read 1 2 3 4 5 6 7", "--test: a call has 6 arguments"),
    ] {
        gate(line).fails(125, words);
    }
}

#[test]
fn every_preset_is_the_policy_that_is_printed_of_it() {
    for preset in PRESETS {
        let said = gate(&format!("--filter {} --dump policy", preset.name)).ok();
        assert!(said.lines().all(|line| line.len() <= 120), "{said}");
        let read = text::policy("printed", &said, &mut |_, _| panic!("nothing is included")).unwrap();
        assert_eq!(read, (preset.policy)(), "{said}");
    }
    let said = gate("--filter tty-guard --dump policy").ok();
    assert_eq!(
        said,
        "default allow\nunknown errno ENOSYS\nx32 errno ENOSYS\ni386 kill\nforeign kill\ndeny ioctl if arg1 == TIOCSTI\n\
         deny ioctl if arg1 == TIOCLINUX\n"
    );
}

#[test]
fn json_is_an_object_a_line() {
    let folder = Folder::new("bpf-json", true);
    let blob = folder.join("blob");
    gate(&format!("--filter tty-guard --compile {}", blob.display())).ok();
    let said = gate(&format!("--filter tty-guard --bpf {} --dump json", blob.display())).ok();
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["policy"]["calls"]["ioctl"]["clauses"][0]["if"][0]["value"], 0x5412);
    assert_eq!((&lines[0]["program"], &lines[1]["policy"]), (&lines[1]["program"], &serde_json::Value::Null));
    assert_eq!(lines[0]["program"][0], serde_json::json!([0x20, 0, 0, 4]));
    let ran = gate(&format!("--bpf {} --dump policy", blob.display()));
    ran.fails(125, "a raw program has no policy");
    assert!(gate(&format!("--bpf {} --dump pfc", blob.display())).ok().contains("; ioctl"));
}

/// An instruction of any kind, mostly one that a filter may have.
fn insn(draws: &mut Draws, left: u64) -> Insn {
    let codes = [
        0x06, 0x16, 0x20, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0x07, 0x87, 0x04, 0x0c, 0x14, 0x1c, 0x24,
        0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0xa4, 0xac, 0x84, 0x05, 0x15, 0x1d, 0x25,
        0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x20, 0x20, 0x15, 0x15,
    ];
    let code = if draws.below(200) == 0 { u16::try_from(draws.below(0x100)).unwrap() } else { draws.of(&codes) };
    let k = match code {
        0x20 => 4 * u32::try_from(draws.below(16)).unwrap(),
        0x60 | 0x61 | 0x02 | 0x03 => u32::try_from(draws.below(3)).unwrap(),
        0x64 | 0x74 => u32::try_from(draws.below(32)).unwrap(),
        0x05 => u32::try_from(draws.below(left.max(1))).unwrap(),
        _ => u32::try_from(draws.word() >> draws.of(&[32, 32, 48, 60, 63])).unwrap_or(1),
    };
    let mut near = || u8::try_from(draws.below(left.clamp(1, 200))).unwrap();
    let (yes, no) = (near(), near());
    // One operand in a hundred is anything.
    let k = if draws.below(100) == 0 { u32::try_from(draws.word() >> 32).unwrap() } else { k };
    Insn { code, yes, no, k }
}

#[test]
fn the_kernel_takes_what_is_taken_here_and_nothing_else() {
    let mut draws = Draws(2024);
    let mut programs = vec![];
    for _ in 0..20_000 {
        let length = draws.of(&[1, 2, 3, 5, 8, 13, 40]);
        let mut program: Vec<Insn> = (0..length).map(|n| insn(&mut draws, length - n)).collect();
        if draws.below(10) > 0 {
            program.push(Insn::plain(bpf::RETURN, 0x7fff_0000));
        }
        programs.push(program);
    }
    let said = kernel_takes(&programs);
    assert_eq!(said.len(), programs.len());
    let mut taken = 0;
    for (program, said) in programs.iter().zip(said) {
        let bytes: Vec<u8> = program.iter().flat_map(|insn| insn.bytes()).collect();
        let ours = raw::read("f", &bytes);
        let expected = if ours.is_ok() { 0 } else { nix::libc::EINVAL as u32 };
        assert_eq!(said, expected, "{ours:?}\n{}", bpf::listing::text(program));
        taken += u32::from(ours.is_ok());
    }
    assert!((4_000..16_000).contains(&taken), "{taken} taken");
}

/// A program of any instructions, without a return but at its end, where an errno is made of what was computed.
fn computing(draws: &mut Draws) -> Vec<Insn> {
    let length = draws.of(&[3, 8, 20, 60]);
    let mut program = vec![Insn::plain(0, 1), Insn::plain(0x02, 0), Insn::plain(0x02, 1), Insn::plain(0x02, 2)];
    while (program.len() as u64) < length {
        let next = insn(draws, length - program.len() as u64);
        if next.code & 7 != 6 {
            program.push(next);
        }
    }
    program.extend([Insn::plain(0x54, 0xfff), Insn::plain(0x44, 0x5_0000), Insn::plain(0x16, 0)]);
    program
}

#[test]
fn the_kernel_computes_what_is_computed_here() {
    let mut draws = Draws(7);
    let (mut programs, mut compared, mut answers) = (0, 0, std::collections::BTreeSet::new());
    while programs < 400 {
        let program = computing(&mut draws);
        let bytes: Vec<u8> = program.iter().flat_map(|insn| insn.bytes()).collect();
        // Division by a register that may be zero ends the thread: not in here.
        if raw::read("f", &bytes).is_err() || program.iter().any(|insn| insn.code == 0x3c) {
            continue;
        }
        // The instruction pointer is the probe's own: it is not the same here.
        if program.iter().any(|insn| insn.code == bpf::LOAD && [8, 12].contains(&insn.k)) {
            continue;
        }
        programs += 1;
        let mut word = || draws.word() >> draws.of(&[0, 32, 60]);
        let calls: Vec<Data> = (0..20)
            .map(|n| Data {
                nr: [39, 102, 999, 110][n % 4],
                arch: X86_64,
                args: std::array::from_fn(|_| word()),
                ..Data::default()
            })
            .collect();
        let said = kernel_says(&program, &calls);
        for (data, said) in calls.iter().zip(said) {
            // The probe's own preamble has loaded words before: that A and X are zero at first is not to be seen here.
            let Some(Verdict(ours)) = bpf::run(&program, data) else { panic!("{}", bpf::listing::text(&program)) };
            assert_eq!(ours & 0xffff, said, "{data:x?}\n{}", bpf::listing::text(&program));
            answers.insert(said);
            compared += 1;
        }
    }
    assert!(compared == 8000 && answers.len() > 300, "{compared} {}", answers.len());
}
