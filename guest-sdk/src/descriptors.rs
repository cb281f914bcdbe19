//! Descriptors that travel, with everything that Python's `send_fds` and `recv_fds` can say; and the descriptor
//! of a peer's process.

use std::io;

use crate::address::SocketAddress;
use crate::ancillary::{AncillaryOut, BorrowedHandle, OwnedHandle, space};
use crate::bindings::sockgate::sockets::options;
use crate::message::MessageOut;
use crate::socket::{Descriptor, Socket};
use crate::types::MessageFlags;

/// The most descriptors that one message takes: SCM_MAX_FD, unix(7).
const MOST: u32 = 253;

/// What [`Socket::recv_fds`] answers: the data, the handles, what the kernel says of the message, and the sender.
pub type ReceivedFds = (
    Vec<u8>,
    Vec<OwnedHandle>,
    MessageFlags,
    Option<SocketAddress>,
);

/// Bytes of control data that so many handles need and no more have room in: CMSG_LEN, cmsg(3).
pub(crate) fn room_for(handles: u32) -> u32 {
    match handles.min(MOST) {
        0 => 0,
        count => space(0) + 4 * count,
    }
}

impl Socket {
    /// Sends pieces of data, one after the other as one message, with handles beside them (SCM_RIGHTS, unix(7);
    /// at most 253), to the peer or to an address: Python's `send_fds(sock, buffers, fds, flags, address)`.
    /// [`send_handles`](Self::send_handles) is its short form. Policy: `descriptor-send`.
    ///
    /// Errors: those of [`send_msg`](Self::send_msg); [`Errno::INVAL`](crate::Errno::INVAL) for more handles
    /// than one message takes.
    pub fn send_fds(
        &self,
        buffers: &[&[u8]],
        handles: &[BorrowedHandle<'_>],
        flags: MessageFlags,
        address: Option<&SocketAddress>,
    ) -> io::Result<usize> {
        let mut message = MessageOut::new().flags(flags);
        (message.pieces, message.to) = (buffers.to_vec(), address);
        // A message with no descriptor at all is no control message, cmsg(3).
        if !handles.is_empty() {
            message = message.ancillary(AncillaryOut::Rights(handles));
        }
        self.send_msg(&message)
    }

    /// Receives at most `max` bytes and at most `max_handles` handles beside them: Python's `recv_fds(sock,
    /// bufsize, maxfds, flags)`, with its four answers: the data, the handles, what the kernel says of the
    /// message ([`CTRUNC`](MessageFlags::CTRUNC) where more handles came than there was room for), and the
    /// sender. [`recv_handles`](Self::recv_handles) is its short form. Policy: `descriptor-receive`; what it
    /// does not let in is closed by the host.
    pub fn recv_fds(
        &self,
        max: usize,
        max_handles: u32,
        flags: MessageFlags,
    ) -> io::Result<ReceivedFds> {
        let mut message = self.recv_msg(max, room_for(max_handles), flags)?;
        let handles = message.take_handles();
        Ok((message.data, handles, message.flags, message.source))
    }

    /// SO_PEERPIDFD, unix(7), Linux 6.5: a descriptor of the process at the other end of a Unix stream, to be
    /// passed on to somebody who may do something with it. Policy: the option `so.peerpidfd`, and
    /// `descriptor-receive` with `kinds = ["opaque"]`, as if it had arrived.
    ///
    /// Errors: [`Errno::NOPROTOOPT`](crate::Errno::NOPROTOOPT) on older kernels,
    /// [`Errno::NODATA`](crate::Errno::NODATA) where there is no peer.
    pub fn peer_pidfd(&self) -> io::Result<Descriptor> {
        Ok(options::peer_pidfd(&self.raw)?)
    }
}
