//! Witnesses of denials: native sockets that nobody may reach, and the system calls that may not be made.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::guest::{Ended, GuestRun};
use crate::oracle::{Tool, oracle};
use crate::skip::patience;

/// Loopback delivers within the send, and on a machine that has much to do from a thread of the kernel soon after.
const MOMENT: Duration = Duration::from_millis(400);

/// What a non-blocking look finds within a moment.
fn soon<T>(mut look: impl FnMut() -> io::Result<T>) -> Result<Option<T>> {
    let end = Instant::now() + MOMENT;
    loop {
        match look() {
            Ok(found) => return Ok(Some(found)),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
            Err(_) if Instant::now() > end => return Ok(None),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// A native UDP socket that says whether anything reached it.
pub fn ear(address: &str) -> Result<(UdpSocket, u16)> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

/// The next datagram that is there; nothing where there is none.
pub fn heard(ear: &UdpSocket) -> Result<Option<String>> {
    let mut buffer = [0; 2048];
    let length = soon(|| ear.recv(&mut buffer))?;
    Ok(length.map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned()))
}

/// A native listener that says whether anybody connected; the kernel completes a handshake by itself.
pub fn door(address: &str) -> Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Whether anybody has connected.
pub fn knocked(door: &TcpListener) -> Result<bool> {
    Ok(soon(|| door.accept())?.is_some())
}

/// Runs it under strace where there is one; without it the other witnesses still speak.
pub fn watched(run: GuestRun, name: &str) -> Result<Ended> {
    let run = match oracle(Tool::Strace, name) {
        Some(strace) => run.strace(&strace),
        None => run,
    };
    run.finish(patience())?.success()
}

/// The guest made none of these calls, as far as strace could look.
pub fn made_none(ended: &Ended, names: &[&str]) -> Result<()> {
    if ended.syscalls.is_none() {
        return Ok(());
    }
    for name in names {
        let made = ended.made(name)?;
        ensure!(made.is_empty(), "{made:?}");
    }
    Ok(())
}
