//! What one round of one column stands on: addresses, the native peer, and the policy that grants exactly
//! these addresses.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use sockgate::policy::{Policy, Source};

use crate::case::Case;
use crate::cpu::Cpus;
use crate::native::Times;
use crate::peer::Peer;

/// Everything is new for each round of each column.
pub struct Stage {
    /// What the program is called with: its own address if it has one, then its peer's; or its crowd.
    pub addresses: Vec<String>,
    peer: Option<Peer>,
    policy: String,
}

impl Stage {
    /// Puts the case's stage up. Unix sockets go beneath `folder`.
    pub fn set(case: Case, times: Times, cpus: Cpus, folder: &Path) -> Result<Stage> {
        match case {
            Case::UdpPingPong => {
                let (peer, address) = Peer::udp_echo()?;
                let [own] = free_addresses()?;
                let policy = udp_policy(&[own], &[address.parse()?]);
                Ok(Stage::with_peer(
                    peer,
                    vec![own.to_string(), address],
                    policy,
                ))
            }
            Case::UnixPingPong => {
                for name in ["own", "peer"] {
                    remove(&folder.join(name))?;
                }
                let peer = Peer::unix_echo(&folder.join("peer"))?;
                let path = |name| folder.join(name).display().to_string();
                let policy = unix_policy(&folder.display().to_string());
                Ok(Stage::with_peer(
                    peer,
                    vec![path("own"), path("peer")],
                    policy,
                ))
            }
            Case::TcpPingPong => Stage::with_tcp(Peer::tcp_echo()?),
            Case::TcpSend => Stage::with_tcp(Peer::tcp_sink(cpus.peer)?),
            Case::TcpRecv => Stage::with_tcp(Peer::tcp_source(cpus.peer, times)?),
            Case::UdpPair | Case::UdpBatch => {
                let [one, other] = free_addresses()?;
                Ok(Stage {
                    addresses: vec![one.to_string(), other.to_string()],
                    peer: None,
                    policy: udp_policy(&[one, other], &[one, other]),
                })
            }
            Case::PollerFew | Case::PollerMany | Case::ExecutorFew | Case::ExecutorMany => {
                let idle = case.idle().unwrap_or_default();
                Ok(Stage {
                    addresses: vec![idle.to_string(), "together".to_owned()],
                    peer: None,
                    policy: CROWD_POLICY.to_owned(),
                })
            }
            Case::UnixPair | Case::UnixBatch => Ok(Stage {
                addresses: Vec::new(),
                peer: None,
                policy: PAIR_POLICY.to_owned(),
            }),
        }
    }

    fn with_peer(peer: Peer, addresses: Vec<String>, policy: String) -> Stage {
        Stage {
            addresses,
            peer: Some(peer),
            policy,
        }
    }

    fn with_tcp((peer, address): (Peer, String)) -> Result<Stage> {
        let policy = tcp_policy(address.parse()?);
        Ok(Stage::with_peer(peer, vec![address], policy))
    }

    /// The policy that a guest of this round gets.
    pub fn policy(&self) -> Result<Policy> {
        Policy::from_toml(&Source::new("the benchmark's policy", &self.policy))
            .map_err(|errors| anyhow!("{errors}"))
    }

    /// Waits for the peer, and says what went wrong there.
    pub fn strike(self) -> Result<()> {
        self.peer.map_or(Ok(()), Peer::join)
    }
}

/// UDP addresses that were free a moment ago.
fn free_addresses<const COUNT: usize>() -> Result<[SocketAddr; COUNT]> {
    let mut held = Vec::new();
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); COUNT];
    for address in &mut addresses {
        let socket = UdpSocket::bind(*address).context("no UDP port is free on 127.0.0.1")?;
        *address = socket.local_addr()?;
        // Held until all are chosen, so that they differ.
        held.push(socket);
    }
    Ok(addresses)
}

/// Takes the socket file of the round before away.
fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn tcp_policy(peer: SocketAddr) -> String {
    format!(
        r#"
version = 1
[[allow]]
id = "peer"
family = ["inet"]
type = ["stream"]
ops = ["connect"]
cidr = ["{}"]
port = ["{}"]
"#,
        peer.ip(),
        peer.port()
    )
}

/// UDP sockets at these local addresses, with these peers. Two rules, since `wasi:sockets` does not say
/// which socket it is that connects or sends.
fn udp_policy(local: &[SocketAddr], peers: &[SocketAddr]) -> String {
    let ports = |addresses: &[SocketAddr]| -> Vec<String> {
        addresses
            .iter()
            .map(|address| address.port().to_string())
            .collect()
    };
    let (local, peers) = (ports(local), ports(peers));
    format!(
        r#"
version = 1
[[allow]]
id = "own"
family = ["inet"]
type = ["datagram"]
ops = ["bind", "receive"]
local = {{ cidr = ["127.0.0.1"], port = {local:?} }}
peer = {{ cidr = ["127.0.0.1"], port = {peers:?} }}
[[allow]]
id = "peer"
family = ["inet"]
type = ["datagram"]
ops = ["connect", "send-to"]
cidr = ["127.0.0.1"]
port = {peers:?}
"#
    )
}

fn unix_policy(folder: &str) -> String {
    format!(
        r#"
version = 1
[[allow]]
id = "peer"
family = ["unix"]
type = ["datagram"]
ops = ["bind", "connect"]
local = {{ root = "{folder}", path = ["own"] }}
peer = {{ root = "{folder}", path = ["peer"] }}
"#
    )
}

const PAIR_POLICY: &str = r#"
version = 1
[[allow]]
id = "pair"
family = ["unix"]
type = ["datagram"]
ops = ["socketpair"]
"#;

const CROWD_POLICY: &str = r#"
version = 1
[limits]
sockets = 12000
[[allow]]
id = "crowd"
family = ["unix"]
type = ["stream"]
ops = ["socketpair"]
"#;
