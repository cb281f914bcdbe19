//! Native clients of the echo server: std's sockets, and socat where it is installed.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{patience, pattern};

/// Round trips that are timed.
const ROUND_TRIPS: u32 = 5_000;

/// Bytes of one round trip.
const MESSAGE: usize = 64;

/// Bytes that go through a stream, there and back.
const STREAMED: usize = 32 << 20;

/// The largest UDP payload over IPv4 is 65,507 bytes; one over IPv6 may be longer.
const DATAGRAM: usize = 60_000;

/// Datagrams of that size that are timed.
const DATAGRAMS: usize = 1_000;

/// What a client measured.
pub struct Speed {
    /// Round trips of 64 bytes in a second.
    pub round_trips: f64,
    /// 10^6 bytes echoed in a second.
    pub megabytes: f64,
}

/// A TCP client: small round trips, then a stream, both compared byte for byte.
pub fn tcp(address: SocketAddr) -> Result<Speed> {
    let stream = tcp_client(address)?;
    let writer = stream.try_clone()?;
    measure(stream, writer, |writer| writer.shutdown(Shutdown::Write))
}

/// A Unix stream client, likewise.
pub fn unix(path: &Path) -> Result<Speed> {
    let stream = unix_client(path)?;
    let writer = stream.try_clone()?;
    measure(stream, writer, |writer| writer.shutdown(Shutdown::Write))
}

fn tcp_client(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience()))?;
    stream.set_write_timeout(Some(patience()))?;
    Ok(stream)
}

fn unix_client(path: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(path)
        .with_context(|| format!("cannot connect to {}", path.display()))?;
    stream.set_read_timeout(Some(patience()))?;
    stream.set_write_timeout(Some(patience()))?;
    Ok(stream)
}

/// Small round trips, then a stream written by a thread of its own and read here.
fn measure<S: Read + Write + Send + 'static>(
    mut stream: S,
    mut writer: S,
    finish: impl FnOnce(&S) -> io::Result<()> + Send + 'static,
) -> Result<Speed> {
    let mut answer = [0; MESSAGE];
    let start = Instant::now();
    for trip in 0..ROUND_TRIPS {
        let message = [trip as u8; MESSAGE];
        stream.write_all(&message)?;
        stream.read_exact(&mut answer)?;
        ensure!(answer == message, "round trip {trip} brought other bytes");
    }
    let round_trips = f64::from(ROUND_TRIPS) / start.elapsed().as_secs_f64();

    let sent = pattern(1, STREAMED);
    let expected = sent.clone();
    let start = Instant::now();
    let sending = thread::spawn(move || {
        writer.write_all(&sent)?;
        finish(&writer)
    });
    let mut received = Vec::with_capacity(STREAMED);
    stream.read_to_end(&mut received)?;
    let seconds = start.elapsed().as_secs_f64();
    match sending.join() {
        Ok(sent) => sent?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    ensure!(
        received == expected,
        "{} of {STREAMED} bytes came back, or other ones",
        received.len()
    );
    Ok(Speed {
        round_trips,
        megabytes: STREAMED as f64 / 1e6 / seconds,
    })
}

/// A UDP client: small and large datagrams, one at a time.
pub fn udp(address: SocketAddr) -> Result<Speed> {
    let socket = udp_client(address)?;
    let start = Instant::now();
    for trip in 0..ROUND_TRIPS {
        exchange(&socket, &[trip as u8; MESSAGE])?;
    }
    let round_trips = f64::from(ROUND_TRIPS) / start.elapsed().as_secs_f64();

    let datagram = pattern(2, DATAGRAM);
    let start = Instant::now();
    for _ in 0..DATAGRAMS {
        exchange(&socket, &datagram)?;
    }
    Ok(Speed {
        round_trips,
        megabytes: (DATAGRAM * DATAGRAMS) as f64 / 1e6 / start.elapsed().as_secs_f64(),
    })
}

fn udp_client(address: SocketAddr) -> Result<UdpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))?,
    };
    socket.connect(address)?;
    socket.set_read_timeout(Some(patience()))?;
    Ok(socket)
}

fn exchange(socket: &UdpSocket, datagram: &[u8]) -> Result<()> {
    let mut answer = [0; 1 << 16];
    socket.send(datagram)?;
    let length = loop {
        match socket.recv(&mut answer) {
            // signal(7): a receive with a time limit is not taken up again after the process stood still.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => break received.context("no answer")?,
        }
    };
    ensure!(answer[..length] == *datagram, "the answer has other bytes");
    Ok(())
}

/// One short message over TCP.
pub fn greet_tcp(address: SocketAddr) -> Result<()> {
    greet(tcp_client(address)?)
}

/// One short message over a Unix stream.
pub fn greet_unix(path: &Path) -> Result<()> {
    greet(unix_client(path)?)
}

fn greet(mut stream: impl Read + Write) -> Result<()> {
    let mut answer = [0; 5];
    stream.write_all(b"hello")?;
    stream.read_exact(&mut answer)?;
    ensure!(answer == *b"hello", "the answer is {answer:?}");
    Ok(())
}

/// One short datagram.
pub fn greet_udp(address: SocketAddr) -> Result<()> {
    exchange(&udp_client(address)?, b"hello")
}

/// The answer that socat gets over the Unix socket; none where socat is not installed.
pub fn socat(path: &Path) -> Result<Option<String>> {
    let spawned = Command::new("socat")
        .args(["-t5", "-"])
        .arg(format!("UNIX-CONNECT:{}", path.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot start socat"),
    };
    let message = "hello from socat";
    child
        .stdin
        .take()
        .context("socat has no stdin")?
        .write_all(message.as_bytes())?;
    let answer = child.wait_with_output()?;
    ensure!(
        answer.stdout == message.as_bytes(),
        "socat got {:?}",
        String::from_utf8_lossy(&answer.stdout)
    );
    Ok(Some(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use sockgate_tests::{folder, tcp_echo, udp_echo, unix_echo};

    /// A speed is a number above zero that a division by no time did not make.
    fn plausible(speed: &Speed) -> bool {
        [speed.round_trips, speed.megabytes]
            .iter()
            .all(|number| number.is_finite() && *number > 0.0)
    }

    #[test]
    fn native_echoes_pass() -> Result<()> {
        let peer = tcp_echo("127.0.0.1:0")?;
        let address = peer.address().context("a TCP peer has an address")?;
        assert!(plausible(&tcp(address)?));
        let peer = udp_echo("127.0.0.1:0")?;
        let address = peer.address().context("a UDP peer has an address")?;
        assert!(plausible(&udp(address)?));
        let place = folder()?;
        let path = place.path().join("echo.sock");
        let _peer = unix_echo(&path)?;
        assert!(plausible(&unix(&path)?));
        Ok(())
    }

    #[test]
    fn another_byte_is_an_error() -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = thread::spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut message = [0; MESSAGE];
            stream.read_exact(&mut message)?;
            message[MESSAGE - 1] ^= 1;
            stream.write_all(&message)
        });
        let error = tcp(address).err().context("wrong bytes passed")?;
        assert_eq!(error.to_string(), "round trip 0 brought other bytes");
        server.join().expect("the server panicked")?;
        Ok(())
    }
}
