//! CAN addresses: sockaddr_can, Documentation/networking/can.rst.

use std::fmt;

use super::{CanAddress, CanEndpoint, CanId, IsotpAddress, J1939Address, family_address};

/// The largest 11-bit identifier (CAN_SFF_MASK).
pub(crate) const STANDARD_MAX: u16 = 0x7ff;
/// The largest 29-bit identifier (CAN_EFF_MASK).
pub(crate) const EXTENDED_MAX: u32 = 0x1fff_ffff;

impl CanId {
    /// An 11-bit identifier; none above 0x7ff.
    pub const fn standard(id: u16) -> Option<Self> {
        if id <= STANDARD_MAX {
            Some(Self::Standard(id))
        } else {
            None
        }
    }

    /// A 29-bit identifier; none above 0x1fff_ffff.
    pub const fn extended(id: u32) -> Option<Self> {
        if id <= EXTENDED_MAX {
            Some(Self::Extended(id))
        } else {
            None
        }
    }

    /// The identifier's number, whichever format it has.
    pub const fn number(self) -> u32 {
        match self {
            Self::Standard(id) => id as u32,
            Self::Extended(id) => id,
        }
    }

    /// Whether it has 29 bits.
    pub const fn is_extended(self) -> bool {
        matches!(self, Self::Extended(_))
    }

    /// Whether the number fits its format. Only what the variants were given by hand can fail to.
    pub const fn is_valid(self) -> bool {
        match self {
            Self::Standard(id) => id <= STANDARD_MAX,
            Self::Extended(id) => id <= EXTENDED_MAX,
        }
    }
}

/// As candump prints it: three hexadecimal digits or eight.
impl fmt::Display for CanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(id) => write!(f, "{id:03X}"),
            Self::Extended(id) => write!(f, "{id:08X}"),
        }
    }
}

impl CanAddress {
    /// The interface of this name, for CAN_RAW and CAN_BCM.
    ///
    /// ```no_run
    /// use sockgate_guest::{Family, Protocol, Socket, SocketType, addresses::CanAddress};
    ///
    /// let socket = Socket::new(Family::Can, SocketType::Raw, Protocol::CanRaw)?;
    /// socket.bind(CanAddress::on("vcan0"))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on(interface: impl Into<String>) -> Self {
        Self::with(interface, CanEndpoint::None)
    }

    /// Every CAN interface.
    pub const fn any() -> Self {
        Self {
            interface: None,
            endpoint: CanEndpoint::None,
        }
    }

    /// An ISO-TP channel: the ids of the frames that are received and of those that are sent.
    pub fn isotp(interface: impl Into<String>, rx: CanId, tx: CanId) -> Self {
        Self::with(interface, CanEndpoint::Isotp(IsotpAddress { rx, tx }))
    }

    /// A J1939 end point.
    pub fn j1939(interface: impl Into<String>, address: J1939Address) -> Self {
        Self::with(interface, CanEndpoint::J1939(address))
    }

    fn with(interface: impl Into<String>, endpoint: CanEndpoint) -> Self {
        Self {
            interface: Some(interface.into()),
            endpoint,
        }
    }

    /// The J1939 part, where it has one.
    pub fn as_j1939(&self) -> Option<J1939Address> {
        match self.endpoint {
            CanEndpoint::J1939(address) => Some(address),
            _ => None,
        }
    }
}

impl J1939Address {
    /// Any address, no name, no parameter group.
    pub const fn any() -> Self {
        Self {
            name: None,
            pgn: None,
            address: None,
        }
    }

    /// The node at this dynamic address (0 to 253).
    pub const fn at(address: u8) -> Self {
        Self {
            address: Some(address),
            ..Self::any()
        }
    }

    /// The node of this 64-bit NAME, wherever it sits on the bus.
    pub const fn named(name: u64) -> Self {
        Self {
            name: Some(name),
            ..Self::any()
        }
    }

    /// With this parameter group number (18 bits).
    pub const fn pgn(mut self, pgn: u32) -> Self {
        self.pgn = Some(pgn);
        self
    }
}

impl fmt::Display for J1939Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "address=0x{address:02x}")?,
            None => f.write_str("address=any")?,
        }
        if let Some(pgn) = self.pgn {
            write!(f, " pgn=0x{pgn:05x}")?;
        }
        if let Some(name) = self.name {
            write!(f, " name=0x{name:016x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for CanAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.interface.as_deref().unwrap_or("*"))?;
        match &self.endpoint {
            CanEndpoint::None => Ok(()),
            CanEndpoint::Isotp(ids) => write!(f, " rx={} tx={}", ids.rx, ids.tx),
            CanEndpoint::J1939(address) => write!(f, " {address}"),
        }
    }
}

family_address! { CanAddress, Can, as_can, "CAN" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_to_their_format() {
        assert_eq!(CanId::standard(0x7ff), Some(CanId::Standard(0x7ff)));
        assert_eq!(CanId::standard(0x800), None);
        assert_eq!(CanId::extended(0x2000_0000), None);
        assert!(!CanId::Standard(0x800).is_valid());
        assert_eq!(CanId::Standard(0x12).to_string(), "012");
        assert_eq!(CanId::Extended(0x12).to_string(), "00000012");
    }

    #[test]
    fn addresses_show_what_they_hold() {
        assert_eq!(CanAddress::any().to_string(), "*");
        let channel =
            CanAddress::isotp("can0", CanId::Standard(0x7e8), CanId::Extended(0x18da10f1));
        assert_eq!(channel.to_string(), "can0 rx=7E8 tx=18DA10F1");
        let node = CanAddress::j1939("can0", J1939Address::at(0x20).pgn(0x12300));
        assert_eq!(node.to_string(), "can0 address=0x20 pgn=0x12300");
        assert_eq!(node.as_j1939(), Some(J1939Address::at(0x20).pgn(0x12300)));
    }
}
