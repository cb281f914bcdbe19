//! Bluetooth, the kin of TCP and UDP, and what Unix peers run as: each key inside, at the edge, and outside.

mod common;

use common::{UNIX, at, fresh, gate};
use sockgate_policy::{
    Address, BluetoothAddress, Family, Gate, Kind, Policy, SocketFacts, SocketType,
};

const L2CAP: Kind = bluetooth(SocketType::SeqPacket, 0);
const HCI: Kind = bluetooth(SocketType::Raw, 1);
const SCO: Kind = bluetooth(SocketType::SeqPacket, 2);
const RFCOMM: Kind = bluetooth(SocketType::Stream, 3);

const fn bluetooth(socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family: Family::Bluetooth,
        socket_type,
        protocol,
    }
}

const fn inet(socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family: Family::Inet,
        socket_type,
        protocol,
    }
}

const DEVICE: [u8; 6] = [0, 0xAA, 1, 0, 0, 0x41];
const NEXT: [u8; 6] = [0, 0xAA, 1, 0, 0, 0x42];

fn l2cap(device: [u8; 6], psm: u16) -> Address {
    Address::Bluetooth(BluetoothAddress::L2cap {
        device,
        address_type: 0,
        psm,
        cid: 0,
    })
}

fn fixed(address_type: u8, cid: u16) -> Address {
    Address::Bluetooth(BluetoothAddress::L2cap {
        device: DEVICE,
        address_type,
        psm: 0,
        cid,
    })
}

fn rfcomm(device: [u8; 6], channel: u8) -> Address {
    Address::Bluetooth(BluetoothAddress::Rfcomm { device, channel })
}

fn hci(device: u16, channel: u16) -> Address {
    Address::Bluetooth(BluetoothAddress::Hci { device, channel })
}

fn rule(keys: &str) -> Gate {
    gate(&format!(
        "[[allow]]\nid='bt'\nfamily=['bluetooth']\n{}",
        keys.replace(';', "\n")
    ))
}

#[test]
fn devices_and_multiplexers() {
    let gate = rule(
        "protocol=['l2cap'];ops=['connect'];address=['00:aa:01:00:00:41'];psm=['0x1001-0x1003']",
    );
    let connects = |address: &Address| gate.connect(&fresh(L2CAP), address).is_ok();
    for psm in [0x1001, 0x1002, 0x1003] {
        assert!(connects(&l2cap(DEVICE, psm)), "{psm:#x}");
    }
    for psm in [0, 1, 0x1000, 0x1004, u16::MAX] {
        assert!(!connects(&l2cap(DEVICE, psm)), "{psm:#x}");
    }
    assert!(!connects(&l2cap(NEXT, 0x1001)));
    assert!(!connects(&l2cap([0; 6], 0x1001)), "any device");
    assert!(
        !connects(&fixed(1, 4)),
        "a fixed channel has no multiplexer"
    );
    assert!(gate.bind(&fresh(L2CAP), &l2cap([0; 6], 0x1001)).is_err());
    for other in [HCI, SCO, RFCOMM] {
        assert!(gate.create(other).is_err(), "{other}");
    }
    assert!(gate.connect(&fresh(RFCOMM), &rfcomm(DEVICE, 1)).is_err());
}

#[test]
fn fixed_channels_and_kinds_of_addresses() {
    let gate = rule(
        "protocol=['l2cap'];ops=['connect'];address=['*'];address-type=['le-public'];cid=['att']",
    );
    let connects = |address: &Address| gate.connect(&fresh(L2CAP), address).is_ok();
    assert!(connects(&fixed(1, 4)));
    assert!(!connects(&fixed(2, 4)), "another device of the same number");
    assert!(!connects(&fixed(0, 4)));
    assert!(!connects(&fixed(1, 5)) && !connects(&fixed(1, 3)));
    assert!(!connects(&l2cap(DEVICE, 4)), "a multiplexer is no channel");
    // What lets the kernel choose a multiplexer is no grant of fixed channels.
    let chosen = rule("protocol=['l2cap'];ops=['bind'];address=['*'];psm=[0]");
    assert!(chosen.bind(&fresh(L2CAP), &l2cap([0; 6], 0)).is_ok());
    assert!(chosen.bound(&fresh(L2CAP), &l2cap([0; 6], 0x1005)).is_ok());
    assert!(chosen.bind(&fresh(L2CAP), &l2cap([0; 6], 0x1005)).is_err());
    assert!(chosen.bind(&fresh(L2CAP), &fixed(1, 4)).is_err());
    // Nor the other way round.
    let channels = rule("protocol=['l2cap'];ops=['bind'];address=['*'];cid=['*']");
    assert!(channels.bind(&fresh(L2CAP), &fixed(1, 4)).is_ok());
    assert!(channels.bind(&fresh(L2CAP), &l2cap(DEVICE, 0)).is_err());
}

#[test]
fn any_device_is_the_denied_one_too() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['bluetooth']\nops=['bind']\naddress=['*']\n\
         [[deny]]\nid='d'\nfamily=['bluetooth']\nops=['bind']\naddress=['00:AA:01:00:00:41']",
    );
    for (device, fits) in [(NEXT, true), (DEVICE, false), ([0; 6], false)] {
        let bound = gate.bind(&fresh(RFCOMM), &rfcomm(device, 3));
        assert_eq!(bound.is_ok(), fits, "{device:?}");
    }
}

#[test]
fn channels_of_rfcomm_and_peers_of_a_listener() {
    let gate = rule(
        "protocol=['rfcomm'];ops=['listen'];local={address=['any'],channel=['3-4']};peer={address=['00:AA:01:00:00:42']}",
    );
    let at = |channel| rfcomm([0; 6], channel);
    for (channel, fits) in [(2, false), (3, true), (4, true), (5, false), (0, false)] {
        assert_eq!(
            gate.bind(&fresh(RFCOMM), &at(channel)).is_ok(),
            fits,
            "{channel}"
        );
    }
    assert!(
        gate.bind(&fresh(RFCOMM), &rfcomm(DEVICE, 3)).is_err(),
        "one controller"
    );
    let listener = SocketFacts {
        local: Some(at(3)),
        ..fresh(RFCOMM)
    };
    assert!(gate.listen(&listener).is_ok());
    assert!(gate.accept(&listener, &rfcomm(NEXT, 9)).is_ok());
    assert!(gate.accept(&listener, &rfcomm(DEVICE, 9)).is_err());
    assert!(gate.connect(&fresh(RFCOMM), &rfcomm(NEXT, 3)).is_err());
}

#[test]
fn controllers_and_their_channels() {
    let gate = rule(
        "protocol=['hci'];ops=['bind','receive'];local={device=['none'],channel=['monitor']};peer='*'",
    );
    let binds =
        |gate: &Gate, device, channel| gate.bind(&fresh(HCI), &hci(device, channel)).is_ok();
    assert!(binds(&gate, 0xffff, 2));
    assert!(!binds(&gate, 0xffff, 3), "the management of controllers");
    assert!(!binds(&gate, 0xffff, 1) && !binds(&gate, 0xffff, 4));
    assert!(!binds(&gate, 0, 2) && !binds(&gate, 0, 0));
    let raw = rule("protocol=['hci'];ops=['bind'];device=[1];channel=['raw']");
    assert!(binds(&raw, 1, 0));
    assert!(!binds(&raw, 1, 1), "the controller for itself");
    assert!(!binds(&raw, 0, 0) && !binds(&raw, 2, 0) && !binds(&raw, 0xffff, 0));
    // A channel alone names no controller.
    let text = "version=1\n[[allow]]\nid='a'\nfamily=['bluetooth']\nprotocol=['hci']\nops=['bind']\nchannel=['raw']";
    let errors = Policy::from_toml(&sockgate_policy::Source::new("p.toml", text)).unwrap_err();
    assert!(
        errors.to_string().contains("without a local address"),
        "{errors}"
    );
}

#[test]
fn a_key_of_one_protocol_is_no_grant_of_another() {
    let gate = rule("ops=['connect'];address=['*'];psm=['*']");
    assert!(gate.connect(&fresh(L2CAP), &l2cap(DEVICE, 1)).is_ok());
    assert!(gate.create(RFCOMM).is_err() && gate.create(SCO).is_err() && gate.create(HCI).is_err());
    let all = rule("ops=['connect'];address=['*']");
    assert!(all.connect(&fresh(RFCOMM), &rfcomm(DEVICE, 1)).is_ok());
    let sco = Address::Bluetooth(BluetoothAddress::Sco { device: DEVICE });
    assert!(all.connect(&fresh(SCO), &sco).is_ok());
    assert!(all.create(HCI).is_err());
}

#[test]
fn a_deny_rule_takes_away_one_multiplexer() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['bluetooth']\nops=['connect','bind']\nlocal={address=['*']}\npeer={address=['*']}\n\
         [[deny]]\nid='sdp'\nfamily=['bluetooth']\npsm=[1]",
    );
    assert!(gate.connect(&fresh(L2CAP), &l2cap(DEVICE, 3)).is_ok());
    assert!(gate.connect(&fresh(L2CAP), &l2cap(DEVICE, 1)).is_err());
    assert!(gate.bind(&fresh(L2CAP), &l2cap([0; 6], 1)).is_err());
    assert!(gate.connect(&fresh(L2CAP), &fixed(1, 4)).is_ok());
    assert!(gate.connect(&fresh(RFCOMM), &rfcomm(DEVICE, 1)).is_ok());
}

#[test]
fn without_a_rule_for_bluetooth_there_is_none() {
    let star = gate("[[allow]]\nid='a'\nops=['connect','bind','listen']\nlocal='*'\npeer='*'");
    for kind in [L2CAP, HCI, SCO, RFCOMM] {
        assert!(star.create(kind).is_err(), "{kind}");
    }
}

#[test]
fn the_kin_of_tcp_and_udp_are_told_by_protocol() {
    let sctp = inet(SocketType::Stream, 132);
    let many = inet(SocketType::SeqPacket, 132);
    let dccp = inet(SocketType::Dccp, 33);
    let lite = inet(SocketType::Datagram, 136);
    let mptcp = inet(SocketType::Stream, 262);
    let peer = at("10.0.0.1:5001");
    let open = gate("[[allow]]\nid='a'\nfamily=['inet']\nops=['connect']\ncidr=['10.0.0.0/8']");
    for kind in [lite, mptcp] {
        assert!(
            open.connect(&fresh(kind), &peer).is_ok(),
            "{kind}: the same peers"
        );
    }
    for kind in [sctp, many, dccp] {
        assert!(open.create(kind).is_err(), "{kind}: by its name alone");
    }
    for (word, kinds) in [
        ("sctp", vec![sctp, many]),
        ("dccp", vec![dccp]),
        ("udplite", vec![lite]),
        ("mptcp", vec![mptcp]),
    ] {
        let gate = gate(&format!(
            "[[allow]]\nid='a'\nfamily=['inet']\nprotocol=['{word}']\nops=['connect']\ncidr=['10.0.0.1']\nport=['5001']"
        ));
        for kind in [sctp, many, dccp, lite, mptcp, common::TCP4, common::UDP4] {
            let granted = gate.connect(&fresh(kind), &peer).is_ok();
            assert_eq!(granted, kinds.contains(&kind), "{word}: {kind}");
        }
        for other in ["10.0.0.2:5001", "10.0.0.1:5000", "10.0.0.1:5002"] {
            assert!(
                gate.connect(&fresh(kinds[0]), &at(other)).is_err(),
                "{word}: {other}"
            );
        }
    }
    let one = gate(
        "[[allow]]\nid='a'\nfamily=['inet']\nprotocol=['sctp']\ntype=['stream']\nops=['connect']\ncidr=['*']",
    );
    assert!(one.create(sctp).is_ok() && one.create(many).is_err());
    let typed = gate(
        "[[allow]]\nid='a'\nfamily=['inet']\ntype=['dccp']\nprotocol=['dccp']\nops=['connect']\ncidr=['*']",
    );
    assert!(typed.create(dccp).is_ok());
}

#[test]
fn who_the_peer_runs_as() {
    let permit = |keys: &str| {
        let gate = gate(&format!(
            "[[allow]]\nid='a'\nfamily=['unix']\nops=['connect']\npath=['/run/x']\n{keys}"
        ));
        gate.connect(&fresh(UNIX), &at("/run/x")).unwrap()
    };
    let anyone = permit("");
    assert!(!anyone.asks_who() && anyone.lets_in(7, 7));
    let group = permit("peer-gid=[5, 6]");
    assert!(group.asks_who());
    assert!(group.lets_in(0, 5) && group.lets_in(0, 6));
    assert!(!group.lets_in(5, 0) && !group.lets_in(0, 4) && !group.lets_in(0, 7));
    let both = permit("peer-uid=[1]\npeer-gid=[5]");
    assert!(both.lets_in(1, 5));
    assert!(!both.lets_in(1, 6) && !both.lets_in(2, 5));
}

#[test]
fn two_rules_about_peers_never_add_up_to_a_third() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['unix']\nops=['connect']\npath=['/run/x']\npeer-uid=[1]\n\
         [[allow]]\nid='b'\nfamily=['unix']\nops=['connect']\npath=['/run/x']\npeer-gid=[5]",
    );
    let permit = gate.connect(&fresh(UNIX), &at("/run/x")).unwrap();
    assert!(permit.lets_in(1, 0) && permit.lets_in(2, 5));
    assert!(!permit.lets_in(2, 6));
}
