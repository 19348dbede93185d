//! Names of leaves. One that the user did not name tells its owner, the cg-run that made it, so that another process can
//! tell later whether that run is still alive.

use chain::process::Identity;

/// The attribute that marks a leaf with a name of the user's.
pub const MARK: &str = "user.chainbox.owner";

/// What stands before the owner in the name of a leaf that the user did not name.
const PREFIX: &str = "chainbox-";

/// The leaf in which those wait that were in the parent (no-internal-process rule): cg-run itself, and who has started it.
/// All runs under that parent share it.
pub const CALLERS: &str = "chainbox-callers";

/// How to come to a cgroup that is delegated, as part of a hint.
pub const DELEGATED: &str =
    "systemd-run --user --scope -p Delegate=yes -- COMMAND (root: without --user; a service: Delegate=yes in its unit)";

/// The name of a leaf of this owner.
pub fn leaf(owner: &Identity) -> String {
    format!("{PREFIX}{owner}")
}

/// Reads the owner out of the name of a leaf; `None` for a name that is not of this form to the letter.
pub fn owner(name: &str) -> Option<Identity> {
    Identity::parse(name.strip_prefix(PREFIX)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Identity = Identity { pid: 12, start: 345, pid_namespace: 4_026_531_836, time_namespace: 0 };

    #[test]
    fn a_name_is_read_as_it_was_written() {
        assert_eq!(leaf(&OWNER), "chainbox-12-345-4026531836-0");
        assert_eq!(owner(&leaf(&OWNER)), Some(OWNER));
        let longest =
            Identity { pid: u32::MAX, start: 1 << 40, pid_namespace: u32::MAX.into(), time_namespace: 1 << 32 };
        assert!(leaf(&longest).len() <= 64);
    }

    #[test]
    fn no_other_name_is_ours() {
        for name in [
            "chainbox-12",
            "chainbox-12-345-1",
            "chainbox-12-345-1-2-3",
            "chainbox-012-345-1-2",
            "chainbox-12-345-1-2.self",
            CALLERS,
            "chainbox--1-345-1-2",
            "chainbox-4294967296-1-1-1",
            "box-12-345-1-2",
            "user.slice",
        ] {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
