//! Questions in one line: `tcp connect 10.1.2.3:22`, the grammar of `--allow` with concrete addresses.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::address::{Address, UnixAddress};
use crate::family::{self, Content};
use crate::judge::{Ask, End, Inspected, Query, What};
use crate::kind::{Family, Kind};
use crate::load::{Words, ioctl_names, kind_of, transport};
use crate::message::DescriptorKind;
use crate::model::{OpSet, Side, fold};
use crate::permit::GroupRequest;

/// One operation on one subject, to be explained.
#[derive(Clone, Debug)]
pub struct Question {
    text: String,
    ask: Query,
}

/// A line that is no question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n  = help: {help}")]
pub struct QuestionError {
    message: String,
    help: String,
}

fn error(message: impl Into<String>, help: impl Into<String>) -> QuestionError {
    QuestionError {
        message: message.into(),
        help: help.into(),
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Question {
    pub(crate) fn ask(&self) -> &Query {
        &self.ask
    }

    /// Reads `tcp connect 10.1.2.3:22`, `udp receive 10.0.0.1:53 from 127.0.0.1:5353`,
    /// `tcp listen [::1]:80 peer 10.0.0.1:1234`, `unix connect /run/x.sock`, `resolve db.example.com`,
    /// `interfaces`, `udp join-group 239.1.1.1 source=10.0.0.1 interface=eth0`,
    /// `unix-stream descriptor-send kinds=opaque`; for other families with the keys of a rule, each with one value:
    /// `vsock-stream connect cid=2 port=1234`, `can-raw send-to interface=can0 can-id=0x123`.
    ///
    /// # Errors
    /// The line names no operation, not what the operation needs, or more than that.
    pub fn parse(line: &str) -> Result<Question, QuestionError> {
        let mut words: Vec<String> = Words::new(line).map(|word| word.value).collect();
        let text = words.join(" ");
        let transport_word = words
            .first()
            .filter(|word| transport(word).is_some())
            .cloned();
        if transport_word.is_some() {
            words.remove(0);
        }
        let Some(operation) = words.first().cloned() else {
            return Err(error(
                "the line names no operation",
                "write one like `tcp connect 10.1.2.3:22`",
            ));
        };
        let Some(op) = OpSet::from_policy_name(&operation) else {
            let known: Vec<&str> = OpSet::policy_names().collect();
            return Err(error(
                format!("`{operation}` is no operation"),
                format!("there are {}", known.join(", ")),
            ));
        };
        let rest = &words[1..];
        let ask = match transport_word {
            None => socketless(op, &operation, rest)?,
            Some(word) => on_socket(op, &operation, &word, rest)?,
        };
        Ok(Question { text, ask })
    }
}

/// The one word that is asked for; the mend says what is possible.
fn only<'w>(words: &[&'w str], needs: &str, help: &str) -> Result<&'w str, QuestionError> {
    match words {
        [word] => Ok(word),
        [] => Err(error(needs, help)),
        [_, further, ..] => Err(error(format!("`{further}` is one word too many"), help)),
    }
}

fn socketless(op: OpSet, operation: &str, rest: &[String]) -> Result<Query, QuestionError> {
    let (needs, example) = match op {
        OpSet::RESOLVE => ("a host", "db.example.com"),
        OpSet::REVERSE_RESOLVE => ("an address", "10.0.0.1"),
        OpSet::SET_HOSTNAME => ("a name", "web-1"),
        OpSet::INTERFACES | OpSet::HOSTNAME => {
            let Some(further) = rest.first() else {
                return Ok(Ask::socketless(op, What::Nothing));
            };
            return Err(error(
                format!("`{further}` is one word too many"),
                format!("write `{operation}` alone"),
            ));
        }
        _ => {
            return Err(error(
                format!("`{operation}` is about a socket"),
                format!("write `tcp {operation} ...`, `udp ...` or `unix ...`"),
            ));
        }
    };
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    let needs = format!("`{operation}` needs {needs}");
    let help = format!("write `{operation} {example}`");
    let subject = only(&words, &needs, &help)?;
    let what = match op {
        OpSet::RESOLVE => {
            let folded = fold(subject.as_bytes())
                .map_err(|problem| error(format!("the host `{subject}` {problem}"), help))?;
            What::Host(folded.into())
        }
        OpSet::REVERSE_RESOLVE => {
            let ip: IpAddr = subject.parse().map_err(|_| error(needs, help))?;
            What::Ip(ip.to_canonical())
        }
        _ => What::Hostname(subject.as_bytes().to_vec()),
    };
    Ok(Ask::socketless(op, what))
}

/// Keys with their words, and the other words.
type Divided<'w> = (Vec<(&'w str, &'w str)>, Vec<&'w str>);

/// Divides words into those like `cid=2`, each key once, and the others.
fn divide(words: &[String]) -> Result<Divided<'_>, QuestionError> {
    let (mut keys, mut others) = (Vec::new(), Vec::new());
    for word in words {
        match word.split_once('=') {
            Some((key, _)) if keys.iter().any(|(known, _)| *known == key) => {
                return Err(error(
                    format!("`{word}` names `{key}` once more"),
                    "a question is about one thing: write each key once",
                ));
            }
            _ if word.starts_with(['/', '@']) => others.push(word.as_str()),
            Some((key, "")) => {
                return Err(error(
                    format!("`{key}` is empty"),
                    format!("write `{key}=VALUE`, or take it out"),
                ));
            }
            Some(pair) => keys.push(pair),
            None => others.push(word.as_str()),
        }
    }
    Ok((keys, others))
}

/// Takes the word of a key out of the others.
fn take<'w>(keys: &mut Vec<(&str, &'w str)>, name: &str) -> Option<&'w str> {
    let place = keys.iter().position(|(key, _)| *key == name)?;
    Some(keys.remove(place).1)
}

/// The addresses of a question.
#[derive(Default)]
struct Given {
    plain: Option<Address>,
    local: Option<Address>,
    peer: Option<Address>,
}

/// An address that can be named in two ways, and is named in one.
fn one(first: Option<Address>, second: Option<Address>) -> Result<Option<Address>, QuestionError> {
    match (first, second) {
        (Some(_), Some(second)) => Err(error(
            format!("`{second}` is one address too many"),
            "write `from LOCAL` or `peer PEER` for the other side",
        )),
        (first, second) => Ok(first.or(second)),
    }
}

fn given(words: &[&str]) -> Result<Given, QuestionError> {
    let mut given = Given::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let place = match *word {
            "from" | "local" => &mut given.local,
            "peer" | "to" => &mut given.peer,
            _ => {
                given.plain = one(given.plain, Some(concrete(word)?))?;
                continue;
            }
        };
        let address = words.next().ok_or_else(|| {
            error(
                format!("`{word}` without an address"),
                format!("write `{word} 10.0.0.1:80`"),
            )
        })?;
        *place = one(place.take(), Some(concrete(address)?))?;
    }
    Ok(given)
}

fn concrete(word: &str) -> Result<Address, QuestionError> {
    if word.starts_with('/') {
        return Ok(Address::Unix(UnixAddress::Pathname(
            word.as_bytes().to_vec(),
        )));
    }
    if let Some(name) = word.strip_prefix('@') {
        return Ok(Address::Unix(UnixAddress::Abstract(
            name.as_bytes().to_vec(),
        )));
    }
    if matches!(word, "unnamed" | "(unnamed)") {
        return Ok(Address::Unix(UnixAddress::Unnamed));
    }
    word.parse::<SocketAddr>().map(Address::from).map_err(|_| {
        error(
            format!("`{word}` is no one address"),
            "write `10.1.2.3:22`, `[::1]:22`, `/run/x.sock` or `@name`; names are asked by `resolve NAME`",
        )
    })
}

/// Whether such sockets have addresses like this: those of IPv4 only their own.
fn fits(kind: Kind, transport: &str, address: &Address) -> Result<(), QuestionError> {
    let fits = match address.ip() {
        Some(ip) => kind.has_ip_addresses() && (kind.family != Family::Inet || ip.is_ipv4()),
        None => address.family() == kind.family,
    };
    match fits {
        true => Ok(()),
        false => Err(error(
            format!("`{address}` is no address for `{transport}`"),
            "write an address of that family",
        )),
    }
}

fn on_socket(
    op: OpSet,
    operation: &str,
    transport: &str,
    rest: &[String],
) -> Result<Query, QuestionError> {
    match op {
        _ if OpSet::SOCKETLESS.contains(op) => Err(error(
            format!("`{operation}` is about no socket"),
            format!("leave out `{transport}`"),
        )),
        OpSet::JOIN_GROUP => join_group(transport, rest),
        OpSet::IOCTL => ioctl(transport, rest),
        _ => between(op, operation, transport, rest),
    }
}

fn join_group(transport: &str, rest: &[String]) -> Result<Query, QuestionError> {
    const HELP: &str = "write `udp join-group 239.1.1.1`, with `source=10.0.0.1` and `interface=eth0` where they \
                        are named";
    let (mut keys, words) = divide(rest)?;
    let word = only(&words, "`join-group` needs a group", HELP)?;
    let group = word.parse().ok().map(|group: IpAddr| group.to_canonical());
    let group = group
        .filter(IpAddr::is_multicast)
        .ok_or_else(|| error(format!("`{word}` is no multicast group"), HELP))?;
    let source = take(&mut keys, "source").map(|word| {
        let source: Result<IpAddr, _> = word.parse();
        source.map_err(|_| error(format!("the source `{word}` is no address"), HELP))
    });
    let request = GroupRequest {
        group,
        source: source.transpose()?.map(|source| source.to_canonical()),
        interface: take(&mut keys, "interface").map(str::to_owned),
    };
    if let Some((key, _)) = keys.first() {
        return Err(error(format!("`join-group` has no key `{key}`"), HELP));
    }
    let address = Address::from(SocketAddr::new(group, 0));
    let kind = kind(transport, Some(&address))?;
    fits(kind, transport, &address)?;
    Ok(ask(OpSet::JOIN_GROUP, kind).about(What::Group(request)))
}

fn ioctl(transport: &str, rest: &[String]) -> Result<Query, QuestionError> {
    let known = ioctl_names();
    let help = format!("there are {}", known.join(", "));
    let words: Vec<&str> = rest
        .iter()
        .map(|word| word.strip_prefix("ioctl=").unwrap_or(word))
        .collect();
    let name = only(&words, "`ioctl` needs a request", &help)?;
    if !known.iter().any(|known| known == name) {
        return Err(error(format!("`{name}` is no request of ioctl(2)"), help));
    }
    Ok(ask(OpSet::IOCTL, kind(transport, None)?).about(What::Ioctl(Arc::from(name))))
}

/// A question about what passes between a socket's address and its peer's.
fn between(
    op: OpSet,
    operation: &str,
    transport: &str,
    rest: &[String],
) -> Result<Query, QuestionError> {
    let (mut keys, rest) = divide(rest)?;
    let protocol = take(&mut keys, "protocol");
    let kind = |address: Option<&Address>| {
        kind(transport, address).and_then(|kind| with_protocol(kind, transport, protocol))
    };
    let what = what(op, &mut keys)?;
    let Given { plain, local, peer } = given(&rest)?;
    let (named, content) = told(kind(plain.as_ref().or(peer.as_ref()))?, &keys)?;
    let plain = one(named, plain)?;
    let local_kind = op.intersects(OpSet::LOCAL_KIND);
    let (local, peer) = match local_kind {
        true => (one(plain, local)?, peer),
        false => (local, one(plain, peer)?),
    };
    if op == OpSet::SOCKETPAIR && (local.is_some() || peer.is_some()) {
        return Err(error(
            format!("`{operation}` has no address"),
            format!("write `{transport} {operation}` alone"),
        ));
    }
    if let Some(peer) = peer.as_ref().filter(|_| op == OpSet::BIND) {
        return Err(error(
            format!("`{operation}` has no peer, and `{peer}` would be one"),
            "ask with `connect`, `listen` or `receive` who may be at the other end",
        ));
    }
    let main = if local_kind { &local } else { &peer };
    let needs_address =
        op.intersects(OpSet::LOCAL_KIND | OpSet::CONNECT | OpSet::SEND_TO | OpSet::REPLY);
    if main.is_none() && needs_address {
        return Err(error(
            format!("`{operation}` needs an address"),
            format!("write `{transport} {operation} {}`", example(transport)),
        ));
    }
    let kind = kind(main.as_ref().or(local.as_ref()))?;
    for address in [&local, &peer].into_iter().flatten() {
        fits(kind, transport, address)?;
    }
    let ops = if op == OpSet::BIND {
        OpSet::BIND | OpSet::LISTEN
    } else {
        op
    };
    let destination = op.intersects(OpSet::CONNECT | OpSet::SEND_TO | OpSet::REPLY);
    let open_local = op == OpSet::SOCKETPAIR;
    Ok(Ask {
        denied_by: op,
        what,
        local: match local {
            Some(local) => End::At(Cow::Owned(local.canonical())),
            None if open_local => End::Open,
            None => End::Unbound,
        },
        peer: match peer {
            Some(peer) if destination => End::At(Cow::Owned(peer.canonical_destination())),
            Some(peer) => End::At(Cow::Owned(peer.canonical())),
            None => End::Open,
        },
        content: content.map(|content| Inspected::Owned(Box::new(content))),
        ..ask(ops, kind)
    })
}

/// What an operation is about besides addresses. Descriptors are sockets unless `kinds` says otherwise.
fn what(op: OpSet, keys: &mut Vec<(&str, &str)>) -> Result<What, QuestionError> {
    if op == OpSet::SOCKETPAIR {
        return Ok(What::Create);
    }
    if !op.intersects(OpSet::DESCRIPTOR_SEND | OpSet::DESCRIPTOR_RECEIVE) {
        return Ok(What::Nothing);
    }
    match take(keys, "kinds") {
        None | Some("socket") => Ok(What::Descriptor(DescriptorKind::Socket)),
        Some("opaque") => Ok(What::Descriptor(DescriptorKind::Opaque)),
        Some(word) => Err(error(
            format!("`{word}` is not one kind of descriptor"),
            "write `kinds=socket` or `kinds=opaque`",
        )),
    }
}

fn kind(transport: &str, address: Option<&Address>) -> Result<Kind, QuestionError> {
    kind_of(transport, address).ok_or_else(|| {
        error(
            format!("`{transport}` is no kind of socket"),
            "write `tcp`, `unix-datagram`, `can-raw`, `vsock-stream` ...",
        )
    })
}

/// The kind with the protocol of a word like `protocol=253`, as rules have it for what has no name.
fn with_protocol(kind: Kind, word: &str, number: Option<&str>) -> Result<Kind, QuestionError> {
    let Some(number) = number else {
        return Ok(kind);
    };
    if transport(word).is_some_and(|sockets| sockets.protocol.is_some()) {
        return Err(error(
            format!("`{word}` names the protocol already"),
            format!("leave out `protocol={number}`"),
        ));
    }
    let protocol = number.parse().map_err(|_| {
        error(
            format!("`{number}` is no protocol's number"),
            "write `protocol=253`, or a transport that names the protocol",
        )
    })?;
    Ok(Kind { protocol, ..kind })
}

/// The address and the message that the words with a `=` name.
fn told(
    kind: Kind,
    keys: &[(&str, &str)],
) -> Result<(Option<Address>, Option<Content>), QuestionError> {
    if keys.is_empty() {
        return Ok((None, None));
    }
    family::told(kind, keys).map_err(|(message, help)| error(message, help))
}

/// How an address of such sockets is written.
fn example(transport: &str) -> String {
    let keys = kind_of(transport, None).map(family::example_words);
    keys.filter(|words| !words.is_empty())
        .unwrap_or_else(|| "<address>".to_owned())
}

fn ask(ops: OpSet, kind: Kind) -> Query {
    Ask {
        kind: Some(kind),
        local: End::Open,
        local_side: Side::Local,
        ..Ask::socketless(ops, What::Nothing)
    }
}

#[cfg(test)]
mod tests;
