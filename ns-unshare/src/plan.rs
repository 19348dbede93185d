//! Pure: the request and the facts become steps, each in the process that does it, or a refusal.

mod maps;

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

    /// The step that makes the main process.
    pub fn init(&self) -> Step {
        Step::Init { as_pid1: self.as_pid1 }
    }

    /// The step that makes its process group or session.
    pub fn group(&self) -> Option<Step> {
        Some(Step::Session(self.session)).filter(|_| self.session != Session::Shared)
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
        steps.extend(self.creation());
        steps.extend(self.maps.iter().chain(&self.inside).chain(&self.outside).cloned());
        steps.extend((self.residence == Residence::Init).then(|| self.init()));
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
    let user = request.new.has(Namespace::User).then(|| maps::maps(request, facts)).transpose()?;
    let ids = user.as_ref().map(|user| user.ids);
    let become_ids = user.as_ref().filter(|user| user.changed).map(|user| Step::Become(user.ids));
    let (maps, mut inside) = match user {
        Some(user) if user.outside => (user.steps, vec![]),
        Some(user) => (vec![], user.steps),
        None => (vec![], vec![]),
    };
    let joins_user = joined.has(Namespace::User);
    inside.extend(joins_user.then_some(Step::BecomeMapped));
    inside.extend(setup(request));
    inside.extend(become_ids);
    let has_capabilities = joins_user || request.new.has(Namespace::User);
    Ok(Plan {
        residence: residence(request),
        joins,
        new: request.new.without(Namespace::Time),
        maps,
        inside,
        outside: outside(request),
        last: has_capabilities.then(|| capabilities(request.keep_caps, facts.our_tool_next)).into_iter().collect(),
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
    pins.chain(request.ready_fd.map(Step::SayReady)).chain(request.wait_fd.map(Step::AwaitStart)).collect()
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
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::owner::Owner;
    use crate::model::map::{IdKind, IdMap, IdRange};
    use std::ffi::OsString;

    const USER: Facts = Facts {
        ids: Ids { uid: 1000, gid: 100 },
        may_map: false,
        admin: false,
        our_tool_next: false,
        subids: None,
        owner: None,
        no_new_privs: false,
        join_all: Set::NONE,
    };
    const ROOT: Facts = Facts { ids: Ids { uid: 0, gid: 0 }, may_map: true, admin: true, our_tool_next: true, ..USER };

    fn planned(words: &str, facts: Facts) -> Result<Plan> {
        let argv = words.split_whitespace().map(OsString::from).collect();
        let cli = chain::parse(&crate::table::TABLE, argv)?.cli().unwrap();
        plan(&crate::args::request(&cli.requested)?, &facts)
    }

    fn steps(words: &str, facts: Facts) -> Vec<String> {
        planned(words, facts).unwrap().steps().iter().map(Step::to_string).collect()
    }

    #[test]
    fn an_ordinary_user_maps_from_inside_and_root_from_outside() {
        let user = planned("--user", USER).unwrap();
        assert_eq!((user.maps.len(), user.inside.len()), (0, 3));
        assert_eq!(user.inside[1], Step::Map(IdMap { kind: IdKind::User, ranges: vec![IdRange::one(0, 1000)] }));
        let root = planned("--user", ROOT).unwrap();
        assert_eq!((root.maps.len(), root.inside.len()), (2, 0));
    }

    #[test]
    fn the_canonical_line_in_order() {
        let words = steps("--user --mount --pid --net --ipc --uts --hostname box", USER);
        assert_eq!(
            words,
            [
                "end when the caller ends",
                "start a process in new namespaces: user, mount, pid, net, ipc, uts",
                "deny setgroups in the box",
                "map user ids 0:1000:1",
                "map group ids 0:100:1",
                "make mount propagation private",
                "set the host name to box",
                "bring lo up",
                "stay as init: reap orphans, pass signals on, end with the main process",
                "leave the next program no capabilities",
            ]
        );
    }

    #[test]
    fn ids_that_are_not_mapped_are_replaced() {
        let ids = |words| planned(words, ROOT).unwrap();
        let range = ids("--user --map-users 0:100000:65536 --map-groups 0:100000:65536");
        assert_eq!(range.inside, [Step::Become(Ids { uid: 0, gid: 0 })]);
        let high = ids("--user --map-users 7:100000:2 --map-groups 8:100000:2");
        assert_eq!(high.ids, Some(Ids { uid: 7, gid: 8 }));
        let own = ids("--user -c --map-users 1:100000:9 --map-groups 1:100000:9");
        assert_eq!((own.ids, own.inside), (Some(Ids { uid: 0, gid: 0 }), vec![]));
    }

    #[test]
    fn the_owner_becomes_root() {
        let owner = |uid: u32| Owner { fd: 0, ids: Ids { uid, gid: uid }, has_upper_half: true, setgroups: true };
        let planned = |owner: Owner, facts: Facts| {
            planned("--user --map-owner 0", Facts { owner: Some(owner), ..facts }).map(|plan| plan.steps())
        };
        let text = |owner: Owner, facts: Facts| -> Vec<_> {
            planned(owner, facts).unwrap().iter().map(Step::to_string).collect()
        };
        let (users, become_root) =
            ("map user ids 0:7:1 1:2147483649:2147483646", "become user 0, group 0, no other groups");
        let all = text(owner(7), ROOT);
        assert_eq!((all[1].as_str(), all[3].as_str()), (users, become_root));
        assert_eq!(text(owner(0), ROOT)[3], become_root);
        let few = Owner { has_upper_half: false, setgroups: false, ..owner(0) };
        assert_eq!(text(few, ROOT)[1..3], ["map user ids 0:0:1", "map group ids 0:0:1"]);
        let own = Owner { ids: USER.ids, has_upper_half: false, setgroups: false, ..owner(0) };
        assert_eq!(
            planned(own, USER).unwrap()[..4],
            super::plan(&Request { new: Namespace::User.into(), ..Request::default() }, &USER).unwrap().steps()[..4]
        );
        assert!(planned(owner(7), USER).is_err() && planned(owner(65534), ROOT).is_err());
    }

    #[test]
    fn what_the_caller_may_not_map_is_refused_before_anything_happens() {
        for line in [
            "--user --map-users 0:0:1 --map-groups 0:100:1",
            "--user --map-users 0:1000:2 --map-groups 0:100:1",
            "--user -r --map-users 1:100000:1 --map-groups 1:100000:1",
            "--user --setgroups allow",
        ] {
            assert!(planned(line, USER).is_err(), "{line}");
        }
        assert!(planned("--user --map-users 5:1000:1 --map-groups 5:100:1", USER).is_ok());
        assert!(planned("--user -r --map-users 0:1:1 --map-groups 0:1:1", ROOT).is_err(), "0 twice");
    }

    #[test]
    fn nothing_is_touched_without_a_user_namespace() {
        let plan = planned("--uts --ipc", ROOT).unwrap();
        assert_eq!(plan.steps(), [Step::Unshare(plan.new)]);
        assert_eq!(planned("", ROOT).unwrap().steps(), []);
    }

    #[test]
    fn clocks_are_shifted_before_anybody_is_in_the_time_namespace() {
        let steps = planned("--user --time --boottime 5", USER).unwrap().steps();
        let words: Vec<_> = steps.iter().map(ToString::to_string).collect();
        let first = words.iter().position(|word| word == "new namespace: time").unwrap();
        assert_eq!(
            words[first + 1..first + 3],
            ["shift clocks: boottime by +5 s", "enter the time namespace"],
            "{words:?}"
        );
    }
}
