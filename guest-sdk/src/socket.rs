//! The socket itself: its life, its addresses, its time-outs.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::address::{SocketAddress, ToAddress};
use crate::bindings::sockgate::sockets::options;
use crate::bindings::sockgate::sockets::socket as raw;
use crate::bindings::sockgate::sockets::types::ShutdownHow;
use crate::consts;
use crate::error::Errno;
use crate::types::{Family, Protocol, SocketType, Timeout};

pub use raw::{Descriptor, IoctlRequest};
pub use std::net::Shutdown;

/// A socket of the host's kernel: every method of Python's socket object.
///
/// Dropping it closes it. All methods take `&self`, so that one socket can be read and written at once;
/// [`Read`](io::Read) and [`Write`](io::Write) are there for `Socket` and for `&Socket`.
///
/// Every operation is judged by the host's policy; what is not granted answers [`Errno::ACCES`]. Operations
/// that may wait follow the socket's [time-out](Self::set_timeout) and may answer [`Errno::TIMEDOUT`],
/// [`Errno::AGAIN`] (non-blocking) or [`Errno::INTR`] (interrupted by the embedder or by
/// [`interrupt`](Self::interrupt)). After [`close`](Self::close) or [`detach`](Self::detach) they answer
/// [`Errno::BADF`].
///
/// ```no_run
/// use sockgate_guest::{Family, Protocol, Socket, SocketType};
///
/// let socket = Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)?;
/// socket.connect("127.0.0.1:7")?;
/// socket.send_all(b"hello")?;
/// println!("{:?}", socket.recv_vec(1024)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Socket {
    pub(crate) raw: raw::Socket,
    /// The time-outs of the two directions, and the one that the host's handle has now, as [`encode`]d.
    /// The host has one for both: it is set anew when the other direction asks for another one.
    read: AtomicU64,
    write: AtomicU64,
    applied: AtomicU64,
    /// std's non-blocking mode, which leaves the time-outs as they are.
    non_blocking: AtomicBool,
    closed: AtomicBool,
}

/// Nobody asked for the time-out yet: the host's default holds.
const UNKNOWN: u64 = u64::MAX;
const BLOCKING: u64 = u64::MAX - 1;

fn encode(timeout: Timeout) -> u64 {
    match timeout {
        Timeout::Blocking => BLOCKING,
        Timeout::NonBlocking => 0,
        Timeout::After(nanoseconds) => nanoseconds.min(BLOCKING),
    }
}

fn decode(timeout: u64) -> Timeout {
    match timeout {
        BLOCKING.. => Timeout::Blocking,
        0 => Timeout::NonBlocking,
        nanoseconds => Timeout::After(nanoseconds),
    }
}

/// Life.
impl Socket {
    /// socket(2). Policy: some operation on such a socket must be granted.
    ///
    /// Errors: [`Errno::ACCES`]; [`Errno::AFNOSUPPORT`], [`Errno::SOCKTNOSUPPORT`] or
    /// [`Errno::PROTONOSUPPORT`] where the host or its kernel has none such; [`Errno::MFILE`] at the
    /// policy's limit.
    pub fn new(family: Family, socket_type: SocketType, protocol: Protocol) -> io::Result<Self> {
        Ok(raw::Socket::create(family, socket_type, protocol)?.into())
    }

    /// socket(2) with Linux's numbers ([`consts`]): `AF_INET`, `SOCK_STREAM`, 0. SOCK_NONBLOCK in the type makes
    /// it non-blocking, SOCK_CLOEXEC changes nothing (a host's descriptor is always closed on exec); neither
    /// is part of [`socket_type`](Self::socket_type) then. A packet socket's protocol is in network order, as in C.
    ///
    /// Errors and policy are those of [`new`](Self::new); [`Errno::AFNOSUPPORT`], [`Errno::INVAL`] and
    /// [`Errno::PROTONOSUPPORT`] for numbers below 0.
    ///
    /// ```no_run
    /// use sockgate_guest::consts::{AF_INET, SOCK_NONBLOCK, SOCK_STREAM};
    /// use sockgate_guest::{Socket, SocketType, Timeout};
    ///
    /// let socket = Socket::from_numbers(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)?;
    /// assert_eq!(socket.socket_type()?, SocketType::Stream);
    /// assert_eq!(socket.timeout(), Timeout::NonBlocking);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn from_numbers(family: i32, socket_type: i32, protocol: i32) -> io::Result<Self> {
        for (number, errno) in [
            (family, Errno::AFNOSUPPORT),
            (socket_type, Errno::INVAL),
            (protocol, Errno::PROTONOSUPPORT),
        ] {
            if number < 0 {
                return Err(errno.into());
            }
        }
        let family = Family::from_number(family);
        let protocol = Protocol::from_number(family, protocol);
        let socket = Self::new(family, SocketType::from_number(socket_type), protocol)?;
        if socket_type & consts::SOCK_NONBLOCK != 0 {
            socket.set_timeout(Timeout::NonBlocking);
        }
        Ok(socket)
    }

    /// socketpair(2): two connected sockets; on Linux [`Family::Unix`] and [`Family::Tipc`] have them. Policy:
    /// `socketpair`.
    ///
    /// Errors: those of [`new`](Self::new); [`Errno::OPNOTSUPP`] in other families.
    pub fn pair(
        family: Family,
        socket_type: SocketType,
        protocol: Protocol,
    ) -> io::Result<(Self, Self)> {
        let (one, other) = raw::Socket::pair(family, socket_type, protocol)?;
        Ok((one.into(), other.into()))
    }

    /// Takes a socket that the operator granted under this name (`--socket`, socket activation): Python's
    /// `fromfd`. No system call. Policy: none is asked; it carries accept, send, receive and shutdown, and
    /// deny rules hold. [`Errno::NOENT`] where there is none (left).
    pub fn granted(name: &str) -> io::Result<Self> {
        Ok(raw::Socket::granted(name)?.into())
    }

    /// close(2): closes at once, and says whether that went well; [`Errno::BADF`] the second time. Dropping
    /// closes too, silently. Another handle on the socket ([`try_clone`](Self::try_clone)) goes on. Needs no
    /// grant.
    pub fn close(&self) -> io::Result<()> {
        self.raw.close()?;
        self.closed.store(true, Relaxed);
        Ok(())
    }

    /// The number of this handle: its own among all that the guest has open, and the same for as long as
    /// it lives. None after [`close`](Self::close). Python's `fileno`; it serves as a key or as a
    /// [`Poller`](crate::Poller)'s token, and is no descriptor: neither the host's nor one that std or
    /// wasi-libc know.
    pub fn fileno(&self) -> Option<u32> {
        (!self.closed.load(Relaxed)).then(|| self.raw.handle())
    }

    /// Whether a program that the host starts inherits the descriptor: never. Python's `get_inheritable`.
    /// [`Errno::BADF`] after [`close`](Self::close).
    pub fn inheritable(&self) -> io::Result<bool> {
        self.raw.family()?;
        Ok(false)
    }

    /// `false` is how it is. `true` is refused with [`Errno::OPNOTSUPP`]: guests start no programs, and a
    /// program that the host starts must not get hold of a guest's socket. To give a socket to another
    /// program, pass it on: [`send_handles`](Self::send_handles). Python's `set_inheritable`.
    pub fn set_inheritable(&self, inheritable: bool) -> io::Result<()> {
        self.raw.family()?;
        match inheritable {
            true => Err(Errno::OPNOTSUPP.into()),
            false => Ok(()),
        }
    }

    /// Makes the socket an opaque descriptor that can only be passed on
    /// ([`AncillaryOut::Rights`](crate::ancillary::AncillaryOut::Rights)) or dropped: Python's `detach`. The
    /// connection lives as long as it does. Needs no grant. [`Errno::BADF`] after [`close`](Self::close).
    pub fn detach(self) -> io::Result<Descriptor> {
        Ok(self.raw.detach()?)
    }

    /// dup(2): another handle on the same socket. The time-outs are copied, and are each handle's own
    /// from then on. Needs no grant. [`Errno::BADF`] after [`close`](Self::close).
    pub fn try_clone(&self) -> io::Result<Self> {
        let clone = raw::Socket::dup(&self.raw)?;
        Ok(Self {
            raw: clone,
            read: AtomicU64::new(self.read.load(Relaxed)),
            write: AtomicU64::new(self.write.load(Relaxed)),
            applied: AtomicU64::new(self.applied.load(Relaxed)),
            non_blocking: AtomicBool::new(self.non_blocking.load(Relaxed)),
            closed: AtomicBool::new(false),
        })
    }

    /// SO_DOMAIN, socket(7): the address family it was made with. Needs no grant.
    pub fn family(&self) -> io::Result<Family> {
        Ok(self.raw.family()?)
    }

    /// SO_TYPE: the type it was made with, without SOCK_NONBLOCK and SOCK_CLOEXEC. Needs no grant.
    pub fn socket_type(&self) -> io::Result<SocketType> {
        Ok(self.raw.socket_type()?)
    }

    /// SO_PROTOCOL: the protocol in use, [`Protocol::Default`] in families that have but one. Needs no
    /// grant.
    pub fn protocol(&self) -> io::Result<Protocol> {
        Ok(self.raw.protocol()?)
    }

    /// bind(2). Port 0 lets the kernel choose, see [`local_address`](Self::local_address). Policy:
    /// `bind`, or `listen`, with the local address.
    ///
    /// Errors: [`Errno::ADDRINUSE`], [`Errno::ADDRNOTAVAIL`], [`Errno::INVAL`] (bound already).
    pub fn bind(&self, address: impl ToAddress) -> io::Result<()> {
        Ok(self.raw.bind(address.to_address(self)?.as_ref())?)
    }

    /// listen(2): up to `backlog` connections wait to be accepted (the kernel caps it at
    /// net.core.somaxconn). Policy: `listen` with the local address.
    ///
    /// Errors: [`Errno::ADDRINUSE`], [`Errno::OPNOTSUPP`] (not on datagrams).
    pub fn listen(&self, backlog: u32) -> io::Result<()> {
        Ok(self.raw.listen(backlog)?)
    }

    /// accept(2): the connection and its peer. The connection has the default time-out. Policy: part of
    /// `listen`; connections from peers that the rule does not name are reset by the host and not
    /// reported here.
    ///
    /// Errors: [`Errno::INVAL`] (it does not listen), [`Errno::MFILE`] at the policy's limit.
    pub fn accept(&self) -> io::Result<(Self, SocketAddress)> {
        self.before_read();
        let (socket, peer) = self.raw.accept()?;
        Ok((socket.into(), peer))
    }

    /// connect(2). Policy: `connect` with the peer; for a name `resolve` as well.
    ///
    /// Errors: [`Errno::CONNREFUSED`], [`Errno::TIMEDOUT`], [`Errno::HOSTUNREACH`], [`Errno::ISCONN`]; non-blocking
    /// [`Errno::INPROGRESS`]: wait for writability, then ask [`take_error`](Self::take_error).
    pub fn connect(&self, address: impl ToAddress) -> io::Result<()> {
        let address = address.to_address(self)?;
        self.before_write();
        Ok(self.raw.connect(&address)?)
    }

    /// [`connect`](Self::connect) with the bare [`Errno`] of connect(2), for those who tell
    /// [`Errno::INPROGRESS`] from others: Python's `connect_ex`. A name that cannot be looked up is
    /// the outer error, as Python raises it here too.
    ///
    /// ```no_run
    /// use sockgate_guest::{Errno, Family, Protocol, Socket, SocketType, Timeout};
    ///
    /// let socket = Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)?;
    /// socket.set_timeout(Timeout::NonBlocking);
    /// match socket.connect_ex("127.0.0.1:80")? {
    ///     Ok(()) | Err(Errno::INPROGRESS) => println!("under way"),
    ///     Err(errno) => println!("{errno}"),
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect_ex(&self, address: impl ToAddress) -> io::Result<Result<(), Errno>> {
        let address = address.to_address(self)?;
        self.before_write();
        Ok(self.raw.connect(&address).map_err(Errno::from))
    }

    /// Drops the peer of a datagram socket: connect(2) with AF_UNSPEC. Policy: `disconnect`.
    pub fn disconnect(&self) -> io::Result<()> {
        Ok(self.raw.connect(&SocketAddress::Unspecified)?)
    }

    /// shutdown(2): ends one half of the connection or both. What is sent after it is [`Errno::PIPE`].
    /// Policy: what granted the connection carries it. [`Errno::NOTCONN`] without a connection.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => ShutdownHow::Read,
            Shutdown::Write => ShutdownHow::Write,
            Shutdown::Both => ShutdownHow::Both,
        };
        Ok(self.raw.shutdown(how)?)
    }

    /// getsockname(2): the address it is bound to. Needs no grant.
    pub fn local_address(&self) -> io::Result<SocketAddress> {
        Ok(self.raw.local_address()?)
    }

    /// getpeername(2). Needs no grant. [`Errno::NOTCONN`] where there is no peer.
    pub fn peer_address(&self) -> io::Result<SocketAddress> {
        Ok(self.raw.peer_address()?)
    }

    /// SO_ERROR, socket(7): takes the error that waits on the socket, if there is one. Needs no grant.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(options::take_error(&self.raw)?.map(io::Error::from))
    }

    /// sockatmark(3): whether the next byte to read is the out-of-band mark. Needs no grant.
    pub fn at_mark(&self) -> io::Result<bool> {
        Ok(self.raw.at_mark()?)
    }

    /// ioctl(2), by name. Policy: `ioctl` with the request's name. [`Errno::NOTTY`] where this kind of socket has
    /// none such.
    pub fn ioctl(&self, request: IoctlRequest) -> io::Result<u64> {
        Ok(self.raw.ioctl(request)?)
    }

    /// Makes the wait under way on this socket (through any handle of it), or else its next one, answer
    /// [`Errno::INTR`]. No system call, and no grant. Note that std's `write_all` and `read_exact` begin again after that.
    pub fn interrupt(&self) {
        self.raw.interrupt();
    }

    /// splice(2) within the host: moves up to `max` bytes from here to `to`, without a copy through the
    /// guest; how many, 0 at the end of the stream. Policy: `splice`.
    pub fn splice(&self, to: &Socket, max: u64) -> io::Result<u64> {
        self.before_read();
        to.before_write();
        Ok(raw::splice(&self.raw, &to.raw, max)?)
    }
}

/// Time-outs, as in Python: blocking, non-blocking, or so long and no longer. They belong to the handle; no system
/// call is made and no grant is needed.
///
/// | Python | here | then |
/// |---|---|---|
/// | `settimeout(None)`, `setblocking(True)` | `set_timeout(None)`, `set_blocking(true)` | waits as long as it takes |
/// | `settimeout(0)`, `setblocking(False)` | `set_timeout(Duration::ZERO)`, `set_blocking(false)` | never waits: [`Errno::AGAIN`], connect [`Errno::INPROGRESS`] |
/// | `settimeout(0.5)` | `set_timeout(Duration::from_millis(500))` | waits so long: [`Errno::TIMEDOUT`] |
/// | `settimeout(-1)`: ValueError | [`Duration`] has none below zero | |
/// | longer than 292 years: OverflowError | longer than 584 years | waits as long as it takes |
impl Socket {
    /// How long operations may wait: `None` as long as it takes, `Some(Duration::ZERO)` not at all
    /// ([`Errno::AGAIN`]), otherwise so long ([`Errno::TIMEDOUT`]).
    pub fn set_timeout(&self, timeout: impl Into<Timeout>) {
        let timeout = encode(timeout.into());
        self.non_blocking.store(false, Relaxed);
        self.read.store(timeout, Relaxed);
        self.write.store(timeout, Relaxed);
        self.before_read();
    }

    /// The time-out of receives; of sends too unless they were given their own.
    pub fn timeout(&self) -> Timeout {
        self.read_timeout()
    }

    /// Blocking (`true`) or non-blocking: short for [`set_timeout`](Self::set_timeout).
    pub fn set_blocking(&self, blocking: bool) {
        self.set_timeout(if blocking {
            Timeout::Blocking
        } else {
            Timeout::NonBlocking
        });
    }

    /// Whether operations may wait at all: Python's `getblocking`.
    pub fn blocking(&self) -> bool {
        self.timeout() != Timeout::NonBlocking
    }

    /// std's non-blocking mode: while it is on, nothing waits and the time-outs rest.
    pub fn set_nonblocking(&self, non_blocking: bool) {
        self.learn_timeout();
        self.non_blocking.store(non_blocking, Relaxed);
    }

    /// The time-out of receives and accepts.
    pub fn read_timeout(&self) -> Timeout {
        self.learn_timeout();
        decode(self.wanted(&self.read))
    }

    /// The time-out of receives and accepts alone.
    ///
    /// The host keeps one time-out for both directions; this side sets it anew before an operation
    /// when it differs from that of the operation before.
    pub fn set_read_timeout(&self, timeout: impl Into<Timeout>) {
        self.learn_timeout();
        self.read.store(encode(timeout.into()), Relaxed);
    }

    /// The time-out of sends and connects alone; see [`set_read_timeout`](Self::set_read_timeout).
    pub fn set_write_timeout(&self, timeout: impl Into<Timeout>) {
        self.learn_timeout();
        self.write.store(encode(timeout.into()), Relaxed);
    }

    /// The time-out of sends and connects.
    pub fn write_timeout(&self) -> Timeout {
        self.learn_timeout();
        decode(self.wanted(&self.write))
    }

    /// Fetches the host's default once, before the directions part.
    fn learn_timeout(&self) {
        if self.applied.load(Relaxed) == UNKNOWN {
            let timeout = encode(self.raw.timeout());
            self.applied.store(timeout, Relaxed);
            self.read.store(timeout, Relaxed);
            self.write.store(timeout, Relaxed);
        }
    }

    /// The time-out that holds for this direction now.
    #[inline]
    fn wanted(&self, direction: &AtomicU64) -> u64 {
        if self.non_blocking.load(Relaxed) {
            0
        } else {
            direction.load(Relaxed)
        }
    }

    /// Gives the host's handle the time-out of this direction, if it has another one.
    #[inline]
    fn apply(&self, direction: &AtomicU64) {
        let wanted = self.wanted(direction);
        if wanted != self.applied.load(Relaxed) {
            self.set_applied(wanted);
        }
    }

    #[cold]
    fn set_applied(&self, timeout: u64) {
        self.raw.set_timeout(decode(timeout));
        self.applied.store(timeout, Relaxed);
    }

    /// [`apply`](Self::apply) for receives.
    #[inline]
    pub(crate) fn before_read(&self) {
        self.apply(&self.read);
    }

    /// [`apply`](Self::apply) for sends.
    #[inline]
    pub(crate) fn before_write(&self) {
        self.apply(&self.write);
    }

    /// Runs `operation` with another write time-out and puts the old one back.
    pub(crate) fn with_write_timeout<T>(
        &self,
        timeout: Duration,
        operation: impl FnOnce() -> T,
    ) -> T {
        self.learn_timeout();
        let non_blocking = self.non_blocking.swap(false, Relaxed);
        let before = self.write.swap(encode(timeout.into()), Relaxed);
        let result = operation();
        self.write.store(before, Relaxed);
        self.non_blocking.store(non_blocking, Relaxed);
        result
    }
}

impl From<raw::Socket> for Socket {
    fn from(raw: raw::Socket) -> Self {
        let unknown = || AtomicU64::new(UNKNOWN);
        Self {
            raw,
            read: unknown(),
            write: unknown(),
            applied: unknown(),
            non_blocking: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }
}

impl AsRef<Socket> for Socket {
    fn as_ref(&self) -> &Socket {
        self
    }
}

/// The time-out that new sockets start with; blocking at first. Python's `getdefaulttimeout`.
pub fn default_timeout() -> Timeout {
    raw::default_timeout()
}

/// Sets the time-out that new and accepted sockets start with. Python's `setdefaulttimeout`.
pub fn set_default_timeout(timeout: impl Into<Timeout>) {
    raw::set_default_timeout(timeout.into());
}

/// Why the last operation was refused, where the policy says `reveal = true`; otherwise none: what was
/// denied and why is the operator's to know.
pub fn last_denial() -> Option<String> {
    raw::last_denial()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_survive_their_encoding() {
        for timeout in [Timeout::Blocking, Timeout::NonBlocking, Timeout::After(1)] {
            assert_eq!(decode(encode(timeout)), timeout);
        }
        assert_eq!(decode(encode(Timeout::After(u64::MAX))), Timeout::Blocking);
        assert_eq!(decode(encode(Timeout::After(0))), Timeout::NonBlocking);
    }
}
