//! Families, types, protocols, time-outs.

use std::time::Duration;

use sockgate_policy::{Family, Kind, SocketType};

use crate::bridge::bindings::sockgate::sockets::types as wit;
use crate::socket::Timeout;

/// The families of the WIT package that have a number on Linux, address_families(7).
const FAMILIES: &[(wit::Family, u16)] = &[
    (wit::Family::Netlink, 16),
    (wit::Family::Packet, 17),
    (wit::Family::Rds, 21),
    (wit::Family::Can, 29),
    (wit::Family::Tipc, 30),
    (wit::Family::Bluetooth, 31),
    (wit::Family::Alg, 38),
    (wit::Family::Vsock, 40),
    (wit::Family::Kcm, 41),
    (wit::Family::Qipcrtr, 42),
    (wit::Family::Smc, 43),
    (wit::Family::Xdp, 44),
];

/// Stands for a family that Linux does not have: no rule grants it, and no kernel makes it.
const NOWHERE: u16 = u16::MAX;

pub(crate) fn family_from_wit(family: wit::Family) -> Family {
    match family {
        wit::Family::Inet | wit::Family::Other(2) => Family::Inet,
        wit::Family::Inet6 | wit::Family::Other(10) => Family::Inet6,
        wit::Family::Unix | wit::Family::Other(1) => Family::Unix,
        wit::Family::Other(number) => Family::Other(number),
        named => Family::Other(number_of(named)),
    }
}

fn number_of(family: wit::Family) -> u16 {
    let known = FAMILIES
        .iter()
        .find(|(known, _)| std::mem::discriminant(known) == std::mem::discriminant(&family));
    known.map_or(NOWHERE, |(_, number)| *number)
}

pub(crate) fn family_to_wit(family: Family) -> wit::Family {
    match family {
        Family::Inet => wit::Family::Inet,
        Family::Inet6 => wit::Family::Inet6,
        Family::Unix => wit::Family::Unix,
        Family::Other(number) => {
            let known = FAMILIES.iter().find(|(_, known)| *known == number);
            known.map_or(wit::Family::Other(number), |(family, _)| *family)
        }
        _ => wit::Family::Other(0),
    }
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

/// IPPROTO_* of the IP families, protocols(5).
const PROTOCOLS: &[(wit::Protocol, u32)] = &[
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

/// The protocol's number; none for the default and for those of families that are not served.
pub(crate) fn protocol_from_wit(protocol: wit::Protocol) -> Option<u32> {
    match protocol {
        wit::Protocol::Default | wit::Protocol::Other(0) => None,
        wit::Protocol::Other(number) => Some(number),
        named => {
            let same = |known: &wit::Protocol| {
                std::mem::discriminant(known) == std::mem::discriminant(&named)
            };
            let known = PROTOCOLS.iter().find(|(known, _)| same(known));
            // Of another family: a number that no IP protocol has.
            Some(known.map_or(u32::MAX >> 1, |(_, number)| *number))
        }
    }
}

pub(crate) fn protocol_to_wit(kind: Kind) -> wit::Protocol {
    if kind.family == Family::Unix || kind.protocol == 0 {
        return wit::Protocol::Default;
    }
    let known = PROTOCOLS
        .iter()
        .find(|(_, number)| *number == kind.protocol);
    known.map_or(wit::Protocol::Other(kind.protocol), |(protocol, _)| {
        *protocol
    })
}

/// Family, type and protocol with the default filled in.
pub(crate) fn kind_from_wit(
    family: wit::Family,
    socket_type: wit::SocketType,
    protocol: wit::Protocol,
) -> Kind {
    let kind = Kind::new(family_from_wit(family), socket_type_from_wit(socket_type));
    match protocol_from_wit(protocol) {
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
        assert!(matches!(family_to_wit(Family::Other(29)), wit::Family::Can));
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
