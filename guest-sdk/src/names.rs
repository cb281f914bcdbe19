//! Names: hosts, services, protocols, network interfaces.
//!
//! | what | policy |
//! |---|---|
//! | [`look_up`], [`host_address`], [`host_by_name`] | `resolve` with the name; numbers need nothing |
//! | [`name_of`], [`host_by_address`] | `reverse-resolve` with the address; numeric answers need nothing |
//! | [`fqdn`] | both, and `hostname` where no name is given |
//! | [`host_name`] | `hostname` |
//! | [`set_host_name`] | `set-hostname` |
//! | [`interfaces()`], [`interface_index`], [`interface_name`] | `interfaces` |
//! | [`service_by_name`], [`service_by_port`], [`protocol_by_name`], [`protocol_by_number`] | nothing |
//! | [`inet_aton`], [`inet_ntoa`], [`inet_pton`], [`inet_ntop`], [`htons`] and its kin | nothing: they ask nobody |
//!
//! What is not granted is [`Errno::ACCES`](crate::Errno::ACCES), before anybody is asked. A look-up waits in
//! the host on a thread of its own, so that other guests go on; it ends after the time-out that it is given
//! ([`NameError::is_timeout`]), or with [`Errno::INTR`](crate::Errno::INTR) when the embedder interrupts the
//! guest. A guest that has too many under way is told [`NameError::Again`].
//!
//! Names are looked up as absolute ones: the host's search domains (resolv.conf(5)) are not tried. What can
//! be no host's name (`a..b`, an empty one) is [`NameError::NoName`] without a look-up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{SocketAddress, ipv4_parts, ipv6_parts};
use crate::bindings::sockgate::sockets::names as raw;
use crate::error::NameError;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType, Timeout, flag_sets};

mod flags;
mod numeric;

pub use numeric::{htonl, htons, inet_aton, inet_ntoa, inet_ntop, inet_pton, ntohl, ntohs};
pub use raw::{
    AddressInfo, HostEntry, IpAddress, LookupFlags, NameFlags, NetworkInterface, ProtocolEntry,
    Service,
};

flag_sets! { LookupFlags NameFlags }

/// What a look-up shall answer; getaddrinfo(3). The default asks for everything and waits as long as it
/// takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hints {
    /// Only addresses of this family.
    pub family: Option<Family>,
    /// Only for sockets of this type; otherwise each address comes once for each type.
    pub socket_type: Option<SocketType>,
    /// Only for this protocol.
    pub protocol: Option<Protocol>,
    /// AI_*
    pub flags: LookupFlags,
    /// How long to wait: then [`NameError::is_timeout`].
    pub timeout: Timeout,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            family: None,
            socket_type: None,
            protocol: None,
            flags: LookupFlags::empty(),
            timeout: Timeout::Blocking,
        }
    }
}

/// getaddrinfo(3): the addresses of a host and a service. [`Hints`] has its hints and AI_* flags. No host:
/// the loopback address, or with [`LookupFlags::PASSIVE`] the wildcard.
///
/// Policy: `resolve` with the name; numbers and no host need nothing. Answers that the policy hides (special
/// addresses where no rule has `host-may-be`) are left out, and where nothing is left there is
/// [`NameError::NoName`]. [`NameError::System`] with [`Errno::ACCES`](crate::Errno::ACCES) where the name
/// is not granted.
///
/// ```no_run
/// use sockgate_guest::names::{self, Hints};
///
/// for answer in names::look_up(Some("example.com"), Some("https"), &Hints::default())? {
///     println!("{}", answer.address);
/// }
/// # Ok::<(), sockgate_guest::NameError>(())
/// ```
pub fn look_up(
    host: Option<&str>,
    service: Option<&str>,
    hints: &Hints,
) -> Result<Vec<AddressInfo>, NameError> {
    let query = raw::Lookup {
        host: host.map(str::as_bytes),
        service,
        family: hints.family,
        socket_type: hints.socket_type,
        protocol: hints.protocol,
        flags: hints.flags,
    };
    Ok(raw::look_up(query, hints.timeout)?)
}

/// What Python has for a host that is none: `""` is any address, `<broadcast>` is 255.255.255.255.
fn special(host: &str, family: Option<Family>) -> Option<Result<Vec<IpAddr>, NameError>> {
    let v4 = matches!(family, None | Some(Family::Inet));
    let v6 = matches!(family, None | Some(Family::Inet6));
    let mut found = Vec::new();
    match host {
        "" => {
            found.extend(v4.then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            found.extend(v6.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
        }
        "<broadcast>" => found.extend(v4.then_some(IpAddr::V4(Ipv4Addr::BROADCAST))),
        _ => return None,
    }
    if found.is_empty() {
        return Some(Err(NameError::AddressFamily));
    }
    Some(Ok(found))
}

/// The first address of a host for this socket, within its time-out.
pub(crate) fn first_address(host: &str, port: u16, socket: &Socket) -> io::Result<SocketAddress> {
    let family = match socket.family()? {
        family @ (Family::Inet | Family::Inet6) => Some(family),
        // Their addresses are those of both IP versions.
        Family::Rds | Family::Smc => None,
        other => {
            let text = format!("{host:?} names an IP address, and the socket is of {other:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    };
    let hints = Hints {
        family,
        // Any one will do: otherwise each address comes once for every type.
        socket_type: Some(SocketType::Datagram),
        timeout: match socket.write_timeout() {
            // A look-up cannot be continued later: as in Python it waits.
            Timeout::NonBlocking => Timeout::Blocking,
            timeout => timeout,
        },
        ..Hints::default()
    };
    let answers = addresses(host, port, &hints)?;
    Ok(answers.into_iter().next().ok_or(NameError::NoData)?)
}

/// All addresses of a host with this port, in the resolver's order; `""` and `<broadcast>` are understood.
pub(crate) fn addresses(
    host: &str,
    port: u16,
    hints: &Hints,
) -> Result<Vec<SocketAddress>, NameError> {
    if let Some(special) = special(host, hints.family) {
        let addresses = special?.into_iter();
        return Ok(addresses.map(|ip| (ip, port).into()).collect());
    }
    let answers = look_up(Some(host), Some(&port.to_string()), hints)?;
    Ok(answers.into_iter().map(|answer| answer.address).collect())
}

/// getnameinfo(3): the host's and the service's name of an address. [`NameFlags`] are NI_*; without
/// [`NameFlags::NAME_REQUIRED`] an address that has no name is answered as a number.
///
/// Policy: `reverse-resolve` with the address, unless the host is asked for as a number
/// ([`NameFlags::NUMERIC_HOST`]). [`NameError::Family`] for an address that is not of IP.
///
/// ```no_run
/// use sockgate_guest::names::{self, NameFlags};
/// use sockgate_guest::Timeout;
///
/// let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80)).into();
/// let (host, service) = names::name_of(&address, NameFlags::empty(), Timeout::Blocking)?;
/// println!("{host} {service}"); // localhost http
/// # Ok::<(), sockgate_guest::NameError>(())
/// ```
pub fn name_of(
    address: &SocketAddress,
    flags: NameFlags,
    timeout: impl Into<Timeout>,
) -> Result<(String, String), NameError> {
    let (host, service) = raw::name_of(address, flags, timeout.into())?;
    Ok((text(host), service))
}

/// The first IPv4 address of a host: gethostbyname(3) as Python has it. `""` is 0.0.0.0 and `<broadcast>`
/// 255.255.255.255. [`look_up`] knows IPv6 as well.
///
/// Policy: `resolve` with the name; numbers need nothing.
pub fn host_address(name: &str, timeout: impl Into<Timeout>) -> Result<Ipv4Addr, NameError> {
    let hints = Hints {
        family: Some(Family::Inet),
        socket_type: Some(SocketType::Datagram),
        timeout: timeout.into(),
        ..Hints::default()
    };
    let found = addresses(name, 0, &hints)?;
    let first = found.first().and_then(SocketAddress::as_ip);
    match first.map(|address| address.ip()) {
        Some(IpAddr::V4(ip)) => Ok(ip),
        _ => Err(NameError::NoData),
    }
}

/// A host's official name, other names and IPv4 addresses: gethostbyname(3), Python's gethostbyname_ex.
/// [`NameError::host_error`] is its h_errno.
///
/// Policy: `resolve` with the name; numbers need nothing, and are their own name.
pub fn host_by_name(name: &str, timeout: impl Into<Timeout>) -> Result<HostEntry, NameError> {
    Ok(raw::host_by_name(name.as_bytes(), timeout.into())?)
}

/// The same by address: gethostbyaddr(3). [`NameError::host_error`] is its h_errno, Python's `herror`.
///
/// Policy: `reverse-resolve` with the address.
pub fn host_by_address(
    address: IpAddr,
    timeout: impl Into<Timeout>,
) -> Result<HostEntry, NameError> {
    let address = match address {
        IpAddr::V4(ip) => IpAddress::V4(ipv4_parts(ip)),
        IpAddr::V6(ip) => IpAddress::V6(ipv6_parts(ip)),
    };
    Ok(raw::host_by_address(address, timeout.into())?)
}

/// A host's fully qualified name, by Python's getfqdn: the first name with a dot among those of
/// [`host_by_address`] for the host's address, else its official name, else `name` as it is. An empty name,
/// `0.0.0.0` and `::` are this machine. Each look-up waits no longer than `timeout`.
///
/// Policy: `resolve` and `reverse-resolve`, and `hostname` for this machine. A host whose look-up fails or
/// is not granted keeps the name that it has; the one error is that of [`host_name`].
pub fn fqdn(name: &str, timeout: impl Into<Timeout>) -> io::Result<String> {
    let timeout = timeout.into();
    let name = match name.trim() {
        "" | "0.0.0.0" | "::" => host_name()?,
        name => name.to_owned(),
    };
    let hints = Hints {
        socket_type: Some(SocketType::Datagram),
        timeout,
        ..Hints::default()
    };
    let entry = addresses(&name, 0, &hints).and_then(|found| {
        let first = found.first().and_then(SocketAddress::as_ip);
        let address = first.ok_or(NameError::NoData)?;
        host_by_address(address.ip(), timeout)
    });
    Ok(match entry {
        Ok(entry) => qualified(entry),
        Err(_) => name,
    })
}

/// The first name with a dot, else the official one.
fn qualified(entry: HostEntry) -> String {
    let dotted = [&entry.name]
        .into_iter()
        .chain(&entry.aliases)
        .find(|name| name.contains(&b'.'))
        .cloned();
    text(dotted.unwrap_or(entry.name))
}

/// gethostname(2): what this machine is called. Policy: `hostname`.
pub fn host_name() -> io::Result<String> {
    Ok(text(raw::host_name()?))
}

/// sethostname(2): names this machine anew, for everybody on it.
///
/// Policy: `set-hostname`. [`Errno::PERM`](crate::Errno::PERM) where the host has not the right to it
/// (CAP_SYS_ADMIN), [`Errno::INVAL`](crate::Errno::INVAL) for more than 64 bytes.
pub fn set_host_name(name: &str) -> io::Result<()> {
    Ok(raw::set_host_name(name.as_bytes())?)
}

/// if_nameindex(3): every network interface. Policy: `interfaces`.
pub fn interfaces() -> io::Result<Vec<NetworkInterface>> {
    Ok(raw::interfaces()?)
}

/// if_nametoindex(3): [`Errno::NODEV`](crate::Errno::NODEV) where there is none. Policy: `interfaces`.
pub fn interface_index(name: &str) -> io::Result<u32> {
    Ok(raw::interface_index(name)?)
}

/// if_indextoname(3): [`Errno::NXIO`](crate::Errno::NXIO) where there is none. Policy: `interfaces`.
pub fn interface_name(index: u32) -> io::Result<String> {
    Ok(raw::interface_name(index)?)
}

/// getservbyname(3) in services(5), of any protocol where none is given. No grant;
/// [`Errno::NOENT`](crate::Errno::NOENT) where there is none.
pub fn service_by_name(name: &str, protocol: Option<&str>) -> io::Result<Service> {
    Ok(raw::service_by_name(name, protocol)?)
}

/// getservbyport(3), the port in the machine's byte order. No grant; [`Errno::NOENT`](crate::Errno::NOENT) where there is none.
pub fn service_by_port(port: u16, protocol: Option<&str>) -> io::Result<Service> {
    Ok(raw::service_by_port(port, protocol)?)
}

/// getprotobyname(3) in protocols(5). No grant; [`Errno::NOENT`](crate::Errno::NOENT) where there is none.
pub fn protocol_by_name(name: &str) -> io::Result<ProtocolEntry> {
    Ok(raw::protocol_by_name(name)?)
}

/// getprotobynumber(3). No grant; [`Errno::NOENT`](crate::Errno::NOENT) where there is none.
pub fn protocol_by_number(number: u32) -> io::Result<ProtocolEntry> {
    Ok(raw::protocol_by_number(number)?)
}

/// Host names are bytes; what is not UTF-8 in them is replaced.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_with_a_dot_is_the_qualified_one() {
        let entry = |name: &str, aliases: &[&str]| HostEntry {
            name: name.into(),
            aliases: aliases.iter().map(|alias| (*alias).into()).collect(),
            addresses: Vec::new(),
        };
        assert_eq!(
            qualified(entry("box", &["b", "box.rig.test"])),
            "box.rig.test"
        );
        assert_eq!(qualified(entry("box.rig.test", &["c.d"])), "box.rig.test");
        assert_eq!(qualified(entry("box", &["b"])), "box");
    }

    #[test]
    fn no_host_and_broadcast_are_addresses() {
        let text = |host, family| {
            let found = special(host, family).unwrap();
            found.map(|ips| ips.iter().map(IpAddr::to_string).collect::<Vec<_>>())
        };
        assert_eq!(text("", None).unwrap(), ["0.0.0.0", "::"]);
        assert_eq!(text("", Some(Family::Inet6)).unwrap(), ["::"]);
        assert_eq!(text("<broadcast>", None).unwrap(), ["255.255.255.255"]);
        assert_eq!(
            text("<broadcast>", Some(Family::Inet6)),
            Err(NameError::AddressFamily)
        );
        assert!(special("localhost", None).is_none());
    }
}
