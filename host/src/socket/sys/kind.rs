//! Families, types and protocols as the numbers of socket(2).

use libc::c_int;
use sockgate_policy::{Family, Kind, SocketType};

use super::qipcrtr::AF_QIPCRTR;

/// AF_KCM; the C library has no name for it.
const AF_KCM: c_int = 41;

/// AF_SMC, linux/socket.h; the C library has no name for it.
const AF_SMC: c_int = 43;

/// The families with their AF_* numbers.
const DOMAINS: [(Family, c_int); 15] = [
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
    (Family::Kcm, AF_KCM),
    (Family::Xdp, libc::AF_XDP),
    (Family::Smc, AF_SMC),
];

/// AF_*
pub(super) fn domain(family: Family) -> c_int {
    if let Family::Other(number) = family {
        return c_int::from(number);
    }
    let known = DOMAINS.iter().find(|(known, _)| *known == family);
    known.map_or(libc::AF_UNSPEC, |(_, domain)| *domain)
}

/// SOCK_*
pub(super) fn style(socket_type: SocketType) -> c_int {
    match socket_type {
        SocketType::Stream => libc::SOCK_STREAM,
        SocketType::Datagram => libc::SOCK_DGRAM,
        SocketType::SeqPacket => libc::SOCK_SEQPACKET,
        SocketType::Raw => libc::SOCK_RAW,
        SocketType::Rdm => libc::SOCK_RDM,
        // Flags of socket(2) share the argument with the type: they must not come from outside.
        SocketType::Other(number) => c_int::from(number) & 0xf,
    }
}

/// The family of an AF_* number.
pub(super) fn family_of(domain: c_int) -> Family {
    let known = DOMAINS.iter().find(|(_, known)| *known == domain);
    known.map_or_else(
        || Family::Other(u16::try_from(domain).unwrap_or(u16::MAX)),
        |(family, _)| *family,
    )
}

/// The type of a SOCK_* number.
pub(super) fn type_of(style: c_int) -> SocketType {
    match style {
        libc::SOCK_STREAM => SocketType::Stream,
        libc::SOCK_DGRAM => SocketType::Datagram,
        libc::SOCK_SEQPACKET => SocketType::SeqPacket,
        libc::SOCK_RAW => SocketType::Raw,
        libc::SOCK_RDM => SocketType::Rdm,
        other => SocketType::Other(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

/// The protocol argument of socket(2). What no `int` holds is no protocol anywhere, and the kernel says so.
pub(super) fn protocol(kind: &Kind) -> c_int {
    match (kind.family, u16::try_from(kind.protocol)) {
        // An Ethernet protocol, in the order of the network, packet(7).
        (Family::Packet, Ok(ethertype)) => c_int::from(ethertype.to_be()),
        _ => c_int::try_from(kind.protocol).unwrap_or(c_int::MAX),
    }
}

/// The protocol of a socket whose SO_PROTOCOL is this number.
pub(super) fn protocol_of(family: Family, number: c_int) -> u32 {
    match (family, u16::try_from(number)) {
        (Family::Packet, Ok(ethertype)) => u32::from(u16::from_be(ethertype)),
        _ => u32::try_from(number).unwrap_or(0),
    }
}

/// Whether receives give whole messages, so that MSG_TRUNC asks for a message's true length. (On TCP it
/// would throw bytes away instead: tcp(7).)
pub(super) fn has_messages(socket_type: SocketType) -> bool {
    !matches!(socket_type, SocketType::Stream | SocketType::Other(_))
}
