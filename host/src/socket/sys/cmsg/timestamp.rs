//! When it came and when it shall go: SCM_TIMESTAMP and its kin, SCM_TXTIME;
//! Documentation/networking/timestamping.rst.

use libc::c_int;

use super::{Control, ControlIn, Timestamp};
use crate::socket::sys::Result;
use crate::socket::sys::option::SO_TXTIME;

pub(super) const SCM_TIMESTAMP: c_int = libc::SCM_TIMESTAMP;
pub(super) const SCM_TIMESTAMPNS: c_int = libc::SCM_TIMESTAMPNS;
pub(super) const SCM_TIMESTAMPING: c_int = libc::SCM_TIMESTAMPING;
// The forms with 64-bit seconds on every machine.
pub(super) const SCM_TIMESTAMP_NEW: c_int = 63;
pub(super) const SCM_TIMESTAMPNS_NEW: c_int = 64;
pub(super) const SCM_TIMESTAMPING_NEW: c_int = 65;

pub(super) fn encode_transmit_time(control: &mut Control<'_>, nanoseconds: u64) -> Result<()> {
    control.push(libc::SOL_SOCKET, SO_TXTIME, &nanoseconds.to_ne_bytes())
}

/// `timeval`
pub(super) fn decode_microseconds(data: &[u8]) -> Option<ControlIn> {
    let (seconds, microseconds) = pair(data)?;
    stamp(seconds, microseconds.checked_mul(1000)?).map(ControlIn::Timestamp)
}

/// `timespec`
pub(super) fn decode_nanoseconds(data: &[u8]) -> Option<ControlIn> {
    let (seconds, nanoseconds) = pair(data)?;
    stamp(seconds, nanoseconds).map(ControlIn::Timestamp)
}

/// `scm_timestamping`: software, one that is no longer used, hardware. Zero is none.
pub(super) fn decode_triple(data: &[u8]) -> Option<ControlIn> {
    let one = data.len() / 3;
    let at = |index: usize| {
        let (seconds, nanoseconds) = pair(data.get(index * one..(index + 1) * one)?)?;
        stamp(seconds, nanoseconds)
    };
    let set = |stamp: Timestamp| (stamp.seconds, stamp.nanoseconds) != (0, 0);
    let (software, hardware) = (at(0)?, at(2)?);
    Some(ControlIn::Timestamping {
        software: Some(software).filter(|stamp| set(*stamp)),
        hardware: Some(hardware).filter(|stamp| set(*stamp)),
    })
}

fn stamp(seconds: i64, nanoseconds: i64) -> Option<Timestamp> {
    let nanoseconds = u32::try_from(nanoseconds)
        .ok()
        .filter(|value| *value < 1_000_000_000)?;
    Some(Timestamp {
        seconds,
        nanoseconds,
    })
}

/// Two words: of 64 bits, or of 32 in the old form on 32-bit machines.
fn pair(data: &[u8]) -> Option<(i64, i64)> {
    match data.len() {
        16 => {
            let (first, second) = data.split_first_chunk::<8>()?;
            Some((
                i64::from_ne_bytes(*first),
                i64::from_ne_bytes(*second.first_chunk()?),
            ))
        }
        8 => {
            let (first, second) = data.split_first_chunk::<4>()?;
            let second = i32::from_ne_bytes(*second.first_chunk()?);
            Some((i32::from_ne_bytes(*first).into(), second.into()))
        }
        _ => None,
    }
}
