//! Packet sockets: frames as they are on the link, packet(7).

use std::io;

pub use crate::address::{PacketAddress, PacketType};
use crate::ancillary::{AncillaryIn, PacketAuxdata, Timestamp, space};
use crate::consts::{
    PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_DROP_MEMBERSHIP, PACKET_IGNORE_OUTGOING,
    PACKET_MR_ALLMULTI, PACKET_MR_MULTICAST, PACKET_MR_PROMISC, PACKET_STATISTICS,
    SO_ATTACH_FILTER, SO_DETACH_FILTER, SOL_PACKET, SOL_SOCKET,
};
use crate::names;
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{Family, MessageFlags, Protocol, SocketType};
use crate::wire::{Fields, malformed, unfit};

/// Control data of one frame: its auxiliary data and its time.
const ANCILLARY: u32 = space(20) + space(48);

/// One instruction of a classic BPF program: struct sock_filter, linux/filter.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BpfInstruction {
    /// The operation.
    pub code: u16,
    /// How many instructions to skip where a jump's condition holds.
    pub jump_true: u8,
    /// How many to skip where it does not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

impl BpfInstruction {
    /// The instruction as a struct sock_filter.
    pub fn encode(&self) -> [u8; 8] {
        let [a, b] = self.code.to_le_bytes();
        let [c, d, e, f] = self.operand.to_le_bytes();
        [a, b, self.jump_true, self.jump_false, c, d, e, f]
    }
}

/// Which further frames an interface lets in for a socket, while that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacketMembership {
    /// Frames to this link-layer multicast address (at most 8 bytes).
    Multicast(Vec<u8>),
    /// Frames to every multicast address.
    AllMulticast,
    /// Every frame.
    Promiscuous,
}

/// A received frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketReceived {
    /// Its bytes; on a datagram packet socket without the link-layer header.
    pub data: Vec<u8>,
    /// Its own length, larger than `data` where it was cut.
    pub true_length: u64,
    /// Where it came from: interface, protocol, how it was addressed, sender.
    pub source: Option<PacketAddress>,
    /// When, with [`Socket::set_receive_timestamp`].
    pub timestamp: Option<Timestamp>,
    /// More about it, with [`PacketSocket::set_auxdata`].
    pub auxdata: Option<PacketAuxdata>,
}

/// What a packet socket counted since it was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketStatistics {
    /// Frames that passed its filter, the dropped ones among them.
    pub frames: u32,
    /// Frames for which there was no room.
    pub dropped: u32,
}

/// A packet socket.
///
/// ```no_run
/// use sockgate_guest::consts::ETH_P_ARP;
/// use sockgate_guest::packet::PacketSocket;
///
/// let socket = PacketSocket::open("eth0", ETH_P_ARP)?;
/// println!("{:x?}", socket.recv_frame(1514)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
}

data_socket! { PacketSocket }

impl PacketSocket {
    /// Whole frames of this Ethernet protocol (host byte order) on this interface. Policy: `bind`,
    /// `receive` and `send-to` with `interface` and `ethertype`.
    ///
    /// socket(2), bind(2), packet(7). Errors: `EACCES`, `EPERM` where the host lacks cap_net_raw, `ENODEV`
    /// without the interface.
    pub fn open(interface: &str, protocol: u16) -> io::Result<Self> {
        Self::with(SocketType::Raw, &PacketAddress::on(interface, protocol))
    }

    /// Frames without their link-layer header: the kernel takes it off and puts it on.
    ///
    /// socket(2), bind(2), packet(7). Policy: as [`open`](Self::open). Errors: `EACCES`, `EPERM` where the
    /// host lacks cap_net_raw, `ENODEV` without the interface.
    pub fn open_datagram(interface: &str, protocol: u16) -> io::Result<Self> {
        Self::with(
            SocketType::Datagram,
            &PacketAddress::on(interface, protocol),
        )
    }

    /// Whole frames of this Ethernet protocol on every interface.
    ///
    /// socket(2), bind(2), packet(7). Policy: `bind` and `receive` with `interface = ["*"]`. Errors:
    /// `EACCES`, `EPERM` where the host lacks cap_net_raw, `ENODEV` without the interface.
    pub fn open_any(protocol: u16) -> io::Result<Self> {
        Self::with(SocketType::Raw, &PacketAddress::any(protocol))
    }

    fn with(socket_type: SocketType, address: &PacketAddress) -> io::Result<Self> {
        // Protocol 0 hears nothing until it is bound, and nothing of other interfaces before that.
        let socket = Socket::new(Family::Packet, socket_type, Protocol::Default)?;
        socket.bind(address)?;
        Ok(socket.into())
    }

    /// Sends a whole frame on the socket's interface.
    ///
    /// send(2). Policy: `send-to` with interface and `ethertype`. Errors: `EACCES`, `EMSGSIZE`, `ENETDOWN`.
    pub fn send(&self, frame: &[u8]) -> io::Result<usize> {
        self.socket.send(frame)
    }

    /// Sends to this address: a whole frame, or on a datagram packet socket what the kernel puts a header
    /// on.
    ///
    /// sendto(2). Policy: `send-to` with interface and `ethertype`. Errors: `EACCES`, `EMSGSIZE`,
    /// `ENETDOWN`.
    pub fn send_to(&self, data: &[u8], to: &PacketAddress) -> io::Result<usize> {
        self.socket.send_to(data, to)
    }

    /// Receives a frame into a buffer: how many bytes.
    ///
    /// recv(2). Policy: `receive` with interface and `ethertype`; others are not shown. Errors:
    /// `ETIMEDOUT`, `ENETDOWN`.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// Receives at most `max` bytes of a frame, with all that is known of it.
    ///
    /// recvmsg(2). Policy: as [`recv`](Self::recv). Errors: the same.
    pub fn recv_frame(&self, max: usize) -> io::Result<PacketReceived> {
        let message = self.socket.recv_msg(max, ANCILLARY, MessageFlags::TRUNC)?;
        let mut received = PacketReceived {
            true_length: message.true_length,
            source: message.source.and_then(|source| source.try_into().ok()),
            data: message.data,
            timestamp: None,
            auxdata: None,
        };
        for ancillary in message.ancillary {
            match ancillary {
                AncillaryIn::Timestamp(timestamp) => received.timestamp = Some(timestamp),
                AncillaryIn::PacketAuxdata(auxdata) => received.auxdata = Some(auxdata),
                _ => {}
            }
        }
        Ok(received)
    }

    /// PACKET_ADD_MEMBERSHIP. Policy: `join-group`, `promiscuous`; the interface's number is looked up
    /// (`interfaces`).
    ///
    /// Errors: `EACCES`, `ENODEV`.
    pub fn join(&self, interface: &str, membership: &PacketMembership) -> io::Result<()> {
        self.member(PACKET_ADD_MEMBERSHIP, interface, membership)
    }

    /// PACKET_DROP_MEMBERSHIP
    ///
    /// setsockopt(2). Policy: as [`join`](Self::join). Errors: `EADDRNOTAVAIL` where it was not joined.
    pub fn leave(&self, interface: &str, membership: &PacketMembership) -> io::Result<()> {
        self.member(PACKET_DROP_MEMBERSHIP, interface, membership)
    }

    fn member(&self, option: i32, interface: &str, what: &PacketMembership) -> io::Result<()> {
        let request = membership(names::interface_index(interface)?, what)?;
        self.socket.set_raw_option(SOL_PACKET, option, &request)
    }

    /// PACKET_AUXDATA: whether [`recv_frame`](Self::recv_frame) tells lengths and VLAN tag; off at first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_auxdata(&self, on: bool) -> io::Result<()> {
        self.socket
            .set_number(SOL_PACKET, PACKET_AUXDATA, on.into())
    }

    /// PACKET_IGNORE_OUTGOING: whether frames that this host sends are left out; off at first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_ignore_outgoing(&self, on: bool) -> io::Result<()> {
        self.socket
            .set_number(SOL_PACKET, PACKET_IGNORE_OUTGOING, on.into())
    }

    /// PACKET_STATISTICS, which begins anew each time.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`.
    pub fn statistics(&self) -> io::Result<PacketStatistics> {
        let value = self.socket.raw_option(SOL_PACKET, PACKET_STATISTICS, 8)?;
        let mut fields = Fields::new(&value);
        let counts = fields.u32().zip(fields.u32());
        let (frames, dropped) = counts.ok_or_else(|| malformed("statistics without counts"))?;
        Ok(PacketStatistics { frames, dropped })
    }

    /// SO_ATTACH_FILTER: hears only what this classic BPF program lets through. The option's value is the
    /// program's instructions one after the other. Policy: the option `so.attach-filter`.
    ///
    /// Errors: `EACCES`, `EINVAL` for a program that the kernel refuses.
    pub fn set_filter(&self, program: &[BpfInstruction]) -> io::Result<()> {
        let bytes: Vec<u8> = program.iter().flat_map(BpfInstruction::encode).collect();
        self.socket
            .set_raw_option(SOL_SOCKET, SO_ATTACH_FILTER, &bytes)
    }

    /// SO_DETACH_FILTER: takes the program away.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `ENOENT` where there is none, `EPERM` where it is
    /// locked.
    pub fn clear_filter(&self) -> io::Result<()> {
        self.socket.set_number(SOL_SOCKET, SO_DETACH_FILTER, 0)
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<PacketAddress> {
        self.socket.local_address()?.try_into()
    }
}

/// A struct packet_mreq.
fn membership(interface: u32, what: &PacketMembership) -> io::Result<[u8; 16]> {
    let (kind, address): (u16, &[u8]) = match what {
        PacketMembership::Multicast(address) => (PACKET_MR_MULTICAST, address),
        PacketMembership::AllMulticast => (PACKET_MR_ALLMULTI, &[]),
        PacketMembership::Promiscuous => (PACKET_MR_PROMISC, &[]),
    };
    let mut request = [0; 16];
    let place = request.get_mut(8..8 + address.len());
    let place = place.ok_or_else(|| unfit("a link-layer address of more than 8 bytes"))?;
    place.copy_from_slice(address);
    request[..4].copy_from_slice(&interface.to_le_bytes());
    request[4..6].copy_from_slice(&kind.to_le_bytes());
    request[6] = address.len() as u8;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_kernel_s() {
        let group = PacketMembership::Multicast(vec![1, 0x80, 0xc2, 0, 0, 0xe]);
        let bytes = [3, 0, 0, 0, 0, 0, 6, 0, 1, 0x80, 0xc2, 0, 0, 0xe, 0, 0];
        assert_eq!(membership(3, &group).unwrap(), bytes);
        assert_eq!(membership(3, &PacketMembership::Promiscuous).unwrap()[4], 1);
        let long = PacketMembership::Multicast(vec![0; 9]);
        assert!(membership(3, &long).is_err());
        let instruction = BpfInstruction {
            code: 0x15,
            jump_true: 1,
            jump_false: 2,
            operand: 0x0800,
        };
        assert_eq!(instruction.encode(), [0x15, 0, 1, 2, 0, 8, 0, 0]);
    }
}
