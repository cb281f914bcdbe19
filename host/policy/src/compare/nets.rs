//! Sets of IP networks: union, difference, and what lies inside what.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

/// First and last address, as numbers; IPv4 and IPv6 apart.
type Range = (u128, u128);

fn range(net: &IpNet) -> (bool, Range) {
    match net {
        IpNet::V4(net) => (
            false,
            (
                u128::from(net.network().to_bits()),
                u128::from(net.broadcast().to_bits()),
            ),
        ),
        IpNet::V6(net) => (true, (net.network().to_bits(), net.broadcast().to_bits())),
    }
}

/// The ranges of one version, merged and in order.
fn merged(nets: &[IpNet], six: bool) -> Vec<Range> {
    let mut ranges: Vec<Range> = nets
        .iter()
        .map(range)
        .filter(|(version, _)| *version == six)
        .map(|(_, range)| range)
        .collect();
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(open) if first <= open.1.saturating_add(1) => open.1 = open.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// Whether every address of `narrow` is one of `wide`.
pub(crate) fn within(wide: &[IpNet], narrow: &[IpNet]) -> bool {
    if let ([wide], [narrow]) = (wide, narrow) {
        return wide.contains(narrow);
    }
    [false, true].into_iter().all(|six| {
        let wide = merged(wide, six);
        merged(narrow, six).iter().all(|(first, last)| {
            wide.iter()
                .any(|(begin, end)| begin <= first && last <= end)
        })
    })
}

/// Whether no address is in both.
pub(crate) fn disjoint(one: &[IpNet], other: &[IpNet]) -> bool {
    !one.iter().any(|one| {
        other
            .iter()
            .any(|other| one.contains(other) || other.contains(one))
    })
}

/// What is left of the networks without those of `taken`: the networks that are not wholly taken, and the
/// parts that are taken from these.
pub(crate) fn without(nets: &[IpNet], taken: &[IpNet]) -> (Vec<IpNet>, Vec<IpNet>) {
    let left: Vec<IpNet> = nets
        .iter()
        .filter(|net| !within(taken, &[**net]))
        .copied()
        .collect();
    let parts: Vec<IpNet> = taken
        .iter()
        .filter(|part| left.iter().any(|net| net.contains(*part)))
        .copied()
        .collect();
    let parts = IpNet::aggregate(&parts);
    (left, parts)
}

/// Whether some address of the networks has another inside, under which it has to be covered as well: then
/// rules that cover the networks together may not cover each address by itself.
pub(crate) fn may_embed(nets: &[IpNet]) -> bool {
    let prefixes = [
        ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
        ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
        ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    ];
    prefixes.into_iter().any(|(segments, length)| {
        let prefix = Ipv6Net::new(Ipv6Addr::from(segments), length);
        let prefix: Vec<IpNet> = prefix.into_iter().map(IpNet::V6).collect();
        !disjoint(nets, &prefix)
    })
}

/// An address as rules write it: without `/32` and `/128`.
pub(crate) fn shown(net: &IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => IpAddr::to_string(&net.addr()),
        false => net.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(words: &[&str]) -> Vec<IpNet> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn halves_make_a_whole() {
        let halves = nets(&["10.128.0.0/9", "10.0.0.0/9"]);
        assert!(within(&halves, &nets(&["10.0.0.0/8", "10.1.0.0/16"])));
        assert!(!within(&halves[..1], &nets(&["10.0.0.0/8"])));
        assert!(!within(&halves, &nets(&["::a00:0/104"])));
    }

    #[test]
    fn what_is_left() {
        let (left, parts) = without(
            &nets(&["10.0.0.0/8", "192.168.0.0/16"]),
            &nets(&["10.1.0.0/16", "192.168.0.0/17", "192.168.128.0/17"]),
        );
        assert_eq!(
            (left, parts),
            (nets(&["10.0.0.0/8"]), nets(&["10.1.0.0/16"]))
        );
    }

    #[test]
    fn what_may_embed() {
        assert!(may_embed(&nets(&["::/0"])) && may_embed(&nets(&["2002:a00::/24"])));
        assert!(!may_embed(&nets(&[
            "0.0.0.0/0",
            "2001:db8::/32",
            "fe80::/10"
        ])));
    }
}
