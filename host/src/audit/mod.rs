//! What the operator sees: one event per operation, to any number of sinks.
//!
//! An event is made only while somebody listens. What a guest may see of it is nothing, unless its policy
//! says `reveal = true`.

mod file;
mod json;
mod metrics;
mod text;
mod trace;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

pub use file::{AuditFile, Rotation};
pub use json::JsonLines;
use metrics::Counters;
pub use metrics::{GuestMetrics, Metrics, OperationMetrics};
pub use text::TextLines;
pub use trace::TracingSink;

use sockgate_policy::{LimitReached, RuleId};

use crate::socket::{Errno, Failure};

/// No event tells more of its arguments than this many bytes.
const ARGUMENTS_LIMIT: usize = 1024;

/// How the policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
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
    /// What the metrics count by, which costs no text.
    #[serde(skip)]
    counted: Counted,
}

/// What metrics count an event by.
#[derive(Clone, Debug, Default)]
struct Counted {
    /// Nobody reads the event's texts: they are left out.
    brief: bool,
    rule: Option<RuleId>,
    /// Bytes of a batch, whose [`Event::bytes`] are messages.
    carried: Option<u64>,
}

thread_local! {
    /// Whether the event that is being made on this thread is counted and not read.
    static BRIEF: Cell<bool> = const { Cell::new(false) };
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
            counted: Counted {
                brief: BRIEF.get(),
                ..Counted::default()
            },
        }
    }

    pub(crate) fn socket(mut self, number: u64) -> Event {
        self.socket = Some(number);
        self
    }

    pub(crate) fn arguments(mut self, arguments: impl fmt::Display) -> Event {
        if self.counted.brief {
            return self;
        }
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
        if !self.counted.brief {
            self.address = Some(address.to_string());
        }
        self
    }

    pub(crate) fn bytes(mut self, bytes: usize) -> Event {
        self.bytes = Some(bytes as u64);
        self
    }

    /// The bytes of a batch.
    pub(crate) fn carrying(mut self, bytes: usize) -> Event {
        self.counted.carried = Some(bytes as u64);
        self
    }

    /// What the guest got.
    pub(crate) fn outcome<T>(mut self, outcome: &Result<T, Failure>) -> Event {
        if let Err(failure) = outcome
            && !self.counted.brief
        {
            self.errno = Some(failure.to_string());
        }
        self
    }

    pub(crate) fn granted<O: sockgate_policy::Operation>(
        mut self,
        permit: &sockgate_policy::Permit<O>,
    ) -> Event {
        self.verdict = match permit.unguarded() {
            Some(_) => Verdict::Audit,
            None => Verdict::Allow,
        };
        self.counted.rule = Some(permit.rule_id().clone());
        if let Some(denial) = permit.unguarded() {
            denial.count(self.operation);
        }
        if self.counted.brief {
            return self;
        }
        self.rule = Some(permit.rule().to_string());
        if let Some(denial) = permit.unguarded() {
            self.reason = Some(denial.to_string());
            self.grant = Some(denial.grant_hint());
        }
        self
    }

    pub(crate) fn denied(mut self, denial: &sockgate_policy::Denial) -> Event {
        self.verdict = Verdict::Deny;
        if let sockgate_policy::Reason::Rule(rule) = denial.reason() {
            self.counted.rule = Some(rule.clone());
        }
        if self.counted.brief {
            return self;
        }
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
        if self.counted.brief {
            return self;
        }
        self.reason = Some(reason.to_string());
        self.errno = Some(Errno::ACCES.to_string());
        self
    }

    /// A look-up that found nothing.
    pub(crate) fn failed_look_up(mut self, error: &dyn fmt::Display) -> Event {
        if !self.counted.brief {
            self.errno = Some(error.to_string());
        }
        self
    }

    pub(crate) fn limited(mut self, limit: &LimitReached, errno: Errno) -> Event {
        self.verdict = Verdict::Limit;
        self.limit = Some(limit.key);
        self.counted.rule.clone_from(&limit.rule);
        if self.counted.brief {
            return self;
        }
        self.rule = limit.rule.as_ref().map(ToString::to_string);
        self.reason = Some(limit.to_string());
        self.errno = Some(errno.to_string());
        self
    }

    /// A rate holds it back.
    pub(crate) fn delayed(mut self, limit: &LimitReached) -> Event {
        self.verdict = Verdict::Limit;
        self.limit = Some(limit.key);
        self.counted.rule.clone_from(&limit.rule);
        if self.counted.brief {
            return self;
        }
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
    counters: Option<Arc<Counters>>,
    /// Whether anybody makes use of events.
    listens: bool,
    sequence: AtomicU64,
}

impl Audit {
    /// `learns`: calls are counted for what the guest is seen doing, even if nobody else listens.
    pub(crate) fn new(
        guest: String,
        sinks: Vec<Box<dyn Sink>>,
        metrics: Option<&Metrics>,
        learns: bool,
    ) -> Audit {
        let counters = metrics.map(|metrics| metrics.of(&guest));
        Audit {
            listens: learns || counters.is_some() || !sinks.is_empty(),
            guest,
            sinks,
            counters,
            sequence: AtomicU64::new(0),
        }
    }

    /// Records what `make` makes, if anybody listens.
    #[inline]
    pub(crate) fn note(&self, make: impl FnOnce() -> Event) {
        if self.listens {
            self.deliver(make);
        }
    }

    #[cold]
    fn deliver(&self, make: impl FnOnce() -> Event) {
        BRIEF.set(self.sinks.is_empty());
        let mut event = make();
        BRIEF.set(false);
        if let Some(counters) = &self.counters {
            counters.count(&event);
        }
        if self.sinks.is_empty() {
            return;
        }
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

    /// One socket more.
    pub(crate) fn opened(&self) {
        if let Some(counters) = &self.counters {
            counters.opened();
        }
    }

    /// One socket less.
    pub(crate) fn closed(&self) {
        if let Some(counters) = &self.counters {
            counters.closed();
        }
    }

    /// A call has to wait.
    #[inline]
    pub(crate) fn waited(&self) {
        if let Some(counters) = &self.counters {
            counters.waited();
        }
    }

    /// Another policy is in force.
    pub(crate) fn reloaded(&self) {
        if let Some(counters) = &self.counters {
            counters.reloaded();
        }
    }
}
