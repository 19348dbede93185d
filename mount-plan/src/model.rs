//! The nouns: an entry of a plan, what is mounted by it, with which attributes and ids, and the program that crosses.

pub mod attributes;
pub mod crossing;
pub mod device;
pub mod entry;
pub mod idmap;
pub mod mount;
pub mod source;
