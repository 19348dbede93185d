//! A payload that makes exactly the system call that it is told to, and says what the kernel answered.
//!
//! ```text
//! syscall-probe call NUMBER [ARG]...   one call; prints `ret N` or `errno N`
//! syscall-probe call32 NUMBER          the same through int 0x80, the entry of i386
//! syscall-probe thread                 starts a thread and joins it; prints `joined`
//! syscall-probe tiocsti HIGH           pushes "id" into the terminal on 0, HIGH in bits 32 to 63 of the request
//! syscall-probe judge                  attaches a filter to itself and prints the kernel's verdict on many calls
//! ```
#![allow(unsafe_code, reason = "raw system calls are what this payload is for")]
#![allow(clippy::expect_used, clippy::panic, reason = "a payload of tests: what goes wrong must be seen")]

use std::io::{Read as _, stdin};

use nix::errno::Errno;
use nix::libc;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["call", call @ ..] => println!("{}", answer(raw(&numbers(call)))),
        ["call32", number] => println!("{}", answer(raw32(numbers(&[number])))),
        ["thread"] => println!("{}", std::thread::spawn(|| "joined").join().expect("a thread")),
        ["tiocsti", high] => tiocsti(numbers(&[high])),
        ["judge"] => judge(),
        _ => panic!("{words:?}"),
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
    unsafe { libc::syscall(number.cast_signed(), *a, *b, *c, *d, *e, *f) }
}

fn raw32([number, ..]: [u64; 7]) -> i64 {
    let mut answer = number;
    // SAFETY: the i386 entry of the kernel; calls without arguments only, and it preserves all other registers but
    // r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inout("rax") answer, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    answer.cast_signed()
}

fn answer(returned: i64) -> String {
    if returned == -1 { format!("errno {}", Errno::last_raw()) } else { format!("ret {returned}") }
}

fn tiocsti([high, ..]: [u64; 7]) {
    let request = high << 32 | libc::TIOCSTI;
    for byte in b"id\n" {
        let at = std::ptr::from_ref(byte) as u64;
        println!("{}", answer(raw(&[libc::SYS_ioctl.cast_unsigned(), 0, request, at, 0, 0, 0])));
    }
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
        errnos.push(if returned == -1 { Errno::last_raw().cast_unsigned() } else { 0 });
    }
    let (mut at, mut left) = (errnos.as_ptr() as u64, errnos.len() as u64 * 4);
    while left > 0 {
        let written = raw(&[libc::SYS_write as u64, 1, at, left, 0, 0, MAGIC]).cast_unsigned();
        (at, left) = (at + written, left - written);
    }
    raw(&[libc::SYS_exit_group as u64, 0, 0, 0, 0, 0, MAGIC]);
}

/// Marks the calls of the probe itself under a filter that answers everything else.
const MAGIC: u64 = 0x6d61_6769;
