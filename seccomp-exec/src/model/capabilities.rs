//! Capabilities and securebits by their names (capabilities(7), setpriv(1)). A set holds bits, so that a capability newer
//! than any table is dropped like the others.

use std::ffi::OsStr;
use std::str::FromStr as _;

use caps::Capability;
use chain::privilege::each;
use chain::{Hint as _, Result, refusal, show};
use rustix::thread::{CapabilitiesSecureBits as Bits, CapabilitySet};

/// The capability of a name as the kernel's header has it: `CAP_NET_RAW`.
pub fn named(name: &str) -> Option<CapabilitySet> {
    Some(CapabilitySet::from_bits_retain(Capability::from_str(name).ok()?.bitmask()))
}

/// Reads a list of names, with or without `CAP_`, in either case: `net_raw,chown`.
pub fn parse(list: &OsStr) -> Result<CapabilitySet> {
    let unknown = |word: &OsStr| {
        refusal!("--keep-caps: {} is no capability", show(word))
            .hint("names as in capabilities(7), separated by commas: net_bind_service,chown; or all")
    };
    let one = |name: &str| {
        let upper = name.to_ascii_uppercase();
        named(&if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") })
            .ok_or_else(|| unknown(name.as_ref()))
    };
    list.to_str().ok_or_else(|| unknown(list))?.split(',').map(one).collect()
}

/// `net_raw,chown`, `none`, or `cap_63` for one without a name.
pub fn names(set: CapabilitySet) -> String {
    let names: Vec<String> = each(set).map(|one| name(one.bits().trailing_zeros())).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

fn name(number: u32) -> String {
    let known = caps::all().into_iter().find(|cap| u32::from(cap.index()) == number);
    known.map_or_else(|| format!("cap_{number}"), |cap| cap.to_string().trim_start_matches("CAP_").to_ascii_lowercase())
}

/// Without `keep_caps`, which exec clears.
const SECUREBITS: [(&str, Bits); 7] = [
    ("noroot", Bits::NO_ROOT),
    ("noroot_locked", Bits::NO_ROOT_LOCKED),
    ("no_setuid_fixup", Bits::NO_SETUID_FIXUP),
    ("no_setuid_fixup_locked", Bits::NO_SETUID_FIXUP_LOCKED),
    ("keep_caps_locked", Bits::KEEP_CAPS_LOCKED),
    ("no_cap_ambient_raise", Bits::NO_CAP_AMBIENT_RAISE),
    ("no_cap_ambient_raise_locked", Bits::NO_CAP_AMBIENT_RAISE_LOCKED),
];

pub fn securebits(list: &OsStr) -> Result<Bits> {
    let find = |name: &str| SECUREBITS.iter().find(|known| known.0 == name).map(|known| known.1);
    let bits = list.to_str().and_then(|names| names.split(',').map(find).collect::<Option<_>>());
    bits.ok_or_else(|| {
        refusal!("--securebits {}: not a list of securebits", show(list))
            .hint(format!("there are: {}", SECUREBITS.map(|known| known.0).join(", ")))
    })
}

pub fn securebit_names(bits: Bits) -> String {
    let names: Vec<_> = SECUREBITS.iter().filter(|known| bits.contains(known.1)).map(|known| known.0).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_usual_spelling() {
        let both = CapabilitySet::SETPCAP | CapabilitySet::SYS_ADMIN;
        for list in ["setpcap,sys_admin", "CAP_SYS_ADMIN,CAP_SETPCAP", "cap_setpcap,sys_admin,setpcap"] {
            assert_eq!(parse(OsStr::new(list)).unwrap(), both);
        }
        assert_eq!(names(both), "setpcap,sys_admin");
        assert_eq!(names(CapabilitySet::from_bits_retain(1 << 63)), "cap_63");
    }

    #[test]
    fn the_numbers_of_the_constants_are_the_kernels() {
        for (name, set) in [
            ("setgid", CapabilitySet::SETGID),
            ("setuid", CapabilitySet::SETUID),
            ("setpcap", CapabilitySet::SETPCAP),
            ("sys_admin", CapabilitySet::SYS_ADMIN),
        ] {
            assert_eq!(parse(OsStr::new(name)).unwrap(), set);
        }
        assert_eq!(CapabilitySet::all().bits(), u64::MAX, "also those that no kernel has yet");
    }

    #[test]
    fn what_is_no_capability_is_refused() {
        for bad in ["", "net_raw,", "net-raw", "cap_cap_net_raw", "8", " net_raw", "all,net_raw"] {
            assert!(parse(OsStr::new(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn securebits_are_read_and_named() {
        let list = "noroot,noroot_locked,no_cap_ambient_raise";
        assert_eq!(securebit_names(securebits(OsStr::new(list)).unwrap()), list);
        for bad in ["", "noroot,", "root", "keep_caps", "noroot,-noroot"] {
            assert!(securebits(OsStr::new(bad)).is_err(), "{bad:?}");
        }
    }
}
