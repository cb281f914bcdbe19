//! SAE J1939: CAN_J1939, Documentation/networking/j1939.rst, linux/can/j1939.h.

use std::io;

use super::{ANCILLARY, CanAddress, J1939Address};
use crate::ancillary::{AncillaryIn, ExtendedError, Timestamp};
use crate::consts::{
    SO_J1939_ERRQUEUE, SO_J1939_FILTER, SO_J1939_PROMISC, SO_J1939_SEND_PRIO, SOL_CAN_J1939,
};
use crate::message::Message;
use crate::socket::Socket;
use crate::types::{Family, MessageFlags, Protocol, SocketType};

/// Which messages a socket hears, by their sender and parameter group: struct j1939_filter. What has a
/// mask of 0 does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct J1939Filter {
    /// The sender's NAME.
    pub name: u64,
    /// Which of its bits count.
    pub name_mask: u64,
    /// The parameter group.
    pub pgn: u32,
    /// Which of its bits count.
    pub pgn_mask: u32,
    /// The sender's address.
    pub address: u8,
    /// Which of its bits count.
    pub address_mask: u8,
}

impl J1939Filter {
    /// Messages of this parameter group.
    pub fn pgn(pgn: u32) -> Self {
        Self {
            pgn,
            pgn_mask: 0x3ffff,
            ..Self::default()
        }
    }

    /// Messages from this address.
    pub fn from_address(address: u8) -> Self {
        Self {
            address,
            address_mask: 0xff,
            ..Self::default()
        }
    }

    /// The filter as a struct j1939_filter.
    pub fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.name.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.name_mask.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.pgn.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.pgn_mask.to_le_bytes());
        bytes[24] = self.address;
        bytes[25] = self.address_mask;
        bytes
    }
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct J1939Message {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its sender and its parameter group.
    pub source: J1939Address,
    /// The address it was sent to; none for a broadcast.
    pub destination: Option<u8>,
    /// The NAME it was sent to.
    pub destination_name: Option<u64>,
    /// Its priority, 0 (highest) to 7.
    pub priority: Option<u8>,
    /// When it came, with [`Socket::set_receive_timestamp`].
    pub timestamp: Option<Timestamp>,
}

impl From<Message> for J1939Message {
    fn from(message: Message) -> Self {
        let source = message.source.as_ref().and_then(|source| source.as_can());
        let mut received = Self {
            source: source
                .and_then(CanAddress::as_j1939)
                .unwrap_or(J1939Address::any()),
            data: message.data,
            destination: None,
            destination_name: None,
            priority: None,
            timestamp: None,
        };
        for ancillary in message.ancillary {
            match ancillary {
                AncillaryIn::J1939DestinationAddress(address) => {
                    received.destination = Some(address);
                }
                AncillaryIn::J1939DestinationName(name) => received.destination_name = Some(name),
                AncillaryIn::J1939Priority(priority) => received.priority = Some(priority),
                AncillaryIn::Timestamp(timestamp) => received.timestamp = Some(timestamp),
                _ => {}
            }
        }
        received
    }
}

/// A J1939 node: messages of up to 112 MiB, addressed by parameter group and node.
///
/// ```no_run
/// use sockgate_guest::can::{J1939Address, J1939Socket};
///
/// let node = J1939Socket::open("can0", J1939Address::at(0x20))?;
/// node.send_to(b"how are you, engine?", J1939Address::at(0x30).pgn(0x12300))?;
/// println!("{:?}", node.recv(1785)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct J1939Socket {
    socket: Socket,
    /// Every address that the kernel takes names the interface.
    interface: String,
}

impl AsRef<Socket> for J1939Socket {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

impl J1939Socket {
    /// A node at this address or with this NAME. A parameter group in it is the only one that is heard.
    /// Policy: `bind` with interface, address and parameter group.
    ///
    /// socket(2), bind(2). Errors: `EACCES`, `ENODEV` without the interface, `EADDRNOTAVAIL` for a group
    /// that is none.
    pub fn open(interface: &str, address: J1939Address) -> io::Result<Self> {
        let socket = Socket::new(Family::Can, SocketType::Datagram, Protocol::CanJ1939)?;
        socket.bind(CanAddress::j1939(interface, address))?;
        Ok(Self {
            socket,
            interface: interface.to_owned(),
        })
    }

    fn address(&self, address: J1939Address) -> CanAddress {
        CanAddress::j1939(self.interface.as_str(), address)
    }

    /// Sets where [`send`](Self::send) goes to.
    ///
    /// connect(2). Policy: `connect` or `send-to` with the node and the group. Errors: `EACCES`,
    /// `EADDRNOTAVAIL`.
    pub fn connect(&self, to: J1939Address) -> io::Result<()> {
        self.socket.connect(self.address(to))
    }

    /// Sends to the connected node.
    ///
    /// send(2). Policy: as for [`connect`](Self::connect). Errors: `EADDRNOTAVAIL` where the own NAME has
    /// no address yet, `EDESTADDRREQ` where nobody is connected.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data)
    }

    /// Sends a parameter group to a node. No address and no NAME is a broadcast, which
    /// [`set_broadcast`](Self::set_broadcast) must allow. Policy: `send-to`.
    ///
    /// sendto(2). Errors: `EACCES`, `EADDRNOTAVAIL`.
    pub fn send_to(&self, data: &[u8], to: J1939Address) -> io::Result<usize> {
        self.socket.send_to(data, self.address(to))
    }

    /// Receives a message of at most `max` bytes. Policy: `receive`.
    ///
    /// recvmsg(2). Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn recv(&self, max: usize) -> io::Result<J1939Message> {
        let message = self
            .socket
            .recv_msg(max, ANCILLARY, MessageFlags::empty())?;
        Ok(message.into())
    }

    /// Takes the next report of the error queue: what was acknowledged, and what was given up. The
    /// error's `info` and `data` are the session's. Policy: the flag `errqueue`.
    ///
    /// recvmsg(2) with MSG_ERRQUEUE. Reports of acknowledgement need SO_TIMESTAMPING too
    /// ([`consts`](crate::consts)) and come with the origin
    /// [`TxStatus`](crate::ancillary::ErrorOrigin::TxStatus).
    pub fn recv_error(&self) -> io::Result<Option<ExtendedError>> {
        let message = self.socket.recv_msg(0, 512, MessageFlags::ERR_QUEUE)?;
        Ok(message
            .ancillary
            .into_iter()
            .find_map(|ancillary| match ancillary {
                AncillaryIn::ExtendedError(error) => Some(error),
                _ => None,
            }))
    }

    /// SO_J1939_SEND_PRIO: the priority of what is sent, 0 (highest; 0 and 1 are the privileged's) to 7;
    /// 6 at first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EPERM` for 0 and 1 without privilege, `EDOM` above 7.
    pub fn set_priority(&self, priority: u8) -> io::Result<()> {
        self.set(SO_J1939_SEND_PRIO, priority.into())
    }

    /// SO_BROADCAST: whether broadcasts may be sent and are received; off at first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.socket.set_broadcast(on)
    }

    /// SO_J1939_PROMISC: whether everything on the bus is heard; off at first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_promiscuous(&self, on: bool) -> io::Result<()> {
        self.set(SO_J1939_PROMISC, on.into())
    }

    /// SO_J1939_ERRQUEUE: whether [`recv_error`](Self::recv_error) has anything to report.
    ///
    /// setsockopt(2). Policy: `options.set`.
    pub fn set_error_queue(&self, on: bool) -> io::Result<()> {
        self.set(SO_J1939_ERRQUEUE, on.into())
    }

    fn set(&self, option: i32, value: i32) -> io::Result<()> {
        self.socket.set_number(SOL_CAN_J1939, option, value)
    }

    /// SO_J1939_FILTER: hears what one of the filters lets through, at most 512; none hears everything.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EINVAL` for more.
    pub fn set_filters(&self, filters: &[J1939Filter]) -> io::Result<()> {
        let bytes: Vec<u8> = filters.iter().flat_map(J1939Filter::encode).collect();
        self.socket
            .set_raw_option(SOL_CAN_J1939, SO_J1939_FILTER, &bytes)
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<CanAddress> {
        self.socket.local_address()?.try_into()
    }

    /// The [`Socket`] in it.
    pub fn into_socket(self) -> Socket {
        self.socket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_the_kernel_s() {
        let bytes = J1939Filter::pgn(0x12300).encode();
        assert_eq!(bytes[16..24], [0, 0x23, 1, 0, 0xff, 0xff, 3, 0]);
        assert_eq!(
            J1939Filter::from_address(0x20).encode()[24..26],
            [0x20, 0xff]
        );
    }

    #[test]
    fn messages_carry_what_came_beside_them() {
        let source = CanAddress::j1939("can0", J1939Address::at(0x30).pgn(0x12300));
        let message = J1939Message::from(Message {
            data: b"fine".to_vec(),
            true_length: 4,
            flags: MessageFlags::empty(),
            source: Some(source.into()),
            ancillary: vec![
                AncillaryIn::J1939DestinationAddress(0x20),
                AncillaryIn::J1939Priority(6),
            ],
        });
        assert_eq!(message.source, J1939Address::at(0x30).pgn(0x12300));
        assert_eq!(
            (message.destination, message.priority),
            (Some(0x20), Some(6))
        );
        assert_eq!(message.destination_name, None);
    }
}
