//! `zfs-pool`: see the library, whose head is the manual.
#![no_main]

chain::entry!("zfs-pool", zfs_pool::run);
