//! packet: frames of network interfaces, packet(7).

use std::borrow::Cow;
use std::fmt;

use super::{
    Direction, Given, Group, Inspector, Key, Part, Parts, Shape, Value, interface_or_any,
    interface_value,
};
use crate::address::Address;
use crate::facts::SocketFacts;
use crate::kind::{Family, Kind, SocketType};
use crate::option::OptionName;

/// sockaddr_ll.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PacketAddress {
    /// The interface by name; `None` is every interface.
    pub interface: Option<String>,
    /// Ethernet protocol in host byte order; 3 (ETH_P_ALL) is every protocol.
    pub protocol: u16,
    /// PACKET_HOST and its kin, by Linux's number; received only.
    pub packet_type: u8,
    /// ARPHRD_* hardware type; received only.
    pub hardware_type: u16,
    /// The link-layer address, up to 8 bytes.
    pub hardware_address: Vec<u8>,
}

impl fmt::Display for PacketAddress {
    /// `eth0 ethertype 0x0800`, `eth0 ethertype 0x88cc at 01:80:c2:00:00:0e`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        interface_or_any(f, self.interface.as_deref())?;
        write!(f, " ethertype 0x{:04x}", self.protocol)?;
        for (place, byte) in self.hardware_address.iter().enumerate() {
            let lead = if place == 0 { " at " } else { ":" };
            write!(f, "{lead}{byte:02x}")?;
        }
        Ok(())
    }
}

/// ETH_P_ALL.
const EVERY_PROTOCOL: u16 = 3;
/// ETH_P_802_2: what the kernel says of a frame that has a length where others have their protocol.
const LENGTH_FRAME: u16 = 4;
/// ETH_P_802_3_MIN: lower numbers in a frame are lengths.
const FIRST_PROTOCOL: u16 = 0x0600;
/// ETH_P_8021Q, ETH_P_8021AD, and what came before it: a tag, and behind it another protocol.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Where an Ethernet frame has its protocol, and how long its header is.
const PROTOCOL_AT: usize = 12;
const HEADER: usize = 14;
/// Frames with more tags than this are nobody's.
const MOST_TAGS: usize = 4;
/// PACKET_OUTGOING.
const OUTGOING: u8 = 4;

/// Names of Ethernet protocols, linux/if_ether.h. `all` and `*` are every one.
const ETHERTYPES: &[(&str, u64)] = &[
    ("llc", LENGTH_FRAME as u64),
    ("ipv4", 0x0800),
    ("arp", 0x0806),
    ("vlan", 0x8100),
    ("ipv6", 0x86dd),
    ("pppoe-discovery", 0x8863),
    ("pppoe-session", 0x8864),
    ("eapol", 0x888e),
    ("qinq", 0x88a8),
    ("lldp", 0x88cc),
    ("ptp", 0x88f7),
];

/// Frames that come in, and those that this machine sends.
const DIRECTIONS: &[(&str, u64)] = &[("in", 0), ("out", 1)];
const IN: u64 = 0;
const OUT: u64 = 1;

pub(crate) static GROUP: Group = Group {
    families: &[Family::Packet],
    address: from_keys,
    raw_only: false,
    keys: &[
        Key::address("interface", Shape::Names, "[\"eth0\"]"),
        Key::address(
            "ethertype",
            Shape::Numbers {
                words: ETHERTYPES,
                max: 0xffff,
            },
            "[\"0x88cc\"]",
        )
        .every(EVERY_PROTOCOL as u64)
        // A tap on everything has to be written.
        .unwritten(&[
            (0, EVERY_PROTOCOL as u64 - 1),
            (EVERY_PROTOCOL as u64 + 1, 0xffff),
        ]),
        Key::message(
            "direction",
            Shape::Numbers {
                words: DIRECTIONS,
                max: OUT,
            },
            "[\"in\"]",
        ),
        Key::message("promiscuous", Shape::Permits, "true"),
    ],
    one_place: true,
    naming: &["interface"],
    value,
    inspector,
};

fn from_keys(_: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    Ok(Address::Packet(PacketAddress {
        interface: given.text("interface"),
        protocol: given.small("ethertype").unwrap_or(EVERY_PROTOCOL),
        packet_type: 0,
        hardware_type: 0,
        hardware_address: Vec::new(),
    }))
}

fn value(address: &Address, key: &str) -> Option<Value> {
    let Address::Packet(packet) = address else {
        return None;
    };
    match (key, packet.protocol) {
        ("interface", _) => Some(interface_value(packet.interface.as_deref())),
        ("ethertype", EVERY_PROTOCOL) => Some(Value::Every(Some(u64::from(EVERY_PROTOCOL)))),
        // A socket that is bound to no protocol hears nothing.
        ("ethertype", 0) => Some(Value::Each(Vec::new())),
        ("ethertype", protocol) => Some(Value::Number(u64::from(protocol))),
        _ => None,
    }
}

fn inspector(kind: Kind) -> Option<&'static Inspector> {
    Some(match kind.socket_type {
        SocketType::Raw => &FRAMES,
        _ => &PAYLOADS,
    })
}

static FRAMES: Inspector = Inspector {
    head: HEADER + 4 * MOST_TAGS,
    read: read_frame,
};

/// The kernel writes and strips the link-layer header.
static PAYLOADS: Inspector = Inspector {
    head: 0,
    read: |_, direction, _| match direction {
        Direction::Sent => Parts::One(Part::new([("direction", Value::Number(OUT))])),
        Direction::Received => Parts::Many(Vec::new()),
    },
};

/// An Ethernet frame: its own protocol, and behind VLAN tags each further one. Of a received frame the
/// kernel's address names the protocol, so only what is behind a tag that it left is added.
fn read_frame(_: Kind, direction: Direction, bytes: &[u8]) -> Parts {
    let mut protocols = Vec::new();
    let mut at = PROTOCOL_AT;
    loop {
        let Some(&[high, low]) = bytes.get(at..at + 2) else {
            return match direction {
                Direction::Sent => Parts::Malformed("it ends within its Ethernet header"),
                Direction::Received => Parts::Many(Vec::new()),
            };
        };
        let protocol = u16::from_be_bytes([high, low]);
        protocols.push(match protocol {
            ..FIRST_PROTOCOL => LENGTH_FRAME,
            protocol => protocol,
        });
        if !TAGS.contains(&protocol) {
            break;
        }
        if protocols.len() > MOST_TAGS {
            return Parts::Malformed("it has more VLAN tags than are looked at");
        }
        at += 4;
    }
    let ethertype = |protocol: &u16| ("ethertype", Value::Number(u64::from(*protocol)));
    Parts::Many(match direction {
        Direction::Sent => protocols
            .iter()
            .map(|protocol| Part::new([ethertype(protocol), ("direction", Value::Number(OUT))]))
            .collect(),
        Direction::Received => protocols[1..]
            .iter()
            .map(|protocol| Part::new([ethertype(protocol)]))
            .collect(),
    })
}

/// What a frame's address says of it.
pub(crate) fn heard(sender: &PacketAddress) -> Part {
    let direction = match sender.packet_type {
        OUTGOING => OUT,
        _ => IN,
    };
    Part::new([("direction", Value::Number(direction))])
}

/// The destination as the kernel understands it, given the protocol in the frame's own header.
pub(crate) fn destination<'a>(to: &'a Address, own: Option<&Value>) -> Cow<'a, Address> {
    match (to, own) {
        (Address::Packet(packet), Some(Value::Number(own)))
            if matches!(packet.protocol, 0 | EVERY_PROTOCOL) =>
        {
            Cow::Owned(Address::Packet(PacketAddress {
                protocol: u16::try_from(*own).unwrap_or(0),
                ..packet.clone()
            }))
        }
        _ => Cow::Borrowed(to),
    }
}

/// PACKET_VNET_HDR, PACKET_VNET_HDR_SZ.
const VIRTIO_HEADERS: [OptionName; 2] = [OptionName::new(263, 15), OptionName::new(263, 24)];

/// Whether frames begin with a virtio_net_hdr, so that they are not where they are looked for.
pub(crate) fn prepends_header(s: &SocketFacts) -> bool {
    s.kind.family == Family::Packet
        && s.options
            .iter()
            .any(|(option, _)| VIRTIO_HEADERS.contains(&option))
}

/// What such a frame is.
pub(crate) const UNREADABLE: Parts =
    Parts::Malformed("it begins with a virtio_net_hdr (PACKET_VNET_HDR)");
