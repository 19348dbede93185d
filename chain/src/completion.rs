//! Shell completion: the options of a table, as data for bash, zsh and fish.
//!
//! The scripts run none of the programs on the line, ours neither, and open nothing but directories. What follows a link is
//! completed as its own command line: one of our tools by its own table, anything else as the shell does.

use std::ffi::OsStr;

use crate::table::{COMMON, Flag, Table, Takes};
use crate::{Result, TOOLS, refusal, show};

/// What may stand in a place of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A path.
    Path,
    /// A directory.
    Directory,
    /// One of these words; behind one that ends in `=` comes a path.
    Words(Vec<String>),
    /// One of these words, which has a syntax of its own: that of `COMMAND WORD`, else of `WORD`.
    Verb(Vec<String>),
    /// A program, and behind it its own command line.
    Program,
    /// What cannot be known.
    Unknown,
}

/// An option.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its names, with their dashes.
    pub names: Vec<String>,
    /// Its values, each as the manual calls it.
    pub values: Vec<(String, Kind)>,
    /// Whether the value is joined by `=` only, and may be missing.
    pub joined: bool,
    /// Whether it may be given more than once.
    pub repeats: bool,
    /// One line.
    pub help: String,
}

/// What a command line may consist of.
#[derive(Clone, Debug)]
pub struct Syntax {
    /// The command: a tool, or a tool and its subcommand.
    pub name: String,
    /// Its options.
    pub options: Vec<Choice>,
    /// The words that are no options, in order. Behind the last of them there is nothing.
    pub operands: Vec<Kind>,
}

impl Syntax {
    /// That of a tool: its own options and those that all share, then PROG.
    pub fn of<K>(table: &Table<K>) -> Self {
        let shared = COMMON.iter().map(Choice::of);
        let mut syntax = Self::foreign(table);
        syntax.options.extend(shared);
        syntax
    }

    /// The same without the shared options.
    pub fn foreign<K>(table: &Table<K>) -> Self {
        let options = table.flags.iter().map(Choice::of).collect();
        Self { name: table.tool.to_owned(), options, operands: vec![Kind::Program] }
    }

    /// The names of its options and subcommands.
    pub fn words(&self) -> Vec<String> {
        self.options.iter().flat_map(|choice| &choice.names).chain(self.verbs().unwrap_or_default()).cloned().collect()
    }

    fn verbs(&self) -> Option<&[String]> {
        self.operands.iter().find_map(|kind| if let Kind::Verb(verbs) = kind { Some(verbs.as_slice()) } else { None })
    }
}

impl Choice {
    fn of<K>(flag: &Flag<K>) -> Self {
        let names = flag.short.map(|letter| format!("-{letter}")).into_iter().chain([format!("--{}", flag.long)]);
        let (values, joined) = match &flag.takes {
            Takes::Nothing => (&[][..], false),
            Takes::Optional(value) => (std::slice::from_ref(value), true),
            Takes::Values(values) | Takes::Words(values) => (*values, false),
        };
        let mut values: Vec<_> = values.iter().map(|name| ((*name).to_owned(), kind(name))).collect();
        if let (Some(first), false) = (values.first_mut(), flag.among.is_empty()) {
            first.1 = Kind::Words(flag.among.iter().map(|word| (*word).to_owned()).collect());
        }
        Self { names: names.collect(), values, joined, repeats: flag.repeats, help: flag.help.to_owned() }
    }
}

/// What a value is, by the name that the manual has for it. `this|that` are the words themselves.
pub fn kind(value: &str) -> Kind {
    if value.contains('|') && value.bytes().all(|byte| byte.is_ascii_lowercase() || b"|-".contains(&byte)) {
        return Kind::Words(value.split('|').map(ToOwned::to_owned).collect());
    }
    match value.split(|c: char| !c.is_ascii_uppercase()).next() {
        Some("FILE") if value.contains('=') => Kind::Unknown,
        Some("FILE" | "PATH" | "SRC" | "DST" | "DEST" | "CONTENT") => Kind::Path,
        Some("DIR" | "LOWER" | "UPPER" | "WORK" | "RWSRC" | "WORKDIR" | "POOL") => Kind::Directory,
        _ => Kind::Unknown,
    }
}

/// A script for `shell` that completes the `commands`; `syntaxes` has theirs, and those of what may follow them.
pub fn script(shell: &OsStr, commands: &[&str], syntaxes: &[Syntax]) -> Result<String> {
    let all = |one: fn(&Syntax) -> String| syntaxes.iter().map(one).collect::<String>();
    let names = commands.join(" ");
    Ok(match shell.to_str() {
        Some("bash") => {
            let (driver, tools, data) = (include_str!("completion/bash"), TOOLS.join(" "), all(bash));
            format!("{driver}_chainbox_tools='{tools}'\n{data}complete -o default -F _chainbox {names}\n")
        }
        Some("zsh") => {
            let (functions, driver, files) = (all(zsh), include_str!("completion/zsh"), commands.join("|"));
            // The file is a function of zsh's by its own name, or it is sourced.
            let end = format!(
                "if [[ ${{funcstack[1]#_}} == (chainbox|{files}) ]]; then _chainbox; else compdef _chainbox {names}; fi"
            );
            format!("#compdef {names}\n_chainbox_tools=({})\n{driver}{functions}{end}\n", TOOLS.join(" "))
        }
        Some("fish") => {
            let command = |name: &&str| format!("complete -c {name} -f -a '(__chainbox)'\n");
            let commands: String = commands.iter().map(command).collect();
            format!(
                "{}set -g __chainbox_tools {}\n{}{commands}",
                include_str!("completion/fish"),
                TOOLS.join(" "),
                all(fish)
            )
        }
        _ => return Err(refusal!("--completion {}: bash, zsh or fish", show(shell))),
    })
}

/// A kind as bash and fish read it.
fn letter(kind: &Kind) -> String {
    match kind {
        Kind::Path => "f".to_owned(),
        Kind::Directory => "d".to_owned(),
        Kind::Words(words) => format!("={}", words.join(",")),
        Kind::Verb(verbs) => format!("%{}", verbs.join(",")),
        Kind::Program => "@".to_owned(),
        Kind::Unknown => "-".to_owned(),
    }
}

/// The rows of a syntax as bash and fish read them: `NAME:KIND...` of each option, `NAME=:KIND` where the value is joined only,
/// and `+:KIND...` of the words that are no options.
fn rows(syntax: &Syntax) -> Vec<(String, &str)> {
    let kinds = |kinds: &[&Kind]| kinds.iter().map(|kind| format!(":{}", letter(kind))).collect::<String>();
    let mut rows = vec![(format!("+{}", kinds(&syntax.operands.iter().collect::<Vec<_>>())), "")];
    for choice in &syntax.options {
        let values = kinds(&choice.values.iter().map(|(_, kind)| kind).collect::<Vec<_>>());
        for name in &choice.names {
            let apart = if choice.joined { "" } else { &values };
            rows.push((format!("{name}{apart}"), choice.help.as_str()));
            if choice.joined {
                rows.push((format!("{name}={values}"), choice.help.as_str()));
            }
        }
    }
    rows
}

fn bash(syntax: &Syntax) -> String {
    let rows: Vec<String> = rows(syntax).into_iter().map(|(row, _)| row).collect();
    format!("_chainbox[{}]={}\n", quote(&syntax.name), quote(&rows.join(" ")))
}

fn fish(syntax: &Syntax) -> String {
    let rows: String =
        rows(syntax).into_iter().map(|(row, help)| format!(" \\\n    {}", quote(&format!("{row} {help}")))).collect();
    format!("set -g __chainbox_{}{rows}\n", syntax.name.replace('-', "_2D_").replace(' ', "_20_"))
}

/// A function that calls zsh's own `_arguments`.
fn zsh(syntax: &Syntax) -> String {
    let function = function(&syntax.name);
    let options = syntax.options.iter().flat_map(zsh_option);
    let operands = syntax.operands.iter().enumerate().map(|(n, kind)| match kind {
        Kind::Program => "*:::program:_chainbox_program".to_owned(),
        Kind::Verb(_) => "*:::subcommand:->verb".to_owned(),
        other => format!("{}:word:{}", n + 1, zsh_action(other)),
    });
    let specs: String = options.chain(operands).map(|spec| format!(" \\\n    {}", quote(&spec))).collect();
    // Options stand behind the words of a subcommand too.
    let ends = if syntax.operands == [Kind::Program] { "-A '-*' " } else { "" };
    let verbs =
        syntax.verbs().map_or(String::new(), |verbs| format!("  _chainbox_verb {function} {}\n", verbs.join(" ")));
    format!(
        "{function}() {{\n  local curcontext=$curcontext state line\n  _arguments -C -S {ends}:{specs}\n{verbs}}}\n"
    )
}

fn function(name: &str) -> String {
    format!("_chainbox_{}", name.replace(['-', ' '], "_"))
}

fn zsh_option(choice: &Choice) -> Vec<String> {
    let once = if choice.repeats { "*".to_owned() } else { format!("({})", choice.names.join(" ")) };
    let values = choice.values.iter().map(|(name, kind)| {
        let optional = if choice.joined { "::" } else { ":" };
        format!("{optional}{}:{}", name.replace(':', "\\:"), zsh_action(kind))
    });
    let values: String = values.collect();
    let names = choice.names.iter().map(|name| {
        let joint = match (choice.values.is_empty(), choice.joined, name.starts_with("--")) {
            (true, ..) => "",
            (_, true, _) => "=-",
            (_, false, true) => "=",
            (_, false, false) => "+",
        };
        format!(
            "{once}{name}{joint}[{}]{values}",
            choice.help.replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
        )
    });
    names.collect()
}

fn zsh_action(kind: &Kind) -> String {
    match kind {
        Kind::Path => "_chainbox_files".to_owned(),
        Kind::Directory => "_chainbox_files -/".to_owned(),
        Kind::Words(words) if words.iter().all(|word| word.ends_with('=')) => {
            format!("{{compset -P \"*=\" && _chainbox_files || compadd -S \"\" -- {}}}", words.join(" "))
        }
        Kind::Words(words) => format!("({})", words.join(" ")),
        Kind::Verb(_) | Kind::Program | Kind::Unknown => " ".to_owned(),
    }
}

/// Text as one word of a POSIX shell, zsh or fish.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table<u8> = Table {
        tool: "a-tool",
        summary: "it's a tool",
        manual: "",
        flags: &[
            Flag::new(0, "pair", "takes [two]: it's values").takes(&["TYPE", "DST"]).among(&["a", "b"]).repeats(),
            Flag::new(1, "plain", "takes none").short('p'),
        ],
    };

    #[test]
    fn every_script_has_every_option_with_its_values() {
        let of = |shell: &str| script(OsStr::new(shell), &["a-tool"], &[Syntax::of(&TABLE)]).unwrap();
        let has = |shell: &str, words: &str| assert!(of(shell).contains(words), "{shell}: {words}: {}", of(shell));
        has("bash", "_chainbox['a-tool']='+:@ --pair:=a,b:f -p --plain -v --verbose --explain --explain=:=json ");
        has("zsh", "'*--pair=[takes \\[two\\]\\: it'\\''s values]:TYPE:(a b):DST:_chainbox_files'");
        has("zsh", "'(-p --plain)--plain[takes none]'");
        has("fish", "'--pair:=a,b:f takes [two]: it'\\''s values'");
        for shell in ["bash", "zsh", "fish"] {
            COMMON.iter().for_each(|flag| has(shell, &format!("--{}", flag.long)));
        }
        assert!(script(OsStr::new("tcsh"), &[], &[]).is_err());
    }
}
