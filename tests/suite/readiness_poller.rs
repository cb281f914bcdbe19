//! What a guest's poller and its `poll` report of sockets whose native peers do everything that peers do, in
//! both waits. The guest takes its steps from the test (`poller_steps`).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{SockRef, Socket};
use sockgate_tests::{Guest, GuestRun, Prompt, Prompter, TempDir, free_port, patience};

const WAITS: [&str; 2] = ["park", "ready"];

/// A guest that may use TCP on 127.0.0.1, listen at `door`, hear `friend` at `ear`, and make pairs.
struct Stage {
    prompt: Prompt,
    guest: Guest,
    door: String,
    ear: String,
    friend: UdpSocket,
    _folder: TempDir,
}

impl Stage {
    fn new(wait: &str) -> Result<Stage> {
        Stage::with_listener_for(wait, "127.0.0.1")
    }

    /// Those at `peers` alone may connect to `door`.
    fn with_listener_for(wait: &str, peers: &str) -> Result<Stage> {
        let folder = sockgate_tests::folder()?;
        let prompter = Prompter::new(folder.path())?;
        let friend = UdpSocket::bind("127.0.0.1:0")?;
        let (door, ear) = (free_port()?, free_port()?);
        let policy = format!(
            r#"
version = 1
[limits]
sockets = 400
[[allow]]
id = "prompt"
family = ["unix"]
type = ["stream"]
ops = ["connect"]
path = ["{prompt}"]
[[allow]]
id = "pairs"
family = ["unix"]
type = ["stream"]
ops = ["socketpair"]
[[allow]]
id = "clients"
family = ["inet"]
type = ["stream"]
ops = ["listen"]
local = {{ cidr = ["127.0.0.1"], port = ["{door}"] }}
peer = {{ cidr = ["{peers}"] }}
[[allow]]
id = "servers"
family = ["inet"]
type = ["stream"]
ops = ["connect"]
cidr = ["127.0.0.1"]
port = ["*"]
[[allow]]
id = "friend"
family = ["inet"]
type = ["datagram"]
ops = ["bind", "receive"]
local = {{ cidr = ["127.0.0.1"], port = ["{ear}"] }}
peer = {{ cidr = ["127.0.0.1"], port = ["{friend}"] }}
"#,
            prompt = prompter.path().display(),
            friend = friend.local_addr()?.port(),
        );
        let guest = GuestRun::new("poller_steps")
            .wait_kind(wait)
            .policy_text(&policy)
            .argument(prompter.path())
            .start()?;
        let prompt = prompter
            .prompt()
            .with_context(|| format!("the guest said: {}", guest.stderr.text()))?;
        let mut stage = Stage {
            prompt,
            guest,
            door: format!("127.0.0.1:{door}"),
            ear: format!("127.0.0.1:{ear}"),
            friend,
            _folder: folder,
        };
        stage.ok("poller")?;
        Ok(stage)
    }

    fn ask(&mut self, step: &str) -> Result<String> {
        self.prompt.ask(step)
    }

    /// A step that goes well.
    fn ok(&mut self, step: &str) -> Result<()> {
        let answer = self.ask(step)?;
        ensure!(answer == "ok", "{step}: {answer}");
        Ok(())
    }

    /// The events of a step that waits.
    fn events(&mut self, step: &str) -> Result<String> {
        let answer = self.ask(step)?;
        let (elapsed, events) = answer.split_once(' ').unwrap_or((&answer, ""));
        elapsed
            .parse::<u64>()
            .with_context(|| format!("{step}: {answer}"))?;
        Ok(events.to_owned())
    }

    /// What is ready now, in the order of the tokens.
    fn now(&mut self) -> Result<String> {
        sorted(self.events("wait 0 64 0")?)
    }

    /// The guest's connection of this name, whose other end is the test's.
    fn connection(&mut self, name: &str) -> Result<TcpStream> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let answer = self.ask(&format!("connect {name} {}", listener.local_addr()?))?;
        ensure!(answer == "ok" || answer == "inprogress", "{answer}");
        let (peer, _) = listener.accept()?;
        peer.set_nodelay(true)?;
        peer.set_read_timeout(Some(patience()))?;
        Ok(peer)
    }
}

fn sorted(events: String) -> Result<String> {
    let mut all: Vec<(u64, &str)> = events
        .split_whitespace()
        .map(|event| {
            let (token, letters) = event.split_once('=').context("no token")?;
            Ok((token.parse()?, letters))
        })
        .collect::<Result<_>>()?;
    all.sort();
    let all: Vec<String> = all
        .iter()
        .map(|(token, letters)| format!("{token}={letters}"))
        .collect();
    Ok(all.join(" "))
}

fn in_both(test: impl Fn(&mut Stage) -> Result<()>) -> Result<()> {
    for wait in WAITS {
        test(&mut Stage::new(wait)?).with_context(|| format!("in {wait}"))?;
    }
    Ok(())
}

#[test]
fn levels_are_reported_until_they_fall() -> Result<()> {
    in_both(|stage| {
        let mut peer = stage.connection("a")?;
        stage.ok("register 0 a 7 r")?;
        ensure!(stage.now()?.is_empty());
        peer.write_all(b"level")?;
        for _ in 0..3 {
            ensure!(stage.events("wait 0 64 forever")? == "7=r");
            ensure!(stage.events("poll forever a=r")? == "0=r");
        }
        ensure!(stage.ask("recv a")? == "got level");
        ensure!(stage.now()?.is_empty() && stage.events("poll 0 a=r")?.is_empty());
        // Another interest, another token.
        stage.ok("modify 0 a 8 rw")?;
        ensure!(stage.events("wait 0 64 forever")? == "8=w");
        peer.write_all(b"both")?;
        ensure!(stage.events("poll forever a=r")? == "0=r");
        ensure!(stage.now()? == "8=rw");
        stage.ok("modify 0 a 18446744073709551615 -")?;
        ensure!(stage.now()?.is_empty());
        stage.ok("modify 0 a 18446744073709551615 r")?;
        ensure!(stage.now()? == "18446744073709551615=r");
        Ok(())
    })
}

#[test]
fn what_is_watched_twice_or_not_at_all_is_said() -> Result<()> {
    in_both(|stage| {
        let _peer = stage.connection("a")?;
        ensure!(stage.ask("modify 0 a 1 r")? == "noent");
        ensure!(stage.ask("unregister 0 a")? == "noent");
        stage.ok("register 0 a 1 r")?;
        ensure!(stage.ask("register 0 a 2 w")? == "exist");
        // Another handle is the same socket, and another poller another matter.
        stage.ok("dup a again")?;
        ensure!(stage.ask("register 0 again 2 w")? == "exist");
        stage.ok("poller")?;
        stage.ok("register 1 again 3 w")?;
        ensure!(stage.events("wait 1 64 0")? == "3=w");
        stage.ok("drop-poller 1")?;
        stage.ok("modify 0 again 4 w")?;
        ensure!(stage.now()? == "4=w");
        stage.ok("unregister 0 again")?;
        ensure!(stage.ask("unregister 0 a")? == "noent");
        ensure!(stage.now()?.is_empty());
        // In and out, over and over: nothing is kept of it.
        for _ in 0..100 {
            stage.ok("register 0 a 5 w")?;
            stage.ok("unregister 0 a")?;
        }
        stage.ok("register 0 a 6 w")?;
        ensure!(stage.now()? == "6=w");
        Ok(())
    })
}

#[test]
fn two_sockets_with_one_token_are_both_reported() -> Result<()> {
    in_both(|stage| {
        let (mut one, mut other) = (stage.connection("a")?, stage.connection("b")?);
        stage.ok("register 0 a 5 r")?;
        stage.ok("register 0 b 5 rw")?;
        ensure!(stage.now()? == "5=w");
        one.write_all(b"1")?;
        other.write_all(b"2")?;
        ensure!(stage.events("poll forever a=r")? == "0=r");
        ensure!(stage.events("poll forever b=r")? == "0=r");
        ensure!(stage.now()? == "5=r 5=rw");
        Ok(())
    })
}

#[test]
fn a_socket_leaves_with_its_last_handle() -> Result<()> {
    in_both(|stage| {
        let mut peer = stage.connection("a")?;
        stage.ok("register 0 a 1 r")?;
        stage.ok("dup a b")?;
        peer.write_all(b"x")?;
        ensure!(stage.events("wait 0 64 forever")? == "1=r");
        stage.ok("close a")?;
        ensure!(stage.now()? == "1=r");
        stage.ok("close b")?;
        ensure!(stage.now()?.is_empty());
        // The peer has the end, so that nothing kept the socket open.
        ensure!(matches!(peer.read(&mut [0]), Ok(0) | Err(_)));
        Ok(())
    })
}

#[test]
fn the_peers_end_is_told_in_its_parts() -> Result<()> {
    in_both(|stage| {
        let peer = stage.connection("a")?;
        stage.ok("register 0 a 1 r")?;
        peer.shutdown(Shutdown::Write)?;
        ensure!(stage.events("wait 0 64 forever")? == "1=rc");
        ensure!(stage.ask("recv a")? == "got ");
        stage.ok("modify 0 a 1 w")?;
        ensure!(stage.now()? == "1=w", "nobody asked for the end");
        // A pair whose other end is gone is hung up, asked for or not.
        stage.ok("pair c d")?;
        stage.ok("register 0 c 2 -")?;
        ensure!(stage.now()? == "1=w");
        stage.ok("close d")?;
        ensure!(stage.now()? == "1=w 2=h");
        Ok(())
    })
}

#[test]
fn a_reset_is_an_error_that_can_be_taken() -> Result<()> {
    in_both(|stage| {
        let peer = stage.connection("a")?;
        stage.ok("register 0 a 1 -")?;
        ensure!(stage.now()?.is_empty());
        SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
        drop(peer);
        ensure!(stage.events("wait 0 64 forever")? == "1=eh");
        ensure!(stage.ask("take-error a")? == "connreset");
        ensure!(stage.ask("take-error a")? == "none");
        ensure!(stage.now()? == "1=h", "the error is taken, the end remains");
        Ok(())
    })
}

#[test]
fn out_of_band_data_has_priority() -> Result<()> {
    in_both(|stage| {
        let peer = stage.connection("a")?;
        stage.ok("register 0 a 1 p")?;
        SockRef::from(&peer).send_out_of_band(b"!")?;
        ensure!(stage.events("wait 0 64 forever")? == "1=p");
        ensure!(stage.events("poll forever a=p")? == "0=p");
        Ok(())
    })
}

#[test]
fn a_connection_that_is_made_or_refused_is_writable() -> Result<()> {
    in_both(|stage| {
        let free = free_port()?;
        // Nobody listens: it may be known at once, and else it comes as an event.
        let answer = stage.ask(&format!("connect refused 127.0.0.1:{free}"))?;
        if answer == "inprogress" {
            stage.ok("register 0 refused 1 w")?;
            let events = stage.events("wait 0 64 forever")?;
            ensure!(events == "1=weh", "{events}");
            ensure!(stage.ask("take-error refused")? == "connrefused");
            stage.ok("unregister 0 refused")?;
        } else {
            ensure!(answer == "connrefused", "{answer}");
        }
        // A listener with a full backlog leaves the connection under way until there is room.
        let listener = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        listener.listen(0)?;
        let address = listener.local_addr()?.as_socket().context("no address")?;
        let first = TcpStream::connect(address)?;
        let answer = stage.ask(&format!("connect later {address}"))?;
        ensure!(answer == "inprogress", "{answer}");
        stage.ok("register 0 later 2 w")?;
        ensure!(stage.now()?.is_empty());
        let _taken = listener.accept()?;
        drop(first);
        // The client's kernel asks again after a second.
        ensure!(stage.events("wait 0 64 forever")? == "2=w");
        ensure!(stage.ask("take-error later")? == "none");
        let (accepted, _) = listener.accept()?;
        stage.ok("send later made")?;
        let mut bytes = [0; 4];
        (&accepted).read_exact(&mut bytes)?;
        ensure!(&bytes == b"made");
        Ok(())
    })
}

#[test]
fn a_listener_is_readable_while_a_connection_waits() -> Result<()> {
    in_both(|stage| {
        let door = stage.door.clone();
        stage.ok(&format!("listen l {door}"))?;
        stage.ok("register 0 l 1 r")?;
        stage.ok("poller")?;
        ensure!(stage.now()?.is_empty());
        let _one = TcpStream::connect(&door)?;
        for _ in 0..3 {
            ensure!(stage.events("wait 0 64 forever")? == "1=r");
        }
        // The look took the only connection from the kernel; a poller and a poll that come later see it too.
        ensure!(stage.events("poll 0 l=r")? == "0=r");
        stage.ok("register 1 l 9 -")?;
        ensure!(stage.events("wait 1 64 0")?.is_empty());
        stage.ok("modify 1 l 9 r")?;
        ensure!(stage.events("wait 1 64 0")? == "9=r");
        // Two at once are one event, and go one by one.
        let _other = TcpStream::connect(&door)?;
        ensure!(stage.now()? == "1=r");
        stage.ok("accept l first")?;
        ensure!(stage.now()? == "1=r");
        stage.ok("accept l second")?;
        ensure!(stage.now()?.is_empty());
        ensure!(stage.events("wait 1 64 0")?.is_empty());
        ensure!(stage.ask("accept l third")? == "again");
        // What `poll` took is told to pollers too, at once and however they are asked.
        let _third = TcpStream::connect(&door)?;
        ensure!(stage.events("poll forever l=r")? == "0=r");
        ensure!(stage.events("wait 0 1 forever")? == "1=r");
        ensure!(stage.events("wait 1 1 forever")? == "9=r");
        stage.ok("unregister 0 l")?;
        ensure!(stage.now()?.is_empty());
        Ok(())
    })
}

#[test]
fn connections_that_the_policy_hides_wake_nobody() -> Result<()> {
    for wait in WAITS {
        let mut stage = Stage::with_listener_for(wait, "127.0.0.2")?;
        let door = stage.door.clone();
        stage.ok(&format!("listen l {door}"))?;
        stage.ok("register 0 l 1 r")?;
        let strangers: Vec<TcpStream> = (0..3)
            .map(|_| TcpStream::connect(&door))
            .collect::<Result<_, _>>()?;
        ensure!(stage.events("wait 0 64 20000000")?.is_empty());
        for mut stranger in strangers {
            stranger.set_read_timeout(Some(patience()))?;
            ensure!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)), "{wait}");
        }
        // The twin.
        let friend = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        friend.bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into())?;
        friend.connect(&door.parse::<std::net::SocketAddr>()?.into())?;
        ensure!(stage.events("wait 0 64 forever")? == "1=r", "{wait}");
        stage.ok("accept l friend")?;
        ensure!(stage.guest.audit()?.denied("accept").is_ok());
    }
    Ok(())
}

#[test]
fn datagrams_that_the_policy_hides_wake_nobody() -> Result<()> {
    in_both(|stage| {
        let ear = stage.ear.clone();
        stage.ok(&format!("bind u {ear}"))?;
        stage.ok("register 0 u 1 r")?;
        let stranger = UdpSocket::bind("127.0.0.1:0")?;
        stranger.send_to(b"hidden", &ear)?;
        ensure!(stage.now()?.is_empty());
        ensure!(stage.events("poll 0 u=r")?.is_empty());
        stranger.send_to(b"hidden", &ear)?;
        ensure!(stage.events("wait 0 64 20000000")?.is_empty());
        // More than one look puts aside, and one to be seen behind them: the queue holds some 200.
        for step in ["wait 0 64 forever", "poll forever u=r"] {
            for _ in 0..150 {
                stranger.send_to(b"h", &ear)?;
            }
            stage.friend.send_to(b"seen", &ear)?;
            let events = stage.events(step)?;
            ensure!(events.ends_with("=r"), "{step}: {events}");
            ensure!(stage.ask("recv u")? == "got seen");
            for _ in 0..150 {
                stranger.send_to(b"h", &ear)?;
            }
            stage.friend.send_to(b"seen", &ear)?;
            let events = stage.events(&step.replace("forever", "0"))?;
            ensure!(events.ends_with("=r"), "{step} at once: {events}");
            ensure!(stage.ask("recv u")? == "got seen");
        }
        Ok(())
    })
}

/// While the guest is asleep in its wait: what is hidden does not end it, and what comes after it does.
#[test]
fn a_sleeping_poller_misses_nothing_behind_what_is_hidden() -> Result<()> {
    in_both(|stage| {
        let ear = stage.ear.clone();
        stage.ok(&format!("bind u {ear}"))?;
        stage.ok("register 0 u 1 r")?;
        let stranger = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..20 {
            stage.prompt.tell("wait 0 64 forever")?;
            for _ in 0..150 {
                stranger.send_to(b"h", &ear)?;
            }
            stage.friend.send_to(b"seen", &ear)?;
            let answer = stage.prompt.answer()?;
            ensure!(answer.ends_with(" 1=r"), "{answer}");
            ensure!(stage.ask("recv u")? == "got seen");
        }
        Ok(())
    })
}

/// With fewer events asked for than there are, each socket has its turn: those of the kernel and those that
/// only the host knows of (listeners whose connection it took).
#[test]
fn nobody_starves_where_few_events_are_asked_for() -> Result<()> {
    in_both(|stage| {
        let door = stage.door.clone();
        stage.ok(&format!("listen l {door}"))?;
        stage.ok("register 0 l 0 r")?;
        let _client = TcpStream::connect(&door)?;
        ensure!(stage.events("wait 0 64 forever")? == "0=r");
        let mut peers = Vec::new();
        for token in 1..=5 {
            peers.push(stage.connection(&format!("s{token}"))?);
            stage.ok(&format!("register 0 s{token} {token} w"))?;
        }
        for max in [1, 2, 4] {
            let mut seen = [0; 6];
            for _ in 0..24 {
                let events = stage.events(&format!("wait 0 {max} forever"))?;
                let tokens: Vec<usize> = events
                    .split(' ')
                    .filter_map(|event| event.split_once('=')?.0.parse().ok())
                    .collect();
                ensure!((1..=max).contains(&tokens.len()), "{events}");
                for token in tokens {
                    seen[token] += 1;
                }
            }
            ensure!(
                seen.iter().all(|&times| times >= 2),
                "of {max} at a time, these were seen so often: {seen:?}"
            );
        }
        ensure!(stage.now()? == "0=r 1=w 2=w 3=w 4=w 5=w");
        Ok(())
    })
}

#[test]
fn time_outs_are_kept() -> Result<()> {
    in_both(|stage| {
        let _peer = stage.connection("a")?;
        stage.ok("register 0 a 1 r")?;
        for step in ["wait 0 64", "wait 0 0", "poll"] {
            for nanoseconds in [0_u64, 1, 1_000, 1_000_001, 15_000_000] {
                let line = match step {
                    "poll" => format!("poll {nanoseconds} a=r"),
                    _ => format!("{step} {nanoseconds}"),
                };
                // An empty answer is the time alone.
                let elapsed: u64 = stage.ask(&line)?.parse().context(line.clone())?;
                ensure!(elapsed >= nanoseconds, "{line}: {elapsed}");
            }
        }
        Ok(())
    })
}

#[test]
fn an_interrupted_socket_ends_the_wait_that_finds_nothing_ready() -> Result<()> {
    in_both(|stage| {
        let (mut a, _b) = (stage.connection("a")?, stage.connection("b")?);
        stage.ok("register 0 a 1 r")?;
        stage.ok("register 0 b 2 r")?;
        stage.ok("interrupt b")?;
        // What is ready goes first, and the interruption is kept.
        a.write_all(b"x")?;
        ensure!(stage.events("poll forever a=r")? == "0=r");
        ensure!(stage.events("wait 0 64 forever")? == "1=r");
        ensure!(stage.ask("recv a")? == "got x");
        ensure!(stage.ask("wait 0 64 forever")? == "intr");
        stage.ok("interrupt b")?;
        ensure!(stage.ask("poll forever b=r")? == "intr");
        ensure!(stage.now()?.is_empty(), "it is taken once");
        Ok(())
    })
}
