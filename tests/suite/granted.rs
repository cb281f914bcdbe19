//! Sockets that the operator hands to a guest by `--socket`: each form, what they carry without a rule and what they
//! do not, and what becomes of the files that are made for them.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Attack, Ended, GuestRun, covers, folder, free_port, patience, steps, watched,
};

/// A guest with these sockets and without any rule.
fn granted<S: AsRef<str>>(sockets: &[String], taken: impl IntoIterator<Item = S>) -> GuestRun {
    let run = steps(taken);
    sockets
        .iter()
        .fold(run, |run, socket| run.option("--socket").option(socket))
}

fn all(mut stream: impl Read) -> Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A client's side of what every granted listener serves.
fn served(mut stream: impl Read + Write) -> Result<()> {
    stream.write_all(b"hello")?;
    assert_eq!(all(&mut stream)?, "welcome");
    Ok(())
}

const SERVE: [&str; 5] = [
    "g = granted web",
    "c = accept g",
    "recv c 5",
    "send c welcome",
    "shutdown c",
];

fn did_serve(ended: &Ended) -> Result<()> {
    assert_eq!(ended.step("g = granted web")?, "ok");
    assert_eq!(ended.step("recv c 5")?, "\"hello\"");
    assert_eq!(ended.step("send c welcome")?, "ok 7");
    assert_eq!(ended.step("shutdown c")?, "ok");
    Ok(())
}

#[test]
fn a_tcp_listener_accepts_sends_receives_and_shuts_down_without_a_rule() -> Result<()> {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        if host == "[::1]" && !sockgate_tests::has_ipv6() {
            continue;
        }
        let address = format!("{host}:{}", free_port()?);
        let guest = granted(&[format!("web=tcp-listen:{address}")], SERVE).start()?;
        guest.wait_for_line("g = granted web -> ok", patience())?;
        served(TcpStream::connect(&address)?)?;
        let ended = guest.wait(patience())?.success()?;
        did_serve(&ended)?;
        ended.audit.granted("accept")?;
    }
    covers(&["fromfd", "accept", "shutdown"]);
    Ok(())
}

#[test]
fn a_unix_listener_serves_at_its_path_which_goes_with_the_guest() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("web.sock");
    let guest = granted(&[format!("web=unix-listen:{}", path.display())], SERVE).start()?;
    guest.wait_for_line("g = granted web -> ok", patience())?;
    served(UnixStream::connect(&path)?)?;
    did_serve(&guest.wait(patience())?.success()?)?;
    ensure!(!path.exists(), "the file stayed");

    // An abstract name, which no file has.
    let name = format!("sockgate-{}", std::process::id());
    let guest = granted(&[format!("web=unix-listen:@{name}")], SERVE).start()?;
    guest.wait_for_line("g = granted web -> ok", patience())?;
    let address = SocketAddr::from_abstract_name(&name)?;
    served(UnixStream::connect_addr(&address)?)?;
    did_serve(&guest.wait(patience())?.success()?)
}

#[test]
fn bound_datagram_sockets_receive_and_answer_without_a_rule() -> Result<()> {
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.set_read_timeout(Some(patience()))?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let answer = format!("send-to g welcome {}", client.local_addr()?);
    let elsewhere = UdpSocket::bind("127.0.0.1:0")?;
    let astray = format!("send-to g astray {}", elsewhere.local_addr()?);
    let taken = ["g = granted web", "recv-from g 100", &answer, &astray];
    let guest = granted(&[format!("web=udp:{address}")], taken).start()?;
    guest.wait_for_line("g = granted web -> ok", patience())?;
    client.send_to(b"hello", &address)?;
    let mut buffer = [0; 100];
    assert_eq!(client.recv(&mut buffer)?, 7);
    let ended = guest.wait(patience())?.success()?;
    let from = format!("\"hello\" from {}", client.local_addr()?);
    assert_eq!(ended.step("recv-from g 100")?, from);
    // To whom it did not hear it sends by a rule alone.
    assert_eq!(ended.step(&astray)?, "acces");
    ended.audit.denied("send-to")?;

    let place = folder()?;
    let (web, own) = (place.path().join("web"), place.path().join("own"));
    let client = UnixDatagram::bind(&own)?;
    client.set_read_timeout(Some(patience()))?;
    let answer = format!("send-to g welcome path:{}", own.display());
    let taken = ["g = granted web", "recv-from g 100", &answer];
    let socket = format!("web=unix-datagram:{}", web.display());
    let guest = granted(&[socket], taken).start()?;
    guest.wait_for_line("g = granted web -> ok", patience())?;
    client.send_to(b"hello", &web)?;
    assert_eq!(client.recv(&mut buffer)?, 7);
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step(&answer)?, "ok 7", "{:?}", ended.audit);
    ensure!(!web.exists(), "the file stayed");
    covers(&["fromfd", "recvfrom", "sendto"]);
    Ok(())
}

#[test]
fn connected_sockets_send_and_receive_without_a_rule() -> Result<()> {
    let place = folder()?;
    let talk = [
        "g = granted log",
        "recv g 5",
        "send g welcome",
        "shutdown g",
    ];
    let spoke = |ended: Ended| -> Result<()> {
        assert_eq!(ended.step("recv g 5")?, "\"hello\"");
        assert_eq!(ended.step("send g welcome")?, "ok 7");
        Ok(())
    };
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let guest = granted(
        &[format!("log=tcp:localhost:{}", tcp.local_addr()?.port())],
        talk,
    )
    .start()?;
    served(tcp.accept()?.0)?;
    spoke(guest.wait(patience())?.success()?)?;

    let path = place.path().join("log.sock");
    let unix = UnixListener::bind(&path)?;
    let guest = granted(&[format!("log=unix:{}", path.display())], talk).start()?;
    served(unix.accept()?.0)?;
    spoke(guest.wait(patience())?.success()?)?;
    ensure!(path.exists(), "the server's file went with the guest");

    // Datagrams have no end that a peer sees.
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    udp.set_read_timeout(Some(patience()))?;
    let socket = format!("log=udp-connect:{}", udp.local_addr()?);
    let guest = granted(
        &[socket],
        ["g = granted log", "send g a-line", "recv g 100"],
    )
    .start()?;
    let mut buffer = [0; 100];
    let (length, from) = udp.recv_from(&mut buffer)?;
    assert_eq!(&buffer[..length], b"a-line");
    udp.send_to(b"read", from)?;
    assert_eq!(
        guest.wait(patience())?.success()?.step("recv g 100")?,
        "\"read\""
    );

    let path = place.path().join("log.dgram");
    let unix = UnixDatagram::bind(&path)?;
    let socket = format!("log=unix-datagram-connect:{}", path.display());
    let ended = granted(&[socket], ["g = granted log", "send g a-line"]).finish(patience())?;
    assert_eq!(ended.success()?.step("send g a-line")?, "ok 6");
    assert_eq!(unix.recv(&mut buffer)?, 6);
    covers(&["fromfd"]);
    Ok(())
}

#[test]
fn what_a_granted_socket_does_not_carry_is_refused() -> Result<()> {
    let other = TcpListener::bind("127.0.0.1:0")?;
    let own = TcpListener::bind("127.0.0.1:0")?;
    let connect = format!("connect g {}", other.local_addr()?);
    let bind = format!("bind g 127.0.0.1:{}", free_port()?);
    let new = format!("connect n {}", other.local_addr()?);
    let broadcast = "typed g broadcast 1";
    let socket = format!("web=udp-connect:{}", own.local_addr()?);
    let taken = [
        "g = granted web",
        &connect,
        &bind,
        broadcast,
        "n = socket inet stream",
        &new,
        "again = granted web",
        "other = granted nobody",
    ];
    let name = "what_a_granted_socket_does_not_carry_is_refused";
    let ended = watched(granted(std::slice::from_ref(&socket), taken), name)?;
    for step in [&*connect, &bind, "n = socket inet stream"] {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    for operation in ["connect", "bind", "socket"] {
        ended.audit.denied(operation)?;
    }
    // It is taken once, and nothing else has that name.
    assert_eq!(ended.step("again = granted web")?, "noent");
    assert_eq!(ended.step("other = granted nobody")?, "noent");

    // The twin: a rule grants the connect.
    let twin = granted(&[socket], taken)
        .allow(&format!(
            "udp connect {} set=so.broadcast",
            other.local_addr()?
        ))
        .allow("udp bind 127.0.0.1:* set=so.broadcast")
        .allow("tcp connect 127.0.0.1:*");
    let twin = watched(twin, name)?;
    assert_eq!(twin.step(&connect)?, "ok", "{:?}", twin.audit);
    for (id, step, call) in [
        ("connect", &*connect, "connect"),
        ("bind", &bind, "bind"),
        ("option", broadcast, "setsockopt"),
        ("another", taken[4], "socket"),
    ] {
        Attack::new(
            format!("granted-{id}"),
            "Beyond",
            "a granted socket used for more than it carries",
        )
        .tried(format!("`{step}`, with a granted socket and no rule"))
        .step((&ended, step), (&twin, step), &[call])?
        .state()?;
    }
    Ok(())
}

#[test]
fn deny_rules_and_limits_hold_on_granted_sockets() -> Result<()> {
    // The clients are there before the guest accepts, or is refused and ends.
    let serve = [
        "g = granted web",
        "timeout g 500",
        "gate = granted gate",
        "recv gate 1",
        "c = accept g",
        "d = accept g",
    ];
    let run = |policy: &str| -> Result<(Ended, Vec<String>)> {
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let gate = format!("sockgate-gate-{port}");
        let sockets = [
            format!("web=tcp-listen:{address}"),
            format!("gate=unix-datagram:@{gate}"),
        ];
        let guest = granted(&sockets, serve)
            .policy_text(&format!("version = 1\n{policy}"))
            .start()?;
        guest.wait_for_line("gate = granted gate -> ok", patience())?;
        let clients = [TcpStream::connect(&address)?, TcpStream::connect(&address)?];
        let gate = SocketAddr::from_abstract_name(&gate)?;
        UnixDatagram::unbound()?.send_to_addr(b"!", &gate)?;
        let ended = guest.wait(patience())?.success()?;
        let ends = clients.map(|client| match all(client) {
            Ok(text) => text,
            Err(_) => "reset".to_owned(),
        });
        Ok((ended, ends.to_vec()))
    };
    let (ended, ends) = run("")?;
    ensure!(
        ended.step("c = accept g")?.starts_with("ok "),
        "{}",
        ended.stdout
    );
    ensure!(
        ended.step("d = accept g")?.starts_with("ok "),
        "{}",
        ended.stdout
    );
    assert_eq!(ends, ["", ""]);

    // The place where it listens is denied, and then the place where its clients are.
    let (ended, ends) = run("[[deny]]\nid = \"nobody\"\ncidr = [\"127.0.0.1\"]")?;
    assert_eq!(ended.step("c = accept g")?, "acces");
    assert_eq!(ends, ["reset", "reset"]);
    ended.audit.denied("accept")?;
    let peers = "ops = [\"listen\"]\nlocal = \"*\"\npeer = { cidr = [\"127.0.0.1\"] }";
    let (ended, ends) = run(&format!("[[deny]]\nid = \"nobody\"\n{peers}"))?;
    assert_eq!(ended.step("c = accept g")?, "timedout");
    assert_eq!(ends, ["reset", "reset"]);
    assert_eq!(
        ended
            .audit
            .of("accept")
            .filter(|record| record.is_denied())
            .count(),
        2
    );

    let (ended, _) = run("[limits]\nsockets = 3")?;
    ensure!(
        ended.step("c = accept g")?.starts_with("ok "),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.step("d = accept g")?, "mfile");
    Ok(())
}

/// A connection that a deny rule forbids is refused each time, and was never anything that a reload could keep.
#[test]
fn a_denied_connection_is_refused_each_time() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("there.sock");
    let _listener = UnixListener::bind(&path)?;
    let socket = format!("web=unix:{}", path.display());
    let taken = ["g = granted web", "send g one", "send g three"];
    let run = |policy: &str| {
        let run = granted(std::slice::from_ref(&socket), taken);
        let run = run.policy_text(&format!("version = 1\n{policy}"));
        run.finish(patience())?.success()
    };
    for on_reload in ["close", "keep"] {
        let ended = run(&format!(
            "on-reload = \"{on_reload}\"\n[[deny]]\nid = \"nobody\"\nfamily = [\"unix\"]\n"
        ))?;
        assert_eq!(ended.step("send g one")?, "acces");
        assert_eq!(ended.step("send g three")?, "acces");
        ended.audit.denied("send")?;
    }
    let twin = run("")?;
    assert_eq!(twin.step("send g one")?, "ok 3");
    assert_eq!(twin.step("send g three")?, "ok 5");
    Ok(())
}

#[test]
fn sockets_of_one_name_are_taken_in_their_order() -> Result<()> {
    let ports = [free_port()?, free_port()?, free_port()?];
    let sockets = ports.map(|port| format!("web=udp:127.0.0.1:{port}"));
    let taken = ["a", "b", "c", "d"].map(|name| format!("{name} = granted web"));
    let locals = ["local a", "local b", "local c"].map(str::to_owned);
    let ended = granted(&sockets, taken.iter().chain(&locals))
        .finish(patience())?
        .success()?;
    for (local, port) in locals.iter().zip(ports) {
        assert_eq!(ended.step(local)?, format!("ok 127.0.0.1:{port}"));
    }
    assert_eq!(ended.step("d = granted web")?, "noent");
    Ok(())
}

/// A file that a dead server left is replaced, a living server's stays, and so does what is no socket.
#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() -> Result<()> {
    for form in ["unix-listen", "unix-datagram"] {
        let place = folder()?;
        let path = place.path().join("web.sock");
        let socket = format!("web={form}:{}", path.display());
        let take = || {
            granted(
                std::slice::from_ref(&socket),
                ["g = granted web", "local g"],
            )
            .finish(patience())
        };
        match form {
            "unix-listen" => drop(UnixListener::bind(&path)?),
            _ => drop(UnixDatagram::bind(&path)?),
        }
        let ended = take()?.success()?;
        assert_eq!(ended.step("local g")?, format!("ok {}", path.display()));
        ensure!(!path.exists());

        let alive: Box<dyn std::any::Any> = match form {
            "unix-listen" => Box::new(UnixListener::bind(&path)?),
            _ => Box::new(UnixDatagram::bind(&path)?),
        };
        fails(&take()?, "another program serves this path")?;
        drop(alive);
        fs::remove_file(&path)?;

        fs::write(&path, "a file")?;
        fails(&take()?, "a file that is no socket is there")?;
        assert_eq!(fs::read_to_string(&path)?, "a file");
    }
    Ok(())
}

/// What somebody else put at the path meanwhile stays there.
#[test]
fn only_what_was_made_is_unlinked() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("web.sock");
    let go = place.path().join("go");
    let taken = ["g = granted web", "until /steps/go"];
    let guest = granted(&[format!("web=unix-listen:{}", path.display())], taken)
        .directory(place.path(), "/steps")
        .start()?;
    guest.wait_for_line("g = granted web -> ok", patience())?;
    fs::remove_file(&path)?;
    let other = UnixListener::bind(&path)?;
    let inode = fs::symlink_metadata(&path)?.ino();
    fs::write(go, "")?;
    guest.wait(patience())?.success()?;
    assert_eq!(fs::symlink_metadata(&path)?.ino(), inode);
    drop(other);
    Ok(())
}

/// A signal ends the guest, and its files go all the same, also where the guest does not wait for anything.
#[test]
fn a_signal_leaves_no_file() -> Result<()> {
    for taken in [
        ["g = granted web", "c = accept g"],
        ["g = granted web", "sleep 100000"],
    ] {
        let place = folder()?;
        let path = place.path().join("web.sock");
        let guest = granted(&[format!("web=unix-listen:{}", path.display())], taken).start()?;
        guest.wait_for_line("g = granted web -> ok", patience())?;
        ensure!(path.exists());
        let kill = std::process::Command::new("kill")
            .arg(guest.pid().to_string())
            .status()?;
        ensure!(kill.success());
        assert_eq!(guest.wait(patience())?.status.code(), Some(130));
        ensure!(!path.exists(), "{taken:?}");
    }
    Ok(())
}

fn fails(ended: &Ended, told: &str) -> Result<()> {
    ensure!(ended.status.code() == Some(2), "{ended:?}");
    ensure!(
        ended.stderr.contains(told),
        "no `{told}` in: {}",
        ended.stderr
    );
    ensure!(
        ended.stderr.contains("--socket web="),
        "no place in: {}",
        ended.stderr
    );
    Ok(())
}

/// Each error names the option as it was written, and what to do about it.
#[test]
fn every_error_names_the_place_and_the_mend() -> Result<()> {
    let place = folder()?;
    let nothing = place.path().join("nothing.sock");
    let nowhere = place.path().join("nowhere/web.sock");
    let stale = place.path().join("stale.sock");
    drop(UnixListener::bind(&stale)?);
    let busy = TcpListener::bind("127.0.0.1:0")?;
    let port = free_port()?;
    let path = |form: &str, path: &Path| format!("{form}:{}", path.display());
    for (socket, told) in [
        ("tcp-listen".to_owned(), "no address with a port"),
        ("tcp-listen:127.0.0.1".to_owned(), "no address with a port"),
        (
            "tcp-listen:127.0.0.1:notaport".to_owned(),
            "no address with a port",
        ),
        (
            format!("tcp-listen:{}", busy.local_addr()?),
            "another program has this address",
        ),
        (
            "tcp-listen:192.0.2.1:80".to_owned(),
            "this machine has no such address",
        ),
        (format!("tcp:127.0.0.1:{port}"), "start the server first"),
        (path("unix", &nothing), "nothing is at this path"),
        (path("unix-listen", &nowhere), "nothing is at this path"),
        (path("unix", &stale), "start the server first"),
        ("unix-listen:".to_owned(), "write a path"),
        ("unix:@".to_owned(), "write a path"),
        (
            format!("unix-listen:/{}", "x".repeat(200)),
            "path must be shorter",
        ),
        ("vsock-listen:3".to_owned(), "write vsock-listen:CID:PORT"),
        (
            "vsock-listen:here:80".to_owned(),
            "write vsock-listen:CID:PORT",
        ),
        ("fd:3".to_owned(), "descriptor 3 was not handed over"),
        ("fd:three".to_owned(), "`three` is no descriptor's number"),
        (
            "pipe:7".to_owned(),
            "`pipe` is no kind of socket: write tcp-listen:ADDRESS:PORT",
        ),
    ] {
        let ended = granted(&[format!("web={socket}")], ["say nothing"]).finish(patience())?;
        fails(&ended, told).with_context(|| socket.clone())?;
        ensure!(ended.stdout.is_empty(), "{socket}: the guest ran");
    }
    Ok(())
}

/// The help lists every form.
#[test]
fn the_help_lists_every_form() -> Result<()> {
    let help = std::process::Command::new(sockgate_tests::command_path()?)
        .args(["run", "--help"])
        .output()?;
    let help = String::from_utf8(help.stdout)?;
    for form in [
        "tcp-listen:",
        "udp:",
        "unix-listen:",
        "unix-datagram:",
        "vsock-listen:",
        "tcp:",
        "udp-connect:",
        "unix:",
        "unix-datagram-connect:",
        "fd:",
        "LISTEN_FDS",
    ] {
        ensure!(help.contains(form), "no `{form}` in:\n{help}");
    }
    Ok(())
}

/// One end of a connection that the operator made stays usable after the guest let go of one half.
#[test]
fn a_shut_down_half_leaves_the_other() -> Result<()> {
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let socket = format!("log=tcp:{}", tcp.local_addr()?);
    let guest = granted(&[socket], ["g = granted log", "recv g 100", "send g bye"]).start()?;
    let (mut peer, _) = tcp.accept()?;
    peer.shutdown(Shutdown::Write)?;
    let mut word = String::new();
    peer.read_to_string(&mut word)?;
    assert_eq!(word, "bye");
    assert_eq!(
        guest.wait(patience())?.success()?.step("recv g 100")?,
        "\"\""
    );
    Ok(())
}
