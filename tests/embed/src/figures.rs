//! Durations of a series, and what native code needs for the same.

use std::fmt;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The durations of one series.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    all: Vec<Duration>,
}

impl Figures {
    /// One more.
    pub fn add(&mut self, duration: Duration) {
        self.all.push(duration);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The shortest.
    pub fn least(&self) -> Duration {
        self.all.iter().min().copied().unwrap_or_default()
    }

    /// The one that so many of a hundred do not exceed: the 95th of 100 for 95.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.all.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(place).copied().unwrap_or_default()
    }

    /// Whether 95 of 100 are within the limit.
    pub fn within(&self, limit: Duration) -> bool {
        let within = self.all.iter().filter(|&&one| one <= limit).count();
        within * 100 >= self.all.len() * 95
    }

    /// How much longer each took than it should have.
    pub fn beyond(&self, wanted: Duration) -> Figures {
        let late = |one: &Duration| one.saturating_sub(wanted);
        Figures {
            all: self.all.iter().map(late).collect(),
        }
    }
}

impl FromIterator<Duration> for Figures {
    fn from_iter<I: IntoIterator<Item = Duration>>(all: I) -> Figures {
        Figures {
            all: all.into_iter().collect(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        write!(
            f,
            "n {:3}  min {:9.1}  p50 {:9.1}  p95 {:9.1}  max {:9.1} us",
            self.count(),
            micros(self.least()),
            micros(self.percentile(50)),
            micros(self.percentile(95)),
            micros(self.percentile(100)),
        )
    }
}

/// How long ppoll(2) takes to let this time pass on a socket that stays silent.
pub fn native_timeouts(timeout: Duration, count: usize) -> Result<Figures> {
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let timeout = Timespec::try_from(timeout)?;
    let mut figures = Figures::default();
    for _ in 0..count {
        let start = Instant::now();
        let mut watched = [PollFd::new(&silent, PollFlags::IN)];
        let ready = poll(&mut watched, Some(&timeout))?;
        anyhow::ensure!(ready == 0, "a silent socket is ready: {watched:?}");
        figures.add(start.elapsed());
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_a_hundred_may_be_late() {
        let of = |late| -> Figures {
            (0..100)
                .map(|place| Duration::from_millis(if place < late { 20 } else { 1 }))
                .collect()
        };
        assert!(of(5).within(Duration::from_millis(10)));
        assert!(!of(6).within(Duration::from_millis(10)));
        assert_eq!(of(5).percentile(95), Duration::from_millis(1));
        assert_eq!(of(6).percentile(95), Duration::from_millis(20));
    }
}
