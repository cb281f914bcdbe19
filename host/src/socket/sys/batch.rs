//! Many messages in one call: sendmmsg(2), recvmmsg(2). For sockets with message boundaries; a stream may
//! take part of a message, which a count of messages cannot say.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use bytes::BytesMut;
use libc::{c_int, c_uint, iovec, mmsghdr, socklen_t};
use sockgate_policy::{Family, Kind, MessageFlags};

use super::address::CAPACITY;
use super::cmsg::{self, ControlIn};
use super::message::{
    ReceivedFlags, control_length, empty_header, receiving, refuses_nosignal, sending,
};
use super::{EncodedAddress, Errno, Result, check};

/// Messages that one sendmmsg(2) takes; longer batches are several calls.
const CHUNK: usize = 64;

/// Messages that one [`recv_batch`] takes at most: the kernel's own limit.
pub const MAXIMUM_COUNT: usize = 1024;

/// Control data of one batch in bytes; the messages share it evenly.
const CONTROL_TOTAL: usize = 1024 * 1024;

/// One message of a batch to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its bytes.
    pub data: &'a [u8],
    /// None sends to the socket's peer.
    pub to: Option<&'a EncodedAddress>,
}

/// One message of a received batch. Its bytes follow those of the message before it.
#[derive(Debug)]
pub struct BatchHead {
    /// Bytes that were stored.
    pub length: usize,
    /// The message's own length.
    pub true_length: usize,
    /// Whether it was cut, and more.
    pub flags: ReceivedFlags,
    /// The sender; none where the protocol gives none.
    pub source: Option<EncodedAddress>,
    /// Ancillary data. Descriptors in it have their owner here.
    pub control: Vec<ControlIn>,
}

/// sendmmsg(2): how many messages were sent, from the first on, and why the next one was not.
pub fn send_batch(
    socket: BorrowedFd<'_>,
    messages: &[Outgoing<'_>],
    flags: MessageFlags,
) -> (usize, Option<Errno>) {
    let mut sent = 0;
    // After a short count the kernel forgets why it stopped, so the rest is tried until it says so.
    while sent < messages.len() {
        let end = messages.len().min(sent + CHUNK);
        match send_chunk(socket, &messages[sent..end], flags) {
            Ok(count) => sent += count,
            Err(error) => return (sent, Some(error)),
        }
    }
    (sent, None)
}

/// At least one and at most [`CHUNK`] messages; at least one is sent.
fn send_chunk(
    socket: BorrowedFd<'_>,
    messages: &[Outgoing<'_>],
    flags: MessageFlags,
) -> Result<usize> {
    let mut pieces = [const { MaybeUninit::<iovec>::uninit() }; CHUNK];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; CHUNK];
    for ((message, piece), header) in messages.iter().zip(&mut pieces).zip(&mut headers) {
        // sendmmsg(2) reads through these pointers and writes through none.
        let iov_base = message.data.as_ptr().cast_mut().cast();
        let piece = piece.write(iovec {
            iov_base,
            iov_len: message.data.len(),
        });
        let mut msg_hdr = empty_header();
        msg_hdr.msg_iov = piece;
        msg_hdr.msg_iovlen = 1;
        if let Some(to) = message.to {
            msg_hdr.msg_name = to.pointer().cast_mut().cast();
            msg_hdr.msg_namelen = to.length();
        }
        header.write(mmsghdr {
            msg_hdr,
            msg_len: 0,
        });
    }
    let mut send = |flags: c_int| {
        // SAFETY: the first `messages.len()` headers are written, and each pointer in them is null or of a
        // live object with the length beside it.
        check(unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                messages.len() as c_uint,
                flags as _,
            )
        })
    };
    let numbers = sending(flags);
    let sent = match send(numbers) {
        Err(errno) if refuses_nosignal(socket, errno) => send(numbers & !libc::MSG_NOSIGNAL),
        sent => sent,
    }?;
    Ok(sent as usize)
}

/// What a [`recv_batch`] needs besides the slab, kept from call to call so that none allocates.
#[derive(Default)]
pub struct BatchScratch {
    headers: Vec<mmsghdr>,
    pieces: Vec<iovec>,
    sources: Vec<EncodedAddress>,
    control: Vec<u64>,
}

// SAFETY: the raw pointers in headers and pieces mean something only within one call, which writes all of
// them anew before the kernel sees them.
unsafe impl Send for BatchScratch {}
// SAFETY: likewise, and a shared reference reads none of them.
unsafe impl Sync for BatchScratch {}

/// recvmmsg(2), for a socket of the type `kind`: takes what is there, up to `count` messages
/// ([`MAXIMUM_COUNT`] at most) of at most `max_each` bytes, and appends their bytes to `slab`, one after
/// the other. It reserves `count * max_each` bytes, which the caller has bounded. Control data has
/// `control_capacity` bytes for each message, and 1 MiB in all.
///
/// # Errors
/// `again` where nothing is there. An error after the first message is told by the next call.
#[allow(
    clippy::too_many_arguments,
    reason = "recvmmsg has them, and the caller keeps the buffers"
)]
pub fn recv_batch(
    socket: BorrowedFd<'_>,
    kind: Kind,
    slab: &mut BytesMut,
    count: usize,
    max_each: usize,
    control_capacity: usize,
    flags: MessageFlags,
    scratch: &mut BatchScratch,
) -> Result<Vec<BatchHead>> {
    let count = count.min(MAXIMUM_COUNT);
    if count == 0 {
        return Ok(Vec::new());
    }
    let total = count.checked_mul(max_each).ok_or(Errno::NOBUFS)?;
    let start = slab.len();
    slab.reserve(total);
    let spare = &mut slab.spare_capacity_mut()[..total];
    if flags.contains(MessageFlags::TRUNC) {
        // See `message::room`.
        spare.fill(MaybeUninit::new(0));
    }
    let base = spare.as_mut_ptr().cast::<u8>();
    let capacity = control_capacity
        .min(cmsg::MAXIMUM_LENGTH)
        .min(CONTROL_TOTAL / count);
    scratch.prepare(base, count, max_each, capacity);
    // SAFETY: `prepare` wrote `count` headers whose pointers have the room that the length beside each
    // says: disjoint parts of the slab's spare capacity and of the scratch, which stay where they are.
    let received = check(unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            scratch.headers.as_mut_ptr(),
            count as c_uint,
            receiving(kind, flags) as _,
            ptr::null_mut(),
        )
    })? as usize;

    let mut heads = Vec::with_capacity(received);
    let mut end = 0;
    for index in 0..received {
        // SAFETY: the kernel has just stored this message, and it is taken this once.
        let head = unsafe { scratch.take(kind.family, index, max_each, capacity) };
        if end != index * max_each {
            // SAFETY: both lie within the `total` bytes of spare capacity; they may overlap.
            unsafe { ptr::copy(base.add(index * max_each), base.add(end), head.length) };
        }
        end += head.length;
        heads.push(head);
    }
    // SAFETY: the `end` bytes behind `start` were stored by the kernel and moved together.
    unsafe { slab.set_len(start + end) };
    Ok(heads)
}

impl BatchScratch {
    /// Writes the headers of `count` messages whose bytes go to `base`, `max_each` apart.
    fn prepare(&mut self, base: *mut u8, count: usize, max_each: usize, control_capacity: usize) {
        let words = control_capacity.div_ceil(size_of::<u64>());
        if self.sources.len() < count {
            self.sources.resize(count, EncodedAddress::empty());
        }
        if self.control.len() < words * count {
            self.control.resize(words * count, 0);
        }
        self.pieces.clear();
        self.headers.clear();
        self.pieces.extend((0..count).map(|index| iovec {
            // Within the slab: `base` has `count * max_each` bytes.
            iov_base: base.wrapping_add(index * max_each).cast(),
            iov_len: max_each,
        }));
        let pieces = self.pieces.as_mut_ptr();
        let control = self.control.as_mut_ptr();
        for (index, source) in self.sources[..count].iter_mut().enumerate() {
            let mut msg_hdr = empty_header();
            msg_hdr.msg_name = source.pointer_mut().cast();
            msg_hdr.msg_namelen = CAPACITY as socklen_t;
            msg_hdr.msg_iov = pieces.wrapping_add(index);
            msg_hdr.msg_iovlen = 1;
            if words > 0 {
                msg_hdr.msg_control = control.wrapping_add(index * words).cast();
                msg_hdr.msg_controllen = control_capacity as _;
            }
            self.headers.push(mmsghdr {
                msg_hdr,
                msg_len: 0,
            });
        }
    }

    /// The head of message `index`.
    ///
    /// # Safety
    /// The kernel stored it in the call that [`Self::prepare`] prepared, and it was not taken yet.
    unsafe fn take(
        &mut self,
        family: Family,
        index: usize,
        max_each: usize,
        control_capacity: usize,
    ) -> BatchHead {
        let mmsghdr {
            msg_hdr: header,
            msg_len,
        } = &self.headers[index];
        let true_length = *msg_len as usize;
        let mut source = self.sources[index];
        source.set_length(header.msg_namelen);
        let control = match control_length(header, control_capacity) {
            0 => Vec::new(),
            // SAFETY: the kernel stored this many bytes at this place of `self.control`, which is
            // initialised; the caller vouches that they are decoded this once.
            stored => unsafe {
                let bytes = std::slice::from_raw_parts(header.msg_control.cast::<u8>(), stored);
                ControlIn::decode_all(family, bytes)
            },
        };
        BatchHead {
            length: true_length.min(max_each),
            true_length,
            flags: ReceivedFlags::from_numbers(header.msg_flags),
            source: Some(source).filter(|source| !source.is_empty()),
            control,
        }
    }
}

#[cfg(test)]
mod tests;
