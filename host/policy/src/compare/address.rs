//! Whether one pattern covers every address that another covers.

use crate::family::FamilyPattern;
use crate::model::{
    AbstractPattern, AddressPattern, HostPattern, IpPattern, NamePattern, PortRange, UnixPattern,
};

use super::nets;

/// Whether IP patterns are compared as well, or left to the caller.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Networks {
    Compared,
    LeftOut,
}

/// Whether every address that `narrow` covers as one end of a socket is covered by `wide`; no pattern is any
/// address.
pub(super) fn within(
    wide: Option<&AddressPattern>,
    narrow: Option<&AddressPattern>,
    networks: Networks,
) -> bool {
    let (Some(wide), narrow) = (wide, narrow) else {
        return true;
    };
    let Some(narrow) = narrow else { return false };
    let unbound = (!narrow.is_any() || wide.is_any())
        && (!narrow.is_of_one_place() || wide.is_of_one_place() || wide.is_any());
    unbound && unix(wide, narrow) && ip(wide, narrow, networks) && family(wide, narrow)
}

/// Whether two patterns name addresses in the same ways, so that deny rules read them alike.
pub(super) fn same_shape(one: &AddressPattern, other: &AddressPattern) -> bool {
    let shape = |pattern: &AddressPattern| {
        (
            pattern.any,
            pattern.ip.as_ref().map(std::mem::discriminant),
            pattern.ports.is_some(),
            pattern.unix.is_some(),
            pattern.family.is_some(),
        )
    };
    shape(one) == shape(other)
}

fn unix(wide: &AddressPattern, narrow: &AddressPattern) -> bool {
    match (&wide.unix, &narrow.unix) {
        (None, None) => wide.any || !narrow.any,
        (None, Some(_)) => wide.any,
        (Some(_), None) => !narrow.any,
        (Some(wide), Some(narrow)) => unix_within(wide, narrow),
    }
}

fn unix_within(wide: &UnixPattern, narrow: &UnixPattern) -> bool {
    let paths = narrow
        .paths
        .iter()
        .all(|path| wide.paths.iter().any(|wide| wide.holds(path)));
    let abstracts = narrow.abstracts.iter().all(|name| {
        wide.abstracts.iter().any(|wide| match (wide, name) {
            (AbstractPattern::Auto, AbstractPattern::Auto) => true,
            (AbstractPattern::Name(wide), AbstractPattern::Name(name)) => wide.holds(name),
            _ => false,
        })
    });
    paths && abstracts && (wide.unnamed || !narrow.unnamed)
}

/// Whether the pattern covers IP addresses, and whether all of them.
fn covers_ip(pattern: &AddressPattern) -> (bool, bool) {
    let others = pattern.unix.is_some() || pattern.family.is_some();
    match &pattern.ip {
        _ if pattern.any => (true, true),
        None => (!others, !others),
        Some(ip) => (true, ip.is_any()),
    }
}

fn ip(wide: &AddressPattern, narrow: &AddressPattern, networks: Networks) -> bool {
    let (some, all) = covers_ip(narrow);
    if !some {
        return true;
    }
    let (_, everything) = covers_ip(wide);
    let ip = match (&wide.ip, &narrow.ip) {
        _ if everything => true,
        _ if all => false,
        (Some(IpPattern::Nets(_)), Some(IpPattern::Nets(_))) if networks == Networks::LeftOut => {
            true
        }
        (Some(wide), Some(narrow)) => ip_within(wide, narrow),
        _ => false,
    };
    ip && ports_within(wide.ports.as_deref(), narrow.ports.as_deref())
}

/// Whether every address of `narrow` is one of `wide`, as far as that is plain.
pub(super) fn ip_within(wide: &IpPattern, narrow: &IpPattern) -> bool {
    match (wide, narrow) {
        (IpPattern::Any, _) => true,
        (IpPattern::Nets(wide), IpPattern::Nets(narrow)) => nets::within(wide, narrow),
        (IpPattern::Classes(wide), IpPattern::Classes(narrow)) => wide.contains(*narrow),
        (IpPattern::Classes(wide), IpPattern::Nets(narrow)) => narrow.iter().all(|net| {
            net.prefix_len() == net.max_prefix_len()
                && wide.contains(crate::class::classes(net.addr()))
        }),
        (IpPattern::Hosts(wide), IpPattern::Hosts(narrow)) => hosts_within(wide, narrow),
        _ => false,
    }
}

/// Whether every name of `narrow` is one of `wide`.
pub(crate) fn hosts_within(wide: &[HostPattern], narrow: &[HostPattern]) -> bool {
    narrow.iter().all(|narrow| {
        wide.iter().any(|wide| match (wide, narrow) {
            (HostPattern::Any, _) => true,
            (wide, HostPattern::Exact(name)) => wide.matches(name),
            (HostPattern::Suffix(wide), HostPattern::Suffix(narrow)) => {
                narrow.ends_with(wide.as_str())
            }
            _ => false,
        })
    })
}

/// Whether every port of `narrow` is one of `wide`, with what ranges say of ports that the kernel chooses.
pub(crate) fn ports_within(wide: Option<&[PortRange]>, narrow: Option<&[PortRange]>) -> bool {
    let all = [0..=u16::MAX];
    let Some(wide) = wide else { return true };
    let narrow = narrow.unwrap_or(&all);
    if narrow == wide || wide.contains(&all[0]) {
        return true;
    }
    let covered = narrow.iter().all(|range| {
        // The ports in order: each range of the wide ones that holds the next port takes away all that it has.
        let mut next = u32::from(*range.start());
        while next <= u32::from(*range.end()) {
            let reach = wide
                .iter()
                .filter(|wide| u32::from(*wide.start()) <= next && next <= u32::from(*wide.end()))
                .map(|wide| u32::from(*wide.end()))
                .max();
            match reach {
                Some(reach) => next = reach + 1,
                None => return false,
            }
        }
        true
    });
    // "0" alone stands for a port of the kernel's choice, and so does a range of such ports.
    let has_choice = |ranges: &[PortRange]| ranges.iter().any(AddressPattern::is_choice);
    covered
        && (!narrow.contains(&(0..=0)) || wide.contains(&(0..=0)))
        && (!has_choice(narrow) || has_choice(wide))
}

fn family(wide: &AddressPattern, narrow: &AddressPattern) -> bool {
    match (&wide.family, &narrow.family) {
        (None, None) => wide.any || !narrow.any,
        (None, Some(_)) => wide.any,
        (Some(_), None) => !narrow.any,
        (Some(wide), Some(narrow)) => family_within(wide, narrow),
    }
}

fn family_within(wide: &FamilyPattern, narrow: &FamilyPattern) -> bool {
    std::ptr::eq(wide.group, narrow.group) && super::keys_within(&wide.keys, &narrow.keys)
}

/// Whether every name of `narrow` is one of `wide`; no list is any name.
pub(super) fn names_within(wide: Option<&[NamePattern]>, narrow: Option<&[NamePattern]>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(wide), None) => wide.iter().any(NamePattern::is_everything),
        (Some(wide), Some(narrow)) => narrow
            .iter()
            .all(|narrow| wide.iter().any(|wide| wide.holds(narrow))),
    }
}
