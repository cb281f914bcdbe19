//! Families, types and protocols as the numbers of socket(2).

use libc::c_int;
use sockgate_policy::{Family, Kind, SocketType};

/// AF_*
pub(super) fn domain(family: Family) -> c_int {
    match family {
        Family::Inet => libc::AF_INET,
        Family::Inet6 => libc::AF_INET6,
        Family::Unix => libc::AF_UNIX,
        Family::Other(number) => c_int::from(number),
        _ => -1,
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
        // Flags of socket(2) share the argument with the type: they must not come from outside.
        SocketType::Other(number) => c_int::from(number) & 0xf,
    }
}

/// The family of an AF_* number.
pub(super) fn family_of(domain: c_int) -> Family {
    match domain {
        libc::AF_INET => Family::Inet,
        libc::AF_INET6 => Family::Inet6,
        libc::AF_UNIX => Family::Unix,
        other => Family::Other(u16::try_from(other).unwrap_or(u16::MAX)),
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
        other => SocketType::Other(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

/// The protocol argument of socket(2). What no `int` holds is no protocol anywhere, and the kernel says so.
pub(super) fn protocol(kind: &Kind) -> c_int {
    c_int::try_from(kind.protocol).unwrap_or(c_int::MAX)
}

/// Whether receives give whole messages, so that MSG_TRUNC asks for a message's true length. (On TCP it
/// would throw bytes away instead: tcp(7).)
pub(super) fn has_messages(socket_type: SocketType) -> bool {
    !matches!(socket_type, SocketType::Stream | SocketType::Other(_))
}
