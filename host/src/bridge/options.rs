//! Socket options: the typed ones by one table of numbers and forms, the raw ones as they are.

use sockgate_policy::OptionName;
use wasmtime::component::Resource;

use super::bindings::sockgate::sockets::ancillary::Credentials;
use super::bindings::sockgate::sockets::errors;
use super::bindings::sockgate::sockets::options as wit;
use super::convert::{self, v4_from_wit, v6_from_wit};
use super::{Refusal, SocketsCtxView};
use crate::socket::group::{GroupChange, Membership};
use crate::socket::{Errno, Inner, Opaque, Socket, names, option as number};

type Handle = Resource<Socket>;

/// What an option's bytes are.
#[derive(Clone, Copy)]
enum Form {
    /// An `int` that is 0 or 1.
    Switch,
    /// An `int`.
    Number,
    /// An `int` of seconds, in nanoseconds here.
    Seconds,
    /// An `int` of milliseconds, in nanoseconds here.
    Milliseconds,
    /// Text with an optional final NUL.
    Text,
    /// `struct linger`.
    Linger,
    /// `struct ucred`.
    Credentials,
    /// An interface, by index (`ip_mreqn` for IPv4).
    Interface,
}

/// Where an option's number is.
#[derive(Clone, Copy)]
enum Place {
    /// The same for every family.
    At(i32, i32),
    /// IPv4's and IPv6's number, each at its own level.
    ByFamily(i32, i32),
}

use Form::{Interface, Linger, Milliseconds, Number, Seconds, Switch, Text};
use Place::{At, ByFamily};
use number::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET, SOL_UDP};

fn place_of(name: wit::OptionName) -> (Place, Form) {
    use wit::OptionName as Name;
    match name {
        Name::ReuseAddress => (At(SOL_SOCKET, number::SO_REUSEADDR), Switch),
        Name::ReusePort => (At(SOL_SOCKET, number::SO_REUSEPORT), Switch),
        Name::KeepAlive => (At(SOL_SOCKET, number::SO_KEEPALIVE), Switch),
        Name::Broadcast => (At(SOL_SOCKET, number::SO_BROADCAST), Switch),
        Name::OobInline => (At(SOL_SOCKET, number::SO_OOBINLINE), Switch),
        Name::DontRoute => (At(SOL_SOCKET, number::SO_DONTROUTE), Switch),
        Name::Linger => (At(SOL_SOCKET, number::SO_LINGER), Linger),
        Name::ReceiveBufferSize => (At(SOL_SOCKET, number::SO_RCVBUF), Number),
        Name::SendBufferSize => (At(SOL_SOCKET, number::SO_SNDBUF), Number),
        Name::ReceiveLowWater => (At(SOL_SOCKET, number::SO_RCVLOWAT), Number),
        Name::Priority => (At(SOL_SOCKET, number::SO_PRIORITY), Number),
        Name::Mark => (At(SOL_SOCKET, number::SO_MARK), Number),
        Name::BindToDevice => (At(SOL_SOCKET, number::SO_BINDTODEVICE), Text),
        Name::IncomingCpu => (At(SOL_SOCKET, number::SO_INCOMING_CPU), Number),
        Name::ReceiveTimestamp => (At(SOL_SOCKET, number::SO_TIMESTAMPNS), Switch),
        Name::PassCredentials => (At(SOL_SOCKET, number::SO_PASSCRED), Switch),
        Name::ReceiveDropCount => (At(SOL_SOCKET, number::SO_RXQ_OVFL), Switch),
        Name::Accepting => (At(SOL_SOCKET, number::SO_ACCEPTCONN), Switch),
        Name::PeerCredentials => (At(SOL_SOCKET, number::SO_PEERCRED), Form::Credentials),
        Name::HopLimit => (ByFamily(number::IP_TTL, number::IPV6_UNICAST_HOPS), Number),
        Name::TrafficClass => (ByFamily(number::IP_TOS, number::IPV6_TCLASS), Number),
        Name::ReceivePacketInfo => (
            ByFamily(number::IP_PKTINFO, number::IPV6_RECVPKTINFO),
            Switch,
        ),
        Name::ReceiveHopLimit => (
            ByFamily(number::IP_RECVTTL, number::IPV6_RECVHOPLIMIT),
            Switch,
        ),
        Name::ReceiveTrafficClass => (
            ByFamily(number::IP_RECVTOS, number::IPV6_RECVTCLASS),
            Switch,
        ),
        Name::ReceiveErrors => (ByFamily(number::IP_RECVERR, number::IPV6_RECVERR), Switch),
        Name::V6Only => (At(IPPROTO_IPV6, number::IPV6_V6ONLY), Switch),
        Name::MulticastLoop => (
            ByFamily(number::IP_MULTICAST_LOOP, number::IPV6_MULTICAST_LOOP),
            Switch,
        ),
        Name::MulticastHops => (
            ByFamily(number::IP_MULTICAST_TTL, number::IPV6_MULTICAST_HOPS),
            Number,
        ),
        Name::MulticastInterface => (
            ByFamily(number::IP_MULTICAST_IF, number::IPV6_MULTICAST_IF),
            Interface,
        ),
        Name::NoDelay => (At(IPPROTO_TCP, number::TCP_NODELAY), Switch),
        Name::Cork => (At(IPPROTO_TCP, number::TCP_CORK), Switch),
        Name::QuickAck => (At(IPPROTO_TCP, number::TCP_QUICKACK), Switch),
        Name::KeepAliveIdle => (At(IPPROTO_TCP, number::TCP_KEEPIDLE), Seconds),
        Name::KeepAliveInterval => (At(IPPROTO_TCP, number::TCP_KEEPINTVL), Seconds),
        Name::KeepAliveCount => (At(IPPROTO_TCP, number::TCP_KEEPCNT), Number),
        Name::UserTimeout => (At(IPPROTO_TCP, number::TCP_USER_TIMEOUT), Milliseconds),
        Name::DeferAccept => (At(IPPROTO_TCP, number::TCP_DEFER_ACCEPT), Seconds),
        Name::MaximumSegment => (At(IPPROTO_TCP, number::TCP_MAXSEG), Number),
        Name::Congestion => (At(IPPROTO_TCP, number::TCP_CONGESTION), Text),
        Name::SegmentSize => (At(SOL_UDP, number::UDP_SEGMENT), Number),
        Name::ReceiveSegments => (At(SOL_UDP, number::UDP_GRO), Switch),
    }
}

impl Place {
    fn on(self, inner: &Inner) -> Result<OptionName, Refusal> {
        let (level, name) = match self {
            At(level, name) => (level, name),
            ByFamily(four, six) => match inner.ip_level()? {
                IPPROTO_IP => (IPPROTO_IP, four),
                level => (level, six),
            },
        };
        Ok(OptionName { level, name })
    }
}

/// A value on its way to the kernel.
enum Value {
    Int(u64),
    Nanoseconds(u64),
    Text(String),
    Linger(Option<u64>),
    ReadOnly,
}

/// The case's name and its value.
fn split(value: wit::OptionValue) -> (wit::OptionName, Value) {
    use wit::{OptionName as Name, OptionValue as Typed};
    let int = |number: u32| Value::Int(number.into());
    let switch = |on: bool| Value::Int(on.into());
    match value {
        Typed::ReuseAddress(on) => (Name::ReuseAddress, switch(on)),
        Typed::ReusePort(on) => (Name::ReusePort, switch(on)),
        Typed::KeepAlive(on) => (Name::KeepAlive, switch(on)),
        Typed::Broadcast(on) => (Name::Broadcast, switch(on)),
        Typed::OobInline(on) => (Name::OobInline, switch(on)),
        Typed::DontRoute(on) => (Name::DontRoute, switch(on)),
        Typed::Linger(time) => (Name::Linger, Value::Linger(time)),
        Typed::ReceiveBufferSize(bytes) => (Name::ReceiveBufferSize, Value::Int(bytes)),
        Typed::SendBufferSize(bytes) => (Name::SendBufferSize, Value::Int(bytes)),
        Typed::ReceiveLowWater(bytes) => (Name::ReceiveLowWater, int(bytes)),
        Typed::Priority(priority) => (Name::Priority, int(priority)),
        Typed::Mark(mark) => (Name::Mark, int(mark)),
        Typed::BindToDevice(name) => (Name::BindToDevice, Value::Text(name)),
        Typed::IncomingCpu(cpu) => (Name::IncomingCpu, int(cpu)),
        Typed::ReceiveTimestamp(on) => (Name::ReceiveTimestamp, switch(on)),
        Typed::PassCredentials(on) => (Name::PassCredentials, switch(on)),
        Typed::ReceiveDropCount(on) => (Name::ReceiveDropCount, switch(on)),
        Typed::Accepting(_) => (Name::Accepting, Value::ReadOnly),
        Typed::PeerCredentials(_) => (Name::PeerCredentials, Value::ReadOnly),
        Typed::HopLimit(limit) => (Name::HopLimit, int(limit.into())),
        Typed::TrafficClass(class) => (Name::TrafficClass, int(class.into())),
        Typed::ReceivePacketInfo(on) => (Name::ReceivePacketInfo, switch(on)),
        Typed::ReceiveHopLimit(on) => (Name::ReceiveHopLimit, switch(on)),
        Typed::ReceiveTrafficClass(on) => (Name::ReceiveTrafficClass, switch(on)),
        Typed::ReceiveErrors(on) => (Name::ReceiveErrors, switch(on)),
        Typed::V6Only(on) => (Name::V6Only, switch(on)),
        Typed::MulticastLoop(on) => (Name::MulticastLoop, switch(on)),
        Typed::MulticastHops(hops) => (Name::MulticastHops, int(hops.into())),
        Typed::MulticastInterface(name) => (Name::MulticastInterface, Value::Text(name)),
        Typed::NoDelay(on) => (Name::NoDelay, switch(on)),
        Typed::Cork(on) => (Name::Cork, switch(on)),
        Typed::QuickAck(on) => (Name::QuickAck, switch(on)),
        Typed::KeepAliveIdle(time) => (Name::KeepAliveIdle, Value::Nanoseconds(time)),
        Typed::KeepAliveInterval(time) => (Name::KeepAliveInterval, Value::Nanoseconds(time)),
        Typed::KeepAliveCount(count) => (Name::KeepAliveCount, int(count)),
        Typed::UserTimeout(time) => (Name::UserTimeout, Value::Nanoseconds(time)),
        Typed::DeferAccept(time) => (Name::DeferAccept, Value::Nanoseconds(time)),
        Typed::MaximumSegment(bytes) => (Name::MaximumSegment, int(bytes)),
        Typed::Congestion(name) => (Name::Congestion, Value::Text(name)),
        Typed::SegmentSize(bytes) => (Name::SegmentSize, int(bytes.into())),
        Typed::ReceiveSegments(on) => (Name::ReceiveSegments, switch(on)),
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

fn int(number: u64) -> Result<Vec<u8>, Errno> {
    Ok(i32::try_from(number)
        .map_err(|_| Errno::INVAL)?
        .to_ne_bytes()
        .to_vec())
}

/// The bytes that setsockopt(2) takes.
fn encode(form: Form, value: Value, inner: &Inner) -> Result<Vec<u8>, Refusal> {
    Ok(match (form, value) {
        (Seconds, Value::Nanoseconds(time)) => int(time.div_ceil(NANOSECONDS))?,
        (Milliseconds, Value::Nanoseconds(time)) => int(time.div_ceil(1_000_000))?,
        (Linger, Value::Linger(time)) => {
            let mut bytes = int(time.is_some().into())?;
            bytes.extend(int(time.unwrap_or(0).div_ceil(NANOSECONDS))?);
            bytes
        }
        (Interface, Value::Text(name)) => interface_bytes(&name, inner)?,
        (Text, Value::Text(text)) => text.into_bytes(),
        (Switch | Number, Value::Int(number)) => int(number)?,
        _ => return Err(Errno::NOPROTOOPT.into()),
    })
}

/// `ip_mreqn` without addresses for IPv4, the bare index for IPv6.
fn interface_bytes(name: &str, inner: &Inner) -> Result<Vec<u8>, Refusal> {
    let index = if name.is_empty() {
        0
    } else {
        names::scope_index(name)?
    };
    let index = index.to_ne_bytes();
    Ok(match inner.ip_level()? {
        IPPROTO_IP => [[0; 4], [0; 4], index].concat(),
        _ => index.to_vec(),
    })
}

/// So many bytes are asked for.
fn room(form: Form) -> u32 {
    match form {
        Switch | Number | Seconds | Milliseconds => 4,
        Linger => 8,
        Form::Credentials => 12,
        Interface => 12,
        Text => 64,
    }
}

fn number_in(bytes: &[u8]) -> Result<u64, Errno> {
    let value = match bytes {
        [byte] => i32::from(*byte),
        _ => i32::from_ne_bytes(*bytes.first_chunk().ok_or(Errno::INVAL)?),
    };
    Ok(u64::try_from(value).unwrap_or(0))
}

fn text_in(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn linger_in(bytes: &[u8]) -> Result<Option<u64>, Errno> {
    let (on, seconds) = bytes.split_at_checked(4).ok_or(Errno::INVAL)?;
    Ok((number_in(on)? != 0).then_some(number_in(seconds)? * NANOSECONDS))
}

fn credentials_in(bytes: &[u8]) -> Result<Credentials, Errno> {
    let word = |at: usize| {
        bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .copied()
            .ok_or(Errno::INVAL)
    };
    Ok(Credentials {
        pid: i32::from_ne_bytes(word(0)?),
        uid: u32::from_ne_bytes(word(4)?),
        gid: u32::from_ne_bytes(word(8)?),
    })
}

/// IPv4 answers with an address where IPv6 answers with an index; only the index names an interface.
fn interface_in(bytes: &[u8], level: i32) -> Result<String, Errno> {
    let index = match level {
        IPPROTO_IP => bytes.get(8..12),
        _ => bytes.get(..4),
    };
    let index = index.map_or(Ok(0), number_in)?;
    let index = u32::try_from(index).map_err(|_| Errno::INVAL)?;
    Ok(if index == 0 {
        String::new()
    } else {
        names::scope_name(index).unwrap_or_default()
    })
}

/// The typed value of what getsockopt(2) gave.
fn typed(
    name: wit::OptionName,
    form: Form,
    level: i32,
    bytes: &[u8],
) -> Result<wit::OptionValue, Errno> {
    use wit::{OptionName as Name, OptionValue as Typed};
    let on = || number_in(bytes).map(|number| number != 0);
    let number = || number_in(bytes).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let small = || number_in(bytes).map(|number| u8::try_from(number).unwrap_or(u8::MAX));
    let time = || {
        let unit = if matches!(form, Seconds) {
            NANOSECONDS
        } else {
            1_000_000
        };
        number_in(bytes).map(|number| number * unit)
    };
    Ok(match name {
        Name::ReuseAddress => Typed::ReuseAddress(on()?),
        Name::ReusePort => Typed::ReusePort(on()?),
        Name::KeepAlive => Typed::KeepAlive(on()?),
        Name::Broadcast => Typed::Broadcast(on()?),
        Name::OobInline => Typed::OobInline(on()?),
        Name::DontRoute => Typed::DontRoute(on()?),
        Name::Linger => Typed::Linger(linger_in(bytes)?),
        Name::ReceiveBufferSize => Typed::ReceiveBufferSize(number_in(bytes)?),
        Name::SendBufferSize => Typed::SendBufferSize(number_in(bytes)?),
        Name::ReceiveLowWater => Typed::ReceiveLowWater(number()?),
        Name::Priority => Typed::Priority(number()?),
        Name::Mark => Typed::Mark(number()?),
        Name::BindToDevice => Typed::BindToDevice(text_in(bytes)),
        Name::IncomingCpu => Typed::IncomingCpu(number()?),
        Name::ReceiveTimestamp => Typed::ReceiveTimestamp(on()?),
        Name::PassCredentials => Typed::PassCredentials(on()?),
        Name::ReceiveDropCount => Typed::ReceiveDropCount(on()?),
        Name::Accepting => Typed::Accepting(on()?),
        Name::PeerCredentials => Typed::PeerCredentials(credentials_in(bytes)?),
        Name::HopLimit => Typed::HopLimit(small()?),
        Name::TrafficClass => Typed::TrafficClass(small()?),
        Name::ReceivePacketInfo => Typed::ReceivePacketInfo(on()?),
        Name::ReceiveHopLimit => Typed::ReceiveHopLimit(on()?),
        Name::ReceiveTrafficClass => Typed::ReceiveTrafficClass(on()?),
        Name::ReceiveErrors => Typed::ReceiveErrors(on()?),
        Name::V6Only => Typed::V6Only(on()?),
        Name::MulticastLoop => Typed::MulticastLoop(on()?),
        Name::MulticastHops => Typed::MulticastHops(small()?),
        Name::MulticastInterface => Typed::MulticastInterface(interface_in(bytes, level)?),
        Name::NoDelay => Typed::NoDelay(on()?),
        Name::Cork => Typed::Cork(on()?),
        Name::QuickAck => Typed::QuickAck(on()?),
        Name::KeepAliveIdle => Typed::KeepAliveIdle(time()?),
        Name::KeepAliveInterval => Typed::KeepAliveInterval(time()?),
        Name::KeepAliveCount => Typed::KeepAliveCount(number()?),
        Name::UserTimeout => Typed::UserTimeout(time()?),
        Name::DeferAccept => Typed::DeferAccept(time()?),
        Name::MaximumSegment => Typed::MaximumSegment(number()?),
        Name::Congestion => Typed::Congestion(text_in(bytes)),
        Name::SegmentSize => Typed::SegmentSize(u16::try_from(number()?).unwrap_or(u16::MAX)),
        Name::ReceiveSegments => Typed::ReceiveSegments(on()?),
    })
}

fn change_v4(what: Membership, membership: wit::MembershipV4) -> GroupChange {
    GroupChange {
        what,
        group: v4_from_wit(membership.group).into(),
        source: membership.source.map(|source| v4_from_wit(source).into()),
        interface: membership.interface,
    }
}

fn change_v6(what: Membership, membership: wit::MembershipV6) -> GroupChange {
    GroupChange {
        what,
        group: v6_from_wit(membership.group).into(),
        source: membership.source.map(|source| v6_from_wit(source).into()),
        interface: membership.interface,
    }
}

impl wit::Host for SocketsCtxView<'_> {
    async fn set(&mut self, socket: Handle, value: wit::OptionValue) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        let (name, value) = split(value);
        let (place, form) = place_of(name);
        let number = place.on(inner)?;
        Ok(inner.set_option(number, &encode(form, value, inner)?)?)
    }

    async fn get(
        &mut self,
        socket: Handle,
        name: wit::OptionName,
    ) -> Result<wit::OptionValue, Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        let (place, form) = place_of(name);
        let number = place.on(inner)?;
        let mut bytes = inner.get_option(number, room(form))?;
        if let Some(set) = inner.multicast_interface_set(number) {
            bytes = set;
        }
        Ok(typed(name, form, number.level, &bytes)?)
    }

    async fn take_error(&mut self, socket: Handle) -> Result<Option<errors::Errno>, Refusal> {
        Ok(self
            .socket(&socket)?
            .inner()?
            .take_error()?
            .map(convert::errno))
    }

    async fn join_group_v4(
        &mut self,
        socket: Handle,
        membership: wit::MembershipV4,
    ) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(inner.change_group(&change_v4(Membership::Join, membership))?)
    }

    async fn leave_group_v4(
        &mut self,
        socket: Handle,
        membership: wit::MembershipV4,
    ) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(inner.change_group(&change_v4(Membership::Leave, membership))?)
    }

    async fn join_group_v6(
        &mut self,
        socket: Handle,
        membership: wit::MembershipV6,
    ) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(inner.change_group(&change_v6(Membership::Join, membership))?)
    }

    async fn leave_group_v6(
        &mut self,
        socket: Handle,
        membership: wit::MembershipV6,
    ) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(inner.change_group(&change_v6(Membership::Leave, membership))?)
    }

    async fn block_source_v4(
        &mut self,
        socket: Handle,
        membership: wit::MembershipV4,
    ) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(inner.change_group(&change_v4(Membership::Block, membership))?)
    }

    async fn unblock_source_v4(
        &mut self,
        socket: Handle,
        membership: wit::MembershipV4,
    ) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(inner.change_group(&change_v4(Membership::Unblock, membership))?)
    }

    async fn block_source_v6(
        &mut self,
        socket: Handle,
        membership: wit::MembershipV6,
    ) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(inner.change_group(&change_v6(Membership::Block, membership))?)
    }

    async fn unblock_source_v6(
        &mut self,
        socket: Handle,
        membership: wit::MembershipV6,
    ) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(inner.change_group(&change_v6(Membership::Unblock, membership))?)
    }

    async fn get_raw(
        &mut self,
        socket: Handle,
        level: i32,
        name: i32,
        max: u32,
    ) -> Result<Vec<u8>, Refusal> {
        Ok(self
            .socket(&socket)?
            .inner()?
            .get_option(OptionName { level, name }, max)?)
    }

    async fn set_raw(
        &mut self,
        socket: Handle,
        level: i32,
        name: i32,
        value: Vec<u8>,
    ) -> Result<(), Refusal> {
        Ok(self
            .socket(&socket)?
            .inner()?
            .set_option(OptionName { level, name }, &value)?)
    }

    async fn set_raw_length(
        &mut self,
        socket: Handle,
        level: i32,
        name: i32,
        length: u32,
    ) -> Result<(), Refusal> {
        Ok(self
            .socket(&socket)?
            .inner()?
            .set_option_length(OptionName { level, name }, length)?)
    }

    async fn peer_pidfd(&mut self, socket: Handle) -> Result<Resource<Opaque>, Refusal> {
        let pidfd = self.socket(&socket)?.inner()?.peer_pidfd()?;
        Ok(self.table.push(pidfd)?)
    }
}
