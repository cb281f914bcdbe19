//! Warnings: rules that load, and do not do what their author may think.

mod never;
mod shadow;

use std::fmt;

use crate::model::{Clause, Policy};

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
    /// Rules that can never match, of which deny rules leave nothing, that add nothing to another one, or that
    /// do less than they seem to; and groups that no rule names.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.remarks.warnings.clone();
        for clause in self.deny.all() {
            let odd = never::deny_host(clause).or_else(|| shadow::idle(self, clause));
            warn(&mut warnings, clause, odd);
        }
        for (place, clause) in self.allow.all().iter().enumerate() {
            // One that never matches says it all.
            let never = never::never_matches(clause)
                .or_else(|| never::unresolvable(self, clause))
                .or_else(|| shadow::forbidden(self, clause));
            if never.is_some() {
                warn(&mut warnings, clause, never);
                continue;
            }
            warn(
                &mut warnings,
                clause,
                never::nothing_to_answer(self, clause),
            );
            warn(&mut warnings, clause, never::nothing_to_hear(self, clause));
            warn(&mut warnings, clause, never::unused_terms(clause));
            warn(&mut warnings, clause, shadow::redundant(self, place));
        }
        warnings
    }
}

/// Whether deny rules leave nothing of an allow rule.
pub(crate) fn forbidden(policy: &Policy, clause: &Clause) -> bool {
    shadow::forbidden(policy, clause).is_some()
}

fn warn(warnings: &mut Vec<Warning>, clause: &Clause, message: Option<String>) {
    warnings.extend(message.map(|message| Warning {
        rule: Some(clause.id.to_string()),
        place: clause.place.clone(),
        message,
    }));
}

#[cfg(test)]
mod tests;
