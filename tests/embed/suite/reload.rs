//! A policy is replaced while guests run: what is still granted goes on, what is not ends or stays as
//! `on-reload` says, and who waits is woken to ask again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use sockgate::policy::Policy;
use sockgate::{Event, Sink, Verdict};
use sockgate_embed_tests::{Guest, Outcome, Place, Start, policy_from};
use sockgate_tests::{Attack, Prompter, free_port, patience};

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
        let first = TcpStream::connect(&address)?;
        guest.expect("got a client")?;
        guest.expect("ready")?;
        guest.wait_until_asleep()?;
        guest.policy.replace(nothing("close")?);
        guest.expect("EBADF")?;
        guest.expect("EBADF")?;
        guest.expect("done")?;
        ensure!(guest.end()?.outcome == Outcome::Exited(0));
        Attack::new(
            format!("reload-listener-{place:?}").to_lowercase(),
            "Beyond",
            "a reload between check and use",
        )
        .tried("waits in accept while the policy that granted its listener is replaced, and asks again")
        .got("badf")
        .saw(
            "a native client",
            TcpStream::connect(&address).is_ok(),
            first.peer_addr().is_ok(),
        )
        .state()?;
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
        // Whether somebody has a socket there.
        let bound = || UdpSocket::bind(&address).is_err();
        let bound_before = bound();
        guest.policy.replace(nothing("close")?);
        guest.expect("EBADF")?;
        peer.send_to(b"two", &address)?;
        guest.expect("EBADF")?;
        guest.expect("done")?;
        Attack::new(
            format!("reload-datagrams-{place:?}").to_lowercase(),
            "Beyond",
            "a reload between check and use",
        )
        .tried("waits in recv-from while the policy that granted it is replaced, and asks again")
        .got("badf")
        .saw("who binds the address", bound(), bound_before)
        .state()?;
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
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let (begun, begins) = channel();
        let replacing = std::thread::spawn(move || {
            let mut count = 0_u32;
            while !ended.load(Ordering::SeqCst) {
                policies.replace(again.clone());
                count += 1;
                // Nobody listens after the first.
                let _ = begun.send(());
                std::thread::sleep(Duration::from_micros(200));
            }
            count
        });
        begins.recv_timeout(patience())?;
        for round in 0..300 {
            peer.write_all(round.to_string().as_bytes())?;
            guest.expect(&format!("got {round}"))?;
            guest.expect("ready")?;
        }
        stop.store(true, Ordering::SeqCst);
        let count = replacing.join().expect("the replacing thread panicked");
        println!("300 messages through {count} reloads, {place:?}");
        ensure!(count > 0);
    }
    Ok(())
}

/// Grants the prompt, connections to `port`, and listening at `door`.
fn for_poller(prompt: &Prompter, port: u16, door: Option<u16>) -> Result<Policy> {
    let listen = door.map_or(String::new(), |door| {
        format!(
            "[[allow]]\nid = \"door\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"listen\"]\n\
             cidr = [\"127.0.0.1\"]\nport = [\"{door}\"]\n"
        )
    });
    policy_from(&format!(
        "version = 1\non-reload = \"close\"\n[limits]\nsockets = 300\n\
         [[allow]]\nid = \"prompt\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\nops = [\"connect\"]\n\
         path = [\"{}\"]\n\
         [[allow]]\nid = \"peers\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"connect\"]\n\
         cidr = [\"127.0.0.1\"]\nport = [\"{port}\"]\n{listen}",
        prompt.path().display()
    ))
}

/// A guest sleeps in its poller over many sockets: those that a reload takes away end the wait, each of them
/// and no other, and stay reported until they are taken out.
#[test]
fn a_poller_over_many_sockets_tells_which_are_lost() -> Result<()> {
    const KEPT: usize = 100;
    for place in Place::ALL {
        let folder = sockgate_tests::folder()?;
        let prompter = Prompter::new(folder.path())?;
        let kept = TcpListener::bind("127.0.0.1:0")?;
        let kept_port = kept.local_addr()?.port();
        let door = free_port()?;
        let both = for_poller(&prompter, kept_port, Some(door))?;
        let guest = Start::new("poller_steps", place, both)
            .argument(prompter.path().display())
            .start()?;
        let mut prompt = prompter.prompt()?;
        let mut step = |step: String, answer: &str| -> Result<()> {
            let said = prompt.ask(&step)?;
            ensure!(
                said == answer || said == "inprogress",
                "{place:?} {step}: {said}"
            );
            Ok(())
        };
        step("poller".into(), "ok")?;
        // Nothing but the listener is there to be lost, and it is told while the guest sleeps.
        let mut peers = Vec::new();
        for token in 0..KEPT {
            step(format!("connect k{token} 127.0.0.1:{kept_port}"), "ok")?;
            peers.push(kept.accept()?.0);
            step(format!("register 0 k{token} {token} r"), "ok")?;
        }
        step(format!("listen l 127.0.0.1:{door}"), "ok")?;
        step("register 0 l 1000 r".into(), "ok")?;
        // Judged, so that a reload knows what there was to lose.
        let _client = TcpStream::connect(("127.0.0.1", door))?;
        ensure!(prompt.ask("wait 0 64 forever")?.ends_with(" 1000=r"));
        ensure!(prompt.ask("accept l first")? == "ok");
        ensure!(prompt.ask("register 0 first 1001 r")? == "ok");
        prompt.tell("wait 0 64 forever")?;
        guest.wait_until_asleep()?;
        guest
            .policy
            .replace(for_poller(&prompter, kept_port, None)?);
        let answer = prompt.answer()?;
        // The accepted one goes with its listener; whichever was first ended the wait, perhaps with what the
        // kernel says of its end.
        let lost = |event: &str| event.starts_with("100") && event.ends_with('x');
        ensure!(
            answer.contains('=') && answer.split(' ').skip(1).all(lost),
            "{place:?}: {answer}"
        );
        for _ in 0..2 {
            let answer = prompt.ask("wait 0 64 forever")?;
            let mut events: Vec<&str> = answer.split(' ').skip(1).collect();
            events.sort();
            ensure!(events == ["1000=hx", "1001=hx"], "{place:?}: {answer}");
        }
        ensure!(prompt.ask("accept l second")? == "badf");
        ensure!(prompt.ask("modify 0 l 1002 w")? == "ok");
        ensure!(prompt.ask("unregister 0 first")? == "ok");
        ensure!(prompt.ask("wait 0 64 forever")?.ends_with(" 1002=hx"));
        ensure!(prompt.ask("register 0 first 3 r")? == "badf");
        ensure!(prompt.ask("close l")? == "ok");
        // The others are as before.
        ensure!(!prompt.ask("wait 0 64 0")?.contains('='));
        peers[7].write_all(b"x")?;
        ensure!(prompt.ask("wait 0 64 forever")?.ends_with(" 7=r"));
        ensure!(prompt.ask("recv k7")? == "got x");
        // And all of them at once: more than one wait tells.
        guest
            .policy
            .replace(for_poller(&prompter, free_port()?, None)?);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let answer = prompt.ask("wait 0 20 forever")?;
            for event in answer.split(' ').skip(1) {
                let token = event.strip_suffix("=hx");
                seen.insert(token.map(str::to_owned));
            }
        }
        ensure!(
            seen.len() == KEPT && !seen.contains(&None),
            "{place:?}: {seen:?}"
        );
    }
    Ok(())
}
