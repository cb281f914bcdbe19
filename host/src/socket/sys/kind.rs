//! Families, types and protocols as the numbers of socket(2).

use libc::c_int;
use sockgate_policy::{Family, Kind, SocketType};

use super::qipcrtr::AF_QIPCRTR;

/// The families with their AF_* numbers, address_families(7).
const FAMILIES: &[(Family, c_int)] = &[
    (Family::Inet, libc::AF_INET),
    (Family::Inet6, libc::AF_INET6),
    (Family::Unix, libc::AF_UNIX),
    (Family::Netlink, libc::AF_NETLINK),
    (Family::Packet, libc::AF_PACKET),
    (Family::Can, libc::AF_CAN),
    (Family::Vsock, libc::AF_VSOCK),
    (Family::Tipc, libc::AF_TIPC),
    (Family::Alg, libc::AF_ALG),
    (Family::Bluetooth, libc::AF_BLUETOOTH),
    (Family::Qipcrtr, AF_QIPCRTR),
    (Family::Rds, libc::AF_RDS),
    // libc does not name them on every target.
    (Family::Kcm, 41),
    (Family::Smc, 43),
    (Family::Xdp, 44),
];

/// AF_*. Those that [`Family`] names by number are as they are.
pub(super) fn domain(family: Family) -> c_int {
    let known = FAMILIES.iter().find(|(known, _)| *known == family);
    match (known, family) {
        (Some((_, number)), _) => *number,
        (None, Family::Other(number)) => c_int::from(number),
        // AF_UNSPEC, which socket(2) refuses; a test sees that no family comes here.
        (None, _) => libc::AF_UNSPEC,
    }
}

/// SOCK_*
pub(super) fn style(socket_type: SocketType) -> c_int {
    match socket_type {
        SocketType::Stream => libc::SOCK_STREAM,
        SocketType::Datagram => libc::SOCK_DGRAM,
        SocketType::SeqPacket => libc::SOCK_SEQPACKET,
        SocketType::Raw => libc::SOCK_RAW,
        SocketType::Rdm => libc::SOCK_RDM,
        SocketType::Dccp => libc::SOCK_DCCP,
        // Flags of socket(2) share the argument with the type: they must not come from outside.
        SocketType::Other(number) => c_int::from(number) & 0xf,
    }
}

/// The family of an AF_* number.
pub(super) fn family_of(domain: c_int) -> Family {
    match FAMILIES.iter().find(|(_, number)| *number == domain) {
        Some((family, _)) => *family,
        None => Family::Other(u16::try_from(domain).unwrap_or(u16::MAX)),
    }
}

/// The type of a SOCK_* number.
pub(super) fn type_of(style: c_int) -> SocketType {
    match style {
        libc::SOCK_STREAM => SocketType::Stream,
        libc::SOCK_DGRAM => SocketType::Datagram,
        libc::SOCK_SEQPACKET => SocketType::SeqPacket,
        libc::SOCK_RAW => SocketType::Raw,
        libc::SOCK_RDM => SocketType::Rdm,
        libc::SOCK_DCCP => SocketType::Dccp,
        other => SocketType::Other(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

/// The protocol argument of socket(2). What no `int` holds is no protocol anywhere, and the kernel says so;
/// a packet socket's is an Ethernet protocol in network order, packet(7).
pub(super) fn protocol(kind: &Kind) -> c_int {
    let number = match kind.family {
        Family::Packet => u16::try_from(kind.protocol)
            .ok()
            .map(u16::to_be)
            .map(c_int::from),
        _ => c_int::try_from(kind.protocol).ok(),
    };
    number.unwrap_or(c_int::MAX)
}

/// Whether receives give whole messages, so that MSG_TRUNC asks for a message's true length. (On TCP it
/// would throw bytes away instead: tcp(7).)
pub(super) fn has_messages(socket_type: SocketType) -> bool {
    !matches!(socket_type, SocketType::Stream | SocketType::Other(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_its_number_and_every_number_its_family() {
        for number in 1..=64 {
            let family = family_of(number);
            assert_eq!(domain(family), number, "{family:?}");
        }
        let named = (1..=64).filter(|number| !matches!(family_of(*number), Family::Other(_)));
        assert_eq!(named.count(), 15, "all that the policy names");
        assert_eq!(family_of(libc::AF_APPLETALK), Family::Other(5));
    }

    #[test]
    fn a_packet_sockets_protocol_is_in_network_order() {
        let kind = |family, protocol| Kind {
            family,
            socket_type: SocketType::Raw,
            protocol,
        };
        let number = protocol(&kind(Family::Packet, 0x88cc));
        assert_eq!((number as u16).to_ne_bytes(), [0x88, 0xcc]);
        assert_eq!(protocol(&kind(Family::Packet, 0x1_0000)), c_int::MAX);
        assert_eq!(protocol(&kind(Family::Netlink, 16)), 16);
        assert_eq!(protocol(&kind(Family::Can, u32::MAX)), c_int::MAX);
    }
}
