//! What the tests of the system calls share.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::BytesMut;
use sockgate_policy::{Address, Family, Kind, MessageFlags, SocketType};

use super::{Result, life, message};

pub fn kind(family: Family, socket_type: SocketType) -> Kind {
    Kind {
        family,
        socket_type,
        protocol: 0,
    }
}

pub fn unix(socket_type: SocketType) -> OwnedFd {
    life::socket(kind(Family::Unix, socket_type)).unwrap()
}

pub fn stream_pair() -> (OwnedFd, OwnedFd) {
    life::pair(kind(Family::Unix, SocketType::Stream)).unwrap()
}

pub fn datagram_pair() -> (OwnedFd, OwnedFd) {
    life::pair(kind(Family::Unix, SocketType::Datagram)).unwrap()
}

/// What one recv gives.
pub fn received(socket: BorrowedFd<'_>) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    message::recv(socket.as_fd(), &mut buffer, 4096, MessageFlags::empty()).unwrap();
    buffer.to_vec()
}

/// getsockname(2), whatever the socket is.
pub fn local_address(socket: BorrowedFd<'_>) -> Result<Address> {
    life::local_address(socket, life::kind_of(socket)?)
}

/// getpeername(2), likewise.
pub fn peer_address(socket: BorrowedFd<'_>) -> Result<Address> {
    life::peer_address(socket, life::kind_of(socket)?)
}

/// accept(2), likewise.
pub fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<Address>)> {
    life::accept(listener, life::kind_of(listener)?)
}
