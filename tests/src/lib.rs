//! What every real test needs: running the tools as a user would, as root or as an ordinary user, and saying honestly
//! what could not be run here.
//!
//! The tools under test are the files that people run: static release builds, found in `$CHAINBOX_BIN` or, without
//! that, in `target/release` of this checkout (`scripts/test` builds them first).
#![allow(clippy::expect_used, clippy::panic, reason = "test support: a test fails by panicking")]

pub mod draws;
pub mod machine;
pub mod processes;
pub mod screen;
pub mod vm;

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use processes::{until, wait_for};

/// The uid and gid that stand for an ordinary user: no name, no groups, no subuid range.
pub const USER: u32 = 1000;

/// What a test needs of the machine. A test that cannot run here is skipped, printed and counted by `scripts/test`;
/// it fails where `CHAINBOX_PROMISED` (words separated by spaces) names its tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Being root in the initial user namespace.
    Root,
    /// New user namespaces for whoever runs the test.
    UserNamespace,
    /// A writable cgroup v2 tree.
    Cgroup,
    /// The same with the controllers that limits need: memory, pids, cpu, io.
    Controllers,
    /// What some kernels have and others have not.
    Kernel,
    /// A virtual machine with a kernel of its own, and what its images are made with.
    Machine,
    /// systemd as the first process, and one of an ordinary user's own.
    Systemd,
    /// Compilers and runtimes of languages, beside what the tests install.
    Languages,
}

impl Tier {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::UserNamespace => "userns",
            Self::Cgroup => "cgroup",
            Self::Controllers => "controllers",
            Self::Kernel => "kernel",
            Self::Machine => "machine",
            Self::Systemd => "systemd",
            Self::Languages => "languages",
        }
    }
}

/// Records that a test could not run, or fails where its tier was promised. Use as
/// `if let Some(reason) = missing { return skip(tier, name, reason) }`.
pub fn skip(tier: Tier, test: &str, reason: &str) {
    let promised = std::env::var("CHAINBOX_PROMISED").unwrap_or_default();
    assert!(
        !promised.split_whitespace().any(|word| word == tier.name()),
        "{test}: tier {} was promised here, but: {reason}",
        tier.name()
    );
    let line = format!("SKIP {test} ({}): {reason}\n", tier.name());
    print!("{line}");
    if let Some(path) = std::env::var_os("CHAINBOX_SKIPS") {
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("the list of skips");
        file.write_all(line.as_bytes()).expect("the list of skips");
    }
}

/// True as root; otherwise records the skip.
#[must_use]
pub fn root_or_skip(test: &str) -> bool {
    let root = is_root();
    if !root {
        skip(Tier::Root, test, "not root");
    }
    root
}

/// Whether this is root of the machine.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The checkout: the one that this was compiled in, or the copy of it that `$CHAINBOX_CHECKOUT` names (scripts/test
/// makes one where the ordinary user cannot read the first).
#[must_use]
pub fn checkout() -> PathBuf {
    if let Some(copy) = std::env::var_os("CHAINBOX_CHECKOUT") {
        return PathBuf::from(copy);
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").to_owned()
}

/// A busybox that runs alone in a root, as tests/fetch-busybox finds it; otherwise records the skip.
#[must_use]
pub fn busybox_or_skip(test: &str) -> Option<PathBuf> {
    let found = Chain::program(checkout().join("tests/fetch-busybox")).run();
    if found.code != 0 {
        skip(Tier::Machine, test, &format!("no static busybox: {}", found.err.trim_end()));
    }
    (found.code == 0).then(|| PathBuf::from(found.out.trim_end()))
}

/// What a unit of packaging/systemd starts, for a shell: lines that end in a backslash are joined, and systemd's `$$` is the
/// shell's `$` (systemd.syntax(7), systemd.service(5)).
#[must_use]
pub fn unit_command(unit: &str) -> String {
    let text =
        std::fs::read_to_string(checkout().join("packaging/systemd").join(unit)).expect(unit).replace("\\\n", " ");
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart="));
    line.expect("ExecStart=").replace("$$", "$")
}

/// The folder of the tools under test.
#[must_use]
pub fn bin() -> PathBuf {
    std::env::var_os("CHAINBOX_BIN").map_or_else(|| checkout().join("target/release"), PathBuf::from)
}

/// The path of one tool under test.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let path = bin().join(name);
    assert!(path.exists(), "{} is missing: run scripts/test, or cargo build --release", path.display());
    path
}

/// A program of nothing but a name of its loader (elf(5)).
pub fn loaded_by(loader: &str) -> Vec<u8> {
    let size = loader.len() as u64 + 1;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    [0, 64, 0_u64].iter().for_each(|word| file.extend(word.to_le_bytes()));
    [0, 0, 64, 56, 1, 64, 0, 0_u16].iter().for_each(|half| file.extend(half.to_le_bytes()));
    [3, 4_u32].iter().for_each(|word| file.extend(word.to_le_bytes()));
    [120, 0, 0, size, size, 1].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(loader.bytes().chain([0]));
    file
}

/// How a run ended, and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit code, or 128+N as a shell shows a death by signal N.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub out: String,
    /// Standard error, likewise.
    pub err: String,
}

impl Ran {
    /// Asserts success and returns standard output.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "often only the success matters")]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }

    /// Asserts that the tool failed with `code` and that its message contains `words`.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.err.contains(words), "no {words:?} in {self:#?}");
    }
}

/// A command line that starts with one of the tools: `Chain::new("rlimit-exec").args(["--core", "0", "--", "true"])`.
/// `PATH` begins with the tools' folder; the rest of the environment is the test's.
#[derive(Debug)]
pub struct Chain(Command);

impl Chain {
    /// A command that starts with this tool.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::program(tool(name))
    }

    /// A command that starts with any program, the tools being in its `PATH`.
    #[must_use]
    pub fn program(path: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(path);
        let mut search = OsString::from(bin());
        search.push(":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command.env("PATH", search).stdin(Stdio::null());
        Self(command)
    }

    /// A shell line, the tools being in its `PATH`.
    #[must_use]
    pub fn shell(line: &str) -> Self {
        Self::program("/bin/sh").args(["-c", line])
    }

    /// With these arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    /// With this environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Without this environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    /// In this folder.
    #[must_use]
    pub fn at(mut self, folder: impl AsRef<Path>) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// The same, executed by another program that takes these words before it: `setpriv`, `setsid`. As who runs the test.
    #[must_use]
    pub fn within(&self, program: &str, words: &[&str]) -> Self {
        let mut outer = Self::program(program).args(words).args([self.0.get_program()]).args(self.0.get_args());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => outer.0.env(name, value),
                None => outer.0.env_remove(name),
            };
        }
        if let Some(folder) = self.0.get_current_dir() {
            outer.0.current_dir(folder);
        }
        outer
    }

    /// As an ordinary user, where the test runs as root; as who runs the test otherwise.
    #[must_use]
    pub fn as_user(mut self) -> Self {
        if is_root() {
            // setgroups([]) is what Command does for a root caller that sets a uid.
            self.0.uid(USER).gid(USER);
        }
        self
    }

    /// The command itself, for what is not offered here.
    pub fn command(&mut self) -> &mut Command {
        &mut self.0
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(mut self) -> Ran {
        let output = self.0.output().unwrap_or_else(|error| panic!("{:?}: {error}", self.0));
        let signal = output.status.signal();
        Ran {
            code: output.status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0)),
            signal,
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A folder for one test that every user may enter, removed at its end.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder under the temporary directory, owned by the ordinary user where the test runs as root and
    /// `for_user` is set.
    #[must_use]
    pub fn new(test: &str, for_user: bool) -> Self {
        let path = std::env::temp_dir().join(format!("chainbox-{test}-{}", std::process::id()));
        if path.exists() {
            std::fs::remove_dir_all(&path).expect("an old folder of this test");
        }
        std::fs::create_dir(&path).expect("a new folder for the test");
        if for_user && is_root() {
            std::os::unix::fs::chown(&path, Some(USER), Some(USER)).expect("chown of the test's folder");
        }
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// A copy of a program in it, made by cp(1): were it written by this process, a fork of another test's thread could
    /// hold it open for writing while it is to be executed (ETXTBSY).
    #[allow(clippy::must_use_candidate, reason = "often only the copy matters")]
    pub fn program(&self, from: impl AsRef<Path>, name: &str) -> PathBuf {
        let path = self.join(name);
        let done = Command::new("cp").arg(from.as_ref()).arg(&path).status().expect("cp");
        assert!(done.success(), "cp {} {}: {done}", from.as_ref().display(), path.display());
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::fs::remove_dir_all(&self.0).is_err() {
            // overlayfs leaves its work directory with mode 000, which an ordinary owner has to change first. A test that
            // made something undeletable has failed by other means; leftovers must not hide that.
            Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.0).status().map(drop).unwrap_or_default();
            std::fs::remove_dir_all(&self.0).unwrap_or_default();
        }
    }
}

/// Every Rust source below a folder.
#[must_use]
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path());
    let parts = entries.map(|path| match path.extension() {
        None if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") => sources(&path),
        Some(end) if end == "rs" => vec![path],
        _ => vec![],
    });
    parts.flatten().collect()
}
