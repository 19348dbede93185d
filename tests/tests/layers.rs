//! `docs/layers.md`: every line of the course is run, as an ordinary user, and prints what the page says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;

use chainbox_tests::{Chain, Folder, checkout};

/// One command of the page and the lines that it prints.
#[derive(Debug, PartialEq)]
struct Lesson {
    command: String,
    prints: Vec<String>,
}

fn lessons(page: &str) -> Vec<Lesson> {
    let mut lessons: Vec<Lesson> = vec![];
    for line in page.lines() {
        let Some(code) = line.strip_prefix("    ") else { continue };
        match (code.strip_prefix("$ "), lessons.last_mut()) {
            (Some(command), _) => lessons.push(Lesson { command: command.to_owned(), prints: vec![] }),
            (None, Some(last)) => last.prints.push(code.to_owned()),
            (None, None) => panic!("output before any command: {line}"),
        }
    }
    lessons
}

/// Whether `said` is what the page has: a line `...` stands for any lines, `...` within a line for any text.
fn as_printed(page: &[String], said: &[&str]) -> bool {
    match (page.first().map(String::as_str), said.first()) {
        (None, None) => true,
        (Some("..."), _) => (0..=said.len()).any(|n| as_printed(&page[1..], &said[n..])),
        (Some(wanted), Some(line)) => same_line(wanted, line) && as_printed(&page[1..], &said[1..]),
        _ => false,
    }
}

fn same_line(wanted: &str, line: &str) -> bool {
    match wanted.split_once("...") {
        Some((start, end)) => line.len() >= start.len() + end.len() && line.starts_with(start) && line.ends_with(end),
        None => wanted == line,
    }
}

#[test]
fn every_line_of_the_course_prints_what_the_page_says() {
    let page = fs::read_to_string(checkout().join("docs/layers.md")).unwrap();
    let lessons = lessons(&page);
    assert!(lessons.len() >= 25, "{} commands", lessons.len());
    let folder = Folder::new("layers", true);
    for Lesson { command, prints } in lessons {
        // Messages on standard error are part of a lesson.
        let ran = Chain::shell(&format!("exec 2>&1; {command}")).env("LC_ALL", "C").as_user().at(folder.path()).run();
        let said: Vec<&str> = ran.out.lines().collect();
        assert!(as_printed(&prints, &said), "$ {command}\nthe page: {prints:#?}\nprinted: {said:#?}");
    }
}

#[test]
fn the_comparison_can_fail() {
    let page = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(as_printed(&page(&["a", "...", "z"]), &["a", "b", "c", "z"]));
    assert!(as_printed(&page(&["uts:[...]"]), &["uts:[12]"]));
    assert!(!as_printed(&page(&["a", "...", "z"]), &["a", "b"]));
    assert!(!as_printed(&page(&["uts:[...]"]), &["mnt:[12]"]));
    assert!(!as_printed(&page(&["a"]), &["a", "b"]));
    assert!(!as_printed(&page(&["a"]), &[]));
}
