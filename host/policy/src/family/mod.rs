//! The families beyond inet and unix, a file each: the address as it is judged, the keys of a rule, and the
//! inspector of its messages.
//!
//! A family is one entry of [`GROUPS`]; a key is one row of its table.

mod alg;
mod bluetooth;
mod can;
mod content;
mod given;
mod key;
mod netlink;
mod packet;
mod qipcrtr;
mod raw;
mod tipc;
mod vsock;

use std::borrow::Cow;
use std::fmt;

pub(crate) use alg::ANCILLARY as ALG_ANCILLARY;
pub use alg::AlgAddress;
pub use bluetooth::{BluetoothAddress, BluetoothDevice};
pub use can::{BroadcastJob, CanAddress, CanEndpoint, CanId, JobChange};
pub use content::Content;
pub(crate) use content::{Inspector, Part, Parts};
pub(crate) use given::{Given, told};
pub(crate) use key::{About, Key, KeyPattern, Shape, Value};
pub use netlink::NetlinkAddress;
pub use packet::PacketAddress;
pub use qipcrtr::QipcrtrAddress;
pub use tipc::{TipcAddress, TipcEndpoint};
pub use vsock::{VSOCK_ANY, VsockAddress};

use crate::address::{Address, write_bytes};
use crate::facts::SocketFacts;
use crate::kind::{Family, Kind, SocketType};
use crate::model::Side;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Sent,
    Received,
}

/// Families that share their keys.
pub(crate) struct Group {
    pub(crate) families: &'static [Family],
    /// The address that values of the address keys name, for questions; else the key that it lacks.
    pub(crate) address: fn(Kind, &Given<'_>) -> Result<Address, &'static str>,
    /// Whether only raw sockets of the families have the keys.
    pub(crate) raw_only: bool,
    pub(crate) keys: &'static [Key],
    /// Whether the two ends of a socket are one place (a bus, an interface), so that a rule's keys at the
    /// top hold for both.
    pub(crate) one_place: bool,
    /// The keys of which a rule must write one that grants an operation on an address.
    pub(crate) naming: &'static [&'static str],
    /// The value of an address under a key; none where such an address has no such thing.
    pub(crate) value: fn(&Address, &str) -> Option<Value>,
    /// What looks at the messages of sockets of a protocol.
    inspector: fn(Kind) -> Option<&'static Inspector>,
}

impl Group {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(crate) fn inspector(&self, kind: Kind) -> Option<&'static Inspector> {
        (self.inspector)(kind)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({:?})", self.families)
    }
}

/// Every group of families with keys of their own.
pub(crate) static GROUPS: &[&Group] = &[
    &can::GROUP,
    &vsock::GROUP,
    &netlink::GROUP,
    &packet::GROUP,
    &raw::GROUP,
    &alg::GROUP,
    &tipc::GROUP,
    &bluetooth::GROUP,
    &qipcrtr::GROUP,
];

/// For groups without messages of their own to look at.
fn uninspected(_: Kind) -> Option<&'static Inspector> {
    None
}

/// The group whose keys sockets of the kind have.
pub(crate) fn group_of(kind: Kind) -> Option<&'static Group> {
    GROUPS.iter().copied().find(|group| {
        group.families.contains(&kind.family)
            && (!group.raw_only || kind.socket_type == SocketType::Raw)
    })
}

/// Every key that belongs to a family, for the reader.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|group| group.keys)
}

/// The groups of families that have a key of this name.
pub(crate) fn groups_with(key: &str) -> impl Iterator<Item = &'static Group> {
    GROUPS
        .iter()
        .copied()
        .filter(move |group| group.key(key).is_some())
}

/// What a rule says of a family's addresses and messages.
#[derive(Clone, Debug)]
pub(crate) struct FamilyPattern {
    pub(crate) group: &'static Group,
    pub(crate) keys: Vec<KeyPattern>,
}

impl FamilyPattern {
    /// Whether the rule names an address at all, as one that grants has to.
    pub(crate) fn names_address(&self) -> bool {
        self.keys
            .iter()
            .any(|pattern| self.group.naming.contains(&pattern.key.name))
    }

    /// Whether an allow rule covers the address.
    pub(crate) fn covers(&self, address: &Address, side: Side) -> bool {
        self.keys.iter().all(|pattern| {
            (self.group.value)(address, pattern.key.name)
                .is_some_and(|value| pattern.covers(&value, side))
        })
    }

    /// Whether a deny rule touches the address.
    pub(crate) fn touches(&self, address: &Address) -> bool {
        self.keys.iter().all(|pattern| {
            (self.group.value)(address, pattern.key.name)
                .is_some_and(|value| pattern.touches(&value))
        })
    }

    /// Whether a deny rule touches the address, or what a message for it says of itself under the same
    /// keys.
    pub(crate) fn touches_message(&self, address: &Address, content: &Content) -> bool {
        self.keys.iter().all(|pattern| {
            let said = content
                .parts()
                .iter()
                .filter_map(|part| part.value(pattern.key.name))
                .any(|value| pattern.touches(value));
            said || (self.group.value)(address, pattern.key.name)
                .is_some_and(|value| pattern.touches(&value))
        })
    }

    /// Leaves to one end what the top of the rule does not write and the end does (`any`: everything).
    pub(crate) fn give_way(&mut self, any: bool, end: Option<&FamilyPattern>) {
        self.keys.retain(|own| {
            let written = end.is_some_and(|end| {
                end.keys
                    .iter()
                    .any(|pattern| std::ptr::eq(pattern.key, own.key))
            });
            !own.is_unwritten() || !(any || written)
        });
    }

    /// Whether the address leaves something open that the pattern names, which a local address may.
    pub(crate) fn leaves_open(&self, local: &Address) -> bool {
        self.keys.iter().any(|pattern| {
            pattern.key.open_when_bound
                && (self.group.value)(local, pattern.key.name) == Some(Value::Every(None))
        })
    }

    /// Whether every address is covered.
    pub(crate) fn is_any(&self) -> bool {
        self.keys.iter().all(KeyPattern::is_any)
    }
}

/// Where a message goes that is sent without a name on a socket without a conversation: the peer of a
/// connected one, the bus or interface that it is bound to, the kernel. None where the kernel would ask for
/// a name.
#[must_use]
pub fn unnamed_destination(s: &SocketFacts) -> Option<Address> {
    let inspected = Content::head(s.kind).is_some();
    match (s.kind.family, &s.peer) {
        _ if s.group.is_some() => s.group.clone(),
        (_, Some(peer)) if inspected => Some(peer.clone()),
        (_, Some(_)) => None,
        (Family::Can, None) => can::unnamed_destination(s),
        (Family::Netlink, None) => Some(Address::Netlink(NetlinkAddress { pid: 0, groups: 0 })),
        (Family::Packet | Family::Bluetooth, None) => s.local.clone(),
        (_, None) => None,
    }
}

/// A membership that a socket takes up or gives up by option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// NETLINK_ADD_MEMBERSHIP: the events of this group, netlink(7).
    NetlinkGroup(u32),
    /// PACKET_ADD_MEMBERSHIP: frames that the interface would drop otherwise, packet(7).
    Frames {
        /// The interface by name.
        interface: String,
        /// Those for others as well (PACKET_MR_PROMISC, PACKET_MR_ALLMULTI), instead of one more address.
        promiscuous: bool,
    },
}

impl Membership {
    /// What keys say of it.
    pub(crate) fn part(&self) -> Part {
        match self {
            Membership::NetlinkGroup(group) => {
                Part::new([("groups", Value::Number(u64::from(*group)))])
            }
            Membership::Frames {
                interface,
                promiscuous,
            } => Part::new([
                ("interface", interface_value(Some(interface))),
                ("promiscuous", Value::Number(u64::from(*promiscuous))),
            ]),
        }
    }
}

/// Where a message really goes that is sent with this name: some sockets do not look at it.
pub(crate) fn destination<'a>(s: &'a SocketFacts, named: &'a Address) -> Cow<'a, Address> {
    match s.kind.family {
        Family::Can => Cow::Borrowed(can::destination(s, named)),
        Family::Tipc => tipc::destination(s, named),
        _ => Cow::Borrowed(named),
    }
}

/// Whose a message is that came with this name: some sockets' names leave out what their one peer is.
pub(crate) fn sender<'a>(s: &'a SocketFacts, named: &'a Address) -> Cow<'a, Address> {
    match s.kind.family {
        Family::Can => can::sender(s, named),
        _ => Cow::Borrowed(named),
    }
}

/// The words of `--allow` that an address stands for, such as `cid=2 port=1234`.
pub(crate) fn address_words(kind: Kind, address: &Address) -> Vec<String> {
    let Some(group) = group_of(kind) else {
        return Vec::new();
    };
    group
        .keys
        .iter()
        .filter(|key| key.about == About::Address && key.applies_to(kind.protocol))
        .filter_map(|key| {
            let value = (group.value)(address, key.name)?;
            let nothing = matches!(&value, Value::Each(numbers) if numbers.is_empty());
            (!nothing).then(|| format!("{}={}", key.name, key.word(&value)))
        })
        .collect()
}

/// The words of an address of such sockets, by the examples of its keys.
pub(crate) fn example_words(kind: Kind) -> String {
    let keys = group_of(kind).into_iter().flat_map(|group| group.keys);
    let words: Vec<String> = keys
        .filter(|key| key.about == About::Address && key.applies_to(kind.protocol))
        .map(|key| format!("{}={}", key.name, key.example_word()))
        .collect();
    words.join(" ")
}

/// A line for the shell names what so many parts of a message hold; a guest may write thousands.
const HINTED_PARTS: usize = 32;

/// The words of `--allow` that let a message through, such as `can-id=0x123 fd=true`.
pub(crate) fn message_words(content: &Content) -> Vec<String> {
    part_words(content.kind(), content.parts())
}

/// The same for parts of messages of a kind of socket.
pub(crate) fn part_words(kind: Kind, parts: &[Part]) -> Vec<String> {
    let mut words: Vec<(&'static str, Vec<String>)> = Vec::new();
    let parts = parts.iter().take(HINTED_PARTS);
    for (key, value) in parts.flat_map(Part::values) {
        let Some(key) = group_of(kind).and_then(|group| group.key(key)) else {
            continue;
        };
        let word = match (key.shape, value) {
            (Shape::Permits, Value::Number(0)) | (Shape::Restricts, _) => continue,
            (Shape::Permits, _) => "true".to_owned(),
            (_, value) => value.to_string(),
        };
        match words.iter_mut().find(|(known, _)| *known == key.name) {
            Some((_, known)) if known.contains(&word) => {}
            Some((_, known)) => known.push(word),
            None => words.push((key.name, vec![word])),
        }
    }
    words
        .into_iter()
        .map(|(key, words)| format!("{key}={}", words.join(",")))
        .collect()
}

/// An interface's name as operators see it; `*` for all of them.
fn interface_or_any(f: &mut fmt::Formatter<'_>, interface: Option<&str>) -> fmt::Result {
    match interface {
        Some(name) => write_bytes(f, name.as_bytes()),
        None => f.write_str("*"),
    }
}

/// The value of an interface's name.
fn interface_value(interface: Option<&str>) -> Value {
    match interface {
        Some(name) => Value::Text(name.as_bytes().to_vec()),
        None => Value::Every(None),
    }
}
