//! Bluetooth: L2CAP, RFCOMM, SCO and HCI.

use std::fmt;

use super::key::device_number;
use super::{Group, Key, Shape, Value, uninspected};
use crate::address::Address;
use crate::kind::Family;

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
    /// `AA:BB:CC:DD:EE:FF psm 4097`, `AA:BB:CC:DD:EE:FF channel 3`, `hci0 channel 2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut device = |device: &BluetoothDevice| {
            let [a, b, c, d, e, g] = device;
            write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
        };
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
            BluetoothAddress::Hci { device, channel } => {
                write!(f, "hci{device} channel {channel}")
            }
        }
    }
}

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

pub(crate) static GROUP: Group = Group {
    families: &[Family::Bluetooth],
    raw_only: false,
    keys: &[
        Key::address("address", Shape::Devices, "[\"AA:BB:CC:DD:EE:FF\"]")
            .of(&[L2CAP, SCO, RFCOMM]),
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
    naming: &["address", "device", "channel"],
    value,
    inspector: uninspected,
};

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
        ("psm", BluetoothAddress::L2cap { psm, .. }) => Some(Value::Number(u64::from(psm))),
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
