//! Families, types, protocols, flags and time-outs.

use std::time::Duration;

pub use crate::bindings::sockgate::sockets::readiness::{Events, Interest};
pub use crate::bindings::sockgate::sockets::types::{
    Family, MessageFlags, Protocol, SocketType, Timeout,
};

/// The methods that every set of flags has.
macro_rules! flag_sets {
    ($($flags:ty)*) => {$(
        impl $flags {
            /// Whether all flags of `other` are set.
            pub fn contains(self, other: Self) -> bool {
                self & other == other
            }

            /// Whether at least one flag of `other` is set.
            pub fn intersects(self, other: Self) -> bool {
                self & other != Self::empty()
            }

            /// Whether no flag is set.
            pub fn is_empty(self) -> bool {
                self == Self::empty()
            }
        }

        impl Default for $flags {
            fn default() -> Self {
                Self::empty()
            }
        }

        impl std::ops::BitOrAssign for $flags {
            fn bitor_assign(&mut self, other: Self) {
                *self = *self | other;
            }
        }
    )*};
}
pub(crate) use flag_sets;

flag_sets! { MessageFlags Interest Events }

/// `None` waits as long as it takes, `Some(Duration::ZERO)` not at all: Python's `settimeout`.
impl From<Option<Duration>> for Timeout {
    fn from(duration: Option<Duration>) -> Self {
        match duration {
            None => Self::Blocking,
            Some(duration) => duration.into(),
        }
    }
}

impl From<Duration> for Timeout {
    fn from(duration: Duration) -> Self {
        match u64::try_from(duration.as_nanos()) {
            Ok(0) => Self::NonBlocking,
            Ok(nanoseconds) => Self::After(nanoseconds),
            Err(_) => Self::Blocking,
        }
    }
}

impl From<Timeout> for Option<Duration> {
    fn from(timeout: Timeout) -> Self {
        match timeout {
            Timeout::Blocking => None,
            Timeout::NonBlocking => Some(Duration::ZERO),
            Timeout::After(nanoseconds) => Some(Duration::from_nanos(nanoseconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_become_time_outs() {
        assert_eq!(Timeout::from(None), Timeout::Blocking);
        assert_eq!(Timeout::from(Duration::ZERO), Timeout::NonBlocking);
        assert_eq!(
            Timeout::from(Duration::from_millis(1)),
            Timeout::After(1_000_000)
        );
        assert_eq!(Timeout::from(Duration::MAX), Timeout::Blocking);
        assert_eq!(
            Option::<Duration>::from(Timeout::After(5)),
            Some(Duration::from_nanos(5))
        );
    }

    #[test]
    fn flags_are_sets() {
        let flags = MessageFlags::PEEK | MessageFlags::TRUNC;
        assert!(flags.contains(MessageFlags::PEEK) && flags.intersects(MessageFlags::TRUNC));
        assert!(!flags.contains(MessageFlags::PEEK | MessageFlags::OOB));
        assert!(MessageFlags::default().is_empty());
    }
}
