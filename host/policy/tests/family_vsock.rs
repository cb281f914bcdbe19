//! Verdicts on vsock: contexts and ports on both sides.

mod common;

use common::{fresh, gate, option};
use sockgate_policy::{
    Address, AdoptedState, Family, Gate, Kind, Policy, SocketFacts, SocketType, VSOCK_ANY,
    VsockAddress,
};

const VSOCK: Kind = Kind {
    family: Family::Vsock,
    socket_type: SocketType::Stream,
    protocol: 0,
};

fn at(cid: u32, port: u32) -> Address {
    Address::Vsock(VsockAddress {
        cid,
        port,
        flags: 0,
    })
}

fn bound(cid: u32, port: u32) -> SocketFacts {
    SocketFacts {
        local: Some(at(cid, port)),
        ..fresh(VSOCK)
    }
}

#[test]
fn connect_is_granted_inside_the_range_and_at_its_edges() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['vsock']\ntype=['stream']\nops=['connect']\n\
         cid=['local', '3-5']\nport=['1000-2000']",
    );
    for (cid, port) in [(1, 1000), (1, 2000), (3, 1500), (5, 1500)] {
        assert!(gate.connect(&fresh(VSOCK), &at(cid, port)).is_ok());
    }
    for (cid, port) in [
        (1, 999),
        (1, 2001),
        (2, 1500),
        (6, 1500),
        (0, 1500),
        (VSOCK_ANY, 1500),
        (1, VSOCK_ANY),
    ] {
        let asked = at(cid, port);
        assert!(gate.connect(&fresh(VSOCK), &asked).is_err(), "{asked}");
    }
    let packets = Kind {
        socket_type: SocketType::SeqPacket,
        ..VSOCK
    };
    assert!(gate.create(VSOCK).is_ok() && gate.create(packets).is_err());
    assert!(gate.bind(&fresh(VSOCK), &at(1, 1500)).is_err());
}

#[test]
fn every_context_is_bound_only_by_its_name() {
    let one =
        gate("[[allow]]\nid='a'\nfamily=['vsock']\nops=['listen']\ncid=['local']\nport=['9']");
    assert!(one.bind(&fresh(VSOCK), &at(1, 9)).is_ok());
    assert!(one.bind(&fresh(VSOCK), &at(VSOCK_ANY, 9)).is_err());
    assert!(one.listen(&bound(1, 9)).is_ok() && one.listen(&bound(VSOCK_ANY, 9)).is_err());
    // Never bound is bound to everything.
    assert!(one.listen(&fresh(VSOCK)).is_err());
    let any = gate("[[allow]]\nid='a'\nfamily=['vsock']\nops=['listen']\ncid=['any']\nport=['9']");
    assert!(any.bind(&fresh(VSOCK), &at(VSOCK_ANY, 9)).is_ok());
    assert!(any.bind(&fresh(VSOCK), &at(1, 9)).is_err());
}

#[test]
fn a_port_of_the_kernel_s_choice_has_to_be_granted_as_such() {
    let fixed = gate("[[allow]]\nid='a'\nfamily=['vsock']\nops=['bind']\ncid=['*']\nport=['9']");
    assert!(fixed.bind(&fresh(VSOCK), &at(1, VSOCK_ANY)).is_err());
    let chosen = gate("[[allow]]\nid='a'\nfamily=['vsock']\nops=['bind']\ncid=['*']\nport=['any']");
    assert!(chosen.bind(&fresh(VSOCK), &at(1, VSOCK_ANY)).is_ok());
    assert!(chosen.bound(&fresh(VSOCK), &at(1, 1_234_567)).is_ok());
    assert!(chosen.bind(&fresh(VSOCK), &at(1, 1_234_567)).is_err());
    assert!(fixed.bound(&fresh(VSOCK), &at(1, 9)).is_ok());
    assert!(fixed.bound(&fresh(VSOCK), &at(1, 1_234_567)).is_err());
}

#[test]
fn callers_are_judged_by_context_and_port() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['vsock']\nops=['listen']\nlocal={cid=['*'], port=['9']}\n\
         peer={cid=['host'], port=['1024-2000']}",
    );
    let listener = bound(VSOCK_ANY, 9);
    assert!(gate.accept(&listener, &at(2, 1024)).is_ok());
    for (cid, port) in [(2, 1023), (2, 2001), (1, 1024), (3, 1024)] {
        assert!(gate.accept(&listener, &at(cid, port)).is_err());
    }
}

#[test]
fn deny_holds_on_both_sides() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['vsock']\nops=['connect']\ncid=['*']\n\
         [[allow]]\nid='b'\nfamily=['vsock']\nops=['listen']\ncid=['*']\n\
         [[deny]]\nid='d'\nfamily=['vsock']\ncid=['hypervisor']\n\
         [[deny]]\nid='p'\nfamily=['vsock']\nport=['22']",
    );
    assert!(gate.connect(&fresh(VSOCK), &at(2, 23)).is_ok());
    assert!(gate.connect(&fresh(VSOCK), &at(0, 23)).is_err());
    assert!(gate.connect(&fresh(VSOCK), &at(2, 22)).is_err());
    assert!(gate.bind(&fresh(VSOCK), &at(1, 22)).is_err());
    assert!(gate.bind(&fresh(VSOCK), &at(1, 23)).is_ok());
}

#[test]
fn options_and_requests_are_listed_by_name() {
    let gate = gate(
        "[[allow]]\nid='a'\nfamily=['vsock']\nops=['connect', 'ioctl']\ncid=['host']\n\
         ioctl=['vm-sockets.get-local-cid']\noptions={set=['*'], get=['vsock.buffer-size']}",
    );
    let size = 65536u64.to_ne_bytes();
    for plain in ["vsock.buffer-size", "vsock.connect-timeout"] {
        assert!(gate.set_option(&fresh(VSOCK), option(plain), &size).is_ok());
    }
    // What a wildcard leaves out.
    let largest = option("vsock.buffer-max-size");
    assert!(gate.set_option(&fresh(VSOCK), largest, &size).is_err());
    assert!(
        gate.get_option(&fresh(VSOCK), option("vsock.buffer-size"))
            .is_ok()
    );
    assert!(gate.get_option(&fresh(VSOCK), largest).is_err());
    assert!(
        gate.ioctl(&fresh(VSOCK), "vm-sockets.get-local-cid")
            .is_ok()
    );
    assert!(gate.ioctl(&fresh(VSOCK), "bytes-readable").is_err());
}

#[test]
fn an_arriving_socket_is_judged_by_what_made_it() {
    let gate =
        gate("[[allow]]\nid='a'\nfamily=['vsock']\nops=['connect']\ncid=['local']\nport=['9']");
    let connected = |port| SocketFacts {
        peer: Some(at(1, port)),
        ..fresh(VSOCK)
    };
    assert!(gate.adopt(&connected(9), AdoptedState::Connected).is_ok());
    assert!(gate.adopt(&connected(10), AdoptedState::Connected).is_err());
    assert!(gate.adopt(&bound(1, 9), AdoptedState::Listening).is_err());
    assert!(gate.adopt(&bound(1, 9), AdoptedState::Bound).is_err());
    let none = Gate::new(Policy::deny_all());
    assert!(none.create(VSOCK).is_err() && none.connect(&fresh(VSOCK), &at(1, 9)).is_err());
}
