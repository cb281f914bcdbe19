//! Fields of the kernel's structs, taken one by one with explicit sizes: a guest's own layouts are those of
//! a 32-bit machine, the kernel's are those of its 64-bit host. Numbers are little-endian, as on every
//! host that wasmtime runs on but s390x.

use std::io;
use std::net::SocketAddr;

use crate::consts::{AF_INET, AF_INET6};

/// The fields of a struct, from its first byte on. Nothing here panics; what is too short answers none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// What no one took yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Numbers of four bytes one after the other; `N` is four times `M`.
pub(crate) fn words<const M: usize, const N: usize>(numbers: [u32; M]) -> [u8; N] {
    let mut bytes = [0; N];
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// `struct sockaddr_in` or `struct sockaddr_in6`
pub(crate) fn sockaddr(address: SocketAddr) -> Vec<u8> {
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut bytes = (family as u16).to_le_bytes().to_vec();
    bytes.extend(address.port().to_be_bytes());
    match address {
        SocketAddr::V4(address) => {
            bytes.extend(address.ip().octets());
            // Padding.
            bytes.extend([0; 8]);
        }
        SocketAddr::V6(address) => {
            bytes.extend(address.flowinfo().to_be_bytes());
            bytes.extend(address.ip().octets());
            bytes.extend(address.scope_id().to_le_bytes());
        }
    }
    bytes
}

/// The error of a message that is not what the kernel's headers say: who sent it, and what is wrong.
pub(crate) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("received {what}"))
}

/// The error of an argument that the kernel could not be given.
pub(crate) fn unfit(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}
