//! CAN: raw frames, the broadcast manager, ISO-TP and J1939, Documentation/networking/can.rst.

mod message;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

pub use message::{BroadcastJob, JobChange};

use super::{Given, Group, Inspector, Key, Shape, Value, interface_or_any, interface_value};
use crate::address::Address;
use crate::facts::SocketFacts;
use crate::kind::{Family, Kind};

/// sockaddr_can: where on the buses, and for ISO-TP and J1939 which ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanAddress {
    /// The interface by name; `None` is every CAN interface.
    pub interface: Option<String>,
    /// What follows the interface.
    pub endpoint: CanEndpoint,
}

/// What follows the interface in a sockaddr_can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CanEndpoint {
    /// CAN_RAW and CAN_BCM: nothing.
    Bus,
    /// CAN_ISOTP: the ids of the frames that are received and sent.
    IsoTp {
        /// The id of the frames that are received.
        rx: CanId,
        /// The id of the frames that are sent.
        tx: CanId,
    },
    /// CAN_J1939; `None` is any, or not used.
    J1939 {
        /// The 64-bit NAME of a control function.
        name: Option<u64>,
        /// Parameter group number, 18 bits.
        pgn: Option<u32>,
        /// The address on the bus, 0 to 253.
        address: Option<u8>,
    },
}

/// A CAN identifier with its frame format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CanId {
    /// 11 bits.
    Standard(u16),
    /// 29 bits.
    Extended(u32),
}

impl fmt::Display for CanId {
    /// As candump(1) prints them: three hexadecimal digits, or eight.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CanId::Standard(id) => write!(f, "{id:03X}"),
            CanId::Extended(id) => write!(f, "{id:08X}"),
        }
    }
}

impl fmt::Display for CanAddress {
    /// `can0`, `can0 rx 7E8 tx 7E0`, `can0 pgn 0x0FECA address 0x20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        interface_or_any(f, self.interface.as_deref())?;
        match self.endpoint {
            CanEndpoint::Bus => Ok(()),
            CanEndpoint::IsoTp { rx, tx } => write!(f, " rx {rx} tx {tx}"),
            CanEndpoint::J1939 { name, pgn, address } => {
                if let Some(pgn) = pgn {
                    write!(f, " pgn 0x{pgn:05X}")?;
                }
                if let Some(address) = address {
                    write!(f, " address 0x{address:02X}")?;
                }
                match name {
                    Some(name) => write!(f, " name 0x{name:016X}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The id of one frame, with what kind of frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameId {
    pub(crate) kind: FrameKind,
    /// 11 bits, or 29 where `extended`; the error class of an error frame.
    pub(crate) id: u32,
    pub(crate) extended: bool,
}

/// Kinds of frames that ids are granted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Data,
    Remote,
    Error,
}

/// CAN_EFF_FLAG, CAN_RTR_FLAG, CAN_ERR_FLAG, linux/can.h.
const EXTENDED: u32 = 0x8000_0000;
const REMOTE: u32 = 0x4000_0000;
const ERROR: u32 = 0x2000_0000;
/// CAN_SFF_MASK, CAN_EFF_MASK.
const STANDARD_IDS: u32 = 0x7ff;
const EXTENDED_IDS: u32 = 0x1fff_ffff;

impl FrameId {
    /// The `can_id` of a frame. Bits that do not belong to its format do not make it another id: the
    /// kernel looks at them as they are, so an id with such bits is granted to nobody. An error frame has
    /// no format.
    pub(crate) fn of(can_id: u32) -> Option<FrameId> {
        let extended = can_id & EXTENDED != 0;
        let kind = match (can_id & ERROR != 0, can_id & REMOTE != 0) {
            (true, false) if !extended => FrameKind::Error,
            (true, _) => return None,
            (false, true) => FrameKind::Remote,
            (false, false) => FrameKind::Data,
        };
        let id = can_id & EXTENDED_IDS;
        if !extended && kind != FrameKind::Error && id > STANDARD_IDS {
            return None;
        }
        Some(FrameId { kind, id, extended })
    }
}

impl FrameId {
    /// One id as [`Display`](fmt::Display) writes it.
    pub(crate) fn parse(word: &str) -> Option<FrameId> {
        let (kind, rest) = match word.split_once(':') {
            Some(("rtr", rest)) => (FrameKind::Remote, rest),
            Some(("err", rest)) => (FrameKind::Error, rest),
            _ => (FrameKind::Data, word),
        };
        let (extended, digits) = match rest.strip_prefix("ext:") {
            Some(digits) => (true, digits),
            None => (false, rest),
        };
        let id = super::key::parse_number(digits)?.try_into().ok()?;
        let all = match (kind, extended) {
            (FrameKind::Error, true) => return None,
            (FrameKind::Error, false) | (_, true) => EXTENDED_IDS,
            (_, false) => STANDARD_IDS,
        };
        (id <= all).then_some(FrameId { kind, id, extended })
    }
}

impl fmt::Display for FrameId {
    /// As a rule writes it: `0x123`, `ext:0x18DAF110`, `rtr:0x123`, `rtr:ext:0x18DAF110`, `err:0x4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FrameKind::Data => {}
            FrameKind::Remote => f.write_str("rtr:")?,
            FrameKind::Error => return write!(f, "err:0x{:X}", self.id),
        }
        if self.extended {
            return write!(f, "ext:0x{:08X}", self.id);
        }
        write!(f, "0x{:03X}", self.id)
    }
}

/// The ids that a rule names: the frame's kind and format must be the pattern's, and its id equal under the
/// mask.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameIds(Vec<(FrameId, u32)>);

impl FrameIds {
    /// Reads `0x123`, `0x100/0x700`, `0x100-0x1ff`, `*`, with the prefixes `ext:`, `rtr:`, `rtr:ext:` and `err:`.
    pub(crate) fn add(&mut self, word: &str) -> Result<(), String> {
        let mut rest = word;
        let mut kind = FrameKind::Data;
        let mut extended = false;
        if let Some(behind) = rest.strip_prefix("rtr:") {
            (kind, rest) = (FrameKind::Remote, behind);
        } else if let Some(behind) = rest.strip_prefix("err:") {
            (kind, rest) = (FrameKind::Error, behind);
        }
        if kind != FrameKind::Error
            && let Some(behind) = rest.strip_prefix("ext:")
        {
            (extended, rest) = (true, behind);
        }
        let all = if extended || kind == FrameKind::Error {
            EXTENDED_IDS
        } else {
            STANDARD_IDS
        };
        let number = |text: &str| {
            let number = super::key::parse_number(text).and_then(|id| u32::try_from(id).ok());
            match number {
                Some(number) if number <= all => Ok(number),
                Some(number) if number <= EXTENDED_IDS => Err(format!(
                    "`{word}` is no CAN id of 11 bits; those of 29 bits begin with `ext:`"
                )),
                Some(_) => Err(format!("`{word}` is beyond the last CAN id, 0x{all:X}")),
                None => Err(format!(
                    "`{word}` is no CAN id: a number, with `ext:`, `rtr:` or `err:` before it"
                )),
            }
        };
        let mut push = |id, mask| self.0.push((FrameId { kind, id, extended }, mask));
        if rest == "*" {
            push(0, 0);
        } else if let Some((id, mask)) = rest.split_once('/') {
            let (id, mask) = (number(id)?, number(mask)?);
            if id & !mask != 0 {
                return Err(format!(
                    "`{word}` has bits set outside its mask: it would never match (0x{:X}/0x{mask:X} would)",
                    id & mask
                ));
            }
            push(id, mask);
        } else if let Some((first, last)) = rest.split_once('-') {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("the range `{word}` runs backwards"));
            }
            for (id, mask) in blocks(first, last, all) {
                push(id, mask);
            }
        } else {
            push(number(rest)?, all);
        }
        Ok(())
    }

    pub(crate) fn covers(&self, frame: FrameId) -> bool {
        self.0.iter().any(|(pattern, mask)| {
            pattern.kind == frame.kind
                && pattern.extended == frame.extended
                && frame.id & mask == pattern.id
        })
    }

    /// Whether each pattern of `narrow` lies within one of these.
    pub(crate) fn holds(&self, narrow: &FrameIds) -> bool {
        narrow.0.iter().all(|(narrow, narrow_mask)| {
            self.0.iter().any(|(wide, mask)| {
                (wide.kind, wide.extended) == (narrow.kind, narrow.extended)
                    && mask & narrow_mask == *mask
                    && narrow.id & mask == wide.id
            })
        })
    }
}

/// The aligned blocks (id and mask) that make up a range.
fn blocks(first: u32, last: u32, all: u32) -> Vec<(u32, u32)> {
    let mut blocks = Vec::new();
    let mut at = first;
    loop {
        let mut size = 1;
        while at.is_multiple_of(size * 2) && at + (size * 2 - 1) <= last {
            size *= 2;
        }
        blocks.push((at, all & !(size - 1)));
        if at + (size - 1) >= last {
            return blocks;
        }
        at += size;
    }
}

/// The ids of an ISO-TP channel that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) rx: CanId,
    pub(crate) tx: CanId,
}

impl Pair {
    /// Reads `0x7E8:0x7E0` (receive, transmit); an id above 11 bits, or one with `ext:`, is an extended one.
    pub(crate) fn parse(word: &str) -> Result<Pair, String> {
        let (rx, tx) = split_pair(word)
            .ok_or_else(|| format!("`{word}` is no pair of ids, like `0x7E8:0x7E0`"))?;
        Ok(Pair {
            rx: parse_id(rx)?,
            tx: parse_id(tx)?,
        })
    }

    pub(crate) fn matches(&self, rx: CanId, tx: CanId) -> bool {
        self.rx == rx && self.tx == tx
    }
}

/// Divides at the colon that is none of a prefix `ext:`.
fn split_pair(word: &str) -> Option<(&str, &str)> {
    let from = if word.starts_with("ext:") { 4 } else { 0 };
    let colon = from + word[from..].find(':')?;
    Some((&word[..colon], &word[colon + 1..]))
}

fn parse_id(word: &str) -> Result<CanId, String> {
    let (extended, digits) = match word.strip_prefix("ext:") {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    let wrong = || format!("`{word}` is no CAN id");
    let id = super::key::parse_number(digits).ok_or_else(wrong)?;
    let id = u32::try_from(id)
        .ok()
        .filter(|id| *id <= EXTENDED_IDS)
        .ok_or_else(wrong)?;
    match u16::try_from(id) {
        Ok(short) if !extended && id <= STANDARD_IDS => Ok(CanId::Standard(short)),
        _ => Ok(CanId::Extended(id)),
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (lead, id) in [("", self.rx), (":", self.tx)] {
            match id {
                CanId::Standard(id) => write!(f, "{lead}0x{id:03X}")?,
                CanId::Extended(id) => write!(f, "{lead}ext:0x{id:08X}")?,
            }
        }
        Ok(())
    }
}

/// CAN_RAW, CAN_BCM, CAN_ISOTP, CAN_J1939.
pub(crate) const RAW: u32 = 1;
pub(crate) const BCM: u32 = 2;
pub(crate) const ISOTP: u32 = 6;
pub(crate) const J1939: u32 = 7;

/// J1939_NO_ADDR, linux/can/j1939.h: everybody.
const J1939_NO_ADDRESS: u64 = 0xff;

/// The operations of a broadcast manager, linux/can/bcm.h.
const BCM_OPERATIONS: &[(&str, u64)] = &[
    ("tx-setup", 1),
    ("tx-delete", 2),
    ("tx-read", 3),
    ("tx-send", 4),
    ("rx-setup", 5),
    ("rx-delete", 6),
    ("rx-read", 7),
];

pub(crate) static GROUP: Group = Group {
    families: &[Family::Can],
    address: from_keys,
    raw_only: false,
    keys: &[
        Key::address("interface", Shape::Names, "[\"can0\"]"),
        Key::message("can-id", Shape::FrameIds, "[\"0x100/0x700\"]").of(&[RAW, BCM]),
        Key::message("fd", Shape::Permits, "true").of(&[RAW, BCM]),
        Key::message("xl", Shape::Permits, "true").of(&[RAW, BCM]),
        Key::message(
            "bcm-ops",
            Shape::Numbers {
                words: BCM_OPERATIONS,
                max: 255,
            },
            "[\"tx-setup\"]",
        )
        .of(&[BCM]),
        Key::address(
            "isotp",
            Shape::Pairs,
            "[{ rx = \"0x7E8\", tx = \"0x7E0\" }]",
        )
        .of(&[ISOTP]),
        Key::address(
            "pgn",
            Shape::Numbers {
                words: &[],
                max: 0x3_ffff,
            },
            "[\"0xFECA\"]",
        )
        .of(&[J1939])
        .open_when_bound(),
        Key::address(
            "j1939-address",
            Shape::Numbers {
                words: &[("broadcast", J1939_NO_ADDRESS)],
                max: J1939_NO_ADDRESS,
            },
            "[\"0x20\"]",
        )
        .of(&[J1939])
        .every(J1939_NO_ADDRESS),
        Key::address(
            "j1939-name",
            Shape::Numbers {
                words: &[],
                max: u64::MAX,
            },
            "[\"0x0123456789abcdef\"]",
        )
        .of(&[J1939]),
    ],
    one_place: true,
    naming: &["interface"],
    value,
    inspector,
};

fn from_keys(kind: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    let endpoint = match kind.protocol {
        ISOTP => {
            let (rx, tx) = given.pair("isotp").ok_or("isotp")?;
            CanEndpoint::IsoTp { rx, tx }
        }
        J1939 => CanEndpoint::J1939 {
            name: given.wide("j1939-name"),
            pgn: given.number("pgn"),
            address: given.small("j1939-address"),
        },
        _ => CanEndpoint::Bus,
    };
    Ok(Address::Can(CanAddress {
        interface: given.text("interface"),
        endpoint,
    }))
}

fn value(address: &Address, key: &str) -> Option<Value> {
    let Address::Can(can) = address else {
        return None;
    };
    let number = |number: Option<u64>| number.map_or(Value::Every(None), Value::Number);
    match (key, can.endpoint) {
        ("interface", _) => Some(interface_value(can.interface.as_deref())),
        ("isotp", CanEndpoint::IsoTp { rx, tx }) => Some(Value::Pair(rx, tx)),
        ("pgn", CanEndpoint::J1939 { pgn, .. }) => Some(number(pgn.map(u64::from))),
        // Without a name either, it is everybody's: a broadcast, or a socket that has no address of its own.
        ("j1939-address", CanEndpoint::J1939 { name, address, .. }) => {
            Some(match (address, name) {
                (Some(address), _) => Value::Number(address.into()),
                (None, None) => Value::Every(Some(J1939_NO_ADDRESS)),
                (None, Some(_)) => Value::Every(None),
            })
        }
        ("j1939-name", CanEndpoint::J1939 { name, .. }) => Some(number(name)),
        _ => None,
    }
}

fn inspector(kind: Kind) -> Option<&'static Inspector> {
    match kind.protocol {
        RAW => Some(&message::FRAMES),
        BCM => Some(&message::JOBS),
        _ => None,
    }
}

/// Where a message really goes that is sent with a name. A broadcast manager of one interface and an ISO-TP
/// channel do not look at the name.
pub(super) fn destination<'a>(s: &'a SocketFacts, named: &'a Address) -> &'a Address {
    let own = match s.kind.protocol {
        BCM => s.peer.as_ref().filter(|peer| !is_any_interface(peer)),
        ISOTP => s.local.as_ref(),
        _ => None,
    };
    own.unwrap_or(named)
}

/// Where a message goes that is sent without a name, on a socket without a peer: where it is bound. From a
/// J1939 node it is a broadcast of no parameter group in particular.
pub(super) fn unnamed_destination(s: &SocketFacts) -> Option<Address> {
    let Some(Address::Can(local)) = &s.local else {
        return None;
    };
    let endpoint = match local.endpoint {
        CanEndpoint::J1939 { .. } => CanEndpoint::J1939 {
            name: None,
            pgn: None,
            address: None,
        },
        endpoint => endpoint,
    };
    Some(Address::Can(CanAddress {
        interface: local.interface.clone(),
        endpoint,
    }))
}

/// Whose a message is. ISO-TP's say only from which interface they are, and some of a broadcast manager's
/// not even that: they are of the one channel or interface that the socket has. So are J1939's that came in
/// several frames: the kernel names their sender without its interface.
pub(super) fn sender<'a>(s: &'a SocketFacts, named: &'a Address) -> Cow<'a, Address> {
    if let (J1939, Address::Can(can), Some(Address::Can(local))) =
        (s.kind.protocol, named, &s.local)
        && can.interface.is_none()
    {
        return Cow::Owned(Address::Can(CanAddress {
            interface: local.interface.clone(),
            endpoint: can.endpoint,
        }));
    }
    let own = match s.kind.protocol {
        BCM if is_any_interface(named) => s.peer.as_ref(),
        ISOTP => s.local.as_ref(),
        _ => None,
    };
    Cow::Borrowed(own.unwrap_or(named))
}

fn is_any_interface(address: &Address) -> bool {
    matches!(address, Address::Can(can) if can.interface.is_none())
}
