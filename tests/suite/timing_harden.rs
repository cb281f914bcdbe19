//! What the second wall costs: a send and a receive with it and without it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{GuestRun, patience};

const ROUNDS: usize = 5;
const MOST_ROUNDS: usize = 20;
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

#[test]
fn the_walls_cost_next_to_nothing_per_call() -> Result<()> {
    // The least of each, taken in turns; on a busy machine it takes more of them until both had the machine to
    // themselves.
    let (mut open, mut hardened) = (f64::MAX, f64::MAX);
    for round in 1..=MOST_ROUNDS {
        open = open.min(pair(&[])?);
        hardened = hardened.min(pair(&["--harden"])?);
        if round >= ROUNDS && hardened / open <= BOUND {
            break;
        }
    }
    let ratio = hardened / open;
    println!(
        "a send and a receive: {open:.0} ns, {hardened:.0} ns under --harden ({ratio:.3} times)"
    );
    ensure!(
        ratio <= BOUND,
        "a call costs {ratio:.2} times as much behind the walls, and may cost {BOUND} times"
    );
    Ok(())
}
