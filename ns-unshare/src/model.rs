//! The nouns of the layer, and how they are written on a command line.

pub mod join;
pub mod map;
pub mod namespace;
pub mod placeholder;
pub mod setup;
