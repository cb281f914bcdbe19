//! Rates hold back what passes: the peer never sees more than rate times time and burst, and poll is silent
//! while nothing may pass.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{Ended, GuestRun, Native, Record, Tool, oracle, patience, steps};

const RATE: u64 = 200_000;
const BURST: u64 = 20_000;
/// What a test moves: a second's worth, and the burst.
const TOTAL: u64 = RATE + BURST;

fn policy(guest: &str, rule: &str) -> String {
    format!(
        "version = 1\n[limits]\n{guest}\n[[allow]]\nid = \"peer\"\nfamily = [\"inet\"]\n\
         ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]\nlimits = {{ {rule} }}\n"
    )
}

fn bytes(way: &str) -> String {
    format!("{way}-bytes-per-second = {RATE}\n{way}-bytes-burst = {BURST}")
}

fn in_rule(limits: &str) -> String {
    policy("", &limits.replace('\n', ", "))
}

fn pump(policy: &str, words: &[&str], address: &str, total: u64, size: u64) -> GuestRun {
    let run = words
        .iter()
        .fold(GuestRun::new("limits_pump"), |run, word| run.argument(word));
    run.argument(address)
        .argument(total.to_string())
        .argument(size.to_string())
        .policy_text(policy)
}

/// What the guest says of itself: how it ended, milliseconds, looks, refused attempts.
struct Told {
    outcome: String,
    moved: u64,
    milliseconds: u64,
    looks: u64,
    again: u64,
}

fn told(ended: &Ended) -> Result<Told> {
    let line = ended.stdout.lines().last().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let [
        outcome,
        moved,
        "in",
        milliseconds,
        "ms,",
        looks,
        "looks,",
        again,
        "again",
    ] = words[..]
    else {
        anyhow::bail!("the guest said {line:?}: {}", ended.stderr);
    };
    Ok(Told {
        outcome: outcome.to_owned(),
        moved: moved.parse()?,
        milliseconds: milliseconds.parse()?,
        looks: looks.parse()?,
        again: again.parse()?,
    })
}

/// What arrived, and when after the word to begin: never more than the rate lets.
#[derive(Default)]
struct Arrivals(Vec<(Duration, u64)>);

impl Arrivals {
    fn sum(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    fn check(&self, rate: u64, burst: u64) -> Result<Duration> {
        let mut sum = 0;
        for (at, count) in &self.0 {
            sum += count;
            let nanos = u64::try_from(at.as_nanos())?;
            let allowed = u128::from(rate) * u128::from(nanos) / 1_000_000_000 + u128::from(burst);
            ensure!(
                u128::from(sum) <= allowed,
                "{sum} came within {at:?}, and {allowed} might have"
            );
        }
        Ok(self.0.last().context("nothing came")?.0)
    }
}

/// Says the word to begin and takes what comes, until so much is there or the stream ends.
fn collect(stream: &mut (impl Read + Write), total: u64) -> Result<Arrivals> {
    let (start, mut arrivals) = (Instant::now(), Arrivals::default());
    stream.write_all(b"!")?;
    let mut buffer = vec![0; 1 << 16];
    while arrivals.sum() < total {
        match stream.read(&mut buffer)? {
            0 => break,
            count => arrivals.0.push((start.elapsed(), count as u64)),
        }
    }
    Ok(arrivals)
}

fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(patience()))?;
    stream.set_write_timeout(Some(patience()))?;
    Ok(stream)
}

/// About a second, and some more on a machine that has much to do.
fn took_a_second(elapsed: Duration) -> Result<()> {
    ensure!(
        elapsed >= Duration::from_millis(990),
        "it took only {elapsed:?}"
    );
    ensure!(elapsed < Duration::from_secs(5), "it took {elapsed:?}");
    Ok(())
}

fn send_stream(policy: &str, how: &str, size: u64) -> Result<(Duration, Told, Ended)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let mut run = pump(policy, &["send", how, "stream"], &address, TOTAL, size);
    let files = tempfile::tempdir()?;
    if how == "file" {
        std::fs::write(files.path().join("data"), vec![b'f'; 1 << 20])?;
        run = run.directory(files.path(), "/files");
    }
    let guest = run.start()?;
    let mut stream = accept(&listener)?;
    guest.wait_for_line("@ready", patience())?;
    let arrivals = collect(&mut stream, TOTAL)?;
    let elapsed = arrivals.check(RATE, BURST)?;
    ensure!(arrivals.sum() == TOTAL, "{} came", arrivals.sum());
    let ended = guest.wait(patience())?.success()?;
    Ok((elapsed, told(&ended)?, ended))
}

/// However a stream is fed: by small pieces, by one that is far larger than the burst, from a file.
#[test]
fn a_stream_is_cut_to_what_may_pass() -> Result<()> {
    let policy = policy(&bytes("send"), "");
    for (how, size) in [
        ("blocking", 1000),
        ("blocking", TOTAL),
        ("msg", 60_000),
        ("file", TOTAL),
    ] {
        let (elapsed, said, ended) = send_stream(&policy, how, size)?;
        took_a_second(elapsed).with_context(|| format!("{how} {size}"))?;
        ensure!(said.outcome == "moved" && said.moved == TOTAL);
        let delays: Vec<_> = ended
            .audit
            .records()
            .iter()
            .filter(|record| record.verdict() == "limit")
            .collect();
        ensure!(delays.len() == 1, "the operator is told once: {delays:?}");
        ensure!(
            delays[0].field("limit") == "send-bytes-per-second" && delays[0].errno().is_empty()
        );
    }
    Ok(())
}

/// poll, the poller and wasi:io's pollables say nothing while nothing may pass: a guest that waits for them
/// does not spin, and gets the whole rate.
#[test]
fn waiting_for_room_is_silent_while_the_rate_forbids() -> Result<()> {
    let policy = policy(&bytes("send"), "");
    for how in ["poll", "poller", "subscribe"] {
        let (elapsed, said, _) = send_stream(&policy, how, 50_000)?;
        took_a_second(elapsed).context(how)?;
        // 20 ms worth at a time: some 50 looks, and as many again for luck.
        ensure!(said.looks < 150, "{how}: {} looks", said.looks);
        ensure!(said.again <= 2, "{how}: {} refused attempts", said.again);
    }
    Ok(())
}

#[test]
fn a_rules_rate_holds_for_what_goes_by_it() -> Result<()> {
    let (elapsed, _, ended) = send_stream(&in_rule(&bytes("send")), "blocking", 10_000)?;
    took_a_second(elapsed)?;
    let delay = ended
        .audit
        .of("send")
        .find(|record| record.verdict() == "limit");
    ensure!(delay.is_some_and(|delay| delay.rule() == "peer"));
    Ok(())
}

/// An interruption that came before is told at once, and not when the rate lets something pass.
#[test]
fn an_interruption_does_not_wait_for_the_rate() -> Result<()> {
    let peer = UdpSocket::bind("127.0.0.1:0")?;
    let connect = format!("connect s {}", peer.local_addr()?);
    let script = [
        "s = socket inet datagram",
        &connect,
        "timeout s 30000",
        "send s 0123456789",
        "interrupt s",
        "send s 9876543210",
    ];
    let policy = policy("send-bytes-per-second = 1\nsend-bytes-burst = 10", "");
    let start = Instant::now();
    let ended = steps(script)
        .policy_text(&policy)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("send s 0123456789")?, "ok 10");
    assert_eq!(ended.step("send s 9876543210")?, "intr");
    ensure!(
        start.elapsed() < Duration::from_secs(6),
        "after {:?}",
        start.elapsed()
    );
    Ok(())
}

/// Without the rate the same bytes pass at once.
#[test]
fn nothing_is_held_back_without_a_rate() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let policy = policy("", "receive-bytes-per-second = 1");
    let guest = pump(
        &policy,
        &["send", "blocking", "stream"],
        &address,
        TOTAL,
        10_000,
    )
    .start()?;
    let mut stream = accept(&listener)?;
    guest.wait_for_line("@ready", patience())?;
    let arrivals = collect(&mut stream, TOTAL)?;
    ensure!(
        arrivals.check(RATE, BURST).is_err(),
        "it was as slow as with a rate"
    );
    guest.wait(patience())?.success()?;
    Ok(())
}

fn receive_stream(policy: &str, how: &str, size: u64) -> Result<(Told, Ended)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let guest = pump(policy, &["receive", how, "stream"], &address, TOTAL, size).start()?;
    let mut stream = accept(&listener)?;
    guest.wait_for_line("@ready", patience())?;
    // The word to begin is a byte of it.
    stream.write_all(&vec![b'r'; usize::try_from(TOTAL)? + 1])?;
    let ended = guest.wait(patience())?.success()?;
    Ok((told(&ended)?, ended))
}

/// What the host handed over after the word to begin, by its own clock.
///
/// Such a record is written after its bytes were paid for, and how long after nobody knows. So the time of the
/// first one, the word's, is where all others begin, and its byte is none of theirs: the guest asks for the next
/// only when it has that one, and pays no later than the next record says. The stamps leave out what is
/// less than a microsecond: between two of them lies up to one more than their difference.
fn handed_over(ended: &Ended, operation: &str) -> Result<Arrivals> {
    let mut records = ended
        .audit
        .records()
        .iter()
        .filter(|record| record.bytes().is_some());
    let time = |record: &Record| record.field("time_us").as_u64().context("no time");
    let word = records.next().context("nothing was received")?;
    ensure!(
        word.operation() == "recv" && word.bytes() == Some(1),
        "the word to begin is not the first: {word:?}"
    );
    let start = time(word)?;
    let mut arrivals = Arrivals::default();
    for record in records.filter(|record| record.operation() == operation) {
        let at = Duration::from_micros(time(record)? - start + 1);
        arrivals.0.push((at, record.bytes().unwrap_or(0)));
    }
    Ok(arrivals)
}

#[test]
fn receiving_is_held_back_as_well() -> Result<()> {
    let policy = policy(&bytes("receive"), "");
    for how in ["blocking", "poll", "poller", "subscribe", "msg"] {
        let (said, ended) = receive_stream(&policy, how, 30_000)?;
        ensure!(said.outcome == "moved", "{how}: {}", said.outcome);
        took_a_second(Duration::from_millis(said.milliseconds)).context(how)?;
        let operation = if how == "msg" { "recv-msg" } else { "recv" };
        handed_over(&ended, operation)?
            .check(RATE, BURST)
            .context(how)?;
        ensure!(
            said.looks < 150 && said.again <= 2,
            "{how}: {} looks, {} again",
            said.looks,
            said.again
        );
    }
    Ok(())
}

/// A server of datagrams: the word to begin to whoever writes first, and then what comes.
fn send_datagrams(policy: &str, how: &str, count: u64, size: u64) -> Result<(Arrivals, Told)> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(patience()))?;
    let address = socket.local_addr()?.to_string();
    let words = ["send", how, "datagram"];
    let guest = pump(policy, &words, &address, count * size, size).start()?;
    let mut buffer = vec![0; 1 << 16];
    let (_, peer) = socket.recv_from(&mut buffer)?;
    guest.wait_for_line("@ready", patience())?;
    let (start, mut arrivals) = (Instant::now(), Arrivals::default());
    socket.send_to(b"!", peer)?;
    for _ in 0..count {
        let length = socket.recv(&mut buffer)?;
        ensure!(length as u64 == size, "a datagram was cut to {length}");
        arrivals.0.push((start.elapsed(), size));
    }
    let ended = guest.wait(patience())?.success()?;
    Ok((arrivals, told(&ended)?))
}

#[test]
fn datagrams_are_held_back_whole() -> Result<()> {
    let policy = policy(&bytes("send"), "");
    for how in ["blocking", "poll", "poller", "msg", "many"] {
        // 8 go in one call of `many`.
        let (arrivals, said) = send_datagrams(&policy, how, 88, TOTAL / 88)?;
        // The first datagram went before the word to begin.
        let elapsed = arrivals.check(RATE, BURST).context(how)?;
        took_a_second(elapsed).context(how)?;
        ensure!(said.again <= 90, "{how}: {} refused attempts", said.again);
    }
    Ok(())
}

/// A datagram that is longer than the burst passes once the bucket is full.
#[test]
fn a_datagram_longer_than_the_burst_passes() -> Result<()> {
    let policy = policy("send-bytes-per-second = 40000\nsend-bytes-burst = 1000", "");
    let (arrivals, _) = send_datagrams(&policy, "blocking", 3, 20_000)?;
    let times: Vec<_> = arrivals.0.iter().map(|(at, _)| *at).collect();
    ensure!(
        times[1] - times[0] > Duration::from_millis(400),
        "{times:?}"
    );
    ensure!(times[2] < Duration::from_secs(5), "{times:?}");
    Ok(())
}

#[test]
fn messages_have_a_rate_of_their_own() -> Result<()> {
    let limits = "send-messages-per-second = 50\nsend-messages-burst = 5";
    for policy in [policy(limits, ""), in_rule(limits)] {
        for how in ["blocking", "poller", "many"] {
            let (arrivals, _) = send_datagrams(&policy, how, 56, 10)?;
            let elapsed = arrivals.check(500, 50).context(how)?;
            took_a_second(elapsed).context(how)?;
        }
    }
    Ok(())
}

/// Received datagrams count for the rule that lets their sender in, and wait in the kernel meanwhile.
#[test]
fn received_messages_are_held_back() -> Result<()> {
    let limits = "receive-messages-per-second = 50\nreceive-messages-burst = 5";
    for (policy, how) in [
        (policy(limits, ""), "blocking"),
        (in_rule(limits), "poll"),
        (in_rule(limits), "many"),
    ] {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(patience()))?;
        let address = socket.local_addr()?.to_string();
        let guest = pump(&policy, &["receive", how, "datagram"], &address, 550, 10).start()?;
        let (_, peer) = socket.recv_from(&mut [0; 16])?;
        guest.wait_for_line("@ready", patience())?;
        for _ in 0..56 {
            socket.send_to(b"0123456789", peer)?;
        }
        let ended = guest.wait(patience())?.success()?;
        let said = told(&ended)?;
        ensure!(
            said.outcome == "moved" && said.moved == 550,
            "{} {}",
            said.outcome,
            said.moved
        );
        took_a_second(Duration::from_millis(said.milliseconds)).context(how)?;
        ensure!(said.again <= 56, "{how}: {} refused attempts", said.again);
    }
    Ok(())
}

/// Whole messages on a connection are measured before they are taken.
#[test]
fn records_of_a_connection_are_held_back() -> Result<()> {
    let Some(python) = oracle(Tool::Python, "records_of_a_connection_are_held_back") else {
        return Ok(());
    };
    let place = tempfile::tempdir()?;
    let path = place.path().join("s");
    let words = [path.as_os_str(), "20".as_ref(), "11000".as_ref()];
    let server = Native::python(&python, "limits_records.py", words)?;
    server.wait_for_line("listening", patience())?;
    let policy = format!(
        "version = 1\n[limits]\n{}\n[[allow]]\nid = \"peer\"\nfamily = [\"unix\"]\nops = [\"connect\"]\n\
         root = \"{}\"\npath = [\"s\"]\n",
        bytes("receive"),
        place.path().display()
    );
    let words = ["receive", "poll", "seqpacket"];
    let address = path.display().to_string();
    let ended = pump(&policy, &words, &address, 20 * 11_000, 11_000)
        .finish(patience())?
        .success()?;
    let said = told(&ended)?;
    ensure!(said.outcome == "moved", "{}", said.outcome);
    took_a_second(Duration::from_millis(said.milliseconds))?;
    handed_over(&ended, "recv")?.check(RATE, BURST)?;
    Ok(())
}
