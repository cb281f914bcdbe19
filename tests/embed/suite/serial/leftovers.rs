//! Nothing is left once a guest's store is dropped: descriptors are counted before and after, following one
//! guest that warms everything up.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use sockgate_embed_tests::{
    Blocked, Guest, Obstacle, Outcome, Place, Start, descriptors, policy, policy_from,
    settled_descriptors,
};
use sockgate_tests::{Attack, folder};

/// Runs it once to warm up and once more; nothing is left by that. How many descriptors there were before.
fn leaves_nothing(name: &str, run: impl Fn() -> Result<()>) -> Result<usize> {
    run()?;
    let before = descriptors()?;
    run()?;
    let after = settled_descriptors(before)?;
    println!("{name}: {before} descriptors before, {after} after");
    ensure!(
        after == before,
        "{name} left {} descriptors",
        after - before
    );
    Ok(before)
}

#[test]
fn after_a_thousand_clients() -> Result<()> {
    const CLIENTS: usize = 1000;
    for place in Place::ALL {
        leaves_nothing(&format!("{CLIENTS} clients, {place:?}"), || {
            let folder = folder()?;
            let guest = Start::new("many-clients", place, policy(folder.path())?)
                .argument("127.0.0.1:0")
                .argument("--clients")
                .argument(CLIENTS)
                .start()?;
            let address = guest.expect("listening on tcp ")?;
            let mut clients = Vec::new();
            for number in 0..CLIENTS {
                let client = TcpStream::connect(&*address)
                    .with_context(|| format!("client {number}: see ulimit -n"))?;
                clients.push(client);
            }
            for (number, client) in clients.iter_mut().enumerate() {
                write!(client, "client {number}")?;
                client.shutdown(Shutdown::Write)?;
            }
            for (number, client) in clients.iter_mut().enumerate() {
                let mut answer = String::new();
                client.read_to_string(&mut answer)?;
                ensure!(answer == format!("CLIENT {number}"), "{answer}");
            }
            let ended = guest.end()?;
            ensure!(ended.outcome == Outcome::Exited(0), "{ended:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// The same thousand, and the guest is stopped while it serves them all.
#[test]
fn after_a_server_that_is_stopped() -> Result<()> {
    const CLIENTS: usize = 1000;
    for place in Place::ALL {
        leaves_nothing(&format!("{CLIENTS} clients, stopped, {place:?}"), || {
            let folder = folder()?;
            let guest = Start::new("many-clients", place, policy(folder.path())?)
                .argument("127.0.0.1:0")
                .start()?;
            let address = guest.expect("listening on tcp ")?;
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                clients.push(TcpStream::connect(&*address)?);
            }
            for client in &mut clients {
                client.write_all(b"x")?;
                client.read_exact(&mut [0])?;
            }
            guest.cancel.stop();
            let ended = guest.end()?;
            ensure!(ended.outcome == Outcome::Stopped, "{ended:?}");
            // The witness: the guest's end of each connection is gone.
            for client in &mut clients {
                ensure!(
                    client.read(&mut [0]).unwrap_or(0) == 0,
                    "a connection is still open"
                );
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn after_ten_thousand_sockets() -> Result<()> {
    for place in Place::ALL {
        let before = leaves_nothing(&format!("10,000 sockets, {place:?}"), || {
            let folder = folder()?;
            let guest = Start::new("embed_churn", place, policy(folder.path())?)
                .argument(10_000)
                .start()?;
            guest.expect("opened 10000")?;
            let ended = guest.end()?;
            ensure!(ended.outcome == Outcome::Exited(0), "{ended:?}");
            Ok(())
        })?;
        let left = settled_descriptors(before)?.saturating_sub(before);
        // One that was left would be seen as ours are.
        let one = UnixStream::pair()?;
        let seen = descriptors()?.saturating_sub(before);
        drop(one);
        let id = format!("ten-thousand-sockets-{place:?}").to_lowercase();
        Attack::new(id, "Resources", "10,000 sockets opened and dropped")
            .tried("opens sockets, pairs, pollers and pollables, and drops them")
            .got("every one of them")
            .checked("as many descriptors are open behind it as before")
            .saw("/proc/self/fd of the host", left, seen)
            .state()?;
    }
    Ok(())
}

/// A guest with descriptors on their way, ended in each way that there is. How many descriptors the process had
/// meanwhile.
fn ended_in_every_way(place: Place, start: impl Fn() -> Result<Guest>) -> Result<usize> {
    let ready = || -> Result<Guest> {
        let guest = start()?;
        loop {
            let line = guest.line()?.text;
            ensure!(line != "cut false", "control data was not cut");
            if line == "ready" {
                guest.wait_until_asleep()?;
                return Ok(guest);
            }
        }
    };
    let guest = ready()?;
    let meanwhile = descriptors()?;
    guest.cancel.stop();
    ensure!(guest.end()?.outcome == Outcome::Stopped);
    if place != Place::Park {
        ensure!(ready()?.drop_future()?.outcome == Outcome::Dropped);
    }
    Ok(meanwhile)
}

#[test]
fn after_descriptors_in_flight() -> Result<()> {
    for place in Place::ALL {
        for way in ["queued", "cut", "held"] {
            let most = Cell::new(0);
            let before = leaves_nothing(&format!("descriptors {way}, {place:?}"), || {
                let folder = folder()?;
                let meanwhile = ended_in_every_way(place, || {
                    Start::new("embed_rights", place, policy(folder.path())?)
                        .argument(way)
                        .start()
                })?;
                most.set(meanwhile);
                Ok(())
            })?;
            Attack::new(
                format!("dropped-with-{way}-{place:?}").to_lowercase(),
                "Descriptors",
                "leaked descriptors after the guest is dropped in the middle",
            )
            .tried(format!("is stopped, and dropped, with descriptors {way}"))
            .got("its end")
            .checked("the process has as many descriptors as before")
            .saw(
                "descriptors of the process beyond those before",
                settled_descriptors(before)?.saturating_sub(before),
                most.get().saturating_sub(before),
            )
            .state()?;
        }
    }
    Ok(())
}

/// What a native peer sends and the policy does not let in is closed on arrival.
#[test]
fn after_refused_descriptors() -> Result<()> {
    let nothing = policy_from("version = 1")?;
    for place in Place::ALL {
        leaves_nothing(&format!("descriptors refused, {place:?}"), || {
            let (native, granted) = UnixStream::pair()?;
            let file = std::fs::File::open("/dev/null")?;
            for _ in 0..8 {
                send_rights(&native, &[file.as_fd(), native.as_fd()])?;
            }
            let guest = Start::new("embed_rights", place, nothing.clone())
                .argument("refused")
                .grant("native", granted)
                .start()?;
            for _ in 0..4 {
                guest.expect("arrived 0")?;
            }
            guest.expect("ready")?;
            // Four messages are still in the queue, with two descriptors each.
            guest.cancel.stop();
            ensure!(guest.end()?.outcome == Outcome::Stopped);
            Ok(())
        })?;
    }
    Ok(())
}

/// One byte with descriptors beside it.
fn send_rights(socket: &UnixStream, rights: &[BorrowedFd<'_>]) -> Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    ensure!(control.push(SendAncillaryMessage::ScmRights(rights)));
    let data = [std::io::IoSlice::new(b"x")];
    ensure!(sendmsg(socket, &data, &mut control, SendFlags::empty())? == 1);
    Ok(())
}

/// A context that was built and never given a store.
#[test]
fn after_contexts_alone() -> Result<()> {
    leaves_nothing("contexts", || {
        for _ in 0..100 {
            let sockets = sockgate::SocketsCtx::builder(policy_from("version = 1")?)
                .grant_socket("native", UnixStream::pair()?.0)
                .build()?;
            sockets.cancel_handle().stop();
        }
        Ok(())
    })?;
    Ok(())
}

/// A handle to cancel with outlives its guest, and holds nothing but its own event.
#[test]
fn a_cancel_handle_outlives_its_guest() -> Result<()> {
    let blocked = Blocked::new("recv", Obstacle::None)?;
    for place in Place::ALL {
        leaves_nothing(&format!("a cancel handle, {place:?}"), || {
            let guest = blocked.guest(place, 1)?;
            guest.expect("ready")?;
            let handle = guest.cancel.clone();
            handle.stop();
            guest.end()?;
            handle.interrupt();
            handle.stop();
            Ok(())
        })?;
    }
    Ok(())
}
