//! Addresses as the policy judges them.
//!
//! A guest may spell one destination in many ways (`::ffff:10.0.0.1`, `::10.0.0.1`, `10.0.0.1`); the
//! policy knows one form of each. See ip(7), ipv6(7) and unix(7).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::family::{
    AlgAddress, BluetoothAddress, CanAddress, NetlinkAddress, PacketAddress, QipcrtrAddress,
    TipcAddress, VsockAddress,
};
use crate::kind::Family;

/// The address of a socket or of its peer. Ports are in host byte order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// IPv4, see ip(7).
    Inet(SocketAddrV4),
    /// IPv6, see ipv6(7). Flow information and scope are carried along and not judged.
    Inet6(SocketAddrV6),
    /// The Unix domain, see unix(7).
    Unix(UnixAddress),
    /// The kernel's subsystems, see netlink(7).
    Netlink(NetlinkAddress),
    /// Frames of network interfaces, see packet(7).
    Packet(PacketAddress),
    /// CAN buses.
    Can(CanAddress),
    /// Virtual machines and their host, see vsock(7).
    Vsock(VsockAddress),
    /// Services of a cluster.
    Tipc(TipcAddress),
    /// Bluetooth devices.
    Bluetooth(BluetoothAddress),
    /// The kernel's algorithms.
    Alg(AlgAddress),
    /// The processors of a Qualcomm device.
    Qipcrtr(QipcrtrAddress),
}

/// An address in the Unix domain, see unix(7).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixAddress {
    /// A socket that was never bound, and both ends of a socketpair(2).
    Unnamed,
    /// A name in the file system, without the final NUL.
    Pathname(Vec<u8>),
    /// A name in the abstract namespace, without the leading NUL. Every byte counts, NUL included.
    Abstract(Vec<u8>),
}

impl Address {
    /// The form that is judged: an IPv4-mapped or IPv4-compatible IPv6 address becomes the IPv4 address
    /// inside (`::` and `::1` stay what they are), everything else is itself.
    #[must_use]
    pub fn canonical(&self) -> Address {
        if let Address::Inet6(six) = self
            && let Some(four) = ipv4_inside(*six.ip())
        {
            return Address::Inet(SocketAddrV4::new(four, six.port()));
        }
        self.clone()
    }

    /// The canonical form as a *destination*: the kernel takes `0.0.0.0` and `::` for the loopback
    /// address there, so they are judged (and connected to) as that; it does not look at a scope of TIPC.
    #[must_use]
    pub fn canonical_destination(&self) -> Address {
        match self.canonical() {
            Address::Inet(four) if four.ip().is_unspecified() => {
                Address::Inet(SocketAddrV4::new(Ipv4Addr::LOCALHOST, four.port()))
            }
            Address::Inet6(six) if six.ip().is_unspecified() => Address::Inet6(SocketAddrV6::new(
                Ipv6Addr::LOCALHOST,
                six.port(),
                six.flowinfo(),
                0,
            )),
            // Only a binding has a scope: whom a name finds does not depend on it.
            Address::Tipc(tipc) => Address::Tipc(tipc.as_destination()),
            other => other,
        }
    }

    /// The IP address, for the IP families.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Address::Inet(four) => Some(IpAddr::V4(*four.ip())),
            Address::Inet6(six) => Some(IpAddr::V6(*six.ip())),
            _ => None,
        }
    }

    /// The port, for the IP families.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Inet(four) => Some(four.port()),
            Address::Inet6(six) => Some(six.port()),
            _ => None,
        }
    }

    /// The family that the address belongs to.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Address::Inet(_) => Family::Inet,
            Address::Inet6(_) => Family::Inet6,
            Address::Unix(_) => Family::Unix,
            Address::Netlink(_) => Family::Netlink,
            Address::Packet(_) => Family::Packet,
            Address::Can(_) => Family::Can,
            Address::Vsock(_) => Family::Vsock,
            Address::Tipc(_) => Family::Tipc,
            Address::Bluetooth(_) => Family::Bluetooth,
            Address::Alg(_) => Family::Alg,
            Address::Qipcrtr(_) => Family::Qipcrtr,
        }
    }

    /// Whether this is `0.0.0.0` or `::`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }
}

/// The IPv4 address that a mapped (`::ffff:a.b.c.d`) or compatible (`::a.b.c.d`) IPv6 address stands for.
pub(crate) fn ipv4_inside(six: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(mapped) = six.to_ipv4_mapped() {
        return Some(mapped);
    }
    let compatible = six.segments()[..6].iter().all(|segment| *segment == 0);
    if !compatible || six.is_unspecified() || six.is_loopback() {
        return None;
    }
    let [.., a, b, c, d] = six.octets();
    Some(Ipv4Addr::new(a, b, c, d))
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        match address {
            SocketAddr::V4(four) => Address::Inet(four),
            SocketAddr::V6(six) => Address::Inet6(six),
        }
    }
}

impl From<UnixAddress> for Address {
    fn from(address: UnixAddress) -> Address {
        Address::Unix(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(four) => four.fmt(f),
            Address::Inet6(six) => six.fmt(f),
            Address::Unix(unix) => unix.fmt(f),
            Address::Netlink(address) => address.fmt(f),
            Address::Packet(address) => address.fmt(f),
            Address::Can(address) => address.fmt(f),
            Address::Vsock(address) => address.fmt(f),
            Address::Tipc(address) => address.fmt(f),
            Address::Bluetooth(address) => address.fmt(f),
            Address::Alg(address) => address.fmt(f),
            Address::Qipcrtr(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for UnixAddress {
    /// Control characters and bytes that are no UTF-8 appear escaped, so that a name cannot forge a line
    /// of a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnixAddress::Unnamed => f.write_str("(unnamed)"),
            UnixAddress::Pathname(path) => write_bytes(f, path),
            UnixAddress::Abstract(name) => {
                f.write_str("@")?;
                write_bytes(f, name)
            }
        }
    }
}

pub(crate) fn write_bytes(f: &mut dyn fmt::Write, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Address {
        text.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn mapped_and_compatible_addresses_become_ipv4() {
        assert_eq!(ip("[::ffff:10.0.0.1]:80").canonical(), ip("10.0.0.1:80"));
        assert_eq!(ip("[::10.0.0.1]:80").canonical(), ip("10.0.0.1:80"));
        assert_eq!(ip("[::ffff:0.0.0.0]:80").canonical(), ip("0.0.0.0:80"));
        assert_eq!(ip("[::2]:80").canonical(), ip("0.0.0.2:80"));
    }

    #[test]
    fn unspecified_and_loopback_ipv6_stay() {
        assert_eq!(ip("[::]:80").canonical(), ip("[::]:80"));
        assert_eq!(ip("[::1]:80").canonical(), ip("[::1]:80"));
        assert_eq!(ip("[2001:db8::1]:80").canonical(), ip("[2001:db8::1]:80"));
    }

    #[test]
    fn an_unspecified_destination_is_loopback() {
        assert_eq!(ip("0.0.0.0:80").canonical_destination(), ip("127.0.0.1:80"));
        assert_eq!(ip("[::]:80").canonical_destination(), ip("[::1]:80"));
        assert_eq!(
            ip("[::ffff:0.0.0.0]:80").canonical_destination(),
            ip("127.0.0.1:80")
        );
    }

    #[test]
    fn names_are_written_as_people_write_them() {
        assert_eq!(ip("[::1]:80").to_string(), "[::1]:80");
        assert_eq!(
            Address::Unix(UnixAddress::Pathname(b"/run/x.sock".to_vec())).to_string(),
            "/run/x.sock"
        );
        assert_eq!(
            Address::Unix(UnixAddress::Abstract(b"na\0me\n".to_vec())).to_string(),
            "@na\\u{0}me\\n"
        );
        assert_eq!(Address::Unix(UnixAddress::Unnamed).to_string(), "(unnamed)");
        assert_eq!(
            Address::Unix(UnixAddress::Pathname(vec![b'/', 0xff])).to_string(),
            "/\\xff"
        );
    }
}
