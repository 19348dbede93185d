//! `mount-plan`: see the library, whose head is the manual.
#![no_main]

chain::entry!("mount-plan", mount_plan::run);
