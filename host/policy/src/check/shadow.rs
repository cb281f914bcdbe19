//! Rules of which others leave nothing, or to which they add nothing.

use ipnet::IpNet;

use crate::class::ClassSet;
use crate::compare::{Scope, disjoint, grants_all, kinds, may_embed, own_end, own_nets, without};
use crate::kind::Family;
use crate::model::{AddressPattern, Clause, IpPattern, OpSet, Policy};

/// Deny rules that leave nothing of an allow rule.
pub(super) fn forbidden(policy: &Policy, clause: &Clause) -> Option<String> {
    let deny = || policy.deny.all().iter();
    if let Some(deny) = deny().find(|deny| forbids_all(deny, clause, Networks::Compared)) {
        return Some(format!(
            "never matches: deny rule `{}` ({}) forbids all of it",
            deny.id, deny.place
        ));
    }
    let nets = nets_of_all(clause)?;
    let several: Vec<&Clause> = deny()
        .filter(|deny| forbids_all(deny, clause, Networks::LeftOut))
        .filter(|deny| denied_nets(deny).is_some_and(|denied| !disjoint(denied, nets)))
        .collect();
    let denied: Vec<IpNet> = several
        .iter()
        .filter_map(|deny| denied_nets(deny))
        .flatten()
        .copied()
        .collect();
    let (left, _) = without(nets, &denied);
    if several.is_empty() || !left.is_empty() {
        return None;
    }
    let names: Vec<String> = several
        .iter()
        .map(|deny| format!("`{}`", deny.id))
        .collect();
    Some(format!(
        "never matches: deny rules {} together forbid all of it",
        names.join(", ")
    ))
}

/// The networks that everything which the rule grants is about.
fn nets_of_all(clause: &Clause) -> Option<&[IpNet]> {
    let local = OpSet::LOCAL_KIND.contains(clause.ops);
    let peer = OpSet::PEER_KIND.contains(clause.ops);
    if !local && !peer {
        return None;
    }
    own_nets(clause, clause.ops.iter().next()?)
}

/// The networks of a deny rule that is about networks alone.
fn denied_nets(deny: &Clause) -> Option<&[IpNet]> {
    match (&deny.either, &deny.local, &deny.peer) {
        (
            Some(AddressPattern {
                ip: Some(IpPattern::Nets(nets)),
                ports: None,
                ..
            }),
            None,
            None,
        ) => Some(nets),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Networks {
    Compared,
    /// The deny rule's networks are the caller's to compare.
    LeftOut,
}

/// Whether a deny rule forbids whatever an allow rule grants, as far as that is plain.
fn forbids_all(deny: &Clause, allow: &Clause, networks: Networks) -> bool {
    let partly = deny.uses_only || deny.hosts.is_some() || !deny.messages.is_empty();
    // `listen` carries binding, which a deny of `listen` alone leaves.
    let binds = allow.ops.contains(OpSet::LISTEN) && !deny.ops.contains(OpSet::BIND);
    let socketless = allow.ops.intersects(OpSet::SOCKETLESS)
        && (deny.every_op || !deny.kind.is_any() || deny.has_addresses());
    if partly || binds || socketless || !deny.ops.contains(allow.ops) {
        return false;
    }
    if networks == Networks::LeftOut {
        return denied_nets(deny).is_some() && denies_kinds(deny, allow);
    }
    // A peer that is not known yet is not touched.
    let has_peer = OpSet::PEER_KIND.contains(allow.ops);
    let peer = deny.peer.as_ref().is_none_or(|pattern| {
        touches_all(pattern, allow.peer.as_ref()) && (has_peer || pattern.any)
    });
    let local = deny
        .local
        .as_ref()
        .is_none_or(|pattern| touches_all(pattern, allow.local.as_deref()));
    let either = deny.either.as_ref().is_none_or(|pattern| {
        pattern.any
            || allow
                .ops
                .iter()
                .all(|op| own_end(allow, op).is_some() && touches_all(pattern, own_end(allow, op)))
    });
    peer && local && either && denies_kinds(deny, allow)
}

/// Whether the deny rule is about every socket that the allow rule is about.
fn denies_kinds(deny: &Clause, allow: &Clause) -> bool {
    kinds(&[&deny.kind, &allow.kind]).all(|kind| {
        !allow.kind.allows(kind)
            || (deny.kind.denies_family(kind.family)
                && deny.kind.denies(kind)
                && deny.keys_apply(kind))
    })
}

/// Whether every address that the narrow pattern covers is touched by the wide one, as far as that is plain.
fn touches_all(wide: &AddressPattern, narrow: Option<&AddressPattern>) -> bool {
    if wide.any && wide.unix.is_none() && wide.family.is_none() {
        return true;
    }
    let Some(narrow) = narrow else { return false };
    if wide.ports.is_some() || narrow.unix.is_some() || narrow.family.is_some() || narrow.any {
        return false;
    }
    match (&wide.ip, &narrow.ip) {
        (Some(IpPattern::Any), Some(_)) => true,
        (Some(IpPattern::Nets(wide)), Some(IpPattern::Nets(narrow))) => {
            without(narrow, wide).0.is_empty()
        }
        // A local wildcard is no reserved address, though its number is.
        (Some(IpPattern::Classes(wide)), Some(IpPattern::Classes(narrow))) => {
            wide.contains(*narrow) && !narrow.contains(ClassSet::RESERVED)
        }
        (Some(IpPattern::Classes(wide)), Some(IpPattern::Nets(narrow))) => {
            narrow.iter().all(|net| {
                let class = crate::class::uniform(net);
                class.is_some_and(|class| {
                    wide.contains(class) && !class.contains(ClassSet::RESERVED)
                })
            })
        }
        _ => false,
    }
}

/// An allow rule that grants nothing which another one does not grant: of two alike the later one.
pub(super) fn redundant(policy: &Policy, at: usize) -> Option<String> {
    let rules = policy.allow.all();
    let clause = &rules[at];
    // Its limits hold beside those of other rules.
    if clause.limits.is_some() {
        return None;
    }
    let covers = |wide: &Clause, narrow: &Clause| {
        wide.limits.is_none()
            && wide.ops.contains(narrow.ops)
            && narrow
                .ops
                .iter()
                .all(|op| grants_all(wide, narrow, Scope::of(op)))
    };
    let other = rules.iter().enumerate().find(|(place, other)| {
        *place != at && covers(other, clause) && (*place < at || !covers(clause, other))
    })?;
    Some(format!(
        "adds nothing to rule `{}` ({})",
        other.1.id, other.1.place
    ))
}

/// A deny rule that meets nothing which the allow rules grant.
pub(super) fn idle(policy: &Policy, deny: &Clause) -> Option<String> {
    let allow = policy.allow.all();
    if allow.is_empty() || deny.hosts.is_some() || policy.mode != crate::model::Mode::Enforce {
        return None;
    }
    allow.iter().all(|allow| apart(deny, allow)).then(|| {
        "forbids nothing that a rule grants (sockets that are handed in obey it all the same)"
            .to_owned()
    })
}

/// Whether nothing that the allow rule grants can be forbidden by the deny rule.
fn apart(deny: &Clause, allow: &Clause) -> bool {
    let mut ops = allow.ops;
    if ops.intersects(OpSet::MAKING) {
        // What makes a socket is judged beside what else makes it, and groups are judged on it.
        ops |= OpSet::MAKING | OpSet::JOIN_GROUP;
    }
    if !deny.uses_only && !deny.ops.intersects(ops) {
        return true;
    }
    let same_kind = kinds(&[&deny.kind, &allow.kind]).any(|kind| {
        let ip = [Family::Inet, Family::Inet6];
        let mapped =
            kind.has_ip_addresses() && ip.into_iter().any(|family| deny.kind.denies_family(family));
        allow.kind.allows(kind)
            && (deny.kind.denies_family(kind.family) || mapped)
            && deny.kind.denies(kind)
    });
    let socketless = allow.ops.intersects(OpSet::SOCKETLESS);
    if !same_kind && !socketless {
        return true;
    }
    // Only where it is about peers: local addresses are often the kernel's choice, which no rule names.
    let connecting = OpSet::CONNECT | OpSet::SEND_TO;
    let denied = match (&deny.peer, &deny.local, &deny.either) {
        (Some(peer), None, None) if !peer.any && connecting.contains(deny.ops) => &peer.ip,
        _ => return false,
    };
    let granted = own_nets(allow, OpSet::CONNECT).filter(|_| connecting.contains(allow.ops));
    match (denied, granted) {
        (Some(IpPattern::Nets(denied)), Some(granted)) => {
            disjoint(denied, granted) && !may_embed(granted)
        }
        _ => false,
    }
}
