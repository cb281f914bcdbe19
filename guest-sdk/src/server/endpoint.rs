//! What a server stands on: settings, socket and address, and the way to end it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::address::SocketAddress;
use crate::convenience::BACKLOG;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType};

/// What the attributes of Python's server and handler classes say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The socket's family; `None` takes the address's own (IP, Unix and vsock tell theirs).
    pub address_family: Option<Family>,
    /// The socket's type.
    pub socket_type: SocketType,
    /// The socket's protocol.
    pub protocol: Protocol,
    /// How many connections may wait to be accepted; listen(2). The kernel caps it. Python has 5.
    pub request_queue_size: u32,
    /// SO_REUSEADDR: a stream server may bind while old connections linger. On for streams, as in std;
    /// off in Python.
    pub allow_reuse_address: bool,
    /// SO_REUSEPORT: several servers share the port. Policy: the option must be listed.
    pub allow_reuse_port: bool,
    /// How long [`Server::handle_request`](super::Server::handle_request) waits; `None` as long as it
    /// takes.
    pub timeout: Option<Duration>,
    /// The longest datagram, in bytes; the rest of a longer one is lost.
    pub max_packet_size: usize,
    /// How long each read and write of a connection waits; `None` as long as it takes.
    pub request_timeout: Option<Duration>,
    /// TCP_NODELAY on each connection: for buffered writers, which send no small pieces.
    pub disable_nagle_algorithm: bool,
    /// The size of a connection's read buffer, in bytes; 0 reads byte by byte.
    pub rbufsize: usize,
    /// The size of a connection's write buffer, in bytes; 0 sends each write at once.
    pub wbufsize: usize,
    /// Of a [`TaskServer`](super::TaskServer): how many requests are served at once; more wait in the
    /// queue.
    pub max_children: usize,
    /// Of a [`TaskServer`](super::TaskServer): whether
    /// [`server_close`](super::TaskServer::server_close) waits for the requests that are being served.
    /// Otherwise they go on until [`aio::run`](crate::aio::run) ends: Python's `daemon_threads`.
    pub block_on_close: bool,
}

impl Settings {
    /// For streams.
    pub fn stream() -> Self {
        Self {
            address_family: None,
            socket_type: SocketType::Stream,
            protocol: Protocol::Default,
            request_queue_size: BACKLOG,
            allow_reuse_address: true,
            allow_reuse_port: false,
            timeout: None,
            max_packet_size: 8192,
            request_timeout: None,
            disable_nagle_algorithm: false,
            rbufsize: 8192,
            wbufsize: 0,
            max_children: 4096,
            block_on_close: true,
        }
    }

    /// For datagrams.
    pub fn datagram() -> Self {
        Self {
            socket_type: SocketType::Datagram,
            allow_reuse_address: false,
            ..Self::stream()
        }
    }

    fn family(&self, address: &SocketAddress) -> io::Result<Family> {
        Ok(match (self.address_family, address) {
            (Some(family), _) => family,
            (None, SocketAddress::Inet(_)) => Family::Inet,
            (None, SocketAddress::Inet6(_)) => Family::Inet6,
            (None, SocketAddress::Unix(_)) => Family::Unix,
            (None, SocketAddress::Vsock(_)) => Family::Vsock,
            (None, address) => {
                let text = format!("{address}: say in the settings of which family it is");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        })
    }
}

/// A server's socket, address and settings: what Python's hooks and handlers find in `self.server`.
#[derive(Debug)]
pub struct Endpoint {
    /// The settings; what concerns the socket holds from the next bind or listen on, the rest from the
    /// next request on.
    pub settings: Settings,
    socket: Rc<Socket>,
    address: SocketAddress,
    handle: ShutdownHandle,
}

impl Endpoint {
    /// A socket that is not bound.
    pub(super) fn open(address: SocketAddress, settings: Settings) -> io::Result<Self> {
        let family = settings.family(&address)?;
        let socket = Socket::new(family, settings.socket_type, settings.protocol)?;
        Ok(Self::of(socket, address, settings))
    }

    /// A socket that somebody else has bound.
    pub(super) fn taken(socket: Socket, settings: Settings) -> io::Result<Self> {
        let address = socket.local_address()?;
        Ok(Self::of(socket, address, settings))
    }

    fn of(socket: Socket, address: SocketAddress, settings: Settings) -> Self {
        Self {
            settings,
            socket: Rc::new(socket),
            address,
            handle: ShutdownHandle::default(),
        }
    }

    /// The server's socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn shared(&self) -> &Rc<Socket> {
        &self.socket
    }

    /// The address that it was given; once bound, the one that it is bound to.
    pub fn server_address(&self) -> &SocketAddress {
        &self.address
    }

    /// Binds the socket, with the options of the settings: what
    /// [`Service::server_bind`](super::Service::server_bind) does unless it is overridden.
    pub fn bind(&mut self) -> io::Result<()> {
        // It means nothing to paths.
        let is_path = matches!(self.address, SocketAddress::Unix(_));
        if self.settings.allow_reuse_address && !is_path {
            self.socket.set_reuse_address(true)?;
        }
        if self.settings.allow_reuse_port {
            self.socket.set_reuse_port(true)?;
        }
        self.socket.bind(&self.address)?;
        self.address = self.socket.local_address()?;
        Ok(())
    }

    /// Listens with the settings' `request_queue_size`.
    pub fn listen(&self) -> io::Result<()> {
        self.socket.listen(self.settings.request_queue_size)
    }

    /// Ends `serve_forever` after the request in hand; see [`ShutdownHandle::shutdown`].
    pub fn shutdown(&self) {
        self.handle.shutdown();
    }

    /// What ends `serve_forever` from elsewhere.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.handle.clone()
    }

    pub(super) fn handle(&self) -> &ShutdownHandle {
        &self.handle
    }
}

impl AsRef<Socket> for Endpoint {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

/// Ends a server's `serve_forever`, from a handler or from another task.
#[derive(Clone, Debug, Default)]
pub struct ShutdownHandle(Rc<State>);

#[derive(Debug, Default)]
struct State {
    requested: Cell<bool>,
    serving: Cell<bool>,
    active: Cell<usize>,
    wakers: RefCell<Vec<Waker>>,
}

impl ShutdownHandle {
    /// Ends `serve_forever` after the request in hand, or as soon as it begins. It does not wait for
    /// that, as Python's does: a guest has one thread, and would wait for itself. Tasks await
    /// [`ended`](Self::ended).
    pub fn shutdown(&self) {
        self.0.requested.set(true);
        self.ring();
    }

    /// Whether `serve_forever` runs.
    pub fn is_serving(&self) -> bool {
        self.0.serving.get()
    }

    /// Waits until `serve_forever` does not run (any more).
    pub async fn ended(&self) {
        self.until(|handle| !handle.is_serving()).await;
    }

    pub(super) fn is_requested(&self) -> bool {
        self.0.requested.get()
    }

    /// How many requests are being served.
    pub(super) fn active(&self) -> usize {
        self.0.active.get()
    }

    pub(super) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        poll_fn(|cx| {
            if condition(self) {
                return Poll::Ready(());
            }
            let mut wakers = self.0.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn ring(&self) {
        let wakers = self.0.wakers.take();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// While `serve_forever` runs.
    pub(super) fn serve(&self) -> Serving {
        self.0.serving.set(true);
        Serving(self.clone())
    }

    /// While a request is served.
    pub(super) fn begin(&self) -> Active {
        self.0.active.set(self.active() + 1);
        Active(self.clone())
    }
}

pub(super) struct Serving(ShutdownHandle);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.serving.set(false);
        self.0.0.requested.set(false);
        self.0.ring();
    }
}

pub(super) struct Active(ShutdownHandle);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.0.active.set(self.0.active() - 1);
        self.0.ring();
    }
}
