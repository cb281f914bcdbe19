//! Rules as the text of a policy file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::Entry;
use super::draft::{Draft, Keys, Said};
use crate::family;
use crate::judge::What;
use crate::model::OpSet;

/// So many things are told at one rule.
const TOLD: usize = 6;

/// The file, with what each rule was seen doing, and what no rule grants.
pub(super) fn file(
    name: &str,
    drafts: &[Draft],
    seen: &BTreeMap<String, Vec<&Entry>>,
    refused: &[&Entry],
    missed: u64,
) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let mut text = format!(
        "# What {name} was seen doing, as rules that grant that and nothing else. Read them before you use them.\n\n\
         version = 1\n"
    );
    if missed > 0 {
        let _ = writeln!(
            text,
            "\n# There was no room for {missed} further things that it did."
        );
    }
    for (draft, id) in drafts.iter().zip(ids(drafts)) {
        text.push('\n');
        tell(&mut text, "", seen.get(&id).map_or(&[], Vec::as_slice));
        rule(&mut text, draft, &id);
    }
    if !refused.is_empty() {
        text.push_str("\n# What no rule can grant:\n");
        tell(&mut text, "", refused);
    }
    text
}

/// The same without comments.
pub(super) fn bare(drafts: &[Draft]) -> String {
    let mut text = "version = 1\n".to_owned();
    for (draft, id) in drafts.iter().zip(ids(drafts)) {
        rule(&mut text, draft, &id);
    }
    text
}

/// What was seen, most of it first: `# connect to 10.0.0.1:443: connect 2 times, send 5 times`.
fn tell(text: &mut String, lead: &str, entries: &[&Entry]) {
    let mut things: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
    let made = |entry: &&&Entry| matches!(entry.query.what, What::Create);
    let all_made = entries.iter().all(|entry| made(&entry));
    for entry in entries.iter().filter(|entry| all_made || !made(entry)) {
        let phrase = entry.query.phrase(entry.operation);
        let calls = things.entry(phrase).or_default();
        for (call, times) in entry.calls() {
            *calls.entry(call).or_default() += times;
        }
    }
    let counted: Vec<_> = things
        .iter()
        .filter(|(_, calls)| !calls.is_empty())
        .collect();
    // What was asked and not done is worth a line only where nothing was done.
    let told = if counted.is_empty() {
        things.iter().collect()
    } else {
        counted
    };
    for (phrase, calls) in told.iter().take(TOLD) {
        let calls: Vec<String> = calls
            .iter()
            .map(|(call, times)| match times {
                1 => format!("{call} once"),
                times => format!("{call} {times} times"),
            })
            .collect();
        let joint = if calls.is_empty() { "" } else { ": " };
        let _ = writeln!(text, "# {lead}{phrase}{joint}{}", calls.join(", "));
    }
    if told.len() > TOLD {
        let _ = writeln!(text, "# {lead}and {} more like these", told.len() - TOLD);
    }
}

/// An id for each rule: the sockets and the operation that says most.
fn ids(drafts: &[Draft]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    drafts
        .iter()
        .map(|draft| {
            let plain = plain_id(draft);
            let further = (2..).map(|number| format!("{plain}-{number}"));
            let mut ids = std::iter::once(plain.clone()).chain(further);
            let id = ids.find(|id| !taken.contains(id)).unwrap_or(plain);
            taken.insert(id.clone());
            id
        })
        .collect()
}

fn plain_id(draft: &Draft) -> String {
    let telling = [
        OpSet::LISTEN,
        OpSet::CONNECT,
        OpSet::REPLY,
        OpSet::SEND_TO,
        OpSet::RECEIVE,
        OpSet::BIND,
    ];
    let telling = telling.into_iter().find(|op| draft.ops.contains(*op));
    let op = telling
        .unwrap_or(draft.ops)
        .names()
        .next()
        .unwrap_or("rule");
    let family = draft.kind.get("family");
    let ip = family.is_some_and(|families| {
        let mut families = families.iter();
        families.all(|family| matches!(family.as_str(), "inet" | "inet6"))
    });
    let first = |key: &str| draft.kind.get(key).and_then(|words| words.first());
    let sockets = match (first("protocol"), first("family"), first("type")) {
        (Some(protocol), Some(_), _) if ip => protocol.clone(),
        (Some(protocol), Some(family), _) => format!("{family}-{protocol}"),
        (None, Some(family), Some(socket_type)) => format!("{family}-{socket_type}"),
        (None, Some(family), None) => family.clone(),
        (_, None, _) => return op.to_owned(),
    };
    format!("{sockets}-{op}")
}

fn rule(text: &mut String, draft: &Draft, id: &str) {
    let _ = writeln!(text, "[[allow]]\nid = {}", quoted(id));
    for key in ["family", "type", "protocol"] {
        if let Some(words) = draft.kind.get(key) {
            let _ = writeln!(text, "{key} = {}", list(words));
        }
    }
    let ops: Vec<&str> = draft.ops.names().collect();
    let _ = writeln!(text, "ops = {}", list(&ops));
    ends(text, draft);
    if let Said::Keys(keys) = &draft.message {
        for (key, words) in keys {
            let _ = writeln!(text, "{key} = {}", family_value(key, words));
        }
    }
    uses(text, &draft.uses);
}

/// The addresses: at the top of the rule where they can only be meant for one end.
fn ends(text: &mut String, draft: &Draft) {
    let local = keys_of(&draft.local);
    let peer = keys_of(&draft.peer);
    let both = draft.ops.intersects(OpSet::LOCAL_KIND) && draft.ops.intersects(OpSet::PEER_KIND);
    let whole = |keys: &Keys| keys.contains_key("any");
    match (local, peer) {
        (Some(local), None) if OpSet::LOCAL_KIND.contains(draft.ops) && !whole(local) => {
            at_top(text, local);
        }
        (None, Some(peer)) if !both && !whole(peer) && !draft.ops.intersects(OpSet::LOCAL_KIND) => {
            at_top(text, peer);
        }
        (local, peer) => {
            for (name, keys) in [("local", local), ("peer", peer)] {
                if let Some(keys) = keys {
                    let _ = writeln!(text, "{name} = {}", table(keys));
                }
            }
        }
    }
}

fn keys_of(said: &Said) -> Option<&Keys> {
    match said {
        Said::Keys(keys) => Some(keys),
        Said::Nothing | Said::Unbound => None,
    }
}

fn at_top(text: &mut String, keys: &Keys) {
    for (key, value) in address(keys) {
        let _ = writeln!(text, "{key} = {value}");
    }
}

fn table(keys: &Keys) -> String {
    if keys.contains_key("any") {
        return "\"*\"".to_owned();
    }
    let pairs: Vec<String> = address(keys)
        .into_iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// The keys of an address as the file writes them.
fn address(keys: &Keys) -> Vec<(&'static str, String)> {
    let mut written = Vec::new();
    for (key, words) in keys {
        match *key {
            "unix" => unix(&mut written, words),
            "port" if keys.contains_key("cidr") || keys.contains_key("host") => {
                written.push(("port", list(ranges(words))));
            }
            "cidr" | "host" => written.push((key, list(words))),
            key => written.push((key, family_value(key, words))),
        }
    }
    written
}

fn unix(written: &mut Vec<(&'static str, String)>, words: &BTreeSet<String>) {
    let paths: Vec<&str> = words
        .iter()
        .filter(|word| word.starts_with('/'))
        .map(String::as_str)
        .collect();
    let roots: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| path.rsplit_once('/'))
        .map(|(root, _)| root)
        .collect();
    match roots.first() {
        // A root stands for itself, and so no part of it may be a pattern.
        Some(root)
            if roots.len() == 1
                && !root.is_empty()
                && !root.contains('\\')
                && !root.contains('?') =>
        {
            let names: Vec<&str> = paths
                .iter()
                .filter_map(|path| path.rsplit_once('/'))
                .map(|(_, name)| name)
                .collect();
            written.push(("root", quoted(root)));
            written.push(("path", list(&names)));
        }
        Some(_) => written.push(("path", list(&paths))),
        None => {}
    }
    let names: Vec<&str> = words
        .iter()
        .filter_map(|word| word.strip_prefix('@'))
        .collect();
    if !names.is_empty() {
        written.push(("abstract", list(&names)));
    }
    if words.contains("unnamed") {
        written.push(("unnamed", "true".to_owned()));
    }
}

/// Ports that follow each other as ranges.
fn ranges(words: &BTreeSet<String>) -> Vec<String> {
    let mut ports: Vec<u16> = words.iter().filter_map(|word| word.parse().ok()).collect();
    ports.sort_unstable();
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            // Port 0 asks for any, and is no neighbour.
            Some((_, last)) if *last != 0 && port == *last + 1 => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    ranges
        .into_iter()
        .flat_map(|(first, last)| match last - first {
            0 => vec![first.to_string()],
            1 => vec![first.to_string(), last.to_string()],
            _ => vec![format!("{first}-{last}")],
        })
        .collect()
}

fn family_value(key: &str, words: &BTreeSet<String>) -> String {
    let known = family::keys().find(|known| known.name == key);
    match known {
        Some(known) if known.is_flag() => "true".to_owned(),
        Some(known) if matches!(known.shape, family::Shape::Pairs) => {
            let pairs: Vec<String> = words.iter().map(|word| pair(word)).collect();
            format!("[{}]", pairs.join(", "))
        }
        _ => list(words),
    }
}

/// `0x7E8:0x7E0` as a table.
fn pair(word: &str) -> String {
    let from = if word.starts_with("ext:") { 4 } else { 0 };
    let colon = word[from..]
        .find(':')
        .map_or(word.len(), |colon| from + colon);
    let (rx, tx) = word.split_at(colon);
    let tx = tx.trim_start_matches(':');
    format!("{{ rx = {}, tx = {} }}", quoted(rx), quoted(tx))
}

fn uses(text: &mut String, uses: &Keys) {
    for group in ["options", "ancillary"] {
        let parts: Vec<String> = uses
            .iter()
            .filter_map(|(key, words)| {
                let part = key.strip_prefix(group)?.strip_prefix('.')?;
                Some(format!("{part} = {}", list(words)))
            })
            .collect();
        if !parts.is_empty() {
            let _ = writeln!(text, "{group} = {{ {} }}", parts.join(", "));
        }
    }
    for (key, words) in uses.iter().filter(|(key, _)| !key.contains('.')) {
        let _ = writeln!(text, "{key} = {}", list(words));
    }
}

fn list<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> String {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| quoted(word.as_ref()))
        .collect();
    format!("[{}]", words.join(", "))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}
