//! Whether one rule grants all that another grants. The answer is yes only where that is plain: rules that
//! cover the same in ways too different to compare count as different.

mod address;
mod nets;

use ipnet::IpNet;

pub(crate) use nets::{disjoint, may_embed, shown, without};

pub(crate) use address::{hosts_within, ports_within};

use address::Networks;

use crate::family::KeyPattern;
use crate::judge::includes_headers;
use crate::kind::{DCCP, Family, ICMP, ICMPV6, Kind, PROTOCOLS, SCTP, SocketType};
use crate::model::{
    AddressPattern, Clause, GroupPattern, IpPattern, KindPattern, OpSet, OptionPattern,
    OptionPatterns, PeerUsers,
};
use crate::option::REUSEADDR;

const FAMILIES: [Family; 15] = [
    Family::Inet,
    Family::Inet6,
    Family::Unix,
    Family::Netlink,
    Family::Packet,
    Family::Can,
    Family::Vsock,
    Family::Tipc,
    Family::Alg,
    Family::Bluetooth,
    Family::Qipcrtr,
    Family::Rds,
    Family::Kcm,
    Family::Xdp,
    Family::Smc,
];

const TYPES: [SocketType; 6] = [
    SocketType::Stream,
    SocketType::Datagram,
    SocketType::SeqPacket,
    SocketType::Raw,
    SocketType::Rdm,
    SocketType::Dccp,
];

/// A protocol that no rule names; what holds for it holds for all of them.
const NAMELESS: u32 = u32::MAX;

/// Kinds of sockets of which one stands for each way that rules can tell them apart.
pub(crate) fn kinds(patterns: &[&KindPattern]) -> impl Iterator<Item = Kind> + use<> {
    let named = patterns
        .iter()
        .filter_map(|pattern| pattern.protocols.as_ref())
        .flatten();
    let mut protocols: Vec<u32> = named.map(|protocol| protocol.number()).collect();
    protocols.extend([0, ICMP, ICMPV6, DCCP, SCTP, NAMELESS]);
    protocols.extend(PROTOCOLS.iter().map(|protocol| protocol.number));
    protocols.sort_unstable();
    protocols.dedup();
    FAMILIES.into_iter().flat_map(move |family| {
        let protocols = protocols.clone();
        TYPES.into_iter().flat_map(move |socket_type| {
            let protocols = protocols.clone().into_iter();
            protocols.map(move |protocol| Kind {
                family,
                socket_type,
                protocol,
            })
        })
    })
}

/// Whether `wide` allows every kind of sockets that `narrow` allows.
fn kind_within(wide: &KindPattern, narrow: &KindPattern) -> bool {
    if (&wide.families, &wide.types, &wide.protocols)
        == (&narrow.families, &narrow.types, &narrow.protocols)
    {
        return true;
    }
    FAMILIES
        .into_iter()
        .all(|family| !narrow.lists_family(family) || wide.lists_family(family))
        && kinds(&[wide, narrow]).all(|kind| !narrow.allows(kind) || wide.allows(kind))
}

/// Whether `wide` covers every value under every key that `narrow` covers.
fn keys_within(wide: &[KeyPattern], narrow: &[KeyPattern]) -> bool {
    wide.iter().all(|wide| {
        narrow.iter().any(|narrow| {
            std::ptr::eq(wide.key, narrow.key)
                && (wide.is_unwritten() || !narrow.is_unwritten())
                && wide.holds(narrow)
        })
    })
}

/// What a comparison of two rules looks at.
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    /// The operation.
    pub(crate) op: OpSet,
    /// Options, flags, ancillary data and the other terms that a grant comes with.
    pub(crate) terms: bool,
    /// The addresses of the operation's own end, and the names that are resolved.
    pub(crate) own_end: bool,
}

impl Scope {
    pub(crate) fn of(op: OpSet) -> Scope {
        Scope {
            op,
            terms: true,
            own_end: true,
        }
    }
}

/// The end of a rule that its operation is about.
pub(crate) fn own_end(clause: &Clause, op: OpSet) -> Option<&AddressPattern> {
    if OpSet::LOCAL_KIND.contains(op) {
        clause.local.as_deref()
    } else {
        clause.peer.as_ref()
    }
}

/// The networks of the end that the operation is about, where the rule lists networks.
pub(crate) fn own_nets(clause: &Clause, op: OpSet) -> Option<&[IpNet]> {
    let end = own_end(clause, op).filter(|end| !end.any)?;
    match &end.ip {
        Some(IpPattern::Nets(nets)) => Some(nets),
        _ => None,
    }
}

/// Whether the allow rule `wide` grants under one operation all that `narrow` grants under it.
pub(crate) fn grants_all(wide: &Clause, narrow: &Clause, scope: Scope) -> bool {
    let Scope { op, .. } = scope;
    let left_out = |local: bool| !scope.own_end && OpSet::LOCAL_KIND.contains(op) == local;
    let end_within = |wide: Option<&AddressPattern>, narrow: Option<&AddressPattern>| {
        address::within(wide, narrow, Networks::Compared)
    };
    wide.ops.contains(op)
        && (left_out(false) || end_within(wide.peer.as_ref(), narrow.peer.as_ref()))
        && (left_out(true) || end_within(wide.local.as_deref(), narrow.local.as_deref()))
        && kind_within(&wide.kind, &narrow.kind)
        && keys_within(&wide.messages, &narrow.messages)
        && ((op == OpSet::RESOLVE && !scope.own_end) || subject_within(wide, narrow, op))
        && (!scope.terms || terms_within(wide, narrow, op))
}

/// Whether `wide` names every subject of the operation that `narrow` names: a host, a group, a request.
fn subject_within(wide: &Clause, narrow: &Clause, op: OpSet) -> bool {
    let descriptors = OpSet::DESCRIPTOR_SEND | OpSet::DESCRIPTOR_RECEIVE;
    match op {
        OpSet::RESOLVE => match (&wide.hosts, &narrow.hosts) {
            (Some(wide), Some(narrow)) => address::hosts_within(wide, narrow),
            (None, Some(_)) => false,
            (_, None) => true,
        },
        // Has no port, so that ports alone name nothing.
        OpSet::REVERSE_RESOLVE => {
            let names = |rule: &Clause| {
                let peer = rule.peer.as_ref();
                peer.is_none_or(|peer| peer.any || peer.ip.is_some())
            };
            names(wide) || !names(narrow)
        }
        OpSet::JOIN_GROUP => groups_within(&wide.groups, &narrow.groups),
        OpSet::IOCTL => narrow.ioctls.iter().all(|name| wide.ioctls.contains(name)),
        // A rule that also makes sockets speaks of those that it makes.
        op if descriptors.contains(op) => {
            let (makes, made) = (wide.ops & OpSet::MAKING, narrow.ops & OpSet::MAKING);
            wide.descriptors.contains(narrow.descriptors)
                && (makes.is_empty() || (!made.is_empty() && makes.contains(made)))
        }
        _ => true,
    }
}

fn groups_within(wide: &GroupPattern, narrow: &GroupPattern) -> bool {
    let ip = |wide: &Option<IpPattern>, narrow: &Option<IpPattern>| match (wide, narrow) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => address::ip_within(wide, narrow),
        (Some(wide), None) => wide.is_any(),
    };
    ip(&wide.group, &narrow.group)
        && ip(&wide.source, &narrow.source)
        && address::names_within(wide.interface.as_deref(), narrow.interface.as_deref())
}

/// Whether what `wide` grants under an operation comes with all that `narrow`'s grants come with.
fn terms_within(wide: &Clause, narrow: &Clause, op: OpSet) -> bool {
    let names = wide.host_may_be.contains(narrow.host_may_be)
        && (wide.pin >= narrow.pin || narrow.hosts.is_none());
    names && (OpSet::SOCKETLESS.contains(op) || uses_within(wide, narrow))
}

/// Whether `wide` lists the flags, the ancillary data and the options that `narrow` lists.
fn lists_within(wide: &Clause, narrow: &Clause) -> bool {
    let (carried, less) = (&wide.carried, &narrow.carried);
    carried.flags.contains(less.flags)
        && less.ancillary_out.is_within(&carried.ancillary_out)
        && less.ancillary_in.is_within(&carried.ancillary_in)
        && options_within(&wide.options.get, &narrow.options.get, false)
        && options_within(&wide.options.set, &narrow.options.set, true)
}

/// Whether sockets that `wide` grants may be used as those that `narrow` grants.
fn uses_within(wide: &Clause, narrow: &Clause) -> bool {
    // `listen` carries this option for every operation of its rule.
    let reuses = |clause: &Clause| {
        clause.ops.contains(OpSet::LISTEN) || clause.options.set.cover_set(REUSEADDR, None, false)
    };
    lists_within(wide, narrow)
        && (reuses(wide) || !narrow.ops.contains(OpSet::LISTEN))
        && (includes_headers(wide) || !includes_headers(narrow))
        && users_within(&wide.carried.peer_users, &narrow.carried.peer_users)
        && wide.mode == narrow.mode
        && (wide.replace_stale || !narrow.replace_stale)
}

/// Whether the deny rule `wide` forbids all that the deny rule `narrow` forbids.
pub(crate) fn forbids_as_much(wide: &Clause, narrow: &Clause, networks: bool) -> bool {
    let local_alone = |clause: &Clause| !clause.every_op && OpSet::LOCAL_KIND.contains(clause.ops);
    let ends = [
        (wide.local.as_deref(), narrow.local.as_deref()),
        (wide.peer.as_ref(), narrow.peer.as_ref()),
        (wide.either.as_ref(), narrow.either.as_ref()),
    ];
    let networks = match networks {
        true => Networks::Compared,
        false => Networks::LeftOut,
    };
    (wide.uses_only, wide.every_op, local_alone(wide))
        == (narrow.uses_only, narrow.every_op, local_alone(narrow))
        && wide.ops.contains(narrow.ops)
        && ends.into_iter().all(|(wide, narrow)| match (wide, narrow) {
            (None, None) => true,
            (Some(wide), Some(narrow)) => {
                address::same_shape(wide, narrow)
                    && address::within(Some(wide), Some(narrow), networks)
            }
            _ => false,
        })
        && denied_kind_within(&wide.kind, &narrow.kind)
        && wide.messages.is_empty() == narrow.messages.is_empty()
        && keys_within(&wide.messages, &narrow.messages)
        && match (&wide.hosts, &narrow.hosts) {
            (None, None) => true,
            (Some(wide), Some(narrow)) => address::hosts_within(wide, narrow),
            _ => false,
        }
        && groups_within(&wide.groups, &narrow.groups)
        && (wide.ioctls.is_empty()
            || (!narrow.ioctls.is_empty()
                && narrow.ioctls.iter().all(|name| wide.ioctls.contains(name))))
        && wide.descriptors.contains(narrow.descriptors)
        && lists_within(wide, narrow)
}

fn denied_kind_within(wide: &KindPattern, narrow: &KindPattern) -> bool {
    let families = || {
        FAMILIES
            .into_iter()
            .all(|family| !narrow.denies_family(family) || wide.denies_family(family))
    };
    (&wide.families, &wide.types, &wide.protocols)
        == (&narrow.families, &narrow.types, &narrow.protocols)
        || (wide.is_any() == narrow.is_any()
            && (wide.families.is_none() || narrow.families.is_some())
            && families()
            && kinds(&[wide, narrow]).all(|kind| !narrow.denies(kind) || wide.denies(kind)))
}

fn users_within(wide: &PeerUsers, narrow: &PeerUsers) -> bool {
    let ids = |wide: &Option<std::sync::Arc<[u32]>>, narrow: &Option<std::sync::Arc<[u32]>>| match (
        wide, narrow,
    ) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow.iter().all(|id| wide.contains(id)),
    };
    ids(&wide.uids, &narrow.uids) && ids(&wide.gids, &narrow.gids)
}

fn options_within(wide: &OptionPatterns, narrow: &OptionPatterns, set: bool) -> bool {
    narrow.0.iter().all(|narrow| {
        wide.0.iter().any(|wide| {
            let option = match narrow {
                _ if wide == narrow || *wide == OptionPattern::Any && !set => return true,
                OptionPattern::Any => return false,
                OptionPattern::Level(level) => {
                    return *wide == OptionPattern::Any || *wide == OptionPattern::Level(*level);
                }
                OptionPattern::Option(option)
                | OptionPattern::Number(option, _)
                | OptionPattern::Text(option, _) => *option,
            };
            let plain = !set || option.known().is_some_and(|known| !known.delicate);
            match wide {
                OptionPattern::Any => plain,
                OptionPattern::Level(level) => plain && *level == option.level,
                OptionPattern::Option(wide) => *wide == option,
                OptionPattern::Number(..) | OptionPattern::Text(..) => false,
            }
        })
    })
}
