//! vsock: between virtual machines and their host, vsock(7). Shaped like TCP.

use std::io;
use std::time::Duration;

pub use crate::address::VsockAddress;
use crate::consts::{
    AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, SO_VM_SOCKETS_BUFFER_MIN_SIZE,
    SO_VM_SOCKETS_BUFFER_SIZE, SO_VM_SOCKETS_CONNECT_TIMEOUT,
};
use crate::convenience::BACKLOG;
use crate::shape::{data_socket, every_socket, listener, stream_socket};
use crate::socket::{IoctlRequest, Socket};
use crate::types::{Family, Protocol, SocketType};
use crate::wire::malformed;

fn new_socket(socket_type: SocketType) -> io::Result<Socket> {
    Socket::new(Family::Vsock, socket_type, Protocol::Default)
}

/// The context id of this machine, as its hypervisor numbers it. Policy: `ioctl`, by the name
/// `vm-sockets.get-local-cid`.
///
/// Errors: `EACCES`, `EOPNOTSUPP` where the kernel has no vsock device.
pub fn local_cid() -> io::Result<u32> {
    let cid = new_socket(SocketType::Stream)?.ioctl(IoctlRequest::VmSocketsGetLocalCid)?;
    u32::try_from(cid).map_err(|_| malformed(&format!("the context id {cid}")))
}

/// `local_addr`, `peer_addr` and the options that connections have.
macro_rules! connection {
    ($type:ident) => {
        impl $type {
            /// The address of this end.
            ///
            /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
            pub fn local_addr(&self) -> io::Result<VsockAddress> {
                self.socket.local_address()?.try_into()
            }

            /// The address of the other end.
            ///
            /// getpeername(2). Policy: part of what connected it. Errors: `ENOTCONN`.
            pub fn peer_addr(&self) -> io::Result<VsockAddress> {
                self.socket.peer_address()?.try_into()
            }

            /// Connects. Policy: `connect` with `cid` and `port`.
            ///
            /// connect(2). Errors: `EACCES`, `ECONNRESET` where nobody listens, `ETIMEDOUT` after the
            /// kernel's 2 s, `ENODEV` without a transport.
            pub fn connect(address: VsockAddress) -> io::Result<Self> {
                let socket = new_socket(Self::TYPE)?;
                socket.connect(address)?;
                Ok(socket.into())
            }

            /// Connects within this time. Zero is refused.
            ///
            /// connect(2). Policy: as [`connect`](Self::connect). Errors: the same.
            pub fn connect_timeout(address: VsockAddress, timeout: Duration) -> io::Result<Self> {
                crate::shape::std_timeout(Some(timeout))?;
                let socket = new_socket(Self::TYPE)?;
                socket.with_write_timeout(timeout, || socket.connect(address))?;
                Ok(socket.into())
            }
        }
    };
}

/// A vsock stream.
///
/// ```no_run
/// use std::io::Write;
/// use sockgate_guest::consts::VMADDR_CID_HOST;
/// use sockgate_guest::vsock::{VsockAddress, VsockStream};
///
/// let mut stream = VsockStream::connect(VsockAddress::new(VMADDR_CID_HOST, 1024))?;
/// stream.write_all(b"hello\n")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct VsockStream {
    socket: Socket,
}

stream_socket! { VsockStream }
connection! { VsockStream }

impl VsockStream {
    const TYPE: SocketType = SocketType::Stream;
}

/// A vsock server of streams.
///
/// ```no_run
/// use sockgate_guest::vsock::{VsockAddress, VsockListener};
///
/// let listener = VsockListener::bind(VsockAddress::any(1024))?;
/// for stream in listener.incoming() {
///     println!("{}", stream?.peer_addr()?);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct VsockListener {
    socket: Socket,
}

listener! { VsockListener, VsockStream }

impl VsockListener {
    /// Binds and listens. Policy: `listen` with `cid` and `port`.
    ///
    /// socket(2), bind(2), listen(2). Errors: `EACCES`, `EADDRINUSE`, `EADDRNOTAVAIL` for another machine's
    /// CID.
    pub fn bind(address: VsockAddress) -> io::Result<Self> {
        Ok(listening(SocketType::Stream, address)?.into())
    }

    /// Waits for a connection: the stream, and who it comes from.
    ///
    /// accept(2). Policy: part of `listen`; peers that the rule does not name are reset and not reported.
    /// Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking), `EMFILE` at the policy's limit.
    pub fn accept(&self) -> io::Result<(VsockStream, VsockAddress)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((socket.into(), peer.try_into()?))
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<VsockAddress> {
        self.socket.local_address()?.try_into()
    }
}

fn listening(socket_type: SocketType, address: VsockAddress) -> io::Result<Socket> {
    let socket = new_socket(socket_type)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A vsock connection that keeps the bounds of messages (SOCK_SEQPACKET).
#[derive(Debug)]
pub struct VsockSeqpacket {
    socket: Socket,
}

data_socket! { VsockSeqpacket }
connection! { VsockSeqpacket }

impl VsockSeqpacket {
    const TYPE: SocketType = SocketType::Seqpacket;

    /// Sends a message.
    ///
    /// send(2). Policy: part of `connect` or `listen`. Errors: `EPIPE` where the peer is gone, `EMSGSIZE`.
    pub fn send(&self, message: &[u8]) -> io::Result<usize> {
        self.socket.send(message)
    }

    /// Receives a message: how many bytes of it are in the buffer; 0 at the end of the connection.
    ///
    /// recv(2). Policy: part of `connect` or `listen`. Errors: `ETIMEDOUT`, `ECONNRESET`.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }
}

/// A vsock server of [`VsockSeqpacket`] connections.
#[derive(Debug)]
pub struct VsockSeqpacketListener {
    socket: Socket,
}

every_socket! { VsockSeqpacketListener }

impl VsockSeqpacketListener {
    /// Binds and listens. Policy: `listen` with `cid` and `port`.
    ///
    /// socket(2), bind(2), listen(2). Errors: `EACCES`, `EADDRINUSE`, `EADDRNOTAVAIL` for another machine's
    /// CID.
    pub fn bind(address: VsockAddress) -> io::Result<Self> {
        Ok(listening(SocketType::Seqpacket, address)?.into())
    }

    /// Waits for a connection, and tells who it comes from.
    ///
    /// accept(2). Policy: part of `listen`; peers that the rule does not name are reset and not reported.
    /// Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking), `EMFILE` at the policy's limit.
    pub fn accept(&self) -> io::Result<(VsockSeqpacket, VsockAddress)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((socket.into(), peer.try_into()?))
    }

    /// The address it is bound to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<VsockAddress> {
        self.socket.local_address()?.try_into()
    }
}

/// The sizes of a connection's buffers, in bytes. Set them before connecting or listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VsockBuffers {
    /// SO_VM_SOCKETS_BUFFER_SIZE
    pub size: u64,
    /// SO_VM_SOCKETS_BUFFER_MIN_SIZE
    pub least: u64,
    /// SO_VM_SOCKETS_BUFFER_MAX_SIZE
    pub most: u64,
}

/// Options of vsock sockets, vsock(7).
impl Socket {
    /// The sizes of a vsock socket's buffers.
    ///
    /// SO_VM_SOCKETS_BUFFER_SIZE and its bounds, getsockopt(2). Policy: `options.get`. Errors:
    /// `ENOPROTOOPT` on other sockets.
    pub fn vsock_buffers(&self) -> io::Result<VsockBuffers> {
        let read = |name| {
            let value = self.raw_option(AF_VSOCK, name, 8)?;
            let bytes = value.first_chunk();
            let bytes = bytes.ok_or_else(|| malformed("a buffer size of less than 8 bytes"))?;
            Ok::<_, io::Error>(u64::from_le_bytes(*bytes))
        };
        Ok(VsockBuffers {
            size: read(SO_VM_SOCKETS_BUFFER_SIZE)?,
            least: read(SO_VM_SOCKETS_BUFFER_MIN_SIZE)?,
            most: read(SO_VM_SOCKETS_BUFFER_MAX_SIZE)?,
        })
    }

    /// Sets the sizes of a vsock socket's buffers: the bounds first, since the kernel keeps the size within
    /// them.
    ///
    /// SO_VM_SOCKETS_BUFFER_SIZE and its bounds, setsockopt(2). Policy: `options.set`. The largest has to
    /// be named. Errors: `EACCES`, `ENOPROTOOPT`.
    pub fn set_vsock_buffers(&self, buffers: VsockBuffers) -> io::Result<()> {
        for (name, value) in [
            (SO_VM_SOCKETS_BUFFER_MAX_SIZE, buffers.most),
            (SO_VM_SOCKETS_BUFFER_MIN_SIZE, buffers.least),
            (SO_VM_SOCKETS_BUFFER_SIZE, buffers.size),
        ] {
            self.set_raw_option(AF_VSOCK, name, &value.to_le_bytes())?;
        }
        Ok(())
    }

    /// SO_VM_SOCKETS_CONNECT_TIMEOUT: how long the kernel tries to connect, in whole microseconds; 2 s at
    /// first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EDOM` for what the kernel's clock cannot count.
    pub fn set_vsock_connect_timeout(&self, timeout: Duration) -> io::Result<()> {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&timeout.as_secs().to_le_bytes());
        value[8..].copy_from_slice(&u64::from(timeout.subsec_micros()).to_le_bytes());
        self.set_raw_option(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &value)
    }
}
