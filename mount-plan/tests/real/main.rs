//! `mount-plan` for real: in mount namespaces of its own, as root and as an ordinary user in a user namespace.
//! util-linux's unshare(1) makes the namespaces, so that nothing here depends on another link of the chain.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in what several tests share"
)]

mod changes;
mod crossing;
mod descriptors;
mod dialects;
mod entries;
mod flips;
mod hints;
mod idmap;
mod images;
mod incidents;
mod links;
mod locked;
mod owners;
mod plans;
mod private;
mod refusals;
mod support;
mod uses;
mod wipe;
