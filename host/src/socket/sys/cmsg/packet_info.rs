//! Where a packet arrived and where it shall leave: IP_PKTINFO, ip(7); IPV6_PKTINFO, RFC 3542.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Control, ControlIn};
use crate::socket::sys::Result;

/// `in_pktinfo`: interface, local address, destination (which sending ignores).
pub(super) fn encode_v4(control: &mut Control<'_>, interface: u32, source: Ipv4Addr) -> Result<()> {
    let mut data = [0; 12];
    data[..4].copy_from_slice(&interface.to_ne_bytes());
    data[4..8].copy_from_slice(&source.octets());
    control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &data)
}

/// `in6_pktinfo`: address, interface.
pub(super) fn encode_v6(
    control: &mut Control<'_>,
    interface: u32,
    address: Ipv6Addr,
) -> Result<()> {
    let mut data = [0; 20];
    data[..16].copy_from_slice(&address.octets());
    data[16..].copy_from_slice(&interface.to_ne_bytes());
    control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data)
}

pub(super) fn decode_v4(data: &[u8]) -> Option<ControlIn> {
    let (interface, rest) = data.split_first_chunk()?;
    let (source, rest) = rest.split_first_chunk::<4>()?;
    let destination = rest.first_chunk::<4>()?;
    Some(ControlIn::PacketInfoV4 {
        interface_index: u32::from_ne_bytes(*interface),
        source: Ipv4Addr::from(*source),
        destination: Ipv4Addr::from(*destination),
    })
}

pub(super) fn decode_v6(data: &[u8]) -> Option<ControlIn> {
    let (address, rest) = data.split_first_chunk::<16>()?;
    let interface = rest.first_chunk()?;
    Some(ControlIn::PacketInfoV6 {
        interface_index: u32::from_ne_bytes(*interface),
        address: Ipv6Addr::from(*address),
    })
}
