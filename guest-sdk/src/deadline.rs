//! One time-out for something that takes several calls.

use std::io;
use std::time::{Duration, Instant};

use crate::error::Errno;

/// The moment by which something has to be done; never, where there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// So long from now. None, and what is longer than the clock counts, is never.
    pub(crate) fn after(time: Option<Duration>) -> Self {
        Self(time.and_then(|time| Instant::now().checked_add(time)))
    }

    /// The time that is left, none for as long as it takes; [`Errno::TIMEDOUT`] when there is none.
    pub(crate) fn left(self) -> io::Result<Option<Duration>> {
        let Some(moment) = self.0 else {
            return Ok(None);
        };
        match moment.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Errno::TIMEDOUT.into()),
            left => Ok(Some(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_out_is_too_long_for_it() {
        for time in [
            None,
            Some(Duration::MAX),
            Some(Duration::from_nanos(u64::MAX)),
        ] {
            let left = Deadline::after(time).left().unwrap();
            assert!(left.is_none_or(|left| left > Duration::from_secs(1 << 30)));
        }
        let over = Deadline::after(Some(Duration::ZERO)).left();
        assert_eq!(Errno::of(&over.unwrap_err()), Some(Errno::TIMEDOUT));
    }
}
