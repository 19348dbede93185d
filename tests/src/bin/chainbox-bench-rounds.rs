//! `chainbox-bench-rounds ROUNDS + NAME [<FILE] WORD... ['&&' WORD...]... [+ ...]...`: what it costs to start each command and wait for
//! its end, in wall-clock time.
//!
//! `&&` is between commands that only mean something one after the other: their times are added, each taken as any other's.
//! The commands take turns, and each round begins with another one, so that a slow moment of the machine meets all of
//! them. They are started by posix_spawn(3) (no shell, no fork of a large process is in the timed path) with standard
//! input (or FILE), output and error on /dev/null. One line a command: medians, and their ratio to the first and to the second.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use chain::{Call as _, Failure, Result, show};

/// Rounds that warm caches and are not counted; never more than those that are.
const WARM_UP: usize = 5;

/// One command, or several in a row, and the times that it took.
struct Contestant {
    name: String,
    /// What each has as standard input, opened anew for each run.
    input: PathBuf,
    commands: Vec<Command>,
    times: Vec<Duration>,
}

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(chain::message::print_failure(&error)),
    }
}

fn run(argv: Vec<OsString>) -> Result<()> {
    let mut groups = argv.split(|word| word == "+");
    let rounds = rounds(groups.next().unwrap_or_default())?;
    let mut contestants = groups.map(contestant).collect::<Result<Vec<_>>>()?;
    let warm_up = WARM_UP.min(rounds);
    for round in 0..warm_up + rounds {
        let first = round % contestants.len().max(1);
        let (later, sooner) = contestants.split_at_mut(first);
        for contestant in sooner.iter_mut().chain(later) {
            let time = contestant.time()?;
            if round >= warm_up {
                contestant.times.push(time);
            }
        }
    }
    contestants.iter_mut().for_each(|contestant| contestant.times.sort_unstable());
    chain::print(&table(&contestants))
}

fn rounds(words: &[OsString]) -> Result<usize> {
    let number = words.first().and_then(|word| word.to_str()?.parse().ok());
    number.filter(|n| *n > 0).ok_or_else(|| Failure::refusal("ROUNDS is missing, or no number above 0").into())
}

fn contestant(words: &[OsString]) -> Result<Contestant> {
    let (name, words) = words.split_first().ok_or_else(|| Failure::refusal("+ without NAME"))?;
    let file = words.first().and_then(|word| word.as_bytes().strip_prefix(b"<"));
    let rest = words.get(usize::from(file.is_some())..).unwrap_or_default();
    let commands = rest.split(|word| word == "&&").map(command).collect::<Result<_>>()?;
    let input = Path::new(OsStr::from_bytes(file.unwrap_or(b"/dev/null"))).to_owned();
    Ok(Contestant { name: name.to_string_lossy().into_owned(), input, commands, times: vec![] })
}

fn command(words: &[OsString]) -> Result<Command> {
    let (program, args) = words.split_first().ok_or_else(|| Failure::refusal("+ NAME without WORD"))?;
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

impl Contestant {
    fn time(&mut self) -> Result<Duration> {
        let Self { name, input, commands, .. } = self;
        commands.iter_mut().map(|command| time(name, input, command)).sum()
    }

    /// In milliseconds: the time that `percent` of the runs did not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let index = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
        self.times.get(index).map_or(0.0, Duration::as_secs_f64) * 1000.0
    }
}

/// One start and end. A command that fails has not done what is being timed.
fn time(name: &str, input: &Path, command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::from(File::open(input).call(&format!("open {}", show(input)))?));
    let start = Instant::now();
    let status = command.status().call(&format!("{}: {}", show(name), show(format!("{command:?}"))))?;
    let time = start.elapsed();
    if status.success() {
        return Ok(time);
    }
    Err(Failure::refusal(format!("{}: {status}: {}", show(name), show(format!("{command:?}")))).into())
}

fn table(contestants: &[Contestant]) -> String {
    let base = |n: usize| contestants.get(n).map_or(("", f64::NAN), |base| (base.name.as_str(), base.percentile(50)));
    let ((first, first_time), (second, second_time)) = (base(0), base(1));
    let line = |one: &Contestant| {
        let median = one.percentile(50);
        format!(
            "{:<34} {median:7.3} ms  (10%: {:.3}, 90%: {:.3})  {:6.2} x {first}  {:5.2} x {second}\n",
            one.name,
            one.percentile(10),
            one.percentile(90),
            median / first_time,
            median / second_time,
        )
    };
    contestants.iter().map(line).collect()
}
