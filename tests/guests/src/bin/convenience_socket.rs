//! The methods of the socket object: `ACTION ARGUMENTS...`, as the functions below say. Where Python says the same
//! in `tests/native/convenience.py`, the lines have its form.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use sockgate_guest::{
    Events, Interest, Poller, Protocol, Shutdown, Socket, SocketType, Timeout, default_timeout,
    poll, set_default_timeout, socketpair,
};
use sockgate_test_guests::{address, named, pattern, socket_for, tell, word, words};

fn main() -> io::Result<()> {
    let mut words = words();
    let action = word(&mut words, "ACTION")?;
    let rest: Vec<String> = words.collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (action.as_str(), &rest[..]) {
        ("kinds", triples) => kinds(triples),
        ("time-outs", times) => time_outs(times),
        ("defaults", [own]) => defaults(own),
        ("waits", [own, server, hole]) => waits(own, server, hole),
        ("send-all", [server, bytes, time]) => send_all(server, bytes, time),
        ("life", [server]) => life(server),
        ("connect-ex", [server, closed, hole, name]) => connect_ex(server, closed, hole, name),
        ("halves", [server]) => halves(server),
        ("vanished", [server]) => vanished(server),
        ("data", [server, own]) => data(server, own),
        ("blocked", [call, there, name]) => blocked(call, there, name),
        other => Err(io::Error::other(format!("no such action: {other:?}"))),
    }
}

/// What came of it, in one word.
fn said<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => named(&error),
    }
}

fn connected(server: &str, first: &str) -> io::Result<Socket> {
    let server = address(server)?;
    let socket = socket_for(&server, SocketType::Stream)?;
    socket.connect(&server)?;
    socket.send_all(first.as_bytes())?;
    Ok(socket)
}

fn listening(own: &str) -> io::Result<Socket> {
    let own = address(own)?;
    let socket = socket_for(&own, SocketType::Stream)?;
    socket.set_reuse_address(true)?;
    socket.bind(&own)?;
    socket.listen(5)?;
    Ok(socket)
}

/// `kinds FAMILY/TYPE/PROTOCOL...`
fn kinds(triples: &[&str]) -> io::Result<()> {
    for triple in triples {
        let numbers: Vec<i32> = triple
            .split('/')
            .map(|number| number.parse().map_err(io::Error::other))
            .collect::<io::Result<_>>()?;
        let [family, socket_type, protocol] = numbers[..] else {
            return Err(io::Error::other(triple.to_string()));
        };
        match Socket::from_numbers(family, socket_type, protocol) {
            Ok(socket) => println!(
                "made {triple} {} {} {} {}",
                socket.family()?.number().unwrap_or_default(),
                socket.socket_type()?.number(),
                socket.protocol()?.number(),
                truth(socket.blocking()),
            ),
            Err(error) => println!("failed {triple} {}", named(&error)),
        }
    }
    Ok(())
}

fn truth(truth: bool) -> &'static str {
    if truth { "True" } else { "False" }
}

fn show_time(timeout: Timeout) -> String {
    match Option::<Duration>::from(timeout) {
        None => "None".to_owned(),
        Some(time) => format!("{:.9}", time.as_secs_f64()),
    }
}

/// `time-outs TIME...`: sets each on one socket, and says what it has then.
fn time_outs(times: &[&str]) -> io::Result<()> {
    let (socket, _) = socketpair(SocketType::Stream)?;
    for time in times {
        match *time {
            "True" | "False" => socket.set_blocking(*time == "True"),
            "None" => socket.set_timeout(None),
            number => {
                let seconds = number.parse().map_err(io::Error::other)?;
                let Ok(duration) = Duration::try_from_secs_f64(seconds) else {
                    println!("time-out {time} refused");
                    continue;
                };
                socket.set_timeout(duration);
            }
        }
        let blocking = truth(socket.blocking());
        println!("time-out {time} {} {blocking}", show_time(socket.timeout()));
    }
    Ok(())
}

/// `defaults OWN`: which time-out new and accepted sockets have.
fn defaults(own: &str) -> io::Result<()> {
    let listener = listening(own)?;
    let own = address(own)?;
    let client = |timeout: Option<Duration>| -> io::Result<Socket> {
        let own = own.as_ip().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(sockgate_guest::create_connection(own, timeout)?.into_socket())
    };
    println!("default {}", show_time(default_timeout()));
    listener.set_timeout(Duration::from_secs(30));
    let first = client(None)?;
    let (accepted, _) = listener.accept()?;
    println!("accepted {}", show_time(accepted.timeout()));
    set_default_timeout(Duration::from_millis(2500));
    println!("default {}", show_time(default_timeout()));
    let new = socket_for(&own, SocketType::Stream)?;
    println!("new {}", show_time(new.timeout()));
    println!("older {}", show_time(first.timeout()));
    let second = client(None)?;
    let (accepted, _) = listener.accept()?;
    println!("accepted {}", show_time(accepted.timeout()));
    println!("connected {}", show_time(second.timeout()));
    let third = client(Some(Duration::from_secs(4)))?;
    println!("connected {}", show_time(third.timeout()));
    let (one, _) = socketpair(SocketType::Stream)?;
    println!("pair {}", show_time(one.timeout()));
    set_default_timeout(None);
    let new = socket_for(&own, SocketType::Stream)?;
    println!("new {}", show_time(new.timeout()));
    Ok(())
}

/// `waits OWN SERVER HOLE`: what ends a wait, and when.
fn waits(own: &str, server: &str, hole: &str) -> io::Result<()> {
    let listener = listening(own)?;
    let echo = connected(server, "echo\n")?;
    let hole = address(hole)?;
    for time in [Duration::ZERO, Duration::from_millis(60)] {
        let far = socket_for(&hole, SocketType::Stream)?;
        for socket in [&listener, &echo, &far] {
            socket.set_timeout(time);
        }
        let timed = |call: &str, run: &dyn Fn() -> io::Result<()>| {
            let begin = Instant::now();
            let result = run();
            let early = begin.elapsed() < time;
            let kind = result.as_ref().err().map(io::Error::kind);
            println!("{call} {} {kind:?} early {early}", said(result));
        };
        println!("wait {}", time.as_millis());
        timed("accept", &|| listener.accept().map(drop));
        timed("recv", &|| echo.recv(&mut [0; 10]).map(drop));
        timed("connect", &|| far.connect(&hole));
    }
    // A wait that is over took nothing away.
    echo.set_timeout(None);
    echo.send_all(b"still here")?;
    println!("heard {}", String::from_utf8_lossy(&echo.recv_vec(100)?));
    Ok(())
}

/// `send-all SERVER BYTES MILLISECONDS`: to one that reads slowly.
fn send_all(server: &str, bytes: &str, time: &str) -> io::Result<()> {
    let socket = connected(server, "slow\n")?;
    let bytes = bytes.parse().map_err(io::Error::other)?;
    let time = Duration::from_millis(time.parse().map_err(io::Error::other)?);
    socket.set_timeout(time);
    let begin = Instant::now();
    let result = socket.send_all(&pattern(3, bytes));
    println!("send-all {}", said(result));
    println!("elapsed {}", begin.elapsed().as_millis());
    println!("time-out {}", socket.timeout() == time.into());
    // A time-out beyond every clock is none.
    let echo = connected(server, "echo\n")?;
    echo.set_timeout(Duration::from_nanos(u64::MAX - 5));
    println!("endless {}", said(echo.send_all(b"hello")));
    Ok(())
}

/// `life SERVER`: handles on one connection, one after the other ended.
fn life(server: &str) -> io::Result<()> {
    let socket = connected(server, "until-end\n")?;
    println!("local {}", socket.local_address()?);
    let clone = socket.try_clone()?;
    let numbers = (socket.fileno(), clone.fileno());
    println!("fileno stays {}", socket.fileno() == numbers.0);
    println!(
        "fileno differs {}",
        numbers.0.is_some() && numbers.0 != numbers.1
    );
    println!("inheritable {}", socket.inheritable()?);
    println!("not inheritable {}", said(socket.set_inheritable(false)));
    println!("made inheritable {}", said(socket.set_inheritable(true)));

    socket.send_all(b"one ")?;
    socket.close()?;
    println!("close {}", said(socket.close()));
    println!("send {}", said(socket.send(b"x")));
    println!("recv {}", said(socket.recv(&mut [0; 1])));
    println!("getsockname {}", said(socket.local_address()));
    println!("get inheritable {}", said(socket.inheritable()));
    println!("set inheritable {}", said(socket.set_inheritable(false)));
    println!("fileno {:?}", socket.fileno());

    clone.send_all(b"two")?;
    let held = clone.detach()?;
    println!("detached");
    let word = connected(server, "wait\nlife\n")?.recv_vec(10)?;
    println!("heard {}", String::from_utf8_lossy(&word));
    drop(held);
    println!("dropped");
    let word = connected(server, "wait\ndropped\n")?.recv_vec(10)?;
    println!("heard {}", String::from_utf8_lossy(&word));
    Ok(())
}

/// `connect-ex SERVER CLOSED HOLE NAME`
fn connect_ex(server: &str, closed: &str, hole: &str, name: &str) -> io::Result<()> {
    let [server, closed, hole] = [address(server)?, address(closed)?, address(hole)?];
    let new = || socket_for(&server, SocketType::Stream);
    let told = |what: &str, result: io::Result<Result<(), sockgate_guest::Errno>>| match result {
        Ok(Ok(())) => println!("{what} ok"),
        Ok(Err(errno)) => println!("{what} {}", errno.name()),
        Err(error) => println!("{what} raised {}", named(&error)),
    };
    let socket = new()?;
    told("server", socket.connect_ex(&server));
    // The second one may hear no more than that the first, which had to wait, succeeded.
    socket.connect_ex(&server)?.ok();
    told("again", socket.connect_ex(&server));
    told("closed", new()?.connect_ex(&closed));
    let slow = new()?;
    slow.set_blocking(false);
    told("hole", slow.connect_ex(&hole));
    told("hole again", slow.connect_ex(&hole));
    told("name", new()?.connect_ex(name));
    told("no name", new()?.connect_ex("nobody.invalid:80"));
    told("denied", new()?.connect_ex("127.0.0.99:1"));
    // A connection that was under way, and is made.
    let quick = new()?;
    quick.set_blocking(false);
    let begun = quick.connect_ex(&server)?;
    let under_way = matches!(begun, Ok(()) | Err(sockgate_guest::Errno::INPROGRESS));
    poll(&[(&quick, Interest::WRITABLE)], None)?;
    let error = quick.take_error()?;
    println!("under way {under_way} {error:?} {}", quick.peer_address()?);
    Ok(())
}

/// `halves SERVER`
fn halves(server: &str) -> io::Result<()> {
    let writes = connected(server, "until-end\nmine")?;
    writes.shutdown(Shutdown::Write)?;
    println!("send {}", said(writes.send(b"more")));
    let mut heard = Vec::new();
    (&writes).read_to_end(&mut heard)?;
    println!("heard {}", String::from_utf8_lossy(&heard));

    let reads = connected(server, "until-end\nall of it")?;
    reads.shutdown(Shutdown::Read)?;
    println!("recv {}", reads.recv(&mut [0; 10])?);
    reads.send_all(b" and more")?;
    reads.shutdown(Shutdown::Write)?;

    // The server holds its own end back: what it sent would reset a connection that nobody hears any more.
    let both = connected(server, "held\nboth\n")?;
    both.send_all(b"to the end")?;
    both.shutdown(Shutdown::Both)?;
    println!("recv {}", both.recv(&mut [0; 10])?);
    println!("send {}", said(both.send(b"more")));
    println!("peer {}", said(both.peer_address()));
    tell("sent", b"to the end");
    // Keeps them until the server has told of all.
    connected(server, "wait\nhalves\n")?.recv_vec(10)?;
    Ok(())
}

/// `vanished SERVER`: the peer is gone, with and without a farewell.
fn vanished(server: &str) -> io::Result<()> {
    let closed = connected(server, "close\n")?;
    println!("recv after close {}", closed.recv(&mut [0; 10])?);
    println!("send after close {}", until_it_fails(&closed)?);
    let reset = connected(server, "reset\n")?;
    println!("recv after reset {}", said(reset.recv(&mut [0; 10])));
    println!("send after reset {}", said(reset.send(b"x")));
    println!("write after reset {}", said((&reset).write_all(b"x")));
    println!("alive");
    Ok(())
}

/// The first sends may go through before the peer's answer is there: what the first one says that does not.
fn until_it_fails(socket: &Socket) -> io::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        let Err(error) = socket.send(b"more") else {
            poll(&[(socket, Interest::empty())], Duration::from_millis(5))?;
            continue;
        };
        return Ok(named(&error));
    }
    Ok("for ever".to_owned())
}

/// `data SERVER OWN`: every plain send and receive, over TCP and UDP. OWN is an address to come from.
fn data(server: &str, own: &str) -> io::Result<()> {
    let server = address(server)?;
    let own = address(own)?;
    let stream = socket_for(&server, SocketType::Stream)?;
    stream.bind(&own)?;
    stream.connect(&server)?;
    println!("stream local {}", stream.local_address()?);
    println!("stream peer {}", stream.peer_address()?);
    stream.send_all(b"echo\n")?;
    let all = pattern(4, 300_000);
    let mut back = vec![0; all.len()];
    for (piece, room) in all.chunks(50_000).zip(back.chunks_mut(50_000)) {
        stream.send_all(piece)?;
        (&stream).read_exact(room)?;
    }
    tell("sent", &all);
    tell("received", &back);
    println!("sent {}", stream.send(b"twelve bytes")?);
    let vector = stream.recv_vec(6)?;
    let mut room = *b"..........";
    let length = stream.recv(&mut room[2..])?;
    println!(
        "recv {} recv_into {length} {}",
        String::from_utf8_lossy(&vector),
        String::from_utf8_lossy(&room)
    );

    let datagrams = socket_for(&server, SocketType::Datagram)?;
    datagrams.bind(&own)?;
    println!("datagram peer {}", said(datagrams.peer_address()));
    println!("sendto {}", datagrams.send_to(b"hello", &server)?);
    let (length, source) = datagrams.recv_from(&mut room)?;
    let heard = String::from_utf8_lossy(&room[..length]);
    println!(
        "recvfrom {heard} {}",
        source.map_or_else(String::new, |a| a.to_string())
    );
    datagrams.send_to(b"a longer one", &server)?;
    let (length, _) = datagrams.recv_from(&mut room[..4])?;
    let heard = String::from_utf8_lossy(&room[..length]);
    println!("recvfrom_into {length} {heard}");
    // The rest of that one is lost: the next receive gives the next one.
    datagrams.send_to(b"next", &server)?;
    println!("recv {}", String::from_utf8_lossy(&datagrams.recv_vec(10)?));
    datagrams.connect(&server)?;
    datagrams.send(b"connected")?;
    println!("recv {}", String::from_utf8_lossy(&datagrams.recv_vec(10)?));
    println!("protocol {:?}", datagrams.protocol()? == Protocol::Udp);
    Ok(())
}

/// `blocked recv|accept|connect|send|poll|poller THERE NAME`: waits, and says what ended the wait. Where the server
/// has a part in that, it waits until NAME is released.
fn blocked(call: &str, there: &str, name: &str) -> io::Result<()> {
    if call == "accept" {
        let listener = listening(there)?;
        println!("blocked");
        println!("accept {}", said(listener.accept()));
        return Ok(());
    }
    if call == "connect" {
        let hole = address(there)?;
        let socket = socket_for(&hole, SocketType::Stream)?;
        socket.set_timeout(Duration::from_millis(400));
        println!("blocked");
        println!("connect {}", said(socket.connect(&hole)));
        return Ok(());
    }
    if call == "send" {
        let socket = connected(there, &format!("held\n{name}\n"))?;
        let data = pattern(5, 8 << 20);
        println!("blocked");
        println!("send {}", said(socket.send_all(&data)));
        tell("sent", &data);
        return socket.shutdown(Shutdown::Write);
    }
    let socket = connected(there, &format!("wait\n{name}\n"))?;
    println!("blocked");
    match call {
        "recv" => {}
        "poll" => {
            let ready = poll(&[(&socket, Interest::READABLE)], None);
            println!("poll {}", said(ready));
        }
        "poller" => {
            let poller = Poller::new()?;
            poller.register(&socket, 1, Interest::READABLE)?;
            let events = poller.wait(8, None);
            let readable = events
                .as_ref()
                .is_ok_and(|events| events[0].events.contains(Events::READABLE));
            println!("poller {} {readable}", said(events));
        }
        other => return Err(io::Error::other(format!("no such call: {other}"))),
    }
    println!("recv {}", String::from_utf8_lossy(&socket.recv_vec(10)?));
    Ok(())
}
