//! Presets that deny one thing each and leave everything else alone.

use nix::errno::Errno;
use nix::libc;

use crate::model::calls::number_of;
use crate::model::policy::{Clause, Op, Policy, Rule, Test, Verdict};
use crate::model::rules::{all, answer, denied, numbers, policy, rule};

/// The requests of ioctl(2), which the kernel reads as an unsigned int (CVE-2019-10063).
const fn request(number: libc::Ioctl) -> [Test; 1] {
    [Test::int(1, Op::Eq, number as u32)]
}

/// Pushes input as if it had been typed (CVE-2017-5226).
const TYPE: Clause = denied(&request(libc::TIOCSTI));
/// Pastes a selection of the virtual consoles (CVE-2023-28100).
const PASTE: Clause = denied(&request(libc::TIOCLINUX));
/// Loads the module of another line discipline. Several had holes that an ordinary user reached (CVE-2017-2636, n_hdlc;
/// CVE-2023-6546, n_gsm).
const LINE_DISCIPLINE: Clause = denied(&request(libc::TIOCSETD));

static TTY: [Clause; 2] = [TYPE, PASTE];
pub static TTY_OF_A_BOX: [Clause; 3] = [TYPE, PASTE, LINE_DISCIPLINE];

/// IPPROTO_SMC of linux/in.h (Linux 6.11), and IPPROTO_MPTCP: both end in TCP connections that the kernel itself makes,
/// which Landlock does not see (landlock-lsm/linux#54).
const NOT_QUITE_TCP: [u32; 2] = [256, libc::IPPROTO_MPTCP as u32];

/// AF_SMC of linux/socket.h (Linux 4.11).
const AF_SMC: u32 = 43;

static TCP_SOCKET: [Clause; 3] = [
    answer(&[Test::int(0, Op::Eq, AF_SMC)], Errno::EAFNOSUPPORT),
    answer(&[Test::int(2, Op::Eq, NOT_QUITE_TCP[0])], Errno::EPROTONOSUPPORT),
    answer(&[Test::int(2, Op::Eq, NOT_QUITE_TCP[1])], Errno::EPROTONOSUPPORT),
];

/// TCP Fast Open connects while it sends, past the check of connect(2).
static FAST_OPEN_IN_2: [Clause; 1] = [answer(&[Test::any_bit(2, FAST_OPEN)], Errno::EOPNOTSUPP)];
static FAST_OPEN_IN_3: [Clause; 1] = [answer(&[Test::any_bit(3, FAST_OPEN)], Errno::EOPNOTSUPP)];
const FAST_OPEN: u32 = libc::MSG_FASTOPEN as u32;

pub fn tty_guard() -> Policy {
    policy([(const { number_of("ioctl") }, rule(&TTY, Verdict::ALLOW))])
}

/// The calls of io_uring: rings make sockets and open files past any filter.
pub const RINGS: [u32; 3] = numbers(["io_uring_enter", "io_uring_register", "io_uring_setup"]);

pub fn tcp_guard() -> Policy {
    let rings = all(RINGS, Verdict::MISSING);
    let tested = [
        (const { number_of("socket") }, rule(&TCP_SOCKET, Verdict::ALLOW)),
        (const { number_of("sendmsg") }, rule(&FAST_OPEN_IN_2, Verdict::ALLOW)),
        (const { number_of("sendto") }, rule(&FAST_OPEN_IN_3, Verdict::ALLOW)),
        (const { number_of("sendmmsg") }, rule(&FAST_OPEN_IN_3, Verdict::ALLOW)),
    ];
    policy(rings.chain(tested))
}

/// CLONE_NEWUSER in the flags of clone(2) and unshare(2), which is where exploits that need a capability begin.
static NEW_USER: [Clause; 1] = [denied(&[Test::any_bit(0, libc::CLONE_NEWUSER as u32)])];

const MESSAGES: [u32; 4] = numbers(["recvmmsg", "recvmsg", "sendmmsg", "sendmsg"]);

/// Descriptors travel in messages alone (SCM_RIGHTS, unix(7)); send(2), recv(2), read(2) and write(2) carry none.
pub fn no_fd_passing() -> Policy {
    let rings = all(RINGS, Verdict::MISSING);
    policy(all(MESSAGES, Verdict::DENIED).chain(rings))
}

pub fn no_userns() -> Policy {
    policy([
        (const { number_of("clone") }, rule(&NEW_USER, Verdict::ALLOW)),
        (const { number_of("unshare") }, rule(&NEW_USER, Verdict::ALLOW)),
        // Its flags lie in memory, where no filter sees them; with ENOSYS the C library takes clone.
        (const { number_of("clone3") }, Rule::always(Verdict::MISSING)),
    ])
}
