//! One thing that was seen, as the rule that grants it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Entry, Generalise, Notebook, Ports};
use crate::address::{Address, UnixAddress};
use crate::class::{CLASSES, ClassSet, classes};
use crate::family::{self, About, Part, Shape};
use crate::judge::{Ask, End, What};
use crate::kind::{Family, Kind, SocketType, protocol_name};
use crate::model::{NamePattern, OpSet, Side};
use crate::option::REUSEADDR;
use crate::permit::GroupRequest;

/// Keys of a rule with their words.
pub(super) type Keys = BTreeMap<&'static str, BTreeSet<String>>;

/// Ports from here on are chosen by the kernel: ip(7), net.ipv4.ip_local_port_range.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;
/// AF_QIPCRTR's ports for services are chosen by the kernel from here to the last but the control port.
const FIRST_EPHEMERAL_NODE_PORT: u64 = 0x4000;
/// QRTR_PORT_CTRL, linux/qrtr.h.
const CONTROL_PORT: u64 = 0xffff_fffe;

/// What a rule says of one end, or of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Said {
    /// It does not matter to the rule's operations.
    #[default]
    Nothing,
    /// The socket is not bound: a rule that names an address would not cover it.
    Unbound,
    /// This.
    Keys(Keys),
}

impl Said {
    fn keys(&mut self) -> Option<&mut Keys> {
        match self {
            Said::Keys(keys) => Some(keys),
            Said::Nothing | Said::Unbound => None,
        }
    }
}

/// A rule on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    /// `family`, `type`, `protocol`; nothing where no socket is concerned.
    pub(super) kind: Keys,
    pub(super) ops: OpSet,
    pub(super) local: Said,
    pub(super) peer: Said,
    pub(super) message: Said,
    /// What two rules may say together: options, flags, ancillary data and the like.
    pub(super) uses: Keys,
}

impl Draft {
    /// Where the rule stands in the file.
    pub(super) fn order(&self) -> (String, u32, String) {
        (
            format!("{:?}", self.kind),
            self.ops.bits(),
            format!("{:?}{:?}{:?}", self.local, self.peer, self.message),
        )
    }

    /// The lists of its parts, but for its uses.
    pub(super) fn keys(&mut self) -> [Option<&mut Keys>; 4] {
        [
            Some(&mut self.kind),
            self.local.keys(),
            self.peer.keys(),
            self.message.keys(),
        ]
    }

    pub(super) fn add_use(&mut self, key: &'static str, word: impl Into<String>) {
        self.uses.entry(key).or_default().insert(word.into());
    }
}

fn one(word: impl Into<String>) -> BTreeSet<String> {
    BTreeSet::from([word.into()])
}

/// Turns what was seen into rules.
pub(super) struct Drafting<'n> {
    notebook: &'n Notebook,
    how: &'n Generalise,
    /// Whom the guest itself chose to talk to: those ports mean something.
    targets: HashSet<Address>,
    /// What it bound. Another local address is one that somebody else's socket came with.
    bound: HashSet<Address>,
}

impl<'n> Drafting<'n> {
    pub(super) fn new(
        notebook: &'n Notebook,
        entries: &[Arc<Entry>],
        how: &'n Generalise,
    ) -> Drafting<'n> {
        let chosen = entries.iter().filter(|entry| {
            let ops = entry.query.ops;
            ops.intersects(OpSet::CONNECT | OpSet::SEND_TO) && !ops.contains(OpSet::REPLY)
        });
        let targets = chosen.filter_map(|entry| entry.query.peer.address().cloned());
        let binds = entries
            .iter()
            .filter(|entry| entry.query.ops.intersects(OpSet::LOCAL_KIND));
        let bound = binds.filter_map(|entry| entry.query.local.address().cloned());
        Drafting {
            notebook,
            how,
            targets: targets.collect(),
            bound: bound.collect(),
        }
    }

    /// The rule that grants what was seen.
    pub(super) fn draft_of(&self, entry: &Entry) -> Draft {
        let query = &entry.query;
        let mut draft = Draft {
            ops: self.operation(query),
            kind: query
                .kind
                .map(|kind| kind_words(query, kind))
                .unwrap_or_default(),
            ..Draft::default()
        };
        match &query.what {
            What::Host(name) => self.name(&mut draft, name),
            What::Ip(ip) => draft.peer = Said::Keys(Keys::from([("cidr", one(self.network(*ip)))])),
            What::Hostname(_) => {}
            What::Group(request) => group(&mut draft, request),
            What::Ioctl(name) => {
                draft.add_use("ioctl", &**name);
                self.ends(&mut draft, entry);
            }
            What::Descriptor(kind) => {
                draft.add_use("kinds", kind.to_string());
                self.ends(&mut draft, entry);
            }
            What::Nothing | What::Membership(..) if query.ops != OpSet::SOCKETPAIR => {
                self.ends(&mut draft, entry);
            }
            What::Create if query.ops != OpSet::SOCKETPAIR => unused(&mut draft, query),
            What::GetOption(_) | What::SetOption(..) => {
                unused(&mut draft, query);
                if !matches!(query.local, End::Open | End::Unbound)
                    || query.peer.address().is_some()
                {
                    self.ends(&mut draft, entry);
                }
                self.add_word(&mut draft, query);
            }
            What::Nothing | What::Create | What::Membership(..) => {}
        }
        if let What::Membership(..) = query.what {
            self.add_word(&mut draft, query);
        }
        carried(&mut draft, entry);
        Drafting::with_messages(draft, query)
    }

    /// The operation that a rule is to name. Whom the guest wrote to by itself it may go on writing to.
    fn operation(&self, query: &Ask<'_>) -> OpSet {
        match asked_operation(query) {
            OpSet::REPLY
                if query
                    .peer
                    .address()
                    .is_some_and(|peer| self.targets.contains(peer)) =>
            {
                OpSet::SEND_TO
            }
            asked => asked,
        }
    }

    /// Adds the word to a rule that lets it grant the question, where a rule for such a socket lacks just that.
    pub(super) fn add_word(&self, draft: &mut Draft, query: &Ask<'_>) -> bool {
        let Some(kind) = query.kind else { return false };
        match &query.what {
            What::GetOption(option) => draft.add_use("options.get", option.on(kind).to_string()),
            What::SetOption(option, _) => draft.add_use("options.set", option.on(kind).to_string()),
            What::Membership(_, part) => {
                for (key, words) in part_words(kind, std::slice::from_ref(part)) {
                    let about = family::group_of(kind).and_then(|group| group.key(key));
                    let said = match about.map(|key| key.about) {
                        Some(About::Message) => &mut draft.message,
                        _ => &mut draft.local,
                    };
                    match said {
                        Said::Keys(keys) => keys.entry(key).or_default().extend(words),
                        said => *said = Said::Keys(Keys::from([(key, words)])),
                    }
                }
            }
            _ => return false,
        }
        for (option, _) in query.options.iter() {
            if !option.needs_no_listing(kind) {
                draft.add_use("options.set", option.on(kind).to_string());
            }
        }
        true
    }

    /// A name with the families and the classes of what it stood for.
    fn name(&self, draft: &mut Draft, name: &str) {
        draft.peer = Said::Keys(Keys::from([("host", one(name))]));
        for ip in self.notebook.answers(name) {
            accept(draft, ip);
        }
    }

    fn ends(&self, draft: &mut Draft, entry: &Entry) {
        let query = &entry.query;
        let Some(kind) = query.kind else { return };
        draft.local = match &query.local {
            End::At(local) if draft.ops == OpSet::CONNECT && !self.bound.contains(local) => {
                Said::Nothing
            }
            End::At(local) => self.address(kind, local, query, None),
            End::Unbound => Said::Unbound,
            End::Open => Said::Nothing,
        };
        draft.peer = match &query.peer {
            End::At(peer) => self.address(kind, peer, query, Some(&entry.names)),
            End::Unbound | End::Open if kind.is_nameless() => {
                Said::Keys(Keys::from([("any", one("*"))]))
            }
            End::Unbound | End::Open => Said::Nothing,
        };
        if let Some(ip) = query.peer.address().and_then(Address::ip)
            && !entry.names.is_empty()
        {
            accept(draft, ip);
            for name in &entry.names {
                for ip in self.notebook.answers(name) {
                    accept(draft, ip);
                }
            }
        }
        if draft.ops.intersects(OpSet::LOCAL_KIND) && draft.local == Said::Unbound {
            draft.local = Said::Keys(Keys::from([("any", one("*"))]));
        }
    }

    /// The keys of a local address, or of a peer's (which may have names).
    fn address(
        &self,
        kind: Kind,
        address: &Address,
        query: &Ask<'_>,
        peer: Option<&BTreeSet<String>>,
    ) -> Said {
        let chosen = peer.is_none() && query.local_side == Side::LocalChosen;
        let mut keys = Keys::new();
        match address {
            Address::Unix(unix) => {
                keys.insert("unix", one(unix_word(unix, chosen)));
            }
            Address::Inet(_) | Address::Inet6(_) => {
                let ip = address.ip().unwrap_or(IpAddr::from([0; 4]));
                match peer {
                    Some(names) if !names.is_empty() => keys.insert("host", names.clone()),
                    Some(_) => keys.insert("cidr", one(self.network(ip))),
                    None => keys.insert("cidr", one(ip.to_string())),
                };
                let port = address.port().unwrap_or_default();
                let word = if chosen {
                    "0".to_owned()
                } else {
                    port.to_string()
                };
                let ports = kind.socket_type != SocketType::Raw && !is_ping(kind);
                if ports && !(peer.is_some() && self.leaves_port_open(address, port, query)) {
                    keys.insert("port", one(word));
                }
            }
            other => {
                for (key, words) in self.family_keys(kind, other, query, chosen, peer.is_some()) {
                    keys.insert(key, words);
                }
            }
        }
        if keys.is_empty() {
            return Said::Nothing;
        }
        Said::Keys(keys)
    }

    fn leaves_port_open(&self, address: &Address, port: u16, query: &Ask<'_>) -> bool {
        let calls = query.ops.intersects(OpSet::LISTEN);
        let writes =
            query.ops.intersects(OpSet::RECEIVE | OpSet::REPLY) && port >= FIRST_EPHEMERAL_PORT;
        match self.how.ports {
            Ports::Any => true,
            Ports::Exact => false,
            Ports::Ephemeral => (calls || writes) && !self.targets.contains(address),
        }
    }

    fn family_keys(
        &self,
        kind: Kind,
        address: &Address,
        query: &Ask<'_>,
        chosen: bool,
        peer: bool,
    ) -> Keys {
        let mut keys = Keys::new();
        let Some(group) = family::group_of(kind) else {
            return keys;
        };
        for key in group.keys {
            if key.about != About::Address || !key.applies_to(kind.protocol) {
                continue;
            }
            let Some(value) = (group.value)(address, key.name) else {
                continue;
            };
            // What the kernel chose is asked for anew the next time.
            let words = match key.chosen {
                Some(number) if chosen => key.words(&family::Value::Number(number)),
                _ => key.words(&value),
            };
            let usual = match kind.family {
                Family::Netlink => key.name == "pid" && words == ["kernel"],
                _ => false,
            };
            let open = peer
                && key.name == "port"
                && self.leaves_number_open(kind.family, &value, query, address);
            if !words.is_empty() && !usual && !open {
                keys.insert(key.name, words.into_iter().collect());
            }
        }
        keys
    }

    fn leaves_number_open(
        &self,
        of: Family,
        value: &family::Value,
        query: &Ask<'_>,
        address: &Address,
    ) -> bool {
        let family::Value::Number(port) = value else {
            return false;
        };
        let calls = of == Family::Vsock && query.ops.intersects(OpSet::LISTEN);
        let writes = of == Family::Qipcrtr
            && query.ops.intersects(OpSet::RECEIVE | OpSet::REPLY)
            && (FIRST_EPHEMERAL_NODE_PORT..CONTROL_PORT).contains(port);
        match self.how.ports {
            Ports::Any => true,
            Ports::Exact => false,
            Ports::Ephemeral => (calls || writes) && !self.targets.contains(address),
        }
    }

    /// An address, or the network around it.
    fn network(&self, ip: IpAddr) -> String {
        let Some((four, six)) = self.how.networks else {
            return ip.to_string();
        };
        let length = if ip.is_ipv4() { four } else { six };
        match IpNet::new(ip, length) {
            Ok(network) => network.trunc().to_string(),
            Err(_) => ip.to_string(),
        }
    }

    /// The rule with the keys of what was in the message, all of which it has to grant.
    fn with_messages(mut draft: Draft, query: &Ask<'_>) -> Draft {
        if let (Some(content), Some(kind)) = (&query.content, query.kind)
            && !content.parts().is_empty()
        {
            draft.message = Said::Keys(part_words(kind, content.parts()));
        }
        draft
    }
}

/// The operation that a rule is to name.
fn asked_operation(query: &Ask<'_>) -> OpSet {
    let order = [
        OpSet::REPLY,
        OpSet::CONNECT,
        OpSet::SOCKETPAIR,
        OpSet::BIND,
        OpSet::LISTEN,
        OpSet::SEND_TO,
        OpSet::RECEIVE,
    ];
    match query.what {
        What::Create | What::GetOption(_) | What::SetOption(..)
            if query.ops != OpSet::SOCKETPAIR =>
        {
            OpSet::RECEIVE
        }
        _ => order
            .into_iter()
            .find(|op| query.ops.contains(*op))
            .unwrap_or(query.ops),
    }
}

/// Whether what stands in a port's place is ICMP's identifier.
fn is_ping(kind: Kind) -> bool {
    kind.socket_type == SocketType::Datagram
        && matches!(protocol_name(kind), Some("icmp" | "icmpv6"))
}

/// `family`, `type` and `protocol`, with the family of a peer that is another than the socket's.
fn kind_words(query: &Ask<'_>, kind: Kind) -> Keys {
    let mut families = one(kind.family.to_string());
    let ends = [query.local.address(), query.peer.address()];
    if matches!(kind.family, Family::Inet | Family::Inet6) {
        families.extend(
            ends.into_iter()
                .flatten()
                .map(|address| address.family().to_string()),
        );
    }
    let mut keys = Keys::from([("family", families)]);
    // No rule names DCCP's type, which its protocol says.
    if kind.socket_type != SocketType::Dccp {
        keys.insert("type", one(kind.socket_type.to_string()));
    }
    let protocol = match protocol_name(kind) {
        Some(name) => Some(name.to_owned()),
        // A packet socket's is what its `ethertype` says.
        None if kind.protocol == 0 || kind.family == Family::Packet => None,
        None => Some(kind.protocol.to_string()),
    };
    if let Some(protocol) = protocol {
        keys.insert("protocol", one(protocol));
    }
    keys
}

/// A rule for a name lets it stand for this.
fn accept(draft: &mut Draft, ip: IpAddr) {
    let special = classes(ip) - ClassSet::GLOBAL;
    for (word, _) in CLASSES.iter().filter(|(_, class)| special.contains(*class)) {
        draft.add_use("host-may-be", *word);
    }
    if let Some(families) = draft.kind.get_mut("family") {
        families.insert(if ip.is_ipv4() { "inet" } else { "inet6" }.to_owned());
    }
}

fn group(draft: &mut Draft, request: &GroupRequest) {
    draft.add_use("group", request.group.to_string());
    if let Some(source) = request.source {
        draft.add_use("source", source.to_string());
    }
    if let Some(interface) = &request.interface {
        draft.add_use("interface", NamePattern::naming(interface.as_bytes()));
    }
}

/// A socket that was made and not used: a rule that makes such sockets, and reaches and hears nobody.
fn unused(draft: &mut Draft, query: &Ask<'_>) {
    let Some(kind) = query.kind else { return };
    draft.ops = if kind.is_datagram() && !kind.has_ip_addresses() && kind.family != Family::Unix {
        OpSet::RECEIVE
    } else {
        OpSet::CONNECT
    };
    let keys = match kind.family {
        Family::Unix => Keys::from([("unix", one("unnamed"))]),
        // No destination is this: the kernel takes it for loopback.
        _ if kind.has_ip_addresses() => Keys::from([("cidr", one(unspecified(kind.family)))]),
        _ => match family::group_of(kind).and_then(|group| group.key(group.naming.first()?)) {
            Some(key) => Keys::from([(key.name, one(key.nobody()))]),
            None => return,
        },
    };
    match draft.ops {
        OpSet::CONNECT => draft.peer = Said::Keys(keys),
        _ => draft.local = Said::Keys(keys),
    }
}

fn unspecified(family: Family) -> &'static str {
    match family {
        Family::Inet6 => "::",
        _ => "0.0.0.0",
    }
}

fn unix_word(address: &UnixAddress, chosen: bool) -> String {
    match address {
        UnixAddress::Unnamed => "unnamed".to_owned(),
        UnixAddress::Abstract(name) if chosen || name.is_empty() => "@auto".to_owned(),
        // `auto` itself would ask for autobind.
        UnixAddress::Abstract(name) if name == b"auto" => "@[a]uto".to_owned(),
        UnixAddress::Abstract(name) => format!("@{}", NamePattern::naming(name)),
        UnixAddress::Pathname(path) => NamePattern::naming(path),
    }
}

/// What the rule has to list besides: the options that were set by then, and what went along.
fn carried(draft: &mut Draft, entry: &Entry) {
    let query = &entry.query;
    if let Some(kind) = query.kind {
        let stream = kind.socket_type == SocketType::Stream;
        for (option, _) in query.options.iter() {
            let comes_along = stream && option == REUSEADDR && draft.ops.contains(OpSet::LISTEN);
            if !option.needs_no_listing(kind) && !comes_along {
                draft.add_use("options.set", option.on(kind).to_string());
            }
        }
    }
    for name in entry.flags().policy_names() {
        draft.add_use("flags", name);
    }
    for kind in entry.sent.kinds() {
        draft.add_use("ancillary.send", kind.to_string());
    }
    for kind in entry.received.kinds() {
        draft.add_use("ancillary.receive", kind.to_string());
    }
}

/// The keys of what is in a message.
fn part_words(kind: Kind, parts: &[Part]) -> Keys {
    let mut keys = Keys::new();
    let has = |part: &Part, key| part.value(key) == Some(&family::Value::Number(1));
    for (name, value) in parts.iter().flat_map(Part::values) {
        let Some(key) = family::group_of(kind).and_then(|group| group.key(name)) else {
            continue;
        };
        let words = match (key.shape, value) {
            (Shape::Permits, family::Value::Number(0)) => continue,
            // Only where each part of the message has it.
            (Shape::Restricts, _) if !parts.iter().all(|part| has(part, name)) => continue,
            (Shape::Permits | Shape::Restricts, _) => vec!["true".to_owned()],
            (_, value) => key.words(value),
        };
        keys.entry(key.name).or_default().extend(words);
    }
    keys
}
