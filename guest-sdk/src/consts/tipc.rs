//! TIPC: linux/tipc.h.

super::numbers! {
    "Kind of a TIPC address, linux/tipc.h": u8 {
        TIPC_ADDR_NAMESEQ = 1,
        TIPC_ADDR_NAME = 2,
        TIPC_ADDR_ID = 3,
    }
    "TIPC scope, tipc(7)": i8 {
        TIPC_ZONE_SCOPE = 1,
        TIPC_CLUSTER_SCOPE = 2,
        TIPC_NODE_SCOPE = 3,
    }
    "Value of TIPC_IMPORTANCE, linux/tipc.h": u32 {
        TIPC_LOW_IMPORTANCE = 0,
        TIPC_MEDIUM_IMPORTANCE = 1,
        TIPC_HIGH_IMPORTANCE = 2,
        TIPC_CRITICAL_IMPORTANCE = 3,
    }
    "Event of a TIPC subscription, linux/tipc.h": u32 {
        TIPC_PUBLISHED = 1,
        TIPC_WITHDRAWN = 2,
        TIPC_SUBSCR_TIMEOUT = 3,
    }
    "Time-out of a TIPC subscription without end, linux/tipc.h": i32 {
        TIPC_WAIT_FOREVER = -1,
    }
    "Reserved TIPC service, linux/tipc.h": u32 {
        TIPC_NODE_STATE = 0,
        TIPC_CFG_SRV = 0,
        TIPC_TOP_SRV = 1,
        TIPC_LINK_STATE = 2,
    }
    "Numbers below it are reserved TIPC services, linux/tipc.h": u32 {
        TIPC_RESERVED_TYPES = 64,
    }
    "Filter of a TIPC subscription, linux/tipc.h": u32 {
        TIPC_SUB_PORTS = 1,
        TIPC_SUB_SERVICE = 2,
        TIPC_SUB_CANCEL = 4,
    }
    "Flag of a TIPC group, linux/tipc.h": u32 {
        TIPC_GROUP_LOOPBACK = 1,
        TIPC_GROUP_MEMBER_EVTS = 2,
    }
    "Ancillary data of SOL_TIPC, linux/tipc.h": i32 {
        TIPC_ERRINFO = 1,
        TIPC_RETDATA = 2,
        TIPC_DESTNAME = 3,
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
}
