//! `sockaddr_in` and `sockaddr_in6`, ip(7) and ipv6(7).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use super::address::EncodedAddress;
use super::{Errno, Result};

/// `sockaddr_in`: port and address in network order, then eight bytes of padding.
pub(super) fn encode_v4(address: &SocketAddrV4) -> EncodedAddress {
    let port = address.port().to_be_bytes();
    EncodedAddress::new(libc::AF_INET, &[&port, &address.ip().octets(), &[0; 8]])
}

/// `sockaddr_in6`: port, flow information and address in network order, the scope in the host's.
pub(super) fn encode_v6(address: &SocketAddrV6) -> EncodedAddress {
    let port = address.port().to_be_bytes();
    let flow = address.flowinfo().to_be_bytes();
    let scope = address.scope_id().to_ne_bytes();
    EncodedAddress::new(
        libc::AF_INET6,
        &[&port, &flow, &address.ip().octets(), &scope],
    )
}

/// The body (what follows the family) of a `sockaddr_in`.
pub(super) fn decode_v4(body: &[u8]) -> Result<SocketAddrV4> {
    let [p0, p1, a, b, c, d, _padding @ ..] = body else {
        return Err(Errno::INVAL);
    };
    if body.len() < 14 {
        return Err(Errno::INVAL);
    }
    Ok(SocketAddrV4::new(
        Ipv4Addr::new(*a, *b, *c, *d),
        u16::from_be_bytes([*p0, *p1]),
    ))
}

/// The body of a `sockaddr_in6`.
pub(super) fn decode_v6(body: &[u8]) -> Result<SocketAddrV6> {
    let (port, body) = body.split_first_chunk().ok_or(Errno::INVAL)?;
    let (flow, body) = body.split_first_chunk().ok_or(Errno::INVAL)?;
    let (octets, body) = body.split_first_chunk::<16>().ok_or(Errno::INVAL)?;
    let scope = body.first_chunk().ok_or(Errno::INVAL)?;
    Ok(SocketAddrV6::new(
        Ipv6Addr::from(*octets),
        u16::from_be_bytes(*port),
        u32::from_be_bytes(*flow),
        u32::from_ne_bytes(*scope),
    ))
}

#[cfg(test)]
mod tests {
    use sockgate_policy::Address;

    use super::*;

    fn round_trip(address: Address) {
        let encoded = EncodedAddress::try_from(&address).expect("IP addresses always fit");
        assert_eq!(encoded.decode_by_family(), Ok(Some(address)));
    }

    #[test]
    fn both_forms_survive_the_round_trip() {
        round_trip(Address::Inet("203.0.113.9:65535".parse().unwrap()));
        round_trip(Address::Inet("0.0.0.0:0".parse().unwrap()));
        let ip = "2001:db8::1:2".parse().unwrap();
        round_trip(Address::Inet6(SocketAddrV6::new(ip, 443, 0x000f_1234, 77)));
    }

    #[test]
    fn the_layout_is_the_kernels() {
        let v4 = encode_v4(&"1.2.3.4:258".parse().unwrap());
        assert_eq!(v4.as_bytes()[2..8], [1, 2, 1, 2, 3, 4]);
        assert_eq!(v4.length() as usize, size_of::<libc::sockaddr_in>());
        let v6 = encode_v6(&SocketAddrV6::new(Ipv6Addr::LOCALHOST, 258, 1, 5));
        assert_eq!(v6.length() as usize, size_of::<libc::sockaddr_in6>());
        assert_eq!(
            v6.as_bytes()[2..8],
            [1, 2, 0, 0, 0, 1],
            "flow information in network order"
        );
        assert_eq!(
            v6.as_bytes()[24..28],
            5u32.to_ne_bytes(),
            "scope in host order"
        );
    }
}
