//! Every scenario of `examples/policies` with its guest and a native peer, and each with its denial: shown by
//! the audit, and by what the peer or the kernel saw.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sockgate_tests::{
    Audit, Ended, Guest, GuestRun, Native, Tool, command_path, folder, free_port, guest_path,
    oracle, patience, policy_path, tcp_echo, told,
};

/// An example's text with some of it put otherwise: where a policy names a port or a network that a test
/// cannot have on every machine.
fn amended(policy: &str, changes: &[(&str, &str)]) -> Result<String> {
    let mut text = fs::read_to_string(policy_path(policy))?;
    for (from, to) in changes {
        if !text.contains(from) {
            bail!("{policy}.toml has no `{from}` any more: amend this test");
        }
        text = text.replace(from, to);
    }
    Ok(text)
}

fn denied_at(ended: &Ended, operation: &str, address: &str) -> Result<()> {
    ensure!(!ended.status.success(), "{ended:?}");
    let record = ended.audit.denied(operation)?;
    ensure!(
        record.address() == address,
        "{record:?} is not about {address}"
    );
    ensure!(record.errno() == "acces", "{record:?}");
    Ok(())
}

fn ready(run: GuestRun) -> Result<Guest> {
    let guest = run.start()?;
    guest.wait_for_line("listening on ", patience())?;
    Ok(guest)
}

/// Nothing has come to this socket, nor will: whoever could have sent has ended.
fn heard_nothing(socket: &UdpSocket) -> Result<()> {
    socket.set_nonblocking(true)?;
    let error = socket.recv(&mut [0; 10]).err();
    let kind = error.map(|error| error.kind());
    ensure!(
        kind == Some(std::io::ErrorKind::WouldBlock),
        "a datagram came: {kind:?}"
    );
    Ok(())
}

#[test]
fn a_udp_server_answers_whoever_writes_and_nobody_else() -> Result<()> {
    let port = free_port()?;
    let policy = amended("udp-answers-anyone", &[("5353", &port.to_string())])?;
    let server = format!("127.0.0.1:{port}");
    let stranger = UdpSocket::bind("127.0.0.1:0")?;
    let run = GuestRun::new("udp-answers-anyone")
        .policy_text(&policy)
        .argument("--clients")
        .argument("2")
        .argument("--then")
        .argument(stranger.local_addr()?.to_string())
        .argument(&server);
    let guest = ready(run)?;
    for text in ["a", "bc"] {
        let client = UdpSocket::bind("127.0.0.1:0")?;
        client.set_read_timeout(Some(patience()))?;
        client.send_to(text.as_bytes(), &server)?;
        let mut answer = [0; 100];
        let (length, from) = client.recv_from(&mut answer)?;
        let wanted = format!(
            "you are {} and sent {} bytes\n",
            client.local_addr()?,
            text.len()
        );
        assert_eq!(String::from_utf8_lossy(&answer[..length]), wanted);
        assert_eq!(from.to_string(), server);
    }
    let ended = guest.wait(patience())?;
    denied_at(&ended, "send-to", &stranger.local_addr()?.to_string())?;
    heard_nothing(&stranger)
}

#[test]
fn an_http_client_by_name_is_refused_an_address_that_is_not_pinned() -> Result<()> {
    let name = "an_http_client_by_name_is_refused_an_address_that_is_not_pinned";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let port = free_port()?;
    // The one name that every machine knows; so the loopback is no longer shut.
    let policy = amended(
        "http-client",
        &[
            ("\"example.com\", \"*.example.com\"", "\"localhost\""),
            (
                "ops = [\"resolve\"",
                "host-may-be = [\"loopback\"]\nops = [\"resolve\"",
            ),
            ("\"80\", \"443\"", &format!("\"{port}\"")),
            ("class = [\"loopback\", ", "class = ["),
        ],
    )?;
    let fetch = |location: &str, url: &str| -> Result<(Ended, Vec<String>)> {
        let arguments = ["http-server", &port.to_string(), location];
        let native = Native::python(&python, "examples.py", arguments)?;
        native.wait_for_line("listening", patience())?;
        let run = GuestRun::new("http-client").policy_text(&policy);
        let ended = run.argument(url).finish(patience())?;
        Ok((ended, told(&native.stop()?, "asked")))
    };
    let url = format!("http://localhost:{port}/page");
    let (ended, _) = fetch("/", &url)?;
    assert_eq!(ended.success()?.stdout, "the page");

    // Redirected to an address that the name stood for a moment ago.
    let pinned = format!("http://127.0.0.1:{port}/page");
    let start = format!("http://localhost:{port}/");
    let (ended, asked) = fetch(&pinned, &start)?;
    assert_eq!(ended.success()?.stdout, "the page");
    assert_eq!(asked.len(), 2, "{asked:?}");

    // To another one, on which the same server listens: it never hears of it.
    let (ended, asked) = fetch(&format!("http://127.0.0.2:{port}/page"), &start)?;
    denied_at(&ended, "connect", &format!("127.0.0.2:{port}"))?;
    assert_eq!(asked, [format!("localhost:{port} /")]);

    // To a name that no rule knows.
    let (ended, asked) = fetch(&format!("http://elsewhere.example:{port}/page"), &start)?;
    ensure!(!ended.status.success(), "{ended:?}");
    ended.audit.denied("resolve")?;
    assert_eq!(asked.len(), 1, "{asked:?}");

    // And without the name, the number alone is refused from the start.
    let (ended, asked) = fetch("/", &pinned)?;
    denied_at(&ended, "connect", &format!("127.0.0.1:{port}"))?;
    assert!(asked.is_empty(), "{asked:?}");

    // The file as it stands keeps every guest from the loopback.
    let run = GuestRun::new("http-client").policy(policy_path("http-client"));
    let ended = run.argument("http://127.0.0.1:80/").finish(patience())?;
    denied_at(&ended, "connect", "127.0.0.1:80")?;
    assert_eq!(ended.audit.denied("connect")?.rule(), "no-lan");
    Ok(())
}

#[test]
fn a_broadcaster_reaches_the_servers_port_and_no_other() -> Result<()> {
    let name = "a_broadcaster_reaches_the_servers_port_and_no_other";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    // The loopback network's own broadcast address, so that nothing leaves the machine.
    let (client, server, other) = (free_port()?, free_port()?, free_port()?);
    let policy = amended(
        "broadcaster",
        &[
            ("port = [\"68\"]", &format!("port = [\"{client}\"]")),
            ("port = [\"67\"]", &format!("port = [\"{server}\"]")),
            ("class = [\"broadcast\"]", "cidr = [\"127.255.255.255\"]"),
            ("class = [\"private\"]", "class = [\"loopback\"]"),
        ],
    )?;
    let run = |policy: &str, port: u16| {
        GuestRun::new("broadcaster")
            .policy_text(policy)
            .argument("--clients")
            .argument("1")
            .argument("--wait")
            .argument("60000")
            .argument(format!("0.0.0.0:{client}"))
            .argument(format!("127.255.255.255:{port}"))
            .finish(patience())
    };
    let arguments = ["broadcast-server", &server.to_string()];
    let native = Native::python(&python, "examples.py", arguments)?;
    native.wait_for_line("listening", patience())?;
    let ended = run(&policy, server)?.success()?;
    let native = native.finish(patience())?;
    assert_eq!(
        told(&native, "from"),
        [format!("127.0.0.1 {client} discover")]
    );
    let answer = format!("127.0.0.1:{server} answers: offer");
    ensure!(ended.stdout.ends_with(&answer), "{}", ended.stdout);

    // Twins: another port, and the option that is not listed.
    let listener = UdpSocket::bind(("0.0.0.0", other))?;
    let ended = run(&policy, other)?;
    denied_at(&ended, "send-to", &format!("127.255.255.255:{other}"))?;
    heard_nothing(&listener)?;
    let mute = policy.replace("so.broadcast=1", "so.keepalive");
    let ended = run(&mute, server)?;
    ensure!(!ended.status.success(), "{ended:?}");
    ended.audit.denied("set-option")?;

    // The file as it stands grants none of this.
    let ended = GuestRun::new("broadcaster")
        .policy(policy_path("broadcaster"))
        .argument(format!("0.0.0.0:{client}"))
        .argument("127.255.255.255:67")
        .finish(patience())?;
    denied_at(&ended, "bind", &format!("0.0.0.0:{client}"))
}

#[test]
fn a_unix_datagram_client_binds_its_reply_path() -> Result<()> {
    let name = "a_unix_datagram_client_binds_its_reply_path";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    let run = |service: &str, own: &str| {
        GuestRun::new("unix-datagram-client")
            .policy(policy_path("unix-datagram-client"))
            .variable("dir", place.path().display())
            .argument(path(service))
            .argument(path(own))
            .argument("hello")
            .finish(patience())
    };
    let service = path("service.sock");
    let arguments = ["datagram-service", &service];
    let native = Native::python(&python, "examples.py", arguments)?;
    native.wait_for_line("listening", patience())?;
    let ended = run("service.sock", "client-1.sock")?.success()?;
    assert_eq!(ended.stdout, "answer: HELLO");
    let seen = told(&native.finish(patience())?, "from");
    assert_eq!(seen, [format!("{} hello", path("client-1.sock"))]);

    // Twins: a name of its own that is not one of a client's, and another service.
    let ended = run("service.sock", "service-2.sock")?;
    denied_at(&ended, "bind", &path("service-2.sock"))?;
    ensure!(!Path::new(&path("service-2.sock")).exists());
    let other = UnixDatagram::bind(path("other.sock"))?;
    let ended = run("other.sock", "client-1.sock")?;
    denied_at(&ended, "connect", &path("other.sock"))?;
    other.set_nonblocking(true)?;
    ensure!(other.recv(&mut [0; 10]).is_err());
    Ok(())
}

#[test]
fn a_multicast_listener_hears_its_group_alone() -> Result<()> {
    let name = "a_multicast_listener_hears_its_group_alone";
    let (Some(python), Some(strace)) = (oracle(Tool::Python, name), oracle(Tool::Strace, name))
    else {
        return Ok(());
    };
    let port = free_port()?.to_string();
    let run = |group: &str| {
        GuestRun::new("multicast-listener")
            .policy(policy_path("multicast-listener"))
            .variable("port", &port)
            .strace(&strace)
            .argument("--clients")
            .argument("2")
            .argument(format!("{group}:{port}"))
            .argument("lo")
    };
    let guest = ready(run("239.1.1.1"))?;
    let arguments = ["multicast", "239.1.1.1", &port, "one", "two"];
    let native = Native::python(&python, "examples.py", arguments)?.finish(patience())?;
    let from = told(&native, "sent").pop().context("nothing was sent")?;
    let ended = guest.wait(patience())?.success()?;
    let said: Vec<_> = ended.stdout.lines().skip(1).collect();
    assert_eq!(
        said,
        [
            format!("127.0.0.1:{from}: one"),
            format!("127.0.0.1:{from}: two")
        ]
    );
    let joins = |ended: &Ended| -> Result<usize> {
        let calls = ended.syscalls()?.of("setsockopt");
        Ok(calls
            .filter(|call| {
                call.line.contains("MCAST_JOIN_GROUP") || call.line.contains("ADD_MEMBERSHIP")
            })
            .count())
    };
    assert_eq!(joins(&ended)?, 1);

    // The twin: another group.
    let ended = run("239.1.1.2").finish(patience())?;
    ensure!(!ended.status.success(), "{ended:?}");
    ended.audit.denied("join-group")?;
    assert_eq!(joins(&ended)?, 0);
    Ok(())
}

/// A guest as a service manager would run it, with a listening socket under the name `web`.
fn activation(
    python: &Path,
    policy: &Path,
    audit: &Path,
    port: u16,
    sockets: &str,
) -> Result<Native> {
    let script = sockgate_tests::root().join("tests/native/examples.py");
    let mut launcher = Command::new(python);
    launcher.arg(script).arg("activate").arg(port.to_string());
    launcher.args(["web", sockets]);
    launcher.arg(command_path()?).arg("run");
    launcher.arg("--policy").arg(policy);
    launcher.arg("--audit").arg(audit);
    launcher.arg(guest_path("granted-server")?);
    launcher.args(["--clients", "1", "web"]);
    Native::start(&mut launcher)
}

fn activated(python: &Path, policy: &Path, audit: &Path, port: u16) -> Result<Native> {
    let native = activation(python, policy, audit, port, "1")?;
    native.wait_for_line("listening on web", patience())?;
    Ok(native)
}

#[test]
fn a_launcher_that_promises_sockets_it_does_not_hand_over_is_told() -> Result<()> {
    let name = "a_launcher_that_promises_sockets_it_does_not_hand_over_is_told";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    let audit = place.path().join("audit.jsonl");
    let policy = policy_path("socket-activation");
    // Descriptor 4 is closed: what the command opens itself must not be taken for it.
    let native = activation(&python, &policy, &audit, free_port()?, "2")?;
    let Err(error) = native.finish(Duration::from_secs(20)) else {
        bail!("two sockets were promised, one was there, and nobody said so");
    };
    let error = format!("{error:#}");
    ensure!(
        error.contains("LISTEN_FDS") && error.contains("exit status: 2"),
        "{error}"
    );
    Ok(())
}

#[test]
fn socket_activation_hands_a_guest_its_listener() -> Result<()> {
    let name = "socket_activation_hands_a_guest_its_listener";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    let audit = place.path().join("audit.jsonl");
    let port = free_port()?;
    let native = activated(&python, &policy_path("socket-activation"), &audit, port)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(patience()))?;
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HELLO");
    drop(stream);
    native.finish(patience())?;
    let records = Audit::read(&audit)?;
    ensure!(
        records.of("bind").count() + records.of("listen").count() == 0,
        "{records:?}"
    );

    // The twin: this machine's own addresses are those from afar.
    let policy = place.path().join("policy.toml");
    let text = amended("socket-activation", &[("\"global\"", "\"loopback\"")])?;
    fs::write(&policy, text)?;
    let audit = place.path().join("denied.jsonl");
    let port = free_port()?;
    let native = activated(&python, &policy, &audit, port)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(patience()))?;
    // Reset by the host before this is written, or after.
    let ended = stream
        .write_all(b"hello")
        .and_then(|()| stream.read(&mut answer));
    let error = ended.map_err(|error| error.kind());
    assert_eq!(error, Err(std::io::ErrorKind::ConnectionReset));
    let records = Audit::read(&audit)?;
    let record = records.records().iter().find(|record| record.is_denied());
    let record = record.context("no denial in the audit")?;
    assert_eq!(record.rule(), "not-from-afar");
    drop(native);
    Ok(())
}

#[test]
fn a_connected_socket_goes_from_one_guest_to_another_with_another_policy() -> Result<()> {
    for granted in [true, false] {
        let peer = tcp_echo("127.0.0.1:0")?;
        let place = folder()?;
        let path = place.path().join("hand-over.sock");
        let address = format!("127.0.0.1:{}", peer.port());
        let port = match granted {
            true => peer.port(),
            // The receiver may connect elsewhere, and so it may not have this connection.
            false => free_port()?,
        };
        let receiver = GuestRun::new("pass-socket-receiver")
            .policy(policy_path("pass-a-socket-to"))
            .variable("port", port)
            .variable("dir", place.path().display())
            .argument(&path)
            .argument("hello");
        let receiver = ready(receiver)?;
        let sender = GuestRun::new("pass-socket-sender")
            .policy(policy_path("pass-a-socket-from"))
            .variable("port", peer.port())
            .variable("dir", place.path().display())
            .argument(&address)
            .argument(&path)
            .finish(patience())?
            .success()?;
        sender.audit.granted("descriptor-send")?;
        let received = receiver.wait(patience())?;
        assert_eq!(received.status.success(), granted, "{received:?}");
        if granted {
            ensure!(
                received.stdout.ends_with("answer: hello"),
                "{}",
                received.stdout
            );
            ensure!(
                received
                    .stdout
                    .contains(&format!("got a connection to {address}"))
            );
        } else {
            let record = received.audit.denied("descriptor-receive")?;
            assert_eq!(record.address(), address);
            ensure!(
                received.stderr.contains("no socket came"),
                "{}",
                received.stderr
            );
        }
        assert_eq!(peer.seen(), 1);
    }

    // A sender whose policy says nothing of passing keeps its socket.
    let peer = tcp_echo("127.0.0.1:0")?;
    let place = folder()?;
    let path = place.path().join("hand-over.sock");
    let receiver = GuestRun::new("pass-socket-receiver")
        .policy(policy_path("pass-a-socket-to"))
        .variable("port", peer.port())
        .variable("dir", place.path().display())
        .argument(&path);
    let receiver = ready(receiver)?;
    let policy = amended(
        "pass-a-socket-from",
        &[
            (", \"descriptor-send\"]", "]"),
            ("kinds = [\"socket\"]", ""),
            ("${port}", &peer.port().to_string()),
            ("${dir}", &place.path().display().to_string()),
        ],
    )?;
    let sender = GuestRun::new("pass-socket-sender")
        .policy_text(&policy)
        .argument(format!("127.0.0.1:{}", peer.port()))
        .argument(&path)
        .finish(patience())?;
    ensure!(!sender.status.success(), "{sender:?}");
    sender.audit.denied("descriptor-send")?;
    let received = receiver.wait(patience())?;
    ensure!(!received.status.success(), "{received:?}");
    Ok(())
}

#[test]
fn a_socketpair_reaches_nobody_outside() -> Result<()> {
    let name = "a_socketpair_reaches_nobody_outside";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let run = || {
        GuestRun::new("socketpair")
            .argument("hello myself")
            .strace(&strace)
    };
    let pairs = |ended: &Ended| -> Result<usize> {
        let calls = ended.syscalls()?.of("socketpair");
        Ok(calls.filter(|call| call.line.contains("AF_UNIX")).count())
    };
    let ended = run()
        .policy(policy_path("socketpair"))
        .finish(patience())?
        .success()?;
    assert_eq!(ended.stdout, "heard: hello myself");
    let granted = pairs(&ended)?;
    ended.audit.granted("socketpair")?;

    // The twin: another type is granted; one pair fewer is made (the command's runtime has its own).
    let policy = amended("socketpair", &[("\"stream\"", "\"datagram\"")])?;
    let ended = run().policy_text(&policy).finish(patience())?;
    ensure!(!ended.status.success(), "{ended:?}");
    ended.audit.denied("socketpair")?;
    assert_eq!(pairs(&ended)? + 1, granted);
    Ok(())
}

#[test]
fn the_same_address_keeps_its_verdict_under_every_wait() -> Result<()> {
    let peer = tcp_echo("127.0.0.1:0")?;
    let place = folder()?;
    for wait in ["park", "ready"] {
        let run = GuestRun::new("echo-client")
            .wait_kind(wait)
            .policy(policy_path("pass-a-socket-from"))
            .variable("port", peer.port())
            .variable("dir", place.path().display());
        let ended = run
            .argument(format!("127.0.0.1:{}", peer.port()))
            .finish(Duration::from_secs(30))?
            .success()?;
        ensure!(ended.stdout.ends_with("answer: hello"), "{}", ended.stdout);
        let run = GuestRun::new("echo-client")
            .wait_kind(wait)
            .policy(policy_path("pass-a-socket-from"))
            .variable("port", free_port()?)
            .variable("dir", place.path().display());
        let ended = run
            .argument(format!("127.0.0.1:{}", peer.port()))
            .finish(Duration::from_secs(30))?;
        denied_at(&ended, "connect", &format!("127.0.0.1:{}", peer.port()))?;
    }
    assert_eq!(peer.seen(), 2);
    Ok(())
}
