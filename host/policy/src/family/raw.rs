//! Raw IP sockets, raw(7): what their packets say beyond their addresses.

use super::{Group, Key, Shape, uninspected};
use crate::kind::Family;

/// IPPROTO_ICMP, IPPROTO_ICMPV6.
const ICMP: u32 = 1;
const ICMPV6: u32 = 58;

/// Types of ICMP and ICMPv6 messages that people name.
const ICMP_TYPES: &[(&str, u64)] = &[];

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
            "[8]",
        )
        .of(&[ICMP, ICMPV6]),
        Key::message("header-include", Shape::Permits, "true"),
    ],
    one_place: false,
    naming: &[],
    value: |_, _| None,
    inspector: uninspected,
};
