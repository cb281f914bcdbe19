//! Keys of rules: what a key may say, and whether what it says covers a value.
//!
//! A family lists its keys in a table ([`Key`]), and says for an address or a message what value it has under
//! each of them ([`Value`]). Everything else (reading, matching, suggesting a rule) is the same for all.

use std::fmt;
use std::ops::RangeInclusive;

use super::can::{CanId, FrameId, FrameIds, Pair};
use crate::kind::Kind;
use crate::load::{Fault, Listing, nearest};
use crate::model::{NamePattern, Side};

/// What a key of a rule may say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Names with `*` and `?`.
    Names,
    /// Numbers, ranges of them (`1-9`, `0x10-0x1f`), `*`, and words that stand for a number.
    Numbers {
        words: &'static [(&'static str, u64)],
        max: u64,
    },
    /// CAN identifiers: `0x123`, `0x100/0x700`, `ext:0x18DAF110`, `rtr:0x123`, `err:*`.
    FrameIds,
    /// ISO-TP id pairs: `{ rx = "0x7E8", tx = "0x7E0" }`.
    Pairs,
    /// Bluetooth device addresses, or `*`.
    Devices,
    /// `true` lets messages through that are otherwise refused.
    Permits,
    /// `true` lets nothing through but messages that have this.
    Restricts,
}

/// What a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// An address, the local one or the peer's.
    Address,
    /// A message that is sent or received.
    Message,
}

/// One key of a family.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) about: About,
    pub(crate) shape: Shape,
    /// The protocols that have it; none: all of the family. A rule with the key covers no other socket.
    pub(crate) protocols: &'static [u32],
    /// The number that asks the kernel to choose one (in bind).
    pub(crate) chosen: Option<u64>,
    /// The number that stands for all there are at once ([`Value::Every`]).
    every: Option<u64>,
    /// What an allow rule means that does not write the key: these ranges alone. None: any.
    pub(crate) unwritten: Option<&'static [(u64, u64)]>,
    /// A local address may leave it open: it does not say what the socket can do, and what comes is judged
    /// message by message.
    pub(crate) open_when_bound: bool,
    /// As people write it.
    pub(crate) example: &'static str,
}

impl Key {
    pub(crate) const fn address(name: &'static str, shape: Shape, example: &'static str) -> Key {
        Key {
            name,
            about: About::Address,
            shape,
            protocols: &[],
            chosen: None,
            every: None,
            unwritten: match shape {
                Shape::Permits => Some(&[(0, 0)]),
                _ => None,
            },
            open_when_bound: false,
            example,
        }
    }

    pub(crate) const fn message(name: &'static str, shape: Shape, example: &'static str) -> Key {
        Key {
            about: About::Message,
            ..Key::address(name, shape, example)
        }
    }

    pub(crate) const fn of(self, protocols: &'static [u32]) -> Key {
        Key { protocols, ..self }
    }

    pub(crate) const fn chosen(self, number: u64) -> Key {
        Key {
            chosen: Some(number),
            ..self
        }
    }

    pub(crate) const fn every(self, number: u64) -> Key {
        Key {
            every: Some(number),
            ..self
        }
    }

    /// What an allow rule means that does not write the key.
    pub(crate) const fn unwritten(self, ranges: &'static [(u64, u64)]) -> Key {
        Key {
            unwritten: Some(ranges),
            ..self
        }
    }

    pub(crate) const fn open_when_bound(self) -> Key {
        Key {
            open_when_bound: true,
            ..self
        }
    }

    pub(crate) fn applies_to(&self, protocol: u32) -> bool {
        self.protocols.is_empty() || self.protocols.contains(&protocol)
    }

    /// Whether sockets of the kind have the key.
    pub(crate) fn is_of(&'static self, kind: Kind) -> bool {
        self.applies_to(kind.protocol)
            && super::group_of(kind)
                .is_some_and(|group| group.keys.iter().any(|key| std::ptr::eq(key, self)))
    }

    /// The example as one word of a line.
    pub(crate) fn example_word(&self) -> &'static str {
        match self.shape {
            Shape::Pairs => "0x7E8:0x7E0",
            _ => self.example.trim_matches(['[', ']']).trim_matches('"'),
        }
    }

    /// A value as a rule writes it under this key.
    pub(crate) fn word(&self, value: &Value) -> String {
        match (self.shape, value) {
            (Shape::Devices, Value::Number(number) | Value::Every(Some(number))) => {
                device_word(device_of(*number))
            }
            _ => value.to_string(),
        }
    }

    /// A value as the list of a rule writes it: numbers by their words where they have some, names so that they
    /// stand for themselves.
    pub(crate) fn words(&self, value: &Value) -> Vec<String> {
        let number = |number: u64| match self.shape {
            Shape::Numbers { words, .. } => {
                let mut known = words.iter();
                let word = known.find(|(_, known)| *known == number);
                word.map_or_else(|| number.to_string(), |(word, _)| (*word).to_owned())
            }
            _ => number.to_string(),
        };
        match (self.shape, value) {
            (Shape::Numbers { .. }, Value::Number(one) | Value::Every(Some(one))) => {
                vec![number(*one)]
            }
            (Shape::Numbers { .. }, Value::Each(all)) => all.iter().copied().map(number).collect(),
            (Shape::Names, Value::Text(name)) => vec![NamePattern::naming(name)],
            _ => vec![self.word(value)],
        }
    }

    /// A word that is nobody to talk to: the interface of this machine alone, the first of the numbers.
    pub(crate) fn nobody(&self) -> &'static str {
        match self.shape {
            Shape::Names => "lo",
            Shape::Devices => "any",
            _ => "0",
        }
    }

    /// One value, as a question writes it under this key; none where the word names several, or nothing.
    pub(crate) fn value(&self, word: &str) -> Option<Value> {
        match self.shape {
            Shape::Names | Shape::Numbers { .. } | Shape::Devices if word == "*" => {
                Some(Value::Every(None))
            }
            Shape::Names => Some(Value::Text(word.as_bytes().to_vec())),
            Shape::Numbers { words, max } => {
                let range = parse_range(word, words, max)?;
                Some(match range.into_inner() {
                    (first, last) if first == last => Value::Number(first),
                    (first, last) => Value::Range(first, last),
                })
            }
            Shape::FrameIds => FrameId::parse(word).map(Value::Frame),
            Shape::Pairs => {
                let pair = Pair::parse(word).ok()?;
                Some(Value::Pair(pair.rx, pair.tx))
            }
            Shape::Devices => parse_device(word).map(|range| Value::Number(*range.start())),
            Shape::Permits | Shape::Restricts => match word {
                "true" => Some(Value::Number(1)),
                "false" => Some(Value::Number(0)),
                _ => None,
            },
        }
    }

    /// Why a word is none of the key's values.
    fn wrong(&self, word: &str) -> String {
        let Shape::Numbers { words, max } = self.shape else {
            return format!("`{word}` is no value of `{}`", self.name);
        };
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        match (parse_number(first.trim()), parse_number(last.trim())) {
            (Some(first), Some(last)) if first > last => {
                format!("the range `{word}` runs backwards")
            }
            (Some(_), Some(_)) => format!("`{word}` is beyond the last `{}`, {max}", self.name),
            _ => match nearest(word, words.iter().map(|(name, _)| *name)) {
                Some(near) => {
                    format!(
                        "`{word}` is no value of `{}`, which has `{near}`",
                        self.name
                    )
                }
                None => format!(
                    "`{word}` is no value of `{}`: neither a number nor one of its words",
                    self.name
                ),
            },
        }
    }

    /// Whether the key is written `true` or `false`.
    pub(crate) fn is_flag(&self) -> bool {
        matches!(self.shape, Shape::Permits | Shape::Restricts)
    }
}

/// What an address or a message has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    Text(Vec<u8>),
    Frame(FrameId),
    Pair(CanId, CanId),
    /// All there are at once, such as every interface; as a number where it has one. Covered only by what
    /// covers everything (or that number), touched by each.
    Every(Option<u64>),
    /// A range, all of which must be covered.
    Range(u64, u64),
    /// Several numbers (or none), all of which must be covered.
    Each(Vec<u64>),
    /// What has several names, the usual one first: a rule may write any of them.
    Named(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) | Value::Every(Some(number)) => write!(f, "{number}"),
            Value::Text(text) => crate::address::write_bytes(f, text),
            Value::Frame(frame) => frame.fmt(f),
            Value::Pair(rx, tx) => Pair { rx: *rx, tx: *tx }.fmt(f),
            Value::Every(None) => f.write_str("*"),
            Value::Range(first, last) => write!(f, "{first}-{last}"),
            Value::Each(numbers) => {
                let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
                f.write_str(&words.join(","))
            }
            Value::Named(names) => f.write_str(names.first().map_or("", String::as_str)),
        }
    }
}

/// What a rule says under one key.
#[derive(Clone, Debug)]
pub(crate) struct KeyPattern {
    pub(crate) key: &'static Key,
    /// The rule does not write the key; this is what that means.
    unwritten: bool,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Names(Vec<NamePattern>),
    Numbers(Vec<RangeInclusive<u64>>),
    Frames(FrameIds),
    Pairs(Vec<Pair>),
}

impl KeyPattern {
    /// What an allow rule says that does not write the key, if that is not "any".
    pub(crate) fn unwritten(key: &'static Key) -> Option<KeyPattern> {
        key.unwritten.map(|ranges| KeyPattern {
            key,
            unwritten: true,
            matcher: Matcher::Numbers(ranges.iter().map(|(first, last)| *first..=*last).collect()),
        })
    }

    pub(crate) fn is_unwritten(&self) -> bool {
        self.unwritten
    }

    /// A key that an allow rule writes `true` or `false`.
    pub(crate) fn flag(key: &'static Key, value: bool) -> KeyPattern {
        KeyPattern::of_flag(
            key,
            match (key.shape, value) {
                (Shape::Permits, false) => 0..=0,
                (Shape::Restricts, true) => 1..=1,
                _ => 0..=1,
            },
        )
    }

    /// A key that a deny rule writes `true` or `false`: it is about messages that have this, or have not.
    pub(crate) fn denied_flag(key: &'static Key, value: bool) -> KeyPattern {
        let number = u64::from(value);
        KeyPattern::of_flag(key, number..=number)
    }

    fn of_flag(key: &'static Key, numbers: RangeInclusive<u64>) -> KeyPattern {
        KeyPattern {
            key,
            unwritten: false,
            matcher: Matcher::Numbers(vec![numbers]),
        }
    }

    /// Reads a list of words; what is wrong with one goes to the faults.
    pub(crate) fn read(key: &'static Key, list: &Listing, faults: &mut Vec<Fault>) -> KeyPattern {
        let help = || format!("write `{} = {}`", key.name, key.example);
        let each = |faults: &mut Vec<Fault>, read: &dyn Fn(&str) -> Result<(), String>| {
            for item in &list.items {
                if let Err(message) = read(&item.value) {
                    faults.push(Fault::new(item.at.clone(), message, help()));
                }
            }
        };
        let wrong = |word: &str| key.wrong(word);
        let mut names = Vec::new();
        let mut numbers = Vec::new();
        let mut frames = FrameIds::default();
        let mut pairs = Vec::new();
        let matcher = match key.shape {
            Shape::Names => {
                for item in &list.items {
                    // No such name is a path, so that this is every name.
                    let pattern = match item.value.as_str() {
                        "*" => "**",
                        pattern => pattern,
                    };
                    match NamePattern::parse(pattern) {
                        Ok(name) => names.push(name),
                        Err(problem) => faults.push(Fault::new(
                            item.at.clone(),
                            format!("`{}` {problem}", item.value),
                            help(),
                        )),
                    }
                }
                Matcher::Names(names)
            }
            Shape::Numbers { words, max } => {
                let read = std::cell::RefCell::new(&mut numbers);
                each(faults, &|word| {
                    let range = parse_range(word, words, max).ok_or_else(|| wrong(word))?;
                    read.borrow_mut().push(range);
                    Ok(())
                });
                Matcher::Numbers(numbers)
            }
            Shape::Devices => {
                let read = std::cell::RefCell::new(&mut numbers);
                each(faults, &|word| {
                    let range = parse_device(word).ok_or_else(|| wrong(word))?;
                    read.borrow_mut().push(range);
                    Ok(())
                });
                Matcher::Numbers(numbers)
            }
            Shape::FrameIds => {
                let read = std::cell::RefCell::new(&mut frames);
                each(faults, &|word| read.borrow_mut().add(word));
                Matcher::Frames(frames)
            }
            Shape::Pairs => {
                let read = std::cell::RefCell::new(&mut pairs);
                each(faults, &|word| {
                    read.borrow_mut().push(Pair::parse(word)?);
                    Ok(())
                });
                Matcher::Pairs(pairs)
            }
            // The reader takes no list for a flag.
            Shape::Permits | Shape::Restricts => Matcher::Numbers(numbers),
        };
        KeyPattern {
            key,
            unwritten: false,
            matcher,
        }
    }

    /// The lowest number that the pattern covers; none where it is about no numbers.
    pub(crate) fn lowest(&self) -> Option<u64> {
        match &self.matcher {
            Matcher::Numbers(ranges) => ranges.iter().map(|range| *range.start()).min(),
            _ => None,
        }
    }

    /// Whether every name that the pattern covers begins with one of the texts.
    pub(crate) fn names_begin_with(&self, texts: &[&str]) -> bool {
        match &self.matcher {
            Matcher::Names(names) => names
                .iter()
                .all(|name| texts.iter().any(|text| name.begins_with(text))),
            _ => false,
        }
    }

    /// Whether the pattern covers every value.
    pub(crate) fn is_any(&self) -> bool {
        match &self.matcher {
            Matcher::Names(names) => names.iter().any(NamePattern::is_everything),
            Matcher::Numbers(ranges) => match self.key.shape {
                Shape::Numbers { max, .. } => ranges.contains(&(0..=max)),
                _ => ranges.contains(&(0..=DEVICES)),
            },
            Matcher::Frames(_) | Matcher::Pairs(_) => false,
        }
    }

    /// Whether this covers every value that `narrow`, of the same key, covers, as far as that is plain.
    pub(crate) fn holds(&self, narrow: &KeyPattern) -> bool {
        let every = self.key.every.map(|number| Value::Every(Some(number)));
        let covers_every = |pattern: &KeyPattern| {
            every
                .as_ref()
                .is_some_and(|every| pattern.covers(every, Side::Peer))
        };
        if covers_every(narrow) && !covers_every(self) {
            return false;
        }
        match (&self.matcher, &narrow.matcher) {
            (Matcher::Names(wide), Matcher::Names(narrow)) => narrow
                .iter()
                .all(|narrow| wide.iter().any(|wide| wide.holds(narrow))),
            (Matcher::Numbers(wide), Matcher::Numbers(narrow)) => narrow.iter().all(|narrow| {
                wide.iter()
                    .any(|wide| wide.start() <= narrow.start() && narrow.end() <= wide.end())
            }),
            (Matcher::Frames(wide), Matcher::Frames(narrow)) => wide.holds(narrow),
            (Matcher::Pairs(wide), Matcher::Pairs(narrow)) => {
                narrow.iter().all(|pair| wide.contains(pair))
            }
            _ => false,
        }
    }

    /// Whether an allow rule covers the value.
    pub(crate) fn covers(&self, value: &Value, side: Side) -> bool {
        match (&self.matcher, value) {
            (Matcher::Names(names), Value::Text(text)) => {
                names.iter().any(|name| name.matches(text))
            }
            (Matcher::Names(names), Value::Named(aliases)) => aliases
                .iter()
                .any(|alias| names.iter().any(|name| name.matches(alias.as_bytes()))),
            (Matcher::Numbers(ranges), Value::Each(numbers)) => numbers
                .iter()
                .all(|number| ranges.iter().any(|range| range.contains(number))),
            // A range that happens to hold its number does not mean all there are.
            (Matcher::Numbers(ranges), Value::Every(Some(number))) => {
                self.is_any() || ranges.contains(&(*number..=*number))
            }
            (Matcher::Numbers(ranges), Value::Number(number)) => {
                let holds = |number: &u64| ranges.iter().any(|range| range.contains(number));
                let chosen = self.key.chosen.filter(|_| side == Side::LocalChosen);
                holds(number) || chosen.is_some_and(|chosen| holds(&chosen))
            }
            (Matcher::Numbers(ranges), Value::Range(first, last)) => ranges
                .iter()
                .any(|range| range.contains(first) && range.contains(last)),
            (Matcher::Frames(frames), Value::Frame(frame)) => frames.covers(*frame),
            (Matcher::Pairs(pairs), Value::Pair(rx, tx)) => {
                pairs.iter().any(|pair| pair.matches(*rx, *tx))
            }
            (_, Value::Every(_)) => {
                self.is_any() || (self.key.open_when_bound && side != Side::Peer)
            }
            _ => false,
        }
    }

    /// Whether a deny rule touches the value.
    pub(crate) fn touches(&self, value: &Value) -> bool {
        match (&self.matcher, value) {
            (_, Value::Every(_)) => true,
            // A guest may write it backwards.
            (Matcher::Numbers(ranges), Value::Range(one, other)) => ranges
                .iter()
                .any(|range| range.start() <= one.max(other) && one.min(other) <= range.end()),
            (Matcher::Numbers(ranges), Value::Each(numbers)) => numbers
                .iter()
                .any(|number| ranges.iter().any(|range| range.contains(number))),
            _ => self.covers(value, Side::Peer),
        }
    }
}

/// The last Bluetooth device address as a number.
const DEVICES: u64 = (1 << 48) - 1;

/// A number as people write it, decimal or with `0x`.
pub(crate) fn parse_number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x").or(word.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
        None => None,
    }
}

fn parse_range(word: &str, words: &[(&str, u64)], max: u64) -> Option<RangeInclusive<u64>> {
    if word == "*" {
        return Some(0..=max);
    }
    if let Some((_, number)) = words.iter().find(|(known, _)| *known == word) {
        return Some(*number..=*number);
    }
    if word == "all" {
        return Some(0..=max);
    }
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (parse_number(first.trim())?, parse_number(last.trim())?);
    (first <= last && last <= max).then_some(first..=last)
}

/// A device address as a number, its octets in the order they are written.
pub(crate) fn device_number(device: [u8; 6]) -> u64 {
    device
        .iter()
        .fold(0, |number, octet| number << 8 | u64::from(*octet))
}

/// A device address as rules write it: `AA:BB:CC:DD:EE:FF`, `any`.
pub(crate) fn device_word(device: [u8; 6]) -> String {
    if device == [0; 6] {
        return "any".to_owned();
    }
    device.map(|octet| format!("{octet:02X}")).join(":")
}

fn device_of(number: u64) -> [u8; 6] {
    let [_, _, device @ ..] = number.to_be_bytes();
    device
}

fn parse_device(word: &str) -> Option<RangeInclusive<u64>> {
    match word {
        "*" => return Some(0..=DEVICES),
        "any" => return Some(0..=0),
        _ => {}
    }
    let octets: Vec<u8> = word
        .split(':')
        .map(|octet| match octet.len() {
            2 => u8::from_str_radix(octet, 16).ok(),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let number = device_number(octets.try_into().ok()?);
    Some(number..=number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::kinds;
    use crate::family::{Content, group_of};

    #[test]
    fn keys_about_messages_are_of_sockets_whose_messages_are_looked_at() {
        let mut seen = 0;
        let numbers = (0..=u32::from(u8::MAX)).chain([u32::MAX]);
        for kind in kinds(&[]).flat_map(|kind| {
            numbers
                .clone()
                .map(move |protocol| Kind { protocol, ..kind })
        }) {
            let keys = group_of(kind).map_or(&[][..], |group| group.keys);
            for key in keys
                .iter()
                .filter(|key| key.about == About::Message && key.is_of(kind))
            {
                assert!(Content::head(kind).is_some(), "{} of {kind}", key.name);
                seen += 1;
            }
        }
        assert!(seen > 0);
    }
}
