//! From the parts of the command line to the entries: plans are read, includes followed, presets replaced.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chain::{Call as _, Context as _, Result, refusal, show};

use super::open::inherited;
use super::private;
use crate::args::Part;
use crate::args::columns::Columns;
use crate::args::entry::{Item, item};
use crate::args::preset::{self, Found, Host};
use crate::args::text::{Statement, statements};
use crate::model::{Chdir, Entry};

/// How deep includes may nest: enough for people, an end for circles.
const DEPTH: usize = 16;

/// The most that is read of all plans together. Nobody writes that much; it is a wrong file, `/dev/zero`, or few files
/// that include each other many times.
const LARGEST: u64 = 16 << 20;

/// What the parts of the command line come to, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub entries: Vec<Entry>,
    pub chdirs: Vec<Chdir>,
}

struct Reading {
    plan: Plan,
    /// How many bytes may still be read.
    left: u64,
}

/// Reads the plans among the parts.
/// Errors: a plan that cannot be read, or the first line of one that is no entry, with its place.
pub fn read(parts: Vec<Part>) -> Result<Plan> {
    let mut reading = Reading { plan: Plan::default(), left: LARGEST };
    for part in parts {
        match part {
            Part::Entry(columns) => reading.plan.add(columns)?,
            Part::File(name) if name == *"-" => reading.descriptor("standard input", 0)?,
            Part::File(name) => reading.file(Path::new(&name), 0)?,
            Part::Fd(fd) => reading.descriptor(&format!("descriptor {fd}"), fd)?,
        }
    }
    Ok(reading.plan)
}

impl Plan {
    fn add(&mut self, columns: Columns) -> Result<()> {
        self.push(item(columns)?)
    }

    fn push(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Entry(entry) => self.entries.push(entry),
            Item::Chdir(chdir) => self.chdirs.push(chdir),
            Item::Preset(preset) => {
                let host = Host { found: &found, private: &private::below };
                let items = preset::items(&preset, host).map_err(|error| preset.origin.name(error))?;
                items.into_iter().try_for_each(|item| self.push(item))?;
            }
        }
        Ok(())
    }
}

/// What the host has at a path of a preset (lstat(2), readlink(2)).
fn found(path: &Path) -> Found {
    match (std::fs::read_link(path), path.symlink_metadata()) {
        (Ok(text), _) => Found::Link(text.into_os_string()),
        (_, Ok(_)) => Found::Tree,
        _ => Found::Nothing,
    }
}

impl Reading {
    fn descriptor(&mut self, name: &str, fd: i32) -> Result<()> {
        let copy: OwnedFd = inherited(fd)?.try_clone_to_owned().call("fcntl(F_DUPFD_CLOEXEC)")?;
        let text = self.text(File::from(copy)).with_context(|| format!("plan of descriptor {fd}"))?;
        self.statements(OsStr::new(name), &text, None, 0)
    }

    fn file(&mut self, path: &Path, depth: usize) -> Result<()> {
        let text = File::open(path).call("open").and_then(|file| self.text(file));
        let text = text.with_context(|| format!("plan {}", show(path)))?;
        self.statements(path.as_os_str(), &text, path.parent(), depth)
    }

    fn text(&mut self, file: File) -> Result<Vec<u8>> {
        let mut text = vec![];
        file.take(self.left + 1).read_to_end(&mut text).call("read")?;
        // A small file is work too.
        let left = self.left.checked_sub((text.len() as u64).max(4096));
        self.left = left.ok_or_else(|| refusal!("larger than {LARGEST} bytes, all files together"))?;
        Ok(text)
    }

    fn statements(&mut self, name: &OsStr, text: &[u8], folder: Option<&Path>, depth: usize) -> Result<()> {
        for statement in statements(name, text, &|name| std::env::var_os(name))? {
            match statement {
                Statement::Entry(columns) => self.plan.add(columns)?,
                Statement::Include(origin, file_name) => {
                    let included = folder.map_or_else(|| PathBuf::from(&file_name), |folder| folder.join(&file_name));
                    let inner = if depth < DEPTH {
                        self.file(&included, depth + 1)
                    } else {
                        Err(refusal!("include: more than {DEPTH} deep"))
                    };
                    inner.map_err(|error| origin.name(error))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use chainbox_tests::Folder;

    use super::*;
    use crate::args;
    use crate::model::Origin;
    use crate::table::{Key, TABLE};

    /// What the parts come to, without the places where they were written.
    fn nameless(parts: Vec<Part>) -> Plan {
        let mut plan = read(parts).unwrap();
        plan.entries.iter_mut().for_each(|entry| entry.origin = Origin::default());
        plan.chdirs.iter_mut().for_each(|chdir| chdir.origin = Origin::default());
        plan
    }

    fn plan(argv: &[&str]) -> Plan {
        let cli = chain::parse(&TABLE, argv.iter().map(OsString::from).collect()).unwrap().cli().unwrap();
        nameless(args::request(&cli.requested).unwrap().parts)
    }

    fn of_text(text: &str) -> Plan {
        let folder = Folder::new(&format!("mp-text-{:?}", std::thread::current().id()), false);
        fs::write(folder.join("plan"), text).unwrap();
        nameless(vec![Part::File(folder.join("plan").into_os_string())])
    }

    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    /// Every kind of entry in both forms.
    const FORMS: [(&str, &str); 29] = [
        ("--bind /a /b", "/a /b none rbind"),
        ("--ro-bind /a /b", "/a /b none rbind,ro"),
        ("--dev-bind /a /b", "/a /b none rbind,dev 0 0"),
        (
            "--ro-bind /a /b -o noexec,nofail,X-mount.mkdir=0700",
            "/a /b none ro,rbind,noexec,nofail,X-mount.mkdir=0700 0 0",
        ),
        ("--bind /a fd:7 -o X-mount.owner=5", "/a fd:7 none rbind,X-mount.owner=5"),
        ("--bind fd:7 /b", "fd:7 /b none rbind"),
        ("--tmpfs /t", "none /t tmpfs"),
        ("--tmpfs /t -o size=1M,ro", "tmpfs /t tmpfs size=1M,ro"),
        ("--tmpfs /t -o size=1M -o noatime", "tmpfs /t tmpfs defaults,size=1M,noatime"),
        ("--proc /proc -o subset=pid", "proc /proc proc subset=pid"),
        ("--sysfs /sys", "sysfs /sys sysfs -"),
        ("--devpts /p", "none /p devpts newinstance,ptmxmode=0666,mode=620"),
        ("--mqueue /m", "none /m mqueue"),
        ("--dev /dev", "none /dev dev"),
        ("--overlay /l:/k /u /w /m", "overlay /m overlay lowerdir=/l:/k,upperdir=/u,workdir=/w"),
        ("--tmp-overlay /l /m", "overlay /m overlay lowerdir=/l,tmp"),
        ("--image squashfs /i.img /m -o X-mount.idmap=0:5:9", "/i.img /m squashfs ro,X-mount.idmap=b:0:5:9"),
        ("--symlink usr/bin /bin", "usr/bin /bin symlink"),
        ("--dir /d -o mode=0700", "none /d dir mode=0700"),
        ("--file text:x /f", "text:x /f file"),
        ("--file fd:7 /f -o mode=0600", "fd:7 /f file mode=0600"),
        ("--bind-data fd:7 /f -o mode=0644", "fd:7 /f data mode=0644"),
        ("--ro-bind-data text:x /f", "text:x /f data ro"),
        ("--chmod 0700 /d -o X-mount.make", "none /d chmod mode=0700,X-mount.make"),
        ("--remount-ro /d", "none /d remount-ro"),
        ("--proc /proc -o rw,mixed", "proc /proc proc rw,mixed"),
        ("--mask /proc/kcore", "none /proc/kcore mask"),
        ("--chdir /d", "none /d chdir"),
        ("--preset host-ro", "host-ro / preset"),
    ];

    #[test]
    fn both_forms_are_the_same_entries() {
        let flags = TABLE.flags.iter().filter(|flag| matches!(flag.key, Key::Entry(_)));
        for flag in flags {
            let option = format!("--{} ", flag.long);
            assert!(FORMS.iter().any(|(options, _)| options.starts_with(&option)), "{option}is not compared");
        }
        for (options, text) in FORMS {
            let from_options = plan(&words(options));
            assert!(!from_options.entries.is_empty() || !from_options.chdirs.is_empty());
            assert_eq!(from_options, of_text(text), "{options} | {text}");
        }
        let all: Vec<&str> = FORMS.iter().flat_map(|(options, _)| words(options)).collect();
        let text: Vec<&str> = FORMS.iter().map(|(_, text)| *text).collect();
        assert_eq!(plan(&all), of_text(&text.join("\n")));
    }

    #[test]
    fn options_and_plans_keep_the_order_of_the_command_line() {
        let folder = Folder::new("mp-order", false);
        fs::create_dir(folder.join("sub")).unwrap();
        fs::write(folder.join("plan"), "a /2 symlink\ninclude sub/inner\nb /4 symlink\n").unwrap();
        fs::write(folder.join("sub/inner"), "x /3 symlink\n").unwrap();
        let file = folder.join("plan");
        let got = plan(&["--dir", "/1", "--plan", file.to_str().unwrap(), "--dir", "/5"]);
        let targets: Vec<String> = got.entries.iter().map(|entry| entry.target.to_string()).collect();
        assert_eq!(targets, ["/1", "/2", "/3", "/4", "/5"]);
    }
}
