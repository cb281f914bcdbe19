//! Listening sockets and pairs, made in one step.

use std::io;

use crate::address::SocketAddress;
use crate::net::{TcpListener, ToSocketAddrs};
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType, Timeout};

/// The backlog that servers start with; the kernel caps it (net.core.somaxconn).
pub(crate) const BACKLOG: u32 = 4096;

/// How [`create_server`] makes its listening socket.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// How many connections may wait to be accepted; listen(2).
    pub backlog: u32,
    /// SO_REUSEPORT: several servers share the port. Policy: the option must be listed.
    pub reuse_port: bool,
    /// One IPv6 socket for both IP versions; the address must be an IPv6 one (`[::]:80`). Policy: the
    /// rule must cover the IPv4 form of the address too.
    pub dual_stack: bool,
    /// Only addresses of this family, where a name has several.
    pub family: Option<Family>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            backlog: BACKLOG,
            reuse_port: false,
            dual_stack: false,
            family: None,
        }
    }
}

/// bind(2) and listen(2), with SO_REUSEADDR, so that a server starts again while the kernel still remembers its
/// last connections (TIME_WAIT, tcp(7)): the first of the addresses that can be bound. `""` as a host is every
/// address. Python's `create_server`.
///
/// Policy: `listen` with the local address, which carries SO_REUSEADDR; `so.reuseport` for
/// [`reuse_port`](ServerOptions::reuse_port). The error is that of the last address.
///
/// ```no_run
/// use sockgate_guest::{ServerOptions, create_server};
///
/// let options = ServerOptions { dual_stack: true, ..ServerOptions::default() };
/// let listener = create_server("[::]:8080", &options)?;
/// for stream in listener.incoming() {
///     println!("{}", stream?.peer_addr()?);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn create_server(
    address: impl ToSocketAddrs,
    options: &ServerOptions,
) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address of that family");
    for address in address.to_socket_addrs_within(Timeout::Blocking)? {
        let address = SocketAddress::from(address);
        if options
            .family
            .is_some_and(|family| family != family_of(&address))
        {
            continue;
        }
        match serve_at(&address, options) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn serve_at(address: &SocketAddress, options: &ServerOptions) -> io::Result<TcpListener> {
    let socket = stream_socket(address)?;
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if family_of(address) == Family::Inet6 {
        socket.set_v6_only(!options.dual_stack)?;
    } else if options.dual_stack {
        let text =
            format!("dual_stack needs an IPv6 address such as [::]:80, and {address} is none");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    socket.bind(address)?;
    socket.listen(options.backlog)?;
    Ok(socket.into())
}

/// socketpair(2): two connected Unix sockets of this type. Python's `socketpair`, whose type is a stream where none is
/// said; for another family see [`Socket::pair`]. Policy: `socketpair`.
pub fn socketpair(socket_type: SocketType) -> io::Result<(Socket, Socket)> {
    Socket::pair(Family::Unix, socket_type, Protocol::Default)
}

/// Whether one IPv6 socket can serve both IP versions here, as far as kernel and policy tell before an
/// address is known.
pub fn has_dualstack_ipv6() -> bool {
    Socket::new(Family::Inet6, SocketType::Stream, Protocol::Default)
        .is_ok_and(|socket| socket.set_v6_only(false).is_ok())
}

/// The family that an IP address belongs to.
pub(crate) fn family_of(address: &SocketAddress) -> Family {
    match address {
        SocketAddress::Inet6(_) => Family::Inet6,
        _ => Family::Inet,
    }
}

/// A stream socket for an IP address.
pub(crate) fn stream_socket(address: &SocketAddress) -> io::Result<Socket> {
    Socket::new(family_of(address), SocketType::Stream, Protocol::Default)
}
