//! What is set up in the new namespaces.

use std::ffi::OsStr;
use std::fmt;

use nix::mount::MsFlags;

/// What the caller's own ids become in the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// 0.
    Root,
    /// What they are outside.
    Same,
}

/// What the box is to the caller's shell (credentials(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Session {
    /// In the process group of the links.
    #[default]
    Shared,
    /// A process group of its own, with the terminal if the caller has it.
    Foreground,
    /// A session of its own, without a terminal.
    New,
    /// A session of its own, on a pseudo-terminal that is bridged to the caller's.
    Pty,
}

impl Session {
    /// The option that asks for it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Shared => "",
            Self::Foreground => "foreground",
            Self::New => "new-session",
            Self::Pty => "pty",
        }
    }
}

/// Whether mounts made on one side appear on the other (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    pub word: &'static str,
    /// The flag of mount(2); none where nothing is changed.
    pub flag: MsFlags,
}

impl Propagation {
    pub const PRIVATE: Self = Self { word: "private", flag: MsFlags::MS_PRIVATE };
    const ALL: [Self; 4] = [
        Self::PRIVATE,
        Self { word: "slave", flag: MsFlags::MS_SLAVE },
        Self { word: "shared", flag: MsFlags::MS_SHARED },
        Self { word: "unchanged", flag: MsFlags::empty() },
    ];

    pub fn named(word: &OsStr) -> Option<Self> {
        Self::ALL.into_iter().find(|known| word == known.word)
    }
}

/// Seconds that are added to the clocks of the box (time_namespaces(7)): CLOCK_MONOTONIC, and CLOCK_BOOTTIME, which
/// /proc/uptime shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    pub monotonic: Option<i64>,
    pub boottime: Option<i64>,
}

impl Offsets {
    pub fn given(self) -> impl Iterator<Item = (&'static str, i64)> {
        let all = [("monotonic", self.monotonic), ("boottime", self.boottime)];
        all.into_iter().filter_map(|(clock, offset)| Some((clock, offset?)))
    }

    /// The lines of /proc/PID/timens_offsets.
    pub fn lines(self) -> Vec<String> {
        self.given().map(|(clock, seconds)| format!("{clock} {seconds} 0")).collect()
    }
}

impl fmt::Display for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.given().map(|(clock, seconds)| format!("{clock} by {seconds:+} s"));
        f.write_str(&words.collect::<Vec<_>>().join(" and "))
    }
}
