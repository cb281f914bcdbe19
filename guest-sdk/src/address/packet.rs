//! Packet addresses (sockaddr_ll, packet(7)) and those of BSD's link layer.

use std::fmt;

use super::{LinkAddress, PacketAddress, PacketType, family_address};

impl PacketAddress {
    /// Frames of this Ethernet protocol (host byte order; [`ETH_P_ALL`](crate::consts::ETH_P_ALL) is
    /// every one) on this interface.
    ///
    /// ```no_run
    /// use sockgate_guest::{Family, Protocol, Socket, SocketType};
    /// use sockgate_guest::{addresses::PacketAddress, consts::ETH_P_ARP};
    ///
    /// let socket = Socket::new(Family::Packet, SocketType::Raw, Protocol::Ethertype(ETH_P_ARP))?;
    /// socket.bind(PacketAddress::on("eth0", ETH_P_ARP))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on(interface: impl Into<String>, protocol: u16) -> Self {
        Self {
            interface: Some(interface.into()),
            ..Self::any(protocol)
        }
    }

    /// Frames of this Ethernet protocol on every interface.
    pub const fn any(protocol: u16) -> Self {
        Self {
            interface: None,
            protocol,
            packet_type: PacketType::ToHost,
            hardware_type: 0,
            hardware_address: Vec::new(),
        }
    }

    /// To this link-layer address (at most 8 bytes), for sends on datagram packet sockets.
    pub fn to(mut self, hardware_address: impl Into<Vec<u8>>) -> Self {
        self.hardware_address = hardware_address.into();
        self
    }
}

/// Bytes as link-layer addresses are written: `02:00:5e:00:53:01`.
fn write_hardware(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        let separator = if index == 0 { "" } else { ":" };
        write!(f, "{separator}{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for PacketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = self.interface.as_deref().unwrap_or("*");
        write!(f, "{interface} 0x{:04x}", self.protocol)?;
        if !self.hardware_address.is_empty() {
            f.write_str(" ")?;
            write_hardware(f, &self.hardware_address)?;
        }
        Ok(())
    }
}

family_address! { PacketAddress, Packet, as_packet, "packet" }

impl fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "#{} ", self.index)?,
            name => write!(f, "{name} ")?,
        }
        write_hardware(f, &self.hardware_address)
    }
}

family_address! { LinkAddress, Link, as_link, "BSD link" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_shown_as_people_write_them() {
        let address = PacketAddress::on("eth0", 0x0806).to([2, 0, 0x5e, 0, 0x53, 1]);
        assert_eq!(address.to_string(), "eth0 0x0806 02:00:5e:00:53:01");
        assert_eq!(PacketAddress::any(3).to_string(), "* 0x0003");
    }
}
