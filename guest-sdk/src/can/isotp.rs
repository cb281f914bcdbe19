//! ISO 15765-2: CAN_ISOTP, linux/can/isotp.h.

use std::io;
use std::time::Duration;

use super::{CanAddress, CanId};
use crate::consts::{
    CAN_ISOTP_EXTEND_ADDR, CAN_ISOTP_LL_OPTS, CAN_ISOTP_OPTS, CAN_ISOTP_RECV_FC,
    CAN_ISOTP_RX_EXT_ADDR, CAN_ISOTP_RX_PADDING, CAN_ISOTP_RX_STMIN, CAN_ISOTP_TX_PADDING,
    CAN_ISOTP_TX_STMIN, SOL_CAN_ISOTP,
};
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType};
use crate::wire::unfit;

/// How an ISO-TP channel behaves: struct can_isotp_options. The default is the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsoTpOptions {
    /// `CAN_ISOTP_*` bits ([`consts`](crate::consts)); those of the fields below are set by themselves.
    pub flags: u32,
    /// How long one frame takes on the bus (N_As, N_Ar), up to 4 s.
    pub frame_time: Duration,
    /// Extended addressing: the byte that leads each frame.
    pub extended_address: Option<u8>,
    /// Pads frames that are sent with this byte.
    pub transmit_padding: Option<u8>,
    /// The byte that received frames are padded with.
    pub receive_padding: Option<u8>,
    /// The leading byte of received frames, where it is another one.
    pub receive_extended_address: Option<u8>,
}

impl Default for IsoTpOptions {
    fn default() -> Self {
        Self {
            flags: 0,
            frame_time: Duration::from_micros(50),
            extended_address: None,
            transmit_padding: None,
            receive_padding: None,
            receive_extended_address: None,
        }
    }
}

/// The byte that stands for "not padded" (CAN_ISOTP_DEFAULT_PAD_CONTENT).
const PAD: u8 = 0xcc;

impl IsoTpOptions {
    /// The options as a struct can_isotp_options.
    pub fn encode(&self) -> io::Result<[u8; 12]> {
        let bit = |value: Option<u8>, bit| if value.is_some() { bit } else { 0 };
        let flags = self.flags
            | bit(self.extended_address, CAN_ISOTP_EXTEND_ADDR)
            | bit(self.transmit_padding, CAN_ISOTP_TX_PADDING)
            | bit(self.receive_padding, CAN_ISOTP_RX_PADDING)
            | bit(self.receive_extended_address, CAN_ISOTP_RX_EXT_ADDR);
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&flags.to_le_bytes());
        bytes[4..8].copy_from_slice(&nanoseconds(self.frame_time)?.to_le_bytes());
        bytes[8] = self.extended_address.unwrap_or(0);
        bytes[9] = self.transmit_padding.unwrap_or(PAD);
        bytes[10] = self.receive_padding.unwrap_or(PAD);
        bytes[11] = self.receive_extended_address.unwrap_or(0);
        Ok(bytes)
    }
}

fn nanoseconds(time: Duration) -> io::Result<u32> {
    u32::try_from(time.as_nanos())
        .map_err(|_| unfit(format!("{time:?} does not fit: at most 4.29 s here")))
}

/// What this side asks of senders: struct can_isotp_fc_options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsoTpFlowControl {
    /// How many frames may come between two flow controls; 0 is any number.
    pub block_size: u8,
    /// The least time between frames: 0 to 0x7f in milliseconds, 0xf1 to 0xf9 in 100 microseconds.
    pub separation: u8,
    /// How many wait frames are allowed.
    pub wait_frames: u8,
}

/// The frames that carry the channel: struct can_isotp_ll_options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsoTpLinkLayer {
    /// 16 for classic frames, 72 for CAN FD.
    pub frame_size: u8,
    /// Payload of a sent frame: 8, 12, 16, 20, 24, 32, 48 or 64.
    pub data_length: u8,
    /// CANFD_* flags of sent frames.
    pub flags: u8,
}

impl Default for IsoTpLinkLayer {
    fn default() -> Self {
        Self {
            frame_size: 16,
            data_length: 8,
            flags: 0,
        }
    }
}

/// An ISO-TP channel: messages of up to 4095 bytes (more where the kernel allows it) over CAN frames.
///
/// ```no_run
/// use sockgate_guest::can::{CanId, IsoTpSocket};
///
/// let channel = IsoTpSocket::open("can0", CanId::Standard(0x7e8), CanId::Standard(0x7e0))?;
/// channel.send(&[0x09, 0x02])?;
/// println!("{:x?}", channel.recv_vec(4095)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct IsoTpSocket {
    socket: Socket,
}

data_socket! { IsoTpSocket }

impl IsoTpSocket {
    /// A channel that receives frames with the id `rx` and sends with `tx`. Policy: `bind` with interface
    /// and both ids.
    ///
    /// socket(2), bind(2). Errors: `EACCES` without a grant, `ENODEV` without the interface,
    /// `EADDRNOTAVAIL` for ids that are equal or no ids.
    pub fn open(interface: &str, rx: CanId, tx: CanId) -> io::Result<Self> {
        let channel = Self::unbound()?;
        channel.bind(interface, rx, tx)?;
        Ok(channel)
    }

    /// A channel that is not bound: options must be set on it before [`bind`](Self::bind).
    ///
    /// socket(2). Policy: some rule for `can` with `protocol = ["isotp"]`. Errors: `EACCES`, `EAFNOSUPPORT`
    /// without CAN.
    pub fn unbound() -> io::Result<Self> {
        Ok(Socket::new(Family::Can, SocketType::Datagram, Protocol::CanIsotp)?.into())
    }

    /// Binds it, and begins to receive.
    ///
    /// bind(2). Policy: `bind` with the interface and both ids (`isotp`). Errors: `EACCES`, `ENODEV`,
    /// `EISCONN` for a second time.
    pub fn bind(&self, interface: &str, rx: CanId, tx: CanId) -> io::Result<()> {
        self.socket.bind(CanAddress::isotp(interface, rx, tx))
    }

    /// CAN_ISOTP_OPTS, before bind.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EISCONN` after bind.
    pub fn set_options(&self, options: &IsoTpOptions) -> io::Result<()> {
        self.set(CAN_ISOTP_OPTS, &options.encode()?)
    }

    /// CAN_ISOTP_RECV_FC, before bind.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EISCONN` after bind.
    pub fn set_flow_control(&self, options: &IsoTpFlowControl) -> io::Result<()> {
        let value = [options.block_size, options.separation, options.wait_frames];
        self.set(CAN_ISOTP_RECV_FC, &value)
    }

    /// CAN_ISOTP_LL_OPTS, before bind.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EISCONN` after bind, `EINVAL` for a length that the
    /// link does not have.
    pub fn set_link_layer(&self, options: &IsoTpLinkLayer) -> io::Result<()> {
        let value = [options.frame_size, options.data_length, options.flags];
        self.set(CAN_ISOTP_LL_OPTS, &value)
    }

    /// CAN_ISOTP_TX_STMIN: the time between sent frames, whatever the receiver asks for.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EISCONN` after bind.
    pub fn set_send_separation(&self, time: Duration) -> io::Result<()> {
        self.set(CAN_ISOTP_TX_STMIN, &nanoseconds(time)?.to_le_bytes())
    }

    /// CAN_ISOTP_RX_STMIN: frames that come sooner after each other are ignored.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EISCONN` after bind.
    pub fn set_receive_separation(&self, time: Duration) -> io::Result<()> {
        self.set(CAN_ISOTP_RX_STMIN, &nanoseconds(time)?.to_le_bytes())
    }

    fn set(&self, option: i32, value: &[u8]) -> io::Result<()> {
        self.socket.set_raw_option(SOL_CAN_ISOTP, option, value)
    }

    /// Sends a message: its frames go out as the receiver allows. With CAN_ISOTP_WAIT_TX_DONE it waits
    /// until they are out.
    ///
    /// send(2). Policy: part of `bind`. Errors: `ECOMM` where the receiver is silent, `EBADMSG` where it
    /// breaks the protocol.
    pub fn send(&self, message: &[u8]) -> io::Result<usize> {
        self.socket.send(message)
    }

    /// Receives a message into a buffer: how many bytes.
    ///
    /// recv(2). Policy: part of `bind`. Errors: `ETIMEDOUT` where the rest of a message does not come.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// Receives a message of at most `max` bytes.
    ///
    /// recv(2). Policy: part of `bind`. Errors: as [`recv`](Self::recv).
    pub fn recv_vec(&self, max: usize) -> io::Result<Vec<u8>> {
        self.socket.recv_vec(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_switched_on() {
        let options = IsoTpOptions {
            transmit_padding: Some(0x55),
            extended_address: Some(0xf1),
            ..IsoTpOptions::default()
        };
        let bytes = [6, 0, 0, 0, 0x50, 0xc3, 0, 0, 0xf1, 0x55, 0xcc, 0];
        assert_eq!(options.encode().unwrap(), bytes);
        let slow = IsoTpOptions {
            frame_time: Duration::from_secs(5),
            ..options
        };
        assert!(slow.encode().is_err());
    }
}
