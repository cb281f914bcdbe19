//! TIPC: services within a cluster, Documentation/networking/tipc.rst.

use std::fmt;

use super::{Given, Group, Key, Shape, Value, uninspected};
use crate::address::Address;
use crate::kind::{Family, Kind};

/// sockaddr_tipc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TipcAddress {
    /// A socket, a service, or a range of services.
    pub endpoint: TipcEndpoint,
    /// TIPC_CLUSTER_SCOPE (2), TIPC_NODE_SCOPE (3); bind with a negative one withdraws.
    pub scope: i8,
}

/// What a [`TipcAddress`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TipcEndpoint {
    /// struct tipc_socket_addr: one socket in the cluster.
    Id {
        /// The socket's number within its node.
        reference: u32,
        /// The node's number.
        node: u32,
    },
    /// struct tipc_service_addr: one instance of a service.
    Name {
        /// The service's type.
        service: u32,
        /// The instance of it.
        instance: u32,
        /// The node to look it up in; 0 is the whole cluster.
        domain: u32,
    },
    /// struct tipc_service_range: the instances from `lower` to `upper`, both included.
    Range {
        /// The service's type.
        service: u32,
        /// The first instance.
        lower: u32,
        /// The last instance.
        upper: u32,
    },
}

impl fmt::Display for TipcAddress {
    /// `service 18888 instance 17`, `service 18888 instance 1-9`, `socket 123 node 1001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.endpoint {
            TipcEndpoint::Id { reference, node } => write!(f, "socket {reference} node {node:x}"),
            TipcEndpoint::Name {
                service, instance, ..
            } => write!(f, "service {service} instance {instance}"),
            TipcEndpoint::Range {
                service,
                lower,
                upper,
            } => write!(f, "service {service} instance {lower}-{upper}"),
        }
    }
}

/// TIPC_CLUSTER_SCOPE and TIPC_NODE_SCOPE.
const SCOPES: &[(&str, u64)] = &[("cluster", 2), ("node", 3)];

pub(crate) static GROUP: Group = Group {
    families: &[Family::Tipc],
    address: from_keys,
    raw_only: false,
    keys: &[
        Key::address(
            "service",
            Shape::Numbers {
                words: &[],
                max: u32::MAX as u64,
            },
            "[18888]",
        ),
        Key::address(
            "instance",
            Shape::Numbers {
                words: &[],
                max: u32::MAX as u64,
            },
            "[\"0-99\"]",
        ),
        Key::address(
            "scope",
            Shape::Numbers {
                words: SCOPES,
                max: 3,
            },
            "[\"node\"]",
        ),
    ],
    one_place: false,
    naming: &["service"],
    value,
    inspector: uninspected,
};

fn from_keys(_: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    let service = given.number("service").ok_or("service")?;
    let endpoint = match given.range("instance").ok_or("instance")? {
        (instance, last) if instance == last => TipcEndpoint::Name {
            service,
            instance,
            domain: 0,
        },
        (lower, upper) => TipcEndpoint::Range {
            service,
            lower,
            upper,
        },
    };
    Ok(Address::Tipc(TipcAddress {
        endpoint,
        scope: given.small("scope").unwrap_or(2),
    }))
}

fn value(address: &Address, key: &str) -> Option<Value> {
    let Address::Tipc(tipc) = address else {
        return None;
    };
    match (key, tipc.endpoint) {
        ("scope", _) => Some(Value::Number(u64::from(tipc.scope.unsigned_abs()))),
        // One socket of the cluster, whatever services it has: only `*` covers it.
        ("service" | "instance", TipcEndpoint::Id { .. }) => Some(Value::Every(None)),
        ("service", TipcEndpoint::Name { service, .. } | TipcEndpoint::Range { service, .. }) => {
            Some(Value::Number(u64::from(service)))
        }
        ("instance", TipcEndpoint::Name { instance, .. }) => {
            Some(Value::Number(u64::from(instance)))
        }
        ("instance", TipcEndpoint::Range { lower, upper, .. }) => {
            Some(Value::Range(u64::from(lower), u64::from(upper)))
        }
        _ => None,
    }
}
