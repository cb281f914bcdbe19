//! Connections to whichever address answers, servers on both IP versions, pairs: what takes several steps, made
//! in one, beside Python.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, Guest, GuestRun, Native, PythonServer, Tool, covers, free_port, has_ipv6, oracle,
    patience, skip, told,
};

/// A guest that does this, with rules that let it connect to these addresses.
fn guest(words: &[&str], granted: &[&str]) -> GuestRun {
    let run = GuestRun::new("convenience");
    let run = granted.iter().fold(run, |run, address| {
        run.allow(&format!("tcp connect {address}"))
    });
    words.iter().fold(run, |run, word| run.argument(*word))
}

fn lines(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().collect()
}

fn elapsed(lines: &[&str]) -> Result<u64> {
    let elapsed = told(lines, "elapsed");
    Ok(elapsed.first().context("it took no time")?.parse()?)
}

/// What ss(8) lists of TCP in this state towards (`dport`) or at (`sport`) this port.
fn listed(ss: &Path, state: &str, side: &str, port: u16) -> Result<Vec<String>> {
    let filter = format!("{side} = :{port}");
    let output = Command::new(ss)
        .args(["-Htan", "state", state, &filter])
        .output()
        .context("cannot run ss")?;
    ensure!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn port_of(address: &str) -> Result<u16> {
    let (_, port) = address.rsplit_once(':').context("no port")?;
    Ok(port.parse()?)
}

#[test]
fn the_first_to_answer_wins_and_the_others_are_closed() -> Result<()> {
    let name = "the_first_to_answer_wins_and_the_others_are_closed";
    let (Some(python), Some(ss)) = (oracle(Tool::Python, name), oracle(Tool::Ss, name)) else {
        return Ok(());
    };
    let server = PythonServer::start(&python, &["127.0.0.1"])?;
    let hole = &server.holes[0];
    let run = guest(
        &["race", "250", "none", hole, &server.v4()],
        &[hole, &server.v4()],
    );
    let guest = run.start()?;
    guest.wait_for_line("waiting", patience())?;
    // While it is connected, nothing is left of the attempt at the address that does not answer.
    let left = listed(&ss, "syn-sent", "dport", port_of(hole)?)?;
    ensure!(left.is_empty(), "{left:?}");
    server.release("race")?;
    let ended = guest.wait(patience())?.success()?;
    let said = lines(&ended);
    assert_eq!(told(&said, "connected"), [format!("to {}", server.v4())]);
    assert_eq!(told(&said, "time-out"), ["Timeout::Blocking"]);
    // The second attempt began a quarter of a second after the first, and not at its end, which the kernel
    // puts off for two minutes (tcp(7): tcp_syn_retries).
    let elapsed = elapsed(&said)?;
    ensure!((250..60_000).contains(&elapsed), "{elapsed} ms");
    covers(&["create_connection"]);
    Ok(())
}

#[test]
fn families_take_turns() -> Result<()> {
    let name = "families_take_turns";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let server = PythonServer::start(&python, &["127.0.0.1", "127.0.0.1"])?;
    let [one, other] = &server.holes[..] else {
        anyhow::bail!("{:?}", server.holes);
    };
    let run = guest(
        &["race", "100", "10000", one, other, &server.v6()],
        &[one, other, &server.v6()],
    );
    let guest = run.start()?;
    guest.wait_for_line("waiting", patience())?;
    server.release("race")?;
    let ended = guest.wait(patience())?.success()?;
    let said = lines(&ended);
    assert_eq!(told(&said, "connected"), [format!("to {}", server.v6())]);
    assert_eq!(told(&said, "time-out"), ["Timeout::After(10000000000)"]);
    // IPv6 came second, before the other address of the family that the resolver preferred.
    let tried: Vec<_> = ended.audit.of("connect").map(|r| r.address()).collect();
    assert_eq!(tried, [one, &server.v6()]);
    covers(&["has_ipv6"]);
    Ok(())
}

#[test]
fn what_is_refused_at_once_delays_nobody() -> Result<()> {
    let name = "what_is_refused_at_once_delays_nobody";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&python, &["127.0.0.1"])?;
    let hole = &server.holes[0];
    let closed = format!("127.0.0.1:{}", free_port()?);
    let denied = format!("127.0.0.2:{}", server.port);
    // Had the attempts to wait for each other, this one would take two hours.
    let delay = "3600000";
    let run = guest(
        &["race", delay, "60000", &denied, &closed, &server.v4()],
        &[&closed, &server.v4()],
    );
    let guest = run.start()?;
    guest.wait_for_line("waiting", patience())?;
    server.release("race")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(
        told(&lines(&ended), "connected"),
        [format!("to {}", server.v4())]
    );
    let refused = ended.audit.denied("connect")?;
    assert_eq!((refused.address(), refused.errno()), (&*denied, "acces"));

    // Where none answers, the error tells of all of them, in the order in which they failed.
    let ended = guest_fails(
        &["race", "10", "300", hole, &denied, &closed],
        &[hole, &closed],
    )?;
    let said = lines(&ended);
    let attempts = [
        format!("{denied} acces"),
        format!("{closed} connrefused"),
        format!("{hole} timedout"),
    ];
    assert_eq!(told(&said, "attempt"), attempts);
    assert_eq!(told(&said, "error"), ["timedout"]);
    let elapsed = elapsed(&said)?;
    ensure!((300..60_000).contains(&elapsed), "{elapsed} ms");

    // One address has no list, only its error.
    let ended = guest_fails(&["race", "10", "300", &denied], &[&closed])?;
    assert_eq!(lines(&ended)[0], "error acces");
    Ok(())
}

/// Runs a guest that says why it could not connect.
fn guest_fails(words: &[&str], granted: &[&str]) -> Result<Ended> {
    let ended = guest(words, granted).finish(patience())?.success()?;
    ensure!(!ended.stdout.contains("connected to"), "{}", ended.stdout);
    Ok(ended)
}

#[test]
fn one_deadline_holds_for_the_look_up_and_all_attempts() -> Result<()> {
    let name = "one_deadline_holds_for_the_look_up_and_all_attempts";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&python, &["127.0.0.1"])?;
    let hole = &server.holes[0];
    // The look-up takes longer than a connection may: nothing is tried then.
    let ended = guest_fails(&["slow-look-up", "100", "200", hole], &[hole])?;
    let said = lines(&ended);
    assert_eq!(told(&said, "error"), ["timedout"]);
    assert_eq!(ended.audit.of("connect").count(), 0);
    // It leaves a part of the time: the attempt has no more than that.
    let ended = guest_fails(&["slow-look-up", "2000", "1900", hole], &[hole])?;
    let said = lines(&ended);
    let given: u64 = told(&said, "look-up")[0].parse()?;
    ensure!((1500..=2000).contains(&given), "{given}");
    assert_eq!(told(&said, "error"), ["timedout"]);
    let elapsed = elapsed(&said)?;
    ensure!((2000..3900).contains(&elapsed), "{elapsed} ms");
    Ok(())
}

#[test]
fn a_connection_comes_from_its_source_address() -> Result<()> {
    let name = "a_connection_comes_from_its_source_address";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&python, &[])?;
    let to = server.v4();
    let run = || guest(&["from", "127.0.0.9:0", &to], &[&to]);
    let ended = run().allow("tcp bind 127.0.0.9").finish(patience())?;
    let ended = ended.success()?;
    let answers = told(&lines(&ended), "answer");
    let answer = answers.first().context("no answer")?;
    ensure!(
        answer.starts_with("127.0.0.9:") && answer.ends_with(&format!(" at {to}")),
        "{answer}"
    );
    // The twin: it may connect, and not from there.
    let refused = run().finish(patience())?.success()?;
    assert_eq!(told(&lines(&refused), "error"), ["acces"]);
    refused.audit.denied("bind")?;
    assert_eq!(refused.audit.of("connect").count(), 0);
    Ok(())
}

#[test]
fn a_name_s_addresses_are_tried_until_one_answers() -> Result<()> {
    let name = "a_name_s_addresses_are_tried_until_one_answers";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&python, &[])?;
    let address = format!("localhost:{}", server.port);
    let rule = format!("tcp resolve,connect {address} host-may-be=loopback");
    let run = || guest(&["connect", &address], &[]);
    let ended = run().allow(&rule).finish(patience())?.success()?;
    let said = lines(&ended);
    ensure!(
        told(&said, "answer")[0].ends_with(&format!(":{}", server.port)),
        "{said:?}"
    );
    assert_eq!(told(&said, "time-out"), ["Timeout::After(5000000000)"]);
    let refused = run().finish(patience())?.success()?;
    assert_eq!(told(&lines(&refused), "error"), ["acces"]);
    refused.audit.denied("resolve")?;
    Ok(())
}

fn serving(words: &[&str], rule: &str) -> Result<Guest> {
    started(words, GuestRun::new("convenience").allow(rule))
}

fn started(words: &[&str], run: GuestRun) -> Result<Guest> {
    let run = words.iter().fold(run, |run, word| run.argument(*word));
    let guest = run.start()?;
    guest.wait_for_line("listening on ", patience())?;
    Ok(guest)
}

/// What Python hears from a server at this address.
fn talk(python: &Path, address: &str, word: &str) -> Result<Vec<String>> {
    Native::python(python, "convenience.py", ["talk", address, word])?.finish(patience())
}

#[test]
fn a_server_serves_both_ip_versions_or_one() -> Result<()> {
    let name = "a_server_serves_both_ip_versions_or_one";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    if !has_ipv6() {
        skip(name, "this machine has no IPv6");
        return Ok(());
    }
    let facts = Native::python(&python, "convenience.py", ["facts"])?.finish(patience())?;
    let port = free_port()?;
    let address = format!("[::]:{port}");
    let granting = |hosts: &str| {
        GuestRun::new("convenience").policy_text(&format!(
            "version = 1\n[[allow]]\nid = \"serve\"\nfamily = [\"inet\", \"inet6\"]\ntype = [\"stream\"]\n\
             ops = [\"listen\"]\nlocal = {{ cidr = [{hosts}], port = [\"{port}\"] }}\npeer = \"*\"\n"
        ))
    };
    let both = || granting("\"::\", \"0.0.0.0\"");
    let guest = started(&["server", &address, "2", "dual"], both())?;
    for host in ["127.0.0.1", "[::1]"] {
        let said = talk(&python, &format!("{host}:{port}"), host)?;
        assert_eq!(told(&said, "answer"), [format!("you said {host}")]);
    }
    let ended = guest.wait(patience())?.success()?;
    let clients = told(&lines(&ended), "client");
    ensure!(
        clients[0].starts_with("[::ffff:127.0.0.1]:") && clients[1].starts_with("[::1]:"),
        "{clients:?}"
    );
    let dual = |run: GuestRun| -> Result<String> {
        let ended = run.argument("dual-stack").finish(patience())?.success()?;
        let told = told(&lines(&ended), "has_dualstack_ipv6");
        Ok(told.first().context("nothing said")?.clone())
    };
    let native = told(&facts, "has_dualstack_ipv6")[0].to_lowercase();
    assert_eq!(dual(both())?, native);
    // The twin: no rule grants an IP socket at all.
    let none = GuestRun::new("convenience").allow("unix-stream socketpair");
    assert_eq!(dual(none)?, "false");

    // The twins: IPv6 alone, by the guest's wish and by the policy.
    for (words, run) in [
        (&["server", &address, "1"][..], both()),
        (&["server", &address, "1", "dual"], granting("\"::\"")),
    ] {
        let guest = started(words, run)?;
        let four = TcpStream::connect(("127.0.0.1", port));
        ensure!(four.is_err(), "{words:?}");
        let said = talk(&python, &format!("[::1]:{port}"), "six")?;
        assert_eq!(told(&said, "answer"), ["you said six"]);
        guest.wait(patience())?.success()?;
    }
    covers(&["create_server", "has_dualstack_ipv6", "accept"]);
    Ok(())
}

#[test]
fn a_server_has_its_backlog_and_family() -> Result<()> {
    let name = "a_server_has_its_backlog_and_family";
    let (Some(python), Some(ss)) = (oracle(Tool::Python, name), oracle(Tool::Ss, name)) else {
        return Ok(());
    };
    let facts = Native::python(&python, "convenience.py", ["facts"])?.finish(patience())?;
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn")?;
    let most: u32 = most.trim().parse()?;
    assert_eq!(told(&facts, "somaxconn"), ["4096"]);
    for (word, backlog) in [
        ("backlog=7", 7),
        ("backlog=1000000", most),
        ("four", most.min(4096)),
    ] {
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let guest = serving(
            &["server", &address, "1", word],
            &format!("tcp listen {address}"),
        )?;
        // Of a listening socket, ss shows the backlog as Send-Q.
        let listening = listed(&ss, "listening", "sport", port)?;
        let [line] = &listening[..] else {
            anyhow::bail!("{listening:?}");
        };
        let queue = line.split_whitespace().nth(1).context("no Send-Q")?;
        assert_eq!(queue.parse::<u32>()?, backlog, "{line}");
        talk(&python, &address, "enough")?;
        guest.wait(patience())?.success()?;
    }
    // An address of another family than the one that was asked for is none.
    let ended = GuestRun::new("convenience")
        .allow("tcp listen [::1]")
        .argument("server")
        .argument("[::1]:0")
        .argument("1")
        .argument("four")
        .finish(patience())?;
    ensure!(!ended.status.success() && ended.stderr.contains("no address of that family"));
    covers(&["listen", "SOMAXCONN"]);
    Ok(())
}

#[test]
fn servers_share_a_port_where_both_ask_for_it() -> Result<()> {
    let name = "servers_share_a_port_where_both_ask_for_it";
    let Some(ss) = oracle(Tool::Ss, name) else {
        return Ok(());
    };
    let run = |address: &str, word: Option<&str>, options: &str| -> Result<Guest> {
        let run = GuestRun::new("convenience")
            .allow(&format!("tcp listen {address} {options}"))
            .argument("two-servers")
            .argument(address);
        let run = word.into_iter().fold(run, |run, word| run.argument(word));
        let guest = run.start()?;
        guest.wait_for_line("waiting", patience())?;
        Ok(guest)
    };
    let free = || -> Result<(String, u16)> {
        let port = free_port()?;
        Ok((format!("127.0.0.1:{port}"), port))
    };
    let (address, port) = free()?;
    let guest = run(&address, Some("reuse"), "set=so.reuseport")?;
    assert_eq!(listed(&ss, "listening", "sport", port)?.len(), 2);
    TcpStream::connect(&address)?;
    guest.wait(patience())?.success()?;
    // The twins: without the option, and without the grant for it.
    let (address, port) = free()?;
    let guest = run(&address, None, "set=so.reuseport")?;
    assert_eq!(told(&guest.stdout.lines(), "other"), ["addrinuse"]);
    assert_eq!(listed(&ss, "listening", "sport", port)?.len(), 1);
    TcpStream::connect(&address)?;
    guest.wait(patience())?.success()?;
    let (address, _) = free()?;
    let guest = run(&address, Some("reuse"), "")?;
    assert_eq!(told(&guest.stdout.lines(), "one"), ["acces"]);
    guest.audit()?.denied("set-option")?;
    Ok(())
}

#[test]
fn a_server_starts_again_over_time_wait() -> Result<()> {
    let name = "a_server_starts_again_over_time_wait";
    let (Some(python), Some(ss)) = (oracle(Tool::Python, name), oracle(Tool::Ss, name)) else {
        return Ok(());
    };
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let rule = format!("tcp listen {address}");
    for _ in 0..2 {
        let guest = serving(&["say-and-end", &address], &rule)?;
        let client = Native::python(&python, "convenience.py", ["hear", &address])?;
        assert_eq!(told(&client.finish(patience())?, "heard"), ["goodbye"]);
        guest.wait(patience())?.success()?;
    }
    // The guest ended its connections first, and so the port is not quite free.
    let left = listed(&ss, "time-wait", "sport", port)?;
    ensure!(!left.is_empty(), "the kernel remembers no connection");
    let bind = |words: [&str; 2]| {
        let run = GuestRun::new("convenience").allow(&rule);
        let run = words.into_iter().fold(run, |run, word| run.argument(word));
        run.finish(patience())?.success()
    };
    let ended = bind(["plain-bind", &address])?;
    assert_eq!(lines(&ended), ["error addrinuse"]);
    covers(&["bind"]);
    Ok(())
}

#[test]
fn pairs_are_connected() -> Result<()> {
    let name = "pairs_are_connected";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let facts = Native::python(&python, "convenience.py", ["facts"])?.finish(patience())?;
    assert_eq!(told(&facts, "socketpair"), ["AF_UNIX SOCK_STREAM 0"]);
    let run = || GuestRun::new("convenience").argument("pairs");
    let mut run_granted = run();
    for kind in ["stream", "datagram", "seqpacket"] {
        run_granted = run_granted.allow(&format!("unix-{kind} socketpair"));
    }
    let ended = run_granted.finish(patience())?.success()?;
    let said = lines(&ended);
    let pairs = ["Stream", "Datagram", "Seqpacket"]
        .map(|kind| format!("Family::Unix SocketType::{kind} Protocol::Default THERE"));
    assert_eq!(told(&said, "pair"), pairs);
    let explicit = ["Family::Unix SocketType::Stream Protocol::Default"];
    assert_eq!(told(&said, "explicit"), explicit);
    let refused = run().finish(patience())?;
    ensure!(!refused.status.success(), "{refused:?}");
    refused.audit.denied("socketpair")?;
    covers(&["socketpair"]);
    Ok(())
}
