//! Links, addresses and routes: what `ip link`, `ip address` and `ip route` show; rtnetlink(7).

use std::io;
use std::net::IpAddr;

use super::{Attribute, NetlinkMessage, NetlinkRequest, NetlinkSocket};
use crate::consts::{
    IFF_UP, RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE,
    RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
};
use crate::wire::{Fields, malformed};

/// A network interface: struct ifinfomsg and its IFLA_* attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `IFF_*` bits, [`consts`](crate::consts).
    pub flags: u32,
    /// ARPHRD_* hardware type.
    pub hardware_type: u16,
    /// The link-layer address.
    pub address: Vec<u8>,
    /// The link-layer broadcast address.
    pub broadcast: Vec<u8>,
    /// The largest packet, in bytes.
    pub mtu: Option<u32>,
    /// The interface that it is part of (a bridge, a bond), by number.
    pub master: Option<u32>,
    /// IF_OPER_*, RFC 2863: 6 is up.
    pub operational_state: Option<u8>,
    /// What kind of virtual interface it is: `vcan`, `bridge`, `veth` ...
    pub kind: Option<String>,
}

impl Link {
    /// Whether it is switched on.
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// The link in an RTM_NEWLINK or RTM_DELLINK message.
    ///
    /// Pure: no grant. Errors: [`InvalidData`](std::io::ErrorKind::InvalidData) for what is cut short.
    pub fn decode(message: &NetlinkMessage) -> io::Result<Self> {
        let mut link =
            Self::head(&message.payload).ok_or_else(|| malformed("a link without a head"))?;
        for attribute in message.attributes(16) {
            let attribute = attribute?;
            match attribute.kind {
                1 => link.address = attribute.value.to_vec(),
                2 => link.broadcast = attribute.value.to_vec(),
                3 => link.name = attribute.text(),
                4 => link.mtu = Some(attribute.u32()?),
                10 => link.master = Some(attribute.u32()?),
                16 => link.operational_state = Some(attribute.u8()?),
                18 => link.kind = kind_of_link(attribute)?,
                _ => {}
            }
        }
        Ok(link)
    }

    fn head(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(payload);
        fields.u16()?;
        Some(Self {
            hardware_type: fields.u16()?,
            index: fields.u32()?,
            flags: fields.u32()?,
            ..Self::default()
        })
    }
}

/// IFLA_INFO_KIND in an IFLA_LINKINFO.
fn kind_of_link(info: Attribute<'_>) -> io::Result<Option<String>> {
    for attribute in info.nested() {
        let attribute = attribute?;
        if attribute.kind == 1 {
            return Ok(Some(attribute.text()));
        }
    }
    Ok(None)
}

/// An address of an interface: struct ifaddrmsg and its IFA_* attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface, by number.
    pub interface: u32,
    /// The address: of this host, also on a point-to-point link.
    pub address: IpAddr,
    /// The other end of a point-to-point link; otherwise the address again.
    pub peer: IpAddr,
    /// How many leading bits name the network.
    pub prefix_length: u8,
    /// RT_SCOPE_*: 0 the universe, 253 the link, 254 the host.
    pub scope: u8,
    /// IFA_F_* bits.
    pub flags: u32,
    /// The broadcast address (IPv4).
    pub broadcast: Option<IpAddr>,
    /// The address's label (IPv4).
    pub label: Option<String>,
}

impl InterfaceAddress {
    /// The address in an RTM_NEWADDR or RTM_DELADDR message.
    ///
    /// Pure: no grant. Errors: [`InvalidData`](std::io::ErrorKind::InvalidData) for what is cut short.
    pub fn decode(message: &NetlinkMessage) -> io::Result<Self> {
        let mut fields = Fields::new(&message.payload);
        let head = fields.array::<4>().zip(fields.u32());
        let Some(([_, prefix_length, flags, scope], interface)) = head else {
            return Err(malformed("an interface's address without a head"));
        };
        let mut flags = u32::from(flags);
        let (mut peer, mut local, mut broadcast, mut label) = (None, None, None, None);
        for attribute in message.attributes(8) {
            let attribute = attribute?;
            match attribute.kind {
                1 => peer = Some(ip(attribute.value)?),
                2 => local = Some(ip(attribute.value)?),
                3 => label = Some(attribute.text()),
                4 => broadcast = Some(ip(attribute.value)?),
                8 => flags = attribute.u32()?,
                _ => {}
            }
        }
        let address = local
            .or(peer)
            .ok_or_else(|| malformed("an interface's address without an address"))?;
        Ok(Self {
            interface,
            address,
            peer: peer.unwrap_or(address),
            prefix_length,
            scope,
            flags,
            broadcast,
            label,
        })
    }
}

/// A route: struct rtmsg and its RTA_* attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// AF_INET is 2, AF_INET6 is 10.
    pub family: u8,
    /// Where it leads; none is everywhere (the default route).
    pub destination: Option<IpAddr>,
    /// How many leading bits of the destination count.
    pub prefix_length: u8,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The interface that packets leave by, by number.
    pub interface: Option<u32>,
    /// The source address that is preferred.
    pub source: Option<IpAddr>,
    /// The table: 254 is main, 255 local.
    pub table: u32,
    /// RTPROT_*: who made it.
    pub protocol: u8,
    /// RT_SCOPE_*
    pub scope: u8,
    /// RTN_*: 1 is unicast.
    pub kind: u8,
    /// Its metric; lower is better.
    pub priority: Option<u32>,
}

impl Route {
    /// Whether it is a default route.
    pub fn is_default(&self) -> bool {
        self.prefix_length == 0
    }

    /// The route in an RTM_NEWROUTE or RTM_DELROUTE message.
    ///
    /// Pure: no grant. Errors: [`InvalidData`](std::io::ErrorKind::InvalidData) for what is cut short.
    pub fn decode(message: &NetlinkMessage) -> io::Result<Self> {
        let head = Fields::new(&message.payload).array::<12>();
        let Some(
            [
                family,
                prefix_length,
                _,
                _,
                table,
                protocol,
                scope,
                kind,
                ..,
            ],
        ) = head
        else {
            return Err(malformed("a route without a head"));
        };
        let mut route = Self {
            family,
            prefix_length,
            table: table.into(),
            protocol,
            scope,
            kind,
            ..Self::default()
        };
        for attribute in message.attributes(12) {
            let attribute = attribute?;
            match attribute.kind {
                1 => route.destination = Some(ip(attribute.value)?),
                4 => route.interface = Some(attribute.u32()?),
                5 => route.gateway = Some(ip(attribute.value)?),
                6 => route.priority = Some(attribute.u32()?),
                7 => route.source = Some(ip(attribute.value)?),
                15 => route.table = attribute.u32()?,
                _ => {}
            }
        }
        Ok(route)
    }
}

/// An IP address from its bytes.
fn ip(bytes: &[u8]) -> io::Result<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(v4.into());
    }
    let v6 = <[u8; 16]>::try_from(bytes);
    v6.map(IpAddr::from)
        .map_err(|_| malformed(&format!("an IP address of {} bytes", bytes.len())))
}

/// What a routing message tells, for those who listen to its groups (`RTNLGRP_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteEvent {
    /// An interface is there, or changed.
    Link(Link),
    /// An interface is gone.
    LinkGone(Link),
    /// An address is there, or changed.
    Address(InterfaceAddress),
    /// An address is gone.
    AddressGone(InterfaceAddress),
    /// A route is there, or changed.
    Route(Route),
    /// A route is gone.
    RouteGone(Route),
    /// Anything else.
    Other(NetlinkMessage),
}

impl RouteEvent {
    /// What this message tells.
    ///
    /// ```no_run
    /// use sockgate_guest::{Protocol, consts::RTNLGRP_LINK};
    /// use sockgate_guest::netlink::{NetlinkSocket, route::RouteEvent};
    ///
    /// let monitor = NetlinkSocket::open(Protocol::NetlinkRoute)?;
    /// monitor.join(RTNLGRP_LINK)?;
    /// for message in monitor.recv()? {
    ///     println!("{:?}", RouteEvent::decode(message)?);
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// Pure: no grant. Errors: [`InvalidData`](std::io::ErrorKind::InvalidData) for what is cut short.
    pub fn decode(message: NetlinkMessage) -> io::Result<Self> {
        Ok(match message.kind {
            RTM_NEWLINK => Self::Link(Link::decode(&message)?),
            RTM_DELLINK => Self::LinkGone(Link::decode(&message)?),
            RTM_NEWADDR => Self::Address(InterfaceAddress::decode(&message)?),
            RTM_DELADDR => Self::AddressGone(InterfaceAddress::decode(&message)?),
            RTM_NEWROUTE => Self::Route(Route::decode(&message)?),
            RTM_DELROUTE => Self::RouteGone(Route::decode(&message)?),
            _ => Self::Other(message),
        })
    }
}

/// All messages of a dump, each decoded.
fn dump<T>(
    socket: &NetlinkSocket,
    kind: u16,
    header: usize,
    decode: fn(&NetlinkMessage) -> io::Result<T>,
) -> io::Result<Vec<T>> {
    let request = NetlinkRequest::new(kind).header(vec![0; header]);
    socket.dump(&request)?.iter().map(decode).collect()
}

/// All interfaces: `ip link`. Policy: the message RTM_GETLINK.
///
/// rtnetlink(7). Errors: `EACCES`.
pub fn links(socket: &NetlinkSocket) -> io::Result<Vec<Link>> {
    dump(socket, RTM_GETLINK, 16, Link::decode)
}

/// The addresses of all interfaces: `ip address`. Policy: the message RTM_GETADDR.
///
/// rtnetlink(7). Errors: `EACCES`.
pub fn addresses(socket: &NetlinkSocket) -> io::Result<Vec<InterfaceAddress>> {
    dump(socket, RTM_GETADDR, 8, InterfaceAddress::decode)
}

/// All routes of all tables, of both IP versions: `ip route show table all`. Policy: the message
/// RTM_GETROUTE.
///
/// rtnetlink(7). Errors: `EACCES`.
pub fn routes(socket: &NetlinkSocket) -> io::Result<Vec<Route>> {
    dump(socket, RTM_GETROUTE, 12, Route::decode)
}

#[cfg(test)]
mod tests {
    use super::super::AttributeList;
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, head: &[u8], list: &AttributeList) -> NetlinkMessage {
        NetlinkMessage {
            kind,
            payload: [head, list.encode().unwrap()].concat(),
            ..NetlinkMessage::default()
        }
    }

    #[test]
    fn a_link_is_read() {
        let info = AttributeList::new().text(1, "vcan");
        let list = AttributeList::new()
            .text(3, "vcan0")
            .number(4, 72)
            .bytes(16, &[6])
            .nested(18, &info);
        let head = [0, 0, 24, 1, 7, 0, 0, 0, 0xc1, 0, 1, 0, 0, 0, 0, 0];
        let link = Link::decode(&message(RTM_NEWLINK, &head, &list)).unwrap();
        assert_eq!(
            (link.index, link.hardware_type, link.mtu),
            (7, 280, Some(72))
        );
        assert_eq!(
            (link.name.as_str(), link.kind.as_deref()),
            ("vcan0", Some("vcan"))
        );
        assert!(link.is_up() && link.operational_state == Some(6));
    }

    #[test]
    fn addresses_and_routes_are_read() {
        let list = AttributeList::new()
            .bytes(1, &[10, 0, 0, 2])
            .bytes(2, &[10, 0, 0, 1])
            .number(8, 0x80);
        let found =
            InterfaceAddress::decode(&message(20, &[2, 32, 0, 0, 3, 0, 0, 0], &list)).unwrap();
        assert_eq!(found.address.to_string(), "10.0.0.1");
        assert_eq!(found.peer.to_string(), "10.0.0.2");
        assert_eq!(
            (found.prefix_length, found.interface, found.flags),
            (32, 3, 0x80)
        );
        let list = AttributeList::new().bytes(5, &[10, 0, 0, 254]).number(4, 3);
        let head = [2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        let route = Route::decode(&message(24, &head, &list)).unwrap();
        assert!(route.is_default() && route.interface == Some(3) && route.table == 254);
        assert_eq!(route.gateway.unwrap().to_string(), "10.0.0.254");
        let wrong = AttributeList::new().bytes(5, &[1, 2, 3]);
        assert!(Route::decode(&message(24, &head, &wrong)).is_err());
    }

    proptest! {
        #[test]
        fn random_messages_are_read_or_refused(
            kind in 16..27u16,
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let message = NetlinkMessage { kind, payload, ..NetlinkMessage::default() };
            if let Ok(RouteEvent::Link(link)) = RouteEvent::decode(message.clone()) {
                prop_assert!(message.payload.len() >= 16);
                prop_assert_eq!(link.index.to_le_bytes(), &message.payload[4..8]);
            }
        }
    }
}
