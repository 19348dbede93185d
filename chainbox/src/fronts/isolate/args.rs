//! The command line to a request.

pub mod config;
pub mod rules;
pub mod values;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use chain::parse::parse_foreign;
use chain::values::id;
use chain::{Requested, Result, refusal, show};

use super::table::{Key, Limit, Switch, TABLE, Time, Verb};
use rules::{Rule, in_box};
use values::{kibibytes, number, seconds};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub verb: Verb,
    pub number: u32,
    pub meta: Option<OsString>,
    /// Standard input, output and error, each a path in the box.
    pub standard: [Option<PathBuf>; 3],
    pub chdir: Option<PathBuf>,
    /// How often --verbose was said.
    pub verbose: usize,
    pub switches: Vec<Switch>,
    /// The last value of each; 0 is none.
    pub limits: Vec<(Limit, u64)>,
    pub times: Vec<(Time, Duration)>,
    /// How many at once; `None`: any number.
    pub processes: Option<u64>,
    /// Rules about variables, in order: as the caller has it, or a value, of which an empty one removes it.
    pub variables: Vec<(OsString, Option<OsString>)>,
    pub full_env: bool,
    pub rules: Vec<Rule>,
    pub as_uid: Option<u32>,
    pub as_gid: Option<u32>,
    pub syscalls: Option<u32>,
    pub command: Vec<OsString>,
}

impl Request {
    pub fn is(&self, switch: Switch) -> bool {
        self.switches.contains(&switch)
    }

    /// A limit that is none where it was not said, or is 0.
    pub fn limit(&self, limit: Limit) -> Option<u64> {
        self.said(limit).filter(|value| *value > 0)
    }

    pub fn said(&self, limit: Limit) -> Option<u64> {
        self.limits.iter().rev().find(|(known, _)| *known == limit).map(|(_, value)| *value)
    }

    pub fn time(&self, time: Time) -> Option<Duration> {
        let last = self.times.iter().rev().find(|(known, _)| *known == time);
        last.map(|(_, value)| *value).filter(|value| !value.is_zero())
    }
}

/// Reads the command line.
pub fn request(argv: Vec<OsString>) -> Result<Request> {
    let (options, command) = split(argv)?;
    let mut request = Request {
        verb: verb(&options)?,
        number: 0,
        meta: None,
        standard: [None, None, None],
        chdir: None,
        verbose: 0,
        switches: vec![],
        limits: vec![],
        times: vec![],
        processes: Some(1),
        variables: vec![],
        full_env: false,
        rules: vec![],
        as_uid: None,
        as_gid: None,
        syscalls: None,
        command,
    };
    options.iter().try_for_each(|option| take(&mut request, option))?;
    request.rules = rules::all(&options)?;
    fits(&request)?;
    Ok(request)
}

/// Where `--meta` leads, in a command line that may have anything wrong in it.
pub fn meta(argv: &[OsString]) -> Option<OsString> {
    let mut words = argv.iter().take_while(|word| *word != "--");
    // Where root acts for others, it is not root's to open.
    if words.clone().any(|word| word.as_bytes().starts_with(b"--as-uid")) {
        return None;
    }
    let (mut runs, mut meta) = (false, None);
    while let Some(word) = words.next() {
        let joined = ["--meta=", "-M"].iter().find_map(|option| word.as_bytes().strip_prefix(option.as_bytes()));
        match joined {
            Some(value) if !value.is_empty() => meta = Some(OsStr::from_bytes(value).to_owned()),
            Some(_) => meta = words.next().cloned(),
            None if word == "--meta" => meta = words.next().cloned(),
            None => runs |= word == "--run",
        }
    }
    meta.filter(|_| runs)
}

/// The options, and the program's words. Options may stand behind the program too, up to `--`.
fn split(mut argv: Vec<OsString>) -> Result<(Vec<Requested<Key>>, Vec<OsString>)> {
    let end = argv.iter().position(|word| word == "--").unwrap_or(argv.len());
    let behind = argv.split_off(end).into_iter().skip(1);
    let (mut options, mut command) = (vec![], vec![]);
    while !argv.is_empty() {
        let cli = parse_foreign(&TABLE, argv)?;
        options.extend(cli.requested);
        let mut words = cli.prog.into_iter();
        command.extend(words.next());
        argv = words.collect();
    }
    command.extend(behind);
    Ok((options, command))
}

fn verb(options: &[Requested<Key>]) -> Result<Verb> {
    let verbs: Vec<Verb> = options
        .iter()
        .filter_map(|option| match option.key {
            Key::Verb(verb) => Some(verb),
            _ => None,
        })
        .collect();
    match verbs.as_slice() {
        [] => Err(refusal!("--init, --run or --cleanup?")),
        verbs if verbs.contains(&Verb::Help) => Ok(Verb::Help),
        [verb, others @ ..] if others.iter().all(|other| other == verb) => Ok(*verb),
        _ => Err(refusal!("one of --init, --run and --cleanup")),
    }
}

fn take(request: &mut Request, option: &Requested<Key>) -> Result<()> {
    let value = option.value(0);
    let path = || in_box(value, "box");
    match option.key {
        Key::Verb(_) | Key::Dir | Key::NoDefaultDirs | Key::Past => {}
        Key::Box => request.number = number("box-id", value)?,
        Key::Meta => request.meta = Some(value.to_owned()),
        Key::Stdin => request.standard[0] = Some(path()),
        Key::Stdout => request.standard[1] = Some(path()),
        Key::Stderr => request.standard[2] = Some(path()),
        Key::Chdir => request.chdir = Some(in_box(value, "")),
        Key::Verbose => request.verbose += 1,
        Key::Switch(switch) => request.switches.push(switch),
        Key::Limit(limit @ Limit::OpenFiles) => request.limits.push((limit, number("open-files", value)?)),
        Key::Limit(limit) => request.limits.push((limit, kibibytes(long(option.key), value)?)),
        Key::Time(time) => request.times.push((time, seconds(long(option.key), value)?)),
        Key::Processes => {
            let said = option.values.first().map(|value| number("processes", value)).transpose()?;
            request.processes = said.filter(|count| *count > 0);
        }
        Key::Quota => {
            return Err(refusal!("--quota {}: disk quotas are not set here; --fsize limits each file", show(value)));
        }
        Key::Env => request.variables.push(values::variable(value)?),
        Key::FullEnv => request.full_env = true,
        Key::AsUid => request.as_uid = Some(owner("as-uid", value)?),
        Key::AsGid => request.as_gid = Some(owner("as-gid", value)?),
        Key::Syscalls => request.syscalls = Some(number("syscalls", value)?),
    }
    Ok(())
}

fn long(key: Key) -> &'static str {
    TABLE.flags.iter().find(|flag| flag.key == key).map_or("", |flag| flag.long)
}

fn owner(option: &str, value: &OsStr) -> Result<u32> {
    id(value).ok_or_else(|| refusal!("--{option} {}: not an id", show(value)))
}

/// Refuses what cannot be meant together.
fn fits(request: &Request) -> Result<()> {
    let run = request.verb == Verb::Run;
    let rules = [
        (run && request.command.is_empty(), "--run: which program?"),
        (!run && !request.command.is_empty(), "a program goes with --run only"),
        (
            request.standard[2].is_some() && request.is(Switch::StderrToStdout),
            "--stderr and --stderr-to-stdout exclude each other",
        ),
        (request.as_uid.is_some() != request.as_gid.is_some(), "--as-uid and --as-gid need each other"),
        (
            request.as_uid.is_some() && request.meta.as_ref().is_some_and(|meta| meta != "-"),
            "--meta and --as-uid: root would open a file that the user names; --meta=- is standard output",
        ),
        (request.limit(Limit::CgroupMemory).is_some() && !request.is(Switch::Cgroup), "--cg-mem needs --cg"),
    ];
    if let Some((_, text)) = rules.iter().find(|(broken, _)| *broken) {
        return Err(refusal!("{text}"));
    }
    // The links that run under the limits would fail, which nobody may take for the program's own end.
    for (limit, option, least) in [(Limit::Memory, "mem", 4096), (Limit::Stack, "stack", 64)] {
        if let Some(size) = request.limit(limit).filter(|size| *size < least) {
            return Err(refusal!("--{option} {size}: less than {least}, which what comes before the program needs"));
        }
    }
    Ok(())
}
