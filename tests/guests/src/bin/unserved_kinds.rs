//! Tries to make a socket of each family and type that the host does not serve yet, and one that it serves;
//! prints what came of each.

use sockgate_guest::{Errno, Family, Protocol, Socket, SocketType};

fn main() {
    let kinds = [
        ("can", Family::Can, SocketType::Raw),
        ("netlink", Family::Netlink, SocketType::Raw),
        ("packet", Family::Packet, SocketType::Datagram),
        ("vsock", Family::Vsock, SocketType::Stream),
        ("alg", Family::Alg, SocketType::Seqpacket),
        ("by-number", Family::Other(16), SocketType::Datagram),
        ("nowhere", Family::Hyperv, SocketType::Stream),
        ("raw", Family::Inet, SocketType::Raw),
        ("rdm", Family::Inet6, SocketType::Rdm),
        ("type-by-number", Family::Inet, SocketType::Other(10)),
        ("udp", Family::Inet, SocketType::Datagram),
    ];
    for (name, family, socket_type) in kinds {
        match Socket::new(family, socket_type, Protocol::Default) {
            Ok(_) => println!("{name}: ok"),
            Err(error) => match Errno::of(&error) {
                Some(errno) => println!("{name}: {}", errno.name()),
                None => println!("{name}: {error}"),
            },
        }
    }
}
