//! The command line: who the payload is, what it keeps, and what filters it.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;

use chain::text::meant;
use chain::values::{descriptor, integer, open_descriptor};
use chain::{Hint as _, Requested, Result, refusal, show};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet};

use crate::model::capabilities;
use crate::model::ids::Ids;
use crate::model::landlock::{self, BIND, CONNECT, Grant, SCOPES};
use crate::model::presets::{self, Preset};
use crate::model::standard::{Standard, Stream};
use crate::table::Key;

/// What a filter is made of.
#[derive(Clone, Debug)]
pub enum Source {
    Preset(Preset),
    Text(OsString),
    Oci(OsString),
    /// A text policy on a descriptor, which is closed afterwards.
    TextFd(RawFd),
    /// A program, as the kernel takes it.
    Bpf(OsString),
    /// A program on a descriptor, which is closed afterwards.
    BpfFd(RawFd),
}

/// Which capabilities the payload keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Only(CapabilitySet),
    /// All that this process has but these.
    AllBut(CapabilitySet),
    /// The same, as root has them: an exec gives them to user 0, and passes them on to nobody else.
    RootBut(CapabilitySet),
}

impl Keep {
    /// What is kept by a process that has `permitted`.
    pub fn of(self, permitted: CapabilitySet) -> CapabilitySet {
        match self {
            Self::Only(these) => these,
            Self::AllBut(others) | Self::RootBut(others) => permitted - others,
        }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self::Only(CapabilitySet::empty())
    }
}

/// What is done instead of executing anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    Dump(Dump),
    /// Write the filter's bytes to a file.
    Compile(OsString),
    /// Say what the filters answer to the call that stands in PROG's place.
    Test,
}

/// How filters are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    Bpf,
    Json,
    Pfc,
    Policy,
}

/// What was requested.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The user namespace to be entered.
    pub userns_fd: Option<RawFd>,
    pub user: Option<Ids>,
    pub keep: Keep,
    pub securebits: Option<CapabilitiesSecureBits>,
    /// Whether no_new_privs stays as it is.
    pub allow_new_privs: bool,
    /// Whether PROG gets a session keyring of its own.
    pub new_keyring: bool,
    pub landlock: landlock::Requested,
    pub filters: Vec<Source>,
    /// Standard input, output and error.
    pub standard: Vec<Standard>,
    /// The exit status of a PROG that cannot be executed, where that is its own fault.
    pub not_executed: Option<u8>,
    pub log: bool,
    /// Where to write the policy that PROG needs.
    pub learn: Option<OsString>,
    /// The socket on which the listener of a filter that asks is sent.
    pub notify_fd: Option<RawFd>,
    pub instead: Option<Instead>,
}

pub fn request(options: &[Requested<Key>]) -> Result<Request> {
    let mut request = Request::default();
    for option in options {
        let value = option.value(0);
        match option.key {
            Key::UsernsFd => request.userns_fd = Some(open_descriptor("userns-fd", value)?),
            Key::User => request.user = Some(Ids::parse(value)?),
            Key::KeepCaps => request.keep = keep(value)?,
            Key::Securebits => request.securebits = Some(capabilities::securebits(value)?),
            Key::AllowNewPrivs => request.allow_new_privs = true,
            Key::NewKeyring => request.new_keyring = true,
            Key::LandlockRo => request.landlock.paths.push((Grant::RO, value.into())),
            Key::LandlockRx => request.landlock.paths.push((Grant::RX, value.into())),
            Key::LandlockRw => request.landlock.paths.push((Grant::RW, value.into())),
            Key::LandlockTcpBind => request.landlock.ports.push((BIND, port("landlock-tcp-bind", value)?)),
            Key::LandlockTcpConnect => request.landlock.ports.push((CONNECT, port("landlock-tcp-connect", value)?)),
            Key::LandlockScope => request.landlock.scopes |= scope(value)?,
            Key::LandlockIfSupported => request.landlock.if_supported = true,
            Key::Filter => request.filters.push(Source::Preset(preset(value)?)),
            Key::Policy => request.filters.push(policy_file(value)),
            Key::Oci => request.filters.push(Source::Oci(value.into())),
            Key::PolicyFd => request.filters.push(Source::TextFd(descriptor("policy-fd", value)?)),
            Key::Bpf => request.filters.push(Source::Bpf(value.into())),
            Key::BpfFd => request.filters.push(Source::BpfFd(descriptor("bpf-fd", value)?)),
            Key::Stdin => request.standard.push(Standard::File(Stream::Input, value.into())),
            Key::Stdout => request.standard.push(Standard::File(Stream::Output, value.into())),
            Key::Stderr => request.standard.push(Standard::File(Stream::Error, value.into())),
            Key::StderrToStdout => request.standard.push(Standard::ErrorToOutput),
            Key::NotExecuted => request.not_executed = Some(exit_status(value)?),
            Key::Log => request.log = true,
            Key::Learn => request.learn = Some(value.into()),
            Key::NotifyFd => request.notify_fd = Some(descriptor("notify-fd", value)?),
            Key::Dump => instead(&mut request, Instead::Dump(dump(value)?))?,
            Key::Compile => instead(&mut request, Instead::Compile(value.into()))?,
            Key::Test => instead(&mut request, Instead::Test)?,
        }
    }
    // Whatever their order: standard error goes where standard output then leads.
    request.standard.sort();
    if let [.., Standard::File(Stream::Error, _), Standard::ErrorToOutput] = request.standard.as_slice() {
        return Err(refusal!("--stderr and --stderr-to-stdout: one of them"));
    }
    match (&request.learn, request.notify_fd) {
        (Some(_), Some(_)) => Err(refusal!("--learn and --notify-fd: one of them")),
        _ => Ok(request),
    }
}

fn instead(request: &mut Request, new: Instead) -> Result<()> {
    match request.instead.replace(new) {
        None => Ok(()),
        Some(_) => Err(refusal!("--dump, --compile and --test: one of them")),
    }
}

/// A profile is known by its name's ending.
fn policy_file(path: &OsStr) -> Source {
    let json = path.as_encoded_bytes().ends_with(b".json");
    if json { Source::Oci(path.into()) } else { Source::Text(path.into()) }
}

fn keep(list: &OsStr) -> Result<Keep> {
    let mut words = list.to_str().unwrap_or_default().split(',');
    let all = match words.next() {
        Some("all") => Keep::AllBut,
        Some("root") => Keep::RootBut,
        _ => return capabilities::parse(list).map(Keep::Only),
    };
    let others: Option<Vec<&str>> = words.map(|word| word.strip_prefix('-')).collect();
    match others.as_deref() {
        Some([]) => Ok(all(CapabilitySet::empty())),
        Some(others) => capabilities::parse(others.join(",").as_ref()).map(all),
        None => Err(refusal!("--keep-caps {}: behind all and root only -NAME", show(list))),
    }
}

fn preset(name: &OsStr) -> Result<Preset> {
    let found = name.to_str().and_then(presets::find);
    found.ok_or_else(|| {
        let hint = meant(name, presets::NAMES, &format!("there are: {}", presets::NAMES.join(", ")));
        refusal!("--filter {}: no filter of that name", show(name)).hint(hint)
    })
}

fn exit_status(word: &OsStr) -> Result<u8> {
    let status = integer(word).filter(|status| *status > 0);
    status.ok_or_else(|| refusal!("--not-executed {}: not an exit status from 1 to 255", show(word)))
}

fn dump(form: &OsStr) -> Result<Dump> {
    let forms = [("pfc", Dump::Pfc), ("json", Dump::Json), ("policy", Dump::Policy), ("bpf", Dump::Bpf)];
    let found = forms.into_iter().find(|known| form == known.0).map(|known| known.1);
    found.ok_or_else(|| refusal!("--dump {}: pfc, json, policy or bpf", show(form)))
}

/// A port, or `none`, which only takes the right away. 0 is no port to connect to; to bind, it is any that is free.
fn port(option: &str, word: &OsStr) -> Result<Option<u16>> {
    if word == "none" {
        return Ok(None);
    }
    let port = integer(word).filter(|port| *port > 0 || option == "landlock-tcp-bind");
    port.map(Some).ok_or_else(|| refusal!("--{option} {}: not a TCP port, nor none", show(word)))
}

fn scope(word: &OsStr) -> Result<u64> {
    let found = SCOPES.iter().find(|scope| word == scope.name).map(|scope| scope.bit);
    found.ok_or_else(|| refusal!("--landlock-scope {}: signal or abstract-unix", show(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_scopes_are_what_they_are() {
        let read = |option: &str, word: &str| port(option, OsStr::new(word)).ok();
        assert_eq!(read("landlock-tcp-connect", "none"), Some(None));
        assert_eq!(["0", "65535"].map(|word| read("landlock-tcp-bind", word)), [Some(Some(0)), Some(Some(65535))]);
        for (option, word) in
            [("connect", "0"), ("connect", "65536"), ("connect", "http"), ("connect", ""), ("bind", "-1")]
        {
            assert_eq!(read(&format!("landlock-tcp-{option}"), word), None, "{option} {word}");
        }
        assert!(scope(OsStr::new("signals")).is_err());
    }
}
