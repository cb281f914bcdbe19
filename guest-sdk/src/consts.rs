//! Linux's numbers, for raw options ([`Socket::raw_option`](crate::Socket::raw_option)), raw ancillary data
//! and kernel messages. Each group names the header that it comes from.
//!
//! The package's own calls need none of these; they are for what the typed sockets do not name.

/// One group of numbers: where they come from, their type, and the numbers.
macro_rules! numbers {
    ($($group:literal: $type:ty { $($name:ident = $value:expr,)* })*) => {$($(
        #[doc = concat!($group, ": `", stringify!($name), "`.")]
        pub const $name: $type = $value;
    )*)*};
}

numbers! {
    "Level of socket options": i32 {
        SOL_SOCKET = 1,
        SOL_HCI = 0,
        SOL_IP = 0,
        SOL_L2CAP = 6,
        SOL_TCP = 6,
        SOL_UDP = 17,
        SOL_SCO = 17,
        SOL_RFCOMM = 18,
        SOL_IPV6 = 41,
        SOL_ICMPV6 = 58,
        SOL_CAN_RAW = 101,
        SOL_CAN_BCM = 102,
        SOL_CAN_ISOTP = 106,
        SOL_CAN_J1939 = 107,
        SOL_SCTP = 132,
        SOL_UDPLITE = 136,
        SOL_RAW = 255,
        SOL_PACKET = 263,
        SOL_DCCP = 269,
        SOL_NETLINK = 270,
        SOL_TIPC = 271,
        SOL_BLUETOOTH = 274,
        SOL_RDS = 276,
        SOL_ALG = 279,
        SOL_MPTCP = 284,
        SOL_VSOCK = 287,
    }
    "Level of the vsock options, AF_VSOCK, vsock(7)": i32 { AF_VSOCK = 40, }
    "Option of SOL_SOCKET, socket(7)": i32 {
        SO_TYPE = 3,
        SO_ERROR = 4,
        SO_ATTACH_FILTER = 26,
        SO_DETACH_FILTER = 27,
        SO_TIMESTAMP = 29,
        SO_TIMESTAMPNS = 35,
        SO_TIMESTAMPING = 37,
        SO_RXQ_OVFL = 40,
        SO_LOCK_FILTER = 44,
    }

    "Option of CAN_RAW, linux/can/raw.h": i32 {
        CAN_RAW_FILTER = 1,
        CAN_RAW_ERR_FILTER = 2,
        CAN_RAW_LOOPBACK = 3,
        CAN_RAW_RECV_OWN_MSGS = 4,
        CAN_RAW_FD_FRAMES = 5,
        CAN_RAW_JOIN_FILTERS = 6,
        CAN_RAW_XL_FRAMES = 7,
    }
    "Bit of a CAN identifier, linux/can.h": u32 {
        CAN_EFF_FLAG = 0x8000_0000,
        CAN_RTR_FLAG = 0x4000_0000,
        CAN_ERR_FLAG = 0x2000_0000,
        CAN_INV_FILTER = 0x2000_0000,
        CAN_SFF_MASK = 0x7ff,
        CAN_EFF_MASK = 0x1fff_ffff,
        CAN_ERR_MASK = 0x1fff_ffff,
    }
    "Class of CAN errors, linux/can/error.h": u32 {
        CAN_ERR_TX_TIMEOUT = 0x1,
        CAN_ERR_LOSTARB = 0x2,
        CAN_ERR_CRTL = 0x4,
        CAN_ERR_PROT = 0x8,
        CAN_ERR_TRX = 0x10,
        CAN_ERR_ACK = 0x20,
        CAN_ERR_BUSOFF = 0x40,
        CAN_ERR_BUSERROR = 0x80,
        CAN_ERR_RESTARTED = 0x100,
        CAN_ERR_CNT = 0x200,
    }
    "Flag of a CAN FD frame, linux/can.h": u8 {
        CANFD_BRS = 0x01,
        CANFD_ESI = 0x02,
        CANFD_FDF = 0x04,
    }
    "Flag of a CAN XL frame, linux/can.h": u8 {
        CANXL_SEC = 0x01,
        CANXL_XLF = 0x80,
    }
    "Option of CAN_ISOTP, linux/can/isotp.h": i32 {
        CAN_ISOTP_OPTS = 1,
        CAN_ISOTP_RECV_FC = 2,
        CAN_ISOTP_TX_STMIN = 3,
        CAN_ISOTP_RX_STMIN = 4,
        CAN_ISOTP_LL_OPTS = 5,
    }
    "Flag of CAN_ISOTP_OPTS, linux/can/isotp.h": u32 {
        CAN_ISOTP_LISTEN_MODE = 0x0001,
        CAN_ISOTP_EXTEND_ADDR = 0x0002,
        CAN_ISOTP_TX_PADDING = 0x0004,
        CAN_ISOTP_RX_PADDING = 0x0008,
        CAN_ISOTP_CHK_PAD_LEN = 0x0010,
        CAN_ISOTP_CHK_PAD_DATA = 0x0020,
        CAN_ISOTP_HALF_DUPLEX = 0x0040,
        CAN_ISOTP_FORCE_TXSTMIN = 0x0080,
        CAN_ISOTP_FORCE_RXSTMIN = 0x0100,
        CAN_ISOTP_RX_EXT_ADDR = 0x0200,
        CAN_ISOTP_WAIT_TX_DONE = 0x0400,
        CAN_ISOTP_SF_BROADCAST = 0x0800,
        CAN_ISOTP_CF_BROADCAST = 0x1000,
    }
    "Option of CAN_J1939, linux/can/j1939.h": i32 {
        SO_J1939_FILTER = 1,
        SO_J1939_PROMISC = 2,
        SO_J1939_SEND_PRIO = 3,
        SO_J1939_ERRQUEUE = 4,
    }
    "Parameter group number, linux/can/j1939.h": u32 {
        J1939_PGN_REQUEST = 0x0ea00,
        J1939_PGN_ADDRESS_CLAIMED = 0x0ee00,
        J1939_PGN_ADDRESS_COMMANDED = 0x0fed8,
        J1939_PGN_PDU1_MAX = 0x3ff00,
        J1939_PGN_MAX = 0x3ffff,
        J1939_NO_PGN = 0x40000,
    }
    "J1939 address, linux/can/j1939.h": u8 {
        J1939_MAX_UNICAST_ADDR = 0xfd,
        J1939_IDLE_ADDR = 0xfe,
        J1939_NO_ADDR = 0xff,
    }

    "Context id or port, linux/vm_sockets.h": u32 {
        VMADDR_CID_ANY = u32::MAX,
        VMADDR_CID_HYPERVISOR = 0,
        VMADDR_CID_LOCAL = 1,
        VMADDR_CID_HOST = 2,
        VMADDR_PORT_ANY = u32::MAX,
    }
    "Flag of a vsock address, linux/vm_sockets.h": u8 { VMADDR_FLAG_TO_HOST = 1, }
    "Option of AF_VSOCK, linux/vm_sockets.h": i32 {
        SO_VM_SOCKETS_BUFFER_SIZE = 0,
        SO_VM_SOCKETS_BUFFER_MIN_SIZE = 1,
        SO_VM_SOCKETS_BUFFER_MAX_SIZE = 2,
        SO_VM_SOCKETS_CONNECT_TIMEOUT = 6,
    }

    "Option of SOL_NETLINK, netlink(7)": i32 {
        NETLINK_ADD_MEMBERSHIP = 1,
        NETLINK_DROP_MEMBERSHIP = 2,
        NETLINK_PKTINFO = 3,
        NETLINK_BROADCAST_ERROR = 4,
        NETLINK_NO_ENOBUFS = 5,
        NETLINK_LIST_MEMBERSHIPS = 9,
        NETLINK_CAP_ACK = 10,
        NETLINK_EXT_ACK = 11,
        NETLINK_GET_STRICT_CHK = 12,
    }
    "Flag of a netlink message, netlink(7)": u16 {
        NLM_F_REQUEST = 0x01,
        NLM_F_MULTI = 0x02,
        NLM_F_ACK = 0x04,
        NLM_F_ECHO = 0x08,
        NLM_F_DUMP_INTR = 0x10,
        NLM_F_DUMP_FILTERED = 0x20,
        NLM_F_ROOT = 0x100,
        NLM_F_MATCH = 0x200,
        NLM_F_ATOMIC = 0x400,
        NLM_F_DUMP = 0x300,
        NLM_F_REPLACE = 0x100,
        NLM_F_EXCL = 0x200,
        NLM_F_CREATE = 0x400,
        NLM_F_APPEND = 0x800,
        NLM_F_CAPPED = 0x100,
        NLM_F_ACK_TLVS = 0x200,
    }
    "Type of every netlink protocol's messages, netlink(7)": u16 {
        NLMSG_NOOP = 1,
        NLMSG_ERROR = 2,
        NLMSG_DONE = 3,
        NLMSG_OVERRUN = 4,
        NLMSG_MIN_TYPE = 0x10,
    }
    "Type of rtnetlink(7) messages": u16 {
        RTM_NEWLINK = 16,
        RTM_DELLINK = 17,
        RTM_GETLINK = 18,
        RTM_SETLINK = 19,
        RTM_NEWADDR = 20,
        RTM_DELADDR = 21,
        RTM_GETADDR = 22,
        RTM_NEWROUTE = 24,
        RTM_DELROUTE = 25,
        RTM_GETROUTE = 26,
        RTM_NEWNEIGH = 28,
        RTM_DELNEIGH = 29,
        RTM_GETNEIGH = 30,
        RTM_NEWRULE = 32,
        RTM_DELRULE = 33,
        RTM_GETRULE = 34,
    }
    "Multicast group of rtnetlink(7), linux/rtnetlink.h": u32 {
        RTNLGRP_LINK = 1,
        RTNLGRP_NOTIFY = 2,
        RTNLGRP_NEIGH = 3,
        RTNLGRP_IPV4_IFADDR = 5,
        RTNLGRP_IPV4_ROUTE = 7,
        RTNLGRP_IPV6_IFADDR = 9,
        RTNLGRP_IPV6_ROUTE = 11,
    }
    "Flag of a network interface, netdevice(7)": u32 {
        IFF_UP = 0x1,
        IFF_BROADCAST = 0x2,
        IFF_LOOPBACK = 0x8,
        IFF_POINTOPOINT = 0x10,
        IFF_RUNNING = 0x40,
        IFF_NOARP = 0x80,
        IFF_PROMISC = 0x100,
        IFF_ALLMULTI = 0x200,
        IFF_MULTICAST = 0x1000,
        IFF_LOWER_UP = 0x1_0000,
    }
    "Type of sock_diag(7) messages": u16 { SOCK_DIAG_BY_FAMILY = 20, }

    "Ethernet protocol in host byte order, linux/if_ether.h": u16 {
        ETH_P_ALL = 0x0003,
        ETH_P_CAN = 0x000c,
        ETH_P_IP = 0x0800,
        ETH_P_ARP = 0x0806,
        ETH_P_8021Q = 0x8100,
        ETH_P_IPV6 = 0x86dd,
        ETH_P_LLDP = 0x88cc,
        ETH_P_1588 = 0x88f7,
    }
    "Option of SOL_PACKET, packet(7)": i32 {
        PACKET_ADD_MEMBERSHIP = 1,
        PACKET_DROP_MEMBERSHIP = 2,
        PACKET_STATISTICS = 6,
        PACKET_AUXDATA = 8,
        PACKET_ORIGDEV = 9,
        PACKET_TIMESTAMP = 17,
        PACKET_FANOUT = 18,
        PACKET_QDISC_BYPASS = 20,
        PACKET_IGNORE_OUTGOING = 23,
    }
    "Kind of packet membership, packet(7)": u16 {
        PACKET_MR_MULTICAST = 0,
        PACKET_MR_PROMISC = 1,
        PACKET_MR_ALLMULTI = 2,
        PACKET_MR_UNICAST = 3,
    }
    "Status of a received frame, packet(7)": u32 {
        TP_STATUS_COPY = 1 << 1,
        TP_STATUS_LOSING = 1 << 2,
        TP_STATUS_CSUMNOTREADY = 1 << 3,
        TP_STATUS_VLAN_VALID = 1 << 4,
        TP_STATUS_VLAN_TPID_VALID = 1 << 6,
        TP_STATUS_CSUM_VALID = 1 << 7,
    }

    "Option of SOL_RAW or SOL_ICMPV6, raw(7), icmp(7), RFC 3542": i32 {
        ICMP_FILTER = 1,
        ICMPV6_FILTER = 1,
    }
    "Option of SOL_IP, ip(7)": i32 {
        IP_HDRINCL = 3,
        IP_RECVERR = 11,
    }
    "Option of SOL_IPV6, ipv6(7)": i32 { IPV6_CHECKSUM = 7, }

    "Option of SOL_ALG, linux/if_alg.h": i32 {
        ALG_SET_KEY = 1,
        ALG_SET_IV = 2,
        ALG_SET_OP = 3,
        ALG_SET_AEAD_ASSOCLEN = 4,
        ALG_SET_AEAD_AUTHSIZE = 5,
        ALG_SET_DRBG_ENTROPY = 6,
    }

    "TIPC scope, tipc(7)": i8 {
        TIPC_CLUSTER_SCOPE = 2,
        TIPC_NODE_SCOPE = 3,
    }
    "Option of SOL_TIPC, linux/tipc.h": i32 {
        TIPC_IMPORTANCE = 127,
        TIPC_SRC_DROPPABLE = 128,
        TIPC_DEST_DROPPABLE = 129,
        TIPC_CONN_TIMEOUT = 130,
        TIPC_NODE_RECVQ_DEPTH = 131,
        TIPC_SOCK_RECVQ_DEPTH = 132,
        TIPC_MCAST_BROADCAST = 133,
        TIPC_MCAST_REPLICAST = 134,
        TIPC_GROUP_JOIN = 135,
        TIPC_GROUP_LEAVE = 136,
        TIPC_SOCK_RECVQ_USED = 137,
        TIPC_NODELAY = 138,
    }
    "Ancillary data of SOL_TIPC, linux/tipc.h": i32 {
        TIPC_ERRINFO = 1,
        TIPC_RETDATA = 2,
        TIPC_DESTNAME = 3,
    }
    "Reserved TIPC service, linux/tipc.h": u32 {
        TIPC_NODE_STATE = 0,
        TIPC_TOP_SRV = 1,
        TIPC_LINK_STATE = 2,
    }
    "Flag of a TIPC group, linux/tipc.h": u32 {
        TIPC_GROUP_LOOPBACK = 1,
        TIPC_GROUP_MEMBER_EVTS = 2,
    }
    "Filter of a TIPC subscription, linux/tipc.h": u32 {
        TIPC_SUB_PORTS = 1,
        TIPC_SUB_SERVICE = 2,
        TIPC_SUB_CANCEL = 4,
    }

    "HCI channel, BlueZ lib/hci.h": u16 {
        HCI_CHANNEL_RAW = 0,
        HCI_CHANNEL_USER = 1,
        HCI_CHANNEL_MONITOR = 2,
        HCI_CHANNEL_CONTROL = 3,
        HCI_CHANNEL_LOGGING = 4,
    }
    "HCI device, BlueZ lib/hci.h": u16 { HCI_DEV_NONE = 0xffff, }
    "Option of SOL_HCI, BlueZ lib/hci.h": i32 {
        HCI_DATA_DIR = 1,
        HCI_FILTER = 2,
        HCI_TIME_STAMP = 3,
    }
    "Option of SOL_BLUETOOTH, BlueZ lib/bluetooth.h": i32 {
        BT_SECURITY = 4,
        BT_DEFER_SETUP = 7,
        BT_FLUSHABLE = 8,
        BT_POWER = 9,
        BT_CHANNEL_POLICY = 10,
        BT_VOICE = 11,
        BT_SNDMTU = 12,
        BT_RCVMTU = 13,
        BT_PHY = 14,
        BT_MODE = 15,
        BT_PKT_STATUS = 16,
    }
    "Security level of BT_SECURITY, BlueZ lib/bluetooth.h": u8 {
        BT_SECURITY_SDP = 0,
        BT_SECURITY_LOW = 1,
        BT_SECURITY_MEDIUM = 2,
        BT_SECURITY_HIGH = 3,
        BT_SECURITY_FIPS = 4,
    }
    "Option of SOL_L2CAP, SOL_RFCOMM or SOL_SCO, BlueZ": i32 {
        L2CAP_OPTIONS = 1,
        L2CAP_LM = 3,
        RFCOMM_LM = 3,
        SCO_OPTIONS = 1,
    }

    "Option of SOL_RDS, linux/rds.h": i32 {
        RDS_CANCEL_SENT_TO = 1,
        RDS_RECVERR = 5,
        RDS_CONG_MONITOR = 6,
        SO_RDS_TRANSPORT = 8,
    }
    "Transport of RDS, linux/rds.h": i32 {
        RDS_TRANS_IB = 0,
        RDS_TRANS_TCP = 2,
    }
    "Node or port of QRTR, linux/qrtr.h": u32 {
        QRTR_NODE_BCAST = 0xffff_ffff,
        QRTR_PORT_CTRL = 0xffff_fffe,
    }
    "Option of SOL_UDPLITE, udplite(7)": i32 {
        UDPLITE_SEND_CSCOV = 10,
        UDPLITE_RECV_CSCOV = 11,
    }
    "Option of SOL_DCCP, linux/dccp.h": i32 {
        DCCP_SOCKOPT_SERVICE = 2,
        DCCP_SOCKOPT_GET_CUR_MPS = 5,
        DCCP_SOCKOPT_SERVER_TIMEWAIT = 6,
        DCCP_SOCKOPT_SEND_CSCOV = 10,
        DCCP_SOCKOPT_RECV_CSCOV = 11,
        DCCP_SOCKOPT_AVAILABLE_CCIDS = 12,
        DCCP_SOCKOPT_CCID = 13,
    }
    "Option of SOL_SCTP, sctp(7), linux/sctp.h": i32 {
        SCTP_RTOINFO = 0,
        SCTP_ASSOCINFO = 1,
        SCTP_INITMSG = 2,
        SCTP_NODELAY = 3,
        SCTP_AUTOCLOSE = 4,
        SCTP_DISABLE_FRAGMENTS = 8,
        SCTP_EVENTS = 11,
        SCTP_MAXSEG = 13,
        SCTP_STATUS = 14,
        SCTP_RECVRCVINFO = 32,
    }
    "Ancillary data of SOL_SCTP, RFC 6458": i32 {
        SCTP_SNDINFO = 2,
        SCTP_RCVINFO = 3,
        SCTP_CMSG_INIT = 0,
        SCTP_CMSG_SNDRCV = 1,
    }
    "Option of SOL_MPTCP, linux/mptcp.h": i32 {
        MPTCP_INFO = 1,
        MPTCP_TCPINFO = 2,
        MPTCP_SUBFLOW_ADDRS = 3,
    }
}
