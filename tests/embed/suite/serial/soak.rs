//! A hundred guests that work at random for a long time in one process: nothing is left behind, and nothing grows.
//!
//! Ten seconds in an ordinary run, 30 minutes with `cargo xtask test --long --only soak`, and as long as
//! `SOCKGATE_SOAK_SECONDS` says by hand. The guests live all the while; they pause together after each period, which
//! is when descriptors and memory are looked at. The figures go to `soak.json` in the folder `SOCKGATE_REPORTS`.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sockgate::policy::Policy;
use sockgate_embed_tests::{
    Guest, Outcome, Place, Start, descriptors, policy_from, resident_memory, settled_descriptors,
};
use sockgate_tests::{long, patience};

const GUESTS: usize = 100;
/// What may be there at the end beyond what was there after the first tenth, whichever is more.
const GROWTH: u64 = 8 << 20;
const GROWTH_PERCENT: u64 = 5;

/// How long it takes in all, and how long between two looks.
fn lengths() -> Result<(Duration, Duration)> {
    let by_hand = match env::var("SOCKGATE_SOAK_SECONDS") {
        Ok(text) => Some(text.parse().context("SOCKGATE_SOAK_SECONDS is no number")?),
        Err(_) => None,
    };
    let seconds = by_hand.unwrap_or(if long() { 30 * 60 } else { 10 });
    // A byte tells the guests their period, in hundredths of a second.
    let period = Duration::from_secs(seconds)
        .div_f64(10.0)
        .min(Duration::from_millis(2500));
    Ok((Duration::from_secs(seconds), period))
}

fn rules() -> Result<Policy> {
    policy_from(
        r#"
        version = 1
        [[allow]]
        id = "ip"
        family = ["inet"]
        ops = ["bind", "listen", "receive", "send-to"]
        local = { cidr = ["127.0.0.0/8"], port = ["*"] }
        peer = { cidr = ["127.0.0.0/8"], port = ["*"] }
        [[allow]]
        id = "client"
        family = ["inet"]
        ops = ["connect"]
        cidr = ["127.0.0.0/8"]
        options = { set = ["so.linger"] }
        [[allow]]
        id = "pair"
        family = ["unix"]
        ops = ["socketpair", "descriptor-send", "descriptor-receive"]
        kinds = ["socket"]
        [[allow]]
        id = "netlink"
        family = ["netlink"]
        protocol = ["route"]
        ops = ["bind", "send-to", "receive"]
        messages = ["getlink"]
        [[allow]]
        id = "ping"
        family = ["inet"]
        type = ["datagram"]
        protocol = ["icmp"]
        ops = ["send-to", "receive", "connect"]
        cidr = ["127.0.0.0/8"]
        [[allow]]
        id = "vsock"
        family = ["vsock"]
        ops = ["listen"]
        local = { cid = ["local"], port = ["*"] }
        peer = "*"
        [[allow]]
        id = "vsock-client"
        family = ["vsock"]
        ops = ["connect"]
        cid = ["local"]
        port = ["*"]
        "#,
    )
}

/// One look at the process, with every guest alive and none holding a socket of its own.
#[derive(Clone, Copy)]
struct Look {
    seconds: f64,
    descriptors: usize,
    resident: u64,
}

impl Look {
    fn now(start: Instant) -> Result<Look> {
        Ok(Look {
            seconds: start.elapsed().as_secs_f64(),
            descriptors: descriptors()?,
            resident: resident_memory()?,
        })
    }

    fn json(&self) -> String {
        format!(
            "{{\"seconds\": {:.1}, \"descriptors\": {}, \"resident_bytes\": {}}}",
            self.seconds, self.descriptors, self.resident
        )
    }
}

/// The guests, and the sockets that tell each when to work.
struct Crowd {
    guests: Vec<Guest>,
    paces: Vec<UnixStream>,
}

impl Crowd {
    fn of(guests: usize) -> Result<Crowd> {
        let policy = rules()?;
        let all = 0..guests;
        let (mut guests, mut paces) = (Vec::new(), Vec::new());
        for number in all {
            let (own, granted) = UnixStream::pair()?;
            own.set_read_timeout(Some(patience()))?;
            // Some on threads of their own, most as tasks of one runtime.
            let place = match number % 5 {
                0 => Place::Park,
                1 => Place::ReadyAlone,
                _ => Place::ReadyShared,
            };
            let guest = Start::new("embed_soak", place, policy.clone())
                .argument(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number as u64 + 1))
                .grant("pace", granted);
            guests.push(guest.start()?);
            paces.push(own);
        }
        Ok(Crowd { guests, paces })
    }

    /// All of them work for so long, and have let go of everything when this returns.
    fn work(&mut self, period: Duration) -> Result<()> {
        let hundredths = u8::try_from(period.as_millis() / 10)?.max(1);
        for pace in &mut self.paces {
            pace.write_all(&[hundredths])?;
        }
        for (number, pace) in self.paces.iter_mut().enumerate() {
            if pace.read_exact(&mut [0]).is_err() {
                let line = self.guests[number].line().map(|line| line.text);
                anyhow::bail!("guest {number} did not come back: {line:?}");
            }
        }
        Ok(())
    }

    /// Lets them end: how often each job was done.
    fn end(self) -> Result<BTreeMap<String, u64>> {
        drop(self.paces);
        let mut done: BTreeMap<String, u64> = BTreeMap::new();
        for guest in self.guests {
            let ended = guest.end()?;
            ensure!(ended.outcome == Outcome::Exited(0), "{ended:?}");
            for text in ended.texts() {
                let (name, times) = text.split_once(' ').context("a job and its number")?;
                *done.entry(name.to_owned()).or_default() += times.parse::<u64>()?;
            }
        }
        Ok(done)
    }
}

fn written(looks: &[Look], done: &BTreeMap<String, u64>) -> Result<()> {
    let Some(folder) = env::var_os("SOCKGATE_REPORTS") else {
        return Ok(());
    };
    let mut text = format!("{{\n  \"guests\": {GUESTS},\n  \"jobs\": {{");
    for (place, (name, times)) in done.iter().enumerate() {
        let lead = if place == 0 { "" } else { ", " };
        let _ = write!(text, "{lead}\"{name}\": {times}");
    }
    let looks: Vec<String> = looks
        .iter()
        .map(|look| format!("    {}", look.json()))
        .collect();
    let _ = write!(
        text,
        "}},\n  \"looks\": [\n{}\n  ]\n}}\n",
        looks.join(",\n")
    );
    let path = Path::new(&folder).join("soak.json");
    fs::create_dir_all(&folder)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[test]
fn a_hundred_guests_leave_nothing_behind_and_do_not_grow() -> Result<()> {
    let (whole, period) = lengths()?;
    // What the process makes once for all of its guests is made by five that come first, one in each place.
    let mut few = Crowd::of(5)?;
    few.work(period)?;
    few.end()?;
    let before = descriptors()?;
    let start = Instant::now();
    let mut crowd = Crowd::of(GUESTS)?;
    let mut looks: Vec<Look> = Vec::new();
    let mut next = Duration::ZERO;
    // What is warmed up by then: the first minute of thirty.
    let mut first: Option<Look> = None;
    while start.elapsed() < whole {
        crowd.work(period)?;
        let look = Look::now(start)?;
        if start.elapsed() >= next {
            next += (whole / 30).max(period);
            looks.push(look);
            written(&looks, &BTreeMap::new())?;
            if io::stderr().is_terminal() {
                // Past libtest, which keeps what tests print until they end.
                let _ = writeln!(io::stderr(), "soak: {}", look.json());
            }
        }
        if first.is_none() && start.elapsed() >= (whole / 10).min(Duration::from_secs(60)) {
            first = Some(look);
        }
    }
    let last = Look::now(start)?;
    looks.push(last);
    let done = crowd.end()?;
    written(&looks, &done)?;
    println!("{done:?}");
    let first = first.context("there was no first minute")?;
    println!("{}\n{}", first.json(), last.json());
    ensure!(
        first.descriptors == last.descriptors,
        "descriptors went from {} to {}",
        first.descriptors,
        last.descriptors
    );
    // Ten seconds tell little of memory: allocators keep what they had for a while.
    let allowed = GROWTH.max(first.resident * GROWTH_PERCENT / 100)
        * if whole.as_secs() < 120 { 8 } else { 1 };
    ensure!(
        last.resident <= first.resident + allowed,
        "resident memory went from {} to {} bytes",
        first.resident,
        last.resident
    );
    for everywhere in [
        "tcp", "udp", "batch", "pair", "rights", "poller", "options", "names",
    ] {
        ensure!(done.contains_key(everywhere), "nobody did {everywhere}");
    }
    let after = settled_descriptors(before)?;
    ensure!(
        after == before,
        "{before} descriptors before the guests, {after} after them"
    );
    Ok(())
}
