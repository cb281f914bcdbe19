//! Socket activation, sd_listen_fds(3): listeners, connections and datagram sockets of a service manager, their
//! names, and what is not meant for this process or is no socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Native, Tool, command_path, covers, folder, free_port, guest_path, oracle, patience,
};

/// `sockgate run` with these options and steps, after a launcher's own words.
fn run(launcher: &mut Command, options: &[&str], steps: &[&str]) -> Result<Native> {
    launcher
        .arg(command_path()?)
        .arg("run")
        .args(options)
        .arg(guest_path("denial_steps")?)
        .args(steps);
    Native::start(launcher)
}

/// The same under the service manager of `tests/native/activation.py`.
fn activated(python: &Path, spec: &str, options: &[&str], steps: &[&str]) -> Result<Native> {
    let script = sockgate_tests::root().join("tests/native/activation.py");
    run(Command::new(python).arg(script).arg(spec), options, steps)
}

fn listening(native: &Native) -> Result<SocketAddr> {
    let port = native.wait_for_line("listening ", patience())?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port.parse()?)))
}

/// What came of a step.
fn outcome(lines: &[String], step: &str) -> Result<String> {
    let mut found = lines
        .iter()
        .filter_map(|line| line.strip_prefix(step)?.strip_prefix(" -> "));
    Ok(found
        .next()
        .with_context(|| format!("no `{step}` in {lines:?}"))?
        .to_owned())
}

fn served(address: SocketAddr) -> Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.write_all(b"hello")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    assert_eq!(answer, "welcome");
    Ok(())
}

const SERVE: [&str; 5] = [
    "g = granted web",
    "c = accept g",
    "recv c 5",
    "send c welcome",
    "shutdown c",
];

#[test]
fn sockets_come_by_their_names_and_those_of_one_name_in_their_order() -> Result<()> {
    let name = "sockets_come_by_their_names_and_those_of_one_name_in_their_order";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    let path = place.path().join("log.sock");
    let spec = format!(
        r#"{{"sockets": ["tcp", "unix-datagram:{}", "tcp", "tcp"], "names": "web:log:web"}}"#,
        path.display()
    );
    let steps = [
        "a = granted web",
        "b = granted web",
        "c = granted web",
        "l = granted log",
        "n = granted 6",
        "o = granted 3",
        "local a",
        "local b",
        "local l",
        "local n",
        "recv l 100",
        "env LISTEN_FDS",
        "env LISTEN_PID",
    ];
    let native = activated(&python, &spec, &[], &steps)?;
    let mut ports = Vec::new();
    native.wait_for_line("@guest", patience())?;
    for line in native.stdout.lines() {
        ports.extend(line.strip_prefix("listening ").map(str::to_owned));
    }
    let client = UnixDatagram::unbound()?;
    client.send_to(b"a line", &path)?;
    let lines = native.finish(patience())?;
    let local = |step: &str| outcome(&lines, step);
    assert_eq!(local("local a")?, format!("ok 127.0.0.1:{}", ports[0]));
    assert_eq!(local("local b")?, format!("ok 127.0.0.1:{}", ports[1]));
    assert_eq!(local("c = granted web")?, "noent");
    assert_eq!(local("local l")?, format!("ok {}", path.display()));
    // The fourth has no name, and so its number; the first has a name instead of its number.
    assert_eq!(local("local n")?, format!("ok 127.0.0.1:{}", ports[2]));
    assert_eq!(local("o = granted 3")?, "noent");
    assert_eq!(local("recv l 100")?, "\"a line\"");
    // The guest is nobody's child: it sees nothing of all this.
    assert_eq!(local("env LISTEN_FDS")?, "none");
    assert_eq!(local("env LISTEN_PID")?, "none");
    covers(&["fromfd"]);
    Ok(())
}

#[test]
fn a_descriptor_is_taken_by_its_number_under_another_name() -> Result<()> {
    let name = "a_descriptor_is_taken_by_its_number_under_another_name";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let spec = r#"{"sockets": ["tcp", "tcp"], "names": "one:other"}"#;
    let steps = [&SERVE[..], &["o = granted other", "n = granted one"]].concat();
    let native = activated(&python, spec, &["--socket", "web=fd:4"], &steps)?;
    native.wait_for_line("g = granted web -> ok", patience())?;
    let lines = native.stdout.lines();
    let ports: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("listening "))
        .collect();
    served(format!("127.0.0.1:{}", ports[1]).parse()?)?;
    let lines = native.finish(patience())?;
    assert_eq!(outcome(&lines, "o = granted other")?, "noent");
    assert_eq!(outcome(&lines, "n = granted one")?, "ok");
    Ok(())
}

/// The sockets stay with the manager: what comes between two runs waits for the second.
#[test]
fn a_guest_is_restarted_under_the_same_activation() -> Result<()> {
    let name = "a_guest_is_restarted_under_the_same_activation";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let spec = r#"{"sockets": ["tcp"], "names": "web", "times": 3}"#;
    let native = activated(&python, spec, &[], &SERVE)?;
    let address = listening(&native)?;
    // Queued all at once: each run serves one of them.
    let clients: Vec<_> = (0..3)
        .map(|_| std::thread::spawn(move || served(address)))
        .collect();
    for client in clients {
        client
            .join()
            .map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let lines = native.finish(patience())?;
    let ends: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("ended "))
        .collect();
    assert_eq!(ends, ["ended 0", "ended 0", "ended 0"]);
    Ok(())
}

#[test]
fn a_connection_is_handed_over_as_accept_yes_does() -> Result<()> {
    let name = "a_connection_is_handed_over_as_accept_yes_does";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let spec = r#"{"sockets": ["connected"], "names": "connection"}"#;
    let steps = [
        "g = granted connection",
        "recv g 5",
        "send g welcome",
        "shutdown g",
        "a = accept g",
    ];
    let native = activated(&python, spec, &[], &steps)?;
    served(listening(&native)?)?;
    let lines = native.finish(patience())?;
    assert_eq!(outcome(&lines, "recv g 5")?, "\"hello\"");
    // A connection is no listener.
    ensure!(!outcome(&lines, "a = accept g")?.starts_with("ok"));
    Ok(())
}

#[test]
fn what_is_meant_for_another_process_is_nobody_s() -> Result<()> {
    let name = "what_is_meant_for_another_process_is_nobody_s";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let spec = r#"{"sockets": ["tcp"], "names": "web", "pid": 1}"#;
    let lines = activated(&python, spec, &[], &["g = granted web"])?.finish(patience())?;
    assert_eq!(outcome(&lines, "g = granted web")?, "noent");
    let error = failed(&activated(
        &python,
        spec,
        &["--socket", "web=fd:3"],
        &["say nothing"],
    )?)?;
    ensure!(
        error.contains("--socket web=fd:3") && error.contains("LISTEN_PID"),
        "{error}"
    );
    Ok(())
}

/// What a command that could not begin says on stderr.
fn failed(native: &Native) -> Result<String> {
    ensure!(native.stderr.wait_for_end(patience()), "it did not end");
    ensure!(
        !native.stdout.text().contains("@guest"),
        "the guest ran: {}",
        native.stdout.text()
    );
    Ok(native.stderr.text())
}

#[test]
fn what_cannot_be_handed_on_is_told_before_the_guest_begins() -> Result<()> {
    let name = "what_cannot_be_handed_on_is_told_before_the_guest_begins";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    for (spec, told) in [
        (
            r#"{"sockets": ["tcp", "pipe"], "names": "web:fifo"}"#,
            "descriptor 4 (`fifo`) of LISTEN_FDS is no socket",
        ),
        (
            r#"{"sockets": ["tcp"], "names": "web", "count": "2"}"#,
            "LISTEN_FDS=2 does not count",
        ),
        (
            r#"{"sockets": ["tcp"], "names": "web", "count": "many"}"#,
            "LISTEN_FDS=many does not count",
        ),
        (
            r#"{"sockets": ["tcp"], "names": "web", "count": "-1"}"#,
            "LISTEN_FDS=-1 does not count",
        ),
        (
            r#"{"sockets": ["tcp"], "names": "web", "count": "99999999999"}"#,
            "LISTEN_FDS=99999999999 does not count",
        ),
    ] {
        let error = failed(&activated(&python, spec, &[], &["say nothing"])?)?;
        ensure!(error.contains(told), "no `{told}` in: {error}");
    }
    Ok(())
}

/// systemd's own tool in both of its ways.
#[test]
fn systemd_activates_a_guest() -> Result<()> {
    let name = "systemd_activates_a_guest";
    let Some(systemd) = oracle(Tool::SystemdSocketActivate, name) else {
        return Ok(());
    };
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut launcher = Command::new(&systemd);
    launcher.args(["-l", &address, "--fdname=web"]);
    let native = run(&mut launcher, &[], &SERVE)?;
    native
        .stderr
        .wait_for(patience(), |line| line.contains("Listening on"))?;
    served(address.parse()?)?;
    let lines = native.finish(patience())?;
    assert_eq!(outcome(&lines, "send c welcome")?, "ok 7");

    let address = format!("127.0.0.1:{}", free_port()?);
    let mut launcher = Command::new(&systemd);
    launcher.args(["-l", &address, "--accept", "--fdname=web"]);
    let steps = [
        "g = granted web",
        "recv g 5",
        "send g welcome",
        "shutdown g",
    ];
    let native = run(&mut launcher, &[], &steps)?;
    native
        .stderr
        .wait_for(patience(), |line| line.contains("Listening on"))?;
    // Each connection has a guest of its own.
    for _ in 0..2 {
        served(address.parse()?)?;
    }
    native.stop()?;
    covers(&["fromfd"]);
    Ok(())
}
