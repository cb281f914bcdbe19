//! Mends that are suggested work when they are followed: the line loads, and then the same is granted.

mod common;

use common::{TCP6, UNIX, at, bound, fresh, gate, lines};
use proptest::prelude::*;
use sockgate_policy::{
    DescriptorKind, Explanation, Family, Gate, Kind, Mode, Policy, Question, SocketFacts,
    SocketType,
};

/// The line of a suggestion, as a shell reads it; none where it is prose.
fn line(change: &str) -> Option<String> {
    let (_, quoted) = change.split_once("--allow '")?;
    Some(quoted.strip_suffix('\'')?.replace("'\\''", "'"))
}

fn explain(policy: &Policy, question: &str) -> Explanation {
    policy.explain(&Question::parse(question).unwrap_or_else(|error| panic!("{question}: {error}")))
}

const TRANSPORTS: [&str; 24] = [
    "tcp",
    "tcp4",
    "tcp6",
    "udp",
    "udp6",
    "inet-sctp",
    "inet-raw",
    "inet6-raw",
    "inet-icmp",
    "rds",
    "smc",
    "unix",
    "unix-stream",
    "unix-datagram",
    "unix-seqpacket",
    "can-raw",
    "can-isotp",
    "vsock-stream",
    "vsock-datagram",
    "netlink-route",
    "packet",
    "tipc-rdm",
    "alg",
    "qipcrtr",
];

const OPERATIONS: [&str; 18] = [
    "connect",
    "bind",
    "listen",
    "send-to",
    "receive",
    "reply",
    "socketpair",
    "resolve",
    "reverse-resolve",
    "interfaces",
    "hostname",
    "set-hostname",
    "disconnect",
    "splice",
    "ioctl",
    "join-group",
    "descriptor-send",
    "descriptor-receive",
];

const SUBJECTS: [&str; 32] = [
    "",
    "10.0.0.1:80",
    "0.0.0.0:0",
    "127.0.0.1:53",
    "[fe80::1%2]:80",
    "[2001:db8::1]:443",
    "[::ffff:10.0.0.1]:80",
    "[::]:80",
    "/run/x.sock",
    "/run/a,b",
    "/run/o'clock",
    "@name",
    "@auto",
    "@",
    "unnamed",
    "239.1.1.1",
    "ff02::1",
    "239.1.1.1 source=10.0.0.9",
    "239.1.1.1 source=10.0.0.9 interface=eth0",
    "ff02::1 interface=eth0",
    "bytes-readable",
    "ioctl=bytes-unsent",
    "kinds=socket",
    "kinds=opaque",
    "interface=can0",
    "interface=can0 can-id=0x123 fd=true",
    "interface=can0 isotp=0x7E8:0x7E0",
    "cid=2 port=1234",
    "pid=0",
    "interface=lo ethertype=0x88cc",
    "service=18888 instance=7",
    "alg-type=hash name=sha256",
];

const SIDES: [&str; 10] = [
    "",
    "from 127.0.0.1:9",
    "from [fe80::2%3]:9",
    "from /run/own",
    "from @own",
    "from unnamed",
    "peer 10.0.0.2:9",
    "peer [fe80::2%3]:9",
    "peer /run/other",
    "protocol=253",
];

/// What is suggested for a question that nothing grants.
fn follow(question: &str) -> Option<String> {
    let asked = Question::parse(question).ok()?;
    let denied = Policy::deny_all().explain(&asked);
    assert!(!denied.granted(), "{question}");
    let change = denied.change.unwrap_or_default();
    let line = line(&change)?;
    let policy = Policy::allow_line(&line)
        .unwrap_or_else(|errors| panic!("`{line}` for `{question}`: {errors}"));
    let granted = policy.explain(&asked);
    assert!(granted.granted(), "`{line}` for `{question}`: {granted}");
    Some(line)
}

#[test]
fn each_line_that_is_suggested_loads_and_grants_what_was_asked() {
    let mut followed = 0;
    let transports = TRANSPORTS.into_iter().chain([""]);
    for (transport, operation) in
        transports.flat_map(|transport| OPERATIONS.map(|operation| (transport, operation)))
    {
        for (subject, side) in
            (SUBJECTS.into_iter()).flat_map(|subject| SIDES.map(|side| (subject, side)))
        {
            let line = follow(&format!("{transport} {operation} {subject} {side}"));
            followed += usize::from(line.is_some());
        }
    }
    assert!(followed > 500, "{followed}");
    for question in [
        "resolve db.example.com",
        "reverse-resolve 10.0.0.1",
        "reverse-resolve fe80::1",
        "set-hostname web",
    ] {
        assert!(follow(question).is_some(), "{question}");
    }
}

proptest! {
    #[test]
    fn names_that_guests_choose_are_suggested_as_they_are_or_not_at_all(
        transport in prop::sample::select(vec!["unix", "unix-datagram"]),
        operation in prop::sample::select(vec!["connect", "bind", "listen", "send-to", "receive", "reply", "splice"]),
        name in "[/@][a-z/.@*?'(),=%~+{\\[-]{0,12}",
    ) {
        follow(&format!("{transport} {operation} {name}"));
    }

    #[test]
    fn every_address_is_suggested_without_what_is_not_judged(
        operation in prop::sample::select(vec!["connect", "bind", "listen"]),
        high in any::<u16>(), low in any::<u16>(), port in any::<u16>(), scope in 0u32..9,
    ) {
        follow(&format!("tcp {operation} [{high:x}::{low:x}%{scope}]:{port}"));
        follow(&format!("udp {operation} [{high:x}:1::{low:x}%{scope}]:{port}"));
    }
}

#[test]
fn what_no_line_grants_is_not_suggested() {
    for (question, expected) in [
        (
            "tcp send-to 10.0.0.1:80",
            "no one line grants it: streams have no datagrams to send or receive",
        ),
        ("tcp descriptor-send", "no one line grants it: "),
        (
            "unix connect @",
            "no one line grants it: the abstract name `` is empty",
        ),
        // A rule with both families can.
        (
            "inet6-raw connect 10.0.0.1:80",
            "no one line grants it: a rule of the policy file may",
        ),
    ] {
        let change = explain(&Policy::deny_all(), question).change;
        assert!(
            change
                .as_deref()
                .is_some_and(|change| change.starts_with(expected)),
            "{question}: {change:?}"
        );
        assert_eq!(follow(question), None);
    }
}

#[test]
fn no_line_names_a_scope() {
    assert_eq!(
        follow("tcp connect [fe80::1%2]:80").as_deref(),
        Some("tcp connect [fe80::1]:80")
    );
    assert_eq!(
        follow("udp receive [fe80::1%2]:80 from [fe80::2%2]:53").as_deref(),
        Some("udp receive [fe80::1]:80 from [fe80::2]:53")
    );
    assert_eq!(
        follow("tcp listen [fe80::1%2]:80").as_deref(),
        Some("tcp listen [fe80::1]:80")
    );
    // So it is in what the audit log says of a guest.
    let none = Gate::new(Policy::deny_all());
    let denial = none.connect(&fresh(TCP6), &at("[fe80::1%2]:80"));
    assert_eq!(
        denial.unwrap_err().grant_hint(),
        "--allow 'tcp connect [fe80::1]:80'"
    );
}

#[test]
fn descriptors_are_suggested_by_their_kind() {
    for (question, expected) in [
        (
            "unix-stream descriptor-send",
            "unix-stream descriptor-send kinds=socket",
        ),
        (
            "unix-stream descriptor-receive kinds=opaque",
            "unix-stream descriptor-receive kinds=opaque",
        ),
    ] {
        assert_eq!(follow(question).as_deref(), Some(expected));
    }
    let none = Gate::new(Policy::deny_all());
    let denial = none.descriptor_send(&fresh(UNIX), DescriptorKind::Opaque);
    assert_eq!(
        denial.unwrap_err().grant_hint(),
        "--allow 'unix-stream descriptor-send kinds=opaque'"
    );
}

#[test]
fn a_socket_at_several_addresses_is_told_the_line_for_one() {
    let sctp = Kind {
        protocol: 132,
        ..Kind::new(Family::Inet, SocketType::Stream)
    };
    let facts = SocketFacts {
        further_locals: vec![at("10.0.0.2:80")],
        ..bound(sctp, "10.0.0.1:80")
    };
    let denial = Gate::new(Policy::deny_all()).listen(&facts).unwrap_err();
    assert_eq!(
        denial.grant_hint(),
        "--allow 'inet-sctp listen 10.0.0.1:80'"
    );
    assert!(
        lines(&["inet-sctp listen 10.0.0.1:80"])
            .listen(&facts)
            .is_err()
    );
    let both = [
        "inet-sctp listen 10.0.0.1:80",
        "inet-sctp listen 10.0.0.2:80",
    ];
    assert!(lines(&both).listen(&facts).is_ok());
}

#[test]
fn a_place_that_nobody_named_yet_is_no_address() {
    let none = Gate::new(Policy::deny_all());
    let raw = Kind::new(Family::Inet, SocketType::Raw);
    for kind in [TCP6, UNIX, raw] {
        let hint = none.create(kind).unwrap_err().grant_hint();
        assert!(hint.contains(" connect <address>"), "{hint}");
        assert!(Policy::allow_line(&line(&hint).unwrap()).is_err(), "{hint}");
    }
}

#[test]
fn a_membership_is_judged_with_its_source_and_its_interface() {
    let rule = "udp join-group 239.1.1.1 source=10.0.0.1 interface=eth0";
    let policy = Policy::allow_line(rule).unwrap();
    assert!(explain(&policy, rule).granted());
    let says = " (it says `group=239.1.1.1 source=10.0.0.1 interface=eth0`)";
    for (question, lacks) in [
        (
            "udp join-group 239.1.1.1",
            "239.1.1.1 without a source without an interface",
        ),
        (
            "udp join-group 239.1.1.1 source=10.0.0.1",
            "239.1.1.1 source=10.0.0.1 without an interface",
        ),
        (
            "udp join-group 239.1.1.1 interface=eth0",
            "239.1.1.1 interface=eth0 without a source",
        ),
        (
            "udp join-group 239.1.1.1 source=10.0.0.2 interface=eth0",
            "239.1.1.1 source=10.0.0.2 interface=eth0",
        ),
    ] {
        let lacking = explain(&policy, question).candidates[0].lacks.clone();
        assert_eq!(
            lacking,
            Some(format!("does not name {lacks}{says}")),
            "{question}"
        );
    }
    let open = Policy::allow_line("udp join-group 239.1.1.1").unwrap();
    let lacking = explain(&open, "udp join-group 239.1.1.2").candidates[0]
        .lacks
        .clone();
    assert_eq!(
        lacking.as_deref(),
        Some("does not name 239.1.1.2 (it says `group=239.1.1.1`)")
    );
    let kinds = Policy::allow_line("unix descriptor-send kinds=opaque").unwrap();
    let lacking = explain(&kinds, "unix descriptor-send").candidates[0]
        .lacks
        .clone();
    assert_eq!(
        lacking.as_deref(),
        Some("does not name socket (it says `kinds=opaque`)")
    );
}

#[test]
fn a_mode_that_lets_through_is_told_beside_the_verdict() {
    let text = "[[deny]]\nid='no'\ncidr=['10.9.0.0/16']\n[[allow]]\nid='a'\nops=['connect']\ncidr=['10.0.0.1']\n";
    let gate = gate(text);
    let policy = |mode| gate.policy().as_ref().clone().with_mode(mode);
    let told = |mode, question| explain(&policy(mode), question).let_through;
    let denied = "tcp connect 10.1.2.3:22";
    assert_eq!(told(Mode::Enforce, denied), None);
    for (mode, name) in [(Mode::Audit, "audit"), (Mode::Learn, "learn")] {
        let sentence = format!("mode `{name}` lets it through all the same, and writes it down");
        assert_eq!(told(mode, denied), Some(sentence.clone()));
        let explained = explain(&policy(mode), denied);
        assert!(!explained.granted());
        assert!(explained.to_string().contains(&format!("\n  {sentence}\n")));
        assert_eq!(told(mode, "unix socketpair").as_ref(), Some(&sentence));
        // What no rule could grant is refused in every mode.
        for question in [
            "tipc-rdm socketpair",
            "unix bind /run/../x",
            "unix connect /run//x",
            "packet-datagram send-to interface=lo ethertype=0",
        ] {
            assert_eq!(told(mode, question), None, "{question}");
        }
        assert_eq!(
            told(
                mode,
                "packet-datagram send-to interface=lo ethertype=0x88cc"
            )
            .as_ref(),
            Some(&sentence)
        );
        // Deny rules hold in every mode, and what is granted needs no mercy.
        assert_eq!(told(mode, "tcp connect 10.9.0.1:22"), None);
        assert_eq!(told(mode, "tcp connect 10.0.0.1:22"), None);
    }
}
