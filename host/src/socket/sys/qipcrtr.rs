//! `sockaddr_qrtr`, linux/qrtr.h.

use sockgate_policy::QipcrtrAddress;

use super::Result;
use super::address::EncodedAddress;
use super::fields::Fields;

/// AF_QIPCRTR; the C library has no name for it.
pub(super) const AF_QIPCRTR: libc::c_int = 42;

pub(super) fn encode(address: &QipcrtrAddress) -> EncodedAddress {
    EncodedAddress::new(
        AF_QIPCRTR,
        &[
            &[0; 2],
            &address.node.to_ne_bytes(),
            &address.port.to_ne_bytes(),
        ],
    )
}

/// The body (what follows the family) of a `sockaddr_qrtr`.
pub(super) fn decode(body: &[u8]) -> Result<QipcrtrAddress> {
    let mut fields = Fields::new(body);
    fields.take::<2>()?;
    Ok(QipcrtrAddress {
        node: fields.u32()?,
        port: fields.u32()?,
    })
}
