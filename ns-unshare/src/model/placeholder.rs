//! What a placeholder is known by.

/// The mode of a file that is one: nobody has an empty file of this mode by accident.
pub const FILE: u32 = 0o1444;

/// The mode of a folder that is one.
pub const FOLDER: u32 = 0o1755;

/// Whether a file with this mode (`st_mode`) and size is a placeholder.
#[must_use]
pub fn is_placeholder(mode: u32, size: u64) -> bool {
    const KIND: u32 = 0o170_000;
    match (mode & KIND, mode & 0o7777) {
        (0o100_000, FILE) => size == 0,
        (0o040_000, FOLDER) => true,
        _ => false,
    }
}
