//! A chain as data: links, words, and what becomes of the environment. It is printed as a shell script or executed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;

use chain::{Next, Result, VARIABLES, message, sys};

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What a script has to do before it, as the front has done it.
    pub before: Vec<u8>,
    /// Who speaks for it: `NAME:STATUS` (CHAIN_AS).
    pub speaker: OsString,
    /// What of the environment changes.
    pub environment: Environment,
    /// Each a tool and its words, without the `--` between them.
    pub links: Vec<Vec<OsString>>,
    /// The payload and its arguments.
    pub payload: Vec<OsString>,
}

/// Changes to the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Nothing of the caller's stays.
    pub clear: bool,
    /// Each variable once: its value, or that it is not to be there.
    pub changes: Vec<(OsString, Option<OsString>)>,
}

/// Whether the links read it. What is given for the payload may be anybody's, and must not change what becomes of the box.
pub fn is_for_links(name: &OsStr) -> bool {
    VARIABLES.iter().any(|known| name == *known)
}

impl Environment {
    /// Forgets the caller's, and all changes so far.
    pub fn clear(&mut self) {
        *self = Self { clear: true, changes: vec![] };
    }

    pub fn change(&mut self, name: &OsStr, value: Option<&OsStr>) {
        self.changes.retain(|(known, _)| known != name);
        self.changes.push((name.to_owned(), value.map(OsStr::to_owned)));
    }

    /// What a variable is after the changes; `before`: the caller's.
    pub fn value(&self, name: &str, before: Option<&OsStr>) -> Option<OsString> {
        match self.changes.iter().find(|(known, _)| known == name) {
            Some((_, value)) => value.clone(),
            None if self.clear => None,
            None => before.map(OsStr::to_owned),
        }
    }

    /// The same as words of env(1).
    fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = if self.clear { vec!["-i".into()] } else { vec![] };
        let unset = self.changes.iter().filter(|(_, value)| value.is_none() && !self.clear);
        words.extend(unset.flat_map(|(name, _)| ["-u".into(), name.clone()]));
        words.extend(self.changes.iter().filter_map(|(name, value)| Some(pair(name, value.as_deref()?))));
        words
    }

    /// All of it after the changes, each `NAME=VALUE`.
    fn all(&self) -> Vec<OsString> {
        let changed = |name: &OsStr| self.changes.iter().any(|(known, _)| known == name);
        // Whoever asks for an explanation gets it, whatever the payload's environment is to be.
        let stays = |name: &OsStr| !self.clear || name == "CHAIN_EXPLAIN";
        let before = env::vars_os().filter(|(name, _)| stays(name) && !changed(name));
        let new = self.changes.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        before.chain(new).map(|(name, value)| pair(&name, &value)).collect()
    }
}

fn pair(name: &OsStr, value: &OsStr) -> OsString {
    let mut pair = name.to_owned();
    pair.push("=");
    pair.push(value);
    pair
}

impl Chain {
    /// The words of the whole.
    fn words(&self) -> Vec<OsString> {
        let links = self.links.iter().flat_map(|link| link.iter().cloned().chain(["--".into()]));
        links.chain(self.payload.iter().cloned()).collect()
    }

    /// As a shell would be given it: one link on a line.
    pub fn text(&self) -> Vec<u8> {
        let links = self.links.iter().map(|link| [quoted(link), b" --".to_vec()].concat());
        links.chain([quoted(&self.payload)]).collect::<Vec<_>>().join(&b" \\\n    "[..])
    }

    /// A script for sh(1) that does the same, with env(1) of any kind that has -u. Where PATH changes, env would look the
    /// first link up in the new one.
    pub fn script(&self) -> Vec<u8> {
        let mut environment = self.environment.clone();
        environment.change(OsStr::new("CHAIN_AS"), Some(&self.speaker));
        let mut script = [b"#!/bin/sh\n", &*self.before, b"exec env "].concat();
        script.extend(quoted(&environment.words()));
        script.extend(b" \\\n    ");
        let mut text = self.text();
        if environment.clear || environment.changes.iter().any(|(name, _)| name == "PATH") {
            let tool = self.links.first().and_then(|link| link.first()).map_or(0, |tool| tool.len());
            let tool = text.drain(..tool).collect::<Vec<u8>>();
            script.extend([b"\"$(command -v ", &*tool, b")\""].concat());
        }
        script.extend(text);
        script.push(b'\n');
        script
    }

    /// Whether it is to run: neither printed nor explained.
    pub fn is_to_run(&self) -> bool {
        let asked = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        !asked("CHAIN_PRINT") && !asked("CHAIN_EXPLAIN")
    }

    /// Prints the script where `CHAIN_PRINT` says so; otherwise executes the chain, or begins its first link in this process.
    /// `open`: the descriptors that the links are to find open, besides 0, 1 and 2. Returns only where it has printed.
    pub fn go(self, open: &[RawFd]) -> Result<u8> {
        if env::var_os("CHAIN_PRINT").is_some_and(|value| !value.is_empty()) {
            return message::print(&self.script()).map(|()| 0);
        }
        crate::offer();
        let next = Next::resolve(&self.words())?;
        let mut environment = self.environment;
        environment.change(OsStr::new("CHAIN_AS"), Some(&self.speaker));
        sys::keep_variables(&environment.all());
        Err(next.exec(open))
    }
}

/// Words as sh(1) reads them, any byte but NUL.
pub fn quoted(words: &[OsString]) -> Vec<u8> {
    words.iter().map(|word| quote(word.as_bytes())).collect::<Vec<_>>().join(&b' ')
}

fn quote(word: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        return word.to_vec();
    }
    let inner = word.split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..]);
    [b"'", &*inner, b"'"].concat()
}
