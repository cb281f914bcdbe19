//! Waiting for several sockets: poll(2) for a handful, epoll(7) for thousands. What the policy hides is
//! not reported.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::attempt;
use super::data::{Attempt, reception};
use super::sys::poll::{self, Epoll, PollFd, Readiness};
use super::wait::{Descriptor, Timeout, Wait};
use super::{Errno, Failure, Guest, Inner, Interest, Outcome};

/// The most sockets of one `poll`, and the most events of one wait.
pub(crate) const POLL_LIMIT: usize = 4096;
/// So many hidden messages or connections are put aside for one look at a socket.
const HIDDEN_PER_LOOK: usize = 64;

impl Inner {
    /// What the kernel found, less what the policy hides: a readable socket whose next message is from
    /// somebody else is not readable. A waiting connection is taken and judged here, for accept to find.
    pub(super) fn settle(&self, found: Readiness) -> Outcome<Readiness> {
        if self.is_retired() {
            return Ok(found | Readiness::HANG_UP);
        }
        if !found.contains(Readiness::READABLE) {
            return Ok(found);
        }
        let visible = if self.is_listening() {
            self.settle_connection()?
        } else if self.has_senders {
            self.settle_datagram()?
        } else {
            true
        };
        Ok(if visible {
            found
        } else {
            found.difference(Readiness::READABLE)
        })
    }

    fn settle_connection(&self) -> Outcome<bool> {
        if self.has_pending() {
            return Ok(true);
        }
        for _ in 0..HIDDEN_PER_LOOK {
            match self.attempt_accept() {
                Ok(Attempt::Done(connection)) => {
                    self.state().pending.push_back(connection);
                    return Ok(true);
                }
                Ok(Attempt::WouldBlock) => return Ok(false),
                Ok(Attempt::Hidden) => {}
                // accept will tell.
                Err(Failure::Errno(_)) => return Ok(true),
                Err(stopped) => return Err(stopped),
            }
        }
        Ok(false)
    }

    fn settle_datagram(&self) -> Outcome<bool> {
        for _ in 0..HIDDEN_PER_LOOK {
            let mut state = match self.may_receive("poll") {
                Ok(state) => state,
                // The receive will tell.
                Err(Failure::Errno(_)) => return Ok(true),
                Err(stopped) => return Err(stopped),
            };
            let head = self.inspected.unwrap_or(0);
            match attempt::peek(self.hearing(&state)?, self.fd(), self.kind, head) {
                Ok((next, bytes)) => {
                    let source = next
                        .source
                        .unwrap_or_else(super::sys::EncodedAddress::empty);
                    if self.hears(&mut state, &source, &bytes)? {
                        return Ok(true);
                    }
                    attempt::discard(reception(&state)?, self.fd())?;
                }
                Err(Errno::AGAIN) => return Ok(false),
                // A pending error: the receive will tell.
                Err(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    fn has_pending(&self) -> bool {
        !self.state().pending.is_empty()
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
    let mut all = None;
    loop {
        let ready = look(sockets)?;
        if !ready.is_empty() {
            return Ok(ready);
        }
        if all.is_none() {
            all = Some(gather(sockets)?);
        }
        let Some(all) = &all else { continue };
        for watched in sockets {
            watched.inner.check_interrupted()?;
        }
        match guest
            .wait_mode()
            .wait(all, Interest::Readable, deadline, guest.cancel())
            .await
        {
            Ok(()) => {}
            Err(Failure::Errno(Errno::AGAIN | Errno::TIMEDOUT)) => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
}

/// One look at all of them.
fn look(sockets: &[Watched]) -> Outcome<Vec<(usize, Readiness)>> {
    let mut descriptors: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|watched| PollFd::new(watched.inner.fd(), watched.interest))
        .collect();
    poll::ppoll(&mut descriptors, Some(std::time::Duration::ZERO))?;
    let mut ready = Vec::new();
    for (place, (watched, descriptor)) in sockets.iter().zip(&descriptors).enumerate() {
        let mut found = descriptor.events();
        if watched.interest.contains(Readiness::READABLE) && watched.inner.has_pending() {
            found |= Readiness::READABLE;
        }
        let found = watched.inner.settle(found)?;
        if !found.is_empty() {
            ready.push((place, found));
        }
    }
    Ok(ready)
}

/// All of them as one descriptor to wait for: a socket that is named twice is watched for both.
fn gather(sockets: &[Watched]) -> Outcome<Descriptor> {
    let mut interests: HashMap<u64, (&Inner, Readiness)> = HashMap::new();
    for watched in sockets {
        let entry = interests
            .entry(watched.inner.number)
            .or_insert((&watched.inner, Readiness::empty()));
        entry.1 |= watched.interest;
    }
    let epoll = Epoll::create()?;
    for (number, (inner, interest)) in interests {
        epoll.add(inner.fd(), number, interest)?;
    }
    descriptor_of(&epoll)
}

fn descriptor_of(epoll: &Epoll) -> Outcome<Descriptor> {
    let fd = epoll.as_fd().try_clone_to_owned().map_err(Errno::from)?;
    Ok(Descriptor::new(fd))
}

/// One entry of a poller.
struct Entry {
    token: u64,
    interest: Readiness,
    inner: Weak<Inner>,
}

/// What a poller and its sockets share: a socket that goes leaves the poller by itself.
pub(super) struct Interests {
    epoll: Epoll,
    entries: Mutex<HashMap<u64, Entry>>,
}

impl Interests {
    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket is about to close. The kernel would keep watching a descriptor that another process
    /// shares, so it is taken out by hand.
    pub(super) fn forget(&self, inner: &Inner) {
        if self.entries().remove(&inner.number).is_some()
            && let Err(errno) = self.epoll.remove(inner.fd())
        {
            tracing::debug!(socket = inner.number, %errno, "a closing socket was not in its poller");
        }
    }
}

/// A guest's poller, over epoll(7).
pub struct Poller {
    guest: Arc<Guest>,
    interests: Arc<Interests>,
    descriptor: Arc<Descriptor>,
    ready: Vec<(u64, Readiness)>,
    _slot: sockgate_policy::SocketSlot,
}

impl Poller {
    /// A new one. It counts as a socket of the guest's limit.
    pub(crate) fn create(guest: &Arc<Guest>) -> Outcome<Poller> {
        guest.check_stopped()?;
        let slot = guest.slot(|| crate::audit::Event::new("poller"))?;
        let epoll = Epoll::create()?;
        let descriptor = Arc::new(descriptor_of(&epoll)?);
        let interests = Arc::new(Interests {
            epoll,
            entries: Mutex::new(HashMap::new()),
        });
        Ok(Poller {
            guest: guest.clone(),
            interests,
            descriptor,
            ready: Vec::new(),
            _slot: slot,
        })
    }

    /// Begins to watch; `exist` where it is watched already.
    pub(crate) fn add(&self, inner: &Arc<Inner>, token: u64, interest: Readiness) -> Outcome<()> {
        let mut entries = self.interests.entries();
        if entries.contains_key(&inner.number) {
            return Err(Errno::EXIST.into());
        }
        self.interests
            .epoll
            .add(inner.fd(), inner.number, interest)?;
        entries.insert(
            inner.number,
            Entry {
                token,
                interest,
                inner: Arc::downgrade(inner),
            },
        );
        drop(entries);
        let mut state = inner.state();
        state.pollers.retain(|poller| poller.strong_count() > 0);
        state.pollers.push(Arc::downgrade(&self.interests));
        Ok(())
    }

    /// Changes token and interest; `noent` where it is not watched.
    pub(crate) fn modify(
        &self,
        inner: &Arc<Inner>,
        token: u64,
        interest: Readiness,
    ) -> Outcome<()> {
        let mut entries = self.interests.entries();
        let entry = entries.get_mut(&inner.number).ok_or(Errno::NOENT)?;
        self.interests
            .epoll
            .modify(inner.fd(), inner.number, interest)?;
        (entry.token, entry.interest) = (token, interest);
        Ok(())
    }

    /// Stops watching; `noent` where it was not watched.
    pub(crate) fn remove(&self, inner: &Arc<Inner>) -> Outcome<()> {
        self.interests
            .entries()
            .remove(&inner.number)
            .ok_or(Errno::NOENT)?;
        Ok(self.interests.epoll.remove(inner.fd())?)
    }

    /// Waits until something is ready: at most `max` tokens; none when the time is over.
    pub(crate) async fn wait(
        &mut self,
        max: u32,
        timeout: Timeout,
    ) -> Outcome<Vec<(u64, Readiness)>> {
        self.guest.check_stopped()?;
        self.guest.take_turn().await;
        let max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .clamp(1, POLL_LIMIT);
        let deadline = timeout.deadline(Errno::AGAIN);
        loop {
            let mut found = self.pending(max);
            self.interests
                .epoll
                .wait(&mut self.ready, max, Some(std::time::Duration::ZERO))?;
            self.settle(&mut found, max)?;
            if !found.is_empty() {
                return Ok(found);
            }
            let guest = &self.guest;
            match guest
                .wait_mode()
                .wait(
                    &self.descriptor,
                    Interest::Readable,
                    deadline,
                    guest.cancel(),
                )
                .await
            {
                Ok(()) => {}
                Err(Failure::Errno(Errno::AGAIN | Errno::TIMEDOUT)) => return Ok(Vec::new()),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// What the kernel does not tell: listeners whose next connection was taken by an earlier look, and
    /// sockets that lost their grant.
    fn pending(&self, max: usize) -> Vec<(u64, Readiness)> {
        let entries = self.interests.entries();
        let told = entries.values().filter_map(|entry| {
            let inner = entry.inner.upgrade()?;
            let found = if inner.is_retired() {
                Readiness::HANG_UP
            } else if entry.interest.contains(Readiness::READABLE)
                && inner.is_listening()
                && inner.has_pending()
            {
                Readiness::READABLE
            } else {
                return None;
            };
            Some((entry.token, found))
        });
        told.take(max).collect()
    }

    /// Adds what the kernel found, less what the policy hides.
    fn settle(&self, found: &mut Vec<(u64, Readiness)>, max: usize) -> Outcome<()> {
        for &(number, ready) in &self.ready {
            let entry = self
                .interests
                .entries()
                .get(&number)
                .map(|entry| (entry.token, entry.inner.clone()));
            let Some((token, inner)) = entry else {
                continue;
            };
            let Some(inner) = inner.upgrade() else {
                continue;
            };
            inner.check_interrupted()?;
            let ready = inner.settle(ready)?;
            if !ready.is_empty()
                && found.len() < max
                && !found.iter().any(|(known, _)| *known == token)
            {
                found.push((token, ready));
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Waits until the socket is ready for any of `interest`; ends early when the guest is interrupted or
    /// stopped. Always in the reactor: whoever polls this polls others beside it.
    pub(crate) async fn until_ready(&self, interest: Readiness) {
        loop {
            let mut descriptor = [PollFd::new(self.fd(), interest)];
            let looked = poll::ppoll(&mut descriptor, Some(std::time::Duration::ZERO));
            let mut found = descriptor[0].events();
            if interest.contains(Readiness::READABLE) && self.has_pending() {
                found |= Readiness::READABLE;
            }
            match (looked, self.settle(found)) {
                (Ok(_), Ok(found)) if found.is_empty() => {}
                _ => return,
            }
            let open = super::wait::Deadline::Open;
            let cancel = self.guest.cancel();
            let readable =
                super::wait::Ready.wait(&self.descriptor, Interest::Readable, open, cancel);
            let writable =
                super::wait::Ready.wait(&self.descriptor, Interest::Writable, open, cancel);
            let waited = if interest.contains(Readiness::READABLE | Readiness::WRITABLE) {
                tokio::select! { waited = readable => waited, waited = writable => waited }
            } else if interest.contains(Readiness::WRITABLE) {
                writable.await
            } else {
                readable.await
            };
            if waited.is_err() {
                return;
            }
        }
    }
}
