//! Sending and receiving.

use std::io::{self, IoSlice, Read, Write};

use crate::address::{SocketAddress, ToAddress};
use crate::deadline::Deadline;
use crate::error::Errno;
use crate::message::{Batch, Message, MessageOut, ReceivedBatch, Sent};
use crate::socket::Socket;
use crate::types::{MessageFlags, Timeout};

/// Sending. Policy: the grant of `connect`, `listen` or `socketpair` carries it on connected sockets;
/// `send-to` or `reply` grants it on others. Flags that reach beyond the message (MSG_OOB, MSG_FASTOPEN ...) need the
/// rule's `flags`.
///
/// Errors: [`Errno::AGAIN`] or [`Errno::TIMEDOUT`] where it would wait longer than the time-out,
/// [`Errno::MSGSIZE`] for a datagram that is too long, [`Errno::DESTADDRREQ`] or [`Errno::NOTCONN`] without a peer;
/// a vanished peer is [`Errno::CONNRESET`] or [`Errno::PIPE`], never a signal.
impl Socket {
    /// send(2): how many bytes were taken, which on a stream may be fewer than given.
    #[inline]
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send_with(data, MessageFlags::empty())
    }

    /// [`send`](Self::send) with flags.
    #[inline]
    pub fn send_with(&self, data: &[u8], flags: MessageFlags) -> io::Result<usize> {
        self.before_write();
        Ok(self.raw.send(data, flags)? as usize)
    }

    /// send(2) until all of it went: Python's `sendall`. The time-out is one for the whole, not one for
    /// each send(2); [`Errno::INTR`] ends it. After an error nobody knows how much was sent.
    pub fn send_all(&self, data: &[u8]) -> io::Result<()> {
        let total = self.write_timeout();
        let Timeout::After(_) = total else {
            return self.send_rest(data, |_| Ok(()));
        };
        let deadline = Deadline::after(total.into());
        let result = self.send_rest(data, |socket| {
            socket.set_write_timeout(deadline.left()?);
            Ok(())
        });
        self.set_write_timeout(total);
        result
    }

    /// Sends until nothing is left; `between` runs after each part but the last.
    fn send_rest(
        &self,
        mut data: &[u8],
        between: impl Fn(&Self) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let sent = self.send(data)?;
            data = data.get(sent..).unwrap_or_default();
            if data.is_empty() {
                return Ok(());
            }
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            between(self)?;
        }
    }

    /// sendto(2). Policy: `send-to` with the peer, or `reply` to who wrote to this socket.
    ///
    /// An address that is looked up anew for each datagram costs a look-up each; a [`SocketAddress`] or a
    /// [`SocketAddr`](std::net::SocketAddr) costs nothing.
    #[inline]
    pub fn send_to(&self, data: &[u8], to: impl ToAddress) -> io::Result<usize> {
        self.send_to_with(data, to, MessageFlags::empty())
    }

    /// [`send_to`](Self::send_to) with flags.
    pub fn send_to_with(
        &self,
        data: &[u8],
        to: impl ToAddress,
        flags: MessageFlags,
    ) -> io::Result<usize> {
        let to = to.to_address(self)?;
        self.before_write();
        Ok(self.raw.send_to(data, flags, &to)? as usize)
    }

    /// sendmsg(2): pieces one after the other, beside ancillary data. Policy: what the ancillary data
    /// needs as well (`descriptor-send` for descriptors).
    pub fn send_msg(&self, message: &MessageOut<'_>) -> io::Result<usize> {
        self.before_write();
        let sent = self.raw.send_msg(
            &message.pieces,
            &message.ancillary,
            message.flags,
            message.to,
        )?;
        Ok(sent as usize)
    }

    /// sendmmsg(2): many datagrams in one call. Every one is judged before any is sent; those before
    /// the first refused one go out, and nothing after it.
    pub fn send_many(&self, batch: &Batch<'_>, flags: MessageFlags) -> io::Result<Sent> {
        self.before_write();
        let sent = self
            .raw
            .send_many(&batch.slab, &batch.messages, &batch.addresses, flags)?;
        Ok(Sent {
            count: sent.count as usize,
            error: sent.error.map(Errno::from),
        })
    }
}

/// Receiving. Policy: the grant of `connect`, `listen` or `socketpair` carries it on connected sockets;
/// `receive` grants it on others. What the policy hides never arrives.
///
/// Errors: [`Errno::AGAIN`] or [`Errno::TIMEDOUT`] where it would wait longer than the time-out,
/// [`Errno::CONNRESET`] and [`Errno::CONNREFUSED`] from the peer, [`Errno::NOTCONN`] on an unconnected stream.
impl Socket {
    /// recv(2): how many bytes were received into `buffer`; 0 at the end of a stream. The rest of a
    /// datagram that does not fit is lost.
    #[inline]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, MessageFlags::empty())
    }

    /// [`recv`](Self::recv) with flags.
    #[inline]
    pub fn recv_with(&self, buffer: &mut [u8], flags: MessageFlags) -> io::Result<usize> {
        self.before_read();
        Ok(fill(buffer, &self.raw.recv(buffer.len() as u64, flags)?))
    }

    /// recv(2) as Python has it: at most `max` bytes in a vector of their own, without a copy. The host
    /// clamps what it allocates; empty at the end of a stream.
    #[inline]
    pub fn recv_vec(&self, max: usize) -> io::Result<Vec<u8>> {
        self.recv_vec_with(max, MessageFlags::empty())
    }

    /// [`recv_vec`](Self::recv_vec) with flags.
    #[inline]
    pub fn recv_vec_with(&self, max: usize, flags: MessageFlags) -> io::Result<Vec<u8>> {
        self.before_read();
        Ok(self.raw.recv(max as u64, flags)?)
    }

    /// recv(2) with MSG_PEEK: what would be received next, and stays in the queue.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, MessageFlags::PEEK)
    }

    /// recvfrom(2): how many bytes, and who sent them; none where the protocol does not say.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddress>)> {
        self.recv_from_with(buffer, MessageFlags::empty())
    }

    /// [`recv_from`](Self::recv_from) with flags.
    pub fn recv_from_with(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> io::Result<(usize, Option<SocketAddress>)> {
        self.before_read();
        let (data, source) = self.raw.recv_from(buffer.len() as u64, flags)?;
        Ok((fill(buffer, &data), source))
    }

    /// recvmsg(2): at most `max` bytes, with room for `ancillary_max` bytes of control data (cmsg(3);
    /// [`ancillary::space`](crate::ancillary::space) counts them).
    pub fn recv_msg(
        &self,
        max: usize,
        ancillary_max: u32,
        flags: MessageFlags,
    ) -> io::Result<Message> {
        self.before_read();
        Ok(self.raw.recv_msg(max as u64, ancillary_max, flags)?)
    }

    /// recvmmsg(2): waits for the first datagram, then takes what is there, up to `count` datagrams of at
    /// most `max` bytes each.
    pub fn recv_many(&self, count: u32, max: usize) -> io::Result<ReceivedBatch> {
        self.recv_many_with(count, max, 0, MessageFlags::empty())
    }

    /// [`recv_many`](Self::recv_many) with room for ancillary data and with flags.
    pub fn recv_many_with(
        &self,
        count: u32,
        max: usize,
        ancillary_max: u32,
        flags: MessageFlags,
    ) -> io::Result<ReceivedBatch> {
        self.before_read();
        Ok(self
            .raw
            .recv_many(count, max as u64, ancillary_max, flags)?
            .into())
    }
}

/// Copies what the host answered; it never answers more than it was asked for.
#[inline]
fn fill(buffer: &mut [u8], data: &[u8]) -> usize {
    let length = data.len().min(buffer.len());
    buffer[..length].copy_from_slice(&data[..length]);
    length
}

/// How many pieces a vectored write takes at once.
const PIECES: usize = 16;

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

impl Write for &Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send(data)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut slices: [&[u8]; PIECES] = [&[]; PIECES];
        let count = pieces.len().min(PIECES);
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = piece;
        }
        self.before_write();
        let flags = MessageFlags::empty();
        Ok(self.raw.send_msg(&slices[..count], &[], flags, None)? as usize)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send(data)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&mut &*self).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
