//! What went wrong on the way: IP_RECVERR, ip(7); IPV6_RECVERR, ipv6(7).

use super::{ControlIn, ExtendedError};
use crate::socket::sys::{EncodedAddress, Errno};

/// `sock_extended_err`, and the offender's address behind it (AF_UNSPEC where it is not known).
pub(super) fn decode(data: &[u8]) -> Option<ControlIn> {
    let (errno, rest) = data.split_first_chunk()?;
    let ([origin, kind, code, _padding], rest) = rest.split_first_chunk()?;
    let (info, rest) = rest.split_first_chunk()?;
    let (further, offender) = rest.split_first_chunk()?;
    Some(ControlIn::ExtendedError(ExtendedError {
        errno: Errno::from_raw(i32::from_ne_bytes(*errno)),
        origin: *origin,
        kind: *kind,
        code: *code,
        info: u32::from_ne_bytes(*info),
        data: u32::from_ne_bytes(*further),
        offender: EncodedAddress::from_bytes(offender)
            .decode_by_family()
            .ok()
            .flatten(),
    }))
}
