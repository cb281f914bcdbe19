//! Raw IP sockets, raw(7): what their packets say beyond their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Direction, Group, Inspector, Key, Part, Parts, Shape, Value};
use crate::facts::SocketFacts;
use crate::kind::{Family, ICMP, ICMPV6, Kind, SocketType};
use crate::option::{IP_HDRINCL, IPV6_HDRINCL};

/// IPPROTO_RAW: its sockets send packets with a header of their own, unless IP_HDRINCL is switched off.
const RAW: u32 = 255;

/// Types of ICMP and ICMPv6 messages that people name, RFC 792 and RFC 4443. What both have in common has
/// two names, since the numbers differ.
const ICMP_TYPES: &[(&str, u64)] = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("v6-destination-unreachable", 1),
    ("v6-packet-too-big", 2),
    ("v6-time-exceeded", 3),
    ("v6-parameter-problem", 4),
    ("v6-echo-request", 128),
    ("v6-echo-reply", 129),
    ("v6-router-solicitation", 133),
    ("v6-router-advertisement", 134),
    ("v6-neighbor-solicitation", 135),
    ("v6-neighbor-advertisement", 136),
    ("v6-redirect", 137),
];

pub(crate) static GROUP: Group = Group {
    families: &[Family::Inet, Family::Inet6],
    // Their addresses are IP ones, which have no keys here.
    address: |_, _| Err("cidr"),
    raw_only: true,
    keys: &[
        Key::message(
            "icmp-type",
            Shape::Numbers {
                words: ICMP_TYPES,
                max: 255,
            },
            "[\"echo-request\", \"echo-reply\"]",
        )
        .of(&[ICMP, ICMPV6]),
        Key::message("header-include", Shape::Permits, "true"),
    ],
    one_place: false,
    naming: &[],
    value: |_, _| None,
    inspector: |_| Some(&PACKETS),
};

/// The longest IPv4 header, and the first byte of ICMP behind it.
const LONGEST_HEADER: usize = 60;

static PACKETS: Inspector = Inspector {
    head: LONGEST_HEADER + 1,
    read,
};

fn is_icmp(kind: Kind) -> bool {
    matches!(kind.protocol, ICMP | ICMPV6)
}

/// What is behind the header, which only receives on IPv4 give along.
fn read(kind: Kind, direction: Direction, bytes: &[u8]) -> Parts {
    if !is_icmp(kind) {
        return Parts::Many(Vec::new());
    }
    let message = match (kind.family, direction) {
        (Family::Inet, Direction::Received) => bytes
            .first()
            .and_then(|first| bytes.get(usize::from(first & 0xf) * 4..)),
        _ => Some(bytes),
    };
    match message.and_then(<[u8]>::first) {
        Some(icmp_type) => Parts::One(Part::new([(
            "icmp-type",
            Value::Number(u64::from(*icmp_type)),
        )])),
        None => Parts::Malformed("it is shorter than an ICMP message"),
    }
}

/// Whether what the guest sends begins with an IP header of its own.
pub(crate) fn includes_header(s: &SocketFacts) -> bool {
    let option = match (s.kind.family, s.kind.socket_type) {
        (Family::Inet, SocketType::Raw) => IP_HDRINCL,
        (Family::Inet6, SocketType::Raw) => IPV6_HDRINCL,
        _ => return false,
    };
    let set = s.options.iter().find(|(known, _)| *known == option);
    match set {
        // As the kernel reads it: an int, or one byte where there are fewer.
        Some((_, Some(&[a, b, c, d, ..]))) => i32::from_ne_bytes([a, b, c, d]) != 0,
        Some((_, Some(&[byte, ..]))) => byte != 0,
        Some((_, _)) => true,
        None => s.kind.protocol == RAW,
    }
}

/// The header that the guest wrote, as far as it matters.
struct Header {
    destination: IpAddr,
    /// The protocol behind it.
    protocol: u8,
    /// Whether it is a later fragment, whose payload does not begin with the protocol's header.
    fragment: bool,
    length: usize,
}

/// A packet that brings its own header, and for whom that is.
pub(crate) fn read_with_header(kind: Kind, bytes: &[u8]) -> (Parts, Option<IpAddr>) {
    let header = match kind.family {
        Family::Inet => ipv4_header(bytes),
        _ => ipv6_header(bytes),
    };
    let header = match header {
        Ok(header) => header,
        Err(why) => return (Parts::Malformed(why), None),
    };
    let included = ("header-include", Value::Number(1));
    let parts = if is_icmp(kind) {
        match bytes.get(header.length) {
            _ if u32::from(header.protocol) != kind.protocol => {
                Parts::Malformed("its header says another protocol than the socket's")
            }
            _ if header.fragment => Parts::Malformed("it is a fragment without an ICMP type"),
            Some(icmp_type) => Parts::One(Part::new([
                ("icmp-type", Value::Number(u64::from(*icmp_type))),
                included,
            ])),
            None => Parts::Malformed("it is shorter than an ICMP message"),
        }
    } else if kind.protocol != RAW && u32::from(header.protocol) != kind.protocol {
        Parts::Malformed("its header says another protocol than the socket's")
    } else {
        Parts::One(Part::new([included]))
    };
    (parts, Some(header.destination))
}

fn ipv4_header(bytes: &[u8]) -> Result<Header, &'static str> {
    let Some(header) = bytes.first_chunk::<20>() else {
        return Err("it is shorter than an IPv4 header");
    };
    let length = usize::from(header[0] & 0xf) * 4;
    let options = bytes.get(20..length);
    if header[0] >> 4 != 4 || length > bytes.len() || length < 20 {
        return Err("it does not begin with an IPv4 header");
    }
    if options.is_some_and(|options| routes_elsewhere(options)) {
        return Err("its header has a source route");
    }
    Ok(Header {
        destination: IpAddr::V4(Ipv4Addr::new(
            header[16], header[17], header[18], header[19],
        )),
        protocol: header[9],
        fragment: u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0,
        length,
    })
}

/// Whether IPv4 options hold a loose or strict source route, RFC 791. Options that cannot be read count.
fn routes_elsewhere(options: &[u8]) -> bool {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const LOOSE: u8 = 0x83;
    const STRICT: u8 = 0x89;
    let mut rest = options;
    while let [kind, behind @ ..] = rest {
        rest = match *kind {
            END => return false,
            NOTHING => behind,
            LOOSE | STRICT => return true,
            _ => match behind.first() {
                Some(length) if *length >= 2 && usize::from(*length) <= rest.len() => {
                    &rest[usize::from(*length)..]
                }
                _ => return true,
            },
        };
    }
    false
}

fn ipv6_header(bytes: &[u8]) -> Result<Header, &'static str> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION_OPTIONS: u8 = 60;
    let Some(header) = bytes.first_chunk::<40>() else {
        return Err("it is shorter than an IPv6 header");
    };
    if header[0] >> 4 != 6 {
        return Err("it does not begin with an IPv6 header");
    }
    let mut destination = [0; 16];
    destination.copy_from_slice(&header[24..40]);
    let (mut protocol, mut length, mut fragment) = (header[6], 40, false);
    loop {
        let size = match (protocol, bytes.get(length..length + 8)) {
            (ROUTING, _) => return Err("its header has a routing header"),
            (HOP_BY_HOP | DESTINATION_OPTIONS | FRAGMENT, None) => {
                return Err("it ends within an IPv6 extension header");
            }
            (HOP_BY_HOP | DESTINATION_OPTIONS, Some(extension)) => {
                (usize::from(extension[1]) + 1) * 8
            }
            (FRAGMENT, Some(extension)) => {
                fragment |= u16::from_be_bytes([extension[2], extension[3]]) & 0xfff8 != 0;
                8
            }
            _ => break,
        };
        protocol = bytes[length];
        length += size;
        if fragment {
            break;
        }
    }
    Ok(Header {
        destination: IpAddr::V6(Ipv6Addr::from(destination)),
        protocol,
        fragment,
        length,
    })
}
