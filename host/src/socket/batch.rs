//! Batches: sendmmsg(2), recvmmsg(2). Every verdict of a batch comes before its first system call.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use sockgate_policy::{Address, AncillarySet, MessageFlags, Passage, Permit, SocketType, Way, op};

use super::ancillary::AncillaryIn;
use super::attempt::{self, Addressee, BatchRoom, Destination, Reception};
use super::data::{Attempt, MESSAGE_LIMIT, conversation, filled, interest, reception};
use super::sys::EncodedAddress;
use super::sys::batch::{BatchHead, BatchScratch, MAXIMUM_COUNT};
use super::sys::message::ReceivedFlags;
use super::{Direction, Errno, Failure, Inner, Outcome, Socket};

/// One message of a batch to send: its bytes, and the index of its address.
pub(crate) struct OutgoingHead<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) to: Option<usize>,
}

/// Where the messages of a batch go, as far as it was judged.
struct Routes {
    peer: Option<Permit<op::Converse>>,
    named: Vec<Option<Destination>>,
    /// One for each message, where they are judged by what is in them.
    each: Vec<Destination>,
}

impl Routes {
    fn to(&self, index: Option<usize>) -> Option<Addressee<'_>> {
        match index {
            None => self.peer.as_ref().map(Addressee::Peer),
            Some(index) => self.named.get(index)?.as_ref().map(Addressee::Named),
        }
    }

    /// Whom the message at `place` goes to.
    fn of(&self, place: usize, message: &OutgoingHead<'_>) -> Option<Addressee<'_>> {
        match (self.each.get(place), message.to) {
            (Some(judged), Some(_)) => Some(Addressee::Named(judged)),
            (Some(judged), None) => Some(Addressee::Unnamed(judged)),
            (None, to) => self.to(to),
        }
    }
}

/// One message of a received batch.
pub(crate) struct IncomingHead {
    pub(crate) length: usize,
    pub(crate) true_length: usize,
    pub(crate) flags: ReceivedFlags,
    /// Index into the batch's addresses.
    pub(crate) source: Option<u32>,
    /// First index into the batch's ancillaries, and how many.
    pub(crate) ancillary: (u32, u32),
}

/// A received batch.
pub(crate) struct BatchIn {
    pub(crate) slab: Bytes,
    pub(crate) messages: Vec<IncomingHead>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) ancillary: Vec<AncillaryIn>,
}

/// What was taken from the meters for the messages of a batch that may pass now.
struct PaidBatch {
    passages: Vec<Option<Passage>>,
    /// Why the one behind them may not.
    stop: Option<Stop>,
}

enum Stop {
    Until(Instant),
    Refused(Errno),
}

/// What became of a batch: how many went, and why the next did not.
pub(crate) struct BatchSent {
    pub(crate) count: usize,
    pub(crate) error: Option<Errno>,
}

impl Inner {
    /// Sends a batch, or as much of it as goes without waiting. `again` where nothing went.
    pub(crate) fn attempt_send_many(
        &self,
        messages: &[OutgoingHead<'_>],
        addresses: &[Address],
        flags: MessageFlags,
    ) -> Outcome<Attempt<BatchSent>> {
        self.begin()?;
        if self.kind.socket_type == SocketType::Stream {
            // A stream has no messages; a part of one that was sent could not be told.
            return Err(Errno::OPNOTSUPP.into());
        }
        let (routes, allowed, refused) = self.judge_batch(messages, addresses, flags)?;
        let outgoing: Vec<(&[u8], Addressee<'_>)> = messages[..allowed]
            .iter()
            .enumerate()
            .filter_map(|(place, message)| Some((message.data, routes.of(place, message)?)))
            .collect();
        let (passages, stop) = match self.pay_for_batch(&outgoing)? {
            Some(PaidBatch { passages, stop }) => (passages, stop),
            None => (outgoing.iter().map(|_| None).collect(), None),
        };
        let paid = passages.len();
        if let (0, Some(Stop::Until(until))) = (paid, &stop) {
            return Ok(Attempt::Delayed(*until));
        }
        let (count, failed) = attempt::send_batch(&outgoing[..paid], self.fd(), flags);
        if count == 0 && failed == Some(Errno::AGAIN) {
            return Ok(Attempt::WouldBlock);
        }
        if let Some(jobs) = &mut self.state().jobs {
            for (data, to) in outgoing.iter().take(count) {
                if let Some(to) = to.judged() {
                    jobs.sent(data, &to.permit().subject().address);
                }
            }
        }
        let sent = passages.into_iter().zip(&outgoing).take(count);
        for (passage, (data, _)) in sent {
            if let Some(passage) = passage {
                passage.settle(data.len() as u64);
            }
        }
        let error = match stop {
            _ if count < paid => failed,
            Some(Stop::Refused(errno)) => Some(errno),
            Some(Stop::Until(_)) => Some(Errno::AGAIN),
            None => refused,
        };
        self.guest.audit().note(|| {
            let event = self
                .event("send-many")
                .arguments(format_args!("{} messages", messages.len()))
                .bytes(count)
                .carrying(
                    messages
                        .iter()
                        .take(count)
                        .map(|message| message.data.len())
                        .sum(),
                );
            event.outcome::<()>(&error.map_or(Ok(()), |errno| Err(errno.into())))
        });
        Ok(Attempt::Done(BatchSent { count, error }))
    }

    /// Takes what the messages count for, one after the other, until one may not pass. Nothing is taken where
    /// nothing counts.
    fn pay_for_batch(&self, outgoing: &[(&[u8], Addressee<'_>)]) -> Outcome<Option<PaidBatch>> {
        if outgoing.iter().all(|(_, to)| to.meters().is_none()) {
            return Ok(None);
        }
        let mut batch = PaidBatch {
            passages: Vec::with_capacity(outgoing.len()),
            stop: None,
        };
        for (data, to) in outgoing {
            let toll = self.toll(Way::Send, data.len() as u64);
            match self.pay(to.meters(), toll, "send-many") {
                Ok(Attempt::Done(passage)) => batch.passages.push(passage),
                Ok(Attempt::Delayed(until)) => {
                    batch.stop = Some(Stop::Until(until));
                    break;
                }
                Err(Failure::Errno(errno)) => {
                    batch.stop = Some(Stop::Refused(errno));
                    break;
                }
                Ok(Attempt::WouldBlock | Attempt::Hidden) => break,
                Err(stopped) => return Err(stopped),
            }
        }
        Ok(Some(batch))
    }

    /// Judges each address that the batch names, in the order it names them: the routes, how many messages
    /// may go, and why the next may not.
    fn judge_batch(
        &self,
        messages: &[OutgoingHead<'_>],
        addresses: &[Address],
        flags: MessageFlags,
    ) -> Outcome<(Routes, usize, Option<Errno>)> {
        let mut routes = Routes {
            peer: None,
            named: addresses.iter().map(|_| None).collect(),
            each: Vec::new(),
        };
        let unnamed = self.unnamed_destination();
        let one_by_one = self.inspected.is_some() || unnamed.is_some();
        for (place, message) in messages.iter().enumerate() {
            let to = match message.to {
                _ if !one_by_one => None,
                None => unnamed.as_ref(),
                Some(index) => addresses.get(index),
            };
            let judged = match (to, message.to) {
                (Some(to), _) => self
                    .judge_batch_message(to, message.data, flags)
                    .map(|judged| routes.each.push(judged)),
                _ if routes.to(message.to).is_some() => Ok(()),
                (None, None) => self
                    .judge_batch_peer(flags)
                    .map(|permit| routes.peer = Some(permit)),
                (None, Some(index)) => match (routes.named.get_mut(index), addresses.get(index)) {
                    (Some(route), Some(to)) => self
                        .judge_batch_address(to, flags)
                        .map(|judged| *route = Some(judged)),
                    _ => Err(Errno::INVAL.into()),
                },
            };
            match judged {
                Ok(()) => {}
                Err(Failure::Errno(errno)) => return Ok((routes, place, Some(errno))),
                Err(stopped) => return Err(stopped),
            }
        }
        Ok((routes, messages.len(), None))
    }

    fn judge_batch_peer(&self, flags: MessageFlags) -> Outcome<Permit<op::Converse>> {
        let state = self.converse("send-many")?;
        let permit = conversation(&state)?;
        self.check_flags(permit, flags, "send-many")?;
        Ok(permit.clone())
    }

    fn judge_batch_address(&self, to: &Address, flags: MessageFlags) -> Outcome<Destination> {
        self.check_family(to)?;
        if !self.is_datagram() {
            return Err(self.named_another().into());
        }
        let mut state = self.state();
        let kept = state
            .destination
            .take_if(|kept| kept.answers(to, &self.guest));
        let destination = match kept {
            Some(destination) => destination,
            None => self.judge_destination(&mut state, to, &[])?,
        };
        drop(state);
        self.check_flags(destination.permit(), flags, "send-many")?;
        Ok(destination)
    }

    /// Judges one message with what is in it.
    fn judge_batch_message(
        &self,
        to: &Address,
        data: &[u8],
        flags: MessageFlags,
    ) -> Outcome<Destination> {
        self.check_family(to)?;
        let destination = self.judge_destination(&mut self.state(), to, data)?;
        self.check_flags(destination.permit(), flags, "send-many")?;
        Ok(destination)
    }

    /// Takes what is there, at most `count` messages, without those that the policy hides.
    fn attempt_recv_many(
        &self,
        slab: &mut BytesMut,
        scratch: &mut BatchScratch,
        wanted: &BatchWanted,
    ) -> Outcome<Attempt<BatchIn>> {
        let Some(max) = self.room(wanted.max, interest(wanted.flags))? else {
            return Ok(Attempt::WouldBlock);
        };
        // The slab is bounded as a whole; a batch of large messages is a batch of fewer.
        let each = self.room_to_judge(max);
        let mut room = BatchRoom {
            count: wanted.count.min((MESSAGE_LIMIT / each.max(1)).max(1)),
            max: each,
            control: wanted.control,
            flags: wanted.flags,
        };
        let _held = self.hold(room.count * room.max)?;
        let mut state = self.may_hear("recv-many", wanted.flags)?;
        let paid = self.pay_to_hear(&mut state, max, wanted.flags, "recv-many")?;
        let mut paid = match paid {
            Attempt::Done(paid) => paid,
            other => return other.and(|_| Ok(Attempt::WouldBlock)),
        };
        if paid.is_some() {
            // Each of them is measured before it is taken.
            room.count = 1;
        }
        room.control = self.control_room(self.hearing(&state)?.meters(), room.control);
        let hearing = self.hearing(&state)?;
        let received = attempt::recv_batch(hearing, self.fd(), self.kind, slab, scratch, &room);
        let mut heads = match received {
            Ok(heads) => heads,
            Err(Errno::AGAIN) => return Ok(Attempt::WouldBlock),
            Err(errno) => return Err(errno.into()),
        };
        // The error queue holds what this socket sent itself.
        let own = wanted.flags.contains(MessageFlags::ERRQUEUE);
        let heard = match hearing {
            Reception::Anyone(_) if !own => {
                let mut at = 0;
                let heard = heads.iter().map(|head| {
                    let message = &slab[at..at + head.length];
                    at += head.length;
                    let flags = wanted.flags;
                    let heard = self.heard_ancillary(&mut state, head.source, message, flags)?;
                    if heard.is_some() {
                        let length = head.true_length.max(head.length);
                        self.settle_received(&state, paid.take(), length);
                    }
                    Ok(heard)
                });
                heard.collect::<Outcome<_>>()?
            }
            hearing => vec![Some(hearing.ancillary()); heads.len()],
        };
        if let (Some(paid), [head, ..]) = (paid.take(), &heads[..])
            && heard.iter().any(Option::is_some)
        {
            paid.settle(head.true_length.max(head.length));
        }
        // What was looked at and not taken would hide what comes behind it for ever.
        let looked = wanted.flags.contains(MessageFlags::PEEK);
        if looked && heard.iter().all(Option::is_none) && !heard.is_empty() {
            attempt::discard(reception(&state)?, self.fd())?;
        }
        drop(state);
        compact(slab, &mut heads, &heard, max);
        let taken = self.batch_in(filled(slab), heads, heard)?;
        if taken.messages.is_empty() {
            return Ok(Attempt::Hidden);
        }
        self.guest.audit().note(|| {
            self.event("recv-many")
                .arguments(format_args!("{} messages", wanted.count))
                .bytes(taken.messages.len())
                .carrying(taken.slab.len())
        });
        Ok(Attempt::Done(taken))
    }

    fn batch_in(
        &self,
        slab: Bytes,
        heads: Vec<BatchHead>,
        heard: Vec<Option<AncillarySet>>,
    ) -> Outcome<BatchIn> {
        let mut taken = BatchIn {
            slab,
            messages: Vec::with_capacity(heads.len()),
            addresses: Vec::new(),
            ancillary: Vec::new(),
        };
        let mut encoded: Vec<EncodedAddress> = Vec::new();
        for (head, allowed) in heads.into_iter().zip(heard) {
            let Some(allowed) = allowed else { continue };
            let source = match head.source {
                None => None,
                Some(source) => {
                    let known = encoded.iter().rposition(|known| *known == source);
                    let index = match known {
                        Some(index) => index,
                        None => match source.decode(self.kind)? {
                            Some(address) => {
                                encoded.push(source);
                                taken.addresses.push(address);
                                encoded.len() - 1
                            }
                            None => usize::MAX,
                        },
                    };
                    u32::try_from(index).ok()
                }
            };
            let first = taken.ancillary.len();
            taken
                .ancillary
                .extend(self.let_through(head.control, &allowed));
            let number = taken.ancillary.len() - first;
            taken.messages.push(IncomingHead {
                length: head.length,
                true_length: head.true_length,
                flags: head.flags,
                source,
                ancillary: (
                    u32::try_from(first).unwrap_or(0),
                    u32::try_from(number).unwrap_or(0),
                ),
            });
        }
        Ok(taken)
    }
}

/// Moves the bytes of heard messages together, over those of hidden ones and those that are beyond what the
/// guest asked for, which were there to be judged.
fn compact(
    slab: &mut BytesMut,
    heads: &mut [BatchHead],
    heard: &[Option<AncillarySet>],
    max: usize,
) {
    if heard.iter().all(Option::is_some) && heads.iter().all(|head| head.length <= max) {
        return;
    }
    let (mut from, mut to) = (0, 0);
    for (head, heard) in heads.iter_mut().zip(heard) {
        let received = head.length;
        if heard.is_some() {
            if received > max {
                head.length = max;
                head.flags |= ReceivedFlags::TRUNC;
            }
            slab.copy_within(from..from + head.length, to);
            to += head.length;
        }
        from += received;
    }
    slab.truncate(to);
}

struct BatchWanted {
    count: usize,
    max: u64,
    control: usize,
    flags: MessageFlags,
}

impl Socket {
    /// recvmmsg(2): waits for the first message, then takes what is there.
    pub(crate) async fn recv_many(
        &mut self,
        count: u32,
        max: u64,
        control: u32,
        flags: MessageFlags,
    ) -> Outcome<BatchIn> {
        let inner = self.inner()?.clone();
        let deadline = self.deadline(
            &inner,
            Direction::Receive,
            flags.contains(MessageFlags::DONTWAIT),
        );
        let count = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(MAXIMUM_COUNT);
        if count == 0 {
            return Err(Errno::INVAL.into());
        }
        if inner.kind.socket_type == SocketType::Stream {
            return Err(Errno::OPNOTSUPP.into());
        }
        let control = usize::try_from(control).unwrap_or(usize::MAX);
        let wanted = BatchWanted {
            count,
            max,
            control,
            flags,
        };
        let (slab, scratch) = (&mut self.buffer, &mut self.scratch);
        inner
            .until_done(interest(flags), deadline, |inner| {
                inner.attempt_recv_many(slab, scratch, &wanted)
            })
            .await
    }
}
