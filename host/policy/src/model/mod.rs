//! The model of a policy: its clauses, grouped so that a verdict looks only at those that could matter.

mod address;
mod clause;
mod host;
mod limits;
mod nets;
mod options;
mod place;
mod table;

use std::time::Duration;

pub(crate) use address::{AddressPattern, Few, IpPattern, PortRange, Side, unbound};
pub(crate) use clause::{
    Carried, Clause, GroupPattern, KindPattern, OpSet, PeerUsers, ProtocolPattern,
};
pub(crate) use host::{HostPattern, fold};
pub use host::{is_host_name, unicode_host_name};
pub use limits::{Count, Flow, Limits, Rate};
pub(crate) use limits::{LIFETIME, LONGEST_LIFETIME, fault};
pub(crate) use options::{OptionGrant, OptionPattern, OptionPatterns};
pub(crate) use place::{AbstractPattern, NamePattern, PathPattern, UnixPattern, whole_place};
pub(crate) use table::{AllowTable, DenyTable, Known};

use crate::load::{Remarks, Settings};

/// What happens to an operation that lacks a grant. Deny rules and limits hold in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is denied.
    #[default]
    Enforce,
    /// It is let through, and written down.
    Audit,
    /// It is let through, and written down as the rule that would grant it.
    Learn,
}

impl Mode {
    /// All of them.
    pub(crate) const ALL: [Mode; 3] = [Mode::Enforce, Mode::Audit, Mode::Learn];

    /// The word for it in a policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Audit => "audit",
            Mode::Learn => "learn",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// What happens on a reload to sockets that lose their grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReload {
    /// They are closed.
    #[default]
    Close,
    /// They live on; new operations are judged by the new policy.
    Keep,
}

impl OnReload {
    /// All of them.
    pub(crate) const ALL: [OnReload; 2] = [OnReload::Close, OnReload::Keep];

    /// The word for it in a policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            OnReload::Close => "close",
            OnReload::Keep => "keep",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<OnReload> {
        OnReload::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// How long a resolved address stays granted, unless a rule's `pin` says otherwise.
pub(crate) const DEFAULT_PIN: Duration = Duration::from_secs(300);

/// A policy: what one guest may do. Default deny; deny beats allow; the order of rules does not matter.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) mode: Mode,
    pub(crate) on_reload: OnReload,
    pub(crate) reveal: bool,
    pub(crate) limits: Limits,
    pub(crate) allow: AllowTable,
    pub(crate) deny: DenyTable,
    pub(crate) settings: Settings,
    pub(crate) remarks: Remarks,
}

impl Policy {
    /// The policy that grants nothing.
    #[must_use]
    pub fn deny_all() -> Policy {
        Policy {
            mode: Mode::Enforce,
            on_reload: OnReload::Close,
            reveal: false,
            limits: Limits::of_a_guest(),
            allow: AllowTable::default(),
            deny: DenyTable::default(),
            settings: Settings::default(),
            remarks: Remarks::default(),
        }
    }

    /// What happens to what lacks a grant.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The same policy in another mode.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Policy {
        self.mode = mode;
        self.settings.mode = Some(mode);
        self
    }

    /// What happens to sockets that lose their grant on a reload.
    #[must_use]
    pub fn on_reload(&self) -> OnReload {
        self.on_reload
    }

    /// The guest's limits, the defaults included.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether a guest may learn why something was denied to it.
    #[must_use]
    pub fn reveals_denials(&self) -> bool {
        self.reveal
    }

    /// The names of the variables (`${name}`) that the policy's texts used.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.remarks.variables.iter().map(String::as_str)
    }

    /// The ids of all rules, allow rules first.
    pub fn rule_ids(&self) -> impl Iterator<Item = &str> {
        self.allow
            .all()
            .iter()
            .chain(self.deny.all())
            .map(|clause| clause.id.as_str())
    }
}
