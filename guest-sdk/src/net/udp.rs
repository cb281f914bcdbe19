//! UDP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ToSocketAddrs, each_address, hops, time_to_live};
use crate::address::{SocketAddress, std_address};
use crate::consts::{IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, SOL_IP};
use crate::convenience::family_of;
use crate::names;
use crate::option::Group;
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{MessageFlags, Protocol, SocketType};

/// A UDP socket, shaped like [`std::net::UdpSocket`].
///
/// ```no_run
/// use sockgate_guest::net::UdpSocket;
///
/// let socket = UdpSocket::bind("127.0.0.1:9000")?;
/// let mut buffer = [0; 1500];
/// loop {
///     let (length, peer) = socket.recv_from(&mut buffer)?;
///     socket.send_to(&buffer[..length], peer)?;
/// }
/// # #[allow(unreachable_code)] Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
}

data_socket! { UdpSocket }
time_to_live! { UdpSocket }

impl UdpSocket {
    /// bind(2) to the first of the addresses that can be bound. Policy: `bind` with the local address.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        each_address(address, |address| {
            let address = SocketAddress::from(address);
            let family = family_of(&address);
            let socket = Socket::new(family, SocketType::Datagram, Protocol::Default)?;
            socket.bind(&address)?;
            Ok(socket.into())
        })
    }

    /// connect(2): makes this the peer: [`send`](Self::send) and [`recv`](Self::recv) are with it alone. Policy:
    /// `connect`.
    pub fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        each_address(address, |address| self.socket.connect(address))
    }

    /// getsockname(2): the address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }

    /// getpeername(2): the address of the peer that it was connected to.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.peer_address()?)
    }

    /// sendto(2): sends a datagram to the first of the addresses. Policy: `send-to`, or `reply`.
    pub fn send_to(&self, data: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        match address.to_socket_addrs()?.next() {
            Some(address) => self.socket.send_to(data, address),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no addresses to send data to",
            )),
        }
    }

    /// send(2): sends a datagram to the peer.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data)
    }

    /// recvfrom(2): receives a datagram: how many bytes of it are in the buffer (the rest is lost), and who sent it.
    /// Policy: `receive`.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buffer, MessageFlags::empty())
    }

    /// [`recv_from`](Self::recv_from) that leaves the datagram in the queue.
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buffer, MessageFlags::PEEK)
    }

    fn receive_from(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> io::Result<(usize, SocketAddr)> {
        let (length, source) = self.socket.recv_from_with(buffer, flags)?;
        Ok((
            length,
            std_address(&source.unwrap_or(SocketAddress::Unspecified))?,
        ))
    }

    /// recv(2): receives a datagram from the peer.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// [`recv`](Self::recv) that leaves the datagram in the queue.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buffer)
    }

    /// Sets SO_BROADCAST, socket(7). Policy: the option in `options.set`.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket.set_broadcast(broadcast)
    }

    /// SO_BROADCAST, socket(7): whether datagrams may go to broadcast addresses.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.broadcast()
    }

    /// Sets IP_MULTICAST_LOOP, ip(7). Policy: the option in `options.set`.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket.set_multicast_loop(on)
    }

    /// IP_MULTICAST_LOOP: whether multicasts come back to this machine.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket.multicast_loop()
    }

    /// Sets IPV6_MULTICAST_LOOP, ipv6(7). Policy: the option in `options.set`.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket.set_multicast_loop(on)
    }

    /// IPV6_MULTICAST_LOOP: whether multicasts come back to this machine.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket.multicast_loop()
    }

    /// Sets IP_MULTICAST_TTL, ip(7). Policy: the option in `options.set`.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket.set_multicast_hops(hops(ttl)?)
    }

    /// IP_MULTICAST_TTL: how many hops multicasts go.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        Ok(self.socket.multicast_hops()?.into())
    }

    /// Joins an IPv4 group, on the interface that has this address; `0.0.0.0` lets the kernel choose. See
    /// [`Socket::join_group`] for interfaces by name. Policy: `join-group`.
    ///
    /// IP_ADD_MEMBERSHIP, setsockopt(2). Errors: `EACCES`, `ENODEV` where no interface has that address.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket
            .set_raw_option(SOL_IP, IP_ADD_MEMBERSHIP, &membership(group, interface))
    }

    /// Leaves an IPv4 group; see [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// IP_DROP_MEMBERSHIP, setsockopt(2). Errors: `EACCES`, `EADDRNOTAVAIL` where it is no member.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket
            .set_raw_option(SOL_IP, IP_DROP_MEMBERSHIP, &membership(group, interface))
    }

    /// MCAST_JOIN_GROUP, ipv6(7): joins an IPv6 group on the interface with this index; 0 lets the kernel choose, another one needs
    /// the policy's `interfaces`. Policy: `join-group`.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.join_group(&group_v6(group, interface)?)
    }

    /// MCAST_LEAVE_GROUP, ipv6(7): leaves an IPv6 group; see [`join_multicast_v6`](Self::join_multicast_v6).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.leave_group(&group_v6(group, interface)?)
    }
}

/// `struct ip_mreq`: the group, and the interface by its address, which the host looks up.
fn membership(group: &Ipv4Addr, interface: &Ipv4Addr) -> Vec<u8> {
    [group.octets(), interface.octets()].concat()
}

fn group_v6(group: &Ipv6Addr, interface: u32) -> io::Result<Group> {
    let group = Group::v6(*group);
    match interface {
        0 => Ok(group),
        index => Ok(group.on(names::interface_name(index)?)),
    }
}
