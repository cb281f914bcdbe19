//! Sending and receiving: send(2), recv(2).
//!
//! None of these waits (MSG_DONTWAIT), raises a signal (MSG_NOSIGNAL), or lets a descriptor through exec
//! (MSG_CMSG_CLOEXEC). Receives append to a [`BytesMut`]; after an error it is as it was.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use bytes::BytesMut;
use libc::{c_int, msghdr, socklen_t};
use sockgate_policy::{Family, Kind, MessageFlags};

use super::address::CAPACITY;
use super::cmsg::{self, Control, ControlIn};
use super::{EncodedAddress, Errno, Result, check_count, kind, option, qipcrtr};

/// Flags of every send.
const SENDING: c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
/// Flags of every receive.
const RECEIVING: c_int = libc::MSG_DONTWAIT;

/// MSG_PROXY, which libc does not name.
const MSG_PROXY: c_int = 0x10;

/// Each flag with Linux's number; those that every call has are left out.
const FLAGS: &[(MessageFlags, c_int)] = &[
    (MessageFlags::OOB, libc::MSG_OOB),
    (MessageFlags::PEEK, libc::MSG_PEEK),
    (MessageFlags::DONTROUTE, libc::MSG_DONTROUTE),
    (MessageFlags::WAITALL, libc::MSG_WAITALL),
    (MessageFlags::TRUNC, libc::MSG_TRUNC),
    (MessageFlags::MORE, libc::MSG_MORE),
    (MessageFlags::EOR, libc::MSG_EOR),
    (MessageFlags::ERRQUEUE, libc::MSG_ERRQUEUE),
    (MessageFlags::FASTOPEN, libc::MSG_FASTOPEN),
    (MessageFlags::CONFIRM, libc::MSG_CONFIRM),
    (MessageFlags::ZEROCOPY, libc::MSG_ZEROCOPY),
    (MessageFlags::PROXY, MSG_PROXY),
];

/// Linux's numbers of `flags`.
fn numbers(flags: MessageFlags) -> c_int {
    if flags.is_empty() {
        return 0;
    }
    FLAGS
        .iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .fold(0, |sum, (_, number)| sum | number)
}

/// The flags of a send.
pub(super) fn sending(flags: MessageFlags) -> c_int {
    numbers(flags) | SENDING
}

/// Whether a send failed for nothing but MSG_NOSIGNAL, which RDS and QRTR refuse. They raise no signal.
pub(super) fn refuses_nosignal(socket: BorrowedFd<'_>, errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::OPNOTSUPP)
        && option::get_int(socket, libc::SOL_SOCKET, libc::SO_DOMAIN)
            .is_ok_and(|domain| matches!(domain, libc::AF_RDS | qipcrtr::AF_QIPCRTR))
}

/// Sends with the flags of every send and these.
#[inline]
fn send_quietly(
    socket: BorrowedFd<'_>,
    flags: MessageFlags,
    send: impl Fn(c_int) -> Result<usize>,
) -> Result<usize> {
    let numbers = sending(flags);
    match send(numbers) {
        Err(errno) if refuses_nosignal(socket, errno) => send(numbers & !libc::MSG_NOSIGNAL),
        sent => sent,
    }
}

/// The flags of a receive. Where messages have boundaries the kernel is asked for their true length, and
/// where descriptors come with them for those that are closed on exec. Packet sockets, ISO-TP and J1939
/// refuse flags that they do not know.
pub(super) fn receiving(kind: Kind, flags: MessageFlags) -> c_int {
    const J1939: u32 = 7;
    let length = match kind.family {
        // Its receives answer the true length anyway.
        Family::Can if kind.protocol == J1939 => 0,
        _ if kind::has_messages(kind.socket_type) => libc::MSG_TRUNC,
        _ => 0,
    };
    let descriptors = match kind.family {
        Family::Unix => libc::MSG_CMSG_CLOEXEC,
        _ => 0,
    };
    numbers(flags) | RECEIVING | length | descriptors
}

bitflags::bitflags! {
    /// What the kernel says of a received message, recvmsg(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct ReceivedFlags: u32 {
        /// MSG_EOR: the end of a record.
        const EOR = libc::MSG_EOR as u32;
        /// MSG_TRUNC: the message was cut.
        const TRUNC = libc::MSG_TRUNC as u32;
        /// MSG_CTRUNC: ancillary data was cut.
        const CTRUNC = libc::MSG_CTRUNC as u32;
        /// MSG_OOB: out-of-band data.
        const OOB = libc::MSG_OOB as u32;
        /// MSG_ERRQUEUE: from the error queue.
        const ERRQUEUE = libc::MSG_ERRQUEUE as u32;
        /// MSG_DONTROUTE: on CAN, sent by this host.
        const DONTROUTE = libc::MSG_DONTROUTE as u32;
        /// MSG_CONFIRM: on CAN, sent by this socket.
        const CONFIRM = libc::MSG_CONFIRM as u32;
        /// MSG_NOTIFICATION: on SCTP, an event.
        const NOTIFICATION = 0x8000;
    }
}

impl ReceivedFlags {
    /// Those among the numbers that recvmsg(2) stored.
    pub(super) fn from_numbers(numbers: c_int) -> Self {
        Self::from_bits_truncate(numbers as u32)
    }
}

/// A received datagram; its bytes are in the buffer.
#[derive(Debug)]
pub struct Datagram {
    /// Bytes that were stored.
    pub length: usize,
    /// The message's own length.
    pub true_length: usize,
    /// The sender; none where the protocol gives none.
    pub source: Option<EncodedAddress>,
}

/// A received message; its bytes are in the buffer.
#[derive(Debug)]
pub struct Incoming {
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

/// send(2): bytes taken.
pub fn send(socket: BorrowedFd<'_>, data: &[u8], flags: MessageFlags) -> Result<usize> {
    send_quietly(socket, flags, |flags| {
        // SAFETY: the pointer and the length are of one live slice.
        check_count(unsafe {
            libc::send(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), flags)
        })
    })
}

/// sendto(2)
pub fn send_to(
    socket: BorrowedFd<'_>,
    data: &[u8],
    flags: MessageFlags,
    to: &EncodedAddress,
) -> Result<usize> {
    send_quietly(socket, flags, |flags| {
        // SAFETY: each pointer and its length are of one live object.
        check_count(unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                data.as_ptr().cast(),
                data.len(),
                flags,
                to.pointer(),
                to.length(),
            )
        })
    })
}

/// sendmsg(2): the pieces one after the other, beside ancillary data. More than 1024 pieces (IOV_MAX)
/// answer `msgsize`.
pub fn send_message(
    socket: BorrowedFd<'_>,
    pieces: &[IoSlice<'_>],
    control: Option<&Control<'_>>,
    to: Option<&EncodedAddress>,
    flags: MessageFlags,
) -> Result<usize> {
    let mut header = empty_header();
    // sendmsg(2) reads through all of these and writes through none.
    header.msg_iov = pieces.as_ptr().cast_mut().cast();
    header.msg_iovlen = pieces.len() as _;
    if let Some(to) = to {
        header.msg_name = to.pointer().cast_mut().cast();
        header.msg_namelen = to.length();
    }
    if let Some(control) = control
        .map(Control::as_bytes)
        .filter(|bytes| !bytes.is_empty())
    {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len() as _;
    }
    send_quietly(socket, flags, |flags| {
        // SAFETY: every pointer in the header is null or of one live object with the length beside it;
        // `IoSlice` has the layout of `iovec` (std guarantees it).
        check_count(unsafe { libc::sendmsg(socket.as_raw_fd(), &header, flags) })
    })
}

/// A header with nothing in it.
pub(super) fn empty_header() -> msghdr {
    // SAFETY: null pointers and zero lengths are a valid header.
    unsafe { std::mem::zeroed() }
}

/// Bytes of control data that a receive with room for `capacity` of them stored.
#[allow(
    clippy::unnecessary_cast,
    reason = "musl has another type for it than glibc"
)]
pub(super) fn control_length(header: &msghdr, capacity: usize) -> usize {
    (header.msg_controllen as usize).min(capacity)
}

/// Spare capacity for at most `max` bytes: where it begins, and how much of it there is.
///
/// With MSG_TRUNC from the guest, TCP counts bytes that it throws away and does not store: the room is
/// then filled with zeros, so that what is counted is never old memory of the host.
fn room(buffer: &mut BytesMut, max: usize, flags: MessageFlags) -> (*mut u8, usize) {
    buffer.reserve(max);
    let spare = &mut buffer.spare_capacity_mut()[..max];
    if flags.contains(MessageFlags::TRUNC) {
        spare.fill(std::mem::MaybeUninit::new(0));
    }
    (spare.as_mut_ptr().cast(), max)
}

/// Counts `stored` more bytes to the buffer.
///
/// # Safety
/// They are there: the kernel stored them, or [`room`] filled them.
unsafe fn grow(buffer: &mut BytesMut, stored: usize) {
    // SAFETY: the caller vouches for the bytes, which `room` reserved.
    unsafe { buffer.set_len(buffer.len() + stored) }
}

/// recv(2): at most `max` bytes behind what the buffer has; 0 at the end of a stream.
pub fn recv(
    socket: BorrowedFd<'_>,
    buffer: &mut BytesMut,
    max: usize,
    flags: MessageFlags,
) -> Result<usize> {
    let (pointer, room) = room(buffer, max, flags);
    // SAFETY: the pointer has `room` bytes of room.
    let length = check_count(unsafe {
        libc::recv(
            socket.as_raw_fd(),
            pointer.cast(),
            room,
            numbers(flags) | RECEIVING,
        )
    })?
    .min(max);
    // SAFETY: the kernel stored `length` bytes, or `room` filled them.
    unsafe { grow(buffer, length) };
    Ok(length)
}

/// recvfrom(2), for a socket of this kind.
pub fn recv_from(
    socket: BorrowedFd<'_>,
    kind: Kind,
    buffer: &mut BytesMut,
    max: usize,
    flags: MessageFlags,
) -> Result<Datagram> {
    let (pointer, room) = room(buffer, max, flags);
    let mut source = EncodedAddress::empty();
    let mut source_length = CAPACITY as socklen_t;
    // SAFETY: the pointer has `room` bytes of room, the address `source_length`.
    let true_length = check_count(unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            pointer.cast(),
            room,
            receiving(kind, flags),
            source.pointer_mut(),
            &mut source_length,
        )
    })?;
    source.set_length(source_length);
    let length = true_length.min(max);
    // SAFETY: the kernel stored `length` bytes, or `room` filled them.
    unsafe { grow(buffer, length) };
    let source = Some(source).filter(|source| !source.is_empty());
    Ok(Datagram {
        length,
        true_length,
        source,
    })
}

/// Words of control data that fit the stack.
const STACK_WORDS: usize = 64;

/// recvmsg(2), for a socket of this kind, with room for `control_capacity` bytes of control
/// data (CMSG_SPACE; [`cmsg::MAXIMUM_LENGTH`] at most). What does not fit is closed or forgotten by the
/// kernel, which says [`ReceivedFlags::CTRUNC`].
pub fn recv_message(
    socket: BorrowedFd<'_>,
    kind: Kind,
    buffer: &mut BytesMut,
    max: usize,
    control_capacity: usize,
    flags: MessageFlags,
) -> Result<Incoming> {
    let control_capacity = control_capacity.min(cmsg::MAXIMUM_LENGTH);
    let words = control_capacity.div_ceil(size_of::<u64>());
    let mut near = [0u64; STACK_WORDS];
    let mut far = Vec::new();
    let control = match words {
        ..=STACK_WORDS => near.as_mut_ptr(),
        _ => {
            far.resize(words, 0u64);
            far.as_mut_ptr()
        }
    };
    let (pointer, room) = room(buffer, max, flags);
    let mut piece = libc::iovec {
        iov_base: pointer.cast(),
        iov_len: room,
    };
    let mut source = EncodedAddress::empty();
    let mut header = empty_header();
    header.msg_name = source.pointer_mut().cast();
    header.msg_namelen = CAPACITY as socklen_t;
    header.msg_iov = &mut piece;
    header.msg_iovlen = 1;
    header.msg_control = if words == 0 {
        ptr::null_mut()
    } else {
        control.cast()
    };
    header.msg_controllen = control_capacity as _;
    // SAFETY: every pointer in the header has the room that the length beside it says.
    let true_length = check_count(unsafe {
        libc::recvmsg(socket.as_raw_fd(), &mut header, receiving(kind, flags))
    })?;
    source.set_length(header.msg_namelen);
    let stored = control_length(&header, control_capacity);
    // SAFETY: the words were zeroed and have `stored` bytes; the kernel has just written them, and they
    // are decoded this once.
    let control = unsafe {
        let bytes = std::slice::from_raw_parts(control.cast::<u8>(), stored);
        ControlIn::decode_all(kind.family, bytes)
    };
    let length = true_length.min(max);
    // SAFETY: the kernel stored `length` bytes, or `room` filled them.
    unsafe { grow(buffer, length) };
    Ok(Incoming {
        length,
        true_length,
        flags: ReceivedFlags::from_numbers(header.msg_flags),
        source: Some(source).filter(|source| !source.is_empty()),
        control,
    })
}

#[cfg(test)]
mod tests;
