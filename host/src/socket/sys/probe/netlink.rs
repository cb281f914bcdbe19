//! Netlink: netlink(7).

use libc::c_int;

use super::super::Result;
use super::find::{AUDIT_CONTROL, NET_ADMIN, NET_BROADCAST, Source, built};
use super::look::{Kind, Look, Setting};

const SOL_NETLINK: c_int = 270;

const ROUTE: &[Setting] = &[
    Setting::new("NETLINK_EXT_ACK", SOL_NETLINK, 11, Source::Since(4, 12)),
    Setting::new(
        "NETLINK_GET_STRICT_CHK",
        SOL_NETLINK,
        12,
        Source::Since(4, 20),
    ),
    Setting::new("NETLINK_NO_ENOBUFS", SOL_NETLINK, 5, Source::Since(2, 6)),
    Setting::new("NETLINK_PKTINFO", SOL_NETLINK, 3, Source::Since(2, 6)),
    Setting::new(
        "NETLINK_LISTEN_ALL_NSID",
        SOL_NETLINK,
        8,
        Source::Since(4, 2),
    )
    .needs(NET_BROADCAST),
];

const fn kind(
    protocol: &'static str,
    number: c_int,
    config: &'static str,
    module: &'static str,
) -> Kind {
    Kind::new(
        "raw",
        Some(protocol),
        (libc::AF_NETLINK, libc::SOCK_RAW, number),
        built(config, module),
    )
}

const KINDS: &[Kind] = &[
    kind("route", 0, "CONFIG_NET", "").settings(ROUTE),
    kind("usersock", 2, "CONFIG_NET", ""),
    kind("sock-diag", 4, "CONFIG_NET", ""),
    kind("xfrm", 6, "CONFIG_XFRM_USER", "xfrm_user").useful_with(NET_ADMIN),
    kind("selinux", 7, "CONFIG_SECURITY_SELINUX", ""),
    kind(
        "iscsi",
        8,
        "CONFIG_SCSI_ISCSI_ATTRS",
        "scsi_transport_iscsi",
    ),
    kind("audit", 9, "CONFIG_AUDIT", "").useful_with(AUDIT_CONTROL),
    kind("fib-lookup", 10, "CONFIG_INET", ""),
    kind("connector", 11, "CONFIG_CONNECTOR", "cn").useful_with(NET_ADMIN),
    kind("netfilter", 12, "CONFIG_NETFILTER_NETLINK", "nfnetlink").useful_with(NET_ADMIN),
    kind("kobject-uevent", 15, "CONFIG_NET", ""),
    kind("generic", 16, "CONFIG_NET", ""),
    kind("scsitransport", 18, "CONFIG_SCSI_NETLINK", ""),
    kind("rdma", 20, "CONFIG_INFINIBAND", "ib_core"),
    kind("crypto", 21, "CONFIG_CRYPTO_USER", "crypto_user"),
];

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    look.kinds("netlink", KINDS)
}
