//! Questions in one line: `tcp connect 10.1.2.3:22`, the grammar of `--allow` with concrete addresses.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::address::{Address, UnixAddress};
use crate::family::{self, Content};
use crate::judge::{Ask, End, Query, What};
use crate::kind::{Family, Kind, SocketType};
use crate::load::{Words, kind_of, transport};
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
    /// `interfaces`; for other families with the keys of a rule, each with one value:
    /// `vsock-stream connect cid=2 port=1234`, `can-raw send-to interface=can0 can-id=0x123`.
    ///
    /// # Errors
    /// The line names no operation, or not what the operation needs.
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

fn socketless(op: OpSet, operation: &str, rest: &[String]) -> Result<Query, QuestionError> {
    let subject = rest.first();
    let needs = |what: &str| {
        error(
            format!("`{operation}` needs {what}"),
            format!("write `{operation} {}`", what.to_uppercase()),
        )
    };
    let what = match op {
        OpSet::RESOLVE => {
            let host = subject.ok_or_else(|| needs("a host"))?;
            let folded = fold(host.as_bytes()).map_err(|problem| {
                error(
                    format!("the host `{host}` {problem}"),
                    "write a name: `resolve db.example.com`",
                )
            })?;
            What::Host(folded.into())
        }
        OpSet::REVERSE_RESOLVE => {
            let ip = subject
                .and_then(|word| word.parse::<IpAddr>().ok())
                .ok_or_else(|| needs("an address"))?;
            What::Ip(ip.to_canonical())
        }
        OpSet::SET_HOSTNAME => {
            What::Hostname(subject.ok_or_else(|| needs("a name"))?.as_bytes().to_vec())
        }
        OpSet::INTERFACES | OpSet::HOSTNAME => What::Nothing,
        _ => {
            return Err(error(
                format!("`{operation}` is about a socket"),
                format!("write `tcp {operation} ...`, `udp ...` or `unix ...`"),
            ));
        }
    };
    Ok(Ask::socketless(op, what))
}

/// The addresses of a question.
#[derive(Default)]
struct Given {
    plain: Option<Address>,
    local: Option<Address>,
    peer: Option<Address>,
}

fn given(words: &[&String]) -> Result<Given, QuestionError> {
    let mut given = Given::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "from" | "local" => &mut given.local,
            "peer" | "to" => &mut given.peer,
            _ => {
                given.plain = Some(concrete(word)?);
                continue;
            }
        };
        let address = words.next().ok_or_else(|| {
            error(
                format!("`{word}` without an address"),
                format!("write `{word} 10.0.0.1:80`"),
            )
        })?;
        *place = Some(concrete(address)?);
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

fn on_socket(
    op: OpSet,
    operation: &str,
    transport: &str,
    rest: &[String],
) -> Result<Query, QuestionError> {
    if op == OpSet::JOIN_GROUP {
        let group = rest.first().and_then(|word| word.parse::<IpAddr>().ok());
        let group = group.ok_or_else(|| {
            error(
                "`join-group` needs a group",
                "write `udp join-group 239.1.1.1`",
            )
        })?;
        let family = if group.is_ipv4() {
            Family::Inet
        } else {
            Family::Inet6
        };
        let request = GroupRequest {
            group,
            source: None,
            interface: None,
        };
        return Ok(
            ask(OpSet::JOIN_GROUP, Kind::new(family, SocketType::Datagram))
                .about(What::Group(request)),
        );
    }
    if op == OpSet::IOCTL {
        let name = rest.first().ok_or_else(|| {
            error(
                "`ioctl` needs a request",
                "write `tcp ioctl bytes-readable`",
            )
        })?;
        return Ok(ask(op, kind(transport, None)?).about(What::Ioctl(Arc::from(name.as_str()))));
    }
    let (keys, rest): (Vec<&String>, Vec<&String>) = rest
        .iter()
        .partition(|word| word.contains('=') && !word.starts_with(['/', '@']));
    let (protocol, keys): (Vec<&String>, Vec<&String>) = keys
        .into_iter()
        .partition(|word| word.starts_with("protocol="));
    let kind = |address: Option<&Address>| {
        kind(transport, address).and_then(|kind| with_protocol(kind, protocol.first()))
    };
    let Given { plain, local, peer } = given(&rest)?;
    let (named, content) = told(kind(plain.as_ref().or(peer.as_ref()))?, &keys)?;
    let plain = plain.or(named);
    let local_kind = op.intersects(OpSet::LOCAL_KIND);
    let (local, peer) = if local_kind {
        (plain.or(local), peer)
    } else {
        (local, plain.or(peer))
    };
    let main = if local_kind { &local } else { &peer };
    let needs_address =
        op.intersects(OpSet::LOCAL_KIND | OpSet::CONNECT | OpSet::SEND_TO | OpSet::REPLY);
    if main.is_none() && needs_address {
        return Err(error(
            format!("`{operation}` needs an address"),
            format!("write `{transport} {operation} {}`", example(transport)),
        ));
    }
    let kind = kind(main.as_ref())?;
    for address in [&local, &peer].into_iter().flatten() {
        let fits = match address.ip() {
            Some(_) => kind.has_ip_addresses(),
            None => address.family() == kind.family,
        };
        if !fits {
            return Err(error(
                format!("`{address}` is no address for `{transport}`"),
                "write an address of that family",
            ));
        }
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
        what: if op == OpSet::SOCKETPAIR {
            What::Create
        } else {
            What::Nothing
        },
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
        content: content.map(Cow::Owned),
        ..ask(ops, kind)
    })
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
fn with_protocol(kind: Kind, word: Option<&&String>) -> Result<Kind, QuestionError> {
    let Some((_, number)) = word.and_then(|word| word.split_once('=')) else {
        return Ok(kind);
    };
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
    words: &[&String],
) -> Result<(Option<Address>, Option<Content>), QuestionError> {
    let keys: Vec<(&str, &str)> = words
        .iter()
        .filter_map(|word| word.split_once('='))
        .collect();
    if keys.is_empty() {
        return Ok((None, None));
    }
    family::told(kind, &keys).map_err(|(message, help)| error(message, help))
}

/// How an address of such sockets is written.
fn example(transport: &str) -> String {
    let keys = kind_of(transport, None).map(family::example_words);
    keys.filter(|words| !words.is_empty())
        .unwrap_or_else(|| "ADDRESS".to_owned())
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
mod tests {
    use super::*;

    #[test]
    fn what_is_no_question_says_why() {
        for (line, expected) in [
            ("", "names no operation"),
            ("tcp", "names no operation"),
            ("tcp fly 10.0.0.1:1", "`fly` is no operation"),
            ("connect 10.0.0.1:1", "is about a socket"),
            ("tcp connect", "needs an address"),
            ("tcp connect db.example.com:1", "is no one address"),
            ("tcp connect /run/x", "is no address for `tcp`"),
            ("resolve 127.1", "is a number, not a name"),
            ("tcp connect 10.0.0.1:1 from", "`from` without an address"),
            (
                "vsock-stream connect",
                "write `vsock-stream connect cid=host port=",
            ),
            ("vsock-stream connect cid=2", "the address lacks `port`"),
            (
                "vsock-stream connect cid=* port=1",
                "the address lacks `cid`",
            ),
            ("vsock-stream connect psm=1", "has no key `psm`"),
            (
                "vsock-stream connect 10.0.0.1:1",
                "is no address for `vsock-stream`",
            ),
            (
                "can-raw send-to interface=can0 can-id=0x800",
                "is not one value of `can-id`",
            ),
            ("can-raw send-to interface=can0 psm=1", "has no key `psm`"),
            (
                "tcp connect cid=2",
                "its addresses are written without a key",
            ),
        ] {
            let message = Question::parse(line).unwrap_err().to_string();
            assert!(message.contains(expected), "{line}: {message}");
        }
    }
}
