//! Which addresses the names that a guest resolved stood for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::judge::Pinned;
use crate::model::HostPattern;

/// Most (name, address) pairs kept for a guest; the oldest give way.
pub(super) const MOST_PINS: usize = 4096;

/// Pins of one guest: for each address, the names that resolved to it and when they last did. They are
/// kept past their end (and not counted then), since an established connection outlives its pin and is
/// judged again after a reload.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    names: HashMap<IpAddr, Vec<(Arc<str>, Instant)>>,
    count: usize,
}

impl Pins {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        // A poisoned book is still whole: no step below leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pins `ip` under `name`, or renews the pin.
    pub(crate) fn add(&self, name: &Arc<str>, ip: IpAddr, now: Instant) {
        let mut book = self.book();
        if let Some((_, at)) = book
            .names
            .entry(ip)
            .or_default()
            .iter_mut()
            .find(|(known, _)| known == name)
        {
            *at = now;
            return;
        }
        if book.count >= MOST_PINS {
            book.drop_oldest();
        }
        book.names.entry(ip).or_default().push((name.clone(), now));
        book.count += 1;
    }

    /// Forgets the names that `keep` does not know.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut book = self.book();
        for pins in book.names.values_mut() {
            pins.retain(|(name, _)| keep(name));
        }
        book.names.retain(|_, pins| !pins.is_empty());
        book.count = book.names.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
impl Pins {
    /// How many pins there are.
    pub(super) fn len(&self) -> usize {
        self.book().count
    }

    /// How many addresses have some.
    pub(super) fn addresses(&self) -> usize {
        self.book().names.len()
    }
}

impl Book {
    /// Makes room: the older half goes, so that a full book costs little per new pin.
    fn drop_oldest(&mut self) {
        let mut times: Vec<Instant> = self.names.values().flatten().map(|(_, at)| *at).collect();
        let middle = times.len() / 2;
        let (_, limit, _) = times.select_nth_unstable(middle);
        let limit = *limit;
        let mut excess = times.len() / 2;
        for pins in self.names.values_mut() {
            pins.retain(|(_, at)| {
                let drop = excess > 0 && *at <= limit;
                excess -= usize::from(drop);
                !drop
            });
        }
        self.names.retain(|_, pins| !pins.is_empty());
        self.count = self.names.values().map(Vec::len).sum();
    }
}

impl Pinned for Pins {
    fn until(
        &self,
        hosts: &[HostPattern],
        ip: IpAddr,
        lifetime: Duration,
        now: Instant,
        expired: bool,
    ) -> Option<Instant> {
        let book = self.book();
        let pins = book.names.get(&ip)?;
        let latest = pins
            .iter()
            .filter(|(name, _)| hosts.iter().any(|pattern| pattern.matches(name)))
            .map(|(_, at)| *at)
            .max()?;
        let until = latest.checked_add(lifetime)?;
        (expired || now < until).then_some(until)
    }

    fn names(&self, ip: IpAddr, name: &mut dyn FnMut(&str)) {
        let book = self.book();
        for (known, _) in book.names.get(&ip).into_iter().flatten() {
            name(known);
        }
    }
}

/// No pins: for questions that are asked outside a running guest.
pub(crate) struct NoPins;

impl Pinned for NoPins {
    fn until(
        &self,
        _: &[HostPattern],
        _: IpAddr,
        _: Duration,
        _: Instant,
        _: bool,
    ) -> Option<Instant> {
        None
    }

    fn names(&self, _: IpAddr, _: &mut dyn FnMut(&str)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_book_forgets_the_oldest() {
        let pins = Pins::default();
        let start = Instant::now();
        let name: Arc<str> = "a.example".into();
        let ip = |number: usize| IpAddr::from((number as u32).to_be_bytes());
        for number in 0..MOST_PINS + 10 {
            pins.add(
                &name,
                ip(number),
                start + Duration::from_millis(number as u64),
            );
        }
        let hosts = [HostPattern::Any];
        let minute = Duration::from_secs(60);
        assert!(pins.until(&hosts, ip(0), minute, start, true).is_none());
        assert!(
            pins.until(&hosts, ip(MOST_PINS + 9), minute, start, true)
                .is_some()
        );
        assert!(pins.book().count <= MOST_PINS);
    }

    #[test]
    fn a_pin_ends_and_may_be_remembered() {
        let pins = Pins::default();
        let start = Instant::now();
        let ip = IpAddr::from([192, 0, 2, 1]);
        pins.add(&"a.example".into(), ip, start);
        let hosts = [HostPattern::Exact("a.example".to_owned())];
        let minute = Duration::from_secs(60);
        assert_eq!(
            pins.until(&hosts, ip, minute, start, false),
            Some(start + minute)
        );
        assert_eq!(pins.until(&hosts, ip, minute, start + minute, false), None);
        assert!(
            pins.until(&hosts, ip, minute, start + minute, true)
                .is_some()
        );
        assert!(
            pins.until(
                &[HostPattern::Exact("b.example".to_owned())],
                ip,
                minute,
                start,
                true
            )
            .is_none()
        );
        pins.retain(|name| name != "a.example");
        assert!(pins.until(&hosts, ip, minute, start, true).is_none());
    }
}
