//! What a server does with its requests, one after the other.

use std::io;

use super::{Endpoint, Request};

/// What subclasses of Python's server and handler classes override: one method that serves a request, and
/// the hooks around it, each with what it does by itself. A closure of `&mut Connection` or `&mut Packet` is
/// a service.
///
/// Of a request come, in this order: [`get_request`](Self::get_request),
/// [`verify_request`](Self::verify_request), [`process_request`](Self::process_request) and within it
/// [`finish_request`](Self::finish_request) ([`setup`](Self::setup), [`handle`](Self::handle),
/// [`finish`](Self::finish)), [`shutdown_request`](Self::shutdown_request) and
/// [`close_request`](Self::close_request).
///
/// ```no_run
/// use sockgate_guest::server::{Connection, Endpoint, Request, Service, StreamServer};
/// use std::io::{self, BufRead, Write};
/// use std::time::Duration;
///
/// struct Counter {
///     served: u64,
/// }
///
/// impl Service<Connection> for Counter {
///     fn handle(&mut self, request: &mut Connection, _: &Endpoint) -> io::Result<()> {
///         self.served += 1;
///         writeln!(request, "you are number {}", self.served)
///     }
///
///     fn handle_error(&mut self, request: &Connection, error: &io::Error, server: &Endpoint) {
///         eprintln!("{} is lost, the end: {error}", request.client_address());
///         server.shutdown();
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// StreamServer::tcp("127.0.0.1:7007", Counter { served: 0 })?.serve_forever(Duration::from_secs(1))
/// # }
/// ```
pub trait Service<R: Request> {
    /// Serves a request. What it answers with an error goes to [`handle_error`](Self::handle_error).
    fn handle(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()>;

    /// Before [`handle`](Self::handle); where it fails, neither that nor [`finish`](Self::finish) follow.
    fn setup(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        request.set_up(server)
    }

    /// After [`handle`](Self::handle), whatever that answered: sends what was written and not sent yet.
    fn finish(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        request.finish(server)
    }

    /// Binds the server's socket.
    fn server_bind(&mut self, server: &mut Endpoint) -> io::Result<()> {
        server.bind()
    }

    /// Makes the bound socket take requests.
    fn server_activate(&mut self, server: &mut Endpoint) -> io::Result<()> {
        R::activate(server)
    }

    /// Closes the server's socket.
    fn server_close(&mut self, server: &mut Endpoint) -> io::Result<()> {
        server.socket().close()
    }

    /// Takes the next request from the socket.
    fn get_request(&mut self, server: &Endpoint) -> io::Result<R> {
        R::get(server)
    }

    /// [`get_request`](Self::get_request) has failed. Python ignores that, and tries again at once even
    /// where no descriptor is left; here the error is printed, and the server pauses in such a case.
    fn get_request_failed(&mut self, error: &io::Error, server: &Endpoint) {
        report(error, server);
    }

    /// Whether the request is to be served.
    fn verify_request(&mut self, request: &R, server: &Endpoint) -> bool {
        let _ = (request, server);
        true
    }

    /// Serves the request and ends it.
    fn process_request(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        self.finish_request(request, server)?;
        self.shutdown_request(request, server);
        Ok(())
    }

    /// Serves the request: [`setup`](Self::setup), [`handle`](Self::handle), [`finish`](Self::finish).
    fn finish_request(&mut self, request: &mut R, server: &Endpoint) -> io::Result<()> {
        self.setup(request, server)?;
        let handled = self.handle(request, server);
        let finished = self.finish(request, server);
        handled.and(finished)
    }

    /// Ends the sending side of a connection, and closes it.
    fn shutdown_request(&mut self, request: &mut R, server: &Endpoint) {
        request.shut_down();
        self.close_request(request, server);
    }

    /// Closes a connection.
    fn close_request(&mut self, request: &mut R, server: &Endpoint) {
        let _ = server;
        request.close();
    }

    /// [`process_request`](Self::process_request) has failed; the request is shut down afterwards, and the
    /// server goes on. By itself it prints the error.
    fn handle_error(&mut self, request: &R, error: &io::Error, server: &Endpoint) {
        let _ = server;
        complain(request.client_address(), error);
    }

    /// No request came within the settings' `timeout`; of
    /// [`handle_request`](super::Server::handle_request) alone.
    fn handle_timeout(&mut self, server: &Endpoint) {
        let _ = server;
    }

    /// In every turn of [`serve_forever`](super::Server::serve_forever).
    fn service_actions(&mut self, server: &Endpoint) {
        let _ = server;
    }
}

impl<R: Request, F: FnMut(&mut R) -> io::Result<()>> Service<R> for F {
    fn handle(&mut self, request: &mut R, _: &Endpoint) -> io::Result<()> {
        self(request)
    }
}

/// Says on stderr why a request failed.
pub(super) fn complain(client: &impl std::fmt::Display, error: &io::Error) {
    eprintln!("the request of {client} failed: {error}");
}

/// Says on stderr why no request was taken.
pub(super) fn report(error: &io::Error, server: &Endpoint) {
    eprintln!("no request on {}: {error}", server.server_address());
}
