//! What the host knows of one socket when it asks for a verdict.

use std::sync::Arc;

use crate::address::Address;
use crate::kind::Kind;
use crate::option::OptionsSet;

/// How a socket came to be. It decides which operation has to grant what happens on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// By socket(2), or it arrived from outside.
    #[default]
    Socket,
    /// By accept(2): its conversation is granted by `listen`.
    Accept,
    /// By socketpair(2): its conversation is granted by `socketpair`.
    Pair,
}

/// The facts of one socket. The host fills them from its own records and from the kernel, never from the
/// guest's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFacts {
    /// Family, type and protocol.
    pub kind: Kind,
    /// The address that the guest bound. `None` for a socket that was never bound, and for one that the
    /// kernel bound implicitly: those count as local "any".
    pub local: Option<Address>,
    /// Further names that the guest bound, where a socket may have several (TIPC): what is granted has to be
    /// granted under each of them.
    pub further_locals: Vec<Address>,
    /// The members of the group that the socket joined, to whom a message without a name goes (TIPC).
    pub group: Option<Address>,
    /// Whether the kernel chose the port (bind to port 0) or the abstract name (autobind) of `local`.
    pub local_chosen: bool,
    /// The peer, once connected or accepted.
    pub peer: Option<Address>,
    /// The options that the guest has set so far.
    pub options: OptionsSet,
    /// IPV6_V6ONLY as it is on the socket; `true` where it has no meaning.
    pub v6only: bool,
    /// The operator handed this socket in (`--socket`, socket activation), or it was accepted on one.
    pub granted: bool,
    /// The host cannot count what goes through it (`wasi:sockets`): a rule with limits on that does not grant it.
    pub uncounted: bool,
    /// How the socket came to be.
    pub origin: Origin,
    /// The names of the generic netlink families by their numbers, which the kernel gave out; empty where
    /// nobody asked it.
    pub generic_families: Arc<[(u16, String)]>,
}

impl SocketFacts {
    /// A new socket: neither bound nor connected, no option set.
    #[must_use]
    pub fn new(kind: Kind) -> SocketFacts {
        SocketFacts {
            kind,
            local: None,
            further_locals: Vec::new(),
            group: None,
            local_chosen: false,
            peer: None,
            options: OptionsSet::new(),
            v6only: true,
            granted: false,
            uncounted: false,
            origin: Origin::Socket,
            generic_families: Arc::default(),
        }
    }

    /// Notes what a bind(2) did. A TIPC socket has one name more by it; one that was withdrawn still counts,
    /// since the same name may have been bound twice.
    pub fn note_bound(&mut self, local: Address) {
        match (&self.local, &local) {
            (Some(first), Address::Tipc(tipc)) => {
                let known = first == &local || self.further_locals.contains(&local);
                if !known && !tipc.withdraws() {
                    self.further_locals.push(local);
                }
            }
            _ => self.local = Some(local),
        }
    }
}

/// What a socket that arrived from outside already is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdoptedState {
    /// It has a peer.
    Connected,
    /// It listens.
    Listening,
    /// It is bound, and neither of the above.
    Bound,
    /// Nothing was done with it yet.
    Unbound,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{TipcAddress, TipcEndpoint};
    use crate::kind::{Family, SocketType};

    fn tipc(instance: u32, scope: i8) -> Address {
        Address::Tipc(TipcAddress {
            endpoint: TipcEndpoint::Name {
                service: 7,
                instance,
                domain: 0,
            },
            scope,
        })
    }

    #[test]
    fn a_tipc_socket_keeps_every_name_that_it_had() {
        let mut facts = SocketFacts::new(Kind::new(Family::Tipc, SocketType::Rdm));
        for address in [
            tipc(1, 2),
            tipc(1, 2),
            tipc(2, 2),
            tipc(2, 2),
            // Node scope of none, cluster scope by another number: both give a name.
            tipc(3, 0),
            // Withdrawn: no name, and none less.
            tipc(2, -2),
            tipc(1, -2),
        ] {
            facts.note_bound(address);
        }
        assert_eq!(facts.local, Some(tipc(1, 2)));
        assert_eq!(facts.further_locals, [tipc(2, 2), tipc(3, 0)]);
    }

    #[test]
    fn another_socket_has_its_latest_name() {
        let mut facts = SocketFacts::new(Kind::new(Family::Inet, SocketType::Stream));
        assert!(!facts.local_chosen && !facts.granted && facts.v6only);
        let at = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().unwrap());
        facts.note_bound(at("127.0.0.1:1"));
        facts.note_bound(at("127.0.0.1:2"));
        assert_eq!(facts.local, Some(at("127.0.0.1:2")));
        assert!(facts.further_locals.is_empty());
    }
}
