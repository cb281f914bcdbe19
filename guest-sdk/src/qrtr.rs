//! QRTR: the processors of a Qualcomm device, include/uapi/linux/qrtr.h.

use std::io;

pub use crate::address::QipcrtrAddress;
use crate::consts::QRTR_PORT_CTRL;
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType};
use crate::wire::{Fields, malformed, words};

/// Which control packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QrtrCommand {
    /// QRTR_TYPE_NEW_SERVER: a service is there. All numbers 0: the look-up's list is at its end.
    NewServer = 4,
    /// QRTR_TYPE_DEL_SERVER: a service is gone.
    ServerGone = 5,
    /// QRTR_TYPE_DEL_CLIENT: a client is gone.
    ClientGone = 6,
    /// QRTR_TYPE_NEW_LOOKUP: asks to be told of a service.
    NewLookup = 10,
    /// QRTR_TYPE_DEL_LOOKUP: asks to be told no longer.
    EndLookup = 11,
}

/// A control packet about a service: struct qrtr_ctrl_pkt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QrtrControl {
    /// What it tells or asks.
    pub command: QrtrCommand,
    /// The service; of [`QrtrCommand::ClientGone`] the node.
    pub service: u32,
    /// Its instance, with the version in the lowest byte; of [`QrtrCommand::ClientGone`] the port.
    pub instance: u32,
    /// The server's node; 0 in a look-up.
    pub node: u32,
    /// The server's port; 0 in a look-up.
    pub port: u32,
}

impl QrtrControl {
    /// The packet as the kernel takes it.
    pub fn encode(&self) -> [u8; 20] {
        words([
            self.command as u32,
            self.service,
            self.instance,
            self.node,
            self.port,
        ])
    }

    /// The packet in what was received; none where it is no such packet.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let command = match fields.u32()? {
            4 => QrtrCommand::NewServer,
            5 => QrtrCommand::ServerGone,
            6 => QrtrCommand::ClientGone,
            10 => QrtrCommand::NewLookup,
            11 => QrtrCommand::EndLookup,
            _ => return None,
        };
        Some(Self {
            command,
            service: fields.u32()?,
            instance: fields.u32()?,
            node: fields.u32()?,
            port: fields.u32()?,
        })
    }
}

/// A QRTR socket.
///
/// ```no_run
/// use sockgate_guest::qrtr::QrtrSocket;
///
/// let socket = QrtrSocket::open()?;
/// socket.look_up(400, 1)?;
/// let mut packet = [0; 1024];
/// println!("{:?}", socket.recv_from(&mut packet)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct QrtrSocket {
    socket: Socket,
}

data_socket! { QrtrSocket }

impl QrtrSocket {
    /// A socket at a port that the kernel chooses at the first send.
    ///
    /// socket(2). Policy: some rule for `qipcrtr`. Errors: `EACCES`, `EAFNOSUPPORT` where the kernel has no
    /// QRTR.
    pub fn open() -> io::Result<Self> {
        Ok(Socket::new(Family::Qipcrtr, SocketType::Datagram, Protocol::Default)?.into())
    }

    /// Sends to a port of a node. Policy: `send-to` with `node` and `port`.
    ///
    /// sendto(2). Errors: `EACCES`, `ENODEV` for a node that is not there.
    pub fn send_to(&self, data: &[u8], to: QipcrtrAddress) -> io::Result<usize> {
        self.socket.send_to(data, to)
    }

    /// Receives: how many bytes, and from whom. What comes from
    /// [`QRTR_PORT_CTRL`] is a [`QrtrControl`]. Policy: `receive`.
    ///
    /// recvfrom(2). Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, QipcrtrAddress)> {
        let (length, source) = self.socket.recv_from(buffer)?;
        let source = source.ok_or_else(|| malformed("a packet without a sender"))?;
        Ok((length, source.try_into()?))
    }

    /// Asks this node's name service for a service: it answers with control packets.
    ///
    /// sendto(2). Policy: `send-to` with the own node and `port = ["control"]`. Errors: `EACCES`.
    pub fn look_up(&self, service: u32, instance: u32) -> io::Result<()> {
        let to = QipcrtrAddress::new(self.local_addr()?.node, QRTR_PORT_CTRL);
        let request = QrtrControl {
            command: QrtrCommand::NewLookup,
            service,
            instance,
            node: 0,
            port: 0,
        };
        self.send_to(&request.encode(), to)?;
        Ok(())
    }

    /// Its own address.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<QipcrtrAddress> {
        self.socket.local_address()?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn control_packets_survive_their_encoding(numbers in any::<[u32; 4]>(), kind in 4..12u32) {
            let [a, b, c, d] = numbers;
            let bytes: [u8; 20] = words([kind, a, b, c, d]);
            let packet = QrtrControl::decode(&bytes);
            prop_assert_eq!(packet.is_some(), matches!(kind, 4..=6 | 10 | 11));
            prop_assert_eq!(packet.map(|packet| packet.encode()), packet.map(|_| bytes));
            prop_assert_eq!(QrtrControl::decode(&bytes[..19]), None);
        }
    }
}
