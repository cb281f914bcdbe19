//! RDS: reliable datagrams in clusters, Documentation/networking/rds.rst. Its addresses are IP addresses.

use std::io;
use std::net::SocketAddr;

use crate::address::std_address;
use crate::consts::{RDS_CANCEL_SENT_TO, RDS_CONG_MONITOR, RDS_RECVERR, SO_RDS_TRANSPORT, SOL_RDS};
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType};
use crate::wire::malformed;

/// An RDS socket.
///
/// ```no_run
/// use sockgate_guest::rds::RdsSocket;
///
/// let socket = RdsSocket::bind("10.0.0.1:4000".parse().unwrap())?;
/// socket.send_to(b"hello", "10.0.0.2:4000".parse().unwrap())?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RdsSocket {
    socket: Socket,
}

data_socket! { RdsSocket }

impl RdsSocket {
    /// A socket that is not bound, for [`set_transport`](Self::set_transport).
    ///
    /// socket(2). Policy: some rule for `rds`. Errors: `EACCES`, `EAFNOSUPPORT` where the kernel has no
    /// RDS.
    pub fn unbound() -> io::Result<Self> {
        Ok(Socket::new(Family::Rds, SocketType::Seqpacket, Protocol::Default)?.into())
    }

    /// A socket at this address, which must be one of an interface. Policy: `bind`.
    ///
    /// bind(2). Errors: `EACCES`, `EADDRNOTAVAIL`, `EADDRINUSE`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let this = Self::unbound()?;
        this.socket.bind(address)?;
        Ok(this)
    }

    /// SO_RDS_TRANSPORT: `RDS_TRANS_*` ([`consts`](crate::consts)), before bind; otherwise the kernel
    /// chooses by the address.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EOPNOTSUPP` once it is bound, `ENOPROTOOPT` for a
    /// transport that is not loaded.
    pub fn set_transport(&self, transport: i32) -> io::Result<()> {
        self.socket.set_number(SOL_RDS, SO_RDS_TRANSPORT, transport)
    }

    /// RDS_RECVERR: whether what became of remote memory operations comes beside messages.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_receive_errors(&self, on: bool) -> io::Result<()> {
        self.socket.set_number(SOL_RDS, RDS_RECVERR, on.into())
    }

    /// RDS_CONG_MONITOR: hears of the congestion of these ports, one bit for each port modulo 64.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_congestion_monitor(&self, ports: u64) -> io::Result<()> {
        self.socket
            .set_raw_option(SOL_RDS, RDS_CONG_MONITOR, &ports.to_le_bytes())
    }

    /// RDS_CANCEL_SENT_TO: takes back what was sent to this address and is not acknowledged.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOTCONN` on a socket that is not bound.
    pub fn cancel_sent_to(&self, to: SocketAddr) -> io::Result<()> {
        self.socket
            .set_raw_option(SOL_RDS, RDS_CANCEL_SENT_TO, &crate::wire::sockaddr(to))
    }

    /// Sends a datagram, which arrives once and in order. Policy: `send-to`.
    ///
    /// sendto(2). Errors: `EACCES`, `ENOTCONN` before bind, `ENOBUFS` under congestion.
    pub fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(data, to)
    }

    /// Receives a datagram: how many bytes of it are in the buffer, and who sent it. Policy: `receive`.
    ///
    /// recvfrom(2). Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, source) = self.socket.recv_from(buffer)?;
        let source = source.ok_or_else(|| malformed("a datagram without a sender"))?;
        Ok((length, std_address(&source)?))
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }
}
