//! Every option of Python's module on the sockets of this kernel: read, set, and misused in the guest as in python3,
//! with the same outcomes. Those of other families are in `family_options`.

use anyhow::Result;
use sockgate_tests::OptionValue::{Bytes, Length, None, Number};
use sockgate_tests::{Difference, OptionTable, compare_options, net_and_python, options_rule};

const SOCKET: i32 = 1;
const IP: i32 = 0;
const TCP: i32 = 6;
const IPV6: i32 = 41;
const UDPLITE: i32 = 136;

const TABLES: &[OptionTable] = &[
    OptionTable {
        kind: "2 1 0",
        before: &[],
        rows: &[
            ("SO_DEBUG", SOCKET, 1, Number(1)),
            ("SO_REUSEADDR", SOCKET, 2, Number(1)),
            ("SO_TYPE", SOCKET, 3, None),
            ("SO_ERROR", SOCKET, 4, None),
            ("SO_DONTROUTE", SOCKET, 5, Number(1)),
            ("SO_BROADCAST", SOCKET, 6, Number(1)),
            ("SO_SNDBUF", SOCKET, 7, Number(8192)),
            ("SO_RCVBUF", SOCKET, 8, Number(8192)),
            ("SO_KEEPALIVE", SOCKET, 9, Number(1)),
            ("SO_OOBINLINE", SOCKET, 10, Number(1)),
            ("SO_PRIORITY", SOCKET, 12, Number(3)),
            ("SO_LINGER", SOCKET, 13, Bytes("0100000005000000")),
            ("SO_REUSEPORT", SOCKET, 15, Number(1)),
            ("SO_PASSCRED", SOCKET, 16, Number(1)),
            ("SO_PEERCRED", SOCKET, 17, None),
            ("SO_RCVLOWAT", SOCKET, 18, Number(5)),
            ("SO_SNDLOWAT", SOCKET, 19, Number(5)),
            (
                "SO_RCVTIMEO",
                SOCKET,
                20,
                Bytes("010000000000000020a1070000000000"),
            ),
            (
                "SO_SNDTIMEO",
                SOCKET,
                21,
                Bytes("010000000000000020a1070000000000"),
            ),
            ("SO_BINDTODEVICE", SOCKET, 25, Bytes("6c6f00")),
            ("SO_ACCEPTCONN", SOCKET, 30, None),
            ("SO_PEERSEC", SOCKET, 31, None),
            ("SO_PASSSEC", SOCKET, 34, Number(1)),
            ("SO_MARK", SOCKET, 36, Number(7)),
            ("SO_PROTOCOL", SOCKET, 38, None),
            ("SO_DOMAIN", SOCKET, 39, None),
            ("SO_INCOMING_CPU", SOCKET, 49, Number(0)),
            ("SO_BINDTOIFINDEX", SOCKET, 62, Number(1)),
            ("SO_ORIGINAL_DST", IP, 80, None),
            ("TCP_NODELAY", TCP, 1, Number(1)),
            ("TCP_MAXSEG", TCP, 2, Number(1000)),
            ("TCP_CORK", TCP, 3, Number(1)),
            ("TCP_KEEPIDLE", TCP, 4, Number(60)),
            ("TCP_KEEPINTVL", TCP, 5, Number(10)),
            ("TCP_KEEPCNT", TCP, 6, Number(3)),
            ("TCP_SYNCNT", TCP, 7, Number(4)),
            ("TCP_LINGER2", TCP, 8, Number(5)),
            ("TCP_DEFER_ACCEPT", TCP, 9, Number(5)),
            ("TCP_WINDOW_CLAMP", TCP, 10, Number(20_000)),
            ("TCP_INFO", TCP, 11, Length("00")),
            ("TCP_QUICKACK", TCP, 12, Number(0)),
            ("TCP_CONGESTION", TCP, 13, Bytes("72656e6f")),
            // For 192.0.2.1 with a key of three bytes.
            ("TCP_MD5SIG", TCP, 14, Bytes(MD5)),
            ("TCP_THIN_LINEAR_TIMEOUTS", TCP, 16, Number(1)),
            ("TCP_THIN_DUPACK", TCP, 17, Number(1)),
            ("TCP_USER_TIMEOUT", TCP, 18, Number(5000)),
            ("TCP_REPAIR", TCP, 19, Number(1)),
            ("TCP_REPAIR_QUEUE", TCP, 20, Number(1)),
            ("TCP_QUEUE_SEQ", TCP, 21, Number(1)),
            ("TCP_REPAIR_OPTIONS", TCP, 22, Bytes("0200000000020000")),
            ("TCP_FASTOPEN", TCP, 23, Number(5)),
            ("TCP_TIMESTAMP", TCP, 24, Length("01000000")),
            ("TCP_NOTSENT_LOWAT", TCP, 25, Number(4096)),
            ("TCP_CC_INFO", TCP, 26, Length("00")),
            ("TCP_SAVE_SYN", TCP, 27, Number(1)),
            ("TCP_SAVED_SYN", TCP, 28, None),
            (
                "TCP_REPAIR_WINDOW",
                TCP,
                29,
                Length("0000000000000000000000000000000000000000"),
            ),
            ("TCP_FASTOPEN_CONNECT", TCP, 30, Number(1)),
            ("TCP_ULP", TCP, 31, Bytes("6e6f6e65")),
            ("TCP_MD5SIG_EXT", TCP, 32, Bytes(MD5)),
            (
                "TCP_FASTOPEN_KEY",
                TCP,
                33,
                Bytes("000102030405060708090a0b0c0d0e0f"),
            ),
            ("TCP_FASTOPEN_NO_COOKIE", TCP, 34, Number(1)),
            ("TCP_ZEROCOPY_RECEIVE", TCP, 35, None),
            ("TCP_INQ", TCP, 36, Number(1)),
            ("TCP_TX_DELAY", TCP, 37, Number(1000)),
        ],
    },
    // A socket that listens has what others do not.
    OptionTable {
        kind: "2 1 0",
        before: &["listen $"],
        rows: &[
            ("SO_ACCEPTCONN", SOCKET, 30, None),
            ("TCP_FASTOPEN", TCP, 23, Number(5)),
            ("TCP_INFO", TCP, 11, Length("00")),
        ],
    },
    OptionTable {
        kind: "2 2 0",
        before: &[],
        rows: &[
            ("IP_TOS", IP, 1, Number(16)),
            ("IP_TTL", IP, 2, Number(9)),
            ("IP_OPTIONS", IP, 4, Bytes("01010101")),
            ("IP_RECVOPTS", IP, 6, Number(1)),
            ("IP_RECVRETOPTS", IP, 7, Number(1)),
            ("IP_RETOPTS", IP, 7, Number(1)),
            ("IP_PKTINFO", IP, 8, Number(1)),
            ("IP_RECVERR", IP, 11, Number(1)),
            ("IP_RECVTTL", IP, 12, Number(1)),
            ("IP_RECVTOS", IP, 13, Number(1)),
            ("IP_FREEBIND", IP, 15, Number(1)),
            ("IP_TRANSPARENT", IP, 19, Number(1)),
            ("IP_RECVORIGDSTADDR", IP, 20, Number(1)),
            ("IP_BIND_ADDRESS_NO_PORT", IP, 24, Number(1)),
            ("IP_MULTICAST_IF", IP, 32, Bytes("7f000001")),
            ("IP_MULTICAST_TTL", IP, 33, Number(5)),
            ("IP_MULTICAST_LOOP", IP, 34, Number(0)),
            // 239.1.2.3 on 127.0.0.1, from 127.0.0.9.
            ("IP_ADD_MEMBERSHIP", IP, 35, Bytes("ef0102037f000001")),
            ("IP_DROP_MEMBERSHIP", IP, 36, Bytes("ef0102037f000001")),
            (
                "IP_UNBLOCK_SOURCE",
                IP,
                37,
                Bytes("ef0102037f0000017f000009"),
            ),
            ("IP_BLOCK_SOURCE", IP, 38, Bytes("ef0102037f0000017f000009")),
            (
                "IP_ADD_SOURCE_MEMBERSHIP",
                IP,
                39,
                Bytes("ef0102037f0000017f000009"),
            ),
            (
                "IP_DROP_SOURCE_MEMBERSHIP",
                IP,
                40,
                Bytes("ef0102037f0000017f000009"),
            ),
        ],
    },
    // Groups that were joined before.
    OptionTable {
        kind: "2 2 0",
        before: &["set $ 0 35 xef0102037f000001"],
        rows: &[
            ("IP_ADD_MEMBERSHIP", IP, 35, Bytes("ef0102037f000001")),
            (
                "IP_DROP_MEMBERSHIP",
                IP,
                36,
                Bytes("ef0102030000000001000000"),
            ),
            ("IP_BLOCK_SOURCE", IP, 38, Bytes("ef0102037f0000017f000009")),
            (
                "IP_ADD_SOURCE_MEMBERSHIP",
                IP,
                39,
                Bytes("ef0102037f0000017f000009"),
            ),
        ],
    },
    OptionTable {
        kind: "2 2 0",
        before: &[
            "set $ 0 35 xef0102037f000001",
            "set $ 0 38 xef0102037f0000017f000009",
        ],
        rows: &[(
            "IP_UNBLOCK_SOURCE",
            IP,
            37,
            Bytes("ef0102037f0000017f000009"),
        )],
    },
    OptionTable {
        kind: "2 2 0",
        before: &["set $ 0 39 xef0102037f0000017f000009"],
        rows: &[(
            "IP_DROP_SOURCE_MEMBERSHIP",
            IP,
            40,
            Bytes("ef0102037f0000017f000009"),
        )],
    },
    OptionTable {
        kind: "2 3 253",
        before: &[],
        rows: &[("IP_HDRINCL", IP, 3, Number(1))],
    },
    OptionTable {
        kind: "10 2 0",
        before: &[],
        rows: &[
            ("IPV6_NEXTHOP", IPV6, 9, Bytes("00000000")),
            ("IPV6_UNICAST_HOPS", IPV6, 16, Number(9)),
            ("IPV6_MULTICAST_IF", IPV6, 17, Number(1)),
            ("IPV6_MULTICAST_HOPS", IPV6, 18, Number(5)),
            ("IPV6_MULTICAST_LOOP", IPV6, 19, Number(0)),
            // ff05::123 on lo.
            ("IPV6_JOIN_GROUP", IPV6, 20, Bytes(GROUP6)),
            ("IPV6_LEAVE_GROUP", IPV6, 21, Bytes(GROUP6)),
            ("IPV6_RECVERR", IPV6, 25, Number(1)),
            ("IPV6_V6ONLY", IPV6, 26, Number(1)),
            ("IPV6_RECVPKTINFO", IPV6, 49, Number(1)),
            (
                "IPV6_PKTINFO",
                IPV6,
                50,
                Bytes("0000000000000000000000000000000101000000"),
            ),
            ("IPV6_RECVHOPLIMIT", IPV6, 51, Number(1)),
            ("IPV6_HOPLIMIT", IPV6, 52, Number(5)),
            ("IPV6_RECVHOPOPTS", IPV6, 53, Number(1)),
            ("IPV6_HOPOPTS", IPV6, 54, Bytes(PADDING6)),
            ("IPV6_RTHDRDSTOPTS", IPV6, 55, Bytes(PADDING6)),
            ("IPV6_RECVRTHDR", IPV6, 56, Number(1)),
            ("IPV6_RTHDR", IPV6, 57, Bytes(ROUTE6)),
            ("IPV6_RECVDSTOPTS", IPV6, 58, Number(1)),
            ("IPV6_DSTOPTS", IPV6, 59, Bytes(PADDING6)),
            ("IPV6_RECVPATHMTU", IPV6, 60, Number(1)),
            ("IPV6_PATHMTU", IPV6, 61, None),
            ("IPV6_DONTFRAG", IPV6, 62, Number(1)),
            ("IPV6_RECVTCLASS", IPV6, 66, Number(1)),
            ("IPV6_TCLASS", IPV6, 67, Number(16)),
        ],
    },
    OptionTable {
        kind: "10 2 0",
        before: &["set $ 41 20 xff05000000000000000000000000012301000000"],
        rows: &[
            ("IPV6_JOIN_GROUP", IPV6, 20, Bytes(GROUP6)),
            ("IPV6_LEAVE_GROUP", IPV6, 21, Bytes(GROUP6)),
        ],
    },
    OptionTable {
        kind: "10 3 253",
        before: &[],
        rows: &[
            ("IPV6_CHECKSUM", IPV6, 7, Number(2)),
            ("IPV6_HDRINCL", IPV6, 36, Number(1)),
        ],
    },
    OptionTable {
        kind: "2 2 136",
        before: &[],
        rows: &[
            ("UDPLITE_SEND_CSCOV", UDPLITE, 10, Number(20)),
            ("UDPLITE_RECV_CSCOV", UDPLITE, 11, Number(20)),
        ],
    },
    OptionTable {
        kind: "1 1 0",
        before: &[],
        rows: &[
            ("SO_PASSCRED", SOCKET, 16, Number(1)),
            ("SO_PEERCRED", SOCKET, 17, None),
            ("SO_PEERSEC", SOCKET, 31, None),
            ("SO_PASSSEC", SOCKET, 34, Number(1)),
            // Another kind's options.
            ("TCP_NODELAY", TCP, 1, Number(1)),
            ("IP_TTL", IP, 2, Number(9)),
        ],
    },
];

const MD5: &str = "02000000c00002010000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000\
    0000000000000000000003000000000061626300000000000000000000000000000000000000000000\
    000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    000000000000000000";
const GROUP6: &str = "ff05000000000000000000000000012301000000";
/// An extension header with nothing but padding in it.
const PADDING6: &str = "0000010400000000";
/// A routing header of type 2 by way of fd00::1.
const ROUTE6: &str = "0002020100000000fd000000000000000000000000000001";

const DIFFERENCES: &[Difference] = &[Difference {
    name: "TCP_ZEROCOPY_RECEIVE",
    form: "",
    guest: "opnotsupp",
    python: "",
    reason: "its value is an address in the host's process: it is never granted",
}];

/// Raw sockets of an experimental protocol.
fn raw(family: &str) -> String {
    let keys = "type = [\"raw\"]\nprotocol = [253]\nops = [\"send-to\", \"receive\"]\n\
                peer = \"*\"\nheader-include = true";
    options_rule(family, keys, TABLES).replace("id = \"", "id = \"raw-")
}

fn policy() -> String {
    let ip = "ops = [\"connect\", \"bind\", \"listen\", \"join-group\"]\nlocal = \"*\"\n\
              peer = \"*\"\ngroup = [\"*\"]";
    format!(
        "version = 1\n{}{}{}{}{}",
        options_rule("inet", ip, TABLES),
        options_rule("inet6", ip, TABLES),
        raw("inet"),
        raw("inet6"),
        options_rule("unix", "ops = [\"connect\"]\nabstract = [\"*\"]", TABLES),
    )
}

#[test]
fn every_option_does_in_the_guest_what_it_does_in_python() -> Result<()> {
    let name = "every_option_does_in_the_guest_what_it_does_in_python";
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    compare_options(Some(&net), &python, &policy(), TABLES, DIFFERENCES)
}
