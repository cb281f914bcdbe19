//! QRTR: the processors of a Qualcomm device.

use std::fmt;

use super::{Given, Group, Key, Shape, Value, uninspected};
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

pub(crate) static GROUP: Group = Group {
    families: &[Family::Qipcrtr],
    address: from_keys,
    raw_only: false,
    keys: &[
        Key::address(
            "node",
            Shape::Numbers {
                words: &[("broadcast", u32::MAX as u64)],
                max: u32::MAX as u64,
            },
            "[1]",
        ),
        Key::address(
            "port",
            Shape::Numbers {
                words: &[("control", 0xffff_fffe)],
                max: u32::MAX as u64,
            },
            "[\"control\"]",
        )
        .chosen(0),
    ],
    one_place: false,
    naming: &["node"],
    value,
    inspector: uninspected,
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
        "node" => Some(Value::Number(u64::from(qipcrtr.node))),
        "port" => Some(Value::Number(u64::from(qipcrtr.port))),
        _ => None,
    }
}
