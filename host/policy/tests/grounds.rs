//! What a verdict stands on: which rule a permit names, how its socket came about, what was set on it before.

mod common;

use std::time::{Duration, Instant};

use common::families::{CAN_RAW, TIPC, kind, tipc};
use common::{TCP4, TCP6, UDP4, UNIX, at, bound, data, fresh, gate, option, with_option};
use sockgate_policy::{
    Adopted, AdoptedState, Content, Denial, Family, Gate, Kind, Operation, Origin, Permit, Policy,
    Question, SocketFacts, SocketType, Source,
};

const SEQPACKET: Kind = kind(Family::Unix, SocketType::SeqPacket, 0);
const RAW_ICMP: Kind = kind(Family::Inet, SocketType::Raw, 1);

fn connected(kind: Kind, local: &str, peer: &str) -> SocketFacts {
    SocketFacts {
        peer: Some(at(peer)),
        ..bound(kind, local)
    }
}

/// The rule that granted it, or what the denial calls the operation.
fn rule<O: Operation>(verdict: Result<Permit<O>, Denial>) -> String {
    match verdict {
        Ok(permit) => permit.rule().to_owned(),
        Err(denial) => format!("no {}", denial.operation()),
    }
}

const MADE: &str = "[[allow]]\nid='made'\nops=['connect']\npeer='*'\n";
const TAKEN: &str = "[[allow]]\nid='taken'\nops=['listen']\nlocal='*'\n";

#[test]
fn a_connection_that_arrives_is_judged_as_made_before_as_accepted() {
    let s = connected(TCP4, "10.0.0.5:4000", "10.0.0.1:80");
    let adopted = |policy: &str| match gate(policy).adopt(&s, AdoptedState::Connected) {
        Ok(Adopted::Connected(permit)) => rule(Ok(permit)),
        other => format!("{other:?}"),
    };
    assert_eq!(adopted(&format!("{MADE}{TAKEN}")), "made");
    assert_eq!(adopted(&format!("{TAKEN}{MADE}")), "made");
    assert_eq!(adopted(TAKEN), "taken");
    // What a rule grants is not put down to the mode.
    assert_eq!(adopted(&format!("mode='audit'\n{TAKEN}")), "taken");
    assert_eq!(adopted(&format!("mode='audit'\n{MADE}")), "made");
    assert_eq!(adopted("mode='audit'\n"), "(audit)");
}

#[test]
fn an_answer_stands_on_the_rule_for_sending_before_that_for_replies() {
    let rules = "[[allow]]\nid='answers'\nops=['reply']\n\
                 [[allow]]\nid='sends'\nops=['send-to']\ncidr=['8.8.8.8']\n";
    let s = bound(UDP4, "10.0.0.1:53");
    let end = Instant::now() + Duration::from_secs(60);
    let permit = |policy: &str, to: &str| gate(policy).answer(&s, &at(to), &data(&s), end);
    let answered = |policy: &str, to: &str| rule(permit(policy, to));
    assert_eq!(answered(rules, "8.8.8.8:4000"), "sends");
    assert_eq!(answered(rules, "9.9.9.9:4000"), "answers");
    assert_eq!(answered("", "9.9.9.9:4000"), "no reply");
    let audited = format!("mode='audit'\n{rules}");
    assert_eq!(answered(&audited, "9.9.9.9:4000"), "answers");
    assert_eq!(answered("mode='audit'\n", "9.9.9.9:4000"), "(audit)");
    // What stands on having heard the peer ends with that, and nothing else does.
    let ends = |to: &str| permit(rules, to).unwrap().expires();
    assert_eq!(
        [ends("8.8.8.8:4000"), ends("9.9.9.9:4000")],
        [None, Some(end)]
    );
}

#[test]
fn a_message_is_judged_by_what_was_read_for_its_socket() {
    let gate = gate("[[allow]]\nid='a'\nops=['send-to','receive','reply']\npeer='*'\n");
    let s = bound(UDP4, "10.0.0.1:53");
    let (peer, other) = (at("8.8.8.8:53"), Content::sent(CAN_RAW, &[0; 16]));
    assert!(gate.reply(&s, &peer, &data(&s)).is_ok());
    assert!(gate.reply(&s, &peer, &other).is_err());
    assert!(gate.send_to(&s, &peer, &data(&s)).is_ok());
    assert!(gate.send_to(&s, &peer, &other).is_err());
    assert!(gate.receive_from(&s, &peer, &data(&s)).is_ok());
    assert!(gate.receive_from(&s, &peer, &other).is_err());
}

#[test]
fn an_accepted_socket_hears_its_peer_by_what_accepted_it() {
    let listening =
        gate("[[allow]]\nid='a'\nops=['listen']\nlocal={path=['/run/a/*']}\npeer={unnamed=true}\n");
    let s = connected(SEQPACKET, "/run/a/x", "");
    let accepted = SocketFacts {
        origin: Origin::Accept,
        ..s.clone()
    };
    assert!(
        listening
            .receive_from(&accepted, &at(""), &data(&s))
            .is_ok()
    );
    assert!(listening.receive_from(&s, &at(""), &data(&s)).is_err());
    let connecting = gate(MADE);
    assert!(
        connecting
            .receive_from(&accepted, &at(""), &data(&s))
            .is_err()
    );
    assert!(connecting.receive_from(&s, &at(""), &data(&s)).is_ok());
}

#[test]
fn an_end_of_a_pair_that_dropped_its_peer_is_one_of_a_pair_still() {
    let s = SocketFacts {
        origin: Origin::Pair,
        ..fresh(UNIX)
    };
    assert!(
        gate("[[allow]]\nid='a'\nops=['socketpair']\n")
            .shutdown(&s)
            .is_ok()
    );
    assert!(gate(MADE).shutdown(&s).is_err());
    assert!(gate(MADE).shutdown(&fresh(UNIX)).is_ok());
}

#[test]
fn a_mapped_address_is_judged_as_the_one_inside() {
    let from = gate(
        "[[allow]]\nid='a'\nops=['listen']\nlocal={cidr=['*']}\npeer={cidr=['10.0.0.0/8']}\n\
         [[allow]]\nid='b'\nops=['connect']\npeer={cidr=['8.8.8.8']}\nlocal={cidr=['10.0.0.0/8']}\n",
    );
    let listener = bound(TCP6, "[::]:80");
    let accepts = |peer: &str| from.accept(&listener, &at(peer)).is_ok();
    assert!(accepts("[::ffff:10.0.0.1]:4000") && !accepts("[::ffff:8.8.8.8]:4000"));
    let connects = |local: &str| {
        let s = bound(TCP6, local);
        from.connect(&s, &at("[::ffff:8.8.8.8]:80")).is_ok()
    };
    assert!(connects("[::ffff:10.0.0.5]:4000") && !connects("[::ffff:9.9.9.9]:4000"));
}

#[test]
fn a_sender_without_an_address_is_of_no_denied_class() {
    let policy = "[[allow]]\nid='a'\nops=['receive']\npeer='*'\n\
                  [[deny]]\nid='d'\nclass=['private']\n";
    // What asks for its first lease by DHCP has no address yet.
    let server = bound(UDP4, "0.0.0.0:67");
    let hears = |sender: &str| {
        let sent = gate(policy).receive_from(&server, &at(sender), &data(&server));
        sent.is_ok()
    };
    assert!(hears("0.0.0.0:68") && !hears("10.0.0.1:68"));
}

#[test]
fn a_name_for_an_address_is_looked_up_where_each_address_inside_is_covered() {
    let reverse = |policy: &str| {
        let gate = gate(&format!("{policy}ops=['reverse-resolve']\n"));
        gate.reverse_resolve("64:ff9b::a00:1".parse().unwrap())
            .is_ok()
    };
    assert!(!reverse("[[allow]]\nid='a'\ncidr=['10.0.0.0/8']\n"));
    assert!(!reverse("[[allow]]\nid='a'\ncidr=['64:ff9b::/96']\n"));
    assert!(reverse(
        "[[allow]]\nid='a'\ncidr=['10.0.0.0/8','64:ff9b::/96']\n"
    ));
    let all = "[[allow]]\nid='a'\nops=['reverse-resolve']\ncidr=['*']\n[[deny]]\nid='d'\n";
    assert!(!reverse(&format!("{all}cidr=['10.0.0.0/8']\n")));
    assert!(!reverse(&format!("{all}cidr=['64:ff9b::/96']\n")));
    assert!(reverse(&format!("{all}cidr=['9.0.0.0/8']\n")));
}

#[test]
fn each_option_is_set_by_itself_and_all_are_bound_together() {
    let gate = gate(
        "[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\noptions={set=['so.keepalive']}\n\
         [[allow]]\nid='b'\nops=['connect']\ncidr=['*']\noptions={set=['so.mark'],get=['so.rcvbuf']}\n",
    );
    let connects = |s: &SocketFacts| gate.connect(s, &at("10.0.0.1:80")).is_ok();
    let kept_alive = with_option(fresh(TCP4), "so.keepalive", 1);
    assert!(connects(&kept_alive));
    assert!(gate.get_option(&kept_alive, option("so.rcvbuf")).is_ok());
    let mark = option("so.mark");
    assert!(gate.set_option(&kept_alive, mark, &[1, 0, 0, 0]).is_ok());
    assert!(!connects(&with_option(kept_alive, "so.mark", 1)));
}

#[test]
fn headers_of_its_own_come_with_header_include_and_nothing_else_does() {
    let raw = |keys: &str| {
        gate(&format!(
            "[[allow]]\nid='a'\nfamily=['inet']\ntype=['raw']\nprotocol=['icmp']\n\
             ops=['connect']\ncidr=['*']\n{keys}\n"
        ))
    };
    let sets = |gate: &Gate, name: &str| {
        let value = 1i32.to_ne_bytes();
        let set = gate.set_option(&fresh(RAW_ICMP), option(name), &value);
        let s = with_option(fresh(RAW_ICMP), name, 1);
        (set.is_ok(), gate.connect(&s, &at("10.0.0.1:0")).is_ok())
    };
    let including = raw("header-include=true");
    assert_eq!(sets(&including, "ip.hdrincl"), (true, true));
    assert_eq!(sets(&including, "so.mark"), (false, false));
    for keys in ["", "icmp-type=['1']", "header-include=false"] {
        assert_eq!(sets(&raw(keys), "ip.hdrincl"), (false, false), "{keys}");
    }
    let listing = raw("options={set=['ip.hdrincl']}");
    assert_eq!(sets(&listing, "ip.hdrincl"), (true, true));
}

#[test]
fn a_further_name_is_judged_by_itself() {
    let gate = gate("[[allow]]\nid='a'\nfamily=['tipc']\nops=['bind']\nservice=[100]\n");
    // The second name is of a service that the policy granted once.
    let s = SocketFacts {
        local: Some(tipc(100, 1)),
        further_locals: vec![tipc(200, 1)],
        ..fresh(TIPC)
    };
    assert!(gate.bind(&s, &tipc(100, 2)).is_ok());
    assert!(gate.bind(&s, &tipc(200, 2)).is_err());
}

#[test]
fn what_the_mode_lets_through_replaces_nothing_and_asks_nobody() {
    let audit = gate("mode='audit'\n");
    let bind = audit.bind(&fresh(UNIX), &at("/run/a/x")).unwrap();
    assert!(!bind.subject().replace_stale && bind.subject().mode.is_none());
    let accept = audit.accept(&bound(UNIX, "/run/a/x"), &at("")).unwrap();
    assert!(!accept.asks_who() && accept.lets_in(1000, 1000));
    // No rule stands behind what the operator handed in either.
    let handed = SocketFacts {
        granted: true,
        ..bound(UNIX, "/run/a/x")
    };
    let accept = gate("").accept(&handed, &at("")).unwrap();
    assert!(!accept.asks_who() && accept.lets_in(1000, 1000));
}

#[test]
fn one_rule_that_asks_nobody_lets_everybody_in() {
    let rule = |id: &str, keys: &str| {
        format!(
            "[[allow]]\nid='{id}'\nops=['listen']\nfamily=['unix']\npath=['/run/a/*']\n{keys}\n"
        )
    };
    let asking = rule("a", "peer-uid=[1000]");
    let accept = |policy: &str| {
        let accepted = gate(policy).accept(&bound(UNIX, "/run/a/x"), &at(""));
        let permit = accepted.unwrap();
        (
            permit.asks_who(),
            permit.lets_in(1000, 5),
            permit.lets_in(1, 5),
        )
    };
    assert_eq!(accept(&asking), (true, true, false));
    let both = format!("{asking}{}", rule("b", ""));
    assert_eq!(accept(&both), (false, true, true));
}

#[test]
fn a_rule_of_another_family_is_told_from_one_of_another_type() {
    let lacks = |keys: &str| {
        let text = format!("version = 1\n[[allow]]\nid='a'\nops=['connect']\ncidr=['*']\n{keys}\n");
        let policy = Policy::from_toml(&Source::new("test.toml", &text)).unwrap();
        let explained = policy.explain(&Question::parse("tcp connect 10.0.0.1:80").unwrap());
        explained.candidates[0].lacks.clone().unwrap_or_default()
    };
    let family = lacks("family=['inet6']");
    assert!(
        family.starts_with("does not list every family involved"),
        "{family}"
    );
    let socket_type = lacks("type=['datagram']");
    assert!(
        socket_type.starts_with("is about another type or protocol"),
        "{socket_type}"
    );
}
