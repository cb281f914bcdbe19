//! Native code that blocks. Over IP it is the guests' own program, on std.

use std::io;
use std::net::{self, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use sockgate_tests::{Busy, native_events};

use crate::case::Case;
use crate::mmsg::Batch;

#[path = "../../guests/src/bench/ip.rs"]
mod ip;

use ip::whole;
pub use ip::{MESSAGE, Times};

/// How long the measured operations of one round take.
pub fn run(case: Case, addresses: &[String], times: Times) -> io::Result<Duration> {
    if let Some(idle) = case.idle() {
        return native_events(idle, Busy::Together, times.warm_up, times.measured);
    }
    match (case, addresses) {
        (Case::UnixPingPong, [own, peer]) => unix_pingpong(own, peer, times),
        (Case::UnixPair, _) => unix_pair(times),
        (Case::UnixBatch, _) => {
            let (sender, receiver) = UnixDatagram::pair()?;
            batches(&sender, &receiver, times)
        }
        (Case::UdpBatch, [one, other]) => {
            let (sender, receiver) = udp_pair(one, other)?;
            batches(&sender, &receiver, times)
        }
        _ => ip::run(case.name(), addresses, times)?
            .ok_or_else(|| io::Error::other("no such case, or not with these addresses")),
    }
}

/// Two UDP sockets, each the other's peer.
pub fn udp_pair(one: &str, other: &str) -> io::Result<(UdpSocket, UdpSocket)> {
    let sender = UdpSocket::bind(one)?;
    let receiver = UdpSocket::bind(other)?;
    sender.connect(other)?;
    receiver.connect(one)?;
    Ok((sender, receiver))
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

fn batches(sender: &impl AsFd, receiver: &impl AsFd, times: Times) -> io::Result<Duration> {
    let (mut outgoing, mut incoming) = (Batch::new(), Batch::new());
    times.measure(|| {
        outgoing.send(sender.as_fd(), 0)?;
        incoming.receive(receiver.as_fd(), 0)
    })
}
