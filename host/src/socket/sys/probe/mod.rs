//! Which families, types, protocols and options this kernel and this user have, and how to get what is
//! missing.
//!
//! Nothing is concluded from a version or a file: each row is tried with the call that a program would
//! make, and files (the kernel's configuration, its list of modules, `/proc/self/status`) only tell the
//! mend. No trial waits, sends beyond this process, or leaves anything behind but the modules that the
//! kernel loads by itself for a family that it is asked for.
//!
//! A new family is one file beside [`can`] and one line in [`FAMILIES`]; a family without options is one
//! line in [`others`].

mod alg;
mod bluetooth;
mod can;
mod find;
mod host;
mod inet;
mod kernel;
mod look;
mod netlink;
mod others;
mod packet;
mod rds;
mod unix;
mod vsock;

use std::fmt;

use serde::Serialize;

use super::Errno;
use kernel::Kernel;
use look::Look;

/// What [`probe`] found of one kind of socket, one option, or one thing that the host itself needs.
///
/// Serializes as an object with the keys `family`, `type`, `protocol`, `name`, `status`, `detail` and
/// `mend`; `type` and `protocol` are null where a row has none. Family, type, protocol and name together
/// are unique, and every kernel gives the same rows in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Probe {
    /// The family as policies and the WIT package call it (`inet`, `can`), or `host` for what the host
    /// itself needs.
    pub family: &'static str,
    /// The type of socket(2): `stream`, `datagram`, `seqpacket`, `raw`, `rdm`, `dccp`.
    #[serde(rename = "type")]
    pub socket_type: Option<&'static str>,
    /// The protocol: `tcp`, `sctp`, `isotp`, `hash`.
    pub protocol: Option<&'static str>,
    /// `socket` for the kind of socket itself; else the option (`TCP_FASTOPEN`), the capability
    /// (`CAP_NET_RAW`), or the thing (`interfaces`).
    pub name: &'static str,
    /// Whether it is there for this user.
    pub status: ProbeStatus,
    /// What the kernel answered, or what is known besides; may be empty.
    pub detail: String,
    /// How to get it; empty where it works.
    pub mend: String,
}

/// Whether something is there, and for this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeStatus {
    /// A program can use it.
    Works,
    /// It is there, and something that it needs to be of use is not: an interface, a controller, a sysctl,
    /// a capability for part of it.
    Limited,
    /// The kernel has it, and refuses it to this user.
    Denied,
    /// This kernel does not have it.
    Absent,
}

impl ProbeStatus {
    /// `works`, `limited`, `denied` or `absent`.
    pub fn name(self) -> &'static str {
        match self {
            ProbeStatus::Works => "works",
            ProbeStatus::Limited => "limited",
            ProbeStatus::Denied => "denied",
            ProbeStatus::Absent => "absent",
        }
    }
}

impl fmt::Display for ProbeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why [`probe`] could not look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A family that [`probe_families`] does not name.
    #[error("`{0}` is no family: the families are {known}", known = known())]
    UnknownFamily(String),
    /// This process has no descriptors or no memory left to try anything with: `mfile`, `nfile`, `nobufs`,
    /// `nomem`.
    #[error(
        "the kernel could not be asked: {0}; close descriptors, or raise the limit (ulimit -n)"
    )]
    Exhausted(Errno),
}

/// The rows of one family.
type Rows = fn(&mut Look<'_>) -> Result<(), Errno>;

/// Every family, in the order of the rows.
const FAMILIES: &[(&str, Rows)] = &[
    ("host", host::look),
    ("inet", inet::look_v4),
    ("inet6", inet::look_v6),
    ("unix", unix::look),
    ("netlink", netlink::look),
    ("packet", packet::look),
    ("can", can::look),
    ("vsock", vsock::look),
    ("tipc", |look| look.kinds("tipc", others::TIPC)),
    ("rds", rds::look),
    ("alg", alg::look),
    ("bluetooth", bluetooth::look),
    ("qipcrtr", |look| look.kinds("qipcrtr", others::QIPCRTR)),
    ("kcm", |look| look.kinds("kcm", others::KCM)),
    ("xdp", |look| look.kinds("xdp", others::XDP)),
    ("smc", |look| look.kinds("smc", others::SMC)),
    ("key", |look| look.kinds("key", others::KEY)),
    ("pppox", |look| look.kinds("pppox", others::PPPOX)),
    ("llc", |look| look.kinds("llc", others::LLC)),
    ("rxrpc", |look| look.kinds("rxrpc", others::RXRPC)),
    ("phonet", |look| look.kinds("phonet", others::PHONET)),
    ("ieee802154", |look| {
        look.kinds("ieee802154", others::IEEE802154)
    }),
    ("caif", |look| look.kinds("caif", others::CAIF)),
    ("nfc", |look| look.kinds("nfc", others::NFC)),
    ("x25", |look| look.kinds("x25", others::X25)),
    ("ax25", |look| look.kinds("ax25", others::AX25)),
    ("appletalk", |look| {
        look.kinds("appletalk", others::APPLETALK)
    }),
    ("mctp", |look| look.kinds("mctp", others::MCTP)),
];

/// The families that [`probe`] knows, in the order of its rows; `host` stands for what the host itself
/// needs and for the user's capabilities.
pub fn probe_families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _)| *name)
}

fn known() -> String {
    probe_families().collect::<Vec<_>>().join(", ")
}

/// Tries which families, types, protocols and options this kernel gives this process: all of them, or
/// those of `families` ([`probe_families`] has their names).
///
/// Each is tried with the call that a program would make. socket(2) of a family that is not there makes
/// the kernel load its module if there is one (`request_module`, as for any program); nothing else stays.
/// A process without privileges gets its own truth, which may be another than root's. The calls take
/// milliseconds, and the loading of modules what it takes: an async program gives it a thread.
///
/// ```
/// # fn main() -> Result<(), sockgate::ProbeError> {
/// for row in sockgate::probe(&["can", "vsock"])? {
///     if row.status != sockgate::ProbeStatus::Works {
///         println!("{} {}: {}", row.family, row.name, row.mend);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A name that is no family, before anything is tried; or this process has no descriptors left.
pub fn probe(families: &[&str]) -> Result<Vec<Probe>, ProbeError> {
    for wanted in families {
        if !probe_families().any(|name| name == *wanted) {
            return Err(ProbeError::UnknownFamily((*wanted).to_owned()));
        }
    }
    let kernel = Kernel::read();
    let mut look = Look::new(&kernel);
    for (name, rows) in FAMILIES {
        if families.is_empty() || families.contains(name) {
            rows(&mut look).map_err(ProbeError::Exhausted)?;
        }
    }
    Ok(look.rows())
}

#[cfg(test)]
mod tests;
