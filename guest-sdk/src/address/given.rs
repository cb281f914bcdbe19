//! What can be given in an address's place: names, text, std's types.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Inet6Address, Scope, SocketAddress, UnixAddress, ipv6_parts};
use crate::names;
use crate::socket::Socket;
use crate::types::Family;

/// What [`Socket::bind`], [`Socket::connect`] and [`Socket::send_to`] take as an address.
///
/// | type | meaning |
/// |---|---|
/// | [`SocketAddr`], [`SocketAddrV4`], [`SocketAddrV6`], `(IpAddr, u16)` | an IP address and port |
/// | `(&str, u16)`, `(String, u16)` | a host by name or number, and a port |
/// | `(&str, u16, u32)`, `(&str, u16, u32, u32)` | the same for IPv6 sockets with flow information, and with an interface's number as scope |
/// | `&str`, `String` | `host:port`, `[v6]:port`, `[v6%interface]:port`; for a Unix socket a path, or an abstract name behind a NUL |
/// | [`&Path`](Path), [`PathBuf`], [`UnixAddress`] | a Unix socket |
/// | [`CanAddress`](super::CanAddress), [`VsockAddress`](super::VsockAddress), [`NetlinkAddress`](super::NetlinkAddress) and the others of [`addresses`](crate::addresses) | their family |
/// | [`SocketAddress`] | any family |
///
/// The host `""` is every address (`":80"`, `("", 80)`), `<broadcast>` is 255.255.255.255. Other names are
/// looked up in the socket's own family ([`names::look_up`]; policy: `resolve`) within its time-out, and the
/// first answer is taken, as in Python. Numbers are not looked up.
pub trait ToAddress {
    /// The address for `socket`.
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>>;
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        (**self).to_address(socket)
    }
}

impl ToAddress for SocketAddress {
    fn to_address(&self, _: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        Ok(Cow::Borrowed(self))
    }
}

macro_rules! copied_addresses {
    ($($address:ty),* $(,)?) => {$(
        impl ToAddress for $address {
            fn to_address(&self, _: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
                Ok(Cow::Owned((*self).into()))
            }
        }
    )*};
}

copied_addresses! {
    SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16),
}

impl ToAddress for UnixAddress {
    fn to_address(&self, _: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        Ok(Cow::Owned(SocketAddress::Unix(self.clone())))
    }
}

impl ToAddress for Path {
    fn to_address(&self, _: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        Ok(Cow::Owned(UnixAddress::from_pathname(self)?.into()))
    }
}

impl ToAddress for PathBuf {
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        self.as_path().to_address(socket)
    }
}

impl ToAddress for (&str, u16) {
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        let (host, port) = *self;
        let address = match number(host, port) {
            Some(address) => address,
            None => names::first_address(host, port, socket)?,
        };
        Ok(Cow::Owned(address))
    }
}

impl ToAddress for (String, u16) {
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        let pair = (self.0.as_str(), self.1);
        let address = pair.to_address(socket)?;
        Ok(Cow::Owned(address.into_owned()))
    }
}

impl ToAddress for (&str, u16, u32) {
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        let (host, port, flowinfo) = *self;
        let unscoped = (host, port, flowinfo, 0);
        let address = unscoped.to_address(socket)?;
        Ok(Cow::Owned(address.into_owned()))
    }
}

impl ToAddress for (&str, u16, u32, u32) {
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        let (host, port, flowinfo, scope) = *self;
        let address = (host, port).to_address(socket)?.into_owned();
        flowing(address, flowinfo, scope).map(Cow::Owned)
    }
}

/// The largest flow information that an IPv6 packet carries as its flow label, RFC 6437.
const FLOW_LABEL: u32 = 0xf_ffff;

/// An IPv6 address with flow information, and with a scope unless it is 0.
fn flowing(address: SocketAddress, flowinfo: u32, scope: u32) -> io::Result<SocketAddress> {
    let SocketAddress::Inet6(mut address) = address else {
        return Err(invalid(format!(
            "{address} is no IPv6 address: it has neither flow information nor a scope"
        )));
    };
    if flowinfo > FLOW_LABEL {
        let text = format!("flow information is 0 to {FLOW_LABEL}, and not {flowinfo}");
        return Err(invalid(text));
    }
    address.flowinfo = flowinfo;
    if scope != 0 {
        address.scope = Scope::Index(scope);
    }
    Ok(SocketAddress::Inet6(address))
}

impl ToAddress for str {
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        if let Ok(address) = self.parse() {
            return Ok(Cow::Owned(address));
        }
        if socket.family()? == Family::Unix {
            return Ok(Cow::Owned(unix(self)?.into()));
        }
        let pair = host_and_port(self)?;
        let address = pair.to_address(socket)?;
        Ok(Cow::Owned(address.into_owned()))
    }
}

impl ToAddress for String {
    fn to_address(&self, socket: &Socket) -> io::Result<Cow<'_, SocketAddress>> {
        self.as_str().to_address(socket)
    }
}

/// A Unix address as Python writes it: nothing is no name, a NUL stands before an abstract one.
fn unix(text: &str) -> io::Result<UnixAddress> {
    match text.strip_prefix('\0') {
        _ if text.is_empty() => Ok(UnixAddress::Unnamed),
        Some(name) => Ok(UnixAddress::from_abstract_name(name)),
        None => UnixAddress::from_pathname(text),
    }
}

/// An IP address and port in numbers: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%eth0]:80`.
impl FromStr for SocketAddress {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let (host, port) = host_and_port(text)?;
        number(host, port)
            // `::1:80` would be an address and a port, or another address.
            .filter(|address| matches!(address, Self::Inet(_)) || text.starts_with('['))
            .ok_or_else(|| no_address(text))
    }
}

/// An IP address in numbers, an IPv6 one with its scope (`fe80::1%eth0`, `fe80::1%2`).
fn number(host: &str, port: u16) -> Option<SocketAddress> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some((ip, port).into());
    }
    let (ip, scope) = host.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let scope = match scope.parse() {
        _ if scope.is_empty() => return None,
        Ok(0) => Scope::Unscoped,
        Ok(index) => Scope::Index(index),
        Err(_) => Scope::Interface(scope.to_owned()),
    };
    Some(SocketAddress::Inet6(Inet6Address {
        address: ipv6_parts(ip),
        port,
        flowinfo: 0,
        scope,
    }))
}

/// Takes `host:port` or `[v6]:port` apart.
pub(crate) fn host_and_port(text: &str) -> io::Result<(&str, u16)> {
    let parts = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| no_address(text))?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    Ok((bare.unwrap_or(host), port))
}

fn no_address(text: &str) -> io::Error {
    invalid(format!(
        "{text:?} is no address: write host:port, or [v6 address]:port"
    ))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_taken_apart() {
        assert_eq!(
            host_and_port("db.example.com:5432").unwrap(),
            ("db.example.com", 5432)
        );
        assert_eq!(host_and_port("[::1]:80").unwrap(), ("::1", 80));
        assert_eq!(host_and_port(":80").unwrap(), ("", 80));
        assert!(host_and_port("nothing").is_err());
        assert!(host_and_port("host:70000").is_err());
    }

    #[test]
    fn numeric_addresses_are_read_as_they_are_shown() {
        for text in [
            "127.0.0.1:80",
            "[::1]:443",
            "[fe80::1%7]:9",
            "[fe80::1%eth0]:9",
            "[fe80::1%veth-a.1]:0",
        ] {
            let address: SocketAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            ":80",
            "::1:80",
            "localhost:80",
            "127.1:80",
            "[fe80::1%]:9",
            "[::1]",
            "::1",
        ] {
            assert!(text.parse::<SocketAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn flow_information_and_scope_are_of_ipv6_alone() {
        let v6: SocketAddress = "[fe80::1%eth0]:9".parse().unwrap();
        let SocketAddress::Inet6(kept) = flowing(v6.clone(), 0xf_ffff, 0).unwrap() else {
            panic!("another family");
        };
        assert_eq!(kept.flowinfo, 0xf_ffff);
        assert_eq!(kept.scope, Scope::Interface("eth0".into()));
        let SocketAddress::Inet6(scoped) = flowing(v6.clone(), 0, 3).unwrap() else {
            panic!("another family");
        };
        assert_eq!(scoped.scope, Scope::Index(3));
        assert!(flowing(v6, 0x10_0000, 0).is_err());
        assert!(flowing("127.0.0.1:1".parse().unwrap(), 1, 0).is_err());
    }

    #[test]
    fn text_for_a_unix_socket_is_python_s() {
        assert_eq!(unix("").unwrap(), UnixAddress::Unnamed);
        assert_eq!(unix("\0a").unwrap(), UnixAddress::Abstract(b"a".to_vec()));
        assert_eq!(
            unix("/run/a:80").unwrap(),
            UnixAddress::Pathname(b"/run/a:80".to_vec())
        );
        assert!(unix("a\0b").is_err());
    }
}
