//! `sockgate_guest::server` beside Python's socketserver: the same calls in the same order, the same answers,
//! and what the settings say.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, SockAddr, Socket, Type};
use sockgate_tests::{
    Ended, Guest, GuestRun, Native, Tool, covers, folder, free_port, oracle, patience, told,
};

fn server(action: &str, kind: &str, address: &str, rule: &str) -> GuestRun {
    let run = GuestRun::new("server").allow(rule);
    [action, kind, address]
        .into_iter()
        .fold(run, |run, word| run.argument(word))
}

/// A started one, and where it listens.
fn listening(run: GuestRun) -> Result<(Guest, String)> {
    let guest = run.start()?;
    let address = guest.wait_for_line("listening on ", patience())?;
    Ok((guest, address))
}

fn said(ended: &Ended, verb: &str) -> Vec<String> {
    let lines: Vec<&str> = ended.stdout.lines().collect();
    told(&lines, verb)
}

fn tcp(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience()))?;
    Ok(stream)
}

fn rest_of(mut stream: TcpStream) -> Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// What a Python client is answered.
fn answers(python: &Path, kind: &str, address: &str, texts: &[&str]) -> Result<Vec<String>> {
    let words = [&["ask", kind, address], texts].concat();
    let native = Native::python(python, "servers.py", words)?;
    Ok(told(&native.finish(patience())?, "answer"))
}

/// Asks what the scenario asks of a server of streams.
fn ask_streams(python: &Path, address: &str) -> Result<Vec<String>> {
    let mut all = answers(python, "tcp", address, &["hello", "refused", "fail"])?;
    all.push("-".to_owned());
    Ok(all)
}

/// The same for datagrams, of which only one is answered.
fn ask_datagrams(python: &Path, address: &str) -> Result<Vec<String>> {
    let all = answers(python, "udp", address, &["hello"])?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.send_to(b"refused", address)?;
    client.send_to(b"fail", address)?;
    Ok(all)
}

type Ask = fn(&Path, &str) -> Result<Vec<String>>;

/// Runs the scenario in Python and in a guest: what each called, in its order, and what its clients were
/// told.
fn same_order(
    python: &Path,
    kind: &str,
    client: &str,
    rule: &str,
    ask: Ask,
) -> Result<Vec<String>> {
    let native = Native::python(python, "servers.py", ["order", kind])?;
    let address = native.wait_for_line("listening on ", patience())?;
    let theirs = ask(python, &address)?;
    native.wait_for_line("forever", patience())?;
    let mut their_answers = theirs;
    their_answers.extend(answers(python, client, &address, &["stop"])?);
    let their_hooks = told(&native.finish(patience())?, "hook");

    let address = format!("127.0.0.1:{}", free_port()?);
    let rule = rule.replace("{address}", &address);
    let (guest, _) = listening(server("order", kind, &address, &rule))?;
    let mut our_answers = ask(python, &address)?;
    guest.wait_for_line("forever", patience())?;
    our_answers.extend(answers(python, client, &address, &["stop"])?);
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "hook"), their_hooks);
    assert_eq!(our_answers, their_answers);
    assert_eq!(said(&ended, "error"), ["failed as asked"]);
    assert_eq!(said(&ended, "early"), ["false"]);
    assert_eq!(said(&ended, "serving"), ["false"]);
    Ok(their_hooks)
}

/// Whether these come in this order, one right after the other.
fn in_a_row(hooks: &[String], wanted: &[&str]) -> bool {
    hooks.windows(wanted.len()).any(|some| some == wanted)
}

#[test]
fn a_stream_server_calls_its_hooks_as_python_does() -> Result<()> {
    let name = "a_stream_server_calls_its_hooks_as_python_does";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let rule = "tcp listen {address}";
    let hooks = same_order(&python, "stream", "tcp", rule, ask_streams)?;
    // That both are the same is asserted above; here, that it is what it should be.
    ensure!(in_a_row(
        &hooks,
        &["server_bind", "server_activate", "get_request"]
    ));
    covers(&[
        "TCPServer",
        "TCPServer.server_bind",
        "TCPServer.server_activate",
        "BaseServer.server_activate",
    ]);
    ensure!(in_a_row(
        &hooks,
        &[
            "get_request",
            "verify_request",
            "process_request",
            "finish_request",
            "setup",
            "handle",
            "finish",
            "shutdown_request",
            "close_request"
        ]
    ));
    covers(&[
        "BaseServer",
        "BaseServer.handle_request",
        "BaseServer.verify_request",
        "BaseServer.process_request",
        "BaseServer.finish_request",
        "BaseServer.shutdown_request",
        "BaseServer.close_request",
        "BaseServer.RequestHandlerClass",
        "TCPServer.get_request",
        "TCPServer.shutdown_request",
        "TCPServer.close_request",
        "BaseRequestHandler",
        "BaseRequestHandler.setup",
        "BaseRequestHandler.handle",
        "BaseRequestHandler.finish",
        "BaseRequestHandler.request",
        "BaseRequestHandler.server",
        "StreamRequestHandler",
        "StreamRequestHandler.setup",
        "StreamRequestHandler.finish",
        "StreamRequestHandler.rfile",
        "StreamRequestHandler.wfile",
    ]);
    ensure!(in_a_row(
        &hooks,
        &[
            "verify_request",
            "shutdown_request",
            "close_request",
            "get_request"
        ]
    ));
    ensure!(in_a_row(
        &hooks,
        &["handle", "finish", "handle_error", "shutdown_request"]
    ));
    covers(&["BaseServer.handle_error"]);
    ensure!(in_a_row(
        &hooks,
        &["close_request", "handle_timeout", "get_request"]
    ));
    covers(&["BaseServer.handle_timeout", "BaseServer.timeout"]);
    ensure!(in_a_row(
        &hooks,
        &["close_request", "service_actions", "server_close"]
    ));
    covers(&[
        "BaseServer.service_actions",
        "BaseServer.serve_forever",
        "BaseServer.shutdown",
        "BaseServer.server_close",
        "TCPServer.server_close",
    ]);
    Ok(())
}

#[test]
fn a_datagram_server_calls_its_hooks_as_python_does() -> Result<()> {
    let name = "a_datagram_server_calls_its_hooks_as_python_does";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let rule = "udp bind,receive,reply {address} peer 127.0.0.1";
    let hooks = same_order(&python, "datagram", "udp", rule, ask_datagrams)?;
    ensure!(in_a_row(
        &hooks,
        &[
            "setup",
            "handle",
            "finish",
            "shutdown_request",
            "close_request"
        ]
    ));
    covers(&[
        "UDPServer",
        "UDPServer.server_activate",
        "UDPServer.get_request",
        "UDPServer.shutdown_request",
        "UDPServer.close_request",
        "DatagramRequestHandler",
        "DatagramRequestHandler.setup",
        "DatagramRequestHandler.finish",
        "DatagramRequestHandler.rfile",
        "DatagramRequestHandler.wfile",
    ]);
    Ok(())
}

#[test]
fn one_service_serves_every_kind() -> Result<()> {
    let name = "one_service_serves_every_kind";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    for (kind, rule, python_name) in [
        ("tcp", "tcp listen {}", "TCPServer"),
        (
            "udp",
            "udp bind,receive,reply {} peer 127.0.0.1",
            "UDPServer.socket_type",
        ),
        ("unix-stream", "unix-stream listen {}", "UnixStreamServer"),
        (
            "unix-datagram",
            "unix-datagram bind,receive,reply {}",
            "UnixDatagramServer",
        ),
    ] {
        let address = match kind {
            "tcp" | "udp" => format!("127.0.0.1:{}", free_port()?),
            _ => place.path().join(kind).display().to_string(),
        };
        let run = server("upper", kind, &address, &rule.replace("{}", &address)).argument("3");
        let (guest, _) = listening(run)?;
        let told = answers(&python, kind, &address, &["one", "Two", "THREE"])?;
        assert_eq!(told, ["ONE", "TWO", "THREE"], "{kind}");
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(said(&ended, "left"), ["0"]);
        covers(&[python_name]);
        if kind.starts_with("unix") {
            covers(&[&format!("{python_name}.address_family")]);
        }

        // The twin: nothing is granted.
        let refused = server("upper", kind, &address, "tcp connect 192.0.2.1:1").argument("1");
        let refused = refused.finish(patience())?;
        ensure!(!refused.status.success() && refused.stderr.contains("EACCES"));
        ensure!(
            refused
                .audit
                .records()
                .iter()
                .any(|record| record.is_denied())
        );
    }
    Ok(())
}

#[test]
fn a_closure_is_a_service() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let run = server(
        "closure",
        "stream",
        &address,
        &format!("tcp listen {address}"),
    );
    let (guest, _) = listening(run)?;
    for number in 1..=2 {
        let stream = tcp(&address)?;
        let client = stream.local_addr()?;
        assert_eq!(rest_of(stream)?, format!("number {number} for {client}\n"));
    }
    covers(&["BaseRequestHandler.client_address"]);
    guest.wait(patience())?.success()?;
    Ok(())
}

#[test]
fn a_server_takes_a_socket_that_the_operator_granted() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let run = GuestRun::new("server")
        .option("--socket")
        .option(format!("web=tcp-listen:{address}"));
    let run = ["granted", "stream", "web"]
        .into_iter()
        .fold(run, |run, word| run.argument(word));
    let (guest, bound) = listening(run)?;
    assert_eq!(bound, address);
    assert_eq!(rest_of(tcp(&address)?)?, "granted");
    guest.wait(patience())?.success()?;
    Ok(())
}

#[test]
fn a_server_is_bound_and_activated_by_hand() -> Result<()> {
    let name = "a_server_is_bound_and_activated_by_hand";
    let address = format!("127.0.0.1:{}", free_port()?);
    let rule = format!("tcp listen {address} get=so.reuseaddr");
    let run = server("unbound", "tcp", &address, &rule).argument("7");
    let (guest, bound) = listening(run)?;
    assert_eq!(bound, address);
    if let Some(ss) = oracle(Tool::Ss, name) {
        let port = address.rsplit(':').next().context("no port")?;
        let filter = format!("sport = :{port}");
        let output = std::process::Command::new(ss)
            .args(["-Hltn", &filter])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // State, Recv-Q, Send-Q: the backlog.
        ensure!(text.split_whitespace().nth(2) == Some("7"), "{text}");
        covers(&[
            "TCPServer.request_queue_size",
            "BaseServer.request_queue_size",
        ]);
    }
    assert_eq!(rest_of(tcp(&address)?)?, "here");
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "family"), ["Family::Inet"]);
    assert_eq!(said(&ended, "type"), ["SocketType::Stream"]);
    covers(&[
        "TCPServer.address_family",
        "BaseServer.address_family",
        "BaseServer.socket_type",
        "TCPServer.socket_type",
    ]);
    assert_eq!(said(&ended, "reuse"), ["false"]);
    assert_eq!(said(&ended, "same"), ["true"]);
    covers(&["BaseServer.server_address", "TCPServer.server_address"]);
    assert_eq!(said(&ended, "accepting"), ["false", "true"]);
    assert_eq!(said(&ended, "ready"), ["0", "true"]);
    covers(&[
        "TCPServer.fileno",
        "BaseServer.fileno",
        "BaseServer.socket",
        "TCPServer.socket",
    ]);
    Ok(())
}

#[test]
fn an_address_is_taken_again_only_where_the_settings_say_so() -> Result<()> {
    for (reuse, wanted) in [(true, "ok"), (false, "addrinuse")] {
        let address = format!("127.0.0.1:{}", free_port()?);
        let flag = u8::from(reuse).to_string();
        let run = server(
            "reuse-address",
            "tcp",
            &address,
            &format!("tcp listen {address}"),
        )
        .argument(flag)
        // The client has closed after the server when the guest reads this.
        .input(b"\n");
        let (guest, _) = listening(run)?;
        // The server closes first: its end lingers in TIME_WAIT once the client closes too.
        assert_eq!(rest_of(tcp(&address)?)?, "once");
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(said(&ended, "again"), [wanted]);
    }
    covers(&[
        "TCPServer.allow_reuse_address",
        "BaseServer.allow_reuse_address",
    ]);
    covers(&["UDPServer.allow_reuse_address"]);

    for (reuse, wanted) in [(true, "ok"), (false, "addrinuse")] {
        let address = format!("127.0.0.1:{}", free_port()?);
        let rule = format!("tcp listen {address} set=so.reuseport get=so.reuseport");
        let flag = u8::from(reuse).to_string();
        let ended = server("reuse-port", "tcp", &address, &rule)
            .argument(flag)
            .finish(patience())?
            .success()?;
        assert_eq!(said(&ended, "first"), [reuse.to_string()]);
        assert_eq!(said(&ended, "second"), [wanted]);
    }
    covers(&[
        "TCPServer.allow_reuse_port",
        "BaseServer.allow_reuse_port",
        "UDPServer.allow_reuse_port",
    ]);

    // The twin: the option is not granted.
    let address = format!("127.0.0.1:{}", free_port()?);
    let refused = server(
        "reuse-port",
        "tcp",
        &address,
        &format!("tcp listen {address}"),
    )
    .argument("1")
    .finish(patience())?;
    ensure!(!refused.status.success() && refused.stderr.contains("EACCES"));
    refused.audit.denied("set-option")?;
    Ok(())
}

#[test]
fn writes_are_sent_at_once_or_together() -> Result<()> {
    for (size, wanted) in [("0", &["one ", "two"][..]), ("100", &["one two"])] {
        let place = folder()?;
        let path = place.path().join("packets");
        let text = path.display().to_string();
        let rule = format!("unix-seqpacket listen {text}");
        let run = server("buffers", "seqpacket", &text, &rule).argument(size);
        let (guest, _) = listening(run)?;
        let mut client = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        client.connect(&SockAddr::unix(&path)?)?;
        client.set_read_timeout(Some(patience()))?;
        let mut packets = Vec::new();
        loop {
            let mut packet = [0; 100];
            match client.read(&mut packet)? {
                0 => break,
                length => packets.push(String::from_utf8_lossy(&packet[..length]).into_owned()),
            }
        }
        assert_eq!(packets, wanted);
        guest.wait(patience())?.success()?;
    }
    covers(&["StreamRequestHandler.wbufsize"]);
    Ok(())
}

#[test]
fn a_silent_client_is_given_up_and_the_server_goes_on() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let rule = format!("tcp listen {address} get=tcp.nodelay");
    let (guest, _) = listening(server("patience", "tcp", &address, &rule))?;
    let mut stream = tcp(&address)?;
    let client = stream.local_addr()?;
    stream.write_all(b"line\nrest")?;
    assert_eq!(rest_of(stream)?, "", "closed by the server");
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "nodelay"), ["true"]);
    covers(&["StreamRequestHandler.disable_nagle_algorithm"]);
    assert_eq!(said(&ended, "timeout"), ["Timeout::After(50000000)"]);
    assert_eq!(said(&ended, "error"), [format!("timedout of {client}")]);
    covers(&["StreamRequestHandler.timeout"]);
    assert_eq!(said(&ended, "line"), ["line"]);
    assert_eq!(said(&ended, "rest"), ["4"]);
    covers(&[
        "StreamRequestHandler.rbufsize",
        "StreamRequestHandler.connection",
    ]);
    assert_eq!(said(&ended, "goes"), ["on"]);
    Ok(())
}

#[test]
fn a_datagram_is_cut_at_the_greatest_size() -> Result<()> {
    for (size, wanted) in [("9", "one and t"), ("100", "one and two")] {
        let address = format!("127.0.0.1:{}", free_port()?);
        let rule = format!("udp bind,receive,reply {address} peer 127.0.0.1");
        let (guest, _) = listening(server("size", "udp", &address, &rule).argument(size))?;
        let client = UdpSocket::bind("127.0.0.1:0")?;
        client.set_read_timeout(Some(patience()))?;
        client.send_to(b"one and two", &address)?;
        let mut answer = [0; 100];
        let length = client.recv(&mut answer)?;
        assert_eq!(&answer[..length], b"first one ");
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(said(&ended, "packet"), [wanted]);
        assert_eq!(said(&ended, "from"), [client.local_addr()?.to_string()]);
        assert_eq!(said(&ended, "answer"), ["10"]);
    }
    covers(&["UDPServer.max_packet_size", "DatagramRequestHandler.packet"]);
    covers(&["DatagramRequestHandler.socket"]);
    Ok(())
}

#[test]
fn a_server_without_descriptors_pauses() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let run = server(
        "exhausted",
        "tcp",
        &address,
        &format!("tcp listen {address}"),
    )
    .policy_text("version = 1\n[limits]\nsockets = 1\n");
    let (guest, _) = listening(run)?;
    let _client = tcp(&address)?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "failed"), ["mfile"; 3]);
    assert_eq!(said(&ended, "paused"), ["true"]);
    Ok(())
}

#[test]
fn a_server_serves_again_after_it_was_shut_down() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let (guest, _) = listening(server(
        "twice",
        "tcp",
        &address,
        &format!("tcp listen {address}"),
    ))?;
    for word in ["first", "second"] {
        drop(tcp(&address)?);
        guest.wait_for_line(word, patience())?;
    }
    // Shut down before it began, it ends at once, as in Python.
    guest.wait_for_line("third", patience())?;
    guest.wait(patience())?.success()?;
    Ok(())
}

#[test]
fn turns_come_though_no_request_does() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let ended = server("wait", "tcp", &address, &format!("tcp listen {address}"))
        .finish(patience())?
        .success()?;
    assert_eq!(said(&ended, "own"), ["true"]);
    assert_eq!(said(&ended, "turns"), ["true"]);
    Ok(())
}
