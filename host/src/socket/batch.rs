//! Batches: sendmmsg(2), recvmmsg(2). Every verdict of a batch comes before its first system call.

use bytes::{Bytes, BytesMut};
use sockgate_policy::{Address, AncillarySet, MessageFlags, Permit, SocketType, op};

use super::ancillary::AncillaryIn;
use super::attempt::{self, Addressee, BatchRoom, Destination, Reception};
use super::data::{Attempt, MESSAGE_LIMIT, conversation, filled, interest};
use super::sys::EncodedAddress;
use super::sys::batch::{BatchHead, BatchScratch, MAXIMUM_COUNT};
use super::sys::message::ReceivedFlags;
use super::{Errno, Failure, Inner, Outcome, Socket};

/// One message of a batch to send: its bytes, and the index of its address.
pub(crate) struct OutgoingHead<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) to: Option<usize>,
}

/// Where the messages of a batch go, as far as it was judged.
struct Routes {
    peer: Option<Permit<op::Converse>>,
    named: Vec<Option<Destination>>,
}

impl Routes {
    fn to(&self, index: Option<usize>) -> Option<Addressee<'_>> {
        match index {
            None => self.peer.as_ref().map(Addressee::Peer),
            Some(index) => self.named.get(index)?.as_ref().map(Addressee::Named),
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
            .filter_map(|message| Some((message.data, routes.to(message.to)?)))
            .collect();
        let (count, failed) = attempt::send_batch(&outgoing, self.fd(), flags);
        if count == 0 && failed == Some(Errno::AGAIN) {
            return Ok(Attempt::WouldBlock);
        }
        let error = if count == allowed { refused } else { failed };
        self.guest.audit().note(|| {
            let event = self
                .event("send-many")
                .arguments(format_args!("{} messages", messages.len()))
                .bytes(count);
            event.outcome::<()>(&error.map_or(Ok(()), |errno| Err(errno.into())))
        });
        Ok(Attempt::Done(BatchSent { count, error }))
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
        };
        for (place, message) in messages.iter().enumerate() {
            let judged = match message.to {
                _ if routes.to(message.to).is_some() => Ok(()),
                None => self
                    .judge_batch_peer(flags)
                    .map(|permit| routes.peer = Some(permit)),
                Some(index) => match (routes.named.get_mut(index), addresses.get(index)) {
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
            None => self.judge_destination(&mut state, to)?,
        };
        drop(state);
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
        let Some(max) = self.room(wanted.max)? else {
            return Ok(Attempt::WouldBlock);
        };
        // The slab is bounded as a whole; a batch of large messages is a batch of fewer.
        let room = BatchRoom {
            count: wanted.count.min((MESSAGE_LIMIT / max.max(1)).max(1)),
            max,
            control: wanted.control,
            flags: wanted.flags,
        };
        let _held = self.guest.hold(room.count * room.max)?;
        let mut state = self.may_hear("recv-many", wanted.flags)?;
        let hearing = self.hearing(&state)?;
        let socket_type = self.kind.socket_type;
        let received = attempt::recv_batch(hearing, self.fd(), socket_type, slab, scratch, &room);
        let heads = match received {
            Ok(heads) => heads,
            Err(Errno::AGAIN) => return Ok(Attempt::WouldBlock),
            Err(errno) => return Err(errno.into()),
        };
        let heard = match hearing {
            Reception::Peer(_) => vec![Some(hearing.ancillary()); heads.len()],
            Reception::Anyone(_) => heads
                .iter()
                .map(|head| self.heard_ancillary(&mut state, head.source))
                .collect::<Outcome<_>>()?,
        };
        drop(state);
        compact(slab, &heads, &heard);
        let taken = self.batch_in(filled(slab), heads, heard)?;
        if taken.messages.is_empty() {
            return Ok(Attempt::Hidden);
        }
        self.guest.audit().note(|| {
            self.event("recv-many")
                .arguments(format_args!("{} messages", wanted.count))
                .bytes(taken.messages.len())
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
                        None => match source.decode()? {
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

/// Moves the bytes of heard messages together, over those of hidden ones.
fn compact(slab: &mut BytesMut, heads: &[BatchHead], heard: &[Option<AncillarySet>]) {
    if heard.iter().all(Option::is_some) {
        return;
    }
    let (mut from, mut to) = (0, 0);
    for (head, heard) in heads.iter().zip(heard) {
        if heard.is_some() {
            slab.copy_within(from..from + head.length, to);
            to += head.length;
        }
        from += head.length;
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
        let deadline = self.deadline(flags.contains(MessageFlags::DONTWAIT));
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
