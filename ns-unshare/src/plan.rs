//! Pure: the request and the facts become steps, each in the process that does it, or a refusal.

use chain::{Failure, Result};

use crate::args::{Own, Propagation, Request, Session};
use crate::join::{Join, Source};
use crate::look::Facts;
use crate::map::{self, Line};
use crate::namespace::{Namespace, Set};
use crate::step::Step;
use crate::subids;

/// Which processes of this tool stay while the next program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residence {
    /// None.
    Nobody,
    /// The one outside; the next program is its child.
    Parent,
    /// The one outside and the init.
    Init,
}

/// The ids that a process has in a new user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Who does what, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What stays.
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
    #[must_use]
    pub fn creation(&self) -> Option<Step> {
        match self.residence {
            Residence::Nobody if self.new.is_empty() => None,
            Residence::Nobody => Some(Step::Unshare(self.new)),
            Residence::Parent | Residence::Init => Some(Step::Clone(self.new)),
        }
    }

    /// The step that makes the main process.
    #[must_use]
    pub fn init(&self) -> Step {
        Step::Init { as_pid1: self.as_pid1 }
    }

    /// The step that makes its process group or session.
    #[must_use]
    pub fn group(&self) -> Option<Step> {
        match self.session {
            Session::Shared => None,
            Session::Foreground => Some(Step::Foreground),
            Session::New => Some(Step::NewSession),
            Session::Pty => Some(Step::Pty),
        }
    }

    /// All that is joined.
    #[must_use]
    pub fn joined(&self) -> Set {
        self.joins.iter().fold(Set::NONE, |set, join| set.and(join.set))
    }

    /// Whether its program has the caller's files: then the caller's terminal is the least of what it shares.
    #[must_use]
    pub fn shares_files(&self) -> bool {
        !self.new.has(Namespace::Mount) && !self.joined().has(Namespace::Mount)
    }

    /// Whether who is in a box already gets hold of its program, and with it of the caller's terminal: by ptrace(2) in a
    /// pid namespace that is joined, where no filter of the box's own binds the program, or because the program is a file
    /// of the box's.
    #[must_use]
    pub fn lends_terminal(&self) -> bool {
        let joined = self.joined();
        (joined.has(Namespace::Pid) || joined.has(Namespace::Mount)) && self.session == Session::Shared
    }

    /// All steps in the order in which they happen.
    #[must_use]
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

/// The plan.
///
/// # Errors
/// A map that the caller may not write.
pub fn plan(request: &Request, facts: &Facts) -> Result<Plan> {
    let residence = residence(request);
    let joins = joins(request, facts);
    if joins.iter().any(|join| join.set.has(Namespace::Pid)) && request.new.has(Namespace::Pid) {
        return Err(Failure::refusal("a pid namespace that is joined, and a new one in it: clone(2) makes none there")
            .hint("join it with one ns-unshare, which executes another one with --pid")
            .into());
    }
    let users = request.new.has(Namespace::User).then(|| Maps::of(request, facts)).transpose()?;
    let (maps, mut inside, ids) = users.map_or((vec![], vec![], None), Maps::placed);
    let joined = joins.iter().any(|join| join.set.has(Namespace::User));
    inside.extend(joined.then_some(Step::BecomeMapped));
    inside.extend(setup(request));
    if let Some(ids) = ids.filter(|ids| ids.changed) {
        inside.push(Step::Become { uid: ids.ids.uid, gid: ids.ids.gid });
    }
    Ok(Plan {
        residence,
        joins,
        new: request.new.without(Namespace::Time),
        maps,
        inside,
        outside: outside(request),
        last: capabilities(joined || request.new.has(Namespace::User), request.keep_caps, facts.family_next),
        ids: ids.map(|ids| ids.ids),
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

/// Who has the right to enter the others without a user namespace loses it there; who has not, has it only there.
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

/// What becomes of the capabilities that a `user` namespace gave.
fn capabilities(user: bool, keep: bool, family_next: bool) -> Vec<Step> {
    match (user, keep, family_next) {
        (false, ..) => vec![],
        (_, true, _) => vec![Step::KeepCapabilities],
        (.., true) => vec![Step::HandOnCapabilities],
        (.., false) => vec![Step::DropCapabilities],
    }
}

/// What is set up in the other namespaces. The clocks come first: once a process has changed its ids it can no longer
/// open its own files in /proc.
fn setup(request: &Request) -> Vec<Step> {
    let clocks = request.offsets.monotonic.is_some() || request.offsets.boottime.is_some();
    let mut steps = vec![];
    if request.new.has(Namespace::Time) {
        steps.push(Step::NewTime);
        steps.extend(clocks.then_some(Step::SetClocks(request.offsets)));
        steps.push(Step::EnterTime);
    }
    let propagation = request.propagation.unwrap_or(Propagation::Private);
    if request.new.has(Namespace::Mount) && propagation != Propagation::Unchanged {
        steps.push(Step::Propagate(propagation));
    }
    steps.extend(request.hostname.clone().map(Step::Hostname));
    steps.extend(request.domainname.clone().map(Step::Domainname));
    if request.new.has(Namespace::Net) {
        steps.push(Step::LoopbackUp);
    }
    steps.extend(request.disable_userns.then_some(Step::DisableUserns));
    steps
}

/// Both maps of a new user namespace.
struct Maps {
    users: Vec<Line>,
    groups: Vec<Line>,
    deny_setgroups: bool,
    privileged: bool,
    /// newuidmap(1) and newgidmap(1) write them.
    helped: bool,
    ids: NewIds,
}

/// The ids inside, and whether they are others than the caller's own.
#[derive(Clone, Copy)]
struct NewIds {
    ids: Ids,
    changed: bool,
}

impl Maps {
    fn of(request: &Request, facts: &Facts) -> Result<Self> {
        let mut users = lines(request.own, facts.uid, &request.users);
        let mut groups = lines(request.own, facts.gid, &request.groups);
        let helped = facts.subids.is_some() && !facts.may_map;
        if let (Some(subids), [user], [group]) = (&facts.subids, users.as_slice(), groups.as_slice()) {
            (users, groups) = (subids::fill(*user, &subids.users), subids::fill(*group, &subids.groups));
        }
        map::check("map-users", &users)?;
        map::check("map-groups", &groups)?;
        if helped && facts.no_new_privs {
            return Err(Failure::refusal(
                "--map-subids: newuidmap is setuid root, which has no effect under no_new_privs",
            )
            .hint("start ns-unshare before whatever sets it (seccomp-exec, setpriv, a service manager)")
            .into());
        }
        if !facts.may_map && !helped {
            own_only("map-users", &users, facts.uid)?;
            own_only("map-groups", &groups, facts.gid)?;
            if request.setgroups == Some(true) {
                return Err(
                    Failure::refusal("--setgroups allow: needs CAP_SETGID in the caller's user namespace").into()
                );
            }
        }
        let deny_setgroups = request.setgroups.map_or(!facts.may_map && !helped, |allow| !allow);
        let ids = new_ids(&users, &groups, facts);
        Ok(Self { users, groups, deny_setgroups, privileged: facts.may_map, helped, ids })
    }

    /// Steps for the process outside, steps for the process inside, and the ids. The kernel takes a map from the
    /// process inside only where it holds the caller's own id alone and setgroups is denied (user_namespaces(7)).
    fn placed(self) -> (Vec<Step>, Vec<Step>, Option<NewIds>) {
        let deny = self.deny_setgroups.then_some(Step::DenySetgroups);
        let maps = if self.helped {
            [Step::HaveUsersMapped(self.users), Step::HaveGroupsMapped(self.groups)]
        } else {
            [Step::MapUsers(self.users), Step::MapGroups(self.groups)]
        };
        let steps: Vec<Step> = deny.into_iter().chain(maps).collect();
        if self.privileged || self.helped { (steps, vec![], Some(self.ids)) } else { (vec![], steps, Some(self.ids)) }
    }
}

/// The lines of one map: the caller's own id first, unless only others were asked for.
fn lines(own: Option<Own>, id: u32, others: &[Line]) -> Vec<Line> {
    let own = match own {
        None if !others.is_empty() => None,
        None | Some(Own::Root) => Some(Line::one(0, id)),
        Some(Own::Same) => Some(Line::one(id, id)),
    };
    own.into_iter().chain(others.iter().copied()).collect()
}

fn own_only(option: &str, lines: &[Line], id: u32) -> Result<()> {
    match lines {
        [line] if line.outside == id && line.count == 1 => Ok(()),
        _ => {
            let text = format!("--{option} {}: more than the caller's own id {id}", map::words(lines));
            Err(Failure::refusal(text)
                .hint("any other map needs CAP_SETUID and CAP_SETGID in the caller's user namespace")
                .into())
        }
    }
}

fn new_ids(users: &[Line], groups: &[Line], facts: &Facts) -> NewIds {
    match (map::inside_of(users, facts.uid), map::inside_of(groups, facts.gid)) {
        (Some(uid), Some(gid)) => NewIds { ids: Ids { uid, gid }, changed: false },
        (uid, gid) => {
            let uid = uid.or_else(|| map::first_inside(users)).unwrap_or(0);
            let gid = gid.or_else(|| map::first_inside(groups)).unwrap_or(0);
            NewIds { ids: Ids { uid, gid }, changed: true }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    const USER: Facts = Facts {
        uid: 1000,
        gid: 100,
        may_map: false,
        admin: false,
        family_next: false,
        subids: None,
        no_new_privs: false,
        join_all: Set::NONE,
    };
    const ROOT: Facts = Facts { uid: 0, gid: 0, may_map: true, admin: true, family_next: true, ..USER };

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
        assert_eq!(user.inside[1], Step::MapUsers(vec![Line::one(0, 1000)]));
        let root = planned("--user", ROOT).unwrap();
        assert_eq!((root.maps.len(), root.inside.len()), (2, 0));
    }

    #[test]
    fn the_canonical_line_in_order() {
        let said = steps("--user --mount --pid --net --ipc --uts --hostname box", USER);
        assert_eq!(
            said,
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
        assert_eq!(range.inside, [Step::Become { uid: 0, gid: 0 }]);
        let high = ids("--user --map-users 7:100000:2 --map-groups 8:100000:2");
        assert_eq!(high.ids, Some(Ids { uid: 7, gid: 8 }));
        let own = ids("--user -c --map-users 1:100000:9 --map-groups 1:100000:9");
        assert_eq!((own.ids, own.inside), (Some(Ids { uid: 0, gid: 0 }), vec![]));
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
