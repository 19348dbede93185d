//! `--help` and the man page, printed from the flag table so that none of them can lag behind.

use crate::VERSION;
use crate::table::{COMMON, Flag, Table, Takes};

/// One row of an option, free of the tool's key type.
#[derive(Clone, Debug)]
pub struct Row {
    /// The long name, without dashes.
    pub long: String,
    /// All names and values, as they are written.
    pub names: String,
    /// One line or more.
    pub help: String,
}

impl Row {
    fn of<K>(flag: &Flag<K>) -> Self {
        let short = flag.short.map_or(String::new(), |letter| format!("-{letter}, "));
        let values = match flag.takes {
            Takes::Nothing => String::new(),
            Takes::Optional(value) => format!("[={value}]"),
            Takes::Values(values) | Takes::Words(values) => format!(" {}", values.join(" ")),
        };
        let names = format!("{short}--{}{values}", flag.long);
        Self { long: flag.long.to_owned(), names, help: flag.help.to_owned() }
    }
}

fn rows<K>(table: &Table<K>) -> impl Iterator<Item = Row> {
    table.flags.iter().map(Row::of).chain(COMMON.iter().map(Row::of))
}

/// The text of `--help`: usage, the layer, every option on one line, the exit codes.
pub fn help<K>(table: &Table<K>) -> String {
    let options = lines(&rows(table).collect::<Vec<_>>());
    format!(
        "{tool}: {summary}\n\nusage: {tool} [OPTION]... [--] [PROG [ARG]...]\nwithout PROG: $SHELL, or /bin/sh\n\n{options}\n\
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

/// The manual page of a tool in man(7) macros.
pub fn man<K>(table: &Table<K>) -> String {
    let (tool, synopsis) = (table.tool, "[OPTION]... [--] [PROG [ARG]...]");
    let rows: Vec<Row> = rows(table).collect();
    Page { name: tool, section: 1, summary: table.summary, synopsis, manuals: &[MANUAL, table.manual] }.man(&rows)
}

/// The same of a command line that shares nothing with those of the tools.
pub fn man_foreign<K>(name: &str, synopsis: &str, table: &Table<K>) -> String {
    let rows: Vec<Row> = table.flags.iter().map(Row::of).collect();
    Page { name, section: 1, summary: table.summary, synopsis, manuals: &[table.manual] }.man(&rows)
}

/// What a manual page has beside options.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The name of what it is about.
    pub name: &'a str,
    /// Its section of the manual.
    pub section: u8,
    /// One line.
    pub summary: &'a str,
    /// What stands behind the name on a command line.
    pub synopsis: &'a str,
    /// The prose, as [`Table::manual`]: of the last one what it is, of all the options and sections.
    pub manuals: &'a [&'a str],
}

impl Page<'_> {
    /// It, in man(7) macros. Words are not parted at line ends: an option's name is one to be copied.
    #[must_use]
    pub fn man(&self, rows: &[Row]) -> String {
        let mut page = self.head();
        page.push_str(&prose(self.manuals.last().map_or("", |manual| part(manual, ""))));
        page.push_str(if rows.is_empty() { "" } else { ".SH OPTIONS\n" });
        rows.iter().for_each(|row| page.push_str(&self.option(row)));
        page + &self.manuals.iter().map(|manual| sections(manual)).collect::<String>()
    }

    /// What stands above the description.
    #[must_use]
    pub fn head(&self) -> String {
        let Self { name, section, summary, synopsis, .. } = self;
        let title = name.to_uppercase();
        let (name, summary) = (roff(name), roff(summary));
        let head = format!(".TH {title} {section} \"\" \"chainbox {VERSION}\" \"chainbox\"\n.nh\n.ad l\n");
        let usage =
            if *section == 1 { format!(".SH SYNOPSIS\n.B {name}\n{}\n", roff(synopsis)) } else { String::new() };
        format!("{head}.SH NAME\n{name} \\- {summary}\n{usage}.SH DESCRIPTION\n")
    }

    fn option(&self, row: &Row) -> String {
        let heading = format!("--{}", row.long);
        let detail = self.manuals.iter().rev().map(|manual| prose(part(manual, &heading))).collect::<String>();
        let detail = if detail.is_empty() { detail } else { format!(".IP\n{detail}") };
        format!(".TP\n.B {}\n{}.\n{detail}", roff(&row.names), roff(&row.help))
    }
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

/// Text as roff shows it literally: backslashes, hyphens and quotes that must stay what they are, and no accidental request.
pub fn roff(text: &str) -> String {
    let marks = [("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti")];
    let text = marks.iter().fold(text.to_owned(), |text, (plain, mark)| text.replace(plain, mark));
    if text.starts_with('.') { format!("\\&{text}") } else { text }
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
        for long in TABLE.flags.iter().map(|f| f.long).chain(COMMON.iter().map(|f| f.long)) {
            assert!(help(&TABLE).contains(&format!("--{long}")), "{long} in --help");
            assert!(man(&TABLE).contains(&roff(&format!("--{long}"))), "{long} in the man page");
        }
    }

    #[test]
    fn text_cannot_become_a_roff_request() {
        assert!(man(&TABLE).contains("\n\\&.starts with a dot\n"));
        assert!(man(&TABLE).contains("\n.nf\n    a\\-tool \\-\\- id\n"));
    }
}
