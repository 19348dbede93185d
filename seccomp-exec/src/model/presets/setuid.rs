//! `no-setuid`: no file gets a set-user-ID or set-group-ID bit. What a box leaves in a folder of the host would otherwise
//! be a program that gives its caller the rights of the user who made the box.
//!
//! The same calls as systemd's RestrictSUIDSGID. Bits that are there already stay, and what is copied or unpacked with such
//! bits fails; so does `chmod g+s` of a folder.

use nix::libc;

use super::guards::RINGS;
use crate::model::calls::number_of;
use crate::model::policy::{Clause, Policy, Test, Verdict};
use crate::model::rules::{all, denied, numbers, policy, rule};

const BITS: u32 = libc::S_ISUID | libc::S_ISGID;

/// With these open(2) makes a file and reads its third argument; an unnamed one (O_TMPFILE) gets its name by linkat(2).
/// __O_TMPFILE of asm-generic/fcntl.h is the bit that O_TMPFILE has beyond O_DIRECTORY.
const MAKES: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;

static MODE_IN_1: [Clause; 1] = [denied(&[Test::any_bit(1, BITS)])];
static MODE_IN_2: [Clause; 1] = [denied(&[Test::any_bit(2, BITS)])];
static OPEN: [Clause; 1] = [denied(&[Test::any_bit(1, MAKES), Test::any_bit(2, BITS)])];
static OPENAT: [Clause; 1] = [denied(&[Test::any_bit(2, MAKES), Test::any_bit(3, BITS)])];

const IN_1: [u32; 5] = numbers(["chmod", "creat", "fchmod", "mkdir", "mknod"]);
const IN_2: [u32; 4] = numbers(["fchmodat", "fchmodat2", "mkdirat", "mknodat"]);

pub fn no_setuid() -> Policy {
    // The mode of openat2 lies in memory, and rings open files past any filter: without them callers take openat.
    let missing = all([const { number_of("openat2") }].into_iter().chain(RINGS), Verdict::MISSING);
    let in_1 = IN_1.into_iter().map(|nr| (nr, rule(&MODE_IN_1, Verdict::ALLOW)));
    let in_2 = IN_2.into_iter().map(|nr| (nr, rule(&MODE_IN_2, Verdict::ALLOW)));
    let opening = [
        (const { number_of("open") }, rule(&OPEN, Verdict::ALLOW)),
        (const { number_of("openat") }, rule(&OPENAT, Verdict::ALLOW)),
    ];
    policy(missing.chain(in_1).chain(in_2).chain(opening))
}
