//! What a policy can ever need of the operating system, for walls around the whole process.
//!
//! A reach is wider than the policy that it comes from: it knows kinds, ports and directories, and no deny
//! rules, names or messages. Whatever the policy grants lies within it.

mod capability;
mod ports;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use capability::Capabilities;
pub use ports::PortSet;

use crate::kind::{DCCP, Family, ICMP, ICMPV6, Kind, SCTP, SocketType};
use crate::model::{AddressPattern, Clause, Mode, OpSet, Policy};

/// Protocols of a kind of socket, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// These alone.
    Only(BTreeSet<u32>),
    /// All but these.
    AllBut(BTreeSet<u32>),
}

impl Protocols {
    /// Whether the protocol is among them.
    #[must_use]
    pub fn contains(&self, protocol: u32) -> bool {
        match self {
            Protocols::Only(numbers) => numbers.contains(&protocol),
            Protocols::AllBut(numbers) => !numbers.contains(&protocol),
        }
    }

    fn join(&mut self, other: &Protocols) {
        *self = match (&*self, other) {
            (Protocols::Only(one), Protocols::Only(other)) => Protocols::Only(one | other),
            (Protocols::AllBut(one), Protocols::AllBut(other)) => Protocols::AllBut(one & other),
            (Protocols::AllBut(all), Protocols::Only(some))
            | (Protocols::Only(some), Protocols::AllBut(all)) => Protocols::AllBut(all - some),
        };
    }
}

/// Sockets that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindReach {
    /// The address family.
    pub family: Family,
    /// The socket type.
    pub socket_type: SocketType,
    /// The protocols, with the default filled in as in [`Kind`].
    pub protocols: Protocols,
}

/// What a policy can ever need of the operating system. Made by [`Policy::reach`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    everything: bool,
    kinds: Vec<KindReach>,
    capabilities: Capabilities,
    bound_ports: PortSet,
    tcp_connects: PortSet,
    tcp_binds: PortSet,
    unix_binds: BTreeSet<PathBuf>,
    abstract_peers: bool,
    listens: bool,
    resolves: bool,
    interfaces: bool,
}

impl Policy {
    /// What this policy can ever need of the operating system. In the modes *audit* and *learn* that is
    /// everything.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let mut reach = Reach {
            everything: self.mode() != Mode::Enforce,
            ..Reach::default()
        };
        let clauses = self.allow.all();
        // What arrives is compared with a new socket of its kind, and pairs can be passed too.
        let receives = clauses
            .iter()
            .any(|clause| clause.ops.contains(OpSet::DESCRIPTOR_RECEIVE));
        let making = match receives {
            true => OpSet::CREATING | OpSet::SOCKETPAIR,
            false => OpSet::CREATING,
        };
        for clause in clauses {
            reach.add(clause, making);
        }
        reach
    }
}

/// The types that a rule can name.
const TYPES: [SocketType; 6] = [
    SocketType::Stream,
    SocketType::Datagram,
    SocketType::SeqPacket,
    SocketType::Raw,
    SocketType::Rdm,
    SocketType::Dccp,
];

/// Protocols that a rule covers by name alone.
const BY_NAME: [u32; 4] = [ICMP, ICMPV6, DCCP, SCTP];

/// The families of a rule; those that it stands for where it lists none.
fn families(clause: &Clause) -> &[Family] {
    const USUAL: &[Family] = &[Family::Inet, Family::Inet6, Family::Unix];
    clause.kind.families.as_deref().unwrap_or(USUAL)
}

/// The kinds of one family that a rule covers.
fn kinds(clause: &Clause, family: Family) -> impl Iterator<Item = KindReach> {
    TYPES.into_iter().filter_map(move |socket_type| {
        let covers = |protocol: &u32| {
            clause.kind.allows(Kind {
                family,
                socket_type,
                protocol: *protocol,
            })
        };
        let protocols = match &clause.kind.protocols {
            Some(named) => {
                let numbers = named.iter().map(|protocol| protocol.number());
                Protocols::Only(numbers.filter(covers).collect())
            }
            // Some number that no rule has to name.
            None if !covers(&u32::MAX) => Protocols::Only(BTreeSet::new()),
            None => Protocols::AllBut(
                BY_NAME
                    .into_iter()
                    .filter(|number| !covers(number))
                    .collect(),
            ),
        };
        let none = Protocols::Only(BTreeSet::new());
        (protocols != none).then_some(KindReach {
            family,
            socket_type,
            protocols,
        })
    })
}

/// The ports of an address; all of them where none is named.
fn ports(pattern: Option<&AddressPattern>) -> PortSet {
    match pattern.and_then(|pattern| pattern.ports.as_ref().filter(|_| !pattern.any)) {
        Some(ranges) => PortSet::of(ranges.iter().cloned()),
        None => PortSet::all(),
    }
}

impl Reach {
    /// Adds a rule, in which the operations of `making` make sockets.
    fn add(&mut self, clause: &Clause, making: OpSet) {
        self.capabilities |= capability::of(clause);
        self.resolves |= clause
            .ops
            .intersects(OpSet::RESOLVE | OpSet::REVERSE_RESOLVE);
        self.interfaces |= clause.ops.intersects(OpSet::INTERFACES | OpSet::JOIN_GROUP);
        self.listens |= clause.ops.contains(OpSet::LISTEN);
        for family in families(clause) {
            if clause.ops.intersects(making) {
                kinds(clause, *family).for_each(|kind| self.add_kind(kind));
            }
            match family {
                Family::Unix => self.add_unix(clause),
                Family::Inet | Family::Inet6 | Family::Smc => self.add_ports(clause, *family),
                _ => {}
            }
        }
    }

    fn add_kind(&mut self, kind: KindReach) {
        let known = self
            .kinds
            .iter_mut()
            .find(|known| (known.family, known.socket_type) == (kind.family, kind.socket_type));
        match known {
            Some(known) => known.protocols.join(&kind.protocols),
            None => self.kinds.push(kind),
        }
    }

    fn add_ports(&mut self, clause: &Clause, family: Family) {
        let stream = kinds(clause, family).any(|kind| kind.socket_type == SocketType::Stream);
        let with_ports = kinds(clause, family).any(|kind| kind.socket_type != SocketType::Raw);
        if clause.ops.intersects(OpSet::LOCAL_KIND) && with_ports {
            let mut bound = ports(clause.local.as_deref());
            if bound.has_range() {
                // Port 0 asks for one of the range.
                bound.join(&PortSet::of([0..=0]));
            }
            if stream {
                self.tcp_binds.join(&bound);
            }
            self.bound_ports.join(&bound);
        }
        if clause.ops.contains(OpSet::CONNECT) && stream {
            self.tcp_connects.join(&ports(clause.peer.as_ref()));
            // wasi:sockets binds port 0 before it connects.
            self.tcp_binds.join(&PortSet::of([0..=0]));
        }
    }

    fn add_unix(&mut self, clause: &Clause) {
        let every = |pattern: Option<&AddressPattern>| pattern.is_none_or(|pattern| pattern.any);
        if clause.ops.intersects(OpSet::LOCAL_KIND) {
            let unix = clause
                .local
                .as_deref()
                .and_then(|local| local.unix.as_ref());
            if let Some(unix) = unix {
                let roots = unix.paths.iter().map(|path| path.root().to_owned());
                self.unix_binds.extend(roots);
            } else if every(clause.local.as_deref()) {
                self.unix_binds.insert(PathBuf::from("/"));
            }
        }
        let to_peers = OpSet::CONNECT | OpSet::SEND_TO | OpSet::REPLY;
        if clause.ops.intersects(to_peers) {
            let unix = clause.peer.as_ref().and_then(|peer| peer.unix.as_ref());
            self.abstract_peers |=
                every(clause.peer.as_ref()) || unix.is_some_and(|unix| !unix.abstracts.is_empty());
        }
    }
}

impl Reach {
    /// Whether nothing can be left out: the mode lets through what lacks a grant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// The sockets that rules can make; one entry for each family and type.
    #[must_use]
    pub fn kinds(&self) -> &[KindReach] {
        &self.kinds
    }

    /// Whether a socket of the kind can be made.
    #[must_use]
    pub fn makes(&self, kind: Kind) -> bool {
        self.everything
            || self.kinds.iter().any(|known| {
                (known.family, known.socket_type) == (kind.family, kind.socket_type)
                    && known.protocols.contains(kind.protocol)
            })
    }

    /// Whether a socket of the family can be made.
    #[must_use]
    pub fn makes_family(&self, family: Family) -> bool {
        self.everything || self.kinds.iter().any(|known| known.family == family)
    }

    /// The capabilities(7) that granted operations take, of a user who may only bind IP ports from
    /// `first_free_port` on (net.ipv4.ip_unprivileged_port_start, ip(7)).
    #[must_use]
    pub fn capabilities(&self, first_free_port: u16) -> Capabilities {
        if self.everything {
            return Capabilities::all();
        }
        let low = first_free_port > 1 && self.bound_ports.intersects(1..=first_free_port - 1);
        match low {
            true => self.capabilities | Capabilities::NET_BIND_SERVICE,
            false => self.capabilities,
        }
    }

    /// The ports that streams over IP connect to.
    #[must_use]
    pub fn tcp_connects(&self) -> PortSet {
        self.or_all(&self.tcp_connects)
    }

    /// The ports that streams over IP are bound to. 0 lets the kernel choose one.
    #[must_use]
    pub fn tcp_binds(&self) -> PortSet {
        self.or_all(&self.tcp_binds)
    }

    fn or_all(&self, ports: &PortSet) -> PortSet {
        match self.everything {
            true => PortSet::all(),
            false => ports.clone(),
        }
    }

    /// The directories beneath which Unix sockets are bound, and their files made and removed.
    pub fn unix_binds(&self) -> impl Iterator<Item = &Path> {
        let every = self.everything.then_some(Path::new("/"));
        every
            .into_iter()
            .chain(self.unix_binds.iter().map(PathBuf::as_path))
    }

    /// Whether something is sent or connected to abstract Unix names.
    #[must_use]
    pub fn has_abstract_peers(&self) -> bool {
        self.everything || self.abstract_peers
    }

    /// Whether a socket listens that the guest made.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.everything || self.listens
    }

    /// Whether names or addresses are looked up.
    #[must_use]
    pub fn resolves(&self) -> bool {
        self.everything || self.resolves
    }

    /// Whether the host has to know the machine's interfaces: they are asked for, or stand in addresses.
    #[must_use]
    pub fn knows_interfaces(&self) -> bool {
        let nameless = |family| {
            use Family::{Alg, Kcm, Qipcrtr, Unix, Vsock};
            matches!(family, Unix | Vsock | Alg | Kcm | Qipcrtr)
        };
        self.everything || self.interfaces || self.kinds.iter().any(|kind| !nameless(kind.family))
    }

    /// Whether a sethostname(2) can be granted.
    #[must_use]
    pub fn sets_hostname(&self) -> bool {
        self.capabilities(0).contains(Capabilities::SYS_ADMIN)
    }

    /// What both can need, for one process with several guests.
    #[must_use]
    pub fn join(mut self, other: &Reach) -> Reach {
        for kind in &other.kinds {
            self.add_kind(kind.clone());
        }
        self.everything |= other.everything;
        self.capabilities |= other.capabilities;
        self.bound_ports.join(&other.bound_ports);
        self.tcp_connects.join(&other.tcp_connects);
        self.tcp_binds.join(&other.tcp_binds);
        self.unix_binds.extend(other.unix_binds.iter().cloned());
        self.abstract_peers |= other.abstract_peers;
        self.listens |= other.listens;
        self.resolves |= other.resolves;
        self.interfaces |= other.interfaces;
        self
    }

    /// Whether walls that were built for this reach let through all that the other needs, with
    /// `first_free_port` as in [`capabilities`](Reach::capabilities).
    #[must_use]
    pub fn covers(&self, other: &Reach, first_free_port: u16) -> bool {
        self.missing(other, first_free_port).is_empty()
    }

    /// What the other needs and walls that were built for this reach hold back, each as a short text for people.
    /// Empty where it [covers](Reach::covers) the other.
    #[must_use]
    pub fn missing(&self, other: &Reach, first_free_port: u16) -> Vec<String> {
        if self.everything {
            return Vec::new();
        }
        if other.everything {
            return vec!["everything, as its mode is not `enforce`".to_owned()];
        }
        let both = self.clone().join(other);
        let mut missing = Vec::new();
        for kind in both.kinds.iter().filter(|kind| !self.kinds.contains(kind)) {
            let is_known = |known: &KindReach| {
                (known.family, known.socket_type) == (kind.family, kind.socket_type)
            };
            let further = match self.kinds.iter().any(is_known) {
                true => " of further protocols",
                false => "",
            };
            let (family, socket_type) = (kind.family, kind.socket_type);
            missing.push(format!("{family} {socket_type} sockets{further}"));
        }
        // Of all ports that are bound, no wall but this capability knows.
        let lost = other.capabilities(first_free_port) - self.capabilities(first_free_port);
        missing.extend(lost.iter_names().map(|(name, _)| format!("CAP_{name}")));
        for (what, had, wanted) in [
            ("bind streams to ports", &self.tcp_binds, &other.tcp_binds),
            ("connect to ports", &self.tcp_connects, &other.tcp_connects),
        ] {
            let more = wanted.without(had);
            if had.is_listed() && more != PortSet::default() {
                missing.push(format!("{what} of {more}"));
            }
        }
        let roots = other.unix_binds.iter().filter(|root| {
            let beneath = |known: &PathBuf| root.starts_with(known);
            !self.unix_binds.iter().any(beneath)
        });
        missing.extend(roots.map(|root| format!("Unix sockets in {}", root.display())));
        for (what, had, wanted) in [
            (
                "abstract Unix names",
                self.abstract_peers,
                other.abstract_peers,
            ),
            ("listening sockets", self.listens, other.listens),
            ("look-ups of names", self.resolves, other.resolves),
            (
                "the machine's interfaces",
                self.knows_interfaces(),
                other.knows_interfaces(),
            ),
        ] {
            if wanted && !had {
                missing.push(what.to_owned());
            }
        }
        missing
    }
}
