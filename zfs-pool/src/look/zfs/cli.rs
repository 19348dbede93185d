//! zfs(8), with the verbs and options that zfs-fuse 0.7 and OpenZFS have in common.

use std::path::PathBuf;

use chain::{Hint as _, Result, refusal};

use crate::look::command::{self, Done};

/// What zfs(8) lists; `None` where there is no such dataset.
type Rows<const N: usize> = Option<Vec<[String; N]>>;

#[derive(Debug)]
pub struct Zfs {
    program: PathBuf,
}

impl Zfs {
    /// Finds it where only root can have put it.
    pub fn find() -> Result<Self> {
        let missing = || {
            refusal!("zfs: no such command in the system's folders")
                .hint("install zfsutils-linux (OpenZFS) or zfs-fuse, or use a directory pool: --pool DIR")
        };
        Ok(Self { program: command::find("zfs").ok_or_else(missing)? })
    }

    /// Runs it.
    pub fn run(&self, args: &[&str]) -> Result<Done> {
        command::run(&self.program, args)
    }

    /// `zfs list`: one row of `columns` for each dataset of `kind` under `parent`, one level deep (`-d 1`), `parent` itself included.
    pub fn list<const N: usize>(&self, parent: &str, kind: &str, columns: [&str; N]) -> Result<Rows<N>> {
        self.rows(&["list", "-H", "-d", "1", "-t", kind, "-o", &columns.join(","), parent])
    }

    /// The same for one dataset alone.
    pub fn one<const N: usize>(&self, dataset: &str, columns: [&str; N]) -> Result<Option<[String; N]>> {
        let rows = self.rows(&["list", "-H", "-o", &columns.join(","), dataset])?;
        Ok(rows.and_then(|rows| rows.into_iter().next()))
    }

    /// The value of a property of one dataset, a size in bytes.
    pub fn exact(&self, dataset: &str, property: &str) -> Result<String> {
        let args = ["get", "-Hp", "-o", "value", property, dataset];
        Ok(String::from_utf8_lossy(&self.run(&args)?.checked(&what(&args))?).trim_end().to_owned())
    }

    fn rows<const N: usize>(&self, args: &[&str]) -> Result<Rows<N>> {
        let done = self.run(args)?;
        if !done.good && done.complaint.contains("does not exist") {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&done.checked(&what(args))?).into_owned();
        let row = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().ok();
        let rows = text.lines().map(row).collect::<Option<_>>();
        rows.map(Some).ok_or_else(|| refusal!("{}: not understood", what(args)))
    }
}

/// The command line for messages; every argument is a checked name or a word of ours.
pub fn what(args: &[&str]) -> String {
    format!("zfs {}", args.join(" "))
}
