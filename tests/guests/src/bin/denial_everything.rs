//! Calls everything that a guest can call without having a socket: every family with every type and every
//! protocol of the WIT package, pairs, granted sockets, names. Prints `CALL -> OUTCOME` for each.
//!
//! With the argument `free`: what needs no grant instead.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use sockgate_guest::names::{self, Hints, LookupFlags, NameFlags};
use sockgate_guest::{
    Errno, Family, NameError, Poller, Protocol, Socket, SocketAddress, SocketType, Timeout,
    default_timeout, last_denial,
};

const FAMILIES: &[Family] = &[
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
    Family::Hyperv,
    Family::System,
    Family::Link,
    Family::Divert,
    Family::Other(0),
    Family::Other(2),
    Family::Other(16),
    Family::Other(45),
    Family::Other(u16::MAX),
];

const TYPES: &[SocketType] = &[
    SocketType::Stream,
    SocketType::Datagram,
    SocketType::Seqpacket,
    SocketType::Raw,
    SocketType::Rdm,
    SocketType::Other(2),
    SocketType::Other(10),
    // SOCK_NONBLOCK and SOCK_CLOEXEC share the argument with the type.
    SocketType::Other(2048 | 1),
    SocketType::Other(u16::MAX),
];

const PROTOCOLS: &[Protocol] = &[
    Protocol::Default,
    Protocol::Icmp,
    Protocol::Igmp,
    Protocol::Tcp,
    Protocol::Udp,
    Protocol::Dccp,
    Protocol::Ipv6Icmp,
    Protocol::Sctp,
    Protocol::Udplite,
    Protocol::RawIp,
    Protocol::Mptcp,
    Protocol::L2tp,
    Protocol::CanRaw,
    Protocol::CanBcm,
    Protocol::CanIsotp,
    Protocol::CanJ1939,
    Protocol::L2cap,
    Protocol::Hci,
    Protocol::Sco,
    Protocol::Rfcomm,
    Protocol::Bnep,
    Protocol::Hidp,
    Protocol::Iso,
    Protocol::NetlinkRoute,
    Protocol::NetlinkUsersock,
    Protocol::NetlinkSockDiag,
    Protocol::NetlinkNflog,
    Protocol::NetlinkXfrm,
    Protocol::NetlinkAudit,
    Protocol::NetlinkNetfilter,
    Protocol::NetlinkKobjectUevent,
    Protocol::NetlinkGeneric,
    Protocol::NetlinkCrypto,
    Protocol::Ethertype(3),
    Protocol::Other(0),
    Protocol::Other(u32::MAX),
];

fn main() {
    println!("@guest");
    if std::env::args().nth(1).is_some_and(|word| word == "free") {
        return without_a_grant();
    }
    every_kind();
    other_calls();
    println!("last-denial -> {:?}", last_denial());
}

fn errno(error: &io::Error) -> String {
    match Errno::of(error) {
        Some(errno) => errno.name().trim_start_matches('E').to_lowercase(),
        None => error.to_string(),
    }
}

fn report<T: Debug>(call: &str, outcome: io::Result<T>) {
    match outcome {
        Ok(value) => println!("{call} -> ok {value:?}"),
        Err(error) => println!("{call} -> {}", errno(&error)),
    }
}

fn report_name<T: Debug>(call: &str, outcome: Result<T, NameError>) {
    report(call, outcome.map_err(io::Error::from));
}

/// Every family, type and protocol: one line says how many were refused, others are told one by one.
fn every_kind() {
    let (mut tried, mut refused) = (0, 0);
    for &family in FAMILIES {
        for &socket_type in TYPES {
            for &protocol in PROTOCOLS {
                let outcomes = [
                    (
                        "socket",
                        Socket::new(family, socket_type, protocol).map(drop),
                    ),
                    (
                        "socketpair",
                        Socket::pair(family, socket_type, protocol).map(drop),
                    ),
                ];
                for (call, outcome) in outcomes {
                    tried += 1;
                    match outcome {
                        Err(error) if Errno::of(&error) == Some(Errno::ACCES) => refused += 1,
                        other => report(
                            &format!("{call} {family:?} {socket_type:?} {protocol:?}"),
                            other,
                        ),
                    }
                }
            }
        }
    }
    println!("kinds -> {refused} of {tried} refused");
}

/// What needs a grant and no socket.
fn other_calls() {
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let address = SocketAddress::from((loopback, 80));
    report("granted", Socket::granted("web").map(drop));
    for host in ["localhost", "example.invalid", "localhost.", "LOCALHOST"] {
        report_name(
            &format!("look-up {host}"),
            names::look_up(Some(host), Some("80"), &Hints::default()),
        );
    }
    report_name(
        "host-by-name",
        names::host_by_name("localhost", Timeout::Blocking),
    );
    report_name(
        "host-by-address",
        names::host_by_address(loopback, Timeout::Blocking),
    );
    report_name(
        "name-of",
        names::name_of(&address, NameFlags::empty(), Timeout::Blocking),
    );
    report("host-name", names::host_name());
    report("set-host-name", names::set_host_name("taken-over"));
    report("interfaces", names::interfaces());
    report("interface-index", names::interface_index("lo"));
    report("interface-name", names::interface_name(1));
}

/// What needs none: it says nothing of this machine, and asks nobody.
fn without_a_grant() {
    let loopback = SocketAddress::from((IpAddr::from(Ipv4Addr::LOCALHOST), 80));
    let numeric = Hints {
        flags: LookupFlags::NUMERIC_HOST,
        ..Hints::default()
    };
    report_name(
        "numeric look-up",
        names::look_up(Some("127.0.0.1"), Some("80"), &numeric).map(|found| found.len()),
    );
    report_name(
        "null look-up",
        names::look_up(None, Some("80"), &Hints::default()).map(|found| found.len()),
    );
    report_name(
        "numeric name-of",
        names::name_of(
            &loopback,
            NameFlags::NUMERIC_HOST | NameFlags::NUMERIC_SERVICE,
            Timeout::Blocking,
        ),
    );
    report(
        "service-by-name",
        names::service_by_name("http", Some("tcp")).map(|service| service.port),
    );
    report(
        "service-by-port",
        names::service_by_port(80, Some("tcp")).map(|service| service.name),
    );
    report(
        "protocol-by-name",
        names::protocol_by_name("tcp").map(|protocol| protocol.number),
    );
    report(
        "protocol-by-number",
        names::protocol_by_number(17).map(|protocol| protocol.name),
    );
    report("poller", Poller::new().map(drop));
    println!("default-timeout -> {:?}", default_timeout());
}
