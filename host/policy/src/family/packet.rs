//! packet: frames of network interfaces, packet(7).

use std::fmt;

use super::{Given, Group, Key, Shape, Value, interface_or_any, interface_value, uninspected};
use crate::address::Address;
use crate::kind::{Family, Kind};

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

/// Names of Ethernet protocols, linux/if_ether.h.
const ETHERTYPES: &[(&str, u64)] = &[
    ("all", EVERY_PROTOCOL as u64),
    ("ipv4", 0x0800),
    ("arp", 0x0806),
    ("vlan", 0x8100),
    ("ipv6", 0x86dd),
    ("lldp", 0x88cc),
];

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
        ),
    ],
    one_place: true,
    naming: &["interface"],
    value,
    inspector: uninspected,
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
        ("ethertype", protocol) => Some(Value::Number(u64::from(protocol))),
        _ => None,
    }
}
