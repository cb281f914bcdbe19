//! QRTR: the processors of a Qualcomm device.

use std::fmt;

use super::{Direction, Given, Group, Inspector, Key, Part, Parts, Shape, Value};
use crate::address::Address;
use crate::kind::{Family, Kind};

/// sockaddr_qrtr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QipcrtrAddress {
    /// The node: a processor of the device.
    pub node: u32,
    /// The port on it; 0xfffffffe is the control port.
    pub port: u32,
}

impl fmt::Display for QipcrtrAddress {
    /// `node 1 port 16385`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} port {}", self.node, self.port)
    }
}

/// QRTR_NODE_BCAST: every node.
const BROADCAST: u32 = u32::MAX;

/// enum qrtr_pkt_type of linux/qrtr.h: the first word of a message to a control port.
const COMMANDS: &[(&str, u64)] = &[
    ("hello", 2),
    ("bye", 3),
    ("new-server", 4),
    ("del-server", 5),
    ("del-client", 6),
    ("resume-tx", 7),
    ("exit", 8),
    ("ping", 9),
    ("new-lookup", 10),
    ("del-lookup", 11),
];

/// Reads the command of a message, which is one only on its way to a control port: a rule that writes
/// `control` is one for such ports.
static COMMANDS_READER: Inspector = Inspector {
    head: 4,
    read: command,
};

fn command(_: Kind, _: Direction, bytes: &[u8]) -> Parts {
    match bytes.first_chunk::<4>() {
        Some(word) => Parts::One(Part::new([(
            "control",
            Value::Number(u64::from(u32::from_le_bytes(*word))),
        )])),
        // No control port takes such a message, qrtr_sendmsg.
        None => Parts::Many(Vec::new()),
    }
}

pub(crate) static GROUP: Group = Group {
    families: &[Family::Qipcrtr],
    address: from_keys,
    raw_only: false,
    keys: &[
        Key::address(
            "node",
            Shape::Numbers {
                words: &[("broadcast", BROADCAST as u64)],
                max: u32::MAX as u64,
            },
            "[1]",
        )
        .every(BROADCAST as u64),
        Key::address(
            "port",
            Shape::Numbers {
                words: &[("control", 0xffff_fffe)],
                max: u32::MAX as u64,
            },
            "[\"control\"]",
        )
        .chosen(0),
        Key::message(
            "control",
            Shape::Numbers {
                words: COMMANDS,
                max: u32::MAX as u64,
            },
            "[\"new-server\", \"new-lookup\"]",
        ),
    ],
    one_place: false,
    naming: &["node"],
    value,
    inspector: |_| Some(&COMMANDS_READER),
};

fn from_keys(_: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    Ok(Address::Qipcrtr(QipcrtrAddress {
        node: given.number("node").ok_or("node")?,
        port: given.number("port").ok_or("port")?,
    }))
}

fn value(address: &Address, key: &str) -> Option<Value> {
    let Address::Qipcrtr(qipcrtr) = address else {
        return None;
    };
    match key {
        "node" if qipcrtr.node == BROADCAST => Some(Value::Every(Some(u64::from(BROADCAST)))),
        "node" => Some(Value::Number(u64::from(qipcrtr.node))),
        "port" => Some(Value::Number(u64::from(qipcrtr.port))),
        _ => None,
    }
}
