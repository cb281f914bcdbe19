//! Socket options: typed for what people set by hand, raw for everything; socket(7), ip(7), ipv6(7),
//! tcp(7), udp(7), unix(7).
//!
//! Those that the WIT package has a case for stand here; `numbers`, `socket`, `ip`, `info` and `repair` have those
//! that go by Linux's number.

use std::io;
use std::time::Duration;

use crate::bindings::sockgate::sockets::ancillary::Credentials;
use crate::bindings::sockgate::sockets::options::{self as raw, OptionName, OptionValue};
use crate::socket::Socket;

mod arguments;
mod group;
mod info;
mod ip;
mod numbers;
mod repair;
mod socket;

pub use arguments::OptionArgument;
pub use group::Group;
pub use info::{MemoryInfo, TcpInfo, TcpState};
pub use ip::MtuDiscovery;
pub use repair::{RepairQueue, RepairWindow};
pub use socket::TransmitTime;

/// A value as people write it, made into what the WIT package has.
trait IntoRaw<Raw> {
    fn into_raw(self) -> Raw;
}

/// A value as the WIT package has it, made into what people read.
trait FromRaw<Raw> {
    fn from_raw(raw: Raw) -> Self;
}

impl<T> IntoRaw<T> for T {
    fn into_raw(self) -> T {
        self
    }
}

impl<T> FromRaw<T> for T {
    fn from_raw(raw: T) -> Self {
        raw
    }
}

impl IntoRaw<u64> for Duration {
    fn into_raw(self) -> u64 {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromRaw<u64> for Duration {
    fn from_raw(raw: u64) -> Self {
        Duration::from_nanos(raw)
    }
}

impl IntoRaw<Option<u64>> for Option<Duration> {
    fn into_raw(self) -> Option<u64> {
        self.map(IntoRaw::into_raw)
    }
}

impl FromRaw<Option<u64>> for Option<Duration> {
    fn from_raw(raw: Option<u64>) -> Self {
        raw.map(FromRaw::from_raw)
    }
}

impl IntoRaw<String> for &str {
    fn into_raw(self) -> String {
        self.to_owned()
    }
}

impl Socket {
    fn set_typed(&self, value: OptionValue) -> io::Result<()> {
        Ok(raw::set(&self.raw, &value)?)
    }
}

fn other_option(asked: OptionName, answered: &OptionValue) -> io::Error {
    let text = format!("asked for the option {asked:?}, the host answered {answered:?}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

macro_rules! options {
    ($($(#[doc = $doc:literal])* $get:ident $(, $set:ident)?: $case:ident($value:ty $(= $read:ty)?);)*) => {
        /// Typed options. Policy: each is granted by name (`options = { set = [..], get = [..] }`).
        /// [`Errno::NOPROTOOPT`](crate::Errno::NOPROTOOPT) where this kind of socket has none such.
        impl Socket {$(
            options! { @get $(#[doc = $doc])* $get $case $value $(, $read)? }
            $(
                #[doc = concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").")]
                ///
                /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
                pub fn $set(&self, value: $value) -> io::Result<()> {
                    self.set_typed(OptionValue::$case(value.into_raw()))
                }
            )?
        )*}
    };
    (@get $(#[doc = $doc:literal])* $get:ident $case:ident $value:ty, $read:ty) => {
        options! { @get $(#[doc = $doc])* $get $case $read }
    };
    (@get $(#[doc = $doc:literal])* $get:ident $case:ident $value:ty) => {
        $(#[doc = $doc])*
        ///
        /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
        pub fn $get(&self) -> io::Result<$value> {
            match raw::get(&self.raw, OptionName::$case)? {
                OptionValue::$case(value) => Ok(FromRaw::from_raw(value)),
                other => Err(other_option(OptionName::$case, &other)),
            }
        }
    };
}

options! {
    /// SO_REUSEADDR: whether a server may bind while old connections linger.
    reuse_address, set_reuse_address: ReuseAddress(bool);
    /// SO_REUSEPORT: whether several sockets may bind to one port.
    reuse_port, set_reuse_port: ReusePort(bool);
    /// SO_KEEPALIVE: whether an idle connection is probed.
    keep_alive, set_keep_alive: KeepAlive(bool);
    /// SO_BROADCAST: whether datagrams may go to broadcast addresses.
    broadcast, set_broadcast: Broadcast(bool);
    /// SO_OOBINLINE: whether out-of-band data arrives in the stream.
    oob_inline, set_oob_inline: OobInline(bool);
    /// SO_DONTROUTE: whether only neighbours are reached.
    dont_route, set_dont_route: DontRoute(bool);
    /// SO_LINGER: how long close waits for unsent data (whole seconds, rounded up); none is off.
    linger, set_linger: Linger(Option<Duration>);
    /// SO_RCVBUF in bytes; the kernel doubles what is set.
    receive_buffer_size, set_receive_buffer_size: ReceiveBufferSize(u64);
    /// SO_SNDBUF in bytes; the kernel doubles what is set.
    send_buffer_size, set_send_buffer_size: SendBufferSize(u64);
    /// SO_RCVLOWAT in bytes.
    receive_low_water, set_receive_low_water: ReceiveLowWater(u32);
    /// SO_PRIORITY
    priority, set_priority: Priority(u32);
    /// SO_MARK
    mark, set_mark: Mark(u32);
    /// SO_BINDTODEVICE: the one interface it uses; empty is any.
    bind_to_device, set_bind_to_device: BindToDevice(&str = String);
    /// SO_INCOMING_CPU
    incoming_cpu, set_incoming_cpu: IncomingCpu(u32);
    /// SO_TIMESTAMPNS: whether a time stamp comes with every message.
    receive_timestamp, set_receive_timestamp: ReceiveTimestamp(bool);
    /// SO_PASSCRED: whether the sender's credentials come with every message.
    pass_credentials, set_pass_credentials: PassCredentials(bool);
    /// SO_RXQ_OVFL: whether the number of dropped messages comes with every message.
    receive_drop_count, set_receive_drop_count: ReceiveDropCount(bool);
    /// SO_ACCEPTCONN: whether it listens.
    accepting: Accepting(bool);
    /// SO_PEERCRED: who is at the other end of a Unix stream.
    peer_credentials: PeerCredentials(Credentials);
    /// IP_TTL or IPV6_UNICAST_HOPS, 1 to 255.
    hop_limit, set_hop_limit: HopLimit(u8);
    /// IP_TOS or IPV6_TCLASS
    traffic_class, set_traffic_class: TrafficClass(u8);
    /// IP_PKTINFO or IPV6_RECVPKTINFO: whether every datagram tells its destination and interface.
    receive_packet_info, set_receive_packet_info: ReceivePacketInfo(bool);
    /// IP_RECVTTL or IPV6_RECVHOPLIMIT: whether every datagram tells its hop limit.
    receive_hop_limit, set_receive_hop_limit: ReceiveHopLimit(bool);
    /// IP_RECVTOS or IPV6_RECVTCLASS: whether every datagram tells its traffic class.
    receive_traffic_class, set_receive_traffic_class: ReceiveTrafficClass(bool);
    /// IP_RECVERR or IPV6_RECVERR: whether errors are queued, see MSG_ERRQUEUE.
    receive_errors, set_receive_errors: ReceiveErrors(bool);
    /// IPV6_V6ONLY: whether an IPv6 socket leaves IPv4 alone.
    v6_only, set_v6_only: V6Only(bool);
    /// IP_MULTICAST_LOOP or IPV6_MULTICAST_LOOP: whether multicasts come back to this machine.
    multicast_loop, set_multicast_loop: MulticastLoop(bool);
    /// IP_MULTICAST_TTL or IPV6_MULTICAST_HOPS
    multicast_hops, set_multicast_hops: MulticastHops(u8);
    /// IP_MULTICAST_IF or IPV6_MULTICAST_IF: an interface's name; empty is the default.
    multicast_interface, set_multicast_interface: MulticastInterface(&str = String);
    /// TCP_NODELAY: whether small segments go out at once.
    no_delay, set_no_delay: NoDelay(bool);
    /// TCP_CORK: whether partial segments wait.
    cork, set_cork: Cork(bool);
    /// TCP_QUICKACK
    quick_ack, set_quick_ack: QuickAck(bool);
    /// TCP_KEEPIDLE (whole seconds, rounded up)
    keep_alive_idle, set_keep_alive_idle: KeepAliveIdle(Duration);
    /// TCP_KEEPINTVL (whole seconds, rounded up)
    keep_alive_interval, set_keep_alive_interval: KeepAliveInterval(Duration);
    /// TCP_KEEPCNT
    keep_alive_count, set_keep_alive_count: KeepAliveCount(u32);
    /// TCP_USER_TIMEOUT (whole milliseconds, rounded up)
    user_timeout, set_user_timeout: UserTimeout(Duration);
    /// TCP_DEFER_ACCEPT (whole seconds, rounded up)
    defer_accept, set_defer_accept: DeferAccept(Duration);
    /// TCP_MAXSEG in bytes.
    maximum_segment, set_maximum_segment: MaximumSegment(u32);
    /// TCP_CONGESTION: the algorithm's name.
    congestion, set_congestion: Congestion(&str = String);
    /// UDP_SEGMENT in bytes; 0 is off.
    segment_size, set_segment_size: SegmentSize(u16);
    /// UDP_GRO: whether datagrams may arrive joined.
    receive_segments, set_receive_segments: ReceiveSegments(bool);
}
