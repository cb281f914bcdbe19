//! Why a verdict is what it is, and what would change it.

mod question;

use std::fmt;
use std::time::Instant;

pub use question::{Question, QuestionError};

use crate::address::{Address, UnixAddress};
use crate::class::embedded;
use crate::denial::Reason;
use crate::family::{self, Content};
use crate::gate::NoPins;
use crate::judge::{self, Ask, End, Miss, Query, What};
use crate::kind::{Family, Kind};
use crate::load::{transport, transport_word};
use crate::model::{AddressPattern, Clause, OpSet, Policy, Side, whole_place};

impl Query {
    /// The canonical address that the question is about: the peer, else the local one.
    pub(crate) fn address(&self) -> Option<&Address> {
        let local_first = OpSet::LOCAL_KIND.contains(self.denied_by);
        let (first, second) = if local_first {
            (&self.local, &self.peer)
        } else {
            (&self.peer, &self.local)
        };
        let address = if self.denied_by == OpSet::LISTEN {
            self.peer.address()
        } else {
            None
        };
        address.or(first.address()).or(second.address())
    }

    pub(crate) fn subject(&self) -> String {
        match &self.what {
            What::Nothing => self.address().map(ToString::to_string).unwrap_or_default(),
            What::Create => self.kind.map(|kind| kind.to_string()).unwrap_or_default(),
            What::GetOption(option) | What::SetOption(option, _) => match self.kind {
                Some(kind) => option.on(kind).to_string(),
                None => option.to_string(),
            },
            What::Host(host) => printable(host.as_bytes()),
            What::Ip(ip) => ip.to_string(),
            What::Group(request) => request.group.to_string(),
            What::Membership(option, part) => format!("{option} {part}"),
            What::Ioctl(name) => printable(name.as_bytes()),
            What::Descriptor(kind) => kind.to_string(),
            What::Hostname(name) => printable(name),
        }
    }

    /// `connect to 10.1.2.3:22`, `bind to [::]:80`, `set-option so.mark`, `send-to can0 (can-id=0x123)`.
    pub(crate) fn phrase(&self, operation: &str) -> String {
        let subject = self.subject();
        if subject.is_empty() {
            return operation.to_owned();
        }
        let joint = match (operation, &self.what) {
            ("connect" | "bind" | "reply", What::Nothing) => " to",
            ("converse", What::Nothing) => " with",
            ("accept", What::Nothing) => " from",
            ("listen" | "receive" | "disconnect" | "splice", What::Nothing) => " on",
            _ => "",
        };
        let mut message = self.message_words();
        if !message.is_empty() {
            message = format!(" ({message})");
        }
        format!("{operation}{joint} {subject}{message}")
    }

    /// What is in the message that the question is about, as rules write it; why it cannot be read.
    fn message_words(&self) -> String {
        let Some(content) = &self.content else {
            return String::new();
        };
        match content.malformed() {
            Some(why) => why.to_owned(),
            None => family::message_words(content).join(" "),
        }
    }
}

/// Text from a guest for an operator's eyes.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = crate::address::write_bytes(&mut text, bytes);
    text
}

/// The operation that a rule would name to grant what is asked.
fn main_operation(ops: OpSet) -> &'static str {
    let order = [
        OpSet::REPLY,
        OpSet::SEND_TO,
        OpSet::RECEIVE,
        OpSet::BIND,
        OpSet::CONNECT,
    ];
    let first = order.into_iter().find(|op| ops.contains(*op));
    first.unwrap_or(ops).names().next().unwrap_or("connect")
}

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
    let placeless = |address: &Address| matches!(address, Address::Unix(UnixAddress::Pathname(path)) if whole_place(path).is_none());
    if ends.into_iter().flatten().any(placeless) {
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
        What::Group(request) => {
            words.push(format!("join-group {}", request.group));
            words.extend(request.source.map(|source| format!("source={source}")));
            words.extend(
                request
                    .interface
                    .as_ref()
                    .map(|name| format!("interface={}", printable(name.as_bytes()))),
            );
        }
        What::Membership(_, part) => {
            words.push(main_operation(query.ops).to_owned());
            let parts = std::slice::from_ref(part);
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
        _ => "connect ADDRESS".to_owned(),
    }
}

/// A local address as rules write it: one that asks for autobind has a word of its own.
fn local_word(address: &Address) -> String {
    match address {
        Address::Unix(UnixAddress::Abstract(name)) if name.is_empty() => "@auto".to_owned(),
        address => address.to_string(),
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
    let peer = query.peer.address().map(ToString::to_string);
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

/// The operation as a rule for the command line.
pub(crate) fn grant_line(query: &Query) -> String {
    if let Some(why) = unsayable(query) {
        return why.to_owned();
    }
    match (rule_line(query), &query.what) {
        (Some(line), _) => format!("--allow '{}'", line.replace('\'', "'\\''")),
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

/// The nearest rule with what it lacks, and what would grant the operation.
pub(crate) fn hint(query: &Query, reason: &Reason, policy: &Policy) -> String {
    if let Reason::Rule(rule) = reason {
        return format!("deny beats allow: only a change to deny rule `{rule}` lets this through");
    }
    let nearest = misses(policy, query)
        .into_iter()
        .rev()
        .max_by_key(|(_, miss)| *miss);
    let near = match nearest {
        Some((clause, miss)) if miss > Miss::Type => {
            format!(
                "rule `{}` comes nearest: it {}; ",
                clause.id,
                describe(clause, query, miss)
            )
        }
        _ => String::new(),
    };
    if let Some(why) = unsayable(query) {
        return format!("{near}{why}");
    }
    let grant = grant_line(query);
    if grant.starts_with("options") {
        return format!("{near}in the rule that grants the socket, this would grant it: {grant}");
    }
    format!("{near}this would grant it: {grant}")
}

fn misses<'p>(policy: &'p Policy, ask: &Ask<'_>) -> Vec<(&'p Clause, Miss)> {
    let now = Instant::now();
    let examined = policy
        .allow
        .all()
        .iter()
        .map(|clause| (&**clause, judge::examine(clause, ask, &NoPins, now)));
    examined
        .filter_map(|(clause, outcome)| Some((clause, outcome.err()?)))
        .collect()
}

/// What a rule lacks, as the rest of a sentence that begins with the rule.
fn describe(clause: &Clause, ask: &Ask<'_>, miss: Miss) -> String {
    match miss {
        Miss::Ops => format!("does not list `{}`", main_operation(ask.ops)),
        Miss::Family => match ask.kind {
            Some(kind) => format!(
                "does not list every family involved (the socket is {})",
                kind.family
            ),
            None => "is about another family".to_owned(),
        },
        Miss::Type => match ask.kind {
            Some(kind) => format!("is about another type or protocol than {kind}"),
            None => "is about another type or protocol".to_owned(),
        },
        Miss::Peer => describe_end("peer", &ask.peer, clause.peer.as_ref(), Side::Peer),
        Miss::Local => describe_end(
            "local address",
            &ask.local,
            clause.local.as_ref(),
            ask.local_side,
        ),
        Miss::Pin => format!(
            "covers only what its names resolved to, and {} is not that (now)",
            ask.subject_of_peer()
        ),
        Miss::Message => match &ask.content {
            Some(content) => describe_message(clause, content),
            None => "says nothing of messages".to_owned(),
        },
        Miss::What => format!("does not name {}", ask.clone().into_query().subject()),
        Miss::Limit(key) => {
            format!("limits `{key}`, which cannot be counted on sockets of `wasi:sockets`")
        }
        Miss::Option(option) => {
            format!("does not list the option `{option}`, which was set on the socket")
        }
    }
}

/// What the rule says where it does not match, in its own words.
fn says(clause: &Clause, miss: Miss) -> String {
    let written = &clause.written;
    let words = match miss {
        Miss::Family | Miss::Type => written.sockets.clone(),
        Miss::Peer => written.peer.as_ref().unwrap_or(&written.top).line(),
        Miss::Local => written.local.as_ref().unwrap_or(&written.top).line(),
        Miss::What | Miss::Message => written.top.line(),
        _ => String::new(),
    };
    match words.as_str() {
        "" => words,
        words => format!(" (it says `{words}`)"),
    }
}

fn describe_message(clause: &Clause, content: &Content) -> String {
    match (content.malformed(), content.uncovered(&clause.messages)) {
        (Some(why), _) => format!("grants no message that cannot be read ({why})"),
        (None, Some((key, value))) => {
            format!("does not cover `{}` {value} of the message", key.name)
        }
        (None, None) => format!("does not cover the message ({content})"),
    }
}

impl Ask<'_> {
    fn subject_of_peer(&self) -> String {
        self.peer
            .address()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

fn describe_end(name: &str, end: &End<'_>, pattern: Option<&AddressPattern>, side: Side) -> String {
    let Some(address) = end.address() else {
        return format!("asks for a {name}, and the socket has none of its own choice");
    };
    let without_ports = pattern.map(|pattern| AddressPattern {
        ports: None,
        ..pattern.clone()
    });
    let only_port = without_ports.is_some_and(|pattern| {
        pattern.ip.is_some() && pattern.covers(address, side, &mut |_, _| false)
    });
    match address.port().filter(|_| only_port) {
        Some(port) => format!("covers the {name}, but not its port {port}"),
        None => format!("does not cover the {name} {address}"),
    }
}

/// One allow rule, seen from a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The rule's id.
    pub rule: String,
    /// Where it stands: `policy.toml:12`.
    pub place: String,
    /// What it lacks; `None` if it grants.
    pub lacks: Option<String>,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The question.
    pub question: String,
    /// The rule that grants it, or the reason why it is denied.
    pub verdict: Result<String, Reason>,
    /// Every allow rule: those that grant first, then those that come nearest.
    pub candidates: Vec<Candidate>,
    /// What would have to change; `None` if it is granted.
    pub change: Option<String>,
}

impl Explanation {
    /// Whether it is granted.
    #[must_use]
    pub fn granted(&self) -> bool {
        self.verdict.is_ok()
    }
}

impl Policy {
    /// Which rule decides a question, what each allow rule lacks, and what would have to change. Names are
    /// not resolved, so a rule with `host` grants no `connect` here.
    #[must_use]
    pub fn explain(&self, question: &Question) -> Explanation {
        let ask = question.ask();
        let outcome = judge::judge(self, ask, &NoPins, Instant::now());
        let missing = misses(self, ask);
        let mut ranked: Vec<(Option<Miss>, &Clause)> = self
            .allow
            .all()
            .iter()
            .map(|clause| {
                let miss = missing
                    .iter()
                    .find(|(known, _)| known.id == clause.id)
                    .map(|(_, miss)| *miss);
                (miss, &**clause)
            })
            .collect();
        ranked.sort_by_key(|(miss, _)| (miss.is_some(), std::cmp::Reverse(*miss)));
        let candidates = ranked
            .into_iter()
            .map(|(miss, clause)| Candidate {
                rule: clause.id.to_string(),
                place: clause.place.clone(),
                lacks: miss.map(|miss| describe(clause, ask, miss) + &says(clause, miss)),
            })
            .collect();
        Explanation {
            question: question.to_string(),
            change: outcome.as_ref().err().map(|reason| hint(ask, reason, self)),
            verdict: outcome.map(|grant| grant.rule.to_string()),
            candidates,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Ok(rule) => writeln!(f, "granted: {} (rule `{rule}`)", self.question)?,
            Err(Reason::Rule(rule)) => {
                writeln!(f, "denied: {} (deny rule `{rule}`)", self.question)?
            }
            Err(Reason::NoRule) => writeln!(f, "denied: {} (no rule grants it)", self.question)?,
        }
        for Candidate { rule, place, lacks } in &self.candidates {
            match lacks {
                None => writeln!(f, "  rule `{rule}` ({place}) grants it")?,
                Some(lacks) => writeln!(f, "  rule `{rule}` ({place}) {lacks}")?,
            }
        }
        match &self.change {
            Some(change) => write!(f, "  to change that: {change}"),
            None => Ok(()),
        }
    }
}
