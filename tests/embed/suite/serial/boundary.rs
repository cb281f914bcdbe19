//! A guest that calls at random, in the test's own process: nothing panics, nothing hangs, nothing is left, memory is
//! bounded, and every answer is one that a model of a socket expects.
//!
//! With `--long` each way takes ten minutes of the processors' time, from seeds that nobody has tried, and writes
//! `boundary-WAY.json` into the folder `SOCKGATE_REPORTS`. A seed that finds something goes into [`FOUND`].

use std::env;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use sockgate::policy::Policy;
use sockgate_embed_tests::{
    Outcome, Place, Start, descriptors, policy_from, processor_time, resident_memory,
    settled_descriptors,
};
use sockgate_tests::long;

/// What each of the two ways takes of the processors.
fn length() -> Duration {
    match long() {
        true => Duration::from_secs(10 * 60),
        false => Duration::from_secs(4),
    }
}

/// Seeds that are walked every time, before others.
const KEPT: std::ops::RangeInclusive<u64> = 1..=8;

/// Seeds that found something, walked every time after those.
const FOUND: [u64; 2] = [1_882_526_350_051_493, 1_882_527_050_506_180];

/// Where the other seeds begin: the same for everybody, or with `--long` new each time.
fn first_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    match (long(), since) {
        (true, Ok(since)) => since.as_secs() << 20,
        _ => KEPT.end() + 1,
    }
}

/// Steps of one guest.
const STEPS: u64 = 2000;
/// What buffers of the policy and of the kernel's answers may hold beside what there was.
const MEMORY: u64 = 256 << 20;
/// A guest that does not end by then hangs.
const DEADLINE: Duration = Duration::from_secs(120);

fn rules() -> Result<Policy> {
    policy_from(include_str!("../../src/boundary.toml"))
}

/// How many times some thread of this process panicked.
fn panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |why| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(why);
        }));
    });
    &PANICS
}

/// One guest from its start to its end; interrupted all the time where `interrupted`.
fn walked(way: &str, seed: u64, place: Place, interrupted: bool) -> Result<()> {
    let guest = Start::new("boundary", place, rules()?)
        .argument(way)
        .argument(seed)
        .argument(STEPS)
        .start()?;
    let start = Instant::now();
    let line = loop {
        // A call that waits for what never comes ends by this.
        if interrupted {
            guest.cancel.interrupt();
        }
        match guest.line_within(Duration::from_millis(5))? {
            Some(line) => break line.text,
            None => ensure!(
                start.elapsed() < DEADLINE,
                "{way} {seed} in {place:?} did not end within {DEADLINE:?}"
            ),
        }
    };
    ensure!(line == format!("steps {STEPS}"), "{way} {seed}: {line}");
    let ended = guest.end()?;
    ensure!(
        ended.outcome == Outcome::Exited(0),
        "{way} {seed}: {ended:?}"
    );
    Ok(())
}

/// Walks with one seed after the other for as long as it takes.
fn walks(way: &str, interrupted: bool) -> Result<()> {
    let panics = panics();
    walked(way, 0, Place::Park, interrupted)?;
    walked(way, 0, Place::ReadyShared, interrupted)?;
    // The host's table of interfaces stays open once somebody has asked for one.
    let scoped = Start::new("embed_names", Place::Park, rules()?);
    scoped.argument("fe80::1%lo").argument(1).start()?.end()?;
    let (before, memory) = (descriptors()?, resident_memory()?);
    let start = processor_time()?;
    let (mut walks, mut spent) = (0, Duration::ZERO);
    let mut seeds = KEPT.chain(FOUND).chain(first_seed()..);
    while spent < length()
        && let Some(seed) = seeds.next()
    {
        let place = [Place::Park, Place::ReadyShared][walks as usize % 2];
        walked(way, seed, place, interrupted)?;
        walks += 1;
        spent = processor_time()?.saturating_sub(start);
    }
    let after = settled_descriptors(before)?;
    ensure!(
        after == before,
        "{before} descriptors before, {after} after"
    );
    let grown = resident_memory()?.saturating_sub(memory);
    ensure!(grown < MEMORY, "resident memory has grown by {grown} bytes");
    let panicked = panics.load(Ordering::SeqCst);
    ensure!(panicked == 0, "the host panicked {panicked} times");
    let text = format!(
        "{{\"target\": \"boundary-{way}\", \"guests\": {walks}, \"calls\": {}, \"cpu_seconds\": {:.0}, \"findings\": 0}}\n",
        walks * STEPS,
        spent.as_secs_f64()
    );
    println!("{text}");
    if let Some(folder) = env::var_os("SOCKGATE_REPORTS") {
        fs::create_dir_all(&folder)?;
        fs::write(
            Path::new(&folder).join(format!("boundary-{way}.json")),
            text,
        )?;
    }
    Ok(())
}

#[test]
fn random_calls_are_answered_as_a_model_of_a_socket_has_it() -> Result<()> {
    walks("model", false)
}

#[test]
fn the_strangest_calls_end_without_a_panic_a_hang_or_a_leak() -> Result<()> {
    walks("wild", true)
}
