//! Ways round a policy for inet and inet6: addresses, names and connections. Each is judged by what a
//! native peer saw, by the audit file and by the log of system calls, never by the guest's own word alone.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Attack, Ended, Record, door, folder, free_port, has_ipv6, knocked, made_none, patience, skip,
    steps, watched,
};

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
        format!("connect s 127.0.0.1:{bad}"),
    ];
    let ended = watched(
        steps(&script).allow(&format!("tcp connect 127.0.0.1:{good}")),
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
    // Without a cookie from an earlier connection the kernel begins an ordinary one, tcp(7); the data goes
    // once it is made.
    assert_eq!(twin.step(&script[3])?, "ok 5");
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
    assert_eq!(range.step("recv s 10 dont-wait")?, "badf");

    let twin = watched(steps(script).allow("udp bind,receive 127.0.0.1:*"), name)?;
    assert_eq!(twin.step("bind s 127.0.0.1:0")?, "ok");
    assert_eq!(twin.step("recv s 10 dont-wait")?, "again");
    Ok(())
}

/// An address of another family is the kernel's to refuse, and no denial.
#[test]
fn an_address_of_another_family_is_no_denial() -> Result<()> {
    let ended = steps([
        "s = socket inet datagram",
        "bind s [::1]:5353",
        "bind s path:/tmp/none",
        "connect s [::1]:5353",
        "connect s path:/tmp/none",
        "u = socket unix datagram",
        "bind u 127.0.0.1:5353",
    ])
    .allow("udp send-to 127.0.0.1:5353")
    .allow("unix connect @none")
    .finish(patience())?
    .success()?;
    assert_eq!(ended.step("bind s [::1]:5353")?, "afnosupport");
    assert_eq!(ended.step("bind s path:/tmp/none")?, "afnosupport");
    assert_eq!(ended.step("bind u 127.0.0.1:5353")?, "inval");
    for step in ["connect s [::1]:5353", "connect s path:/tmp/none"] {
        assert_eq!(ended.step(step)?, "afnosupport");
    }
    for operation in ["bind", "connect"] {
        assert_eq!(ended.audit.of(operation).count(), 0);
    }
    Ok(())
}

/// A peer that refused is the socket's peer no more: what is asked next is not judged by it.
#[test]
fn a_peer_that_refused_has_no_say_any_more() -> Result<()> {
    let closed = free_port()?;
    let connect = format!("connect s 127.0.0.1:{closed}");
    let ended = steps(["s = socket inet stream", &connect, "set s 1 9 01000000"])
        .allow(&format!("tcp connect 127.0.0.1:{closed}"))
        .allow("tcp connect 127.0.0.2:9 set=so.keepalive")
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step(&connect)?, "connrefused");
    assert_eq!(ended.step("set s 1 9 01000000")?, "ok");
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
        "send c welcome",
    ])
    .allow(&format!("tcp listen 127.0.0.1:{port} peer 127.0.0.2"))
    .wait_kind(wait)
    .directory(place.path(), "/steps")
    .start()?;
    guest.wait_for_line("timeout s", patience())?;
    let mut outsider = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    outsider.set_read_timeout(Some(patience()))?;
    std::fs::write(place.path().join("outsider"), "")?;
    let mut welcome = [0; 16];
    let reset = outsider.read(&mut welcome);
    assert_eq!(
        reset.map_err(|error| error.kind()),
        Err(ErrorKind::ConnectionReset)
    );
    guest.wait_for_line("poller s 200 -> nothing", patience())?;
    let granted = connect_from(Ipv4Addr::new(127, 0, 0, 2), port, b"from within")?;
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
    Attack::new(
        format!("accept-outsider-{wait}"),
        "Connection",
        "accept from a peer outside the rule",
    )
    .tried("accepts a connection whose peer its listener's rule does not name")
    .got(ended.step("poller s 200")?)
    .checked(
        "the outsider was reset and read nothing; poll and accept showed the granted peer alone",
    )
    .saw(
        "what the client read",
        welcome[0] != 0,
        granted == "welcome",
    )
    .state()
}

/// Connects, sends, and reads to the end.
fn connect_from(source: Ipv4Addr, port: u16, data: &[u8]) -> Result<String> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&std::net::SocketAddr::from((source, 0)).into())?;
    socket.connect(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.send(data)?;
    let mut answer = String::new();
    TcpStream::from(socket).read_to_string(&mut answer)?;
    Ok(answer)
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
    // What can be no host's name is not even a question to the policy.
    let refused = |record: &Record| match record.verdict() {
        "free" => !record.errno().is_empty(),
        _ => record.is_denied(),
    };
    ensure!(ended.audit.of("resolve").all(refused));
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

/// The kernel answers the connect(2) that follows one which was under way with success, whatever its address.
/// The peer stays the one that there is, for the policy as for the guest.
#[test]
fn a_second_connect_changes_no_peer() -> Result<()> {
    let (one, first) = door("127.0.0.1:0")?;
    let (other, second) = door("127.0.0.1:0")?;
    let script = [
        "s = socket inet stream".to_owned(),
        format!("connect s 127.0.0.1:{first}"),
        format!("connect s 127.0.0.1:{second}"),
    ];
    let ended = steps(&script)
        .allow(&format!("tcp connect 127.0.0.1:{first}"))
        .allow(&format!("tcp connect 127.0.0.1:{second}"))
        .finish(patience())?;
    assert_eq!(ended.step(&script[1])?, "ok");
    assert_eq!(ended.step(&script[2])?, "isconn");
    let told = ended
        .audit
        .of("connect")
        .last()
        .map(|record| record.errno().to_owned());
    assert_eq!(told.as_deref(), Some("isconn"));
    ensure!(knocked(&one)? && !knocked(&other)?);
    Ok(())
}
