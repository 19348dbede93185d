//! The command line: each entry of a plan as an option, in order, and the plans themselves.

pub mod columns;
mod dialect;
pub mod entry;
mod options;
pub mod preset;
pub mod text;

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;

use chain::values::descriptor;
use chain::{Requested, Result, refusal, show};

use crate::model::{Origin, Root, Setting};
use crate::table::{Column, EntryForm, Key};
use columns::{Columns, settings};

/// How the next program is to get across the root change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// One of our tools that stands beside this one as a clone, anything else not at all.
    #[default]
    Auto,
    Clone,
    Sealed,
    /// Not at all: it is found in the new root.
    No,
}

/// What is requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Entries and plans, in order.
    pub parts: Vec<Part>,
    pub root: Root,
    pub carry: Carry,
    /// Directories to be emptied, in place of everything else.
    pub wipe: Vec<OsString>,
}

/// One part of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Entry(Columns),
    /// A file of entries; `-` is standard input.
    File(OsString),
    /// An open file of entries.
    Fd(RawFd),
}

/// What the options mean.
pub fn request(requested: &[Requested<Key>]) -> Result<Request> {
    let mut request = Request::default();
    for option in requested {
        let value = option.value(0);
        match option.key {
            Key::Plan => request.parts.push(Part::File(value.to_owned())),
            Key::PlanFd => request.parts.push(Part::Fd(descriptor("plan-fd", value)?)),
            Key::Options => add_options(&mut request.parts, value)?,
            Key::Entry(form) => request.parts.push(Part::Entry(columns(form, &option.values)?)),
            Key::RwRoot => request.root.writable = true,
            Key::SetPwd => request.root.set_pwd = true,
            Key::Carry => request.carry = carry(value)?,
            Key::Wipe => request.wipe.push(value.to_owned()),
        }
    }
    Ok(request)
}

fn add_options(parts: &mut [Part], column: &OsStr) -> Result<()> {
    let Some(Part::Entry(columns)) = parts.last_mut() else {
        return Err(refusal!("-o {}: no entry stands before it", show(column)));
    };
    columns.options.extend(verbatim(column)?);
    Ok(())
}

/// The settings of an options column in which no variable is replaced.
fn verbatim(column: &OsStr) -> Result<Vec<Setting>> {
    settings(column.as_bytes(), &|raw| Ok(OsStr::from_bytes(raw).to_owned()))
}

fn columns(form: EntryForm, values: &[OsString]) -> Result<Columns> {
    let mut columns = Columns {
        origin: Origin::default(),
        source: "none".into(),
        target: "/".into(),
        fstype: form.fstype.into(),
        options: verbatim(form.options.as_ref())?,
    };
    for (column, value) in form.columns.iter().zip(values) {
        match column {
            Column::Type => columns.fstype.clone_from(value),
            Column::Source => columns.source.clone_from(value),
            Column::Target => columns.target.clone_from(value),
            Column::Option(key) => columns.options.push(Setting::value(key, value)),
        }
    }
    Ok(columns)
}

fn carry(word: &OsStr) -> Result<Carry> {
    match word.to_str() {
        Some("clone") => Ok(Carry::Clone),
        Some("sealed") => Ok(Carry::Sealed),
        Some("no") => Ok(Carry::No),
        _ => Err(refusal!("--carry {}: clone, sealed or no", show(word))),
    }
}
