//! The one name of each step.

use std::fmt;

use crate::model::limit::{Limit, value_text};
use crate::model::setting::{Setting, Value};

/// One effect.
#[derive(Clone, Debug)]
pub enum Step {
    Limit(LimitStep),
    Setting(Setting, Value),
}

/// Setting one limit: soft and hard, both known.
#[derive(Clone, Debug)]
pub struct LimitStep {
    pub limit: Limit,
    pub soft: u64,
    pub hard: u64,
    /// The hard limit as it is, which an unprivileged process cannot raise.
    pub hard_now: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(LimitStep { limit, soft, hard, .. }) => {
                write!(f, "limit {} to {}:{}", limit.name, value_text(*soft), value_text(*hard))
            }
            Self::Setting(setting, value) => f.write_str(&setting.words(value)),
        }
    }
}

impl chain::Step for Step {
    fn call(&self) -> String {
        match self {
            Self::Limit(LimitStep { limit, soft, hard, .. }) => {
                format!("setrlimit({}, {{{}, {}}})", limit.kernel_name(), value_text(*soft), value_text(*hard))
            }
            Self::Setting(setting, value) => setting.call(value),
        }
    }
}
