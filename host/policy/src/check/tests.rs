//! No false alarms: what is warned of as useless is useless to every question.

use std::time::Instant;

use proptest::prelude::*;

use crate::address::Address;
use crate::gate::Pins;
use crate::judge::tests::{HOSTS, ip, load, question, rule, section};
use crate::judge::{Ask, What, examine, forbidding, judge};
use crate::model::{OpSet, Policy};

/// The rules of a policy without one of them.
fn rest(rules: &[(bool, String)], without: Option<usize>) -> Policy {
    let text: String = rules
        .iter()
        .enumerate()
        .filter(|(number, _)| Some(*number) != without)
        .map(|(number, (deny, rule))| section(*deny, number, rule))
        .collect();
    load(&text).expect("each rule loads by itself")
}

/// Whether the address is known that the operation is about, as it is when something is done.
fn has_its_end(ask: &Ask<'_>) -> bool {
    let local = ask.ops.intersects(OpSet::LOCAL_KIND);
    let end = if local { &ask.local } else { &ask.peer };
    ask.kind.is_none() || end.address().is_some()
}

fn holds(
    policy: &Policy,
    rules: &[(bool, String)],
    asks: &[Ask<'_>],
    pins: &Pins,
) -> Result<(), TestCaseError> {
    let now = Instant::now;
    for warning in policy.warnings() {
        let number: Option<usize> = warning
            .rule
            .as_ref()
            .and_then(|id| id.strip_prefix('r')?.parse().ok());
        let Some(number) = number else { continue };
        let clause = policy
            .allow
            .all()
            .iter()
            .find(|clause| clause.id.as_str() == format!("r{number}"));
        let useless = ["adds nothing", "forbids nothing"];
        if warning.message.starts_with("never matches:") {
            let clause = clause.expect("an allow rule");
            for ask in asks.iter().filter(|ask| has_its_end(ask)) {
                let grants =
                    examine(clause, ask, pins, now).is_ok() && forbidding(policy, ask).is_none();
                prop_assert!(!grants, "{warning}\n{ask:?}\n{rules:?}");
            }
        } else if useless.iter().any(|word| warning.message.starts_with(word)) {
            let without = rest(rules, Some(number));
            for ask in asks {
                let (all, less) = (
                    judge(policy, ask, pins, now),
                    judge(&without, ask, pins, now),
                );
                prop_assert_eq!(
                    all.is_ok(),
                    less.is_ok(),
                    "{}\n{:?}\n{:?}",
                    warning,
                    ask,
                    rules
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_warned_of_as_useless_is_useless(
        rules in prop::collection::vec(rule(), 1..8),
        questions in prop::collection::vec(question(), 1..16),
        pinned in prop::collection::vec((prop::sample::select(HOSTS.to_vec()), ip()), 0..4),
    ) {
        let policy = rest(&rules, None);
        let pins = Pins::default();
        for (name, ip) in pinned {
            pins.add(&name.into(), ip, Instant::now());
        }
        let mut asks: Vec<Ask<'_>> = Vec::new();
        for (facts, ops, peer) in &questions {
            let ask = Ask::socket(*ops, facts);
            asks.push(match peer {
                Some(peer) => ask.with_destination(peer),
                None => ask,
            });
            if let Some(ip) = facts.local.as_ref().and_then(Address::ip) {
                asks.push(Ask::socketless(OpSet::REVERSE_RESOLVE, What::Ip(ip)));
            }
        }
        asks.extend(HOSTS.iter().map(|name| Ask::socketless(OpSet::RESOLVE, What::Host((*name).into()))));
        holds(&policy, &rules, &asks, &pins)?;
    }
}

/// What is said of a deny rule with a host, where nothing else is.
const NAMES_A_HOST: &str = "rule `d` names a host";

/// What is said of a policy.
fn said(text: &str) -> Vec<String> {
    let policy = load(text).unwrap_or_else(|| panic!("{text}"));
    policy.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn each_kind_of_warning_is_given() {
    let allow = |id: &str, keys: &str| format!("[[allow]]\nid='{id}'\n{keys}\n");
    let named = |hosts: &str| allow("a", &format!("ops=['resolve','connect']\nhost=[{hosts}]"));
    let deny = |id: &str, keys: &str| format!("[[deny]]\nid='{id}'\n{keys}\n");
    let connect = |id: &str, to: &str| {
        allow(
            id,
            &format!("family=['inet']\ntype=['stream']\nops=['connect']\ncidr=[{to}]"),
        )
    };
    let sending = |id: &str, kinds: &str| {
        connect(id, "'10.1.0.0/16'") + &format!("ancillary={{ send=[{kinds}] }}\n")
    };
    for (text, expected) in [
        (
            connect("a", "'10.0.0.0/8'")
                + &deny("d1", "cidr=['10.0.0.0/9']")
                + &deny("d2", "cidr=['10.128.0.0/9']"),
            "never matches: deny rules `d1`, `d2` together forbid all of it",
        ),
        (
            connect("a", "'10.1.0.0/16'") + &deny("d", "class=['private']"),
            "never matches: deny rule `d` (index:8) forbids all of it",
        ),
        (
            connect("a", "'10.1.0.0/16', '192.168.0.0/24'")
                + &connect("b", "'192.168.0.0/16', '10.0.0.0/8'"),
            "rule `a` adds nothing to rule `b` (index:8)",
        ),
        (
            connect("a", "'10.1.0.0/16'") + &connect("b", "'10.1.0.0/16'"),
            "rule `b` adds nothing to rule `a` (index:2)",
        ),
        (
            sending("a", "'mark', '1/200'") + &sending("b", "'1/200'"),
            "rule `b` adds nothing to rule `a` (index:2)",
        ),
        (sending("a", "'mark'") + &sending("b", "'txtime'"), ""),
        (sending("a", "'1/200'") + &sending("b", "'1/201'"), ""),
        (
            connect("a", "'10.1.0.0/16'") + &deny("d", "family=['unix']"),
            "rule `d` forbids nothing that a rule grants",
        ),
        (
            connect("a", "'10.1.0.0/16'") + &deny("d", "ops=['connect']\ncidr=['192.168.0.0/16']"),
            "",
        ),
        (
            connect("a", "'10.1.0.0/16'")
                + &deny("d", "ops=['connect']\npeer={ cidr=['192.168.0.0/16'] }"),
            "rule `d` forbids nothing that a rule grants",
        ),
        (
            allow(
                "a",
                "family=['can']\ntype=['stream']\nops=['bind']\ninterface=['can0']",
            ),
            "never matches: no socket is of such a family, type and protocol together",
        ),
        (
            allow("a", "family=['netlink']\nops=['bind']"),
            "are granted by `protocol`",
        ),
        (
            allow(
                "a",
                "family=['inet']\ntype=['datagram']\nops=['join-group']\ngroup=['*']",
            ),
            "there is nothing to hear",
        ),
        (
            allow(
                "a",
                "ops=['resolve']\nhost=['x.test']\noptions={set=['so.mark']}",
            ),
            "no operation on a socket",
        ),
        (
            allow("a", "family=['inet']\ntype=['datagram']\nops=['reply']")
                + &allow("b", "family=['unix']\nops=['receive']"),
            "there is nothing to answer",
        ),
        (
            allow("a", "ops=['connect']\nhost=['x.test', 'y.test', 'z.test']")
                + &allow("b", "ops=['resolve']\nhost=['y.test']"),
            "never matches for `x.test`, `z.test`: no rule grants `resolve` for it",
        ),
        (
            named("'a.example.com', '*.example.com', 'x.test'")
                + &deny("d", "host=['*.example.com']"),
            "rule `a` never matches for `a.example.com`, `*.example.com`: a deny rule forbids to resolve it",
        ),
        (
            named("'a.example.com'") + &deny("d", "ops=['resolve']"),
            "never matches for `a.example.com`: a deny rule forbids to resolve it",
        ),
        (
            named("'*'") + &deny("d", "ops=['resolve']\nhost=['*.example.com']"),
            NAMES_A_HOST,
        ),
        (
            named("'a.test'") + &deny("d", "family=['inet']\nhost=['a.test']"),
            "never matches for `a.test`: a deny rule forbids to resolve it",
        ),
        (named("'a.test'") + &deny("d", "family=['inet']"), ""),
        (
            named("'a.test'") + &deny("d", "ops=['connect']\ncidr=['10.0.0.0/8']"),
            "",
        ),
        (named("'a.test'") + &deny("d", "flags=['oob']"), ""),
        (named("'a.test'") + &deny("d", "cidr=['10.0.0.0/8']"), ""),
    ] {
        let said = said(&text).join("\n");
        match expected {
            "" => assert_eq!(said, "", "{text}"),
            NAMES_A_HOST => {
                assert!(
                    said.contains(NAMES_A_HOST) && !said.contains("never"),
                    "{text}\n{said}"
                );
            }
            expected => assert!(said.contains(expected), "{text}\nsays\n{said}"),
        }
    }
}

#[test]
fn what_is_in_order_is_not_warned_of() {
    for rules in [
        "[[allow]]\nid='a'\nfamily=['inet']\ntype=['stream']\nops=['connect']\ncidr=['10.0.0.0/8']\n[[deny]]\nid='d'\ncidr=['10.0.0.0/9']",
        "[[allow]]\nid='a'\nfamily=['inet']\ntype=['stream']\nops=['connect']\ncidr=['10.0.0.0/8']\noptions={set=['so.mark']}\n[[allow]]\nid='b'\nfamily=['inet']\ntype=['stream']\nops=['connect']\ncidr=['10.0.0.0/8']",
        "[[allow]]\nid='a'\nfamily=['inet']\ntype=['stream']\nops=['listen']\ncidr=['127.0.0.1']\n[[deny]]\nid='d'\nops=['listen']\ncidr=['127.0.0.1']",
        "[[allow]]\nid='a'\nfamily=['inet']\ntype=['stream']\nops=['connect']\ncidr=['10.0.0.0/8']\n[[deny]]\nid='d'\nport=['25']",
    ] {
        let said = said(rules);
        let expected: usize = usize::from(rules.contains("so.mark"));
        assert_eq!(said.len(), expected, "{rules}\n{said:?}");
    }
}
