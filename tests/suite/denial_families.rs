//! Ways round a policy that need more than one kind of socket or more than one step: options without a value,
//! verdicts that outlive what they judged, sockets that arrive with a past, what is looked at and not taken,
//! pairs, frames of another format, and suggestions that would grant too much.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, GuestRun, Native, Need, Net, Record, Tool, ear, folder, free_port, has_ipv6, heard,
    kernel, made_none, oracle, patience, skip, steps, watched,
};

/// A guest that takes these steps, described in `tests/guests/src/bin/denial_families.rs`.
fn family_steps<S: AsRef<str>>(steps: impl IntoIterator<Item = S>) -> GuestRun {
    steps
        .into_iter()
        .fold(GuestRun::new("denial_families"), |run, step| {
            run.argument(step.as_ref())
        })
}

/// The rule that a record suggests, as `--allow` takes it.
fn suggested(record: &Record) -> Result<&str> {
    let line = record.grant().strip_prefix("--allow '");
    line.and_then(|line| line.strip_suffix('\''))
        .with_context(|| format!("no line for --allow: {}", record.grant()))
}

/// The suggestions of every refused send, in order.
fn suggestions(ended: &Ended) -> Result<Vec<&str>> {
    let refused = ended.audit.of("send-to").filter(|r| r.is_denied());
    refused.map(suggested).collect()
}

/// The kernel takes a missing value for 0: IPV6_V6ONLY would go off, and IPv4 clients would come in.
#[test]
fn an_option_without_a_value_opens_no_listener_to_ipv4() -> Result<()> {
    let name = "an_option_without_a_value_opens_no_listener_to_ipv4";
    if !has_ipv6() {
        skip(name, "no IPv6 here");
        return Ok(());
    }
    let port = free_port()?;
    let bind = format!("bind s [::]:{port}");
    let policy = |addresses: &str| {
        format!(
            "version = 1\n[[allow]]\nid = \"six\"\nfamily = [\"inet\", \"inet6\"]\ntype = [\"stream\"]\n\
             ops = [\"listen\"]\npeer = \"*\"\nlocal = {{ cidr = [{addresses}], port = [\"{port}\"] }}\n\
             options = {{ set = [\"ipv6.v6only\"], get = [\"ipv6.v6only\"] }}\n"
        )
    };
    let run = |wish: &str, addresses: &str| -> Result<(Ended, bool)> {
        let script = [
            "s = socket inet6 stream default",
            wish,
            &bind,
            "get s 41 26",
            "listen s",
            "timeout s 20000",
            "c = accept s",
            "send c welcome",
        ];
        let run = family_steps(script).policy_text(&policy(addresses));
        let guest = match oracle(Tool::Strace, name) {
            Some(strace) => run.strace(&strace),
            None => run,
        }
        .start()?;
        guest.wait_for_line("timeout s", patience())?;
        let four = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let reached = match TcpStream::connect_timeout(&four, patience()) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => false,
            Err(error) => return Err(error.into()),
        };
        if !reached {
            // The listener is there all the same, for IPv6.
            TcpStream::connect((Ipv6Addr::LOCALHOST, port))?;
        }
        Ok((guest.wait(patience())?.success()?, reached))
    };
    // The kernel takes a missing value for zeros: one that is long enough is a wish like any other.
    for (length, expected) in [
        ("0", "inval"),
        ("3", "inval"),
        ("4", "ok"),
        ("4294967295", "ok"),
    ] {
        let wish = format!("set-length s 41 26 {length}");
        let (ended, reached) = run(&wish, "\"::/0\"")?;
        assert_eq!(ended.step(&wish)?, expected, "{wish}");
        assert_eq!(ended.step("get s 41 26")?, "ok 1", "{wish}");
        assert_eq!(ended.step("c = accept s")?, "ok");
        ensure!(!reached, "{wish} let IPv4 in");
        if ended.syscalls.is_some() {
            let set = ended.made("setsockopt")?;
            ensure!(!set.iter().any(|call| call.contains("NULL")), "{set:?}");
        }
    }
    // With its value it is a wish, which only a rule for the IPv4 form grants.
    let wish = "set s 41 26 0x00000000";
    let (kept, reached) = run(wish, "\"::/0\"")?;
    assert_eq!(kept.step("get s 41 26")?, "ok 1");
    ensure!(!reached, "IPv4 came in without a rule for it");
    let (twin, reached) = run(wish, "\"::/0\", \"0.0.0.0/0\"")?;
    assert_eq!(twin.step(wish)?, "ok");
    assert_eq!(twin.step("get s 41 26")?, "ok 0");
    ensure!(reached, "{}", twin.stdout);
    Ok(())
}

/// What was sent before an option is no reason to send after it.
#[test]
fn a_kept_verdict_ends_with_an_option() -> Result<()> {
    let name = "a_kept_verdict_ends_with_an_option";
    let (plain, a) = ear("127.0.0.1:0")?;
    let (marked, b) = ear("127.0.0.1:0")?;
    let rule = |id: &str, port: u16, rest: &str| {
        format!(
            "[[allow]]\nid = \"{id}\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\nops = [\"send-to\"]\n\
             cidr = [\"127.0.0.1\"]\nport = [\"{port}\"]\n{rest}\n"
        )
    };
    let policy = format!(
        "version = 1\n{}{}",
        rule("plain", a, ""),
        rule("marked", b, "options = { set = [\"so.mark\"] }")
    );
    let script = [
        "s = socket inet datagram".to_owned(),
        format!("send-to s one 127.0.0.1:{a}"),
        format!("send-to s two 127.0.0.1:{b}"),
        "set s 1 36 07000000".to_owned(),
        format!("send-to s three 127.0.0.1:{a}"),
        format!("send-msg-to s three 127.0.0.1:{a}"),
        format!("send-many s 127.0.0.1:{a}"),
        format!("connect s 127.0.0.1:{a}"),
        format!("send-to s four 127.0.0.1:{b}"),
    ];
    let ended = watched(steps(&script).policy_text(&policy), name)?;
    assert_eq!(ended.step(&script[1])?, "ok 3");
    assert_eq!(ended.step(&script[2])?, "ok 3");
    assert_eq!(ended.step(&script[3])?, "ok", "{}", ended.stderr);
    assert_eq!(ended.step(&script[4])?, "acces");
    assert_eq!(ended.step(&script[5])?, "acces");
    assert_eq!(ended.step(&script[6])?, "0 sent, then acces");
    assert_eq!(ended.step(&script[7])?, "acces");
    assert_eq!(ended.step(&script[8])?, "ok 4");
    let refused = ended.audit.denied("send-to")?;
    assert_eq!(refused.address(), format!("127.0.0.1:{a}"));
    made_none(&ended, &["connect"])?;
    assert_eq!(heard(&plain)?.as_deref(), Some("one"));
    assert_eq!(heard(&plain)?, None);
    assert_eq!(heard(&marked)?.as_deref(), Some("two"));
    assert_eq!(heard(&marked)?.as_deref(), Some("four"));

    // The twin: without the option the same sends are granted.
    let without = script.iter().filter(|step| !step.starts_with("set "));
    let twin = steps(without).policy_text(&policy).finish(patience())?;
    assert_eq!(twin.step(&script[4])?, "ok 5");
    assert_eq!(twin.step(&script[5])?, "ok 5");
    assert_eq!(twin.step(&script[6])?, "1 sent, then none");
    Ok(())
}

/// What an unbound raw socket may hear, it may not hear at an address where a rule forbids it.
#[test]
fn a_kept_verdict_ends_with_a_bind() -> Result<()> {
    let name = "a_kept_verdict_ends_with_a_bind";
    let Some(_kernel) = kernel::has(Need::InetRaw, name) else {
        return Ok(());
    };
    let (Some(ping), Some(net)) = (oracle(Tool::Ping, name), Net::new(name)?) else {
        return Ok(());
    };
    let run = |forbidden: &str| -> Result<Ended> {
        let place = folder()?;
        let policy = format!(
            "version = 1\n[[allow]]\nid = \"everywhere\"\nfamily = [\"inet\"]\ntype = [\"raw\"]\n\
             ops = [\"bind\", \"receive\"]\nlocal = \"*\"\npeer = \"*\"\n\
             [[deny]]\nid = \"not-there\"\nfamily = [\"inet\"]\ntype = [\"raw\"]\nops = [\"receive\"]\n\
             local = {{ cidr = [\"{forbidden}\"] }}\n"
        );
        let guest = family_steps([
            "s = socket inet raw icmp",
            "until /steps/first",
            "recv s dont-wait",
            "recv-many s 16 dont-wait",
            "bind s 127.0.0.2:0",
            "until /steps/second",
            "recv s dont-wait|peek",
            "recv-many s 15 dont-wait",
        ])
        .policy_text(&policy)
        .directory(place.path(), "/steps")
        .net(&net)
        .start()?;
        for (after, file) in [("s = socket", "first"), ("bind s", "second")] {
            guest.wait_for_line(after, patience())?;
            let sent = net.command(&ping).args(["-c", "1", "127.0.0.2"]).output()?;
            ensure!(sent.status.success(), "{sent:?}");
            std::fs::write(place.path().join(file), "")?;
        }
        guest.wait(patience())?.success()
    };
    // The request at least is as long as ping(8) makes it: a header, ICMP's own, and 56 bytes.
    let ended = run("127.0.0.2")?;
    assert_eq!(ended.step("recv s dont-wait")?, "84 bytes");
    ensure!(ended.step("recv-many s 16 dont-wait")?.starts_with("84 "));
    assert_eq!(ended.step("bind s 127.0.0.2:0")?, "ok");
    assert_eq!(ended.step("recv s dont-wait|peek")?, "acces");
    assert_eq!(ended.step("recv-many s 15 dont-wait")?, "acces");
    assert_eq!(ended.audit.denied("recv")?.rule(), "not-there");
    assert_eq!(ended.audit.denied("recv-many")?.rule(), "not-there");

    // The twin: forbidden at another address, it hears on.
    let twin = run("127.0.0.3")?;
    assert_eq!(twin.step("recv s dont-wait|peek")?, "84 bytes");
    ensure!(twin.step("recv-many s 15 dont-wait")?.starts_with("84 "));
    Ok(())
}

/// Hands over a socket of the kind that it is told, and beside it a UDP socket at 127.0.0.1:7007.
const SENDER: &str = "
import array, socket, sys
path, what = sys.argv[1:]
if what == 'can':
    strange = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    strange.bind(('vcan0',))
else:
    strange = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    strange.bind(('127.0.0.1', 0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('127.0.0.1', 7007))
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(path)
handles = array.array('i', [strange.fileno(), udp.fileno()])
s.sendmsg([b'handles'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)])
s.recv(1)
";

const UDP_RULE: &str = "[[allow]]
id = \"udp\"
family = [\"inet\"]
type = [\"datagram\"]
ops = [\"bind\", \"receive\", \"send-to\"]
local = { cidr = [\"127.0.0.1\"], port = [\"7007\"] }
peer = { cidr = [\"127.0.0.1\"] }
";

/// What the guest saw of a message with a socket of a kind and a UDP one, and the kernel's table of sockets of
/// that kind while the guest was still there and the sender was not.
fn arrived(net: &Net, what: &str, table: &str, rules: &str) -> Result<Option<(Ended, String)>> {
    let Some(python) = oracle(Tool::Python, "denial_families") else {
        return Ok(None);
    };
    let place = folder()?;
    let folder = place.path().display();
    let bind = format!("bind s path:{folder}/hand-over");
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"hand-over\"\nfamily = [\"unix\"]\ntype = [\"stream\"]\n\
         ops = [\"listen\", \"descriptor-receive\"]\npeer = \"*\"\nkinds = [\"socket\", \"opaque\"]\n\
         local = {{ root = \"{folder}\", path = [\"hand-over\"] }}\n{rules}"
    );
    let guest = steps([
        "s = socket unix stream",
        &bind,
        "listen s",
        "c = accept s",
        "recv-msg c 100 2048",
        "send c !",
        "until /steps/looked",
        "send-to in0 own 127.0.0.1:7007",
        "recv-from in0 100",
    ])
    .policy_text(&policy)
    .directory(place.path(), "/steps")
    .net(net)
    .start()?;
    guest.wait_for_line("listen s -> ok", patience())?;
    let mut sender = net.command(python);
    sender
        .args(["-c", SENDER])
        .arg(place.path().join("hand-over"));
    Native::start(sender.arg(what))?.finish(patience())?;
    let table = net.command("cat").arg(table).output()?;
    std::fs::write(place.path().join("looked"), "")?;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    Ok(Some((guest.wait(patience())?.success()?, table)))
}

/// A socket whose queue holds what was judged by nobody is closed, whatever the rules say of its kind; what
/// came beside it is not.
fn no_socket_with_a_hidden_past(net: &Net, what: &str, table: &str, rule: &str) -> Result<()> {
    let Some((ended, left)) = arrived(net, what, table, &format!("{rule}{UDP_RULE}"))? else {
        return Ok(());
    };
    let received = "recv-msg c 100 2048";
    assert_eq!(ended.step(received)?, "\"handles\" + socket in0");
    assert_eq!(ended.step("send-to in0 own 127.0.0.1:7007")?, "ok 3");
    assert_eq!(
        ended.step("recv-from in0 100")?,
        "\"own\" from 127.0.0.1:7007"
    );
    let refused: Vec<_> = ended
        .audit
        .of("descriptor-receive")
        .filter(|record| record.is_denied())
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    // By its kind, or since the host cannot learn where it is bound.
    let kind = refused[0].field("arguments").to_string();
    let reason = refused[0].reason();
    println!("{what} was refused: {kind}, {reason}");
    ensure!(
        kind.contains("raw") || reason.contains("does not tell"),
        "{kind}: {reason}"
    );
    ensure!(!is_in(&left, what), "{left}");

    // Without its rule the UDP socket is refused as well: the two are judged apart.
    let Some((neither, _)) = arrived(net, what, table, rule)? else {
        return Ok(());
    };
    assert_eq!(neither.step(received)?, "\"handles\"");
    let refused = neither.audit.of("descriptor-receive");
    assert_eq!(refused.filter(|record| record.is_denied()).count(), 2);
    Ok(())
}

/// Whether a socket of this kind stands in the kernel's table.
fn is_in(table: &str, what: &str) -> bool {
    match what {
        "can" => table.contains("raw"),
        // Beneath its headings.
        _ => table.lines().count() > 1,
    }
}

#[test]
fn a_raw_ip_socket_does_not_arrive() -> Result<()> {
    let name = "a_raw_ip_socket_does_not_arrive";
    let Some(_kernel) = kernel::has(Need::InetRaw, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let rule = "[[allow]]\nid = \"raw\"\nfamily = [\"inet\"]\ntype = [\"raw\"]\n\
                ops = [\"bind\", \"receive\", \"send-to\", \"connect\"]\nlocal = \"*\"\npeer = \"*\"\n";
    no_socket_with_a_hidden_past(&net, "inet-raw", "/proc/net/raw", rule)
}

#[test]
fn a_can_socket_does_not_arrive() -> Result<()> {
    let name = "a_can_socket_does_not_arrive";
    let Some(_kernel) = kernel::has(Need::CanRaw, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    net.vcan("vcan0")?;
    let rule = "[[allow]]\nid = \"can\"\nfamily = [\"can\"]\nprotocol = [\"raw\"]\n\
                ops = [\"bind\", \"receive\", \"send-to\"]\ninterface = [\"*\"]\ncan-id = [\"*\"]\n";
    no_socket_with_a_hidden_past(&net, "can", "/proc/net/can/rcvlist_all", rule)
}

/// A batch that only looks ends where all of it is hidden, and finds what stands behind.
#[test]
fn looking_at_hidden_batches_comes_to_an_end() -> Result<()> {
    let place = folder()?;
    let port = free_port()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let guest = family_steps([
        "s = socket inet datagram default",
        &bind,
        "until /steps/strangers-wrote",
        "recv-many s 2 peek|dont-wait",
        "say go",
        "until /steps/granted-wrote",
        "poll s 5000",
        "recv-many s 3 peek|dont-wait",
        "recv-many s 4 peek|dont-wait",
        "recv-many s 4 dont-wait",
        "recv-many s 5 peek|dont-wait",
    ])
    .allow(&format!("udp bind,receive 127.0.0.1:{port} peer 127.0.0.2"))
    .directory(place.path(), "/steps")
    .start()?;
    guest.wait_for_line("bind s", patience())?;
    let stranger = UdpSocket::bind("127.0.0.3:0")?;
    let granted = UdpSocket::bind("127.0.0.2:0")?;
    let to = (Ipv4Addr::LOCALHOST, port);
    for _ in 0..5 {
        stranger.send_to(b"strange", to)?;
    }
    std::fs::write(place.path().join("strangers-wrote"), "")?;
    guest.wait_for_line("say go", patience())?;
    for _ in 0..3 {
        stranger.send_to(b"strange", to)?;
    }
    granted.send_to(b"known", to)?;
    stranger.send_to(b"strange", to)?;
    std::fs::write(place.path().join("granted-wrote"), "")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step("recv-many s 2 peek|dont-wait")?, "again");
    assert_eq!(ended.step("poll s 5000")?, "ready");
    // What is looked at stays first in the queue, so that the kernel shows it once for each place.
    let shown = ["\"known\""; 4];
    assert_eq!(
        ended.step("recv-many s 3 peek|dont-wait")?,
        shown[..3].join(" ")
    );
    assert_eq!(ended.step("recv-many s 4 peek|dont-wait")?, shown.join(" "));
    assert_eq!(ended.step("recv-many s 4 dont-wait")?, "\"known\"");
    assert_eq!(ended.step("recv-many s 5 peek|dont-wait")?, "again");
    let hidden = ended.audit.of("receive").filter(|r| r.is_denied());
    ensure!(hidden.count() >= 9);
    Ok(())
}

/// What a guest sees that looks at its error queue in this way, and then takes what a peer sent it before. Only
/// the peer may be heard; what comes from the error queue is of the guest's own sends to another.
fn look_at_errors(look: &str) -> Result<()> {
    let port = free_port()?;
    let closed = UdpSocket::bind("127.0.0.4:0")?.local_addr()?;
    let place = folder()?;
    let bind = format!("bind s 127.0.0.1:{port}");
    let send = format!("send-to s gone {closed}");
    let rules = [
        format!("udp bind,receive 127.0.0.1:{port} peer 127.0.0.2"),
        format!("udp bind,send-to 127.0.0.1:{port} peer {closed}"),
    ];
    let guest = family_steps([
        "s = socket inet datagram default",
        // IP_RECVERR
        "set s 0 11 0x01000000",
        &bind,
        "until /steps/wrote",
        &send,
        "timeout s 5000",
        look,
        "recv s none",
        "recv s dont-wait",
    ]);
    let guest = rules
        .iter()
        .map(|rule| format!("{rule} flags=errqueue set=ip.recverr"))
        .fold(guest, |guest, rule| guest.allow(&rule))
        .directory(place.path(), "/steps")
        .start()?;
    guest.wait_for_line("bind s", patience())?;
    let granted = UdpSocket::bind("127.0.0.2:0")?;
    granted.send_to(b"ordinary", (Ipv4Addr::LOCALHOST, port))?;
    std::fs::write(place.path().join("wrote"), "")?;
    let ended = guest.wait(patience())?.success()?;
    assert_eq!(ended.step(&send)?, "ok 4", "{}", ended.stderr);
    assert_eq!(ended.step("recv s none")?, "\"ordinary\"");
    assert_eq!(ended.step("recv s dont-wait")?, "again");
    assert_eq!(ended.step(look)?, "\"gone\"");
    Ok(())
}

#[test]
fn looking_at_the_error_queue_takes_no_message() -> Result<()> {
    look_at_errors("recv s err-queue|peek")?;
    look_at_errors("recv s err-queue")
}

#[test]
fn a_batch_of_the_error_queue_takes_no_message() -> Result<()> {
    look_at_errors("recv-many s 2 err-queue|peek")?;
    look_at_errors("recv-many s 2 err-queue")
}

/// TIPC has pairs and no rule can name them: a mode that lets through what lacks a rule is none for them.
#[test]
fn no_mode_lets_a_pair_through_that_no_rule_could_grant() -> Result<()> {
    let name = "no_mode_lets_a_pair_through_that_no_rule_could_grant";
    let Some(_kernel) = kernel::has(Need::TipcStream, name) else {
        return Ok(());
    };
    let pairs = ["p = pair tipc stream", "q = pair tipc seqpacket"];
    let twin = "u = pair unix stream";
    for mode in ["audit", "learn", "enforce"] {
        let policy = format!("version = 1\nmode = \"{mode}\"\n");
        let script = pairs.iter().chain([&twin]);
        let ended = watched(family_steps(script).policy_text(&policy), name)?;
        for pair in pairs {
            assert_eq!(ended.step(pair)?, "acces", "{mode}");
        }
        let refused = ended.audit.of("socketpair").filter(|r| r.is_denied());
        let let_through = mode != "enforce";
        assert_eq!(refused.count(), if let_through { 2 } else { 3 });
        assert_eq!(ended.step(twin)?, if let_through { "ok" } else { "acces" });
        if ended.syscalls.is_some() {
            let made = ended.made("socketpair")?;
            ensure!(made.iter().all(|call| call.contains("AF_UNIX")), "{made:?}");
        }
    }
    Ok(())
}

/// struct can_frame with two bytes of data, in hex.
fn classic(id: u16) -> String {
    format!(
        "0x{:02x}{:02x}0000020000001122000000000000",
        id & 0xff,
        id >> 8
    )
}

/// struct canfd_frame with the same.
fn flexible(id: u16) -> String {
    format!("{}{}", classic(id), "00".repeat(72 - 16))
}

/// How many frames came onto the bus.
fn frames_on(net: &Net) -> Result<u64> {
    let file = "/sys/class/net/vcan0/statistics/rx_packets";
    let text = net.command("cat").arg(file).output()?;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    text.trim().parse().context("no count of frames")
}

/// A rule about classic frames grants none of CAN FD with the same id.
#[test]
fn a_can_fd_frame_needs_its_own_word() -> Result<()> {
    let name = "a_can_fd_frame_needs_its_own_word";
    let Some(_kernel) = kernel::has(Need::CanFd, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    net.vcan("vcan0")?;
    let rule = "can-raw bind,send-to interface=vcan0 can-id=0x123 set=can-raw.fd-frames";
    let (old, new) = (
        format!("send s {}", classic(0x123)),
        format!("send s {}", flexible(0x123)),
    );
    // CAN_RAW_FD_FRAMES
    let option = "set s 101 5 0x01000000";
    let bind = "bind s can:vcan0";
    let script = ["s = socket can raw can-raw", option, bind, &old, &new];
    let ended = watched(family_steps(script).allow(rule).net(&net), name)?;
    assert_eq!(ended.step(option)?, "ok");
    assert_eq!(ended.step(&old)?, "ok 16");
    assert_eq!(ended.step(&new)?, "acces");
    assert_eq!(frames_on(&net)?, 1);
    let suggestion = suggested(ended.audit.denied("send-to")?)?;
    ensure!(suggestion.contains("fd=true"), "{suggestion}");

    let twin = watched(
        family_steps(script).allow(rule).allow(suggestion).net(&net),
        name,
    )?;
    assert_eq!(twin.step(&old)?, "ok 16");
    assert_eq!(twin.step(&new)?, "ok 72");
    assert_eq!(frames_on(&net)?, 3);
    Ok(())
}

/// What the audit suggests for a refused frame lets that frame through and no other.
#[test]
fn a_suggestion_for_a_can_frame_grants_its_id_alone() -> Result<()> {
    let name = "a_suggestion_for_a_can_frame_grants_its_id_alone";
    let Some(_kernel) = kernel::has(Need::CanRaw, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    net.vcan("vcan0")?;
    let (one, other) = (
        format!("send s {}", classic(0x123)),
        format!("send s {}", classic(0x124)),
    );
    let script = [
        "s = socket can raw can-raw",
        "bind s can:vcan0",
        &one,
        &other,
    ];
    let bind = "can-raw bind interface=vcan0";
    let run = || family_steps(script).allow(bind).net(&net);
    let ended = watched(run().trace(), name)?;
    assert_eq!(ended.step(&one)?, "acces");
    assert_eq!(ended.step(&other)?, "acces");
    assert_eq!(
        suggestions(&ended)?,
        [
            "can-raw send-to interface=vcan0 can-id=0x123",
            "can-raw send-to interface=vcan0 can-id=0x124"
        ]
    );
    let traced = "send-to(vcan0) = acces";
    assert_eq!(ended.stderr.matches(traced).count(), 2, "{}", ended.stderr);
    assert_eq!(frames_on(&net)?, 0);

    let twin = watched(run().allow(suggestions(&ended)?[0]), name)?;
    assert_eq!(twin.step(&one)?, "ok 16");
    assert_eq!(twin.step(&other)?, "acces");
    assert_eq!(frames_on(&net)?, 1);
    Ok(())
}

/// struct nlmsghdr and a struct ifinfomsg of zeros, in hex: a request to read, of which everything is told.
fn dump(kind: u8) -> String {
    format!("0x20000000{kind:02x}000103{}", "00".repeat(24))
}

/// As for CAN: one request of routing netlink, and another.
#[test]
fn a_suggestion_for_a_netlink_request_grants_its_kind_alone() -> Result<()> {
    let name = "a_suggestion_for_a_netlink_request_grants_its_kind_alone";
    let Some(_kernel) = kernel::has(Need::NetlinkRoute, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    // RTM_GETLINK and RTM_GETADDR.
    let (one, other) = (
        format!("send-to s {} netlink:0", dump(18)),
        format!("send-to s {} netlink:0", dump(22)),
    );
    let script = [
        "s = socket netlink raw netlink-route",
        "bind s netlink:0",
        &one,
        &other,
    ];
    let bind = "netlink-route bind";
    let run = || family_steps(script).allow(bind).net(&net);
    let ended = watched(run().trace(), name)?;
    assert_eq!(ended.step("bind s netlink:0")?, "ok", "{}", ended.stderr);
    assert_eq!(ended.step(&one)?, "acces");
    assert_eq!(ended.step(&other)?, "acces");
    ensure!(ended.stderr.contains("send-to(kernel) = acces"));
    let suggestions = suggestions(&ended)?;
    ensure!(suggestions[0].contains("getlink"), "{suggestions:?}");
    ensure!(suggestions[1].contains("getaddr"), "{suggestions:?}");

    let twin = watched(run().allow(suggestions[0]), name)?;
    assert_eq!(twin.step(&one)?, "ok 32", "{}", twin.stderr);
    assert_eq!(twin.step(&other)?, "acces");
    Ok(())
}

/// As for CAN: a frame of one Ethernet protocol, and a socket of another.
#[test]
fn a_suggestion_for_a_packet_grants_its_protocol_alone() -> Result<()> {
    let name = "a_suggestion_for_a_packet_grants_its_protocol_alone";
    let Some(_kernel) = kernel::has(Need::PacketRaw, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    // Two local experimental protocols, IEEE 802.
    let frame = |socket: &str, protocol: &str| {
        format!("send {socket} 0x020000000001020000000002{protocol}6869")
    };
    let (one, other) = (frame("s", "88b5"), frame("t", "88b6"));
    let script = [
        "s = socket packet raw default",
        "bind s packet:lo/0x88b5",
        &one,
        "t = socket packet raw default",
        "bind t packet:lo/0x88b6",
        &other,
    ];
    let bind = "packet-raw bind interface=lo ethertype=0x88b5,0x88b6";
    let run = || family_steps(script).allow(bind).net(&net);
    let ended = watched(run().trace(), name)?;
    assert_eq!(ended.step("bind t packet:lo/0x88b6")?, "ok");
    assert_eq!(ended.step(&one)?, "acces");
    assert_eq!(ended.step(&other)?, "acces");
    if ended.syscalls.is_some() {
        // The host's own: it asks the kernel for the interfaces' names.
        let sent = ended.made("sendto")?;
        ensure!(sent.iter().all(|call| call.contains("NETLINK")), "{sent:?}");
        ensure!(ended.made("sendmsg")?.is_empty());
    }
    ensure!(
        ended.stderr.contains("send-to(lo ethertype 0x88b5"),
        "{}",
        ended.stderr
    );
    let suggestion = suggestions(&ended)?[0];
    ensure!(suggestion.contains("ethertype=34997"), "{suggestion}");

    let twin = watched(run().allow(suggestion), name)?;
    assert_eq!(twin.step(&one)?, "ok 16");
    assert_eq!(twin.step(&other)?, "acces");
    Ok(())
}
