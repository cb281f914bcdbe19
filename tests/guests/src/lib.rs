//! What the test guests share.

use std::fmt::{Display, Write as _};
use std::io;
use std::net::SocketAddr;

use sha2::{Digest, Sha256};
use sockgate_guest::{Errno, Family, Protocol, Socket, SocketAddress, SocketType, UnixAddress};

/// An address as the tests write it: `127.0.0.1:80`, `[::1]:80`, `/path`, `@abstract`, or `auto`, which asks
/// the kernel for an abstract name of its choice.
pub fn address(text: &str) -> io::Result<SocketAddress> {
    if text == "auto" {
        return Ok(UnixAddress::Unnamed.into());
    }
    if let Some(name) = text.strip_prefix('@') {
        return Ok(UnixAddress::from_abstract_name(name).into());
    }
    if text.starts_with('/') {
        return Ok(UnixAddress::from_pathname(text)?.into());
    }
    let address: SocketAddr = text.parse().map_err(io::Error::other)?;
    Ok(address.into())
}

/// A socket of this type in the address's family.
pub fn socket_for(address: &SocketAddress, socket_type: SocketType) -> io::Result<Socket> {
    let family = match address {
        SocketAddress::Inet(_) => Family::Inet,
        SocketAddress::Inet6(_) => Family::Inet6,
        _ => Family::Unix,
    };
    Socket::new(family, socket_type, Protocol::Default)
}

/// `stream`, `datagram` or `seqpacket`.
pub fn socket_type(word: &str) -> io::Result<SocketType> {
    match word {
        "stream" => Ok(SocketType::Stream),
        "datagram" => Ok(SocketType::Datagram),
        "seqpacket" => Ok(SocketType::Seqpacket),
        other => Err(io::Error::other(format!("no such type: {other}"))),
    }
}

/// Bytes in which no stretch repeats soon; other ones for each seed.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed ^ 0x5851_f42d_4c95_7f2d;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(data: &[u8]) -> String {
    Sha256::digest(data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Says what became of so many bytes, as tests read it: `received 5 2cf24d...`.
pub fn tell(verb: &str, data: &[u8]) {
    println!("{verb} {} {}", data.len(), sha256(data));
}

/// The names of both ends of a connection.
pub fn tell_names(socket: &Socket) -> io::Result<()> {
    println!("local {}", socket.local_address()?);
    println!("peer {}", socket.peer_address()?);
    Ok(())
}

/// The errno's name as audit records have it; other errors in their own words.
pub fn named(error: &io::Error) -> String {
    match Errno::of(error) {
        Some(errno) => {
            let name = errno.name();
            name.strip_prefix('E').unwrap_or(name).to_lowercase()
        }
        None => error.to_string(),
    }
}

/// A step that cannot be taken as it is written.
pub fn wrong(text: impl Display) -> io::Error {
    io::Error::other(format!("the step is wrong: {text}"))
}

/// Bytes in hexadecimal digits, which may stand behind an `x`; `x` alone is nothing.
pub fn from_hex(word: &str) -> io::Result<Vec<u8>> {
    let digits = word.trim_start_matches('x');
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or_default(), 16))
        .collect::<Result<_, _>>()
        .map_err(wrong)
}

/// Bytes as [`from_hex`] reads them, behind an `x`.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold("x".to_owned(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The guest's words, one after the other.
pub fn words() -> impl Iterator<Item = String> {
    std::env::args().skip(1)
}

/// The next word.
pub fn word(words: &mut impl Iterator<Item = String>, name: &str) -> io::Result<String> {
    let missing = || io::Error::other(format!("{name} is missing"));
    words.next().ok_or_else(missing)
}
