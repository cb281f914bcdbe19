//! SO_RCVTIMEO and SO_SNDTIMEO, socket(7): how long one receive or one send may wait.
//!
//! The kernel heeds them where it waits itself; here the host waits, so it keeps them beside the handle's
//! time-out and heeds what is over first: then the operation answers `again` (`inprogress` for connect), as
//! the kernel's would.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sockgate_policy::OptionName;

use super::sys::option;

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Receives and accepts.
    Receive,
    /// Sends and connects.
    Send,
}

/// How long an operation may wait in each direction, in nanoseconds; 0 is without end.
#[derive(Debug, Default)]
pub(super) struct WaitLimits {
    receive: AtomicU64,
    send: AtomicU64,
}

/// Which direction the option limits, in the old or the new form of its value.
fn direction_of(name: OptionName) -> Option<Direction> {
    match (name.level, name.name) {
        (option::SOL_SOCKET, option::SO_RCVTIMEO | option::SO_RCVTIMEO_NEW) => {
            Some(Direction::Receive)
        }
        (option::SOL_SOCKET, option::SO_SNDTIMEO | option::SO_SNDTIMEO_NEW) => {
            Some(Direction::Send)
        }
        _ => None,
    }
}

impl WaitLimits {
    fn slot(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Receive => &self.receive,
            Direction::Send => &self.send,
        }
    }

    pub(super) fn get(&self, direction: Direction) -> Option<Duration> {
        match self.slot(direction).load(Relaxed) {
            0 => None,
            limit => Some(Duration::from_nanos(limit)),
        }
    }

    /// The option was set: takes over what the kernel made of it.
    pub(super) fn learn(&self, fd: BorrowedFd<'_>, name: OptionName) {
        if let Some(direction) = direction_of(name)
            && let Ok(limit) = option::wait_limit(fd, direction == Direction::Send)
        {
            let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
            self.slot(direction).store(limit, Relaxed);
        }
    }

    /// Takes over what somebody else set.
    pub(super) fn learn_all(&self, fd: BorrowedFd<'_>) {
        for name in [option::SO_RCVTIMEO, option::SO_SNDTIMEO] {
            self.learn(fd, OptionName::new(option::SOL_SOCKET, name));
        }
    }

    /// What an accepted connection has from its listener.
    pub(super) fn inherit(&self, listener: &WaitLimits) {
        for direction in [Direction::Receive, Direction::Send] {
            let limit = listener.slot(direction).load(Relaxed);
            self.slot(direction).store(limit, Relaxed);
        }
    }
}
