//! netlink: talking with the kernel's own subsystems, netlink(7).

use std::fmt;

/// sockaddr_nl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetlinkAddress {
    /// Port id; 0 is the kernel, and in bind: the kernel chooses one.
    pub pid: u32,
    /// Multicast groups 1 to 32 as a mask.
    pub groups: u32,
}

impl fmt::Display for NetlinkAddress {
    /// `kernel`, `port 1234`, `kernel groups 0x1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => f.write_str("kernel")?,
            pid => write!(f, "port {pid}")?,
        }
        if self.groups == 0 {
            return Ok(());
        }
        write!(f, " groups 0x{:x}", self.groups)
    }
}
