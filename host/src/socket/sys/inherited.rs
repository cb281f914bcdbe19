//! Sockets that a service manager hands over: sd_listen_fds(3).

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Errno, Result, check};

/// The first descriptor that is handed over, SD_LISTEN_FDS_START.
const FIRST: RawFd = 3;
/// More than any unit lists.
const MOST: RawFd = 1 << 16;

/// One socket of socket activation.
#[derive(Debug)]
pub struct InheritedSocket {
    /// Its name in LISTEN_FDNAMES, or its number.
    pub name: String,
    /// The number it was handed over by, 3 or more.
    pub number: i32,
    /// The socket.
    pub fd: OwnedFd,
}

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The sockets that were handed to this process (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES; sd_listen_fds(3)),
/// the first time; none afterwards, since each has one owner.
///
/// The environment stays as it is: it says nothing to this process any more, and each descriptor is closed on
/// exec. With the wrong LISTEN_PID it was meant for somebody else.
///
/// # Errors
/// `inval` where LISTEN_FDS is no count, `badf` where it counts a descriptor that is not open.
pub fn inherited_sockets() -> Result<Vec<InheritedSocket>> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let for_us = variable("LISTEN_PID").parse() == Ok(std::process::id());
    if !for_us || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let count: RawFd = variable("LISTEN_FDS").parse().map_err(|_| Errno::INVAL)?;
    if !(0..=MOST).contains(&count) {
        return Err(Errno::INVAL);
    }
    let names = variable("LISTEN_FDNAMES");
    let names: Vec<&str> = names.split(':').collect();
    (FIRST..FIRST + count)
        .zip(0..)
        .map(|(number, place): (RawFd, usize)| {
            // SAFETY: no pointers; a number that is not open gives an error.
            check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
            let name = names.get(place).filter(|name| !name.is_empty());
            let name = name.map_or_else(|| number.to_string(), ToString::to_string);
            // SAFETY: it is open, the protocol makes it this process's own, and it is taken this once.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            Ok(InheritedSocket { name, number, fd })
        })
        .collect::<std::result::Result<_, Errno>>()
}
