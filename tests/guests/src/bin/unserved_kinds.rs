//! Tries to make a socket of families and types that the host does not serve, those of other systems above
//! all, and one that it serves; prints what came of each.

use sockgate_guest::{Errno, Family, Protocol, Socket, SocketType};

fn main() {
    let kinds = [
        ("hyperv", Family::Hyperv, SocketType::Stream),
        ("system", Family::System, SocketType::Datagram),
        ("link", Family::Link, SocketType::Datagram),
        ("divert", Family::Divert, SocketType::Raw),
        ("by-number", Family::Other(5), SocketType::Datagram),
        ("unix-raw", Family::Unix, SocketType::Raw),
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
