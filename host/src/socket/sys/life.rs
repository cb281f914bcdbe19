//! A socket's life: socket(2), bind(2), listen(2), accept(2), connect(2), shutdown(2), and its names.
//!
//! Every descriptor made here is closed on exec and non-blocking.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use libc::{c_int, sockaddr, socklen_t};
use sockgate_policy::{Address, Family, Kind, SocketType, UnixAddress};

use super::address::CAPACITY;
use super::{EncodedAddress, Errno, Result, check, check_descriptor, kind, option};

/// SMC over IPv6, net/smc.h.
const SMCPROTO_SMC6: u32 = 1;

const CREATION: c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

/// Which halves of a connection to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// SHUT_RD
    Read,
    /// SHUT_WR
    Write,
    /// SHUT_RDWR
    Both,
}

/// socket(2). An IPv6 socket begins as IPv6 only, and a datagram or raw one receives the multicast groups
/// that it joined itself, not those of other processes (IP_MULTICAST_ALL, ip(7)).
pub fn socket(kind: Kind) -> Result<OwnedFd> {
    let style = kind::style(kind.socket_type) | CREATION;
    // SAFETY: no pointers; the descriptor is new.
    let socket = unsafe {
        check_descriptor(libc::socket(
            kind::domain(kind.family),
            style,
            kind::protocol(&kind),
        ))
    }?;
    prepare_burial(kind)?;
    restrict(&socket, kind)?;
    Ok(socket)
}

/// The options that a new IP socket starts with.
fn restrict(socket: &OwnedFd, kind: Kind) -> Result<()> {
    let socket = socket.as_fd();
    // It has a TCP socket within, to which options of that one's levels go, and which would take IPv4 as well.
    if kind.family == Family::Smc && kind.protocol == SMCPROTO_SMC6 {
        return set_v6only(socket, true);
    }
    let v6 = kind.family == Family::Inet6;
    if !v6 && kind.family != Family::Inet {
        return Ok(());
    }
    let raw = kind.socket_type == SocketType::Raw;
    // Raw sockets have no IPv4 side, and their protocol counts as a port, after which it cannot be set.
    if v6 && !raw {
        set_v6only(socket, true)?;
    }
    if raw || kind.socket_type == SocketType::Datagram {
        if v6 {
            option::set_int(socket, libc::IPPROTO_IPV6, option::IPV6_MULTICAST_ALL, 0)?;
        }
        // A dual-stack socket receives IPv4 groups as well; a raw IPv6 one does not, and has no IPv4 options.
        if !(v6 && raw) {
            option::set_int(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0)?;
        }
    }
    Ok(())
}

/// socketpair(2)
pub fn pair(kind: Kind) -> Result<(OwnedFd, OwnedFd)> {
    let style = kind::style(kind.socket_type) | CREATION;
    let mut ends: [c_int; 2] = [-1; 2];
    // SAFETY: `ends` has room for two descriptors.
    check(unsafe {
        libc::socketpair(
            kind::domain(kind.family),
            style,
            kind::protocol(&kind),
            ends.as_mut_ptr(),
        )
    })?;
    // SAFETY: the call succeeded, so both are new descriptors that nobody else owns.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// bind(2)
pub fn bind(socket: BorrowedFd<'_>, address: &EncodedAddress) -> Result<()> {
    // SAFETY: the pointer and the length are of one live address.
    check(unsafe { libc::bind(socket.as_raw_fd(), address.pointer(), address.length()) })?;
    Ok(())
}

/// listen(2). The kernel caps the backlog at net.core.somaxconn.
pub fn listen(socket: BorrowedFd<'_>, backlog: u32) -> Result<()> {
    let backlog = c_int::try_from(backlog).unwrap_or(c_int::MAX);
    // SAFETY: no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    Ok(())
}

/// accept4(2) on a socket of this kind. `again` where no connection waits; the peer's address as far as
/// this host has a codec for it.
pub fn accept(listener: BorrowedFd<'_>, kind: Kind) -> Result<(OwnedFd, Option<Address>)> {
    let mut address = EncodedAddress::empty();
    let mut length = CAPACITY as socklen_t;
    // What an algorithm's socket accepts has no name, and the kernel fails where it is asked for one.
    let (pointer, room) = match kind.family {
        Family::Alg => (std::ptr::null_mut(), std::ptr::null_mut()),
        _ => (address.pointer_mut(), &raw mut length),
    };
    // SAFETY: the address has room for `length` bytes, or both pointers are null; the descriptor is new.
    let socket =
        unsafe { check_descriptor(libc::accept4(listener.as_raw_fd(), pointer, room, CREATION)) }?;
    if !pointer.is_null() {
        address.set_length(length);
    }
    Ok((socket, address.decode(kind)?))
}

/// connect(2). `inprogress` (Unix sockets: `again`) where it cannot be done at once.
pub fn connect(socket: BorrowedFd<'_>, address: &EncodedAddress) -> Result<()> {
    // SAFETY: the pointer and the length are of one live address.
    check(unsafe { libc::connect(socket.as_raw_fd(), address.pointer(), address.length()) })?;
    Ok(())
}

/// connect(2) to AF_UNSPEC: drops a datagram socket's peer, resets a stream.
pub fn disconnect(socket: BorrowedFd<'_>) -> Result<()> {
    connect(socket, &EncodedAddress::new(libc::AF_UNSPEC, &[&[0; 14]]))
}

/// shutdown(2)
pub fn shutdown(socket: BorrowedFd<'_>, how: How) -> Result<()> {
    let how = match how {
        How::Read => libc::SHUT_RD,
        How::Write => libc::SHUT_WR,
        How::Both => libc::SHUT_RDWR,
    };
    // SAFETY: no pointers.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), how) })?;
    Ok(())
}

/// Closes the socket at once and leaves one that can do nothing in its descriptor's place, dup(2): for
/// sockets that go on working by themselves, on which shutdown(2) ends nothing. A duplicate that somebody else
/// has keeps it open.
pub fn bury(socket: BorrowedFd<'_>) -> Result<()> {
    let dead = dead()?.as_raw_fd();
    // SAFETY: no pointers; the number stays a descriptor of its owner's.
    check(unsafe { libc::dup3(dead, socket.as_raw_fd(), libc::O_CLOEXEC) })?;
    Ok(())
}

/// Makes what [`bury`] needs while there are descriptors: when a socket of this kind has to end, there may be none.
pub fn prepare_burial(kind: Kind) -> Result<()> {
    if kind.works_by_itself() {
        dead()?;
    }
    Ok(())
}

/// A socket that can do nothing, since its peer is gone; one for the whole process.
fn dead() -> Result<&'static OwnedFd> {
    static DEAD: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(dead) = DEAD.get() {
        return Ok(dead);
    }
    let (dead, _) = pair(Kind::new(Family::Unix, SocketType::Stream))?;
    Ok(DEAD.get_or_init(|| dead))
}

/// getsockname(2)
pub fn local_address(socket: BorrowedFd<'_>, kind: Kind) -> Result<Address> {
    name(socket, kind, libc::getsockname)
}

/// getpeername(2)
pub fn peer_address(socket: BorrowedFd<'_>, kind: Kind) -> Result<Address> {
    name(socket, kind, libc::getpeername)
}

type AskName = unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int;

/// Asks the kernel for one of a socket's two names.
fn name(socket: BorrowedFd<'_>, kind: Kind, ask: AskName) -> Result<Address> {
    match encoded_name(socket, ask)?.decode(kind)? {
        Some(address) => Ok(address),
        // A kernel that reports length 0 for a Unix socket without a name.
        None if kind.family == Family::Unix => Ok(Address::Unix(UnixAddress::Unnamed)),
        None => Err(Errno::OPNOTSUPP),
    }
}

fn encoded_name(socket: BorrowedFd<'_>, ask: AskName) -> Result<EncodedAddress> {
    let mut address = EncodedAddress::empty();
    let mut length = CAPACITY as socklen_t;
    // SAFETY: `ask` is one of the two above, which write at most `length` bytes of the address.
    check(unsafe { ask(socket.as_raw_fd(), address.pointer_mut(), &mut length) })?;
    address.set_length(length);
    Ok(address)
}

/// dup(2): another descriptor of the same socket, closed on exec.
pub fn duplicate(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    Ok(socket.try_clone_to_owned()?)
}

/// Family, type and protocol of a socket that came from elsewhere: SO_DOMAIN, SO_TYPE, SO_PROTOCOL, socket(7).
pub fn kind_of(socket: BorrowedFd<'_>) -> Result<Kind> {
    let get = |name| option::get_int(socket, libc::SOL_SOCKET, name);
    let family = kind::family_of(get(libc::SO_DOMAIN)?);
    let protocol = match family {
        Family::Packet => packet_protocol(socket)?,
        _ => u32::try_from(get(libc::SO_PROTOCOL)?).unwrap_or(0),
    };
    Ok(Kind {
        family,
        socket_type: kind::type_of(get(libc::SO_TYPE)?),
        protocol,
    })
}

/// SO_PROTOCOL knows nothing of a packet socket's protocol, its name does.
fn packet_protocol(socket: BorrowedFd<'_>) -> Result<u32> {
    match encoded_name(socket, libc::getsockname)?.decode_by_family()? {
        Some(Address::Packet(address)) => Ok(address.protocol.into()),
        _ => Err(Errno::INVAL),
    }
}

/// Whether a descriptor is a socket at all, fstat(2). `badf` cannot be: it is borrowed.
pub fn is_socket(descriptor: BorrowedFd<'_>) -> Result<bool> {
    Ok(status(descriptor)?.st_mode & libc::S_IFMT == libc::S_IFSOCK)
}

/// fstat(2)
pub(super) fn status(descriptor: BorrowedFd<'_>) -> Result<libc::stat> {
    let mut status = MaybeUninit::uninit();
    // SAFETY: `status` has room for one `stat`.
    check(unsafe { libc::fstat(descriptor.as_raw_fd(), status.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the kernel filled it.
    Ok(unsafe { status.assume_init() })
}

/// Whether O_NONBLOCK is set, fcntl(2).
#[cfg(test)]
pub fn is_nonblocking(socket: BorrowedFd<'_>) -> Result<bool> {
    Ok(status_flags(socket)? & libc::O_NONBLOCK != 0)
}

/// Sets or clears O_NONBLOCK, fcntl(2). The flag belongs to the open socket, so that every duplicate has
/// it, in other processes too.
pub fn set_nonblocking(socket: BorrowedFd<'_>, nonblocking: bool) -> Result<()> {
    let before = status_flags(socket)?;
    let after = match nonblocking {
        true => before | libc::O_NONBLOCK,
        false => before & !libc::O_NONBLOCK,
    };
    if after != before {
        // SAFETY: F_SETFL takes an integer, no pointer.
        check(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, after) })?;
    }
    Ok(())
}

fn status_flags(socket: BorrowedFd<'_>) -> Result<c_int> {
    // SAFETY: F_GETFL takes no argument.
    check(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) })
}

/// IPV6_V6ONLY, ipv6(7).
pub fn set_v6only(socket: BorrowedFd<'_>, only: bool) -> Result<()> {
    option::set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only.into())
}

/// Makes close reset the connection (SO_LINGER of zero seconds, socket(7)), for one that the policy hides.
pub fn reset_on_close(socket: BorrowedFd<'_>) -> Result<()> {
    option::set_linger(socket, Some(0))
}

/// Whether the error of an accept is that of one connection, and the listener goes on: accept(2), "Error
/// handling". `opnotsupp` is left out of its list, since a socket that cannot listen at all answers that.
pub fn is_transient_accept_error(error: Errno) -> bool {
    matches!(
        error,
        Errno::CONNABORTED
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
    )
}

#[cfg(test)]
mod tests;
