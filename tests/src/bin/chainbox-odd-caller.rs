//! `chainbox-odd-caller PROG ARG...`: executes PROG as a caller with unusual habits would: standard input closed,
//! descriptor 7 open, an odd umask, SIGPIPE and SIGHUP ignored, SIGUSR1 blocked, and an environment with an entry
//! that has no `=`, one that is not UTF-8, an empty name and a name twice. All of it is PROG's to find as it is.
#![no_main]

use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::IntoRawFd as _;
use std::os::unix::ffi::OsStringExt as _;

use chain::{Call as _, Failure, Result, sys};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::{Mode, umask};

chain::entry!("chainbox-odd-caller", run);

/// The entries of the environment that nobody expects.
const ODD: [&[u8]; 6] = [b"NO_EQUALS", b"RAW\xff=\xfe\x80", b"=empty name", b"TWICE=1", b"TWICE=2", b"NEWLINE=a\nb"];

fn run(argv: Vec<OsString>) -> Result<u8> {
    let words: Vec<CString> = argv.into_iter().map(|word| CString::new(word.into_vec())).collect::<Result<_, _>>()?;
    let program = words.first().ok_or_else(|| Failure::refusal("PROG is missing"))?.clone();
    let environment = environment()?;
    strange_descriptors()?;
    umask(Mode::from_bits_truncate(0o137));
    sys::ignore_signal(libc::SIGPIPE, true).call("sigaction(SIGPIPE)")?;
    sys::ignore_signal(libc::SIGHUP, true).call("sigaction(SIGHUP)")?;
    let blocked: SigSet = [Signal::SIGUSR1].into_iter().collect();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None).call("sigprocmask")?;
    nix::unistd::execve(&program, &words, &environment).call("execve")?;
    Ok(0)
}

/// The caller's own variables and the odd ones.
fn environment() -> Result<Vec<CString>> {
    let own = std::env::vars_os().filter(|(name, _)| name != "TWICE").map(|(name, value)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        entry
    });
    own.chain(ODD.into_iter().map(<[u8]>::to_vec)).map(|entry| Ok(CString::new(entry)?)).collect()
}

/// Closes 0, leaves 7 open across exec, and nothing else of what this process has inherited but 1 and 2.
fn strange_descriptors() -> Result<()> {
    sys::close_on_exec_from(3).call("close_range")?;
    let file = File::open("/dev/null").call("open /dev/null")?;
    let mut seventh = rustix::io::fcntl_dupfd_cloexec(&file, 7).call("fcntl(F_DUPFD_CLOEXEC, 7)")?;
    rustix::io::fcntl_setfd(&mut seventh, rustix::io::FdFlags::empty()).call("fcntl(F_SETFD)")?;
    if seventh.into_raw_fd() != 7 {
        return Err(Failure::refusal("descriptor 7 was taken").into());
    }
    nix::unistd::close(0).call("close(0)")
}
