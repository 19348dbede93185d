//! Our mark: the small text file without which nothing in a pool is believed to be ours, or destroyed.
//!
//! One `key value` a line; the first line names the format and the kind. A template's file says how its clones are made; a clone's
//! and a version's say whose they are, so that a directory that was moved or copied there by hand does not pass.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use chain::values::integer;
use chain::{Result, refusal};

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

/// What the file of a cell says: of the folder of a clone or of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub template: Name,
    /// The id of a clone; of the cell that a version was made in, and that it is removed in.
    pub id: Id,
    pub version: u32,
    pub of: Of,
}

/// What is in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// A clone of the version, made so.
    Clone(Kind),
    /// The version itself; the tree that is used in place, where it has none of its own.
    Version(Option<PathBuf>),
}

/// The lines of a file by their keys, each of which may stand there once.
fn lines<'a>(first: &[u8], bytes: &'a [u8]) -> Option<BTreeMap<&'a str, &'a OsStr>> {
    let body = bytes.strip_prefix(first)?.strip_suffix(b"\n")?;
    let mut lines = BTreeMap::new();
    for line in body.split(|byte| *byte == b'\n') {
        let (key, value) = line.split_at(line.iter().position(|byte| *byte == b' ')?);
        if lines.insert(std::str::from_utf8(key).ok()?, OsStr::from_bytes(value.get(1..)?)).is_some() {
            return None;
        }
    }
    Some(lines)
}

fn text(first: &[u8], lines: &[(&str, &OsStr)]) -> Result<Vec<u8>> {
    let mut bytes = first.to_vec();
    for (key, value) in lines {
        if value.as_bytes().contains(&b'\n') {
            return Err(refusal!("a line break in {key}: a pool cannot note that down"));
        }
        bytes.extend([key.as_bytes(), b" ", value.as_bytes(), b"\n"].concat());
    }
    Ok(bytes)
}

impl About {
    /// The text of the file.
    pub fn text(&self) -> Result<Vec<u8>> {
        let (target, kept) = (self.target.to_string(), self.kept.to_string());
        let mut lines = vec![
            ("template", self.template.as_str().as_ref()),
            ("clone", self.kind.word().as_ref()),
            ("target", target.as_ref()),
            ("from", self.from.as_os_str()),
            ("reference", if self.reference { "yes" } else { "no" }.as_ref()),
        ];
        lines.extend((!self.kept.is_empty()).then_some(("kept", kept.as_ref())));
        text(TEMPLATE, &lines)
    }

    /// Reads [`About::text`]; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = lines(TEMPLATE, bytes)?;
        Some(Self {
            template: Name::parse(lines.get("template")?).ok()?,
            kind: Kind::parse(lines.get("clone")?)?,
            target: integer(lines.get("target")?)?,
            kept: lines.get("kept").map_or(Some(Kept::default()), |kept| Kept::parse(kept.to_str()?))?,
            from: lines.get("from")?.into(),
            reference: match lines.get("reference")?.as_bytes() {
                b"yes" => true,
                b"no" => false,
                _ => return None,
            },
        })
    }
}

impl Mark {
    /// The text of the file.
    pub fn text(&self) -> Result<Vec<u8>> {
        let version = self.version.to_string();
        let (first, more) = match &self.of {
            Of::Clone(kind) => (CLONE, Some(("clone", kind.word().as_ref()))),
            Of::Version(reference) => (VERSION, reference.as_ref().map(|path| ("reference", path.as_os_str()))),
        };
        let mut lines = vec![
            ("template", self.template.as_str().as_ref()),
            ("id", self.id.as_str().as_ref()),
            ("version", version.as_ref()),
        ];
        lines.extend(more);
        text(first, &lines)
    }

    /// Reads [`Mark::text`]; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (lines, of) = match lines(CLONE, bytes) {
            Some(lines) => {
                let kind = Kind::parse(lines.get("clone")?)?;
                (lines, Of::Clone(kind))
            }
            None => {
                let lines = lines(VERSION, bytes)?;
                let reference = lines.get("reference").map(PathBuf::from);
                (lines, Of::Version(reference))
            }
        };
        let (template, id) = (Name::parse(lines.get("template")?).ok()?, Id::parse(lines.get("id")?)?);
        Some(Self { template, id, version: integer(lines.get("version")?)?, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

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
        for of in [Of::Clone(Kind::Overlay), Of::Version(None), Of::Version(Some("/".into()))] {
            let mark = Mark { template: about().template, id: Id::now(), version: 7, of };
            assert_eq!(Mark::parse(&mark.text().unwrap()), Some(mark));
        }
    }

    #[test]
    fn what_is_not_whole_is_not_ours() {
        let good = about().text().unwrap();
        assert_eq!(About::parse(&good[..good.len() - 1]), None, "cut off");
        assert_eq!(About::parse(&[good.as_slice(), b"target 4\n"].concat()), None, "said twice");
        assert_eq!(About::parse(&[good.as_slice(), b"kept 1\n"].concat()), None);
        assert_eq!(About::parse(b"chainbox-pool 2 template\ntemplate t\n"), None);
        let clone = Mark { template: about().template, id: Id::now(), version: 7, of: Of::Clone(Kind::Overlay) };
        let text = clone.text().unwrap();
        let with = |first: &[u8]| [first, text.strip_prefix(CLONE).unwrap()].concat();
        assert_eq!(About::parse(&with(TEMPLATE)), None, "one kind does not pass for another");
        assert_ne!(Mark::parse(&with(VERSION)).unwrap().of, clone.of);
        assert!(About { from: "/a\nclone copy".into(), ..about() }.text().is_err());
    }
}
