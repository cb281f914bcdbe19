//! What a verdict costs: policies of many rules, questions about addresses that nothing is kept of, and a
//! kept verdict, beside a system call.

use std::fmt::Write;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use sockgate_policy::{Address, Family, Gate, Kind, Policy, SocketFacts, SocketType, Source, op};

/// How the rules of a policy are bound to what they grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Each to a network and a port.
    Networks,
    /// Each to a port.
    Ports,
    /// Each to a host name.
    Hosts,
    /// A third each.
    Mixed,
    /// Each forbids a network, and one grants everything.
    Deny,
}

impl Rules {
    /// All of them.
    pub const ALL: [Rules; 5] = [
        Rules::Networks,
        Rules::Ports,
        Rules::Hosts,
        Rules::Mixed,
        Rules::Deny,
    ];

    /// The name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Rules::Networks => "networks",
            Rules::Ports => "ports",
            Rules::Hosts => "hosts",
            Rules::Mixed => "mixed",
            Rules::Deny => "deny",
        }
    }

    fn of(self, number: u32) -> Rules {
        match self {
            Rules::Mixed => [Rules::Networks, Rules::Ports, Rules::Hosts][number as usize % 3],
            rules => rules,
        }
    }

    /// A policy of so many rules.
    fn policy(self, count: u32) -> Policy {
        let mut text = String::from("version = 1\n");
        for number in 0..count {
            let kind = self.of(number);
            let word = if kind == Rules::Deny { "deny" } else { "allow" };
            let keys = match kind {
                Rules::Ports => format!("cidr = ['*']\nport = ['{}']", number + 1),
                Rules::Hosts => format!("host = ['h{number}.example.com']"),
                _ => format!(
                    "cidr = ['{}']\nport = ['{}']",
                    network(number),
                    port(number)
                ),
            };
            writeln!(
                text,
                "[[{word}]]\nid = 'r{number}'\nops = ['connect']\nfamily = ['inet']\ntype = ['stream']\n{keys}"
            )
            .expect("a string takes everything");
        }
        if self == Rules::Deny {
            text.push_str(
                "[[allow]]\nid = 'all'\nops = ['connect']\nfamily = ['inet']\ncidr = ['*']\n",
            );
        }
        Policy::from_toml(&Source::new("bench", &text)).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// An address that the rule of this number is about.
    fn address(self, number: u32) -> Address {
        let [_, _, second, third] = number.to_be_bytes();
        let last = match number.is_multiple_of(3) {
            true => 7,
            false => host_part(number),
        };
        let port = match self.of(number) {
            Rules::Ports => u16::try_from(number + 1).unwrap_or(u16::MAX),
            _ => port(number),
        };
        SocketAddr::from(([10, second, third, last], port)).into()
    }
}

fn host_part(number: u32) -> u8 {
    u8::try_from(number % 200).unwrap_or(0)
}

/// Every third rule names a network, the others one address.
fn network(number: u32) -> String {
    let [_, _, second, third] = number.to_be_bytes();
    match number.is_multiple_of(3) {
        true => format!("10.{second}.{third}.0/24"),
        false => format!("10.{second}.{third}.{}/32", host_part(number)),
    }
}

fn port(number: u32) -> u16 {
    1000 + u16::try_from(number % 1000).unwrap_or(0)
}

const TCP: Kind = Kind {
    family: Family::Inet,
    socket_type: SocketType::Stream,
    protocol: 6,
};

/// Questions of one round.
const QUESTIONS: u32 = 1000;

/// The fastest of some rounds, in nanoseconds for each of so many operations.
fn fastest(rounds: u32, operations: u32, mut round: impl FnMut(u32)) -> f64 {
    let mut best = f64::MAX;
    for number in 0..rounds {
        let start = Instant::now();
        round(number);
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(operations));
    }
    best
}

/// Nanoseconds for a verdict on an address that nothing is kept of, under so many rules.
pub fn uncached(rules: Rules, count: u32, rounds: u32) -> f64 {
    let gate = Gate::new(rules.policy(count));
    let facts = SocketFacts::new(TCP);
    // Each round asks about other addresses, in an order that no cache foresees.
    let addresses: Vec<Address> = (0..rounds * QUESTIONS)
        .map(|question| rules.address(question.wrapping_mul(7919) % count))
        .collect();
    let granted = addresses
        .iter()
        .filter(|address| gate.connect(&facts, address).is_ok())
        .count();
    match rules {
        // What no name resolved to, and what is forbidden.
        Rules::Hosts | Rules::Deny => assert_eq!(granted, 0),
        Rules::Mixed => assert!(granted * 3 > addresses.len(), "{granted}"),
        _ => assert_eq!(granted, addresses.len()),
    }
    fastest(rounds, QUESTIONS, |round| {
        let begin = (round * QUESTIONS) as usize;
        for address in &addresses[begin..begin + QUESTIONS as usize] {
            let _ = black_box(gate.connect(&facts, address));
        }
    })
}

/// Nanoseconds for asking whether a kept verdict still holds, which is all that a call on a connected socket asks.
pub fn kept(rounds: u32) -> f64 {
    let gate = Gate::new(Rules::Networks.policy(100));
    let facts = SocketFacts {
        peer: Some(Rules::Networks.address(1)),
        ..SocketFacts::new(TCP)
    };
    let permit: sockgate_policy::Permit<op::Converse> = gate
        .converse(&facts)
        .unwrap_or_else(|denial| panic!("{denial}"));
    let repeats = 100 * QUESTIONS;
    fastest(rounds, repeats, |_| {
        for _ in 0..repeats {
            assert!(black_box(&permit).holds(black_box(&gate)));
        }
    })
}

/// Nanoseconds for the cheapest system call, getppid(2).
pub fn system_call(rounds: u32) -> f64 {
    fastest(rounds, QUESTIONS, |_| {
        for _ in 0..QUESTIONS {
            black_box(std::os::unix::process::parent_id());
        }
    })
}
