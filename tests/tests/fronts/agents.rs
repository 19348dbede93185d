//! The command lines of agent sandboxes: all of the host read-only, one place to write, masks over files that need not be there, a
//! proxy's socket in place of the network. Effect by effect.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use crate::options::probe;
use crate::{Caller, each, everybody, same, same_with, world};

/// The caller's files, one place to write, a /dev and a /proc of the box's own.
const AGENT: &str = "--new-session --die-with-parent --unshare-net --ro-bind / / --bind $PWD/home $PWD/home --dev /dev \
    --unshare-pid --proc /proc";
/// The masks of what an agent must not change, whether or not it is there.
const MASKS: &str = "--ro-bind /dev/null $PWD/home/.netrc --ro-bind /dev/null $PWD/home/.git/hooks/pre-commit \
    --ro-bind /dev/null $PWD/home/mine";
/// What differs (docs/fronts.md): with --unshare-pid and --new-session COMMAND leads the session, not the init.
const DIFFERS: &[&str] = &["uid_map", "gid_map", "mount /dev", "mount /proc/", "session", "group"];
/// What codex says, but for --argv0.
const CODEX: &str = "--new-session --die-with-parent --ro-bind / / --dev /dev --bind $PWD $PWD --perms 0555 --tmpfs $PWD/home \
    --remount-ro $PWD/home --unshare-user --unshare-pid --unshare-net --proc /proc --as-pid-1";

#[test]
fn an_agent_sees_all_and_writes_in_one_place() {
    let line = "echo x >home/new; cat home/mine; mkdir home/folder; ls home; >data; >/usr/x; ls -d /usr/x; echo $$; \
        ls /proc | grep -c \"^[0-9]\"; cut -d : -f 1 -s /proc/net/dev; :";
    same_with("agents", &format!("$BWRAP {AGENT} -- sh -c '{line}' 2>&1; cat home/new; ls home"), "x\nfolder\n", &[]);
    probe("agents", "", AGENT, DIFFERS);
}

#[test]
fn a_mask_hides_and_leaves_nothing() {
    let line = "for name in .netrc mine; do cat home/$name; echo new >home/$name; rm home/$name; done; :";
    let line = format!("mkdir -p home/.git/hooks; $BWRAP {AGENT} {MASKS} -- sh -c '{line}' 2>&1");
    same_with("masks", &line, "Permission denied\n", &[]);
    // bubblewrap leaves an empty file in each place.
    let boxes = format!("$BWRAP {AGENT} {MASKS} -- sh -c \"echo >home/up; until [ -e home/end ]; do sleep 0.1; done\"");
    let two = "until [ -e home/up ]; do sleep 0.1; done";
    let line = format!(
        "mkdir -p home/.git/hooks; {boxes} & {two}; rm home/up; {boxes} & {two}; $BWRAP {AGENT} {MASKS} -- cat home/.netrc || \
         echo masked; >home/end; wait; ls -A home home/.git/hooks; cat home/mine"
    );
    each("masks", &line, |_, ran| {
        let left = "masked\nhome:\n.git\nend\nmine\nup\n\nhome/.git/hooks:\nmine\n";
        assert!(ran.code == 0 && ran.out == left, "{ran:#?}");
    });
}

/// A program of the host's listens on the socket; one of the box's listens in its network, and passes on what it hears.
#[test]
fn the_network_is_a_proxys_socket() {
    let connect = "perl -MIO::Socket::UNIX -e \"print IO::Socket::UNIX->new(q(proxy.sock))->getline\"";
    let listen = "perl -MIO::Socket::INET -MIO::Socket::UNIX -e \"\
        my \\$port = IO::Socket::INET->new(Listen => 1, LocalAddr => q(127.0.0.1), LocalPort => 3128) or die; \
        if (fork) { print {\\$port->accept} IO::Socket::UNIX->new(q(proxy.sock))->getline; wait } \
        else { print IO::Socket::INET->new(\\$ENV{HTTP_PROXY})->getline }\"";
    let route = "grep -c . /proc/net/route; cut -d : -f 1 -s /proc/net/dev";
    for bind in ["--bind", "--ro-bind-try"] {
        for user in everybody("proxy") {
            let line = format!(
                "$BWRAP {AGENT} --tmpfs /run {bind} $PWD/proxy.sock $PWD/proxy.sock --setenv HTTP_PROXY 127.0.0.1:3128 -- \
                 sh -c '{connect}; {listen}; {route}' 2>&1"
            );
            let [genuine, front] = [true, false].map(|genuine| {
                let world = world("proxy");
                let listener = UnixListener::bind(world.folder.join("proxy.sock")).unwrap();
                world.own(&world.folder.join("proxy.sock"));
                let answers = thread::spawn(move || {
                    (0..2).for_each(|_| listener.accept().unwrap().0.write_all(b"proxied\n").unwrap());
                });
                let ran = world.run(Caller { genuine, user }, &line);
                assert!(ran.out.starts_with("proxied\n"), "{ran:#?}");
                answers.join().unwrap();
                ran
            });
            assert_eq!(genuine, front, "{bind} {user}");
            assert!(front.out.starts_with("proxied\nproxied\n"), "{front:#?}");
        }
    }
}

#[test]
fn an_agent_ends_with_its_caller_and_has_no_terminal() {
    same("agents-end", &format!("$BWRAP {AGENT} -- sh -c 'echo x >/dev/tty; echo $?; ps -o tty= -p $$'"), &[]);
    // Ours alone: it is the promise of our front that is tested here.
    for user in everybody("agents-end") {
        let world = world("agents-end");
        let line = format!("$BWRAP {AGENT} -- sh -c 'echo up; sleep 600 & sleep 600'; echo ended");
        let mut chain = world.line(Caller { genuine: false, user }, &line);
        let mut caller = chain.command().stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(caller.stdout.take().unwrap());
        let (mut up, mut rest, began) = (String::new(), String::new(), Instant::now());
        out.read_line(&mut up).unwrap();
        caller.kill().unwrap();
        caller.wait().unwrap();
        // To its end: nobody has it open any more.
        out.read_to_string(&mut rest).unwrap();
        assert_eq!((up.as_str(), rest.as_str()), ("up\n", ""));
        assert!(began.elapsed().as_secs() < 500, "user {user}");
    }
}

#[test]
fn codex_has_its_folder_masked_as_pid_1() {
    let line = "echo $$; ls -lnd --time-style=+ home; ls -A home; >home/x; mkdir home/y; chmod 777 home; echo x >new; cat new; :";
    same_with("codex", &format!("$BWRAP {CODEX} -- sh -c '{line}' 2>&1; ls -A home"), "1\ndr-xr-xr-x ", &["chmod"]);
    probe("codex", "", CODEX, DIFFERS);
    // Debian's bubblewrap does not know this one.
    let line = format!(
        "$BWRAP {CODEX} --argv0 codex-linux-sandbox -- /bin/sh -c 'echo $0 $$; tr \"\\0\" \" \" </proc/1/cmdline'"
    );
    each("codex", &line, |world, ran| {
        assert!(ran.code == 0 && ran.out.starts_with("codex-linux-sandbox 1\ncodex-linux-sandbox -c "), "{ran:#?}");
        assert_eq!(fs::read_dir(world.folder.join("home")).unwrap().count(), 1);
    });
}
