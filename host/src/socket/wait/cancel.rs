//! Interrupting and stopping a guest that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::socket::sys::poll::EventFd;
use crate::socket::{Errno, Failure};

const INTERRUPTED: u8 = 1;
const STOPPED: u8 = 2;
const POLICY_REPLACED: u8 = 4;

/// One guest's cancellation: what every wait of it listens to beside its descriptor.
pub(crate) struct Cancel {
    state: AtomicU8,
    /// Wakes a *park* wait.
    event: EventFd,
    /// Wakes a *ready* wait.
    notify: Notify,
}

impl Cancel {
    pub(crate) fn new() -> Result<Cancel, Errno> {
        Ok(Cancel {
            state: AtomicU8::new(0),
            event: EventFd::create()?,
            notify: Notify::new(),
        })
    }

    fn raise(&self, what: u8) {
        self.state.fetch_or(what, Ordering::SeqCst);
        self.event.signal();
        // Those that wait now, and pollables of wasi:io may be many; or else the next one that waits.
        self.notify.notify_waiters();
        self.notify.notify_one();
    }

    /// Wakes the guest's wait so that it asks the policy again.
    pub(crate) fn policy_replaced(&self) {
        self.raise(POLICY_REPLACED);
    }

    /// What a wait has to end with, if it has to: an interruption is taken by the wait that sees it.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let state = self.state.fetch_and(STOPPED, Ordering::SeqCst);
        if state & STOPPED != 0 {
            // Every wait after this one ends at once too.
            self.event.signal();
            return Err(Failure::Stopped);
        }
        if state & INTERRUPTED != 0 {
            return Err(Failure::Errno(Errno::INTR));
        }
        Ok(())
    }

    /// What a wait has to end with whose event descriptor was signalled.
    pub(crate) fn answer(&self) -> Result<(), Failure> {
        // Drained before the state is taken: what is raised in between wakes the next wait once more.
        self.event.drain();
        self.check()
    }

    /// Whether the guest was stopped: no operation begins any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.load(Ordering::Relaxed) & STOPPED != 0
    }

    /// Whether there is anything for a wait to look at.
    pub(crate) fn is_raised(&self) -> bool {
        self.state.load(Ordering::SeqCst) != 0
    }

    pub(in crate::socket) fn event(&self) -> &EventFd {
        &self.event
    }

    pub(super) fn notify(&self) -> &Notify {
        &self.notify
    }
}

/// Interrupts or stops a guest from outside, from any thread, in every wait.
///
/// Compute loops are not waits: use wasmtime's epochs or fuel for those. A wait in `wasi:io` (a pollable of
/// `subscribe`) has no errno: when interrupted it says that it is ready, and when stopped the guest traps in
/// its next socket call.
///
/// A name resolution under way is a wait like the others: interrupting and stopping end it at once. The thread
/// that runs getaddrinfo(3) for it cannot be ended and outlives the guest, until the C library gives up
/// (resolv.conf(5): `timeout`, `attempts`). 8 of them run for one guest and 64 for all guests of the process
/// at most; a look-up beyond that answers `again`.
#[derive(Clone)]
pub struct CancelHandle(pub(crate) Arc<Cancel>);

impl CancelHandle {
    /// Makes the call that waits now answer `intr`; where none waits, the next one that would wait. The
    /// guest goes on.
    pub fn interrupt(&self) {
        self.0.raise(INTERRUPTED);
    }

    /// Traps the guest in the call that waits now, and in every socket call after it. Its instance cannot
    /// be entered again; its sockets close with its store.
    pub fn stop(&self) {
        self.0.raise(STOPPED);
    }
}

impl std::fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelHandle")
            .field("stopped", &self.0.is_stopped())
            .finish()
    }
}
