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
