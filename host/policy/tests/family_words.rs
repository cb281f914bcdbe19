//! The words of every family: what a denial says would grant it grants it as a line, and `explain` reads the same
//! words as a question.

mod common;

use common::{fresh, option};
use sockgate_policy::{
    Address, AlgAddress, BluetoothAddress, CanAddress, CanEndpoint, CanId, Content, Denial, Family,
    Gate, Kind, NetlinkAddress, PacketAddress, Policy, QipcrtrAddress, Question, SocketFacts,
    SocketType, TipcAddress, TipcEndpoint, VsockAddress,
};

/// A kind of socket, an address of it as rules tell it in words, and a message of it.
struct Case {
    kind: Kind,
    address: Address,
    /// The words of the address in a line.
    words: &'static str,
    message: Vec<u8>,
}

fn kind(family: Family, socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family,
        socket_type,
        protocol,
    }
}

fn bluetooth(protocol: u32, address: BluetoothAddress, words: &'static str) -> Case {
    let socket_type = match protocol {
        1 => SocketType::Raw,
        3 => SocketType::Stream,
        _ => SocketType::SeqPacket,
    };
    Case {
        kind: kind(Family::Bluetooth, socket_type, protocol),
        address: Address::Bluetooth(address),
        words,
        message: Vec::new(),
    }
}

fn can(protocol: u32, endpoint: CanEndpoint, words: &'static str) -> Case {
    let socket_type = if protocol == 1 {
        SocketType::Raw
    } else {
        SocketType::Datagram
    };
    let mut frame = vec![0; 16];
    frame[..4].copy_from_slice(&0x123u32.to_ne_bytes());
    Case {
        kind: kind(Family::Can, socket_type, protocol),
        address: Address::Can(CanAddress {
            interface: Some("can0".to_owned()),
            endpoint,
        }),
        words,
        message: frame,
    }
}

fn ip(socket_type: SocketType, protocol: u32) -> Case {
    Case {
        kind: kind(Family::Inet, socket_type, protocol),
        address: common::at("10.0.0.1:5001"),
        words: "10.0.0.1:5001",
        message: Vec::new(),
    }
}

const DEVICE: [u8; 6] = [0xAA, 0xBB, 0xCC, 0, 1, 2];

fn cases() -> Vec<Case> {
    vec![
        bluetooth(
            0,
            BluetoothAddress::L2cap {
                device: DEVICE,
                address_type: 0,
                psm: 0x1001,
                cid: 0,
            },
            "address=AA:BB:CC:00:01:02 address-type=0 psm=4097",
        ),
        bluetooth(
            0,
            BluetoothAddress::L2cap {
                device: [0; 6],
                address_type: 1,
                psm: 0,
                cid: 4,
            },
            "address=any address-type=1 cid=4",
        ),
        bluetooth(
            3,
            BluetoothAddress::Rfcomm {
                device: DEVICE,
                channel: 3,
            },
            "address=AA:BB:CC:00:01:02 channel=3",
        ),
        bluetooth(
            2,
            BluetoothAddress::Sco { device: DEVICE },
            "address=AA:BB:CC:00:01:02",
        ),
        bluetooth(
            1,
            BluetoothAddress::Hci {
                device: 0xffff,
                channel: 2,
            },
            "channel=2 device=65535",
        ),
        can(1, CanEndpoint::Bus, "interface=can0"),
        can(
            6,
            CanEndpoint::IsoTp {
                rx: CanId::Standard(0x7e8),
                tx: CanId::Extended(0x18da_f110),
            },
            "interface=can0 isotp=0x7E8:ext:0x18DAF110",
        ),
        can(
            7,
            CanEndpoint::J1939 {
                name: None,
                pgn: Some(0xfeca),
                address: Some(0x20),
            },
            "interface=can0 pgn=65226 j1939-address=32 j1939-name=*",
        ),
        Case {
            kind: kind(Family::Vsock, SocketType::Stream, 0),
            address: Address::Vsock(VsockAddress {
                cid: 2,
                port: 1234,
                flags: 0,
            }),
            words: "cid=2 port=1234",
            message: Vec::new(),
        },
        Case {
            kind: kind(Family::Tipc, SocketType::SeqPacket, 0),
            address: Address::Tipc(TipcAddress {
                endpoint: TipcEndpoint::Range {
                    service: 18888,
                    lower: 1,
                    upper: 9,
                },
                scope: 2,
            }),
            words: "service=18888 instance=1-9 scope=2 node=*",
            message: Vec::new(),
        },
        Case {
            kind: kind(Family::Alg, SocketType::SeqPacket, 0),
            address: Address::Alg(AlgAddress {
                alg_type: "hash".to_owned(),
                name: "sha256".to_owned(),
                feature: 0,
                mask: 0,
            }),
            words: "alg-type=hash name=sha256",
            message: Vec::new(),
        },
        Case {
            kind: kind(Family::Qipcrtr, SocketType::Datagram, 0),
            address: Address::Qipcrtr(QipcrtrAddress {
                node: 1,
                port: 16385,
            }),
            words: "node=1 port=16385",
            message: Vec::new(),
        },
        Case {
            kind: kind(Family::Packet, SocketType::Datagram, 0x88cc),
            address: Address::Packet(PacketAddress {
                interface: Some("eth0".to_owned()),
                protocol: 0x88cc,
                packet_type: 0,
                hardware_type: 0,
                hardware_address: Vec::new(),
            }),
            words: "interface=eth0 ethertype=35020",
            message: Vec::new(),
        },
        Case {
            kind: kind(Family::Netlink, SocketType::Raw, 0),
            address: Address::Netlink(NetlinkAddress { pid: 0, groups: 0 }),
            words: "pid=0",
            message: dump(),
        },
        Case {
            // A subsystem that has no name here.
            kind: kind(Family::Netlink, SocketType::Raw, 30),
            address: Address::Netlink(NetlinkAddress { pid: 0, groups: 0 }),
            words: "pid=0",
            message: dump(),
        },
        Case {
            kind: kind(Family::Rds, SocketType::SeqPacket, 0),
            ..ip(SocketType::SeqPacket, 0)
        },
        Case {
            kind: kind(Family::Smc, SocketType::Stream, 0),
            ..ip(SocketType::Stream, 0)
        },
        ip(SocketType::Stream, 262),
        ip(SocketType::Stream, 132),
        ip(SocketType::SeqPacket, 132),
        ip(SocketType::Datagram, 136),
        ip(SocketType::Datagram, 1),
        ip(SocketType::Dccp, 33),
        ip(SocketType::Raw, 253),
    ]
}

/// A netlink message of 16 bytes: type 18 (RTM_GETLINK), NLM_F_REQUEST and NLM_F_DUMP.
fn dump() -> Vec<u8> {
    let mut bytes = 16u32.to_ne_bytes().to_vec();
    bytes.extend(18u16.to_ne_bytes());
    bytes.extend(0x301u16.to_ne_bytes());
    bytes.resize(16, 0);
    bytes
}

/// The line of a denial's hint.
fn line(denial: &Denial) -> String {
    let hint = denial.grant_hint();
    let line = hint.strip_prefix("--allow '");
    let line = line.and_then(|rest| rest.strip_suffix('\''));
    line.unwrap_or_else(|| panic!("{denial}: {hint}"))
        .to_owned()
}

fn allowing(line: &str) -> Gate {
    let policy = Policy::allow_line(line).unwrap_or_else(|errors| panic!("`{line}`: {errors}"));
    Gate::new(policy)
}

type Again = Box<dyn Fn(&Gate) -> Option<Denial>>;

/// Everything that can be asked of such a socket, with a name for each.
fn operations(case: &Case) -> Vec<(&'static str, Again)> {
    let (kind, address) = (case.kind, case.address.clone());
    let socket = fresh(kind);
    let bound = SocketFacts {
        local: Some(address.clone()),
        ..fresh(kind)
    };
    let content = Content::sent(kind, &case.message);
    let heard = Content::received(kind, &case.message);
    let marked = common::with_option(socket.clone(), "so.mark", 1);
    let (at, from, to) = (address.clone(), address.clone(), address.clone());
    let mut operations: Vec<(&'static str, Again)> = vec![
        ("bind", {
            let (socket, at) = (socket.clone(), at.clone());
            Box::new(move |gate| gate.bind(&socket, &at).err())
        }),
        ("bind with an option", {
            let at = at.clone();
            Box::new(move |gate| gate.bind(&marked, &at).err())
        }),
        ("connect", {
            let (socket, at) = (socket.clone(), at.clone());
            Box::new(move |gate| gate.connect(&socket, &at).err())
        }),
    ];
    if kind.is_datagram() {
        let receiver = bound.clone();
        operations.push((
            "receive",
            Box::new(move |gate| gate.receive(&receiver).err()),
        ));
        let receiver = bound.clone();
        operations.push((
            "receive from",
            Box::new(move |gate| gate.receive_from(&receiver, &from, &heard).err()),
        ));
        operations.push((
            "send to",
            Box::new(move |gate| gate.send_to(&socket, &to, &content).err()),
        ));
    } else {
        let listener = bound.clone();
        operations.push(("listen", Box::new(move |gate| gate.listen(&listener).err())));
        operations.push((
            "accept",
            Box::new(move |gate| gate.accept(&bound, &at).err()),
        ));
    }
    operations
}

#[test]
fn hints_of_every_family_keep_their_word() {
    let none = Gate::new(Policy::deny_all());
    for case in cases() {
        for (name, again) in operations(&case) {
            let denial = again(&none).unwrap_or_else(|| panic!("{name} on {}", case.kind));
            let line = line(&denial);
            let gate = allowing(&line);
            assert!(
                again(&gate).is_none(),
                "{name} on {}: `{line}` does not grant it: {}",
                case.kind,
                again(&gate).map_or_else(String::new, |denial| denial.hint())
            );
            assert!(
                gate.create(case.kind).is_ok(),
                "{}: `{line}` does not make the socket",
                case.kind
            );
        }
    }
}

#[test]
fn a_line_grants_its_own_address_and_no_other() {
    for case in cases() {
        let denial = Gate::new(Policy::deny_all())
            .connect(&fresh(case.kind), &case.address)
            .unwrap_err();
        let gate = allowing(&line(&denial));
        for other in cases() {
            let same = (other.kind, &other.address) == (case.kind, &case.address);
            let granted = gate.connect(&fresh(other.kind), &other.address).is_ok();
            // A raw socket is granted by its type, a one-to-many SCTP socket by its protocol.
            let sctp = case.kind.protocol == 132 && other.kind.protocol == 132;
            assert_eq!(
                granted,
                same || (sctp && case.kind.family == other.kind.family),
                "{denial} and {}",
                other.kind
            );
        }
    }
}

#[test]
fn questions_are_asked_in_the_words_of_rules() {
    for case in cases() {
        let denial = Gate::new(Policy::deny_all())
            .connect(&fresh(case.kind), &case.address)
            .unwrap_err();
        let rule = line(&denial);
        assert!(rule.contains(&format!(" connect {}", case.words)), "{rule}");
        let question = Question::parse(&rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
        let explained = allowing(&rule).policy().explain(&question);
        assert!(explained.granted(), "{explained}");
        let explained = Policy::deny_all().explain(&question);
        assert!(!explained.granted(), "{explained}");
        let said = explained.to_string();
        assert!(
            said.contains(&format!("--allow '{rule}'")),
            "{rule}: {said}"
        );
    }
}

#[test]
fn a_question_may_be_about_one_message() {
    let line = "can-raw send-to interface=can0 can-id=0x100-0x1ff";
    let gate = allowing(line);
    for (question, missed) in [
        ("can-raw send-to interface=can0 can-id=0x123", None),
        (
            "can-raw send-to interface=can0 can-id=0x200",
            Some("`can-id` 0x200 of the message"),
        ),
        (
            "can-raw send-to interface=can0 can-id=ext:0x123",
            Some("`can-id` ext:0x00000123 of the message"),
        ),
        (
            "can-raw send-to interface=can0 can-id=rtr:0x123",
            Some("`can-id` rtr:0x123 of the message"),
        ),
        (
            "can-raw send-to interface=can0 can-id=0x123 fd=true",
            Some("`fd` 1 of the message"),
        ),
        ("can-raw send-to interface=can0 can-id=0x123 fd=false", None),
        (
            "can-raw send-to interface=can1 can-id=0x123",
            Some("the peer can1"),
        ),
        ("can-bcm send-to interface=can0", Some("type")),
    ] {
        let asked = Question::parse(question).unwrap_or_else(|error| panic!("{error}"));
        let explained = gate.policy().explain(&asked);
        assert_eq!(
            explained.granted(),
            missed.is_none(),
            "{question}: {explained}"
        );
        let said = explained.to_string();
        assert!(
            missed.is_none_or(|missed| said.contains(missed)),
            "{question}: {said}"
        );
    }
}

#[test]
fn a_question_may_be_about_the_node_that_a_service_is_looked_up_on() {
    let gate = allowing("tipc-rdm send-to node=5");
    for (question, granted) in [
        ("tipc-rdm send-to service=18888 instance=7 node=5", true),
        ("tipc-rdm send-to service=18888 instance=7 node=6", false),
        ("tipc-rdm send-to service=18888 instance=7", false),
    ] {
        let asked = Question::parse(question).unwrap_or_else(|error| panic!("{error}"));
        let explained = gate.policy().explain(&asked);
        assert_eq!(explained.granted(), granted, "{question}: {explained}");
    }
}

#[test]
fn sockets_without_addresses_are_granted_by_a_star() {
    let kcm = kind(Family::Kcm, SocketType::Datagram, 0);
    let none = Gate::new(Policy::deny_all());
    let denial = none.create(kcm).unwrap_err();
    assert_eq!(line(&denial), "kcm-datagram connect *");
    let gate = allowing(&line(&denial));
    assert!(gate.create(kcm).is_ok());
    assert!(gate.converse(&fresh(kcm)).is_ok());
    assert!(none.converse(&fresh(kcm)).is_err());
    assert_eq!(
        line(&none.converse(&fresh(kcm)).unwrap_err()),
        "kcm-datagram connect *"
    );
    let xdp = kind(Family::Xdp, SocketType::Raw, 0);
    let denial = none.create(xdp).unwrap_err();
    assert!(allowing(&line(&denial)).create(xdp).is_ok(), "{denial}");
    // A star for the families that are granted without being named says nothing of these.
    let star = common::gate("[[allow]]\nid='a'\nops=['connect']\npeer='*'");
    assert!(star.create(kcm).is_err() && star.create(xdp).is_err());
}

#[test]
fn families_of_other_systems_have_no_grant() {
    let nowhere = kind(Family::Other(u16::MAX), SocketType::Stream, 0);
    let denial = Gate::new(Policy::deny_all()).create(nowhere).unwrap_err();
    assert!(
        denial.grant_hint().contains("Linux has no such sockets"),
        "{}",
        denial.grant_hint()
    );
    for (family, system) in [
        ("hyperv", "Windows"),
        ("system", "macOS"),
        ("link", "BSD"),
        ("divert", "FreeBSD"),
    ] {
        let text = format!(
            "version = 1\n[[allow]]\nid = 'a'\nfamily = ['{family}']\nops = ['connect']\npeer = '*'\n"
        );
        let source = sockgate_policy::Source::new("p.toml", &text);
        let errors = Policy::from_toml(&source).unwrap_err().to_string();
        assert!(
            errors.contains(&format!("family `{family}` is one of {system}")),
            "{errors}"
        );
    }
}

#[test]
fn an_option_has_the_name_of_its_socket() {
    let l2cap = kind(Family::Bluetooth, SocketType::SeqPacket, 0);
    let hci = kind(Family::Bluetooth, SocketType::Raw, 1);
    let name = option("l2cap.options");
    assert_eq!(name, option("tcp.nodelay"), "the kernel's numbers");
    assert_eq!(name.on(l2cap).to_string(), "l2cap.options");
    assert_eq!(name.on(hci).to_string(), "tcp.nodelay");
    assert_eq!(option("hci.filter").on(hci).to_string(), "hci.filter");
    // What is always settable on TCP is not so elsewhere.
    let rule = "[[allow]]\nid='a'\nfamily=['bluetooth']\nprotocol=['l2cap']\nops=['connect']\naddress=['*']";
    let gate = common::gate(rule);
    let denial = gate.set_option(&fresh(l2cap), name, &[0; 12]).unwrap_err();
    assert_eq!(
        denial.grant_hint(),
        "options = { set = [\"l2cap.options\"] }"
    );
    let gate = common::gate(&format!("{rule}\noptions={{set=['l2cap.options']}}"));
    assert!(gate.set_option(&fresh(l2cap), name, &[0; 12]).is_ok());
    let gate = common::gate(&format!("{rule}\noptions={{set=['l2cap.*']}}"));
    assert!(
        gate.set_option(&fresh(l2cap), option("l2cap.lm"), &[0; 4])
            .is_ok()
    );
}
