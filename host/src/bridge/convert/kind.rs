//! Families, types, protocols, time-outs.

use std::time::Duration;

use sockgate_policy::{Family, Kind, SocketType};

use crate::bridge::bindings::sockgate::sockets::types as wit;
use crate::socket::Timeout;

/// The families that both sides name, with Linux's numbers, address_families(7): a guest may say either.
const FAMILIES: &[(wit::Family, Family, u16)] = &[
    (wit::Family::Unix, Family::Unix, 1),
    (wit::Family::Inet, Family::Inet, 2),
    (wit::Family::Inet6, Family::Inet6, 10),
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

/// Stands for a family that Linux does not have: no rule grants it, and no kernel makes it.
const NOWHERE: u16 = u16::MAX;

/// Hyper-V, macOS's system, BSD's link and divert are families that Linux does not have.
pub(crate) fn family_from_wit(family: wit::Family) -> Family {
    let same = std::mem::discriminant(&family);
    let known = FAMILIES.iter().find(|(named, _, number)| match family {
        wit::Family::Other(other) => other == *number,
        _ => std::mem::discriminant(named) == same,
    });
    match (known, family) {
        (Some((_, family, _)), _) => *family,
        (None, wit::Family::Other(number)) => Family::Other(number),
        (None, _) => Family::Other(NOWHERE),
    }
}

pub(crate) fn family_to_wit(family: Family) -> wit::Family {
    let known = FAMILIES.iter().find(|(_, known, _)| *known == family);
    match (known, family) {
        (Some((named, _, _)), _) => *named,
        (None, Family::Other(number)) => wit::Family::Other(number),
        (None, _) => wit::Family::Other(NOWHERE),
    }
}

/// SOCK_DCCP, which the interface has as a number.
const DCCP: u16 = 6;

pub(crate) fn socket_type_from_wit(socket_type: wit::SocketType) -> SocketType {
    match socket_type {
        wit::SocketType::Stream | wit::SocketType::Other(1) => SocketType::Stream,
        wit::SocketType::Datagram | wit::SocketType::Other(2) => SocketType::Datagram,
        wit::SocketType::Raw | wit::SocketType::Other(3) => SocketType::Raw,
        wit::SocketType::Rdm | wit::SocketType::Other(4) => SocketType::Rdm,
        wit::SocketType::Seqpacket | wit::SocketType::Other(5) => SocketType::SeqPacket,
        wit::SocketType::Other(DCCP) => SocketType::Dccp,
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
        SocketType::Dccp => wit::SocketType::Other(DCCP),
        SocketType::Other(number) => wit::SocketType::Other(number),
    }
}

/// IPPROTO_* of the IP families, protocols(5).
const IP_PROTOCOLS: &[(wit::Protocol, u32)] = &[
    (wit::Protocol::Icmp, 1),
    (wit::Protocol::Igmp, 2),
    (wit::Protocol::Tcp, 6),
    (wit::Protocol::Udp, 17),
    (wit::Protocol::Dccp, 33),
    (wit::Protocol::Ipv6Icmp, 58),
    (wit::Protocol::L2tp, 115),
    (wit::Protocol::Sctp, 132),
    (wit::Protocol::Udplite, 136),
    (wit::Protocol::RawIp, 255),
    (wit::Protocol::Mptcp, 262),
];

/// CAN_*, linux/can.h.
const CAN_PROTOCOLS: &[(wit::Protocol, u32)] = &[
    (wit::Protocol::CanRaw, 1),
    (wit::Protocol::CanBcm, 2),
    (wit::Protocol::CanIsotp, 6),
    (wit::Protocol::CanJ1939, 7),
];

/// BTPROTO_*.
const BLUETOOTH_PROTOCOLS: &[(wit::Protocol, u32)] = &[
    (wit::Protocol::L2cap, 0),
    (wit::Protocol::Hci, 1),
    (wit::Protocol::Sco, 2),
    (wit::Protocol::Rfcomm, 3),
    (wit::Protocol::Bnep, 4),
    (wit::Protocol::Hidp, 6),
    (wit::Protocol::Iso, 8),
];

/// NETLINK_*, netlink(7).
const NETLINK_PROTOCOLS: &[(wit::Protocol, u32)] = &[
    (wit::Protocol::NetlinkRoute, 0),
    (wit::Protocol::NetlinkUsersock, 2),
    (wit::Protocol::NetlinkSockDiag, 4),
    (wit::Protocol::NetlinkNflog, 5),
    (wit::Protocol::NetlinkXfrm, 6),
    (wit::Protocol::NetlinkAudit, 9),
    (wit::Protocol::NetlinkNetfilter, 12),
    (wit::Protocol::NetlinkKobjectUevent, 15),
    (wit::Protocol::NetlinkGeneric, 16),
    (wit::Protocol::NetlinkCrypto, 21),
];

/// The protocols that have names in a family.
fn protocols(family: Family) -> &'static [(wit::Protocol, u32)] {
    match family {
        Family::Inet | Family::Inet6 => IP_PROTOCOLS,
        Family::Can => CAN_PROTOCOLS,
        Family::Bluetooth => BLUETOOTH_PROTOCOLS,
        Family::Netlink => NETLINK_PROTOCOLS,
        _ => &[],
    }
}

/// Stands for a protocol of another family: no rule grants it, and no kernel has it.
const FOREIGN: u32 = u32::MAX >> 1;

/// The protocol's number in a family; none for the default.
pub(crate) fn protocol_from_wit(family: Family, protocol: wit::Protocol) -> Option<u32> {
    match protocol {
        wit::Protocol::Default | wit::Protocol::Other(0) => None,
        wit::Protocol::Other(number) => Some(number),
        wit::Protocol::Ethertype(number) if family == Family::Packet => Some(number.into()),
        named => {
            let same = std::mem::discriminant(&named);
            let known = protocols(family)
                .iter()
                .find(|(known, _)| std::mem::discriminant(known) == same);
            Some(known.map_or(FOREIGN, |(_, number)| *number))
        }
    }
}

pub(crate) fn protocol_to_wit(kind: Kind) -> wit::Protocol {
    let known = protocols(kind.family)
        .iter()
        .find(|(_, number)| *number == kind.protocol);
    match (known, kind.family, kind.protocol) {
        (Some((protocol, _)), _, _) => *protocol,
        (None, _, 0) => wit::Protocol::Default,
        (None, Family::Packet, number) => match u16::try_from(number) {
            Ok(number) => wit::Protocol::Ethertype(number),
            Err(_) => wit::Protocol::Other(number),
        },
        (None, _, number) => wit::Protocol::Other(number),
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
    fn every_family_goes_there_and_back() {
        for (named, family, number) in FAMILIES {
            assert_eq!(family_from_wit(*named), *family);
            assert_eq!(family_from_wit(wit::Family::Other(*number)), *family);
            assert_eq!(family_from_wit(family_to_wit(*family)), *family);
        }
        assert_eq!(family_from_wit(wit::Family::Other(5)), Family::Other(5));
    }

    #[test]
    fn a_protocol_belongs_to_its_family() {
        let families = [
            Family::Inet,
            Family::Can,
            Family::Bluetooth,
            Family::Netlink,
        ];
        for family in families {
            for (named, number) in protocols(family) {
                assert_eq!(protocol_from_wit(family, *named), Some(*number));
                for other in families.into_iter().filter(|other| *other != family) {
                    assert_eq!(protocol_from_wit(other, *named), Some(FOREIGN));
                }
                let kind = Kind {
                    family,
                    socket_type: SocketType::Raw,
                    protocol: *number,
                };
                let back = protocol_from_wit(family, protocol_to_wit(kind));
                assert_eq!(back, Some(*number));
            }
        }
        let every = wit::Protocol::Ethertype(3);
        assert_eq!(protocol_from_wit(Family::Packet, every), Some(3));
        assert_eq!(protocol_from_wit(Family::Inet, every), Some(FOREIGN));
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
