//! vsock: virtual machines and their host, vsock(7).

use std::fmt;

use super::{Given, Group, Key, Shape, Value, uninspected};
use crate::address::Address;
use crate::kind::{Family, Kind};

/// VMADDR_CID_ANY and VMADDR_PORT_ANY.
pub const VSOCK_ANY: u32 = u32::MAX;

/// sockaddr_vm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VsockAddress {
    /// The context: 0 the hypervisor, 1 this machine, 2 the host, [`VSOCK_ANY`] any.
    pub cid: u32,
    /// The port; [`VSOCK_ANY`] in bind lets the kernel choose.
    pub port: u32,
    /// VMADDR_FLAG_*.
    pub flags: u8,
}

impl fmt::Display for VsockAddress {
    /// `cid 2 port 1234`, `cid any port any`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = |word: &str, number: u32| match number {
            VSOCK_ANY => write!(f, "{word} any"),
            number => write!(f, "{word} {number}"),
        };
        number("cid", self.cid)?;
        number(" port", self.port)
    }
}

const ANY: u64 = VSOCK_ANY as u64;

/// Words for contexts.
const CIDS: &[(&str, u64)] = &[("hypervisor", 0), ("local", 1), ("host", 2), ("any", ANY)];

pub(crate) static GROUP: Group = Group {
    families: &[Family::Vsock],
    address: from_keys,
    raw_only: false,
    keys: &[
        Key::address(
            "cid",
            Shape::Numbers {
                words: CIDS,
                max: ANY,
            },
            "[\"host\"]",
        )
        .every(ANY),
        Key::address(
            "port",
            Shape::Numbers {
                words: &[("any", ANY)],
                max: ANY,
            },
            "[\"1024-65535\"]",
        )
        .chosen(ANY)
        .every(ANY),
    ],
    one_place: false,
    naming: &["cid"],
    value,
    inspector: uninspected,
};

fn from_keys(_: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    Ok(Address::Vsock(VsockAddress {
        cid: given.number("cid").ok_or("cid")?,
        port: given.number("port").ok_or("port")?,
        flags: 0,
    }))
}

fn value(address: &Address, key: &str) -> Option<Value> {
    let Address::Vsock(vsock) = address else {
        return None;
    };
    let number = |number: u32| match number {
        VSOCK_ANY => Value::Every(Some(ANY)),
        number => Value::Number(u64::from(number)),
    };
    match key {
        "cid" => Some(number(vsock.cid)),
        "port" => Some(number(vsock.port)),
        _ => None,
    }
}
