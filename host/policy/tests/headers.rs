//! What the inspectors read of headers that a guest writes itself: IP, netlink, Ethernet, each at its edges.

mod common;

use common::families::kind;
use common::{fresh, option};
use sockgate_policy::{Content, Family, Kind, SocketFacts, SocketType};

const RAW4: Kind = kind(Family::Inet, SocketType::Raw, 255);
const RAW6: Kind = kind(Family::Inet6, SocketType::Raw, 255);
const UDP_RAW: Kind = kind(Family::Inet, SocketType::Raw, 17);
const ICMP_RAW: Kind = kind(Family::Inet, SocketType::Raw, 1);
const ICMPV6_RAW: Kind = kind(Family::Inet6, SocketType::Raw, 58);

fn set(kind: Kind, name: &str, value: &[u8]) -> SocketFacts {
    let mut facts = fresh(kind);
    facts.options.remember(option(name), value);
    facts
}

/// What is in a packet, or why it cannot be read.
fn read(s: &SocketFacts, bytes: &[u8]) -> String {
    Content::sent_by(s, bytes).to_string()
}

fn ipv4(protocol: u8, options: &[u8], behind: &[u8]) -> Vec<u8> {
    assert!(options.len().is_multiple_of(4));
    let words = 5 + u8::try_from(options.len() / 4).unwrap();
    let mut bytes = vec![0x40 | words, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(options);
    bytes.extend(behind);
    bytes
}

const INCLUDED: &str = "header-include=1";

#[test]
fn an_ipv4_header_is_whole() {
    let s = fresh(RAW4);
    assert_eq!(read(&s, &ipv4(17, &[], b"")), INCLUDED);
    assert_eq!(read(&s, &ipv4(17, &[1, 1, 1, 1], b"")), INCLUDED);
    let no_header = "it does not begin with an IPv4 header";
    let mut bytes = ipv4(17, &[], b"payload of some length");
    for first in [0x55, 0x65, 0x44, 0x40] {
        bytes[0] = first;
        assert_eq!(read(&s, &bytes), no_header, "{first:#x}");
    }
    // Longer than the packet, by a byte and by options that are not there.
    let mut short = ipv4(17, &[1, 1, 1, 1], b"");
    short.pop();
    assert_eq!(read(&s, &short), no_header);
    assert_eq!(read(&s, &short[..19]), "it is shorter than an IPv4 header");
}

#[test]
fn a_source_route_is_found_among_options() {
    let s = fresh(RAW4);
    let route = "its header has a source route";
    for (options, expected) in [
        (&[0x94, 4, 0, 0][..], INCLUDED),
        (&[0x83, 4, 0, 0], route),
        (&[0x89, 4, 0, 0], route),
        (&[1, 1, 1, 0x83], route),
        (&[1, 0x94, 2, 0], INCLUDED),
        // Behind the end nothing is read, and behind a skipped option the next one is.
        (&[0, 0x83, 4, 0], INCLUDED),
        (&[0x94, 2, 0x83, 0], route),
        (&[0x94, 4, 0x83, 0x83], INCLUDED),
        // Lengths that lie.
        (&[0x94, 1, 0, 0], route),
        (&[0x94, 0, 0, 0], route),
        (&[0x94, 5, 0, 0], route),
        (&[1, 1, 1, 0x94], route),
    ] {
        assert_eq!(read(&s, &ipv4(17, options, b"")), expected, "{options:?}");
    }
}

#[test]
fn the_header_says_the_protocol_of_its_socket() {
    let other = "its header says another protocol than the socket's";
    let udp = set(UDP_RAW, "ip.hdrincl", &1i32.to_ne_bytes());
    assert_eq!(read(&udp, &ipv4(17, &[], b"")), INCLUDED);
    assert_eq!(read(&udp, &ipv4(6, &[], b"")), other);
    // IPPROTO_RAW is for every protocol.
    assert_eq!(read(&fresh(RAW4), &ipv4(6, &[], b"")), INCLUDED);
    let icmp = set(ICMP_RAW, "ip.hdrincl", &1i32.to_ne_bytes());
    assert_eq!(
        read(&icmp, &ipv4(1, &[], &[8])),
        "icmp-type=8 header-include=1"
    );
    assert_eq!(read(&icmp, &ipv4(17, &[], &[8])), other);
    assert_eq!(
        read(&icmp, &ipv4(1, &[], &[])),
        "it is shorter than an ICMP message"
    );
    let mut fragment = ipv4(1, &[], &[8]);
    for (offset, expected) in [
        (0x0001, "it is a fragment without an ICMP type"),
        (0x1fff, "it is a fragment without an ICMP type"),
        (0x2000, "icmp-type=8 header-include=1"),
        (0x4000, "icmp-type=8 header-include=1"),
    ] {
        fragment[6..8].copy_from_slice(&u16::to_be_bytes(offset));
        assert_eq!(read(&icmp, &fragment), expected, "{offset:#x}");
    }
}

#[test]
fn the_option_says_whether_there_is_a_header() {
    let plain = "";
    let packet = ipv4(17, &[], b"");
    for (value, expected) in [
        (&1i32.to_ne_bytes()[..], INCLUDED),
        (&0i32.to_ne_bytes(), plain),
        (&0x100i32.to_ne_bytes(), INCLUDED),
        (&[1], INCLUDED),
        (&[0], plain),
        // Bytes that were not kept, or none: the stricter reading.
        (&[], INCLUDED),
        (&[0; 300], INCLUDED),
    ] {
        let s = set(UDP_RAW, "ip.hdrincl", value);
        assert_eq!(read(&s, &packet), expected, "{value:?}");
    }
    // Another option says nothing of it, and neither does one on a socket without headers.
    assert_eq!(
        read(&set(UDP_RAW, "ip.ttl", &1i32.to_ne_bytes()), &packet),
        plain
    );
    let datagram = kind(Family::Inet, SocketType::Datagram, 17);
    assert_eq!(
        read(&set(datagram, "ip.hdrincl", &1i32.to_ne_bytes()), &packet),
        plain
    );
    assert_eq!(
        read(&set(RAW4, "ip.hdrincl", &0i32.to_ne_bytes()), &packet),
        plain
    );
}

fn ipv6(next: u8, behind: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    bytes.extend([0; 32]);
    bytes[39] = 1;
    bytes.extend(behind);
    bytes
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const ICMPV6: u8 = 58;

#[test]
fn ipv6_extension_headers_are_walked_to_the_message() {
    let s = set(ICMPV6_RAW, "ipv6.hdrincl", &1i32.to_ne_bytes());
    let echo = "icmp-type=128 header-include=1";
    let reads = |next, behind: &[u8]| read(&s, &ipv6(next, behind));
    assert_eq!(reads(ICMPV6, &[128]), echo);
    assert_eq!(reads(ICMPV6, &[]), "it is shorter than an ICMP message");
    for extension in [HOP_BY_HOP, DESTINATION] {
        let mut behind = vec![ICMPV6, 0, 0, 0, 0, 0, 0, 0, 128];
        assert_eq!(reads(extension, &behind), echo, "{extension}");
        // One of 16 bytes.
        behind[1] = 1;
        behind.splice(8..8, [0; 8]);
        assert_eq!(reads(extension, &behind), echo, "{extension}");
        assert_eq!(
            reads(extension, &behind[..7]),
            "it ends within an IPv6 extension header"
        );
        // A routing header behind it.
        assert_eq!(
            reads(extension, &[ROUTING, 0, 0, 0, 0, 0, 0, 0]),
            "its header has a routing header"
        );
    }
    assert_eq!(reads(ROUTING, &[]), "its header has a routing header");
    let fragment = |offset: u16| {
        let [high, low] = offset.to_be_bytes();
        reads(FRAGMENT, &[ICMPV6, 0, high, low, 0, 0, 0, 0, 128])
    };
    assert_eq!(fragment(0), echo);
    assert_eq!(fragment(0x7), echo, "flags are no offset");
    assert_eq!(fragment(0x8), "it is a fragment without an ICMP type");
    assert_eq!(fragment(0xff00), "it is a fragment without an ICMP type");
    assert_eq!(
        reads(FRAGMENT, &[ICMPV6, 0, 0]),
        "it ends within an IPv6 extension header"
    );
    assert_eq!(
        reads(17, &[128]),
        "its header says another protocol than the socket's"
    );
}

#[test]
fn an_ipv6_header_is_whole() {
    let s = fresh(RAW6);
    let whole = ipv6(17, b"");
    assert_eq!(read(&s, &whole), INCLUDED);
    assert_eq!(read(&s, &whole[..39]), "it is shorter than an IPv6 header");
    // Behind the header of a later fragment there is none, whatever the first one goes on with.
    for next in [HOP_BY_HOP, DESTINATION, ROUTING] {
        let later = ipv6(FRAGMENT, &[next, 0, 0, 8, 0, 0, 0, 0, ROUTING]);
        assert_eq!(read(&s, &later), INCLUDED, "{next}");
    }
    let mut other = whole;
    other[0] = 0x40;
    assert_eq!(read(&s, &other), "it does not begin with an IPv6 header");
}

fn netlink(protocol: u32, number: u16, flags: u16, payload: &[u8]) -> String {
    let s = fresh(kind(Family::Netlink, SocketType::Raw, protocol));
    let mut bytes = u32::try_from(16 + payload.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
    bytes.extend(number.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(payload);
    read(&s, &bytes)
}

#[test]
fn only_a_dump_only_reads() {
    const ROUTE: u32 = 0;
    const USERSOCK: u32 = 2;
    const DIAG: u32 = 4;
    const XFRM: u32 = 6;
    const GENERIC: u32 = 16;
    let reads = |protocol, number, flags| {
        netlink(protocol, number, flags, &[0; 4]).ends_with("dump-only=1")
    };
    assert!(reads(ROUTE, 18, 0x301) && reads(ROUTE, 22, 0x300));
    assert!(!reads(ROUTE, 18, 0x1) && !reads(ROUTE, 18, 0x100) && !reads(ROUTE, 18, 0x200));
    assert!(!reads(ROUTE, 16, 0x301) && !reads(ROUTE, 17, 0x301) && !reads(ROUTE, 19, 0x301));
    assert!(!reads(ROUTE, 2, 0x301) && !reads(ROUTE, 14, 0x301));
    assert!(reads(DIAG, 20, 0x301) && !reads(DIAG, 21, 0x301) && !reads(DIAG, 20, 0x1));
    assert!(reads(GENERIC, 16, 0x301) && reads(GENERIC, 30, 0x301));
    assert!(!reads(GENERIC, 15, 0x301) && !reads(GENERIC, 16, 0));
    assert!(!reads(XFRM, 18, 0x301));
    // Programs say there what they like.
    assert_eq!(netlink(USERSOCK, 18, 0x301, &[]), "");
}

#[test]
fn messages_have_the_names_of_their_protocol() {
    let name = |protocol, number| {
        let text = netlink(protocol, number, 0, &[7]);
        text.split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(name(0, 18), "messages=getlink");
    assert_eq!(name(6, 18), "messages=18");
    assert_eq!(name(0, 1), "messages=noop");
    assert_eq!(name(4, 3), "messages=done");
    assert_eq!(name(16, 2), "messages=error");
    assert_eq!(name(16, 16), "messages=ctrl:7");
    assert_eq!(name(16, 15), "messages=15");
    assert_ne!(name(4, 20), "messages=20");
    assert_eq!(name(0, 20), "messages=newaddr");
}

#[test]
fn tags_of_a_frame_are_counted() {
    let s = fresh(kind(Family::Packet, SocketType::Raw, 3));
    let frame = |tags: usize, last: u16| {
        let mut bytes = vec![0; 12];
        for _ in 0..tags {
            bytes.extend([0x81, 0x00, 0, 0]);
        }
        bytes.extend(last.to_be_bytes());
        read(&s, &bytes)
    };
    assert_eq!(frame(0, 0x0800), "ethertype=2048 direction=1");
    assert_eq!(frame(4, 0x0800), "ethertype=33024 direction=1 and 4 more");
    assert_eq!(frame(5, 0x0800), "it has more VLAN tags than are looked at");
    // Numbers below the first protocol are lengths.
    assert_eq!(frame(0, 0x05ff), "ethertype=4 direction=1");
    assert_eq!(frame(0, 0x0600), "ethertype=1536 direction=1");
    // A socket whose frames begin with something else is read by nobody.
    for name in ["packet.vnet-hdr", "packet.vnet-hdr-size"] {
        let odd = set(s.kind, name, &1i32.to_ne_bytes());
        assert!(read(&odd, &[0; 64]).contains("virtio_net_hdr"), "{name}");
        let datagram = kind(Family::Inet, SocketType::Datagram, 17);
        let none = set(datagram, name, &1i32.to_ne_bytes());
        assert_eq!(read(&none, &[0; 64]), "", "{name}");
    }
    let other = set(s.kind, "packet.loss", &1i32.to_ne_bytes());
    assert_eq!(read(&other, &[0; 64]), "ethertype=4 direction=1");
}
