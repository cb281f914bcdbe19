//! The benchmark's guest on sockgate: every case.

use std::io;
use std::time::Duration;

use sockgate_guest::net;
use sockgate_guest::unix::UnixDatagram;
use sockgate_guest::{Batch, MessageFlags, Socket, UdpSocket};

#[path = "../bench/events.rs"]
mod events;
#[path = "../bench/executor.rs"]
mod executor;
#[path = "../bench/ip.rs"]
mod ip;
#[path = "../bench/main.rs"]
mod main;

use events::Busy;
use ip::{MESSAGE, Times, whole};

/// Datagrams of a batch.
const BATCH: usize = 32;

fn main() -> io::Result<()> {
    main::run(|case, addresses, times| match (case, addresses) {
        ("unix_pingpong_64", [own, peer]) => unix_pingpong(own, peer, times).map(Some),
        ("unix_pair_64", []) => unix_pair(times).map(Some),
        ("udp_batch32", [one, other]) => udp_batch(one, other, times).map(Some),
        ("unix_batch32", []) => unix_batch(times).map(Some),
        ("poller_idle", [idle, busy]) => {
            let (idle, busy) = crowd(idle, busy)?;
            events::run(idle, busy, times.warm_up, times.measured).map(Some)
        }
        ("executor_idle", [idle, busy]) => {
            let (idle, busy) = crowd(idle, busy)?;
            executor::run(idle, busy, times.warm_up, times.measured).map(Some)
        }
        _ => ip::run(case, addresses, times),
    })
}

/// How many are idle, and where the busy ones are among them: `together` or `scattered`.
fn crowd(idle: &str, busy: &str) -> io::Result<(usize, Busy)> {
    let busy = match busy {
        "together" => Busy::Together,
        "scattered" => Busy::Scattered,
        _ => return Err(io::Error::other("no such crowd")),
    };
    Ok((idle.parse().map_err(io::Error::other)?, busy))
}

/// The poller of the case with many connections.
mod many {
    use std::io;

    pub use sockgate_guest::UnixStream;
    use sockgate_guest::{Interest, Timeout};

    pub struct Poller(sockgate_guest::Poller);

    impl Poller {
        pub fn new() -> io::Result<Poller> {
            sockgate_guest::Poller::new().map(Poller)
        }

        pub fn watch(&self, stream: &UnixStream, token: u64) -> io::Result<()> {
            self.0.register(stream, token, Interest::READABLE)
        }

        /// The tokens of those that are readable.
        pub fn ready(&self) -> io::Result<impl Iterator<Item = u64>> {
            let events = self.0.wait(64, Timeout::Blocking)?;
            Ok(events.into_iter().map(|event| event.token))
        }
    }
}

fn unix_pingpong(own: &str, peer: &str, times: Times) -> io::Result<Duration> {
    let socket = UnixDatagram::bind(own)?;
    socket.connect(peer)?;
    let mut buffer = [7; MESSAGE];
    let took = times.measure(|| {
        socket.send(&buffer)?;
        whole(socket.recv(&mut buffer)?)
    })?;
    // An empty datagram ends the peer.
    socket.send(&[])?;
    Ok(took)
}

fn unix_pair(times: Times) -> io::Result<Duration> {
    let (sender, receiver) = UnixDatagram::pair()?;
    let mut buffer = [7; MESSAGE];
    times.measure(|| {
        sender.send(&buffer)?;
        whole(receiver.recv(&mut buffer)?)
    })
}

fn udp_batch(one: &str, other: &str, times: Times) -> io::Result<Duration> {
    let sender = UdpSocket::bind(one)?;
    let receiver = UdpSocket::bind(other)?;
    sender.connect(other)?;
    receiver.connect(one)?;
    batches(sender.as_ref(), receiver.as_ref(), times)
}

fn unix_batch(times: Times) -> io::Result<Duration> {
    let (sender, receiver) = UnixDatagram::pair()?;
    batches(sender.as_ref(), receiver.as_ref(), times)
}

fn batches(sender: &Socket, receiver: &Socket, times: Times) -> io::Result<Duration> {
    let mut batch = Batch::new();
    for _ in 0..BATCH {
        batch.push(&[7; MESSAGE]);
    }
    times.measure(|| {
        let sent = sender.send_many(&batch, MessageFlags::empty())?;
        let received = receiver.recv_many(BATCH as u32, MESSAGE)?;
        if (sent.count, received.len()) == (BATCH, BATCH) {
            received
                .iter()
                .try_for_each(|datagram| whole(datagram.data.len()))
        } else {
            let (sent, received) = (sent.count, received.len());
            Err(io::Error::other(format!(
                "of {BATCH} datagrams {sent} were sent, {received} came"
            )))
        }
    })
}
