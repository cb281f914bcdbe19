//! Joins a multicast group and prints what is sent to it.
//!
//! ```sh
//! sockgate run --policy examples/policies/multicast-listener.toml --var port=7007 \
//!     target/wasm32-wasip2/debug/multicast-listener.wasm 239.1.1.1:7007
//! ```
//!
//! A second word names the interface. With `--clients N` it ends after N messages.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{Family, Group, Protocol, Socket, SocketType};

fn main() -> ExitCode {
    run(listen)
}

fn listen(mut arguments: Arguments) -> io::Result<()> {
    let address = arguments.word("GROUP")?;
    let address: SocketAddr = address
        .parse()
        .map_err(io::Error::other)
        .trying(format_args!("GROUP {address}"))?;
    let mut group = match address.ip() {
        IpAddr::V4(group) => Group::v4(group),
        IpAddr::V6(group) => Group::v6(group),
    };
    if let Some(interface) = arguments.next_word() {
        group = group.on(interface);
    }

    let socket = shared_port(address).trying(format_args!("bind port {}", address.port()))?;
    socket.join_group(&group).trying("join the group")?;
    println!("listening on udp {address}");
    let mut buffer = [0; 65536];
    for _ in 0..arguments.clients()? {
        let (length, peer) = socket.recv_from(&mut buffer).trying("receive")?;
        let peer = peer.map_or("somebody".to_owned(), |peer| peer.to_string());
        println!("{peer}: {}", String::from_utf8_lossy(&buffer[..length]));
    }
    Ok(())
}

/// A socket on the group's port that lets other listeners have it too.
fn shared_port(group: SocketAddr) -> io::Result<Socket> {
    let (family, any): (_, IpAddr) = match group {
        SocketAddr::V4(_) => (Family::Inet, Ipv4Addr::UNSPECIFIED.into()),
        SocketAddr::V6(_) => (Family::Inet6, Ipv6Addr::UNSPECIFIED.into()),
    };
    let socket = Socket::new(family, SocketType::Datagram, Protocol::Default)?;
    socket.set_reuse_address(true)?;
    socket.bind((any, group.port()))?;
    Ok(socket)
}
