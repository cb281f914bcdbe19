//! Ways round a policy for Unix sockets: who stands behind a name, and what credentials tell.

use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{Attack, folder, hex, patience, steps, watched};

/// SO_PASSCRED makes the kernel give a client's socket a name of its own when it connects, as an IP client
/// gets a port: harmless, since nobody but the granted peer is heard on it.
#[test]
fn the_name_that_passcred_brings_lets_nobody_in() -> Result<()> {
    let place = folder()?;
    let path = place.path().join("service");
    let service = UnixDatagram::bind(&path)?;
    let connect = format!("connect s path:{}", path.display());
    let guest = steps([
        "s = socket unix datagram",
        "typed s pass-credentials 1",
        &connect,
        "local s",
        "until /steps/wrote",
        "poll s 100",
        "recv s 100 dont-wait",
        "say service",
        "timeout s 10000",
        "recv s 100",
    ])
    .allow(&format!(
        "unix-datagram connect {} set=so.passcred",
        path.display()
    ))
    .directory(place.path(), "/steps")
    .start()?;
    let name = guest.wait_for_line("local s -> ok @", patience())?;
    let own = SocketAddr::from_abstract_name(&name)?;
    let stranger = UnixDatagram::unbound()?;
    // The kernel itself takes nothing from others on a connected socket, unix(7).
    ensure!(stranger.send_to_addr(b"strange", &own).is_err());
    std::fs::write(place.path().join("wrote"), "")?;
    guest.wait_for_line("say service", patience())?;
    service.send_to_addr(b"known", &own)?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("poll s 100")?, "nothing");
    assert_eq!(ended.step("recv s 100 dont-wait")?, "again");
    assert_eq!(ended.step("recv s 100")?, "\"known\"");
    Attack::new("passcred-autobind", "Unix", "SO_PASSCRED autobind")
        .tried("gets itself a name by SO_PASSCRED at its connect, where a stranger writes to it")
        .got(ended.step("recv s 100 dont-wait")?)
        .saw(
            "what the guest was given",
            ended.stdout.contains("\"strange\""),
            ended.stdout.contains("\"known\""),
        )
        .state()?;

    // The option has a word of its own in the policy: without it there is no name.
    let twin = steps([
        "s = socket unix datagram",
        "typed s pass-credentials 1",
        &connect,
        "local s",
    ])
    .allow(&format!("unix-datagram connect {}", path.display()))
    .finish(patience())?;
    assert_eq!(twin.step("typed s pass-credentials 1")?, "acces");
    assert_eq!(twin.step("local s")?, "ok (unnamed)");
    Attack::new("passcred-ungranted", "Unix", "SO_PASSCRED autobind")
        .tried("sets SO_PASSCRED before its connect, where no rule lists it")
        .got(twin.step("typed s pass-credentials 1")?)
        .saw(
            "getsockname",
            twin.step("local s")?.contains('@'),
            ended.step("local s")?.contains('@'),
        )
        .state()
}

/// SO_PEERCRED and SCM_CREDENTIALS would tell the guest its host's process id: it is shown as 0. Another
/// process's is what a native program sees.
#[test]
fn credentials_do_not_show_the_host_s_process_id() -> Result<()> {
    let policy = "version = 1\n[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\nops = [\"socketpair\"]\n\
                  options = { get = [\"so.peercred\"], set = [\"so.passcred\"] }\n\
                  ancillary = { receive = [\"credentials\"], send = [\"credentials\"] }\n";
    let (uid, gid) = owner()?;
    let own = format!("send-credentials p {} {uid}", 0);
    let ended = steps([
        "p = pair stream",
        "peercred p",
        "get p 1 17 12",
        "typed p' pass-credentials 1",
        "send p hello",
        "recv-msg p' 100 64",
        &own,
        "recv-msg p' 101 64",
    ])
    .policy_text(policy)
    .start()?;
    let pid = ended.pid();
    let ended = ended.wait(patience())?.success()?;
    assert_eq!(
        ended.step("peercred p")?,
        format!("ok pid 0 uid {uid} gid {gid}")
    );
    ensure!(ended.step("get p 1 17 12")?.starts_with("ok 00000000"));
    let shown = |text: &str| format!("\"{text}\" + credentials pid 0 uid {uid}");
    assert_eq!(ended.step("recv-msg p' 100 64")?, shown("hello"));
    // The host's own credentials may be sent, under the id that they are shown by.
    if gid == 0 {
        assert_eq!(ended.step(&own)?, "ok 6");
        assert_eq!(ended.step("recv-msg p' 101 64")?, shown("forged"));
    }

    // Towards a native peer: without the grant of the option nothing at all.
    let place = folder()?;
    let path = place.path().join("service");
    let _listener = UnixListener::bind(&path)?;
    let connect = format!("connect s path:{}", path.display());
    let plain = format!("unix-stream connect {}", path.display());
    let script = ["s = socket unix stream", &connect, "peercred s"];
    let refused = steps(script).allow(&plain).finish(patience())?;
    assert_eq!(refused.step("peercred s")?, "acces");
    let granted = steps(script)
        .allow(&format!("{plain} get=so.peercred"))
        .finish(patience())?;
    assert_eq!(
        granted.step("peercred s")?,
        format!("ok pid {} uid {uid} gid {gid}", std::process::id())
    );
    let phrase = "SO_PEERCRED showing the host's pid";
    let shows = |text: &str, pid: u32| text.contains(&format!("pid {pid} "));
    let by_number = |text: &str| text.contains(&hex(&pid.to_ne_bytes()));
    Attack::new("peercred-of-host", "Unix", phrase)
        .tried("asks both ends of its socketpair for SO_PEERCRED, typed and by number, and takes SCM_CREDENTIALS")
        .got(ended.step("peercred p")?)
        .checked("the host's process id is shown as 0")
        .saw(
            "what the guest was told",
            shows(&ended.stdout, pid) || by_number(ended.step("get p 1 17 12")?),
            shows(granted.step("peercred s")?, std::process::id()),
        )
        .state()?;
    Attack::new("peercred-ungranted", "Unix", phrase)
        .tried("asks for SO_PEERCRED of its granted peer, where no rule lists it")
        .got(refused.step("peercred s")?)
        .saw(
            "what the guest was told",
            shows(&refused.stdout, std::process::id()),
            shows(&granted.stdout, std::process::id()),
        )
        .state()
}

/// SCM_CREDENTIALS are a claim that a privileged host could make true: the guest may claim nothing.
#[test]
fn credentials_cannot_be_forged() -> Result<()> {
    let name = "credentials_cannot_be_forged";
    let place = folder()?;
    let path = place.path().join("service");
    let service = UnixDatagram::bind(&path)?;
    service.set_nonblocking(true)?;
    let connect = format!("connect s path:{}", path.display());
    // Process 1, another user; and the same by SCM_CREDENTIALS's number.
    let script = [
        "s = socket unix datagram",
        &connect,
        "send-credentials s 1 4242",
        "send-raw s 1 2 010000009210000000000000",
    ];
    let plain = format!("unix-datagram connect {}", path.display());
    let ended = watched(steps(script).allow(&plain), name)?;
    assert_eq!(ended.step(script[2])?, "acces");
    assert_eq!(ended.step(script[3])?, "acces");
    ended.audit.denied("send-msg")?;
    if ended.syscalls.is_some() {
        ensure!(ended.made("sendmsg")?.is_empty());
    }
    ensure!(service.recv(&mut [0; 16]).is_err());

    // Even where the kind is granted, only the host's own: never another's.
    let listed = format!("{plain} send-ancillary=credentials");
    let ended = watched(steps(script).allow(&listed), name)?;
    let reached = service.recv(&mut [0; 16]).is_ok();
    // The control: a message of the same socket arrives, beside credentials that are the host's own.
    let (uid, gid) = owner()?;
    let own = match gid {
        0 => format!("send-credentials s 0 {uid}"),
        _ => "send s hello".to_owned(),
    };
    let control = watched(steps([script[0], &connect, &own]).allow(&listed), name)?;
    let reached_then = service.recv(&mut [0; 16]).is_ok();
    for (id, step) in [
        ("credentials", script[2]),
        ("credentials-by-number", script[3]),
    ] {
        let outcome = ended.step(step)?;
        ensure!(outcome == "acces", "{step}: {outcome}");
        Attack::new(format!("forged-{id}"), "Unix", "forged SCM_CREDENTIALS")
            .tried(format!(
                "`{step}`: claims to be process 1 and user 4242, where the kind is granted"
            ))
            .step((&ended, step), (&control, &own), &["sendmsg", "sendto"])?
            .saw("the service", reached, reached_then)
            .state()?;
    }
    Ok(())
}

/// A datagram from a sender that the rule does not name is dropped and reported by nothing.
#[test]
fn datagrams_of_other_senders_are_hidden() -> Result<()> {
    let place = folder()?;
    let own = place.path().join("guest");
    let bind = format!("bind s path:{}", own.display());
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"hear\"\nfamily = [\"unix\"]\ntype = [\"datagram\"]\n\
         ops = [\"bind\", \"receive\"]\nlocal = {{ root = \"{root}\", path = [\"guest\"] }}\n\
         peer = {{ root = \"{root}\", path = [\"friend\"] }}\n",
        root = place.path().display()
    );
    let guest = steps([
        "s = socket unix datagram",
        &bind,
        "until /steps/wrote",
        "poll s 100",
        "recv s 100 dont-wait",
        "say friend",
        "until /steps/friend-wrote",
        "recv-from s 100",
    ])
    .policy_text(&policy)
    .directory(place.path(), "/steps")
    .start()?;
    guest.wait_for_line("bind s", patience())?;
    let stranger = UnixDatagram::bind(place.path().join("stranger"))?;
    stranger.send_to(b"strange", &own)?;
    UnixDatagram::unbound()?.send_to(b"nameless", &own)?;
    std::fs::write(place.path().join("wrote"), "")?;
    guest.wait_for_line("say friend", patience())?;
    let friend = UnixDatagram::bind(place.path().join("friend"))?;
    friend.send_to(b"known", &own)?;
    std::fs::write(place.path().join("friend-wrote"), "")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("poll s 100")?, "nothing");
    assert_eq!(ended.step("recv s 100 dont-wait")?, "again");
    ensure!(
        ended.step("recv-from s 100")?.starts_with("\"known\" from"),
        "{}",
        ended.stdout
    );
    let hidden = ended
        .audit
        .of("receive")
        .filter(|record| record.is_denied())
        .count();
    assert_eq!(hidden, 2);
    Attack::new("unix-datagrams-of-others", "Unix", "datagram peers")
        .tried("looks for datagrams of a stranger and of a nameless sender")
        .got(ended.step("recv s 100 dont-wait")?)
        .saw(
            "what the guest was given",
            ["\"strange\"", "\"nameless\""]
                .iter()
                .any(|text| ended.stdout.contains(text)),
            ended.stdout.contains("\"known\""),
        )
        .state()
}

/// A listener may name the users that it serves; others are turned away before the guest sees them.
#[test]
fn a_peer_of_another_user_is_turned_away() -> Result<()> {
    let place = folder()?;
    let own = place.path().join("guest");
    let bind = format!("bind s path:{}", own.display());
    let run = |user: u32| {
        let policy = format!(
            "version = 1\n[[allow]]\nid = \"serve\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\n\
             ops = [\"listen\"]\nlocal = {{ root = \"{}\", path = [\"guest\"] }}\npeer = \"*\"\n\
             peer-uid = [\"{user}\"]\n",
            place.path().display()
        );
        steps([
            "s = socket unix stream",
            &bind,
            "listen s",
            "timeout s 1500",
            "c = accept s",
            "send c hello",
        ])
        .policy_text(&policy)
        .start()
    };
    let read = || -> Result<String> {
        let mut client = std::os::unix::net::UnixStream::connect(&own)?;
        client.set_read_timeout(Some(patience()))?;
        let mut text = String::new();
        match client.read_to_string(&mut text) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error.into()),
            _ => Ok(text),
        }
    };
    let stranger = run(uid()? + 1)?;
    stranger.wait_for_line("timeout s", patience())?;
    assert_eq!(read()?, "");
    let ended = stranger.wait(patience())?;
    assert_eq!(ended.step("c = accept s")?, "timedout");

    let friend = run(uid()?)?;
    friend.wait_for_line("timeout s", patience())?;
    assert_eq!(read()?, "hello");
    assert_eq!(friend.wait(patience())?.step("send c hello")?, "ok 5");
    Ok(())
}

/// A client may name the users that it talks to: it leaves a listener of another one, and its socket ends with that.
#[test]
fn a_listener_of_another_user_is_left() -> Result<()> {
    let place = folder()?;
    let path = |name: &str| place.path().join(name);
    let _listener = std::os::unix::net::UnixListener::bind(path("there"))?;
    drop(std::os::unix::net::UnixListener::bind(path("gone"))?);
    let connect =
        |socket: &str, name: &str| format!("connect {socket} path:{}", path(name).display());
    let (there, gone) = (connect("s", "there"), connect("t", "gone"));
    let run = |user: u32| {
        let policy = format!(
            "version = 1\n[[allow]]\nid = \"talk\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\n\
             ops = [\"connect\"]\nroot = \"{}\"\npath = [\"*\"]\npeer-uid = [\"{user}\"]\n",
            place.path().display()
        );
        steps([
            "s = socket unix stream",
            &there,
            "send s hello",
            "t = socket unix stream",
            &gone,
        ])
        .policy_text(&policy)
        .finish(patience())?
        .success()
    };
    let stranger = run(uid()? + 1)?;
    assert_eq!(stranger.step(&there)?, "acces");
    assert_eq!(stranger.step("send s hello")?, "badf");
    // Where nobody listens there is nobody to be another user.
    assert_eq!(stranger.step(&gone)?, "connrefused");

    let friend = run(uid()?)?;
    assert_eq!(friend.step(&there)?, "ok");
    assert_eq!(friend.step("send s hello")?, "ok 5");
    Ok(())
}

/// Only a datagram socket has a peer that can be dropped: where the kernel refuses, the peer stays.
#[test]
fn a_connection_outlives_a_disconnect_that_fails() -> Result<()> {
    let script = ["p = pair stream", "connect p unspecified", "send p hello"];
    let ended = steps(script)
        .allow("unix-stream socketpair,disconnect")
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("connect p unspecified")?, "inval");
    assert_eq!(ended.step("send p hello")?, "ok 5");
    Ok(())
}

/// The user that this test runs as, by the owner of its own process.
fn uid() -> Result<u32> {
    owner().map(|(uid, _)| uid)
}

fn owner() -> Result<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata("/proc/self").context("this process has no /proc entry")?;
    Ok((own.uid(), own.gid()))
}
