//! Families, types and protocols by Linux's numbers: what C and Python programs write.

use std::io;

use crate::error::Errno;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType, Timeout};

/// SOCK_NONBLOCK and SOCK_CLOEXEC, socket(2): flags that travel in the type.
const SOCK_NONBLOCK: u32 = 0o4000;
const SOCK_CLOEXEC: u32 = 0o2_000_000;

/// AF_*, address_families(7).
const FAMILIES: &[(u16, Family)] = &[
    (1, Family::Unix),
    (2, Family::Inet),
    (10, Family::Inet6),
    (16, Family::Netlink),
    (17, Family::Packet),
    (21, Family::Rds),
    (29, Family::Can),
    (30, Family::Tipc),
    (31, Family::Bluetooth),
    (38, Family::Alg),
    (40, Family::Vsock),
    (41, Family::Kcm),
    (42, Family::Qipcrtr),
    (43, Family::Smc),
    (44, Family::Xdp),
];

/// SOCK_*, socket(2).
const TYPES: &[(u16, SocketType)] = &[
    (1, SocketType::Stream),
    (2, SocketType::Datagram),
    (3, SocketType::Raw),
    (4, SocketType::Rdm),
    (5, SocketType::Seqpacket),
];

/// IPPROTO_*, protocols(5).
const IP_PROTOCOLS: &[(u32, Protocol)] = &[
    (1, Protocol::Icmp),
    (2, Protocol::Igmp),
    (6, Protocol::Tcp),
    (17, Protocol::Udp),
    (33, Protocol::Dccp),
    (58, Protocol::Ipv6Icmp),
    (115, Protocol::L2tp),
    (132, Protocol::Sctp),
    (136, Protocol::Udplite),
    (255, Protocol::RawIp),
    (262, Protocol::Mptcp),
];

/// CAN_*, linux/can.h.
const CAN_PROTOCOLS: &[(u32, Protocol)] = &[
    (1, Protocol::CanRaw),
    (2, Protocol::CanBcm),
    (6, Protocol::CanIsotp),
    (7, Protocol::CanJ1939),
];

/// BTPROTO_*, net/bluetooth/bluetooth.h.
const BLUETOOTH_PROTOCOLS: &[(u32, Protocol)] = &[
    (0, Protocol::L2cap),
    (1, Protocol::Hci),
    (2, Protocol::Sco),
    (3, Protocol::Rfcomm),
    (4, Protocol::Bnep),
    (6, Protocol::Hidp),
    (8, Protocol::Iso),
];

/// NETLINK_*, netlink(7).
const NETLINK_PROTOCOLS: &[(u32, Protocol)] = &[
    (0, Protocol::NetlinkRoute),
    (2, Protocol::NetlinkUsersock),
    (4, Protocol::NetlinkSockDiag),
    (5, Protocol::NetlinkNflog),
    (6, Protocol::NetlinkXfrm),
    (9, Protocol::NetlinkAudit),
    (12, Protocol::NetlinkNetfilter),
    (15, Protocol::NetlinkKobjectUevent),
    (16, Protocol::NetlinkGeneric),
    (21, Protocol::NetlinkCrypto),
];

/// The protocols whose numbers are this family's own.
fn protocols(family: Family) -> &'static [(u32, Protocol)] {
    match family {
        Family::Inet | Family::Inet6 => IP_PROTOCOLS,
        Family::Can => CAN_PROTOCOLS,
        Family::Bluetooth => BLUETOOTH_PROTOCOLS,
        Family::Netlink => NETLINK_PROTOCOLS,
        _ => &[],
    }
}

fn by_number<N: PartialEq, T: Copy>(table: &[(N, T)], number: N) -> Option<T> {
    let entry = table.iter().find(|(known, _)| *known == number);
    entry.map(|(_, value)| *value)
}

fn number_of<N: Copy, T: PartialEq>(table: &[(N, T)], value: T) -> Option<N> {
    let entry = table.iter().find(|(_, known)| *known == value);
    entry.map(|(number, _)| *number)
}

impl Family {
    /// The family of an AF_* number of Linux; [`Family::Other`] for those that have no name here.
    pub fn from_linux(number: u16) -> Self {
        by_number(FAMILIES, number).unwrap_or(Self::Other(number))
    }

    /// Its AF_* number on Linux; none for other systems' families.
    pub fn linux(self) -> Option<u16> {
        match self {
            Self::Other(number) => Some(number),
            known => number_of(FAMILIES, known),
        }
    }
}

impl SocketType {
    /// The type of a SOCK_* number of Linux, without SOCK_NONBLOCK and SOCK_CLOEXEC; [`SocketType::Other`]
    /// for those that have no name here.
    pub fn from_linux(number: u16) -> Self {
        by_number(TYPES, number).unwrap_or(Self::Other(number))
    }

    /// Its SOCK_* number on Linux.
    pub fn linux(self) -> u16 {
        match self {
            Self::Other(number) => number,
            known => number_of(TYPES, known).unwrap_or_default(),
        }
    }
}

impl Protocol {
    /// The protocol that socket(2) takes for this number in this family: an Ethernet protocol in network
    /// order for packet sockets (`ETH_P_IP.to_be()`, packet(7)).
    pub fn from_linux(family: Family, number: u32) -> Self {
        match (by_number(protocols(family), number), family) {
            (Some(known), _) => known,
            (None, _) if number == 0 => Self::Default,
            (None, Family::Packet) => match u16::try_from(number) {
                Ok(ethertype) => Self::Ethertype(u16::from_be(ethertype)),
                Err(_) => Self::Other(number),
            },
            (None, _) => Self::Other(number),
        }
    }

    /// The number that socket(2) takes for it in this family.
    pub fn linux(self, family: Family) -> u32 {
        match self {
            Self::Default => 0,
            Self::Other(number) => number,
            Self::Ethertype(ethertype) => ethertype.to_be().into(),
            known => {
                let everywhere = [
                    protocols(family),
                    IP_PROTOCOLS,
                    CAN_PROTOCOLS,
                    BLUETOOTH_PROTOCOLS,
                    NETLINK_PROTOCOLS,
                ];
                let mut found = everywhere
                    .iter()
                    .filter_map(|table| number_of(table, known));
                found.next().unwrap_or_default()
            }
        }
    }
}

impl Socket {
    /// socket(2) with Linux's numbers ([`consts`](crate::consts)): `AF_INET`, `SOCK_STREAM`, 0. SOCK_NONBLOCK
    /// in the type makes it non-blocking, SOCK_CLOEXEC changes nothing (a host's descriptor is always
    /// closed on exec); neither is part of [`socket_type`](Self::socket_type) then.
    ///
    /// A packet socket's protocol is in network order, as in C. Errors and policy are those of
    /// [`new`](Self::new); [`Errno::AFNOSUPPORT`], [`Errno::SOCKTNOSUPPORT`] and [`Errno::PROTONOSUPPORT`]
    /// for numbers that are none.
    ///
    /// ```no_run
    /// use sockgate_guest::{Socket, Timeout, SocketType};
    ///
    /// const SOCK_STREAM: i32 = 1;
    /// const SOCK_NONBLOCK: i32 = 0o4000;
    /// let socket = Socket::from_linux(2, SOCK_STREAM | SOCK_NONBLOCK, 0)?;
    /// assert_eq!(socket.socket_type()?, SocketType::Stream);
    /// assert_eq!(socket.timeout(), Timeout::NonBlocking);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn from_linux(family: i32, socket_type: i32, protocol: i32) -> io::Result<Self> {
        let family = u16::try_from(family).map_err(|_| Errno::AFNOSUPPORT)?;
        let flagged = u32::try_from(socket_type).map_err(|_| Errno::INVAL)?;
        let bare = flagged & !(SOCK_NONBLOCK | SOCK_CLOEXEC);
        let socket_type = u16::try_from(bare).map_err(|_| Errno::INVAL)?;
        let protocol = u32::try_from(protocol).map_err(|_| Errno::PROTONOSUPPORT)?;
        let family = Family::from_linux(family);
        let socket = Self::new(
            family,
            SocketType::from_linux(socket_type),
            Protocol::from_linux(family, protocol),
        )?;
        if flagged & SOCK_NONBLOCK != 0 {
            socket.set_timeout(Timeout::NonBlocking);
        }
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        for number in 0..60 {
            assert_eq!(Family::from_linux(number).linux(), Some(number));
            assert_eq!(SocketType::from_linux(number).linux(), number);
        }
        assert_eq!(Family::System.linux(), None);
        for (family, _) in FAMILIES.iter().map(|(number, family)| (*family, number)) {
            for number in 0..300 {
                let protocol = Protocol::from_linux(family, number);
                assert_eq!(protocol.linux(family), number, "{family:?} {number}");
            }
        }
        let all = u32::from(3u16.to_be());
        let protocol = Protocol::from_linux(Family::Packet, all);
        assert_eq!(protocol, Protocol::Ethertype(3));
        assert_eq!(Protocol::from_linux(Family::Unix, 0), Protocol::Default);
        assert_eq!(Protocol::CanBcm.linux(Family::Can), 2);
    }
}
