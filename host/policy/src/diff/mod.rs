//! What a guest gains and loses when one policy takes the place of another.

mod line;
mod part;

use std::fmt;

use ipnet::IpNet;

use crate::check::forbidden;
use crate::compare::{Scope, forbids_as_much, grants_all, may_embed, own_end, shown, without};
use crate::load::Terms;
use crate::model::{AddressPattern, Clause, IpPattern, Limits, Mode, OpSet, Policy, PortRange};

use part::{Named, Part};

/// Which way a difference goes, seen from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Neither more nor less: it is done in another way.
    Other,
    /// It may no longer do something.
    Loss,
    /// It may do something more.
    Gain,
}

/// One difference between two policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which way it goes.
    pub change: Change,
    /// What is different: `may no longer tcp connect 10.0.0.0/8:443 except 10.1.0.0/16`.
    pub text: String,
    /// The rule that it comes from, of the policy that grants (or forbids) it.
    pub rule: Option<String>,
    /// Where that rule stands: `policy.toml:12`.
    pub place: Option<String>,
    /// The operations that it is about.
    ops: OpSet,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            Change::Gain => '+',
            Change::Loss => '-',
            Change::Other => '~',
        };
        write!(f, "{sign} {}", self.text)?;
        match (&self.rule, &self.place) {
            (Some(rule), Some(place)) => write!(f, "  (rule `{rule}`, {place})"),
            _ => Ok(()),
        }
    }
}

impl Difference {
    /// The operations that it is about, by their names in a policy; none where it is about a setting.
    pub fn operations(&self) -> impl Iterator<Item = &'static str> {
        self.ops.names()
    }
}

impl Policy {
    /// What a guest gains and loses when `newer` takes the place of this policy: settings first, then what it
    /// loses, then what it gains. Ids, the order of rules and the way that they are divided make no
    /// difference. Where rules differ in ways that cannot be compared, both sides are listed, so that nothing
    /// is left out; what deny rules take from a grant is listed as theirs.
    ///
    /// ```
    /// use sockgate_policy::Policy;
    /// let old = Policy::allow_line("tcp connect 10.0.0.0/8:443")?;
    /// let new = Policy::allow_line("tcp connect 10.1.0.0/16:443")?;
    /// let lost = &old.diff(&new)[0];
    /// assert_eq!(lost.text, "may no longer tcp connect 10.0.0.0/8:443 except 10.1.0.0/16");
    /// # Ok::<(), sockgate_policy::LoadErrors>(())
    /// ```
    #[must_use]
    pub fn diff(&self, newer: &Policy) -> Vec<Difference> {
        let mut differences = settings(self, newer);
        differences.extend(granted_by_first_alone(self, newer, Change::Loss));
        differences.extend(forbidden_by_first_alone(newer, self, Change::Loss));
        differences.extend(limited_by_first_alone(newer, self, Change::Loss));
        differences.extend(granted_by_first_alone(newer, self, Change::Gain));
        differences.extend(forbidden_by_first_alone(self, newer, Change::Gain));
        differences.extend(limited_by_first_alone(self, newer, Change::Gain));
        differences
    }
}

fn settings(old: &Policy, new: &Policy) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut add = |change, text: String| {
        differences.push(Difference {
            change,
            text,
            rule: None,
            place: None,
            ops: OpSet::all(),
        });
    };
    if old.mode != new.mode {
        let change = match (old.mode, new.mode) {
            (Mode::Enforce, _) => Change::Gain,
            (_, Mode::Enforce) => Change::Loss,
            _ => Change::Other,
        };
        add(
            change,
            format!("mode: {} instead of {}", new.mode.name(), old.mode.name()),
        );
    }
    if old.on_reload != new.on_reload {
        let (new, old) = (new.on_reload.name(), old.on_reload.name());
        add(Change::Other, format!("on-reload: {new} instead of {old}"));
    }
    if old.reveal != new.reveal {
        let change = if new.reveal {
            Change::Gain
        } else {
            Change::Loss
        };
        add(
            change,
            format!("reveal: {} instead of {}", new.reveal, old.reveal),
        );
    }
    limits(&old.limits, &new.limits, add);
    differences
}

/// The guest's limits, key by key.
fn limits(old: &Limits, new: &Limits, mut add: impl FnMut(Change, String)) {
    let (was, is) = (line::limits(old), line::limits(new));
    for key in line::limit_keys() {
        let of = |limits: &[(&str, u64, String)]| {
            let found = limits.iter().find(|(known, ..)| *known == key);
            found.map(|(_, amount, shown)| (*amount, shown.clone()))
        };
        let (change, text) = match (of(&was), of(&is)) {
            (Some((old, was)), Some((new, is))) if old != new => {
                let change = if new > old {
                    Change::Gain
                } else {
                    Change::Loss
                };
                (change, format!("limit {key}: {is} instead of {was}"))
            }
            (Some((_, was)), None) => (Change::Gain, format!("limit {key}: none instead of {was}")),
            (None, Some((_, is))) => (Change::Loss, format!("limit {key}: {is} instead of none")),
            _ => continue,
        };
        add(change, text);
    }
}

/// The allow rules of the first policy that limit what the second's do not limit alike.
fn limited_by_first_alone(first: &Policy, second: &Policy, change: Change) -> Vec<Difference> {
    let alike = |one: &Clause, other: &Clause| {
        one.limits == other.limits
            && one.ops == other.ops
            && one.ops.iter().all(|op| {
                grants_all(one, other, Scope::of(op)) && grants_all(other, one, Scope::of(op))
            })
    };
    let limited = first.allow.all().iter().filter_map(|clause| {
        let limits = clause.limits.as_ref()?;
        (!second.allow.all().iter().any(|other| alike(clause, other))).then_some((clause, limits))
    });
    limited
        .map(|(clause, limits)| {
            let words: Vec<String> = line::limits(limits)
                .into_iter()
                .map(|(key, _, amount)| format!("{key}={amount}"))
                .collect();
            let bare = line::bare(clause, clause.ops, &Part::default());
            let words = words.join(" ");
            Difference {
                change,
                text: match change {
                    Change::Gain => format!("no longer limited: {bare} {words}"),
                    _ => format!("now limited: {bare} {words}"),
                },
                rule: Some(clause.id.to_string()),
                place: Some(clause.place.clone()),
                ops: clause.ops,
            }
        })
        .collect()
}

/// What is left of one rule under one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    /// Of which of its addresses.
    part: Part,
    /// What it comes with, where the rest is granted.
    terms: Option<Terms>,
}

/// What the first policy's allow rules grant and the second's do not.
fn granted_by_first_alone(first: &Policy, second: &Policy, change: Change) -> Vec<Difference> {
    let mut differences = Vec::new();
    for clause in first.allow.all() {
        // Options may be set before there is an address that could be forbidden.
        let options = &clause.options;
        let lists_options = !options.get.0.is_empty() || !options.set.0.is_empty();
        if forbidden(first, clause) && !lists_options {
            continue;
        }
        let mut by_left: Vec<(Left, OpSet)> = Vec::new();
        for op in clause.ops {
            for left in left_of(clause, op, second) {
                match by_left.iter_mut().find(|(known, _)| *known == left) {
                    Some((_, ops)) => *ops |= op,
                    None => by_left.push((left, op)),
                }
            }
        }
        differences.extend(by_left.into_iter().map(|(left, ops)| Difference {
            change,
            text: sentence(clause, &left, ops, change),
            rule: Some(clause.id.to_string()),
            place: Some(clause.place.clone()),
            ops,
        }));
    }
    differences
}

fn sentence(clause: &Clause, left: &Left, ops: OpSet, change: Change) -> String {
    let part = &left.part;
    let except = match part.except.as_slice() {
        [] => String::new(),
        except => format!(" except {}", except.join(", ")),
    };
    let Some(terms) = &left.terms else {
        let may = match change {
            Change::Gain => "may",
            _ => "may no longer",
        };
        return format!("{may} {}{except}", line::grant(clause, ops, part));
    };
    let terms = match terms.as_slice() {
        [] => "another rule's terms".to_owned(),
        _ => line::terms(terms),
    };
    let now = match change {
        Change::Gain => "now",
        _ => "no longer",
    };
    let bare = line::bare(clause, ops, part);
    format!("{bare}{except}: {now} with {terms}")
}

/// What no rule of the other policy grants of this rule under one operation.
fn left_of(clause: &Clause, op: OpSet, other: &Policy) -> Vec<Left> {
    let whole = Scope::of(op);
    let rules = || other.allow.all().iter();
    if rules().any(|rule| grants_all(rule, clause, whole)) {
        return Vec::new();
    }
    let bare = Scope {
        terms: false,
        own_end: !part::is_divisible(clause, op),
        ..whole
    };
    let near: Vec<&Clause> = rules()
        .filter(|rule| grants_all(rule, clause, bare))
        .collect();
    if bare.own_end {
        return vec![Left {
            part: Part::default(),
            terms: near.first().map(|rule| line::lacking_terms(clause, rule)),
        }];
    }
    left_of_pieces(clause, op, &near)
}

/// What rules that grant the rest leave of a rule's IP addresses and ports.
fn left_of_pieces(clause: &Clause, op: OpSet, near: &[&Clause]) -> Vec<Left> {
    let with_terms = Scope {
        own_end: false,
        ..Scope::of(op)
    };
    let named = Named::by(clause, op);
    let ports = part::ports(clause, op);
    let pieces = part::cut(ports, near.iter().filter_map(|rule| part::ports(rule, op)));
    let mut found: Vec<(Left, Vec<PortRange>)> = Vec::new();
    let mut add =
        |left: Left, piece: &PortRange| match found.iter_mut().find(|(known, _)| *known == left) {
            Some((_, ports)) => ports.push(piece.clone()),
            None => found.push((left, vec![piece.clone()])),
        };
    for piece in &pieces {
        let here = || {
            let rules = near.iter().copied();
            rules.filter(|rule| part::covers_ports(rule, op, piece))
        };
        let names = |rules: &mut dyn Iterator<Item = &Clause>| {
            named.without(&rules.map(|rule| Named::by(rule, op)).collect::<Vec<_>>())
        };
        let complete = |rule: &&Clause| grants_all(rule, clause, with_terms);
        let unreached = names(&mut here());
        let left = names(&mut here().filter(complete));
        let reached_less = left != unreached;
        if let Some(part) = unreached {
            add(Left { part, terms: None }, piece);
        }
        if reached_less {
            let rule = here().find(|rule| !complete(rule));
            let terms = rule.map(|rule| line::lacking_terms(clause, rule));
            let part = Part::default();
            let terms = Some(terms.unwrap_or_default());
            add(Left { part, terms }, piece);
        }
    }
    let every = |rule: &Clause| own_end(rule, op).is_none_or(AddressPattern::is_any);
    let some_every = || {
        let mut rules = near.iter();
        rules.any(|rule| every(rule) && grants_all(rule, clause, with_terms))
    };
    let unbound = || every(clause) && !some_every();
    let local = OpSet::LOCAL_KIND.contains(op);
    if found.is_empty() && local && (unbound() || leaves_less_choice(ports, &pieces)) {
        let part = Part::default();
        return vec![Left { part, terms: None }];
    }
    let of_ports = |(mut left, ports): (Left, Vec<PortRange>)| {
        left.part.ports = (ports != pieces).then(|| part::merged(ports));
        left
    };
    found.into_iter().map(of_ports).collect()
}

/// Whether the kernel may choose from the ports, and from no piece of them.
fn leaves_less_choice(ports: Option<&[PortRange]>, pieces: &[PortRange]) -> bool {
    let chosen = |ports: &[PortRange]| ports.iter().any(AddressPattern::is_choice);
    ports.is_some_and(chosen) && !chosen(pieces)
}

/// The networks of a deny rule that is about networks alone.
fn denied_nets(clause: &Clause) -> Option<&[IpNet]> {
    match (&clause.either, &clause.local, &clause.peer) {
        (
            Some(AddressPattern {
                ip: Some(IpPattern::Nets(nets)),
                any: false,
                ..
            }),
            None,
            None,
        ) => Some(nets),
        _ => None,
    }
}

/// What the first policy's deny rules forbid and the second's do not.
fn forbidden_by_first_alone(first: &Policy, second: &Policy, change: Change) -> Vec<Difference> {
    let mut differences = Vec::new();
    for clause in first.deny.all() {
        let rules = || second.deny.all().iter();
        if rules().any(|rule| forbids_as_much(rule, clause, true)) {
            continue;
        }
        let mut but = String::new();
        let mut part = Part::default();
        let networks = |nets: &[IpNet]| nets.iter().map(shown).collect::<Vec<String>>();
        if let Some(nets) = denied_nets(clause).filter(|nets| !may_embed(nets)) {
            let held: Vec<IpNet> = rules()
                .filter(|rule| forbids_as_much(rule, clause, false))
                .filter_map(denied_nets)
                .flatten()
                .copied()
                .collect();
            let (left, parts) = without(nets, &held);
            if left.is_empty() {
                continue;
            }
            if !parts.is_empty() {
                but = format!(" except {}", networks(&parts).join(", "));
            }
            part.names = Some(networks(&left));
        }
        let line = line::deny(clause, &part);
        differences.push(Difference {
            change,
            text: match change {
                Change::Gain => format!("no longer forbidden: {line}{but}"),
                _ => format!("now forbidden: {line}{but}"),
            },
            rule: Some(clause.id.to_string()),
            place: Some(clause.place.clone()),
            ops: if clause.uses_only {
                OpSet::all()
            } else {
                clause.ops
            },
        });
    }
    differences
}

#[cfg(test)]
mod tests;
