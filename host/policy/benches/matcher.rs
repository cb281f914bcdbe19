//! What the policy costs: `cargo xtask bench --policy`, or by itself
//! `cargo test -p sockgate-policy --bench matcher -- --rounds 50`.
//!
//! Prints nanoseconds, the fastest of the rounds, and how many of getppid(2) that is. `--output FILE` writes
//! the same as JSON. Ends with status 1 where something takes longer than it may.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a report is written"
)]

mod measure;

use measure::{Rules, kept, system_call, uncached};

/// The rules of a large policy.
const RULES: u32 = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |word: &str| {
        let place = arguments.iter().position(|argument| argument == word)?;
        arguments.get(place + 1)
    };
    let rounds = after("--rounds").map_or(50, |rounds| {
        rounds.parse().expect("`--rounds` takes a number")
    });
    let call = system_call(rounds);
    let mut rows = Vec::new();
    let mut over = Vec::new();
    let mut row = |name: String, nanoseconds: f64, bound: f64| {
        let calls = nanoseconds / call;
        println!("{name:<22}{nanoseconds:>8.1} ns  {calls:>6.2} x getppid  (at most {bound} ns)");
        if nanoseconds > bound {
            over.push(format!(
                "{name} takes {nanoseconds:.1} ns, and may take {bound}"
            ));
        }
        rows.push(serde_json::json!({
            "name": name, "ns": nanoseconds, "ratio_getppid": calls, "bound_ns": bound, "rounds": rounds,
        }));
    };
    println!("getppid(2)            {call:>8.1} ns");
    for rules in Rules::ALL {
        let name = format!("{} {RULES}", rules.name());
        row(name, uncached(rules, RULES, rounds), 1000.0);
    }
    row("kept verdict".to_owned(), kept(rounds), 20.0);
    if let Some(file) = after("--output") {
        let text = serde_json::to_string_pretty(&rows).expect("figures are JSON");
        std::fs::write(file, text).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    if !over.is_empty() {
        eprintln!(
            "too slow (or the machine is busy: try again): {}",
            over.join("; ")
        );
        std::process::exit(1);
    }
}
