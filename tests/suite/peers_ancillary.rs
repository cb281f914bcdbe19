//! Ancillary data between guests and Python: descriptors in both directions, credentials, packet info, hop
//! limit, traffic class, time stamps; what the policy refuses is closed, or not shown.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Tool, folder, free_port, has_ipv6, oracle, patience, skip, told,
};

fn lines(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().collect()
}

/// A guest that connects to this path, with more rules.
fn guest(action: &str, path: &Path, rules: &[String]) -> GuestRun {
    let run = GuestRun::new("peer_ancillary").argument(action);
    let path = path.display();
    rules.iter().fold(run, |run, rule| {
        run.allow(&rule.replace("{path}", &path.to_string()))
    })
}

#[test]
fn python_uses_a_connection_that_a_guest_passed_on() -> Result<()> {
    let name = "python_uses_a_connection_that_a_guest_passed_on";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    let path = place.path().join("letters.sock");
    let address = format!("127.0.0.1:{}", free_port()?);
    let start = || -> Result<Native> {
        let path = path.display().to_string();
        let native = Native::python(&python, "peers.py", ["take-passed", &path, &address])?;
        native.wait_for_line(&format!("listening on {path}"), patience())?;
        Ok(native)
    };
    // The twin first: the way is granted, and passing on it is not.
    let native = start()?;
    let refused = guest(
        "pass",
        &path,
        &[
            "unix-stream connect {path}".to_owned(),
            format!("tcp connect {address}"),
        ],
    )
    .argument(&path)
    .argument(&address)
    .finish(patience())?;
    ensure!(!refused.status.success(), "{refused:?}");
    refused.audit.denied("descriptor-send")?;
    assert_eq!(native.wait_for_line("letter ", patience())?, " 0 whole");
    drop(native);
    fs::remove_file(&path)?;

    let native = start()?;
    let ended = guest(
        "pass",
        &path,
        &[
            "unix-stream connect,descriptor-send {path} kinds=socket".to_owned(),
            format!("tcp connect {address}"),
        ],
    )
    .argument(&path)
    .argument(&address)
    .finish(patience())?
    .success()?;
    let native = native.finish(patience())?;
    ended.audit.granted("descriptor-send")?;
    assert_eq!(told(&native, "letter"), ["yours 1 whole"]);
    // The receiver takes it for a blocking socket, as a native sender's would be.
    assert_eq!(told(&native, "blocking"), ["True"]);
    assert_eq!(told(&native, "connected"), [format!("to {address}")]);
    let heard = "heard hello from the guest, python with the guest's socket, and the guest again";
    assert_eq!(told(&native, "server"), [heard]);
    Ok(())
}

#[test]
fn a_guest_takes_a_socket_and_a_file_from_python_and_gives_them_back() -> Result<()> {
    let name = "a_guest_takes_a_socket_and_a_file_from_python_and_gives_them_back";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    let path = place.path().join("letters.sock");
    let file = place.path().join("file");
    fs::write(&file, "what the file holds")?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let words = [&path, &file].map(|path| path.display().to_string());
    let arguments = ["pass-to-guest", &words[0], &address, &words[1]];
    let native = Native::python(&python, "peers.py", arguments)?;
    native.wait_for_line(&format!("listening on {}", words[0]), patience())?;
    let ended = guest(
        "take",
        &path,
        &[
            "unix-stream connect,descriptor-send,descriptor-receive {path} kinds=socket,opaque"
                .to_owned(),
            format!("tcp connect {address}"),
        ],
    )
    .argument(&path)
    .finish(patience())?
    .success()?;
    let native = native.finish(patience())?;
    let said = lines(&ended);
    assert_eq!(told(&said, "letter"), ["two for you"]);
    assert_eq!(told(&said, "handle"), ["socket", "opaque"]);
    assert_eq!(told(&said, "connected"), [format!("to {address}")]);
    assert_eq!(told(&said, "returned"), ["2"]);
    assert_eq!(
        told(&native, "server"),
        ["heard the guest was here", "at the end the end"]
    );
    assert_eq!(told(&native, "file"), ["back what the file holds"]);
    assert_eq!(told(&native, "socket"), [format!("back {address}")]);
    Ok(())
}

#[test]
fn what_the_policy_refuses_to_take_is_closed_while_the_guest_lives() -> Result<()> {
    let name = "what_the_policy_refuses_to_take_is_closed_while_the_guest_lives";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    // Each lacks something else: the connection's rule and opaque ones, all kinds, the operation.
    for (rule, other_rule) in [
        (
            "connect,descriptor-receive {path} kinds=socket",
            "tcp connect 127.0.0.1:1",
        ),
        ("connect {path}", "tcp connect 127.0.0.1"),
    ] {
        let place = folder()?;
        let path = place.path().join("letters.sock");
        let address = format!("127.0.0.1:{}", free_port()?);
        let word = path.display().to_string();
        let arguments = ["pass-refused", &word, &address, "-"];
        let native = Native::python(&python, "peers.py", arguments)?;
        native.wait_for_line(&format!("listening on {word}"), patience())?;
        let rules = [format!("unix-stream {rule}"), other_rule.to_owned()];
        let ended = guest("take", &path, &rules)
            .argument(&path)
            .finish(patience())?
            .success()?;
        let native = native.finish(patience())?;
        let said = lines(&ended);
        assert_eq!(told(&said, "letter"), ["two for you"]);
        assert_eq!(told(&said, "handles"), ["0"], "{rule}");
        // The witnesses: both ends that the native side kept see their other ends closed, while the guest
        // waits for the native side to end.
        assert_eq!(told(&native, "server"), ["heard the end"], "{rule}");
        assert_eq!(told(&native, "pipe"), ["heard the end"], "{rule}");
        assert_eq!(told(&native, "guest"), ["lives"], "{rule}");
        let denied = ended.audit.of("descriptor-receive");
        assert_eq!(
            denied.filter(|record| record.is_denied()).count(),
            2,
            "{rule}"
        );
    }
    Ok(())
}

#[test]
fn credentials_go_both_ways() -> Result<()> {
    let name = "credentials_go_both_ways";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let options = "set=so.passcred get=so.peercred";
    let kinds = "send-ancillary=credentials receive-ancillary=credentials";
    let run = |rest: &str| -> Result<(u32, Ended, Vec<String>)> {
        let place = folder()?;
        let path = place.path().join("letters.sock");
        let word = path.display().to_string();
        let native = Native::python(&python, "peers.py", ["credentials", &word])?;
        native.wait_for_line("listening on ", patience())?;
        let rule = format!("unix-stream connect {{path}} {options} {rest}");
        let guest = guest("credentials", &path, &[rule])
            .argument(&path)
            .start()?;
        let pid = guest.pid();
        Ok((pid, guest.wait(patience())?, native.finish(patience())?))
    };
    let (pid, ended, native) = run(kinds)?;
    let ended = ended.success()?;
    let said = lines(&ended);
    let theirs = told(&native, "credentials");
    ensure!(theirs.len() == 1 && theirs[0].starts_with(&format!("{pid} ")));
    assert_eq!(told(&said, "sent"), [format!("as {}", theirs[0])]);
    let sent: Vec<_> = told(&native, "sent");
    assert_eq!(
        sent,
        [format!("as {}", told(&said, "credentials").join(" "))]
    );
    assert_eq!(told(&said, "peer"), told(&said, "credentials"));

    // The twin: no kind is listed, and Python gets nothing.
    let (_, refused, native) = run("")?;
    ensure!(!refused.status.success(), "{refused:?}");
    let denied = refused.audit.denied("send-msg")?;
    ensure!(denied.reason().contains("credentials"), "{denied:?}");
    assert_eq!(told(&native, "credentials"), ["none"]);
    Ok(())
}

const RECEIVE: &str = "receive-ancillary=packet-info,hop-limit,traffic-class,timestamp";
const SEND: &str = "send-ancillary=packet-info,hop-limit";

/// One datagram and its answer; what the guest and Python said. `own` is a further address that the guest
/// may bind, so that it may answer from there.
fn datagram(
    python: &Path,
    bind: &str,
    to: &str,
    source: &str,
    extra: &str,
    own: Option<&str>,
) -> Result<(Ended, Vec<String>)> {
    let four = !bind.starts_with('[');
    let level = if four { "ip" } else { "ipv6" };
    let names: &[&str] = match four {
        true => &["pktinfo", "recvttl", "recvtos"],
        false => &["recvpktinfo", "recvhoplimit", "recvtclass"],
    };
    let mut set: Vec<String> = names.iter().map(|name| format!("{level}.{name}")).collect();
    set.push("so.timestampns".to_owned());
    let rule = format!(
        "udp bind,receive,reply {bind} peer {} set={} {extra}",
        if four { "127.0.0.0/8" } else { "[::1]" },
        set.join(",")
    );
    let mut run = GuestRun::new("peer_ancillary").allow(&rule);
    if let Some(own) = own {
        run = run.allow(&format!("udp bind {own} set={}", set.join(",")));
    }
    let guest = run
        .argument("datagram")
        .argument(bind)
        .argument(source)
        .argument("33")
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let native = Native::python(python, "peers.py", ["datagram", to, "77", "32"])?;
    let ended = guest.wait(patience())?;
    if !ended.status.success() {
        return Ok((ended, Vec::new()));
    }
    Ok((ended, native.finish(patience())?))
}

/// The time stamp is of now, as far as two clocks of one machine can tell.
fn is_of_now(stamp: &[String]) -> Result<()> {
    let [stamp] = stamp else {
        anyhow::bail!("no single time stamp: {stamp:?}");
    };
    let (seconds, nanoseconds) = stamp.split_once('.').context("no dot")?;
    let stamp = Duration::new(seconds.parse()?, nanoseconds.parse()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let age = now.checked_sub(stamp).context("it is of tomorrow")?;
    ensure!(age < patience(), "{age:?} old");
    Ok(())
}

#[test]
fn what_comes_beside_an_ipv4_datagram_and_goes_beside_its_answer() -> Result<()> {
    let name = "what_comes_beside_an_ipv4_datagram_and_goes_beside_its_answer";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let port = free_port()?;
    let bind = format!("0.0.0.0:{port}");
    // Sent to 127.0.0.7, and answered from 127.0.0.9.
    let to = format!("127.0.0.7:{port}");
    let source = format!("127.0.0.9:{port}");
    let (ended, native) = datagram(
        &python,
        &bind,
        &to,
        "127.0.0.9:0",
        &format!("{RECEIVE} {SEND}"),
        Some(&source),
    )?;
    let ended = ended.success()?;
    let said = lines(&ended);
    assert_eq!(told(&said, "packet-info"), ["127.0.0.7 lo"]);
    assert_eq!(told(&said, "hop-limit"), ["77"]);
    assert_eq!(told(&said, "traffic-class"), ["32"]);
    is_of_now(&told(&said, "timestamp"))?;
    assert_eq!(told(&native, "answer"), ["an answer"]);
    assert_eq!(told(&native, "from"), [format!("127.0.0.9:{port}")]);
    assert_eq!(told(&native, "hop-limit"), ["33"]);

    // The twin: the same options, and no kind listed. Nothing is shown, and nothing goes out.
    let (refused, _) = datagram(&python, &bind, &to, "127.0.0.9:0", "", Some(&source))?;
    ensure!(!refused.status.success(), "{refused:?}");
    assert_eq!(lines(&refused).last(), Some(&"data what comes with me?"));
    ensure!(
        refused
            .audit
            .of("send-msg")
            .any(|record| record.is_denied()),
        "{:?}",
        refused.audit
    );

    // Another twin: all kinds, and no grant to be at the source's address.
    let all = format!("{RECEIVE} {SEND}");
    let (refused, _) = datagram(&python, &bind, &to, "127.0.0.9:0", &all, None)?;
    ensure!(!refused.status.success(), "{refused:?}");
    let mut denied = refused.audit.records().iter();
    ensure!(
        denied.any(|record| record.is_denied() && record.address() == source),
        "{:?}",
        refused.audit
    );
    Ok(())
}

#[test]
fn what_comes_beside_an_ipv6_datagram_and_goes_beside_its_answer() -> Result<()> {
    let name = "what_comes_beside_an_ipv6_datagram_and_goes_beside_its_answer";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let port = free_port()?;
    let bind = format!("[::]:{port}");
    let to = format!("[::1]:{port}");
    let (ended, native) = datagram(
        &python,
        &bind,
        &to,
        "[::1]:0",
        &format!("{RECEIVE} {SEND}"),
        Some(&to),
    )?;
    let ended = ended.success()?;
    let said = lines(&ended);
    assert_eq!(told(&said, "packet-info"), ["::1 lo"]);
    assert_eq!(told(&said, "hop-limit"), ["77"]);
    assert_eq!(told(&said, "traffic-class"), ["32"]);
    is_of_now(&told(&said, "timestamp"))?;
    assert_eq!(told(&native, "answer"), ["an answer"]);
    assert_eq!(told(&native, "from"), [to]);
    assert_eq!(told(&native, "hop-limit"), ["33"]);
    Ok(())
}
