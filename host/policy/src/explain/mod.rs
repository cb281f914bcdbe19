//! Why a verdict is what it is, and what would change it.

mod question;
mod suggestion;

use std::fmt;
use std::time::Instant;

pub use question::{Question, QuestionError};
pub(crate) use suggestion::grant_line;

use suggestion::group_words;

use crate::address::Address;
use crate::denial::Reason;
use crate::family::{self, Content};
use crate::gate::{NoPins, is_nothing, is_placeless};
use crate::judge::{self, Ask, End, Miss, Query, What};
use crate::kind::{Family, Kind};
use crate::load::terms_line;
use crate::model::{AddressPattern, Clause, Mode, OpSet, Policy, Side};
use crate::permit::GroupRequest;

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
    let grant = grant_line(query);
    if grant.starts_with("options") {
        return format!("{near}in the rule that grants the socket, this would grant it: {grant}");
    }
    if grant.starts_with("--allow") {
        return format!("{near}this would grant it: {grant}");
    }
    near + &grant
}

fn misses<'p>(policy: &'p Policy, ask: &Ask<'_>) -> Vec<(&'p Clause, Miss)> {
    let now = Instant::now;
    let examined = policy
        .allow
        .all()
        .iter()
        .map(|clause| (clause, judge::examine(clause, ask, &NoPins, now)));
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
            clause.local.as_deref(),
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
        Miss::What => match &ask.what {
            What::Group(request) => describe_group(clause, request),
            _ => format!("does not name {}", ask.clone().into_query().subject()),
        },
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
        Miss::Message => written.top.line(),
        Miss::What => {
            let about = ["source", "interface", "ioctl", "kinds"];
            let mut terms = written.terms.clone();
            terms.retain(|(key, _)| about.contains(key));
            let words = [written.top.line(), terms_line(&terms)];
            words.join(" ").trim().to_owned()
        }
        _ => String::new(),
    };
    match words.as_str() {
        "" => words,
        words => format!(" (it says `{words}`)"),
    }
}

/// A membership without a source or an interface is not one with any of those that a rule names.
fn describe_group(clause: &Clause, request: &GroupRequest) -> String {
    let mut words = format!("does not name {}", group_words(request));
    if clause.groups.source.is_some() && request.source.is_none() {
        words += " without a source";
    }
    if clause.groups.interface.is_some() && request.interface.is_none() {
        words += " without an interface";
    }
    words
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

/// What the gate refuses in every mode, since no rule could grant it.
fn is_beyond_rules(ask: &Query) -> bool {
    let is_unix = |kind: Kind| kind.family == Family::Unix;
    let pair = ask.ops == OpSet::SOCKETPAIR && !ask.kind.is_some_and(is_unix);
    let ends = [ask.local.address(), ask.peer.address()];
    pair || ends.into_iter().flatten().any(is_placeless)
        || ask.peer.address().is_some_and(is_nothing)
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
    /// Where the policy's mode lets it through all the same: that it does.
    pub let_through: Option<String>,
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
        let outcome = judge::judge(self, ask, &NoPins, Instant::now);
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
                (miss, clause)
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
        let let_through = match (&outcome, self.mode()) {
            (Ok(_) | Err(Reason::Rule(_)), _) | (_, Mode::Enforce) => None,
            _ if is_beyond_rules(ask) => None,
            (Err(Reason::NoRule), mode) => Some(format!(
                "mode `{}` lets it through all the same, and writes it down",
                mode.name()
            )),
        };
        Explanation {
            question: question.to_string(),
            let_through,
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
        if let Some(let_through) = &self.let_through {
            writeln!(f, "  {let_through}")?;
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
