//! A filter that is to be attached.

use super::bpf::Insn;
use super::policy::Policy;
use super::presets::Preset;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub name: String,
    pub content: Content,
}

/// What is known of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Policy(Policy),
    /// A program that was compiled elsewhere: only its answers are known.
    Program(Vec<Insn>),
}

impl Filter {
    pub fn of(name: impl Into<String>, policy: Policy) -> Self {
        Self { name: name.into(), content: Content::Policy(policy) }
    }

    pub fn preset(preset: Preset) -> Self {
        Self::of(preset.name, (preset.policy)())
    }

    pub fn policy(&self) -> Option<&Policy> {
        if let Content::Policy(policy) = &self.content { Some(policy) } else { None }
    }
}
