//! The nouns: the sixteen limits, and the settings besides them.

pub mod limit;
pub mod setting;
