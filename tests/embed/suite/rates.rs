//! What a rate holds back in its wait: a reload lets it go on at once, and it is interrupted, stopped and lost as
//! in every other wait.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sockgate::policy::Policy;
use sockgate::{Event, Sink, Verdict};
use sockgate_embed_tests::{Guest, Outcome, Place, Start, policy_from};
use sockgate_tests::{free_port, patience};

/// Receives there under these limits.
fn receives(address: &str, limits: &str) -> Result<Policy> {
    let (ip, port) = address.rsplit_once(':').unwrap_or((address, "*"));
    policy_from(&format!(
        "version = 1\n[limits]\n{limits}\n[[allow]]\nid = \"one\"\nfamily = [\"inet\"]\n\
         type = [\"datagram\"]\nops = [\"bind\", \"receive\"]\n\
         local = {{ cidr = [\"{ip}\"], port = [\"{port}\"] }}\n\
         peer = {{ cidr = [\"127.0.0.0/8\"], port = [\"*\"] }}\n"
    ))
}

/// A byte a second: the first datagram passes, for the bucket is full, and the next waits for hours.
const SLOW: &str = "receive-bytes-per-second = 1";

/// The limits that the operator was told of.
#[derive(Clone, Default)]
struct Limited(Arc<Mutex<Vec<&'static str>>>);

impl Limited {
    fn told(&self) -> usize {
        self.0.lock().expect("a sink panicked").len()
    }
}

impl Sink for Limited {
    fn record(&self, event: &Event) {
        if event.verdict == Verdict::Limit
            && let Ok(mut limited) = self.0.lock()
        {
            limited.extend(event.limit);
        }
    }
}

struct HeldBack {
    guest: Guest,
    address: String,
    limited: Limited,
}

/// A guest whose second datagram is there and held back.
fn held_back(way: &str, place: Place) -> Result<HeldBack> {
    let peer = UdpSocket::bind("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let limited = Limited::default();
    let guest = Start::new("embed_reload", place, receives(&address, SLOW)?)
        .argument(way)
        .argument(&address)
        .audit(limited.clone())
        .start()?;
    guest.expect("ready")?;
    guest.wait_until_asleep()?;
    peer.send_to(&[b'1'; 30_000], &address)?;
    guest.expect("got 1111")?;
    peer.send_to(b"two", &address)?;
    guest.expect("ready")?;
    // Asleep may also be one that still prints: it is held back once the operator was told.
    let deadline = Instant::now() + patience();
    while limited.told() == 0 {
        ensure!(Instant::now() < deadline, "{way} {place:?}: not held back");
        std::thread::yield_now();
    }
    guest.wait_until_asleep()?;
    Ok(HeldBack {
        guest,
        address,
        limited,
    })
}

const WAYS: [&str; 2] = ["recv-from", "poller-from"];

#[test]
fn a_reload_lets_it_go_on_at_once() -> Result<()> {
    for place in Place::ALL {
        for way in WAYS {
            let HeldBack {
                guest,
                address,
                limited,
            } = held_back(way, place)?;
            // The same rate again: what was used stays used.
            guest.policy.replace(receives(&address, SLOW)?);
            std::thread::sleep(Duration::from_millis(50));
            guest.wait_until_asleep()?;
            let since = Instant::now();
            guest.policy.replace(receives(&address, "")?);
            guest.expect("got two")?;
            ensure!(since.elapsed() < Duration::from_secs(20), "{way} {place:?}");
            guest.cancel.stop();
            ensure!(guest.end()?.outcome == Outcome::Stopped);
            let told = limited.told();
            ensure!(
                (1..=2).contains(&told),
                "told {told} times, once under each policy at most"
            );
        }
    }
    Ok(())
}

#[test]
fn it_is_interrupted() -> Result<()> {
    for place in Place::ALL {
        for way in WAYS {
            let HeldBack { guest, .. } = held_back(way, place)?;
            guest.cancel.interrupt();
            guest.expect("EINTR")?;
            // What may not wait is told so.
            guest.expect("EAGAIN")?;
            guest.expect("done")?;
            ensure!(guest.end()?.outcome == Outcome::Exited(0));
        }
    }
    Ok(())
}

#[test]
fn it_is_stopped() -> Result<()> {
    for place in Place::ALL {
        for way in WAYS {
            let HeldBack { guest, .. } = held_back(way, place)?;
            guest.cancel.stop();
            ensure!(guest.end()?.outcome == Outcome::Stopped);
        }
    }
    Ok(())
}

#[test]
fn it_loses_its_grant() -> Result<()> {
    for place in Place::ALL {
        let HeldBack { guest, .. } = held_back("recv-from", place)?;
        guest.policy.replace(policy_from("version = 1\n")?);
        guest.expect("EBADF")?;
        guest.expect("EBADF")?;
        guest.expect("done")?;
    }
    Ok(())
}
