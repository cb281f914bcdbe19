//! Compiles the keys of the families beyond IP and Unix.

use super::error::{Fault, suggest};
use super::rule::{Ends, Rule, Span, Word};
use crate::family::{About, FamilyPattern, GROUPS, Group, Key, KeyPattern, groups_with};
use crate::kind::{Family, SocketType};

/// Which families and types a rule lists.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'r> {
    pub(crate) families: Option<&'r [Family]>,
    pub(crate) types: Option<&'r [SocketType]>,
}

impl Scope<'_> {
    fn touches(&self, group: &Group) -> bool {
        let families = self.families.unwrap_or(&[Family::Inet, Family::Inet6]);
        let family = families
            .iter()
            .any(|family| group.families.contains(family));
        let raw = self
            .types
            .is_some_and(|types| types.contains(&SocketType::Raw));
        family && (!group.raw_only || raw)
    }

    /// The groups whose keys sockets of the rule have.
    fn groups(&self) -> impl Iterator<Item = &'static Group> {
        GROUPS.iter().copied().filter(|group| self.touches(group))
    }

    /// The one group that all the rule's families belong to.
    pub(crate) fn group(&self) -> Option<&'static Group> {
        let group = self.groups().next()?;
        let families = self.families.unwrap_or(&[Family::Inet, Family::Inet6]);
        families
            .iter()
            .all(|family| group.families.contains(family))
            .then_some(group)
    }
}

/// What stands in one end under the keys of a group, `interface` and `port` included, which other families
/// have as well.
fn written<'r>(
    group: &'static Group,
    ends: &'r Ends,
    rule: &'r Rule,
    top: bool,
) -> impl Iterator<Item = (&'static Key, Word)> + use<'r> {
    let shared = [
        ("port", ends.port.as_ref()),
        ("interface", rule.interface.as_ref().filter(|_| top)),
    ];
    let shared = shared
        .into_iter()
        .filter_map(|(name, list)| Some((group.key(name)?, Word::List(list?.clone()))));
    let own = ends
        .family
        .iter()
        .filter_map(|(name, word)| Some((group.key(name)?, word.clone())));
    shared.chain(own)
}

fn read(key: &'static Key, word: &Word, deny: bool, faults: &mut Vec<Fault>) -> KeyPattern {
    match word {
        Word::List(list) => KeyPattern::read(key, list, faults),
        Word::Flag(flag) if deny => KeyPattern::denied_flag(key, flag.value),
        Word::Flag(flag) => KeyPattern::flag(key, flag.value),
    }
}

/// The address keys of one end; `None` if it has none.
pub(crate) fn address(
    group: &'static Group,
    ends: &Ends,
    rule: &Rule,
    top: bool,
    faults: &mut Vec<Fault>,
) -> Option<FamilyPattern> {
    let mut keys: Vec<KeyPattern> = written(group, ends, rule, top)
        .filter(|(key, _)| key.about == About::Address)
        .map(|(key, word)| read(key, &word, rule.deny, faults))
        .collect();
    if top && !rule.deny {
        let missing = group.keys.iter().filter(|key| {
            key.about == About::Address && !keys.iter().any(|known| std::ptr::eq(known.key, *key))
        });
        let unwritten: Vec<KeyPattern> = missing.filter_map(KeyPattern::unwritten).collect();
        keys.extend(unwritten);
    }
    (!keys.is_empty()).then_some(FamilyPattern { group, keys })
}

/// The keys about messages, with what an allow rule means that does not write them.
pub(crate) fn messages(rule: &Rule, scope: Scope<'_>, faults: &mut Vec<Fault>) -> Vec<KeyPattern> {
    let mut patterns: Vec<KeyPattern> = Vec::new();
    if let Some(group) = scope.group() {
        let keys =
            written(group, &rule.top, rule, true).filter(|(key, _)| key.about == About::Message);
        patterns.extend(keys.map(|(key, word)| read(key, &word, rule.deny, faults)));
    }
    if rule.deny {
        return patterns;
    }
    let keys = scope
        .groups()
        .flat_map(|group| group.keys)
        .filter(|key| key.about == About::Message);
    let unwritten: Vec<KeyPattern> = keys
        .filter(|key| !patterns.iter().any(|known| std::ptr::eq(known.key, *key)))
        .filter_map(KeyPattern::unwritten)
        .collect();
    patterns.extend(unwritten);
    patterns
}

/// Faults about keys that the rule's families do not have, and about those of messages in an address.
pub(crate) fn check(rule: &Rule, scope: Scope<'_>, faults: &mut Vec<Fault>) {
    let ends = [
        (Some(&rule.top), true),
        (rule.local.as_ref(), false),
        (rule.peer.as_ref(), false),
    ];
    for (ends, top) in ends {
        for (name, word) in ends.into_iter().flat_map(|ends| &ends.family) {
            check_key(name, word.at(), top, scope, faults);
        }
    }
}

fn check_key(name: &str, at: Span, top: bool, scope: Scope<'_>, faults: &mut Vec<Fault>) {
    let Some(group) = scope.group() else {
        let owners: Vec<String> = groups_with(name)
            .flat_map(|group| group.families)
            .map(|family| format!("`family = [\"{family}\"]`"))
            .collect();
        let message = format!("`{name}` stands only in a rule about one family that has it");
        let help = format!("write a rule of its own with {}", owners.join(" or "));
        return faults.push(Fault::new(at, message, help));
    };
    let families: Vec<String> = group.families.iter().map(ToString::to_string).collect();
    match group.key(name) {
        None => faults.push(Fault::new(
            at,
            format!("family `{}` has no key `{name}`", families.join("`, `")),
            suggest(name, group.keys.iter().map(|key| key.name)),
        )),
        Some(key) if key.about == About::Message && !top => faults.push(Fault::new(
            at,
            format!("`{name}` is about messages, not about an address"),
            format!(
                "write it at the top of the rule: `{name} = {}`",
                key.example
            ),
        )),
        Some(_) => {}
    }
}
