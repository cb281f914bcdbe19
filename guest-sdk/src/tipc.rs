//! TIPC: services instead of addresses, tipc(7), linux/tipc.h.

use std::io;
use std::time::Duration;

pub use crate::address::{TipcAddress, TipcEndpoint};
use crate::ancillary::{AncillaryIn, space};
use crate::consts::{
    SOL_TIPC, TIPC_CONN_TIMEOUT, TIPC_DEST_DROPPABLE, TIPC_DESTNAME, TIPC_ERRINFO, TIPC_GROUP_JOIN,
    TIPC_GROUP_LEAVE, TIPC_IMPORTANCE, TIPC_NODELAY, TIPC_RETDATA, TIPC_SUB_CANCEL, TIPC_SUB_PORTS,
    TIPC_SUB_SERVICE, TIPC_TOP_SRV,
};
use crate::convenience::BACKLOG;
use crate::message::Message;
use crate::shape::data_socket;
use crate::socket::Socket;
use crate::types::{Family, MessageFlags, Protocol, SocketType};
use crate::wire::{Fields, malformed, words};

/// How much a congested node prefers a socket's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TipcImportance {
    /// TIPC_LOW_IMPORTANCE, as at first.
    Low = 0,
    /// TIPC_MEDIUM_IMPORTANCE
    Medium = 1,
    /// TIPC_HIGH_IMPORTANCE
    High = 2,
    /// TIPC_CRITICAL_IMPORTANCE
    Critical = 3,
}

/// A socket's place in a group: struct tipc_group_req.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TipcGroup {
    /// The group.
    pub group: u32,
    /// The member's instance in it.
    pub instance: u32,
    /// TIPC_CLUSTER_SCOPE or TIPC_NODE_SCOPE.
    pub scope: u32,
    /// `TIPC_GROUP_*` bits, [`consts`](crate::consts).
    pub flags: u32,
}

impl TipcGroup {
    /// A member of a group of the whole cluster.
    pub const fn new(group: u32, instance: u32) -> Self {
        Self {
            group,
            instance,
            scope: 2,
            flags: 0,
        }
    }

    /// The request as a struct tipc_group_req.
    pub fn encode(&self) -> [u8; 16] {
        words([self.group, self.instance, self.scope, self.flags])
    }
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TipcMessage {
    /// Its bytes; those of the rejected message where it is one that came back.
    pub data: Vec<u8>,
    /// Who sent it.
    pub source: Option<TipcAddress>,
    /// Why it came back (`TIPC_ERR_*`: 1 no name, 2 no port, 3 no node, 4 overload, 5 shut down).
    pub rejected: Option<u32>,
    /// The service that it was sent to: type, first and last instance.
    pub destination: Option<(u32, u32, u32)>,
    /// Whether it is an event of the group and no data (MSG_OOB): `end_of_record` tells that the member
    /// left.
    pub group_event: bool,
    /// MSG_EOR
    pub end_of_record: bool,
}

impl From<Message> for TipcMessage {
    fn from(message: Message) -> Self {
        let mut received = Self {
            source: message.source.and_then(|source| source.try_into().ok()),
            data: message.data,
            rejected: None,
            destination: None,
            group_event: message.flags.contains(MessageFlags::OOB),
            end_of_record: message.flags.contains(MessageFlags::EOR),
        };
        for ancillary in message.ancillary {
            let AncillaryIn::Raw(raw) = ancillary else {
                continue;
            };
            let mut fields = Fields::new(&raw.data);
            match (raw.level, raw.type_) {
                (SOL_TIPC, TIPC_ERRINFO) => received.rejected = fields.u32(),
                (SOL_TIPC, TIPC_RETDATA) => received.data = raw.data,
                (SOL_TIPC, TIPC_DESTNAME) => received.destination = range(&mut fields),
                _ => {}
            }
        }
        received
    }
}

/// A struct tipc_service_range.
fn range(fields: &mut Fields<'_>) -> Option<(u32, u32, u32)> {
    Some((fields.u32()?, fields.u32()?, fields.u32()?))
}

/// A TIPC socket of any type.
///
/// ```no_run
/// use sockgate_guest::tipc::{TipcAddress, TipcSocket};
///
/// let server = TipcSocket::datagram()?;
/// server.bind(TipcAddress::service(18888, 17))?;
/// let client = TipcSocket::datagram()?;
/// client.send_to(b"hello", TipcAddress::service(18888, 17))?;
/// println!("{:?}", server.recv_message(100)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TipcSocket {
    socket: Socket,
}

data_socket! { TipcSocket }

impl TipcSocket {
    fn new(socket_type: SocketType) -> io::Result<Self> {
        Ok(Socket::new(Family::Tipc, socket_type, Protocol::Default)?.into())
    }

    /// Reliable datagrams (SOCK_RDM): those that nobody takes come back.
    ///
    /// socket(2). Policy: some rule for `tipc`. Errors: `EACCES`, `EAFNOSUPPORT` where the kernel has no
    /// TIPC.
    pub fn datagram() -> io::Result<Self> {
        Self::new(SocketType::Rdm)
    }

    /// Unreliable datagrams (SOCK_DGRAM).
    ///
    /// socket(2). Policy: some rule for `tipc`. Errors: `EACCES`, `EAFNOSUPPORT` where the kernel has no
    /// TIPC.
    pub fn unreliable() -> io::Result<Self> {
        Self::new(SocketType::Datagram)
    }

    /// A byte stream (SOCK_STREAM).
    ///
    /// socket(2). Policy: some rule for `tipc`. Errors: `EACCES`, `EAFNOSUPPORT` where the kernel has no
    /// TIPC.
    pub fn stream() -> io::Result<Self> {
        Self::new(SocketType::Stream)
    }

    /// A connection that keeps the bounds of messages (SOCK_SEQPACKET).
    ///
    /// socket(2). Policy: some rule for `tipc`. Errors: `EACCES`, `EAFNOSUPPORT` where the kernel has no
    /// TIPC.
    pub fn seqpacket() -> io::Result<Self> {
        Self::new(SocketType::Seqpacket)
    }

    /// Two connected sockets. Policy: `socketpair`.
    ///
    /// socketpair(2). Errors: `EACCES`, `EAFNOSUPPORT`.
    pub fn pair(socket_type: SocketType) -> io::Result<(Self, Self)> {
        let (one, other) = Socket::pair(Family::Tipc, socket_type, Protocol::Default)?;
        Ok((one.into(), other.into()))
    }

    /// Serves a service or a range of instances; a socket may have several. Policy: `bind` with `service`,
    /// `instance`, `scope`.
    ///
    /// bind(2). Errors: `EACCES`, `EINVAL` for a range that is none.
    pub fn bind(&self, address: TipcAddress) -> io::Result<()> {
        self.socket.bind(address)
    }

    /// Serves it no longer.
    ///
    /// bind(2) with the scope turned round. Policy: `bind`, as for serving it. Errors: `EINVAL` where it
    /// was not served.
    pub fn withdraw(&self, address: TipcAddress) -> io::Result<()> {
        self.socket.bind(address.withdrawn())
    }

    /// Waits for connections.
    ///
    /// listen(2). Policy: `listen` with `service` and `instance`. Errors: `EACCES`.
    pub fn listen(&self) -> io::Result<()> {
        self.socket.listen(BACKLOG)
    }

    /// Takes a connection: the socket, and who it comes from.
    ///
    /// accept(2). Policy: part of `listen`; peers that the rule does not name are reset and not reported.
    /// Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking), `EMFILE` at the policy's limit.
    pub fn accept(&self) -> io::Result<(Self, TipcAddress)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((socket.into(), peer.try_into()?))
    }

    /// Connects to a service; a datagram socket sends there from then on.
    ///
    /// connect(2). Policy: `connect` (datagrams: `send-to`) with `service` and `instance`. Errors:
    /// `EACCES`, `EHOSTUNREACH` or `ECONNREFUSED` where nobody serves it.
    pub fn connect(&self, address: TipcAddress) -> io::Result<()> {
        self.socket.connect(address)
    }

    /// Sends to the peer.
    ///
    /// send(2). Policy: part of `connect`, `listen` or `socketpair`. Errors: `EPIPE`, `EMSGSIZE`.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data)
    }

    /// Sends at most 66000 bytes to one socket of a service, to one socket, or to all of a range. Policy:
    /// `send-to`.
    ///
    /// sendto(2). Errors: `EACCES`, `EHOSTUNREACH`, `EMSGSIZE`.
    pub fn send_to(&self, data: &[u8], to: TipcAddress) -> io::Result<usize> {
        self.socket.send_to(data, to)
    }

    /// Receives into a buffer: how many bytes.
    ///
    /// recv(2). Policy: part of what connected it, or `receive`. Errors: `ETIMEDOUT`, `ECONNRESET`.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// Receives a message of at most `max` bytes, with what is known of it.
    ///
    /// recvmsg(2). Policy: `receive`. Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn recv_message(&self, max: usize) -> io::Result<TipcMessage> {
        // What came back travels beside the message.
        let room = space(8) + space(12) + space(1024);
        let message = self.socket.recv_msg(max, room, MessageFlags::empty())?;
        Ok(message.into())
    }

    /// Its own address on its node: what replies go to.
    ///
    /// getsockname(2). Policy: part of what bound it. Errors: `EBADF` after close.
    pub fn local_addr(&self) -> io::Result<TipcAddress> {
        self.socket.local_address()?.try_into()
    }

    /// The address of the other end.
    ///
    /// getpeername(2). Policy: part of what connected it. Errors: `ENOTCONN`.
    pub fn peer_addr(&self) -> io::Result<TipcAddress> {
        self.socket.peer_address()?.try_into()
    }

    /// TIPC_IMPORTANCE
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EINVAL`.
    pub fn set_importance(&self, importance: TipcImportance) -> io::Result<()> {
        self.set(TIPC_IMPORTANCE, importance as i32)
    }

    /// TIPC_IMPORTANCE
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`.
    pub fn importance(&self) -> io::Result<TipcImportance> {
        match self.socket.number(SOL_TIPC, TIPC_IMPORTANCE)? {
            0 => Ok(TipcImportance::Low),
            1 => Ok(TipcImportance::Medium),
            2 => Ok(TipcImportance::High),
            3 => Ok(TipcImportance::Critical),
            other => Err(malformed(&format!("the importance {other}, of 0 to 3"))),
        }
    }

    /// TIPC_DEST_DROPPABLE: whether a message that nobody takes is dropped instead of coming back.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_droppable(&self, on: bool) -> io::Result<()> {
        self.set(TIPC_DEST_DROPPABLE, on.into())
    }

    /// TIPC_NODELAY: whether small segments of a stream go out at once.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EINVAL` on other types.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.set(TIPC_NODELAY, on.into())
    }

    /// TIPC_CONN_TIMEOUT: how long connecting may take, in whole milliseconds; 8 s at first.
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`.
    pub fn set_connect_timeout(&self, timeout: Duration) -> io::Result<()> {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        self.set(TIPC_CONN_TIMEOUT, milliseconds)
    }

    fn set(&self, option: i32, value: i32) -> io::Result<()> {
        self.socket.set_number(SOL_TIPC, option, value)
    }

    /// TIPC_GROUP_JOIN: becomes a member of a group. Policy: `bind` with the group as `service` and the member
    /// as `instance`, by a rule that names the option `tipc.group-join`.
    ///
    /// Errors: `EACCES`, `EINVAL` where it is a member already.
    pub fn join(&self, group: &TipcGroup) -> io::Result<()> {
        self.socket
            .set_raw_option(SOL_TIPC, TIPC_GROUP_JOIN, &group.encode())
    }

    /// TIPC_GROUP_LEAVE
    ///
    /// setsockopt(2). Policy: `options.set`. Errors: `EINVAL` where it is no member.
    pub fn leave(&self) -> io::Result<()> {
        // The kernel takes no value at all here, not even an empty one.
        self.socket
            .set_raw_option_length(SOL_TIPC, TIPC_GROUP_LEAVE, 0)
    }
}

/// What the topology server is asked to tell: struct tipc_subscr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TipcSubscription {
    /// The service: type, first and last instance.
    pub range: (u32, u32, u32),
    /// How long, in whole milliseconds; none is for ever.
    pub timeout: Option<Duration>,
    /// `TIPC_SUB_*` bits, [`consts`](crate::consts).
    pub filter: u32,
    /// What the events bring back.
    pub handle: [u8; 8],
}

/// TIPC_WAIT_FOREVER
const FOREVER: u32 = u32::MAX;

impl TipcSubscription {
    /// Tells when the service is there first, and when it is gone, for ever.
    pub const fn service(service_type: u32, lower: u32, upper: u32) -> Self {
        Self {
            range: (service_type, lower, upper),
            timeout: None,
            filter: TIPC_SUB_SERVICE,
            handle: [0; 8],
        }
    }

    /// Tells of every socket that binds to the service or withdraws.
    pub const fn ports(service_type: u32, lower: u32, upper: u32) -> Self {
        Self {
            filter: TIPC_SUB_PORTS,
            ..Self::service(service_type, lower, upper)
        }
    }

    /// The subscription as a struct tipc_subscr.
    pub fn encode(&self) -> [u8; 28] {
        let (service_type, lower, upper) = self.range;
        let timeout = self.timeout.map_or(FOREVER, |timeout| {
            u32::try_from(timeout.as_millis()).unwrap_or(FOREVER)
        });
        let mut bytes = words([service_type, lower, upper, timeout, self.filter]);
        bytes[20..].copy_from_slice(&self.handle);
        bytes
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let range = range(fields)?;
        let timeout = fields.u32()?;
        Some(Self {
            range,
            timeout: (timeout != FOREVER).then(|| Duration::from_millis(timeout.into())),
            filter: fields.u32()?,
            handle: fields.array()?,
        })
    }
}

/// What happened to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TipcEventKind {
    /// TIPC_PUBLISHED: it is there.
    Published,
    /// TIPC_WITHDRAWN: it is gone.
    Withdrawn,
    /// TIPC_SUBSCR_TIMEOUT: the subscription's time is over.
    TimedOut,
}

/// An event of the topology server: struct tipc_event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TipcEvent {
    /// What happened.
    pub kind: TipcEventKind,
    /// The instances it happened to, first and last.
    pub found: (u32, u32),
    /// The socket: its number and its node.
    pub socket: (u32, u32),
    /// The subscription that it answers.
    pub subscription: TipcSubscription,
}

impl TipcEvent {
    /// The event in what was received; none where it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let kind = match fields.u32()? {
            1 => TipcEventKind::Published,
            2 => TipcEventKind::Withdrawn,
            3 => TipcEventKind::TimedOut,
            _ => return None,
        };
        Some(Self {
            kind,
            found: (fields.u32()?, fields.u32()?),
            socket: (fields.u32()?, fields.u32()?),
            subscription: TipcSubscription::decode(&mut fields)?,
        })
    }
}

/// Bytes of a struct tipc_event.
const EVENT: usize = 48;

/// A connection to the topology server, which tells when services come and go.
///
/// ```no_run
/// use sockgate_guest::tipc::{TipcSubscription, TipcTopology};
///
/// let topology = TipcTopology::connect()?;
/// topology.subscribe(&TipcSubscription::service(18888, 0, u32::MAX))?;
/// println!("{:?}", topology.next_event()?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TipcTopology {
    socket: Socket,
}

data_socket! { TipcTopology }

impl TipcTopology {
    /// Connects to this node's topology server. Policy: `connect` with service 1, instance 1.
    ///
    /// connect(2). Errors: `EACCES`, `EAFNOSUPPORT` where the kernel has no TIPC.
    pub fn connect() -> io::Result<Self> {
        let socket = TipcSocket::seqpacket()?.into_socket();
        socket.connect(TipcAddress::service(TIPC_TOP_SRV, TIPC_TOP_SRV))?;
        Ok(socket.into())
    }

    /// Asks to be told.
    ///
    /// send(2). Policy: part of `connect`. Errors: `EPIPE` where the server ended the connection.
    pub fn subscribe(&self, subscription: &TipcSubscription) -> io::Result<()> {
        self.socket.send(&subscription.encode())?;
        Ok(())
    }

    /// Asks to be told no longer (TIPC_SUB_CANCEL); the subscription is the one that was made.
    ///
    /// send(2). Policy: part of `connect`. Errors: as [`subscribe`](Self::subscribe).
    pub fn cancel(&self, subscription: &TipcSubscription) -> io::Result<()> {
        let mut cancelled = *subscription;
        cancelled.filter |= TIPC_SUB_CANCEL;
        self.subscribe(&cancelled)
    }

    /// Waits for the next event.
    ///
    /// recv(2). Policy: part of `connect`. Errors: `ETIMEDOUT`, `EAGAIN` (non-blocking).
    pub fn next_event(&self) -> io::Result<TipcEvent> {
        let bytes = self.socket.recv_vec(EVENT)?;
        TipcEvent::decode(&bytes).ok_or_else(|| malformed("no event of the TIPC topology"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ancillary::RawAncillary;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn events_hold_their_subscription(
            range in any::<(u32, u32, u32)>(), milliseconds in proptest::option::of(0..FOREVER),
            filter: u32, handle: [u8; 8], kind in 1..4u32, found in any::<[u32; 4]>(),
        ) {
            let timeout = milliseconds.map(|time| Duration::from_millis(time.into()));
            let subscription = TipcSubscription { range, timeout, filter, handle };
            let head: [u8; 20] = words([kind, found[0], found[1], found[2], found[3]]);
            let bytes = [&head[..], &subscription.encode()].concat();
            prop_assert_eq!(bytes.len(), EVENT);
            let event = TipcEvent::decode(&bytes).unwrap();
            prop_assert_eq!(event.subscription, subscription);
            prop_assert_eq!(event.socket, (found[2], found[3]));
            prop_assert_eq!(TipcEvent::decode(&bytes[..EVENT - 1]), None);
        }
    }

    #[test]
    fn what_came_back_is_told() {
        let raw = |type_, data: &[u8]| {
            AncillaryIn::Raw(RawAncillary {
                level: SOL_TIPC,
                type_,
                data: data.to_vec(),
            })
        };
        let message = TipcMessage::from(Message {
            data: Vec::new(),
            true_length: 0,
            flags: MessageFlags::empty(),
            source: Some(TipcAddress::socket(1, 2).into()),
            ancillary: vec![
                raw(TIPC_ERRINFO, &[1, 0, 0, 0, 2, 0, 0, 0]),
                raw(TIPC_RETDATA, b"hi"),
            ],
        });
        assert_eq!(
            (message.rejected, message.data.as_slice()),
            (Some(1), &b"hi"[..])
        );
        assert_eq!(message.source, Some(TipcAddress::socket(1, 2)));
        assert_eq!(
            TipcGroup::new(7, 9).encode()[..12],
            [7, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0]
        );
    }
}
