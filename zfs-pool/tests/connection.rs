//! Boxes for ordinary users: the line of packaging/systemd/zfs-pool-box@.service behind a socket, run by systemd's own
//! listener (systemd-socket-activate), with clients that are ordinary users, most of them hostile.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a test fails by panicking")]

mod support;

use std::cell::Cell;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use chainbox_tests::{Chain, Ran, Tier, bin, busybox_or_skip, checkout, root_or_skip, skip, tool, unit_command};
use support::{Pool, wait_for};

/// Members of this group may connect. Nobody else on a machine has it.
const GROUP: u32 = 2_000_000_001;
/// The first of the ids that boxes are given.
const BOXES: u32 = 2_130_706_432;

const ACTIVATE: &str = "/usr/bin/systemd-socket-activate";

/// A socket as in zfs-pool-box.socket, and its listener.
struct Listener {
    pool: Pool,
    activate: Child,
    /// How many connections have been asked for.
    connections: Cell<usize>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.activate.kill().unwrap();
        self.activate.wait().unwrap();
    }
}

/// The command of the unit, for the tools that are tested.
fn unit_line() -> String {
    let unit = fs::read_to_string(checkout().join("packaging/systemd/zfs-pool-box@.service")).unwrap();
    let bin = bin().display().to_string();
    let line = unit_command("zfs-pool-box@.service").replace("/usr/bin/zfs-pool", &format!("exec {bin}/zfs-pool"));
    let with_path = line.replace("PATH=/usr/bin:", &format!("PATH={bin}:/usr/bin:"));
    assert_ne!(line, with_path);
    assert!(["Input", "Output", "Error"].iter().all(|name| unit.contains(&format!("\nStandard{name}=socket\n"))));
    // inetd's listeners leave standard error as it is.
    format!("exec 2>&1; {with_path}")
}

impl Listener {
    /// A pool of copies with `free` clones of a tree with a shell, a device and a setuid program. `None` where this cannot run here.
    fn new(test: &str, free: u32) -> Option<Self> {
        if !root_or_skip(test) {
            return None;
        }
        if let Some(missing) = [ACTIVATE, "/usr/bin/perl"].into_iter().find(|path| !PathBuf::from(path).exists()) {
            skip(Tier::Machine, test, &format!("no {missing}"));
            return None;
        }
        let busybox = busybox_or_skip(test)?;
        let pool = Pool::empty(test, false);
        pool.sh(&format!(
            "cd tree && mkdir bin proc dev tmp && cp {} bin/busybox && for name in $(bin/busybox --list); do \
             [ $name = busybox ] || ln -s busybox bin/$name; done; mknod disk b 1 0; mkdir setuid; cp bin/busybox setuid/id; chmod 4755 setuid/id",
            busybox.display()
        ));
        fs::copy(tool("syscall-probe"), pool.path("tree/bin/probe")).unwrap();
        pool.zp("init t --from tree --clone copy").run().ok();
        pool.zp(&format!("refill t {free}")).run().ok();
        let log = fs::File::create(pool.path("log")).unwrap();
        let mut command = Command::new(ACTIVATE);
        command.args(["--accept", "--inetd", "-E", "PATH", "-E", "CHAINBOX_POOL", "-E", "TEMPLATE", "-l"]);
        command.arg(pool.path("socket")).args(["sh", "-c", &unit_line()]);
        command.env("CHAINBOX_POOL", pool.path("pool")).env("TEMPLATE", "t");
        let activate = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let listener = Self { pool, activate, connections: Cell::new(0) };
        let socket = listener.pool.path("socket");
        wait_for("the socket is there", || socket.exists());
        chown(&socket, Some(0), Some(GROUP)).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).unwrap();
        Some(listener)
    }

    /// A client: sends `input`; then `after`, in Perl.
    fn client(&self, groups: &str, input: &str, after: &str) -> Chain {
        self.connections.set(self.connections.get() + usize::from(groups.ends_with(&GROUP.to_string())));
        let program = format!(
            "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die; connect(S, pack_sockaddr_un($ARGV[0])) or die \"connect: $!\\n\"; \
             $SIG{{PIPE}} = 'IGNORE'; syswrite(S, $ARGV[1]); {after}"
        );
        Chain::program("setpriv")
            .args(["--reuid", "1000", "--regid", "1000"])
            .args(groups.split(' '))
            .args(["perl", "-e"])
            .args([program])
            .args([self.pool.path("socket").into_os_string(), input.into()])
            .at("/")
    }

    /// A member of the group, who sends a script and reads all that comes back.
    fn member(&self, input: &str) -> Chain {
        self.client(&format!("--groups {GROUP}"), input, "shutdown(S, 1); while (sysread(S, $b, 4096)) { print $b }")
    }

    /// A member who sends something and then stays.
    fn stays(&self, input: &str) -> Child {
        support::start(self.client(&format!("--groups {GROUP}"), input, "sleep 1000"))
    }

    fn leased(&self) -> usize {
        self.pool.names("leased").len()
    }

    /// Waits until the command of every connection has been started and has ended, and no box is left.
    fn ends(&self) {
        let log = || fs::read_to_string(self.pool.path("log")).unwrap();
        wait_for("all commands have ended", || log().matches(" died with code ").count() == self.connections.get());
        wait_for("all boxes have ended", || boxed(&self.pool) == 0 && runs_of(&self.pool) == 0);
    }

    /// Then no lease is left either; what a kill at the wrong moment left is for gc.
    fn rests(&self, free: usize) {
        self.ends();
        self.pool.zp("gc").run().ok();
        self.pool.is_at_rest(free);
    }
}

/// How many processes are in boxes on clones of this pool.
fn boxed(pool: &Pool) -> usize {
    let name = pool.folder.path().file_name().unwrap();
    let mounts = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("mountinfo")).ok());
    mounts.filter(|text| text.contains(name.to_str().unwrap())).count()
}

/// How many `zfs-pool run` of this pool there are.
fn runs_of(pool: &Pool) -> usize {
    let mark = format!("CHAINBOX_POOL={}", pool.path("pool").display());
    let environments = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let folder = entry.unwrap().path();
        let line = fs::read(folder.join("cmdline")).ok()?;
        let is_run = String::from_utf8_lossy(&line).contains("zfs-pool\0run\0");
        is_run.then(|| fs::read(folder.join("environ")).ok())?
    });
    environments.filter(|text| String::from_utf8_lossy(text).contains(&mark)).count()
}

#[test]
fn a_connection_is_a_box_on_a_fresh_clone() {
    let Some(listener) = Listener::new("box", 2) else { return };
    let script = "cat /etc/file; echo two > /etc/file && cat /etc/file; id -u; setuid/id -u; (< /disk); env; \
                  mount -t tmpfs none /tmp; ls /proc | grep -c '^[0-9]'; kill -9 -1; echo alive; ls /sys/fs/cgroup /root /var; \
                  probe call 46 4294967295 0 0; grep -E '^(Cap|NoNew)' /proc/self/status; hostname";
    let all: Vec<Ran> = (0..2).map(|_| listener.member(script).run()).collect();
    for ran in all {
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(lines.get(..2), Some(["one", "two"].as_slice()), "its own, and fresh: {ran:#?}");
        let id: u32 = lines[2].parse().unwrap();
        assert!(id >= BOXES && lines[3] == lines[2], "nobody else's id, whatever is setuid: {ran:#?}");
        assert!(lines[4].contains("can't open /disk: Permission denied"), "{ran:#?}");
        for secret in ["ROOTFS", "CHAINBOX", "TEMPLATE", "LISTEN_"] {
            assert!(!ran.out.contains(secret), "{secret}: {ran:#?}");
        }
        assert_eq!(ran.out.matches("\nCap").count(), 5, "{ran:#?}");
        assert_eq!(ran.out.matches(":\t0000000000000000").count(), 5, "{ran:#?}");
        for words in
            ["NoNewPrivs:\t1", "mount: permission denied", "\nalive\n", "\nerrno 1\n", "\nbox\n", "/root: No such file"]
        {
            assert!(ran.out.contains(words), "{words}: {ran:#?}");
        }
    }
    // Both are used up, and a third gets a refusal.
    let ran = listener.member("echo hello").run();
    assert!(ran.out.contains("no clone of t is free") && !ran.out.contains("hello"), "{ran:#?}");
    listener.rests(0);
}

#[test]
fn who_is_not_in_the_group_is_not_heard() {
    let Some(listener) = Listener::new("group", 1) else { return };
    for groups in ["--clear-groups", "--groups 2000000002"] {
        let ran = listener.client(groups, "id", "").run();
        assert!(ran.code != 0 && ran.err.contains("connect: Permission denied"), "{ran:#?}");
    }
    assert!(listener.member("echo $((6 * 7))").run().ok().contains("42"));
    listener.rests(0);
}

/// A box that does not want to end: it ignores signals, forks, and goes on writing while its clone is removed.
#[test]
fn the_box_ends_with_its_client() {
    let Some(listener) = Listener::new("end", 1) else { return };
    let script = "trap '' TERM HUP INT QUIT PIPE; for n in 1 2 3 4; do (trap '' TERM HUP PIPE; while :; do mkdir -p /w$n/a/b; echo x > /w$n/f; \
                  mv /w$n/a /w$n/c; rm -r /w$n/c; done) 2>/dev/null & done; touch /began; while :; do sleep 1; done\n";
    for n in 0..4 {
        listener.pool.zp("refill t 1").run().ok();
        let mut client = listener.stays(script);
        let began = || listener.pool.sh("ls pool/t/leased/*/root/began 2> /dev/null || true").contains("began");
        wait_for("the box runs", began);
        assert!(boxed(&listener.pool) >= 5, "{n}");
        client.kill().unwrap();
        client.wait().unwrap();
        listener.rests(0);
    }
}

/// The other end of the connection, sent over the connection itself: while nobody reads it, nobody closes it. perl has no
/// name for sendmsg(2): the structures of x86-64 by hand.
const SENDS_ITSELF: &str = r#"
    sysread(S, $b, 6) == 6 or die "no answer\n";
    my ($data, $control) = ("x", pack("Q i i i x4", 20, 1, 1, fileno(S)));
    my $parts = pack("P Q", $data, 1);
    syscall(46, fileno(S), pack("Q Q P Q P Q Q", 0, 0, $parts, 1, $control, 24, 0), 0) == 1 or die "sendmsg: $!\n";
    $| = 1; print "sent\n"; sleep 1000"#;

#[test]
fn a_connection_that_holds_itself_ends_with_its_client() {
    let Some(listener) = Listener::new("itself", 1) else { return };
    if !Chain::new("zfs-pool").args(["--features"]).run().ok().contains("lifeline of a process: yes") {
        return skip(
            Tier::Kernel,
            "a_connection_that_holds_itself_ends_with_its_client",
            "no SO_PEERPIDFD (Linux 6.5)",
        );
    }
    let script = "trap '' TERM HUP PIPE; echo began; while :; do sleep 1; done\n";
    let mut client = support::start(listener.client(&format!("--groups {GROUP}"), script, SENDS_ITSELF));
    let mut sent = [0; 5];
    client.stdout.as_mut().unwrap().read_exact(&mut sent).unwrap();
    assert_eq!((&sent, listener.leased()), (b"sent\n", 1));
    client.kill().unwrap();
    client.wait().unwrap();
    listener.rests(0);
}

#[test]
fn a_flood_takes_what_is_free_and_no_more() {
    let Some(listener) = Listener::new("flood", 3) else { return };
    let mut clients: Vec<Child> = (0..24).map(|_| listener.stays("")).collect();
    wait_for("all that was free is leased, and the others wait", || {
        listener.leased() == 3 && runs_of(&listener.pool) == 24
    });
    clients.iter_mut().for_each(|client| client.kill().unwrap());
    clients.iter_mut().for_each(|client| assert!(client.wait().is_ok()));
    listener.rests(0);
    // Half lines, endless lines, and nobody who listens to the answer.
    listener.pool.zp("refill t 6").run().ok();
    let gone = |input: &str| {
        listener.client(&format!("--groups {GROUP}"), input, r"syswrite(S, qq(\0\n\377\0)); close(S)").run()
    };
    let endless = "x".repeat(100_000);
    for input in ["", "ec", "\n\n\u{ff}", &endless, "yes; echo\n", "exec cat /dev/zero\n"] {
        gone(input);
    }
    // Who was gone before a clone was claimed has taken none.
    listener.ends();
    let free = listener.pool.names("free").len();
    listener.rests(free);
    listener.pool.zp("refill t 6").run().ok();
    assert!(listener.member("echo $((6 * 7))").run().ok().contains("42"), "the next one is served");
    listener.rests(5);
}
