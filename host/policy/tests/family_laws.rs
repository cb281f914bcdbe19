//! Laws that hold for the rules of all families.

mod common;

use common::families::{CAN_RAW, bound, can, connected, frame, kind, message, places};
use common::fresh;
use proptest::prelude::*;
use sockgate_policy::{Address, Content, Family, Gate, Kind, Policy, SocketType, Source};

fn load(text: &str) -> Option<Policy> {
    Policy::from_toml(&Source::new("law.toml", &format!("version = 1\n{text}"))).ok()
}

/// A key with a value at the top of a rule, in `local` or in `peer`.
type Written = (u8, usize, usize);

/// The keys of a family whose every writing makes a rule narrower, with values.
fn keys_of(family: Family) -> &'static [(&'static str, &'static [&'static str])] {
    match family {
        Family::Can => &[
            (
                "interface",
                &["['can0']", "['can0','can1']", "['can*']", "['**']"],
            ),
            ("can-id", &["['0x123']", "['*']", "['0x100/0x700','ext:*']"]),
            ("fd", &["false"]),
            ("isotp", &["[{rx='0x7E8',tx='0x7E0'}]"]),
        ],
        Family::Vsock => &[
            ("cid", &["[7]", "['any']", "['*']", "['2-8']"]),
            ("port", &["[1234]", "['1000-2000']", "['*']", "['any']"]),
        ],
        Family::Packet => &[
            ("interface", &["['eth0']", "['eth*']", "['**']"]),
            // `*` is not among them: it grants taps on everything, which no rule does that is silent.
            ("ethertype", &["['0x88cc']", "['0x0800-0x8fff']"]),
        ],
        Family::Tipc => &[
            ("service", &["[7]", "['1-100']", "['*']"]),
            ("instance", &["[9]", "['1-9']", "['*']"]),
            ("scope", &["['node']", "['cluster']"]),
        ],
        Family::Qipcrtr => &[("node", &["[7]", "['*']"]), ("port", &["[9]", "['1-9']"])],
        _ => &[
            ("alg-type", &["['hash']", "['*']", "['aead','hash']"]),
            (
                "name",
                &["['sha256']", "['**']", "['authenc(hmac(sha1),cbc(aes))']"],
            ),
        ],
    }
}

fn is_of_messages(key: &str) -> bool {
    matches!(key, "can-id" | "fd")
}

/// A rule's text. `None` where a key about messages would stand in an end, or one twice in a place.
fn rule(word: &str, family: Family, ops: &str, written: &[Written]) -> Option<String> {
    let keys = keys_of(family);
    let mut places: [Vec<String>; 3] = Default::default();
    let mut known = Vec::new();
    for (place, key, value) in written {
        let (name, values) = keys[key % keys.len()];
        let place = usize::from(place % 3);
        if known.contains(&(place, name)) || (place > 0 && is_of_messages(name)) {
            return None;
        }
        known.push((place, name));
        places[place].push(format!("{name}={}", values[value % values.len()]));
    }
    let [top, local, peer] = places;
    let mut text = format!(
        "[[{word}]]\nid='{word}'\nfamily=['{family}']\n{}\n",
        top.join("\n")
    );
    if !ops.is_empty() {
        text += &format!("ops=[{ops}]\n");
    }
    for (name, keys) in [("local", local), ("peer", peer)] {
        if !keys.is_empty() {
            text += &format!("{name}={{{}}}\n", keys.join(", "));
        }
    }
    Some(text)
}

/// Everything a gate says of a family, over a small world.
fn answers(policy: Policy, family: Family) -> Vec<bool> {
    let gate = Gate::new(policy);
    let mut answers = Vec::new();
    for (kind, asked, others) in places() {
        if kind.family != family {
            continue;
        }
        answers.push(gate.create(kind).is_ok());
        let addresses: Vec<Address> = std::iter::once(asked).chain(others).collect();
        let messages: Vec<Content> = match kind {
            CAN_RAW => vec![
                frame(0x123, false),
                frame(0x7ff, true),
                frame(1 << 31, false),
            ],
            _ => vec![message(kind)],
        };
        let sockets = std::iter::once(fresh(kind))
            .chain(addresses.iter().map(|local| bound(kind, local)))
            .chain(addresses.iter().map(|peer| connected(kind, peer)));
        for socket in sockets {
            answers.push(gate.receive(&socket).is_ok());
            answers.push(gate.listen(&socket).is_ok());
            for address in &addresses {
                answers.push(gate.bind(&socket, address).is_ok());
                answers.push(gate.connect(&socket, address).is_ok());
                answers.push(gate.accept(&socket, address).is_ok());
                for content in &messages {
                    answers.push(gate.send_to(&socket, address, content).is_ok());
                    answers.push(gate.reply(&socket, address, content).is_ok());
                    answers.push(gate.receive_from(&socket, address, content).is_ok());
                }
            }
        }
    }
    answers
}

fn some_family() -> impl Strategy<Value = Family> {
    prop::sample::select(vec![
        Family::Can,
        Family::Vsock,
        Family::Packet,
        Family::Tipc,
        Family::Qipcrtr,
        Family::Alg,
    ])
}

fn some_ops() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "'bind'",
        "'connect'",
        "'listen'",
        "'send-to'",
        "'receive'",
        "'send-to','receive'",
        "'bind','send-to','receive','reply'",
        "'listen','connect'",
    ])
}

fn some_keys() -> impl Strategy<Value = Vec<Written>> {
    prop::collection::vec((0u8..3, 0usize..4, 0usize..4), 0..4)
}

/// Kinds that a host may ever ask about, with those that there are not.
fn some_kind() -> impl Strategy<Value = Kind> {
    let families = prop::sample::select(vec![
        Family::Inet,
        Family::Inet6,
        Family::Unix,
        Family::Netlink,
        Family::Packet,
        Family::Can,
        Family::Vsock,
        Family::Tipc,
        Family::Alg,
        Family::Bluetooth,
        Family::Qipcrtr,
        Family::Rds,
        Family::Kcm,
        Family::Xdp,
        Family::Smc,
    ]);
    let types = prop::sample::select(vec![
        SocketType::Stream,
        SocketType::Datagram,
        SocketType::SeqPacket,
        SocketType::Raw,
        SocketType::Rdm,
    ]);
    let protocols = prop_oneof![0u32..32, Just(58), Just(132), Just(255), any::<u32>()];
    (families, types, protocols)
        .prop_map(|(family, socket_type, protocol)| kind(family, socket_type, protocol))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn one_more_key_of_an_allow_rule_grants_nothing_more(
        family in some_family(), ops in some_ops(), keys in some_keys(), more in (0u8..3, 0usize..4, 0usize..4)
    ) {
        let narrower: Vec<Written> = keys.iter().copied().chain([more]).collect();
        let texts = rule("allow", family, ops, &keys).zip(rule("allow", family, ops, &narrower));
        let Some((wide, narrow)) = texts else { return Ok(()) };
        if let Some((before, after)) = load(&wide).zip(load(&narrow)) {
            let (before, after) = (answers(before, family), answers(after, family));
            for (place, (before, after)) in before.iter().zip(&after).enumerate() {
                prop_assert!(*before || !after, "question {place}: {wide}{narrow}");
            }
        }
    }

    #[test]
    fn one_more_key_of_a_deny_rule_denies_nothing_more(
        family in some_family(), ops in prop_oneof![Just(""), some_ops()], keys in some_keys(), more in (0u8..3, 0usize..4, 0usize..4)
    ) {
        let allow = format!(
            "[[allow]]\nid='all'\nfamily=['{family}']\nops=['connect','bind','listen','send-to','receive','reply']\n\
             local='*'\npeer='*'\n{}",
            if family == Family::Can { "fd=true\nxl=true\n" } else { "" },
        );
        let narrower: Vec<Written> = keys.iter().copied().chain([more]).collect();
        let texts = rule("deny", family, ops, &keys).zip(rule("deny", family, ops, &narrower));
        let Some((wide, narrow)) = texts else { return Ok(()) };
        let with = |deny: &str| load(&format!("{allow}{deny}"));
        if let Some((before, after)) = with(&wide).zip(with(&narrow)) {
            let (before, after) = (answers(before, family), answers(after, family));
            for (place, (before, after)) in before.iter().zip(&after).enumerate() {
                prop_assert!(!before || *after, "question {place}: {wide}{narrow}");
            }
        }
    }

    #[test]
    fn no_bytes_make_the_policy_panic(kind in some_kind(), bytes in prop::collection::vec(any::<u8>(), 0..400), lengths in prop::collection::vec((0usize..400, 0u8..80), 0..8)) {
        let mut bytes = bytes;
        // Small numbers make lengths and counts that nearly fit.
        for (place, value) in lengths {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        for content in [Content::sent(kind, &bytes), Content::received(kind, &bytes)] {
            let socket = fresh(kind);
            let nowhere = can("can0");
            let gate = Gate::new(Policy::deny_all());
            let denial = gate.send_to(&socket, &nowhere, &content).expect_err("nothing is granted");
            prop_assert!(!denial.to_string().is_empty());
            prop_assert!(!denial.grant_hint().is_empty());
            prop_assert!(!content.to_string().contains('\n'));
        }
    }
}
