//! The gate: one guest's policy at work. Every permit comes from here.

mod judgements;
mod limits;
mod names;
mod options;
mod pins;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

pub use judgements::Adopted;
use limits::Held;
pub use limits::{BufferSlot, LimitReached, SocketSlot};
pub(crate) use pins::{NoPins, Pins};

use crate::denial::{Denial, Reason};
use crate::judge::{self, Ask, Grant};
use crate::model::{Limits, Mode, Policy};
use crate::permit::{Cargo, Operation, Permit, Terms};

/// One guest's policy at work. Cheap to clone; all clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    generation: AtomicU64,
    policy: RwLock<Arc<Policy>>,
    pins: Pins,
    sockets: Arc<AtomicUsize>,
    buffer_bytes: Arc<AtomicUsize>,
}

/// One verdict on the way to becoming a permit.
struct Verdict {
    grant: Grant,
    generation: u64,
    unguarded: Option<Denial>,
}

impl Verdict {
    fn permit<O: Operation>(self, subject: O::Subject) -> Permit<O> {
        let Verdict {
            grant,
            generation,
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
                cargo: Some(Arc::new(cargo)),
                unguarded,
            },
        )
    }

    /// The permit of an operation that carries no data.
    fn bare_permit<O: Operation>(self, subject: O::Subject) -> Permit<O> {
        let Verdict {
            grant,
            generation,
            unguarded,
        } = self;
        let Grant { rule, expires, .. } = grant;
        Permit::new(
            subject,
            Terms {
                rule,
                generation,
                expires,
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
        Gate(Arc::new(Shared {
            generation: AtomicU64::new(1),
            policy: RwLock::new(Arc::new(policy)),
            pins: Pins::default(),
            sockets: Arc::default(),
            buffer_bytes: Arc::default(),
        }))
    }

    /// Puts another policy in force. Permits of the former one no longer [hold](Permit::holds); names that
    /// the new one does not let resolve lose their pins. Waking the waits that this affects is up to the
    /// host.
    pub fn replace(&self, policy: Policy) {
        let policy = Arc::new(policy);
        let mut current = self
            .0
            .policy
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = policy.clone();
        self.0.generation.fetch_add(1, Ordering::Release);
        drop(current);
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
        self.snapshot().0
    }

    /// The policy in force, with its generation.
    fn snapshot(&self) -> (Arc<Policy>, u64) {
        let current = self.0.policy.read().unwrap_or_else(PoisonError::into_inner);
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

    /// One more socket.
    ///
    /// # Errors
    /// `limits.sockets` is reached.
    pub fn slot(&self) -> Result<SocketSlot, LimitReached> {
        let limit = self.policy().limits.sockets;
        Held::take(&self.0.sockets, 1, limit, "sockets").map(SocketSlot)
    }

    /// Room for `bytes` more in the host's buffers.
    ///
    /// # Errors
    /// `limits.buffer-bytes` is reached.
    pub fn buffer(&self, bytes: usize) -> Result<BufferSlot, LimitReached> {
        let limit = self.policy().limits.buffer_bytes;
        Held::take(&self.0.buffer_bytes, bytes, limit, "buffer-bytes").map(BufferSlot)
    }

    /// Judges one question in the policy's mode.
    fn judge(&self, operation: &'static str, ask: Ask<'_>) -> Result<Verdict, Denial> {
        let (policy, generation) = self.snapshot();
        match judge::judge(&policy, &ask, &self.0.pins, Instant::now()) {
            Ok(grant) => Ok(Verdict {
                grant,
                generation,
                unguarded: None,
            }),
            Err(reason) => self.pass_over(operation, ask, reason, policy, generation),
        }
    }

    /// Audit and learn mode let through what lacks a grant; deny rules hold.
    fn pass_over(
        &self,
        operation: &'static str,
        ask: Ask<'_>,
        reason: Reason,
        policy: Arc<Policy>,
        generation: u64,
    ) -> Result<Verdict, Denial> {
        let lenient = policy.mode != Mode::Enforce && reason == Reason::NoRule;
        if !lenient {
            return Err(Denial::new(operation, ask.into_query(), reason, policy));
        }
        let mut grant = Grant::without_rule("(audit)");
        grant.cargo = Cargo::everything();
        judge::take_denied_uses(&policy, &ask, &mut grant.cargo);
        let denial = Denial::new(operation, ask.into_query(), reason, policy);
        Ok(Verdict {
            grant,
            generation,
            unguarded: Some(denial),
        })
    }

    /// A denial where no rule is even asked.
    fn refuse(&self, operation: &'static str, ask: Ask<'_>) -> Denial {
        Denial::new(operation, ask.into_query(), Reason::NoRule, self.policy())
    }
}
