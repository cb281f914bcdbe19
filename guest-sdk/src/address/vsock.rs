//! vsock addresses: sockaddr_vm, vsock(7).

use std::fmt;

use super::{VsockAddress, family_address};
use crate::consts::{
    VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_HYPERVISOR, VMADDR_CID_LOCAL, VMADDR_PORT_ANY,
};

impl VsockAddress {
    /// This port of the machine with this context id (`VMADDR_CID_*` in [`consts`](crate::consts)).
    ///
    /// ```no_run
    /// use sockgate_guest::{Family, Protocol, Socket, SocketType};
    /// use sockgate_guest::{addresses::VsockAddress, consts::VMADDR_CID_HOST};
    ///
    /// let socket = Socket::new(Family::Vsock, SocketType::Stream, Protocol::Default)?;
    /// socket.connect(VsockAddress::new(VMADDR_CID_HOST, 1024))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub const fn new(cid: u32, port: u32) -> Self {
        Self {
            cid,
            port,
            flags: 0,
        }
    }

    /// This port on every context id of this machine, for bind.
    pub const fn any(port: u32) -> Self {
        Self::new(VMADDR_CID_ANY, port)
    }

    /// This port over the loopback, VMADDR_CID_LOCAL.
    pub const fn local(port: u32) -> Self {
        Self::new(VMADDR_CID_LOCAL, port)
    }

    /// With these VMADDR_FLAG_* bits.
    pub const fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }
}

impl fmt::Display for VsockAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cid {
            VMADDR_CID_ANY => f.write_str("any")?,
            VMADDR_CID_HYPERVISOR => f.write_str("hypervisor")?,
            VMADDR_CID_LOCAL => f.write_str("local")?,
            VMADDR_CID_HOST => f.write_str("host")?,
            cid => write!(f, "{cid}")?,
        }
        match self.port {
            VMADDR_PORT_ANY => f.write_str(":any"),
            port => write!(f, ":{port}"),
        }
    }
}

family_address! { VsockAddress, Vsock, as_vsock, "vsock" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_ids_are_shown_by_name() {
        assert_eq!(VsockAddress::local(9).to_string(), "local:9");
        assert_eq!(VsockAddress::any(VMADDR_PORT_ANY).to_string(), "any:any");
        assert_eq!(VsockAddress::new(7, 80).to_string(), "7:80");
    }
}
