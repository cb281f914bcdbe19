//! `sockaddr_nl`, netlink(7).

use sockgate_policy::NetlinkAddress;

use super::Result;
use super::address::EncodedAddress;
use super::fields::Fields;

/// Padding between the family and the port id.
const PADDING: [u8; 2] = [0; 2];

pub(super) fn encode(address: &NetlinkAddress) -> EncodedAddress {
    EncodedAddress::new(
        libc::AF_NETLINK,
        &[
            &PADDING,
            &address.pid.to_ne_bytes(),
            &address.groups.to_ne_bytes(),
        ],
    )
}

/// The body (what follows the family) of a `sockaddr_nl`.
pub(super) fn decode(body: &[u8]) -> Result<NetlinkAddress> {
    let mut fields = Fields::new(body);
    fields.take::<2>()?;
    Ok(NetlinkAddress {
        pid: fields.u32()?,
        groups: fields.u32()?,
    })
}
