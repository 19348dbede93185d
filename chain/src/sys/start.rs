//! How a tool starts: the C `main`, and what is refused or guarded before anything else.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::libc;

use super::{arguments, borrowed};
use crate::failure::Failure;
use crate::{Result, privilege, speech};

/// Makes `fn main` of a tool: the C `main`, without Rust's runtime.
///
/// Rust's own start sets SIGPIPE to ignored, which a payload would inherit, and adds 60 to 80 us (docs/adr/0006).
#[macro_export]
macro_rules! entry {
    ($tool:expr, $run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(argc: ::core::ffi::c_int, argv: *const *const ::core::ffi::c_char) -> ::core::ffi::c_int {
            $crate::sys::start($tool, $crate::sys::words(argc, argv), $run).into()
        }
    };
}

/// Makes `fn main` of a program that looks at how it was started: nothing is guarded, refused or set before `run`.
#[macro_export]
macro_rules! bare_entry {
    ($run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(argc: ::core::ffi::c_int, argv: *const *const ::core::ffi::c_char) -> ::core::ffi::c_int {
            ::core::ffi::c_int::from($run($crate::sys::words(argc, argv)))
        }
    };
}

/// The command line as bytes. For [`entry!`] and [`bare_entry!`] only: `argv` must be what the C runtime gave to `main`.
#[must_use]
#[allow(clippy::not_unsafe_ptr_arg_deref, reason = "called by the entry macros alone, with main's own arguments")]
pub fn words(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    arguments::remember(argc, argv);
    (0..usize::try_from(argc).unwrap_or(0))
        // SAFETY: the C runtime gives main `argc` pointers to NUL-terminated strings that live as long as the process.
        .map(|n| unsafe { CStr::from_ptr(*argv.add(n)) })
        .map(|word| OsStr::from_bytes(word.to_bytes()).to_owned())
        .collect()
}

/// Runs a tool: refuses a privileged start, guards the standard descriptors, reports the failure. `argv[0]` is not
/// passed on.
pub fn start(tool: &'static str, argv: Vec<OsString>, run: fn(Vec<OsString>) -> Result<u8>) -> u8 {
    speech::begin(tool);
    privilege::receive();
    let outcome = refuse_privileged_start()
        .and_then(|()| guard_standard_descriptors())
        .and_then(|()| run(argv.into_iter().skip(1).collect()));
    outcome.unwrap_or_else(|error| speech::fail(&error))
}

/// Whether the environment has this variable. It has not afterwards.
pub(crate) fn take_variable(name: &str) -> bool {
    let there = std::env::var_os(name).is_some();
    if there {
        // SAFETY: a link is a single thread, so nobody else reads or changes the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
    there
}

/// Law 11: never setuid, setgid or with file capabilities, whose user could drive us by environment and descriptors
/// (CVE-2016-8659 and all its kind).
fn refuse_privileged_start() -> Result<()> {
    // SAFETY: getauxval reads the process's own auxiliary vector and has no precondition.
    if unsafe { libc::getauxval(libc::AT_SECURE) } == 0 {
        return Ok(());
    }
    Err(Failure::refusal("started with more privilege than the caller (AT_SECURE): refused")
        .hint(
            "remove the setuid bit or the file capabilities: privilege comes from a user namespace or from being root",
        )
        .into())
}

/// If the caller closed one of 0, 1, 2, our own files must not land there. A place-holder that exec closes again
/// takes it, so that the payload finds it closed as it was.
fn guard_standard_descriptors() -> Result<()> {
    for fd in 0..=2 {
        if borrowed(fd).is_err() {
            let flags = libc::O_PATH | libc::O_CLOEXEC | libc::O_DIRECTORY;
            // SAFETY: the path is a NUL-terminated literal. The descriptor stays open until exec on purpose.
            let got = unsafe { libc::open(c"/".as_ptr(), flags) };
            Errno::result(got)
                .map_err(|errno| Failure::call("open / in place of a closed standard descriptor", errno))?;
        }
    }
    Ok(())
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
    Some(OsString::from_vec(unsafe { CStr::from_ptr(name) }.to_bytes().to_vec()))
}
