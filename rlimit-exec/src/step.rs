//! The one name of each step.

use std::fmt;

use crate::limit::{Limit, value_text};

/// Setting one limit: soft and hard, both known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub limit: Limit,
    /// The new soft limit.
    pub soft: u64,
    /// The new hard limit.
    pub hard: u64,
    /// The hard limit as it is, which an unprivileged process cannot raise.
    pub hard_now: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {} to {}:{}", self.limit.name, value_text(self.soft), value_text(self.hard))
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        format!("setrlimit({}, {{{}, {}}})", self.limit.kernel_name(), value_text(self.soft), value_text(self.hard))
    }
}
