//! Hop limit and traffic class: IP_TTL and IP_TOS, ip(7); IPV6_HOPLIMIT and IPV6_TCLASS, RFC 3542.

use libc::c_int;
use sockgate_policy::Family;

use super::{Control, ControlIn};
use crate::socket::sys::{Errno, Result};

pub(super) fn encode_limit(control: &mut Control<'_>, family: Family, limit: u8) -> Result<()> {
    encode(control, family, [libc::IP_TTL, libc::IPV6_HOPLIMIT], limit)
}

pub(super) fn encode_class(control: &mut Control<'_>, family: Family, class: u8) -> Result<()> {
    encode(control, family, [libc::IP_TOS, libc::IPV6_TCLASS], class)
}

/// Both travel as an `int`, under the family's own number.
fn encode(
    control: &mut Control<'_>,
    family: Family,
    [v4, v6]: [c_int; 2],
    value: u8,
) -> Result<()> {
    let (level, kind) = match family {
        Family::Inet => (libc::IPPROTO_IP, v4),
        Family::Inet6 => (libc::IPPROTO_IPV6, v6),
        _ => return Err(Errno::INVAL),
    };
    control.push(level, kind, &c_int::from(value).to_ne_bytes())
}

pub(super) fn decode_limit(data: &[u8]) -> Option<ControlIn> {
    byte(data).map(ControlIn::HopLimit)
}

pub(super) fn decode_class(data: &[u8]) -> Option<ControlIn> {
    byte(data).map(ControlIn::TrafficClass)
}

/// An `int`, or the single byte that IP_TOS is.
fn byte(data: &[u8]) -> Option<u8> {
    match data {
        [byte] => Some(*byte),
        _ => u8::try_from(c_int::from_ne_bytes(data.try_into().ok()?)).ok(),
    }
}
