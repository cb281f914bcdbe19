//! What is in a message, as far as rules look at it.

use std::fmt;

use super::key::{Key, KeyPattern, Value};
use super::{Direction, Family, Kind, group_of};
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
}

impl Content {
    /// What a guest sends.
    #[must_use]
    pub fn sent(kind: Kind, bytes: &[u8]) -> Content {
        Content::inspect(kind, Direction::Sent, bytes)
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
        Content { kind, parts }
    }

    /// What a question says of a message.
    pub(crate) fn told(kind: Kind, parts: Parts) -> Content {
        Content {
            kind,
            parts: Some(parts),
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
        for (place, (key, value)) in first.values().enumerate() {
            let lead = if place == 0 { "" } else { " " };
            write!(f, "{lead}{key}={value}")?;
        }
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

/// Families whose sockets send without a name to where they are bound.
pub(crate) fn sends_where_bound(family: Family) -> bool {
    matches!(family, Family::Packet | Family::Bluetooth)
}
