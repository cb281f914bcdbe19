//! Connecting to whichever address of a host answers first.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::address::SocketAddress;
use crate::convenience::stream_socket;
use crate::deadline::Deadline;
use crate::error::Errno;
use crate::net::{TcpStream, ToSocketAddrs};
use crate::poller::poll;
use crate::socket::{Socket, default_timeout};
use crate::types::{Interest, Timeout};

/// Connects to the first address of a host that answers: [`ConnectOptions::connect`] with this time-out for
/// everything and nothing else asked for. Python's `create_connection`.
///
/// ```no_run
/// use sockgate_guest::create_connection;
/// use std::time::Duration;
///
/// let stream = create_connection("example.com:80", Some(Duration::from_secs(5)))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn create_connection(
    address: impl ToSocketAddrs,
    timeout: Option<Duration>,
) -> io::Result<TcpStream> {
    let options = ConnectOptions {
        timeout,
        ..ConnectOptions::default()
    };
    options.connect(address)
}

/// How a connection is made to a host that may have several addresses.
///
/// ```no_run
/// use sockgate_guest::{ConnectError, ConnectOptions};
/// use std::time::Duration;
///
/// let options = ConnectOptions {
///     timeout: Some(Duration::from_secs(5)),
///     source_address: Some("192.0.2.7:0".parse().expect("an address")),
///     ..ConnectOptions::default()
/// };
/// match options.connect("example.com:80") {
///     Ok(stream) => println!("connected to {}", stream.peer_addr()?),
///     Err(error) => {
///         for (address, error) in ConnectError::of(&error).map_or(&[][..], ConnectError::attempts) {
///             println!("{address}: {error}");
///         }
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// For the look-up and all attempts together; the connection keeps it as its own. None: the default
    /// time-out ([`set_default_timeout`](crate::set_default_timeout)), where a non-blocking one keeps
    /// nobody from waiting here.
    pub timeout: Option<Duration>,
    /// Binds to this address before connecting; port 0 lets the kernel choose. Addresses of the other IP
    /// version fail then. Policy: `bind` with it.
    pub source_address: Option<SocketAddr>,
    /// How long an attempt has the field for itself before the next begins beside it; RFC 8305 recommends 250
    /// ms, which is the default, and no less than 100. An attempt that fails makes room at once.
    pub attempt_delay: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: None,
            source_address: None,
            attempt_delay: Duration::from_millis(250),
        }
    }
}

impl ConnectOptions {
    /// Connects to the first address that answers, as in RFC 8305 ("Happy Eyeballs"): the attempts begin one
    /// after the other, IPv6 and IPv4 by turns in the resolver's order, and run side by side; the
    /// first to connect wins, and the others are closed. What is refused at once, by the network or
    /// by the policy, delays no other. socket(2), bind(2), connect(2), poll(2).
    ///
    /// Policy: `resolve` for a name, `connect` to at least one of its addresses, `bind` for a source address.
    ///
    /// Errors: that of the look-up; that of the attempt, where there was one; else a [`ConnectError`] in
    /// the [`io::Error`], whose [`Errno`] is that of the last attempt to fail, or
    /// [`Errno::TIMEDOUT`] when the time was over before.
    pub fn connect(&self, address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let own = match self.timeout {
            Some(timeout) => timeout.into(),
            None => default_timeout(),
        };
        let total = match own {
            Timeout::NonBlocking if self.timeout.is_none() => None,
            timeout => timeout.into(),
        };
        let deadline = Deadline::after(total);
        let addresses: Vec<_> = address
            .to_socket_addrs_within(deadline.left()?.into())?
            .collect();
        let socket = match addresses[..] {
            [] => {
                let text = "no address to connect to";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            [address] => {
                let socket = self.socket_for(address)?;
                socket.set_timeout(deadline.left()?);
                socket.connect(address)?;
                socket
            }
            _ => Race::new(self, &addresses, deadline).run()?,
        };
        socket.set_timeout(own);
        Ok(socket.into())
    }

    /// A socket that may connect to this address.
    fn socket_for(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket = stream_socket(&SocketAddress::from(address))?;
        if let Some(source) = self.source_address {
            socket.bind(source)?;
        }
        Ok(socket)
    }
}

/// Why none of a host's addresses could be connected to: each attempt with its error. It is inside the
/// [`io::Error`] of [`ConnectOptions::connect`] where there were several; Python's `all_errors`.
#[derive(Debug)]
pub struct ConnectError {
    attempts: Vec<(SocketAddr, io::Error)>,
    errno: Option<Errno>,
}

impl ConnectError {
    /// The one in this error, if there is one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// The addresses that were tried, in the order in which they failed. Those that were still under way
    /// when the time was over have [`Errno::TIMEDOUT`]; those that nobody came to are not there.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }

    /// The [`Errno`] of the whole: that of the last attempt.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.attempts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// The attempts to connect to one host.
struct Race<'a> {
    options: &'a ConnectOptions,
    deadline: Deadline,
    waiting: VecDeque<SocketAddr>,
    running: Vec<(SocketAddr, Socket)>,
    failed: Vec<(SocketAddr, io::Error)>,
    /// When the next attempt may begin beside those that run.
    next: Option<Instant>,
}

impl<'a> Race<'a> {
    fn new(options: &'a ConnectOptions, addresses: &[SocketAddr], deadline: Deadline) -> Self {
        Self {
            options,
            deadline,
            waiting: by_turns(addresses),
            running: Vec::new(),
            failed: Vec::new(),
            next: None,
        }
    }

    fn run(mut self) -> io::Result<Socket> {
        loop {
            if let Some(socket) = self.begin_due() {
                return Ok(socket);
            }
            if self.running.is_empty() && self.waiting.is_empty() {
                return Err(self.lost());
            }
            let Ok(left) = self.deadline.left() else {
                return Err(self.over());
            };
            if let Some(socket) = self.watch(left)? {
                return Ok(socket);
            }
        }
    }

    /// Begins every attempt whose time has come; a connection that was made at once.
    fn begin_due(&mut self) -> Option<Socket> {
        while self.is_due() {
            let address = self.waiting.pop_front()?;
            match self.begin(address) {
                Ok(Begun::Connected(socket)) => return Some(socket),
                Ok(Begun::UnderWay(socket)) => {
                    self.running.push((address, socket));
                    self.next = Instant::now().checked_add(self.options.attempt_delay);
                }
                Err(error) if is_full(&error) && !self.running.is_empty() => {
                    // The attempt that ends next leaves room for this one.
                    self.waiting.push_front(address);
                    self.next = None;
                    break;
                }
                Err(error) => self.failed.push((address, error)),
            }
        }
        None
    }

    fn is_due(&self) -> bool {
        !self.waiting.is_empty()
            && (self.running.is_empty() || self.next.is_some_and(|next| next <= Instant::now()))
    }

    fn begin(&self, address: SocketAddr) -> io::Result<Begun> {
        let socket = self.options.socket_for(address)?;
        socket.set_timeout(Timeout::NonBlocking);
        match socket.connect(address) {
            Ok(()) => Ok(Begun::Connected(socket)),
            Err(error) if Errno::of(&error) == Some(Errno::INPROGRESS) => {
                Ok(Begun::UnderWay(socket))
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until an attempt ends, the next one is due, or the time is over; the winner, if there is one.
    fn watch(&mut self, left: Option<Duration>) -> io::Result<Option<Socket>> {
        let next = self.next.filter(|_| !self.waiting.is_empty());
        let next = next.map(|next| next.saturating_duration_since(Instant::now()));
        let patience = [left, next].into_iter().flatten().min();
        let watched: Vec<_> = self
            .running
            .iter()
            .map(|(_, socket)| (socket, Interest::WRITABLE))
            .collect();
        let ended = poll(&watched, patience)?;
        let is_ended = |index| ended.iter().any(|(ended, _)| *ended == index);
        for (index, (address, socket)) in take(&mut self.running).into_iter().enumerate() {
            if !is_ended(index) {
                self.running.push((address, socket));
                continue;
            }
            match outcome(&socket) {
                Ok(true) => return Ok(Some(socket)),
                Ok(false) => self.running.push((address, socket)),
                Err(error) => {
                    self.failed.push((address, error));
                    self.next = Some(Instant::now());
                }
            }
        }
        Ok(None)
    }

    /// The time is over: what still runs has failed by that.
    fn over(mut self) -> io::Error {
        for (address, _) in self.running.drain(..) {
            self.failed.push((address, Errno::TIMEDOUT.into()));
        }
        self.lost()
    }

    fn lost(self) -> io::Error {
        let Some((_, last)) = self.failed.last() else {
            return Errno::TIMEDOUT.into();
        };
        let kind = last.kind();
        let error = ConnectError {
            errno: Errno::of(last),
            attempts: self.failed,
        };
        io::Error::new(kind, error)
    }
}

enum Begun {
    Connected(Socket),
    UnderWay(Socket),
}

/// Whether an attempt that was under way has its connection: not yet, or the error that it ended with.
fn outcome(socket: &Socket) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_address() {
        Ok(_) => Ok(true),
        Err(error) if Errno::of(&error) == Some(Errno::NOTCONN) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether there is no room for another socket now.
fn is_full(error: &io::Error) -> bool {
    matches!(Errno::of(error), Some(Errno::MFILE | Errno::NFILE))
}

/// RFC 8305, section 4: the families by turns, beginning with that of the first address; each address once.
fn by_turns(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let begins_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other) = (VecDeque::new(), VecDeque::new());
    for address in addresses {
        let side = match address.is_ipv6() == begins_with_v6 {
            true => &mut one,
            false => &mut other,
        };
        if !side.contains(address) {
            side.push_back(*address);
        }
    }
    let mut mixed = VecDeque::with_capacity(one.len() + other.len());
    while !one.is_empty() || !other.is_empty() {
        mixed.extend(one.pop_front());
        mixed.extend(other.pop_front());
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_no_address_comes_twice() {
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter()
                .map(|text| text.parse().expect("an address"))
                .collect()
        };
        let given = ["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "1.1.1.1:1"];
        let mixed = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"];
        assert_eq!(by_turns(&addresses(&given)), addresses(&mixed));
        let given = ["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"];
        let mixed = ["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"];
        assert_eq!(by_turns(&addresses(&given)), addresses(&mixed));
        assert!(by_turns(&[]).is_empty());
    }

    #[test]
    fn the_error_tells_of_every_attempt_and_is_the_last_one() {
        let options = ConnectOptions::default();
        let mut race = Race::new(&options, &[], Deadline::after(None));
        let address = |text: &str| text.parse().expect("an address");
        race.failed = vec![
            (address("[::1]:80"), Errno::ACCES.into()),
            (address("127.0.0.1:80"), Errno::CONNREFUSED.into()),
        ];
        let error = race.lost();
        assert_eq!(Errno::of(&error), Some(Errno::CONNREFUSED));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(
            error.to_string(),
            "[::1]:80: Permission denied (EACCES); 127.0.0.1:80: Connection refused (ECONNREFUSED)"
        );
        let attempts = ConnectError::of(&error).expect("several").attempts();
        assert_eq!(attempts.len(), 2);
        assert!(ConnectError::of(&Errno::ACCES.into()).is_none());
    }
}
