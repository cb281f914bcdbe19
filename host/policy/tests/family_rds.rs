//! Verdicts on RDS: IP addresses, and granted only by the family's own name.

mod common;

use common::{at, data, fresh, gate, option};
use sockgate_policy::{Family, Gate, Kind, Policy, SocketFacts, SocketType};

const RDS: Kind = Kind {
    family: Family::Rds,
    socket_type: SocketType::SeqPacket,
    protocol: 0,
};

fn bound(local: &str) -> SocketFacts {
    SocketFacts {
        local: Some(at(local)),
        ..fresh(RDS)
    }
}

fn sends(gate: &Gate, s: &SocketFacts, to: &str) -> bool {
    gate.send_to(s, &at(to), &data(s)).is_ok()
}

const RULE: &str = "[[allow]]\nid='a'\nfamily=['rds']\nops=['bind', 'send-to', 'receive']\n\
                    local={cidr=['127.0.0.1'], port=['4000']}\n\
                    peer={cidr=['127.0.0.0/30'], port=['5000-5010']}\n\
                    options={set=['rds.recverr', 'rds.cong-monitor']}";

#[test]
fn addresses_are_those_of_ip() {
    let gate = gate(RULE);
    assert!(gate.bind(&fresh(RDS), &at("127.0.0.1:4000")).is_ok());
    for refused in [
        "127.0.0.1:4001",
        "127.0.0.2:4000",
        "0.0.0.0:4000",
        "127.0.0.1:0",
    ] {
        assert!(gate.bind(&fresh(RDS), &at(refused)).is_err(), "{refused}");
    }
    let socket = bound("127.0.0.1:4000");
    for granted in ["127.0.0.0:5000", "127.0.0.3:5010"] {
        assert!(sends(&gate, &socket, granted), "{granted}");
    }
    for refused in [
        "127.0.0.4:5000",
        "127.0.0.1:4999",
        "127.0.0.1:5011",
        "[::1]:5000",
    ] {
        assert!(!sends(&gate, &socket, refused), "{refused}");
    }
    // The kernel sends nothing from a socket without an address, and neither is it granted.
    assert!(!sends(&gate, &fresh(RDS), "127.0.0.1:5000"));
    let heard = |from: &str| {
        gate.receive_from(&socket, &at(from), &data(&socket))
            .is_ok()
    };
    assert!(heard("127.0.0.2:5005") && !heard("127.0.0.2:6000") && !heard("127.0.0.9:5005"));
}

#[test]
fn a_rule_for_ip_is_none_for_rds_nor_the_other_way_round() {
    let udp = Kind::new(Family::Inet, SocketType::Datagram);
    let rds = gate(RULE);
    assert!(rds.create(RDS).is_ok() && rds.create(udp).is_err());
    let ip = gate("[[allow]]\nid='a'\nops=['bind']\ncidr=['*']");
    assert!(ip.create(udp).is_ok() && ip.create(RDS).is_err());
    assert!(ip.bind(&fresh(RDS), &at("127.0.0.1:4000")).is_err());
    assert!(Gate::new(Policy::deny_all()).create(RDS).is_err());
}

#[test]
fn options_are_listed_by_name() {
    let gate = gate(RULE);
    let socket = bound("127.0.0.1:4000");
    for listed in ["rds.recverr", "rds.cong-monitor"] {
        assert!(
            gate.set_option(&socket, option(listed), &[1, 0, 0, 0])
                .is_ok()
        );
    }
    for unlisted in ["rds.transport", "rds.get-mr", "rds.cancel-sent-to"] {
        assert!(gate.set_option(&socket, option(unlisted), &[0; 4]).is_err());
    }
}
