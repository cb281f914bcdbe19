//! Every kind of descriptor once, from Python to a guest and back; listeners and letters that guests pass on.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Tool, covers, folder, free_port, oracle, patience, told,
};

/// What came of each kind: its letter is s where it arrived as a socket, o as an opaque descriptor, and - where it
/// was closed.
fn kinds(python: &Path, kinds: &str, more: &[&str]) -> Result<(Ended, Vec<String>, Vec<String>)> {
    let place = folder()?;
    let path = place.path().join("letters.sock").display().to_string();
    let (granted, refused) = (free_port()?.to_string(), free_port()?.to_string());
    let listening = free_port()?.to_string();
    let arguments = ["kinds", &path, &granted, &refused, &listening];
    let native = Native::python(python, "descriptors.py", arguments)?;
    native.wait_for_line("listening", patience())?;
    let run = GuestRun::new("descriptors")
        .allow(&format!(
            "unix-seqpacket connect,descriptor-send,descriptor-receive {path} kinds={kinds}"
        ))
        .allow(&format!("tcp connect 127.0.0.1:{granted}"))
        .argument("answer")
        .argument(&path);
    let run = more.iter().fold(run, |run, rule| {
        run.allow(&rule.replace("{listening}", &listening))
    });
    let guest = run.start()?;
    let said = native.finish(patience())?;
    let ended = guest.wait(patience())?.success()?;
    let (came, kernel) = (told(&said, "kind"), told(&said, "kernel"));
    Ok((ended, came, kernel))
}

/// What the kernel here lets a process have, and lets travel.
fn possible(wanted: &[&str], kernel: &[String]) -> Vec<String> {
    let missing = |kind: &&&str| {
        let name = kind.split(' ').next().unwrap_or_default();
        !kernel.iter().any(|said| said.starts_with(name))
    };
    wanted
        .iter()
        .filter(missing)
        .map(ToString::to_string)
        .collect()
}

#[test]
fn every_kind_is_classified_and_judged_before_the_guest_has_it() -> Result<()> {
    let name = "every_kind_is_classified_and_judged_before_the_guest_has_it";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let rules = [
        "tcp listen 127.0.0.1:{listening}",
        "udp bind,receive,reply 127.0.0.1:* peer 127.0.0.1",
        "unix-stream socketpair",
        "unix-stream connect @*",
        "unix-stream listen @* peer unnamed",
        "unix-datagram bind,receive,reply @* peer @*",
    ];
    let (ended, came, kernel) = kinds(&python, "socket,opaque", &rules)?;
    let wanted = [
        "tcp s",
        "tcp-elsewhere -",
        "tcp-listening s",
        "udp s",
        "udp-broadcast -",
        "pair s",
        "unix-stream s",
        "unix-datagram s",
        "pipe o",
        "file o",
        "folder o",
        "memfd o",
        "epoll o",
        "eventfd o",
        "pidfd o",
        "o-path o",
        "o-path-of-a-socket -",
        "io-uring o",
        "netlink -",
        "packet -",
    ];
    assert_eq!(came, possible(&wanted, &kernel));
    let denied = ended.audit.of("descriptor-receive");
    ensure!(denied.filter(|record| record.is_denied()).count() >= 4);
    covers(&["send_fds", "recv_fds", "SCM_RIGHTS"]);

    // The twin: each right is taken away, one kind after the other.
    let (_, came, kernel) = kinds(&python, "socket", &[])?;
    let wanted = wanted.map(|kind| match kind {
        "tcp s" => "tcp s".to_owned(),
        kind => format!("{} -", kind.split(' ').next().unwrap_or_default()),
    });
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    assert_eq!(came, possible(&wanted, &kernel));
    Ok(())
}

/// The options that are set on what arrives have to be listed.
#[test]
fn an_arriving_socket_s_options_have_to_be_granted() -> Result<()> {
    let name = "an_arriving_socket_s_options_have_to_be_granted";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    for (options, letter) in [("", "-"), (" set=so.broadcast", "s")] {
        let rule = format!("udp bind,receive,reply 127.0.0.1:* peer 127.0.0.1{options}");
        let (_, came, _) = kinds(&python, "socket", &[&rule])?;
        let udp: Vec<_> = came.iter().filter(|kind| kind.starts_with("udp")).collect();
        assert_eq!(udp, ["udp s", &format!("udp-broadcast {letter}")], "{rule}");
    }
    Ok(())
}

/// A listener that a guest bound to a path is passed on: its name stays after the guest's end, and its new owner
/// serves there.
#[test]
fn python_serves_on_a_listener_that_a_guest_gave_away() -> Result<()> {
    let name = "python_serves_on_a_listener_that_a_guest_gave_away";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    for (how, letter) in [("", "a listener"), ("detached", "detached")] {
        let place = folder()?;
        let path = place.path().join("letters.sock").display().to_string();
        let served = place.path().join("served.sock");
        let native = Native::python(&python, "descriptors.py", ["accept-at", &path])?;
        native.wait_for_line("listening", patience())?;
        let ended = GuestRun::new("descriptors")
            .allow(&format!(
                "unix-stream connect,descriptor-send {path} kinds=socket"
            ))
            .allow(&format!("unix-stream listen {}", served.display()))
            .argument("give-listener")
            .argument(&path)
            .argument(&served)
            .argument(how)
            .finish(patience())?
            .success()?;
        let said = native.finish(patience())?;
        assert_eq!(told(&said, "letter"), [format!("{letter} 1 0 None")]);
        assert_eq!(told(&said, "blocking"), ["True"]);
        assert_eq!(told(&said, "client"), ["heard served"], "{how}");
        ended.audit.granted("descriptor-send")?;
        covers(&["send_fds", "detach"]);
        fs::remove_file(&served)?;
    }
    Ok(())
}

/// `send_fds` with flags and an address, and `recv_fds` with all that it answers.
#[test]
fn letters_with_descriptors_go_to_addresses() -> Result<()> {
    let name = "letters_with_descriptors_go_to_addresses";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let place = folder()?;
    let path = place.path().join("letters.sock").display().to_string();
    let own = place.path().join("guest.sock").display().to_string();
    let native = Native::python(&python, "descriptors.py", ["letters-to", &path])?;
    native.wait_for_line("listening", patience())?;
    let datagrams = "bind,receive,send-to,descriptor-send,descriptor-receive";
    let ended = GuestRun::new("descriptors")
        .allow(&format!(
            "unix-datagram {datagrams} {own} peer {path} kinds=socket"
        ))
        .allow("unix-stream socketpair")
        .argument("letter")
        .argument(&path)
        .argument(&own)
        .finish(patience())?
        .success()?;
    let said = native.finish(patience())?;
    assert_eq!(told(&said, "letter"), [format!("from the guest 1 {own}")]);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(told(&lines, "sent"), ["14"]);
    let answer = told(&lines, "answer");
    ensure!(answer[0].starts_with("an answer 1 "), "{answer:?}");
    ensure!(answer[0].ends_with(&format!("from {path}")), "{answer:?}");
    assert_eq!(told(&lines, "heard"), ["by way of the guest"]);
    covers(&["send_fds", "recv_fds", "MSG_DONTWAIT"]);
    Ok(())
}
