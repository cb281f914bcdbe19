//! Unix sockets shaped like [`std::os::unix::net`]'s: moving from std is changing a `use`.
//!
//! Paths are those of the host's file system, beneath the roots that the policy grants. A path that a
//! guest bound is removed by the host when the socket closes. unix(7)
//!
//! Each method is the system call that std makes, on [`Socket`], whose method of the same name tells
//! the errors; what the policy has to grant stands with each. What names none needs no more than the socket has.

use std::io;
use std::path::Path;

use crate::address::{SocketAddress, foreign};
use crate::convenience::{BACKLOG, socketpair};
use crate::shape::{data_socket, listener, stream_socket};
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType};

/// A Unix address under std's name for it.
pub use crate::address::UnixAddress as SocketAddr;

fn new_socket(socket_type: SocketType) -> io::Result<Socket> {
    Socket::new(Family::Unix, socket_type, Protocol::Default)
}

fn unix_address(address: SocketAddress) -> io::Result<SocketAddr> {
    match address {
        SocketAddress::Unix(address) => Ok(address),
        other => Err(foreign(&other, "Unix")),
    }
}

/// `local_addr` and, for those that have a peer, `peer_addr`.
macro_rules! addresses {
    ($type:ident) => {
        impl $type {
            /// getsockname(2): the address it is bound to; unnamed if it is not.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                unix_address(self.socket.local_address()?)
            }
        }
    };
    ($type:ident with peer) => {
        addresses! { $type }

        impl $type {
            /// getpeername(2): the address of the other end; unnamed if that is not bound.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                unix_address(self.socket.peer_address()?)
            }
        }
    };
}

/// A Unix stream, shaped like [`std::os::unix::net::UnixStream`].
///
/// ```no_run
/// use std::io::Write;
/// use sockgate_guest::unix::UnixStream;
///
/// UnixStream::connect("/run/service.sock")?.write_all(b"hello\n")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixStream {
    socket: Socket,
}

stream_socket! { UnixStream }
addresses! { UnixStream with peer }

impl UnixStream {
    /// connect(2) to a path. Policy: `connect` with the path.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// connect(2) to a path or an abstract name. Policy: `connect` with it.
    pub fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let socket = new_socket(SocketType::Stream)?;
        socket.connect(address)?;
        Ok(socket.into())
    }

    /// socketpair(2): two connected streams. Policy: `socketpair`.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(SocketType::Stream)?;
        Ok((one.into(), other.into()))
    }
}

/// A server on a Unix stream socket, shaped like [`std::os::unix::net::UnixListener`].
///
/// ```no_run
/// use sockgate_guest::unix::UnixListener;
///
/// let listener = UnixListener::bind("/run/service.sock")?;
/// for stream in listener.incoming() {
///     println!("{:?}", stream?.peer_addr()?);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixListener {
    socket: Socket,
}

listener! { UnixListener, UnixStream }
addresses! { UnixListener }

impl UnixListener {
    /// bind(2) to a path, and listen(2). Policy: `listen` with the path.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// bind(2) to a path or an abstract name, and listen(2). Policy: `listen` with it.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let socket = new_socket(SocketType::Stream)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    /// accept(2): waits for a connection, as long as it takes: the stream, and the address of who it comes
    /// from. Policy: part of `listen`.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((socket.into(), unix_address(peer)?))
    }
}

/// A Unix datagram socket, shaped like [`std::os::unix::net::UnixDatagram`].
///
/// ```no_run
/// use sockgate_guest::unix::UnixDatagram;
///
/// let socket = UnixDatagram::bind("/run/client.sock")?;
/// socket.send_to(b"hello", "/run/service.sock")?;
/// let mut answer = [0; 100];
/// let length = socket.recv(&mut answer)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    socket: Socket,
}

data_socket! { UnixDatagram }
addresses! { UnixDatagram with peer }

impl UnixDatagram {
    /// bind(2) to a path. Policy: `bind` with the path.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// bind(2) to a path or an abstract name. Policy: `bind` with it.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let socket = Self::unbound()?;
        socket.socket.bind(address)?;
        Ok(socket)
    }

    /// socket(2): one without a name, whom nobody can answer.
    pub fn unbound() -> io::Result<Self> {
        Ok(new_socket(SocketType::Datagram)?.into())
    }

    /// socketpair(2): two connected sockets. Policy: `socketpair`.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(SocketType::Datagram)?;
        Ok((one.into(), other.into()))
    }

    /// connect(2): makes this the peer of [`send`](Self::send) and [`recv`](Self::recv). Policy: `connect`.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// [`connect`](Self::connect) to a path or an abstract name.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.socket.connect(address)
    }

    /// send(2): sends a datagram to the peer.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data)
    }

    /// sendto(2): sends a datagram to a path. Policy: `send-to`, or `reply`.
    pub fn send_to(&self, data: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(data, &SocketAddr::from_pathname(path)?)
    }

    /// [`send_to`](Self::send_to) a path or an abstract name.
    pub fn send_to_addr(&self, data: &[u8], address: &SocketAddr) -> io::Result<usize> {
        self.socket.send_to(data, address)
    }

    /// recv(2): receives a datagram.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// recvfrom(2): receives a datagram: how many bytes of it are in the buffer, and who sent it. Policy: `receive`.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, source) = self.socket.recv_from(buffer)?;
        let source = source.unwrap_or(SocketAddress::Unix(SocketAddr::Unnamed));
        Ok((length, unix_address(source)?))
    }

    /// shutdown(2): ends one direction or both.
    pub fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}
