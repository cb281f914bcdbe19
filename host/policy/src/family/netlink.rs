//! netlink: talking with the kernel's own subsystems, netlink(7).

use std::fmt;

use super::{Given, Group, Key, Shape, Value, uninspected};
use crate::address::Address;
use crate::kind::{Family, Kind};

/// sockaddr_nl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetlinkAddress {
    /// Port id; 0 is the kernel, and in bind: the kernel chooses one.
    pub pid: u32,
    /// Multicast groups 1 to 32 as a mask.
    pub groups: u32,
}

impl fmt::Display for NetlinkAddress {
    /// `kernel`, `port 1234`, `kernel groups 0x1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => f.write_str("kernel")?,
            pid => write!(f, "port {pid}")?,
        }
        if self.groups == 0 {
            return Ok(());
        }
        write!(f, " groups 0x{:x}", self.groups)
    }
}

pub(crate) static GROUP: Group = Group {
    families: &[Family::Netlink],
    address: from_keys,
    raw_only: false,
    keys: &[Key::address(
        "pid",
        Shape::Numbers {
            words: &[("kernel", 0)],
            max: u32::MAX as u64,
        },
        "[\"kernel\"]",
    )],
    one_place: true,
    naming: &[],
    value,
    inspector: uninspected,
};

fn from_keys(_: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    Ok(Address::Netlink(NetlinkAddress {
        pid: given.number("pid").unwrap_or(0),
        groups: 0,
    }))
}

fn value(address: &Address, key: &str) -> Option<Value> {
    let Address::Netlink(netlink) = address else {
        return None;
    };
    match key {
        "pid" => Some(Value::Number(u64::from(netlink.pid))),
        _ => None,
    }
}
