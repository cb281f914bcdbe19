//! Counted limits: what a guest holds at one time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A limit of the policy was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// The limit's key in the policy.
    pub key: &'static str,
    /// Its value.
    pub limit: usize,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit `{}` = {} is reached", self.key, self.limit)
    }
}

impl std::error::Error for LimitReached {}

/// An amount held of one limit; dropping it gives the amount back.
#[derive(Debug)]
pub(crate) struct Held {
    counter: Arc<AtomicUsize>,
    amount: usize,
}

impl Held {
    pub(crate) fn take(
        counter: &Arc<AtomicUsize>,
        amount: usize,
        limit: usize,
        key: &'static str,
    ) -> Result<Held, LimitReached> {
        counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(amount).filter(|sum| *sum <= limit)
            })
            .map(|_| Held {
                counter: counter.clone(),
                amount,
            })
            .map_err(|_| LimitReached { key, limit })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

/// One socket of `limits.sockets`. Dropping it gives it back.
#[derive(Debug)]
pub struct SocketSlot(pub(crate) Held);

/// Bytes of `limits.buffer-bytes`. Dropping it gives them back.
#[derive(Debug)]
pub struct BufferSlot(pub(crate) Held);

impl BufferSlot {
    /// How many bytes are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.amount
    }
}

impl SocketSlot {
    /// How many sockets are held: one.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.0.amount
    }
}
