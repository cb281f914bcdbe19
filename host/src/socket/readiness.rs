//! What a socket is ready for, and poll(2) for a handful of them. What the policy hides is not reported.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sockgate_policy::{Toll, Way};

use super::attempt::{self, Reception};
use super::data::{Attempt, reception};
use super::sys::poll::{self, Epoll, PollFd, Readiness};
use super::wait::{Deadline, Descriptor, Timeout, Wait, WaitMode};
use super::{Errno, Failure, Guest, Inner, Interest, Outcome, receipt};

/// The most sockets of one `poll`, and the most events of one wait.
pub(crate) const POLL_LIMIT: usize = 4096;
/// So many hidden messages or connections are put aside for one look at a socket.
const HIDDEN_PER_LOOK: usize = 64;
/// So many looks at nothing but hidden ones are enough for a call that may not wait.
const LOOKS: u32 = 16;

/// What a socket is ready for, as far as the policy shows it.
pub(super) struct Settled {
    /// What the guest may see.
    pub(super) ready: Readiness,
    /// Everything that this look found is hidden, and there may be more behind it. The kernel does not tell
    /// of that again: whoever waits looks again first.
    pub(super) more: bool,
    /// A rate hides something of it until then. The kernel goes on telling of that: whoever waits does not ask
    /// it before.
    pub(super) until: Option<Instant>,
    /// What the rate hides.
    pub(super) held: Readiness,
}

impl Settled {
    /// All of this shows.
    fn all(ready: Readiness) -> Settled {
        Settled {
            ready,
            more: false,
            until: None,
            held: Readiness::empty(),
        }
    }

    /// A rate does not let this through before.
    fn hide(&mut self, what: Readiness, until: Instant) {
        // What is left to read goes before the end that comes behind it.
        let ends = match what.contains(Readiness::READABLE) {
            true => Readiness::HANG_UP | Readiness::CLOSED,
            false => Readiness::empty(),
        };
        self.ready = self.ready.difference(what | ends);
        self.until = earlier(self.until, Some(until));
        self.held |= what;
    }

    /// What is to be waited for besides what a rate holds back, of which the kernel goes on telling; nothing
    /// where it would tell of its end as well.
    pub(super) fn rest_of(&self, interest: Readiness, found: Readiness) -> Readiness {
        match found.contains(Readiness::HANG_UP) {
            true => Readiness::empty(),
            false => interest.difference(self.held),
        }
    }
}

/// The first of two moments, where there is any.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// What the next message or connection is.
enum Next {
    Visible,
    /// None is there any more.
    Nothing,
    /// Hidden ones alone, and perhaps more behind them.
    Hidden,
    /// A rate does not let it through before.
    Delayed(Instant),
}

impl Inner {
    /// What the kernel found, less what the policy hides: a readable socket whose next message is from
    /// somebody else is not readable. A waiting connection is taken and judged here, for accept to find.
    pub(super) fn settle(&self, found: Readiness) -> Outcome<Settled> {
        if self.is_retired() {
            return Ok(Settled::all(found | Readiness::HANG_UP | Readiness::CLOSED));
        }
        let mut settled = self.settle_reading(found)?;
        if settled.ready.contains(Readiness::WRITABLE)
            && let Some(until) = self.send_held_until()
        {
            settled.hide(Readiness::WRITABLE, until);
        }
        Ok(settled)
    }

    fn settle_reading(&self, found: Readiness) -> Outcome<Settled> {
        if !found.contains(Readiness::READABLE) {
            return Ok(Settled::all(found));
        }
        let next = if self.is_listening() {
            self.settle_connection()?
        } else if self.has_senders {
            self.settle_datagram()?
        } else {
            self.settle_conversation()?
        };
        Ok(match next {
            Next::Visible => Settled::all(found),
            Next::Nothing => Settled::all(found.difference(Readiness::READABLE)),
            Next::Hidden => Settled {
                more: true,
                ..Settled::all(found.difference(Readiness::READABLE))
            },
            Next::Delayed(until) => {
                let mut settled = Settled::all(found);
                settled.hide(Readiness::READABLE, until);
                settled
            }
        })
    }

    /// Everything that comes is the peer's, and a rate may hold it back.
    fn settle_conversation(&self) -> Outcome<Next> {
        let state = self.state();
        let Some(permit) = state.converse.as_ref() else {
            return Ok(Next::Visible);
        };
        let Some(meters) = permit.meters().cloned() else {
            return Ok(Next::Visible);
        };
        let toll = match self.least(Way::Receive) {
            Toll::Message(way, least) => {
                let next = attempt::peek(Reception::Peer(permit), self.fd(), self.kind, 0);
                let length = next.map_or(least, |(next, _)| receipt::length_of(&next));
                Toll::Message(way, length)
            }
            toll => toll,
        };
        drop(state);
        let until = self.held_until(Way::Receive, Some((meters, toll)));
        Ok(until.map_or(Next::Visible, Next::Delayed))
    }

    fn settle_connection(&self) -> Outcome<Next> {
        if self.has_pending() {
            return Ok(Next::Visible);
        }
        for _ in 0..HIDDEN_PER_LOOK {
            match self.attempt_accept() {
                Ok(Attempt::Done(connection)) => {
                    self.state().pending.push_back(connection);
                    // The kernel may have no further one to tell of.
                    self.tell_pollers();
                    return Ok(Next::Visible);
                }
                Ok(Attempt::WouldBlock) => return Ok(Next::Nothing),
                Ok(Attempt::Delayed(until)) => return Ok(Next::Delayed(until)),
                Ok(Attempt::Hidden) => {}
                // accept will tell.
                Err(Failure::Errno(_)) => return Ok(Next::Visible),
                Err(stopped) => return Err(stopped),
            }
        }
        Ok(Next::Hidden)
    }

    fn settle_datagram(&self) -> Outcome<Next> {
        for _ in 0..HIDDEN_PER_LOOK {
            let mut state = match self.may_receive("poll") {
                Ok(state) => state,
                // The receive will tell.
                Err(Failure::Errno(_)) => return Ok(Next::Visible),
                Err(stopped) => return Err(stopped),
            };
            let head = self.inspected.unwrap_or(0);
            match attempt::peek(self.hearing(&state)?, self.fd(), self.kind, head) {
                Ok((next, bytes)) => {
                    let source = next
                        .source
                        .unwrap_or_else(super::sys::EncodedAddress::empty);
                    if self.hears(&mut state, &source, &bytes)? {
                        let meters = state.sender.as_ref().and_then(|kept| kept.permit.meters());
                        let toll = Toll::Message(Way::Receive, receipt::length_of(&next));
                        let next = meters.cloned().map(|meters| (meters, toll));
                        drop(state);
                        let until = self.held_until(Way::Receive, next);
                        return Ok(until.map_or(Next::Visible, Next::Delayed));
                    }
                    attempt::discard(reception(&state)?, self.fd())?;
                }
                Err(Errno::AGAIN) => return Ok(Next::Nothing),
                // A pending error: the receive will tell.
                Err(_) => return Ok(Next::Visible),
            }
        }
        Ok(Next::Hidden)
    }

    /// Whether a connection was taken that the guest has not asked for yet.
    pub(super) fn has_pending(&self) -> bool {
        !self.state().pending.is_empty()
    }
}

impl Guest {
    /// Everything that a look found is hidden. Lets the other guests of this thread have their turn, and says
    /// whether there is time for another look, of which there were so many.
    pub(super) async fn may_look_again(
        &self,
        deadline: Deadline,
        looks: &mut u32,
    ) -> Outcome<bool> {
        if self.cancel().is_raised() {
            self.cancel().check()?;
        }
        *looks += 1;
        let over = match deadline {
            Deadline::Now(_) => *looks >= LOOKS,
            deadline => deadline.left().is_err(),
        };
        if !over && self.wait_mode() == WaitMode::Ready {
            tokio::task::yield_now().await;
        }
        Ok(!over)
    }
}

/// One socket of a `poll`.
pub(crate) struct Watched {
    pub(crate) inner: Arc<Inner>,
    pub(crate) interest: Readiness,
}

/// poll(2): the places of those that are ready, and what they are ready for; none when the time is over.
pub(crate) async fn poll(
    guest: &Arc<Guest>,
    sockets: &[Watched],
    timeout: Timeout,
) -> Outcome<Vec<(usize, Readiness)>> {
    if sockets.len() > POLL_LIMIT {
        return Err(Errno::INVAL.into());
    }
    guest.check_stopped()?;
    guest.take_turn().await;
    let deadline = timeout.deadline(Errno::AGAIN);
    let (mut gathered, mut held) = (None, Vec::new());
    let mut looks = 0;
    loop {
        let Look {
            ready,
            more,
            held_back,
            until,
        } = look(sockets)?;
        if !ready.is_empty() {
            return Ok(ready);
        }
        if more {
            if guest.may_look_again(deadline, &mut looks).await? {
                continue;
            }
            return Ok(Vec::new());
        }
        if until.is_some() {
            // Of these the kernel goes on telling.
            gathered = Some(gather(sockets, &held_back)?);
        } else if gathered.is_none() || !held.is_empty() {
            gathered = Some(gather(sockets, &[])?);
        }
        held = held_back;
        let Some(all) = &gathered else { continue };
        for watched in sockets {
            watched.inner.check_interrupted()?;
        }
        match guest
            .wait_mode()
            .wait(
                all,
                Interest::Readable,
                deadline.no_later_than(until),
                guest.cancel(),
            )
            .await
        {
            Ok(()) => {}
            Err(Failure::Errno(Errno::AGAIN | Errno::TIMEDOUT)) if deadline.left().is_ok() => {}
            Err(Failure::Errno(Errno::AGAIN | Errno::TIMEDOUT)) => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
}

/// What one look at all of them found.
#[derive(Default)]
struct Look {
    ready: Vec<(usize, Readiness)>,
    /// There may be more behind what is hidden.
    more: bool,
    /// The places of those that a rate holds back, and what else is waited for on them.
    held_back: Vec<(usize, Readiness)>,
    /// When the first of these may go on.
    until: Option<Instant>,
}

/// One look at all of them.
fn look(sockets: &[Watched]) -> Outcome<Look> {
    let mut descriptors: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|watched| PollFd::new(watched.inner.fd(), watched.interest))
        .collect();
    poll::ppoll(&mut descriptors, Some(Duration::ZERO))?;
    let mut look = Look::default();
    for (place, (watched, descriptor)) in sockets.iter().zip(&descriptors).enumerate() {
        let mut found = descriptor.events();
        if watched.interest.contains(Readiness::READABLE) && watched.inner.has_pending() {
            found |= Readiness::READABLE;
        }
        let settled = watched.inner.settle(found)?;
        look.more |= settled.more;
        if settled.until.is_some() {
            let rest = settled.rest_of(watched.interest, found);
            look.held_back.push((place, rest));
            look.until = earlier(look.until, settled.until);
        }
        if !settled.ready.is_empty() {
            look.ready.push((place, settled.ready));
        }
    }
    Ok(look)
}

/// All of them as one descriptor to wait for: a socket that is named twice is watched for both. Those that are
/// held back are looked at when their time comes, and not before.
fn gather(sockets: &[Watched], held_back: &[(usize, Readiness)]) -> Outcome<Descriptor> {
    let mut interests: HashMap<u64, (&Inner, Readiness)> = HashMap::new();
    for (place, watched) in sockets.iter().enumerate() {
        let held = held_back.binary_search_by_key(&place, |(place, _)| *place);
        let interest = held.map_or(watched.interest, |at| held_back[at].1);
        if interest.is_empty() && held.is_ok() {
            continue;
        }
        let entry = interests
            .entry(watched.inner.number)
            .or_insert((&watched.inner, Readiness::empty()));
        entry.1 |= interest;
    }
    let epoll = Epoll::create()?;
    for (number, (inner, interest)) in interests {
        epoll.add(inner.fd(), number, interest)?;
    }
    descriptor_of(&epoll)
}

/// A descriptor that is readable while the epoll instance has something to tell.
pub(super) fn descriptor_of(epoll: &Epoll) -> Outcome<Descriptor> {
    let fd = epoll.as_fd().try_clone_to_owned().map_err(Errno::from)?;
    Ok(Descriptor::new(fd))
}

impl Inner {
    /// Waits until the socket is ready for any of `interest`; ends early when the guest is interrupted or
    /// stopped. Always in the reactor: whoever polls this polls others beside it.
    pub(crate) async fn until_ready(&self, interest: Readiness) {
        // tokio's reactor does not watch for out-of-band data.
        let urgent = match interest.contains(Readiness::PRIORITY) {
            true => match self.watched_for(interest) {
                Ok(descriptor) => Some(descriptor),
                // The guest's next call tells.
                Err(_) => return,
            },
            false => None,
        };
        loop {
            let mut descriptor = [PollFd::new(self.fd(), interest)];
            let looked = poll::ppoll(&mut descriptor, Some(Duration::ZERO));
            let mut found = descriptor[0].events();
            if interest.contains(Readiness::READABLE) && self.has_pending() {
                found |= Readiness::READABLE;
            }
            match (looked, self.settle(found)) {
                (Ok(_), Ok(settled)) if settled.ready.is_empty() => {
                    if settled.more {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    if let Some(until) = settled.until {
                        use super::wait::Ready;
                        let moment = until.saturating_duration_since(super::now());
                        if Ready.pause(moment, self.guest.cancel()).await.is_err() {
                            return;
                        }
                        continue;
                    }
                }
                _ => return,
            }
            let waited = match &urgent {
                Some(urgent) => self.in_reactor(urgent, Readiness::READABLE).await,
                None => self.in_reactor(&self.descriptor, interest).await,
            };
            if waited.is_err() {
                return;
            }
        }
    }

    /// This socket alone in an epoll instance.
    fn watched_for(&self, interest: Readiness) -> Outcome<Descriptor> {
        let epoll = Epoll::create()?;
        epoll.add(self.fd(), self.number, interest)?;
        descriptor_of(&epoll)
    }

    async fn in_reactor(&self, descriptor: &Descriptor, interest: Readiness) -> Outcome<()> {
        let (open, cancel) = (Deadline::Open, self.guest.cancel());
        let readable = super::wait::Ready.wait(descriptor, Interest::Readable, open, cancel);
        let writable = super::wait::Ready.wait(descriptor, Interest::Writable, open, cancel);
        if interest.contains(Readiness::READABLE | Readiness::WRITABLE) {
            tokio::select! { waited = readable => waited, waited = writable => waited }
        } else if interest.contains(Readiness::WRITABLE) {
            writable.await
        } else {
            readable.await
        }
    }
}
