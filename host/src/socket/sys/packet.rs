//! `sockaddr_ll`, packet(7).

use sockgate_policy::PacketAddress;

use super::address::EncodedAddress;
use super::fields::Fields;
use super::interface::{optional_index, optional_name};
use super::{Errno, Result};

/// Bytes of a link-layer address that the structure has room for.
const HARDWARE_ADDRESS: usize = 8;

/// # Errors
/// `nodev` for an interface that there is not, `inval` for a hardware address of more than 8 bytes.
pub(super) fn encode(address: &PacketAddress) -> Result<EncodedAddress> {
    let index = optional_index(address.interface.as_deref())?;
    let mut hardware = [0u8; HARDWARE_ADDRESS];
    let length = address.hardware_address.len();
    hardware
        .get_mut(..length)
        .ok_or(Errno::INVAL)?
        .copy_from_slice(&address.hardware_address);
    Ok(EncodedAddress::new(
        libc::AF_PACKET,
        &[
            &address.protocol.to_be_bytes(),
            &index.to_ne_bytes(),
            &address.hardware_type.to_ne_bytes(),
            &[address.packet_type, length as u8],
            &hardware,
        ],
    ))
}

/// The body (what follows the family) of a `sockaddr_ll`. The kernel gives as much of the hardware address as
/// there is.
pub(super) fn decode(body: &[u8]) -> Result<PacketAddress> {
    let mut fields = Fields::new(body);
    let protocol = u16::from_be_bytes(fields.take()?);
    let interface = optional_name(fields.u32()?);
    let hardware_type = fields.u16()?;
    let packet_type = fields.u8()?;
    let length = usize::from(fields.u8()?);
    let hardware = body.get(10..).unwrap_or_default();
    Ok(PacketAddress {
        interface,
        protocol,
        packet_type,
        hardware_type,
        hardware_address: hardware[..length.min(hardware.len()).min(HARDWARE_ADDRESS)].to_vec(),
    })
}
