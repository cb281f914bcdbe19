//! The benchmark's cases over IP. One text for two guests and for native code: `super::net` is
//! sockgate-guest's in one guest and std's in the others, and nothing else differs.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::net::{TcpStream, UdpSocket};

/// Bytes of a message.
pub const MESSAGE: usize = 64;
/// Bytes of one write, and of the buffer that is read into.
const BLOCK: usize = 64 << 10;

/// How often, before the clock starts and while it runs.
#[derive(Clone, Copy)]
pub struct Times {
    pub warm_up: u32,
    pub measured: u32,
}

impl Times {
    /// Runs `once` that often: how long the measured ones took.
    pub fn measure(self, mut once: impl FnMut() -> io::Result<()>) -> io::Result<Duration> {
        for _ in 0..self.warm_up {
            once()?;
        }
        let start = Instant::now();
        for _ in 0..self.measured {
            once()?;
        }
        Ok(start.elapsed())
    }
}

/// Runs a case; none where this guest has no such case.
pub fn run(case: &str, addresses: &[String], times: Times) -> io::Result<Option<Duration>> {
    match (case, addresses) {
        ("udp_pingpong_64", [own, peer]) => udp_pingpong(own, peer, times),
        ("tcp_pingpong_64", [peer]) => tcp_pingpong(peer, times),
        ("udp_pair_64", [one, other]) => udp_pair(one, other, times),
        ("tcp_send_64k", [peer]) => tcp_send(peer, times),
        ("tcp_recv_64k", [peer]) => tcp_recv(peer, times),
        _ => return Ok(None),
    }
    .map(Some)
}

fn udp_pingpong(own: &str, peer: &str, times: Times) -> io::Result<Duration> {
    let socket = UdpSocket::bind(own)?;
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

fn tcp_pingpong(peer: &str, times: Times) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(peer)?;
    stream.set_nodelay(true)?;
    let mut buffer = [7; MESSAGE];
    times.measure(|| {
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)
    })
}

fn udp_pair(one: &str, other: &str, times: Times) -> io::Result<Duration> {
    let sender = UdpSocket::bind(one)?;
    let receiver = UdpSocket::bind(other)?;
    sender.connect(other)?;
    receiver.connect(one)?;
    let mut buffer = [7; MESSAGE];
    times.measure(|| {
        sender.send(&buffer)?;
        whole(receiver.recv(&mut buffer)?)
    })
}

/// Writes blocks. The clock stops when the peer says that it has read everything.
fn tcp_send(peer: &str, times: Times) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(peer)?;
    let block = vec![7; BLOCK];
    for _ in 0..times.warm_up {
        stream.write_all(&block)?;
    }
    let start = Instant::now();
    for _ in 0..times.measured {
        stream.write_all(&block)?;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    Ok(start.elapsed())
}

/// Reads what the peer sends, which are as many blocks as asked for.
fn tcp_recv(peer: &str, times: Times) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(peer)?;
    let mut buffer = vec![0; BLOCK];
    read_blocks(&mut stream, &mut buffer, times.warm_up)?;
    let start = Instant::now();
    read_blocks(&mut stream, &mut buffer, times.measured)?;
    Ok(start.elapsed())
}

fn read_blocks(stream: &mut TcpStream, buffer: &mut [u8], blocks: u32) -> io::Result<()> {
    let mut left = blocks as usize * BLOCK;
    while left > 0 {
        let room = left.min(BLOCK);
        match stream.read(&mut buffer[..room])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => left -= length,
        }
    }
    Ok(())
}

/// Whether a message came as it was sent.
pub fn whole(length: usize) -> io::Result<()> {
    if length == MESSAGE {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "{length} bytes of {MESSAGE} came"
        )))
    }
}
