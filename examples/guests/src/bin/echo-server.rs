//! Echoes on TCP, UDP and a Unix stream socket, all in one loop over one `Poller`. TCP and UDP have one
//! socket each for both IP versions.
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
    Errno, Family, Interest, Poller, Protocol, ServerOptions, Socket, SocketType, Timeout,
    UdpSocket, UnixListener, create_server,
};

fn main() -> ExitCode {
    run(serve)
}

/// The tokens of the listening sockets; clients count from `FIRST_CLIENT`.
const TCP: u64 = 0;
const UDP: u64 = 1;
const UNIX: u64 = 2;
const FIRST_CLIENT: u64 = 3;

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let port: u16 = arguments
        .word("PORT")?
        .parse()
        .map_err(io::Error::other)
        .trying("PORT")?;
    let path = arguments.word("UNIX_PATH")?;
    let mut left = arguments.clients()?;

    let dual_stack = ServerOptions {
        dual_stack: true,
        ..ServerOptions::default()
    };
    let tcp = create_server(("::", port), &dual_stack).trying("listen on TCP")?;
    let udp = dual_stack_udp(port).trying("bind UDP")?;
    let unix = UnixListener::bind(&path).trying(format!("listen on {path}"))?;

    let poller = Poller::new()?;
    for (socket, token) in [
        (tcp.as_ref(), TCP),
        (udp.as_ref(), UDP),
        (unix.as_ref(), UNIX),
    ] {
        socket.set_blocking(false);
        poller.register(socket, token, Interest::READABLE)?;
    }
    println!("listening on tcp {}", tcp.local_addr()?);
    println!("listening on udp {}", udp.local_addr()?);
    println!("listening on unix {path}");

    let mut clients = HashMap::new();
    let mut next = FIRST_CLIENT;
    while left > 0 {
        for event in poller.wait(64, Timeout::Blocking)? {
            let listener = match event.token {
                TCP => tcp.as_ref(),
                UNIX => unix.as_ref(),
                UDP => {
                    echo_datagrams(&udp);
                    continue;
                }
                token => {
                    let Some(client): Option<&mut Client> = clients.get_mut(&token) else {
                        continue;
                    };
                    match client.echo() {
                        Ok(Some(interest)) => poller.modify(&client.socket, token, interest)?,
                        ended => {
                            if let Err(error) = ended {
                                eprintln!("a client is lost: {error}");
                            }
                            clients.remove(&token);
                            left = left.saturating_sub(1);
                        }
                    }
                    continue;
                }
            };
            match listener.accept() {
                Ok((socket, _)) => {
                    socket.set_blocking(false);
                    poller.register(&socket, next, Interest::READABLE)?;
                    clients.insert(
                        next,
                        Client {
                            socket,
                            data: Vec::new(),
                            sent: 0,
                        },
                    );
                    next += 1;
                }
                // Somebody else was faster, or the client is gone already.
                Err(error) if Errno::of(&error) == Some(Errno::AGAIN) => {}
                Err(error) if Errno::of(&error) == Some(Errno::CONNABORTED) => {}
                Err(error) => return Err(error).trying("accept"),
            }
        }
    }
    Ok(())
}

fn dual_stack_udp(port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Family::Inet6, SocketType::Datagram, Protocol::Default)?;
    socket.set_v6_only(false)?;
    socket.bind(("::", port))?;
    Ok(socket.into())
}

/// Answers the datagrams that are there, but lets others have their turn.
fn echo_datagrams(udp: &UdpSocket) {
    let mut buffer = [0; 65536];
    for _ in 0..64 {
        let answered = udp
            .recv_from(&mut buffer)
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
}

impl Client {
    /// Echoes what can be echoed now, and says what to wait for; none at the end of the stream. Nothing
    /// is read while an answer waits, so that a client that does not read costs no memory.
    fn echo(&mut self) -> io::Result<Option<Interest>> {
        let mut waits_for = Interest::READABLE;
        let mut step = || -> io::Result<()> {
            for _ in 0..16 {
                waits_for = Interest::READABLE;
                if self.sent == self.data.len() {
                    self.data = self.socket.recv_vec(65536)?;
                    self.sent = 0;
                    if self.data.is_empty() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                waits_for = Interest::WRITABLE;
                self.sent += self.socket.send(&self.data[self.sent..])?;
            }
            Ok(())
        };
        match step() {
            Ok(()) => Ok(Some(waits_for)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(Some(waits_for)),
                io::ErrorKind::UnexpectedEof => Ok(None),
                _ => Err(error),
            },
        }
    }
}
