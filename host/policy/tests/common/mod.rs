//! Facts and gates that the tests of verdicts share.
#![allow(dead_code, reason = "each test file uses some of these")]

pub mod families;
pub mod questions;

use sockgate_policy::{
    Address, Content, Family, Gate, Kind, OptionName, Policy, SocketFacts, SocketType, Source,
    UnixAddress,
};

pub const TCP4: Kind = Kind {
    family: Family::Inet,
    socket_type: SocketType::Stream,
    protocol: 6,
};
pub const TCP6: Kind = Kind {
    family: Family::Inet6,
    socket_type: SocketType::Stream,
    protocol: 6,
};
pub const UDP4: Kind = Kind {
    family: Family::Inet,
    socket_type: SocketType::Datagram,
    protocol: 17,
};
pub const UNIX: Kind = Kind {
    family: Family::Unix,
    socket_type: SocketType::Stream,
    protocol: 0,
};
pub const UNIX_DATAGRAM: Kind = Kind {
    family: Family::Unix,
    socket_type: SocketType::Datagram,
    protocol: 0,
};

pub fn gate(text: &str) -> Gate {
    let source = Source::new("test.toml", &format!("version = 1\n{text}"));
    Gate::new(Policy::from_toml(&source).unwrap_or_else(|errors| panic!("{errors}")))
}

pub fn lines(lines: &[&str]) -> Gate {
    let policies = lines
        .iter()
        .map(|line| Policy::allow_line(line).unwrap_or_else(|errors| panic!("{errors}")));
    Gate::new(policies.fold(Policy::deny_all(), |all, one| all.merge(one).unwrap()))
}

pub fn at(text: &str) -> Address {
    match text.as_bytes() {
        [b'/', ..] => Address::Unix(UnixAddress::Pathname(text.into())),
        [b'@', name @ ..] => Address::Unix(UnixAddress::Abstract(name.into())),
        b"" => Address::Unix(UnixAddress::Unnamed),
        _ => text.parse::<std::net::SocketAddr>().unwrap().into(),
    }
}

pub fn fresh(kind: Kind) -> SocketFacts {
    SocketFacts::new(kind)
}

pub fn bound(kind: Kind, local: &str) -> SocketFacts {
    SocketFacts {
        local: Some(at(local)),
        ..fresh(kind)
    }
}

pub fn option(name: &str) -> OptionName {
    OptionName::from_policy_name(name).unwrap()
}

pub fn with_option(mut facts: SocketFacts, name: &str, value: i32) -> SocketFacts {
    facts.options.remember(option(name), &value.to_ne_bytes());
    facts
}

pub const ONE: [u8; 4] = 1i32.to_ne_bytes();

/// A message of a kind of socket that nothing is inspected of.
pub fn data(socket: &SocketFacts) -> Content {
    Content::sent(socket.kind, b"")
}
