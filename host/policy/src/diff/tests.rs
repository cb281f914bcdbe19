//! Nothing is left out: where two policies answer a question otherwise, the difference names its operation.

use std::time::Instant;

use proptest::prelude::*;

use super::{Change, Difference};
use crate::gate::Pins;
use crate::judge::tests::{HOSTS, ip, load, question, rule, section};
use crate::judge::{Ask, What, judge};
use crate::message::AncillarySet;
use crate::model::{OpSet, Policy};
use crate::option::OptionName;
use crate::{MessageFlags, SocketFacts};

fn policy(rules: &[(bool, String)], turned: bool) -> Policy {
    let mut numbered: Vec<(usize, &(bool, String))> = rules.iter().enumerate().collect();
    if turned {
        numbered.reverse();
    }
    let texts = numbered
        .iter()
        .map(|(number, (deny, rule))| section(*deny, number + usize::from(turned) * 100, rule));
    load(&texts.collect::<String>()).expect("each rule loads by itself")
}

/// What a verdict comes to: nothing, or a grant with the flags and ancillary data that it comes with on a socket.
type Outcome = Option<Option<(MessageFlags, AncillarySet, AncillarySet)>>;

fn outcome(policy: &Policy, ask: &Ask<'_>, pins: &Pins) -> Outcome {
    let grant = judge(policy, ask, pins, Instant::now()).ok()?;
    let cargo = grant.cargo;
    Some(
        ask.kind
            .map(|_| (cargo.flags, cargo.ancillary_out, cargo.ancillary_in)),
    )
}

/// Whether some difference tells of what became of the question.
fn told(differences: &[Difference], ops: OpSet, old: &Outcome, new: &Outcome) -> bool {
    differences.iter().any(|difference| {
        let way = match (old, new) {
            (Some(_), None) => difference.change == Change::Loss,
            (None, Some(_)) => difference.change == Change::Gain,
            _ => true,
        };
        way && difference.ops.intersects(ops)
    })
}

fn asks(questions: &[(SocketFacts, OpSet, Option<crate::Address>)]) -> Vec<Ask<'_>> {
    let mut asks: Vec<Ask<'_>> = Vec::new();
    for (facts, ops, peer) in questions {
        let ask = Ask::socket(*ops, facts);
        let ask = match peer {
            Some(peer) => ask.with_destination(peer),
            None => ask,
        };
        let mark = OptionName::from_policy_name("so.mark").unwrap();
        if ask.peer.address().is_some() {
            asks.push(ask.clone().about(What::SetOption(mark, Some(vec![0; 4]))));
        }
        // What is asked about no address grants nothing yet.
        let local = ask.ops.intersects(OpSet::LOCAL_KIND);
        let end = if local { &ask.local } else { &ask.peer };
        if end.address().is_some() {
            asks.push(ask);
        }
        if let Some(ip) = facts.local.as_ref().and_then(crate::Address::ip) {
            asks.push(Ask::socketless(OpSet::REVERSE_RESOLVE, What::Ip(ip)));
        }
    }
    asks.extend(
        HOSTS
            .iter()
            .map(|name| Ask::socketless(OpSet::RESOLVE, What::Host((*name).into()))),
    );
    asks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn every_other_answer_is_told(
        common in prop::collection::vec(rule(), 0..4),
        before in prop::collection::vec(rule(), 0..3),
        after in prop::collection::vec(rule(), 0..3),
        questions in prop::collection::vec(question(), 1..16),
        pinned in prop::collection::vec((prop::sample::select(HOSTS.to_vec()), ip()), 0..4),
    ) {
        let with = |more: &[(bool, String)]| [&common[..], more].concat();
        let (old, new) = (policy(&with(&before), false), policy(&with(&after), true));
        let pins = Pins::default();
        for (name, ip) in pinned {
            pins.add(&name.into(), ip, Instant::now());
        }
        let mut questions = questions;
        for (place, (facts, ..)) in questions.iter_mut().enumerate() {
            if place % 4 == 0 {
                let mark = OptionName::from_policy_name("so.mark").unwrap();
                facts.options.remember(mark, &[0; 4]);
            }
        }
        let differences = old.diff(&new);
        for ask in asks(&questions) {
            let (was, is) = (outcome(&old, &ask, &pins), outcome(&new, &ask, &pins));
            let found = was == is || told(&differences, ask.ops, &was, &is);
            prop_assert!(found, "{:?}\n{:?}\n{:?}\n{:?}", ask, differences, with(&before), with(&after));
        }
    }

    #[test]
    fn the_same_rules_in_another_order_are_the_same(rules in prop::collection::vec(rule(), 0..6)) {
        prop_assert_eq!(policy(&rules, false).diff(&policy(&rules, true)), []);
    }
}

/// Keys of a line's address or messages, and keys that cover as much.
const WITHIN: [&str; 12] = [
    "can-raw bind: interface=can0 in interface=eth0,can*",
    "can-raw bind: interface=can0,can1 in interface=can1,can0",
    "can-raw bind: interface=can0,eth0 in interface=*",
    "can-raw send-to interface=a: can-id=0x100 in can-id=1,0x100/0x700",
    "can-raw send-to interface=a: fd=false in fd=true",
    "can-isotp bind interface=a: isotp=1:2 in isotp=3:4,1:2",
    "vsock bind cid=7: port=5 in port=1-4,5-9",
    "vsock bind cid=7: port=9,5 in port=5-9",
    "vsock bind: cid=any in cid=3,any",
    "vsock bind: cid=any in cid=*",
    "packet bind interface=a: ethertype=4 in ethertype=1-100",
    "qipcrtr send-to: node=7 in node=1-4294967295",
];

/// The same, but something is left over.
const BEYOND: [&str; 14] = [
    "can-raw bind: interface=can0,eth0 in interface=can*",
    "can-raw bind: interface=* in interface=can*",
    "can-raw send-to interface=a: can-id=1,0x100 in can-id=0x100/0x700",
    "can-raw send-to interface=a: fd=true in fd=false",
    "can-isotp bind interface=a: isotp=1:2,3:4 in isotp=1:2",
    "vsock bind cid=7: port=4-9 in port=5-9",
    "vsock bind cid=7: port=5-10 in port=5-9",
    "vsock bind cid=7: port=5,10 in port=5-9",
    // A range that happens to hold the number of all does not name all there are.
    "vsock bind: cid=any in cid=3-4294967295",
    "vsock bind cid=7: port=any in port=1-4294967295",
    "packet bind interface=a: ethertype=3 in ethertype=1-100",
    "can-j1939 bind interface=a: j1939-address=255 in j1939-address=1-255",
    "qipcrtr send-to: node=broadcast in node=1-4294967295",
    "netlink-route bind: groups=1,2 in groups=2-32",
];

#[test]
fn what_the_keys_of_a_family_still_cover_is_no_loss() {
    let rows = WITHIN.map(|row| (row, false));
    for (row, lost) in rows.into_iter().chain(BEYOND.map(|row| (row, true))) {
        let (head, keys) = row.split_once(": ").expect("a head");
        let (old, new) = keys.split_once(" in ").expect("two lists of keys");
        let policy = |keys| {
            Policy::allow_line(&format!("{head} {keys}"))
                .unwrap_or_else(|errors| panic!("{row}: {errors}"))
        };
        let differences = policy(old).diff(&policy(new));
        let losses = differences.iter().filter(|one| one.change == Change::Loss);
        assert_eq!(losses.count() > 0, lost, "{row}: {differences:?}");
    }
}

#[test]
fn every_name_is_not_shown_as_every_address() {
    let rule = "family=['inet']\ntype=['stream']\nops=['connect']\nhost=['*']\nport=['443']\n";
    let named = load(&section(false, 0, rule)).expect("a policy");
    let nothing = load("").expect("a policy");
    let differences = nothing.diff(&named);
    let shown: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let gained = "+ may tcp4 connect host=* port=443  (rule `r0`, index:2)";
    assert_eq!(shown, [gained]);
}

#[test]
fn options_of_a_rule_whose_addresses_are_forbidden_are_told() {
    let deny = section(true, 0, "cidr=['*']\n");
    let rule = "family=['inet']\nops=['send-to']\ncidr=['10.0.0.0/8']\n";
    let gained = |rule: &str| {
        let old = load(&deny).expect("a policy");
        let new = load(&(deny.clone() + &section(false, 1, rule))).expect("a policy");
        old.diff(&new).len()
    };
    assert_eq!(gained(rule), 0);
    assert_eq!(gained(&format!("{rule}options={{set=['so.mark']}}\n")), 1);
}
