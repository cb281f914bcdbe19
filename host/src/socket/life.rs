//! Making, naming and ending sockets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use sockgate_policy::{
    Address, AdoptedState, BluetoothAddress, DescriptorKind, Family, Kind, Meters, SocketFacts,
    SocketSlot, SocketType, UnixAddress, VSOCK_ANY,
};

use super::descriptors::header_of;
use super::sys::generic;
use super::sys::life::{self, How};
use super::sys::option::{self, IPPROTO_IPV6, IPV6_V6ONLY, SO_ACCEPTCONN, SOL_SOCKET};
use super::{Errno, Guest, Inner, Opaque, Outcome, Socket, State, attempt};
use crate::audit::Event;

/// The event of a call that makes a socket.
fn making(operation: &'static str, kind: Kind) -> Event {
    Event::new(operation).arguments(format_args!("{}, {}", kind.family, kind.socket_type))
}

impl Socket {
    /// socket(2).
    pub(crate) fn create(guest: &Arc<Guest>, kind: Kind) -> Outcome<Socket> {
        guest.check_stopped()?;
        let permit = guest.decide(guest.gate().create(kind), || making("socket", kind))?;
        let slot = guest.slot(|| making("socket", kind))?;
        let made = attempt::create(&permit).map_err(Into::into);
        guest
            .audit()
            .note(|| making("socket", kind).granted(&permit).outcome(&made));
        let mut facts = SocketFacts::new(kind);
        learn_families(&mut facts);
        let inner = Inner::new(guest, made?, facts, slot);
        Ok(Socket::from_inner(inner))
    }

    /// socketpair(2).
    pub(crate) fn pair(guest: &Arc<Guest>, kind: Kind) -> Outcome<(Socket, Socket)> {
        guest.check_stopped()?;
        let permit = guest.decide(guest.gate().pair(kind), || making("socketpair", kind))?;
        let slots = (
            guest.slot(|| making("socketpair", kind))?,
            guest.slot(|| making("socketpair", kind))?,
        );
        let made = attempt::pair(&permit).map_err(Into::into);
        guest
            .audit()
            .note(|| making("socketpair", kind).granted(&permit).outcome(&made));
        let (one, other) = made?;
        let end = |fd, slot| -> Outcome<Socket> {
            let mut facts = SocketFacts::new(kind);
            facts.origin = sockgate_policy::Origin::Pair;
            facts.peer = Some(Address::Unix(UnixAddress::Unnamed));
            let inner = Inner::new(guest, fd, facts, slot);
            inner.count_for(&permit)?;
            inner.begin_conversation(&mut inner.state());
            Ok(Socket::from_inner(inner))
        };
        Ok((end(one, slots.0)?, end(other, slots.1)?))
    }

    /// Takes a socket that the operator granted.
    pub(crate) fn granted(guest: &Arc<Guest>, name: &str) -> Outcome<Socket> {
        guest.check_stopped()?;
        let event = || Event::new("granted").arguments(name);
        let slot = guest.slot(event)?;
        let Some(fd) = guest.take_granted(name) else {
            guest
                .audit()
                .note(|| event().outcome::<()>(&Err(Errno::NOENT.into())));
            return Err(Errno::NOENT.into());
        };
        let (mut facts, state) = facts_of(fd.as_fd())?;
        facts.granted = true;
        if let Some((option, value)) = header_of(fd.as_fd(), facts.kind)? {
            facts.options.remember(option, &value);
        }
        let inner = Inner::from_outside(guest, fd, facts, state, slot);
        guest.audit().note(event);
        Ok(Socket::from_inner(inner))
    }

    /// A socket that arrived by SCM_RIGHTS and was judged.
    pub(super) fn adopted(
        guest: &Arc<Guest>,
        fd: OwnedFd,
        facts: SocketFacts,
        state: AdoptedState,
        meters: Option<&Meters>,
    ) -> Outcome<Socket> {
        let slot = guest.slot(|| Event::new("descriptor-receive"))?;
        let inner = Inner::from_outside(guest, fd, facts, state, slot);
        if let Some(meters) = meters {
            inner.count_for_meters(meters, "descriptor-receive")?;
        }
        Ok(Socket::from_inner(inner))
    }

    /// Makes the socket an opaque descriptor.
    pub(crate) fn detach(&mut self) -> Outcome<Opaque> {
        let event = || Event::new("detach");
        self.inner()?.check_stays("detach")?;
        let slot = self.inner()?.guest.slot(event)?;
        let inner = self.inner.take().ok_or(Errno::BADF)?;
        let detached = inner
            .hand_over()
            .and_then(life::duplicate)
            .map(|fd| Opaque::new(fd, DescriptorKind::Socket, slot))
            .map_err(Into::into);
        if detached.is_ok() {
            inner.note_given();
        }
        inner
            .guest
            .audit()
            .note(|| inner.event("detach").outcome(&detached));
        self.buffer = BytesMut::new();
        detached
    }

    pub(crate) fn kind(&self) -> Outcome<Kind> {
        Ok(self.inner()?.kind)
    }
}

/// The families of generic netlink have numbers only while the kernel runs: rules name them. Where they
/// cannot be asked for, rules by number still hold.
fn learn_families(facts: &mut SocketFacts) {
    if !generic::is_generic(facts.kind) {
        return;
    }
    match generic::families() {
        Ok(families) => facts.generic_families = families.into(),
        Err(errno) => tracing::warn!(%errno, "the families of generic netlink cannot be listed"),
    }
}

/// What the kernel says of a descriptor that came from outside, and what was done with it.
pub(super) fn facts_of(fd: BorrowedFd<'_>) -> Result<(SocketFacts, AdoptedState), Errno> {
    let mut facts = SocketFacts::new(life::kind_of(fd)?);
    life::prepare_burial(facts.kind)?;
    let local = life::local_address(fd, facts.kind)?;
    learn_families(&mut facts);
    facts.local = (!chosen(&local)).then_some(local);
    facts.peer = life::peer_address(fd, facts.kind).ok();
    if facts.kind.family == Family::Inet6 && facts.kind.socket_type != SocketType::Raw {
        facts.v6only = option::get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY)? != 0;
    }
    let state = if facts.peer.is_some() {
        AdoptedState::Connected
    } else if option::get_int(fd, SOL_SOCKET, SO_ACCEPTCONN)? != 0 {
        AdoptedState::Listening
    } else if facts.local.is_some() {
        AdoptedState::Bound
    } else {
        AdoptedState::Unbound
    };
    Ok((facts, state))
}

impl Inner {
    /// A socket that somebody else made, and may still have.
    fn from_outside(
        guest: &Arc<Guest>,
        fd: OwnedFd,
        facts: SocketFacts,
        state: AdoptedState,
        slot: SocketSlot,
    ) -> Arc<Inner> {
        let inner = Inner::new(guest, fd, facts, slot);
        inner.shared.store(true, Ordering::Relaxed);
        inner.limits.learn_all(inner.fd());
        let mut known = inner.state();
        known.listening = state == AdoptedState::Listening;
        inner.begin_conversation(&mut known);
        drop(known);
        inner
    }

    /// bind(2). The name that the kernel chose for port 0 or by autobind is judged as well.
    pub(crate) fn bind(&self, address: &Address) -> Outcome<()> {
        self.begin()?;
        self.check_family(address)?;
        self.settle_dual_stack(address)?;
        self.check_names()?;
        let permit = self.may_bind(address)?;
        self.count_for(&permit)?;
        let bound = attempt::bind(&permit, &self.guest, self.kind, self.fd());
        let outcome = bound.as_ref().map(|_| ()).map_err(|failure| *failure);
        self.guest.audit().note(|| {
            self.event("bind")
                .address(&permit.subject().address)
                .granted(&permit)
                .outcome(&outcome)
        });
        let file = bound?;
        let local = match &file {
            Some(_) => permit.subject().address.clone(),
            // The kernel tells the socket's own number, whatever services it has.
            None if self.kind.family == Family::Tipc => permit.subject().address.clone(),
            None => match life::local_address(self.fd(), self.kind) {
                Err(errno) if self.tells_no_name(errno) => permit.subject().address.clone(),
                local => local?,
            },
        };
        {
            let mut state = self.state();
            state.bound = file;
            state.facts.local_chosen = chosen(address);
            state.bound_to(local.clone());
        }
        if chosen(address)
            && let Err(refused) = self.may_stay_bound(&local)
        {
            // It holds a name that nobody granted: the kernel has no unbind, so the socket ends here.
            self.retire();
            return Err(refused);
        }
        Ok(())
    }

    /// Ends both halves of a socket that may not go on; nothing else can be done with it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        // A socket that is not connected has nothing to shut down: then the flag alone ends it.
        if let Err(errno) = life::shutdown(self.fd(), How::Both) {
            tracing::debug!(socket = self.number, %errno, "a retired socket had nothing to shut down");
        }
        for poller in self.pollers() {
            poller.retire(self);
        }
        if self.kind.works_by_itself()
            && let Err(errno) = life::bury(self.fd())
        {
            tracing::warn!(socket = self.number, %errno, "a retired socket could not be closed");
        }
    }

    /// An address of another family is no business of the policy's: the kernel would answer the same.
    pub(super) fn check_family(&self, address: &Address) -> Outcome<()> {
        let family = address.family();
        let ip = self.kind.has_ip_addresses()
            && !matches!(self.kind.family, Family::Inet | Family::Inet6);
        if family == self.kind.family
            || attempt::is_mapped(self.kind, address)
            || (ip && address.ip().is_some())
        {
            return Ok(());
        }
        Err(match self.kind.family {
            Family::Unix => Errno::INVAL.into(),
            _ => Errno::AFNOSUPPORT.into(),
        })
    }

    /// IPV6_V6ONLY is on from creation; it goes off just before the socket gets its name, when the guest
    /// did not ask for it and the policy covers the IPv4 form as well.
    fn settle_dual_stack(&self, local: &Address) -> Outcome<()> {
        if self.kind.family != Family::Inet6 {
            return Ok(());
        }
        let mut state = self.state();
        if state.facts.local.is_some() || !state.facts.v6only || state.wants_v6only {
            return Ok(());
        }
        if self.guest.gate().dual_stack(&state.facts, local) {
            self.open_dual_stack(&mut state)?;
        }
        Ok(())
    }

    /// The same for an IPv4 address that an IPv6 socket was granted, in its canonical form.
    pub(super) fn open_to_mapped(&self, granted: &Address) -> Outcome<()> {
        match attempt::is_mapped(self.kind, granted) {
            true => self.open_dual_stack(&mut self.state()),
            false => Ok(()),
        }
    }

    /// Lets an IPv6 socket speak IPv4 as well, unless the guest asked for IPv6 alone or it has its name.
    pub(super) fn open_dual_stack(&self, state: &mut State) -> Outcome<()> {
        let raw = self.kind.socket_type == SocketType::Raw;
        if state.facts.v6only && !state.wants_v6only && state.facts.local.is_none() && !raw {
            life::set_v6only(self.fd(), false)?;
            state.facts.v6only = false;
        }
        Ok(())
    }

    /// shutdown(2): needs no more than the conversation, which its socket was granted.
    pub(crate) fn shutdown(&self, how: How) -> Outcome<()> {
        self.begin()?;
        let outcome = life::shutdown(self.fd(), how).map_err(Into::into);
        self.guest.audit().note(|| {
            self.event("shutdown")
                .arguments(format_args!("{how:?}"))
                .outcome(&outcome)
        });
        outcome
    }

    /// getsockname(2). A pathname that the host bound is told as the guest gave it.
    pub(crate) fn local_address(&self) -> Outcome<Address> {
        if let Some(bound @ Address::Unix(_)) = &self.state().facts.local {
            return Ok(bound.clone());
        }
        match life::local_address(self.fd(), self.kind) {
            Err(errno) if self.tells_no_name(errno) => {
                self.state().facts.local.clone().ok_or(errno.into())
            }
            local => Ok(local?),
        }
    }

    /// Whether getsockname(2) fails like this on sockets that have a name and do not tell it: those of
    /// algorithms, and of the HCI channels that belong to no controller.
    fn tells_no_name(&self, errno: Errno) -> bool {
        matches!(
            (self.kind.family, errno),
            (Family::Alg, Errno::OPNOTSUPP) | (Family::Bluetooth, Errno::BADFD)
        )
    }

    /// Refuses to name a socket that has no use here. An XDP socket is bound to a queue of an interface together
    /// with memory and rings that its process shares with the kernel, af_xdp.rst; a guest has none of these.
    pub(crate) fn check_nameable(&self) -> Outcome<()> {
        if self.kind.family != Family::Xdp {
            return Ok(());
        }
        self.guest.audit().note(|| {
            self.event("bind").withheld(format_args!(
                "an XDP socket is bound with rings in memory that it shares with the kernel, which no guest has"
            ))
        });
        Err(Errno::OPNOTSUPP.into())
    }

    /// getpeername(2)
    pub(crate) fn peer_address(&self) -> Outcome<Address> {
        Ok(life::peer_address(self.fd(), self.kind)?)
    }

    /// Whether messages have senders of their own.
    pub(super) fn is_datagram(&self) -> bool {
        self.kind.is_datagram()
    }
}

/// Whether a bind to this address lets the kernel choose, as on a socket that was never bound.
fn chosen(address: &Address) -> bool {
    match address {
        Address::Inet(_) | Address::Inet6(_) => address.port() == Some(0),
        Address::Unix(unix) => *unix == UnixAddress::Unnamed,
        Address::Netlink(netlink) => netlink.pid == 0,
        Address::Vsock(vsock) => vsock.port == VSOCK_ANY,
        Address::Bluetooth(BluetoothAddress::L2cap { psm, cid, .. }) => *psm == 0 && *cid == 0,
        Address::Bluetooth(BluetoothAddress::Rfcomm { channel, .. }) => *channel == 0,
        Address::Qipcrtr(qipcrtr) => qipcrtr.port == 0,
        // They are bound to what they name, all of it where they name nothing.
        Address::Packet(_)
        | Address::Can(_)
        | Address::Tipc(_)
        | Address::Alg(_)
        | Address::Bluetooth(_) => false,
    }
}
