//! The options column of an entry.

use std::ffi::{OsStr, OsString};
use std::mem::take;
use std::os::unix::ffi::OsStrExt as _;

use chain::text::meant;
use chain::{Hint as _, Result, refusal, show};
use rustix::mount::MountAttrFlags;

use super::dialect;
use crate::model::{ATIMES, ATTRIBUTES, Attributes, Idmap, Setting, idmap};

/// What options are called that are no attributes, for who has mistyped one.
const WORDS: [&str; 19] = [
    "bind",
    "rbind",
    "norec",
    "mode",
    "size",
    "nofail",
    "subset",
    "hidepid",
    "lowerdir",
    "upperdir",
    "workdir",
    "X-mount.mkdir",
    "X-mount.idmap",
    "X-mount.owner",
    "X-mount.subdir",
    "X-mount.no-links",
    "X-mount.if-exists",
    "X-mount.make",
    "X-mount.fresh",
];

/// The words of an options column. Each kind of entry takes those that it understands.
pub struct Options {
    set: MountAttrFlags,
    cleared: MountAttrFlags,
    atime: Option<MountAttrFlags>,
    pub nofail: bool,
    pub mkdir: u32,
    pub no_links: bool,
    pub if_exists: bool,
    pub make: bool,
    /// What nobody has taken yet.
    pub rest: Vec<Setting>,
}

impl Options {
    /// Takes the words that every entry understands.
    pub fn new(settings: Vec<Setting>) -> Result<Self> {
        let none = MountAttrFlags::empty();
        let mut options = Self {
            set: none,
            cleared: none,
            atime: None,
            nofail: false,
            mkdir: 0o755,
            no_links: false,
            if_exists: false,
            make: false,
            rest: vec![],
        };
        settings.into_iter().try_for_each(|setting| options.sort(setting))?;
        Ok(options)
    }

    fn sort(&mut self, setting: Setting) -> Result<()> {
        let word = setting.key.to_str().unwrap_or("");
        match (word, &setting.value) {
            // `optional` is LXC's word.
            ("nofail" | "optional", None) => self.nofail = true,
            ("create", Some(value)) => dialect::check_create(value)?,
            ("comment", Some(_)) => {}
            (word, None) if dialect::IN_ANY_CASE.contains(&word) => {}
            ("X-mount.no-links", None) => self.no_links = true,
            ("X-mount.if-exists", None) => self.if_exists = true,
            ("X-mount.make", None) => self.make = true,
            ("X-mount.mkdir" | "x-mount.mkdir", None) => {}
            ("X-mount.mkdir" | "x-mount.mkdir", Some(mode)) => self.mkdir = octal_mode(mode)?,
            (comment, _) if comment.starts_with("x-") => {}
            (word, None) if self.attribute(word) => {}
            _ => self.rest.push(setting),
        }
        Ok(())
    }

    /// Where a word and its opposite are there, the last one counts, as in mount(8).
    fn attribute(&mut self, word: &str) -> bool {
        for (yes, no, flag) in ATTRIBUTES {
            if word == yes || word == no {
                self.set.set(flag, word == yes);
                self.cleared.set(flag, word == no);
                return true;
            }
        }
        let atime = ATIMES.iter().find(|(known, _)| *known == word).map(|(_, flag)| *flag);
        self.atime = atime.or(self.atime);
        atime.is_some()
    }

    pub fn attributes(&self, default: Attributes) -> Attributes {
        Attributes { set: (default.set - self.cleared) | self.set, atime: self.atime }
    }

    pub fn idmap(&mut self) -> Result<Option<Idmap>> {
        self.value("X-mount.idmap")?.map(|map| idmap::read(&map)).transpose()
    }

    /// Whom the owner of a source is shown as.
    pub fn owner(&mut self) -> Result<Option<u32>> {
        self.value("X-mount.owner")?.map(|id| idmap::read_owner(&id)).transpose()
    }

    /// Whether `word` is there.
    pub fn flag(&mut self, word: &str) -> Result<bool> {
        match self.take(word)? {
            None => Ok(false),
            Some(Setting { value: None, .. }) => Ok(true),
            Some(setting) => Err(refusal!("option {setting}: {word} takes no value")),
        }
    }

    /// The value of `word`, if it is there.
    pub fn value(&mut self, word: &str) -> Result<Option<OsString>> {
        match self.take(word)? {
            None => Ok(None),
            Some(Setting { value: Some(value), .. }) => Ok(Some(value)),
            Some(_) => Err(refusal!("option {word} needs a value")),
        }
    }

    pub fn mode(&mut self, default: u32) -> Result<u32> {
        self.value("mode")?.map_or(Ok(default), |mode| octal_mode(&mode))
    }

    /// The same where there is no default.
    pub fn needed_mode(&mut self) -> Result<u32> {
        octal_mode(&self.value("mode")?.ok_or_else(|| refusal!("option mode= is missing"))?)
    }

    fn take(&mut self, word: &str) -> Result<Option<Setting>> {
        let Some(place) = self.rest.iter().position(|setting| setting.key == word) else { return Ok(None) };
        let setting = self.rest.remove(place);
        if self.rest.iter().any(|again| again.key == word) {
            return Err(refusal!("option {word} is given twice"));
        }
        Ok(Some(setting))
    }

    /// What the filesystem is to understand: all but the words of mount(8) for itself, which are then unknown.
    pub fn take_rest(&mut self) -> Vec<Setting> {
        let (ours, theirs) =
            take(&mut self.rest).into_iter().partition(|setting| setting.key.as_bytes().starts_with(b"X-"));
        self.rest = ours;
        theirs
    }

    /// Refuses what nobody has taken, and attributes where nothing is `mounted`.
    pub fn refuse_rest(&self, mounted: bool) -> Result<()> {
        if let Some(setting) = self.rest.first() {
            let words = ATTRIBUTES.into_iter().flat_map(|(yes, no, _)| [yes, no]);
            let words = words.chain(ATIMES.map(|(word, _)| word)).chain(WORDS);
            let hint = meant(&setting.key, words, "mount-plan --man, --options, says what each entry takes");
            return Err(refusal!("unknown option {setting}").hint(hint));
        }
        if !mounted && !(self.set | self.cleared).is_empty() {
            return Err(refusal!("ro, nosuid and their like belong to a mount; this entry is none"));
        }
        Ok(())
    }
}

/// A mode as chmod(1) writes it in octal. Bits that give somebody else's rights away are not for a plan.
fn octal_mode(word: &OsStr) -> Result<u32> {
    let digits = word.to_str().filter(|text| !text.is_empty() && text.bytes().all(|b| (b'0'..=b'7').contains(&b)));
    let mode = digits.and_then(|text| u32::from_str_radix(text, 8).ok()).filter(|mode| *mode <= 0o1777);
    mode.ok_or_else(|| refusal!("mode {}: not an octal mode up to 1777", show(word)))
}
