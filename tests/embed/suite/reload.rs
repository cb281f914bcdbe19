//! A policy is replaced while guests run: what is still granted goes on, what is not ends or stays as
//! `on-reload` says, and who waits is woken to ask again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use sockgate::policy::Policy;
use sockgate::{Event, Sink, Verdict};
use sockgate_embed_tests::{Guest, Outcome, Place, Start, policy_from};
use sockgate_tests::{free_port, patience};

/// Grants one operation there, and nothing else.
fn grants(operation: &str, address: &str, on_reload: &str) -> Result<Policy> {
    let (ip, port) = address.rsplit_once(':').unwrap_or((address, "*"));
    let (kind, ops, ends) = match operation {
        "receive" => (
            "datagram",
            r#""bind", "receive""#,
            format!(
                r#"local = {{ cidr = ["{ip}"], port = ["{port}"] }}
                   peer = {{ cidr = ["127.0.0.0/8"], port = ["*"] }}"#
            ),
        ),
        "connect" => (
            "stream",
            r#""connect""#,
            format!(r#"cidr = ["{ip}"]{}port = ["{port}"]"#, "\n"),
        ),
        _ => (
            "stream",
            r#""listen""#,
            format!(r#"cidr = ["{ip}"]{}port = ["{port}"]"#, "\n"),
        ),
    };
    policy_from(&format!(
        "version = 1\non-reload = \"{on_reload}\"\n[[allow]]\nid = \"one\"\nfamily = [\"inet\"]\n\
         type = [\"{kind}\"]\nops = [{ops}]\n{ends}\n"
    ))
}

/// Grants nothing.
fn nothing(on_reload: &str) -> Result<Policy> {
    policy_from(&format!("version = 1\non-reload = \"{on_reload}\"\n"))
}

/// What the operator was told of refusals.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Vec<&'static str>>>);

impl Sink for Refused {
    fn record(&self, event: &Event) {
        if event.verdict == Verdict::Deny
            && let Ok(mut refused) = self.0.lock()
        {
            refused.push(event.operation);
        }
    }
}

/// A guest that is connected to the test and waits, in `recv`, `poll` or `poller`.
fn connected(way: &str, place: Place, refused: &Refused) -> Result<(Guest, TcpStream, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let guest = Start::new(
        "embed_reload",
        place,
        grants("connect", &address.to_string(), "close")?,
    )
    .argument(way)
    .argument(address)
    .audit(refused.clone())
    .start()?;
    let (peer, _) = listener.accept()?;
    peer.set_read_timeout(Some(patience()))?;
    guest.expect("ready")?;
    guest.wait_until_asleep()?;
    Ok((guest, peer, address))
}

const WAYS: [&str; 3] = ["recv", "poll", "poller"];

#[test]
fn what_is_still_granted_goes_on() -> Result<()> {
    for place in Place::ALL {
        for way in WAYS {
            let refused = Refused::default();
            let (guest, mut peer, address) = connected(way, place, &refused)?;
            for round in 0..3 {
                guest
                    .policy
                    .replace(grants("connect", &address.to_string(), "close")?);
                // It was woken, asked again, and waits again: nothing was printed in between.
                peer.write_all(format!("round {round}").as_bytes())?;
                guest.expect(&format!("got round {round}"))?;
                guest.expect("ready")?;
                guest.wait_until_asleep()?;
            }
            guest.cancel.stop();
            ensure!(guest.end()?.outcome == Outcome::Stopped);
            let refused = refused.0.lock().expect("a sink panicked").clone();
            ensure!(refused.is_empty(), "{refused:?}");
        }
    }
    Ok(())
}

#[test]
fn what_is_lost_is_closed_at_once() -> Result<()> {
    for place in Place::ALL {
        for way in WAYS {
            let refused = Refused::default();
            let (guest, mut peer, _) = connected(way, place, &refused)?;
            guest.policy.replace(nothing("close")?);
            // The witness: the peer sees the end, whatever the guest does.
            ensure!(peer.read(&mut [0])? == 0, "{way} {place:?}");
            if way != "recv" {
                guest.expect("hung up")?;
            }
            for _ in 0..3 {
                guest.expect("EBADF")?;
            }
            guest.expect("done")?;
            ensure!(guest.end()?.outcome == Outcome::Exited(0));
            let refused = refused.0.lock().expect("a sink panicked").clone();
            ensure!(refused == ["reload"], "{way} {place:?}: {refused:?}");
        }
    }
    Ok(())
}

#[test]
fn what_is_lost_is_kept_where_the_policy_says_so() -> Result<()> {
    for place in Place::ALL {
        for way in WAYS {
            let refused = Refused::default();
            let (guest, mut peer, _) = connected(way, place, &refused)?;
            guest.policy.replace(nothing("keep")?);
            peer.write_all(b"still here")?;
            guest.expect("got still here")?;
            guest.expect("ready")?;
            guest.wait_until_asleep()?;
            // A later policy that does not keep it ends it.
            guest.policy.replace(nothing("close")?);
            ensure!(peer.read(&mut [0])? == 0, "{way} {place:?}");
            guest.cancel.stop();
        }
    }
    Ok(())
}

#[test]
fn a_listener_that_is_lost_listens_no_more() -> Result<()> {
    for place in Place::ALL {
        let address = format!("127.0.0.1:{}", free_port()?);
        let guest = Start::new("embed_reload", place, grants("listen", &address, "close")?)
            .argument("accept")
            .argument(&address)
            .start()?;
        guest.expect("listening on ")?;
        guest.expect("ready")?;
        // The twin: while it is granted, under an equal policy too, clients come in.
        guest.policy.replace(grants("listen", &address, "close")?);
        let _first = TcpStream::connect(&address)?;
        guest.expect("got a client")?;
        guest.expect("ready")?;
        guest.wait_until_asleep()?;
        guest.policy.replace(nothing("close")?);
        guest.expect("EBADF")?;
        guest.expect("EBADF")?;
        guest.expect("done")?;
        ensure!(guest.end()?.outcome == Outcome::Exited(0));
        ensure!(TcpStream::connect(&address).is_err(), "somebody listens");
    }
    Ok(())
}

#[test]
fn a_datagram_socket_that_is_lost_hears_no_more() -> Result<()> {
    let peer = UdpSocket::bind("127.0.0.1:0")?;
    for place in Place::ALL {
        let address = format!("127.0.0.1:{}", free_port()?);
        let guest = Start::new("embed_reload", place, grants("receive", &address, "close")?)
            .argument("recv-from")
            .argument(&address)
            .start()?;
        guest.expect("ready")?;
        guest.wait_until_asleep()?;
        guest.policy.replace(grants("receive", &address, "close")?);
        peer.send_to(b"one", &address)?;
        guest.expect("got one")?;
        guest.expect("ready")?;
        guest.wait_until_asleep()?;
        guest.policy.replace(nothing("close")?);
        guest.expect("EBADF")?;
        guest.expect("EBADF")?;
        guest.expect("done")?;
    }
    Ok(())
}

/// Hundreds of reloads while a guest talks: not a byte is lost, and no call fails.
#[test]
fn reloads_do_not_disturb_what_is_granted() -> Result<()> {
    for place in Place::ALL {
        let refused = Refused::default();
        let (guest, mut peer, address) = connected("recv", place, &refused)?;
        let policies = guest.policy.clone();
        let again = grants("connect", &address.to_string(), "close")?;
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ended, work) = (stop.clone(), again);
        let replacing = std::thread::spawn(move || {
            let mut count = 0_u32;
            while !ended.load(std::sync::atomic::Ordering::SeqCst) {
                policies.replace(work.clone());
                count += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            count
        });
        for round in 0..300 {
            peer.write_all(round.to_string().as_bytes())?;
            guest.expect(&format!("got {round}"))?;
            guest.expect("ready")?;
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let count = replacing.join().expect("the replacing thread panicked");
        println!("300 messages through {count} reloads, {place:?}");
        ensure!(count > 0);
    }
    Ok(())
}
