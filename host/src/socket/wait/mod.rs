//! What happens when an attempt would block.
//!
//! Every operation is an *attempt* (one non-blocking system call) and, on EAGAIN, a *wait*; then the
//! policy is asked again and the next attempt follows. There are two waits behind the one trait:
//! [`Ready`] suspends the guest in tokio, [`Park`] blocks the thread in ppoll(2).

mod cancel;
mod park;
mod ready;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use cancel::Cancel;
pub use cancel::CancelHandle;
pub(crate) use park::Park;
pub(crate) use ready::Ready;

use super::sys::reactor::Registration;
use super::{Errno, Failure};

/// How long an operation may wait, as in Python's `settimeout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timeout {
    /// As long as it takes.
    #[default]
    Blocking,
    /// Not at all.
    NonBlocking,
    /// This long.
    After(Duration),
}

/// What a wait waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Readable,
    Writable,
    /// Errors alone: the error queue.
    Error,
}

/// When an operation has to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// Never.
    Open,
    /// Before the first wait; what it then answers.
    Now(Errno),
    /// At this moment; what it then answers.
    At(Instant, Errno),
}

impl Timeout {
    /// The deadline of an operation that begins now. `would_block` is what it answers when it may not
    /// wait.
    pub(crate) fn deadline(self, would_block: Errno) -> Deadline {
        match self {
            Timeout::Blocking => Deadline::Open,
            Timeout::NonBlocking => Deadline::Now(would_block),
            Timeout::After(duration) if duration.is_zero() => Deadline::Now(would_block),
            Timeout::After(duration) => match Instant::now().checked_add(duration) {
                Some(moment) => Deadline::At(moment, Errno::TIMEDOUT),
                None => Deadline::Open,
            },
        }
    }
}

impl Deadline {
    /// The same, and no later than `limit` from now; what it answers where that comes first.
    pub(crate) fn within(self, limit: Option<Duration>, errno: Errno) -> Deadline {
        let Some(last) = limit.and_then(|limit| Instant::now().checked_add(limit)) else {
            return self;
        };
        match self {
            Deadline::Open => Deadline::At(last, errno),
            Deadline::At(moment, _) if moment > last => Deadline::At(last, errno),
            Deadline::Now(_) | Deadline::At(..) => self,
        }
    }

    /// The same, or that moment where it comes first; what it then answers is for who knows of both.
    pub(crate) fn no_later_than(self, moment: Option<Instant>) -> Deadline {
        let Some(moment) = moment else { return self };
        match self {
            Deadline::Open => Deadline::At(moment, Errno::TIMEDOUT),
            Deadline::At(end, _) if end > moment => Deadline::At(moment, Errno::TIMEDOUT),
            Deadline::Now(_) | Deadline::At(..) => self,
        }
    }

    /// The same for a call that has not begun when its time is over.
    pub(crate) fn answering(self, errno: Errno) -> Deadline {
        match self {
            Deadline::Now(_) => Deadline::Now(errno),
            other => other,
        }
    }

    /// The time that is left; `None` is without end.
    pub(crate) fn left(self) -> Result<Option<Duration>, Errno> {
        match self {
            Deadline::Open => Ok(None),
            Deadline::Now(errno) => Err(errno),
            Deadline::At(moment, errno) => {
                let left = moment.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    Err(errno)
                } else {
                    Ok(Some(left))
                }
            }
        }
    }
}

/// A descriptor that can be waited for. Its registration with the reactor is made by the first *ready*
/// wait, and anew when the runtime changed.
pub(crate) struct Descriptor {
    registration: Mutex<Option<Arc<Registration>>>,
    fd: Arc<OwnedFd>,
}

impl Descriptor {
    pub(crate) fn new(fd: OwnedFd) -> Descriptor {
        Descriptor {
            registration: Mutex::new(None),
            fd: Arc::new(fd),
        }
    }

    /// The open descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The same, kept open for longer than this.
    pub(crate) fn shared(&self) -> Arc<OwnedFd> {
        self.fd.clone()
    }

    fn registration(&self) -> Result<Arc<Registration>, Errno> {
        let mut kept = self
            .registration
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(registration) = kept.as_ref().filter(|kept| kept.belongs_here()) {
            return Ok(registration.clone());
        }
        *kept = None;
        let registration = Arc::new(Registration::new(self.fd.clone())?);
        *kept = Some(registration.clone());
        Ok(registration)
    }
}

/// Waiting for one descriptor.
pub(crate) trait Wait {
    /// Waits until another attempt is worth it: the descriptor may be ready, or the policy was replaced.
    /// Ends with the deadline's errno, with `intr` when interrupted, or with [`Failure::Stopped`].
    /// May return early; the caller attempts again in any case.
    fn wait(
        &self,
        descriptor: &Descriptor,
        interest: Interest,
        deadline: Deadline,
        cancel: &Cancel,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Waits this long, or until the guest is interrupted or stopped.
    fn pause(
        &self,
        moment: Duration,
        cancel: &Cancel,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The wait that a guest was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitMode {
    /// Suspend the guest in tokio's reactor: many guests share a thread.
    #[default]
    Ready,
    /// Block the guest's own thread in ppoll(2): the cheapest wake-up. Only for a store that is driven by
    /// `block_on` on a thread that drives no I/O of its own.
    Park,
}

impl Wait for WaitMode {
    async fn wait(
        &self,
        descriptor: &Descriptor,
        interest: Interest,
        deadline: Deadline,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        match self {
            // Boxed, so that the futures of data calls stay small: most of them never wait.
            WaitMode::Ready => Box::pin(Ready.wait(descriptor, interest, deadline, cancel)).await,
            WaitMode::Park => Park.wait(descriptor, interest, deadline, cancel).await,
        }
    }

    async fn pause(&self, moment: Duration, cancel: &Cancel) -> Result<(), Failure> {
        match self {
            WaitMode::Ready => Box::pin(Ready.pause(moment, cancel)).await,
            WaitMode::Park => Park.pause(moment, cancel).await,
        }
    }
}
