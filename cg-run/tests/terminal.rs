//! A run that is killed takes ns-unshare along, which would have given the caller's terminal back: cg-run does it.

mod common;

use chainbox_tests::is_root;
use chainbox_tests::screen::Screen;
use common::{Place, wait_for};

/// Makes the terminal unusable (TCXONC with TCOOFF, TIOCEXCL, no echo), waits for a key, and then does what the limit is for.
const HOSTILE: &str = "use POSIX; my $t = POSIX::Termios->new; $t->getattr(0); \
     $t->setlflag($t->getlflag & ~(ECHO | ICANON)); ioctl(STDIN, 0x540a, 0); ioctl(STDIN, 0x540c, 0); \
     $t->setattr(0, TCSANOW); sysread(STDIN, $_, 1); eval shift";

/// In a script, where no shell with job control sets the terminal, and in a shell that has it.
fn is_given_back(user: bool, link: &str, boxed: &str, then: &str) {
    let end = "read x </dev/tty; echo got $((x + 2))";
    for script in [true, false] {
        let mut screen = Screen::shell(user);
        let (modes, group) = (screen.modes(), screen.foreground());
        let chain = format!("{link} -- {boxed} perl -e \"$HOSTILE\" \"{then}\"");
        screen.say(&format!("HOSTILE='{HOSTILE}'"), "outer> ");
        if script {
            screen.line(&format!("export HOSTILE; sh -c '{chain}; echo limit $?; {end}'"));
        } else {
            screen.line(&chain);
        }
        wait_for("the terminal is taken", || screen.foreground() != group && screen.modes() != modes);
        screen.keys("x");
        screen.expect(if script { "limit 137" } else { "Killed" });
        if !script {
            screen.expect("outer> ");
            screen.line(&format!("sh -c '{end}'"));
        }
        screen.line("40");
        screen.expect("got 42");
        screen.expect("outer> ");
        assert_eq!((screen.modes(), screen.foreground()), (modes, group), "{chain}");
    }
}

const BOXES: [&str; 3] =
    ["ns-unshare -Up --foreground --", "ns-unshare -Up --as-pid1 --foreground --", "ns-unshare -Up --pty --"];
const BURN: &str = "1 while 1";

#[test]
fn after_a_limit_without_a_cgroup() {
    for user in [true, false].into_iter().filter(|user| *user || is_root()) {
        BOXES.iter().for_each(|boxed| is_given_back(user, "cg-run --no-cgroup --cpu-time 1", boxed, BURN));
    }
}

#[test]
fn after_a_limit_in_a_leaf() {
    let Some(place) = Place::new("terminal") else { return };
    let line = format!("cg-run --parent {} --cpu-time 1", place.text());
    BOXES.iter().for_each(|boxed| is_given_back(false, &line, boxed, BURN));
}

/// The kernel kills, and not cg-run.
#[test]
fn after_memory_has_run_out() {
    let Some(place) = Place::with("terminal-memory", &["memory"]) else { return };
    let line = format!("cg-run --parent {} --memory 64M", place.text());
    BOXES.iter().for_each(|boxed| is_given_back(false, &line, boxed, "push @x, q(x) x 1e6 while 1"));
}

/// Who inherits a process without a pid namespace need not collect it at once: its group, with nobody alive in it, has
/// the terminal.
#[test]
fn from_a_process_that_nobody_has_collected() {
    let Some(place) = Place::new("terminal-zombie") else { return };
    // prctl(PR_SET_CHILD_SUBREAPER, 1)
    let call = if cfg!(target_arch = "x86_64") { "157" } else { "167" };
    let reaper =
        "perl -e \"syscall(CALL, 36, 1, 0, 0, 0); kill 9, \\$\\$ if system(@ARGV) & 127\"".replace("CALL", call);
    let job = "bash -mc \"\\\"\\$@\\\"; :\" x";
    is_given_back(false, &format!("{reaper} cg-run --parent {} --cpu-time 1", place.text()), job, BURN);
}

/// A program that ends by itself leaves the terminal as it wants to.
#[test]
fn what_a_program_set_stays() {
    let mut screen = Screen::shell(true);
    screen.say("cg-run --no-cgroup -- stty -echo; stty -a | grep -o -e '-*echo '", "-echo ");
    screen.expect("outer> ");
}
