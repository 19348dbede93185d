//! What went wrong, and the exit code that it means.
//!
//! A failure travels as an [`anyhow::Error`] whose root is a [`Failure`]; each caller that knows the intention adds it
//! as context, so that the whole reads like a line of strace under its purpose:
//! `bind /a on /b: mount_setattr: Operation not permitted (EPERM)`.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// The kinds of failure that callers of a tool can tell apart by exit code. One match, in [`exit_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tool itself failed or refused.
    Tool,
    /// The program was found but cannot be executed.
    NotExecutable,
    /// The program was not found.
    NotFound,
    /// Nothing is free now; the same call may succeed later (`EX_TEMPFAIL` of sysexits.h).
    TryAgain,
}

/// The root of an error: one fact, without the intention (that is context), with at most one hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// The fact. Arguments and paths in it have gone through [`crate::show`].
    pub text: String,
    /// The kernel's answer, where a system call failed.
    pub errno: Option<Errno>,
    /// What the user can do about it, where the cause is knowable.
    pub hint: Option<String>,
}

impl Failure {
    /// A refusal that no system call caused: a bad word, a combination that cannot work, a fact that forbids the plan.
    pub fn refusal(text: impl Into<String>) -> Self {
        Self { kind: Kind::Tool, text: text.into(), errno: None, hint: None }
    }

    /// A failed system call. The only constructor for these, so that no errno is lost.
    pub fn call(call: &str, errno: Errno) -> Self {
        Self { text: format!("{call}: {}", errno_text(errno)), errno: Some(errno), ..Self::refusal("") }
    }

    /// The same failure with another exit code.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same failure with a way out. The first hint stays: who knew the cause first, knew it best.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }
}

/// [`Failure::refusal`] as an error, its words as `format!` takes them: `refusal!("{name}: not a name")`.
#[macro_export]
macro_rules! refusal {
    ($($words:tt)*) => {
        $crate::failure::refused(::std::format!($($words)*))
    };
}

/// What [`refusal!`] makes.
pub fn refused(text: String) -> anyhow::Error {
    Failure::refusal(text).into()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// `Operation not permitted (EPERM)`: the words of strerror(3) and the name that manual pages use.
pub fn errno_text(errno: Errno) -> String {
    format!("{} ({errno:?})", errno.desc())
}

/// The exit code that an error means. 125, 126 and 127 as env(1) has them.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Failure>().map_or(Kind::Tool, |failure| failure.kind) {
        Kind::Tool => 125,
        Kind::NotExecutable => 126,
        Kind::NotFound => 127,
        Kind::TryAgain => 75,
    }
}

/// The errno at the root of an error, if a system call caused it.
pub fn errno_of(error: &anyhow::Error) -> Option<Errno> {
    error.downcast_ref::<Failure>().and_then(|failure| failure.errno)
}

/// Adds a hint to an error on its way up, where a caller knows the cause and the callee did not.
pub trait Hint: Sized {
    /// With this hint, unless there is one already.
    #[must_use]
    fn hint(self, hint: impl Into<String>) -> Self;

    /// With the hint that stands beside the errno of the system call that failed, if there is one:
    /// `error.hinted(&[(Errno::EPERM, "needs CAP_SYS_NICE")])`.
    #[must_use]
    fn hinted(self, hints: &[(Errno, &str)]) -> Self;
}

impl Hint for anyhow::Error {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(failure) = self.downcast_mut::<Failure>() {
            failure.hint.get_or_insert_with(|| hint.into());
        }
        self
    }

    fn hinted(self, hints: &[(Errno, &str)]) -> Self {
        match hints.iter().find(|(errno, _)| errno_of(&self) == Some(*errno)) {
            Some((_, hint)) => self.hint(*hint),
            None => self,
        }
    }
}

impl<T> Hint for crate::Result<T> {
    fn hint(self, hint: impl Into<String>) -> Self {
        self.map_err(|error| error.hint(hint))
    }

    fn hinted(self, hints: &[(Errno, &str)]) -> Self {
        self.map_err(|error| error.hinted(hints))
    }
}

/// Names the system call on a raw result: `mkdirat(...).call("mkdirat")?`.
pub trait Call<T> {
    /// Turns the errno into a [`Failure`] that names `call`.
    fn call(self, call: &str) -> crate::Result<T>;
}

impl<T> Call<T> for Result<T, Errno> {
    fn call(self, call: &str) -> crate::Result<T> {
        self.map_err(|errno| Failure::call(call, errno).into())
    }
}

impl<T> Call<T> for Result<T, rustix::io::Errno> {
    fn call(self, call: &str) -> crate::Result<T> {
        self.map_err(|errno| Failure::call(call, Errno::from_raw(errno.raw_os_error())).into())
    }
}

impl<T> Call<T> for io::Result<T> {
    fn call(self, call: &str) -> crate::Result<T> {
        self.map_err(|error| match error.raw_os_error() {
            Some(raw) => Failure::call(call, Errno::from_raw(raw)).into(),
            None => refusal!("{call}: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_error_reads_intention_call_words_and_name() {
        let error = Err::<(), _>(Errno::EPERM).call("mount_setattr").context("bind /a on /b").unwrap_err();
        assert_eq!(format!("{error:#}"), "bind /a on /b: mount_setattr: Operation not permitted (EPERM)");
        assert_eq!(exit_code(&error), 125);
        assert_eq!(errno_of(&error), Some(Errno::EPERM));
    }

    #[test]
    fn the_kind_decides_the_code_through_any_context() {
        for (kind, code) in [(Kind::Tool, 125), (Kind::NotExecutable, 126), (Kind::NotFound, 127), (Kind::TryAgain, 75)]
        {
            let error = anyhow::Error::new(Failure::refusal("x").kind(kind)).context("a").context("b");
            assert_eq!(exit_code(&error), code);
        }
    }

    #[test]
    fn a_hint_goes_with_its_errno() {
        let hints = [(Errno::EPERM, "a"), (Errno::EINVAL, "b")];
        let hint = |errno| {
            let error = Err::<(), _>(errno).call("x").hinted(&hints).unwrap_err();
            error.downcast_ref::<Failure>().unwrap().hint.clone()
        };
        assert_eq!((hint(Errno::EINVAL).as_deref(), hint(Errno::EACCES)), (Some("b"), None));
    }

    #[test]
    fn the_first_hint_stays() {
        let error = anyhow::Error::from(Failure::refusal("x").hint("first")).hint("second");
        assert_eq!(error.downcast_ref::<Failure>().unwrap().hint.as_deref(), Some("first"));
    }
}
