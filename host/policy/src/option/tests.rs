//! The table of options, and what becomes of each row in a policy.

use super::*;
use crate::{Gate, Policy, SocketFacts, Source};
use std::collections::HashSet;

#[test]
fn names_and_numbers_are_unique() {
    let names: HashSet<_> = OPTIONS.iter().map(|known| known.readable).collect();
    let numbers: HashSet<_> = OPTIONS.iter().map(|known| known.option).collect();
    assert_eq!(names.len(), OPTIONS.len());
    assert_eq!(numbers.len(), OPTIONS.len());
}

#[test]
fn numbers_and_names_are_the_same_option() {
    assert_eq!(
        OptionName::from_policy_name("6/1"),
        OptionName::from_policy_name("tcp.nodelay")
    );
    assert_eq!(OptionName::new(6, 1).to_string(), "tcp.nodelay");
    assert_eq!(OptionName::new(6, 999).to_string(), "6/999");
    assert_eq!(OptionName::from_policy_name("so.nonsense"), None);
}

#[test]
fn the_latest_value_counts() {
    let mut set = OptionsSet::new();
    set.remember(REUSEADDR, &1i32.to_ne_bytes());
    set.remember(REUSEADDR, &0i32.to_ne_bytes());
    set.remember(V6ONLY, &[0; 300]);
    let seen: Vec<_> = set.iter().collect();
    assert_eq!(
        seen,
        [(REUSEADDR, Some(&0i32.to_ne_bytes()[..])), (V6ONLY, None)]
    );
}

/// A gate for Unix sockets, where no option is settable without being listed.
fn gate(allow: &[&str], deny: &[&str]) -> Gate {
    let list = |names: &[&str]| format!("{names:?}");
    let deny = match deny {
        [] => String::new(),
        deny => format!(
            "[[deny]]\nid = \"no\"\nfamily = [\"unix\"]\noptions = {{ set = {0}, get = {0} }}\n",
            list(deny)
        ),
    };
    let text = format!(
        "version = 1\n[[allow]]\nid = \"yes\"\nfamily = [\"unix\"]\nops = [\"connect\"]\nabstract = [\"*\"]\n\
         options = {{ set = {0}, get = {0} }}\n{deny}",
        list(allow)
    );
    let source = Source::new("options.toml", &text);
    Gate::new(Policy::from_toml(&source).unwrap_or_else(|errors| panic!("{errors}")))
}

const UNIX: Kind = Kind {
    family: Family::Unix,
    socket_type: SocketType::Stream,
    protocol: 0,
};

/// Whether the option may be set, and whether it may be read.
fn uses(gate: &Gate, option: OptionName) -> (bool, bool) {
    let socket = SocketFacts::new(UNIX);
    let set = gate.set_option(&socket, option, &[1, 0, 0, 0]).is_ok();
    (set, gate.get_option(&socket, option).is_ok())
}

#[test]
fn every_option_is_the_same_by_name_and_by_number_when_granted_and_when_denied() {
    for (readable, option) in OptionName::named() {
        let number = format!("{}/{}", option.level, option.name);
        let (readable, number) = (readable, number.as_str());
        assert_eq!(OptionName::from_policy_name(readable), Some(option));
        assert_eq!(OptionName::from_policy_name(number), Some(option));
        // Memberships go by groups, never by the option.
        let settable = !MEMBERSHIP_OPTIONS.contains(&option);
        let readable_anyway = ALWAYS_READABLE.contains(&option);
        for name in [readable, number] {
            let granted = uses(&gate(&[name], &[]), option);
            assert_eq!(granted, (settable, true), "{readable} allowed as {name}");
            for denied in [readable, number] {
                let refused = uses(&gate(&[name], &[denied]), option);
                assert_eq!(refused, (false, false), "{name} denied as {denied}");
            }
            let all = uses(&gate(&[name], &["*"]), option);
            assert_eq!(all, (false, false), "{name} denied by a wildcard");
        }
        let other = uses(&gate(&["99/99"], &[]), option);
        assert_eq!(other, (false, readable_anyway), "{readable} is not listed");
        // A wildcard reads everything, and sets what stays with the socket.
        let delicate = option.known().is_none_or(|known| known.delicate);
        assert_eq!(
            uses(&gate(&["*"], &[]), option),
            (settable && !delicate, true),
            "{readable} by a wildcard"
        );
    }
}

#[test]
fn an_option_without_a_name_is_one_by_its_numbers() {
    let nameless = OptionName::new(6, 4711);
    assert_eq!(uses(&gate(&["6/4711"], &[]), nameless), (true, true));
    assert_eq!(uses(&gate(&["*"], &[]), nameless), (false, true));
    assert_eq!(uses(&gate(&["tcp.*"], &[]), nameless), (false, true));
    assert_eq!(
        uses(&gate(&["6/4711"], &["tcp.*"]), nameless),
        (false, false)
    );
}

#[test]
fn the_policy_s_page_names_all_that_is_delicate() {
    let page = include_str!("../../../../docs/policy.md");
    let (_, section) = page.split_once("## Options").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let written: HashSet<String> = section
        .split("\n* ")
        .skip(1)
        .flat_map(|line| {
            let line = line.split("\n\n").next().unwrap_or_default();
            let (level, names) = line.split_once(':').unwrap();
            let names = names.split(',').map(str::trim);
            names
                .map(|name| format!("{level}.{name}"))
                .collect::<Vec<_>>()
        })
        .collect();
    let delicate = OPTIONS.iter().filter(|known| known.delicate);
    let delicate: HashSet<String> = delicate.map(|known| known.readable.to_owned()).collect();
    let difference: Vec<_> = delicate.symmetric_difference(&written).collect();
    assert!(difference.is_empty(), "{difference:?}");
}

#[test]
fn a_value_is_kept_up_to_its_longest() {
    let option = OptionName::new(1, 2);
    let mut set = OptionsSet::new();
    assert!(set.is_empty());
    set.remember(option, &[7; LONGEST_VALUE]);
    assert!(!set.is_empty());
    let kept = |set: &OptionsSet| {
        set.iter()
            .map(|(_, value)| value.map(<[u8]>::len))
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(&set), [Some(LONGEST_VALUE)]);
    set.remember(option, &[7; LONGEST_VALUE + 1]);
    assert_eq!(kept(&set), [None]);
    set.remember(OptionName::new(1, 3), &[]);
    assert_eq!(kept(&set), [None, Some(0)]);
}

#[test]
fn a_level_is_the_whole_word_before_the_dot() {
    assert_eq!(OptionName::level_named("so"), Some(1));
    assert_eq!(OptionName::level_named("ip"), Some(0));
    assert_eq!(OptionName::level_named("s"), None);
    assert_eq!(OptionName::level_named(""), None);
}
