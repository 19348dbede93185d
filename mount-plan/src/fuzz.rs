//! Plans, dialects and id maps that nobody would write. `CHAINBOX_FUZZ_SECONDS` (1 where it is not set) is how long each
//! test goes on; `CHAINBOX_FUZZ_SEED` is where the draws begin. A failure prints the input.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use chain::Result;
use chainbox_tests::draws::Draws;

use crate::args::columns::Columns;
use crate::args::entry::{Item, item};
use crate::args::preset::{self, Found, Host};
use crate::args::text::{Statement, statements};
use crate::look::Facts;
use crate::model::{
    Bind, Chdir, Content, Entry, Idmap, Image, Mount, Origin, Overlay, Root, Setting, Target, Upper, What, idmap,
};
use crate::plan;

/// What mutations start from: a line of each kind and of each dialect.
const SEEDS: &[&str] = &[
    "/usr /usr none rbind,ro 0 0",
    "# a comment\n\n${HOME} /h none bind,X-mount.mkdir=0700,nofail",
    "tmpfs /tmp tmpfs size=64M,mode=1777,noatime",
    "proc /proc proc subset=pid,hidepid=2",
    "o /m overlay lowerdir=/a:/b\\:c,upperdir=/u,workdir=/w,xino=off",
    "o /m overlay lowerdir=/a,tmp,size=1M",
    "include other.plan",
    "usr/bin /bin symlink",
    "text:a\\040b /f file mode=0644",
    "fd:7 /f file",
    "none /proc/kcore mask nofail",
    "host-ro / preset\nisolate /x preset",
    "none /dev dev rw\nnone /work chdir",
    "/a fd:7 none rbind,X-mount.owner=5,X-mount.no-links\nfd:8 /d none rbind,ro",
    "/d /d none bind,X-mount.idmap=u:0:1000:1\\040g:0:100:65536,X-mount.subdir=a/b",
    "root.img /m squashfs X-mount.idmap=b:0:5:1",
    "none /srv/x aufs br=/o=rw:/s=ro:/t=rr,workdir=/w",
    "none /srv/x aufs br:/o=rw:/s=ro",
    "lxc.mount.entry = /usr usr none bind,ro,create=dir,optional 0 0",
    "proc proc proc nodev,noexec,nosuid 0 0",
];

/// What is put in: words and bytes that have a meaning somewhere.
#[rustfmt::skip]
const WORDS: &[&[u8]] = &[
    b" ", b"\t", b"\n", b"\r", b",", b"=", b":", b"\\", b"\"", b"#", b"$", b"${", b"${HOME}", b"${X}", b"}", b"/",
    b"..", b"/../", b".", b"\0", b"\\000", b"\\040", b"\\134", b"\\777", b"\xff", b"\xc3", b"none", b"bind", b"rbind",
    b"ro", b"rw", b"tmp", b"defaults", b"-", b"nofail", b"optional", b"create=file", b"mode=7777", b"mode=", b"size=",
    b"lowerdir=", b"upperdir=/u", b"workdir=/w", b"br=", b"br:", b"dirs=", b"=rw", b"=ro", b"aufs", b"overlay",
    b"include", b"preset", b"host-ro", b"mask", b"file", b"text:", b"fd:", b"fd:99999999999", b"lxc.mount.entry",
    b"lxc.mount.entry =", b"X-mount.idmap=", b"0:0:1", b"u:0:4294967295:1", b"4294967296", b"-1", b"+1",
    b"X-mount.subdir=", b"X-mount.mkdir=8", b"x-", b"squashfs", b"LABEL=",
];

/// How many inputs are tried however short the time is.
const LEAST: u64 = 500;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Tries mutated `seeds` until the time is over, and prints the one that fails. The number of tries, and of those where
/// `check` said true: a fuzzer that never gets past the first refusal tests nothing.
fn fuzz(seeds: &[&str], check: impl Fn(&[u8]) -> bool) {
    let (end, mut draws) = (
        Instant::now() + Duration::from_secs(number("CHAINBOX_FUZZ_SECONDS", 1)),
        Draws(number("CHAINBOX_FUZZ_SEED", 1)),
    );
    let (mut tries, mut accepted) = (0_u64, 0_u64);
    let mut pool: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    while tries < LEAST || Instant::now() < end {
        let mut input = pool[at(&mut draws, pool.len())].clone();
        for _ in 0..=draws.below(4) {
            mutate(&mut draws, &mut input, &pool);
        }
        match catch_unwind(AssertUnwindSafe(|| check(&input))) {
            Ok(good) => {
                accepted += u64::from(good);
                // What was understood is a better start than what was not; the pool changes, and stays small.
                if good && input.len() < 400 && draws.below(8) == 0 {
                    let place = seeds.len() + at(&mut draws, 500);
                    if place < pool.len() { pool[place] = input } else { pool.push(input) }
                }
            }
            Err(panic) => {
                eprintln!("input: {}", input.escape_ascii());
                resume_unwind(panic);
            }
        }
        tries += 1;
    }
    println!("{tries} tries, {accepted} accepted");
    assert!(accepted > tries / 100, "{tries} tries, {accepted} accepted");
}

fn at(draws: &mut Draws, length: usize) -> usize {
    usize::try_from(draws.below(length.max(1) as u64)).unwrap()
}

fn mutate(draws: &mut Draws, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    let place = at(draws, input.len() + 1);
    let end = (place + at(draws, 12)).min(input.len());
    match draws.below(6) {
        0 => drop(input.splice(place..end, vec![])),
        1 => drop(input.splice(place..place, draws.of(WORDS).to_vec())),
        2 => drop(input.splice(place..end, draws.of(WORDS).to_vec())),
        3 => input.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << draws.below(8)),
        4 => {
            let copy = input[place..end].to_vec();
            input.splice(place..place, copy);
        }
        _ => {
            let other = &pool[at(draws, pool.len())];
            let from = at(draws, other.len() + 1);
            input.splice(place.., other[from..].to_vec());
        }
    }
}

fn variable(name: &OsStr) -> Option<OsString> {
    (name == "HOME").then(|| "/home/a b,c#\\040".into())
}

/// A message is one line that names the place, and nothing in it acts on a terminal.
fn check_message(error: &anyhow::Error, lines: usize) {
    let text = format!("{error:#}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let number: usize = text.strip_prefix("p:").and_then(|rest| rest.split(':').next()).unwrap().parse().unwrap();
    assert!((1..=lines).contains(&number), "{text}");
}

/// What every target promises, wherever it came from.
fn check_target(target: &Path) {
    assert!(target.is_absolute(), "{target:?}");
    assert!(!target.components().any(|part| part == Component::ParentDir), "{target:?}");
    assert!(!target.as_os_str().as_bytes().contains(&0), "{target:?}");
}

fn check_chdir(chdir: &Chdir) {
    check_target(&chdir.path);
    assert!(!chdir.to_string().chars().any(char::is_control), "{chdir}");
}

fn check_entry(entry: &Entry) {
    match &entry.target {
        Target::Place(path) => check_target(path),
        Target::Fd(fd) => assert!(*fd > 2 && matches!(entry.what, What::Mount(_)), "{entry:?}"),
    }
    assert!(entry.mkdir <= 0o1777, "{entry:?}");
    assert!(sources(entry).iter().all(|path| !path.as_os_str().is_empty()), "{entry:?}");
    assert!(!entry.to_string().chars().any(char::is_control), "{entry}");
}

/// The files of the old root that an entry names.
fn sources(entry: &Entry) -> Vec<&PathBuf> {
    let mut found = match &entry.what {
        What::Mount(Mount::Bind(Bind { source: file, .. }) | Mount::Image(Image { file, .. }))
        | What::File(Content::Copy(file), _)
        | What::Data(Content::Copy(file), _)
        | What::Mask(file) => vec![file],
        What::Mount(Mount::Overlay(Overlay { lowers, upper: Upper::Kept { upper, work }, .. })) => {
            lowers.iter().chain([upper, work]).collect()
        }
        What::Mount(Mount::Overlay(Overlay { lowers, .. })) => lowers.iter().collect(),
        What::Dev(devices) => devices.iter().collect(),
        _ => vec![],
    };
    if let What::Mount(mount) = &entry.what {
        found.extend(mount.idmap().into_iter().filter_map(|map| match map {
            Idmap::Namespace(path) => Some(path),
            Idmap::Ranges(_) | Idmap::Owner(_) => None,
        }));
    }
    assert!(found.len() <= entry.most_files(), "{entry:?}");
    found
}

/// The columns given their meaning, presets replaced.
fn items(columns: Columns) -> Result<Vec<Item>> {
    match item(columns)? {
        Item::Preset(preset) => {
            let host = Host { found: &|_| Found::Tree, private: &|tree| Ok(vec![tree.join("shadow")]) };
            preset::items(&preset, host).map_err(|error| preset.origin.name(error))
        }
        item => Ok(vec![item]),
    }
}

#[test]
fn plans_and_dialects() {
    fuzz(SEEDS, |text| {
        let lines = text.split(|byte| *byte == b'\n').count();
        let read = match statements(OsStr::new("p"), text, &variable) {
            Ok(read) => read,
            Err(error) => {
                check_message(&error, lines);
                return false;
            }
        };
        let mut facts =
            Facts { makes_a_root: true, crossing: None, entries: vec![], owners: vec![], chdirs: vec![], cwd: None };
        for statement in read {
            let Statement::Entry(columns) = statement else { continue };
            check_again(&columns);
            let items = match items(columns) {
                Ok(items) => items,
                Err(error) => {
                    check_message(&error, lines);
                    return false;
                }
            };
            for item in items {
                match item {
                    Item::Entry(entry) => facts.entries.push(entry),
                    Item::Chdir(chdir) => facts.chdirs.push(chdir),
                    Item::Preset(preset) => panic!("{preset:?}"),
                }
            }
        }
        facts.entries.iter().for_each(check_entry);
        facts.chdirs.iter().for_each(check_chdir);
        facts.makes_a_root = !facts.entries.iter().any(|entry| matches!(entry.target, Target::Fd(_)));
        if let Ok(steps) = plan::steps(&facts, Root::default()) {
            let calls: String = steps.iter().map(chain::Step::call).collect();
            assert!(steps.len() >= 2 && !calls.chars().any(char::is_control), "{calls}");
        }
        !facts.entries.is_empty() || !facts.chdirs.is_empty()
    });
}

/// Columns that are written down again, with every byte that could mean something escaped, are the same columns.
fn check_again(columns: &Columns) {
    let option = |setting: &Setting| match &setting.value {
        None => escaped(&setting.key),
        Some(value) => format!("{}={}", escaped(&setting.key), escaped(value)),
    };
    let options: Vec<String> = columns.options.iter().map(option).collect();
    let words = [&columns.source, &columns.target, &columns.fstype].map(|word| escaped(word));
    // What a variable without a value made empty cannot be written without it.
    if words.iter().chain(&options).any(String::is_empty) {
        return;
    }
    let text =
        format!("{} {} 0 0\n", words.join(" "), if options.is_empty() { "-".to_owned() } else { options.join(",") });
    let again = statements(OsStr::new("p"), text.as_bytes(), &|_| None).unwrap();
    let [Statement::Entry(again)] = again.as_slice() else { panic!("{text}: {again:?}") };
    assert_eq!(Columns { origin: columns.origin.clone(), ..again.clone() }, *columns, "{text}");
}

fn escaped(word: &OsStr) -> String {
    let mut text = String::new();
    for (n, byte) in word.as_bytes().iter().enumerate() {
        // The first letter too, for the words that mean something as a whole: defaults, -, lxc.mount.entry.
        if n > 0 && byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            write!(text, "\\{byte:03o}").unwrap();
        }
    }
    text
}

#[test]
fn id_maps() {
    let seeds =
        ["b:0:100000:65536", "u:0:1000:1 g:0:100:1", "0:0:1", "/proc/1/ns/user", "u:4294967294:0:1  g:1:1:4294967293"];
    fuzz(&seeds, |text| {
        let word = OsString::from_vec(text.to_vec());
        match idmap::read(&word) {
            Ok(map) => {
                // Every path is a map; ranges are what there is to learn.
                let ranges = !word.as_bytes().starts_with(b"/");
                assert!(!ranges || idmap::read(OsStr::new(&map.to_string())).unwrap() == map);
                ranges
            }
            Err(error) => {
                assert!(!format!("{error:#}").chars().any(char::is_control), "{error:#}");
                false
            }
        }
    });
}

/// A target is the same place whatever way it is written.
#[test]
fn targets() {
    fuzz(&["/a/b", "a/./b//", "/..", "none", "/", "./a", "/a/../b", "fd:7"], |text| {
        let columns = Columns {
            origin: Origin(Some(("p".into(), 1))),
            source: "t".into(),
            target: OsString::from_vec(text.to_vec()),
            fstype: "tmpfs".into(),
            options: vec![],
        };
        let Ok(Item::Entry(entry)) = item(columns.clone()) else { return false };
        let Target::Place(place) = &entry.target else { return text.starts_with(b"fd:") };
        // A NUL byte cannot come from a command line, and a plan refuses it before.
        if !place.as_os_str().as_bytes().contains(&0) {
            check_entry(&entry);
        }
        let again = item(Columns { target: place.clone().into_os_string(), ..columns }).unwrap();
        assert_eq!(again, Item::Entry(entry.clone()));
        assert!(Path::new("/").join(place) == *place);
        true
    });
}
