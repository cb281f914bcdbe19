//! Typed options whose value is one `int`, by Linux's number.

use std::io;
use std::time::Duration;

use crate::consts::*;
use crate::socket::Socket;
use crate::types::Family;

/// What an option's `int` means.
trait Meaning: Sized {
    fn read(number: i32) -> Self;
    fn write(self) -> i32;
}

impl Meaning for bool {
    fn read(number: i32) -> bool {
        number != 0
    }

    fn write(self) -> i32 {
        self.into()
    }
}

impl Meaning for u32 {
    fn read(number: i32) -> u32 {
        number.cast_unsigned()
    }

    fn write(self) -> i32 {
        self.cast_signed()
    }
}

impl Meaning for u8 {
    fn read(number: i32) -> u8 {
        u8::try_from(number).unwrap_or(u8::MAX)
    }

    fn write(self) -> i32 {
        self.into()
    }
}

/// A unit that an option counts time in. What is set is rounded up, so that it never becomes nothing.
#[derive(Clone, Copy)]
struct Unit(u128);

const SECONDS: Unit = Unit(1_000_000_000);
const MILLISECONDS: Unit = Unit(1_000_000);
const MICROSECONDS: Unit = Unit(1_000);

impl Unit {
    fn read(self, number: i32) -> Duration {
        let number = u64::try_from(number).unwrap_or(0);
        Duration::from_nanos(number.saturating_mul(self.0 as u64))
    }

    fn write(self, time: Duration) -> i32 {
        i32::try_from(time.as_nanos().div_ceil(self.0)).unwrap_or(i32::MAX)
    }
}

impl Socket {
    /// IPv4's or IPv6's level and number, by the socket's family.
    pub(super) fn by_family(&self, four: i32, six: i32) -> io::Result<(i32, i32)> {
        Ok(match self.family()? {
            Family::Inet6 => (SOL_IPV6, six),
            _ => (SOL_IP, four),
        })
    }
}

/// One getter and setter: `both`, or the one that there is.
macro_rules! accessors {
    ($(#[doc = $doc:literal])* both $get:ident $set:ident $type:ty [$($unit:ident)?] $place:tt) => {
        accessors! { $(#[doc = $doc])* get $get $type [$($unit)?] $place }
        accessors! { @set concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").");
            $set $type [$($unit)?] $place }
    };
    ($(#[doc = $doc:literal])* get $get:ident $type:ty [$($unit:ident)?] $place:tt) => {
        $(#[doc = $doc])*
        ///
        /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
        pub fn $get(&self) -> io::Result<$type> {
            let (level, name) = accessors!(@place self $place);
            let number = self.option(level, name)?;
            Ok(accessors!(@read number $($unit)?))
        }
    };
    ($(#[doc = $doc:literal])* set $set:ident $type:ty [$($unit:ident)?] $place:tt) => {
        accessors! { @set concat!($($doc, "\n"),*); $set $type [$($unit)?] $place }
    };
    (@set $doc:expr; $set:ident $type:ty [$($unit:ident)?] $place:tt) => {
        #[doc = $doc]
        ///
        /// setsockopt(2). Policy: `options.set`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets, `EINVAL`.
        pub fn $set(&self, value: $type) -> io::Result<()> {
            let (level, name) = accessors!(@place self $place);
            self.set_number(level, name, accessors!(@write value $($unit)?))
        }
    };
    (@place $self:ident ($level:ident $name:ident)) => { ($level, $name) };
    (@place $self:ident ($four:ident | $six:ident)) => { $self.by_family($four, $six)? };
    (@read $number:ident) => { Meaning::read($number) };
    (@read $number:ident $unit:ident) => { $unit.read($number) };
    (@write $value:ident) => { Meaning::write($value) };
    (@write $value:ident $unit:ident) => { $unit.write($value) };
}

macro_rules! options {
    ($($(#[doc = $doc:literal])* $how:ident $first:ident $($second:ident)?: $type:ty $(as $unit:ident)?, $place:tt;)*) => {
        $(accessors! { $(#[doc = $doc])* $how $first $($second)? $type [$($unit)?] $place })*
    };
}

/// Options of every socket, socket(7). Policy: each is granted by name (`options = { set = [..], get = [..] }`).
impl Socket {
    options! {
        /// SO_DEBUG: whether the kernel records what it does; takes privilege.
        both debug set_debug: bool, (SOL_SOCKET SO_DEBUG);
        /// SO_NO_CHECK: whether UDP datagrams go out without a checksum.
        both no_checksum set_no_checksum: bool, (SOL_SOCKET SO_NO_CHECK);
        /// SO_TIMESTAMP: whether a time stamp in microseconds comes with every message;
        /// [`receive_timestamp`](Self::receive_timestamp) is the one in nanoseconds.
        both receive_timestamp_microseconds set_receive_timestamp_microseconds: bool, (SOL_SOCKET SO_TIMESTAMP);
        /// SO_PASSSEC: whether the sender's security label comes with every message.
        both pass_security set_pass_security: bool, (SOL_SOCKET SO_PASSSEC);
        /// SO_PASSPIDFD: whether a descriptor of the sender's process comes with every message.
        both pass_pidfd set_pass_pidfd: bool, (SOL_SOCKET SO_PASSPIDFD);
        /// SO_PASSRIGHTS: whether descriptors may arrive.
        both pass_rights set_pass_rights: bool, (SOL_SOCKET SO_PASSRIGHTS);
        /// SO_RCVMARK: whether a packet's mark comes with every message.
        both receive_mark set_receive_mark: bool, (SOL_SOCKET SO_RCVMARK);
        /// SO_ZEROCOPY: whether MSG_ZEROCOPY may be asked for.
        both zero_copy set_zero_copy: bool, (SOL_SOCKET SO_ZEROCOPY);
        /// SO_BUSY_POLL: how long a receive polls the device itself, in whole microseconds.
        both busy_poll set_busy_poll: Duration as MICROSECONDS, (SOL_SOCKET SO_BUSY_POLL);
        /// SO_PREFER_BUSY_POLL: whether busy polling comes before the device's own interrupts.
        both prefer_busy_poll set_prefer_busy_poll: bool, (SOL_SOCKET SO_PREFER_BUSY_POLL);
        /// SO_BUSY_POLL_BUDGET: how many packets one round of busy polling takes. The kernel does not tell it.
        set set_busy_poll_budget: u32, (SOL_SOCKET SO_BUSY_POLL_BUDGET);
        /// SO_BINDTOIFINDEX: the one interface it uses, by index; 0 is any.
        both bound_interface_index set_bound_interface_index: u32, (SOL_SOCKET SO_BINDTOIFINDEX);
        /// SO_LOCK_FILTER: whether the filter stays as it is; it cannot be unlocked.
        both filter_locked set_filter_locked: bool, (SOL_SOCKET SO_LOCK_FILTER);
        /// SO_RESERVE_MEM: bytes of memory that are set aside for the socket; needs memory cgroups.
        both reserved_memory set_reserved_memory: u32, (SOL_SOCKET SO_RESERVE_MEM);
        /// SO_TXREHASH: whether a path is chosen anew after lost packets; 255 is the system's default.
        both transmit_rehash set_transmit_rehash: u8, (SOL_SOCKET SO_TXREHASH);
        /// SO_BUF_LOCK: which buffers keep the size that was set: 1 the send buffer, 2 the receive buffer.
        both buffer_lock set_buffer_lock: u32, (SOL_SOCKET SO_BUF_LOCK);
        /// SO_SNDLOWAT in bytes; Linux does not let it be set.
        get send_low_water: u32, (SOL_SOCKET SO_SNDLOWAT);
        /// SO_INCOMING_NAPI_ID: which receive queue the last packet came from; 0 is unknown.
        get incoming_napi_id: u32, (SOL_SOCKET SO_INCOMING_NAPI_ID);
        /// SO_RCVBUFFORCE: the size of the receive buffer in bytes, beyond the system's limit.
        set set_receive_buffer_size_force: u32, (SOL_SOCKET SO_RCVBUFFORCE);
        /// SO_SNDBUFFORCE: the size of the send buffer in bytes, beyond the system's limit.
        set set_send_buffer_size_force: u32, (SOL_SOCKET SO_SNDBUFFORCE);
    }
}

/// Options of IP sockets, ip(7), ipv6(7); those of IPv4 and IPv6 that mean the same have one name here. Policy:
/// each is granted by name.
impl Socket {
    options! {
        /// IP_MTU or IPV6_MTU: the largest packet on the way to the peer, in bytes; needs a connection.
        get mtu: u32, (IP_MTU | IPV6_MTU);
        /// IP_FREEBIND or IPV6_FREEBIND: whether it may bind to addresses that the machine does not have.
        both free_bind set_free_bind: bool, (IP_FREEBIND | IPV6_FREEBIND);
        /// IP_TRANSPARENT or IPV6_TRANSPARENT: whether it may speak from any address; takes privilege.
        both transparent set_transparent: bool, (IP_TRANSPARENT | IPV6_TRANSPARENT);
        /// IP_RECVORIGDSTADDR or IPV6_RECVORIGDSTADDR: whether every datagram tells where it was sent to.
        both receive_original_destination set_receive_original_destination: bool,
            (IP_RECVORIGDSTADDR | IPV6_RECVORIGDSTADDR);
        /// IP_MINTTL or IPV6_MINHOPCOUNT: what arrives with a lower hop limit is dropped.
        both minimum_hop_limit set_minimum_hop_limit: u8, (IP_MINTTL | IPV6_MINHOPCOUNT);
        /// IP_RECVFRAGSIZE or IPV6_RECVFRAGSIZE: whether the size of the largest fragment comes with a datagram.
        both receive_fragment_size set_receive_fragment_size: bool, (IP_RECVFRAGSIZE | IPV6_RECVFRAGSIZE);
        /// IP_RECVERR_RFC4884 or IPV6_RECVERR_RFC4884: whether queued errors tell where ICMP extensions begin.
        both receive_error_extensions set_receive_error_extensions: bool,
            (IP_RECVERR_RFC4884 | IPV6_RECVERR_RFC4884);
        /// IP_MULTICAST_ALL or IPV6_MULTICAST_ALL: whether it hears groups that other sockets joined. Off at first
        /// in a guest, so that it hears only what the policy grants it.
        both multicast_all set_multicast_all: bool, (IP_MULTICAST_ALL | IPV6_MULTICAST_ALL);
        /// IP_BIND_ADDRESS_NO_PORT: whether bind to port 0 leaves the port to connect.
        both bind_address_no_port set_bind_address_no_port: bool, (SOL_IP IP_BIND_ADDRESS_NO_PORT);
        /// IP_RECVOPTS: whether the options of IPv4 headers come with datagrams.
        both receive_ip_options set_receive_ip_options: bool, (SOL_IP IP_RECVOPTS);
        /// IP_RETOPTS: the same, as they would be sent back.
        both receive_return_ip_options set_receive_return_ip_options: bool, (SOL_IP IP_RETOPTS);
        /// IP_CHECKSUM: whether the checksum comes with a datagram.
        both receive_checksum set_receive_checksum: bool, (SOL_IP IP_CHECKSUM);
        /// IPV6_DONTFRAG: whether too long datagrams are refused instead of fragmented.
        both dont_fragment set_dont_fragment: bool, (SOL_IPV6 IPV6_DONTFRAG);
        /// IPV6_RECVPATHMTU: whether the path's changed MTU comes as ancillary data.
        both receive_path_mtu set_receive_path_mtu: bool, (SOL_IPV6 IPV6_RECVPATHMTU);
        /// IPV6_RECVHOPOPTS: whether hop-by-hop options come with datagrams.
        both receive_hop_options set_receive_hop_options: bool, (SOL_IPV6 IPV6_RECVHOPOPTS);
        /// IPV6_RECVRTHDR: whether routing headers come with datagrams.
        both receive_routing_header set_receive_routing_header: bool, (SOL_IPV6 IPV6_RECVRTHDR);
        /// IPV6_RECVDSTOPTS: whether destination options come with datagrams.
        both receive_destination_options set_receive_destination_options: bool, (SOL_IPV6 IPV6_RECVDSTOPTS);
        /// IPV6_FLOWINFO: whether the flow label and class come with datagrams.
        both receive_flow_info set_receive_flow_info: bool, (SOL_IPV6 IPV6_FLOWINFO);
        /// IPV6_FLOWINFO_SEND: whether the flow information of an address is sent.
        both send_flow_info set_send_flow_info: bool, (SOL_IPV6 IPV6_FLOWINFO_SEND);
        /// IPV6_AUTOFLOWLABEL: whether packets get flow labels by themselves.
        both auto_flow_label set_auto_flow_label: bool, (SOL_IPV6 IPV6_AUTOFLOWLABEL);
        /// IPV6_ADDR_PREFERENCES: which of its addresses the kernel prefers as a source, RFC 5014.
        both address_preferences set_address_preferences: u32, (SOL_IPV6 IPV6_ADDR_PREFERENCES);
    }
}

/// Options of UDP sockets, udp(7). Policy: each is granted by name.
impl Socket {
    options! {
        /// UDP_CORK: whether what is sent is collected to one datagram until this is off again.
        both udp_cork set_udp_cork: bool, (SOL_UDP UDP_CORK);
        /// UDP_NO_CHECK6_TX: whether datagrams over IPv6 go out without a checksum.
        both no_checksum6_send set_no_checksum6_send: bool, (SOL_UDP UDP_NO_CHECK6_TX);
        /// UDP_NO_CHECK6_RX: whether datagrams over IPv6 may come without a checksum.
        both no_checksum6_receive set_no_checksum6_receive: bool, (SOL_UDP UDP_NO_CHECK6_RX);
    }
}

/// Options of TCP sockets, tcp(7). Policy: each is granted by name.
impl Socket {
    options! {
        /// TCP_SYNCNT: how often a connection is asked for again, 1 to 127.
        both syn_count set_syn_count: u32, (SOL_TCP TCP_SYNCNT);
        /// TCP_LINGER2: how long a connection that was closed here waits for the peer's end (whole seconds, rounded up).
        both fin_timeout set_fin_timeout: Duration as SECONDS, (SOL_TCP TCP_LINGER2);
        /// TCP_WINDOW_CLAMP: the largest window that is offered, in bytes.
        both window_clamp set_window_clamp: u32, (SOL_TCP TCP_WINDOW_CLAMP);
        /// TCP_THIN_LINEAR_TIMEOUTS: whether a thin stream's retransmissions come at even distances.
        both thin_linear_timeouts set_thin_linear_timeouts: bool, (SOL_TCP TCP_THIN_LINEAR_TIMEOUTS);
        /// TCP_THIN_DUPACK: retransmits after one duplicate acknowledgement; newer kernels ignore it.
        both thin_duplicate_ack set_thin_duplicate_ack: bool, (SOL_TCP TCP_THIN_DUPACK);
        /// TCP_FASTOPEN of a listener: how many connections may wait that came with data, RFC 7413.
        both fast_open set_fast_open: u32, (SOL_TCP TCP_FASTOPEN);
        /// TCP_FASTOPEN_CONNECT: whether connect waits for the first data, to take it along.
        both fast_open_connect set_fast_open_connect: bool, (SOL_TCP TCP_FASTOPEN_CONNECT);
        /// TCP_FASTOPEN_NO_COOKIE: whether data is taken along, and accepted, without a cookie.
        both fast_open_no_cookie set_fast_open_no_cookie: bool, (SOL_TCP TCP_FASTOPEN_NO_COOKIE);
        /// TCP_TIMESTAMP: the clock of the connection's time stamps; set while it is repaired.
        both tcp_timestamp set_tcp_timestamp: u32, (SOL_TCP TCP_TIMESTAMP);
        /// TCP_NOTSENT_LOWAT: it is writable while fewer bytes than these wait to be sent.
        both unsent_low_water set_unsent_low_water: u32, (SOL_TCP TCP_NOTSENT_LOWAT);
        /// TCP_SAVE_SYN: whether a listener keeps the headers that connections began with, for
        /// [`saved_syn`](Self::saved_syn).
        both save_syn set_save_syn: bool, (SOL_TCP TCP_SAVE_SYN);
        /// TCP_INQ: whether the number of bytes that are left comes with every receive.
        both receive_left set_receive_left: bool, (SOL_TCP TCP_INQ);
        /// TCP_TX_DELAY: how long segments are held back, in whole microseconds (needs the fq packet scheduler).
        both transmit_delay set_transmit_delay: Duration as MICROSECONDS, (SOL_TCP TCP_TX_DELAY);
        /// TCP_IS_MPTCP: whether the connection is one of MPTCP.
        get is_mptcp: bool, (SOL_TCP TCP_IS_MPTCP);
        /// TCP_RTO_MAX_MS: the longest time between retransmissions, 1 to 120 seconds (whole milliseconds, rounded up;
        /// Linux 6.15).
        both retransmission_limit set_retransmission_limit: Duration as MILLISECONDS, (SOL_TCP TCP_RTO_MAX_MS);
    }
}

/// Options of Bluetooth sockets, BlueZ's lib/bluetooth.h. Policy: each is granted by name.
impl Socket {
    options! {
        /// BT_DEFER_SETUP: whether a connection waits for its first receive before it is confirmed.
        get bluetooth_defer_setup: bool, (SOL_BLUETOOTH BT_DEFER_SETUP);
        /// BT_FLUSHABLE: whether what is late may be dropped.
        both bluetooth_flushable set_bluetooth_flushable: bool, (SOL_BLUETOOTH BT_FLUSHABLE);
        /// BT_CHANNEL_POLICY of an L2CAP socket (`BT_CHANNEL_POLICY_*` in [`consts`](crate::consts)).
        both bluetooth_channel_policy set_bluetooth_channel_policy: u32,
            (SOL_BLUETOOTH BT_CHANNEL_POLICY);
        /// BT_PHY of a connection: which ways of sending are in use (`BT_PHY_*` bits).
        get bluetooth_phy: u32, (SOL_BLUETOOTH BT_PHY);
        /// BT_PKT_STATUS of an SCO socket: whether a packet's state comes with it.
        both bluetooth_packet_status set_bluetooth_packet_status: bool, (SOL_BLUETOOTH BT_PKT_STATUS);
        /// L2CAP_LM: what a link needs (`L2CAP_LM_*` bits); BT_SECURITY has taken its place.
        both l2cap_link_mode set_l2cap_link_mode: u32, (SOL_L2CAP L2CAP_LM);
        /// RFCOMM_LM: the same for RFCOMM.
        both rfcomm_link_mode set_rfcomm_link_mode: u32, (SOL_RFCOMM RFCOMM_LM);
    }
}

/// Options of TIPC sockets, linux/tipc.h. Policy: each is granted by name.
impl Socket {
    options! {
        /// TIPC_CONN_TIMEOUT: how long connecting may take (whole milliseconds, rounded up).
        get tipc_connect_timeout: Duration as MILLISECONDS, (SOL_TIPC TIPC_CONN_TIMEOUT);
        /// TIPC_SRC_DROPPABLE: whether messages may be dropped here where a queue is full.
        both tipc_source_droppable set_tipc_source_droppable: bool, (SOL_TIPC TIPC_SRC_DROPPABLE);
        /// TIPC_DEST_DROPPABLE: whether messages may be dropped at their destination instead of coming back.
        get tipc_droppable: bool, (SOL_TIPC TIPC_DEST_DROPPABLE);
        /// TIPC_SOCK_RECVQ_DEPTH: how many messages wait to be received.
        get tipc_queue_depth: u32, (SOL_TIPC TIPC_SOCK_RECVQ_DEPTH);
        /// TIPC_SOCK_RECVQ_USED: how many bytes wait to be received.
        get tipc_queue_used: u32, (SOL_TIPC TIPC_SOCK_RECVQ_USED);
    }
}

/// Options of the lesser transports and of CAN that are numbers. Policy: each is granted by name.
impl Socket {
    options! {
        /// UDPLITE_SEND_CSCOV: how many bytes of each datagram the checksum covers; 0 is all.
        get udplite_send_coverage: u32, (SOL_UDPLITE UDPLITE_SEND_CSCOV);
        /// UDPLITE_RECV_CSCOV: how many bytes the checksum of what arrives has to cover; 0 is all.
        get udplite_receive_coverage: u32, (SOL_UDPLITE UDPLITE_RECV_CSCOV);
        /// SO_J1939_SEND_PRIO: the priority of messages, 0 (first) to 7.
        get j1939_priority: u32, (SOL_CAN_J1939 SO_J1939_SEND_PRIO);
        /// CAN_RAW_ERR_FILTER: which classes of errors are heard.
        get can_error_filter: u32, (SOL_CAN_RAW CAN_RAW_ERR_FILTER);
        /// CAN_RAW_LOOPBACK: whether others on this machine hear what is sent.
        get can_loopback: bool, (SOL_CAN_RAW CAN_RAW_LOOPBACK);
        /// CAN_RAW_RECV_OWN_MSGS: whether it hears itself.
        get can_receive_own: bool, (SOL_CAN_RAW CAN_RAW_RECV_OWN_MSGS);
        /// CAN_RAW_FD_FRAMES: whether frames of CAN FD are sent and heard.
        get can_fd_frames: bool, (SOL_CAN_RAW CAN_RAW_FD_FRAMES);
        /// CAN_RAW_JOIN_FILTERS: whether a frame has to pass all filters.
        get can_join_filters: bool, (SOL_CAN_RAW CAN_RAW_JOIN_FILTERS);
        /// RDS_RECVERR: whether what became of remote memory operations comes beside messages.
        get rds_receive_errors: bool, (SOL_RDS RDS_RECVERR);
        /// NETLINK_PKTINFO: whether the group comes with each message.
        both netlink_packet_info set_netlink_packet_info: bool, (SOL_NETLINK NETLINK_PKTINFO);
        /// NETLINK_BROADCAST_ERROR: whether a sender hears that listeners lost a message.
        both netlink_broadcast_error set_netlink_broadcast_error: bool,
            (SOL_NETLINK NETLINK_BROADCAST_ERROR);
        /// NETLINK_NO_ENOBUFS: whether lost messages are no error.
        both netlink_no_buffer_errors set_netlink_no_buffer_errors: bool,
            (SOL_NETLINK NETLINK_NO_ENOBUFS);
        /// NETLINK_CAP_ACK: whether answers leave the request out.
        both netlink_capped_ack set_netlink_capped_ack: bool, (SOL_NETLINK NETLINK_CAP_ACK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up() {
        assert_eq!(SECONDS.write(Duration::from_millis(1)), 1);
        assert_eq!(SECONDS.write(Duration::ZERO), 0);
        assert_eq!(MICROSECONDS.write(Duration::from_nanos(1001)), 2);
        assert_eq!(MILLISECONDS.write(Duration::MAX), i32::MAX);
        assert_eq!(SECONDS.read(-1), Duration::ZERO);
        assert_eq!(MICROSECONDS.read(7), Duration::from_micros(7));
    }
}
