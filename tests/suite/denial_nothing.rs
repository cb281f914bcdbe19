//! Without a policy everything is refused: every family, type and protocol of the WIT package, and every
//! call on names. What needs no grant says nothing of this machine and reaches nobody.

use anyhow::{Result, ensure};
use sockgate_tests::{Ended, GuestRun, Tool, free_port, oracle, patience, steps};

/// What `denial_everything` printed for a call.
fn outcome<'a>(ended: &'a Ended, call: &str) -> Result<&'a str> {
    ended.step(call)
}

/// Socket calls after the guest began, apart from what ends the command's own runtime.
fn calls_of_guest(ended: &Ended) -> Result<Vec<String>> {
    let calls = ended.syscalls()?.of_guest()?;
    Ok(calls.into_iter().map(|call| call.line.clone()).collect())
}

#[test]
fn without_a_policy_every_kind_and_every_name_is_refused() -> Result<()> {
    let name = "without_a_policy_every_kind_and_every_name_is_refused";
    let run = GuestRun::new("denial_everything");
    let strace = oracle(Tool::Strace, name);
    let run = match &strace {
        Some(strace) => run.strace(strace),
        None => run,
    };
    let ended = run.finish(patience())?.success()?;
    // 24 families, 9 types, 36 protocols; socket and socketpair.
    let kinds = 24 * 9 * 36 * 2;
    assert_eq!(
        outcome(&ended, "kinds")?,
        format!("{kinds} of {kinds} refused")
    );
    for call in [
        "look-up localhost",
        "look-up localhost.",
        "look-up LOCALHOST",
        "look-up example.invalid",
        "host-by-name",
        "host-by-address",
        "name-of",
        "host-name",
        "set-host-name",
        "interfaces",
        "interface-index",
        "interface-name",
    ] {
        assert_eq!(outcome(&ended, call)?, "acces", "{call}");
    }
    // A granted socket is there by name or not at all; a name that nobody granted tells nothing.
    assert_eq!(outcome(&ended, "granted")?, "noent");
    assert_eq!(outcome(&ended, "last-denial")?, "None");

    // Each refusal has its audit record, none was granted anything.
    let denied = |operation: &str| {
        let records = ended.audit.of(operation);
        records.filter(|record| record.is_denied()).count()
    };
    assert_eq!(denied("socket") + denied("socketpair"), kinds);
    assert_eq!(denied("resolve"), 5);
    assert_eq!(denied("reverse-resolve"), 2);
    assert_eq!(denied("hostname"), 1);
    assert_eq!(denied("set-hostname"), 1);
    assert_eq!(denied("interfaces"), 3);
    let others = ended
        .audit
        .records()
        .iter()
        .filter(|record| !record.is_denied())
        .map(|record| record.operation().to_owned());
    assert_eq!(others.collect::<Vec<_>>(), ["granted"]);

    if strace.is_some() {
        let calls = calls_of_guest(&ended)?;
        ensure!(calls.is_empty(), "{calls:#?}");
        println!("{kinds} kinds refused, 0 socket calls after the guest began");
    }
    Ok(())
}

/// Services, protocols and numeric hosts need no grant. The C library answers them, and what it does for
/// its own ends stays on this machine: the interface list, nscd's socket, and unsent UDP sockets by which
/// it sorts loopback addresses (RFC 6724).
#[test]
fn what_needs_no_grant_reaches_nobody() -> Result<()> {
    let name = "what_needs_no_grant_reaches_nobody";
    let run = GuestRun::new("denial_everything").argument("free");
    let strace = oracle(Tool::Strace, name);
    let run = match &strace {
        Some(strace) => run.strace(strace),
        None => run,
    };
    let ended = run.finish(patience())?.success()?;
    assert_eq!(outcome(&ended, "service-by-name")?, "ok 80");
    assert_eq!(outcome(&ended, "service-by-port")?, "ok \"http\"");
    assert_eq!(outcome(&ended, "protocol-by-name")?, "ok 6");
    assert_eq!(outcome(&ended, "protocol-by-number")?, "ok \"udp\"");
    assert_eq!(
        outcome(&ended, "numeric name-of")?,
        "ok (\"127.0.0.1\", \"80\")"
    );
    ensure!(outcome(&ended, "numeric look-up")?.starts_with("ok "));
    ensure!(outcome(&ended, "null look-up")?.starts_with("ok "));
    assert_eq!(outcome(&ended, "poller")?, "ok ()");
    assert_eq!(ended.audit.records().len(), 0);
    if strace.is_none() {
        return Ok(());
    }
    for call in ended.syscalls()?.of_guest()? {
        let line = &call.line;
        let own = match call.name.as_str() {
            "socket" => ["AF_NETLINK", "AF_UNIX", "SOCK_DGRAM"]
                .iter()
                .any(|kind| line.contains(kind)),
            "bind" | "getsockname" => line.contains("AF_NETLINK") || line.contains("AF_INET"),
            "connect" => ["nscd", "\"::1\"", "\"127.0.0.1\"", "AF_UNSPEC"]
                .iter()
                .any(|place| line.contains(place)),
            "sendto" => line.contains("RTM_GETADDR"),
            "recvmsg" => line.contains("AF_NETLINK"),
            _ => false,
        };
        ensure!(own, "{line}");
    }
    Ok(())
}

/// One trifling grant lets sockets be made; everything else on them is refused without a call.
#[test]
fn a_socket_that_may_do_one_thing_may_do_no_other() -> Result<()> {
    let name = "a_socket_that_may_do_one_thing_may_do_no_other";
    let port = free_port()?;
    let mut script: Vec<String> = Vec::new();
    let mut refused = Vec::new();
    let kinds = [
        ("inet", "stream", format!("127.0.0.1:{port}")),
        ("inet", "datagram", format!("127.0.0.1:{port}")),
        ("inet6", "stream", format!("[::1]:{port}")),
        ("inet6", "datagram", format!("[::1]:{port}")),
        ("unix", "stream", "path:/tmp/sockgate-nowhere".to_owned()),
        ("unix", "datagram", "path:/tmp/sockgate-nowhere".to_owned()),
        ("unix", "seqpacket", "abstract:sockgate-nowhere".to_owned()),
    ];
    for (place, (family, style, address)) in kinds.iter().enumerate() {
        let s = format!("s{place}");
        script.push(format!("{s} = socket {family} {style}"));
        let mut calls = vec![
            format!("bind {s} {address}"),
            format!("connect {s} {address}"),
            format!("connect {s} unspecified"),
            format!("readable {s}"),
            format!("splice {s} {s}"),
            // SO_KEEPALIVE, SO_RCVBUF, SO_MARK, SO_BINDTODEVICE
            format!("set {s} 1 9 01000000"),
            format!("get {s} 1 8 4"),
            format!("set {s} 1 36 01000000"),
            format!("set {s} 1 25 6c6f00"),
            format!("typed {s} pass-credentials 1"),
        ];
        if *style == "datagram" {
            calls.push(format!("send-to {s} hello {address}"));
            calls.push(format!("send-msg-to {s} hello {address}"));
            calls.push(format!("recv {s} 10 dont-wait"));
            calls.push(format!("recv-from {s} 10"));
            calls.push(format!("recv-msg {s} 10 64"));
            calls.push(format!("recv-many {s} 4"));
        }
        if *family != "unix" && *style == "stream" {
            calls.push(format!("listen {s}"));
        }
        if *family == "inet" && *style == "datagram" {
            calls.push(format!("join {s} 239.1.1.1:1"));
        }
        script.push(format!("timeout {s} 100"));
        script.extend(calls.iter().cloned());
        refused.extend(calls);
    }
    // Something else than everything above, for each kind.
    let grants = [
        "tcp connect 127.0.0.77:1",
        "tcp6 connect [::1]:1",
        "udp connect 127.0.0.77:1",
        "udp6 connect [::1]:1",
        "unix connect @sockgate-elsewhere",
    ];
    let run = grants
        .iter()
        .fold(steps(&script), |run, rule| run.allow(rule));
    let strace = oracle(Tool::Strace, name);
    let run = match &strace {
        Some(strace) => run.strace(strace),
        None => run,
    };
    let ended = run.finish(patience())?.success()?;
    for step in &refused {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    let records = ended.audit.records().iter();
    let denials = records.filter(|record| record.is_denied()).count();
    ensure!(
        denials >= refused.len(),
        "{denials} records of {} refusals",
        refused.len()
    );
    if strace.is_some() {
        for call in ended.syscalls()?.of_guest()? {
            // The host's own settings of a new socket: no groups of others, IPv6 alone.
            let made = call.name == "socket"
                || (call.name == "setsockopt"
                    && ["MULTICAST_ALL", "V6ONLY"]
                        .iter()
                        .any(|option| call.line.contains(option)))
                || (call.name == "setsockopt" && call.line.contains("0x1d"));
            ensure!(made, "{}", call.line);
        }
    }
    println!("{} calls refused, {denials} records", refused.len());
    Ok(())
}
