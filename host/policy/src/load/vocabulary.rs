//! The words of a rule: families, types, operations, options, flags.

use std::time::Duration;

use super::ends::each;
use super::error::{Fault, suggest};
use super::rule::Listing;
use crate::class::CLASSES;
use crate::kind::{Family, PROTOCOLS, SocketType};
use crate::message::{AncillaryKind, AncillarySet, DescriptorKinds, MessageFlags};
use crate::model::{Mode, OnReload, OpSet, OptionPattern, OptionPatterns, ProtocolPattern};
use crate::option::OptionName;

pub(super) const FAMILIES: &[(&str, Family)] = &[
    ("inet", Family::Inet),
    ("inet6", Family::Inet6),
    ("unix", Family::Unix),
    ("netlink", Family::Netlink),
    ("packet", Family::Packet),
    ("can", Family::Can),
    ("vsock", Family::Vsock),
    ("tipc", Family::Tipc),
    ("alg", Family::Alg),
    ("bluetooth", Family::Bluetooth),
    ("qipcrtr", Family::Qipcrtr),
    ("rds", Family::Rds),
    ("kcm", Family::Kcm),
    ("xdp", Family::Xdp),
    ("smc", Family::Smc),
];
/// Families of other systems, which a policy for this one cannot grant.
const ELSEWHERE: &[(&str, &str)] = &[
    ("hyperv", "Windows"),
    ("system", "macOS"),
    ("link", "BSD"),
    ("divert", "FreeBSD"),
];
/// What people call families.
const ALSO_CALLED: &[(&str, &str)] = &[
    ("ip", "inet"),
    ("ipv4", "inet"),
    ("ipv6", "inet6"),
    ("local", "unix"),
];
pub(super) const TYPES: &[(&str, SocketType)] = &[
    ("stream", SocketType::Stream),
    ("datagram", SocketType::Datagram),
    ("seqpacket", SocketType::SeqPacket),
    ("raw", SocketType::Raw),
    ("rdm", SocketType::Rdm),
    ("dccp", SocketType::Dccp),
];

/// Longest `pin`: a day.
pub(super) const LONGEST_PIN: Duration = Duration::from_secs(86_400);

fn names<T>(table: &'static [(&'static str, T)]) -> impl Iterator<Item = &'static str> + Clone {
    table.iter().map(|(name, _)| *name)
}

fn owned(names: impl IntoIterator<Item = &'static str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

// The words of the vocabularies, for the schema and for what errors suggest.

pub(crate) fn family_names() -> Vec<String> {
    owned(names(FAMILIES))
}

pub(crate) fn type_names() -> Vec<String> {
    owned(names(TYPES))
}

pub(crate) fn protocol_names() -> Vec<String> {
    owned(PROTOCOLS.iter().map(|protocol| protocol.name))
}

pub(crate) fn operation_names() -> Vec<String> {
    owned(OpSet::policy_names())
}

pub(crate) fn class_names() -> Vec<String> {
    owned(names(CLASSES))
}

pub(crate) fn option_names() -> Vec<String> {
    owned(OptionName::named().map(|(readable, _)| readable))
}

pub(crate) fn ancillary_names() -> Vec<String> {
    owned(AncillaryKind::policy_names())
}

/// Those that need a grant.
pub(crate) fn flag_names() -> Vec<String> {
    (MessageFlags::all() - MessageFlags::ALWAYS)
        .policy_names()
        .collect()
}

pub(crate) fn descriptor_names() -> Vec<String> {
    owned(names(DESCRIPTORS))
}

pub(crate) fn ioctl_names() -> Vec<String> {
    owned(IOCTLS.iter().copied())
}

pub(crate) fn modes() -> Vec<String> {
    owned(Mode::ALL.map(Mode::name))
}

pub(crate) fn on_reload() -> Vec<String> {
    owned(OnReload::ALL.map(OnReload::name))
}

pub(super) fn families(list: &Listing, faults: &mut Vec<Fault>) -> Vec<Family> {
    each(list, faults, |word| {
        if let Some((_, family)) = FAMILIES.iter().find(|(name, _)| *name == word) {
            return Ok(*family);
        }
        if let Some((_, system)) = ELSEWHERE.iter().find(|(name, _)| *name == word) {
            return Err((
                format!("family `{word}` is one of {system}"),
                "take it out: Linux has no such sockets".to_owned(),
            ));
        }
        if let Some((_, meant)) = ALSO_CALLED.iter().find(|(name, _)| *name == word) {
            return Err((
                format!("`{word}` is no address family"),
                format!("did you mean `{meant}`?"),
            ));
        }
        if let Some(protocol) = PROTOCOLS.iter().find(|protocol| protocol.name == word) {
            let families: Vec<String> = protocol.families.iter().map(ToString::to_string).collect();
            return Err((
                format!(
                    "`{word}` is a protocol of family `{}`",
                    families.join("`, `")
                ),
                format!("write `family = {families:?}` and `protocol = [\"{word}\"]`"),
            ));
        }
        Err((
            format!("`{word}` is no address family"),
            suggest(word, names(FAMILIES)),
        ))
    })
}

pub(super) fn types(list: &Listing, faults: &mut Vec<Fault>) -> Vec<SocketType> {
    each(list, faults, |word| {
        match (TYPES.iter().find(|(name, _)| *name == word), word) {
            (Some((_, socket_type)), _) => Ok(*socket_type),
            (None, "dgram") => Err((
                "`dgram` is no socket type".to_owned(),
                "did you mean `datagram`?".to_owned(),
            )),
            (None, _) => Err((
                format!("`{word}` is no socket type"),
                suggest(word, names(TYPES)),
            )),
        }
    })
}

/// Names are looked up among the protocols of the rule's families (IP, where it lists none).
pub(super) fn protocols(
    list: &Listing,
    families: Option<&[Family]>,
    faults: &mut Vec<Fault>,
) -> Vec<ProtocolPattern> {
    let families = families.unwrap_or(&[Family::Inet, Family::Inet6]);
    let known = || {
        PROTOCOLS.iter().filter(|protocol| {
            protocol
                .families
                .iter()
                .any(|family| families.contains(family))
        })
    };
    let mut patterns = Vec::new();
    for item in &list.items {
        let word = item.value.as_str();
        if let Ok(number) = word.parse() {
            patterns.push(ProtocolPattern::numbered(number));
            continue;
        }
        let named: Vec<_> = known()
            .filter(|protocol| protocol.name == word)
            .map(ProtocolPattern::named)
            .collect();
        if named.is_empty() {
            let elsewhere = PROTOCOLS.iter().find(|protocol| protocol.name == word);
            let help = match elsewhere {
                Some(protocol) => format!(
                    "it is one of family `{}`: list that under `family`",
                    protocol.families[0]
                ),
                None => suggest(word, known().map(|protocol| protocol.name)),
            };
            faults.push(Fault::new(
                item.at.clone(),
                format!("`{word}` is no protocol of the rule's families"),
                help,
            ));
        }
        patterns.extend(named);
    }
    patterns
}

pub(super) fn operations(list: &Listing, faults: &mut Vec<Fault>) -> OpSet {
    each(list, faults, |word| {
        OpSet::from_policy_name(word).ok_or_else(|| {
            let help = match word {
                "accept" => "`listen` carries accepting".to_owned(),
                "create" | "socket" => "every operation on a socket carries making it".to_owned(),
                "send" => {
                    "`connect` and `listen` carry sending; `send-to` is for datagrams with a name"
                        .to_owned()
                }
                "recv" => "did you mean `receive`?".to_owned(),
                "shutdown" => "`connect`, `listen` and `socketpair` carry it".to_owned(),
                _ => suggest(word, OpSet::policy_names().collect::<Vec<_>>()),
            };
            (format!("`{word}` is no operation"), help)
        })
    })
    .into_iter()
    .fold(OpSet::empty(), |set, op| set | op)
}

pub(super) fn option_patterns(list: Option<&Listing>, faults: &mut Vec<Fault>) -> OptionPatterns {
    let Some(list) = list else {
        return OptionPatterns::default();
    };
    OptionPatterns(each(list, faults, |word| {
        OptionPattern::parse(word).map_err(|message| {
            let name = word.split('=').next().unwrap_or(word);
            let near =
                super::error::nearest(name, OptionName::named().map(|(readable, _)| readable));
            let bare = OptionName::named()
                .map(|(readable, _)| readable)
                .find(|readable| {
                    readable
                        .split_once('.')
                        .is_some_and(|(_, bare)| bare == name)
                });
            let help = match near.or(bare) {
                Some(near) if near != name => format!("did you mean `{near}`?"),
                Some(near) => format!("write `{near}` for any value"),
                _ => "write `so.keepalive`, `so.bindtodevice=eth0`, or Linux's numbers: `6/1`"
                    .to_owned(),
            };
            (message, help)
        })
    }))
}

/// As [`option_patterns`], where none may bind a value.
pub(super) fn read_option_patterns(
    list: Option<&Listing>,
    faults: &mut Vec<Fault>,
) -> OptionPatterns {
    for item in list.into_iter().flat_map(|list| &list.items) {
        if let Ok(OptionPattern::Number(option, _) | OptionPattern::Text(option, _)) =
            OptionPattern::parse(&item.value)
        {
            faults.push(Fault::new(
                item.at.clone(),
                format!("`{}` binds what is read to a value", item.value),
                format!("write `{option}`: only what is set is bound to a value"),
            ));
        }
    }
    option_patterns(list, faults)
}

pub(super) fn ancillary(list: Option<&Listing>, faults: &mut Vec<Fault>) -> AncillarySet {
    let mut set = AncillarySet::default();
    let Some(list) = list else { return set };
    let kinds = each(list, faults, |word| {
        match AncillaryKind::from_policy_name(word) {
            Some(AncillaryKind::Rights) => Err((
                "descriptors are not granted by `ancillary`".to_owned(),
                "grant the operations `descriptor-send` and `descriptor-receive`, with `kinds`"
                    .to_owned(),
            )),
            Some(kind) => Ok(kind),
            None => Err((
                format!("`{word}` is no kind of ancillary data"),
                suggest(word, AncillaryKind::policy_names().collect::<Vec<_>>()),
            )),
        }
    });
    for kind in kinds {
        set.insert(kind);
    }
    set
}

pub(super) fn message_flags(list: Option<&Listing>, faults: &mut Vec<Fault>) -> MessageFlags {
    let Some(list) = list else {
        return MessageFlags::empty();
    };
    let known: Vec<String> = (MessageFlags::all() - MessageFlags::ALWAYS)
        .policy_names()
        .collect();
    each(list, faults, |word| {
        match MessageFlags::from_policy_name(word) {
            Some(flag) if MessageFlags::ALWAYS.contains(flag) => Err((
                format!("the flag `{word}` is always allowed"),
                "take it out".to_owned(),
            )),
            Some(flag) => Ok(flag),
            None => Err((
                format!("`{word}` is no message flag"),
                suggest(word, known.iter().map(String::as_str)),
            )),
        }
    })
    .into_iter()
    .fold(MessageFlags::empty(), |set, flag| set | flag)
}

const DESCRIPTORS: &[(&str, DescriptorKinds)] = &[
    ("socket", DescriptorKinds::SOCKET),
    ("opaque", DescriptorKinds::OPAQUE),
];

pub(super) fn descriptor_kinds(list: Option<&Listing>, faults: &mut Vec<Fault>) -> DescriptorKinds {
    let Some(list) = list else {
        return DescriptorKinds::empty();
    };
    each(list, faults, |word| {
        let found = DESCRIPTORS.iter().find(|(name, _)| *name == word);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            (
                format!("`{word}` is no kind of descriptor"),
                suggest(word, names(DESCRIPTORS)),
            )
        })
    })
    .into_iter()
    .fold(DescriptorKinds::empty(), |set, kind| set | kind)
}

/// The requests of ioctl(2) that a rule can name.
const IOCTLS: &[&str] = &["bytes-readable", "bytes-unsent", "vm-sockets.get-local-cid"];

pub(super) fn ioctls(list: Option<&Listing>, faults: &mut Vec<Fault>) -> Vec<String> {
    let Some(list) = list else { return Vec::new() };
    each(list, faults, |word| match word {
        _ if IOCTLS.contains(&word) => Ok(word.to_owned()),
        _ => Err((
            format!("`{word}` is no request of ioctl(2) that this interface has"),
            suggest(word, IOCTLS.iter().copied()),
        )),
    })
}

/// `30s`, `5m`, `1h`, up to the longest one.
pub(super) fn duration(text: &str, longest: Duration) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    let duration = match text[digits.len()..].trim() {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    };
    (!duration.is_zero() && duration <= longest).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_an_end() {
        assert_eq!(duration("5m", LONGEST_PIN), Some(Duration::from_secs(300)));
        assert_eq!(
            duration("10 ms", LONGEST_PIN),
            Some(Duration::from_millis(10))
        );
        assert_eq!(duration("24h", LONGEST_PIN), Some(LONGEST_PIN));
        for wrong in ["5", "0s", "25h", "m", "", "99999999999999999999h"] {
            assert_eq!(duration(wrong, LONGEST_PIN), None, "{wrong}");
        }
    }
}
