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
    first_root: false,
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

/// What lies on top before the namespaces are made is locked there for the box (mount_namespaces(7)).
#[test]
fn the_kernels_first_root_is_covered_before_the_namespaces_are_made() {
    for (words, first) in [("--mount", 0), ("--user --mount --pid", 1)] {
        let steps = planned(words, Facts { first_root: true, ..ROOT }).unwrap().steps();
        assert_eq!(steps[first], Step::CoverFirstRoot, "{words}");
        assert!(matches!(steps[first + 1], Step::Unshare(_) | Step::Clone(_)), "{words}");
    }
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
    let text =
        |owner: Owner, facts: Facts| -> Vec<_> { planned(owner, facts).unwrap().iter().map(Step::to_string).collect() };
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
