//! CAN: which frames, jobs, channels and parameter groups the keys of a rule cover.

mod common;

use common::gate;
use sockgate_policy::{
    Address, CanAddress, CanEndpoint, CanId, Content, Family, Gate, Kind, SocketFacts, SocketType,
    unnamed_destination,
};

const RAW: Kind = kind(SocketType::Raw, 1);
const BCM: Kind = kind(SocketType::Datagram, 2);
const ISOTP: Kind = kind(SocketType::Datagram, 6);
const J1939: Kind = kind(SocketType::Datagram, 7);

const EFF: u32 = 1 << 31;
const RTR: u32 = 1 << 30;
const ERR: u32 = 1 << 29;

const fn kind(socket_type: SocketType, protocol: u32) -> Kind {
    Kind {
        family: Family::Can,
        socket_type,
        protocol,
    }
}

fn at(interface: Option<&str>, endpoint: CanEndpoint) -> Address {
    Address::Can(CanAddress {
        interface: interface.map(str::to_owned),
        endpoint,
    })
}

fn bus(interface: &str) -> Address {
    at(Some(interface), CanEndpoint::Bus)
}

fn every_bus() -> Address {
    at(None, CanEndpoint::Bus)
}

fn channel(interface: &str, rx: u16, tx: u16) -> Address {
    let (rx, tx) = (CanId::Standard(rx), CanId::Standard(tx));
    at(Some(interface), CanEndpoint::IsoTp { rx, tx })
}

fn node(address: impl Into<Option<u8>>, pgn: impl Into<Option<u32>>) -> Address {
    let endpoint = CanEndpoint::J1939 {
        name: None,
        pgn: pgn.into(),
        address: address.into(),
    };
    at(Some("can0"), endpoint)
}

fn bound(kind: Kind, local: Address) -> SocketFacts {
    SocketFacts {
        local: Some(local),
        ..SocketFacts::new(kind)
    }
}

fn connected(kind: Kind, peer: Address) -> SocketFacts {
    SocketFacts {
        peer: Some(peer),
        ..SocketFacts::new(kind)
    }
}

/// struct can_frame.
fn classic(id: u32) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes[..4].copy_from_slice(&id.to_ne_bytes());
    bytes[4] = 8;
    bytes
}

/// struct canfd_frame.
fn fd(id: u32) -> Vec<u8> {
    let mut bytes = classic(id);
    bytes.resize(72, 0);
    bytes[4] = 64;
    bytes
}

/// struct canxl_frame with so many bytes of data.
fn xl(priority: u32, length: usize) -> Vec<u8> {
    let mut bytes = priority.to_ne_bytes().to_vec();
    bytes.extend([0x80, 0]);
    bytes.extend(u16::try_from(length).unwrap().to_ne_bytes());
    bytes.resize(12 + length, 0);
    bytes
}

/// struct bcm_msg_head with frames behind it.
fn job(opcode: u32, flags: u32, id: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = opcode.to_ne_bytes().to_vec();
    bytes.extend(flags.to_ne_bytes());
    bytes.resize(48, 0);
    bytes.extend(id.to_ne_bytes());
    bytes.extend(u32::try_from(frames.len()).unwrap().to_ne_bytes());
    bytes.extend(frames.concat());
    bytes
}

fn sends(gate: &Gate, socket: &SocketFacts, bytes: &[u8]) -> bool {
    let to = unnamed_destination(socket).expect("a socket that sends where it is bound");
    let content = Content::sent(socket.kind, bytes);
    gate.send_to(socket, &to, &content).is_ok()
}

fn hears(gate: &Gate, socket: &SocketFacts, sender: &Address, bytes: &[u8]) -> bool {
    let content = Content::received(socket.kind, bytes);
    gate.receive_from(socket, sender, &content).is_ok()
}

/// A raw socket on can0 under a rule that lets it send and receive what `keys` say.
fn sends_raw(keys: &str, frame: &[u8]) -> bool {
    let gate = raw(&format!(
        "ops = [\"bind\", \"send-to\", \"receive\"]\n{keys}"
    ));
    let socket = bound(RAW, bus("can0"));
    let sent = sends(&gate, &socket, frame);
    assert_eq!(sent, hears(&gate, &socket, &bus("can0"), frame));
    sent
}

fn raw(rest: &str) -> Gate {
    gate(&format!(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nprotocol = [\"raw\"]\ninterface = [\"can0\"]\n{rest}"
    ))
}

#[test]
fn ids_are_granted_up_to_the_edge() {
    let keys = "can-id = [\"0x100-0x1ff\"]";
    for (id, granted) in [(0xff, false), (0x100, true), (0x1ff, true), (0x200, false)] {
        assert_eq!(sends_raw(keys, &classic(id)), granted, "{id:#x}");
    }
    let keys = "can-id = [\"0x100/0x700\", \"0x7ff\"]";
    for (id, granted) in [(0xff, false), (0x1ff, true), (0x7fe, false), (0x7ff, true)] {
        assert_eq!(sends_raw(keys, &classic(id)), granted, "{id:#x}");
    }
}

#[test]
fn flag_bits_are_no_way_round_an_id() {
    let standard = "can-id = [\"0x123\"]";
    for flags in [EFF, RTR, ERR, EFF | RTR, ERR | RTR, ERR | EFF] {
        assert!(!sends_raw(standard, &classic(0x123 | flags)), "{flags:#x}");
    }
    assert!(!sends_raw(standard, &classic(0x923)), "more than 11 bits");
    for (word, id) in [
        ("ext:0x123", 0x123 | EFF),
        ("rtr:0x123", 0x123 | RTR),
        ("rtr:ext:0x123", 0x123 | EFF | RTR),
        ("err:0x123", 0x123 | ERR),
    ] {
        let keys = format!("can-id = [\"{word}\"]");
        assert!(sends_raw(&keys, &classic(id)), "{word}");
        assert!(!sends_raw(&keys, &classic(0x123)), "{word}");
        assert!(!sends_raw(&keys, &classic(id ^ 1)), "{word}");
    }
    // Nothing grants bits that make no sense together, not even everything.
    let all = "can-id = [\"*\", \"ext:*\", \"rtr:*\", \"rtr:ext:*\", \"err:*\"]";
    for id in [0x800, ERR | RTR, ERR | EFF] {
        assert!(!sends_raw(all, &classic(id)), "{id:#x}");
    }
}

#[test]
fn formats_need_their_word() {
    let classic_only = "can-id = [\"0x123\"]";
    let with_fd = "can-id = [\"0x123\"]\nfd = true";
    let with_xl = "can-id = [\"0x123\"]\nxl = true";
    for (frame, by_classic, by_fd, by_xl) in [
        (classic(0x123), true, true, true),
        (fd(0x123), false, true, false),
        (xl(0x123, 1), false, false, true),
        (xl(0x123, 2048), false, false, true),
        // As long as a classic frame, and as a CAN FD one.
        (xl(0x123, 4), false, false, true),
        (xl(0x123, 60), false, false, true),
        (xl(0x124, 4), false, false, false),
        // A virtual network beside the priority; a flag there is none.
        (xl(0x0042_0123, 4), false, false, true),
        (xl(0x123 | EFF, 4), false, false, false),
    ] {
        assert_eq!(sends_raw(classic_only, &frame), by_classic);
        assert_eq!(sends_raw(with_fd, &frame), by_fd);
        assert_eq!(sends_raw(with_xl, &frame), by_xl);
    }
    for length in [0, 4, 5, 15, 17, 71, 73, 2060, 2061] {
        assert!(
            !sends_raw("xl = true\nfd = true", &vec![0; length]),
            "{length}"
        );
    }
    // Whatever ids are granted: a priority has 11 bits, and no flag.
    let all = "can-id = [\"*\", \"ext:*\", \"rtr:*\", \"err:*\"]\nxl = true";
    for (priority, granted) in [
        (0x7ff, true),
        (0x7ff | EFF, false),
        (0x7ff | RTR, false),
        (0x7ff | ERR, false),
    ] {
        assert_eq!(sends_raw(all, &xl(priority, 4)), granted, "{priority:#x}");
    }
    assert!(!sends_raw("xl = true", &xl(0x123, 0)));
    assert!(!sends_raw("xl = true", &xl(0x123, 2049)));
}

#[test]
fn sending_and_receiving_are_granted_apart() {
    let gate = raw("ops = [\"bind\", \"receive\"]\ncan-id = [\"0x100\"]\n\
         [[allow]]\nid = \"s\"\nfamily = [\"can\"]\ninterface = [\"can0\"]\n\
         ops = [\"send-to\"]\ncan-id = [\"0x200\"]");
    let socket = bound(RAW, bus("can0"));
    assert!(hears(&gate, &socket, &bus("can0"), &classic(0x100)));
    assert!(!hears(&gate, &socket, &bus("can0"), &classic(0x200)));
    assert!(sends(&gate, &socket, &classic(0x200)));
    assert!(!sends(&gate, &socket, &classic(0x100)));
}

#[test]
fn interfaces_are_judged_where_a_frame_goes_and_comes_from() {
    let gate = raw("ops = [\"bind\", \"send-to\", \"receive\"]\ncan-id = [\"0x100\"]");
    let socket = bound(RAW, bus("can0"));
    assert!(gate.bind(&SocketFacts::new(RAW), &bus("can0")).is_ok());
    assert!(gate.bind(&SocketFacts::new(RAW), &bus("can1")).is_err());
    assert!(gate.bind(&SocketFacts::new(RAW), &every_bus()).is_err());
    for (to, granted) in [
        (bus("can0"), true),
        (bus("can1"), false),
        (every_bus(), false),
    ] {
        let content = Content::sent(RAW, &classic(0x100));
        assert_eq!(gate.send_to(&socket, &to, &content).is_ok(), granted);
        assert_eq!(hears(&gate, &socket, &to, &classic(0x100)), granted);
    }
    let everywhere = gate_of_all_interfaces();
    assert!(
        everywhere
            .bind(&SocketFacts::new(RAW), &every_bus())
            .is_ok()
    );
}

#[test]
fn an_interface_holds_beside_peers_of_every_address() {
    let gate = gate(
        "[[allow]]\nid='r'\nfamily=['can']\nops=['send-to']\ninterface=['can0']\npeer='*'\ncan-id=['*']",
    );
    let content = Content::sent(RAW, &classic(0x100));
    let sends = |to| gate.send_to(&SocketFacts::new(RAW), &to, &content).is_ok();
    assert!(sends(bus("can0")));
    assert!(!sends(bus("can1")));
}

fn gate_of_all_interfaces() -> Gate {
    gate("[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nops = [\"bind\"]\ninterface = [\"*\"]")
}

#[test]
fn a_denied_id_stays_denied() {
    let gate = raw("ops = [\"bind\", \"send-to\", \"receive\"]\n\
         [[deny]]\nid = \"no\"\nfamily = [\"can\"]\ncan-id = [\"0x7e0-0x7ef\"]");
    let socket = bound(RAW, bus("can0"));
    assert!(gate.bind(&SocketFacts::new(RAW), &bus("can0")).is_ok());
    for (id, granted) in [(0x7df, true), (0x7e0, false), (0x7ef, false), (0x7f0, true)] {
        assert_eq!(sends(&gate, &socket, &classic(id)), granted, "{id:#x}");
    }
}

fn broadcast_manager(keys: &str) -> (Gate, SocketFacts) {
    let gate = gate(&format!(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nprotocol = [\"bcm\"]\n\
         ops = [\"connect\"]\ninterface = [\"can0\"]\n{keys}"
    ));
    (gate, connected(BCM, bus("can0")))
}

const TX_SETUP: u32 = 1;
const TX_DELETE: u32 = 2;
const TX_READ: u32 = 3;
const TX_SEND: u32 = 4;
const RX_SETUP: u32 = 5;
const RX_STATUS: u32 = 10;
const RX_CHANGED: u32 = 12;

#[test]
fn jobs_are_judged_by_every_id_in_them() {
    let (gate, socket) = broadcast_manager("can-id = [\"0x100-0x10f\"]");
    let sends = |bytes: Vec<u8>| sends(&gate, &socket, &bytes);
    assert!(sends(job(
        TX_SETUP,
        0,
        0x100,
        &[classic(0x100), classic(0x10f)]
    )));
    assert!(!sends(job(
        TX_SETUP,
        0,
        0x100,
        &[classic(0x100), classic(0x110)]
    )));
    assert!(!sends(job(TX_SETUP, 0, 0x110, &[classic(0x100)])));
    assert!(!sends(job(TX_SEND, 0, 0x100, &[classic(0x100 | EFF)])));
    assert!(!sends(job(TX_DELETE, 0, 0x110, &[])));
    // The head's id goes into every frame of a cyclic transmission, and into no other's.
    assert!(sends(job(TX_SETUP, 0x10, 0x100, &[classic(0x7ff)])));
    assert!(!sends(job(TX_SEND, 0x10, 0x100, &[classic(0x7ff)])));
    // A watch without frames is a filter of the id; one with frames compares their data.
    assert!(sends(job(RX_SETUP, 0x20, 0x10f, &[])));
    assert!(!sends(job(RX_SETUP, 0x20, 0x110, &[])));
    assert!(sends(job(RX_SETUP, 0, 0x10f, &[classic(0), classic(0)])));
    for (frames, granted) in [(257, true), (258, false)] {
        let many = vec![classic(0x100); frames];
        assert_eq!(sends(job(TX_SETUP, 0, 0x100, &many)), granted, "{frames}");
    }
    // Each id is told once.
    let frames = [0x10f, 0x100, 0x10f].map(classic);
    let content = Content::sent(BCM, &job(TX_SETUP, 0, 0x100, &frames));
    assert_eq!(
        content.to_string(),
        "bcm-ops=1 can-id=0x100 fd=0 and 1 more"
    );
}

#[test]
fn what_is_no_frame_on_the_bus_is_not_looked_at() {
    let (gate, socket) = broadcast_manager("can-id = [\"0x100\"]");
    // To end a transmission, or to ask for it, the kernel reads the head alone.
    for opcode in [TX_DELETE, TX_READ] {
        let asks = |id| sends(&gate, &socket, &job(opcode, 0, id, &[classic(0x7ff)]));
        assert!(asks(0x100) && !asks(0x101), "{opcode}");
    }
    // It tells of a watch with what that compares with.
    let told = |id| job(RX_STATUS, 0, id, &[classic(0), classic(0)]);
    assert!(hears(&gate, &socket, &bus("can0"), &told(0x100)));
    assert!(!hears(&gate, &socket, &bus("can0"), &told(0x101)));
}

#[test]
fn an_answer_to_remote_requests_is_judged_by_the_id_that_it_goes_out_with() {
    let (gate, socket) = broadcast_manager("can-id = [\"rtr:0x100\", \"rtr:0x200\", \"0x200\"]");
    let answers = |head: u32, flags: u32, frame: u32| {
        let bytes = job(RX_SETUP, 0x400 | flags, head, &[classic(frame)]);
        sends(&gate, &socket, &bytes)
    };
    assert!(answers(0x200 | RTR, 0, 0x200));
    assert!(answers(0x100 | RTR, 0, 0x200));
    assert!(!answers(0x100 | RTR, 0, 0x100), "its own id");
    assert!(!answers(0x100 | RTR, 0, 0x100 | RTR), "turned into data");
    assert!(
        !answers(0x100 | RTR, 0x10, 0x200),
        "the head's id is copied"
    );
    assert!(answers(0x200 | RTR, 0x10, 0x7ff));
}

#[test]
fn jobs_need_their_operation_and_their_format() {
    let (gate, socket) = broadcast_manager("bcm-ops = [\"rx-setup\", \"rx-delete\"]");
    let granted = |opcode| sends(&gate, &socket, &job(opcode, 0, 0x100, &[]));
    let operations: Vec<u32> = (0..16).filter(|opcode| granted(*opcode)).collect();
    assert_eq!(operations, [5, 6]);
    // What answers a granted operation is heard, and nothing else.
    for (operation, answers) in [
        ("tx-setup", &[9][..]),
        ("tx-delete", &[]),
        ("tx-read", &[8]),
        ("tx-send", &[]),
        ("rx-setup", &[11, 12]),
        ("rx-delete", &[]),
        ("rx-read", &[10]),
    ] {
        let (gate, socket) = broadcast_manager(&format!("bcm-ops = [\"{operation}\"]"));
        let heard = |opcode| hears(&gate, &socket, &bus("can0"), &job(opcode, 0, 0x100, &[]));
        let told: Vec<u32> = (8..=12).filter(|told| heard(*told)).collect();
        assert_eq!(told, answers, "{operation}");
    }

    let (gate, socket) = broadcast_manager("can-id = [\"0x100\"]");
    let flexible = job(TX_SEND, 0x800, 0x100, &[fd(0x100)]);
    assert!(!sends(&gate, &socket, &flexible));
    let (gate, socket) = broadcast_manager("can-id = [\"0x100\"]\nfd = true");
    assert!(sends(&gate, &socket, &flexible));
}

#[test]
fn a_job_that_lies_about_its_frames_is_refused() {
    let (gate, socket) = broadcast_manager("");
    let whole = job(TX_SETUP, 0, 0x100, &[classic(0x100), classic(0x100)]);
    assert!(sends(&gate, &socket, &whole));
    for length in [0, 4, 55, 56, 57, 72, 87] {
        assert!(!sends(&gate, &socket, &whole[..length]), "{length}");
    }
    for more in [1, 8, 16] {
        let longer = [whole.as_slice(), &classic(0x100)[..more]].concat();
        assert!(!sends(&gate, &socket, &longer), "{more}");
    }
    let mut lying = whole.clone();
    lying[4..8].copy_from_slice(&0x800u32.to_ne_bytes());
    assert!(!sends(&gate, &socket, &lying), "frames of another size");
    for answer in 8..=12 {
        assert!(!sends(&gate, &socket, &job(answer, 0, 0x100, &[])));
    }
}

#[test]
fn what_a_broadcast_manager_tells_is_of_its_interface() {
    let (gate, socket) = broadcast_manager("can-id = [\"0x100\"]");
    let told = |id| job(RX_CHANGED, 0, id, &[classic(id)]);
    assert!(hears(&gate, &socket, &bus("can0"), &told(0x100)));
    assert!(!hears(&gate, &socket, &bus("can0"), &told(0x101)));
    // The end of a count names no interface.
    assert!(hears(&gate, &socket, &every_bus(), &job(9, 0, 0x100, &[])));
    assert!(!hears(&gate, &socket, &bus("can1"), &told(0x100)));
}

#[test]
fn a_broadcast_manager_of_one_interface_cannot_name_another() {
    let (gate, socket) = {
        let (_, socket) = broadcast_manager("");
        let rules = "[[allow]]\nid = \"a\"\nfamily = [\"can\"]\nops = [\"connect\"]\n\
             interface = [\"can0\"]\ncan-id = [\"0x100\"]\n\
             [[allow]]\nid = \"b\"\nfamily = [\"can\"]\nops = [\"connect\", \"send-to\"]\n\
             interface = [\"can1\"]\ncan-id = [\"0x200\"]";
        (common::gate(rules), socket)
    };
    // The kernel does not look at the name: what counts is where the message goes.
    for (id, granted) in [(0x100, true), (0x200, false)] {
        let content = Content::sent(BCM, &job(TX_SEND, 0, id, &[classic(id)]));
        let verdict = gate.send_to(&socket, &bus("can1"), &content);
        assert_eq!(verdict.is_ok(), granted);
        if let Ok(permit) = verdict {
            assert_eq!(permit.subject().address, bus("can0"));
        }
    }
}

#[test]
fn channels_are_granted_by_their_pair_of_ids() {
    let gate = gate(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nprotocol = [\"isotp\"]\n\
         ops = [\"bind\", \"send-to\", \"receive\"]\ninterface = [\"can0\"]\n\
         isotp = [{ rx = \"0x7E8\", tx = \"0x7E0\" }, { rx = \"0x123\", tx = \"0x456\" }]",
    );
    let fresh = SocketFacts::new(ISOTP);
    assert!(gate.bind(&fresh, &channel("can0", 0x7e8, 0x7e0)).is_ok());
    assert!(gate.bind(&fresh, &channel("can0", 0x123, 0x456)).is_ok());
    for other in [
        channel("can0", 0x7e0, 0x7e8),
        channel("can0", 0x7e8, 0x7e1),
        channel("can0", 0x7e9, 0x7e0),
        channel("can1", 0x7e8, 0x7e0),
        at(
            Some("can0"),
            CanEndpoint::IsoTp {
                rx: CanId::Extended(0x7e8),
                tx: CanId::Extended(0x7e0),
            },
        ),
    ] {
        assert!(gate.bind(&fresh, &other).is_err(), "{other}");
    }
    let socket = bound(ISOTP, channel("can0", 0x7e8, 0x7e0));
    assert!(sends(&gate, &socket, b"\x22\xf1\x90"));
    // The kernel says of a message only which interface it is from.
    assert!(hears(
        &gate,
        &socket,
        &channel("can0", 0, 0),
        b"\x62\xf1\x90"
    ));
    let other = bound(ISOTP, channel("can0", 0x7e9, 0x7e1));
    assert!(!sends(&gate, &other, b""));
    assert!(!hears(&gate, &other, &channel("can0", 0, 0), b""));
    // It does not look at a name either: the message leaves on the socket's own channel.
    let content = Content::sent(ISOTP, b"");
    let granted = channel("can0", 0x7e8, 0x7e0);
    assert!(gate.send_to(&other, &granted, &content).is_err());
}

#[test]
fn a_channel_that_is_not_bound_yet_hears_nothing() {
    let local = |ids: &str| {
        gate(&format!(
            "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nprotocol = [\"isotp\"]\n\
             ops = [\"bind\", \"receive\"]\nlocal = {{ interface = [\"*\"]{ids} }}"
        ))
    };
    let socket = SocketFacts::new(ISOTP);
    assert!(local("").receive(&socket).is_ok());
    let one = local(", isotp = [{ rx = \"0x7E8\", tx = \"0x7E0\" }]");
    assert!(one.receive(&socket).is_err());
    let named = bound(ISOTP, channel("can0", 0x7e8, 0x7e0));
    assert!(one.receive(&named).is_ok());
}

#[test]
fn a_rule_about_frames_grants_no_channel() {
    let gate = gate(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nops = [\"bind\", \"send-to\"]\n\
         interface = [\"can0\"]\ncan-id = [\"*\"]",
    );
    assert!(gate.create(RAW).is_ok());
    for kind in [ISOTP, J1939] {
        assert!(gate.create(kind).is_err());
    }
}

const LISTENER: &str = "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nprotocol = [\"j1939\"]\n\
     ops = [\"bind\", \"receive\"]\ninterface = [\"can0\"]\npgn = [\"0xFECA\", \"0x12300-0x123ff\"]\n\
     local = { j1939-address = [\"0x20\"] }\npeer = { j1939-address = [\"0x30-0x3f\"] }";

#[test]
fn parameter_groups_are_judged_message_by_message() {
    let gate = gate(LISTENER);
    let fresh = SocketFacts::new(J1939);
    assert!(gate.bind(&fresh, &node(0x20, None)).is_ok());
    assert!(gate.bind(&fresh, &node(0x20, 0xfeca)).is_ok());
    assert!(gate.bind(&fresh, &node(0x20, 0xfecb)).is_err());
    assert!(gate.bind(&fresh, &node(0x21, None)).is_err());
    assert!(gate.bind(&fresh, &node(None, None)).is_err());
    let socket = bound(J1939, node(0x20, None));
    for (address, pgn, granted) in [
        (0x30, 0xfeca, true),
        (0x3f, 0x12300, true),
        (0x3f, 0x123ff, true),
        (0x3f, 0x12400, false),
        (0x30, 0xfecb, false),
        (0x2f, 0xfeca, false),
        (0x40, 0xfeca, false),
    ] {
        let heard = hears(&gate, &socket, &node(address, pgn), b"data");
        assert_eq!(heard, granted, "{address:#x} {pgn:#x}");
    }
}

#[test]
fn j1939_messages_go_to_the_granted_nodes_and_groups() {
    let gate = gate(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nops = [\"bind\", \"send-to\"]\n\
         interface = [\"can0\"]\nlocal = { j1939-address = [\"0x20\"] }\n\
         peer = { pgn = [\"0xFECA\"], j1939-address = [\"0x30\"] }",
    );
    let socket = bound(J1939, node(0x20, None));
    let sends_to = |gate: &Gate, to: &Address| {
        let content = Content::sent(J1939, b"data");
        gate.send_to(&socket, to, &content).is_ok()
    };
    assert!(sends_to(&gate, &node(0x30, 0xfeca)));
    for other in [
        node(0x31, 0xfeca),
        node(0x30, 0xfecb),
        node(0x30, None),
        node(None, 0xfeca),
    ] {
        assert!(!sends_to(&gate, &other), "{other}");
    }
    // Without a name it is a broadcast of no group in particular, never what the socket is bound to.
    assert_eq!(unnamed_destination(&socket), Some(node(None, None)));
    let broadcaster = common::gate(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nops = [\"bind\", \"send-to\"]\n\
         interface = [\"can0\"]\nlocal = { j1939-address = [\"0x20\"] }\n\
         peer = { pgn = [\"0xFECA\"], j1939-address = [\"broadcast\"] }",
    );
    assert!(sends_to(&broadcaster, &node(None, 0xfeca)));
    assert!(!sends_to(&broadcaster, &node(0x30, 0xfeca)));
    assert!(!sends_to(&broadcaster, &node(None, None)));
}

#[test]
fn a_denied_group_is_not_heard_and_not_sent() {
    let gate = gate(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nops = [\"bind\", \"receive\", \"send-to\"]\n\
         interface = [\"can0\"]\n[[deny]]\nid = \"no\"\nfamily = [\"can\"]\npgn = [\"0xEE00\"]",
    );
    let socket = bound(J1939, node(0x20, None));
    assert!(
        gate.bind(&SocketFacts::new(J1939), &node(0x20, None))
            .is_ok()
    );
    assert!(
        gate.bind(&SocketFacts::new(J1939), &node(0x20, 0xee00))
            .is_err()
    );
    assert!(hears(&gate, &socket, &node(0x30, 0xfeca), b""));
    assert!(!hears(&gate, &socket, &node(0x30, 0xee00), b""));
    let content = Content::sent(J1939, b"");
    assert!(gate.send_to(&socket, &node(0x30, 0xfeca), &content).is_ok());
    assert!(
        gate.send_to(&socket, &node(0x30, 0xee00), &content)
            .is_err()
    );
    assert!(gate.send_to(&socket, &node(0x30, None), &content).is_err());
}

#[test]
fn only_a_group_is_left_open_by_a_bind() {
    let denying = |keys: &str| {
        gate(&format!(
            "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nops = [\"bind\", \"receive\"]\n\
             interface = [\"*\"]\n[[deny]]\nid = \"no\"\nfamily = [\"can\"]\n{keys}"
        ))
    };
    // A socket without a group of its own is at home on the denied bus, and hears the other groups there.
    let group = denying("interface = [\"can0\"]\npgn = [\"0xEE00\"]");
    let socket = bound(J1939, node(0x20, None));
    assert!(hears(&group, &socket, &node(0x30, 0xfeca), b""));
    assert!(!hears(&group, &socket, &node(0x30, 0xee00), b""));
    // One on every bus is on the denied one.
    let one = denying("interface = [\"can0\"]");
    let fresh = SocketFacts::new(RAW);
    assert!(one.bind(&fresh, &bus("can1")).is_ok());
    assert!(one.bind(&fresh, &every_bus()).is_err());
}

#[test]
fn keys_at_the_top_and_in_an_end_hold_together() {
    for peer in ["'*'", "{ interface = ['*'] }", "{ interface = ['can*'] }"] {
        let gate = raw(&format!("ops = ['bind', 'receive']\npeer = {peer}"));
        let socket = bound(RAW, bus("can0"));
        for (sender, heard) in [
            (bus("can0"), true),
            (bus("can1"), false),
            (every_bus(), false),
        ] {
            let hears = hears(&gate, &socket, &sender, &classic(0x100));
            assert_eq!(hears, heard, "{peer}: {sender}");
        }
    }
}

#[test]
fn names_are_granted_apart_from_addresses() {
    let gate = gate(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nops = [\"bind\"]\ninterface = [\"can0\"]\n\
         j1939-name = [\"0x0123456789abcdef\"]",
    );
    let named = |name| {
        let endpoint = CanEndpoint::J1939 {
            name,
            pgn: None,
            address: None,
        };
        gate.bind(&SocketFacts::new(J1939), &at(Some("can0"), endpoint))
            .is_ok()
    };
    assert!(named(Some(0x0123_4567_89ab_cdef)));
    assert!(!named(Some(0x0123_4567_89ab_cdee)));
    assert!(!named(None));
}

#[test]
fn nothing_is_there_without_a_rule() {
    let gate = gate("");
    for kind in [RAW, BCM, ISOTP, J1939] {
        assert!(gate.create(kind).is_err());
    }
    let by_family = common::gate(
        "[[allow]]\nid = \"r\"\nops = [\"connect\", \"send-to\", \"bind\", \"receive\"]\n\
         local = \"*\"\npeer = \"*\"",
    );
    assert!(by_family.create(RAW).is_err(), "granted by name only");
}

#[test]
fn a_message_of_several_frames_is_of_the_interface_that_its_node_is_on() {
    let gate = gate(
        "[[allow]]\nid = \"r\"\nfamily = [\"can\"]\nprotocol = [\"j1939\"]\nops = [\"bind\", \"receive\"]\n\
         local = { interface = [\"can0\"] }\npeer = { interface = [\"can0\"], j1939-address = [\"0x30\"] }",
    );
    let socket = bound(J1939, node(0x20, None));
    // The kernel names its sender without the interface.
    let sender = |address: u8| {
        let endpoint = CanEndpoint::J1939 {
            name: None,
            pgn: Some(0x12300),
            address: Some(address),
        };
        at(None, endpoint)
    };
    assert!(hears(&gate, &socket, &sender(0x30), b"many frames"));
    assert!(!hears(&gate, &socket, &sender(0x31), b"many frames"));
}
