//! CAN: linux/can.h and linux/can.

super::numbers! {
    "Option of CAN_J1939, linux/can/j1939.h": i32 {
        SO_J1939_FILTER = 1,
        SO_J1939_PROMISC = 2,
        SO_J1939_SEND_PRIO = 3,
        SO_J1939_ERRQUEUE = 4,
    }
    "Ancillary data of SOL_CAN_J1939, linux/can/j1939.h": i32 {
        SCM_J1939_DEST_ADDR = 1,
        SCM_J1939_DEST_NAME = 2,
        SCM_J1939_PRIO = 3,
        SCM_J1939_ERRQUEUE = 4,
    }
    "Option of CAN_RAW, linux/can/raw.h": i32 {
        CAN_RAW_FILTER = 1,
        CAN_RAW_ERR_FILTER = 2,
        CAN_RAW_LOOPBACK = 3,
        CAN_RAW_RECV_OWN_MSGS = 4,
        CAN_RAW_FD_FRAMES = 5,
        CAN_RAW_JOIN_FILTERS = 6,
        CAN_RAW_XL_FRAMES = 7,
        CAN_RAW_XL_VCID_OPTS = 8,
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
    "Bit of a CAN identifier, linux/can.h": u32 {
        CAN_SFF_MASK = 0x7ff,
        CAN_EFF_MASK = 0x1fff_ffff,
        CAN_ERR_MASK = 0x1fff_ffff,
        CAN_ERR_FLAG = 0x2000_0000,
        CAN_INV_FILTER = 0x2000_0000,
        CAN_RTR_FLAG = 0x4000_0000,
        CAN_EFF_FLAG = 0x8000_0000,
    }
    "Length of a frame or of its data, linux/can.h": usize {
        CAN_MAX_DLEN = 8,
        CAN_MTU = 16,
        CANFD_MAX_DLEN = 64,
        CANFD_MTU = 72,
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
    "Protocol of PF_CAN, linux/can.h": i32 {
        CAN_RAW = 1,
        CAN_BCM = 2,
        CAN_TP16 = 3,
        CAN_TP20 = 4,
        CAN_MCNET = 5,
        CAN_ISOTP = 6,
        CAN_J1939 = 7,
    }
    "Operation of CAN_BCM, linux/can/bcm.h": u32 {
        CAN_BCM_TX_SETUP = 1,
        CAN_BCM_TX_DELETE = 2,
        CAN_BCM_TX_READ = 3,
        CAN_BCM_TX_SEND = 4,
        CAN_BCM_RX_SETUP = 5,
        CAN_BCM_RX_DELETE = 6,
        CAN_BCM_RX_READ = 7,
        CAN_BCM_TX_STATUS = 8,
        CAN_BCM_TX_EXPIRED = 9,
        CAN_BCM_RX_STATUS = 10,
        CAN_BCM_RX_TIMEOUT = 11,
        CAN_BCM_RX_CHANGED = 12,
    }
    "Flag of a message of CAN_BCM, linux/can/bcm.h": u32 {
        CAN_BCM_SETTIMER = 1,
        CAN_BCM_STARTTIMER = 2,
        CAN_BCM_TX_COUNTEVT = 4,
        CAN_BCM_TX_ANNOUNCE = 8,
        CAN_BCM_TX_CP_CAN_ID = 0x10,
        CAN_BCM_RX_FILTER_ID = 0x20,
        CAN_BCM_RX_CHECK_DLC = 0x40,
        CAN_BCM_RX_NO_AUTOTIMER = 0x80,
        CAN_BCM_RX_ANNOUNCE_RESUME = 0x100,
        CAN_BCM_TX_RESET_MULTI_IDX = 0x200,
        CAN_BCM_RX_RTR_FRAME = 0x400,
        CAN_BCM_CAN_FD_FRAME = 0x800,
    }
    "Option of CAN_ISOTP, linux/can/isotp.h": i32 {
        CAN_ISOTP_OPTS = 1,
        CAN_ISOTP_RECV_FC = 2,
        CAN_ISOTP_TX_STMIN = 3,
        CAN_ISOTP_RX_STMIN = 4,
        CAN_ISOTP_LL_OPTS = 5,
    }
    "Default of an ISO-TP socket, linux/can/isotp.h": u32 {
        CAN_ISOTP_DEFAULT_FLAGS = 0,
        CAN_ISOTP_DEFAULT_EXT_ADDRESS = 0,
        CAN_ISOTP_DEFAULT_RECV_BS = 0,
        CAN_ISOTP_DEFAULT_RECV_STMIN = 0,
        CAN_ISOTP_DEFAULT_RECV_WFTMAX = 0,
        CAN_ISOTP_DEFAULT_LL_TX_FLAGS = 0,
        CAN_ISOTP_DEFAULT_LL_TX_DL = 8,
        CAN_ISOTP_DEFAULT_LL_MTU = 16,
        CAN_ISOTP_DEFAULT_PAD_CONTENT = 204,
        CAN_ISOTP_DEFAULT_FRAME_TXTIME = 50000,
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
        CAN_ISOTP_DYN_FC_PARMS = 0x2000,
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
    "J1939 name, linux/can/j1939.h": u64 { J1939_NO_NAME = 0, }
    "Most filters of a J1939 socket, linux/can/j1939.h": usize { J1939_FILTER_MAX = 512, }
    "State of a J1939 transfer in the error queue, linux/can/j1939.h": u32 {
        J1939_EE_INFO_NONE = 0,
        J1939_EE_INFO_TX_ABORT = 1,
    }
    "Attribute of a J1939 transfer in the error queue, linux/can/j1939.h": u16 {
        J1939_NLA_PAD = 0,
        J1939_NLA_BYTES_ACKED = 1,
    }
}
