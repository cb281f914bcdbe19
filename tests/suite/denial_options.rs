//! Options that reach beyond the socket or round the checks: refused by name and by number alike, with no
//! setsockopt(2) made, also where the rule lists every option with a wildcard.

use anyhow::{Result, ensure};
use sockgate_tests::{Attack, Tool, free_port, oracle, patience, steps, tcp_echo};

/// A rule with every option by wildcard, on one kind of socket.
fn generous(family: &str, style: &str) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"generous\"\nfamily = [\"{family}\"]\ntype = [\"{style}\"]\n\
         ops = [\"bind\", \"connect\"]\nlocal = \"*\"\npeer = \"*\"\n\
         options = {{ set = [\"*\"], get = [\"*\"] }}\n"
    )
}

/// The same with each of these options by its name, and memberships by their operation.
fn naming(family: &str, style: &str, options: &[Dangerous]) -> String {
    let names: Vec<&str> = options.iter().map(|(option, ..)| *option).collect();
    let all = format!(
        "set = [\"*\", {}]",
        format!("{names:?}").trim_matches(['[', ']'])
    );
    let rule = generous(family, style).replacen("set = [\"*\"]", &all, 1);
    match (family, style) {
        ("unix", _) | (_, "stream") => rule,
        _ => format!(
            "{rule}[[allow]]\nid = \"groups\"\nfamily = [\"{family}\"]\nops = [\"join-group\"]\n\
             group = [\"*\"]\noptions = {{ {all} }}\n"
        ),
    }
}

/// The phrase of tests/attacks/phrases.tsv that a dangerous option belongs to.
fn phrase(option: &str) -> (&'static str, &'static str) {
    let phrase = match option {
        "so.bindtodevice" => "SO_BINDTODEVICE",
        "so.bindtoifindex" => "SO_BINDTOIFINDEX",
        "so.reuseport" => "SO_REUSEPORT to share another program's port",
        "so.reuseaddr" => "SO_REUSEADDR to share another program's port",
        "so.mark" => "SO_MARK",
        "so.priority" => "SO_PRIORITY above 6",
        "so.rcvbufforce" | "so.sndbufforce" => "SO_RCVBUFFORCE",
        "so.attach-filter" | "so.attach-reuseport-cbpf" => "SO_ATTACH_FILTER",
        "so.attach-bpf" => "SO_ATTACH_BPF",
        "so.attach-reuseport-ebpf" => "SO_ATTACH_REUSEPORT_EBPF",
        "so.lock-filter" => "SO_LOCK_FILTER",
        "so.txtime" => "SCM_TXTIME",
        "ip.transparent" | "ipv6.transparent" => "IP_TRANSPARENT",
        "ip.freebind" | "ipv6.freebind" => "IP_FREEBIND",
        "ip.hdrincl" => "IP_HDRINCL",
        "ip.options" => "IP_OPTIONS source routing",
        "tcp.ulp" => "TCP_ULP",
        "tcp.md5sig" => "TCP_MD5SIG",
        "ipv6.pktinfo" => "IPV6_PKTINFO source",
        "ipv6.rthdr" => "IPV6_RTHDR",
        "ipv6.hopopts" | "ipv6.dstopts" | "ipv6.rthdrdstopts" => "IPv6 destination options",
        "tcp.fastopen" | "tcp.fastopen-connect" => return ("Connection", "TCP_FASTOPEN_CONNECT"),
        "so.broadcast" => return ("Addresses", "broadcast"),
        "so.passcred" => return ("Unix", "SO_PASSCRED autobind"),
        "so.passpidfd" => return ("Descriptors", "SCM_PIDFD"),
        "so.passrights" => return ("Descriptors", "SO_PASSRIGHTS"),
        repair if repair.starts_with("tcp.") => "TCP_REPAIR",
        group
            if group.contains("member")
                || group.contains("join")
                || group.contains("multicast") =>
        {
            "multicast membership"
        }
        "ip.msfilter" => "multicast membership",
        _ => "raw level/name numbers for an option denied by its name",
    };
    ("Options", phrase)
}

/// SO_KEEPALIVE, which a wildcard lists and which reaches nobody.
const KEEPALIVE: &str = "set s 1 9 01000000";

/// An option's name, level and number, and a plausible value.
type Dangerous = (&'static str, i32, i32, &'static str);

/// `struct group_req` for 239.1.1.1 on any interface.
const GROUP4: &str = "000000000000000002000000ef010101000000000000000000000000000000000000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
    0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";
/// `struct group_source_req` for it, from 127.0.0.1.
const SOURCE4: &str = "000000000000000002000000ef010101000000000000000000000000000000000000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000200 \
    00007f00000100000000000000000000000000000000000000000000000000000000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000";
/// `struct group_req` for ff02::1 on any interface.
const GROUP6: &str = "00000000000000000a00000000000000ff0200000000000000000000000000010000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
    0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";
/// `struct group_source_req` for it, from ::1.
const SOURCE6: &str = "00000000000000000a00000000000000ff0200000000000000000000000000010000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000a00 \
    00000000000000000000000000000000000000000001000000000000000000000000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
    00000000000000000000000000000000000000000000000000000000000000000000";

/// The dangerous options of each kind of socket.
const DANGEROUS: &[(&str, &str, &[Dangerous])] = &[
    (
        "inet",
        "stream",
        &[
            ("so.bindtodevice", 1, 25, "6c6f00"),
            ("so.bindtoifindex", 1, 62, "01000000"),
            ("so.reuseport", 1, 15, "01000000"),
            ("so.reuseaddr", 1, 2, "01000000"),
            ("so.mark", 1, 36, "01000000"),
            ("so.priority", 1, 12, "07000000"),
            ("so.rcvbufforce", 1, 33, "00000001"),
            ("so.sndbufforce", 1, 32, "00000001"),
            (
                "so.attach-filter",
                1,
                26,
                "00000000000000000000000000000000",
            ),
            ("so.attach-bpf", 1, 50, "05000000"),
            (
                "so.attach-reuseport-cbpf",
                1,
                51,
                "00000000000000000000000000000000",
            ),
            ("so.attach-reuseport-ebpf", 1, 52, "05000000"),
            ("so.lock-filter", 1, 44, "01000000"),
            ("so.txtime", 1, 61, "0000000000000000"),
            ("so.dontroute", 1, 5, "01000000"),
            ("ip.transparent", 0, 19, "01000000"),
            ("ip.freebind", 0, 15, "01000000"),
            ("ip.hdrincl", 0, 3, "01000000"),
            // A strict source route by way of 10.0.0.1, ip(7).
            ("ip.options", 0, 4, "890704 0a000001"),
            ("ip.unicast-if", 0, 50, "00000001"),
            ("ip.xfrm-policy", 0, 17, "00000000"),
            ("tcp.repair", 6, 19, "01000000"),
            ("tcp.repair-queue", 6, 20, "01000000"),
            ("tcp.queue-seq", 6, 21, "01000000"),
            ("tcp.ulp", 6, 31, "746c7300"),
            ("tcp.md5sig", 6, 14, "00000000"),
            ("tcp.fastopen", 6, 23, "01000000"),
            ("tcp.fastopen-connect", 6, 30, "01000000"),
        ],
    ),
    (
        "inet",
        "datagram",
        &[
            ("so.broadcast", 1, 6, "01000000"),
            ("so.no-check", 1, 11, "01000000"),
            ("ip.multicast-all", 0, 49, "01000000"),
            ("ip.multicast-if", 0, 32, "7f000001"),
            ("udp.encap", 17, 100, "01000000"),
            // Memberships by number are no way round join-group: 239.1.1.1 on any interface.
            ("ip.add-membership", 0, 35, "ef01010100000000"),
            (
                "ip.add-source-membership",
                0,
                39,
                "ef01010100000000 7f000001",
            ),
            ("ip.mcast-join-group", 0, 42, GROUP4),
            ("ip.mcast-join-source-group", 0, 46, SOURCE4),
            ("ip.msfilter", 0, 41, "ef01010100000000"),
        ],
    ),
    (
        "inet6",
        "datagram",
        &[
            ("ipv6.multicast-all", 41, 29, "01000000"),
            ("ipv6.multicast-if", 41, 17, "01000000"),
            (
                "ipv6.join-group",
                41,
                20,
                "ff020000000000000000000000000001 00000000",
            ),
            (
                "ipv6.join-anycast",
                41,
                27,
                "00000000000000000000000000000001 00000000",
            ),
            (
                "ipv6.pktinfo",
                41,
                50,
                "00000000000000000000000000000001 00000000",
            ),
            ("ipv6.rthdr", 41, 57, "0000"),
            ("ipv6.hopopts", 41, 54, "0000"),
            ("ipv6.dstopts", 41, 59, "0000"),
            ("ipv6.rthdrdstopts", 41, 55, "0000"),
            ("ipv6.transparent", 41, 75, "01000000"),
            ("ipv6.freebind", 41, 78, "01000000"),
            ("ipv6.unicast-if", 41, 76, "00000001"),
            ("ipv6.mcast-join-group", 41, 42, GROUP6),
            ("ipv6.mcast-join-source-group", 41, 46, SOURCE6),
        ],
    ),
    (
        "unix",
        "stream",
        &[
            ("so.passcred", 1, 16, "01000000"),
            ("so.passsec", 1, 34, "01000000"),
            ("so.passpidfd", 1, 76, "01000000"),
            ("so.passrights", 1, 83, "00000000"),
        ],
    ),
];

#[test]
fn dangerous_options_are_refused_by_number_whatever_a_wildcard_says() -> Result<()> {
    let name = "dangerous_options_are_refused_by_number_whatever_a_wildcard_says";
    let strace = oracle(Tool::Strace, name);
    let mut tried = 0;
    for (family, style, options) in DANGEROUS {
        let mut script = vec![format!("s = socket {family} {style}")];
        let set = |level: i32, number: i32, value: &str| {
            format!("set s {level} {number} {}", value.replace(' ', ""))
        };
        for (_, level, number, value) in *options {
            script.push(set(*level, *number, value));
        }
        // One that a wildcard covers, to compare with.
        script.push(KEEPALIVE.to_owned());
        let run = steps(&script).policy_text(&generous(family, style));
        let run = match &strace {
            Some(strace) => run.strace(strace),
            None => run,
        };
        let ended = run.finish(patience())?.success()?;
        for (option, level, number, value) in *options {
            let step = set(*level, *number, value);
            assert_eq!(ended.step(&step)?, "acces", "{option}");
            // Who asks for a membership is told so, whichever way it was asked for.
            let joins = option.contains("-membership")
                || option.contains("mcast-")
                || *option == "ipv6.join-group";
            let recorded = match joins {
                true => ended.audit.denied("join-group").is_ok(),
                false => ended
                    .audit
                    .of("set-option")
                    .any(|record| record.is_denied() && record.field("arguments") == *option),
            };
            ensure!(recorded, "no record of {option}");
            tried += 1;
        }
        if let Some(strace) = &strace {
            let control = steps(&script)
                .policy_text(&naming(family, style, options))
                .strace(strace)
                .finish(patience())?
                .success()?;
            for (option, level, number, value) in *options {
                let step = set(*level, *number, value);
                let (section, phrase) = phrase(option);
                let made = control.syscalls()?.of_step(&step)?;
                // Some are never set, whoever names them.
                let granted = match made.iter().any(|call| call.name == "setsockopt") {
                    true => &step,
                    false => KEEPALIVE,
                };
                let id = option.replace('.', "-");
                Attack::new(format!("set-{id}-{family}-{style}"), section, phrase)
                    .tried(format!(
                        "sets {option} by number, where a wildcard lists every option"
                    ))
                    .step((&ended, &step), (&control, granted), &["setsockopt"])?
                    .state()?;
            }
            for line in ended.made("setsockopt")? {
                // The host's own: no groups of others, IPv6 alone.
                ensure!(
                    line.contains("KEEPALIVE")
                        || line.contains("MULTICAST_ALL")
                        || line.contains("V6ONLY")
                        || line.contains("0x1d"),
                    "{line}"
                );
            }
        }
    }
    println!("{tried} options refused by number");
    Ok(())
}

/// The typed form is judged as the raw one is.
#[test]
fn a_typed_option_is_judged_as_its_number() -> Result<()> {
    let typed = [
        "typed s reuse-port 1",
        "typed s mark 1",
        "typed s priority 7",
        "typed s bind-to-device lo",
        "typed s broadcast 1",
    ];
    let script = std::iter::once("s = socket inet datagram").chain(typed);
    let ended = steps(script)
        .policy_text(&generous("inet", "datagram"))
        .finish(patience())?;
    for step in typed {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }

    // The twin: named in the rule it is set, typed or raw.
    let named = generous("inet", "datagram").replace(
        "set = [\"*\"]",
        "set = [\"*\", \"so.priority\", \"so.broadcast=1\"]",
    );
    let twin = steps([
        "s = socket inet datagram",
        "typed s priority 3",
        "set s 1 12 02000000",
        "get s 1 12 4",
        "typed s broadcast 1",
        "typed s broadcast 0",
    ])
    .policy_text(&named)
    .finish(patience())?;
    assert_eq!(twin.step("typed s priority 3")?, "ok");
    assert_eq!(twin.step("set s 1 12 02000000")?, "ok");
    assert_eq!(twin.step("get s 1 12 4")?, "ok 02000000");
    assert_eq!(twin.step("typed s broadcast 1")?, "ok");
    // The value is bound: another one is not granted.
    assert_eq!(twin.step("typed s broadcast 0")?, "acces");
    Ok(())
}

/// What was set before the address was known binds later verdicts: a rule that does not list it grants
/// nothing on that socket any more.
#[test]
fn an_option_binds_every_later_verdict() -> Result<()> {
    let name = "an_option_binds_every_later_verdict";
    let port = free_port()?;
    let policy = format!(
        "version = 1\n\
         [[allow]]\nid = \"plain\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"listen\"]\n\
         local = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\npeer = \"*\"\n\
         [[allow]]\nid = \"shared\"\nfamily = [\"inet\"]\ntype = [\"stream\"]\nops = [\"listen\"]\n\
         local = {{ cidr = [\"127.0.0.2\"], port = [\"{port}\"] }}\npeer = \"*\"\n\
         options = {{ set = [\"so.reuseport\"] }}\n"
    );
    let (one, two) = (
        format!("bind s 127.0.0.1:{port}"),
        format!("bind s 127.0.0.2:{port}"),
    );
    let script = ["s = socket inet stream", "set s 1 15 01000000", &one, &two];
    let run = steps(script).policy_text(&policy);
    let strace = oracle(Tool::Strace, name);
    let run = match &strace {
        Some(strace) => run.strace(strace),
        None => run,
    };
    let ended = run.finish(patience())?.success()?;
    assert_eq!(ended.step("set s 1 15 01000000")?, "ok");
    assert_eq!(ended.step(&one)?, "acces");
    assert_eq!(ended.step(&two)?, "ok");
    if strace.is_some() {
        let bound = ended.made("bind")?;
        assert_eq!(bound.len(), 1);
        ensure!(bound[0].contains("127.0.0.2"), "{}", bound[0]);
    }
    // The twin: without the option the first address is granted.
    let twin = steps(["s = socket inet stream", &one])
        .policy_text(&policy)
        .finish(patience())?;
    assert_eq!(twin.step(&one)?, "ok");
    Ok(())
}

/// Lengths that lie: none of them reaches beyond the value, and the host stays.
#[test]
fn strange_lengths_are_harmless() -> Result<()> {
    let huge = "00".repeat(4096);
    let script = [
        "s = socket inet stream".to_owned(),
        // SO_KEEPALIVE with nothing, one byte, three bytes and a page.
        "set s 1 9 x".to_owned(),
        "set s 1 9 01".to_owned(),
        "set s 1 9 010000".to_owned(),
        format!("set s 1 9 {huge}"),
        "get s 1 9 0".to_owned(),
        "get s 1 9 3".to_owned(),
        "get s 1 9 4294967295".to_owned(),
        "get s 1 9 4".to_owned(),
        // A level and a number that do not exist, and negative ones.
        "get s 9999 9999 4".to_owned(),
        "set s -1 -1 01000000".to_owned(),
        "get s 1 -9 4".to_owned(),
    ];
    let ended = steps(&script)
        .policy_text(&generous("inet", "stream"))
        .finish(patience())?
        .success()?;
    for step in &script[1..4] {
        assert_eq!(ended.step(step)?, "inval", "{step}");
    }
    assert_eq!(ended.step("get s 1 9 0")?.trim_end(), "ok");
    ensure!(ended.step("get s 1 9 4294967295")?.starts_with("ok 0"));
    assert_eq!(ended.step("get s 1 9 4")?.len(), "ok 01000000".len());
    for step in &script[9..] {
        let outcome = ended.step(step)?;
        ensure!(
            matches!(outcome, "acces" | "noprotoopt" | "opnotsupp" | "inval"),
            "{step}: {outcome}"
        );
    }
    Ok(())
}

/// A connection outlives the verdict that began it: options that two rules granted one by one do not end it.
#[test]
fn options_of_several_rules_end_no_connection() -> Result<()> {
    let echo = tcp_echo("127.0.0.1:0")?;
    let to = format!("127.0.0.1:{}", echo.port());
    let (connect, again) = (format!("connect s {to}"), format!("connect t {to}"));
    let ended = steps([
        "s = socket inet stream",
        &connect,
        "set s 1 9 01000000",
        "set s 1 10 01000000",
        "send s hello",
        "t = socket inet stream",
        "set t 1 9 01000000",
        "set t 1 10 01000000",
        &again,
    ])
    .allow(&format!("tcp connect {to} set=so.keepalive"))
    .allow(&format!("tcp connect {to} set=so.oobinline"))
    .finish(patience())?
    .success()?;
    for step in [&*connect, "set s 1 9 01000000", "set s 1 10 01000000"] {
        assert_eq!(ended.step(step)?, "ok", "{step}");
    }
    assert_eq!(ended.step("send s hello")?, "ok 5");
    // Before it is made, one rule has to list them all.
    assert_eq!(ended.step(&again)?, "acces");
    Ok(())
}
