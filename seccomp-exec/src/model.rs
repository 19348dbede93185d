//! The nouns, pure: system calls, what a filter decides about them, who the payload is and what it keeps.

pub mod bpf;
pub mod calls;
pub mod capabilities;
pub mod constants;
pub mod filter;
pub mod ids;
pub mod landlock;
pub mod policy;
pub mod policy_text;
pub mod presets;
mod rules;
pub mod standard;
pub mod widths;
