//! Names of network interfaces, which addresses of CAN and packet sockets carry as indices.
//!
//! if_indextoname(3) makes a socket for each answer, some 5 us; a received frame cannot cost that. So the
//! process keeps the list of if_nameindex(3), and a socket on which the kernel tells of changed links,
//! rtnetlink(7): an answer looks there first, and reads the list again when there was anything.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::address::EncodedAddress;
use super::{Errno, Result, check_count, check_descriptor, host, life};

/// RTMGRP_LINK, linux/rtnetlink.h.
const LINKS: u32 = 1;

struct Table {
    changes: OwnedFd,
    names: HashMap<u32, String>,
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);

impl Table {
    fn open() -> Result<Table> {
        let style = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers; the descriptor is new.
        let changes = unsafe {
            check_descriptor(libc::socket(libc::AF_NETLINK, style, libc::NETLINK_ROUTE))
        }?;
        let groups = EncodedAddress::new(
            libc::AF_NETLINK,
            &[&[0; 2], &0u32.to_ne_bytes(), &LINKS.to_ne_bytes()],
        );
        life::bind(changes.as_fd(), &groups)?;
        let mut table = Table {
            changes,
            names: HashMap::new(),
        };
        table.read()?;
        Ok(table)
    }

    fn read(&mut self) -> Result<()> {
        self.names = host::interfaces()?.into_iter().collect();
        Ok(())
    }

    /// Whether the kernel told of anything since the last look; so many changes that some were lost
    /// (`nobufs`) count.
    fn changed(&self) -> bool {
        let mut changed = false;
        loop {
            let mut byte = 0u8;
            // SAFETY: the buffer has room for the one byte; a message is cut to it.
            let received = check_count(unsafe {
                libc::recv(
                    self.changes.as_raw_fd(),
                    (&raw mut byte).cast(),
                    1,
                    libc::MSG_DONTWAIT,
                )
            });
            match received {
                Ok(_) | Err(Errno::NOBUFS) => changed = true,
                Err(Errno::INTR) => {}
                Err(_) => return changed,
            }
        }
    }
}

/// The name of the interface with this index; for one that is gone, `#` and the index, which no interface
/// is called.
pub fn name(index: u32) -> String {
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if table.is_none() {
        *table = Table::open()
            .inspect_err(|errno| tracing::warn!(%errno, "no news of network interfaces"))
            .ok();
    }
    let known = match table.as_mut() {
        Some(table) => {
            if table.changed()
                && let Err(errno) = table.read()
            {
                tracing::warn!(%errno, "the network interfaces cannot be listed");
            }
            table.names.get(&index).cloned()
        }
        None => host::interface_name(index).ok(),
    };
    known.unwrap_or_else(|| format!("#{index}"))
}

/// The index of the interface with this name: `nodev` where there is none.
pub fn index(name: &str) -> Result<u32> {
    host::interface_index(name)
}

/// The index that stands for an optional name: 0 for none.
pub(super) fn optional_index(name: Option<&str>) -> Result<u32> {
    name.map_or(Ok(0), index)
}

/// The name that an index stands for: none for 0.
pub(super) fn optional_name(index: u32) -> Option<String> {
    (index != 0).then(|| name(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_are_the_kernels() {
        let loopback = index("lo").unwrap();
        assert_eq!(name(loopback), "lo");
        assert_eq!(optional_name(loopback).as_deref(), Some("lo"));
        assert_eq!(optional_name(0), None);
        assert_eq!(optional_index(None), Ok(0));
        assert_eq!(index("no-such-if"), Err(Errno::NODEV));
    }

    #[test]
    fn an_index_without_an_interface_is_called_what_no_interface_is() {
        assert_eq!(name(0x7fff_fff0), "#2147483632");
        assert_eq!(index("#2147483632"), Err(Errno::NODEV));
    }
}
