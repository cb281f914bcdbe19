//! TCP and UDP sockets shaped like [`std::net`]'s: moving from std is changing a `use`.
//!
//! The addresses are std's own and come from here too, so that `use sockgate_guest::net::...` stands for
//! `use std::net::...`. What differs:
//!
//! * names are looked up through the host and its policy ([`ToSocketAddrs`] is this crate's);
//! * a time-out that passes is [`TimedOut`](std::io::ErrorKind::TimedOut) everywhere, where std on Unix
//!   has `WouldBlock`;
//! * time-outs and non-blocking mode belong to the handle, not to what [`try_clone`](TcpStream::try_clone)
//!   shares.
//!
//! Each method is the system call that std makes, on [`Socket`](crate::Socket), whose method of the same name tells
//! the errors; what the policy has to grant stands with each. What names none needs no more than the socket has.

mod stream;
mod to_addrs;
mod udp;

pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};
pub use stream::{Incoming, TcpListener, TcpStream};
pub use to_addrs::ToSocketAddrs;
pub use udp::UdpSocket;

use std::io;

/// Tries `operation` with each address until one succeeds, as std does.
pub(crate) fn each_address<T>(
    addresses: impl ToSocketAddrs,
    mut operation: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(
        io::ErrorKind::InvalidInput,
        "could not resolve to any addresses",
    );
    for address in addresses.to_socket_addrs()? {
        match operation(address) {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A time to live as std has it, in what the kernel takes.
fn hops(ttl: u32) -> io::Result<u8> {
    u8::try_from(ttl).map_err(|_| {
        let text = format!("{ttl} is no time to live: 0 to 255");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

/// `ttl` and `set_ttl`, which TCP and UDP sockets have alike.
macro_rules! time_to_live {
    ($type:ident) => {
        impl $type {
            /// Sets IP_TTL, ip(7), or IPV6_UNICAST_HOPS, ipv6(7). Policy: the option in `options.set`.
            pub fn set_ttl(&self, ttl: u32) -> std::io::Result<()> {
                self.socket.set_hop_limit(crate::net::hops(ttl)?)
            }

            /// IP_TTL, ip(7), or IPV6_UNICAST_HOPS, ipv6(7). Policy: the option in `options.get`.
            pub fn ttl(&self) -> std::io::Result<u32> {
                Ok(self.socket.hop_limit()?.into())
            }
        }
    };
}
use time_to_live;
