//! Rules in one line: `tcp connect 10.0.0.0/8:443`.

use std::net::IpAddr;

use super::error::{Fault, suggest};
use super::rule::{Ends, Flag, Listing, Rule, Span, Text, Word};
use super::vocabulary::{FAMILIES, TYPES};
use crate::address::Address;
use crate::family;
use crate::kind::{Family, Kind, PROTOCOLS, SocketType, TCP, UDP};
use crate::model::OpSet;

/// A transport: families, types, protocol.
pub(crate) struct Transport {
    pub(crate) word: &'static str,
    pub(crate) families: &'static [&'static str],
    pub(crate) types: &'static [&'static str],
    pub(crate) protocol: Option<&'static str>,
}

const TRANSPORTS: &[Transport] = &[
    Transport {
        word: "tcp",
        families: &["inet", "inet6"],
        types: &["stream"],
        protocol: Some("tcp"),
    },
    Transport {
        word: "tcp4",
        families: &["inet"],
        types: &["stream"],
        protocol: Some("tcp"),
    },
    Transport {
        word: "tcp6",
        families: &["inet6"],
        types: &["stream"],
        protocol: Some("tcp"),
    },
    Transport {
        word: "udp",
        families: &["inet", "inet6"],
        types: &["datagram"],
        protocol: Some("udp"),
    },
    Transport {
        word: "udp4",
        families: &["inet"],
        types: &["datagram"],
        protocol: Some("udp"),
    },
    Transport {
        word: "udp6",
        families: &["inet6"],
        types: &["datagram"],
        protocol: Some("udp"),
    },
    Transport {
        word: "unix",
        families: &["unix"],
        types: &[],
        protocol: None,
    },
    Transport {
        word: "unix-stream",
        families: &["unix"],
        types: &["stream"],
        protocol: None,
    },
    Transport {
        word: "unix-datagram",
        families: &["unix"],
        types: &["datagram"],
        protocol: None,
    },
    Transport {
        word: "unix-seqpacket",
        families: &["unix"],
        types: &["seqpacket"],
        protocol: None,
    },
];

/// The kind of socket that a word of a question stands for, with an address that settles its family; what a
/// word leaves open is what people mean by it.
pub(crate) fn kind_of(word: &str, address: Option<&Address>) -> Option<Kind> {
    let sockets = transport(word)?;
    let family_of = |name: &str| FAMILIES.iter().find(|(known, _)| *known == name);
    let mut families = sockets
        .families
        .iter()
        .filter_map(|name| family_of(name).map(|(_, family)| *family));
    let first = families.next()?;
    let settled = address.map(Address::family);
    let family = families
        .find(|family| Some(*family) == settled)
        .unwrap_or(first);
    let named = sockets.protocol.as_ref().and_then(|name| {
        PROTOCOLS
            .iter()
            .find(|known| known.name == *name && known.families.contains(&family))
            .map(|known| known.number)
            .or_else(|| name.parse().ok())
    });
    let types = sockets.types.first();
    let socket_type = types.and_then(|name| TYPES.iter().find(|(known, _)| known == name));
    Some(match (named, socket_type) {
        (None, None) => Kind::usual(family, 0),
        (Some(protocol), None) => Kind::usual(family, protocol),
        (named, Some((_, socket_type))) => {
            let kind = Kind::new(family, *socket_type);
            Kind {
                protocol: named.unwrap_or(kind.protocol),
                ..kind
            }
        }
    })
}

/// Which sockets the first word of a line stands for.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) families: Vec<&'static str>,
    pub(crate) types: Vec<&'static str>,
    pub(crate) protocol: Option<String>,
}

/// The sockets that a word stands for: `tcp`, `unix-stream`, or any other family by its name (`vsock`), with a
/// type (`vsock-stream`) or a protocol (`can-raw`, `netlink-30`) of it.
pub(crate) fn transport(word: &str) -> Option<Sockets> {
    if let Some(transport) = TRANSPORTS.iter().find(|transport| transport.word == word) {
        return Some(Sockets {
            families: transport.families.to_vec(),
            types: transport.types.to_vec(),
            protocol: transport.protocol.map(str::to_owned),
        });
    }
    let (family, rest) = match word.split_once('-') {
        Some((family, rest)) => (family, Some(rest)),
        None => (word, None),
    };
    let (name, family) = *FAMILIES.iter().find(|(name, _)| *name == family)?;
    let mut sockets = Sockets {
        families: vec![name],
        types: Vec::new(),
        protocol: None,
    };
    let Some(rest) = rest else {
        return Some(sockets);
    };
    let protocol = PROTOCOLS
        .iter()
        .find(|protocol| protocol.name == rest && protocol.families.contains(&family));
    match (protocol, TYPES.iter().find(|(known, _)| *known == rest)) {
        (Some(protocol), _) => sockets.protocol = Some(protocol.name.to_owned()),
        (None, Some((socket_type, _))) => sockets.types.push(socket_type),
        (None, None) if rest.parse::<u32>().is_ok() => sockets.protocol = Some(rest.to_owned()),
        (None, None) => return None,
    }
    Some(sockets)
}

/// The word for sockets of a kind, the inverse of [`transport`].
pub(crate) fn transport_word(kind: Kind) -> Option<String> {
    let (family, _) = FAMILIES.iter().find(|(_, family)| *family == kind.family)?;
    let (socket_type, _) = TYPES.iter().find(|(_, known)| *known == kind.socket_type)?;
    let ip = matches!(kind.family, Family::Inet | Family::Inet6);
    match (kind.socket_type, kind.protocol) {
        (SocketType::Stream, TCP) if ip => return Some("tcp".to_owned()),
        (SocketType::Datagram, UDP) if ip => return Some("udp".to_owned()),
        _ => {}
    }
    let protocol = PROTOCOLS.iter().find(|protocol| {
        protocol.number == kind.protocol && protocol.families.contains(&kind.family)
    });
    Some(match protocol {
        // A raw IP socket is granted by its type, and so a line cannot name its protocol as well.
        Some(_) if ip && kind.socket_type == SocketType::Raw => format!("{family}-{socket_type}"),
        Some(protocol) => format!("{family}-{}", protocol.name),
        None if kind.family == Family::Netlink => format!("{family}-{}", kind.protocol),
        None => format!("{family}-{socket_type}"),
    })
}

fn listing(words: &[&str], at: &Span) -> Option<Listing> {
    let items: Vec<Text> = words
        .iter()
        .map(|word| Text {
            value: (*word).to_owned(),
            at: at.clone(),
        })
        .collect();
    (!items.is_empty()).then(|| Listing {
        items,
        at: at.clone(),
    })
}

/// Gives the rule a transport; false if the word is none.
pub(crate) fn apply_transport(rule: &mut Rule, word: &str, at: &Span) -> bool {
    let Some(transport) = transport(word) else {
        return false;
    };
    rule.family = listing(&transport.families, at);
    rule.socket_type = listing(&transport.types, at);
    rule.protocol = transport
        .protocol
        .and_then(|protocol| listing(&[&protocol], at));
    true
}

/// The words of a line with their places.
pub(crate) struct Words<'l> {
    line: &'l str,
    at: usize,
}

impl<'l> Words<'l> {
    pub(crate) fn new(line: &'l str) -> Words<'l> {
        Words { line, at: 0 }
    }
}

impl Iterator for Words<'_> {
    type Item = Text;

    fn next(&mut self) -> Option<Text> {
        let rest = &self.line[self.at..];
        let start = self.at + rest.find(|c: char| !c.is_whitespace())?;
        let end = self.line[start..]
            .find(char::is_whitespace)
            .map_or(self.line.len(), |length| start + length);
        self.at = end;
        Some(Text {
            value: self.line[start..end].to_owned(),
            at: Some(start..end),
        })
    }
}

/// Divides a word at its commas, keeping the places. Those within parentheses belong to a name, such as an
/// algorithm's: `authenc(hmac(sha1),cbc(aes))`.
fn divide(text: &Text) -> Listing {
    let mut start = text.at.as_ref().map_or(0, |at| at.start);
    let mut depth = 0usize;
    let items = text
        .value
        .split(|character| {
            match character {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            character == ',' && depth == 0
        })
        .map(|part| {
            let at = text.at.as_ref().map(|_| start..start + part.len());
            start += part.len() + 1;
            Text {
                value: part.to_owned(),
                at,
            }
        })
        .collect();
    Listing {
        items,
        at: text.at.clone(),
    }
}

/// Reads a line into a rule; `None` if there is not even an operation.
pub(crate) fn read(line: &str, faults: &mut Vec<Fault>) -> Option<Rule> {
    let mut words = Words::new(line);
    let mut rule = Rule {
        at: Some(0..line.len()),
        id: Some(Text::new(&format!(
            "allow:{}",
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        ))),
        from_line: true,
        ..Rule::default()
    };
    let mut word = words.next();
    if let Some(first) = &word
        && apply_transport(&mut rule, &first.value, &first.at)
    {
        word = words.next();
    }
    let Some(ops) = word else {
        faults.push(Fault::new(
            Some(0..line.len()),
            "the rule grants no operation",
            "write a transport and operations, like `tcp connect 10.0.0.0/8:443`",
        ));
        return None;
    };
    let names = divide(&ops);
    if names
        .items
        .iter()
        .all(|item| OpSet::from_policy_name(&item.value).is_none())
        && rule.family.is_none()
    {
        let known: Vec<&str> = TRANSPORTS
            .iter()
            .map(|transport| transport.word)
            .chain(FAMILIES.iter().map(|(family, _)| *family))
            .chain(OpSet::policy_names())
            .collect();
        faults.push(Fault::new(
            ops.at,
            format!("`{}` is no transport and no operation", ops.value),
            suggest(&ops.value, known),
        ));
        return None;
    }
    rule.ops = Some(names);
    tail(&mut words, &mut rule, faults);
    every_name(&mut rule);
    Some(rule)
}

/// Who resolves asks for names: `*` is every name there, `host = ["*"]`, and `connect` beside it is granted to what
/// names stood for.
fn every_name(rule: &mut Rule) {
    let resolves = rule.ops.as_ref().is_some_and(|ops| ops.has("resolve"));
    let Some(peer) = rule.peer.as_mut().filter(|_| resolves) else {
        return;
    };
    if std::mem::take(&mut peer.any) {
        peer.host = listing(&["*"], &peer.at);
    } else if peer.cidr.as_ref().is_some_and(|list| list.has("*")) {
        peer.host = peer.cidr.take();
    }
}

fn tail(words: &mut Words<'_>, rule: &mut Rule, faults: &mut Vec<Fault>) {
    while let Some(word) = words.next() {
        match word.value.as_str() {
            "from" | "local" | "peer" | "to" => {
                let Some(text) = words.next() else {
                    let help = format!("write `{} 10.0.0.1:80`", word.value);
                    faults.push(Fault::new(
                        word.at,
                        format!("`{}` without an address", word.value),
                        help,
                    ));
                    return;
                };
                let local = matches!(word.value.as_str(), "from" | "local");
                let ends = if local {
                    &mut rule.local
                } else {
                    &mut rule.peer
                };
                one_address(ends, &text, faults);
            }
            _ if is_key_value(&word.value) => key_value(&word, rule, faults),
            _ if rule.ops.as_ref().is_some_and(|ops| ops.has("join-group"))
                && rule.top.group.is_none() =>
            {
                rule.top.group = Some(divide(&word));
                rule.top.at = word.at;
            }
            _ => plain_address(&word, rule, faults),
        }
    }
}

/// The address of a line belongs to the local side if an operation on that side is granted.
fn plain_address(word: &Text, rule: &mut Rule, faults: &mut Vec<Fault>) {
    let ops: Vec<OpSet> = rule
        .ops
        .iter()
        .flat_map(|ops| &ops.items)
        .filter_map(|item| OpSet::from_policy_name(&item.value))
        .collect();
    let local = ops.iter().any(|op| OpSet::LOCAL_KIND.contains(*op));
    let ends = if local {
        &mut rule.local
    } else {
        &mut rule.peer
    };
    one_address(ends, word, faults);
}

/// Reads the address of an end that has none yet.
fn one_address(ends: &mut Option<Ends>, word: &Text, faults: &mut Vec<Fault>) {
    match ends {
        None => address(ends.insert(Ends::default()), word, faults),
        Some(_) => faults.push(Fault::new(
            word.at.clone(),
            "one address too many",
            "write `from LOCAL` or `peer PEER` for the other side",
        )),
    }
}

fn is_key_value(word: &str) -> bool {
    word.split_once('=').is_some_and(|(key, _)| {
        !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

const LINE_KEYS: &[&str] = &[
    "set",
    "get",
    "flags",
    "kinds",
    "ioctl",
    "interface",
    "source",
    "host-may-be",
    "peer-uid",
    "peer-gid",
    "send-ancillary",
    "receive-ancillary",
    "pin",
    "mode",
    "replace-stale",
    "class",
    "port",
    "protocol",
    "id",
];

fn key_value(word: &Text, rule: &mut Rule, faults: &mut Vec<Fault>) {
    let Some((key, value)) = word.value.split_once('=') else {
        return;
    };
    let at = word.at.as_ref().map(|at| at.start + key.len() + 1..at.end);
    let value = Text {
        value: value.to_owned(),
        at,
    };
    if value.value.is_empty() {
        faults.push(Fault::new(
            word.at.clone(),
            format!("`{key}` is empty"),
            format!("write `{key}=VALUE`, or take it out"),
        ));
        return;
    }
    let list = match key {
        "set" => &mut rule.set,
        "get" => &mut rule.get,
        "flags" => &mut rule.flags,
        "kinds" => &mut rule.kinds,
        "ioctl" => &mut rule.ioctl,
        "interface" => &mut rule.interface,
        "source" => &mut rule.source,
        "host-may-be" => &mut rule.host_may_be,
        "peer-uid" => &mut rule.peer_uid,
        "peer-gid" => &mut rule.peer_gid,
        "send-ancillary" => &mut rule.ancillary_send,
        "receive-ancillary" => &mut rule.ancillary_receive,
        "class" => {
            rule.top.at.clone_from(&word.at);
            &mut rule.top.class
        }
        "pin" => return rule.pin = Some(value),
        "mode" => return rule.mode = Some(value),
        "id" => return rule.id = Some(value),
        "replace-stale" => {
            rule.replace_stale = flag(key, &value, faults);
            return;
        }
        "port" => {
            rule.top.at.clone_from(&word.at);
            &mut rule.top.port
        }
        "protocol" if rule.protocol.is_some() => {
            faults.push(Fault::new(
                word.at.clone(),
                "the transport names the protocol already",
                "name it once: `inet-raw ... protocol=icmp`",
            ));
            return;
        }
        "protocol" => &mut rule.protocol,
        _ => return family_key(key, &value, word, rule, faults),
    };
    *list = Some(divide(&value));
}

/// Reads `true` or `false`; another word would be taken for the one that grants more.
fn flag(name: &str, value: &Text, faults: &mut Vec<Fault>) -> Option<Flag> {
    let read = value.value.parse().ok();
    if read.is_none() {
        faults.push(Fault::new(
            value.at.clone(),
            format!("`{name}={}` is neither true nor false", value.value),
            format!("write `{name}=true` or `{name}=false`"),
        ));
    }
    read.map(|read| Flag {
        value: read,
        at: value.at.clone(),
    })
}

/// Reads a key of another family.
fn family_key(name: &str, value: &Text, word: &Text, rule: &mut Rule, faults: &mut Vec<Fault>) {
    let Some(key) = family::keys().find(|key| key.name == name) else {
        let known: Vec<&str> = LINE_KEYS
            .iter()
            .copied()
            .chain(family::keys().map(|key| key.name))
            .collect();
        let message = format!("unknown key `{name}`");
        return faults.push(Fault::new(word.at.clone(), message, suggest(name, known)));
    };
    let read = if key.is_flag() {
        let Some(value) = flag(name, value, faults) else {
            return;
        };
        Word::Flag(value)
    } else {
        Word::List(divide(value))
    };
    rule.top.at.clone_from(&word.at);
    rule.top.family.push((key.name, read));
}

/// Reads an address as people write it into address keys.
pub(crate) fn address(ends: &mut Ends, text: &Text, faults: &mut Vec<Fault>) {
    ends.at.clone_from(&text.at);
    let word = text.value.as_str();
    let one = |value: &str| {
        Some(Listing {
            items: vec![Text {
                value: value.to_owned(),
                at: text.at.clone(),
            }],
            at: text.at.clone(),
        })
    };
    if word == "*" {
        ends.any = true;
    } else if word.starts_with('/') {
        ends.path = one(word);
    } else if let Some(name) = word.strip_prefix('@') {
        ends.abstract_name = one(name);
    } else if matches!(word, "unnamed" | "(unnamed)") {
        ends.unnamed = Some(Flag {
            value: true,
            at: text.at.clone(),
        });
    } else if let Some((inner, port)) = bracketed(word) {
        ends.cidr = one(inner);
        ends.port = port.map(|port| ports(port, text));
    } else if word.matches(':').count() > 1 {
        if word.parse::<ipnet::IpNet>().is_ok() || word.parse::<IpAddr>().is_ok() {
            ends.cidr = one(word);
        } else {
            let help = "write `[2001:db8::/32]:443`".to_owned();
            faults.push(Fault::new(
                text.at.clone(),
                format!("`{word}` is no address"),
                help,
            ));
        }
    } else {
        let (host, port) = match word.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (word, None),
        };
        let network = host == "*" || host.contains('/') || host.parse::<IpAddr>().is_ok();
        if network {
            ends.cidr = one(host);
        } else {
            ends.host = one(host);
        }
        ends.port = port.map(|port| ports(port, text));
    }
}

/// `[ADDRESS]` with an optional `:PORT`; a network's length may stand inside or behind the brackets.
fn bracketed(word: &str) -> Option<(&str, Option<&str>)> {
    let (inner, rest) = word.strip_prefix('[')?.split_once(']')?;
    match rest.strip_prefix(':') {
        Some(port) => Some((inner, Some(port))),
        None => rest.is_empty().then_some((inner, None)),
    }
}

fn ports(port: &str, text: &Text) -> Listing {
    let end = text.at.as_ref().map(|at| at.end);
    divide(&Text {
        value: port.to_owned(),
        at: end.map(|end| end - port.len()..end),
    })
}
