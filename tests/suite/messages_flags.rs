//! Flags of sends and receives, and what they do, told by native peers; each that needs a grant with its twin.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Ended, Net, Tool, carried, covers, free_port, ip_policy, message_steps, net_and_python, oracle,
    outcome, patience, python_steps,
};

/// Grants connections and datagrams, with these flags.
fn policy(options: &[&str], flags: &[&str]) -> String {
    ip_policy(&carried(options, flags, &[], &[]))
}

fn python(name: &str) -> Option<PathBuf> {
    oracle(Tool::Python, name)
}

/// Python serves as these steps say, with `@` for its address; the guest does its own, with `@` likewise.
fn served(
    python: &Path,
    net: Option<&Net>,
    server: &[&str],
    policy: &str,
    steps: &[&str],
) -> Result<(Ended, Vec<String>)> {
    let at = format!("127.0.0.1:{}", free_port()?);
    let place = |steps: &[&str]| -> Vec<String> {
        steps.iter().map(|step| step.replace('@', &at)).collect()
    };
    let native = python_steps(python, net, &place(server))?;
    native.wait_for_line("say ready", patience())?;
    let mut run = message_steps(policy, &place(steps));
    if let Some(net) = net {
        run = run.net(net);
    }
    let ended = run.finish(patience())?.success()?;
    Ok((ended, native.finish(patience())?))
}

#[test]
fn urgent_data_stands_aside_or_in_line() -> Result<()> {
    let name = "urgent_data_stands_aside_or_in_line";
    let Some(python) = python(name) else {
        return Ok(());
    };
    let server = [
        "l = socket inet stream",
        "bind l @",
        "listen l",
        "say ready",
        "c = accept l",
        "d = accept l",
        "send c - before",
        "send c OOB !",
        "send c - after",
        // Everything is there.
        "send d - go",
        "recv c 50 -",
        "recv c 51 OOB",
        "recv c 52 -",
    ];
    let aside = [
        "s = socket inet stream",
        "connect s @",
        "t = socket inet stream",
        "connect t @",
        "recv t 10 -",
        "recv s 100 -",
        "mark s",
        "recv s 101 OOB",
        "recv s 102 -",
        "mark s ",
        "recv s 103 OOB",
        "send s - before",
        "send s OOB ?",
        "send s - after",
        "shutdown s",
    ];
    let (ended, native) = served(&python, None, &server, &policy(&[], &["oob"]), &aside)?;
    assert_eq!(ended.step("recv s 100 -")?, "before");
    assert_eq!(ended.step("mark s")?, "true");
    assert_eq!(ended.step("recv s 101 OOB")?, "!");
    assert_eq!(ended.step("recv s 102 -")?, "after");
    assert_eq!(ended.step("recv s 103 OOB")?, "inval");
    assert_eq!(outcome(&native, "recv c 50 -")?, "before");
    assert_eq!(outcome(&native, "recv c 51 OOB")?, "?");
    assert_eq!(outcome(&native, "recv c 52 -")?, "after");

    // The twin, which is told of nothing.
    let refused = policy(&[], &[]);
    let without = &server[..10];
    let (ended, _) = served(&python, None, without, &refused, &aside[..13])?;
    for step in ["recv s 101 OOB", "recv s 103 OOB", "send s OOB ?"] {
        assert_eq!(ended.step(step)?, "acces", "{step}");
    }
    ensure!(
        ended.audit.denied("recv")?.reason().contains("oob")
            && ended.audit.denied("send")?.reason().contains("oob"),
        "{:?}",
        ended.audit
    );

    // In line there is nothing to receive aside.
    let inline = [
        "s = socket inet stream",
        "set s SOL_SOCKET SO_OOBINLINE 1",
        "connect s @",
        "t = socket inet stream",
        "connect t @",
        "recv t 10 -",
        "recv s 100 -",
        "mark s",
        "recv s 101 OOB",
        "recv-msg s 102 0 -",
    ];
    let granted = policy(&["so.oobinline"], &["oob"]);
    let (ended, _) = served(&python, None, without, &granted, &inline)?;
    assert_eq!(ended.step("recv s 100 -")?, "before");
    assert_eq!(ended.step("mark s")?, "true");
    assert_eq!(ended.step("recv s 101 OOB")?, "inval");
    assert_eq!(ended.step("recv-msg s 102 0 -")?, "!after");
    covers(&["MSG_OOB", "SO_OOBINLINE"]);
    Ok(())
}

/// tcpi_data_segs_in of a struct tcp_info, linux/tcp.h, in hexadecimal digits.
fn segments(info: &str) -> Result<u32> {
    let digits = info.get(1 + 2 * 152..1 + 2 * 156).context("too short")?;
    Ok(u32::from_str_radix(digits, 16)?.swap_bytes())
}

#[test]
fn what_more_follows_goes_out_with_it() -> Result<()> {
    let name = "what_more_follows_goes_out_with_it";
    let Some(python) = python(name) else {
        return Ok(());
    };
    let server = [
        "l = socket inet stream",
        "bind l @",
        "listen l",
        "u = socket inet datagram",
        "bind u @",
        "say ready",
        "c = accept l",
        "timeout c -",
        "recv c 6 WAITALL",
        "get c 6 11 192",
        "recv u 50 -",
        "recv u 51 -",
    ];
    let run = |first: &str| {
        let (tcp, udp, msg) = (
            format!("send s {first} one"),
            format!("send u {first} one"),
            format!("send-msg u {first} - three"),
        );
        let steps = [
            "s = socket inet stream",
            "set s SOL_TCP TCP_NODELAY 1",
            "connect s @",
            &tcp,
            "send s - two",
            "u = socket inet datagram",
            "connect u @",
            &udp,
            "send u - two",
            &msg,
            "send-msg u - - four",
            "recv s 1 -",
        ];
        served(&python, None, &server, &policy(&[], &[]), &steps)
    };
    let (_, native) = run("MORE")?;
    assert_eq!(outcome(&native, "recv c 6 WAITALL")?, "onetwo");
    assert_eq!(segments(outcome(&native, "get c 6 11 192")?)?, 1);
    assert_eq!(outcome(&native, "recv u 50 -")?, "onetwo");
    assert_eq!(outcome(&native, "recv u 51 -")?, "threefour");
    let (_, native) = run("-")?;
    assert_eq!(segments(outcome(&native, "get c 6 11 192")?)?, 2);
    assert_eq!(outcome(&native, "recv u 50 -")?, "one");
    assert_eq!(outcome(&native, "recv u 51 -")?, "two");
    covers(&["MSG_MORE"]);
    Ok(())
}

#[test]
fn a_gateway_is_not_asked() -> Result<()> {
    let name = "a_gateway_is_not_asked";
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    net.ip(&["link", "add", "v0", "type", "veth", "peer", "name", "v1"])?;
    net.ip(&["link", "set", "v1", "up"])?;
    net.ip(&["link", "set", "v0", "up"])?;
    net.ip(&["address", "add", "10.1.0.1/24", "dev", "v0"])?;
    net.ip(&["route", "add", "default", "via", "10.1.0.2"])?;
    let steps = [
        "s = socket inet datagram",
        "send s - far 10.9.9.9:9",
        "send s DONTROUTE far 10.9.9.9:9",
        "send s DONTROUTE near 10.1.0.7:9",
        "send-msg s DONTROUTE 10.9.9.9:9 far",
    ];
    let wanted = ["ok", "ok 3", "netunreach", "ok 4", "netunreach"];
    let lines = python_steps(&python, Some(&net), &steps)?.finish(patience())?;
    let run = |flags: &[&str]| {
        message_steps(&policy(&[], flags), &steps)
            .net(&net)
            .finish(patience())?
            .success()
    };
    let (granted, refused) = (run(&["dontroute"])?, run(&[])?);
    for (step, wanted) in steps.iter().zip(wanted) {
        assert_eq!(granted.step(step)?, wanted, "{step}");
        assert_eq!(outcome(&lines, step)?, wanted, "{step}");
        let denied = step.contains("DONTROUTE");
        assert_eq!(refused.step(step)? == "acces", denied, "{step}");
    }
    covers(&["MSG_DONTROUTE"]);
    Ok(())
}

#[test]
fn an_answer_is_confirmed() -> Result<()> {
    let name = "an_answer_is_confirmed";
    let (Some(python), Some(strace)) = (python(name), oracle(Tool::Strace, name)) else {
        return Ok(());
    };
    let to = format!("127.0.0.1:{}", free_port()?);
    let (bind, send) = (format!("bind s {to}"), format!("send s CONFIRM heard {to}"));
    let listener = [
        "s = socket inet datagram",
        &bind,
        "say ready",
        "recv s 100 -",
    ];
    let native = python_steps(&python, None, &listener)?;
    native.wait_for_line("say ready", patience())?;
    let steps = ["s = socket inet datagram", send.as_str()];
    let run = |flags: &[&str]| {
        message_steps(&policy(&[], flags), &steps)
            .strace(&strace)
            .finish(patience())
    };
    let refused = run(&[])?;
    assert_eq!(refused.step(&send)?, "acces");
    ensure!(refused.made("sendto")?.is_empty(), "{refused:?}");
    let granted = run(&["confirm"])?;
    assert_eq!(granted.step(&send)?, "ok 5");
    let calls = granted.made("sendto")?;
    ensure!(
        calls.len() == 1 && calls[0].contains("MSG_CONFIRM"),
        "{calls:?}"
    );
    let lines = native.finish(patience())?;
    assert_eq!(outcome(&lines, "recv s 100 -")?, "heard");
    covers(&["MSG_CONFIRM"]);
    Ok(())
}

#[test]
fn a_first_segment_has_data() -> Result<()> {
    let name = "a_first_segment_has_data";
    let Some((net, python)) = net_and_python(name)? else {
        return Ok(());
    };
    // Client and server, both without cookies, Documentation/networking/ip-sysctl.rst.
    let open = ["-c", "echo 519 > /proc/sys/net/ipv4/tcp_fastopen"];
    ensure!(net.command("sh").args(open).status()?.success());
    let passive = || -> Result<u64> {
        let out = net.command("cat").arg("/proc/net/netstat").output()?;
        let text = String::from_utf8(out.stdout)?;
        let mut lines = text.lines().filter(|line| line.starts_with("TcpExt: "));
        let names = lines.next().context("no names")?.split(' ');
        let values = lines.next().context("no values")?.split(' ');
        let mut both = names.zip(values);
        let (_, value) = both
            .find(|(name, _)| *name == "TCPFastOpenPassive")
            .context("no such count")?;
        Ok(value.parse()?)
    };
    let server = [
        "l = socket inet stream",
        "set l SOL_TCP TCP_FASTOPEN 5",
        "bind l @",
        "listen l",
        "say ready",
        "c = accept l",
        "recv c 100 -",
        "send c - answer",
    ];
    let steps = [
        "s = socket inet stream",
        "send s FASTOPEN early @",
        "recv s 100 -",
    ];
    let granted = policy(&[], &["fastopen"]);
    let (ended, native) = served(&python, Some(&net), &server, &granted, &steps)?;
    assert_eq!(outcome(&native, "recv c 100 -")?, "early");
    assert_eq!(ended.step("recv s 100 -")?, "answer");
    assert_eq!(passive()?, 1);
    // The twin: no flag, no connection.
    let to = format!("send s FASTOPEN early 127.0.0.1:{}", free_port()?);
    let refused = message_steps(&policy(&[], &[]), &[steps[0], to.as_str()])
        .net(&net)
        .finish(patience())?;
    assert_eq!(refused.step(&to)?, "acces");
    ensure!(
        refused
            .audit
            .denied("send-to")?
            .reason()
            .contains("fastopen"),
        "{:?}",
        refused.audit
    );
    assert_eq!(passive()?, 1);
    covers(&["MSG_FASTOPEN", "TCP_FASTOPEN"]);
    Ok(())
}

#[test]
fn a_vanished_peer_is_an_error_and_no_signal() -> Result<()> {
    let name = "a_vanished_peer_is_an_error_and_no_signal";
    let Some(python) = python(name) else {
        return Ok(());
    };
    let policy = "version = 1\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
                  ops = [\"socketpair\"]\n";
    let steps = [
        "a b = pair stream",
        "timeout a -",
        "recv a 10 DONTWAIT",
        "close b",
        "send a NOSIGNAL quiet",
        "send a - also",
        "send-msg a - - so+too",
        "send-all a three",
        "say alive",
    ];
    let ended = message_steps(policy, &steps)
        .finish(patience())?
        .success()?;
    let lines = python_steps(&python, None, &steps)?.finish(patience())?;
    let wanted = [
        "ok", "ok", "again", "ok", "pipe", "pipe", "pipe", "pipe", "ok",
    ];
    for (step, wanted) in steps.iter().zip(wanted) {
        assert_eq!(ended.step(step)?, wanted, "{step}");
        assert_eq!(outcome(&lines, step)?, wanted, "{step}");
    }
    covers(&["MSG_NOSIGNAL", "MSG_DONTWAIT"]);
    Ok(())
}

/// Under MSG_ZEROCOPY the kernel reads the sender's pages after the call. A guest could then send what was not
/// judged, and its memory may belong to the next guest of a pool while the kernel still sends from it.
#[test]
fn memory_of_a_guest_is_not_left_to_the_kernel() -> Result<()> {
    let name = "memory_of_a_guest_is_not_left_to_the_kernel";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let steps = [
        "s = socket inet datagram",
        "set s SOL_SOCKET SO_ZEROCOPY 1",
        "send s ZEROCOPY data 127.0.0.1:9",
        "send-msg s ZEROCOPY 127.0.0.1:9 data",
        "send s - data 127.0.0.1:9",
    ];
    let granted = policy(&["so.zerocopy"], &["zerocopy"]);
    let ended = message_steps(&granted, &steps)
        .strace(&strace)
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step(steps[1])?, "ok");
    assert_eq!(ended.step(steps[2])?, "opnotsupp");
    assert_eq!(ended.step(steps[3])?, "opnotsupp");
    assert_eq!(ended.step(steps[4])?, "ok 4");
    ensure!(ended.made("sendmsg")?.is_empty(), "{:?}", ended.syscalls);
    let calls = ended.made("sendto")?;
    ensure!(
        calls.len() == 1 && !calls[0].contains("ZEROCOPY"),
        "{calls:?}"
    );
    Ok(())
}

#[test]
fn no_descriptor_outlives_an_exec() -> Result<()> {
    let name = "no_descriptor_outlives_an_exec";
    let Some(python) = python(name) else {
        return Ok(());
    };
    let place = sockgate_tests::folder()?;
    let path = place.path().join("pipes.sock").display().to_string();
    let (bind, connect) = (format!("bind l {path}"), format!("connect s {path}"));
    let server = [
        "l = socket unix stream",
        &bind,
        "listen l",
        "say ready",
        "c = accept l",
        "send-pipe c one",
        "recv c 3 -",
        "send-pipe c two",
        "recv c 4 -",
    ];
    let native = python_steps(&python, None, &server)?;
    native.wait_for_line("say ready", patience())?;
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"unix\"\nfamily = [\"unix\"]\n\
         ops = [\"connect\", \"descriptor-receive\"]\nkinds = [\"opaque\"]\n\
         peer = {{ path = [{path:?}] }}\n"
    );
    let steps = [
        "s = socket unix stream",
        &connect,
        "recv-msg s 3 100 CMSG_CLOEXEC",
        "send s - yes",
        "recv-msg s 3 101 -",
        "say holding",
        // Until it is killed.
        "timeout s -",
        "recv s 9 -",
    ];
    let guest = message_steps(&policy, &steps).start()?;
    guest.wait_for_line("say holding", patience())?;
    let passed = |word: &str| -> Result<String> {
        let line = native.wait_for_line(&format!("send-pipe c {word} -> ok 3 "), patience())?;
        Ok(line)
    };
    let passed = [passed("one")?, passed("two")?];
    let mut pipes = 0;
    for entry in fs::read_dir(format!("/proc/{}/fd", guest.pid()))? {
        let entry = entry?;
        let target = fs::read_link(entry.path())?;
        if !passed.iter().any(|pipe| *target == **pipe) {
            continue;
        }
        let number = entry.file_name();
        let number = number.display();
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", guest.pid()))?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.context("no flags")?.trim(), 8)?;
        // O_CLOEXEC
        ensure!(flags & 0o2_000_000 != 0, "{number}: {info}");
        pipes += 1;
    }
    let ended = guest.kill()?;
    drop(native);
    assert_eq!(pipes, 2, "each once");
    let from = format!("from {path} | rights 1");
    let step = ended.step("recv-msg s 3 100 CMSG_CLOEXEC")?;
    assert_eq!(step, format!("one {from}"));
    assert_eq!(ended.step("recv-msg s 3 101 -")?, format!("two {from}"));
    covers(&["MSG_CMSG_CLOEXEC"]);
    Ok(())
}
