//! One of each question that a policy is asked, by a short name: what the rows of `tests/rows` list.

use std::net::IpAddr;

use sockgate_policy::{
    Address, AdoptedState, Denial, DescriptorKind, Family, Gate, GroupRequest, Kind, Membership,
    NetlinkAddress, Operation, OptionName, Origin, Permit, SocketFacts, SocketType,
};

use super::families::{CAN_RAW, PACKET, VSOCK, can, frame, kind, packet, vsock};
use super::{ONE, TCP4, TCP6, UDP4, UNIX, UNIX_DATAGRAM, at, bound, data, fresh, option};

const PING: Kind = kind(Family::Inet, SocketType::Datagram, 1);
const RAW_ICMP: Kind = kind(Family::Inet, SocketType::Raw, 1);
const SCTP: Kind = kind(Family::Inet, SocketType::Stream, 132);
const DCCP: Kind = kind(Family::Inet, SocketType::Dccp, 33);
const ROUTE: Kind = kind(Family::Netlink, SocketType::Raw, 0);
const FAMILY_99: Kind = kind(Family::Other(99), SocketType::Stream, 0);
const TYPE_99: Kind = kind(Family::Inet, SocketType::Other(99), 0);

fn yes<O: Operation>(verdict: Result<Permit<O>, Denial>) -> bool {
    verdict.is_ok()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn between(kind: Kind, local: &str, peer: &str) -> SocketFacts {
    SocketFacts {
        local: (local != "-").then(|| at(local)),
        peer: Some(at(peer)),
        ..fresh(kind)
    }
}

fn born(origin: Origin, facts: SocketFacts) -> SocketFacts {
    SocketFacts { origin, ..facts }
}

fn handed(facts: SocketFacts) -> SocketFacts {
    SocketFacts {
        granted: true,
        ..facts
    }
}

fn dual(facts: SocketFacts) -> SocketFacts {
    SocketFacts {
        v6only: false,
        ..facts
    }
}

fn chosen(facts: SocketFacts) -> SocketFacts {
    SocketFacts {
        local_chosen: true,
        ..facts
    }
}

fn set(facts: SocketFacts, name: &str) -> SocketFacts {
    super::with_option(facts, name, 1)
}

fn pair() -> SocketFacts {
    born(Origin::Pair, between(UNIX, "", ""))
}

fn kernel() -> Address {
    Address::Netlink(NetlinkAddress { pid: 0, groups: 0 })
}

fn number(level: i32, name: i32) -> OptionName {
    OptionName::new(level, name)
}

fn joins(gate: &Gate, group: &str, source: Option<&str>, interface: Option<&str>) -> bool {
    let request = GroupRequest {
        group: ip(group),
        source: source.map(ip),
        interface: interface.map(str::to_owned),
    };
    yes(gate.join_group(&fresh(UDP4), &request))
}

fn sends(gate: &Gate, s: &SocketFacts, to: &Address) -> bool {
    yes(gate.send_to(s, to, &data(s)))
}

fn hears(gate: &Gate, s: &SocketFacts, from: &Address) -> bool {
    yes(gate.receive_from(s, from, &data(s)))
}

fn connects(gate: &Gate, kind: Kind, peer: &str) -> bool {
    yes(gate.connect(&fresh(kind), &at(peer)))
}

fn binds(gate: &Gate, kind: Kind, local: &str) -> bool {
    yes(gate.bind(&fresh(kind), &at(local)))
}

fn listens(gate: &Gate, kind: Kind, local: &str) -> bool {
    yes(gate.listen(&bound(kind, local)))
}

fn sets(gate: &Gate, s: &SocketFacts, name: &str) -> bool {
    yes(gate.set_option(s, option(name), &ONE))
}

fn gets(gate: &Gate, s: &SocketFacts, name: &str) -> bool {
    yes(gate.get_option(s, option(name)))
}

fn adopts(gate: &Gate, s: &SocketFacts, state: AdoptedState) -> bool {
    gate.adopt(s, state).is_ok()
}

/// A question's name, and the question.
pub type Question = (&'static str, fn(&Gate) -> bool);

/// What is asked of every row.
pub const QUESTIONS: &[Question] = &[
    ("tcp", |g| yes(g.create(TCP4))),
    ("tcp6", |g| yes(g.create(TCP6))),
    ("udp", |g| yes(g.create(UDP4))),
    ("unix", |g| yes(g.create(UNIX))),
    ("ping", |g| yes(g.create(PING))),
    ("raw", |g| yes(g.create(RAW_ICMP))),
    ("sctp", |g| yes(g.create(SCTP))),
    ("dccp", |g| yes(g.create(DCCP))),
    ("can", |g| yes(g.create(CAN_RAW))),
    ("netlink", |g| yes(g.create(ROUTE))),
    ("family-99", |g| yes(g.create(FAMILY_99))),
    ("type-99", |g| yes(g.create(TYPE_99))),
    // Connections: to a private address by two ports, a global one, by IPv6, mapped, and with one inside.
    ("connect-10:80", |g| connects(g, TCP4, "10.0.0.1:80")),
    ("connect-10:443", |g| connects(g, TCP4, "10.0.0.1:443")),
    ("connect-8:80", |g| connects(g, TCP4, "8.8.8.8:80")),
    ("connect-6:80", |g| connects(g, TCP6, "[2606:4700::1]:80")),
    ("connect-mapped", |g| {
        connects(g, TCP6, "[::ffff:10.0.0.1]:80")
    }),
    ("connect-nat64", |g| {
        connects(g, TCP6, "[64:ff9b::a00:1]:80")
    }),
    ("connect-0:80", |g| connects(g, TCP4, "0.0.0.0:80")),
    ("connect-from-10", |g| {
        yes(g.connect(&bound(TCP4, "10.0.0.5:4000"), &at("8.8.8.8:80")))
    }),
    ("connect-from-0", |g| {
        yes(g.connect(&bound(TCP4, "0.0.0.0:4000"), &at("8.8.8.8:80")))
    }),
    ("connect-kept-alive", |g| {
        let s = set(fresh(TCP4), "so.keepalive");
        yes(g.connect(&s, &at("10.0.0.1:80")))
    }),
    ("connect-marked", |g| {
        let s = set(fresh(TCP4), "so.mark");
        yes(g.connect(&s, &at("10.0.0.1:80")))
    }),
    ("connect-reused", |g| {
        let s = set(fresh(TCP4), "so.reuseaddr");
        yes(g.connect(&s, &at("10.0.0.1:80")))
    }),
    ("listen-reused", |g| {
        yes(g.listen(&set(bound(TCP4, "10.0.0.1:80"), "so.reuseaddr")))
    }),
    ("bind-datagram-reused", |g| {
        let s = set(fresh(UDP4), "so.reuseaddr");
        yes(g.bind(&s, &at("10.0.0.1:80")))
    }),
    ("connect-path", |g| connects(g, UNIX, "/run/a/x")),
    ("connect-other-path", |g| connects(g, UNIX, "/srv/x")),
    ("connect-unclean", |g| connects(g, UNIX, "/run/a/../x")),
    ("connect-abstract", |g| connects(g, UNIX, "@name")),
    ("connect-five-digits", |g| connects(g, UNIX, "@0a1b2")),
    ("connect-five-letters", |g| connects(g, UNIX, "@vwxyz")),
    ("connect-six-digits", |g| connects(g, UNIX, "@0a1b2c")),
    ("connect-five-mixed", |g| connects(g, UNIX, "@0a1bz")),
    ("connect-vsock", |g| {
        yes(g.connect(&fresh(VSOCK), &vsock(7, 80)))
    }),
    // Names.
    ("bind-10:80", |g| binds(g, TCP4, "10.0.0.1:80")),
    ("bind-10:443", |g| binds(g, TCP4, "10.0.0.1:443")),
    ("bind-10:0", |g| binds(g, TCP4, "10.0.0.1:0")),
    ("bind-8:80", |g| binds(g, TCP4, "8.8.8.8:80")),
    ("bind-0:80", |g| binds(g, TCP4, "0.0.0.0:80")),
    ("bind-6:80", |g| binds(g, TCP6, "[::]:80")),
    ("bind-6-one:80", |g| {
        yes(g.bind(&dual(fresh(TCP6)), &at("[2606:4700::1]:80")))
    }),
    ("bind-both:80", |g| {
        yes(g.bind(&dual(fresh(TCP6)), &at("[::]:80")))
    }),
    ("chosen-1023", |g| {
        yes(g.bound(&fresh(TCP4), &at("10.0.0.1:1023")))
    }),
    ("chosen-1024", |g| {
        yes(g.bound(&fresh(TCP4), &at("10.0.0.1:1024")))
    }),
    ("bind-path", |g| binds(g, UNIX, "/run/a/x")),
    ("bind-unclean", |g| binds(g, UNIX, "/run/a/../x")),
    ("bind-abstract", |g| binds(g, UNIX, "@name")),
    ("bind-auto", |g| binds(g, UNIX, "")),
    ("bind-empty", |g| binds(g, UNIX, "@")),
    ("chosen-auto", |g| yes(g.bound(&fresh(UNIX), &at("@0a1b2")))),
    ("listen-10:80", |g| listens(g, TCP4, "10.0.0.1:80")),
    ("listen-0:80", |g| listens(g, TCP4, "0.0.0.0:80")),
    ("listen-chosen", |g| {
        yes(g.listen(&chosen(bound(TCP4, "10.0.0.1:40000"))))
    }),
    ("listen-unbound", |g| yes(g.listen(&fresh(TCP4)))),
    ("listen-6-unbound", |g| yes(g.listen(&fresh(TCP6)))),
    ("listen-both-unbound", |g| yes(g.listen(&dual(fresh(TCP6))))),
    ("listen-path", |g| listens(g, UNIX, "/run/a/x")),
    ("listen-vsock", |g| yes(g.listen(&fresh(VSOCK)))),
    ("accept-10", |g| {
        yes(g.accept(&bound(TCP4, "0.0.0.0:80"), &at("10.0.0.1:4000")))
    }),
    ("accept-8", |g| {
        yes(g.accept(&bound(TCP4, "10.0.0.1:80"), &at("8.8.8.8:4000")))
    }),
    ("accept-unnamed", |g| {
        yes(g.accept(&bound(UNIX, "/run/a/x"), &at("")))
    }),
    // Conversations.
    ("converse-10:80", |g| {
        yes(g.converse(&between(TCP4, "-", "10.0.0.1:80")))
    }),
    ("converse-accepted", |g| {
        let s = between(TCP4, "10.0.0.1:80", "8.8.8.8:4000");
        yes(g.converse(&born(Origin::Accept, s)))
    }),
    ("converse-pair", |g| yes(g.converse(&pair()))),
    ("send-10:80", |g| sends(g, &fresh(UDP4), &at("10.0.0.1:80"))),
    ("send-8:80", |g| sends(g, &fresh(UDP4), &at("8.8.8.8:80"))),
    ("send-from-10", |g| {
        sends(g, &bound(UDP4, "10.0.0.5:4000"), &at("8.8.8.8:80"))
    }),
    ("send-own-peer", |g| {
        sends(g, &between(UDP4, "-", "10.0.0.1:80"), &at("10.0.0.1:80"))
    }),
    ("send-other-peer", |g| {
        sends(g, &between(UDP4, "-", "10.0.0.1:80"), &at("10.0.0.2:80"))
    }),
    ("send-path", |g| {
        sends(g, &fresh(UNIX_DATAGRAM), &at("/run/a/x"))
    }),
    ("reply-8", |g| {
        let s = bound(UDP4, "10.0.0.1:53");
        yes(g.reply(&s, &at("8.8.8.8:4000"), &data(&s)))
    }),
    ("receive", |g| yes(g.receive(&bound(UDP4, "10.0.0.1:53")))),
    ("receive-unbound", |g| yes(g.receive(&fresh(UDP4)))),
    ("receive-connected", |g| {
        yes(g.receive(&between(UDP4, "-", "10.0.0.1:53")))
    }),
    ("hear-8", |g| {
        hears(g, &bound(UDP4, "10.0.0.1:53"), &at("8.8.8.8:4000"))
    }),
    ("hear-unbound", |g| {
        hears(g, &fresh(UDP4), &at("8.8.8.8:4000"))
    }),
    ("hear-own-peer", |g| {
        hears(g, &between(UDP4, "-", "10.0.0.1:53"), &at("10.0.0.1:53"))
    }),
    ("hear-other-peer", |g| {
        hears(g, &between(UDP4, "-", "10.0.0.1:53"), &at("10.0.0.2:53"))
    }),
    ("pair", |g| yes(g.pair(UNIX))),
    ("pair-datagram", |g| yes(g.pair(UNIX_DATAGRAM))),
    // Options.
    ("get-rcvbuf", |g| gets(g, &fresh(TCP4), "so.rcvbuf")),
    ("get-type", |g| gets(g, &fresh(TCP4), "so.type")),
    ("get-type-raw", |g| gets(g, &fresh(RAW_ICMP), "so.type")),
    ("get-by-number", |g| {
        yes(g.get_option(&fresh(TCP4), number(1, 8)))
    }),
    ("get-rcvbuf-10", |g| {
        gets(g, &between(TCP4, "-", "10.0.0.1:80"), "so.rcvbuf")
    }),
    ("get-rcvbuf-8", |g| {
        gets(g, &between(TCP4, "-", "8.8.8.8:80"), "so.rcvbuf")
    }),
    ("get-rcvbuf-on-10", |g| {
        gets(g, &bound(TCP4, "10.0.0.1:80"), "so.rcvbuf")
    }),
    ("get-rcvbuf-on-8", |g| {
        gets(g, &bound(TCP4, "8.8.8.8:80"), "so.rcvbuf")
    }),
    ("get-rcvbuf-pair", |g| gets(g, &pair(), "so.rcvbuf")),
    ("get-rcvbuf-handed", |g| {
        gets(g, &handed(bound(TCP4, "10.0.0.1:80")), "so.rcvbuf")
    }),
    ("set-keepalive", |g| sets(g, &fresh(TCP4), "so.keepalive")),
    ("set-keepalive-udp", |g| {
        sets(g, &fresh(UDP4), "so.keepalive")
    }),
    ("set-keepalive-10", |g| {
        sets(g, &between(TCP4, "-", "10.0.0.1:80"), "so.keepalive")
    }),
    ("set-keepalive-8", |g| {
        sets(g, &between(TCP4, "-", "8.8.8.8:80"), "so.keepalive")
    }),
    ("set-mark", |g| sets(g, &fresh(TCP4), "so.mark")),
    ("set-reuseaddr", |g| sets(g, &fresh(TCP4), "so.reuseaddr")),
    ("set-nodelay", |g| sets(g, &fresh(TCP4), "tcp.nodelay")),
    ("set-v6only", |g| sets(g, &fresh(TCP6), "ipv6.v6only")),
    ("set-hdrincl", |g| sets(g, &fresh(RAW_ICMP), "ip.hdrincl")),
    ("set-membership", |g| {
        sets(g, &fresh(UDP4), "ip.add-membership")
    }),
    // Groups.
    ("join", |g| joins(g, "239.1.0.1", None, None)),
    ("join-eth0", |g| joins(g, "239.1.0.1", None, Some("eth0"))),
    ("join-wlan0", |g| joins(g, "239.1.0.1", None, Some("wlan0"))),
    ("join-10", |g| joins(g, "239.1.0.1", Some("10.0.0.1"), None)),
    ("join-8", |g| joins(g, "239.1.0.1", Some("8.8.8.8"), None)),
    ("join-239.2", |g| joins(g, "239.2.0.1", None, None)),
    ("join-mapped", |g| joins(g, "::ffff:239.1.0.1", None, None)),
    ("join-handed", |g| {
        let request = GroupRequest {
            group: ip("239.1.0.1"),
            source: None,
            interface: None,
        };
        yes(g.join_group(&handed(bound(UDP4, "10.0.0.1:53")), &request))
    }),
    ("events", |g| {
        let membership = Membership::NetlinkGroup(1);
        let option = option("netlink.add-membership");
        yes(g.set_membership(&fresh(ROUTE), option, &membership))
    }),
    ("events-5", |g| {
        let membership = Membership::NetlinkGroup(5);
        let option = option("netlink.add-membership");
        yes(g.set_membership(&fresh(ROUTE), option, &membership))
    }),
    // Descriptors, and moving bytes.
    ("send-socket", |g| {
        yes(g.descriptor_send(&between(UNIX, "-", "/run/a/x"), DescriptorKind::Socket))
    }),
    ("send-file", |g| {
        yes(g.descriptor_send(&between(UNIX, "-", "/run/a/x"), DescriptorKind::Opaque))
    }),
    ("send-file-accepted", |g| {
        let s = born(Origin::Accept, between(UNIX, "/run/a/x", ""));
        yes(g.descriptor_send(&s, DescriptorKind::Opaque))
    }),
    ("send-file-pair", |g| {
        yes(g.descriptor_send(&pair(), DescriptorKind::Opaque))
    }),
    ("send-file-handed", |g| {
        let s = handed(between(UNIX, "-", "/run/a/x"));
        yes(g.descriptor_send(&s, DescriptorKind::Opaque))
    }),
    ("take-socket", |g| {
        yes(g.descriptor_receive(&between(UNIX, "-", "/run/a/x"), DescriptorKind::Socket))
    }),
    ("take-file", |g| {
        yes(g.descriptor_receive(&between(UNIX, "-", "/run/a/x"), DescriptorKind::Opaque))
    }),
    ("take-file-elsewhere", |g| {
        yes(g.descriptor_receive(&between(UNIX, "-", "/srv/x"), DescriptorKind::Opaque))
    }),
    ("disconnect", |g| {
        yes(g.disconnect(&between(UDP4, "-", "10.0.0.1:80")))
    }),
    ("disconnect-handed", |g| {
        yes(g.disconnect(&handed(between(UDP4, "-", "10.0.0.1:80"))))
    }),
    ("splice", |g| {
        let (from, to) = ("10.0.0.1:80", "10.0.0.2:80");
        yes(g.splice(&between(TCP4, "-", from), &between(TCP4, "-", to)))
    }),
    ("splice-to-8", |g| {
        let (from, to) = ("10.0.0.1:80", "8.8.8.8:80");
        yes(g.splice(&between(TCP4, "-", from), &between(TCP4, "-", to)))
    }),
    ("splice-from-8", |g| {
        let (from, to) = ("8.8.8.8:80", "10.0.0.1:80");
        yes(g.splice(&between(TCP4, "-", from), &between(TCP4, "-", to)))
    }),
    ("splice-handed", |g| {
        let s = handed(between(TCP4, "-", "10.0.0.1:80"));
        yes(g.splice(&s, &s))
    }),
    ("readable", |g| yes(g.ioctl(&fresh(TCP4), "bytes-readable"))),
    ("unsent", |g| yes(g.ioctl(&fresh(TCP4), "bytes-unsent"))),
    ("readable-handed", |g| {
        yes(g.ioctl(&handed(bound(TCP4, "10.0.0.1:80")), "bytes-readable"))
    }),
    // Sockets that come from elsewhere.
    ("handed-listener", |g| {
        yes(g.granted(&bound(TCP4, "10.0.0.1:80")))
    }),
    ("handed-path", |g| yes(g.granted(&bound(UNIX, "/run/a/x")))),
    ("handed-accepting", |g| {
        yes(g.accepting(&handed(bound(TCP4, "10.0.0.1:80"))))
    }),
    ("handed-listening-anew", |g| {
        yes(g.listen(&handed(bound(TCP4, "10.0.0.1:80"))))
    }),
    ("handed-connecting", |g| {
        yes(g.connect(&handed(fresh(TCP4)), &at("10.0.0.1:80")))
    }),
    ("handed-binding", |g| {
        yes(g.bind(&handed(fresh(TCP4)), &at("10.0.0.1:80")))
    }),
    ("handed-sending", |g| {
        sends(g, &handed(bound(UDP4, "10.0.0.1:53")), &at("8.8.8.8:80"))
    }),
    ("handed-replying", |g| {
        let s = handed(bound(UDP4, "10.0.0.1:53"));
        yes(g.reply(&s, &at("8.8.8.8:4000"), &data(&s)))
    }),
    ("adopt-connected", |g| {
        adopts(
            g,
            &between(TCP4, "10.0.0.5:4000", "10.0.0.1:80"),
            AdoptedState::Connected,
        )
    }),
    ("adopt-accepted", |g| {
        adopts(
            g,
            &between(TCP4, "10.0.0.1:80", "8.8.8.8:4000"),
            AdoptedState::Connected,
        )
    }),
    ("adopt-marked", |g| {
        let s = set(between(TCP4, "10.0.0.5:4000", "10.0.0.1:80"), "so.mark");
        adopts(g, &s, AdoptedState::Connected)
    }),
    ("adopt-pair", |g| {
        adopts(g, &between(UNIX, "", ""), AdoptedState::Connected)
    }),
    ("adopt-pair-unbound", |g| {
        adopts(g, &between(UNIX, "-", ""), AdoptedState::Connected)
    }),
    ("adopt-half-named", |g| {
        adopts(g, &between(UNIX, "/run/a/x", ""), AdoptedState::Connected)
    }),
    ("adopt-half-named-peer", |g| {
        adopts(g, &between(UNIX, "", "/run/a/x"), AdoptedState::Connected)
    }),
    ("adopt-listening", |g| {
        adopts(g, &bound(TCP4, "10.0.0.1:80"), AdoptedState::Listening)
    }),
    ("adopt-bound", |g| {
        adopts(g, &bound(TCP4, "10.0.0.1:80"), AdoptedState::Bound)
    }),
    ("adopt-bound-udp", |g| {
        adopts(g, &bound(UDP4, "10.0.0.1:53"), AdoptedState::Bound)
    }),
    ("adopt-unbound", |g| {
        adopts(g, &fresh(TCP4), AdoptedState::Unbound)
    }),
    ("adopt-unbound-marked", |g| {
        adopts(g, &set(fresh(TCP4), "so.mark"), AdoptedState::Unbound)
    }),
    ("adopt-raw", |g| {
        adopts(g, &fresh(RAW_ICMP), AdoptedState::Unbound)
    }),
    ("adopt-can", |g| {
        adopts(g, &fresh(CAN_RAW), AdoptedState::Unbound)
    }),
    // Shutting down comes with what granted the socket.
    ("shut-pair", |g| yes(g.shutdown(&pair()))),
    ("shut-handed", |g| {
        yes(g.shutdown(&handed(bound(TCP4, "10.0.0.1:80"))))
    }),
    ("shut-connected", |g| {
        yes(g.shutdown(&between(TCP4, "-", "10.0.0.1:80")))
    }),
    ("shut-fresh", |g| yes(g.shutdown(&fresh(TCP4)))),
    // Names of hosts and of this machine.
    ("resolve-a", |g| yes(g.resolve(b"a.example"))),
    ("resolve-b", |g| yes(g.resolve(b"b.example"))),
    ("reverse-10", |g| yes(g.reverse_resolve(ip("10.0.0.1")))),
    ("reverse-8", |g| yes(g.reverse_resolve(ip("8.8.8.8")))),
    ("interfaces", |g| yes(g.interfaces())),
    ("hostname", |g| yes(g.hostname())),
    ("set-hostname", |g| yes(g.set_hostname(b"box"))),
    // Other families.
    ("can-bind", |g| yes(g.bind(&fresh(CAN_RAW), &can("can0")))),
    ("can-send", |g| {
        let s = super::families::bound(CAN_RAW, &can("can0"));
        yes(g.send_to(&s, &can("can0"), &frame(0x123, false)))
    }),
    ("can-send-fd", |g| {
        let s = super::families::bound(CAN_RAW, &can("can0"));
        yes(g.send_to(&s, &can("can0"), &frame(0x123, true)))
    }),
    ("can-converse", |g| {
        yes(g.converse(&super::families::connected(CAN_RAW, &can("can0"))))
    }),
    ("packet-bind", |g| {
        yes(g.bind(&fresh(PACKET), &packet("eth0", 0x88cc)))
    }),
    ("netlink-bind", |g| yes(g.bind(&fresh(ROUTE), &kernel()))),
];
