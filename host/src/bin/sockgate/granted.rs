//! Sockets that the operator hands in.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use anyhow::{Context, Result, anyhow, bail};

/// The sockets of `--socket` and of socket activation, with their names.
pub fn sockets(wanted: &[(String, String)]) -> Result<Vec<(String, OwnedFd)>> {
    let mut inherited = sockgate::inherited_sockets().context("LISTEN_FDS")?;
    let mut sockets = Vec::new();
    for (name, socket) in wanted {
        let place = || format!("--socket {name}={socket}");
        let fd = match socket.split_once(':') {
            Some(("tcp-listen", address)) => TcpListener::bind(address).with_context(place)?.into(),
            Some(("udp", address)) => UdpSocket::bind(address).with_context(place)?.into(),
            Some(("unix-listen", path)) => UnixListener::bind(path).with_context(place)?.into(),
            Some(("fd", number)) => take(&mut inherited, number).with_context(place)?,
            _ => bail!(
                "{}: write tcp-listen:ADDR, udp:ADDR, unix-listen:PATH or fd:NUMBER",
                place()
            ),
        };
        sockets.push((name.clone(), fd));
    }
    sockets.extend(inherited.into_iter().map(|socket| (socket.name, socket.fd)));
    Ok(sockets)
}

/// Only what was handed over by LISTEN_FDS is known to be nobody else's.
fn take(inherited: &mut Vec<sockgate::InheritedSocket>, number: &str) -> Result<OwnedFd> {
    let number: i32 = number
        .parse()
        .with_context(|| format!("`{number}` is no descriptor number"))?;
    let place = inherited
        .iter()
        .position(|socket| socket.number == number)
        .ok_or_else(|| {
            anyhow!("descriptor {number} was not handed over: set LISTEN_PID and LISTEN_FDS")
        })?;
    Ok(inherited.swap_remove(place).fd)
}
