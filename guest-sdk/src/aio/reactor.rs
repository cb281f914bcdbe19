//! What tasks wait for: sockets, over one [`Poller`], and timers.
//!
//! A socket is in the poller once, under a token of its own, with the directions that somebody waits for.
//! A direction stays there after it was reported, since whoever was woken mostly waits for it again; it is
//! taken out when it is reported and nobody waits: the poller is level-triggered and would report it for
//! ever.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use crate::poller::{Event, Poller};
use crate::socket::Socket;
use crate::types::{Interest, Timeout};

/// The most events of one wait.
const EVENTS: u32 = 1024;

/// What is waited for on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Direction {
    fn interest(self) -> Interest {
        match self {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        }
    }

    fn is_ready(self, event: &Event) -> bool {
        match self {
            Direction::Read => event.is_readable(),
            Direction::Write => event.is_writable(),
        }
    }
}

/// A socket that is or was waited for.
pub(super) struct Source {
    socket: Rc<dyn AsRef<Socket>>,
    /// What the poller watches; it is not in the poller while this is empty.
    watched: Interest,
    /// Who waits for each direction.
    waiters: [Vec<(u64, Waker)>; 2],
}

impl Source {
    fn waiters(&mut self, direction: Direction) -> &mut Vec<(u64, Waker)> {
        &mut self.waiters[direction as usize]
    }

    fn wanted(&mut self) -> Interest {
        let mut wanted = Interest::empty();
        for direction in [Direction::Read, Direction::Write] {
            if !self.waiters(direction).is_empty() {
                wanted |= direction.interest();
            }
        }
        wanted
    }

    fn wake(&mut self, direction: Direction, woken: &mut Vec<Waker>) {
        woken.extend(self.waiters(direction).drain(..).map(|(_, waker)| waker));
    }

    /// Makes the poller watch this and no more.
    fn watch(&mut self, poller: &Poller, token: u64, interest: Interest) -> io::Result<()> {
        let socket: &Socket = self.socket.as_ref().as_ref();
        if interest.is_empty() {
            poller.unregister(socket)?;
        } else if self.watched.is_empty() {
            poller.register(socket, token, interest)?;
        } else {
            poller.modify(socket, token, interest)?;
        }
        self.watched = interest;
        Ok(())
    }
}

/// A waiting timer: when, and which.
pub(super) type TimerKey = (Instant, u64);

#[derive(Default)]
pub(super) struct Reactor {
    poller: Option<Poller>,
    sources: HashMap<u64, Source>,
    timers: BTreeMap<TimerKey, Waker>,
    /// How many wait for sockets.
    waiting: usize,
    next: u64,
}

thread_local! {
    static REACTOR: RefCell<Reactor> = RefCell::default();
    static TOKENS: Cell<u64> = const { Cell::new(0) };
}

/// Runs `operation` on this thread's reactor. What it removes has to be given out and dropped outside,
/// since the drop of somebody's socket or waker may come back here.
pub(super) fn with<R>(operation: impl FnOnce(&mut Reactor) -> R) -> R {
    REACTOR.with_borrow_mut(operation)
}

/// The same while the thread may be ending.
pub(super) fn try_with<R>(operation: impl FnOnce(&mut Reactor) -> R) -> Option<R> {
    REACTOR
        .try_with(|reactor| operation(&mut reactor.borrow_mut()))
        .ok()
}

/// A token for another socket.
pub(super) fn token() -> u64 {
    TOKENS.with(|next| next.replace(next.get() + 1))
}

/// Wakes whom something happened to; waits for that if `may_wait`.
pub(super) fn turn(may_wait: bool) {
    let mut woken = Vec::new();
    with(|reactor| reactor.turn(may_wait, &mut woken));
    woken.into_iter().for_each(Waker::wake);
}

/// Sockets.
impl Reactor {
    /// Begins to wait; the waiter's number.
    pub(super) fn wait_for<T: AsRef<Socket> + 'static>(
        &mut self,
        token: u64,
        socket: &Rc<T>,
        direction: Direction,
        waker: &Waker,
    ) -> io::Result<u64> {
        let poller = match &self.poller {
            Some(poller) => poller,
            None => self.poller.insert(Poller::new()?),
        };
        let source = self.sources.entry(token).or_insert_with(|| Source {
            socket: socket.clone(),
            watched: Interest::empty(),
            waiters: [Vec::new(), Vec::new()],
        });
        if !source.watched.contains(direction.interest()) {
            source.watch(poller, token, source.watched | direction.interest())?;
        }
        self.next += 1;
        source.waiters(direction).push((self.next, waker.clone()));
        self.waiting += 1;
        Ok(self.next)
    }

    /// Whether this waiter was not woken yet; it is woken by this waker from now on.
    pub(super) fn still_waits(
        &mut self,
        token: u64,
        direction: Direction,
        waiter: u64,
        waker: &Waker,
    ) -> bool {
        let source = self.sources.get_mut(&token);
        let waiters = source.map(|source| source.waiters(direction).iter_mut());
        match waiters.and_then(|mut waiters| waiters.find(|(number, _)| *number == waiter)) {
            Some((_, known)) => {
                known.clone_from(waker);
                true
            }
            None => false,
        }
    }

    /// A waiter that lost its interest.
    pub(super) fn give_up(&mut self, token: u64, direction: Direction, waiter: u64) {
        let Some(source) = self.sources.get_mut(&token) else {
            return;
        };
        let waiters = source.waiters(direction);
        if let Some(place) = waiters.iter().position(|(number, _)| *number == waiter) {
            waiters.swap_remove(place);
            self.waiting -= 1;
        }
    }

    /// The socket leaves; its waiters are to be woken.
    pub(super) fn leave(&mut self, token: u64, woken: &mut Vec<Waker>) -> Option<Source> {
        let mut source = self.sources.remove(&token)?;
        if let Some(poller) = &self.poller
            && !source.watched.is_empty()
        {
            // It fails only where the socket was closed by hand and has left by itself.
            let _ = source.watch(poller, token, Interest::empty());
        }
        let before = woken.len();
        source.wake(Direction::Read, woken);
        source.wake(Direction::Write, woken);
        self.waiting -= woken.len() - before;
        Some(source)
    }
}

/// Timers.
impl Reactor {
    /// Begins to wait until `deadline`.
    pub(super) fn start_timer(&mut self, deadline: Instant, waker: &Waker) -> TimerKey {
        self.next += 1;
        let key = (deadline, self.next);
        self.timers.insert(key, waker.clone());
        key
    }

    /// Whether the timer has not fired yet; it wakes this waker from now on.
    pub(super) fn timer_runs(&mut self, key: TimerKey, waker: &Waker) -> bool {
        match self.timers.get_mut(&key) {
            Some(known) => {
                known.clone_from(waker);
                true
            }
            None => false,
        }
    }

    /// Takes a timer out, if it has not fired.
    pub(super) fn stop_timer(&mut self, key: TimerKey) {
        self.timers.remove(&key);
    }

    fn fire_timers(&mut self, woken: &mut Vec<Waker>) {
        if self.timers.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(first) = self.timers.first_entry()
            && first.key().0 <= now
        {
            woken.push(first.remove());
        }
    }
}

/// Waiting.
impl Reactor {
    fn turn(&mut self, may_wait: bool, woken: &mut Vec<Waker>) {
        let timeout = match self.timers.first_key_value() {
            _ if !may_wait => Timeout::NonBlocking,
            Some(((deadline, _), _)) => deadline.saturating_duration_since(Instant::now()).into(),
            None => Timeout::Blocking,
        };
        assert!(
            timeout != Timeout::Blocking || self.waiting > 0,
            "every task waits for another one, and none for a socket or a timer"
        );
        if self.waiting > 0 {
            self.wait(timeout, woken);
        } else if let Timeout::After(nanoseconds) = timeout {
            thread::sleep(Duration::from_nanos(nanoseconds));
        }
        self.fire_timers(woken);
    }

    fn wait(&mut self, timeout: Timeout, woken: &mut Vec<Waker>) {
        let Some(poller) = &self.poller else {
            return;
        };
        match poller.wait(EVENTS, timeout) {
            Ok(events) => {
                for event in events {
                    self.take(&event, woken);
                }
            }
            // Interrupted, as any system call may be.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The poller itself does not fail. If it did, each socket's own operation would tell more.
            Err(_) => {
                for source in self.sources.values_mut() {
                    source.wake(Direction::Read, woken);
                    source.wake(Direction::Write, woken);
                }
                self.waiting = 0;
            }
        }
    }

    /// One socket's event.
    fn take(&mut self, event: &Event, woken: &mut Vec<Waker>) {
        let (Some(poller), Some(source)) = (&self.poller, self.sources.get_mut(&event.token))
        else {
            return;
        };
        let wanted = source.wanted();
        let mut unwanted = wanted.is_empty();
        let before = woken.len();
        for direction in [Direction::Read, Direction::Write] {
            if direction.is_ready(event) {
                source.wake(direction, woken);
                let watched = source.watched.contains(direction.interest());
                unwanted |= watched && !wanted.contains(direction.interest());
            }
        }
        self.waiting -= woken.len() - before;
        if unwanted && source.watch(poller, event.token, wanted).is_err() {
            // It was closed by hand, and has left the poller by itself.
            source.watched = Interest::empty();
        }
    }
}
