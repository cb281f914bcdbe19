//! From whom a socket received lately: what `reply` answers to.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sockgate_policy::Address;

/// How long a sender may be answered.
const MEMORY: Duration = Duration::from_secs(60);
/// How old a sender's entry may grow before it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(1);
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
        let sender = sender.canonical_destination();
        if let Some(last) = self.senders.get_mut(&sender) {
            *last = now;
            return;
        }
        if self.senders.len() >= SENDERS {
            self.forget(now);
        }
        self.senders.insert(sender, now);
    }

    /// The same for one that goes on and on, by the names that it has: they are not looked up for every message.
    pub(crate) fn renew(&mut self, names: [&Address; 2], remembered: &mut Instant, now: Instant) {
        if now.duration_since(*remembered) > RENEW_AFTER {
            *remembered = now;
            for name in names {
                self.remember(name, now);
            }
        }
    }

    /// Until when this peer may be answered, which was heard within the last 60 seconds.
    pub(crate) fn until(&self, peer: &Address, now: Instant) -> Option<Instant> {
        let last = self.senders.get(&peer.canonical_destination())?;
        let end = *last + MEMORY;
        (now < end).then_some(end)
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
        let end = start + Duration::from_secs(60);
        assert_eq!(heard.until(&sender(1), start), Some(end));
        let before = end - Duration::from_nanos(1);
        assert_eq!(heard.until(&sender(1), before), Some(end));
        assert_eq!(heard.until(&sender(1), end), None);
        assert_eq!(heard.until(&sender(2), start), None);
    }

    #[test]
    fn who_goes_on_is_renewed_under_all_its_names() {
        let mut heard = Heard::default();
        let start = Instant::now();
        let mut remembered = start;
        let names = [&sender(1), &sender(2)];
        for second in 1..=120 {
            heard.renew(names, &mut remembered, start + Duration::from_secs(second));
        }
        let end = start + Duration::from_secs(119);
        assert!(start + Duration::from_secs(119) <= remembered);
        for name in names {
            assert!(heard.until(name, end + Duration::from_secs(59)).is_some());
        }
    }

    #[test]
    fn an_address_is_heard_in_all_its_forms() {
        let mut heard = Heard::default();
        let start = Instant::now();
        let at = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().unwrap());
        heard.remember(&at("[::ffff:192.0.2.1]:9"), start);
        heard.remember(&at("127.0.0.1:9"), start);
        for form in ["192.0.2.1:9", "[::ffff:192.0.2.1]:9", "0.0.0.0:9"] {
            assert!(heard.until(&at(form), start).is_some(), "{form}");
        }
        assert_eq!(heard.until(&at("[2001:db8::1]:9"), start), None);
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
        let later = start + Duration::from_secs(1);
        assert!(heard.until(&sender(9_999), later).is_some());
    }
}
