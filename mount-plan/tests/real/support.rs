//! Who runs a box, and how.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use chainbox_tests::{Chain, Tier, is_root, skip, tool};

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Root of the machine, in a mount and a PID namespace.
    Root,
    /// Root of the machine in a user namespace that maps it to itself: the host's own files are its own.
    MappedRoot,
    /// An ordinary user, root in a user namespace of its own.
    User,
}

/// Everybody who can run a box here: an ordinary user is one of three where root runs the test, and the only one where he
/// does. Without user namespaces for him it is a skip of `test`.
pub fn people(test: &str) -> Vec<Who> {
    let mut people = if is_root() { vec![Who::Root, Who::MappedRoot] } else { vec![] };
    if Chain::program("unshare").args(["--user", "--map-root-user", "true"]).as_user().run().code == 0 {
        people.push(Who::User);
    } else {
        skip(Tier::UserNamespace, test, "no user namespaces for ordinary users");
    }
    people
}

impl Who {
    /// A command in new namespaces, with further ones: `--net`, `--ipc`.
    pub fn namespaces<S: AsRef<OsStr>>(self, more: &[&str], command: impl IntoIterator<Item = S>) -> Chain {
        let chain = Chain::program("unshare").args(["--mount", "--pid", "--fork"]).args(more);
        let chain = match self {
            Self::Root => chain,
            Self::MappedRoot => chain.args(["--user", "--map-root-user"]),
            Self::User => chain.args(["--user", "--map-root-user"]).as_user(),
        };
        chain.args(["--"]).args(command)
    }

    /// mount-plan with these arguments.
    pub fn plan<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Chain {
        self.namespaces(&[], [tool("mount-plan")]).args(args)
    }

    /// mount-plan with the host's programs, then these arguments.
    pub fn host<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Chain {
        self.plan(["--preset", "host-ro"]).args(args)
    }

    /// A shell script in new namespaces; it ends with `exec "$PLAN" ...`.
    pub fn script(self, line: &str) -> Chain {
        self.namespaces(&[], ["sh", "-ec", line]).env("PLAN", tool("mount-plan"))
    }
}

/// Whether the kernel that runs here is older than Linux `major`.`minor`, in which case `what` is a skip of `test`.
pub fn too_old(test: &str, (major, minor): (u32, u32), what: &str) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap());
    let old = (numbers.next().unwrap(), numbers.next().unwrap()) < (major, minor);
    if old {
        skip(Tier::Kernel, test, &format!("Linux {release}: {what} needs {major}.{minor}"));
    }
    old
}

/// The words of a line, for arguments without spaces.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The mount options of `point` in a mountinfo text (proc(5)): the mount's own, not the filesystem's.
pub fn flags<'a>(mountinfo: &'a str, point: &str) -> Vec<&'a str> {
    let line = mountinfo.lines().rev().find(|line| line.split(' ').nth(4) == Some(point));
    let line = line.unwrap_or_else(|| panic!("{point} is not mounted in\n{mountinfo}"));
    line.split(' ').nth(5).unwrap().split(',').collect()
}

/// Every path below `folder` with its kind, size and inode, and the machine's mount table: what a refused plan must
/// leave as it was.
pub fn host_state(folder: &Path) -> (Vec<String>, String) {
    let mut names = vec![];
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let facts = path.symlink_metadata().unwrap();
        names.push(format!("{path:?} {:?} {} {:?}", facts.file_type(), facts.len(), facts.modified()));
        if facts.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    names.sort();
    (names, fs::read_to_string("/proc/self/mountinfo").unwrap())
}

/// Writes a program. By another process: a descriptor of ours that is open for writing would be inherited by whatever
/// another test starts at that moment, and execve(2) refuses such a file (ETXTBSY).
pub fn program(path: &Path, text: &str) {
    let line = "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\"";
    assert_eq!(Chain::program("sh").args(["-c", line]).args([path.as_os_str(), text.as_ref()]).run().ok(), "");
}

/// Copies a tool to `path`, likewise.
pub fn copy_tool(name: &str, path: &Path) {
    assert_eq!(Chain::program("cp").args([tool(name).as_path(), path]).run().ok(), "");
}
