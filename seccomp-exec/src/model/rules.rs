//! What presets are written with.

use std::borrow::Cow;

use nix::errno::Errno;
use nix::libc;

use super::calls::number_of;
use super::policy::{Clause, Policy, Rule, Test, Verdict};

/// The numbers of calls: a name that does not exist does not compile.
pub const fn numbers<const N: usize>(names: [&str; N]) -> [u32; N] {
    let mut numbers = [0; N];
    let mut n = 0;
    #[allow(clippy::indexing_slicing, reason = "in constants only, and n is below N")]
    while n < N {
        numbers[n] = number_of(names[n]);
        n += 1;
    }
    numbers
}

/// A clause that lets an int argument of this value pass.
macro_rules! allowed {
    ($value:expr) => {
        Clause { tests: Cow::Borrowed(&[Test::int(0, Op::Eq, $value)]), verdict: Verdict::ALLOW }
    };
}

pub(crate) use allowed;

/// A clause that denies with this errno.
pub const fn answer(tests: &'static [Test], errno: Errno) -> Clause {
    Clause { tests: Cow::Borrowed(tests), verdict: Verdict::errno(errno) }
}

pub const fn denied(tests: &'static [Test]) -> Clause {
    answer(tests, Errno::EPERM)
}

/// A clause by which the call is not made and succeeds.
pub const fn seems_done(tests: &'static [Test]) -> Clause {
    Clause { tests: Cow::Borrowed(tests), verdict: SEEMS_DONE }
}

pub const SEEMS_DONE: Verdict = Verdict(libc::SECCOMP_RET_ERRNO);

pub const fn rule(clauses: &'static [Clause], otherwise: Verdict) -> Rule {
    Rule { clauses: Cow::Borrowed(clauses), otherwise }
}

/// One answer to all of these calls.
pub fn all(calls: impl IntoIterator<Item = u32>, answer: Verdict) -> impl Iterator<Item = (u32, Rule)> {
    calls.into_iter().map(move |nr| (nr, Rule::always(answer)))
}

/// A preset that denies some calls: everything else is allowed.
pub fn policy(calls: impl IntoIterator<Item = (u32, Rule)>) -> Policy {
    Policy::new(calls.into_iter().collect(), Verdict::ALLOW)
}
