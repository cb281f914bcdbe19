//! Raw IP sockets and ping sockets: what native programs hear is what the guest sent, and no type, header
//! or host beyond the grant.

use std::path::Path;

use anyhow::{Result, ensure};
use sockgate_tests::{
    Attack, GuestRun, Native, Need, Net, from_hex, hex, kernel, net_and_python, net_steps,
    patience, policy_path, root, told, watched,
};

/// A native listener of `tests/native/frames.py` in the namespace.
fn listener(net: &Net, python: &Path, words: &[&str]) -> Result<Native> {
    let script = root().join("tests/native/frames.py");
    let native = Native::start(net.command(python).arg(script).args(words))?;
    native.wait_for_line("listening", patience())?;
    Ok(native)
}

/// The Internet checksum, RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An ICMP message of this type with its checksum.
fn icmp(kind: u8) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
    bytes.extend(b"of sockgate, byte for byte");
    let sum = checksum(&bytes).to_be_bytes();
    bytes[2..4].copy_from_slice(&sum);
    bytes
}

/// An IPv4 packet with a header of its own: protocol, source, destination.
fn ipv4(protocol: u8, source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len() as u16).to_be_bytes();
    let mut bytes = vec![
        0x45, 0, length[0], length[1], 0, 7, 0, 0, 64, protocol, 0, 0,
    ];
    bytes.extend(source);
    bytes.extend(destination);
    bytes.extend(payload);
    bytes
}

#[test]
fn hosts_answer_pings() -> Result<()> {
    let name = "hosts_answer_pings";
    let Some(_kernel) = kernel::has(Need::InetPing, name) else {
        return Ok(());
    };
    let Some(_kernel) = kernel::has(Need::Inet6Ping, name) else {
        return Ok(());
    };
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    net.ip(&["address", "add", "203.0.113.1/32", "dev", "lo"])?;
    let witness = listener(&net, &python, &["hear-raw", "inet", "1", "5", "5"])?;
    let run = || {
        GuestRun::new("ping")
            .net(&net)
            .policy(policy_path("ping"))
            .argument("--count")
            .argument("2")
    };
    let ended = run()
        .argument("127.0.0.1")
        .argument("::1")
        .finish(patience())?
        .success()?;
    for line in ["127.0.0.1 answered number 2 in", "::1 answered number 2 in"] {
        ensure!(ended.stdout.contains(line), "{}", ended.stdout);
    }
    // The twins: a host that is there, of another class; and no policy.
    let ended = run().argument("203.0.113.1").finish(patience())?;
    ensure!(!ended.status.success(), "{ended:?}");
    let denied = ended.audit.denied("send-to")?;
    assert_eq!(
        (denied.errno(), denied.address()),
        ("acces", "203.0.113.1:0")
    );
    let ended = GuestRun::new("ping")
        .net(&net)
        .argument("127.0.0.1")
        .finish(patience())?;
    assert_eq!(ended.audit.denied("socket")?.errno(), "acces");
    // Two questions and two answers, over IPv4.
    let heard = told(&witness.finish(patience())?, "received");
    let types: Vec<u8> = heard
        .iter()
        .map(|packet| Ok(from_hex(packet)?[20]))
        .collect::<Result<_>>()?;
    assert_eq!(types, [8, 0, 8, 0]);
    Ok(())
}

const SECTION: &str = "Netlink, packet, raw";

const PING: &str = "version = 1\n[[allow]]\nid = \"icmp\"\nfamily = [\"inet\"]\ntype = [\"raw\"]\nprotocol = [\"icmp\"]\n\
    ops = [\"send-to\", \"receive\"]\npeer = { cidr = [\"127.0.0.1\"] }\nicmp-type = [\"echo-request\", \"echo-reply\"]\n";

/// Where messages are judged by what is in them, a sender that was heard is not heard with everything.
#[test]
fn a_sender_is_judged_by_each_of_its_messages() -> Result<()> {
    let name = "a_sender_is_judged_by_each_of_its_messages";
    let Some((net, _)) = net_and_python(name)? else {
        return Ok(());
    };
    let rule = |id: &str, op: &str, kind: &str| {
        format!(
            "[[allow]]\nid = \"{id}\"\nfamily = [\"inet\"]\ntype = [\"raw\"]\nprotocol = [\"icmp\"]\n\
             ops = [\"{op}\"]\npeer = {{ cidr = [\"127.0.0.1\"] }}\nicmp-type = [\"{kind}\"]\n"
        )
    };
    let policy = "version = 1\n".to_owned()
        + &rule("asks", "send-to", "echo-request")
        + &rule("hears", "receive", "echo-reply");
    // A question comes by before its answer, both from the same address.
    let ask = format!("send-to r x{} ip:127.0.0.1", hex(&icmp(8)));
    let script = [
        "r = ip inet raw 1",
        &ask,
        "recv r 2000",
        &ask,
        "recv r 2001",
    ];
    let ended = net_steps(&net, &policy, &script)
        .finish(patience())?
        .success()?;
    for step in [script[2], script[4]] {
        assert_eq!(from_hex(ended.step(step)?)?[20], 0, "{step}");
    }
    Ok(())
}

#[test]
fn icmp_is_sent_and_heard_by_type() -> Result<()> {
    let name = "icmp_is_sent_and_heard_by_type";
    let Some(_kernel) = kernel::has(Need::InetRaw, name) else {
        return Ok(());
    };
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    let send = |kind: u8, to: &str| format!("send-to r x{} ip:{to}", hex(&icmp(kind)));
    let granted = send(8, "127.0.0.1");
    let refused = [
        // Redirect, one behind and one before what is granted, a timestamp.
        send(5, "127.0.0.1"),
        send(7, "127.0.0.1"),
        send(9, "127.0.0.1"),
        send(13, "127.0.0.1"),
        send(8, "127.0.0.2"),
        "send-to r x ip:127.0.0.1".to_owned(),
        // A header of its own, and a filter on others' behalf.
        "set r 0 3 01000000".to_owned(),
        "set r 1 44 01000000".to_owned(),
        "w = ip inet raw 255".to_owned(),
        "t = ip inet raw 6".to_owned(),
        "v = ip inet6 raw 58".to_owned(),
        "d = ip inet datagram 1".to_owned(),
    ];
    let mut script = vec!["r = ip inet raw 1".to_owned()];
    script.extend(refused.iter().cloned());
    let rest = [
        "timeout r 20000",
        "recv-from r 2000",
        "recv r 1999",
        "timeout r 200",
        "recv r 3",
    ];
    script.push(granted.clone());
    script.extend(rest.map(str::to_owned));
    let witness = listener(&net, &python, &["hear-raw", "inet", "1", "3", "2"])?;
    let ended = watched(net_steps(&net, PING, &script), name)?;
    let heard = told(&witness.finish(patience())?, "received");
    let every_type = PING
        .replace("icmp-type", "# icmp-type")
        .replace("[\"icmp\"]", "[\"icmp\", \"raw-ip\", \"tcp\"]")
        .replace("\"127.0.0.1\"", "\"127.0.0.0/8\"");
    let witness = listener(&net, &python, &["hear-raw", "inet", "1", "9", "2"])?;
    let control = watched(net_steps(&net, &every_type, &script), name)?;
    let heard_of_all = told(&witness.finish(patience())?, "received");
    let of_type = |heard: &[String], kind: u8| -> Vec<String> {
        let wanted = format!("{kind:02x}00");
        let packets = heard
            .iter()
            .filter(|packet| packet[40..].starts_with(&wanted));
        packets.cloned().collect()
    };
    for kind in [5, 7, 9, 13] {
        let step = send(kind, "127.0.0.1");
        Attack::new(format!("icmp-type-{kind}"), SECTION, "ICMP types")
            .tried("sends an ICMP type that its rule does not list")
            .step((&ended, &step), (&control, &step), &["sendto", "sendmsg"])?
            .saw(
                "a native raw socket",
                of_type(&heard, kind),
                of_type(&heard_of_all, kind),
            )
            .state()?;
    }
    for (id, step) in [
        ("raw-ip-socket", "w = ip inet raw 255"),
        ("raw-tcp-socket", "t = ip inet raw 6"),
    ] {
        Attack::new(id, SECTION, "IPPROTO_RAW")
            .tried("makes a raw socket of a protocol that its rule does not list")
            .step((&ended, step), (&control, step), &["socket"])?
            .state()?;
    }
    for step in &refused {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    assert_eq!(ended.step(&granted)?, format!("ok {}", icmp(8).len()));
    // The question comes by the loopback too, and behind it the kernel's answer.
    let question = ended.step("recv-from r 2000")?;
    let payload = hex(&icmp(8)[4..]);
    ensure!(
        question.ends_with(&format!("{payload} from 127.0.0.1:0")),
        "{question}"
    );
    let answer = ended.step("recv r 1999")?;
    ensure!(answer.ends_with(&payload), "{answer}");
    let answer = from_hex(answer)?;
    assert_eq!(answer[20], 0);
    assert_eq!(checksum(&answer[20..]), 0);
    assert_eq!(ended.step("recv r 3")?, "timedout");
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(from_hex(&heard[0])?[20..], icmp(8));
    assert_eq!(from_hex(&heard[1])?, answer);
    if ended.syscalls.is_some() {
        let sent = [ended.made("sendto")?, ended.made("sendmsg")?].concat();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        assert_eq!(ended.made("socket")?.len(), 1);
    }

    // Of a granted host, what has another type stays hidden: answers alone, and a filter in the kernel.
    let answers = PING.replace("\"echo-request\", ", "");
    let deaf = ["r = ip inet raw 1", "timeout r 300", "recv r 2000"];
    let asking = format!("{PING}options = {{ set = [\"icmp.filter\"] }}\n");
    let witness = net_steps(&net, &answers, &["r = ip inet raw 1", "recv r 2000"]).start()?;
    witness.wait_for_line("r = ip inet raw 1 -> ok", patience())?;
    let script = [deaf[0], "set r 255 1 feffffff", &granted, "recv r 2000"];
    let ended = net_steps(&net, &asking, &script)
        .finish(patience())?
        .success()?;
    let filtered = ended.step("recv r 2000")?;
    assert_eq!(
        from_hex(filtered)?[20],
        0,
        "the filter leaves answers alone"
    );
    let heard = witness.wait(patience())?.success()?;
    assert_eq!(heard.step("recv r 2000")?, filtered);
    heard.audit.denied("receive")?;
    Ok(())
}

#[test]
fn headers_of_ones_own_are_a_grant_of_their_own() -> Result<()> {
    let name = "headers_of_ones_own_are_a_grant_of_their_own";
    let Some(_kernel) = kernel::has(Need::InetRaw, name) else {
        return Ok(());
    };
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    let without = PING
        .replace("\"icmp\"]", "\"icmp\", \"raw-ip\"]")
        .replace("icmp-type", "# icmp-type");
    let with = format!("{without}header-include = true\n");
    // UDP from port 9 to 4007, without a checksum.
    let mut datagram = vec![0, 9, 0x0f, 0xa7, 0, 13, 0, 0];
    datagram.extend(b"forged");
    datagram[5] = 14;
    let host = [127, 0, 0, 1];
    let forged = ipv4(17, [127, 0, 0, 9], host, &datagram);
    let send =
        |socket: &str, bytes: &[u8]| format!("send-to {socket} x{} ip:127.0.0.1", hex(bytes));
    let granted = send("w", &forged);
    let mut elsewhere = forged.clone();
    elsewhere[19] = 2;
    let mut routed = ipv4(17, [127, 0, 0, 9], host, &[]);
    routed[0] = 0x47;
    routed.extend([0x83, 7, 4, 10, 0, 0, 1, 0]);
    routed.extend(&datagram);
    let refused = [
        send("w", &elsewhere),
        send("w", &routed),
        send("w", &forged[..19]),
        // On a socket of ICMP the header may say nothing else.
        send("r", &forged),
    ];
    let mut script = vec![
        "w = ip inet raw 255".to_owned(),
        "r = ip inet raw 1".to_owned(),
        "set r 0 3 01000000".to_owned(),
    ];
    script.extend(refused.iter().cloned());
    script.push(granted.clone());
    let witness = listener(&net, &python, &["hear-udp", "0.0.0.0", "4007", "2", "2"])?;
    let control = watched(net_steps(&net, &with, &script), name)?;
    assert_eq!(control.step("set r 0 3 01000000")?, "ok");
    let phrase = "IPPROTO_RAW";
    for (id, step) in [
        "raw-header-to-another",
        "raw-header-with-a-route",
        "raw-header-too-short",
        "raw-header-of-another-protocol",
    ]
    .into_iter()
    .zip(&refused)
    {
        assert_eq!(control.step(step)?, "acces", "{step}");
        Attack::new(id, SECTION, phrase)
            .tried("writes an IP header beside its rule, which lets it write some")
            .step(
                (&control, step),
                (&control, &granted),
                &["sendto", "sendmsg"],
            )?
            .state()?;
    }
    assert_eq!(control.step(&granted)?, format!("ok {}", forged.len()));
    // The twin: without the key neither the option nor the packet.
    let ended = watched(net_steps(&net, &without, &script), name)?;
    Attack::new("raw-header", SECTION, phrase)
        .tried("writes an IP header of its own where no rule says so")
        .step(
            (&ended, &granted),
            (&control, &granted),
            &["sendto", "sendmsg"],
        )?
        .state()?;
    Attack::new("ip-hdrincl", "Options", "IP_HDRINCL")
        .tried("sets IP_HDRINCL where no rule lets it write headers")
        .step(
            (&ended, "set r 0 3 01000000"),
            (&control, "set r 0 3 01000000"),
            &["setsockopt"],
        )?
        .state()?;
    for step in [&granted, "set r 0 3 01000000"] {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    ended.audit.denied("set-option")?;
    let denied = ended
        .audit
        .of("send-to")
        .filter(|record| record.is_denied());
    assert!(denied.count() >= 4);
    let heard = told(&witness.finish(patience())?, "received");
    assert_eq!(heard, [format!("{} from 127.0.0.9", hex(b"forged"))]);
    Ok(())
}

#[test]
fn icmpv6_and_checksums_of_raw_ipv6() -> Result<()> {
    let name = "icmpv6_and_checksums_of_raw_ipv6";
    let Some(_kernel) = kernel::has(Need::Inet6Raw, name) else {
        return Ok(());
    };
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    let rule = |protocol: &str, more: &str| {
        format!(
            "[[allow]]\nid = \"of-{protocol}\"\nfamily = [\"inet6\"]\ntype = [\"raw\"]\nprotocol = [{protocol}]\n\
             ops = [\"send-to\", \"receive\"]\npeer = {{ cidr = [\"::1\"] }}\n{more}\n"
        )
    };
    let types = "icmp-type = [\"v6-echo-request\", \"v6-echo-reply\"]";
    let set = "options = { set = [\"ipv6.checksum\"] }";
    let policy = format!("version = 1\n{}{}", rule("58", types), rule("253", set));
    let echo = |kind: u8| format!("send-to r x{kind:02x}000000123400015061796c6f6164 ip:::1");
    let refused = [
        echo(127),
        echo(130),
        // A neighbour advertisement and a redirect.
        echo(136),
        echo(137),
        "send-to r x8000000012340001 ip:2001:db8::1".to_owned(),
        "set r 41 36 01000000".to_owned(),
        // IPV6_CHECKSUM at the level of raw sockets would write over the type.
        "set r 255 7 00000000".to_owned(),
    ];
    let granted = echo(128);
    let sum = "send-to s xabcd0000f00d ip:::1";
    let mut script = vec![
        "r = ip inet6 raw 58".to_owned(),
        "s = ip inet6 raw 253".to_owned(),
    ];
    script.extend(refused.iter().cloned());
    script.extend([
        granted.clone(),
        "recv r 2000".to_owned(),
        "recv-from r 1999".to_owned(),
        "set s 41 7 02000000".to_owned(),
        sum.to_owned(),
    ]);
    let witness = listener(&net, &python, &["hear-raw", "inet6", "253", "2", "2"])?;
    let ended = net_steps(&net, &policy, &script)
        .finish(patience())?
        .success()?;
    for step in &refused {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    let question = ended.step("recv r 2000")?;
    let answer = ended.step("recv-from r 1999")?;
    ensure!(
        question.starts_with("x80") && question.ends_with("5061796c6f6164"),
        "{question}"
    );
    ensure!(
        answer.starts_with("x81") && answer.contains("5061796c6f6164 from [::1]:0"),
        "{answer}"
    );
    assert_eq!(ended.step(sum)?, "ok 6");
    let heard = told(&witness.finish(patience())?, "received");
    let [packet] = &heard[..] else {
        anyhow::bail!("{heard:?}");
    };
    let packet = from_hex(packet)?;
    assert_eq!(
        (&packet[..2], &packet[4..]),
        (&[0xab, 0xcd][..], &[0xf0, 0x0d][..])
    );
    // Over the pseudo-header of RFC 8200: both addresses, the length, the protocol.
    let mut summed = [[0; 15].as_slice(), &[1]].concat().repeat(2);
    summed.extend([0, 0, 0, 6, 0, 0, 0, 253]);
    summed.extend(&packet);
    assert_eq!(checksum(&summed), 0, "{packet:x?}");

    // The twin.
    let ended = net_steps(&net, "version = 1\n", &script)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("r = ip inet6 raw 58")?, "acces");
    assert_eq!(ended.audit.denied("socket")?.errno(), "acces");
    Ok(())
}
