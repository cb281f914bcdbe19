//! Options of IP sockets whose value is more than an `int`, ip(7), ipv6(7), and those of TCP, tcp(7).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::RangeInclusive;

use crate::consts::*;
use crate::socket::Socket;
use crate::types::Family;
use crate::wire::{malformed, sockaddr, unfit};

/// IP_MTU_DISCOVER and IPV6_MTU_DISCOVER: what becomes of packets that are too large for the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MtuDiscovery {
    /// They are fragmented.
    Off,
    /// What the route says.
    Wanted,
    /// They are refused with [`Errno::MSGSIZE`](crate::Errno::MSGSIZE); packets say "don't fragment".
    Always,
    /// The same, but the MTU that was found is not heeded: for programs that probe the path.
    Probe,
    /// Packets are as large as the interface's MTU, whatever ICMP says.
    Interface,
    /// Like `Interface`, but larger ones are fragmented.
    Omit,
    /// One that this package does not know.
    Other(i32),
}

const DISCOVERY: [MtuDiscovery; 6] = [
    MtuDiscovery::Off,
    MtuDiscovery::Wanted,
    MtuDiscovery::Always,
    MtuDiscovery::Probe,
    MtuDiscovery::Interface,
    MtuDiscovery::Omit,
];

impl MtuDiscovery {
    fn from_number(number: i32) -> Self {
        let known = usize::try_from(number).ok();
        let known = known.and_then(|place| DISCOVERY.get(place).copied());
        known.unwrap_or(Self::Other(number))
    }

    fn number(self) -> i32 {
        match self {
            Self::Other(number) => number,
            known => DISCOVERY
                .iter()
                .position(|one| *one == known)
                .unwrap_or_default() as i32,
        }
    }
}

/// What the IPv4 header's options may be at most, in bytes.
const MOST_IP_OPTIONS: u32 = 40;

/// `sizeof(struct sockaddr_storage)`
const STORAGE: usize = 128;

/// Longest TCP MD5 key, TCP_MD5SIG_MAXKEYLEN.
const LONGEST_KEY: usize = 80;

/// Structured options of IP sockets, ip(7), ipv6(7). Policy: each is granted by name.
impl Socket {
    /// IP_MTU_DISCOVER or IPV6_MTU_DISCOVER
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn mtu_discovery(&self) -> io::Result<MtuDiscovery> {
        let (level, name) = self.by_family(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER)?;
        self.option(level, name).map(MtuDiscovery::from_number)
    }

    /// Sets [`mtu_discovery`](Self::mtu_discovery).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_mtu_discovery(&self, discovery: MtuDiscovery) -> io::Result<()> {
        let (level, name) = self.by_family(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER)?;
        self.set_number(level, name, discovery.number())
    }

    /// IPV6_PATHMTU: the path's MTU in bytes; needs a connection.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn path_mtu(&self) -> io::Result<u32> {
        // struct ip6_mtuinfo: a sockaddr_in6, then the number.
        let info: [u8; 32] = self.fixed(SOL_IPV6, IPV6_PATHMTU)?;
        let [.., a, b, c, d] = info;
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    /// IP_OPTIONS: the options in the header of every packet, as RFC 791 has them.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn ip_options(&self) -> io::Result<Vec<u8>> {
        self.raw_option(SOL_IP, IP_OPTIONS, MOST_IP_OPTIONS)
    }

    /// Sets [`ip_options`](Self::ip_options), at most 40 bytes; none of them takes them out.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_ip_options(&self, options: &[u8]) -> io::Result<()> {
        self.set_raw_option(SOL_IP, IP_OPTIONS, options)
    }

    /// IP_LOCAL_PORT_RANGE: which ports the kernel chooses from for this socket; none is the system's range.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn local_port_range(&self) -> io::Result<Option<RangeInclusive<u16>>> {
        let bounds = self.number(SOL_IP, IP_LOCAL_PORT_RANGE)?.to_le_bytes();
        let [low, high] = [[bounds[0], bounds[1]], [bounds[2], bounds[3]]].map(u16::from_le_bytes);
        Ok((low != 0 || high != 0).then_some(low..=high))
    }

    /// Sets [`local_port_range`](Self::local_port_range).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_local_port_range(&self, range: Option<RangeInclusive<u16>>) -> io::Result<()> {
        let (low, high) = range.map_or((0, 0), RangeInclusive::into_inner);
        let bounds = u32::from(low) | u32::from(high) << 16;
        self.set_number(SOL_IP, IP_LOCAL_PORT_RANGE, bounds.cast_signed())
    }

    /// IP_UNICAST_IF or IPV6_UNICAST_IF: the interface, by index, that unicast leaves by; 0 is as routed.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn unicast_interface(&self) -> io::Result<u32> {
        let (level, name) = self.by_family(IP_UNICAST_IF, IPV6_UNICAST_IF)?;
        // In network byte order, unlike every other index.
        self.fixed(level, name).map(u32::from_be_bytes)
    }

    /// Sets [`unicast_interface`](Self::unicast_interface).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_unicast_interface(&self, index: u32) -> io::Result<()> {
        let (level, name) = self.by_family(IP_UNICAST_IF, IPV6_UNICAST_IF)?;
        self.set_raw_option(level, name, &index.to_be_bytes())
    }

    /// SO_ORIGINAL_DST: where a connection was going before the packet filter redirected it here.
    /// [`Errno::NOPROTOOPT`](crate::Errno::NOPROTOOPT) without connection tracking,
    /// [`Errno::NOENT`](crate::Errno::NOENT) where it was not redirected.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn original_destination(&self) -> io::Result<SocketAddr> {
        match self.family()? {
            Family::Inet6 => {
                let address: [u8; 28] = self.fixed(SOL_IPV6, SO_ORIGINAL_DST)?;
                let port = u16::from_be_bytes([address[2], address[3]]);
                let ip = address[8..].first_chunk::<16>();
                let ip = Ipv6Addr::from(*ip.ok_or_else(|| malformed("a short address"))?);
                Ok(SocketAddrV6::new(ip, port, 0, 0).into())
            }
            _ => {
                let address: [u8; 16] = self.fixed(SOL_IP, SO_ORIGINAL_DST)?;
                let port = u16::from_be_bytes([address[2], address[3]]);
                let ip = Ipv4Addr::new(address[4], address[5], address[6], address[7]);
                Ok(SocketAddrV4::new(ip, port).into())
            }
        }
    }
}

/// Structured options of TCP sockets, tcp(7). Policy: each is granted by name.
impl Socket {
    /// TCP_SAVED_SYN: the headers that an accepted connection began with, from the network layer on. They are told
    /// once, where [`save_syn`](Self::save_syn) was on at the listener; otherwise this is empty.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn saved_syn(&self) -> io::Result<Vec<u8>> {
        self.raw_option(SOL_TCP, TCP_SAVED_SYN, 4096)
    }

    /// TCP_CC_INFO: what the congestion control tells of itself, in its own structure.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn congestion_info(&self) -> io::Result<Vec<u8>> {
        self.raw_option(SOL_TCP, TCP_CC_INFO, 256)
    }

    /// TCP_FASTOPEN_KEY: the key that cookies are made with, 16 bytes, or 32 with the one before.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn fast_open_key(&self) -> io::Result<Vec<u8>> {
        self.raw_option(SOL_TCP, TCP_FASTOPEN_KEY, 32)
    }

    /// Sets [`fast_open_key`](Self::fast_open_key).
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_fast_open_key(&self, key: &[u8]) -> io::Result<()> {
        self.set_raw_option(SOL_TCP, TCP_FASTOPEN_KEY, key)
    }

    /// TCP_ULP: the protocol above TCP (`tls`) that the kernel was given; empty where there is none.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn upper_layer(&self) -> io::Result<String> {
        let name = self.raw_option(SOL_TCP, TCP_ULP, 16)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// Sets [`upper_layer`](Self::upper_layer); it stays until the connection ends.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_upper_layer(&self, name: &str) -> io::Result<()> {
        self.set_raw_option(SOL_TCP, TCP_ULP, name.as_bytes())
    }

    /// TCP_MD5SIG: signs what goes to this address, and takes from it only what is signed, RFC 2385. An empty key
    /// ends it. At most 80 bytes.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
    pub fn set_md5_signature(&self, peer: SocketAddr, key: &[u8]) -> io::Result<()> {
        if key.len() > LONGEST_KEY {
            return Err(unfit(format!(
                "a key of {} bytes, where {LONGEST_KEY} is the most",
                key.len()
            )));
        }
        self.set_raw_option(SOL_TCP, TCP_MD5SIG, &signature(peer, key))
    }
}

/// `struct tcp_md5sig`
fn signature(peer: SocketAddr, key: &[u8]) -> Vec<u8> {
    let mut bytes = storage(peer);
    // Flags, the length of a prefix, the key's length, an interface: all of the address alone.
    bytes.extend([0, 0]);
    bytes.extend((key.len() as u16).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(key);
    bytes.resize(STORAGE + 8 + LONGEST_KEY, 0);
    bytes
}

/// `struct sockaddr_storage`
fn storage(address: SocketAddr) -> Vec<u8> {
    let mut bytes = sockaddr(address);
    bytes.resize(STORAGE, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_survives_its_number() {
        for number in -1..8 {
            assert_eq!(MtuDiscovery::from_number(number).number(), number);
        }
        assert_eq!(MtuDiscovery::from_number(2), MtuDiscovery::Always);
    }

    #[test]
    fn signatures_are_what_the_kernel_has() {
        let bytes = signature("192.0.2.1:179".parse().unwrap(), b"secret");
        assert_eq!(bytes.len(), 216);
        assert_eq!(bytes[..8], [2, 0, 0, 179, 192, 0, 2, 1]);
        assert_eq!(bytes[128..142], *b"\0\0\x06\0\0\0\0\0secret");
        let six = storage("[::1]:1".parse().unwrap());
        assert_eq!((six.len(), six[0], six[23]), (128, 10, 1));
    }
}
