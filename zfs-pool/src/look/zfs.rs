//! The `zfs` backend: a pool is a dataset, a clone is a ZFS clone, and the state of a clone is its name.
//!
//! ```text
//! POOL                      chainbox:pool=1
//! POOL/T                    chainbox:template=T  chainbox:target=N  chainbox:kept=...  chainbox:quota=BYTES
//!                           setuid=off devices=off mountpoint=none
//! POOL/T/root               the tree to edit, mounted; its snapshots root@vN (chainbox:version=N) are the versions
//! POOL/T/free-ID            chainbox:clone=ID, not mounted
//! POOL/T/leased-ID:HOLDER   the same after one `zfs rename`, which has one winner; mounted; HOLDER as in crate::model::holder
//! ```
//!
//! The holder stands in the name, so that claim and note are one step: no moment is left in which a leased clone has
//! no holder. Everything is done by zfs(8), with the verbs that zfs-fuse 0.7 and OpenZFS have in common; nothing is ever
//! destroyed recursively (-r, -R), and a clone only if it is a child of the template, carries the mark with its own id,
//! and comes from a version of the template.

pub mod cli;
pub mod clones;
pub mod pool;
pub mod templates;
