//! The families beyond inet and unix, a file each: the address as it is judged, the keys of a rule, and the
//! inspector of its messages.

mod alg;
mod bluetooth;
mod can;
mod netlink;
mod packet;
mod qipcrtr;
mod tipc;
mod vsock;

use std::fmt;

pub use alg::AlgAddress;
pub use bluetooth::{BluetoothAddress, BluetoothDevice};
pub use can::{CanAddress, CanEndpoint, CanId};
pub use netlink::NetlinkAddress;
pub use packet::PacketAddress;
pub use qipcrtr::QipcrtrAddress;
pub use tipc::{TipcAddress, TipcEndpoint};
pub use vsock::{VSOCK_ANY, VsockAddress};

use crate::address::write_bytes;

/// An interface's name as operators see it; `*` for all of them.
fn interface_or_any(f: &mut fmt::Formatter<'_>, interface: Option<&str>) -> fmt::Result {
    match interface {
        Some(name) => write_bytes(f, name.as_bytes()),
        None => f.write_str("*"),
    }
}
