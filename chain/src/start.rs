//! How a tool starts: the C `main`, what is refused or guarded before anything else, and the pages that a tool prints
//! instead of doing anything.

use std::ffi::{CString, OsString};

use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::stat::Mode;
use std::os::fd::IntoRawFd as _;

use crate::completion::{self, Syntax};
use crate::failure::Call as _;
use crate::parse::{Cli, Page, Parsed, parse};
use crate::table::Table;
use crate::{Hint as _, Result, VERSION, fault, message, pages, privilege, refusal, sys};

/// Makes `fn main` of a tool: the C `main`, without Rust's runtime.
///
/// Rust's own start sets SIGPIPE to ignored, which a payload would inherit, and adds 60 to 80 us (docs/adr/0006).
#[macro_export]
macro_rules! entry {
    ($tool:expr, $run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(argc: ::core::ffi::c_int, argv: *const *const ::core::ffi::c_char) -> ::core::ffi::c_int {
            $crate::start($tool, $crate::sys::words(argc, argv), $run).into()
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

/// Runs a tool: refuses a privileged start, guards the standard descriptors, reports the failure. `argv[0]` is not
/// passed on.
pub fn start(tool: &'static str, argv: Vec<OsString>, run: fn(Vec<OsString>) -> Result<u8>) -> u8 {
    message::begin(tool);
    privilege::receive();
    let outcome = message::take_voice()
        .and_then(|()| sys::take_variable(fault::VARIABLE).map_or(Ok(()), |value| fault::take(&value)))
        .and_then(|()| refuse_privileged_start())
        .and_then(|()| guard_standard_descriptors())
        .and_then(|()| take_name(tool))
        .and_then(|()| run(argv.into_iter().skip(1).collect()));
    outcome.unwrap_or_else(|error| message::print_failure(&error))
}

/// Reads the command line of a tool by its table. `None` where it asked for a page, which has been printed; `features`
/// makes the one that says what this kernel offers the layer.
/// Errors: as [`parse()`]; a page that could not be printed.
pub fn begin<K: Copy>(table: &Table<K>, features: fn() -> String, argv: Vec<OsString>) -> Result<Option<Cli<K>>> {
    let page = match parse(table, argv)? {
        Parsed::Cli(cli) => {
            sys::keep_variables(&cli.common.env);
            sys::call_payload(cli.common.argv0.clone());
            return Ok(Some(cli));
        }
        Parsed::Page(page) => page,
    };
    let text = match page {
        Page::Features => features(),
        Page::Help => pages::help(table),
        Page::Version => format!("{} {VERSION}\n", table.tool),
        Page::Man => pages::man(table),
        Page::Completion(shell) => completion::script(&shell, &[table.tool], &[Syntax::of(table)])?,
    };
    message::print(&text).map(|()| None)
}

/// A tool that was executed by descriptor has the name of a number, or of the file that holds all tools. mount-plan knows the
/// ns-unshare that started it by its name.
fn take_name(tool: &str) -> Result<()> {
    prctl::set_name(&CString::new(tool)?).call("prctl(PR_SET_NAME)")
}

/// Never setuid, setgid or with file capabilities, whose user could drive us by environment and descriptors
/// (CVE-2016-8659 and all its kind).
fn refuse_privileged_start() -> Result<()> {
    if !sys::is_privileged_start() {
        return Ok(());
    }
    Err(refusal!("started with more privilege than the caller (AT_SECURE): refused").hint(
        "remove the setuid bit or the file capabilities: privilege comes from a user namespace or from being root",
    ))
}

/// If the caller closed one of 0, 1, 2, our own files must not land there. A place-holder that exec closes again
/// takes it, so that the payload finds it closed as it was.
fn guard_standard_descriptors() -> Result<()> {
    (0..=2).filter(|fd| sys::borrowed(*fd).is_err()).try_for_each(|_| {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_DIRECTORY;
        // It stays open until exec on purpose.
        open("/", flags, Mode::empty())
            .map(|placeholder| _ = placeholder.into_raw_fd())
            .call("open / in place of a closed standard descriptor")
    })
}
