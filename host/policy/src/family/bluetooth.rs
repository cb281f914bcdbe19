//! Bluetooth: L2CAP, RFCOMM, SCO and HCI.

use std::fmt;

use super::key::{device_number, device_word};
use super::{Given, Group, Key, Shape, Value, uninspected};
use crate::address::Address;
use crate::kind::{Family, Kind};

/// A device address as people write it, most significant octet first; all zeros is any.
pub type BluetoothDevice = [u8; 6];

/// The addresses of the Bluetooth protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BluetoothAddress {
    /// sockaddr_l2.
    L2cap {
        /// The device.
        device: BluetoothDevice,
        /// BDADDR_BREDR (0), BDADDR_LE_PUBLIC (1), BDADDR_LE_RANDOM (2).
        address_type: u8,
        /// Protocol or service multiplexer.
        psm: u16,
        /// Fixed channel id, 0 for none.
        cid: u16,
    },
    /// sockaddr_rc.
    Rfcomm {
        /// The device.
        device: BluetoothDevice,
        /// The channel, 1 to 30; 0 in bind lets the kernel choose.
        channel: u8,
    },
    /// sockaddr_sco.
    Sco {
        /// The device.
        device: BluetoothDevice,
    },
    /// sockaddr_hci.
    Hci {
        /// The number of the controller (`hci0` is 0); 0xffff is none.
        device: u16,
        /// HCI_CHANNEL_*.
        channel: u16,
    },
}

impl fmt::Display for BluetoothAddress {
    /// `AA:BB:CC:DD:EE:FF psm 4097`, `any channel 3`, `hci0 channel 2`, `no controller channel 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut device = |device: &BluetoothDevice| f.write_str(&device_word(*device));
        match self {
            BluetoothAddress::L2cap {
                device: to,
                psm,
                cid,
                ..
            } => {
                device(to)?;
                if *cid != 0 {
                    return write!(f, " cid {cid}");
                }
                write!(f, " psm {psm}")
            }
            BluetoothAddress::Rfcomm {
                device: to,
                channel,
            } => {
                device(to)?;
                write!(f, " channel {channel}")
            }
            BluetoothAddress::Sco { device: to } => device(to),
            BluetoothAddress::Hci {
                device: NO_CONTROLLER,
                channel,
            } => write!(f, "no controller channel {channel}"),
            BluetoothAddress::Hci { device, channel } => {
                write!(f, "hci{device} channel {channel}")
            }
        }
    }
}

/// HCI_DEV_NONE: what the channels of all controllers are bound to.
const NO_CONTROLLER: u16 = 0xffff;

/// BTPROTO_*.
const L2CAP: u32 = 0;
const HCI: u32 = 1;
const SCO: u32 = 2;
const RFCOMM: u32 = 3;

/// HCI_CHANNEL_*.
const HCI_CHANNELS: &[(&str, u64)] = &[
    ("raw", 0),
    ("user", 1),
    ("monitor", 2),
    ("control", 3),
    ("logging", 4),
];

/// L2CAP channels with a number of their own (LE).
const FIXED_CHANNELS: &[(&str, u64)] = &[("att", 4), ("signalling", 5), ("smp", 6)];

/// BDADDR_*.
const ADDRESS_TYPES: &[(&str, u64)] = &[("classic", 0), ("le-public", 1), ("le-random", 2)];

pub(crate) static GROUP: Group = Group {
    families: &[Family::Bluetooth],
    address: from_keys,
    raw_only: false,
    keys: &[
        Key::address("address", Shape::Devices, "[\"AA:BB:CC:DD:EE:FF\"]")
            .of(&[L2CAP, SCO, RFCOMM]),
        Key::address(
            "address-type",
            Shape::Numbers {
                words: ADDRESS_TYPES,
                max: 2,
            },
            "[\"le-public\"]",
        )
        .of(&[L2CAP]),
        Key::address(
            "psm",
            Shape::Numbers {
                words: &[],
                max: 0xffff,
            },
            "[\"0x1001\"]",
        )
        .of(&[L2CAP])
        .chosen(0),
        Key::address(
            "cid",
            Shape::Numbers {
                words: FIXED_CHANNELS,
                max: 0xffff,
            },
            "[\"att\"]",
        )
        .of(&[L2CAP]),
        Key::address(
            "channel",
            Shape::Numbers {
                words: HCI_CHANNELS,
                max: 0xffff,
            },
            "[3]",
        )
        .of(&[RFCOMM, HCI])
        .chosen(0),
        Key::address(
            "device",
            Shape::Numbers {
                words: &[("none", 0xffff)],
                max: 0xffff,
            },
            "[0]",
        )
        .of(&[HCI]),
    ],
    one_place: false,
    naming: &["address", "device"],
    value,
    inspector: uninspected,
};

fn from_keys(kind: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    let device = given.device("address");
    Ok(Address::Bluetooth(match kind.protocol {
        HCI => BluetoothAddress::Hci {
            device: given.small("device").ok_or("device")?,
            channel: given.small("channel").unwrap_or(0),
        },
        SCO => BluetoothAddress::Sco {
            device: device.ok_or("address")?,
        },
        RFCOMM => BluetoothAddress::Rfcomm {
            device: device.ok_or("address")?,
            channel: given.small("channel").ok_or("channel")?,
        },
        _ => BluetoothAddress::L2cap {
            device: device.ok_or("address")?,
            address_type: given.small("address-type").unwrap_or(0),
            psm: given.small("psm").unwrap_or(0),
            cid: given.small("cid").unwrap_or(0),
        },
    }))
}

fn value(address: &Address, key: &str) -> Option<Value> {
    let Address::Bluetooth(bluetooth) = address else {
        return None;
    };
    let peer = |device: BluetoothDevice| match device_number(device) {
        0 => Value::Every(Some(0)),
        number => Value::Number(number),
    };
    match (key, *bluetooth) {
        (
            "address",
            BluetoothAddress::L2cap { device, .. }
            | BluetoothAddress::Rfcomm { device, .. }
            | BluetoothAddress::Sco { device },
        ) => Some(peer(device)),
        ("address-type", BluetoothAddress::L2cap { address_type, .. }) => {
            Some(Value::Number(u64::from(address_type)))
        }
        // What names a fixed channel has no multiplexer, and the other way round.
        ("psm", BluetoothAddress::L2cap { psm, cid: 0, .. }) => Some(Value::Number(u64::from(psm))),
        ("cid", BluetoothAddress::L2cap { psm: 0, cid, .. }) if cid != 0 => {
            Some(Value::Number(u64::from(cid)))
        }
        ("channel", BluetoothAddress::Rfcomm { channel, .. }) => {
            Some(Value::Number(u64::from(channel)))
        }
        ("channel", BluetoothAddress::Hci { channel, .. }) => {
            Some(Value::Number(u64::from(channel)))
        }
        ("device", BluetoothAddress::Hci { device, .. }) => Some(Value::Number(u64::from(device))),
        _ => None,
    }
}
