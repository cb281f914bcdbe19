//! Families, types, protocols, time-outs.

use std::time::Duration;

use sockgate_policy::{Family, Kind, SocketType};

use crate::bridge::bindings::sockgate::sockets::types as wit;
use crate::socket::Timeout;

/// The families of the WIT package that Linux has, with its numbers, address_families(7).
const FAMILIES: &[(wit::Family, Family, u16)] = &[
    (wit::Family::Inet, Family::Inet, 2),
    (wit::Family::Inet6, Family::Inet6, 10),
    (wit::Family::Unix, Family::Unix, 1),
    (wit::Family::Netlink, Family::Netlink, 16),
    (wit::Family::Packet, Family::Packet, 17),
    (wit::Family::Rds, Family::Rds, 21),
    (wit::Family::Can, Family::Can, 29),
    (wit::Family::Tipc, Family::Tipc, 30),
    (wit::Family::Bluetooth, Family::Bluetooth, 31),
    (wit::Family::Alg, Family::Alg, 38),
    (wit::Family::Vsock, Family::Vsock, 40),
    (wit::Family::Kcm, Family::Kcm, 41),
    (wit::Family::Qipcrtr, Family::Qipcrtr, 42),
    (wit::Family::Smc, Family::Smc, 43),
    (wit::Family::Xdp, Family::Xdp, 44),
];

/// Stands for a family that Linux does not have (HYPERV, SYSTEM, LINK, DIVERT): no rule grants it, and no
/// kernel makes it.
const NOWHERE: u16 = u16::MAX;

pub(crate) fn family_from_wit(family: wit::Family) -> Family {
    let known = FAMILIES.iter().find(|(named, _, number)| match family {
        wit::Family::Other(other) => *number == other,
        family => std::mem::discriminant(named) == std::mem::discriminant(&family),
    });
    match (known, family) {
        (Some((_, known, _)), _) => *known,
        (None, wit::Family::Other(number)) => Family::Other(number),
        (None, _) => Family::Other(NOWHERE),
    }
}

pub(crate) fn family_to_wit(family: Family) -> wit::Family {
    if let Family::Other(number) = family {
        return wit::Family::Other(number);
    }
    let known = FAMILIES.iter().find(|(_, known, _)| *known == family);
    known.map_or(wit::Family::Other(NOWHERE), |(family, _, _)| *family)
}

pub(crate) fn socket_type_from_wit(socket_type: wit::SocketType) -> SocketType {
    match socket_type {
        wit::SocketType::Stream | wit::SocketType::Other(1) => SocketType::Stream,
        wit::SocketType::Datagram | wit::SocketType::Other(2) => SocketType::Datagram,
        wit::SocketType::Raw | wit::SocketType::Other(3) => SocketType::Raw,
        wit::SocketType::Rdm | wit::SocketType::Other(4) => SocketType::Rdm,
        wit::SocketType::Seqpacket | wit::SocketType::Other(5) => SocketType::SeqPacket,
        wit::SocketType::Other(number) => SocketType::Other(number),
    }
}

pub(crate) fn socket_type_to_wit(socket_type: SocketType) -> wit::SocketType {
    match socket_type {
        SocketType::Stream => wit::SocketType::Stream,
        SocketType::Datagram => wit::SocketType::Datagram,
        SocketType::SeqPacket => wit::SocketType::Seqpacket,
        SocketType::Raw => wit::SocketType::Raw,
        SocketType::Rdm => wit::SocketType::Rdm,
        SocketType::Other(number) => wit::SocketType::Other(number),
    }
}

/// The families whose protocols share numbers.
#[derive(Clone, Copy, PartialEq)]
enum Numbers {
    /// IPPROTO_*, protocols(5).
    Ip,
    /// CAN_*, linux/can.h.
    Can,
    /// BTPROTO_*.
    Bluetooth,
    /// NETLINK_*, netlink(7).
    Netlink,
}

impl Numbers {
    fn of(family: Family) -> Option<Numbers> {
        match family {
            Family::Inet | Family::Inet6 | Family::Smc => Some(Numbers::Ip),
            Family::Can => Some(Numbers::Can),
            Family::Bluetooth => Some(Numbers::Bluetooth),
            Family::Netlink => Some(Numbers::Netlink),
            _ => None,
        }
    }
}

const PROTOCOLS: &[(wit::Protocol, Numbers, u32)] = &[
    (wit::Protocol::Icmp, Numbers::Ip, 1),
    (wit::Protocol::Igmp, Numbers::Ip, 2),
    (wit::Protocol::Tcp, Numbers::Ip, 6),
    (wit::Protocol::Udp, Numbers::Ip, 17),
    (wit::Protocol::Dccp, Numbers::Ip, 33),
    (wit::Protocol::Ipv6Icmp, Numbers::Ip, 58),
    (wit::Protocol::L2tp, Numbers::Ip, 115),
    (wit::Protocol::Sctp, Numbers::Ip, 132),
    (wit::Protocol::Udplite, Numbers::Ip, 136),
    (wit::Protocol::RawIp, Numbers::Ip, 255),
    (wit::Protocol::Mptcp, Numbers::Ip, 262),
    (wit::Protocol::CanRaw, Numbers::Can, 1),
    (wit::Protocol::CanBcm, Numbers::Can, 2),
    (wit::Protocol::CanIsotp, Numbers::Can, 6),
    (wit::Protocol::CanJ1939, Numbers::Can, 7),
    (wit::Protocol::L2cap, Numbers::Bluetooth, 0),
    (wit::Protocol::Hci, Numbers::Bluetooth, 1),
    (wit::Protocol::Sco, Numbers::Bluetooth, 2),
    (wit::Protocol::Rfcomm, Numbers::Bluetooth, 3),
    (wit::Protocol::Bnep, Numbers::Bluetooth, 4),
    (wit::Protocol::Hidp, Numbers::Bluetooth, 6),
    (wit::Protocol::Iso, Numbers::Bluetooth, 8),
    (wit::Protocol::NetlinkRoute, Numbers::Netlink, 0),
    (wit::Protocol::NetlinkUsersock, Numbers::Netlink, 2),
    (wit::Protocol::NetlinkSockDiag, Numbers::Netlink, 4),
    (wit::Protocol::NetlinkNflog, Numbers::Netlink, 5),
    (wit::Protocol::NetlinkXfrm, Numbers::Netlink, 6),
    (wit::Protocol::NetlinkAudit, Numbers::Netlink, 9),
    (wit::Protocol::NetlinkNetfilter, Numbers::Netlink, 12),
    (wit::Protocol::NetlinkKobjectUevent, Numbers::Netlink, 15),
    (wit::Protocol::NetlinkGeneric, Numbers::Netlink, 16),
    (wit::Protocol::NetlinkCrypto, Numbers::Netlink, 21),
];

/// A number that no family has a protocol for: a named protocol of another family.
const NO_PROTOCOL: u32 = u32::MAX >> 1;

/// The protocol's number within the family; none for the default.
pub(crate) fn protocol_from_wit(family: Family, protocol: wit::Protocol) -> Option<u32> {
    match protocol {
        wit::Protocol::Default | wit::Protocol::Other(0) => None,
        wit::Protocol::Other(number) => Some(number),
        wit::Protocol::Ethertype(ethertype) if family == Family::Packet => {
            Some(u32::from(ethertype))
        }
        named => {
            let numbers = Numbers::of(family);
            let known = PROTOCOLS.iter().find(|(known, of, _)| {
                Some(*of) == numbers
                    && std::mem::discriminant(known) == std::mem::discriminant(&named)
            });
            Some(known.map_or(NO_PROTOCOL, |(_, _, number)| *number))
        }
    }
}

pub(crate) fn protocol_to_wit(kind: Kind) -> wit::Protocol {
    if let (Family::Packet, Ok(ethertype)) = (kind.family, u16::try_from(kind.protocol)) {
        return wit::Protocol::Ethertype(ethertype);
    }
    let numbers = Numbers::of(kind.family);
    let known = PROTOCOLS
        .iter()
        .find(|(_, of, number)| Some(*of) == numbers && *number == kind.protocol);
    match known {
        Some((protocol, _, _)) => *protocol,
        None if kind.protocol == 0 => wit::Protocol::Default,
        None => wit::Protocol::Other(kind.protocol),
    }
}

/// Family, type and protocol with the default filled in.
pub(crate) fn kind_from_wit(
    family: wit::Family,
    socket_type: wit::SocketType,
    protocol: wit::Protocol,
) -> Kind {
    let kind = Kind::new(family_from_wit(family), socket_type_from_wit(socket_type));
    match protocol_from_wit(kind.family, protocol) {
        Some(protocol) => Kind { protocol, ..kind },
        None => kind,
    }
}

pub(crate) fn timeout_from_wit(timeout: wit::Timeout) -> Timeout {
    match timeout {
        wit::Timeout::Blocking => Timeout::Blocking,
        wit::Timeout::NonBlocking | wit::Timeout::After(0) => Timeout::NonBlocking,
        wit::Timeout::After(nanoseconds) => Timeout::After(Duration::from_nanos(nanoseconds)),
    }
}

pub(crate) fn timeout_to_wit(timeout: Timeout) -> wit::Timeout {
    match timeout {
        Timeout::Blocking => wit::Timeout::Blocking,
        Timeout::NonBlocking => wit::Timeout::NonBlocking,
        Timeout::After(duration) => {
            wit::Timeout::After(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_by_number_is_the_family_by_name() {
        assert_eq!(family_from_wit(wit::Family::Other(1)), Family::Unix);
        assert_eq!(
            family_from_wit(wit::Family::Can),
            family_from_wit(wit::Family::Other(29))
        );
        assert!(matches!(family_to_wit(Family::Can), wit::Family::Can));
    }

    #[test]
    fn families_of_other_systems_are_nobodys() {
        assert_eq!(family_from_wit(wit::Family::Hyperv), Family::Other(NOWHERE));
    }

    #[test]
    fn the_default_protocol_is_the_kernels() {
        let kind = kind_from_wit(
            wit::Family::Inet6,
            wit::SocketType::Stream,
            wit::Protocol::Default,
        );
        assert_eq!(kind.protocol, 6);
        assert!(matches!(protocol_to_wit(kind), wit::Protocol::Tcp));
    }
}
