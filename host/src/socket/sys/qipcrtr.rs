//! `sockaddr_qrtr`, linux/qrtr.h.

use sockgate_policy::QipcrtrAddress;

use super::Result;
use super::address::{EncodedAddress, Fields};

/// AF_QIPCRTR, which libc does not name on every target.
pub(super) const AF_QIPCRTR: libc::c_int = 42;

/// Padding, node, port.
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

pub(super) fn decode(body: &[u8]) -> Result<QipcrtrAddress> {
    let mut fields = Fields(body);
    fields.skip::<2>()?;
    Ok(QipcrtrAddress {
        node: u32::from_ne_bytes(fields.take()?),
        port: u32::from_ne_bytes(fields.take()?),
    })
}
