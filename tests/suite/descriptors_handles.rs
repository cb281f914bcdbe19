//! Handles on one socket: dup, detach, and splice from one socket to another.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use sockgate_tests::{Ended, GuestRun, covers, folder, patience, steps};

const PAIRS: &str = "unix-stream socketpair set=so.keepalive get=so.keepalive";

/// A guest with socketpairs and what else they need.
fn pairs<S: AsRef<str>>(more: &str, taken: impl IntoIterator<Item = S>) -> GuestRun {
    steps(taken).allow(&PAIRS.replacen("socketpair", &format!("socketpair{more}"), 1))
}

fn outcomes(ended: &Ended, wanted: &[(&str, &str)]) -> Result<()> {
    for (step, outcome) in wanted {
        ensure!(
            ended.step(step)? == *outcome,
            "`{step}` is not {outcome} in:\n{}",
            ended.stdout
        );
    }
    Ok(())
}

/// Two handles have one queue, one set of options and one place in the world; a time-out each, and each may be
/// closed alone.
#[test]
fn handles_of_one_socket_share_all_but_their_time_outs() -> Result<()> {
    let ended = pairs(
        "",
        [
            "p = pair stream",
            "timeout p' 10",
            "q = dup p'",
            "time-out q",
            "timeout q 20",
            "time-out p'",
            "typed q keep-alive 1",
            "get p' 1 9 4",
            "send p 123456",
            "recv q 3",
            "recv p' 10",
            "recv p' 1",
            "close p'",
            "send p more",
            "recv q 10",
            "close q",
            "send p lost",
        ],
    )
    .finish(patience())?
    .success()?;
    outcomes(
        &ended,
        &[
            // The copy has the time-out of its origin until it is given its own.
            ("time-out q", "ok Timeout::After(10000000)"),
            ("time-out p'", "ok Timeout::After(10000000)"),
            ("get p' 1 9 4", "ok 01000000"),
            ("recv q 3", "\"123\""),
            ("recv p' 10", "\"456\""),
            ("recv p' 1", "timedout"),
            ("recv q 10", "\"more\""),
            ("send p lost", "pipe"),
        ],
    )?;
    covers(&["dup", "close"]);
    Ok(())
}

/// A further handle counts as a socket, so that duplicates without end end at the limit.
#[test]
fn each_handle_counts() -> Result<()> {
    let ended = steps([
        "p = pair stream",
        "q = dup p",
        "r = dup p",
        "close q",
        "s = dup p",
    ])
    .policy_text(
        "version = 1\n[limits]\nsockets = 3\n[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\n\
             ops = [\"socketpair\"]\n",
    )
    .finish(patience())?
    .success()?;
    outcomes(
        &ended,
        &[
            ("q = dup p", "ok"),
            ("r = dup p", "mfile"),
            ("s = dup p", "ok"),
        ],
    )?;
    covers(&["dup"]);
    Ok(())
}

/// What is detached can be passed on, and comes back as the socket that it is; what else had it keeps it.
#[test]
fn a_detached_socket_is_passed_on_and_comes_back() -> Result<()> {
    let ended = pairs(
        ",descriptor-send,descriptor-receive kinds=socket",
        [
            "p = pair stream",
            "w = pair stream",
            "q = dup p",
            "d = detach p",
            "send q one-",
            "send-handles w 1 d",
            "recv-msg w' 100 64",
            "send in0 two",
            "recv p' 100",
            "p = pair stream",
        ],
    )
    .finish(patience())?
    .success()?;
    outcomes(
        &ended,
        &[
            ("d = detach p", "ok"),
            ("send q one-", "ok 4"),
            ("recv-msg w' 100 64", "\"handles\" + socket in0"),
            ("recv p' 100", "\"one-two\""),
        ],
    )?;
    // It was one socket all along.
    let detached = ended.audit.of("detach").count();
    assert_eq!(detached, 1, "{:?}", ended.audit);
    covers(&["detach", "SCM_RIGHTS"]);
    Ok(())
}

/// The receiver's own policy decides about a detached socket as about any other.
#[test]
fn a_detached_socket_is_refused_like_any_other() -> Result<()> {
    for kinds in [
        "",
        ",descriptor-send kinds=socket",
        ",descriptor-send,descriptor-receive kinds=opaque",
    ] {
        let ended = pairs(
            kinds,
            [
                "p = pair stream",
                "w = pair stream",
                "d = detach p",
                "send-handles w 1 d",
                "timeout w' 100",
                "recv-msg w' 100 64",
            ],
        )
        .finish(patience())?
        .success()?;
        let (sent, came) = match kinds {
            ",descriptor-send kinds=socket" => ("ok 7", "\"handles\""),
            _ => ("acces", "timedout"),
        };
        outcomes(
            &ended,
            &[("send-handles w 1 d", sent), ("recv-msg w' 100 64", came)],
        )?;
    }
    Ok(())
}

/// A guest that ends with a detached socket closes it.
#[test]
fn a_detached_socket_goes_with_its_guest() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let connect = format!("connect s 127.0.0.1:{port}");
    let ended = steps(["s = socket inet stream", &connect, "d = detach s", "panic"])
        .allow(&format!("tcp connect 127.0.0.1:{port}"))
        .start()?;
    let mut peer = listener.accept()?.0;
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest)?;
    assert_eq!(rest, b"");
    ensure!(!ended.wait(patience())?.status.success());
    Ok(())
}

const SPLICE: &str = ",splice,descriptor-send,descriptor-receive kinds=socket";

/// One socket to another in both directions, as much as is there and as is asked for, until the end of the stream.
#[test]
fn bytes_go_from_socket_to_socket_both_ways() -> Result<()> {
    // Descriptors that the guest has sent are blocking ones: the host takes another way with them.
    for share in [
        None,
        Some("send-handles w 1 p'"),
        Some("send-handles w 1 q"),
    ] {
        let taken = [
            "p = pair stream",
            "q = pair stream",
            "w = pair stream",
            share.unwrap_or("say nothing"),
            "send p 1234567",
            "splice p' q 3",
            "splice p' q",
            "recv q' 100",
            "send q' back",
            "splice q p' 100",
            "recv p 100",
            "splice q p' 0",
            "timeout p' 100",
            "splice p' q 100",
            "timeout p' 0",
            "splice p' q 99",
            "close p",
            "splice p' q 98",
            "close q'",
            "splice q q 97",
        ];
        let ended = pairs(SPLICE, taken).finish(patience())?.success()?;
        outcomes(
            &ended,
            &[
                ("splice p' q 3", "ok 3"),
                ("splice p' q", "ok 4"),
                ("recv q' 100", "\"1234567\""),
                ("splice q p' 100", "ok 4"),
                ("recv p 100", "\"back\""),
                ("splice q p' 0", "ok 0"),
                ("splice p' q 100", "timedout"),
                ("splice p' q 99", "again"),
                ("splice p' q 98", "ok 0"),
                ("splice q q 97", "ok 0"),
            ],
        )?;
    }
    Ok(())
}

/// What was taken waits for its receiver, no longer than that one's time-out, and never blocks the host.
#[test]
fn a_receiver_that_takes_nothing_ends_a_splice_in_time() -> Result<()> {
    for share in [None, Some("send-handles w 1 q")] {
        let taken = [
            "p = pair stream",
            "q = pair stream",
            "w = pair stream",
            share.unwrap_or("say nothing"),
            "fill q",
            "timeout q 200",
            "send p 1234567",
            "splice p' q 7",
            "say still-here",
        ];
        let begun = Instant::now();
        let ended = pairs(SPLICE, taken).finish(patience())?.success()?;
        outcomes(
            &ended,
            &[("splice p' q 7", "timedout"), ("say still-here", "ok")],
        )?;
        ensure!(begun.elapsed() >= Duration::from_millis(200));
    }
    Ok(())
}

/// Both ends need the grant, and both are streams.
#[test]
fn a_splice_needs_its_grant_on_both_ends() -> Result<()> {
    let taken = [
        "p = pair stream",
        "q = pair stream",
        "send p 1234567",
        "splice p' q 7",
    ];
    let ended = pairs("", taken).finish(patience())?.success()?;
    assert_eq!(ended.step("splice p' q 7")?, "acces");
    ended.audit.denied("splice")?;
    let ended = pairs(",splice", taken).finish(patience())?.success()?;
    assert_eq!(ended.step("splice p' q 7")?, "ok 7");

    // On the one end a rule that grants it, on the other one that does not.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let connect = format!("connect t 127.0.0.1:{port}");
    let taken = [
        "p = pair stream",
        "t = socket inet stream",
        &connect,
        "send p 1234567",
        "splice p' t 7",
        "splice t p' 7",
    ];
    let ended = pairs(",splice", taken)
        .allow(&format!("tcp connect 127.0.0.1:{port}"))
        .finish(patience())?
        .success()?;
    outcomes(
        &ended,
        &[("splice p' t 7", "acces"), ("splice t p' 7", "acces")],
    )?;

    // Messages have senders, whom nobody would look at on this way.
    let ended = steps([
        "p = pair datagram",
        "q = pair stream",
        "send p hello",
        "splice p' q 7",
        "splice q p 7",
    ])
    .allow("unix socketpair,splice")
    .finish(patience())?
    .success()?;
    outcomes(
        &ended,
        &[("splice p' q 7", "inval"), ("splice q p 7", "inval")],
    )
}

/// A relay of a guest that never sees the bytes, between a TCP client and a Unix server.
#[test]
fn a_guest_relays_without_a_copy() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("server.sock");
    let server = std::os::unix::net::UnixListener::bind(&path)?;
    let serving = thread::spawn(move || -> Result<Vec<u8>> {
        let (mut stream, _): (UnixStream, _) = server.accept()?;
        let mut data = vec![0; 40_000];
        stream.read_exact(&mut data)?;
        stream.write_all(b"thanks")?;
        Ok(data)
    });
    let port = sockgate_tests::free_port()?;
    let (bind, connect) = (
        format!("bind l 127.0.0.1:{port}"),
        format!("connect s path:{}", path.display()),
    );
    let taken = [
        "l = socket inet stream",
        &bind,
        "listen l",
        "c = accept l",
        "s = socket unix stream",
        &connect,
        // All of it is there by then; one call moves what fits the pages of a pipe.
        "until /steps/sent",
        "timeout c 0",
        "splice c s 40000",
        "splice c s 40001",
        "splice c s 40002",
        "splice c s 40003",
        "splice s c 6",
    ];
    let guest = steps(taken)
        .allow(&format!("tcp listen 127.0.0.1:{port} peer 127.0.0.1"))
        .allow("tcp splice")
        .allow(&format!("unix-stream connect,splice {}", path.display()))
        .directory(place.path(), "/steps")
        .start()?;
    guest.wait_for_line("listen l -> ok", patience())?;
    let mut client = TcpStream::connect(("127.0.0.1", port))?;
    let data = sockgate_tests::pattern(3, 40_000);
    client.write_all(&data)?;
    std::fs::write(place.path().join("sent"), "")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(answer, "thanks", "{}", ended.stdout);
    ensure!(
        serving
            .join()
            .map_err(|_| anyhow!("the server panicked"))??
            == data
    );
    Ok(())
}
