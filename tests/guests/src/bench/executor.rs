//! The crowd of [`super::events`] on the executor: a task for each connection, which sends back what comes.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use sockgate_guest::UnixStream;
use sockgate_guest::aio::{self, Async};

use super::events::{BURST, Bursts, Busy, Crowd, MESSAGE};

/// How long `measured` events take with so many idle connections beside: the waits, and for each event one
/// task's turn, one message received and sent.
pub fn run(idle: usize, busy: Busy, warm_up: u32, measured: u32) -> io::Result<Duration> {
    aio::run(async {
        let (mut crowd, serving) = Crowd::new(idle, busy)?;
        let served = Rc::new(Served::default());
        for stream in serving {
            drop(aio::spawn(serve(Async::new(stream), served.clone())));
        }
        let mut bursts = Bursts::new(warm_up, measured);
        for burst in bursts.numbers() {
            // Every task waits for its connection before the first one asks.
            if burst == 0 {
                aio::yield_now().await;
            }
            crowd.ask(burst)?;
            let start = Instant::now();
            served.burst().await?;
            bursts.add(burst, start);
            crowd.hear(burst)?;
        }
        Ok(bursts.total())
    })
}

/// How many messages were sent back, and who waits for that.
#[derive(Default)]
struct Served {
    count: Cell<usize>,
    failed: Cell<Option<io::Error>>,
    waiter: Cell<Option<Waker>>,
}

impl Served {
    /// Waits until a burst was served.
    async fn burst(&self) -> io::Result<()> {
        poll_fn(|context| {
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Err(error));
            }
            match self.count.get() {
                BURST => {
                    self.count.set(0);
                    Poll::Ready(Ok(()))
                }
                more if more > BURST => {
                    Poll::Ready(Err(io::Error::other("more answers than messages")))
                }
                _ => {
                    self.waiter.set(Some(context.waker().clone()));
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn tell(&self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

async fn serve(stream: Async<UnixStream>, served: Rc<Served>) {
    let mut message = [0; MESSAGE];
    loop {
        let once = async {
            let length = stream.read(&mut message).await?;
            stream.write_all(&message[..length]).await
        };
        if let Err(error) = once.await {
            served.failed.set(Some(error));
            served.tell();
            return;
        }
        served.count.set(served.count.get() + 1);
        if served.count.get() >= BURST {
            served.tell();
        }
    }
}
