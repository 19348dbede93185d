//! Networks by composition: `scripts/net-veth` and `scripts/net-pasta`, each between two boxes over real TCP, on a host's
//! network that is a namespace of the test's own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use chainbox_tests::{Chain, Folder, Ran, Tier, bin, checkout, is_root, skip};

/// Answers one connection to this port with what it was sent.
const SERVER: &str = "perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(LocalPort => 8000, Listen => 5) or die; \
                      $c = $l->accept; print $c q(the box got ), scalar <$c>'";

/// Sends a line to ADDRESS:PORT until somebody answers, and prints the answer. (pasta takes connections before its box
/// does, and drops them.)
fn client(address: &str) -> String {
    format!(
        "perl -MIO::Socket::INET -e '$SIG{{PIPE}} = q(IGNORE); for (1..100) {{ \
         $s = IO::Socket::INET->new(PeerAddr => q({address}), Timeout => 5) and print $s qq(hello\n) \
         and defined($said = <$s>) and last; select undef, undef, undef, 0.1 }} print $said // qq(no answer\n)'"
    )
}

/// Prints whether ADDRESS:PORT can be reached, at the first try.
fn probe(address: &str) -> String {
    format!(
        "perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(PeerAddr => q({address}), Timeout => 2) ? qq(reached\\n) : qq(not reached\\n)'"
    )
}

/// Runs a script as an ordinary user and as root, if the test is: where it has rights over a network of its own, its host.
/// What it needs: programs, and devices (by their paths), which an ordinary user may not be let open.
fn on_hosts(test: &str, needed: &[&str], script: &str) -> Vec<Ran> {
    let (devices, programs): (Vec<&str>, Vec<&str>) = needed.iter().copied().partition(|need| need.starts_with('/'));
    for program in programs {
        if Chain::shell(&format!("command -v {program}")).run().code != 0 {
            skip(Tier::Root, test, &format!("{program} is not installed"));
            return vec![];
        }
    }
    let host = |options: &str| {
        let script = format!("set -e; cd {}; {script}", checkout().display());
        let words = ["--", "timeout", "60", "sh", "-c", &script];
        Chain::new("ns-unshare").args(options.split(' ')).args(words).env("CHAINBOX_BIN", bin())
    };
    let closed = devices.iter().find(|device| Chain::shell(&format!(": <>{device}")).as_user().run().code != 0);
    let mut ran = vec![];
    match closed {
        Some(device) => skip(Tier::Kernel, test, &format!("no {device} here that everybody may open")),
        None => ran.push(host("-Un --keep-caps").as_user().run()),
    }
    if is_root() {
        ran.push(host("--net").run());
    }
    ran
}

#[test]
fn two_boxes_on_a_bridge() {
    let box_of = |address: &str, chain: &str| {
        format!("scripts/net-veth --bridge lab --address {address}/24 -- ns-unshare --user --pid --mount -- {chain}")
    };
    let server = box_of("10.77.0.2", SERVER);
    let client = box_of("10.77.0.3", &client("10.77.0.2:8000"));
    let script = format!("{server} & {client}; wait; ip -o link show | grep -c veth || echo all are gone");
    for ran in on_hosts("two_boxes_on_a_bridge", &["ip", "nsenter", "perl"], &script) {
        assert!(ran.out.starts_with("the box got hello\n"), "{ran:?}");
    }
}

#[test]
fn a_box_has_its_address_and_route_and_no_right_over_them() {
    let script = "scripts/net-veth --address 10.77.0.9/24 --gateway 10.77.0.1 -- ns-unshare -Up -- sh -c \
                  'ip -br -4 address show eth0 | sed \"s/@if[0-9]*//\"; ip route show default; ip link set eth0 down 2>&1'; exit 0";
    for ran in on_hosts("a_box_has_its_address_and_route", &["ip", "nsenter"], script) {
        let words: Vec<_> = ran.out.split_whitespace().collect();
        assert_eq!(words[..3], ["eth0", "UP", "10.77.0.9/24"], "{ran:?}");
        assert!(ran.out.contains("default via 10.77.0.1 dev eth0"), "{ran:?}");
        assert!(ran.out.contains("Operation not permitted"), "{ran:?}");
    }
}

/// A service that listens on all addresses listens on those too that IPv6 gives a device by itself (fe80::). The bridge has
/// none, so that boxes reach the host at an address that somebody gave it, and at no other.
#[test]
fn the_host_is_reached_where_it_was_given_an_address() {
    let listener = "perl -MIO::Socket::IP -e '$l = IO::Socket::IP->new(LocalHost => q(::), LocalPort => 9000, Listen => 5) \
                    or die; close STDOUT; sleep 60'";
    let client = "perl -MIO::Socket::IP -e 'for (1..50) { $s = IO::Socket::IP->new(PeerHost => q(fe80::1%eth0), PeerPort => 9000, \
                  Timeout => 5) and last; select undef, undef, undef, 0.1 } print $s ? qq(reached\n) : qq(not reached: $@\n)'";
    let plugged = "scripts/net-veth --bridge lab --address 10.77.0.9/24 --";
    let script = format!(
        "ip link set lo up; {{ {listener} & }}; listener=$!
         {plugged} sleep 3; echo \"its own:$(ip -6 -o address show dev lab)\"
         echo 0 >/proc/sys/net/ipv6/conf/lab/disable_ipv6; ip address add fe80::1/64 dev lab nodad; {plugged} {client}
         kill $listener"
    );
    for ran in on_hosts("the_host_is_reached_where", &["ip", "nsenter", "perl"], &script) {
        assert_eq!(ran.out, "its own:\nreached\n", "{ran:?}");
    }
}

/// A socket that is bound to a device sends out of it without a route, and Linux answers ARP on a bridge for the addresses
/// of its other devices: a datagram needs nothing else. While nobody answers, datagrams wait in the box's network, which the
/// kernel takes down some time after its last process: an address that is given before that is not without effect on them.
#[test]
fn a_bridge_without_an_address_hides_the_host() {
    let listener = "perl -MIO::Socket::IP -e '$| = 1; $l = IO::Socket::IP->new(LocalHost => q(::), LocalPort => 9001, V6Only => 0, \
                    Type => SOCK_DGRAM) or die; while ($l->recv($said, 99)) { print $said; exit if $said =~ /given/ }'";
    let send = |words: &str, to: &str| {
        format!(
            "perl -MSocket=:DEFAULT,inet_pton -e 'socket $s, {}, SOCK_DGRAM, 0 or die; setsockopt $s, SOL_SOCKET, 25, pack q(Z*), q(eth0) or die $!; \
             setsockopt $s, SOL_SOCKET, SO_BROADCAST, 1; for (1..5) {{ send $s, qq({words}\n), 0, {to}; select undef, undef, undef, 0.1 }}'",
            if to.contains("in6") { "PF_INET6" } else { "PF_INET" }
        )
    };
    let to = |address: &str| format!("pack_sockaddr_in(9001, inet_aton(q({address})))");
    let hidden = [
        send("unicast", &to("192.0.2.5")),
        send("broadcast", &to("255.255.255.255")),
        send("multicast", &to("224.0.0.1")),
        send("multicast of IPv6", "pack_sockaddr_in6(9001, inet_pton(AF_INET6, q(ff02::1)))"),
    ];
    let plugged = "scripts/net-veth --bridge lab --address 10.77.0.9/24 -- ns-unshare --user -- sh";
    let folder = Folder::new("hidden", true);
    std::fs::write(folder.join("hidden"), hidden.join("\n")).unwrap();
    std::fs::write(folder.join("given"), send("given", &to("10.77.0.1"))).unwrap();
    let script = format!(
        "ip link set lo up; ip link add host0 type veth peer name host1; ip link set host1 up; ip link set host0 up
         ip address add 192.0.2.5/24 dev host0; {{ {listener} & }}; listener=$!; trap \"kill $listener\" EXIT
         {plugged} {0}/hidden; while ip -o link show master lab | grep -q .; do sleep 0.1; done
         ip address add 10.77.0.1/24 dev lab; {plugged} {0}/given; sleep 1",
        folder.path().display()
    );
    for ran in on_hosts("a_bridge_without_an_address_hides_the_host", &["ip", "nsenter", "perl"], &script) {
        assert_eq!(ran.out, "given\n", "{ran:?}");
    }
}

/// Where nothing can be plugged in, the program does not start.
#[test]
fn no_network_no_program() {
    let script = "scripts/net-veth --address 10.77.0.300/24 -- echo started || echo ended $?";
    for ran in on_hosts("no_network_no_program", &["ip", "nsenter"], script) {
        assert_eq!(ran.out, "ended 125\n", "{ran:?}");
        assert!(ran.err.contains("net-veth: the network could not be plugged in"), "{ran:?}");
    }
    for (line, words) in [
        ("net-veth -- true", "net-veth: --address is missing"),
        ("net-veth --address 10.0.0.1/8", "net-veth: no command"),
        ("net-veth --address 10.0.0.1/8 --bridge -x -- true", "a name is letters, digits"),
        ("net-pasta --publish x -- true", "net-pasta: --publish x: PORT or PORT:PORT"),
        ("net-pasta --publish 1:2:3 -- true", "PORT or PORT:PORT"),
        ("net-pasta --what -- true", "--what: unknown option"),
    ] {
        Chain::shell(&format!("exec scripts/{line}")).at(checkout()).env("CHAINBOX_BIN", bin()).run().fails(125, words);
    }
}

/// However a run fails, there is one line, the status of the chain, an end of what it printed to, and nothing left: no
/// helper, no device. The bound is for a reader that would wait for ever.
#[test]
fn a_failure_leaves_nothing() {
    let left = "here() { ps -eo args | grep \"[p]lug-[a-z]* .*$1\\|[p]asta --quiet.*$1\"; ip -o link show | grep -v ': lo:'; }; \
                for try in $(seq 100); do [ -n \"$(here $1)\" ] || break; sleep 0.1; done; here $1";
    let veth = "net-veth --bridge lab --address 10.77.9.9/24"; // an address of this test alone
    for (line, code, words) in [
        (format!("{veth} -- no-such-program"), 127, "no-such-program"),
        (format!("{veth} -- /etc/passwd"), 126, "/etc/passwd"),
        (format!("{veth} --gateway 10.99.0.1 -- true"), 125, "invalid gateway"),
        ("net-veth --bridge lo --address 10.77.9.9/24 -- true".to_owned(), 125, "lo is no bridge"),
        ("net-pasta --publish 7711 -- no-such-program".to_owned(), 127, "no-such-program"),
        ("net-pasta --publish 7712 -- /etc/passwd".to_owned(), 126, "/etc/passwd"),
        ("net-pasta --publish 7713 -- true".to_owned(), 125, "routable interface"),
        (format!("{veth} -- ns-unshare --what"), 125, "--what"),
    ] {
        let (mark, program) = match line.split(' ').nth(2) {
            Some(port) if line.starts_with("net-pasta") => (port, "pasta"),
            _ => ("10.77.9.9", "nsenter"),
        };
        let script = format!(
            "all=$( {{ scripts/{line} 2>&1 || echo \"ended $?\"; }} | timeout 20 cat); echo \"$all\"; set -- {mark}; {left}; exit 0"
        );
        for ran in on_hosts("a_failure_leaves_nothing", &["ip", "setsid", program], &script) {
            let lines: Vec<_> = ran.out.lines().filter(|line| !line.starts_with("hint: ")).collect();
            let no_path = code == 127 && lines.get(1) == Some(&"ended 126"); // a folder of PATH that is closed to this user
            assert!(lines.len() == 2 && lines[0].contains(words), "{line}: {ran:?}");
            assert!(no_path || lines[1] == format!("ended {code}"), "{line}: {ran:?}");
        }
    }
}

/// Killed in the midst with its whole group, which no helper is in: that has its end from the box's. And where pasta, which
/// there is a route for here, does not start.
#[test]
fn a_killed_box_leaves_no_helper() {
    for (signal, code) in [("TERM", 124), ("KILL", 137)] {
        let script = format!(
            "ip link set lo up; timeout -s {signal} 1 scripts/net-veth --bridge lab --address 10.77.0.9/24 -- sleep 60 || echo ended $?
             for try in $(seq 100); do ip -o link show | grep -q veth || break; sleep 0.1; done; ip -o link show | grep veth || true
             ip link add host0 type veth peer name host1; ip link set host1 up; ip link set host0 up
             ip address add 192.0.2.5/24 dev host0; ip route add default via 192.0.2.1
             timeout -s {signal} 1 scripts/net-pasta --publish 7715 -- sleep 60 || echo ended $?
             for try in $(seq 100); do ps -eo args | grep -q '[p]asta --quiet.*7715' || break; sleep 0.1; done; ps -eo args | grep '[p]asta --quiet.*7715' || true
             {{ perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(LocalPort => 7716, Listen => 5) or die; close STDOUT; sleep 60' & }} | cat
             listener=$(pgrep -n -f 'LocalPort => 7716'); trap \"kill $listener\" EXIT
             scripts/net-pasta --publish 7716 -- true || echo in use $?; ps -eo args | grep '[p]asta --quiet.*7716'; exit 0"
        );
        for ran in on_hosts(
            "a_killed_box_leaves_no_helper",
            &["ip", "nsenter", "setsid", "pasta", "perl", "pgrep", "/dev/net/tun"],
            &script,
        ) {
            assert_eq!(ran.out, format!("ended {code}\nended {code}\nin use 125\n"), "{ran:?}");
            assert!(ran.err.contains("Failed to bind any port"), "{ran:?}");
        }
    }
}

/// Out to the world, which is another address of the host here; not to the host's 127.0.0.1, by no address; in by the one
/// port that is published.
#[test]
fn two_boxes_by_pasta() {
    let inside = format!("{}; {}; {}", client("192.0.2.6:8080"), probe("127.0.0.1:9000"), probe("192.0.2.1:9000"));
    let inside = format!("{inside}; {}; ip link set lo down 2>&1 | tail -1", probe("192.0.2.6:9000"));
    let folder = Folder::new("pasta", true);
    std::fs::write(folder.join("inside"), inside).unwrap();
    let listener = "perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(LocalAddr => q(127.0.0.1:9000), Listen => 5) \
                    or die; close STDOUT; sleep 60'";
    let script = format!(
        "ip link add host0 type veth peer name host1; ip link set host1 up; ip link set host0 up
         ip address add 192.0.2.5/24 dev host0; ip address add 192.0.2.6/24 dev host0; ip route add default via 192.0.2.1
         {{ {listener} & }} | cat; listener=$(pgrep -n -f 127.0.0.1:9000); {}
         scripts/net-pasta --publish 8080:8000 -- ns-unshare --pid --mount -- {SERVER} & server=$!
         scripts/net-pasta -- ns-unshare --pid -- sh {}
         kill $listener; wait $server
         for try in $(seq 50); do pgrep -f '^pasta --quiet.*8080:8000' >/dev/null || break; sleep 0.1; done; pgrep -f '^pasta --quiet.*8080:8000' || echo pasta has ended",
        probe("127.0.0.1:9000"),
        folder.join("inside").display(),
    );
    for ran in on_hosts("two_boxes_by_pasta", &["ip", "pasta", "perl", "pgrep", "/dev/net/tun"], &script) {
        let lines: Vec<_> = ran.out.lines().collect();
        let expected = ["reached", "the box got hello", "not reached", "not reached", "not reached"];
        assert_eq!(lines.get(..5), Some(expected.as_slice()), "{ran:?}");
        assert!(lines[5].contains("Operation not permitted"), "{ran:?}");
        assert_eq!(lines[6], "pasta has ended", "{ran:?}");
    }
}
