//! Servers of `sockgate_guest::server` that serve many requests at once in one guest, beside Python's
//! threading server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Ended, Guest, GuestRun, Native, Tool, covers, folder, free_port, oracle, patience, told,
};

fn server(action: &str, kind: &str, address: &str, rule: &str) -> GuestRun {
    let run = GuestRun::new("server").allow(rule);
    [action, kind, address]
        .into_iter()
        .fold(run, |run, word| run.argument(word))
}

fn listening(run: GuestRun) -> Result<Guest> {
    let guest = run.start()?;
    guest.wait_for_line("listening on ", patience())?;
    Ok(guest)
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

/// What so many Python clients at once say of it.
fn clients(
    python: &Path,
    role: &str,
    kind: &str,
    address: &str,
    count: &str,
) -> Result<Vec<String>> {
    let native = Native::python(python, "servers.py", [role, kind, address, count])?;
    Ok(told(&native.finish(patience())?, "answered"))
}

const LIMITS: &str = "version = 1\n[limits]\nsockets = 1000\n";

#[test]
fn nobody_waits_for_a_slow_client_here_or_in_python() -> Result<()> {
    let name = "nobody_waits_for_a_slow_client_here_or_in_python";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let count = "150";
    let native = Native::python(&python, "servers.py", ["threading"])?;
    let address = native.wait_for_line("listening on ", patience())?;
    let theirs = clients(&python, "many", "tcp", &address, count)?;
    assert_eq!(theirs, [count]);
    drop(native);

    let place = folder()?;
    for (kind, rule) in [
        ("tcp", "tcp listen {}"),
        ("unix-stream", "unix-stream listen {}"),
    ] {
        let address = match kind {
            "tcp" => format!("127.0.0.1:{}", free_port()?),
            _ => place.path().join(kind).display().to_string(),
        };
        let run = server("tasks", kind, &address, &rule.replace("{}", &address));
        let guest = listening(run.argument(count).policy_text(LIMITS))?;
        assert_eq!(clients(&python, "many", kind, &address, count)?, theirs);
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(said(&ended, "left"), ["0"]);
        assert_eq!(said(&ended, "most"), [format!("{count} at once")]);
    }
    covers(&[
        "ThreadingMixIn",
        "ThreadingMixIn.process_request",
        "ThreadingMixIn.process_request_thread",
        "ThreadingTCPServer",
        "ThreadingUnixStreamServer",
        "ForkingTCPServer",
        "ForkingMixIn",
        "ForkingMixIn.process_request",
        "ForkingUnixStreamServer",
    ]);
    Ok(())
}

#[test]
fn clients_in_threads_are_answered_all() -> Result<()> {
    let name = "clients_in_threads_are_answered_all";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let address = format!("127.0.0.1:{}", free_port()?);
    let run = server("tasks", "tcp", &address, &format!("tcp listen {address}"));
    let guest = listening(run.argument("40"))?;
    assert_eq!(clients(&python, "threads", "tcp", &address, "40")?, ["40"]);
    guest.wait(patience())?.success()?;
    Ok(())
}

#[test]
fn datagrams_are_answered_many_at_once() -> Result<()> {
    let name = "datagrams_are_answered_many_at_once";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    for (kind, rule) in [
        ("udp", "udp bind,receive,reply {} peer 127.0.0.1"),
        ("unix-datagram", "unix-datagram bind,receive,reply {}"),
    ] {
        let address = match kind {
            "udp" => format!("127.0.0.1:{}", free_port()?),
            _ => place.path().join(kind).display().to_string(),
        };
        let run = server("tasks", kind, &address, &rule.replace("{}", &address));
        let guest = listening(run.argument("8"))?;
        assert_eq!(clients(&python, "datagrams", kind, &address, "8")?, ["8"]);
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(said(&ended, "left"), ["0"]);
        // Each waits before it answers.
        let most = &said(&ended, "most")[0];
        ensure!(most != "1 at once", "{most}");
    }
    covers(&[
        "ThreadingUDPServer",
        "ThreadingUnixDatagramServer",
        "ForkingUDPServer",
        "ForkingUnixDatagramServer",
    ]);
    Ok(())
}

#[test]
fn no_more_than_the_settings_say_are_served_at_once() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let run = server("few", "tcp", &address, &format!("tcp listen {address}"))
        .argument("2")
        .argument("5");
    let guest = listening(run)?;
    let streams = (0..5).map(|_| tcp(&address)).collect::<Result<Vec<_>>>()?;
    for mut stream in &streams {
        stream.write_all(b"hello\n")?;
    }
    let answered = |mut stream: &TcpStream| -> std::io::Result<()> {
        let mut answer = [0; 6];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"HELLO\n");
        Ok(())
    };
    answered(&streams[0])?;
    answered(&streams[1])?;
    // Two are served. The third is not, until one of them ends.
    streams[2].set_read_timeout(Some(Duration::from_millis(100)))?;
    ensure!(answered(&streams[2]).is_err());
    streams[2].set_read_timeout(Some(patience()))?;
    streams[1].shutdown(Shutdown::Write)?;
    answered(&streams[2])?;
    drop(streams);
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "most"), ["2 at once"]);
    covers(&["ForkingMixIn.max_children", "ForkingMixIn.active_children"]);
    Ok(())
}

#[test]
fn closing_waits_for_requests_or_does_not() -> Result<()> {
    for block in [true, false] {
        let address = format!("127.0.0.1:{}", free_port()?);
        let run = server("closing", "tcp", &address, &format!("tcp listen {address}"));
        let guest = listening(run.argument(u8::from(block).to_string()))?;
        let mut stream = tcp(&address)?;
        guest.wait_for_line("active 1", patience())?;
        // `serve_forever` has ended, and whoever waited for that was told.
        if block {
            // The listener is closed already, though the request is still served.
            let deadline = Instant::now() + patience();
            while TcpStream::connect(&address).is_ok() {
                ensure!(Instant::now() < deadline, "it still listens");
            }
            stream.write_all(b"last words\n")?;
            assert_eq!(rest_of(stream)?, "LAST WORDS\n");
        } else {
            assert_eq!(rest_of(stream)?, "", "dropped with the guest's end");
        }
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(said(&ended, "active"), ["1"]);
        let lines: Vec<_> = ended.stdout.lines().skip(1).collect();
        if block {
            assert_eq!(lines, ["ended", "active 1", "served", "closed"]);
        } else {
            assert_eq!(lines, ["ended", "active 1", "closed"]);
        }
    }
    covers(&[
        "ThreadingMixIn.block_on_close",
        "ThreadingMixIn.daemon_threads",
        "ThreadingMixIn.server_close",
        "ForkingMixIn.block_on_close",
        "ForkingMixIn.server_close",
        "ForkingMixIn.collect_children",
        "BaseServer.shutdown",
    ]);
    Ok(())
}

#[test]
fn the_socket_stays_until_datagrams_are_answered() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let rule = format!("udp bind,receive,reply {address} peer 127.0.0.1");
    let guest = listening(server("closing", "udp", &address, &rule))?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.set_read_timeout(Some(patience()))?;
    client.send_to(b"question", &address)?;
    let mut answer = [0; 100];
    let length = client.recv(&mut answer)?;
    assert_eq!(&answer[..length], b"late");
    guest.wait(patience())?.success()?;
    Ok(())
}

#[test]
fn a_request_that_fails_ends_alone() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let rule = format!("tcp listen {address} get=tcp.nodelay");
    let guest = listening(server("patience-tasks", "tcp", &address, &rule))?;
    // A silent one, and one that resets.
    assert_eq!(rest_of(tcp(&address)?)?, "");
    let stream = socket2::Socket::from(tcp(&address)?);
    stream.set_linger(Some(Duration::ZERO))?;
    drop(stream);
    let mut stream = tcp(&address)?;
    stream.write_all(b"stop\n")?;
    assert_eq!(rest_of(stream)?, "STOP\n");
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "nodelay")[0], "true");
    assert_eq!(said(&ended, "verify"), ["true"; 3]);
    let errors = said(&ended, "error");
    ensure!(errors[0] == "timedout", "{errors:?}");
    let actions = said(&ended, "actions");
    ensure!(actions.len() >= 3 && actions[0] == "true", "{actions:?}");
    covers(&["ForkingMixIn.service_actions"]);
    Ok(())
}

#[test]
fn a_failing_handler_leaves_the_others_alone() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let run = server("tasks", "tcp", &address, &format!("tcp listen {address}"));
    let guest = listening(run.argument("2"))?;
    let mut patient = tcp(&address)?;
    patient.write_all(b"one\n")?;
    let mut lines = BufReader::new(patient.try_clone()?).lines();
    assert_eq!(lines.next().transpose()?.as_deref(), Some("ONE"));
    let mut failing = tcp(&address)?;
    let client = failing.local_addr()?;
    failing.write_all(b"fail\n")?;
    assert_eq!(rest_of(failing)?, "");
    patient.write_all(b"two\n")?;
    assert_eq!(lines.next().transpose()?.as_deref(), Some("TWO"));
    drop((patient, lines));
    let ended = guest.wait(patience())?.success()?;
    let wanted = format!("the request of {client} failed: failed as asked");
    ensure!(ended.stderr.contains(&wanted), "{}", ended.stderr);
    Ok(())
}

#[test]
fn a_server_without_descriptors_waits_for_a_request_to_end() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    // The listener, the poller, and one connection.
    let run = server(
        "exhausted-tasks",
        "tcp",
        &address,
        &format!("tcp listen {address}"),
    )
    .policy_text("version = 1\n[limits]\nsockets = 3\n");
    let guest = listening(run)?;
    let first = tcp(&address)?;
    let second = tcp(&address)?;
    guest.wait_for_line("full true", patience())?;
    drop(first);
    let mut stream = second;
    stream.write_all(b"at last\n")?;
    stream.shutdown(Shutdown::Write)?;
    assert_eq!(rest_of(stream)?, "AT LAST\n");
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(said(&ended, "most"), ["1 at once"]);
    Ok(())
}
