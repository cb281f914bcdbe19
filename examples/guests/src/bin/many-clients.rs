//! Serves many clients at once on one `Poller`: answers in capitals, never blocks on one of them, and
//! sends the rest of a partial write when there is room again.
//!
//! ```sh
//! sockgate run --policy POLICY.toml target/wasm32-wasip2/debug/many-clients.wasm 127.0.0.1:7007
//! ```
//!
//! The policy needs `listen` there and `[limits] sockets` above the number of clients. With `--clients N`
//! it ends after N connections, and says how many were open at once.

use std::collections::HashMap;
use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{Errno, Interest, Poller, Socket, TcpListener, Timeout};

fn main() -> ExitCode {
    run(|mut arguments: Arguments| {
        let address = arguments.word("ADDRESS")?;
        let listener = TcpListener::bind(&address).trying(format_args!("listen on {address}"))?;
        println!("listening on tcp {}", listener.local_addr()?);
        let mut server = Server::new(listener)?;
        server.serve(arguments.clients()?)?;
        println!("{} clients, at most {} at once", server.served, server.most);
        Ok(())
    })
}

const LISTENER: u64 = 0;

struct Server {
    listener: TcpListener,
    /// Whether the listener is watched: not while there is no descriptor left for another client.
    accepting: bool,
    poller: Poller,
    clients: HashMap<u64, Client>,
    next: u64,
    served: usize,
    most: usize,
}

impl Server {
    fn new(listener: TcpListener) -> io::Result<Self> {
        let poller = Poller::new()?;
        listener.set_nonblocking(true)?;
        poller.register(&listener, LISTENER, Interest::READABLE)?;
        let clients = HashMap::new();
        Ok(Self {
            listener,
            accepting: true,
            poller,
            clients,
            next: 1,
            served: 0,
            most: 0,
        })
    }

    fn serve(&mut self, count: usize) -> io::Result<()> {
        while self.served < count {
            for event in self.poller.wait(256, Timeout::Blocking)? {
                match event.token {
                    LISTENER => self.accept().trying("accept")?,
                    token => self.turn(token)?,
                }
            }
        }
        Ok(())
    }

    /// Accepts all who wait.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((stream, _)) => stream.into_socket(),
                Err(error) => match Errno::of(&error) {
                    Some(Errno::AGAIN) => return Ok(()),
                    Some(Errno::CONNABORTED) => continue,
                    Some(Errno::MFILE | Errno::NFILE) if !self.clients.is_empty() => {
                        eprintln!("{} clients, no more for now: {error}", self.clients.len());
                        return self.watch_listener(false);
                    }
                    _ => return Err(error),
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
            self.clients.insert(self.next, client);
            self.next += 1;
            self.most = self.most.max(self.clients.len());
        }
    }

    /// Lets one client have its turn.
    fn turn(&mut self, token: u64) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(&token) else {
            return Ok(());
        };
        let interest = match client.turn() {
            Ok(Some(interest)) => interest,
            ended => {
                if let Err(error) = ended {
                    eprintln!("a client is lost: {error}");
                }
                self.clients.remove(&token);
                self.served += 1;
                return self.watch_listener(true);
            }
        };
        if interest != client.watched {
            client.watched = interest;
            self.poller.modify(&client.socket, token, interest)?;
        }
        Ok(())
    }

    fn watch_listener(&mut self, accepting: bool) -> io::Result<()> {
        if accepting != self.accepting {
            self.accepting = accepting;
            let interest = if accepting {
                Interest::READABLE
            } else {
                Interest::empty()
            };
            self.poller.modify(&self.listener, LISTENER, interest)?;
        }
        Ok(())
    }
}

/// A connection, with the answer that was not yet sent whole.
struct Client {
    socket: Socket,
    data: Vec<u8>,
    sent: usize,
    watched: Interest,
}

impl Client {
    /// Does what can be done now and says what to wait for; none at the end of the stream. Nothing is
    /// read while an answer waits, so that a client that does not read costs no memory.
    fn turn(&mut self) -> io::Result<Option<Interest>> {
        if self.sent == self.data.len() {
            self.data = match self.socket.recv_vec(16384) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Vec::new(),
                Ok(data) if data.is_empty() => return Ok(None),
                data => data?,
            };
            self.data.make_ascii_uppercase();
            self.sent = 0;
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
