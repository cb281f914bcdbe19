//! Flags and ancillary data of messages: bits/socket.h, linux/net_tstamp.h, linux/errqueue.h.

super::numbers! {
    "Origin of an extended error, linux/errqueue.h": u8 {
        SO_EE_ORIGIN_NONE = 0,
        SO_EE_ORIGIN_LOCAL = 1,
        SO_EE_ORIGIN_ICMP = 2,
        SO_EE_ORIGIN_ICMP6 = 3,
        SO_EE_ORIGIN_TXSTATUS = 4,
        SO_EE_ORIGIN_ZEROCOPY = 5,
        SO_EE_ORIGIN_TXTIME = 6,
    }
    "Code of a completion of MSG_ZEROCOPY, linux/errqueue.h": u8 {
        SO_EE_CODE_ZEROCOPY_COPIED = 1,
    }
    "Flag of an extended error with RFC 4884 data, linux/errqueue.h": u8 {
        SO_EE_RFC4884_FLAG_INVALID = 1,
    }
    "Flag of a message, send(2), recv(2); [`MessageFlags`](crate::MessageFlags) names those of a call": i32 {
        MSG_OOB = 1,
        MSG_PEEK = 2,
        MSG_DONTROUTE = 4,
        MSG_CTRUNC = 8,
        MSG_PROXY = 0x10,
        MSG_TRUNC = 0x20,
        MSG_DONTWAIT = 0x40,
        MSG_EOR = 0x80,
        MSG_WAITALL = 0x100,
        MSG_FIN = 0x200,
        MSG_SYN = 0x400,
        MSG_CONFIRM = 0x800,
        MSG_RST = 0x1000,
        MSG_ERRQUEUE = 0x2000,
        MSG_NOSIGNAL = 0x4000,
        MSG_NOTIFICATION = 0x8000,
        MSG_MORE = 0x8000,
        MSG_WAITFORONE = 0x0001_0000,
        MSG_ZEROCOPY = 0x0400_0000,
        MSG_FASTOPEN = 0x2000_0000,
        MSG_CMSG_CLOEXEC = 0x4000_0000,
    }
    "What a transmit timestamp tells of, linux/errqueue.h": i32 {
        SCM_TSTAMP_SND = 0,
        SCM_TSTAMP_SCHED = 1,
        SCM_TSTAMP_ACK = 2,
        SCM_TSTAMP_COMPLETION = 3,
    }
    "Ancillary data of SOL_SOCKET, unix(7), socket(7)": i32 {
        SCM_RIGHTS = 1,
        SCM_CREDENTIALS = 2,
        SCM_SECURITY = 3,
        SCM_PIDFD = 4,
        SCM_TIMESTAMP = 29,
        SCM_TIMESTAMPNS = 35,
        SCM_TIMESTAMPING = 37,
        SCM_WIFI_STATUS = 41,
        SCM_TIMESTAMPING_OPT_STATS = 54,
        SCM_TIMESTAMPING_PKTINFO = 58,
        SCM_TXTIME = 61,
    }
    "Flag of SO_TIMESTAMPING, linux/net_tstamp.h": u32 {
        SOF_TIMESTAMPING_TX_HARDWARE = 1 << 0,
        SOF_TIMESTAMPING_TX_SOFTWARE = 1 << 1,
        SOF_TIMESTAMPING_RX_HARDWARE = 1 << 2,
        SOF_TIMESTAMPING_RX_SOFTWARE = 1 << 3,
        SOF_TIMESTAMPING_SOFTWARE = 1 << 4,
        SOF_TIMESTAMPING_SYS_HARDWARE = 1 << 5,
        SOF_TIMESTAMPING_RAW_HARDWARE = 1 << 6,
        SOF_TIMESTAMPING_OPT_ID = 1 << 7,
        SOF_TIMESTAMPING_TX_SCHED = 1 << 8,
        SOF_TIMESTAMPING_TX_ACK = 1 << 9,
        SOF_TIMESTAMPING_OPT_CMSG = 1 << 10,
        SOF_TIMESTAMPING_OPT_TSONLY = 1 << 11,
        SOF_TIMESTAMPING_OPT_STATS = 1 << 12,
        SOF_TIMESTAMPING_OPT_PKTINFO = 1 << 13,
        SOF_TIMESTAMPING_OPT_TX_SWHW = 1 << 14,
        SOF_TIMESTAMPING_BIND_PHC = 1 << 15,
        SOF_TIMESTAMPING_OPT_ID_TCP = 1 << 16,
        SOF_TIMESTAMPING_OPT_RX_FILTER = 1 << 17,
        SOF_TIMESTAMPING_TX_COMPLETION = 1 << 18,
    }
}
