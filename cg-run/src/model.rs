//! The nouns of a run. Pure: limits, what a run used, what became of it, and the texts that say so.

pub mod accounts;
pub mod deadline;
pub mod leaf;
pub mod limit;
pub mod loan;
pub mod report;
pub mod verdict;
