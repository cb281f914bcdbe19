//! Kinds of sockets: the three arguments of socket(2).

use std::fmt;

/// The address family of a socket, see address_families(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, see ip(7).
    Inet,
    /// IPv6, see ipv6(7).
    Inet6,
    /// The Unix domain, see unix(7).
    Unix,
    /// The kernel's subsystems, see netlink(7).
    Netlink,
    /// Frames of network interfaces, see packet(7).
    Packet,
    /// CAN buses.
    Can,
    /// Virtual machines and their host, see vsock(7).
    Vsock,
    /// Services of a cluster.
    Tipc,
    /// The kernel's cryptography.
    Alg,
    /// Bluetooth.
    Bluetooth,
    /// The processors of a Qualcomm device.
    Qipcrtr,
    /// Reliable datagrams; its addresses are IP ones.
    Rds,
    /// The kernel connection multiplexer; its sockets have no addresses.
    Kcm,
    /// Express data path, Documentation/networking/af_xdp.rst.
    Xdp,
    /// Shared memory communications; its addresses are IP ones.
    Smc,
    /// Any other family, by Linux's number. No rule grants these.
    Other(u16),
}

/// The type of a socket, see socket(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketType {
    /// A connected stream of bytes.
    Stream,
    /// Datagrams.
    Datagram,
    /// Connected, with message boundaries.
    SeqPacket,
    /// Raw access to the protocol below.
    Raw,
    /// Reliably delivered messages without order.
    Rdm,
    /// Datagram Congestion Control Protocol: connected, unreliable, SOCK_DCCP.
    Dccp,
    /// Any other type, by Linux's number. No rule grants these.
    Other(u16),
}

/// Family, type and protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The address family.
    pub family: Family,
    /// The socket type.
    pub socket_type: SocketType,
    /// The protocol's number with the default already filled in: 6 for an IP stream, 17 for an IP
    /// datagram socket, 0 in the Unix domain.
    pub protocol: u32,
}

/// IPPROTO_ICMP: a datagram socket of this protocol is a ping socket.
pub(crate) const ICMP: u32 = 1;
/// IPPROTO_TCP.
pub(crate) const TCP: u32 = 6;
/// IPPROTO_UDP.
pub(crate) const UDP: u32 = 17;
/// IPPROTO_ICMPV6.
pub(crate) const ICMPV6: u32 = 58;
/// IPPROTO_DCCP.
pub(crate) const DCCP: u32 = 33;
/// IPPROTO_SCTP.
pub(crate) const SCTP: u32 = 132;
/// IPPROTO_UDPLITE.
const UDPLITE: u32 = 136;
/// BTPROTO_HCI, BTPROTO_RFCOMM.
const HCI: u32 = 1;
const RFCOMM: u32 = 3;

const IP: &[Family] = &[Family::Inet, Family::Inet6];
const CAN: &[Family] = &[Family::Can];
const NETLINK: &[Family] = &[Family::Netlink];
const BLUETOOTH: &[Family] = &[Family::Bluetooth];

/// A protocol's name in a policy, its number, and the families that it belongs to.
pub(crate) struct Protocol {
    pub(crate) name: &'static str,
    pub(crate) number: u32,
    pub(crate) families: &'static [Family],
}

const fn protocol(families: &'static [Family], name: &'static str, number: u32) -> Protocol {
    Protocol {
        name,
        number,
        families,
    }
}

/// Protocol names that a policy may use: protocols(5), linux/can.h, linux/netlink.h, Bluetooth's. The
/// numbers of one family mean nothing in another.
pub(crate) const PROTOCOLS: &[Protocol] = &[
    protocol(IP, "icmp", ICMP),
    protocol(IP, "igmp", 2),
    protocol(IP, "tcp", TCP),
    protocol(IP, "udp", UDP),
    protocol(IP, "dccp", DCCP),
    protocol(IP, "icmpv6", ICMPV6),
    protocol(IP, "l2tp", 115),
    protocol(IP, "sctp", SCTP),
    protocol(IP, "udplite", UDPLITE),
    protocol(IP, "raw-ip", 255),
    protocol(IP, "mptcp", 262),
    protocol(CAN, "raw", 1),
    protocol(CAN, "bcm", 2),
    protocol(CAN, "isotp", 6),
    protocol(CAN, "j1939", 7),
    protocol(NETLINK, "route", 0),
    protocol(NETLINK, "usersock", 2),
    protocol(NETLINK, "sock-diag", 4),
    protocol(NETLINK, "nflog", 5),
    protocol(NETLINK, "xfrm", 6),
    protocol(NETLINK, "audit", 9),
    protocol(NETLINK, "connector", 11),
    protocol(NETLINK, "netfilter", 12),
    protocol(NETLINK, "kobject-uevent", 15),
    protocol(NETLINK, "generic", 16),
    protocol(NETLINK, "crypto", 21),
    protocol(BLUETOOTH, "l2cap", 0),
    protocol(BLUETOOTH, "hci", HCI),
    protocol(BLUETOOTH, "sco", 2),
    protocol(BLUETOOTH, "rfcomm", RFCOMM),
    protocol(BLUETOOTH, "bnep", 4),
    protocol(BLUETOOTH, "hidp", 6),
    protocol(BLUETOOTH, "iso", 8),
];

/// The name of a socket's protocol, where a policy has one for it.
pub(crate) fn protocol_name(kind: Kind) -> Option<&'static str> {
    let mut known = PROTOCOLS.iter();
    known
        .find(|known| known.number == kind.protocol && known.families.contains(&kind.family))
        .map(|known| known.name)
}

impl Kind {
    /// A kind with the protocol that the kernel picks for protocol 0.
    #[must_use]
    pub fn new(family: Family, socket_type: SocketType) -> Kind {
        let protocol = match (family, socket_type) {
            (Family::Inet | Family::Inet6, SocketType::Stream) => TCP,
            (Family::Inet | Family::Inet6, SocketType::Datagram) => UDP,
            (Family::Inet | Family::Inet6, SocketType::SeqPacket) => SCTP,
            (Family::Inet | Family::Inet6, SocketType::Dccp) => DCCP,
            _ => 0,
        };
        Kind {
            family,
            socket_type,
            protocol,
        }
    }

    /// The kind that people mean by a family and one of its protocols, where they name no type.
    pub(crate) fn usual(family: Family, protocol: u32) -> Kind {
        let ip = matches!(family, Family::Inet | Family::Inet6);
        let socket_type = match (family, protocol) {
            (Family::Can, protocol) if protocol > 1 => SocketType::Datagram,
            (Family::Netlink | Family::Packet | Family::Can | Family::Xdp, _) => SocketType::Raw,
            (Family::Bluetooth, HCI) => SocketType::Raw,
            (Family::Bluetooth, RFCOMM) => SocketType::Stream,
            (Family::Alg | Family::Rds | Family::Bluetooth, _) => SocketType::SeqPacket,
            (Family::Qipcrtr | Family::Kcm, _) => SocketType::Datagram,
            (_, UDP | UDPLITE | ICMP | ICMPV6) if ip => SocketType::Datagram,
            (_, DCCP) if ip => SocketType::Dccp,
            _ => SocketType::Stream,
        };
        Kind {
            family,
            socket_type,
            protocol,
        }
    }

    /// Whether data travels in messages that may each come from somewhere else.
    #[must_use]
    pub fn is_datagram(&self) -> bool {
        match (self.family, self.socket_type) {
            // What is sent goes to the connections below it, for which there are no names.
            (Family::Kcm, _) => false,
            (_, SocketType::Datagram | SocketType::Raw | SocketType::Rdm) => true,
            // One-to-many SCTP, sctp(7), and RDS.
            (Family::Inet | Family::Inet6, SocketType::SeqPacket) => self.protocol == SCTP,
            (Family::Rds, SocketType::SeqPacket) => true,
            _ => false,
        }
    }

    /// Whether the socket has neither addresses nor a peer to connect to, and yet sends and receives: one of
    /// a KCM multiplexor, whose connections its owner attached.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.family == Family::Kcm
    }

    /// Whether the kernel goes on sending for the socket by itself: the jobs of CAN's broadcast manager.
    #[must_use]
    pub fn works_by_itself(&self) -> bool {
        const CAN_BCM: u32 = 2;
        self.family == Family::Can && self.protocol == CAN_BCM
    }

    /// Whether the socket's addresses are IP addresses.
    #[must_use]
    pub fn has_ip_addresses(&self) -> bool {
        matches!(
            self.family,
            Family::Inet | Family::Inet6 | Family::Rds | Family::Smc
        )
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Family::Inet => f.write_str("inet"),
            Family::Inet6 => f.write_str("inet6"),
            Family::Unix => f.write_str("unix"),
            Family::Netlink => f.write_str("netlink"),
            Family::Packet => f.write_str("packet"),
            Family::Can => f.write_str("can"),
            Family::Vsock => f.write_str("vsock"),
            Family::Tipc => f.write_str("tipc"),
            Family::Alg => f.write_str("alg"),
            Family::Bluetooth => f.write_str("bluetooth"),
            Family::Qipcrtr => f.write_str("qipcrtr"),
            Family::Rds => f.write_str("rds"),
            Family::Kcm => f.write_str("kcm"),
            Family::Xdp => f.write_str("xdp"),
            Family::Smc => f.write_str("smc"),
            Family::Other(number) => write!(f, "family {number}"),
        }
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketType::Stream => f.write_str("stream"),
            SocketType::Datagram => f.write_str("datagram"),
            SocketType::SeqPacket => f.write_str("seqpacket"),
            SocketType::Raw => f.write_str("raw"),
            SocketType::Rdm => f.write_str("rdm"),
            SocketType::Dccp => f.write_str("dccp"),
            SocketType::Other(number) => write!(f, "type {number}"),
        }
    }
}

impl fmt::Display for Kind {
    /// `inet stream tcp`, `unix datagram`, `inet6 datagram protocol 200`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.socket_type)?;
        let known = PROTOCOLS.iter().find(|protocol| {
            protocol.number == self.protocol && protocol.families.contains(&self.family)
        });
        match known {
            Some(protocol) => write!(f, " {}", protocol.name),
            None if self.protocol == 0 => Ok(()),
            None => write!(f, " protocol {}", self.protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_protocol_is_filled_in() {
        assert_eq!(
            Kind::new(Family::Inet6, SocketType::Stream).to_string(),
            "inet6 stream tcp"
        );
        assert_eq!(Kind::new(Family::Inet, SocketType::Datagram).protocol, 17);
        assert_eq!(
            Kind::new(Family::Unix, SocketType::SeqPacket).to_string(),
            "unix seqpacket"
        );
    }

    fn kind(family: Family, socket_type: SocketType, protocol: u32) -> Kind {
        Kind {
            family,
            socket_type,
            protocol,
        }
    }

    #[test]
    fn sctp_and_dccp_are_what_their_types_mean() {
        for family in [Family::Inet, Family::Inet6] {
            assert_eq!(Kind::new(family, SocketType::SeqPacket).protocol, SCTP);
            assert_eq!(Kind::new(family, SocketType::Dccp).protocol, DCCP);
        }
        assert_eq!(Kind::new(Family::Unix, SocketType::Dccp).protocol, 0);
    }

    #[test]
    fn a_protocol_has_its_usual_type() {
        use Family::{Alg, Bluetooth, Can, Inet, Inet6, Kcm, Netlink, Packet, Qipcrtr, Rds, Unix};
        for (family, protocol, socket_type) in [
            (Can, 1, SocketType::Raw),
            (Can, 2, SocketType::Datagram),
            (Can, 7, SocketType::Datagram),
            (Netlink, 0, SocketType::Raw),
            (Netlink, 16, SocketType::Raw),
            (Packet, 3, SocketType::Raw),
            (Family::Xdp, 0, SocketType::Raw),
            (Bluetooth, HCI, SocketType::Raw),
            (Bluetooth, RFCOMM, SocketType::Stream),
            (Bluetooth, 0, SocketType::SeqPacket),
            (Alg, 0, SocketType::SeqPacket),
            (Rds, 0, SocketType::SeqPacket),
            (Qipcrtr, 0, SocketType::Datagram),
            (Kcm, 0, SocketType::Datagram),
            (Inet, UDP, SocketType::Datagram),
            (Inet6, UDPLITE, SocketType::Datagram),
            (Inet, ICMP, SocketType::Datagram),
            (Inet6, ICMPV6, SocketType::Datagram),
            (Inet, DCCP, SocketType::Dccp),
            (Inet, TCP, SocketType::Stream),
            (Unix, UDP, SocketType::Stream),
            (Unix, DCCP, SocketType::Stream),
        ] {
            let usual = Kind::usual(family, protocol);
            assert_eq!(
                usual,
                kind(family, socket_type, protocol),
                "{family} {protocol}"
            );
        }
    }

    #[test]
    fn datagrams_each_have_a_sender() {
        for (of, expected) in [
            (kind(Family::Inet, SocketType::Datagram, UDP), true),
            (kind(Family::Inet, SocketType::Raw, ICMP), true),
            (kind(Family::Tipc, SocketType::Rdm, 0), true),
            (kind(Family::Inet, SocketType::Stream, TCP), false),
            (kind(Family::Inet, SocketType::SeqPacket, SCTP), true),
            (kind(Family::Inet6, SocketType::SeqPacket, SCTP), true),
            (kind(Family::Inet6, SocketType::SeqPacket, 0), false),
            (kind(Family::Unix, SocketType::SeqPacket, 0), false),
            (kind(Family::Rds, SocketType::SeqPacket, 0), true),
            (kind(Family::Kcm, SocketType::Datagram, 0), false),
        ] {
            assert_eq!(of.is_datagram(), expected, "{of}");
        }
    }

    #[test]
    fn only_a_broadcast_manager_works_by_itself() {
        assert!(kind(Family::Can, SocketType::Datagram, 2).works_by_itself());
        assert!(!kind(Family::Can, SocketType::Raw, 1).works_by_itself());
        assert!(!kind(Family::Bluetooth, SocketType::SeqPacket, 2).works_by_itself());
    }
}
