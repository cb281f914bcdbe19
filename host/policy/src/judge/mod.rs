//! The verdict: one question against all clauses that could matter.

mod ask;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use ask::{Ask, End, Inspected, Query, What};

use crate::address::Address;
use crate::denial::Reason;
use crate::family::{ALG_ANCILLARY, Part, Value};
use crate::kind::{Family, Kind, SocketType};
use crate::message::{DescriptorKind, DescriptorKinds};
use crate::model::{AddressPattern, Clause, HostPattern, Limits, OpSet, Policy, Side};
use crate::option::{HEADER_OPTIONS, OptionName, REUSEADDR};
use crate::permit::{Cargo, RuleId, UnixPlace};

/// Which addresses a name's answers are pinned to, seen by the judge.
pub(crate) trait Pinned {
    /// When the longest-lived pin of this address under one of the names ends, given how long a pin
    /// lives; `None` if there is none (or, unless `expired` ones count, none that still lives).
    fn until(
        &self,
        hosts: &[HostPattern],
        ip: IpAddr,
        lifetime: Duration,
        now: Instant,
        expired: bool,
    ) -> Option<Instant>;

    /// The names that the address was resolved from.
    fn names(&self, ip: IpAddr, name: &mut dyn FnMut(&str));
}

/// What the granting rules say together.
pub(crate) struct Grant {
    pub(crate) rule: RuleId,
    pub(crate) expires: Option<Instant>,
    /// The rule's own, until another one or a deny rule changes it.
    pub(crate) cargo: Arc<Cargo>,
    /// The places of pathnames, and how to make them, from the first granting rule.
    pub(crate) peer_place: Option<Box<UnixPlace>>,
    pub(crate) local_place: Option<Box<UnixPlace>>,
    pub(crate) mode: Option<u32>,
    pub(crate) replace_stale: bool,
    /// The granting rules that have limits.
    pub(crate) limited: Vec<RuleId>,
}

/// The deny rule that forbids what is asked, if there is one.
pub(crate) fn forbidding<'p>(policy: &'p Policy, ask: &Ask<'_>) -> Option<&'p Clause> {
    match (ask.kind, &ask.what) {
        _ if policy.deny.all().is_empty() => None,
        (Some(_), What::Membership(..)) | (None, _) => {
            let mut all = policy.deny.all().iter();
            all.find(|clause| forbids(clause, ask))
        }
        (Some(_), _) => {
            let mut candidates = policy.deny.candidates(ask.known());
            candidates.find(|clause| forbids(clause, ask))
        }
    }
}

fn forbids(clause: &Clause, ask: &Ask<'_>) -> bool {
    if clause.uses_only {
        return denies_option(clause, ask);
    }
    let denied = match ask.what {
        // A socket is made for whatever is left: one operation less does not keep it from the others.
        What::Create => clause.ops.contains(ask.denied_by),
        _ => clause.ops.intersects(ask.denied_by),
    };
    if !denied {
        return false;
    }
    match ask.kind {
        Some(kind) if let What::Membership(_, part) = &ask.what => {
            denies_socket(clause, kind) && touches_membership(clause, part)
        }
        Some(kind) => touches_socket(clause, kind, ask) && is_about(clause, ask, true),
        None => {
            let socket_keys = !clause.kind.is_any()
                || (clause.has_addresses() && !matches!(ask.what, What::Ip(_)))
                || clause.local.is_some();
            !(clause.every_op && socket_keys) && is_about(clause, ask, true)
        }
    }
}

/// A deny rule that only takes away uses acts on options here, on flags and ancillary data in `cargo`.
fn denies_option(clause: &Clause, ask: &Ask<'_>) -> bool {
    let Some(kind) = ask.kind else { return false };
    let listed = match &ask.what {
        What::GetOption(option) => clause.options.get.cover_get(*option),
        What::SetOption(option, value) => {
            clause
                .options
                .set
                .cover_set(*option, value.as_deref(), true)
        }
        // An option that was set before the address was known counts against the address.
        What::Nothing => ask
            .options
            .iter()
            .any(|(option, value)| clause.options.set.cover_set(option, value, true)),
        _ => false,
    };
    listed && touches_socket(clause, kind, ask)
}

/// Whether a deny rule is about sockets of the kind.
fn denies_socket(clause: &Clause, kind: Kind) -> bool {
    clause.kind.denies_family(kind.family) && clause.kind.denies(kind)
}

/// Whether a deny rule touches what a membership would bring, under all of its keys.
fn touches_membership(clause: &Clause, part: &Part) -> bool {
    let ends = [
        clause.either.as_ref(),
        clause.local.as_deref(),
        clause.peer.as_ref(),
    ];
    let ends = ends.into_iter().flatten();
    // What names addresses of another family is about no such socket.
    if !ends
        .clone()
        .all(|pattern| pattern.any || pattern.family.is_some())
    {
        return false;
    }
    ends.flat_map(AddressPattern::family_keys)
        .chain(&clause.messages)
        .all(|pattern| {
            part.value(pattern.key.name)
                .is_some_and(|value| pattern.touches(value))
        })
}

/// Whether an allow rule covers what a membership brings.
fn covers_membership(clause: &Clause, part: &Part) -> bool {
    clause
        .local
        .as_deref()
        .into_iter()
        .flat_map(AddressPattern::family_keys)
        .chain(&clause.messages)
        .all(|pattern| {
            part.value(pattern.key.name)
                .is_none_or(|value| pattern.covers(value, Side::Local))
        })
}

/// Whether a deny rule's kind and addresses touch the socket of the question. What is not known yet is
/// not touched: it is judged once it is known.
fn touches_socket(clause: &Clause, kind: Kind, ask: &Ask<'_>) -> bool {
    let local = ask.local.address();
    let peer = ask.peer.address();
    let family = clause.kind.denies_family(kind.family)
        || local.is_some_and(|address| clause.kind.denies_family(address.family()))
        || peer.is_some_and(|address| clause.kind.denies_family(address.family()));
    if !family || !clause.kind.denies(kind) || !clause.keys_apply(kind) {
        return false;
    }
    // What is in a message is not known before there is one.
    let message_touched = clause.messages.is_empty()
        || ask
            .content
            .as_ref()
            .is_some_and(|content| content.touched_by(&clause.messages));
    if !message_touched {
        return false;
    }
    let explicit_local = OpSet::LOCAL_KIND.contains(clause.ops);
    let touches_any = |pattern: &AddressPattern| {
        pattern.is_any() && (kind.has_ip_addresses() || pattern.ip.is_none())
    };
    let local_touched = clause.local.as_deref().is_none_or(|pattern| match local {
        Some(address) => pattern.touches(address, true),
        None => touches_any(pattern),
    });
    let touches_peer = |pattern: &AddressPattern, address: &Address| {
        let content = ask.content.as_deref();
        pattern.touches(address, false)
            || content.is_some_and(|content| pattern.touches_message(address, content))
    };
    let peer_touched = clause.peer.as_ref().is_none_or(|pattern| match peer {
        Some(address) => touches_peer(pattern, address),
        None => touches_any(pattern),
    });
    let either_touched = clause.either.as_ref().is_none_or(|pattern| {
        let at_local = local.is_some_and(|address| {
            // A wildcard is no reserved address, though its number is.
            let by_class = address.is_wildcard() && pattern.names_classes();
            let open = by_class || pattern.leaves_open(address);
            pattern.touches(address, explicit_local) && (explicit_local || !open)
        });
        at_local
            || peer.is_some_and(|address| touches_peer(pattern, address))
            || touches_any(pattern)
    });
    local_touched && peer_touched && either_touched
}

/// Whether the clause is about what the question is about.
fn is_about(clause: &Clause, ask: &Ask<'_>, deny: bool) -> bool {
    match &ask.what {
        What::Nothing | What::Create | What::Hostname(_) => true,
        What::GetOption(option) => clause.options.get.cover_get(*option),
        What::SetOption(option, value) => lists_option(clause, *option, value.as_deref()),
        What::Host(host) => {
            clause.names_host(host) || (deny && clause.hosts.is_none() && !clause.has_addresses())
        }
        What::Ip(ip) => [clause.peer.as_ref(), clause.either.as_ref()]
            .into_iter()
            .flatten()
            .all(|pattern| {
                if deny {
                    pattern.touches_ip(*ip)
                } else {
                    pattern.covers_ip(*ip)
                }
            }),
        What::Group(request) => clause.groups.covers(request, deny),
        What::Membership(_, part) => covers_membership(clause, part),
        What::Ioctl(name) => {
            (deny && clause.ioctls.is_empty())
                || clause.ioctls.iter().any(|known| **known == **name)
        }
        What::Descriptor(kind) => clause.descriptors.contains(DescriptorKinds::from(*kind)),
    }
}

/// Whether an allow rule lists the option for setting, by itself or by what it carries.
fn lists_option(clause: &Clause, option: OptionName, value: Option<&[u8]>) -> bool {
    (option == REUSEADDR && clause.ops.contains(OpSet::LISTEN))
        || (HEADER_OPTIONS.contains(&option) && includes_headers(clause))
        || clause.options.set.cover_set(option, value, false)
}

/// Whether the rule says `header-include = true`, which carries the options that switch it on.
pub(crate) fn includes_headers(clause: &Clause) -> bool {
    let included = Value::Number(1);
    let mut patterns = clause.messages.iter();
    patterns.any(|pattern| {
        pattern.key.name == "header-include" && pattern.covers(&included, Side::Peer)
    })
}

/// The first option that was set and that the clause does not list.
pub(crate) fn unlisted_option(clause: &Clause, ask: &Ask<'_>) -> Option<OptionName> {
    let kind = ask.kind?;
    let stream = kind.socket_type == SocketType::Stream;
    ask.options
        .iter()
        .find(|(option, value)| {
            let carried = (stream && *option == REUSEADDR && clause.ops.contains(OpSet::LISTEN))
                || (HEADER_OPTIONS.contains(option) && includes_headers(clause));
            !option.needs_no_listing(kind)
                && !carried
                && !clause.options.set.cover_set(*option, *value, false)
        })
        .map(|(option, _)| option)
}

/// Which key of an allow rule does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Miss {
    Ops,
    Family,
    Type,
    Peer,
    Local,
    Pin,
    What,
    Message,
    /// A limit of the rule, which cannot be held to where the operation is done.
    Limit(&'static str),
    Option(OptionName),
}

/// Checks one allow rule: when its grant ends, or the first key that does not match.
pub(crate) fn examine(
    clause: &Clause,
    ask: &Ask<'_>,
    pins: &dyn Pinned,
    now: fn() -> Instant,
) -> Result<Option<Instant>, Miss> {
    if !clause.ops.intersects(ask.ops) {
        return Err(Miss::Ops);
    }
    let mut expires = None;
    if let Some(kind) = ask.kind {
        examine_kind(clause, kind, ask)?;
        expires = examine_addresses(clause, kind, ask, pins, now)?;
    }
    if !is_about(clause, ask, false) {
        return Err(Miss::What);
    }
    if ask.uncounted
        && let Some(key) = clause.limits.as_deref().and_then(Limits::key_of_sockets)
    {
        return Err(Miss::Limit(key));
    }
    match unlisted_option(clause, ask) {
        Some(option) => Err(Miss::Option(option)),
        None => Ok(expires),
    }
}

fn examine_kind(clause: &Clause, kind: Kind, ask: &Ask<'_>) -> Result<(), Miss> {
    let ends = [ask.local.address(), ask.peer.address()];
    let families = ends.into_iter().flatten().all(|address| {
        // A mapped address is one of another family than its socket; those of RDS always are.
        let mapped =
            address.family() != kind.family && !matches!(kind.family, Family::Rds | Family::Smc);
        !mapped || clause.kind.lists_family(address.family())
    });
    if !families || !clause.kind.lists_family(kind.family) {
        return Err(Miss::Family);
    }
    if clause.kind.allows(kind) && clause.keys_apply(kind) {
        Ok(())
    } else {
        Err(Miss::Type)
    }
}

fn examine_addresses(
    clause: &Clause,
    kind: Kind,
    ask: &Ask<'_>,
    pins: &dyn Pinned,
    now: fn() -> Instant,
) -> Result<Option<Instant>, Miss> {
    let mut expires = None;
    let mut by_name = false;
    if let Some(pattern) = &clause.peer {
        let covered = match ask.peer.address() {
            Some(address) => pattern.covers(address, Side::Peer, &mut |hosts, ip| {
                let class_fits = clause.accepts_answer(ip);
                let until = pins
                    .until(hosts, ip, clause.pin, now(), ask.expired_pins)
                    .filter(|_| class_fits);
                by_name = true;
                expires = until;
                until.is_some()
            }),
            None => true,
        };
        if !covered {
            return Err(if by_name { Miss::Pin } else { Miss::Peer });
        }
    }
    if let Some(pattern) = &clause.local {
        // No name tells a local address.
        let covers = |address| pattern.covers(address, ask.local_side, &mut |_, _| false);
        let covered = match &ask.local {
            End::At(address) => covers(address),
            End::Unbound if matches!(kind.family, Family::Unix | Family::Netlink) => {
                covers(&crate::model::unbound(kind.family))
            }
            End::Unbound => pattern.is_any() || pattern.is_of_one_place(),
            End::Open => true,
        };
        if !covered {
            return Err(Miss::Local);
        }
    }
    if let Some(content) = &ask.content {
        // What a message says of itself has to be covered where an address says it as well.
        let address_keys = clause
            .peer
            .as_ref()
            .map_or(&[][..], |peer| peer.family_keys());
        if !content.covered_by(&clause.messages) || !content.covered_by(address_keys) {
            return Err(Miss::Message);
        }
    }
    Ok(if ask.expired_pins { None } else { expires })
}

/// The allow rules that could grant what is asked.
fn candidates<'p>(
    policy: &'p Policy,
    ask: &Ask<'_>,
    pins: &dyn Pinned,
) -> impl Iterator<Item = &'p Clause> {
    let family = ask.kind.map(|kind| kind.family);
    let pinned = |ip, name: &mut dyn FnMut(&str)| pins.names(ip, name);
    policy
        .allow
        .candidates(family, ask.ops, ask.known(), pinned)
}

/// The verdict, without regard to the mode.
pub(crate) fn judge(
    policy: &Policy,
    ask: &Ask<'_>,
    pins: &dyn Pinned,
    now: fn() -> Instant,
) -> Result<Grant, Reason> {
    for local in ask.further_locals.iter() {
        let ask = Ask {
            local: End::At(Cow::Borrowed(local)),
            further_locals: Cow::Borrowed(&[]),
            ..ask.clone()
        };
        judge_at_one(policy, &ask, pins, now)?;
    }
    judge_at_one(policy, ask, pins, now)
}

/// The verdict on a socket with one local address.
fn judge_at_one(
    policy: &Policy,
    ask: &Ask<'_>,
    pins: &dyn Pinned,
    now: fn() -> Instant,
) -> Result<Grant, Reason> {
    if let Some(clause) = forbidding(policy, ask) {
        return Err(Reason::Rule(clause.id.clone()));
    }
    let family = ask.kind.map(|kind| kind.family);
    let mut grant: Option<Grant> = None;
    for clause in candidates(policy, ask, pins) {
        let Ok(expires) = examine(clause, ask, pins, now) else {
            continue;
        };
        match &mut grant {
            None => grant = Some(Grant::of(clause, expires, ask)),
            Some(grant) => grant.join(clause, expires),
        }
    }
    let mut grant = match grant {
        Some(grant) => grant,
        None if ask.granted => Grant::without_rule("(granted)"),
        None => return Err(Reason::NoRule),
    };
    if matches!(ask.what, What::Nothing) {
        if family == Some(Family::Alg) {
            let cargo = Arc::make_mut(&mut grant.cargo);
            cargo.ancillary_out.insert(ALG_ANCILLARY);
        }
        add_descriptors(policy, ask, pins, now, &mut grant.cargo);
        take_denied_uses(policy, ask, &mut grant.cargo);
    }
    Ok(grant)
}

impl Grant {
    fn of(clause: &Clause, expires: Option<Instant>, ask: &Ask<'_>) -> Grant {
        let place = |end: &End<'_>, pattern: Option<&AddressPattern>| match end.address() {
            Some(Address::Unix(crate::address::UnixAddress::Pathname(path))) => {
                let place = pattern.and_then(|pattern| pattern.place_of(path));
                place.map(Box::new)
            }
            _ => None,
        };
        Grant {
            rule: clause.id.clone(),
            expires,
            cargo: clause.carried.cargo.clone(),
            peer_place: place(&ask.peer, clause.peer.as_ref()),
            local_place: place(&ask.local, clause.local.as_deref()),
            mode: clause.mode,
            replace_stale: clause.replace_stale,
            limited: limited(clause).collect(),
        }
    }

    pub(crate) fn without_rule(name: &str) -> Grant {
        Grant {
            rule: RuleId::new(name),
            expires: None,
            cargo: Arc::new(Cargo::bare()),
            peer_place: None,
            local_place: None,
            mode: None,
            replace_stale: false,
            limited: Vec::new(),
        }
    }

    /// Adds what another granting rule says. The verdict ends with the first pin that ends, since what
    /// remains has to be judged anew.
    fn join(&mut self, clause: &Clause, expires: Option<Instant>) {
        Arc::make_mut(&mut self.cargo).add(&clause.carried);
        self.limited.extend(limited(clause));
        self.expires = match (self.expires, expires) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

fn limited(clause: &Clause) -> impl Iterator<Item = RuleId> {
    clause.limits.iter().map(|_| clause.id.clone())
}

/// Descriptors pass where a rule with that operation covers the very socket; a rule that also makes
/// sockets speaks of those that it makes.
fn add_descriptors(
    policy: &Policy,
    ask: &Ask<'_>,
    pins: &dyn Pinned,
    now: fn() -> Instant,
    cargo: &mut Arc<Cargo>,
) {
    if ask.kind.is_none_or(|kind| kind.family != Family::Unix) {
        return;
    }
    for (op, outwards) in [
        (OpSet::DESCRIPTOR_SEND, true),
        (OpSet::DESCRIPTOR_RECEIVE, false),
    ] {
        for kind in [DescriptorKind::Socket, DescriptorKind::Opaque] {
            let question = Ask {
                ops: op,
                denied_by: op,
                what: What::Descriptor(kind),
                ..ask.clone()
            };
            if forbidding(policy, &question).is_some()
                || !passes_descriptor(policy, &question, pins, now)
            {
                continue;
            }
            let cargo = Arc::make_mut(cargo);
            let kinds = if outwards {
                &mut cargo.descriptors_out
            } else {
                &mut cargo.descriptors_in
            };
            *kinds |= DescriptorKinds::from(kind);
        }
    }
}

/// The rule that lets a descriptor pass.
pub(crate) fn descriptor_rule<'p>(
    policy: &'p Policy,
    ask: &Ask<'_>,
    pins: &dyn Pinned,
    now: fn() -> Instant,
) -> Option<&'p Clause> {
    candidates(policy, ask, pins).find(|clause| {
        let making = clause.ops.intersection(OpSet::MAKING);
        (making.is_empty() || making.intersects(ask.via)) && examine(clause, ask, pins, now).is_ok()
    })
}

fn passes_descriptor(
    policy: &Policy,
    ask: &Ask<'_>,
    pins: &dyn Pinned,
    now: fn() -> Instant,
) -> bool {
    descriptor_rule(policy, ask, pins, now).is_some()
}

/// Deny rules with `flags` and `ancillary` take them out of what others grant.
pub(crate) fn take_denied_uses(policy: &Policy, ask: &Ask<'_>, cargo: &mut Arc<Cargo>) {
    let Some(kind) = ask.kind.filter(|_| !policy.deny.all().is_empty()) else {
        return;
    };
    for clause in policy.deny.candidates(ask.known()) {
        if clause.uses_only && touches_socket(clause, kind, ask) {
            let cargo = Arc::make_mut(cargo);
            cargo.flags -= clause.carried.flags;
            cargo.ancillary_out.remove(&clause.carried.ancillary_out);
            cargo.ancillary_in.remove(&clause.carried.ancillary_in);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
