//! The filters that have a name.
//!
//! A call that is denied answers EPERM; one that nobody should count on, or that is not known, ENOSYS, which makes
//! libraries fall back.

mod covert;
pub mod default;
mod guards;
mod judge;
mod setuid;

use super::policy::Policy;

#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// As `--filter` takes it.
    pub name: &'static str,
    pub policy: fn() -> Policy,
}

const fn preset(name: &'static str, policy: fn() -> Policy) -> Preset {
    Preset { name, policy }
}

/// The one list of presets; what each does is in the manual, section FILTERS.
pub const PRESETS: [Preset; 10] = [
    preset("default", default::policy),
    preset("tty-guard", guards::tty_guard),
    preset("no-userns", guards::no_userns),
    preset("no-setuid", setuid::no_setuid),
    preset("no-fd-passing", guards::no_fd_passing),
    preset("no-covert", covert::no_covert),
    preset("no-inotify", covert::no_inotify),
    preset("judge", judge::judge),
    preset("strict", judge::strict),
    preset(TCP_GUARD, guards::tcp_guard),
];

/// The filter that comes with Landlock's rights on TCP.
pub const TCP_GUARD: &str = "tcp-guard";

/// Their names.
pub const NAMES: [&str; PRESETS.len()] = {
    let mut names = [""; PRESETS.len()];
    let (mut presets, mut rest): (&[Preset], &mut [&str]) = (&PRESETS, &mut names);
    while let ([preset, others @ ..], [name, more @ ..]) = (presets, rest) {
        *name = preset.name;
        (presets, rest) = (others, more);
    }
    names
};

pub fn find(name: &str) -> Option<Preset> {
    PRESETS.into_iter().find(|preset| preset.name == name)
}
