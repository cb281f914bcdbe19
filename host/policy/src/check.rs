//! Warnings: rules that load, and do not do what their author may think.

use std::fmt;

/// A rule that is valid and that its author may want to look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The id of the rule.
    pub rule: String,
    /// Where it stands: `policy.toml:12`.
    pub place: String,
    /// What is odd about it.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: warning: rule `{}` {}", self.place, self.rule, self.message)
    }
}
