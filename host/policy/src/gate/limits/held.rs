//! What is held and given back.

use std::sync::Arc;
use std::time::Instant;

use super::meter::Meter;
use super::{End, LimitReached, Meters};
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
        Ok(Held::of(meter, count, amount))
    }

    /// The same whatever the limit.
    fn beyond(meter: &Arc<Meter>, count: Count, amount: u64) -> Held {
        meter.hold_beyond(count, amount);
        Held::of(meter, count, amount)
    }

    fn of(meter: &Arc<Meter>, count: Count, amount: u64) -> Held {
        Held {
            meter: meter.clone(),
            count,
            amount,
        }
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

/// The rules with limits that one socket counts for, each from the moment on that it first granted something.
/// Dropping it gives the places back.
#[derive(Debug, Default)]
pub struct Counted(Vec<(Held, Instant)>);

impl Counted {
    /// Counts the socket for the rules that it does not count for yet.
    ///
    /// # Errors
    /// A rule's `sockets` is reached; then it counts for none of the new ones.
    pub fn add(&mut self, meters: &Meters, now: Instant) -> Result<(), LimitReached> {
        let new: Vec<_> = meters
            .rules()
            .filter(|meter| !self.has(meter))
            .map(|meter| Held::take(meter, Count::Sockets, 1).map(|held| (held, now)))
            .collect::<Result<_, _>>()?;
        self.0.extend(new);
        Ok(())
    }

    /// Counts an open socket on under another policy, also where it is one too many by then.
    pub fn carry_on(&mut self, meters: &Meters, now: Instant) {
        for meter in meters.rules() {
            if !self.has(meter) {
                self.0.push((Held::beyond(meter, Count::Sockets, 1), now));
            }
        }
    }

    fn has(&self, meter: &Arc<Meter>) -> bool {
        let mut rules = self.0.iter();
        rules.any(|(held, _)| Arc::ptr_eq(&held.meter, meter))
    }

    /// When the first `lifetime` of these rules is over.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        let ends = self.0.iter().map(|(held, since)| held.meter.end(*since));
        ends.fold(None, End::first)
    }
}
