//! `sockaddr_alg`, Documentation/crypto/userspace-if.rst.

use sockgate_policy::AlgAddress;

use super::address::EncodedAddress;
use super::fields::{Fields, text};
use super::{Errno, Result};

/// Bytes of `salg_type` and `salg_name`, their final NUL included.
const TYPE: usize = 14;
const NAME: usize = 64;

/// # Errors
/// `inval` for an empty word, `nametoolong` for one that does not fit, `inval` for one with a NUL.
pub(super) fn encode(address: &AlgAddress) -> Result<EncodedAddress> {
    let alg_type = room::<TYPE>(&address.alg_type)?;
    let name = room::<NAME>(&address.name)?;
    Ok(EncodedAddress::new(
        libc::AF_ALG,
        &[
            &alg_type,
            &address.feature.to_ne_bytes(),
            &address.mask.to_ne_bytes(),
            &name,
        ],
    ))
}

fn room<const N: usize>(word: &str) -> Result<[u8; N]> {
    if word.is_empty() || word.contains('\0') {
        return Err(Errno::INVAL);
    }
    let mut room = [0u8; N];
    if word.len() >= N {
        return Err(Errno::NAMETOOLONG);
    }
    room[..word.len()].copy_from_slice(word.as_bytes());
    Ok(room)
}

/// The body (what follows the family) of a `sockaddr_alg`.
pub(super) fn decode(body: &[u8]) -> Result<AlgAddress> {
    let mut fields = Fields::new(body);
    let alg_type = text(&fields.take::<TYPE>()?)?;
    let (feature, mask) = (fields.u32()?, fields.u32()?);
    Ok(AlgAddress {
        alg_type,
        name: text(&fields.take::<NAME>()?)?,
        feature,
        mask,
    })
}
