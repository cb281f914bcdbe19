//! Counts refuse: totals, what is held, how long a socket lives, and how often anything connects or asks for
//! names. Each is granted as far as it goes, and refused behind that with its record.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Tool, folder, free_port, oracle, patience, steps, tcp_echo, udp_echo,
};

fn pairs(guest: &str, rule: &str, more: &str) -> String {
    format!(
        "version = 1\n[limits]\n{guest}\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
         ops = [\"socketpair\"{more}]\n{}limits = {{ {rule} }}\n",
        if more.is_empty() {
            ""
        } else {
            "kinds = [\"socket\", \"opaque\"]\n"
        }
    )
}

fn inet(guest: &str, rule: &str, keys: &str) -> String {
    format!(
        "version = 1\n[limits]\n{guest}\n[[allow]]\nid = \"loopback\"\nfamily = [\"inet\"]\n{keys}\n\
         limits = {{ {rule} }}\n"
    )
}

fn run(policy: &str, script: &[&str]) -> Result<Ended> {
    steps(script)
        .policy_text(policy)
        .finish(patience())?
        .success()
}

/// The one record of a reached limit: its key, its rule, its errno.
fn refusal<'a>(ended: &'a Ended, operation: &'a str) -> Result<(String, &'a str, &'a str)> {
    let mut records = ended.audit.of(operation);
    let record = records
        .find(|record| record.verdict() == "limit" && !record.errno().is_empty())
        .with_context(|| format!("no {operation} reached a limit"))?;
    let key = record.field("limit").as_str().unwrap_or_default();
    Ok((key.to_owned(), record.rule(), record.errno()))
}

fn reached(ended: &Ended, operation: &str, key: &str, rule: &str, errno: &str) -> Result<()> {
    let found = refusal(ended, operation)?;
    ensure!(found == (key.to_owned(), rule, errno), "{found:?}");
    Ok(())
}

/// A stream is cut to what is left, and the guest's other socket has the same total.
#[test]
fn a_total_of_sent_bytes_is_used_up() -> Result<()> {
    let script = [
        "p = pair stream",
        "q = pair stream",
        "send p 0123456789",
        "send q 0123456789",
        "send q more",
        "recv q' 100",
    ];
    for (policy, rule) in [
        (pairs("send-bytes = 15", "", ""), ""),
        (pairs("", "send-bytes = 15", ""), "pairs"),
    ] {
        let ended = run(&policy, &script)?;
        assert_eq!(ended.step("send p 0123456789")?, "ok 10");
        assert_eq!(ended.step("send q 0123456789")?, "ok 5");
        assert_eq!(ended.step("send q more")?, "dquot");
        assert_eq!(ended.step("recv q' 100")?, "\"01234\"");
        reached(&ended, "send", "send-bytes", rule, "dquot")?;
    }
    Ok(())
}

/// A message goes whole or not at all, in a batch too.
#[test]
fn a_message_that_does_not_fit_the_total_is_refused() -> Result<()> {
    let echo = udp_echo("127.0.0.1:0")?;
    let to = format!("127.0.0.1:{}", echo.port());
    let policy = inet(
        "send-bytes = 9",
        "",
        "ops = [\"send-to\"]\ncidr = [\"127.0.0.1\"]",
    );
    let script = [
        "s = socket inet datagram",
        &format!("send-to s 01234 {to}"),
        &format!("send-to s 56789 {to}"),
        &format!("send-many s {to} {to} {to}"),
        &format!("send-to s x {to}"),
    ];
    let ended = run(&policy, &script)?;
    assert_eq!(ended.step(script[1])?, "ok 5");
    assert_eq!(ended.step(script[2])?, "dquot");
    assert_eq!(ended.step(script[3])?, "2 sent, then dquot");
    assert_eq!(ended.step(script[4])?, "dquot");
    reached(&ended, "send-to", "send-bytes", "", "dquot")?;
    reached(&ended, "send-many", "send-bytes", "", "dquot")
}

/// What is peeked at reaches the guest, and counts like what is taken.
#[test]
fn a_total_of_received_bytes_counts_what_is_peeked_at() -> Result<()> {
    let script = [
        "p = pair stream",
        "send p 0123456789",
        "recv p' 4 peek",
        "recv p' 100",
        "recv p' 1",
        "recv p' 1 peek",
    ];
    let ended = run(&pairs("receive-bytes = 10", "", ""), &script)?;
    assert_eq!(ended.step("recv p' 4 peek")?, "\"0123\"");
    assert_eq!(ended.step("recv p' 100")?, "\"012345\"");
    assert_eq!(ended.step("recv p' 1")?, "dquot");
    assert_eq!(ended.step("recv p' 1 peek")?, "dquot");
    reached(&ended, "recv", "receive-bytes", "", "dquot")
}

/// A message with what stands beside it counts like its bytes alone.
#[test]
fn a_total_of_received_bytes_counts_messages() -> Result<()> {
    let script = [
        "p = pair stream",
        "send p twelve-bytes",
        "recv-msg p' 8 0",
        "recv-msg p' 4 0",
    ];
    let ended = run(&pairs("", "receive-bytes = 8", ""), &script)?;
    assert_eq!(ended.step(script[2])?, "\"twelve-b\"");
    assert_eq!(ended.step(script[3])?, "dquot");
    reached(&ended, "recv-msg", "receive-bytes", "pairs", "dquot")
}

/// A datagram that could not be measured before it was received counts all the same.
#[test]
fn a_datagram_that_came_unmeasured_is_counted() -> Result<()> {
    let name = "a_datagram_that_came_unmeasured_is_counted";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let port = free_port()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let send = format!("send-to s first 127.0.0.1:{port}");
    let script = [
        "s = socket inet datagram",
        &bind,
        &send,
        &send,
        "recv s 10",
        "recv s 11",
    ];
    let keys = "ops = [\"bind\", \"send-to\", \"receive\"]\nlocal = \"*\"\npeer = \"*\"";
    let ended = steps(script)
        .policy_text(&inet("", "receive-bytes = 8", keys))
        .strace(&strace)
        .inject("recvfrom:error=ECONNREFUSED:when=1")
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("recv s 10")?, "\"first\"", "{}", ended.stdout);
    assert_eq!(ended.step("recv s 11")?, "dquot");
    Ok(())
}

/// Neither a duplicate nor a splice is a way round: each end counts what goes through it.
#[test]
fn no_other_way_moves_more() -> Result<()> {
    let policy = pairs("receive-bytes = 12", "", ", \"splice\"");
    let policy = policy.replace("kinds = [\"socket\", \"opaque\"]\n", "");
    let script = [
        "p = pair stream",
        "q = pair stream",
        "d = dup p'",
        "send p 0123456789",
        "recv d 8",
        "send p abcdefgh",
        "splice p' q 100",
        "splice p' q 101",
        "recv p' 1",
    ];
    let ended = run(&policy, &script)?;
    assert_eq!(ended.step("recv d 8")?, "\"01234567\"");
    assert_eq!(ended.step("splice p' q 100")?, "ok 4");
    assert_eq!(ended.step("splice p' q 101")?, "dquot");
    assert_eq!(ended.step("recv p' 1")?, "dquot");
    reached(&ended, "splice", "receive-bytes", "", "dquot")
}

/// A rule counts the sockets that it granted something, and other rules' sockets are free.
#[test]
fn a_rule_has_sockets_of_its_own() -> Result<()> {
    let echo = tcp_echo("127.0.0.1:0")?;
    let to = format!("127.0.0.1:{}", echo.port());
    let connect = "ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]";
    let policy = inet("", "sockets = 2", connect)
        + "[[allow]]\nid = \"listen\"\nfamily = [\"inet\"]\nops = [\"listen\"]\ncidr = [\"127.0.0.1\"]\n";
    let script = [
        "a = socket inet stream",
        "b = socket inet stream",
        "c = socket inet stream",
        &format!("connect a {to}"),
        &format!("connect b {to}"),
        &format!("connect c {to}"),
        "bind c 127.0.0.1:0",
        "listen c",
        "close a",
        "d = socket inet stream",
        &format!("connect d {to}"),
    ];
    let ended = run(&policy, &script)?;
    assert_eq!(ended.step(script[4])?, "ok");
    assert_eq!(ended.step(script[5])?, "mfile");
    assert_eq!(ended.step("listen c")?, "ok");
    assert_eq!(ended.step(script[10])?, "ok");
    reached(&ended, "connect", "sockets", "loopback", "mfile")
}

/// A socket counts for the rule by which it sends too, and by which it connects with its first bytes.
#[test]
fn a_socket_counts_however_it_reaches_its_peer() -> Result<()> {
    let echo = tcp_echo("127.0.0.1:0")?;
    let to = format!("127.0.0.1:{}", echo.port());
    let reach = "ops = [\"connect\", \"send-to\"]\ncidr = [\"127.0.0.1\"]\nflags = [\"fastopen\"]";
    for (kind, flags) in [("stream", " fast-open"), ("datagram", "")] {
        let script = [
            format!("a = socket inet {kind}"),
            format!("b = socket inet {kind}"),
            format!("send-to a x {to}{flags}"),
            format!("send-to b x {to}{flags}"),
            "close a".to_owned(),
            format!("send-to b y {to}{flags}"),
        ];
        let script: Vec<&str> = script.iter().map(String::as_str).collect();
        let ended = run(&inet("", "sockets = 1", reach), &script)?;
        assert_eq!(ended.step(script[2])?, "ok 1", "{kind}");
        assert_eq!(ended.step(script[3])?, "mfile", "{kind}");
        assert_eq!(ended.step(script[5])?, "ok 1", "{kind}");
        let operation = if kind == "stream" {
            "connect"
        } else {
            "send-to"
        };
        reached(&ended, operation, "sockets", "loopback", "mfile")?;
    }
    Ok(())
}

/// A connection that nothing is left for stays in the listener's queue.
#[test]
fn accepted_sockets_count_like_their_listener() -> Result<()> {
    let listen = "ops = [\"listen\"]\ncidr = [\"127.0.0.1\"]";
    let policy = inet("", "sockets = 2", listen)
        + "[[allow]]\nid = \"connect\"\nfamily = [\"inet\"]\nops = [\"connect\"]\ncidr = [\"127.0.0.1\"]\n";
    let port = sockgate_tests::free_port()?;
    let to = format!("127.0.0.1:{port}");
    let script = [
        "l = socket inet stream",
        &format!("bind l {to}"),
        "listen l",
        "c = socket inet stream",
        &format!("connect c {to}"),
        "d = socket inet stream",
        &format!("connect d {to}"),
        "a = accept l",
        "timeout l 5000",
        "b = accept l",
        "close a",
        "e = accept l",
    ];
    let ended = run(&policy, &script)?;
    assert!(ended.step("a = accept l")?.starts_with("ok 127.0.0.1"));
    assert_eq!(ended.step("b = accept l")?, "mfile");
    assert!(ended.step("e = accept l")?.starts_with("ok 127.0.0.1"));
    reached(&ended, "accept", "sockets", "loopback", "mfile")
}

/// A buffer of a rule is refused where the guest's own would do.
#[test]
fn a_rule_has_buffers_of_its_own() -> Result<()> {
    let script = [
        "p = pair stream",
        "send p hello",
        "recv p' 100000",
        "recv p' 65536",
    ];
    let ended = run(&pairs("", "buffer-bytes = 70000", ""), &script)?;
    assert_eq!(ended.step("recv p' 100000")?, "nobufs");
    assert_eq!(ended.step("recv p' 65536")?, "\"hello\"");
    reached(&ended, "buffer", "buffer-bytes", "pairs", "nobufs")
}

/// What goes beside a message, on its way out and in.
#[test]
fn ancillary_data_has_a_limit() -> Result<()> {
    let more = ", \"descriptor-send\", \"descriptor-receive\"";
    let script = [
        "p = pair stream",
        "o = pair stream",
        "k = detach o",
        "send-handles p 1 k",
        "send-handles p 8 k",
        "recv-msg p' 100 4096",
    ];
    // One descriptor is 24 bytes with its header, of which two fit.
    let ended = run(&pairs("control-bytes = 24", "", more), &script)?;
    assert_eq!(ended.step("send-handles p 1 k")?, "ok 7");
    assert_eq!(ended.step("send-handles p 8 k")?, "nobufs");
    assert!(
        ended
            .step("recv-msg p' 100 4096")?
            .starts_with("\"handles\" + ")
    );
    reached(&ended, "send-msg", "control-bytes", "pairs", "nobufs")
        .or_else(|_| reached(&ended, "send-msg", "control-bytes", "", "nobufs"))
}

/// Descriptors count until somebody took them in, also where the socket that sent them is gone.
#[test]
fn descriptors_in_flight_have_a_limit() -> Result<()> {
    let more = ", \"descriptor-send\", \"descriptor-receive\"";
    let script = [
        "p = pair stream",
        "q = pair stream",
        "o = pair stream",
        "k = detach o",
        "send-handles p 3 k",
        "send-handles p 2 k",
        "send-handles q 1 k",
        "close p",
        "send-handles q 2 k",
        "recv-msg p' 100 4096",
        "send-handles q 3 k",
    ];
    for policy in [
        pairs("descriptors-in-flight = 4", "", more),
        pairs("", "descriptors-in-flight = 4", more),
    ] {
        let ended = run(&policy, &script)?;
        assert_eq!(ended.step("send-handles p 3 k")?, "ok 7");
        assert_eq!(ended.step("send-handles p 2 k")?, "mfile");
        assert_eq!(ended.step("send-handles q 1 k")?, "ok 7");
        assert_eq!(ended.step("send-handles q 2 k")?, "mfile");
        assert!(
            ended.step("recv-msg p' 100 4096")?.contains("opaque in2")
                || ended.step("recv-msg p' 100 4096")?.contains("in2")
        );
        assert_eq!(ended.step("send-handles q 3 k")?, "ok 7");
        let (key, _, errno) = refusal(&ended, "send-msg")?;
        assert_eq!((key.as_str(), errno), ("descriptors-in-flight", "mfile"));
    }
    Ok(())
}

/// Sockets count for a rule as soon as it grants something of them: both ends of a pair, and what is bound.
#[test]
fn pairs_and_bound_sockets_count_for_their_rule() -> Result<()> {
    for (limit, outcome) in [("sockets = 1", "mfile"), ("sockets = 2", "ok")] {
        let ended = run(&pairs("", limit, ""), &["p = pair stream"])?;
        assert_eq!(ended.step("p = pair stream")?, outcome);
        let script = [
            "a = socket inet datagram",
            "b = socket inet datagram",
            "bind a 127.0.0.1:0",
            "bind b 127.0.0.1:0",
        ];
        let bind = "ops = [\"bind\"]\ncidr = [\"127.0.0.1\"]";
        let ended = run(&inet("", limit, bind), &script)?;
        assert_eq!(ended.step("bind a 127.0.0.1:0")?, "ok");
        assert_eq!(ended.step("bind b 127.0.0.1:0")?, outcome);
    }
    Ok(())
}

/// A socket ends when its time is over, whatever its guest is doing; its peer sees it.
#[test]
fn a_lifetime_ends_a_socket() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = listener.local_addr()?.to_string();
    let connect = "ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]";
    for wait in ["park", "ready"] {
        for (policy, rule) in [
            (inet("lifetime = \"700ms\"", "", connect), ""),
            (inet("", "lifetime = \"700ms\"", connect), "loopback"),
        ] {
            let script = [
                "s = socket inet stream",
                &format!("connect s {to}"),
                "recv s 10",
                "send s x",
                "poll s 0",
                "t = socket inet stream",
            ];
            let guest = steps(script).policy_text(&policy).wait_kind(wait).start()?;
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(patience()))?;
            let since = Instant::now();
            let end = std::io::Read::read(&mut stream, &mut [0; 1])?;
            let lived = since.elapsed();
            ensure!(
                end == 0 && lived < Duration::from_secs(10),
                "{end} after {lived:?}"
            );
            let ended = guest.wait(patience())?.success()?;
            assert_eq!(ended.step("recv s 10")?, "badf");
            assert_eq!(ended.step("send s x")?, "badf");
            assert_eq!(ended.step("t = socket inet stream")?, "ok");
            reached(&ended, "lifetime", "lifetime", rule, "badf")?;
        }
    }
    Ok(())
}

/// One thread of the host's watches all lifetimes.
#[test]
fn many_lifetimes_take_no_threads() -> Result<()> {
    let place = folder()?;
    let mut script: Vec<String> = (0..40)
        .map(|number| format!("s{number} = socket inet datagram"))
        .collect();
    script.extend(["say ready", "until /steps/counted"].map(str::to_owned));
    let policy = "version = 1\nmode = \"audit\"\n[limits]\nlifetime = \"60s\"\n";
    let guest = steps(&script)
        .policy_text(policy)
        .directory(place.path(), "/steps")
        .start()?;
    guest.wait_for_line("say ready", patience())?;
    let threads = fs::read_dir(format!("/proc/{}/task", guest.pid()))?.count();
    fs::write(place.path().join("counted"), "")?;
    guest.wait(patience())?.success()?;
    ensure!((2..20).contains(&threads), "{threads} threads");
    Ok(())
}

/// A socket that ended is good for nothing, though all of it is granted.
#[test]
fn nothing_is_done_with_a_socket_that_ended() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = listener.local_addr()?.to_string();
    let [connect, connect_datagrams] = ["c", "d"].map(|name| format!("connect {name} {to}"));
    let send_to = format!("send-to e hello {to}");
    let send_many = format!("send-many e {to}");
    let begin = [
        "d = socket inet datagram",
        "e = socket inet datagram",
        "b = socket inet datagram",
        "f = socket inet stream",
        "bind f 127.0.0.1:0",
        "l = socket inet stream",
        "listen l",
        "c = socket inet stream",
        &connect,
    ];
    let then = [
        "bind b 127.0.0.1:0",
        "listen f",
        "accept l",
        &connect_datagrams,
        "send c x",
        "recv c 9 dont-wait",
        &send_to,
        &send_many,
        "error e",
        "recv e 9 dont-wait",
        "get e 1 7 4",
        "set e 1 9 01000000",
        "join e 239.1.2.3:1",
        "readable e",
        "shutdown c",
    ];
    // The last to begin is the last to end.
    let script = [&begin[..], &["timeout l 1", "recv c 10"], &then].concat();
    let run = |limits: &str| {
        let guest = steps(&script).policy_text(&format!("version = 1\nmode = \"audit\"\n{limits}"));
        let guest = guest.start()?;
        let (stream, _) = listener.accept()?;
        if limits.is_empty() {
            std::io::Write::write_all(&mut &stream, b"0123456789")?;
        }
        guest.wait(patience())?.success()
    };
    let ended = run("[limits]\nlifetime = \"1500ms\"\n")?;
    let twin = run("")?;
    assert_eq!(ended.step("recv c 10")?, "badf");
    for step in then {
        assert_eq!(ended.step(step)?, "badf", "{step}");
        assert_ne!(twin.step(step)?, "badf", "{step}");
    }
    Ok(())
}

/// A socket that is to end does not leave the guest, where nobody could end it.
#[test]
fn a_socket_with_a_lifetime_is_not_passed_on() -> Result<()> {
    let more = ", \"descriptor-send\", \"descriptor-receive\"";
    let script = [
        "p = pair stream",
        "o = pair stream",
        "send-handles p 1 o",
        "k = detach o",
    ];
    let ended = run(&pairs("lifetime = \"1h\"", "", more), &script)?;
    assert_eq!(ended.step("send-handles p 1 o")?, "acces");
    assert_eq!(ended.step("k = detach o")?, "acces");
    reached(&ended, "descriptor-send", "lifetime", "", "acces")?;
    let ended = run(&pairs("", "", more), &script)?;
    assert_eq!(ended.step("send-handles p 1 o")?, "ok 7");
    Ok(())
}

/// Connections are made no faster than that, and one that may not wait is told so.
#[test]
fn connections_have_a_rate() -> Result<()> {
    let echo = tcp_echo("127.0.0.1:0")?;
    let to = format!("127.0.0.1:{}", echo.port());
    let connect = "ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]";
    let limits = ["connections-per-second = 2", "connections-burst = 1"];
    for policy in [
        inet(&limits.join("\n"), "", connect),
        inet("", &limits.join(", "), connect),
    ] {
        let script = [
            "a = socket inet stream",
            "b = socket inet stream",
            "c = socket inet stream",
            &format!("connect a {to}"),
            "timeout b 0",
            &format!("connect b {to}"),
            "timeout b 50",
            &format!("connect b {to} "),
            &format!("connect c {to}"),
        ];
        let script: Vec<&str> = script.iter().map(|step| step.trim_end()).collect();
        let since = Instant::now();
        let ended = run(&policy, &script)?;
        assert_eq!(ended.step(script[3])?, "ok");
        assert_eq!(ended.step(script[5])?, "again");
        assert_eq!(ended.step(script[8])?, "ok");
        ensure!(
            since.elapsed() >= Duration::from_millis(490),
            "{:?}",
            since.elapsed()
        );
        let granted = ended.audit.of("connect");
        let (gave_up, made): (Vec<_>, Vec<_>) = granted
            .filter(|record| record.verdict() == "allow")
            .partition(|record| matches!(record.errno(), "again" | "timedout"));
        ensure!(
            gave_up.len() == 2 && gave_up.iter().all(|record| record.address() == to),
            "{gave_up:?}"
        );
        let times: Vec<u64> = made
            .iter()
            .filter_map(|record| record.field("time_us").as_u64())
            .collect();
        ensure!(
            times.len() == 2 && times[1] - times[0] >= 480_000,
            "{times:?}"
        );
        let delays = ended
            .audit
            .of("connect")
            .filter(|record| record.verdict() == "limit");
        ensure!(delays.count() == 1, "a delay is told once");
    }
    Ok(())
}

/// A listener is not ready while the rate forbids to accept.
#[test]
fn accepting_has_a_rate() -> Result<()> {
    let port = sockgate_tests::free_port()?;
    let listen = "ops = [\"listen\"]\ncidr = [\"127.0.0.1\"]";
    let policy = inet(
        "connections-per-second = 2\nconnections-burst = 1",
        "",
        listen,
    );
    let script = [
        "l = socket inet stream".to_owned(),
        format!("bind l 127.0.0.1:{port}"),
        "listen l".to_owned(),
        "a = accept l".to_owned(),
        "poll l 0".to_owned(),
        "poller l 0".to_owned(),
        "poll l 5000".to_owned(),
        "b = accept l".to_owned(),
        "poller l 5000".to_owned(),
        "c = accept l".to_owned(),
    ];
    let guest = steps(&script).policy_text(&policy).start()?;
    guest.wait_for_line("listen l -> ok", patience())?;
    let to = ("127.0.0.1", port);
    let _peers = (
        std::net::TcpStream::connect(to)?,
        std::net::TcpStream::connect(to)?,
        std::net::TcpStream::connect(to)?,
    );
    let ended = guest.wait(patience())?.success()?;
    let silent = ended.step("poll l 0")?;
    ensure!(!silent.contains("readable"), "{silent}");
    let silent = ended.step("poller l 0")?;
    ensure!(!silent.contains("readable"), "{silent}");
    for step in ["a = accept l", "b = accept l", "c = accept l"] {
        ensure!(ended.step(step)?.starts_with("ok"), "{step}");
    }
    let times: Vec<u64> = ended
        .audit
        .of("accept")
        .filter(|record| record.verdict() == "allow")
        .filter_map(|record| record.field("time_us").as_u64())
        .collect();
    ensure!(
        times.len() == 3 && times[2] - times[0] >= 980_000,
        "{times:?}"
    );
    Ok(())
}

/// Questions to the resolver are asked no faster than that.
#[test]
fn the_resolver_has_a_rate() -> Result<()> {
    let policy = "version = 1\n[limits]\nresolver-queries-per-second = 4\nresolver-queries-burst = 1\n\
                  [[allow]]\nid = \"names\"\nops = [\"resolve\"]\nhost = [\"localhost\"]\n\
                  host-may-be = [\"loopback\"]\n";
    let script = ["lookup localhost", "lookup 127.0.0.1", "lookup localhost"];
    let ended = run(policy, &script)?;
    let times: Vec<u64> = ended
        .audit
        .of("resolve")
        .filter(|record| record.verdict() == "allow")
        .filter_map(|record| record.field("time_us").as_u64())
        .collect();
    ensure!(
        times.len() == 2 && times[1] - times[0] >= 200_000,
        "{times:?}"
    );
    let delay = ended
        .audit
        .of("resolve")
        .find(|record| record.verdict() == "limit");
    ensure!(delay.is_some_and(|delay| delay.field("limit") == "resolver-queries-per-second"));
    Ok(())
}

/// `wasi:sockets` moves data where nobody counts it: limits on data keep it out, and rates of connections hold.
#[test]
fn wasi_sockets_are_held_to_what_can_be_counted() -> Result<()> {
    let echo = tcp_echo("127.0.0.1:0")?;
    let to = format!("127.0.0.1:{}", echo.port());
    let connect = "ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]";
    let run = |policy: &str| -> Result<Ended> {
        GuestRun::new("std-net")
            .argument("connect")
            .argument(&to)
            .policy_text(policy)
            .finish(patience())
    };
    let granted = run(&inet("connections-per-second = 100", "", connect))?;
    ensure!(granted.status.success(), "{}", granted.stderr);
    for policy in [
        inet("send-bytes-per-second = 1000000", "", connect),
        inet("lifetime = \"1h\"", "", connect),
        inet("", "receive-bytes = 1000000", connect),
        inet("", "sockets = 5", connect),
    ] {
        let refused = run(&policy)?;
        ensure!(!refused.status.success(), "{policy} lets it through");
        let mut records = refused.audit.records().iter();
        ensure!(
            records.any(|record| record.is_denied()),
            "{}",
            refused.stderr
        );
    }
    Ok(())
}
