//! The gate: one guest's policy at work. Every permit comes from here.

mod judgements;
mod limits;
mod names;
mod options;
mod pins;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

pub use judgements::Adopted;
pub(crate) use judgements::{is_nothing, is_placeless};
use limits::Metering;
pub use limits::{
    BufferSlot, Counted, Delay, End, FlightSlot, LimitReached, Meters, Passage, Short, SocketSlot,
    Toll, Way,
};
pub(crate) use pins::{NoPins, Pins};

use crate::denial::{Denial, Reason};
use crate::judge::{self, Ask, Grant};
use crate::learn::{Learner, Notebook};
use crate::model::{Limits, Mode, Policy};
use crate::permit::{Cargo, Operation, Permit, Terms};

/// One guest's policy at work. Cheap to clone; all clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    generation: AtomicU64,
    in_force: RwLock<Arc<InForce>>,
    pins: Pins,
    notebook: Notebook,
}

/// A policy, and what was used of its limits.
#[derive(Debug)]
struct InForce {
    policy: Arc<Policy>,
    metering: Metering,
}

/// One verdict on the way to becoming a permit.
struct Verdict {
    grant: Grant,
    generation: u64,
    meters: Option<Meters>,
    unguarded: Option<Denial>,
}

impl Verdict {
    fn permit<O: Operation>(self, subject: O::Subject) -> Permit<O> {
        let Verdict {
            grant,
            generation,
            meters,
            unguarded,
        } = self;
        let Grant {
            rule,
            expires,
            cargo,
            ..
        } = grant;
        Permit::new(
            subject,
            Terms {
                rule,
                generation,
                expires,
                meters,
                cargo: Some(cargo),
                unguarded,
            },
        )
    }

    /// The permit of an operation that carries no data.
    fn bare_permit<O: Operation>(self, subject: O::Subject) -> Permit<O> {
        let Verdict {
            grant,
            generation,
            meters,
            unguarded,
        } = self;
        let Grant { rule, expires, .. } = grant;
        Permit::new(
            subject,
            Terms {
                rule,
                generation,
                expires,
                meters,
                cargo: None,
                unguarded,
            },
        )
    }
}

impl Gate {
    /// A gate for one guest.
    #[must_use]
    pub fn new(policy: Policy) -> Gate {
        let metering = Metering::new(&policy);
        Gate(Arc::new(Shared {
            generation: AtomicU64::new(1),
            in_force: RwLock::new(Arc::new(InForce {
                policy: Arc::new(policy),
                metering,
            })),
            pins: Pins::default(),
            notebook: Notebook::default(),
        }))
    }

    /// Puts another policy in force. Permits of the former one no longer [hold](Permit::holds); names that
    /// the new one does not let resolve lose their pins. Its limits hold at once, and what was used of them
    /// stays used: the guest's, and that of each rule whose id is the same. Waking the waits that this affects
    /// is up to the host.
    pub fn replace(&self, policy: Policy) {
        let policy = Arc::new(policy);
        {
            let mut current = self
                .0
                .in_force
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(InForce {
                metering: current.metering.renewed(&policy),
                policy: policy.clone(),
            });
            self.0.generation.fetch_add(1, Ordering::Release);
        }
        self.0.pins.retain(|name| names::resolves(&policy, name));
    }

    /// The number of the policy in force; it grows with each [`Gate::replace`]. One relaxed load.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Relaxed)
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.snapshot().0.policy.clone()
    }

    /// What is in force, with its generation.
    fn snapshot(&self) -> (Arc<InForce>, u64) {
        let current = self
            .0
            .in_force
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        (current.clone(), self.generation())
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.policy().limits().clone()
    }

    /// Whether the guest may learn why something was denied to it (`reveal = true`).
    #[must_use]
    pub fn reveals_denials(&self) -> bool {
        self.policy().reveals_denials()
    }

    /// What this guest was seen doing in learn mode.
    #[must_use]
    pub fn learner(&self) -> Learner {
        Learner::new(self.clone())
    }

    pub(crate) fn notebook(&self) -> &Notebook {
        &self.0.notebook
    }

    pub(crate) fn pins(&self) -> &Pins {
        &self.0.pins
    }

    /// One more socket.
    ///
    /// # Errors
    /// The guest's `sockets` is reached.
    pub fn slot(&self) -> Result<SocketSlot, LimitReached> {
        self.snapshot().0.metering.socket()
    }

    /// Room for `bytes` more in the host's buffers, for what counts for these meters.
    ///
    /// # Errors
    /// `buffer-bytes` of the guest or of a rule is reached.
    pub fn buffer(&self, meters: Option<&Meters>, bytes: u64) -> Result<BufferSlot, LimitReached> {
        self.snapshot().0.metering.buffer(meters, bytes)
    }

    /// So many descriptors more that were sent and not received yet.
    ///
    /// # Errors
    /// `descriptors-in-flight` of the guest or of a rule is reached.
    pub fn flight(
        &self,
        meters: Option<&Meters>,
        descriptors: u64,
    ) -> Result<FlightSlot, LimitReached> {
        self.snapshot().0.metering.flight(meters, descriptors)
    }

    /// The `control-bytes` that holds for one message.
    #[must_use]
    pub fn control_limit(&self, meters: Option<&Meters>) -> LimitReached {
        self.snapshot().0.metering.control(meters)
    }

    /// When a socket of this guest ends, by the guest's `lifetime`.
    #[must_use]
    pub fn end(&self, since: Instant) -> Option<End> {
        self.snapshot().0.metering.end(since)
    }

    /// A limit of the guest that nothing can hold to which goes through sockets of somebody else's making
    /// (`wasi:sockets`).
    #[must_use]
    pub fn uncountable_limit(&self) -> Option<&'static str> {
        self.policy().limits.key_of_data()
    }

    /// The permit of a conversation that is kept although the policy no longer grants it: it counts for the
    /// guest from now on as the present policy says.
    #[must_use]
    pub fn keep<O: Operation>(&self, permit: Permit<O>) -> Permit<O> {
        let general = self.snapshot().0.metering.of(&[]);
        permit.counting_also_for(general)
    }

    /// Judges one question in the policy's mode.
    fn judge(&self, operation: &'static str, ask: Ask<'_>) -> Result<Verdict, Denial> {
        self.consider(operation, ask)
            .map(|verdict| self.noted(verdict))
    }

    /// Writes down what learn mode let through.
    fn noted(&self, mut verdict: Verdict) -> Verdict {
        if let Some(denial) = &verdict.unguarded
            && let Some(entry) = denial.note(&self.0.notebook, &self.0.pins)
        {
            Arc::make_mut(&mut verdict.grant.cargo).watched_by(&entry);
        }
        verdict
    }

    /// Judges one question of several, of which one answer will count: that is then [`Gate::noted`].
    fn consider(&self, operation: &'static str, ask: Ask<'_>) -> Result<Verdict, Denial> {
        self.judge_by(operation, ask, |policy, ask, pins| {
            judge::judge(policy, ask, pins, Instant::now)
        })
    }

    /// The same with a judge of its own.
    fn judge_by(
        &self,
        operation: &'static str,
        ask: Ask<'_>,
        judge: impl FnOnce(&Policy, &Ask<'_>, &Pins) -> Result<Grant, Reason>,
    ) -> Result<Verdict, Denial> {
        let (in_force, generation) = self.snapshot();
        match judge(&in_force.policy, &ask, &self.0.pins) {
            Ok(grant) => Ok(Verdict {
                meters: in_force.metering.of(&grant.limited),
                grant,
                generation,
                unguarded: None,
            }),
            Err(reason) => self.pass_over(operation, ask, reason, &in_force, generation),
        }
    }

    /// Audit and learn mode let through what lacks a grant; deny rules hold.
    fn pass_over(
        &self,
        operation: &'static str,
        ask: Ask<'_>,
        reason: Reason,
        in_force: &InForce,
        generation: u64,
    ) -> Result<Verdict, Denial> {
        let policy = in_force.policy.clone();
        let lenient = policy.mode != Mode::Enforce && reason == Reason::NoRule;
        if !lenient {
            return Err(Denial::new(operation, ask.into_query(), reason, policy));
        }
        let mut grant = Grant::without_rule("(audit)");
        grant.cargo = Arc::new(Cargo::everything());
        judge::take_denied_uses(&policy, &ask, &mut grant.cargo);
        let denial = Denial::new(operation, ask.into_query(), reason, policy);
        Ok(Verdict {
            grant,
            generation,
            meters: in_force.metering.of(&[]),
            unguarded: Some(denial),
        })
    }

    /// A denial where no rule is even asked.
    fn refuse(&self, operation: &'static str, ask: Ask<'_>) -> Denial {
        Denial::new(operation, ask.into_query(), Reason::NoRule, self.policy())
    }
}
