//! QRTR: the processors of a Qualcomm device.

use std::fmt;

/// sockaddr_qrtr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QipcrtrAddress {
    /// The node: a processor of the device.
    pub node: u32,
    /// The port on it; 0xfffffffe is the control port.
    pub port: u32,
}

impl fmt::Display for QipcrtrAddress {
    /// `node 1 port 16385`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} port {}", self.node, self.port)
    }
}
