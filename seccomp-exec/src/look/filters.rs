//! Reads filters: from a file or a descriptor, before the first effect.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Result, refusal, show, sys};
use nix::sys::utsname::uname;

use super::oci::{self, Conditions};
use super::{caller, raw, text};
use crate::args::{Request, Source};
use crate::model::filter::{Content, Filter};

pub fn read(request: &Request) -> Result<Vec<Filter>> {
    if request.filters.is_empty() {
        return Ok(vec![]);
    }
    let conditions = conditions(request)?;
    request.filters.iter().map(|source| load(source, &conditions)).collect()
}

/// What conditions of a profile are about, here.
fn conditions(request: &Request) -> Result<Conditions> {
    let caps = request.keep.of(caller::sets()?.permitted);
    let release = uname().call("uname")?.release().to_string_lossy().into_owned();
    let kernel = oci::version(&release).ok_or_else(|| refusal!("uname: {}: no version", show(&release)))?;
    Ok(Conditions { caps, kernel })
}

/// The most that is read for one filter, with the files that it includes: hundreds of times what a long one needs. Few
/// files can include each other many times.
const LARGEST: u64 = 1 << 20;

fn load(source: &Source, conditions: &Conditions) -> Result<Filter> {
    match source {
        Source::Preset(preset) => Ok(Filter::preset(*preset)),
        Source::Text(path) => from_text(path, opened("policy", path)?),
        Source::Oci(path) => {
            let name = show(path);
            let bytes = bytes(&name, opened("oci", path)?, &mut { LARGEST })?;
            oci::policy(&name, &bytes, conditions).map(|policy| Filter::of(name, policy))
        }
        Source::TextFd(fd) => from_text(OsStr::new(&format!("fd:{fd}")), adopted("policy-fd", *fd)?),
        Source::Bpf(path) => program(show(path), opened("bpf", path)?),
        Source::BpfFd(fd) => program(format!("fd:{fd}"), adopted("bpf-fd", *fd)?),
    }
}

fn program(name: String, file: File) -> Result<Filter> {
    let program = raw::read(&name, &bytes(&name, file, &mut { LARGEST })?)?;
    Ok(Filter { name, content: Content::Program(program) })
}

fn adopted(option: &str, fd: RawFd) -> Result<File> {
    sys::adopt(fd).call("fcntl").with_context(|| format!("--{option} {fd}")).map(File::from)
}

fn opened(option: &str, path: &OsStr) -> Result<File> {
    File::open(path).call("open").with_context(|| format!("--{option} {}", show(path)))
}

fn from_text(path: &OsStr, file: File) -> Result<Filter> {
    let (name, mut left) = (show(path), LARGEST);
    let text = text::decoded(&name, bytes(&name, file, &mut left)?)?;
    let mut folders = BTreeMap::from([(name.clone(), folder_of(Path::new(path)))]);
    let policy = text::policy(&name, &text, &mut |from, named| included(&mut folders, &mut left, from, named))?;
    Ok(Filter::of(name, policy))
}

/// An included file's name is relative to the folder of the file that includes it.
fn included(
    folders: &mut BTreeMap<String, PathBuf>,
    left: &mut u64,
    from: &str,
    named: &str,
) -> Result<(String, String)> {
    let path = folders.get(from).map_or_else(PathBuf::new, Clone::clone).join(named);
    let name = show(&path);
    let file = File::open(&path).call(&format!("open {name}"))?;
    let text = text::decoded(&name, bytes(&name, file, left)?)?;
    folders.insert(name.clone(), folder_of(&path));
    Ok((name, text))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// What the file holds, which is taken from what is `left` to read.
fn bytes(name: &str, file: impl Read, left: &mut u64) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    file.take(*left + 1).read_to_end(&mut bytes).call(&format!("read {name}"))?;
    let rest = left.checked_sub(bytes.len() as u64);
    *left = rest.ok_or_else(|| refusal!("{name}: longer than {LARGEST} bytes, all files together"))?;
    Ok(bytes)
}
