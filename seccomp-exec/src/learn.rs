//! `--learn`: the policy that a program needs.
//!
//! ```text
//! seccomp-exec, learning  <-- socket: the listener --  seccomp-exec, the gate  ->  PROG
//!                         <-- each system call of PROG and of all that it starts
//! ```
//!
//! This process stays. Its child goes through the gate as ever, and attaches last a filter that asks here about each call.
//! Every call is noted and made. When the last process behind the filter has ended, the policy is written, and this
//! process ends as PROG ended. Nothing is protected by this: whoever is asked about a call sees its arguments before they
//! are used, and who can change memory meanwhile can change what they point to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{IoSliceMut, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use chain::sys::{AtEnd, Child, Fork, adopt, fork, listener};
use chain::wait::{self, Ended, Event, Resident, caller_lifeline, child_does, die_with, hide_from_payload};
use chain::{Call as _, Context as _, Failure, Result, show};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair};
use nix::unistd::getpid;

use crate::calls::{name, number_of};
use crate::filters::Filter;
use crate::policy::{Clause, Data, Op, Policy, Rule, Test, Verdict};
use crate::presets::NAMESPACES;
use crate::text::write::written;

/// The calls of which the policy names the values of one argument, and which of its bits. Of the others it would be
/// useless (a length, an address) or too much (every flag of every open).
const TELLING: [(u32, u8, u32); 11] = [
    (number_of("arch_prctl"), 0, u32::MAX),
    (number_of("bpf"), 0, u32::MAX),
    (number_of("clone"), 0, NAMESPACES),
    (number_of("fcntl"), 1, u32::MAX),
    (number_of("ioctl"), 1, u32::MAX),
    (number_of("keyctl"), 0, u32::MAX),
    (number_of("personality"), 0, u32::MAX),
    (number_of("prctl"), 0, u32::MAX),
    (number_of("ptrace"), 0, u32::MAX),
    (number_of("socket"), 0, u32::MAX),
    (number_of("socketpair"), 0, u32::MAX),
];

/// How many values of one argument a policy can name. A compiler makes some twenty requests of ioctl; a kernel takes
/// programs of 4,096 instructions.
const MOST: usize = 256;

/// What a process may have to call in the next run although it did not in this one: when a signal comes, and at its end.
const ALWAYS: [u32; 4] =
    [number_of("exit"), number_of("exit_group"), number_of("restart_syscall"), number_of("rt_sigreturn")];

/// Its flags lie in memory; without it the C library takes clone, whose flags can be told.
const CLONE3: u32 = number_of("clone3");

/// The filter that asks about every call.
///
/// # Errors
/// None.
pub fn filter() -> Result<Filter> {
    let calls = BTreeMap::from([(CLONE3, Rule::always(Verdict::errno(Errno::ENOSYS)))]);
    let (missing, kill) = (Verdict::errno(Errno::ENOSYS), Verdict::KILL_PROCESS);
    let policy = Policy { calls, known: Verdict::NOTIFY, unknown: missing, x32: missing, i386: kill, foreign: kill };
    Filter::new("--learn".to_owned(), policy)
}

/// What has been called so far: the values of the telling argument, none where there is no such argument.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<u32, BTreeSet<u32>>);

impl Seen {
    /// Notes a call.
    pub fn note(&mut self, data: &Data) {
        let values = self.0.entry(data.nr).or_default();
        let value = |(_, arg, bits): &(u32, u8, u32)| Some(low(*data.args.get(usize::from(*arg))?) & bits);
        // One more than can be named says that there were more.
        if values.len() <= MOST {
            values.extend(telling(data.nr).as_ref().and_then(value));
        }
    }

    /// The policy that allows this and nothing else.
    ///
    /// # Errors
    /// An argument with more values than a policy can name.
    pub fn policy(&self) -> Result<Policy> {
        if let Some((nr, _)) = self.0.iter().find(|(_, values)| values.len() > MOST) {
            let call = name(*nr).unwrap_or("a call");
            return Err(Failure::refusal(format!(
                "{call} was called in more than {MOST} ways: no policy names them all"
            ))
            .into());
        }
        let missing = Verdict::errno(Errno::ENOSYS);
        let seen = self.0.iter().map(|(nr, values)| (*nr, rule(*nr, values)));
        let always = ALWAYS.map(|nr| (nr, Rule::always(Verdict::ALLOW)));
        let calls = always.into_iter().chain([(CLONE3, Rule::always(missing))]).chain(seen).collect();
        let known = Verdict::errno(Errno::EPERM);
        let kill = Verdict::KILL_PROCESS;
        Ok(Policy { calls, known, unknown: missing, x32: missing, i386: kill, foreign: kill })
    }
}

fn telling(nr: u32) -> Option<(u32, u8, u32)> {
    TELLING.into_iter().find(|known| known.0 == nr)
}

fn low(arg: u64) -> u32 {
    u32::try_from(arg & u64::from(u32::MAX)).unwrap_or(0)
}

fn rule(nr: u32, values: &BTreeSet<u32>) -> Rule {
    let Some((_, arg, bits)) = telling(nr) else { return Rule::always(Verdict::ALLOW) };
    let clause = |value: &u32| Clause {
        tests: vec![Test { mask: u64::from(bits), ..Test::int(arg, Op::Eq, *value) }].into(),
        verdict: Verdict::ALLOW,
    };
    Rule { clauses: values.iter().map(clause).collect(), otherwise: Verdict::errno(Errno::EPERM) }
}

/// The socket on which the listener comes.
#[derive(Debug)]
pub struct Line {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Line {
    /// A new one.
    ///
    /// # Errors
    /// What socketpair(2) says.
    pub fn new() -> Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).call("socketpair")?;
        Ok(Self { ours, theirs })
    }

    /// Where the gate sends it.
    #[must_use]
    pub fn for_the_gate(&self) -> RawFd {
        self.theirs.as_raw_fd()
    }
}

/// Starts `gate` in a child, answers all its questions, and writes the policy to `path`. Does not return.
///
/// # Errors
/// A file that is there already; what the system calls say.
pub fn supervise(path: &OsStr, prog: &[OsString], line: Line, gate: impl FnOnce() -> anyhow::Error) -> Result<u8> {
    let lifeline = caller_lifeline()?;
    let file = File::create_new(path).call("open").with_context(|| format!("--learn {}", show(path)))?;
    let resident = Resident::begin(lifeline, &[])?;
    let me = getpid();
    let child = match fork(0, AtEnd::Signal).call("clone")? {
        Fork::Child => child_does(|| {
            let ready = resident.restore_signals().and_then(|()| die_with(me));
            ready.map_or_else(|error| error, |()| gate())
        }),
        Fork::Parent(child) => child,
    };
    let Line { ours, theirs } = line;
    drop(theirs);
    hide_from_payload()?;
    resident.keep_only(&[child.pidfd.as_fd(), file.as_fd(), ours.as_fd()])?;
    let mut learner =
        Learner { resident, child: Some(child), ended: Ended::Exit(125), seen: Seen::default(), count: 0 };
    if let Err(error) = learner.learn(&ours) {
        // Nobody is left to answer its calls.
        learner.child.iter().for_each(wait::kill);
        return Err(error);
    }
    let text = learner.text(prog)?;
    (&file).write_all(text.as_bytes()).call("write").with_context(|| format!("--learn {}", show(path)))?;
    learner.ended.finish()
}

/// The process that stays.
struct Learner {
    resident: Resident,
    child: Option<Child>,
    ended: Ended,
    seen: Seen,
    count: u64,
}

impl Learner {
    /// Until the last process behind the filter has ended; without a listener, until the child has failed.
    fn learn(&mut self, socket: &OwnedFd) -> Result<()> {
        let mut listener = None;
        loop {
            let waited = listener.as_ref().unwrap_or(socket);
            match self.resident.next_or(self.child.as_ref(), &[waited.as_fd()], PollTimeout::NONE)? {
                Event::Other => match &listener {
                    None => match received(socket)? {
                        None => return self.collect(),
                        arrived => listener = arrived,
                    },
                    Some(listener) if has_hung_up(listener)? => return self.collect(),
                    Some(listener) => self.answer(listener)?,
                },
                event if self.is_over(&event, listener.is_some())? => return Ok(()),
                _ => {}
            }
        }
    }

    /// Whether an event ends the learning. The end of PROG does not while others run that it has started; then a signal does.
    fn is_over(&mut self, event: &Event, listening: bool) -> Result<bool> {
        match (event, &self.child) {
            (Event::Signal(info), Some(child)) => wait::pass_on(info, child),
            (Event::Signal(_), None) => return Ok(true),
            (Event::ParentGone, child) => {
                child.iter().for_each(wait::kill);
                return self.collect().map(|()| true);
            }
            (Event::Ended, _) => {
                self.collect()?;
                return Ok(!listening);
            }
            (Event::Timeout | Event::Other, _) => {}
        }
        Ok(false)
    }

    fn collect(&mut self) -> Result<()> {
        if let Some(child) = self.child.take() {
            self.ended = Ended::from_raw(wait::collect(&child)?.status);
        }
        Ok(())
    }

    /// Notes one call and lets it be made. Who asked may be gone by now (ENOENT).
    fn answer(&mut self, listener: &OwnedFd) -> Result<()> {
        match listener::receive(listener) {
            Ok(question) => {
                self.seen.note(&data(&question.data));
                self.count += 1;
                gone_is_fine(listener::answer(listener, question.id, None))
            }
            Err(errno) => gone_is_fine(Err(errno)),
        }
    }

    fn text(&self, prog: &[OsString]) -> Result<String> {
        let words: Vec<String> = prog.iter().map(show).collect();
        Ok(format!(
            "# What {} called, as seccomp-exec --learn saw it: {} calls.\n{}",
            words.join(" ").replace('\n', " "),
            self.count,
            written(&self.seen.policy()?)
        ))
    }
}

fn gone_is_fine(answer: std::result::Result<(), Errno>) -> Result<()> {
    match answer {
        Err(Errno::ENOENT | Errno::EINTR) => Ok(()),
        other => other.call("ioctl(SECCOMP_IOCTL_NOTIF)"),
    }
}

fn data(seen: &libc::seccomp_data) -> Data {
    Data {
        nr: seen.nr.cast_unsigned(),
        arch: seen.arch,
        instruction_pointer: seen.instruction_pointer,
        args: seen.args,
    }
}

/// The listener, when it comes; `None` where the gate has failed before.
fn received(socket: &OwnedFd) -> Result<Option<OwnedFd>> {
    let mut space = nix::cmsg_space!(RawFd);
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC);
    let message = message.call("recvmsg")?;
    for control in message.cmsgs().call("recvmsg")? {
        if let ControlMessageOwned::ScmRights(files) = control
            && let [file] = files.as_slice()
        {
            return adopt(*file).call("fcntl").map(Some);
        }
    }
    if message.bytes == 0 { Ok(None) } else { Err(Failure::refusal("--learn: a message without a listener").into()) }
}

/// Whether no process is left that could ask (Linux 5.9).
fn has_hung_up(listener: &OwnedFd) -> Result<bool> {
    let mut files = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut files, PollTimeout::ZERO).call("poll")?;
    let events = files.first().and_then(PollFd::revents).unwrap_or(PollFlags::empty());
    Ok(events.contains(PollFlags::POLLHUP) && !events.contains(PollFlags::POLLIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::X86_64;

    fn call(name: &str, args: [u64; 2]) -> Data {
        let nr = crate::calls::number(name).unwrap();
        Data { nr, arch: X86_64, args: [args[0], args[1], 0, 0, 0, 0], ..Data::default() }
    }

    #[test]
    fn what_was_seen_is_allowed_and_nothing_else() {
        let mut seen = Seen::default();
        let high = 0xdead_beef << 32;
        for data in [
            call("read", [3, 0]),
            call("socket", [1 | high, 1]),
            call("socket", [2, 1]),
            call("ioctl", [0, 0x5401]),
            call("clone", [0x0120_0011, 0]),
        ] {
            seen.note(&data);
        }
        let policy = seen.policy().unwrap();
        for (data, allowed) in [
            (call("read", [9, 9]), true),
            (call("write", [1, 0]), false),
            (call("socket", [1, 7]), true),
            (call("socket", [2 | high, 7]), true),
            (call("socket", [40, 7]), false),
            (call("ioctl", [7, 0x5401]), true),
            (call("ioctl", [7, 0x5412]), false),
            (call("clone", [0x3d0f00, 0]), true),
            (call("clone", [0x1000_0011, 0]), false),
            (call("clone3", [0, 0]), false),
            (call("exit_group", [0, 0]), true),
        ] {
            assert_eq!(policy.verdict(&data).lets_pass(), allowed, "{data:?}");
        }
        let text = written(&policy);
        assert!(text.contains("\nallow socket if arg0 == AF_INET\n"), "{text}");
        let read = crate::text::policy("written", &text, &mut |_, _| Err(Failure::refusal("no file").into())).unwrap();
        for (nr, rule) in &policy.calls {
            assert_eq!(&read.calls[nr].clauses, &rule.clauses);
        }
    }

    #[test]
    fn what_no_policy_can_name_is_a_failure() {
        let mut seen = Seen::default();
        for number in 0..u64::try_from(MOST).unwrap() {
            seen.note(&call("ioctl", [7, number]));
        }
        assert!(seen.policy().is_ok());
        seen.note(&call("ioctl", [7, 0x5401]));
        for number in 1..1000 {
            seen.note(&call("ioctl", [7, number << 16]));
        }
        let said = seen.policy().unwrap_err().to_string();
        assert_eq!(said, "ioctl was called in more than 256 ways: no policy names them all");
        assert_eq!(seen.0.values().map(BTreeSet::len).sum::<usize>(), MOST + 1, "and no memory is taken");
    }
}
