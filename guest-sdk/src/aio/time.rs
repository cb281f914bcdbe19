//! Timers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::combine::{Either, select};
use super::reactor::{self, TimerKey};
use crate::error::Errno;

/// What stands for "for ever" where a clock cannot count so far.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Waits so long, and never less.
pub fn sleep(duration: Duration) -> Sleep {
    let now = Instant::now();
    sleep_until(now.checked_add(duration).unwrap_or(now + FOR_EVER))
}

/// Waits until then, and never less.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        timer: None,
    }
}

/// The future of [`sleep`] and [`sleep_until`]. Its time runs from when it was made.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    timer: Option<TimerKey>,
}

impl Sleep {
    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let runs = match self.timer {
            Some(key) => reactor::with(|reactor| reactor.timer_runs(key, cx.waker())),
            None => Instant::now() < self.deadline,
        };
        if !runs {
            self.timer = None;
            return Poll::Ready(());
        }
        if self.timer.is_none() {
            let deadline = self.deadline;
            let key = reactor::with(|reactor| reactor.start_timer(deadline, cx.waker()));
            self.timer = Some(key);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.timer {
            reactor::try_with(|reactor| reactor.stop_timer(key));
        }
    }
}

/// What the future gives, or [`Errno::TIMEDOUT`] where that takes longer; the future is dropped then, and
/// with it whatever it waited for. The time runs from the call.
///
/// ```no_run
/// use sockgate_guest::aio;
/// use std::time::Duration;
///
/// # async fn ask(stream: &aio::TcpStream) -> std::io::Result<()> {
/// let mut answer = [0; 100];
/// let length = aio::timeout(Duration::from_secs(5), stream.read(&mut answer)).await??;
/// # Ok(())
/// # }
/// ```
pub fn timeout<F: Future>(
    duration: Duration,
    future: F,
) -> impl Future<Output = io::Result<F::Output>> {
    let sleep = sleep(duration);
    async move {
        match select(future, sleep).await {
            Either::First(output) => Ok(output),
            Either::Second(()) => Err(Errno::TIMEDOUT.into()),
        }
    }
}
