//! Families, types, protocols and flags by Linux's numbers, for programs that come from `socket(AF_INET,
//! SOCK_STREAM, 0)`. Named ones are easier to read, and the same on every system.

use crate::consts;
use crate::types::{Family, MessageFlags, Protocol, SocketType};

/// address_families(7)
const FAMILIES: &[(Family, i32)] = &[
    (Family::Unix, consts::AF_UNIX),
    (Family::Inet, consts::AF_INET),
    (Family::Inet6, consts::AF_INET6),
    (Family::Netlink, consts::AF_NETLINK),
    (Family::Packet, consts::AF_PACKET),
    (Family::Rds, consts::AF_RDS),
    (Family::Can, consts::AF_CAN),
    (Family::Tipc, consts::AF_TIPC),
    (Family::Bluetooth, consts::AF_BLUETOOTH),
    (Family::Alg, consts::AF_ALG),
    (Family::Vsock, consts::AF_VSOCK),
    (Family::Kcm, consts::AF_KCM),
    (Family::Qipcrtr, consts::AF_QIPCRTR),
    (Family::Smc, consts::AF_SMC),
    (Family::Xdp, consts::AF_XDP),
];

const TYPES: &[(SocketType, i32)] = &[
    (SocketType::Stream, consts::SOCK_STREAM),
    (SocketType::Datagram, consts::SOCK_DGRAM),
    (SocketType::Raw, consts::SOCK_RAW),
    (SocketType::Rdm, consts::SOCK_RDM),
    (SocketType::Seqpacket, consts::SOCK_SEQPACKET),
];

const IP_PROTOCOLS: &[(Protocol, i32)] = &[
    (Protocol::Icmp, consts::IPPROTO_ICMP),
    (Protocol::Igmp, consts::IPPROTO_IGMP),
    (Protocol::Tcp, consts::IPPROTO_TCP),
    (Protocol::Udp, consts::IPPROTO_UDP),
    (Protocol::Dccp, consts::IPPROTO_DCCP),
    (Protocol::Ipv6Icmp, consts::IPPROTO_ICMPV6),
    (Protocol::L2tp, consts::IPPROTO_L2TP),
    (Protocol::Sctp, consts::IPPROTO_SCTP),
    (Protocol::Udplite, consts::IPPROTO_UDPLITE),
    (Protocol::RawIp, consts::IPPROTO_RAW),
    (Protocol::Mptcp, consts::IPPROTO_MPTCP),
];

const CAN_PROTOCOLS: &[(Protocol, i32)] = &[
    (Protocol::CanRaw, consts::CAN_RAW),
    (Protocol::CanBcm, consts::CAN_BCM),
    (Protocol::CanIsotp, consts::CAN_ISOTP),
    (Protocol::CanJ1939, consts::CAN_J1939),
];

const BLUETOOTH_PROTOCOLS: &[(Protocol, i32)] = &[
    (Protocol::L2cap, consts::BTPROTO_L2CAP),
    (Protocol::Hci, consts::BTPROTO_HCI),
    (Protocol::Sco, consts::BTPROTO_SCO),
    (Protocol::Rfcomm, consts::BTPROTO_RFCOMM),
    (Protocol::Bnep, consts::BTPROTO_BNEP),
    (Protocol::Hidp, consts::BTPROTO_HIDP),
    (Protocol::Iso, consts::BTPROTO_ISO),
];

const NETLINK_PROTOCOLS: &[(Protocol, i32)] = &[
    (Protocol::NetlinkRoute, consts::NETLINK_ROUTE),
    (Protocol::NetlinkUsersock, consts::NETLINK_USERSOCK),
    (Protocol::NetlinkSockDiag, consts::NETLINK_SOCK_DIAG),
    (Protocol::NetlinkNflog, consts::NETLINK_NFLOG),
    (Protocol::NetlinkXfrm, consts::NETLINK_XFRM),
    (Protocol::NetlinkAudit, consts::NETLINK_AUDIT),
    (Protocol::NetlinkNetfilter, consts::NETLINK_NETFILTER),
    (
        Protocol::NetlinkKobjectUevent,
        consts::NETLINK_KOBJECT_UEVENT,
    ),
    (Protocol::NetlinkGeneric, consts::NETLINK_GENERIC),
    (Protocol::NetlinkCrypto, consts::NETLINK_CRYPTO),
];

/// send(2), recv(2)
const FLAGS: &[(MessageFlags, i32)] = &[
    (MessageFlags::OOB, consts::MSG_OOB),
    (MessageFlags::PEEK, consts::MSG_PEEK),
    (MessageFlags::DONT_ROUTE, consts::MSG_DONTROUTE),
    (MessageFlags::CTRUNC, consts::MSG_CTRUNC),
    (MessageFlags::PROXY, consts::MSG_PROXY),
    (MessageFlags::TRUNC, consts::MSG_TRUNC),
    (MessageFlags::DONT_WAIT, consts::MSG_DONTWAIT),
    (MessageFlags::EOR, consts::MSG_EOR),
    (MessageFlags::WAIT_ALL, consts::MSG_WAITALL),
    (MessageFlags::CONFIRM, consts::MSG_CONFIRM),
    (MessageFlags::ERR_QUEUE, consts::MSG_ERRQUEUE),
    (MessageFlags::NO_SIGNAL, consts::MSG_NOSIGNAL),
    (MessageFlags::MORE, consts::MSG_MORE),
    (MessageFlags::NOTIFICATION, consts::MSG_NOTIFICATION),
    (MessageFlags::ZERO_COPY, consts::MSG_ZEROCOPY),
    (MessageFlags::FAST_OPEN, consts::MSG_FASTOPEN),
];

fn named<T: Copy>(table: &[(T, i32)], number: i32) -> Option<T> {
    let row = table.iter().find(|(_, known)| *known == number)?;
    Some(row.0)
}

fn numbered<T: PartialEq>(table: &[(T, i32)], name: &T) -> Option<i32> {
    let row = table.iter().find(|(known, _)| known == name)?;
    Some(row.1)
}

/// What 16 bits do not hold is as strange to every kernel as their last number.
fn other(number: i32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

impl Family {
    /// The family of an `AF_*` number of Linux's; by number where this package has no name for it.
    #[must_use]
    pub fn from_number(number: i32) -> Family {
        named(FAMILIES, number).unwrap_or(Family::Other(other(number)))
    }

    /// Linux's `AF_*` number; none for families of other systems.
    #[must_use]
    pub fn number(self) -> Option<i32> {
        match self {
            Family::Other(number) => Some(number.into()),
            family => numbered(FAMILIES, &family),
        }
    }
}

impl SocketType {
    /// The type of a `SOCK_*` number of Linux's. The bits `SOCK_NONBLOCK` and `SOCK_CLOEXEC` are left out: they
    /// are no part of a type.
    #[must_use]
    pub fn from_number(number: i32) -> SocketType {
        let number = number & !(consts::SOCK_NONBLOCK | consts::SOCK_CLOEXEC);
        named(TYPES, number).unwrap_or(SocketType::Other(other(number)))
    }

    /// Linux's `SOCK_*` number.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            SocketType::Other(number) => number.into(),
            socket_type => numbered(TYPES, &socket_type).unwrap_or(u16::MAX.into()),
        }
    }
}

impl Protocol {
    /// The protocol with a number in a family, as in the third argument of socket(2): `IPPROTO_*`, `CAN_*`,
    /// `BTPROTO_*`, `NETLINK_*`; for packet sockets an Ethernet protocol in network byte order (`htons(ETH_P_ALL)`).
    #[must_use]
    pub fn from_number(family: Family, number: i32) -> Protocol {
        if family == Family::Packet {
            return match u16::try_from(number) {
                Ok(0) => Protocol::Default,
                Ok(number) => Protocol::Ethertype(u16::from_be(number)),
                Err(_) => Protocol::Other(u32::MAX),
            };
        }
        let protocols = match family {
            Family::Inet | Family::Inet6 => IP_PROTOCOLS,
            Family::Can => CAN_PROTOCOLS,
            Family::Bluetooth => BLUETOOTH_PROTOCOLS,
            Family::Netlink => NETLINK_PROTOCOLS,
            _ => &[],
        };
        match named(protocols, number) {
            Some(protocol) => protocol,
            None if number == 0 => Protocol::Default,
            None => Protocol::Other(u32::try_from(number).unwrap_or(u32::MAX)),
        }
    }

    /// The number in the protocol's own family, as [`Protocol::from_number`] takes it; 0 for the default.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Protocol::Default => 0,
            Protocol::Ethertype(number) => number.to_be().into(),
            Protocol::Other(number) => i32::try_from(number).unwrap_or(i32::MAX),
            protocol => [
                IP_PROTOCOLS,
                CAN_PROTOCOLS,
                BLUETOOTH_PROTOCOLS,
                NETLINK_PROTOCOLS,
            ]
            .iter()
            .find_map(|table| numbered(table, &protocol))
            .unwrap_or(i32::MAX),
        }
    }
}

impl MessageFlags {
    /// The flags of `MSG_*` numbers of Linux's; none where one of the bits has no name here.
    /// `MSG_CMSG_CLOEXEC` is left out, since the host keeps every descriptor to itself; the bit that `MSG_MORE`
    /// shares with `MSG_NOTIFICATION` is `MORE`.
    #[must_use]
    pub fn from_number(number: i32) -> Option<MessageFlags> {
        let mut left = number & !consts::MSG_CMSG_CLOEXEC;
        let mut flags = MessageFlags::empty();
        for (flag, bit) in FLAGS {
            if left & bit != 0 {
                flags |= *flag;
                left &= !bit;
            }
        }
        (left == 0).then_some(flags)
    }

    /// Linux's `MSG_*` bits.
    #[must_use]
    pub fn number(self) -> i32 {
        FLAGS
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .fold(0, |bits, (_, bit)| bits | bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_and_type_goes_there_and_back() {
        for number in 0..=u16::MAX.into() {
            assert_eq!(Family::from_number(number).number(), Some(number));
        }
        let named = (0..64).filter(|n| !matches!(Family::from_number(*n), Family::Other(_)));
        assert_eq!(named.count(), FAMILIES.len());
        assert_eq!(Family::Hyperv.number(), None);
        assert_eq!(Family::from_number(-1), Family::Other(u16::MAX));
        for number in 0..16 {
            let bits = consts::SOCK_NONBLOCK | consts::SOCK_CLOEXEC;
            assert_eq!(SocketType::from_number(number | bits).number(), number);
        }
        assert_eq!(SocketType::from_number(3), SocketType::Raw);
    }

    #[test]
    fn a_protocol_is_of_its_family() {
        let families = [
            (Family::Inet, IP_PROTOCOLS),
            (Family::Inet6, IP_PROTOCOLS),
            (Family::Can, CAN_PROTOCOLS),
            (Family::Bluetooth, BLUETOOTH_PROTOCOLS),
            (Family::Netlink, NETLINK_PROTOCOLS),
        ];
        for (family, protocols) in families {
            for (protocol, number) in protocols {
                assert_eq!(Protocol::from_number(family, *number), *protocol);
            }
            for number in 0..300 {
                assert_eq!(Protocol::from_number(family, number).number(), number);
            }
        }
        assert_eq!(Protocol::from_number(Family::Unix, 0), Protocol::Default);
        assert_eq!(Protocol::from_number(Family::Unix, 6), Protocol::Other(6));
        let every = Protocol::from_number(Family::Packet, i32::from(0x0003_u16.to_be()));
        assert_eq!(every, Protocol::Ethertype(consts::ETH_P_ALL));
        assert_eq!(every.number(), i32::from(0x0003_u16.to_be()));
        assert_eq!(Protocol::from_number(Family::Packet, 0), Protocol::Default);
    }

    #[test]
    fn flags_go_there_and_back() {
        let both = MessageFlags::PEEK | MessageFlags::TRUNC;
        let bits = consts::MSG_PEEK | consts::MSG_TRUNC;
        assert_eq!(both.number(), bits);
        assert_eq!(
            MessageFlags::from_number(bits | consts::MSG_CMSG_CLOEXEC),
            Some(both)
        );
        assert_eq!(MessageFlags::from_number(consts::MSG_SYN), None);
        for (flag, bit) in FLAGS {
            assert_eq!(flag.number(), *bit);
            let back = MessageFlags::from_number(*bit);
            assert_eq!(back.map(MessageFlags::number), Some(*bit));
        }
        // One bit, two names: `MSG_MORE` is for sends, `MSG_NOTIFICATION` reported by receives.
        let bit = MessageFlags::NOTIFICATION.number();
        assert_eq!(MessageFlags::from_number(bit), Some(MessageFlags::MORE));
    }
}
