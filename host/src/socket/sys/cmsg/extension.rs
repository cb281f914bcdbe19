//! What an IPv6 packet's extension headers say, and what its path takes: RFC 3542; the size of fragments,
//! ip(7), ipv6(7).

use libc::c_int;

use super::ControlIn;
use crate::socket::sys::EncodedAddress;

// Linux's numbers, which libc does not have on every target.
const IPV6_HOPOPTS: c_int = 54;
const IPV6_RTHDR: c_int = 57;
const IPV6_DSTOPTS: c_int = 59;
const IPV6_PATHMTU: c_int = 61;
pub(super) const IP_RECVFRAGSIZE: c_int = 25;
pub(super) const IPV6_RECVFRAGSIZE: c_int = 77;

/// Bytes of a `sockaddr_in6`.
const ADDRESS: usize = 28;

pub(super) fn decode(kind: c_int, data: &[u8]) -> Option<ControlIn> {
    match kind {
        IPV6_HOPOPTS => header(data).map(ControlIn::HopOptions),
        IPV6_DSTOPTS => header(data).map(ControlIn::DestinationOptions),
        IPV6_RTHDR => header(data).map(ControlIn::RoutingHeader),
        IPV6_PATHMTU => decode_path(data),
        _ => None,
    }
}

/// A header of the length that its second byte tells, in units of 8 bytes beyond the first.
fn header(data: &[u8]) -> Option<Vec<u8>> {
    let length = (usize::from(*data.get(1)?) + 1) * 8;
    (data.len() == length).then(|| data.to_vec())
}

/// `ip6_mtuinfo`
fn decode_path(data: &[u8]) -> Option<ControlIn> {
    let (address, mtu) = data.split_at_checked(ADDRESS)?;
    Some(ControlIn::PathMtu {
        destination: EncodedAddress::from_bytes(address)
            .decode_by_family()
            .ok()
            .flatten(),
        mtu: mtu.try_into().ok().map(u32::from_ne_bytes)?,
    })
}

/// An `int`.
pub(super) fn decode_fragment_size(data: &[u8]) -> Option<ControlIn> {
    let size = c_int::from_ne_bytes(data.try_into().ok()?);
    u32::try_from(size).ok().map(ControlIn::FragmentSize)
}
