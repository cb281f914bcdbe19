//! Plain data calls: the loop of attempt and wait that all share, recv and recv-from.

use std::sync::MutexGuard;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use sockgate_policy::{Address, Content, Family, MessageFlags, Permit, SocketType, op};

use super::attempt::{Reception, Sender};
use super::receipt::Paid;
use super::sys::address::EncodedAddress;
use super::wait::Deadline;
use super::{Direction, Errno, Failure, Inner, Interest, Outcome, Socket, State, attempt, now};

/// A stream's receive allocates at most this much, whatever the guest asks for.
pub(super) const STREAM_CHUNK: usize = 1 << 20;
/// A message longer than this is measured (MSG_PEEK) before room is made for it.
pub(super) const MESSAGE_CHUNK: usize = 1 << 16;
/// TIPC_MAX_USER_MSG_SIZE, linux/tipc.h.
const TIPC_MESSAGE: usize = 66_000;
/// No message is longer, whatever the socket's buffers.
pub(super) const MESSAGE_LIMIT: usize = 16 << 20;
/// So many hidden messages in a row, then the other guests of this thread have their turn.
const HIDDEN_IN_A_ROW: u32 = 64;

/// What one attempt came to.
pub(crate) enum Attempt<T> {
    /// It is done.
    Done(T),
    /// The kernel would have blocked.
    WouldBlock,
    /// Something came that the policy hides; the next attempt may find something else.
    Hidden,
    /// A rate of the policy forbids it until then.
    Delayed(Instant),
}

impl<T> Attempt<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Attempt::Done(done) => Attempt::Done(change(done)),
            Attempt::WouldBlock => Attempt::WouldBlock,
            Attempt::Hidden => Attempt::Hidden,
            Attempt::Delayed(until) => Attempt::Delayed(until),
        }
    }

    /// Until when a rate forbids it, if one does.
    pub(crate) fn delayed(&self) -> Option<Instant> {
        match self {
            Attempt::Delayed(until) => Some(*until),
            _ => None,
        }
    }

    /// Goes on with what is done.
    pub(super) fn and<U>(self, next: impl FnOnce(T) -> Outcome<Attempt<U>>) -> Outcome<Attempt<U>> {
        match self {
            Attempt::Done(done) => next(done),
            Attempt::WouldBlock => Ok(Attempt::WouldBlock),
            Attempt::Hidden => Ok(Attempt::Hidden),
            Attempt::Delayed(until) => Ok(Attempt::Delayed(until)),
        }
    }
}

impl Inner {
    /// Attempts, and waits in between, until it is done or the deadline is there.
    pub(super) async fn until_done<T>(
        &self,
        interest: Interest,
        deadline: Deadline,
        mut attempt: impl FnMut(&Inner) -> Outcome<Attempt<T>>,
    ) -> Outcome<T> {
        self.guest.take_turn().await;
        let mut hidden = 0;
        loop {
            match attempt(self)? {
                Attempt::Done(done) => return Ok(done),
                Attempt::WouldBlock => self.wait(interest, deadline).await?,
                Attempt::Delayed(until) => self.rest(until, deadline).await?,
                Attempt::Hidden => {
                    hidden += 1;
                    if hidden % HIDDEN_IN_A_ROW == 0 {
                        self.give_way(deadline).await?;
                    }
                }
            }
        }
    }

    /// The same for a receive of at most `max` bytes: each attempt is told how much room it may use.
    pub(super) async fn receive<T>(
        &self,
        buffer: &mut BytesMut,
        max: u64,
        interest: Interest,
        deadline: Deadline,
        mut attempt: impl FnMut(&Inner, &mut BytesMut, usize) -> Outcome<Attempt<T>>,
    ) -> Outcome<T> {
        self.until_done(interest, deadline, |inner| {
            let Some(room) = inner.room(max, interest)? else {
                return Ok(Attempt::WouldBlock);
            };
            let _held = inner.hold(room)?;
            attempt(inner, buffer, room)
        })
        .await
    }

    /// One recv(2) on a connection (or a pair): everything that comes is the peer's.
    #[inline]
    pub(super) fn attempt_recv_from_peer(
        &self,
        buffer: &mut BytesMut,
        max: usize,
        flags: MessageFlags,
    ) -> Outcome<Attempt<usize>> {
        let state = self.converse("recv")?;
        let permit = conversation(&state)?;
        self.check_flags(permit, flags, "recv")?;
        let paid = match permit.meters() {
            None => Attempt::Done(None),
            Some(meters) => {
                self.pay_to_receive(Reception::Peer(permit), meters, max, flags, "recv")?
            }
        };
        paid.and(|paid| self.recv_from_peer(permit, buffer, max, flags, paid))
    }

    #[inline]
    fn recv_from_peer(
        &self,
        permit: &Permit<op::Converse>,
        buffer: &mut BytesMut,
        max: usize,
        flags: MessageFlags,
        paid: Option<Paid>,
    ) -> Outcome<Attempt<usize>> {
        let room = paid.as_ref().map_or(max, |paid| paid.room(max));
        let received = attempt::recv(permit, self.fd(), buffer, room, flags);
        if let (Some(paid), Ok(received)) = (paid, received) {
            paid.settle(received);
        }
        let outcome = match received {
            // Out-of-band data is never waited for, tcp(7).
            Err(Errno::AGAIN) if !flags.contains(MessageFlags::OOB) => {
                return Ok(Attempt::WouldBlock);
            }
            received => received.map_err(Failure::from),
        };
        self.guest.audit().note(|| {
            let event = self
                .event("recv")
                .arguments(format_args!("{max} bytes"))
                .granted(permit);
            match &outcome {
                Ok(received) => event.bytes(*received),
                Err(_) => event.outcome(&outcome),
            }
        });
        outcome.map(Attempt::Done)
    }

    /// One recvfrom(2) on a socket where every message has a sender of its own.
    fn attempt_recv_datagram(
        &self,
        buffer: &mut BytesMut,
        max: usize,
        flags: MessageFlags,
        operation: &'static str,
    ) -> Outcome<Attempt<(usize, EncodedAddress)>> {
        let mut state = self.may_receive(operation)?;
        let permit = reception(&state)?;
        self.check_flags(permit, flags, operation)?;
        let paid = self.pay_for_next(&mut state, max, flags, operation)?;
        paid.and(|paid| self.recv_datagram(state, buffer, max, flags, operation, paid))
    }

    fn recv_datagram(
        &self,
        mut state: MutexGuard<'_, State>,
        buffer: &mut BytesMut,
        max: usize,
        flags: MessageFlags,
        operation: &'static str,
        paid: Option<Paid>,
    ) -> Outcome<Attempt<(usize, EncodedAddress)>> {
        let permit = reception(&state)?;
        let start = buffer.len();
        let room = self.room_to_judge(max);
        let received = attempt::recv_from(permit, self.fd(), self.kind, buffer, room, flags);
        let mut datagram = match received {
            Ok(datagram) => datagram,
            Err(Errno::AGAIN) => return Ok(Attempt::WouldBlock),
            Err(errno) => {
                let outcome: Outcome<()> = Err(errno.into());
                self.guest
                    .audit()
                    .note(|| self.event(operation).outcome(&outcome));
                return Err(errno.into());
            }
        };
        let source = datagram.source.unwrap_or_else(EncodedAddress::empty);
        // The error queue holds what this socket sent itself.
        let own = flags.contains(MessageFlags::ERRQUEUE);
        if !own && !self.takes(&mut state, &source, &buffer[start..], flags)? {
            buffer.truncate(start);
            if flags.contains(MessageFlags::PEEK) {
                attempt::discard(reception(&state)?, self.fd())?;
            }
            return Ok(Attempt::Hidden);
        }
        self.settle_received(&state, paid, datagram.true_length.max(datagram.length));
        // More than the guest asked for was there to be judged, not to be handed over.
        buffer.truncate(start + max);
        datagram.length = datagram.length.min(max);
        self.guest.audit().note(|| {
            let event = self
                .event(operation)
                .arguments(format_args!("{max} bytes"))
                .bytes(datagram.length);
            let event = match source.decode(self.kind) {
                Ok(Some(source)) => event.address(source),
                _ => event,
            };
            match &state.sender {
                Some(sender) => event.granted(&sender.permit),
                None => event,
            }
        });
        let length = if flags.contains(MessageFlags::TRUNC) {
            datagram.true_length
        } else {
            datagram.length
        };
        Ok(Attempt::Done((length, source)))
    }

    /// The room that a receive needs, so that the policy sees enough of the message.
    pub(super) fn room_to_judge(&self, max: usize) -> usize {
        max.max(self.inspected.unwrap_or(0))
    }

    /// Whether this message of this sender is heard here, which is taken unless the flags say that it is looked at:
    /// then its sender may be answered from now on.
    pub(super) fn takes(
        &self,
        state: &mut State,
        source: &EncodedAddress,
        message: &[u8],
        flags: MessageFlags,
    ) -> Outcome<bool> {
        if !self.hears(state, source, message)? {
            return Ok(false);
        }
        if !flags.contains(MessageFlags::PEEK)
            && let Some(sender) = &mut state.sender
        {
            let (address, judged) = (&sender.address, sender.permit.subject());
            let remembered = &mut sender.remembered;
            state.heard.renew(address, judged, remembered, now());
        }
        Ok(true)
    }

    /// Whether this message of this sender may be heard here. The last sender is kept with its verdict, which
    /// holds for its next message too unless those are judged by what is in them.
    pub(super) fn hears(
        &self,
        state: &mut State,
        source: &EncodedAddress,
        message: &[u8],
    ) -> Outcome<bool> {
        let last = state.sender.as_ref();
        let last = last.filter(|last| last.encoded == *source);
        let remembered = last.and_then(|last| last.remembered);
        if self.inspected.is_none() && last.is_some_and(|last| last.permit.holds(self.guest.gate()))
        {
            return Ok(true);
        }
        let Some(address) = self.sender_address(state, source)? else {
            return Ok(false);
        };
        let content = Content::received(self.kind, message);
        let Some(permit) = self.judge_sender(state, &address, &content) else {
            return Ok(false);
        };
        state.sender = Some(Sender {
            encoded: *source,
            address,
            permit,
            remembered,
        });
        Ok(true)
    }

    /// The address that a sender is judged by. One that gives none is unnamed; where the family has no
    /// senders' names it is the peer, or the place that the socket is bound to.
    fn sender_address(&self, state: &State, source: &EncodedAddress) -> Outcome<Option<Address>> {
        Ok(match source.decode(self.kind)? {
            Some(address) => Some(address),
            None if self.kind.family == Family::Unix => {
                Some(Address::Unix(sockgate_policy::UnixAddress::Unnamed))
            }
            None => state.facts.peer.clone().or(state.facts.local.clone()),
        })
    }

    /// Room for the next receive: what was asked for, within what may be allocated. A message that may be
    /// longer than usual is measured first; `None` where none is there yet.
    pub(super) fn room(&self, max: u64, queue: Interest) -> Outcome<Option<usize>> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        // The error queue holds no longer ones, and cannot be measured.
        if queue == Interest::Error {
            return Ok(Some(max.min(MESSAGE_CHUNK)));
        }
        // An algorithm computes whenever it is read from, peeking or not.
        if self.kind.socket_type == SocketType::Stream || self.kind.family == Family::Alg {
            return Ok(Some(max.min(STREAM_CHUNK)));
        }
        if max <= MESSAGE_CHUNK {
            return Ok(Some(max));
        }
        // It does not tell a message's length, which is limited.
        if self.kind.family == Family::Tipc {
            return Ok(Some(max.min(TIPC_MESSAGE)));
        }
        let state = self.may_hear("recv", MessageFlags::empty())?;
        match attempt::peek(self.hearing(&state)?, self.fd(), self.kind, 0) {
            Ok((next, _)) => Ok(Some(
                max.min(next.true_length.clamp(MESSAGE_CHUNK, MESSAGE_LIMIT)),
            )),
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The permit to receive, whoever it is from, with the lock that it was found under.
    pub(super) fn may_hear(
        &self,
        operation: &'static str,
        flags: MessageFlags,
    ) -> Outcome<MutexGuard<'_, State>> {
        let state = if self.has_senders {
            self.may_receive(operation)?
        } else {
            self.converse(operation)?
        };
        match self.hearing(&state)? {
            Reception::Peer(permit) => self.check_flags(permit, flags, operation)?,
            Reception::Anyone(permit) => self.check_flags(permit, flags, operation)?,
        }
        Ok(state)
    }

    /// The permit that [`Inner::may_hear`] left.
    pub(super) fn hearing<'a>(&self, state: &'a State) -> Outcome<Reception<'a>> {
        if self.has_senders {
            Ok(Reception::Anyone(reception(state)?))
        } else {
            Ok(Reception::Peer(conversation(state)?))
        }
    }
}

/// The kept permit; `may_receive` leaves one.
pub(super) fn reception(state: &State) -> Outcome<&Permit<op::Receive>> {
    state.receive.as_ref().ok_or(Failure::Errno(Errno::NOTCONN))
}

/// The kept permit; `converse` leaves one.
pub(super) fn conversation(state: &State) -> Outcome<&Permit<op::Converse>> {
    state
        .converse
        .as_ref()
        .ok_or(Failure::Errno(Errno::NOTCONN))
}

impl Socket {
    /// What a send needs besides the bytes: the socket and when to give up.
    pub(crate) fn sending(
        &self,
        flags: MessageFlags,
    ) -> Outcome<(std::sync::Arc<Inner>, Deadline)> {
        let inner = self.inner()?.clone();
        let deadline = self.deadline(
            &inner,
            Direction::Send,
            flags.contains(MessageFlags::DONTWAIT),
        );
        Ok((inner, deadline))
    }

    /// recv(2).
    pub(crate) async fn recv(&mut self, max: u64, flags: MessageFlags) -> Outcome<Bytes> {
        let inner = self.inner()?.clone();
        let deadline = self.deadline(
            &inner,
            Direction::Receive,
            flags.contains(MessageFlags::DONTWAIT),
        );
        let buffer = &mut self.buffer;
        if flags.contains(MessageFlags::WAITALL) && inner.kind.socket_type == SocketType::Stream {
            // Boxed, so that the future of the usual receive stays small.
            return Box::pin(inner.recv_all(buffer, max, flags, deadline)).await;
        }
        let interest = interest(flags);
        inner
            .receive(buffer, max, interest, deadline, |inner, buffer, room| {
                if inner.has_senders {
                    let attempt = inner.attempt_recv_datagram(buffer, room, flags, "recv")?;
                    Ok(attempt.map(|(length, _)| length))
                } else {
                    inner.attempt_recv_from_peer(buffer, room, flags)
                }
            })
            .await?;
        Ok(filled(buffer))
    }

    /// recvfrom(2): the bytes and their sender.
    pub(crate) async fn recv_from(
        &mut self,
        max: u64,
        flags: MessageFlags,
    ) -> Outcome<(Bytes, Option<Address>)> {
        let inner = self.inner()?.clone();
        let kind = inner.kind;
        if !inner.has_senders {
            let bytes = self.recv(max, flags).await?;
            return Ok((bytes, None));
        }
        let deadline = self.deadline(
            &inner,
            Direction::Receive,
            flags.contains(MessageFlags::DONTWAIT),
        );
        let buffer = &mut self.buffer;
        let (_, source) = inner
            .receive(
                buffer,
                max,
                interest(flags),
                deadline,
                |inner, buffer, room| inner.attempt_recv_datagram(buffer, room, flags, "recv-from"),
            )
            .await?;
        Ok((filled(buffer), source.decode(kind)?))
    }
}

/// What was received. The rest of the buffer is kept for the next receive, unless it grew beyond what
/// every socket may keep.
pub(super) fn filled(buffer: &mut BytesMut) -> Bytes {
    let keep = buffer.capacity() <= MESSAGE_CHUNK;
    let bytes = buffer.split().freeze();
    if !keep {
        *buffer = BytesMut::new();
    }
    bytes
}

/// What a receive waits for.
pub(super) fn interest(flags: MessageFlags) -> Interest {
    if flags.contains(MessageFlags::ERRQUEUE) {
        Interest::Error
    } else {
        Interest::Readable
    }
}

impl Inner {
    /// Lets the other guests of this thread have their turn.
    async fn give_way(&self, deadline: Deadline) -> Outcome<()> {
        deadline
            .left()
            .map(|_| ())
            .or_else(|errno| match deadline {
                // A call that may not wait still looks at what is there, and finds it all hidden in the end.
                Deadline::Now(_) => Ok(()),
                _ => Err(errno),
            })?;
        if self.guest.wait_mode() == super::WaitMode::Ready {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Waits a moment for what no descriptor tells.
    pub(super) async fn pause(&self, deadline: Deadline) -> Outcome<()> {
        const MOMENT: std::time::Duration = std::time::Duration::from_millis(2);
        self.rest(now() + MOMENT, deadline).await
    }
}
