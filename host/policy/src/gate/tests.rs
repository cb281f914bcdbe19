//! Pins: which addresses a name stands for, for how long, and for which rules.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pins::{MOST_PINS, Pins};
use crate::judge::Pinned;
use crate::model::HostPattern;
use crate::{
    Address, Content, Family, Gate, Kind, OptionName, Policy, SocketFacts, SocketType, Source,
};

const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hosts(names: &[&str]) -> Vec<HostPattern> {
    let patterns = names.iter().map(|name| HostPattern::parse(name).unwrap());
    patterns.collect()
}

/// When the pin ends that the names have on the address, in seconds from `start`.
fn until(pins: &Pins, start: Instant, names: &[&str], address: &str) -> Option<u64> {
    let end = pins.until(&hosts(names), ip(address), 10 * SECOND, start, false)?;
    Some(end.duration_since(start).as_secs())
}

fn names(pins: &Pins, address: &str) -> Vec<String> {
    let mut names = Vec::new();
    pins.names(ip(address), &mut |name| names.push(name.to_owned()));
    names
}

#[test]
fn a_pin_is_renewed_and_ends() {
    let (pins, start) = (Pins::default(), Instant::now());
    let (a, b): (Arc<str>, Arc<str>) = ("a.example".into(), "b.example".into());
    pins.add(&a, ip("192.0.2.1"), start);
    pins.add(&b, ip("192.0.2.1"), start + 2 * SECOND);
    assert_eq!(names(&pins, "192.0.2.1"), ["a.example", "b.example"]);
    assert_eq!(until(&pins, start, &["a.example"], "192.0.2.1"), Some(10));
    assert_eq!(until(&pins, start, &["b.example"], "192.0.2.1"), Some(12));
    // Of several pins the longest counts, of several names one is enough.
    assert_eq!(until(&pins, start, &["*.example"], "192.0.2.1"), Some(12));
    assert_eq!(
        until(&pins, start, &["x.example", "a.example"], "192.0.2.1"),
        Some(10)
    );
    assert_eq!(until(&pins, start, &["x.example"], "192.0.2.1"), None);
    assert_eq!(until(&pins, start, &["a.example"], "192.0.2.2"), None);
    pins.add(&a, ip("192.0.2.1"), start + 5 * SECOND);
    assert_eq!(names(&pins, "192.0.2.1"), ["a.example", "b.example"]);
    assert_eq!(until(&pins, start, &["a.example"], "192.0.2.1"), Some(15));
    assert_eq!(until(&pins, start, &["b.example"], "192.0.2.1"), Some(12));

    let at = |seconds: u32, expired| {
        let now = start + seconds * SECOND;
        pins.until(
            &hosts(&["b.example"]),
            ip("192.0.2.1"),
            10 * SECOND,
            now,
            expired,
        )
    };
    assert!(at(11, false).is_some());
    assert!(at(12, false).is_none() && at(12, true).is_some());
}

#[test]
fn pins_are_bounded_and_the_oldest_go() {
    let (pins, start) = (Pins::default(), Instant::now());
    let name: Arc<str> = "a.example".into();
    let address = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
    let millisecond = Duration::from_millis(1);
    let count = |upto: usize| {
        let known = |number: &usize| !names(&pins, &address(*number).to_string()).is_empty();
        (0..upto).filter(known).count()
    };
    for number in 0..MOST_PINS {
        let when = start + u32::try_from(number).unwrap() * millisecond;
        pins.add(&name, address(number), when);
    }
    assert_eq!(count(MOST_PINS), MOST_PINS, "as many as there may be");
    let later = start + 60 * SECOND;
    pins.add(&name, address(MOST_PINS), later);
    // The older half went, and the newer one stays.
    assert_eq!(count(MOST_PINS + 1), MOST_PINS / 2 + 1);
    assert_eq!(count(MOST_PINS / 2 + 1), 1);
    assert_eq!(pins.len(), MOST_PINS / 2 + 1);
}

#[test]
fn pins_of_one_moment_go_by_half_too() {
    let (pins, start) = (Pins::default(), Instant::now());
    let name: Arc<str> = "a.example".into();
    for number in 0..=u32::try_from(MOST_PINS).unwrap() {
        pins.add(&name, IpAddr::from(number.to_be_bytes()), start);
    }
    assert_eq!(pins.len(), MOST_PINS / 2 + 1);
    // Addresses without a name take no room either.
    assert_eq!(pins.addresses(), MOST_PINS / 2 + 1);
}

#[test]
fn names_that_are_not_kept_leave_nothing() {
    let (pins, start) = (Pins::default(), Instant::now());
    for name in ["a.example", "b.example"] {
        pins.add(&name.into(), ip("192.0.2.1"), start);
    }
    pins.add(&"b.example".into(), ip("192.0.2.2"), start);
    pins.retain(|name| name == "a.example");
    assert_eq!(names(&pins, "192.0.2.1"), ["a.example"]);
    assert!(names(&pins, "192.0.2.2").is_empty());
    assert_eq!((pins.len(), pins.addresses()), (1, 1));
}

fn gate(text: &str) -> Gate {
    let source = Source::new("test.toml", &format!("version = 1\n{text}"));
    Gate::new(Policy::from_toml(&source).unwrap_or_else(|errors| panic!("{errors}")))
}

fn to(text: &str) -> Address {
    text.parse::<std::net::SocketAddr>().unwrap().into()
}

/// Which of some answers the guest sees for a name.
fn seen(text: &str, name: &str) -> String {
    const ANSWERS: [&str; 6] = [
        "8.8.8.8",
        "10.0.0.1",
        "127.0.0.1",
        "2606:4700::1",
        "fd00::1",
        "64:ff9b::a00:1",
    ];
    let gate = gate(text);
    let permit = gate.resolve(name.as_bytes()).unwrap();
    let seen = gate.pin(&permit, &ANSWERS.map(ip));
    let words: Vec<String> = seen.iter().map(IpAddr::to_string).collect();
    words.join(" ")
}

const RESOLVE: &str = "[[allow]]\nid='names'\nops=['resolve']\nhost=['*']\n";

#[test]
fn answers_are_seen_where_a_rule_for_the_name_takes_them() {
    let rule = |keys: &str| format!("[[allow]]\nid='r'\nops=['resolve','connect']\n{keys}\n");
    let answers = |keys: &str, name: &str| seen(&rule(keys), name);
    assert_eq!(
        answers("host=['a.example']", "a.example"),
        "8.8.8.8 2606:4700::1"
    );
    assert_eq!(
        answers("host=['a.example']\nfamily=['inet']", "a.example"),
        "8.8.8.8"
    );
    assert_eq!(
        answers("host=['a.example']\nfamily=['inet6']", "a.example"),
        "2606:4700::1"
    );
    assert_eq!(
        answers("host=['a.example']\nhost-may-be=['private']", "a.example"),
        "8.8.8.8 10.0.0.1 2606:4700::1 fd00::1 64:ff9b::a00:1"
    );
    // What another rule accepts for its own names helps this one nothing.
    let other = rule("host=['b.example']\nhost-may-be=['private','loopback']\nfamily=['inet']");
    assert_eq!(
        seen(&format!("{RESOLVE}{other}"), "a.example"),
        "8.8.8.8 2606:4700::1"
    );
    assert_eq!(
        seen(&format!("{RESOLVE}{other}"), "b.example"),
        "8.8.8.8 10.0.0.1 127.0.0.1 2606:4700::1"
    );
    let several = "[[allow]]\nid='c'\nops=['connect']\nhost=['x.example','b.example']\nhost-may-be=['loopback']\n";
    assert_eq!(
        seen(&format!("{RESOLVE}{several}"), "b.example"),
        "8.8.8.8 127.0.0.1 2606:4700::1"
    );
}

#[test]
fn answers_that_a_deny_rule_forbids_altogether_are_not_seen() {
    let all = "8.8.8.8 2606:4700::1";
    for (keys, expected) in [
        ("cidr=['8.8.8.8']", "2606:4700::1"),
        ("peer={cidr=['8.8.8.8']}", "2606:4700::1"),
        (
            "cidr=['8.8.8.8']\nops=['connect','send-to']",
            "2606:4700::1",
        ),
        ("cidr=['8.8.8.8']\nfamily=['inet']", "2606:4700::1"),
        ("cidr=['2606:4700::/32']\nfamily=['inet6']", "8.8.8.8"),
        // Something is left that the guest may do with the address.
        ("cidr=['8.8.8.8']\nops=['connect']", all),
        ("cidr=['8.8.8.8']\nops=['send-to']", all),
        ("cidr=['8.8.8.8']\nport=['80']", all),
        ("cidr=['8.8.8.8']\npeer={port=['80']}", all),
        ("peer={cidr=['8.8.8.8']}\nlocal={port=['80']}", all),
        ("cidr=['8.8.8.8']\nfamily=['inet6']", all),
        ("cidr=['8.8.8.8']\ntype=['stream']", all),
        ("cidr=['8.8.8.8']\nprotocol=['tcp']", all),
        ("cidr=['8.8.8.8']\noptions={set=['so.mark']}", all),
        ("cidr=['9.9.9.9']", all),
        ("port=['80']", all),
        ("family=['inet']", all),
        ("local={cidr=['8.8.8.8']}", all),
    ] {
        let deny = format!("{RESOLVE}[[deny]]\nid='d'\n{keys}\n");
        assert_eq!(seen(&deny, "a.example"), expected, "{keys}");
    }
}

#[test]
fn audit_mode_shows_what_no_rule_resolves() {
    let mode = "mode='audit'\n";
    assert_eq!(
        seen(mode, "a.example"),
        "8.8.8.8 10.0.0.1 127.0.0.1 2606:4700::1 fd00::1 64:ff9b::a00:1"
    );
    let deny = format!("{mode}[[deny]]\nid='d'\nclass=['private']\n");
    assert_eq!(seen(&deny, "a.example"), "8.8.8.8 127.0.0.1 2606:4700::1");
    // A rule that does resolve it says for what.
    assert_eq!(
        seen(&format!("{mode}{RESOLVE}"), "a.example"),
        "8.8.8.8 2606:4700::1"
    );
}

#[test]
fn a_permit_ends_with_the_first_pin_that_it_stands_on() {
    let gate = gate(
        "[[allow]]\nid='long'\nops=['resolve','connect']\nhost=['a.example']\npin='60s'\n\
         [[allow]]\nid='short'\nops=['connect']\nhost=['*.example']\npin='30s'\n\
         [[allow]]\nid='port'\nops=['connect']\ncidr=['198.51.100.0/24']\nport=['443']\n",
    );
    let tcp = SocketFacts::new(Kind::new(Family::Inet, SocketType::Stream));
    let start = Instant::now();
    let permit = gate.resolve(b"a.example").unwrap();
    gate.pin_at(&permit, &[ip("8.8.8.8")], start);
    let granted = gate.connect(&tcp, &to("8.8.8.8:80")).unwrap();
    assert_eq!(granted.expires(), Some(start + 30 * SECOND));
    assert!(granted.holds(&gate));
    let plain = gate.connect(&tcp, &to("198.51.100.1:443")).unwrap();
    assert_eq!(plain.expires(), None);
    let denial = gate.connect(&tcp, &to("9.9.9.9:80")).unwrap_err();
    assert!(
        denial
            .hint()
            .contains("covers only what its names resolved to"),
        "{}",
        denial.hint()
    );
    // A verdict that stands on an expired pin is none.
    gate.pin_at(&permit, &[ip("9.9.9.9")], start - 31 * SECOND);
    let granted = gate.connect(&tcp, &to("9.9.9.9:80")).unwrap();
    assert_eq!(granted.expires(), Some(start + 29 * SECOND));
}

/// A gate where a.example stood for 8.8.8.8 until `ago` before now.
fn resolved(text: &str, ago: Duration) -> Gate {
    let gate = gate(&format!(
        "[[allow]]\nid='a'\nhost=['a.example']\npin='30s'\n{text}\n"
    ));
    let permit = gate.resolve(b"a.example").unwrap();
    gate.pin_at(
        &permit,
        &[ip("8.8.8.8")],
        Instant::now() - 30 * SECOND - ago,
    );
    gate
}

#[test]
fn what_is_established_outlives_the_pin() {
    let gate = resolved(
        "ops=['resolve','connect','disconnect','splice','ioctl']\nioctl=['bytes-readable']\n\
         options={set=['so.keepalive'],get=['so.rcvbuf']}",
        SECOND,
    );
    let peer = to("8.8.8.8:80");
    let connected = |socket_type| SocketFacts {
        peer: Some(peer.clone()),
        ..SocketFacts::new(Kind::new(Family::Inet, socket_type))
    };
    let (tcp, udp) = (
        connected(SocketType::Stream),
        connected(SocketType::Datagram),
    );
    // Nothing new is begun with it.
    assert!(gate.connect(&tcp, &peer).is_err());
    assert!(gate.converse(&tcp).is_ok());
    let option = |name| OptionName::from_policy_name(name).unwrap();
    assert!(gate.get_option(&tcp, option("so.rcvbuf")).is_ok());
    let set = gate.set_option(&tcp, option("so.keepalive"), &1i32.to_ne_bytes());
    assert!(set.is_ok());
    assert!(gate.ioctl(&tcp, "bytes-readable").is_ok());
    assert!(gate.splice(&tcp, &tcp).is_ok());
    assert!(gate.disconnect(&udp).is_ok());
    assert!(gate.receive(&udp).is_ok());
    let nothing = Content::received(udp.kind, b"");
    assert!(gate.receive_from(&udp, &peer, &nothing).is_ok());
    // It is that peer's all the same.
    let other = SocketFacts {
        peer: Some(to("9.9.9.9:80")),
        ..tcp
    };
    assert!(gate.converse(&other).is_err() && gate.ioctl(&other, "bytes-readable").is_err());
}

#[test]
fn a_pin_helps_only_rules_that_take_the_address() {
    let gate = gate(
        "[[allow]]\nid='wide'\nops=['resolve','connect']\nhost=['a.example']\nport=['80']\n\
         host-may-be=['private']\n\
         [[allow]]\nid='plain'\nops=['connect']\nhost=['a.example']\nport=['443']\n\
         [[allow]]\nid='six'\nfamily=['inet6']\nops=['connect']\nhost=['a.example']\nport=['22']\n",
    );
    let permit = gate.resolve(b"a.example").unwrap();
    let answers = [ip("10.0.0.1"), ip("8.8.8.8"), ip("2606:4700::1")];
    assert_eq!(gate.pin(&permit, &answers), answers);
    let connects = |family, address: &str| {
        let s = SocketFacts::new(Kind::new(family, SocketType::Stream));
        gate.connect(&s, &to(address)).is_ok()
    };
    assert!(connects(Family::Inet, "10.0.0.1:80") && !connects(Family::Inet, "10.0.0.1:443"));
    assert!(connects(Family::Inet, "8.8.8.8:80") && connects(Family::Inet, "8.8.8.8:443"));
    assert!(connects(Family::Inet6, "[2606:4700::1]:22"));
    assert!(!connects(Family::Inet, "8.8.8.8:22"));
}

#[test]
fn a_permit_ends_at_its_very_moment() {
    let gate = gate("[[allow]]\nid='a'\nops=['resolve','connect']\nhost=['a.example']\n");
    let permit = gate.resolve(b"a.example").unwrap();
    assert_eq!(gate.pin(&permit, &[ip("8.8.8.8")]), [ip("8.8.8.8")]);
    let tcp = SocketFacts::new(Kind::new(Family::Inet, SocketType::Stream));
    let granted = gate.connect(&tcp, &to("8.8.8.8:80")).unwrap();
    let end = granted.expires().unwrap();
    assert!(granted.holds_at(&gate, || end - Duration::from_nanos(1)));
    assert!(!granted.holds_at(&gate, || end));
    // It may be made to end sooner, and not later.
    assert_eq!(granted.clone().until(end + SECOND).expires(), Some(end));
    let sooner = granted.clone().until(end - SECOND);
    assert_eq!(sooner.expires(), Some(end - SECOND));
    let everlasting = gate.create(tcp.kind).unwrap();
    assert_eq!(everlasting.until(end).expires(), Some(end));
    gate.replace(Policy::deny_all());
    assert!(!granted.holds_at(&gate, || end - SECOND));
}

#[test]
fn learn_mode_alone_notes_what_names_stood_for_that_no_rule_resolves() {
    let noted = |text: &str| {
        let gate = gate(text);
        let permit = gate.resolve(b"a.example").unwrap();
        let seen = gate.pin(&permit, &[ip("8.8.8.8"), ip("10.0.0.1")]);
        assert_eq!(seen[0], ip("8.8.8.8"));
        gate.notebook().answers("a.example").len()
    };
    assert_eq!(noted("mode='learn'\n"), 2);
    assert_eq!(noted(&format!("mode='learn'\n{RESOLVE}")), 0);
    assert_eq!(noted("mode='audit'\n"), 0);
}

#[test]
fn a_replaced_policy_is_the_one_in_force() {
    let gate = gate("reveal = true\n[[allow]]\nid='a'\nops=['interfaces']\n");
    assert!(gate.reveals_denials());
    let permit = gate.interfaces().unwrap();
    assert!(permit.holds(&gate));
    gate.replace(Policy::deny_all());
    assert!(!gate.reveals_denials());
    assert!(!permit.holds(&gate));
    assert!(gate.interfaces().is_err());
    let audit = Policy::deny_all().with_mode(crate::Mode::Audit);
    assert_eq!(audit.mode(), crate::Mode::Audit);
    gate.replace(audit);
    assert!(gate.interfaces().unwrap().unguarded().is_some());
}
