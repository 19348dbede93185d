//! Character devices of the host that a box may have.

/// A character device by its numbers (Documentation/admin-guide/devices.txt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where the host has it.
    pub path: &'static str,
    /// Its name below /dev.
    pub name: &'static str,
    pub major: u32,
    pub minor: u32,
}

const fn memory(path: &'static str, name: &'static str, minor: u32) -> Device {
    Device { path, name, major: 1, minor }
}

/// The null device, which also masks files.
pub const NULL: Device = memory("/dev/null", "null", 3);

/// The devices of a minimal /dev.
pub const DEVICES: [Device; 6] = [
    NULL,
    memory("/dev/zero", "zero", 5),
    memory("/dev/full", "full", 7),
    memory("/dev/random", "random", 8),
    memory("/dev/urandom", "urandom", 9),
    Device { path: "/dev/tty", name: "tty", major: 5, minor: 0 },
];
