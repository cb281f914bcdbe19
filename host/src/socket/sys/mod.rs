//! The system calls: the only place of this crate with libc and `unsafe`.
//!
//! Private to `socket`, which calls in here with a permit in its hand; nothing else can. Every function
//! is one system call or a few that belong together, takes borrowed descriptors, and gives owned ones.
//! None waits: descriptors are made non-blocking and every send and receive says MSG_DONTWAIT.
//! Waiting is [`poll`]'s business alone (and that of [`resolve`], whose callers give it a thread).
//!
//! A new address family is one file beside [`inet`] and one line in [`address`]; a new group of control
//! messages is one file in [`cmsg`] and its lines in the table there.
#![allow(unsafe_code, reason = "the one place for it")]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod address;
mod alg;
pub mod batch;
mod bluetooth;
mod can;
pub mod cmsg;
pub mod confine;
pub mod diag;
pub mod errno;
pub mod generic;
pub mod host;
mod inet;
pub mod inherited;
pub mod interface;
mod kind;
pub mod life;
pub mod message;
mod netlink;
pub mod option;
mod packet;
pub mod poll;
pub mod probe;
mod qipcrtr;
pub mod reactor;
pub mod resolve;
pub mod splice;
mod tipc;
mod unix;
pub mod unix_path;
pub mod vsock;

pub use address::EncodedAddress;
pub use errno::{Errno, Result};

use std::os::fd::{FromRawFd, OwnedFd};

use libc::c_int;

/// The result of a system call that gives -1 on error.
fn check(result: c_int) -> Result<c_int> {
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// The result of a system call that gives a count, or -1 on error.
fn check_count(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| Errno::last())
}

/// The result of a system call that gives a new descriptor, or -1 on error.
///
/// # Safety
/// A `result` that is not negative is a descriptor that nobody owns yet.
unsafe fn check_descriptor(result: c_int) -> Result<OwnedFd> {
    let descriptor = check(result)?;
    // SAFETY: the caller vouches for the descriptor being new and unowned.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod testing;
