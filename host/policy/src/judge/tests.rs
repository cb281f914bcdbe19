//! The index against a look at every rule, which is slow and obviously right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr;
use std::time::Instant;

use proptest::prelude::*;

use super::{Ask, What, candidates, examine, forbidding, forbids};
use crate::Source;
use crate::address::{Address, UnixAddress};
use crate::facts::SocketFacts;
use crate::gate::Pins;
use crate::kind::{Family, Kind, SocketType};
use crate::model::{Clause, OpSet, Policy, Side};

pub(crate) const HOSTS: [&str; 4] = ["a.example.com", "b.example.com", "example.com", "x.test"];

fn keys() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "cidr=['10.0.0.0/8']",
        "cidr=['10.0.0.1']",
        "cidr=['10.0.0.0/30','192.168.0.0/16']",
        "cidr=['*']",
        "cidr=['2001:db8::/32']",
        "cidr=['127.0.0.1/32']",
        "cidr=['0.0.0.0/32']",
        "cidr=['64:ff9b::/96', '10.0.0.2']",
        "class=['private','loopback']",
        "host=['a.example.com']\nhost-may-be=['private','loopback','reserved']",
        "host=['*.example.com', 'x.test']\nhost-may-be=['private','loopback','reserved']",
        "host=['*']\nhost-may-be=['private','loopback','reserved']",
        "path=['/run/*.sock']",
        "abstract=['x*']",
        "",
    ])
}

fn port() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "",
        "port=['80']",
        "port=['80','81']",
        "port=['1-9999']",
        "port=['0']",
    ])
}

fn end(word: &'static str) -> impl Strategy<Value = String> {
    (keys(), port()).prop_map(move |(keys, port)| {
        let keys = [keys, port].join("\n");
        let keys: Vec<&str> = keys.lines().filter(|line| !line.is_empty()).collect();
        format!("{word} = {{ {} }}", keys.join(", "))
    })
}

/// A rule's keys, and whether it is a deny rule; only such as load.
pub(crate) fn rule() -> impl Strategy<Value = (bool, String)> {
    let ops = prop::sample::select(vec![
        "",
        "'connect'",
        "'listen'",
        "'bind'",
        "'send-to'",
        "'receive'",
        "'resolve'",
        "'resolve','connect'",
        "'bind','receive','send-to'",
        "'reverse-resolve'",
    ]);
    let uses = prop::sample::select(vec!["", "", "flags=['oob']", "options={set=['so.mark']}"]);
    let ends = prop_oneof![
        (keys(), port()).prop_map(|(keys, port)| format!("{keys}\n{port}")),
        end("peer"),
        end("local"),
        (end("peer"), end("local")).prop_map(|(peer, local)| format!("{peer}\n{local}")),
    ];
    (any::<bool>(), ops, ends, uses).prop_filter_map("loads", |(deny, ops, ends, uses)| {
        let ops = if ops.is_empty() {
            String::new()
        } else {
            format!("ops=[{ops}]\n")
        };
        let rule = format!("{ops}{uses}\n{ends}\n");
        load(&section(deny, 0, &rule)).map(|_| (deny, rule))
    })
}

pub(crate) fn section(deny: bool, number: usize, rule: &str) -> String {
    let word = if deny { "deny" } else { "allow" };
    format!("[[{word}]]\nid='r{number}'\n{rule}")
}

pub(crate) fn load(rules: &str) -> Option<Policy> {
    Policy::from_toml(&Source::new("index", &format!("version = 1\n{rules}"))).ok()
}

pub(crate) fn ip() -> impl Strategy<Value = IpAddr> {
    let four = prop::sample::select(vec![
        [10, 0, 0, 1],
        [10, 0, 0, 2],
        [10, 9, 9, 9],
        [192, 168, 1, 1],
        [127, 0, 0, 1],
        [0, 0, 0, 0],
        [8, 8, 8, 8],
    ]);
    (four, 0..5).prop_map(|(octets, form)| {
        let four = Ipv4Addr::from(octets);
        let [a, b, c, d] = octets.map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        match form {
            0 | 1 => IpAddr::V4(four),
            2 => IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low)),
            3 => IpAddr::V6(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)),
            _ => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, high, low)),
        }
    })
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        6 => (ip(), prop::sample::select(vec![0u16, 80, 81, 443, 40000]))
            .prop_map(|(ip, port)| SocketAddr::new(ip, port).into()),
        1 => Just(Address::Unix(UnixAddress::Pathname(b"/run/a.sock".to_vec()))),
        1 => Just(Address::Unix(UnixAddress::Abstract(b"xyz".to_vec()))),
        1 => Just(Address::Unix(UnixAddress::Unnamed)),
    ]
}

/// A question: the socket's kind, local address and peer, the operation, and the name that is looked up.
pub(crate) fn question() -> impl Strategy<Value = (SocketFacts, OpSet, Option<Address>)> {
    let family = prop::sample::select(vec![Family::Inet, Family::Inet6, Family::Unix]);
    let socket_type = prop::sample::select(vec![SocketType::Stream, SocketType::Datagram]);
    let ops = prop::sample::select(vec![
        OpSet::CONNECT,
        OpSet::BIND,
        OpSet::LISTEN,
        OpSet::SEND_TO,
        OpSet::RECEIVE,
        OpSet::CONNECT | OpSet::SEND_TO,
    ]);
    let kind = (family, socket_type).prop_map(|(family, socket_type)| Kind {
        family,
        socket_type,
        protocol: 0,
    });
    let end = || prop::option::of(address());
    (kind, end(), end(), ops, any::<bool>()).prop_map(|(kind, local, peer, ops, chosen)| {
        let mut facts = SocketFacts::new(kind);
        facts.local = local;
        facts.local_chosen = chosen;
        (facts, ops, peer)
    })
}

fn by_hand<'p>(all: &'p [Clause], ask: &Ask<'_>, pins: &Pins) -> Vec<&'p Clause> {
    let now = Instant::now;
    all.iter()
        .filter(|clause| examine(clause, ask, pins, now).is_ok())
        .collect()
}

fn same(one: &[&Clause], other: &[&Clause]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| ptr::eq(*one, *other))
}

fn agrees(policy: &Policy, ask: &Ask<'_>, pins: &Pins) -> bool {
    let now = Instant::now;
    let found: Vec<&Clause> = candidates(policy, ask, pins)
        .filter(|clause| examine(clause, ask, pins, now).is_ok())
        .collect();
    let denied = policy.deny.all().iter().find(|clause| forbids(clause, ask));
    let by_index = forbidding(policy, ask);
    same(&found, &by_hand(policy.allow.all(), ask, pins))
        && same(denied.as_slice(), by_index.as_slice())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_index_leaves_out_nothing_that_matches(
        rules in prop::collection::vec(rule(), 0..12),
        questions in prop::collection::vec(question(), 1..12),
        pinned in prop::collection::vec((prop::sample::select(HOSTS.to_vec()), ip()), 0..6),
    ) {
        let numbered = rules.iter().enumerate();
        let text: String = numbered.map(|(number, (deny, rule))| section(*deny, number, rule)).collect();
        let policy = load(&text).expect("each rule loads by itself");
        let pins = Pins::default();
        for (name, ip) in pinned {
            pins.add(&name.into(), ip, Instant::now());
        }
        for (facts, ops, peer) in &questions {
            let mut ask = Ask::socket(*ops, facts);
            if let Some(peer) = peer {
                ask = ask.with_destination(peer);
            }
            prop_assert!(agrees(&policy, &ask, &pins), "{ask:?}\n{text}");
            let chosen = Ask { local_side: Side::LocalChosen, ..ask.clone() };
            prop_assert!(agrees(&policy, &chosen, &pins), "{chosen:?}\n{text}");
        }
        for name in HOSTS.iter().chain(&["evilexample.com", "c.b.example.com"]) {
            let ask = Ask::socketless(OpSet::RESOLVE, What::Host((*name).into()));
            prop_assert!(agrees(&policy, &ask, &pins), "{name}\n{text}");
        }
        for (facts, _, _) in &questions {
            if let Some(ip) = facts.local.as_ref().and_then(Address::ip) {
                let ask = Ask::socketless(OpSet::REVERSE_RESOLVE, What::Ip(ip));
                prop_assert!(agrees(&policy, &ask, &pins), "{ip}\n{text}");
            }
        }
    }
}
