//! What a permit says that a call may carry: the union over the rules that grant it, less what deny rules take.

mod common;

use common::{TCP4, UNIX, at, bound, fresh, gate};
use sockgate_policy::{
    AncillaryKind, AncillarySet, DescriptorKinds, Gate, MessageFlags, Origin, SocketFacts,
};

const PEERS: &str = "\
[[allow]]\nid='a'\nops=['connect']\ncidr=['10.0.0.0/8']\nflags=['oob']\nancillary={send=['timestamp','mark'],receive=['hop-limit','mark']}\n\
[[allow]]\nid='b'\nops=['connect']\ncidr=['10.0.0.1']\nflags=['errqueue']\nancillary={send=['txtime'],receive=['timestamp']}\n";

fn uses(gate: &Gate, peer: &str) -> (MessageFlags, String) {
    let permit = gate.connect(&fresh(TCP4), &at(peer)).unwrap();
    let mut words = Vec::new();
    for kind in [
        AncillaryKind::Timestamp,
        AncillaryKind::Mark,
        AncillaryKind::TxTime,
        AncillaryKind::HopLimit,
    ] {
        if permit.ancillary_out().contains(kind) {
            words.push(format!(">{kind}"));
        }
        if permit.ancillary_in().contains(kind) {
            words.push(format!("<{kind}"));
        }
    }
    (permit.flags() - MessageFlags::ALWAYS, words.join(" "))
}

#[test]
fn rules_add_up_for_one_peer_and_deny_rules_take_away() {
    let first = ">timestamp >mark <mark <hop-limit".to_owned();
    let both = ">timestamp <timestamp >mark <mark >txtime <hop-limit".to_owned();
    let plain = gate(PEERS);
    assert_eq!(
        uses(&plain, "10.0.0.2:1"),
        (MessageFlags::OOB, first.clone())
    );
    let two = MessageFlags::OOB | MessageFlags::ERRQUEUE;
    assert_eq!(uses(&plain, "10.0.0.1:1"), (two, both));
    let denied = gate(&format!(
        "{PEERS}[[deny]]\nid='d'\nflags=['oob']\nancillary={{send=['mark'],receive=['mark']}}\ncidr=['10.0.0.1']\n\
         [[deny]]\nid='e'\nflags=['oob']\ntype=['datagram']\n"
    ));
    assert_eq!(uses(&denied, "10.0.0.2:1"), (MessageFlags::OOB, first));
    let left = ">timestamp <timestamp >txtime <hop-limit".to_owned();
    assert_eq!(uses(&denied, "10.0.0.1:1"), (MessageFlags::ERRQUEUE, left));
}

#[test]
fn kinds_that_have_no_name_add_up_and_are_taken_away_alike() {
    let rule = |id: &str, cidr: &str, kind: &str| {
        format!(
            "[[allow]]\nid='{id}'\nops=['connect']\ncidr=['{cidr}']\nancillary={{send=['{kind}']}}\n"
        )
    };
    let (wide, narrow) = (
        rule("a", "10.0.0.0/8", "1/200"),
        rule("b", "10.0.0.1", "1/201"),
    );
    let sent = |gate: &Gate, peer: &str| {
        let permit = gate.connect(&fresh(TCP4), &at(peer)).unwrap();
        permit.ancillary_out().clone()
    };
    let kinds = |set: &AncillarySet| {
        [200, 201, 202].map(|kind| set.contains(AncillaryKind::Raw { level: 1, kind }))
    };
    let both = sent(&gate(&format!("{wide}{narrow}")), "10.0.0.1:1");
    assert_eq!(kinds(&both), [true, true, false]);
    assert_eq!(both, sent(&gate(&format!("{narrow}{wide}")), "10.0.0.1:1"));
    let denied = gate(&format!(
        "{wide}{narrow}[[deny]]\nid='d'\nancillary={{send=['1/201']}}\n"
    ));
    assert_eq!(kinds(&sent(&denied, "10.0.0.1:1")), [true, false, false]);
    assert_eq!(kinds(&sent(&denied, "10.0.0.2:1")), [true, false, false]);
}

#[test]
fn audit_mode_lets_everything_through_but_what_is_denied() {
    let audit = gate(
        "mode='audit'\n[[deny]]\nid='d'\nflags=['oob']\nancillary={send=['mark']}\n[[deny]]\nid='e'\ncidr=['10.9.0.0/16']\n",
    );
    let (flags, words) = uses(&audit, "10.0.0.1:1");
    assert_eq!(
        flags,
        MessageFlags::all() - MessageFlags::ALWAYS - MessageFlags::OOB
    );
    assert_eq!(
        words,
        "<timestamp >timestamp <mark >txtime <txtime >hop-limit <hop-limit"
            .replace("<timestamp >timestamp", ">timestamp <timestamp")
    );
    assert!(audit.connect(&fresh(TCP4), &at("10.9.0.1:1")).is_err());
}

#[test]
fn descriptors_go_where_a_rule_says_and_a_deny_rule_does_not() {
    let talk = "[[allow]]\nid='a'\nfamily=['unix']\nops=['connect']\npath=['/run/a']\n";
    let pass = "[[allow]]\nid='p'\nfamily=['unix']\nops=['descriptor-send','descriptor-receive']\nkinds=['socket','opaque']\n";
    let kinds = |text: &str| {
        let socket = SocketFacts {
            peer: Some(at("/run/a")),
            ..fresh(UNIX)
        };
        let permit = gate(text).converse(&socket).unwrap();
        (permit.descriptors_out(), permit.descriptors_in())
    };
    let (none, all) = (DescriptorKinds::empty(), DescriptorKinds::all());
    assert_eq!(kinds(talk), (none, none));
    assert_eq!(kinds(&format!("{talk}{pass}")), (all, all));
    let deny = "[[deny]]\nid='d'\nops=['descriptor-send']\nkinds=['opaque']\n";
    assert_eq!(
        kinds(&format!("{talk}{pass}{deny}")),
        (DescriptorKinds::SOCKET, all)
    );
    let deny = "[[deny]]\nid='d'\nops=['descriptor-receive']\nkinds=['socket']\n";
    assert_eq!(
        kinds(&format!("{talk}{pass}{deny}")),
        (all, DescriptorKinds::OPAQUE)
    );
    // On other families nothing passes, whatever a rule says.
    let inet = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\n[[allow]]\nid='p'\nops=['descriptor-send']\nkinds=['socket']\n",
    );
    let permit = inet.connect(&fresh(TCP4), &at("10.0.0.1:1")).unwrap();
    assert_eq!(permit.descriptors_out(), none);
}

#[test]
fn one_rule_has_to_let_the_peer_in_by_user_and_group() {
    let listens = |keys: &[&str]| {
        let rules: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(number, keys)| {
                format!(
                    "[[allow]]\nid='r{number}'\nfamily=['unix']\nops=['listen']\nlocal={{path=['/run/a']}}\npeer={{unnamed=true}}\n{keys}\n"
                )
            })
            .collect();
        let socket = SocketFacts {
            origin: Origin::Accept,
            ..bound(UNIX, "/run/a")
        };
        gate(&rules.concat()).accept(&socket, &at("")).unwrap()
    };
    let anyone = listens(&[""]);
    assert!(!anyone.asks_who() && anyone.lets_in(1, 1));
    let one = listens(&["peer-uid=[1000]\npeer-gid=[100]"]);
    assert!(one.asks_who() && one.lets_in(1000, 100));
    assert!(!one.lets_in(1000, 101) && !one.lets_in(1001, 100));
    let two = listens(&[
        "peer-uid=[1000]\npeer-gid=[100]",
        "peer-uid=[1001]\npeer-gid=[101]",
    ]);
    assert!(two.lets_in(1001, 101) && !two.lets_in(1000, 101));
    // A rule that does not ask lets everybody in, whatever another one asks.
    let open = listens(&["peer-uid=[1000]", ""]);
    assert!(!open.asks_who() && open.lets_in(5, 5));
}
