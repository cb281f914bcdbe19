//! Messages with ancillary data: sendmsg(2), recvmsg(2), cmsg(3).

mod plain;

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::sync::MutexGuard;

use bytes::{Bytes, BytesMut};
use sockgate_policy::{
    Address, AncillaryKind, AncillarySet, Carries, Family, FlightSlot, MessageFlags, Meters,
    Permit, SocketType,
};

pub(crate) use plain::PlainOut;

use super::attempt::{self, Addressee, Destination, Reception};
use super::collect::Piece;
use super::data::{Attempt, MESSAGE_LIMIT, conversation, filled, interest, reception};
use super::descriptors::{Handle, Opaque, Passed};
use super::receipt::Paid;
use super::sys::EncodedAddress;
use super::sys::cmsg::{Control, ControlIn, ControlOut};
use super::sys::message::{Incoming, ReceivedFlags};
use super::wait::Deadline;
use super::{Direction, Errno, Inner, Outcome, Socket, State};

/// Ancillary data to send.
pub(crate) enum AncillaryOut {
    /// SCM_RIGHTS
    Rights(Vec<Passed>),
    /// Everything that is plain data.
    Plain(PlainOut),
}

/// Ancillary data that was received and let through.
pub(crate) enum AncillaryIn {
    /// SCM_RIGHTS
    Rights(Vec<Handle>),
    /// SCM_PIDFD
    PidFd(Opaque),
    /// Everything that is plain data.
    Plain(ControlIn),
}

/// One received message.
pub(crate) struct MessageIn {
    pub(crate) data: Bytes,
    pub(crate) letter: Letter,
}

/// What there is to know of a received message whose bytes are in a buffer.
pub(crate) struct Letter {
    pub(crate) true_length: usize,
    pub(crate) flags: ReceivedFlags,
    pub(crate) source: Option<Address>,
    pub(crate) ancillary: Vec<AncillaryIn>,
}

impl Inner {
    /// One sendmsg(2).
    pub(crate) fn attempt_send_msg(
        &self,
        pieces: &[IoSlice<'_>],
        ancillary: &[AncillaryOut],
        flags: MessageFlags,
        to: Option<&Address>,
    ) -> Outcome<Attempt<u64>> {
        self.may_pass_along(ancillary)?;
        let Some(to) = to.filter(|to| !self.is_own_peer(to)) else {
            if let Some(to) = self.unnamed_destination() {
                return self.send_judged(&to, pieces, |to, pieces| {
                    self.send_message(
                        to.permit(),
                        Addressee::Unnamed(to),
                        pieces,
                        ancillary,
                        flags,
                    )
                });
            }
            let state = self.converse("send-msg")?;
            let permit = conversation(&state)?;
            return self.send_message(permit, Addressee::Peer(permit), pieces, ancillary, flags);
        };
        self.check_family(to)?;
        if !self.is_datagram() {
            return Err(self.named_another().into());
        }
        self.send_judged(to, pieces, |to, pieces| {
            self.send_message(to.permit(), Addressee::Named(to), pieces, ancillary, flags)
        })
    }

    /// Judges a message and sends it. One that is judged by what is in it is put together first, so that
    /// what was judged is what is sent.
    fn send_judged(
        &self,
        to: &Address,
        pieces: &[IoSlice<'_>],
        send: impl Fn(&Destination, &[IoSlice<'_>]) -> Outcome<Attempt<u64>>,
    ) -> Outcome<Attempt<u64>> {
        match pieces {
            [piece] => self.with_destination(to, piece, |to| send(to, pieces)),
            _ if self.inspected.is_none() => self.with_destination(to, &[], |to| send(to, pieces)),
            _ => {
                let length = pieces.iter().map(|piece| piece.len()).sum();
                if length > MESSAGE_LIMIT {
                    return Err(Errno::MSGSIZE.into());
                }
                let _held = self.hold(length)?;
                let mut whole = Vec::with_capacity(length);
                for piece in pieces {
                    whole.extend_from_slice(piece);
                }
                self.with_destination(to, &whole, |to| send(to, &[IoSlice::new(&whole)]))
            }
        }
    }

    /// A name on a socket of connections may be its peer's.
    fn is_own_peer(&self, to: &Address) -> bool {
        !self.is_datagram() && self.state().facts.peer.as_ref() == Some(&to.canonical())
    }

    /// Every descriptor that is to travel is judged by its kind, and every source address as a bind is.
    fn may_pass_along(&self, ancillary: &[AncillaryOut]) -> Outcome<()> {
        for ancillary in ancillary {
            match ancillary {
                AncillaryOut::Rights(passed) => {
                    for passed in passed {
                        self.may_pass(passed.kind())?;
                        passed.check_lifetime()?;
                    }
                }
                AncillaryOut::Plain(plain) => {
                    if plain.names_host_memory() {
                        return Err(self.guest.withhold(
                            || self.event("send-msg").arguments(plain.kind()),
                            format_args!("it names memory of the host, which no guest has"),
                        ));
                    }
                    if !plain.claims_the_host()? {
                        return Err(self.guest.withhold(
                            || self.event("send-msg").arguments(plain.kind()),
                            format_args!("these are the credentials of another process"),
                        ));
                    }
                    if plain.strays()? {
                        return Err(self.guest.withhold(
                            || self.event("send-msg").arguments(plain.kind()),
                            format_args!("it goes elsewhere than to the address of the message"),
                        ));
                    }
                    if let Some(source) = plain.source()? {
                        self.may_send_from(source)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A message may bear the socket's own address, or one that the socket could have been bound to.
    fn may_send_from(&self, source: IpAddr) -> Outcome<()> {
        let local = self.state().facts.local.clone();
        let local_ip = local.as_ref().and_then(Address::ip);
        if local_ip.is_some_and(|local| local.to_canonical() == source.to_canonical()) {
            return Ok(());
        }
        let port = local.as_ref().and_then(Address::port).unwrap_or(0);
        let address = match source {
            IpAddr::V4(source) => Address::Inet(SocketAddrV4::new(source, port)),
            IpAddr::V6(source) => Address::Inet6(SocketAddrV6::new(source, port, 0, 0)),
        };
        self.may_bind(&address).map(drop)
    }

    fn send_message<O: Carries>(
        &self,
        permit: &Permit<O>,
        to: Addressee<'_>,
        pieces: &[IoSlice<'_>],
        ancillary: &[AncillaryOut],
        flags: MessageFlags,
    ) -> Outcome<Attempt<u64>> {
        self.check_flags(permit, flags, "send-msg")?;
        let mut control = Vec::with_capacity(ancillary.len());
        for message in ancillary {
            control.push(match message {
                AncillaryOut::Rights(passed) => ControlOut::Rights(
                    passed
                        .iter()
                        .map(Passed::hand_over)
                        .collect::<Result<_, _>>()?,
                ),
                AncillaryOut::Plain(plain) => {
                    self.check_ancillary(permit, plain.kind())?;
                    plain.control()
                }
            });
        }
        let control = Control::encode(self.kind.family, &control)?;
        let flight = self.check_beside(permit, ancillary, control.length())?;
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let sent = self.sent("send-msg", permit, length, |most| {
            let cut = (most < length).then(|| beginning(pieces, most));
            let pieces = cut.as_deref().unwrap_or(pieces);
            attempt::send_message(to, self.fd(), pieces, &control, flags)
        })?;
        if matches!(sent, Attempt::Done(_)) {
            self.note_passed(permit, ancillary);
            self.note_in_flight(flight);
        }
        Ok(sent)
    }

    /// Holds what goes beside a message to its limits; the descriptors among it are in flight from now on.
    fn check_beside<O: Carries>(
        &self,
        permit: &Permit<O>,
        ancillary: &[AncillaryOut],
        control: usize,
    ) -> Outcome<Option<FlightSlot>> {
        if ancillary.is_empty() {
            return Ok(None);
        }
        let event = || self.event("send-msg").granted(permit);
        let limit = self.guest.gate().control_limit(permit.meters());
        if control as u64 > limit.limit {
            return Err(self.guest.limited(event, &limit, Errno::NOBUFS));
        }
        let passed = ancillary.iter().map(|ancillary| match ancillary {
            AncillaryOut::Rights(passed) => passed.len() as u64,
            AncillaryOut::Plain(_) => 0,
        });
        match passed.sum() {
            0 => Ok(None),
            passed => {
                self.note_landed();
                let flight = self.guest.send_off(permit.meters(), passed, event);
                flight.map(Some)
            }
        }
    }

    /// Each descriptor that has left is on record, as each that arrives is.
    fn note_passed<O: Carries>(&self, permit: &Permit<O>, ancillary: &[AncillaryOut]) {
        for ancillary in ancillary {
            let AncillaryOut::Rights(passed) = ancillary else {
                continue;
            };
            for passed in passed {
                passed.note_given();
                self.guest.audit().note(|| {
                    self.event("descriptor-send")
                        .arguments(passed.kind())
                        .granted(permit)
                });
            }
        }
    }

    fn check_ancillary<O: Carries>(&self, permit: &Permit<O>, kind: AncillaryKind) -> Outcome<()> {
        if permit.ancillary_out().contains(kind) {
            return Ok(());
        }
        Err(self.guest.withhold(
            || self.event("send-msg").arguments(kind),
            format_args!(
                "rule `{}` does not list `{kind}` under ancillary.send",
                permit.rule()
            ),
        ))
    }

    /// One recvmsg(2).
    fn attempt_recv_msg(
        &self,
        buffer: &mut BytesMut,
        max: usize,
        control: usize,
        flags: MessageFlags,
    ) -> Outcome<Attempt<Letter>> {
        let mut state = self.may_hear("recv-msg", flags)?;
        let paid = self.pay_to_hear(&mut state, max, flags, "recv-msg")?;
        paid.and(|paid| self.recv_letter(state, buffer, max, control, flags, paid))
    }

    fn recv_letter(
        &self,
        mut state: MutexGuard<'_, State>,
        buffer: &mut BytesMut,
        max: usize,
        control: usize,
        flags: MessageFlags,
        paid: Option<Paid>,
    ) -> Outcome<Attempt<Letter>> {
        let start = buffer.len();
        let hearing = self.hearing(&state)?;
        let max = paid.as_ref().map_or(max, |paid| paid.room(max));
        let room = self.room_to_judge(max);
        let control = self.control_room(hearing.meters(), control);
        let received =
            attempt::recv_message(hearing, self.fd(), self.kind, buffer, room, control, flags);
        let mut incoming = match received {
            Ok(incoming) => incoming,
            Err(Errno::AGAIN) if !flags.contains(MessageFlags::OOB) => {
                return Ok(Attempt::WouldBlock);
            }
            Err(errno) => return Err(errno.into()),
        };
        let own = flags.contains(MessageFlags::ERRQUEUE);
        let allowed = match hearing {
            // The error queue holds what this socket sent itself.
            Reception::Anyone(_) if !own => {
                self.heard_ancillary(&mut state, incoming.source, &buffer[start..], flags)?
            }
            hearing => Some(hearing.ancillary()),
        };
        let Some(allowed) = allowed else {
            buffer.truncate(start);
            if flags.contains(MessageFlags::PEEK) {
                attempt::discard(reception(&state)?, self.fd())?;
            }
            return Ok(Attempt::Hidden);
        };
        self.settle_received(&state, paid, incoming.true_length.max(incoming.length));
        drop(state);
        if incoming.length > max {
            // More than the guest asked for was there to be judged, not to be handed over.
            buffer.truncate(start + max);
            incoming.length = max;
            incoming.flags |= ReceivedFlags::TRUNC;
        }
        self.guest.audit().note(|| {
            self.event("recv-msg")
                .arguments(format_args!("{max} bytes, {control} of control"))
                .bytes(incoming.length)
        });
        self.letter(incoming, &allowed).map(Attempt::Done)
    }

    /// How much of the room for ancillary data the limits leave.
    pub(super) fn control_room(&self, meters: Option<&Meters>, wanted: usize) -> usize {
        if wanted == 0 {
            return 0;
        }
        let limit = self.guest.gate().control_limit(meters).limit;
        wanted.min(usize::try_from(limit).unwrap_or(wanted))
    }

    /// The ancillary data that this sender's messages may carry; `None` where it is not heard at all.
    pub(super) fn heard_ancillary(
        &self,
        state: &mut State,
        source: Option<EncodedAddress>,
        message: &[u8],
        flags: MessageFlags,
    ) -> Outcome<Option<AncillarySet>> {
        let source = source.unwrap_or_else(EncodedAddress::empty);
        if !self.takes(state, &source, message, flags)? {
            return Ok(None);
        }
        let sender = state.sender.as_ref();
        Ok(sender.map(|sender| sender.permit.ancillary_in().clone()))
    }

    fn letter(&self, incoming: Incoming, allowed: &AncillarySet) -> Outcome<Letter> {
        let Incoming {
            true_length,
            flags,
            source,
            control,
            ..
        } = incoming;
        let source = match source {
            Some(source) => source.decode(self.kind)?,
            None => None,
        };
        let ancillary = self.let_through(control, allowed);
        Ok(Letter {
            true_length,
            flags,
            source,
            ancillary,
        })
    }

    /// What the guest may see of received ancillary data. Descriptors are judged one by one; what is not
    /// let through is closed.
    pub(super) fn let_through(
        &self,
        control: Vec<ControlIn>,
        allowed: &AncillarySet,
    ) -> Vec<AncillaryIn> {
        let mut through = Vec::with_capacity(control.len());
        for message in control {
            let kind = kind_of(&message);
            match message {
                ControlIn::Rights(arrived) => {
                    let handles = self.take_in(arrived);
                    if !handles.is_empty() {
                        through.push(AncillaryIn::Rights(handles));
                    }
                }
                _ if !allowed.contains(kind) => {
                    self.guest.audit().note(|| {
                        self.event("recv-msg")
                            .arguments(kind)
                            .withheld(format_args!(
                                "no rule lists `{kind}` under ancillary.receive"
                            ))
                    });
                }
                ControlIn::Credentials { pid, uid, gid } => {
                    let pid = super::option::shown_pid(pid);
                    through.push(AncillaryIn::Plain(ControlIn::Credentials { pid, uid, gid }));
                }
                // Without a place for it, it is closed here.
                ControlIn::PidFd(fd) => {
                    through.extend(self.keep_opaque(fd).ok().map(AncillaryIn::PidFd));
                }
                plain => through.push(AncillaryIn::Plain(plain)),
            }
        }
        through
    }
}

/// The first `length` bytes of a message.
fn beginning<'a>(pieces: &'a [IoSlice<'_>], length: usize) -> Vec<IoSlice<'a>> {
    let mut left = length;
    let mut cut = Vec::new();
    for piece in pieces {
        let part = &piece[..piece.len().min(left)];
        left -= part.len();
        cut.push(IoSlice::new(part));
        if left == 0 {
            break;
        }
    }
    cut
}

fn kind_of(message: &ControlIn) -> AncillaryKind {
    match message {
        ControlIn::Rights(_) => AncillaryKind::Rights,
        ControlIn::Credentials { .. } => AncillaryKind::Credentials,
        ControlIn::PidFd(_) => AncillaryKind::PidFd,
        ControlIn::Security(_) => AncillaryKind::Security,
        ControlIn::Timestamp(_) | ControlIn::Timestamping { .. } => AncillaryKind::Timestamp,
        ControlIn::PacketInfoV4 { .. } | ControlIn::PacketInfoV6 { .. } => {
            AncillaryKind::PacketInfo
        }
        ControlIn::HopLimit(_) => AncillaryKind::HopLimit,
        ControlIn::TrafficClass(_) => AncillaryKind::TrafficClass,
        ControlIn::OriginalDestination(_) => AncillaryKind::OriginalDestination,
        ControlIn::ExtendedError(_) => AncillaryKind::ExtendedError,
        ControlIn::DropCount(_) => AncillaryKind::DropCount,
        ControlIn::SegmentSize(_) => AncillaryKind::SegmentSize,
        ControlIn::PacketAuxdata(_) => AncillaryKind::PacketAuxdata,
        ControlIn::J1939DestinationAddress(_)
        | ControlIn::J1939DestinationName(_)
        | ControlIn::J1939Priority(_) => AncillaryKind::J1939Info,
        ControlIn::IpOptions(_)
        | ControlIn::HopOptions(_)
        | ControlIn::DestinationOptions(_)
        | ControlIn::RoutingHeader(_) => AncillaryKind::IpOptions,
        ControlIn::PathMtu { .. } => AncillaryKind::PathMtu,
        ControlIn::FragmentSize(_) => AncillaryKind::FragmentSize,
        ControlIn::Mark(_) => AncillaryKind::Mark,
        ControlIn::BluetoothPacketStatus(_) => AncillaryKind::BluetoothStatus,
        ControlIn::Raw { level, kind, .. } => AncillaryKind::Raw {
            level: *level,
            kind: *kind,
        }
        .canonical(),
    }
}

impl Socket {
    /// recvmsg(2) with room for `control` bytes of control data.
    pub(crate) async fn recv_msg(
        &mut self,
        max: u64,
        control: u32,
        flags: MessageFlags,
    ) -> Outcome<MessageIn> {
        let inner = self.inner()?.clone();
        let deadline = self.deadline(
            &inner,
            Direction::Receive,
            flags.contains(MessageFlags::DONTWAIT),
        );
        let buffer = &mut self.buffer;
        let control = usize::try_from(control).unwrap_or(usize::MAX);
        if flags.contains(MessageFlags::WAITALL) && inner.kind.socket_type == SocketType::Stream {
            return Box::pin(inner.recv_msg_all(buffer, max, control, flags, deadline)).await;
        }
        let letter = inner
            .receive(
                buffer,
                max,
                interest(flags),
                deadline,
                |inner, buffer, room| inner.attempt_recv_msg(buffer, room, control, flags),
            )
            .await?;
        Ok(MessageIn {
            data: filled(buffer),
            letter,
        })
    }
}

impl Inner {
    /// MSG_WAITALL, as [`recv`](Socket::recv) has it. On a Unix socket what has ancillary data beside it
    /// ends there, as it does in the kernel; of a TCP stream the last of it is told.
    async fn recv_msg_all(
        &self,
        buffer: &mut BytesMut,
        max: u64,
        control: usize,
        flags: MessageFlags,
        deadline: Deadline,
    ) -> Outcome<MessageIn> {
        let mut last = None;
        let flags = flags.difference(MessageFlags::WAITALL);
        let data = self
            .collect(buffer, max, flags, deadline, |inner, buffer, room| {
                let before = buffer.len();
                let attempt = inner.attempt_recv_msg(buffer, room, control, flags)?;
                Ok(attempt.map(|letter| {
                    let beside = inner.kind.family == Family::Unix && !letter.ancillary.is_empty();
                    last = Some(letter);
                    Piece {
                        received: buffer.len() - before,
                        ends: beside,
                    }
                }))
            })
            .await?;
        let mut letter = last.ok_or(Errno::NOTCONN)?;
        letter.true_length = data.len();
        Ok(MessageIn { data, letter })
    }
}
