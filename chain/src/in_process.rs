//! The next link in this process, where an exec would change nothing.
//!
//! Where all tools are one file (`chainbox`), a link that executes the next one executes the file that runs already, and
//! a quarter of what a chain costs to start is that. The exec is left out where it would be without effect (docs/adr/0016), and the next
//! link begins in this process, from its own words:
//!
//! * it is the very file from which this process was executed, by one path (both are links that end at the same text in the
//!   same folder), and may be read and executed. So it is no other program, and no other name, which a security module could
//!   have a rule about;
//! * the kernel would leave ids and capabilities as they are ([`crate::privilege::exec_changes_nothing`]);
//! * there is room for it in memory, as a chain without end and a tight limit have not;
//! * no link has said that it needs an exec ([`crate::Next::force_exec`]).
//!
//! What exec does besides is done here: what is marked close-on-exec is closed, the process has the tool's name, and is
//! dumpable again. Links have no signal handlers, no threads and no timers that exec would have to take away. A program that
//! is not one of our tools is always executed.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, RwLock};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access};

use crate::failure::Call as _;
use crate::{Result, refusal, sys};

/// The entry of a program: the words of its command line to its exit code.
pub type Main = fn(Vec<OsString>) -> u8;

/// What a link will do that the one before has to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foreseen {
    /// Whom it makes of the program behind it, where it leaves that no capability, and no way to any.
    pub user: Option<u32>,
    /// Somebody else may look into a copy of it: it is to have nothing of the links before, so it is executed.
    pub is_shown: bool,
}

/// The same of the link that these words begin.
pub type Foresee = fn(&[OsString]) -> Foreseen;

/// What this process was executed as.
#[derive(Debug)]
struct Image {
    main: Main,
    foresee: Foresee,
    /// The path that its own leads to, through links.
    path: PathBuf,
    file: Identity,
    /// The user namespace that it was executed in: whoever is root there may look at this process whatever it does.
    users: Option<Identity>,
    /// The pid namespace that it was executed in.
    pids: Option<Identity>,
}

/// Device and inode.
type Identity = (u64, u64);

static IMAGE: OnceLock<Image> = OnceLock::new();

/// Where the link that runs now was found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Where this process was executed.
    Image,
    /// Beside that.
    Path(OsString),
    /// In a root that this process has left.
    Nowhere,
}

static NOW: RwLock<Place> = RwLock::new(Place::Image);

/// How many links have begun in this process, and how many may: each leaves its words and its place on the stack behind.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
const MOST: usize = 16;

/// Says that this program is each of our tools: `main` is any of them, by the first word. Called once, before
/// anything has changed.
pub fn offer(main: Main, foresee: Foresee) {
    let Some(path) = image_path().and_then(|path| leads_to(Path::new(&path))) else { return };
    if let Some(file) = identity(&path) {
        IMAGE.get_or_init(|| Image { main, foresee, path, file, users: namespace("user"), pids: namespace("pid") });
    }
}

/// What a path leads to: the file at the end of the symbolic links, each of which is a text in its folder. There are no more
/// than the kernel follows (path_resolution(7)).
fn leads_to(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(text) => path = path.parent()?.join(text),
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => return Some(path),
            Err(_) => return None,
        }
    }
    None
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).map(|facts| (facts.dev(), facts.ino())).ok()
}

fn namespace(kind: &str) -> Option<Identity> {
    identity(&Path::new("/proc/self/ns").join(kind))
}

/// The path under which this process was executed: not by descriptor, which the kernel calls `/dev/fd/N`.
fn image_path() -> Option<OsString> {
    sys::executed_as().filter(|name| !name.as_bytes().starts_with(b"/dev/fd/"))
}

/// What cannot be told has been left.
fn now() -> Place {
    NOW.read().map_or(Place::Nowhere, |now| now.clone())
}

/// The path under which the running link was executed, or would have been. `None` for one that crossed a root change:
/// carried and executed by descriptor, or going on.
#[must_use]
pub fn executed_as() -> Option<OsString> {
    match now() {
        Place::Image => image_path(),
        Place::Path(path) => Some(path),
        Place::Nowhere => None,
    }
}

/// The file that is each of our tools, whatever stands beside it; `None` where this program is one tool alone, or has gone on
/// in another root.
#[must_use]
pub fn file_of_all() -> Option<&'static Path> {
    IMAGE.get().filter(|_| !has_crossed()).map(|image| image.path.as_path())
}

/// Whether no limit is tight for what this process has in memory already, and an exec would give back.
fn has_room() -> bool {
    let least = [(Resource::RLIMIT_STACK, 1 << 20), (Resource::RLIMIT_DATA, 64 << 20), (Resource::RLIMIT_AS, 64 << 20)];
    least.into_iter().all(|(limit, bytes)| getrlimit(limit).is_ok_and(|(soft, _)| soft >= bytes))
}

/// Whether this process may go on as the tool at `path`, which `words` begin: it is the file of this process, at the same path
/// still, executing it would neither fail nor make the process less open (execve(2): what cannot be read is not dumpable), and
/// nobody will look into it.
pub fn may_go_on_as(path: &Path, words: &[OsString]) -> bool {
    IMAGE.get().is_some_and(|image| {
        BEGUN.load(Ordering::Relaxed) < MOST
            && has_room()
            && leads_to(path).is_some_and(|path| path == image.path)
            && identity(path) == Some(image.file)
            && access(path, AccessFlags::R_OK | AccessFlags::X_OK).is_ok()
            && !(image.foresee)(words).is_shown
    })
}

/// Whether nobody in this user namespace can change the file at `path`, whatever he has: its owner is nobody's id here, so
/// no capability is of use either (capabilities(7): they act on files whose ids are mapped), and others may not write.
/// O_NOATIME is for the owner, and for CAP_FOWNER over him (open(2)).
pub fn is_out_of_reach(path: &Path) -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_NOATIME | OFlag::O_CLOEXEC;
    let shut = fs::metadata(path).is_ok_and(|facts| facts.mode() & 0o022 == 0);
    shut && open(path, flags, Mode::empty()).is_err_and(|errno| errno == Errno::EPERM)
}

/// Whether the program behind the link that `words` begin cannot change the file at `path`: it is another user than the
/// owner, without capabilities, and only the owner may write.
pub fn is_out_of_reach_behind(path: &Path, words: &[OsString]) -> bool {
    let user = IMAGE.get().and_then(|image| (image.foresee)(words).user);
    user.is_some_and(|user| fs::metadata(path).is_ok_and(|facts| facts.mode() & 0o022 == 0 && facts.uid() != user))
}

/// Whether this process has gone on in a root that is not the one of its file: `/proc/self/exe` leads out of it.
pub fn has_crossed() -> bool {
    now() == Place::Nowhere
}

/// Whether this process is in a user namespace that was made since it was executed, by a link in this very process. Then
/// nobody else has ever been in it, and its root has no power over this process's memory and file (ptrace(2): the
/// kernel asks the user namespace of the exec).
pub fn has_users_of_its_own() -> bool {
    is_newer("user", |image| image.users)
}

/// The same for its pid namespace: nobody else has ever been in that, so nobody in there sees this process but its own image,
/// and the program that it becomes.
pub fn has_pids_of_its_own() -> bool {
    is_newer("pid", |image| image.pids)
}

fn is_newer(kind: &str, before: fn(&Image) -> Option<Identity>) -> bool {
    let before = IMAGE.get().and_then(before);
    before.is_some() && namespace(kind).is_some_and(|now| Some(now) != before)
}

/// As the standard library has them.
pub(crate) fn words(argv: &[CString]) -> Vec<OsString> {
    argv.iter().map(|word| OsStr::from_bytes(word.to_bytes()).into()).collect()
}

/// Begins the tool that the first of `words` names, in this process, with descriptors 0, 1, 2 and `keep`. `path` is
/// where it was found; one that was not looked up stays hidden as this process is now. Returns only the failure.
pub(crate) fn begin(words: &[CString], path: Option<&OsStr>, keep: &[RawFd]) -> anyhow::Error {
    match ready(words, path, keep) {
        Ok(main) => sys::exit_now(main(self::words(words))),
        Err(error) => error,
    }
}

fn ready(words: &[CString], path: Option<&OsStr>, keep: &[RawFd]) -> Result<Main> {
    let image = IMAGE.get().ok_or_else(|| refusal!("this program is one tool, and not the next"))?;
    sys::close_marked(keep).call("close_range")?;
    if path.is_some() {
        prctl::set_dumpable(true).call("prctl(PR_SET_DUMPABLE, 1)")?;
    }
    let name = words.first().map_or(b"".as_slice(), |word| word.to_bytes());
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    prctl::set_name(&CString::new(name)?).call("prctl(PR_SET_NAME)")?;
    BEGUN.fetch_add(1, Ordering::Relaxed);
    if let Ok(mut now) = NOW.write() {
        *now = path.map_or(Place::Nowhere, |path| Place::Path(path.to_owned()));
    }
    Ok(image.main)
}
