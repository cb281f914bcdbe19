//! What is in a message, as far as rules look at it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use super::key::{Key, KeyPattern, Value};
use super::{Direction, Family, Kind, group_of, netlink, packet, raw};
use crate::address::Address;
use crate::facts::SocketFacts;
use crate::model::Side;

/// The most keys that one part of a message has values for.
const KEYS: usize = 4;

/// One part of a message that is judged by itself: a frame, a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part([Option<(&'static str, Value)>; KEYS]);

impl Part {
    /// A part with these values. What a key is not listed for is not said by this part.
    pub(crate) fn new<const N: usize>(values: [(&'static str, Value); N]) -> Part {
        const { assert!(N <= KEYS) };
        let mut part = Part::default();
        for (place, value) in values.into_iter().enumerate() {
            part.0[place] = Some(value);
        }
        part
    }

    /// A part with values from a question; none where they are more than a part has.
    pub(crate) fn told(values: Vec<(&'static str, Value)>) -> Option<Part> {
        let mut part = Part::default();
        for (place, value) in values.into_iter().enumerate() {
            *part.0.get_mut(place)? = Some(value);
        }
        Some(part)
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().flatten().map(|(key, value)| (*key, value))
    }
}

impl fmt::Display for Part {
    /// `can-id=0x123 fd=1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.values().enumerate() {
            let lead = if place == 0 { "" } else { " " };
            write!(f, "{lead}{key}={value}")?;
        }
        Ok(())
    }
}

/// The parts of a message, or why it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    One(Part),
    Many(Vec<Part>),
    Malformed(&'static str),
}

/// What is in one message of a socket of one kind, as far as rules look at it. The policy reads it from the
/// very bytes that are sent or were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    kind: Kind,
    parts: Option<Parts>,
    /// The message begins with its own IP header, for this address.
    header: Option<IpAddr>,
}

impl Content {
    /// What a guest sends.
    #[must_use]
    pub fn sent(kind: Kind, bytes: &[u8]) -> Content {
        Content::inspect(kind, Direction::Sent, bytes)
    }

    /// What a guest sends on this very socket, whose options may say how its messages begin.
    #[must_use]
    pub fn sent_by(s: &SocketFacts, bytes: &[u8]) -> Content {
        let (parts, header) = if raw::includes_header(s) {
            raw::read_with_header(s.kind, bytes)
        } else if packet::prepends_header(s) {
            (packet::UNREADABLE, None)
        } else if s.kind.family == Family::Netlink {
            return Content {
                parts: netlink::read_request(s, bytes),
                kind: s.kind,
                header: None,
            };
        } else {
            return Content::sent(s.kind, bytes);
        };
        Content {
            kind: s.kind,
            parts: Some(parts),
            header,
        }
    }

    /// What was received, whole, or at least [`Content::head`] bytes of it.
    #[must_use]
    pub fn received(kind: Kind, bytes: &[u8]) -> Content {
        Content::inspect(kind, Direction::Received, bytes)
    }

    fn inspect(kind: Kind, direction: Direction, bytes: &[u8]) -> Content {
        let parts = group_of(kind)
            .and_then(|group| group.inspector(kind))
            .map(|inspector| (inspector.read)(kind, direction, bytes));
        Content {
            kind,
            parts,
            header: None,
        }
    }

    /// What a question says of a message.
    pub(crate) fn told(kind: Kind, parts: Parts) -> Content {
        Content {
            kind,
            parts: Some(parts),
            header: None,
        }
    }

    /// How many bytes of a received message the inspector wants to see; none where nothing is inspected
    /// on sockets of the kind.
    #[must_use]
    pub fn head(kind: Kind) -> Option<usize> {
        group_of(kind)
            .and_then(|group| group.inspector(kind))
            .map(|inspector| inspector.head)
    }

    /// Whether this was read from a message of such a socket.
    pub(crate) fn is_of(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    /// Whether this was read as what such a socket sends to `to`: with its options as they are, and with
    /// the same destination in its own header.
    pub(crate) fn is_sent_by(&self, s: &SocketFacts, to: &Address) -> bool {
        let header = match self.header {
            Some(inside) => raw::includes_header(s) && to.ip() == Some(inside),
            // One that could not be read is granted by nothing anyway.
            None => !raw::includes_header(s) || self.malformed().is_some(),
        };
        let readable = !packet::prepends_header(s) || self.malformed().is_some();
        self.is_of(s.kind) && header && readable
    }

    /// Where the message goes by what the kernel makes of the address: it reads the protocol of a frame
    /// from the frame itself where the address names none.
    pub(crate) fn destination<'a>(&self, to: &'a Address) -> Cow<'a, Address> {
        let own = self
            .parts()
            .first()
            .and_then(|part| part.value("ethertype"));
        packet::destination(to, own)
    }

    /// With what the sender's address says of the message.
    pub(crate) fn heard_from(&self, sender: &Address) -> Cow<'_, Content> {
        let Address::Packet(sender) = sender else {
            return Cow::Borrowed(self);
        };
        let mut content = self.clone();
        if self.malformed().is_none() {
            let mut parts = vec![packet::heard(sender)];
            parts.extend(self.parts().iter().cloned());
            content.parts = Some(Parts::Many(parts));
        }
        Cow::Owned(content)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn parts(&self) -> &[Part] {
        match &self.parts {
            None | Some(Parts::Malformed(_)) => &[],
            Some(Parts::One(part)) => std::slice::from_ref(part),
            Some(Parts::Many(parts)) => parts,
        }
    }

    /// Why the message cannot be read, which nothing grants.
    #[must_use]
    pub fn malformed(&self) -> Option<&'static str> {
        match &self.parts {
            Some(Parts::Malformed(why)) => Some(why),
            _ => None,
        }
    }

    /// Whether an allow rule covers every part under every of its keys.
    pub(crate) fn covered_by(&self, patterns: &[KeyPattern]) -> bool {
        self.malformed().is_none()
            && self.parts().iter().all(|part| {
                patterns.iter().all(|pattern| {
                    part.value(pattern.key.name)
                        .is_none_or(|value| pattern.covers(value, Side::Peer))
                })
            })
    }

    /// Whether a deny rule touches some part under every of its keys. What cannot be read may hold anything.
    pub(crate) fn touched_by(&self, patterns: &[KeyPattern]) -> bool {
        self.malformed().is_some()
            || self.parts().iter().any(|part| {
                patterns.iter().all(|pattern| {
                    part.value(pattern.key.name)
                        .is_some_and(|value| pattern.touches(value))
                })
            })
    }

    /// The first part that the patterns do not cover, with the key.
    pub(crate) fn uncovered(&self, patterns: &[KeyPattern]) -> Option<(&'static Key, &Value)> {
        self.parts().iter().find_map(|part| {
            patterns.iter().find_map(|pattern| {
                let value = part.value(pattern.key.name)?;
                (!pattern.covers(value, Side::Peer)).then_some((pattern.key, value))
            })
        })
    }
}

impl fmt::Display for Content {
    /// The values of the first part: `can-id=0x123 fd=1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = self.malformed() {
            return f.write_str(why);
        }
        let Some(first) = self.parts().first() else {
            return Ok(());
        };
        first.fmt(f)?;
        match self.parts().len() {
            1 => Ok(()),
            parts => write!(f, " and {} more", parts - 1),
        }
    }
}

/// Reads what a message of one kind of socket holds.
pub(crate) struct Inspector {
    /// How many bytes of a received message it wants to see.
    pub(crate) head: usize,
    pub(crate) read: fn(Kind, Direction, &[u8]) -> Parts,
}
