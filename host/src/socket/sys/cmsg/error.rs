//! What an error queue tells: IP_RECVERR, ip(7); IPV6_RECVERR, ipv6(7); and when something went out,
//! Documentation/networking/timestamping.rst.

use libc::c_int;

use super::{ControlIn, ExtendedError};
use crate::socket::sys::{EncodedAddress, Errno};

/// Frames that went out, linux/can/raw.h.
pub(super) const SOL_CAN_RAW: c_int = 101;
pub(super) const SCM_CAN_RAW_ERRQUEUE: c_int = 1;

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
