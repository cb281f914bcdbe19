//! Time-outs are never early, and as punctual as a native ppoll(2) in the same process.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sockgate_embed_tests::{
    Blocked, Figures, Obstacle, Outcome, Place, Start, native_timeouts, policy,
};

/// The calls, and what each answers when its time is over.
const CALLS: &[(&str, Obstacle, &str)] = &[
    ("recv", Obstacle::None, "ETIMEDOUT"),
    ("recv-from", Obstacle::None, "ETIMEDOUT"),
    ("accept", Obstacle::None, "ETIMEDOUT"),
    ("connect", Obstacle::TcpBacklog, "ETIMEDOUT"),
    ("connect-unix", Obstacle::UnixBacklog, "ETIMEDOUT"),
    ("send", Obstacle::None, "ETIMEDOUT"),
    ("send-to", Obstacle::UnixQueue, "ETIMEDOUT"),
    ("poll", Obstacle::None, "empty"),
    ("poller-wait", Obstacle::None, "empty"),
];

/// One series as the guest's own clock has it.
fn series(
    blocked: &Blocked,
    place: Place,
    timeout: Duration,
    count: usize,
    word: &str,
) -> Result<Figures> {
    let guest = blocked.guest_with_timeout(place, count, timeout)?;
    let mut figures = Figures::default();
    for _ in 0..count {
        guest.expect("ready")?;
        let nanoseconds = guest.expect(word)?;
        figures.add(Duration::from_nanos(nanoseconds.parse()?));
    }
    let ended = guest.end()?;
    ensure!(ended.outcome == Outcome::Exited(0), "{:?}", ended.outcome);
    Ok(figures)
}

fn punctual(timeout: Duration, count: usize) -> Result<()> {
    for &(call, obstacle, word) in CALLS {
        let blocked = Blocked::new(call, obstacle)?;
        for place in Place::ALL {
            let name = format!("{timeout:?} {call} {place:?}");
            let mut tries = 0;
            loop {
                let native = native_timeouts(timeout, count)?.beyond(timeout);
                let figures = series(&blocked, place, timeout, count, word)?;
                ensure!(
                    figures.least() >= timeout,
                    "{name}: early, {:?}",
                    figures.least()
                );
                let late = figures.beyond(timeout);
                let limit = (native.percentile(95) + Duration::from_millis(5))
                    .max(Duration::from_millis(10));
                println!(
                    "{name:34} late by {late}  native p95 {:?}",
                    native.percentile(95)
                );
                if late.within(limit) {
                    break;
                }
                tries += 1;
                ensure!(
                    tries < 2,
                    "{name}: fewer than 95 of 100 within {limit:?}, twice"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn one_millisecond() -> Result<()> {
    punctual(Duration::from_millis(1), 100)
}

/// Every call in every place at the same time, since one after the other they would take minutes.
#[test]
fn one_second() -> Result<()> {
    let (timeout, count) = (Duration::from_secs(1), 5);
    let mut wanted: Vec<_> = CALLS
        .iter()
        .flat_map(|call| Place::ALL.map(|place| (call, place)))
        .collect();
    for attempt in 1..=2 {
        let (native, all) = std::thread::scope(|scope| -> Result<_> {
            let native = scope.spawn(|| native_timeouts(timeout, count));
            let all: Vec<_> = wanted
                .iter()
                .map(|&(&(call, obstacle, word), place)| {
                    scope.spawn(move || {
                        series(&Blocked::new(call, obstacle)?, place, timeout, count, word)
                    })
                })
                .collect();
            let joined = |_| anyhow::anyhow!("a thread panicked");
            let all: Vec<Figures> = all
                .into_iter()
                .map(|thread| thread.join().map_err(joined)?)
                .collect::<Result<_>>()?;
            Ok((native.join().map_err(joined)??.beyond(timeout), all))
        })?;
        let limit =
            (native.percentile(95) + Duration::from_millis(5)).max(Duration::from_millis(10));
        let mut late = Vec::new();
        for (series, figures) in wanted.into_iter().zip(&all) {
            let (&(call, ..), place) = series;
            let name = format!("{timeout:?} {call} {place:?}");
            let beyond = figures.beyond(timeout);
            println!(
                "{name:34} late by {beyond}  native p95 {:?}",
                native.percentile(95)
            );
            ensure!(
                figures.least() >= timeout,
                "{name}: early, {:?}",
                figures.least()
            );
            if !beyond.within(limit) {
                println!("{name:34} attempt {attempt}: fewer than 95 of 100 within {limit:?}");
                late.push(series);
            }
        }
        wanted = late;
        if wanted.is_empty() {
            return Ok(());
        }
    }
    anyhow::bail!("late twice: {wanted:?}")
}

/// 2^64 - 1 ns is 584 years: the host's clock can or cannot count it, and the guest waits in either case.
#[test]
fn the_longest_timeout_waits() -> Result<()> {
    for &(call, obstacle, _) in CALLS {
        let blocked = Blocked::new(call, obstacle)?;
        for place in Place::ALL {
            let longest = Duration::from_nanos(u64::MAX);
            let guest = blocked.guest_with_timeout(place, 1, longest)?;
            guest.expect("ready")?;
            guest
                .wait_until_asleep()
                .with_context(|| format!("{call} {place:?}"))?;
            guest.cancel.interrupt();
            guest
                .expect("EINTR")
                .with_context(|| format!("{call} {place:?}"))?;
        }
    }
    Ok(())
}

/// The guest's clock and the host's agree, so that what it measures counts.
#[test]
fn the_guests_clock_is_the_hosts() -> Result<()> {
    let folder = sockgate_tests::folder()?;
    let guest = Start::new("embed_blocked", Place::Park, policy(folder.path())?)
        .argument("recv")
        .argument(1)
        .argument("")
        .argument(50_000_000)
        .start()?;
    let ready = guest.line()?;
    let done = guest.line()?;
    let measured = done.text.trim_start_matches("ETIMEDOUT ").parse()?;
    let (measured, seen) = (Duration::from_nanos(measured), done.at - ready.at);
    println!("the guest measured {measured:?}, the host saw {seen:?}");
    ensure!(measured <= seen && seen - measured < Duration::from_millis(5));
    Ok(())
}
