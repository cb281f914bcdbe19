//! Ancillary data: what travels beside a message (control messages, cmsg(3)).
//!
//! [`AncillaryOut`] borrows what it passes on: a send that fails loses nothing, and one that succeeds
//! leaves the sender its own handle. [`AncillaryIn`] owns what arrived. Which kinds a socket may send and
//! receive is the policy's to say (`ancillary`); passing sockets needs `descriptor-send` and
//! `descriptor-receive`.

use std::io;

pub use crate::bindings::sockgate::sockets::ancillary::{
    AlgOperation, Credentials, ErrorOrigin, ExtendedError, PacketInfoV4, PacketInfoV6, PathMtu,
    RawAncillary, Timestamp, Timestamping,
};
pub use crate::bindings::sockgate::sockets::socket::{
    AncillaryIn, AncillaryOut, BorrowedHandle, OwnedHandle, PacketAuxdata,
};

use crate::descriptors::room_for;
use crate::error::Errno;
use crate::message::{Message, MessageOut};
use crate::socket::{Descriptor, Socket};
use crate::types::MessageFlags;

/// Bytes of control data that `length` bytes of payload need: CMSG_SPACE of 64-bit Linux, cmsg(3).
pub const fn space(length: u32) -> u32 {
    16 + length.next_multiple_of(8)
}

/// The header of a control message on 64-bit Linux: a length of 8 bytes, level and type of 4 each.
const HEADER: u64 = 16;
/// What lengths of socket calls may not go beyond: a `socklen_t` that is no negative `int`.
const LONGEST: u64 = i32::MAX as u64;

/// The length that a control message with `length` bytes of data has in its header: CMSG_LEN of 64-bit
/// Linux, cmsg(3), as Python's `CMSG_LEN`. As room for one last message it may cut the padding off.
///
/// # Errors
/// [`Errno::OVERFLOW`] for a length that no control message can have.
pub fn cmsg_len(length: u64) -> io::Result<u32> {
    if length > LONGEST - HEADER {
        return Err(Errno::OVERFLOW.into());
    }
    Ok((HEADER + length) as u32)
}

/// The room that a control message with `length` bytes of data takes up, padding included: CMSG_SPACE of
/// 64-bit Linux, cmsg(3), as Python's `CMSG_SPACE`. [`space`] is the same for lengths that are known to be
/// small.
///
/// # Errors
/// [`Errno::OVERFLOW`] for a length that no control message can have.
///
/// ```
/// use sockgate_guest::ancillary::{cmsg_len, cmsg_space};
///
/// assert_eq!((cmsg_len(12)?, cmsg_space(12)?), (28, 32));
/// assert!(cmsg_space(1 << 31).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn cmsg_space(length: u64) -> io::Result<u32> {
    if length > LONGEST - HEADER - 8 {
        return Err(Errno::OVERFLOW.into());
    }
    Ok((HEADER + length.next_multiple_of(8)) as u32)
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

    /// Sends to an algorithm's operation (an accepted AF_ALG socket): the pieces as one, with what is to be
    /// done (ALG_SET_OP), the initialisation vector, and how many of the first bytes are only authenticated
    /// (ALG_SET_AEAD_ASSOCLEN): Python's `sendmsg_afalg`. [`MessageFlags::MORE`] says that the data goes
    /// on. The types of [`alg`](crate::alg) do this for whole texts. Policy: the grant of `bind` for the
    /// algorithm.
    ///
    /// # Errors
    /// [`Errno::INVAL`] for a vector of another length than the algorithm's, and on other sockets.
    pub fn send_msg_alg(
        &self,
        pieces: &[&[u8]],
        operation: AlgOperation,
        iv: Option<&[u8]>,
        associated_length: Option<u32>,
        flags: MessageFlags,
    ) -> io::Result<usize> {
        let mut message = MessageOut::new()
            .ancillary(AncillaryOut::AlgOperation(operation))
            .flags(flags);
        for piece in pieces {
            message = message.piece(piece);
        }
        if let Some(iv) = iv {
            message = message.ancillary(AncillaryOut::AlgIv(iv));
        }
        if let Some(length) = associated_length {
            message = message.ancillary(AncillaryOut::AlgAssociatedLength(length));
        }
        self.send_msg(&message)
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
    use super::{cmsg_len, cmsg_space};

    #[test]
    fn space_is_that_of_64_bit_linux() {
        assert_eq!(super::space(4), 24);
        assert_eq!(super::space(8), 24);
        assert_eq!(super::space(12), 32);
        for length in [0u32, 1, 4, 7, 8, 9, 4096] {
            assert_eq!(cmsg_space(length.into()).unwrap(), super::space(length));
            assert_eq!(cmsg_len(length.into()).unwrap(), 16 + length);
        }
    }

    #[test]
    fn lengths_that_no_message_has_are_refused() {
        let limit = i32::MAX as u64;
        assert_eq!(cmsg_len(limit - 16).unwrap(), i32::MAX as u32);
        assert_eq!(cmsg_space(limit - 24).unwrap(), i32::MAX as u32 - 7);
        for too_long in [limit - 15, limit, u64::MAX] {
            assert!(cmsg_len(too_long).is_err() && cmsg_space(too_long).is_err());
        }
        assert!(cmsg_space(limit - 23).is_err());
    }
}
