//! A token bucket in whole numbers: what passes in any stretch of time is at most its rate times the time, and
//! its burst.

use std::time::{Duration, Instant};

use crate::model::Rate;

/// The level is kept in billionths of a token: so many come in a nanosecond for each token of the rate. Nothing
/// is ever rounded, so that nothing drifts.
const NANO: i128 = 1_000_000_000;

/// How much may pass now, under a rate that whoever asks brings along: it may change from one time to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    /// Below zero after a message that is longer than the burst.
    level: i128,
    /// When the level was so; none as long as nothing passed, and then it is full.
    at: Option<Instant>,
}

fn tokens(count: u64) -> i128 {
    i128::from(count) * NANO
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Instant) {
        let full = tokens(rate.burst());
        let Some(at) = self.at else {
            (self.level, self.at) = (full, Some(now));
            return;
        };
        let elapsed = now.saturating_duration_since(at).as_nanos();
        let come = i128::try_from(elapsed)
            .unwrap_or(i128::MAX)
            .saturating_mul(i128::from(rate.each_second()));
        self.level = self.level.saturating_add(come).min(full);
        self.at = Some(at.max(now));
    }

    /// Whether `least` may pass now, or when it may. More than the burst may pass once the bucket is full, or it
    /// never would.
    pub(crate) fn look(&mut self, rate: Rate, least: u64, now: Instant) -> Result<(), Instant> {
        self.refill(rate, now);
        let missing = tokens(least.min(rate.burst())) - self.level;
        if missing <= 0 || least == 0 {
            return Ok(());
        }
        let each = i128::from(rate.each_second().max(1));
        let wait = u64::try_from((missing + each - 1) / each).unwrap_or(u64::MAX);
        // A year is for ever.
        const YEAR: Duration = Duration::from_secs(366 * 86_400);
        let wait = Duration::from_nanos(wait).min(YEAR);
        Err(now.checked_add(wait).unwrap_or(now))
    }

    /// Takes what may pass now: as much of `most` as there is, but no less than `least`; or says when that is
    /// there.
    pub(crate) fn take(
        &mut self,
        rate: Rate,
        least: u64,
        most: u64,
        now: Instant,
    ) -> Result<u64, Instant> {
        let least = least.min(most);
        self.look(rate, least, now)?;
        let there = u64::try_from(self.level / NANO).unwrap_or(0);
        let taken = most.min(there.max(least));
        self.level -= tokens(taken);
        Ok(taken)
    }

    /// Takes what passed already.
    pub(crate) fn charge(&mut self, rate: Rate, passed: u64, now: Instant) {
        self.refill(rate, now);
        self.level = self.level.saturating_sub(tokens(passed));
    }

    /// Gives back what was taken and did not pass.
    pub(crate) fn give_back(&mut self, rate: Rate, count: u64) {
        let full = tokens(rate.burst());
        self.level = self.level.saturating_add(tokens(count)).min(full);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One try: after so many nanoseconds, no less than and no more than so much, of which so many tenths are
    /// given back.
    type Try = (u64, u64, u64, u64);

    fn tries() -> impl Strategy<Value = Vec<Try>> {
        let pause = prop_oneof![0..1000u64, 0..2_000_000_000u64, Just(0)];
        let one = (pause, 0..3000u64, 0..3000u64, 0..=10u64);
        prop::collection::vec(one, 1..60)
    }

    fn rate() -> impl Strategy<Value = Rate> {
        let per_second = prop_oneof![1..10u64, 1..5000u64, Just(1 << 40)];
        let burst = prop_oneof![1..10u64, 1..5000u64, Just(1 << 40)];
        (per_second, burst).prop_map(|(rate, burst)| Rate::per_second(rate).with_burst(burst))
    }

    proptest! {
        /// In no stretch of time more than rate times time, and burst; of which a single message longer than
        /// the burst is the one exception, and it is paid for before anything else passes.
        #[test]
        fn no_window_has_more_than_its_rate_and_burst(rate in rate(), tries in tries()) {
            let start = Instant::now();
            let (mut now, mut bucket) = (start, Bucket::default());
            let mut passed: Vec<(u128, u64)> = Vec::new();
            for (pause, least, most, tenths) in tries {
                now += Duration::from_nanos(pause);
                let least = least.min(rate.burst());
                if let Ok(taken) = bucket.take(rate, least, most.max(least), now) {
                    prop_assert!(taken >= least.min(most.max(least)));
                    let back = taken * tenths / 10;
                    bucket.give_back(rate, back);
                    passed.push((now.duration_since(start).as_nanos(), taken - back));
                }
            }
            for (first, (from, _)) in passed.iter().enumerate() {
                let mut sum = 0u128;
                for (to, count) in &passed[first..] {
                    sum += u128::from(*count);
                    // rate * time + burst, in billionths.
                    let allowed = u128::from(rate.each_second()) * (to - from)
                        + u128::from(rate.burst()) * 1_000_000_000;
                    prop_assert!(sum * 1_000_000_000 <= allowed, "{sum} in {} ns", to - from);
                }
            }
        }

        /// Whoever comes back at the moment that it was told is let through, however much it wants.
        #[test]
        fn a_wait_ends_when_it_was_said(rate in rate(), tries in tries()) {
            let (mut now, mut bucket) = (Instant::now(), Bucket::default());
            for (pause, least, _, _) in tries {
                now += Duration::from_nanos(pause);
                if let Err(then) = bucket.take(rate, least, least, now) {
                    prop_assert!(then > now);
                    now = then;
                    prop_assert_eq!(bucket.take(rate, least, least, now), Ok(least));
                }
            }
        }

        /// Over a long time the whole rate passes, to the token.
        #[test]
        fn nothing_drifts(per_second in 1..100_000u64, step in 1..50_000_000u64) {
            let rate = Rate::per_second(per_second);
            let (start, mut bucket) = (Instant::now(), Bucket::default());
            prop_assert_eq!(bucket.take(rate, 0, u64::MAX, start), Ok(per_second));
            let (mut now, mut sum) = (start, 0u128);
            for _ in 0..2000 {
                now += Duration::from_nanos(step.min(1_000_000_000 / 2));
                sum += u128::from(bucket.take(rate, 0, u64::MAX, now).unwrap_or(0));
            }
            let elapsed = now.duration_since(start).as_nanos();
            prop_assert_eq!(sum, elapsed * u128::from(per_second) / 1_000_000_000);
        }
    }

    #[test]
    fn a_message_longer_than_the_burst_passes_once_it_is_full() {
        let rate = Rate::per_second(100).with_burst(50);
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        assert_eq!(bucket.take(rate, 1, 1, start), Ok(1));
        let full = start + Duration::from_millis(10);
        assert_eq!(bucket.take(rate, 500, 500, start), Err(full));
        assert_eq!(bucket.take(rate, 500, 500, full), Ok(500));
        // It is paid for: 450 and the one that comes next.
        let paid = full + Duration::from_millis(4510);
        assert_eq!(bucket.take(rate, 1, 1, full), Err(paid));
        assert_eq!(
            bucket.take(rate, 0, 0, full),
            Ok(0),
            "nothing costs nothing"
        );
        assert_eq!(bucket.take(rate, 1, 1, paid), Ok(1));
    }

    #[test]
    fn a_new_rate_holds_at_once() {
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        assert_eq!(bucket.take(Rate::per_second(1000), 1, 10, start), Ok(10));
        let slower = Rate::per_second(5);
        assert_eq!(bucket.take(slower, 0, 1000, start), Ok(5));
        let next = start + Duration::from_millis(200);
        assert_eq!(bucket.take(slower, 1, 1, start), Err(next));
        let faster = Rate::per_second(50);
        let sooner = start + Duration::from_millis(20);
        assert_eq!(bucket.take(faster, 1, 1, start), Err(sooner));
    }

    #[test]
    fn what_passed_unasked_is_paid_for_afterwards() {
        let rate = Rate::per_second(10);
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        bucket.charge(rate, 30, start);
        let paid = start + Duration::from_millis(2100);
        assert_eq!(bucket.take(rate, 1, 1, start), Err(paid));
    }
}
