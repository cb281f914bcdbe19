//! The table of what a kernel may have: one row per family and protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use super::probe::Probe;

/// Socket types of socket(2) on Linux.
const STREAM: i32 = 1;
const DGRAM: i32 = 2;
const RAW: i32 = 3;
const RDM: i32 = 4;
const SEQPACKET: i32 = 5;

/// Address families of socket(2) on Linux.
const INET: i32 = 2;
const INET6: i32 = 10;
const NETLINK: i32 = 16;
const PACKET: i32 = 17;
const TIPC: i32 = 30;
const KCM: i32 = 41;
const QIPCRTR: i32 = 42;
const SMC: i32 = 43;
const XDP: i32 = 44;

/// ETH_P_ALL in network byte order, as packet(7) takes it.
const EVERY_FRAME: i32 = 0x0300;

/// One row of the table.
struct Row {
    family: &'static str,
    protocol: &'static str,
    probe: Probe,
    /// What brings it, for the person who reads the skip.
    brought_by: &'static str,
}

macro_rules! needs {
    ($($name:ident, $family:literal, $protocol:literal, $probe:expr, $brought_by:literal;)*) => {
        /// A family and protocol that a test needs of the kernel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Need {
            $(
                #[doc = concat!("`", $family, "`, `", $protocol, "`: ", $brought_by)]
                $name,
            )*
        }

        impl Need {
            /// Every row of the table.
            pub const ALL: &[Need] = &[$(Need::$name),*];

            fn row(self) -> Row {
                match self {
                    $(Need::$name => Row {
                        family: $family,
                        protocol: $protocol,
                        probe: $probe,
                        brought_by: $brought_by,
                    },)*
                }
            }
        }
    };
}

needs! {
    CanRaw, "can", "raw", Probe::Can(RAW, 1, 16), "modules can-raw and vcan";
    CanFd, "can", "fd", Probe::Can(RAW, 1, 72), "modules can-raw and vcan";
    CanXl, "can", "xl", Probe::Can(RAW, 1, 2060), "modules can-raw and vcan of Linux 6.1 or newer";
    CanBcm, "can", "bcm", Probe::Can(DGRAM, 2, 16), "modules can-bcm and vcan";
    CanIsotp, "can", "isotp", Probe::Can(DGRAM, 6, 16), "modules can-isotp and vcan";
    CanJ1939, "can", "j1939", Probe::Can(DGRAM, 7, 16), "modules can-j1939 and vcan";
    VsockStream, "vsock", "stream", Probe::Vsock(STREAM), "module vsock_loopback";
    VsockSeqpacket, "vsock", "seqpacket", Probe::Vsock(SEQPACKET), "module vsock_loopback";
    NetlinkRoute, "netlink", "route", Probe::Socket(NETLINK, RAW, 0), "CONFIG_NET";
    NetlinkGeneric, "netlink", "generic", Probe::Socket(NETLINK, RAW, 16), "CONFIG_NET";
    NetlinkUevent, "netlink", "uevent", Probe::Socket(NETLINK, RAW, 15), "CONFIG_NET";
    NetlinkSockDiag, "netlink", "sock-diag", Probe::Socket(NETLINK, RAW, 4), "modules unix_diag and inet_diag";
    PacketRaw, "packet", "raw", Probe::Socket(PACKET, RAW, EVERY_FRAME), "CONFIG_PACKET and CAP_NET_RAW";
    PacketDgram, "packet", "dgram", Probe::Socket(PACKET, DGRAM, EVERY_FRAME), "CONFIG_PACKET and CAP_NET_RAW";
    InetRaw, "inet", "raw", Probe::Socket(INET, RAW, 1), "CAP_NET_RAW";
    InetPing, "inet", "ping", Probe::Socket(INET, DGRAM, 1), "net.ipv4.ping_group_range with this group in it";
    Inet6Raw, "inet6", "raw", Probe::Socket(INET6, RAW, 58), "module ipv6 and CAP_NET_RAW";
    Inet6Ping, "inet6", "ping", Probe::Socket(INET6, DGRAM, 58), "module ipv6, net.ipv4.ping_group_range with this group in it";
    AlgHash, "alg", "hash", Probe::Alg("hash", "sha256"), "module algif_hash";
    AlgSkcipher, "alg", "skcipher", Probe::Alg("skcipher", "cbc(aes)"), "modules algif_skcipher, cbc and aes";
    AlgAead, "alg", "aead", Probe::Alg("aead", "gcm(aes)"), "modules algif_aead, gcm and aes";
    AlgRng, "alg", "rng", Probe::Alg("rng", "stdrng"), "modules algif_rng and drbg";
    TipcStream, "tipc", "stream", Probe::Socket(TIPC, STREAM, 0), "module tipc";
    TipcDgram, "tipc", "dgram", Probe::Socket(TIPC, DGRAM, 0), "module tipc";
    TipcRdm, "tipc", "rdm", Probe::Socket(TIPC, RDM, 0), "module tipc";
    TipcSeqpacket, "tipc", "seqpacket", Probe::Socket(TIPC, SEQPACKET, 0), "module tipc";
    RdsSeqpacket, "rds", "seqpacket", Probe::Rds, "modules rds and rds_tcp";
    BluetoothL2cap, "bluetooth", "l2cap", Probe::Bluetooth(SEQPACKET, 0), "modules bluetooth and hci_vhci";
    BluetoothRfcomm, "bluetooth", "rfcomm", Probe::Bluetooth(STREAM, 3), "modules rfcomm and hci_vhci";
    BluetoothSco, "bluetooth", "sco", Probe::Bluetooth(SEQPACKET, 2), "modules bluetooth and hci_vhci";
    BluetoothHci, "bluetooth", "hci", Probe::Bluetooth(RAW, 1), "modules bluetooth and hci_vhci";
    QipcrtrDgram, "qipcrtr", "dgram", Probe::Socket(QIPCRTR, DGRAM, 0), "module qrtr";
    Udplite, "inet", "udplite", Probe::Socket(INET, DGRAM, 136), "CONFIG_IP of Linux before 7.1";
    Mptcp, "inet", "mptcp", Probe::Socket(INET, STREAM, 262), "CONFIG_MPTCP and net.mptcp.enabled";
    Sctp, "inet", "sctp", Probe::Socket(INET, STREAM, 132), "module sctp";
    Dccp, "inet", "dccp", Probe::Socket(INET, 6, 33), "module dccp_ipv4 of Linux before 6.16";
    Smc, "smc", "stream", Probe::Socket(SMC, STREAM, 0), "module smc";
    Kcm, "kcm", "dgram", Probe::Socket(KCM, DGRAM, 0), "module kcm";
    Xdp, "xdp", "raw", Probe::Socket(XDP, RAW, 0), "CONFIG_XDP_SOCKETS and CAP_NET_RAW";
    UnixPassSec, "unix", "passsec", Probe::Python(PASSSEC), "a security module that labels sockets (lsm=apparmor, smack or selinux)";
    UnixPeerPidfd, "unix", "peerpidfd", Probe::Python(PEERPIDFD), "Linux 6.5 or newer";
}

/// SO_PASSSEC, then whether a message brings SCM_SECURITY.
const PASSSEC: &str = "import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
b.setsockopt(socket.SOL_SOCKET, 34, 1)
a.send(b'x')
if not any(kind == 3 for _, kind, _ in b.recvmsg(9, 999)[1]):
    raise SystemExit('no label arrives with a message')
";

/// SO_PEERPIDFD of a pair.
const PEERPIDFD: &str = "import socket
a, b = socket.socketpair()
a.getsockopt(socket.SOL_SOCKET, 77)
";

impl Need {
    /// The address family, as policies call it.
    pub fn family(self) -> &'static str {
        self.row().family
    }

    /// The protocol or type within the family.
    pub fn protocol(self) -> &'static str {
        self.row().protocol
    }

    /// What is missing on this kernel or for this user, in words; none where it is all there.
    ///
    /// Tried once in a process, by making what the tests make.
    pub fn missing(self) -> Option<String> {
        static TRIED: Mutex<BTreeMap<Need, Option<String>>> = Mutex::new(BTreeMap::new());
        let mut tried = TRIED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        tried
            .entry(self)
            .or_insert_with(|| {
                let row = self.row();
                let problem = row.probe.problem()?;
                Some(format!("{problem}; {} would bring it", row.brought_by))
            })
            .clone()
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family(), self.protocol())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let names: BTreeSet<String> = Need::ALL.iter().map(Need::to_string).collect();
        assert_eq!(names.len(), Need::ALL.len());
        // The report's lines are cut at spaces.
        for need in Need::ALL {
            assert!(!need.family().contains(' ') && !need.protocol().contains(' '));
        }
    }

    #[test]
    fn what_every_linux_has_is_found() {
        assert_eq!(Need::NetlinkRoute.missing(), None);
    }
}
