//! Sockets that the operator hands in.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use socket2::{Domain, SockAddr, Socket, Type};
use sockgate::InheritedSocket;

/// What stands behind the name of a `--socket`.
const FORMS: &str = "tcp-listen:ADDRESS:PORT, udp:ADDRESS:PORT, unix-listen:PATH, unix-datagram:PATH or \
                     vsock-listen:CID:PORT (bound); tcp:HOST:PORT, udp-connect:HOST:PORT, unix:PATH or \
                     unix-datagram-connect:PATH (connected); or fd:NUMBER";

/// As many connections may wait to be accepted; the kernel caps it.
const BACKLOG: i32 = 4096;

/// The sockets of `--socket` and of socket activation.
pub struct Granted {
    /// Each with its name, in the order in which the guest takes those of one name.
    pub sockets: Vec<(String, OwnedFd)>,
    /// The files that were made for them.
    pub files: BoundFiles,
}

/// The sockets that this command line asks for, and those of LISTEN_FDS that it does not name.
pub fn sockets(wanted: &[(String, String)]) -> Result<Granted> {
    let mut inherited = inherited()?;
    let files = BoundFiles::default();
    let mut sockets = Vec::new();
    for (name, socket) in wanted {
        let fd = one(socket, &mut inherited, &files)
            .with_context(|| format!("--socket {name}={socket}"))?;
        sockets.push((name.clone(), fd));
    }
    sockets.extend(inherited.into_iter().map(|socket| (socket.name, socket.fd)));
    Ok(Granted { sockets, files })
}

fn one(socket: &str, inherited: &mut Vec<InheritedSocket>, files: &BoundFiles) -> Result<OwnedFd> {
    let (form, place) = socket.split_once(':').unwrap_or((socket, ""));
    let made: io::Result<OwnedFd> = match form {
        "tcp-listen" => TcpListener::bind(&*addresses(place)?).map(Into::into),
        "udp" => UdpSocket::bind(&*addresses(place)?).map(Into::into),
        "tcp" => TcpStream::connect(&*addresses(place)?).map(Into::into),
        "udp-connect" => udp_to(&addresses(place)?),
        "unix-listen" => return bind_unix(Type::STREAM, path(place)?, files),
        "unix-datagram" => return bind_unix(Type::DGRAM, path(place)?, files),
        "unix" => connect_unix(Type::STREAM, path(place)?),
        "unix-datagram-connect" => connect_unix(Type::DGRAM, path(place)?),
        "vsock-listen" => listen_on_vsock(place)?,
        "fd" => return take(inherited, place),
        _ => bail!("`{form}` is no kind of socket: write {FORMS}"),
    };
    made.map_err(mended)
}

/// The addresses of `HOST:PORT`.
fn addresses(place: &str) -> Result<Vec<SocketAddr>> {
    let found = place.to_socket_addrs().with_context(|| {
        format!("`{place}` is no address with a port, such as 127.0.0.1:8080 or [::1]:8080")
    })?;
    Ok(found.collect())
}

/// A pathname, or an abstract name behind an `@`.
fn path(place: &str) -> Result<&str> {
    match place {
        "" | "@" => bail!("write a path such as /run/web.sock, or @NAME for an abstract name"),
        place => Ok(place),
    }
}

/// The operating system's error with what helps against it.
fn mended(error: io::Error) -> anyhow::Error {
    let mend = match error.kind() {
        ErrorKind::AddrInUse => "another program has this address: stop it, or choose another one",
        ErrorKind::AddrNotAvailable => "this machine has no such address",
        ErrorKind::PermissionDenied => {
            "this user may not; ports below 1024 need cap_net_bind_service"
        }
        ErrorKind::ConnectionRefused => "nobody listens there: start the server first",
        ErrorKind::NotFound => {
            "nothing is at this path: its directory, or its server, has to be there first"
        }
        _ => return error.into(),
    };
    anyhow::Error::from(error).context(mend)
}

fn udp_to(addresses: &[SocketAddr]) -> io::Result<OwnedFd> {
    let v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let any = if v6 { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(addresses)?;
    Ok(socket.into())
}

/// The socket's address; of an abstract one without the `@`.
fn unix_address(place: &str) -> io::Result<SockAddr> {
    match place.strip_prefix('@') {
        Some(name) => SockAddr::unix(format!("\0{name}")),
        None => SockAddr::unix(place),
    }
}

fn connect_unix(style: Type, place: &str) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, style, None)?;
    socket.connect(&unix_address(place)?)?;
    Ok(socket.into())
}

/// Binds, and listens where that is a stream. A socket that nobody serves any more is replaced.
fn bind_unix(style: Type, place: &str, files: &BoundFiles) -> Result<OwnedFd> {
    let address = unix_address(place).map_err(mended)?;
    let socket = Socket::new(Domain::UNIX, style, None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && !place.starts_with('@') => {
            remove_stale(style, Path::new(place), &address)?;
            socket.bind(&address).map_err(mended)?;
        }
        bound => bound.map_err(mended)?,
    }
    if !place.starts_with('@') {
        files.add(Path::new(place))?;
    }
    if style == Type::STREAM {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

fn remove_stale(style: Type, path: &Path, address: &SockAddr) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(mended)?;
    if !found.file_type().is_socket() {
        bail!("a file that is no socket is there: move it away, or choose another path");
    }
    let asked = Socket::new(Domain::UNIX, style, None)?.connect(address);
    if asked.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        return fs::remove_file(path).context("the socket that nobody serves any more stays there");
    }
    bail!("another program serves this path: stop it, or choose another path")
}

fn listen_on_vsock(place: &str) -> Result<io::Result<OwnedFd>> {
    const ANY: u32 = u32::MAX;
    let wrong = || anyhow!("write vsock-listen:CID:PORT with numbers, or `any` for the CID");
    let (cid, port) = place.split_once(':').ok_or_else(wrong)?;
    let cid = match cid {
        "any" => ANY,
        cid => cid.parse().map_err(|_| wrong())?,
    };
    let port = port.parse().map_err(|_| wrong())?;
    let listen = || {
        let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
        socket.bind(&SockAddr::vsock(cid, port))?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    Ok(listen())
}

/// What a service manager handed over: sockets, and nothing else.
fn inherited() -> Result<Vec<InheritedSocket>> {
    let said = |name| std::env::var(name).unwrap_or_default();
    let inherited = sockgate::inherited_sockets().with_context(|| {
        format!(
            "LISTEN_FDS={} does not count the descriptors, from 3 on, that were handed over",
            said("LISTEN_FDS")
        )
    })?;
    inherited.into_iter().map(checked).collect()
}

fn checked(mut socket: InheritedSocket) -> Result<InheritedSocket> {
    let file = File::from(socket.fd);
    if !file.metadata()?.file_type().is_socket() {
        bail!(
            "descriptor {} (`{}`) of LISTEN_FDS is no socket, and guests are handed nothing else: leave \
             ListenFIFO=, ListenSpecial= and their kin out of the unit",
            socket.number,
            socket.name
        );
    }
    socket.fd = file.into();
    Ok(socket)
}

/// Only what was handed over by LISTEN_FDS is known to be nobody else's.
fn take(inherited: &mut Vec<InheritedSocket>, number: &str) -> Result<OwnedFd> {
    let number: i32 = number
        .parse()
        .with_context(|| format!("`{number}` is no descriptor's number, such as fd:3"))?;
    let place = inherited
        .iter()
        .position(|socket| socket.number == number)
        .ok_or_else(|| {
            anyhow!(
                "descriptor {number} was not handed over, or is taken already: LISTEN_FDS counts those from 3 \
                 on, and LISTEN_PID has to name this process, {}",
                std::process::id()
            )
        })?;
    Ok(inherited.remove(place).fd)
}

/// The files that this command bound sockets to. They go with it, as far as they are still its own.
#[derive(Clone, Default)]
pub struct BoundFiles(Arc<Mutex<Vec<BoundFile>>>);

struct BoundFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl BoundFiles {
    fn add(&self, path: &Path) -> Result<()> {
        let made = fs::symlink_metadata(path)?;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(BoundFile {
                path: std::path::absolute(path)?,
                device: made.dev(),
                inode: made.ino(),
            });
        Ok(())
    }

    /// The directories that they lie in.
    pub fn directories(&self) -> Vec<PathBuf> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parents = files.iter().filter_map(|file| file.path.parent());
        parents.map(Path::to_path_buf).collect()
    }

    /// Unlinks each that is still the file that was made.
    pub fn unlink(&self) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files.drain(..) {
            let same = fs::symlink_metadata(&file.path)
                .is_ok_and(|now| (now.dev(), now.ino()) == (file.device, file.inode));
            if same && let Err(error) = fs::remove_file(&file.path) {
                eprintln!(
                    "sockgate: the socket {} stays there: {error}",
                    file.path.display()
                );
            }
        }
    }
}

impl Drop for BoundFiles {
    fn drop(&mut self) {
        // With the last of them; the one that waits for a signal may outlive the guest.
        if Arc::strong_count(&self.0) == 1 {
            self.unlink();
        }
    }
}
