//! A payload that tries everything that Landlock can deny, and says how the kernel answered each: `name: ok` or the
//! errno, one a line, so that a test can compare what is granted with what was reached.
//!
//! ```text
//! landlock-probe files FOLDER          every right on files, in a folder that `prepare` of the test has filled
//! landlock-probe tcp PORT              bind, connect, and every other way to a TCP connection
//! landlock-probe outside NAME          a signal to the parent, and the abstract socket NAME
//! ```
#![allow(unsafe_code, reason = "a socket of a protocol that no crate names")]
#![allow(clippy::expect_used, clippy::panic, reason = "a payload of tests: what goes wrong must be seen")]

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::kill;
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{getppid, mkfifo, truncate};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["files", folder] => files(Path::new(folder)),
        ["tcp", port] => tcp(port.parse().expect("a port")),
        ["outside", name] => outside(name),
        _ => panic!("{words:?}"),
    }
}

fn say(name: &str, outcome: io::Result<()>) {
    let answer = match outcome {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or(0))),
    };
    println!("{name}: {answer}");
}

fn files(folder: &Path) {
    let at = |name: &str| folder.join(name);
    let node = |name: &str, kind| mknod(&at(name), kind, Mode::S_IRUSR, 0).map_err(io::Error::from);
    say("execute", Command::new(at("program")).arg("0").status().map(drop));
    say("write_file", OpenOptions::new().write(true).open(at("file")).map(drop));
    say("read_file", fs::read(at("file")).map(drop));
    say("read_dir", fs::read_dir(folder).map(drop));
    say("remove_dir", fs::remove_dir(at("empty")));
    say("remove_file", fs::remove_file(at("surplus")));
    // Device 0:0 is the white-out, which needs no capability.
    say("make_char", node("char", SFlag::S_IFCHR));
    say("make_dir", fs::create_dir(at("made")));
    say("make_reg", node("regular", SFlag::S_IFREG));
    say("make_sock", UnixListener::bind(at("socket")).map(drop));
    say("make_fifo", mkfifo(&at("fifo"), Mode::S_IRUSR).map_err(io::Error::from));
    say("make_block", node("block", SFlag::S_IFBLK));
    say("make_sym", symlink("file", at("link")));
    say("refer", fs::rename(at("one/moved"), at("two/moved")));
    say("ioctl_dev", ioctl_of_null());
    say("truncate", truncate(&at("file"), 0).map_err(io::Error::from));
}

/// A request that /dev/null does not know: ENOTTY is its own answer.
fn ioctl_of_null() -> io::Result<()> {
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    // SAFETY: the number of a window's size, which a file that is no terminal refuses before it looks at the pointer.
    match Errno::result(unsafe { libc::ioctl(null.as_raw_fd(), libc::TIOCGPGRP, 0) }) {
        Err(Errno::ENOTTY) => Ok(()),
        answer => Ok(answer.map(drop)?),
    }
}

fn tcp(port: u16) {
    let other = port.wrapping_add(1);
    say("bind", TcpListener::bind(("127.0.0.1", port.wrapping_add(2))).map(drop));
    say("bind another", TcpListener::bind(("127.0.0.1", port.wrapping_add(3))).map(drop));
    say("connect", connected(libc::IPPROTO_TCP, port));
    say("connect another", connected(libc::IPPROTO_TCP, other));
    say("connect by mptcp", connected(libc::IPPROTO_MPTCP, other));
    say("connect by fast open", fast_open(other));
    say("udp", UdpSocket::bind("127.0.0.1:0").and_then(|udp| udp.send_to(b"x", ("127.0.0.1", other))).map(drop));
}

/// A TCP socket, or one of a protocol that becomes TCP; nix knows no number for that.
fn stream(protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    let file = Errno::result(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, protocol) })?;
    // SAFETY: the kernel has just opened it.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

const LENGTH: u32 = size_of::<libc::sockaddr_in>() as u32;

fn local(port: u16) -> libc::sockaddr_in {
    let address = libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) };
    libc::sockaddr_in { sin_family: libc::AF_INET as u16, sin_port: port.to_be(), sin_addr: address, sin_zero: [0; 8] }
}

fn connected(protocol: i32, port: u16) -> io::Result<()> {
    let (file, to) = (stream(protocol)?, local(port));
    // SAFETY: kernel reads only, one address of the length given.
    Ok(Errno::result(unsafe { libc::connect(file.as_raw_fd(), (&raw const to).cast(), LENGTH) }).map(drop)?)
}

/// TCP Fast Open (tcp(7)): connects without connect(2).
fn fast_open(port: u16) -> io::Result<()> {
    let (file, to, flags) = (stream(libc::IPPROTO_TCP)?, local(port), libc::MSG_FASTOPEN);
    // SAFETY: kernel reads only, one byte of a literal and one address of the length given.
    let sent =
        unsafe { libc::sendto(file.as_raw_fd(), c"x".as_ptr().cast(), 1, flags, (&raw const to).cast(), LENGTH) };
    Ok(Errno::result(sent).map(drop)?)
}

fn outside(name: &str) {
    say("signal", kill(getppid(), None).map_err(io::Error::from));
    let address = SocketAddr::from_abstract_name(name).expect("an abstract name");
    say("abstract", UnixStream::connect_addr(&address).map(drop));
}
