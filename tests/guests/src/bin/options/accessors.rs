//! The SDK's accessors of options by name, with values as words.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use sockgate_guest::can::CanSocket;
use sockgate_guest::consts::{SO_J1939_SEND_PRIO, SOL_CAN_J1939};
use sockgate_guest::rds::RdsSocket;
use sockgate_guest::tipc::TipcSocket;
use sockgate_guest::{MtuDiscovery, Socket, TransmitTime};
use sockgate_test_guests::{from_hex, to_hex, wrong};

use super::number;

/// Sets an option by its accessor, and reads it back.
pub fn set(socket: &Socket, accessor: &str, value: &str) -> io::Result<String> {
    if !apply(socket, accessor, value)? {
        return Err(wrong(accessor));
    }
    match read(socket, accessor) {
        Err(error) if error.to_string().contains("only set") => Ok("ok".to_owned()),
        outcome => outcome,
    }
}

fn shown<T: Debug>(value: io::Result<T>) -> io::Result<String> {
    value.map(|value| format!("ok {value:?}"))
}

fn bytes(value: io::Result<Vec<u8>>) -> io::Result<String> {
    value.map(|value| format!("ok {}", to_hex(&value)))
}

/// `none` or a number.
fn maybe<T: TryFrom<i64>>(word: &str) -> io::Result<Option<T>> {
    match word {
        "none" => Ok(None),
        word => number(word).map(Some),
    }
}

/// Milliseconds.
fn time(word: &str) -> io::Result<Duration> {
    number(word).map(Duration::from_millis)
}

macro_rules! accessors {
    (
        switches: $($switch:ident $set_switch:ident,)*;
        numbers: $($number:ident $set_number:ident,)*;
        times: $($time:ident $set_time:ident,)*;
        words: $($word:ident $set_word:ident,)*;
        only_read: $($reads:ident,)*;
        only_set: $($sets:ident,)*;
    ) => {
        /// Whether there is such an accessor; then it was used.
        fn apply(socket: &Socket, accessor: &str, value: &str) -> io::Result<bool> {
            match accessor {
                $(stringify!($switch) => socket.$set_switch(value == "on")?,)*
                $(stringify!($number) => socket.$set_number(number(value)?)?,)*
                $(stringify!($time) => socket.$set_time(time(value)?)?,)*
                $(stringify!($word) => socket.$set_word(value)?,)*
                $(stringify!($sets) => socket.$sets(number(value)?)?,)*
                _ => return structured(socket, accessor, value),
            }
            Ok(true)
        }

        /// Reads an option by its accessor.
        pub fn read(socket: &Socket, accessor: &str) -> io::Result<String> {
            match accessor {
                $(stringify!($switch) => shown(socket.$switch()),)*
                $(stringify!($number) => shown(socket.$number()),)*
                $(stringify!($time) => shown(socket.$time()),)*
                $(stringify!($word) => shown(socket.$word()),)*
                $(stringify!($reads) => shown(socket.$reads()),)*
                $(stringify!($sets) => Err(wrong("an accessor that can only set")),)*
                _ => read_structured(socket, accessor),
            }
        }
    };
}

accessors! {
    switches:
        reuse_address set_reuse_address, reuse_port set_reuse_port, keep_alive set_keep_alive,
        broadcast set_broadcast, oob_inline set_oob_inline, dont_route set_dont_route,
        receive_timestamp set_receive_timestamp, pass_credentials set_pass_credentials,
        receive_drop_count set_receive_drop_count, receive_packet_info set_receive_packet_info,
        receive_hop_limit set_receive_hop_limit, receive_traffic_class set_receive_traffic_class,
        receive_errors set_receive_errors, v6_only set_v6_only, multicast_loop set_multicast_loop,
        no_delay set_no_delay, cork set_cork, quick_ack set_quick_ack,
        receive_segments set_receive_segments,
        debug set_debug, no_checksum set_no_checksum,
        receive_timestamp_microseconds set_receive_timestamp_microseconds,
        pass_security set_pass_security, pass_pidfd set_pass_pidfd, pass_rights set_pass_rights,
        receive_mark set_receive_mark, zero_copy set_zero_copy, prefer_busy_poll set_prefer_busy_poll,
        filter_locked set_filter_locked, free_bind set_free_bind, transparent set_transparent,
        receive_original_destination set_receive_original_destination,
        receive_fragment_size set_receive_fragment_size,
        receive_error_extensions set_receive_error_extensions, multicast_all set_multicast_all,
        bind_address_no_port set_bind_address_no_port, receive_ip_options set_receive_ip_options,
        receive_return_ip_options set_receive_return_ip_options, receive_checksum set_receive_checksum,
        dont_fragment set_dont_fragment, receive_path_mtu set_receive_path_mtu,
        receive_hop_options set_receive_hop_options,
        receive_routing_header set_receive_routing_header,
        receive_destination_options set_receive_destination_options,
        receive_flow_info set_receive_flow_info, send_flow_info set_send_flow_info,
        auto_flow_label set_auto_flow_label, udp_cork set_udp_cork,
        no_checksum6_send set_no_checksum6_send, no_checksum6_receive set_no_checksum6_receive,
        thin_linear_timeouts set_thin_linear_timeouts, thin_duplicate_ack set_thin_duplicate_ack,
        fast_open_connect set_fast_open_connect, fast_open_no_cookie set_fast_open_no_cookie,
        bluetooth_flushable set_bluetooth_flushable,
        bluetooth_packet_status set_bluetooth_packet_status,
        tipc_source_droppable set_tipc_source_droppable,
        netlink_packet_info set_netlink_packet_info,
        netlink_broadcast_error set_netlink_broadcast_error,
        netlink_no_buffer_errors set_netlink_no_buffer_errors,
        netlink_capped_ack set_netlink_capped_ack,
        save_syn set_save_syn, receive_left set_receive_left, repair set_repair,;
    numbers:
        receive_buffer_size set_receive_buffer_size, send_buffer_size set_send_buffer_size,
        receive_low_water set_receive_low_water, priority set_priority, mark set_mark,
        incoming_cpu set_incoming_cpu, hop_limit set_hop_limit, traffic_class set_traffic_class,
        multicast_hops set_multicast_hops, keep_alive_count set_keep_alive_count,
        maximum_segment set_maximum_segment, segment_size set_segment_size,
        bound_interface_index set_bound_interface_index, reserved_memory set_reserved_memory,
        transmit_rehash set_transmit_rehash, buffer_lock set_buffer_lock,
        minimum_hop_limit set_minimum_hop_limit, address_preferences set_address_preferences,
        syn_count set_syn_count, window_clamp set_window_clamp, fast_open set_fast_open,
        tcp_timestamp set_tcp_timestamp, unsent_low_water set_unsent_low_water,
        unicast_interface set_unicast_interface, timestamping set_timestamping,
        queue_sequence set_queue_sequence,
        bluetooth_power set_bluetooth_power, bluetooth_mode set_bluetooth_mode,
        bluetooth_voice set_bluetooth_voice, bluetooth_security set_bluetooth_security,
        bluetooth_channel_policy set_bluetooth_channel_policy, l2cap_link_mode set_l2cap_link_mode,
        rfcomm_link_mode set_rfcomm_link_mode,;
    times:
        keep_alive_idle set_keep_alive_idle, keep_alive_interval set_keep_alive_interval,
        user_timeout set_user_timeout, defer_accept set_defer_accept, busy_poll set_busy_poll,
        fin_timeout set_fin_timeout, transmit_delay set_transmit_delay,
        retransmission_limit set_retransmission_limit,;
    words:
        bind_to_device set_bind_to_device, multicast_interface set_multicast_interface,
        congestion set_congestion, upper_layer set_upper_layer,;
    only_read:
        accepting, peer_credentials, send_low_water, incoming_napi_id, mtu, is_mptcp, path_mtu, cookie,
        network_namespace_cookie, peer_groups, memory_info, tcp_info, original_destination,
        repair_queue, repair_window, bluetooth_phy, tipc_queue_depth, tipc_queue_used,;
    only_set:
        set_busy_poll_budget, set_receive_buffer_size_force, set_send_buffer_size_force,;
}

/// Those whose values have a form of their own.
fn structured(socket: &Socket, accessor: &str, value: &str) -> io::Result<bool> {
    match accessor {
        "linger" => socket.set_linger(maybe(value)?.map(Duration::from_millis))?,
        "can_loopback" => CanSocket::from(socket.try_clone()?).set_loopback(value == "on")?,
        "can_receive_own" => CanSocket::from(socket.try_clone()?).set_receive_own(value == "on")?,
        "can_fd_frames" => CanSocket::from(socket.try_clone()?).set_fd_frames(value == "on")?,
        "can_join_filters" => {
            CanSocket::from(socket.try_clone()?).set_join_filters(value == "on")?
        }
        "can_error_filter" => {
            CanSocket::from(socket.try_clone()?).set_error_filter(number(value)?)?
        }
        "j1939_priority" => {
            socket.set_option(SOL_CAN_J1939, SO_J1939_SEND_PRIO, number::<i32>(value)?)?;
        }
        "tipc_droppable" => TipcSocket::from(socket.try_clone()?).set_droppable(value == "on")?,
        "tipc_connect_timeout" => {
            TipcSocket::from(socket.try_clone()?).set_connect_timeout(time(value)?)?;
        }
        "rds_receive_errors" => {
            RdsSocket::from(socket.try_clone()?).set_receive_errors(value == "on")?;
        }
        "bluetooth_defer_setup" => socket.set_bluetooth_defer_setup(value == "on")?,
        "udplite_send_coverage" => socket.set_udplite_send_coverage(number(value)?)?,
        "udplite_receive_coverage" => socket.set_udplite_receive_coverage(number(value)?)?,
        "peek_offset" => socket.set_peek_offset(maybe(value)?)?,
        "maximum_pacing_rate" => socket.set_maximum_pacing_rate(maybe(value)?)?,
        "mtu_discovery" => socket.set_mtu_discovery(match value {
            "off" => MtuDiscovery::Off,
            "always" => MtuDiscovery::Always,
            "probe" => MtuDiscovery::Probe,
            _ => MtuDiscovery::Wanted,
        })?,
        "transmit_time" => socket.set_transmit_time(TransmitTime {
            clock: number(value)?,
            deadline: true,
            report_errors: true,
        })?,
        "local_port_range" => {
            let (low, high) = value.split_once('-').ok_or_else(|| wrong(value))?;
            socket.set_local_port_range(Some(number(low)?..=number(high)?))?;
        }
        "ip_options" => socket.set_ip_options(&from_hex(value)?)?,
        "fast_open_key" => socket.set_fast_open_key(&from_hex(value)?)?,
        "md5_signature" => {
            let (peer, key) = value.split_once('=').ok_or_else(|| wrong(value))?;
            socket.set_md5_signature(peer.parse().map_err(wrong)?, key.as_bytes())?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn read_structured(socket: &Socket, accessor: &str) -> io::Result<String> {
    match accessor {
        "linger" => shown(socket.linger()),
        "can_loopback" => shown(socket.can_loopback()),
        "can_receive_own" => shown(socket.can_receive_own()),
        "can_fd_frames" => shown(socket.can_fd_frames()),
        "can_join_filters" => shown(socket.can_join_filters()),
        "can_error_filter" => shown(socket.can_error_filter()),
        "j1939_priority" => shown(socket.j1939_priority()),
        "tipc_droppable" => shown(socket.tipc_droppable()),
        "tipc_connect_timeout" => shown(socket.tipc_connect_timeout()),
        "rds_receive_errors" => shown(socket.rds_receive_errors()),
        "bluetooth_defer_setup" => shown(socket.bluetooth_defer_setup()),
        "udplite_send_coverage" => shown(socket.udplite_send_coverage()),
        "udplite_receive_coverage" => shown(socket.udplite_receive_coverage()),
        "peek_offset" => shown(socket.peek_offset()),
        "maximum_pacing_rate" => shown(socket.maximum_pacing_rate()),
        "mtu_discovery" => shown(socket.mtu_discovery()),
        "transmit_time" => shown(socket.transmit_time()),
        "local_port_range" => shown(socket.local_port_range()),
        "ip_options" => bytes(socket.ip_options()),
        "fast_open_key" => bytes(socket.fast_open_key()),
        "saved_syn" => bytes(socket.saved_syn()),
        "congestion_info" => bytes(socket.congestion_info()),
        "peer_security" => bytes(socket.peer_security()),
        "md5_signature" => Err(wrong("an accessor that can only set")),
        _ => Err(wrong(accessor)),
    }
}
