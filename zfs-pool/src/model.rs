//! The nouns of a pool. Pure: names, templates, versions, clones, leases, and the marks that say what is ours.

pub mod holder;
pub mod kept;
pub mod mark;
pub mod name;
pub mod pool;
