//! What each kind of socket has besides.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::Async;
use super::time::sleep;
use crate::address::{SocketAddress, ToAddress, UnixAddress};
use crate::convenience::stream_socket;
use crate::error::Errno;
use crate::message::{Message, MessageOut};
use crate::net::ToSocketAddrs;
use crate::socket::Socket;
use crate::types::{Family, MessageFlags, Protocol, SocketType};
use crate::{net, unix, vsock};

/// A TCP connection.
pub type TcpStream = Async<net::TcpStream>;
/// A TCP server.
pub type TcpListener = Async<net::TcpListener>;
/// A UDP socket.
pub type UdpSocket = Async<net::UdpSocket>;
/// A Unix stream.
pub type UnixStream = Async<unix::UnixStream>;
/// A server on a Unix stream socket.
pub type UnixListener = Async<unix::UnixListener>;
/// A Unix datagram socket.
pub type UnixDatagram = Async<unix::UnixDatagram>;

/// Any socket.
impl Async<Socket> {
    /// connect(2). Policy: `connect`. A name is looked up before anything is awaited, and no task runs
    /// meanwhile.
    pub async fn connect(&self, address: impl ToAddress) -> io::Result<()> {
        let address = address.to_address(self.get_ref())?.into_owned();
        connect(self, &address).await
    }

    /// accept(2): the connection, and who it comes from.
    pub async fn accept(&self) -> io::Result<(Self, SocketAddress)> {
        let (socket, peer) = self.read_with(Socket::accept).await?;
        Ok((Self::new(socket), peer))
    }

    /// recvfrom(2): how many bytes, and who sent them.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddress>)> {
        self.read_with(|socket| socket.recv_from(buffer)).await
    }

    /// sendto(2). Policy: `send-to`, or `reply`.
    pub async fn send_to(&self, data: &[u8], to: impl ToAddress) -> io::Result<usize> {
        let to = to.to_address(self.get_ref())?.into_owned();
        self.write_with(|socket| socket.send_to(data, &to)).await
    }

    /// recvmsg(2): see [`Socket::recv_msg`].
    pub async fn recv_msg(
        &self,
        max: usize,
        ancillary_max: u32,
        flags: MessageFlags,
    ) -> io::Result<Message> {
        self.read_with(|socket| socket.recv_msg(max, ancillary_max, flags))
            .await
    }

    /// sendmsg(2): see [`Socket::send_msg`].
    pub async fn send_msg(&self, message: &MessageOut<'_>) -> io::Result<usize> {
        self.write_with(|socket| socket.send_msg(message)).await
    }
}

impl TcpStream {
    /// Connects to the first of the addresses that answers. Policy: `connect`, and `resolve` for names.
    /// A name is looked up before anything is awaited, and no task runs meanwhile.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last = io::Error::new(ErrorKind::InvalidInput, "no address to connect to");
        for address in address.to_socket_addrs()? {
            let address = SocketAddress::from(address);
            let stream = Async::new(net::TcpStream::from(stream_socket(&address)?));
            match connect(&stream, &address).await {
                Ok(()) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl TcpListener {
    /// Binds to the first of the addresses that can be bound, with SO_REUSEADDR, and listens. Policy:
    /// `listen`.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self::new(net::TcpListener::bind(address)?))
    }

    /// Waits for a connection: the stream, and who it comes from.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.read_with(net::TcpListener::accept).await?;
        Ok((Async::new(stream), peer))
    }
}

impl UdpSocket {
    /// Binds to the first of the addresses that can be bound. Policy: `bind`.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self::new(net::UdpSocket::bind(address)?))
    }

    /// Receives a datagram: how many bytes of it are in the buffer, and who sent it. Policy: `receive`.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.read_with(|socket| socket.recv_from(buffer)).await
    }

    /// Sends a datagram to the first of the addresses. Policy: `send-to`, or `reply`.
    pub async fn send_to(&self, data: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        self.write_with(|socket| socket.send_to(data, &address))
            .await
    }
}

impl UnixStream {
    /// Connects to a path. Policy: `connect`. Where the backlog is full it waits for room.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_addr(&UnixAddress::from_pathname(path)?).await
    }

    /// [`connect`](Self::connect) to a path or an abstract name.
    pub async fn connect_addr(address: &UnixAddress) -> io::Result<Self> {
        let socket = Socket::new(Family::Unix, SocketType::Stream, Protocol::Default)?;
        let stream = Async::new(unix::UnixStream::from(socket));
        connect(&stream, &address.clone().into()).await?;
        Ok(stream)
    }

    /// Two connected streams. Policy: `socketpair`.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = unix::UnixStream::pair()?;
        Ok((Self::new(one), Self::new(other)))
    }
}

impl UnixListener {
    /// Binds to a path and listens. Policy: `listen`.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::new(unix::UnixListener::bind(path)?))
    }

    /// Waits for a connection: the stream, and the address of who it comes from.
    pub async fn accept(&self) -> io::Result<(UnixStream, UnixAddress)> {
        let (stream, peer) = self.read_with(unix::UnixListener::accept).await?;
        Ok((Async::new(stream), peer))
    }
}

impl UnixDatagram {
    /// Binds to a path. Policy: `bind`.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::new(unix::UnixDatagram::bind(path)?))
    }

    /// Two connected sockets. Policy: `socketpair`.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = unix::UnixDatagram::pair()?;
        Ok((Self::new(one), Self::new(other)))
    }

    /// Receives a datagram: how many bytes of it are in the buffer, and who sent it. Policy: `receive`.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, UnixAddress)> {
        self.read_with(|socket| socket.recv_from(buffer)).await
    }

    /// Sends a datagram to a path. Policy: `send-to`, or `reply`.
    pub async fn send_to(&self, data: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(data, &UnixAddress::from_pathname(path)?)
            .await
    }

    /// [`send_to`](Self::send_to) a path or an abstract name.
    pub async fn send_to_addr(&self, data: &[u8], to: &UnixAddress) -> io::Result<usize> {
        self.write_with(|socket| socket.send_to_addr(data, to))
            .await
    }
}

impl Async<vsock::VsockListener> {
    /// Waits for a connection: the stream, and who it comes from.
    pub async fn accept(
        &self,
    ) -> io::Result<(Async<vsock::VsockStream>, crate::addresses::VsockAddress)> {
        let (stream, peer) = self.read_with(vsock::VsockListener::accept).await?;
        Ok((Async::new(stream), peer))
    }
}

/// How long a Unix connect waits before it tries again, at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// connect(2), and what follows where it does not end at once.
async fn connect<T: AsRef<Socket>>(socket: &Async<T>, address: &SocketAddress) -> io::Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        match socket.as_ref().connect_ex(address.clone())? {
            Ok(()) => return Ok(()),
            Err(Errno::INPROGRESS) => {
                socket.writable().await?;
                return socket.as_ref().take_error()?.map_or(Ok(()), Err);
            }
            // A Unix listener's backlog is full, and the kernel does not tell when it has room again.
            Err(Errno::AGAIN) => {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}
