//! What one guest or one rule has used of its limits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::bucket::Bucket;
use super::{Delay, End, LimitReached, Short};
use crate::model::{Count, Flow, LIFETIME, Limits, Rate};
use crate::permit::RuleId;

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Out of the guest.
    Send,
    /// To the guest.
    Receive,
}

impl Way {
    fn bytes(self) -> (Flow, Count) {
        match self {
            Way::Send => (Flow::SendBytes, Count::SendBytes),
            Way::Receive => (Flow::ReceiveBytes, Count::ReceiveBytes),
        }
    }

    fn messages(self) -> Flow {
        match self {
            Way::Send => Flow::SendMessages,
            Way::Receive => Flow::ReceiveMessages,
        }
    }
}

/// What is about to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toll {
    /// Up to so many bytes of a stream, which may be cut.
    Stream(Way, u64),
    /// A message of so many bytes, which passes as a whole or not at all.
    Message(Way, u64),
    /// A connection that is made or accepted.
    Connection,
    /// A question to the resolver.
    Query,
}

/// One guest's or one rule's limits, and what was used of them. They outlive a reload; the limits in force are
/// those of the last one.
#[derive(Debug)]
pub(crate) struct Meter {
    rule: Option<RuleId>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    /// What is held, and for totals what was used.
    counts: [u64; Count::ALL.len()],
    buckets: [Bucket; Flow::ALL.len()],
    /// The operator knows that these hold something back.
    told: [bool; Flow::ALL.len()],
}

/// A stream is not fed drop by drop: this is the least that is worth a system call, as a time of its rate.
const SIP: u64 = 50;

fn sip(rate: Option<Rate>, most: u64) -> u64 {
    let worth = |rate: Rate| (rate.each_second() / SIP).clamp(1, rate.burst());
    most.min(rate.map_or(1, worth))
}

impl State {
    fn look(&mut self, flow: Flow, least: u64, now: Instant) -> Result<(), Instant> {
        match self.limits.rate(flow) {
            Some(rate) => self.buckets[flow as usize].look(rate, least, now),
            None => Ok(()),
        }
    }

    fn take(&mut self, flow: Flow, least: u64, most: u64, now: Instant) -> Result<u64, Instant> {
        match self.limits.rate(flow) {
            Some(rate) => self.buckets[flow as usize].take(rate, least, most, now),
            None => Ok(most),
        }
    }

    fn charge(&mut self, flow: Flow, passed: u64, now: Instant) {
        if let Some(rate) = self.limits.rate(flow) {
            self.buckets[flow as usize].charge(rate, passed, now);
        }
    }

    fn give_back(&mut self, flow: Flow, count: u64) {
        if let Some(rate) = self.limits.rate(flow) {
            self.buckets[flow as usize].give_back(rate, count);
        }
    }

    fn used(&mut self, count: Count) -> &mut u64 {
        &mut self.counts[count as usize]
    }

    /// What is left of a total.
    fn left(&self, count: Count) -> u64 {
        let limit = self.limits.count(count).unwrap_or(u64::MAX);
        limit.saturating_sub(self.counts[count as usize])
    }
}

impl Meter {
    pub(super) fn new(rule: Option<RuleId>, limits: Limits) -> Meter {
        Meter {
            rule,
            state: Mutex::new(State {
                limits,
                counts: [0; Count::ALL.len()],
                buckets: Default::default(),
                told: [false; Flow::ALL.len()],
            }),
        }
    }

    /// A panic elsewhere cannot leave it half changed: nothing in here panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other limits are in force from now on; what was used stays used.
    pub(super) fn set_limits(&self, limits: &Limits) {
        let mut state = self.state();
        state.limits.clone_from(limits);
        state.told = Default::default();
    }

    /// Whether it is a rule's.
    pub(super) fn is_rule(&self) -> bool {
        self.rule.is_some()
    }

    pub(super) fn limit(&self, count: Count) -> Option<u64> {
        self.state().limits.count(count)
    }

    /// When a socket ends that counts since then.
    pub(super) fn end(&self, since: Instant) -> Option<End> {
        let lifetime = self.state().limits.lifetime()?;
        let value = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        Some(End {
            at: since.checked_add(lifetime)?,
            limit: self.reached(LIFETIME, value),
        })
    }

    pub(super) fn reached(&self, key: &'static str, limit: u64) -> LimitReached {
        LimitReached {
            key,
            limit,
            rule: self.rule.clone(),
        }
    }

    pub(super) fn hold(&self, count: Count, amount: u64) -> Result<(), LimitReached> {
        let mut state = self.state();
        let limit = state.limits.count(count).unwrap_or(u64::MAX);
        let held = state.used(count);
        match held.checked_add(amount) {
            Some(sum) if sum <= limit => *held = sum,
            _ => return Err(self.reached(count.key(), limit)),
        }
        Ok(())
    }

    pub(super) fn hold_beyond(&self, count: Count, amount: u64) {
        let mut state = self.state();
        let held = state.used(count);
        *held = held.saturating_add(amount);
    }

    pub(super) fn let_go(&self, count: Count, amount: u64) {
        let mut state = self.state();
        let held = state.used(count);
        *held = held.saturating_sub(amount);
    }

    /// Takes what may pass now: how many bytes, or 1.
    pub(super) fn take(&self, toll: Toll, now: Instant) -> Result<u64, Short> {
        let mut state = self.state();
        let (way, whole, most) = match toll {
            Toll::Stream(way, most) => (way, false, most),
            Toll::Message(way, length) => (way, true, length),
            Toll::Connection | Toll::Query => {
                let flow = toll.flow();
                let taken = state.take(flow, 1, 1, now);
                return taken.map_err(|until| self.delay(&mut state, flow, until));
            }
        };
        let (flow, total) = way.bytes();
        let left = state.left(total);
        if most > 0 && (left == 0 || (whole && left < most)) {
            let limit = state.limits.count(total).unwrap_or(u64::MAX);
            return Err(Short::Spent(self.reached(total.key(), limit)));
        }
        let most = most.min(left);
        let least = if whole {
            most
        } else {
            sip(state.limits.rate(flow), most)
        };
        let messages = way.messages();
        state
            .look(messages, 1, now)
            .map_err(|until| self.delay(&mut state, messages, until))?;
        let bytes = state
            .take(flow, least, most, now)
            .map_err(|until| self.delay(&mut state, flow, until))?;
        state.charge(messages, 1, now);
        *state.used(total) += bytes;
        Ok(bytes)
    }

    fn delay(&self, state: &mut State, flow: Flow, until: Instant) -> Short {
        let told = std::mem::replace(&mut state.told[flow as usize], true);
        let rate = state.limits.rate(flow).map_or(0, Rate::each_second);
        Short::Until(Delay {
            until,
            limit: self.reached(flow.key(), rate),
            is_news: !told,
        })
    }

    /// Gives back so many bytes, and the message with them where it did not pass.
    pub(super) fn give_back(&self, toll: Toll, bytes: u64, message: bool) {
        let mut state = self.state();
        let (Toll::Stream(way, _) | Toll::Message(way, _)) = toll else {
            state.give_back(toll.flow(), 1);
            return;
        };
        let (flow, total) = way.bytes();
        state.give_back(flow, bytes);
        let used = state.used(total);
        *used = used.saturating_sub(bytes);
        if message {
            state.give_back(way.messages(), 1);
        }
    }

    /// Counts what passed without having been asked for.
    pub(super) fn charge(&self, way: Way, bytes: u64, messages: u64, now: Instant) {
        let mut state = self.state();
        let (flow, total) = way.bytes();
        state.charge(flow, bytes, now);
        state.charge(way.messages(), messages, now);
        let used = state.used(total);
        *used = used.saturating_add(bytes);
    }
}

impl Toll {
    fn flow(self) -> Flow {
        match self {
            Toll::Stream(way, _) | Toll::Message(way, _) => way.bytes().0,
            Toll::Connection => Flow::Connections,
            Toll::Query => Flow::ResolverQueries,
        }
    }

    /// The same for no more than so many bytes.
    pub(super) fn at_most(self, bytes: u64) -> Toll {
        match self {
            Toll::Stream(way, most) => Toll::Stream(way, most.min(bytes)),
            other => other,
        }
    }
}
