//! Patterns for addresses: `cidr`, `class`, `host`, `port`, and the Unix keys.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::host::HostPattern;
use super::place::{UnixPattern, clean_components};
use crate::address::{Address, UnixAddress};
use crate::class::{ClassSet, classes, embedded};
use crate::family::{Content, FamilyPattern, KeyPattern};

/// A range of ports; `"0"` is the range from 0 to 0.
pub(crate) type PortRange = RangeInclusive<u16>;

/// The lowest port that a kernel may choose by itself (Linux's net.ipv4.ip_local_port_range never goes
/// below the privileged ports by default).
const FIRST_CHOSEN_PORT: u16 = 1024;

/// A list that a rule writes. Most have one member, which then lies in the rule itself: what a verdict has to
/// fetch from elsewhere in memory is most of what it costs under many rules.
pub(crate) type Few<T> = SmallVec<[T; 1]>;

/// Which end of a socket an address is, and how it came there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The peer.
    Peer,
    /// The local address, asked for by the guest.
    Local,
    /// The local address with a port or an abstract name that the kernel chose.
    LocalChosen,
}

/// One way to name IP addresses.
#[derive(Clone, Debug)]
pub(crate) enum IpPattern {
    /// `"*"`.
    Any,
    /// `cidr`, and named lists.
    Nets(Few<IpNet>),
    /// `class`.
    Classes(ClassSet),
    /// `host`: what these names resolved to.
    Hosts(Vec<HostPattern>),
}

impl IpPattern {
    pub(crate) fn is_any(&self) -> bool {
        matches!(self, IpPattern::Any)
    }

    fn holds(nets: &[IpNet], ip: IpAddr) -> bool {
        nets.iter().any(|net| net.contains(&ip))
    }

    /// Whether an allow rule covers the address: its own form and every one inside it.
    pub(crate) fn covers_plain(&self, ip: IpAddr) -> bool {
        match self {
            IpPattern::Any => true,
            IpPattern::Nets(nets) => {
                IpPattern::holds(nets, ip)
                    && embedded(ip).all(|inner| IpPattern::holds(nets, inner))
            }
            IpPattern::Classes(allowed) => allowed.contains(classes(ip)),
            IpPattern::Hosts(_) => false,
        }
    }

    /// Whether a deny rule touches the address: its own form or any inside it.
    pub(crate) fn touches_plain(&self, ip: IpAddr) -> bool {
        match self {
            IpPattern::Any => true,
            IpPattern::Nets(nets) => {
                IpPattern::holds(nets, ip)
                    || embedded(ip).any(|inner| IpPattern::holds(nets, inner))
            }
            IpPattern::Classes(denied) => denied.intersects(classes(ip)),
            IpPattern::Hosts(_) => false,
        }
    }
}

/// What a rule says of one address.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressPattern {
    /// `peer = "*"`: every address of every family, and nothing else is said.
    pub(crate) any: bool,
    pub(crate) ip: Option<IpPattern>,
    pub(crate) ports: Option<Few<PortRange>>,
    pub(crate) unix: Option<Box<UnixPattern>>,
    /// What the keys of another family say.
    pub(crate) family: Option<Box<FamilyPattern>>,
    /// It stands at the top of a rule about one place, and so holds for both ends alike.
    pub(crate) both_ends: bool,
}

impl AddressPattern {
    /// Whether it names one place that both ends of a socket are at, such as a bus, and nothing that is
    /// meant for one of them: then what the other end is says where a socket without a name is, too.
    pub(crate) fn is_of_one_place(&self) -> bool {
        self.both_ends
    }

    /// Covers what both cover: the keys at the top of a rule and those of one end.
    pub(crate) fn narrowed(mut self, end: Option<AddressPattern>) -> AddressPattern {
        let Some(end) = end else { return self };
        if let Some(own) = &mut self.family {
            own.give_way(end.any, end.family.as_deref());
            // The top wrote nothing.
            if own.keys.is_empty() {
                return end;
            }
        }
        match (&mut self.family, end.family) {
            (Some(own), Some(end)) => own.keys.extend(end.keys),
            (own, end) => *own = own.take().or(end),
        }
        self.both_ends = false;
        // Of another family, and so none that the rule's sockets have: the load says so.
        self.ip = self.ip.or(end.ip);
        self.ports = self.ports.or(end.ports);
        self.unix = self.unix.or(end.unix);
        self
    }

    /// Whether the pattern covers every address there is, so that it covers an unknown one.
    pub(crate) fn is_any(&self) -> bool {
        let ports = self
            .ports
            .as_ref()
            .is_none_or(|ports| ports.contains(&(0..=u16::MAX)));
        let family = self.family.as_deref().is_none_or(FamilyPattern::is_any);
        ports && family && self.unix.is_none() && self.ip.as_ref().is_none_or(IpPattern::is_any)
    }

    /// Whether a range of ports leaves the kernel something to choose from.
    pub(crate) fn is_choice(range: &PortRange) -> bool {
        range.start() != range.end() && *range.end() >= FIRST_CHOSEN_PORT
    }

    fn covers_port(&self, port: u16, side: Side) -> bool {
        let Some(ports) = &self.ports else {
            return true;
        };
        if ports.iter().any(|range| range.contains(&port)) {
            return true;
        }
        match side {
            // "0" grants the port that the kernel then chooses.
            Side::LocalChosen => port >= FIRST_CHOSEN_PORT && ports.contains(&(0..=0)),
            // A range grants port 0: the port chosen is judged again.
            Side::Local => port == 0 && ports.iter().any(AddressPattern::is_choice),
            Side::Peer => false,
        }
    }

    /// Whether an allow rule covers the address. `pinned` answers whether an IP address is what one of
    /// the names resolved to.
    pub(crate) fn covers(
        &self,
        address: &Address,
        side: Side,
        pinned: &mut dyn FnMut(&[HostPattern], IpAddr) -> bool,
    ) -> bool {
        let (ip, port) = match address {
            Address::Unix(unix) => {
                return match (&self.unix, unix) {
                    (Some(pattern), _) => pattern.covers(unix, side),
                    (None, UnixAddress::Pathname(path)) => {
                        self.any && clean_components(path).is_some()
                    }
                    (None, _) => self.any,
                };
            }
            Address::Inet(four) => (IpAddr::V4(*four.ip()), four.port()),
            Address::Inet6(six) => (IpAddr::V6(*six.ip()), six.port()),
            other => {
                return match &self.family {
                    Some(pattern) => pattern.covers(other, side),
                    None => self.any,
                };
            }
        };
        let covered = match &self.ip {
            // A pattern of other names is about no IP address, whatever its ports.
            None => self.unix.is_none() && self.family.is_none(),
            Some(IpPattern::Hosts(hosts)) => pinned(hosts, ip),
            Some(pattern) => pattern.covers_plain(ip),
        };
        covered && self.covers_port(port, side)
    }

    /// Whether a deny rule touches the address. `wide`: a local wildcard counts as every address of the
    /// machine, which is what it stands for.
    pub(crate) fn touches(&self, address: &Address, wide: bool) -> bool {
        let (ip, port) = match address {
            Address::Unix(unix) => {
                return match &self.unix {
                    Some(pattern) => pattern.touches(unix),
                    None => self.any,
                };
            }
            Address::Inet(four) => (IpAddr::V4(*four.ip()), four.port()),
            Address::Inet6(six) => (IpAddr::V6(*six.ip()), six.port()),
            other => {
                return match &self.family {
                    Some(pattern) => pattern.touches(other),
                    None => self.any,
                };
            }
        };
        let touched = match &self.ip {
            None => self.any || self.ports.is_some(),
            Some(pattern) => (wide && ip.is_unspecified()) || pattern.touches_plain(ip),
        };
        touched
            && self
                .ports
                .as_ref()
                .is_none_or(|ports| ports.iter().any(|range| range.contains(&port)))
    }

    /// Whether a deny rule touches what a message says of itself where addresses say it as well.
    pub(crate) fn touches_message(&self, address: &Address, content: &Content) -> bool {
        self.family
            .as_ref()
            .is_some_and(|family| family.touches_message(address, content))
    }

    /// What the keys of a family say; nothing where the rule has none.
    pub(crate) fn family_keys(&self) -> &[KeyPattern] {
        self.family.as_ref().map_or(&[], |family| &family.keys)
    }

    /// Whether a local address leaves something open that is named here, so that it counts where it shows.
    pub(crate) fn leaves_open(&self, local: &Address) -> bool {
        self.family
            .as_ref()
            .is_some_and(|family| family.leaves_open(local))
    }

    /// Whether IP addresses are named by class.
    pub(crate) fn names_classes(&self) -> bool {
        matches!(self.ip, Some(IpPattern::Classes(_)))
    }

    /// Whether an allow rule covers the IP address, for what has no port.
    pub(crate) fn covers_ip(&self, ip: IpAddr) -> bool {
        self.any
            || self
                .ip
                .as_ref()
                .is_some_and(|pattern| pattern.covers_plain(ip))
    }

    /// Whether a deny rule touches the IP address, for what has no port.
    pub(crate) fn touches_ip(&self, ip: IpAddr) -> bool {
        self.any
            || self
                .ip
                .as_ref()
                .is_some_and(|pattern| pattern.touches_plain(ip))
    }

    /// The place of a pathname beneath the root that a Unix pattern has.
    pub(crate) fn place_of(&self, path: &[u8]) -> Option<crate::permit::UnixPlace> {
        self.unix.as_ref()?.place_of(path)
    }
}

/// The address of a socket that was never bound, as `listen` is judged on it.
pub(crate) fn unbound(family: crate::kind::Family) -> Address {
    use std::net::{Ipv6Addr, SocketAddrV4, SocketAddrV6};
    match family {
        crate::kind::Family::Inet => Address::Inet(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
        crate::kind::Family::Inet6 => {
            Address::Inet6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0))
        }
        // netlink(7): the kernel names it on its first use, and it hears no group.
        crate::kind::Family::Netlink => {
            Address::Netlink(crate::family::NetlinkAddress { pid: 0, groups: 0 })
        }
        crate::kind::Family::Vsock => Address::Vsock(crate::family::VsockAddress {
            cid: crate::family::VSOCK_ANY,
            port: crate::family::VSOCK_ANY,
            flags: 0,
        }),
        _ => Address::Unix(UnixAddress::Unnamed),
    }
}
