//! Laws that hold for every policy and every question.

mod common;

use common::{TCP4, UDP4, UNIX, at, data, fresh};
use proptest::prelude::*;
use sockgate_policy::{Gate, Kind, Policy, SocketFacts, Source};

/// Rules that speak of overlapping addresses, so that they meet in the questions.
fn rule() -> impl Strategy<Value = String> {
    let ip = prop::sample::select(vec![
        "cidr=['10.0.0.0/8']",
        "cidr=['10.0.0.1']",
        "cidr=['*']",
        "class=['private']",
        "class=['loopback','global']",
        "cidr=['127.0.0.0/8']",
    ]);
    let port = prop::sample::select(vec!["", "port=['80']", "port=['1-100']", "port=['0']"]);
    let ops = prop::sample::select(vec![
        "'connect'",
        "'listen'",
        "'bind'",
        "'send-to'",
        "'connect','send-to'",
    ]);
    let family = prop::sample::select(vec![
        "",
        "family=['inet']",
        "family=['inet','inet6']",
        "type=['stream']",
    ]);
    (ip, port, ops, family).prop_filter_map("loads", |(ip, port, ops, family)| {
        let rule = format!("ops=[{ops}]\n{ip}\n{port}\n{family}\n");
        load(&format!("[[allow]]\nid='x'\n{rule}")).map(|_| rule)
    })
}

fn load(rules: &str) -> Option<Policy> {
    Policy::from_toml(&Source::new("law", &format!("version = 1\n{rules}"))).ok()
}

fn policy(allow: &[String], deny: &[String]) -> Policy {
    let section = |word: &str, rules: &[String]| -> String {
        rules
            .iter()
            .enumerate()
            .map(|(number, rule)| format!("[[{word}]]\nid='{word}{number}'\n{rule}"))
            .collect()
    };
    load(&format!(
        "{}{}",
        section("allow", allow),
        section("deny", deny)
    ))
    .expect("each rule loads by itself")
}

/// Everything that the gate says yes to, over a small world of questions.
fn granted(policy: Policy) -> Vec<bool> {
    let gate = Gate::new(policy);
    let addresses = [
        "10.0.0.1:80",
        "10.9.9.9:443",
        "127.0.0.1:80",
        "0.0.0.0:0",
        "8.8.8.8:53",
        "127.0.0.1:0",
    ];
    let mut answers = Vec::new();
    for kind in [TCP4, UDP4, UNIX] {
        answers.push(gate.create(kind).is_ok());
        for address in addresses {
            answers.extend(answers_at(&gate, kind, address));
        }
    }
    answers
}

fn answers_at(gate: &Gate, kind: Kind, address: &str) -> [bool; 5] {
    let address = at(address);
    let bound = SocketFacts {
        local: Some(address.clone()),
        ..fresh(kind)
    };
    [
        gate.connect(&fresh(kind), &address).is_ok(),
        gate.bind(&fresh(kind), &address).is_ok(),
        gate.send_to(&fresh(kind), &address, &data(&fresh(kind)))
            .is_ok(),
        gate.listen(&bound).is_ok(),
        gate.accept(&bound, &at("10.0.0.1:80")).is_ok(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn another_allow_rule_takes_nothing_away(allow in prop::collection::vec(rule(), 0..4), deny in prop::collection::vec(rule(), 0..3), more in rule()) {
        let before = granted(policy(&allow, &deny));
        let wider: Vec<String> = allow.into_iter().chain([more]).collect();
        let after = granted(policy(&wider, &deny));
        prop_assert!(before.iter().zip(&after).all(|(before, after)| !before || *after));
    }

    #[test]
    fn another_deny_rule_grants_nothing(allow in prop::collection::vec(rule(), 0..4), deny in prop::collection::vec(rule(), 0..3), more in rule()) {
        let before = granted(policy(&allow, &deny));
        let wider: Vec<String> = deny.into_iter().chain([more]).collect();
        let after = granted(policy(&allow, &wider));
        prop_assert!(after.iter().zip(&before).all(|(after, before)| !after || *before));
    }

    #[test]
    fn the_order_of_rules_does_not_matter(allow in prop::collection::vec(rule(), 0..4), deny in prop::collection::vec(rule(), 0..3)) {
        let turned = |rules: &[String]| rules.iter().rev().cloned().collect::<Vec<_>>();
        prop_assert_eq!(granted(policy(&allow, &deny)), granted(policy(&turned(&allow), &turned(&deny))));
    }

    #[test]
    fn a_deny_of_the_same_words_leaves_no_connection(allow in rule()) {
        let gate = Gate::new(policy(std::slice::from_ref(&allow), std::slice::from_ref(&allow)));
        for address in ["10.0.0.1:80", "127.0.0.1:80", "8.8.8.8:53", "0.0.0.0:80"] {
            prop_assert!(gate.connect(&fresh(TCP4), &at(address)).is_err());
            prop_assert!(gate.send_to(&fresh(UDP4), &at(address), &data(&fresh(UDP4))).is_err());
        }
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,200}", line in "(tcp|udp|unix|resolve|connect|listen|[ :,/@\\[\\]*=.0-9a-z-]){0,24}") {
        let _ = Policy::from_toml(&Source::new("x", &text)).map_err(|errors| errors.to_string());
        let _ = Policy::allow_line(&line).map_err(|errors| errors.to_string());
        let _ = sockgate_policy::Question::parse(&line).map_err(|error| error.to_string());
    }
}
