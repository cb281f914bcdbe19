//! `sockaddr_vm`, vsock(7), and the number of this machine among the virtual ones.

use std::fs::File;
use std::os::fd::AsRawFd;

use sockgate_policy::VsockAddress;

use super::address::{EncodedAddress, Fields};
use super::{Result, check};

/// Padding, port, context, flags, padding.
pub(super) fn encode(address: &VsockAddress) -> EncodedAddress {
    EncodedAddress::new(
        libc::AF_VSOCK,
        &[
            &[0; 2],
            &address.port.to_ne_bytes(),
            &address.cid.to_ne_bytes(),
            &[address.flags],
            &[0; 3],
        ],
    )
}

pub(super) fn decode(body: &[u8]) -> Result<VsockAddress> {
    let mut fields = Fields(body);
    fields.skip::<2>()?;
    let port = u32::from_ne_bytes(fields.take()?);
    let cid = u32::from_ne_bytes(fields.take()?);
    let [flags] = fields.take()?;
    Ok(VsockAddress { cid, port, flags })
}

/// IOCTL_VM_SOCKETS_GET_LOCAL_CID, vsock(7): the context id of this machine, a request to /dev/vsock and
/// not to a socket.
///
/// # Errors
/// `noent` where the system has no vsock, `acces` where this user may not open the device.
pub fn local_cid() -> Result<u32> {
    // _IO(7, 0xb9)
    const GET_LOCAL_CID: libc::Ioctl = 0x7b9;
    let device = File::open("/dev/vsock")?;
    let mut cid = 0u32;
    // SAFETY: the request writes one 32-bit number.
    check(unsafe { libc::ioctl(device.as_raw_fd(), GET_LOCAL_CID, &mut cid) })?;
    Ok(cid)
}
