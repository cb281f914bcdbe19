//! What the policy costs: `cargo xtask bench --policy`, or by itself
//! `cargo test -p sockgate-policy --bench matcher -- --rounds 50`.
//!
//! Prints nanoseconds, the fastest of the rounds of several passes, and how many of getppid(2) that is.
//! `--output FILE` writes the same as JSON. Ends with status 1 where something takes longer than it may.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a report is written"
)]

mod measure;

use measure::{Rules, kept, system_call, uncached};

/// The rules of a large policy.
const RULES: u32 = 10_000;

/// How often everything is measured: a machine that others use too is slow for seconds at a time.
const PASSES: u32 = 8;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |word: &str| {
        let place = arguments.iter().position(|argument| argument == word)?;
        arguments.get(place + 1)
    };
    let rounds = after("--rounds").map_or(50, |rounds| {
        rounds.parse().expect("`--rounds` takes a number")
    });
    let mut call = f64::MAX;
    let mut fastest = [f64::MAX; Rules::ALL.len() + 1];
    for _ in 0..PASSES {
        call = call.min(system_call(rounds));
        let verdicts = Rules::ALL
            .iter()
            .map(|rules| uncached(*rules, RULES, rounds));
        for (best, nanoseconds) in fastest.iter_mut().zip(verdicts.chain([kept(rounds)])) {
            *best = best.min(nanoseconds);
        }
    }
    let names = Rules::ALL.map(|rules| (format!("{} {RULES}", rules.name()), 1000.0));
    let names = names.into_iter().chain([("kept verdict".to_owned(), 20.0)]);
    let mut rows = Vec::new();
    let mut over = Vec::new();
    println!("getppid(2)            {call:>8.1} ns");
    for ((name, bound), nanoseconds) in names.zip(fastest) {
        let calls = nanoseconds / call;
        println!("{name:<22}{nanoseconds:>8.1} ns  {calls:>6.2} x getppid  (at most {bound} ns)");
        if nanoseconds > bound {
            over.push(format!(
                "{name} takes {nanoseconds:.1} ns, and may take {bound}"
            ));
        }
        rows.push(serde_json::json!({
            "name": name, "ns": nanoseconds, "ratio_getppid": calls, "bound_ns": bound, "rounds": PASSES * rounds,
        }));
    }
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
