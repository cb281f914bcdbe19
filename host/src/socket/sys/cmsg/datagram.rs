//! What is told about a datagram: drop count and mark, socket(7); segment size, udp(7); its original
//! destination, ip(7).

use libc::c_int;

use super::{Control, ControlIn};
use crate::socket::sys::option::{SOL_UDP, UDP_SEGMENT};
use crate::socket::sys::{EncodedAddress, Result};

// Linux's numbers where libc has no name on every target.
pub(super) const IP_RECVOPTS: c_int = 6;
pub(super) const IP_RETOPTS: c_int = 7;
pub(super) const IPV6_ORIGDSTADDR: c_int = 74;

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
