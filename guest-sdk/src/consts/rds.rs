//! RDS and Qualcomm's IPC router: linux/rds.h, linux/qrtr.h.

super::numbers! {
    "Option of SOL_RDS, linux/rds.h": i32 {
        RDS_CANCEL_SENT_TO = 1,
        RDS_GET_MR = 2,
        RDS_FREE_MR = 3,
        RDS_RECVERR = 5,
        RDS_CONG_MONITOR = 6,
        RDS_GET_MR_FOR_DEST = 7,
        SO_RDS_TRANSPORT = 8,
        SO_RDS_MSG_RXPATH_LATENCY = 10,
    }
    "Ancillary data of SOL_RDS, linux/rds.h": i32 {
        RDS_CMSG_RDMA_ARGS = 1,
        RDS_CMSG_RDMA_DEST = 2,
        RDS_CMSG_RDMA_MAP = 3,
        RDS_CMSG_RDMA_STATUS = 4,
        RDS_CMSG_CONG_UPDATE = 5,
    }
    "Flag of a remote transfer of RDS, linux/rds.h": u64 {
        RDS_RDMA_READWRITE = 0x0001,
        RDS_RDMA_FENCE = 0x0002,
        RDS_RDMA_INVALIDATE = 0x0004,
        RDS_RDMA_USE_ONCE = 0x0008,
        RDS_RDMA_DONTWAIT = 0x0010,
        RDS_RDMA_NOTIFY_ME = 0x0020,
        RDS_RDMA_SILENT = 0x0040,
    }
    "Transport of RDS, linux/rds.h": i32 {
        RDS_TRANS_IB = 0,
        RDS_TRANS_TCP = 2,
    }
    "Node or port of QRTR, linux/qrtr.h": u32 {
        QRTR_PORT_CTRL = 0xffff_fffe,
        QRTR_NODE_BCAST = 0xffff_ffff,
    }
}
