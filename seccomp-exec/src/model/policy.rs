//! What a filter decides, as data: a policy says for each system call what the kernel is to answer.
//!
//! [`Policy::verdict`] evaluates it plainly. It is what a filter means; `plan::compile` makes the program that the kernel
//! runs, and the tests hold one against the other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use nix::errno::Errno;
use nix::libc;

use super::calls;

/// AUDIT_ARCH_X86_64 of linux/audit.h: the ELF machine, 64 bits, little endian.
pub const X86_64: u32 = 0xc000_003e;

/// AUDIT_ARCH_I386 of linux/audit.h: the ELF machine, little endian. An x86_64 kernel takes its calls by `int 0x80`.
pub const I386: u32 = 0x4000_0003;

/// __X32_SYSCALL_BIT of asm/unistd.h: numbers from here on reach the same calls of an x86_64 kernel through the x32
/// ABI, which is why a filter that only knows the plain numbers can be walked around.
pub const X32_FIRST: u32 = 0x4000_0000;

/// What the kernel does with a call: a SECCOMP_RET_* value of seccomp(2), the errno in its low 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict(pub u32);

impl Verdict {
    pub const ALLOW: Self = Self(libc::SECCOMP_RET_ALLOW);
    /// Let it pass and write it to the audit log (Linux 4.14).
    pub const LOG: Self = Self(libc::SECCOMP_RET_LOG);
    /// Ask the process that holds the filter's listener (Linux 5.0).
    pub const NOTIFY: Self = Self(libc::SECCOMP_RET_USER_NOTIF);
    /// End the process as if by SIGSYS (Linux 4.14).
    pub const KILL_PROCESS: Self = Self(libc::SECCOMP_RET_KILL_PROCESS);
    pub const KILL_THREAD: Self = Self(libc::SECCOMP_RET_KILL_THREAD);
    /// Send SIGSYS, which the program may handle.
    pub const TRAP: Self = Self(libc::SECCOMP_RET_TRAP);
    /// EPERM: the program may not.
    pub const DENIED: Self = Self::errno(Errno::EPERM);
    /// ENOSYS: as if the kernel did not have the call, which makes libraries fall back.
    pub const MISSING: Self = Self::errno(Errno::ENOSYS);

    /// The words of text policies for them; any other errno is `errno NAME`.
    pub const ACTIONS: [(&str, Self); 7] = [
        ("allow", Self::ALLOW),
        ("deny", Self::DENIED),
        ("log", Self::LOG),
        ("notify", Self::NOTIFY),
        ("trap", Self::TRAP),
        ("kill-thread", Self::KILL_THREAD),
        ("kill", Self::KILL_PROCESS),
    ];

    /// Do not execute the call; it fails with this errno.
    pub const fn errno(errno: Errno) -> Self {
        Self(libc::SECCOMP_RET_ERRNO | (errno as u32 & libc::SECCOMP_RET_DATA))
    }

    /// The same with a line in the audit log in place of a refusal.
    pub fn logged(self) -> Self {
        match self.0 & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_USER_NOTIF | libc::SECCOMP_RET_TRACE => self,
            _ => Self::LOG,
        }
    }

    /// Whether the call is made, as far as this filter is concerned.
    pub fn lets_pass(self) -> bool {
        matches!(self, Self::ALLOW | Self::LOG)
    }

    /// Whether the call is not made, whatever a supervisor or another filter answers.
    pub fn denies(self) -> bool {
        const DENIED: [u32; 4] = [
            libc::SECCOMP_RET_KILL_PROCESS,
            libc::SECCOMP_RET_KILL_THREAD,
            libc::SECCOMP_RET_TRAP,
            libc::SECCOMP_RET_ERRNO,
        ];
        DENIED.contains(&(self.0 & libc::SECCOMP_RET_ACTION_FULL))
    }

    /// The kernel's choice among the answers of several filters, in the order in which they were attached: the one that
    /// weighs most, actions being ordered as signed numbers; among equals that of the last filter (seccomp(2)).
    pub fn of_all(answers: &[Self]) -> Self {
        let action = |answer: &Self| (answer.0 & libc::SECCOMP_RET_ACTION_FULL) as i32;
        answers.iter().rev().copied().min_by_key(action).unwrap_or(Self::ALLOW)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.0 & libc::SECCOMP_RET_DATA;
        match self.0 & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_ALLOW => f.write_str("allow"),
            libc::SECCOMP_RET_LOG => f.write_str("log"),
            libc::SECCOMP_RET_KILL_PROCESS => f.write_str("kill process"),
            libc::SECCOMP_RET_KILL_THREAD => f.write_str("kill thread"),
            libc::SECCOMP_RET_TRAP => write!(f, "trap {data}"),
            libc::SECCOMP_RET_TRACE => write!(f, "trace {data}"),
            libc::SECCOMP_RET_USER_NOTIF => f.write_str("notify"),
            libc::SECCOMP_RET_ERRNO => match Errno::from_raw(i32::try_from(data).unwrap_or(0)) {
                Errno::UnknownErrno => write!(f, "errno {data}"),
                errno => write!(f, "errno {errno:?}"),
            },
            other => write!(f, "action {other:#x}"),
        }
    }
}

/// How much of an argument the kernel reads. It belongs to the rule, because a filter sees all 64 bits of a register
/// of which the kernel may use 32: comparing all of them is CVE-2019-10063.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// `int` or `unsigned int`: the low 32 bits; the rest is whatever the caller left there.
    Int,
    /// `long`, `size_t`, a pointer: all 64 bits.
    Long,
}

/// How an argument is compared, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    pub const ALL: [(&str, Self); 6] =
        [("==", Self::Eq), ("!=", Self::Ne), ("<", Self::Lt), ("<=", Self::Le), (">", Self::Gt), (">=", Self::Ge)];
}

/// A test of one argument: `(argument & mask) op value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Which argument, 0 to 5.
    pub arg: u8,
    pub width: Width,
    /// The bits that are looked at; all of them in a plain comparison.
    pub mask: u64,
    pub op: Op,
    pub value: u64,
}

impl Test {
    /// A plain comparison of an argument that the kernel reads as 32 bits.
    pub const fn int(arg: u8, op: Op, value: u32) -> Self {
        Self { arg, width: Width::Int, mask: u32::MAX as u64, op, value: value as u64 }
    }

    /// Whether any of these bits is set in an argument that the kernel reads as 32 bits.
    pub const fn any_bit(arg: u8, bits: u32) -> Self {
        Self { arg, width: Width::Int, mask: bits as u64, op: Op::Ne, value: 0 }
    }

    fn holds(&self, args: &[u64; 6]) -> bool {
        let seen = args.get(usize::from(self.arg)).copied().unwrap_or(0) & self.mask & self.width.bits();
        let value = self.value & self.width.bits();
        match self.op {
            Op::Eq => seen == value,
            Op::Ne => seen != value,
            Op::Lt => seen < value,
            Op::Le => seen <= value,
            Op::Gt => seen > value,
            Op::Ge => seen >= value,
        }
    }
}

impl Width {
    pub fn bits(self) -> u64 {
        match self {
            Self::Int => u64::from(u32::MAX),
            Self::Long => u64::MAX,
        }
    }
}

/// A verdict for the calls for which all the tests hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    pub tests: Cow<'static, [Test]>,
    pub verdict: Verdict,
}

/// What happens to one call: the first clause that holds decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub clauses: Cow<'static, [Clause]>,
    pub otherwise: Verdict,
}

impl Rule {
    /// A rule that does not look at arguments.
    pub const fn always(verdict: Verdict) -> Self {
        Self { clauses: Cow::Borrowed(&[]), otherwise: verdict }
    }

    pub fn verdict(&self, args: &[u64; 6]) -> Verdict {
        let decides = |clause: &&Clause| clause.tests.iter().all(|test| test.holds(args));
        self.clauses.iter().find(decides).map_or(self.otherwise, |clause| clause.verdict)
    }
}

/// A whole filter for x86_64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub calls: BTreeMap<u32, Rule>,
    /// Every other call of the table.
    pub known: Verdict,
    /// Numbers that are no call that we know.
    pub unknown: Verdict,
    pub x32: Verdict,
    /// Calls of i386, whose numbers are others.
    pub i386: Verdict,
    pub foreign: Verdict,
}

/// `struct seccomp_data` of linux/seccomp.h: what a filter sees of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub nr: u32,
    /// The architecture, an AUDIT_ARCH_* value.
    pub arch: u32,
    pub instruction_pointer: u64,
    pub args: [u64; 6],
}

impl Policy {
    /// These calls, and as answers to everything else: `known` where the call is known here; x32 and unknown numbers as a
    /// kernel answers that does not have them (a debugger that skips a call sets the number -1, which must not kill); the
    /// calls of other architectures, about which no rule can say anything, end the process.
    pub fn new(calls: BTreeMap<u32, Rule>, known: Verdict) -> Self {
        let (missing, kill) = (Verdict::MISSING, Verdict::KILL_PROCESS);
        Self { calls, known, unknown: missing, x32: missing, i386: kill, foreign: kill }
    }

    /// What has no call of its own, by the words of text policies.
    pub fn others(&self) -> [(&'static str, Verdict); 5] {
        let [known, unknown, x32, i386, foreign] = Self::OTHERS;
        [(known, self.known), (unknown, self.unknown), (x32, self.x32), (i386, self.i386), (foreign, self.foreign)]
    }

    /// The words for what has no call of its own.
    pub const OTHERS: [&str; 5] = ["default", "unknown", "x32", "i386", "foreign"];

    /// What the policy means for this call, without any compiling.
    pub fn verdict(&self, data: &Data) -> Verdict {
        match data.arch {
            X86_64 => {}
            I386 => return self.i386,
            _ => return self.foreign,
        }
        if data.nr >= X32_FIRST {
            return self.x32;
        }
        match self.calls.get(&data.nr) {
            Some(rule) => rule.verdict(&data.args),
            None => self.plain(data.nr),
        }
    }

    /// The policy that lets pass and logs what this one refuses.
    pub fn logged(&self) -> Self {
        let clause = |clause: &Clause| Clause { tests: clause.tests.clone(), verdict: clause.verdict.logged() };
        let rule = |rule: &Rule| Rule {
            clauses: rule.clauses.iter().map(clause).collect(),
            otherwise: rule.otherwise.logged(),
        };
        Self {
            calls: self.calls.iter().map(|(number, old)| (*number, rule(old))).collect(),
            known: self.known.logged(),
            unknown: self.unknown.logged(),
            x32: self.x32.logged(),
            i386: self.i386.logged(),
            foreign: self.foreign.logged(),
        }
    }

    /// The verdict on a number of x86_64 that has no rule of its own.
    pub fn plain(&self, nr: u32) -> Verdict {
        if calls::is_known(nr) { self.known } else { self.unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clause_that_holds_decides() {
        let clause = |tests: &[Test], verdict| Clause { tests: tests.to_vec().into(), verdict };
        let (one, two) = (Verdict::errno(Errno::EPERM), Verdict::errno(Errno::EINVAL));
        let rule = Rule {
            clauses: vec![
                clause(&[Test::int(0, Op::Gt, 5), Test::any_bit(1, 6)], one),
                clause(&[Test::int(0, Op::Gt, 5)], two),
            ]
            .into(),
            otherwise: Verdict::ALLOW,
        };
        assert_eq!(rule.verdict(&[6, 2, 0, 0, 0, 0]), one);
        assert_eq!(rule.verdict(&[6, 9, 0, 0, 0, 0]), two);
        assert_eq!(rule.verdict(&[5, 2, 0, 0, 0, 0]), Verdict::ALLOW);
        assert_eq!(rule.verdict(&[5 | 1 << 32, 2, 0, 0, 0, 0]), Verdict::ALLOW, "the kernel does not see bit 32");
    }

    #[test]
    fn verdicts_are_named() {
        assert_eq!(Verdict::errno(Errno::ENOSYS).to_string(), "errno ENOSYS");
        assert_eq!(Verdict::KILL_PROCESS.to_string(), "kill process");
        assert_eq!(
            (Verdict(0x5_0000).to_string(), Verdict(0x5_0fff).to_string()),
            ("errno 0".into(), "errno 4095".into())
        );
    }

    #[test]
    fn the_strictest_answer_counts_and_the_last_among_equals() {
        let order =
            [Verdict::KILL_PROCESS, Verdict(0), Verdict(0x3_0000), Verdict(0x5_0001), Verdict::NOTIFY, Verdict::LOG];
        for (n, strict) in order.into_iter().enumerate() {
            for mild in order[n + 1..].iter().copied().chain([Verdict::ALLOW]) {
                assert_eq!((Verdict::of_all(&[strict, mild]), Verdict::of_all(&[mild, strict])), (strict, strict));
            }
        }
        assert_eq!(Verdict::of_all(&[Verdict(0x5_0001), Verdict(0x5_0026)]), Verdict(0x5_0026));
        assert_eq!(Verdict::of_all(&[]), Verdict::ALLOW);
    }
}
