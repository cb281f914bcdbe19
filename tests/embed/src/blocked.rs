//! Calls that a guest waits in, and what keeps it waiting.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, SockAddr, Socket, Type};
use sockgate_tests::{TempDir, folder};

use crate::{Guest, Place, Start, policy};

/// What the guest needs to find outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing: it blocks on sockets of its own.
    None,
    /// A TCP listener whose backlog is full.
    TcpBacklog,
    /// A Unix listener whose backlog is full.
    UnixBacklog,
    /// A Unix datagram socket that nobody reads.
    UnixQueue,
}

/// Every call that may wait, by the name that the guest `embed_blocked` knows it by.
pub const CALLS: &[(&str, Obstacle)] = &[
    ("connect", Obstacle::TcpBacklog),
    ("connect-unix", Obstacle::UnixBacklog),
    ("accept", Obstacle::None),
    ("recv", Obstacle::None),
    ("recv-all", Obstacle::None),
    ("recv-from", Obstacle::None),
    ("recv-msg", Obstacle::None),
    ("recv-many", Obstacle::None),
    ("send", Obstacle::None),
    ("send-msg", Obstacle::None),
    ("send-to", Obstacle::UnixQueue),
    ("send-many", Obstacle::UnixQueue),
    ("splice", Obstacle::None),
    ("poll", Obstacle::None),
    ("poller-wait", Obstacle::None),
    ("pollable", Obstacle::None),
];

/// What keeps guests waiting, for as long as it lives.
pub struct Blocked {
    call: &'static str,
    address: String,
    folder: TempDir,
    /// The datagram socket that nobody reads.
    queue: Option<UnixDatagram>,
    /// The listener and the connections that fill its backlog.
    _backlog: Vec<OwnedFd>,
}

impl Blocked {
    /// Puts the obstacle up.
    pub fn new(call: &'static str, obstacle: Obstacle) -> Result<Blocked> {
        let folder = folder()?;
        let path = folder.path().join("obstacle");
        let mut blocked = Blocked {
            call,
            address: path.display().to_string(),
            folder,
            queue: None,
            _backlog: Vec::new(),
        };
        match obstacle {
            Obstacle::None => {}
            Obstacle::TcpBacklog => {
                let (address, backlog) = full_tcp_listener()?;
                blocked.address = address.to_string();
                blocked._backlog = backlog;
            }
            Obstacle::UnixBacklog => blocked._backlog = full_unix_listener(&path)?,
            Obstacle::UnixQueue => blocked.queue = Some(UnixDatagram::bind(&path)?),
        }
        Ok(blocked)
    }

    /// A guest that makes the call so often, one after the other.
    pub fn guest(&self, place: Place, count: usize) -> Result<Guest> {
        self.prepared(place, count)?.start()
    }

    /// The same with a time-out for each.
    pub fn guest_with_timeout(
        &self,
        place: Place,
        count: usize,
        timeout: Duration,
    ) -> Result<Guest> {
        self.prepared(place, count)?
            .argument(timeout.as_nanos())
            .start()
    }

    fn prepared(&self, place: Place, count: usize) -> Result<Start> {
        let start = Start::new("embed_blocked", place, policy(self.folder.path())?);
        Ok(start
            .argument(self.call)
            .argument(count)
            .argument(&self.address))
    }

    /// Takes one message out of the full queue, so that a blocked send has room.
    pub fn make_room(&self) -> Result<()> {
        let queue = self.queue.as_ref().context("it waits for no queue")?;
        queue.recv(&mut [0; 1])?;
        Ok(())
    }
}

/// A listener that takes no further connection: whoever connects waits for an answer that does not come.
fn full_tcp_listener() -> Result<(SocketAddr, Vec<OwnedFd>)> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(0)?;
    let name = listener.local_addr()?;
    let address = name.as_socket().context("a TCP socket has no name")?;
    let backlog = fill(listener, io::ErrorKind::TimedOut, || {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        client.connect_timeout(&name, Duration::from_millis(100))?;
        Ok(client)
    })?;
    Ok((address, backlog))
}

/// The same beneath a path; connect(2) answers EAGAIN there.
fn full_unix_listener(path: &Path) -> Result<Vec<OwnedFd>> {
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let name = SockAddr::unix(path)?;
    listener.bind(&name)?;
    listener.listen(0)?;
    fill(listener, io::ErrorKind::WouldBlock, || {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        client.set_nonblocking(true)?;
        client.connect(&name)?;
        Ok(client)
    })
}

/// Connects until the listener has no room: a backlog of n holds n + 1.
fn fill(
    listener: Socket,
    full: io::ErrorKind,
    connect: impl Fn() -> io::Result<Socket>,
) -> Result<Vec<OwnedFd>> {
    let mut backlog = vec![listener.into()];
    while backlog.len() < 16 {
        match connect() {
            Ok(client) => backlog.push(client.into()),
            Err(error) if error.kind() == full => return Ok(backlog),
            Err(error) => return Err(error).context("cannot fill a backlog"),
        }
    }
    bail!("a backlog of 0 took 15 connections")
}
