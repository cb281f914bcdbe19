//! A guest's poller over epoll(7), for thousands of sockets.
//!
//! An event costs the same however many sockets are watched: nothing here visits all of them. What the kernel
//! does not tell is told by whoever makes it so ([`Inner::tell_pollers`]): a listener whose next connection was
//! taken and judged by an earlier look, a socket that lost its grant, one that was interrupted. Those few stand
//! in a queue of their own, and each wait looks at it beside the kernel's.
//!
//! Nobody starves when fewer events are asked for than there are: both queues move what they reported to
//! their ends (the kernel's does for level-triggered ones), and they take turns in being first.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::readiness::{POLL_LIMIT, descriptor_of};
use super::sys::poll::{Epoll, Readiness};
use super::wait::{Deadline, Descriptor, Timeout, Wait, WaitMode};
use super::{Errno, Failure, Guest, Inner, Interest, Outcome, now};

/// What the guest's event descriptor is called in *park*. Sockets' numbers begin at 1.
const CANCEL: u64 = 0;

/// One watched socket.
struct Entry {
    token: u64,
    interest: Readiness,
    inner: Weak<Inner>,
    /// It stands in the queue of those that the kernel does not tell of.
    told: bool,
    /// It left epoll: it lost its grant, or it rests.
    out: bool,
    /// A rate holds it back until then.
    rests_until: Option<Instant>,
    /// The round that reported it, and its place among what was found then.
    reported: (u64, usize),
}

#[derive(Default)]
struct Watched {
    entries: HashMap<u64, Entry>,
    told: VecDeque<u64>,
    /// Those that a rate holds back, by when they may go on.
    resting: BTreeSet<(Instant, u64)>,
}

impl Watched {
    fn tell(&mut self, number: u64) {
        if let Some(entry) = self.entries.get_mut(&number)
            && !entry.told
        {
            entry.told = true;
            self.told.push_back(number);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        if entry.told {
            // A guest may put the socket in and take it out for ever.
            self.told.retain(|told| *told != number);
        }
        if let Some(until) = entry.rests_until {
            self.resting.remove(&(until, number));
        }
        Some(entry)
    }
}

/// What a poller and its sockets share: a socket that goes leaves the poller by itself.
///
/// The lock is never held where a socket may go or its state is asked for.
pub(super) struct Interests {
    epoll: Epoll,
    watched: Mutex<Watched>,
}

impl Interests {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is the case with this socket that the kernel does not tell.
    pub(super) fn tell(&self, number: u64) {
        self.watched().tell(number);
    }

    /// The socket lost its grant: it is reported from now on, and by nobody but us.
    pub(super) fn retire(&self, inner: &Inner) {
        let mut watched = self.watched();
        if let Some(entry) = watched.entries.get_mut(&inner.number)
            && !entry.out
        {
            entry.out = true;
            self.leave(inner);
        }
        watched.tell(inner.number);
    }

    /// The socket is about to close.
    pub(super) fn forget(&self, inner: &Inner) {
        let entry = self.watched().remove(inner.number);
        if entry.is_some_and(|entry| !entry.out) {
            self.leave(inner);
        }
    }

    /// The kernel would keep watching a descriptor that another process shares, so it is taken out by hand.
    fn leave(&self, inner: &Inner) {
        if let Err(errno) = self.epoll.remove(inner.fd()) {
            tracing::debug!(socket = inner.number, %errno, "a socket was not in its poller");
        }
    }

    /// A rate holds back what the kernel goes on telling of: until then it is asked for the `rest` alone.
    fn rest(&self, inner: &Inner, rest: Readiness, until: Instant) -> Outcome<()> {
        let mut watched = self.watched();
        let Some(entry) = watched.entries.get_mut(&inner.number) else {
            return Ok(());
        };
        if entry.out || entry.rests_until.is_some() {
            return Ok(());
        }
        entry.rests_until = Some(until);
        if rest.is_empty() {
            entry.out = true;
            self.leave(inner);
        } else {
            self.epoll.modify(inner.fd(), inner.number, rest)?;
        }
        watched.resting.insert((until, inner.number));
        Ok(())
    }

    /// Watches those again whose time has come, or all of them.
    fn wake_rested(&self, all: bool) -> Outcome<()> {
        while let Some(inner) = self.next_rested(all) {
            let mut watched = self.watched();
            if let Some(entry) = watched.entries.get_mut(&inner.number) {
                self.watch_whole(&inner, entry)?;
            }
        }
        Ok(())
    }

    fn next_rested(&self, all: bool) -> Option<Arc<Inner>> {
        let mut watched = self.watched();
        loop {
            let (until, number) = watched.resting.first().copied()?;
            if !all && until > now() {
                return None;
            }
            watched.resting.pop_first();
            let entry = watched.entries.get_mut(&number)?;
            entry.rests_until = None;
            if let Some(inner) = entry.inner.upgrade() {
                return Some(inner);
            }
        }
    }

    /// Asks the kernel for all that is of interest.
    fn watch_whole(&self, inner: &Inner, entry: &mut Entry) -> Outcome<()> {
        if inner.is_retired() {
            return Ok(());
        }
        if std::mem::take(&mut entry.out) {
            self.epoll.add(inner.fd(), inner.number, entry.interest)?;
        } else {
            self.epoll
                .modify(inner.fd(), inner.number, entry.interest)?;
        }
        Ok(())
    }

    fn interest_in(&self, number: u64) -> Readiness {
        let watched = self.watched();
        let entry = watched.entries.get(&number);
        entry.map_or(Readiness::empty(), |entry| entry.interest)
    }

    /// When the first of those that rest may go on.
    fn rested_at(&self) -> Option<Instant> {
        self.watched().resting.first().map(|(until, _)| *until)
    }

    fn socket(&self, number: u64) -> Option<(u64, Arc<Inner>)> {
        let watched = self.watched();
        let entry = watched.entries.get(&number)?;
        Some((entry.token, entry.inner.upgrade()?))
    }

    fn has_told(&self) -> bool {
        !self.watched().told.is_empty()
    }
}

/// A guest's poller.
pub struct Poller {
    guest: Arc<Guest>,
    interests: Arc<Interests>,
    /// What tokio's reactor watches in *ready*. In *park* the thread sleeps in epoll itself, which has the
    /// guest's event descriptor in it.
    descriptor: Option<Descriptor>,
    /// What the kernel told last, kept for its room.
    events: Vec<(u64, Readiness)>,
    round: u64,
    /// The policy's generation when those that rest were looked at last: another one may let them go on.
    generation: u64,
    _slot: sockgate_policy::SocketSlot,
}

/// What came of one look.
#[derive(Default)]
struct Look {
    found: Vec<(u64, Readiness)>,
    /// There was something, even if the guest may not see it.
    looked: bool,
    /// The guest's event descriptor was signalled.
    cancelled: bool,
    /// One of its sockets was interrupted.
    interrupted: Option<Arc<Inner>>,
}

impl Look {
    fn report(&mut self, entry: &mut Entry, round: u64, ready: Readiness) {
        match entry.reported {
            (reported, place) if reported == round => self.found[place].1 |= ready,
            _ => {
                entry.reported = (round, self.found.len());
                self.found.push((entry.token, ready));
            }
        }
    }
}

impl Poller {
    /// A new one. It counts as a socket of the guest's limit.
    pub(crate) fn create(guest: &Arc<Guest>) -> Outcome<Poller> {
        guest.check_stopped()?;
        let slot = guest.slot(|| crate::audit::Event::new("poller"))?;
        let epoll = Epoll::create()?;
        let descriptor = match guest.wait_mode() {
            WaitMode::Ready => Some(descriptor_of(&epoll)?),
            WaitMode::Park => {
                epoll.add(guest.cancel().event().as_fd(), CANCEL, Readiness::READABLE)?;
                None
            }
        };
        let interests = Arc::new(Interests {
            epoll,
            watched: Mutex::default(),
        });
        Ok(Poller {
            guest: guest.clone(),
            interests,
            descriptor,
            events: Vec::new(),
            round: 0,
            generation: guest.gate().generation(),
            _slot: slot,
        })
    }

    /// Begins to watch; `exist` where it is watched already, `badf` where it lost its grant.
    pub(crate) fn add(&self, inner: &Arc<Inner>, token: u64, interest: Readiness) -> Outcome<()> {
        inner.check_retired()?;
        let mut watched = self.interests.watched();
        if watched.entries.contains_key(&inner.number) {
            return Err(Errno::EXIST.into());
        }
        self.interests
            .epoll
            .add(inner.fd(), inner.number, interest)?;
        let entry = Entry {
            token,
            interest,
            inner: Arc::downgrade(inner),
            told: false,
            out: false,
            rests_until: None,
            reported: (0, 0),
        };
        watched.entries.insert(inner.number, entry);
        drop(watched);
        let mut state = inner.state();
        state.pollers.retain(|poller| poller.strong_count() > 0);
        state.pollers.push(Arc::downgrade(&self.interests));
        drop(state);
        if inner.is_retired() {
            // A reload came in between, and did not find this poller.
            self.interests.retire(inner);
        }
        self.look_once(inner);
        Ok(())
    }

    /// Changes token and interest; `noent` where it is not watched.
    pub(crate) fn modify(
        &self,
        inner: &Arc<Inner>,
        token: u64,
        interest: Readiness,
    ) -> Outcome<()> {
        let mut watched = self.interests.watched();
        let entry = watched.entries.get_mut(&inner.number).ok_or(Errno::NOENT)?;
        (entry.token, entry.interest) = (token, interest);
        self.interests.watch_whole(inner, entry)?;
        if let Some(until) = entry.rests_until.take() {
            watched.resting.remove(&(until, inner.number));
        }
        drop(watched);
        self.look_once(inner);
        Ok(())
    }

    /// Stops watching; `noent` where it was not watched.
    pub(crate) fn remove(&self, inner: &Arc<Inner>) -> Outcome<()> {
        let entry = self.interests.watched().remove(inner.number);
        let entry = entry.ok_or(Errno::NOENT)?;
        let ours = Arc::as_ptr(&self.interests);
        inner
            .state()
            .pollers
            .retain(|poller| poller.strong_count() > 0 && poller.as_ptr() != ours);
        if !entry.out {
            self.interests.epoll.remove(inner.fd())?;
        }
        Ok(())
    }

    /// What was the case before the socket was watched like this was not told.
    fn look_once(&self, inner: &Inner) {
        if inner.is_listening() && inner.has_pending() {
            self.interests.tell(inner.number);
        }
    }

    /// Waits until something is ready: at most `max` tokens, each with what it is ready for; none when the time is
    /// over.
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
        let mut looks = 0;
        // In *park* the first look sleeps, unless the guest is to be interrupted.
        let mut asleep = self.descriptor.is_none();
        loop {
            let generation = self.guest.gate().generation();
            let replaced = std::mem::replace(&mut self.generation, generation) != generation;
            self.interests.wake_rested(replaced)?;
            let told = self.interests.has_told();
            let rested_at = self.interests.rested_at();
            let patience = match asleep && !told {
                true => {
                    let sleep = deadline.no_later_than(rested_at);
                    sleep.left().unwrap_or(Some(Duration::ZERO))
                }
                false => Some(Duration::ZERO),
            };
            let look = self.look(max, patience, told)?;
            if !look.found.is_empty() {
                return Ok(look.found);
            }
            if look.cancelled && asleep {
                // What is ready goes before an interruption.
                asleep = false;
                continue;
            }
            if let Some(interrupted) = look.interrupted {
                interrupted.check_interrupted()?;
            }
            let over = if look.cancelled {
                self.guest.cancel().answer()?;
                false
            } else if look.looked {
                !self.guest.may_look_again(deadline, &mut looks).await?
            } else {
                self.sleep(deadline).await?
            };
            if over {
                return Ok(look.found);
            }
            asleep = self.descriptor.is_none();
        }
    }

    /// Waits in the reactor until another look is worth it; whether the time is over. In *park* that look has
    /// waited already.
    async fn sleep(&self, deadline: Deadline) -> Outcome<bool> {
        let Some(descriptor) = &self.descriptor else {
            return Ok(deadline.left().is_err());
        };
        let (mode, cancel) = (self.guest.wait_mode(), self.guest.cancel());
        let until = deadline.no_later_than(self.interests.rested_at());
        let waited = mode.wait(descriptor, Interest::Readable, until, cancel);
        match waited.await {
            Ok(()) => Ok(false),
            Err(Failure::Errno(Errno::AGAIN | Errno::TIMEDOUT)) => Ok(deadline.left().is_err()),
            Err(failure) => Err(failure),
        }
    }

    /// One look at the kernel's queue, and at our own where anything was told.
    fn look(&mut self, max: usize, patience: Option<Duration>, told: bool) -> Outcome<Look> {
        self.round += 1;
        let mut look = Look::default();
        let told_first = told && self.round.is_multiple_of(2);
        if told_first {
            self.look_at_told(max, &mut look);
        }
        if look.found.len() < max {
            self.ask_kernel(max, patience, told, &mut look)?;
        }
        if told && !told_first {
            self.look_at_told(max, &mut look);
        }
        Ok(look)
    }

    /// What the kernel found, less what the policy hides.
    fn ask_kernel(
        &mut self,
        max: usize,
        patience: Option<Duration>,
        told: bool,
        look: &mut Look,
    ) -> Outcome<()> {
        let room = max - look.found.len();
        let epoll = &self.interests.epoll;
        match epoll.wait(&mut self.events, room, patience) {
            // A signal: whoever waits looks again.
            Err(Errno::INTR) => look.looked = true,
            waited => waited?,
        }
        look.found.reserve(self.events.len());
        for &(number, ready) in &self.events {
            if number == CANCEL {
                look.cancelled = true;
                continue;
            }
            look.looked = true;
            let Some((token, inner)) = self.interests.socket(number) else {
                continue;
            };
            let settled = inner.settle(ready)?;
            if let Some(until) = settled.until {
                let interest = self.interests.interest_in(number);
                let rest = settled.rest_of(interest, ready);
                self.interests.rest(&inner, rest, until)?;
            }
            let ready = settled.ready;
            if ready.is_empty() {
                continue;
            }
            if !told {
                look.found.push((token, ready));
            } else if let Some(entry) = self.interests.watched().entries.get_mut(&number) {
                look.report(entry, self.round, ready);
            }
        }
        Ok(())
    }

    /// Each of those that the kernel does not tell of, once; those that it is still true of stay among them.
    fn look_at_told(&self, max: usize, look: &mut Look) {
        let count = self.interests.watched().told.len();
        look.looked = true;
        for _ in 0..count {
            if look.found.len() >= max {
                break;
            }
            let Some((inner, interest)) = self.next_told() else {
                continue;
            };
            let ready = if inner.is_retired() {
                Readiness::HANG_UP | Readiness::CLOSED
            } else if interest.contains(Readiness::READABLE)
                && inner.is_listening()
                && inner.has_pending()
            {
                Readiness::READABLE
            } else {
                Readiness::empty()
            };
            let interrupted = inner.is_interrupted();
            if !ready.is_empty() || interrupted {
                let mut watched = self.interests.watched();
                watched.tell(inner.number);
                if let Some(entry) = watched.entries.get_mut(&inner.number)
                    && !ready.is_empty()
                {
                    look.report(entry, self.round, ready);
                }
            }
            if interrupted {
                look.interrupted = Some(inner);
            }
        }
    }

    /// Takes the first of them, which is told anew if it still holds: what becomes true meanwhile is not lost.
    fn next_told(&self) -> Option<(Arc<Inner>, Readiness)> {
        let mut watched = self.interests.watched();
        let number = watched.told.pop_front()?;
        let entry = watched.entries.get_mut(&number)?;
        entry.told = false;
        Some((entry.inner.upgrade()?, entry.interest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_told_of_once_and_leaves_no_trace() {
        let mut watched = Watched::default();
        watched.tell(7);
        assert!(watched.told.is_empty(), "it is not watched");
        for _ in 0..3 {
            let entry = Entry {
                token: 1,
                interest: Readiness::READABLE,
                inner: Weak::new(),
                told: false,
                out: false,
                rests_until: None,
                reported: (0, 0),
            };
            watched.entries.insert(7, entry);
            watched.tell(7);
            watched.tell(7);
            assert_eq!(watched.told, [7]);
            assert!(watched.remove(7).is_some_and(|entry| entry.told));
            assert!(watched.told.is_empty() && watched.remove(7).is_none());
        }
    }
}
