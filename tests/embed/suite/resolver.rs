//! A name resolution that hangs.
//!
//! What holds: getaddrinfo(3) runs on a thread of its own. An interruption ends the guest's wait for it, and
//! so do its time-out, a stop, and the end of its store; the thread cannot be ended and outlives them all,
//! until the C library gives up. Of one guest 8 run at a time and of all guests 64, those included that
//! nobody waits for any more; who asks beyond that is told to try again (EAI_AGAIN).
//!
//! A resolver that hangs is one of the test's own: a name server on 127.0.0.1:53 that hears and is silent, in
//! a network and a mount namespace (unshare(1)) where /etc/resolv.conf names it.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sockgate::policy::Policy;
use sockgate_embed_tests::{
    Guest, Outcome, Place, Start, descriptors, policy_from, settled_descriptors,
};
use sockgate_tests::{Attack, folder, instead_of, patience};

/// Of one guest, and of all.
const OF_ONE: usize = 8;
const OF_ALL: usize = 64;

/// Runs the test of this name in namespaces of its own, with a name server there.
fn isolated(name: &str, test: fn(NameServer) -> Result<()>) -> Result<()> {
    // Longer than any test: what hangs, hangs.
    let patient = ("RES_OPTIONS", "timeout:30 attempts:5");
    sockgate_tests::isolated(name, &[patient], || test(NameServer::start()?))
}

/// A name server that hears, and answers when it is told to.
struct NameServer {
    socket: UdpSocket,
    queries: Receiver<(Vec<u8>, SocketAddr)>,
}

impl NameServer {
    fn start() -> Result<NameServer> {
        let folder = folder()?;
        let file = folder.path().join("resolv.conf");
        fs::write(&file, "nameserver 127.0.0.1\n")?;
        instead_of(Path::new("/etc/resolv.conf"), &file)?;
        let socket = UdpSocket::bind("127.0.0.1:53")?;
        let (heard, queries): (Sender<_>, _) = channel();
        let hearing = socket.try_clone()?;
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = hearing.recv_from(&mut query) {
                if heard.send((query[..length].to_vec(), from)).is_err() {
                    return;
                }
            }
        });
        Ok(NameServer { socket, queries })
    }

    /// Waits for the next query.
    fn hear(&self) -> Result<(Vec<u8>, SocketAddr)> {
        self.queries
            .recv_timeout(patience())
            .context("the name server heard nothing")
    }

    /// Waits for the queries of one look-up: one for each IP version.
    fn hear_look_up(&self) -> Result<Vec<(Vec<u8>, SocketAddr)>> {
        Ok(vec![self.hear()?, self.hear()?])
    }

    /// There is no such name.
    fn deny(&self, queries: &[(Vec<u8>, SocketAddr)]) -> Result<()> {
        for (query, from) in queries {
            let mut answer = query.clone();
            // Response, recursion desired and available, NXDOMAIN; RFC 1035, 4.1.1.
            answer[2] = 0x81;
            answer[3] = 0x83;
            self.socket.send_to(&answer, from)?;
        }
        Ok(())
    }
}

fn may_resolve() -> Result<Policy> {
    policy_from(
        "version = 1\n[[allow]]\nid = \"slow\"\nops = [\"resolve\"]\nhost = [\"slow.example\"]\n",
    )
}

fn asking(place: Place, count: usize) -> Result<Guest> {
    Start::new("embed_names", place, may_resolve()?)
        .argument("slow.example")
        .argument(count)
        .start()
}

/// How many resolver threads there are, by their names; proc(5).
fn resolvers() -> Result<usize> {
    let mut count = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        // A thread may end while it is looked at.
        let name = fs::read_to_string(thread?.path().join("comm")).unwrap_or_default();
        count += usize::from(name.starts_with("sockgate-resolv"));
    }
    Ok(count)
}

/// Waits until so many resolver threads are left.
fn resolvers_settle(wanted: usize) -> Result<()> {
    let deadline = Instant::now() + patience();
    while resolvers()? != wanted {
        if Instant::now() > deadline {
            bail!("{} resolver threads instead of {wanted}", resolvers()?);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[test]
fn an_interruption_ends_the_wait() -> Result<()> {
    isolated("an_interruption_ends_the_wait", |server| {
        let mut pending = Vec::new();
        for place in Place::ALL {
            let guest = asking(place, 2)?;
            guest.expect("ready")?;
            pending.extend(server.hear_look_up()?);
            guest.wait_until_asleep()?;
            let raised = Instant::now();
            guest.cancel.interrupt();
            let line = guest.line()?;
            ensure!(line.text == "EINTR", "{}", line.text);
            println!(
                "a look-up was interrupted after {:?}, {place:?}",
                line.at - raised
            );
            ensure!(line.at - raised < Duration::from_secs(1));
            guest.expect("ready")?;
            // It goes on: its next look-up is answered.
            let next = server.hear_look_up()?;
            server.deny(&next)?;
            guest.expect("NoName")?;
            guest.expect("done")?;
            ensure!(guest.end()?.outcome == Outcome::Exited(0));
        }
        // The guests are gone, and the threads that they no longer waited for are not.
        resolvers_settle(3)?;
        server.deny(&pending)?;
        resolvers_settle(0)?;
        Ok(())
    })
}

#[test]
fn a_time_out_ends_the_wait() -> Result<()> {
    isolated("a_time_out_ends_the_wait", |server| {
        let mut pending = Vec::new();
        for place in Place::ALL {
            let guest = Start::new("embed_names", place, may_resolve()?)
                .argument("slow.example")
                .argument(2)
                .argument(300)
                .start()?;
            let asked = guest.line()?;
            ensure!(asked.text == "ready", "{}", asked.text);
            pending.extend(server.hear_look_up()?);
            let line = guest.line()?;
            ensure!(line.text == "ETIMEDOUT", "{}", line.text);
            let took = line.at - asked.at;
            println!("a look-up timed out after {took:?}, {place:?}");
            ensure!(took >= Duration::from_millis(300) && took < Duration::from_secs(5));
            // It goes on: its next look-up is answered in time.
            guest.expect("ready")?;
            let next = server.hear_look_up()?;
            server.deny(&next)?;
            guest.expect("NoName")?;
            guest.expect("done")?;
        }
        resolvers_settle(Place::ALL.len())?;
        server.deny(&pending)?;
        resolvers_settle(0)
    })
}

/// Guests that share a runtime share no wait: one that hangs in the resolver holds up no other's.
#[test]
fn other_guests_go_on_meanwhile() -> Result<()> {
    isolated("other_guests_go_on_meanwhile", |server| {
        for place in Place::ALL {
            let hanging = asking(place, 1)?;
            hanging.expect("ready")?;
            let pending = server.hear_look_up()?;
            hanging.wait_until_asleep()?;
            // More than there are threads in the runtime, one after the other and all at once.
            let others: Vec<_> = (0..6).map(|_| asking(place, 3)).collect::<Result<_>>()?;
            for _ in 0..3 {
                for other in &others {
                    other.expect("ready")?;
                }
                // All are waiting before the first is answered.
                let mut queries = Vec::new();
                for _ in &others {
                    queries.extend(server.hear_look_up()?);
                }
                server.deny(&queries)?;
                for other in &others {
                    other.expect("NoName")?;
                }
            }
            for other in others {
                other.expect("done")?;
                ensure!(other.end()?.outcome == Outcome::Exited(0));
            }
            // The one that hung has waited all the time, and is answered now.
            server.deny(&pending)?;
            hanging.expect("NoName")?;
            hanging.expect("done")?;
        }
        resolvers_settle(0)
    })
}

#[test]
fn a_stop_ends_the_wait_and_the_thread_outlives_the_guest() -> Result<()> {
    let name = "a_stop_ends_the_wait_and_the_thread_outlives_the_guest";
    isolated(name, |server| {
        let stopped = |place| -> Result<Vec<_>> {
            let guest = asking(place, 1)?;
            guest.expect("ready")?;
            let pending = server.hear_look_up()?;
            guest.wait_until_asleep()?;
            let raised = Instant::now();
            guest.cancel.stop();
            let ended = guest.end()?;
            println!(
                "a look-up was stopped after {:?}, {place:?}",
                ended.at - raised
            );
            ensure!(ended.outcome == Outcome::Stopped, "{ended:?}");
            ensure!(ended.at - raised < Duration::from_secs(1));
            Ok(pending)
        };
        for place in Place::ALL {
            let pending = stopped(place)?;
            resolvers_settle(1)?;
            server.deny(&pending)?;
            resolvers_settle(0)?;
            // Once more, now that everything is warm: nothing is left when the thread has ended.
            let before = descriptors()?;
            let pending = stopped(place)?;
            server.deny(&pending)?;
            resolvers_settle(0)?;
            let after = settled_descriptors(before)?;
            ensure!(
                after == before,
                "{before} descriptors before, {after} after"
            );
        }
        let guest = asking(Place::ReadyShared, 1)?;
        guest.expect("ready")?;
        let pending = server.hear_look_up()?;
        guest.wait_until_asleep()?;
        ensure!(guest.drop_future()?.outcome == Outcome::Dropped);
        resolvers_settle(1)?;
        server.deny(&pending)?;
        resolvers_settle(0)
    })
}

#[test]
fn the_number_of_threads_is_bounded() -> Result<()> {
    isolated("the_number_of_threads_is_bounded", |server| {
        let mut pending = Vec::new();
        let mut guests = Vec::new();
        let mut threads = Vec::new();
        for number in 0..OF_ALL / OF_ONE {
            let guest = asking(Place::ReadyShared, OF_ONE + 2)?;
            for _ in 0..OF_ONE {
                guest.expect("ready")?;
                pending.extend(server.hear_look_up()?);
                guest.wait_until_asleep()?;
                guest.cancel.interrupt();
                guest.expect("EINTR")?;
            }
            // One guest has as many as one may have.
            guest.expect("ready")?;
            guest.expect("Again")?;
            threads.push(resolvers()?);
            ensure!(threads[number] == (number + 1) * OF_ONE);
            guests.push(guest);
        }
        println!("{} resolver threads at most", resolvers()?);
        // All together have as many as all may have: a guest that has none is told the same.
        let late = asking(Place::ReadyShared, 1)?;
        late.expect("ready")?;
        late.expect("Again")?;
        ensure!(resolvers()? == OF_ALL);
        // Further guests show that further threads would be seen.
        Attack::new(
            "resolver-threads",
            "Resources",
            "resolver queries without end",
        )
        .tried("asks for names that nobody answers, and interrupts itself, again and again")
        .got("again")
        .saw(
            "/proc/self/task, threads beyond one guest's",
            threads[0] > OF_ONE,
            threads[1] > OF_ONE,
        )
        .state()?;
        // Once they are answered there is room again.
        drop(guests);
        server.deny(&pending)?;
        resolvers_settle(0)?;
        let next = asking(Place::ReadyShared, 1)?;
        next.expect("ready")?;
        let heard = server.hear_look_up()?;
        server.deny(&heard)?;
        next.expect("NoName")?;
        Ok(())
    })
}
