//! Files that the host sends for a guest, sendfile(2): whole and in parts, within one time-out, and never through the
//! guest's memory.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use sockgate_tests::{
    Ended, GuestRun, TempDir, Tool, covers, folder, oracle, patience, pattern, sha256, steps,
};

const SIZE: usize = 5 << 20;

/// A folder with a file of [`SIZE`] bytes in it, which the guest knows as /site/file.
fn site() -> Result<(TempDir, Vec<u8>)> {
    let place = folder()?;
    let content = pattern(7, SIZE);
    fs::write(place.path().join("file"), &content)?;
    Ok((place, content))
}

/// Everything that one client sends.
fn collected(listener: TcpListener) -> JoinHandle<Result<Vec<u8>>> {
    thread::spawn(move || all(listener.accept()?.0))
}

fn all(mut stream: impl Read) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data)?;
    Ok(data)
}

fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("the peer panicked"))?
}

/// A guest that connects to this port as `s`, with the site, and goes on with these steps.
fn client(port: u16, site: &Path, more: &[&str]) -> GuestRun {
    let connect = format!("connect s 127.0.0.1:{port}");
    let start = ["s = socket inet stream", &connect];
    steps(start.iter().chain(more))
        .allow(&format!("tcp connect 127.0.0.1:{port}"))
        .directory(site, "/site")
}

#[test]
fn a_whole_file_goes_without_a_copy_through_the_guest() -> Result<()> {
    let name = "a_whole_file_goes_without_a_copy_through_the_guest";
    let (site, content) = site()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let peer = collected(listener);
    let send = "send-file s /site/file 0 all";
    let mut run = client(port, site.path(), &[send]);
    if let Some(strace) = oracle(Tool::Strace, name) {
        run = run.strace(&strace);
    }
    let ended = run.finish(patience())?.success()?;
    assert_eq!(ended.step(send)?, format!("ok {SIZE} at {SIZE}"));
    assert_eq!(sha256(&joined(peer)?), sha256(&content));
    if ended.syscalls.is_some() {
        ensure!(!ended.made("sendfile")?.is_empty() || !ended.made("sendfile64")?.is_empty());
        for other in ["sendto", "sendmsg", "sendmmsg"] {
            ensure!(ended.made(other)?.is_empty(), "{other} was called");
        }
    }
    let bytes = ended
        .audit
        .of("send-file")
        .filter_map(|record| record.bytes());
    assert_eq!(bytes.sum::<u64>(), SIZE as u64);
    covers(&["sendfile"]);
    Ok(())
}

#[test]
fn parts_of_a_file_go_where_they_are_asked_for() -> Result<()> {
    let (site, content) = site()?;
    let path = site.path().join("peer.sock");
    let listener = UnixListener::bind(&path)?;
    let peer = thread::spawn(move || all(listener.accept()?.0));
    let connect = format!("connect s path:{}", path.display());
    let beyond = format!("send-file s /site/file {} all", SIZE + 10);
    let rest = format!("send-file s /site/file {} 100", SIZE - 7);
    let steps_taken = [
        "s = socket unix stream",
        &connect,
        "send-file s /site/file 10 20",
        "send-file s site/file 30 0",
        &rest,
        &beyond,
        "send-file-piece s /site/./file 3 4",
    ];
    let ended = steps(steps_taken)
        .allow(&format!("unix-stream connect {}", path.display()))
        .directory(site.path(), "/site")
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step(steps_taken[2])?, "ok 20 at 30");
    assert_eq!(ended.step(steps_taken[3])?, "ok 0 at 30");
    assert_eq!(ended.step(&rest)?, format!("ok 7 at {SIZE}"));
    assert_eq!(ended.step(&beyond)?, format!("ok 0 at {}", SIZE + 10));
    assert_eq!(ended.step(steps_taken[6])?, "ok 4");
    let wanted = [&content[10..30], &content[SIZE - 7..], &content[3..7]].concat();
    assert_eq!(joined(peer)?, wanted);
    covers(&["sendfile"]);
    Ok(())
}

/// Where a send of a file stopped: `OUTCOME at POSITION`.
fn stopped(ended: &Ended, step: &str) -> Result<(String, usize)> {
    let said = ended.step(step)?;
    let (outcome, at) = said.split_once(" at ").context("no position")?;
    Ok((outcome.to_owned(), at.parse()?))
}

/// A peer that accepts and reads nothing until it is told; then it takes what is there.
fn idle_peer(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(patience()))?;
    Ok(stream)
}

#[test]
fn a_peer_that_does_not_read_ends_it_in_time_and_the_progress_is_told() -> Result<()> {
    let (site, content) = site()?;
    let send = "send-file s /site/file 0 all";
    // Blocking with a time-out; then not at all, which tells what there was room for.
    for (timeout, outcome) in [("300", "timedout"), ("0", "ok")] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let timeout_step = format!("timeout s {timeout}");
        let begun = Instant::now();
        // A descriptor that the guest has sent is a blocking one, and the host's call must not block either.
        for shared in [false, true] {
            let share = ["p = pair stream", "send-handles p 1 s"];
            let mut more = vec![&*timeout_step];
            more.extend(share.iter().filter(|_| shared));
            more.extend([send, "time-out s"]);
            let guest = client(port, site.path(), &more)
                .allow("unix-stream socketpair,descriptor-send kinds=socket")
                .start()?;
            let peer = idle_peer(&listener)?;
            let ended = guest.wait(patience())?.success()?;
            let (said, at) = stopped(&ended, send)?;
            ensure!(said.starts_with(outcome), "{said}, shared: {shared}");
            ensure!(at > 0 && at < SIZE, "{at}, shared: {shared}");
            let kept = ended.step("time-out s")?;
            match timeout {
                "0" => assert_eq!(kept, "ok Timeout::NonBlocking"),
                _ => assert_eq!(kept, "ok Timeout::After(300000000)"),
            }
            // So much as was told, and no more.
            let came = all(peer)?;
            assert_eq!(came.len(), at, "shared: {shared}");
            ensure!(came == content[..at]);
        }
        ensure!(begun.elapsed() >= Duration::from_millis(timeout.parse::<u64>()? * 2));
    }
    covers(&["sendfile"]);
    Ok(())
}

/// The time-out is one for the whole: a peer that takes a little now and then does not lengthen it.
#[test]
fn the_time_out_is_one_for_the_whole_file() -> Result<()> {
    let (site, _) = site()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let send = "send-file s /site/file 0 all";
    let guest = client(port, site.path(), &["timeout s 400", send]).start()?;
    let mut peer = idle_peer(&listener)?;
    let (over, is_over) = channel::<()>();
    let reader = thread::spawn(move || -> Result<()> {
        let mut little = vec![0; 40_000];
        // Far longer than the time-out, were it one for each piece.
        while is_over.try_recv() == Err(TryRecvError::Empty) {
            peer.read_exact(&mut little)?;
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    });
    let ended = guest.wait(patience())?.success()?;
    let (said, at) = stopped(&ended, send)?;
    assert_eq!(said, "timedout");
    ensure!(at > 0 && at < SIZE, "{at}");
    over.send(())?;
    joined(reader)?;
    Ok(())
}

#[test]
fn a_file_that_shrinks_ends_where_it_ends_now() -> Result<()> {
    let (site, content) = site()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let send = "send-file s /site/file 0 all";
    let guest = client(port, site.path(), &["timeout s 60000", send]).start()?;
    let mut peer = idle_peer(&listener)?;
    let mut first = vec![0; 1000];
    peer.read_exact(&mut first)?;
    // It waits for room now, or will; and the file ends in what it has sent already, or a little later.
    let file = OpenOptions::new()
        .write(true)
        .open(site.path().join("file"))?;
    file.set_len(1000)?;
    let rest = all(&peer)?;
    let ended = guest.wait(patience())?.success()?;
    let (said, at) = stopped(&ended, send)?;
    assert_eq!(said, format!("ok {at}"));
    assert_eq!(rest.len() + 1000, at);
    ensure!((1000..SIZE).contains(&at), "{at}");
    assert_eq!(first, content[..1000]);
    Ok(())
}

#[test]
fn what_is_no_file_or_no_stream_is_refused() -> Result<()> {
    let (site, _) = site()?;
    fs::create_dir(site.path().join("folder"))?;
    symlink("/etc/hostname", site.path().join("way-out"))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let peer = collected(listener);
    let udp = format!("connect u 127.0.0.1:{port}");
    let ended = client(
        port,
        site.path(),
        &[
            "send-file s /site/missing 0 all",
            "send-file s /site/way-out 0 all",
            "send-file s /site/../etc/hostname 0 all",
            "send-file s /elsewhere/file 0 all",
            "send-file s /site/folder 0 all",
            "send-file-piece s /site/file 18446744073709551615 1",
            "u = socket inet datagram",
            &udp,
            "send-file u /site/file 0 10",
            "p = pair seqpacket",
            "send-file p /site/file 0 10",
            "n = socket inet stream",
            "send-file n /site/file 0 10",
            "close s",
        ],
    )
    .allow(&format!("udp connect 127.0.0.1:{port}"))
    .allow("unix-seqpacket socketpair")
    .finish(patience())?
    .success()?;
    assert_eq!(ended.step("send-file s /site/missing 0 all")?, "noent");
    assert_eq!(ended.step("send-file s /site/way-out 0 all")?, "perm");
    assert_eq!(
        ended.step("send-file s /site/../etc/hostname 0 all")?,
        "perm"
    );
    assert_eq!(ended.step("send-file s /elsewhere/file 0 all")?, "noent");
    assert_eq!(ended.step("send-file s /site/folder 0 all")?, "isdir at 0");
    let beyond = "send-file-piece s /site/file 18446744073709551615 1";
    assert_eq!(ended.step(beyond)?, "inval");
    assert_eq!(ended.step("send-file u /site/file 0 10")?, "inval at 0");
    assert_eq!(ended.step("send-file p /site/file 0 10")?, "inval at 0");
    assert_eq!(ended.step("send-file n /site/file 0 10")?, "pipe at 0");
    assert_eq!(joined(peer)?, b"");
    Ok(())
}

/// It is the peer that a file goes to, so it needs what sending needs: nothing goes once that is taken away.
#[test]
fn a_file_goes_where_data_may_go() -> Result<()> {
    let name = "a_file_goes_where_data_may_go";
    let (site, content) = site()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let place = |port: u16| {
        format!(
            "version = 1\n[[allow]]\nid = \"web\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"listen\"]\n\
             local = {{ cidr = [\"127.0.0.1\"] }}\npeer = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\n"
        )
    };
    // A connection that somebody else accepted, handed over by the operator: a deny rule alone stops it.
    let denies = "[[deny]]\nid = \"nobody\"\ncidr = [\"127.0.0.0/8\"]\n";
    for (more, outcome) in [("", "ok 10 at 10"), (denies, "acces at 0")] {
        let connected = format!("s=tcp:{address}");
        let send = "send-file s /site/file 0 10";
        let mut run = steps(["s = granted s", send])
            .policy_text(&format!("{}{more}", place(1)))
            .option("--socket")
            .option(connected)
            .directory(site.path(), "/site");
        if let Some(strace) = oracle(Tool::Strace, name) {
            run = run.strace(&strace);
        }
        let guest = run.start()?;
        let (peer, _) = listener.accept()?;
        let ended = guest.wait(patience())?.success()?;
        assert_eq!(ended.step(send)?, outcome);
        match more {
            "" => assert_eq!(all(peer)?, content[..10]),
            _ => {
                assert_eq!(all(peer)?, b"");
                ended.audit.denied("send-file")?;
                if ended.syscalls.is_some() {
                    ensure!(ended.made("sendfile")?.is_empty());
                }
            }
        }
    }
    Ok(())
}

/// The peer ends in the middle: an error, and no signal.
#[test]
fn a_vanished_peer_is_an_error() -> Result<()> {
    let (site, _) = site()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let send = "send-file s /site/file 0 all";
    let guest = client(port, site.path(), &[send, "say still-here"]).start()?;
    let mut peer = idle_peer(&listener)?;
    peer.write_all(b"unread, so that the end is a reset")?;
    peer.read_exact(&mut [0; 1000])?;
    drop(peer);
    let ended = guest.wait(patience())?.success()?;
    let (said, at) = stopped(&ended, send)?;
    ensure!(matches!(&*said, "connreset" | "pipe"), "{said}");
    ensure!(at < SIZE);
    assert_eq!(ended.step("say still-here")?, "ok");
    Ok(())
}
