//! `sockaddr_ll`, packet(7).

use sockgate_policy::PacketAddress;

use super::address::{EncodedAddress, Fields};
use super::{Errno, Result, interface};

/// Bytes of `sll_addr`.
const HARDWARE_ADDRESS: usize = 8;

/// Protocol in network order, interface, hardware type, packet type, length of the hardware address and
/// eight bytes for it.
///
/// # Errors
/// `nodev` for an interface that is not there, `inval` for a hardware address of more than eight bytes.
pub(super) fn encode(address: &PacketAddress) -> Result<EncodedAddress> {
    let hardware = &address.hardware_address;
    let mut padded = [0; HARDWARE_ADDRESS];
    padded
        .get_mut(..hardware.len())
        .ok_or(Errno::INVAL)?
        .copy_from_slice(hardware);
    let index = interface::index_or_any(address.interface.as_deref())?;
    Ok(EncodedAddress::new(
        libc::AF_PACKET,
        &[
            &address.protocol.to_be_bytes(),
            &index.to_ne_bytes(),
            &address.hardware_type.to_ne_bytes(),
            // At most eight, as was just checked.
            &[address.packet_type, hardware.len() as u8],
            &padded,
        ],
    ))
}

/// The kernel leaves out the bytes that the hardware address does not have, and gives more than eight for
/// hardware with longer ones (InfiniBand), of which the first eight are kept.
pub(super) fn decode(body: &[u8]) -> Result<PacketAddress> {
    let mut fields = Fields(body);
    let protocol = u16::from_be_bytes(fields.take()?);
    let index = u32::from_ne_bytes(fields.take()?);
    let hardware_type = u16::from_ne_bytes(fields.take()?);
    let [packet_type, length] = fields.take()?;
    let length = usize::from(length).min(HARDWARE_ADDRESS);
    let hardware_address = fields.0.get(..length).ok_or(Errno::INVAL)?.to_vec();
    Ok(PacketAddress {
        interface: interface::name_or_any(index),
        protocol,
        packet_type,
        hardware_type,
        hardware_address,
    })
}
