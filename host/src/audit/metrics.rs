//! Counters of what guests do, for operators' graphs.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use sockgate_policy::RuleId;

use super::{Event, Verdict};

/// Counts what guests do: [`SocketsCtxBuilder::metrics`](crate::SocketsCtxBuilder::metrics) says which. Cheap
/// to clone; all clones are the same counters, which may be read at any time.
///
/// Guests of one name are counted together, and stay counted when they are gone. `to_string()` is the
/// text that Prometheus reads (exposition format 0.0.4).
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<String, Arc<Counters>>>>);

/// What was counted of the guests of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestMetrics {
    /// The guests' name.
    pub guest: String,
    /// What they did, in the order of operation, verdict and rule.
    pub operations: Vec<OperationMetrics>,
    /// How often each limit of the policy was reached, by its key.
    pub limits: Vec<(&'static str, u64)>,
    /// Sockets that are open now.
    pub sockets: u64,
    /// Calls that the kernel could not do at once and that waited, each time they did.
    pub waits: u64,
    /// How often another policy was put in force.
    pub reloads: u64,
}

/// How often one operation came to one verdict by one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationMetrics {
    /// The operation, as in [`Event::operation`](crate::Event::operation).
    pub operation: &'static str,
    /// How the policy decided.
    pub verdict: Verdict,
    /// The rule that decided; `(granted)`, `(always)` and `(audit)` as in the audit log; none where none did.
    pub rule: Option<String>,
    /// How often.
    pub count: u64,
    /// Bytes that were moved.
    pub bytes: u64,
    /// Calls that moved bytes; for batches the messages.
    pub messages: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    operation: &'static str,
    verdict: Verdict,
    rule: Option<RuleId>,
}

#[derive(Debug, Default)]
struct Counter {
    count: AtomicU64,
    bytes: AtomicU64,
    messages: AtomicU64,
}

/// The counters of the guests of one name.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    operations: RwLock<HashMap<Key, Counter>>,
    limits: Mutex<BTreeMap<&'static str, u64>>,
    sockets: AtomicU64,
    waits: AtomicU64,
    reloads: AtomicU64,
}

impl Counter {
    fn add(&self, bytes: Option<u64>, messages: u64) {
        self.count.fetch_add(1, Relaxed);
        if let Some(bytes) = bytes {
            self.bytes.fetch_add(bytes, Relaxed);
            self.messages.fetch_add(messages, Relaxed);
        }
    }
}

impl Counters {
    /// Counts one operation. Nothing is allocated but for what is counted for the first time.
    pub(super) fn count(&self, event: &Event) {
        let key = Key {
            operation: event.operation,
            verdict: event.verdict,
            rule: event.counted.rule.clone(),
        };
        let (bytes, messages) = match event.counted.carried {
            Some(carried) => (Some(carried), event.bytes.unwrap_or(0)),
            None => (event.bytes, 1),
        };
        let known = self
            .operations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(&key) {
            counter.add(bytes, messages);
        } else {
            drop(known);
            let mut known = self
                .operations
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let rule = key.rule.as_ref().map(RuleId::alone);
            let counter = known.entry(Key { rule, ..key }).or_default();
            counter.add(bytes, messages);
        }
        if let Some(limit) = event.limit {
            let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
            *limits.entry(limit).or_default() += 1;
        }
    }

    pub(super) fn opened(&self) {
        self.sockets.fetch_add(1, Relaxed);
    }

    pub(super) fn closed(&self) {
        self.sockets.fetch_sub(1, Relaxed);
    }

    pub(super) fn waited(&self) {
        self.waits.fetch_add(1, Relaxed);
    }

    pub(super) fn reloaded(&self) {
        self.reloads.fetch_add(1, Relaxed);
    }

    fn read(&self, guest: &str) -> GuestMetrics {
        let known = self
            .operations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut operations: Vec<OperationMetrics> = known
            .iter()
            .map(|(key, counter)| OperationMetrics {
                operation: key.operation,
                verdict: key.verdict,
                rule: key.rule.as_ref().map(ToString::to_string),
                count: counter.count.load(Relaxed),
                bytes: counter.bytes.load(Relaxed),
                messages: counter.messages.load(Relaxed),
            })
            .collect();
        drop(known);
        operations.sort_by(|one, other| {
            (one.operation, one.verdict, &one.rule).cmp(&(
                other.operation,
                other.verdict,
                &other.rule,
            ))
        });
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        GuestMetrics {
            guest: guest.to_owned(),
            operations,
            limits: limits.iter().map(|(key, count)| (*key, *count)).collect(),
            sockets: self.sockets.load(Relaxed),
            waits: self.waits.load(Relaxed),
            reloads: self.reloads.load(Relaxed),
        }
    }
}

impl Metrics {
    /// Counters at zero.
    #[must_use]
    pub fn new() -> Metrics {
        Metrics::default()
    }

    fn guests_by_name(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Counters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of the guests of this name.
    pub(crate) fn of(&self, guest: &str) -> Arc<Counters> {
        let mut guests = self.guests_by_name();
        guests.entry(guest.to_owned()).or_default().clone()
    }

    /// What was counted so far, in the order of the guests' names.
    #[must_use]
    pub fn guests(&self) -> Vec<GuestMetrics> {
        let guests = self.guests_by_name();
        guests
            .iter()
            .map(|(name, counters)| counters.read(name))
            .collect()
    }
}

/// A value of a label: backslash, quote and line end are escaped.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                plain => write!(f, "{plain}")?,
            }
        }
        Ok(())
    }
}

fn family(f: &mut fmt::Formatter<'_>, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(f, "# HELP {name} {help}")?;
    writeln!(f, "# TYPE {name} {kind}")
}

/// The labels of an operation.
struct Labels<'a>(&'a str, &'a OperationMetrics);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Labels(guest, operation) = self;
        let verdict = match operation.verdict {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
            Verdict::Audit => "audit",
            Verdict::Limit => "limit",
            Verdict::Free => "free",
        };
        write!(
            f,
            "{{guest=\"{}\",operation=\"{}\",verdict=\"{verdict}\",rule=\"{}\"}}",
            Label(guest),
            Label(operation.operation),
            Label(operation.rule.as_deref().unwrap_or_default()),
        )
    }
}

/// A number of an operation.
type OfOperation = fn(&OperationMetrics) -> u64;
/// A number of a guest.
type OfGuest = fn(&GuestMetrics) -> u64;

impl fmt::Display for Metrics {
    /// The text that Prometheus reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guests = self.guests();
        let by_operation: [(&str, &str, OfOperation, bool); 3] = [
            (
                "sockgate_operations_total",
                "Operations of guests, by the policy's verdict and the rule that decided.",
                |operation| operation.count,
                false,
            ),
            (
                "sockgate_bytes_total",
                "Bytes that guests sent and received.",
                |operation| operation.bytes,
                true,
            ),
            (
                "sockgate_messages_total",
                "Calls that sent or received bytes; of batches the messages.",
                |operation| operation.messages,
                true,
            ),
        ];
        for (name, help, number, moves) in by_operation {
            family(f, name, "counter", help)?;
            for guest in &guests {
                let mut operations = guest.operations.iter();
                let operations = operations
                    .by_ref()
                    .filter(|operation| !moves || operation.messages > 0);
                for operation in operations {
                    let labels = Labels(&guest.guest, operation);
                    writeln!(f, "{name}{labels} {}", number(operation))?;
                }
            }
        }
        let name = "sockgate_limits_reached_total";
        family(
            f,
            name,
            "counter",
            "How often guests reached a limit of their policy.",
        )?;
        for guest in &guests {
            for (limit, count) in &guest.limits {
                let (guest, limit) = (Label(&guest.guest), Label(limit));
                writeln!(f, "{name}{{guest=\"{guest}\",limit=\"{limit}\"}} {count}")?;
            }
        }
        let by_guest: [(&str, &str, &str, OfGuest); 3] = [
            (
                "sockgate_waits_total",
                "counter",
                "Calls that had to wait for the kernel.",
                |guest| guest.waits,
            ),
            (
                "sockgate_reloads_total",
                "counter",
                "Policies that replaced one in force.",
                |guest| guest.reloads,
            ),
            (
                "sockgate_open_sockets",
                "gauge",
                "Sockets that guests have open.",
                |guest| guest.sockets,
            ),
        ];
        for (name, kind, help, number) in by_guest {
            family(f, name, kind, help)?;
            for guest in &guests {
                let label = Label(&guest.guest);
                writeln!(f, "{name}{{guest=\"{label}\"}} {}", number(guest))?;
            }
        }
        Ok(())
    }
}
