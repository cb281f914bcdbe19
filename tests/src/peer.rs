//! Native peers in threads: plain std sockets that echo, for guests that are clients.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};

/// A native echo server. Its threads end with the test's process; sockets close with them.
pub struct Peer {
    address: Option<SocketAddr>,
    clients: Arc<AtomicUsize>,
}

impl Peer {
    /// Where it listens; none for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The port that it listens on; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        self.address.map_or(0, |address| address.port())
    }

    /// Connections that it accepted, or datagrams that it received: the witness of a denial.
    pub fn seen(&self) -> usize {
        self.clients.load(Ordering::SeqCst)
    }
}

/// Echoes every TCP connection to its end.
pub fn tcp_echo(address: &str) -> Result<Peer> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let peer = Peer {
        address: Some(listener.local_addr()?),
        clients: Arc::default(),
    };
    let clients = Arc::clone(&peer.clients);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            clients.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || echo(&stream, &stream));
        }
    });
    Ok(peer)
}

/// Echoes every connection on a Unix socket to its end.
pub fn unix_echo(path: &Path) -> Result<Peer> {
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    let peer = Peer {
        address: None,
        clients: Arc::default(),
    };
    let clients = Arc::clone(&peer.clients);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            clients.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || echo(&stream, &stream));
        }
    });
    Ok(peer)
}

/// Echoes every datagram, the empty one too.
pub fn udp_echo(address: &str) -> Result<Peer> {
    let socket = UdpSocket::bind(address).with_context(|| format!("cannot bind {address}"))?;
    let peer = Peer {
        address: Some(socket.local_addr()?),
        clients: Arc::default(),
    };
    let clients = Arc::clone(&peer.clients);
    thread::spawn(move || {
        let mut datagram = vec![0; 1 << 16];
        while let Ok((length, source)) = socket.recv_from(&mut datagram) {
            clients.fetch_add(1, Ordering::SeqCst);
            // A client that is gone makes the next receive fail on some kernels; it is none of ours.
            let _ = socket.send_to(&datagram[..length], source);
        }
    });
    Ok(peer)
}

/// Until the end of the stream, or until the client is gone.
fn echo(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to.write_all(&buffer[..length])?,
        }
    }
}
