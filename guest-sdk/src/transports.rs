//! The lesser transports over IP: UDPLITE (udplite(7)), DCCP (RFC 4340) and MPTCP
//! (Documentation/networking/mptcp.rst). What they carry goes through the sockets of UDP and TCP.

use std::io;
use std::net::SocketAddr;

use crate::address::std_address;
use crate::consts::{
    DCCP_SOCKOPT_GET_CUR_MPS, DCCP_SOCKOPT_SERVICE, MPTCP_INFO, SOL_DCCP, SOL_MPTCP, SOL_UDPLITE,
    UDPLITE_RECV_CSCOV, UDPLITE_SEND_CSCOV,
};
use crate::convenience::{BACKLOG, family_of};
use crate::net::{TcpListener, TcpStream, UdpSocket};
use crate::shape::{data_socket, every_socket};
use crate::socket::Socket;
use crate::types::{Protocol, SocketType};
use crate::wire::{Fields, malformed};

fn new_socket(
    address: &SocketAddr,
    socket_type: SocketType,
    protocol: Protocol,
) -> io::Result<Socket> {
    Socket::new(family_of(&(*address).into()), socket_type, protocol)
}

/// A UDPLITE socket at this address, with UDP's methods. Policy: `bind` with `protocol = ["udplite"]`.
///
/// ```no_run
/// let socket = sockgate_guest::transports::udplite("127.0.0.1:9000".parse().unwrap())?;
/// socket.as_ref().set_udplite_send_coverage(8)?;
/// socket.send_to(b"what is damaged here arrives", "127.0.0.1:9001")?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn udplite(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new_socket(&address, SocketType::Datagram, Protocol::Udplite)?;
    socket.bind(address)?;
    Ok(socket.into())
}

/// An MPTCP connection, with TCP's methods; plain TCP where the peer has no MPTCP. Policy: `connect` with
/// `protocol = ["mptcp"]`.
///
/// socket(2), connect(2). Errors: `EACCES`, `ECONNREFUSED`, `EPROTONOSUPPORT` where the kernel has no
/// MPTCP.
pub fn mptcp_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = new_socket(&address, SocketType::Stream, Protocol::Mptcp)?;
    socket.connect(address)?;
    Ok(socket.into())
}

/// An MPTCP server, which plain TCP reaches too. Policy: `listen` with `protocol = ["mptcp"]`.
///
/// socket(2), bind(2), listen(2). Errors: `EACCES`, `EADDRINUSE`, `EPROTONOSUPPORT`.
pub fn mptcp_listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(&address, SocketType::Stream, Protocol::Mptcp)?;
    socket.set_reuse_address(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The state of an MPTCP connection: the first part of struct mptcp_info, linux/mptcp.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MptcpInfo {
    /// Further subflows.
    pub subflows: u8,
    /// Addresses that were announced to the peer.
    pub announced: u8,
    /// Addresses that the peer announced and this side took.
    pub accepted: u8,
    /// At most so many further subflows.
    pub subflows_max: u8,
    /// MPTCP_INFO_FLAG_*: 1 fallen back to TCP, 2 the peer's key is known.
    pub flags: u32,
    /// The connection's token.
    pub token: u32,
}

impl MptcpInfo {
    /// From a struct mptcp_info, which grows with the kernel; none where even this part is cut.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let [subflows, announced, accepted, subflows_max] = fields.array()?;
        // Two more limits, and padding.
        fields.take(4)?;
        Some(Self {
            subflows,
            announced,
            accepted,
            subflows_max,
            flags: fields.u32()?,
            token: fields.u32()?,
        })
    }
}

/// Options of the lesser transports.
impl Socket {
    /// UDPLITE_SEND_CSCOV: how many bytes of each datagram, its header's 8 among them, the checksum
    /// covers; 0 is all.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `ENOPROTOOPT` on other sockets.
    pub fn set_udplite_send_coverage(&self, bytes: u16) -> io::Result<()> {
        self.set_number(SOL_UDPLITE, UDPLITE_SEND_CSCOV, bytes.into())
    }

    /// UDPLITE_RECV_CSCOV: datagrams whose checksum covers less are dropped.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `ENOPROTOOPT` on other sockets.
    pub fn set_udplite_receive_coverage(&self, bytes: u16) -> io::Result<()> {
        self.set_number(SOL_UDPLITE, UDPLITE_RECV_CSCOV, bytes.into())
    }

    /// MPTCP_INFO; [`Errno::OPNOTSUPP`](crate::Errno::OPNOTSUPP) where the connection fell back to TCP.
    ///
    /// getsockopt(2). Policy: `options.get`.
    pub fn mptcp_info(&self) -> io::Result<MptcpInfo> {
        let value = self.raw_option(SOL_MPTCP, MPTCP_INFO, 256)?;
        MptcpInfo::decode(&value).ok_or_else(|| malformed("a state of MPTCP that was cut"))
    }
}

/// The type of DCCP sockets (SOCK_DCCP).
const DCCP: SocketType = SocketType::Other(6);

fn dccp_socket(address: &SocketAddr, service: u32) -> io::Result<Socket> {
    let socket = new_socket(address, DCCP, Protocol::Dccp)?;
    socket.set_raw_option(SOL_DCCP, DCCP_SOCKOPT_SERVICE, &service.to_be_bytes())?;
    Ok(socket)
}

/// A DCCP connection: datagrams with congestion control.
#[derive(Debug)]
pub struct DccpSocket {
    socket: Socket,
}

data_socket! { DccpSocket }

impl DccpSocket {
    /// Connects to a service (RFC 4340, 8.1.2: often four letters). Policy: `connect` with
    /// `protocol = ["dccp"]`.
    ///
    /// socket(2), connect(2). Errors: `EACCES`, `ECONNREFUSED`, `EPROTONOSUPPORT` where the kernel has no
    /// DCCP.
    pub fn connect(address: SocketAddr, service: u32) -> io::Result<Self> {
        let socket = dccp_socket(&address, service)?;
        socket.connect(address)?;
        Ok(socket.into())
    }

    /// Sends a datagram of at most [`maximum_packet`](Self::maximum_packet) bytes.
    ///
    /// send(2). Policy: part of `connect` or `listen`. Errors: `EMSGSIZE`, `EAGAIN` where the congestion
    /// window is full.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data)
    }

    /// Receives a datagram: how many bytes of it are in the buffer.
    ///
    /// recv(2). Policy: part of `connect` or `listen`. Errors: `ETIMEDOUT`, `ECONNRESET`.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// DCCP_SOCKOPT_GET_CUR_MPS: the largest datagram now, in bytes.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `ENOTCONN`.
    pub fn maximum_packet(&self) -> io::Result<usize> {
        let size = self.socket.number(SOL_DCCP, DCCP_SOCKOPT_GET_CUR_MPS)?;
        usize::try_from(size).map_err(|_| malformed(&format!("a packet size of {size}")))
    }
}

/// A server of DCCP connections.
#[derive(Debug)]
pub struct DccpListener {
    socket: Socket,
}

every_socket! { DccpListener }

impl DccpListener {
    /// Binds and listens for a service. Policy: `listen` with the local address.
    ///
    /// socket(2), bind(2), listen(2). Errors: `EACCES`, `EADDRINUSE`.
    pub fn bind(address: SocketAddr, service: u32) -> io::Result<Self> {
        let socket = dccp_socket(&address, service)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    /// Waits for a connection, and tells who it comes from.
    ///
    /// accept(2). Policy: part of `listen`; peers that the rule does not name are reset and not reported.
    /// Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking), `EMFILE` at the policy's limit.
    pub fn accept(&self) -> io::Result<(DccpSocket, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((socket.into(), std_address(&peer)?))
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_mptcp_is_read_from_any_kernel() {
        let mut bytes = [0; 96];
        (bytes[0], bytes[3], bytes[8], bytes[12], bytes[15]) = (1, 2, 2, 0x44, 0x11);
        let info = MptcpInfo::decode(&bytes).unwrap();
        assert_eq!((info.subflows, info.subflows_max, info.flags), (1, 2, 2));
        assert_eq!(info.token, 0x1100_0044);
        assert_eq!(MptcpInfo::decode(&bytes[..16]), Some(info));
        assert_eq!(MptcpInfo::decode(&bytes[..15]), None);
    }
}
