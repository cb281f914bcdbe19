//! Limits at work: what a guest and each of its rules hold, have used up, and may pass on at the moment.
//!
//! Rates delay: whoever asks too early is told when to come back. Counts refuse. What several rules grant
//! counts for each of them, and for the guest.

mod bucket;
mod held;
mod meter;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use held::Held;
pub use held::{BufferSlot, Counted, FlightSlot, SocketSlot};
pub(crate) use meter::Meter;
pub use meter::{Toll, Way};

use crate::model::{Count, LIFETIME, Policy};
use crate::permit::RuleId;

/// A limit of the policy was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// The limit's key in the policy.
    pub key: &'static str,
    /// Its value; of a lifetime in milliseconds.
    pub limit: u64,
    /// The rule whose limit it is; none where it is the guest's.
    pub rule: Option<RuleId>,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit `{}` = {}", self.key, self.limit)?;
        if self.key == LIFETIME {
            f.write_str(" ms")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, " of rule `{rule}`")?;
        }
        f.write_str(" is reached")
    }
}

impl std::error::Error for LimitReached {}

/// A rate holds something back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// When it is worth another attempt.
    pub until: Instant,
    /// The rate.
    pub limit: LimitReached,
    /// It is the first time since the policy was put in force.
    pub is_news: bool,
}

/// When a socket ends, by which limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The moment.
    pub at: Instant,
    /// The `lifetime`.
    pub limit: LimitReached,
}

impl End {
    /// The one that comes first.
    #[must_use]
    pub fn first(one: Option<End>, other: Option<End>) -> Option<End> {
        one.into_iter().chain(other).min_by_key(|end| end.at)
    }
}

/// Why nothing passes now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Short {
    /// Later it does.
    Until(Delay),
    /// A total is used up.
    Spent(LimitReached),
}

/// What the operations under one permit count for: the guest, where the policy limits its traffic, and each rule
/// with limits that granted them.
#[derive(Clone, Debug)]
pub struct Meters(Arc<[Arc<Meter>]>);

impl Meters {
    /// Takes what may pass now; what does not pass after all is given back by [`Passage::settle`], or by dropping
    /// the passage.
    ///
    /// # Errors
    /// A rate or a total forbids it.
    pub fn take(&self, toll: Toll, now: Instant) -> Result<Passage, Short> {
        let mut passage = Passage {
            meters: self.clone(),
            toll,
            taken: Vec::with_capacity(self.0.len()),
        };
        let mut toll = toll;
        for meter in self.0.iter() {
            let taken = meter.take(toll, now)?;
            passage.taken.push(taken);
            toll = toll.at_most(taken);
        }
        passage.cut();
        Ok(passage)
    }

    /// Counts what passed without having been asked for: it is paid for by what comes after it.
    pub fn charge(&self, way: Way, bytes: u64, now: Instant) {
        for meter in self.0.iter() {
            meter.charge(way, bytes, 1, now);
        }
    }

    /// What counts for the guest as `general` says, and for the rules of the others.
    pub(crate) fn joined(general: Option<Meters>, others: Option<Meters>) -> Option<Meters> {
        let Some(others) = others else { return general };
        let general = general.iter().flat_map(|general| general.0.iter());
        let all: Arc<[_]> = general.chain(others.rules()).cloned().collect();
        (!all.is_empty()).then_some(Meters(all))
    }

    fn rules(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.0.iter().filter(|meter| meter.is_rule())
    }
}

/// What may pass now, and is counted.
#[derive(Debug)]
pub struct Passage {
    meters: Meters,
    toll: Toll,
    /// Of each meter.
    taken: Vec<u64>,
}

impl Passage {
    /// How many bytes may pass.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.taken.last().copied().unwrap_or(0)
    }

    /// What one meter lets through another may not.
    fn cut(&mut self) {
        let least = self.bytes();
        for (meter, taken) in self.meters.0.iter().zip(&mut self.taken) {
            if *taken > least {
                meter.give_back(self.toll, *taken - least, false);
                *taken = least;
            }
        }
    }

    /// So many bytes passed.
    pub fn settle(mut self, passed: u64) {
        let (Toll::Stream(way, _) | Toll::Message(way, _)) = self.toll else {
            self.taken.clear();
            return;
        };
        for (meter, taken) in self.meters.0.iter().zip(self.taken.drain(..)) {
            match taken.checked_sub(passed) {
                Some(0) => {}
                Some(rest) => meter.give_back(self.toll, rest, false),
                None => meter.charge(way, passed - taken, 0, Instant::now()),
            }
        }
    }
}

impl Drop for Passage {
    /// Nothing passed.
    fn drop(&mut self) {
        for (meter, taken) in self.meters.0.iter().zip(&self.taken) {
            meter.give_back(self.toll, *taken, true);
        }
    }
}

/// All meters of a guest.
#[derive(Clone, Debug)]
pub(crate) struct Metering {
    guest: Arc<Meter>,
    rules: HashMap<RuleId, Arc<Meter>>,
    /// The guest's alone, where its traffic is limited.
    general: Option<Meters>,
}

impl Metering {
    pub(crate) fn new(policy: &Policy) -> Metering {
        let guest = Arc::new(Meter::new(None, policy.limits.clone()));
        let empty = Metering {
            guest,
            rules: HashMap::new(),
            general: None,
        };
        empty.renewed(policy)
    }

    /// The meters under another policy: what was used stays used, also of each rule whose id is the same.
    pub(crate) fn renewed(&self, policy: &Policy) -> Metering {
        self.guest.set_limits(&policy.limits);
        let clauses = policy.allow.all().iter();
        let limited = clauses.filter_map(|clause| Some((&clause.id, clause.limits.as_deref()?)));
        let rules = limited.map(|(id, limits)| {
            let meter = match self.rules.get(id) {
                Some(known) => known.clone(),
                None => Arc::new(Meter::new(Some(id.alone()), limits.clone())),
            };
            meter.set_limits(limits);
            (id.clone(), meter)
        });
        Metering {
            guest: self.guest.clone(),
            rules: rules.collect(),
            general: policy
                .limits
                .has_rates_or_totals()
                .then(|| Meters(Arc::new([self.guest.clone()]))),
        }
    }

    /// What an operation counts for that these rules granted.
    pub(crate) fn of(&self, granted: &[RuleId]) -> Option<Meters> {
        if granted.is_empty() {
            return self.general.clone();
        }
        let general = self.general.iter().flat_map(|general| general.0.iter());
        let rules = granted.iter().filter_map(|id| self.rules.get(id));
        Some(Meters(general.chain(rules).cloned().collect()))
    }

    fn with_rules<'a>(
        &'a self,
        meters: Option<&'a Meters>,
    ) -> impl Iterator<Item = &'a Arc<Meter>> {
        let rules = meters.into_iter().flat_map(Meters::rules);
        std::iter::once(&self.guest).chain(rules)
    }

    /// One more socket of the guest.
    pub(crate) fn socket(&self) -> Result<SocketSlot, LimitReached> {
        Held::take(&self.guest, Count::Sockets, 1).map(SocketSlot)
    }

    /// Room for so many bytes.
    pub(crate) fn buffer(
        &self,
        meters: Option<&Meters>,
        bytes: u64,
    ) -> Result<BufferSlot, LimitReached> {
        self.with_rules(meters)
            .map(|meter| Held::take(meter, Count::BufferBytes, bytes))
            .collect::<Result<_, _>>()
            .map(BufferSlot)
    }

    /// So many descriptors leave.
    pub(crate) fn flight(
        &self,
        meters: Option<&Meters>,
        descriptors: u64,
    ) -> Result<FlightSlot, LimitReached> {
        self.with_rules(meters)
            .map(|meter| Held::take(meter, Count::DescriptorsInFlight, descriptors))
            .collect::<Result<_, _>>()
            .map(FlightSlot)
    }

    /// The most ancillary data beside one message.
    pub(crate) fn control(&self, meters: Option<&Meters>) -> LimitReached {
        let limits = self.with_rules(meters).map(|meter| {
            let limit = meter.limit(Count::ControlBytes).unwrap_or(u64::MAX);
            meter.reached(Count::ControlBytes.key(), limit)
        });
        let least = limits.min_by_key(|limit| limit.limit);
        least.unwrap_or_else(|| self.guest.reached(Count::ControlBytes.key(), u64::MAX))
    }

    /// When a socket of the guest ends.
    pub(crate) fn end(&self, since: Instant) -> Option<End> {
        self.guest.end(since)
    }
}

#[cfg(test)]
mod tests;
