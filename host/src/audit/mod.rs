//! What the operator sees: one event per operation, to any number of sinks.
//!
//! An event is made only while somebody listens. What a guest may see of it is nothing, unless its policy
//! says `reveal = true`.

mod json;
mod text;
mod trace;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

pub use json::JsonLines;
pub use text::TextLines;
pub use trace::TracingSink;

use sockgate_policy::LimitReached;

use crate::socket::{Errno, Failure};

/// No event tells more of its arguments than this many bytes.
const ARGUMENTS_LIMIT: usize = 1024;

/// How the policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A rule granted it.
    Allow,
    /// No rule granted it, or a deny rule named it: no system call was made.
    Deny,
    /// No rule granted it, and the policy's mode (`audit`, `learn`) let it through.
    Audit,
    /// A limit was reached, or holds it back (then there is no `errno`).
    Limit,
    /// It needs no grant.
    Free,
}

/// One operation of one guest. Serialises to one line of the audit log.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Event {
    /// Counts the events of one guest from 1 without gaps.
    pub sequence: u64,
    /// Microseconds since the epoch.
    pub time_us: u64,
    /// The guest's name, as the embedder gave it.
    pub guest: String,
    /// The socket's number within the guest, from 1; none where no socket is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<u64>,
    /// `connect`, `send-to`, `resolve` ...
    pub operation: &'static str,
    /// The other arguments, as the trace shows them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub arguments: String,
    /// The canonical address that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How the policy decided.
    pub verdict: Verdict,
    /// The rule that decided; none where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The key of the limit that was reached, or that held it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<&'static str>,
    /// What would have granted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The error that the guest got, by its symbolic name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
    /// Bytes (or messages, for batches) that were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Event {
    /// An event of an operation that needs no grant and went well; the rest is added by what follows.
    pub(crate) fn new(operation: &'static str) -> Event {
        Event {
            sequence: 0,
            time_us: 0,
            guest: String::new(),
            socket: None,
            operation,
            arguments: String::new(),
            address: None,
            verdict: Verdict::Free,
            rule: None,
            reason: None,
            limit: None,
            grant: None,
            errno: None,
            bytes: None,
        }
    }

    pub(crate) fn socket(mut self, number: u64) -> Event {
        self.socket = Some(number);
        self
    }

    pub(crate) fn arguments(mut self, arguments: impl fmt::Display) -> Event {
        self.arguments = arguments.to_string();
        // A guest may name as much as it likes.
        if self.arguments.len() > ARGUMENTS_LIMIT {
            let end = self.arguments.floor_char_boundary(ARGUMENTS_LIMIT);
            self.arguments.truncate(end);
            self.arguments.push_str("...");
        }
        self
    }

    pub(crate) fn address(mut self, address: impl fmt::Display) -> Event {
        self.address = Some(address.to_string());
        self
    }

    pub(crate) fn bytes(mut self, bytes: usize) -> Event {
        self.bytes = Some(bytes as u64);
        self
    }

    /// What the guest got.
    pub(crate) fn outcome<T>(mut self, outcome: &Result<T, Failure>) -> Event {
        if let Err(failure) = outcome {
            self.errno = Some(failure.to_string());
        }
        self
    }

    pub(crate) fn granted<O: sockgate_policy::Operation>(
        mut self,
        permit: &sockgate_policy::Permit<O>,
    ) -> Event {
        self.verdict = Verdict::Allow;
        self.rule = Some(permit.rule().to_string());
        if let Some(denial) = permit.unguarded() {
            self.verdict = Verdict::Audit;
            self.reason = Some(denial.to_string());
            self.grant = Some(denial.grant_hint());
        }
        self
    }

    pub(crate) fn denied(mut self, denial: &sockgate_policy::Denial) -> Event {
        self.verdict = Verdict::Deny;
        match denial.reason() {
            // Deny beats allow: no grant would help.
            sockgate_policy::Reason::Rule(rule) => self.rule = Some(rule.to_string()),
            sockgate_policy::Reason::NoRule => self.grant = Some(denial.grant_hint()),
        }
        self.reason = Some(denial.to_string());
        self.errno = Some(Errno::ACCES.to_string());
        self
    }

    pub(crate) fn withheld(mut self, reason: fmt::Arguments<'_>) -> Event {
        self.verdict = Verdict::Deny;
        self.reason = Some(reason.to_string());
        self.errno = Some(Errno::ACCES.to_string());
        self
    }

    /// A granted look-up that found nothing.
    pub(crate) fn failed_look_up(mut self, error: &dyn fmt::Display) -> Event {
        self.errno = Some(error.to_string());
        self
    }

    pub(crate) fn limited(mut self, limit: &LimitReached, errno: Errno) -> Event {
        self.verdict = Verdict::Limit;
        self.limit = Some(limit.key);
        self.rule = limit.rule.as_ref().map(ToString::to_string);
        self.reason = Some(limit.to_string());
        self.errno = Some(errno.to_string());
        self
    }

    /// A rate holds it back.
    pub(crate) fn delayed(mut self, limit: &LimitReached) -> Event {
        self.verdict = Verdict::Limit;
        self.limit = Some(limit.key);
        self.rule = limit.rule.as_ref().map(ToString::to_string);
        self.reason = Some(format!("{limit}, which delays it; told once"));
        self
    }
}

/// Where events go. Called on the guest's thread, between its calls: return soon.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn record(&self, event: &Event);
}

/// One guest's events.
pub(crate) struct Audit {
    guest: String,
    sinks: Vec<Box<dyn Sink>>,
    sequence: AtomicU64,
}

impl Audit {
    pub(crate) fn new(guest: String, sinks: Vec<Box<dyn Sink>>) -> Audit {
        Audit {
            guest,
            sinks,
            sequence: AtomicU64::new(0),
        }
    }

    /// Records what `make` makes, if anybody listens.
    #[inline]
    pub(crate) fn note(&self, make: impl FnOnce() -> Event) {
        if !self.sinks.is_empty() {
            self.deliver(make());
        }
    }

    #[cold]
    fn deliver(&self, mut event: Event) {
        event.sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        event.time_us = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
            });
        event.guest.clone_from(&self.guest);
        for sink in &self.sinks {
            sink.record(&event);
        }
    }
}
