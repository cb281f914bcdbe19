//! What rules say of a question, read off the values word by word.

use std::net::IpAddr;

use sockgate_policy::{Address, ClassSet, Family, Kind, SocketFacts, UnixAddress, classify};

use super::rule::{
    ABSTRACTS, CLASSES, HOSTS, Ip, Keys, NETS, OPS, PATHS, PORTS, RESOLVED, Rule, four,
};
use crate::question::Asked;

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
pub(super) struct World<'w> {
    pub(super) rules: &'w [Rule],
    pub(super) pinned: &'w [(usize, IpAddr)],
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
    pub(super) fn grants(&self, asked: Asked, facts: &SocketFacts, address: &Address) -> bool {
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
