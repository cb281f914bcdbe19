//! `sockaddr_alg`, Documentation/crypto/userspace-if.rst.

use sockgate_policy::AlgAddress;

use super::address::{EncodedAddress, Fields};
use super::{Errno, Result};

/// Bytes of `salg_type` and `salg_name`, a final NUL among them.
const TYPE: usize = 14;
const NAME: usize = 64;

/// Type, feature and mask, name.
///
/// # Errors
/// `nametoolong` for a type or a name that does not fit, `inval` for one with a NUL.
pub(super) fn encode(address: &AlgAddress) -> Result<EncodedAddress> {
    Ok(EncodedAddress::new(
        libc::AF_ALG,
        &[
            &padded::<TYPE>(&address.alg_type)?,
            &address.feature.to_ne_bytes(),
            &address.mask.to_ne_bytes(),
            &padded::<NAME>(&address.name)?,
        ],
    ))
}

fn padded<const ROOM: usize>(text: &str) -> Result<[u8; ROOM]> {
    if text.contains('\0') {
        return Err(Errno::INVAL);
    }
    if text.len() >= ROOM {
        return Err(Errno::NAMETOOLONG);
    }
    let mut padded = [0; ROOM];
    padded[..text.len()].copy_from_slice(text.as_bytes());
    Ok(padded)
}

/// The names of algorithms are ASCII; one that is not even UTF-8 is none.
pub(super) fn decode(body: &[u8]) -> Result<AlgAddress> {
    let mut fields = Fields(body);
    let alg_type = text(&fields.take::<TYPE>()?)?;
    let feature = u32::from_ne_bytes(fields.take()?);
    let mask = u32::from_ne_bytes(fields.take()?);
    let name = text(&fields.take::<NAME>()?)?;
    Ok(AlgAddress {
        alg_type,
        name,
        feature,
        mask,
    })
}

fn text(padded: &[u8]) -> Result<String> {
    let end = padded.iter().position(|byte| *byte == 0);
    let text = &padded[..end.ok_or(Errno::INVAL)?];
    String::from_utf8(text.to_vec()).map_err(|_| Errno::INVAL)
}
