//! Thousands of connections on one guest: events for exactly those that talk, and an event that costs the same
//! however many do not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::SockRef;
use sockgate_tests::{Busy, GuestRun, descriptors, free_port, native_events, patience, pattern};

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
    for round in 0..ROUNDS {
        for (place, (idle, busy)) in CROWDS.into_iter().enumerate() {
            if matches!(busy, Busy::Scattered) && round % 3 != 0 {
                continue;
            }
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

#[test]
fn an_event_costs_a_task_the_same_with_thousands_idle_in_park() -> Result<()> {
    let name = "an_event_costs_a_task_the_same_with_thousands_idle_in_park";
    costs_the_same(name, "executor_idle", "park")
}

#[test]
fn an_event_costs_a_task_the_same_with_thousands_idle_in_ready() -> Result<()> {
    let name = "an_event_costs_a_task_the_same_with_thousands_idle_in_ready";
    costs_the_same(name, "executor_idle", "ready")
}

/// A native client of the crowd.
trait Client: Read + Write + AsFd {}

impl<T: Read + Write + AsFd> Client for T {}

/// The way of a kind of connection: where it listens, the rule for it, and how a client comes.
struct Way {
    address: String,
    rule: String,
    connect: Box<dyn Fn() -> Result<Box<dyn Client>>>,
}

fn over_tcp() -> Result<Way> {
    let port = free_port()?;
    Ok(Way {
        address: format!("127.0.0.1:{port}"),
        rule: format!(
            "family = [\"inet\"]\ntype = [\"stream\"]\nops = [\"listen\"]\n\
             local = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\npeer = {{ class = [\"loopback\"] }}\n"
        ),
        connect: Box::new(move || {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(patience()))?;
            Ok(Box::new(stream))
        }),
    })
}

fn over_unix(folder: &Path) -> Result<Way> {
    let path = folder.join("crowd");
    Ok(Way {
        address: path.display().to_string(),
        rule: format!(
            "family = [\"unix\"]\ntype = [\"stream\"]\nops = [\"listen\"]\nlocal = {{ path = [\"{}\"] }}\n\
             peer = {{ unnamed = true }}\n",
            path.display()
        ),
        connect: Box::new(move || {
            let stream = UnixStream::connect(&path)?;
            stream.set_read_timeout(Some(patience()))?;
            Ok(Box::new(stream))
        }),
    })
}

/// A message of this client in this round, of another length than its neighbours'.
fn message(client: usize, round: usize) -> Vec<u8> {
    pattern(
        (client * 1000 + round) as u64,
        1 + (client * 7 + round * 131) % 2000,
    )
}

/// Thousands connect, hundreds talk at once and get back what they sent; the guest had events of exactly
/// those, and what was opened is closed when they go.
fn a_crowd(name: &str, how: &str, wait: &str, way: &Way) -> Result<()> {
    const ROUND_COUNT: usize = 6;
    if !descriptors(name, (MANY + BUSY + OTHERS) as u64)? {
        return Ok(());
    }
    let policy = format!(
        "version = 1\n[limits]\nsockets = {}\n[[allow]]\nid = \"crowd\"\n{}",
        MANY + BUSY + OTHERS,
        way.rule
    );
    let guest = GuestRun::new("timing_crowd")
        .wait_kind(wait)
        .policy_text(&policy)
        .without_audit()
        .argument(how)
        .argument(&way.address)
        .start()?;
    guest.wait_for_line("listening", patience())?;
    let before = guest.descriptors()?;
    let mut clients = Vec::with_capacity(MANY + BUSY);
    for number in 0..MANY + BUSY {
        let mut client = (way.connect)().with_context(|| format!("client {number}"))?;
        let mut told = [0; 4];
        client.read_exact(&mut told)?;
        ensure!(u32::from_le_bytes(told) as usize == number);
        clients.push(client);
    }
    let held = guest.descriptors()?;
    // Every eleventh talks, so that all about them are idle. The first one asks for the report.
    let busy: Vec<usize> = (0..BUSY)
        .map(|place| 1 + place * ((MANY + BUSY) / BUSY))
        .collect();
    for round in 0..ROUND_COUNT {
        for &number in &busy {
            clients[number].write_all(&message(number, round))?;
        }
        for &number in &busy {
            let wanted = message(number, round);
            let mut answer = vec![0; wanted.len()];
            clients[number].read_exact(&mut answer)?;
            ensure!(
                answer == wanted,
                "client {number} got other bytes in round {round}"
            );
        }
    }
    clients[0].write_all(b"?")?;
    let report = guest.wait_for_line("echoes ", patience())?;
    let (echoes, heard) = report.split_once(" to ").context(report.clone())?;
    let heard: Vec<usize> = heard
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context(report.clone())?;
    ensure!(heard == busy, "the guest heard of {heard:?}");
    // One read may have found a message in parts.
    ensure!(echoes.parse::<usize>()? >= BUSY * ROUND_COUNT, "{echoes}");
    // Some go in order and some with a reset; nothing of them stays.
    for (number, client) in clients.into_iter().enumerate() {
        if number % 2 == 0 {
            SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        }
    }
    guest.wait_for_line("empty", patience())?;
    let after = guest.descriptors()?;
    // The listener's poller came after the first count.
    ensure!(after <= before + 3, "{before} descriptors, then {after}");
    // Not against those before, among which may be what the command opens for a moment when it starts.
    ensure!(
        held >= after + MANY + BUSY,
        "{held} descriptors with the crowd, {after} without"
    );
    let _last = (way.connect)()?;
    guest.wait(patience())?.success()?;
    Ok(())
}

#[test]
fn a_crowd_over_tcp_in_park() -> Result<()> {
    a_crowd("a_crowd_over_tcp_in_park", "poller", "park", &over_tcp()?)
}

#[test]
fn a_crowd_over_tcp_in_ready() -> Result<()> {
    a_crowd("a_crowd_over_tcp_in_ready", "poller", "ready", &over_tcp()?)
}

#[test]
fn a_crowd_over_unix_sockets_in_park() -> Result<()> {
    let folder = sockgate_tests::folder()?;
    let way = over_unix(folder.path())?;
    a_crowd("a_crowd_over_unix_sockets_in_park", "poller", "park", &way)
}

#[test]
fn a_crowd_over_unix_sockets_in_ready() -> Result<()> {
    let folder = sockgate_tests::folder()?;
    let way = over_unix(folder.path())?;
    a_crowd(
        "a_crowd_over_unix_sockets_in_ready",
        "poller",
        "ready",
        &way,
    )
}

#[test]
fn a_crowd_over_tcp_on_the_executor() -> Result<()> {
    let name = "a_crowd_over_tcp_on_the_executor";
    a_crowd(name, "executor", "park", &over_tcp()?)
}

#[test]
fn a_crowd_over_unix_sockets_on_the_executor() -> Result<()> {
    let folder = sockgate_tests::folder()?;
    let name = "a_crowd_over_unix_sockets_on_the_executor";
    a_crowd(name, "executor", "ready", &over_unix(folder.path())?)
}
