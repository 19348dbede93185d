//! Which filters are attached, in which order; what each must let this process do.

use std::borrow::Cow;
use std::os::fd::RawFd;

use chain::sys::Push;
use chain::{Hint as _, Result, refusal};
use nix::libc;

use super::{compile, learned, listener};
use crate::args::Request;
use crate::model::bpf::{self, Insn, RETURN, answers_constants};
use crate::model::calls::{name, number_of};
use crate::model::filter::{Content, Filter};
use crate::model::policy::{Data, I386, Verdict, X32_FIRST, X86_64};
use crate::step::Step;

/// The filters of the request, of which these were read: with `--log` they log, with `--learn` one that asks is the last.
pub fn requested<'a>(request: &Request, read: &'a [Filter]) -> Result<Vec<Cow<'a, Filter>>> {
    let one = |filter| if request.log { logged(filter).map(Cow::Owned) } else { Ok(Cow::Borrowed(filter)) };
    let learning = request.learn.iter().map(|_| Ok(Cow::Owned(learned::asking())));
    read.iter().map(one).chain(learning).collect()
}

/// The filter that lets pass and logs what this one refuses. Where a raw program computes its answers, what it refuses does
/// not stand in it.
fn logged(filter: &Filter) -> Result<Filter> {
    let content = match &filter.content {
        Content::Policy(policy) => Content::Policy(policy.logged()),
        Content::Program(program) if answers_constants(program) => {
            Content::Program(program.iter().map(logged_answer).collect())
        }
        Content::Program(_) => {
            return Err(refusal!("--log: {}: its answers are computed", filter.name));
        }
    };
    Ok(Filter { name: filter.name.clone(), content })
}

fn logged_answer(insn: &Insn) -> Insn {
    let k = if insn.code == RETURN { Verdict(insn.k).logged().0 } else { insn.k };
    Insn { k, ..*insn }
}

/// A filter's name and its program.
type Compiled<'a> = (String, Cow<'a, [Insn]>);

/// The steps that attach filters: in the order of the command line, one that asks last. Each must let this process do what
/// still has to be done.
pub fn steps(all: &[Cow<'_, Filter>], socket: Option<RawFd>, mark: u64) -> Result<Vec<Step>> {
    let compiled = all.iter().map(|filter| Ok((filter.name.clone(), compile::of(filter)?)));
    let compiled: Vec<Compiled<'_>> = compiled.collect::<Result<_>>()?;
    let (asking, plain): (Vec<_>, Vec<_>) = compiled.into_iter().partition(|(_, program)| listener::asks(program));
    let asking = asking_one(asking, socket)?;
    let mut steps = vec![];
    let mut ask = true;
    let mut left = plain.len();
    for (name, program) in plain {
        left -= 1;
        needs(&name, &program, still_needed(left > 0 || asking.is_some(), asking.is_some()), Verdict::lets_pass)?;
        let prctl = answer(&program, const { number_of("prctl") }, libc::PR_GET_SECCOMP as u64);
        ask &= prctl.is_some_and(Verdict::lets_pass);
        steps.push(Step::Filter { name, program: program.into_owned(), ask });
    }
    if let Some(((name, program), socket)) = asking {
        needs(&name, &program, still_needed(false, false), |verdict| {
            verdict.lets_pass() || verdict == Verdict::NOTIFY
        })?;
        steps.push(Step::Listen { name, program: listener::with_exception(&program, mark), socket, mark });
    }
    Ok(steps)
}

/// The filter that asks, and the socket for its listener.
fn asking_one(asking: Vec<Compiled<'_>>, socket: Option<RawFd>) -> Result<Option<(Compiled<'_>, RawFd)>> {
    let mut asking = asking.into_iter();
    let refusal = match (asking.next(), asking.next(), socket) {
        (None, _, None) => return Ok(None),
        (Some(one), None, Some(socket)) => return Ok(Some((one, socket))),
        (None, _, Some(_)) => refusal!("--notify-fd: no filter answers notify"),
        (Some((name, _)), _, None) => {
            refusal!("filter {name}: it asks a supervisor (notify)").hint("--notify-fd N sends the listener to one")
        }
        (Some((one, _)), Some((two, _)), Some(_)) => {
            refusal!("filters {one} and {two} ask (notify): the kernel takes one that does")
        }
    };
    Err(refusal)
}

fn needs(
    filter: &str,
    program: &[Insn],
    calls: impl Iterator<Item = u32>,
    suffices: fn(Verdict) -> bool,
) -> Result<()> {
    for call in calls {
        if !answer(program, call, 0).is_some_and(suffices) {
            let call = name(call).unwrap_or_default();
            return Err(refusal!("filter {filter}: it denies {call}, which executing PROG needs"));
        }
    }
    Ok(())
}

/// What this process calls between a filter and the payload: `more` where another filter follows, `listener` where one
/// has to be sent.
fn still_needed(more: bool, listener: bool) -> impl Iterator<Item = u32> {
    let exec = [const { number_of("execve") }];
    let next = more.then_some(const { number_of("seccomp") });
    let send = listener.then_some(const { number_of("sendmsg") });
    exec.into_iter().chain(next).chain(send)
}

fn answer(program: &[Insn], nr: u32, first: u64) -> Option<Verdict> {
    bpf::run(program, &Data { nr, arch: X86_64, args: [first, 0, 0, 0, 0, 0], ..Data::default() })
}

/// How a program can call ioctl(2): its numbers for x86_64, for x32 twice (the plain one reaches it too), and for i386.
const IOCTL: [(u32, u32); 4] =
    [(X86_64, number_of("ioctl")), (X86_64, X32_FIRST + number_of("ioctl")), (X86_64, X32_FIRST + 514), (I386, 54)];

/// Whether these filters keep a program from pushing bytes into a terminal, in each way to call the kernel, and with
/// anything in the upper half of the register, which the kernel does not read (CVE-2019-10063). A supervisor that is
/// asked may say yes, and so may a tracer.
pub fn denies(filters: &[&[Insn]], push: Push) -> bool {
    let ways = IOCTL.into_iter().flat_map(|way| [0, 1, u64::from(u32::MAX)].map(|upper| (way, upper)));
    let datas = ways.map(|((arch, nr), upper)| {
        let request = upper << 32 | u64::from(push.request());
        Data { nr, arch, args: [0, request, 0, 0, 0, 0], ..Data::default() }
    });
    let mut datas = datas.filter(|data| data.arch == X86_64 || data.args[1] >> 32 == 0);
    datas.all(|data| filters.iter().any(|program| bpf::run(program, &data).is_some_and(Verdict::denies)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::presets::find;

    #[test]
    fn a_guard_is_known_by_what_its_filters_answer() {
        let denied = |names: &[&str]| {
            let filters: Vec<Filter> = names.iter().map(|name| Filter::preset(find(name).unwrap())).collect();
            let programs: Vec<Cow<'_, [Insn]>> = filters.iter().map(|filter| compile::of(filter).unwrap()).collect();
            let programs: Vec<&[Insn]> = programs.iter().map(AsRef::as_ref).collect();
            Push::ALL.map(|push| denies(&programs, push))
        };
        for guard in ["default", "tty-guard", "judge", "strict"] {
            assert_eq!(denied(&[guard]), [true; 2], "{guard}");
            assert_eq!(denied(&["no-setuid", guard]), [true; 2], "{guard}");
        }
        for other in ["no-setuid", "no-userns", "no-covert", "tcp-guard"] {
            assert_eq!(denied(&[other]), [false; 2], "{other}");
        }
        assert_eq!(denied(&[]), [false; 2]);
        let logged = logged(&Filter::preset(find("default").unwrap())).unwrap();
        assert!(!denies(&[&compile::of(&logged).unwrap()], Push::Typed));
    }
}
