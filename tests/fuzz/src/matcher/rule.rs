//! Rules as values, and as the text that says the same.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use arbitrary::{Result, Unstructured};
use sockgate_policy::{ClassSet, Family, SocketType};

/// Networks as a rule writes them: the first bits of the first address, so many.
pub(super) const NETS: [(&str, IpAddr, u32); 8] = [
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

pub(super) const fn four(octets: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
}

pub(super) const CLASSES: [(&str, ClassSet); 6] = [
    ("loopback", ClassSet::LOOPBACK),
    ("private", ClassSet::PRIVATE),
    ("link-local", ClassSet::LINK_LOCAL),
    ("metadata", ClassSet::METADATA),
    ("multicast", ClassSet::MULTICAST),
    ("global", ClassSet::GLOBAL),
];

/// Names that rules have, and which of those that were resolved they mean.
pub(super) const HOSTS: [(&str, &[&str]); 4] = [
    ("a.example.com", &["a.example.com"]),
    ("*.example.com", &["a.example.com", "b.c.example.com"]),
    ("x.test", &["x.test"]),
    (
        "*",
        &["a.example.com", "b.c.example.com", "example.com", "x.test"],
    ),
];
pub(super) const RESOLVED: [&str; 4] =
    ["a.example.com", "b.c.example.com", "example.com", "x.test"];

/// Names in the file system, and which paths they mean.
pub(super) type Glob = (&'static str, fn(&str) -> bool);
pub(super) const PATHS: [Glob; 4] = [
    ("/run/a.sock", |path| path == "/run/a.sock"),
    ("/run/*.sock", |path| {
        path == "/run/a.sock" || path == "/run/b.sock" || one_part(path)
    }),
    ("/run/**", |path| path.starts_with("/run/")),
    ("/tmp/q", |path| path == "/tmp/q"),
];
pub(super) const ABSTRACTS: [Glob; 3] = [
    ("xyz", |name| name == "xyz"),
    ("a*", |name| name.starts_with('a') && !name.contains('/')),
    ("auto", |_| false),
];

fn one_part(path: &str) -> bool {
    path.strip_prefix("/run/")
        .and_then(|rest| rest.strip_suffix(".sock"))
        .is_some_and(|stem| !stem.contains('/'))
}

pub(super) const PORTS: [(&str, u16, u16); 5] = [
    ("80", 80, 80),
    ("0", 0, 0),
    ("1-1023", 1, 1023),
    ("80-9999", 80, 9999),
    ("*", 0, u16::MAX),
];

pub(super) const OPS: [&str; 6] = ["connect", "bind", "listen", "send-to", "receive", "resolve"];

/// Which addresses.
#[derive(Clone, Debug)]
pub(super) enum Keys {
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
pub(super) enum Ip {
    Nets(Vec<usize>),
    Classes(Vec<usize>),
    Host(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) deny: bool,
    pub(super) families: Option<Vec<Family>>,
    pub(super) socket_type: Option<SocketType>,
    pub(super) ops: Vec<usize>,
    /// At the top, or at each end.
    pub(super) top: Option<Keys>,
    pub(super) local: Option<Keys>,
    pub(super) peer: Option<Keys>,
    /// An option to set; of a deny rule the only thing that it takes.
    pub(super) option: Option<&'static str>,
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

pub(super) fn some_rule(input: &mut Unstructured<'_>) -> Result<Rule> {
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
    pub(super) fn written(&self, number: usize) -> String {
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

    pub(super) fn has(&self, op: &str) -> bool {
        self.ops.iter().any(|at| OPS[*at] == op)
    }

    /// What it says of the local address, and of the peer.
    pub(super) fn ends(&self) -> (Option<&Keys>, Option<&Keys>) {
        let local_ops = self.has("bind") || self.has("listen");
        match &self.top {
            Some(Keys::Any) => (Some(&Keys::Any), Some(&Keys::Any)),
            Some(keys) if local_ops => (Some(keys), None),
            Some(keys) => (None, Some(keys)),
            None => (self.local.as_ref(), self.peer.as_ref()),
        }
    }

    pub(super) fn lists(&self, family: Family) -> bool {
        self.families
            .as_ref()
            .is_none_or(|families| families.contains(&family))
    }
}
