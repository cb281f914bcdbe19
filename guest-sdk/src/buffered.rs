//! A socket as a buffered file: what Python's `makefile` makes.

use std::cell::Cell;
use std::io::{self, BufRead, BufWriter, Read, Write, WriterPanicked};

use crate::deadline::Deadline;
use crate::error::Errno;
use crate::socket::Socket;
use crate::types::Timeout;

/// What is received or sent at once, in bytes: std's and Python's size.
const CAPACITY: usize = 8192;

/// A socket as a buffered file: Python's `makefile`, for any stream socket, by value
/// (`SocketFile::new(stream)`) or by reference (`SocketFile::new(&stream)`).
///
/// It is [`Read`], [`BufRead`] and [`Write`], so that std's `lines`, `read_until` and `write!` work on it. Beside
/// them stand reads with a limit ([`read_line_up_to`](Self::read_line_up_to),
/// [`read_up_to`](Self::read_up_to)). What is written goes out with [`flush`](Write::flush), when the
/// buffer is full, and when the file is dropped (errors are lost then).
///
/// The socket's time-outs hold: for each receive under std's methods, and for the whole of a
/// `read_..._up_to` or a `flush`. **Nothing is lost when one passes**: what came stays in the buffer and what was
/// not sent too, and the same call goes on where it stopped. (Python's files answer "cannot read from timed
/// out object" from then on, and may have lost a part of the line. std's `read_line` throws a character
/// away that was cut in two.) The same holds for [`Errno::AGAIN`] and [`Errno::INTR`].
///
/// Errors and policy are those of [`Socket::recv`] and [`Socket::send`].
///
/// ```no_run
/// use std::io::Write;
/// use std::time::Duration;
/// use sockgate_guest::{SocketFile, TcpStream};
///
/// let stream = TcpStream::connect("127.0.0.1:25")?;
/// stream.set_read_timeout(Some(Duration::from_secs(30)))?;
/// let mut file = SocketFile::new(stream);
/// while let Some(line) = file.read_text_line_up_to(1000)? {
///     writeln!(file, "you said {line}")?;
///     file.flush()?;
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SocketFile<S: AsRef<Socket>> {
    writer: BufWriter<Timed<S>>,
    /// What was received; what stands before `position` was read.
    incoming: Vec<u8>,
    position: usize,
    capacity: usize,
}

impl<S: AsRef<Socket>> SocketFile<S> {
    /// Buffers 8 KiB in each direction.
    pub fn new(socket: S) -> Self {
        Self::with_capacity(CAPACITY, CAPACITY, socket)
    }

    /// Receives and sends this many bytes at once. A `read` capacity of 0 takes not a byte more from
    /// the socket than was asked for (a line is received byte by byte), so that somebody else can go on reading; a
    /// `write` capacity of 0 sends at once.
    pub fn with_capacity(read: usize, write: usize, socket: S) -> Self {
        let deadline = Cell::new(Deadline::after(None));
        Self {
            writer: BufWriter::with_capacity(write, Timed { socket, deadline }),
            incoming: Vec::new(),
            position: 0,
            capacity: read.max(1),
        }
    }

    /// No buffer in either direction: Python's `makefile(buffering=0)`, a `SocketIO`.
    pub fn unbuffered(socket: S) -> Self {
        Self::with_capacity(0, 0, socket)
    }

    /// The socket in it.
    pub fn get_ref(&self) -> &S {
        &self.writer.get_ref().socket
    }

    /// What was received and not yet read.
    pub fn unread(&self) -> &[u8] {
        self.incoming.get(self.position..).unwrap_or_default()
    }

    /// What was written and not yet sent.
    pub fn unsent(&self) -> &[u8] {
        self.writer.buffer()
    }

    /// Takes it apart: the socket, what was received and not yet read, and what was written and not yet
    /// sent. Nothing is sent by this.
    pub fn into_parts(mut self) -> (S, Vec<u8>, Vec<u8>) {
        let unread = self.take_bytes(self.unread().len());
        let (timed, unsent) = self.writer.into_parts();
        // A send never panics, so that the buffer is always whole.
        let unsent = unsent.unwrap_or_else(WriterPanicked::into_inner);
        (timed.socket, unread, unsent)
    }

    /// The next line with its line feed: Python's `readline(limit)`. At most `limit` bytes of it; without
    /// a line feed where it is longer or the stream ended in it; empty at the end of the stream.
    ///
    /// The socket's time-out holds for the line as a whole.
    pub fn read_line_up_to(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        self.in_time(|file| {
            let there = file.unread();
            let there = &there[..there.len().min(limit)];
            let found = there[searched..].iter().position(|byte| *byte == b'\n');
            if let Some(at) = found {
                return Ok(Some(file.take_bytes(searched + at + 1)));
            }
            searched = there.len();
            if searched == limit || file.receive(1)? == 0 {
                return Ok(Some(file.take_bytes(searched)));
            }
            Ok(None)
        })
    }

    /// The next line as text, without its end (`\n` or `\r\n`): Python's text mode. None at the end of the
    /// stream.
    ///
    /// [`Errno::MSGSIZE`] for a line of more than `limit` bytes with its end: it stays unread, so that a
    /// server closes the connection, or skips it with [`read_line_up_to`](Self::read_line_up_to).
    /// [`InvalidData`](io::ErrorKind::InvalidData) for one that is not UTF-8: it is gone.
    pub fn read_text_line_up_to(&mut self, limit: usize) -> io::Result<Option<String>> {
        let mut line = self.read_line_up_to(limit.saturating_add(1))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() > limit {
            self.put_back(&line);
            return Err(Errno::MSGSIZE.into());
        }
        if line.pop_if(|last| *last == b'\n').is_some() {
            line.pop_if(|last| *last == b'\r');
        }
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        String::from_utf8(line).map(Some).map_err(invalid)
    }

    /// The next `count` bytes; fewer only at the end of the stream: Python's `read(count)`. Memory is
    /// taken as the bytes arrive.
    ///
    /// The socket's time-out holds for all of them together.
    pub fn read_up_to(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.in_time(|file| {
            let there = file.unread().len();
            let missing = count.saturating_sub(there);
            if missing == 0 || file.receive(missing)? == 0 {
                return Ok(Some(file.take_bytes(there.min(count))));
            }
            Ok(None)
        })
    }

    /// Repeats `step` until it answers, with the socket's time-out for all of it.
    fn in_time<T>(
        &mut self,
        mut step: impl FnMut(&mut Self) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
        let total = self.socket().read_timeout();
        let deadline = total_deadline(total);
        let result = loop {
            match step(self) {
                Ok(Some(answer)) => break Ok(answer),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
            match deadline.map(Deadline::left) {
                Some(Ok(left)) => self.socket().set_read_timeout(left),
                Some(Err(over)) => break Err(over),
                None => {}
            }
        };
        if deadline.is_some() {
            self.socket().set_read_timeout(total);
        }
        result
    }

    fn socket(&self) -> &Socket {
        self.get_ref().as_ref()
    }

    /// One receive of at least a byte, and of no more than `wanted` or the capacity; 0 at the end.
    fn receive(&mut self, wanted: usize) -> io::Result<usize> {
        let data = self.socket().recv_vec(wanted.max(self.capacity))?;
        let length = data.len();
        if self.unread().is_empty() {
            self.incoming = data;
        } else {
            self.incoming.drain(..self.position);
            self.incoming.extend_from_slice(&data);
        }
        self.position = 0;
        Ok(length)
    }

    /// Reads so many of the bytes that are there.
    fn take_bytes(&mut self, count: usize) -> Vec<u8> {
        if self.position == 0 && count == self.incoming.len() {
            return std::mem::take(&mut self.incoming);
        }
        let taken = self.unread()[..count].to_vec();
        self.position += count;
        taken
    }

    /// Makes what was just taken unread again.
    fn put_back(&mut self, taken: &[u8]) {
        if taken.len() <= self.position {
            self.position -= taken.len();
        } else {
            self.incoming = taken.to_vec();
            self.position = 0;
        }
    }

    /// Runs `write` with the socket's time-out for all of its sends.
    fn write_in_time<T>(
        &mut self,
        write: impl FnOnce(&mut BufWriter<Timed<S>>) -> io::Result<T>,
    ) -> io::Result<T> {
        let total = self.socket().write_timeout();
        let Some(deadline) = total_deadline(total) else {
            return write(&mut self.writer);
        };
        self.writer.get_ref().deadline.set(deadline);
        let result = write(&mut self.writer);
        self.writer.get_ref().deadline.set(Deadline::after(None));
        self.socket().set_write_timeout(total);
        result
    }
}

/// The deadline that a time-out sets for several calls; none where each call is as good as the first.
fn total_deadline(timeout: Timeout) -> Option<Deadline> {
    match timeout {
        Timeout::After(_) => Some(Deadline::after(timeout.into())),
        Timeout::Blocking | Timeout::NonBlocking => None,
    }
}

impl<S: AsRef<Socket>> Read for SocketFile<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread().is_empty() && buffer.len() >= self.capacity {
            return self.socket().recv(buffer);
        }
        let data = self.fill_buf()?;
        let length = data.len().min(buffer.len());
        buffer[..length].copy_from_slice(&data[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<S: AsRef<Socket>> BufRead for SocketFile<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread().is_empty() {
            self.receive(1)?;
        }
        Ok(self.unread())
    }

    fn consume(&mut self, amount: usize) {
        self.position = self.incoming.len().min(self.position + amount);
    }
}

impl<S: AsRef<Socket>> Write for SocketFile<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_in_time(|writer| writer.write(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_in_time(BufWriter::flush)
    }
}

/// A socket whose sends have to be done by a moment.
#[derive(Debug)]
struct Timed<S> {
    socket: S,
    deadline: Cell<Deadline>,
}

impl<S: AsRef<Socket>> Write for Timed<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let socket = self.socket.as_ref();
        if let Some(left) = self.deadline.get().left()? {
            socket.set_write_timeout(left);
        }
        socket.send(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// This socket as a buffered file: Python's `makefile`. For a file that owns its socket, or for a typed
    /// one, see [`SocketFile::new`].
    pub fn makefile(&self) -> SocketFile<&Socket> {
        SocketFile::new(self)
    }
}
