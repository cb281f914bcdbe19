//! Echoes on TCP, UDP and a Unix stream socket, all in one loop over one `Poller`. One TCP socket serves
//! both IP versions; UDP has one for each, on the loopback addresses.
//!
//! ```sh
//! sockgate run --policy examples/policies/echo.toml --var port=7007 --var dir=/tmp \
//!     target/wasm32-wasip2/debug/echo-server.wasm 7007 /tmp/echo.sock
//! ```
//!
//! With `--clients N` it ends after N connections.

use std::collections::HashMap;
use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{
    Errno, Interest, Poller, ServerOptions, Socket, Timeout, UdpSocket, UnixListener, create_server,
};

fn main() -> ExitCode {
    run(serve)
}

/// The tokens of the sockets that clients come to; the clients' own count from `FIRST_CLIENT`.
const TCP: u64 = 0;
const UNIX: u64 = 1;
const UDP_V4: u64 = 2;
const UDP_V6: u64 = 3;
const FIRST_CLIENT: u64 = 4;

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let port: u16 = arguments
        .word("PORT")?
        .parse()
        .map_err(io::Error::other)
        .trying("PORT")?;
    let path = arguments.word("UNIX_PATH")?;

    let dual_stack = ServerOptions {
        dual_stack: true,
        ..ServerOptions::default()
    };
    let tcp = create_server(("::", port), &dual_stack).trying("listen on TCP")?;
    let unix = UnixListener::bind(&path).trying(format_args!("listen on {path}"))?;
    let v4 = UdpSocket::bind(("127.0.0.1", port)).trying("bind UDP over IPv4")?;
    let v6 = UdpSocket::bind(("::1", port)).trying("bind UDP over IPv6")?;
    println!("listening on tcp {}", tcp.local_addr()?);
    println!(
        "listening on udp {} and {}",
        v4.local_addr()?,
        v6.local_addr()?
    );
    println!("listening on unix {path}");

    let poller = Poller::new()?;
    let sockets: [(&Socket, u64); 4] = [
        (tcp.as_ref(), TCP),
        (unix.as_ref(), UNIX),
        (v4.as_ref(), UDP_V4),
        (v6.as_ref(), UDP_V6),
    ];
    for (socket, token) in sockets {
        socket.set_blocking(false);
        poller.register(socket, token, Interest::READABLE)?;
    }
    let mut clients = Clients {
        poller: &poller,
        open: HashMap::new(),
        next: FIRST_CLIENT,
        served: 0,
    };
    let mut buffer = vec![0; 65536];
    while clients.served < arguments.clients()? {
        for event in poller.wait(64, Timeout::Blocking)? {
            match event.token {
                TCP => clients.accept(tcp.as_ref())?,
                UNIX => clients.accept(unix.as_ref())?,
                UDP_V4 => echo_datagrams(&v4, &mut buffer),
                UDP_V6 => echo_datagrams(&v6, &mut buffer),
                token => clients.echo(token)?,
            }
        }
    }
    Ok(())
}

/// The connections, by their tokens.
struct Clients<'a> {
    poller: &'a Poller,
    open: HashMap<u64, Client>,
    next: u64,
    served: usize,
}

impl Clients<'_> {
    fn accept(&mut self, listener: &Socket) -> io::Result<()> {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) => match Errno::of(&error) {
                // The client is gone already.
                Some(Errno::AGAIN | Errno::CONNABORTED) => return Ok(()),
                _ => return Err(error).trying("accept"),
            },
        };
        socket.set_blocking(false);
        self.poller
            .register(&socket, self.next, Interest::READABLE)?;
        let client = Client {
            socket,
            data: Vec::new(),
            sent: 0,
            watched: Interest::READABLE,
        };
        self.open.insert(self.next, client);
        self.next += 1;
        Ok(())
    }

    fn echo(&mut self, token: u64) -> io::Result<()> {
        let Some(client) = self.open.get_mut(&token) else {
            return Ok(());
        };
        match client.echo() {
            Ok(Some(interest)) if interest == client.watched => Ok(()),
            Ok(Some(interest)) => {
                client.watched = interest;
                self.poller.modify(&client.socket, token, interest)
            }
            ended => {
                if let Err(error) = ended {
                    eprintln!("a client is lost: {error}");
                }
                self.open.remove(&token);
                self.served += 1;
                Ok(())
            }
        }
    }
}

/// Answers the datagrams that are there, but lets others have their turn.
fn echo_datagrams(udp: &UdpSocket, buffer: &mut [u8]) {
    for _ in 0..64 {
        let answered = udp
            .recv_from(buffer)
            .and_then(|(length, peer)| udp.send_to(&buffer[..length], peer));
        match answered {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return eprintln!("a datagram is lost: {error}"),
        }
    }
}

/// A connection, with what was received and not yet sent back.
struct Client {
    socket: Socket,
    data: Vec<u8>,
    sent: usize,
    watched: Interest,
}

impl Client {
    /// Echoes what can be echoed now, and says what to wait for; none at the end of the stream. Nothing
    /// is read while an answer waits, so that a client that does not read costs no memory.
    fn echo(&mut self) -> io::Result<Option<Interest>> {
        if self.sent == self.data.len() {
            self.sent = 0;
            self.data = match self.socket.recv_vec(65536) {
                Ok(data) if data.is_empty() => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Vec::new(),
                data => data?,
            };
        }
        while self.sent < self.data.len() {
            match self.socket.send(&self.data[self.sent..]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Some(Interest::WRITABLE));
                }
                sent => self.sent += sent?,
            }
        }
        Ok(Some(Interest::READABLE))
    }
}
