//! TIPC addresses: sockaddr_tipc, tipc(7).

use std::fmt;

use super::{TipcAddress, TipcEndpoint, TipcId, TipcName, TipcNameSequence, family_address};
use crate::consts::{TIPC_CLUSTER_SCOPE, TIPC_NODE_SCOPE};

impl TipcAddress {
    /// One instance of a service, looked up in the whole cluster.
    ///
    /// ```no_run
    /// use sockgate_guest::{Family, Protocol, Socket, SocketType, addresses::TipcAddress};
    ///
    /// let socket = Socket::new(Family::Tipc, SocketType::Rdm, Protocol::Default)?;
    /// socket.bind(TipcAddress::service(18888, 17))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub const fn service(service_type: u32, instance: u32) -> Self {
        Self::service_on(service_type, instance, 0)
    }

    /// One instance of a service, looked up on this node; 0 is the whole cluster.
    pub const fn service_on(service_type: u32, instance: u32, node: u32) -> Self {
        Self::cluster(TipcEndpoint::Name(TipcName {
            type_: service_type,
            instance,
            domain: node,
        }))
    }

    /// The instances of a service from `lower` to `upper`, both included: bind to them, or multicast to
    /// all that are bound within them.
    pub const fn range(service_type: u32, lower: u32, upper: u32) -> Self {
        Self::cluster(TipcEndpoint::NameSequence(TipcNameSequence {
            type_: service_type,
            lower,
            upper,
        }))
    }

    /// One socket of one node.
    pub const fn socket(node: u32, reference: u32) -> Self {
        Self::cluster(TipcEndpoint::Id(TipcId { reference, node }))
    }

    const fn cluster(endpoint: TipcEndpoint) -> Self {
        Self {
            endpoint,
            scope: TIPC_CLUSTER_SCOPE,
        }
    }

    /// Visible on this node alone instead of in the whole cluster (TIPC_NODE_SCOPE).
    pub const fn node_scope(mut self) -> Self {
        self.scope = TIPC_NODE_SCOPE;
        self
    }

    /// In bind: withdraws the binding instead of making it.
    pub const fn withdrawn(mut self) -> Self {
        if self.scope > 0 {
            self.scope = -self.scope;
        }
        self
    }
}

/// As the tool `tipc` prints them: `{type,instance}`, `{type,lower,upper}`, `<node:socket>`.
impl fmt::Display for TipcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            TipcEndpoint::Id(id) => write!(f, "<{:x}:{}>", id.node, id.reference),
            TipcEndpoint::Name(name) => write!(f, "{{{},{}}}", name.type_, name.instance),
            TipcEndpoint::NameSequence(range) => {
                write!(f, "{{{},{},{}}}", range.type_, range.lower, range.upper)
            }
        }
    }
}

family_address! { TipcAddress, Tipc, as_tipc, "TIPC" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_chosen_and_withdrawn() {
        let address = TipcAddress::service(18888, 17);
        assert_eq!(
            (address.scope, address.to_string().as_str()),
            (2, "{18888,17}")
        );
        assert_eq!(address.node_scope().withdrawn().withdrawn().scope, -3);
        assert_eq!(TipcAddress::range(1, 2, 3).to_string(), "{1,2,3}");
        assert_eq!(TipcAddress::socket(0x1001, 7).to_string(), "<1001:7>");
    }
}
