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
    /// connect(2) to one address after the other until one answers, as std does; for a host with several
    /// addresses [`create_connection`](crate::create_connection) is quicker. Policy: `connect`, and `resolve` for
    /// names. The error is the last one's.
    pub fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        each_address(address, |address| {
            let address = SocketAddress::from(address);
            let socket = stream_socket(&address)?;
            socket.connect(&address)?;
            Ok(socket.into())
        })
    }

    /// connect(2) within this time; [`Errno::TIMEDOUT`](crate::Errno::TIMEDOUT) after it. Zero is refused. Policy:
    /// `connect`.
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        shape::std_timeout(Some(timeout))?;
        let address = SocketAddress::from(*address);
        let socket = stream_socket(&address)?;
        socket.with_write_timeout(timeout, || socket.connect(&address))?;
        Ok(socket.into())
    }

    /// getpeername(2): the address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.peer_address()?)
    }

    /// getsockname(2): the address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }

    /// recv(2) with MSG_PEEK: what would be read next; it stays in the queue.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(buffer)
    }

    /// Sets TCP_NODELAY, tcp(7): always granted.
    pub fn set_nodelay(&self, no_delay: bool) -> io::Result<()> {
        self.socket.set_no_delay(no_delay)
    }

    /// TCP_NODELAY, tcp(7): whether small segments go out at once. Policy: the option in `options.get`.
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
    /// bind(2) to the first of the addresses that can be bound, with SO_REUSEADDR, and listen(2). Policy:
    /// `listen` with the local address. The error is the last one's. See [`create_server`](crate::create_server) for more.
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

    /// getsockname(2): the address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_address()?)
    }

    /// accept(2): waits for a connection, as long as it takes: the stream, and who it comes from. The
    /// stream has the default time-out. Policy: part of `listen`.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((socket.into(), std_address(&peer)?))
    }
}
