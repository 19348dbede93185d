//! `--help`, the man page and shell completion, printed from the flag table so that none of them can lag behind.

use std::ffi::OsStr;

use crate::table::{COMMON, Flag, Table, Takes};
use crate::{Result, VERSION, refusal, show};

/// One row of an option, free of the tool's key type.
struct Row {
    long: &'static str,
    names: String,
    help: &'static str,
}

impl Row {
    fn of<K>(flag: &Flag<K>) -> Self {
        let short = flag.short.map_or(String::new(), |letter| format!("-{letter}, "));
        let values = match flag.takes {
            Takes::Nothing => String::new(),
            Takes::Optional(value) => format!("[={value}]"),
            Takes::Values(values) | Takes::Words(values) => format!(" {}", values.join(" ")),
        };
        Self { long: flag.long, names: format!("{short}--{}{values}", flag.long), help: flag.help }
    }
}

fn rows<K>(table: &Table<K>) -> impl Iterator<Item = Row> {
    table.flags.iter().map(Row::of).chain(COMMON.iter().map(Row::of))
}

/// The text of `--help`: usage, the layer, every option on one line, the exit codes.
pub fn help<K>(table: &Table<K>) -> String {
    let options = lines(&rows(table).collect::<Vec<_>>());
    format!(
        "{tool}: {summary}\n\nusage: {tool} [OPTION]... [--] [PROG [ARG]...]\n\n{options}\n\
         exit status: PROG's own; 125 {tool} failed, 126 PROG is not executable, 127 PROG not found\n",
        tool = table.tool,
        summary = table.summary,
    )
}

/// The options of a table on one line each, without those that all tools share.
pub fn options<K>(table: &Table<K>) -> String {
    lines(&table.flags.iter().map(Row::of).collect::<Vec<_>>())
}

fn lines(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.names.len()).filter(|len| *len <= 32).max().unwrap_or(0);
    rows.iter().map(|row| help_line(row, width)).collect()
}

fn help_line(row: &Row, width: usize) -> String {
    if row.names.len() > width {
        return format!("  {}\n  {:width$}  {}\n", row.names, "", row.help);
    }
    format!("  {:width$}  {}\n", row.names, row.help)
}

/// The manual page in man(7) macros.
pub fn man<K>(table: &Table<K>) -> String {
    let mut page = format!(
        ".TH {} 1 \"\" \"chainbox {VERSION}\" \"chainbox\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n\
         [\\fIOPTION\\fR]... [\\-\\-] [\\fIPROG\\fR [\\fIARG\\fR]...]\n.SH DESCRIPTION\n",
        table.tool.to_uppercase(),
        roff(table.tool),
        roff(table.summary),
        roff(table.tool),
    );
    page.push_str(&prose(part(table.manual, "")));
    page.push_str(".SH OPTIONS\n");
    for row in rows(table) {
        page.push_str(&format!(".TP\n.B {}\n{}.\n", roff(&row.names), roff(row.help)));
        let heading = format!("--{}", row.long);
        let detail = [table.manual, MANUAL].map(|manual| prose(part(manual, &heading))).concat();
        if !detail.is_empty() {
            page.push_str(&format!(".IP\n{detail}"));
        }
    }
    page + &sections(MANUAL) + &sections(table.manual)
}

/// What there is to say about the options that all tools have, and about exit codes.
pub const MANUAL: &str = include_str!("manual.txt");

/// The parts of a manual: each heading, a line `## HEADING`, with the text below it; first, under "", what stands before them.
fn parts(manual: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = manual.split("## ");
    let layer = parts.next().map(|layer| ("", layer));
    let headed = parts.map(|part| part.split_once('\n').unwrap_or((part, "")));
    layer.into_iter().chain(headed).map(|(heading, text)| (heading, text.trim_matches('\n')))
}

/// The text under a heading; empty where there is none.
pub fn part<'a>(manual: &'a str, heading: &str) -> &'a str {
    parts(manual).find(|part| part.0 == heading).map_or("", |part| part.1)
}

/// The sections of a manual, whose headings are in capitals.
pub fn sections(manual: &str) -> String {
    let sections = parts(manual).filter(|part| part.0.starts_with(|c: char| c.is_ascii_uppercase()));
    sections.map(|(heading, text)| format!(".SH {}\n{}", roff(heading), prose(text))).collect()
}

/// Prose in man(7) macros: paragraphs are separated by empty lines; lines that start with four spaces are code.
pub fn prose(text: &str) -> String {
    let is_code = |line: &str| line.starts_with("    ");
    let is_text = |line: &str| !line.is_empty() && !is_code(line);
    let mut page = String::new();
    let mut before = "";
    for line in text.lines() {
        page.push_str(match (is_code(before), is_code(line)) {
            (false, true) => "\n.PP\n.nf\n",
            (true, false) => "\n.fi\n.PP\n",
            _ if is_text(before) && is_text(line) => " ",
            _ => "\n",
        });
        page.push_str(&if line.is_empty() { ".PP".to_owned() } else { roff(line) });
        before = line;
    }
    page.push_str(if is_code(before) { "\n.fi\n" } else { "\n" });
    page.trim_start_matches('\n').to_owned()
}

/// Text as roff shows it literally: backslashes, hyphens that must stay hyphens, and no accidental request.
pub fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// A completion script for `shell`.
pub fn completion<K>(table: &Table<K>, shell: &OsStr) -> Result<String> {
    let longs = || table.flags.iter().map(|f| (f.long, f.help)).chain(COMMON.iter().map(|f| (f.long, f.help)));
    let tool = table.tool;
    let function = tool.replace('-', "_");
    match shell.to_str() {
        Some("bash") => {
            let words: Vec<String> = longs().map(|(long, _)| format!("--{long}")).collect();
            Ok(format!(
                "_{function}() {{ case $2 in -*) COMPREPLY=($(compgen -W '{}' -- \"$2\"));; *) COMPREPLY=($(compgen -c -- \"$2\"));; esac; }}\n\
                 complete -o default -F _{function} {tool}\n",
                words.join(" ")
            ))
        }
        Some("zsh") => {
            let words: Vec<String> = longs().map(|(long, help)| quote(&format!("--{long}[{}]", zsh(help)))).collect();
            Ok(format!("#compdef {tool}\n_arguments -S {} '*::program:_normal'\n", words.join(" ")))
        }
        Some("fish") => {
            Ok(longs().map(|(long, help)| format!("complete -c {tool} -l {long} -d {}\n", quote(help))).collect())
        }
        _ => Err(refusal!("--completion {}: bash, zsh or fish", show(shell))),
    }
}

/// Text inside the brackets of a zsh option specification.
pub fn zsh(help: &str) -> String {
    help.replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

/// Text as one word of a POSIX shell, zsh or fish.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table<u8> = Table {
        tool: "a-tool",
        summary: "it's a tool",
        manual: "One paragraph,\nin two lines.\n\n    a-tool -- id\n\nAnother.\n\n## --plain\n\n.starts with a dot\n\n## SECURITY\n\nNone.\n",
        flags: &[
            Flag::new(0, "pair", "takes [two]: values").takes(&["A", "B"]),
            Flag::new(1, "plain", "takes none").short('p'),
        ],
    };

    #[test]
    fn every_page_names_every_option() {
        let bash = completion(&TABLE, OsStr::new("bash")).unwrap();
        let fish = completion(&TABLE, OsStr::new("fish")).unwrap();
        let zsh = completion(&TABLE, OsStr::new("zsh")).unwrap();
        for long in TABLE.flags.iter().map(|f| f.long).chain(COMMON.iter().map(|f| f.long)) {
            assert!(help(&TABLE).contains(&format!("--{long}")), "{long} in --help");
            assert!(man(&TABLE).contains(&roff(&format!("--{long}"))), "{long} in the man page");
            assert!(bash.contains(&format!("--{long}")) && fish.contains(&format!("-l {long} ")), "{long}");
            assert!(zsh.contains(&format!("--{long}[")), "{long}");
        }
        assert!(completion(&TABLE, OsStr::new("tcsh")).is_err());
    }

    #[test]
    fn text_cannot_become_a_roff_request() {
        assert!(man(&TABLE).contains("\n\\&.starts with a dot\n"));
        assert!(man(&TABLE).contains("\n.nf\n    a\\-tool \\-\\- id\n"));
    }
}
