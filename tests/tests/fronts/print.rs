//! What `CHAIN_PRINT=1` prints does what the front does, by dash: for whole command lines of the manual, the demos and callers.

use std::fs;

use chainbox_tests::{Ran, checkout};

use crate::{Caller, everybody, world};

/// A command line for a shell, and what it needs.
struct Line {
    text: String,
    root: bool,
    /// What descriptor 9 holds, each word ended by a NUL byte instead of a space.
    held: String,
    /// Descriptors that are open although no option names them.
    open: Vec<String>,
}

fn lines() -> Vec<Line> {
    let text = fs::read_to_string(checkout().join("chainbox/src/fronts/bwrap/lines.txt")).unwrap();
    text.split("\n\n").filter_map(line).collect()
}

fn line(block: &str) -> Option<Line> {
    let words: Vec<&str> = block.lines().filter(|line| !line.starts_with(['#', '@', ' '])).collect();
    let text = words.join(" ").strip_prefix("bwrap ")?.to_owned();
    let facts = || block.lines().filter_map(|line| line.strip_prefix("@ "));
    let held = facts().find_map(|fact| fact.strip_prefix("args 9 ")).unwrap_or_default();
    let open = facts().filter_map(|fact| fact.strip_prefix("open ").or(fact.strip_prefix("directory ")));
    Some(Line {
        text,
        root: facts().any(|fact| fact == "root"),
        held: held.to_owned(),
        open: open.map(str::to_owned).collect(),
    })
}

/// The redirections that a line needs; the descriptors that it does not name are closed.
fn redirections(line: &Line) -> String {
    let files = [
        ("3", "<data"),
        ("4", "<data"),
        ("5", "<data"),
        ("6", "<low"),
        ("7", "<filter"),
        ("8", ">report"),
        ("9", "<held"),
    ];
    let named = |fd: &str| {
        line.open.iter().any(|open| open == fd)
            || format!("{} {} ", line.text, line.held).contains(&format!("-fd {fd} "))
            || ["file", "bind-data", "seccomp", "args"]
                .iter()
                .any(|option| format!("{} {} ", line.text, line.held).contains(&format!("{option} {fd} ")))
    };
    files.into_iter().filter(|(fd, _)| named(fd)).map(|(fd, file)| format!(" {fd}{file}")).collect()
}

fn run(line: &Line, user: bool, how: &str) -> Ran {
    let world = world("print");
    for name in [".codex", "a:b\\c"] {
        fs::create_dir(world.folder.join(name)).unwrap();
        world.own(&world.folder.join(name));
    }
    let home = world.folder.join("home").display().to_string();
    let place =
        |text: &str| text.replace("/home/u", &home).replace("/work", &world.folder.path().display().to_string());
    let words = place(&line.text);
    let script = format!(
        "export PATH=$TOOLS:$PATH; printf %s '{}' | tr ' ' '\\0' >held; exec{}; {}",
        place(&line.held),
        redirections(line),
        how.replace("LINE", &words)
    );
    world.run(Caller { genuine: false, user }, &script)
}

#[test]
fn the_script_of_a_line_does_what_the_line_does() {
    let (mut count, mut began) = (0, 0);
    for user in everybody("the_script_of_a_line_does_what_the_line_does") {
        for line in lines().iter().filter(|line| !(line.root && user)) {
            let direct = run(line, user, "exec $BWRAP LINE");
            let print = "script=$(CHAIN_PRINT=1 $BWRAP LINE); exec dash -c \"$script\"";
            let printed = run(line, user, print);
            assert_eq!(direct, printed, "user {user}: {}", line.text);
            // Some need what not every host has, or a caller who answers: these fail in both forms alike.
            began += usize::from(!direct.err.contains("bwrap: "));
            count += 1;
        }
    }
    assert!(count == 0 || count >= 50 && began * 10 >= count * 8, "{count} lines, {began} of which began");
}
