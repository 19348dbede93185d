//! Our mark: the small text file without which nothing in a pool is believed to be ours, or destroyed.
//!
//! One `key value` a line; the first line names the format and the kind. A template's file says how its clones are made; a clone's
//! and a version's say whose they are, so that a directory that was moved or copied there by hand does not pass.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use chain::values::integer;
use chain::{Failure, Result};

use super::kept::Kept;
use super::name::{Id, Name};
use super::pool::Kind;

/// The first lines: one for each kind of file, so that none passes for another.
const TEMPLATE: &[u8] = b"chainbox-pool 1 template\n";
const CLONE: &[u8] = b"chainbox-pool 1 clone\n";
const VERSION: &[u8] = b"chainbox-pool 1 version\n";

/// What a template's file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub template: Name,
    pub kind: Kind,
    /// How many free clones there are to be.
    pub target: u32,
    /// The same for versions that are requested by name.
    pub kept: Kept,
    /// Where versions are taken from.
    pub from: PathBuf,
    /// Whether versions are that tree itself.
    pub reference: bool,
}

/// What the file of a clone says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneMark {
    pub template: Name,
    pub id: Id,
    pub version: u32,
    pub kind: Kind,
}

/// What the file of a version says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionMark {
    pub template: Name,
    /// The id of the cell that it was made in, and that it is removed in.
    pub id: Id,
    pub version: u32,
    /// The tree that is used in place; `None` where the version has a tree of its own.
    pub reference: Option<PathBuf>,
}

/// The lines of one file.
struct Lines(Vec<(String, Vec<u8>)>);

impl Lines {
    fn parse(first: &[u8], bytes: &[u8]) -> Option<Self> {
        let body = bytes.strip_prefix(first)?.strip_suffix(b"\n")?;
        let line = |line: &[u8]| {
            let space = line.iter().position(|byte| *byte == b' ')?;
            let (key, value) = line.split_at(space);
            Some((String::from_utf8(key.to_vec()).ok()?, value.get(1..)?.to_vec()))
        };
        body.split(|byte| *byte == b'\n').map(line).collect::<Option<_>>().map(Self)
    }

    /// The value of a key that stands there exactly once.
    fn get(&self, key: &str) -> Option<&[u8]> {
        let mut found = self.0.iter().filter(|line| line.0 == key);
        let value = found.next()?;
        found.next().is_none().then_some(value.1.as_slice())
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|line| line.0 == key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.get(key)?).ok()
    }

    fn number(&self, key: &str) -> Option<u32> {
        integer(self.text(key)?.as_ref())
    }

    fn name(&self, key: &str) -> Option<Name> {
        Name::parse(self.text(key)?.as_ref()).ok()
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.get(key).map(|bytes| OsString::from_vec(bytes.to_vec()).into())
    }
}

fn text(first: &[u8], lines: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut bytes = first.to_vec();
    for (key, value) in lines {
        if value.contains(&b'\n') {
            return Err(Failure::refusal(format!("a line break in {key}: a pool cannot note that down")).into());
        }
        bytes.extend([key.as_bytes(), b" ", value, b"\n"].concat());
    }
    Ok(bytes)
}

impl About {
    /// The text of the file.
    pub fn text(&self) -> Result<Vec<u8>> {
        let (target, kept) = (self.target.to_string(), self.kept.to_string());
        let mut lines = vec![
            ("template", self.template.as_str().as_bytes()),
            ("clone", self.kind.word().as_bytes()),
            ("target", target.as_bytes()),
            ("from", self.from.as_os_str().as_bytes()),
            ("reference", if self.reference { b"yes" } else { b"no" }),
        ];
        lines.extend((!kept.is_empty()).then_some(("kept", kept.as_bytes())));
        text(TEMPLATE, &lines)
    }

    /// Reads [`About::text`]; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = Lines::parse(TEMPLATE, bytes)?;
        let reference = match lines.get("reference")? {
            b"yes" => true,
            b"no" => false,
            _ => return None,
        };
        let kind = Kind::parse(lines.text("clone")?)?;
        let kept = if lines.has("kept") { Kept::parse(lines.text("kept")?)? } else { Kept::default() };
        let (template, target) = (lines.name("template")?, lines.number("target")?);
        Some(Self { template, kind, target, kept, from: lines.path("from")?, reference })
    }
}

impl CloneMark {
    /// The text of the file.
    pub fn text(&self) -> Result<Vec<u8>> {
        text(
            CLONE,
            &[
                ("template", self.template.as_str().as_bytes()),
                ("id", self.id.as_str().as_bytes()),
                ("version", self.version.to_string().as_bytes()),
                ("clone", self.kind.word().as_bytes()),
            ],
        )
    }

    /// Reads [`CloneMark::text`]; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = Lines::parse(CLONE, bytes)?;
        let id = Id::parse(lines.text("id")?.as_ref())?;
        let kind = Kind::parse(lines.text("clone")?)?;
        Some(Self { template: lines.name("template")?, id, version: lines.number("version")?, kind })
    }
}

impl VersionMark {
    /// The text of the file.
    pub fn text(&self) -> Result<Vec<u8>> {
        let version = self.version.to_string();
        let mut lines = vec![
            ("template", self.template.as_str().as_bytes()),
            ("id", self.id.as_str().as_bytes()),
            ("version", version.as_bytes()),
        ];
        lines.extend(self.reference.iter().map(|path| ("reference", path.as_os_str().as_bytes())));
        text(VERSION, &lines)
    }

    /// Reads [`VersionMark::text`]; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = Lines::parse(VERSION, bytes)?;
        let id = Id::parse(lines.text("id")?.as_ref())?;
        let (template, version) = (lines.name("template")?, lines.number("version")?);
        Some(Self { template, id, version, reference: lines.path("reference") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        let from = OsString::from_vec(b"/a b/\xff".to_vec()).into();
        let (template, kept) = (Name::parse("t".as_ref()).unwrap(), Kept::default());
        About { template, kind: Kind::Copy, target: 3, kept, from, reference: false }
    }

    #[test]
    fn marks_read_back() {
        assert_eq!(About::parse(&about().text().unwrap()), Some(about()));
        let keeping = About { kept: Kept::default().with(1, 2), ..about() };
        assert_eq!(About::parse(&keeping.text().unwrap()), Some(keeping));
        let template = about().template;
        let clone = CloneMark { template: template.clone(), id: Id::now(), version: 7, kind: Kind::Overlay };
        assert_eq!(CloneMark::parse(&clone.text().unwrap()), Some(clone));
        for reference in [None, Some("/".into())] {
            let version = VersionMark { template: template.clone(), id: Id::now(), version: 2, reference };
            assert_eq!(VersionMark::parse(&version.text().unwrap()), Some(version));
        }
    }

    #[test]
    fn what_is_not_whole_is_not_ours() {
        let good = about().text().unwrap();
        assert_eq!(About::parse(&good[..good.len() - 1]), None, "cut off");
        assert_eq!(About::parse(&[good.as_slice(), b"target 4\n"].concat()), None, "said twice");
        assert_eq!(About::parse(&[good.as_slice(), b"kept 1\n"].concat()), None);
        assert_eq!(About::parse(b"chainbox-pool 2 template\ntemplate t\n"), None);
        let clone = CloneMark { template: about().template, id: Id::now(), version: 7, kind: Kind::Overlay };
        assert_eq!(VersionMark::parse(&clone.text().unwrap()), None, "one kind does not pass for another");
        assert!(About { from: "/a\nclone copy".into(), ..about() }.text().is_err());
    }
}
