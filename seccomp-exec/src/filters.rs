//! Where filters come from: a name, a file, a descriptor. Everything is read before the first effect.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Failure, Result, show, sys};

use crate::oci::{self, Conditions};
use crate::policy::Policy;
use crate::presets::Preset;
use crate::text;

/// What a filter is made of.
#[derive(Clone, Debug)]
pub enum Source {
    /// A preset.
    Preset(Preset),
    /// A text policy.
    Text(OsString),
    /// A profile in JSON.
    Oci(OsString),
    /// A text policy on a descriptor, which is closed afterwards.
    TextFd(RawFd),
}

/// A filter that is to be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// For messages.
    pub name: String,
    /// What it decides.
    pub policy: Policy,
}

impl From<Preset> for Filter {
    fn from(preset: Preset) -> Self {
        Self { name: preset.name.to_owned(), policy: (preset.policy)() }
    }
}

/// The largest file that is read as a policy: hundreds of times what a long one needs.
const LARGEST: u64 = 1 << 20;

/// Reads a filter.
///
/// # Errors
/// A file that cannot be read, or that is no policy.
pub fn load(source: &Source, conditions: &Conditions) -> Result<Filter> {
    match source {
        Source::Preset(preset) => Ok((*preset).into()),
        Source::Text(path) => from_text(path, opened("policy", path)?),
        Source::Oci(path) => {
            let name = show(path);
            let bytes = bytes(&name, opened("oci", path)?)?;
            Ok(Filter { policy: oci::policy(&name, &bytes, conditions)?, name })
        }
        Source::TextFd(fd) => {
            let file = sys::adopt(*fd).call("fcntl").with_context(|| format!("--policy-fd {fd}"))?;
            from_text(OsStr::new(&format!("fd:{fd}")), File::from(file))
        }
    }
}

fn opened(option: &str, path: &OsStr) -> Result<File> {
    File::open(path).call("open").with_context(|| format!("--{option} {}", show(path)))
}

fn from_text(path: &OsStr, file: File) -> Result<Filter> {
    let name = show(path);
    let text = text_of(&name, file)?;
    let mut folders = BTreeMap::from([(name.clone(), folder_of(Path::new(path)))]);
    let policy = text::policy(&name, &text, &mut |from, said| included(&mut folders, from, said))?;
    Ok(Filter { name, policy })
}

/// An included file's name is relative to the folder of the file that includes it.
fn included(folders: &mut BTreeMap<String, PathBuf>, from: &str, said: &str) -> Result<(String, String)> {
    let path = folders.get(from).map_or_else(PathBuf::new, Clone::clone).join(said);
    let name = show(&path);
    let file = File::open(&path).call(&format!("open {name}"))?;
    let text = text_of(&name, file)?;
    folders.insert(name.clone(), folder_of(&path));
    Ok((name, text))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_owned)
}

fn text_of(name: &str, file: File) -> Result<String> {
    text::decoded(name, bytes(name, file)?)
}

fn bytes(name: &str, file: impl Read) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    file.take(LARGEST + 1).read_to_end(&mut bytes).call(&format!("read {name}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::refusal(format!("{name}: longer than {LARGEST} bytes")).into());
    }
    Ok(bytes)
}
