//! Pure: a request and the facts to a chain.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chain::Result;

use super::args::Request;
use super::args::config::Part;
use super::args::rules::{Rule, RuleOption, Shown};
use super::boxes::{Record, lock_path};
use super::look::{Facts, Ids};
use super::table::{Limit, Switch, Time};
use crate::fronts::chain::{Chain, Environment, quoted};

/// The flags of --syscalls that the filter `no-covert` stands for: any of them.
const COVERT: u32 = 0b1111;

/// The chain of a run.
pub fn chain(request: &Request, facts: &Facts, record: Record) -> Result<Chain> {
    let folder = facts.box_root.join(request.number.to_string());
    let links = vec![
        watch(request, facts, record, &folder),
        namespaces(request, facts),
        limits(request, facts),
        root(request, facts, &folder),
        gate(request, facts),
    ];
    Ok(Chain {
        before: lock(request, facts),
        speaker: "isolate:2".into(),
        environment: environment(request, facts),
        links,
        payload: program(&request.command).1,
    })
}

/// For a shell: the lock, on a descriptor that nobody else has.
fn lock(request: &Request, facts: &Facts) -> Vec<u8> {
    let free = (3..=9).rev().find(|fd| !facts.open.contains(fd)).unwrap_or(9);
    let path = quoted(&[lock_path(facts, request.number).into_os_string()]);
    let now = if request.is(Switch::Wait) { "" } else { "-n " };
    [format!("exec {free}<>").into_bytes(), path, format!("\nflock {now}{free} || exit 2\n").into_bytes()].concat()
}

/// The link that watches: times, memory, the report; and to whom the folder of the box belongs meanwhile.
fn watch(request: &Request, facts: &Facts, record: Record, folder: &Path) -> Vec<OsString> {
    let mut link = Link::new("cg-run", request, facts, 1);
    link.words(["--as-isolate"]);
    if request.is(Switch::Cgroup) {
        match &facts.cg_root {
            Some(place) => link.words(["--parent".as_ref(), place.as_os_str()]),
            // The judge's own shell stands in the cgroup that was delegated to it.
            None => link.words(["--move-callers"]),
        }
        // Without a limit it is measured.
        match request.limit(Limit::CgroupMemory) {
            Some(size) => link.words(["--memory", &kib(size)]),
            None => link.words(["--set", "memory.max=max"]),
        }
        link.maybe("--cpuset", facts.config.of_box(request.number, Part::Cpus).map(OsString::from));
        let nodes = facts.config.of_box(request.number, Part::Mems);
        link.maybe("--set", nodes.map(|list| format!("cpuset.mems={list}").into()));
    } else {
        link.words(["--no-cgroup"]);
    }
    let times = [(Time::Cpu, "--cpu-time"), (Time::Extra, "--extra-time"), (Time::Wall, "--wall-time")];
    for (time, option) in times {
        // A kill that is put off means nothing without a limit.
        let said = request.time(time).filter(|_| time != Time::Extra || request.time(Time::Cpu).is_some());
        link.maybe(option, said.map(|time| seconds(time).into()));
    }
    link.switch(!request.is(Switch::Silent), "--status");
    link.maybe("--report", request.meta.as_deref().map(report));
    let Ids { uid, gid } = facts.box_ids.unwrap_or(record.owner);
    let (lent, owner) = (format!("{uid}:{gid}"), format!("{}:{}", record.owner.uid, record.owner.gid));
    link.words(["--lend".as_ref(), folder.join("box").as_os_str(), lent.as_ref(), owner.as_ref()]);
    link.switch(request.is(Switch::SpecialFiles), "--special-files");
    link.done()
}

/// A file of that name, whatever it is called.
pub fn report(meta: &OsStr) -> OsString {
    match meta.as_bytes() {
        b"-" => "1".into(),
        name if name.iter().all(u8::is_ascii_digit) => Path::new(".").join(meta).into(),
        _ => meta.into(),
    }
}

/// Root's box has no user namespace: its program is a user that nobody else is. Anybody else's is himself, in one.
fn namespaces(request: &Request, facts: &Facts) -> Vec<OsString> {
    let mut link = Link::new("ns-unshare", request, facts, 2);
    if facts.box_ids.is_none() {
        link.words(["--user", "--map-self"]);
    }
    link.words(["--mount", "--pid", "--ipc", "--uts", "--cgroup"]);
    link.switch(!request.is(Switch::ShareNet), "--net");
    link.words(["--hostname", "box"]);
    let session = if request.is(Switch::TtyHack) { "--foreground" } else { "--new-session" };
    link.words([session]);
    link.done()
}

fn limits(request: &Request, facts: &Facts) -> Vec<OsString> {
    let mut link = Link::new("rlimit-exec", request, facts, 2);
    link.words(["--core", &kib(request.said(Limit::Core).unwrap_or(0)), "--memlock", "0"]);
    link.words(["--stack", &request.limit(Limit::Stack).map_or("unlimited".into(), kib)]);
    let files = request.said(Limit::OpenFiles).unwrap_or(1024);
    link.maybe("--nofile", Some(files).filter(|files| *files > 0).map(|files| files.to_string().into()));
    link.maybe("--as", request.limit(Limit::Memory).map(|size| kib(size).into()));
    link.maybe("--fsize", request.limit(Limit::FileSize).map(|size| kib(size).into()));
    // In a user namespace the init of the box is the same user.
    let besides = u64::from(facts.box_ids.is_none());
    link.maybe("--nproc", request.processes.map(|count| count.saturating_add(besides).to_string().into()));
    link.words(["--umask", "022"]);
    link.done()
}

fn root(request: &Request, facts: &Facts, folder: &Path) -> Vec<OsString> {
    let mut link = Link::new("mount-plan", request, facts, 2);
    request.rules.iter().for_each(|rule| link.more(entry(rule, folder)));
    link.words(["--chdir".as_ref(), request.chdir.as_deref().unwrap_or(Path::new("/box")).as_os_str()]);
    link.done()
}

fn entry(rule: &Rule, folder: &Path) -> Vec<OsString> {
    let (has, target) = (|option| rule.options.contains(&option), rule.inside.clone().into_os_string());
    let bind = |path: &Path| {
        let bind = if has(RuleOption::Write) { "--bind" } else { "--ro-bind" };
        vec![bind.into(), path.as_os_str().to_owned(), target.clone()]
    };
    let write = if has(RuleOption::Write) { "rw" } else { "ro" };
    let (mut entry, mut options): (Vec<OsString>, Vec<&str>) = match &rule.shown {
        Shown::Outside(path) => (bind(path), vec![]),
        Shown::OfTheBox(path) => (bind(&folder.join(path)), vec![]),
        Shown::Fresh => (vec!["--tmpfs".into(), target], vec![TMPFS]),
        Shown::Devices => return vec!["--dev".into(), target],
        Shown::System("proc") => (vec!["--proc".into(), target], vec![write, "hidepid=invisible"]),
        Shown::System("tmpfs") => (vec!["--tmpfs".into(), target], vec![write, TMPFS]),
        Shown::System(name) => (vec![format!("--{name}").into(), target], vec![write]),
    };
    let words = [
        (RuleOption::Devices, "dev"),
        (RuleOption::NoExec, "noexec"),
        (RuleOption::Maybe, "X-mount.if-exists"),
        (RuleOption::NotBelow, "norec"),
    ];
    let is_bind = matches!(rule.shown, Shown::Outside(_) | Shown::OfTheBox(_));
    let fits = |option| is_bind || option == RuleOption::NoExec;
    options.extend(words.iter().filter(|(option, _)| has(*option) && fits(*option)).map(|(_, word)| *word));
    if !options.is_empty() {
        entry.extend(["-o".into(), options.join(",").into()]);
    }
    entry
}

/// What is written to an empty directory is in memory, and counts there.
const TMPFS: &str = "size=25%";

/// The last link: who the program is, what it may call, and its standard files.
fn gate(request: &Request, facts: &Facts) -> Vec<OsString> {
    let mut link = Link::new("seccomp-exec", request, facts, 2);
    link.maybe("--user", facts.box_ids.map(|Ids { uid, gid }| format!("{uid}:{gid}").into()));
    link.words(["--new-keyring", "--filter", "default"]);
    let flags = request.syscalls.or(facts.config.syscall_flags).unwrap_or(COVERT);
    if flags & COVERT != 0 {
        link.words(["--filter", "no-covert"]);
    }
    link.words(["--filter", "no-setuid"]);
    for (path, option) in request.standard.iter().zip(["--stdin", "--stdout", "--stderr"]) {
        link.maybe(option, path.clone().map(PathBuf::into_os_string));
    }
    link.switch(request.is(Switch::StderrToStdout), "--stderr-to-stdout");
    link.maybe("--argv0", program(&request.command).0);
    link.words(["--not-executed", "127"]);
    link.done()
}

/// PATH is not searched: a bare name is a file of the working directory, and keeps its name.
fn program(command: &[OsString]) -> (Option<OsString>, Vec<OsString>) {
    let mut words = command.to_vec();
    let bare = words.first_mut().filter(|name| !name.as_bytes().contains(&b'/'));
    let name = bare.map(|name| std::mem::replace(name, Path::new(".").join(&*name).into_os_string()));
    (name, words)
}

/// Nothing of the caller's but what the rules name.
fn environment(request: &Request, facts: &Facts) -> Environment {
    let mut environment = Environment::default();
    if !request.full_env {
        environment.clear();
    }
    environment.change(OsStr::new("LIBC_FATAL_STDERR_"), Some(OsStr::new("1")));
    for (name, value) in &request.variables {
        let callers = || facts.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let value = value.clone().map_or_else(callers, |value| Some(value).filter(|value| !value.is_empty()));
        environment.change(name, value.as_deref());
    }
    environment
}

fn kib(size: u64) -> String {
    if size == 0 { "0".to_owned() } else { format!("{size}K") }
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// A link as it is written.
struct Link {
    words: Vec<OsString>,
    keep: Vec<OsString>,
}

impl Link {
    /// `verbose`: how often --verbose has to be said for this link to say its steps.
    fn new(tool: &str, request: &Request, facts: &Facts, verbose: usize) -> Self {
        let keep = facts.open.iter().flat_map(|fd| ["--keep-fd".into(), fd.to_string().into()]);
        let mut link = Self { words: vec![tool.into()], keep: keep.collect() };
        link.switch(request.verbose >= verbose, "-v");
        link
    }

    fn words<S: AsRef<OsStr>, const N: usize>(&mut self, words: [S; N]) {
        self.words.extend(words.iter().map(|word| word.as_ref().to_owned()));
    }

    fn more(&mut self, words: Vec<OsString>) {
        self.words.extend(words);
    }

    fn switch(&mut self, on: bool, option: &str) {
        self.words.extend(on.then(|| option.into()));
    }

    fn maybe(&mut self, option: &str, value: Option<OsString>) {
        self.words.extend(value.into_iter().flat_map(|value| [option.into(), value]));
    }

    fn done(self) -> Vec<OsString> {
        [self.words, self.keep].concat()
    }
}
