//! Denials: what was asked, and what would have granted it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::address::Address;
use crate::explain;
use crate::judge::{Pinned, Query};
use crate::learn::{Entry, Notebook};
use crate::model::{Mode, OnReload, Policy};
use crate::permit::RuleId;

/// Why an operation was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This deny rule matched.
    Rule(RuleId),
    /// No rule grants it.
    NoRule,
}

/// An operation that the policy does not grant. The guest learns nothing of what is in here, unless the
/// policy says `reveal = true`; the operator sees it in traces and in the audit log.
#[derive(Clone)]
pub struct Denial(Arc<Inner>);

struct Inner {
    operation: &'static str,
    query: Query,
    reason: Reason,
    policy: Arc<Policy>,
    /// Where learn mode wrote it down.
    entry: OnceLock<Arc<Entry>>,
}

impl Denial {
    pub(crate) fn new(
        operation: &'static str,
        query: Query,
        reason: Reason,
        policy: Arc<Policy>,
    ) -> Denial {
        Denial(Arc::new(Inner {
            operation,
            query,
            reason,
            policy,
            entry: OnceLock::new(),
        }))
    }

    /// Writes it down, if the mode is to learn.
    pub(crate) fn note(&self, notebook: &Notebook, pins: &dyn Pinned) -> Option<Arc<Entry>> {
        if self.0.policy.mode != Mode::Learn {
            return None;
        }
        let entry = notebook.note(self.0.operation, &self.0.query, pins)?;
        Some(self.0.entry.get_or_init(|| entry).clone())
    }

    /// Where it was written down.
    pub(crate) fn entry(&self) -> Option<&Arc<Entry>> {
        self.0.entry.get()
    }

    /// Tells the [`Learner`](crate::Learner) that a call was made under what the mode let through here.
    pub fn count(&self, call: &'static str) {
        if let Some(entry) = self.0.entry.get() {
            entry.count(call);
        }
    }

    /// What the policy that denied it says of sockets that lose their grant; another may be in force by now.
    #[must_use]
    pub fn on_reload(&self) -> OnReload {
        self.0.policy.on_reload()
    }

    /// The operation's name: `connect`, `bind`, ...
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What it was to be done to, as people write it: an address, an option, a host name. Empty where
    /// there is nothing to name.
    #[must_use]
    pub fn subject(&self) -> String {
        self.0.query.subject()
    }

    /// The canonical address that was judged, if the operation has one.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        self.0.query.address()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// The rule that comes nearest and what it lacks, and a rule line that would grant the operation.
    #[must_use]
    pub fn hint(&self) -> String {
        explain::hint(&self.0.query, &self.0.reason, &self.0.policy)
    }

    /// The operation as a rule for the command line: `--allow 'tcp connect 10.1.2.3:22'`.
    #[must_use]
    pub fn grant_hint(&self) -> String {
        explain::grant_line(&self.0.query)
    }
}

impl fmt::Display for Denial {
    /// `no rule grants connect to 10.1.2.3:22`, or ``deny rule `no-lan` forbids connect to 10.1.2.3:22``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.reason {
            Reason::NoRule => write!(f, "no rule grants ")?,
            Reason::Rule(rule) => write!(f, "deny rule `{rule}` forbids ")?,
        }
        f.write_str(&self.0.query.phrase(self.0.operation))
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Denial({self})")
    }
}

impl std::error::Error for Denial {}
