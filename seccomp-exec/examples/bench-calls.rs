//! `bench-calls FOLDER`, with the tools and test programs in FOLDER: what a filter costs a system call: `default` as it is compiled here, and libseccomp's program for the same refusals, in
//! its linear order and as its binary tree. For scripts/bench; an example, because libseccomp is linked by tests only.
//!
//! The calls are one that every filter allows without looking at it, and three that libseccomp's linear program refuses: the
//! first that it comes to, the median, and the last. Without a filter the same answer (ENOSYS) is the kernel's own to a
//! number that is no call. Since Linux 5.11 what is always allowed costs nothing: the kernel knows it by number.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends by panicking")]

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use nix::sys::memfd::{MFdFlags, memfd_create};
use seccomp_exec::model::bpf::{self, Insn};
use seccomp_exec::model::policy::{Data, Policy, X86_64};
use seccomp_exec::model::{calls, presets};
use seccomp_exec::plan::compile;

fn main() {
    let folder = std::env::args_os().nth(1).unwrap();
    let mut policy = (presets::find("default").unwrap().policy)();
    // What libseccomp can be told in one line a call.
    policy.calls.retain(|_, rule| rule.clauses.is_empty());
    let ours = compile::program(&policy).unwrap();
    let (linear, tree) = (theirs(&policy, 1), theirs(&policy, 2));
    let mut refused: Vec<u32> = policy.calls.keys().copied().collect();
    refused.sort_by_key(|nr| steps_to(&linear, *nr));
    let (first, median, last) = (refused[0], refused[refused.len() / 2], refused[refused.len() - 1]);
    let (getppid, nothing) = (calls::number("getppid").unwrap(), 9999);
    let programs = [("no filter", vec![]), ("ours", ours), ("libseccomp, linear", linear), ("libseccomp, tree", tree)];
    println!(
        "{:<22}{:>6}{:>11}{:>12}{:>13}{:>12}   ns a call",
        "", "insns", "allowed", "first rule", "median rule", "last rule"
    );
    for (name, program) in &programs {
        let asked =
            if program.is_empty() { [getppid, nothing, nothing, nothing] } else { [getppid, first, median, last] };
        let [a, b, c, d] = measured(folder.as_ref(), program, asked);
        println!("{name:<22}{:>6}{a:>11}{b:>12}{c:>13}{d:>12}", program.len());
    }
    let name = |nr| calls::name(nr).unwrap();
    println!(
        "the rules: {}, {}, {}, by their place in libseccomp's linear order",
        name(first),
        name(median),
        name(last)
    );
}

/// libseccomp's program for the refusals of a policy; optimize 1 is its linear order, 2 its binary tree.
fn theirs(policy: &Policy, optimize: u32) -> Vec<Insn> {
    let mut context = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    context.set_ctl_optimize(optimize).unwrap();
    for (nr, rule) in &policy.calls {
        let errno = i32::try_from(rule.otherwise.0 & 0xffff).unwrap();
        context.add_rule(ScmpAction::Errno(errno), ScmpSyscall::from(i32::try_from(*nr).unwrap())).unwrap();
    }
    let mut file = File::from(memfd_create("bpf", MFdFlags::MFD_CLOEXEC).unwrap());
    context.export_bpf(&file).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut bytes = vec![];
    file.read_to_end(&mut bytes).unwrap();
    bytes.chunks_exact(8).map(|chunk| Insn::from_bytes(chunk.try_into().unwrap())).collect()
}

/// How many instructions run before the answer: a program cut short has none.
fn steps_to(program: &[Insn], nr: u32) -> usize {
    let data = Data { nr, arch: X86_64, ..Data::default() };
    (1..=program.len()).find(|length| bpf::run(&program[..*length], &data).is_some()).unwrap()
}

/// Nanoseconds that a call of each of these numbers takes behind a program.
fn measured(folder: &Path, program: &[Insn], calls: [u32; 4]) -> [u64; 4] {
    let probe = folder.join("syscall-probe");
    let mut timed = if program.is_empty() {
        Command::new(probe)
    } else {
        let mut filter = File::from(memfd_create("bpf", MFdFlags::MFD_CLOEXEC).unwrap());
        program.iter().for_each(|insn| filter.write_all(&insn.bytes()).unwrap());
        let mut behind = Command::new(folder.join("seccomp-exec"));
        behind.args(["--bpf", "/dev/stdin", "--"]).arg(probe).stdin(filter);
        behind
    };
    let output = timed.arg("time").args(calls.map(|nr| nr.to_string())).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let times: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    times.try_into().unwrap()
}
