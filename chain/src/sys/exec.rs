//! Executing the next program, with the environment byte for byte.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The environment as execve(2) takes it: the process's own, byte for byte, with `extra` (each `NAME=value`) in place
/// of variables of the same name (an entry without `=` only removes). The pointers are valid while `extra` and the environment are.
fn environment(extra: &[CString]) -> Vec<*const c_char> {
    let mut all = vec![];
    // SAFETY: environ is the C library's NULL-terminated array; a single thread, so nobody changes it meanwhile.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            all.push(*entry);
            entry = entry.add(1);
        }
    }
    all.retain(|entry| {
        // SAFETY: each entry of the array is a NUL-terminated string.
        let old = unsafe { CStr::from_ptr(*entry) };
        !extra.iter().any(|new| same_name(old.to_bytes(), new.to_bytes()))
    });
    all.extend(extra.iter().filter(|new| new.to_bytes().contains(&b'=')).map(|new| new.as_ptr()));
    all.push(ptr::null());
    all
}

fn same_name(a: &[u8], b: &[u8]) -> bool {
    a.split(|byte| *byte == b'=').next() == b.split(|byte| *byte == b'=').next()
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}

/// execve(2) with the environment as it is but for `extra`. Returns only the errno.
#[must_use]
pub fn exec(path: &CStr, argv: &[CString], extra: &[CString]) -> Errno {
    let (argv, env) = (pointers(argv), environment(extra));
    // SAFETY: NULL-terminated arrays of NUL-terminated strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    Errno::last()
}

/// execveat(2) of an open file, by no path at all (AT_EMPTY_PATH, Linux 3.19). Returns only the errno.
#[must_use]
pub fn exec_fd(file: BorrowedFd<'_>, argv: &[CString], extra: &[CString]) -> Errno {
    let (argv, env) = (pointers(argv), environment(extra));
    // SAFETY: as in `exec`; the path is the empty literal.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Errno::last()
}
