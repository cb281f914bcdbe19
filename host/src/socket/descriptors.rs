//! Descriptors that travel (SCM_RIGHTS, unix(7)): what may leave, and what becomes of what arrives.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use sockgate_policy::{
    Adopted, Denial, DescriptorKind, Family, FlightSlot, Kind, Meters, OptionName, Origin,
    SocketFacts, SocketSlot, SocketType,
};

use super::option::{IP_HEADER, IPV6_HEADER, PEER_PIDFD, VIRTIO_HEADER, WATCHED};
use super::sys::life::{self, How};
use super::{Errno, Inner, Outcome, Socket, attempt};
use crate::audit::Event;

/// A descriptor that can be passed on or dropped, nothing else.
#[derive(Clone)]
pub struct Opaque(Arc<Kept>);

/// It counts as one of the guest's sockets: descriptors are the host's, and other guests need them too.
struct Kept {
    fd: OwnedFd,
    kind: DescriptorKind,
    _slot: SocketSlot,
}

impl Opaque {
    pub(super) fn new(fd: OwnedFd, kind: DescriptorKind, slot: SocketSlot) -> Opaque {
        Opaque(Arc::new(Kept {
            fd,
            kind,
            _slot: slot,
        }))
    }
}

/// What a guest passes on; it keeps its own.
#[derive(Clone)]
pub(crate) enum Passed {
    Socket(Arc<Inner>),
    Opaque(Opaque),
}

impl Passed {
    pub(super) fn kind(&self) -> DescriptorKind {
        match self {
            Passed::Socket(_) => DescriptorKind::Socket,
            // A detached socket is passed on as what it is.
            Passed::Opaque(opaque) => opaque.0.kind,
        }
    }

    /// A socket that is to end does not leave: nobody could end it then.
    pub(super) fn check_lifetime(&self) -> Outcome<()> {
        match self {
            Passed::Socket(inner) => inner.check_stays("descriptor-send"),
            Passed::Opaque(_) => Ok(()),
        }
    }

    /// It has left.
    pub(super) fn note_given(&self) {
        if let Passed::Socket(inner) = self {
            inner.note_given();
        }
    }

    /// The descriptor as its receiver expects it: a native peer takes a socket for blocking, and the flag
    /// belongs to what is shared (open(2)).
    pub(super) fn hand_over(&self) -> Result<BorrowedFd<'_>, Errno> {
        match self {
            Passed::Socket(inner) => inner.hand_over(),
            Passed::Opaque(opaque) => Ok(opaque.0.fd.as_fd()),
        }
    }
}

/// A socket that is gone, and the descriptors that it sent and nobody received yet. The kernel keeps them, and
/// tells only of sockets that are open whether anything is unread.
pub(super) struct Adrift {
    socket: Arc<OwnedFd>,
    flights: Vec<FlightSlot>,
}

impl Adrift {
    /// Whether anything of it is in flight still.
    pub(super) fn is_unread(&mut self) -> bool {
        land(self.socket.as_fd(), &mut self.flights);
        !self.flights.is_empty()
    }
}

/// Lets go of the descriptors that must have arrived. The kernel tells how much memory a Unix socket's unread
/// messages take, SIOCOUTQ, and none takes less than this, however short it is: so many may be unread, and those
/// with the most descriptors may be it.
fn land(fd: BorrowedFd<'_>, flights: &mut Vec<FlightSlot>) {
    const LEAST: u64 = 512;
    // An error says that nobody can receive anything any more.
    let unread = super::sys::option::outq(fd).map_or(0, |bytes| bytes.div_ceil(LEAST));
    flights.sort_by_key(|flight| std::cmp::Reverse(flight.descriptors()));
    flights.truncate(usize::try_from(unread).unwrap_or(usize::MAX));
}

/// What a guest received.
pub(crate) enum Handle {
    Socket(Socket),
    Opaque(Opaque),
}

impl Inner {
    /// The descriptor, blocking from now on, since somebody else will have it too.
    pub(super) fn hand_over(&self) -> Result<BorrowedFd<'_>, Errno> {
        if !self.shared.swap(true, Ordering::SeqCst) {
            life::set_nonblocking(self.fd(), false)?;
        }
        Ok(self.fd())
    }

    fn in_flight(&self) -> MutexGuard<'_, Vec<FlightSlot>> {
        let flights = self.in_flight.lock();
        flights.unwrap_or_else(PoisonError::into_inner)
    }

    /// Descriptors have left over this socket.
    pub(super) fn note_in_flight(&self, flight: Option<FlightSlot>) {
        self.in_flight().extend(flight);
    }

    /// Looks what arrived.
    pub(super) fn note_landed(&self) {
        let mut flights = self.in_flight();
        if !flights.is_empty() {
            land(self.fd(), &mut flights);
        }
    }

    /// The socket is about to close, and what is in flight stays so. Its peer sees the end at once.
    pub(super) fn set_adrift(&self) {
        self.note_landed();
        let flights = std::mem::take(&mut *self.in_flight());
        if flights.is_empty() {
            return;
        }
        if !self.given.load(Ordering::Relaxed)
            && let Err(errno) = life::shutdown(self.fd(), How::Both)
        {
            tracing::debug!(socket = self.number, %errno, "a socket had nothing to shut down");
        }
        self.guest.set_adrift(Adrift {
            socket: self.descriptor.shared(),
            flights,
        });
    }

    /// Whether the socket may leave the guest, which one with a lifetime may not.
    pub(super) fn check_stays(&self, operation: &'static str) -> Outcome<()> {
        match self.lifetime() {
            None => Ok(()),
            Some(limit) => {
                let event = || self.event(operation);
                Err(self.guest.limited(event, &limit, Errno::ACCES))
            }
        }
    }

    /// Somebody else may have the socket for longer than this guest.
    pub(super) fn note_given(&self) {
        self.given.store(true, Ordering::Relaxed);
    }

    /// SO_PEERPIDFD: a descriptor of the peer's process, which has to be granted as an option and as a
    /// descriptor that arrives.
    pub(crate) fn peer_pidfd(&self) -> Outcome<Opaque> {
        let permit = self.may_get_option(PEER_PIDFD)?;
        self.may_take(DescriptorKind::Opaque)?;
        let outcome = attempt::peer_pidfd(&permit, self.fd()).map_err(Into::into);
        self.guest.audit().note(|| {
            self.event("get-option")
                .arguments(PEER_PIDFD.on(self.kind))
                .granted(&permit)
                .outcome(&outcome)
        });
        self.keep_opaque(outcome?)
    }

    /// Classifies what arrived and lets through what the policy grants; the rest is closed here.
    pub(super) fn take_in(&self, arrived: Vec<OwnedFd>) -> Vec<Handle> {
        arrived
            .into_iter()
            .filter_map(|fd| self.take_in_one(fd))
            .collect()
    }

    fn take_in_one(&self, fd: OwnedFd) -> Option<Handle> {
        let taken = if life::is_socket(fd.as_fd()).unwrap_or(false) {
            self.take_in_socket(fd)
        } else {
            self.take_in_opaque(fd).map(Handle::Opaque)
        };
        taken.ok()
    }

    fn take_in_opaque(&self, fd: OwnedFd) -> Outcome<Opaque> {
        self.may_take(DescriptorKind::Opaque)?;
        self.keep_opaque(fd)
    }

    /// A place for a descriptor that the guest may have.
    pub(super) fn keep_opaque(&self, fd: OwnedFd) -> Outcome<Opaque> {
        let slot = self.guest.slot(|| self.event("descriptor-receive"))?;
        Ok(Opaque::new(fd, DescriptorKind::Opaque, slot))
    }

    fn may_take(&self, kind: DescriptorKind) -> Outcome<()> {
        let verdict = self
            .guest
            .gate()
            .descriptor_receive(&self.state().facts, kind);
        self.guest
            .decide(verdict, || self.event("descriptor-receive").arguments(kind))
            .map(|_| ())
    }

    /// A socket from outside is judged as if the guest had done what made it.
    fn take_in_socket(&self, fd: OwnedFd) -> Outcome<Handle> {
        self.may_take(DescriptorKind::Socket)?;
        let (mut facts, state) = super::life::facts_of(fd.as_fd()).map_err(|errno| {
            self.guest.withhold(
                || self.event("descriptor-receive").arguments("socket"),
                format_args!("it does not tell what it is bound to: {errno}"),
            )
        })?;
        if let Err(errno) = attempt::served(facts.kind) {
            tracing::debug!(kind = %facts.kind, "a socket of a kind without support arrived and was closed");
            return Err(errno.into());
        }
        let options = present_options(fd.as_fd(), &facts);
        for (option, value) in options.iter().flatten() {
            facts.options.remember(*option, value);
        }
        let event = || {
            let event = self.event("descriptor-receive").arguments(facts.kind);
            match facts.peer.as_ref().or(facts.local.as_ref()) {
                Some(address) => event.address(address),
                None => event,
            }
        };
        let adopted = match self.guest.gate().adopt(&facts, state) {
            Ok(adopted) => adopted,
            Err(denial) => return Err(self.refuse_adoption(&denial, event)),
        };
        if let Err(errno) = options {
            let why =
                format_args!("no new socket can be made to compare its options with: {errno}");
            return Err(self.guest.withhold(event, why));
        }
        self.guest.audit().note(event);
        if matches!(adopted, Adopted::Connected(_)) {
            facts.origin = self.origin_of(&facts);
        }
        Ok(Handle::Socket(Socket::adopted(
            &self.guest,
            fd,
            facts,
            state,
            meters_of(&adopted),
        )?))
    }

    /// What granted a conversation that arrived, and so has to grant it again after a reload.
    fn origin_of(&self, facts: &SocketFacts) -> Origin {
        let granted_by = |origin| {
            let facts = SocketFacts {
                origin,
                ..facts.clone()
            };
            self.guest.gate().converse(&facts).is_ok()
        };
        [Origin::Socket, Origin::Accept]
            .into_iter()
            .find(|origin| granted_by(*origin))
            .unwrap_or(Origin::Pair)
    }

    fn refuse_adoption(&self, denial: &Denial, event: impl FnOnce() -> Event) -> super::Failure {
        self.guest.refuse(denial, event)
    }
}

/// What an arrived socket counts for.
fn meters_of(adopted: &Adopted) -> Option<&Meters> {
    match adopted {
        Adopted::Connected(permit) => permit.meters(),
        Adopted::Listening(permit) => permit.meters(),
        Adopted::Bound(permit) => permit.meters(),
        Adopted::Unbound(_) => None,
    }
}

/// The options of an arrived socket that are not as a new socket has them, so that a rule has to list
/// them: passing a socket is no way to an option. An error where no new one can be made to compare with.
fn present_options(
    fd: BorrowedFd<'_>,
    facts: &sockgate_policy::SocketFacts,
) -> Result<Vec<(OptionName, Vec<u8>)>, Errno> {
    let fresh = life::socket(facts.kind)?;
    Ok(WATCHED
        .iter()
        .filter_map(|name| {
            let present = super::sys::option::get(fd, name.level, name.name, 64).ok()?;
            let usual = super::sys::option::get(fresh.as_fd(), name.level, name.name, 64).ok()?;
            (present != usual).then_some((*name, present))
        })
        .collect())
}

/// The option of a granted socket that says what its messages begin with, where it is not as on a new one, and so how
/// they are to be read.
pub(super) fn header_of(
    fd: BorrowedFd<'_>,
    kind: Kind,
) -> Result<Option<(OptionName, Vec<u8>)>, Errno> {
    /// IPPROTO_RAW: whoever opens that writes headers, raw(7).
    const RAW: u32 = 255;
    let (name, usual) = match (kind.family, kind.socket_type) {
        (Family::Inet, SocketType::Raw) => (IP_HEADER, kind.protocol == RAW),
        (Family::Inet6, SocketType::Raw) => (IPV6_HEADER, kind.protocol == RAW),
        (Family::Packet, _) => (VIRTIO_HEADER, false),
        _ => return Ok(None),
    };
    let present = super::sys::option::get(fd, name.level, name.name, 4)?;
    let is_set = present.iter().any(|byte| *byte != 0);
    Ok((is_set != usual).then_some((name, present)))
}
