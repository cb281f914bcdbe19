//! Joins a multicast group and prints what is sent to it.
//!
//! ```sh
//! sockgate run --policy examples/policies/multicast-listener.toml \
//!     target/wasm32-wasip2/debug/multicast-listener.wasm 239.1.2.3:7007
//! ```
//!
//! A second word names the interface. With `--clients N` it ends after N messages.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{Group, UdpSocket};

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

    // Bound to the group itself, the socket receives nothing else.
    let socket = UdpSocket::bind(address).trying(format_args!("bind {address}"))?;
    socket
        .as_ref()
        .join_group(&group)
        .trying("join the group")?;
    println!("listening on udp {address}");
    let mut buffer = [0; 65536];
    for _ in 0..arguments.clients()? {
        let (length, peer) = socket.recv_from(&mut buffer).trying("receive")?;
        println!("{peer}: {}", String::from_utf8_lossy(&buffer[..length]));
    }
    Ok(())
}
