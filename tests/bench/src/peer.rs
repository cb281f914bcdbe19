//! The native threads at the other end, the same for every column.

use std::io::{self, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use socket2::SockRef;

use crate::cpu;
use crate::native::{MESSAGE, Times};

/// A peer that hears nothing for so long gives up: what measures has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of one read or write of a stream's peer.
const BLOCK: usize = 64 << 10;

/// A peer's thread, until one client is served.
pub struct Peer {
    thread: JoinHandle<io::Result<()>>,
}

impl Peer {
    fn start(
        cpu: Option<usize>,
        serve: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<Peer> {
        let thread = Builder::new().name("peer".into()).spawn(move || {
            if let Some(cpu) = cpu {
                cpu::pin(cpu)?;
            }
            serve()
        });
        let thread = thread.context("cannot start the peer's thread")?;
        Ok(Peer { thread })
    }

    /// Waits for its end, and says what went wrong there.
    pub fn join(self) -> Result<()> {
        match self.thread.join() {
            Ok(served) => served.context("the native peer failed"),
            Err(_) => Err(anyhow!("the native peer panicked")),
        }
    }

    /// Sends each datagram back; an empty one ends it. Answers where it is.
    pub fn udp_echo() -> Result<(Peer, String)> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("the peer cannot bind")?;
        let address = socket.local_addr()?.to_string();
        socket.set_read_timeout(Some(PATIENCE))?;
        let peer = Peer::start(None, move || {
            let mut buffer = [0; MESSAGE];
            let (length, client) = socket.recv_from(&mut buffer)?;
            socket.connect(client)?;
            socket.send(&buffer[..length])?;
            loop {
                match socket.recv(&mut buffer)? {
                    0 => return Ok(()),
                    length => drop(socket.send(&buffer[..length])?),
                }
            }
        })?;
        Ok((peer, address))
    }

    /// Sends each datagram back; an empty one ends it.
    pub fn unix_echo(path: &Path) -> Result<Peer> {
        let socket = UnixDatagram::bind(path).context("the peer cannot bind")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Peer::start(None, move || {
            let mut buffer = [0; MESSAGE];
            let (length, client) = socket.recv_from(&mut buffer)?;
            socket.connect_addr(&client)?;
            socket.send(&buffer[..length])?;
            loop {
                match socket.recv(&mut buffer)? {
                    0 => return Ok(()),
                    length => drop(socket.send(&buffer[..length])?),
                }
            }
        })
    }

    /// Sends back what comes over one connection. Answers where it is.
    pub fn tcp_echo() -> Result<(Peer, String)> {
        let (listener, address) = listener()?;
        let peer = Peer::start(None, move || {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut buffer = [0; MESSAGE];
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    length => stream.write_all(&buffer[..length])?,
                }
            }
        })?;
        Ok((peer, address))
    }

    /// Reads one connection to its end, then says so with one byte. Answers where it is.
    pub fn tcp_sink(cpu: usize) -> Result<(Peer, String)> {
        let (listener, address) = listener()?;
        let peer = Peer::start(Some(cpu), move || {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut buffer = vec![0; BLOCK];
            while stream.read(&mut buffer)? > 0 {}
            stream.write_all(&[1])
        })?;
        Ok((peer, address))
    }

    /// Writes that many blocks to one connection. Answers where it is.
    pub fn tcp_source(cpu: usize, times: Times) -> Result<(Peer, String)> {
        let (listener, address) = listener()?;
        let peer = Peer::start(Some(cpu), move || {
            let (mut stream, _) = listener.accept()?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let block = vec![7; BLOCK];
            for _ in 0..times.warm_up + times.measured {
                stream.write_all(&block)?;
            }
            Ok(())
        })?;
        Ok((peer, address))
    }
}

fn listener() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("the peer cannot bind")?;
    // It holds for accept as well.
    SockRef::from(&listener).set_read_timeout(Some(PATIENCE))?;
    let address = listener.local_addr()?.to_string();
    Ok((listener, address))
}
