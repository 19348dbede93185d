//! The report: one JSON line, or the meta file of isolate.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use chain::wait::Ended;
use serde_json::{Value, json};

use super::accounts::{Accounts, PRESSURES, Stall};
use super::verdict::{Outcome, Verdict};

/// Where the report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file, made or truncated.
    File(PathBuf),
    /// A descriptor that the caller has opened.
    Descriptor(RawFd),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object on one line.
    #[default]
    Json,
    /// `key:value` lines as isolate's meta file has them.
    Isolate,
}

/// The report of a run.
pub fn text(format: Format, outcome: &Outcome, verdict: Verdict, message: &str) -> String {
    match format {
        Format::Json => json_line(outcome, verdict, message),
        Format::Isolate => meta(outcome, verdict, message),
    }
}

/// The report of a sandbox that failed before there was anything to measure.
pub fn failure(format: Format, message: &str) -> String {
    match format {
        Format::Json => format!("{}\n", json!({ "verdict": Verdict::Xx.to_string(), "message": message })),
        Format::Isolate => format!("status:XX\nmessage:{}\n", one_line(message)),
    }
}

/// The line for people: isolate's words.
pub fn status(outcome: &Outcome, verdict: Verdict, message: &str) -> String {
    if verdict != Verdict::Ok {
        return format!("{verdict}: {message}");
    }
    format!("OK ({} sec real, {} sec wall)", milliseconds(outcome.accounts.cpu.total), milliseconds(outcome.wall))
}

fn json_line(outcome: &Outcome, verdict: Verdict, message: &str) -> String {
    let accounts = &outcome.accounts;
    let (exit, signal) = match outcome.ended {
        Ended::Exit(code) => (Some(code), None),
        Ended::Signal(signal) => (None, Some(signal)),
    };
    let value = json!({
        "verdict": verdict.to_string(),
        "message": message,
        "exit": exit,
        "signal": signal,
        "killed": outcome.killed.is_some(),
        "wall": seconds(outcome.wall),
        "cpu": {
            "total": seconds(accounts.cpu.total),
            "user": seconds(accounts.cpu.user),
            "system": seconds(accounts.cpu.system),
        },
        "max_rss": accounts.max_rss,
        "context_switches": { "voluntary": accounts.switches_voluntary, "forced": accounts.switches_forced },
        "cgroup": cgroup_part(accounts),
        "without_cgroup": outcome.without_cgroup,
    });
    format!("{value}\n")
}

/// What only a cgroup can tell; null for what was not measured.
fn cgroup_part(accounts: &Accounts) -> Value {
    let pressure: serde_json::Map<String, Value> =
        PRESSURES.iter().zip(accounts.pressure).map(|(name, stall)| ((*name).to_owned(), stalled(stall))).collect();
    json!({
        "memory_peak": accounts.memory_peak,
        "swap_peak": accounts.swap_peak,
        "ooms": accounts.ooms,
        "oom_kills": accounts.oom_kills,
        "pids_peak": accounts.pids_peak,
        "pids_denied": accounts.pids_denied,
        "throttled": accounts.throttled.map(|held| json!({
            "periods": held.periods, "throttled": held.throttled, "time": seconds(held.time),
        })),
        "io": accounts.io.map(|io| json!({
            "read_bytes": io.read_bytes, "written_bytes": io.written_bytes, "reads": io.reads, "writes": io.writes,
        })),
        "pressure": pressure,
    })
}

fn stalled(stall: Option<Stall>) -> Value {
    stall.map_or(Value::Null, |stall| json!({ "some": seconds(stall.some), "full": seconds(stall.full) }))
}

/// The same as isolate says it, which has no letters in it.
pub fn isolate_line(outcome: &Outcome, verdict: Verdict, message: &str) -> String {
    let said = isolate_words(outcome, verdict, message);
    said.map_or_else(|| status(outcome, Verdict::Ok, ""), |(_, text)| text)
}

/// isolate's exit status: 0 for a run without a fault, 1 for one of the program's, 2 for one of the sandbox's.
pub fn isolate_exit(outcome: &Outcome, verdict: Verdict, message: &str) -> u8 {
    match isolate_words(outcome, verdict, message) {
        None => 0,
        Some((Verdict::Xx, _)) => 2,
        Some(_) => 1,
    }
}

/// isolate's meta file, in isolate's order: a run that was killed has its status first.
fn meta(outcome: &Outcome, verdict: Verdict, message: &str) -> String {
    let status = isolate_words(outcome, verdict, message)
        .map_or(String::new(), |(verdict, text)| format!("status:{verdict}\nmessage:{text}\n"));
    let numbers = numbers(outcome);
    if outcome.killed.is_some() {
        return format!("{status}killed:1\n{numbers}");
    }
    let end = match outcome.ended {
        Ended::Exit(code) => format!("exitcode:{code}\n"),
        Ended::Signal(signal) => format!("exitsig:{signal}\n"),
    };
    // isolate looks at its limits before it looks at how the program ended, and stops there; and the sandbox has no end.
    if matches!(verdict, Verdict::To | Verdict::Xx) {
        format!("{numbers}{status}")
    } else {
        format!("{numbers}{end}{status}")
    }
}

/// The status as isolate knows it: it has no ML and no OL, only how the program ended.
fn isolate_words(outcome: &Outcome, verdict: Verdict, message: &str) -> Option<(Verdict, String)> {
    match (verdict, outcome.ended) {
        (Verdict::Ok, _) | (Verdict::Ml, Ended::Exit(0)) => None,
        (Verdict::Ml | Verdict::Ol | Verdict::Sg, Ended::Signal(signal)) if !outcome.interrupted => {
            Some((Verdict::Sg, format!("Caught fatal signal {signal}")))
        }
        (Verdict::Ml, Ended::Exit(code)) => Some((Verdict::Re, format!("Exited with error status {code}"))),
        _ => Some((verdict, one_line(message))),
    }
}

fn numbers(outcome: &Outcome) -> String {
    let accounts = &outcome.accounts;
    let mut text = format!(
        "time:{}\ntime-wall:{}\nmax-rss:{}\ncsw-voluntary:{}\ncsw-forced:{}\n",
        milliseconds(accounts.cpu.total),
        milliseconds(outcome.wall),
        accounts.max_rss / 1024,
        accounts.switches_voluntary,
        accounts.switches_forced,
    );
    if let Some(peak) = accounts.memory_peak {
        text.push_str(&format!("cg-mem:{}\n", peak / 1024));
    }
    if accounts.oom_kills.is_some_and(|kills| kills > 0) {
        text.push_str("cg-oom-killed:1\n");
    }
    // isolate has no such key, and no such runs.
    if let Some(why) = &outcome.without_cgroup {
        text.push_str(&format!("without-cgroup:{}\n", one_line(why)));
    }
    text
}

/// A message cannot forge a key.
fn one_line(message: &str) -> String {
    message.replace(['\n', '\r'], " ")
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// `s.mmm`, cut off as isolate does it.
fn milliseconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deadline::{Exceeded, TimeLimits};
    use crate::model::verdict::Cause;
    use crate::model::verdict::tests::outcome as plain;

    fn outcome(ended: Ended) -> Outcome {
        let mut accounts = Accounts { max_rss: 2048 << 10, switches_voluntary: 3, ..Accounts::default() };
        accounts.cpu.total = Duration::from_micros(123_999);
        let wall = Duration::from_micros(2_000_999);
        Outcome { wall, accounts, ..plain(ended) }
    }

    fn written(outcome: &Outcome) -> String {
        let (verdict, message) =
            outcome.judged(&TimeLimits { cpu: Some(Duration::from_secs(1)), ..TimeLimits::default() });
        text(Format::Isolate, outcome, verdict, &message)
    }

    const NUMBERS: &str = "time:0.123\ntime-wall:2.000\nmax-rss:2048\ncsw-voluntary:3\ncsw-forced:0\n";

    #[test]
    fn the_meta_file_is_isolates() {
        assert_eq!(written(&outcome(Ended::Exit(0))), format!("{NUMBERS}exitcode:0\n"));
        assert_eq!(
            written(&outcome(Ended::Exit(7))),
            format!("{NUMBERS}exitcode:7\nstatus:RE\nmessage:Exited with error status 7\n")
        );
        assert_eq!(
            written(&outcome(Ended::Signal(11))),
            format!("{NUMBERS}exitsig:11\nstatus:SG\nmessage:Caught fatal signal 11\n")
        );
        let killed = Outcome { killed: Some(Cause::Limit(Exceeded::Wall)), ..outcome(Ended::Signal(9)) };
        assert_eq!(
            written(&killed),
            format!("status:TO\nmessage:Time limit exceeded (wall clock)\nkilled:1\n{NUMBERS}")
        );
    }

    #[test]
    fn memory_kills_read_as_isolate_reads_them() {
        let mut killed = outcome(Ended::Signal(9));
        killed.accounts.memory_peak = Some(1 << 20);
        killed.accounts.oom_kills = Some(1);
        killed.accounts.ooms = Some(1);
        let text = written(&killed);
        assert!(text.ends_with("cg-mem:1024\ncg-oom-killed:1\nexitsig:9\nstatus:SG\nmessage:Caught fatal signal 9\n"));
    }

    #[test]
    fn isolate_has_three_exit_codes_and_no_name_before_its_line() {
        let said = |outcome: &Outcome| {
            let (verdict, message) = outcome.judged(&TimeLimits::default());
            (isolate_exit(outcome, verdict, &message), isolate_line(outcome, verdict, &message))
        };
        assert_eq!(said(&outcome(Ended::Exit(0))), (0, "OK (0.123 sec real, 2.000 sec wall)".into()));
        assert_eq!(said(&outcome(Ended::Exit(125))), (1, "Exited with error status 125".into()));
        for signal in [11, 25, 31] {
            assert_eq!(said(&outcome(Ended::Signal(signal))), (1, format!("Caught fatal signal {signal}")));
        }
        let asked = Outcome { interrupted: true, ..outcome(Ended::Signal(15)) };
        assert_eq!(said(&asked), (1, "Interrupted".into()));
        let faulty = Outcome { fault: Some("no".into()), ..outcome(Ended::Exit(2)) };
        assert_eq!(said(&faulty), (2, "no".into()));
        assert_eq!(written(&faulty), format!("{NUMBERS}status:XX\nmessage:no\n"));
        let mut oom = outcome(Ended::Exit(0));
        oom.accounts.oom_kills = Some(1);
        assert_eq!(said(&oom).0, 0, "isolate says so by a key alone");
    }

    #[test]
    fn a_run_without_the_cgroup_that_was_wanted_says_so() {
        let run = Outcome { without_cgroup: Some("no\nexitcode:9".into()), ..outcome(Ended::Exit(0)) };
        assert_eq!(written(&run), format!("{NUMBERS}without-cgroup:no exitcode:9\nexitcode:0\n"));
        let value: Value = serde_json::from_str(&text(Format::Json, &run, Verdict::Ok, "")).unwrap();
        assert_eq!(value["without_cgroup"], "no\nexitcode:9");
    }

    #[test]
    fn a_message_cannot_forge_a_key() {
        assert_eq!(failure(Format::Isolate, "a\nexitcode:0"), "status:XX\nmessage:a exitcode:0\n");
        let line = failure(Format::Json, "a\n\"verdict\":\"OK\"");
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["verdict"], "XX");
    }

    #[test]
    fn json_has_null_for_what_was_not_measured() {
        let run = outcome(Ended::Signal(11));
        let line = text(Format::Json, &run, Verdict::Sg, "Caught fatal signal 11");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["exit"], &value["signal"]), (&Value::Null, &json!(11)));
        assert_eq!(value["cpu"]["total"], json!(0.123_999));
        assert_eq!(value["cgroup"]["memory_peak"], Value::Null);
    }
}
