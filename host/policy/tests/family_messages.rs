//! What rules of families say of messages: of which sockets, of which bytes, and of bytes that nobody can read.

mod common;

use common::families::{CAN_ISOTP, CAN_RAW, bound, can, frame, kind, packet, places};
use common::{fresh, gate};
use sockgate_policy::{
    Address, BluetoothAddress, Content, Family, Gate, Kind, Mode, Policy, SocketFacts, SocketType,
    Source, unnamed_destination,
};

fn load(text: &str) -> Option<Policy> {
    Policy::from_toml(&Source::new("law.toml", &format!("version = 1\n{text}"))).ok()
}

#[test]
fn what_cannot_be_read_passes_no_deny_rule() {
    let rules = "[[deny]]\nid='no-fd'\nfamily=['can']\nfd=true\n";
    let bus = can("can0");
    let unreadable = Content::sent(CAN_RAW, &[0; 17]);
    assert!(unreadable.malformed().is_some());
    let audit = Gate::new(load(rules).expect("loads").with_mode(Mode::Audit));
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
    for flag in ["fd=true", "fd=false"] {
        assert!(rule(flag).create(CAN_ISOTP).is_err());
        assert!(rule(flag).create(CAN_RAW).is_ok());
    }
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
    // Only raw sockets have the key.
    let ping = gate(
        "[[allow]]\nid='ping'\nfamily=['inet']\ntype=['raw','datagram']\nprotocol=['icmp']\n\
         ops=['send-to']\ncidr=['*']\nicmp-type=['8']\n",
    );
    assert!(ping.create(kind(Family::Inet, SocketType::Raw, 1)).is_ok());
    assert!(
        ping.create(kind(Family::Inet, SocketType::Datagram, 1))
            .is_err()
    );
}

#[test]
fn a_flag_that_is_written_false_lets_through_what_an_absent_one_does() {
    let bus = can("can0");
    let socket = bound(CAN_RAW, &bus);
    for (flag, fd) in [("", false), ("fd=false", false), ("fd=true", true)] {
        let gate = gate(&format!(
            "[[allow]]\nid='bus'\nfamily=['can']\nops=['send-to']\ninterface=['can0']\n{flag}\n"
        ));
        let sends = |content| gate.send_to(&socket, &bus, &content).is_ok();
        assert_eq!(
            (sends(frame(1, false)), sends(frame(1, true))),
            (true, fd),
            "{flag}"
        );
    }
}

#[test]
fn a_deny_rule_is_about_messages_that_have_all_it_names() {
    let bus = can("can0");
    let socket = bound(CAN_RAW, &bus);
    let gate = gate(
        "[[allow]]\nid='bus'\nfamily=['can']\nops=['send-to']\ninterface=['can0']\nfd=true\n\
         [[deny]]\nid='d'\nfamily=['can']\ncan-id=['0x1']\nfd=true\n",
    );
    for (id, fd, granted) in [
        (1, true, false),
        (1, false, true),
        (2, true, true),
        (2, false, true),
    ] {
        let verdict = gate.send_to(&socket, &bus, &frame(id, fd));
        assert_eq!(verdict.is_ok(), granted, "{id} {fd}");
    }
}

/// A packet to 10.0.0.2 with an IPv4 header, of UDP.
fn udp_packet() -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    bytes
}

const UDP_RAW: Kind = kind(Family::Inet, SocketType::Raw, 17);
const FRAMES: Kind = kind(Family::Packet, SocketType::Raw, 3);

#[test]
fn a_message_that_was_read_for_another_socket_is_refused() {
    let bus = can("can0");
    let socket = bound(CAN_RAW, &bus);
    let frames = gate(
        "[[allow]]\nid='bus'\nfamily=['can']\nops=['send-to','receive']\ninterface=['can0']\ncan-id=['0x1']\n",
    );
    // Nobody looks into messages of such a socket.
    let unseen = Content::sent(CAN_ISOTP, &[0xff; 16]);
    for (content, granted) in [(frame(1, false), true), (unseen, false)] {
        assert_eq!(
            frames.send_to(&socket, &bus, &content).is_ok(),
            granted,
            "{content}"
        );
        assert_eq!(
            frames.receive_from(&socket, &bus, &content).is_ok(),
            granted,
            "{content}"
        );
    }
    let ip = gate(
        "[[allow]]\nid='ip'\nfamily=['inet']\ntype=['raw']\nprotocol=['udp']\nops=['send-to']\ncidr=['*']\n\
         header-include=true\noptions={set=['ip.hdrincl']}\n",
    );
    let (plain, headed) = (
        fresh(UDP_RAW),
        common::with_option(fresh(UDP_RAW), "ip.hdrincl", 1),
    );
    let to = common::at("10.0.0.2:0");
    for (reader, sender, granted) in [
        (&plain, &plain, true),
        (&headed, &headed, true),
        (&plain, &headed, false),
        (&headed, &plain, false),
    ] {
        let content = Content::sent_by(reader, &udp_packet());
        assert!(content.malformed().is_none());
        let verdict = ip.send_to(sender, &to, &content);
        assert_eq!(verdict.is_ok(), granted, "{content}");
    }
}

#[test]
fn what_cannot_be_read_merely_lacks_a_grant() {
    let audit = Gate::new(Policy::deny_all().with_mode(Mode::Audit));
    let headed = common::with_option(fresh(UDP_RAW), "ip.hdrincl", 1);
    let shifted = common::with_option(fresh(FRAMES), "packet.vnet-hdr", 1);
    for (socket, to) in [
        (fresh(CAN_RAW), can("can0")),
        (headed, common::at("10.0.0.2:0")),
        (shifted, packet("eth0", 0x0800)),
    ] {
        let content = Content::sent_by(&socket, &[0]);
        assert!(content.malformed().is_some(), "{}", socket.kind);
        let verdict = audit.send_to(&socket, &to, &content);
        assert!(verdict.is_ok(), "{}: {}", socket.kind, verdict.unwrap_err());
    }
    // An address says something of a frame, and grants it no more for that.
    let gate = gate(
        "[[allow]]\nid='all'\nfamily=['packet']\ntype=['raw']\nops=['receive']\ninterface=['eth0']\nethertype=['*']\n",
    );
    let tags: Vec<u8> = [0x81, 0, 0, 0].repeat(9);
    let content = Content::received(FRAMES, &[&[0; 12], &tags[..]].concat());
    assert!(content.malformed().is_some());
    let from = packet("eth0", 0x8100);
    let plain = Content::received(FRAMES, &[0; 64]);
    assert!(gate.receive_from(&fresh(FRAMES), &from, &plain).is_ok());
    assert!(gate.receive_from(&fresh(FRAMES), &from, &content).is_err());
}

#[test]
fn a_deny_rule_without_families_is_about_sockets_that_have_its_keys() {
    let audit = Gate::new(
        load("[[deny]]\nid='ping'\ntype=['raw']\nicmp-type=['8']\n")
            .expect("loads")
            .with_mode(Mode::Audit),
    );
    let unreadable = |kind| (fresh(kind), Content::sent(kind, &[]));
    // It may be a request for an echo, which no frame of a bus is.
    let (raw, ping) = unreadable(kind(Family::Inet, SocketType::Raw, 1));
    let to = common::at("10.0.0.2:0");
    assert!(audit.send_to(&raw, &to, &ping).is_err());
    let (raw, nothing) = unreadable(CAN_RAW);
    assert!(audit.send_to(&raw, &can("can0"), &nothing).is_ok());
}

#[test]
fn a_socket_that_sends_where_it_is_bound_needs_no_name() {
    for (kind, at, _) in places() {
        let goes = unnamed_destination(&bound(kind, &at));
        let bound_is_enough = matches!(kind.family, Family::Can | Family::Packet);
        assert_eq!(goes, bound_is_enough.then_some(at), "{kind}");
        if kind.family != Family::Can {
            assert_eq!(unnamed_destination(&fresh(kind)), None, "{kind}");
        }
    }
    let hci = kind(Family::Bluetooth, SocketType::Raw, 1);
    let at = Address::Bluetooth(BluetoothAddress::Hci {
        device: 0,
        channel: 0,
    });
    assert_eq!(unnamed_destination(&bound(hci, &at)), Some(at));
}
