//! Packet sockets: frames byte for byte as native programs send and hear them, and nothing that the policy
//! does not name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Attack, Ended, GuestRun, Native, Need, Net, Tool, folder, from_hex, hex, kernel,
    net_and_python, net_steps, oracle, patience, policy_path, root, told, watched,
};

/// Two ends of a cable, v0 and v1, on which nobody else says anything; and Python.
fn cable(name: &str) -> Result<Option<(Net, PathBuf)>> {
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(None);
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
    Ok(Some((net, python)))
}

/// A native program of `tests/native/frames.py` in the namespace.
fn native(net: &Net, python: &Path, words: &[&str]) -> Result<Native> {
    let script = root().join("tests/native/frames.py");
    let native = Native::start(net.command(python).arg(script).args(words))?;
    if words[0].starts_with("hear") {
        native.wait_for_line("listening", patience())?;
    }
    Ok(native)
}

/// Sends frames natively.
fn send(net: &Net, python: &Path, interface: &str, frames: &[&str]) -> Result<()> {
    let words = [&["send-frames", interface], frames].concat();
    native(net, python, &words)?.finish(patience())?;
    Ok(())
}

/// Hears natively what comes in, until `count` frames came or a moment is over.
fn hear(net: &Net, python: &Path, interface: &str, count: usize) -> Result<Native> {
    let words = ["hear-frames", interface, "0003", &count.to_string(), "2"];
    native(net, python, &words)
}

/// Frames to everybody: with this protocol, tagged with VLAN 42, and one of another protocol.
struct Frames {
    wanted: String,
    tagged: String,
    other: String,
}

/// The Ethernet protocols for local experiments, IEEE Std 802.
const WANTED: u16 = 0x88b5;
const OTHER: u16 = 0x88b6;

fn frame(protocol: u16, seed: u8) -> String {
    let payload: Vec<u8> = (0..64).map(|place| place ^ seed).collect();
    format!("ffffffffffff020000000001{protocol:04x}{}", hex(&payload))
}

fn frames() -> Frames {
    let wanted = frame(WANTED, 1);
    let (addresses, rest) = wanted.split_at(24);
    Frames {
        tagged: format!("{addresses}8100002a{rest}"),
        other: frame(OTHER, 2),
        wanted,
    }
}

/// The frames that tcpdump(8) reads from a capture.
fn read_by_tcpdump(net: &Net, file: &Path) -> Result<Vec<String>> {
    let mut command = net.command("tcpdump");
    let output = command.args(["-n", "-t", "-xx", "-r"]).arg(file).output()?;
    ensure!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    let mut frames: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("0x") {
            // `0x0010:  0102 0304 ...`
            Some(words) => {
                let (_, words) = words.split_once(':').context("a line without an offset")?;
                let last = frames.last_mut().context("bytes before a frame")?;
                last.extend(words.split_whitespace());
            }
            None => frames.push(String::new()),
        }
    }
    Ok(frames)
}

#[test]
fn tcpdump_reads_the_sniffer() -> Result<()> {
    let name = "tcpdump_reads_the_sniffer";
    let Some(_kernel) = kernel::has(Need::PacketRaw, name) else {
        return Ok(());
    };
    if oracle(Tool::Tcpdump, name).is_none() {
        return Ok(());
    }
    let Some((net, python)) = cable(name)? else {
        return Ok(());
    };
    let place = folder()?;
    let run = || {
        GuestRun::new("sniffer")
            .net(&net)
            .policy(policy_path("sniffer"))
            .variable("interface", "v0")
            .directory(place.path(), "/captures")
            .argument("--file")
            .argument("/captures/v0.pcapng")
    };
    let guest = run()
        .argument("--clients")
        .argument("4")
        .argument("v0")
        .start()?;
    let listening = |line: &str| line.starts_with("listening on packet");
    guest.stderr.wait_for(patience(), listening)?;
    // Promiscuous mode is seen from outside.
    let shown = net
        .command("ip")
        .args(["-d", "link", "show", "v0"])
        .output()?;
    let shown = String::from_utf8(shown.stdout)?;
    ensure!(shown.contains("promiscuity 1"), "{shown}");
    let Frames {
        wanted,
        tagged,
        other,
    } = frames();
    // To somebody else, which a promiscuous socket hears too.
    let stranger = wanted.replacen("ffffffffffff", "020000000099", 1);
    send(&net, &python, "v1", &[&wanted, &tagged, &stranger])?;
    // Out of the interface itself.
    send(&net, &python, "v0", &[&other])?;
    let ended = guest.wait(patience())?.success()?;
    ensure!(
        ended.stderr.contains("4 frames, 0 dropped"),
        "{}",
        ended.stderr
    );
    let captured = read_by_tcpdump(&net, &place.path().join("v0.pcapng"))?;
    assert_eq!(captured, [wanted, tagged, stranger, other]);

    // The twins: another interface; a policy that does not say promiscuous.
    let ended = run().argument("v1").finish(patience())?;
    assert_eq!(ended.audit.denied("bind")?.errno(), "acces");
    let policy = std::fs::read_to_string(policy_path("sniffer"))?;
    let quiet = policy.replace("promiscuous = true", "#");
    let ended = GuestRun::new("sniffer")
        .net(&net)
        .policy_text(&quiet)
        .variable("interface", "v0")
        .argument("v0")
        .finish(patience())?;
    let denied = ended.audit.denied("set-option")?;
    ensure!(
        denied.grant().contains("promiscuous=true"),
        "{}",
        denied.grant()
    );
    Ok(())
}

/// A policy for one protocol on one end of the cable.
fn policy(more: &str) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"experiment\"\nfamily = [\"packet\"]\n\
         ops = [\"bind\", \"send-to\", \"receive\"]\ninterface = [\"v0\"]\nethertype = [\"0x88b5\"]\n{more}\n"
    )
}

#[test]
fn only_granted_frames_are_heard() -> Result<()> {
    let name = "only_granted_frames_are_heard";
    let Some(_kernel) = kernel::has(Need::PacketRaw, name) else {
        return Ok(());
    };
    let Some((net, python)) = cable(name)? else {
        return Ok(());
    };
    let Frames {
        wanted,
        tagged,
        other,
    } = frames();
    let second = frame(WANTED, 9);
    // Bound as granted; never bound, so that the kernel brings frames of every interface and protocol; with
    // room for less than a header; and by direction.
    let unbound = "p = packet raw 0003";
    let scripts: [(&str, &[&str], &str); 4] = [
        ("", &["p = packet raw 0000", "bind p ll:v0:88b5"], "2000"),
        ("", &[unbound], "2000"),
        ("", &["p = packet raw 88b5", "bind p ll:v0:0000"], "7"),
        ("direction = [\"in\"]", &["p = packet raw 0003"], "2000"),
    ];
    for (more, opening, room) in scripts {
        let receive = format!("recv-from p {room}");
        let mut script = opening.to_vec();
        script.extend(["timeout p 30000", &receive, "recv p 1999"]);
        let guest = net_steps(&net, &policy(more), &script).start()?;
        guest.wait_for_line("timeout p 30000 -> ok", patience())?;
        // On v0 they go out, on v1 they come in.
        if !more.is_empty() {
            send(&net, &python, "v0", &[&wanted])?;
        }
        send(
            &net,
            &python,
            "v1",
            &[&other, &second, &tagged, &other, &wanted],
        )?;
        let ended = guest.wait(patience())?.success()?;
        let room: usize = room.parse()?;
        let first = from_hex(&second)?;
        let heard = hex(&first[..room.min(first.len())]);
        let source = "v0 0x88b5 02:00:00:00:00:01";
        assert_eq!(ended.step(&receive)?, format!("x{heard} from {source}"));
        let next = ended.step("recv p 1999")?;
        // The kernel takes a tag out, and what is then left is a frame as granted.
        let stripped = wanted.clone();
        assert_eq!(next, format!("x{stripped}"), "{opening:?}");
        let denied = ended
            .audit
            .of("receive")
            .filter(|record| record.is_denied());
        let bound_to_it = opening.len() == 2;
        ensure!(bound_to_it || denied.count() >= 1, "{opening:?}");
    }

    // What no guest knows of a frame beside its rule: its payload. On the loopback each is there twice.
    let on_loopback = frame(WANTED, 77);
    let hears = |policy: &str, count: usize| -> Result<String> {
        let rooms: Vec<String> = (0..count)
            .map(|more| format!("recv p {}", 1900 + more))
            .collect();
        let script = [unbound, "timeout p 30000"]
            .into_iter()
            .chain(rooms.iter().map(String::as_str));
        let guest = net_steps(&net, policy, &script.collect::<Vec<_>>()).start()?;
        guest.wait_for_line("timeout p 30000 -> ok", patience())?;
        send(&net, &python, "lo", &[&on_loopback])?;
        send(&net, &python, "v1", &[&other, &wanted, &wanted])?;
        Ok(guest.wait(patience())?.success()?.stdout)
    };
    let (attack, control) = (hears(&policy(""), 2)?, hears(&wide(), 4)?);
    for (id, phrase, payload) in [
        ("packet-every-protocol", "ETH_P_ALL", &other),
        (
            "packet-every-interface",
            "packet sockets bound to no interface",
            &on_loopback,
        ),
    ] {
        Attack::new(id, SECTION, phrase)
            .tried("listens for every protocol on a socket that it never binds")
            .got("the granted frames alone")
            .checked("a frame's payload, which it cannot know, is in nothing that it got")
            .saw(
                "the payload",
                attack.contains(&payload[28..]),
                control.contains(&payload[28..]),
            )
            .state()?;
    }
    Ok(())
}

const SECTION: &str = "Netlink, packet, raw";

/// A policy for every protocol on every interface.
fn wide() -> String {
    policy("")
        .replace("\"v0\"", "\"*\"")
        .replace("\"0x88b5\"", "\"*\"")
}

/// The phrase that a step belongs to, by the interface and the protocol that it names.
fn phrase_of(step: &str) -> &'static str {
    match step.rsplit(' ').next().unwrap_or_default() {
        place if place.starts_with("ll:*") => "packet sockets bound to no interface",
        place if place.ends_with(":0003") => "ETH_P_ALL",
        _ => "packet sockets bound to another ethertype",
    }
}

#[test]
fn only_granted_frames_are_sent() -> Result<()> {
    let name = "only_granted_frames_are_sent";
    let Some(_kernel) = kernel::has(Need::PacketRaw, name) else {
        return Ok(());
    };
    let Some((net, python)) = cable(name)? else {
        return Ok(());
    };
    let Frames {
        wanted,
        tagged,
        other,
    } = frames();
    let refused = [
        // Another protocol under the granted one's name, under none, and under every one's.
        format!("send-to p x{other} ll:v0:88b5"),
        format!("send-to p x{other} ll:v0:0000"),
        format!("send-to p x{other} ll:v0:0003"),
        format!("send p x{other}"),
        format!("send-to p x{tagged} ll:v0:88b5"),
        format!("send-to p x{wanted} ll:v0:88b6"),
        format!("send-to p x{wanted} ll:v1:88b5"),
        format!("send-to p x{wanted} ll:lo:88b5"),
        format!("send-to p x{wanted} ll:*:88b5"),
        format!("send-to p x{} ll:v0:88b5", &wanted[..26]),
        "send-to p x ll:v0:88b5".to_owned(),
        "bind q ll:v1:88b5".to_owned(),
        "bind q ll:*:88b5".to_owned(),
        "bind q ll:v0:0003".to_owned(),
        "bind q ll:v0:88b6".to_owned(),
        "bind q ll:v0:0800".to_owned(),
        format!("send-to d x{other} ll:v0:88b6"),
        format!("send-to d x{other} ll:v0:0000"),
    ];
    let payload = &wanted[28..];
    let granted = [
        format!("send-to p x{wanted} ll:v0:88b5"),
        format!("send-to p x{wanted} ll:v0:0000"),
        format!("send p x{wanted}"),
        format!("send-to d x{payload} ll:v0:88b5"),
    ];
    let mut script = vec![
        "p = packet raw 0000".to_owned(),
        "bind p ll:v0:88b5".to_owned(),
        "q = packet raw 0000".to_owned(),
        "d = packet datagram 0000".to_owned(),
    ];
    script.extend(refused.iter().chain(&granted).cloned());
    let witness = hear(&net, &python, "v1", granted.len() + 1)?;
    let ended = watched(net_steps(&net, &policy(""), &script), name)?;
    for step in &granted {
        ensure!(ended.step(step)?.starts_with("ok "), "{step}");
    }
    let heard = told(&witness.finish(patience())?, "received");
    let beside = hear(&net, &python, "v1", refused.len() + granted.len())?;
    let control = watched(net_steps(&net, &wide(), &script), name)?;
    let heard_of_all = told(&beside.finish(patience())?, "received");
    let foreign = |heard: &[String]| -> Vec<String> {
        let frames = heard.iter().filter(|frame| !frame.contains(payload));
        frames.cloned().collect()
    };
    for (number, step) in refused.iter().enumerate() {
        assert_eq!(ended.step(step)?, "acces", "{step}");
        // What is shorter than a header is sent under no rule.
        let seen = match control.step(step)? {
            "acces" => &granted[0],
            _ => step,
        };
        let call = if step.starts_with("bind") {
            "bind"
        } else {
            "sendto"
        };
        Attack::new(format!("packet-{number}"), SECTION, phrase_of(step))
            .tried(format!(
                "goes beside ethertype 0x88b5 on v0: {}",
                &step[..step.len().min(40)]
            ))
            .step((&ended, step), (&control, seen), &[call, "sendmsg"])?
            .saw("a native listener", foreign(&heard), foreign(&heard_of_all))
            .state()?;
    }
    assert_eq!(heard.len(), granted.len(), "{heard:#?}");
    for frame in &heard[..3] {
        assert_eq!(frame, &wanted);
    }
    // The kernel wrote this one's header, with the interface's own address.
    ensure!(
        heard[3].ends_with(payload) && heard[3][24..28] == wanted[24..28],
        "{heard:?}"
    );
    if ended.syscalls.is_some() {
        // The host asks the kernel for the interfaces' names.
        let own = |line: &String| line.contains("AF_NETLINK");
        let mut sent = [ended.made("sendto")?, ended.made("sendmsg")?].concat();
        sent.retain(|line| !own(line));
        assert_eq!(sent.len(), granted.len(), "{sent:#?}");
        let bound = ended.made("bind")?;
        assert_eq!(bound.iter().filter(|line| !own(line)).count(), 1);
    }
    let denied = ended
        .audit
        .of("send-to")
        .filter(|record| record.is_denied());
    assert_eq!(denied.count(), 13);
    Ok(())
}

/// `ldb [14]; jeq #0x40 ? accept : drop` on the first byte behind the Ethernet header.
const FILTER: &str = "300000000e000000 1500000140000000 06000000ffff0000 0600000000000000";

#[test]
fn a_filter_and_counts_are_granted_by_name() -> Result<()> {
    let name = "a_filter_and_counts_are_granted_by_name";
    let Some(_kernel) = kernel::has(Need::PacketRaw, name) else {
        return Ok(());
    };
    let Some((net, python)) = cable(name)? else {
        return Ok(());
    };
    let (yes, no) = (frame(WANTED, 0x40), frame(WANTED, 0x41));
    let attach = format!("set p 1 26 {}", FILTER.replace(' ', ""));
    let attach: &str = &attach;
    let script = [
        "p = packet raw 0000",
        attach,
        "bind p ll:v0:88b5",
        "recv p 2000",
        "get p 263 6 8",
    ];
    let options = "options = { set = [\"so.attach-filter\"], get = [\"packet.statistics\"] }";
    let guest = net_steps(&net, &policy(options), &script).start()?;
    guest.wait_for_line("bind p ll:v0:88b5 -> ok", patience())?;
    send(&net, &python, "v1", &[&no, &no, &yes])?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("recv p 2000")?, format!("x{yes}"));
    assert_eq!(ended.step("get p 263 6 8")?, "x0100000000000000");

    // By wildcard none of what reaches beyond the socket is granted.
    let wildcard = policy("options = { set = [\"*\"], get = [\"*\"] }");
    let refused = [
        attach,
        // SO_ATTACH_BPF, SO_LOCK_FILTER
        "set p 1 50 05000000",
        "set p 1 44 01000000",
        // PACKET_RX_RING, PACKET_TX_RING, PACKET_VERSION, PACKET_FANOUT, PACKET_FANOUT_DATA
        "set p 263 5 00100000010000000010000001000000",
        "set p 263 13 00100000010000000010000001000000",
        "set p 263 10 02000000",
        "set p 263 18 01000000",
        "set p 263 22 0000000000000000",
        // PACKET_VNET_HDR, PACKET_QDISC_BYPASS
        "set p 263 15 01000000",
        "set p 263 20 01000000",
        // PACKET_ADD_MEMBERSHIP: promiscuous on v0's number, on none, multicast on the loopback.
        "set p 263 1 02000000010000000000000000000000",
        "set p 263 1 00000000010000000000000000000000",
        "set p 263 1 01000000000006000180c200000e0000",
    ];
    let script = [
        &["p = packet raw 0000"],
        &refused[..],
        &["set p 263 8 01000000"],
    ]
    .concat();
    let run = net_steps(&net, &wildcard, &script);
    let strace = oracle(Tool::Strace, name);
    let run = match &strace {
        Some(strace) => run.strace(strace),
        None => run,
    };
    let ended: Ended = run.finish(patience())?.success()?;
    for step in refused {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    // PACKET_AUXDATA is plain.
    assert_eq!(ended.step("set p 263 8 01000000")?, "ok");
    if strace.is_some() {
        assert_eq!(ended.made("setsockopt")?.len(), 1);
    }
    let denied = ended
        .audit
        .of("set-option")
        .filter(|record| record.is_denied());
    assert_eq!(denied.count(), refused.len());
    Ok(())
}

#[test]
fn payloads_come_without_their_header() -> Result<()> {
    let name = "payloads_come_without_their_header";
    let Some(_kernel) = kernel::has(Need::PacketDgram, name) else {
        return Ok(());
    };
    let Some((net, python)) = cable(name)? else {
        return Ok(());
    };
    let Frames { wanted, other, .. } = frames();
    let script = [
        "d = packet datagram 0000",
        "bind d ll:v0:88b5",
        "recv-from d 2000",
    ];
    let guest = net_steps(&net, &policy(""), &script).start()?;
    guest.wait_for_line("bind d ll:v0:88b5 -> ok", patience())?;
    send(&net, &python, "v1", &[&other, &wanted])?;
    let ended = guest.wait(Duration::from_secs(30))?.success()?;
    let heard = format!("x{} from v0 0x88b5 02:00:00:00:00:01", &wanted[28..]);
    assert_eq!(ended.step("recv-from d 2000")?, heard);

    // The twin: nothing at all without a grant, and not a stream's grant.
    for policy in [
        "version = 1\n",
        "version = 1\n[[allow]]\nid = \"tcp\"\nops = [\"connect\"]\ncidr = [\"*\"]\n",
    ] {
        let ended = net_steps(&net, policy, &script).finish(patience())?;
        assert_eq!(ended.step("d = packet datagram 0000")?, "acces");
        assert_eq!(ended.audit.denied("socket")?.errno(), "acces");
    }
    Ok(())
}
