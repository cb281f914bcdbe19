//! Learnt policies: what they say, that they grant what was seen, and that they grant no more.

mod common;

use std::time::{Duration, Instant};

use common::{ONE, TCP4, UDP4, UNIX, at, bound, data, fresh, option};
use sockgate_policy::{
    AncillaryKind, AncillarySet, Gate, Generalise, GroupRequest, MessageFlags, Mode, Origin,
    Policy, Ports, SocketFacts, Source,
};

fn learning() -> Gate {
    Gate::new(Policy::deny_all().with_mode(Mode::Learn))
}

fn learnt(gate: &Gate) -> String {
    gate.learner().policy("test", &Generalise::default())
}

/// The policy of a learnt text, which has nothing odd about it.
fn loaded(text: &str) -> Gate {
    let policy = Policy::from_toml(&Source::new("learnt.toml", text))
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(policy.warnings(), [], "{text}");
    assert!(!text.contains("no rule can grant"), "{text}");
    Gate::new(policy)
}

/// The lines that are no comments.
fn rules(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn a_client_becomes_one_rule_with_its_options() {
    let gate = learning();
    let mut socket = fresh(TCP4);
    gate.create(TCP4).unwrap();
    gate.set_option(&socket, option("so.keepalive"), &ONE)
        .unwrap();
    socket.options.remember(option("so.keepalive"), &ONE);
    let permit = gate.connect(&socket, &at("10.0.0.1:5432")).unwrap();
    permit.unguarded().unwrap().count("connect");
    socket.peer = Some(at("10.0.0.1:5432"));
    let permit = gate.converse(&socket).unwrap();
    permit.unguarded().unwrap().count("send");
    permit.unguarded().unwrap().count("send");
    gate.get_option(&socket, option("so.rcvbuf")).unwrap();

    let text = learnt(&gate);
    assert_eq!(
        rules(&text),
        [
            "version = 1",
            "[[allow]]",
            r#"id = "tcp-connect""#,
            r#"family = ["inet"]"#,
            r#"type = ["stream"]"#,
            r#"protocol = ["tcp"]"#,
            r#"ops = ["connect"]"#,
            r#"cidr = ["10.0.0.1"]"#,
            r#"port = ["5432"]"#,
            r#"options = { get = ["so.rcvbuf"], set = ["so.keepalive"] }"#,
        ]
    );
    assert!(
        text.contains("# connect to 10.0.0.1:5432: connect once"),
        "{text}"
    );
    assert!(
        text.contains("# converse with 10.0.0.1:5432: send 2 times"),
        "{text}"
    );

    let gate = loaded(&text);
    socket.peer = None;
    gate.set_option(&socket, option("so.keepalive"), &ONE)
        .unwrap();
    gate.connect(&socket, &at("10.0.0.1:5432")).unwrap();
    gate.connect(&socket, &at("10.0.0.1:5433")).unwrap_err();
    gate.connect(&socket, &at("10.0.0.2:5432")).unwrap_err();
    gate.set_option(&socket, option("so.mark"), &ONE)
        .unwrap_err();
}

/// A datagram server that answered two clients.
fn answer(gate: &Gate, clients: &[&str]) {
    gate.create(UDP4).unwrap();
    gate.bind(&fresh(UDP4), &at("127.0.0.1:5353")).unwrap();
    let server = bound(UDP4, "127.0.0.1:5353");
    gate.receive(&server).unwrap();
    for client in clients {
        gate.receive_from(&server, &at(client), &data(&server))
            .unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        gate.answer(&server, &at(client), &data(&server), end)
            .unwrap();
    }
}

#[test]
fn a_server_answers_and_does_not_send() {
    let gate = learning();
    answer(&gate, &["127.0.0.1:40000", "10.0.0.9:50000"]);
    let text = learnt(&gate);
    assert_eq!(
        rules(&text)[2..],
        [
            r#"id = "udp-reply""#,
            r#"family = ["inet"]"#,
            r#"type = ["datagram"]"#,
            r#"protocol = ["udp"]"#,
            r#"ops = ["bind", "receive", "reply"]"#,
            r#"local = { cidr = ["127.0.0.1"], port = ["5353"] }"#,
            r#"peer = { cidr = ["10.0.0.9", "127.0.0.1"] }"#,
        ]
    );
    let gate = loaded(&text);
    answer(&gate, &["10.0.0.9:33333"]);
    let server = bound(UDP4, "127.0.0.1:5353");
    gate.send_to(&server, &at("127.0.0.1:40000"), &data(&server))
        .unwrap_err();
    gate.receive_from(&server, &at("10.0.0.8:40000"), &data(&server))
        .unwrap_err();
}

#[test]
fn a_listener_knows_its_peers_by_address() {
    let gate = learning();
    let listener = bound(TCP4, "127.0.0.1:8080");
    gate.bind(&fresh(TCP4), &at("127.0.0.1:8080")).unwrap();
    gate.listen(&listener).unwrap();
    for client in ["127.0.0.1:40001", "127.0.0.1:40002"] {
        gate.accept(&listener, &at(client)).unwrap();
        let accepted = SocketFacts {
            origin: Origin::Accept,
            peer: Some(at(client)),
            ..listener.clone()
        };
        gate.converse(&accepted).unwrap();
    }
    let text = learnt(&gate);
    assert_eq!(
        rules(&text)[6..],
        [
            r#"ops = ["listen"]"#,
            r#"local = { cidr = ["127.0.0.1"], port = ["8080"] }"#,
            r#"peer = { cidr = ["127.0.0.1"] }"#,
        ]
    );
    let exact = gate.learner().policy(
        "test",
        &Generalise {
            ports: Ports::Exact,
            networks: None,
        },
    );
    assert!(exact.contains(r#"port = ["40001", "40002"]"#), "{exact}");
    loaded(&exact);
    let gate = loaded(&text);
    gate.accept(&listener, &at("127.0.0.1:45678")).unwrap();
    gate.accept(&listener, &at("10.0.0.1:40001")).unwrap_err();
    gate.bind(&fresh(TCP4), &at("127.0.0.1:8081")).unwrap_err();
}

#[test]
fn a_name_stands_for_its_addresses() {
    let gate = learning();
    let permit = gate.resolve(b"DB.example.com").unwrap();
    let answers = ["10.0.0.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    assert_eq!(gate.pin(&permit, &answers), answers);
    gate.connect(&fresh(TCP4), &at("10.0.0.7:5432")).unwrap();
    let text = learnt(&gate);
    assert_eq!(
        rules(&text)[3..],
        [
            r#"family = ["inet", "inet6"]"#,
            r#"type = ["stream"]"#,
            r#"protocol = ["tcp"]"#,
            r#"ops = ["connect", "resolve"]"#,
            r#"host = ["db.example.com"]"#,
            r#"port = ["5432"]"#,
            r#"host-may-be = ["private", "reserved"]"#,
        ]
    );
    let gate = loaded(&text);
    gate.connect(&fresh(TCP4), &at("10.0.0.7:5432"))
        .unwrap_err();
    let permit = gate.resolve(b"db.example.com").unwrap();
    assert_eq!(gate.pin(&permit, &answers), answers);
    gate.connect(&fresh(TCP4), &at("10.0.0.7:5432")).unwrap();
    gate.resolve(b"example.com").unwrap_err();
}

#[test]
fn paths_have_their_root_and_names_stand_for_themselves() {
    let gate = learning();
    for path in ["/run/app/a.sock", "/run/app/b[1]*.sock"] {
        gate.connect(&fresh(UNIX), &at(path)).unwrap();
    }
    gate.connect(&fresh(UNIX), &at("@tele{x}")).unwrap();
    let text = learnt(&gate);
    let said = rules(&text);
    assert!(said.contains(&r#"root = "/run/app""#), "{text}");
    assert!(
        said.contains(&r#"path = ["a.sock", "b\\[1\\]\\*.sock"]"#),
        "{text}"
    );
    assert!(said.contains(&r#"abstract = ["tele\\{x\\}"]"#), "{text}");
    let gate = loaded(&text);
    gate.connect(&fresh(UNIX), &at("/run/app/b[1]*.sock"))
        .unwrap();
    gate.connect(&fresh(UNIX), &at("@tele{x}")).unwrap();
    gate.connect(&fresh(UNIX), &at("/run/app/b1x.sock"))
        .unwrap_err();
    gate.connect(&fresh(UNIX), &at("@telex")).unwrap_err();
}

#[test]
fn flags_and_ancillary_data_are_listed_where_they_were_used() {
    let gate = learning();
    let socket = SocketFacts {
        peer: Some(at("10.0.0.1:53")),
        ..fresh(UDP4)
    };
    gate.connect(&fresh(UDP4), &at("10.0.0.1:53")).unwrap();
    let permit = gate.converse(&socket).unwrap();
    let flags = MessageFlags::CONFIRM | MessageFlags::DONTWAIT;
    assert!(!permit.flags().contains(flags) && permit.learns_flags(flags));
    assert_eq!(*permit.ancillary_in(), AncillarySet::everything());
    assert!(permit.ancillary_in().contains(AncillaryKind::Timestamp));
    assert!(permit.ancillary_out().contains(AncillaryKind::TrafficClass));
    let text = learnt(&gate);
    let said = rules(&text);
    assert!(said.contains(&r#"flags = ["confirm"]"#), "{text}");
    let ancillary = r#"ancillary = { receive = ["timestamp"], send = ["traffic-class"] }"#;
    assert!(said.contains(&ancillary), "{text}");
    let permit = loaded(&text).converse(&socket).unwrap();
    assert!(permit.flags().contains(flags));
    assert!(!permit.learns_flags(MessageFlags::OOB));
    assert!(!permit.ancillary_in().contains(AncillaryKind::PacketInfo));
}

#[test]
fn what_a_deny_rule_forbids_is_not_learnt() {
    let text = "version = 1\n[[deny]]\nid = \"no\"\ncidr = [\"10.0.0.0/8\"]\n\
        [[deny]]\nid = \"no-oob\"\nflags = [\"oob\"]\nancillary = { send = [\"txtime\"] }\n";
    let base = Policy::from_toml(&Source::new("base.toml", text)).unwrap();
    let gate = Gate::new(base.with_mode(Mode::Learn));
    gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).unwrap_err();
    let permit = gate.connect(&fresh(TCP4), &at("11.0.0.1:1")).unwrap();
    assert!(!permit.learns_flags(MessageFlags::OOB));
    assert!(!permit.ancillary_out().contains(AncillaryKind::TxTime));
    let text = learnt(&gate);
    for denied in ["10.0.0.1", "oob", "txtime"] {
        assert!(!text.contains(denied), "{text}");
    }
    loaded(&text);
}

#[test]
fn other_things_have_rules_of_their_own() {
    let gate = learning();
    gate.interfaces().unwrap();
    gate.hostname().unwrap();
    gate.pair(UNIX).unwrap();
    gate.reverse_resolve("10.0.0.1".parse().unwrap()).unwrap();
    let request = GroupRequest {
        group: "239.1.1.1".parse().unwrap(),
        source: None,
        interface: Some("eth0".into()),
    };
    let listener = bound(UDP4, "0.0.0.0:9000");
    gate.bind(&fresh(UDP4), &at("0.0.0.0:9000")).unwrap();
    gate.receive(&listener).unwrap();
    gate.join_group(&listener, &request).unwrap();
    gate.ioctl(&fresh(TCP4), "bytes-readable").unwrap();
    let text = learnt(&gate);
    let gate = loaded(&text);
    gate.interfaces().unwrap();
    gate.hostname().unwrap();
    gate.pair(UNIX).unwrap();
    gate.reverse_resolve("10.0.0.1".parse().unwrap()).unwrap();
    gate.join_group(&bound(UDP4, "0.0.0.0:9000"), &request)
        .unwrap();
    gate.ioctl(&fresh(TCP4), "bytes-readable").unwrap();
    gate.reverse_resolve("10.0.0.2".parse().unwrap())
        .unwrap_err();
    gate.ioctl(&fresh(TCP4), "bytes-unsent").unwrap_err();
    gate.connect(&fresh(TCP4), &at("10.0.0.1:1")).unwrap_err();
}

#[test]
fn what_was_only_made_may_be_made_and_reaches_nobody() {
    let gate = learning();
    gate.create(TCP4).unwrap();
    gate.get_option(&fresh(TCP4), option("so.rcvbuf")).unwrap();
    gate.create(UNIX).unwrap();
    let text = learnt(&gate);
    let gate = loaded(&text);
    gate.create(TCP4).unwrap();
    gate.create(UNIX).unwrap();
    gate.get_option(&fresh(TCP4), option("so.rcvbuf")).unwrap();
    gate.connect(&fresh(TCP4), &at("127.0.0.1:1")).unwrap_err();
    gate.bind(&fresh(TCP4), &at("127.0.0.1:0")).unwrap_err();
    gate.connect(&fresh(UNIX), &at("/x")).unwrap_err();
}

#[test]
fn networks_and_ports_grow_only_when_told() {
    let gate = learning();
    for port in 7000..7003 {
        gate.connect(&fresh(TCP4), &at(&format!("10.1.2.3:{port}")))
            .unwrap();
    }
    assert!(learnt(&gate).contains(r#"port = ["7000-7002"]"#));
    let how = Generalise {
        ports: Ports::Any,
        networks: Some((24, 64)),
    };
    let text = gate.learner().policy("test", &how);
    assert!(text.contains(r#"cidr = ["10.1.2.0/24"]"#), "{text}");
    let gate = loaded(&text);
    gate.connect(&fresh(TCP4), &at("10.1.2.99:1")).unwrap();
    gate.connect(&fresh(TCP4), &at("10.1.3.1:7000"))
        .unwrap_err();
}

#[test]
fn the_same_doings_in_another_order_are_the_same_text() {
    let one = learning();
    let two = learning();
    let clients = ["10.0.0.1:80", "10.0.0.2:81", "10.0.0.1:82"];
    for client in clients {
        one.connect(&fresh(TCP4), &at(client)).unwrap();
        one.connect(&fresh(UDP4), &at(client)).unwrap();
    }
    for client in clients.iter().rev() {
        two.connect(&fresh(UDP4), &at(client)).unwrap();
        two.connect(&fresh(TCP4), &at(client)).unwrap();
    }
    assert_eq!(learnt(&one), learnt(&two));
    loaded(&learnt(&one));
}

#[test]
fn a_hostile_name_cannot_leave_its_comment_or_its_text() {
    let gate = learning();
    let name = "@x\"]\n[[allow]]\nid = \"y\"\n${z}";
    gate.connect(&fresh(UNIX), &at(name)).unwrap();
    let text = gate
        .learner()
        .policy("a\nversion = 2", &Generalise::default());
    let gate = loaded(&text);
    gate.connect(&fresh(UNIX), &at(name)).unwrap();
    gate.connect(&fresh(UNIX), &at("@x")).unwrap_err();
}

/// A guest cannot make the notebook grow without end.
#[test]
fn what_is_kept_is_bounded_and_what_is_missing_is_told() {
    let gate = learning();
    for number in 0..5_000_u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let peer = at(&format!("10.{b}.{c}.{d}:80"));
        gate.connect(&fresh(TCP4), &peer).unwrap();
    }
    let text = learnt(&gate);
    assert!(
        text.contains("# There was no room for 904 further things"),
        "{}",
        text.lines().take(8).collect::<Vec<_>>().join("\n")
    );
    loaded(&text)
        .connect(&fresh(TCP4), &at("10.0.0.1:80"))
        .unwrap();
}

/// A server that many call does not fill the notebook: after some ports of one peer the rest are the same.
#[test]
fn a_thousand_calls_of_one_peer_are_one_thing() {
    let gate = learning();
    let listener = bound(TCP4, "127.0.0.1:8080");
    gate.bind(&fresh(TCP4), &at("127.0.0.1:8080")).unwrap();
    for port in 40_000..46_000 {
        gate.accept(&listener, &at(&format!("127.0.0.1:{port}")))
            .unwrap();
    }
    gate.listen(&listener).unwrap();
    let text = learnt(&gate);
    assert!(!text.contains("no room"), "{text}");
    assert!(
        text.contains(r#"peer = { cidr = ["127.0.0.1"] }"#),
        "{text}"
    );
    loaded(&text);
}

#[test]
fn a_socket_that_is_made_and_not_used_reaches_nobody() {
    use sockgate_policy::{Family, Kind, SocketType};
    for (family, socket_type, protocol, nobody) in [
        (Family::Can, SocketType::Raw, 1, r#"interface = ["lo"]"#),
        (
            Family::Bluetooth,
            SocketType::Stream,
            3,
            r#"address = ["any"]"#,
        ),
        (Family::Vsock, SocketType::Stream, 0, r#"cid = ["0"]"#),
    ] {
        let kind = Kind {
            family,
            socket_type,
            protocol,
        };
        let gate = learning();
        gate.create(kind).unwrap();
        let text = learnt(&gate);
        assert!(text.contains(nobody), "{text}");
        assert!(loaded(&text).create(kind).is_ok(), "{text}");
    }
}
