//! Native code on tokio.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};

use crate::case::Case;
use crate::mmsg::Batch;
use crate::native::{MESSAGE, Times};

/// Bytes of one write, and of the buffer that is read into.
const BLOCK: usize = 64 << 10;

/// How long the measured operations of one round take.
pub async fn run(case: Case, addresses: &[String], times: Times) -> io::Result<Duration> {
    match (case, addresses) {
        (Case::UdpPingPong, [own, peer]) => udp_pingpong(own, peer, times).await,
        (Case::UnixPingPong, [own, peer]) => unix_pingpong(own, peer, times).await,
        (Case::TcpPingPong, [peer]) => tcp_pingpong(peer, times).await,
        (Case::UdpPair, [one, other]) => udp_pair(one, other, times).await,
        (Case::UnixPair, []) => unix_pair(times).await,
        (Case::UdpBatch, [one, other]) => udp_batch(one, other, times).await,
        (Case::UnixBatch, []) => unix_batch(times).await,
        (Case::TcpSend, [peer]) => tcp_send(peer, times).await,
        (Case::TcpRecv, [peer]) => tcp_recv(peer, times).await,
        _ => Err(io::Error::other(
            "no such case, or not with these addresses",
        )),
    }
}

impl Times {
    /// Runs `once` that often: how long the measured ones took.
    async fn measure_async(
        self,
        mut once: impl AsyncFnMut() -> io::Result<()>,
    ) -> io::Result<Duration> {
        for _ in 0..self.warm_up {
            once().await?;
        }
        let start = Instant::now();
        for _ in 0..self.measured {
            once().await?;
        }
        Ok(start.elapsed())
    }
}

async fn udp_pingpong(own: &str, peer: &str, times: Times) -> io::Result<Duration> {
    let socket = UdpSocket::bind(own).await?;
    socket.connect(peer).await?;
    let mut buffer = [7; MESSAGE];
    let took = times.measure_async(async || {
        socket.send(&buffer).await?;
        socket.recv(&mut buffer).await.map(drop)
    });
    let took = took.await?;
    socket.send(&[]).await?;
    Ok(took)
}

async fn unix_pingpong(own: &str, peer: &str, times: Times) -> io::Result<Duration> {
    let socket = UnixDatagram::bind(own)?;
    socket.connect(peer)?;
    let mut buffer = [7; MESSAGE];
    let took = times.measure_async(async || {
        socket.send(&buffer).await?;
        socket.recv(&mut buffer).await.map(drop)
    });
    let took = took.await?;
    socket.send(&[]).await?;
    Ok(took)
}

async fn tcp_pingpong(peer: &str, times: Times) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(peer).await?;
    stream.set_nodelay(true)?;
    let mut buffer = [7; MESSAGE];
    let took = times.measure_async(async || {
        stream.write_all(&buffer).await?;
        stream.read_exact(&mut buffer).await.map(drop)
    });
    took.await
}

async fn connected(one: &str, other: &str) -> io::Result<(UdpSocket, UdpSocket)> {
    let sender = UdpSocket::bind(one).await?;
    let receiver = UdpSocket::bind(other).await?;
    sender.connect(other).await?;
    receiver.connect(one).await?;
    Ok((sender, receiver))
}

async fn udp_pair(one: &str, other: &str, times: Times) -> io::Result<Duration> {
    let (sender, receiver) = connected(one, other).await?;
    let mut buffer = [7; MESSAGE];
    let took = times.measure_async(async || {
        sender.send(&buffer).await?;
        receiver.recv(&mut buffer).await.map(drop)
    });
    took.await
}

async fn unix_pair(times: Times) -> io::Result<Duration> {
    let (sender, receiver) = UnixDatagram::pair()?;
    let mut buffer = [7; MESSAGE];
    let took = times.measure_async(async || {
        sender.send(&buffer).await?;
        receiver.recv(&mut buffer).await.map(drop)
    });
    took.await
}

async fn udp_batch(one: &str, other: &str, times: Times) -> io::Result<Duration> {
    let (sender, receiver) = connected(one, other).await?;
    let (mut outgoing, mut incoming) = (Batch::new(), Batch::new());
    let took = times.measure_async(async || {
        let send = || outgoing.send(sender.as_fd(), libc::MSG_DONTWAIT);
        sender.async_io(Interest::WRITABLE, send).await?;
        let receive = || incoming.receive(receiver.as_fd(), libc::MSG_DONTWAIT);
        receiver.async_io(Interest::READABLE, receive).await
    });
    took.await
}

async fn unix_batch(times: Times) -> io::Result<Duration> {
    let (sender, receiver) = UnixDatagram::pair()?;
    let (mut outgoing, mut incoming) = (Batch::new(), Batch::new());
    let took = times.measure_async(async || {
        let send = || outgoing.send(sender.as_fd(), libc::MSG_DONTWAIT);
        sender.async_io(Interest::WRITABLE, send).await?;
        let receive = || incoming.receive(receiver.as_fd(), libc::MSG_DONTWAIT);
        receiver.async_io(Interest::READABLE, receive).await
    });
    took.await
}

async fn tcp_send(peer: &str, times: Times) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(peer).await?;
    let block = vec![7; BLOCK];
    for _ in 0..times.warm_up {
        stream.write_all(&block).await?;
    }
    let start = Instant::now();
    for _ in 0..times.measured {
        stream.write_all(&block).await?;
    }
    stream.shutdown().await?;
    stream.read_exact(&mut [0]).await?;
    Ok(start.elapsed())
}

async fn tcp_recv(peer: &str, times: Times) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(peer).await?;
    let mut buffer = vec![0; BLOCK];
    read_blocks(&mut stream, &mut buffer, times.warm_up).await?;
    let start = Instant::now();
    read_blocks(&mut stream, &mut buffer, times.measured).await?;
    Ok(start.elapsed())
}

async fn read_blocks(stream: &mut TcpStream, buffer: &mut [u8], blocks: u32) -> io::Result<()> {
    let mut left = blocks as usize * BLOCK;
    while left > 0 {
        let room = left.min(BLOCK);
        match stream.read(&mut buffer[..room]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => left -= length,
        }
    }
    Ok(())
}
