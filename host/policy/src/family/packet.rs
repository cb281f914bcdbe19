//! packet: frames of network interfaces, packet(7).

use std::fmt;

use super::interface_or_any;

/// sockaddr_ll.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PacketAddress {
    /// The interface by name; `None` is every interface.
    pub interface: Option<String>,
    /// Ethernet protocol in host byte order; 3 (ETH_P_ALL) is every protocol.
    pub protocol: u16,
    /// PACKET_HOST and its kin, by Linux's number; received only.
    pub packet_type: u8,
    /// ARPHRD_* hardware type; received only.
    pub hardware_type: u16,
    /// The link-layer address, up to 8 bytes.
    pub hardware_address: Vec<u8>,
}

impl fmt::Display for PacketAddress {
    /// `eth0 ethertype 0x0800`, `eth0 ethertype 0x88cc at 01:80:c2:00:00:0e`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        interface_or_any(f, self.interface.as_deref())?;
        write!(f, " ethertype 0x{:04x}", self.protocol)?;
        for (place, byte) in self.hardware_address.iter().enumerate() {
            let lead = if place == 0 { " at " } else { ":" };
            write!(f, "{lead}{byte:02x}")?;
        }
        Ok(())
    }
}
