//! What is told about a datagram: drop count and mark, socket(7); segment size, udp(7); its original
//! destination, ip(7); lengths and VLAN tag of a frame, packet(7).

use libc::c_int;

use super::{Control, ControlIn, PacketAuxdata};
use crate::socket::sys::option::{SOL_UDP, UDP_SEGMENT};
use crate::socket::sys::{EncodedAddress, Result};

// Linux's numbers where libc has no name on every target.
pub(super) const IP_RECVOPTS: c_int = 6;
pub(super) const IP_RETOPTS: c_int = 7;
pub(super) const IPV6_ORIGDSTADDR: c_int = 74;

pub(super) const SOL_PACKET: c_int = 263;
pub(super) const PACKET_AUXDATA: c_int = 8;
pub(super) const PACKET_TX_TIMESTAMP: c_int = 16;

/// struct tpacket_auxdata: status, two lengths, two offsets, the VLAN tag and its protocol.
pub(super) fn decode_auxdata(data: &[u8]) -> Option<ControlIn> {
    const TAGGED: u32 = 1 << 4;
    const PROTOCOL_TOLD: u32 = 1 << 6;
    let data: &[u8; 20] = data.try_into().ok()?;
    let word = |at: usize| u32::from_ne_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
    let half = |at: usize| u16::from_ne_bytes([data[at], data[at + 1]]);
    let status = word(0);
    Some(ControlIn::PacketAuxdata(PacketAuxdata {
        status,
        length: word(4),
        captured: word(8),
        vlan_tag: (status & TAGGED != 0).then(|| half(16)),
        vlan_protocol: (status & PROTOCOL_TOLD != 0).then(|| half(18)),
    }))
}

pub(super) fn encode_segment_size(control: &mut Control<'_>, size: u16) -> Result<()> {
    control.push(SOL_UDP, UDP_SEGMENT, &size.to_ne_bytes())
}

/// UDP_GRO is an `int` on receiving, unlike UDP_SEGMENT on sending.
pub(super) fn decode_segment_size(data: &[u8]) -> Option<ControlIn> {
    let size = c_int::from_ne_bytes(data.try_into().ok()?);
    u16::try_from(size).ok().map(ControlIn::SegmentSize)
}

pub(super) fn decode_drop_count(data: &[u8]) -> Option<ControlIn> {
    data.try_into()
        .ok()
        .map(u32::from_ne_bytes)
        .map(ControlIn::DropCount)
}

pub(super) fn decode_mark(data: &[u8]) -> Option<ControlIn> {
    data.try_into()
        .ok()
        .map(u32::from_ne_bytes)
        .map(ControlIn::Mark)
}

pub(super) fn decode_original_destination(data: &[u8]) -> Option<ControlIn> {
    let address = EncodedAddress::from_bytes(data).decode_by_family().ok()??;
    Some(ControlIn::OriginalDestination(address))
}
