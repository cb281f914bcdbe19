//! Bluetooth addresses: sockaddr_l2, sockaddr_rc, sockaddr_sco, sockaddr_hci (BlueZ, lib/l2cap.h and its
//! kin).

use std::fmt;
use std::io;

use super::{
    BluetoothAddressType, BluetoothDevice, HciAddress, L2capAddress, RfcommAddress, ScoAddress,
    family_address,
};
use crate::consts::{HCI_CHANNEL_CONTROL, HCI_CHANNEL_RAW, HCI_CHANNEL_USER, HCI_DEV_NONE};

/// BDADDR_ANY: any device, or in bind any controller.
pub const ANY_DEVICE: BluetoothDevice = (0, 0, 0, 0, 0, 0);

/// A device address from its text, `AA:BB:CC:DD:EE:FF`.
pub fn parse_device(text: &str) -> io::Result<BluetoothDevice> {
    let mut parts = text.split(':').map(|part| match part.len() {
        2 => u8::from_str_radix(part, 16).ok(),
        _ => None,
    });
    let mut octets = [0; 6];
    let whole = octets.iter_mut().all(|octet| match parts.next() {
        Some(Some(value)) => {
            *octet = value;
            true
        }
        _ => false,
    });
    if whole && parts.next().is_none() {
        return Ok(octets.into());
    }
    let text = format!("{text:?} is no Bluetooth address: write AA:BB:CC:DD:EE:FF");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn write_device(f: &mut fmt::Formatter<'_>, device: BluetoothDevice) -> fmt::Result {
    let (a, b, c, d, e, g) = device;
    write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
}

impl L2capAddress {
    /// A protocol or service multiplexer of a classic (BR/EDR) device. In bind: [`ANY_DEVICE`].
    pub const fn new(device: BluetoothDevice, psm: u16) -> Self {
        Self {
            device,
            address_type: BluetoothAddressType::Classic,
            psm,
            cid: 0,
        }
    }

    /// A multiplexer of a low-energy device.
    pub const fn low_energy(
        device: BluetoothDevice,
        address_type: BluetoothAddressType,
        psm: u16,
    ) -> Self {
        Self {
            device,
            address_type,
            psm,
            cid: 0,
        }
    }

    /// A fixed channel instead of a multiplexer (4 is ATT).
    pub const fn fixed_channel(
        device: BluetoothDevice,
        address_type: BluetoothAddressType,
        cid: u16,
    ) -> Self {
        Self {
            device,
            address_type,
            psm: 0,
            cid,
        }
    }
}

impl fmt::Display for L2capAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_device(f, self.device)?;
        match self.cid {
            0 => write!(f, " psm={}", self.psm),
            cid => write!(f, " cid={cid}"),
        }
    }
}

impl RfcommAddress {
    /// A channel (1 to 30) of a device; in bind 0 lets the kernel choose.
    pub const fn new(device: BluetoothDevice, channel: u8) -> Self {
        Self { device, channel }
    }
}

impl fmt::Display for RfcommAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_device(f, self.device)?;
        write!(f, " channel={}", self.channel)
    }
}

impl ScoAddress {
    /// The synchronous link with a device.
    pub const fn new(device: BluetoothDevice) -> Self {
        Self { device }
    }
}

impl fmt::Display for ScoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_device(f, self.device)
    }
}

impl HciAddress {
    /// The raw channel of a controller: commands, events and data, beside the kernel's own.
    pub const fn raw(device: u16) -> Self {
        Self {
            device,
            channel: HCI_CHANNEL_RAW,
        }
    }

    /// The user channel of a controller: it is this socket's alone while it is bound.
    pub const fn user(device: u16) -> Self {
        Self {
            device,
            channel: HCI_CHANNEL_USER,
        }
    }

    /// The management interface, of all controllers.
    pub const fn control() -> Self {
        Self {
            device: HCI_DEV_NONE,
            channel: HCI_CHANNEL_CONTROL,
        }
    }
}

impl fmt::Display for HciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            HCI_DEV_NONE => f.write_str("none")?,
            device => write!(f, "hci{device}")?,
        }
        write!(f, " channel={}", self.channel)
    }
}

family_address! { L2capAddress, L2cap, as_l2cap, "L2CAP" }
family_address! { RfcommAddress, Rfcomm, as_rfcomm, "RFCOMM" }
family_address! { ScoAddress, Sco, as_sco, "SCO" }
family_address! { HciAddress, Hci, as_hci, "HCI" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_shown_alike() {
        let device = parse_device("00:1A:7D:DA:71:13").unwrap();
        assert_eq!(device, (0, 0x1a, 0x7d, 0xda, 0x71, 0x13));
        assert_eq!(ScoAddress::new(device).to_string(), "00:1A:7D:DA:71:13");
        for wrong in [
            "",
            "00:1A:7D:DA:71",
            "00:1A:7D:DA:71:13:14",
            "0:1A:7D:DA:71:13",
            "+0:1A:7D:DA:71:1x",
        ] {
            assert!(parse_device(wrong).is_err(), "{wrong}");
        }
        assert_eq!(HciAddress::control().to_string(), "none channel=3");
        assert_eq!(
            L2capAddress::new(ANY_DEVICE, 3).to_string(),
            "00:00:00:00:00:00 psm=3"
        );
    }
}
