//! What a filter costs a system call: `default` as it is compiled here, and libseccomp's program for the same refusals, in
//! its linear order and as its binary tree. For scripts/bench; an example, because libseccomp is linked by tests only.
//!
//! The calls are one that every filter allows without looking at it, and three that libseccomp's linear program refuses: the
//! first that it comes to, the median, and the last. Without a filter the same answer (ENOSYS) is the kernel's own to a
//! number that is no call. Since Linux 5.11 what is always allowed costs nothing: the kernel knows it by number.
#![allow(unsafe_code, reason = "raw system calls are what is measured")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends by panicking")]

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, pipe};
use seccomp_exec::bpf::{self, Insn};
use seccomp_exec::policy::{Data, Policy, X86_64};
use seccomp_exec::{calls, compile, presets};

const CALLS: u32 = 20_000;
const ROUNDS: usize = 15;

fn main() {
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
        let [a, b, c, d] = measured(program, asked).map(|time| time.as_nanos() / u128::from(CALLS));
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
    let mut file = std::fs::File::from(memfd_create("bpf", MFdFlags::MFD_CLOEXEC).unwrap());
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

/// The time of [`CALLS`] calls of each of these numbers behind a program, the least of some rounds, in a child of its own.
fn measured(program: &[Insn], calls: [u32; 4]) -> [Duration; 4] {
    let (reader, writer) = pipe().unwrap();
    // SAFETY: a single thread.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            set_no_new_privs().unwrap();
            if !program.is_empty() {
                chain::sys::seccomp_attach(&program.iter().map(|insn| insn.raw()).collect::<Vec<_>>()).unwrap();
            }
            let times = calls.map(|nr| (0..ROUNDS).map(|_| time(nr)).min().unwrap());
            let bytes: Vec<u8> = times.iter().flat_map(|time| time.as_nanos().to_ne_bytes()).collect();
            nix::unistd::write(&writer, &bytes).unwrap();
            std::process::exit(0)
        }
        ForkResult::Parent { child } => child,
    };
    drop(writer);
    let mut bytes = vec![];
    std::fs::File::from(reader).read_to_end(&mut bytes).unwrap();
    waitpid(child, None).unwrap();
    let time = |n: usize| u128::from_ne_bytes(bytes[16 * n..][..16].try_into().unwrap());
    std::array::from_fn(|n| Duration::from_nanos(u64::try_from(time(n)).unwrap()))
}

fn time(nr: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..CALLS {
        // SAFETY: getppid, or a call that a filter or the kernel answers with an errno.
        unsafe { libc::syscall(i64::from(nr), 0, 0, 0, 0, 0, 0) };
    }
    start.elapsed()
}
