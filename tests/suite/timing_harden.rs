//! What the second wall costs: a send and a receive with it and without it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{GuestRun, patience};

const ROUNDS: usize = 5;
const WARM_UP: u32 = 5_000;
const MEASURED: u32 = 50_000;
/// How much more a pair of calls may cost. The kernel keeps the filter's answer for both.
const BOUND: f64 = 1.3;

/// Nanoseconds of a send and a receive of 64 bytes.
fn pair(options: &[&str]) -> Result<f64> {
    let policy = "version = 1\n[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\n\
                  type = [\"datagram\"]\nops = [\"socketpair\"]\n";
    let run = GuestRun::new("bench_sockgate")
        .policy_text(policy)
        .without_audit()
        .argument("unix_pair_64")
        .argument(WARM_UP.to_string())
        .argument(MEASURED.to_string());
    let run = options.iter().fold(run, |run, option| run.option(*option));
    let ended = run.finish(patience())?.success()?;
    let nanoseconds = ended.stdout.trim().parse().context(ended.stdout)?;
    Ok(Duration::from_nanos(nanoseconds).as_nanos() as f64 / f64::from(MEASURED))
}

/// The least of each, taken in turns.
fn series() -> Result<(f64, f64)> {
    let (mut open, mut hardened) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        open = open.min(pair(&[])?);
        hardened = hardened.min(pair(&["--harden"])?);
    }
    println!(
        "a send and a receive: {open:.0} ns, {hardened:.0} ns under --harden ({:.3} times)",
        hardened / open
    );
    Ok((open, hardened))
}

#[test]
fn the_walls_cost_next_to_nothing_per_call() -> Result<()> {
    let holds = |(open, hardened): (f64, f64)| hardened / open <= BOUND;
    ensure!(
        holds(series()?) || holds(series()?),
        "a call costs more than {BOUND} times as much behind the walls"
    );
    Ok(())
}
