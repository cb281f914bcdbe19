//! CAN: frames and the sockets that carry them, Documentation/networking/can.rst.
//!
//! [`CanSocket`] sends and receives frames; [`BcmSocket`] leaves cyclic sending and change detection to
//! the kernel; [`IsoTpSocket`] carries messages of up to 4095 bytes and more; [`J1939Socket`] speaks what
//! trucks and ships speak. A policy names interfaces and the ids that may be sent and received; what it
//! hides never arrives.

mod bcm;
mod embedded;
mod frame;
mod isotp;
mod j1939;
mod larger;

use std::io;

pub use crate::address::{CanAddress, CanEndpoint, CanId, IsotpAddress, J1939Address};
pub use bcm::{BcmFlags, BcmMessage, BcmOperation, BcmSocket};
pub use frame::{AnyCanFrame, CLASSIC_SIZE, CanFrame};
pub use isotp::{IsoTpFlowControl, IsoTpLinkLayer, IsoTpOptions, IsoTpSocket};
pub use j1939::{J1939Filter, J1939Message, J1939Socket};
pub use larger::{CanFdFrame, CanXlFrame, FD_SIZE, XL_SIZE};

use crate::ancillary::{AncillaryIn, Timestamp, space};
use crate::consts::{
    CAN_EFF_FLAG, CAN_INV_FILTER, CAN_RAW_ERR_FILTER, CAN_RAW_FD_FRAMES, CAN_RAW_FILTER,
    CAN_RAW_JOIN_FILTERS, CAN_RAW_LOOPBACK, CAN_RAW_RECV_OWN_MSGS, CAN_RAW_XL_FRAMES, CAN_RTR_FLAG,
    SOL_CAN_RAW,
};
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{Family, MessageFlags, Protocol, SocketType};
use crate::wire::malformed;

/// Control data that one received message may bring: a time stamp of three parts, a drop count, and room.
const ANCILLARY: u32 = space(48) + 3 * space(16);

/// Which frames a socket hears: those whose identifier, under the mask, equals the filter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CanFilter {
    id: u32,
    mask: u32,
}

impl CanFilter {
    /// Data frames with exactly this identifier.
    pub fn exact(id: CanId) -> Self {
        Self::masked(id, u32::MAX)
    }

    /// Data frames whose identifier equals `id` in the bits of `mask`, in the same format (11 or 29 bits).
    pub fn masked(id: CanId, mask: u32) -> Self {
        let bits = if id.is_extended() { 0x1fff_ffff } else { 0x7ff };
        Self {
            id: frame::id_word(id),
            mask: mask & bits | CAN_EFF_FLAG | CAN_RTR_FLAG,
        }
    }

    /// Remote requests instead of data frames.
    pub fn remote(mut self) -> Self {
        self.id |= CAN_RTR_FLAG;
        self
    }

    /// Every frame.
    pub fn any() -> Self {
        Self { id: 0, mask: 0 }
    }

    /// What the kernel has as can_id and can_mask, flags included.
    pub fn from_raw(id: u32, mask: u32) -> Self {
        Self { id, mask }
    }

    /// The frames that this filter does not let through (CAN_INV_FILTER).
    pub fn inverted(mut self) -> Self {
        self.id ^= CAN_INV_FILTER;
        self
    }

    /// The filter as a struct can_filter.
    pub fn encode(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.id.to_le_bytes());
        bytes[4..].copy_from_slice(&self.mask.to_le_bytes());
        bytes
    }
}

/// A frame with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanReceived {
    /// The frame.
    pub frame: AnyCanFrame,
    /// The interface it came from.
    pub interface: Option<String>,
    /// When, with [`CanSocket::set_timestamps`].
    pub timestamp: Option<Timestamp>,
    /// Whether a socket of this host sent it (MSG_DONTROUTE).
    pub local: bool,
    /// Whether this very socket sent it (MSG_CONFIRM), with [`CanSocket::set_receive_own`].
    pub own: bool,
    /// How many frames this socket lost so far, with [`CanSocket::set_drop_count`].
    pub dropped: Option<u32>,
}

/// A raw CAN socket: CAN_RAW.
///
/// ```no_run
/// use sockgate_guest::can::{CanFilter, CanFrame, CanId, CanSocket};
///
/// let socket = CanSocket::open("vcan0")?;
/// socket.set_filters(&[CanFilter::masked(CanId::Standard(0x100), 0x700)])?;
/// socket.send(CanFrame::new(CanId::Standard(0x123), b"hello")?)?;
/// println!("{}", socket.recv()?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct CanSocket {
    socket: Socket,
}

data_socket! { CanSocket }

impl CanSocket {
    /// A socket on this interface, for classic frames. Policy: `bind` with the interface; `send-to` and
    /// `receive` with the ids.
    ///
    /// socket(2), bind(2). Errors: `EACCES`, `ENODEV` without the interface, `EAFNOSUPPORT` without CAN.
    pub fn open(interface: &str) -> io::Result<Self> {
        Self::bind(&CanAddress::on(interface))
    }

    /// A socket on every CAN interface.
    ///
    /// socket(2), bind(2). Policy: `bind` with `interface = ["*"]`. Errors: as [`open`](Self::open).
    pub fn open_any() -> io::Result<Self> {
        Self::bind(&CanAddress::any())
    }

    /// A socket that is not bound: options that count from the first frame on are set on it.
    ///
    /// socket(2). Policy: some rule for `can`. Errors: `EACCES`, `EAFNOSUPPORT` without CAN.
    pub fn unbound() -> io::Result<Self> {
        Ok(Socket::new(Family::Can, SocketType::Raw, Protocol::CanRaw)?.into())
    }

    fn bind(address: &CanAddress) -> io::Result<Self> {
        let this = Self::unbound()?;
        this.socket.bind(address)?;
        Ok(this)
    }

    /// Sends a frame of any format on the socket's interface. [`Errno::NOBUFS`](crate::Errno::NOBUFS)
    /// where the interface's queue is full.
    ///
    /// send(2). Policy: `send-to` with the interface and the frame's `can-id`.
    pub fn send(&self, frame: impl Into<AnyCanFrame>) -> io::Result<()> {
        self.socket.send(&frame.into().encode())?;
        Ok(())
    }

    /// Sends a frame on this interface, for sockets that are bound to all.
    ///
    /// sendto(2). Policy: `send-to` with that interface and the frame's `can-id`. Errors: `EACCES`,
    /// `ENODEV`, `ENOBUFS`.
    pub fn send_on(&self, interface: &str, frame: impl Into<AnyCanFrame>) -> io::Result<()> {
        let to = CanAddress::on(interface);
        self.socket.send_to(&frame.into().encode(), to)?;
        Ok(())
    }

    /// Receives a classic frame. A socket that was let receive others uses [`recv_any`](Self::recv_any):
    /// here they are [`InvalidData`](io::ErrorKind::InvalidData).
    ///
    /// recv(2). Policy: `receive` with the interface and the frame's `can-id`; others are not shown.
    pub fn recv(&self) -> io::Result<CanFrame> {
        let mut bytes = [0; CLASSIC_SIZE];
        let length = self.socket.recv(&mut bytes)?;
        let frame = bytes.get(..length).and_then(CanFrame::decode);
        frame.ok_or_else(|| malformed("no classic CAN frame: recv_any takes every format"))
    }

    /// Receives a frame of any format.
    ///
    /// recv(2). Policy: as [`recv`](Self::recv). Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn recv_any(&self) -> io::Result<AnyCanFrame> {
        decoded(&self.socket.recv_vec(XL_SIZE)?)
    }

    /// Receives a frame with its interface, its time and the rest of what is known.
    ///
    /// recvmsg(2). Policy: as [`recv`](Self::recv). Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn recv_detailed(&self) -> io::Result<CanReceived> {
        let message = self
            .socket
            .recv_msg(XL_SIZE, ANCILLARY, MessageFlags::empty())?;
        let source = message.source.as_ref().and_then(|source| source.as_can());
        let mut received = CanReceived {
            frame: decoded(&message.data)?,
            interface: source.and_then(|address| address.interface.clone()),
            timestamp: None,
            local: message.flags.contains(MessageFlags::DONT_ROUTE),
            own: message.flags.contains(MessageFlags::CONFIRM),
            dropped: None,
        };
        for ancillary in &message.ancillary {
            match ancillary {
                AncillaryIn::Timestamp(timestamp) => received.timestamp = Some(*timestamp),
                AncillaryIn::DropCount(count) => received.dropped = Some(*count),
                _ => {}
            }
        }
        Ok(received)
    }

    /// Hears only what one of the filters lets through (all of them with
    /// [`set_join_filters`](Self::set_join_filters)), at most 512; none at all lets nothing through.
    /// Policy: what it hides stays hidden.
    ///
    /// CAN_RAW_FILTER, setsockopt(2). Errors: `EINVAL` for more than 512.
    pub fn set_filters(&self, filters: &[CanFilter]) -> io::Result<()> {
        let bytes: Vec<u8> = filters.iter().flat_map(CanFilter::encode).collect();
        self.socket
            .set_raw_option(SOL_CAN_RAW, CAN_RAW_FILTER, &bytes)
    }

    /// Which error frames are heard, as `CAN_ERR_*` bits ([`consts`](crate::consts)); none at first.
    ///
    /// setsockopt(2). Policy: `options.set`; the frames themselves need `can-id = ["err:*"]`.
    pub fn set_error_filter(&self, classes: u32) -> io::Result<()> {
        self.socket
            .set_number(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, classes as i32)
    }

    /// Whether other sockets of this host hear what this one sends; on at first.
    ///
    /// CAN_RAW_LOOPBACK, setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_loopback(&self, on: bool) -> io::Result<()> {
        self.set(CAN_RAW_LOOPBACK, on)
    }

    /// Whether this socket hears what it sends itself; off at first.
    ///
    /// CAN_RAW_RECV_OWN_MSGS, setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_receive_own(&self, on: bool) -> io::Result<()> {
        self.set(CAN_RAW_RECV_OWN_MSGS, on)
    }

    /// Whether a frame must pass all filters instead of one; off at first.
    ///
    /// CAN_RAW_JOIN_FILTERS, setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_join_filters(&self, on: bool) -> io::Result<()> {
        self.set(CAN_RAW_JOIN_FILTERS, on)
    }

    /// Whether CAN FD frames are sent and heard; off at first.
    ///
    /// CAN_RAW_FD_FRAMES, setsockopt(2). Policy: `options.set`. Frames need `fd = true` besides. Errors:
    /// `EACCES`.
    pub fn set_fd_frames(&self, on: bool) -> io::Result<()> {
        self.set(CAN_RAW_FD_FRAMES, on)
    }

    /// Whether CAN XL frames are sent and heard; off at first.
    ///
    /// CAN_RAW_XL_FRAMES, setsockopt(2). Policy: `options.set`. Frames need `xl = true` besides. Errors:
    /// `ENOPROTOOPT` before Linux 6.1.
    pub fn set_xl_frames(&self, on: bool) -> io::Result<()> {
        self.set(CAN_RAW_XL_FRAMES, on)
    }

    /// Whether [`recv_detailed`](Self::recv_detailed) tells the time (SO_TIMESTAMPNS).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_timestamps(&self, on: bool) -> io::Result<()> {
        self.socket.set_receive_timestamp(on)
    }

    /// Whether [`recv_detailed`](Self::recv_detailed) tells how many frames were lost (SO_RXQ_OVFL).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_drop_count(&self, on: bool) -> io::Result<()> {
        self.socket.set_receive_drop_count(on)
    }

    fn set(&self, option: i32, on: bool) -> io::Result<()> {
        self.socket.set_number(SOL_CAN_RAW, option, on.into())
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<CanAddress> {
        self.socket.local_address()?.try_into()
    }
}

fn decoded(bytes: &[u8]) -> io::Result<AnyCanFrame> {
    AnyCanFrame::decode(bytes)
        .ok_or_else(|| malformed(&format!("{} bytes that are no CAN frame", bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_the_kernel_s() {
        let filter = CanFilter::masked(CanId::Standard(0x123), 0xffff_ff00);
        assert_eq!(filter, CanFilter::from_raw(0x123, 0xc000_0700));
        let filter = CanFilter::exact(CanId::Extended(0x12)).inverted();
        assert_eq!(filter, CanFilter::from_raw(0xa000_0012, 0xdfff_ffff));
        assert_eq!(
            CanFilter::exact(CanId::Standard(1)).remote().encode(),
            [1, 0, 0, 0x40, 0xff, 7, 0, 0xc0]
        );
    }
}
