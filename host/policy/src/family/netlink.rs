//! netlink: talking with the kernel's own subsystems, netlink(7).

mod names;

use std::fmt;

use super::{Direction, Given, Group, Inspector, Key, Part, Parts, Shape, Value, group_of};
use crate::address::Address;
use crate::facts::SocketFacts;
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

/// NETLINK_ROUTE, NETLINK_USERSOCK, NETLINK_SOCK_DIAG, NETLINK_GENERIC.
const ROUTE: u32 = 0;
const USERSOCK: u32 = 2;
const SOCK_DIAG: u32 = 4;
const GENERIC: u32 = 16;

/// MAX_LINKS is 32; all but USERSOCK, on which programs say among themselves what they like.
const WITH_MESSAGES: &[u32] = &[
    0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31,
];

pub(crate) static GROUP: Group = Group {
    families: &[Family::Netlink],
    address: from_keys,
    raw_only: false,
    keys: &[
        // The peer is the kernel, and the kernel chooses the socket's own number, unless the rule says
        // otherwise.
        Key::address(
            "pid",
            Shape::Numbers {
                words: &[("kernel", 0)],
                max: u32::MAX as u64,
            },
            "[\"kernel\"]",
        )
        .chosen(0)
        .unwritten(&[(0, 0)]),
        Key::address(
            "groups",
            Shape::Numbers {
                words: names::ROUTE_GROUPS,
                max: u32::MAX as u64,
            },
            "[\"link\"]",
        )
        .unwritten(&[]),
        Key::message("messages", Shape::Names, "[\"getlink\"]").of(WITH_MESSAGES),
        Key::message("dump-only", Shape::Restricts, "true").of(WITH_MESSAGES),
    ],
    one_place: true,
    naming: &[],
    value,
    inspector,
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
        "groups" => Some(Value::Each(
            (0..32)
                .filter(|bit| netlink.groups >> bit & 1 == 1)
                .map(|bit| bit + 1)
                .collect(),
        )),
        _ => None,
    }
}

fn inspector(kind: Kind) -> Option<&'static Inspector> {
    (kind.protocol != USERSOCK).then_some(&REQUESTS)
}

/// A granted request implies its replies, and a group its events: what is received is judged by its
/// sender alone.
static REQUESTS: Inspector = Inspector {
    head: 0,
    read: |kind, direction, bytes| match direction {
        Direction::Sent => read_messages(kind, bytes, &|_| None),
        Direction::Received => Parts::Many(Vec::new()),
    },
};

/// What a guest sends, with the names of generic netlink's families.
pub(crate) fn read_request(s: &SocketFacts, bytes: &[u8]) -> Option<Parts> {
    group_of(s.kind)?.inspector(s.kind)?;
    let family = |number| {
        s.generic_families
            .iter()
            .find(|(known, _)| *known == number)
            .map(|(_, name)| name.as_str())
    };
    Some(read_messages(s.kind, bytes, &family))
}

/// struct nlmsghdr, linux/netlink.h: length, type, flags, sequence number, port id.
const HEADER: usize = 16;
/// NLM_F_DUMP: both of its bits.
const DUMP: u16 = 0x300;

/// A datagram with more messages is nobody's: each is judged by itself, and takes memory until it is.
const MOST_MESSAGES: usize = 4096;

/// Every message of a datagram, as the kernel walks them (netlink_rcv_skb). Where it would stop or guess,
/// nothing is granted.
fn read_messages<'n>(kind: Kind, bytes: &[u8], family: &dyn Fn(u16) -> Option<&'n str>) -> Parts {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(header) = rest.first_chunk::<HEADER>() else {
            return Parts::Malformed("it ends within the header of a netlink message");
        };
        let [a, b, c, d, type_0, type_1, flags_0, flags_1, ..] = *header;
        if parts.len() == MOST_MESSAGES {
            return Parts::Malformed("it holds more netlink messages than are looked at");
        }
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        if length < HEADER || length > rest.len() {
            return Parts::Malformed("a netlink message in it has a length that is not its own");
        }
        let message = Message {
            number: u16::from_ne_bytes([type_0, type_1]),
            flags: u16::from_ne_bytes([flags_0, flags_1]),
            payload: &rest[HEADER..length],
        };
        let Some(names) = message.names(kind.protocol, family) else {
            return Parts::Malformed("a generic netlink message in it has no command");
        };
        let reads = u64::from(message.reads(kind.protocol));
        parts.push(Part::new([
            ("messages", Value::Named(names)),
            ("dump-only", Value::Number(reads)),
        ]));
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    if parts.is_empty() {
        return Parts::Malformed("it holds no netlink message");
    }
    Parts::Many(parts)
}

/// One message.
struct Message<'b> {
    number: u16,
    flags: u16,
    payload: &'b [u8],
}

impl Message<'_> {
    /// What a rule may call it, the usual name first. Messages of generic netlink are named by family and
    /// command.
    fn names<'n>(
        &self,
        protocol: u32,
        family: &dyn Fn(u16) -> Option<&'n str>,
    ) -> Option<Vec<String>> {
        let number = self.number.to_string();
        if protocol == GENERIC && self.number >= names::FIRST_MESSAGE {
            let command = self.payload.first()?;
            let by_number = format!("{number}:{command}");
            // The kernel calls it nlctrl, genl(8) ctrl.
            if self.number == names::CONTROLLER {
                let names = ["ctrl", "nlctrl"].map(|name| format!("{name}:{command}"));
                return Some(names.into_iter().chain([by_number]).collect());
            }
            let by_name = family(self.number).map(|name| format!("{name}:{command}"));
            return Some(by_name.into_iter().chain([by_number]).collect());
        }
        Some(match names::message(protocol, self.number) {
            Some(name) => vec![name.to_owned(), number],
            None => vec![number],
        })
    }

    /// Whether it only reads a table out: NLM_F_DUMP, on a message of a kind that can dump. rtnetlink
    /// numbers its messages in fours, the third of which gets.
    fn reads(&self, protocol: u32) -> bool {
        let gets = match protocol {
            ROUTE => self.number >= names::FIRST_MESSAGE && self.number & 3 == 2,
            SOCK_DIAG => self.number == names::DIAG_BY_FAMILY,
            GENERIC => self.number >= names::FIRST_MESSAGE,
            _ => false,
        };
        gets && self.flags & DUMP == DUMP
    }
}
