//! What `std::net` may do is judged where wasi:sockets asks: each question has its own grant, and the twin that has
//! it succeeds.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use sockgate_tests::{Ended, GuestRun, folder, free_port, patience};

fn rule(id: &str, style: &str, keys: &str) -> String {
    format!("[[allow]]\nid = \"{id}\"\nfamily = [\"inet\"]\ntype = [\"{style}\"]\n{keys}\n")
}

fn datagrams(id: &str, keys: &str) -> String {
    rule(id, "datagram", keys)
}

/// A rule for sockets that are bound to this port.
fn bound(ops: &str, port: u16, keys: &str) -> String {
    let local = format!("local = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}");
    datagrams(
        &format!("at-{port}"),
        &format!("ops = [{ops}]\n{local}\n{keys}"),
    )
}

fn guest(rules: &[String], steps: &[String]) -> GuestRun {
    let run =
        GuestRun::new("std_net_steps").policy_text(&format!("version = 1\n{}", rules.concat()));
    steps.iter().fold(run, |run, step| run.argument(step))
}

fn peer() -> Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(400)))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// What came, and from where.
fn got(socket: &UdpSocket) -> Option<(String, SocketAddr)> {
    let mut text = [0; 100];
    let (length, from) = socket.recv_from(&mut text).ok()?;
    Some((String::from_utf8_lossy(&text[..length]).into_owned(), from))
}

/// Runs a guest that waits for `PLACE/go`, once `prompt` was done when it had taken `before`.
fn prompted(
    run: GuestRun,
    place: &Path,
    before: &str,
    prompt: impl FnOnce() -> Result<()>,
) -> Result<Ended> {
    let guest = run.directory(place, "/w").start()?;
    guest.wait_for_line(&format!("{before} -> "), patience())?;
    prompt()?;
    std::fs::write(place.join("go"), "")?;
    guest.wait(patience())
}

fn words<const N: usize>(steps: [&str; N]) -> Vec<String> {
    steps.map(str::to_owned).to_vec()
}

/// wasi:sockets begins a connect with a bind to no address, which a rule for the kind grants.
#[test]
fn no_connect_begins_where_no_rule_names_the_kind() -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let connect = format!("connect {}", listener.local_addr()?);
    let granted = "ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]";
    for (style, outcome) in [("datagram", "PermissionDenied"), ("stream", "ok")] {
        let run = guest(
            &[rule("one", style, granted)],
            std::slice::from_ref(&connect),
        );
        let ended = run.finish(patience())?;
        assert_eq!(ended.step(&connect)?, outcome);
        let (begun, made) = (
            ended.audit.granted("implicit-bind"),
            ended.audit.granted("connect"),
        );
        assert_eq!(
            (begun.is_ok(), made.is_ok()),
            (outcome == "ok", outcome == "ok")
        );
        assert_eq!(
            ended.audit.of("connect").count(),
            usize::from(outcome == "ok")
        );
    }
    Ok(())
}

/// A grant to bind is none to listen, and one to bind here is none to bind there.
#[test]
fn each_place_and_use_needs_its_own_grant() -> Result<()> {
    let (here, there) = (free_port()?, free_port()?);
    let local = format!("local = {{ cidr = [\"127.0.0.1\"], port = [\"{here}\"] }}\npeer = \"*\"");
    let listen = format!("listen l 127.0.0.1:{here}");
    for (ops, outcome) in [("bind", "PermissionDenied"), ("listen", "ok")] {
        let rules = [rule(
            "one",
            "stream",
            &format!("ops = [\"{ops}\"]\n{local}"),
        )];
        let ended = guest(&rules, std::slice::from_ref(&listen)).finish(patience())?;
        assert_eq!(ended.step(&listen)?, outcome);
        assert_eq!(ended.audit.denied("listen").is_ok(), outcome != "ok");
    }
    let steps = [here, there].map(|port| format!("udp d{port} 127.0.0.1:{port}"));
    let ended = guest(&[bound("\"bind\"", here, "")], &steps).finish(patience())?;
    assert_eq!(ended.step(&steps[0])?, "ok");
    assert_eq!(ended.step(&steps[1])?, "PermissionDenied");
    assert_eq!(
        ended.audit.denied("bind")?.address(),
        format!("127.0.0.1:{there}")
    );
    Ok(())
}

/// Whom a datagram goes to is judged for each: `send-to` and `connect` grant it, and nothing else.
#[test]
fn datagrams_go_where_a_rule_says() -> Result<()> {
    let (friend, to) = peer()?;
    let (stranger, elsewhere) = peer()?;
    let steps = [
        "udp d 0.0.0.0:0".to_owned(),
        format!("say d {to}"),
        format!("say d {elsewhere}"),
    ];
    let keys = format!("cidr = [\"127.0.0.1\"]\nport = [\"{}\"]", to.port());
    for (ops, told) in [
        ("\"send-to\"", "send-to"),
        ("\"connect\"", "connect"),
        ("\"send-to\", \"connect\"", "send-to"),
    ] {
        let ended = guest(
            &[datagrams("to", &format!("ops = [{ops}]\n{keys}"))],
            &steps,
        )
        .finish(patience())?;
        assert_eq!(ended.step(&steps[1])?, "ok", "{ops}");
        assert_eq!(ended.step(&steps[2])?, "PermissionDenied", "{ops}");
        ensure!(
            ended.audit.granted(told)?.address() == to.to_string(),
            "{ops}"
        );
        ensure!(ended.audit.denied("send-to")?.address() == elsewhere.to_string());
        ensure!(got(&friend).is_some() && got(&stranger).is_none(), "{ops}");
    }
    Ok(())
}

/// What comes in is heard from whom a rule names: to a port of one's own by `receive`, otherwise by `connect`.
#[test]
fn datagrams_are_heard_from_whom_a_rule_names() -> Result<()> {
    let (friend, known) = peer()?;
    let (stranger, _) = peer()?;
    let port = free_port()?;
    let from = format!(
        "peer = {{ cidr = [\"127.0.0.1\"], port = [\"{}\"] }}",
        known.port()
    );
    let receive = bound("\"bind\", \"receive\"", port, &from);
    let keys = format!("cidr = [\"127.0.0.1\"]\nport = [\"{}\"]", known.port());
    let steps = [
        format!("udp d 127.0.0.1:{port}"),
        "until /w/go".to_owned(),
        "hear d".to_owned(),
    ];
    // A grant to connect to somebody is none to hear it on a port that was bound.
    let bind = bound(
        "\"bind\", \"receive\"",
        port,
        "peer = { cidr = [\"127.0.0.9\"] }",
    );
    let connect = datagrams("client", &format!("ops = [\"connect\"]\n{keys}"));
    for (rules, sender, outcome) in [
        (vec![receive.clone()], &friend, "ok hello"),
        (vec![receive.clone()], &stranger, "nothing"),
        (vec![bind, connect.clone()], &friend, "nothing"),
    ] {
        let place = folder()?;
        let ended = prompted(guest(&rules, &steps), place.path(), &steps[0], || {
            sender.send_to(b"hello", ("127.0.0.1", port))?;
            Ok(())
        })?;
        assert_eq!(ended.step("hear d")?, outcome, "{rules:?}");
        assert_eq!(ended.audit.denied("receive").is_ok(), outcome == "nothing");
    }
    // On one that was not bound, whoever may be connected to is heard, and nobody else.
    let say = format!("say d {known}");
    let steps = [
        "udp d 0.0.0.0:0".to_owned(),
        say.clone(),
        "until /w/go".to_owned(),
        "hear d".to_owned(),
    ];
    for (sender, outcome) in [(&friend, "ok hello"), (&stranger, "nothing")] {
        let place = folder()?;
        let run = guest(std::slice::from_ref(&connect), &steps);
        let ended = prompted(run, place.path(), &say, || {
            let (_, at) = got(&friend).ok_or_else(|| anyhow::anyhow!("nothing was said"))?;
            sender.send_to(b"hello", at)?;
            Ok(())
        })?;
        assert_eq!(ended.step("hear d")?, outcome);
    }
    Ok(())
}

/// `reply` answers whom it heard, and nobody else; with several sockets bound, each of them has to grant it.
#[test]
fn an_answer_goes_to_whom_was_heard() -> Result<()> {
    let (client, known) = peer()?;
    let (other, elsewhere) = peer()?;
    let (one, two) = (free_port()?, free_port()?);
    let grant = |port, ops| bound(ops, port, "peer = { cidr = [\"127.0.0.1\"] }");
    let hears = "\"bind\", \"receive\"";
    let answers = "\"bind\", \"receive\", \"reply\"";
    let to_anyone = datagrams(
        "to-anyone",
        &format!(
            "ops = [\"send-to\"]\npeer = {{ cidr = [\"127.0.0.1\"], port = [\"{}\"] }}",
            known.port()
        ),
    );
    let alone = words(["until /w/go", "hear a", "answer a"]);
    let begin = format!("udp a 127.0.0.1:{one}");
    let both = format!("udp b 127.0.0.1:{two}");
    let cases = [
        (vec![grant(one, answers)], vec![begin.clone()], "ok"),
        (
            vec![grant(one, hears)],
            vec![begin.clone()],
            "PermissionDenied",
        ),
        (
            vec![grant(one, hears), to_anyone],
            vec![begin.clone()],
            "ok",
        ),
        (
            vec![grant(one, answers), grant(two, answers)],
            vec![both.clone(), begin.clone()],
            "ok",
        ),
        (
            vec![grant(one, answers), grant(two, hears)],
            vec![both.clone(), begin.clone()],
            "PermissionDenied",
        ),
        (
            vec![grant(one, answers), grant(two, hears)],
            vec![begin.clone(), both.clone()],
            "PermissionDenied",
        ),
    ];
    for (rules, mut steps, outcome) in cases {
        let last = steps[steps.len() - 1].clone();
        steps.extend(alone.clone());
        let place = folder()?;
        let ended = prompted(guest(&rules, &steps), place.path(), &last, || {
            client.send_to(b"hello", ("127.0.0.1", one))?;
            Ok(())
        })?;
        assert_eq!(ended.step("hear a")?, "ok hello");
        assert_eq!(ended.step("answer a")?, outcome, "{rules:?}");
        assert_eq!(got(&client).is_some(), outcome == "ok");
    }
    // Who was not heard is not answered.
    let say = format!("say a {elsewhere}");
    let steps = [begin, say.clone()];
    let ended = guest(&[grant(one, answers)], &steps).finish(patience())?;
    assert_eq!(ended.step(&say)?, "PermissionDenied");
    ensure!(got(&other).is_none());
    Ok(())
}
