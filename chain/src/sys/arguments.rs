//! The command line of this process as others see it in /proc/PID/cmdline: they may, whether it is dumpable or not.

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use nix::libc;

/// main's own argv and argc.
static WORDS: AtomicPtr<*mut c_char> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Remembers where the kernel laid the arguments down. For [`super::words`] only.
pub(super) fn remember(argc: c_int, argv: *const *const c_char) {
    WORDS.store(argv.cast_mut().cast(), Ordering::Relaxed);
    COUNT.store(usize::try_from(argc).unwrap_or(0), Ordering::Relaxed);
}

/// Overwrites the command line with as much of `name` as the first word has room for, and zeros. [`super::words`]
/// has copied the arguments before.
pub fn forget(name: &str) {
    let argv = WORDS.load(Ordering::Relaxed);
    for n in 0..COUNT.load(Ordering::Relaxed) {
        let mut letters = if n == 0 { name.bytes() } else { "".bytes() };
        // SAFETY: main's own argc and argv (`remember`): pointers to NUL-terminated strings on the stack of this
        // process, which may change them (C11 5.1.2.2.1). Single thread; nobody holds a reference, all were copied.
        // Nothing is written at or beyond the NUL that ends each.
        unsafe {
            let word = *argv.add(n);
            for at in 0..libc::strlen(word) {
                word.add(at).write(letters.next().unwrap_or(0).cast_signed());
            }
        }
    }
}
