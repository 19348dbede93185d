//! What `--learn` makes of the calls that were seen: the policy that allows these and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use chain::{Result, refusal};

use crate::model::bpf::halves;
use crate::model::calls::{name, number_of};
use crate::model::filter::Filter;
use crate::model::policy::{Clause, Data, Op, Policy, Rule, Test, Verdict};
use crate::model::presets::default::NAMESPACES;

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

/// What a process may have to call in the next run although it did not in this one: when a signal comes, at its end, and
/// where the C library calls by the moment only. It waits for a lock or a thread (futex, sched_yield) unless that is there
/// already, gives memory back (madvise, munmap) when enough is left over, and asks for the time when the kernel's page of
/// it (vdso(7)) cannot tell, as after a change of clock source. glibc aborts where futex is denied. None of them reaches beyond the
/// memory of its caller.
const ALWAYS: [u32; 10] = [
    number_of("clock_gettime"),
    number_of("exit"),
    number_of("exit_group"),
    number_of("futex"),
    number_of("gettimeofday"),
    number_of("madvise"),
    number_of("munmap"),
    number_of("restart_syscall"),
    number_of("rt_sigreturn"),
    number_of("sched_yield"),
];

/// Its flags lie in memory, where no filter sees them; without it the C library takes clone.
const CLONE3: u32 = number_of("clone3");

/// The filter that asks about every call.
pub fn asking() -> Filter {
    let calls = BTreeMap::from([(CLONE3, Rule::always(Verdict::MISSING))]);
    Filter::of("--learn", Policy::new(calls, Verdict::NOTIFY))
}

/// What has been called so far: the values of the telling argument, none where there is no such argument.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<u32, BTreeSet<u32>>);

impl Seen {
    pub fn note(&mut self, data: &Data) {
        let values = self.0.entry(data.nr).or_default();
        let value = |(_, arg, bits): &(u32, u8, u32)| Some(halves(*data.args.get(usize::from(*arg))?).1 & bits);
        // One more than can be named says that there were more.
        if values.len() <= MOST {
            values.extend(telling(data.nr).as_ref().and_then(value));
        }
    }

    /// The policy that allows this and nothing else. Refuses an argument with more values than a policy can name.
    pub fn policy(&self) -> Result<Policy> {
        if let Some((nr, _)) = self.0.iter().find(|(_, values)| values.len() > MOST) {
            let call = name(*nr).unwrap_or("a call");
            return Err(refusal!("{call} was called in more than {MOST} ways: no policy names them all"));
        }
        let seen = self.0.iter().map(|(nr, values)| (*nr, rule(*nr, values)));
        let always = ALWAYS.map(|nr| (nr, Rule::always(Verdict::ALLOW)));
        let clone3 = [(CLONE3, Rule::always(Verdict::MISSING))];
        let calls = always.into_iter().chain(clone3).chain(seen).collect();
        Ok(Policy::new(calls, Verdict::DENIED))
    }
}

fn telling(nr: u32) -> Option<(u32, u8, u32)> {
    TELLING.into_iter().find(|known| known.0 == nr)
}

fn rule(nr: u32, values: &BTreeSet<u32>) -> Rule {
    let Some((_, arg, bits)) = telling(nr) else { return Rule::always(Verdict::ALLOW) };
    let clause = |value: &u32| Clause {
        tests: vec![Test { mask: u64::from(bits), ..Test::int(arg, Op::Eq, *value) }].into(),
        verdict: Verdict::ALLOW,
    };
    Rule { clauses: values.iter().map(clause).collect(), otherwise: Verdict::DENIED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::text;
    use crate::model::policy::X86_64;
    use crate::model::policy_text::written;

    fn call(name: &str, args: [u64; 2]) -> Data {
        let nr = crate::model::calls::number(name).unwrap();
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
            (call("futex", [0, 0]), true),
        ] {
            assert_eq!(policy.verdict(&data).lets_pass(), allowed, "{data:?}");
        }
        let text = written(&policy);
        assert!(text.contains("\nallow socket if arg0 == AF_INET\n"), "{text}");
        let read = text::policy("written", &text, &mut |_, _| Err(refusal!("no file"))).unwrap();
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
