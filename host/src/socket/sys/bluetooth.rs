//! `sockaddr_l2`, `sockaddr_rc`, `sockaddr_sco` and `sockaddr_hci`: one family number for four forms,
//! which the socket's protocol tells apart.
//!
//! A device's octets travel least significant first, l2cap's own numbers in little-endian order.

use sockgate_policy::{BluetoothAddress, BluetoothDevice};

use super::address::{EncodedAddress, Fields};
use super::{Errno, Result};

/// BTPROTO_*
const L2CAP: u32 = 0;
const HCI: u32 = 1;
const SCO: u32 = 2;
const RFCOMM: u32 = 3;

/// Whether sockets of this protocol have addresses of this form.
pub(super) fn fits(protocol: u32, address: &BluetoothAddress) -> bool {
    protocol
        == match address {
            BluetoothAddress::L2cap { .. } => L2CAP,
            BluetoothAddress::Hci { .. } => HCI,
            BluetoothAddress::Sco { .. } => SCO,
            BluetoothAddress::Rfcomm { .. } => RFCOMM,
        }
}

fn reversed(mut device: BluetoothDevice) -> BluetoothDevice {
    device.reverse();
    device
}

/// The kernel's form, padded as C pads it.
pub(super) fn encode(address: &BluetoothAddress) -> EncodedAddress {
    let new = |parts: &[&[u8]]| EncodedAddress::new(libc::AF_BLUETOOTH, parts);
    match *address {
        BluetoothAddress::L2cap {
            device,
            address_type,
            psm,
            cid,
        } => new(&[
            &psm.to_le_bytes(),
            &reversed(device),
            &cid.to_le_bytes(),
            &[address_type, 0],
        ]),
        BluetoothAddress::Rfcomm { device, channel } => new(&[&reversed(device), &[channel, 0]]),
        BluetoothAddress::Sco { device } => new(&[&reversed(device)]),
        BluetoothAddress::Hci { device, channel } => {
            new(&[&device.to_ne_bytes(), &channel.to_ne_bytes()])
        }
    }
}

/// The address of a socket of `protocol`.
///
/// # Errors
/// `afnosupport` for a protocol whose addresses have no case, `inval` for too few bytes.
pub(super) fn decode(protocol: u32, body: &[u8]) -> Result<BluetoothAddress> {
    let mut fields = Fields(body);
    match protocol {
        L2CAP => {
            let psm = u16::from_le_bytes(fields.take()?);
            let device = reversed(fields.take()?);
            let cid = u16::from_le_bytes(fields.take()?);
            let [address_type] = fields.take()?;
            Ok(BluetoothAddress::L2cap {
                device,
                address_type,
                psm,
                cid,
            })
        }
        RFCOMM => {
            let device = reversed(fields.take()?);
            let [channel] = fields.take()?;
            Ok(BluetoothAddress::Rfcomm { device, channel })
        }
        SCO => Ok(BluetoothAddress::Sco {
            device: reversed(fields.take()?),
        }),
        HCI => Ok(BluetoothAddress::Hci {
            device: u16::from_ne_bytes(fields.take()?),
            channel: u16::from_ne_bytes(fields.take()?),
        }),
        _ => Err(Errno::AFNOSUPPORT),
    }
}
