//! Profiles in the JSON of the OCI runtime specification, of Docker and of containers-common: the same form with more or
//! fewer keys.
//!
//! What they mean is what libseccomp makes of them for x86_64: a rule without arguments decides over all others for its
//! call; the arguments of one rule must all hold, but where one argument occurs twice in it, each test stands for itself.
//! Three things are stricter here: calls of other architectures end the process, x32 and unknown numbers answer ENOSYS.
//! Whatever is not understood is refused: a rule that was left out could have been the one that denies.

use std::collections::BTreeMap;

use chain::{Result, refusal};
use nix::errno::Errno;
use nix::libc;
use rustix::thread::CapabilitySet;
use serde_json::{Map, Value};

use crate::model::policy::{Clause, Op, Policy, Rule, Test, Verdict, Width};
use crate::model::{calls, capabilities, widths};

/// What conditions of a profile are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    pub caps: CapabilitySet,
    /// The kernel's version, its first two numbers.
    pub kernel: (u32, u32),
}

/// Flags that change nothing here: there is one thread, a listener always has the second, and without the third the kernel's
/// defence against speculation stays on.
const WITHOUT_EFFECT: [&str; 3] =
    ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"];

type Read<T> = std::result::Result<T, String>;

/// Reads a profile. `file` is its name in messages. What is not JSON of this form is refused as `FILE: WHERE: words`.
pub fn policy(file: &str, bytes: &[u8], conditions: &Conditions) -> Result<Policy> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| refusal(file, &error.to_string()))?;
    profile(&value, conditions).map_err(|words| refusal(file, &words))
}

fn refusal(file: &str, words: &str) -> anyhow::Error {
    refusal!("{file}: {words}")
}

fn profile(value: &Value, conditions: &Conditions) -> Read<Policy> {
    let keys = [
        "defaultAction",
        "defaultErrnoRet",
        "defaultErrno",
        "architectures",
        "archMap",
        "flags",
        "syscalls",
        "$schema",
        "comment",
    ];
    let profile = object(value, "the profile", &keys)?;
    for_this_architecture(profile)?;
    let flags = strings(profile.get("flags"), "flags")?;
    if let Some(flag) = flags.iter().find(|flag| !WITHOUT_EFFECT.contains(flag)) {
        return Err(format!("flags: {} is not supported here; see --log", chain::show(flag)));
    }
    let known = verdict(profile, "defaultAction", "defaultErrnoRet", "defaultErrno")?;
    let mut rules = BTreeMap::<u32, Vec<Clause>>::new();
    for (n, entry) in array(profile.get("syscalls"), "syscalls")?.iter().enumerate() {
        add(&mut rules, entry, known, conditions).map_err(|words| format!("syscalls[{n}]: {words}"))?;
    }
    Ok(Policy::new(rules.into_iter().map(|(number, clauses)| (number, rule(clauses, known))).collect(), known))
}

/// The first clause without tests decides alone.
fn rule(clauses: Vec<Clause>, known: Verdict) -> Rule {
    match clauses.iter().find(|clause| clause.tests.is_empty()) {
        Some(clause) => Rule::always(clause.verdict),
        None => Rule { clauses: clauses.into(), otherwise: known },
    }
}

/// Adds one entry of `syscalls`, if it is meant for here.
fn add(rules: &mut BTreeMap<u32, Vec<Clause>>, entry: &Value, known: Verdict, here: &Conditions) -> Read<()> {
    let keys = ["names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"];
    let entry = object(entry, "an entry", &keys)?;
    let verdict = verdict(entry, "action", "errnoRet", "errno")?;
    let names = match (entry.get("names"), entry.get("name")) {
        (Some(names), None) => strings(Some(names), "names")?,
        (None, Some(name)) => vec![name.as_str().ok_or("name: not a string")?],
        _ => return Err("either names or name must be there".to_owned()),
    };
    let args = array(entry.get("args"), "args")?.iter().map(arg).collect::<Read<Vec<_>>>()?;
    let demanded = met(entry.get("includes"), "includes", here)?.iter().all(|here| *here);
    let excluded = met(entry.get("excludes"), "excludes", here)?.iter().any(|here| *here);
    for name in names.into_iter().filter(|_| demanded && !excluded) {
        match calls::number(name) {
            Some(number) => rules.entry(number).or_default().extend(clauses(name, &args, verdict)?),
            // Profiles name the calls of all architectures. One that is to be denied must be known, or it is misspelled.
            None if known.lets_pass() && !verdict.lets_pass() => {
                return Err(format!("{name} is no system call of x86_64, so it cannot be denied"));
            }
            None => {}
        }
    }
    Ok(())
}

fn clauses(name: &str, args: &[Arg], verdict: Verdict) -> Read<Vec<Clause>> {
    let tests = args.iter().map(|arg| arg.test(name)).collect::<Read<Vec<_>>>()?;
    let twice = args.iter().any(|arg| args.iter().filter(|other| other.index == arg.index).count() > 1);
    let groups = if twice { tests.into_iter().map(|test| vec![test]).collect() } else { vec![tests] };
    Ok(groups.into_iter().map(|tests| Clause { tests: tests.into(), verdict }).collect())
}

/// One element of `args`, before the width of the argument is known.
struct Arg {
    index: u8,
    op: Op,
    mask: Option<u64>,
    value: u64,
}

fn arg(value: &Value) -> Read<Arg> {
    let arg = object(value, "args", &["index", "value", "valueTwo", "op"])?;
    let number = |key: &str| arg.get(key).map_or(Some(0), Value::as_u64).ok_or_else(|| format!("{key}: not a number"));
    let index = number("index")?;
    let (value, two) = (number("value")?, number("valueTwo")?);
    let (op, mask, value) = match arg.get("op").and_then(Value::as_str).unwrap_or("none") {
        "SCMP_CMP_NE" => (Op::Ne, None, value),
        "SCMP_CMP_LT" => (Op::Lt, None, value),
        "SCMP_CMP_LE" => (Op::Le, None, value),
        "SCMP_CMP_EQ" => (Op::Eq, None, value),
        "SCMP_CMP_GE" => (Op::Ge, None, value),
        "SCMP_CMP_GT" => (Op::Gt, None, value),
        "SCMP_CMP_MASKED_EQ" => (Op::Eq, Some(value), two),
        other => return Err(format!("op: {other} is not known")),
    };
    match u8::try_from(index) {
        Ok(index) if index < 6 => Ok(Arg { index, op, mask, value }),
        _ => Err(format!("index: there is no argument {index}")),
    }
}

impl Arg {
    /// All 64 bits where the table does not know the argument, as libseccomp always does.
    fn test(&self, call: &str) -> Read<Test> {
        let width = widths::width(call, self.index).unwrap_or(Width::Long);
        let all = width.bits();
        let mask = self.mask.unwrap_or(all) & all;
        if self.value > all {
            return Err(format!("{call}: {:#x} does not fit argument {}", self.value, self.index));
        }
        Ok(Test { arg: self.index, width, mask, op: self.op, value: self.value })
    }
}

/// The action, with the errno that belongs to it.
fn verdict(object: &Map<String, Value>, action: &str, number: &str, name: &str) -> Read<Verdict> {
    let word = object.get(action).and_then(Value::as_str).ok_or_else(|| format!("{action} is missing"))?;
    let errno = |value: &Value| {
        let errno = value.as_u64().and_then(|errno| u32::try_from(errno).ok()).filter(|errno| *errno <= 4095);
        errno.ok_or_else(|| format!("{number}: not an errno"))
    };
    let errno = object.get(number).filter(|value| !value.is_null()).map(errno).transpose()?;
    let by_name = object.get(name).and_then(Value::as_str).filter(|name| !name.is_empty());
    match (by_name, errno) {
        (Some(name), Some(errno)) if format!("{:?}", Errno::from_raw(errno as i32)) != name => {
            return Err(format!("{number} is {errno}, which is not {name}"));
        }
        (Some(_), None) => return Err(format!("{name} without {number}")),
        _ => {}
    }
    match word {
        "SCMP_ACT_ALLOW" => Ok(Verdict::ALLOW),
        "SCMP_ACT_LOG" => Ok(Verdict::LOG),
        "SCMP_ACT_NOTIFY" => Ok(Verdict::NOTIFY),
        "SCMP_ACT_ERRNO" => Ok(Verdict(libc::SECCOMP_RET_ERRNO | errno.unwrap_or(Errno::EPERM as u32))),
        "SCMP_ACT_TRAP" => Ok(Verdict::TRAP),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(Verdict::KILL_THREAD),
        "SCMP_ACT_KILL_PROCESS" => Ok(Verdict::KILL_PROCESS),
        other => Err(format!("{action}: {other} is not supported here")),
    }
}

/// Which of the things that `includes` or `excludes` names are here, one by one; none where nothing is named.
fn met(value: Option<&Value>, name: &str, here: &Conditions) -> Read<Vec<bool>> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(vec![]) };
    let object = object(value, name, &["caps", "arches", "minKernel"])?;
    let cap = |word: &str| {
        let cap = capabilities::named(word).ok_or_else(|| format!("{name}: {word} is no capability"))?;
        Ok(here.caps.contains(cap))
    };
    let kernel = |value: &Value| {
        let least = value.as_str().and_then(version).ok_or_else(|| format!("{name}: minKernel: not like \"4.8\""))?;
        Ok::<_, String>(here.kernel >= least)
    };
    let mut met = strings(object.get("caps"), "caps")?.into_iter().map(cap).collect::<Read<Vec<_>>>()?;
    met.extend(object.get("minKernel").filter(|value| !value.is_null()).map(kernel).transpose()?);
    let arches = strings(object.get("arches"), "arches")?;
    met.extend((!arches.is_empty()).then(|| arches.contains(&"amd64")));
    Ok(met)
}

/// `4.8`, or what uname(2) says: the first two numbers.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// A list of architectures that lacks this one is a profile for another machine.
fn for_this_architecture(profile: &Map<String, Value>) -> Read<()> {
    let listed = strings(profile.get("architectures"), "architectures")?;
    let mut mapped = vec![];
    for entry in array(profile.get("archMap"), "archMap")? {
        let entry = object(entry, "archMap", &["architecture", "subArchitectures"])?;
        strings(entry.get("subArchitectures"), "subArchitectures")?;
        mapped.push(entry.get("architecture").and_then(Value::as_str).ok_or("archMap: architecture is missing")?);
    }
    if listed.len() + mapped.len() == 0 || listed.iter().chain(&mapped).any(|arch| *arch == "SCMP_ARCH_X86_64") {
        return Ok(());
    }
    Err("SCMP_ARCH_X86_64 is not among its architectures".to_owned())
}

fn object<'a>(value: &'a Value, what: &str, keys: &[&str]) -> Read<&'a Map<String, Value>> {
    let object = value.as_object().ok_or_else(|| format!("{what}: not an object"))?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("{what}: the key {} is not known", chain::show(key))),
        None => Ok(object),
    }
}

/// Nothing, null and [] are the same.
fn array<'a>(value: Option<&'a Value>, what: &str) -> Read<&'a [Value]> {
    match value {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(values)) => Ok(values),
        Some(_) => Err(format!("{what}: not a list")),
    }
}

fn strings<'a>(value: Option<&'a Value>, what: &str) -> Read<Vec<&'a str>> {
    let word = |value: &'a Value| value.as_str().ok_or_else(|| format!("{what}: not a list of strings"));
    array(value, what)?.iter().map(word).collect()
}

#[cfg(test)]
mod tests;
