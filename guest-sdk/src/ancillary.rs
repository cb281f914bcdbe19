//! Ancillary data: what travels beside a message (control messages, cmsg(3)).
//!
//! [`AncillaryOut`] borrows what it passes on: a send that fails loses nothing, and one that succeeds
//! leaves the sender its own handle. [`AncillaryIn`] owns what arrived. Which kinds a socket may send and
//! receive is the policy's to say (`ancillary`); passing sockets needs `descriptor-send` and
//! `descriptor-receive`.

use std::io;

pub use crate::bindings::sockgate::sockets::ancillary::{
    AlgOperation, Credentials, ErrorOrigin, ExtendedError, PacketInfoV4, PacketInfoV6,
    RawAncillary, Timestamp, Timestamping,
};
pub use crate::bindings::sockgate::sockets::socket::{
    AncillaryIn, AncillaryOut, BorrowedHandle, OwnedHandle, PacketAuxdata,
};

use crate::descriptors::room_for;
use crate::message::{Message, MessageOut};
use crate::socket::{Descriptor, Socket};
use crate::types::MessageFlags;

/// Bytes of control data that `length` bytes of payload need: CMSG_SPACE of 64-bit Linux, cmsg(3).
pub const fn space(length: u32) -> u32 {
    16 + length.next_multiple_of(8)
}

impl<'a> From<&'a Socket> for BorrowedHandle<'a> {
    fn from(socket: &'a Socket) -> Self {
        Self::Socket(&socket.raw)
    }
}

impl<'a> From<&'a Descriptor> for BorrowedHandle<'a> {
    fn from(descriptor: &'a Descriptor) -> Self {
        Self::Descriptor(descriptor)
    }
}

impl OwnedHandle {
    /// The socket, if it is one that can be used here; otherwise the opaque descriptor.
    pub fn into_socket(self) -> Result<Socket, Descriptor> {
        match self {
            Self::Socket(socket) => Ok(socket.into()),
            Self::Descriptor(descriptor) => Err(descriptor),
        }
    }
}

impl Socket {
    /// Sends `data` with handles beside it (SCM_RIGHTS, unix(7); at most 253), [`send_fds`](Self::send_fds) for short. Each
    /// side has its own afterwards. A stream needs at least one byte of data. Policy: `descriptor-send`.
    ///
    /// ```no_run
    /// use sockgate_guest::{TcpStream, unix::UnixStream};
    ///
    /// let connection = TcpStream::connect("127.0.0.1:80")?;
    /// let other = UnixStream::connect("/run/other.sock")?;
    /// other.as_ref().send_handles(b"take it", &[connection.as_ref().into()])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_handles(&self, data: &[u8], handles: &[BorrowedHandle<'_>]) -> io::Result<usize> {
        self.send_msg(
            &MessageOut::new()
                .piece(data)
                .ancillary(AncillaryOut::Rights(handles)),
        )
    }

    /// Receives at most `max` bytes and at most `count` handles beside them, [`recv_fds`](Self::recv_fds) for
    /// short; see [`Message::take_handles`]. Policy: `descriptor-receive`; what it does not let in is closed by the
    /// host.
    pub fn recv_handles(&self, max: usize, count: u32) -> io::Result<Message> {
        self.recv_msg(max, room_for(count), MessageFlags::empty())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn space_is_that_of_64_bit_linux() {
        assert_eq!(super::space(4), 24);
        assert_eq!(super::space(8), 24);
        assert_eq!(super::space(12), 32);
    }
}
