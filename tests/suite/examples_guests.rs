//! Every example guest at work with a native peer, and refused where nothing is granted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, Guest, GuestRun, Native, Tool, folder, free_port, has_ipv6, oracle, patience,
    policy_path, skip, tcp_echo, told, udp_echo, unix_echo,
};

/// Runs the guest without a policy: it fails, and the audit says that this operation was refused first.
fn refused(guest: &str, arguments: &[&str]) -> Result<Ended> {
    let run = GuestRun::new(guest).environment("KEY", "secret");
    let run = arguments.iter().fold(run, |run, word| run.argument(*word));
    let ended = run.finish(patience())?;
    ensure!(!ended.status.success(), "{ended:?}");
    let record = ended.audit.denied("socket")?;
    assert_eq!(record.errno(), "acces");
    ensure!(ended.stderr.contains("EACCES"), "{}", ended.stderr);
    Ok(ended)
}

fn server(run: GuestRun) -> Result<Guest> {
    let guest = run.start()?;
    guest.wait_for_line("listening on ", patience())?;
    Ok(guest)
}

/// Sends a text over a stream and reads what comes back until the end.
fn converse(mut stream: TcpStream, text: &str) -> Result<String> {
    stream.set_read_timeout(Some(patience()))?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn datagram(from: &str, to: &str, text: &str) -> Result<String> {
    let socket = UdpSocket::bind(from)?;
    socket.set_read_timeout(Some(patience()))?;
    socket.connect(to)?;
    socket.send(text.as_bytes())?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[test]
fn echo_server_answers_on_every_family() -> Result<()> {
    let name = "echo_server_answers_on_every_family";
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let place = folder()?;
    let path = place.path().join("echo.sock");
    let port = free_port()?;
    let run = || {
        GuestRun::new("echo-server")
            .policy(policy_path("echo"))
            .variable("port", port)
            .variable("dir", place.path().display())
    };
    let guest = run()
        .argument("--clients")
        .argument("3")
        .argument(port.to_string())
        .argument(&path);
    let guest = server(guest)?;
    guest.wait_for_line("listening on unix ", patience())?;
    for host in ["127.0.0.1", "[::1]"] {
        let from = format!("{host}:0");
        let to = format!("{host}:{port}");
        assert_eq!(datagram(&from, &to, "over UDP")?, "over UDP");
        assert_eq!(converse(TcpStream::connect(&to)?, "over TCP")?, "over TCP");
    }
    let mut unix = UnixStream::connect(&path)?;
    unix.write_all(b"over a path")?;
    unix.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    unix.read_to_string(&mut answer)?;
    assert_eq!(answer, "over a path");
    guest.wait(patience())?.success()?;
    ensure!(!path.exists(), "the host left the guest's socket file");

    // The twin: another path than the policy's.
    let elsewhere = place.path().join("other.sock");
    let ended = run().argument(port.to_string()).argument(&elsewhere);
    let ended = ended.finish(patience())?;
    ensure!(!ended.status.success() && !elsewhere.exists(), "{ended:?}");
    ended.audit.denied("bind")?;
    Ok(())
}

#[test]
fn echo_client_talks_to_native_servers() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("echo.sock");
    let unix = unix_echo(&path)?;
    let tcp = tcp_echo("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", tcp.port());
    let path = path.display().to_string();
    let mut cases = vec![
        (format!("tcp connect {address}"), address.clone()),
        (format!("unix-stream connect {path}"), path),
    ];
    let six;
    if has_ipv6() {
        six = tcp_echo("[::1]:0")?;
        let address = format!("[::1]:{}", six.port());
        cases.push((format!("tcp connect {address}"), address));
    }
    for (rule, address) in cases {
        let run = GuestRun::new("echo-client")
            .allow(&rule)
            .argument("--bytes")
            .argument("1000000")
            .argument(&address);
        let ended = run.finish(patience())?.success()?;
        let answer = "1000000 bytes came back as they were";
        ensure!(ended.stdout.ends_with(answer), "{}", ended.stdout);
    }
    assert_eq!(unix.seen(), 1);
    refused("echo-client", &[&address])?;
    assert_eq!(tcp.seen(), 1);
    Ok(())
}

#[test]
fn the_echo_pair_knows_python() -> Result<()> {
    let name = "the_echo_pair_knows_python";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let place = folder()?;
    let port = free_port()?;
    let port_word = port.to_string();
    let guest = GuestRun::new("echo-server")
        .policy(policy_path("echo"))
        .variable("port", port)
        .variable("dir", place.path().display())
        .argument("--clients")
        .argument("2")
        .argument(&port_word)
        .argument(place.path().join("echo.sock"));
    let guest = server(guest)?;
    for host in ["127.0.0.1", "::1"] {
        let words = ["echo-client", host, &port_word, "one", "and another"];
        let native = Native::python(&python, "examples.py", words)?;
        let said = told(&native.finish(patience())?, "echo");
        assert_eq!(said, ["one", "and another"], "{host}");
    }
    guest.wait(patience())?.success()?;

    // The client by name: whichever of its addresses answers.
    let port = free_port()?;
    let words = ["echo-server", &port.to_string(), "1"];
    let native = Native::python(&python, "examples.py", words)?;
    native.wait_for_line("listening", patience())?;
    let address = format!("localhost:{port}");
    let run = |rule: &str| {
        let run = GuestRun::new("echo-client").allow(rule);
        run.argument(&address).argument("hello").finish(patience())
    };
    let rule = format!("tcp resolve,connect {address} host-may-be=loopback");
    let ended = run(&rule)?.success()?;
    ensure!(ended.stdout.ends_with("answer: hello"), "{}", ended.stdout);
    let clients = told(&native.finish(patience())?, "client");
    ensure!(
        clients == ["::1"] || clients == ["::ffff:127.0.0.1"],
        "{clients:?}"
    );
    // The twin: another name.
    let refused = run(&rule.replace("localhost", "example.com"))?;
    ensure!(!refused.status.success(), "{refused:?}");
    refused.audit.denied("resolve")?;
    Ok(())
}

#[test]
fn upper_servers_answer_in_capitals() -> Result<()> {
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let run = |guest: &str, rule: &str| {
        GuestRun::new(guest)
            .allow(&format!("{rule} {address}"))
            .argument("--clients")
            .argument("1")
            .argument(&address)
    };
    let guest = server(run("upper-tcp", "tcp listen"))?;
    assert_eq!(converse(TcpStream::connect(&address)?, "hello")?, "HELLO");
    guest.wait(patience())?.success()?;
    let guest = server(run("upper-udp", "udp bind,receive,reply"))?;
    assert_eq!(datagram("127.0.0.1:0", &address, "hello")?, "HELLO");
    guest.wait(patience())?.success()?;
    refused("upper-tcp", &[&address])?;
    refused("upper-udp", &[&address])?;
    refused("many-clients", &[&address])?;
    Ok(())
}

#[test]
fn hmac_client_and_server_know_python_s_hmac() -> Result<()> {
    let name = "hmac_client_and_server_know_python_s_hmac";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    for (key, welcome) in [("secret", true), ("guess", false)] {
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let arguments = ["hmac-server", &port.to_string(), "secret"];
        let native = Native::python(&python, "examples.py", arguments)?;
        native.wait_for_line("listening", patience())?;
        let ended = GuestRun::new("hmac-client")
            .allow(&format!("tcp connect {address}"))
            .environment("KEY", key)
            .argument(&address)
            .argument("hello there")
            .finish(patience())?;
        let native = native.finish(patience())?;
        assert_eq!(ended.status.success(), welcome, "{ended:?}");
        if welcome {
            assert_eq!(told(&native, "line"), ["hello there"]);
            ensure!(
                ended.stdout.ends_with("answer: HELLO THERE"),
                "{}",
                ended.stdout
            );
        } else {
            assert_eq!(native.last().map(String::as_str), Some("failure"));
        }

        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let guest = GuestRun::new("hmac-server")
            .policy(policy_path("hmac-server"))
            .variable("port", port)
            .environment("KEY", "secret")
            .argument("--clients")
            .argument("1")
            .argument(&address);
        let guest = server(guest)?;
        let arguments = ["hmac-client", &port.to_string(), key, "hello there"];
        let native = Native::python(&python, "examples.py", arguments)?;
        let native = native.finish(patience());
        guest.wait(patience())?.success()?;
        match welcome {
            true => assert_eq!(native?, ["#WELCOME#", "answer HELLO THERE"]),
            // The guest closes with the line unread, which Python may see as a reset.
            false => {
                let said = format!("{native:?}");
                ensure!(
                    said.contains("#FAILURE#") && !said.contains("HELLO"),
                    "{said}"
                );
            }
        }
        refused("hmac-client", &[&address])?;
        refused("hmac-server", &[&address])?;
    }
    Ok(())
}

#[test]
fn unix_service_answers_socat() -> Result<()> {
    let name = "unix_service_answers_socat";
    let Some(socat) = oracle(Tool::Socat, name) else {
        return Ok(());
    };
    let place = folder()?;
    let path = place.path().join("service.sock").display().to_string();
    let guest = server(
        GuestRun::new("unix-service")
            .allow(&format!("unix-stream listen {path}"))
            .argument("--clients")
            .argument("1")
            .argument(&path),
    )?;
    let own = place.path().join("own.sock");
    let mut client = Command::new(socat);
    client.args(["-t", "60", "-"]);
    client.arg(format!("UNIX-CONNECT:{path},bind={}", own.display()));
    let requests = b"ping\nupper a b\nreverse abc\nwho\nwhat\nbye\n";
    let answers = Native::with_input(&mut client, requests)?.finish(patience())?;
    let own = own.display().to_string();
    assert_eq!(
        answers,
        ["pong", "A B", "cba", &own, "unknown request: what", "bye"]
    );
    guest.wait(patience())?.success()?;
    refused("unix-service", &[&path])?;
    Ok(())
}

#[test]
fn std_net_and_its_twin_do_the_same() -> Result<()> {
    for guest in ["std-net", "std-net-twin"] {
        std_net(guest).with_context(|| guest.to_owned())?;
    }
    Ok(())
}

fn std_net(guest: &str) -> Result<()> {
    let tcp = tcp_echo("127.0.0.1:0")?;
    let udp = udp_echo("127.0.0.1:0")?;
    let to = format!("127.0.0.1:{}", tcp.port());
    let to_udp = format!("127.0.0.1:{}", udp.port());
    let run = GuestRun::new(guest)
        .allow(&format!("tcp connect {to}"))
        .allow(&format!("udp connect {to_udp}"))
        .allow("udp bind 0.0.0.0")
        .argument("connect")
        .argument(&to)
        .argument("udp")
        .argument(&to_udp);
    let ended = run.finish(patience())?.success()?;
    let said: Vec<_> = ended.stdout.lines().collect();
    let wanted = [
        format!("connect {to}: answered \"hello\""),
        format!("udp {to_udp}: answered \"hello\""),
    ];
    assert_eq!(said, wanted);

    let address = format!("127.0.0.1:{}", free_port()?);
    let serving = GuestRun::new(guest)
        .allow(&format!("tcp listen {address}"))
        .argument("serve")
        .argument(&address)
        .start()?;
    serving.wait_for_line("listening on ", patience())?;
    assert_eq!(converse(TcpStream::connect(&address)?, "hello")?, "HELLO");
    let ended = serving.wait(patience())?.success()?;
    ensure!(
        ended.stdout.ends_with("was asked \"hello\""),
        "{}",
        ended.stdout
    );

    // The twin: nothing is granted, and nobody hears of it.
    let ended = GuestRun::new(guest)
        .argument("connect")
        .argument(&to)
        .argument("bind")
        .argument(&address)
        .finish(patience())?;
    ensure!(!ended.status.success(), "{ended:?}");
    let said: Vec<_> = ended.stdout.lines().collect();
    let wanted = [
        format!("connect {to}: PermissionDenied"),
        format!("bind {address}: PermissionDenied"),
    ];
    assert_eq!(said, wanted);
    ensure!(
        ended
            .audit
            .records()
            .iter()
            .any(|record| record.is_denied())
    );
    assert_eq!(tcp.seen(), 1);
    Ok(())
}

#[test]
fn a_policy_stops_the_port_scanner() -> Result<()> {
    let listeners: Vec<_> = (0..5)
        .map(|_| tcp_echo("127.0.0.1:0"))
        .collect::<Result<_>>()?;
    let scan = |run: GuestRun, port: u16| {
        let range = format!("{port}-{port}");
        run.argument("127.0.0.1").argument(range).finish(patience())
    };
    for peer in &listeners {
        let place = folder()?;
        let run = GuestRun::new("port-scanner")
            .policy(policy_path("echo"))
            .variable("port", free_port()?)
            .variable("dir", place.path().display());
        let ended = scan(run, peer.port())?.success()?;
        let last = ended.stdout.lines().last();
        assert_eq!(last, Some("1 tried, 0 open, 1 refused by the policy"));
        let record = ended.audit.denied("connect")?;
        assert_eq!(record.address(), format!("127.0.0.1:{}", peer.port()));
        ensure!(record.grant().contains("tcp connect"), "{record:?}");
    }
    // The twin for the last of them, which sees one client in the end; the others saw none.
    let (last, others) = listeners.split_last().context("no listener")?;
    let run =
        GuestRun::new("port-scanner").allow(&format!("tcp connect 127.0.0.1:{}", last.port()));
    let ended = scan(run, last.port())?.success()?;
    let line = ended.stdout.lines().last();
    assert_eq!(line, Some("1 tried, 1 open, 0 refused by the policy"));
    // This connection comes after the guest's in the listener's queue, so its echo settles the count.
    let stream = TcpStream::connect(("127.0.0.1", last.port()))?;
    stream.set_read_timeout(Some(patience()))?;
    (&stream).write_all(b"line\n")?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    assert_eq!(last.seen(), 2);
    for peer in others {
        assert_eq!(peer.seen(), 0);
    }
    Ok(())
}

#[test]
fn every_example_guest_is_run_by_a_test() -> Result<()> {
    let mut tests = String::new();
    for entry in std::fs::read_dir(sockgate_tests::root().join("tests/suite"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            tests += &std::fs::read_to_string(path)?;
        }
    }
    let folder = sockgate_tests::root().join("examples");
    let of = |place: &Path| -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(place)? {
            let path = entry?.path();
            let name = path.file_stem().context("a file without a name")?;
            names.push(name.to_string_lossy().into_owned());
        }
        Ok(names)
    };
    let guests = of(&folder.join("guests/src/bin"))?;
    ensure!(guests.len() >= 20, "{guests:?}");
    for name in guests.into_iter().chain(of(&folder.join("policies"))?) {
        ensure!(
            tests.contains(&format!("\"{name}\"")),
            "no test runs {name}"
        );
    }
    Ok(())
}
