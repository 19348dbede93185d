//! Where filters come from: a name, a file, a descriptor. Everything is read before the first effect.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Failure, Result, show, sys};

use crate::bpf::{Insn, RETURN, check};
use crate::compile;
use crate::oci::{self, Conditions};
use crate::policy::{Policy, Verdict};
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
    /// A program, as the kernel takes it.
    Bpf(OsString),
    /// A program on a descriptor, which is closed afterwards.
    BpfFd(RawFd),
}

/// A filter that is to be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// For messages.
    pub name: String,
    /// What it decides, where that is known.
    pub policy: Option<Policy>,
    /// The program.
    pub program: Vec<Insn>,
}

impl Filter {
    /// A policy and its program.
    ///
    /// # Errors
    /// A program that is longer than the kernel takes.
    pub fn new(name: String, policy: Policy) -> Result<Self> {
        Ok(Self { program: compile::program(&policy)?, policy: Some(policy), name })
    }

    /// The filter of a preset.
    ///
    /// # Errors
    /// None that a preset has.
    pub fn preset(preset: Preset) -> Result<Self> {
        Self::new(preset.name.to_owned(), (preset.policy)())
    }
}

impl Filter {
    /// The filter that lets pass and logs what this one refuses.
    ///
    /// # Errors
    /// A raw program whose answers are computed: what it refuses does not stand in it.
    pub fn logged(self) -> Result<Self> {
        match self.policy {
            Some(policy) => Self::new(self.name, policy.logged()),
            None if check::answers_constants(&self.program) => {
                Ok(Self { program: self.program.iter().map(logged).collect(), ..self })
            }
            None => Err(Failure::refusal(format!("--log: {}: its answers are computed", self.name)).into()),
        }
    }
}

fn logged(insn: &Insn) -> Insn {
    let k = if insn.code == RETURN { Verdict(insn.k).logged().0 } else { insn.k };
    Insn { k, ..*insn }
}

/// The most that is read for one filter, with the files that it includes: hundreds of times what a long one needs. Few
/// files can include each other many times.
const LARGEST: u64 = 1 << 20;

/// Reads a filter.
///
/// # Errors
/// A file that cannot be read, or that is no policy.
pub fn load(source: &Source, conditions: &Conditions) -> Result<Filter> {
    match source {
        Source::Preset(preset) => Filter::preset(*preset),
        Source::Text(path) => from_text(path, opened("policy", path)?),
        Source::Oci(path) => {
            let name = show(path);
            let bytes = bytes(&name, opened("oci", path)?, &mut { LARGEST })?;
            Filter::new(name.clone(), oci::policy(&name, &bytes, conditions)?)
        }
        Source::TextFd(fd) => from_text(OsStr::new(&format!("fd:{fd}")), adopted("policy-fd", *fd)?),
        Source::Bpf(path) => raw(show(path), opened("bpf", path)?),
        Source::BpfFd(fd) => raw(format!("fd:{fd}"), adopted("bpf-fd", *fd)?),
    }
}

/// A program that somebody compiled: nothing is known of it but what it answers.
fn raw(name: String, file: File) -> Result<Filter> {
    Ok(Filter { program: check::read(&name, &bytes(&name, file, &mut { LARGEST })?)?, policy: None, name })
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
    let policy = text::policy(&name, &text, &mut |from, said| included(&mut folders, &mut left, from, said))?;
    Filter::new(name, policy)
}

/// An included file's name is relative to the folder of the file that includes it.
fn included(
    folders: &mut BTreeMap<String, PathBuf>,
    left: &mut u64,
    from: &str,
    said: &str,
) -> Result<(String, String)> {
    let path = folders.get(from).map_or_else(PathBuf::new, Clone::clone).join(said);
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
    *left = rest.ok_or_else(|| Failure::refusal(format!("{name}: longer than {LARGEST} bytes, all files together")))?;
    Ok(bytes)
}
