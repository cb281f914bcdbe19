//! Messages with ancillary data: sendmsg(2), recvmsg(2), cmsg(3).

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use sockgate_policy::{Address, AncillaryKind, Carries, MessageFlags, Permit};

use super::attempt::Destination;
use super::data::{Attempt, conversation, filled, interest};
use super::descriptors::{Handle, Opaque, Passed};
use super::sys::cmsg::{Control, ControlIn, ControlOut};
use super::sys::message::{self, Incoming, ReceivedFlags};
use super::{Inner, Outcome, Socket};

/// Ancillary data to send.
pub(crate) enum AncillaryOut {
    /// SCM_RIGHTS
    Rights(Vec<Passed>),
    /// Everything that is plain data.
    Plain(PlainOut),
}

/// Ancillary data without descriptors.
pub(crate) enum PlainOut {
    Credentials {
        pid: i32,
        uid: u32,
        gid: u32,
    },
    PacketInfoV4 {
        interface_index: u32,
        source: std::net::Ipv4Addr,
    },
    PacketInfoV6 {
        interface_index: u32,
        address: std::net::Ipv6Addr,
    },
    HopLimit(u8),
    TrafficClass(u8),
    SegmentSize(u16),
    TxTime(u64),
    Raw {
        level: i32,
        kind: i32,
        data: Vec<u8>,
    },
}

impl PlainOut {
    fn kind(&self) -> AncillaryKind {
        match self {
            PlainOut::Credentials { .. } => AncillaryKind::Credentials,
            PlainOut::PacketInfoV4 { .. } | PlainOut::PacketInfoV6 { .. } => {
                AncillaryKind::PacketInfo
            }
            PlainOut::HopLimit(_) => AncillaryKind::HopLimit,
            PlainOut::TrafficClass(_) => AncillaryKind::TrafficClass,
            PlainOut::SegmentSize(_) => AncillaryKind::SegmentSize,
            PlainOut::TxTime(_) => AncillaryKind::TxTime,
            PlainOut::Raw { level, kind, .. } => AncillaryKind::Raw {
                level: *level,
                kind: *kind,
            }
            .canonical(),
        }
    }

    fn control(&self) -> ControlOut<'_> {
        match *self {
            PlainOut::Credentials { pid, uid, gid } => ControlOut::Credentials { pid, uid, gid },
            PlainOut::PacketInfoV4 {
                interface_index,
                source,
            } => ControlOut::PacketInfoV4 {
                interface_index,
                source,
            },
            PlainOut::PacketInfoV6 {
                interface_index,
                address,
            } => ControlOut::PacketInfoV6 {
                interface_index,
                address,
            },
            PlainOut::HopLimit(limit) => ControlOut::HopLimit(limit),
            PlainOut::TrafficClass(class) => ControlOut::TrafficClass(class),
            PlainOut::SegmentSize(size) => ControlOut::SegmentSize(size),
            PlainOut::TxTime(time) => ControlOut::TxTime(time),
            PlainOut::Raw {
                level,
                kind,
                ref data,
            } => ControlOut::Raw { level, kind, data },
        }
    }
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
        let Some(to) = to.filter(|to| !self.is_own_peer(to)) else {
            let state = self.converse("send-msg")?;
            let permit = conversation(&state)?.clone();
            drop(state);
            return self.send_message_under(&permit, pieces, ancillary, flags, None);
        };
        self.check_family(to)?;
        if !self.is_datagram() {
            return Err(self.named_another().into());
        }
        self.may_pass_along(ancillary)?;
        self.with_destination(to, |destination| {
            self.send_message_judged(
                destination.permit(),
                pieces,
                ancillary,
                flags,
                Some(destination),
            )
        })
    }

    /// A name on a socket of connections may be its peer's.
    fn is_own_peer(&self, to: &Address) -> bool {
        !self.is_datagram() && self.state().facts.peer.as_ref() == Some(&to.canonical())
    }

    fn send_message_under<O: Carries>(
        &self,
        permit: &Permit<O>,
        pieces: &[IoSlice<'_>],
        ancillary: &[AncillaryOut],
        flags: MessageFlags,
        destination: Option<&Destination>,
    ) -> Outcome<Attempt<u64>> {
        self.may_pass_along(ancillary)?;
        self.send_message_judged(permit, pieces, ancillary, flags, destination)
    }

    /// Every descriptor that is to travel is judged by its kind.
    fn may_pass_along(&self, ancillary: &[AncillaryOut]) -> Outcome<()> {
        for passed in ancillary.iter().flat_map(|ancillary| match ancillary {
            AncillaryOut::Rights(passed) => passed.as_slice(),
            AncillaryOut::Plain(_) => &[],
        }) {
            self.may_pass(passed.kind())?;
        }
        Ok(())
    }

    fn send_message_judged<O: Carries>(
        &self,
        permit: &Permit<O>,
        pieces: &[IoSlice<'_>],
        ancillary: &[AncillaryOut],
        flags: MessageFlags,
        destination: Option<&Destination>,
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
        let to = destination.map(Destination::encoded);
        let sent = message::send_message(self.fd(), pieces, Some(&control), to, flags);
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.sent("send-msg", permit, length, sent)
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
    ) -> Outcome<Attempt<MessageIn>> {
        let senders = self.has_senders();
        let mut state = if senders {
            self.may_receive("recv-msg")?
        } else {
            self.converse("recv-msg")?
        };
        match (senders, &state.receive, &state.converse) {
            (true, Some(permit), _) => self.check_flags(permit, flags, "recv-msg")?,
            (false, _, Some(permit)) => self.check_flags(permit, flags, "recv-msg")?,
            _ => {}
        }
        let start = buffer.len();
        let incoming = match message::recv_message(
            self.fd(),
            self.kind.socket_type,
            buffer,
            max,
            control,
            flags,
        ) {
            Ok(incoming) => incoming,
            Err(super::Errno::AGAIN) => return Ok(Attempt::WouldBlock),
            Err(errno) => return Err(errno.into()),
        };
        if senders {
            let from = incoming
                .source
                .unwrap_or_else(super::sys::EncodedAddress::empty);
            // The error queue holds what this socket sent itself.
            if !flags.contains(MessageFlags::ERRQUEUE) && !self.hears(&mut state, &from)? {
                buffer.truncate(start);
                drop(state);
                drop(incoming);
                if flags.contains(MessageFlags::PEEK) {
                    self.discard()?;
                }
                return Ok(Attempt::Hidden);
            }
        }
        let allowed = match (senders, &state.sender, &state.converse) {
            (true, Some(sender), _) => sender.permit.ancillary_in().clone(),
            (false, _, Some(permit)) => permit.ancillary_in().clone(),
            _ => sockgate_policy::AncillarySet::NONE,
        };
        drop(state);
        self.guest.audit().note(|| {
            self.event("recv-msg")
                .arguments(format_args!("{max} bytes, {control} of control"))
                .bytes(incoming.length)
        });
        self.message_in(buffer, incoming, &allowed)
            .map(Attempt::Done)
    }

    fn message_in(
        &self,
        buffer: &mut BytesMut,
        incoming: Incoming,
        allowed: &sockgate_policy::AncillarySet,
    ) -> Outcome<MessageIn> {
        let Incoming {
            true_length,
            flags,
            source,
            control,
            ..
        } = incoming;
        let source = match source {
            Some(source) => source.decode()?,
            None => None,
        };
        let ancillary = self.let_through(control, allowed);
        Ok(MessageIn {
            data: filled(buffer),
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
        allowed: &sockgate_policy::AncillarySet,
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
                ControlIn::PidFd(fd) => through.push(AncillaryIn::PidFd(Opaque::new(fd))),
                plain => through.push(AncillaryIn::Plain(plain)),
            }
        }
        through
    }
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
        // IP_RECVOPTS, SO_MARK
        ControlIn::IpOptions(_) => AncillaryKind::Raw { level: 0, kind: 6 },
        ControlIn::Mark(_) => AncillaryKind::Raw { level: 1, kind: 36 },
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
        let deadline = self.deadline(flags.contains(MessageFlags::DONTWAIT));
        let buffer = &mut self.buffer;
        let control = usize::try_from(control).unwrap_or(usize::MAX);
        inner
            .receive(
                buffer,
                max,
                interest(flags),
                deadline,
                |inner, buffer, room| inner.attempt_recv_msg(buffer, room, control, flags),
            )
            .await
    }
}
