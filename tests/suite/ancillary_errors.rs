//! Error queues: what a router, a peer or the own kernel says of what was sent, who says it, and when something
//! went out. The guest is told what Python is told that does the same beside it.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sockgate_tests::{
    Ended, Net, carried, covers, ip_policy, message_steps, net_and_python, outcome, patience,
    python_steps,
};

fn bench(name: &str) -> Result<Option<(Net, PathBuf)>> {
    let found = net_and_python(name)?;
    if let Some((net, _)) = &found {
        net.ip(&["link", "set", "lo", "mtu", "1500"])?;
    }
    Ok(found)
}

/// Grants all UDP and TCP, and what error queues need of it.
fn policy(options: &[&str], flags: &[&str], receive: &[&str]) -> String {
    ip_policy(&carried(options, flags, receive, &["hop-limit"]))
}

/// A step with the words in it that are times made alike.
fn without_times(shown: &str) -> String {
    let alike = shown.split(' ').map(|word| match word.split_once('.') {
        Some((seconds, rest)) if rest.len() == 9 && seconds.parse::<u64>().is_ok() => "TIME",
        _ => word,
    });
    alike.collect::<Vec<_>>().join(" ")
}

/// What came of each step, which is the same for the guest and for Python.
fn alike(net: &Net, python: &Path, policy: &str, steps: &[&str]) -> Result<Vec<String>> {
    let lines = python_steps(python, Some(net), steps)?.finish(patience())?;
    let ended = message_steps(policy, steps)
        .net(net)
        .finish(patience())?
        .success()?;
    let mut all = Vec::new();
    for step in steps {
        let (ours, theirs) = (ended.step(step)?, outcome(&lines, step)?);
        let (ours, theirs) = (without_times(ours), without_times(theirs));
        ensure!(ours == theirs, "{step}: {ours} is not {theirs}");
        all.push(ours);
    }
    Ok(all)
}

/// Without the flag there is no error queue; without the kind it tells nothing.
fn twins(net: &Net, options: &[&str], steps: &[&str], told: &str, silent: &str) -> Result<()> {
    let run = |flags: &[&str]| -> Result<Ended> {
        message_steps(&policy(options, flags, &[]), steps)
            .net(net)
            .finish(patience())?
            .success()
    };
    let refused = run(&[])?;
    assert_eq!(refused.step(told)?, "acces");
    let denied = refused.audit.denied("recv-msg")?;
    ensure!(denied.reason().contains("errqueue"), "{denied:?}");
    let withheld = run(&["errqueue"])?;
    assert_eq!(withheld.step(told)?, silent);
    let denied = withheld.audit.denied("recv-msg")?;
    ensure!(denied.reason().contains("extended-error"), "{denied:?}");
    Ok(())
}

#[test]
fn a_closed_port_says_so_over_ipv4() -> Result<()> {
    let Some((net, python)) = bench("a_closed_port_says_so_over_ipv4")? else {
        return Ok(());
    };
    let told = "recv-msg s 100 500 ERRQUEUE";
    let steps = [
        "s = socket inet datagram",
        "set s SOL_IP IP_RECVERR 1",
        "send s - lost 127.0.0.9:9",
        told,
        // With its message the error is taken.
        "timeout s -",
        "recv s 10 DONTWAIT",
        // What is too large for this host's own interface.
        "set s SOL_IP IP_MTU_DISCOVER 2",
        "send s - *2000 127.0.0.9:9",
        "recv-msg s 101 500 ERRQUEUE",
        // However much room there is.
        "send s - *2001 127.0.0.9:9",
        "recv-msg s 200000 500 ERRQUEUE",
    ];
    let options = ["ip.recverr", "ip.mtu-discover"];
    let granted = policy(&options, &["errqueue"], &["extended-error"]);
    let shown = alike(&net, &python, &granted, &steps)?;
    assert_eq!(
        shown[3],
        "lost flags ERRQUEUE from 127.0.0.9:9 | \
         error connrefused origin 2 type 3 code 3 info 0 data 0 by 127.0.0.9:0"
    );
    assert_eq!(shown[5], "again");
    assert_eq!(shown[7], "msgsize");
    assert_eq!(
        shown[8],
        "x flags ERRQUEUE from 127.0.0.9:0 | \
         error msgsize origin 1 type 0 code 0 info 1500 data 0 by -"
    );
    assert_eq!(shown[8], shown[10]);
    let silent = "lost flags ERRQUEUE from 127.0.0.9:9";
    twins(&net, &options, &steps[..4], told, silent)?;
    covers(&["IP_RECVERR", "MSG_ERRQUEUE", "MSG_DONTWAIT", "recvmsg"]);
    Ok(())
}

#[test]
fn a_closed_port_says_so_over_ipv6() -> Result<()> {
    let Some((net, python)) = bench("a_closed_port_says_so_over_ipv6")? else {
        return Ok(());
    };
    let told = "recv-msg s 100 500 ERRQUEUE";
    let steps = [
        "s = socket inet6 datagram",
        "set s SOL_IPV6 IPV6_RECVERR 1",
        "connect s [::1]:9",
        "send s - lost",
        told,
        "timeout s -",
        "recv s 10 DONTWAIT",
        "set s SOL_IPV6 IPV6_MTU_DISCOVER 2",
        "send s - *2000",
        "recv-msg s 101 500 ERRQUEUE",
    ];
    let options = ["ipv6.recverr", "ipv6.mtu-discover"];
    let granted = policy(&options, &["errqueue"], &["extended-error"]);
    let shown = alike(&net, &python, &granted, &steps)?;
    assert_eq!(
        shown[4],
        "lost flags ERRQUEUE from [::1]:9 | \
         error connrefused origin 3 type 1 code 4 info 0 data 0 by [::1]:0"
    );
    assert_eq!(shown[6], "again");
    assert_eq!(shown[8], "msgsize");
    ensure!(
        shown[9].contains("error msgsize origin 1 type 0 code 0 info 1500 "),
        "{shown:?}"
    );
    let silent = "lost flags ERRQUEUE from [::1]:9";
    twins(&net, &options, &steps[..5], told, silent)?;
    covers(&["IPV6_RECVERR", "MSG_ERRQUEUE"]);
    Ok(())
}

#[test]
fn a_router_is_told_as_the_offender() -> Result<()> {
    let name = "a_router_is_told_as_the_offender";
    let (Some((net, python)), Some(router)) = (bench(name)?, Net::new(name)?) else {
        return Ok(());
    };
    // 10.1.0.1 here, 10.1.0.2 the router, and behind it a narrow way to 10.2.0.0/16.
    let there = router.name().to_owned();
    net.ip(&[
        "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", &there,
    ])?;
    net.ip(&["address", "add", "10.1.0.1/24", "dev", "v0"])?;
    net.ip(&["link", "set", "v0", "up"])?;
    net.ip(&["route", "add", "10.2.0.0/16", "via", "10.1.0.2"])?;
    router.ip(&["address", "add", "10.1.0.2/24", "dev", "v1"])?;
    router.ip(&["link", "set", "v1", "up"])?;
    router.ip(&["link", "add", "v2", "type", "veth", "peer", "name", "v3"])?;
    router.ip(&["link", "set", "v3", "up"])?;
    router.ip(&["link", "set", "v2", "mtu", "1000", "up"])?;
    router.ip(&["address", "add", "10.2.0.1/16", "dev", "v2"])?;
    let forward = ["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"];
    let status = router.command("sh").args(forward).status()?;
    ensure!(status.success(), "no forwarding: {status}");

    let steps = [
        "s = socket inet datagram",
        "set s SOL_IP IP_RECVERR 1",
        "send-msg s - 10.2.0.9:9 aged hops=1",
        "recv-msg s 100 500 ERRQUEUE",
        "set s SOL_IP IP_MTU_DISCOVER 2",
        "send s - *1400 10.2.0.9:9",
        "recv-msg s 2000 500 ERRQUEUE",
    ];
    let granted = policy(
        &["ip.recverr", "ip.mtu-discover"],
        &["errqueue"],
        &["extended-error"],
    );
    // The other of the two finds the path's MTU known: each has a go with a clean slate.
    let ended = message_steps(&granted, &steps)
        .net(&net)
        .finish(patience())?
        .success()?;
    let aged = "aged flags ERRQUEUE from 10.2.0.9:9 | \
                error hostunreach origin 2 type 11 code 0 info 0 data 0 by 10.1.0.2:0";
    assert_eq!(ended.step(steps[3])?, aged);
    let wide = ended.step(steps[6])?;
    ensure!(
        wide.ends_with(
            " flags ERRQUEUE from 10.2.0.9:9 | \
             error msgsize origin 2 type 3 code 4 info 1000 data 0 by 10.1.0.2:0"
        ),
        "{wide}"
    );
    net.ip(&["route", "flush", "cache"])?;
    let lines = python_steps(&python, Some(&net), &steps)?.finish(patience())?;
    assert_eq!(outcome(&lines, steps[3])?, aged);
    assert_eq!(outcome(&lines, steps[6])?, wide);
    Ok(())
}

#[test]
fn what_a_path_takes_is_told() -> Result<()> {
    let Some((net, python)) = bench("what_a_path_takes_is_told")? else {
        return Ok(());
    };
    let told = "recv-msg s 100 500 -";
    let steps = [
        "s = socket inet6 datagram",
        "set s SOL_IPV6 IPV6_RECVPATHMTU 1",
        "set s SOL_IPV6 IPV6_DONTFRAG 1",
        "send s - *2000 [::1]:9",
        // It is there at once, and no poll(2) reports it.
        "timeout s -",
        told,
        "connect s [::1]:9",
        "get s SOL_IPV6 IPV6_PATHMTU 32",
    ];
    let options = ["41/60", "41/62"];
    let mut granted = policy(&options, &[], &["path-mtu"]);
    granted += "options.get = [\"41/61\"]\n";
    let shown = alike(&net, &python, &granted, &steps)?;
    assert_eq!(shown[3], "msgsize");
    assert_eq!(shown[5], "x from [::1]:0 | path-mtu 1500 [::1]:0");
    // The same structure by getsockopt: its last word is the MTU.
    ensure!(
        shown[7].len() == 65 && shown[7].ends_with("dc050000"),
        "{shown:?}"
    );
    let ended = message_steps(&policy(&options, &[], &[]), &steps)
        .net(&net)
        .finish(patience())?;
    assert_eq!(ended.step(told)?, "x from [::1]:0");
    let denied = ended.audit.denied("recv-msg")?;
    ensure!(denied.reason().contains("path-mtu"), "{denied:?}");
    covers(&["IPV6_RECVPATHMTU", "IPV6_PATHMTU", "IPV6_DONTFRAG"]);
    Ok(())
}

#[test]
fn when_it_went_out_is_told() -> Result<()> {
    let Some((net, python)) = bench("when_it_went_out_is_told")? else {
        return Ok(());
    };
    let server = [
        "l = socket inet stream",
        "bind l 127.0.0.8:7001",
        "listen l",
        "say ready",
        "a = accept l",
        "b = accept l",
        "recv a 5 WAITALL",
        "recv b 5 WAITALL",
        // Until both are done.
        "recv a 6 -",
        "recv b 6 -",
    ];
    let native = python_steps(&python, Some(&net), &server)?;
    native.wait_for_line("say ready", patience())?;
    let steps = [
        "u = socket inet datagram",
        // TX_SOFTWARE, SOFTWARE, OPT_ID, TX_SCHED, OPT_TSONLY
        "set u SOL_SOCKET SO_TIMESTAMPING 2450",
        "send u - first 127.0.0.9:9",
        "recv-msg u 100 500 ERRQUEUE",
        "recv-msg u 101 500 ERRQUEUE",
        "send u - second 127.0.0.9:9",
        "recv-msg u 102 500 ERRQUEUE",
        "recv-msg u 103 500 ERRQUEUE",
        "t = socket inet stream",
        "connect t 127.0.0.8:7001",
        // TX_ACK, SOFTWARE, OPT_ID, OPT_TSONLY
        "set t SOL_SOCKET SO_TIMESTAMPING 2704",
        "send t - bytes",
        "recv-msg t 100 500 ERRQUEUE",
    ];
    let granted = policy(
        &["so.timestamping"],
        &["errqueue"],
        &["timestamp", "extended-error"],
    );
    let shown = alike(&net, &python, &granted, &steps)?;
    // Scheduled (1), then sent (0): of the datagrams 0 and 1; and acknowledged (2) to the byte 4.
    for (step, info, data) in [(3, 1, 0), (4, 0, 0), (6, 1, 1), (7, 0, 1), (12, 2, 4)] {
        let wanted = format!(
            "x flags ERRQUEUE | timestamping TIME - | \
             error nomsg origin 4 type 0 code 0 info {info} data {data} by -"
        );
        assert_eq!(shown[step], wanted);
    }
    native.finish(patience())?;
    // The twin without the time.
    let ended = message_steps(
        &policy(&["so.timestamping"], &["errqueue"], &["extended-error"]),
        &steps[..4],
    )
    .net(&net)
    .finish(patience())?;
    assert_eq!(
        ended.step(steps[3])?,
        "x flags ERRQUEUE | error nomsg origin 4 type 0 code 0 info 1 data 0 by -"
    );
    let denied = ended.audit.denied("recv-msg")?;
    ensure!(denied.reason().contains("timestamp"), "{denied:?}");
    Ok(())
}
