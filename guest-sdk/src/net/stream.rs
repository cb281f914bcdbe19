//! TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{ToSocketAddrs, each_address, time_to_live};
use crate::address::{SocketAddress, std_address};
use crate::convenience::{BACKLOG, stream_socket};
use crate::shape::{self, listener, stream_socket};
use crate::socket::Socket;

/// A TCP connection, shaped like [`std::net::TcpStream`].
///
/// ```no_run
/// use std::io::{Read, Write};
/// use sockgate_guest::net::TcpStream;
///
/// let mut stream = TcpStream::connect("127.0.0.1:7")?;
/// stream.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket,
}

stream_socket! { TcpStream }
time_to_live! { TcpStream }

impl TcpStream {
    /// Connects to the first of the addresses that answers. Policy: `connect`, and `resolve` for names.
    pub fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        each_address(address, |address| {
            let address = SocketAddress::from(address);
            let socket = stream_socket(&address)?;
            socket.connect(&address)?;
            Ok(socket.into())
        })
    }

    /// Connects within this time. Zero is refused.
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        shape::std_timeout(Some(timeout))?;
        let address = SocketAddress::from(*address);
        let socket = stream_socket(&address)?;
        socket.with_write_timeout(timeout, || socket.connect(&address))?;
        Ok(socket.into())
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.peer_address()?)
    }

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }

    /// What would be read next; it stays in the queue.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buffer)
    }

    /// Sets TCP_NODELAY.
    pub fn set_nodelay(&self, no_delay: bool) -> io::Result<()> {
        self.socket.set_no_delay(no_delay)
    }

    /// TCP_NODELAY: whether small segments go out at once.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.no_delay()
    }
}

/// A TCP server, shaped like [`std::net::TcpListener`].
///
/// ```no_run
/// use sockgate_guest::net::TcpListener;
///
/// let listener = TcpListener::bind("127.0.0.1:8080")?;
/// for stream in listener.incoming() {
///     println!("{}", stream?.peer_addr()?);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: Socket,
}

listener! { TcpListener, TcpStream }
time_to_live! { TcpListener }

impl TcpListener {
    /// Binds to the first of the addresses that can be bound, with SO_REUSEADDR, and listens. Policy:
    /// `listen` with the local address. See [`create_server`](crate::create_server) for more.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        each_address(address, |address| {
            let address = SocketAddress::from(address);
            let socket = stream_socket(&address)?;
            socket.set_reuse_address(true)?;
            socket.bind(&address)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }

    /// Waits for a connection: the stream, and who it comes from.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((socket.into(), std_address(&peer)?))
    }
}
