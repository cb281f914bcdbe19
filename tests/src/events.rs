//! The native side of what an event costs: the guests' own loop over epoll(7) and std's Unix streams.

use std::io;
use std::time::Duration;

#[path = "../guests/src/bench/events.rs"]
mod shared;

pub use shared::Busy;

/// How long so many events take on an epoll instance with so many idle connections beside 500 busy ones: the
/// waits, and for each event one message received and sent.
pub fn native_events(idle: usize, busy: Busy, warm_up: u32, measured: u32) -> io::Result<Duration> {
    shared::run(idle, busy, warm_up, measured)
}

mod many {
    use std::io;
    use std::os::fd::OwnedFd;
    pub(super) use std::os::unix::net::UnixStream;

    use rustix::buffer::spare_capacity;
    use rustix::event::epoll;

    pub(super) struct Poller {
        epoll: OwnedFd,
        /// As many as the guest asks for.
        room: usize,
    }

    impl Poller {
        pub(super) fn new() -> io::Result<Poller> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            Ok(Poller { epoll, room: 64 })
        }

        pub(super) fn watch(&self, stream: &UnixStream, token: u64) -> io::Result<()> {
            let data = epoll::EventData::new_u64(token);
            Ok(epoll::add(
                &self.epoll,
                stream,
                data,
                epoll::EventFlags::IN,
            )?)
        }

        /// The tokens of those that are readable.
        pub(super) fn ready(&self) -> io::Result<impl Iterator<Item = u64>> {
            let mut events = Vec::with_capacity(self.room);
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            Ok(events.into_iter().map(|event| event.data.u64()))
        }
    }
}
