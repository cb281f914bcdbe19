//! What can be given as one or more IP addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{iter, option, slice, vec};

use crate::address::host_and_port;
use crate::names::{self, Hints};
use crate::types::{SocketType, Timeout};

/// [`std::net::ToSocketAddrs`] with the host's resolver: the same types, and the policy's `resolve` for
/// names. Numbers are not looked up.
pub trait ToSocketAddrs {
    /// The addresses, in the order in which they are tried.
    type Iter: Iterator<Item = SocketAddr>;

    /// The addresses; a look-up waits no longer than this.
    fn to_socket_addrs_within(&self, timeout: Timeout) -> io::Result<Self::Iter>;

    /// The addresses; a look-up waits as long as it takes.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        self.to_socket_addrs_within(Timeout::Blocking)
    }
}

macro_rules! single_addresses {
    ($($address:ty),* $(,)?) => {$(
        impl ToSocketAddrs for $address {
            type Iter = option::IntoIter<SocketAddr>;

            fn to_socket_addrs_within(&self, _: Timeout) -> io::Result<Self::Iter> {
                Ok(Some(SocketAddr::from(*self)).into_iter())
            }
        }
    )*};
}

single_addresses! {
    SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16),
}

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs_within(&self, timeout: Timeout) -> io::Result<Self::Iter> {
        let (host, port) = *self;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)].into_iter());
        }
        let hints = Hints {
            socket_type: Some(SocketType::Stream),
            timeout,
            ..Hints::default()
        };
        let addresses = names::addresses(host, port, &hints)?;
        let addresses: Vec<_> = addresses
            .iter()
            .filter_map(|address| address.as_ip())
            .collect();
        Ok(addresses.into_iter())
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs_within(&self, timeout: Timeout) -> io::Result<Self::Iter> {
        (self.0.as_str(), self.1).to_socket_addrs_within(timeout)
    }
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs_within(&self, timeout: Timeout) -> io::Result<Self::Iter> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Ok(vec![address].into_iter());
        }
        host_and_port(self)?.to_socket_addrs_within(timeout)
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs_within(&self, timeout: Timeout) -> io::Result<Self::Iter> {
        self.as_str().to_socket_addrs_within(timeout)
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = iter::Copied<slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs_within(&self, _: Timeout) -> io::Result<Self::Iter> {
        Ok(self.iter().copied())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;

    fn to_socket_addrs_within(&self, timeout: Timeout) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs_within(timeout)
    }
}
