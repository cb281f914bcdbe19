//! Connections: listen, accept, connect.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sockgate_policy::{
    Address, Carries, Counted, Family, Origin, Passage, Permit, SocketFacts, SocketType, Toll, op,
};

use super::data::Attempt;
use super::sys::poll::{self, PollFd, Readiness};
use super::sys::{life, option};
use super::wait::Deadline;
use super::{Direction, Errno, Failure, Inner, Interest, Outcome, Socket, attempt, now};

impl Inner {
    /// listen(2). A socket that was never bound gets its name first, and under the same grant.
    pub(crate) fn listen(&self, backlog: u32) -> Outcome<()> {
        if self.state().facts.local.is_none()
            && let Some(any) = wildcard(self.kind.family)
        {
            self.bind(&any)?;
        }
        let permit = self.may_listen()?;
        self.count_for(&permit)?;
        let outcome = attempt::listen(&permit, self.fd(), backlog).map_err(Into::into);
        self.guest.audit().note(|| {
            self.event("listen")
                .address(permit.subject())
                .granted(&permit)
                .outcome(&outcome)
        });
        if outcome.is_ok() {
            self.state().listening = true;
        }
        outcome
    }

    /// One accept(2), or a connection that poll took already.
    pub(super) fn attempt_accept(&self) -> Outcome<Attempt<(Arc<Inner>, Address)>> {
        let permit = self.may_accept()?;
        if let Some(waiting) = self.state().pending.pop_front() {
            return Ok(Attempt::Done(waiting));
        }
        if self.would_block(Readiness::READABLE)? {
            return Ok(Attempt::WouldBlock);
        }
        self.pay(permit.meters(), Toll::Connection, "accept")?
            .and(|connection| self.accept_one(&permit, connection))
    }

    /// One accept(2). A connection that did not come, or is hidden, is given back.
    fn accept_one(
        &self,
        permit: &Permit<op::Listen>,
        connection: Option<Passage>,
    ) -> Outcome<Attempt<(Arc<Inner>, Address)>> {
        let slot = self.guest.slot(|| self.event("accept"))?;
        // It counts for the rules that let the listener accept, before anybody knows who it is.
        let mut counted = Counted::default();
        if let Some(meters) = permit.meters() {
            counted.add(meters, now()).map_err(|limit| {
                self.guest
                    .limited(|| self.event("accept"), &limit, Errno::MFILE)
            })?;
        }
        let (fd, peer) = match attempt::accept(permit, self.fd(), self.kind) {
            Ok(accepted) => accepted,
            Err(Errno::AGAIN) => return Ok(Attempt::WouldBlock),
            // The connection went away between its arrival and this call, accept(2).
            Err(errno) if life::is_transient_accept_error(errno) => return Ok(Attempt::Hidden),
            Err(errno) => {
                let failed: Outcome<()> = Err(errno.into());
                self.guest
                    .audit()
                    .note(|| self.event("accept").granted(permit).outcome(&failed));
                return Err(errno.into());
            }
        };
        let peer = match peer {
            Some(peer) => peer,
            // What an algorithm's socket accepts is the operation, which has no other end.
            None if self.kind.family == Family::Alg => {
                self.state().facts.local.clone().ok_or(Errno::INVAL)?
            }
            None => life::peer_address(fd.as_fd(), self.kind)?,
        };
        let Some(converse) = self.let_in(fd.as_fd(), &peer) else {
            // The peer sees a reset, and the guest nothing.
            life::reset_on_close(fd.as_fd())?;
            return Ok(Attempt::Hidden);
        };
        let accepted = Inner::new(&self.guest, fd, self.facts_of_accepted(&peer), slot);
        accepted.limits.inherit(&self.limits);
        accepted.count_as(counted);
        if let Some(connection) = connection {
            connection.settle(0);
        }
        // Where each message is judged by what is in it, there is no verdict on all of them.
        accepted.state().converse = Some(converse).filter(|_| accepted.inspected.is_none());
        self.guest.audit().note(|| {
            self.event("accept")
                .address(&peer)
                .granted(permit)
                .arguments(format_args!("as #{}", accepted.number))
        });
        Ok(Attempt::Done((accepted, peer)))
    }

    /// The verdict on a connection that arrived; `None` hides it.
    fn let_in(&self, fd: BorrowedFd<'_>, peer: &Address) -> Option<Permit<op::Converse>> {
        match self.judge_peer(peer) {
            Ok(converse) if !runs_as(fd, &converse) => {
                self.guest.audit().note(|| {
                    self.event("accept").address(peer).withheld(format_args!(
                        "the peer runs as nobody among peer-uid and peer-gid"
                    ))
                });
                None
            }
            Ok(converse) => Some(converse),
            Err(denial) => {
                self.guest
                    .audit()
                    .note(|| self.event("accept").address(peer).denied(&denial));
                None
            }
        }
    }

    /// An accepted socket is judged by what its listener is.
    fn facts_of_accepted(&self, peer: &Address) -> SocketFacts {
        SocketFacts {
            origin: Origin::Accept,
            peer: Some(peer.clone()),
            ..self.state().facts.clone()
        }
    }

    /// A descriptor that somebody else shares may be a blocking one: it is looked at before it is tried.
    pub(super) fn would_block(&self, wanted: Readiness) -> Outcome<bool> {
        if !self.shared.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut descriptor = [PollFd::new(self.fd(), wanted)];
        Ok(poll::ppoll(&mut descriptor, Some(Duration::ZERO))? == 0)
    }

    /// The first half of connect(2): whether the connection is made (or under way).
    fn begin_connect(&self, peer: &Address) -> Outcome<Begun> {
        let permit = self.may_connect(peer)?;
        self.count_for(&permit)?;
        let connection = match self.pay(permit.meters(), Toll::Connection, "connect")? {
            Attempt::Delayed(until) => return Ok(Begun::Delayed(until, permit)),
            Attempt::Done(connection) => connection,
            Attempt::WouldBlock | Attempt::Hidden => None,
        };
        self.open_to_mapped(&permit.subject().address)?;
        if self.shared.load(Ordering::Relaxed) {
            // connect(2) has no flag against blocking; who shares the descriptor sees this.
            life::set_nonblocking(self.fd(), true)?;
        }
        let before = self.state().facts.peer.clone();
        let mut outcome = attempt::connect(&permit, &self.guest, self.kind, self.fd());
        // What was under way and has succeeded is told once more by the next connect(2), whatever its address:
        // the peer is still the one before.
        let stream = self.kind.socket_type == SocketType::Stream;
        let another = before.is_some_and(|before| before != permit.subject().address);
        if outcome.is_ok() && stream && another {
            outcome = Err(Errno::ISCONN.into());
        }
        // Attempts count, whatever becomes of them; but not each look at a Unix listener that has no room yet.
        let waits = self.kind.family == Family::Unix
            && matches!(outcome, Err(Failure::Errno(Errno::AGAIN)));
        if let Some(connection) = connection.filter(|_| !waits) {
            connection.settle(0);
        }
        if outcome.is_ok() && !runs_as(self.fd(), &permit) {
            self.retire();
            outcome = Err(self.guest.withhold(
                || self.event("connect").address(peer),
                format_args!("the peer runs as nobody among peer-uid and peer-gid"),
            ));
        }
        self.note_connect(&permit, &outcome);
        if matches!(outcome, Ok(()) | Err(Failure::Errno(Errno::INPROGRESS))) {
            let mut state = self.state();
            state.facts.peer = Some(permit.subject().address.clone());
            state.forget_verdicts();
            self.begin_conversation(&mut state);
        }
        match outcome {
            Ok(()) => Ok(Begun::Connected),
            Err(Failure::Errno(Errno::INPROGRESS)) => Ok(Begun::UnderWay),
            Err(failure) => Err(failure),
        }
    }

    /// The second half: what came of a connection that was under way.
    fn finish_connect(&self) -> Outcome<Attempt<()>> {
        if let Some(errno) = option::take_error(self.fd())? {
            return Err(errno.into());
        }
        match life::peer_address(self.fd(), self.kind) {
            Ok(_) => Ok(Attempt::Done(())),
            Err(Errno::NOTCONN) => Ok(Attempt::WouldBlock),
            Err(errno) => Err(errno.into()),
        }
    }

    fn forget_peer(&self) {
        let mut state = self.state();
        state.facts.peer = None;
        state.converse = None;
        state.forget_verdicts();
    }
}

enum Begun {
    Connected,
    UnderWay,
    /// A rate forbids until then what was granted.
    Delayed(Instant, Permit<op::Connect>),
}

impl Socket {
    /// accept(2). A connection that the policy hides is reset and not reported.
    pub(crate) async fn accept(&self) -> Outcome<(Socket, Address)> {
        let inner = self.inner()?.clone();
        let deadline = self.patience(&inner, Direction::Receive, Errno::AGAIN);
        let (accepted, peer) = inner
            .until_done(Interest::Readable, deadline, Inner::attempt_accept)
            .await?;
        Ok((Socket::from_inner(accepted), peer))
    }

    /// connect(2).
    pub(crate) async fn connect(&self, peer: &Address) -> Outcome<()> {
        let inner = self.inner()?.clone();
        inner.check_family(peer)?;
        // A Unix connect is never under way: it waits for room in the backlog, or does not.
        let would_block = match inner.kind.family {
            Family::Unix => Errno::AGAIN,
            _ => Errno::INPROGRESS,
        };
        let deadline = self.patience(&inner, Direction::Send, would_block);
        let outcome = inner.connect(peer, deadline).await;
        if matches!(outcome, Err(Failure::Errno(errno)) if ended(errno)) {
            inner.forget_peer();
        }
        outcome
    }

    /// connect(2) with AF_UNSPEC: drops the peer of a datagram socket.
    pub(crate) fn disconnect(&self) -> Outcome<()> {
        let inner = self.inner()?;
        inner.guest.check_stopped()?;
        let permit = inner.may_disconnect()?;
        let outcome = attempt::disconnect(&permit, inner.fd()).map_err(Into::into);
        inner
            .guest
            .audit()
            .note(|| inner.event("disconnect").granted(&permit).outcome(&outcome));
        if outcome.is_ok() {
            inner.forget_peer();
        }
        outcome
    }
}

/// Whether the peer's user and group are ones that the rule names (SO_PEERCRED, unix(7)).
fn runs_as<O: Carries>(fd: BorrowedFd<'_>, permit: &Permit<O>) -> bool {
    !permit.asks_who()
        || option::peer_credentials(fd).is_ok_and(|peer| permit.lets_in(peer.uid, peer.gid))
}

/// Errors after which there is no peer.
fn ended(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::CONNREFUSED
            | Errno::CONNRESET
            | Errno::TIMEDOUT
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
    )
}

impl Inner {
    fn note_connect(&self, permit: &Permit<op::Connect>, outcome: &Outcome<()>) {
        self.guest.audit().note(|| {
            self.event("connect")
                .address(&permit.subject().address)
                .granted(permit)
                .outcome(outcome)
        });
    }

    async fn connect(&self, peer: &Address, deadline: Deadline) -> Outcome<()> {
        loop {
            match self.begin_connect(peer) {
                Ok(Begun::Connected) => return Ok(()),
                Ok(Begun::UnderWay) => break,
                Ok(Begun::Delayed(until, permit)) => {
                    let rest = self.rest(until, deadline.answering(Errno::AGAIN)).await;
                    if rest.is_err() {
                        self.note_connect(&permit, &rest);
                    }
                    rest?;
                }
                // A Unix listener whose backlog is full: there is nothing to wait on but time.
                Err(Failure::Errno(Errno::AGAIN)) if self.kind.family == Family::Unix => {
                    self.pause(deadline).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        loop {
            if self.kind.family == Family::Tipc {
                // It wakes those who wait to read, poll(2) and epoll(7) with nothing but that in mind.
                self.pause(deadline).await?;
            } else {
                self.wait(Interest::Writable, deadline).await?;
            }
            // One that lost its grant was shut down: it is always ready, and never connected. A policy that was put
            // in force before there was a conversation to lose is asked here.
            drop(self.converse("connect").inspect_err(|_| self.retire())?);
            if let Attempt::Done(()) = self.finish_connect()? {
                return Ok(());
            }
        }
    }
}

/// What listen(2) binds a socket to that was never bound.
fn wildcard(family: Family) -> Option<Address> {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
    match family {
        Family::Inet => Some(Address::Inet(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))),
        Family::Inet6 => Some(Address::Inet6(SocketAddrV6::new(
            Ipv6Addr::UNSPECIFIED,
            0,
            0,
            0,
        ))),
        _ => None,
    }
}
