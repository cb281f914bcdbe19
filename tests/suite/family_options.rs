//! Every option of CAN, TIPC, RDS, Bluetooth, ALG, vsock, netlink and packet sockets: read, set, and misused in the
//! guest as in python3, with the same outcomes, on the kernel that has the family; and the SDK's accessors of them.

use anyhow::Result;
use sockgate_tests::OptionValue::{self, Bytes, Length, Number, Whole};
use sockgate_tests::{
    Difference, Need, Net, OptionTable, Tool, TypedOption, compare_options, kernel, options_rule,
    oracle, typed_options,
};

/// For what can only be read.
const READ: OptionValue = OptionValue::None;

/// A membership that says nothing: there is nothing to judge.
const fn nothing(name: &'static str, python: &'static str) -> Difference {
    Difference {
        name,
        form: "set-length",
        guest: "acces",
        python,
        reason: "a membership is judged by what it brings, and without a value it brings nothing",
    }
}

/// Compares one family's options.
fn compare(
    name: &str,
    needs: &[Need],
    rule: (&str, &str),
    tables: &[OptionTable],
    differences: &[Difference],
    typed: &[(&str, &[TypedOption])],
) -> Result<()> {
    for need in needs {
        if kernel::has(*need, name).is_none() {
            return Ok(());
        }
    }
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    // Bluetooth is in the first namespace alone.
    let net = match rule.0 {
        "bluetooth" => None,
        _ => match Net::new(name)? {
            Some(net) => Some(net),
            None => return Ok(()),
        },
    };
    let policy = format!("version = 1\n{}", options_rule(rule.0, rule.1, tables));
    compare_options(net.as_ref(), &python, &policy, tables, differences)?;
    typed_options(net.as_ref(), &python, &policy, typed)
}

const ONE: &str = "x01000000";
const ZERO: &str = "x00000000";

const CAN_RAW: i32 = 101;
const CAN_ISOTP: i32 = 106;
const CAN_J1939: i32 = 107;

const CAN: &[OptionTable] = &[OptionTable {
    kind: "29 3 1",
    before: &[],
    rows: &[
        ("CAN_RAW_FILTER", CAN_RAW, 1, Bytes("23010000ff070000")),
        ("CAN_RAW_ERR_FILTER", CAN_RAW, 2, Number(0x1fff_ffff)),
        ("CAN_RAW_LOOPBACK", CAN_RAW, 3, Number(0)),
        ("CAN_RAW_RECV_OWN_MSGS", CAN_RAW, 4, Number(1)),
        ("CAN_RAW_FD_FRAMES", CAN_RAW, 5, Number(1)),
        ("CAN_RAW_JOIN_FILTERS", CAN_RAW, 6, Number(1)),
        ("can-raw.xl-frames", CAN_RAW, 7, Number(1)),
    ],
}];

#[test]
fn options_of_can_are_python_s() -> Result<()> {
    let keys = "protocol = [\"raw\"]\nops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_can_are_python_s";
    compare(
        name,
        &[Need::CanRaw],
        ("can", keys),
        CAN,
        &[],
        &[(
            "29 3 1",
            &[
                ("can_loopback", "off", "false", CAN_RAW, 3, ZERO),
                ("can_receive_own", "on", "true", CAN_RAW, 4, ONE),
                ("can_fd_frames", "on", "true", CAN_RAW, 5, ONE),
                ("can_join_filters", "on", "true", CAN_RAW, 6, ONE),
                ("can_error_filter", "5", "5", CAN_RAW, 2, "x05000000"),
            ],
        )],
    )
}

const ISOTP: &[OptionTable] = &[OptionTable {
    kind: "29 2 6",
    before: &[],
    rows: &[
        (
            "CAN_ISOTP_OPTS",
            CAN_ISOTP,
            1,
            Bytes("040000000000000000cc0000"),
        ),
        ("CAN_ISOTP_RECV_FC", CAN_ISOTP, 2, Bytes("080500")),
        ("CAN_ISOTP_TX_STMIN", CAN_ISOTP, 3, Number(1_000_000)),
        ("CAN_ISOTP_RX_STMIN", CAN_ISOTP, 4, Number(1_000_000)),
        ("CAN_ISOTP_LL_OPTS", CAN_ISOTP, 5, Bytes("480800")),
    ],
}];

#[test]
fn options_of_isotp_are_python_s() -> Result<()> {
    let keys = "protocol = [\"isotp\"]\nops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_isotp_are_python_s";
    compare(name, &[Need::CanIsotp], ("can", keys), ISOTP, &[], &[])
}

const J1939: &[OptionTable] = &[OptionTable {
    kind: "29 2 7",
    before: &[],
    rows: &[
        (
            "SO_J1939_FILTER",
            CAN_J1939,
            1,
            Bytes("0000000000000000000000000000000000ea0000ffff03000000000000000000"),
        ),
        ("SO_J1939_PROMISC", CAN_J1939, 2, Number(1)),
        ("SO_J1939_SEND_PRIO", CAN_J1939, 3, Number(5)),
        ("SO_J1939_ERRQUEUE", CAN_J1939, 4, Number(1)),
    ],
}];

#[test]
fn options_of_j1939_are_python_s() -> Result<()> {
    let keys = "protocol = [\"j1939\"]\nops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_j1939_are_python_s";
    compare(
        name,
        &[Need::CanJ1939],
        ("can", keys),
        J1939,
        &[],
        &[(
            "29 2 7",
            &[("j1939_priority", "5", "5", CAN_J1939, 3, "x05000000")],
        )],
    )
}

const SOL_TIPC: i32 = 271;

const TIPC: &[OptionTable] = &[
    OptionTable {
        kind: "30 4 0",
        before: &[],
        rows: &[
            ("TIPC_IMPORTANCE", SOL_TIPC, 127, Number(2)),
            ("TIPC_SRC_DROPPABLE", SOL_TIPC, 128, Number(1)),
            ("TIPC_DEST_DROPPABLE", SOL_TIPC, 129, Number(1)),
            ("TIPC_CONN_TIMEOUT", SOL_TIPC, 130, Number(5000)),
            ("tipc.node-recvq-depth", SOL_TIPC, 131, READ),
            ("tipc.sock-recvq-depth", SOL_TIPC, 132, READ),
            ("tipc.mcast-broadcast", SOL_TIPC, 133, Bytes("")),
            ("tipc.mcast-replicast", SOL_TIPC, 134, Bytes("")),
            ("tipc.group-leave", SOL_TIPC, 136, Bytes("")),
            ("tipc.sock-recvq-used", SOL_TIPC, 137, READ),
        ],
    },
    OptionTable {
        kind: "30 1 0",
        before: &[],
        rows: &[
            ("TIPC_CONN_TIMEOUT", SOL_TIPC, 130, Number(5000)),
            ("tipc.nodelay", SOL_TIPC, 138, Number(1)),
        ],
    },
];

#[test]
fn options_of_tipc_are_python_s() -> Result<()> {
    let keys = "ops = [\"bind\", \"send-to\"]\nlocal = \"*\"\npeer = \"*\"";
    let name = "options_of_tipc_are_python_s";
    compare(
        name,
        &[Need::TipcRdm, Need::TipcStream],
        ("tipc", keys),
        TIPC,
        &[],
        &[(
            "30 4 0",
            &[
                ("tipc_source_droppable", "on", "true", SOL_TIPC, 128, ONE),
                ("tipc_droppable", "on", "true", SOL_TIPC, 129, ONE),
                (
                    "tipc_connect_timeout",
                    "5000",
                    "5s",
                    SOL_TIPC,
                    130,
                    "x88130000",
                ),
            ],
        )],
    )
}

const SOL_RDS: i32 = 276;

const RDS: &[OptionTable] = &[OptionTable {
    kind: "21 5 0",
    before: &[],
    rows: &[
        (
            "RDS_CANCEL_SENT_TO",
            SOL_RDS,
            1,
            Bytes("02004e207f0000010000000000000000"),
        ),
        ("RDS_GET_MR", SOL_RDS, 2, READ),
        (
            "RDS_FREE_MR",
            SOL_RDS,
            3,
            Bytes("00000000000000000000000000000000"),
        ),
        ("RDS_RECVERR", SOL_RDS, 5, Number(1)),
        ("RDS_CONG_MONITOR", SOL_RDS, 6, Bytes("0100000000000000")),
        ("RDS_GET_MR_FOR_DEST", SOL_RDS, 7, READ),
        ("rds.transport", SOL_RDS, 8, Number(2)),
        ("rds.msg-rxpath-latency", SOL_RDS, 10, READ),
    ],
}];

#[test]
fn options_of_rds_are_python_s() -> Result<()> {
    let keys = "ops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_rds_are_python_s";
    compare(
        name,
        &[Need::RdsSeqpacket],
        ("rds", keys),
        RDS,
        &[
            Difference {
                name: "RDS_GET_MR",
                form: "",
                guest: "opnotsupp",
                python: "",
                reason: "its value is an address in the host's process: it is never granted",
            },
            Difference {
                name: "RDS_GET_MR_FOR_DEST",
                form: "",
                guest: "opnotsupp",
                python: "",
                reason: "its value is an address in the host's process: it is never granted",
            },
        ],
        &[(
            "21 5 0",
            &[("rds_receive_errors", "on", "true", SOL_RDS, 5, ONE)],
        )],
    )
}

const BLUETOOTH: i32 = 274;

const L2CAP: &[OptionTable] = &[OptionTable {
    kind: "31 5 0",
    before: &[],
    rows: &[
        ("BT_SECURITY", BLUETOOTH, 4, Whole(2, "0200")),
        ("BT_DEFER_SETUP", BLUETOOTH, 7, Number(1)),
        ("BT_FLUSHABLE", BLUETOOTH, 8, Whole(4, "01000000")),
        ("BT_POWER", BLUETOOTH, 9, Whole(1, "01")),
        ("BT_CHANNEL_POLICY", BLUETOOTH, 10, Whole(4, "01000000")),
        ("BT_SNDMTU", BLUETOOTH, 12, Bytes("0001")),
        ("BT_RCVMTU", BLUETOOTH, 13, Bytes("0001")),
        ("BT_PHY", BLUETOOTH, 14, READ),
        ("BT_MODE", BLUETOOTH, 15, Bytes("03")),
        ("l2cap.options", 6, 1, Whole(12, "a002a002ffff000000000000")),
        ("l2cap.conninfo", 6, 2, READ),
        ("L2CAP_LM", 6, 3, Whole(4, "02000000")),
    ],
}];

#[test]
fn options_of_l2cap_are_python_s() -> Result<()> {
    let keys = "protocol = [\"l2cap\"]\nops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_l2cap_are_python_s";
    compare(
        name,
        &[Need::BluetoothL2cap],
        ("bluetooth", keys),
        L2CAP,
        &[],
        &[
            (
                "31 5 0",
                &[
                    ("bluetooth_security", "2", "2", BLUETOOTH, 4, "x02"),
                    ("bluetooth_flushable", "on", "true", BLUETOOTH, 8, ONE),
                    ("bluetooth_power", "0", "0", BLUETOOTH, 9, "x00"),
                ],
            ),
            (
                "31 5 0",
                &[("l2cap_link_mode", "2", "2", 6, 3, "x02000000")],
            ),
        ],
    )
}

const RFCOMM: &[OptionTable] = &[OptionTable {
    kind: "31 1 3",
    before: &[],
    rows: &[
        ("BT_SECURITY", BLUETOOTH, 4, Whole(2, "0200")),
        ("BT_DEFER_SETUP", BLUETOOTH, 7, Number(1)),
        ("rfcomm.conninfo", 18, 2, READ),
        ("rfcomm.lm", 18, 3, Whole(4, "02000000")),
    ],
}];

#[test]
fn options_of_rfcomm_are_python_s() -> Result<()> {
    let keys = "protocol = [\"rfcomm\"]\nops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_rfcomm_are_python_s";
    compare(
        name,
        &[Need::BluetoothRfcomm],
        ("bluetooth", keys),
        RFCOMM,
        &[],
        &[(
            "31 1 3",
            &[("rfcomm_link_mode", "2", "2", 18, 3, "x02000000")],
        )],
    )
}

const SCO: &[OptionTable] = &[OptionTable {
    kind: "31 5 2",
    before: &[],
    rows: &[
        ("BT_DEFER_SETUP", BLUETOOTH, 7, Number(1)),
        ("BT_VOICE", BLUETOOTH, 11, Whole(2, "0300")),
        ("BT_PKT_STATUS", BLUETOOTH, 16, Whole(4, "01000000")),
        ("BT_ISO_QOS", BLUETOOTH, 17, READ),
        ("BT_CODEC", BLUETOOTH, 19, READ),
        ("sco.options", 17, 1, READ),
        ("sco.conninfo", 17, 2, READ),
    ],
}];

#[test]
fn options_of_sco_are_python_s() -> Result<()> {
    let keys = "protocol = [\"sco\"]\nops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_sco_are_python_s";
    compare(
        name,
        &[Need::BluetoothSco],
        ("bluetooth", keys),
        SCO,
        &[],
        &[(
            "31 5 2",
            &[
                // It is kept, and then the controller is missing that would speak so.
                ("bluetooth_voice", "3", "badfd", BLUETOOTH, 11, "x0300"),
                ("bluetooth_packet_status", "on", "true", BLUETOOTH, 16, ONE),
            ],
        )],
    )
}

const HCI: &[OptionTable] = &[OptionTable {
    kind: "31 3 1",
    before: &[],
    rows: &[
        ("HCI_DATA_DIR", 0, 1, Whole(1, "01000000")),
        (
            "HCI_FILTER",
            0,
            2,
            Whole(16, "10000000004000000000000000000000"),
        ),
        ("HCI_TIME_STAMP", 0, 3, Whole(1, "01000000")),
    ],
}];

#[test]
fn options_of_hci_are_python_s() -> Result<()> {
    let keys = "protocol = [\"hci\"]\nops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_hci_are_python_s";
    compare(
        name,
        &[Need::BluetoothHci],
        ("bluetooth", keys),
        HCI,
        &[],
        &[],
    )
}

const SOL_ALG: i32 = 279;

const ALG: &[OptionTable] = &[
    OptionTable {
        kind: "38 5 0",
        before: &["bind $ alg:skcipher:cbc(aes)"],
        rows: &[
            (
                "ALG_SET_KEY",
                SOL_ALG,
                1,
                Bytes("000102030405060708090a0b0c0d0e0f"),
            ),
            ("ALG_SET_IV", SOL_ALG, 2, READ),
            ("ALG_SET_OP", SOL_ALG, 3, READ),
            ("ALG_SET_AEAD_ASSOCLEN", SOL_ALG, 4, READ),
        ],
    },
    OptionTable {
        kind: "38 5 0",
        before: &["bind $ alg:aead:gcm(aes)"],
        rows: &[("ALG_SET_AEAD_AUTHSIZE", SOL_ALG, 5, Bytes("01020304"))],
    },
    OptionTable {
        kind: "38 5 0",
        before: &["bind $ alg:rng:stdrng"],
        rows: &[
            // What Python calls a public key is entropy in Linux.
            ("ALG_SET_PUBKEY", SOL_ALG, 6, Bytes("00010203")),
            ("alg.set-key-by-key-serial", SOL_ALG, 7, Number(0)),
        ],
    },
];

#[test]
fn options_of_alg_are_python_s() -> Result<()> {
    let keys = "ops = [\"bind\"]\nlocal = \"*\"";
    let name = "options_of_alg_are_python_s";
    compare(
        name,
        &[Need::AlgSkcipher, Need::AlgAead, Need::AlgRng],
        ("alg", keys),
        ALG,
        &[],
        &[],
    )
}

const VSOCK: i32 = 40;

const VSOCKS: &[OptionTable] = &[OptionTable {
    kind: "40 1 0",
    before: &[],
    rows: &[
        (
            "SO_VM_SOCKETS_BUFFER_SIZE",
            VSOCK,
            0,
            Bytes("0000020000000000"),
        ),
        (
            "SO_VM_SOCKETS_BUFFER_MIN_SIZE",
            VSOCK,
            1,
            Bytes("0010000000000000"),
        ),
        (
            "SO_VM_SOCKETS_BUFFER_MAX_SIZE",
            VSOCK,
            2,
            Bytes("0000100000000000"),
        ),
        ("vsock.peer-host-vm-id", VSOCK, 3, READ),
        ("vsock.trusted", VSOCK, 5, READ),
        (
            "vsock.connect-timeout",
            VSOCK,
            6,
            Bytes("03000000000000000000000000000000"),
        ),
        (
            "vsock.connect-timeout-new",
            VSOCK,
            8,
            Bytes("03000000000000000000000000000000"),
        ),
    ],
}];

#[test]
fn options_of_vsock_are_python_s() -> Result<()> {
    let keys = "ops = [\"connect\"]\npeer = \"*\"";
    let name = "options_of_vsock_are_python_s";
    let wide = |name| Difference {
        name,
        form: "int",
        guest: "inval",
        python: "ok",
        reason: "Python reads 64 bits as a number on vsock; the SDK has them as bytes and by accessors",
    };
    compare(
        name,
        &[Need::VsockStream],
        ("vsock", keys),
        VSOCKS,
        &[
            wide("SO_VM_SOCKETS_BUFFER_SIZE"),
            wide("SO_VM_SOCKETS_BUFFER_MIN_SIZE"),
            wide("SO_VM_SOCKETS_BUFFER_MAX_SIZE"),
        ],
        &[],
    )
}

const NETLINK: i32 = 270;

const NETLINKS: &[OptionTable] = &[OptionTable {
    kind: "16 3 0",
    before: &[],
    rows: &[
        ("netlink.add-membership", NETLINK, 1, Number(1)),
        ("netlink.drop-membership", NETLINK, 2, Number(1)),
        ("netlink.pktinfo", NETLINK, 3, Number(1)),
        ("netlink.broadcast-error", NETLINK, 4, Number(1)),
        ("netlink.no-enobufs", NETLINK, 5, Number(1)),
        ("netlink.listen-all-nsid", NETLINK, 8, Number(1)),
        ("netlink.list-memberships", NETLINK, 9, READ),
        ("netlink.cap-ack", NETLINK, 10, Number(1)),
        ("netlink.ext-ack", NETLINK, 11, Number(1)),
        ("netlink.get-strict-check", NETLINK, 12, Number(1)),
    ],
}];

#[test]
fn options_of_netlink_are_python_s() -> Result<()> {
    let keys = "protocol = [\"route\"]\nops = [\"bind\", \"receive\", \"send-to\"]\ngroups = [\"*\"]\nmessages = [\"*\"]";
    let name = "options_of_netlink_are_python_s";
    compare(
        name,
        &[Need::NetlinkRoute],
        ("netlink", keys),
        NETLINKS,
        &[
            nothing("netlink.add-membership", "fault"),
            nothing("netlink.drop-membership", "fault"),
        ],
        &[(
            "16 3 0",
            &[
                ("netlink_packet_info", "on", "true", NETLINK, 3, ONE),
                ("netlink_broadcast_error", "on", "true", NETLINK, 4, ONE),
                ("netlink_no_buffer_errors", "on", "true", NETLINK, 5, ONE),
                ("netlink_capped_ack", "on", "true", NETLINK, 10, ONE),
            ],
        )],
    )
}

const PACKET: i32 = 263;

const PACKETS: &[OptionTable] = &[OptionTable {
    kind: "17 3 0",
    before: &[],
    rows: &[
        // A promiscuous lo; and the multicast address of one group there.
        (
            "packet.add-membership",
            PACKET,
            1,
            Bytes("01000000010000000000000000000000"),
        ),
        (
            "packet.drop-membership",
            PACKET,
            2,
            Bytes("01000000010000000000000000000000"),
        ),
        ("packet.recv-output", PACKET, 3, Number(1)),
        ("packet.statistics", PACKET, 6, Length("00")),
        ("packet.copy-thresh", PACKET, 7, Number(1)),
        ("packet.auxdata", PACKET, 8, Number(1)),
        ("packet.origdev", PACKET, 9, Number(1)),
        ("packet.version", PACKET, 10, Number(1)),
        ("packet.reserve", PACKET, 12, Number(16)),
        ("packet.loss", PACKET, 14, Number(1)),
        ("packet.vnet-hdr", PACKET, 15, Number(1)),
        ("packet.tx-timestamp", PACKET, 16, Number(1)),
        ("packet.timestamp", PACKET, 17, Number(64)),
        ("packet.fanout", PACKET, 18, Number(7)),
        ("packet.tx-has-off", PACKET, 19, Number(1)),
        ("packet.qdisc-bypass", PACKET, 20, Number(1)),
        ("packet.rollover-stats", PACKET, 21, READ),
        ("packet.ignore-outgoing", PACKET, 23, Number(1)),
    ],
}];

#[test]
fn options_of_packet_sockets_are_python_s() -> Result<()> {
    let keys = "ops = [\"bind\", \"receive\", \"send-to\"]\ninterface = [\"*\"]\nethertype = [\"*\"]\npromiscuous = true";
    let name = "options_of_packet_sockets_are_python_s";
    compare(
        name,
        &[Need::PacketRaw],
        ("packet", keys),
        PACKETS,
        &[
            nothing("packet.add-membership", "inval"),
            nothing("packet.drop-membership", "inval"),
        ],
        &[],
    )
}
