//! The embedder with guests of `examples/guests`, against native peers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sockgate_tests::{Output, folder, free_port, guest_path, patience, tcp_echo};

/// The embedder while it runs; dropping it ends it.
struct Embedder {
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Embedder {
    fn start(policy: &Path, guest: &str, seconds: u64, arguments: &[&str]) -> Result<Embedder> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sockgate-embedder-example"))
            .arg(policy)
            .arg(guest_path(guest)?)
            .arg(seconds.to_string())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = Output::of(child.stdout.take().context("no stdout")?);
        let stderr = Output::of(child.stderr.take().context("no stderr")?);
        Ok(Embedder {
            child,
            stdout,
            stderr,
        })
    }

    /// Waits for its end: whether its status was 0, with all that it printed.
    fn end(mut self) -> Result<(bool, String, String)> {
        let status = self.child.wait()?;
        for output in [&self.stdout, &self.stderr] {
            let mut seen = 0;
            loop {
                let more = output.more(seen, patience());
                seen += more.lines.len();
                if more.ended {
                    break;
                }
            }
        }
        Ok((status.success(), self.stdout.text(), self.stderr.text()))
    }
}

impl Drop for Embedder {
    fn drop(&mut self) {
        // Fails only where it ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn allow(operation: &str, port: u16) -> String {
    let (ops, end) = match operation {
        "listen" => ("listen", "local"),
        other => (other, "peer"),
    };
    format!(
        "version = 1\n\
         [[allow]]\n\
         id = \"only\"\n\
         family = [\"inet\"]\n\
         type = [\"stream\"]\n\
         ops = [\"{ops}\"]\n\
         {end} = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\n"
    )
}

#[test]
fn a_server_answers_until_its_time_is_over() -> Result<()> {
    let place = folder()?;
    let policy = place.path().join("policy.toml");
    let port = free_port()?;
    std::fs::write(&policy, allow("listen", port))?;
    let address = format!("127.0.0.1:{port}");
    let start = Instant::now();
    let embedder = Embedder::start(&policy, "upper-tcp", 5, &[&address])?;
    let mut seen = 0;
    while !embedder.stdout.text().contains("listening on") {
        let more = embedder.stdout.more(seen, patience());
        seen += more.lines.len();
        anyhow::ensure!(!more.ended, "it ended: {}", embedder.stderr.text());
    }

    let mut stream = TcpStream::connect(&address)?;
    stream.set_read_timeout(Some(patience()))?;
    stream.write_all(b"shout")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert_eq!(answer, "SHOUT");

    let (success, stdout, stderr) = embedder.end()?;
    assert!(success, "{stderr}");
    assert!(stdout.contains("the guest was stopped"), "{stdout}");
    assert!(start.elapsed() >= Duration::from_secs(5), "{stdout}");
    assert!(
        TcpStream::connect(&address).is_err(),
        "somebody still listens"
    );
    Ok(())
}

#[test]
fn a_refusal_is_told_and_reaches_nobody() -> Result<()> {
    let place = folder()?;
    let policy = place.path().join("policy.toml");
    let peer = tcp_echo("127.0.0.1:0")?;
    let address = format!("127.0.0.1:{}", peer.port());
    let elsewhere = free_port()?;
    std::fs::write(&policy, allow("connect", elsewhere))?;
    let (success, _, stderr) = Embedder::start(&policy, "echo-client", 60, &[&address])?.end()?;
    assert!(!success, "{stderr}");
    let told = format!("refused: connect: no rule grants connect to {address}");
    assert!(stderr.contains(&told), "{stderr}");
    assert_eq!(peer.seen(), 0);

    // The twin: the same guest and peer under a rule that names it.
    std::fs::write(&policy, allow("connect", peer.port()))?;
    let (success, stdout, stderr) =
        Embedder::start(&policy, "echo-client", 60, &[&address])?.end()?;
    assert!(success, "{stderr}");
    assert!(stdout.contains("answer: hello"), "{stdout}");
    assert!(!stderr.contains("refused"), "{stderr}");
    assert_eq!(peer.seen(), 1);
    Ok(())
}
