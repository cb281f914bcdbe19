//! Classes of IP addresses, and the IPv4 addresses that travel inside IPv6 ones.
//!
//! The ranges are those of the IANA special-purpose address registries; each is listed with its RFC.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bitflags::bitflags;
use ipnet::IpNet;

use crate::address::ipv4_inside;

bitflags! {
    /// A set of address classes. An address has exactly one class.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ClassSet: u16 {
        /// 127.0.0.0/8 (RFC 1122), ::1 (RFC 4291).
        const LOOPBACK = 1 << 0;
        /// 10/8, 172.16/12, 192.168/16 (RFC 1918), 100.64/10 (RFC 6598), fc00::/7 (RFC 4193),
        /// fec0::/10 (RFC 3879).
        const PRIVATE = 1 << 1;
        /// 169.254/16 (RFC 3927), fe80::/10 (RFC 4291).
        const LINK_LOCAL = 1 << 2;
        /// The addresses on which clouds serve a machine's credentials.
        const METADATA = 1 << 3;
        /// 224/4 (RFC 5771), ff00::/8 (RFC 4291).
        const MULTICAST = 1 << 4;
        /// 255.255.255.255 (RFC 919). A subnet's own broadcast address cannot be told without its mask;
        /// SO_BROADCAST, which it needs, is a matter of `options`.
        const BROADCAST = 1 << 5;
        /// Everything that the registries set aside and that has no class of its own.
        const RESERVED = 1 << 6;
        /// Every other address.
        const GLOBAL = 1 << 7;
    }
}

/// The names of the classes in a policy.
pub(crate) const CLASSES: &[(&str, ClassSet)] = &[
    ("loopback", ClassSet::LOOPBACK),
    ("private", ClassSet::PRIVATE),
    ("link-local", ClassSet::LINK_LOCAL),
    ("metadata", ClassSet::METADATA),
    ("multicast", ClassSet::MULTICAST),
    ("broadcast", ClassSet::BROADCAST),
    ("reserved", ClassSet::RESERVED),
    ("global", ClassSet::GLOBAL),
];

impl fmt::Display for ClassSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = CLASSES
            .iter()
            .filter(|(_, class)| self.contains(*class))
            .map(|(name, _)| *name)
            .collect();
        f.write_str(&names.join(", "))
    }
}

/// IPv4 ranges in order of precedence: (network, prefix length, class).
const INET: &[([u8; 4], u32, ClassSet)] = &[
    ([169, 254, 169, 254], 32, ClassSet::METADATA), // AWS, Azure, Google, OpenStack, Oracle: by convention
    ([169, 254, 170, 2], 32, ClassSet::METADATA),   // AWS ECS task credentials
    ([169, 254, 170, 23], 32, ClassSet::METADATA),  // AWS EKS pod identity
    ([100, 100, 100, 200], 32, ClassSet::METADATA), // Alibaba Cloud
    ([168, 63, 129, 16], 32, ClassSet::METADATA),   // Azure's WireServer
    ([192, 0, 0, 192], 32, ClassSet::METADATA),     // Oracle Cloud (classic)
    ([127, 0, 0, 0], 8, ClassSet::LOOPBACK),        // RFC 1122, 3.2.1.3
    ([10, 0, 0, 0], 8, ClassSet::PRIVATE),          // RFC 1918
    ([172, 16, 0, 0], 12, ClassSet::PRIVATE),       // RFC 1918
    ([192, 168, 0, 0], 16, ClassSet::PRIVATE),      // RFC 1918
    ([100, 64, 0, 0], 10, ClassSet::PRIVATE),       // RFC 6598, shared address space
    ([169, 254, 0, 0], 16, ClassSet::LINK_LOCAL),   // RFC 3927
    ([224, 0, 0, 0], 4, ClassSet::MULTICAST),       // RFC 5771
    ([255, 255, 255, 255], 32, ClassSet::BROADCAST), // RFC 919
    ([0, 0, 0, 0], 8, ClassSet::RESERVED),          // RFC 791, "this network"
    ([192, 0, 0, 9], 32, ClassSet::GLOBAL),         // RFC 7723, PCP anycast
    ([192, 0, 0, 10], 32, ClassSet::GLOBAL),        // RFC 8155, TURN anycast
    ([192, 0, 0, 0], 24, ClassSet::RESERVED),       // RFC 6890, protocol assignments
    ([192, 0, 2, 0], 24, ClassSet::RESERVED),       // RFC 5737, documentation
    ([192, 88, 99, 0], 24, ClassSet::RESERVED),     // RFC 7526, former 6to4 relays
    ([198, 18, 0, 0], 15, ClassSet::RESERVED),      // RFC 2544, benchmarks
    ([198, 51, 100, 0], 24, ClassSet::RESERVED),    // RFC 5737, documentation
    ([203, 0, 113, 0], 24, ClassSet::RESERVED),     // RFC 5737, documentation
    ([240, 0, 0, 0], 4, ClassSet::RESERVED),        // RFC 1112, former class E
];

/// IPv6 ranges in order of precedence: (network, prefix length, class).
const INET6: &[(Ipv6Addr, u32, ClassSet)] = &[
    (
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        128,
        ClassSet::METADATA,
    ), // AWS
    (
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
        128,
        ClassSet::METADATA,
    ), // AWS EKS pod identity
    (
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        128,
        ClassSet::METADATA,
    ), // Google
    (Ipv6Addr::LOCALHOST, 128, ClassSet::LOOPBACK), // RFC 4291
    (Ipv6Addr::UNSPECIFIED, 128, ClassSet::RESERVED), // RFC 4291
    (
        Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        8,
        ClassSet::MULTICAST,
    ), // RFC 4291
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        10,
        ClassSet::LINK_LOCAL,
    ), // RFC 4291
    (
        Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0),
        10,
        ClassSet::PRIVATE,
    ), // RFC 3879, site-local
    (
        Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0),
        7,
        ClassSet::PRIVATE,
    ), // RFC 4193
    // Translated and tunnelled addresses: the class is that of the IPv4 address inside, see `embedded`.
    (
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0),
        96,
        ClassSet::GLOBAL,
    ), // RFC 6052, NAT64
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        32,
        ClassSet::GLOBAL,
    ), // RFC 4380, Teredo
    (
        Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1),
        128,
        ClassSet::GLOBAL,
    ), // RFC 7723, PCP anycast
    (
        Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2),
        128,
        ClassSet::GLOBAL,
    ), // RFC 8155, TURN anycast
    (
        Ipv6Addr::new(0x2001, 3, 0, 0, 0, 0, 0, 0),
        32,
        ClassSet::GLOBAL,
    ), // RFC 7450, AMT
    (
        Ipv6Addr::new(0x2001, 4, 0x112, 0, 0, 0, 0, 0),
        48,
        ClassSet::GLOBAL,
    ), // RFC 7535, AS112
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        ClassSet::RESERVED,
    ), // RFC 2928, protocol assignments
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        ClassSet::RESERVED,
    ), // RFC 3849, documentation
    (
        Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0),
        3,
        ClassSet::GLOBAL,
    ), // RFC 4291, global unicast
       // All else is not allotted (RFC 4291, 2.4), among it 64:ff9b:1::/48 (RFC 8215, local NAT64),
       // 100::/64 (RFC 6666, discard), 3fff::/20 (RFC 9637, documentation: see below) and 5f00::/16 (RFC 9602).
];

/// 3fff::/20 (RFC 9637), documentation: lies within global unicast.
const DOCUMENTATION: (Ipv6Addr, u32) = (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20);

fn within4(address: Ipv4Addr, network: Ipv4Addr, length: u32) -> bool {
    (u32::from(address) ^ u32::from(network))
        .checked_shr(32 - length)
        .unwrap_or(0)
        == 0
}

fn within6(address: Ipv6Addr, network: Ipv6Addr, length: u32) -> bool {
    (u128::from(address) ^ u128::from(network))
        .checked_shr(128 - length)
        .unwrap_or(0)
        == 0
}

/// The one class of an address. What travels inside it is not looked at, except for the IPv4-mapped and
/// -compatible forms.
#[must_use]
pub fn classify(address: IpAddr) -> ClassSet {
    match address {
        IpAddr::V4(four) => classify4(four),
        IpAddr::V6(six) => match ipv4_inside(six) {
            Some(four) => classify4(four),
            None => classify6(six),
        },
    }
}

fn classify4(four: Ipv4Addr) -> ClassSet {
    INET.iter()
        .find(|(network, length, _)| within4(four, Ipv4Addr::from(*network), *length))
        .map_or(ClassSet::GLOBAL, |(_, _, class)| *class)
}

fn classify6(six: Ipv6Addr) -> ClassSet {
    if within6(six, DOCUMENTATION.0, DOCUMENTATION.1) {
        return ClassSet::RESERVED;
    }
    INET6
        .iter()
        .find(|(network, length, _)| within6(six, *network, *length))
        .map_or(ClassSet::RESERVED, |(_, _, class)| *class)
}

/// The one class of all addresses of an IPv4 network; none if they are of several, or lie in IPv6.
pub(crate) fn uniform(net: &IpNet) -> Option<ClassSet> {
    let IpNet::V4(net) = net else {
        return (net.prefix_len() == net.max_prefix_len()).then(|| classes(net.addr()));
    };
    let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
    // A range that begins or ends within the network may divide it.
    let divided = INET.iter().any(|(network, length, _)| {
        let begin = u32::from(Ipv4Addr::from(*network));
        let end = begin | u32::MAX.checked_shr(*length).unwrap_or(0);
        (first < begin && begin <= last) || (first <= end && end < last)
    });
    (!divided).then(|| classify4(net.network()))
}

/// The IPv4 addresses that an IPv6 address leads to: NAT64 (RFC 6052), 6to4 (RFC 3056), and Teredo
/// (RFC 4380: its server, and the client's address, which is stored inverted).
pub(crate) fn embedded(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (first, second) = match address {
        IpAddr::V4(_) => (None, None),
        IpAddr::V6(six) => embedded6(six),
    };
    first.into_iter().chain(second).map(IpAddr::V4)
}

fn embedded6(six: Ipv6Addr) -> (Option<Ipv4Addr>, Option<Ipv4Addr>) {
    let octets = six.octets();
    let at = |place: usize| {
        Ipv4Addr::new(
            octets[place],
            octets[place + 1],
            octets[place + 2],
            octets[place + 3],
        )
    };
    match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => (Some(at(12)), None),
        [0x2002, ..] => (Some(at(2)), None),
        [0x2001, 0, ..] => (Some(at(4)), Some(Ipv4Addr::from(!u32::from(at(12))))),
        _ => (None, None),
    }
}

/// Every class under which an address has to be covered: its own, and those of the addresses inside.
pub(crate) fn classes(address: IpAddr) -> ClassSet {
    embedded(address).fold(classify(address), |set, inner| set | classify(inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class(text: &str) -> String {
        classes(text.parse().unwrap()).to_string()
    }

    #[test]
    fn each_range_has_its_class() {
        for (address, expected) in [
            ("127.255.0.1", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("10.1.2.3", "private"),
            ("172.31.255.255", "private"),
            ("172.32.0.0", "global"),
            ("100.127.0.1", "private"),
            ("fd12::1", "private"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("239.1.1.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("0.0.0.0", "reserved"),
            ("::", "reserved"),
            ("240.0.0.1", "reserved"),
            ("203.0.113.9", "reserved"),
            ("2001:db8::1", "reserved"),
            ("3fff::1", "reserved"),
            ("64:ff9b:1::1", "reserved"),
            ("100::1", "reserved"),
            ("8.8.8.8", "global"),
            ("2606:4700::1111", "global"),
            ("64:ff9b::8.8.8.8", "global"),
        ] {
            assert_eq!(class(address), expected, "{address}");
        }
    }

    #[test]
    fn a_network_is_of_one_class_where_no_range_divides_it() {
        for (network, expected) in [
            ("10.0.0.0/8", "private"),
            ("10.1.2.3/32", "private"),
            ("8.0.0.0/7", "global"),
            ("11.0.0.0/8", "global"),
            ("169.254.169.254/32", "metadata"),
            ("192.0.0.16/28", "reserved"),
            ("::1/128", "loopback"),
            ("64:ff9b::a00:1/128", "private, global"),
            // A range lies within it, at its begin, or at its end.
            ("169.254.0.0/16", "several"),
            ("192.0.0.10/31", "several"),
            ("192.0.0.8/31", "several"),
            // It begins or ends within a range.
            ("10.0.0.0/7", "several"),
            ("254.0.0.0/7", "several"),
            ("126.0.0.0/7", "several"),
            ("fc00::/7", "several"),
        ] {
            let class = uniform(&network.parse().unwrap());
            let said = class.map_or("several".to_owned(), |class| class.to_string());
            assert_eq!(said, expected, "{network}");
        }
    }

    #[test]
    fn what_travels_inside_counts_too() {
        assert_eq!(class("64:ff9b::10.0.0.1"), "private, global");
        assert_eq!(class("2002:7f00:1::"), "loopback, global");
        // Teredo: server 192.0.2.1, client 10.0.0.1 inverted.
        assert_eq!(
            class("2001:0:c000:201:0:0:f5ff:fffe"),
            "private, reserved, global"
        );
    }

    proptest! {
        #[test]
        fn every_address_has_exactly_one_class(bits: u128) {
            prop_assert_eq!(classify(Ipv6Addr::from(bits).into()).bits().count_ones(), 1);
            prop_assert_eq!(classify(Ipv4Addr::from(bits as u32).into()).bits().count_ones(), 1);
        }

        #[test]
        fn each_address_is_of_the_class_of_its_network(bits: u32, length in 0u8..=32, host: u32) {
            let net = ipnet::Ipv4Net::new(Ipv4Addr::from(bits), length).unwrap();
            let one = Ipv4Addr::from(u32::from(net.network()) | (host & u32::from(net.hostmask())));
            if let Some(class) = uniform(&net.into()) {
                prop_assert_eq!(class, classify(one.into()), "{} {}", net, one);
            }
        }

        #[test]
        fn mapping_never_changes_a_class(bits: u32) {
            let four = Ipv4Addr::from(bits);
            prop_assert_eq!(classify(four.into()), classify(four.to_ipv6_mapped().into()));
        }

        #[test]
        fn a_private_address_inside_always_shows(low in 0u32..1 << 24) {
            let four = Ipv4Addr::from(0x0a00_0000 | low);
            let [a, b, c, d] = four.octets();
            let nat64 = Ipv6Addr::from([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]);
            prop_assert!(classes(nat64.into()).contains(ClassSet::PRIVATE));
        }
    }
}
