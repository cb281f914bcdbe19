//! How long a socket lives: `lifetime` of the guest and of the rules that the socket counts for.
//!
//! One thread of the process waits for the sockets whose time comes, whatever their guests are doing; it is
//! started by the first socket that has a lifetime.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use sockgate_policy::{Counted, End, LimitReached, Operation, Permit};

use super::{Errno, Inner, Outcome, now};

/// What the end of a socket is called in events.
const LIFETIME: &str = "lifetime";

/// One socket's time.
pub(super) struct Term {
    since: Instant,
    counted: Counted,
    /// Its place among those that the thread waits for.
    due: Option<Due>,
}

impl Term {
    pub(super) fn begun(since: Instant) -> Term {
        Term {
            since,
            counted: Counted::default(),
            due: None,
        }
    }
}

/// A moment, and which of the sockets that end then.
type Due = (Instant, u64);

#[derive(Default)]
struct Terms {
    ends: BTreeMap<Due, Weak<Inner>>,
    /// Tells those apart that end at the same moment.
    next: u64,
    is_watched: bool,
}

static TERMS: Mutex<Terms> = Mutex::new(Terms {
    ends: BTreeMap::new(),
    next: 0,
    is_watched: false,
});
static CHANGED: Condvar = Condvar::new();

fn terms() -> MutexGuard<'static, Terms> {
    TERMS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terms {
    /// Puts a socket down; whether the thread has to be started first.
    fn add(&mut self, end: Instant, socket: Weak<Inner>) -> (Due, bool) {
        self.next += 1;
        let due = (end, self.next);
        self.ends.insert(due, socket);
        (due, !std::mem::replace(&mut self.is_watched, true))
    }

    fn take_due(&mut self) -> Option<Weak<Inner>> {
        let first = self.ends.first_entry()?;
        (first.key().0 <= now()).then(|| first.remove())
    }
}

/// What the thread does.
fn watch() {
    let mut waiting = terms();
    loop {
        if let Some(socket) = waiting.take_due() {
            drop(waiting);
            if let Some(socket) = socket.upgrade() {
                socket.end_if_due();
            }
            waiting = terms();
            continue;
        }
        let end = waiting.ends.first_key_value().map(|(due, _)| due.0);
        waiting = match end {
            Some(end) => {
                let left = end.saturating_duration_since(now());
                let woken = CHANGED.wait_timeout(waiting, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => CHANGED
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner),
        };
    }
}

impl Inner {
    fn term(&self) -> MutexGuard<'_, Term> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the socket for the rules with limits that grant this; `mfile` where one has its `sockets`.
    pub(super) fn count_for<O: Operation>(&self, permit: &Permit<O>) -> Outcome<()> {
        match permit.meters() {
            None => Ok(()),
            Some(meters) => self.count_for_meters(meters, O::NAME),
        }
    }

    #[cold]
    pub(super) fn count_for_meters(
        &self,
        meters: &sockgate_policy::Meters,
        operation: &'static str,
    ) -> Outcome<()> {
        let counted = self.term().counted.add(meters, now());
        counted.map_err(|limit| {
            self.guest
                .limited(|| self.event(operation), &limit, Errno::MFILE)
        })?;
        self.renew_term();
        Ok(())
    }

    /// An open socket is granted by another policy now, and counts for its rules.
    pub(super) fn carry_on<O: Operation>(&self, permit: &Permit<O>) {
        if let Some(meters) = permit.meters() {
            self.term().counted.carry_on(meters, now());
            self.renew_term();
        }
    }

    /// An accepted connection counts like its listener.
    pub(super) fn count_as(&self, counted: Counted) {
        self.term().counted = counted;
        self.renew_term();
    }

    /// When the socket ends, and by which limit.
    fn end_of(&self, term: &Term) -> Option<End> {
        End::first(self.guest.gate().end(term.since), term.counted.end())
    }

    /// The limit by which it will end, if any does.
    pub(super) fn lifetime(&self) -> Option<LimitReached> {
        self.end_of(&self.term()).map(|end| end.limit)
    }

    /// Its limits may have changed.
    pub(super) fn renew_term(&self) {
        let mut term = self.term();
        let end = self.end_of(&term).map(|end| end.at);
        if end == term.due.map(|due| due.0) {
            return;
        }
        if let Some(due) = term.due.take() {
            terms().ends.remove(&due);
        }
        let (Some(end), Some(socket)) = (end, self.guest.socket(self.number)) else {
            return;
        };
        let (due, is_first) = terms().add(end, socket);
        term.due = Some(due);
        drop(term);
        CHANGED.notify_one();
        if is_first {
            let thread = std::thread::Builder::new().name("sockgate-lifetimes".into());
            if let Err(error) = thread.spawn(watch) {
                terms().is_watched = false;
                tracing::error!(%error, "nothing can watch the lifetime of a socket, which ends now");
                self.retire();
            }
        }
    }

    /// The socket is about to close.
    pub(super) fn end_term(&self) {
        if let Some(due) = self.term().due.take() {
            terms().ends.remove(&due);
        }
    }

    /// Its time may be over: then it ends as one does that lost its grant.
    fn end_if_due(self: &Arc<Inner>) {
        let mut term = self.term();
        term.due = None;
        let end = self.end_of(&term);
        drop(term);
        match end {
            Some(end) if end.at <= now() => {
                if self.is_retired() {
                    return;
                }
                // The record comes first: the guest may end when it sees the end.
                let event = || self.event(LIFETIME).limited(&end.limit, Errno::BADF);
                self.guest.audit().note(event);
                self.retire();
                // Waits look at their sockets again.
                self.guest.cancel().policy_replaced();
            }
            _ => self.renew_term(),
        }
    }
}
