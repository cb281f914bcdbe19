//! Descriptors on their way: SCM_RIGHTS and SCM_PIDFD, unix(7).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use super::{Control, ControlIn};
use crate::socket::sys::Result;

/// SCM_PIDFD, which libc does not name yet.
pub(super) const SCM_PIDFD: c_int = 4;

/// Bytes of one descriptor.
const SIZE: usize = size_of::<c_int>();

pub(super) fn encode(control: &mut Control<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let numbers: Vec<u8> = descriptors
        .iter()
        .flat_map(|descriptor| descriptor.as_raw_fd().to_ne_bytes())
        .collect();
    control.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, &numbers)
}

/// Takes every descriptor into ownership. The kernel cuts the list at whole descriptors.
///
/// # Safety
/// The numbers in `data` are new descriptors that nobody owns.
pub(super) unsafe fn decode(data: &[u8]) -> ControlIn {
    let (numbers, _) = data.as_chunks::<SIZE>();
    let descriptors = numbers
        .iter()
        // SAFETY: the caller vouches for it.
        .map(|number| unsafe { OwnedFd::from_raw_fd(c_int::from_ne_bytes(*number)) })
        .collect();
    ControlIn::Rights(descriptors)
}

/// Takes a pidfd into ownership. A negative number (the sender's process could not be named) is none.
///
/// # Safety
/// As for [`decode`].
pub(super) unsafe fn decode_pidfd(data: &[u8]) -> Option<ControlIn> {
    let number = c_int::from_ne_bytes(*data.first_chunk()?);
    // SAFETY: the caller vouches for it.
    (number >= 0).then(|| ControlIn::PidFd(unsafe { OwnedFd::from_raw_fd(number) }))
}
