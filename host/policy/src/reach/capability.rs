//! The capabilities(7) that granted operations take.

use bitflags::bitflags;

use super::{Protocols, families, kinds};
use crate::family::KeyPattern;
use crate::kind::{Family, SocketType};
use crate::message::AncillaryKind;
use crate::model::{AddressPattern, Clause, OpSet, OptionPattern};

bitflags! {
    /// A set of capabilities(7), each as the bit of its number.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Capabilities: u64 {
        /// Low ports of IP and vsock, low PSMs of L2CAP.
        const NET_BIND_SERVICE = 1 << 10;
        /// Changes to networks, marks, what only administrators ask the kernel.
        const NET_ADMIN = 1 << 12;
        /// Raw and packet sockets, binding to an interface.
        const NET_RAW = 1 << 13;
        /// sethostname(2).
        const SYS_ADMIN = 1 << 21;
        /// Writing to the kernel's audit log.
        const AUDIT_WRITE = 1 << 29;
        /// Ruling the kernel's audit.
        const AUDIT_CONTROL = 1 << 30;
        /// Hearing the kernel's audit log.
        const AUDIT_READ = 1 << 37;
    }
}

/// Options that an unprivileged user cannot set. A rule keeps the capability by naming one; `*` keeps none.
const OPTIONS: &[(&str, Capabilities)] = &[
    ("so.debug", Capabilities::NET_ADMIN),
    ("so.priority", Capabilities::NET_ADMIN),
    ("so.bindtodevice", Capabilities::NET_RAW),
    ("so.bindtoifindex", Capabilities::NET_RAW),
    ("so.sndbufforce", Capabilities::NET_ADMIN),
    ("so.rcvbufforce", Capabilities::NET_ADMIN),
    ("so.mark", Capabilities::NET_ADMIN),
    ("so.rcvmark", Capabilities::NET_ADMIN),
    ("so.busy-poll", Capabilities::NET_ADMIN),
    ("so.txtime", Capabilities::NET_ADMIN),
    ("ip.transparent", Capabilities::NET_RAW),
    ("ip.ipsec-policy", Capabilities::NET_ADMIN),
    ("ip.xfrm-policy", Capabilities::NET_ADMIN),
    ("ipv6.transparent", Capabilities::NET_RAW),
    ("ipv6.ipsec-policy", Capabilities::NET_ADMIN),
    ("ipv6.xfrm-policy", Capabilities::NET_ADMIN),
    ("ipv6.hopopts", Capabilities::NET_RAW),
    ("ipv6.rthdrdstopts", Capabilities::NET_RAW),
    ("ipv6.rthdr", Capabilities::NET_RAW),
    ("ipv6.dstopts", Capabilities::NET_RAW),
    ("ipv6.2292pktoptions", Capabilities::NET_RAW),
    ("ipv6.join-anycast", Capabilities::NET_ADMIN),
    ("ipv6.flowlabel-mgr", Capabilities::NET_ADMIN),
    ("tcp.congestion", Capabilities::NET_ADMIN),
    ("tcp.repair", Capabilities::NET_ADMIN),
    ("tcp.repair-queue", Capabilities::NET_ADMIN),
    ("tcp.repair-options", Capabilities::NET_ADMIN),
    ("tcp.repair-window", Capabilities::NET_ADMIN),
    ("tcp.ulp", Capabilities::NET_ADMIN),
    ("tcp.ao-repair", Capabilities::NET_ADMIN),
    ("can-j1939.send-prio", Capabilities::NET_ADMIN),
];

/// Protocols of netlink, linux/netlink.h.
const ROUTE: u32 = 0;
const USERSOCK: u32 = 2;
const SOCK_DIAG: u32 = 4;
const AUDIT: u32 = 9;
const KOBJECT_UEVENT: u32 = 15;
const GENERIC: u32 = 16;
/// And of Bluetooth.
const L2CAP: u32 = 0;
const HCI: u32 = 1;
const BNEP: u32 = 4;
const HIDP: u32 = 6;

/// The first port of vsock(7) and PSM of L2CAP that everybody may bind.
const FIRST_VSOCK_PORT: u64 = 1024;
const FIRST_PSM: u64 = 0x1001;

/// What a rule's operations take, but for low IP ports.
pub(super) fn of(clause: &Clause) -> Capabilities {
    let mut needed = of_uses(clause);
    if clause.ops.contains(OpSet::SET_HOSTNAME) {
        needed |= Capabilities::SYS_ADMIN;
    }
    if !clause.ops.intersects(OpSet::CREATING) {
        return needed;
    }
    for family in families(clause) {
        needed |= of_family(clause, *family);
    }
    needed
}

/// Options that are named, and marks on messages.
fn of_uses(clause: &Clause) -> Capabilities {
    let set = &clause.options.set.0;
    let named = |name: &str| {
        set.iter().any(|pattern| match pattern {
            OptionPattern::Any | OptionPattern::Level(_) => false,
            OptionPattern::Option(option)
            | OptionPattern::Number(option, _)
            | OptionPattern::Text(option, _) => {
                option.known().is_some_and(|known| known.readable == name)
            }
        })
    };
    let taken = OPTIONS.iter().filter(|(name, _)| named(name));
    let options = taken.map(|(_, capability)| *capability).collect();
    match clause.carried.ancillary_out.contains(AncillaryKind::Mark) {
        true => Capabilities::NET_ADMIN | options,
        false => options,
    }
}

fn of_family(clause: &Clause, family: Family) -> Capabilities {
    let makes = |wanted: SocketType| kinds(clause, family).any(|kind| kind.socket_type == wanted);
    match family {
        Family::Inet | Family::Inet6 if makes(SocketType::Raw) => Capabilities::NET_RAW,
        Family::Packet | Family::Xdp => Capabilities::NET_RAW,
        Family::Netlink => of_netlink(clause),
        Family::Bluetooth => of_bluetooth(clause),
        Family::Vsock if binds_below(clause, "port", FIRST_VSOCK_PORT) => {
            Capabilities::NET_BIND_SERVICE
        }
        // Ports below 0x4000, and the control port.
        Family::Qipcrtr if clause.ops.intersects(OpSet::LOCAL_KIND) => Capabilities::NET_ADMIN,
        _ => Capabilities::empty(),
    }
}

/// Whether the rule names the protocol, or names none.
fn has_protocol(clause: &Clause, family: Family, protocol: u32) -> bool {
    kinds(clause, family).any(|kind| kind.protocols.contains(protocol))
}

fn of_netlink(clause: &Clause) -> Capabilities {
    let sends = OpSet::SEND_TO | OpSet::CONNECT | OpSet::REPLY | OpSet::LISTEN;
    let sends = clause.ops.intersects(sends);
    let protocols = kinds(clause, Family::Netlink).filter_map(|kind| match kind.protocols {
        Protocols::Only(numbers) => Some(numbers),
        Protocols::AllBut(_) => None,
    });
    let each = protocols.flatten().map(|protocol| match protocol {
        AUDIT => Capabilities::AUDIT_READ | Capabilities::AUDIT_CONTROL | Capabilities::AUDIT_WRITE,
        USERSOCK => Capabilities::empty(),
        // Everybody may hear these.
        ROUTE | SOCK_DIAG | KOBJECT_UEVENT | GENERIC if !sends => Capabilities::empty(),
        ROUTE if only_asks(clause, &["get"]) => Capabilities::empty(),
        SOCK_DIAG if only_asks(clause, &["diag-by-family", "20"]) => Capabilities::empty(),
        GENERIC if only_asks(clause, &["ctrl:", "nlctrl:"]) => Capabilities::empty(),
        _ => Capabilities::NET_ADMIN,
    });
    each.collect()
}

/// Whether a rule grants no message but those that ask: `dump-only`, or names that all begin so.
fn only_asks(clause: &Clause, beginnings: &[&str]) -> bool {
    clause
        .messages
        .iter()
        .any(|pattern| match pattern.key.name {
            "dump-only" => pattern.lowest() == Some(1),
            "messages" => pattern.names_begin_with(beginnings),
            _ => false,
        })
}

fn of_bluetooth(clause: &Clause) -> Capabilities {
    let has = |protocol| has_protocol(clause, Family::Bluetooth, protocol);
    let raw = (clause.kind.types.as_ref()).is_some_and(|types| types.contains(&SocketType::Raw));
    let mut needed = Capabilities::empty();
    needed.set(Capabilities::NET_RAW, raw || has(HCI));
    needed.set(Capabilities::NET_ADMIN, has(HCI) || has(BNEP) || has(HIDP));
    needed.set(
        Capabilities::NET_BIND_SERVICE,
        has(L2CAP) && binds_below(clause, "psm", FIRST_PSM),
    );
    needed
}

/// Whether the rule lets a socket be bound to a number below the first that is free to everybody.
fn binds_below(clause: &Clause, key: &str, first_free: u64) -> bool {
    let written = |pattern: &AddressPattern| {
        let mut keys = pattern.family_keys().iter();
        keys.find(|pattern| pattern.key.name == key)
            .and_then(KeyPattern::lowest)
    };
    let lowest = clause.local.as_deref().and_then(written).unwrap_or(0);
    clause.ops.intersects(OpSet::LOCAL_KIND) && lowest < first_free
}
