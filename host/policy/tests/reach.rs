//! What a policy can ever need of the operating system: never less than it grants, and of the powers of
//! root no more than its rules name.

mod common;

use proptest::prelude::*;
use sockgate_policy::{
    Capabilities, Family, Kind, Mode, Policy, Protocols, Reach, SocketType, Source,
};

fn reach(lines: &[&str]) -> Reach {
    let policies = lines
        .iter()
        .map(|line| Policy::allow_line(line).unwrap_or_else(|errors| panic!("{errors}")));
    let policy = policies.fold(Policy::deny_all(), |all, one| all.merge(one).unwrap());
    policy.reach()
}

fn of_toml(text: &str) -> Reach {
    let source = Source::new(
        "test.toml",
        &format!("version = 1\n[[allow]]\nid = \"one\"\n{text}"),
    );
    let policy = Policy::from_toml(&source).unwrap_or_else(|errors| panic!("{errors}"));
    policy.reach()
}

fn kind(family: Family, socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family,
        socket_type,
        protocol,
    }
}

#[test]
fn a_policy_without_rules_reaches_nothing() {
    let reach = Policy::deny_all().reach();
    assert_eq!(reach, Reach::default());
    assert!(reach.kinds().is_empty() && !reach.resolves() && !reach.listens());
    assert_eq!(reach.capabilities(1024), Capabilities::empty());
    assert_eq!(reach.tcp_connects().to_string(), "none");
    assert!(reach.unix_binds().next().is_none() && !reach.knows_interfaces());
}

#[test]
fn a_client_makes_its_socket_and_no_other() {
    let reach = reach(&["tcp4 resolve,connect db.example.com:5432"]);
    let [only] = reach.kinds() else {
        panic!("{:?}", reach.kinds())
    };
    assert_eq!(
        (only.family, only.socket_type),
        (Family::Inet, SocketType::Stream)
    );
    assert_eq!(only.protocols, Protocols::Only([6].into()));
    assert!(reach.resolves() && !reach.listens());
    assert_eq!(reach.tcp_connects().to_string(), "5432");
    assert_eq!(reach.tcp_binds().to_string(), "0");
    assert!(!reach.makes(kind(Family::Inet, SocketType::Datagram, 17)));
}

#[test]
fn what_is_granted_by_name_alone_is_not_reached_without_it() {
    let any = of_toml("ops = [\"connect\"]\npeer = \"*\"");
    for (made, kind) in [
        (true, kind(Family::Inet, SocketType::Stream, 6)),
        (true, kind(Family::Inet6, SocketType::Stream, 262)),
        (false, kind(Family::Inet, SocketType::Stream, 132)),
        (false, kind(Family::Inet, SocketType::Datagram, 1)),
        (false, kind(Family::Inet, SocketType::Raw, 255)),
        (false, kind(Family::Netlink, SocketType::Raw, 0)),
        (true, kind(Family::Unix, SocketType::SeqPacket, 0)),
    ] {
        assert_eq!(any.makes(kind), made, "{kind}");
    }
    assert!(any.tcp_connects().is_all() && any.has_abstract_peers());
}

#[test]
fn low_ports_take_a_capability_and_others_none() {
    let low = reach(&["tcp listen 127.0.0.1:80"]);
    assert_eq!(low.capabilities(1024), Capabilities::NET_BIND_SERVICE);
    assert_eq!(
        low.capabilities(80),
        Capabilities::empty(),
        "everybody may bind it"
    );
    assert_eq!(low.capabilities(0), Capabilities::empty());
    for line in [
        "tcp listen 127.0.0.1:8080",
        "udp bind 127.0.0.1:0",
        "tcp connect 10.0.0.1:80",
    ] {
        assert_eq!(
            reach(&[line]).capabilities(1024),
            Capabilities::empty(),
            "{line}"
        );
    }
    let any = reach(&["udp bind *"]);
    assert_eq!(any.capabilities(1024), Capabilities::NET_BIND_SERVICE);
}

#[test]
fn each_power_of_root_is_kept_for_what_names_it() {
    let raw = Capabilities::NET_RAW;
    let admin = Capabilities::NET_ADMIN;
    let netlink = "family = [\"netlink\"]\nops = [\"connect\"]\npeer = \"*\"\n";
    for (text, wanted) in [
        (
            "family = [\"packet\"]\nops = [\"bind\"]\ninterface = [\"lo\"]",
            raw,
        ),
        (
            "family = [\"inet\"]\ntype = [\"raw\"]\nops = [\"send-to\"]\ncidr = [\"*\"]",
            raw,
        ),
        (
            "family = [\"inet\"]\ntype = [\"datagram\"]\nprotocol = [\"icmp\"]\nops = [\"send-to\"]\ncidr = [\"*\"]",
            Capabilities::empty(),
        ),
        (
            "family = [\"inet\"]\ntype = [\"stream\"]\nops = [\"connect\"]\ncidr = [\"*\"]\noptions = { set = [\"so.mark=7\"] }",
            admin,
        ),
        (
            "family = [\"inet\"]\ntype = [\"stream\"]\nops = [\"connect\"]\ncidr = [\"*\"]\noptions = { set = [\"*\"] }",
            Capabilities::empty(),
        ),
        (
            &format!("{netlink}protocol = [\"route\"]\nmessages = [\"get*\"]"),
            Capabilities::empty(),
        ),
        (
            &format!("{netlink}protocol = [\"route\"]\ndump-only = true"),
            Capabilities::empty(),
        ),
        (
            &format!("{netlink}protocol = [\"route\"]\nmessages = [\"getlink\", \"newlink\"]"),
            admin,
        ),
        (&format!("{netlink}protocol = [\"route\"]"), admin),
        (
            &format!("{netlink}protocol = [\"netfilter\"]\ndump-only = true"),
            admin,
        ),
        (
            &format!("{netlink}protocol = [\"generic\"]\nmessages = [\"ctrl:*\", \"nlctrl:3\"]"),
            Capabilities::empty(),
        ),
        (
            &format!("{netlink}protocol = [\"generic\"]\nmessages = [\"ctrl:*\", \"other:*\"]"),
            admin,
        ),
        (
            "family = [\"netlink\"]\nprotocol = [\"route\"]\nops = [\"bind\", \"receive\"]\ngroups = [\"link\"]",
            Capabilities::empty(),
        ),
        ("ops = [\"set-hostname\"]", Capabilities::SYS_ADMIN),
        (
            "family = [\"can\"]\nops = [\"bind\", \"receive\"]\ninterface = [\"can0\"]",
            Capabilities::empty(),
        ),
        (
            "family = [\"vsock\"]\nops = [\"listen\"]\ncid = [\"any\"]\nport = [\"2000\", \"1000\"]",
            Capabilities::NET_BIND_SERVICE,
        ),
        (
            "family = [\"vsock\"]\nops = [\"listen\"]\ncid = [\"any\"]\nport = [\"1024\"]",
            Capabilities::empty(),
        ),
    ] {
        assert_eq!(of_toml(text).capabilities(1024), wanted, "{text}");
    }
}

#[test]
fn unix_names_are_reached_by_their_directories() {
    let listener = reach(&["unix listen /run/app/*.sock"]);
    let roots: Vec<_> = listener.unix_binds().collect();
    assert_eq!(roots, [std::path::Path::new("/run/app")]);
    assert!(!listener.has_abstract_peers());
    assert!(reach(&["unix connect @name"]).has_abstract_peers());
    let client = reach(&["unix connect /run/app/x.sock"]);
    assert!(client.unix_binds().next().is_none() && !client.has_abstract_peers());
}

#[test]
fn a_pair_is_made_anew_only_where_it_may_arrive() {
    let unix = kind(Family::Unix, SocketType::Stream, 0);
    let pairs = "family = [\"unix\"]\nops = [\"socketpair\"";
    assert!(!of_toml(&format!("{pairs}]")).makes(unix));
    let passed = format!("{pairs}, \"descriptor-receive\"]\nkinds = [\"socket\"]");
    assert!(of_toml(&passed).makes(unix));
}

#[test]
fn modes_that_let_everything_through_reach_everything() {
    for mode in [Mode::Audit, Mode::Learn] {
        let reach = Policy::deny_all().with_mode(mode).reach();
        assert!(reach.is_everything() && reach.resolves() && reach.tcp_connects().is_all());
        assert!(reach.makes(kind(Family::Packet, SocketType::Raw, 3)));
        assert_eq!(reach.capabilities(1024), Capabilities::all());
        let narrow = Policy::deny_all().reach();
        assert!(reach.covers(&narrow, 1024) && !narrow.covers(&reach, 1024));
    }
}

#[test]
fn what_a_reload_needs_beyond_the_walls_is_named() {
    let old = reach(&["tcp4 connect 10.0.0.1:443", "unix listen /run/app/a.sock"]);
    assert!(old.covers(&old, 1024) && old.covers(&Reach::default(), 1024));
    for (line, wanted) in [
        ("tcp4 connect 10.0.0.2:80", "connect to ports of 80"),
        ("tcp6 connect [::1]:443", "inet6 stream sockets"),
        (
            "tcp4 listen 127.0.0.1:8080",
            "bind streams to ports of 8080",
        ),
        (
            "inet-sctp connect 10.0.0.1:443",
            "inet stream sockets of further protocols",
        ),
        ("udp4 send-to 10.0.0.1:53", "inet datagram sockets"),
        (
            "unix listen /run/other/a.sock",
            "Unix sockets in /run/other",
        ),
        ("unix connect @name", "abstract Unix names"),
        ("resolve example.com", "look-ups of names"),
        ("set-hostname", "CAP_SYS_ADMIN"),
    ] {
        let missing = old.missing(&reach(&[line]), 1024);
        assert!(
            missing.iter().any(|text| text == wanted),
            "{line}: {missing:?}"
        );
        assert!(
            old.clone()
                .join(&reach(&[line]))
                .covers(&reach(&[line]), 1024)
        );
    }
    let narrower = reach(&[
        "tcp4 connect 10.9.9.9:443",
        "unix listen /run/app/deep/b.sock",
    ]);
    let missing = old.missing(&narrower, 1024);
    assert!(old.covers(&narrower, 1024), "{missing:?}");
}

#[test]
fn ports_that_no_wall_holds_back_are_not_named() {
    let missing = |old: &[&str], new: &[&str], first_free_port| {
        reach(old).missing(&reach(new), first_free_port)
    };
    let none: [&str; 0] = [];
    let moved = |port: u16| format!("udp bind 127.0.0.1:{port}");
    let (before, after, low) = (moved(17781), moved(17799), moved(80));
    assert_eq!(missing(&[&before], &[&after], 1024), none);
    // A low port takes a capability, once for all of them, where the machine keeps it.
    assert_eq!(missing(&[&before], &[&low], 1024), ["CAP_NET_BIND_SERVICE"]);
    assert_eq!(missing(&[&before], &[&low], 80), none);
    assert_eq!(missing(&[&low], &[&moved(53)], 1024), none);
    // What the old policy had besides is not named, and takes nothing away.
    assert_eq!(
        missing(
            &["tcp4 listen 127.0.0.1:7000"],
            &["tcp4 listen 127.0.0.1:7000,7001,7005-7006"],
            1024
        ),
        ["bind streams to ports of 0, 7001, 7005-7006"]
    );
    // More ports than a wall lists are not narrowed.
    let many = "tcp4 connect 10.0.0.1:0-4096";
    let more = "tcp4 connect 10.0.0.1:1-4096";
    assert_eq!(
        missing(&[many], &["tcp4 connect 10.0.0.1:5000"], 1024),
        none
    );
    assert_eq!(
        missing(&[more], &["tcp4 connect 10.0.0.1:5000"], 1024),
        ["connect to ports of 5000"]
    );
}

/// Lines of many kinds, to join at random.
const LINES: [&str; 10] = [
    "tcp connect 10.0.0.0/8:443",
    "tcp4 listen 127.0.0.1:80",
    "udp bind,receive,reply 127.0.0.1:5000-6000",
    "udp6 send-to [::1]:53",
    "unix listen /run/x.sock",
    "unix-datagram send-to @name",
    "resolve *.example.com",
    "can bind,receive interface=can0",
    "vsock connect cid=2 port=1000-2000",
    "packet bind,receive interface=lo",
];

proptest! {
    #[test]
    fn joined_reaches_cover_each_other(
        some in proptest::collection::vec(0..LINES.len(), 0..6),
        others in proptest::collection::vec(0..LINES.len(), 0..6),
    ) {
        let lines = |places: &[usize]| places.iter().map(|place| LINES[*place]).collect::<Vec<_>>();
        let (one, other) = (reach(&lines(&some)), reach(&lines(&others)));
        let both = one.clone().join(&other);
        prop_assert!(both.covers(&one, 1024) && both.covers(&other, 1024));
        let whole = reach(&lines(&[some.clone(), others.clone()].concat()));
        prop_assert!(both.covers(&whole, 1024) && whole.covers(&both, 1024));
        // Order says nothing.
        let back = other.clone().join(&one);
        prop_assert!(both.covers(&back, 1024) && back.covers(&both, 1024));
    }

    #[test]
    fn no_socket_is_granted_beyond_the_reach(
        some in proptest::collection::vec(0..LINES.len(), 0..6),
        protocol in prop_oneof![0u32..300, any::<u32>()],
    ) {
        use SocketType::{Datagram, Raw, Rdm, SeqPacket, Stream};
        let lines: Vec<&str> = some.iter().map(|place| LINES[*place]).collect();
        let (gate, reach) = (common::lines(&lines), reach(&lines));
        for family in [
            Family::Inet, Family::Inet6, Family::Unix, Family::Can, Family::Vsock, Family::Packet,
            Family::Netlink, Family::Alg,
        ] {
            for socket_type in [Stream, Datagram, SeqPacket, Raw, Rdm] {
                let kind = kind(family, socket_type, protocol);
                prop_assert!(gate.create(kind).is_err() || reach.makes(kind), "{}", kind);
            }
        }
    }
}
