//! What is printed instead of executing anything: `--dump`, `--compile`, `--test`.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;

use chain::failure::errno_of;
use chain::message::print_bare;
use chain::wait::Ended;
use chain::{Call as _, Cli, Context as _, Result, print, refusal, show};
use serde_json::{Map, Value, json};

use crate::args::{Dump, Instead};
use crate::look::text::line;
use crate::model::bpf::{Insn, listing, run};
use crate::model::calls;
use crate::model::filter::Filter;
use crate::model::policy::{Clause, Data, I386, Policy, Rule, Test, Verdict, X32_FIRST, X86_64};
use crate::model::policy_text::{sign, written};
use crate::plan::compile;

/// Prints what was requested; the exit code.
pub fn instead(instead: &Instead, filters: &[Cow<'_, Filter>], prog: &[OsString]) -> Result<u8> {
    match (instead, filters) {
        (_, []) => Err(refusal!("no filter is given")),
        (Instead::Test, filters) => test(filters, prog),
        (Instead::Dump(Dump::Pfc), filters) => each(filters, |filter| Ok(listing::text(&compile::of(filter)?))),
        (Instead::Dump(Dump::Json), filters) => each(filters, |filter| Ok(format!("{}\n", as_json(filter)?))),
        (Instead::Dump(Dump::Policy), filters) => each(filters, as_policy),
        (Instead::Dump(Dump::Bpf), [filter]) => print(&bytes(filter)?).map(|()| 0),
        (Instead::Compile(path), [filter]) => write_bytes(path, &bytes(filter)?).map(|()| 0),
        _ => Err(refusal!("bytes of one filter at a time: a file has no place for the order of several")),
    }
}

/// Says in PROG's place that it cannot be executed, and ends in its place: nobody above hears of a fault.
pub fn fails_as_prog<K>(cli: &Cli<K>, error: &anyhow::Error, status: u8) -> ! {
    let name = cli.common.argv0.as_ref().or(cli.prog.first()).map_or(String::new(), show);
    let why = errno_of(error).map_or_else(|| format!("{error:#}"), |errno| errno.desc().to_owned());
    print_bare(&format!("execve(\"{name}\"): {why}"));
    Ended::Exit(status).finish()
}

fn each(filters: &[Cow<'_, Filter>], text: impl Fn(&Filter) -> Result<String>) -> Result<u8> {
    filters.iter().try_for_each(|filter| print(&text(filter)?)).map(|()| 0)
}

fn bytes(filter: &Filter) -> Result<Vec<u8>> {
    Ok(compile::of(filter)?.iter().flat_map(|insn| insn.bytes()).collect())
}

fn write_bytes(path: &OsStr, bytes: &[u8]) -> Result<()> {
    let done = File::create(path).call("open").and_then(|mut file| file.write_all(bytes).call("write"));
    done.with_context(|| format!("--compile {}", show(path)))
}

fn as_policy(filter: &Filter) -> Result<String> {
    let refused = || refusal!("{}: a raw program has no policy; --dump pfc shows it", filter.name);
    Ok(written(filter.policy().ok_or_else(refused)?))
}

/// One filter as one line for programs: what it decides, where that is known, and the instructions.
fn as_json(filter: &Filter) -> Result<Value> {
    let insn = |insn: &Insn| json!([insn.code, insn.yes, insn.no, insn.k]);
    Ok(json!({
        "filter": filter.name,
        "policy": filter.policy().map(policy),
        "program": compile::of(filter)?.iter().map(insn).collect::<Vec<_>>(),
    }))
}

fn policy(policy: &Policy) -> Value {
    let of_call = |(number, rule): (&u32, &Rule)| (calls::name(*number).unwrap_or("?").to_owned(), self::rule(rule));
    let others = policy.others().map(|(word, verdict)| (word.to_owned(), Value::from(verdict.to_string())));
    let calls: Map<_, _> = policy.calls.iter().map(of_call).collect();
    others.into_iter().chain([("calls".to_owned(), Value::from(calls))]).collect()
}

fn rule(rule: &Rule) -> Value {
    let test = |test: &Test| json!({ "arg": test.arg, "mask": test.mask & test.width.bits(), "op": sign(test.op), "value": test.value });
    let clause = |clause: &Clause| json!({ "if": clause.tests.iter().map(test).collect::<Vec<_>>(), "then": clause.verdict.to_string() });
    json!({ "clauses": rule.clauses.iter().map(clause).collect::<Vec<_>>(), "otherwise": rule.otherwise.to_string() })
}

/// `--test`: what the filters answer to a call, one by one where there are several, and the kernel's choice among them.
/// 0 where the call would be made.
fn test(filters: &[Cow<'_, Filter>], words: &[OsString]) -> Result<u8> {
    let data = call(words)?;
    let mut verdicts = vec![];
    for filter in filters {
        let none = || refusal!("{}: no program that the kernel would take", filter.name);
        let verdict = run(&compile::of(filter)?, &data).ok_or_else(none)?;
        if filters.len() > 1 {
            print(&format!("{}: {verdict}\n", show(&filter.name)))?;
        }
        verdicts.push(verdict);
    }
    let decided = Verdict::of_all(&verdicts);
    print(&format!("{decided}\n"))?;
    Ok(u8::from(!decided.lets_pass()))
}

/// `[x32:|i386:]CALL [ARG]...`: CALL is a name or a number (of i386 a number only), ARG as in a policy.
fn call(words: &[OsString]) -> Result<Data> {
    let text: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let Some([name, args @ ..]) = text.as_deref() else {
        return Err(refusal!("--test: which call? CALL [ARG]... instead of PROG"));
    };
    let (nr, arch) = number(name).ok_or_else(|| refusal!("--test {}: no system call", show(name)))?;
    let mut data = Data { nr, arch, ..Data::default() };
    if args.len() > data.args.len() {
        return Err(refusal!("--test: a call has {} arguments", data.args.len()));
    }
    for (slot, word) in data.args.iter_mut().zip(args) {
        *slot = line::value(word).map_err(|words| refusal!("--test: {words}"))?;
    }
    Ok(data)
}

fn number(word: &str) -> Option<(u32, u32)> {
    let any = |name: &str| calls::number(name).or_else(|| name.parse().ok());
    match word.split_once(':') {
        None => Some((any(word)?, X86_64)),
        Some(("x32", name)) => Some((any(name)? | X32_FIRST, X86_64)),
        Some(("i386", number)) => Some((number.parse().ok()?, I386)),
        Some(_) => None,
    }
}
