//! Names: hosts, services, protocols, network interfaces.
//!
//! Each has its own operation in the policy: `resolve`, `reverse-resolve`, `interfaces`, `hostname`,
//! `set-hostname`. Numeric hosts, services and protocols need none.

use std::io;
use std::net::IpAddr;

use crate::address::{SocketAddress, ipv4_parts, ipv6_parts};
use crate::bindings::sockgate::sockets::names as raw;
use crate::error::NameError;
use crate::socket::Socket;
use crate::types::{Family, Protocol, SocketType, Timeout, flag_sets};

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
    /// How long to wait: then [`NameError::System`] with [`Errno::TIMEDOUT`](crate::Errno::TIMEDOUT).
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

/// getaddrinfo(3): the addresses of a host and a service. Names are looked up as absolute ones, without
/// search domains. No host: the loopback address, or with [`LookupFlags::PASSIVE`] the wildcard.
///
/// Policy: `resolve` with the name. [`NameError::System`] with [`Errno::ACCES`](crate::Errno::ACCES)
/// where it is not granted.
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

/// The first address of a host for this socket, within its time-out.
pub(crate) fn first_address(host: &str, port: u16, socket: &Socket) -> io::Result<SocketAddress> {
    let hints = Hints {
        family: Some(socket.family()?),
        socket_type: Some(socket.socket_type()?),
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

/// All addresses of a host with this port, in the resolver's order.
pub(crate) fn addresses(
    host: &str,
    port: u16,
    hints: &Hints,
) -> Result<Vec<SocketAddress>, NameError> {
    let answers = look_up(Some(host), Some(&port.to_string()), hints)?;
    Ok(answers.into_iter().map(|answer| answer.address).collect())
}

/// getnameinfo(3): the host's and the service's name of an address. Policy: `reverse-resolve`, unless
/// both are asked for as numbers.
pub fn name_of(
    address: &SocketAddress,
    flags: NameFlags,
    timeout: impl Into<Timeout>,
) -> Result<(String, String), NameError> {
    let (host, service) = raw::name_of(address, flags, timeout.into())?;
    Ok((text(host), service))
}

/// A host's official name, other names and addresses: gethostbyname_ex. Policy: `resolve`.
pub fn host_by_name(name: &str, timeout: impl Into<Timeout>) -> Result<HostEntry, NameError> {
    Ok(raw::host_by_name(name.as_bytes(), timeout.into())?)
}

/// The same by address: gethostbyaddr. Policy: `reverse-resolve`.
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

/// gethostname(2). Policy: `hostname`.
pub fn host_name() -> io::Result<String> {
    Ok(text(raw::host_name()?))
}

/// sethostname(2). Policy: `set-hostname`.
pub fn set_host_name(name: &str) -> io::Result<()> {
    Ok(raw::set_host_name(name.as_bytes())?)
}

/// if_nameindex(3). Policy: `interfaces`.
pub fn interfaces() -> io::Result<Vec<NetworkInterface>> {
    Ok(raw::interfaces()?)
}

/// if_nametoindex(3). Policy: `interfaces`.
pub fn interface_index(name: &str) -> io::Result<u32> {
    Ok(raw::interface_index(name)?)
}

/// if_indextoname(3). Policy: `interfaces`.
pub fn interface_name(index: u32) -> io::Result<String> {
    Ok(raw::interface_name(index)?)
}

/// getservbyname(3); [`Errno::NOENT`](crate::Errno::NOENT) where there is none.
pub fn service_by_name(name: &str, protocol: Option<&str>) -> io::Result<Service> {
    Ok(raw::service_by_name(name, protocol)?)
}

/// getservbyport(3); [`Errno::NOENT`](crate::Errno::NOENT) where there is none.
pub fn service_by_port(port: u16, protocol: Option<&str>) -> io::Result<Service> {
    Ok(raw::service_by_port(port, protocol)?)
}

/// getprotobyname(3); [`Errno::NOENT`](crate::Errno::NOENT) where there is none.
pub fn protocol_by_name(name: &str) -> io::Result<ProtocolEntry> {
    Ok(raw::protocol_by_name(name)?)
}

/// getprotobynumber(3); [`Errno::NOENT`](crate::Errno::NOENT) where there is none.
pub fn protocol_by_number(number: u32) -> io::Result<ProtocolEntry> {
    Ok(raw::protocol_by_number(number)?)
}

/// Host names are bytes; what is not UTF-8 in them is replaced.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
