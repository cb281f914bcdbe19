//! Rules in one line, as far as one shows them.

use super::part::Part;
use crate::load::{EndWords, Terms, terms_line};
use crate::model::{Clause, Count, Flow, LIFETIME, Limits, OpSet, PortRange};

pub(super) fn terms(terms: &Terms) -> String {
    terms_line(terms)
}

/// All keys of limits.
pub(super) fn limit_keys() -> impl Iterator<Item = &'static str> {
    crate::load::limit_keys()
}

/// What limits say: key, amount, and the amount as people write it.
pub(super) fn limits(limits: &Limits) -> Vec<(&'static str, u64, String)> {
    let mut said = Vec::new();
    let mut add = |key, amount: u64, bytes: bool| {
        let shown = if bytes {
            amount_of_bytes(amount)
        } else {
            amount.to_string()
        };
        said.push((key, amount, shown));
    };
    for count in Count::ALL {
        if let Some(most) = limits.count(count) {
            add(count.key(), most, count.is_bytes());
        }
    }
    for flow in Flow::ALL {
        if let Some(rate) = limits.rate(flow) {
            add(flow.key(), rate.each_second(), flow.is_bytes());
            add(flow.burst_key(), rate.burst(), flow.is_bytes());
        }
    }
    if let Some(time) = limits.lifetime() {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let shown = match milliseconds % 1000 {
            0 => format!("{}s", time.as_secs()),
            _ => format!("{milliseconds}ms"),
        };
        said.push((LIFETIME, milliseconds, shown));
    }
    said
}

/// `16 MiB`.
fn amount_of_bytes(amount: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units
        .into_iter()
        .find(|(_, unit)| amount >= *unit && amount.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{} {name}", amount / unit),
        None => amount.to_string(),
    }
}

fn joined(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn names(ops: OpSet) -> String {
    ops.names().collect::<Vec<_>>().join(",")
}

/// An end's words about a part of it.
fn narrowed(end: &EndWords, part: &Part) -> EndWords {
    let port = |range: &PortRange| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    };
    let ports = part
        .ports
        .as_ref()
        .map(|ports| ports.iter().map(port).collect());
    end.narrowed(part.names.clone(), ports)
}

/// Sockets, operations and addresses: `tcp connect 10.0.0.0/8:443`.
fn addresses(clause: &Clause, ops: OpSet, part: &Part) -> String {
    let written = &clause.written;
    let local_kind = ops.intersects(OpSet::LOCAL_KIND);
    let (own, word, other) = match local_kind {
        true => (written.local.as_ref(), "peer", written.peer.as_ref()),
        false => (written.peer.as_ref(), "from", written.local.as_ref()),
    };
    let own = own
        .filter(|_| written.top.is_empty())
        .unwrap_or(&written.top);
    let own = narrowed(own, part).line();
    let other = other.map(|end| format!("{word} {}", end.line()));
    joined([
        written.sockets.clone(),
        names(ops),
        own,
        other.unwrap_or_default(),
    ])
}

/// The whole rule under some of its operations.
pub(super) fn grant(clause: &Clause, ops: OpSet, part: &Part) -> String {
    let known: Terms = clause
        .written
        .terms
        .iter()
        .filter(|(key, _)| means(key, ops))
        .cloned()
        .collect();
    joined([addresses(clause, ops, part), terms(&known)])
}

/// Whether a key has a meaning under the operations.
fn means(key: &str, ops: OpSet) -> bool {
    match key {
        "ioctl" => ops.contains(OpSet::IOCTL),
        "kinds" => ops.intersects(OpSet::DESCRIPTOR_SEND | OpSet::DESCRIPTOR_RECEIVE),
        "source" => ops.contains(OpSet::JOIN_GROUP),
        "host-may-be" | "pin" => ops.intersects(OpSet::RESOLVE | OpSet::PEER_KIND),
        "interface" => true,
        "mode" | "replace-stale" => ops.intersects(OpSet::LOCAL_KIND),
        _ => !OpSet::SOCKETLESS.contains(ops),
    }
}

/// The rule under some of its operations, without what its grants come with.
pub(super) fn bare(clause: &Clause, ops: OpSet, part: &Part) -> String {
    addresses(clause, ops, part)
}

/// A deny rule.
pub(super) fn deny(clause: &Clause, part: &Part) -> String {
    let written = &clause.written;
    let ops = match clause.every_op {
        true => "everything".to_owned(),
        false if clause.uses_only => String::new(),
        false => names(clause.ops),
    };
    let top = narrowed(&written.top, part).line();
    let end = |word: &str, end: &Option<EndWords>| {
        end.as_ref()
            .map(|end| format!("{word} {}", end.line()))
            .unwrap_or_default()
    };
    joined([
        written.sockets.clone(),
        ops,
        top,
        end("local", &written.local),
        end("peer", &written.peer),
        terms(&written.terms),
    ])
}

/// The words of a rule's terms that another rule lacks.
pub(super) fn lacking_terms(clause: &Clause, other: &Clause) -> Terms {
    let others = &other.written.terms;
    let lacks = |key: &str, word: &String| {
        !others
            .iter()
            .any(|(known, words)| *known == key && words.contains(word))
    };
    let lacking = clause.written.terms.iter().filter_map(|(key, words)| {
        let words: Vec<String> = words
            .iter()
            .filter(|word| lacks(key, word))
            .cloned()
            .collect();
        (!words.is_empty()).then_some((*key, words))
    });
    let lacking: Terms = lacking.collect();
    match lacking.is_empty() {
        // The other rule asks for more: its words say what this one goes without.
        true => others
            .iter()
            .filter(|(key, _)| matches!(*key, "peer-uid" | "peer-gid" | "mode" | "pin"))
            .map(|(key, _)| (*key, vec!["any".to_owned()]))
            .collect(),
        false => lacking,
    }
}
