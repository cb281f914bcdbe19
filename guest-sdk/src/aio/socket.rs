//! Sockets that are awaited.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::executor::take_part;
use super::reactor::{self, Direction};
use crate::socket::Socket;

/// A socket whose operations are awaited: any typed socket, or a [`Socket`] itself.
///
/// The socket becomes non-blocking, and its time-outs rest: see [`timeout`](super::timeout). All methods
/// take `&self`, so that one task can read while another one writes; tasks share it by [`Rc`].
/// An operation is tried at once, and waits only where it has to. Futures can be dropped while they wait,
/// and lose nothing by that.
///
/// What has no method here is done by [`read_with`](Self::read_with) and [`write_with`](Self::write_with):
///
/// ```no_run
/// use sockgate_guest::aio::Async;
/// use sockgate_guest::can::{CanFrame, CanSocket};
///
/// # async fn next_frame() -> std::io::Result<CanFrame> {
/// let bus = Async::new(CanSocket::open("vcan0")?);
/// bus.read_with(|bus| bus.recv()).await
/// # }
/// ```
///
/// A socket is waited for through one handle: where another handle of the same socket
/// ([`try_clone`](Socket::try_clone)) is waited for already, waiting answers
/// [`Errno::EXIST`](crate::Errno::EXIST).
pub struct Async<T: AsRef<Socket> + 'static> {
    place: Place,
    socket: Rc<T>,
}

/// The socket's place in the reactor.
struct Place {
    token: u64,
}

impl Place {
    fn leave(&self) {
        let mut woken = Vec::new();
        let left = reactor::try_with(|reactor| reactor.leave(self.token, &mut woken));
        woken.into_iter().for_each(Waker::wake);
        drop(left);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T: AsRef<Socket> + 'static> Async<T> {
    /// Takes a socket, and makes it non-blocking.
    pub fn new(socket: T) -> Self {
        socket.as_ref().set_nonblocking(true);
        Self {
            place: Place {
                token: reactor::token(),
            },
            socket: Rc::new(socket),
        }
    }

    /// The socket in it, for what does not wait: addresses, options, shutdown.
    pub fn get_ref(&self) -> &T {
        &self.socket
    }

    /// Gives the socket back, with the time-outs that it had.
    pub fn into_inner(self) -> T {
        let Self { place, socket } = self;
        drop(place);
        socket.as_ref().as_ref().set_nonblocking(false);
        match Rc::try_unwrap(socket) {
            Ok(socket) => socket,
            // The reactor had the only other one, and has dropped it with the place.
            Err(_) => unreachable!("a socket outside the reactor has one owner"),
        }
    }

    /// Closes the socket at once; whoever waits for it is woken and told
    /// [`Errno::BADF`](crate::Errno::BADF). Dropping closes too.
    pub fn close(&self) -> io::Result<()> {
        self.place.leave();
        self.socket.as_ref().as_ref().close()
    }

    /// Waits until a receive or an accept would answer at once: data, the end, or an error.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Direction::Read).await
    }

    /// Waits until a send would answer at once, or a connect has ended.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Direction::Write).await
    }

    fn ready(&self, direction: Direction) -> Ready<'_, T> {
        Ready {
            of: self,
            direction,
            waiter: None,
        }
    }

    /// Tries `operation` until it answers other than
    /// [`WouldBlock`](ErrorKind::WouldBlock), waiting until the socket is readable in between.
    pub async fn read_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.until_done(Direction::Read, operation).await
    }

    /// [`read_with`](Self::read_with) for what waits until the socket is writable.
    pub async fn write_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.until_done(Direction::Write, operation).await
    }

    async fn until_done<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        take_part().await;
        loop {
            match operation(&self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.ready(direction).await?;
                }
                answer => return answer,
            }
        }
    }

    /// recv(2): how many bytes were received into `buffer`; 0 at the end of a stream.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(|socket| socket.as_ref().recv(buffer)).await
    }

    /// recv(2): at most `max` bytes in a vector of their own; empty at the end of a stream.
    pub async fn recv_vec(&self, max: usize) -> io::Result<Vec<u8>> {
        self.read_with(|socket| socket.as_ref().recv_vec(max)).await
    }

    /// send(2): how many bytes were taken, which on a stream may be fewer than given.
    pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.write_with(|socket| socket.as_ref().send(data)).await
    }

    /// Sends all of it, as often as that takes.
    pub async fn send_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            match self.send(data).await? {
                0 => return Err(ErrorKind::WriteZero.into()),
                sent => data = data.get(sent..).unwrap_or_default(),
            }
        }
        Ok(())
    }
}

/// Streams.
impl<T: AsRef<Socket> + 'static> Async<T>
where
    for<'a> &'a T: Read + Write,
{
    /// Reads what is there: how many bytes; 0 at the end of the stream.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(|mut socket| socket.read(buffer)).await
    }

    /// Fills `buffer`; [`UnexpectedEof`](ErrorKind::UnexpectedEof) where the stream ends before.
    pub async fn read_exact(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => filled += length,
            }
        }
        Ok(())
    }

    /// Reads to the end of the stream; how many bytes were added to `buffer`.
    pub async fn read_to_end(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let before = buffer.len();
        loop {
            let data = self.recv_vec(PIECE).await?;
            if data.is_empty() {
                return Ok(buffer.len() - before);
            }
            buffer.extend_from_slice(&data);
        }
    }

    /// Writes what there is room for: how many bytes.
    pub async fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.write_with(|mut socket| socket.write(data)).await
    }

    /// Writes all of it.
    pub async fn write_all(&self, data: &[u8]) -> io::Result<()> {
        self.send_all(data).await
    }
}

/// How many bytes are received at once where the caller has no buffer.
pub(super) const PIECE: usize = 16 * 1024;

impl<T: AsRef<Socket> + 'static> AsRef<Socket> for Async<T> {
    fn as_ref(&self) -> &Socket {
        self.socket.as_ref().as_ref()
    }
}

impl<T: AsRef<Socket> + 'static> From<T> for Async<T> {
    fn from(socket: T) -> Self {
        Self::new(socket)
    }
}

impl<T: AsRef<Socket> + fmt::Debug + 'static> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.socket).finish()
    }
}

/// Waits for one direction of a socket; it leaves nothing behind when it is dropped.
struct Ready<'a, T: AsRef<Socket> + 'static> {
    of: &'a Async<T>,
    direction: Direction,
    waiter: Option<u64>,
}

impl<T: AsRef<Socket> + 'static> Future for Ready<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (of, direction) = (self.of, self.direction);
        let token = of.place.token;
        let Some(waiter) = self.waiter else {
            let waiter = reactor::with(|reactor| {
                reactor.wait_for(token, &of.socket, direction, cx.waker())
            })?;
            self.waiter = Some(waiter);
            return Poll::Pending;
        };
        if reactor::with(|reactor| reactor.still_waits(token, direction, waiter, cx.waker())) {
            return Poll::Pending;
        }
        self.waiter = None;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsRef<Socket> + 'static> Drop for Ready<'_, T> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            let token = self.of.place.token;
            reactor::try_with(|reactor| reactor.give_up(token, self.direction, waiter));
        }
    }
}
