//! Many requests at once, each a task of its own.

use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::request::Packet;
use super::service::{complain, report};
use super::{Settings, ShutdownHandle, is_exhausted};
use crate::address::{SocketAddress, UnixAddress};
use crate::aio::{self, Async, BufReader, Either};
use crate::net::{ToSocketAddrs, each_address};
use crate::socket::Socket;

/// How long it waits for room where no descriptor is left.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// One request of a [`TaskServer`]: a [`TaskConnection`] or a [`Packet`].
pub trait TaskRequest: Sized + 'static {
    /// Whether it is answered over the server's own socket, which then closes last.
    const ON_SERVER_SOCKET: bool;

    /// The settings that a server of such requests begins with.
    fn settings() -> Settings;

    /// listen(2), where there is something to listen for.
    fn activate(server: &Endpoint) -> io::Result<()>;

    /// Takes the next one.
    fn get(socket: &Async<Rc<Socket>>, server: &Endpoint)
    -> impl Future<Output = io::Result<Self>>;

    /// Who asks.
    fn client_address(&self) -> &SocketAddress;

    /// Sends what was written and not sent yet.
    fn finish(&mut self, socket: &Async<Rc<Socket>>) -> impl Future<Output = io::Result<()>>;

    /// Ends the sending side.
    fn shut_down(&mut self);
}

/// A connection whose reads and writes are awaited, each within the settings' `request_timeout`. Reads are
/// buffered, writes are sent at once.
#[derive(Debug)]
pub struct TaskConnection {
    stream: BufReader<Socket>,
    client: SocketAddress,
    timeout: Option<Duration>,
}

impl TaskConnection {
    /// Who asks.
    pub fn client_address(&self) -> &SocketAddress {
        &self.client
    }

    /// The connection, for what has no method here; the buffered data is in it alone.
    pub fn stream(&mut self) -> &mut BufReader<Socket> {
        &mut self.stream
    }

    /// The connection's socket.
    pub fn socket(&self) -> &Socket {
        self.stream.get_ref().get_ref()
    }

    /// Reads what is there: how many bytes; 0 at the end of the stream.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        within(self.timeout, self.stream.read(buffer)).await
    }

    /// Reads a line with its newline, or to the end of the stream; how many bytes were added to `line`.
    pub async fn read_line(&mut self, line: &mut String) -> io::Result<usize> {
        within(self.timeout, self.stream.read_line(line)).await
    }

    /// Reads until `delimiter`, which is added too, or to the end of the stream.
    pub async fn read_until(&mut self, delimiter: u8, data: &mut Vec<u8>) -> io::Result<usize> {
        within(self.timeout, self.stream.read_until(delimiter, data)).await
    }

    /// Writes all of it.
    pub async fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        within(self.timeout, self.stream.get_ref().send_all(data)).await
    }
}

async fn within<T>(
    timeout: Option<Duration>,
    operation: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match timeout {
        Some(timeout) => aio::timeout(timeout, operation).await?,
        None => operation.await,
    }
}

impl TaskRequest for TaskConnection {
    const ON_SERVER_SOCKET: bool = false;

    fn settings() -> Settings {
        Settings::stream()
    }

    fn activate(server: &Endpoint) -> io::Result<()> {
        server.listen()
    }

    async fn get(socket: &Async<Rc<Socket>>, server: &Endpoint) -> io::Result<Self> {
        let (connection, client) = socket.read_with(|socket| socket.accept()).await?;
        if server.settings.disable_nagle_algorithm {
            connection.set_no_delay(true)?;
        }
        Ok(Self {
            stream: BufReader::new(Async::new(connection)),
            client,
            timeout: server.settings.request_timeout,
        })
    }

    fn client_address(&self) -> &SocketAddress {
        self.client_address()
    }

    async fn finish(&mut self, _: &Async<Rc<Socket>>) -> io::Result<()> {
        Ok(())
    }

    fn shut_down(&mut self) {
        // It fails where the client has gone already.
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}

impl TaskRequest for Packet {
    const ON_SERVER_SOCKET: bool = true;

    fn settings() -> Settings {
        Settings::datagram()
    }

    fn activate(_: &Endpoint) -> io::Result<()> {
        Ok(())
    }

    async fn get(socket: &Async<Rc<Socket>>, server: &Endpoint) -> io::Result<Self> {
        let mut buffer = vec![0; server.settings.max_packet_size];
        let came = socket.read_with(|socket| socket.recv_from(&mut buffer));
        let (length, client) = came.await?;
        Ok(Packet::new(buffer, length, client))
    }

    fn client_address(&self) -> &SocketAddress {
        self.client_address()
    }

    async fn finish(&mut self, socket: &Async<Rc<Socket>>) -> io::Result<()> {
        let answer = self.take_answer();
        if answer.is_empty() {
            return Ok(());
        }
        let client = self.client_address();
        let sent = socket.write_with(|socket| socket.send_to(&answer, client));
        Packet::check_sent(sent.await?, answer.len())
    }

    fn shut_down(&mut self) {}
}

/// What a [`TaskServer`] does with its requests: [`Service`](super::Service) for many at once. An async
/// closure of `&mut TaskConnection` or `&mut Packet` is such a service.
pub trait TaskService<R: TaskRequest>: 'static {
    /// Serves a request. What it answers with an error goes to [`handle_error`](Self::handle_error).
    fn handle(&self, request: &mut R, server: &Endpoint) -> impl Future<Output = io::Result<()>>;

    /// Whether the request is to be served.
    fn verify_request(&self, request: &R, server: &Endpoint) -> bool {
        let _ = (request, server);
        true
    }

    /// Serving a request has failed; it is shut down afterwards, and the server goes on. By itself it
    /// prints the error.
    fn handle_error(&self, request: &R, error: &io::Error, server: &Endpoint) {
        let _ = server;
        complain(request.client_address(), error);
    }

    /// No request could be taken; by itself it prints the error. Where no descriptor is left, the server
    /// waits for a request to end.
    fn get_request_failed(&self, error: &io::Error, server: &Endpoint) {
        report(error, server);
    }

    /// In every turn of [`TaskServer::serve_forever`].
    fn service_actions(&self, server: &Endpoint) {
        let _ = server;
    }
}

impl<R: TaskRequest, F: AsyncFn(&mut R) -> io::Result<()> + 'static> TaskService<R> for F {
    async fn handle(&self, request: &mut R, _: &Endpoint) -> io::Result<()> {
        self(request).await
    }
}

/// A server that serves many requests at once, each in a task of its own: what Python's threading and
/// forking mix-ins are for. See [the module](super#many-at-once).
pub struct TaskServer<R: TaskRequest, S> {
    shared: Rc<Parts<S>>,
    request: std::marker::PhantomData<fn() -> R>,
}

struct Parts<S> {
    endpoint: Endpoint,
    socket: Async<Rc<Socket>>,
    service: S,
}

impl<S: TaskService<TaskConnection>> TaskServer<TaskConnection, S> {
    /// Listens on the first of the addresses that can be bound. Policy: `listen`.
    pub fn tcp(address: impl ToSocketAddrs, service: S) -> io::Result<Self> {
        Self::first_of(address, service)
    }

    /// Listens on a path. Policy: `listen`.
    pub fn unix(path: impl AsRef<std::path::Path>, service: S) -> io::Result<Self> {
        let address = UnixAddress::from_pathname(path)?;
        Self::bind(address, Settings::stream(), service)
    }
}

impl<S: TaskService<Packet>> TaskServer<Packet, S> {
    /// Takes datagrams on the first of the addresses that can be bound. Policy: `bind`, `receive` and
    /// `reply`.
    pub fn udp(address: impl ToSocketAddrs, service: S) -> io::Result<Self> {
        Self::first_of(address, service)
    }

    /// Takes datagrams on a path. Policy: `bind`, `receive` and `reply`.
    pub fn unix(path: impl AsRef<std::path::Path>, service: S) -> io::Result<Self> {
        let address = UnixAddress::from_pathname(path)?;
        Self::bind(address, Settings::datagram(), service)
    }
}

fn open(address: SocketAddress, settings: Settings) -> io::Result<Endpoint> {
    let mut endpoint = Endpoint::open(address, settings)?;
    endpoint.bind()?;
    Ok(endpoint)
}

impl<R: TaskRequest, S: TaskService<R>> TaskServer<R, S> {
    /// Binds to this address with these settings and begins to take requests.
    pub fn bind(
        address: impl Into<SocketAddress>,
        settings: Settings,
        service: S,
    ) -> io::Result<Self> {
        Self::serving(open(address.into(), settings)?, service)
    }

    /// Serves on a socket that is bound, and listens already if it is one to listen:
    /// [`Socket::granted`], for example.
    pub fn from_socket(socket: Socket, settings: Settings, service: S) -> io::Result<Self> {
        Ok(Self::of(Endpoint::taken(socket, settings)?, service))
    }

    fn first_of(address: impl ToSocketAddrs, service: S) -> io::Result<Self> {
        let bound = each_address(address, |address| open(address.into(), R::settings()))?;
        Self::serving(bound, service)
    }

    fn serving(endpoint: Endpoint, service: S) -> io::Result<Self> {
        R::activate(&endpoint)?;
        Ok(Self::of(endpoint, service))
    }

    fn of(endpoint: Endpoint, service: S) -> Self {
        let socket = Async::new(endpoint.shared().clone());
        let shared = Rc::new(Parts {
            endpoint,
            socket,
            service,
        });
        Self {
            shared,
            request: std::marker::PhantomData,
        }
    }

    /// Socket, address and settings.
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.shared.service
    }

    /// What ends [`serve_forever`](Self::serve_forever).
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.endpoint().shutdown_handle()
    }

    /// How many requests are being served: Python's `active_children`.
    pub fn active(&self) -> usize {
        self.endpoint().handle().active()
    }

    /// Serves each request in a task of its own until [`ShutdownHandle::shutdown`]; the requests that are
    /// being served then go on. [`TaskService::service_actions`] come every `poll_interval` at least, and
    /// after every request that was taken.
    pub async fn serve_forever(&self, poll_interval: Duration) {
        let (server, handle) = (self.endpoint(), self.endpoint().handle());
        let _serving = handle.serve();
        while !handle.is_requested() {
            let most = server.settings.max_children.max(1);
            let turn = async {
                // Room first: a request that nobody serves stays in the queue.
                handle.until(|handle| handle.active() < most).await;
                self.take_one().await;
            };
            let ended = handle.until(ShutdownHandle::is_requested);
            // The time passes where nothing came, which is no error.
            let turn = aio::timeout(poll_interval, aio::select(ended, turn)).await;
            if matches!(turn, Ok(Either::First(()))) {
                break;
            }
            self.service().service_actions(server);
        }
    }

    /// Takes a request and begins a task for it.
    async fn take_one(&self) {
        let server = self.endpoint();
        match R::get(&self.shared.socket, server).await {
            Ok(request) if self.service().verify_request(&request, server) => {
                let active = server.handle().begin();
                let parts = self.shared.clone();
                drop(aio::spawn(async move {
                    serve_one(&parts, request).await;
                    drop(active);
                }));
            }
            Ok(mut request) => request.shut_down(),
            Err(error) => {
                self.service().get_request_failed(&error, server);
                if is_exhausted(&error) {
                    let before = self.active();
                    let one_ended = server.handle().until(|handle| handle.active() < before);
                    aio::select(one_ended, aio::sleep(PAUSE)).await;
                }
            }
        }
    }

    /// Closes the server's socket, and waits for the requests that are being served where the settings say
    /// `block_on_close`.
    pub async fn server_close(self) -> io::Result<()> {
        if !R::ON_SERVER_SOCKET {
            self.shared.socket.close()?;
        }
        if self.endpoint().settings.block_on_close {
            let handle = self.endpoint().handle();
            handle.until(|handle| handle.active() == 0).await;
        }
        if R::ON_SERVER_SOCKET {
            self.shared.socket.close()?;
        }
        Ok(())
    }
}

/// One request, from its beginning to its end.
async fn serve_one<R: TaskRequest, S: TaskService<R>>(parts: &Parts<S>, mut request: R) {
    let server = &parts.endpoint;
    let handled = parts.service.handle(&mut request, server).await;
    let finished = request.finish(&parts.socket).await;
    if let Err(error) = handled.and(finished) {
        parts.service.handle_error(&request, &error, server);
    }
    request.shut_down();
}
