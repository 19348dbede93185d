//! Filters held against what they mean: the compiled program against the plain evaluation of its policy, against
//! libseccomp's program for the same decisions, against the kernel, and against the container default profiles.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

mod kernel;

use chainbox_tests::draws::Draws;
use chainbox_tests::{Tier, skip};
use kernel::{harmless, kernel_says};
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use rustix::thread::CapabilitySet;
use seccomp_exec::look::oci::{self, Conditions};
use seccomp_exec::look::text;
use seccomp_exec::model::bpf::{self, Insn};
use seccomp_exec::model::calls::{self, number};
use seccomp_exec::model::policy::{Data, Op, Policy, Verdict, X32_FIRST, X86_64};
use seccomp_exec::model::presets::{self, PRESETS};
use seccomp_exec::plan::compile;
use seccomp_exec::plan::learned;

/// What calls are drawn from.
trait CallDraws {
    /// A number: of a rule, of any known call, around the edges, or anything.
    fn nr(&mut self, own: &[u32]) -> u32;
    /// An argument: a value that rules know, one beside it, with bits that the kernel ignores, or anything.
    fn arg(&mut self, known: &[u64]) -> u64;
}

impl CallDraws for Draws {
    fn nr(&mut self, own: &[u32]) -> u32 {
        let edges =
            [336, 337, 423, 424, calls::END - 1, calls::END, 2000, X32_FIRST - 1, X32_FIRST, u32::MAX - 1, u32::MAX];
        match self.below(10) {
            0..5 => self.of(own),
            5..7 => u32::try_from(self.below(u64::from(calls::END))).unwrap(),
            7 => self.of(&edges),
            8 => X32_FIRST | u32::try_from(self.below(600)).unwrap(),
            _ => u32::try_from(self.word() >> 32).unwrap(),
        }
    }

    fn arg(&mut self, known: &[u64]) -> u64 {
        let near = self.of(known).wrapping_add(self.of(&[0, 0, 0, 1, u64::MAX]));
        match self.below(6) {
            0..3 => near,
            3 => near | 1 << (32 + self.below(32)),
            4 => near & 0xffff_ffff | self.word() << 32,
            _ => self.word() >> self.below(64),
        }
    }
}

/// The constants of all tests, and the single bits of masks.
fn known_values(policy: &Policy) -> Vec<u64> {
    let tests = || policy.calls.values().flat_map(|rule| rule.clauses.iter()).flat_map(|clause| clause.tests.iter());
    let bits = tests()
        .filter(|test| test.mask != 0xffff_ffff)
        .flat_map(|test| (0..64).map(|bit| 1 << bit).filter(move |bit: &u64| test.mask & bit != 0));
    tests().map(|test| test.value).chain(bits).chain([0, u64::MAX]).collect()
}

/// Calls drawn for a policy: its own numbers (those with tests more often) and the constants of its tests.
struct Calls<'a> {
    draws: Draws,
    policy: &'a Policy,
    own: Vec<u32>,
    values: Vec<u64>,
}

impl<'a> Calls<'a> {
    fn of(policy: &'a Policy, seed: u64) -> Self {
        let tested = policy.calls.iter().filter(|(_, rule)| !rule.clauses.is_empty()).map(|(nr, _)| *nr);
        let own = policy.calls.keys().copied().chain(tested.cycle().take(60)).collect();
        Self { draws: Draws(seed), policy, own, values: known_values(policy) }
    }

    /// A call. Of a rule with tests, one in three is drawn so that a clause holds, whatever the ignored bits are.
    fn one(&mut self) -> Data {
        let nr = self.draws.nr(&self.own);
        let mut args = std::array::from_fn(|_| self.draws.arg(&self.values));
        let clauses = self.policy.calls.get(&nr).map_or(&[][..], |rule| &rule.clauses);
        if !clauses.is_empty() && self.draws.below(3) == 0 {
            let clause = &clauses[usize::try_from(self.draws.below(clauses.len() as u64)).unwrap()];
            for test in clause.tests.iter() {
                let bits = if test.op == Op::Ne { test.mask } else { test.value };
                args[usize::from(test.arg)] = bits | self.draws.of(&[0, 1, 0xdead_beef]) << 32;
            }
        }
        Data { nr, arch: X86_64, instruction_pointer: self.draws.word(), args }
    }

    /// A call, one in twenty through another architecture.
    fn of_any_architecture(&mut self) -> Data {
        let foreign = [0x4000_0003, 0xc000_00b7, 0, X86_64 ^ 1, X86_64 | 0x3fff_0000];
        let arch = if self.draws.below(20) == 0 { self.draws.of(&foreign) } else { X86_64 };
        Data { arch, ..self.one() }
    }
}

fn preset(name: &str) -> (Policy, Vec<Insn>) {
    let policy = (presets::find(name).unwrap().policy)();
    let program = compile::program(&policy).unwrap();
    (policy, program)
}

/// Every verdict that a policy can give.
fn verdicts_of(policy: &Policy) -> std::collections::BTreeSet<Verdict> {
    let clauses = policy.calls.values().flat_map(|rule| rule.clauses.iter().map(|clause| clause.verdict));
    let others = policy.calls.values().map(|rule| rule.otherwise);
    clauses.chain(others).chain([policy.known, policy.unknown, policy.x32, policy.i386, policy.foreign]).collect()
}

/// A text policy with every kind of test.
const TEXT: &str = "
    default deny
    unknown errno ENOSYS
    x32 errno EINVAL
    foreign kill-thread
    i386 errno ENOEXEC
    @files = read, write, close, openat, lseek, newfstatat
    allow @files, brk, execve, close_range, exit_group
    errno EAFNOSUPPORT socket if arg0 == AF_VSOCK
    allow socket if arg0 <= AF_INET6 && arg1 & 0xf != SOCK_RAW
    log mmap if arg2 & 7 == 6 && arg4 < 0x100000003
    allow mmap if arg1 >= 0x80000000ff && arg3 > 0x22
    trap fcntl if arg1 == F_SETLK
    kill kill if arg0 == -1
    allow lookup_dcookie if u64(arg0) != 0x500000005
    include @no-covert";

/// A profile with every comparison.
const PROFILE: &str = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [
    { "names": ["read", "write", "close", "futex"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] },
    { "names": ["clone"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
    { "names": ["mmap"], "action": "SCMP_ACT_LOG", "args": [{ "index": 1, "value": 4294967297, "op": "SCMP_CMP_GE" },
      { "index": 4, "value": 3, "op": "SCMP_CMP_LT" }] },
    { "names": ["personality"], "action": "SCMP_ACT_TRAP",
      "args": [{ "index": 0, "value": 8, "op": "SCMP_CMP_GT" }, { "index": 0, "value": 2, "op": "SCMP_CMP_LE" }] },
    { "names": ["kill"], "action": "SCMP_ACT_KILL", "args": [{ "index": 1, "value": 9, "op": "SCMP_CMP_EQ" }] },
    { "names": ["ptrace"], "action": "SCMP_ACT_KILL_PROCESS" } ] }"#;

/// What --learn makes of some calls.
fn learned() -> Policy {
    let mut seen = learned::Seen::default();
    for (call, arg) in [("read", 0), ("socket", 1), ("socket", 10), ("clone", 17), ("prctl", 15), ("fcntl", 0)] {
        let args = if call == "fcntl" { [0, arg + 3, 0, 0, 0, 0] } else { [arg, 0, 0, 0, 0, 0] };
        seen.note(&Data { nr: number(call).unwrap(), arch: X86_64, args, ..Data::default() });
    }
    seen.policy().unwrap()
}

/// Everything that is judged: the presets, and one policy of every other kind.
fn judged() -> Vec<(String, Policy)> {
    let text = text::policy("TEXT", TEXT, &mut |_, _| panic!("no file is included")).unwrap();
    let profile =
        oci::policy("PROFILE", PROFILE.as_bytes(), &Conditions { caps: CapabilitySet::empty(), kernel: (6, 18) });
    let presets = PRESETS.iter().map(|preset| (preset.name.to_owned(), (preset.policy)()));
    let others = [
        ("TEXT", text.clone()),
        ("TEXT that logs", text.logged()),
        ("PROFILE", profile.unwrap()),
        ("learned", learned()),
    ];
    presets.chain(others.map(|(name, policy)| (name.to_owned(), policy))).collect()
}

#[test]
fn a_program_decides_what_its_policy_says() {
    for (seed, (name, policy)) in judged().iter().enumerate() {
        let program = compile::program(policy).unwrap();
        let mut calls = Calls::of(policy, seed as u64);
        let mut seen = std::collections::BTreeMap::<Verdict, u32>::new();
        for _ in 0..100_000 {
            let data = calls.of_any_architecture();
            let verdict = policy.verdict(&data);
            assert_eq!(bpf::run(&program, &data), Some(verdict), "{name} {data:x?}");
            *seen.entry(verdict).or_default() += 1;
        }
        assert_eq!(seen.len(), verdicts_of(policy).len(), "every verdict was drawn, {name}: {seen:?}");
        assert!(seen.values().all(|count| *count >= 20), "{seen:?}");
    }
}

/// libseccomp's program for what a context says.
fn exported(context: &ScmpFilterContext) -> Vec<Insn> {
    let mut file = File::from(memfd_create("bpf", MFdFlags::MFD_CLOEXEC).unwrap());
    context.export_bpf(&file).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut bytes = vec![];
    file.read_to_end(&mut bytes).unwrap();
    bytes.chunks_exact(8).map(|chunk| Insn::from_bytes(chunk.try_into().unwrap())).collect()
}

const INT: ScmpCompareOp = ScmpCompareOp::MaskedEqual(0xffff_ffff);

/// `default` told to libseccomp as far as it can say it: one program for calls of which some are denied, one for the
/// calls of which some are allowed (it takes one comparison an argument in a rule).
fn told_to_libseccomp(policy: &Policy) -> [Vec<Insn>; 2] {
    let mut denying = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    let mut allowing = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM)).unwrap();
    for (nr, rule) in policy.calls.iter().filter(|(_, rule)| rule.clauses.is_empty()) {
        let errno = i32::try_from(rule.otherwise.0 & 0xffff).unwrap();
        denying.add_rule(ScmpAction::Errno(errno), ScmpSyscall::from(i32::try_from(*nr).unwrap())).unwrap();
    }
    let mut deny = |call: &str, arg, op, value| {
        let call = ScmpSyscall::from_name(call).unwrap();
        let test = ScmpArgCompare::new(arg, op, value);
        denying.add_rule_conditional(ScmpAction::Errno(libc::EPERM), call, &[test]).unwrap();
    };
    deny("ioctl", 1, INT, libc::TIOCSTI);
    deny("ioctl", 1, INT, libc::TIOCLINUX);
    deny("ioctl", 1, INT, libc::TIOCSETD);
    for bit in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        deny("clone", 0, ScmpCompareOp::MaskedEqual(bit), bit);
    }
    let mut allow = |call: &str, value| {
        let call = ScmpSyscall::from_name(call).unwrap();
        allowing.add_rule_conditional(ScmpAction::Allow, call, &[ScmpArgCompare::new(0, INT, value)]).unwrap();
    };
    [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff].into_iter().for_each(|value| allow("personality", value));
    [1, 2, 10, 16, 17].into_iter().for_each(|value| allow("socket", value));
    allow("socketpair", 1);
    [exported(&denying), exported(&allowing)]
}

#[test]
fn default_decides_what_libseccomp_decides() {
    let (policy, program) = preset("default");
    let [denying, allowing] = told_to_libseccomp(&policy);
    let allowed = ["personality", "socket", "socketpair"].map(|call| number(call).unwrap());
    let (mut calls, mut compared) = (Calls::of(&policy, 77), 0);
    while compared < 100_000 {
        let data = calls.one();
        let audit = data.nr == allowed[1] && data.args[2] & 0xffff_ffff == 9;
        // What libseccomp was not told: numbers outside the table, and NETLINK_AUDIT.
        if !calls::is_known(data.nr) || audit {
            continue;
        }
        let theirs = if allowed.contains(&data.nr) { &allowing } else { &denying };
        assert_eq!(bpf::run(&program, &data), bpf::run(theirs, &data), "{data:x?}");
        compared += 1;
    }
    assert!(program.len() < denying.len() + allowing.len(), "{} {} {}", program.len(), denying.len(), allowing.len());
}

#[test]
fn names_and_numbers_are_libseccomps() {
    let mut compared = 0;
    for nr in 0..calls::END {
        let theirs = ScmpSyscall::from(i32::try_from(nr).unwrap()).get_name_by_arch(ScmpArch::X8664).ok();
        match (calls::name(nr), theirs) {
            (Some(ours), Some(theirs)) => {
                assert_eq!(ours, theirs, "{nr}");
                compared += 1;
            }
            // It is older than the table.
            (_, None) => {}
            (None, Some(theirs)) => panic!("{nr} is {theirs}"),
        }
    }
    assert!(compared >= 360, "{compared}");
}

/// The calls of the kernel's own trampolines, which no filter sees since Linux 6.13 (uretprobe) and 6.18 (uprobe). A
/// process that makes them otherwise gets SIGILL or ENXIO.
fn never_filtered(nr: u32) -> bool {
    ["uretprobe", "uprobe"].map(number).contains(&Some(nr))
}

#[test]
fn the_kernel_decides_what_the_policy_says() {
    for (name, policy) in judged() {
        let program = compile::program(&policy).unwrap();
        let mut calls = Calls::of(&policy, 4242);
        let mut drawn: Vec<Data> = (0..20_000).map(|_| calls.one()).collect();
        drawn.retain(|data| !never_filtered(data.nr));
        let expected: Vec<u32> = drawn.iter().map(|data| policy.verdict(data)).map(harmless).collect();
        let said = kernel_says(&program, &drawn);
        assert_eq!(said.len(), drawn.len());
        for ((data, said), expected) in drawn.iter().zip(&said).zip(&expected) {
            assert_eq!(said, expected, "{name} {data:x?}");
        }
        let x32 = drawn.iter().filter(|data| data.nr >= X32_FIRST).count();
        let unknown = drawn.iter().filter(|data| data.nr < X32_FIRST && !calls::is_known(data.nr)).count();
        assert!(x32 > 1000 && unknown > 1000, "{x32} {unknown}");
    }
}

/// What the default profiles of Moby (moby/profiles, 2026) and containers-common (0.50) deny a process without
/// capabilities on x86_64 whatever its arguments, as facts read from both; with it `default` is at least as strict.
const DENIED_THERE: &str = "
    _sysctl acct add_key afs_syscall bpf chroot clock_settime clone3 create_module delete_module fanotify_init
    file_getattr file_setattr finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg
    init_module io_pgetevents io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load
    kexec_load keyctl lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind migrate_pages mount
    mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open
    pidfd_getfd pivot_root process_madvise putpmsg query_module quotactl quotactl_fd reboot request_key security
    set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon sysfs syslog
    tuxcall umount2 unshare uselib userfaultfd ustat vhangup vmsplice vserver";

#[test]
fn default_denies_what_containers_deny() {
    let (policy, _) = preset("default");
    let denied: Vec<&str> = DENIED_THERE.split_whitespace().collect();
    assert_eq!(denied.len(), 76);
    let allows = |name: &str, args: [u64; 6]| {
        let data = Data { nr: number(name).unwrap(), arch: X86_64, args, ..Data::default() };
        policy.verdict(&data) == Verdict::ALLOW
    };
    for name in denied {
        assert!(!allows(name, [0; 6]) && !allows(name, [u64::MAX; 6]), "{name}");
    }
    let families_there = [0, 12, 19, 20, 23, 25, 34, 37, 38, 40].into_iter().chain(46..300);
    for family in families_there {
        assert!(!allows("socket", [family, 1, 0, 0, 0, 0]), "family {family}");
    }
    for persona in (1..0x10_0000).filter(|persona| ![8, 0x2_0000, 0x2_0008].contains(persona)) {
        assert!(!allows("personality", [persona, 0, 0, 0, 0, 0]), "{persona:#x}");
    }
    for bit in [17, 25, 26, 27, 28, 29, 30] {
        assert!(!allows("clone", [1 << bit | 17, 0, 0, 0, 0, 0]), "bit {bit}");
    }
}

/// The profile itself, where Debian's golang-github-containers-common is installed, or a file of the same form that
/// `CHAINBOX_PROFILE` names. (Moby's of 2022 and before also denied name_to_handle_at, process_vm_readv and the
/// protection keys; it allows them now.)
fn installed_profile() -> Option<serde_json::Value> {
    let path = std::env::var("CHAINBOX_PROFILE").unwrap_or_else(|_| "/usr/share/containers/seccomp.json".to_owned());
    File::open(path).ok().map(|file| serde_json::from_reader(file).unwrap())
}

/// Whether a profile lets a process without capabilities make this call on x86_64, on a current kernel.
fn profile_allows(profile: &serde_json::Value, name: &str, args: &[u64; 6]) -> bool {
    let words = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let applies = |rule: &serde_json::Value| {
        let (caps, arches) = (&rule["includes"]["caps"], words(&rule["includes"]["arches"]));
        words(caps).is_empty()
            && (arches.is_empty() || arches.iter().any(|arch| arch == "amd64"))
            && !words(&rule["excludes"]["arches"]).iter().any(|arch| arch == "amd64")
    };
    let holds = |test: &serde_json::Value| {
        let number = |field: &str| test[field].as_u64().unwrap_or(0);
        let seen = args[usize::try_from(number("index")).unwrap()];
        match test["op"].as_str().unwrap() {
            "SCMP_CMP_EQ" => seen == number("value"),
            "SCMP_CMP_NE" => seen != number("value"),
            "SCMP_CMP_MASKED_EQ" => seen & number("value") == number("valueTwo"),
            other => panic!("{other}"),
        }
    };
    profile["syscalls"].as_array().unwrap().iter().any(|rule| {
        rule["action"] == "SCMP_ACT_ALLOW"
            && (words(&rule["names"]).iter().any(|known| known == name) || rule["name"] == name)
            && applies(rule)
            && rule["args"].as_array().is_none_or(|tests| tests.iter().all(holds))
    })
}

#[test]
fn default_is_as_strict_as_the_profile_installed_here() {
    let Some(profile) = installed_profile() else {
        let reason = "golang-github-containers-common is not installed";
        return skip(Tier::Root, "default_is_as_strict_as_the_profile_installed_here", reason);
    };
    let (policy, _) = preset("default");
    let known: Vec<u64> = known_values(&policy).into_iter().filter(|value| *value <= 0xffff_ffff).collect();
    let text = profile.to_string();
    // Calls that are newer than the profile are judged by none.
    let named = |nr: &u32| calls::name(*nr).is_some_and(|name| text.contains(&format!("\"{name}\"")));
    let newest = (0..calls::END).rev().find(named).unwrap();
    let (mut draws, mut denied_there) = (Draws(5), 0);
    let judged = (0..=newest).filter(|nr| !never_filtered(*nr));
    for (nr, name) in judged.filter_map(|nr| Some((nr, calls::name(nr)?))) {
        for _ in 0..100 {
            let args = std::array::from_fn(|_| draws.of(&known));
            if !profile_allows(&profile, name, &args) {
                let verdict = policy.verdict(&Data { nr, arch: X86_64, args, ..Data::default() });
                assert_ne!(verdict, Verdict::ALLOW, "{name} {args:x?}");
                denied_there += 1;
            }
        }
    }
    assert!(denied_there > 40 * 100, "{denied_there}");
}
