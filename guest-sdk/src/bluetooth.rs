//! Bluetooth: L2CAP, RFCOMM, SCO and HCI, as BlueZ's lib/bluetooth.h and its kin have them.
//!
//! A policy names the protocol, the devices, multiplexers (`psm`) and channels.

use std::io;

pub use crate::address::{
    ANY_DEVICE, BluetoothAddressType, BluetoothDevice, HciAddress, L2capAddress, RfcommAddress,
    ScoAddress, parse_device,
};
use crate::consts::{
    BT_DEFER_SETUP, BT_MODE, BT_POWER, BT_RCVMTU, BT_SECURITY, BT_SNDMTU, BT_VOICE, HCI_DATA_DIR,
    HCI_FILTER, HCI_TIME_STAMP, L2CAP_OPTIONS, SCO_OPTIONS, SOL_BLUETOOTH, SOL_HCI, SOL_L2CAP,
    SOL_SCO,
};
use crate::convenience::BACKLOG;
use crate::shape::{data_socket, every_socket, listener, stream_socket};
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType};
use crate::wire::{Fields, malformed};

fn new_socket(socket_type: SocketType, protocol: Protocol) -> io::Result<Socket> {
    Socket::new(Family::Bluetooth, socket_type, protocol)
}

/// The names of both ends.
macro_rules! ends {
    ($type:ident, $address:ident) => {
        impl $type {
            /// The address of this end.
            ///
            /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.socket.local_address()?.try_into()
            }

            /// The address of the other end.
            ///
            /// getpeername(2). Policy: part of what connected it. Errors: `ENOTCONN`.
            pub fn peer_addr(&self) -> io::Result<$address> {
                self.socket.peer_address()?.try_into()
            }
        }
    };
}

/// A server's `bind`, `accept` and name.
macro_rules! server {
    ($type:ident, $connection:ident, $address:ident, $socket_type:ident, $protocol:ident) => {
        impl $type {
            /// Binds ([`ANY_DEVICE`] is every controller) and listens. Policy: `listen` with the local
            /// address.
            ///
            /// socket(2), bind(2), listen(2). Errors: `EACCES`, `EADDRINUSE`, `EADDRNOTAVAIL` for another
            /// controller's address.
            pub fn bind(address: $address) -> io::Result<Self> {
                let socket = new_socket(SocketType::$socket_type, Protocol::$protocol)?;
                socket.bind(address)?;
                socket.listen(BACKLOG)?;
                Ok(socket.into())
            }

            /// Waits for a connection, and tells who it comes from.
            ///
            /// accept(2). Policy: part of `listen`; peers that the rule does not name are reset and not
            /// reported. Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking), `EMFILE` at the policy's limit.
            pub fn accept(&self) -> io::Result<($connection, $address)> {
                let (socket, peer) = self.socket.accept()?;
                Ok((socket.into(), peer.try_into()?))
            }

            /// The address it is bound to.
            ///
            /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.socket.local_address()?.try_into()
            }
        }
    };
}

/// Messages of a connection that keeps their bounds.
macro_rules! messages {
    ($type:ident) => {
        impl $type {
            /// Sends a message.
            ///
            /// send(2). Policy: part of `connect`, `listen` or `bind`. Errors: `EMSGSIZE` above the MTU,
            /// `ENOTCONN`.
            pub fn send(&self, message: &[u8]) -> io::Result<usize> {
                self.socket.send(message)
            }

            /// Receives a message: how many bytes of it are in the buffer; 0 at the end.
            ///
            /// recv(2). Policy: part of `connect`, `listen` or `bind`. Errors: `ETIMEDOUT`, `ECONNRESET`.
            pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.socket.recv(buffer)
            }
        }
    };
}

/// Options that every connected Bluetooth socket has.
impl Socket {
    /// BT_SECURITY: the level (`BT_SECURITY_*` in [`consts`](crate::consts)) that a connection needs.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EINVAL` for a level that the link does not have.
    pub fn set_bluetooth_security(&self, level: u8) -> io::Result<()> {
        self.set_raw_option(SOL_BLUETOOTH, BT_SECURITY, &[level, 0])
    }

    /// BT_SECURITY
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `ENOPROTOOPT` on other sockets.
    pub fn bluetooth_security(&self) -> io::Result<u8> {
        let value = self.raw_option(SOL_BLUETOOTH, BT_SECURITY, 2)?;
        value
            .first()
            .copied()
            .ok_or_else(|| malformed("no security level"))
    }

    /// BT_DEFER_SETUP: whether a connection waits for its first receive before it is confirmed.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EINVAL` once it is connected.
    pub fn set_bluetooth_defer_setup(&self, on: bool) -> io::Result<()> {
        self.set_number(SOL_BLUETOOTH, BT_DEFER_SETUP, on.into())
    }

    /// BT_SNDMTU in bytes.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `ENOTCONN`.
    pub fn bluetooth_send_mtu(&self) -> io::Result<u16> {
        self.channel_mtu(BT_SNDMTU)
    }

    /// BT_RCVMTU in bytes.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`.
    pub fn bluetooth_receive_mtu(&self) -> io::Result<u16> {
        self.channel_mtu(BT_RCVMTU)
    }

    /// Sets BT_RCVMTU, before connecting or listening.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EISCONN`, `EPERM` on a classic link.
    pub fn set_bluetooth_receive_mtu(&self, mtu: u16) -> io::Result<()> {
        self.set_raw_option(SOL_BLUETOOTH, BT_RCVMTU, &mtu.to_le_bytes())
    }

    /// BT_POWER: whether the link stays active (`BT_POWER_FORCE_ACTIVE_*` in [`consts`](crate::consts)).
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn bluetooth_power(&self) -> io::Result<u8> {
        self.fixed(SOL_BLUETOOTH, BT_POWER).map(|[power]| power)
    }

    /// Sets [`bluetooth_power`](Self::bluetooth_power).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_bluetooth_power(&self, power: u8) -> io::Result<()> {
        self.set_raw_option(SOL_BLUETOOTH, BT_POWER, &[power])
    }

    /// BT_MODE of an L2CAP socket (`BT_MODE_*` in [`consts`](crate::consts)).
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn bluetooth_mode(&self) -> io::Result<u8> {
        self.fixed(SOL_BLUETOOTH, BT_MODE).map(|[mode]| mode)
    }

    /// Sets [`bluetooth_mode`](Self::bluetooth_mode), before connecting or listening.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_bluetooth_mode(&self, mode: u8) -> io::Result<()> {
        self.set_raw_option(SOL_BLUETOOTH, BT_MODE, &[mode])
    }

    /// BT_VOICE of an SCO socket: how speech is coded (`BT_VOICE_*` in [`consts`](crate::consts)).
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn bluetooth_voice(&self) -> io::Result<u16> {
        self.fixed(SOL_BLUETOOTH, BT_VOICE).map(u16::from_le_bytes)
    }

    /// Sets [`bluetooth_voice`](Self::bluetooth_voice), before connecting.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_bluetooth_voice(&self, voice: u16) -> io::Result<()> {
        self.set_raw_option(SOL_BLUETOOTH, BT_VOICE, &voice.to_le_bytes())
    }

    fn channel_mtu(&self, name: i32) -> io::Result<u16> {
        let value = self.raw_option(SOL_BLUETOOTH, name, 2)?;
        let mtu = Fields::new(&value).u16();
        mtu.ok_or_else(|| malformed("an MTU of less than two bytes"))
    }
}

/// The options of an L2CAP channel: struct l2cap_options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct L2capOptions {
    /// The largest message that is sent, in bytes.
    pub send_mtu: u16,
    /// The largest message that is received, in bytes.
    pub receive_mtu: u16,
    /// How long a message may wait before it is flushed, in milliseconds.
    pub flush_timeout: u16,
    /// 0 is basic mode, 3 enhanced retransmission, 4 streaming.
    pub mode: u8,
    /// Frame check sequence: 0 none, 1 CRC-16.
    pub check: u8,
    /// How often a message is sent at most.
    pub maximum_transmissions: u8,
    /// How many messages may be on their way.
    pub window: u16,
}

impl L2capOptions {
    /// The options as a struct l2cap_options.
    pub fn encode(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..2].copy_from_slice(&self.send_mtu.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.receive_mtu.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.flush_timeout.to_le_bytes());
        bytes[6..9].copy_from_slice(&[self.mode, self.check, self.maximum_transmissions]);
        bytes[10..].copy_from_slice(&self.window.to_le_bytes());
        bytes
    }

    /// The options in a struct l2cap_options; none where it is cut.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let (send_mtu, receive_mtu) = (fields.u16()?, fields.u16()?);
        let flush_timeout = fields.u16()?;
        let [mode, check, maximum_transmissions, _] = fields.array()?;
        Some(Self {
            send_mtu,
            receive_mtu,
            flush_timeout,
            mode,
            check,
            maximum_transmissions,
            window: fields.u16()?,
        })
    }
}

/// An L2CAP connection: messages between two devices.
///
/// ```no_run
/// use sockgate_guest::bluetooth::{L2capAddress, L2capSocket, parse_device};
///
/// let device = parse_device("00:1A:7D:DA:71:13")?;
/// let socket = L2capSocket::connect(L2capAddress::new(device, 0x1001))?;
/// socket.send(b"hello")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct L2capSocket {
    socket: Socket,
}

data_socket! { L2capSocket }
ends! { L2capSocket, L2capAddress }
messages! { L2capSocket }

impl L2capSocket {
    /// A socket that is neither bound nor connected: for options, and for a controller of one's own.
    ///
    /// socket(2). Policy: some rule for `bluetooth`. Errors: `EACCES`, `EAFNOSUPPORT` where the kernel has
    /// no Bluetooth.
    pub fn unbound() -> io::Result<Self> {
        Ok(new_socket(SocketType::Seqpacket, Protocol::L2cap)?.into())
    }

    /// Connects. Policy: `connect` with `address` and `psm`.
    ///
    /// connect(2). Errors: `EACCES`, `EHOSTDOWN`, `ECONNREFUSED`, `ENODEV` without a controller.
    pub fn connect(address: L2capAddress) -> io::Result<Self> {
        let this = Self::unbound()?;
        this.socket.connect(address)?;
        Ok(this)
    }

    /// L2CAP_OPTIONS (classic devices alone).
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `ENOTCONN`.
    pub fn options(&self) -> io::Result<L2capOptions> {
        let value = self.socket.raw_option(SOL_L2CAP, L2CAP_OPTIONS, 12)?;
        L2capOptions::decode(&value).ok_or_else(|| malformed("options of L2CAP that were cut"))
    }

    /// Sets L2CAP_OPTIONS, before connecting.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EINVAL`.
    pub fn set_options(&self, options: &L2capOptions) -> io::Result<()> {
        self.socket
            .set_raw_option(SOL_L2CAP, L2CAP_OPTIONS, &options.encode())
    }
}

/// A server of L2CAP connections.
#[derive(Debug)]
pub struct L2capListener {
    socket: Socket,
}

every_socket! { L2capListener }
server! { L2capListener, L2capSocket, L2capAddress, Seqpacket, L2cap }

/// An RFCOMM connection: a serial line between two devices.
///
/// ```no_run
/// use std::io::Write;
/// use sockgate_guest::bluetooth::{RfcommAddress, RfcommStream, parse_device};
///
/// let device = parse_device("00:1A:7D:DA:71:13")?;
/// RfcommStream::connect(RfcommAddress::new(device, 1))?.write_all(b"AT\r")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RfcommStream {
    socket: Socket,
}

stream_socket! { RfcommStream }
ends! { RfcommStream, RfcommAddress }

impl RfcommStream {
    /// Connects. Policy: `connect` with `address` and `channel`.
    ///
    /// connect(2). Errors: `EACCES`, `EHOSTDOWN`, `ECONNREFUSED`, `ENODEV` without a controller.
    pub fn connect(address: RfcommAddress) -> io::Result<Self> {
        let socket = new_socket(SocketType::Stream, Protocol::Rfcomm)?;
        socket.connect(address)?;
        Ok(socket.into())
    }
}

/// A server of RFCOMM connections.
#[derive(Debug)]
pub struct RfcommListener {
    socket: Socket,
}

listener! { RfcommListener, RfcommStream }
server! { RfcommListener, RfcommStream, RfcommAddress, Stream, Rfcomm }

/// A SCO connection: voice.
#[derive(Debug)]
pub struct ScoSocket {
    socket: Socket,
}

data_socket! { ScoSocket }
ends! { ScoSocket, ScoAddress }
messages! { ScoSocket }

impl ScoSocket {
    /// Connects from this controller (or [`ANY_DEVICE`]). Policy: `connect` with `address`.
    ///
    /// connect(2). Errors: `EACCES`, `EHOSTDOWN`, `ECONNREFUSED`, `ENODEV` without a controller.
    pub fn connect(controller: BluetoothDevice, device: BluetoothDevice) -> io::Result<Self> {
        let socket = new_socket(SocketType::Seqpacket, Protocol::Sco)?;
        socket.bind(ScoAddress::new(controller))?;
        socket.connect(ScoAddress::new(device))?;
        Ok(socket.into())
    }

    /// SCO_OPTIONS: the largest message, in bytes.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `ENOTCONN`.
    pub fn mtu(&self) -> io::Result<u16> {
        let value = self.socket.raw_option(SOL_SCO, SCO_OPTIONS, 2)?;
        let mtu = Fields::new(&value).u16();
        mtu.ok_or_else(|| malformed("an MTU of less than two bytes"))
    }
}

/// A server of SCO connections.
#[derive(Debug)]
pub struct ScoListener {
    socket: Socket,
}

every_socket! { ScoListener }
server! { ScoListener, ScoSocket, ScoAddress, Seqpacket, Sco }

/// Which packets an HCI socket hears: struct hci_filter. Nothing at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HciFilter {
    types: u32,
    events: [u32; 2],
    opcode: u16,
}

impl HciFilter {
    /// Nothing.
    pub const fn none() -> Self {
        Self {
            types: 0,
            events: [0; 2],
            opcode: 0,
        }
    }

    /// Every packet and every event.
    pub const fn all() -> Self {
        Self {
            types: u32::MAX,
            events: [u32::MAX; 2],
            opcode: 0,
        }
    }

    /// Packets of this type as well: 1 commands, 2 ACL data, 3 SCO data, 4 events. The kernel counts in
    /// five bits.
    pub const fn packet(mut self, packet_type: u8) -> Self {
        self.types |= 1 << (packet_type & 31);
        self
    }

    /// This event as well; the kernel counts in six bits.
    pub const fn event(mut self, event: u8) -> Self {
        self.events[(event & 63) as usize / 32] |= 1 << (event & 31);
        self
    }

    /// Of command events those of this command alone; 0 is all.
    pub const fn opcode(mut self, opcode: u16) -> Self {
        self.opcode = opcode;
        self
    }

    /// The filter as a struct hci_ufilter.
    pub fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.types.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.events[0].to_le_bytes());
        bytes[8..12].copy_from_slice(&self.events[1].to_le_bytes());
        bytes[12..14].copy_from_slice(&self.opcode.to_le_bytes());
        bytes
    }

    /// The filter in a struct hci_ufilter; none where it is cut.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        Some(Self {
            types: fields.u32()?,
            events: [fields.u32()?, fields.u32()?],
            opcode: fields.u16()?,
        })
    }
}

/// An HCI socket: a controller's commands, events and data. Each message begins with the packet's type.
///
/// ```no_run
/// use sockgate_guest::bluetooth::{HciAddress, HciFilter, HciSocket};
///
/// let socket = HciSocket::open(HciAddress::raw(0))?;
/// socket.set_filter(&HciFilter::none().packet(4).event(0x0e))?;
/// socket.send(&[1, 9, 0x10, 0])?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct HciSocket {
    socket: Socket,
}

data_socket! { HciSocket }
messages! { HciSocket }

impl HciSocket {
    /// A socket on a channel of a controller. Policy: `bind` with the device and the channel.
    ///
    /// socket(2), bind(2). Errors: `EACCES`, `ENODEV` without the controller, `EBUSY` for a user channel of
    /// one that is up.
    pub fn open(address: HciAddress) -> io::Result<Self> {
        let socket = new_socket(SocketType::Raw, Protocol::Hci)?;
        socket.bind(address)?;
        Ok(socket.into())
    }

    /// HCI_FILTER (raw channels alone).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EINVAL` on other channels.
    pub fn set_filter(&self, filter: &HciFilter) -> io::Result<()> {
        self.socket
            .set_raw_option(SOL_HCI, HCI_FILTER, &filter.encode())
    }

    /// HCI_FILTER
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EINVAL` on other channels.
    pub fn filter(&self) -> io::Result<HciFilter> {
        let value = self.socket.raw_option(SOL_HCI, HCI_FILTER, 16)?;
        HciFilter::decode(&value).ok_or_else(|| malformed("a filter of HCI that was cut"))
    }

    /// HCI_DATA_DIR: whether each packet tells its direction beside it.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_direction(&self, on: bool) -> io::Result<()> {
        self.socket.set_number(SOL_HCI, HCI_DATA_DIR, on.into())
    }

    /// HCI_TIME_STAMP: whether each packet tells its time beside it.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_timestamps(&self, on: bool) -> io::Result<()> {
        self.socket.set_number(SOL_HCI, HCI_TIME_STAMP, on.into())
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<HciAddress> {
        self.socket.local_address()?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn options_and_filters_survive_their_encoding(
            mtus in any::<(u16, u16, u16, u16)>(), modes in any::<(u8, u8, u8)>(),
            types: u32, events: [u32; 2], opcode: u16,
        ) {
            let options = L2capOptions {
                send_mtu: mtus.0, receive_mtu: mtus.1, flush_timeout: mtus.2, window: mtus.3,
                mode: modes.0, check: modes.1, maximum_transmissions: modes.2,
            };
            prop_assert_eq!(L2capOptions::decode(&options.encode()), Some(options));
            prop_assert_eq!(L2capOptions::decode(&options.encode()[..11]), None);
            let filter = HciFilter { types, events, opcode };
            prop_assert_eq!(HciFilter::decode(&filter.encode()), Some(filter));
            prop_assert_eq!(HciFilter::decode(&filter.encode()[..13]), None);
        }
    }

    #[test]
    fn filters_are_the_kernel_s() {
        let filter = HciFilter::none()
            .packet(4)
            .event(0x0e)
            .event(0x3e)
            .opcode(0x1009);
        let bytes = [0x10, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0x40, 9, 0x10, 0, 0];
        assert_eq!(filter.encode(), bytes);
    }
}
