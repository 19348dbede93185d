//! The link between two processes of this tool: one end of a socket pair that carries numbers, a message each, and
//! whose end says that the other process is gone. Close-on-exec, so that no program of the chain ever has one.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use chain::wait::Lifeline;
use chain::{Call as _, Failure, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

/// One end.
#[derive(Debug)]
pub struct Link(OwnedFd);

/// Added to the word about a stop, where the box's group has the terminal, and to the one about continuing, where it is
/// to get it. Beyond every signal and wait status.
pub const WITH_TERMINAL: i32 = 1 << 16;

/// Added to the number of a signal that is for the main process's whole group, as what a terminal sends.
pub const TO_GROUP: i32 = 1 << 17;

/// What came through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A number.
    Number(i32),
    /// Nothing yet.
    Nothing,
    /// The process at the other end is gone.
    Gone,
}

impl Link {
    /// Both ends.
    ///
    /// # Errors
    /// What socketpair(2) says.
    pub fn pair() -> Result<(Self, Self)> {
        let (a, b) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).call("socketpair")?;
        Ok((Self(a), Self(b)))
    }

    /// Sends a number. That the other end is gone is no error here: its end is seen by whoever waits for it.
    ///
    /// # Errors
    /// What send(2) says.
    pub fn say(&self, number: i32) -> Result<()> {
        match send(self.0.as_raw_fd(), &number.to_ne_bytes(), MsgFlags::MSG_NOSIGNAL) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(Failure::call("send", errno).into()),
        }
    }

    /// Waits for the next number.
    ///
    /// # Errors
    /// What recv(2) says.
    pub fn wait(&self) -> Result<Heard> {
        self.receive(MsgFlags::empty())
    }

    /// The next number, if one is there.
    ///
    /// # Errors
    /// What recv(2) says.
    pub fn hear(&self) -> Result<Heard> {
        self.receive(MsgFlags::MSG_DONTWAIT)
    }

    /// Whether the other end is gone and everything that it said has been heard.
    ///
    /// # Errors
    /// What recv(2) says.
    pub fn is_cut(&self) -> Result<bool> {
        Ok(self.receive(MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK)? == Heard::Gone)
    }

    fn receive(&self, flags: MsgFlags) -> Result<Heard> {
        let mut bytes = [0; 4];
        loop {
            match recv(self.0.as_raw_fd(), &mut bytes, flags) {
                Ok(0) => return Ok(Heard::Gone),
                Ok(_) => return Ok(Heard::Number(i32::from_ne_bytes(bytes))),
                Err(Errno::EAGAIN) => return Ok(Heard::Nothing),
                // ECONNRESET is said once, when the other end died with messages unread; what it sent is still here.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(errno) => return Err(Failure::call("recv", errno).into()),
            }
        }
    }

    /// A second descriptor of the same end, to be polled.
    ///
    /// # Errors
    /// What fcntl(2) says.
    pub fn lifeline(&self) -> Result<Lifeline> {
        self.0.try_clone().call("fcntl(F_DUPFD_CLOEXEC)").map(Lifeline::readable)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_the_end_is_heard() {
        let (a, b) = Link::pair().unwrap();
        assert_eq!(a.hear().unwrap(), Heard::Nothing);
        a.say(15).unwrap();
        b.say(0x8b).unwrap();
        drop(b);
        assert!(!a.is_cut().unwrap());
        assert_eq!(a.wait().unwrap(), Heard::Number(0x8b));
        assert!(a.is_cut().unwrap());
        assert_eq!(a.wait().unwrap(), Heard::Gone);
        a.say(1).unwrap();
    }
}
