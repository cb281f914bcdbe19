//! Waiting for several sockets.

use std::io;

use crate::bindings::sockgate::sockets::{readiness as raw, subscribe};
use crate::socket::Socket;
use crate::types::{Events, Interest, Timeout};

pub use crate::bindings::wasi::io::poll::Pollable;

/// epoll(7), level-triggered, for thousands of sockets: Python's `selectors`. An event costs the same
/// however many are watched. A socket whose last handle is closed leaves it. Needs no grant of its own; what
/// the policy hides is not reported. It counts as a socket in the policy's limits.
///
/// The token is yours: an index, or a key of the map that has what belongs to the socket (the `data` of
/// Python's `register`). Several sockets may share one.
///
/// ```no_run
/// use sockgate_guest::{Interest, Poller, UdpSocket};
/// use std::time::Duration;
///
/// let one = UdpSocket::bind("127.0.0.1:7001")?;
/// let two = UdpSocket::bind("127.0.0.1:7002")?;
/// let poller = Poller::new()?;
/// poller.register(&one, 1, Interest::READABLE)?;
/// poller.register(&two, 2, Interest::READABLE)?;
/// for event in poller.wait(64, Duration::from_secs(1))? {
///     println!("socket {} is ready: {:?}", event.token, event.events);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Poller {
    raw: raw::Poller,
}

/// What [`Poller::wait`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What the socket was registered under.
    pub token: u64,
    /// What it is ready for.
    pub events: Events,
}

impl Event {
    /// Whether a receive or an accept would answer at once: data, the peer's end, or an error.
    pub fn is_readable(&self) -> bool {
        let answers = Events::READABLE | Events::PEER_CLOSED | Events::HANG_UP | Events::ERROR;
        self.events.intersects(answers)
    }

    /// Whether a send would answer at once: room, or an error.
    pub fn is_writable(&self) -> bool {
        self.events
            .intersects(Events::WRITABLE | Events::HANG_UP | Events::ERROR)
    }
}

impl Poller {
    /// epoll_create1(2). [`Errno::MFILE`](crate::Errno::MFILE) at the policy's limit.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            raw: raw::Poller::create()?,
        })
    }

    /// Begins to watch a socket; [`Errno::EXIST`](crate::Errno::EXIST) where it is watched already. With an
    /// empty interest errors and hang-ups are reported alone.
    pub fn register(
        &self,
        socket: &impl AsRef<Socket>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        Ok(self.raw.add(&socket.as_ref().raw, token, interest)?)
    }

    /// Changes token and interest; [`Errno::NOENT`](crate::Errno::NOENT) where it is not watched.
    pub fn modify(
        &self,
        socket: &impl AsRef<Socket>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        Ok(self.raw.modify(&socket.as_ref().raw, token, interest)?)
    }

    /// Stops watching; [`Errno::NOENT`](crate::Errno::NOENT) where it was not watched.
    pub fn unregister(&self, socket: &impl AsRef<Socket>) -> io::Result<()> {
        Ok(self.raw.remove(&socket.as_ref().raw)?)
    }

    /// Waits until something is ready: at most `max` events (and 1024), none when the time is over. `None`
    /// waits as long as it takes. Where more sockets are ready than that, each has its turn in the waits that
    /// follow. [`Errno::INTR`](crate::Errno::INTR) when the host interrupts the guest.
    pub fn wait(&self, max: u32, timeout: impl Into<Timeout>) -> io::Result<Vec<Event>> {
        let ready = self.raw.wait(max, timeout.into())?;
        Ok(ready
            .into_iter()
            .map(|(token, events)| Event { token, events })
            .collect())
    }
}

/// poll(2) for a handful of sockets (at most 4096): the indexes of those that are ready, with what they
/// are ready for; none when the time is over.
///
/// ```no_run
/// use sockgate_guest::{Interest, Socket, Timeout, poll};
/// # fn wait(one: &Socket, two: &Socket) -> std::io::Result<()> {
/// let sockets = [(one, Interest::READABLE), (two, Interest::READABLE | Interest::WRITABLE)];
/// for (index, events) in poll(&sockets, Timeout::Blocking)? {
///     println!("{index}: {events:?}");
/// }
/// # Ok(())
/// # }
/// ```
pub fn poll(
    sockets: &[(&Socket, Interest)],
    timeout: impl Into<Timeout>,
) -> io::Result<Vec<(usize, Events)>> {
    let sockets: Vec<_> = sockets
        .iter()
        .map(|(socket, interest)| (&socket.raw, *interest))
        .collect();
    let ready = raw::poll(&sockets, timeout.into())?;
    Ok(ready
        .into_iter()
        .map(|(index, events)| (index as usize, events))
        .collect())
}

impl Socket {
    /// A pollable of wasi:io that is ready while the socket is, for guests whose event loop waits for
    /// other things as well.
    pub fn subscribe(&self, interest: Interest) -> io::Result<Pollable> {
        Ok(subscribe::subscribe(&self.raw, interest)?)
    }
}
