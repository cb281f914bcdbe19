//! Socket options: one table from names to Linux's numbers, and the options that a guest has set so far.
//! See socket(7), ip(7), ipv6(7), tcp(7), udp(7).

use std::fmt;

use crate::kind::{Family, Kind, SocketType};

const SOL_SOCKET: i32 = 1;
const SOL_IP: i32 = 0;
const SOL_TCP: i32 = 6;
const SOL_UDP: i32 = 17;
const SOL_IPV6: i32 = 41;
const SOL_ICMPV6: i32 = 58;
const SOL_RAW: i32 = 255;
const SOL_PACKET: i32 = 263;
const SOL_NETLINK: i32 = 270;
const SOL_RFCOMM: i32 = 18;
/// AF_VSOCK's options have the family's number for a level, vsock(7).
const AF_VSOCK: i32 = 40;
const SOL_SCTP: i32 = 132;
const SOL_UDPLITE: i32 = 136;
const SOL_DCCP: i32 = 269;
const SOL_TIPC: i32 = 271;
const SOL_BLUETOOTH: i32 = 274;
const SOL_RDS: i32 = 276;
const SOL_ALG: i32 = 279;
const SOL_KCM: i32 = 281;
const SOL_MPTCP: i32 = 284;
const SOL_SMC: i32 = 286;
const SOL_CAN_RAW: i32 = 101;
const SOL_CAN_ISOTP: i32 = 106;
const SOL_CAN_J1939: i32 = 107;

/// A socket option by Linux's numbers, as getsockopt(2) takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptionName {
    /// The level: 1 (socket), 0 (ip), 41 (ipv6), 6 (tcp), 17 (udp), ...
    pub level: i32,
    /// The option's number within its level.
    pub name: i32,
}

/// How the value of an option is written in a policy and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueForm {
    /// A number: four bytes in native order, or one byte.
    Int,
    /// Text: bytes up to the first NUL.
    Text,
    /// A structure: no value can be bound to it.
    Bytes,
}

/// One row of the table of options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownOption {
    pub(crate) readable: &'static str,
    pub(crate) option: OptionName,
    pub(crate) form: ValueForm,
    /// Reaches beyond the socket or around the checks: a wildcard in `options.set` leaves it out, so a
    /// policy has to name it.
    pub(crate) delicate: bool,
}

const fn plain(readable: &'static str, level: i32, name: i32, form: ValueForm) -> KnownOption {
    KnownOption {
        readable,
        option: OptionName { level, name },
        form,
        delicate: false,
    }
}

const fn delicate(readable: &'static str, level: i32, name: i32, form: ValueForm) -> KnownOption {
    KnownOption {
        readable,
        option: OptionName { level, name },
        form,
        delicate: true,
    }
}

use ValueForm::{Bytes, Int, Text};

/// Every option that has a name. A new one is one row here.
pub(crate) const OPTIONS: &[KnownOption] = &[
    plain("so.debug", SOL_SOCKET, 1, Int),
    delicate("so.reuseaddr", SOL_SOCKET, 2, Int),
    plain("so.type", SOL_SOCKET, 3, Int),
    plain("so.error", SOL_SOCKET, 4, Int),
    delicate("so.dontroute", SOL_SOCKET, 5, Int),
    delicate("so.broadcast", SOL_SOCKET, 6, Int),
    plain("so.sndbuf", SOL_SOCKET, 7, Int),
    plain("so.rcvbuf", SOL_SOCKET, 8, Int),
    plain("so.keepalive", SOL_SOCKET, 9, Int),
    plain("so.oobinline", SOL_SOCKET, 10, Int),
    delicate("so.no-check", SOL_SOCKET, 11, Int),
    delicate("so.priority", SOL_SOCKET, 12, Int),
    plain("so.linger", SOL_SOCKET, 13, Bytes),
    delicate("so.reuseport", SOL_SOCKET, 15, Int),
    delicate("so.passcred", SOL_SOCKET, 16, Int),
    plain("so.peercred", SOL_SOCKET, 17, Bytes),
    plain("so.rcvlowat", SOL_SOCKET, 18, Int),
    plain("so.sndlowat", SOL_SOCKET, 19, Int),
    plain("so.rcvtimeo", SOL_SOCKET, 20, Bytes),
    plain("so.sndtimeo", SOL_SOCKET, 21, Bytes),
    delicate("so.bindtodevice", SOL_SOCKET, 25, Text),
    delicate("so.attach-filter", SOL_SOCKET, 26, Bytes),
    delicate("so.detach-filter", SOL_SOCKET, 27, Bytes),
    plain("so.timestamp", SOL_SOCKET, 29, Int),
    plain("so.acceptconn", SOL_SOCKET, 30, Int),
    plain("so.peersec", SOL_SOCKET, 31, Bytes),
    delicate("so.sndbufforce", SOL_SOCKET, 32, Int),
    delicate("so.rcvbufforce", SOL_SOCKET, 33, Int),
    delicate("so.passsec", SOL_SOCKET, 34, Int),
    plain("so.timestampns", SOL_SOCKET, 35, Int),
    delicate("so.mark", SOL_SOCKET, 36, Int),
    plain("so.timestamping", SOL_SOCKET, 37, Bytes),
    plain("so.protocol", SOL_SOCKET, 38, Int),
    plain("so.domain", SOL_SOCKET, 39, Int),
    plain("so.rxq-ovfl", SOL_SOCKET, 40, Int),
    plain("so.peek-off", SOL_SOCKET, 42, Int),
    delicate("so.lock-filter", SOL_SOCKET, 44, Int),
    plain("so.busy-poll", SOL_SOCKET, 46, Int),
    plain("so.max-pacing-rate", SOL_SOCKET, 47, Bytes),
    delicate("so.attach-bpf", SOL_SOCKET, 50, Int),
    delicate("so.attach-reuseport-cbpf", SOL_SOCKET, 51, Bytes),
    delicate("so.attach-reuseport-ebpf", SOL_SOCKET, 52, Int),
    plain("so.incoming-cpu", SOL_SOCKET, 49, Int),
    plain("so.meminfo", SOL_SOCKET, 55, Bytes),
    plain("so.incoming-napi-id", SOL_SOCKET, 56, Int),
    plain("so.cookie", SOL_SOCKET, 57, Bytes),
    plain("so.peergroups", SOL_SOCKET, 59, Bytes),
    plain("so.zerocopy", SOL_SOCKET, 60, Int),
    delicate("so.txtime", SOL_SOCKET, 61, Bytes),
    delicate("so.bindtoifindex", SOL_SOCKET, 62, Int),
    delicate("so.detach-reuseport-bpf", SOL_SOCKET, 68, Bytes),
    plain("so.prefer-busy-poll", SOL_SOCKET, 69, Int),
    plain("so.busy-poll-budget", SOL_SOCKET, 70, Int),
    plain("so.reserve-mem", SOL_SOCKET, 73, Int),
    plain("so.txrehash", SOL_SOCKET, 74, Int),
    delicate("so.rcvmark", SOL_SOCKET, 75, Int),
    delicate("so.passpidfd", SOL_SOCKET, 76, Int),
    plain("so.peerpidfd", SOL_SOCKET, 77, Bytes),
    delicate("so.passrights", SOL_SOCKET, 83, Int),
    plain("ip.tos", SOL_IP, 1, Int),
    plain("ip.ttl", SOL_IP, 2, Int),
    delicate("ip.hdrincl", SOL_IP, 3, Int),
    delicate("ip.options", SOL_IP, 4, Bytes),
    plain("ip.recvopts", SOL_IP, 6, Int),
    plain("ip.pktinfo", SOL_IP, 8, Int),
    plain("ip.mtu-discover", SOL_IP, 10, Int),
    plain("ip.recverr", SOL_IP, 11, Int),
    plain("ip.recvttl", SOL_IP, 12, Int),
    plain("ip.recvtos", SOL_IP, 13, Int),
    plain("ip.mtu", SOL_IP, 14, Int),
    delicate("ip.freebind", SOL_IP, 15, Int),
    delicate("ip.ipsec-policy", SOL_IP, 16, Bytes),
    delicate("ip.xfrm-policy", SOL_IP, 17, Bytes),
    delicate("ip.transparent", SOL_IP, 19, Int),
    plain("ip.recvorigdstaddr", SOL_IP, 20, Int),
    plain("ip.minttl", SOL_IP, 21, Int),
    plain("ip.nodefrag", SOL_IP, 22, Int),
    plain("ip.checksum", SOL_IP, 23, Int),
    plain("ip.bind-address-no-port", SOL_IP, 24, Int),
    plain("ip.recvfragsize", SOL_IP, 25, Int),
    delicate("ip.multicast-if", SOL_IP, 32, Bytes),
    plain("ip.multicast-ttl", SOL_IP, 33, Int),
    plain("ip.multicast-loop", SOL_IP, 34, Int),
    delicate("ip.add-membership", SOL_IP, 35, Bytes),
    plain("ip.drop-membership", SOL_IP, 36, Bytes),
    delicate("ip.unblock-source", SOL_IP, 37, Bytes),
    delicate("ip.block-source", SOL_IP, 38, Bytes),
    delicate("ip.add-source-membership", SOL_IP, 39, Bytes),
    plain("ip.drop-source-membership", SOL_IP, 40, Bytes),
    delicate("ip.msfilter", SOL_IP, 41, Bytes),
    delicate("ip.mcast-join-group", SOL_IP, 42, Bytes),
    plain("ip.mcast-leave-group", SOL_IP, 45, Bytes),
    delicate("ip.mcast-join-source-group", SOL_IP, 46, Bytes),
    plain("ip.mcast-leave-source-group", SOL_IP, 47, Bytes),
    delicate("ip.multicast-all", SOL_IP, 49, Int),
    delicate("ip.unicast-if", SOL_IP, 50, Int),
    plain("ip.local-port-range", SOL_IP, 51, Int),
    plain("tcp.nodelay", SOL_TCP, 1, Int),
    plain("tcp.maxseg", SOL_TCP, 2, Int),
    plain("tcp.cork", SOL_TCP, 3, Int),
    plain("tcp.keepidle", SOL_TCP, 4, Int),
    plain("tcp.keepintvl", SOL_TCP, 5, Int),
    plain("tcp.keepcnt", SOL_TCP, 6, Int),
    plain("tcp.syncnt", SOL_TCP, 7, Int),
    plain("tcp.linger2", SOL_TCP, 8, Int),
    plain("tcp.defer-accept", SOL_TCP, 9, Int),
    plain("tcp.window-clamp", SOL_TCP, 10, Int),
    plain("tcp.info", SOL_TCP, 11, Bytes),
    plain("tcp.quickack", SOL_TCP, 12, Int),
    plain("tcp.congestion", SOL_TCP, 13, Text),
    delicate("tcp.md5sig", SOL_TCP, 14, Bytes),
    plain("tcp.thin-linear-timeouts", SOL_TCP, 16, Int),
    plain("tcp.user-timeout", SOL_TCP, 18, Int),
    delicate("tcp.repair", SOL_TCP, 19, Int),
    delicate("tcp.repair-queue", SOL_TCP, 20, Int),
    delicate("tcp.queue-seq", SOL_TCP, 21, Int),
    delicate("tcp.repair-options", SOL_TCP, 22, Bytes),
    delicate("tcp.fastopen", SOL_TCP, 23, Int),
    plain("tcp.timestamp", SOL_TCP, 24, Int),
    plain("tcp.notsent-lowat", SOL_TCP, 25, Int),
    plain("tcp.cc-info", SOL_TCP, 26, Bytes),
    plain("tcp.save-syn", SOL_TCP, 27, Int),
    plain("tcp.saved-syn", SOL_TCP, 28, Bytes),
    delicate("tcp.repair-window", SOL_TCP, 29, Bytes),
    delicate("tcp.fastopen-connect", SOL_TCP, 30, Int),
    delicate("tcp.ulp", SOL_TCP, 31, Text),
    delicate("tcp.md5sig-ext", SOL_TCP, 32, Bytes),
    delicate("tcp.fastopen-key", SOL_TCP, 33, Bytes),
    delicate("tcp.fastopen-no-cookie", SOL_TCP, 34, Int),
    delicate("tcp.zerocopy-receive", SOL_TCP, 35, Bytes),
    plain("tcp.inq", SOL_TCP, 36, Int),
    plain("tcp.tx-delay", SOL_TCP, 37, Int),
    plain("udp.cork", SOL_UDP, 1, Int),
    delicate("udp.encap", SOL_UDP, 100, Int),
    plain("udp.no-check6-tx", SOL_UDP, 101, Int),
    plain("udp.no-check6-rx", SOL_UDP, 102, Int),
    plain("udp.segment", SOL_UDP, 103, Int),
    plain("udp.gro", SOL_UDP, 104, Int),
    plain("ipv6.unicast-hops", SOL_IPV6, 16, Int),
    delicate("ipv6.multicast-if", SOL_IPV6, 17, Int),
    plain("ipv6.multicast-hops", SOL_IPV6, 18, Int),
    plain("ipv6.multicast-loop", SOL_IPV6, 19, Int),
    delicate("ipv6.join-group", SOL_IPV6, 20, Bytes),
    plain("ipv6.leave-group", SOL_IPV6, 21, Bytes),
    plain("ipv6.mtu-discover", SOL_IPV6, 23, Int),
    plain("ipv6.mtu", SOL_IPV6, 24, Int),
    plain("ipv6.recverr", SOL_IPV6, 25, Int),
    plain("ipv6.v6only", SOL_IPV6, 26, Int),
    delicate("ipv6.join-anycast", SOL_IPV6, 27, Bytes),
    plain("ipv6.leave-anycast", SOL_IPV6, 28, Bytes),
    delicate("ipv6.multicast-all", SOL_IPV6, 29, Int),
    plain("ipv6.recvpktinfo", SOL_IPV6, 49, Int),
    delicate("ipv6.pktinfo", SOL_IPV6, 50, Bytes),
    plain("ipv6.recvhoplimit", SOL_IPV6, 51, Int),
    delicate("ipv6.hopopts", SOL_IPV6, 54, Bytes),
    delicate("ipv6.rthdrdstopts", SOL_IPV6, 55, Bytes),
    delicate("ipv6.rthdr", SOL_IPV6, 57, Bytes),
    delicate("ipv6.dstopts", SOL_IPV6, 59, Bytes),
    plain("ipv6.recvtclass", SOL_IPV6, 66, Int),
    plain("ipv6.tclass", SOL_IPV6, 67, Int),
    plain("ipv6.autoflowlabel", SOL_IPV6, 70, Int),
    plain("ipv6.addr-preferences", SOL_IPV6, 72, Int),
    plain("ipv6.minhopcount", SOL_IPV6, 73, Int),
    plain("ipv6.recvorigdstaddr", SOL_IPV6, 74, Int),
    delicate("ipv6.transparent", SOL_IPV6, 75, Int),
    delicate("ipv6.unicast-if", SOL_IPV6, 76, Int),
    plain("ipv6.recvfragsize", SOL_IPV6, 77, Int),
    delicate("ipv6.freebind", SOL_IPV6, 78, Int),
    // Raw IP sockets, raw(7), RFC 3542. IPV6_CHECKSUM writes into what was judged; under the level of raw
    // sockets, where ICMPv6 has it too, it has no name.
    delicate("ipv6.checksum", SOL_IPV6, 7, Int),
    delicate("ipv6.hdrincl", SOL_IPV6, 36, Int),
    plain("icmpv6.filter", SOL_ICMPV6, 1, Bytes),
    plain("icmp.filter", SOL_RAW, 1, Bytes),
    // Packet sockets, packet(7). Memberships go by the keys `interface` and `promiscuous`.
    delicate("packet.add-membership", SOL_PACKET, 1, Bytes),
    delicate("packet.drop-membership", SOL_PACKET, 2, Bytes),
    delicate("packet.rx-ring", SOL_PACKET, 5, Bytes),
    plain("packet.statistics", SOL_PACKET, 6, Bytes),
    plain("packet.copy-thresh", SOL_PACKET, 7, Int),
    plain("packet.auxdata", SOL_PACKET, 8, Int),
    plain("packet.origdev", SOL_PACKET, 9, Int),
    delicate("packet.version", SOL_PACKET, 10, Int),
    delicate("packet.reserve", SOL_PACKET, 12, Int),
    delicate("packet.tx-ring", SOL_PACKET, 13, Bytes),
    delicate("packet.loss", SOL_PACKET, 14, Int),
    delicate("packet.vnet-hdr", SOL_PACKET, 15, Int),
    delicate("packet.tx-timestamp", SOL_PACKET, 16, Int),
    plain("packet.timestamp", SOL_PACKET, 17, Int),
    delicate("packet.fanout", SOL_PACKET, 18, Int),
    delicate("packet.tx-has-off", SOL_PACKET, 19, Int),
    delicate("packet.qdisc-bypass", SOL_PACKET, 20, Int),
    delicate("packet.fanout-data", SOL_PACKET, 22, Bytes),
    plain("packet.ignore-outgoing", SOL_PACKET, 23, Int),
    delicate("packet.vnet-hdr-size", SOL_PACKET, 24, Int),
    // Netlink, netlink(7). Memberships go by the key `groups`.
    delicate("netlink.add-membership", SOL_NETLINK, 1, Int),
    delicate("netlink.drop-membership", SOL_NETLINK, 2, Int),
    plain("netlink.pktinfo", SOL_NETLINK, 3, Int),
    plain("netlink.broadcast-error", SOL_NETLINK, 4, Int),
    plain("netlink.no-enobufs", SOL_NETLINK, 5, Int),
    delicate("netlink.rx-ring", SOL_NETLINK, 6, Bytes),
    delicate("netlink.tx-ring", SOL_NETLINK, 7, Bytes),
    delicate("netlink.listen-all-nsid", SOL_NETLINK, 8, Int),
    plain("netlink.list-memberships", SOL_NETLINK, 9, Bytes),
    plain("netlink.cap-ack", SOL_NETLINK, 10, Int),
    plain("netlink.ext-ack", SOL_NETLINK, 11, Int),
    plain("netlink.get-strict-check", SOL_NETLINK, 12, Int),
    // Bluetooth, BlueZ's lib/bluetooth.h; see `HOMONYMS` for the levels of its protocols.
    plain("bt.security", SOL_BLUETOOTH, 4, Bytes),
    plain("bt.defer-setup", SOL_BLUETOOTH, 7, Int),
    plain("bt.flushable", SOL_BLUETOOTH, 8, Int),
    plain("bt.power", SOL_BLUETOOTH, 9, Bytes),
    plain("bt.channel-policy", SOL_BLUETOOTH, 10, Int),
    plain("bt.voice", SOL_BLUETOOTH, 11, Bytes),
    plain("bt.sndmtu", SOL_BLUETOOTH, 12, Bytes),
    plain("bt.rcvmtu", SOL_BLUETOOTH, 13, Bytes),
    plain("bt.phy", SOL_BLUETOOTH, 14, Int),
    plain("bt.mode", SOL_BLUETOOTH, 15, Bytes),
    plain("bt.pkt-status", SOL_BLUETOOTH, 16, Int),
    plain("bt.iso-qos", SOL_BLUETOOTH, 17, Bytes),
    plain("bt.codec", SOL_BLUETOOTH, 19, Bytes),
    plain("rfcomm.conninfo", SOL_RFCOMM, 2, Bytes),
    plain("rfcomm.lm", SOL_RFCOMM, 3, Int),
    // UDP-Lite, udplite(7).
    plain("udplite.send-cscov", SOL_UDPLITE, 10, Int),
    plain("udplite.recv-cscov", SOL_UDPLITE, 11, Int),
    // DCCP, Documentation/networking/dccp.rst.
    plain("dccp.packet-size", SOL_DCCP, 1, Int),
    plain("dccp.service", SOL_DCCP, 2, Bytes),
    plain("dccp.change-l", SOL_DCCP, 3, Bytes),
    plain("dccp.change-r", SOL_DCCP, 4, Bytes),
    plain("dccp.get-cur-mps", SOL_DCCP, 5, Int),
    plain("dccp.server-timewait", SOL_DCCP, 6, Int),
    plain("dccp.send-cscov", SOL_DCCP, 10, Int),
    plain("dccp.recv-cscov", SOL_DCCP, 11, Int),
    plain("dccp.available-ccids", SOL_DCCP, 12, Bytes),
    plain("dccp.ccid", SOL_DCCP, 13, Bytes),
    plain("dccp.tx-ccid", SOL_DCCP, 14, Int),
    plain("dccp.rx-ccid", SOL_DCCP, 15, Int),
    plain("dccp.qpolicy-id", SOL_DCCP, 16, Int),
    plain("dccp.qpolicy-txqlen", SOL_DCCP, 17, Int),
    // MPTCP, Documentation/networking/mptcp.rst.
    plain("mptcp.info", SOL_MPTCP, 1, Bytes),
    plain("mptcp.tcpinfo", SOL_MPTCP, 2, Bytes),
    plain("mptcp.subflow-addrs", SOL_MPTCP, 3, Bytes),
    // SCTP, sctp(7). What names further addresses or associations by the guest's word is delicate.
    plain("sctp.rtoinfo", SOL_SCTP, 0, Bytes),
    plain("sctp.associnfo", SOL_SCTP, 1, Bytes),
    plain("sctp.initmsg", SOL_SCTP, 2, Bytes),
    plain("sctp.nodelay", SOL_SCTP, 3, Int),
    plain("sctp.autoclose", SOL_SCTP, 4, Int),
    delicate("sctp.set-peer-primary-addr", SOL_SCTP, 5, Bytes),
    delicate("sctp.primary-addr", SOL_SCTP, 6, Bytes),
    plain("sctp.adaptation-layer", SOL_SCTP, 7, Int),
    plain("sctp.disable-fragments", SOL_SCTP, 8, Int),
    delicate("sctp.peer-addr-params", SOL_SCTP, 9, Bytes),
    delicate("sctp.default-send-param", SOL_SCTP, 10, Bytes),
    delicate("sctp.events", SOL_SCTP, 11, Bytes),
    plain("sctp.i-want-mapped-v4-addr", SOL_SCTP, 12, Int),
    plain("sctp.maxseg", SOL_SCTP, 13, Bytes),
    plain("sctp.status", SOL_SCTP, 14, Bytes),
    plain("sctp.get-peer-addr-info", SOL_SCTP, 15, Bytes),
    plain("sctp.delayed-sack", SOL_SCTP, 16, Bytes),
    plain("sctp.context", SOL_SCTP, 17, Bytes),
    plain("sctp.fragment-interleave", SOL_SCTP, 18, Int),
    plain("sctp.partial-delivery-point", SOL_SCTP, 19, Int),
    plain("sctp.max-burst", SOL_SCTP, 20, Bytes),
    plain("sctp.get-assoc-number", SOL_SCTP, 28, Int),
    plain("sctp.get-assoc-id-list", SOL_SCTP, 29, Bytes),
    delicate("sctp.auto-asconf", SOL_SCTP, 30, Int),
    plain("sctp.recvrcvinfo", SOL_SCTP, 32, Int),
    plain("sctp.recvnxtinfo", SOL_SCTP, 33, Int),
    delicate("sctp.default-sndinfo", SOL_SCTP, 34, Bytes),
    delicate("sctp.event", SOL_SCTP, 127, Bytes),
    delicate("sctp.bindx-add", SOL_SCTP, 100, Bytes),
    delicate("sctp.bindx-rem", SOL_SCTP, 101, Bytes),
    delicate("sctp.connectx-old", SOL_SCTP, 107, Bytes),
    plain("sctp.get-peer-addrs", SOL_SCTP, 108, Bytes),
    plain("sctp.get-local-addrs", SOL_SCTP, 109, Bytes),
    delicate("sctp.connectx", SOL_SCTP, 110, Bytes),
    // KCM, Documentation/networking/kcm.rst.
    plain("kcm.recv-disable", SOL_KCM, 1, Int),
    // SMC.
    plain("smc.limit-hs", SOL_SMC, 1, Int),
    // CAN: linux/can/raw.h, isotp.h, j1939.h. A frame without loopback is hidden from this host's monitors.
    plain("can-raw.filter", SOL_CAN_RAW, 1, Bytes),
    plain("can-raw.err-filter", SOL_CAN_RAW, 2, Int),
    delicate("can-raw.loopback", SOL_CAN_RAW, 3, Int),
    plain("can-raw.recv-own-msgs", SOL_CAN_RAW, 4, Int),
    plain("can-raw.fd-frames", SOL_CAN_RAW, 5, Int),
    plain("can-raw.join-filters", SOL_CAN_RAW, 6, Int),
    plain("can-raw.xl-frames", SOL_CAN_RAW, 7, Int),
    delicate("can-raw.xl-vcid-opts", SOL_CAN_RAW, 8, Bytes),
    plain("can-isotp.opts", SOL_CAN_ISOTP, 1, Bytes),
    plain("can-isotp.recv-fc", SOL_CAN_ISOTP, 2, Bytes),
    plain("can-isotp.tx-stmin", SOL_CAN_ISOTP, 3, Int),
    plain("can-isotp.rx-stmin", SOL_CAN_ISOTP, 4, Int),
    delicate("can-isotp.ll-opts", SOL_CAN_ISOTP, 5, Bytes),
    plain("can-j1939.filter", SOL_CAN_J1939, 1, Bytes),
    delicate("can-j1939.promisc", SOL_CAN_J1939, 2, Int),
    delicate("can-j1939.send-prio", SOL_CAN_J1939, 3, Int),
    plain("can-j1939.errqueue", SOL_CAN_J1939, 4, Int),
    // Documentation/crypto/userspace-if.rst. A key by its serial number is one of the host's own keyring.
    plain("alg.set-key", SOL_ALG, 1, Bytes),
    plain("alg.set-aead-authsize", SOL_ALG, 5, Bytes),
    delicate("alg.set-drbg-entropy", SOL_ALG, 6, Bytes),
    delicate("alg.set-key-by-key-serial", SOL_ALG, 7, Int),
    // vsock(7). The largest size bounds the others, and with them what a peer may make the kernel hold.
    plain("vsock.buffer-size", AF_VSOCK, 0, Bytes),
    plain("vsock.buffer-min-size", AF_VSOCK, 1, Bytes),
    delicate("vsock.buffer-max-size", AF_VSOCK, 2, Bytes),
    plain("vsock.peer-host-vm-id", AF_VSOCK, 3, Int),
    plain("vsock.trusted", AF_VSOCK, 5, Int),
    plain("vsock.connect-timeout-old", AF_VSOCK, 6, Bytes),
    plain("vsock.connect-timeout", AF_VSOCK, 8, Bytes),
    // linux/tipc.h. Who joins a group is heard by its members, and hears them.
    plain("tipc.importance", SOL_TIPC, 127, Int),
    plain("tipc.src-droppable", SOL_TIPC, 128, Int),
    plain("tipc.dest-droppable", SOL_TIPC, 129, Int),
    plain("tipc.conn-timeout", SOL_TIPC, 130, Int),
    plain("tipc.node-recvq-depth", SOL_TIPC, 131, Int),
    plain("tipc.sock-recvq-depth", SOL_TIPC, 132, Int),
    plain("tipc.mcast-broadcast", SOL_TIPC, 133, Bytes),
    plain("tipc.mcast-replicast", SOL_TIPC, 134, Bytes),
    delicate("tipc.group-join", SOL_TIPC, 135, Bytes),
    plain("tipc.group-leave", SOL_TIPC, 136, Bytes),
    plain("tipc.sock-recvq-used", SOL_TIPC, 137, Int),
    plain("tipc.nodelay", SOL_TIPC, 138, Int),
    // linux/rds.h. Memory regions are the host's own memory; the host makes none for a guest.
    plain("rds.cancel-sent-to", SOL_RDS, 1, Bytes),
    delicate("rds.get-mr", SOL_RDS, 2, Bytes),
    delicate("rds.free-mr", SOL_RDS, 3, Bytes),
    plain("rds.recverr", SOL_RDS, 5, Int),
    plain("rds.cong-monitor", SOL_RDS, 6, Int),
    delicate("rds.get-mr-for-dest", SOL_RDS, 7, Bytes),
    delicate("rds.transport", SOL_RDS, 8, Int),
];

/// Names of options whose numbers mean something else on other sockets: Bluetooth's protocols count their levels
/// as IP does. A rule for Bluetooth means its own.
const HOMONYMS: &[(&str, OptionName, Kind)] = &[
    homonym("hci.data-dir", 0, 1, BTPROTO_HCI),
    homonym("hci.filter", 0, 2, BTPROTO_HCI),
    homonym("hci.time-stamp", 0, 3, BTPROTO_HCI),
    homonym("l2cap.options", 6, 1, BTPROTO_L2CAP),
    homonym("l2cap.conninfo", 6, 2, BTPROTO_L2CAP),
    homonym("l2cap.lm", 6, 3, BTPROTO_L2CAP),
    homonym("sco.options", 17, 1, BTPROTO_SCO),
    homonym("sco.conninfo", 17, 2, BTPROTO_SCO),
];

const BTPROTO_L2CAP: u32 = 0;
const BTPROTO_HCI: u32 = 1;
const BTPROTO_SCO: u32 = 2;

const fn homonym(
    readable: &'static str,
    level: i32,
    name: i32,
    protocol: u32,
) -> (&'static str, OptionName, Kind) {
    let kind = Kind {
        family: Family::Bluetooth,
        // Not looked at: the protocol says it all.
        socket_type: SocketType::Raw,
        protocol,
    };
    (readable, OptionName::new(level, name), kind)
}

/// Always readable: they tell a guest only what it asked for itself.
pub(crate) const ALWAYS_READABLE: &[OptionName] = &[
    OptionName::new(SOL_SOCKET, 3),
    OptionName::new(SOL_SOCKET, 4),
    OptionName::new(SOL_SOCKET, 30),
    OptionName::new(SOL_SOCKET, 38),
    OptionName::new(SOL_SOCKET, 39),
];

/// SO_REUSEADDR, which `listen` carries on streams.
pub(crate) const REUSEADDR: OptionName = OptionName::new(SOL_SOCKET, 2);
/// TCP_NODELAY, always settable.
pub(crate) const NODELAY: OptionName = OptionName::new(SOL_TCP, 1);
/// IPV6_V6ONLY: its effect is judged with the local address, see `Gate::dual_stack`.
pub(crate) const V6ONLY: OptionName = OptionName::new(SOL_IPV6, 26);

/// IP_HDRINCL and IPV6_HDRINCL, which `header-include = true` carries.
pub(crate) const IP_HDRINCL: OptionName = OptionName::new(SOL_IP, 3);
pub(crate) const IPV6_HDRINCL: OptionName = OptionName::new(SOL_IPV6, 36);
pub(crate) const HEADER_OPTIONS: &[OptionName] = &[IP_HDRINCL, IPV6_HDRINCL];

/// Options that take up and give up memberships, judged by [`Gate::set_membership`](crate::Gate).
pub(crate) const MEMBERSHIP_OPTIONS: &[OptionName] = &[
    OptionName::new(SOL_NETLINK, 1),
    OptionName::new(SOL_NETLINK, 2),
    OptionName::new(SOL_PACKET, 1),
    OptionName::new(SOL_PACKET, 2),
];
/// Options that belong to an algorithm's address as a password to a name: who may bind there may set them.
const OF_ALGORITHMS: &[OptionName] = &[OptionName::new(SOL_ALG, 1), OptionName::new(SOL_ALG, 5)];

/// Longest value that is kept for comparing; a longer one never equals a value that a rule names.
const LONGEST_VALUE: usize = 256;

impl OptionName {
    /// An option by level and number.
    #[must_use]
    pub const fn new(level: i32, name: i32) -> OptionName {
        OptionName { level, name }
    }

    /// The option that a policy names: `so.keepalive`, or by numbers `6/1`.
    #[must_use]
    pub fn from_policy_name(text: &str) -> Option<OptionName> {
        if let Some(known) = OPTIONS.iter().find(|known| known.readable == text) {
            return Some(known.option);
        }
        if let Some((_, option, _)) = HOMONYMS.iter().find(|(readable, ..)| *readable == text) {
            return Some(*option);
        }
        let (level, name) = text.split_once('/')?;
        Some(OptionName::new(level.parse().ok()?, name.parse().ok()?))
    }

    /// Whether it is always settable on such sockets, unless a deny rule says otherwise. The numbers are other
    /// options elsewhere.
    pub(crate) fn needs_no_listing(self, kind: Kind) -> bool {
        match kind.family {
            Family::Alg => OF_ALGORITHMS.contains(&self),
            _ => kind.has_ip_addresses() && (self == NODELAY || self == V6ONLY),
        }
    }

    /// The name that the option has on a socket of this kind: `l2cap.options` where it is `tcp.nodelay`
    /// elsewhere.
    #[must_use]
    pub fn on(self, kind: Kind) -> OptionOn {
        OptionOn { option: self, kind }
    }

    /// The level that a name such as `sctp` in `sctp.*` stands for.
    pub(crate) fn level_named(level: &str) -> Option<i32> {
        let names = OPTIONS.iter().map(|known| (known.readable, known.option));
        let homonyms = HOMONYMS
            .iter()
            .map(|(readable, option, _)| (*readable, *option));
        names
            .chain(homonyms)
            .find(|(readable, _)| {
                readable
                    .strip_prefix(level)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
            .map(|(_, option)| option.level)
    }

    pub(crate) fn known(self) -> Option<&'static KnownOption> {
        OPTIONS.iter().find(|known| known.option == self)
    }
}

impl fmt::Display for OptionName {
    /// The readable name, or `level/name` in numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(known) => f.write_str(known.readable),
            None => write!(f, "{}/{}", self.level, self.name),
        }
    }
}

/// An option on a socket of one kind, for showing it.
#[derive(Clone, Copy, Debug)]
pub struct OptionOn {
    option: OptionName,
    kind: Kind,
}

impl fmt::Display for OptionOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = HOMONYMS.iter().find(|(_, option, kind)| {
            *option == self.option
                && (kind.family, kind.protocol) == (self.kind.family, self.kind.protocol)
        });
        match own {
            Some((readable, ..)) => f.write_str(readable),
            None => self.option.fmt(f),
        }
    }
}

/// The options that a guest has set on one socket so far, each with its latest value.
///
/// Every later bind, connect, listen and send-to has to be granted by a rule that lists all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionsSet(Vec<(OptionName, Option<Box<[u8]>>)>);

impl OptionsSet {
    /// No option set yet.
    #[must_use]
    pub fn new() -> OptionsSet {
        OptionsSet::default()
    }

    /// Records that the guest set `option` to `value` (the bytes given to setsockopt(2)).
    pub fn remember(&mut self, option: OptionName, value: &[u8]) {
        let value = (value.len() <= LONGEST_VALUE).then(|| value.into());
        match self.0.iter_mut().find(|(known, _)| *known == option) {
            Some((_, latest)) => *latest = value,
            None => self.0.push((option, value)),
        }
    }

    /// Whether nothing was set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each option with its latest value; `None` for a value too long to be compared.
    pub fn iter(&self) -> impl Iterator<Item = (OptionName, Option<&[u8]>)> {
        self.0
            .iter()
            .map(|(option, value)| (*option, value.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_numbers_are_unique() {
        let names: HashSet<_> = OPTIONS.iter().map(|known| known.readable).collect();
        let numbers: HashSet<_> = OPTIONS.iter().map(|known| known.option).collect();
        assert_eq!(names.len(), OPTIONS.len());
        assert_eq!(numbers.len(), OPTIONS.len());
    }

    #[test]
    fn numbers_and_names_are_the_same_option() {
        assert_eq!(
            OptionName::from_policy_name("6/1"),
            OptionName::from_policy_name("tcp.nodelay")
        );
        assert_eq!(OptionName::new(6, 1).to_string(), "tcp.nodelay");
        assert_eq!(OptionName::new(6, 999).to_string(), "6/999");
        assert_eq!(OptionName::from_policy_name("so.nonsense"), None);
    }

    #[test]
    fn the_latest_value_counts() {
        let mut set = OptionsSet::new();
        set.remember(REUSEADDR, &1i32.to_ne_bytes());
        set.remember(REUSEADDR, &0i32.to_ne_bytes());
        set.remember(V6ONLY, &[0; 300]);
        let seen: Vec<_> = set.iter().collect();
        assert_eq!(
            seen,
            [(REUSEADDR, Some(&0i32.to_ne_bytes()[..])), (V6ONLY, None)]
        );
    }
}
