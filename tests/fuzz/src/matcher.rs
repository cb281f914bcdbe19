//! The matcher beside a reference that looks at every rule as it was written, one word after the other.
//!
//! Rules are made here as values, printed as TOML for the policy's own reader, and judged a second time from the
//! values: no line of the matcher, its index or its reader takes part in that.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use arbitrary::{Result, Unstructured};
use sockgate_policy::{
    Address, ClassSet, Family, Gate, Kind, Policy, SocketFacts, SocketType, Source, UnixAddress,
    classify,
};

use crate::question::{Asked, PLAIN_KINDS, any_address, any_facts, any_ip};

/// Networks as a rule writes them: the first bits of the first address, so many.
const NETS: [(&str, IpAddr, u32); 8] = [
    ("10.0.0.0/8", four([10, 0, 0, 0]), 8),
    ("10.0.0.0/30", four([10, 0, 0, 0]), 30),
    ("10.0.0.1", four([10, 0, 0, 1]), 32),
    ("127.0.0.0/8", four([127, 0, 0, 0]), 8),
    ("0.0.0.0", four([0, 0, 0, 0]), 32),
    ("192.168.0.0/16", four([192, 168, 0, 0]), 16),
    (
        "64:ff9b::/96",
        IpAddr::V6(std::net::Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0)),
        96,
    ),
    (
        "2001:db8::/32",
        IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)),
        32,
    ),
];

const fn four(octets: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
}

const CLASSES: [(&str, ClassSet); 6] = [
    ("loopback", ClassSet::LOOPBACK),
    ("private", ClassSet::PRIVATE),
    ("link-local", ClassSet::LINK_LOCAL),
    ("metadata", ClassSet::METADATA),
    ("multicast", ClassSet::MULTICAST),
    ("global", ClassSet::GLOBAL),
];

/// Names that rules have, and which of those that were resolved they mean.
const HOSTS: [(&str, &[&str]); 4] = [
    ("a.example.com", &["a.example.com"]),
    ("*.example.com", &["a.example.com", "b.c.example.com"]),
    ("x.test", &["x.test"]),
    (
        "*",
        &["a.example.com", "b.c.example.com", "example.com", "x.test"],
    ),
];
const RESOLVED: [&str; 4] = ["a.example.com", "b.c.example.com", "example.com", "x.test"];

/// Names in the file system, and which paths they mean.
type Glob = (&'static str, fn(&str) -> bool);
const PATHS: [Glob; 4] = [
    ("/run/a.sock", |path| path == "/run/a.sock"),
    ("/run/*.sock", |path| {
        path == "/run/a.sock" || path == "/run/b.sock" || one_part(path)
    }),
    ("/run/**", |path| path.starts_with("/run/")),
    ("/tmp/q", |path| path == "/tmp/q"),
];
const ABSTRACTS: [Glob; 3] = [
    ("xyz", |name| name == "xyz"),
    ("a*", |name| name.starts_with('a') && !name.contains('/')),
    ("auto", |_| false),
];

fn one_part(path: &str) -> bool {
    path.strip_prefix("/run/")
        .and_then(|rest| rest.strip_suffix(".sock"))
        .is_some_and(|stem| !stem.contains('/'))
}

const PORTS: [(&str, u16, u16); 5] = [
    ("80", 80, 80),
    ("0", 0, 0),
    ("1-1023", 1, 1023),
    ("80-9999", 80, 9999),
    ("*", 0, u16::MAX),
];

const OPS: [&str; 6] = ["connect", "bind", "listen", "send-to", "receive", "resolve"];

/// Which addresses.
#[derive(Clone, Debug)]
enum Keys {
    /// `"*"`.
    Any,
    Ip(Option<Ip>, Option<usize>),
    Unix {
        path: Option<usize>,
        name: Option<usize>,
        unnamed: bool,
    },
}

#[derive(Clone, Debug)]
enum Ip {
    Nets(Vec<usize>),
    Classes(Vec<usize>),
    Host(usize),
}

#[derive(Clone, Debug)]
struct Rule {
    deny: bool,
    families: Option<Vec<Family>>,
    socket_type: Option<SocketType>,
    ops: Vec<usize>,
    /// At the top, or at each end.
    top: Option<Keys>,
    local: Option<Keys>,
    peer: Option<Keys>,
    /// An option to set; of a deny rule the only thing that it takes.
    option: Option<&'static str>,
}

fn some_keys(input: &mut Unstructured<'_>, hosts: bool) -> Result<Keys> {
    Ok(match input.int_in_range(0..=5)? {
        0 => Keys::Any,
        1..=3 => {
            let port = if input.arbitrary()? {
                Some(input.choose_index(PORTS.len())?)
            } else {
                None
            };
            let ip = match input.int_in_range(0..=4)? {
                0 | 1 => Some(Ip::Nets(several(input, NETS.len())?)),
                2 => Some(Ip::Classes(several(input, CLASSES.len())?)),
                3 if hosts => Some(Ip::Host(input.choose_index(HOSTS.len())?)),
                _ if port.is_some() => None,
                _ => Some(Ip::Nets(several(input, NETS.len())?)),
            };
            Keys::Ip(ip, port)
        }
        _ => {
            let path = if input.arbitrary()? {
                Some(input.choose_index(PATHS.len())?)
            } else {
                None
            };
            let name = if input.arbitrary()? {
                Some(input.choose_index(ABSTRACTS.len())?)
            } else {
                None
            };
            let unnamed = input.arbitrary()? || (path.is_none() && name.is_none());
            Keys::Unix {
                path,
                name,
                unnamed,
            }
        }
    })
}

fn several(input: &mut Unstructured<'_>, of: usize) -> Result<Vec<usize>> {
    let mut chosen = vec![input.choose_index(of)?];
    for _ in 0..input.int_in_range(0..=2)? {
        let next = input.choose_index(of)?;
        if !chosen.contains(&next) {
            chosen.push(next);
        }
    }
    Ok(chosen)
}

fn some_rule(input: &mut Unstructured<'_>) -> Result<Rule> {
    let deny = input.ratio(1, 3)?;
    let families = if input.ratio(1, 3)? {
        let all = [Family::Inet, Family::Inet6, Family::Unix];
        Some(several(input, 3)?.into_iter().map(|at| all[at]).collect())
    } else {
        None
    };
    let types = [
        None,
        None,
        Some(SocketType::Stream),
        Some(SocketType::Datagram),
    ];
    let socket_type = *input.choose(&types)?;
    let uses = deny && input.ratio(1, 4)?;
    let ops = if uses || (deny && input.ratio(1, 3)?) {
        Vec::new()
    } else {
        several(input, OPS.len())?
    };
    let options = ["so.keepalive", "so.mark", "so.*", "so.broadcast"];
    let option = if uses || input.ratio(1, 6)? {
        Some(*input.choose(&options)?)
    } else {
        None
    };
    let ends = input.ratio(1, 3)?;
    let top = if ends || (deny && input.ratio(1, 4)?) {
        None
    } else {
        Some(some_keys(input, !deny)?)
    };
    let local = if ends && input.arbitrary()? {
        Some(some_keys(input, false)?)
    } else {
        None
    };
    let peer = if ends {
        Some(some_keys(input, !deny)?)
    } else {
        None
    };
    let option = option.filter(|_| !deny || uses);
    Ok(Rule {
        deny,
        families,
        socket_type,
        ops,
        top,
        local,
        peer,
        option,
    })
}

fn quoted<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    format!("[{}]", words.join(", "))
}

impl Keys {
    /// As lines `key = value`; `"*"` stands by itself.
    fn written(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self {
            Keys::Any => {}
            Keys::Ip(ip, port) => {
                match ip {
                    Some(Ip::Nets(nets)) => {
                        lines.push(format!(
                            "cidr = {}",
                            quoted(nets.iter().map(|at| NETS[*at].0))
                        ));
                    }
                    Some(Ip::Classes(classes)) => {
                        lines.push(format!(
                            "class = {}",
                            quoted(classes.iter().map(|at| CLASSES[*at].0))
                        ));
                    }
                    Some(Ip::Host(host)) => lines.push(format!("host = ['{}']", HOSTS[*host].0)),
                    None => {}
                }
                lines.extend(port.map(|port| format!("port = ['{}']", PORTS[port].0)));
            }
            Keys::Unix {
                path,
                name,
                unnamed,
            } => {
                lines.extend(path.map(|at| format!("path = ['{}']", PATHS[at].0)));
                lines.extend(name.map(|at| format!("abstract = ['{}']", ABSTRACTS[at].0)));
                lines.extend(unnamed.then(|| "unnamed = true".to_owned()));
            }
        }
        lines
    }

    fn has_host(&self) -> bool {
        matches!(self, Keys::Ip(Some(Ip::Host(_)), _))
    }
}

impl Rule {
    fn written(&self, number: usize) -> String {
        let mut text = format!(
            "[[{}]]\nid = 'r{number}'\n",
            if self.deny { "deny" } else { "allow" }
        );
        if let Some(families) = &self.families {
            let names: Vec<String> = families.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "family = {}",
                quoted(names.iter().map(String::as_str))
            );
        }
        if let Some(socket_type) = self.socket_type {
            let _ = writeln!(text, "type = ['{socket_type}']");
        }
        if !self.ops.is_empty() {
            let _ = writeln!(text, "ops = {}", quoted(self.ops.iter().map(|at| OPS[*at])));
        }
        if let Some(option) = self.option {
            let _ = writeln!(text, "options = {{ set = ['{option}'] }}");
        }
        let ends = [&self.top, &self.peer].into_iter().flatten();
        if ends.into_iter().any(Keys::has_host) {
            let _ = writeln!(text, "host-may-be = ['private', 'loopback']");
        }
        match &self.top {
            Some(Keys::Any) => text.push_str("peer = '*'\nlocal = '*'\n"),
            Some(keys) => {
                let _ = writeln!(text, "{}", keys.written().join("\n"));
            }
            None => {}
        }
        for (word, keys) in [("local", &self.local), ("peer", &self.peer)] {
            match keys {
                Some(Keys::Any) => {
                    let _ = writeln!(text, "{word} = '*'");
                }
                Some(keys) => {
                    let _ = writeln!(text, "{word} = {{ {} }}", keys.written().join(", "));
                }
                None => {}
            }
        }
        text
    }

    fn has(&self, op: &str) -> bool {
        self.ops.iter().any(|at| OPS[*at] == op)
    }

    /// What it says of the local address, and of the peer.
    fn ends(&self) -> (Option<&Keys>, Option<&Keys>) {
        let local_ops = self.has("bind") || self.has("listen");
        match &self.top {
            Some(Keys::Any) => (Some(&Keys::Any), Some(&Keys::Any)),
            Some(keys) if local_ops => (Some(keys), None),
            Some(keys) => (None, Some(keys)),
            None => (self.local.as_ref(), self.peer.as_ref()),
        }
    }

    fn lists(&self, family: Family) -> bool {
        self.families
            .as_ref()
            .is_none_or(|families| families.contains(&family))
    }
}

/// The addresses inside an IPv6 address: NAT64 and 6to4; Teredo has two.
fn inside(ip: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(six) = ip else {
        return Vec::new();
    };
    let octets = six.octets();
    let at = |place: usize| {
        four([
            octets[place],
            octets[place + 1],
            octets[place + 2],
            octets[place + 3],
        ])
    };
    if octets[..12] == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0] {
        return vec![at(12)];
    }
    if octets[..2] == [0x20, 2] {
        return vec![at(2)];
    }
    if octets[..4] == [0x20, 1, 0, 0] {
        let hidden = [!octets[12], !octets[13], !octets[14], !octets[15]];
        return vec![at(4), four(hidden)];
    }
    Vec::new()
}

fn in_net(ip: IpAddr, net: usize) -> bool {
    let (_, first, bits) = NETS[net];
    match (ip, first) {
        (IpAddr::V4(ip), IpAddr::V4(first)) => {
            u64::from(u32::from(ip)) >> (32 - bits) == u64::from(u32::from(first)) >> (32 - bits)
        }
        (IpAddr::V6(ip), IpAddr::V6(first)) => {
            u128::from(ip) >> (128 - bits) == u128::from(first) >> (128 - bits)
        }
        _ => false,
    }
}

fn class_in(ip: IpAddr, classes: &[usize]) -> bool {
    classes
        .iter()
        .any(|class| classify(ip).intersects(CLASSES[*class].1))
}

/// A path that is absolute and has no part that is empty, `.` or `..`.
fn is_clean(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|part| !matches!(part, "" | "." | "..")) && !rest.contains('\0')
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Peer,
    Local,
    Chosen,
}

/// What is asked, with the names that were resolved.
struct World<'w> {
    rules: &'w [Rule],
    pinned: &'w [(usize, IpAddr)],
}

impl World<'_> {
    /// Whether an allow rule's keys cover an address.
    fn covers(&self, rule: &Rule, keys: &Keys, address: &Address, side: Side) -> bool {
        match (keys, address) {
            (Keys::Any, Address::Unix(UnixAddress::Pathname(path))) => {
                is_clean(&String::from_utf8_lossy(path))
            }
            (Keys::Any, _) => true,
            (Keys::Ip(ip, port), Address::Inet(_) | Address::Inet6(_)) => {
                let own = address.ip().expect("an IP address");
                let all = || std::iter::once(own).chain(inside(own));
                let by_ip = match ip {
                    None => true,
                    Some(Ip::Nets(nets)) => all().all(|ip| nets.iter().any(|net| in_net(ip, *net))),
                    Some(Ip::Classes(classes)) => all().all(|ip| class_in(ip, classes)),
                    Some(Ip::Host(host)) => self.is_pinned(rule, *host, own),
                };
                by_ip
                    && port.is_none_or(|port| covers_port(port, address.port().unwrap_or(0), side))
            }
            (
                Keys::Unix {
                    path,
                    name,
                    unnamed,
                },
                Address::Unix(unix),
            ) => match unix {
                UnixAddress::Unnamed => *unnamed,
                UnixAddress::Pathname(bytes) => {
                    let text = String::from_utf8_lossy(bytes);
                    is_clean(&text) && path.is_some_and(|at| PATHS[at].1(&text))
                }
                UnixAddress::Abstract(bytes) => name.is_some_and(|at| {
                    let text = String::from_utf8_lossy(bytes);
                    match (ABSTRACTS[at].0, side) {
                        ("auto", Side::Local) => bytes.is_empty(),
                        ("auto", Side::Chosen) => {
                            bytes.len() == 5 && bytes.iter().all(u8::is_ascii_hexdigit)
                        }
                        _ => !bytes.is_empty() && ABSTRACTS[at].1(&text),
                    }
                }),
            },
            _ => false,
        }
    }

    fn is_pinned(&self, rule: &Rule, host: usize, ip: IpAddr) -> bool {
        let family = if ip.is_ipv4() {
            Family::Inet
        } else {
            Family::Inet6
        };
        let accepted = [ClassSet::GLOBAL, ClassSet::PRIVATE, ClassSet::LOOPBACK];
        let classes = |ip| accepted.iter().any(|class| classify(ip) == *class);
        rule.lists(family)
            && std::iter::once(ip).chain(inside(ip)).all(classes)
            && self
                .pinned
                .iter()
                .any(|(name, known)| *known == ip && HOSTS[host].1.contains(&RESOLVED[*name]))
    }

    /// Whether a deny rule's keys touch an address; a wildcard counts as every address where `wide`.
    fn touches(keys: &Keys, address: &Address, wide: bool) -> bool {
        match (keys, address) {
            (Keys::Any, _) => true,
            (Keys::Ip(ip, port), Address::Inet(_) | Address::Inet6(_)) => {
                let own = address.ip().expect("an IP address");
                let mut all = std::iter::once(own).chain(inside(own));
                let by_ip = match ip {
                    None => true,
                    Some(_) if wide && own.is_unspecified() => true,
                    Some(Ip::Nets(nets)) => all.any(|ip| nets.iter().any(|net| in_net(ip, *net))),
                    Some(Ip::Classes(classes)) => all.any(|ip| class_in(ip, classes)),
                    Some(Ip::Host(_)) => false,
                };
                let port_is = |at: usize| {
                    let (_, first, last) = PORTS[at];
                    (first..=last).contains(&address.port().unwrap_or(0))
                };
                by_ip && port.is_none_or(port_is)
            }
            (
                Keys::Unix {
                    path,
                    name,
                    unnamed,
                },
                Address::Unix(unix),
            ) => match unix {
                UnixAddress::Unnamed => *unnamed,
                UnixAddress::Pathname(bytes) => {
                    let text = String::from_utf8_lossy(bytes);
                    path.is_some_and(|at| !is_clean(&text) || PATHS[at].1(&text))
                }
                UnixAddress::Abstract(bytes) => name.is_some_and(|at| match ABSTRACTS[at].0 {
                    "auto" => {
                        bytes.is_empty()
                            || (bytes.len() == 5 && bytes.iter().all(u8::is_ascii_hexdigit))
                    }
                    _ => ABSTRACTS[at].1(&String::from_utf8_lossy(bytes)),
                }),
            },
            _ => false,
        }
    }

    /// The verdict.
    fn grants(&self, asked: Asked, facts: &SocketFacts, address: &Address) -> bool {
        let kind = facts.kind;
        let question = Question::of(asked, facts, address);
        let Some(question) = question else {
            return false;
        };
        let denied = self.rules.iter().filter(|rule| rule.deny);
        if denied
            .into_iter()
            .any(|rule| question.is_denied_by(rule, kind, facts))
        {
            return false;
        }
        let mut allowed = self.rules.iter().filter(|rule| !rule.deny);
        allowed.any(|rule| self.allows(rule, &question, kind, facts))
    }

    fn allows(&self, rule: &Rule, question: &Question, kind: Kind, facts: &SocketFacts) -> bool {
        let (local_keys, peer_keys) = rule.ends();
        let families = std::iter::once(kind.family)
            .chain(question.local.iter().map(Address::family))
            .chain(question.peer.iter().map(Address::family));
        let peer_fits = match (&question.peer, peer_keys) {
            (Some(peer), Some(keys)) => self.covers(rule, keys, peer, Side::Peer),
            _ => true,
        };
        let local_fits = match (&question.local, local_keys) {
            (Some(local), Some(keys)) => self.covers(rule, keys, local, question.side),
            (None, Some(_)) if question.creates => true,
            // A Unix socket that is not bound has no name, which a rule can name.
            (None, Some(keys)) if kind.family == Family::Unix => {
                let unnamed = Address::Unix(UnixAddress::Unnamed);
                self.covers(rule, keys, &unnamed, question.side)
            }
            (None, Some(keys)) => is_every(keys),
            (_, None) => true,
        };
        question.ops.iter().any(|op| rule.has(op))
            && families.into_iter().all(|family| rule.lists(family))
            && rule
                .socket_type
                .is_none_or(|known| known == kind.socket_type)
            && peer_fits
            && local_fits
            && (question.creates || options_listed(rule, facts))
    }
}

/// One question in the words of rules.
struct Question {
    ops: &'static [&'static str],
    denied_by: &'static [&'static str],
    local: Option<Address>,
    side: Side,
    peer: Option<Address>,
    creates: bool,
}

impl Question {
    /// None where no rule can grant it.
    fn of(asked: Asked, facts: &SocketFacts, address: &Address) -> Option<Question> {
        let side = if facts.local_chosen {
            Side::Chosen
        } else {
            Side::Local
        };
        let unclean = matches!(address, Address::Unix(UnixAddress::Pathname(path)) if !is_clean(&String::from_utf8_lossy(path)));
        let local = facts.local.as_ref().map(Address::canonical);
        let peer = Some(address.canonical_destination());
        let plain = Question {
            ops: &[],
            denied_by: &[],
            local,
            side,
            peer,
            creates: false,
        };
        Some(match asked {
            Asked::Create => {
                let ops = &["connect", "bind", "listen", "send-to", "receive"];
                Question {
                    ops,
                    denied_by: ops,
                    local: None,
                    peer: None,
                    creates: true,
                    ..plain
                }
            }
            Asked::Connect | Asked::SendTo if unclean => return None,
            Asked::Connect => Question {
                ops: &["connect"],
                denied_by: &["connect"],
                ..plain
            },
            Asked::SendTo => Question {
                ops: &["send-to"],
                denied_by: &["send-to"],
                ..plain
            },
            Asked::ReceiveFrom => Question {
                ops: &["receive"],
                denied_by: &["receive"],
                peer: Some(address.canonical()),
                ..plain
            },
            Asked::Accept => Question {
                ops: &["listen"],
                denied_by: &["listen"],
                peer: Some(address.canonical()),
                ..plain
            },
            Asked::Bind => {
                let local = match address {
                    Address::Unix(UnixAddress::Abstract(name)) if name.is_empty() => return None,
                    _ if unclean => return None,
                    // Without a name: the kernel shall choose one.
                    Address::Unix(UnixAddress::Unnamed) => {
                        Address::Unix(UnixAddress::Abstract(Vec::new()))
                    }
                    address => address.canonical(),
                };
                let (ops, denied_by) = (&["bind", "listen"], &["bind"]);
                let (local, peer) = (Some(local), None);
                Question {
                    ops,
                    denied_by,
                    local,
                    peer,
                    side: Side::Local,
                    ..plain
                }
            }
            Asked::Listen => {
                let wildcard: Address = match facts.kind.family {
                    Family::Inet => std::net::SocketAddr::from(([0; 4], 0)).into(),
                    Family::Inet6 => std::net::SocketAddr::from(([0u8; 16], 0)).into(),
                    _ => Address::Unix(UnixAddress::Unnamed),
                };
                let local = Some(facts.local.as_ref().map_or(wildcard, Address::canonical));
                Question {
                    ops: &["listen"],
                    denied_by: &["listen"],
                    local,
                    peer: None,
                    ..plain
                }
            }
        })
    }

    fn is_denied_by(&self, rule: &Rule, kind: Kind, facts: &SocketFacts) -> bool {
        if let Some(option) = rule.option {
            // It takes away an option: whoever set it has lost the socket.
            if self.creates
                || !facts
                    .options
                    .iter()
                    .any(|(known, _)| names_option(option, &known.to_string(), true))
            {
                return false;
            }
        } else if self.creates {
            // As long as one operation is left, a socket may be made for it.
            if !rule.ops.is_empty() && !self.denied_by.iter().all(|op| rule.has(op)) {
                return false;
            }
        } else if !rule.ops.is_empty() && !self.denied_by.iter().any(|op| rule.has(op)) {
            return false;
        }
        let mut families = std::iter::once(kind.family)
            .chain(self.local.iter().map(Address::family))
            .chain(self.peer.iter().map(Address::family));
        if !families.any(|family| rule.lists(family)) {
            return false;
        }
        if rule
            .socket_type
            .is_some_and(|known| known != kind.socket_type)
        {
            return false;
        }
        let at = |keys: &Option<Keys>, address: &Option<Address>, wide: bool| match (keys, address)
        {
            (None, _) => true,
            (Some(keys), Some(address)) => World::touches(keys, address, wide),
            (Some(keys), None) => is_every(keys),
        };
        // `"*"` at the top is written as both ends.
        let both = matches!(rule.top, Some(Keys::Any));
        if both || rule.top.is_none() {
            return both
                || (at(&rule.local, &self.local, true) && at(&rule.peer, &self.peer, false));
        }
        let Some(keys) = &rule.top else { return true };
        // A rule about binding alone takes a wildcard for every address of the machine.
        let about_binding = !rule.ops.is_empty()
            && rule
                .ops
                .iter()
                .all(|op| matches!(OPS[*op], "bind" | "listen"));
        let local = self.local.as_ref().is_some_and(|local| {
            let wildcard_by_class =
                local.is_wildcard() && matches!(keys, Keys::Ip(Some(Ip::Classes(_)), _));
            World::touches(keys, local, about_binding) && (about_binding || !wildcard_by_class)
        });
        let peer = self
            .peer
            .as_ref()
            .is_some_and(|peer| World::touches(keys, peer, false));
        local || peer || is_every(keys)
    }
}

/// Whether the keys are about every address, known or not.
fn is_every(keys: &Keys) -> bool {
    match keys {
        Keys::Any => true,
        Keys::Ip(None, Some(port)) => PORTS[*port].0 == "*",
        _ => false,
    }
}

fn covers_port(port: usize, asked: u16, side: Side) -> bool {
    let (word, first, last) = PORTS[port];
    if (first..=last).contains(&asked) {
        return true;
    }
    match side {
        Side::Peer => false,
        // Whoever may have one of many ports may let the kernel choose, and is judged again.
        Side::Local => asked == 0 && first != last && last >= 1024,
        Side::Chosen => word == "0" && asked >= 1024,
    }
}

/// Whether a rule's word means an option. A wildcard of an allow rule leaves out what reaches beyond the socket.
fn names_option(word: &str, option: &str, deny: bool) -> bool {
    let delicate = matches!(option, "so.mark" | "so.broadcast");
    word == option || (word == "so.*" && option.starts_with("so.") && (deny || !delicate))
}

fn options_listed(rule: &Rule, facts: &SocketFacts) -> bool {
    facts.options.iter().all(|(option, _)| {
        let option = option.to_string();
        (option == "tcp.nodelay" && facts.kind.family != Family::Unix)
            || rule
                .option
                .is_some_and(|word| names_option(word, &option, false))
    })
}

/// Some rules, and some questions to them.
pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut rules = Vec::new();
    for _ in 0..input.int_in_range(1..=8)? {
        let rule = some_rule(input)?;
        let alone = format!("version = 1\n{}", rule.written(0));
        // What contradicts itself does not load.
        if Policy::from_toml(&Source::new("rule", &alone)).is_ok() {
            rules.push(rule);
        }
    }
    let mut text = "version = 1\n".to_owned();
    for (number, rule) in rules.iter().enumerate() {
        text.push_str(&rule.written(number));
    }
    let policy = match Policy::from_toml(&Source::new("rules", &text)) {
        Ok(policy) => policy,
        Err(errors) => panic!("each rule loads by itself: {errors}"),
    };
    let gate = Gate::new(policy);
    let mut pinned = Vec::new();
    for _ in 0..input.int_in_range(0..=3)? {
        let (name, ip) = (
            input.choose_index(RESOLVED.len())?,
            any_ip(input)?.to_canonical(),
        );
        if let Ok(permit) = gate.resolve(RESOLVED[name].as_bytes()) {
            let seen = gate.pin(&permit, &[ip]);
            pinned.extend(seen.into_iter().map(|ip| (name, ip)));
        }
    }
    let world = World {
        rules: &rules,
        pinned: &pinned,
    };
    for _ in 0..input.int_in_range(1..=8)? {
        let kind = *input.choose(&PLAIN_KINDS)?;
        let mut facts = any_facts(input, kind)?;
        facts.peer = None;
        let address = any_address(input, kind)?;
        let asked = *input.choose(&Asked::ALL)?;
        let found = asked.of(&gate, &facts, &address, b"");
        let expected = world.grants(asked, &facts, &address);
        assert_eq!(
            found.is_ok(),
            expected,
            "{asked:?} {address} on {facts:?}\n{found:?}\npinned {pinned:?}\n{text}"
        );
    }
    Ok(())
}
