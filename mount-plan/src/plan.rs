//! Pure: entries and facts to steps, or a refusal.

use std::path::Path;

use chain::{Failure, Result};

use crate::carry::Chosen;
use crate::entry::{Entry, What};
use crate::grammar::at;
use crate::idmap::Range;
use crate::look::{Facts, Source};
use crate::step::Step;

/// The steps. Entries keep their order; the working directory comes last, when everything is there.
///
/// # Errors
/// An entry for `/` that is not the first, or that is no mount; a second working directory.
pub fn steps<'a>(
    entries: &'a [Entry],
    facts: &'a Facts,
    carried: Option<&'a Chosen>,
    rw_root: bool,
) -> Result<Vec<Step<'a>>> {
    let mut steps: Vec<Step<'a>> = carried.map(Step::Carry).into_iter().collect();
    steps.extend(maps(entries).into_iter().map(Step::Map));
    steps.push(Step::Private);
    let mut present = entries
        .iter()
        .zip(&facts.sources)
        .filter_map(|(entry, sources)| Some((entry, sources.as_deref()?)))
        .filter(|(entry, _)| entry.what != What::Chdir)
        .peekable();
    let root = present.next_if(|(entry, _)| entry.target == Path::new("/"));
    steps.push(root.map_or(Ok(Step::EmptyRoot { writable: rw_root }), |(entry, sources)| as_root(entry, sources))?);
    for (entry, sources) in present {
        refuse_second_root(entry)?;
        steps.push(Step::Place(entry, sources));
    }
    steps.extend([Step::Seal, Step::Enter, chdir(entries, facts)?]);
    Ok(steps)
}

/// Each map once, however many entries take it.
fn maps(entries: &[Entry]) -> Vec<&[Range]> {
    let mut maps = vec![];
    for ranges in entries.iter().filter_map(|entry| entry.what.ranges()) {
        if !maps.contains(&ranges) {
            maps.push(ranges);
        }
    }
    maps
}

fn as_root<'a>(entry: &'a Entry, sources: &'a [Source]) -> Result<Step<'a>> {
    match &entry.what {
        What::Bind { .. } | What::Image { .. } | What::Overlay { .. } | What::Filesystem { fstype: "tmpfs", .. } => {
            Ok(Step::Root(entry, sources))
        }
        _ => Err(at(&entry.origin, Failure::refusal(format!("{entry}: this cannot be the root")).into())),
    }
}

fn refuse_second_root(entry: &Entry) -> Result<()> {
    if entry.target != Path::new("/") {
        return Ok(());
    }
    let failure = Failure::refusal(format!("{entry}: the entry for / must be the first, and the only one"))
        .hint("what was mounted before it would be hidden below it");
    Err(at(&entry.origin, failure.into()))
}

fn chdir<'a>(entries: &'a [Entry], facts: &'a Facts) -> Result<Step<'a>> {
    let mut wanted = entries.iter().filter(|entry| entry.what == What::Chdir);
    let entry = wanted.next();
    if let Some(second) = wanted.next() {
        return Err(at(&second.origin, Failure::refusal(format!("{second}: a second working directory")).into()));
    }
    let path = match entry {
        Some(entry) => entry.target.as_path(),
        None => facts.cwd.as_deref().unwrap_or(Path::new("/")),
    };
    Ok(Step::Chdir { entry, path })
}
