//! UDP-Lite, DCCP, SCTP, MPTCP, KCM and SMC.

super::numbers! {
    "Option of SOL_UDPLITE, udplite(7)": i32 {
        UDPLITE_SEND_CSCOV = 10,
        UDPLITE_RECV_CSCOV = 11,
    }
    "Option of SOL_DCCP, linux/dccp.h": i32 {
        DCCP_SOCKOPT_PACKET_SIZE = 1,
        DCCP_SOCKOPT_SERVICE = 2,
        DCCP_SOCKOPT_CHANGE_L = 3,
        DCCP_SOCKOPT_CHANGE_R = 4,
        DCCP_SOCKOPT_GET_CUR_MPS = 5,
        DCCP_SOCKOPT_SERVER_TIMEWAIT = 6,
        DCCP_SOCKOPT_SEND_CSCOV = 10,
        DCCP_SOCKOPT_RECV_CSCOV = 11,
        DCCP_SOCKOPT_AVAILABLE_CCIDS = 12,
        DCCP_SOCKOPT_CCID = 13,
        DCCP_SOCKOPT_TX_CCID = 14,
        DCCP_SOCKOPT_RX_CCID = 15,
        DCCP_SOCKOPT_QPOLICY_ID = 16,
        DCCP_SOCKOPT_QPOLICY_TXQLEN = 17,
    }
    "Ancillary data of SOL_SCTP, RFC 6458": i32 {
        SCTP_CMSG_INIT = 0,
        SCTP_CMSG_SNDRCV = 1,
        SCTP_SNDINFO = 2,
        SCTP_RCVINFO = 3,
    }
    "Option of SOL_SCTP, sctp(7), linux/sctp.h": i32 {
        SCTP_RTOINFO = 0,
        SCTP_ASSOCINFO = 1,
        SCTP_INITMSG = 2,
        SCTP_NODELAY = 3,
        SCTP_AUTOCLOSE = 4,
        SCTP_SET_PEER_PRIMARY_ADDR = 5,
        SCTP_PRIMARY_ADDR = 6,
        SCTP_ADAPTATION_LAYER = 7,
        SCTP_DISABLE_FRAGMENTS = 8,
        SCTP_PEER_ADDR_PARAMS = 9,
        SCTP_DEFAULT_SEND_PARAM = 10,
        SCTP_EVENTS = 11,
        SCTP_I_WANT_MAPPED_V4_ADDR = 12,
        SCTP_MAXSEG = 13,
        SCTP_STATUS = 14,
        SCTP_GET_PEER_ADDR_INFO = 15,
        SCTP_DELAYED_SACK = 16,
        SCTP_CONTEXT = 17,
        SCTP_FRAGMENT_INTERLEAVE = 18,
        SCTP_PARTIAL_DELIVERY_POINT = 19,
        SCTP_MAX_BURST = 20,
        SCTP_GET_ASSOC_NUMBER = 28,
        SCTP_GET_ASSOC_ID_LIST = 29,
        SCTP_AUTO_ASCONF = 30,
        SCTP_RECVRCVINFO = 32,
        SCTP_RECVNXTINFO = 33,
        SCTP_DEFAULT_SNDINFO = 34,
        SCTP_SOCKOPT_BINDX_ADD = 100,
        SCTP_SOCKOPT_BINDX_REM = 101,
        SCTP_SOCKOPT_CONNECTX_OLD = 107,
        SCTP_GET_PEER_ADDRS = 108,
        SCTP_GET_LOCAL_ADDRS = 109,
        SCTP_SOCKOPT_CONNECTX = 110,
        SCTP_EVENT = 127,
    }
    "Option of SOL_MPTCP, linux/mptcp.h": i32 {
        MPTCP_INFO = 1,
        MPTCP_TCPINFO = 2,
        MPTCP_SUBFLOW_ADDRS = 3,
    }
    "Option of SOL_KCM, linux/kcm.h": i32 { KCM_RECV_DISABLE = 1, }
    "Option of SOL_SMC, linux/smc.h": i32 { SMC_LIMIT_HS = 1, }
}
