//! Servers, as Python's `socketserver` has them: a loop that takes requests and hands them to a service,
//! with a hook wherever somebody may want to step in.
//!
//! # One after the other
//!
//! ```no_run
//! use sockgate_guest::server::{Connection, StreamServer};
//! use std::io::{self, BufRead, Write};
//! use std::time::Duration;
//!
//! fn main() -> io::Result<()> {
//!     let mut server = StreamServer::tcp("127.0.0.1:7007", |request: &mut Connection| {
//!         let mut line = String::new();
//!         request.read_line(&mut line)?;
//!         request.write_all(line.to_uppercase().as_bytes())
//!     })?;
//!     server.serve_forever(Duration::from_millis(500))
//! }
//! ```
//!
//! [`StreamServer`] and [`DatagramServer`] are made for TCP ([`tcp`](StreamServer::tcp)), UDP
//! ([`udp`](DatagramServer::udp)), Unix paths ([`unix`](StreamServer::unix)), any other address
//! ([`bind`](Server::bind)) or a socket that is there already ([`from_socket`](Server::from_socket)). The
//! service is a closure, or a [`Service`] that overrides hooks.
//!
//! # Many at once
//!
//! A guest has one thread and no fork(2). In place of `ThreadingMixIn` and `ForkingMixIn` a [`TaskServer`]
//! serves each request in a task of [`aio`](crate::aio); a slow client keeps nobody waiting:
//!
//! ```no_run
//! use sockgate_guest::aio;
//! use sockgate_guest::server::{TaskConnection, TaskServer};
//! use std::io;
//! use std::time::Duration;
//!
//! fn main() -> io::Result<()> {
//!     let server = TaskServer::tcp("127.0.0.1:7007", async |request: &mut TaskConnection| {
//!         let mut line = String::new();
//!         while request.read_line(&mut line).await? > 0 {
//!             request.write_all(line.to_uppercase().as_bytes()).await?;
//!             line.clear();
//!         }
//!         Ok(())
//!     })?;
//!     aio::run(server.serve_forever(Duration::from_millis(500)));
//!     Ok(())
//! }
//! ```
//!
//! # Errors
//!
//! What a service answers with an error ends its request and no more: the error goes to
//! [`handle_error`](Service::handle_error). A panic ends the guest, as everywhere in `wasm32-wasip2`.
//! Where no request can be taken because no descriptor is left, servers pause instead of trying again at
//! once.
//!
//! # Python's names
//!
//! | Python | here |
//! |---|---|
//! | `TCPServer`, `UnixStreamServer` | [`StreamServer`] |
//! | `UDPServer`, `UnixDatagramServer` | [`DatagramServer`] |
//! | `ThreadingTCPServer`, `ForkingTCPServer` and their kin | [`TaskServer`] |
//! | `RequestHandlerClass`, overridden methods | [`Service`], [`TaskService`] |
//! | `StreamRequestHandler`, `rfile`, `wfile` | [`Connection`], [`TaskConnection`], which are read and written |
//! | `DatagramRequestHandler` | [`Packet`] |
//! | class attributes | [`Settings`] |
//! | `bind_and_activate=False` | [`Server::unbound`], [`server_bind`](Server::server_bind), [`server_activate`](Server::server_activate) |
//! | `shutdown` | [`Endpoint::shutdown`], [`ShutdownHandle`] |
//! | `fileno` | `AsRef<Socket>`, for [`Poller`](crate::Poller) and [`poll`](crate::poll()) |

mod endpoint;
mod request;
mod service;
mod tasks;

pub use endpoint::{Endpoint, Settings, ShutdownHandle};
pub use request::{Connection, Packet, Request};
pub use service::Service;
pub use tasks::{TaskConnection, TaskRequest, TaskServer, TaskService};

use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::address::{SocketAddress, UnixAddress};
use crate::error::Errno;
use crate::net::{ToSocketAddrs, each_address};
use crate::poller::poll;
use crate::socket::Socket;
use crate::types::{Interest, Timeout};
use tasks::PAUSE;

/// A server that serves its requests one after the other. See [the module](self).
#[derive(Debug)]
pub struct Server<R, S> {
    endpoint: Endpoint,
    service: S,
    request: PhantomData<fn() -> R>,
}

/// A server of connections: Python's `TCPServer` and `UnixStreamServer`.
pub type StreamServer<S> = Server<Connection, S>;

/// A server of datagrams: Python's `UDPServer` and `UnixDatagramServer`.
pub type DatagramServer<S> = Server<Packet, S>;

impl<S: Service<Connection>> StreamServer<S> {
    /// Listens on the first of the addresses that can be bound. Policy: `listen`.
    pub fn tcp(address: impl ToSocketAddrs, service: S) -> io::Result<Self> {
        Self::first_of(address, service)
    }

    /// Listens on a path. Policy: `listen`.
    pub fn unix(path: impl AsRef<Path>, service: S) -> io::Result<Self> {
        let address = UnixAddress::from_pathname(path)?;
        Self::bind(address, Settings::stream(), service)
    }
}

impl<S: Service<Packet>> DatagramServer<S> {
    /// Takes datagrams on the first of the addresses that can be bound. Policy: `bind`, `receive` and
    /// `reply`.
    pub fn udp(address: impl ToSocketAddrs, service: S) -> io::Result<Self> {
        Self::first_of(address, service)
    }

    /// Takes datagrams on a path. Policy: `bind`, `receive` and `reply`.
    pub fn unix(path: impl AsRef<Path>, service: S) -> io::Result<Self> {
        let address = UnixAddress::from_pathname(path)?;
        Self::bind(address, Settings::datagram(), service)
    }
}

impl<R: Request, S: Service<R>> Server<R, S> {
    /// Binds to this address with these settings and begins to take requests.
    pub fn bind(
        address: impl Into<SocketAddress>,
        settings: Settings,
        service: S,
    ) -> io::Result<Self> {
        let mut server = Self::unbound(address, settings, service)?;
        server.server_bind()?;
        server.server_activate()?;
        Ok(server)
    }

    /// A server whose socket is not bound yet, so that options can be set first: Python's
    /// `bind_and_activate=False`.
    pub fn unbound(
        address: impl Into<SocketAddress>,
        settings: Settings,
        service: S,
    ) -> io::Result<Self> {
        Ok(Self::of(Endpoint::open(address.into(), settings)?, service))
    }

    /// Serves on a socket that is bound, and listens already if it is one to listen:
    /// [`Socket::granted`], for example.
    pub fn from_socket(socket: Socket, settings: Settings, service: S) -> io::Result<Self> {
        Ok(Self::of(Endpoint::taken(socket, settings)?, service))
    }

    fn first_of(address: impl ToSocketAddrs, mut service: S) -> io::Result<Self> {
        let endpoint = each_address(address, |address: SocketAddr| {
            let mut endpoint = Endpoint::open(address.into(), R::settings())?;
            service.server_bind(&mut endpoint)?;
            service.server_activate(&mut endpoint)?;
            Ok(endpoint)
        })?;
        Ok(Self::of(endpoint, service))
    }

    fn of(endpoint: Endpoint, service: S) -> Self {
        Self {
            endpoint,
            service,
            request: PhantomData,
        }
    }

    /// Binds the socket of a server that is [`unbound`](Self::unbound).
    pub fn server_bind(&mut self) -> io::Result<()> {
        self.service.server_bind(&mut self.endpoint)
    }

    /// Makes the bound socket take requests.
    pub fn server_activate(&mut self) -> io::Result<()> {
        self.service.server_activate(&mut self.endpoint)
    }

    /// Closes the server's socket. Dropping the server closes it too, past the service's hook.
    pub fn server_close(mut self) -> io::Result<()> {
        self.service.server_close(&mut self.endpoint)
    }

    /// Socket, address and settings.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The same, to change the settings.
    pub fn endpoint_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The same, to change it.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// What ends [`serve_forever`](Self::serve_forever).
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.endpoint.shutdown_handle()
    }

    /// Waits for one request and serves it, or calls [`Service::handle_timeout`] where none comes within
    /// the settings' `timeout` or the socket's own, whichever is shorter.
    ///
    /// An error is one of waiting alone; all others go to the service.
    pub fn handle_request(&mut self) -> io::Result<()> {
        let own: Option<Duration> = self.endpoint.socket().timeout().into();
        let timeouts = [self.endpoint.settings.timeout, own];
        if self.wait(timeouts.into_iter().flatten().min())? {
            self.serve_one();
        } else {
            self.service.handle_timeout(&self.endpoint);
        }
        Ok(())
    }

    /// Serves requests until a handler or a hook calls [`Endpoint::shutdown`]; it can then be called
    /// again. The settings' `timeout` does not count here. [`Service::service_actions`] come every
    /// `poll_interval` at least, and after every request.
    ///
    /// An error is one of waiting alone; all others go to the service.
    pub fn serve_forever(&mut self, poll_interval: Duration) -> io::Result<()> {
        let handle = self.shutdown_handle();
        let _serving = handle.serve();
        while !handle.is_requested() {
            if self.wait(Some(poll_interval))? {
                self.serve_one();
            }
            self.service.service_actions(&self.endpoint);
        }
        Ok(())
    }

    /// Waits until a request is there, or the time is over. Interruptions do not end it.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let sockets = [(self.endpoint.socket(), Interest::READABLE)];
        loop {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            match poll(&sockets, Timeout::from(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                ready => return Ok(!ready?.is_empty()),
            }
        }
    }

    /// Serves the request that is there.
    fn serve_one(&mut self) {
        let (service, server) = (&mut self.service, &self.endpoint);
        let mut request = match service.get_request(server) {
            Ok(request) => request,
            // It went before it was taken.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => {
                service.get_request_failed(&error, server);
                if is_exhausted(&error) {
                    thread::sleep(PAUSE);
                }
                return;
            }
        };
        if !service.verify_request(&request, server) {
            service.shutdown_request(&mut request, server);
        } else if let Err(error) = service.process_request(&mut request, server) {
            service.handle_error(&request, &error, server);
            service.shutdown_request(&mut request, server);
        }
    }
}

impl<R, S> AsRef<Socket> for Server<R, S> {
    fn as_ref(&self) -> &Socket {
        self.endpoint.socket()
    }
}

/// Whether an error passes only when something else ends: descriptors, buffers, memory.
fn is_exhausted(error: &io::Error) -> bool {
    let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::of(error).is_some_and(|errno| lacking.contains(&errno))
}
