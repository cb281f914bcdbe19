//! From whom a socket received lately: what `reply` answers to.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sockgate_policy::Address;

/// How long a sender may be answered.
const MEMORY: Duration = Duration::from_secs(60);
/// How many senders are remembered; then the table forgets those that are due, or else the oldest.
const SENDERS: usize = 1024;

/// A bounded table of senders and when each was heard last.
#[derive(Default)]
pub(crate) struct Heard {
    senders: HashMap<Address, Instant>,
}

impl Heard {
    /// Remembers a sender.
    pub(crate) fn remember(&mut self, sender: &Address, now: Instant) {
        if let Some(last) = self.senders.get_mut(sender) {
            *last = now;
            return;
        }
        if self.senders.len() >= SENDERS {
            self.forget(now);
        }
        self.senders.insert(sender.clone(), now);
    }

    /// Whether this peer was heard within the last 60 seconds.
    pub(crate) fn contains(&self, peer: &Address, now: Instant) -> bool {
        self.senders
            .get(peer)
            .is_some_and(|last| now.duration_since(*last) < MEMORY)
    }

    fn forget(&mut self, now: Instant) {
        self.senders
            .retain(|_, last| now.duration_since(*last) < MEMORY);
        if self.senders.len() < SENDERS {
            return;
        }
        // Half at a time, so that a flood of senders costs one pass per 512 of them.
        let mut times: Vec<Instant> = self.senders.values().copied().collect();
        let (_, middle, _) = times.select_nth_unstable(SENDERS / 2);
        let middle = *middle;
        self.senders.retain(|_, last| *last > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddrV4};

    fn sender(number: u32) -> Address {
        Address::Inet(SocketAddrV4::new(Ipv4Addr::from(number), 9))
    }

    #[test]
    fn a_sender_is_forgotten_after_sixty_seconds() {
        let mut heard = Heard::default();
        let start = Instant::now();
        heard.remember(&sender(1), start);
        assert!(heard.contains(&sender(1), start + Duration::from_secs(59)));
        assert!(!heard.contains(&sender(1), start + Duration::from_secs(60)));
        assert!(!heard.contains(&sender(2), start));
    }

    #[test]
    fn the_table_stays_bounded_and_keeps_the_latest() {
        let mut heard = Heard::default();
        let start = Instant::now();
        for number in 0..10_000 {
            heard.remember(
                &sender(number),
                start + Duration::from_micros(u64::from(number)),
            );
        }
        assert!(heard.senders.len() <= SENDERS);
        assert!(heard.contains(&sender(9_999), start + Duration::from_secs(1)));
    }
}
