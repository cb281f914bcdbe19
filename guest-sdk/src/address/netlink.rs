//! Netlink addresses: sockaddr_nl, netlink(7).

use std::fmt;

use super::{NetlinkAddress, family_address};

impl NetlinkAddress {
    /// The kernel, as a peer.
    pub const KERNEL: Self = Self { pid: 0, groups: 0 };

    /// In bind: a port id that the kernel chooses, and no groups.
    pub const fn auto() -> Self {
        Self::KERNEL
    }

    /// The socket with this port id.
    pub const fn port(pid: u32) -> Self {
        Self { pid, groups: 0 }
    }

    /// With the multicast groups of this mask: bit 0 is group 1. Groups above 32 are joined by option.
    pub const fn groups(mut self, mask: u32) -> Self {
        self.groups = mask;
        self
    }

    /// With this multicast group as well, 1 to 32; others change nothing.
    pub const fn group(mut self, group: u32) -> Self {
        if group >= 1 && group <= 32 {
            self.groups |= 1 << (group - 1);
        }
        self
    }
}

impl fmt::Display for NetlinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => f.write_str("kernel")?,
            pid => write!(f, "pid={pid}")?,
        }
        if self.groups != 0 {
            write!(f, " groups=0x{:x}", self.groups)?;
        }
        Ok(())
    }
}

family_address! { NetlinkAddress, Netlink, as_netlink, "netlink" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_bits() {
        let address = NetlinkAddress::auto().group(1).group(5).group(0).group(33);
        assert_eq!(address.groups, 0x11);
        assert_eq!(address.to_string(), "kernel groups=0x11");
        assert_eq!(NetlinkAddress::port(7).to_string(), "pid=7");
    }
}
