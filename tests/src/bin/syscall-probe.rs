//! A payload that makes exactly the system call that it is told to, and says what the kernel answered.
//!
//! ```text
//! syscall-probe call NUMBER [ARG]...   one call; prints `ret N` or `errno N`
//! syscall-probe call32 NUMBER          the same through int 0x80, the entry of i386
//! syscall-probe time NUMBER...         prints for each the nanoseconds that a call takes, at best
//! syscall-probe thread                 starts a thread and joins it; prints `joined`
//! syscall-probe thread ended           the same, and joins it when it has ended: there is nothing to wait for
//! syscall-probe headless               ends its first thread, and says in another after three seconds that it lives
//! syscall-probe hop SECONDS            goes on in a child, in the child's child and so on, for so long
//! syscall-probe tiocsti HIGH           pushes "id" into the terminal on 0, HIGH in bits 32 to 63 of the request
//! syscall-probe setuid FOLDER BITS     tries every way to a file with these mode bits; prints a line for each
//! syscall-probe exchange ONE OTHER     exchanges two names, again and again, until its standard input ends
//! syscall-probe accept                 reads BPF programs, and says for each whether the kernel takes it as a filter
//! syscall-probe judge                  attaches a filter to itself and prints the kernel's verdict on many calls
//! ```
#![allow(unsafe_code, reason = "raw system calls are what this payload is for")]
#![allow(clippy::expect_used, clippy::panic, reason = "a payload of tests: what goes wrong must be seen")]

use std::io::{Read as _, Write as _, stdin};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::thread::JoinHandleExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;

/// What is timed, and how often.
const CALLS: u32 = 20_000;
const ROUNDS: usize = 15;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["call", call @ ..] => println!("{}", answer(raw(&numbers(call)))),
        ["call32", number] => println!("{}", answer(raw32(numbers(&[number])))),
        ["time", calls @ ..] => calls.iter().for_each(|nr| println!("{}", time(&numbers(&[nr])))),
        ["thread"] => println!("{}", std::thread::spawn(|| "joined").join().expect("a thread")),
        ["thread", "ended"] => joined_when_ended(),
        ["headless"] => headless(),
        ["hop", seconds] => hop(Duration::from_secs(seconds.parse().expect("a number"))),
        ["tiocsti", high] => tiocsti(numbers(&[high])),
        ["setuid", folder, bits] => setuid(folder, numbers(&[bits])),
        ["exchange", one, other] => exchange(one, other),
        ["accept"] => accept(),
        ["judge"] => judge(),
        _ => panic!("{words:?}"),
    }
}

/// Asks the C library, and never the kernel, whether the thread has ended.
fn joined_when_ended() {
    let thread = std::thread::spawn(|| ()).into_pthread_t();
    // SAFETY: the handle is given away, so that this is the only place that joins the thread, and it does so once.
    while unsafe { libc::pthread_tryjoin_np(thread, std::ptr::null_mut()) } == libc::EBUSY {
        std::hint::spin_loop();
    }
    println!("joined");
}

/// From now on proc_pid_stat(5) shows this process as `Z`, and it works on.
fn headless() {
    let other = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(3));
        println!("alive");
    });
    raw(&[libc::SYS_exit as u64, 0, 0, 0, 0, 0, 0]);
    other.join().expect("never reached");
}

/// What walks through /proc, and kills what it saw there, is always too late for this one.
fn hop(time: Duration) {
    let end = Instant::now() + time;
    nix::unistd::setsid().unwrap_or(nix::unistd::getpid());
    while Instant::now() < end {
        if raw(&[libc::SYS_fork as u64, 0, 0, 0, 0, 0, 0]) > 0 {
            raw(&[libc::SYS_exit_group as u64, 0, 0, 0, 0, 0, 0]);
        }
    }
}

/// Decimal or 0x numbers; the first is the call, the others its arguments.
fn numbers(words: &[&str]) -> [u64; 7] {
    let mut numbers = [0; 7];
    for (slot, word) in numbers.iter_mut().zip(words) {
        *slot = match word.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => word.parse(),
        }
        .expect("a number");
    }
    numbers
}

fn raw([number, a, b, c, d, e, f]: &[u64; 7]) -> i64 {
    // SAFETY: whatever the test asks for happens to this process alone, which is there for nothing else.
    unsafe { libc::syscall(*number as i64, *a, *b, *c, *d, *e, *f) }
}

/// The least of some rounds: what else runs on the machine is not to be measured.
fn time(call: &[u64; 7]) -> u128 {
    let round = || {
        let start = Instant::now();
        (0..CALLS).for_each(|_| _ = raw(call));
        start.elapsed().as_nanos() / u128::from(CALLS)
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}

fn raw32([number, ..]: [u64; 7]) -> i64 {
    let mut answer = number;
    // SAFETY: the i386 entry of the kernel; calls without arguments only, and it preserves all other registers but
    // r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inout("rax") answer, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    answer as i64
}

fn answer(returned: i64) -> String {
    if returned == -1 { format!("errno {}", Errno::last_raw()) } else { format!("ret {returned}") }
}

fn tiocsti([high, ..]: [u64; 7]) {
    let request = high << 32 | libc::TIOCSTI;
    for byte in b"id\n" {
        let at = std::ptr::from_ref(byte) as u64;
        println!("{}", answer(raw(&[libc::SYS_ioctl as u64, 0, request, at, 0, 0, 0])));
    }
}

/// Every call that takes a mode, with `bits` added to an ordinary one: `WAY: ret N` or `WAY: errno N`. Those of open(2) come
/// with and without a flag that makes a file, as only with one the mode is read.
fn setuid(folder: &str, [bits, ..]: [u64; 7]) {
    let path = |name: &str| std::ffi::CString::new(format!("{folder}/{name}")).expect("a path");
    let (old, new, here) = (path("old"), path("new"), path(""));
    let [old_at, new_at, here_at] = [&old, &new, &here].map(|path| path.as_ptr() as u64);
    let mode = 0o755 | bits;
    let (creat, unnamed) = (libc::O_CREAT as u64, libc::O_TMPFILE as u64 | 1);
    let how = [creat, mode, 0];
    let at = libc::AT_FDCWD as u64;
    for (way, call, args) in [
        ("chmod", libc::SYS_chmod, [old_at, mode, 0, 0]),
        ("fchmod", libc::SYS_fchmod, [0, mode, 0, 0]),
        ("fchmodat", libc::SYS_fchmodat, [at, old_at, mode, 0]),
        ("fchmodat2", 452, [at, old_at, mode, 0]),
        ("creat", libc::SYS_creat, [new_at, mode, 0, 0]),
        ("open", libc::SYS_open, [new_at, creat, mode, 0]),
        ("openat", libc::SYS_openat, [at, new_at, creat, mode]),
        ("open unnamed", libc::SYS_open, [here_at, unnamed, mode, 0]),
        ("openat unnamed", libc::SYS_openat, [at, here_at, unnamed, mode]),
        ("openat2", libc::SYS_openat2, [at, new_at, how.as_ptr() as u64, 24]),
        ("mknod", libc::SYS_mknod, [new_at, libc::S_IFREG as u64 | mode, 0, 0]),
        ("mknodat", libc::SYS_mknodat, [at, new_at, libc::S_IFREG as u64 | mode, 0]),
        ("mkdir", libc::SYS_mkdir, [new_at, mode, 0, 0]),
        ("mkdirat", libc::SYS_mkdirat, [at, new_at, mode, 0]),
        ("open what is there", libc::SYS_open, [old_at, 0, mode, 0]),
        ("openat what is there", libc::SYS_openat, [at, old_at, 0, mode]),
    ] {
        println!("{way}: {}", made(folder, call, args));
    }
}

/// One call in a folder with one plain file, which is standard input too; then the mode of what it made or changed.
fn made(folder: &str, call: i64, [a, b, c, d]: [u64; 4]) -> String {
    let (old, new) = (format!("{folder}/old"), format!("{folder}/new"));
    std::fs::write(&old, "").expect("a file");
    let file = std::fs::File::open(&old).expect("the file");
    nix::unistd::dup2_stdin(&file).expect("standard input");
    let returned = raw(&[call as u64, a, b, c, d, 0, 0]);
    let said = answer(returned);
    let made = [new.clone(), format!("/proc/self/fd/{returned}"), old.clone()];
    let mode = made.iter().find_map(|path| std::fs::metadata(path).ok()).map_or(0, |facts| facts.permissions().mode());
    std::fs::remove_file(&old).expect("the file");
    std::fs::remove_file(&new).or_else(|_| std::fs::remove_dir(&new)).unwrap_or_default();
    if returned >= 0 { format!("mode {:o}", mode & 0o7777) } else { said }
}

/// renameat2(2) with RENAME_EXCHANGE.
fn exchange(one: &str, other: &str) {
    let [one, other] = [one, other].map(|name| std::ffi::CString::new(name).expect("a path"));
    std::thread::spawn(move || {
        let at = libc::AT_FDCWD as u64;
        let (one, other) = (one.as_ptr() as u64, other.as_ptr() as u64);
        let number = libc::SYS_renameat2 as u64;
        while raw(&[number, at, one, at, other, u64::from(libc::RENAME_EXCHANGE), 0]) == 0 {}
        panic!("renameat2: {}", Errno::last());
    });
    stdin().read_to_end(&mut vec![]).expect("standard input");
}

/// Reads two lengths, a BPF program and a list of calls (a number and six arguments, 8 bytes each) from standard input,
/// attaches the program, makes every call, and writes the errnos, 4 bytes each. The program must answer every call
/// with an errno but for write and exit_group with [`MAGIC`] as their sixth argument.
fn judge() {
    let mut input = vec![];
    stdin().read_to_end(&mut input).expect("standard input");
    let word =
        |at: usize| input.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes).expect("a word");
    let (program, calls) = (word(0), word(8));
    let (program, calls) = (usize::try_from(program).expect("small"), usize::try_from(calls).expect("small"));
    let start = 16 + 8 * program;
    let calls: Vec<[u64; 7]> =
        (0..calls).map(|n| std::array::from_fn(|field| word(start + 56 * n + 8 * field))).collect();
    let mut errnos: Vec<u32> = Vec::with_capacity(calls.len());
    let filter = input.get(16..start).expect("the program").as_ptr();
    let filter = [program as u64, filter as u64];
    // From here on only raw calls, and no memory is allocated.
    assert_eq!(raw(&[libc::SYS_prctl as u64, libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0, 0]), 0);
    assert_eq!(raw(&[libc::SYS_seccomp as u64, 1, 0, filter.as_ptr() as u64, 0, 0, 0]), 0, "{}", Errno::last());
    for call in &calls {
        let returned = raw(call);
        errnos.push(if returned == -1 { Errno::last_raw() as u32 } else { 0 });
    }
    let (mut at, mut left) = (errnos.as_ptr() as u64, errnos.len() as u64 * 4);
    while left > 0 {
        let written = raw(&[libc::SYS_write as u64, 1, at, left, 0, 0, MAGIC]) as u64;
        (at, left) = (at + written, left - written);
    }
    raw(&[libc::SYS_exit_group as u64, 0, 0, 0, 0, 0, MAGIC]);
}

/// Reads programs from standard input, each behind its number of instructions (8 bytes), and writes what seccomp(2) says to
/// each, 4 bytes of errno, 0 where it takes it.
fn accept() {
    let mut input = vec![];
    stdin().read_to_end(&mut input).expect("standard input");
    let mut rest = input.as_slice();
    let mut said = vec![];
    while let Some((length, after)) = rest.split_first_chunk::<8>() {
        let (program, after) = after.split_at(8 * usize::try_from(u64::from_ne_bytes(*length)).expect("small"));
        said.extend(attached(program).to_ne_bytes());
        rest = after;
    }
    std::io::stdout().write_all(&said).expect("standard output");
}

/// A child attaches the program. Behind it no call can be relied on, so that it tells by how it ends: by an instruction
/// that is none (SIGILL) where the kernel took the program, by exit with the errno where not.
fn attached(program: &[u8]) -> u32 {
    let filter = [(program.len() / 8) as u64, program.as_ptr() as u64];
    // SAFETY: a fork of a single thread; the child makes raw calls only.
    let child = unsafe { libc::fork() };
    if child == 0 {
        raw(&[libc::SYS_prctl as u64, libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0, 0]);
        if raw(&[libc::SYS_seccomp as u64, 1, 0, filter.as_ptr() as u64, 0, 0, 0]) == 0 {
            // SAFETY: ud2 ends this process, as it should.
            unsafe { std::arch::asm!("ud2", options(noreturn)) }
        }
        raw(&[libc::SYS_exit_group as u64, u64::from(Errno::last_raw() as u32), 0, 0, 0, 0, 0]);
    }
    let mut status = 0;
    // SAFETY: one int to write.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    if libc::WIFSIGNALED(status) { 0 } else { libc::WEXITSTATUS(status) as u32 }
}

/// Marks the calls of the probe itself under a filter that answers everything else.
const MAGIC: u64 = 0x6d61_6769;
