//! Bluetooth on two virtual controllers that hear each other: guests and native peers as both ends, and what a
//! policy keeps from them.

use std::fs;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    GuestRun, Native, Need, Tool, folder, kernel, made_none, oracle, patience, policy_path, told,
    watched,
};

/// Controllers are numbered for the whole machine: one test has them at a time.
static CONTROLLERS: Mutex<()> = Mutex::new(());

/// Two controllers, up, and the Python that native peers run in.
struct Air {
    one: String,
    two: String,
    python: std::path::PathBuf,
    _btvirt: Native,
    _turn: MutexGuard<'static, ()>,
}

impl Air {
    /// The controllers, or a skip of the test `name`.
    fn new(need: Need, name: &str) -> Result<Option<Air>> {
        if kernel::has(need, name).is_none() {
            return Ok(None);
        }
        let tools = (oracle(Tool::Btvirt, name), oracle(Tool::Python, name));
        let (Some(btvirt), Some(python)) = tools else {
            return Ok(None);
        };
        let turn = CONTROLLERS.lock().unwrap_or_else(PoisonError::into_inner);
        let btvirt = Native::start(Command::new(btvirt).arg("-l2"))?;
        let lines = Native::python(&python, "bluetooth.py", ["up"])?.finish(patience())?;
        let addresses = told(&lines, "controllers");
        let addresses = addresses.first().context("bluetooth.py told nothing")?;
        let (one, two) = addresses.split_once(' ').context("one controller alone")?;
        Ok(Some(Air {
            one: one.to_owned(),
            two: two.to_owned(),
            python,
            _btvirt: btvirt,
            _turn: turn,
        }))
    }

    fn native(&self, words: &[&str]) -> Result<Native> {
        Native::python(&self.python, "bluetooth.py", words)
    }
}

fn guest(words: &[&str]) -> GuestRun {
    words
        .iter()
        .fold(GuestRun::new("family_bt"), |run, word| run.argument(*word))
}

/// A guest on hci1 echoes to a native caller on hci0.
fn serves(air: &Air, kind: &str, number: &str, key: &str, size: &str) -> Result<()> {
    let guest = guest(&["serve", kind, &air.two, number])
        .allow(&format!(
            "bluetooth-{kind} listen address={} {key}={number}",
            air.two
        ))
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let call = air.native(&["call", kind, number, "20", size])?;
    let call = call.finish(patience())?;
    ensure!(told(&call, "agreed") == ["20"], "{call:?}");
    let ended = guest.wait(patience())?.success()?;
    let bytes: usize = size.parse::<usize>()? * 20;
    ensure!(
        ended.stdout.contains(&format!("echoed {bytes} ")),
        "{}",
        ended.stdout
    );
    ensure!(
        ended.stdout.contains(&format!("accepted {}", air.one)),
        "{}",
        ended.stdout
    );
    ended.audit.granted("listen")?;
    Ok(())
}

/// A guest on hci0 calls a native peer on hci1, which echoes.
fn calls(air: &Air, kind: &str, number: &str, key: &str, size: &str) -> Result<()> {
    let native = air.native(&["serve", kind, number])?;
    native.wait_for_line("listening", patience())?;
    let ended = guest(&["call", kind, &air.one, &air.two, number, "20", size])
        .allow(&format!(
            "bluetooth-{kind} bind address={} {key}=0",
            air.one
        ))
        .allow(&format!(
            "bluetooth-{kind} connect address={} {key}={number}",
            air.two
        ))
        .finish(patience())?
        .success()?;
    let native = native.finish(patience())?;
    let agreed: Vec<&str> = ended.stdout.lines().collect();
    ensure!(
        told(&agreed, "agreed") == told(&native, "echoed") && !told(&native, "echoed").is_empty(),
        "{agreed:?} {native:?}"
    );
    ended.audit.granted("connect")?;
    Ok(())
}

#[test]
fn l2cap_messages_go_both_ways() -> Result<()> {
    let name = "l2cap_messages_go_both_ways";
    let Some(air) = Air::new(Need::BluetoothL2cap, name)? else {
        return Ok(());
    };
    serves(&air, "l2cap", "4097", "psm", "600")?;
    calls(&air, "l2cap", "4099", "psm", "672")
}

#[test]
fn rfcomm_is_a_line_both_ways() -> Result<()> {
    let name = "rfcomm_is_a_line_both_ways";
    let Some(air) = Air::new(Need::BluetoothRfcomm, name)? else {
        return Ok(());
    };
    serves(&air, "rfcomm", "3", "channel", "1000")?;
    calls(&air, "rfcomm", "4", "channel", "1000")
}

#[test]
fn a_sco_link_is_made_with_the_device_that_was_named() -> Result<()> {
    let name = "a_sco_link_is_made_with_the_device_that_was_named";
    let Some(air) = Air::new(Need::BluetoothSco, name)? else {
        return Ok(());
    };
    // These controllers make the link and carry no voice on it: the witness is the kernel's own monitor.
    let listener = air.native(&["listen_for", "sco", "0", "6"])?;
    listener.wait_for_line("listening", patience())?;
    let monitor = air.native(&["monitor"])?;
    monitor.wait_for_line("listening", patience())?;
    let ended = guest(&["send", "sco", &air.one, &air.two, "0", "3", "48"])
        .allow(&format!("bluetooth-sco bind address={}", air.one))
        .allow(&format!("bluetooth-sco connect address={}", air.two))
        .finish(patience())?
        .success()?;
    ensure!(ended.stdout.contains("connected"), "{}", ended.stdout);
    let device: Vec<String> = air.two.rsplit(':').map(str::to_lowercase).collect();
    // HCI_Synchronous_Connection_Complete: no error, the link's handle, the device, eSCO.
    let made = monitor.wait_for_line("hci0 event 2c 11 00 ", patience())?;
    ensure!(made.contains(&format!("{} 02", device.join(" "))), "{made}");
    monitor.stop()?;
    Ok(())
}

#[test]
fn options_of_l2cap_hold() -> Result<()> {
    let name = "options_of_l2cap_hold";
    let Some(air) = Air::new(Need::BluetoothL2cap, name)? else {
        return Ok(());
    };
    let policy = |options: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"l2cap\"\nfamily = [\"bluetooth\"]\nprotocol = [\"l2cap\"]\n\
             ops = [\"bind\", \"connect\"]\nlocal = {{ address = [\"{}\"], psm = [0] }}\n\
             peer = {{ address = [\"{}\"], psm = [\"0x1005\"] }}\noptions = {{ {options} }}\n",
            air.one, air.two
        )
    };
    let native = air.native(&["serve", "l2cap", "4101"])?;
    native.wait_for_line("listening", patience())?;
    let run = || guest(&["options", &air.one, &air.two, "4101"]);
    let ended = run()
        .policy_text(&policy(
            "set = [\"l2cap.options\", \"bt.security\"], get = [\"l2cap.*\", \"bt.*\"]",
        ))
        .finish(patience())?
        .success()?;
    for line in [
        "receive mtu 512\nsecurity 1\nconnected\nsend mtu 672\nreceive mtu 512\n",
        "agreed 80 ",
    ] {
        ensure!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
    native.finish(patience())?;
    // The same number is an option of TCP that needs no listing there.
    let ended = run()
        .policy_text(&policy("set = [\"bt.security\"], get = [\"*\"]"))
        .finish(patience())?;
    ensure!(ended.stdout.contains("failed EACCES"), "{}", ended.stdout);
    let denied = ended.audit.denied("set-option")?;
    ensure!(
        denied.grant().contains("l2cap.options"),
        "{denied:?} names another option"
    );
    Ok(())
}

#[test]
fn a_controller_answers_through_the_raw_channel() -> Result<()> {
    let name = "a_controller_answers_through_the_raw_channel";
    let Some(air) = Air::new(Need::BluetoothHci, name)? else {
        return Ok(());
    };
    let policy = |controller: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"hci\"\nfamily = [\"bluetooth\"]\nprotocol = [\"hci\"]\n\
             ops = [\"bind\", \"send-to\", \"receive\"]\nlocal = {{ device = [{controller}], channel = [\"raw\"] }}\n\
             peer = {{ device = [{controller}] }}\noptions = {{ set = [\"hci.filter\"], get = [\"hci.filter\"] }}\n"
        )
    };
    let ended = guest(&["version", "1"])
        .policy_text(&policy("1"))
        .finish(patience())?
        .success()?;
    let native = air.native(&["version", "1"])?.finish(patience())?;
    let answer = native.first().context("no answer")?;
    ensure!(
        answer.starts_with("answer 04 0e ") && ended.stdout.contains(answer),
        "{native:?} {}",
        ended.stdout
    );
    let other = watched_failing(
        guest(&["version", "1"]).policy_text(&policy("0")),
        "bind",
        name,
    )?;
    ensure!(other.contains("hci1 channel 0"), "{other}");
    Ok(())
}

/// Refused at this operation, with no such system call: the address of the record.
fn watched_failing(run: GuestRun, operation: &str, name: &str) -> Result<String> {
    let run = match oracle(Tool::Strace, name) {
        Some(strace) => run.strace(&strace),
        None => run,
    };
    let ended = run.finish(patience())?;
    ensure!(ended.stdout.contains("failed EACCES"), "{}", ended.stdout);
    made_none(&ended, &[operation])?;
    let record = ended.audit.denied(operation)?;
    ensure!(record.errno() == "acces", "{record:?}");
    Ok(record.address().to_owned())
}

#[test]
fn without_a_grant_there_is_no_bluetooth() -> Result<()> {
    let name = "without_a_grant_there_is_no_bluetooth";
    let Some(air) = Air::new(Need::BluetoothL2cap, name)? else {
        return Ok(());
    };
    let listener = air.native(&["listen_for", "l2cap", "4097", "4"])?;
    listener.wait_for_line("listening", patience())?;
    for (kind, number) in [("l2cap", "4097"), ("rfcomm", "1"), ("sco", "0")] {
        let run = guest(&["call", kind, &air.one, &air.two, number, "1", "10"])
            .allow("tcp connect 127.0.0.1:1");
        watched_failing(run, "socket", name)?;
    }
    let run = guest(&["hci", "65535", "2"]).allow("tcp connect 127.0.0.1:1");
    watched_failing(run, "socket", name)?;
    let lines = listener.finish(patience())?;
    ensure!(lines.iter().any(|line| line == "nobody came"), "{lines:?}");
    Ok(())
}

#[test]
fn another_multiplexer_or_device_is_not_reached() -> Result<()> {
    let name = "another_multiplexer_or_device_is_not_reached";
    let Some(air) = Air::new(Need::BluetoothL2cap, name)? else {
        return Ok(());
    };
    let listener = air.native(&["listen_for", "l2cap", "4099", "6"])?;
    listener.wait_for_line("listening", patience())?;
    let bind = format!("bluetooth-l2cap bind address={} psm=0", air.one);
    let run = |words: &[&str], rule: &str| {
        watched_failing(guest(words).allow(&bind).allow(rule), "connect", name)
    };
    let call = ["call", "l2cap", &air.one, &air.two, "4099", "1", "10"];
    let to = |what: &str| format!("bluetooth-l2cap connect address={} {what}", air.two);
    for edge in ["psm=0x1001", "psm=0x1005-0x1009", "psm=1-0x1002", "cid=4"] {
        let address = run(&call, &to(edge))?;
        ensure!(address == format!("{} psm 4099", air.two), "{address}");
    }
    let device = format!("bluetooth-l2cap connect address={} psm=0x1003", air.one);
    run(&call, &device)?;
    let lines = listener.finish(patience())?;
    ensure!(lines.iter().any(|line| line == "nobody came"), "{lines:?}");
    // A controller that the rule does not name, and a multiplexer of a listener's.
    let other = guest(&["serve", "l2cap", &air.two, "4097"]);
    let rule = format!("bluetooth-l2cap listen address={} psm=4097", air.one);
    watched_failing(other.allow(&rule), "bind", name)?;
    Ok(())
}

#[test]
fn a_caller_outside_of_the_rule_is_not_accepted() -> Result<()> {
    let name = "a_caller_outside_of_the_rule_is_not_accepted";
    let Some(air) = Air::new(Need::BluetoothRfcomm, name)? else {
        return Ok(());
    };
    let guest = guest(&["serve", "rfcomm", &air.two, "5"])
        .policy_text(&format!(
            "version = 1\n[[allow]]\nid = \"line\"\nfamily = [\"bluetooth\"]\nprotocol = [\"rfcomm\"]\n\
             ops = [\"listen\"]\nlocal = {{ address = [\"{}\"], channel = [5] }}\n\
             peer = {{ address = [\"00:00:00:00:00:01\"] }}\n",
            air.two
        ))
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let call = air.native(&["call", "rfcomm", "5", "1", "10"])?;
    let outcome = call.finish(patience());
    ensure!(outcome.is_err(), "{outcome:?}");
    let ended = guest.kill()?;
    ensure!(!ended.stdout.contains("accepted"), "{}", ended.stdout);
    let record = ended.audit.denied("accept")?;
    ensure!(record.address().starts_with(&air.one), "{record:?}");
    Ok(())
}

#[test]
fn a_monitor_sees_what_the_kernels_own_shows() -> Result<()> {
    let name = "a_monitor_sees_what_the_kernels_own_shows";
    let Some(air) = Air::new(Need::BluetoothHci, name)? else {
        return Ok(());
    };
    let place = folder()?;
    let guest = GuestRun::new("hci-monitor")
        .policy(policy_path("hci-monitor"))
        .directory(place.path(), "/out")
        .argument("/out/trace.btsnoop")
        .start()?;
    guest.wait_for_line("listening on ", patience())?;
    let native = air.native(&["monitor"])?;
    native.wait_for_line("listening", patience())?;
    air.native(&["version", "0"])?.finish(patience())?;
    // HCI_Command_Complete. Both saw at least the command and its answer; the guest began earlier.
    native.wait_for_line("hci0 event 0e ", patience())?;
    let native = native.stop()?;
    let native = &native[1..];
    ensure!(native.len() >= 2, "{native:?}");
    let last = native.last().context("no packet")?;
    guest.wait_for_line(last, patience())?;
    let ended = guest.kill()?;
    let seen: Vec<&str> = ended.stdout.lines().collect();
    for line in native {
        ensure!(seen.contains(&line.as_str()), "{line} is not in {seen:#?}");
    }
    // The file holds the same packets, as btsnoop has them.
    let trace = fs::read(place.path().join("trace.btsnoop"))?;
    let packets = btsnoop(&trace)?;
    let told: Vec<&str> = seen
        .iter()
        .filter(|line| !line.starts_with("listening"))
        .copied()
        .collect();
    // A packet is written before it is told: the guest may have been ended in between.
    ensure!(
        (told.len()..=told.len() + 1).contains(&packets.len()),
        "{} of {}",
        packets.len(),
        told.len()
    );
    for (packet, line) in packets.iter().zip(told) {
        let hex: Vec<String> = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(line.ends_with(&hex.join(" ")), "{line} is {hex:?}");
    }
    Ok(())
}

/// The packets of a btsnoop file of the monitor's own format.
fn btsnoop(file: &[u8]) -> Result<Vec<&[u8]>> {
    let mut rest = file
        .strip_prefix(b"btsnoop\0\0\0\0\x01\0\0\x07\xd1")
        .context("no btsnoop file of version 1, type 2001")?;
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let (head, after) = rest
            .split_first_chunk::<24>()
            .context("a record's head is cut")?;
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (packet, after) = after.split_at_checked(length).context("a packet is cut")?;
        packets.push(packet);
        rest = after;
    }
    Ok(packets)
}

#[test]
fn a_monitor_does_not_manage_controllers() -> Result<()> {
    let name = "a_monitor_does_not_manage_controllers";
    let Some(_air) = Air::new(Need::BluetoothHci, name)? else {
        return Ok(());
    };
    let other = GuestRun::new("hci-monitor")
        .allow("bluetooth-hci bind device=none channel=control")
        .finish(patience())?;
    ensure!(!other.status.success(), "{}", other.stdout);
    let denied = other.audit.denied("bind")?;
    ensure!(
        denied.address() == "no controller channel 2" && denied.errno() == "acces",
        "{denied:?}"
    );
    let policy = policy_path("hci-monitor");
    let bound = watched(guest(&["hci", "65535", "2"]).policy(&policy), name)?;
    ensure!(bound.stdout.contains("bound to"), "{}", bound.stdout);
    for (device, channel) in [
        ("65535", "3"),
        ("65535", "4"),
        ("0", "0"),
        ("0", "1"),
        ("0", "2"),
    ] {
        watched_failing(
            guest(&["hci", device, channel]).policy(&policy),
            "bind",
            name,
        )?;
    }
    Ok(())
}
