//! Receiving where the policy limits it: a message is measured and its sender judged before it is taken.

use sockgate_policy::{MessageFlags, Meters, Passage, SocketType, Toll, Way};

use super::attempt::{self, Reception};
use super::data::{Attempt, reception};
use super::sys::EncodedAddress;
use super::sys::message::Datagram;
use super::{Errno, Inner, Outcome, State, now};

/// What was taken from the meters for one receive.
pub(super) struct Paid {
    passage: Passage,
    /// A message is paid for as a whole, however much of it the guest takes.
    whole: bool,
}

impl Paid {
    /// How much of `max` bytes may come.
    pub(super) fn room(&self, max: usize) -> usize {
        match self.whole {
            true => max,
            false => max.min(usize::try_from(self.passage.bytes()).unwrap_or(max)),
        }
    }

    /// So much came.
    pub(super) fn settle(self, received: usize) {
        let received = match self.whole {
            true => self.passage.bytes().max(received as u64),
            false => received as u64,
        };
        self.passage.settle(received);
    }
}

impl Inner {
    /// Takes what the next receive may bring, on a socket where everything is the peer's. What is peeked at
    /// counts like what is taken: it reaches the guest.
    #[cold]
    pub(super) fn pay_to_receive(
        &self,
        hearing: Reception<'_>,
        meters: &Meters,
        max: usize,
        flags: MessageFlags,
        operation: &'static str,
    ) -> Outcome<Attempt<Option<Paid>>> {
        let stream = self.kind.socket_type == SocketType::Stream;
        let toll = if stream || !self.tells_lengths(flags) {
            self.toll(Way::Receive, max as u64)
        } else {
            match attempt::peek(hearing, self.fd(), self.kind, 0) {
                Ok((next, _)) => Toll::Message(Way::Receive, length_of(&next)),
                Err(Errno::AGAIN) => return Ok(Attempt::WouldBlock),
                // The receive will tell.
                Err(_) => return Ok(Attempt::Done(None)),
            }
        };
        let paid = self.pay(Some(meters), toll, operation)?;
        Ok(paid.map(|passage| {
            let whole = !stream && self.tells_lengths(flags);
            passage.map(|passage| Paid { passage, whole })
        }))
    }

    /// Whether the next message can be measured before it is taken: neither in the error queue nor of families
    /// that do not tell.
    fn tells_lengths(&self, flags: MessageFlags) -> bool {
        use sockgate_policy::Family;
        !flags.contains(MessageFlags::ERRQUEUE)
            && !matches!(self.kind.family, Family::Tipc | Family::Alg)
    }

    /// The same on a socket where every message has a sender of its own: it is looked at and judged first, and
    /// counts for what lets that sender in.
    pub(super) fn pay_for_next(
        &self,
        state: &mut State,
        max: usize,
        flags: MessageFlags,
        operation: &'static str,
    ) -> Outcome<Attempt<Option<Paid>>> {
        match reception(state)?.meters().cloned() {
            None => Ok(Attempt::Done(None)),
            Some(meters) => self.pay_for_sender(state, &meters, max, flags, operation),
        }
    }

    #[cold]
    fn pay_for_sender(
        &self,
        state: &mut State,
        all: &Meters,
        max: usize,
        flags: MessageFlags,
        operation: &'static str,
    ) -> Outcome<Attempt<Option<Paid>>> {
        let hearing = Reception::Anyone(reception(state)?);
        if !self.tells_lengths(flags) {
            return self.pay_to_receive(hearing, all, max, flags, operation);
        }
        let head = self.inspected.unwrap_or(0);
        let (next, bytes) = match attempt::peek(hearing, self.fd(), self.kind, head) {
            Ok(next) => next,
            Err(Errno::AGAIN) => return Ok(Attempt::WouldBlock),
            // The receive will tell.
            Err(_) => return Ok(Attempt::Done(None)),
        };
        let source = next.source.unwrap_or_else(EncodedAddress::empty);
        if !self.hears(state, &source, &bytes)? {
            attempt::discard(reception(state)?, self.fd())?;
            return Ok(Attempt::Hidden);
        }
        let sender = state.sender.as_ref();
        let meters = sender.and_then(|sender| sender.permit.meters());
        let toll = Toll::Message(Way::Receive, length_of(&next));
        let paid = self.pay(meters, toll, operation)?;
        Ok(paid.map(|passage| {
            passage.map(|passage| Paid {
                passage,
                whole: true,
            })
        }))
    }

    /// The same on any socket, whoever it hears.
    pub(super) fn pay_to_hear(
        &self,
        state: &mut State,
        max: usize,
        flags: MessageFlags,
        operation: &'static str,
    ) -> Outcome<Attempt<Option<Paid>>> {
        if self.has_senders {
            return self.pay_for_next(state, max, flags, operation);
        }
        let hearing = self.hearing(state)?;
        match hearing.meters() {
            None => Ok(Attempt::Done(None)),
            Some(meters) => self.pay_to_receive(hearing, meters, max, flags, operation),
        }
    }

    /// A message of so many bytes came: what was taken for it is settled, or what nobody had taken is counted.
    pub(super) fn settle_received(&self, state: &State, paid: Option<Paid>, length: usize) {
        if let Some(paid) = paid {
            paid.settle(length);
        } else if let Some(sender) = &state.sender
            && let Some(meters) = sender.permit.meters()
        {
            meters.charge(Way::Receive, length as u64, now());
        }
    }
}

/// All of a message counts, also what the guest has no room for.
pub(super) fn length_of(next: &Datagram) -> u64 {
    next.true_length.max(next.length) as u64
}
