//! Addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use sockgate_policy::{Address, UnixAddress};

use super::family;

use crate::bridge::bindings::sockgate::sockets::{addresses as wit, names as wit_names};
use crate::socket::{Errno, names};

pub(crate) fn v4_from_wit((a, b, c, d): wit::Ipv4Address) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

pub(crate) fn v4_to_wit(ip: Ipv4Addr) -> wit::Ipv4Address {
    let [a, b, c, d] = ip.octets();
    (a, b, c, d)
}

pub(crate) fn v6_from_wit((a, b, c, d, e, f, g, h): wit::Ipv6Address) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, e, f, g, h)
}

pub(crate) fn v6_to_wit(ip: Ipv6Addr) -> wit::Ipv6Address {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    (a, b, c, d, e, f, g, h)
}

pub(crate) fn ip_from_wit(ip: wit_names::IpAddress) -> IpAddr {
    match ip {
        wit_names::IpAddress::V4(four) => IpAddr::V4(v4_from_wit(four)),
        wit_names::IpAddress::V6(six) => IpAddr::V6(v6_from_wit(six)),
    }
}

pub(crate) fn ip_to_wit(ip: IpAddr) -> wit_names::IpAddress {
    match ip {
        IpAddr::V4(four) => wit_names::IpAddress::V4(v4_to_wit(four)),
        IpAddr::V6(six) => wit_names::IpAddress::V6(v6_to_wit(six)),
    }
}

/// The address; `None` for AF_UNSPEC. A scope that names no interface answers `nodev`.
///
/// Linux has no Hyper-V, system and link addresses, and a family without a case of its own has no rules
/// that could grant it: they answer `afnosupport`, as does a family with a case of its own that is written
/// in bytes.
pub(crate) fn address_from_wit(address: wit::SocketAddress) -> Result<Option<Address>, Errno> {
    Ok(Some(match address {
        wit::SocketAddress::Inet(inet) => {
            Address::Inet(SocketAddrV4::new(v4_from_wit(inet.address), inet.port))
        }
        wit::SocketAddress::Inet6(inet) => Address::Inet6(SocketAddrV6::new(
            v6_from_wit(inet.address),
            inet.port,
            inet.flowinfo,
            scope_from_wit(inet.scope)?,
        )),
        wit::SocketAddress::Unix(unix) => Address::Unix(match unix {
            wit::UnixAddress::Unnamed => UnixAddress::Unnamed,
            wit::UnixAddress::Pathname(path) => UnixAddress::Pathname(path),
            wit::UnixAddress::Abstract(name) => UnixAddress::Abstract(name),
        }),
        wit::SocketAddress::Netlink(address) => family::netlink_from_wit(address),
        wit::SocketAddress::Packet(address) => family::packet_from_wit(address),
        wit::SocketAddress::Can(address) => family::can_from_wit(address),
        wit::SocketAddress::Vsock(address) => family::vsock_from_wit(address),
        wit::SocketAddress::Tipc(address) => family::tipc_from_wit(address),
        wit::SocketAddress::L2cap(address) => family::l2cap_from_wit(address),
        wit::SocketAddress::Rfcomm(address) => family::rfcomm_from_wit(address),
        wit::SocketAddress::Sco(address) => family::sco_from_wit(address),
        wit::SocketAddress::Hci(address) => family::hci_from_wit(address),
        wit::SocketAddress::Alg(address) => family::alg_from_wit(address),
        wit::SocketAddress::Qipcrtr(address) => family::qipcrtr_from_wit(address),
        wit::SocketAddress::Unspecified => return Ok(None),
        wit::SocketAddress::Hyperv(_)
        | wit::SocketAddress::System(_)
        | wit::SocketAddress::Link(_)
        | wit::SocketAddress::Other(_) => return Err(Errno::AFNOSUPPORT),
    }))
}

fn scope_from_wit(scope: wit::Scope) -> Result<u32, Errno> {
    match scope {
        wit::Scope::Unscoped => Ok(0),
        wit::Scope::Index(index) => Ok(index),
        wit::Scope::Interface(name) => names::scope_index(&name).map_err(|_| Errno::NODEV),
    }
}

pub(crate) fn address_to_wit(address: &Address) -> wit::SocketAddress {
    match address {
        Address::Inet(inet) => wit::SocketAddress::Inet(wit::InetAddress {
            address: v4_to_wit(*inet.ip()),
            port: inet.port(),
        }),
        Address::Inet6(inet) => wit::SocketAddress::Inet6(wit::Inet6Address {
            address: v6_to_wit(*inet.ip()),
            port: inet.port(),
            flowinfo: inet.flowinfo(),
            scope: scope_to_wit(inet.scope_id()),
        }),
        Address::Unix(unix) => wit::SocketAddress::Unix(match unix {
            UnixAddress::Unnamed => wit::UnixAddress::Unnamed,
            UnixAddress::Pathname(path) => wit::UnixAddress::Pathname(path.clone()),
            UnixAddress::Abstract(name) => wit::UnixAddress::Abstract(name.clone()),
        }),
        Address::Netlink(address) => family::netlink_to_wit(address),
        Address::Packet(address) => family::packet_to_wit(address),
        Address::Can(address) => family::can_to_wit(address),
        Address::Vsock(address) => family::vsock_to_wit(address),
        Address::Tipc(address) => family::tipc_to_wit(address),
        Address::Bluetooth(address) => family::bluetooth_to_wit(address),
        Address::Alg(address) => family::alg_to_wit(address),
        Address::Qipcrtr(address) => family::qipcrtr_to_wit(address),
    }
}

fn scope_to_wit(index: u32) -> wit::Scope {
    if index == 0 {
        return wit::Scope::Unscoped;
    }
    names::scope_name(index).map_or(wit::Scope::Index(index), wit::Scope::Interface)
}
