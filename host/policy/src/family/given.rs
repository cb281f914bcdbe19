//! One address or message, told by its keys: what a question gives in place of the real thing.

use super::{About, Content, Key, Kind, Part, Parts, Value, group_of};
use crate::address::Address;
use crate::family::CanId;

/// The values that a question gives under the keys of a family.
pub(crate) struct Given<'g>(&'g [(&'static Key, Value)]);

impl Given<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(_, value)| value)
    }

    /// A number of 32 bits.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.wide(name).and_then(|number| number.try_into().ok())
    }

    /// A number that fits into fewer bits.
    pub(crate) fn small<N: TryFrom<u32>>(&self, name: &str) -> Option<N> {
        self.number(name).and_then(|number| number.try_into().ok())
    }

    /// A number of any width.
    pub(crate) fn wide(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The first and the last of a range, which a single number is as well.
    pub(crate) fn range(&self, name: &str) -> Option<(u32, u32)> {
        let (first, last) = match self.value(name)? {
            Value::Number(number) => (*number, *number),
            Value::Range(first, last) => (*first, *last),
            _ => return None,
        };
        Some((first.try_into().ok()?, last.try_into().ok()?))
    }

    /// Text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Text(text) => String::from_utf8(text.clone()).ok(),
            _ => None,
        }
    }

    /// A Bluetooth device.
    pub(crate) fn device(&self, name: &str) -> Option<[u8; 6]> {
        let [_, _, device @ ..] = self.wide(name)?.to_be_bytes();
        Some(device)
    }

    /// The receive and transmit ids of ISO-TP.
    pub(crate) fn pair(&self, name: &str) -> Option<(CanId, CanId)> {
        match self.value(name)? {
            Value::Pair(rx, tx) => Some((*rx, *tx)),
            _ => None,
        }
    }
}

/// What is wrong with the keys of a question, and the mend.
pub(crate) type Wrong = (String, String);

/// The address and the message that words like `interface=can0` and `can-id=0x123` name; no address where
/// none of its keys is given.
pub(crate) fn told(
    kind: Kind,
    words: &[(&str, &str)],
) -> Result<(Option<Address>, Option<Content>), Wrong> {
    let group = group_of(kind);
    let mut addresses = Vec::new();
    let mut messages = Vec::new();
    for (name, word) in words {
        let key = group.and_then(|group| group.key(name));
        let Some(key) = key.filter(|key| key.applies_to(kind.protocol)) else {
            let known: Vec<&str> = group
                .iter()
                .flat_map(|group| group.keys)
                .filter(|key| key.applies_to(kind.protocol))
                .map(|key| key.name)
                .collect();
            let help = match known.as_slice() {
                [] => "its addresses are written without a key".to_owned(),
                known => format!("it has {}", known.join(", ")),
            };
            return Err((format!("a socket of {kind} has no key `{name}`"), help));
        };
        let Some(value) = key.value(word) else {
            return Err((
                format!("`{word}` is not one value of `{name}`"),
                format!("write one, such as `{name}={}`", key.example_word()),
            ));
        };
        match key.about {
            About::Address => addresses.push((key, value)),
            About::Message => messages.push((key.name, value)),
        }
    }
    let address = match group {
        Some(group) if !addresses.is_empty() => {
            let given = Given(&addresses);
            let address = (group.address)(kind, &given).map_err(|lacking| {
                let key = group.key(lacking);
                (
                    format!("the address lacks `{lacking}`"),
                    format!("write `{lacking}={}`", key.map_or("", Key::example_word)),
                )
            })?;
            Some(address)
        }
        _ => None,
    };
    Ok((address, message(kind, messages)?))
}

/// A message with these values; none where there are none.
fn message(kind: Kind, values: Vec<(&'static str, Value)>) -> Result<Option<Content>, Wrong> {
    let Some((name, _)) = values.first() else {
        return Ok(None);
    };
    if Content::head(kind).is_none() {
        return Err((
            format!("`{name}` is about messages, and nobody looks at those of {kind}"),
            "take it out".to_owned(),
        ));
    }
    let part = Part::told(values).ok_or_else(|| {
        (
            "more keys about the message than one has".to_owned(),
            "ask about one part of it at a time".to_owned(),
        )
    })?;
    Ok(Some(Content::told(kind, Parts::One(part))))
}
