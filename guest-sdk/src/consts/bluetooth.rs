//! Bluetooth: BlueZ's lib.

super::numbers! {
    "Protocol of AF_BLUETOOTH, BlueZ lib/bluetooth.h": i32 {
        BTPROTO_L2CAP = 0,
        BTPROTO_HCI = 1,
        BTPROTO_SCO = 2,
        BTPROTO_RFCOMM = 3,
        BTPROTO_BNEP = 4,
        BTPROTO_CMTP = 5,
        BTPROTO_HIDP = 6,
        BTPROTO_AVDTP = 7,
        BTPROTO_ISO = 8,
    }
    "Kind of a Bluetooth address, BlueZ lib/bluetooth.h": u8 {
        BDADDR_BREDR = 0,
        BDADDR_LE_PUBLIC = 1,
        BDADDR_LE_RANDOM = 2,
    }
    "Value of BT_FLUSHABLE, BlueZ lib/bluetooth.h": u32 {
        BT_FLUSHABLE_OFF = 0,
        BT_FLUSHABLE_ON = 1,
    }
    "Value of BT_POWER, BlueZ lib/bluetooth.h": u8 {
        BT_POWER_FORCE_ACTIVE_OFF = 0,
        BT_POWER_FORCE_ACTIVE_ON = 1,
    }
    "Value of BT_CHANNEL_POLICY, BlueZ lib/bluetooth.h": u32 {
        BT_CHANNEL_POLICY_BREDR_ONLY = 0,
        BT_CHANNEL_POLICY_BREDR_PREFERRED = 1,
    }
    "Value of BT_VOICE, BlueZ lib/bluetooth.h": u16 {
        BT_VOICE_TRANSPARENT = 0x0003,
        BT_VOICE_CVSD_16BIT = 0x0060,
        BT_VOICE_TRANSPARENT_16BIT = 0x0063,
    }
    "Bit of BT_PHY, BlueZ lib/bluetooth.h": u32 {
        BT_PHY_BR_1M_1SLOT = 1,
        BT_PHY_BR_1M_3SLOT = 2,
        BT_PHY_BR_1M_5SLOT = 4,
        BT_PHY_EDR_2M_1SLOT = 8,
        BT_PHY_EDR_2M_3SLOT = 0x10,
        BT_PHY_EDR_2M_5SLOT = 0x20,
        BT_PHY_EDR_3M_1SLOT = 0x40,
        BT_PHY_EDR_3M_3SLOT = 0x80,
        BT_PHY_EDR_3M_5SLOT = 0x100,
        BT_PHY_LE_1M_TX = 0x200,
        BT_PHY_LE_1M_RX = 0x400,
        BT_PHY_LE_2M_TX = 0x800,
        BT_PHY_LE_2M_RX = 0x1000,
        BT_PHY_LE_CODED_TX = 0x2000,
        BT_PHY_LE_CODED_RX = 0x4000,
    }
    "Value of BT_MODE, BlueZ lib/bluetooth.h": u8 {
        BT_MODE_BASIC = 0,
        BT_MODE_ERTM = 1,
        BT_MODE_STREAMING = 2,
        BT_MODE_LE_FLOWCTL = 3,
        BT_MODE_EXT_FLOWCTL = 4,
    }
    "Security level of BT_SECURITY, BlueZ lib/bluetooth.h": u8 {
        BT_SECURITY_SDP = 0,
        BT_SECURITY_LOW = 1,
        BT_SECURITY_MEDIUM = 2,
        BT_SECURITY_HIGH = 3,
        BT_SECURITY_FIPS = 4,
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
        BT_ISO_QOS = 17,
        BT_CODEC = 19,
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
    "Bit of L2CAP_LM, BlueZ lib/l2cap.h": u32 {
        L2CAP_LM_MASTER = 0x0001,
        L2CAP_LM_AUTH = 0x0002,
        L2CAP_LM_ENCRYPT = 0x0004,
        L2CAP_LM_TRUSTED = 0x0008,
        L2CAP_LM_RELIABLE = 0x0010,
        L2CAP_LM_SECURE = 0x0020,
    }
    "Option of SOL_L2CAP, SOL_RFCOMM or SOL_SCO, BlueZ": i32 {
        L2CAP_OPTIONS = 1,
        SCO_OPTIONS = 1,
        RFCOMM_CONNINFO = 2,
        L2CAP_CONNINFO = 2,
        SCO_CONNINFO = 2,
        L2CAP_LM = 3,
        RFCOMM_LM = 3,
    }
}
