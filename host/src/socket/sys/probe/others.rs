//! Families of which socket(2) is all that is tried.

use libc::c_int;

use super::find::{NET_ADMIN, NET_RAW, SYS_ADMIN, built};
use super::look::Kind;

const AF_NFC: c_int = 39;
const AF_KCM: c_int = 41;
const AF_QIPCRTR: c_int = 42;
const AF_SMC: c_int = 43;
const AF_XDP: c_int = 44;
const AF_MCTP: c_int = 45;

const STREAM: (&str, c_int) = ("stream", libc::SOCK_STREAM);
const DATAGRAM: (&str, c_int) = ("datagram", libc::SOCK_DGRAM);
const SEQPACKET: (&str, c_int) = ("seqpacket", libc::SOCK_SEQPACKET);
const RDM: (&str, c_int) = ("rdm", libc::SOCK_RDM);
const RAW: (&str, c_int) = ("raw", libc::SOCK_RAW);

/// A kind of socket by family, type, protocol, and the configuration that it takes.
const fn kind(
    domain: c_int,
    socket_type: (&'static str, c_int),
    protocol: (Option<&'static str>, c_int),
    config: &'static str,
    module: &'static str,
) -> Kind {
    let (name, style) = socket_type;
    let (protocol, number) = protocol;
    Kind::new(
        name,
        protocol,
        (domain, style, number),
        built(config, module),
    )
}

const NONE: (Option<&str>, c_int) = (None, 0);

const fn tipc(socket_type: (&'static str, c_int)) -> Kind {
    kind(libc::AF_TIPC, socket_type, NONE, "CONFIG_TIPC", "tipc")
}

pub(super) const TIPC: &[Kind] = &[tipc(STREAM), tipc(DATAGRAM), tipc(SEQPACKET), tipc(RDM)];
pub(super) const QIPCRTR: &[Kind] = &[kind(AF_QIPCRTR, DATAGRAM, NONE, "CONFIG_QRTR", "qrtr")];
pub(super) const KCM: &[Kind] = &[
    kind(AF_KCM, DATAGRAM, NONE, "CONFIG_AF_KCM", "kcm"),
    kind(AF_KCM, SEQPACKET, NONE, "CONFIG_AF_KCM", "kcm"),
];
pub(super) const XDP: &[Kind] = &[kind(AF_XDP, RAW, NONE, "CONFIG_XDP_SOCKETS", "").needs(NET_RAW)];
pub(super) const SMC: &[Kind] = &[
    kind(AF_SMC, STREAM, (Some("smc"), 0), "CONFIG_SMC", "smc"),
    kind(AF_SMC, STREAM, (Some("smc6"), 1), "CONFIG_SMC", "smc"),
];
pub(super) const KEY: &[Kind] = &[kind(
    libc::AF_KEY,
    RAW,
    (Some("pfkey"), 2),
    "CONFIG_NET_KEY",
    "af_key",
)
.needs(NET_ADMIN)];
pub(super) const PPPOX: &[Kind] = &[
    kind(
        libc::AF_PPPOX,
        STREAM,
        (Some("pppoe"), 0),
        "CONFIG_PPPOE",
        "pppoe",
    ),
    kind(
        libc::AF_PPPOX,
        DATAGRAM,
        (Some("pppol2tp"), 1),
        "CONFIG_PPPOL2TP",
        "l2tp_ppp",
    ),
    kind(
        libc::AF_PPPOX,
        STREAM,
        (Some("pptp"), 2),
        "CONFIG_PPTP",
        "pptp",
    ),
];
pub(super) const LLC: &[Kind] = &[
    kind(libc::AF_LLC, STREAM, NONE, "CONFIG_LLC2", "llc2").needs(NET_RAW),
    kind(libc::AF_LLC, DATAGRAM, NONE, "CONFIG_LLC2", "llc2").needs(NET_RAW),
];
pub(super) const RXRPC: &[Kind] = &[kind(
    libc::AF_RXRPC,
    DATAGRAM,
    (Some("inet"), libc::AF_INET),
    "CONFIG_AF_RXRPC",
    "rxrpc",
)];
pub(super) const PHONET: &[Kind] = &[
    kind(libc::AF_PHONET, DATAGRAM, NONE, "CONFIG_PHONET", "phonet").needs(SYS_ADMIN),
    kind(
        libc::AF_PHONET,
        SEQPACKET,
        (Some("pipe"), 2),
        "CONFIG_PHONET",
        "pn_pep",
    )
    .needs(SYS_ADMIN),
];
pub(super) const IEEE802154: &[Kind] = &[
    kind(
        libc::AF_IEEE802154,
        DATAGRAM,
        NONE,
        "CONFIG_IEEE802154_SOCKET",
        "ieee802154_socket",
    ),
    kind(
        libc::AF_IEEE802154,
        RAW,
        NONE,
        "CONFIG_IEEE802154_SOCKET",
        "ieee802154_socket",
    )
    .needs(NET_RAW),
];
pub(super) const CAIF: &[Kind] = &[
    kind(
        libc::AF_CAIF,
        SEQPACKET,
        (Some("at"), 0),
        "CONFIG_CAIF",
        "caif_socket",
    )
    .needs(NET_ADMIN),
    kind(
        libc::AF_CAIF,
        STREAM,
        (Some("at"), 0),
        "CONFIG_CAIF",
        "caif_socket",
    )
    .needs(NET_ADMIN),
];
pub(super) const NFC: &[Kind] = &[
    kind(AF_NFC, SEQPACKET, (Some("rawsock"), 0), "CONFIG_NFC", "nfc"),
    kind(AF_NFC, STREAM, (Some("llcp"), 1), "CONFIG_NFC", "nfc"),
    kind(AF_NFC, DATAGRAM, (Some("llcp"), 1), "CONFIG_NFC", "nfc"),
];
pub(super) const X25: &[Kind] = &[kind(libc::AF_X25, SEQPACKET, NONE, "CONFIG_X25", "x25")];
pub(super) const AX25: &[Kind] = &[
    kind(libc::AF_AX25, SEQPACKET, NONE, "CONFIG_AX25", "ax25"),
    kind(libc::AF_AX25, DATAGRAM, NONE, "CONFIG_AX25", "ax25"),
    kind(libc::AF_AX25, RAW, NONE, "CONFIG_AX25", "ax25").needs(NET_RAW),
];
pub(super) const APPLETALK: &[Kind] = &[
    kind(
        libc::AF_APPLETALK,
        DATAGRAM,
        NONE,
        "CONFIG_ATALK",
        "appletalk",
    ),
    kind(libc::AF_APPLETALK, RAW, NONE, "CONFIG_ATALK", "appletalk").needs(NET_RAW),
];
pub(super) const MCTP: &[Kind] = &[kind(AF_MCTP, DATAGRAM, NONE, "CONFIG_MCTP", "")];
