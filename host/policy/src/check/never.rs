//! Rules that can never match, or do less than they seem to, whatever deny rules say.

use crate::compare::{hosts_within, kinds};
use crate::kind::{Family, Kind, SocketType, TCP, UDP};
use crate::model::{AddressPattern, Clause, HostPattern, IpPattern, OpSet, Policy};

/// A host in a deny rule.
pub(super) fn deny_host(clause: &Clause) -> Option<String> {
    let message = "names a host, which in a deny rule acts on `resolve` only: what the name stands for stays reachable by address";
    (clause.hosts.is_some()).then(|| message.to_owned())
}

/// No socket is of the families, types and protocols that the rule lists.
pub(super) fn never_matches(clause: &Clause) -> Option<String> {
    let about_sockets = !clause.ops.difference(OpSet::SOCKETLESS).is_empty();
    let kind = &clause.kind;
    if about_sockets
        && !kind.is_any()
        && !kinds(&[kind]).any(|known| kind.allows(known) && known.exists())
    {
        return Some(no_such_socket(clause));
    }
    let families = kind.families.as_ref()?;
    [clause.local.as_deref(), clause.peer.as_ref()]
        .into_iter()
        .flatten()
        .find_map(|pattern| unreachable_family(families, pattern))
}

fn no_such_socket(clause: &Clause) -> String {
    let only = |types: &[SocketType]| {
        clause
            .kind
            .types
            .as_ref()
            .is_some_and(|known| known.iter().all(|known| types.contains(known)))
    };
    let of = |number: u32| {
        clause
            .kind
            .protocols
            .as_ref()
            .is_some_and(|protocols| protocols.iter().all(|known| known.number() == number))
    };
    if only(&[SocketType::Stream]) && of(UDP) {
        return "never matches: streams are not of protocol udp".to_owned();
    }
    if only(&[SocketType::Datagram]) && of(TCP) {
        return "never matches: datagrams are not of protocol tcp".to_owned();
    }
    let families = clause.kind.families.as_deref().unwrap_or(&[]);
    if families == [Family::Netlink] && clause.kind.protocols.is_none() {
        return "never matches: netlink sockets are granted by `protocol`, such as `protocol = [\"route\"]`"
            .to_owned();
    }
    "never matches: no socket is of such a family, type and protocol together".to_owned()
}

fn unreachable_family(families: &[Family], pattern: &AddressPattern) -> Option<String> {
    if pattern.any {
        return None;
    }
    if families.contains(&Family::Unix) && pattern.unix.is_none() {
        return Some("lists `unix` and names no Unix address: it never matches there".to_owned());
    }
    let Some(IpPattern::Nets(nets)) = &pattern.ip else {
        return None;
    };
    let four = nets.iter().any(|net| net.addr().is_ipv4());
    let six = nets.iter().any(|net| net.addr().is_ipv6());
    let others = families
        .iter()
        .any(|family| !matches!(family, Family::Inet | Family::Inet6));
    match (families.contains(&Family::Inet), families.contains(&Family::Inet6)) {
        _ if others => None,
        (true, false) if !four => Some("never matches: it is about `inet` and names IPv6 networks alone".to_owned()),
        (false, true) if !six => {
            Some("never matches: it is about `inet6` and names IPv4 networks alone (mapped addresses count as `inet`)".to_owned())
        }
        _ => None,
    }
}

fn some_rule(policy: &Policy, op: OpSet, fits: impl Fn(&Clause) -> bool) -> bool {
    let mut rules = policy.allow.all().iter();
    rules.any(|other| other.ops.contains(op) && fits(other))
}

/// A rule that grants something to names that the guest cannot resolve, for want of a grant or by deny rules.
pub(super) fn unresolvable(policy: &Policy, clause: &Clause) -> Option<String> {
    let hosts = clause.hosts.as_ref()?;
    let granted = |host: &HostPattern| {
        some_rule(policy, OpSet::RESOLVE, |other| {
            let mut names = other.hosts.iter().flatten();
            names.any(|other| overlap(host, other))
        })
    };
    let denied = |host: &HostPattern| {
        let mut rules = policy.deny.all().iter();
        rules.any(|deny| forbids_name(deny, host))
    };
    let list = |lost: &dyn Fn(&HostPattern) -> bool| -> String {
        let lost = hosts.iter().filter(|host| lost(host));
        let lost: Vec<String> = lost.map(|host| format!("`{host}`")).collect();
        lost.join(", ")
    };
    let reasons = [
        (
            list(&|host| !granted(host)),
            "no rule grants `resolve` for it",
        ),
        (
            list(&|host| granted(host) && denied(host)),
            "a deny rule forbids to resolve it",
        ),
    ];
    let reasons: Vec<String> = reasons
        .into_iter()
        .filter(|(lost, _)| !lost.is_empty())
        .map(|(lost, reason)| format!("never matches for {lost}: {reason}"))
        .collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Whether a deny rule forbids to resolve every name of the pattern.
fn forbids_name(deny: &Clause, host: &HostPattern) -> bool {
    let every_name = || !deny.has_addresses() && (!deny.every_op || deny.kind.is_any());
    deny.ops.contains(OpSet::RESOLVE)
        && !deny.uses_only
        && match &deny.hosts {
            Some(denied) => hosts_within(denied, std::slice::from_ref(host)),
            None => every_name(),
        }
}

fn overlap(one: &HostPattern, other: &HostPattern) -> bool {
    match (one, other) {
        (HostPattern::Any, _) | (_, HostPattern::Any) => true,
        (HostPattern::Exact(one), pattern) | (pattern, HostPattern::Exact(one)) => {
            pattern.matches(one)
        }
        (HostPattern::Suffix(one), HostPattern::Suffix(other)) => {
            one.ends_with(other) || other.ends_with(one)
        }
    }
}

/// Whether some socket may be of both rules' kinds.
fn meet(one: &Clause, other: &Clause) -> bool {
    kinds(&[&one.kind, &other.kind]).any(|kind| one.kind.allows(kind) && other.kind.allows(kind))
}

pub(super) fn nothing_to_answer(policy: &Policy, clause: &Clause) -> Option<String> {
    let receives = || some_rule(policy, OpSet::RECEIVE, |other| meet(other, clause));
    (clause.ops.contains(OpSet::REPLY) && !receives()).then(|| {
        "grants `reply`, and no rule grants `receive` on such sockets: there is nothing to answer"
            .to_owned()
    })
}

/// A membership of IP sockets of which nothing may be heard.
pub(super) fn nothing_to_hear(policy: &Policy, clause: &Clause) -> Option<String> {
    let joins = clause.ops.contains(OpSet::JOIN_GROUP) && clause.groups.group.is_some();
    let heard = || {
        some_rule(policy, OpSet::RECEIVE, |other| meet(other, clause))
            && some_rule(policy, OpSet::BIND, |other| meet(other, clause))
    };
    (joins && !heard()).then(|| {
        "grants `join-group`, and no rules grant `bind` and `receive` on such sockets: there is nothing to hear"
            .to_owned()
    })
}

/// Options, flags or ancillary data in a rule that is about no socket.
pub(super) fn unused_terms(clause: &Clause) -> Option<String> {
    let sets = !clause.options.set.0.is_empty();
    // What was set on a socket before has to be listed by whatever is done with it.
    let bound = clause.ops.intersects(OpSet::all() - OpSet::SOCKETLESS);
    let terms = !clause.options.get.0.is_empty()
        || (sets && !bound)
        || !clause.carried.flags.is_empty()
        || !clause.carried.ancillary_out.is_empty()
        || !clause.carried.ancillary_in.is_empty();
    // Of what is done to a socket, each has to list the options that were set on it.
    (terms && OpSet::SOCKETLESS.contains(clause.ops)).then(|| {
        "lists options, flags or ancillary data, and no operation on a socket to use them with"
            .to_owned()
    })
}

impl Kind {
    /// Whether there are such sockets, as far as it is plain that there are none.
    fn exists(self) -> bool {
        use SocketType::{Datagram, Dccp, Raw, Rdm, SeqPacket, Stream};
        let ip = matches!(self.family, Family::Inet | Family::Inet6);
        match (self.family, self.socket_type) {
            _ if ip => match self.protocol {
                _ if self.socket_type == Raw => true,
                TCP => self.socket_type == Stream,
                UDP => self.socket_type == Datagram,
                _ => self.socket_type != Rdm,
            },
            (Family::Unix, kind) => matches!(kind, Stream | Datagram | SeqPacket | Raw),
            (Family::Netlink | Family::Packet | Family::Can, kind) => {
                matches!(kind, Raw | Datagram)
            }
            (Family::Vsock, kind) => matches!(kind, Stream | Datagram | SeqPacket),
            (Family::Tipc, kind) => matches!(kind, Stream | Datagram | SeqPacket | Rdm),
            (Family::Alg | Family::Rds, kind) => kind == SeqPacket,
            (Family::Bluetooth, kind) => !matches!(kind, Rdm | Dccp),
            (Family::Qipcrtr, kind) => kind == Datagram,
            (Family::Kcm, kind) => matches!(kind, Datagram | SeqPacket),
            (Family::Xdp, kind) => kind == Raw,
            (Family::Smc, kind) => kind == Stream,
            _ => true,
        }
    }
}
