//! Packet sockets: linux/if_packet.h, linux/if_ether.h.

super::numbers! {
    "Kind of a received frame, packet(7)": u8 {
        PACKET_HOST = 0,
        PACKET_BROADCAST = 1,
        PACKET_MULTICAST = 2,
        PACKET_OTHERHOST = 3,
        PACKET_OUTGOING = 4,
        PACKET_LOOPBACK = 5,
        PACKET_USER = 6,
        PACKET_FASTROUTE = 6,
        PACKET_KERNEL = 7,
    }
    "Kind of packet membership, packet(7)": u16 {
        PACKET_MR_MULTICAST = 0,
        PACKET_MR_PROMISC = 1,
        PACKET_MR_ALLMULTI = 2,
        PACKET_MR_UNICAST = 3,
    }
    "Option of SOL_PACKET, packet(7)": i32 {
        PACKET_ADD_MEMBERSHIP = 1,
        PACKET_DROP_MEMBERSHIP = 2,
        PACKET_RECV_OUTPUT = 3,
        PACKET_RX_RING = 5,
        PACKET_STATISTICS = 6,
        PACKET_COPY_THRESH = 7,
        PACKET_AUXDATA = 8,
        PACKET_ORIGDEV = 9,
        PACKET_VERSION = 10,
        PACKET_HDRLEN = 11,
        PACKET_RESERVE = 12,
        PACKET_TX_RING = 13,
        PACKET_LOSS = 14,
        PACKET_VNET_HDR = 15,
        PACKET_TX_TIMESTAMP = 16,
        PACKET_TIMESTAMP = 17,
        PACKET_FANOUT = 18,
        PACKET_TX_HAS_OFF = 19,
        PACKET_QDISC_BYPASS = 20,
        PACKET_ROLLOVER_STATS = 21,
        PACKET_FANOUT_DATA = 22,
        PACKET_IGNORE_OUTGOING = 23,
        PACKET_VNET_HDR_SZ = 24,
    }
    "Ethernet protocol in host byte order, net/ethernet.h": u16 {
        ETHERTYPE_IP = 0x0800,
        ETHERTYPE_ARP = 0x0806,
        ETHERTYPE_VLAN = 0x8100,
        ETHERTYPE_IPV6 = 0x86dd,
    }
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
    "Status of a received frame, packet(7)": u32 {
        TP_STATUS_COPY = 1 << 1,
        TP_STATUS_LOSING = 1 << 2,
        TP_STATUS_CSUMNOTREADY = 1 << 3,
        TP_STATUS_VLAN_VALID = 1 << 4,
        TP_STATUS_VLAN_TPID_VALID = 1 << 6,
        TP_STATUS_CSUM_VALID = 1 << 7,
    }
}
