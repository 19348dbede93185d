//! Pure: the request and the facts become steps, each in the process that does it, or a refusal.

mod maps;
#[cfg(test)]
mod tests;

use std::os::fd::RawFd;

use chain::{Hint as _, Result, refusal};

use crate::args::Request;
use crate::look::Facts;
use crate::model::join::{Join, Source, joined};
use crate::model::map::Ids;
use crate::model::namespace::{Namespace, Set};
use crate::model::setup::{Offsets, Propagation, Session};
use crate::step::Step;

/// Which processes of this tool stay while the next program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residence {
    Nobody,
    /// The one outside; the next program is its child.
    Parent,
    /// The one outside and the init.
    Init,
}

/// Who does what, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub residence: Residence,
    /// Namespaces that are entered first, in this order.
    pub joins: Vec<Join>,
    /// The box would have the kernel's first root, which cannot be left.
    pub covers_first_root: bool,
    /// The new namespaces that unshare(2) or clone(2) makes at once.
    pub new: Set,
    /// Done by a process of the old user namespace, once the new one is there.
    pub maps: Vec<Step>,
    /// Done in the new namespaces.
    pub inside: Vec<Step>,
    /// Done by the process outside when all that is, before the next program starts.
    pub outside: Vec<Step>,
    /// Done by the process that executes the next program, last of all.
    pub last: Vec<Step>,
    /// The ids inside, to be read back.
    pub ids: Option<Ids>,
    /// The box may outlive the caller.
    pub outlive_caller: bool,
    /// Signals are not passed on.
    pub no_forward: bool,
    /// The main process is pid 1 of a pid namespace within the init's.
    pub as_pid1: bool,
    /// Its process group, session and terminal.
    pub session: Session,
}

impl Plan {
    /// The step that makes the namespaces.
    pub fn creation(&self) -> Option<Step> {
        match self.residence {
            Residence::Nobody if self.new.is_empty() => None,
            Residence::Nobody => Some(Step::Unshare(self.new)),
            Residence::Parent | Residence::Init => Some(Step::Clone(self.new)),
        }
    }

    /// The step before that, where the root is the kernel's first.
    pub fn cover(&self) -> Option<Step> {
        self.covers_first_root.then_some(Step::CoverFirstRoot)
    }

    /// The step that makes the main process.
    pub fn init(&self) -> Step {
        Step::Init { as_pid1: self.as_pid1 }
    }

    /// The step that makes its process group or session.
    pub fn group(&self) -> Option<Step> {
        Some(Step::Session(self.session)).filter(|_| self.session != Session::Shared)
    }

    /// The descriptors of the caller that stay open outside until the box has ended, and nowhere else.
    pub fn held(&self) -> impl Iterator<Item = RawFd> {
        self.maps.iter().chain(&self.outside).filter_map(|step| match step {
            Step::Hold(fd) | Step::SayStatus(fd) => Some(*fd),
            _ => None,
        })
    }

    /// Whether the numbers of the box are said to who is to write its maps.
    pub fn reports_before_maps(&self) -> bool {
        reports_on(&self.maps)
    }

    /// Whether they are said when the box is set up, before its program starts.
    pub fn reports_at_start(&self) -> bool {
        reports_on(&self.outside)
    }

    /// The namespaces whose numbers are said then.
    pub fn reported(&self) -> Set {
        self.new.without(Namespace::User)
    }

    /// The one on which the exit code is said.
    pub fn status_fd(&self) -> Option<RawFd> {
        self.maps.iter().chain(&self.outside).find_map(|step| match step {
            Step::SayStatus(fd) => Some(*fd),
            _ => None,
        })
    }

    pub fn joined(&self) -> Set {
        joined(&self.joins)
    }

    /// Whether its program has the caller's files: then the caller's terminal is the least of what it shares.
    pub fn shares_files(&self) -> bool {
        !self.new.has(Namespace::Mount) && !self.joined().has(Namespace::Mount)
    }

    /// Refuses a terminal that the program could type into, where processes of a joined box get hold of the program,
    /// whatever filter the box has: by ptrace(2) in a pid namespace that is joined, where no filter of the box's own binds
    /// the program, or because the program is a file of the box's.
    pub fn guard_terminal(&self, can_be_typed_into: fn() -> bool) -> Result<()> {
        let joined = self.joined();
        let lent = (joined.has(Namespace::Pid) || joined.has(Namespace::Mount)) && self.session == Session::Shared;
        if !lent || !can_be_typed_into() {
            return Ok(());
        }
        Err(refusal!("what is in the box that is joined could type into this terminal (TIOCSTI)").hint(
            "give the program a terminal of its own by --pty, or none by --new-session; where no pid namespace is \
                 joined: setsid --wait ns-unshare",
        ))
    }

    /// All steps in the order in which they happen.
    pub fn steps(&self) -> Vec<Step> {
        let watch = self.residence != Residence::Nobody && !self.outlive_caller;
        let mut steps: Vec<Step> = watch.then_some(Step::WatchCaller).into_iter().collect();
        steps.extend(self.joins.iter().cloned().map(Step::Join));
        steps.extend(self.cover());
        steps.extend(self.creation());
        steps.extend(self.maps.iter().chain(&self.inside).cloned());
        steps.extend((self.residence == Residence::Init).then(|| self.init()));
        steps.extend(self.outside.iter().cloned());
        steps.extend(self.group());
        steps.extend(self.last.iter().cloned());
        steps
    }
}

pub fn plan(request: &Request, facts: &Facts) -> Result<Plan> {
    let joins = joins(request, facts);
    let joined = joined(&joins);
    if joined.has(Namespace::Pid) && request.new.has(Namespace::Pid) {
        return Err(refusal!("a pid namespace that is joined, and a new one in it: clone(2) makes none there")
            .hint("join it with one ns-unshare, which executes another one with --pid"));
    }
    let user = request.new.has(Namespace::User) && request.maps_fd.is_none();
    let user = user.then(|| maps::maps(request, facts)).transpose()?;
    let ids = user.as_ref().map(|user| user.ids);
    let become_ids = user.as_ref().filter(|user| user.changed).map(|user| Step::Become(user.ids));
    let (maps, mut inside) = match (user, request.maps_fd) {
        (Some(user), _) if user.outside => (user.steps, vec![]),
        (Some(user), _) => (vec![], user.steps),
        // The caller has to know whose maps.
        (None, Some(fd)) => (reports(request).chain([Step::AwaitByte(fd)]).collect(), vec![Step::BecomeMapped]),
        (None, None) => (vec![], vec![]),
    };
    let joins_user = joined.has(Namespace::User);
    inside.extend(joins_user.then_some(Step::BecomeMapped));
    inside.extend(setup(request));
    inside.extend(become_ids);
    let has_capabilities = joins_user || request.new.has(Namespace::User);
    let residence = residence(request);
    let capabilities = has_capabilities.then(|| capabilities(request.keep_caps, facts.our_tool_next));
    let dies = (request.die_with_caller && residence == Residence::Nobody).then_some(Step::DieWithCaller);
    Ok(Plan {
        residence,
        joins,
        covers_first_root: facts.first_root,
        new: request.new.without(Namespace::Time),
        maps,
        inside,
        outside: outside(request),
        last: capabilities.into_iter().chain(dies).collect(),
        ids,
        outlive_caller: request.outlive_caller,
        no_forward: request.no_forward,
        as_pid1: request.as_pid1,
        session: request.session,
    })
}

fn residence(request: &Request) -> Residence {
    match (request.new.has(Namespace::Pid), request.keeps_parent()) {
        (true, _) => Residence::Init,
        (false, true) => Residence::Parent,
        (false, false) => Residence::Nobody,
    }
}

/// In their order: a caller with the right to enter the other namespaces loses it in the user namespace, which comes last
/// then; any other caller has the right only there.
fn joins(request: &Request, facts: &Facts) -> Vec<Join> {
    let all = request.join_all.map(|pid| Join { set: facts.join_all, source: Source::Process(pid) });
    let all = all.into_iter().filter(|join| !join.set.is_empty());
    let mut joins: Vec<Join> = request.joins.iter().cloned().chain(all).collect();
    joins.sort_by_key(|join| join.set.has(Namespace::User) == facts.admin);
    joins
}

fn outside(request: &Request) -> Vec<Step> {
    let pins = request.pins.iter().cloned().map(Step::Pin);
    let holds = request.hold_fds.iter().copied().map(Step::Hold);
    let ready = request.ready_fd.map(Step::SayReady);
    let reports = reports(request).filter(|_| request.maps_fd.is_none());
    let waits = request.wait_fd.map(Step::AwaitStart).into_iter().chain(request.block_fd.map(Step::AwaitByte));
    let locks = request.locks.iter().cloned().map(Step::Lock);
    let places = request.placeholders.iter().cloned().map(|(path, is_folder)| Step::Placeholder(path, is_folder));
    pins.chain(holds).chain(locks).chain(places).chain(reports).chain(ready).chain(waits).collect()
}

fn reports_on(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::SayInfo(_) | Step::SayStatus(_)))
}

fn reports(request: &Request) -> impl Iterator<Item = Step> {
    request.info_fd.map(Step::SayInfo).into_iter().chain(request.status_fd.map(Step::SayStatus))
}

/// What becomes of the capabilities that a user namespace gave.
fn capabilities(keep: bool, our_tool_next: bool) -> Step {
    match (keep, our_tool_next) {
        (true, _) => Step::KeepCapabilities,
        (false, true) => Step::HandOnCapabilities,
        (false, false) => Step::DropCapabilities,
    }
}

/// What is set up in the other namespaces. The clocks come first: once a process has changed its ids it can no longer
/// open its own files in /proc.
fn setup(request: &Request) -> Vec<Step> {
    let mut steps = vec![];
    if request.new.has(Namespace::Time) {
        steps.push(Step::NewTime);
        steps.extend((request.offsets != Offsets::default()).then_some(Step::SetClocks(request.offsets)));
        steps.push(Step::EnterTime);
    }
    let propagation = request.propagation.unwrap_or(Propagation::PRIVATE);
    if request.new.has(Namespace::Mount) && !propagation.flag.is_empty() {
        steps.push(Step::Propagate(propagation));
    }
    steps.extend(request.hostname.clone().map(Step::Hostname));
    steps.extend(request.domainname.clone().map(Step::Domainname));
    steps.extend(request.new.has(Namespace::Net).then_some(Step::LoopbackUp));
    steps.extend(request.disable_userns.then_some(Step::DisableUserns));
    steps.extend(request.assert_userns_disabled.then_some(Step::AssertUsernsDisabled));
    steps
}
