//! A verdict stays cheap, however many rules there are. `cargo xtask bench --policy` has the figures; the
//! bounds here are ten times as wide, so that only a lost index is seen, and not a busy machine.

#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "../benches/measure/mod.rs"]
mod measure;

use measure::{Rules, kept, uncached};

#[test]
fn ten_thousand_rules_cost_microseconds() {
    for rules in Rules::ALL {
        let nanoseconds = uncached(rules, 10_000, 20);
        assert!(nanoseconds < 10_000.0, "{rules:?}: {nanoseconds} ns");
    }
}

#[test]
fn a_kept_verdict_costs_nanoseconds() {
    let nanoseconds = kept(20);
    assert!(nanoseconds < 200.0, "{nanoseconds} ns");
}
