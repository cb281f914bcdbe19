//! Many guests in one process: what one does, or what becomes of it, is nothing to the others.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sockgate::{BuildError, SocketsCtx, WaitMode};
use sockgate_embed_tests::{Figures, Guest, Outcome, Place, Start, policy, policy_from};
use sockgate_tests::folder;
use tokio::runtime::{Builder, Runtime};

/// A current-thread runtime on a thread of its own, for as long as it lives.
struct OneThread {
    handle: tokio::runtime::Handle,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl OneThread {
    fn new() -> Result<OneThread> {
        let runtime: Runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            // Either way it is time to end.
            let _ = runtime.block_on(ended);
        });
        Ok(OneThread {
            handle,
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the runtime's thread panicked");
        }
    }
}

#[test]
fn fifty_guests_on_one_thread_talk_to_each_other() -> Result<()> {
    const PAIRS: usize = 25;
    const ROUNDS: usize = 400;
    let (folder, thread) = (folder()?, OneThread::new()?);
    let start = |words: &[&str]| -> Result<Guest> {
        let guest = Start::new("embed_peer", Place::ReadyAlone, policy(folder.path())?);
        let guest = words.iter().fold(guest, |guest, word| guest.argument(word));
        guest.spawn_on(&thread.handle)
    };
    let begin = Instant::now();
    let mut servers = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..PAIRS {
        let server = start(&["serve"])?;
        let address = server.expect("listening on ")?;
        clients.push(start(&["ask", &address, &ROUNDS.to_string()])?);
        servers.push(server);
    }
    let (mut halves, mut ends) = (Figures::default(), Figures::default());
    for client in &clients {
        let half = client.line()?;
        ensure!(half.text == "half", "{}", half.text);
        halves.add(half.at - begin);
        let end = client.line()?;
        ensure!(end.text == format!("asked {ROUNDS}"), "{}", end.text);
        ends.add(end.at - begin);
    }
    for guest in clients.into_iter().chain(servers) {
        let ended = guest.end()?;
        ensure!(ended.outcome == Outcome::Exited(0), "{ended:?}");
    }
    println!("half of it: {halves}");
    println!("all of it:  {ends}");
    // No one had to wait for others to end: the last is half through before the first is done.
    ensure!(
        halves.percentile(100) < ends.percentile(100),
        "{halves} {ends}"
    );
    Ok(())
}

/// A guest whose calls never have to wait gives way all the same.
#[test]
fn a_greedy_guest_starves_no_one_on_its_thread() -> Result<()> {
    let (folder, thread) = (folder()?, OneThread::new()?);
    let start = |words: &[&str]| -> Result<Guest> {
        let guest = Start::new("embed_peer", Place::ReadyAlone, policy(folder.path())?);
        let guest = words.iter().fold(guest, |guest, word| guest.argument(word));
        guest.spawn_on(&thread.handle)
    };
    let server = start(&["serve"])?;
    let address = server.expect("listening on ")?;
    let greedy = start(&["greedy", "send"])?;
    greedy.expect("greedy")?;
    let begin = Instant::now();
    let client = start(&["ask", &address, "100"])?;
    client.expect("half")?;
    client.expect("asked 100")?;
    println!("100 rounds beside a greedy guest: {:?}", begin.elapsed());
    let stop = Instant::now();
    greedy.cancel.stop();
    let ended = greedy.end()?;
    println!("a greedy guest stopped after {:?}", ended.at - stop);
    ensure!(ended.outcome == Outcome::Stopped, "{ended:?}");
    ensure!(ended.at - stop < Duration::from_secs(1));
    Ok(())
}

/// A guest is stopped in whichever call it makes next, though none of them ever waits.
#[test]
fn a_greedy_guest_is_stopped_in_any_call() -> Result<()> {
    let granted = "version = 1\n[[allow]]\nid = \"udp\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\n\
        ops = [\"connect\", \"disconnect\"]\ncidr = [\"127.0.0.1\"]\n\
        [[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\nops = [\"socketpair\"]\n";
    for place in Place::ALL {
        for call in [
            "socket",
            "socketpair",
            "disconnect",
            "poller",
            "poller-wait",
            "poll",
            "granted",
            "look-up",
            "name-of",
            "host-by-name",
            "host-by-address",
        ] {
            let guest = Start::new("embed_peer", place, policy_from(granted)?)
                .argument("greedy")
                .argument(call)
                .start()?;
            guest.expect("greedy")?;
            guest.cancel.stop();
            let ended = guest.end()?;
            ensure!(
                ended.outcome == Outcome::Stopped,
                "{call} {place:?}: {ended:?}"
            );
        }
    }
    Ok(())
}

/// A guest that is stopped while it makes no call of ours reaches nobody by wasi:sockets either.
#[test]
fn a_stopped_guest_connects_to_nobody() -> Result<()> {
    let granted = "version = 1\n[[allow]]\nid = \"all\"\nfamily = [\"inet\"]\nops = [\"bind\", \"connect\"]\n\
        local = \"*\"\npeer = \"*\"\n";
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let connect = format!("connect {}", listener.local_addr()?);
    for stops in [false, true] {
        let guest = Start::new("std_net_steps", Place::Park, policy_from(granted)?)
            .argument("udp d 127.0.0.1:0")
            .argument("hear d")
            .argument(&connect)
            .start()?;
        guest.expect("udp d")?;
        if stops {
            guest.cancel.stop();
        }
        // It hears nothing for a second.
        guest.expect("hear d")?;
        let outcome = guest.expect(&connect)?;
        let wanted = if stops { "PermissionDenied" } else { "ok" };
        ensure!(outcome.ends_with(wanted), "{stops}: {outcome}");
        ensure!(listener.accept().is_ok() != stops);
        guest.end()?;
    }
    Ok(())
}

/// A forged handle traps the guest that forged it, in every place; its neighbour goes on.
#[test]
fn a_forged_handle_traps_one_guest() -> Result<()> {
    let folder = folder()?;
    for place in Place::ALL {
        let neighbour = Start::new("embed_blocked", place, policy(folder.path())?)
            .argument("recv")
            .argument(100)
            .argument("")
            .start()?;
        neighbour.expect("ready")?;
        for kind in ["unknown", "drop", "another-kind"] {
            let forger = Start::new("embed_forger", place, policy(folder.path())?)
                .argument(kind)
                .start()?;
            forger.expect("forging")?;
            let ended = forger.end()?;
            let Outcome::Trapped(message) = &ended.outcome else {
                anyhow::bail!("{kind} {place:?}: {ended:?}");
            };
            println!(
                "{kind} {place:?}: {}",
                message.rsplit(": ").next().unwrap_or("")
            );
            ensure!(ended.lines.is_empty(), "{kind} {place:?}: {ended:?}");
            neighbour.wait_until_asleep()?;
            neighbour.cancel.interrupt();
            neighbour.expect("EINTR")?;
            neighbour.expect("ready")?;
        }
    }
    Ok(())
}

/// *park* blocks its thread: on a current-thread runtime the builder refuses it, and says what to do.
#[test]
fn park_is_refused_on_a_current_thread_runtime() -> Result<()> {
    let build = |wait| {
        let policy = policy_from("version = 1").expect("an empty policy loads");
        SocketsCtx::builder(policy).wait_mode(wait).build()
    };
    let alone = Builder::new_current_thread().enable_all().build()?;
    let refused = alone.block_on(async { build(WaitMode::Park) });
    let Err(error @ BuildError::ParkOnCurrentThread) = refused else {
        anyhow::bail!("it was not refused: {refused:?}");
    };
    println!("{error}");
    ensure!(error.to_string().contains("multi-thread"), "{error}");
    // The twins: ready there, and park elsewhere.
    alone.block_on(async { build(WaitMode::Ready) })?;
    let many = Builder::new_multi_thread().worker_threads(1).build()?;
    many.block_on(async { build(WaitMode::Park) })?;
    build(WaitMode::Park)?;
    Ok(())
}
