//! Warnings: rules that load, and do not do what their author may think.

use std::fmt;

use crate::class::ClassSet;
use crate::kind::{Family, SocketType, TCP, UDP};
use crate::model::{AddressPattern, Clause, HostPattern, IpPattern, OpSet, Policy};

/// A rule that is valid and that its author may want to look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The id of the rule, if it is about one.
    pub rule: Option<String>,
    /// Where it stands: `policy.toml:12`.
    pub place: String,
    /// What is odd about it; where it is about a rule, as the rest of a sentence that begins with that.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: warning: ", self.place)?;
        if let Some(rule) = &self.rule {
            write!(f, "rule `{rule}` ")?;
        }
        f.write_str(&self.message)
    }
}

impl Policy {
    /// Rules that can never match, that a deny rule leaves nothing of, or that do less than they seem to.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.remarks.warnings.clone();
        for clause in self.deny.all() {
            warn(&mut warnings, clause, deny_host(clause));
        }
        for clause in self.allow.all() {
            warn(&mut warnings, clause, never_matches(clause));
            warn(&mut warnings, clause, unresolvable(self, clause));
            warn(&mut warnings, clause, nothing_to_answer(self, clause));
            warn(&mut warnings, clause, shadow(self, clause));
        }
        warnings
    }
}

fn warn(warnings: &mut Vec<Warning>, clause: &Clause, message: Option<String>) {
    warnings.extend(message.map(|message| Warning {
        rule: Some(clause.id.to_string()),
        place: clause.place.clone(),
        message,
    }));
}

fn deny_host(clause: &Clause) -> Option<String> {
    let message = "names a host, which in a deny rule acts on `resolve` only: what the name stands for stays reachable by address";
    (clause.hosts.is_some()).then(|| message.to_owned())
}

fn never_matches(clause: &Clause) -> Option<String> {
    let only = |types: &[SocketType]| {
        clause
            .kind
            .types
            .as_ref()
            .is_some_and(|known| known.iter().all(|known| types.contains(known)))
    };
    if let Some(protocols) = &clause.kind.protocols {
        if only(&[SocketType::Stream]) && protocols.iter().all(|protocol| protocol.number() == UDP)
        {
            return Some("never matches: streams are not of protocol udp".to_owned());
        }
        if only(&[SocketType::Datagram])
            && protocols.iter().all(|protocol| protocol.number() == TCP)
        {
            return Some("never matches: datagrams are not of protocol tcp".to_owned());
        }
    }
    if let Some(families) = &clause.kind.families {
        for pattern in [&clause.local, &clause.peer].into_iter().flatten() {
            if let Some(message) = unreachable_family(families, pattern) {
                return Some(message);
            }
        }
    }
    None
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
    match (families.contains(&Family::Inet), families.contains(&Family::Inet6)) {
        (true, false) if !four => Some("never matches: it is about `inet` and names IPv6 networks alone".to_owned()),
        (false, true) if !six => {
            Some("never matches: it is about `inet6` and names IPv4 networks alone (mapped addresses count as `inet`)".to_owned())
        }
        _ => None,
    }
}

/// A rule that grants something to a name that nothing lets the guest resolve.
fn unresolvable(policy: &Policy, clause: &Clause) -> Option<String> {
    let hosts = clause.hosts.as_ref()?;
    let resolving = || {
        policy
            .allow
            .all()
            .iter()
            .filter(|other| other.ops.contains(OpSet::RESOLVE))
    };
    let lost = hosts.iter().find(|host| {
        !resolving()
            .filter_map(|other| other.hosts.as_ref())
            .flatten()
            .any(|other| overlap(host, other))
    })?;
    Some(format!(
        "never matches for `{lost}`: no rule grants `resolve` for it"
    ))
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

fn nothing_to_answer(policy: &Policy, clause: &Clause) -> Option<String> {
    let receives = || {
        policy
            .allow
            .all()
            .iter()
            .any(|other| other.ops.contains(OpSet::RECEIVE))
    };
    (clause.ops.contains(OpSet::REPLY) && !receives()).then(|| {
        "grants `reply`, and no rule grants `receive`: there is nothing to answer".to_owned()
    })
}

/// A deny rule that leaves nothing of an allow rule.
fn shadow(policy: &Policy, clause: &Clause) -> Option<String> {
    policy
        .deny
        .all()
        .iter()
        .find(|deny| shadows(deny, clause))
        .map(|deny| {
            format!(
                "never matches: deny rule `{}` ({}) forbids all of it",
                deny.id, deny.place
            )
        })
}

fn shadows(deny: &Clause, allow: &Clause) -> bool {
    let partly = deny.uses_only || deny.hosts.is_some() || !deny.messages.is_empty();
    if partly || !deny.ops.contains(allow.ops) {
        return false;
    }
    if !lists_all(&deny.kind.types, &allow.kind.types)
        || !lists_all(&deny.kind.protocols, &allow.kind.protocols)
    {
        return false;
    }
    if !lists_all(&deny.kind.families, &allow.kind.families) {
        return false;
    }
    let peer = deny
        .peer
        .as_ref()
        .is_none_or(|pattern| swallows(pattern, allow.peer.as_ref()));
    let local = deny
        .local
        .as_ref()
        .is_none_or(|pattern| swallows(pattern, allow.local.as_ref()));
    let either = deny.either.as_ref().is_none_or(|pattern| {
        swallows(pattern, allow.peer.as_ref()) || swallows(pattern, allow.local.as_ref())
    });
    peer && local
        && either
        && !(deny.every_op && allow.ops.intersects(OpSet::SOCKETLESS) && deny.has_addresses())
}

fn lists_all<T: PartialEq>(wide: &Option<Vec<T>>, narrow: &Option<Vec<T>>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow.iter().all(|item| wide.contains(item)),
    }
}

/// Whether every address of the narrow pattern is touched by the wide one, as far as that is plain.
fn swallows(wide: &AddressPattern, narrow: Option<&AddressPattern>) -> bool {
    let Some(narrow) = narrow else {
        return wide.any;
    };
    if wide.any {
        return true;
    }
    if wide.ports.is_some() || narrow.unix.is_some() {
        return false;
    }
    match (&wide.ip, &narrow.ip) {
        (Some(IpPattern::Any), Some(_)) => true,
        (Some(IpPattern::Nets(wide)), Some(IpPattern::Nets(narrow))) => narrow
            .iter()
            .all(|net| wide.iter().any(|wide| wide.contains(net))),
        (Some(IpPattern::Classes(wide)), Some(IpPattern::Classes(narrow))) => {
            wide.contains(*narrow)
        }
        (Some(IpPattern::Classes(wide)), Some(IpPattern::Nets(narrow))) => {
            narrow.iter().all(|net| {
                let one = crate::class::classify(net.addr());
                net.prefix_len() == net.max_prefix_len()
                    && wide.contains(one)
                    && one != ClassSet::empty()
            })
        }
        _ => false,
    }
}
