//! What a box sees of files that are changed outside while it runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use chainbox_tests::processes::children;
use chainbox_tests::{Chain, Folder, is_root};

/// A shell in a box: what it is told, it does, and answers.
struct Shell {
    link: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Shell {
    fn start(mut chain: Chain) -> Self {
        let mut link = chain.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (say, hear) = (link.stdin.take().unwrap(), BufReader::new(link.stdout.take().unwrap()));
        Self { link, say, hear }
    }

    fn say(&mut self, line: &str) -> String {
        writeln!(self.say, "{{ {line}; }} 2>&1; echo .").unwrap();
        let lines = self.hear.by_ref().lines().map(Result::unwrap);
        lines.take_while(|line| line != ".").collect::<Vec<_>>().join(" ")
    }

    fn end(mut self) {
        drop(self.say);
        assert!(self.link.wait().unwrap().success());
    }
}

/// The shell's number outside, which it cannot know: the only child of the only child of the link, its init.
fn number(link: u32) -> String {
    let child = |of: i32| *children(of).first().unwrap();
    child(child(i32::try_from(link).unwrap())).to_string()
}

fn save(folder: &Folder, name: &str) {
    let line = "echo new >\"$0.part\" && mv \"$0.part\" \"$0\""; // as editors do
    Chain::shell(line).args([folder.join(name)]).as_user().run().ok();
}

/// Everything in it, one after the other; what is not there is no word.
const LOOK: &str = "for f in written saved removed made private open; do [ ! -e $f ] || echo $f $(cat $f); done";

fn sees_changes(user: bool) {
    let as_who = |chain: Chain| if user { chain.as_user() } else { chain };
    let folder = Folder::new(&format!("live-{user}"), true);
    for name in ["written", "saved", "removed", "open"] {
        fs::write(folder.join(name), "old\n").unwrap();
    }
    let namespaces: &[&str] = if user { &["--user"] } else { &[] };
    let source = folder.path().to_str().unwrap();
    let plan =
        ["--preset", "host-ro", "--proc", "/proc", "--tmp-overlay", source, "/overlay", "--bind", source, "/bind"];
    let chain = Chain::new("ns-unshare").args(["--mount", "--pid"]).args(namespaces).args(["--", "mount-plan"]);
    let mut shell = Shell::start(as_who(chain.args(plan).args(["--", "sh"])));
    let before = "written old saved old removed old open old";
    assert_eq!(shell.say(&format!("cd /bind; {LOOK}")), before);
    assert_eq!(
        shell.say(&format!("cd /overlay; echo own >private; exec 7<open; {LOOK}")),
        "written old saved old removed old private own open old"
    );

    fs::write(folder.join("written"), "new\n").unwrap();
    for name in ["saved", "made", "open"] {
        save(&folder, name);
    }
    fs::remove_file(folder.join("removed")).unwrap();
    assert_eq!(shell.say(&format!("cd /bind; {LOOK}")), "written new saved new made new open new");
    assert_eq!(shell.say("cd /overlay; cat written"), "new");
    // Of the others an overlay may show anything now.
    let pid = number(shell.link.id());
    let refresh = || {
        let chain = Chain::new("ns-unshare").args(["--join-all", &pid, "--keep-caps", "--"]);
        as_who(chain.args(["mount", "-o", "remount", "/overlay"])).run().ok();
    };
    refresh();
    assert_eq!(shell.say(&LOOK.replace(" open", "")), "written new saved new made new private own");
    shell.say("exec 7<&-");
    refresh();
    assert_eq!(shell.say(LOOK), "written new saved new made new private own open new");
    shell.end();
    assert!(!folder.join("private").exists());
}

#[test]
fn a_bind_shows_changes_at_once_and_an_overlay_after_a_remount() {
    sees_changes(true);
    if is_root() {
        sees_changes(false);
    }
}
