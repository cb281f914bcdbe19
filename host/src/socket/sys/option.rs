//! Socket options, getsockopt(2), and the requests of ioctl(2) that ask for a socket's state.

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_int, socklen_t};

use super::address::CAPACITY;
use super::{EncodedAddress, Errno, Result, check, inet};

/// The longest option value that is read or written; longer ones exist nowhere in Linux.
pub const MAXIMUM_LENGTH: usize = 64 * 1024;

// The levels and names that the typed options need, so that nothing outside `sys` names libc.
#[allow(
    unused_imports,
    reason = "one list of numbers; callers take what they need"
)]
pub use libc::{
    IP_MULTICAST_ALL, IP_MULTICAST_IF, IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_PKTINFO, IP_RECVERR,
    IP_RECVTOS, IP_RECVTTL, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP,
    IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_RECVERR, IPV6_RECVHOPLIMIT,
    IPV6_RECVPKTINFO, IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY, SO_ACCEPTCONN,
    SO_BINDTODEVICE, SO_BROADCAST, SO_DOMAIN, SO_DONTROUTE, SO_ERROR, SO_INCOMING_CPU,
    SO_KEEPALIVE, SO_LINGER, SO_MARK, SO_OOBINLINE, SO_PASSCRED, SO_PEERCRED, SO_PRIORITY,
    SO_PROTOCOL, SO_RCVBUF, SO_RCVLOWAT, SO_RCVTIMEO, SO_REUSEADDR, SO_REUSEPORT, SO_RXQ_OVFL,
    SO_SNDBUF, SO_SNDTIMEO, SO_TIMESTAMPNS, SO_TYPE, SOL_SOCKET, TCP_CONGESTION, TCP_CORK,
    TCP_DEFER_ACCEPT, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_MAXSEG, TCP_NODELAY,
    TCP_QUICKACK, TCP_USER_TIMEOUT,
};

// Linux's numbers where libc has no name on every target.
/// IPV6_MULTICAST_ALL, ipv6(7).
pub const IPV6_MULTICAST_ALL: c_int = 29;
/// SO_TXTIME and SCM_TXTIME, Documentation/networking/timestamping.rst.
pub const SO_TXTIME: c_int = 61;
/// SO_RCVTIMEO and SO_SNDTIMEO with 64-bit seconds on every machine, socket(7).
pub const SO_RCVTIMEO_NEW: c_int = 66;
/// See [`SO_RCVTIMEO_NEW`].
pub const SO_SNDTIMEO_NEW: c_int = 67;
/// SO_PEERPIDFD, unix(7): gives a bare descriptor, which [`peer_pidfd`] takes.
pub const SO_PEERPIDFD: c_int = 77;
/// UDP_SEGMENT, udp(7).
pub const UDP_SEGMENT: c_int = 103;
/// UDP_GRO, udp(7).
pub const UDP_GRO: c_int = 104;
/// SOL_UDP: the level of the two above.
pub const SOL_UDP: c_int = libc::IPPROTO_UDP;
const MCAST_JOIN_GROUP: c_int = 42;
const MCAST_BLOCK_SOURCE: c_int = 43;
const MCAST_UNBLOCK_SOURCE: c_int = 44;
const MCAST_LEAVE_GROUP: c_int = 45;
const MCAST_JOIN_SOURCE_GROUP: c_int = 46;
const MCAST_LEAVE_SOURCE_GROUP: c_int = 47;

/// getsockopt(2): the option's bytes, at most `max` of them.
///
/// # Errors
/// `opnotsupp` for what [`is_unsafe_option`] names.
pub fn get(socket: BorrowedFd<'_>, level: c_int, name: c_int, max: usize) -> Result<Vec<u8>> {
    if is_unsafe_option(level, name) {
        return Err(Errno::OPNOTSUPP);
    }
    let mut value = vec![0; max.min(MAXIMUM_LENGTH)];
    let mut length = value.len() as socklen_t;
    // SAFETY: `value` has room for `length` bytes, and options that write more than they are told are
    // refused above.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    value.truncate(length as usize);
    Ok(value)
}

/// setsockopt(2) with the value's bytes.
///
/// # Errors
/// `opnotsupp` for what [`is_unsafe_option`] names.
pub fn set(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &[u8]) -> Result<()> {
    if (level, name) == (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER) {
        return attach_filter(socket, value);
    }
    if is_unsafe_option(level, name) {
        return Err(Errno::OPNOTSUPP);
    }
    // SAFETY: the pointer and the length are of one live slice; options whose value is an address of
    // this process are refused above.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as socklen_t,
        )
    })?;
    Ok(())
}

/// SO_ATTACH_FILTER with the instructions of a classic BPF program one after the other (struct
/// sock_filter, 8 bytes each), instead of their address. socket(7), bpf(2)
///
/// # Errors
/// `inval` for no whole instructions, none, or more than BPF_MAXINSNS, and for a program that the kernel
/// refuses.
fn attach_filter(socket: BorrowedFd<'_>, program: &[u8]) -> Result<()> {
    const INSTRUCTION: usize = size_of::<libc::sock_filter>();
    const MOST_INSTRUCTIONS: usize = 4096;
    let (instructions, rest) = program.as_chunks::<INSTRUCTION>();
    if !rest.is_empty() || !(1..=MOST_INSTRUCTIONS).contains(&instructions.len()) {
        return Err(Errno::INVAL);
    }
    let mut instructions: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|[c0, c1, jt, jf, k @ ..]| libc::sock_filter {
            code: u16::from_ne_bytes([*c0, *c1]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes(*k),
        })
        .collect();
    let program = libc::sock_fprog {
        len: instructions.len() as libc::c_ushort,
        filter: instructions.as_mut_ptr(),
    };
    // SAFETY: `program` is what the option reads, and its pointer and length are of one live vector, from
    // which the kernel copies.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as socklen_t,
        )
    })?;
    Ok(())
}

/// setsockopt(2) with a length and no value (ALG_SET_AEAD_AUTHSIZE); options with a value answer `fault`. Those
/// of IPv6 answer it here: the kernel would take the missing value for 0, and switch IPV6_V6ONLY off behind
/// the policy's back.
pub fn set_length(socket: BorrowedFd<'_>, level: c_int, name: c_int, length: u32) -> Result<()> {
    if is_unsafe_option(level, name) {
        return Err(Errno::OPNOTSUPP);
    }
    if level == IPPROTO_IPV6 {
        return Err(Errno::FAULT);
    }
    // SAFETY: the kernel finds a null pointer where it looks for a value, and says EFAULT.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::null(), length) })?;
    Ok(())
}

/// Options that no policy can grant, since their value holds an address or a descriptor's number of this
/// very process (the kernel would read or write the host's memory, or use the host's descriptors, on the
/// guest's word), since the kernel counts their length in something else than bytes, or since they make another
/// kind of socket.
pub fn is_unsafe_option(level: c_int, name: c_int) -> bool {
    const SOL_TCP: c_int = libc::IPPROTO_TCP;
    const SOL_RAW: c_int = 255;
    const IPV6_HDRINCL: c_int = 36;
    const SOL_SCTP: c_int = 132;
    const SOL_PACKET: c_int = 263;
    const SOL_XDP: c_int = 283;
    const SOL_RDS: c_int = 276;
    const SOL_MPTCP: c_int = 284;
    match level {
        // GET_FILTER has ATTACH_FILTER's number, and its length counts instructions; setting it takes
        // another way.
        libc::SOL_SOCKET => matches!(
            name,
            libc::SO_ATTACH_FILTER
                | libc::SO_ATTACH_BPF
                | libc::SO_ATTACH_REUSEPORT_CBPF
                | libc::SO_ATTACH_REUSEPORT_EBPF
                | SO_PEERPIDFD
        ),
        // The tables of iptables, arptables, ip6tables and ebtables (counters behind a pointer).
        libc::IPPROTO_IP => {
            (64..=71).contains(&name) || (96..=100).contains(&name) || (128..=131).contains(&name)
        }
        // IPv6 has its traffic class among them.
        // ADDRFORM makes another family of the socket than the one that is judged.
        libc::IPPROTO_IPV6 => matches!(name, 1 | 64 | 65 | 68 | 69),
        // IPV6_HDRINCL under a number that no rule knows it by: packets with headers of their own.
        SOL_RAW => name == IPV6_HDRINCL,
        // ZEROCOPY_RECEIVE (an address), AO_GET_KEYS (length per element).
        SOL_TCP => matches!(name, 35 | 41),
        // PEELOFF gives a bare descriptor, CONNECTX3 takes an address.
        SOL_SCTP => matches!(name, 102 | 111 | 122),
        // PACKET_FANOUT_DATA: a filter behind a pointer, or a descriptor.
        SOL_PACKET => name == 22,
        // XDP_UMEM_REG: memory of this process.
        SOL_XDP => name == 4,
        // GET_MR, GET_MR_FOR_DEST: memory of this process.
        SOL_RDS => matches!(name, 2 | 7),
        // FULL_INFO: arrays behind pointers.
        SOL_MPTCP => name == 4,
        _ => false,
    }
}

/// getsockopt(2) of an `int`.
pub fn get_int(socket: BorrowedFd<'_>, level: c_int, name: c_int) -> Result<c_int> {
    // SAFETY: any four bytes are an `int`.
    unsafe { get_plain(socket, level, name) }
}

/// setsockopt(2) of an `int`.
pub fn set_int(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> Result<()> {
    set(socket, level, name, &value.to_ne_bytes())
}

/// getsockopt(2) of a C structure of fixed size.
///
/// # Safety
/// Any bytes are a value of `T`.
unsafe fn get_plain<T>(socket: BorrowedFd<'_>, level: c_int, name: c_int) -> Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = size_of::<T>() as socklen_t;
    // SAFETY: `value` has room for `length` bytes.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    // SAFETY: it was zeroed, the kernel wrote over some of it, and any bytes are a `T`.
    Ok(unsafe { value.assume_init() })
}

/// SO_LINGER in seconds; none where it is off. socket(7).
#[cfg(test)]
pub fn linger(socket: BorrowedFd<'_>) -> Result<Option<u32>> {
    // SAFETY: `linger` is two integers.
    let value: libc::linger = unsafe { get_plain(socket, libc::SOL_SOCKET, libc::SO_LINGER) }?;
    Ok((value.l_onoff != 0).then_some(value.l_linger as u32))
}

/// Sets SO_LINGER in seconds, or switches it off.
pub fn set_linger(socket: BorrowedFd<'_>, seconds: Option<u32>) -> Result<()> {
    let on = c_int::from(seconds.is_some());
    let seconds = c_int::try_from(seconds.unwrap_or(0)).unwrap_or(c_int::MAX);
    let mut value = [0; 8];
    value[..4].copy_from_slice(&on.to_ne_bytes());
    value[4..].copy_from_slice(&seconds.to_ne_bytes());
    set(socket, libc::SOL_SOCKET, libc::SO_LINGER, &value)
}

/// SO_PEERPIDFD, unix(7): a descriptor of the peer's process, closed on exec.
///
/// # Errors
/// `noprotoopt` before Linux 6.5; `nodata` where there is no peer, `srch` where its process is gone.
pub fn peer_pidfd(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    let number = get_int(socket, libc::SOL_SOCKET, SO_PEERPIDFD)?;
    if number < 0 {
        return Err(Errno::SRCH);
    }
    // SAFETY: the call succeeded, so the number is a new descriptor that nobody owns.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// SO_ERROR: takes the pending error, socket(7).
pub fn take_error(socket: BorrowedFd<'_>) -> Result<Option<Errno>> {
    let number = get_int(socket, libc::SOL_SOCKET, libc::SO_ERROR)?;
    Ok((number != 0).then_some(Errno::from_raw(number)))
}

/// Who is at the other end of a Unix connection: SO_PEERCRED, unix(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Process id, 0 where it has none in this pid namespace.
    pub pid: i32,
    /// Effective user id at the time of connect or listen.
    pub uid: u32,
    /// Effective group id, likewise.
    pub gid: u32,
}

/// SO_PEERCRED, unix(7). A socket without a peer answers pid 0 and ids of -1.
pub fn peer_credentials(socket: BorrowedFd<'_>) -> Result<PeerCredentials> {
    // SAFETY: `ucred` is three integers.
    let libc::ucred { pid, uid, gid } =
        unsafe { get_plain(socket, libc::SOL_SOCKET, libc::SO_PEERCRED) }?;
    Ok(PeerCredentials { pid, uid, gid })
}

/// How long a receive (or a send) may wait, as the kernel keeps it: SO_RCVTIMEO, SO_SNDTIMEO, socket(7). Zero
/// is without end.
pub fn wait_limit(socket: BorrowedFd<'_>, send: bool) -> Result<Duration> {
    let name = if send {
        libc::SO_SNDTIMEO
    } else {
        libc::SO_RCVTIMEO
    };
    // SAFETY: `timeval` is two integers.
    let libc::timeval { tv_sec, tv_usec } = unsafe { get_plain(socket, libc::SOL_SOCKET, name) }?;
    let seconds = u64::try_from(tv_sec).unwrap_or(0);
    let microseconds = u64::try_from(tv_usec).unwrap_or(0);
    Ok(Duration::from_secs(seconds) + Duration::from_micros(microseconds))
}

/// What becomes of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP
    Join,
    /// MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP
    Leave,
    /// MCAST_BLOCK_SOURCE
    Block,
    /// MCAST_UNBLOCK_SOURCE
    Unblock,
}

/// Changes the membership in an IPv4 multicast group on an interface (0 lets the kernel choose), for one source
/// where it is given. ip(7), RFC 3678.
pub fn group_v4(
    socket: BorrowedFd<'_>,
    what: Membership,
    group: Ipv4Addr,
    source: Option<Ipv4Addr>,
    interface: u32,
) -> Result<()> {
    let encode = |ip| inet::encode_v4(&SocketAddrV4::new(ip, 0));
    membership(
        socket,
        libc::IPPROTO_IP,
        what,
        interface,
        encode(group),
        source.map(encode),
    )
}

/// The same for IPv6. ipv6(7), RFC 3678.
pub fn group_v6(
    socket: BorrowedFd<'_>,
    what: Membership,
    group: Ipv6Addr,
    source: Option<Ipv6Addr>,
    interface: u32,
) -> Result<()> {
    let encode = |ip| inet::encode_v6(&SocketAddrV6::new(ip, 0, 0, 0));
    membership(
        socket,
        libc::IPPROTO_IPV6,
        what,
        interface,
        encode(group),
        source.map(encode),
    )
}

/// `group_req` and `group_source_req`: an interface index, padded to the alignment of the addresses that
/// follow.
fn membership(
    socket: BorrowedFd<'_>,
    level: c_int,
    what: Membership,
    interface: u32,
    group: EncodedAddress,
    source: Option<EncodedAddress>,
) -> Result<()> {
    let start = align_of::<libc::sockaddr_storage>().max(size_of::<u32>());
    let mut request = vec![0; start];
    request[..size_of::<u32>()].copy_from_slice(&interface.to_ne_bytes());
    for address in [Some(group), source].into_iter().flatten() {
        let end = request.len() + CAPACITY;
        request.extend_from_slice(address.as_bytes());
        request.resize(end, 0);
    }
    let name = match (what, source.is_some()) {
        (Membership::Join, false) => MCAST_JOIN_GROUP,
        (Membership::Join, true) => MCAST_JOIN_SOURCE_GROUP,
        (Membership::Leave, false) => MCAST_LEAVE_GROUP,
        (Membership::Leave, true) => MCAST_LEAVE_SOURCE_GROUP,
        (Membership::Block, true) => MCAST_BLOCK_SOURCE,
        (Membership::Unblock, true) => MCAST_UNBLOCK_SOURCE,
        (Membership::Block | Membership::Unblock, false) => return Err(Errno::INVAL),
    };
    set(socket, level, name, &request)
}

/// SIOCINQ: bytes that can be read at once, tcp(7), udp(7).
pub fn inq(socket: BorrowedFd<'_>) -> Result<u64> {
    ioctl_count(socket, libc::FIONREAD)
}

/// SIOCOUTQ: bytes that the peer has not acknowledged, tcp(7).
pub fn outq(socket: BorrowedFd<'_>) -> Result<u64> {
    ioctl_count(socket, libc::TIOCOUTQ)
}

/// Whether the next byte to read is the out-of-band mark, sockatmark(3).
pub fn at_mark(socket: BorrowedFd<'_>) -> Result<bool> {
    // Linux's number on every architecture that Rust's std runs on, but for MIPS.
    const SIOCATMARK: libc::Ioctl = 0x8905;
    Ok(ioctl_count(socket, SIOCATMARK)? != 0)
}

/// ioctl(2) with a request that writes one `int`.
fn ioctl_count(socket: BorrowedFd<'_>, request: libc::Ioctl) -> Result<u64> {
    let mut count: c_int = 0;
    // SAFETY: the three requests above write one `int`.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), request, &mut count) })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests;
