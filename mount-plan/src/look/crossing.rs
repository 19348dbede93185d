//! Which program crosses the root change, if any.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use chain::{Hint as _, Result, in_process, next, privilege, refusal, show};

use crate::args::Carry;
use crate::model::{Crossing, CrossingForm};

/// Decides whether the next program is carried, and which file that is. `None`: it is found in the new root.
pub fn chosen(carry: Carry, prog: &[OsString]) -> Result<Option<Crossing>> {
    let words = next::or_shell(prog);
    let word = words.first().map_or(OsStr::new(""), OsString::as_os_str);
    match carry {
        Carry::Clone => Ok(Some(Crossing { path: next::find(word)?, form: CrossingForm::Clone })),
        Carry::Sealed => Ok(Some(Crossing { path: next::find(word)?, form: CrossingForm::Sealed })),
        Carry::No => refuse_bare_tool(word).map(|()| None),
        Carry::Auto => match beside(word) {
            Some(path) => Ok(Some(Crossing { form: form(&path, &words), path })),
            None => refuse_bare_tool(word).map(|()| None),
        },
    }
}

/// Nothing has to cross where this process can go on as the next tool, and nobody in the box can ever look into it. What it
/// runs is a file of the old root, which must be as harmless as the clone to whoever gets hold of it: nobody in the box
/// can change it, be it for the box's user namespace, or because its program is an ordinary user. In namespaces that are as
/// old as this process there may be somebody else. A hidden process cannot write to its own files in /proc (proc(5)),
/// as other tools do (`uid_map`, `oom_score_adj`): those tools are executed.
fn form(path: &Path, words: &[OsString]) -> CrossingForm {
    let shut = || {
        (in_process::has_users_of_its_own() && in_process::is_out_of_reach(path))
            || (in_process::has_pids_of_its_own() && in_process::is_out_of_reach_behind(path, words))
    };
    let here = words.first().and_then(|word| next::tool_named(word)) == Some("seccomp-exec")
        && in_process::may_go_on_as(path, words)
        && shut()
        && privilege::exec_changes_nothing().unwrap_or(false);
    if here { CrossingForm::Own } else { CrossingForm::Clone }
}

/// The path of `word` if it names one of our tools that stands beside this executable, or is in this very file.
fn beside(word: &OsStr) -> Option<PathBuf> {
    let name = next::tool_named(word)?;
    if !word.as_bytes().contains(&b'/') {
        return next::beside(name);
    }
    let own = next::own_folder()?;
    let path = own.join(name);
    (next::same_file(&own, Path::new(word).parent()?) && path.is_file()).then_some(path)
}

/// A tool of ours that is found by name in the new root is the payload's.
fn refuse_bare_tool(word: &OsStr) -> Result<()> {
    if word.as_bytes().contains(&b'/') || next::tool_named(word).is_none() {
        return Ok(());
    }
    Err(refusal!("{}: no tool of that name is carried, and the new root is not searched for it", show(word))
        .hint("put it beside mount-plan, or say --carry=clone for the one in PATH, or give its path in the new root"))
}
