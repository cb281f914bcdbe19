//! Sets of ports.

use std::fmt;
use std::ops::RangeInclusive;

/// A set of ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSet {
    /// In order, apart from each other.
    ranges: Vec<RangeInclusive<u16>>,
}

impl PortSet {
    /// Every port.
    #[must_use]
    pub fn all() -> PortSet {
        PortSet::of([0..=u16::MAX])
    }

    pub(super) fn of(ranges: impl IntoIterator<Item = RangeInclusive<u16>>) -> PortSet {
        let mut given: Vec<_> = ranges.into_iter().collect();
        given.sort_by_key(|range| *range.start());
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for range in given {
            match ranges.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => ranges.push(range),
            }
        }
        PortSet { ranges }
    }

    pub(super) fn join(&mut self, other: &PortSet) {
        let both = self.ranges.iter().chain(&other.ranges).cloned();
        *self = PortSet::of(both.collect::<Vec<_>>());
    }

    /// Those that are not among the others.
    pub(super) fn without(&self, others: &PortSet) -> PortSet {
        let own = self.iter().filter(|port| !others.intersects(*port..=*port));
        PortSet::of(own.map(|port| port..=port))
    }

    /// Whether they are few enough for a wall that lists them one by one: 4096.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.count() <= 4096
    }

    /// Whether it is every port.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == PortSet::all()
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.ranges.iter().cloned().flatten()
    }

    /// Whether one of them lies in the range.
    #[must_use]
    pub fn intersects(&self, range: RangeInclusive<u16>) -> bool {
        self.ranges
            .iter()
            .any(|own| own.start() <= range.end() && range.start() <= own.end())
    }

    /// Whether some of them stand side by side.
    pub(super) fn has_range(&self) -> bool {
        self.ranges.iter().any(|range| range.start() != range.end())
    }
}

impl fmt::Display for PortSet {
    /// `none`, `80, 8000-9000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ranges.is_empty() {
            return f.write_str("none");
        }
        for (place, range) in self.ranges.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_grow_together() {
        let ports = PortSet::of([5..=7, 80..=80, 8..=9, 6..=6, 81..=90]);
        assert_eq!(ports.to_string(), "5-9, 80-90");
        assert_eq!(ports.count(), 16);
        assert!(ports.intersects(1..=5) && !ports.intersects(10..=79));
        assert_eq!(PortSet::default().to_string(), "none");
        assert!(PortSet::of([1..=u16::MAX, 0..=0]).is_all());
        assert!(PortSet::of([1..=4096]).is_listed() && !PortSet::of([0..=4096]).is_listed());
    }

    proptest! {
        #[test]
        fn a_set_holds_what_its_ranges_do(
            ranges in proptest::collection::vec((0u16..300, 0u16..40), 0..12),
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(first, more)| first..=first + more).collect();
            let ports = PortSet::of(ranges.clone());
            for port in 0..400 {
                let held = ranges.iter().any(|range| range.contains(&port));
                prop_assert_eq!(ports.intersects(port..=port), held);
                prop_assert_eq!(ports.iter().any(|own| own == port), held);
            }
        }

        #[test]
        fn what_is_left_is_in_the_one_and_not_in_the_other(
            one in (0u16..300, 0u16..40), other in (0u16..300, 0u16..40), also in 0u16..300,
        ) {
            let set = |(first, more): (u16, u16)| PortSet::of([first..=first + more, also..=also]);
            let (one, other) = (set(one), PortSet::of([other.0..=other.0 + other.1]));
            let left = one.without(&other);
            for port in 0..400 {
                let has = |ports: &PortSet| ports.intersects(port..=port);
                prop_assert_eq!(has(&left), has(&one) && !has(&other));
            }
        }
    }
}
