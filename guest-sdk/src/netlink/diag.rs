//! The host's sockets: what `ss` shows; sock_diag(7), linux/inet_diag.h.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::{NetlinkMessage, NetlinkRequest, NetlinkSocket};
use crate::consts::SOCK_DIAG_BY_FAMILY;
use crate::wire::{Fields, malformed, unfit};

/// Bytes of a struct inet_diag_req_v2.
const REQUEST: usize = 56;

/// A socket of the host: struct inet_diag_msg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InetSocket {
    /// TCP_ESTABLISHED (1) to TCP_CLOSING (11); 7 is a UDP socket without a peer, 10 a listener.
    pub state: u8,
    /// Its own address.
    pub local: SocketAddr,
    /// Its peer's; unspecified where it has none.
    pub peer: SocketAddr,
    /// The interface it is bound to, by number; 0 is any.
    pub interface: u32,
    /// Bytes (listeners: connections) that wait to be received.
    pub receive_queue: u32,
    /// Bytes that were sent and not acknowledged (listeners: the backlog).
    pub send_queue: u32,
    /// Whose it is.
    pub uid: u32,
    /// Its inode, as in /proc/PID/fd.
    pub inode: u32,
}

impl InetSocket {
    /// The socket in an answer.
    ///
    /// Pure: no grant. Errors: [`InvalidData`](std::io::ErrorKind::InvalidData) for what is cut short.
    pub fn decode(message: &NetlinkMessage) -> io::Result<Self> {
        Self::fields(&message.payload).ok_or_else(|| malformed("a description of no socket"))
    }

    fn fields(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(payload);
        let [family, state, _, _] = fields.array()?;
        let ports = fields.array::<4>()?;
        let local = ip(family, fields.array()?)?;
        let peer = ip(family, fields.array()?)?;
        let interface = fields.u32()?;
        // The cookie and the timer.
        fields.take(12)?;
        Some(Self {
            state,
            local: SocketAddr::new(local, u16::from_be_bytes([ports[0], ports[1]])),
            peer: SocketAddr::new(peer, u16::from_be_bytes([ports[2], ports[3]])),
            interface,
            receive_queue: fields.u32()?,
            send_queue: fields.u32()?,
            uid: fields.u32()?,
            inode: fields.u32()?,
        })
    }
}

fn ip(family: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    match family {
        2 => Some(<[u8; 4]>::try_from(&bytes[..4]).ok()?.into()),
        10 => Some(bytes.into()),
        _ => None,
    }
}

/// The sockets of an IP version (4 or 6) and a protocol (6 is TCP, 17 UDP), in the states whose bits are
/// set in `states` (`u32::MAX`: all).
///
/// SOCK_DIAG_BY_FAMILY, sock_diag(7). Policy: that message under `protocol = ["sock-diag"]`. Errors:
/// `EACCES`, `ENOENT` where the kernel has no such module.
pub fn inet_sockets(
    socket: &NetlinkSocket,
    version: u8,
    protocol: u8,
    states: u32,
) -> io::Result<Vec<InetSocket>> {
    let family = match version {
        4 => 2,
        6 => 10,
        other => return Err(unfit(format!("IP version {other}: there are 4 and 6"))),
    };
    let mut header = vec![0; REQUEST];
    header[0] = family;
    header[1] = protocol;
    header[4..8].copy_from_slice(&states.to_le_bytes());
    let request = NetlinkRequest::new(SOCK_DIAG_BY_FAMILY).header(header);
    let answer = socket.dump(&request)?;
    answer.iter().map(InetSocket::decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_read() {
        let mut payload = vec![0; 72];
        payload[..8].copy_from_slice(&[2, 10, 0, 0, 0, 80, 0, 0]);
        payload[8..12].copy_from_slice(&[127, 0, 0, 1]);
        payload[64..66].copy_from_slice(&[0xe8, 3]);
        let mut message = NetlinkMessage {
            payload,
            ..NetlinkMessage::default()
        };
        let socket = InetSocket::decode(&message).unwrap();
        assert_eq!(socket.local.to_string(), "127.0.0.1:80");
        assert_eq!((socket.state, socket.uid), (10, 1000));
        message.payload.truncate(71);
        assert!(InetSocket::decode(&message).is_err());
    }
}
