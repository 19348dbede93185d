//! The one name of each step.

use std::fmt;

use crate::limit::{Limit, value_text};
use crate::setting::Setting;

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A limit.
    Limit(LimitStep),
    /// Another setting.
    Setting(Setting),
}

/// Setting one limit: soft and hard, both known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStep {
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
        match self {
            Self::Limit(step) => {
                write!(f, "limit {} to {}:{}", step.limit.name, value_text(step.soft), value_text(step.hard))
            }
            Self::Setting(setting) => setting.fmt(f),
        }
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        match self {
            Self::Limit(step) => {
                format!(
                    "setrlimit({}, {{{}, {}}})",
                    step.limit.kernel_name(),
                    value_text(step.soft),
                    value_text(step.hard)
                )
            }
            Self::Setting(setting) => setting.call(),
        }
    }
}
