//! What the rules of every family have in common: no way round them, and laws that hold for all.

mod common;

use common::{fresh, gate};
use proptest::prelude::*;
use sockgate_policy::{
    Address, AdoptedState, AlgAddress, CanAddress, CanEndpoint, CanId, Content, Denial, Family,
    Gate, Kind, PacketAddress, Policy, QipcrtrAddress, SocketFacts, SocketType, Source,
    TipcAddress, TipcEndpoint, VSOCK_ANY, VsockAddress,
};

const fn kind(family: Family, socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family,
        socket_type,
        protocol,
    }
}

const CAN_RAW: Kind = kind(Family::Can, SocketType::Raw, 1);
const CAN_ISOTP: Kind = kind(Family::Can, SocketType::Datagram, 6);
const VSOCK: Kind = kind(Family::Vsock, SocketType::Stream, 0);
/// ETH_P_ALL as the protocol of socket(2).
const PACKET: Kind = kind(Family::Packet, SocketType::Datagram, 3);
const TIPC: Kind = kind(Family::Tipc, SocketType::Rdm, 0);
const QIPCRTR: Kind = kind(Family::Qipcrtr, SocketType::Datagram, 0);
const ALG: Kind = kind(Family::Alg, SocketType::SeqPacket, 0);

fn can(interface: &str) -> Address {
    Address::Can(CanAddress {
        interface: (interface != "*").then(|| interface.to_owned()),
        endpoint: CanEndpoint::Bus,
    })
}

fn isotp(interface: &str, rx: u16, tx: u16) -> Address {
    Address::Can(CanAddress {
        interface: Some(interface.to_owned()),
        endpoint: CanEndpoint::IsoTp {
            rx: CanId::Standard(rx),
            tx: CanId::Standard(tx),
        },
    })
}

fn vsock(cid: u32, port: u32) -> Address {
    Address::Vsock(VsockAddress {
        cid,
        port,
        flags: 0,
    })
}

fn packet(interface: &str, protocol: u16) -> Address {
    Address::Packet(PacketAddress {
        interface: (interface != "*").then(|| interface.to_owned()),
        protocol,
        packet_type: 0,
        hardware_type: 0,
        hardware_address: Vec::new(),
    })
}

fn tipc(service: u32, instance: u32) -> Address {
    Address::Tipc(TipcAddress {
        endpoint: TipcEndpoint::Name {
            service,
            instance,
            domain: 0,
        },
        scope: 2,
    })
}

fn qipcrtr(node: u32, port: u32) -> Address {
    Address::Qipcrtr(QipcrtrAddress { node, port })
}

fn alg(alg_type: &str, name: &str) -> Address {
    Address::Alg(AlgAddress {
        alg_type: alg_type.to_owned(),
        name: name.to_owned(),
        feature: 0,
        mask: 0,
    })
}

fn bound(kind: Kind, local: &Address) -> SocketFacts {
    SocketFacts {
        local: Some(local.clone()),
        ..fresh(kind)
    }
}

fn connected(kind: Kind, peer: &Address) -> SocketFacts {
    SocketFacts {
        peer: Some(peer.clone()),
        ..fresh(kind)
    }
}

/// A classic frame, or an FD one.
fn frame(can_id: u32, fd: bool) -> Content {
    let mut bytes = vec![0; if fd { 72 } else { 16 }];
    bytes[..4].copy_from_slice(&can_id.to_ne_bytes());
    Content::sent(CAN_RAW, &bytes)
}

/// Some message of such a socket: a frame where it sends frames.
fn message(kind: Kind) -> Content {
    match kind {
        CAN_RAW => frame(0x123, false),
        PACKET => Content::sent(kind, &[0; 64]),
        _ => Content::sent(kind, b"message"),
    }
}

fn load(text: &str) -> Option<Policy> {
    Policy::from_toml(&Source::new("law.toml", &format!("version = 1\n{text}"))).ok()
}

fn faults(text: &str) -> String {
    let source = Source::new("test.toml", &format!("version = 1\n{text}"));
    Policy::from_toml(&source)
        .expect_err("the rule has a fault")
        .to_string()
}

#[test]
fn a_socket_without_a_name_hears_nothing_under_keys_of_the_local_address() {
    for peer in ["", "peer = '*'\n"] {
        let gate = gate(&format!(
            "[[allow]]\nid='lldp'\nfamily=['packet']\nops=['bind','receive']\n{peer}\
             local={{interface=['eth0'], ethertype=['0x88cc']}}\n"
        ));
        let unbound = fresh(PACKET);
        assert!(gate.receive(&unbound).is_err());
        let heard = message(PACKET);
        assert!(
            gate.receive_from(&unbound, &packet("wlan0", 0x0800), &heard)
                .is_err()
        );
        assert!(
            gate.receive(&bound(PACKET, &packet("eth0", 0x88cc)))
                .is_ok()
        );
    }
}

#[test]
fn a_socket_without_a_name_hears_what_keys_for_both_ends_cover() {
    let gate = gate(
        "[[allow]]\nid='lldp'\nfamily=['packet']\nops=['bind','receive']\n\
         interface=['eth0']\nethertype=['0x88cc']\n",
    );
    let (unbound, heard) = (fresh(PACKET), message(PACKET));
    assert!(gate.receive(&unbound).is_ok());
    for (sender, granted) in [
        (packet("eth0", 0x88cc), heard.malformed().is_none()),
        (packet("eth1", 0x88cc), false),
        (packet("eth0", 0x0800), false),
    ] {
        let verdict = gate.receive_from(&unbound, &sender, &heard);
        assert!(granted || verdict.is_err(), "{sender}");
    }
}

#[test]
fn a_range_that_holds_the_number_of_all_is_not_all() {
    let gate = gate(
        "[[allow]]\nid='vm'\nfamily=['vsock']\nops=['bind']\ncid=['3-4294967295']\nport=['1-9']\n\
         [[allow]]\nid='frames'\nfamily=['packet']\nops=['bind']\ninterface=['eth0']\nethertype=['1-100']\n",
    );
    assert!(gate.bind(&fresh(VSOCK), &vsock(7, 5)).is_ok());
    assert!(gate.bind(&fresh(VSOCK), &vsock(VSOCK_ANY, 5)).is_err());
    assert!(gate.bind(&fresh(PACKET), &packet("eth0", 4)).is_ok());
    assert!(gate.bind(&fresh(PACKET), &packet("eth0", 3)).is_err());
    for all in ["['any']", "['*']"] {
        let gate = common::gate(&format!(
            "[[allow]]\nid='vm'\nfamily=['vsock']\nops=['bind']\ncid={all}\n"
        ));
        assert!(gate.bind(&fresh(VSOCK), &vsock(VSOCK_ANY, 5)).is_ok());
    }
}

#[test]
fn what_cannot_be_read_passes_no_deny_rule() {
    let rules = "[[deny]]\nid='no-fd'\nfamily=['can']\nfd=true\n";
    let bus = can("can0");
    let unreadable = Content::sent(CAN_RAW, &[0; 17]);
    assert!(unreadable.malformed().is_some());
    let audit = Gate::new(
        load(rules)
            .expect("loads")
            .with_mode(sockgate_policy::Mode::Audit),
    );
    let socket = bound(CAN_RAW, &bus);
    assert!(audit.send_to(&socket, &bus, &unreadable).is_err());
    assert!(audit.send_to(&socket, &bus, &frame(1, false)).is_ok());
    let granted = SocketFacts {
        granted: true,
        ..socket
    };
    let enforce = Gate::new(load(rules).expect("loads"));
    assert!(enforce.receive_from(&granted, &bus, &unreadable).is_err());
    assert!(
        enforce
            .receive_from(&granted, &bus, &frame(1, false))
            .is_ok()
    );
}

#[test]
fn a_denied_flag_is_about_the_messages_that_have_it() {
    let bus = can("can0");
    let socket = bound(CAN_RAW, &bus);
    for (flag, classic, fd) in [("true", true, false), ("false", false, true)] {
        let gate = gate(&format!(
            "[[allow]]\nid='bus'\nfamily=['can']\nops=['bind','send-to']\ninterface=['can0']\nfd=true\n\
             [[deny]]\nid='d'\nfamily=['can']\nfd={flag}\n"
        ));
        let sends = |content| gate.send_to(&socket, &bus, &content).is_ok();
        assert_eq!(
            (sends(frame(1, false)), sends(frame(1, true))),
            (classic, fd)
        );
    }
}

#[test]
fn a_key_about_messages_covers_no_socket_whose_messages_nobody_reads() {
    let rule = |more: &str| {
        gate(&format!(
            "[[allow]]\nid='bus'\nfamily=['can']\nops=['bind','send-to']\ninterface=['can0']\n{more}"
        ))
    };
    assert!(rule("").create(CAN_ISOTP).is_ok());
    assert!(rule("can-id=['0x1']").create(CAN_ISOTP).is_err());
    assert!(rule("can-id=['0x1']").create(CAN_RAW).is_ok());
    for protocol in 0..9 {
        let kind = Kind {
            protocol,
            ..CAN_ISOTP
        };
        let granted = rule("can-id=['0x1']").create(kind).is_ok();
        assert!(!granted || Content::head(kind).is_some(), "{kind}");
    }
    for protocol in [1, 2, 58, 255] {
        let kind = kind(Family::Inet, SocketType::Raw, protocol);
        let gate = gate(
            "[[allow]]\nid='ping'\nfamily=['inet']\ntype=['raw']\nops=['send-to']\ncidr=['*']\nicmp-type=['8']\n",
        );
        let granted = gate.create(kind).is_ok();
        assert!(!granted || Content::head(kind).is_some(), "{kind}");
    }
}

#[test]
fn pairs_are_of_unix_sockets_alone() {
    let rules = "[[allow]]\nid='pairs'\nfamily=['unix','tipc']\nops=['socketpair']\n";
    for mode in [
        sockgate_policy::Mode::Enforce,
        sockgate_policy::Mode::Audit,
        sockgate_policy::Mode::Learn,
    ] {
        let gate = Gate::new(load(rules).expect("loads").with_mode(mode));
        assert!(gate.pair(common::UNIX).is_ok());
        let refused = gate.pair(TIPC).expect_err("strangers reach its ends");
        assert!(!refused.grant_hint().contains("--allow"), "{refused}");
    }
}

#[test]
fn a_socket_that_hides_what_was_done_with_it_is_not_taken_in() {
    for (kind, at, _) in places() {
        let gate = gate(&format!(
            "[[allow]]\nid='all'\nfamily=['{}']\nops=['bind','receive','send-to','connect','listen']\n\
             local='*'\npeer='*'\n",
            kind.family
        ));
        assert!(gate.bind(&fresh(kind), &at).is_ok(), "{kind}");
        let adopted = gate.adopt(&bound(kind, &at), AdoptedState::Bound);
        let plain = matches!(kind.family, Family::Vsock | Family::Qipcrtr);
        assert_eq!(adopted.is_ok(), plain, "{kind}");
    }
    let ping = "[[allow]]\nid='ip'\nfamily=['inet']\ntype=['raw','datagram']\n\
                ops=['bind','receive','send-to']\nlocal='*'\npeer='*'\n";
    let at = common::at("127.0.0.1:0");
    for (socket_type, protocol, adopted) in [
        (SocketType::Raw, 1, false),
        (SocketType::Datagram, 17, true),
    ] {
        let socket = bound(kind(Family::Inet, socket_type, protocol), &at);
        let verdict = gate(ping).adopt(&socket, AdoptedState::Bound);
        assert_eq!(verdict.is_ok(), adopted, "{}", socket.kind);
    }
}

#[test]
fn a_deny_of_connections_stops_their_messages() {
    let bus = can("can0");
    let socket = connected(CAN_RAW, &bus);
    let allow = "[[allow]]\nid='bus'\nfamily=['can']\nops=['connect']\ninterface=['can0']\n";
    let sends = |text: &str| gate(text).send_to(&socket, &bus, &frame(1, false)).is_ok();
    assert!(sends(allow));
    assert!(!sends(&format!(
        "{allow}[[deny]]\nid='d'\nfamily=['can']\nops=['connect']\ninterface=['can0']\n"
    )));
}

#[test]
fn keys_of_two_families_never_meet_in_a_rule() {
    let text = faults(
        "[[allow]]\nid='x'\nfamily=['can','vsock']\nops=['connect']\npeer={interface=['can0']}\n",
    );
    assert!(text.contains("not about one family that has it"), "{text}");
    let text = faults(
        "[[allow]]\nid='x'\nfamily=['can']\nops=['send-to']\ninterface=['can0']\npeer={cidr=['10.0.0.0/8']}\n",
    );
    assert!(text.contains("no IP address"), "{text}");
    let text = faults(
        "[[allow]]\nid='x'\nfamily=['can']\nops=['bind']\ninterface=['can0']\nlocal={path=['/run/x']}\n",
    );
    assert!(text.contains("path"), "{text}");
}

#[test]
fn a_rule_for_ip_and_others_grants_the_others_nothing_by_ip_keys() {
    let gate = gate(
        "[[allow]]\nid='x'\nfamily=['inet','vsock','can','tipc']\nops=['connect','send-to']\n\
         cidr=['*']\nport=['5']\n",
    );
    assert!(
        gate.connect(&fresh(common::TCP4), &common::at("10.0.0.1:5"))
            .is_ok()
    );
    assert!(gate.connect(&fresh(VSOCK), &vsock(2, 5)).is_err());
    assert!(gate.connect(&fresh(TIPC), &tipc(5, 5)).is_err());
    let bus = can("can0");
    assert!(
        gate.send_to(&bound(CAN_RAW, &bus), &bus, &frame(5, false))
            .is_err()
    );
}

#[test]
fn the_number_of_a_protocol_is_one_of_the_rules_families() {
    let ip = gate(
        "[[allow]]\nid='x'\nfamily=['inet']\ntype=['raw']\nprotocol=['1']\nops=['send-to']\ncidr=['*']\n",
    );
    assert!(ip.create(kind(Family::Inet, SocketType::Raw, 1)).is_ok());
    assert!(ip.create(CAN_RAW).is_err());
    let named = gate(
        "[[allow]]\nid='x'\nfamily=['can','inet']\ntype=['raw','datagram']\nprotocol=['raw']\n\
         ops=['send-to']\npeer='*'\n",
    );
    assert!(named.create(CAN_RAW).is_ok());
    for socket_type in [SocketType::Raw, SocketType::Datagram] {
        assert!(named.create(kind(Family::Inet, socket_type, 1)).is_err());
    }
}

#[test]
fn a_flag_in_a_line_is_true_or_false() {
    for line in [
        "can-raw send-to interface=can0 fd=yes",
        "can-raw send-to interface=can0 xl=True",
        "unix-stream listen /run/x replace-stale=1",
    ] {
        let text = Policy::allow_line(line).expect_err(line).to_string();
        assert!(text.contains("neither true nor false"), "{line}: {text}");
    }
    assert!(Policy::allow_line("can-raw send-to interface=can0 fd=true").is_ok());
}

fn backwards(lower: u32, upper: u32) -> Address {
    Address::Tipc(TipcAddress {
        endpoint: TipcEndpoint::Range {
            service: 1,
            lower,
            upper,
        },
        scope: 2,
    })
}

#[test]
fn a_range_written_backwards_is_denied_all_the_same() {
    let gate = gate(
        "[[allow]]\nid='all'\nfamily=['tipc']\nops=['bind']\nlocal='*'\n\
         [[deny]]\nid='seven'\nfamily=['tipc']\nops=['bind']\ninstance=[7]\n",
    );
    assert!(gate.bind(&fresh(TIPC), &backwards(1, 6)).is_ok());
    assert!(gate.bind(&fresh(TIPC), &backwards(1, 9)).is_err());
    assert!(gate.bind(&fresh(TIPC), &backwards(9, 1)).is_err());
}

/// The rule that a denial suggests, loaded.
fn suggested(denial: &Denial) -> Option<Gate> {
    let hint = denial.grant_hint();
    let line = hint.strip_prefix("--allow '")?.strip_suffix('\'')?;
    let policy = Policy::allow_line(line).unwrap_or_else(|errors| panic!("{line}: {errors}"));
    Some(Gate::new(policy))
}

#[test]
fn a_name_that_reads_as_a_pattern_or_as_more_words_is_not_suggested() {
    let nothing = Gate::new(Policy::deny_all());
    for interface in [
        "c*",
        "can?",
        "can0 set=so.mark",
        "can0,can1",
        "",
        "{a,b}",
        "can0\n",
    ] {
        let denial = nothing
            .bind(&fresh(CAN_RAW), &can(interface))
            .expect_err("nothing is granted");
        assert!(suggested(&denial).is_none(), "{}", denial.grant_hint());
    }
    for name in ["/run/*", "/run/a b", "@auto", "@a,b"] {
        let denial = nothing
            .connect(&fresh(common::UNIX), &common::at(name))
            .expect_err("nothing is granted");
        assert!(suggested(&denial).is_none(), "{}", denial.grant_hint());
    }
}

#[test]
fn a_message_that_cannot_be_read_suggests_nothing() {
    let bus = can("can0");
    let denial = Gate::new(Policy::deny_all())
        .send_to(
            &bound(CAN_RAW, &bus),
            &bus,
            &Content::sent(CAN_RAW, &[0; 3]),
        )
        .expect_err("nothing is granted");
    assert!(suggested(&denial).is_none(), "{}", denial.grant_hint());
}

#[test]
fn a_suggestion_names_the_protocol_where_the_transport_does_not() {
    let nothing = Gate::new(Policy::deny_all());
    let to = common::at("10.0.0.1:0");
    for (socket_type, protocol, other) in [
        (SocketType::Raw, 1, 89),
        (SocketType::Raw, 89, 255),
        (SocketType::Stream, 200, 6),
    ] {
        let asked = kind(Family::Inet, socket_type, protocol);
        let denial = nothing
            .connect(&fresh(asked), &to)
            .expect_err("nothing is granted");
        let gate = suggested(&denial).unwrap_or_else(|| panic!("{}", denial.grant_hint()));
        assert!(gate.connect(&fresh(asked), &to).is_ok());
        let another = kind(Family::Inet, socket_type, other);
        assert!(gate.connect(&fresh(another), &to).is_err());
    }
}

/// A family's sockets, an address of theirs, and others that differ from it in one value.
fn places() -> Vec<(Kind, Address, Vec<Address>)> {
    vec![
        (CAN_RAW, can("can0"), vec![can("can1"), can("*")]),
        (
            CAN_ISOTP,
            isotp("can0", 0x7e8, 0x7e0),
            vec![
                isotp("can1", 0x7e8, 0x7e0),
                isotp("can0", 0x7e9, 0x7e0),
                isotp("can0", 0x7e8, 0x7e1),
            ],
        ),
        (
            VSOCK,
            vsock(7, 1234),
            vec![vsock(8, 1234), vsock(7, 1235), vsock(VSOCK_ANY, 1234)],
        ),
        (
            PACKET,
            packet("eth0", 0x88cc),
            vec![
                packet("eth1", 0x88cc),
                packet("eth0", 0x0800),
                packet("eth0", 3),
                packet("*", 0x88cc),
            ],
        ),
        (TIPC, tipc(7, 9), vec![tipc(8, 9), tipc(7, 10)]),
        (QIPCRTR, qipcrtr(7, 9), vec![qipcrtr(8, 9), qipcrtr(7, 10)]),
        (
            ALG,
            alg("aead", "authenc(hmac(sha1),cbc(aes))"),
            vec![
                alg("hash", "authenc(hmac(sha1),cbc(aes))"),
                alg("aead", "cbc(aes)"),
                alg("aead", "cbc(aes))"),
                alg("aead", "authenc(hmac(sha1)"),
            ],
        ),
    ]
}

type Question = (
    &'static str,
    fn(&Gate, Kind, &Address) -> Result<(), Denial>,
);

/// Questions about one address, each of its own.
const QUESTIONS: &[Question] = &[
    ("bind", |gate, kind, at| {
        gate.bind(&fresh(kind), at).map(drop)
    }),
    ("connect", |gate, kind, at| {
        gate.connect(&fresh(kind), at).map(drop)
    }),
    ("listen", |gate, kind, at| {
        gate.listen(&bound(kind, at)).map(drop)
    }),
    ("send-to", |gate, kind, at| {
        gate.send_to(&fresh(kind), at, &message(kind)).map(drop)
    }),
    ("receive", |gate, kind, at| {
        gate.receive_from(&fresh(kind), at, &message(kind))
            .map(drop)
    }),
];

#[test]
fn a_suggestion_grants_what_was_asked_and_not_its_neighbours() {
    let nothing = Gate::new(Policy::deny_all());
    for (kind, asked, others) in places() {
        for (name, question) in QUESTIONS {
            // What such sockets cannot do, no rule is written for.
            let datagrams = matches!(*name, "send-to" | "receive");
            if datagrams != kind.is_datagram() && (datagrams || *name == "listen") {
                continue;
            }
            let denial = question(&nothing, kind, &asked).expect_err("nothing is granted");
            let hint = denial.grant_hint();
            let Some(gate) = suggested(&denial) else {
                assert!(message(kind).malformed().is_some(), "{kind} {name}: {hint}");
                continue;
            };
            if let Err(denial) = question(&gate, kind, &asked) {
                panic!("{kind} {name}: {hint} does not grant it: {denial}");
            }
            for other in &others {
                assert!(
                    question(&gate, kind, other).is_err(),
                    "{kind} {name}: {hint} grants {other} too"
                );
            }
        }
    }
}

#[test]
fn a_suggestion_for_a_frame_grants_that_frame_alone() {
    let bus = can("can0");
    let socket = bound(CAN_RAW, &bus);
    const EXTENDED: u32 = 1 << 31;
    const REMOTE: u32 = 1 << 30;
    let frames = [
        (0x123, false),
        (0x124, false),
        (0x123, true),
        (0x123 | EXTENDED, false),
        (0x123 | REMOTE, false),
        (0x123 | EXTENDED | REMOTE, false),
        (0x123 | 1 << 29, false),
    ];
    for (place, (id, fd)) in frames.into_iter().enumerate() {
        let denial = Gate::new(Policy::deny_all())
            .send_to(&socket, &bus, &frame(id, fd))
            .expect_err("nothing is granted");
        let gate = suggested(&denial).unwrap_or_else(|| panic!("{}", denial.grant_hint()));
        for (other, (id, with_fd)) in frames.into_iter().enumerate() {
            // A grant of FD frames is one of classic frames of that id, too.
            let same = place == other || (fd && id == 0x123 && !with_fd);
            assert_eq!(
                gate.send_to(&socket, &bus, &frame(id, with_fd)).is_ok(),
                same,
                "{} and {id:#x}",
                denial.grant_hint()
            );
        }
    }
}

#[test]
fn to_answer_is_suggested_as_a_rule_that_loads() {
    for (kind, sender, _) in places() {
        if !kind.is_datagram() || message(kind).malformed().is_some() {
            continue;
        }
        let denial = Gate::new(Policy::deny_all())
            .reply(&fresh(kind), &sender, &message(kind))
            .expect_err("nothing is granted");
        let gate = suggested(&denial).unwrap_or_else(|| panic!("{}", denial.grant_hint()));
        let answered = gate.reply(&fresh(kind), &sender, &message(kind));
        assert!(answered.is_ok(), "{}", denial.grant_hint());
    }
}

/// A key with a value at the top of a rule, in `local` or in `peer`.
type Written = (u8, usize, usize);

/// The keys of a family whose every writing makes a rule narrower, with values.
fn keys_of(family: Family) -> &'static [(&'static str, &'static [&'static str])] {
    match family {
        Family::Can => &[
            (
                "interface",
                &["['can0']", "['can0','can1']", "['can*']", "['**']"],
            ),
            ("can-id", &["['0x123']", "['*']", "['0x100/0x700','ext:*']"]),
            ("fd", &["false"]),
            ("isotp", &["[{rx='0x7E8',tx='0x7E0'}]"]),
        ],
        Family::Vsock => &[
            ("cid", &["[7]", "['any']", "['*']", "['2-8']"]),
            ("port", &["[1234]", "['1000-2000']", "['*']", "['any']"]),
        ],
        Family::Packet => &[
            ("interface", &["['eth0']", "['eth*']", "['**']"]),
            // `*` is not among them: it grants taps on everything, which no rule does that is silent.
            ("ethertype", &["['0x88cc']", "['0x0800-0x8fff']"]),
        ],
        Family::Tipc => &[
            ("service", &["[7]", "['1-100']", "['*']"]),
            ("instance", &["[9]", "['1-9']", "['*']"]),
            ("scope", &["['node']", "['cluster']"]),
        ],
        Family::Qipcrtr => &[("node", &["[7]", "['*']"]), ("port", &["[9]", "['1-9']"])],
        _ => &[
            ("alg-type", &["['hash']", "['*']", "['aead','hash']"]),
            (
                "name",
                &["['sha256']", "['**']", "['authenc(hmac(sha1),cbc(aes))']"],
            ),
        ],
    }
}

fn is_of_messages(key: &str) -> bool {
    matches!(key, "can-id" | "fd")
}

/// A rule's text. `None` where a key about messages would stand in an end, or one twice in a place.
fn rule(word: &str, family: Family, ops: &str, written: &[Written]) -> Option<String> {
    let keys = keys_of(family);
    let mut places: [Vec<String>; 3] = Default::default();
    let mut known = Vec::new();
    for (place, key, value) in written {
        let (name, values) = keys[key % keys.len()];
        let place = usize::from(place % 3);
        if known.contains(&(place, name)) || (place > 0 && is_of_messages(name)) {
            return None;
        }
        known.push((place, name));
        places[place].push(format!("{name}={}", values[value % values.len()]));
    }
    let [top, local, peer] = places;
    let mut text = format!(
        "[[{word}]]\nid='{word}'\nfamily=['{family}']\n{}\n",
        top.join("\n")
    );
    if !ops.is_empty() {
        text += &format!("ops=[{ops}]\n");
    }
    for (name, keys) in [("local", local), ("peer", peer)] {
        if !keys.is_empty() {
            text += &format!("{name}={{{}}}\n", keys.join(", "));
        }
    }
    Some(text)
}

/// Everything a gate says of a family, over a small world.
fn answers(policy: Policy, family: Family) -> Vec<bool> {
    let gate = Gate::new(policy);
    let mut answers = Vec::new();
    for (kind, asked, others) in places() {
        if kind.family != family {
            continue;
        }
        answers.push(gate.create(kind).is_ok());
        let addresses: Vec<Address> = std::iter::once(asked).chain(others).collect();
        let messages: Vec<Content> = match kind {
            CAN_RAW => vec![
                frame(0x123, false),
                frame(0x7ff, true),
                frame(1 << 31, false),
            ],
            _ => vec![message(kind)],
        };
        let sockets = std::iter::once(fresh(kind))
            .chain(addresses.iter().map(|local| bound(kind, local)))
            .chain(addresses.iter().map(|peer| connected(kind, peer)));
        for socket in sockets {
            answers.push(gate.receive(&socket).is_ok());
            answers.push(gate.listen(&socket).is_ok());
            for address in &addresses {
                answers.push(gate.bind(&socket, address).is_ok());
                answers.push(gate.connect(&socket, address).is_ok());
                answers.push(gate.accept(&socket, address).is_ok());
                for content in &messages {
                    answers.push(gate.send_to(&socket, address, content).is_ok());
                    answers.push(gate.reply(&socket, address, content).is_ok());
                    answers.push(gate.receive_from(&socket, address, content).is_ok());
                }
            }
        }
    }
    answers
}

fn some_family() -> impl Strategy<Value = Family> {
    prop::sample::select(vec![
        Family::Can,
        Family::Vsock,
        Family::Packet,
        Family::Tipc,
        Family::Qipcrtr,
        Family::Alg,
    ])
}

fn some_ops() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "'bind'",
        "'connect'",
        "'listen'",
        "'send-to'",
        "'receive'",
        "'send-to','receive'",
        "'bind','send-to','receive','reply'",
        "'listen','connect'",
    ])
}

fn some_keys() -> impl Strategy<Value = Vec<Written>> {
    prop::collection::vec((0u8..3, 0usize..4, 0usize..4), 0..4)
}

/// Kinds that a host may ever ask about, with those that there are not.
fn some_kind() -> impl Strategy<Value = Kind> {
    let families = prop::sample::select(vec![
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
    ]);
    let types = prop::sample::select(vec![
        SocketType::Stream,
        SocketType::Datagram,
        SocketType::SeqPacket,
        SocketType::Raw,
        SocketType::Rdm,
    ]);
    let protocols = prop_oneof![0u32..32, Just(58), Just(132), Just(255), any::<u32>()];
    (families, types, protocols)
        .prop_map(|(family, socket_type, protocol)| kind(family, socket_type, protocol))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn one_more_key_of_an_allow_rule_grants_nothing_more(
        family in some_family(), ops in some_ops(), keys in some_keys(), more in (0u8..3, 0usize..4, 0usize..4)
    ) {
        let narrower: Vec<Written> = keys.iter().copied().chain([more]).collect();
        let texts = rule("allow", family, ops, &keys).zip(rule("allow", family, ops, &narrower));
        let Some((wide, narrow)) = texts else { return Ok(()) };
        if let Some((before, after)) = load(&wide).zip(load(&narrow)) {
            let (before, after) = (answers(before, family), answers(after, family));
            for (place, (before, after)) in before.iter().zip(&after).enumerate() {
                prop_assert!(*before || !after, "question {place}: {wide}{narrow}");
            }
        }
    }

    #[test]
    fn one_more_key_of_a_deny_rule_denies_nothing_more(
        family in some_family(), ops in prop_oneof![Just(""), some_ops()], keys in some_keys(), more in (0u8..3, 0usize..4, 0usize..4)
    ) {
        let allow = format!(
            "[[allow]]\nid='all'\nfamily=['{family}']\nops=['connect','bind','listen','send-to','receive','reply']\n\
             local='*'\npeer='*'\n{}",
            if family == Family::Can { "fd=true\nxl=true\n" } else { "" },
        );
        let narrower: Vec<Written> = keys.iter().copied().chain([more]).collect();
        let texts = rule("deny", family, ops, &keys).zip(rule("deny", family, ops, &narrower));
        let Some((wide, narrow)) = texts else { return Ok(()) };
        let with = |deny: &str| load(&format!("{allow}{deny}"));
        if let Some((before, after)) = with(&wide).zip(with(&narrow)) {
            let (before, after) = (answers(before, family), answers(after, family));
            for (place, (before, after)) in before.iter().zip(&after).enumerate() {
                prop_assert!(!before || *after, "question {place}: {wide}{narrow}");
            }
        }
    }

    #[test]
    fn no_bytes_make_the_policy_panic(kind in some_kind(), bytes in prop::collection::vec(any::<u8>(), 0..400), lengths in prop::collection::vec((0usize..400, 0u8..80), 0..8)) {
        let mut bytes = bytes;
        // Small numbers make lengths and counts that nearly fit.
        for (place, value) in lengths {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        for content in [Content::sent(kind, &bytes), Content::received(kind, &bytes)] {
            let socket = fresh(kind);
            let nowhere = can("can0");
            let gate = Gate::new(Policy::deny_all());
            let denial = gate.send_to(&socket, &nowhere, &content).expect_err("nothing is granted");
            prop_assert!(!denial.to_string().is_empty());
            prop_assert!(!denial.grant_hint().is_empty());
            prop_assert!(!content.to_string().contains('\n'));
        }
    }
}
