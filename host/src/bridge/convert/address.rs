//! Addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use sockgate_policy::{
    Address, AlgAddress, BluetoothAddress, NetlinkAddress, QipcrtrAddress, UnixAddress,
    VsockAddress,
};

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

/// The address; `None` for AF_UNSPEC. Families that this host does not serve answer `afnosupport`, a
/// scope that names no interface `nodev`.
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
        wit::SocketAddress::Netlink(wit::NetlinkAddress { pid, groups }) => {
            Address::Netlink(NetlinkAddress { pid, groups })
        }
        wit::SocketAddress::Packet(packet) => Address::Packet(family::packet_from_wit(packet)),
        wit::SocketAddress::Can(can) => Address::Can(family::can_from_wit(can)),
        wit::SocketAddress::Vsock(wit::VsockAddress { cid, port, flags }) => {
            Address::Vsock(VsockAddress { cid, port, flags })
        }
        wit::SocketAddress::Tipc(tipc) => Address::Tipc(family::tipc_from_wit(tipc)),
        wit::SocketAddress::L2cap(l2cap) => Address::Bluetooth(family::l2cap_from_wit(l2cap)),
        wit::SocketAddress::Rfcomm(rfcomm) => Address::Bluetooth(BluetoothAddress::Rfcomm {
            device: rfcomm.device.into(),
            channel: rfcomm.channel,
        }),
        wit::SocketAddress::Sco(sco) => Address::Bluetooth(BluetoothAddress::Sco {
            device: sco.device.into(),
        }),
        wit::SocketAddress::Hci(wit::HciAddress { device, channel }) => {
            Address::Bluetooth(BluetoothAddress::Hci { device, channel })
        }
        wit::SocketAddress::Alg(alg) => Address::Alg(AlgAddress {
            alg_type: alg.type_,
            name: alg.name,
            feature: alg.feature,
            mask: alg.mask,
        }),
        wit::SocketAddress::Qipcrtr(wit::QipcrtrAddress { node, port }) => {
            Address::Qipcrtr(QipcrtrAddress { node, port })
        }
        wit::SocketAddress::Unspecified => return Ok(None),
        // Of other systems (Windows, macOS, BSD), and families without a case: no rule grants those.
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
        Address::Netlink(NetlinkAddress { pid, groups }) => {
            wit::SocketAddress::Netlink(wit::NetlinkAddress {
                pid: *pid,
                groups: *groups,
            })
        }
        Address::Packet(packet) => wit::SocketAddress::Packet(family::packet_to_wit(packet)),
        Address::Can(can) => wit::SocketAddress::Can(family::can_to_wit(can)),
        Address::Vsock(VsockAddress { cid, port, flags }) => {
            wit::SocketAddress::Vsock(wit::VsockAddress {
                cid: *cid,
                port: *port,
                flags: *flags,
            })
        }
        Address::Tipc(tipc) => wit::SocketAddress::Tipc(family::tipc_to_wit(tipc)),
        Address::Bluetooth(bluetooth) => family::bluetooth_to_wit(bluetooth),
        Address::Alg(alg) => wit::SocketAddress::Alg(wit::AlgAddress {
            type_: alg.alg_type.clone(),
            name: alg.name.clone(),
            feature: alg.feature,
            mask: alg.mask,
        }),
        Address::Qipcrtr(QipcrtrAddress { node, port }) => {
            wit::SocketAddress::Qipcrtr(wit::QipcrtrAddress {
                node: *node,
                port: *port,
            })
        }
    }
}

fn scope_to_wit(index: u32) -> wit::Scope {
    if index == 0 {
        return wit::Scope::Unscoped;
    }
    names::scope_name(index).map_or(wit::Scope::Index(index), wit::Scope::Interface)
}
