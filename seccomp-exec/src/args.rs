//! The command line: who the payload is, what it keeps, and what filters it.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;

use chain::Requested;
use chain::{Failure, Result, show};
use rustix::thread::CapabilitiesSecureBits as Bits;

use crate::capset::CapSet;
use crate::filters::Source;
use crate::ids::Ids;
use crate::landlock::{Grant, Wanted, add_port, scope};
use crate::presets::{self, PRESETS, Preset};
use crate::table::Key;

/// Which capabilities the payload keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Only these.
    Only(CapSet),
    /// All that this process has.
    All,
}

/// What is done instead of executing anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Print the filters.
    Dump(Dump),
    /// Write the filter's bytes to a file.
    Compile(OsString),
    /// Say what the filters answer to the call that stands in PROG's place.
    Test,
}

/// How filters are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// The bytes that seccomp(2) takes.
    Bpf,
    /// An object for each filter.
    Json,
    /// A line for each instruction.
    Pfc,
    /// The text policy that means the same.
    Policy,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Other ids than the present ones.
    pub user: Option<Ids>,
    /// Capabilities of the payload.
    pub keep: Keep,
    /// Securebits to set.
    pub securebits: Bits,
    /// Whether no_new_privs stays as it is.
    pub allow_new_privs: bool,
    /// Whether PROG gets a session keyring of its own.
    pub new_keyring: bool,
    /// What Landlock is to restrict.
    pub landlock: Wanted,
    /// Filters, the first is attached first.
    pub filters: Vec<Source>,
    /// Whether the filters log instead of refusing.
    pub log: bool,
    /// Where to write the policy that PROG needs.
    pub learn: Option<OsString>,
    /// The socket on which the listener of a filter that asks is sent.
    pub notify_fd: Option<RawFd>,
    /// Print the filters and do nothing else.
    pub instead: Option<Instead>,
}

impl Request {
    /// What is asked for without options.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            user: None,
            keep: Keep::Only(CapSet::EMPTY),
            securebits: Bits::empty(),
            allow_new_privs: false,
            new_keyring: false,
            landlock: Wanted::default(),
            filters: vec![],
            log: false,
            learn: None,
            notify_fd: None,
            instead: None,
        }
    }
}

/// What the options mean.
///
/// # Errors
/// A value that its option cannot have.
pub fn request(given: &[Requested<Key>]) -> Result<Request> {
    let mut request = Request::nothing();
    for said in given {
        let value = said.value(0);
        match said.key {
            Key::User => request.user = Some(Ids::parse(value)?),
            Key::KeepCaps => request.keep = keep(value)?,
            Key::Securebits => request.securebits = securebits(value)?,
            Key::AllowNewPrivs => request.allow_new_privs = true,
            Key::NewKeyring => request.new_keyring = true,
            Key::LandlockRo => request.landlock.paths.push((Grant::Ro, value.into())),
            Key::LandlockRx => request.landlock.paths.push((Grant::Rx, value.into())),
            Key::LandlockRw => request.landlock.paths.push((Grant::Rw, value.into())),
            Key::LandlockTcpBind => add_port(&mut request.landlock.bind, "landlock-tcp-bind", value)?,
            Key::LandlockTcpConnect => add_port(&mut request.landlock.connect, "landlock-tcp-connect", value)?,
            Key::LandlockScope => request.landlock.scopes |= scope(value)?,
            Key::LandlockIfSupported => request.landlock.if_supported = true,
            Key::Filter => request.filters.push(Source::Preset(preset(value)?)),
            Key::Policy => request.filters.push(policy_file(value)),
            Key::Oci => request.filters.push(Source::Oci(value.into())),
            Key::PolicyFd => request.filters.push(Source::TextFd(descriptor("policy-fd", value)?)),
            Key::Bpf => request.filters.push(Source::Bpf(value.into())),
            Key::BpfFd => request.filters.push(Source::BpfFd(descriptor("bpf-fd", value)?)),
            Key::Log => request.log = true,
            Key::Learn => request.learn = Some(value.into()),
            Key::NotifyFd => request.notify_fd = Some(descriptor("notify-fd", value)?),
            Key::Dump => instead(&mut request, Instead::Dump(dump(value)?))?,
            Key::Compile => instead(&mut request, Instead::Compile(value.into()))?,
            Key::Test => instead(&mut request, Instead::Test)?,
        }
    }
    match (&request.learn, request.notify_fd) {
        (Some(_), Some(_)) => Err(Failure::refusal("--learn and --notify-fd: one of them").into()),
        _ => Ok(request),
    }
}

fn instead(request: &mut Request, wanted: Instead) -> Result<()> {
    match request.instead.replace(wanted) {
        None => Ok(()),
        Some(_) => Err(Failure::refusal("--dump, --compile and --test: one of them").into()),
    }
}

/// A profile is known by its name's ending.
fn policy_file(path: &OsStr) -> Source {
    let json = path.as_encoded_bytes().ends_with(b".json");
    if json { Source::Oci(path.into()) } else { Source::Text(path.into()) }
}

fn descriptor(option: &str, word: &OsStr) -> Result<RawFd> {
    let number = chain::values::number(word).and_then(|number| RawFd::try_from(number).ok());
    number.ok_or_else(|| Failure::refusal(format!("--{option} {}: not a descriptor", show(word))).into())
}

fn keep(list: &OsStr) -> Result<Keep> {
    if list == "all" { Ok(Keep::All) } else { CapSet::parse(list).map(Keep::Only) }
}

fn preset(name: &OsStr) -> Result<Preset> {
    let found = name.to_str().and_then(presets::find);
    found.ok_or_else(|| {
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        Failure::refusal(format!("--filter {}: no filter of that name", show(name)))
            .hint(format!("there are: {}", names.join(", ")))
            .into()
    })
}

fn dump(form: &OsStr) -> Result<Dump> {
    match form.to_str() {
        Some("bpf") => Ok(Dump::Bpf),
        Some("json") => Ok(Dump::Json),
        Some("pfc") => Ok(Dump::Pfc),
        Some("policy") => Ok(Dump::Policy),
        _ => Err(Failure::refusal(format!("--dump {}: pfc, json, policy or bpf", show(form))).into()),
    }
}

/// The names of setpriv(1), without `keep_caps`, which exec clears.
const SECUREBITS: [(&str, Bits); 7] = [
    ("noroot", Bits::NO_ROOT),
    ("noroot_locked", Bits::NO_ROOT_LOCKED),
    ("no_setuid_fixup", Bits::NO_SETUID_FIXUP),
    ("no_setuid_fixup_locked", Bits::NO_SETUID_FIXUP_LOCKED),
    ("keep_caps_locked", Bits::KEEP_CAPS_LOCKED),
    ("no_cap_ambient_raise", Bits::NO_CAP_AMBIENT_RAISE),
    ("no_cap_ambient_raise_locked", Bits::NO_CAP_AMBIENT_RAISE_LOCKED),
];

fn securebits(list: &OsStr) -> Result<Bits> {
    let find = |name: &str| SECUREBITS.iter().find(|known| known.0 == name).map(|known| known.1);
    let bits = list.to_str().and_then(|names| names.split(',').map(find).collect::<Option<Vec<_>>>());
    let refused = || {
        let names: Vec<_> = SECUREBITS.iter().map(|known| known.0).collect();
        Failure::refusal(format!("--securebits {}: not a list of securebits", show(list)))
            .hint(format!("there are: {}", names.join(", ")))
    };
    bits.map(|bits| bits.into_iter().collect()).ok_or_else(|| refused().into())
}

/// Securebits by name, for messages.
#[must_use]
pub fn securebits_text(bits: Bits) -> String {
    let names: Vec<_> = SECUREBITS.iter().filter(|known| bits.contains(known.1)).map(|known| known.0).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn securebits_are_read_and_named() {
        let list = "noroot,noroot_locked,no_cap_ambient_raise";
        assert_eq!(securebits_text(securebits(OsStr::new(list)).unwrap()), list);
        for bad in ["", "noroot,", "root", "keep_caps", "noroot,-noroot"] {
            assert!(securebits(OsStr::new(bad)).is_err(), "{bad:?}");
        }
    }
}
