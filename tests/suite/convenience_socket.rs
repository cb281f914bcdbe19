//! The methods of the socket object beside Python's: kinds, time-outs, handles, halves, vanished peers, and signals
//! that do not show.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, Guest, GuestRun, Native, PythonServer, Tool, agree, covers, folder, free_port, oracle,
    patience, told,
};

const WAITS: [&str; 2] = ["park", "ready"];

fn guest<W: AsRef<str>>(words: &[W], rules: &[&str]) -> GuestRun {
    let run = GuestRun::new("convenience_socket");
    let run = rules.iter().fold(run, |run, rule| run.allow(rule));
    let words = words.iter().map(AsRef::as_ref);
    words.fold(run, |run, word| run.argument(word))
}

fn lines(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().collect()
}

fn python(python: &Path, words: &[&str]) -> Result<Vec<String>> {
    Native::python(python, "convenience.py", words)?.finish(patience())
}

#[test]
fn kinds_by_number_are_python_s() -> Result<()> {
    let name = "kinds_by_number_are_python_s";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    const NONBLOCK: u32 = 0o4000;
    const CLOEXEC: u32 = 0o2_000_000;
    let mut kinds: Vec<String> = [
        "2/1/0", "2/1/6", "2/2/0", "2/2/17", "1/1/0", "1/2/0", "1/5/0",
    ]
    .map(str::to_owned)
    .into();
    for flags in [NONBLOCK, CLOEXEC, NONBLOCK | CLOEXEC] {
        kinds.push(format!("2/{}/0", 1 | flags));
        kinds.push(format!("1/{}/0", 2 | flags));
    }
    let words: Vec<&str> = ["kinds"]
        .into_iter()
        .chain(kinds.iter().map(String::as_str))
        .collect();
    let rules = [
        "tcp connect 127.0.0.1",
        "udp connect 127.0.0.1",
        "unix-stream connect /nowhere",
        "unix-datagram connect /nowhere",
        "unix-seqpacket connect /nowhere",
    ];
    let ended = guest(&words, &rules).finish(patience())?.success()?;
    let native = python(&oracle, &words)?;
    assert_eq!(lines(&ended), native);
    assert_eq!(native.len(), kinds.len());

    // What is no number of a family, type or protocol at all, and what nobody granted.
    let ended = guest(
        &[
            "kinds", "-1/1/0", "2/-1/0", "2/1/-1", "77/1/0", "2/77/0", "2/1/9999", "10/3/58",
        ],
        &rules,
    );
    let ended = ended.finish(patience())?.success()?;
    let failed = [
        "-1/1/0 afnosupport",
        "2/-1/0 inval",
        "2/1/-1 protonosupport",
        "77/1/0 acces",
        "2/77/0 acces",
        "2/1/9999 acces",
        "10/3/58 acces",
    ];
    assert_eq!(told(&lines(&ended), "failed"), failed);
    covers(&[
        "family",
        "type",
        "proto",
        "SOCK_STREAM",
        "SOCK_DGRAM",
        "SOCK_SEQPACKET",
        "SOCK_NONBLOCK",
        "SOCK_CLOEXEC",
        "AddressFamily",
        "SocketKind",
        "socket",
        "SocketType",
    ]);
    Ok(())
}

#[test]
fn time_outs_are_python_s() -> Result<()> {
    let name = "time_outs_are_python_s";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let words = [
        "time-outs",
        "None",
        "0",
        "0.0",
        "0.5",
        "True",
        "False",
        "3",
        "-1",
        "-0.001",
        "1e-9",
        "1e9",
        "7",
        "False",
        "True",
        "2.25",
        "None",
    ];
    let ended = guest(&words, &["unix-stream socketpair"]);
    let ended = ended.finish(patience())?.success()?;
    let native = python(&oracle, &words)?;
    assert_eq!(lines(&ended), native);
    assert_eq!(native.len(), words.len() - 1);
    covers(&["settimeout", "gettimeout", "setblocking", "getblocking"]);
    Ok(())
}

#[test]
fn default_time_outs_are_python_s() -> Result<()> {
    let name = "default_time_outs_are_python_s";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let own = format!("127.0.0.1:{}", free_port()?);
    let rules = [
        &format!("tcp listen {own}"),
        &format!("tcp connect {own}"),
        "unix-stream socketpair",
    ];
    let ended = guest(&["defaults", &own], &rules)
        .finish(patience())?
        .success()?;
    let native = python(&oracle, &["defaults"])?;
    assert_eq!(lines(&ended), native);
    assert_eq!(told(&native, "accepted"), ["None", "2.500000000"]);
    covers(&["getdefaulttimeout", "setdefaulttimeout"]);
    Ok(())
}

#[test]
fn a_wait_ends_when_its_time_is_over() -> Result<()> {
    let name = "a_wait_ends_when_its_time_is_over";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&oracle, &["127.0.0.1"])?;
    for wait in WAITS {
        let own = format!("127.0.0.1:{}", free_port()?);
        let rules = [
            format!("tcp listen {own}"),
            format!("tcp connect {}", server.v4()),
            format!("tcp connect {}", server.hole()?),
        ];
        let rules = rules.each_ref().map(String::as_str);
        let words = ["waits", &own, &server.v4(), server.hole()?];
        let ended = guest(&words, &rules).wait_kind(wait);
        let ended = ended.finish(patience())?.success()?;
        let expected = [
            "wait 0",
            "accept again Some(WouldBlock) early false",
            "recv again Some(WouldBlock) early false",
            "connect inprogress Some(Other) early false",
            "wait 60",
            "accept timedout Some(TimedOut) early false",
            "recv timedout Some(TimedOut) early false",
            "connect timedout Some(TimedOut) early false",
            "heard still here",
        ];
        assert_eq!(lines(&ended), expected, "{wait}");
    }
    covers(&["timeout", "EAGAIN", "EWOULDBLOCK", "error"]);
    Ok(())
}

#[test]
fn the_time_out_of_send_all_is_for_the_whole() -> Result<()> {
    let name = "the_time_out_of_send_all_is_for_the_whole";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&oracle, &[])?;
    // The other side takes less than a mebibyte a second, so that each send gets on within the time-out,
    // and all of them would take a minute and more.
    let rule = format!("tcp connect {}", server.v4());
    let words = ["send-all", &server.v4(), "67108864", "700"];
    let ended = guest(&words, &[&rule]).finish(patience())?.success()?;
    let said = lines(&ended);
    assert_eq!(told(&said, "send-all"), ["timedout"]);
    let elapsed: u64 = told(&said, "elapsed")[0].parse()?;
    ensure!((700..20_000).contains(&elapsed), "{elapsed} ms");
    assert_eq!(told(&said, "time-out"), ["true"]);
    assert_eq!(told(&said, "endless"), ["ok"]);
    covers(&["sendall"]);
    Ok(())
}

#[test]
fn a_connection_lives_as_long_as_a_handle_on_it() -> Result<()> {
    let name = "a_connection_lives_as_long_as_a_handle_on_it";
    let (Some(oracle), Some(ss)) = (oracle(Tool::Python, name), oracle(Tool::Ss, name)) else {
        return Ok(());
    };
    let server = PythonServer::start(&oracle, &[])?;
    let rule = format!("tcp connect {}", server.v4());
    let guest = guest(&["life", &server.v4()], &[&rule]).start()?;
    guest.wait_for_line("detached", patience())?;
    server.native.wait_for_line("waits life", patience())?;
    // Nothing of the guest's can use it any more, and it is open.
    let local = guest.wait_for_line("local ", patience())?;
    let filter = format!("src {local}");
    let listed = Command::new(ss)
        .args(["-Htn", "state", "established", &filter])
        .output()?;
    assert_eq!(
        listed.stdout.iter().filter(|byte| **byte == b'\n').count(),
        1
    );
    ensure!(told(&server.native.stdout.lines(), "ended").is_empty());
    server.release("life")?;
    let heard = server.native.wait_for_line("ended after ", patience())?;
    assert_eq!(heard, "one two");
    server.release("dropped")?;
    let ended = guest.wait(patience())?.success()?;
    let said = lines(&ended);
    let expected = [
        "fileno stays true",
        "fileno differs true",
        "inheritable false",
        "not inheritable ok",
        "made inheritable opnotsupp",
        "close badf",
        "send badf",
        "recv badf",
        "getsockname badf",
        "get inheritable badf",
        "set inheritable badf",
        "fileno None",
        "detached",
        "heard now",
        "dropped",
        "heard now",
    ];
    assert_eq!(said[1..], expected);
    covers(&[
        "close",
        "dup",
        "detach",
        "fileno",
        "get_inheritable",
        "set_inheritable",
        "EBADF",
    ]);
    Ok(())
}

#[test]
fn connect_ex_tells_the_error_number() -> Result<()> {
    let name = "connect_ex_tells_the_error_number";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&oracle, &["127.0.0.1"])?;
    let closed = format!("127.0.0.1:{}", free_port()?);
    let named = format!("localhost:{}", server.port);
    let rules = [
        format!("tcp connect {}", server.v4()),
        format!("tcp connect {closed}"),
        format!("tcp connect {}", server.hole()?),
        format!("tcp resolve,connect {named} host-may-be=loopback"),
    ];
    let rules = rules.each_ref().map(String::as_str);
    let words = ["connect-ex", &server.v4(), &closed, server.hole()?, &named];
    let ended = guest(&words, &rules).finish(patience())?.success()?;
    let expected = [
        "server ok".to_owned(),
        "again EISCONN".to_owned(),
        "closed ECONNREFUSED".to_owned(),
        "hole EINPROGRESS".to_owned(),
        "hole again EALREADY".to_owned(),
        "name ok".to_owned(),
        "no name raised acces".to_owned(),
        "denied EACCES".to_owned(),
        format!("under way true None {}", server.v4()),
    ];
    assert_eq!(lines(&ended), expected);
    ended.audit.denied("resolve")?;
    assert_eq!(ended.audit.denied("connect")?.address(), "127.0.0.99:1");
    covers(&["connect_ex", "connect"]);
    Ok(())
}

#[test]
fn each_half_of_a_connection_ends_by_itself() -> Result<()> {
    let name = "each_half_of_a_connection_ends_by_itself";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&oracle, &[])?;
    let rule = format!("tcp connect {}", server.v4());
    let guest = guest(&["halves", &server.v4()], &[&rule]).start()?;
    for after in ["mine", "all of it and more"] {
        let line = format!("ended after {after}");
        server.native.wait_for_line(&line, patience())?;
    }
    guest.wait_for_line("sent ", patience())?;
    server.release("both")?;
    server.native.wait_for_line("received ", patience())?;
    server.release("halves")?;
    let ended = guest.wait(patience())?.success()?;
    let expected = [
        // SHUT_WR: the server hears the end, and goes on talking.
        "send pipe",
        "heard after the end",
        // SHUT_RD: the end at once, and the server hears the rest.
        "recv 0",
        // SHUT_RDWR: both, and the server hears what came before.
        "recv 0",
        "send pipe",
        "peer ok",
    ];
    let said = lines(&ended);
    assert_eq!(said[..6], expected);
    agree(&said[6..], &server.native.stdout.lines())?;
    covers(&["shutdown", "SHUT_WR", "SHUT_RD", "SHUT_RDWR"]);
    Ok(())
}

#[test]
fn a_vanished_peer_is_an_end_or_an_error_and_no_signal() -> Result<()> {
    let name = "a_vanished_peer_is_an_end_or_an_error_and_no_signal";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&oracle, &[])?;
    let rule = format!("tcp connect {}", server.v4());
    for wait in WAITS {
        let run = guest(&["vanished", &server.v4()], &[&rule]).wait_kind(wait);
        let ended = run.finish(patience())?.success()?;
        let said = lines(&ended);
        let expected = [
            "recv after close 0",
            said[1],
            "recv after reset connreset",
            "send after reset pipe",
            "write after reset pipe",
            "alive",
        ];
        assert_eq!(said, expected, "{wait}");
        let after = told(&said, "send after close");
        ensure!(after == ["pipe"] || after == ["connreset"], "{after:?}");
    }
    Ok(())
}

#[test]
fn plain_sends_and_receives_carry_every_byte() -> Result<()> {
    let name = "plain_sends_and_receives_carry_every_byte";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&oracle, &[])?;
    for wait in WAITS {
        let own = format!("127.0.0.3:{}", free_port()?);
        let rules = [
            format!("tcp connect {}", server.v4()),
            format!("tcp bind {own}"),
            format!("udp connect,send-to {}", server.v4()),
            format!("udp bind,receive {own} peer {}", server.v4()),
        ];
        let rules = rules.each_ref().map(String::as_str);
        let run = guest(&["data", &server.v4(), &own], &rules).wait_kind(wait);
        let ended = run.finish(patience())?.success()?;
        let said = lines(&ended);
        let moved = [said[2], said[3]].map(str::to_owned);
        agree(&moved[..1], &moved[1..])?;
        let expected = [
            format!("stream local {own}"),
            format!("stream peer {}", server.v4()),
            moved[0].clone(),
            moved[1].clone(),
            "sent 12".to_owned(),
            "recv twelve recv_into 6 .. bytes..".to_owned(),
            "datagram peer notconn".to_owned(),
            "sendto 5".to_owned(),
            format!("recvfrom HELLO {}", server.v4()),
            "recvfrom_into 4 A LO".to_owned(),
            "recv NEXT".to_owned(),
            "recv CONNECTED".to_owned(),
            "protocol true".to_owned(),
        ];
        assert_eq!(said, expected, "{wait}");
    }
    covers(&[
        "bind",
        "connect",
        "send",
        "sendall",
        "recv",
        "recv_into",
        "sendto",
        "recvfrom",
        "recvfrom_into",
        "getsockname",
        "getpeername",
    ]);
    Ok(())
}

/// A guest that waits in this call, until the server releases `name` where that is what it waits for.
fn blocked(
    server: &PythonServer,
    call: &str,
    name: &str,
    run: GuestRun,
) -> Result<(Guest, String)> {
    let there = match call {
        "accept" => format!("127.0.0.1:{}", free_port()?),
        "connect" => server.hole()?.to_owned(),
        _ => server.v4(),
    };
    let operation = if call == "accept" {
        "listen"
    } else {
        "connect"
    };
    let run = run
        .allow(&format!("tcp {operation} {there}"))
        .argument("blocked")
        .argument(call)
        .argument(&there)
        .argument(name);
    let guest = run.start()?;
    guest.wait_for_line("blocked", patience())?;
    Ok((guest, there))
}

/// What the guest waits for, at last, and what it has to say then.
fn ends(server: &PythonServer, guest: Guest, call: &str, name: &str, there: &str) -> Result<Ended> {
    match call {
        "accept" => drop(TcpStream::connect(there)?),
        "connect" => {}
        _ => server.release(name)?,
    }
    let ended = guest.wait(patience())?.success()?;
    let said = lines(&ended);
    let expected: &[&str] = match call {
        "accept" => &["blocked", "accept ok"],
        "connect" => &["blocked", "connect timedout"],
        "recv" => &["blocked", "recv now"],
        "poll" => &["blocked", "poll ok", "recv now"],
        "poller" => &["blocked", "poller ok true", "recv now"],
        _ => &["blocked", "send ok", said[2]],
    };
    assert_eq!(said, expected);
    if call == "send" {
        let received = format!("received {}", told(&said, "sent").join(" "));
        server.native.wait_for_line(&received, patience())?;
    }
    Ok(ended)
}

const CALLS: [&str; 6] = ["recv", "accept", "connect", "send", "poll", "poller"];

/// Sends a signal to the process, or to each of its threads.
fn kill(signal: &str, pid: u32, threads: bool) -> Result<()> {
    let mut command = Command::new("kill");
    command.arg(signal).arg(pid.to_string());
    if threads {
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            command.arg(entry?.file_name());
        }
    }
    let status = command.status().context("cannot run kill")?;
    ensure!(status.success(), "kill ended with {status}");
    Ok(())
}

#[test]
fn a_storm_of_signals_does_not_show() -> Result<()> {
    let name = "a_storm_of_signals_does_not_show";
    let Some(oracle) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let server = PythonServer::start(&oracle, &["127.0.0.1"])?;
    for wait in WAITS {
        for call in CALLS {
            let run = GuestRun::new("convenience_socket").wait_kind(wait);
            let name = format!("{wait} {call}");
            let (guest, there) = blocked(&server, call, &name, run)?;
            // Stopping and going on ends epoll_wait(2) with EINTR, signal(7); the others are not heard.
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(150) {
                kill("-STOP", guest.pid(), false)?;
                kill("-CONT", guest.pid(), false)?;
                kill("-WINCH", guest.pid(), true)?;
                thread::yield_now();
            }
            ends(&server, guest, call, &name, &there).context(name)?;
        }
    }
    Ok(())
}

#[test]
fn an_interrupted_system_call_is_made_again() -> Result<()> {
    let name = "an_interrupted_system_call_is_made_again";
    let (Some(oracle), Some(strace)) = (oracle(Tool::Python, name), oracle(Tool::Strace, name))
    else {
        return Ok(());
    };
    // A strace that answers the first waits with EINTR, as a signal's handler would, and logs that.
    let place = folder()?;
    let injecting = place.path().join("strace");
    let script = format!(
        "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\nexec {} -f -D -e signal=none -e trace=ppoll,epoll_wait \
         -e inject=ppoll,epoll_wait:error=EINTR:when=1..20 \"$@\"\n",
        strace.display()
    );
    fs::write(&injecting, script)?;
    fs::set_permissions(&injecting, fs::Permissions::from_mode(0o755))?;
    let server = PythonServer::start(&oracle, &["127.0.0.1"])?;
    let mut interrupted = Vec::new();
    for call in CALLS {
        let run = GuestRun::new("convenience_socket").strace(&injecting);
        let (guest, there) = blocked(&server, call, call, run)?;
        let ended = ends(&server, guest, call, call, &there).context(call)?;
        let waits = ended.syscalls()?.of("ppoll");
        let count = waits.filter(|call| call.line.contains("EINTR")).count();
        interrupted.push((call, count));
    }
    // What some of them wait for may be there before they wait.
    let all: usize = interrupted.iter().map(|(_, count)| count).sum();
    ensure!(all >= 20, "{interrupted:?}");
    println!("interrupted: {interrupted:?}");
    Ok(())
}
