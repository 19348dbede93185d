//! A policy as text, which `look::text` reads back as the same policy.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::policy::{Clause, Op, Policy, Rule, Test, Verdict, Width};
use super::{calls, constants, widths};

/// How long a line may become.
const WIDEST: usize = 110;

/// The lines of a policy: what has no call of its own, calls without tests by their answer, calls with tests one by one.
pub fn written(policy: &Policy) -> String {
    let mut text: String = policy.others().map(|(word, verdict)| format!("{word} {}\n", action(verdict))).concat();
    let mut plain = BTreeMap::<Verdict, Vec<String>>::new();
    let mut tested = String::new();
    for (number, rule) in &policy.calls {
        let Some(call) = calls::name(*number) else { continue };
        let rule = simplified(rule);
        if rule.clauses.is_empty() {
            plain.entry(rule.otherwise).or_default().push(call.to_owned());
        } else {
            tested.push_str(&lines(call, &rule, policy.known));
        }
    }
    for (verdict, calls) in plain {
        text.push_str(&wrapped(&action(verdict), &calls));
    }
    text + &tested
}

/// The same rule without tests that always hold and clauses that never do: the grammar refuses both.
fn simplified(rule: &Rule) -> Rule {
    let mut clauses = vec![];
    for clause in rule.clauses.iter() {
        let outside = |test: &&Test| test.value & !test.mask != 0 && matches!(test.op, Op::Eq | Op::Ne);
        if clause.tests.iter().any(|test| outside(&test) && test.op == Op::Eq) {
            continue;
        }
        let tests: Vec<Test> = clause.tests.iter().filter(|test| !outside(test)).copied().collect();
        if tests.is_empty() {
            return Rule { clauses: clauses.into(), otherwise: clause.verdict };
        }
        clauses.push(Clause { tests: tests.into(), verdict: clause.verdict });
    }
    Rule { clauses: clauses.into(), otherwise: rule.otherwise }
}

fn lines(call: &str, rule: &Rule, known: Verdict) -> String {
    let mut text = String::new();
    for clause in rule.clauses.iter() {
        let tests: Vec<String> = clause.tests.iter().map(|test| words(call, test)).collect();
        // Writing to a String cannot fail.
        writeln!(text, "{} {call} if {}", action(clause.verdict), tests.join(" && ")).unwrap_or_default();
    }
    if rule.otherwise != known {
        writeln!(text, "{} {call}", action(rule.otherwise)).unwrap_or_default();
    }
    text
}

/// `ACTION a, b, c,` and further names on lines of their own.
fn wrapped(action: &str, calls: &[String]) -> String {
    let mut text = String::new();
    let mut line = action.to_owned();
    for (n, call) in calls.iter().enumerate() {
        if line.len() + call.len() > WIDEST {
            text.push_str(&line);
            text.push('\n');
            "   ".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(call);
        line.push_str(if n + 1 < calls.len() { "," } else { "" });
    }
    text + &line + "\n"
}

fn action(verdict: Verdict) -> String {
    let known = Verdict::ACTIONS.iter().find(|known| known.1 == verdict);
    known.map_or_else(|| verdict.to_string(), |known| known.0.to_owned())
}

fn words(call: &str, test: &Test) -> String {
    let arg = match (widths::width(call, test.arg) == Some(test.width), test.width) {
        (true, _) => format!("arg{}", test.arg),
        (false, Width::Int) => format!("u32(arg{})", test.arg),
        (false, Width::Long) => format!("u64(arg{})", test.arg),
    };
    let mask = if test.mask == test.width.bits() { String::new() } else { format!(" & {:#x}", test.mask) };
    let value = constants::name(call, test.arg, test.value).map_or_else(|| format!("{:#x}", test.value), str::to_owned);
    format!("{arg}{mask} {} {value}", sign(test.op))
}

/// The sign of a comparison.
pub fn sign(op: Op) -> &'static str {
    Op::ALL.iter().find(|known| known.1 == op).map_or("?", |known| known.0)
}
