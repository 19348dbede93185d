//! Pure: a request and the facts to a chain, or a refusal.

mod root;

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;

use chain::{Result, refusal};

use super::args::{Change, Request, Which};
use super::look::Facts;
use super::table::{Kind, Role, Switch};
use crate::fronts::chain::Chain;

/// The chain that does what bubblewrap would do.
pub fn chain(request: &Request, facts: &Facts) -> Result<Chain> {
    let users = users(request, facts);
    if users == Users::Callers && (differs(request.uid, facts.uid) || differs(request.gid, facts.gid)) {
        return Err(refusal!("--uid and --gid need --unshare-user or --userns"));
    }
    let namespaces = Namespaces { request, facts, users, held: root::held(request, facts)? };
    let mut links = namespaces.links();
    let gate = gate(request, facts, users);
    // What runs in a box that is joined could change the file of the gate, if that had a payload with capabilities.
    let sealed = gate.iter().any(|word| word == "--keep-caps") && joins(request);
    let carry = if sealed { words(["--carry", "sealed"]) } else { vec![] };
    let keep = [carry, handed_on(&later(request), request, facts)].concat();
    links.push(root::link(request, facts, &keep));
    links.push(gate);
    Ok(Chain {
        before: vec![],
        speaker: if request.level_prefix { "<3>bwrap:1" } else { "bwrap:1" }.into(),
        environment: request.environment.clone(),
        links,
        payload: request.command.clone(),
    })
}

/// Whose user namespace the box is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Users {
    New,
    /// A new one, if the kernel allows it.
    Try,
    /// One that is there already, on this descriptor.
    Joined(RawFd),
    /// The caller's, who is root.
    Callers,
}

fn users(request: &Request, facts: &Facts) -> Users {
    match request.fd(Role::Userns) {
        Some(fd) => Users::Joined(fd),
        None if request.has(Kind::User) || facts.uid != 0 => Users::New,
        None if request.has(Kind::UserTry) => Users::Try,
        None => Users::Callers,
    }
}

/// Whether processes of somebody else may be in the box.
fn joins(request: &Request) -> bool {
    request.fd(Role::Userns).or(request.fd(Role::Pidns)).is_some()
}

fn differs(asked: Option<u32>, own: u32) -> bool {
    asked.is_some_and(|id| id != own)
}

/// The links that make and enter namespaces.
struct Namespaces<'a> {
    request: &'a Request,
    facts: &'a Facts,
    users: Users,
    /// What the process outside holds besides descriptors.
    held: Vec<OsString>,
}

impl Namespaces<'_> {
    /// One; two where a new pid namespace is to be made in one that is entered, which takes a process there.
    fn links(&self) -> Vec<Vec<OsString>> {
        let request = self.request;
        let pidns = request.fd(Role::Pidns);
        let mut joins = vec![];
        if let Users::Joined(fd) = self.users {
            joins.extend(words(["--join", &format!("user=fd:{fd}")]));
        }
        joins.extend(pidns.into_iter().flat_map(|fd| words(["--join", &format!("pid=fd:{fd}")])));
        let all = self.made();
        if pidns.is_none() || !request.has(Kind::Pid) {
            return vec![link("ns-unshare", [joins, all])];
        }
        let named = request.descriptors().into_iter().map(|(_, fd)| fd);
        let named: Vec<RawFd> =
            named.filter(|fd| Some(*fd) != pidns && Some(*fd) != request.fd(Role::Userns)).collect();
        let first = [joins, self.lifetime(false), handed_on(&named, request, self.facts)];
        vec![link("ns-unshare", first), link("ns-unshare", [all])]
    }

    /// Of the link that makes the box.
    fn made(&self) -> Vec<OsString> {
        let request = self.request;
        let cgroup = match (request.has(Kind::Cgroup), request.has(Kind::CgroupTry)) {
            (true, _) => Some("--cgroup"),
            (false, true) => Some("--cgroup-if-supported"),
            (false, false) => None,
        };
        let kinds =
            [(Kind::Pid, "--pid"), (Kind::Net, "--net"), (Kind::Ipc, "--ipc"), (Kind::Uts, "--uts")].into_iter();
        let kinds = kinds.filter(|(kind, _)| request.has(*kind)).map(|(_, option)| option).chain(cgroup);
        let switches = [
            (Switch::DisableUserns, "--disable-userns"),
            (Switch::AssertUsernsDisabled, "--assert-userns-disabled"),
            (Switch::AsPid1, "--as-pid1"),
            (Switch::NewSession, "--new-session"),
        ];
        let switches = switches.into_iter().filter(|(switch, _)| request.is(*switch)).map(|(_, option)| option);
        let fds = [
            (Role::UsernsBlock, "--maps-fd"),
            (Role::Info, "--info-fd"),
            (Role::JsonStatus, "--status-fd"),
            (Role::Block, "--block-fd"),
            (Role::Sync, "--hold-fd"),
        ];
        let fds = fds.into_iter().filter_map(|(role, option)| Some((option, request.fd(role)?)));
        let hostname = request.hostname.iter().flat_map(|name| [OsString::from("--hostname"), name.clone()]);
        [
            self.maps(),
            words(["--mount", "--propagation", "slave"]),
            kinds.map(OsString::from).collect(),
            hostname.collect(),
            switches.map(OsString::from).collect(),
            fds.flat_map(|(option, fd)| words([option, &fd.to_string()])).collect(),
            self.held.clone(),
            self.lifetime(request.has(Kind::Pid)),
            handed_on(&sources(request, self.facts), request, self.facts),
        ]
        .concat()
    }

    /// The user namespace and its map. Its ids are the caller's unless others were asked for; with --userns-block-fd it is
    /// the caller who writes it.
    fn maps(&self) -> Vec<OsString> {
        let (request, facts) = (self.request, self.facts);
        let option = match self.users {
            Users::New => "--user",
            Users::Try => "--user-if-supported",
            Users::Joined(_) | Users::Callers => return vec![],
        };
        let own = !differs(request.uid, facts.uid) && !differs(request.gid, facts.gid);
        let one = |asked: Option<u32>, own: u32| format!("{}:{own}:1", asked.unwrap_or(own));
        // For an ordinary user it is so in any case.
        let setgroups = if facts.uid == 0 { words(["--setgroups", "deny"]) } else { vec![] };
        match request.fd(Role::UsernsBlock) {
            Some(_) => words([option]),
            None if own => [words([option, "--map-self"]), setgroups].concat(),
            None => {
                let (uid, gid) = (one(request.uid, facts.uid), one(request.gid, facts.gid));
                [words([option, "--map-users", &uid, "--map-groups", &gid]), setgroups].concat()
            }
        }
    }

    /// Whether the box ends with the caller. Without a pid namespace a process stays outside only where somebody has to do
    /// something there.
    fn lifetime(&self, has_init: bool) -> Vec<OsString> {
        let request = self.request;
        let fds = [Role::Pidns, Role::Info, Role::JsonStatus, Role::UsernsBlock, Role::Block, Role::Sync];
        let stays = !self.held.is_empty()
            || request.is(Switch::NewSession)
            || fds.into_iter().any(|role| request.fd(role).is_some());
        let dies = request.is(Switch::DieWithParent);
        // As there, a signal to bwrap ends a box that is bound to it; and pid 1 would ignore most of them.
        let alone = has_init && (dies || request.is(Switch::AsPid1));
        let said = [
            (dies && !has_init, "--die-with-parent"),
            (!dies && (has_init || stays), "--no-die-with-parent"),
            (alone, "--no-forward"),
        ];
        said.into_iter().filter(|(is, _)| *is).map(|(_, option)| option.into()).collect()
    }
}

/// The descriptors from which the root is made, and those that links after it read.
fn sources(request: &Request, facts: &Facts) -> Vec<RawFd> {
    let read = request.operations.iter().filter_map(|operation| operation.fd);
    let by_path = request.operations.iter().filter_map(|operation| root::by_path(operation, facts));
    read.chain(by_path).chain(later(request)).collect()
}

/// The descriptors that links behind mount-plan read.
fn later(request: &Request) -> Vec<RawFd> {
    request.fd(Role::Userns2).into_iter().chain(request.filters()).collect()
}

/// `--keep-fd` for these, and for what the payload inherits: all that the caller has open and no option names, but for
/// directories, by which the payload could leave the box.
fn handed_on(also: &[RawFd], request: &Request, facts: &Facts) -> Vec<OsString> {
    let named: Vec<RawFd> = request.descriptors().into_iter().map(|(_, fd)| fd).collect();
    let inherited = facts.open.iter().filter(|fd| !named.contains(fd) && !facts.directories.contains(fd));
    let mut all: Vec<RawFd> = also.iter().chain(inherited).copied().filter(|fd| *fd > 2).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().flat_map(|fd| words(["--keep-fd", &fd.to_string()])).collect()
}

/// The last link: ids, capabilities, no_new_privs, filters.
fn gate(request: &Request, facts: &Facts, users: Users) -> Vec<OsString> {
    let ids = matches!(users, Users::Joined(_)) && (request.uid.is_some() || request.gid.is_some());
    let (uid, gid) = (request.uid.unwrap_or(facts.uid), request.gid.unwrap_or(facts.gid));
    let ids = ids.then(|| words(["--user", &format!("{uid}:{gid}")]));
    let below = request.fd(Role::Userns2).map(|fd| words(["--userns-fd", &fd.to_string()]));
    let caps = capabilities(request, facts, users).map(|list| words(["--keep-caps", &list]));
    let filters = request.filters().into_iter().flat_map(|fd| words(["--bpf-fd", &fd.to_string()]));
    let argv0 = request.argv0.iter().flat_map(|word| [OsString::from("--argv0"), word.clone()]);
    link(
        "seccomp-exec",
        [
            below.unwrap_or_default(),
            ids.unwrap_or_default(),
            caps.unwrap_or_default(),
            filters.collect(),
            argv0.collect(),
            handed_on(&[], request, facts),
        ],
    )
}

/// The capabilities that the payload keeps, as seccomp-exec takes them. Root begins with what it has, anybody else with
/// nothing. Where no option names any, root's are not handed on by the ambient set, so that they end with user 0.
fn capabilities(request: &Request, facts: &Facts, users: Users) -> Option<String> {
    // Of the caller's own namespace it has no more than that anyway.
    let lacking = facts.lacking.iter().filter(|_| users != Users::Callers);
    let (mut all, mut others) = (facts.uid == 0, lacking.map(String::as_str).collect::<Vec<&str>>());
    for (change, which) in &request.capabilities {
        match which {
            Which::All => (all, others) = (*change == Change::Add, vec![]),
            Which::One(name) => {
                others.retain(|other| other != name);
                if all == (*change == Change::Drop) {
                    others.push(name);
                }
            }
        }
    }
    // It could undo the limit (ns-unshare --disable-userns).
    let undoes = "sys_resource";
    if request.is(Switch::DisableUserns) {
        others.retain(|name| *name != undoes);
        others.extend(all.then_some(undoes));
    }
    let first = if request.capabilities.is_empty() { "root" } else { "all" };
    match (all, others.is_empty()) {
        (true, _) => {
            Some([vec![first.to_owned()], others.iter().map(|name| format!("-{name}")).collect()].concat().join(","))
        }
        (false, false) => Some(others.join(",")),
        (false, true) => None,
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).to_vec()
}

fn link<const N: usize>(tool: &str, parts: [Vec<OsString>; N]) -> Vec<OsString> {
    [vec![OsStr::new(tool).to_owned()], parts.concat()].concat()
}
