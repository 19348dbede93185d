//! Landlock as data: which rights there are, since which ABI, and the ruleset that a request means.
//!
//! A ruleset *handles* rights: it takes each of them away everywhere, and rules give some back for a path or a port.
//! The kind of option decides what is handled: any path option handles every right on files, a port option the one
//! right that it is about, a scope itself. So nothing is restricted that nobody requested, and what was requested is
//! restricted whole.

use std::ffi::OsString;

use chain::sys::landlock::Rights;

/// One right: its bit, and the ABI that brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// As landlock(7) has it, in lower case.
    pub name: &'static str,
    pub bit: u64,
    /// The first ABI that has it.
    pub abi: u32,
}

const fn right(name: &'static str, bit: u64, abi: u32) -> Right {
    Right { name, bit, abi }
}

/// The rights on files, LANDLOCK_ACCESS_FS_*.
pub const FILES: [Right; 16] = [
    right("execute", 1, 1),
    right("write_file", 1 << 1, 1),
    right("read_file", 1 << 2, 1),
    right("read_dir", 1 << 3, 1),
    right("remove_dir", 1 << 4, 1),
    right("remove_file", 1 << 5, 1),
    right("make_char", 1 << 6, 1),
    right("make_dir", 1 << 7, 1),
    right("make_reg", 1 << 8, 1),
    right("make_sock", 1 << 9, 1),
    right("make_fifo", 1 << 10, 1),
    right("make_block", 1 << 11, 1),
    right("make_sym", 1 << 12, 1),
    right("refer", 1 << 13, 2),
    right("truncate", 1 << 14, 3),
    right("ioctl_dev", 1 << 15, 5),
];

/// The rights on ports, LANDLOCK_ACCESS_NET_*.
pub const PORTS: [Right; 2] = [right("bind_tcp", BIND, 4), right("connect_tcp", CONNECT, 4)];

/// The scopes, LANDLOCK_SCOPE_*, by the words of `--landlock-scope`.
pub const SCOPES: [Right; 2] = [right("abstract-unix", 1, 6), right("signal", 2, 6)];

pub const BIND: u64 = 1;
pub const CONNECT: u64 = 2;

pub const ALL_FILES: u64 = 0xffff;
/// What a file that is no folder can have: execute, write_file, read_file, truncate, ioctl_dev.
pub const ON_A_FILE: u64 = 0b1100_0000_0000_0111;

const EXECUTE: u64 = 1;
const READ: u64 = 0b1100;

/// What an option grants below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The option's last word.
    pub name: &'static str,
    /// LANDLOCK_ACCESS_FS_* bits.
    pub bits: u64,
}

impl Grant {
    /// Read files, list folders.
    pub const RO: Self = Self { name: "ro", bits: READ };
    /// That, and execute.
    pub const RX: Self = Self { name: "rx", bits: READ | EXECUTE };
    /// Everything but execute.
    pub const RW: Self = Self { name: "rw", bits: ALL_FILES & !EXECUTE };
}

/// What was requested of Landlock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    pub paths: Vec<(Grant, OsString)>,
    /// What may be done with a port, LANDLOCK_ACCESS_NET_*; without a port the right is only taken away.
    pub ports: Vec<(u64, Option<u16>)>,
    /// LANDLOCK_SCOPE_* bits.
    pub scopes: u64,
    /// Do without what the kernel lacks.
    pub if_supported: bool,
}

/// A ruleset for one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    pub abi: u32,
    /// What is taken away.
    pub handled: Rights,
    pub paths: Vec<(Grant, OsString)>,
    pub ports: Vec<(u64, u16)>,
}

impl Requested {
    pub fn is_anything(&self) -> bool {
        self.rights() != Rights::default()
    }

    /// The rights that are to be handled, whatever the kernel.
    pub fn rights(&self) -> Rights {
        let net = self.ports.iter().fold(0, |bits, (right, _)| bits | right);
        Rights { fs: if self.paths.is_empty() { 0 } else { ALL_FILES }, net, scoped: self.scopes }
    }

    /// The ruleset that a kernel of this ABI can have.
    pub fn ruleset(&self, abi: u32) -> Ruleset {
        let requested = self.rights();
        let allowed = self.ports.iter().filter_map(|(right, port)| Some((*right, (*port)?)));
        let handled = Rights {
            fs: requested.fs & offered(&FILES, abi),
            net: requested.net & offered(&PORTS, abi),
            scoped: requested.scoped & offered(&SCOPES, abi),
        };
        Ruleset {
            abi,
            handled,
            paths: if handled.fs == 0 { vec![] } else { self.paths.clone() },
            ports: allowed.filter(|(right, _)| handled.net & right != 0).collect(),
        }
    }

    /// The rights that this ABI does not have.
    pub fn lost(&self, abi: u32) -> Vec<Right> {
        let requested = self.rights();
        let all = [(requested.fs, FILES.as_slice()), (requested.net, &PORTS), (requested.scoped, &SCOPES)];
        let lost = |right: &&Right, bits: u64| bits & right.bit != 0 && right.abi > abi;
        all.into_iter()
            .flat_map(|(bits, rights)| rights.iter().filter(move |right| lost(right, bits)))
            .copied()
            .collect()
    }
}

impl Ruleset {
    pub fn is_empty(&self) -> bool {
        self.handled == Rights::default()
    }

    /// Whether TCP is restricted, so that other protocols that end in TCP must be out of reach.
    pub fn is_about_tcp(&self) -> bool {
        self.handled.net != 0
    }
}

fn offered(rights: &[Right], abi: u32) -> u64 {
    rights.iter().filter(|right| right.abi <= abi).fold(0, |bits, right| bits | right.bit)
}

/// `truncate, ioctl_dev`.
pub fn names(rights: &[Right]) -> String {
    rights.iter().map(|right| right.name).collect::<Vec<_>>().join(", ")
}

/// The Linux version that brought an ABI.
pub fn since(abi: u32) -> &'static str {
    let versions = ["5.13", "5.13", "5.19", "6.2", "6.7", "6.10"];
    usize::try_from(abi).ok().and_then(|abi| versions.get(abi).copied()).unwrap_or("6.12")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_is_there_once() {
        assert_eq!(FILES.iter().fold(0, |all, right| all ^ right.bit), ALL_FILES);
        assert_eq!(offered(&FILES, 1).count_ones(), 13);
        assert_eq!((offered(&FILES, 7), offered(&PORTS, 3), offered(&SCOPES, 6)), (ALL_FILES, 0, 3));
        assert_eq!(ALL_FILES & !Grant::RW.bits, EXECUTE);
    }

    #[test]
    fn only_what_was_requested_is_handled() {
        let paths = Requested { paths: vec![(Grant::RO, "/".into())], ..Requested::default() };
        assert_eq!(paths.rights(), Rights { fs: ALL_FILES, net: 0, scoped: 0 });
        let connect = Requested { ports: vec![(CONNECT, Some(80))], ..Requested::default() };
        assert_eq!(connect.rights(), Rights { fs: 0, net: CONNECT, scoped: 0 });
        assert_eq!(connect.ruleset(4).ports, [(CONNECT, 80)]);
        assert!(!Requested::default().is_anything());
    }

    #[test]
    fn what_a_kernel_lacks_is_named() {
        let all = Requested {
            paths: vec![(Grant::RW, "/tmp".into())],
            ports: vec![(BIND, None)],
            scopes: 3,
            ..Requested::default()
        };
        assert_eq!(names(&all.lost(2)), "truncate, ioctl_dev, bind_tcp, abstract-unix, signal");
        assert_eq!(names(&all.lost(5)), "abstract-unix, signal");
        assert!(all.lost(6).is_empty());
        assert!(all.ruleset(0).is_empty());
        assert_eq!(all.ruleset(3).handled, Rights { fs: 0x7fff, net: 0, scoped: 0 });
    }
}
