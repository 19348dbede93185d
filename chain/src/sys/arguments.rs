//! What the kernel and the C runtime gave this process at its start: its command line, which others see in
//! /proc/PID/cmdline whether it is dumpable or not, and its auxiliary vector (getauxval(3)).

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;
use std::sync::RwLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use nix::libc;

/// main's own argv and argc.
static WORDS: AtomicPtr<*mut c_char> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The command line as bytes, copied. For [`crate::entry!`] and [`crate::bare_entry!`] only: `argv` must be what the C
/// runtime gave to `main`.
#[allow(clippy::not_unsafe_ptr_arg_deref, reason = "called by the entry macros alone, with main's own arguments")]
pub fn words(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    WORDS.store(argv.cast_mut().cast(), Ordering::Relaxed);
    COUNT.store(count, Ordering::Relaxed);
    (0..count)
        // SAFETY: the C runtime gives main `argc` pointers to NUL-terminated strings that live as long as the process.
        .map(|n| unsafe { CStr::from_ptr(*argv.add(n)) })
        .map(|word| OsStr::from_bytes(word.to_bytes()).to_owned())
        .collect()
}

/// Whether the kernel executed this process with more privilege than its caller has (AT_SECURE).
pub fn is_privileged_start() -> bool {
    // SAFETY: getauxval reads the process's own auxiliary vector and has no precondition.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The path under which the kernel executed this process (AT_EXECFN); `/dev/fd/N` after fexecve(3).
#[must_use]
pub fn executed_as() -> Option<OsString> {
    // SAFETY: the kernel puts AT_EXECFN into every auxiliary vector, as a pointer to a NUL-terminated string on this
    // process's own stack area that is never unmapped; zero where it is missing is handled.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    if name.is_null() {
        return None;
    }
    // SAFETY: as above.
    Some(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()).to_owned())
}

/// A variable of the environment, which has it no more afterwards.
pub(crate) fn take_variable(name: &str) -> Option<OsString> {
    let value = std::env::var_os(name)?;
    // SAFETY: a link is a single thread, so nobody else reads or changes the environment meanwhile.
    unsafe { std::env::remove_var(name) };
    Some(value)
}

/// Leaves nothing in the environment but `words`, each `NAME=VALUE`, or `NAME` for a variable as it is; none: all of it.
pub fn keep_variables(words: &[OsString]) {
    if words.is_empty() {
        return;
    }
    let pair = |word: &OsString| {
        let mut halves = word.as_bytes().splitn(2, |byte| *byte == b'=').map(|half| OsStr::from_bytes(half).to_owned());
        let name = halves.next()?;
        let value = halves.next().or_else(|| std::env::var_os(&name))?;
        Some((name, value))
    };
    let kept: Vec<(OsString, OsString)> = words.iter().filter_map(pair).collect();
    // SAFETY: as in `take_variable`. A name is not empty and has no `=`, and no word of a command line has a NUL byte.
    unsafe {
        libc::clearenv();
        kept.into_iter().for_each(|(name, value)| std::env::set_var(name, value));
    }
}

static PAYLOAD_NAME: RwLock<Option<OsString>> = RwLock::new(None);

/// What the next program finds as its own name (`--argv0`), if another one than it is executed by.
pub(crate) fn call_payload(name: Option<OsString>) {
    if let Ok(mut payload) = PAYLOAD_NAME.write() {
        *payload = name;
    }
}

pub(crate) fn payload_name() -> Option<OsString> {
    PAYLOAD_NAME.read().ok().and_then(|name| name.clone())
}

/// Sets a variable of the environment that the next program gets. `name` is no empty one, and has no `=`.
pub fn set_variable(name: &str, value: &OsStr) {
    // SAFETY: as in `take_variable`; no path has a NUL byte.
    unsafe { std::env::set_var(name, value) };
}

/// Overwrites the command line with as much of `name` as the first word has room for, and zeros. [`words`] has copied
/// the arguments before.
pub fn forget(name: &str) {
    let argv = WORDS.load(Ordering::Relaxed);
    for n in 0..COUNT.load(Ordering::Relaxed) {
        let mut letters = if n == 0 { name.bytes() } else { "".bytes() };
        // SAFETY: main's own argc and argv (`words`): pointers to NUL-terminated strings on the stack of this
        // process, which may change them (C11 5.1.2.2.1). Single thread; nobody holds a reference, all were copied.
        // Nothing is written at or beyond the NUL that ends each.
        unsafe {
            let word = *argv.add(n);
            for at in 0..libc::strlen(word) {
                word.add(at).write(letters.next().unwrap_or(0) as libc::c_char);
            }
        }
    }
}
