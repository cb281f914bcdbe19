//! What a server is asked: a connection, or a datagram.

use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

use super::{Endpoint, Settings};
use crate::address::SocketAddress;
use crate::error::Errno;
use crate::socket::Socket;

/// One request: Python's `request` with the `rfile` and `wfile` of its handlers, which here are
/// [`BufRead`] and [`Write`] of the request itself. A service that keeps to these serves connections and
/// datagrams alike.
pub trait Request: BufRead + Write + Sized {
    /// The settings that a server of such requests begins with.
    fn settings() -> Settings;

    /// listen(2), where there is something to listen for.
    fn activate(server: &Endpoint) -> io::Result<()>;

    /// Takes the next one.
    fn get(server: &Endpoint) -> io::Result<Self>;

    /// Who asks.
    fn client_address(&self) -> &SocketAddress;

    /// What the settings say of each request: time-out, no delay.
    fn set_up(&mut self, server: &Endpoint) -> io::Result<()>;

    /// Sends what was written and not sent yet.
    fn finish(&mut self, server: &Endpoint) -> io::Result<()>;

    /// Ends the sending side.
    fn shut_down(&mut self);

    /// Ends it.
    fn close(&mut self);
}

/// A connection, read through a buffer and written with or without one: Python's `StreamRequestHandler`.
#[derive(Debug)]
pub struct Connection {
    socket: Rc<Socket>,
    client: SocketAddress,
    reader: BufReader<Shared>,
    writer: BufWriter<Shared>,
}

impl Connection {
    /// A connection with the buffers of these settings.
    pub fn new(socket: Socket, client: SocketAddress, settings: &Settings) -> Self {
        let socket = Rc::new(socket);
        Self {
            client,
            // A reader without any room would take that for the end of the stream.
            reader: BufReader::with_capacity(settings.rbufsize.max(1), Shared(socket.clone())),
            writer: BufWriter::with_capacity(settings.wbufsize, Shared(socket.clone())),
            socket,
        }
    }

    /// Who asks.
    pub fn client_address(&self) -> &SocketAddress {
        &self.client
    }

    /// The connection's socket; what the reader has read ahead is not there any more.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// Both halves of a [`Connection`] have the socket.
#[derive(Debug)]
struct Shared(Rc<Socket>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }
}

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.send(data)
    }

    /// One time-out for all of it.
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        match data {
            [] => Ok(()),
            data => self.0.send_all(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Request for Connection {
    fn settings() -> Settings {
        Settings::stream()
    }

    fn activate(server: &Endpoint) -> io::Result<()> {
        server.listen()
    }

    fn get(server: &Endpoint) -> io::Result<Self> {
        let (socket, client) = server.socket().accept()?;
        Ok(Self::new(socket, client, &server.settings))
    }

    fn client_address(&self) -> &SocketAddress {
        self.client_address()
    }

    fn set_up(&mut self, server: &Endpoint) -> io::Result<()> {
        if let Some(timeout) = server.settings.request_timeout {
            self.socket.set_timeout(timeout);
        }
        if server.settings.disable_nagle_algorithm {
            self.socket.set_no_delay(true)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &Endpoint) -> io::Result<()> {
        self.writer.flush()
    }

    fn shut_down(&mut self) {
        // It fails where the client has gone already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn close(&mut self) {
        // It fails where the handler has closed it already.
        let _ = self.socket.close();
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl BufRead for Connection {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

impl Write for Connection {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.writer.write(data)
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.writer.write_all(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A datagram that is read, and an answer that is written and sent at the end, as one datagram, if anything
/// was written: Python's `DatagramRequestHandler` (which sends an empty one otherwise).
#[derive(Debug)]
pub struct Packet {
    data: Cursor<Vec<u8>>,
    answer: Vec<u8>,
    client: SocketAddress,
}

impl Packet {
    pub(super) fn new(mut buffer: Vec<u8>, length: usize, client: Option<SocketAddress>) -> Self {
        buffer.truncate(length);
        Self {
            data: Cursor::new(buffer),
            answer: Vec::new(),
            client: client.unwrap_or(SocketAddress::Unspecified),
        }
    }

    /// Who asks.
    pub fn client_address(&self) -> &SocketAddress {
        &self.client
    }

    /// The whole datagram, wherever reading has come to.
    pub fn packet(&self) -> &[u8] {
        self.data.get_ref()
    }

    /// What was written so far, and who it goes to.
    pub fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// Takes the answer, so that none is sent.
    pub fn take_answer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answer)
    }

    /// Nothing was sent where not all of it went out: datagrams go whole.
    pub(super) fn check_sent(sent: usize, length: usize) -> io::Result<()> {
        if sent == length {
            Ok(())
        } else {
            Err(Errno::MSGSIZE.into())
        }
    }
}

impl Request for Packet {
    fn settings() -> Settings {
        Settings::datagram()
    }

    fn activate(_: &Endpoint) -> io::Result<()> {
        Ok(())
    }

    fn get(server: &Endpoint) -> io::Result<Self> {
        let mut buffer = vec![0; server.settings.max_packet_size];
        let (length, client) = server.socket().recv_from(&mut buffer)?;
        Ok(Self::new(buffer, length, client))
    }

    fn client_address(&self) -> &SocketAddress {
        self.client_address()
    }

    fn set_up(&mut self, _: &Endpoint) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, server: &Endpoint) -> io::Result<()> {
        let answer = self.take_answer();
        if answer.is_empty() {
            return Ok(());
        }
        let sent = server.socket().send_to(&answer, &self.client)?;
        Self::check_sent(sent, answer.len())
    }

    fn shut_down(&mut self) {}

    fn close(&mut self) {}
}

impl Read for Packet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.data.read(buffer)
    }
}

impl BufRead for Packet {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.data.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.data.consume(amount);
    }
}

impl Write for Packet {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.answer.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
