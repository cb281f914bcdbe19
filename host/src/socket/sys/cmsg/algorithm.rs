//! What a cipher is to do, Documentation/crypto/userspace-if.rst.

use libc::c_int;

use super::Control;
use crate::socket::sys::{Errno, Result};

/// The longest initialisation vector that any algorithm takes is far below this.
const LONGEST_IV: usize = 4096;

/// ALG_SET_OP
pub(super) fn encode_operation(control: &mut Control<'_>, operation: u32) -> Result<()> {
    push(control, libc::ALG_SET_OP, &operation.to_ne_bytes())
}

/// ALG_SET_IV: struct af_alg_iv, the length and the bytes. `inval` for one that is too long to be any.
pub(super) fn encode_iv(control: &mut Control<'_>, iv: &[u8]) -> Result<()> {
    if iv.len() > LONGEST_IV {
        return Err(Errno::INVAL);
    }
    let mut data = (iv.len() as u32).to_ne_bytes().to_vec();
    data.extend_from_slice(iv);
    push(control, libc::ALG_SET_IV, &data)
}

/// ALG_SET_AEAD_ASSOCLEN
pub(super) fn encode_associated_length(control: &mut Control<'_>, length: u32) -> Result<()> {
    push(control, libc::ALG_SET_AEAD_ASSOCLEN, &length.to_ne_bytes())
}

fn push(control: &mut Control<'_>, kind: c_int, data: &[u8]) -> Result<()> {
    control.push(libc::SOL_ALG, kind, data)
}
