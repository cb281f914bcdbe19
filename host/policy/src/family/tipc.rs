//! TIPC: services within a cluster, Documentation/networking/tipc.rst.

use std::borrow::Cow;
use std::fmt;

use super::{Given, Group, Key, Shape, Value, uninspected};
use crate::address::Address;
use crate::facts::SocketFacts;
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

/// TIPC_CLUSTER_SCOPE: what is bound is known in the whole cluster.
const CLUSTER_SCOPE: i8 = 2;
const SCOPES: &[(&str, u64)] = &[("cluster", 2), ("node", 3)];

impl TipcAddress {
    /// All instances of a service: the members of a group of that type.
    #[must_use]
    pub fn every_instance(service: u32) -> TipcAddress {
        TipcAddress {
            endpoint: TipcEndpoint::Range {
                service,
                lower: 0,
                upper: u32::MAX,
            },
            scope: CLUSTER_SCOPE,
        }
    }

    /// Whether a bind(2) with it takes a name away instead of giving one: the negative scope of what was
    /// bound.
    #[must_use]
    pub fn withdraws(&self) -> bool {
        self.scope < 0
    }

    /// The address where a name's scope means nothing: it is looked up in all that this node knows.
    pub(crate) fn as_destination(self) -> TipcAddress {
        TipcAddress {
            scope: match self.endpoint {
                TipcEndpoint::Id { .. } => self.scope,
                TipcEndpoint::Name { .. } | TipcEndpoint::Range { .. } => CLUSTER_SCOPE,
            },
            ..self
        }
    }

    /// What the kernel makes of a binding's scope: everything but the node's (TIPC_NODE_SCOPE, 3) is the
    /// cluster's. A negative one withdraws a binding of that scope.
    fn reach(self) -> u64 {
        match self.scope.unsigned_abs() {
            3 => 3,
            _ => 2,
        }
    }
}

/// Whom a message really goes to: in a group the kernel takes the group's type for the service, whatever
/// service was named.
pub(super) fn destination<'a>(s: &SocketFacts, peer: &'a Address) -> Cow<'a, Address> {
    let (Some(Address::Tipc(group)), Address::Tipc(tipc)) = (&s.group, peer) else {
        return Cow::Borrowed(peer);
    };
    let TipcEndpoint::Range { service: own, .. } = group.endpoint else {
        return Cow::Borrowed(peer);
    };
    let mut member = *tipc;
    match &mut member.endpoint {
        TipcEndpoint::Id { .. } => return Cow::Borrowed(peer),
        TipcEndpoint::Name { service, .. } | TipcEndpoint::Range { service, .. } => *service = own,
    }
    Cow::Owned(Address::Tipc(member))
}

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
        Key::address(
            "node",
            Shape::Numbers {
                words: &[],
                max: u32::MAX as u64,
            },
            "[\"0x1001001\"]",
        ),
    ],
    one_place: false,
    naming: &["service", "node"],
    value,
    inspector: uninspected,
};

fn from_keys(_: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    let service = given.number("service").ok_or("service")?;
    let endpoint = match given.range("instance").ok_or("instance")? {
        (instance, last) if instance == last => TipcEndpoint::Name {
            service,
            instance,
            domain: given.number("node").unwrap_or(0),
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
        ("scope", TipcEndpoint::Id { .. }) => Some(Value::Every(None)),
        ("scope", _) => Some(Value::Number(tipc.reach())),
        // A name without a node is looked up on every one.
        ("node", TipcEndpoint::Id { node, .. }) => Some(Value::Number(u64::from(node))),
        ("node", TipcEndpoint::Name { domain, .. }) if domain != 0 => {
            Some(Value::Number(u64::from(domain)))
        }
        ("node", _) => Some(Value::Every(None)),
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
