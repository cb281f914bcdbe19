//! What is left of the Unix domain (labels, groups, processes), and the families that a guest can do little with.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Need, Tool, covers, folder, free_port, kernel, made_none, oracle,
    patience, told,
};

fn guest(words: &[&str]) -> GuestRun {
    words
        .iter()
        .fold(GuestRun::new("family_rest"), |run, word| {
            run.argument(*word)
        })
}

fn has_line(ended: &Ended, line: &str) -> Result<()> {
    ensure!(
        ended.stdout.lines().any(|told| told == line),
        "no `{line}`: {}",
        ended.stdout
    );
    Ok(())
}

/// A guest that connects to a native listener of these groups, under a rule with these keys.
fn meets(python: &Path, groups: &[&str], keys: &str) -> Result<(Ended, Vec<String>)> {
    let place = folder()?;
    let path = place.path().join("peer.sock");
    let path = path.to_str().context("a path that is no text")?;
    let words = ["serve", path].into_iter().chain(groups.iter().copied());
    let native = Native::python(python, "unix.py", words)?;
    native.wait_for_line("listening", patience())?;
    let ended = guest(&["peer", path])
        .policy_text(&format!(
            "version = 1\n[[allow]]\nid = \"peer\"\nfamily = [\"unix\"]\nops = [\"connect\"]\n\
             path = [\"{path}\"]\n{keys}\n"
        ))
        .finish(patience())?;
    Ok((ended, native.stop()?))
}

#[test]
fn a_peers_groups_and_label_are_told_under_a_grant() -> Result<()> {
    let name = "a_peers_groups_and_label_are_told_under_a_grant";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let root = std::process::Command::new("id").arg("-u").output()?;
    let groups: &[&str] = match root.stdout.as_slice() {
        b"0\n" => &["5", "7"],
        _ => &[],
    };
    let get = "options = { get = [\"so.peergroups\", \"so.peersec\", \"so.peerpidfd\"] }";
    let (ended, native) = meets(&python, groups, get)?;
    let ended = ended.success()?;
    let listed = told(&native, "groups");
    has_line(
        &ended,
        &format!("groups: {}", listed.first().map_or("", String::as_str)),
    )?;
    // Where a security module labels sockets, it is the listener's label; the number of a descriptor of the
    // host's is told to nobody.
    match kernel::Kernel::this() {
        kernel::Kernel::Uml => {
            let label = told(&native, "label");
            has_line(
                &ended,
                &format!("label: {}", label.first().context("no label")?),
            )?;
        }
        kernel::Kernel::Host => ensure!(ended.stdout.contains("\nlabel: "), "{}", ended.stdout),
    }
    has_line(&ended, "pidfd: EOPNOTSUPP")?;

    let (ended, _) = meets(&python, groups, "")?;
    let ended = ended.success()?;
    for line in ["groups: EACCES", "label: EACCES", "pidfd: EACCES"] {
        has_line(&ended, line)?;
    }
    ended.audit.denied("get-option")?;
    Ok(())
}

#[test]
fn a_peer_of_another_group_is_nobody_to_talk_to() -> Result<()> {
    let name = "a_peer_of_another_group_is_nobody_to_talk_to";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let own = std::process::Command::new("id").arg("-g").output()?;
    let own: u32 = String::from_utf8(own.stdout)?.trim().parse()?;
    let (ended, _) = meets(&python, &[], &format!("peer-gid = [{own}, {}]", own + 1))?;
    has_line(&ended.success()?, "connected")?;
    let (ended, _) = meets(&python, &[], &format!("peer-gid = [{}]", own + 1))?;
    ensure!(ended.stdout.contains("failed EACCES"), "{}", ended.stdout);
    let record = ended.audit.denied("connect")?;
    ensure!(record.reason().contains("peer-gid"), "{record:?}");
    Ok(())
}

/// A guest that receives one datagram of a native process, under a rule that lists these ancillaries.
fn one_message(python: &Path, ancillary: &str) -> Result<(Ended, Vec<String>)> {
    let place = folder()?;
    let path = place.path().join("guest.sock");
    let path = path.to_str().context("a path that is no text")?;
    let guest = guest(&["labels", path])
        .policy_text(&format!(
            "version = 1\n[[allow]]\nid = \"datagrams\"\nfamily = [\"unix\"]\ntype = [\"datagram\"]\n\
             ops = [\"bind\", \"receive\"]\nlocal = {{ path = [\"{path}\"] }}\npeer = {{ unnamed = true }}\n\
             options = {{ set = [\"so.passsec\", \"so.passpidfd\"] }}\nancillary = {{ receive = [{ancillary}] }}\n"
        ))
        .start()?;
    guest.wait_for_line("listening", patience())?;
    let native = Native::python(python, "unix.py", ["send", path])?.finish(patience())?;
    let ended = guest.wait(patience())?.success()?;
    has_line(&ended, "message from a native process")?;
    Ok((ended, native))
}

#[test]
fn a_message_brings_its_senders_label() -> Result<()> {
    let name = "a_message_brings_its_senders_label";
    if kernel::has(Need::UnixPassSec, name).is_none() {
        return Ok(());
    }
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let (ended, native) = one_message(&python, "\"security\"")?;
    let label = told(&native, "label");
    has_line(
        &ended,
        &format!("label {}", label.first().context("no label")?),
    )?;
    let (ended, _) = one_message(&python, "\"timestamp\"")?;
    ensure!(!ended.stdout.contains("\nlabel "), "{}", ended.stdout);
    covers(&["SO_PASSSEC"]);
    Ok(())
}

#[test]
fn a_message_brings_its_senders_process() -> Result<()> {
    let name = "a_message_brings_its_senders_process";
    if kernel::has(Need::UnixPeerPidfd, name).is_none() {
        return Ok(());
    }
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let (ended, _) = one_message(&python, "\"pidfd\"")?;
    has_line(&ended, "a pidfd")?;
    let (ended, _) = one_message(&python, "\"timestamp\"")?;
    ensure!(!ended.stdout.contains("pidfd\n"), "{}", ended.stdout);
    Ok(())
}

/// The same guest without a grant makes no socket.
fn nothing_without(task: &str, name: &str) -> Result<()> {
    let run = guest(&[task]).allow("tcp connect *");
    let run = match oracle(Tool::Strace, name) {
        Some(strace) => run.strace(&strace),
        None => run,
    };
    let ended = run.finish(patience())?;
    has_line(&ended, "failed EACCES")?;
    made_none(&ended, &["socket"])?;
    ended.audit.denied("socket")?;
    Ok(())
}

#[test]
fn a_kcm_socket_is_made_under_a_grant() -> Result<()> {
    let name = "a_kcm_socket_is_made_under_a_grant";
    if kernel::has(Need::Kcm, name).is_none() {
        return Ok(());
    }
    let ended = guest(&["kcm"])
        .allow("kcm-datagram connect * set=kcm.recv-disable")
        .finish(patience())?
        .success()?;
    for line in ["made Family::Kcm", "option: set", "receive: EAGAIN"] {
        has_line(&ended, line)?;
    }
    nothing_without("kcm", name)
}

#[test]
fn an_xdp_socket_without_rings_says_why() -> Result<()> {
    let name = "an_xdp_socket_without_rings_says_why";
    if kernel::has(Need::Xdp, name).is_none() {
        return Ok(());
    }
    let run = guest(&["xdp"]).allow("xdp-raw bind * set=283/4");
    let run = match oracle(Tool::Strace, name) {
        Some(strace) => run.strace(&strace),
        None => run,
    };
    let ended = run.finish(patience())?.success()?;
    for line in ["made Family::Xdp", "memory: EOPNOTSUPP", "bind: EOPNOTSUPP"] {
        has_line(&ended, line)?;
    }
    made_none(&ended, &["bind", "setsockopt"])?;
    let record = ended
        .audit
        .of("bind")
        .next()
        .context("no record of the bind")?;
    ensure!(
        record.reason().contains("with rings in memory"),
        "{record:?}"
    );
    nothing_without("xdp", name)
}

#[test]
fn smc_carries_what_tcp_would() -> Result<()> {
    let name = "smc_carries_what_tcp_would";
    if kernel::has(Need::Smc, name).is_none() {
        return Ok(());
    }
    let address = format!("127.0.0.1:{}", free_port()?);
    let server = guest(&["smc-serve", &address])
        .allow(&format!("smc-stream listen {address}"))
        .start()?;
    server.wait_for_line("listening on ", patience())?;
    let call = guest(&["smc-call", &address])
        .allow(&format!("smc-stream connect {address}"))
        .finish(patience())?
        .success()?;
    let server = server.wait(patience())?.success()?;
    let lines = |ended: &Ended, verb: &str| -> Vec<String> {
        told(&ended.stdout.lines().collect::<Vec<_>>(), verb)
    };
    ensure!(
        lines(&call, "agreed") == lines(&server, "echoed"),
        "{call:?}"
    );
    let denied = guest(&["smc-call", &address])
        .allow("smc-stream connect 127.0.0.1:1")
        .finish(patience())?;
    ensure!(denied.stdout.contains("failed EACCES"), "{}", denied.stdout);
    denied.audit.denied("connect")?;
    Ok(())
}
