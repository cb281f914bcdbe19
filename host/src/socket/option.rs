//! Socket options, getsockopt(2), and the requests of ioctl(2) that this interface names.

use sockgate_policy::{Family, Kind, Membership, OptionName, SocketType};

use super::group;
use super::sys::interface;
use super::sys::option::{self, MAXIMUM_LENGTH};
pub(crate) use super::sys::option::{
    IP_MULTICAST_IF, IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_PKTINFO, IP_RECVERR, IP_RECVTOS,
    IP_RECVTTL, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO,
    IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY, SO_ACCEPTCONN, SO_BINDTODEVICE,
    SO_BROADCAST, SO_DONTROUTE, SO_INCOMING_CPU, SO_KEEPALIVE, SO_LINGER, SO_MARK, SO_OOBINLINE,
    SO_PASSCRED, SO_PEERCRED, SO_PRIORITY, SO_RCVBUF, SO_RCVLOWAT, SO_REUSEADDR, SO_REUSEPORT,
    SO_RXQ_OVFL, SO_SNDBUF, SO_TIMESTAMPNS, SOL_SOCKET, SOL_UDP, TCP_CONGESTION, TCP_CORK,
    TCP_DEFER_ACCEPT, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_MAXSEG, TCP_NODELAY,
    TCP_QUICKACK, TCP_USER_TIMEOUT, UDP_GRO, UDP_SEGMENT,
};
use super::sys::vsock;
use super::tipc::{self, GroupChange};
use super::{Errno, Inner, Outcome, attempt};
use crate::audit::Event;

const fn named(level: i32, name: i32) -> OptionName {
    OptionName { level, name }
}

const V6ONLY: OptionName = named(option::IPPROTO_IPV6, option::IPV6_V6ONLY);
const PEER_CREDENTIALS: OptionName = named(option::SOL_SOCKET, option::SO_PEERCRED);
pub(super) const PEER_PIDFD: OptionName = named(option::SOL_SOCKET, option::SO_PEERPIDFD);

/// The options of an arrived socket that are compared with a new socket's.
pub(super) const WATCHED: &[OptionName] = &[
    named(option::SOL_SOCKET, option::SO_REUSEADDR),
    named(option::SOL_SOCKET, option::SO_REUSEPORT),
    named(option::SOL_SOCKET, option::SO_BROADCAST),
    named(option::SOL_SOCKET, option::SO_DONTROUTE),
    named(option::SOL_SOCKET, option::SO_MARK),
    named(option::SOL_SOCKET, option::SO_PRIORITY),
    named(option::SOL_SOCKET, option::SO_BINDTODEVICE),
    named(option::SOL_SOCKET, option::SO_PASSCRED),
    // IP_FREEBIND, IP_TRANSPARENT, IP_OPTIONS, IPV6_TRANSPARENT, IPV6_FREEBIND, TCP_REPAIR
    named(option::IPPROTO_IP, 15),
    named(option::IPPROTO_IP, 19),
    named(option::IPPROTO_IP, 4),
    named(option::IPPROTO_IPV6, 75),
    named(option::IPPROTO_IPV6, 78),
    named(option::IPPROTO_TCP, 19),
    IP_HEADER,
    IPV6_HEADER,
    VIRTIO_HEADER,
];

/// IP_HDRINCL, IPV6_HDRINCL, PACKET_VNET_HDR (which is set too where PACKET_VNET_HDR_SZ is): what a message
/// begins with.
pub(super) const IP_HEADER: OptionName = named(option::IPPROTO_IP, 3);
pub(super) const IPV6_HEADER: OptionName = named(option::IPPROTO_IPV6, 36);
pub(super) const VIRTIO_HEADER: OptionName = named(SOL_PACKET, 15);

/// The level of packet sockets' options, packet(7), and of netlink's, netlink(7).
const SOL_PACKET: i32 = 263;
const SOL_NETLINK: i32 = 270;

/// The memberships of packet and netlink sockets: what the value of such an option asks for. None for
/// every other option.
fn family_membership(
    family: Family,
    name: OptionName,
    value: &[u8],
) -> Result<Option<Membership>, Errno> {
    let word = |at: usize| -> Result<u32, Errno> {
        let bytes = value.get(at..).and_then(<[u8]>::first_chunk);
        bytes
            .map(|bytes| u32::from_ne_bytes(*bytes))
            .ok_or(Errno::INVAL)
    };
    match (family, name.level, name.name) {
        // NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP
        (Family::Netlink, SOL_NETLINK, 1 | 2) => Ok(Some(Membership::NetlinkGroup(word(0)?))),
        // PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP: struct packet_mreq.
        (Family::Packet, SOL_PACKET, 1 | 2) => {
            const MULTICAST: [u8; 2] = 0u16.to_ne_bytes();
            const UNICAST: [u8; 2] = 3u16.to_ne_bytes();
            let kind = value.get(4..6).ok_or(Errno::INVAL)?;
            Ok(Some(Membership::Frames {
                // Index 0 is none: only a rule for every interface covers it.
                interface: interface::name_or_any(word(0)?).unwrap_or_default(),
                promiscuous: kind != MULTICAST && kind != UNICAST,
            }))
        }
        _ => Ok(None),
    }
}

/// Options of SCTP that bind and connect (SCTP_SOCKOPT_BINDX_*, SCTP_SOCKOPT_CONNECTX*, sctp(7)): their
/// addresses would be nobody's grant.
fn names_addresses(name: OptionName) -> bool {
    const SOL_SCTP: i32 = 132;
    name.level == SOL_SCTP && matches!(name.name, 100 | 101 | 107 | 110)
}

/// Whether the kernel takes a missing value for zeros, as do_ipv6_setsockopt does: then it is judged as such. Raw
/// sockets read IPV6_CHECKSUM and IPV6_HDRINCL themselves.
fn reads_nothing_as_zero(kind: Kind, name: OptionName) -> bool {
    let raw = kind.socket_type == SocketType::Raw && matches!(name.name, 7 | 36);
    kind.family == Family::Inet6 && name.level == option::IPPROTO_IPV6 && !raw
}

impl Inner {
    fn option_event(&self, operation: &'static str, name: OptionName) -> Event {
        self.event(operation).arguments(name.on(self.kind))
    }

    /// setsockopt(2).
    pub(crate) fn set_option(&self, name: OptionName, value: &[u8]) -> Outcome<()> {
        if value.len() > MAXIMUM_LENGTH {
            return Err(Errno::INVAL.into());
        }
        if let Some(change) = group::by_number(name, value)? {
            return self.change_group(&change);
        }
        self.refuse_filter(name)?;
        if let Some(membership) = family_membership(self.kind.family, name, value)? {
            return self.set_membership(name, value, &membership);
        }
        self.refuse_addresses(name)?;
        let permit = self.may_set_option(name, value)?;
        let membership = tipc::membership(self.kind.family, name, value)?;
        if let Some(membership) = &membership {
            membership.judge(self)?;
        }
        let outcome = if name == V6ONLY {
            self.set_v6only(value)
        } else {
            attempt::set_option(&permit, self.fd(), value).map_err(Into::into)
        };
        if outcome.is_ok() {
            let mut state = self.state();
            state.facts.options.remember(name, value);
            if let Some(membership) = membership {
                membership.done(&mut state);
            }
            state.forget_verdicts();
            drop(state);
            self.limits.learn(self.fd(), name);
        }
        self.guest.audit().note(|| {
            self.option_event("set-option", name)
                .granted(&permit)
                .outcome(&outcome)
        });
        outcome
    }

    /// setsockopt(2) with a length and no value.
    pub(crate) fn set_option_length(&self, name: OptionName, length: u32) -> Outcome<()> {
        if reads_nothing_as_zero(self.kind, name) {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            return self.set_option(name, &vec![0; length.min(MAXIMUM_LENGTH)]);
        }
        self.refuse_filter(name)?;
        self.refuse_addresses(name)?;
        let permit = self.may_set_option(name, &[])?;
        let outcome = attempt::set_option_length(&permit, self.fd(), length).map_err(Into::into);
        if outcome.is_ok() {
            let mut state = self.state();
            state.facts.options.remember(name, &[]);
            if let Some(membership @ GroupChange::Leave) =
                tipc::membership(self.kind.family, name, &[])?
            {
                membership.done(&mut state);
            }
            state.forget_verdicts();
        }
        self.guest.audit().note(|| {
            self.option_event("set-option", name)
                .granted(&permit)
                .outcome(&outcome)
        });
        outcome
    }

    /// A membership by option, judged by what it brings.
    fn set_membership(
        &self,
        name: OptionName,
        value: &[u8],
        membership: &Membership,
    ) -> Outcome<()> {
        let permit = self.may_set_membership(name, membership)?;
        let outcome = attempt::set_option(&permit, self.fd(), value).map_err(Into::into);
        self.guest.audit().note(|| {
            self.option_event("set-option", name)
                .granted(&permit)
                .outcome(&outcome)
        });
        outcome
    }

    fn refuse_addresses(&self, name: OptionName) -> Outcome<()> {
        if !names_addresses(name) {
            return Ok(());
        }
        Err(self.guest.withhold(
            || self.option_event("set-option", name),
            format_args!("addresses go through `bind` and `connect`, not through an option"),
        ))
    }

    /// The guest's wish; whether the socket serves IPv4 is settled when it gets its name, by the policy.
    fn set_v6only(&self, value: &[u8]) -> Outcome<()> {
        if self.kind.family != Family::Inet6 {
            return Err(Errno::NOPROTOOPT.into());
        }
        let Some(value) = value.first_chunk::<4>() else {
            return Err(Errno::INVAL.into());
        };
        let only = i32::from_ne_bytes(*value) != 0;
        let mut state = self.state();
        if state.facts.local.is_some() {
            return Err(Errno::INVAL.into());
        }
        state.wants_v6only = only;
        if only && !state.facts.v6only {
            super::sys::life::set_v6only(self.fd(), true)?;
            state.facts.v6only = true;
        }
        Ok(())
    }

    /// Until the socket has a name the guest reads what it wished for, and then what became of it.
    fn show_v6only_wish(&self, value: &mut [u8]) {
        let state = self.state();
        let unsettled = state.facts.local.is_none() && state.facts.peer.is_none();
        if self.kind.family == Family::Inet6 && unsettled {
            value.fill(0);
            if let Some(first) = value.first_mut() {
                *first = state.wants_v6only.into();
            }
        }
    }

    /// getsockopt(2), at most `max` bytes.
    pub(crate) fn get_option(&self, name: OptionName, max: u32) -> Outcome<Vec<u8>> {
        let permit = self.may_get_option(name)?;
        let max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(MAXIMUM_LENGTH);
        let outcome = attempt::get_option(&permit, self.fd(), max).map_err(Into::into);
        self.guest.audit().note(|| {
            self.option_event("get-option", name)
                .granted(&permit)
                .outcome(&outcome)
        });
        let mut value: Vec<u8> = outcome?;
        if name == PEER_CREDENTIALS {
            hide_own_pid(&mut value);
        }
        if name == V6ONLY {
            self.show_v6only_wish(&mut value);
        }
        Ok(value)
    }

    /// IP_MULTICAST_IF as the guest set it: the kernel tells the address in it and not the interface.
    pub(crate) fn multicast_interface_set(&self, name: OptionName) -> Option<Vec<u8>> {
        let asked = name == named(option::IPPROTO_IP, option::IP_MULTICAST_IF);
        let state = self.state();
        let mut options = state.facts.options.iter().filter(|_| asked);
        let (_, value) = options.find(|(set, _)| *set == name)?;
        value.map(<[u8]>::to_vec)
    }

    /// SO_ERROR.
    pub(crate) fn take_error(&self) -> Outcome<Option<Errno>> {
        self.begin()?;
        Ok(option::take_error(self.fd())?)
    }

    /// The level of the options that IPv4 and IPv6 have under different numbers.
    pub(crate) fn ip_level(&self) -> Outcome<i32> {
        match self.kind.family {
            Family::Inet => Ok(option::IPPROTO_IP),
            Family::Inet6 => Ok(option::IPPROTO_IPV6),
            _ => Err(Errno::NOPROTOOPT.into()),
        }
    }

    /// sockatmark(3): state of the guest's own stream, which needs no grant beyond the conversation.
    pub(crate) fn at_mark(&self) -> Outcome<bool> {
        drop(self.converse("at-mark")?);
        Ok(option::at_mark(self.fd())?)
    }

    /// FIONREAD and SIOCOUTQ, of the guest's own queues.
    pub(crate) fn queued(&self, which: Queue) -> Outcome<u64> {
        let name = match which {
            Queue::Readable => "bytes-readable",
            Queue::Unsent => "bytes-unsent",
        };
        self.may_ioctl(name)?;
        if which == Queue::Readable
            && self.kind.socket_type != SocketType::Stream
            && self.has_senders
        {
            // The next datagram may be one that the policy hides: its length is nobody's business.
            let settled = self.settle(super::Readiness::READABLE)?;
            if settled.ready.is_empty() {
                return Ok(0);
            }
        }
        Ok(match which {
            Queue::Readable => option::inq(self.fd())?,
            Queue::Unsent => option::outq(self.fd())?,
        })
    }

    /// IOCTL_VM_SOCKETS_GET_LOCAL_CID, vsock(7).
    pub(crate) fn local_cid(&self) -> Outcome<u64> {
        self.may_ioctl("vm-sockets.get-local-cid")?;
        if self.kind.family != Family::Vsock {
            return Err(Errno::NOTTY.into());
        }
        Ok(vsock::local_cid()?.into())
    }
}

/// Which of a socket's queues is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Readable,
    Unsent,
}

/// The host's own process id is nothing to a guest: SO_PEERCRED and SCM_CREDENTIALS show 0 for it.
pub(super) fn shown_pid(pid: i32) -> i32 {
    if u32::try_from(pid) == Ok(std::process::id()) {
        0
    } else {
        pid
    }
}

/// The same within a `struct ucred`, whose first member is the process id.
fn hide_own_pid(credentials: &mut [u8]) {
    if let Some(pid) = credentials.first_chunk_mut::<4>() {
        *pid = shown_pid(i32::from_ne_bytes(*pid)).to_ne_bytes();
    }
}
