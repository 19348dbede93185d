//! What else fails with a known cause: zfs(8) and cp(1) tell it in words, not by an errno.

use nix::errno::Errno;

/// Of a copy that fails.
pub const NOT_COPIED: &str = "--reference uses a tree in place, without reading it all";

/// Of root in a container that may not mount.
pub const MAY_NOT_MOUNT: [(Errno, &str); 1] = [(
    Errno::EPERM,
    "root copies only where it may mount (CAP_SYS_ADMIN): copy as the user who owns the tree, or use --reference",
)];

/// Of a dataset that stays busy.
pub const BUSY: &str = "some process, perhaps in another mount namespace, still uses it";
