//! Two boxes, at the same time and one after the other, try to pass one bit through each channel that no namespace
//! closes. Each channel is first shown to work without the preset; then nothing may arrive.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use chainbox_tests::{Chain, Folder, Tier, USER, is_root, skip, tool};

/// One side: a probe, bare or behind a filter.
struct Side {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Side {
    fn start(filter: Option<&str>, words: &[&str]) -> Self {
        let probe = tool("covert-probe");
        let chain = match filter {
            None => Chain::program(&probe),
            Some(name) => Chain::new("seccomp-exec").args(["--filter", name, "--"]).args([&probe]),
        };
        let mut chain = chain.args(words).as_user();
        let mut child = chain.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn says(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Ends its standard input and waits for it.
    fn end(mut self) {
        self.input.take();
        assert!(self.child.wait().unwrap().success());
    }
}

/// What goes from one box to the other, of a bit that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Together,
    Successive,
}

/// A name that no other attempt has, below the range that systems use for keys of their own.
fn fresh_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    0x4200_0000 + (std::process::id() & 0xffff) * 256 + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Sends one bit and says what arrived.
fn passed(channel: &str, when: When, filter: Option<&str>, bit: &str) -> String {
    let number = fresh_number().to_string();
    let folder = Folder::new(&format!("covert-{channel}-{number}"), true);
    let file = folder.join("f");
    fs::write(&file, "text").unwrap();
    if is_root() {
        std::os::unix::fs::chown(&file, Some(USER), Some(USER)).unwrap();
    }
    let at = folder.path().to_str().unwrap();
    let receive = || {
        let mut side = Side::start(filter, &["receive", channel, at, &number]);
        assert_eq!(side.says(), "ready", "{channel}");
        side
    };
    let send = || {
        let mut side = Side::start(filter, &["send", channel, at, &number, bit]);
        assert_eq!(side.says(), "sent", "{channel}");
        side
    };
    let (sender, mut receiver) = match when {
        When::Together => {
            let receiver = receive();
            (Some(send()), receiver)
        }
        When::Successive => {
            send().end();
            (None, receive())
        }
    };
    receiver.input.as_mut().unwrap().write_all(b"now\n").unwrap();
    let said = receiver.says();
    receiver.end();
    sender.into_iter().for_each(Side::end);
    Chain::program(tool("covert-probe")).args(["clean", &number]).as_user().run().ok();
    said
}

/// Shows that the channel is one, and that the filter closes it. Says whether it was tried.
fn closed(channel: &str, when: When, filter: &str) -> bool {
    let bits = |filter| ["0", "1"].map(|bit| passed(channel, when, filter, bit));
    let control = bits(None);
    if control != ["0", "1"] {
        let reason = format!("{channel}, {when:?}: passes nothing on this kernel even without a filter: {control:?}");
        skip(Tier::Kernel, "nothing_passes", &reason);
        return false;
    }
    for filter in [filter, "judge"] {
        assert_eq!(bits(Some(filter)), ["0", "0"], "{channel}, {when:?}, {filter}");
    }
    true
}

const LASTING: [&str; 6] = ["keyring", "sysv-shm", "sysv-sem", "sysv-msg", "mqueue", "rw-hint"];
const HELD: [&str; 5] = ["flock", "posix-lock", "ofd-lock", "lease", "vsock"];
const WATCHED: [&str; 3] = ["inotify", "fanotify", "dnotify"];
const PAGES: [&str; 3] = ["nowait", "mincore", "cachestat"];

#[test]
fn nothing_passes_between_boxes_at_the_same_time() {
    let channels = LASTING.iter().chain(&HELD).chain(&WATCHED);
    let tried = channels.filter(|channel| closed(channel, When::Together, "no-covert")).count();
    assert!(tried >= 10, "{tried} channels were there to be closed");
}

#[test]
fn nothing_passes_from_a_box_to_the_next() {
    let tried = LASTING.iter().filter(|channel| closed(channel, When::Successive, "no-covert")).count();
    assert!(tried >= 4, "{tried} channels were there to be closed");
}

/// The sender takes a page of a file out of memory, the receiver asks whether it is there. Not every file system can.
#[test]
fn nobody_sees_which_pages_of_a_file_are_in_memory() {
    for channel in PAGES {
        closed(channel, When::Successive, "no-covert");
    }
}

#[test]
fn nobody_watches_what_the_other_reads() {
    let tried = WATCHED.iter().filter(|channel| closed(channel, When::Together, "no-inotify")).count();
    assert!(tried >= 2, "{tried} channels were there to be closed");
}
