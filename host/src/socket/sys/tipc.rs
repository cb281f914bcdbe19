//! `sockaddr_tipc`, linux/tipc.h, Documentation/networking/tipc.rst.

use sockgate_policy::{TipcAddress, TipcEndpoint};

use super::address::EncodedAddress;
use super::fields::Fields;
use super::{Errno, Result};

/// TIPC_SERVICE_RANGE (which is TIPC_ADDR_MCAST), TIPC_SERVICE_ADDR, TIPC_SOCKET_ADDR.
const RANGE: u8 = 1;
const NAME: u8 = 2;
const ID: u8 = 3;

pub(super) fn encode(address: &TipcAddress) -> EncodedAddress {
    let (kind, numbers) = match address.endpoint {
        TipcEndpoint::Id { reference, node } => (ID, [reference, node, 0]),
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
    let [first, second, third] = numbers.map(u32::to_ne_bytes);
    let scope = address.scope.to_ne_bytes();
    EncodedAddress::new(libc::AF_TIPC, &[&[kind], &scope, &first, &second, &third])
}

/// The body (what follows the family) of a `sockaddr_tipc`: `inval` for a kind of address that is none.
pub(super) fn decode(body: &[u8]) -> Result<TipcAddress> {
    let mut fields = Fields::new(body);
    let (kind, scope) = (fields.u8()?, i8::from_ne_bytes(fields.take()?));
    let (first, second, third) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let endpoint = match kind {
        ID => TipcEndpoint::Id {
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
    Ok(TipcAddress { endpoint, scope })
}
