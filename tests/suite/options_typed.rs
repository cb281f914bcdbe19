//! The SDK's accessors of options: each is set and read back in the guest, and then python3 reads the same option of
//! the same socket, out of the running host (pidfd_getfd(2)).

use anyhow::Result;
use sockgate_tests::{GuestRun, Net, TypedOption, net_and_python, patience, typed_options};

/// Family, type and protocol in Linux's numbers.
const TCP: &str = "2 1 0";
const UDP: &str = "2 2 0";
const TCP6: &str = "10 1 0";
const UDP6: &str = "10 2 0";
const UNIX: &str = "1 2 0";

const ONE: &str = "x01000000";
const ZERO: &str = "x00000000";

const TYPED: &[(&str, &[TypedOption])] = &[
    (
        TCP,
        &[
            ("reuse_address", "on", "true", 1, 2, ONE),
            ("reuse_port", "on", "true", 1, 15, ONE),
            ("keep_alive", "on", "true", 1, 9, ONE),
            ("oob_inline", "on", "true", 1, 10, ONE),
            ("dont_route", "on", "true", 1, 5, ONE),
            ("linger", "4200", "Some(5s)", 1, 13, "x0100000005000000"),
            ("receive_low_water", "7", "7", 1, 18, "x07000000"),
            ("mark", "9", "9", 1, 36, "x09000000"),
            ("incoming_cpu", "0", "0", 1, 49, ZERO),
            ("receive_buffer_size", "8192", "16384", 1, 8, "x00400000"),
            ("send_buffer_size", "8192", "16384", 1, 7, "x00400000"),
            ("debug", "on", "true", 1, 1, ONE),
            ("busy_poll", "1", "1ms", 1, 46, "xe8030000"),
            ("prefer_busy_poll", "on", "true", 1, 69, ONE),
            ("zero_copy", "on", "true", 1, 60, ONE),
            ("transmit_rehash", "1", "1", 1, 74, ONE),
            ("buffer_lock", "3", "3", 1, 72, "x03000000"),
            (
                "maximum_pacing_rate",
                "1000000",
                "Some(1000000)",
                1,
                47,
                "x40420f0000000000",
            ),
            ("timestamping", "24", "24", 1, 37, "x1800000000000000"),
            (
                "transmit_time",
                "11",
                "TransmitTime { clock: 11, deadline: true, report_errors: true }",
                1,
                61,
                "x0b00000003000000",
            ),
            ("filter_locked", "on", "true", 1, 44, ONE),
            ("hop_limit", "9", "9", 0, 2, "x09000000"),
            // It changes the priority.
            ("traffic_class", "16", "16", 0, 1, "x10000000"),
            ("priority", "3", "3", 1, 12, "x03000000"),
            ("minimum_hop_limit", "5", "5", 0, 21, "x05000000"),
            ("bind_address_no_port", "on", "true", 0, 24, ONE),
            ("free_bind", "on", "true", 0, 15, ONE),
            ("transparent", "on", "true", 0, 19, ONE),
            (
                "local_port_range",
                "40000-40010",
                "Some(40000..=40010)",
                0,
                51,
                "x409c4a9c",
            ),
            ("unicast_interface", "1", "1", 0, 50, "x00000001"),
            ("no_delay", "on", "true", 6, 1, ONE),
            ("cork", "on", "true", 6, 3, ONE),
            ("quick_ack", "off", "false", 6, 12, ZERO),
            ("keep_alive_idle", "60000", "60s", 6, 4, "x3c000000"),
            ("keep_alive_interval", "9001", "10s", 6, 5, "x0a000000"),
            ("keep_alive_count", "3", "3", 6, 6, "x03000000"),
            ("user_timeout", "5000", "5s", 6, 18, "x88130000"),
            ("defer_accept", "1000", "1s", 6, 9, ONE),
            (
                "congestion",
                "reno",
                "\"reno\"",
                6,
                13,
                "x72656e6f000000000000000000000000",
            ),
            ("syn_count", "4", "4", 6, 7, "x04000000"),
            ("fin_timeout", "5000", "5s", 6, 8, "x05000000"),
            ("window_clamp", "20000", "20000", 6, 10, "x204e0000"),
            ("thin_linear_timeouts", "on", "true", 6, 16, ONE),
            ("fast_open_connect", "on", "true", 6, 30, ONE),
            ("fast_open_no_cookie", "on", "true", 6, 34, ONE),
            ("unsent_low_water", "4096", "4096", 6, 25, "x00100000"),
            ("save_syn", "on", "true", 6, 27, ONE),
            ("receive_left", "on", "true", 6, 36, ONE),
            ("transmit_delay", "2", "2ms", 6, 37, "xd0070000"),
            ("retransmission_limit", "30000", "30s", 6, 44, "x30750000"),
            (
                "fast_open_key",
                "x000102030405060708090a0b0c0d0e0f",
                "x000102030405060708090a0b0c0d0e0f",
                6,
                33,
                "x000102030405060708090a0b0c0d0e0f",
            ),
        ],
    ),
    (
        UDP,
        &[
            ("broadcast", "on", "true", 1, 6, ONE),
            ("no_checksum", "on", "true", 1, 11, ONE),
            ("receive_timestamp", "on", "true", 1, 35, ONE),
            ("receive_drop_count", "on", "true", 1, 40, ONE),
            ("receive_mark", "on", "true", 1, 75, ONE),
            ("bind_to_device", "lo", "\"lo\"", 1, 25, "x6c6f00"),
            ("receive_packet_info", "on", "true", 0, 8, ONE),
            ("receive_hop_limit", "on", "true", 0, 12, ONE),
            ("receive_traffic_class", "on", "true", 0, 13, ONE),
            ("receive_errors", "on", "true", 0, 11, ONE),
            ("receive_error_extensions", "on", "true", 0, 26, ONE),
            ("receive_original_destination", "on", "true", 0, 20, ONE),
            ("receive_fragment_size", "on", "true", 0, 25, ONE),
            ("receive_ip_options", "on", "true", 0, 6, ONE),
            ("receive_return_ip_options", "on", "true", 0, 7, ONE),
            ("receive_checksum", "on", "true", 0, 23, ONE),
            ("multicast_loop", "off", "false", 0, 34, ZERO),
            ("multicast_hops", "5", "5", 0, 33, "x05000000"),
            ("multicast_interface", "lo", "\"lo\"", 0, 32, ZERO),
            ("multicast_all", "on", "true", 0, 49, ONE),
            ("mtu_discovery", "probe", "Probe", 0, 10, "x03000000"),
            ("ip_options", "x01010101", "x01010101", 0, 4, "x01010101"),
            ("udp_cork", "on", "true", 17, 1, ONE),
            ("segment_size", "1200", "1200", 17, 103, "xb0040000"),
            ("receive_segments", "on", "true", 17, 104, ONE),
        ],
    ),
    // It changes what addresses may be used again.
    (TCP, &[("repair", "on", "true", 6, 19, ONE)]),
    (
        UDP,
        &[
            // Of the two kinds of time stamps the later one counts.
            ("receive_timestamp_microseconds", "on", "true", 1, 29, ONE),
            ("bound_interface_index", "1", "1", 1, 62, ONE),
        ],
    ),
    (TCP6, &[("v6_only", "on", "true", 41, 26, ONE)]),
    (
        UDP6,
        &[
            ("hop_limit", "9", "9", 41, 16, "x09000000"),
            ("traffic_class", "16", "16", 41, 67, "x10000000"),
            ("receive_packet_info", "on", "true", 41, 49, ONE),
            ("receive_hop_limit", "on", "true", 41, 51, ONE),
            ("receive_traffic_class", "on", "true", 41, 66, ONE),
            ("receive_errors", "on", "true", 41, 25, ONE),
            ("receive_error_extensions", "on", "true", 41, 31, ONE),
            ("multicast_loop", "off", "false", 41, 19, ZERO),
            ("multicast_hops", "5", "5", 41, 18, "x05000000"),
            ("multicast_interface", "lo", "\"lo\"", 41, 17, ONE),
            ("multicast_all", "on", "true", 41, 29, ONE),
            ("minimum_hop_limit", "5", "5", 41, 73, "x05000000"),
            ("free_bind", "on", "true", 41, 78, ONE),
            ("transparent", "on", "true", 41, 75, ONE),
            ("unicast_interface", "1", "1", 41, 76, "x00000001"),
            ("receive_original_destination", "on", "true", 41, 74, ONE),
            ("receive_fragment_size", "on", "true", 41, 77, ONE),
            ("mtu_discovery", "always", "Always", 41, 23, "x02000000"),
            ("dont_fragment", "on", "true", 41, 62, ONE),
            ("receive_path_mtu", "on", "true", 41, 60, ONE),
            ("receive_hop_options", "on", "true", 41, 53, ONE),
            ("receive_routing_header", "on", "true", 41, 56, ONE),
            ("receive_destination_options", "on", "true", 41, 58, ONE),
            ("receive_flow_info", "on", "true", 41, 11, ONE),
            ("send_flow_info", "on", "true", 41, 33, ONE),
            ("auto_flow_label", "off", "false", 41, 70, ZERO),
            ("address_preferences", "2", "1026", 41, 72, "x02040000"),
            ("no_checksum6_send", "on", "true", 17, 101, ONE),
            ("no_checksum6_receive", "on", "true", 17, 102, ONE),
        ],
    ),
    (
        UNIX,
        &[
            ("pass_credentials", "on", "true", 1, 16, ONE),
            ("pass_security", "on", "true", 1, 34, ONE),
            ("pass_pidfd", "on", "true", 1, 76, ONE),
            ("pass_rights", "off", "false", 1, 83, ZERO),
            ("peek_offset", "3", "Some(3)", 1, 42, "x03000000"),
        ],
    ),
];

/// Those that only set, and what tells of it.
const FORCED: &[(&str, &str)] = &[
    ("set_receive_buffer_size_force", "receive_buffer_size"),
    ("set_send_buffer_size_force", "send_buffer_size"),
];

/// Every option by name, since a wildcard leaves out what is delicate.
fn policy() -> String {
    let numbers = TYPED.iter().flat_map(|(_, typed)| *typed);
    let mut listed: Vec<String> = numbers
        .map(|(_, _, _, level, number, _)| format!("\"{level}/{number}\""))
        .collect();
    listed.extend([
        "\"1/32\"".to_owned(),
        "\"1/33\"".to_owned(),
        "\"1/70\"".to_owned(),
    ]);
    let listed = listed.join(", ");
    let rule = |family: &str, keys: &str| {
        format!(
            "[[allow]]\nid = \"{family}\"\nfamily = [\"{family}\"]\n{keys}\n\
             options = {{ set = [{listed}], get = [\"*\"] }}\n"
        )
    };
    let ip = "ops = [\"connect\", \"bind\", \"listen\"]\nlocal = \"*\"\npeer = \"*\"";
    format!(
        "version = 1\n{}{}{}",
        rule("inet", ip),
        rule("inet6", ip),
        rule("unix", "ops = [\"bind\"]\nabstract = [\"*\"]")
    )
}

#[test]
fn every_typed_option_is_set_and_read_back_and_found_on_the_socket_by_python() -> Result<()> {
    let name = "every_typed_option_is_set_and_read_back_and_found_on_the_socket_by_python";
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    typed_options(Some(&net), &python, &policy(), TYPED)
}

#[test]
fn buffers_grow_beyond_the_limit_by_force() -> Result<()> {
    let name = "buffers_grow_beyond_the_limit_by_force";
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let mut run = GuestRun::new("options").net(&net).policy_text(&policy());
    run = run.argument("f = socket 2 2 0");
    for (set, get) in FORCED {
        run = run
            .argument(format!("use f {set} 1048576"))
            .argument(format!("read f {get}"));
    }
    let ended = run
        .argument("use f set_busy_poll_budget 16")
        .finish(patience())?
        .success()?;
    for (_, get) in FORCED {
        // The kernel doubles it. Beyond net.core.rmem_max, which is 208 KiB.
        assert_eq!(ended.step(&format!("read f {get}"))?, "ok 2097152");
    }
    assert_eq!(ended.step("use f set_busy_poll_budget 16")?, "ok");
    Ok(())
}
