//! The system calls that the policy guards, each behind the permit for it.
//!
//! The one place where traffic reaches `sys`: a function here takes the permit that the policy made, and
//! acts on the permit's own subject (the address that was judged), never on what the guest wrote.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use bytes::BytesMut;
use sockgate_policy::{
    Address, AncillarySet, ConnectTarget, Family, GroupRequest, Kind, MessageFlags, Meters,
    OptionName, Permit, SocketType, UnixPlace, op,
};

use super::sys::address::EncodedAddress;
use super::sys::batch::{self, BatchHead, BatchScratch, Outgoing};
use super::sys::cmsg::Control;
use super::sys::message::{self, Datagram, Incoming};
use super::sys::option::{self, Membership};
use super::sys::resolve::{self, AddressInfo, Eai, Hints, Host, NameFlags};
use super::sys::splice::{self, Pipe};
use super::sys::unix_path::{self, BoundPath};
use super::sys::{host, life};
use super::{Errno, Guest, Outcome};

/// Whether this host serves sockets of the kind. No rule can grant another one, but a policy's mode may let
/// it through, and then nothing would look at its messages.
pub(super) fn served(kind: Kind) -> Result<Kind, Errno> {
    match (kind.family, kind.socket_type) {
        (Family::Other(_), _) => Err(Errno::AFNOSUPPORT),
        (_, SocketType::Other(_)) | (Family::Unix, SocketType::Raw | SocketType::Rdm) => {
            Err(Errno::SOCKTNOSUPPORT)
        }
        _ => Ok(kind),
    }
}

/// socket(2). `afnosupport` and `socktnosupport` for what this host does not serve yet.
pub(super) fn create(permit: &Permit<op::Create>) -> Result<OwnedFd, Errno> {
    life::socket(served(*permit.subject())?)
}

/// socketpair(2), likewise.
pub(super) fn pair(permit: &Permit<op::Pair>) -> Result<(OwnedFd, OwnedFd), Errno> {
    life::pair(served(*permit.subject())?)
}

/// bind(2). A pathname's inode is made beneath the granted root and verified to be this socket's.
pub(super) fn bind(
    permit: &Permit<op::Bind>,
    guest: &Guest,
    kind: Kind,
    fd: BorrowedFd<'_>,
) -> Outcome<Option<BoundPath>> {
    let target = permit.subject();
    if let Some(place) = &target.unix {
        let root = guest.root(&place.root)?;
        let bound =
            unix_path::bind_beneath(fd, &root, &place.beneath, target.mode, target.replace_stale)?;
        return Ok(Some(bound));
    }
    life::bind(fd, &encode(kind, &target.address)?)?;
    Ok(None)
}

/// listen(2).
pub(super) fn listen(
    _: &Permit<op::Listen>,
    fd: BorrowedFd<'_>,
    backlog: u32,
) -> Result<(), Errno> {
    life::listen(fd, backlog)
}

/// accept(2). The peer is judged by the caller before anybody sees the connection.
pub(super) fn accept(
    _: &Permit<op::Listen>,
    fd: BorrowedFd<'_>,
    kind: Kind,
) -> Result<(OwnedFd, Option<Address>), Errno> {
    life::accept(fd, kind)
}

/// connect(2), to the canonical address that was judged.
pub(super) fn connect(
    permit: &Permit<op::Connect>,
    guest: &Guest,
    kind: Kind,
    fd: BorrowedFd<'_>,
) -> Outcome<()> {
    let route = Route::to(permit.subject(), guest, kind)?;
    Ok(life::connect(fd, &route.encoded)?)
}

/// connect(2) with AF_UNSPEC.
pub(super) fn disconnect(_: &Permit<op::Disconnect>, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    life::disconnect(fd)
}

/// send(2) to the peer.
#[inline]
pub(super) fn send(
    _: &Permit<op::Converse>,
    fd: BorrowedFd<'_>,
    data: &[u8],
    flags: MessageFlags,
) -> Result<usize, Errno> {
    message::send(fd, data, flags)
}

/// sendto(2).
#[inline]
pub(super) fn send_to(
    to: &Destination,
    fd: BorrowedFd<'_>,
    data: &[u8],
    flags: MessageFlags,
) -> Result<usize, Errno> {
    message::send_to(fd, data, flags, &to.route.encoded)
}

/// send(2) without a name, to where the socket is bound or connected, which was judged with the message.
pub(super) fn send_unnamed(
    _: &Destination,
    fd: BorrowedFd<'_>,
    data: &[u8],
    flags: MessageFlags,
) -> Result<usize, Errno> {
    message::send(fd, data, flags)
}

/// sendto(2) with MSG_FASTOPEN, which connects.
pub(super) fn fast_open(
    permit: &Permit<op::Connect>,
    kind: Kind,
    fd: BorrowedFd<'_>,
    data: &[u8],
    flags: MessageFlags,
) -> Result<usize, Errno> {
    message::send_to(fd, data, flags, &encode(kind, &permit.subject().address)?)
}

/// Whom a message goes to.
#[derive(Clone, Copy)]
pub(super) enum Addressee<'a> {
    /// The socket's peer.
    Peer(&'a Permit<op::Converse>),
    /// Somebody by name.
    Named(&'a Destination),
    /// Where the socket is bound or connected, judged with the message.
    Unnamed(&'a Destination),
}

impl<'a> Addressee<'a> {
    /// What a message to it counts for.
    pub(super) fn meters(self) -> Option<&'a Meters> {
        match self {
            Addressee::Peer(permit) => permit.meters(),
            Addressee::Named(destination) | Addressee::Unnamed(destination) => {
                destination.permit.meters()
            }
        }
    }

    /// What was judged for it, unless that was the conversation.
    pub(super) fn judged(self) -> Option<&'a Destination> {
        match self {
            Addressee::Peer(_) => None,
            Addressee::Named(destination) | Addressee::Unnamed(destination) => Some(destination),
        }
    }

    fn encoded(self) -> Option<&'a EncodedAddress> {
        match self {
            Addressee::Peer(_) | Addressee::Unnamed(_) => None,
            Addressee::Named(destination) => Some(&destination.route.encoded),
        }
    }
}

/// sendmsg(2).
pub(super) fn send_message(
    to: Addressee<'_>,
    fd: BorrowedFd<'_>,
    pieces: &[IoSlice<'_>],
    control: &Control<'_>,
    flags: MessageFlags,
) -> Result<usize, Errno> {
    message::send_message(fd, pieces, Some(control), to.encoded(), flags)
}

/// sendmmsg(2): how many went, and why the next did not.
pub(super) fn send_batch(
    messages: &[(&[u8], Addressee<'_>)],
    fd: BorrowedFd<'_>,
    flags: MessageFlags,
) -> (usize, Option<Errno>) {
    let outgoing: Vec<Outgoing<'_>> = messages
        .iter()
        .map(|&(data, to)| Outgoing {
            data,
            to: to.encoded(),
        })
        .collect();
    batch::send_batch(fd, &outgoing, flags)
}

/// Whom a receive hears.
#[derive(Clone, Copy)]
pub(super) enum Reception<'a> {
    /// The peer, and nobody else can reach this socket.
    Peer(&'a Permit<op::Converse>),
    /// Whoever writes; each sender is judged before the guest sees the message.
    Anyone(&'a Permit<op::Receive>),
}

impl Reception<'_> {
    /// The ancillary data that may be delivered, as far as no sender has a say in it.
    pub(super) fn ancillary(self) -> AncillarySet {
        match self {
            Reception::Peer(permit) => permit.ancillary_in().clone(),
            Reception::Anyone(permit) => permit.ancillary_in().clone(),
        }
    }

    /// What it counts for.
    pub(super) fn meters(&self) -> Option<&Meters> {
        match self {
            Reception::Peer(permit) => permit.meters(),
            Reception::Anyone(permit) => permit.meters(),
        }
    }
}

/// recv(2) from the peer.
#[inline]
pub(super) fn recv(
    _: &Permit<op::Converse>,
    fd: BorrowedFd<'_>,
    buffer: &mut BytesMut,
    max: usize,
    flags: MessageFlags,
) -> Result<usize, Errno> {
    message::recv(fd, buffer, max, flags)
}

/// recvfrom(2).
#[inline]
pub(super) fn recv_from(
    _: &Permit<op::Receive>,
    fd: BorrowedFd<'_>,
    kind: Kind,
    buffer: &mut BytesMut,
    max: usize,
    flags: MessageFlags,
) -> Result<Datagram, Errno> {
    message::recv_from(fd, kind, buffer, max, flags)
}

/// TIPC receives nothing into no room.
const LEAST: usize = 1;

/// The next message, which stays where it is: its sender, its length, and its first bytes up to `head`.
pub(super) fn peek(
    _: Reception<'_>,
    fd: BorrowedFd<'_>,
    kind: Kind,
    head: usize,
) -> Result<(Datagram, BytesMut), Errno> {
    let mut bytes = BytesMut::new();
    let head = head.max(LEAST);
    let next = message::recv_from(fd, kind, &mut bytes, head, MessageFlags::PEEK)?;
    Ok((next, bytes))
}

/// Takes the next message out of the queue, unread.
pub(super) fn discard(_: &Permit<op::Receive>, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match message::recv(fd, &mut BytesMut::new(), LEAST, MessageFlags::empty()) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// recvmsg(2) with room for `control` bytes of control data.
pub(super) fn recv_message(
    _: Reception<'_>,
    fd: BorrowedFd<'_>,
    kind: Kind,
    buffer: &mut BytesMut,
    max: usize,
    control: usize,
    flags: MessageFlags,
) -> Result<Incoming, Errno> {
    message::recv_message(fd, kind, buffer, max, control, flags)
}

/// What a [`recv_batch`] takes: at most `count` messages of at most `max` bytes, with room for `control`
/// bytes of control data each.
pub(super) struct BatchRoom {
    pub(super) count: usize,
    pub(super) max: usize,
    pub(super) control: usize,
    pub(super) flags: MessageFlags,
}

/// recvmmsg(2): takes what is there.
pub(super) fn recv_batch(
    _: Reception<'_>,
    fd: BorrowedFd<'_>,
    kind: Kind,
    slab: &mut BytesMut,
    scratch: &mut BatchScratch,
    room: &BatchRoom,
) -> Result<Vec<BatchHead>, Errno> {
    let BatchRoom {
        count,
        max,
        control,
        flags,
    } = *room;
    batch::recv_batch(fd, kind, slab, count, max, control, flags, scratch)
}

/// splice(2) out of a socket, into a pipe.
pub(super) fn splice_in(
    _: &Permit<op::Splice>,
    from: BorrowedFd<'_>,
    pipe: &mut Pipe,
    max: usize,
) -> Result<usize, Errno> {
    pipe.fill(from, max)
}

/// splice(2) out of a pipe, into a socket.
pub(super) fn splice_out(
    _: &Permit<op::Splice>,
    pipe: &mut Pipe,
    to: BorrowedFd<'_>,
) -> Result<usize, Errno> {
    pipe.drain(to, pipe.held())
}

/// recv(2), for bytes that go on to another socket.
pub(super) fn take_over(
    _: &Permit<op::Splice>,
    from: BorrowedFd<'_>,
    buffer: &mut BytesMut,
    max: usize,
) -> Result<usize, Errno> {
    message::recv(from, buffer, max, MessageFlags::empty())
}

/// send(2), of bytes that came from another socket.
pub(super) fn hand_on(
    _: &Permit<op::Splice>,
    to: BorrowedFd<'_>,
    data: &[u8],
) -> Result<usize, Errno> {
    message::send(to, data, MessageFlags::empty())
}

/// sendfile(2).
pub(super) fn send_file(
    _: &Permit<op::Converse>,
    fd: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: u64,
) -> Result<usize, Errno> {
    splice::send_file(fd, file, offset, count)
}

/// getaddrinfo(3) for a name. Blocks.
pub(super) fn resolve(
    permit: &Permit<op::Resolve>,
    service: Option<&[u8]>,
    hints: &Hints,
) -> Result<Vec<AddressInfo>, Eai> {
    resolve::look_up(Some(permit.subject().as_str().as_bytes()), service, hints)
}

/// getnameinfo(3) for an address. Blocks.
pub(super) fn reverse_resolve(
    _: &Permit<op::ReverseResolve>,
    address: &EncodedAddress,
    flags: NameFlags,
) -> Result<(Vec<u8>, Vec<u8>), Eai> {
    resolve::name_of(address, flags)
}

/// gethostbyname(3). Blocks.
pub(super) fn host_by_name(permit: &Permit<op::Resolve>) -> Result<Host, Eai> {
    resolve::host_by_name(permit.subject().as_str().as_bytes())
}

/// gethostbyaddr(3). Blocks.
pub(super) fn host_by_address(permit: &Permit<op::ReverseResolve>) -> Result<Host, Eai> {
    resolve::host_by_address(*permit.subject())
}

/// gethostname(2).
pub(super) fn host_name(_: &Permit<op::Hostname>) -> Result<Vec<u8>, Errno> {
    host::hostname()
}

/// sethostname(2).
pub(super) fn set_host_name(permit: &Permit<op::SetHostname>) -> Result<(), Errno> {
    host::set_hostname(permit.subject())
}

/// if_nameindex(3).
pub(super) fn interfaces(_: &Permit<op::Interfaces>) -> Result<Vec<(u32, String)>, Errno> {
    host::interfaces()
}

/// getsockopt(2).
pub(super) fn get_option(
    permit: &Permit<op::GetOption>,
    fd: BorrowedFd<'_>,
    max: usize,
) -> Result<Vec<u8>, Errno> {
    let OptionName { level, name } = *permit.subject();
    option::get(fd, level, name, max)
}

/// SO_PEERPIDFD, unix(7).
pub(super) fn peer_pidfd(_: &Permit<op::GetOption>, fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    option::peer_pidfd(fd)
}

/// setsockopt(2).
pub(super) fn set_option(
    permit: &Permit<op::SetOption>,
    fd: BorrowedFd<'_>,
    value: &[u8],
) -> Result<(), Errno> {
    let OptionName { level, name } = *permit.subject();
    option::set(fd, level, name, value)
}

/// setsockopt(2) with a length and no value.
pub(super) fn set_option_length(
    permit: &Permit<op::SetOption>,
    fd: BorrowedFd<'_>,
    length: u32,
) -> Result<(), Errno> {
    let OptionName { level, name } = *permit.subject();
    option::set_length(fd, level, name, length)
}

/// MCAST_JOIN_GROUP, MCAST_BLOCK_SOURCE and their kin, ip(7), with the source that the permit is for, or that is taken
/// out of every source. Leaving takes the permit that joining took.
pub(super) fn change_group(
    permit: &Permit<op::JoinGroup>,
    fd: BorrowedFd<'_>,
    what: Membership,
    source: Option<IpAddr>,
) -> Result<(), Errno> {
    let GroupRequest {
        group, interface, ..
    } = permit.subject();
    let interface = interface_index(interface.as_deref())?;
    member(fd, what, *group, source, interface)
}

/// A group and its source belong to one family.
fn member(
    fd: BorrowedFd<'_>,
    what: Membership,
    group: IpAddr,
    source: Option<IpAddr>,
    interface: u32,
) -> Result<(), Errno> {
    match (group, source) {
        (IpAddr::V4(group), None) => option::group_v4(fd, what, group, None, interface),
        (IpAddr::V4(group), Some(IpAddr::V4(source))) => {
            option::group_v4(fd, what, group, Some(source), interface)
        }
        (IpAddr::V6(group), None) => option::group_v6(fd, what, group, None, interface),
        (IpAddr::V6(group), Some(IpAddr::V6(source))) => {
            option::group_v6(fd, what, group, Some(source), interface)
        }
        _ => Err(Errno::INVAL),
    }
}

/// An interface's index; 0, which lets the kernel choose, for none.
fn interface_index(name: Option<&str>) -> Result<u32, Errno> {
    name.map_or(Ok(0), super::sys::interface::index)
}

/// An address as a socket of this kind takes it: IPv4 addresses become mapped ones on an IPv6 socket.
pub(super) fn encode(kind: Kind, address: &Address) -> Result<EncodedAddress, Errno> {
    match (kind.family, address) {
        (Family::Inet6, Address::Inet(four)) => {
            let mapped = SocketAddrV6::new(four.ip().to_ipv6_mapped(), four.port(), 0, 0);
            EncodedAddress::try_from(&Address::Inet6(mapped))
        }
        _ => EncodedAddress::encode(kind, address),
    }
}

/// Whether an address of this kind of socket is one that only a dual-stack socket reaches.
pub(super) fn is_mapped(kind: Kind, address: &Address) -> bool {
    kind.family == Family::Inet6
        && match address {
            Address::Inet(_) => true,
            Address::Inet6(six) => {
                *six.ip() != Ipv6Addr::UNSPECIFIED && six.ip().to_ipv4_mapped().is_some()
            }
            _ => false,
        }
}

/// How the kernel gets to a destination. For a pathname that is the inode beneath the granted root, kept
/// open for as long as the route is.
pub(super) struct Route {
    encoded: EncodedAddress,
    inode: Option<OwnedFd>,
}

impl Route {
    fn to(target: &ConnectTarget, guest: &Guest, kind: Kind) -> Outcome<Route> {
        match &target.unix {
            None => Ok(Route {
                encoded: encode(kind, &target.address)?,
                inode: None,
            }),
            Some(UnixPlace { root, beneath }) => {
                let inode = guest.root(root)?.socket_at(beneath)?;
                Ok(Route {
                    encoded: unix_path::address_of(inode.as_fd()),
                    inode: Some(inode),
                })
            }
        }
    }
}

/// A destination that was judged: the permit, and the way there.
pub(super) struct Destination {
    asked: Address,
    permit: Permit<op::SendTo>,
    route: Route,
}

impl Destination {
    pub(super) fn new(
        asked: Address,
        permit: Permit<op::SendTo>,
        guest: &Guest,
        kind: Kind,
    ) -> Outcome<Destination> {
        let route = Route::to(permit.subject(), guest, kind)?;
        Ok(Destination {
            asked,
            permit,
            route,
        })
    }

    /// Whether this is the verdict on that address, and still counts.
    pub(super) fn answers(&self, asked: &Address, guest: &Guest) -> bool {
        self.permit.holds(guest.gate()) && self.asked == *asked
    }

    pub(super) fn permit(&self) -> &Permit<op::SendTo> {
        &self.permit
    }

    /// Whether the way there was a kept inode, which a restarted server leaves behind.
    pub(super) fn keeps_inode(&self) -> bool {
        self.route.inode.is_some()
    }
}

/// A sender that was judged and let through.
pub(super) struct Sender {
    pub(super) encoded: EncodedAddress,
    /// As it named itself, which is not always as it is judged.
    pub(super) address: Address,
    pub(super) permit: Permit<op::ReceiveFrom>,
    /// When it was last written into the table of those that may be answered; a message that is only looked at
    /// does not bring it there.
    pub(super) remembered: Option<Instant>,
}
