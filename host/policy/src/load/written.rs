//! The words of a rule as they were written, to show it in one line.

use super::line::transport;
use super::rule::{Ends, Listing, Rule, Word};

/// Keys with their words.
pub(crate) type Terms = Vec<(&'static str, Vec<String>)>;

/// A rule's words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// `tcp`, `unix-stream`, `family=inet,inet6 type=stream`.
    pub(crate) sockets: String,
    pub(crate) top: EndWords,
    pub(crate) local: Option<EndWords>,
    pub(crate) peer: Option<EndWords>,
    /// What its operations are about besides addresses, and what its grants come with.
    pub(crate) terms: Terms,
}

/// The words of one end.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndWords {
    any: bool,
    keys: Terms,
}

fn words(list: &Listing) -> Vec<String> {
    list.items.iter().map(|item| item.value.clone()).collect()
}

fn add(keys: &mut Terms, key: &'static str, list: Option<&Listing>) {
    keys.extend(list.map(|list| (key, words(list))));
}

impl EndWords {
    fn of(ends: &Ends) -> EndWords {
        let mut keys = Terms::new();
        for (key, list) in [
            ("cidr", &ends.cidr),
            ("host", &ends.host),
            ("class", &ends.class),
            ("group", &ends.group),
            ("port", &ends.port),
        ] {
            add(&mut keys, key, list.as_ref());
        }
        let root = ends.root.as_ref().map(|root| vec![root.value.clone()]);
        keys.extend(root.map(|root| ("root", root)));
        add(&mut keys, "path", ends.path.as_ref());
        add(&mut keys, "abstract", ends.abstract_name.as_ref());
        if ends.unnamed.as_ref().is_some_and(|flag| flag.value) {
            keys.push(("unnamed", vec!["true".to_owned()]));
        }
        for (key, word) in &ends.family {
            keys.push((
                key,
                match word {
                    Word::List(list) => words(list),
                    Word::Flag(flag) => vec![flag.value.to_string()],
                },
            ));
        }
        EndWords {
            any: ends.any,
            keys,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any && self.keys.is_empty()
    }

    /// The words with other names of IP addresses, or other ports, in place of those that the rule has.
    pub(crate) fn narrowed(
        &self,
        names: Option<Vec<String>>,
        ports: Option<Vec<String>>,
    ) -> EndWords {
        let mut changed = self.clone();
        for (key, words) in &mut changed.keys {
            if let ("cidr" | "group" | "class" | "host", Some(names)) = (&**key, &names) {
                // The networks of a group are not the group.
                *key = if *key == "group" { "cidr" } else { key };
                words.clone_from(names);
            }
        }
        if let Some(ports) = ports {
            changed.any = false;
            if changed.keys.is_empty() {
                changed.keys.push(("cidr", vec!["*".to_owned()]));
            }
            changed.keys.retain(|(key, _)| *key != "port");
            changed.keys.push(("port", ports));
        }
        changed
    }

    /// As `--allow` takes it, if there is a short form: `10.0.0.0/8:443`, `/run/x.sock`, `*`.
    fn short(&self) -> Option<String> {
        let one = |words: &'_ Vec<String>| match words.as_slice() {
            [word] => Some(word.clone()),
            _ => None,
        };
        match self.keys.as_slice() {
            [] if self.any => Some("*".to_owned()),
            // Every name is not every address, which `*` would be.
            [("host", words), ..] if words.as_slice() == ["*"] => None,
            [("cidr" | "host", words)] => one(words),
            [("path", words)] => one(words).filter(|path| path.starts_with('/')),
            [("abstract", words)] => one(words).map(|name| format!("@{name}")),
            [("unnamed", _)] => Some("unnamed".to_owned()),
            [("cidr" | "host", words), ("port", ports)] => {
                let (word, ports) = (one(words)?, ports.join(","));
                Some(match word.contains(':') {
                    true => format!("[{word}]:{ports}"),
                    false => format!("{word}:{ports}"),
                })
            }
            _ => None,
        }
    }

    /// In one line: the short form, or each key with its words.
    pub(crate) fn line(&self) -> String {
        self.short().unwrap_or_else(|| terms_line(&self.keys))
    }
}

/// `set=so.mark,so.priority flags=oob`.
pub(crate) fn terms_line(terms: &Terms) -> String {
    let words: Vec<String> = terms
        .iter()
        .map(|(key, words)| format!("{key}={}", words.join(",")))
        .collect();
    words.join(" ")
}

impl Written {
    pub(crate) fn of(rule: &Rule) -> Written {
        let mut terms = Terms::new();
        for (key, list) in [
            ("source", &rule.source),
            ("interface", &rule.interface),
            ("ioctl", &rule.ioctl),
            ("kinds", &rule.kinds),
            ("host-may-be", &rule.host_may_be),
            ("set", &rule.set),
            ("get", &rule.get),
            ("flags", &rule.flags),
            ("send-ancillary", &rule.ancillary_send),
            ("receive-ancillary", &rule.ancillary_receive),
            ("peer-uid", &rule.peer_uid),
            ("peer-gid", &rule.peer_gid),
        ] {
            add(&mut terms, key, list.as_ref());
        }
        for (key, text) in [("pin", &rule.pin), ("mode", &rule.mode)] {
            terms.extend(text.as_ref().map(|text| (key, vec![text.value.clone()])));
        }
        if rule.replace_stale.as_ref().is_some_and(|flag| flag.value) {
            terms.push(("replace-stale", vec!["true".to_owned()]));
        }
        Written {
            sockets: sockets(rule),
            top: EndWords::of(&rule.top),
            local: rule.local.as_ref().map(EndWords::of),
            peer: rule.peer.as_ref().map(EndWords::of),
            terms,
        }
    }
}

/// Which sockets the rule is about: one word where there is one for them.
fn sockets(rule: &Rule) -> String {
    let list = |list: &Option<Listing>| list.as_ref().map(words).unwrap_or_default();
    let (families, types, protocols) = (
        list(&rule.family),
        list(&rule.socket_type),
        list(&rule.protocol),
    );
    let transports = ["tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"]
        .map(str::to_owned)
        .into_iter()
        .chain(families.first().into_iter().flat_map(|family| {
            let rest = types.first().or(protocols.first());
            [family.clone()]
                .into_iter()
                .chain(rest.map(|rest| format!("{family}-{rest}")))
        }));
    for word in transports {
        let Some(known) = transport(&word) else {
            continue;
        };
        // Streams and datagrams of IP are of these protocols unless others are named.
        let usual =
            |protocol: &String| protocols.is_empty() && matches!(protocol.as_str(), "tcp" | "udp");
        let protocol = match &known.protocol {
            Some(protocol) => usual(protocol) || protocols == [protocol.clone()],
            None => protocols.is_empty(),
        };
        if known.families == families && known.types == types && protocol {
            return word;
        }
    }
    let mut terms = Terms::new();
    for (key, words) in [
        ("family", families),
        ("type", types),
        ("protocol", protocols),
    ] {
        if !words.is_empty() {
            terms.push((key, words));
        }
    }
    terms_line(&terms)
}
