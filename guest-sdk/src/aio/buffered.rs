//! Reading lines.

use std::io::{self, ErrorKind};

use super::Async;
use super::socket::PIECE;
use crate::socket::Socket;

/// The longest line of a [`BufReader`], unless it is given another one.
const LONGEST_LINE: usize = 64 * 1024;

/// A stream that is read by lines, or a few bytes at a time. Writing goes past it, by
/// [`get_ref`](Self::get_ref).
///
/// Its futures can be dropped while they wait: what was received for them is kept, and a read that comes
/// after a time-out begins where the last one ended.
///
/// ```no_run
/// use sockgate_guest::aio::{BufReader, TcpStream};
///
/// # async fn talk(stream: TcpStream) -> std::io::Result<()> {
/// let mut stream = BufReader::new(stream);
/// let mut line = String::new();
/// while stream.read_line(&mut line).await? > 0 {
///     stream.get_ref().write_all(line.as_bytes()).await?;
///     line.clear();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BufReader<T: AsRef<Socket> + 'static> {
    stream: Async<T>,
    buffer: Vec<u8>,
    read: usize,
    longest: usize,
}

impl<T: AsRef<Socket> + 'static> BufReader<T> {
    /// Reads from this stream; lines are at most 64 KiB long.
    pub fn new(stream: Async<T>) -> Self {
        Self::with_limit(stream, LONGEST_LINE)
    }

    /// Reads from this stream; lines are at most so many bytes long.
    pub fn with_limit(stream: Async<T>, longest: usize) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            read: 0,
            longest,
        }
    }

    /// The stream.
    pub fn get_ref(&self) -> &Async<T> {
        &self.stream
    }

    /// The stream; what was received and not read is lost.
    pub fn into_inner(self) -> Async<T> {
        self.stream
    }

    /// What was received and not read yet.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer[self.read..]
    }

    /// Receives more; false at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        let data = self.stream.recv_vec(PIECE).await?;
        let more = !data.is_empty();
        if self.buffer().is_empty() {
            (self.buffer, self.read) = (data, 0);
        } else {
            self.buffer.drain(..self.read);
            self.read = 0;
            self.buffer.extend_from_slice(&data);
        }
        Ok(more)
    }

    /// Reads what is there: how many bytes; 0 at the end of the stream.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.buffer().is_empty() && !buffer.is_empty() {
            self.fill().await?;
        }
        let length = self.buffer().len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.buffer()[..length]);
        self.read += length;
        Ok(length)
    }

    /// Reads until `delimiter`, which is added too, or to the end of the stream; how many bytes were added
    /// to `data`. [`InvalidData`](ErrorKind::InvalidData) where that is longer than the limit.
    pub async fn read_until(&mut self, delimiter: u8, data: &mut Vec<u8>) -> io::Result<usize> {
        let mut searched = 0;
        let length = loop {
            let buffer = self.buffer();
            if let Some(place) = buffer[searched..]
                .iter()
                .position(|byte| *byte == delimiter)
            {
                break searched + place + 1;
            }
            searched = buffer.len();
            if searched > self.longest || !self.fill().await? {
                break searched;
            }
        };
        if length > self.longest {
            let text = format!("a line of more than {} bytes", self.longest);
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        data.extend_from_slice(&self.buffer()[..length]);
        self.read += length;
        Ok(length)
    }

    /// Reads a line with its newline, or to the end of the stream; how many bytes were added to `line`.
    /// [`InvalidData`](ErrorKind::InvalidData) where it is no UTF-8, or longer than the limit.
    pub async fn read_line(&mut self, line: &mut String) -> io::Result<usize> {
        let mut data = Vec::new();
        let length = self.read_until(b'\n', &mut data).await?;
        let text = String::from_utf8(data)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        line.push_str(&text);
        Ok(length)
    }
}
