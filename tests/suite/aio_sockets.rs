//! The executor of `sockgate_guest::aio` over the real host: many connections in one guest, timers, what is
//! dropped and aborted while it waits, and both directions of one socket.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, SockAddr, Socket, Type};
use sockgate_tests::{
    Ended, Guest, GuestRun, folder, free_port, patience, pattern, sha256, tcp_echo, told,
};

fn guest(action: &str, rules: &[&str]) -> GuestRun {
    let run = GuestRun::new("aio").argument(action);
    rules.iter().fold(run, |run, rule| run.allow(rule))
}

/// A guest that connects to a native listener.
fn towards(action: &str) -> Result<(Guest, TcpListener)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let guest = guest(action, &[&format!("tcp connect {address}")]).argument(&address);
    Ok((guest.start()?, listener))
}

fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(patience()))?;
    Ok(stream)
}

fn said<'a>(ended: &'a Ended, verb: &str) -> Vec<String> {
    let lines: Vec<&'a str> = ended.stdout.lines().collect();
    told(&lines, verb)
}

const LIMITS: &str = "version = 1\n[limits]\nsockets = 1000\n";

#[test]
fn hundreds_of_connections_are_echoed_at_once() -> Result<()> {
    const CLIENTS: usize = 300;
    let address = format!("127.0.0.1:{}", free_port()?);
    let guest = guest("echo", &[&format!("tcp listen {address}")])
        .policy_text(LIMITS)
        .argument(&address)
        .argument(CLIENTS.to_string())
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let connections = (0..CLIENTS).map(|_| TcpStream::connect(&address));
    let connections = connections.collect::<Result<Vec<_>, _>>()?;
    // Everybody sends before anybody reads, and all twice: they are open at once.
    for round in 0..2 {
        for (number, mut stream) in connections.iter().enumerate() {
            stream.write_all(&pattern((number + round) as u64, 3000))?;
        }
        for (number, mut stream) in connections.iter().enumerate() {
            stream.set_read_timeout(Some(patience()))?;
            let mut back = vec![0; 3000];
            stream.read_exact(&mut back)?;
            ensure!(back == pattern((number + round) as u64, 3000), "{number}");
        }
    }
    drop(connections);
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "most"), [format!("{CLIENTS} at once")]);
    assert_eq!(
        said(&ended, "echoed"),
        [format!("{} bytes", CLIENTS * 6000)]
    );
    Ok(())
}

#[test]
fn hundreds_of_clients_of_one_guest_talk_at_once() -> Result<()> {
    let peer = tcp_echo("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", peer.port());
    let ended = guest("clients", &[&format!("tcp connect {address}")])
        .policy_text(LIMITS)
        .argument(&address)
        .argument("200")
        .finish(patience())?
        .success()?;
    assert_eq!(ended.stdout, "200 of 200 came back");
    assert_eq!(peer.seen(), 200);
    Ok(())
}

#[test]
fn timers_without_sockets_are_never_early() -> Result<()> {
    let ended = guest("timers", &[]).finish(patience())?.success()?;
    ensure!(ended.stdout.starts_with("500 of 500 were not early"));
    assert_eq!(said(&ended, "timeout"), ["timedout"]);
    let took: u64 = said(&ended, "took")[0].parse()?;
    ensure!(took >= 119, "{took} ms for 99.8 and 20");
    Ok(())
}

#[test]
fn two_tasks_use_both_directions_of_one_socket() -> Result<()> {
    let peer = tcp_echo("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", peer.port());
    let ended = guest("both", &[&format!("tcp connect {address}")])
        .argument(&address)
        .finish(patience())?
        .success()?;
    let wanted = pattern(1, 4 << 20);
    let wanted = format!("{} {}", wanted.len(), sha256(&wanted));
    assert_eq!(said(&ended, "sent"), said(&ended, "back"));
    ensure!(
        said(&ended, "back")[0].starts_with(&wanted[..7]),
        "{wanted}"
    );
    Ok(())
}

#[test]
fn what_is_dropped_while_it_waits_loses_nothing() -> Result<()> {
    let (guest, listener) = towards("silent")?;
    let mut stream = accept(&listener)?;
    let mut asked = [0; 8];
    stream.read_exact(&mut asked[..5])?;
    stream.write_all(b"words")?;
    stream.read_exact(&mut asked[5..])?;
    stream.write_all(b"more words")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(&asked, b"speak up");
    assert_eq!(said(&ended, "silence"), ["timedout early=false"; 3]);
    assert_eq!(said(&ended, "second"), ["true"]);
    assert_eq!(said(&ended, "heard"), ["words", "more words"]);
    Ok(())
}

#[test]
fn an_aborted_task_closes_its_socket() -> Result<()> {
    let (guest, listener) = towards("abort")?;
    for _ in 0..2 {
        let mut stream = accept(&listener)?;
        assert_eq!(
            stream.read(&mut [0; 10])?,
            0,
            "the end, while the guest lives"
        );
    }
    drop(accept(&listener)?);
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "finished"), ["false"]);
    assert_eq!(said(&ended, "closed"), ["badf"]);
    assert_eq!(said(&ended, "last"), ["0"]);
    Ok(())
}

/// Processor time of a process, in ticks of 10 ms.
fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("too short")?.parse()?) };
    Ok(next()? + next()?)
}

#[test]
fn what_nobody_waits_for_keeps_nobody_busy() -> Result<()> {
    let (guest, listener) = towards("unread")?;
    let mut stream = accept(&listener)?;
    let _idle = accept(&listener)?;
    stream.write_all(b"unread")?;
    guest.wait_for_line("sleeping", patience())?;
    // Data, the end, and a hang-up: each would be reported for ever.
    let before = ticks(guest.pid())?;
    stream.write_all(b" data")?;
    drop(stream);
    guest.wait_for_line("slept", patience())?;
    let spent = ticks(guest.pid())? - before;
    ensure!(spent < 20, "{spent} ticks of 60 while it slept");
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "read"), ["unread data"]);
    Ok(())
}

#[test]
fn lines_survive_a_time_out_and_have_a_limit() -> Result<()> {
    let (guest, listener) = towards("lines")?;
    let mut stream = accept(&listener)?;
    stream.write_all(b"one line\nhalf of ")?;
    let mut go_on = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut go_on)?;
    assert_eq!(go_on, "go on\n");
    stream.write_all(b"another\nfew")?;
    stream.write_all(&[b'x'; 1100])?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "line"), ["one line", "half of another"]);
    assert_eq!(said(&ended, "late"), ["timedout line=\"\""]);
    assert_eq!(said(&ended, "kept"), ["\"half of \""]);
    assert_eq!(said(&ended, "few"), ["few"]);
    assert_eq!(said(&ended, "long"), ["InvalidData"]);
    Ok(())
}

#[test]
fn two_tasks_share_a_udp_socket() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let rule = format!("udp bind,receive,reply {address} peer 127.0.0.1");
    let guest = guest("udp", &[&rule])
        .argument(&address)
        .argument("20")
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    for number in 0..20 {
        let client = UdpSocket::bind("127.0.0.1:0")?;
        client.set_read_timeout(Some(patience()))?;
        client.send_to(format!("{number}").as_bytes(), &address)?;
        let mut answer = [0; 100];
        let length = client.recv(&mut answer)?;
        let answer = std::str::from_utf8(&answer[..length])?;
        ensure!(answer.starts_with(&format!("{number} by ")), "{answer}");
    }
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "answered"), ["20"]);
    Ok(())
}

#[test]
fn unix_streams_and_datagrams_are_awaited() -> Result<()> {
    let place = folder()?;
    let [stream, datagram, own] = ["stream", "datagram", "own"].map(|name| place.path().join(name));
    let guest = guest(
        "unix",
        &[
            &format!("unix-stream listen {}", stream.display()),
            &format!("unix-datagram bind,receive,reply {}", datagram.display()),
            "unix-stream socketpair",
            "unix-stream connect @sockgate-nobody-is-here",
        ],
    )
    .argument(&stream)
    .argument(&datagram)
    .start()?;
    guest.wait_for_line("listening on both", patience())?;
    let client = UnixDatagram::bind(&own)?;
    client.set_read_timeout(Some(patience()))?;
    client.send_to(b"abc", &datagram)?;
    let mut answer = [0; 10];
    let length = client.recv(&mut answer)?;
    assert_eq!(&answer[..length], b"cba");
    let mut connection = UnixStream::connect(&stream)?;
    connection.set_read_timeout(Some(patience()))?;
    connection.write_all(b"stream")?;
    connection.shutdown(Shutdown::Write)?;
    let mut back = String::new();
    connection.read_to_string(&mut back)?;
    assert_eq!(back, "maerts");
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "pair"), ["pair"]);
    assert_eq!(said(&ended, "end"), ["UnexpectedEof"]);
    assert_eq!(said(&ended, "nobody"), ["connrefused"]);
    Ok(())
}

#[test]
fn a_unix_connect_waits_for_room_in_the_backlog() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("full.sock");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    listener.bind(&SockAddr::unix(&path)?)?;
    listener.listen(2)?;
    let rule = format!("unix-stream connect {}", path.display());
    let guest = guest("full", &[&rule]).argument(&path).start()?;
    guest.wait_for_line("full", patience())?;
    let (_one, _) = listener.accept()?;
    guest.wait_for_line("in", patience())?;
    guest.wait(patience())?.success()?;
    Ok(())
}

#[test]
fn any_socket_is_awaited_and_a_refusal_comes_at_once() -> Result<()> {
    let peer = tcp_echo("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", peer.port());
    let run = |rule: &str, to: &str| {
        let run = guest("raw", &[rule]).argument(to);
        run.finish(patience())?.success()
    };
    let ended = run(&format!("tcp connect {address}"), &address)?;
    assert_eq!(said(&ended, "heard"), ["raw"]);
    // Nobody listens there.
    let nobody = format!("127.0.0.1:{}", free_port()?);
    let ended = run(&format!("tcp connect {nobody}"), &nobody)?;
    assert_eq!(said(&ended, "refused"), ["connrefused"]);
    // The twin: the policy grants another port.
    let ended = run(&format!("tcp connect {nobody}"), &address)?;
    assert_eq!(said(&ended, "refused"), ["acces"]);
    ended.audit.denied("connect")?;
    assert_eq!(peer.seen(), 1);
    Ok(())
}

#[test]
fn nobody_keeps_others_from_their_turn() -> Result<()> {
    let guest = guest("greedy", &["unix-stream socketpair"]);
    let ended = guest.finish(patience())?.success()?;
    assert_eq!(ended.stdout, "had its turn");
    Ok(())
}

#[test]
fn a_socket_is_waited_for_through_one_handle() -> Result<()> {
    let (guest, listener) = towards("handles")?;
    let _stream = accept(&listener)?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "first"), ["TimedOut"]);
    assert_eq!(said(&ended, "second"), ["exist"]);
    assert_eq!(said(&ended, "third"), ["true"]);
    Ok(())
}

#[test]
fn the_poller_counts_as_one_socket_of_the_limit() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let run = |sockets: usize| {
        let limits = format!("version = 1\n[limits]\nsockets = {sockets}\n");
        guest("echo", &[&format!("tcp listen {address}")])
            .policy_text(&limits)
            .argument(&address)
            .argument("1")
            .start()
    };
    let refused = run(1)?.wait(patience())?;
    ensure!(!refused.status.success(), "{refused:?}");
    ensure!(refused.stderr.contains("EMFILE"), "{}", refused.stderr);
    // The twin has room for the listener, the poller and the connection.
    let guest = run(3)?;
    guest.wait_for_line("listening on ", patience())?;
    let mut stream = TcpStream::connect(&address)?;
    stream.write_all(b"one")?;
    stream.read_exact(&mut [0; 3])?;
    drop(stream);
    guest.wait(patience())?.success()?;
    Ok(())
}

#[test]
fn a_guest_that_nothing_can_wake_ends_and_says_so() -> Result<()> {
    let ended = guest("stuck", &[]).finish(patience())?;
    ensure!(!ended.status.success(), "{ended:?}");
    let text = "every task waits for another one, and none for a socket or a timer";
    ensure!(ended.stderr.contains(text), "{}", ended.stderr);
    Ok(())
}

#[test]
fn an_executor_leaves_no_descriptors_behind() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let guest = guest("echo", &[&format!("tcp listen {address}")])
        .argument(&address)
        .argument("41")
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let talk = || -> Result<()> {
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.write_all(b"hello")?;
        stream.shutdown(Shutdown::Write)?;
        let mut back = Vec::new();
        stream.read_to_end(&mut back)?;
        ensure!(back == b"hello");
        Ok(())
    };
    // The first one makes the poller.
    talk()?;
    let before = guest.descriptors()?;
    for _ in 0..39 {
        talk()?;
    }
    // The last one's end comes after its task's.
    let mut after = guest.descriptors()?;
    for _ in 0..1000 {
        if after <= before {
            break;
        }
        thread::sleep(Duration::from_millis(5));
        after = guest.descriptors()?;
    }
    ensure!(
        after <= before,
        "{before} descriptors before, {after} after"
    );
    talk()?;
    guest.wait(patience())?.success()?;
    Ok(())
}
