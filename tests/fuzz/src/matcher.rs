//! The matcher beside a reference that looks at every rule as it was written, one word after the other.
//!
//! Rules are made here as values, printed as TOML for the policy's own reader, and judged a second time from the
//! values: no line of the matcher, its index or its reader takes part in that.

use arbitrary::{Result, Unstructured};
use sockgate_policy::{Gate, Policy, Source};

use crate::question::{Asked, PLAIN_KINDS, any_address, any_facts, any_ip};

mod reference;
mod rule;

use reference::World;
use rule::{RESOLVED, some_rule};

/// Some rules, and some questions to them.
pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut rules = Vec::new();
    for _ in 0..input.int_in_range(1..=8)? {
        let rule = some_rule(input)?;
        let alone = format!("version = 1\n{}", rule.written(0));
        // What contradicts itself does not load.
        if Policy::from_toml(&Source::new("rule", &alone)).is_ok() {
            rules.push(rule);
        }
    }
    let mut text = "version = 1\n".to_owned();
    for (number, rule) in rules.iter().enumerate() {
        text.push_str(&rule.written(number));
    }
    let policy = match Policy::from_toml(&Source::new("rules", &text)) {
        Ok(policy) => policy,
        Err(errors) => panic!("each rule loads by itself: {errors}"),
    };
    let gate = Gate::new(policy);
    let mut pinned = Vec::new();
    for _ in 0..input.int_in_range(0..=3)? {
        let (name, ip) = (
            input.choose_index(RESOLVED.len())?,
            any_ip(input)?.to_canonical(),
        );
        if let Ok(permit) = gate.resolve(RESOLVED[name].as_bytes()) {
            let seen = gate.pin(&permit, &[ip]);
            pinned.extend(seen.into_iter().map(|ip| (name, ip)));
        }
    }
    let world = World {
        rules: &rules,
        pinned: &pinned,
    };
    for _ in 0..input.int_in_range(1..=8)? {
        let kind = *input.choose(&PLAIN_KINDS)?;
        let mut facts = any_facts(input, kind)?;
        facts.peer = None;
        let address = any_address(input, kind)?;
        let asked = *input.choose(&Asked::ALL)?;
        let found = asked.of(&gate, &facts, &address, b"");
        let expected = world.grants(asked, &facts, &address);
        assert_eq!(
            found.is_ok(),
            expected,
            "{asked:?} {address} on {facts:?}\n{found:?}\npinned {pinned:?}\n{text}"
        );
    }
    Ok(())
}
