//! As in the host, without what makes system calls.
#![allow(dead_code, reason = "the host uses the rest")]
#![allow(unsafe_code, reason = "the files of the host have it")]
#![deny(clippy::undocumented_unsafe_blocks)]

#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/address.rs"]
pub mod address;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/alg.rs"]
mod alg;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/bluetooth.rs"]
mod bluetooth;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/can.rs"]
mod can;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/cmsg/mod.rs"]
pub mod cmsg;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/errno.rs"]
pub mod errno;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/inet.rs"]
mod inet;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/kind.rs"]
pub mod kind;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/netlink.rs"]
mod netlink;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/option.rs"]
pub mod option;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/packet.rs"]
mod packet;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/qipcrtr.rs"]
pub mod qipcrtr;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/tipc.rs"]
mod tipc;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/unix.rs"]
mod unix;
#[rustfmt::skip]
#[path = "../../../../host/src/socket/sys/vsock.rs"]
mod vsock;

pub use address::EncodedAddress;
pub use errno::{Errno, Result};
use libc::c_int;
use sockgate_policy::Family;

fn check(result: c_int) -> Result<c_int> {
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// The numbers of the kernel for a family.
pub fn domain(family: Family) -> c_int {
    kind::domain(family)
}

/// The family with a number of the kernel's.
pub fn family_of(domain: c_int) -> Family {
    kind::family_of(domain)
}

/// An address of these bytes.
pub fn address_of(bytes: &[u8]) -> EncodedAddress {
    EncodedAddress::from_bytes(bytes)
}

/// The bytes of control messages.
pub fn control_bytes<'c>(control: &'c cmsg::Control<'_>) -> &'c [u8] {
    control.as_bytes()
}

/// What a receive stored, decoded.
///
/// # Safety
/// Descriptors that `bytes` hold are open, and nobody else owns them.
pub unsafe fn decode_control(family: Family, bytes: &[u8]) -> Vec<cmsg::ControlIn> {
    // SAFETY: the caller vouches for it.
    unsafe { cmsg::ControlIn::decode_all(family, bytes) }
}

/// Interfaces without a kernel: each index but some has a name, and each such name its index.
pub mod interface {
    use super::{Errno, Result};

    /// What interfaces without a name have before their index.
    pub const NAMELESS: char = ':';

    /// The index in an address: 0 stands for all of them.
    pub fn index_or_any(name: Option<&str>) -> Result<u32> {
        let Some(name) = name else { return Ok(0) };
        let number = name.strip_prefix("if").ok_or(Errno::NODEV)?;
        number.parse().map_err(|_| Errno::NODEV)
    }

    /// The name in an address.
    pub fn name_or_any(index: u32) -> Option<String> {
        match index {
            0 => None,
            index if index % 7 == 3 => Some(format!("{NAMELESS}{index}")),
            index => Some(format!("if{index}")),
        }
    }
}
