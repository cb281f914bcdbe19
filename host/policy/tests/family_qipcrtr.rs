//! Verdicts on QRTR: nodes, ports, and what is told to a control port.

mod common;

use common::{fresh, gate};
use sockgate_policy::{
    Address, Content, Family, Gate, Kind, Policy, QipcrtrAddress, SocketFacts, SocketType,
};

const QRTR: Kind = Kind {
    family: Family::Qipcrtr,
    socket_type: SocketType::Datagram,
    protocol: 0,
};
const CONTROL: u32 = 0xffff_fffe;
const EVERY_NODE: u32 = 0xffff_ffff;

fn at(node: u32, port: u32) -> Address {
    Address::Qipcrtr(QipcrtrAddress { node, port })
}

fn sends(gate: &Gate, to: &Address, bytes: &[u8]) -> bool {
    gate.send_to(&fresh(QRTR), to, &Content::sent(QRTR, bytes))
        .is_ok()
}

fn command(number: u32) -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet[..4].copy_from_slice(&number.to_le_bytes());
    packet
}

#[test]
fn nodes_and_ports_are_granted_inside_their_ranges() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['qipcrtr']\nops=['send-to']\nnode=['1-3']\nport=['100-200']",
    );
    for (node, port) in [(1, 100), (3, 200)] {
        assert!(sends(&gate, &at(node, port), b"hello"));
        assert!(sends(&gate, &at(node, port), b""));
    }
    for (node, port) in [
        (0, 100),
        (4, 100),
        (1, 99),
        (1, 201),
        (1, CONTROL),
        (EVERY_NODE, 100),
    ] {
        assert!(!sends(&gate, &at(node, port), b"hello"));
    }
}

#[test]
fn every_node_at_once_is_granted_by_name_and_denied_by_any() {
    let all = gate("[[allow]]\nid='a'\nfamily=['qipcrtr']\nops=['send-to']\nnode=['*']");
    assert!(sends(&all, &at(EVERY_NODE, CONTROL), &command(4)));
    let one = gate(
        "[[allow]]\nid='a'\nfamily=['qipcrtr']\nops=['send-to']\nnode=['*']\n\
         [[deny]]\nid='d'\nfamily=['qipcrtr']\nops=['send-to']\nnode=[7]",
    );
    assert!(sends(&one, &at(6, 1), b"hello") && !sends(&one, &at(7, 1), b"hello"));
    assert!(!sends(&one, &at(EVERY_NODE, CONTROL), &command(4)));
    let named = gate("[[allow]]\nid='a'\nfamily=['qipcrtr']\nops=['send-to']\nnode=['broadcast']");
    assert!(sends(&named, &at(EVERY_NODE, CONTROL), &command(4)));
    assert!(!sends(&named, &at(1, CONTROL), &command(4)));
}

#[test]
fn a_control_port_is_told_what_the_rule_lists() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['qipcrtr']\nops=['send-to', 'receive']\nlocal='*'\n\
         peer={node=[1], port=['control']}\ncontrol=['new-server', 'del-server', '10']",
    );
    let names = at(1, CONTROL);
    for granted in [4, 5, 10] {
        assert!(sends(&gate, &names, &command(granted)));
    }
    // Bye would end every service of the node; 0x0400_0000 is new-server in the other byte order.
    for refused in [0, 2, 3, 6, 7, 8, 9, 11, 12, 0x0400_0000, u32::MAX] {
        assert!(!sends(&gate, &names, &command(refused)), "{refused}");
    }
    let socket = SocketFacts {
        local: Some(at(1, 0x4001)),
        ..fresh(QRTR)
    };
    let heard = |number| {
        let content = Content::received(QRTR, &command(number));
        gate.receive_from(&socket, &names, &content).is_ok()
    };
    assert!(heard(4) && !heard(6));
}

#[test]
fn bind_names_the_node_and_the_port() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['qipcrtr']\nops=['bind']\nnode=[1]\nport=['0', '0x4000-0x4010']",
    );
    assert!(gate.bind(&fresh(QRTR), &at(1, 0)).is_ok());
    assert!(gate.bound(&fresh(QRTR), &at(1, 0x7123)).is_ok());
    assert!(gate.bind(&fresh(QRTR), &at(1, 0x4010)).is_ok());
    for (node, port) in [(1, 0x3fff), (1, 0x4011), (2, 0x4000), (1, CONTROL)] {
        assert!(gate.bind(&fresh(QRTR), &at(node, port)).is_err());
    }
    let none = Gate::new(Policy::deny_all());
    assert!(none.create(QRTR).is_err() && !sends(&none, &at(1, CONTROL), &command(10)));
}
