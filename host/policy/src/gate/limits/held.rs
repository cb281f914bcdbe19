//! What is held and given back.

use std::sync::Arc;

use super::LimitReached;
use super::meter::Meter;
use crate::model::Count;

/// An amount held of one limit; dropping it gives the amount back.
#[derive(Debug)]
pub(super) struct Held {
    meter: Arc<Meter>,
    count: Count,
    amount: u64,
}

impl Held {
    pub(super) fn take(
        meter: &Arc<Meter>,
        count: Count,
        amount: u64,
    ) -> Result<Held, LimitReached> {
        meter.hold(count, amount)?;
        Ok(Held {
            meter: meter.clone(),
            count,
            amount,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.let_go(self.count, self.amount);
    }
}

/// One socket of `sockets`. Dropping it gives it back.
#[derive(Debug)]
pub struct SocketSlot(pub(super) Held);

impl SocketSlot {
    /// How many sockets are held: one.
    #[must_use]
    pub fn sockets(&self) -> u64 {
        self.0.amount
    }
}

/// Bytes of `buffer-bytes`, of the guest's and of each rule's that grants the call. Dropping it gives them back.
#[derive(Debug)]
pub struct BufferSlot(pub(super) Vec<Held>);

impl BufferSlot {
    /// How many bytes are held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.first().map_or(0, |held| held.amount)
    }
}

/// Descriptors of `descriptors-in-flight`. Dropping it says that they arrived.
#[derive(Debug)]
pub struct FlightSlot(pub(super) Vec<Held>);

impl FlightSlot {
    /// How many descriptors are in flight.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        self.0.first().map_or(0, |held| held.amount)
    }
}
