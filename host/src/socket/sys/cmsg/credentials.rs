//! Who sent it: SCM_CREDENTIALS and SCM_SECURITY, unix(7).

use libc::c_int;

use super::{Control, ControlIn};
use crate::socket::sys::Result;

/// SCM_SECURITY, which libc does not name.
pub(super) const SCM_SECURITY: c_int = 3;

/// `ucred`: three 32-bit numbers.
pub(super) fn encode(control: &mut Control<'_>, pid: i32, uid: u32, gid: u32) -> Result<()> {
    let mut data = [0; 12];
    data[..4].copy_from_slice(&pid.to_ne_bytes());
    data[4..8].copy_from_slice(&uid.to_ne_bytes());
    data[8..].copy_from_slice(&gid.to_ne_bytes());
    control.push(libc::SOL_SOCKET, libc::SCM_CREDENTIALS, &data)
}

pub(super) fn decode(data: &[u8]) -> Option<ControlIn> {
    let (pid, rest) = data.split_first_chunk()?;
    let (uid, rest) = rest.split_first_chunk()?;
    let gid = rest.first_chunk()?;
    Some(ControlIn::Credentials {
        pid: i32::from_ne_bytes(*pid),
        uid: u32::from_ne_bytes(*uid),
        gid: u32::from_ne_bytes(*gid),
    })
}

/// A security label, which some modules end with a NUL.
pub(super) fn decode_label(data: &[u8]) -> ControlIn {
    ControlIn::Security(data.strip_suffix(&[0]).unwrap_or(data).to_vec())
}
