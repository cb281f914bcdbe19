//! What is new in a policy, rule by rule.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Clause, Policy};

/// The rules that a policy has and another has not, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rules that are new.
    pub new: Vec<String>,
    /// Rules that are gone.
    pub gone: Vec<String>,
    /// Rules of the same id that say something else.
    pub changed: Vec<String>,
    /// Whether mode, limits or the like are others.
    pub settings: bool,
}

impl Changes {
    /// Whether nothing is new.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

impl fmt::Display for Changes {
    /// `new web, db; gone old; changed dns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("new", &self.new),
            ("gone", &self.gone),
            ("changed", &self.changed),
        ];
        let lists = lists.into_iter().filter(|(_, ids)| !ids.is_empty());
        let mut parts: Vec<String> = lists
            .map(|(what, ids)| format!("{what} {}", ids.join(", ")))
            .collect();
        if self.settings {
            parts.push("other settings".to_owned());
        }
        match parts.as_slice() {
            [] => f.write_str("nothing is new"),
            parts => f.write_str(&parts.join("; ")),
        }
    }
}

impl Policy {
    /// What is new in `newer`.
    #[must_use]
    pub fn changes(&self, newer: &Policy) -> Changes {
        let (before, after) = (said(self), said(newer));
        let missing = |from: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            let ids = from.keys().filter(|id| !other.contains_key(*id));
            ids.cloned().collect()
        };
        let changed = after.iter().filter(|(id, text)| {
            let former = before.get(*id);
            former.is_some_and(|former| former != *text)
        });
        Changes {
            new: missing(&after, &before),
            gone: missing(&before, &after),
            changed: changed.map(|(id, _)| id.clone()).collect(),
            settings: settings(self) != settings(newer),
        }
    }
}

/// What each rule says, wherever it stands.
fn said(policy: &Policy) -> BTreeMap<String, String> {
    let allow = policy.allow.all().iter().map(|clause| ("allow", clause));
    let deny = policy.deny.all().iter().map(|clause| ("deny", clause));
    allow
        .chain(deny)
        .map(|(effect, clause)| {
            let text = Clause {
                place: String::new(),
                ..Clause::clone(clause)
            };
            (clause.id.to_string(), format!("{effect} {text:?}"))
        })
        .collect()
}

fn settings(policy: &Policy) -> String {
    format!(
        "{:?}{:?}{:?}{:?}",
        policy.mode, policy.on_reload, policy.reveal, policy.limits
    )
}
