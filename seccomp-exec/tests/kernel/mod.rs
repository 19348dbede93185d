//! What the kernel itself says of programs and calls, asked through syscall-probe.
#![allow(dead_code, reason = "no test program asks everything")]

use std::io::Write as _;
use std::process::Stdio;

use chainbox_tests::{Chain, tool};
use nix::libc;
use seccomp_exec::model::bpf::{self, Insn};
use seccomp_exec::model::calls::number;
use seccomp_exec::model::policy::{Data, Verdict};

/// The errno that stands for a verdict: its own, or one that nobody uses for what would let a call pass or end the probe.
pub fn harmless(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::ALLOW => 4094,
        Verdict::KILL_PROCESS => 4093,
        Verdict::LOG => 4092,
        Verdict(libc::SECCOMP_RET_KILL_THREAD) => 4091,
        Verdict(libc::SECCOMP_RET_TRAP) => 4090,
        other => other.0 & 0xffff,
    }
}

/// What the probe says that the kernel decided, by attaching the program with "allow" as errno 4094, so that nothing
/// is ever executed. The probe's own calls bear a mark (see its source) and pass.
pub fn kernel_says(program: &[Insn], draws: &[Data]) -> Vec<u32> {
    let magic = 0x6d61_6769;
    let own_calls = [
        Insn::plain(bpf::LOAD, 0),
        Insn { code: bpf::IF_EQUAL, yes: 1, no: 0, k: number("write").unwrap() },
        Insn { code: bpf::IF_EQUAL, yes: 0, no: 3, k: number("exit_group").unwrap() },
        Insn::plain(bpf::LOAD, bpf::AT_ARGS + 5 * 8),
        Insn { code: bpf::IF_EQUAL, yes: 0, no: 1, k: magic },
        Insn::plain(bpf::RETURN, Verdict::ALLOW.0),
    ];
    let judged = program.iter().map(|insn| match *insn {
        Insn { code: bpf::RETURN, k, .. } => Insn::plain(bpf::RETURN, libc::SECCOMP_RET_ERRNO | harmless(Verdict(k))),
        other => other,
    });
    let program: Vec<Insn> = own_calls.into_iter().chain(judged).collect();
    let mut input: Vec<u8> = [program.len() as u64, draws.len() as u64].iter().flat_map(|n| n.to_ne_bytes()).collect();
    input.extend(program.iter().flat_map(|insn| insn.bytes()));
    for data in draws {
        input.extend([u64::from(data.nr)].iter().chain(&data.args).flat_map(|word| word.to_ne_bytes()));
    }
    asked("judge", &input)
}

/// The errno with which the kernel refuses each of these programs as a filter; 0 where it takes it.
pub fn kernel_takes(programs: &[Vec<Insn>]) -> Vec<u32> {
    let framed = |program: &Vec<Insn>| {
        let length = (program.len() as u64).to_ne_bytes();
        length.into_iter().chain(program.iter().flat_map(|insn| insn.bytes())).collect::<Vec<u8>>()
    };
    asked("accept", &programs.iter().flat_map(framed).collect::<Vec<u8>>())
}

fn asked(what: &str, input: &[u8]) -> Vec<u32> {
    let mut chain = Chain::program(tool("syscall-probe")).args([what]);
    let mut child = chain.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    output.stdout.chunks_exact(4).map(|errno| u32::from_ne_bytes(errno.try_into().unwrap())).collect()
}
