//! `sockgate learn` on each example whose sockets need a family of their own: what is learnt is enough for the
//! example, and not for its neighbour.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Need, Net, Tool, folder, guest_with, kernel, lesson, listening,
    net_and_python, oracle, patience, root, told,
};

/// A namespace, and Python, where the kernel has these sockets.
fn bench(need: Need, name: &str) -> Result<Option<(Net, PathBuf)>> {
    if kernel::has(need, name).is_none() {
        return Ok(None);
    }
    net_and_python(name)
}

/// A native program of `tests/native` in the namespace.
fn native(net: &Net, python: &Path, script: &str, words: &[&str]) -> Result<Native> {
    let script = root().join("tests/native").join(script);
    Native::start(net.command(python).arg(script).args(words))
}

fn finish(run: GuestRun) -> Result<Ended> {
    run.finish(patience())
}

/// Waits until a guest that prints its own output on stdout says on stderr that it listens.
fn listening_on_stderr(run: GuestRun) -> Result<sockgate_tests::Guest> {
    let guest = run.start()?;
    let listens = |line: &str| line.starts_with("listening on ");
    guest.stderr.wait_for(patience(), listens)?;
    Ok(guest)
}

#[test]
fn listings_and_events_of_interfaces() -> Result<()> {
    let name = "listings_and_events_of_interfaces";
    let Some((net, _)) = bench(Need::NetlinkRoute, name)? else {
        return Ok(());
    };
    let show = || GuestRun::new("ip-show").net(&net);
    let monitor = || guest_with("link-monitor", &["--clients", "1"]).net(&net);
    let text = lesson(show, finish, monitor())?;
    ensure!(text.contains("dump-only = true"), "{text}");
    ensure!(!text.contains("\"new") && !text.contains("\"set"), "{text}");
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        net.ip(&["link", "set", "lo", "mtu", "60000"])?;
        net.ip(&["link", "set", "lo", "mtu", "65536"])?;
        guest.wait(patience())
    };
    let text = lesson(monitor, play, show())?;
    ensure!(
        text.contains("\"link\"") && !text.contains("send-to"),
        "{text}"
    );
    Ok(())
}

#[test]
fn questions_to_hosts() -> Result<()> {
    let name = "questions_to_hosts";
    let Some((net, _)) = bench(Need::InetPing, name)? else {
        return Ok(());
    };
    net.ip(&["address", "add", "203.0.113.1/32", "dev", "lo"])?;
    let ping = |host: &str| guest_with("ping", &["--count", "2", host]).net(&net);
    let text = lesson(|| ping("127.0.0.1"), finish, ping("203.0.113.1"))?;
    ensure!(text.contains(r#"protocol = ["icmp"]"#), "{text}");
    ensure!(text.contains(r#"ops = ["send-to", "receive"]"#), "{text}");
    Ok(())
}

#[test]
fn frames_of_one_interface() -> Result<()> {
    let name = "frames_of_one_interface";
    let Some((net, python)) = bench(Need::PacketRaw, name)? else {
        return Ok(());
    };
    for setting in ["all", "default"] {
        let setting = format!("net.ipv6.conf.{setting}.disable_ipv6=1");
        let status = net
            .command("sysctl")
            .args(["-q", "-w", &setting])
            .status()?;
        ensure!(status.success(), "sysctl {setting}: {status}");
    }
    net.ip(&["link", "add", "v0", "type", "veth", "peer", "name", "v1"])?;
    net.ip(&["link", "set", "v0", "up"])?;
    net.ip(&["link", "set", "v1", "up"])?;
    let place = folder()?;
    let sniff = |interface: &str| {
        let words = [
            "--file",
            "/captures/all.pcapng",
            "--clients",
            "1",
            interface,
        ];
        let run = guest_with("sniffer", &words).net(&net);
        run.directory(place.path(), "/captures")
    };
    let payload = "00".repeat(64);
    let frame = format!("ffffffffffff02000000000188b5{payload}");
    let play = |run: GuestRun| {
        let guest = listening_on_stderr(run)?;
        native(&net, &python, "frames.py", &["send-frames", "v1", &frame])?.finish(patience())?;
        guest.wait(patience())
    };
    let text = lesson(|| sniff("v0"), play, sniff("v1"))?;
    ensure!(text.contains("promiscuous = true"), "{text}");
    ensure!(
        text.contains("packet-auxdata") && !text.contains("send"),
        "{text}"
    );
    Ok(())
}

/// Two buses on which nobody else says anything.
fn buses(need: Need, name: &str) -> Result<Option<(Net, PathBuf)>> {
    let Some((net, python)) = bench(need, name)? else {
        return Ok(None);
    };
    net.vcan("vcan0")?;
    net.vcan("vcan1")?;
    Ok(Some((net, python)))
}

fn say(net: &Net, python: &Path, frames: &[&str]) -> Result<()> {
    let words: Vec<&str> = ["say-can", "vcan0"].iter().chain(frames).copied().collect();
    native(net, python, "frames.py", &words)?.finish(patience())?;
    Ok(())
}

#[test]
fn frames_of_one_bus() -> Result<()> {
    let name = "frames_of_one_bus";
    let Some((net, python)) = buses(Need::CanRaw, name)? else {
        return Ok(());
    };
    let of = |guest: &str, words: &[&str]| guest_with(guest, words).net(&net);
    let echo = || of("can-echo", &["vcan0", "--clients", "2"]);
    let send = |frames: &[&str]| of("cansend", &[&["vcan0"], frames].concat());
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        say(&net, &python, &["100#DEADBEEF", "17F#"])?;
        guest.wait(patience())
    };
    let text = lesson(echo, play, send(&["100#01"]))?;
    ensure!(
        text.contains(r#""0x180""#) && text.contains(r#""0x100""#),
        "{text}"
    );

    let text = lesson(
        || send(&["7DF#0201", "7E0##31122"]),
        finish,
        send(&["7DE#01"]),
    )?;
    ensure!(
        text.contains("fd = true") && !text.contains("receive"),
        "{text}"
    );

    let dump = |bus: &str| of("candump", &["--clients", "2", bus]);
    let heard = |run: GuestRun| {
        let guest = listening_on_stderr(run)?;
        say(&net, &python, &["123#01", "00000123#02"])?;
        guest.wait(patience())
    };
    lesson(|| dump("vcan0"), heard, dump("vcan1"))?;

    let carry = |to: &str| {
        let words = ["vcan0", to, "--rewrite", "120/7F0=320", "--clients", "2"];
        of("can-gateway", &words)
    };
    let carried = |run: GuestRun| {
        let guest = listening_on_stderr(run)?;
        say(&net, &python, &["120#02", "12F#04"])?;
        guest.wait(patience())
    };
    let text = lesson(
        || carry("vcan1"),
        carried,
        of("cansend", &["vcan1", "321#01"]),
    )?;
    ensure!(text.contains(r#""vcan1""#), "{text}");
    lesson(|| carry("127.0.0.1:5000"), carried, send(&["120#01"]))?;
    Ok(())
}

#[test]
fn jobs_of_the_broadcast_manager() -> Result<()> {
    let name = "jobs_of_the_broadcast_manager";
    let Some((net, python)) = buses(Need::CanBcm, name)? else {
        return Ok(());
    };
    let cyclic = |id: &str| guest_with("can-cyclic", &["vcan0", id, "50", "1"]).net(&net);
    let text = lesson(|| cyclic("100"), finish, cyclic("101"))?;
    ensure!(
        text.contains("tx-setup") && !text.contains("rx-setup"),
        "{text}"
    );
    let watch = || {
        let words = ["vcan0", "100", "ff00", "500", "--clients", "1"];
        guest_with("can-watch", &words).net(&net)
    };
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        say(&net, &python, &["101#0101"])?;
        guest.wait(patience())
    };
    let text = lesson(watch, play, cyclic("100"))?;
    ensure!(
        text.contains("rx-setup") && !text.contains("tx-setup"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_question_over_isotp() -> Result<()> {
    let name = "a_question_over_isotp";
    let Some((net, python)) = buses(Need::CanIsotp, name)? else {
        return Ok(());
    };
    let ask = |tx: &str| guest_with("uds-vin", &["vcan0", "7e8", tx]).net(&net);
    let play = |run: GuestRun| {
        let words = ["uds", "vcan0", "7e0", "7e8", "WDB9634031L123456"];
        let unit = native(&net, &python, "can_transport.py", &words)?;
        unit.wait_for_line("listening", patience())?;
        let ended = run.finish(patience())?;
        unit.stop()?;
        Ok(ended)
    };
    let text = lesson(|| ask("7e0"), play, ask("7e1"))?;
    ensure!(
        text.contains(r#"isotp = [{ rx = "0x7E8", tx = "0x7E0" }]"#),
        "{text}"
    );
    Ok(())
}

#[test]
fn one_parameter_group() -> Result<()> {
    let name = "one_parameter_group";
    let Some((net, python)) = buses(Need::CanJ1939, name)? else {
        return Ok(());
    };
    let listen =
        |pgn: &str| guest_with("j1939-listener", &["vcan0", pgn, "--clients", "1"]).net(&net);
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        let words = ["j1939-send", "vcan0", "30", "any", "feca", "8"];
        native(&net, &python, "can_transport.py", &words)?.finish(patience())?;
        guest.wait(patience())
    };
    let sender = guest_with("can-cyclic", &["vcan0", "100", "50", "1"]).net(&net);
    let text = lesson(|| listen("feca"), play, sender)?;
    ensure!(text.contains("65226"), "{text}");
    Ok(())
}

#[test]
fn an_agent_in_a_virtual_machine() -> Result<()> {
    let name = "an_agent_in_a_virtual_machine";
    if kernel::has(Need::VsockStream, name).is_none() {
        return Ok(());
    }
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let agent = |port: &str| guest_with("vsock-agent", &[port, "--clients", "1"]);
    let script = "import socket; s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM, 0); \
                  s.connect((1, 5000)); f = s.makefile('rw');\n\
                  for question in ('ping', 'cid'):\n\
                  \x20print(question, file=f, flush=True); print(f.readline(), end='')";
    let play = |run: GuestRun| {
        let guest = listening(run)?;
        let answers = Native::start(Command::new(&python).args(["-c", script]))?;
        ensure!(
            answers
                .finish(patience())?
                .first()
                .is_some_and(|answer| answer == "pong")
        );
        guest.wait(patience())
    };
    let text = lesson(|| agent("5000"), play, agent("5001"))?;
    ensure!(text.contains("vm-sockets.get-local-cid"), "{text}");
    ensure!(text.contains(r#"peer = { cid = ["local"] }"#), "{text}");
    Ok(())
}

#[test]
fn the_kernels_ciphers() -> Result<()> {
    let name = "the_kernels_ciphers";
    if kernel::has(Need::AlgAead, name).is_none() {
        return Ok(());
    }
    let place = folder()?;
    fs::write(place.path().join("plain"), [7; 1000])?;
    fs::write(place.path().join("key"), [1; 32])?;
    let of = |words: &[&str]| guest_with("kernel-crypto", words).directory(place.path(), "/d");
    let sum = || of(&["sum", "/d/plain"]);
    let seal = || of(&["seal", "/d/key", "/d/plain", "/d/sealed"]);
    let text = lesson(sum, finish, seal())?;
    ensure!(
        text.contains(r#"name = ["sha256"]"#) && !text.contains("aead"),
        "{text}"
    );
    let text = lesson(seal, finish, sum())?;
    ensure!(
        text.contains(r#"name = ["gcm(aes)"]"#) && !text.contains("hash"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_service_of_a_cluster() -> Result<()> {
    let name = "a_service_of_a_cluster";
    if kernel::has(Need::TipcSeqpacket, name).is_none() {
        return Ok(());
    }
    let serve = || guest_with("tipc-service", &["serve", "18888", "17", "--clients", "1"]);
    let ask = |service: &str| guest_with("tipc-service", &["ask", service, "17", "hello"]);
    let everything = "version = 1\n[[allow]]\nid = \"all\"\nfamily = [\"tipc\"]\n\
        ops = [\"bind\", \"connect\", \"send-to\", \"receive\", \"reply\"]\nlocal = \"*\"\npeer = \"*\"\n";
    let served = |run: GuestRun| {
        let server = listening(run)?;
        ask("18888")
            .policy_text(everything)
            .finish(patience())?
            .success()?;
        server.wait(patience())
    };
    lesson(serve, served, ask("18888"))?;
    let asked = |run: GuestRun| {
        let server = listening(serve().policy_text(everything))?;
        let asked = run.finish(patience())?;
        server.wait(patience())?.success()?;
        Ok(asked)
    };
    lesson(|| ask("18888"), asked, serve())?;
    Ok(())
}

#[test]
fn what_controllers_say() -> Result<()> {
    let name = "what_controllers_say";
    if kernel::has(Need::BluetoothHci, name).is_none() {
        return Ok(());
    }
    let (Some(btvirt), Some(python)) = (oracle(Tool::Btvirt, name), oracle(Tool::Python, name))
    else {
        return Ok(());
    };
    let _controllers = Native::start(Command::new(btvirt).arg("-l2"))?;
    let lines = Native::python(&python, "bluetooth.py", ["up"])?.finish(patience())?;
    told(&lines, "controllers")
        .first()
        .context("no controller is up")?;
    let place = folder()?;
    let out = place.path().join("learnt.toml");
    let monitor = || {
        let run = guest_with("hci-monitor", &["/out/trace.btsnoop"]);
        run.directory(place.path(), "/out")
    };
    // It never ends by itself, so that what is the same is what it was let through.
    let watch = |run: GuestRun| -> Result<Ended> {
        let guest = listening(run)?;
        Native::python(&python, "bluetooth.py", ["version", "0"])?.finish(patience())?;
        guest.wait_for_line("", patience())?;
        let pid = guest.pid().to_string();
        ensure!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()?
                .success()
        );
        guest.wait(patience())
    };
    watch(monitor().learn(&out))?;
    let text = fs::read_to_string(&out)?;
    let ended = watch(monitor().policy(&out)).with_context(|| text.clone())?;
    let mut records = ended.audit.records().iter();
    ensure!(!records.any(|record| record.is_denied()), "{text}");
    ensure!(
        text.contains(r#"channel = ["monitor"]"#) && !text.contains("send"),
        "{text}"
    );
    let neighbour = guest_with("vsock-agent", &["5000"]).policy(&out);
    ensure!(!neighbour.finish(patience())?.status.success());
    Ok(())
}
