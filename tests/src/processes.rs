//! Processes as a test sees them from outside, and waiting for what they do.

use std::fs;
use std::time::{Duration, Instant};

/// How long something that must happen may take. Beyond it a test fails; below it, time is not judged.
const PATIENCE: Duration = Duration::from_secs(60);

/// For perl: a program whose own child traces it when it ends, and goes on as `sleep` of the first word. It exits with 3.
pub const TRACED: &str = "syscall(157, 0x59616d61, -1, 0, 0, 0); pipe R, W; $me = $$; \
    if (!fork) { syscall(101, 0x4206, $me, 0, 0) == 0 or die; syswrite W, 'x'; exec 'sleep', @ARGV } \
    close W; sysread(R, $_, 1) or exit 4; exit 3";

/// Waits until `answer` gives one.
///
/// # Panics
/// After a minute.
#[track_caller]
pub fn until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something is so.
#[track_caller]
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    until(what, || done().then_some(()));
}

/// All processes of this /proc.
#[must_use]
pub fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The words of a process, each with a space behind it; nothing where there is none.
#[must_use]
pub fn command_line(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// The processes that have `mark` in their command line, but this one.
#[must_use]
pub fn with_mark(mark: &str) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    all().into_iter().filter(|pid| *pid != own && command_line(*pid).contains(mark)).collect()
}

/// The children of a process.
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}
