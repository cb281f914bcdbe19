//! Ways round a policy for datagrams over inet: other peers, other sources, and what others send. Each is
//! judged by what a native peer saw, by the audit file and by the log of system calls.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Attack, Ended, Tool, ear, folder, free_port, heard, made_none, oracle, patience, steps, watched,
};

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

/// Only who was received from may be answered, in whatever way; a message that poll or a peek saw is not received yet.
#[test]
fn a_sender_that_was_only_looked_at_is_not_answered() -> Result<()> {
    for take in [
        "recv s 9",
        "recv-from s 9",
        "recv-msg s 9 0",
        "recv-many s 1",
    ] {
        let (client, port) = ear("127.0.0.1:0")?;
        let at = format!("127.0.0.1:{}", free_port()?);
        let early = format!("send-to s early 127.0.0.1:{port}");
        let late = format!("send-to s late 127.0.0.1:{port}");
        let bind = format!("bind s {at}");
        let looks = ["recv s 9 peek", "poll s 9000", "poller s 9000", &early];
        let mut script = vec!["s = socket inet datagram", &bind];
        script.extend(looks.iter().chain(&[take, &late]));
        let allow = format!("udp bind,receive,reply from {at} peer *");
        let guest = steps(&script).allow(&allow).start()?;
        guest.wait_for_line(&bind, patience())?;
        client.send_to(b"question", &at)?;
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(ended.step("recv s 9 peek")?, "\"question\"");
        assert_eq!(ended.step(&early)?, "acces", "{take}");
        assert_eq!(ended.step(&late)?, "ok 4", "{take}");
        ended.audit.denied("send-to")?;
        assert_eq!(heard(&client)?.as_deref(), Some("late"));
    }
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
    Attack::new(
        format!("datagrams-of-others-{wait}"),
        "Beyond",
        "datagrams of senders outside the rule",
    )
    .tried("looks for datagrams of others with poll, a poller, recv and recv with MSG_PEEK")
    .got(ended.step("recv s 100 dont-wait")?)
    .saw(
        "what the guest was given",
        ended.stdout.contains("\"strange\""),
        ended.stdout.contains("\"known\""),
    )
    .state()
}

/// A hidden datagram that was looked at and cannot be taken away ends the call, which would find it for ever.
#[test]
fn a_hidden_datagram_that_stays_is_told() -> Result<()> {
    let name = "a_hidden_datagram_that_stays_is_told";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let place = folder()?;
    let port = free_port()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let receive = "recv s 100 dont-wait|peek";
    let script = [
        "s = socket inet datagram",
        &bind,
        "until /steps/queued",
        receive,
    ];
    let guest = steps(script)
        .allow(&format!("udp bind,receive 127.0.0.1:{port} peer 127.0.0.2"))
        .directory(place.path(), "/steps")
        .strace(&strace)
        // The first one looks.
        .inject("recvfrom:error=ENOMEM:when=2")
        .start()?;
    guest.wait_for_line("bind s", patience())?;
    UdpSocket::bind("127.0.0.3:0")?.send_to(b"strange", (Ipv4Addr::LOCALHOST, port))?;
    std::fs::write(place.path().join("queued"), "")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step(receive)?, "nomem", "{}", ended.stdout);
    assert_eq!(ended.audit.of("receive").count(), 1);
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
    let twin = run(&open)?;
    assert_eq!(twin.step("recv s 100 dont-wait")?, "\"queued\"");
    Attack::new(
        "queued-before-connect",
        "Beyond",
        "datagrams of senders outside the rule",
    )
    .tried("connects to its peer when a stranger's datagram is queued already")
    .got(ended.step("recv s 100 dont-wait")?)
    .checked("the granted peer's datagram came, the stranger's was dropped")
    .saw(
        "what the guest was given",
        ended.stdout.contains("queued\""),
        twin.stdout.contains("queued\""),
    )
    .state()
}

/// A peer lets its socket receive for as long as it is there, and a connect that failed gives none.
#[test]
fn a_peer_that_is_not_there_grants_nothing() -> Result<()> {
    let (_peer, peer) = ear("127.0.0.1:0")?;
    let port = free_port()?;
    let (bind, connect) = (
        format!("bind s 127.0.0.1:{port}"),
        format!("connect s 127.0.0.1:{peer}"),
    );
    // The kernel refuses a directed broadcast to a socket without SO_BROADCAST.
    let script = [
        "s = socket inet datagram",
        &bind,
        "connect s 127.255.255.255:9",
        "recv s 1 dont-wait",
        &connect,
        "recv s 2 dont-wait",
        "connect s unspecified",
        "recv s 3 dont-wait",
    ];
    let rules = [
        format!("udp bind 127.0.0.1:{port}"),
        format!("udp connect 127.0.0.1:{peer}"),
        "udp connect 127.255.255.255:9".to_owned(),
        "udp disconnect".to_owned(),
    ];
    let run = |rules: &[String]| {
        let run = rules
            .iter()
            .fold(steps(script), |run, rule| run.allow(rule));
        run.finish(patience())?.success()
    };
    let ended = run(&rules)?;
    assert_eq!(ended.audit.granted("connect")?.errno(), "acces");
    assert_eq!(ended.step("recv s 1 dont-wait")?, "acces");
    assert_eq!(ended.step(&connect)?, "ok");
    assert_eq!(ended.step("recv s 2 dont-wait")?, "again");
    assert_eq!(ended.step("connect s unspecified")?, "ok");
    assert_eq!(ended.step("recv s 3 dont-wait")?, "acces");
    ended.audit.denied("recv")?;

    let open = format!("udp bind,receive 127.0.0.1:{port} peer *");
    let twin = run(&[&rules[..], &[open]].concat())?;
    for step in ["recv s 1 dont-wait", "recv s 3 dont-wait"] {
        assert_eq!(twin.step(step)?, "again");
    }
    Ok(())
}

/// What a socket may do is asked anew once it has a peer: the rule that granted that may list more.
#[test]
fn a_peer_comes_with_the_flags_of_its_rule() -> Result<()> {
    let (_peer, peer) = ear("127.0.0.1:0")?;
    let port = free_port()?;
    let (bind, connect) = (
        format!("bind s 127.0.0.1:{port}"),
        format!("connect s 127.0.0.1:{peer}"),
    );
    let ended = steps([
        "s = socket inet datagram",
        &bind,
        "recv s 1 dont-wait",
        "recv s 2 err-queue|dont-wait",
        &connect,
        "recv s 3 err-queue|dont-wait",
    ])
    .allow(&format!("udp bind,receive 127.0.0.1:{port} peer 127.0.0.9"))
    .allow(&format!("udp connect 127.0.0.1:{peer} flags=errqueue"))
    .finish(patience())?
    .success()?;
    assert_eq!(ended.step("recv s 1 dont-wait")?, "again");
    assert_eq!(ended.step("recv s 2 err-queue|dont-wait")?, "acces");
    assert_eq!(ended.step(&connect)?, "ok");
    assert_eq!(ended.step("recv s 3 err-queue|dont-wait")?, "again");
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
    let raw = "send-raw s 0 8 000000007f00000900000000";
    let connect = format!("connect s 127.0.0.1:{to}");
    let script = [
        "s = socket inet datagram",
        &bind,
        &connect,
        raw,
        "send-raw s 0 8 00000000",
    ];
    let rule =
        format!("udp bind,connect 127.0.0.1:{port} peer 127.0.0.1:{to} send-ancillary=packet-info");
    let ended = watched(steps(script).allow(&rule), name)?;
    assert_eq!(ended.step(raw)?, "acces", "{}", ended.stdout);
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
    let reached = heard(&peer)?;
    let twin = watched(
        steps(["s = socket inet datagram", &bind, &send]).allow(&rule),
        name,
    )?;
    assert_eq!(twin.step(&send)?, "ok 5");
    Attack::new(
        "implicit-bind",
        "Addresses",
        "a source port below the rule's range through an implicit bind",
    )
    .tried("sends from a socket that it did not bind, under a rule for one local port")
    .step((&ended, &send), (&twin, &send), &["sendto", "sendmsg"])?
    .saw("the peer", reached, heard(&peer)?)
    .state()
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
