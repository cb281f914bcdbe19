//! Limits as a policy writes them, and what permits count for.

mod common;

use std::time::{Duration, Instant};

use common::{TCP4, UNIX, at, fresh};
use sockgate_policy::{
    Count, Counted, Flow, Gate, Limits, Policy, Rate, Rule, Short, SocketFacts, Source, Toll, Way,
};

fn policy(text: &str) -> Policy {
    Policy::from_toml(&Source::new("limits", &format!("version = 1\n{text}"))).unwrap()
}

const RULE: &str =
    "[[allow]]\nid = \"r\"\nfamily = [\"inet\"]\nops = [\"connect\"]\ncidr = [\"10.0.0.0/8\"]\n";

#[test]
fn every_key_is_read() {
    let counts = Count::ALL.map(|count| format!("{} = 7\n", count.key()));
    let flows = Flow::ALL.map(|flow| format!("{} = 5\n{} = 9\n", flow.key(), flow.burst_key()));
    let text = format!(
        "[limits]\n{}{}lifetime = \"2m\"\n",
        counts.concat(),
        flows.concat()
    );
    let policy = policy(&text);
    let limits = policy.limits();
    for count in Count::ALL {
        assert_eq!(limits.count(count), Some(7), "{}", count.key());
    }
    for flow in Flow::ALL {
        let rate = Rate::per_second(5).with_burst(9);
        assert_eq!(limits.rate(flow), Some(rate), "{}", flow.key());
    }
    assert_eq!(limits.lifetime(), Some(Duration::from_secs(120)));
}

#[test]
fn defaults_and_units() {
    let nothing = policy("");
    assert_eq!(*nothing.limits(), Limits::of_a_guest());
    assert_eq!(Limits::of_a_guest().count(Count::Sockets), Some(256));
    assert_eq!(Limits::of_a_guest().rate(Flow::SendBytes), None);
    let policy = policy("[limits]\nsend-bytes-per-second = \"10 MiB\"\nsockets = 300\n");
    let rate = policy.limits().rate(Flow::SendBytes).unwrap();
    assert_eq!((rate.each_second(), rate.burst()), (10 << 20, 10 << 20));
    assert_eq!(policy.limits().count(Count::Sockets), Some(300));
    assert_eq!(policy.limits().count(Count::BufferBytes), Some(16 << 20));
}

#[test]
fn of_several_files_the_stricter_value_holds() {
    let one = policy("[limits]\nsockets = 5\nsend-bytes-per-second = 100\nlifetime = \"1h\"\n");
    let other = policy(
        "[limits]\nsockets = 9\nsend-bytes-per-second = 50\nsend-bytes-burst = 900\n\
         receive-bytes = 7\nlifetime = \"2h\"\n",
    );
    let merged = one.merge(other).unwrap();
    let limits = merged.limits();
    assert_eq!(limits.count(Count::Sockets), Some(5));
    let rate = Rate::per_second(50).with_burst(100);
    assert_eq!(limits.rate(Flow::SendBytes), Some(rate));
    assert_eq!(limits.count(Count::ReceiveBytes), Some(7));
    assert_eq!(limits.lifetime(), Some(Duration::from_secs(3600)));
}

#[test]
fn limits_made_in_rust_are_checked_like_those_of_a_file() {
    let wrong = Limits::none()
        .with(Count::Sockets, 0)
        .with_rate(Flow::Connections, Rate::per_second(u64::MAX))
        .with_lifetime(Duration::ZERO);
    let rule = Rule::new("r").tcp().connect("10.0.0.0/8:*").unwrap();
    let builder = Policy::builder().limits(wrong.clone());
    let said = builder
        .allow(rule.limits(wrong))
        .build()
        .unwrap_err()
        .to_string();
    for what in ["`sockets = 0`", "`connections-per-second", "`lifetime`"] {
        assert_eq!(said.matches(what).count(), 2, "{said}");
    }
}

#[test]
fn the_greatest_values_are_limits_and_more_is_a_slip() {
    let said = |limits: Limits| match Policy::builder().limits(limits).build() {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    };
    for count in Count::ALL {
        let most = count.greatest();
        assert_eq!(said(Limits::none().with(count, most)), "");
        let more = said(Limits::none().with(count, most + 1));
        assert!(more.contains(&format!("`{} = ", count.key())), "{more}");
    }
    for flow in Flow::ALL {
        let rate = |per_second, burst| {
            let rate = Rate::per_second(per_second).with_burst(burst);
            said(Limits::none().with_rate(flow, rate))
        };
        let most = flow.greatest();
        assert_eq!(rate(most, most), "");
        let more = rate(most + 1, most);
        assert!(more.contains(&format!("`{} = ", flow.key())), "{more}");
        let more = rate(most, most + 1);
        assert!(
            more.contains(&format!("`{} = ", flow.burst_key())),
            "{more}"
        );
    }
    let year = Duration::from_secs(366 * 86_400);
    let lifetime = |lifetime| said(Limits::none().with_lifetime(lifetime));
    assert_eq!(lifetime(year), "");
    assert!(lifetime(year + Duration::from_nanos(1)).contains("`lifetime`"));
}

fn connected(gate: &Gate) -> sockgate_policy::Permit<sockgate_policy::op::Converse> {
    let facts = SocketFacts {
        peer: Some(at("10.0.0.1:80")),
        ..fresh(TCP4)
    };
    gate.converse(&facts).unwrap()
}

#[test]
fn what_several_rules_grant_counts_for_each_and_for_the_guest() {
    let more = RULE
        .replace("\"r\"", "\"s\"")
        .replace("10.0.0.0/8", "10.0.0.1");
    let text = format!(
        "[limits]\nsend-bytes = 100\n{RULE}limits = {{ send-bytes = 30 }}\n{more}limits = {{ send-bytes = 20 }}\n"
    );
    let gate = Gate::new(policy(&text));
    let permit = connected(&gate);
    let meters = permit.meters().unwrap();
    let passage = meters
        .take(Toll::Stream(Way::Send, 1000), Instant::now())
        .unwrap();
    assert_eq!(passage.bytes(), 20);
    passage.settle(20);
    // Where the narrower rule does not grant, 10 of the other are left.
    let elsewhere = SocketFacts {
        peer: Some(at("10.0.0.2:80")),
        ..fresh(TCP4)
    };
    let permit = gate.converse(&elsewhere).unwrap();
    let passage = permit
        .meters()
        .unwrap()
        .take(Toll::Stream(Way::Send, 1000), Instant::now());
    assert_eq!(passage.unwrap().bytes(), 10);
}

#[test]
fn without_limits_on_what_passes_nothing_is_counted() {
    let gate = Gate::new(policy(&format!("[limits]\nsockets = 3\n{RULE}")));
    assert!(connected(&gate).meters().is_none());
}

#[test]
fn what_was_used_outlives_a_reload_where_the_id_is_the_same() {
    let limited = |id: &str, most: u64| {
        let rule = RULE.replace("\"r\"", &format!("\"{id}\""));
        policy(&format!("{rule}limits = {{ send-bytes = {most} }}\n"))
    };
    let gate = Gate::new(limited("r", 50));
    let left = |gate: &Gate| {
        let permit = connected(gate);
        let passage = permit
            .meters()
            .unwrap()
            .take(Toll::Stream(Way::Send, 1000), Instant::now());
        passage.map(|passage| passage.bytes())
    };
    let permit = connected(&gate);
    let passage = permit
        .meters()
        .unwrap()
        .take(Toll::Stream(Way::Send, 40), Instant::now());
    passage.unwrap().settle(40);
    gate.replace(limited("r", 70));
    assert_eq!(left(&gate), Ok(30));
    gate.replace(limited("r", 10));
    assert!(matches!(left(&gate), Err(Short::Spent(limit)) if limit.limit == 10));
    // The permit of the former policy counts at the limits of this one.
    let old = permit
        .meters()
        .unwrap()
        .take(Toll::Stream(Way::Send, 1), Instant::now());
    assert!(matches!(old, Err(Short::Spent(_))));
    gate.replace(limited("other", 10));
    assert_eq!(left(&gate), Ok(10));
}

#[test]
fn a_kept_conversation_counts_for_the_guest_of_the_new_policy() {
    let gate = Gate::new(policy(RULE));
    let permit = connected(&gate);
    assert!(permit.meters().is_none());
    gate.replace(policy("on-reload = \"keep\"\n[limits]\nsend-bytes = 5\n"));
    let kept = gate.keep(permit);
    let passage = kept
        .meters()
        .unwrap()
        .take(Toll::Stream(Way::Send, 9), Instant::now());
    assert_eq!(passage.unwrap().bytes(), 5);
    gate.replace(policy("on-reload = \"keep\"\n"));
    assert!(gate.keep(kept).meters().is_none());
}

#[test]
fn a_kept_conversation_counts_on_for_its_rule() {
    let gate = Gate::new(policy(&format!("{RULE}limits = {{ send-bytes = 7 }}\n")));
    let permit = connected(&gate);
    gate.replace(policy("on-reload = \"keep\"\n[limits]\nsend-bytes = 5\n"));
    let kept = gate.keep(permit);
    let most = |most| {
        let toll = Toll::Stream(Way::Send, most);
        let passage = kept.meters().unwrap().take(toll, Instant::now()).unwrap();
        let bytes = passage.bytes();
        passage.settle(bytes);
        bytes
    };
    assert_eq!(most(9), 5);
    gate.replace(policy("on-reload = \"keep\"\n[limits]\nsend-bytes = 100\n"));
    assert_eq!(most(9), 2);
}

#[test]
fn a_rule_counts_each_socket_once() {
    let gate = Gate::new(policy(&format!(
        "{RULE}limits = {{ sockets = 2, lifetime = \"1m\" }}\n"
    )));
    let permit = connected(&gate);
    let (meters, now) = (permit.meters().unwrap(), Instant::now());
    let mut sockets = [Counted::default(), Counted::default(), Counted::default()];
    for _ in 0..3 {
        sockets[0].add(meters, now).unwrap();
        sockets[0].carry_on(meters, now);
    }
    sockets[1].add(meters, now).unwrap();
    let reached = sockets[2].add(meters, now).unwrap_err();
    assert_eq!(
        reached.to_string(),
        "limit `sockets` = 2 of rule `r` is reached"
    );
    assert!(sockets[2].end().is_none());
    let end = sockets[0].end().unwrap();
    assert_eq!(
        (end.at - now, end.limit.key),
        (Duration::from_secs(60), "lifetime")
    );
    sockets[2].carry_on(meters, now);
    assert!(
        sockets[2].end().is_some(),
        "a reload counts what is open already"
    );
    let [first, second, _third] = sockets;
    let mut more = Counted::default();
    drop(first);
    assert!(more.add(meters, now).is_err(), "two are left");
    drop(second);
    assert!(more.add(meters, now).is_ok());
}

#[test]
fn a_socket_counts_for_each_rule_from_its_first_grant_on() {
    let more = RULE
        .replace("\"r\"", "\"s\"")
        .replace("10.0.0.0/8", "10.0.0.1");
    let gate = Gate::new(policy(&format!(
        "[limits]\nsockets = 1\nsend-bytes = 5\n\
         {RULE}limits = {{ sockets = 9 }}\n{more}limits = {{ sockets = 1 }}\n"
    )));
    let other = SocketFacts {
        peer: Some(at("10.0.0.2:80")),
        ..fresh(TCP4)
    };
    let (other, both) = (gate.converse(&other).unwrap(), connected(&gate));
    let (of_one, of_both) = (other.meters().unwrap(), both.meters().unwrap());
    let _slot = gate.slot().unwrap();
    let (mut socket, now) = (Counted::default(), Instant::now());
    socket.add(of_one, now).unwrap();
    socket.add(of_both, now).unwrap();
    let mut second = Counted::default();
    second.add(of_one, now).unwrap();
    let reached = second.add(of_both, now).unwrap_err();
    assert_eq!(reached.rule.unwrap().as_str(), "s");
}

#[test]
fn a_rule_with_limits_on_data_does_not_grant_what_nobody_counts() {
    let facts = SocketFacts {
        uncounted: true,
        ..fresh(TCP4)
    };
    for (limits, granted) in [
        ("connections-per-second = 3", true),
        ("resolver-queries-per-second = 3", true),
        ("sockets = 3", false),
        ("send-bytes = 3", false),
        ("receive-messages-per-second = 3", false),
        ("lifetime = \"1h\"", false),
    ] {
        let gate = Gate::new(policy(&format!("{RULE}limits = {{ {limits} }}\n")));
        let verdict = gate.connect(&facts, &at("10.0.0.1:80"));
        assert_eq!(verdict.is_ok(), granted, "{limits}");
        if let Err(denial) = verdict {
            let key = limits.split(' ').next().unwrap();
            assert!(denial.hint().contains(key), "{}", denial.hint());
        }
    }
    let gate = Gate::new(policy(
        "[limits]\nsockets = 3\nconnections-per-second = 3\n",
    ));
    assert_eq!(gate.uncountable_limit(), None);
    let gate = Gate::new(policy("[limits]\nreceive-bytes = 3\n"));
    assert_eq!(gate.uncountable_limit(), Some("receive-bytes"));
}

#[test]
fn limits_hold_in_audit_mode() {
    let gate = Gate::new(policy(
        "mode = \"audit\"\n[limits]\nsend-messages-per-second = 1\n",
    ));
    let pair = gate.pair(UNIX).unwrap();
    assert!(pair.meters().is_some());
}
