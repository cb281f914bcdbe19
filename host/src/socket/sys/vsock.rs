//! `sockaddr_vm`, vsock(7).

use sockgate_policy::VsockAddress;

use super::Result;
use super::address::EncodedAddress;
use super::fields::Fields;

pub(super) fn encode(address: &VsockAddress) -> EncodedAddress {
    EncodedAddress::new(
        libc::AF_VSOCK,
        &[
            &[0; 2],
            &address.port.to_ne_bytes(),
            &address.cid.to_ne_bytes(),
            &[address.flags],
            &[0; 3],
        ],
    )
}

/// The body (what follows the family) of a `sockaddr_vm`.
pub(super) fn decode(body: &[u8]) -> Result<VsockAddress> {
    let mut fields = Fields::new(body);
    fields.take::<2>()?;
    Ok(VsockAddress {
        port: fields.u32()?,
        cid: fields.u32()?,
        flags: fields.u8()?,
    })
}
