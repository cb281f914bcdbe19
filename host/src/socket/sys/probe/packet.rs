//! Packets of an interface: packet(7).

use libc::c_int;

use super::super::Result;
use super::find::{NET_RAW, Source, built};
use super::look::{Kind, Look, Setting, Trial};

const SOL_PACKET: c_int = 263;
/// The size of `tpacket_stats`.
const STATISTICS: usize = 8;

const AUXDATA: Setting = Setting::new("PACKET_AUXDATA", SOL_PACKET, 8, Source::Since(2, 6));
const COUNTS: Setting = Setting::new("PACKET_STATISTICS", SOL_PACKET, 6, Source::Since(2, 4))
    .tried_with(Trial::Get(STATISTICS));
const IGNORE_OUTGOING: Setting = Setting::new(
    "PACKET_IGNORE_OUTGOING",
    SOL_PACKET,
    23,
    Source::Since(4, 20),
);

/// Protocol 0: such a socket receives nothing until it is bound.
const fn kind(socket_type: &'static str, style: c_int) -> Kind {
    Kind::new(
        socket_type,
        None,
        (libc::AF_PACKET, style, 0),
        built("CONFIG_PACKET", "af_packet"),
    )
    .needs(NET_RAW)
}

const KINDS: &[Kind] = &[
    kind("raw", libc::SOCK_RAW).settings(&[
        AUXDATA,
        COUNTS,
        IGNORE_OUTGOING,
        Setting::new("PACKET_VNET_HDR", SOL_PACKET, 15, Source::Since(2, 6)),
        Setting::new("PACKET_QDISC_BYPASS", SOL_PACKET, 20, Source::Since(3, 14)),
    ]),
    kind("datagram", libc::SOCK_DGRAM).settings(&[AUXDATA, COUNTS, IGNORE_OUTGOING]),
];

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    look.kinds("packet", KINDS)
}
