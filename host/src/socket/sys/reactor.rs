//! A descriptor in tokio's reactor, epoll(7).

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::errno::{Errno, Result};

/// A descriptor that tokio's reactor watches. It belongs to the runtime that it was made in.
pub(in crate::socket) struct Registration {
    watched: AsyncFd<Arc<OwnedFd>>,
    runtime: tokio::runtime::Id,
}

impl Registration {
    /// Registers the descriptor with the current runtime. `nomem` or `nospc` where epoll has no room,
    /// `perm` where the descriptor cannot be watched.
    pub(in crate::socket) fn new(descriptor: Arc<OwnedFd>) -> Result<Registration> {
        // SAFETY: the Arc keeps the descriptor open, and the same one, for as long as `watched` lives.
        let watched = unsafe { AsyncFd::register(descriptor) }.map_err(|failed| {
            let (descriptor, cause) = failed.into_parts();
            tracing::debug!(fd = descriptor.as_raw_fd(), %cause, "the reactor refused a descriptor");
            Errno::from(cause)
        })?;
        Ok(Registration {
            watched,
            runtime: tokio::runtime::Handle::current().id(),
        })
    }

    /// Whether this is the runtime that it was registered with.
    pub(in crate::socket) fn belongs_here(&self) -> bool {
        tokio::runtime::Handle::try_current().is_ok_and(|handle| handle.id() == self.runtime)
    }

    /// Waits until the reactor sees readiness, and forgets that it did: whoever calls this attempts its
    /// operation next, and what comes after that attempt is a new event.
    pub(in crate::socket) async fn ready(&self, interest: Interest) -> Result<()> {
        self.watched.ready(interest).await?.clear_ready();
        Ok(())
    }
}
