//! Reloads while many guests talk: no wrong verdict, no byte lost on what is kept, no descriptor left.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sockgate::policy::Policy;
use sockgate::{GuestMetrics, Metrics};
use sockgate_embed_tests::{
    Guest, Outcome, Place, Start, descriptors, policy_from, settled_descriptors,
};
use sockgate_tests::{folder, long, patience, tcp_echo};

/// The byte at a place of what each guest says.
fn byte(place: usize) -> u8 {
    ((place * 31 + 7) % 251) as u8
}

/// Native peers that hear whether the pattern goes on without a gap.
#[derive(Clone, Default)]
struct Witness {
    /// How many bytes came, by kind.
    heard: Arc<HeardBytes>,
    wrong: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct HeardBytes {
    stream: AtomicU64,
    unix: AtomicU64,
    datagram: AtomicU64,
}

impl Witness {
    fn check(&self, at: usize, bytes: &[u8], of: &str) {
        let wrong = bytes
            .iter()
            .zip(at..)
            .find(|(heard, place)| **heard != byte(*place));
        if let Some((heard, place)) = wrong {
            let mut told = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            told.push(format!("{of}: byte {place} is {heard}"));
        }
    }

    /// Echoes a connection until its end, or until this peer is to stop.
    fn echo(&self, mut stream: impl Read + Write, total: &AtomicU64, stops: bool, of: &str) {
        let mut at = 0;
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            self.check(at, &buffer[..length], of);
            at += length;
            // Whole messages alone are counted: the guest counts what came back.
            if stops && at % 100 == 0 && self.stop.load(Ordering::SeqCst) {
                return;
            }
            total.fetch_add(length as u64, Ordering::SeqCst);
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    }

    fn streams(&self) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let witness = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let witness = witness.clone();
                thread::spawn(move || {
                    witness.echo(stream, &witness.heard.stream, true, "stream");
                });
            }
        });
        Ok(address)
    }

    fn unix(&self, path: &std::path::Path) -> Result<()> {
        let listener = UnixListener::bind(path)?;
        let witness = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let witness = witness.clone();
                thread::spawn(move || witness.echo(stream, &witness.heard.unix, false, "unix"));
            }
        });
        Ok(())
    }

    fn datagrams(&self) -> Result<SocketAddr> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        let witness = self.clone();
        thread::spawn(move || {
            let mut places: HashMap<SocketAddr, usize> = HashMap::new();
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let place = places.entry(from).or_default();
                witness.check(*place, &buffer[..length], "datagram");
                *place += length;
                let heard = &witness.heard.datagram;
                heard.fetch_add(length as u64, Ordering::SeqCst);
                // A guest that has ended hears no more.
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
        Ok(address)
    }
}

/// The three policies that take turns, and whether each grants the connection that comes and goes.
struct Turns {
    grants: Policy,
    takes: Policy,
    keeps: Policy,
}

impl Turns {
    fn new(kept: [SocketAddr; 2], path: &str, other: u16) -> Result<Turns> {
        let [stream, datagram] = kept.map(|address| address.port());
        let rule = |id: &str, kind: &str, port: u16| {
            format!(
                "[[allow]]\nid = \"{id}\"\nfamily = [\"inet\"]\ntype = [\"{kind}\"]\nops = [\"connect\"]\n\
                 cidr = [\"127.0.0.1\"]\nport = [\"{port}\"]\n"
            )
        };
        // Datagrams are judged one by one, so that no policy may take them away if none is to be lost.
        let datagrams = rule("datagram", "datagram", datagram);
        let talk = rule("stream", "stream", stream)
            + &datagrams
            + &format!(
                "[[allow]]\nid = \"unix\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\nops = [\"connect\"]\n\
                 path = [\"{path}\"]\n"
            );
        let other = rule("other", "stream", other);
        let head = |on_reload: &str| format!("version = 1\non-reload = \"{on_reload}\"\n");
        // The last one takes the connections away, and keeps those that there are.
        Ok(Turns {
            grants: policy_from(&(head("close") + &talk + &other))?,
            takes: policy_from(&(head("close") + &talk))?,
            keeps: policy_from(&(head("keep") + &datagrams))?,
        })
    }

    fn turn(&self, number: usize) -> (&Policy, bool) {
        match number % 4 {
            0 | 2 => (&self.grants, true),
            1 => (&self.takes, false),
            _ => (&self.keeps, false),
        }
    }
}

/// One reload of one guest: it was in force at some moment from `from` on, and surely since `sure`.
struct Reload {
    from: Instant,
    sure: Instant,
    grants: bool,
}

/// Whether a verdict may be that of a policy that was in force during the call.
fn is_right(reloads: &[Reload], begun: Instant, ended: Instant, granted: bool) -> bool {
    // The last that was surely in force when the call began, and all that may have come since.
    let first = reloads.partition_point(|reload| reload.sure <= begun);
    let could = reloads[first.saturating_sub(1)..]
        .iter()
        .take_while(|reload| reload.from <= ended);
    could.into_iter().any(|reload| reload.grants == granted)
}

/// Compares what a guest wrote with the reloads that it lived through; how often each verdict came, and how
/// much it sent.
fn judge(guest: Guest, reloads: &[Reload]) -> Result<(usize, usize, u64)> {
    let ended = guest.end()?;
    let last: Vec<&str> = ended.texts().into_iter().rev().take(3).collect();
    ensure!(
        ended.outcome == Outcome::Exited(0),
        "{:?} {last:?}",
        ended.outcome
    );
    let (mut granted, mut denied) = (0, 0);
    let mut begun = None;
    let mut sent = None;
    for line in &ended.lines {
        let verdict = match line.text.as_str() {
            "try" => {
                begun = Some(line.at);
                continue;
            }
            "ok" => true,
            text if text.starts_with("denied ") => false,
            text => {
                sent = text.strip_prefix("sent ").map(str::parse).transpose()?;
                continue;
            }
        };
        let begun = begun.take().context("a verdict without its call")?;
        ensure!(
            is_right(reloads, begun, line.at, verdict),
            "`{}` was the verdict of no policy in force",
            line.text
        );
        if verdict {
            granted += 1;
        } else {
            denied += 1;
        }
    }
    Ok((
        granted,
        denied,
        sent.context("it did not say what it sent")?,
    ))
}

#[test]
fn many_reloads_while_many_guests_talk() -> Result<()> {
    let (count, reloads) = if long() { (100, 1000) } else { (25, 200) };
    let place = folder()?;
    let path = place.path().join("kept.sock");
    let witness = Witness::default();
    let (stream, datagram) = (witness.streams()?, witness.datagrams()?);
    witness.unix(&path)?;
    let other = tcp_echo("127.0.0.1:0")?;
    let shown = path.display().to_string();
    let turns = Turns::new([stream, datagram], &shown, other.port())?;
    let start = |metrics: &Metrics| -> Result<Guest> {
        let guest = Start::new("embed_load", Place::ReadyShared, turns.grants.clone())
            .metrics(metrics)
            .argument(stream)
            .argument(datagram)
            .argument(&shown)
            .argument(format!("127.0.0.1:{}", other.port()))
            .start()?;
        guest.expect("talking")?;
        Ok(guest)
    };
    // The runtime and the component are there from the first guest on.
    let warm = start(&Metrics::new())?;
    warm.cancel.stop();
    ensure!(warm.end()?.outcome == Outcome::Stopped);
    let settled = settled_descriptors(descriptors()?)?;

    let metrics = Metrics::new();
    let guests = (0..count)
        .map(|_| start(&metrics))
        .collect::<Result<Vec<_>>>()?;
    let mut lived: Vec<Vec<Reload>> = guests
        .iter()
        .map(|_| {
            let now = Instant::now() - Duration::from_secs(3600);
            vec![Reload {
                from: now,
                sure: now,
                grants: true,
            }]
        })
        .collect();
    for number in 1..=reloads {
        let (policy, grants) = turns.turn(number);
        for (guest, lived) in guests.iter().zip(&mut lived) {
            let from = Instant::now();
            guest.policy.replace(policy.clone());
            lived.push(Reload {
                from,
                sure: Instant::now(),
                grants,
            });
        }
        // The guests have a turn, of whatever length.
        thread::sleep(Duration::from_micros(500));
    }
    witness.stop.store(true, Ordering::SeqCst);
    let (mut granted, mut denied, mut sent) = (0, 0, 0);
    for (guest, lived) in guests.into_iter().zip(&lived) {
        let (yes, no, bytes) = judge(guest, lived)?;
        granted += yes;
        denied += no;
        sent += bytes;
    }
    println!(
        "{count} guests, {reloads} reloads: {granted} granted, {denied} denied, {sent} bytes each way"
    );
    ensure!(
        granted > 0 && denied > 0,
        "{granted} granted, {denied} denied"
    );
    let wrong = witness.wrong.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(wrong.is_empty(), "{wrong:?}");
    drop(wrong);
    counted(&metrics.guests(), count, reloads, sent)?;
    let heard = |total: &AtomicU64| total.load(Ordering::SeqCst);
    let warmed = heard(&witness.heard.unix) - sent;
    for total in [&witness.heard.datagram, &witness.heard.unix] {
        // What the first guest said, which was stopped, comes on top; nothing is missing.
        ensure!(heard(total) >= sent && heard(total) - sent <= warmed + 100);
    }
    let deadline = Instant::now() + patience();
    while descriptors()? > settled && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    let left = descriptors()?;
    ensure!(left <= settled, "{left} descriptors after {settled}");
    Ok(())
}

/// The metrics say the same as the guests: every reload, every byte, and no socket that is still open.
fn counted(guests: &[GuestMetrics], count: usize, reloads: usize, sent: u64) -> Result<()> {
    let [guest] = guests else {
        anyhow::bail!("guests of one name are counted together: {guests:?}");
    };
    ensure!(
        guest.guest == "embed_load" && guest.sockets == 0,
        "{guest:?}"
    );
    ensure!(
        guest.reloads == (count * reloads) as u64,
        "{}",
        guest.reloads
    );
    ensure!(guest.waits > 0);
    let bytes = |rule: &str, operation: &str| -> u64 {
        let mut total = 0;
        for counted in &guest.operations {
            let kept = counted.rule.as_deref() == Some(rule);
            if kept && counted.operation == operation {
                total += counted.bytes;
            }
        }
        total
    };
    // Whatever went under a policy that only keeps counts for the rule that had granted it.
    let unix = bytes("unix", "send");
    ensure!(
        unix == sent,
        "{unix} bytes by the rule, {sent} by the guests"
    );
    let connects: Vec<_> = guest
        .operations
        .iter()
        .filter(|counted| counted.operation == "connect")
        .collect();
    ensure!(
        connects
            .iter()
            .any(|counted| counted.rule.is_none() && counted.count > 0)
    );
    Ok(())
}
