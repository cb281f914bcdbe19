//! What goes beside IP datagrams, as Python receives it.

use anyhow::{Result, ensure};
use sockgate_tests::{
    Net, Tool, covers, free_port, message_steps, net_and_python, oracle, outcome, patience,
    python_steps, udp_policy,
};

#[test]
fn what_goes_beside_a_datagram_arrives() -> Result<()> {
    let Some((net, python)) = net_and_python("what_goes_beside_a_datagram_arrives")? else {
        return Ok(());
    };
    let listener = [
        "a = socket inet datagram",
        "set a SOL_IP IP_RECVTTL 1",
        "set a SOL_IP IP_RECVTOS 1",
        "set a SOL_IP IP_RECVOPTS 1",
        "bind a 127.0.0.8:7001",
        "b = socket inet6 datagram",
        "set b SOL_IPV6 IPV6_RECVHOPLIMIT 1",
        "set b SOL_IPV6 IPV6_RECVTCLASS 1",
        "set b SOL_IPV6 IPV6_RECVDSTOPTS 1",
        "bind b [::1]:7001",
        "say ready",
        "recv-msg a 100 500 -",
        "recv-msg a 101 500 -",
        "recv-msg b 100 500 -",
        "recv-msg b 101 500 -",
    ];
    let native = python_steps(&python, Some(&net), &listener)?;
    native.wait_for_line("say ready", patience())?;
    let steps = [
        "a = socket inet datagram",
        "bind a 0.0.0.0:7002",
        "b = socket inet6 datagram",
        "bind b [::1]:7002",
        "send-msg a - 127.0.0.8:7001 typed hops=33 class=64 pktinfo=lo,127.0.0.9",
        // IP_TTL and IP_TOS by number, and a time stamp option for the route.
        "send-msg a - 127.0.0.8:7001 raw raw=0,2,x22000000 raw=0,1,x44000000 \
         raw=SOL_IP,IP_RETOPTS,x440c05000000000000000000",
        "send-msg b - [::1]:7001 typed hops=33 class=64 pktinfo=-,::1",
        "send-msg b - [::1]:7001 raw raw=41,52,x22000000 raw=41,67,x44000000 \
         raw=SOL_IPV6,IPV6_DSTOPTS,x00001e0401020304",
    ];
    let kinds = ["hop-limit", "traffic-class", "packet-info", "ip-options"];
    let ended = message_steps(&udp_policy(&[], &[], &kinds), &steps)
        .net(&net)
        .finish(patience())?;
    let lines = native.finish(patience())?;
    assert_eq!(
        outcome(&lines, "recv-msg a 100 500 -")?,
        "typed from 127.0.0.9:7002 | hops 33 | class 64"
    );
    let optional = outcome(&lines, "recv-msg a 101 500 -")?;
    ensure!(
        optional.starts_with("raw from 127.0.0.1:7002 | hops 34 | class 68 | options x440c"),
        "{optional}; {}",
        ended.stdout
    );
    assert_eq!(
        outcome(&lines, "recv-msg b 100 500 -")?,
        "typed from [::1]:7002 | hops 33 | class 64"
    );
    assert_eq!(
        outcome(&lines, "recv-msg b 101 500 -")?,
        "raw from [::1]:7002 | hops 34 | class 68 | destination-options x11001e0401020304"
    );
    // The twin: nothing of it goes out, under a name or under a number.
    let refused = message_steps(&udp_policy(&[], &[], &[]), &steps)
        .net(&net)
        .finish(patience())?;
    for step in &steps[4..] {
        assert_eq!(refused.step(step)?, "acces", "{step}");
    }
    covers(&[
        "sendmsg",
        "IP_TTL",
        "IP_TOS",
        "IP_RETOPTS",
        "IPV6_HOPLIMIT",
        "IPV6_TCLASS",
    ]);
    Ok(())
}

#[test]
fn a_message_takes_no_way_of_its_own() -> Result<()> {
    let name = "a_message_takes_no_way_of_its_own";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let Some(net) = Net::new(name)? else {
        return Ok(());
    };
    let (loose, strict) = (
        "send-msg s - 127.0.0.8:7001 way raw=SOL_IP,IP_RETOPTS,x8307040a000001",
        "send-msg s - 127.0.0.8:7001 way raw=SOL_IP,IP_RETOPTS,x018907040a000001",
    );
    let routed = "send-msg t - [::1]:7001 way raw=SOL_IPV6,IPV6_RTHDR,x0002040000000000";
    let older = "send-msg t - [::1]:7001 way raw=SOL_IPV6,5,x0002040000000000";
    let plain = "send-msg s - 127.0.0.8:7001 way raw=SOL_IP,IP_RETOPTS,x01010100";
    let steps = [
        "s = socket inet datagram",
        "t = socket inet6 datagram",
        loose,
        strict,
        routed,
        older,
        plain,
    ];
    let ended = message_steps(&udp_policy(&[], &[], &["ip-options"]), &steps)
        .net(&net)
        .strace(&strace)
        .finish(patience())?;
    for step in [loose, strict, routed, older] {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    assert_eq!(ended.step(plain)?, "ok 3");
    assert_eq!(ended.made("sendmsg")?.len(), 1);
    let denied = ended.audit.denied("send-msg")?;
    ensure!(denied.reason().contains("elsewhere"), "{denied:?}");
    Ok(())
}

#[test]
fn a_time_to_send_reaches_the_kernel() -> Result<()> {
    let name = "a_time_to_send_reaches_the_kernel";
    let (Some(python), Some(strace)) = (oracle(Tool::Python, name), oracle(Tool::Strace, name))
    else {
        return Ok(());
    };
    let port = free_port()?;
    let to = format!("127.0.0.1:{port}");
    let bind = format!("bind s {to}");
    let listener = [
        "s = socket inet datagram",
        &bind,
        "say ready",
        "recv s 100 -",
    ];
    let native = python_steps(&python, None, &listener)?;
    native.wait_for_line("say ready", patience())?;
    let late = format!("send-msg s - {to} refused txtime=1");
    let timed = format!("send-msg s - {to} timed txtime=1234567890123");
    let steps = [
        "s = socket inet datagram",
        // As natively: without SO_TXTIME there is no time to send at.
        &late,
        // CLOCK_MONOTONIC, no flags.
        "set s SOL_SOCKET SO_TXTIME x0100000000000000",
        &timed,
    ];
    let run = |send: &[&str]| {
        message_steps(&udp_policy(&["so.txtime"], &[], send), &steps)
            .strace(&strace)
            .finish(patience())
    };
    let refused = run(&[])?;
    assert_eq!(refused.step(&timed)?, "acces");
    ensure!(refused.made("sendmsg")?.is_empty(), "{refused:?}");
    let ended = run(&["txtime"])?;
    assert_eq!(ended.step(&late)?, "inval");
    assert_eq!(ended.step(&timed)?, "ok 5");
    assert_eq!(
        outcome(&native.finish(patience())?, "recv s 100 -")?,
        "timed"
    );
    // What the packet is due at has no effect without a queue that keeps to it (fq, etf), which neither of
    // the kernels here has: the witness is the system call.
    let calls = ended.made("sendmsg")?;
    ensure!(
        calls.len() == 2
            && calls.iter().all(|call| {
                call.contains("cmsg_type=SO_TXTIME") || call.contains("cmsg_type=0x3d")
            }),
        "{calls:?}"
    );
    Ok(())
}
