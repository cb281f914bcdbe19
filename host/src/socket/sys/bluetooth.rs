//! `sockaddr_l2`, `sockaddr_rc`, `sockaddr_sco` and `sockaddr_hci`: one family number, four structures, told
//! apart by the socket's protocol. The kernel has a device's address least significant octet first.

use sockgate_policy::{BluetoothAddress, BluetoothDevice};

use super::address::EncodedAddress;
use super::fields::Fields;
use super::{Errno, Result};

/// BTPROTO_*.
const L2CAP: u32 = 0;
const HCI: u32 = 1;
const SCO: u32 = 2;
const RFCOMM: u32 = 3;

fn reversed(mut device: BluetoothDevice) -> BluetoothDevice {
    device.reverse();
    device
}

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

/// The body (what follows the family) of an address of a socket of `protocol`: `opnotsupp` for a protocol
/// whose addresses have no case.
pub(super) fn decode(protocol: u32, body: &[u8]) -> Result<BluetoothAddress> {
    let mut fields = Fields::new(body);
    Ok(match protocol {
        L2CAP => {
            let psm = u16::from_le_bytes(fields.take()?);
            let device = reversed(fields.take()?);
            let cid = u16::from_le_bytes(fields.take()?);
            BluetoothAddress::L2cap {
                device,
                address_type: fields.u8()?,
                psm,
                cid,
            }
        }
        RFCOMM => BluetoothAddress::Rfcomm {
            device: reversed(fields.take()?),
            channel: fields.u8()?,
        },
        SCO => BluetoothAddress::Sco {
            device: reversed(fields.take()?),
        },
        HCI => BluetoothAddress::Hci {
            device: fields.u16()?,
            channel: fields.u16()?,
        },
        _ => return Err(Errno::OPNOTSUPP),
    })
}
