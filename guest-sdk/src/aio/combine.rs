//! Several futures in one task.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

/// Which of two futures of [`select`] was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first future's output.
    First(A),
    /// The second future's output.
    Second(B),
}

/// Waits for the first of two futures and drops the other one. Where both are ready, the first wins.
///
/// Every future of this module can be dropped while it waits and loses nothing by that; what has begun a
/// longer transfer ([`write_all`](super::Async::write_all), [`read_exact`](super::Async::read_exact)) has
/// moved some of it.
pub async fn select<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(output) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::First(output));
        }
        second.as_mut().poll(cx).map(Either::Second)
    })
    .await
}

/// Waits for all of them, in this task; what they gave, in their order. Each wake-up polls every one that
/// is not ready: for many, [`spawn`](super::spawn) them and await the tasks one after the other.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut parts: Vec<Part<F>> = futures
        .into_iter()
        .map(|future| Part::Waits(Box::pin(future)))
        .collect();
    poll_fn(|cx| {
        let mut all = true;
        for part in &mut parts {
            if let Part::Waits(future) = part {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *part = Part::Done(output),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let outputs = parts.into_iter().filter_map(|part| match part {
        Part::Done(output) => Some(output),
        Part::Waits(_) => None,
    });
    outputs.collect()
}

enum Part<F: Future> {
    Waits(Pin<Box<F>>),
    Done(F::Output),
}
