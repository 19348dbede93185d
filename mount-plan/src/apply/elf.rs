//! Whether a program is a static ELF file: one whose loader nobody has to provide (elf(5)).

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use chain::{Call as _, Hint as _, Result, refusal};

/// PT_INTERP of elf(5): the program header that names the loader.
const PT_INTERP: u32 = 3;

/// Refuses what is not a static ELF program: a dynamic one would take its loader from the new root, a script its
/// interpreter.
pub fn refuse_dynamic(file: &File) -> Result<()> {
    let mut header = [0; 64];
    let length = file.read_at(&mut header, 0).call("read of the ELF header")?;
    let why = match headers(header.get(..length).unwrap_or_default()) {
        None => "not an ELF program of this byte order",
        Some(table) if has_interpreter(file, table)? => "a dynamic program, whose loader would come from the new root",
        Some(_) => return Ok(()),
    };
    Err(refusal!("{why}: only a static program can be carried across the root change")
        .hint("link it with -static, or give its path in the new root and --carry=no"))
}

/// Where the program headers are: offset, size of each, count. `None` where this is no ELF file.
fn headers(header: &[u8]) -> Option<(u64, u64, u64)> {
    let number = |at: usize, width: usize| -> Option<u64> {
        let bytes = header.get(at..at + width)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    // EI_DATA 1: little endian, as every machine that this is built for.
    match header {
        [0x7f, b'E', b'L', b'F', 2, 1, ..] => Some((number(32, 8)?, number(54, 2)?, number(56, 2)?)),
        [0x7f, b'E', b'L', b'F', 1, 1, ..] => Some((number(28, 4)?, number(42, 2)?, number(44, 2)?)),
        _ => None,
    }
}

fn has_interpreter(file: &File, (offset, size, count): (u64, u64, u64)) -> Result<bool> {
    for n in 0..count {
        let mut kind = [0; 4];
        file.read_exact_at(&mut kind, offset.saturating_add(n * size)).call("read of the program headers")?;
        if u32::from_le_bytes(kind) == PT_INTERP {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_and_a_text_are_refused() {
        let refused = |path: &str| format!("{:#}", refuse_dynamic(&File::open(path).unwrap()).unwrap_err());
        assert!(refused("/bin/sh").starts_with("a dynamic program"));
        assert!(refused("/etc/passwd").starts_with("not an ELF"));
        assert!(refused("/dev/null").starts_with("not an ELF"));
    }
}
