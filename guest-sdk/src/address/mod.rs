//! Socket addresses, and what can be given in their place. IP and Unix addresses are here; every other
//! family has a file of its own.

mod bluetooth;
mod can;
mod given;
mod netlink;
mod packet;
mod rest;
mod tipc;
mod vsock;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::Path;

pub use crate::bindings::sockgate::sockets::addresses::{
    AlgAddress, BluetoothAddressType, BluetoothDevice, CanAddress, CanEndpoint, CanId, Guid,
    HciAddress, HypervAddress, Inet6Address, InetAddress, IsotpAddress, J1939Address, L2capAddress,
    LinkAddress, NetlinkAddress, OtherAddress, PacketAddress, PacketType, QipcrtrAddress,
    RfcommAddress, ScoAddress, Scope, SocketAddress, SystemAddress, TipcAddress, TipcEndpoint,
    TipcId, TipcName, TipcNameSequence, UnixAddress, VsockAddress,
};

pub use bluetooth::{ANY_DEVICE, parse_device};
pub use given::ToAddress;
pub(crate) use given::host_and_port;

use crate::names;

/// An error of the host's: it answered an address of another family than this socket has.
pub(crate) fn foreign(address: &SocketAddress, wanted: &str) -> io::Error {
    let text = format!("the host answered {address}, which is no {wanted} address");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Makes one family's address go wherever a [`SocketAddress`] goes, and come back out of it.
macro_rules! family_address {
    ($address:ident, $case:ident, $get:ident, $name:literal) => {
        impl From<$address> for crate::SocketAddress {
            fn from(address: $address) -> Self {
                Self::$case(address)
            }
        }

        impl TryFrom<crate::SocketAddress> for $address {
            type Error = std::io::Error;

            fn try_from(address: crate::SocketAddress) -> std::io::Result<Self> {
                match address {
                    crate::SocketAddress::$case(address) => Ok(address),
                    other => Err(super::foreign(&other, $name)),
                }
            }
        }

        impl crate::ToAddress for $address {
            fn to_address(
                &self,
                _: &crate::Socket,
            ) -> std::io::Result<std::borrow::Cow<'_, crate::SocketAddress>> {
                Ok(std::borrow::Cow::Owned(self.clone().into()))
            }
        }

        impl crate::SocketAddress {
            #[doc = concat!("The ", $name, " address, if it is one.")]
            pub fn $get(&self) -> Option<&$address> {
                match self {
                    Self::$case(address) => Some(address),
                    _ => None,
                }
            }
        }
    };
}
use family_address;

/// The parts of an IPv4 address as the WIT package has them.
pub(crate) fn ipv4_parts(ip: Ipv4Addr) -> (u8, u8, u8, u8) {
    ip.octets().into()
}

/// The parts of an IPv6 address as the WIT package has them.
pub(crate) fn ipv6_parts(ip: Ipv6Addr) -> (u16, u16, u16, u16, u16, u16, u16, u16) {
    ip.segments().into()
}

impl InetAddress {
    /// The address as std has it.
    pub fn ip(&self) -> Ipv4Addr {
        <[u8; 4]>::from(self.address).into()
    }
}

impl Inet6Address {
    /// The address as std has it, without its scope.
    pub fn ip(&self) -> Ipv6Addr {
        <[u16; 8]>::from(self.address).into()
    }
}

impl From<SocketAddrV4> for InetAddress {
    fn from(address: SocketAddrV4) -> Self {
        Self {
            address: ipv4_parts(*address.ip()),
            port: address.port(),
        }
    }
}

impl From<InetAddress> for SocketAddrV4 {
    fn from(address: InetAddress) -> Self {
        Self::new(address.ip(), address.port)
    }
}

impl From<SocketAddrV6> for Inet6Address {
    fn from(address: SocketAddrV6) -> Self {
        Self {
            address: ipv6_parts(*address.ip()),
            port: address.port(),
            flowinfo: address.flowinfo(),
            scope: match address.scope_id() {
                0 => Scope::Unscoped,
                index => Scope::Index(index),
            },
        }
    }
}

/// std has interface indexes where the host has names: a named scope is looked up (operation
/// `interfaces`), and is 0 where the policy does not grant that.
impl From<&Inet6Address> for SocketAddrV6 {
    fn from(address: &Inet6Address) -> Self {
        let scope = match &address.scope {
            Scope::Unscoped => 0,
            Scope::Index(index) => *index,
            Scope::Interface(name) => names::interface_index(name).unwrap_or(0),
        };
        Self::new(address.ip(), address.port, address.flowinfo, scope)
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::Inet(v4.into()),
            SocketAddr::V6(v6) => Self::Inet6(v6.into()),
        }
    }
}

impl From<SocketAddrV4> for SocketAddress {
    fn from(address: SocketAddrV4) -> Self {
        Self::Inet(address.into())
    }
}

impl From<SocketAddrV6> for SocketAddress {
    fn from(address: SocketAddrV6) -> Self {
        Self::Inet6(address.into())
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for SocketAddress {
    fn from((ip, port): (I, u16)) -> Self {
        SocketAddr::new(ip.into(), port).into()
    }
}

impl From<UnixAddress> for SocketAddress {
    fn from(address: UnixAddress) -> Self {
        Self::Unix(address)
    }
}

impl SocketAddress {
    /// The address as std has it, for `inet` and `inet6`. A named scope becomes an interface index, or 0
    /// where the policy does not grant `interfaces`.
    pub fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(SocketAddr::V4((*address).into())),
            Self::Inet6(address) => Some(SocketAddr::V6(address.into())),
            _ => None,
        }
    }

    /// The Unix address, for `unix`.
    pub fn as_unix(&self) -> Option<&UnixAddress> {
        match self {
            Self::Unix(address) => Some(address),
            _ => None,
        }
    }
}

/// [`SocketAddress::as_ip`] for sockets that have IP addresses only.
pub(crate) fn std_address(address: &SocketAddress) -> io::Result<SocketAddr> {
    address.as_ip().ok_or_else(|| foreign(address, "IP"))
}

impl TryFrom<SocketAddress> for SocketAddr {
    type Error = io::Error;

    fn try_from(address: SocketAddress) -> io::Result<Self> {
        std_address(&address)
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => SocketAddrV4::from(*address).fmt(f),
            Self::Inet6(address) => match &address.scope {
                Scope::Unscoped => write!(f, "[{}]:{}", address.ip(), address.port),
                Scope::Interface(name) => {
                    write!(f, "[{}%{name}]:{}", address.ip(), address.port)
                }
                Scope::Index(index) => write!(f, "[{}%{index}]:{}", address.ip(), address.port),
            },
            Self::Unix(address) => address.fmt(f),
            Self::Netlink(address) => address.fmt(f),
            Self::Packet(address) => address.fmt(f),
            Self::Can(address) => address.fmt(f),
            Self::Vsock(address) => address.fmt(f),
            Self::Tipc(address) => address.fmt(f),
            Self::L2cap(address) => address.fmt(f),
            Self::Rfcomm(address) => address.fmt(f),
            Self::Sco(address) => address.fmt(f),
            Self::Hci(address) => address.fmt(f),
            Self::Alg(address) => address.fmt(f),
            Self::Qipcrtr(address) => address.fmt(f),
            Self::Hyperv(address) => address.fmt(f),
            Self::System(address) => address.fmt(f),
            Self::Link(address) => address.fmt(f),
            Self::Unspecified => f.write_str("(unspecified)"),
            Self::Other(address) => address.fmt(f),
        }
    }
}

impl UnixAddress {
    /// A path in the host's file system; at most 107 bytes for bind (unix(7)).
    pub fn from_pathname(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().as_os_str().as_encoded_bytes();
        if path.is_empty() || path.contains(&0) {
            let text = "a Unix socket's path is not empty and holds no NUL";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self::Pathname(path.to_vec()))
    }

    /// A name in the abstract namespace, without the leading NUL (unix(7)).
    pub fn from_abstract_name(name: impl AsRef<[u8]>) -> Self {
        Self::Abstract(name.as_ref().to_vec())
    }

    /// The path, if it is one and is UTF-8; the bytes are in [`UnixAddress::Pathname`].
    pub fn as_pathname(&self) -> Option<&Path> {
        match self {
            Self::Pathname(path) => std::str::from_utf8(path).ok().map(Path::new),
            _ => None,
        }
    }

    /// The abstract name, if it is one.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match self {
            Self::Abstract(name) => Some(name),
            _ => None,
        }
    }

    /// Whether there is no name: an end of a pair, or a client that never bound.
    pub fn is_unnamed(&self) -> bool {
        *self == Self::Unnamed
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("(unnamed)"),
            Self::Pathname(path) => f.write_str(&String::from_utf8_lossy(path)),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn std_s_addresses_go_through_unchanged() {
        for text in ["127.0.0.1:80", "[::1]:443", "[fe80::1%7]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            let ours = SocketAddress::from(address);
            assert_eq!(ours.to_string(), text);
            assert_eq!(SocketAddr::try_from(ours).unwrap(), address);
        }
    }

    #[test]
    fn unix_addresses_show_what_they_are() {
        let path = UnixAddress::from_pathname("/run/a.sock").unwrap();
        assert_eq!(path.as_pathname(), Some(Path::new("/run/a.sock")));
        assert_eq!(path.to_string(), "/run/a.sock");
        let name = UnixAddress::from_abstract_name(b"a\0b");
        assert_eq!(name.as_abstract_name(), Some(&b"a\0b"[..]));
        assert_eq!(name.to_string(), "@a\\x00b");
        assert!(UnixAddress::from_pathname("").is_err());
        assert!(UnixAddress::from_pathname("a\0b").is_err());
        assert!(std_address(&path.into()).is_err());
    }
}
