//! What a program says of its loader (elf(5)).

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::{Call as _, Result};

/// PT_INTERP of elf(5): the program header that names the loader.
const PT_INTERP: u64 = 3;

/// The longest path that the kernel takes, PATH_MAX.
const LONGEST: u64 = 4096;

/// By what a file is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loader {
    /// It is no ELF file of this byte order.
    NotElf,
    /// By the kernel alone: the program is static.
    Kernel,
    /// By the one with this path.
    Path(PathBuf),
}

/// The loader that a file names.
pub fn loader(file: &File) -> Result<Loader> {
    let mut header = [0; 64];
    let length = file.read_at(&mut header, 0).call("read of the ELF header")?;
    let Some(headers) = Headers::of(header.get(..length).unwrap_or_default()) else { return Ok(Loader::NotElf) };
    for n in 0..headers.count {
        let mut header = [0; 40];
        let header = header.get_mut(..headers.length).unwrap_or_default();
        file.read_exact_at(header, headers.offset.saturating_add(n * headers.size)).call("read of a program header")?;
        if number(header, 0, 4) == Some(PT_INTERP) {
            let [at, size] = headers.segment.map(|(at, width)| number(header, at, width).unwrap_or_default());
            let mut path = vec![0; usize::try_from(size.min(LONGEST)).unwrap_or_default()];
            file.read_exact_at(&mut path, at).call("read of the loader's path")?;
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            path.truncate(end);
            return Ok(Loader::Path(OsString::from_vec(path).into()));
        }
    }
    Ok(Loader::Kernel)
}

/// Where the program headers are, and what is where in one of them.
struct Headers {
    offset: u64,
    size: u64,
    count: u64,
    /// How much of a header is read.
    length: usize,
    /// Place and width of the segment's offset in the file, and of its size there.
    segment: [(usize, usize); 2],
}

impl Headers {
    /// EI_DATA 1: little endian, as every machine that this is built for.
    fn of(header: &[u8]) -> Option<Self> {
        let number = |at, width| number(header, at, width);
        match header {
            [0x7f, b'E', b'L', b'F', 2, 1, ..] => Some(Self {
                offset: number(32, 8)?,
                size: number(54, 2)?,
                count: number(56, 2)?,
                length: 40,
                segment: [(8, 8), (32, 8)],
            }),
            [0x7f, b'E', b'L', b'F', 1, 1, ..] => Some(Self {
                offset: number(28, 4)?,
                size: number(42, 2)?,
                count: number(44, 2)?,
                length: 20,
                segment: [(4, 4), (16, 4)],
            }),
            _ => None,
        }
    }
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    Some(bytes.get(at..at + width)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_is_named_or_not() {
        let of = |path: &str| loader(&File::open(path).unwrap()).unwrap();
        assert!(matches!(of("/bin/sh"), Loader::Path(path) if path.starts_with("/lib64")));
        assert_eq!((of("/etc/passwd"), of("/dev/null")), (Loader::NotElf, Loader::NotElf));
        assert_eq!(of("/proc/self/exe") == Loader::Kernel, cfg!(target_feature = "crt-static"));
    }
}
