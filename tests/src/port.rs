//! Ports that nobody uses.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

use anyhow::{Result, bail};

/// Ports that this process has given out: the kernel may offer a closed one again at once.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port that is free for TCP and UDP, over IPv4 and (where there is one) IPv6.
pub fn free_port() -> Result<u16> {
    for _ in 0..256 {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = listener.local_addr()?.port();
        let free = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
            && (!has_ipv6() || free_over_ipv6(port));
        if free && first_time(port) {
            return Ok(port);
        }
    }
    bail!("found no port that is free for TCP and UDP")
}

/// Whether this machine has IPv6 at all.
pub fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn free_over_ipv6(port: u16) -> bool {
    // Bound to one address, since [::] collides with the IPv4 listener that holds the port.
    TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
        && UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
}

fn first_time(port: u16) -> bool {
    let mut given = GIVEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    given.get_or_insert_default().insert(port)
}
