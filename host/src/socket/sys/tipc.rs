//! `sockaddr_tipc`, Documentation/networking/tipc.rst, linux/tipc.h.
//!
//! bind(2) takes a range or a name, connect(2) a name or a socket, sendto(2) any of them (a range is a
//! multicast); receives and getsockname(2) give sockets. The kernel says `inval` to the others.

use sockgate_policy::{TipcAddress, TipcEndpoint};

use super::address::{EncodedAddress, Fields};
use super::{Errno, Result};

/// TIPC_SERVICE_RANGE (TIPC_ADDR_NAMESEQ and TIPC_ADDR_MCAST), TIPC_SERVICE_ADDR, TIPC_SOCKET_ADDR.
const RANGE: u8 = 1;
const NAME: u8 = 2;
const SOCKET: u8 = 3;

/// What kind of name it is, its scope, and three numbers.
pub(super) fn encode(address: &TipcAddress) -> EncodedAddress {
    let (form, [first, second, third]) = match address.endpoint {
        TipcEndpoint::Id { reference, node } => (SOCKET, [reference, node, 0]),
        TipcEndpoint::Name {
            service,
            instance,
            domain,
        } => (NAME, [service, instance, domain]),
        TipcEndpoint::Range {
            service,
            lower,
            upper,
        } => (RANGE, [service, lower, upper]),
    };
    EncodedAddress::new(
        libc::AF_TIPC,
        &[
            &[form, address.scope.cast_unsigned()],
            &first.to_ne_bytes(),
            &second.to_ne_bytes(),
            &third.to_ne_bytes(),
        ],
    )
}

/// The kernel gives a second address behind the first where a group's member sent the message; it names
/// the same sender.
pub(super) fn decode(body: &[u8]) -> Result<TipcAddress> {
    let mut fields = Fields(body);
    let [form, scope] = fields.take()?;
    let first = u32::from_ne_bytes(fields.take()?);
    let second = u32::from_ne_bytes(fields.take()?);
    let third = u32::from_ne_bytes(fields.take()?);
    let endpoint = match form {
        SOCKET => TipcEndpoint::Id {
            reference: first,
            node: second,
        },
        NAME => TipcEndpoint::Name {
            service: first,
            instance: second,
            domain: third,
        },
        RANGE => TipcEndpoint::Range {
            service: first,
            lower: second,
            upper: third,
        },
        _ => return Err(Errno::INVAL),
    };
    Ok(TipcAddress {
        endpoint,
        scope: scope.cast_signed(),
    })
}
