//! What a call may carry and whom it may name: each way of sending and receiving is held to the same rule, and
//! options that name addresses are no way round the calls that judge them.

use anyhow::{Result, ensure};
use sockgate_tests::{carried, ear, free_port, heard, ip_policy, message_steps, patience, steps};

/// Datagrams of IPv4 from and to everywhere, requests to routing netlink, and pairs, with these flags.
fn with_flags(flags: &[&str]) -> String {
    let carried = carried(&[], flags, &[], &[]);
    ip_policy(&carried)
        + &format!(
            "[[allow]]\nid = \"netlink\"\nfamily = [\"netlink\"]\nprotocol = [\"route\"]\nops = [\"send-to\"]\n\
             messages = [\"get*\"]\n{carried}\
             [[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\nops = [\"socketpair\"]\n{carried}"
        )
}

/// RTM_GETLINK of everything, netlink(7).
const DUMP: &str = "x2000000012000103010000000000000000000000000000000000000000000000";

/// Every call looks at its flags.
#[test]
fn no_call_carries_flags_beyond_its_rule() -> Result<()> {
    let (peer, to) = ear("127.0.0.1:0")?;
    let at = |step: &str| step.replace('@', &format!("127.0.0.1:{to}"));
    let sends = [
        "send u DONTROUTE hi",
        "send u DONTROUTE hi @",
        "send-msg u DONTROUTE - hi",
        "send-msg u DONTROUTE @ hi",
        "send-many u DONTROUTE hi -",
        "send-many u DONTROUTE hi @",
        &format!("send n DONTROUTE {DUMP}"),
        &format!("send-msg n DONTROUTE - {DUMP}"),
        &format!("send-many n DONTROUTE {DUMP} -"),
    ]
    .map(at);
    let receives = [
        "recv u 100 ERRQUEUE+DONTWAIT",
        "recv-msg u 100 0 ERRQUEUE+DONTWAIT",
        "recv-many u 2 100 0 ERRQUEUE+DONTWAIT",
        "recv p 100 OOB+DONTWAIT",
        "recv-msg p 100 0 OOB+DONTWAIT",
    ]
    .map(at);
    let mut script = vec![
        "u = socket inet datagram".to_owned(),
        at("connect u @"),
        "n = socket netlink raw netlink-route".to_owned(),
        "p q = pair stream".to_owned(),
    ];
    script.extend(sends.iter().chain(&receives).cloned());
    let run = |flags: &[&str]| message_steps(&with_flags(flags), &script).finish(patience());
    let refused = run(&[])?.success()?;
    for step in sends.iter().chain(&receives) {
        let outcome = refused.step(step)?;
        ensure!(
            matches!(outcome, "acces" | "0 sent, then acces"),
            "{step}: {outcome}"
        );
    }
    assert_eq!(heard(&peer)?, None);
    // The twin: with the flags listed, no call is refused.
    let granted = run(&["dontroute", "errqueue", "oob"])?.success()?;
    for step in &sends {
        let outcome = granted.step(step)?;
        ensure!(
            outcome.starts_with("ok ") || outcome == "1 sent, then none",
            "{step}: {outcome}"
        );
    }
    for step in &receives {
        let outcome = granted.step(step)?;
        ensure!(matches!(outcome, "again" | "inval"), "{step}: {outcome}");
    }
    for _ in 0..6 {
        assert_eq!(heard(&peer)?.as_deref(), Some("hi"));
    }
    Ok(())
}

/// An interruption that comes before the wait ends it, and is taken once.
#[test]
fn an_interruption_before_the_wait_is_not_lost() -> Result<()> {
    for wait in ["park", "ready"] {
        let script = [
            "a = pair datagram",
            "interrupt a",
            "recv a 9",
            "timeout a 20",
            "recv a 8",
        ];
        let ended = steps(script)
            .allow("unix-datagram socketpair")
            .option("--wait")
            .option(wait)
            .finish(patience())?
            .success()?;
        assert_eq!(ended.step("recv a 9")?, "intr", "{wait}");
        assert_eq!(ended.step("recv a 8")?, "timedout", "{wait}");
    }
    Ok(())
}

/// An address of another family is no business of the policy's: every call answers what the kernel would.
#[test]
fn no_call_judges_an_address_of_another_family() -> Result<()> {
    let tried = [
        "send u - hi @elsewhere",
        "send-msg u - @elsewhere hi",
        "send-many u - hi @elsewhere",
        "send-many n - hi 127.0.0.1:9",
    ];
    let mut script = vec![
        "u = socket inet datagram",
        "n = socket netlink raw netlink-route",
    ];
    script.extend(tried);
    let ended = message_steps(&with_flags(&[]), &script)
        .finish(patience())?
        .success()?;
    for step in tried {
        let outcome = ended.step(step)?;
        ensure!(
            matches!(outcome, "afnosupport" | "0 sent, then afnosupport"),
            "{step}: {outcome}"
        );
    }
    let mut records = ended.audit.records().iter();
    ensure!(
        records.all(|record| !record.is_denied()),
        "{:?}",
        ended.audit
    );
    Ok(())
}

/// A name on a socket of connections is its peer's or nobody's, unless MSG_FASTOPEN connects with it.
#[test]
fn a_stream_is_sent_to_its_peer_alone() -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?.to_string();
    let elsewhere = format!("127.0.0.1:{}", free_port()?);
    let place = |step: &str| step.replace('@', &at).replace('#', &elsewhere);
    let script = [
        "s = socket inet stream",
        "send-to s early @",
        "send-msg-to s early @",
        "bind s 127.0.0.1:0",
        // From the loopback address there is no way there.
        "send-to s stray 240.0.0.1:9 fast-open",
        "send-to s later @",
        "connect s @",
        "send-to s named @",
        "send-to s again @ fast-open",
        "send-to s stray #",
        "send-to s stray # fast-open",
    ]
    .map(place);
    let granted = |to: &str| format!("tcp connect {to} flags=fastopen");
    let ended = steps(&script)
        .allow(&granted(&at))
        .allow(&granted("240.0.0.1:9"))
        .allow("tcp bind 127.0.0.1:0")
        .finish(patience())?
        .success()?;
    let wanted = [
        "ok", "notconn", "notconn", "ok", "inval", "notconn", "ok", "ok 5", "ok 5", "isconn",
        "isconn",
    ];
    for (step, wanted) in script.iter().zip(wanted) {
        assert_eq!(ended.step(step)?, wanted, "{step}");
    }
    let mut got = String::new();
    std::io::Read::read_to_string(&mut listener.accept()?.0, &mut got)?;
    assert_eq!(got, "namedagain");
    Ok(())
}

/// Options that join groups and that bind and connect, by number, with a value and with a length alone: they are
/// refused also to those whose rule names them.
#[test]
fn no_option_names_groups_or_addresses() -> Result<()> {
    let named = [
        // IP_MSFILTER, MCAST_MSFILTER; IPV6_JOIN_ANYCAST
        ("u", "0", "41", "join-group"),
        ("u", "0", "48", "join-group"),
        ("v", "41", "27", "join-group"),
        // SCTP_SOCKOPT_BINDX_ADD, SCTP_SOCKOPT_CONNECTX
        ("u", "132", "100", "bind"),
        ("u", "132", "110", "bind"),
    ];
    let mut script = vec![
        "u = socket inet datagram".to_owned(),
        "v = socket inet6 datagram".to_owned(),
    ];
    for (socket, level, name, _) in named {
        script.push(format!("set {socket} {level} {name} x{}", "00".repeat(32)));
        if level != "41" {
            script.push(format!("set-length {socket} {level} {name} 32"));
        }
    }
    let listed: Vec<String> = named
        .iter()
        .map(|(_, level, name, _)| format!("{level}/{name}"))
        .collect();
    let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
    let ended = message_steps(&ip_policy(&carried(&listed, &[], &[], &[])), &script)
        .finish(patience())?
        .success()?;
    for step in &script[2..] {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    let reasons: Vec<&str> = ended
        .audit
        .of("set-option")
        .map(|record| record.reason())
        .collect();
    assert_eq!(reasons.len(), script.len() - 2);
    for word in ["join-group", "`bind` and `connect`"] {
        ensure!(reasons.iter().any(|reason| reason.contains(word)));
    }
    Ok(())
}

/// A rule that lets a socket receive, and one with which it may set two options and do nothing else.
fn plain_and_optional(port: u16) -> String {
    format!(
        "version = 1\n[[allow]]\nid = \"plain\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\n\
         ops = [\"bind\", \"receive\"]\n\
         local = {{ cidr = [\"127.0.0.1\"], port = [\"{port}\"] }}\npeer = {{ cidr = [\"127.0.0.0/8\"] }}\n\
         [[allow]]\nid = \"optional\"\nfamily = [\"inet\"]\ntype = [\"datagram\"]\nops = [\"send-to\"]\n\
         peer = {{ cidr = [\"127.0.0.9\"] }}\n\
         options = {{ set = [\"so.broadcast\", \"so.bindtodevice\"] }}\n"
    )
}

/// What was granted before an option was set is judged anew with it; an option that the kernel did not take
/// changes nothing.
#[test]
fn an_option_takes_away_what_was_granted_without_it() -> Result<()> {
    let port = free_port()?;
    let (bind, receive) = (format!("bind u 127.0.0.1:{port}"), "recv u 10 DONTWAIT");
    let again = "recv u 11 DONTWAIT";
    let outcome = |set: &str| -> Result<(String, String)> {
        let script = ["u = socket inet datagram", &bind, receive, set, again];
        let ended = message_steps(&plain_and_optional(port), &script)
            .finish(patience())?
            .success()?;
        assert_eq!(ended.step(receive)?, "again");
        Ok((ended.step(set)?.to_owned(), ended.step(again)?.to_owned()))
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    // SO_BROADCAST; SO_BINDTODEVICE, which takes nothing for no device.
    for set in ["set u 1 6 1", "set-length u 1 25 0"] {
        assert_eq!(outcome(set)?, pair("ok", "acces"), "{set}");
    }
    assert_eq!(outcome("set u 1 6 x01")?, pair("inval", "again"));
    assert_eq!(outcome("set-length u 1 25 9")?, pair("fault", "again"));
    Ok(())
}

/// Datagrams have senders and boundaries, which a splice would not look at.
#[test]
fn only_streams_are_spliced() -> Result<()> {
    let script = [
        "s = pair stream",
        "d = pair datagram",
        "splice s d 10",
        "splice d s 10",
    ];
    let policy = "version = 1\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
                  ops = [\"socketpair\", \"splice\"]\n";
    let ended = steps(script)
        .policy_text(policy)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("splice s d 10")?, "inval");
    assert_eq!(ended.step("splice d s 10")?, "inval");
    Ok(())
}
