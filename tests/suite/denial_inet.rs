//! Ways round a policy for inet and inet6. Each is judged by what a native peer saw, by the audit file
//! and by the log of system calls, never by the guest's own word alone.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Tool, folder, free_port, has_ipv6, oracle, patience, skip, steps,
};

/// A native UDP socket that says whether anything reached it. Loopback delivers within the send.
fn ear(address: &str) -> Result<(UdpSocket, u16)> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

/// The next datagram that is there; nothing where there is none.
fn heard(ear: &UdpSocket) -> Result<Option<String>> {
    let mut buffer = [0; 2048];
    match ear.recv(&mut buffer) {
        Ok(length) => Ok(Some(
            String::from_utf8_lossy(&buffer[..length]).into_owned(),
        )),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A native listener that says whether anybody connected; the kernel completes a handshake by itself.
fn door(address: &str) -> Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

fn knocked(door: &TcpListener) -> Result<bool> {
    match door.accept() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Runs it under strace where there is one; without it the other witnesses still speak.
fn watched(run: GuestRun, name: &str) -> Result<Ended> {
    let run = match oracle(Tool::Strace, name) {
        Some(strace) => run.strace(&strace),
        None => run,
    };
    run.finish(patience())?.success()
}

/// The guest made none of these calls, as far as strace could look.
fn made_none(ended: &Ended, names: &[&str]) -> Result<()> {
    if ended.syscalls.is_none() {
        return Ok(());
    }
    for name in names {
        let made = ended.made(name)?;
        ensure!(made.is_empty(), "{made:?}");
    }
    Ok(())
}

/// Every spelling of 127.0.0.1 is judged as 127.0.0.1: a grant for another address opens none of them.
#[test]
fn other_spellings_of_loopback_open_no_door() -> Result<()> {
    let name = "other_spellings_of_loopback_open_no_door";
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let (four, port) = door("127.0.0.1:0")?;
    let six = door(&format!("[::1]:{port}"))?.0;
    let spellings = [
        (format!("[::ffff:127.0.0.1]:{port}"), "inet6"),
        (format!("[::127.0.0.1]:{port}"), "inet6"),
        (format!("0.0.0.0:{port}"), "inet"),
        (format!("[::]:{port}"), "inet6"),
        (format!("[::ffff:0.0.0.0]:{port}"), "inet6"),
        // NAT64, 6to4 and Teredo with 127.0.0.1 inside.
        (format!("[64:ff9b::7f00:1]:{port}"), "inet6"),
        (format!("[2002:7f00:1::]:{port}"), "inet6"),
        (format!("[2001:0:7f00:1::80ff:fffe]:{port}"), "inet6"),
        (format!("127.0.0.1:{port}"), "inet"),
    ];
    let mut script = Vec::new();
    for (place, (spelling, family)) in spellings.iter().enumerate() {
        script.push(format!("s{place} = socket {family} stream"));
        script.push(format!("connect s{place} {spelling}"));
    }
    // A grant far and wide, apart from what is special.
    let policy = "version = 1
[[allow]]
id = \"the-world\"
family = [\"inet\", \"inet6\"]
type = [\"stream\"]
ops = [\"connect\"]
class = [\"global\"]
";
    let ended = watched(steps(&script).policy_text(policy), name)?;
    for (place, (spelling, _)) in spellings.iter().enumerate() {
        let step = format!("connect s{place} {spelling}");
        assert_eq!(ended.step(&step)?, "acces", "{spelling}");
    }
    let denied = ended
        .audit
        .of("connect")
        .filter(|record| record.is_denied());
    assert_eq!(denied.count(), spellings.len());
    made_none(&ended, &["connect", "sendto", "sendmsg"])?;
    ensure!(!knocked(&four)? && !knocked(&six)?);

    // The twin: loopback granted, the plain spellings and those that mean it get through, as it.
    let allowed = watched(
        steps(&script)
            .allow("tcp connect 127.0.0.1:*")
            .allow("tcp connect [::1]:*"),
        name,
    )?;
    for place in [0, 2, 3, 8] {
        let step = format!("connect s{place} {}", spellings[place].0);
        assert_eq!(allowed.step(&step)?, "ok", "{}", allowed.stdout);
    }
    ensure!(knocked(&four)? && knocked(&six)?);
    let addresses: Vec<_> = allowed
        .audit
        .of("connect")
        .filter(|record| !record.is_denied())
        .map(|record| record.address().to_owned())
        .collect();
    ensure!(
        addresses
            .iter()
            .all(|address| *address == format!("127.0.0.1:{port}")
                || *address == format!("[::1]:{port}")),
        "{addresses:?}"
    );
    Ok(())
}

/// A denied network is denied in every spelling of a numeric host.
#[test]
fn numeric_hosts_in_any_notation_are_what_getaddrinfo_makes_of_them() -> Result<()> {
    let name = "numeric_hosts_in_any_notation_are_what_getaddrinfo_makes_of_them";
    let (listener, port) = door("127.0.0.1:0")?;
    let notations = ["0x7f.1", "0177.0.0.1", "2130706433", "127.1", "0x7f000001"];
    let mut script = Vec::new();
    for (place, notation) in notations.iter().enumerate() {
        script.push(format!("s{place} = socket inet stream"));
        script.push(format!("connect-name s{place} {notation}:{port}"));
    }
    let policy = "version = 1
[[allow]]
id = \"all\"
ops = [\"connect\"]
family = [\"inet\", \"inet6\"]
cidr = [\"0.0.0.0/0\", \"::/0\"]
[[deny]]
id = \"no-loopback\"
class = [\"loopback\"]
";
    let ended = watched(steps(&script).policy_text(policy), name)?;
    for (place, notation) in notations.iter().enumerate() {
        let step = format!("connect-name s{place} {notation}:{port}");
        assert_eq!(ended.step(&step)?, "acces", "{notation}");
    }
    let denied: Vec<_> = ended
        .audit
        .of("connect")
        .filter(|record| record.is_denied())
        .collect();
    assert_eq!(denied.len(), notations.len());
    for record in denied {
        assert_eq!(record.address(), format!("127.0.0.1:{port}"));
        assert_eq!(record.rule(), "no-loopback");
    }
    made_none(&ended, &["sendto", "sendmsg"])?;
    ensure!(!knocked(&listener)?);

    let twin = steps(&script)
        .allow(&format!("tcp connect 127.0.0.1:{port}"))
        .finish(patience())?;
    assert_eq!(
        twin.step(&format!("connect-name s0 0x7f.1:{port}"))?,
        "ok",
        "{}",
        twin.stdout
    );
    ensure!(knocked(&listener)?);
    Ok(())
}

/// connect(AF_UNSPEC) would drop the granted peer, so that another can be picked.
#[test]
fn a_peer_cannot_be_dropped_for_another() -> Result<()> {
    let name = "a_peer_cannot_be_dropped_for_another";
    let (granted, good) = ear("127.0.0.1:0")?;
    let (other, bad) = ear("127.0.0.1:0")?;
    let script = [
        "s = socket inet datagram".to_owned(),
        format!("connect s 127.0.0.1:{good}"),
        "connect s unspecified".to_owned(),
        format!("connect s 127.0.0.1:{bad}"),
        format!("send-to s stray 127.0.0.1:{bad}"),
        format!("send-msg-to s stray 127.0.0.1:{bad}"),
        format!("send-many s 127.0.0.1:{bad}"),
        "send s true".to_owned(),
        "bind s unspecified".to_owned(),
    ];
    let allow = format!("udp connect 127.0.0.1:{good}");
    let ended = watched(steps(&script).allow(&allow), name)?;
    assert_eq!(ended.step(&script[1])?, "ok");
    for step in &script[2..6] {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    assert_eq!(ended.step(&script[6])?, "0 sent, then acces");
    assert_eq!(ended.step("send s true")?, "ok 4");
    assert_eq!(ended.step("bind s unspecified")?, "afnosupport");
    ended.audit.denied("disconnect")?;
    ended.audit.denied("send-to")?;
    if ended.syscalls.is_some() {
        assert_eq!(ended.made("connect")?.len(), 1);
        assert_eq!(ended.made("bind")?.len(), 0);
    }
    assert_eq!(heard(&granted)?.as_deref(), Some("true"));
    assert_eq!(heard(&other)?, None);

    // The twin: with `disconnect` and the other peer it is an ordinary socket.
    let twin = watched(
        steps(&script)
            .allow(&allow)
            .allow(&format!("udp connect,send-to 127.0.0.1:{bad}"))
            .allow("udp disconnect"),
        name,
    )?;
    assert_eq!(twin.step("connect s unspecified")?, "ok");
    assert_eq!(twin.step(&script[3])?, "ok");
    assert_eq!(heard(&other)?.as_deref(), Some("stray"));
    Ok(())
}

/// A second connect names another peer while the first is made or under way.
#[test]
fn a_second_connect_is_judged_too() -> Result<()> {
    let name = "a_second_connect_is_judged_too";
    let (granted, good) = door("127.0.0.1:0")?;
    let (other, bad) = door("127.0.0.1:0")?;
    let script = [
        "s = socket inet stream".to_owned(),
        "timeout s 0".to_owned(),
        format!("connect s 127.0.0.1:{good}"),
        format!("connect s 127.0.0.1:{bad}"),
        "shutdown s".to_owned(),
        "connect s unspecified".to_owned(),
        "timeout s 500".to_owned(),
        format!("connect s 127.0.0.1:{bad} "),
    ];
    let ended = watched(
        steps(&script[..7])
            .argument(format!("connect s 127.0.0.1:{bad}"))
            .allow(&format!("tcp connect 127.0.0.1:{good}")),
        name,
    )?;
    assert_eq!(ended.step(&script[2])?, "inprogress");
    let refused = ended
        .stdout
        .lines()
        .filter(|line| *line == format!("{} -> acces", script[3]))
        .count();
    assert_eq!(refused, 2, "{}", ended.stdout);
    assert_eq!(ended.step("connect s unspecified")?, "acces");
    if ended.syscalls.is_some() {
        assert_eq!(ended.made("connect")?.len(), 1);
    }
    ensure!(knocked(&granted)? && !knocked(&other)?);
    Ok(())
}

/// One refused address among good ones: what stands before it goes out, nothing after it does.
#[test]
fn nothing_after_a_refused_message_of_a_batch_is_sent() -> Result<()> {
    let name = "nothing_after_a_refused_message_of_a_batch_is_sent";
    let (good, good_port) = ear("127.0.0.1:0")?;
    let (bad, bad_port) = ear("127.0.0.1:0")?;
    let (g, b) = (
        format!("127.0.0.1:{good_port}"),
        format!("127.0.0.1:{bad_port}"),
    );
    let batch = format!("send-many s {g} {g} {b} {g} {b}");
    let script = ["s = socket inet datagram", &batch];
    let allow = format!("udp send-to {g}");
    let ended = watched(steps(script).allow(&allow), name)?;
    assert_eq!(ended.step(&batch)?, "2 sent, then acces");
    assert_eq!(ended.audit.denied("send-to")?.address(), b);
    assert_eq!(heard(&good)?.as_deref(), Some("m0"));
    assert_eq!(heard(&good)?.as_deref(), Some("m1"));
    assert_eq!(heard(&good)?, None);
    assert_eq!(heard(&bad)?, None);

    let twin = steps(script)
        .allow(&allow)
        .allow(&format!("udp send-to {b}"))
        .finish(patience())?;
    assert_eq!(twin.step(&batch)?, "5 sent, then none");
    assert_eq!(heard(&bad)?.as_deref(), Some("m2"));
    Ok(())
}

/// MSG_FASTOPEN connects within a send, TCP_FASTOPEN_CONNECT puts the connect off: both are judged.
#[test]
fn fast_open_is_no_way_round_connect() -> Result<()> {
    let name = "fast_open_is_no_way_round_connect";
    let (listener, port) = door("127.0.0.1:0")?;
    let (granted, good) = door("127.0.0.1:0")?;
    let script = [
        "s = socket inet stream".to_owned(),
        format!("send-to s hello 127.0.0.1:{port} fast-open"),
        format!("send-msg-to s hello 127.0.0.1:{port}"),
        format!("send-to s hello 127.0.0.1:{good} fast-open"),
        // TCP_FASTOPEN_CONNECT by its number.
        "set s 6 30 01000000".to_owned(),
    ];
    let allow = format!("tcp connect 127.0.0.1:{good}");
    let ended = watched(steps(&script).allow(&allow), name)?;
    assert_eq!(ended.step(&script[1])?, "acces");
    assert_eq!(ended.step(&script[2])?, "notconn");
    // The peer is granted, the flag is not listed.
    assert_eq!(ended.step(&script[3])?, "acces");
    assert_eq!(ended.step(&script[4])?, "acces");
    ended.audit.denied("connect")?;
    ended.audit.denied("set-option")?;
    made_none(&ended, &["connect", "sendto", "sendmsg"])?;
    ensure!(!knocked(&listener)? && !knocked(&granted)?);

    let twin = watched(
        steps(&script).allow(&format!("{allow} flags=fastopen set=tcp.fastopen-connect")),
        name,
    )?;
    // Without a cookie from an earlier connection the kernel begins an ordinary one, tcp(7).
    ensure!(
        matches!(twin.step(&script[3])?, "ok 5" | "inprogress"),
        "{}",
        twin.stdout
    );
    ensure!(knocked(&granted)? && !knocked(&listener)?);
    Ok(())
}

/// listen(2) on a socket that was never bound takes every interface and any port.
#[test]
fn an_unbound_listen_needs_the_wildcard() -> Result<()> {
    let name = "an_unbound_listen_needs_the_wildcard";
    let script = ["s = socket inet stream", "listen s", "local s"];
    let ended = watched(steps(script).allow("tcp listen 127.0.0.1:*"), name)?;
    assert_eq!(ended.step("listen s")?, "acces");
    let record = ended.audit.denied("bind")?;
    assert_eq!(record.address(), "0.0.0.0:0");
    made_none(&ended, &["bind", "listen"])?;

    let twin = watched(steps(script).allow("tcp listen 0.0.0.0:*"), name)?;
    assert_eq!(twin.step("listen s")?, "ok");
    twin.audit.granted("listen")?;
    Ok(())
}

/// Port 0 lets the kernel choose: the rule has to cover that, and what the kernel chose is judged.
#[test]
fn a_port_that_the_kernel_chose_is_judged() -> Result<()> {
    let name = "a_port_that_the_kernel_chose_is_judged";
    let script = [
        "s = socket inet datagram",
        "bind s 127.0.0.1:0",
        "local s",
        "recv s 10 dont-wait",
    ];
    let fixed = watched(steps(script).allow("udp bind,receive 127.0.0.1:5353"), name)?;
    assert_eq!(fixed.step("bind s 127.0.0.1:0")?, "acces");
    fixed.audit.denied("bind")?;
    made_none(&fixed, &["bind"])?;

    // A range beneath those that the kernel chooses from: the socket is bound, judged, and ended.
    let range = watched(
        steps(script).allow("udp bind,receive 127.0.0.1:1-1025"),
        name,
    )?;
    assert_eq!(range.step("bind s 127.0.0.1:0")?, "acces");
    let record = range.audit.denied("bind")?;
    ensure!(!record.address().ends_with(":0"), "{}", record.address());
    ensure!(matches!(
        range.step("recv s 10 dont-wait")?,
        "acces" | "badf"
    ));

    let twin = watched(steps(script).allow("udp bind,receive 127.0.0.1:*"), name)?;
    assert_eq!(twin.step("bind s 127.0.0.1:0")?, "ok");
    assert_eq!(twin.step("recv s 10 dont-wait")?, "again");
    Ok(())
}

/// Connections from outside the rule are accepted and reset by the host; the guest's accept goes on.
#[test]
fn a_connection_from_outside_the_rule_is_reset() -> Result<()> {
    outsider_is_reset("park")?;
    outsider_is_reset("ready")
}

fn outsider_is_reset(wait: &str) -> Result<()> {
    let place = folder()?;
    let port = free_port()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let guest = steps([
        "s = socket inet stream",
        &bind,
        "listen s",
        "timeout s 30000",
        "until /steps/outsider",
        // poll does not report what accept will not give.
        "poll s 200",
        "poller s 200",
        "c = accept s",
        "recv c 100",
    ])
    .allow(&format!("tcp listen 127.0.0.1:{port} peer 127.0.0.2"))
    .wait_kind(wait)
    .directory(place.path(), "/steps")
    .start()?;
    guest.wait_for_line("timeout s", patience())?;
    let mut outsider = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    outsider.set_read_timeout(Some(patience()))?;
    std::fs::write(place.path().join("outsider"), "")?;
    let reset = outsider.read(&mut [0; 16]);
    assert_eq!(
        reset.map_err(|error| error.kind()),
        Err(ErrorKind::ConnectionReset)
    );
    guest.wait_for_line("poller s 200 -> nothing", patience())?;
    connect_from(Ipv4Addr::new(127, 0, 0, 2), port, b"from within")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("poll s 200")?, "nothing");
    ensure!(
        ended.step("c = accept s")?.starts_with("ok 127.0.0.2:"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.step("recv c 100")?, "\"from within\"");
    let refused = ended.audit.denied("accept")?;
    ensure!(refused.address().starts_with("127.0.0.1:"));
    Ok(())
}

fn connect_from(source: Ipv4Addr, port: u16, data: &[u8]) -> Result<()> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&std::net::SocketAddr::from((source, 0)).into())?;
    socket.connect(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.send(data)?;
    Ok(())
}

/// Datagrams from others are dropped, and neither poll nor a poller reports them.
#[test]
fn datagrams_from_others_are_hidden() -> Result<()> {
    hidden_datagrams("park")?;
    hidden_datagrams("ready")
}

fn hidden_datagrams(wait: &str) -> Result<()> {
    let place = folder()?;
    let port = free_port()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let guest = steps([
        "s = socket inet datagram",
        &bind,
        "until /steps/strangers-wrote",
        "poll s 100",
        "poller s 100",
        "recv s 100 dont-wait",
        "say the-granted-one-may-write",
        "until /steps/granted-wrote",
        "poll s 5000",
        "recv-from s 100",
        "recv s 100 dont-wait|peek",
    ])
    .allow(&format!("udp bind,receive 127.0.0.1:{port} peer 127.0.0.2"))
    .wait_kind(wait)
    .directory(place.path(), "/steps")
    .start()?;
    guest.wait_for_line("bind s", patience())?;
    let stranger = UdpSocket::bind("127.0.0.3:0")?;
    for _ in 0..3 {
        stranger.send_to(b"strange", (Ipv4Addr::LOCALHOST, port))?;
    }
    std::fs::write(place.path().join("strangers-wrote"), "")?;
    guest.wait_for_line("say the-granted-one-may-write", patience())?;
    stranger.send_to(b"strange", (Ipv4Addr::LOCALHOST, port))?;
    let granted = UdpSocket::bind("127.0.0.2:0")?;
    granted.send_to(b"known", (Ipv4Addr::LOCALHOST, port))?;
    stranger.send_to(b"strange", (Ipv4Addr::LOCALHOST, port))?;
    std::fs::write(place.path().join("granted-wrote"), "")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("poll s 100")?, "nothing");
    assert_eq!(ended.step("poller s 100")?, "nothing");
    assert_eq!(ended.step("recv s 100 dont-wait")?, "again");
    assert_eq!(ended.step("poll s 5000")?, "ready");
    ensure!(
        ended
            .step("recv-from s 100")?
            .starts_with("\"known\" from 127.0.0.2:")
    );
    assert_eq!(ended.step("recv s 100 dont-wait|peek")?, "again");
    let hidden = ended
        .audit
        .of("receive")
        .filter(|record| record.is_denied() && record.address().starts_with("127.0.0.3:"));
    assert_eq!(hidden.count(), 5);
    Ok(())
}

/// What others queued before the connect is still there after it: each such datagram is judged.
#[test]
fn datagrams_that_were_queued_before_connect_are_judged() -> Result<()> {
    let place = folder()?;
    let (peer, peer_port) = ear("127.0.0.1:0")?;
    let port = free_port()?;
    let (bind, connect) = (
        format!("bind s 127.0.0.1:{port}"),
        format!("connect s 127.0.0.1:{peer_port}"),
    );
    let script = [
        "s = socket inet datagram",
        &bind,
        "until /steps/queued",
        &connect,
        "poll s 2000",
        "recv s 100 dont-wait",
        "poll s 0",
    ];
    let run = |rules: &[String]| -> Result<Ended> {
        let file = place.path().join("queued");
        let guest = rules
            .iter()
            .fold(steps(script), |run, rule| run.allow(rule))
            .directory(place.path(), "/steps")
            .start()?;
        guest.wait_for_line("bind s", patience())?;
        let stranger = UdpSocket::bind("127.0.0.1:0")?;
        stranger.send_to(b"queued", (Ipv4Addr::LOCALHOST, port))?;
        peer.send_to(b"answer", (Ipv4Addr::LOCALHOST, port))?;
        std::fs::write(&file, "")?;
        let ended = guest.wait(patience())?.success()?;
        std::fs::remove_file(&file)?;
        Ok(ended)
    };
    let strict = [
        format!("udp bind 127.0.0.1:{port}"),
        format!("udp connect 127.0.0.1:{peer_port}"),
    ];
    let ended = run(&strict)?;
    assert_eq!(ended.step(&connect)?, "ok");
    assert_eq!(ended.step("recv s 100 dont-wait")?, "\"answer\"");
    assert_eq!(ended.step("poll s 0")?, "nothing");
    ended.audit.denied("receive")?;

    // The twin: with `receive` from anybody the kernel's own order comes through.
    let open = [
        strict[0].clone(),
        strict[1].clone(),
        format!("udp bind,receive 127.0.0.1:{port} peer *"),
    ];
    let ended = run(&open)?;
    assert_eq!(ended.step("recv s 100 dont-wait")?, "\"queued\"");
    Ok(())
}

/// IP_PKTINFO names a source address of its own: only one that the rule would bind may be named.
#[test]
fn packet_info_is_no_way_to_another_source() -> Result<()> {
    let name = "packet_info_is_no_way_to_another_source";
    let (peer, to) = ear("127.0.0.1:0")?;
    let port = free_port()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let send = format!("send-from s hello 127.0.0.9 127.0.0.1:{to}");
    let own = format!("send-from s hello 127.0.0.1 127.0.0.1:{to}");
    let script = ["s = socket inet datagram", &bind, &send];
    let rule = format!("udp bind,send-to 127.0.0.1:{port} peer 127.0.0.1:{to}");
    let ended = watched(steps(script).allow(&rule), name)?;
    assert_eq!(ended.step(&bind)?, "ok");
    assert_eq!(ended.step(&send)?, "acces");
    assert_eq!(
        ended.audit.denied("bind")?.address(),
        format!("127.0.0.9:{port}")
    );
    made_none(&ended, &["sendmsg", "sendto"])?;
    assert_eq!(heard(&peer)?, None);

    // With the kind of ancillary data granted, the source still has to be one that a rule would bind.
    let listed = format!("{rule} send-ancillary=packet-info");
    let by_name = format!("send-many s 127.0.0.1:{to}");
    let script = ["s = socket inet datagram", &bind, &send, &own, &by_name];
    let ended = watched(steps(script).allow(&listed), name)?;
    assert_eq!(ended.step(&own)?, "ok 5", "{}", ended.stdout);
    assert_eq!(ended.step(&send)?, "acces", "{}", ended.stdout);
    assert_eq!(sources(&peer)?, [Ipv4Addr::LOCALHOST; 2]);
    // By IP_PKTINFO's number it is the same, and a structure that is cut short is refused as such.
    let raw =
        ["000000007f000009", "000000007f"].map(|start| format!("send-raw s 0 8 {start:0<24}"));
    let connect = format!("connect s 127.0.0.1:{to}");
    let script = [
        "s = socket inet datagram",
        &bind,
        &connect,
        &raw[0],
        "send-raw s 0 8 00000000",
    ];
    let rule =
        format!("udp bind,connect 127.0.0.1:{port} peer 127.0.0.1:{to} send-ancillary=packet-info");
    let ended = watched(steps(script).allow(&rule), name)?;
    assert_eq!(ended.step(&raw[0])?, "acces", "{}", ended.stdout);
    assert_eq!(ended.step("send-raw s 0 8 00000000")?, "inval");
    assert_eq!(sources(&peer)?, [Ipv4Addr::LOCALHOST; 0]);

    // The twin: a rule that would bind the other source lets it be named.
    let twin = steps(["s = socket inet datagram", &bind, &send])
        .allow(&listed)
        .allow(&format!("udp bind 127.0.0.9:{port}"))
        .finish(patience())?;
    assert_eq!(twin.step(&send)?, "ok 5", "{}", twin.stdout);
    assert_eq!(sources(&peer)?, [Ipv4Addr::new(127, 0, 0, 9)]);
    Ok(())
}

/// The sources of all datagrams that are there.
fn sources(ear: &UdpSocket) -> Result<Vec<std::net::IpAddr>> {
    let mut found = Vec::new();
    loop {
        match ear.recv_from(&mut [0; 2048]) {
            Ok((_, source)) => found.push(source.ip()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(found),
            Err(error) => return Err(error.into()),
        }
    }
}

/// IPV6_V6ONLY off would serve IPv4 on a rule that names IPv6 alone: the host keeps it on.
#[test]
fn a_rule_for_ipv6_alone_serves_no_ipv4() -> Result<()> {
    let name = "a_rule_for_ipv6_alone_serves_no_ipv4";
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let port = free_port()?;
    let place = folder()?;
    let bind = format!("bind s [::]:{port}");
    let run = |rules: &[String]| -> Result<(Ended, bool)> {
        let guest = rules
            .iter()
            .fold(
                steps([
                    "s = socket inet6 stream",
                    "set s 41 26 00000000",
                    "typed s v6-only 0",
                    &bind,
                    "listen s",
                    "until /steps/tried",
                ]),
                |run, rule| run.allow(rule),
            )
            .directory(place.path(), "/steps")
            .start()?;
        guest.wait_for_line("listen s -> ok", patience())?;
        let reached = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, port))?;
        std::fs::write(place.path().join("tried"), "")?;
        let ended = guest.wait(patience())?.success()?;
        std::fs::remove_file(place.path().join("tried"))?;
        Ok((ended, reached))
    };
    let six = format!("tcp listen [::]:{port}");
    let (_, reached) = run(std::slice::from_ref(&six))?;
    ensure!(!reached, "a rule for IPv6 alone let IPv4 in");

    let both = "version = 1
[[allow]]
id = \"both\"
family = [\"inet\", \"inet6\"]
type = [\"stream\"]
ops = [\"listen\"]
local = { cidr = [\"0.0.0.0\", \"::\"], port = [\"PORT\"] }
peer = \"*\"
"
    .replace("PORT", &port.to_string());
    let guest = steps([
        "s = socket inet6 stream",
        "typed s v6-only 0",
        &bind,
        "listen s",
        "c = accept s",
    ])
    .policy_text(&both)
    .start()?;
    guest.wait_for_line("listen s -> ok", patience())?;
    ensure!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    let ended = guest.wait(patience())?.success()?;
    ensure!(ended.step("c = accept s")?.starts_with("ok "));
    Ok(())
}

/// Host names are matched whole, without regard to case and to a final dot, and no spelling gets round it.
#[test]
fn host_names_are_matched_whole() -> Result<()> {
    let name = "host_names_are_matched_whole";
    let long = format!("{}.example.com", "a".repeat(64));
    let longer = format!("{}example.com", "a.".repeat(150));
    let refused = [
        "example.com",
        "evilexample.com",
        "www.example.com.evil.test",
        "example.com.evil.test",
        "www.example.org",
        "localhost.localdomain",
        "local host",
        "*.example.com",
        "",
        ".",
        &long,
        &longer,
        // A name of one label would be completed by a search domain.
        "www",
    ];
    let lookups: Vec<String> = refused
        .iter()
        .map(|host| format!("lookup {host}"))
        .collect();
    let rules = [
        "resolve *.example.com",
        "resolve localhost host-may-be=loopback",
    ];
    let run = rules
        .iter()
        .fold(steps(&lookups), |run, rule| run.allow(rule));
    let ended = watched(run, name)?;
    for step in &lookups {
        let outcome = ended.step(step)?;
        ensure!(!outcome.starts_with("ok"), "{step}: {outcome}");
    }
    ensure!(ended.audit.of("resolve").all(|record| record.is_denied()));
    // Nobody was asked: no socket at all.
    made_none(&ended, &["socket", "connect", "sendto", "sendmmsg"])?;

    // The twin: the granted name in other spellings is that name.
    let same = ["localhost", "LOCALHOST", "localhost.", "LocalHost."];
    let lookups: Vec<String> = same.iter().map(|host| format!("lookup {host}")).collect();
    let twin = steps(&lookups)
        .allow("resolve localhost host-may-be=loopback")
        .finish(patience())?;
    for step in &lookups {
        ensure!(
            twin.step(step)?.starts_with("ok"),
            "{step}: {}",
            twin.stdout
        );
    }
    Ok(())
}

/// A rule on the local address holds for sockets that were never bound too: the kernel's own choice of
/// address and port is no way round it.
#[test]
fn an_implicit_bind_is_no_way_round_a_rule_on_the_local_address() -> Result<()> {
    let name = "an_implicit_bind_is_no_way_round_a_rule_on_the_local_address";
    let (peer, to) = ear("127.0.0.1:0")?;
    let port = free_port()?;
    let rule = format!("udp bind,send-to 127.0.0.1:{port} peer 127.0.0.1:{to}");
    let send = format!("send-to s hello 127.0.0.1:{to}");
    let bind = format!("bind s 127.0.0.1:{port}");
    let ended = watched(
        steps(["s = socket inet datagram", &send]).allow(&rule),
        name,
    )?;
    assert_eq!(ended.step(&send)?, "acces");
    made_none(&ended, &["sendto", "sendmsg"])?;
    assert_eq!(heard(&peer)?, None);
    let twin = steps(["s = socket inet datagram", &bind, &send])
        .allow(&rule)
        .finish(patience())?;
    assert_eq!(twin.step(&send)?, "ok 5");
    assert_eq!(heard(&peer)?.as_deref(), Some("hello"));
    Ok(())
}

/// Broadcasts are a class of their own: a grant for everything global, private or loopback is none for
/// them, and a directed one is judged as the address that it is.
#[test]
fn broadcast_needs_its_own_grant() -> Result<()> {
    let name = "broadcast_needs_its_own_grant";
    let script = [
        "s = socket inet datagram",
        "typed s broadcast 1",
        "send-to s hello 255.255.255.255:9",
        // The directed broadcast of 127.0.0.0/8: on this machine alone.
        "send-to s hello 127.255.255.255:9",
    ];
    let policy = "version = 1
[[allow]]
id = \"unicast\"
family = [\"inet\"]
type = [\"datagram\"]
ops = [\"send-to\"]
class = [\"global\", \"private\", \"link-local\"]
options = { set = [\"so.broadcast\"] }
";
    let ended = watched(steps(script).policy_text(policy), name)?;
    assert_eq!(ended.step(script[1])?, "ok");
    assert_eq!(ended.step(script[2])?, "acces");
    assert_eq!(ended.step(script[3])?, "acces");
    assert_eq!(
        ended.audit.denied("send-to")?.address(),
        "255.255.255.255:9"
    );
    made_none(&ended, &["sendto", "sendmsg"])?;

    let twin = steps(script)
        .policy_text(&policy.replace("\"global\"", "\"loopback\""))
        .finish(patience())?;
    assert_eq!(twin.step(script[2])?, "acces");
    assert_eq!(twin.step(script[3])?, "ok 5");
    Ok(())
}

/// The error queue tells addresses: reading it needs its flag.
#[test]
fn the_error_queue_needs_its_flag() -> Result<()> {
    let (peer, to) = ear("127.0.0.1:0")?;
    let script = [
        "s = socket inet datagram".to_owned(),
        format!("connect s 127.0.0.1:{to}"),
        "recv s 100 err-queue|dont-wait".to_owned(),
    ];
    let rule = format!("udp connect 127.0.0.1:{to}");
    let ended = steps(&script).allow(&rule).finish(patience())?;
    assert_eq!(ended.step(&script[2])?, "acces");
    let twin = steps(&script)
        .allow(&format!("{rule} flags=errqueue"))
        .finish(patience())?;
    assert_eq!(twin.step(&script[2])?, "again");
    assert_eq!(heard(&peer)?, None);
    Ok(())
}

/// A socket can be connected to itself where both ends are granted, and where they are not it cannot.
#[test]
fn a_self_connect_is_judged_like_any_other() -> Result<()> {
    let name = "a_self_connect_is_judged_like_any_other";
    let port = free_port()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let connect = format!("connect s 127.0.0.1:{port}");
    let script = [
        "s = socket inet stream",
        &bind,
        &connect,
        "send s echo",
        "recv s 10",
    ];
    let own = format!("tcp bind 127.0.0.1:{port}");
    let ended = watched(steps(script).allow(&own), name)?;
    assert_eq!(ended.step(&connect)?, "acces");
    made_none(&ended, &["connect"])?;
    let twin = steps(script)
        .allow(&own)
        .allow(&format!("tcp connect 127.0.0.1:{port}"))
        .finish(patience())?;
    assert_eq!(twin.step(&connect)?, "ok");
    assert_eq!(twin.step("recv s 10")?, "\"echo\"");
    Ok(())
}

/// A scope names an interface: an address that bears one is judged with it, and none of them is loopback.
#[test]
fn scopes_and_mapped_sources_are_judged() -> Result<()> {
    let name = "scopes_and_mapped_sources_are_judged";
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let script = [
        "s = socket inet6 datagram",
        "send-to s hello [fe80::1%1]:9",
        "send-to s hello [::ffff:10.1.2.3]:9",
        "send-to s hello [::10.1.2.3]:9",
        "bind s [::ffff:127.0.0.1]:0",
        "bind s [::127.0.0.1]:0",
    ];
    let ended = watched(
        steps(script).allow("udp6 bind,send-to [::1]:* peer [::1]:*"),
        name,
    )?;
    for step in &script[1..] {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    let addresses: Vec<_> = ended
        .audit
        .records()
        .iter()
        .filter(|record| record.is_denied())
        .map(|record| record.address())
        .collect();
    assert_eq!(
        addresses,
        [
            "[fe80::1%1]:9",
            "10.1.2.3:9",
            "10.1.2.3:9",
            "127.0.0.1:0",
            "127.0.0.1:0"
        ]
    );
    made_none(&ended, &["sendto", "sendmsg", "bind"])
}
