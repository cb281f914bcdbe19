//! What passes is counted, where the policy limits it: rates hold it back, totals refuse it.

use std::time::Instant;

use sockgate_policy::{BufferSlot, Meters, Passage, Short, SocketType, Toll, Way};

use super::data::Attempt;
use super::wait::Deadline;
use super::{Errno, Inner, Outcome, now};

/// What a rate held back last in each direction, so that poll does not say that it may pass.
#[derive(Default)]
pub(super) struct HeldBack {
    send: Option<(Meters, Toll)>,
    receive: Option<(Meters, Toll)>,
}

impl HeldBack {
    fn of(&mut self, way: Way) -> &mut Option<(Meters, Toll)> {
        match way {
            Way::Send => &mut self.send,
            Way::Receive => &mut self.receive,
        }
    }
}

fn way(toll: Toll) -> Way {
    match toll {
        Toll::Stream(way, _) | Toll::Message(way, _) => way,
        // Accepting is what a listener is readable for.
        Toll::Connection | Toll::Query => Way::Receive,
    }
}

impl Inner {
    /// What so many bytes are on this socket.
    pub(super) fn toll(&self, way: Way, bytes: u64) -> Toll {
        if self.kind.socket_type == SocketType::Stream {
            Toll::Stream(way, bytes)
        } else {
            Toll::Message(way, bytes)
        }
    }

    /// Takes what may pass now; nothing to take where nothing counts. `dquot` where a total is used up.
    pub(super) fn pay(
        &self,
        meters: Option<&Meters>,
        toll: Toll,
        operation: &'static str,
    ) -> Outcome<Attempt<Option<Passage>>> {
        match meters {
            None => Ok(Attempt::Done(None)),
            Some(meters) => self.pay_at(meters, toll, operation),
        }
    }

    #[cold]
    fn pay_at(
        &self,
        meters: &Meters,
        toll: Toll,
        operation: &'static str,
    ) -> Outcome<Attempt<Option<Passage>>> {
        match meters.take(toll, now()) {
            Ok(passage) => {
                *self.held_back().of(way(toll)) = None;
                Ok(Attempt::Done(Some(passage)))
            }
            Err(Short::Spent(limit)) => {
                let event = || self.event(operation);
                Err(self.guest.limited(event, &limit, Errno::DQUOT))
            }
            Err(Short::Until(delay)) => {
                *self.held_back().of(way(toll)) = Some((meters.clone(), toll));
                if delay.is_news {
                    let event = || self.event(operation).delayed(&delay.limit);
                    self.guest.audit().note(event);
                }
                Ok(Attempt::Delayed(delay.until))
            }
        }
    }

    fn held_back(&self) -> std::sync::MutexGuard<'_, HeldBack> {
        let held = self.held_back.lock();
        held.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Until when a rate forbids what this socket would do next; `next` is that, where it is known.
    pub(super) fn held_until(&self, way: Way, next: Option<(Meters, Toll)>) -> Option<Instant> {
        let held = self.held_back().of(way).clone();
        let (meters, toll) = held.or(next)?;
        match meters.take(toll, now()) {
            Err(Short::Until(delay)) => {
                if delay.is_news {
                    let event = || self.event("poll").delayed(&delay.limit);
                    self.guest.audit().note(event);
                }
                Some(delay.until)
            }
            // What a total refuses the call itself tells.
            Ok(_) | Err(Short::Spent(_)) => None,
        }
    }

    /// Until when a rate forbids to send anything.
    pub(super) fn send_held_until(&self) -> Option<Instant> {
        let state = self.state();
        let converse = state.converse.as_ref().and_then(|permit| permit.meters());
        let destination = state.destination.as_ref();
        let meters = converse
            .or(destination.and_then(|kept| kept.permit().meters()))
            .cloned();
        drop(state);
        self.held_until(
            Way::Send,
            meters.map(|meters| (meters, self.least(Way::Send))),
        )
    }

    /// The least that is worth a call.
    pub(super) fn least(&self, way: Way) -> Toll {
        match self.toll(way, u64::MAX) {
            Toll::Message(way, _) => Toll::Message(way, 1),
            stream => stream,
        }
    }

    /// What a receive on a conversation counts for.
    pub(super) fn conversation_meters(&self) -> Option<Meters> {
        let state = self.state();
        let permit = state.converse.as_ref();
        permit.and_then(|permit| permit.meters()).cloned()
    }

    /// Room in the host's buffers for one call, see [`Guest::hold`](super::Guest::hold).
    pub(super) fn hold(&self, bytes: usize) -> Outcome<Option<BufferSlot>> {
        if bytes <= super::data::MESSAGE_CHUNK {
            return Ok(None);
        }
        let state = self.state();
        let converse = state.converse.as_ref().and_then(|permit| permit.meters());
        let receive = state.receive.as_ref().and_then(|permit| permit.meters());
        let meters = converse.or(receive).cloned();
        drop(state);
        self.guest.hold(bytes, meters.as_ref())
    }

    /// Waits until a rate may let something pass, as far as there is time.
    pub(crate) async fn rest(&self, until: Instant, deadline: Deadline) -> Outcome<()> {
        use super::wait::Wait;
        let left = deadline.left()?;
        self.check_interrupted()?;
        let moment = until.saturating_duration_since(now());
        let moment = left.map_or(moment, |left| left.min(moment));
        self.guest
            .wait_mode()
            .pause(moment, self.guest.cancel())
            .await?;
        self.check_interrupted()
    }
}
