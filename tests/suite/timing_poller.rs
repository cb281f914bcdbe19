//! Thousands of connections on one guest: events for exactly those that talk, and an event that costs the same
//! however many do not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{Busy, GuestRun, descriptors, native_events, patience};

const FEW: usize = 50;
const MANY: usize = 5_000;
const BUSY: usize = 500;
/// What a process needs besides its connections.
const OTHERS: usize = 100;

const ROUNDS: usize = 9;
const WARM_UP: u32 = 800;
const MEASURED: u32 = 4_000;
/// How much more an event may cost with many idle ones.
const BOUND: f64 = 1.3;

/// Nanoseconds of an event.
fn each(took: Duration) -> f64 {
    took.as_nanos() as f64 / f64::from(MEASURED)
}

/// What an event costs a guest.
fn guest(case: &str, wait: &str, idle: usize, busy: Busy) -> Result<f64> {
    let policy = format!(
        "version = 1\n[limits]\nsockets = {}\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
         type = [\"stream\"]\nops = [\"socketpair\"]\n",
        2 * (MANY + BUSY) + OTHERS
    );
    let ended = GuestRun::new("bench_sockgate")
        .wait_kind(wait)
        .policy_text(&policy)
        .without_audit()
        .argument(case)
        .argument(WARM_UP.to_string())
        .argument(MEASURED.to_string())
        .argument(idle.to_string())
        .argument(match busy {
            Busy::Together => "together",
            Busy::Scattered => "scattered",
        })
        .finish(patience())?
        .success()?;
    let nanoseconds = ended.stdout.trim().parse().context(ended.stdout)?;
    Ok(each(Duration::from_nanos(nanoseconds)))
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// One series, its rounds in turns: whether an event costs the guest about the same in both crowds.
///
/// The busy connections came together in those that are compared, since it is the poller that is: what the
/// processor's caches make of a thousand sockets that lie further apart is printed beside.
fn series(case: &str, wait: &str) -> Result<bool> {
    const CROWDS: [(usize, Busy); 3] = [
        (FEW, Busy::Together),
        (MANY, Busy::Together),
        (MANY, Busy::Scattered),
    ];
    let mut guests = CROWDS.map(|_| Vec::new());
    let mut natives = CROWDS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (place, (idle, busy)) in CROWDS.into_iter().enumerate() {
            guests[place].push(guest(case, wait, idle, busy)?);
            let native = native_events(idle, busy, WARM_UP, MEASURED)?;
            natives[place].push(each(native));
        }
    }
    println!("{case} in {wait}, nanoseconds of an event with {BUSY} busy connections:");
    let [few, many, scattered] = guests.each_ref().map(|all| median(all));
    let [native_few, native_many, native_scattered] = natives.each_ref().map(|all| median(all));
    for (who, few, many, scattered) in [
        ("guest", few, many, scattered),
        ("native epoll", native_few, native_many, native_scattered),
    ] {
        println!(
            "{who:>12}: {few:5.0} with {FEW} idle, {many:5.0} with {MANY} ({:.2} times), {scattered:5.0} with \
             the busy ones scattered among them ({:.2} times)",
            many / few,
            scattered / few
        );
    }
    println!(
        "native beside guest: {:.0} %, {:.0} %, {:.0} %",
        100.0 * native_few / few,
        100.0 * native_many / many,
        100.0 * native_scattered / scattered
    );
    Ok(many <= few * BOUND)
}

fn costs_the_same(name: &str, case: &str, wait: &str) -> Result<()> {
    if !descriptors(name, (2 * (MANY + BUSY) + OTHERS) as u64)? {
        return Ok(());
    }
    // A busy machine may spoil one series.
    ensure!(
        series(case, wait)? || series(case, wait)?,
        "an event with {MANY} idle connections costs more than {BOUND} times one with {FEW}, twice"
    );
    Ok(())
}

#[test]
fn an_event_costs_the_same_with_thousands_idle_in_park() -> Result<()> {
    let name = "an_event_costs_the_same_with_thousands_idle_in_park";
    costs_the_same(name, "poller_idle", "park")
}

#[test]
fn an_event_costs_the_same_with_thousands_idle_in_ready() -> Result<()> {
    let name = "an_event_costs_the_same_with_thousands_idle_in_ready";
    costs_the_same(name, "poller_idle", "ready")
}
