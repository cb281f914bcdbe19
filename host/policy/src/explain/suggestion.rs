//! The line that would grant what was asked, ready for the operator's shell.

use std::borrow::Cow;
use std::net::SocketAddrV6;
use std::time::Instant;

use super::{main_operation, printable};
use crate::address::{Address, UnixAddress};
use crate::class::embedded;
use crate::family;
use crate::gate::{NoPins, is_placeless};
use crate::judge::{Ask, Query, What, judge};
use crate::kind::{Family, Kind};
use crate::load::{LoadError, transport, transport_word};
use crate::model::{OpSet, Policy};
use crate::permit::GroupRequest;

/// Why no line for the operator's shell says what is asked: a guest chooses names, and one that reads as a
/// pattern, or as more words, would grant more than it asked for.
fn unsayable(query: &Query) -> Option<&'static str> {
    let content = query.content.as_deref();
    if content.is_some_and(|content| content.malformed().is_some()) {
        return Some("no rule grants a message that cannot be read");
    }
    if query.ops == OpSet::LISTEN && query.kind.is_some_and(|kind| kind.is_datagram()) {
        return Some("no rule can grant it: datagram sockets do not listen");
    }
    let ends = [query.local.address(), query.peer.address()];
    if ends.into_iter().flatten().any(is_placeless) {
        return Some("no rule grants a path that is not absolute, or has `.`, `..` or empty parts");
    }
    let inside = |address: &Address| {
        let ip = address.ip();
        ip.is_some_and(|ip| embedded(ip).next().is_some())
    };
    if ends.into_iter().flatten().any(inside) {
        return Some(
            "another address is inside it: a rule of the policy file with a `cidr` that lists both can grant it",
        );
    }
    let plain = ends.into_iter().flatten().all(is_plain_address)
        && match &query.what {
            What::Group(request) => {
                let interface = request.interface.as_ref();
                interface.is_none_or(|name| is_plain(name.as_bytes()))
            }
            _ => true,
        };
    (!plain).then_some("its name is not of plain characters: a rule of the policy file can name it")
}

fn is_plain_address(address: &Address) -> bool {
    match address {
        Address::Unix(UnixAddress::Pathname(name)) => is_plain(name),
        // `auto` asks for autobind in a rule.
        Address::Unix(UnixAddress::Abstract(name)) => {
            is_plain(name) && name != b"auto" && !name.starts_with(b"@")
        }
        Address::Can(can) => is_plain_interface(can.interface.as_deref()),
        Address::Packet(packet) => is_plain_interface(packet.interface.as_deref()),
        Address::Alg(alg) => [&alg.alg_type, &alg.name]
            .into_iter()
            .all(|name| !name.is_empty() && is_plain(name.as_bytes())),
        _ => true,
    }
}

fn is_plain_interface(name: Option<&str>) -> bool {
    name.is_none_or(|name| !name.is_empty() && is_plain(name.as_bytes()))
}

/// Whether a name stands for itself in a rule and in a line: no wildcard, no space, no comma but within
/// parentheses.
fn is_plain(name: &[u8]) -> bool {
    let mut depth = 0usize;
    name.iter().all(|byte| match byte {
        b'(' => {
            depth += 1;
            true
        }
        b')' => {
            let open = depth > 0;
            depth = depth.saturating_sub(1);
            open
        }
        b',' => depth > 0,
        byte => byte.is_ascii_alphanumeric() || b"/._:@+-=~%#".contains(byte),
    }) && depth == 0
}

/// The protocol of the sockets, where the first word of their line leaves it open. A packet socket's is what
/// its `ethertype` says.
fn protocol_word(kind: Kind, transport_word: &str) -> Option<String> {
    if kind.family == Family::Packet {
        return None;
    }
    let named = transport(transport_word).is_some_and(|sockets| sockets.protocol.is_some());
    (!named && kind.protocol != 0).then(|| format!("protocol={}", kind.protocol))
}

/// The rule line that would grant what is asked, as far as one line can.
fn rule_line(query: &Query) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    if let Some(kind) = query.kind {
        words.push(transport_word(kind)?);
    }
    let protocol = query
        .kind
        .and_then(|kind| protocol_word(kind, words.first()?));
    match &query.what {
        What::GetOption(_) | What::SetOption(..) => return None,
        What::Create
            if query.ops == OpSet::SOCKETPAIR
                && query.kind.is_some_and(|kind| kind.family != Family::Unix) =>
        {
            return None;
        }
        What::Create if query.ops == OpSet::SOCKETPAIR => words.push("socketpair".to_owned()),
        What::Create => words.push(creating_words(query.kind?)),
        What::Descriptor(kind) => words.push(format!("{} kinds={kind}", main_operation(query.ops))),
        What::Ioctl(_) => words.push(format!("ioctl ioctl={}", query.subject())),
        What::Group(request) => words.push(format!("join-group {}", group_words(request))),
        What::Membership(_, part) => {
            words.push(main_operation(query.ops).to_owned());
            let parts = std::slice::from_ref(&**part);
            words.extend(
                query
                    .kind
                    .into_iter()
                    .flat_map(|kind| family::part_words(kind, parts)),
            );
        }
        What::Host(_) | What::Ip(_) => {
            words.push(format!("{} {}", main_operation(query.ops), query.subject()))
        }
        What::Hostname(_) => words.push("set-hostname".to_owned()),
        What::Nothing => words.push(address_words(query)),
    }
    words.extend(protocol);
    if let Some(content) = &query.content {
        words.extend(family::message_words(content));
    }
    let listed: Vec<String> = query
        .options
        .iter()
        .map(|(option, _)| option.to_string())
        .collect();
    if !listed.is_empty() {
        words.push(format!("set={}", listed.join(",")));
    }
    Some(words.join(" "))
}

/// What a rule would say that lets such a socket be made, its address left open.
fn creating_words(kind: Kind) -> String {
    let keys = family::example_words(kind);
    match (family::group_of(kind), kind.family) {
        (_, Family::Kcm) => "connect *".to_owned(),
        (_, Family::Xdp) => "bind *".to_owned(),
        (Some(group), _) if group.one_place => format!("bind {keys}"),
        (Some(group), _) if !group.raw_only => format!("connect {keys}"),
        // No rule is read from this before somebody says which.
        _ => "connect <address>".to_owned(),
    }
}

/// The group of a membership, with the source and the interface where it has them.
pub(super) fn group_words(request: &GroupRequest) -> String {
    let mut words = request.group.to_string();
    if let Some(source) = request.source {
        words += &format!(" source={source}");
    }
    if let Some(name) = &request.interface {
        words += &format!(" interface={}", printable(name.as_bytes()));
    }
    words
}

/// An address as rules write it: a scope is not judged, and no rule names one.
fn address_word(address: &Address) -> String {
    match address {
        Address::Inet6(six) => SocketAddrV6::new(*six.ip(), six.port(), 0, 0).to_string(),
        address => address.to_string(),
    }
}

/// A local address: one that asks for autobind has a word of its own.
fn local_word(address: &Address) -> String {
    match address {
        Address::Unix(UnixAddress::Abstract(name)) if name.is_empty() => "@auto".to_owned(),
        address => address_word(address),
    }
}

fn address_words(query: &Query) -> String {
    let operation = main_operation(query.ops);
    if let Some(kind) = query.kind
        && family::group_of(kind).is_some_and(|group| !group.raw_only)
    {
        // The keys of a line are those of the local address for these, and else the peer's.
        let one_place = family::group_of(kind).is_some_and(|group| group.one_place);
        let address = match operation {
            "bind" | "listen" => query.local.address(),
            _ if one_place => query.address(),
            "reply" => None,
            _ => query.peer.address(),
        };
        let words = address.map(|address| family::address_words(kind, address));
        return std::iter::once(operation.to_owned())
            .chain(words.into_iter().flatten())
            .collect::<Vec<_>>()
            .join(" ");
    }
    let local = query.local.address().map(local_word);
    let peer = query.peer.address().map(address_word);
    let from = |local: Option<String>| {
        local
            .map(|local| format!(" from {local}"))
            .unwrap_or_default()
    };
    match operation {
        "bind" | "listen" => {
            let local = local.unwrap_or_else(|| "*".to_owned());
            // A client's port is the kernel's choice, so its address alone is named.
            let peer = query.peer.address().map(|address| match address.ip() {
                Some(ip) => format!(" peer {ip}"),
                None => format!(" peer {address}"),
            });
            format!("{operation} {local}{}", peer.unwrap_or_default())
        }
        "reply" => format!("reply{}", from(local)),
        "receive" => match peer {
            Some(peer) => format!("receive {peer}{}", from(local)),
            None => format!("receive{}", from(local)),
        },
        _ => match peer {
            Some(peer) => format!("{operation} {peer}"),
            None if query.kind.is_some_and(|kind| kind.is_nameless()) => format!("{operation} *"),
            None => operation.to_owned(),
        },
    }
}

/// Whether the rules of a line grant what is asked. Further local addresses are for other rules to cover.
fn grants(policy: &Policy, query: &Query) -> bool {
    let ask = Ask {
        further_locals: Cow::Borrowed(&[]),
        ..query.clone()
    };
    judge(policy, &ask, &NoPins, Instant::now).is_ok()
}

/// For the shell.
fn quoted(line: &str) -> String {
    format!("--allow '{}'", line.replace('\'', "'\\''"))
}

/// The operation as a rule for the command line, which is tried first; why none can be given.
pub(crate) fn grant_line(query: &Query) -> String {
    if let Some(why) = unsayable(query) {
        return why.to_owned();
    }
    match (rule_line(query), &query.what) {
        (Some(line), what) => match (Policy::allow_line(&line), what) {
            // A socket that is made has no address yet: somebody says which.
            (Err(_), What::Create) => quoted(&line),
            (Err(errors), _) => {
                let why = errors.iter().next().map(LoadError::message);
                format!("no one line grants it: {}", why.unwrap_or_default())
            }
            (Ok(policy), _) if !grants(&policy, query) => {
                format!("no one line grants it: a rule of the policy file may, with `{line}`")
            }
            (Ok(_), _) => quoted(&line),
        },
        (None, What::GetOption(_)) => {
            format!("options = {{ get = [\"{}\"] }}", query.subject())
        }
        (None, What::SetOption(..)) => {
            format!("options = {{ set = [\"{}\"] }}", query.subject())
        }
        (None, _) => "no rule can grant it: Linux has no such sockets, or this version serves none"
            .to_owned(),
    }
}
