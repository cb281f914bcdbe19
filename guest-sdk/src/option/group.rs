//! Multicast groups: joining, leaving, blocking single sources; ip(7), ipv6(7), RFC 3678.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::address::{ipv4_parts, ipv6_parts};
use crate::bindings::sockgate::sockets::options::{self as raw, MembershipV4, MembershipV6};
use crate::socket::Socket;

/// A multicast group to join or to leave: which group, on which interface, from which source.
///
/// ```no_run
/// use sockgate_guest::{Group, UdpSocket};
///
/// let socket = UdpSocket::bind("0.0.0.0:5353")?;
/// let group = Group::v4([224, 0, 0, 251]).on("eth0");
/// socket.as_ref().join_group(&group)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    addresses: GroupAddresses,
    interface: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum GroupAddresses {
    V4 {
        group: Ipv4Addr,
        source: Option<Ipv4Addr>,
    },
    V6 {
        group: Ipv6Addr,
        source: Option<Ipv6Addr>,
    },
}

impl Group {
    /// An IPv4 group, from any source, on the interface that the kernel chooses.
    pub fn v4(group: impl Into<Ipv4Addr>) -> Self {
        let addresses = GroupAddresses::V4 {
            group: group.into(),
            source: None,
        };
        Self {
            addresses,
            interface: None,
        }
    }

    /// An IPv4 group from this source only.
    pub fn v4_from(group: impl Into<Ipv4Addr>, source: impl Into<Ipv4Addr>) -> Self {
        let addresses = GroupAddresses::V4 {
            group: group.into(),
            source: Some(source.into()),
        };
        Self {
            addresses,
            interface: None,
        }
    }

    /// An IPv6 group, from any source, on the interface that the kernel chooses.
    pub fn v6(group: impl Into<Ipv6Addr>) -> Self {
        let addresses = GroupAddresses::V6 {
            group: group.into(),
            source: None,
        };
        Self {
            addresses,
            interface: None,
        }
    }

    /// An IPv6 group from this source only.
    pub fn v6_from(group: impl Into<Ipv6Addr>, source: impl Into<Ipv6Addr>) -> Self {
        let addresses = GroupAddresses::V6 {
            group: group.into(),
            source: Some(source.into()),
        };
        Self {
            addresses,
            interface: None,
        }
    }

    /// On this interface, by name.
    pub fn on(mut self, interface: impl Into<String>) -> Self {
        self.interface = Some(interface.into());
        self
    }

    /// Runs the call for the group's version.
    fn apply(
        &self,
        v4: impl FnOnce(MembershipV4<'_>) -> Result<(), RawErrno>,
        v6: impl FnOnce(MembershipV6<'_>) -> Result<(), RawErrno>,
    ) -> io::Result<()> {
        let interface = self.interface.as_deref();
        Ok(match self.addresses {
            GroupAddresses::V4 { group, source } => v4(MembershipV4 {
                group: ipv4_parts(group),
                interface,
                source: source.map(ipv4_parts),
            }),
            GroupAddresses::V6 { group, source } => v6(MembershipV6 {
                group: ipv6_parts(group),
                interface,
                source: source.map(ipv6_parts),
            }),
        }?)
    }
}

type RawErrno = raw::Errno;

impl Socket {
    /// Joins a multicast group (MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP; ip(7)). Policy: `join-group`.
    ///
    /// setsockopt(2). Errors: `EACCES`, `EADDRINUSE` for what is joined already, `EADDRNOTAVAIL` for what is not.
    pub fn join_group(&self, group: &Group) -> io::Result<()> {
        group.apply(
            |membership| raw::join_group_v4(&self.raw, membership),
            |membership| raw::join_group_v6(&self.raw, membership),
        )
    }

    /// Leaves a multicast group.
    ///
    /// setsockopt(2). Errors: `EACCES`, `EADDRINUSE` for what is joined already, `EADDRNOTAVAIL` for what is not.
    pub fn leave_group(&self, group: &Group) -> io::Result<()> {
        group.apply(
            |membership| raw::leave_group_v4(&self.raw, membership),
            |membership| raw::leave_group_v6(&self.raw, membership),
        )
    }

    /// Hears a group no longer from the one source that `group` names, [`Group::v4_from`] (IP_BLOCK_SOURCE,
    /// MCAST_BLOCK_SOURCE). The group was joined before, from every source. Policy: `join-group`, for the
    /// group from every source.
    ///
    /// setsockopt(2). Errors: `EACCES`, `EADDRINUSE` for what is joined already, `EADDRNOTAVAIL` for what is not.
    pub fn block_source(&self, group: &Group) -> io::Result<()> {
        group.apply(
            |membership| raw::block_source_v4(&self.raw, membership),
            |membership| raw::block_source_v6(&self.raw, membership),
        )
    }

    /// Hears that source again (IP_UNBLOCK_SOURCE, MCAST_UNBLOCK_SOURCE).
    ///
    /// setsockopt(2). Errors: `EACCES`, `EADDRINUSE` for what is joined already, `EADDRNOTAVAIL` for what is not.
    pub fn unblock_source(&self, group: &Group) -> io::Result<()> {
        group.apply(
            |membership| raw::unblock_source_v4(&self.raw, membership),
            |membership| raw::unblock_source_v6(&self.raw, membership),
        )
    }
}
