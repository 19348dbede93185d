//! The channel between two processes of this tool: a socket pair that carries numbers, one a message. When the other
//! process is gone, the channel is closed. Close-on-exec, so that no program of the chain ever has one.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use chain::sys;
use chain::wait::Lifeline;
use chain::{Call as _, Failure, Result};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, recvmsg, send, sendmsg, socketpair,
};

/// One end.
pub struct Channel(OwnedFd);

/// Added to the number about a stop, where the box's group has the terminal, and to the one about continuing, where it is
/// to get it. Beyond every signal and wait status.
pub const WITH_TERMINAL: i32 = 1 << 16;

/// Added to the number of a signal that is for the main process's whole group, as what a terminal sends.
pub const TO_GROUP: i32 = 1 << 17;

/// From the init: a signal that asks to end has been given to the main process, and the box continued. What it sent before
/// about a stop is over.
pub const HEARD: i32 = 1 << 18;

/// What came through a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A number.
    Number(i32),
    /// Nothing yet.
    Nothing,
    /// The process at the other end is gone.
    Gone,
}

impl Channel {
    /// Both ends.
    pub fn pair() -> Result<(Self, Self)> {
        let (a, b) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).call("socketpair")?;
        Ok((Self(a), Self(b)))
    }

    /// Sends a number. That the other end is gone is no error here: receiving says that.
    pub fn send(&self, number: i32) -> Result<()> {
        match send(self.0.as_raw_fd(), &number.to_ne_bytes(), MsgFlags::MSG_NOSIGNAL) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(Failure::call("send", errno).into()),
        }
    }

    /// Sends a process, as a pidfd.
    pub fn send_process(&self, pidfd: BorrowedFd<'_>) -> Result<()> {
        let (bytes, files) = ([IoSlice::new(&[0; 4])], [pidfd.as_raw_fd()]);
        let attached = [ControlMessage::ScmRights(&files)];
        match sendmsg::<()>(self.0.as_raw_fd(), &bytes, &attached, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(Failure::call("sendmsg", errno).into()),
        }
    }

    /// Waits for the next number, and for the process that may come with it.
    pub fn receive_process(&self) -> Result<(Received, Option<OwnedFd>)> {
        let (mut bytes, mut space) = ([0; 4], cmsg_space!(RawFd));
        loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
                Ok(message) if message.bytes == 0 => return Ok((Received::Gone, None)),
                Ok(message) => {
                    let process = sys::attached(&message).call("recvmsg")?;
                    return Ok((Received::Number(i32::from_ne_bytes(bytes)), process));
                }
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(errno) => return Err(Failure::call("recvmsg", errno).into()),
            }
        }
    }

    /// Waits for the next number.
    pub fn receive(&self) -> Result<Received> {
        self.receive_with(MsgFlags::empty())
    }

    /// The next number, if one is there.
    pub fn try_receive(&self) -> Result<Received> {
        self.receive_with(MsgFlags::MSG_DONTWAIT)
    }

    /// Whether the other end is gone and everything that it sent has been received.
    pub fn is_closed(&self) -> Result<bool> {
        Ok(self.receive_with(MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK)? == Received::Gone)
    }

    fn receive_with(&self, flags: MsgFlags) -> Result<Received> {
        let mut bytes = [0; 4];
        loop {
            match recv(self.0.as_raw_fd(), &mut bytes, flags) {
                Ok(0) => return Ok(Received::Gone),
                Ok(_) => return Ok(Received::Number(i32::from_ne_bytes(bytes))),
                Err(Errno::EAGAIN) => return Ok(Received::Nothing),
                // ECONNRESET comes once, when the other end died with messages unread; what it sent is still here.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(errno) => return Err(Failure::call("recv", errno).into()),
            }
        }
    }

    /// A second descriptor of the same end, to be polled.
    pub fn lifeline(&self) -> Result<Lifeline> {
        self.0.try_clone().call("fcntl(F_DUPFD_CLOEXEC)").map(Lifeline::readable)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_the_end_is_received() {
        let (a, b) = Channel::pair().unwrap();
        assert_eq!(a.try_receive().unwrap(), Received::Nothing);
        a.send(15).unwrap();
        b.send(0x8b).unwrap();
        drop(b);
        assert!(!a.is_closed().unwrap());
        assert_eq!(a.receive().unwrap(), Received::Number(0x8b));
        assert!(a.is_closed().unwrap());
        assert_eq!(a.receive().unwrap(), Received::Gone);
        a.send(1).unwrap();
    }
}
