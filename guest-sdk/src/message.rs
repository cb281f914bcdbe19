//! Messages with more than bytes, and batches of messages.

use std::io::{self, IoSliceMut};
use std::ops::Range;

use crate::address::SocketAddress;
use crate::ancillary::{AncillaryIn, AncillaryOut, OwnedHandle};
use crate::bindings::sockgate::sockets::socket as raw;
use crate::error::Errno;
use crate::socket::Socket;
use crate::types::MessageFlags;

pub use raw::Message;

/// A message for [`Socket::send_msg`]: pieces that are sent one after the other as one message,
/// ancillary data, flags, and where to.
///
/// ```no_run
/// use sockgate_guest::{MessageOut, Socket};
/// # fn send(socket: &Socket) -> std::io::Result<()> {
/// socket.send_msg(&MessageOut::new().piece(b"head ").piece(b"body"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MessageOut<'a> {
    pub(crate) pieces: Vec<&'a [u8]>,
    pub(crate) ancillary: Vec<AncillaryOut<'a>>,
    pub(crate) flags: MessageFlags,
    pub(crate) to: Option<&'a SocketAddress>,
}

impl<'a> MessageOut<'a> {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes, which may be none. More pieces than the kernel's IOV_MAX (1024) answer [`Errno::MSGSIZE`].
    pub fn piece(mut self, data: &'a [u8]) -> Self {
        self.pieces.push(data);
        self
    }

    /// Adds ancillary data.
    pub fn ancillary(mut self, ancillary: AncillaryOut<'a>) -> Self {
        self.ancillary.push(ancillary);
        self
    }

    /// Sets the flags.
    pub fn flags(mut self, flags: MessageFlags) -> Self {
        self.flags = flags;
        self
    }

    /// Sends to this address instead of the socket's peer.
    pub fn to(mut self, address: &'a SocketAddress) -> Self {
        self.to = Some(address);
        self
    }
}

impl Message {
    /// Whether it was cut: `true_length` says how long it was.
    pub fn is_truncated(&self) -> bool {
        self.flags.contains(MessageFlags::TRUNC)
    }

    /// Whether there was no room for all of the ancillary data (MSG_CTRUNC); descriptors that did not fit
    /// are closed.
    pub fn is_ancillary_truncated(&self) -> bool {
        self.flags.contains(MessageFlags::CTRUNC)
    }

    /// Takes the sockets and descriptors that came with it (SCM_RIGHTS), in the order they were sent.
    pub fn take_handles(&mut self) -> Vec<OwnedHandle> {
        handles(&mut self.ancillary)
    }

    /// Takes the sockets that came with it, and closes other descriptors.
    pub fn take_sockets(&mut self) -> Vec<Socket> {
        self.take_handles()
            .into_iter()
            .filter_map(|handle| handle.into_socket().ok())
            .collect()
    }
}

/// The handles among ancillary data, taken out of it.
fn handles(ancillary: &mut [AncillaryIn]) -> Vec<OwnedHandle> {
    let mut handles = Vec::new();
    for ancillary in ancillary {
        if let AncillaryIn::Rights(rights) = ancillary {
            handles.append(rights);
        }
    }
    handles
}

/// A message whose bytes went into the caller's buffers ([`Socket::recv_msg_into`]).
#[derive(Debug)]
pub struct ReceivedInto {
    /// Bytes in the buffers, from the first one on.
    pub length: usize,
    /// The message's own length, larger than `length` where it was cut.
    pub true_length: u64,
    /// What the kernel says of it.
    pub flags: MessageFlags,
    /// Who sent it; none where the protocol does not say.
    pub source: Option<SocketAddress>,
    /// What came beside it.
    pub ancillary: Vec<AncillaryIn>,
}

impl ReceivedInto {
    /// Takes the sockets and descriptors that came with it; see [`Message::take_handles`].
    pub fn take_handles(&mut self) -> Vec<OwnedHandle> {
        handles(&mut self.ancillary)
    }
}

impl Socket {
    /// recvmsg(2) into several buffers, one filled after the other: Python's `recvmsg_into`. There is room
    /// for `ancillary_max` bytes of control data, as in [`recv_msg`](Self::recv_msg).
    ///
    /// ```no_run
    /// use std::io::IoSliceMut;
    /// use sockgate_guest::{MessageFlags, Socket};
    /// # fn receive(socket: &Socket) -> std::io::Result<()> {
    /// let (mut head, mut body) = ([0; 4], [0; 1500]);
    /// let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
    /// let received = socket.recv_msg_into(&mut buffers, 0, MessageFlags::empty())?;
    /// println!("{} bytes from {:?}", received.length, received.source);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_msg_into(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        ancillary_max: u32,
        flags: MessageFlags,
    ) -> io::Result<ReceivedInto> {
        let max = buffers
            .iter()
            .fold(0usize, |sum, buffer| sum.saturating_add(buffer.len()));
        let message = self.recv_msg(max, ancillary_max, flags)?;
        Ok(ReceivedInto {
            length: scatter(&message.data, buffers),
            true_length: message.true_length,
            flags: message.flags,
            source: message.source,
            ancillary: message.ancillary,
        })
    }
}

/// Copies bytes into buffers, one after the other, and answers how many.
fn scatter(mut data: &[u8], buffers: &mut [IoSliceMut<'_>]) -> usize {
    let whole = data.len();
    for buffer in buffers {
        let (here, rest) = data.split_at(data.len().min(buffer.len()));
        buffer[..here.len()].copy_from_slice(here);
        data = rest;
    }
    whole - data.len()
}

/// Datagrams for [`Socket::send_many`], collected in one slab of bytes. Reuse it: [`clear`](Self::clear)
/// keeps its memory.
///
/// ```no_run
/// use sockgate_guest::{Batch, MessageFlags, SocketAddress};
/// # fn send(socket: &sockgate_guest::Socket) -> std::io::Result<()> {
/// let to = SocketAddress::from(([127, 0, 0, 1], 9000));
/// let mut batch = Batch::new();
/// for number in 0u32..32 {
///     batch.push_to(&number.to_be_bytes(), &to);
/// }
/// let sent = socket.send_many(&batch, MessageFlags::empty())?;
/// assert_eq!(sent.count, 32);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch<'a> {
    pub(crate) slab: Vec<u8>,
    pub(crate) messages: Vec<raw::Outgoing>,
    pub(crate) addresses: Vec<&'a SocketAddress>,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a datagram for the socket's peer.
    pub fn push(&mut self, data: &[u8]) {
        self.append(data, None);
    }

    /// Appends a datagram for this address. Many in a row to one address cost one address.
    pub fn push_to(&mut self, data: &[u8], to: &'a SocketAddress) {
        if self.addresses.last() != Some(&to) {
            self.addresses.push(to);
        }
        self.append(data, Some(self.addresses.len() as u32 - 1));
    }

    fn append(&mut self, data: &[u8], to: Option<u32>) {
        self.slab.extend_from_slice(data);
        self.messages.push(raw::Outgoing {
            length: data.len() as u32,
            to,
        });
    }

    /// How many datagrams it holds.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes all datagrams out and keeps the memory.
    pub fn clear(&mut self) {
        self.slab.clear();
        self.messages.clear();
        self.addresses.clear();
    }
}

/// What became of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many datagrams were sent, from the first on.
    pub count: usize,
    /// Why the next one was not; none when all were sent.
    pub error: Option<Errno>,
}

/// What [`Socket::recv_many`] received: an iterator of datagrams that borrow from it.
#[derive(Debug)]
pub struct ReceivedBatch {
    batch: raw::Batch,
    /// Where each datagram lies in the slab.
    ranges: Vec<Range<usize>>,
}

/// One datagram of a [`ReceivedBatch`].
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its bytes.
    pub data: &'a [u8],
    /// Its own length, larger than `data` where it was cut.
    pub true_length: usize,
    /// What the kernel says of it.
    pub flags: MessageFlags,
    /// Who sent it; none where the protocol does not say.
    pub source: Option<&'a SocketAddress>,
    /// What came beside it.
    pub ancillary: &'a [AncillaryIn],
}

impl From<raw::Batch> for ReceivedBatch {
    fn from(batch: raw::Batch) -> Self {
        let mut end = 0;
        let ranges = batch.messages.iter().map(|message| {
            let start = end;
            end += message.length as usize;
            start..end
        });
        let ranges = ranges.collect();
        Self { batch, ranges }
    }
}

impl ReceivedBatch {
    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The datagram at `index`.
    pub fn get(&self, index: usize) -> Option<Received<'_>> {
        let message = self.batch.messages.get(index)?;
        let (first, number) = message.ancillary;
        let ancillary = first as usize..first as usize + number as usize;
        Some(Received {
            data: self.batch.slab.get(self.ranges[index].clone())?,
            true_length: message.true_length as usize,
            flags: message.flags,
            source: message
                .source
                .and_then(|source| self.batch.addresses.get(source as usize)),
            ancillary: self.batch.ancillary.get(ancillary).unwrap_or_default(),
        })
    }

    /// The datagrams in the order they arrived.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Takes what came beside the datagrams, all in one list: this is how passed sockets are owned.
    pub fn into_ancillary(self) -> Vec<AncillaryIn> {
        self.batch.ancillary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_one_address_for_many_datagrams() {
        let one = SocketAddress::from(([127, 0, 0, 1], 1));
        let two = SocketAddress::from(([127, 0, 0, 1], 2));
        let mut batch = Batch::new();
        batch.push_to(b"a", &one);
        batch.push_to(b"bc", &one);
        batch.push_to(b"", &two);
        batch.push(b"d");
        assert_eq!(batch.slab, b"abcd");
        assert_eq!(batch.addresses, [&one, &two]);
        let to: Vec<_> = batch.messages.iter().map(|message| message.to).collect();
        assert_eq!(to, [Some(0), Some(0), Some(1), None]);
        batch.clear();
        assert!(batch.is_empty() && batch.slab.is_empty());
    }

    #[test]
    fn bytes_fill_one_buffer_after_the_other() {
        let (mut one, mut none, mut two) = ([0; 3], [0; 0], [9; 4]);
        let mut buffers = [
            IoSliceMut::new(&mut one),
            IoSliceMut::new(&mut none),
            IoSliceMut::new(&mut two),
        ];
        assert_eq!(scatter(b"abcde", &mut buffers), 5);
        assert_eq!(scatter(b"", &mut buffers), 0);
        assert_eq!((&one, &two), (b"abc", &[b'd', b'e', 9, 9]));
        let mut small = [IoSliceMut::new(&mut one)];
        assert_eq!(scatter(b"wxyz", &mut small), 3);
        assert_eq!(&one, b"wxy");
    }

    #[test]
    fn a_received_batch_is_cut_into_its_datagrams() {
        let message = |length, source| raw::Incoming {
            length,
            true_length: length + 1,
            flags: MessageFlags::TRUNC,
            source,
            ancillary: (0, 0),
        };
        let batch = ReceivedBatch::from(raw::Batch {
            slab: b"abc".to_vec(),
            messages: vec![message(1, Some(0)), message(0, None), message(2, Some(0))],
            addresses: vec![SocketAddress::from(([10, 0, 0, 1], 5))],
            ancillary: Vec::new(),
        });
        let data: Vec<_> = batch.iter().map(|datagram| datagram.data).collect();
        assert_eq!(data, [&b"a"[..], b"", b"bc"]);
        let last = batch.get(2).unwrap();
        assert_eq!(last.true_length, 3);
        assert_eq!(last.source.unwrap().to_string(), "10.0.0.1:5");
        assert!(batch.get(1).unwrap().source.is_none() && batch.get(3).is_none());
    }
}
