//! `sockgate learn` on each example whose sockets every kernel has: what is learnt is enough for the example,
//! and not for its neighbour. Those of other families are in `family_learn`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, Guest, GuestRun, Native, Tool, folder, free_port, guest_with, has_ipv6, lesson,
    listening, oracle, patience, skip, steps, tcp_echo, udp_echo,
};

/// What comes back over a stream until its end.
fn asked(mut stream: TcpStream, text: &str) -> Result<String> {
    stream.set_read_timeout(Some(patience()))?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn tcp(address: &str, text: &str) -> Result<String> {
    asked(TcpStream::connect(address)?, text)
}

fn udp(address: &str, text: &str) -> Result<String> {
    let any = if address.starts_with('[') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(patience()))?;
    socket.connect(address)?;
    socket.send(text.as_bytes())?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn ended(guest: Guest) -> Result<Ended> {
    guest.wait(patience())
}

/// A client to a port that no lesson is about.
fn stranger() -> Result<GuestRun> {
    Ok(guest_with(
        "echo-client",
        &[format!("127.0.0.1:{}", free_port()?)],
    ))
}

#[test]
fn the_echo_server_and_its_client() -> Result<()> {
    let name = "the_echo_server_and_its_client";
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let place = folder()?;
    let path = place.path().join("echo.sock").display().to_string();
    let port = free_port()?;
    let words = ["--clients", "3", &port.to_string(), &path].map(str::to_owned);
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        guest.wait_for_line("listening on unix ", patience())?;
        for host in ["127.0.0.1", "[::1]"] {
            let to = format!("{host}:{port}");
            assert_eq!(udp(&to, "over UDP")?, "over UDP");
            assert_eq!(tcp(&to, "over TCP")?, "over TCP");
        }
        let mut unix = UnixStream::connect(&path)?;
        unix.write_all(b"over a path")?;
        unix.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        unix.read_to_string(&mut answer)?;
        assert_eq!(answer, "over a path");
        ended(guest)
    };
    let text = lesson(|| guest_with("echo-server", &words), play, stranger()?)?;
    ensure!(
        text.contains("\"listen\"") && text.contains("\"reply\""),
        "{text}"
    );
    ensure!(
        !text.contains("\"connect\"") && !text.contains("\"send-to\""),
        "{text}"
    );

    let server = tcp_echo("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", server.port());
    let client = |to: String| guest_with("echo-client", &["--bytes", "100000", &to]);
    let finish = |run: GuestRun| run.finish(patience());
    let scanner = || guest_with("port-scanner", &["127.0.0.1", "1-3"]);
    lesson(|| client(address.clone()), finish, scanner())?;
    // By name: the rule is for the name, and the number needs it to be resolved.
    let by_name = || client(format!("localhost:{}", server.port()));
    let text = lesson(by_name, finish, client(address.clone()))?;
    ensure!(text.contains(r#"host = ["localhost"]"#), "{text}");
    ensure!(
        text.contains(r#"host-may-be = ["loopback"]"#) && !text.contains("cidr"),
        "{text}"
    );
    Ok(())
}

#[test]
fn servers_that_answer_in_capitals() -> Result<()> {
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let once = |guest: &str, clients: &str| guest_with(guest, &["--clients", clients, &address]);
    let by_tcp = |run: GuestRun| {
        let guest = listening(run)?;
        assert_eq!(tcp(&address, "hello\n")?, "HELLO\n");
        ended(guest)
    };
    let by_udp = |run: GuestRun| {
        let guest = listening(run)?;
        assert_eq!(udp(&address, "hello")?, "HELLO");
        ended(guest)
    };
    lesson(|| once("upper-tcp", "1"), by_tcp, once("upper-udp", "1"))?;
    lesson(|| once("upper-udp", "1"), by_udp, once("upper-tcp", "1"))?;
    lesson(
        || once("many-clients", "1"),
        by_tcp,
        once("udp-answers-anyone", "1"),
    )?;
    let both = |run: GuestRun| {
        let guest = listening(run)?;
        assert_eq!(tcp(&address, "hello\n")?, "HELLO\n");
        assert_eq!(udp(&address, "hello")?, "HELLO");
        ended(guest)
    };
    lesson(|| once("upper-server", "2"), both, stranger()?)?;
    Ok(())
}

#[test]
fn the_proxy_and_its_one_server() -> Result<()> {
    let server = tcp_echo("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let to = |port: u16| {
        let server = format!("127.0.0.1:{port}");
        guest_with("proxy", &["--clients", "1", &address, &server])
    };
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        assert_eq!(tcp(&address, "through")?, "through");
        ended(guest)
    };
    lesson(|| to(server.port()), play, stranger()?)?;
    Ok(())
}

#[test]
fn those_who_know_the_key() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let key = |run: GuestRun| run.environment("KEY", "secret");
    let server = || key(guest_with("hmac-server", &["--clients", "1", &address]));
    let client = || key(guest_with("hmac-client", &[&address, "hello there"]));
    let elsewhere = format!("127.0.0.1:{}", free_port()?);
    let serve = |run: GuestRun| {
        let guest = listening(run)?;
        client()
            .allow(&format!("tcp connect {address}"))
            .finish(patience())?
            .success()?;
        ended(guest)
    };
    lesson(server, serve, client())?;
    let ask = |run: GuestRun| {
        let guest = listening(server().allow(&format!("tcp listen {address}")))?;
        let asked = run.finish(patience())?;
        ended(guest)?.success()?;
        Ok(asked)
    };
    lesson(client, ask, guest_with("upper-tcp", &[&elsewhere]))?;
    Ok(())
}

#[test]
fn a_page_by_name() -> Result<()> {
    let name = "a_page_by_name";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let port = free_port()?;
    let fetch = |run: GuestRun| {
        let words = ["http-server", &port.to_string(), "/"];
        let native = Native::python(&python, "examples.py", words)?;
        native.wait_for_line("listening", patience())?;
        let fetched = run.finish(patience())?;
        native.stop()?;
        Ok(fetched)
    };
    let page = |host: &str| guest_with("http-client", &[format!("http://{host}:{port}/page")]);
    let text = lesson(|| page("localhost"), fetch, page("elsewhere.example"))?;
    ensure!(text.contains(r#"ops = ["connect", "resolve"]"#), "{text}");
    Ok(())
}

#[test]
fn paths_and_what_goes_over_them() -> Result<()> {
    let place = folder()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    let service = path("service.sock");
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        let mut stream = UnixStream::connect(&service)?;
        stream.write_all(b"ping\nbye\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert_eq!(answer, "pong\nbye\n");
        ended(guest)
    };
    let once = || guest_with("unix-service", &["--clients", "1", &service]);
    let other = path("other.sock");
    let text = lesson(once, play, guest_with("unix-service", &[&other]))?;
    ensure!(text.contains(r#"path = ["service.sock"]"#), "{text}");

    let (datagrams, own) = (path("datagrams.sock"), path("own.sock"));
    let native = UnixDatagram::bind(&datagrams)?;
    native.set_read_timeout(Some(patience()))?;
    let play = |run: GuestRun| {
        let guest = run.start()?;
        let mut asked = [0; 100];
        let (length, client) = native.recv_from(&mut asked)?;
        assert_eq!(&asked[..length], b"hello");
        let client = client.as_pathname().context("a client without a name")?;
        native.send_to(b"HELLO", client)?;
        ended(guest)
    };
    let client = |to: &str| guest_with("unix-datagram-client", &[to, &own, "hello"]);
    let text = lesson(|| client(&datagrams), play, client(&other))?;
    ensure!(
        text.contains(r#"local = { root"#) && text.contains(r#"peer = { root"#),
        "{text}"
    );
    Ok(())
}

#[test]
fn datagrams_to_anyone_to_all_and_to_a_group() -> Result<()> {
    let name = "datagrams_to_anyone_to_all_and_to_a_group";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let address = format!("127.0.0.1:{}", free_port()?);
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        ensure!(udp(&address, "a")?.ends_with("sent 1 bytes\n"));
        ended(guest)
    };
    let once = || guest_with("udp-answers-anyone", &["--clients", "1", &address]);
    let text = lesson(once, play, guest_with("std-net", &["udp", &address]))?;
    ensure!(
        text.contains(r#"ops = ["bind", "receive", "reply"]"#),
        "{text}"
    );

    let (client, server) = (free_port()?, free_port()?);
    let all = |server: u16| {
        let (own, to) = (
            format!("0.0.0.0:{client}"),
            format!("127.255.255.255:{server}"),
        );
        guest_with(
            "broadcaster",
            &["--clients", "1", "--wait", "60000", &own, &to],
        )
    };
    let play = |run: GuestRun| {
        let words = ["broadcast-server", &server.to_string()];
        let native = Native::python(&python, "examples.py", words)?;
        native.wait_for_line("listening", patience())?;
        let ended = run.finish(patience())?;
        native.finish(patience())?;
        Ok(ended)
    };
    let text = lesson(|| all(server), play, all(free_port()?))?;
    ensure!(text.contains("so.broadcast"), "{text}");

    let port = free_port()?.to_string();
    let of = |group: &str| {
        let group = format!("{group}:{port}");
        guest_with("multicast-listener", &["--clients", "1", &group, "lo"])
    };
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        let words = ["multicast", "239.1.1.1", &port, "one"];
        Native::python(&python, "examples.py", words)?.finish(patience())?;
        ended(guest)
    };
    let text = lesson(|| of("239.1.1.1"), play, of("239.1.1.2"))?;
    ensure!(text.contains(r#"group = ["239.1.1.1"]"#), "{text}");
    Ok(())
}

#[test]
fn sockets_that_are_handed_over() -> Result<()> {
    let peer = tcp_echo("127.0.0.1:0")?;
    let place = folder()?;
    let path = place.path().join("hand-over.sock").display().to_string();
    let address = format!("127.0.0.1:{}", peer.port());
    let receiver = || guest_with("pass-socket-receiver", &[&path, "hello"]);
    let sender = || guest_with("pass-socket-sender", &[&address, &path]);
    let receive = |run: GuestRun| {
        let receiver = listening(run)?;
        sender()
            .allow(&format!("tcp connect {address}"))
            .allow(&format!("unix connect,descriptor-send {path} kinds=socket"))
            .finish(patience())?
            .success()?;
        ended(receiver)
    };
    let text = lesson(receiver, receive, sender())?;
    ensure!(
        text.contains(r#"ops = ["listen", "descriptor-receive"]"#),
        "{text}"
    );
    let send = |run: GuestRun| {
        let receiver = listening(receiver().allow(&format!("tcp connect {address}")).allow(
            &format!("unix listen,descriptor-receive {path} kinds=socket"),
        ))?;
        let sent = run.finish(patience())?;
        ended(receiver)?.success()?;
        Ok(sent)
    };
    let text = lesson(sender, send, receiver())?;
    ensure!(
        text.contains(r#"ops = ["connect", "descriptor-send"]"#),
        "{text}"
    );

    let address = format!("127.0.0.1:{}", free_port()?);
    let granted = || {
        let run = guest_with("granted-server", &["--clients", "1", "web"]);
        run.option("--socket")
            .option(format!("web=tcp-listen:{address}"))
    };
    let serve = |run: GuestRun| {
        let guest = listening(run)?;
        assert_eq!(tcp(&address, "hello")?, "HELLO");
        ended(guest)
    };
    let text = lesson(granted, serve, stranger()?)?;
    ensure!(
        !text.contains("listen\""),
        "what was given needs no rule:\n{text}"
    );
    Ok(())
}

#[test]
fn plain_programs_their_twins_and_a_scanner() -> Result<()> {
    let (stream, datagram) = (tcp_echo("127.0.0.1:0")?, udp_echo("127.0.0.1:0")?);
    let to = format!("127.0.0.1:{}", stream.port());
    let to_udp = format!("127.0.0.1:{}", datagram.port());
    let finish = |run: GuestRun| run.finish(patience());
    for guest in ["std-net", "std-net-twin"] {
        let client = || guest_with(guest, &["connect", &to, "udp", &to_udp]);
        lesson(client, finish, stranger()?).with_context(|| guest.to_owned())?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let serve = |run: GuestRun| {
            let guest = listening(run)?;
            assert_eq!(tcp(&address, "hello")?, "HELLO");
            ended(guest)
        };
        let server = || guest_with(guest, &["serve", &address]);
        lesson(server, serve, client()).with_context(|| guest.to_owned())?;
    }
    lesson(
        || guest_with("socketpair", &["hello"]),
        finish,
        guest_with("unix-service", &["/nowhere/x.sock"]),
    )?;
    let scan = |ports: &str| guest_with("port-scanner", &["127.0.0.1", ports]);
    let text = lesson(|| scan("5-9"), finish, scan("5-10"))?;
    ensure!(text.contains(r#"port = ["5-9"]"#), "{text}");
    Ok(())
}

/// A guest that waits for ever is interrupted, and what it did until then is written.
#[test]
fn what_was_seen_until_a_signal_is_written() -> Result<()> {
    let place = folder()?;
    for (signal, status) in [("INT", 130), ("TERM", 130)] {
        let out = place.path().join(format!("{signal}.toml"));
        let address = format!("127.0.0.1:{}", free_port()?);
        let guest = listening(guest_with("upper-tcp", &[&address]).learn(&out))?;
        assert_eq!(tcp(&address, "hello")?, "HELLO");
        let pid = guest.pid();
        let sent = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &pid.to_string()])
            .status()?;
        ensure!(sent.success());
        let ended = ended(guest)?;
        assert_eq!(ended.status.code(), Some(status), "{ended:?}");
        let text = std::fs::read_to_string(&out)?;
        ensure!(text.contains(r#"ops = ["listen"]"#), "{text}");
    }
    Ok(())
}

/// What a base policy denies is refused while learning, and what it grants is not learnt again.
#[test]
fn a_base_policy_holds() -> Result<()> {
    let place = folder()?;
    let out = place.path().join("learnt.toml");
    let (granted, learnt, denied) = (
        tcp_echo("127.0.0.1:0")?,
        tcp_echo("127.0.0.1:0")?,
        tcp_echo("127.0.0.1:0")?,
    );
    let base = format!(
        "version = 1\n[[allow]]\nid = \"known\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"connect\"]\n\
         cidr = [\"127.0.0.1\"]\nport = [\"{}\"]\n\
         [[deny]]\nid = \"never\"\nport = [\"{}\"]\ncidr = [\"127.0.0.1\"]\n",
        granted.port(),
        denied.port()
    );
    let mut words = Vec::new();
    for peer in [&granted, &learnt, &denied] {
        words.extend(["connect".to_owned(), format!("127.0.0.1:{}", peer.port())]);
    }
    let run = || guest_with("std-net-twin", &words).policy_text(&base);
    let ended = run().learn(&out).finish(patience())?;
    assert_eq!(ended.audit.denied("connect")?.rule(), "never");
    let text = std::fs::read_to_string(&out)?;
    let port = |port: u16| format!("\"{port}\"");
    ensure!(text.contains(&port(learnt.port())), "{text}");
    ensure!(!text.contains(&port(granted.port())), "{text}");
    ensure!(!text.contains(&denied.port().to_string()), "{text}");
    let seen = [granted.seen(), learnt.seen(), denied.seen()];
    assert_eq!(seen, [1, 1, 0]);
    // Both files together grant what neither grants alone.
    let again = run().policy(&out).finish(patience())?;
    let refused = again
        .audit
        .records()
        .iter()
        .filter(|record| record.is_denied());
    assert_eq!(refused.count(), 1);
    assert_eq!([granted.seen(), learnt.seen(), denied.seen()], [2, 2, 0]);
    Ok(())
}

/// Flags are learnt with the messages that carry them, and go with no others.
#[test]
fn flags_are_learnt_with_their_messages() -> Result<()> {
    let place = folder()?;
    let out = place.path().join("learnt.toml");
    let echo = udp_echo("127.0.0.1:0")?;
    let send = format!("send-to s hello 127.0.0.1:{} dont-route", echo.port());
    let script = ["s = socket inet datagram", &send];
    let ended = steps(script).learn(&out).finish(patience())?;
    assert_eq!(ended.step(&send)?, "ok 5");
    let again = steps(script).policy(&out).finish(patience())?;
    assert_eq!(again.step(&send)?, "ok 5");

    // What was learnt without them lets them not pass.
    let plain = send.replace(" dont-route", "");
    let ended = steps([script[0], &plain]).learn(&out).finish(patience())?;
    assert_eq!(ended.step(&plain)?, "ok 5");
    let again = steps(script).policy(&out).finish(patience())?;
    assert_eq!(again.step(&send)?, "acces");
    Ok(())
}

/// Nobody waits for a guest to have run to hear that its policy has no place.
#[test]
fn a_place_that_cannot_be_written_is_told_at_once() -> Result<()> {
    let ended = guest_with("socketpair", &["hello"])
        .learn(std::path::Path::new("/nowhere/learnt.toml"))
        .finish(patience())?;
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    ensure!(ended.stdout.is_empty() && ended.stderr.contains("/nowhere/learnt.toml"));
    Ok(())
}
