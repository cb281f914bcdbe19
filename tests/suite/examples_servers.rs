//! The example guests that serve many clients at once, with native clients, and what their policies refuse.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Guest, GuestRun, Native, Tool, free_port, oracle, patience, pattern, policy_path, tcp_echo,
    told,
};

fn listening(run: GuestRun) -> Result<Guest> {
    let guest = run.start()?;
    guest.wait_for_line("listening on ", patience())?;
    Ok(guest)
}

fn tcp(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience()))?;
    Ok(stream)
}

#[test]
fn the_upper_server_answers_streams_and_datagrams_at_once() -> Result<()> {
    let name = "the_upper_server_answers_streams_and_datagrams_at_once";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let run = || {
        GuestRun::new("upper-server")
            .policy(policy_path("upper-server"))
            .variable("port", port)
    };
    let guest = listening(
        run()
            .argument("--clients")
            .argument("54")
            .argument(&address),
    )?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.set_read_timeout(Some(patience()))?;
    let datagram = |text: &str| -> Result<String> {
        client.send_to(text.as_bytes(), &address)?;
        let mut answer = [0; 100];
        let length = client.recv(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    // One client is slow, and nobody waits for it.
    let mut slow = tcp(&address)?;
    slow.write_all(b"slow")?;
    assert_eq!(datagram("one")?, "ONE");
    for (role, count) in [("many", "50"), ("ask", "asked")] {
        let words = [role, "tcp", &address, count];
        let lines = Native::python(&python, "servers.py", words)?.finish(patience())?;
        match role {
            "many" => assert_eq!(told(&lines, "answered"), [count]),
            _ => assert_eq!(told(&lines, "answer"), ["ASKED"]),
        }
    }
    // The last request ends the server, and those that are being served are answered first.
    assert_eq!(datagram("two")?, "TWO");
    slow.write_all(b" but sure\n")?;
    slow.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    slow.read_to_string(&mut answer)?;
    assert_eq!(answer, "SLOW BUT SURE\n");
    guest.wait(patience())?.success()?;

    // The twin: another port than the policy's.
    let refused = run().argument(format!("127.0.0.1:{}", free_port()?));
    let refused = refused.finish(patience())?;
    ensure!(!refused.status.success() && refused.stderr.contains("EACCES"));
    refused.audit.denied("bind")?;
    Ok(())
}

#[test]
fn the_proxy_passes_on_to_one_server_and_to_no_other() -> Result<()> {
    let (server, other) = (tcp_echo("127.0.0.1:0")?, tcp_echo("127.0.0.1:0")?);
    let policy = fs::read_to_string(policy_path("proxy"))?;
    ensure!(policy.contains("\"8080\""), "amend this test");
    let policy = policy.replace("\"8080\"", &format!("\"{}\"", server.port()));
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let run = |clients: &str, to: u16| {
        let run = GuestRun::new("proxy")
            .policy_text(&policy)
            .variable("port", port)
            .argument("--clients")
            .argument(clients)
            .argument(&address)
            .argument(format!("127.0.0.1:{to}"));
        listening(run)
    };
    let guest = run("60", server.port())?;
    let streams = (0..60).map(|_| tcp(&address)).collect::<Result<Vec<_>>>()?;
    for (number, mut stream) in streams.iter().enumerate() {
        stream.write_all(&pattern(number as u64, 20_000))?;
        stream.shutdown(Shutdown::Write)?;
    }
    for (number, mut stream) in streams.iter().enumerate() {
        let mut back = Vec::new();
        stream.read_to_end(&mut back)?;
        ensure!(back == pattern(number as u64, 20_000), "{number}");
    }
    guest.wait(patience())?.success()?;
    assert_eq!(server.seen(), 60);

    // The twin: another server than the policy's. The client is closed, and the proxy goes on.
    let guest = run("1", other.port())?;
    let mut back = Vec::new();
    tcp(&address)?.read_to_end(&mut back)?;
    assert_eq!(back, b"");
    let ended = guest.wait(patience())?.success()?;
    ensure!(ended.stderr.contains("EACCES"), "{}", ended.stderr);
    ended.audit.denied("connect")?;
    assert_eq!(other.seen(), 0);
    Ok(())
}
