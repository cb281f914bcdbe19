//! vsock: virtual machines and their host, vsock(7).

use std::fmt;

/// VMADDR_CID_ANY and VMADDR_PORT_ANY.
pub const VSOCK_ANY: u32 = u32::MAX;

/// sockaddr_vm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VsockAddress {
    /// The context: 0 the hypervisor, 1 this machine, 2 the host, [`VSOCK_ANY`] any.
    pub cid: u32,
    /// The port; [`VSOCK_ANY`] in bind lets the kernel choose.
    pub port: u32,
    /// VMADDR_FLAG_*.
    pub flags: u8,
}

impl fmt::Display for VsockAddress {
    /// `cid 2 port 1234`, `cid any port any`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = |word: &str, number: u32| match number {
            VSOCK_ANY => write!(f, "{word} any"),
            number => write!(f, "{word} {number}"),
        };
        number("cid", self.cid)?;
        number(" port", self.port)
    }
}
