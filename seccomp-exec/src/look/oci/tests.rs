use super::*;
use crate::model::policy::{Data, X86_64};
use serde_json::json;

const HERE: Conditions = Conditions { caps: CapabilitySet::SYS_ADMIN, kernel: (6, 1) };

fn read(value: &Value) -> Result<Policy> {
    policy("p.json", value.to_string().as_bytes(), &HERE)
}

fn verdict_on(policy: &Policy, call: &str, args: [u64; 6]) -> String {
    policy.verdict(&Data { nr: calls::number(call).unwrap(), arch: X86_64, args, ..Data::default() }).to_string()
}

#[test]
fn conditions_are_about_capabilities_architecture_and_kernel() {
    let entry = |name: &str, condition: Value| {
        let mut entry = json!({ "names": [name], "action": "SCMP_ACT_ALLOW" });
        entry.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
        entry
    };
    let cases = [
        ("read", json!({}), true),
        ("write", json!({ "includes": { "caps": ["CAP_SYS_ADMIN"] } }), true),
        ("open", json!({ "includes": { "caps": ["CAP_SYS_ADMIN", "CAP_CHOWN"] } }), false),
        ("close", json!({ "excludes": { "caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"] } }), false),
        ("stat", json!({ "excludes": { "caps": ["CAP_CHOWN"] }, "includes": null }), true),
        ("fstat", json!({ "includes": { "arches": ["s390x"] } }), false),
        ("lstat", json!({ "includes": { "arches": ["arm64", "amd64"] } }), true),
        ("poll", json!({ "excludes": { "arches": ["amd64"] } }), false),
        ("lseek", json!({ "includes": { "minKernel": "4.8" } }), true),
        ("mmap", json!({ "includes": { "minKernel": "6.2" } }), false),
        ("brk", json!({ "excludes": { "minKernel": "6.1" } }), false),
    ];
    let entries: Vec<Value> = cases.iter().map(|case| entry(case.0, case.1.clone())).collect();
    let policy =
        read(&json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": entries })).unwrap();
    for (call, condition, expected) in cases {
        let verdict = if expected { "allow" } else { "errno ENOSYS" };
        assert_eq!(verdict_on(&policy, call, [0; 6]), verdict, "{call} {condition}");
    }
}

#[test]
fn arguments_are_all_to_hold_unless_one_occurs_twice() {
    let arg = |index, value, two, op: &str| json!({ "index": index, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{op}") });
    let policy = read(&json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
        { "name": "socket", "action": "SCMP_ACT_ALLOW", "args": [arg(0, 1, 0, "EQ"), arg(1, 15, 2, "MASKED_EQ")] },
        { "names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "args": [arg(1, 5, 0, "EQ"), arg(1, 7, 0, "EQ")] },
        { "names": ["read"], "action": "SCMP_ACT_TRAP", "args": [arg(2, 1_u64 << 32, 0, "GE")] },
        { "names": ["read"], "action": "SCMP_ACT_LOG", "args": [arg(2, 10, 0, "LT")] },
        { "names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [arg(2, 10, 0, "LT")] },
        { "names": ["write"], "action": "SCMP_ACT_ALLOW", "args": [] },
    ] }))
    .unwrap();
    for (call, args, expected) in [
        ("socket", [1, 0x802, 0], "allow"),
        ("socket", [1 | 1 << 32, 2, 0], "allow"),
        ("socket", [1, 1, 0], "kill process"),
        ("ioctl", [0, 5, 0], "errno EPERM"),
        ("ioctl", [0, 7, 0], "errno EPERM"),
        ("ioctl", [0, 6, 0], "kill process"),
        ("read", [0, 0, 1 << 33], "trap 0"),
        ("read", [0, 0, 9], "log"),
        ("read", [0, 0, 10], "kill process"),
        ("write", [0, 0, 1], "allow"),
    ] {
        let [a, b, c] = args;
        assert_eq!(verdict_on(&policy, call, [a, b, c, 0, 0, 0]), expected, "{call} {args:x?}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let with = |entry: Value| json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry] });
    let entry = |more: Value| {
        let mut entry = json!({ "names": ["socket"], "action": "SCMP_ACT_ERRNO" });
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with(entry)
    };
    for (value, words) in [
        (json!([]), "p.json: the profile: not an object"),
        (json!({}), "p.json: defaultAction is missing"),
        (json!({ "defaultAction": "SCMP_ACT_TRACE" }), "p.json: defaultAction: SCMP_ACT_TRACE is not supported here"),
        (json!({ "defaultAction": "SCMP_ACT_ALLOW", "rules": [] }), "p.json: the profile: the key rules is not known"),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"] }),
            "p.json: flags: SECCOMP_FILTER_FLAG_LOG is not supported here; see --log",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": "SECCOMP_FILTER_FLAG_TSYNC" }),
            "p.json: flags: not a list",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ARM"] }),
            "p.json: SCMP_ARCH_X86_64 is not among",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096 }),
            "p.json: defaultErrnoRet: not an errno",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "ENOSYS" }),
            "p.json: defaultErrnoRet is 1, which is not ENOSYS",
        ),
        (with(json!({ "action": "SCMP_ACT_ALLOW" })), "p.json: syscalls[0]: either names or name"),
        (with(json!({ "names": ["read"], "action": "SCMP_ACT_WHAT" })), "p.json: syscalls[0]: action: SCMP_ACT_WHAT"),
        (with(json!({ "names": ["raed"], "action": "SCMP_ACT_ERRNO" })), "p.json: syscalls[0]: raed is no system call"),
        (with(json!({ "names": "read", "action": "SCMP_ACT_ERRNO" })), "p.json: syscalls[0]: names: not a list"),
        (entry(json!({ "argz": [] })), "p.json: syscalls[0]: an entry: the key argz"),
        (entry(json!({ "errno": "EIO" })), "p.json: syscalls[0]: errno without errnoRet"),
        (entry(json!({ "args": [{ "index": 6, "op": "SCMP_CMP_EQ" }] })), "p.json: syscalls[0]: index: there is no"),
        (entry(json!({ "args": [{ "index": -1, "op": "SCMP_CMP_EQ" }] })), "p.json: syscalls[0]: index: not a number"),
        (entry(json!({ "args": [{ "index": 0 }] })), "p.json: syscalls[0]: op: none is not known"),
        (
            entry(json!({ "args": [{ "index": 0, "value": 1_u64 << 32, "op": "SCMP_CMP_EQ" }] })),
            "p.json: syscalls[0]: socket: 0x100000000 does not fit",
        ),
        (entry(json!({ "includes": { "caps": ["CAP_WHAT"] } })), "p.json: syscalls[0]: includes: CAP_WHAT is no"),
        (entry(json!({ "excludes": { "minKernel": "new" } })), "p.json: syscalls[0]: excludes: minKernel"),
        (entry(json!({ "excludes": { "kernel": "6" } })), "p.json: syscalls[0]: excludes: the key kernel"),
    ] {
        let error = read(&value).unwrap_err().to_string();
        assert!(error.starts_with(words), "{value}: {error}");
    }
    assert!(policy("p.json", b"{", &HERE).is_err());
    assert!(policy("p.json", &[b'['; 100_000], &HERE).is_err(), "no depth is too deep to be refused");
}
