//! `sockaddr_nl`, netlink(7).

use sockgate_policy::NetlinkAddress;

use super::Result;
use super::address::{EncodedAddress, Fields};

/// Padding, port id, groups.
pub(super) fn encode(address: &NetlinkAddress) -> EncodedAddress {
    EncodedAddress::new(
        libc::AF_NETLINK,
        &[
            &[0; 2],
            &address.pid.to_ne_bytes(),
            &address.groups.to_ne_bytes(),
        ],
    )
}

pub(super) fn decode(body: &[u8]) -> Result<NetlinkAddress> {
    let mut fields = Fields(body);
    fields.skip::<2>()?;
    Ok(NetlinkAddress {
        pid: u32::from_ne_bytes(fields.take()?),
        groups: u32::from_ne_bytes(fields.take()?),
    })
}
