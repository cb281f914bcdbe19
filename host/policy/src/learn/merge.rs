//! One rule for one purpose.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, Keys, Said};
use crate::model::OpSet;

/// Rules for the same purpose become one, as long as that one grants nothing that they do not.
pub(super) fn merged(drafts: Vec<Draft>) -> Vec<Draft> {
    let (names, others): (Vec<_>, Vec<_>) = drafts
        .into_iter()
        .partition(|draft| draft.ops == OpSet::RESOLVE);
    let mut rules = along_each_list(others);
    rules = pairwise(rules, differing_in_one);
    rules = pairwise(rules, same_ends);
    rules = pairwise(rules, differing_in_one);
    let mut left = Vec::new();
    for name in names {
        match rules.iter_mut().find(|rule| is_for_name(rule, &name)) {
            Some(rule) => {
                rule.ops |= OpSet::RESOLVE;
                extend(&mut rule.uses, &name.uses);
            }
            None => left.push(name),
        }
    }
    rules.extend(pairwise(along_each_list(left), differing_in_one));
    rules
}

/// So many rules are compared with each other; with more of them it would take too long.
const MOST_COMPARED: usize = 500;

/// Unites the rules that differ in one list, for one list after the other.
fn along_each_list(mut rules: Vec<Draft>) -> Vec<Draft> {
    let mut lists: BTreeSet<(usize, &'static str)> = BTreeSet::new();
    for rule in &mut rules {
        for (end, keys) in rule.keys().into_iter().enumerate() {
            lists.extend(
                keys.into_iter()
                    .flat_map(|keys| keys.keys().map(move |key| (end, *key))),
            );
        }
    }
    for (end, key) in lists {
        let mut united: BTreeMap<String, Draft> = BTreeMap::new();
        for mut rule in rules {
            let uses = std::mem::take(&mut rule.uses);
            let keys = rule.keys().into_iter().nth(end).flatten();
            let words = keys.and_then(|keys| keys.get_mut(key).map(std::mem::take));
            let same = format!("{rule:?} {}", words.is_some());
            let known = united.entry(same).or_insert(rule);
            extend(&mut known.uses, &uses);
            if let Some(words) = words
                && let Some(keys) = known.keys().into_iter().nth(end).flatten()
            {
                keys.entry(key).or_default().extend(words);
            }
        }
        rules = united.into_values().collect();
    }
    rules
}

fn pairwise(drafts: Vec<Draft>, together: fn(&Draft, &Draft) -> Option<Draft>) -> Vec<Draft> {
    if drafts.len() > MOST_COMPARED {
        return drafts;
    }
    let mut rules: Vec<Draft> = Vec::new();
    for mut draft in drafts {
        // What has grown may go together with another one now.
        while let Some((place, merged)) = rules
            .iter()
            .enumerate()
            .find_map(|(place, known)| Some((place, together(known, &draft)?)))
        {
            rules.remove(place);
            draft = merged;
        }
        rules.push(draft);
    }
    rules
}

/// Whether the rule is for the name that was looked up.
fn is_for_name(rule: &Draft, name: &Draft) -> bool {
    match (hosts(rule), hosts(name)) {
        (Some(ours), Some(theirs)) => ours.is_superset(theirs),
        _ => false,
    }
}

fn hosts(draft: &Draft) -> Option<&BTreeSet<String>> {
    match &draft.peer {
        Said::Keys(keys) => keys.get("host"),
        Said::Nothing | Said::Unbound => None,
    }
}

/// Operations that stand alone: what they name is in keys that only they have.
const ALONE: OpSet = OpSet::JOIN_GROUP
    .union(OpSet::REVERSE_RESOLVE)
    .union(OpSet::INTERFACES)
    .union(OpSet::HOSTNAME)
    .union(OpSet::SET_HOSTNAME);

fn same_ends(one: &Draft, other: &Draft) -> Option<Draft> {
    let ops = one.ops | other.ops;
    if ops == one.ops && ops == other.ops {
        return None;
    }
    let names = OpSet::INTERFACES | OpSet::HOSTNAME | OpSet::SET_HOSTNAME;
    if ops.intersects(ALONE) && !names.contains(ops) {
        return None;
    }
    let mut merged = Draft {
        kind: kinds(one, other)?,
        ops,
        local: either(&one.local, &other.local)?,
        peer: either(&one.peer, &other.peer)?,
        message: either(&one.message, &other.message)?,
        uses: one.uses.clone(),
    };
    extend(&mut merged.uses, &other.uses);
    Some(merged)
}

/// The sockets that both are about. A rule for a name is for all families that it stood for.
fn kinds(one: &Draft, other: &Draft) -> Option<Keys> {
    let mut kinds = one.kind.clone();
    extend(&mut kinds, &other.kind);
    let same = |key: &str| one.kind.get(key) == other.kind.get(key);
    let for_a_name = hosts(one).is_some() && same("type") && same("protocol");
    (one.kind == other.kind || for_a_name).then_some(kinds)
}

fn either(one: &Said, other: &Said) -> Option<Said> {
    match (one, other) {
        (Said::Nothing, said) | (said, Said::Nothing) => Some(said.clone()),
        (one, other) => (one == other).then(|| one.clone()),
    }
}

fn differing_in_one(one: &Draft, other: &Draft) -> Option<Draft> {
    if one.ops != other.ops {
        return None;
    }
    let mut merged = one.clone();
    extend(&mut merged.uses, &other.uses);
    let mut differing = 0;
    for (ours, theirs) in [
        (&mut merged.local, &other.local),
        (&mut merged.peer, &other.peer),
        (&mut merged.message, &other.message),
    ] {
        match (&mut *ours, theirs) {
            // What heard nobody is granted by what hears somebody.
            (Said::Nothing, theirs) => *ours = theirs.clone(),
            (_, Said::Nothing) => {}
            (Said::Keys(ours), Said::Keys(theirs)) => differing += union(ours, theirs)?,
            (ours, theirs) if *ours == *theirs => {}
            _ => return None,
        }
    }
    differing += union(&mut merged.kind, &other.kind)?;
    (differing <= 1).then_some(merged)
}

/// Unites lists of the same keys; how many of them differed.
fn union(ours: &mut Keys, theirs: &Keys) -> Option<usize> {
    if !ours.keys().eq(theirs.keys()) {
        return None;
    }
    let mut differing = 0;
    for (key, words) in theirs {
        let ours = ours.get_mut(key)?;
        if ours != words {
            ours.extend(words.iter().cloned());
            differing += 1;
        }
    }
    Some(differing)
}

fn extend(ours: &mut Keys, theirs: &Keys) {
    for (key, words) in theirs {
        ours.entry(key).or_default().extend(words.iter().cloned());
    }
}
