//! The clauses of a policy, indexed so that a verdict looks only at those that could matter: by family and
//! operation, and then by the network, the port or the host name that a clause is bound to.
//!
//! The index only leaves out what cannot match; whether a clause does match is for the judge to say.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::address::{AddressPattern, IpPattern};
use super::clause::{Clause, OpSet};
use super::host::HostPattern;
use super::nets::{NetIndex, Places};
use crate::address::Address;
use crate::class::embedded;
use crate::kind::Family;

/// The families that a rule can name, in the order of the index's rows; the last row is for what has none.
const FAMILIES: [Family; 15] = [
    Family::Inet,
    Family::Inet6,
    Family::Unix,
    Family::Netlink,
    Family::Packet,
    Family::Can,
    Family::Vsock,
    Family::Tipc,
    Family::Alg,
    Family::Bluetooth,
    Family::Qipcrtr,
    Family::Rds,
    Family::Kcm,
    Family::Xdp,
    Family::Smc,
];

/// A clause that names more ports than this is looked at for every port.
const MOST_PORTS: usize = 64;

/// What a question knows of what it is about.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) local: Option<&'a Address>,
    pub(crate) peer: Option<&'a Address>,
    /// The name that is looked up.
    pub(crate) host: Option<&'a str>,
}

/// The networks that a pattern is bound to, where it is about IP addresses alone.
fn nets(pattern: Option<&AddressPattern>) -> Option<&[IpNet]> {
    match &pattern.filter(|pattern| is_ip(pattern))?.ip {
        Some(IpPattern::Nets(nets)) => Some(nets),
        _ => None,
    }
}

fn is_ip(pattern: &AddressPattern) -> bool {
    !pattern.any && pattern.unix.is_none() && pattern.family.is_none()
}

/// Every port that a pattern is bound to, where they are few.
fn ports(pattern: &AddressPattern) -> Option<Vec<u16>> {
    let ranges = pattern.ports.as_ref()?;
    let count: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    (count <= MOST_PORTS).then(|| ranges.iter().cloned().flatten().collect())
}

/// What a name is found by in the index: itself, or the part that it has to end in.
fn host_key(host: &HostPattern) -> Option<String> {
    match host {
        HostPattern::Exact(key) | HostPattern::Suffix(key) => Some(key.clone()),
        HostPattern::Any => None,
    }
}

/// Everything that a name may be found by.
fn host_keys(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| &name[at..]);
    std::iter::once(name).chain(dots)
}

/// What an allow rule is bound to: a question about something else need not look at it.
enum Scope {
    /// Nothing that the index knows.
    Open,
    /// A peer in one of these networks.
    Peer(Vec<IpNet>),
    /// A peer with one of these ports.
    Port(Vec<u16>),
    /// A peer that one of these names resolved to, or one of these names itself.
    Host(Vec<String>),
    /// A local address in one of these networks.
    Local(Vec<IpNet>),
}

impl Scope {
    fn of(clause: &Clause) -> Scope {
        let peer = clause.peer.as_ref().filter(|peer| is_ip(peer));
        if let Some(nets) = nets(peer) {
            return Scope::Peer(nets.to_vec());
        }
        if let Some(keys) = peer.and_then(Scope::host_keys) {
            return Scope::Host(keys);
        }
        if let Some(nets) = nets(clause.local.as_deref()) {
            return Scope::Local(nets.to_vec());
        }
        match peer.and_then(ports) {
            Some(ports) => Scope::Port(ports),
            None => Scope::Open,
        }
    }

    /// The names of a rule whose peers are named: those that it resolves are the same.
    fn host_keys(peer: &AddressPattern) -> Option<Vec<String>> {
        match &peer.ip {
            Some(IpPattern::Hosts(hosts)) => hosts.iter().map(host_key).collect(),
            _ => None,
        }
    }
}

/// The allow rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowTable {
    clauses: Arc<[Clause]>,
    rows: Vec<Row>,
    peers: NetIndex,
    locals: NetIndex,
    /// By port, in ascending order: in one piece, which stays in the processor's caches.
    ports: Vec<(u16, u32)>,
    hosts: HashMap<String, Vec<u32>>,
}

/// The places of the rules of one family and one operation, by what they are bound to.
#[derive(Clone, Debug, Default)]
struct Row {
    open: Vec<u32>,
    by_peer: Vec<u32>,
    by_host: Vec<u32>,
    by_local: Vec<u32>,
}

fn operations() -> usize {
    OpSet::all().bits().count_ones() as usize
}

fn family_row(family: Option<Family>) -> usize {
    family
        .and_then(|family| FAMILIES.iter().position(|known| *known == family))
        .unwrap_or(FAMILIES.len())
}

fn column(op: OpSet) -> usize {
    op.bits().trailing_zeros() as usize
}

impl AllowTable {
    pub(crate) fn new(clauses: Vec<Clause>) -> AllowTable {
        let mut table = AllowTable {
            rows: vec![Row::default(); (FAMILIES.len() + 1) * operations()],
            ..AllowTable::default()
        };
        let (mut peers, mut locals) = (Vec::new(), Vec::new());
        for (place, clause) in (0u32..).zip(&clauses) {
            let list: fn(&mut Row) -> &mut Vec<u32> = match Scope::of(clause) {
                Scope::Open => |row| &mut row.open,
                Scope::Peer(nets) => {
                    peers.extend(nets.into_iter().map(|net| (net, place)));
                    |row| &mut row.by_peer
                }
                Scope::Port(ports) => {
                    table
                        .ports
                        .extend(ports.into_iter().map(|port| (port, place)));
                    |row| &mut row.by_peer
                }
                Scope::Host(keys) => {
                    for key in keys {
                        table.hosts.entry(key).or_default().push(place);
                    }
                    |row| &mut row.by_host
                }
                Scope::Local(nets) => {
                    locals.extend(nets.into_iter().map(|net| (net, place)));
                    |row| &mut row.by_local
                }
            };
            for (row, family) in FAMILIES.into_iter().map(Some).chain([None]).enumerate() {
                if family.is_none_or(|family| clause.kind.lists_family(family)) {
                    for op in clause.ops {
                        list(&mut table.rows[row * operations() + column(op)]).push(place);
                    }
                }
            }
        }
        table.ports.sort_unstable();
        table.peers = NetIndex::new(peers);
        table.locals = NetIndex::new(locals);
        table.clauses = clauses.into();
        table
    }

    /// All of them, as they stand in the policy.
    pub(crate) fn all(&self) -> &[Clause] {
        &self.clauses
    }

    /// Those that could cover a question of one of `ops` about a socket of `family`, in their order.
    /// `pinned` tells the names that resolved to an address.
    pub(crate) fn candidates(
        &self,
        family: Option<Family>,
        ops: OpSet,
        known: Known<'_>,
        pinned: impl FnOnce(IpAddr, &mut dyn FnMut(&str)),
    ) -> impl Iterator<Item = &Clause> {
        let mut places = Places::new();
        let row = family_row(family) * operations();
        for op in ops {
            let Some(row) = self.rows.get(row + column(op)) else {
                continue;
            };
            places.extend_from_slice(&row.open);
            if known.peer.is_none() {
                places.extend_from_slice(&row.by_peer);
                if known.host.is_none() {
                    places.extend_from_slice(&row.by_host);
                }
            }
            if known.local.is_none() {
                places.extend_from_slice(&row.by_local);
            }
        }
        let mut named = |name: &str| {
            let found = host_keys(name).filter_map(|key| self.hosts.get(key));
            places.extend(found.flatten().copied());
        };
        if let Some(host) = known.host {
            named(host);
        }
        if let Some(ip) = known.peer.and_then(Address::ip) {
            if !self.hosts.is_empty() {
                pinned(ip, &mut named);
            }
            self.peers.holding(ip, &mut places);
        }
        if let Some(port) = known.peer.and_then(Address::port) {
            let from = self.ports.partition_point(|(known, _)| *known < port);
            let bound = self.ports[from..].iter();
            places.extend(
                bound
                    .take_while(|(known, _)| *known == port)
                    .map(|(_, place)| *place),
            );
        }
        if let Some(ip) = known.local.and_then(Address::ip) {
            self.locals.holding(ip, &mut places);
        }
        places.sort_unstable();
        places.dedup();
        places
            .into_iter()
            .filter_map(|place| self.clauses.get(place as usize))
    }
}

/// The deny rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct DenyTable {
    clauses: Arc<[Clause]>,
    /// Bound to nothing that the index knows.
    open: Vec<u32>,
    /// All that are bound to a local network.
    by_local: Vec<u32>,
    peers: NetIndex,
    locals: NetIndex,
    /// Rules whose network may be either end's.
    ends: NetIndex,
}

impl DenyTable {
    pub(crate) fn new(clauses: Vec<Clause>) -> DenyTable {
        let (mut peers, mut locals, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut table = DenyTable::default();
        for (place, clause) in (0u32..).zip(&clauses) {
            // A rule about bind and listen alone takes a local wildcard for every address.
            let wide = OpSet::LOCAL_KIND.contains(clause.ops);
            let placed = |nets: &[IpNet]| -> Vec<(IpNet, u32)> {
                nets.iter().map(|net| (*net, place)).collect()
            };
            if let Some(nets) = nets(clause.peer.as_ref()) {
                peers.extend(placed(nets));
            } else if let Some(nets) = nets(clause.local.as_deref()) {
                locals.extend(placed(nets));
                table.by_local.push(place);
            } else if let Some(nets) = nets(clause.either.as_ref()).filter(|_| !wide) {
                ends.extend(placed(nets));
            } else {
                table.open.push(place);
            }
        }
        table.peers = NetIndex::new(peers);
        table.locals = NetIndex::new(locals);
        table.ends = NetIndex::new(ends);
        table.clauses = clauses.into();
        table
    }

    /// All of them, as they stand in the policy.
    pub(crate) fn all(&self) -> &[Clause] {
        &self.clauses
    }

    /// Those that could forbid a question about a socket with these addresses, in their order. What is not
    /// known yet touches no network.
    pub(crate) fn candidates(&self, known: Known<'_>) -> impl Iterator<Item = &Clause> {
        let mut places = Places::new();
        if let Some(ip) = known.peer.and_then(Address::ip) {
            for ip in std::iter::once(ip).chain(embedded(ip)) {
                self.peers.holding(ip, &mut places);
                self.ends.holding(ip, &mut places);
            }
        }
        if let Some(ip) = known.local.and_then(Address::ip) {
            if ip.is_unspecified() {
                places.extend_from_slice(&self.by_local);
            }
            for ip in std::iter::once(ip).chain(embedded(ip)) {
                self.locals.holding(ip, &mut places);
                self.ends.holding(ip, &mut places);
            }
        }
        if !places.is_empty() {
            places.extend_from_slice(&self.open);
            places.sort_unstable();
            places.dedup();
        }
        let open = if places.is_empty() {
            &self.open[..]
        } else {
            &[]
        };
        let found = places.into_iter().chain(open.iter().copied());
        found.filter_map(|place| self.clauses.get(place as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Family::{Inet, Unix};
    use crate::model::Policy;
    use crate::{Rule, Source};

    fn load(rules: &str) -> Policy {
        Policy::from_toml(&Source::new("index", &format!("version = 1\n{rules}"))).unwrap()
    }

    fn at(text: &str) -> Address {
        text.parse::<std::net::SocketAddr>().unwrap().into()
    }

    fn ids<'a>(clauses: impl Iterator<Item = &'a Clause>) -> String {
        let ids: Vec<&str> = clauses.map(|clause| clause.id.as_str()).collect();
        ids.join(" ")
    }

    const NOTHING: Known<'_> = Known {
        local: None,
        peer: None,
        host: None,
    };

    fn from(local: &Address) -> Known<'_> {
        Known {
            local: Some(local),
            ..NOTHING
        }
    }

    fn to(peer: &Address) -> Known<'_> {
        Known {
            peer: Some(peer),
            ..NOTHING
        }
    }

    fn asking(host: &str) -> Known<'_> {
        Known {
            host: Some(host),
            ..NOTHING
        }
    }

    #[test]
    fn an_allow_rule_about_something_else_is_not_looked_at() {
        let table = load(
            r#"allow = [
            { id = "net", ops = ["connect"], cidr = ["10.0.0.0/8", "10.0.0.0/16"] },
            { id = "port", ops = ["connect"], peer = { cidr = ["*"], port = ["80"] } },
            { id = "few", family = ["inet"], ops = ["connect"], cidr = ["*"], port = ["100-163"] },
            { id = "many", family = ["inet"], ops = ["connect"], cidr = ["*"], port = ["100-164"] },
            { id = "name", ops = ["resolve", "connect"], host = ["a.example"] },
            { id = "names", ops = ["resolve"], host = ["*.b.example"] },
            { id = "path", family = ["unix"], ops = ["connect"], path = ["/run/x"] },
            { id = "both", ops = ["connect"], peer = { cidr = ["10.0.0.0/8"], path = ["/run/x"] } },
            { id = "every", ops = ["connect"], peer = "*" },
            { id = "local", ops = ["bind"], cidr = ["10.0.0.0/8"] },
            ]"#,
        )
        .allow;
        let found = |family, op, known: Known<'_>, pinned: &str| {
            ids(table.candidates(family, op, known, |_, name| name(pinned)))
        };
        let connect =
            |family, peer: &Address, pinned| found(Some(family), OpSet::CONNECT, to(peer), pinned);
        let inner = at("10.0.0.1:443");
        assert_eq!(connect(Inet, &inner, ""), "net many both every");
        assert_eq!(
            connect(Inet, &inner, "a.example"),
            "net many name both every"
        );
        let outer = |port| at(&format!("8.8.8.8:{port}"));
        assert_eq!(connect(Inet, &outer(80), ""), "port many both every");
        assert_eq!(connect(Inet, &outer(163), ""), "few many both every");
        assert_eq!(connect(Inet, &outer(164), ""), "many both every");
        let path = Address::Unix(crate::UnixAddress::Pathname("/run/x".into()));
        assert_eq!(connect(Unix, &path, ""), "path both every");
        assert_eq!(
            found(Some(Inet), OpSet::CONNECT, NOTHING, ""),
            "net port few many name both every"
        );
        for (host, rules) in [
            ("a.example", "name"),
            ("x.b.example", "names"),
            ("c.example", ""),
        ] {
            assert_eq!(found(None, OpSet::RESOLVE, asking(host), ""), rules);
        }
        let bind = |known: Known<'_>| found(Some(Inet), OpSet::BIND, known, "");
        assert_eq!(bind(from(&inner)), "local");
        assert_eq!(bind(from(&outer(80))), "");
        assert_eq!(bind(NOTHING), "local");
    }

    #[test]
    fn nobody_asks_for_pins_where_no_rule_names_a_host() {
        let table =
            load("allow = [{ id = 'net', ops = ['connect'], cidr = ['10.0.0.0/8'] }]").allow;
        let peer = at("10.0.0.1:80");
        let pinned = |_, _: &mut dyn FnMut(&str)| panic!("asked for pins");
        let found = table.candidates(Some(Inet), OpSet::CONNECT, to(&peer), pinned);
        assert_eq!(ids(found), "net");
    }

    #[test]
    fn a_network_beside_every_peer_leaves_every_peer() {
        let rule = Rule::new("a").connect("10.0.0.0/8").unwrap();
        let policy = Policy::builder().allow(rule.connect("*").unwrap());
        let table = policy.build().unwrap().allow;
        let peer = at("8.8.8.8:80");
        let found = table.candidates(Some(Inet), OpSet::CONNECT, to(&peer), |_, _| {});
        assert_eq!(ids(found), "a");
    }

    #[test]
    fn a_deny_rule_about_other_networks_is_not_looked_at() {
        let table = load(
            r#"deny = [
            { id = "port", port = ["25"] },
            { id = "ends", cidr = ["10.0.0.0/8"] },
            { id = "connect", ops = ["connect"], cidr = ["192.168.0.0/16"] },
            { id = "bind", ops = ["bind"], cidr = ["10.0.0.0/8"] },
            { id = "peer", peer = { cidr = ["10.0.0.0/8"] } },
            { id = "local", local = { cidr = ["10.0.0.0/8"] } },
            { id = "elsewhere", local = { cidr = ["192.168.0.0/16"] } },
            { id = "last", port = ["26"] },
            ]"#,
        )
        .deny;
        let inner = at("10.0.0.1:80");
        for (known, rules) in [
            (NOTHING, "port bind last"),
            (to(&at("8.8.8.8:80")), "port bind last"),
            (to(&inner), "port ends bind peer last"),
            (to(&at("[64:ff9b::a00:1]:80")), "port ends bind peer last"),
            (from(&inner), "port ends bind local last"),
            (from(&at("0.0.0.0:80")), "port bind local elsewhere last"),
            (
                Known {
                    local: Some(&inner),
                    ..to(&inner)
                },
                "port ends bind peer local last",
            ),
        ] {
            assert_eq!(ids(table.candidates(known)), rules);
        }
    }
}
