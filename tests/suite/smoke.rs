//! The shortest way through everything: guests start, talk to native code, and are refused.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpStream};
use std::time::Duration;

use anyhow::Result;
use sockgate_tests::{
    GuestRun, Tool, folder, free_port, has_ipv6, oracle, patience, pattern, policy_path, sha256,
    skip, tcp_echo,
};

#[test]
fn a_guest_serves_a_native_client() -> Result<()> {
    if !has_ipv6() {
        skip("a_guest_serves_a_native_client", "this machine has no IPv6");
        return Ok(());
    }
    let place = folder()?;
    let port = free_port()?;
    let guest = GuestRun::new("echo-server")
        .policy(policy_path("echo"))
        .variable("port", port)
        .variable("dir", place.path().display())
        .argument(port.to_string())
        .argument(place.path().join("echo.sock"))
        .start()?;
    guest.wait_for_line("listening on ", patience())?;

    let data = pattern(7, 1 << 20);
    let mut stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(patience()))?;
    let mut writer = stream.try_clone()?;
    let sent = data.clone();
    let sending = std::thread::spawn(move || {
        writer.write_all(&sent)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    sending.join().expect("the writing thread panicked")?;
    assert_eq!(sha256(&received), sha256(&data));
    guest.audit()?.granted("listen")?;
    Ok(())
}

#[test]
fn without_a_policy_nothing_reaches_the_kernel() -> Result<()> {
    let name = "without_a_policy_nothing_reaches_the_kernel";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let peer = tcp_echo("127.0.0.1:0")?;
    let refused = scan(peer.port()).strace(&strace).finish(patience())?;
    let record = refused.audit.denied("socket")?;
    assert_eq!(record.errno(), "acces");
    let calls = refused.syscalls()?;
    assert_eq!(calls.of("connect").count(), 0, "{calls:?}");
    assert_eq!(peer.seen(), 0);

    // The twin: the same guest reaches the same peer once a rule says so.
    let granted = scan(peer.port())
        .allow(&format!("tcp connect 127.0.0.1:{}", peer.port()))
        .strace(&strace)
        .finish(patience())?;
    granted.audit.granted("connect")?;
    assert_eq!(granted.syscalls()?.of("connect").count(), 1);
    // The kernel completes a connection before the peer's thread has taken it.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(peer.seen(), 1);
    Ok(())
}

/// The port scanner against one port.
fn scan(port: u16) -> GuestRun {
    GuestRun::new("port-scanner")
        .argument("127.0.0.1")
        .argument(format!("{port}-{port}"))
}
