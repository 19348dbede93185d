//! The only effects: steps, each read back where the kernel could have done less, and the processes that do them.

mod bridge;
mod channel;
mod first_root;
mod foreground;
mod handshake;
mod in_place;
mod init;
mod join;
mod map_helper;
mod outside;
mod pin;
mod placeholder;
mod proc;
mod steps;
mod stops;

use chain::{Common, Result};

use crate::look::program::Program;
use crate::plan::{Plan, Residence};

/// Enters the namespaces and executes the program. Returns where a process of this tool stayed, or has printed already
/// what went wrong.
pub fn start(common: &Common, plan: &Plan, program: Program) -> Result<u8> {
    match plan.residence {
        Residence::Nobody => in_place::enter(common, plan, program),
        Residence::Parent | Residence::Init => outside::start(common, plan, program),
    }
}
