//! What else fails with a known cause: zfs(8) and cp(1) tell it in words, not by an errno.

/// Of a copy that fails.
pub const NOT_COPIED: &str = "--reference uses a tree in place, without reading it all";

/// Of a dataset that stays busy.
pub const BUSY: &str = "some process, perhaps in another mount namespace, still uses it";
