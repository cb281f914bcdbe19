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
    let grant = judge(policy, ask, pins, Instant::now).ok()?;
    let cargo = &grant.cargo;
    Some(ask.kind.map(|_| {
        (
            cargo.flags,
            cargo.ancillary_out.clone(),
            cargo.ancillary_in.clone(),
        )
    }))
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

/// Rules about sockets of one kind that speak of one end, so that a line can tell each difference.
fn plain_rule() -> impl Strategy<Value = (bool, String)> {
    let ops = prop::sample::select(vec![
        "'connect'",
        "'send-to','connect'",
        "'bind'",
        "'resolve'",
        "'resolve','connect'",
        "'reverse-resolve'",
    ]);
    let names = prop::sample::select(vec![
        "cidr=['10.0.0.0/8']",
        "cidr=['10.0.0.0/9','10.128.0.0/9','8.8.8.8']",
        "cidr=['10.0.0.0/30','192.168.0.0/16']",
        "cidr=['0.0.0.0/0']",
        "cidr=['*']",
        "class=['private','loopback']",
        "class=['private','global']",
        "class=['global']",
        "host=['a.example.com']",
        "host=['*.example.com', 'x.test']",
        "host=['*.example.com']",
        "host=['*']",
        "peer='*'",
        "local='*'",
    ]);
    let ports = prop::sample::select(vec![
        "",
        "port=['80']",
        "port=['80-81']",
        "port=['81','1-9999']",
        "port=['80-65535']",
        "port=['79','443']",
    ]);
    (ops, names, ports).prop_filter_map("loads", |(ops, names, ports)| {
        let may_be = match names.starts_with("host") {
            true => "host-may-be=['private','loopback','reserved']",
            false => "",
        };
        let rule = format!(
            "family=['inet']\ntype=['datagram']\nops=[{ops}]\n{names}\n{ports}\n{may_be}\n"
        );
        // A local address says nothing of these, and is another rule.
        let strays = names.starts_with("local") && !ops.contains("bind");
        // Two rules do not cover two classes together where an address may be of both.
        let strays = strays || (names.starts_with("class") && ops.contains("reverse"));
        load(&section(false, 0, &rule))
            .filter(|_| !strays)
            .map(|_| (false, rule))
    })
}

/// The rule that a line shows: one that `--allow` takes, or all keys by their names.
fn told_rule(line: &str) -> Policy {
    let words: Vec<&str> = line.split(' ').collect();
    let quoted = |list: &str| format!("['{}']", list.replace(',', "','"));
    match words.as_slice() {
        ["udp4", ops, keys @ ..] if keys.iter().all(|word| word.contains('=')) => {
            let mut rule = format!("family=['inet']\ntype=['datagram']\nops={}\n", quoted(ops));
            for (key, list) in keys.iter().filter_map(|word| word.split_once('=')) {
                rule += &format!("{key}={}\n", quoted(list));
            }
            load(&section(false, 0, &rule)).unwrap_or_else(|| panic!("{rule}"))
        }
        _ => Policy::allow_line(line).unwrap_or_else(|errors| panic!("{line}: {errors}")),
    }
}

/// What a difference says is lost or gained, as a rule, and what it says is not.
fn claimed(difference: &Difference) -> Option<(Policy, Vec<String>)> {
    let text = match difference.change {
        Change::Gain => difference.text.strip_prefix("may ")?,
        _ => difference.text.strip_prefix("may no longer ")?,
    };
    let (line, except) = text.split_once(" except ").unwrap_or((text, ""));
    let policy = told_rule(line);
    let except = except.split(", ").filter(|word| !word.is_empty());
    Some((policy, except.map(str::to_owned).collect()))
}

/// Whether the word, of a network, a class or a host, covers what is asked about.
fn is_about(word: &str, ask: &Ask<'_>, pins: &Pins) -> bool {
    let key = match word {
        word if word.parse::<ipnet::IpNet>().is_ok()
            || word.parse::<std::net::IpAddr>().is_ok() =>
        {
            "cidr"
        }
        word if crate::class::CLASSES.iter().any(|(name, _)| *name == word) => "class",
        _ => "host",
    };
    let ops = match key {
        "host" => "'resolve','connect','send-to'",
        _ if ask.ops.intersects(OpSet::LOCAL_KIND) => "'bind'",
        _ => "'connect','send-to','reverse-resolve'",
    };
    let may_be = "host-may-be=['private','loopback','reserved']";
    let may_be = if key == "host" { may_be } else { "" };
    let rule = format!("family=['inet']\nops=[{ops}]\n{key}=['{word}']\n{may_be}\n");
    let policy = load(&section(false, 0, &rule)).unwrap_or_else(|| panic!("{rule}"));
    judge(&policy, ask, pins, Instant::now).is_ok()
}

/// Operations on one address by one port, and on a name, of sockets that nothing else is known of.
fn probes(facts: &[SocketFacts]) -> Vec<Ask<'_>> {
    let ops = [OpSet::CONNECT, OpSet::SEND_TO, OpSet::BIND];
    let sockets = facts.iter().zip(ops.iter().cycle());
    let mut asks: Vec<Ask<'_>> = sockets
        .map(|(facts, ops)| Ask::socket(*ops, facts))
        .collect();
    for name in HOSTS {
        asks.push(Ask::socketless(OpSet::RESOLVE, What::Host(name.into())));
    }
    for facts in facts {
        if let Some(ip) = facts.peer.as_ref().and_then(crate::Address::ip) {
            asks.push(Ask::socketless(OpSet::REVERSE_RESOLVE, What::Ip(ip)));
        }
    }
    asks
}

fn sockets() -> Vec<SocketFacts> {
    let mut all = Vec::new();
    for ip in [
        "10.0.0.1",
        "10.200.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "8.8.8.8",
        "9.9.9.9",
    ] {
        for port in [79, 80, 81, 443, 10_000] {
            let address: std::net::SocketAddr = format!("{ip}:{port}").parse().unwrap();
            for local in [false, false, true] {
                let mut facts = SocketFacts::new(crate::Kind {
                    family: crate::Family::Inet,
                    socket_type: crate::SocketType::Datagram,
                    protocol: 17,
                });
                facts.local = local.then(|| address.into());
                facts.peer = (!local).then(|| address.into());
                all.push(facts);
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_told_is_so(
        before in prop::collection::vec(plain_rule(), 1..4),
        after in prop::collection::vec(plain_rule(), 0..4),
        pinned in (0usize..=HOSTS.len(), 0usize..6),
    ) {
        let (old, new) = (policy(&before, false), policy(&after, true));
        let sockets = sockets();
        let asks = probes(&sockets);
        let pins = Pins::default();
        // Each of another address, so that one name does not stand in for another.
        let addresses = sockets.iter().step_by(15).filter_map(|facts| facts.peer.as_ref()?.ip());
        for (name, ip) in HOSTS.iter().zip(addresses.cycle().skip(pinned.1)).take(pinned.0) {
            pins.add(&(*name).into(), ip, Instant::now());
        }
        let now = Instant::now;
        let differences = old.diff(&new);
        for difference in &differences {
            let (has, lacks) = match difference.change {
                Change::Gain => (&new, &old),
                _ => (&old, &new),
            };
            let Some((told, except)) = claimed(difference) else { continue };
            for ask in asks.iter().filter(|ask| judge(&told, ask, &pins, now).is_ok()) {
                if except.iter().any(|word| is_about(word, ask, &pins)) {
                    continue;
                }
                // Names and addresses are told of apart, whatever the names stand for.
                let none = Pins::default();
                let by_address = judge(&told, ask, &none, now).is_ok();
                let known = if by_address { &none } else { &pins };
                let stays = judge(lacks, ask, known, now).is_ok();
                let stays_by_address = judge(lacks, ask, &none, now).is_ok();
                prop_assert!(judge(has, ask, known, now).is_ok(), "{difference}\n{ask:?}\n{before:?}\n{after:?}");
                prop_assert!(!stays || (!by_address && stays_by_address), "{difference}\n{ask:?}\n{before:?}\n{after:?}");
            }
        }
        // And what is so is told, by a line that covers it.
        for ask in &asks {
            let (was, is) = (judge(&old, ask, &pins, now).is_ok(), judge(&new, ask, &pins, now).is_ok());
            let tells = |difference: &Difference| claimed(difference).is_some_and(|(told, except)| {
                (difference.change == Change::Loss) == was
                    && judge(&told, ask, &pins, now).is_ok()
                    && !except.iter().any(|word| is_about(word, ask, &pins))
            });
            prop_assert!(was == is || differences.iter().any(tells), "{ask:?}\n{differences:?}\n{before:?}\n{after:?}");
        }
    }
}

#[test]
fn what_stays_is_not_told() {
    let rules = |first: &str, keys: &str| {
        let rule = format!("family=['inet']\nprotocol=['tcp']\ntype=['stream']\n{keys}\n");
        load(&section(false, 0, &(first.to_owned() + &rule))).unwrap_or_else(|| panic!("{keys}"))
    };
    for (ops, old, new, said) in [
        (
            "'connect'",
            "cidr=['10.0.0.0/9','10.128.0.0/9']\nport=['80-81']",
            "cidr=['10.0.0.0/8']\nport=['80']",
            "- may no longer tcp4 connect cidr=10.0.0.0/9,10.128.0.0/9 port=81",
        ),
        (
            "'connect'",
            "cidr=['10.0.0.0/8']",
            "cidr=['10.1.0.0/16']\nport=['443']",
            "- may no longer tcp4 connect 10.0.0.0/8:0-442,444-65535\n\
             - may no longer tcp4 connect 10.0.0.0/8:443 except 10.1.0.0/16",
        ),
        (
            "'resolve'",
            "host=['*.example.com','x.org']",
            "host=['*.example.com']",
            "- may no longer tcp4 resolve x.org",
        ),
        (
            "'resolve'",
            "host=['*']",
            "host=['a.example.com']",
            "- may no longer tcp4 resolve host=* except a.example.com",
        ),
        (
            "'connect'",
            "class=['global','private']",
            "class=['global']",
            "- may no longer tcp4 connect class=private",
        ),
        (
            "'connect'",
            "class=['global','private']",
            "cidr=['10.0.0.0/8','9.0.0.0/8','127.0.0.1']",
            "- may no longer tcp4 connect class=global,private except 9.0.0.0/8, 10.0.0.0/8\n\
             + may tcp4 connect 127.0.0.1",
        ),
        (
            "'connect'",
            "peer='*'",
            "class=['private']",
            "- may no longer tcp4 connect * except private",
        ),
        (
            "'connect'",
            "peer='*'\nflags=['oob']",
            "cidr=['10.0.0.0/8']\nport=['80']",
            "- may no longer tcp4 connect *:0-79,81-65535 flags=oob\n\
             - may no longer tcp4 connect *:80 flags=oob except 10.0.0.0/8\n\
             - tcp4 connect *:80: no longer with flags=oob",
        ),
        ("'listen'", "cidr=['*']", "local='*'", ""),
        ("'listen'", "local='*'", "cidr=['*']", ""),
        // A socket that is not bound is at no port, and at none that could be chosen.
        ("'listen'", "cidr=['*']", "cidr=['*']\nport=['0-65535']", ""),
        (
            "'listen'",
            "cidr=['*']",
            "cidr=['*']\nport=['1-65535']",
            "- may no longer tcp4 listen *:0",
        ),
    ] {
        let (old, new) = (format!("ops=[{ops}]\n{old}"), format!("ops=[{ops}]\n{new}"));
        let differences = rules("", &old).diff(&rules("", &new));
        let lines = differences.iter().map(|one| {
            let line = one.to_string();
            line.split("  (").next().unwrap_or_default().to_owned()
        });
        assert_eq!(lines.collect::<Vec<_>>().join("\n"), said, "{old}\n{new}");
    }
}

#[test]
fn a_part_of_a_group_is_shown_by_its_networks() {
    let policy = |networks: &str| {
        let groups = format!("[groups]\nlan=[{networks}]\n");
        let rule = "family=['inet']\ntype=['stream']\nops=['connect']\ngroup=['lan']\n";
        load(&(groups + &section(false, 0, rule))).expect("a policy")
    };
    let old = policy("'10.0.0.0/8'");
    for (new, said) in [
        (
            "'10.1.0.0/16'",
            "may no longer tcp4 connect 10.0.0.0/8 except 10.1.0.0/16",
        ),
        ("'127.0.0.0/8'", "may no longer tcp4 connect group=lan"),
    ] {
        let differences = old.diff(&policy(new));
        assert_eq!(differences.first().map(|one| one.text.as_str()), Some(said));
    }
}

#[test]
fn what_two_rules_cover_by_parts_is_lost_where_an_address_may_be_of_both() {
    let rules = |family: &str, ops: &str, lists: &[&str]| {
        let rules = lists.iter().enumerate().map(|(number, names)| {
            let rule = format!("family=['{family}']\nops=['{ops}']\n{names}\n");
            section(false, number, &rule)
        });
        load(&rules.collect::<String>()).expect("a policy")
    };
    for (family, ops, whole, parts, losses) in [
        (
            "inet",
            "send-to",
            "class=['private','global']",
            ["class=['private']", "class=['global']"],
            0,
        ),
        (
            "inet6",
            "send-to",
            "class=['private','global']",
            ["class=['private']", "class=['global']"],
            1,
        ),
        (
            "inet",
            "reverse-resolve",
            "class=['private','global']",
            ["class=['private']", "class=['global']"],
            1,
        ),
        (
            "inet6",
            "send-to",
            "cidr=['64:ff9b::/96']",
            ["cidr=['64:ff9b::/97']", "cidr=['64:ff9b::8000:0/97']"],
            1,
        ),
        (
            "inet6",
            "send-to",
            "cidr=['2001:db8::/32']",
            ["cidr=['2001:db8::/33']", "cidr=['2001:db8:8000::/33']"],
            0,
        ),
        // The port is the kernel's choice from a range, and from none of a single port.
        (
            "inet",
            "bind",
            "cidr=['10.0.0.1']\nport=['2000-2001']",
            [
                "cidr=['10.0.0.1']\nport=['2000']",
                "cidr=['10.0.0.1']\nport=['2001']",
            ],
            1,
        ),
        (
            "inet",
            "bind",
            "cidr=['10.0.0.1']\nport=['2000-2003']",
            [
                "cidr=['10.0.0.1']\nport=['2000-2001']",
                "cidr=['10.0.0.1']\nport=['2002-2003']",
            ],
            0,
        ),
        (
            "inet",
            "send-to",
            "cidr=['10.0.0.1']\nport=['2000-2001']",
            [
                "cidr=['10.0.0.1']\nport=['2000']",
                "cidr=['10.0.0.1']\nport=['2001']",
            ],
            0,
        ),
        // A socket without an address is covered by what covers all of them.
        (
            "inet",
            "bind",
            "cidr=['*']",
            [
                "cidr=['*']\nport=['0-2000']",
                "cidr=['*']\nport=['2001-65535']",
            ],
            1,
        ),
        (
            "inet",
            "send-to",
            "cidr=['*']",
            [
                "cidr=['*']\nport=['0-2000']",
                "cidr=['*']\nport=['2001-65535']",
            ],
            0,
        ),
    ] {
        let (old, new) = (rules(family, ops, &[whole]), rules(family, ops, &parts));
        let differences = old.diff(&new);
        let lost = differences.iter().filter(|one| one.change == Change::Loss);
        assert_eq!(
            lost.count(),
            losses,
            "{family} {ops} {whole}: {differences:?}"
        );
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
