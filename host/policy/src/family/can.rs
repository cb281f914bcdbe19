//! CAN: raw frames, the broadcast manager, ISO-TP and J1939, Documentation/networking/can.rst.

use std::fmt;

use super::interface_or_any;

/// sockaddr_can: where on the buses, and for ISO-TP and J1939 which ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanAddress {
    /// The interface by name; `None` is every CAN interface.
    pub interface: Option<String>,
    /// What follows the interface.
    pub endpoint: CanEndpoint,
}

/// What follows the interface in a sockaddr_can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CanEndpoint {
    /// CAN_RAW and CAN_BCM: nothing.
    Bus,
    /// CAN_ISOTP: the ids of the frames that are received and sent.
    IsoTp {
        /// The id of the frames that are received.
        rx: CanId,
        /// The id of the frames that are sent.
        tx: CanId,
    },
    /// CAN_J1939; `None` is any, or not used.
    J1939 {
        /// The 64-bit NAME of a control function.
        name: Option<u64>,
        /// Parameter group number, 18 bits.
        pgn: Option<u32>,
        /// The address on the bus, 0 to 253.
        address: Option<u8>,
    },
}

/// A CAN identifier with its frame format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CanId {
    /// 11 bits.
    Standard(u16),
    /// 29 bits.
    Extended(u32),
}

impl fmt::Display for CanId {
    /// As candump(1) prints them: three hexadecimal digits, or eight.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CanId::Standard(id) => write!(f, "{id:03X}"),
            CanId::Extended(id) => write!(f, "{id:08X}"),
        }
    }
}

impl fmt::Display for CanAddress {
    /// `can0`, `can0 rx 7E8 tx 7E0`, `can0 pgn 0x0FECA address 0x20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        interface_or_any(f, self.interface.as_deref())?;
        match self.endpoint {
            CanEndpoint::Bus => Ok(()),
            CanEndpoint::IsoTp { rx, tx } => write!(f, " rx {rx} tx {tx}"),
            CanEndpoint::J1939 { name, pgn, address } => {
                if let Some(pgn) = pgn {
                    write!(f, " pgn 0x{pgn:05X}")?;
                }
                if let Some(address) = address {
                    write!(f, " address 0x{address:02X}")?;
                }
                match name {
                    Some(name) => write!(f, " name 0x{name:016X}"),
                    None => Ok(()),
                }
            }
        }
    }
}
