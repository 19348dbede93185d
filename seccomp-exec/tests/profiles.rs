//! The default profiles of containers, as they are installed: read by seccomp-exec, and held against what libseccomp
//! makes of the same entries.
//!
//! Debian has them in golang-github-containers-common and golang-github-docker-docker-dev; `CHAINBOX_PROFILES` names
//! further files, separated by colons.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use chainbox_tests::draws::Draws;
use chainbox_tests::{Chain, Folder, Tier, skip, tool};
use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use rustix::thread::CapabilitySet;
use seccomp_exec::look::oci::{self, Conditions};
use seccomp_exec::model::bpf::{self, Insn};
use seccomp_exec::model::policy::{Data, Policy, Width, X86_64};
use seccomp_exec::model::{calls, capabilities, widths};
use seccomp_exec::plan::compile;
use serde_json::Value;

const INSTALLED: [&str; 2] = [
    "/usr/share/containers/seccomp.json",
    "/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json",
];

fn profiles_or_skip(test: &str) -> Vec<PathBuf> {
    let named = std::env::var("CHAINBOX_PROFILES").unwrap_or_default();
    let named = named.split(':').filter(|path| !path.is_empty());
    let found: Vec<PathBuf> =
        INSTALLED.into_iter().chain(named).map(PathBuf::from).filter(|path| path.exists()).collect();
    if found.is_empty() {
        skip(Tier::Machine, test, "no container profile is installed");
    }
    found
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether an entry is for x86_64, a kernel of today, and a program with these capabilities.
fn applies(entry: &Value, caps: &[&str]) -> bool {
    let (includes, excludes) = (&entry["includes"], &entry["excludes"]);
    let arches = words(&includes["arches"]);
    words(&includes["caps"]).iter().all(|cap| caps.contains(cap))
        && !words(&excludes["caps"]).iter().any(|cap| caps.contains(cap))
        && (arches.is_empty() || arches.contains(&"amd64"))
        && !words(&excludes["arches"]).contains(&"amd64")
        && excludes["minKernel"].is_null()
}

fn action(action: &Value, errno: &Value) -> ScmpAction {
    match action.as_str().unwrap() {
        "SCMP_ACT_ALLOW" => ScmpAction::Allow,
        "SCMP_ACT_ERRNO" => ScmpAction::Errno(i32::try_from(errno.as_u64().unwrap_or(1)).unwrap()),
        other => panic!("{other}"),
    }
}

fn comparison(test: &Value) -> ScmpArgCompare {
    let number = |field: &str| test[field].as_u64().unwrap_or(0);
    let (op, value) = match test["op"].as_str().unwrap() {
        "SCMP_CMP_EQ" => (ScmpCompareOp::Equal, number("value")),
        "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, number("value")),
        "SCMP_CMP_MASKED_EQ" => (ScmpCompareOp::MaskedEqual(number("value")), number("valueTwo")),
        other => panic!("{other}"),
    };
    ScmpArgCompare::new(u32::try_from(number("index")).unwrap(), op, value)
}

/// libseccomp's program for a profile, made from the JSON without a line of ours in between.
fn theirs(profile: &Value, caps: &[&str]) -> Vec<Insn> {
    let default = action(&profile["defaultAction"], &profile["defaultErrnoRet"]);
    let mut context = ScmpFilterContext::new(default).unwrap();
    for entry in profile["syscalls"].as_array().unwrap().iter().filter(|entry| applies(entry, caps)) {
        let action = action(&entry["action"], &entry["errnoRet"]);
        let tests: Vec<_> = entry["args"].as_array().into_iter().flatten().map(comparison).collect();
        let names = words(&entry["names"]).into_iter().chain(entry["name"].as_str()).filter(|_| action != default);
        for call in names.filter_map(|name| ScmpSyscall::from_name(name).ok()).filter(|call| i32::from(*call) >= 0) {
            context.add_rule_conditional(action, call, &tests).unwrap();
        }
    }
    let file = fs::File::from(memfd_create("bpf", MFdFlags::MFD_CLOEXEC).unwrap());
    context.export_bpf(&file).unwrap();
    let bytes = fs::read(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file))).unwrap();
    bytes.chunks_exact(8).map(|chunk| Insn::from_bytes(chunk.try_into().unwrap())).collect()
}

/// An argument as a caller leaves it who sets no bit that the kernel ignores; libseccomp would compare those too.
fn plain(call: &str, arg: u8, value: u64) -> u64 {
    if widths::width(call, arg) == Some(Width::Int) { value & u64::from(u32::MAX) } else { value }
}

fn drawn(draws: &mut Draws, policy: &Policy) -> Data {
    let tested: Vec<u32> =
        policy.calls.iter().filter(|(_, rule)| !rule.clauses.is_empty()).map(|(nr, _)| *nr).collect();
    let any = u32::try_from(draws.below(u64::from(calls::END))).unwrap();
    let nr = if draws.below(3) == 0 { draws.of(&tested) } else { any };
    let tests =
        policy.calls.get(&nr).into_iter().flat_map(|rule| rule.clauses.iter()).flat_map(|clause| clause.tests.iter());
    let values: Vec<u64> = tests.flat_map(|test| [test.value, test.mask]).chain([0, 1, 9, 16, 40, 1 << 28]).collect();
    let name = calls::name(nr).unwrap_or("");
    let args = std::array::from_fn(|n| plain(name, u8::try_from(n).unwrap(), draws.of(&values) ^ (draws.below(8) / 7)));
    Data { nr, arch: X86_64, instruction_pointer: 0, args }
}

#[test]
fn a_profile_means_what_libseccomp_makes_of_it() {
    for path in profiles_or_skip("a_profile_means_what_libseccomp_makes_of_it") {
        let bytes = fs::read(&path).unwrap();
        let profile: Value = serde_json::from_slice(&bytes).unwrap();
        for caps in [vec![], vec!["CAP_SYS_ADMIN"], vec!["CAP_AUDIT_WRITE", "CAP_SYS_PTRACE", "CAP_BPF", "CAP_PERFMON"]]
        {
            let held = capabilities::parse(caps.join(",").as_ref()).unwrap_or(CapabilitySet::empty());
            let conditions = Conditions { caps: held, kernel: (6, 18) };
            let policy = oci::policy("profile", &bytes, &conditions).unwrap();
            let (ours, theirs) = (compile::program(&policy).unwrap(), theirs(&profile, &caps));
            let mut draws = Draws(7);
            let known = (0..100_000).map(|_| drawn(&mut draws, &policy)).filter(|data| calls::is_known(data.nr));
            // What is newer than the installed libseccomp cannot be judged by it.
            let judged = known.filter(|data| ScmpSyscall::from_name(calls::name(data.nr).unwrap()).is_ok());
            let mut compared = 0;
            for data in judged {
                assert_eq!(bpf::run(&ours, &data), Some(policy.verdict(&data)), "{} {data:x?}", path.display());
                let name = calls::name(data.nr).unwrap();
                assert_eq!(
                    bpf::run(&ours, &data),
                    bpf::run(&theirs, &data),
                    "{} {caps:?} {name} {data:x?}",
                    path.display()
                );
                compared += 1;
            }
            assert!(compared > 70_000, "{compared}");
            assert!(ours.len() < theirs.len(), "{} {}", ours.len(), theirs.len());
        }
    }
}

#[test]
fn a_program_runs_behind_a_profile() {
    for path in profiles_or_skip("a_program_runs_behind_a_profile") {
        let run = |option: &str, line: &str| {
            let options = [option.as_ref(), path.as_os_str(), "--".as_ref()];
            Chain::new("seccomp-exec").args(options).args(line.split(' ')).as_user().run()
        };
        for option in ["--oci", "--policy"] {
            assert!(run(option, "id -u").ok().trim().parse::<u32>().is_ok());
            let kcmp = format!("{} call 312 99999999 99999999 0", tool("syscall-probe").display());
            assert_eq!(Chain::shell(&kcmp).as_user().run().ok(), format!("errno {}\n", libc::ESRCH), "bare");
            assert_eq!(run(option, &kcmp).ok(), format!("errno {}\n", libc::EPERM));
        }
        let status = run("--oci", "grep Seccomp: /proc/self/status").ok();
        assert_eq!(status, "Seccomp:\t2\n");
    }
    let ran = Chain::shell(
        "echo '{}' >/tmp/chainbox-$$.json; seccomp-exec --policy /tmp/chainbox-$$.json -- true; \
                            code=$?; rm /tmp/chainbox-$$.json; exit $code",
    );
    ran.run().fails(125, ".json: defaultAction is missing");
}

/// As Docker's own of 2020, which allows what it lists, and lists nothing that is newer: descriptors are marked before it is
/// attached.
#[test]
fn a_profile_from_before_close_range_is_taken() {
    let folder = Folder::new("profile-2020", true);
    let older = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["close_range"], "action": "SCMP_ACT_ERRNO" } ] }"#;
    fs::write(folder.join("older.json"), older).unwrap();
    let run = |line: &str| Chain::shell(&format!("exec 7</dev/null; {line}")).at(folder.path()).as_user().run();
    let gate = "seccomp-exec --oci older.json";
    assert_eq!(run(&format!("{gate} -- sh -c 'ls /proc/self/fd'")).ok(), "0\n1\n2\n3\n", "3 is the folder");
    assert_eq!(run(&format!("{gate} --keep-fd 7 -- sh -c 'ls /proc/self/fd'")).ok(), "0\n1\n2\n3\n7\n");
    assert_eq!(run(&format!("{gate} --learn learned -- sh -c 'ls /proc/self/fd'")).ok(), "0\n1\n2\n3\n");
    for path in profiles_or_skip("a_profile_from_before_close_range_is_taken") {
        let profile = fs::read_to_string(&path).unwrap().replace("\"close_range\",", "");
        fs::write(folder.join("older.json"), profile).unwrap();
        let without = run(&format!("{gate} --test close_range 3 4 0; {gate} -- id -u"));
        let (said, id) = without.out.split_once('\n').unwrap();
        assert!(said.starts_with("errno") && id.trim().parse::<u32>().is_ok(), "{without:?}");
    }
}
