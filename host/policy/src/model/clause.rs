//! One rule, compiled.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bitflags::bitflags;

use super::address::{AddressPattern, IpPattern};
use super::host::HostPattern;
use super::limits::Limits;
use super::options::OptionGrant;
use super::place::NamePattern;
use crate::class::ClassSet;
use crate::family::KeyPattern;
use crate::kind::{DCCP, Family, ICMP, ICMPV6, Kind, Protocol, SCTP, SocketType};
use crate::load::Written;
use crate::message::{AncillarySet, DescriptorKinds, MessageFlags};
use crate::permit::{Cargo, RuleId};

bitflags! {
    /// A set of operations as `ops` names them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub(crate) struct OpSet: u32 {
        const CONNECT = 1 << 0;
        const BIND = 1 << 1;
        const LISTEN = 1 << 2;
        const SEND_TO = 1 << 3;
        const RECEIVE = 1 << 4;
        const REPLY = 1 << 5;
        const SOCKETPAIR = 1 << 6;
        const RESOLVE = 1 << 7;
        const REVERSE_RESOLVE = 1 << 8;
        const INTERFACES = 1 << 9;
        const HOSTNAME = 1 << 10;
        const SET_HOSTNAME = 1 << 11;
        const DISCONNECT = 1 << 12;
        const SPLICE = 1 << 13;
        const IOCTL = 1 << 14;
        const JOIN_GROUP = 1 << 15;
        const DESCRIPTOR_SEND = 1 << 16;
        const DESCRIPTOR_RECEIVE = 1 << 17;
    }
}

/// The names of the operations in a policy.
const OPERATIONS: &[(&str, OpSet)] = &[
    ("connect", OpSet::CONNECT),
    ("bind", OpSet::BIND),
    ("listen", OpSet::LISTEN),
    ("send-to", OpSet::SEND_TO),
    ("receive", OpSet::RECEIVE),
    ("reply", OpSet::REPLY),
    ("socketpair", OpSet::SOCKETPAIR),
    ("resolve", OpSet::RESOLVE),
    ("reverse-resolve", OpSet::REVERSE_RESOLVE),
    ("interfaces", OpSet::INTERFACES),
    ("hostname", OpSet::HOSTNAME),
    ("set-hostname", OpSet::SET_HOSTNAME),
    ("disconnect", OpSet::DISCONNECT),
    ("splice", OpSet::SPLICE),
    ("ioctl", OpSet::IOCTL),
    ("join-group", OpSet::JOIN_GROUP),
    ("descriptor-send", OpSet::DESCRIPTOR_SEND),
    ("descriptor-receive", OpSet::DESCRIPTOR_RECEIVE),
];

impl OpSet {
    /// Operations whose address at the top of a rule is the local one.
    pub(crate) const LOCAL_KIND: OpSet = OpSet::BIND.union(OpSet::LISTEN);
    /// Operations whose address at the top of a rule is the peer's.
    pub(crate) const PEER_KIND: OpSet = OpSet::CONNECT
        .union(OpSet::SEND_TO)
        .union(OpSet::RECEIVE)
        .union(OpSet::REVERSE_RESOLVE);
    /// Operations that make a socket what it is.
    pub(crate) const MAKING: OpSet = OpSet::CONNECT
        .union(OpSet::BIND)
        .union(OpSet::LISTEN)
        .union(OpSet::SEND_TO)
        .union(OpSet::RECEIVE)
        .union(OpSet::REPLY)
        .union(OpSet::SOCKETPAIR);
    /// Operations that carry socket(2).
    pub(crate) const CREATING: OpSet = OpSet::CONNECT
        .union(OpSet::BIND)
        .union(OpSet::LISTEN)
        .union(OpSet::SEND_TO)
        .union(OpSet::RECEIVE);
    /// Operations that are not about one socket.
    pub(crate) const SOCKETLESS: OpSet = OpSet::RESOLVE
        .union(OpSet::REVERSE_RESOLVE)
        .union(OpSet::INTERFACES)
        .union(OpSet::HOSTNAME)
        .union(OpSet::SET_HOSTNAME);

    pub(crate) fn from_policy_name(name: &str) -> Option<OpSet> {
        OPERATIONS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, op)| *op)
    }

    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        OPERATIONS
            .iter()
            .filter(move |(_, op)| self.contains(*op))
            .map(|(name, _)| *name)
    }

    pub(crate) fn policy_names() -> impl Iterator<Item = &'static str> {
        OpSet::all().names()
    }
}

/// Which sockets a clause is about. `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KindPattern {
    pub(crate) families: Option<Vec<Family>>,
    pub(crate) types: Option<Vec<SocketType>>,
    pub(crate) protocols: Option<Vec<ProtocolPattern>>,
}

/// A protocol that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolPattern {
    number: u32,
    /// The families in which the number means it; none: whatever the rule's families are.
    families: &'static [Family],
}

impl ProtocolPattern {
    pub(crate) fn named(protocol: &Protocol) -> ProtocolPattern {
        ProtocolPattern {
            number: protocol.number,
            families: protocol.families,
        }
    }

    pub(crate) fn numbered(number: u32) -> ProtocolPattern {
        ProtocolPattern {
            number,
            families: &[],
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    fn names(&self, kind: Kind) -> bool {
        self.number == kind.protocol
            && (self.families.is_empty() || self.families.contains(&kind.family))
    }
}

impl KindPattern {
    pub(crate) fn is_any(&self) -> bool {
        self.families.is_none() && self.types.is_none() && self.protocols.is_none()
    }

    /// Whether an allow rule is about the family: without the key it is about IP and Unix sockets, and the
    /// others are granted by name alone.
    pub(crate) fn lists_family(&self, family: Family) -> bool {
        match &self.families {
            Some(families) => families.contains(&family),
            None => matches!(family, Family::Inet | Family::Inet6 | Family::Unix),
        }
    }

    /// Whether a deny rule is about the family: without the key it is about all of them.
    pub(crate) fn denies_family(&self, family: Family) -> bool {
        self.families
            .as_ref()
            .is_none_or(|families| families.contains(&family))
    }

    fn lists_type(&self, kind: Kind) -> bool {
        self.types
            .as_ref()
            .is_none_or(|types| types.contains(&kind.socket_type))
    }

    /// Whether an allow rule covers the kind. Families and types that no rule can name are covered by none;
    /// raw IP sockets only by a rule that names their type; ping sockets, DCCP, and SCTP (whose peers announce
    /// further addresses of theirs) by one that names their protocol, and netlink by one that names the
    /// subsystem.
    pub(crate) fn allows(&self, kind: Kind) -> bool {
        let ip = matches!(kind.family, Family::Inet | Family::Inet6);
        let socket_type = match kind.socket_type {
            SocketType::Other(_) => false,
            SocketType::Raw if ip => self.types.is_some() && self.lists_type(kind),
            _ => self.lists_type(kind),
        };
        let protocol = match &self.protocols {
            Some(protocols) => protocols.iter().any(|protocol| protocol.names(kind)),
            None if kind.family == Family::Netlink => false,
            None => {
                let ping = kind.socket_type == SocketType::Datagram
                    && matches!(kind.protocol, ICMP | ICMPV6);
                let raw = kind.socket_type == SocketType::Raw;
                let by_protocol = ping || (!raw && matches!(kind.protocol, DCCP | SCTP));
                !(ip && by_protocol)
            }
        };
        self.lists_family(kind.family) && socket_type && protocol
    }

    /// Whether a deny rule covers the kind.
    pub(crate) fn denies(&self, kind: Kind) -> bool {
        self.lists_type(kind)
            && self
                .protocols
                .as_ref()
                .is_none_or(|protocols| protocols.iter().any(|protocol| protocol.names(kind)))
    }
}

/// Multicast groups that may be joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupPattern {
    pub(crate) group: Option<IpPattern>,
    pub(crate) source: Option<IpPattern>,
    pub(crate) interface: Option<Vec<NamePattern>>,
}

impl GroupPattern {
    /// Whether the group, the source and the interface are all covered. A rule that names sources does
    /// not cover a membership without one, nor a rule that names interfaces the kernel's own choice.
    pub(crate) fn covers(&self, request: &crate::permit::GroupRequest, deny: bool) -> bool {
        let ip = |pattern: &Option<IpPattern>, ip: Option<IpAddr>| match (pattern, ip) {
            (None, _) => true,
            (Some(pattern), Some(ip)) if deny => pattern.touches_plain(ip),
            (Some(pattern), Some(ip)) => pattern.covers_plain(ip),
            // A deny of some sources also stops a membership that hears every source.
            (Some(pattern), None) => deny || pattern.is_any(),
        };
        let interface = match (&self.interface, &request.interface) {
            (None, _) => true,
            (Some(patterns), Some(name)) => patterns
                .iter()
                .any(|pattern| pattern.matches(name.as_bytes())),
            (Some(patterns), None) => deny || patterns.iter().any(NamePattern::is_everything),
        };
        ip(&self.group, Some(request.group)) && ip(&self.source, request.source) && interface
    }
}

/// The user and the group that a peer may run as, by their numbers; `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerUsers {
    pub(crate) uids: Option<Arc<[u32]>>,
    pub(crate) gids: Option<Arc<[u32]>>,
}

impl PeerUsers {
    /// Whether the rule does not ask who the peer is.
    pub(crate) fn is_anyone(&self) -> bool {
        self.uids.is_none() && self.gids.is_none()
    }

    pub(crate) fn has(&self, uid: u32, gid: u32) -> bool {
        let among =
            |ids: &Option<Arc<[u32]>>, id: u32| ids.as_ref().is_none_or(|ids| ids.contains(&id));
        among(&self.uids, uid) && among(&self.gids, gid)
    }
}

/// What the calls under a rule may carry: its flags, its ancillary data, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) flags: MessageFlags,
    pub(crate) ancillary_out: AncillarySet,
    pub(crate) ancillary_in: AncillarySet,
    pub(crate) peer_users: PeerUsers,
    /// The same, as a permit has it that one rule grants: made here once, and not with every permit.
    pub(crate) cargo: Arc<Cargo>,
}

impl Carried {
    pub(crate) fn new(
        flags: MessageFlags,
        ancillary_out: AncillarySet,
        ancillary_in: AncillarySet,
        peer_users: PeerUsers,
    ) -> Carried {
        let bare = Cargo::bare();
        let cargo = Cargo {
            flags: bare.flags | flags,
            ancillary_out: ancillary_out.clone(),
            ancillary_in: ancillary_in.clone(),
            peer_users: [peer_users.clone()].into(),
            ..bare
        };
        Carried {
            flags,
            ancillary_out,
            ancillary_in,
            peer_users,
            cargo: Arc::new(cargo),
        }
    }
}

/// One compiled rule.
///
/// Its fields lie in memory as they stand here, with those first that a verdict looks at: under many rules
/// it costs as much as the lines of memory that it has to wait for.
#[repr(C, align(64))]
#[derive(Clone, Debug)]
pub(crate) struct Clause {
    pub(crate) ops: OpSet,
    /// A deny rule without `ops`.
    pub(crate) every_op: bool,
    /// A deny rule that only takes away options, flags or ancillary data.
    pub(crate) uses_only: bool,
    pub(crate) replace_stale: bool,
    /// Written with `--allow`.
    pub(crate) from_line: bool,
    /// Shared with the other rules about such sockets: a policy of many rules has few of them.
    pub(crate) kind: Arc<KindPattern>,
    /// Shared in the same way.
    pub(crate) carried: Arc<Carried>,
    pub(crate) peer: Option<AddressPattern>,
    /// Elsewhere in memory, as most rules are about peers alone.
    pub(crate) local: Option<Box<AddressPattern>>,
    pub(crate) id: RuleId,
    /// What goes by this rule may be no more than this; none where nothing is limited.
    pub(crate) limits: Option<Box<Limits>>,
    /// What the rule says of single messages, by the keys of its family.
    pub(crate) messages: Vec<KeyPattern>,
    pub(crate) mode: Option<u32>,
    /// A deny rule's address at the top: it holds for local and peer.
    pub(crate) either: Option<AddressPattern>,
    pub(crate) options: OptionGrant,
    pub(crate) pin: Duration,
    pub(crate) host_may_be: ClassSet,
    pub(crate) descriptors: DescriptorKinds,
    pub(crate) hosts: Option<Vec<HostPattern>>,
    pub(crate) groups: GroupPattern,
    pub(crate) ioctls: Vec<String>,
    /// Where the rule stands, for messages: `policy.toml:12`.
    pub(crate) place: String,
    /// The rule's words, to show it.
    pub(crate) written: Arc<Written>,
}

impl Clause {
    pub(crate) fn has_addresses(&self) -> bool {
        self.local.is_some() || self.peer.is_some() || self.either.is_some()
    }

    /// Whether a socket of the kind has all the keys that the rule writes.
    pub(crate) fn keys_apply(&self, kind: Kind) -> bool {
        let ends = [
            self.peer.as_ref(),
            self.local.as_deref(),
            self.either.as_ref(),
        ];
        let apply = |keys: &[KeyPattern]| {
            keys.iter()
                .all(|pattern| pattern.is_unwritten() || pattern.key.is_of(kind))
        };
        let mut families = ends.into_iter().filter_map(|end| end?.family.as_ref());
        families.all(|family| apply(&family.keys)) && apply(&self.messages)
    }

    pub(crate) fn names_host(&self, host: &str) -> bool {
        self.hosts
            .as_ref()
            .is_some_and(|hosts| hosts.iter().any(|pattern| pattern.matches(host)))
    }
}

impl Clause {
    /// Whether a name may resolve to the address under this rule: a family that the rule lists, and
    /// global, or of a class that `host-may-be` accepts, for the address and every one inside it.
    pub(crate) fn accepts_answer(&self, ip: IpAddr) -> bool {
        let family = if ip.is_ipv4() {
            Family::Inet
        } else {
            Family::Inet6
        };
        self.kind.lists_family(family)
            && (self.host_may_be | ClassSet::GLOBAL).contains(crate::class::classes(ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permit::GroupRequest;

    #[test]
    fn only_ip_sockets_that_speak_a_protocol_themselves_need_its_name() {
        let allows = |families: &[Family], kind: (Family, SocketType, u32)| {
            let pattern = KindPattern {
                families: Some(families.to_vec()),
                types: Some(vec![kind.1]),
                protocols: None,
            };
            pattern.allows(Kind {
                family: kind.0,
                socket_type: kind.1,
                protocol: kind.2,
            })
        };
        use Family::{Inet, Unix};
        assert!(!allows(&[Inet], (Inet, SocketType::SeqPacket, SCTP)));
        assert!(allows(&[Inet], (Inet, SocketType::Raw, SCTP)));
        assert!(!allows(&[Inet], (Inet, SocketType::Datagram, ICMP)));
        // The Unix domain takes its own number for its one protocol, and that is 1.
        assert!(allows(&[Unix], (Unix, SocketType::Datagram, 1)));
    }

    #[test]
    fn a_source_is_judged_with_the_address_inside_it() {
        let request = GroupRequest {
            group: "ff0e::1".parse().unwrap(),
            source: Some("64:ff9b::a00:1".parse().unwrap()),
            interface: None,
        };
        let covers = |source: &str, deny| {
            let pattern = GroupPattern {
                source: Some(IpPattern::Nets([source.parse().unwrap()].into())),
                ..GroupPattern::default()
            };
            pattern.covers(&request, deny)
        };
        assert!(covers("10.0.0.0/8", true));
        assert!(!covers("64:ff9b::/96", false));
    }
}
