//! Which index belongs to which interface, without a system call per answer but one.
//!
//! The kernel's addresses hold indices, the policy's hold names. Asking the kernel for each
//! (if_indextoname(3)) costs an ioctl on a socket made for it, for every frame; so the process keeps a
//! table of them, and a netlink socket that hears of every change, rtnetlink(7). What is told there is not
//! read but for the fact that something changed: then the table is made anew.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{OnceLock, PoisonError, RwLock};

use sockgate_policy::{Family, Kind, NetlinkAddress, SocketType};

use super::{Errno, Result, host, life, netlink};

/// RTMGRP_LINK: interfaces that come, go, and change.
const LINK_GROUP: u32 = 1;

/// What stands before the index of an interface that is gone: no name of an interface holds a colon.
const NAMELESS: char = ':';

/// The interfaces as they are now. One for the process, made at first use.
struct Interfaces {
    changes: OwnedFd,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    names: HashMap<u32, String>,
    indices: HashMap<String, u32>,
}

impl Table {
    fn read() -> Result<Self> {
        let names: HashMap<u32, String> = host::interfaces()?.into_iter().collect();
        let indices = names
            .iter()
            .map(|(index, name)| (name.clone(), *index))
            .collect();
        Ok(Self { names, indices })
    }
}

impl Interfaces {
    /// The table of the process. None where netlink is closed to it: then the kernel is asked each time.
    fn get() -> Option<&'static Self> {
        static INTERFACES: OnceLock<Option<Interfaces>> = OnceLock::new();
        INTERFACES.get_or_init(|| Self::open().ok()).as_ref()
    }

    /// Listens before it reads, so that no change falls between the two.
    fn open() -> Result<Self> {
        let changes = life::socket(Kind {
            family: Family::Netlink,
            socket_type: SocketType::Raw,
            protocol: libc::NETLINK_ROUTE.cast_unsigned(),
        })?;
        let groups = NetlinkAddress {
            pid: 0,
            groups: LINK_GROUP,
        };
        life::bind(changes.as_fd(), &netlink::encode(&groups))?;
        let table = RwLock::new(Table::read()?);
        Ok(Self { changes, table })
    }

    /// One look at the queue of changes. It takes the error that says that some were lost (`nobufs`).
    fn look(&self, flags: libc::c_int) -> Result<()> {
        let flags = libc::MSG_DONTWAIT | flags;
        // SAFETY: no room is given, and no byte of it is written.
        let result =
            unsafe { libc::recv(self.changes.as_raw_fd(), std::ptr::null_mut(), 0, flags) };
        super::check_count(result).map(drop)
    }

    /// Makes the table anew where something has changed.
    ///
    /// Changes are taken out of their queue under the lock only: whoever finds the queue empty and then
    /// gets the lock reads a table that has them.
    fn refresh(&self) -> Result<()> {
        if self.look(libc::MSG_PEEK) == Err(Errno::AGAIN) {
            return Ok(());
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        // A bound on one round: what is still queued after it is seen by the next caller.
        for _ in 0..10_000 {
            if self.look(0) == Err(Errno::AGAIN) {
                break;
            }
        }
        *table = Table::read()?;
        Ok(())
    }

    fn with<T>(&self, ask: impl FnOnce(&Table) -> Option<T>) -> Result<Option<T>> {
        self.refresh()?;
        Ok(ask(&self
            .table
            .read()
            .unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The index of an interface.
///
/// # Errors
/// `nodev` where there is none of that name.
pub fn index(name: &str) -> Result<u32> {
    match Interfaces::get() {
        Some(interfaces) => interfaces
            .with(|table| table.indices.get(name).copied())?
            .ok_or(Errno::NODEV),
        None => host::ask_index(name),
    }
}

/// The name of an interface.
///
/// # Errors
/// `nxio` where there is none of that index.
pub fn name(index: u32) -> Result<String> {
    match Interfaces::get() {
        Some(interfaces) => interfaces
            .with(|table| table.names.get(&index).cloned())?
            .ok_or(Errno::NXIO),
        None => host::ask_name(index),
    }
}

/// The index in an address: 0, which stands for all of them, for none.
pub(super) fn index_or_any(name: Option<&str>) -> Result<u32> {
    name.map_or(Ok(0), index)
}

/// The name in an address: none for index 0. An interface that is gone by now is called by its index
/// (`:17`), which is no interface's name, so that of all patterns only those that take anything match it.
pub fn name_or_any(index: u32) -> Option<String> {
    (index != 0).then(|| name(index).unwrap_or_else(|_| format!("{NAMELESS}{index}")))
}

#[cfg(test)]
mod tests {
    use sockgate_policy::MessageFlags;

    use super::super::message;
    use super::*;

    #[test]
    fn the_table_is_the_kernels() {
        let all = host::interfaces().unwrap();
        assert!(!all.is_empty());
        for (number, known) in all {
            assert_eq!(index(&known), Ok(number));
            assert_eq!(name(number), Ok(known.clone()));
            assert_eq!(name_or_any(number), Some(known));
        }
        assert_eq!(index("no-such-if"), Err(Errno::NODEV));
        assert_eq!(name(u32::MAX), Err(Errno::NXIO));
    }

    #[test]
    fn nothing_is_any_and_what_is_gone_has_no_interfaces_name() {
        assert_eq!(index_or_any(None), Ok(0));
        assert_eq!(name_or_any(0), None);
        let gone = name_or_any(u32::MAX).unwrap();
        assert_eq!(gone, ":4294967295");
        assert_eq!(index(&gone), Err(Errno::NODEV));
    }

    #[test]
    fn a_change_makes_the_table_anew() {
        // Any datagram will do for a change, so one end of a pair plays the kernel.
        let (kernel, changes) = super::super::testing::datagram_pair();
        let interfaces = Interfaces {
            changes,
            table: RwLock::new(Table::default()),
        };
        let loopback = || {
            interfaces
                .with(|table| table.indices.get("lo").copied())
                .unwrap()
        };
        assert_eq!(loopback(), None, "nothing changed, so nothing is read");
        for _ in 0..3 {
            let told = b"something changed";
            message::send(kernel.as_fd(), told, MessageFlags::empty()).unwrap();
        }
        assert_eq!(loopback(), host::ask_index("lo").ok());
        assert_eq!(interfaces.look(0), Err(Errno::AGAIN), "all were taken");
    }
}
