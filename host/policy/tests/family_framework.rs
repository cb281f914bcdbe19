//! What the rules of every family have in common: no way round them.

mod common;

use common::families::{
    CAN_RAW, PACKET, TIPC, VSOCK, bound, can, connected, frame, kind, message, packet, places,
    tipc, vsock,
};
use common::{fresh, gate};
use sockgate_policy::{
    Address, AdoptedState, BluetoothAddress, Content, Denial, Family, Gate, Kind, NetlinkAddress,
    Policy, SocketFacts, SocketType, Source, TipcAddress, TipcEndpoint, VSOCK_ANY,
    unnamed_destination,
};

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
fn every_interface_is_bound_by_a_star_alone() {
    for (names, granted) in [
        ("'*'", true),
        ("'can0','*'", true),
        ("'can0','can*'", false),
        ("'?'", false),
    ] {
        let gate = gate(&format!(
            "[[allow]]\nid='bus'\nfamily=['can']\nops=['bind']\ninterface=[{names}]\n"
        ));
        let verdict = gate.bind(&fresh(CAN_RAW), &can("*"));
        assert_eq!(verdict.is_ok(), granted, "{names}");
        let question =
            sockgate_policy::Question::parse("can-raw bind interface=*").expect("it is a question");
        let explained = gate.policy().explain(&question);
        assert_eq!(explained.granted(), granted, "{names}: {explained}");
    }
}

#[test]
fn numbers_are_written_in_digits_alone() {
    for word in ["+5", "0x+5", "5+", "0x", "-5", "5_0", "\u{0665}"] {
        let text = faults(&format!(
            "[[allow]]\nid='x'\nfamily=['vsock']\nops=['connect']\ncid=['{word}']\n"
        ));
        assert!(
            text.contains(&format!("`{word}` is no value of `cid`")),
            "{text}"
        );
    }
    let gate =
        gate("[[allow]]\nid='x'\nfamily=['vsock']\nops=['connect']\ncid=['0x10','0X11','18']\n");
    for (cid, granted) in [(16, true), (17, true), (18, true), (10, false)] {
        assert_eq!(gate.connect(&fresh(VSOCK), &vsock(cid, 5)).is_ok(), granted);
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
fn a_message_without_a_name_goes_where_the_kernel_sends_it() {
    let hci = kind(Family::Bluetooth, SocketType::Raw, 1);
    let controller = Address::Bluetooth(BluetoothAddress::Hci {
        device: 0,
        channel: 0,
    });
    let route = kind(Family::Netlink, SocketType::Raw, 0);
    let kernel = Address::Netlink(NetlinkAddress { pid: 0, groups: 0 });
    for (kind, at, by_peer, where_bound, unbound) in [
        (CAN_RAW, can("can0"), true, true, None),
        (PACKET, packet("eth0", 0x88cc), true, true, None),
        (route, kernel.clone(), true, true, Some(kernel)),
        // Bluetooth's connections are judged as such.
        (hci, controller, false, true, None),
        (TIPC, tipc(7, 9), false, false, None),
        (VSOCK, vsock(7, 1234), false, false, None),
        (common::UDP4, common::at("10.0.0.1:53"), false, false, None),
    ] {
        let there = |goes: bool| goes.then(|| at.clone());
        let sent = |socket: SocketFacts| unnamed_destination(&socket);
        assert_eq!(sent(connected(kind, &at)), there(by_peer), "{kind}");
        assert_eq!(sent(bound(kind, &at)), there(where_bound), "{kind}");
        assert_eq!(sent(fresh(kind)), unbound, "{kind}");
    }
}

#[test]
fn keys_of_two_families_never_meet_in_a_rule() {
    let text = faults(
        "[[allow]]\nid='x'\nfamily=['can','vsock']\nops=['connect']\npeer={interface=['can0']}\n",
    );
    assert!(
        text.contains("only in a rule about one family that has it"),
        "{text}"
    );
    let text = faults(
        "[[allow]]\nid='x'\nfamily=['can']\nops=['send-to']\ninterface=['can0']\npeer={cidr=['10.0.0.0/8']}\n",
    );
    assert!(text.contains("no IP address"), "{text}");
    let text = faults(
        "[[allow]]\nid='x'\nfamily=['can']\nops=['send-to']\ninterface=['can0']\npeer={port=['5']}\n",
    );
    assert!(text.contains("no port of IP"), "{text}");
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

#[test]
fn a_denied_range_holds_from_its_first_number_to_its_last() {
    let gate = gate(
        "[[allow]]\nid='all'\nfamily=['tipc']\nops=['bind']\nlocal='*'\n\
         [[deny]]\nid='tens'\nfamily=['tipc']\nops=['bind']\ninstance=['10-19',70]\n",
    );
    for (lower, upper, granted) in [
        (1, 9, true),
        (1, 10, false),
        (12, 13, false),
        (19, 30, false),
        (20, 69, true),
        (20, 70, false),
        (70, 90, false),
        (71, 90, true),
    ] {
        for at in [backwards(lower, upper), backwards(upper, lower)] {
            assert_eq!(gate.bind(&fresh(TIPC), &at).is_ok(), granted, "{at}");
        }
    }
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
